"""Random event models and rows for them, and what an engine makes of these."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_hep.codec.tokens import rans
from vortex_hep.codec.tokens.fields import BUCKETS, Field, read_tokens, write_tokens
from vortex_hep.codec.tokens.rows import RowSet, lay_out
from vortex_hep.codec.tokens.transforms import Segments
from vortex_hep.nn.coding.engine import Engine
from vortex_hep.nn.event.model import WIDE, EventModel, Link, Shape
from vortex_hep.nn.event.network import (
    UNKNOWN,
    Cluster,
    Network,
    group_to_decode,
    group_to_encode,
    unpack,
)
from vortex_hep.testing.conformance.reporting import Subject

Array = npt.NDArray[Any]


def engine_subject(engine: object) -> Subject:
    """Return an engine as the errors of checks name it."""
    return Subject(f"engine {type(engine).__name__}")


@dataclass
class Case:
    """A model and rows for it, and the rows of other tables that they point to."""

    model: EventModel
    net: Network
    rows: RowSet
    tokens: Array
    lane_buckets: Array
    foreign_tokens: Array
    foreign_buckets: Array
    source_offsets: Array

    @property
    def n_tokens(self) -> int:
        """Tokens of a row."""
        return int(self.tokens.shape[1])

    def known(self) -> Array:
        """Tokens as a decoder has them that knows none."""
        return np.zeros_like(self.tokens)

    def stacked(self, tokens: Array) -> Array:
        """Tokens of own and foreign rows."""
        return np.concatenate([tokens, self.foreign_tokens])

    def stacked_buckets(self, buckets: Array | None = None) -> Array:
        """Buckets of own rows, filled up with columns, and of foreign rows."""
        n = len(self.rows.lane)
        own = np.zeros((n, self.foreign_buckets.shape[1]), np.uint8)
        if buckets is not None:
            own[:, : buckets.shape[1]] = buckets
        return np.concatenate([own, self.foreign_buckets])

    def cluster(self, tokens: Array, buckets: Array, link_row: Array, given: Array) -> Cluster:
        """The cluster for engines; ``tokens`` and ``buckets`` of own and foreign rows."""
        return Cluster(
            self.rows.offsets, tokens, buckets, link_row, self.source_offsets, self.lane_buckets,
            given,
        )  # fmt: skip


def number_field(width: int, rng: np.random.Generator, flat: int = 0) -> Field:
    """A column of unsigned integers of so many bits, with random thresholds."""
    segments = Segments(np.zeros(1, np.uint64), np.array([(1 << width) - 1], np.uint64))
    count = int(rng.integers(0, BUCKETS))
    values = rng.integers(0, 1 << 64, count, np.uint64) >> np.uint64(64 - width)
    return Field((f"f{width}",), 0, "<u8", 0, 0, segments, np.unique(values), flat)


def link_field(dtype: str = "<i2") -> Field:
    """An index column of values -1 to 38: an int16's ordered view counts from 0x7fff."""
    first = np.uint64(np.iinfo(dtype).max)
    segments = Segments(np.array([first]), np.array([39], np.uint64))
    return Field(("mother",), 0, dtype, 0, 0, segments, np.arange(1, 32, dtype=np.uint64))


def targets(
    model: EventModel, net: Network, rows: RowSet, tokens: Array, source_offsets: Array
) -> Array | None:
    """Rows that all links of all rows point to, or -1; computed in another way than engines do."""
    out = np.full((len(model.links), len(tokens)), -1, np.int64)
    for k, link in enumerate(model.links):
        f = model.fields[k]
        compact = read_tokens(tokens, f.width, int(net.field_start[k])).astype(np.int64)
        for r, lane in enumerate(rows.lane):
            value = int(compact[r]) - 1
            first, last = source_offsets[k, lane : lane + 2]
            if link.source == model.table:
                last = first + rows.position[r]
            if 0 <= value < min(39, last - first):
                out[k, r] = first + value
    return out if len(out) else None


