"""Coding of records by a transformer: lanes in lock step, a rANS stream per group of lanes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_hep.codec.tokens import rans
from vortex_hep.core.options import checked_fields
from vortex_hep.errors import CorruptionError, UnsupportedTypeError
from vortex_hep.nn.sequence import kernels
from vortex_hep.nn.sequence.model import SequenceModel
from vortex_hep.nn.sequence.session import BEGIN, Operations, Session
from vortex_hep.nn.vector import WIDTH

Array = npt.NDArray[Any]

#: Bytes of caches that a group of lanes may take, and the most lanes of one.
_CACHE_BYTES = 1 << 27
_MOST_LOG2 = 12
#: Bytes that a decoder grants the lanes of a group (SPEC 9.5), and what each of them takes beside
#: its caches: per number of a layer, and for logits.
MAX_CACHE_BYTES = 1 << 32
_LAYER_BYTES, _LOGIT_BYTES = 32, 2048
#: Tokens that an encoder feeds at once, of all lanes together.
_FEED = 1 << 14
#: Bits that a frequency costs.
_BITS = 16.0 - np.log2(np.maximum(np.arange(1 << 16), 1))


@dataclass(frozen=True)
class Cut:
    """How the rows of a chunk are cut into lanes.

    Parameters
    ----------
    rows : int
        Rows of a lane.
    chunk : int
        Tokens of a chunk within a lane.
    memory : bool
    log2 : int
        Of the lanes of a group.
    """

    rows: int
    chunk: int
    memory: bool
    log2: int


@dataclass(frozen=True)
class LaneGroup:
    """Lanes of equal length that share a stream.

    Parameters
    ----------
    first : int
        Row that the first lane begins with.
    lanes, rows : int
        Number of lanes, and rows of each.
    """

    first: int
    lanes: int
    rows: int


def cache_bytes(model: SequenceModel, cut: Cut) -> int:
    """Bytes that a lane takes: keys and values, made room for in blocks, and activations."""
    s = model.shape
    tokens = min(cut.rows * s.types, s.window)
    memory = s.capacity if cut.memory and cut.rows * s.types > cut.chunk else 0
    room = sum(-(-n // WIDTH) * WIDTH for n in (tokens, memory))
    return 2 * s.layers * s.width * room + _LAYER_BYTES * (s.width + s.ff) + _LOGIT_BYTES


@checked_fields
@dataclass(frozen=True)
class LaneChoice:
    """What an encoder may choose where a transformer codes; the archive records it.

    Parameters
    ----------
    tokens : int, optional
        Tokens of a lane, rounded down to whole rows; by default as the model was trained. Longer
        lanes know more of what came before, where that tells something.
    chunk : int, optional
        Tokens after which attention begins anew; at most the model's window.
    memory : bool, optional
        Whether memory is kept across chunks.
    """

    tokens: int | None = None
    chunk: int | None = None
    memory: bool | None = None


def cut_of(model: SequenceModel, rows: int, choice: LaneChoice | None = None) -> Cut:
    """Choose how to cut: as the model was trained, in groups whose caches fit into memory.

    Raises
    ------
    UnsupportedTypeError
        The model does not support the choice.
    """
    choice = choice or LaneChoice()
    lane_rows = model.lane_rows if choice.tokens is None else choice.tokens // model.shape.types
    chunk = model.chunk if choice.chunk is None else choice.chunk
    memory = model.use_memory if choice.memory is None else choice.memory
    if not 1 <= chunk <= model.shape.window or (choice.tokens is not None and choice.tokens < 1):
        raise UnsupportedTypeError(
            f"lanes of {model.lane_tokens if choice.tokens is None else choice.tokens} tokens in"
            f" chunks of {chunk}: chunks have 1 to {model.shape.window} tokens, lanes at least 1"
        )
    if memory and not model.shape.memory:
        raise UnsupportedTypeError(
            "the model was trained without memory across chunks",
            hint="train on lanes longer than a chunk to have one",
        )
    cut = Cut(max(1, min(lane_rows, rows)), chunk, memory, _MOST_LOG2)
    per_lane = cache_bytes(model, cut)
    while cut.log2 and per_lane << cut.log2 > _CACHE_BYTES:
        cut = replace(cut, log2=cut.log2 - 1)
    return cut


def lane_groups(rows: int, cut: Cut) -> list[LaneGroup]:
    """Cut rows into groups of lanes; a last, shorter lane is a group of its own."""
    whole, left = divmod(rows, cut.rows)
    most = 1 << cut.log2
    groups = [
        LaneGroup(lane * cut.rows, min(most, whole - lane), cut.rows)
        for lane in range(0, whole, most)
    ]
    if left:
        groups.append(LaneGroup(whole * cut.rows, 1, left))
    return groups


class SequenceCoder:
    """Codes records (rows of tokens) by a transformer.

    Parameters
    ----------
    model : SequenceModel
    operations : Operations
        The engine's.
    cut : Cut
    together : int
        Lanes that may be run at once: several groups share a pass where they are small.
    pool : Executor, optional
        Threads for what is done per lane; must not be the one that calls.
    parts : int
        Into how many parts to cut that.
    """

    def __init__(
        self,
        model: SequenceModel,
        operations: Operations,
        cut: Cut,
        *,
        together: int,
        pool: Executor | None = None,
        parts: int = 1,
    ) -> None:
        self._model = model
        self._operations = operations
        self._cut = cut
        self._together = together
        self._pool, self._parts = pool, parts

    def _batches(self, rows: int) -> Iterator[list[LaneGroup]]:
        """Groups of lanes of equal length, as many as may be run at once."""
        batch: list[LaneGroup] = []
        for group in lane_groups(rows, self._cut):
            size = sum(g.lanes for g in batch) + group.lanes
            if batch and (group.rows != batch[0].rows or size > self._together):
                yield batch
                batch = []
            batch.append(group)
        if batch:
            yield batch

    def _session(self, batch: Sequence[LaneGroup]) -> tuple[Session, int, int]:
        lanes = sum(g.lanes for g in batch)
        length = batch[0].rows * self._model.layout.width
        session = Session(
            self._model, self._operations, lanes,
            chunk=self._cut.chunk, memory=self._cut.memory, length=length,
        )  # fmt: skip
        return session, lanes, length

    def _each(self, lanes: int, work: Any) -> None:
        """Run ``work(lo, hi)`` over parts of the lanes."""
        parts = min(self._parts, max(1, lanes // 16)) if self._pool is not None else 1
        edges = [lanes * k // parts for k in range(parts + 1)]
        if self._pool is None or parts == 1:
            work(0, lanes)
            return
        for future in [self._pool.submit(work, a, b) for a, b in pairwise(edges)]:
            future.result()

    def frequencies(self, records: Array) -> Iterator[tuple[LaneGroup, Array, Array]]:
        """Compute what the symbols of some records cost.

        Parameters
        ----------
        records : uint8 array, shape (rows, width)

        Yields
        ------
        LaneGroup, and uint16 arrays, shape (2 * tokens, lanes)
            Frequency and cumulated frequency of the high and the low nibble of every token.
        """
        for batch in self._batches(len(records)):
            session, lanes, length = self._session(batch)
            first = batch[0].first
            tokens = records[first : first + lanes * batch[0].rows].reshape(lanes, length)
            inputs = np.empty((lanes, length), np.int64)
            inputs[:, 0] = BEGIN
            inputs[:, 1:] = tokens[:, :-1]
            freq = np.empty((2 * length, lanes), np.uint16)
            cum = np.empty((2 * length, lanes), np.uint16)
            at = 0
            while at < length:
                n = min(session.room, length - at, max(1, _FEED // lanes))
                self._code(session.feed(inputs[:, at : at + n]), tokens, freq, cum, at, n)
                at += n
            lane = 0
            for group in batch:
                part = slice(lane, lane + group.lanes)
                yield group, np.ascontiguousarray(freq[:, part]), np.ascontiguousarray(cum[:, part])
                lane += group.lanes

    def _code(self, logits: Array, tokens: Array, freq: Array, cum: Array, at: int, n: int) -> None:
        here = np.ascontiguousarray(tokens[:, at : at + n])
        rows = slice(2 * at, 2 * (at + n))

        def work(lo: int, hi: int) -> None:
            kernels.code(logits, here, freq[rows], cum[rows], lo, hi)

        self._each(len(tokens), work)

    def decode(self, records: Array, coded: Array, streams: Sequence[Array]) -> None:
        """Decode streams into records.

        Parameters
        ----------
        records : uint8 array, shape (rows, width)
            Holds the tokens that are not coded; receives the others.
        coded : bool array, shape (width,)
        streams : sequence of uint32 arrays
            One per group of lanes.

        Raises
        ------
        CorruptionError
            A stream does not decode to its end.
        """
        width = self._model.layout.width
        number = 0
        for batch in self._batches(len(records)):
            session, lanes, length = self._session(batch)
            first = batch[0].first
            tokens = records[first : first + lanes * batch[0].rows].reshape(lanes, length)
            states = [_RansStream(words) for words in streams[number : number + len(batch)]]
            number += len(batch)
            inputs = np.full((lanes, 1), BEGIN, np.int64)
            freq = np.empty((lanes, 16), np.int32)
            for t in range(length):
                logits = session.feed(inputs)[:, 0]
                if coded[t % width]:
                    tokens[:, t] = self._symbols(logits, batch, states, freq)
                inputs[:, 0] = tokens[:, t]
            for stream in states:
                stream.finish()

    def _symbols(
        self, logits: Array, batch: Sequence[LaneGroup], states: Sequence[_RansStream], freq: Array
    ) -> Array:
        """Decode one byte of every lane."""
        high = np.empty(len(logits), np.uint8)
        low = np.empty(len(logits), np.uint8)
        self._each(len(logits), lambda lo, hi: kernels.high(logits, freq, lo, hi))
        self._step(batch, states, freq, high)
        self._each(len(logits), lambda lo, hi: kernels.low(logits, high, freq, lo, hi))
        self._step(batch, states, freq, low)
        return (high << 4) | low

    @staticmethod
    def _step(
        batch: Sequence[LaneGroup], states: Sequence[_RansStream], freq: Array, out: Array
    ) -> None:
        lane = 0
        for group, stream in zip(batch, states, strict=True):
            part = slice(lane, lane + group.lanes)
            stream.step(freq[part], out[part])
            lane += group.lanes


class _RansStream:
    """A rANS stream that is being decoded."""

    def __init__(self, words: Array) -> None:
        self._words = words
        self._states = rans.initial_states(words)
        self._at = 2 * rans.STATES
        if not self._states.all():
            raise CorruptionError("a network stream is cut short")

    def step(self, freq: Array, out: Array) -> None:
        self._at = rans.decode_step(freq, self._states, self._words, self._at, out)
        if self._at < 0:
            raise CorruptionError("a network stream ends early")

    def finish(self) -> None:
        if self._at != len(self._words) or (self._states != rans.LOWER).any():
            raise CorruptionError("a network stream does not decode to its end")


def encode_group(group: LaneGroup, freq: Array, cum: Array, coded: Array) -> Array:
    """Return the words (uint32) of a group's stream; tokens that are not coded are left out."""
    skip = np.repeat(~coded, 2)
    active = np.full(group.rows, group.lanes, np.int64)
    words = np.empty(freq.size // 2 + 2 * rans.STATES + 2, np.uint32)
    n = rans.encode_words(freq.reshape(-1), cum.reshape(-1), active, skip, words)
    return words[len(words) - n :]


def token_bits(freq: Array, width: int) -> Array:
    """Bits that the tokens of each place in a record cost (float64, shape (width,))."""
    steps = _BITS[freq].sum(axis=1)
    out: Array = steps.reshape(-1, width, 2).sum(axis=(0, 2))
    return out
