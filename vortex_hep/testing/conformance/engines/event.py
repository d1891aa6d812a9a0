"""Conformance of engines with event models: the integers of the definition, and no others.

The contract is :class:`~vortex_hep.nn.coding.engine.Engine`; the definition is
:func:`~vortex_hep.nn.event.reference.frequencies_of_rows`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from vortex_hep.core.schema import Array
from vortex_hep.nn.coding.engine import Engine
from vortex_hep.nn.coding.stepwise import ReferenceEngine
from vortex_hep.nn.event.reference import frequencies_of_rows
from vortex_hep.testing.conformance.engines.cases import (
    FOREIGN,
    OWN,
    PARTLY,
    THREE,
    Case,
    Coded,
    cut_groups,
    decode,
    encode,
    engine_subject,
)
from vortex_hep.testing.conformance.reporting import Subject

#: Options of :func:`~vortex_hep.testing.conformance.engines.cases.make_case`, one per feature of
#: the model, by what they are to show.
EVENT_FEATURES: dict[str, dict[str, Any]] = {
    "all": {},
    "no previous": {"previous": False},
    "no link": {"links": ()},
    "plain": {"previous": False, "links": (), "lane_fields": 0},
    "foreign link": {"links": (FOREIGN,)},
    "partly foreign link": {"links": (PARTLY,), "previous": False},
    "three links": {"links": THREE, "lanes": 30},
    "four links": {"links": (FOREIGN, OWN, PARTLY, OWN), "lanes": 30, "widths": (9, 64)},
    "links alone": {"links": THREE, "widths": ()},
    "links of extreme weights": {"links": THREE, "weights": "extreme", "hidden": 24, "head": 40},
    "links of single rows": {"links": (FOREIGN, PARTLY), "longest": 1, "lanes": 30},
    "links of no rows": {"links": THREE, "longest": 0},
    "links of no lanes": {"links": THREE, "lanes": 0},
    "no lane context": {"lane_fields": 0},
    "blocks": {"links": (), "block": 16, "lane_fields": 3},
    "blocks that divide the rows": {"links": (), "block": 9, "lane_fields": 1},
    "one block": {"links": (), "block": 1 << 16},
    "blocks of two": {"links": (), "block": 2, "lane_fields": 4, "hidden": 24, "head": 40},
    "blocks without context": {"links": (), "block": 40, "lane_fields": 0},
    "blocks of no rows": {"links": (), "block": 8, "lanes": 0},
    "flat tokens": {"widths": (16, 9, 64, 5), "flat": (2, 3, 9, 2)},
    "one bit": {"widths": (1,), "links": ()},
    "widest": {"widths": (64, 63, 61), "longest": 5},
    "constant field": {"widths": (0, 5, 0), "links": ()},
    "extreme": {"weights": "extreme", "hidden": 64, "head": 32},
    "extreme, odd widths": {"weights": "extreme", "hidden": 24, "head": 40},
    "at the limits": {
        "weights": "saturated", "hidden": 512, "head": 512, "widths": (5,), "lanes": 4,
    },
    "random at the limits": {
        "weights": "extreme", "hidden": 512, "head": 512, "widths": (5,), "lanes": 4,
    },
    "small weights": {"weights": "small", "hidden": 8, "head": 8},
    "wide": {"hidden": 64, "head": 64, "lanes": 20},
    "one lane": {"lanes": 1, "longest": 40},
    "single rows": {"longest": 1, "lanes": 30},
    "no rows": {"longest": 0},
    "no lanes": {"lanes": 0},
}  # fmt: skip


def expected_symbols(case: Case, size: int) -> tuple[list[Array], list[Array]]:
    """Return frequencies and cumulated frequencies by the definition, in decoding order.

    Parameters
    ----------
    case : Case
    size : int
        Lanes of a group.

    Returns
    -------
    list of arrays, list of arrays
        One of each per group.
    """
    table = frequencies_of_rows(
        case.model, case.stacked(case.tokens), case.stacked_buckets(), case.rows, case.lane_buckets
    )
    groups = cut_groups(case.rows.offsets, size)
    freq, cum = [], []
    for lanes, active in zip(groups.lanes, groups.active, strict=True):
        f, c = [np.zeros(0)], [np.zeros(0)]
        for j, n in enumerate(active):
            rows = case.rows.offsets[lanes[:n]] + j
            for t in range(case.n_tokens):
                y = case.tokens[rows, t]
                f.append(table[rows, t, y])
                c.append((np.cumsum(table[rows, t], axis=1) - table[rows, t])[np.arange(n), y])
        freq.append(np.concatenate(f))
        cum.append(np.concatenate(c))
    return freq, cum


def check_engine_equals_definition(
    engine: Engine, case: Case, size: int = 5, *, threads: int = 1, name: str = ""
) -> None:
    """Check that an engine gives the frequencies of the definition and decodes what it encodes.

    Parameters
    ----------
    engine : Engine
    case : Case
    size : int
        Lanes of a group.
    threads : int
        Groups that are run at once.
    name : str
        Of the case, for messages.

    Raises
    ------
    ConformanceError
        Names the group and the symbol.

    Examples
    --------
    >>> from vortex_hep.nn.coding.engine import get_engine
    >>> from vortex_hep.testing.conformance.engines.cases import make_case
    >>> check_engine_equals_definition(get_engine("reference"), make_case(1, lanes=3))
    """
    here = engine_subject(engine).of(name)
    freq, cum = expected_symbols(case, size)
    coded = here.call("encoding", lambda: encode(engine, case, size, threads=threads))
    here.equal("numbers of groups", len(coded.freq), len(freq))
    for g in range(len(freq)):
        where = f"of group {g} by the definition"
        _same_values(here, f"frequencies {where}", coded.freq[g], freq[g], unit="symbol")
        _same_values(here, f"cumulated frequencies {where}", coded.cum[g], cum[g], unit="symbol")
    if case.rows.link is not None:
        _same_values(here, "rows that links point to", coded.link_row, case.rows.link)
    check_engine_decodes(engine, case, coded, size, threads=threads, name=name)


def check_engine_decodes(
    engine: Engine,
    case: Case,
    coded: Coded,
    size: int = 5,
    *,
    given: Array | None = None,
    threads: int = 1,
    name: str = "",
) -> None:
    """Check that an engine reads what an engine wrote: all words, and the tokens of the case.

    Parameters
    ----------
    engine : Engine
        That reads.
    case : Case
    coded : Coded
        What another engine, or the same, made of the case with the same ``size`` and ``given``.
    size, threads, name
        As for :func:`check_engine_equals_definition`.
    given : bool array, shape (fields,), optional
        Fields that are known.

    Raises
    ------
    ConformanceError
        Names the row.
    """
    here = engine_subject(engine).of(name)
    used, tokens, buckets, links = here.call(
        "decoding",
        lambda: decode(engine, case, size, coded.words, given=given, threads=threads),
    )
    for g, words in enumerate(coded.words):
        if used[g] != len(words):
            raise here.error(
                "a stream is not read to its end", position=f"group {g}",
                expected=f"{len(words)} words", found=f"{used[g]}",
            )  # fmt: skip
    _same_values(here, "decoded tokens", tokens, case.tokens, rows=True)
    _same_values(here, "buckets after decoding", buckets, coded.buckets, rows=True)
    _same_values(here, "links after decoding", links, coded.link_row)


def check_coded_alike(
    engine: Engine,
    reference: Engine,
    case: Case,
    size: int = 5,
    *,
    given: Array | None = None,
    name: str = "",
) -> Coded:
    """Check that two engines make the same of a case, and each reads what the other wrote.

    Parameters
    ----------
    engine, reference : Engine
    case : Case
    size, given, name
        As for :func:`check_engine_decodes`.

    Returns
    -------
    Coded
        What ``engine`` made of it.

    Raises
    ------
    ConformanceError
        Names the group and the symbol, word or row.
    """
    here = engine_subject(engine).of(name)
    found = here.call("encoding", lambda: encode(engine, case, size, given=given))
    other = engine_subject(reference).of(name)
    wanted = other.call("encoding", lambda: encode(reference, case, size, given=given))
    against = f"by engine {type(reference).__name__}"
    for g in range(len(wanted.freq)):
        where = f"of group {g} {against}"
        _same_values(here, f"frequencies {where}", found.freq[g], wanted.freq[g], unit="symbol")
        _same_values(
            here, f"cumulated frequencies {where}", found.cum[g], wanted.cum[g], unit="symbol"
        )
        _same_values(here, f"words {where}", found.words[g], wanted.words[g], unit="word")
    _same_values(here, f"buckets {against}", found.buckets, wanted.buckets, rows=True)
    _same_values(here, f"links {against}", found.link_row, wanted.link_row)
    if not np.allclose(found.bits, wanted.bits):
        raise here.error(
            f"bits of fields {against} differ", expected=wanted.bits.tolist(),
            found=found.bits.tolist(),
        )  # fmt: skip
    check_engine_decodes(engine, case, wanted, size, given=given, name=name)
    check_engine_decodes(reference, case, found, size, given=given, name=name)
    return found


def check_given_fields(
    engine: Engine, case: Case, known: Sequence[int], size: int = 10, *, name: str = ""
) -> None:
    """Check that fields whose tokens are known cost nothing, and change none of the others.

    Parameters
    ----------
    engine : Engine
    case : Case
    known : sequence of int
        Fields that are given.
    size, name
        As for :func:`check_engine_equals_definition`.

    Raises
    ------
    ConformanceError
    """
    here = engine_subject(engine).of(name)
    given = np.isin(np.arange(len(case.model.fields)), np.array(known, np.int64))
    coded = check_coded_alike(engine, ReferenceEngine(), case, size, given=given, name=name)
    skip = np.repeat(given, np.diff(case.net.field_start))
    full, _ = expected_symbols(case, size)
    groups = cut_groups(case.rows.offsets, size)
    for g, freq in enumerate(coded.freq):
        at = 0
        for n in groups.active[g]:
            for t in range(case.n_tokens):
                expected = np.ones(n) if skip[t] else full[g][at : at + n]
                what = f"frequencies of {'given' if skip[t] else 'coded'} token {t} in group {g}"
                _same_values(here, what, freq[at : at + n], expected, unit="symbol")
                at += n
    if coded.bits[:, given].any():
        raise here.error("given fields cost bits", expected=0, found=coded.bits[:, given].tolist())


def check_truncated_words(
    engine: Engine, case: Case, words: Array, *, step: int = 1, name: str = ""
) -> None:
    """Check that an engine takes no part of a stream for the whole.

    Parameters
    ----------
    engine : Engine
    case : Case
    words : uint32 array
        The stream of the case's only group.
    step : int
        Every so many lengths are tried.
    name : str

    Raises
    ------
    ConformanceError
        Names the length.
    """
    here = engine_subject(engine).of(name)
    size = max(1, len(case.rows.offsets))
    for n in range(0, len(words), step):
        used, _, _, _ = here.call(
            "decoding a truncated stream", lambda n=n: decode(engine, case, size, [words[:n]])
        )
        if used != [-1]:
            raise here.error(
                "a truncated stream is taken for whole", position=f"{n} of {len(words)} words",
                expected="-1 words read", found=used[0],
            )  # fmt: skip


def _same_values(
    here: Subject, what: str, found: Array, expected: Array, *, unit: str = "item",
    rows: bool = False,
) -> None:  # fmt: skip
    """Raise unless two arrays hold the same integers, of whatever types."""
    here.equal(f"shapes of {what}", found.shape, expected.shape)
    unequal = np.argwhere(found != expected)
    if len(unequal):
        at = tuple(int(k) for k in unequal[0])
        place = f"{unit} {at[0] if len(at) == 1 else at}"
        raise here.error(
            f"{what} differ", position=f"row {at[0]}, column {at[1]}" if rows else place,
            expected=expected[at], found=found[at],
        )  # fmt: skip
