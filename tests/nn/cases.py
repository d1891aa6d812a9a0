"""Random models and rows for the tests of this folder."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_hep.codec import rans
from vortex_hep.codec.fields import BUCKETS, Field, read_tokens
from vortex_hep.codec.rows import RowSet, resolve_links, row_set
from vortex_hep.codec.transforms import Segments
from vortex_hep.nn import cpu
from vortex_hep.nn.engine import Engine
from vortex_hep.nn.tablemodel import WIDE, Shape, TableModel

Array = npt.NDArray[Any]


@dataclass
class Case:
    """A model and rows for it."""

    model: TableModel
    net: cpu.Network
    rows: RowSet
    tokens: Array
    lane_buckets: Array

    @property
    def n_tokens(self) -> int:
        return int(self.tokens.shape[1])

    def known(self) -> Array:
        """Tokens as a decoder has them that knows none."""
        return np.zeros_like(self.tokens)


def number_field(width: int, rng: np.random.Generator, flat: int = 0) -> Field:
    segments = Segments(np.zeros(1, np.uint64), np.array([(1 << width) - 1], np.uint64))
    count = int(rng.integers(0, BUCKETS))
    values = rng.integers(0, 1 << 64, count, np.uint64) >> np.uint64(64 - width)
    return Field((f"f{width}",), 0, "<u8", 0, 0, segments, np.unique(values), flat)


def link_field() -> Field:
    """An index column of values -1 to 38: an int16's ordered view counts from 0x7fff."""
    segments = Segments(np.array([0x7FFF], np.uint64), np.array([39], np.uint64))
    return Field(("mother",), 0, "<i2", 0, 0, segments, np.arange(1, 32, dtype=np.uint64))


def make_case(
    seed: int,
    *,
    widths: Sequence[int] = (1, 3, 4, 7, 12, 64),
    flat: Sequence[int] = (),
    hidden: int = 16,
    head: int = 16,
    previous: bool = True,
    link: bool = True,
    lane_fields: int = 2,
    weights: str = "random",
    lanes: int = 12,
    longest: int = 9,
) -> Case:
    """Make a case; ``weights`` is "random", "small", "extreme" or "saturated"."""
    rng = np.random.default_rng(seed)
    fields = [link_field()] if link else []
    for k, width in enumerate(widths):
        fields.append(number_field(width, rng, flat[k] if k < len(flat) else 0))
    n_tokens = sum(len(f.token_widths) for f in fields)
    shape = Shape(len(fields), n_tokens, hidden, head, lane_fields, previous, link)
    tensors = {}
    for name, size in shape.weight_shapes().items():
        if weights == "saturated":  # every sum as large as it can be, of either sign
            top = 1 << 22 if name in WIDE else 127
            sign = 1 if name not in ("head", "head_bias") else rng.choice([-1, 1], size[-1])
            tensors[name] = np.broadcast_to(sign * top, size).astype(np.int32)
        elif weights == "extreme":
            top = 1 << 22 if name in WIDE and rng.random() < 0.5 else 127
            tensors[name] = rng.choice(np.array([-top, top], np.int32), size)
        else:
            top = 127 if weights == "random" else 20
            top = 2000 if name in WIDE and weights == "random" else top
            tensors[name] = rng.integers(-top, top + 1, size).astype(np.int32)
    context = tuple(f"c{k}" for k in range(lane_fields))
    model = TableModel("t", tuple(fields), shape, context, tensors, np.zeros((len(fields), 2)))
    counts = rng.integers(0, longest + 1, lanes)
    rows = row_set(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))
    tokens = np.zeros((len(rows.lane), n_tokens), np.uint8)
    t = 0
    for f in fields:
        for b in f.token_widths:
            # Skewed, and often equal to the row before: matches must occur.
            tokens[:, t] = rng.integers(0, 1 << b, len(tokens)) >> rng.integers(0, b)
            t += 1
    for r in range(1, len(tokens)):
        if rng.random() < 0.3:
            tokens[r] = tokens[r - 1]
    net = cpu.unpack(model)
    if link:
        compact = read_tokens(tokens, fields[0].width, 0)
        compact = np.minimum(compact, 39)
        rows.link = resolve_links(rows, net.link_values[compact])
        rows.link[read_tokens(tokens, fields[0].width, 0) > 39] = -1
    buckets = rng.integers(0, BUCKETS, (lanes, lane_fields)).astype(np.uint8)
    return Case(model, net, rows, tokens, buckets)


@dataclass
class Groups:
    lanes: list[Array]
    active: list[Array]
    sizes: list[int]


def cut_groups(offsets: Array, size: int) -> Groups:
    """Groups of ``size`` lanes, longest lists first, as the table coder cuts them."""
    counts = np.diff(offsets)
    out = Groups([], [], [])
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
    out = Coded(
        [np.zeros(n * case.n_tokens, np.uint16) for n in groups.sizes],
        [np.zeros(n * case.n_tokens, np.uint16) for n in groups.sizes],
        [],
        np.zeros((len(groups.lanes), fields)),
        np.zeros((len(case.tokens), fields), np.uint8),
        np.zeros(len(case.tokens), np.int64),
    )
    tokens = case.tokens.copy()

    def work(g: int) -> None:
        engine.run_group(
            case.net, groups.lanes[g], case.rows.offsets, groups.active[g], tokens, out.buckets,
            out.link_row, case.lane_buckets, given, False, out.freq[g], out.cum[g], out.bits[g],
            np.zeros(0, np.uint32),
        )  # fmt: skip

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(len(groups.lanes))))
    assert np.array_equal(tokens, case.tokens)
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
    tokens: Array = np.where(known, case.tokens, case.known())
    buckets = np.zeros((len(tokens), fields), np.uint8)
    links = np.zeros(len(tokens), np.int64)
    none = np.zeros(0, np.uint16)

    def work(g: int) -> int:
        return engine.run_group(
            case.net, groups.lanes[g], case.rows.offsets, groups.active[g], tokens, buckets, links,
            case.lane_buckets, given, True, none, none, np.zeros(0), words[g],
        )  # fmt: skip

    with ThreadPoolExecutor(threads) as pool:
        used = list(pool.map(work, range(len(groups.lanes))))
    return used, tokens, buckets, links
