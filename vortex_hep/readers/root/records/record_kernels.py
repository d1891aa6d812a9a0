"""Streamed records to columns and back: compiled loops.

An entry is walked by a program of operations, one row of ``ops`` each: a code and two operands.
Both kernels are bounded by what they are given: whatever the bytes, they end and stay inside.
"""

# mypy: disable-error-code="untyped-decorator, no-any-return"
from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vortex_hep.core.compiled import kernel, part
from vortex_hep.core.schema import Array

#: Byte count in front of what follows, and where that must end.
FRAME, END_FRAME = 0, 1
#: Constant bytes: number of the constant, whether it says that items lie member by member.
CONSTANT = 2
#: The number of items: on disk (level, number stream or -1), known from a counter (level), or
#: what is left of the entry behind a flag (level, bytes of an item).
COUNT, EACH, REST = 3, 4, 5
#: One item, or as many as were counted last: item stream, bytes.
ROW, ROWS = 6, 7
#: What is between is repeated as often as was counted last: place of the other end.
LOOP, END_LOOP = 8, 9
#: TString: number stream (length with prefix), item stream.
STRING = 10
#: TObject::fBits, and two more bytes if it is referenced: item stream.
BITS = 11

#: Depth of frames and of loops.
MAX_DEPTH = 16
#: Bytes of a constant: a version, that of the class where items lie member by member, a checksum.
CONSTANT_SIZE = 8

_BYTE_COUNT = 0x40000000
_MEMBERWISE = 0x4000
_REFERENCED = 1 << 4
_LONG_STRING = 255
_BITS_SIZE = 6


class ProgramTable(NamedTuple):
    """A program.

    Parameters
    ----------
    ops : int64 array, shape (operations, 3)
        Code and operands.
    constants : uint8 array, shape (constants, CONSTANT_SIZE)
    sizes : int64 array, shape (constants,)
        0 for those that were not met yet; they are filled in when decoding.
    """

    ops: Array
    constants: Array
    sizes: Array


class WalkedEntries(NamedTuple):
    """Entries to decode.

    Parameters
    ----------
    ends : int64 array, shape (entries,)
        Where each entry ends; filled in where they are not ``bounded``.
    bounded : bool
    outer : int64 array, shape (entries,)
        Items of each entry where a counter says so.
    rows : int64 array, shape (levels, entries + 1)
        Filled with the first row of each entry at each level.
    """

    ends: Array
    bounded: bool
    outer: Array
    rows: Array


class Streams(NamedTuple):
    """Streams of numbers and of items, one after the other.

    Parameters
    ----------
    numbers, number_at, items, item_at : int64, int64, uint8, int64 arrays
        ``*_at`` is where each stream is written or read next.
    """

    numbers: Array
    number_at: Array
    items: Array
    item_at: Array


class StreamEnds(NamedTuple):
    """Where each stream ends (int64 arrays)."""

    numbers: Array
    items: Array


class Stack(NamedTuple):
    """Frames and loops that are open (int64 arrays, shape (MAX_DEPTH,)).

    Parameters
    ----------
    frames : array
        Where each frame ends, or began.
    starts, left : array
        Where each loop begins in the program, and how often it is still gone through.
    """

    frames: Array
    starts: Array
    left: Array


def empty_stack() -> Stack:
    """Return a stack on which nothing is open."""
    frames, starts, left = np.zeros((3, MAX_DEPTH), np.int64)
    return Stack(frames, starts, left)


@part
def _u4(data: Array, at: int) -> int:
    high = (np.int64(data[at]) << 24) | (np.int64(data[at + 1]) << 16)
    return high | (np.int64(data[at + 2]) << 8) | np.int64(data[at + 3])


@part
def _put_u4(data: Array, at: int, value: int) -> None:
    data[at] = (value >> 24) & 255
    data[at + 1] = (value >> 16) & 255
    data[at + 2] = (value >> 8) & 255
    data[at + 3] = value & 255