#: Kinds of links for ``make_case``.
OWN, FOREIGN, PARTLY = "own", "foreign", "foreign, with some counterparts"
THREE = (OWN, PARTLY, FOREIGN)


@dataclass(frozen=True)
class CaseOptions:
    """What a case is to have.

    Parameters
    ----------
    widths : sequence of int
        Bits of the fields that are numbers.
    flat : sequence of int
        Their lowest bits that are coded as they are; 0 where there are fewer of these than fields.
    hidden, head : int
        Widths of the network.
    previous : bool
        Whether the row before is seen.
    links : sequence of str
        :data:`OWN`, :data:`FOREIGN` or :data:`PARTLY`, one per link.
    lane_fields : int
        Columns of the context of entries.
    weights : {"random", "small", "extreme", "saturated"}
    lanes, longest : int
        Lists, and rows of the longest.
    block : int
        Rows of a block of a table with one row per entry; there are ``lanes * longest`` rows then.
    """

    widths: Sequence[int] = (1, 3, 4, 7, 12, 64)
    flat: Sequence[int] = ()
    hidden: int = 16
    head: int = 16
    previous: bool = True
    links: Sequence[str] = (OWN,)
    lane_fields: int = 2
    weights: str = "random"
    lanes: int = 12
    longest: int = 9
    block: int = 0


def make_case(seed: int, **options: Any) -> Case:
    """Make a model with random weights, and rows for it.

    Parameters
    ----------
    seed : int
        The same seed and options give the same case.
    **options
        As for :class:`CaseOptions`.

    Examples
    --------
    >>> case = make_case(1, lanes=5, widths=(4, 12))
    >>> len(case.rows.offsets), case.n_tokens
    (6, 6)
    """
    chosen = CaseOptions(**options)
    rng = np.random.default_rng(seed)
    model = _random_model(chosen, rng)
    net = unpack(model)
    lanes, longest, block = chosen.lanes, chosen.longest, chosen.block
    counts = rng.integers(0, longest + 1, lanes) if not block else np.ones(lanes * longest, int)
    rows = lay_out(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), block)
    tokens = _own_tokens(model, net, len(rows.lane), longest, rng)
    foreign, offsets = _foreign_tokens(chosen, net, rows, tokens, rng)
    rows.link = targets(model, net, rows, tokens, offsets)
    _repeat_numbers(net, rows, tokens, foreign, rng)
    columns = max(len(model.fields), *model.shape.links, 0)
    foreign_buckets = rng.integers(0, BUCKETS, (len(foreign), columns)).astype(np.uint8)
    entries = len(tokens) if block else lanes
    buckets = rng.integers(0, BUCKETS, (entries, chosen.lane_fields)).astype(np.uint8)
    return Case(model, net, rows, tokens, buckets, foreign, foreign_buckets, offsets)


def _random_model(chosen: CaseOptions, rng: np.random.Generator) -> EventModel:
    """Make a model; its links come first among its fields."""
    flat, links = chosen.flat, chosen.links
    fields = [link_field("<i2" if k % 2 == 0 else "<i4") for k in range(len(links))]
    for k, width in enumerate(chosen.widths):
        fields.append(number_field(width, rng, flat[k] if k < len(flat) else 0))
    n_tokens = sum(len(f.token_widths) for f in fields)
    others = [int(rng.integers(0, len(fields) + 4)) for _ in links]  # fields of the sources
    seen = tuple(len(fields) if k == OWN else n for k, n in zip(links, others, strict=True))
    shape = Shape(
        len(fields), n_tokens, chosen.hidden, chosen.head, chosen.lane_fields, chosen.previous, seen
    )
    tensors = {
        name: _random_weights(chosen.weights, name, size, rng)
        for name, size in shape.weight_shapes().items()
    }
    context = tuple((f"p{k % 2}", f"c{k}") for k in range(chosen.lane_fields))
    sources = []
    for k, kind in enumerate(links):
        same = [kind == FOREIGN or (kind == PARTLY and rng.random() < 0.5) for _ in fields]
        names = tuple(f"x{f}" if s else "" for f, s in enumerate(same))
        sources.append(Link("t" if kind == OWN else f"s{k}", names))
    return EventModel(
        "t", tuple(fields), shape, context, tensors, np.zeros((len(fields), 2)), tuple(sources),
        block=chosen.block,
    )  # fmt: skip


