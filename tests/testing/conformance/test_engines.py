"""The checks of engines catch engines that are wrong in one integer."""

from __future__ import annotations

import numpy as np
import pytest

from vortex_hep.core.options import DEVICES
from vortex_hep.nn.coding.engine import CompiledEngine, get_engine
from vortex_hep.nn.coding.stepwise import ReferenceEngine
from vortex_hep.nn.sequence.reference import Reference
from vortex_hep.testing import ConformanceError, EngineTests, check_engines_agree
from vortex_hep.testing.conformance.engines import (
    EVENT_FEATURES,
    check_engine_equals_definition,
    check_engine_names,
    check_given_fields,
    check_operations,
    check_truncated_words,
    make_case,
    random_lanes,
    random_model,
)
from vortex_hep.testing.conformance.engines.cases import encode
from vortex_hep.testing.conformance.engines.sequences import check_lanes_alone

FEW = {"three rows": {"lanes": 4, "longest": 3}}


#: All of them are tried where engines are tested (tests/nn/event/test_engines.py).
SOME = {name: EVENT_FEATURES[name] for name in ("all", "three links", "blocks", "no lanes")}


class TestCompiled(EngineTests):
    engine = get_engine("cpu")
    features = SOME


class TestReference(EngineTests):
    engine = get_engine("reference")
    features = SOME


class Rounds(CompiledEngine):
    """Wrong in the last frequency of every group."""

    def run_group(self, *arguments):
        used = super().run_group(*arguments)
        freq = frequencies(arguments)
        if len(freq):
            freq[-1] += 1
        return used


class ReadsAll(CompiledEngine):
    """Says that it has read a stream to its end, whatever it found."""

    def run_group(self, *arguments):
        return max(0, super().run_group(*arguments))


def frequencies(arguments):
    """The array of frequencies among the arguments of ``run_group``: the first of 16 bits."""
    found = [getattr(a, "freq", a) for a in arguments]
    return next(a for a in found if isinstance(a, np.ndarray) and a.dtype == np.uint16)


class OffByOne(Reference):
    """Wrong in one logit of the last token that is fed."""

    def logits(self, x, kinds):
        out = np.array(super().logits(x, kinds))
        out[-1, -1, 77] += 1
        return out


class KnowsNeighbours(Reference):
    def logits(self, x, kinds):
        out = np.array(super().logits(x, kinds))
        return out + len(out)


class WrongTransformers(CompiledEngine):
    def operations(self, model, pool, parts):
        return OffByOne(model)


def test_engines_that_are_wrong_in_one_frequency_are_caught():
    message = r"^engine Rounds, event model 'three rows', symbol \d+: frequencies of group 0 by eng"
    with pytest.raises(ConformanceError, match=message) as caught:
        check_engines_agree(Rounds(), "reference", features=FEW)
    assert int(caught.value.found) == int(caught.value.expected) + 1
    with pytest.raises(ConformanceError, match="of group 0 by the definition differ"):
        check_engine_equals_definition(Rounds(), make_case(1, lanes=3))
    with pytest.raises(ConformanceError, match=r"engine Rounds.*differ"):
        check_given_fields(Rounds(), make_case(1, lanes=3), [0])


def test_engines_that_take_any_stream_are_caught():
    case = make_case(2, lanes=4)
    words = encode(ReferenceEngine(), case, 8).words[0]
    check_truncated_words(CompiledEngine(), case, words)
    with pytest.raises(ConformanceError, match=r"0 of \d+ words: a truncated stream is taken for"):
        check_truncated_words(ReadsAll(), case, words)


def test_engines_that_are_wrong_for_transformers_are_caught():
    with pytest.raises(ConformanceError, match=r"^operations OffByOne, .*lane 4, .*byte 77"):
        check_engines_agree(WrongTransformers(), features={})
    with pytest.raises(ConformanceError, match="logits differ from the reference's: expected"):
        check_operations(OffByOne(random_model(1)), random_model(1), random_lanes(1, 2, 9))
    with pytest.raises(ConformanceError, match="logits of lanes 0 to 1 alone differ"):
        check_lanes_alone(
            lambda: KnowsNeighbours(random_model(1)), random_model(1), random_lanes(1, 12, 9)
        )


def test_engines_that_raise_are_caught():
    class Fails(CompiledEngine):
        def run_group(self, *arguments):
            raise ZeroDivisionError("by zero")

    with pytest.raises(ConformanceError, match=r"engine Fails, .*encoding raises: found Zero"):
        check_engines_agree(Fails(), features=FEW)


def test_every_engine_has_an_entry(monkeypatch):
    check_engine_names(set(DEVICES))
    with pytest.raises(ConformanceError, match="'torch': is known, but has no conformance entry"):
        check_engine_names({"cpu", "cuda", "reference"})
    with pytest.raises(ConformanceError, match="'tpu': has a conformance entry, but is not known"):
        check_engine_names({*DEVICES, "tpu"})