@part
def _learn(
    program: ProgramTable, data: Array, at: int, end: int, slot: int, memberwise: int
) -> bool:
    """Take a version as it is first met, with the class version and checksum behind it."""
    if at + 2 > end:
        return False
    version = (np.int64(data[at]) << 8) | np.int64(data[at + 1])
    size = 2
    if (version & _MEMBERWISE != 0) != (memberwise != 0):
        return False
    if memberwise:
        if at + 4 > end:
            return False
        version = (np.int64(data[at + 2]) << 8) | np.int64(data[at + 3])
        size = 4
    if version == 0:
        size += 4
    if at + size > end:
        return False
    for i in range(size):
        program.constants[slot, i] = data[at + i]
    program.sizes[slot] = size
    return True


@part
def _move(streams: Streams, stream: int, data: Array, at: int, size: int, write: bool) -> int:
    """Append bytes to a stream of items; return the byte behind them."""
    if write:
        target = streams.item_at[stream]
        for i in range(size):
            streams.items[target + i] = data[at + i]
    streams.item_at[stream] += size
    return at + size


@part
def _append(streams: Streams, stream: int, value: int, write: bool) -> None:
    """Append to a stream of numbers."""
    if write:
        streams.numbers[streams.number_at[stream]] = value
    streams.number_at[stream] += 1


@part
def _frame_end(data: Array, at: int, end: int) -> int:
    """Where a frame ends whose byte count stands at ``at``; -1 if it stands there not."""
    if at + 4 > end:
        return -1
    size = _u4(data, at) - _BYTE_COUNT
    return -1 if size < 0 or size > end - at - 4 else at + 4 + size


@part
def _constant_size(
    program: ProgramTable, data: Array, at: int, end: int, slot: int, memberwise: int
) -> int:
    """Bytes of a constant; -1 if others stand there."""
    if program.sizes[slot] == 0 and not _learn(program, data, at, end, slot, memberwise):
        return -1
    size = program.sizes[slot]
    if size > end - at:
        return -1
    for i in range(size):
        if data[at + i] != program.constants[slot, i]:
            return -1
    return size


@part
def _rest_count(data: Array, at: int, end: int, width: int) -> int:
    """Items that are left of an entry behind their flag; -1 if they do not fill it."""
    size = end - at - 1
    if size < 0 or size % width != 0:
        return -1
    count = size // width
    return count if data[at] == (1 if count > 0 else 0) else -1


@part
def _string_size(data: Array, at: int, end: int) -> int:
    """Bytes of a TString with those of its length; -1 if it does not end in time."""
    if at >= end:
        return -1
    size = np.int64(data[at]) + 1
    if size == _LONG_STRING + 1:
        if at + 5 > end:
            return -1
        size = _u4(data, at + 1) + 5
    return -1 if size > end - at else size


@part
def _bits_size(data: Array, at: int, end: int) -> int:
    """Bytes of fBits and what belongs to them; -1 if they do not end in time."""
    if at + 4 > end:
        return -1
    size = _BITS_SIZE if _u4(data, at) & _REFERENCED else 4
    return -1 if at + size > end else size


@part
def _decode_item(
    program: ProgramTable,
    payload: Array,
    streams: Streams,
    operation: tuple[int, int, int],
    position: int,
    end: int,
    write: bool,
) -> int:
    """Take a constant, a string or bits; return as :func:`_decode_entry`."""
    code, a, b = operation
    if code == CONSTANT:
        size = _constant_size(program, payload, position, end, a, b)
        return -1 - position if size < 0 else position + size
    if code == STRING:
        size = _string_size(payload, position, end)
        if size < 0:
            return -1 - position
        _append(streams, a, size, write)
        return _move(streams, b, payload, position, size, write)
    size = _bits_size(payload, position, end)
    if size < 0:
        return -1 - position
    if write:
        target = streams.item_at[a]
        for i in range(_BITS_SIZE):
            streams.items[target + i] = payload[position + i] if i < size else 0
    streams.item_at[a] += _BITS_SIZE
    return position + size