def _random_weights(kind: str, name: str, size: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Make one array of weights."""
    if kind == "saturated":  # every sum as large as it can be, of either sign
        top = 1 << 22 if name in WIDE else 127
        sign = 1 if name not in ("head", "head_bias") else rng.choice([-1, 1], size[-1])
        return np.broadcast_to(sign * top, size).astype(np.int32)
    if kind == "extreme":
        top = 1 << 22 if name in WIDE and rng.random() < 0.5 else 127
        return rng.choice(np.array([-top, top], np.int32), size)
    top = 127 if kind == "random" else 20
    top = 2000 if name in WIDE and kind == "random" else top
    return rng.integers(-top, top + 1, size).astype(np.int32)


def _own_tokens(
    model: EventModel, net: Network, rows: int, longest: int, rng: np.random.Generator
) -> Array:
    """Make tokens, skewed, and often equal to the row before: matches must occur."""
    tokens = np.zeros((rows, model.shape.tokens), np.uint8)
    t = 0
    for f in model.fields:
        for b in f.token_widths:
            tokens[:, t] = rng.integers(0, 1 << b, len(tokens)) >> rng.integers(0, b)
            t += 1
    for r in range(1, len(tokens)):
        if rng.random() < 0.3:
            tokens[r] = tokens[r - 1]
    for k in range(len(model.links)):  # values that often lead somewhere
        near = rng.random(len(tokens)) < 0.7
        compact = rng.integers(0, longest + 2, len(tokens)).astype(np.uint64)
        part = np.zeros_like(tokens)
        write_tokens(compact, model.fields[k].width, part, int(net.field_start[k]))
        here = slice(*net.field_start[k : k + 2])
        tokens[near, here] = part[near, here]
    return tokens


def _foreign_tokens(
    chosen: CaseOptions, net: Network, rows: RowSet, tokens: Array, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Make rows of the tables that links lead to, and say where those of each lane begin."""
    foreign, source_offsets = [np.zeros((0, tokens.shape[1]), np.uint8)], []
    at = len(tokens)
    for k, kind in enumerate(chosen.links):
        if kind == OWN:
            source_offsets.append(rows.offsets)
            continue
        counts = rng.integers(0, chosen.longest + 1, chosen.lanes)
        source_offsets.append(at + np.concatenate([[0], np.cumsum(counts)]))
        there = np.zeros((int(counts.sum()), tokens.shape[1]), np.uint8)
        if len(tokens):
            there[:] = tokens[rng.integers(0, len(tokens), len(there))]
        there[rng.random(there.shape) < 0.1] = UNKNOWN
        there[:, ~net.has_match[k]] = UNKNOWN
        foreign.append(there)
        at += len(there)
    offsets = np.array(source_offsets, np.int64).reshape(len(chosen.links), len(rows.offsets))
    return np.concatenate(foreign), offsets


def _repeat_numbers(
    net: Network, rows: RowSet, tokens: Array, foreign: Array, rng: np.random.Generator
) -> None:
    """Make numbers often equal to those of the row that is pointed to."""
    if rows.link is None:
        return
    # As the rows were before: one that is pointed to may change too.
    stacked = np.concatenate([tokens, foreign])
    numbers = int(net.field_start[len(rows.link)])
    for link in rows.link:
        for r in np.flatnonzero((link >= 0) & (rng.random(len(tokens)) < 0.4)).tolist():
            there = stacked[link[r], numbers:]
            keep = (there != UNKNOWN) & (rng.random(len(there)) < 0.9)
            tokens[r, numbers:][keep] = there[keep]


@dataclass
class CaseGroups:
    """Lanes of each group, how many of them are active at each position, and rows."""

    lanes: list[Array]
    active: list[Array]
    sizes: list[int]


def cut_groups(offsets: Array, size: int) -> CaseGroups:
    """Groups of ``size`` lanes, longest lists first, as the table coder cuts them."""
    counts = np.diff(offsets)
    out = CaseGroups([], [], [])
    for start in range(0, len(counts), size):
        c = counts[start : start + size]
        out.lanes.append((np.argsort(-c, kind="stable") + start).astype(np.int64))
        out.active.append(np.array([(c > j).sum() for j in range(int(c.max(initial=0)))], np.int64))
        out.sizes.append(int(c.sum()))
    return out


@dataclass
class Coded:
    """What an engine made of a case."""

    freq: list[Array]
    cum: list[Array]
    words: list[Array]
    bits: Array
    buckets: Array
    link_row: Array


def encode(
    engine: Engine, case: Case, size: int, *, given: Array | None = None, threads: int = 1
) -> Coded:
    """Encode all groups of a case."""
    fields = len(case.model.fields)
    given = np.zeros(fields, np.bool_) if given is None else given
    groups = cut_groups(case.rows.offsets, size)
    bits = np.zeros((len(groups.lanes), fields))
    coded = [
        group_to_encode(groups.lanes[g], groups.active[g], n * case.n_tokens, bits[g])
        for g, n in enumerate(groups.sizes)
    ]
    out = Coded(
        [g.freq for g in coded],
        [g.cum for g in coded],
        [],
        bits,
        case.stacked_buckets(),
        np.zeros((len(case.model.links), len(case.tokens)), np.int64),
    )
    tokens = case.stacked(case.tokens)
    cluster = case.cluster(tokens, out.buckets, out.link_row, given)

    def work(g: int) -> None:
        engine.run_group(case.net, cluster, coded[g], False)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(len(groups.lanes))))
    here = engine_subject(engine).of("encoding")
    here.same_bits("tokens, which encoding must not change,", tokens, case.stacked(case.tokens))
    foreign = out.buckets[len(case.tokens) :]
    here.same_bits("buckets of foreign rows, which are given,", foreign, case.foreign_buckets)
    beyond = out.buckets[: len(case.tokens), fields:]
    here.same_bits("buckets beyond the fields, which stay zero,", beyond, np.zeros_like(beyond))
    out.buckets = out.buckets[: len(case.tokens), :fields]
    skip = np.repeat(given, np.diff(case.net.field_start))
    for g, freq in enumerate(out.freq):
        words = np.empty(len(freq) // 2 + 2 * rans.STATES + 2, np.uint32)
        n = rans.encode_words(freq, out.cum[g], groups.active[g], skip, words)
        out.words.append(words[len(words) - n :].copy())
    return out


def decode(
    engine: Engine,
    case: Case,
    size: int,
    words: list[Array],
    *,
    given: Array | None = None,
    threads: int = 1,
) -> tuple[list[int], Array, Array, Array]:
    """Return (words read per group, tokens, buckets, links)."""
    fields = len(case.model.fields)
    given = np.zeros(fields, np.bool_) if given is None else given
    groups = cut_groups(case.rows.offsets, size)
    known = np.repeat(given, np.diff(case.net.field_start))
    n = len(case.tokens)
    tokens = case.stacked(np.where(known, case.tokens, case.known()))
    buckets = case.stacked_buckets()
    links = np.zeros((len(case.model.links), n), np.int64)
    cluster = case.cluster(tokens, buckets, links, given)

    def work(g: int) -> int:
        group = group_to_decode(groups.lanes[g], groups.active[g], words[g])
        return engine.run_group(case.net, cluster, group, True)

    with ThreadPoolExecutor(threads) as pool:
        used = list(pool.map(work, range(len(groups.lanes))))
    here = engine_subject(engine).of("decoding")
    here.same_bits("tokens of foreign rows, which are given,", tokens[n:], case.foreign_tokens)
    here.same_bits("buckets of foreign rows, which are given,", buckets[n:], case.foreign_buckets)
    return used, tokens[:n], buckets[:n, :fields], links
