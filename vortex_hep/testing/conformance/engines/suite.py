"""Engines against one another, with both kinds of networks; tests of an engine to inherit from."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from vortex_hep.core.options import DEVICES
from vortex_hep.nn.coding.engine import Engine, get_engine
from vortex_hep.nn.coding.stepwise import ReferenceEngine
from vortex_hep.nn.sequence.reference import Reference
from vortex_hep.testing.conformance.engines.cases import (
    THREE,
    encode,
    engine_subject,
    make_case,
)
from vortex_hep.testing.conformance.engines.event import (
    EVENT_FEATURES,
    check_coded_alike,
    check_engine_equals_definition,
    check_given_fields,
    check_truncated_words,
)
from vortex_hep.testing.conformance.engines.sequences import (
    check_lanes_alone,
    check_operations,
    random_lanes,
    random_model,
    saturated_model,
)
from vortex_hep.testing.conformance.reporting import Subject


def check_engines_agree(
    engine: Engine | str,
    reference: Engine | str = "reference",
    *,
    features: Mapping[str, Mapping[str, Any]] = EVENT_FEATURES,
    seed: int = 3,
) -> None:
    """Check that two engines compute the same integers, for event models and transformers.

    Parameters
    ----------
    engine, reference : Engine or str
        Engines, or their names; the second is taken to be right.
    features : mapping of str to options
        Event models to try: options of
        :func:`~vortex_hep.testing.conformance.engines.cases.make_case` by name.
    seed : int
        Of the models.

    Raises
    ------
    ConformanceError
        Names the engine, the model, and the first symbol, word, row or logit that differs.

    Examples
    --------
    >>> from vortex_hep.testing import check_engines_agree
    >>> check_engines_agree("cpu", features={"one link": {"lanes": 3}})
    """
    first = get_engine(engine) if isinstance(engine, str) else engine
    second = get_engine(reference) if isinstance(reference, str) else reference
    for name, options in features.items():
        check_coded_alike(first, second, make_case(seed, **options), name=f"event model {name!r}")
    with ThreadPoolExecutor(2) as pool:
        for memory in (True, False):
            model = random_model(seed, memory=memory)
            inputs = random_lanes(seed, 5, 40)
            for each in (first, second):
                check_operations(each.operations(model, pool, 2), model, inputs, [7])


def check_engine_names(names: Mapping[str, object] | tuple[str, ...] | set[str]) -> None:
    """Check that every engine that ``get_engine`` knows has a conformance entry, and no other.

    Parameters
    ----------
    names : collection of str
        Engines that are tested; ``"auto"`` is one of them by another name.

    Raises
    ------
    ConformanceError
        Names each engine that is missing.
    """
    for name in sorted({*DEVICES, *names} - {"auto"}):
        if name not in names:
            raise Subject(f"engine {name!r}").error("is known, but has no conformance entry")
        if name not in DEVICES:
            raise Subject(f"engine {name!r}").error("has a conformance entry, but is not known")


class EngineTests:
    """Tests of an engine, to inherit from.

    A subclass says which engine, as an attribute or a fixture that sets it; pytest finds the tests.

    Examples
    --------
    >>> from vortex_hep.nn.coding.engine import get_engine
    >>> class TestCompiled(EngineTests):
    ...     engine = get_engine("cpu")
    >>> TestCompiled().test_given_fields()
    """

    #: The engine to test.
    engine: Engine
    #: Event models to try.
    features: Mapping[str, Mapping[str, Any]] = EVENT_FEATURES

    def test_definition(self) -> None:
        """Frequencies of event models, and streams that come back."""
        for name, options in self.features.items():
            check_engine_equals_definition(self.engine, make_case(3, **options), 5, name=name)

    def test_groups(self) -> None:
        """However lanes are grouped."""
        for size in (1, 2, 7, 64):
            name = f"groups of {size} lanes"
            check_engine_equals_definition(self.engine, make_case(5, lanes=40), size, name=name)

    def test_threads(self) -> None:
        """Groups may be run at once."""
        case = make_case(6, lanes=60, hidden=32, head=16)
        for threads in (1, 2, 4):
            name = f"{threads} threads"
            check_engine_equals_definition(self.engine, case, 8, threads=threads, name=name)

    def test_streams(self) -> None:
        """Streams are those of the reference, and each reads the other's."""
        for links in (("own",), THREE):
            case = make_case(9, lanes=25, hidden=32, head=24, links=links)
            check_coded_alike(self.engine, ReferenceEngine(), case, 10, name=f"links {links}")

    def test_given_fields(self) -> None:
        """Fields that are known cost nothing."""
        for links in (("own",), THREE):
            case = make_case(10, lanes=25, links=links)
            for known in ((0,), (1, 3), range(9)):
                check_given_fields(self.engine, case, known, name=f"links {links}, given {known}")

    def test_truncated_streams(self) -> None:
        """No part of a stream passes for the whole."""
        case = make_case(20, lanes=16, longest=6, widths=(3, 12, 64), flat=(0, 1, 4))
        words = encode(ReferenceEngine(), case, 64).words[0]
        check_truncated_words(self.engine, case, words, step=37)

    def test_transformers(self) -> None:
        """Logits of transformers, fed in pieces, with memory and without."""
        with ThreadPoolExecutor(2) as pool:
            for seed, memory in enumerate((True, False, True)):
                model = random_model(seed, memory=memory)
                operations = self.engine.operations(model, pool, 2)
                check_operations(operations, model, random_lanes(seed, 5, 45), [7, 2, 16])

    def test_long_sums(self) -> None:
        """Sums of more terms than float32 holds exactly."""
        model = saturated_model()
        with ThreadPoolExecutor(1) as pool:
            operations = self.engine.operations(model, pool, 1)
            wanted = check_operations(operations, model, random_lanes(2, 3, 20))
        if len(np.unique(wanted)) <= 100:
            raise engine_subject(Reference(model)).error("this model tests too little")

    def test_lanes_alone(self) -> None:
        """Lanes do not know of one another."""
        model = random_model(1)
        with ThreadPoolExecutor(2) as pool:
            check_lanes_alone(
                lambda: self.engine.operations(model, pool, 2), model, random_lanes(1, 20, 30)
            )