@part
def _decode_entry(
    program: ProgramTable,
    payload: Array,
    entries: WalkedEntries,
    entry: int,
    streams: Streams,
    stack: Stack,
    position: int,
    end: int,
    write: bool,
) -> int:
    """Walk one entry; return its end, or ``-1 - byte`` for the byte that does not fit."""
    ops, rows = program.ops, entries.rows
    depth = loops = pc = 0
    n = np.int64(0)
    while pc < len(ops):
        code, a, b = ops[pc, 0], ops[pc, 1], ops[pc, 2]
        pc += 1
        if code in (ROWS, ROW):
            size = n * b if code == ROWS else b
            if size > end - position:
                return -1 - position
            position = _move(streams, a, payload, position, size, write)
        elif code == COUNT:
            if position + 4 > end:
                return -1 - position
            n = _u4(payload, position)
            if n > end - position:
                return -1 - position
            position += 4
            rows[a, entry + 1] += n
            if b >= 0:
                _append(streams, b, n, write)
        elif code == END_LOOP:
            stack.left[loops - 1] -= 1
            if stack.left[loops - 1] > 0:
                pc = stack.starts[loops - 1]
            else:
                loops -= 1
        elif code == LOOP:
            if n == 0:
                pc = a
            else:
                stack.starts[loops] = pc
                stack.left[loops] = n
                loops += 1
        elif code == FRAME:
            stack.frames[depth] = _frame_end(payload, position, end)
            if stack.frames[depth] < 0:
                return -1 - position
            position += 4
            depth += 1
        elif code == END_FRAME:
            depth -= 1
            if stack.frames[depth] != position:
                return -1 - position
        elif code == EACH:
            n = entries.outer[entry]
            if n < 0:
                return -1 - position
            rows[a, entry + 1] += n
        elif code == REST:
            n = _rest_count(payload, position, end, b)
            if n < 0:
                return -1 - position
            position += 1
            rows[a, entry + 1] += n
        else:
            position = _decode_item(program, payload, streams, (code, a, b), position, end, write)
            if position < 0:
                return position
    return position


@kernel(makes_arrays=False)
def decode(
    program: ProgramTable,
    payload: Array,
    entries: WalkedEntries,
    streams: Streams,
    stack: Stack,
    write: bool,
) -> int:
    """Walk the entries of a basket.

    Parameters
    ----------
    program : ProgramTable
    payload : uint8 array
    entries : WalkedEntries
    streams : Streams
        What the entries hold is appended to them.
    stack : Stack
        Room for what is open on the way.
    write : bool
        If False the streams are only measured.

    Returns
    -------
    int
        -1, or the byte that does not fit.
    """
    whole = len(payload)
    position = np.int64(0)
    for entry in range(len(entries.ends)):
        end = entries.ends[entry] if entries.bounded else whole
        for level in range(entries.rows.shape[0]):
            entries.rows[level, entry + 1] = entries.rows[level, entry]
        entries.rows[0, entry + 1] += 1
        position = _decode_entry(
            program, payload, entries, entry, streams, stack, position, end, write
        )
        if position < 0:
            return -1 - position
        if not entries.bounded:
            entries.ends[entry] = position
        elif position != end:
            return position
    return -1 if position == whole else position


@part
def _copy(streams: Streams, stream: int, size: int, out: Array, at: int, write: bool) -> int:
    """Take bytes of a stream of items; return the place behind them."""
    if write:
        source = streams.item_at[stream]
        for i in range(size):
            out[at + i] = streams.items[source + i]
    return at + size


@part
def _left(streams: Streams, ends: StreamEnds, stream: int) -> int:
    """Bytes that are left of a stream of items."""
    return ends.items[stream] - streams.item_at[stream]


@part
def _next_number(streams: Streams, ends: StreamEnds, stream: int) -> int:
    """The next of a stream of numbers; -1 if there is none."""
    at = streams.number_at[stream]
    if at >= ends.numbers[stream]:
        return -1
    streams.number_at[stream] += 1
    return streams.numbers[at]


@part
def _encode_item(
    program: ProgramTable,
    streams: Streams,
    ends: StreamEnds,
    operation: tuple[int, int, int],
    out: Array,
    position: int,
    write: bool,
) -> int:
    """Put a constant, a string or bits; return the place behind it, or -1."""
    code, a, b = operation
    if code == CONSTANT:
        size = program.sizes[a]
        if size == 0:
            return -1
        if write:
            for i in range(size):
                out[position + i] = program.constants[a, i]
        return position + size
    if code == STRING:
        size = _next_number(streams, ends, a)
        if size < 0 or size > _left(streams, ends, b):
            return -1
        position = _copy(streams, b, size, out, position, write)
        streams.item_at[b] += size
        return position
    if _left(streams, ends, a) < _BITS_SIZE:
        return -1
    size = _BITS_SIZE if streams.items[streams.item_at[a] + 3] & _REFERENCED else 4
    position = _copy(streams, a, size, out, position, write)
    streams.item_at[a] += _BITS_SIZE
    return position


@part
def _encode_entry(
    program: ProgramTable,
    rows: Array,
    entry: int,
    streams: Streams,
    ends: StreamEnds,
    stack: Stack,
    out: Array,
    position: int,
    write: bool,
) -> int:
    """Put one entry together; return its end, or -1 if the streams do not fit the program."""
    ops = program.ops
    depth = loops = pc = 0
    n = np.int64(0)
    while pc < len(ops):
        code, a, b = ops[pc, 0], ops[pc, 1], ops[pc, 2]
        pc += 1
        if code in (ROWS, ROW):
            size = n * b if code == ROWS else b
            if size > _left(streams, ends, a):
                return -1
            position = _copy(streams, a, size, out, position, write)
            streams.item_at[a] += size
        elif code in (COUNT, EACH, REST):
            if code == COUNT and b >= 0:
                n = _next_number(streams, ends, b)
            else:
                n = rows[a, entry + 1] - rows[a, entry]
            if n < 0:
                return -1
            if code == COUNT:
                if write:
                    _put_u4(out, position, n)
                position += 4
            elif code == REST:
                if write:
                    out[position] = 1 if n > 0 else 0
                position += 1
        elif code == END_LOOP:
            stack.left[loops - 1] -= 1
            if stack.left[loops - 1] > 0:
                pc = stack.starts[loops - 1]
            else:
                loops -= 1
        elif code == LOOP:
            if n == 0:
                pc = a
            else:
                stack.starts[loops] = pc
                stack.left[loops] = n
                loops += 1
        elif code == FRAME:
            position += 4
            stack.frames[depth] = position
            depth += 1
        elif code == END_FRAME:
            depth -= 1
            if write:
                size = position - stack.frames[depth]
                _put_u4(out, stack.frames[depth] - 4, _BYTE_COUNT + size)
        else:
            position = _encode_item(program, streams, ends, (code, a, b), out, position, write)
            if position < 0:
                return -1
    return position


@kernel(makes_arrays=False)
def encode(
    program: ProgramTable,
    rows: Array,
    streams: Streams,
    stream_ends: StreamEnds,
    stack: Stack,
    ends: Array,
    out: Array,
    write: bool,
) -> int:
    """The inverse of :func:`decode`.

    Parameters
    ----------
    program : ProgramTable
    rows : int64 array, shape (levels, entries + 1)
        Only levels right below the entries are looked at.
    streams : Streams
        Read from their beginnings to ``stream_ends``.
    stream_ends : StreamEnds
    stack : Stack
        Room for what is open on the way.
    ends : int64 array, shape (entries,)
        Filled in.
    out : uint8 array
        Filled in if ``write``; measured otherwise.

    Returns
    -------
    int
        Bytes of all entries, or -1 if the streams do not fit the program.
    """
    position = np.int64(0)
    for entry in range(len(ends)):
        position = _encode_entry(
            program, rows, entry, streams, stream_ends, stack, out, position, write
        )
        if position < 0:
            return -1
        ends[entry] = position
    for k in range(len(streams.item_at)):
        if streams.item_at[k] != stream_ends.items[k]:
            return -1
    for k in range(len(streams.number_at)):
        if streams.number_at[k] != stream_ends.numbers[k]:
            return -1
    return position
