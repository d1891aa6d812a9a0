"""Streamed records to columns and back: compiled loops.

An entry is walked by a program of operations, one row of ``ops`` each: a code and two operands.
Both kernels are bounded by what they are given: whatever the bytes, they end and stay inside.
"""

from __future__ import annotations

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


@part
def _u4(data: Array, at: int) -> int:
    high = (np.int64(data[at]) << 24) | (np.int64(data[at + 1]) << 16)
    return high | (np.int64(data[at + 2]) << 8) | np.int64(data[at + 3])  # type: ignore[no-any-return]


@part
def _put_u4(data: Array, at: int, value: int) -> None:
    data[at] = (value >> 24) & 255
    data[at + 1] = (value >> 16) & 255
    data[at + 2] = (value >> 8) & 255
    data[at + 3] = value & 255


@kernel
def _learn(
    data: Array, at: int, end: int, constants: Array, sizes: Array, slot: int, memberwise: int
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
        constants[slot, i] = data[at + i]
    sizes[slot] = size
    return True


@kernel
def decode(
    ops: Array,
    constants: Array,
    sizes: Array,
    payload: Array,
    ends: Array,
    bounded: bool,
    outer: Array,
    rows: Array,
    numbers: Array,
    number_at: Array,
    items: Array,
    item_at: Array,
    write: bool,
) -> int:
    """Walk the entries of a basket.

    Parameters
    ----------
    ops : int64 array, shape (operations, 3)
    constants : uint8 array, shape (constants, CONSTANT_SIZE)
    sizes : int64 array, shape (constants,)
        0 for those that were not met yet; they are filled in.
    payload : uint8 array
    ends : int64 array, shape (entries,)
        Where each entry ends; filled in where they are not ``bounded``.
    outer : int64 array, shape (entries,)
        Items of each entry where a counter says so.
    rows : int64 array, shape (levels, entries + 1)
        Filled with the first row of each entry at each level.
    numbers, number_at, items, item_at : int64, int64, uint8, int64 arrays
        Where each stream is written from; ``*_at`` are moved to their ends.
    write : bool
        If False the streams are only measured.

    Returns
    -------
    int
        -1, or the byte that does not fit.
    """
    position = 0
    whole = len(payload)
    frames = np.empty(MAX_DEPTH, np.int64)
    starts = np.empty(MAX_DEPTH, np.int64)
    left = np.empty(MAX_DEPTH, np.int64)
    for entry in range(len(ends)):
        end = ends[entry] if bounded else whole
        for level in range(rows.shape[0]):
            rows[level, entry + 1] = rows[level, entry]
        rows[0, entry + 1] += 1
        depth = loops = pc = 0
        n = np.int64(0)
        while pc < len(ops):
            code, a, b = ops[pc, 0], ops[pc, 1], ops[pc, 2]
            pc += 1
            if code == ROWS:
                size = n * b
                if size > end - position:
                    return position
                if write:
                    at = item_at[a]
                    for i in range(size):
                        items[at + i] = payload[position + i]
                item_at[a] += size
                position += size
            elif code == ROW:
                if b > end - position:
                    return position
                if write:
                    at = item_at[a]
                    for i in range(b):
                        items[at + i] = payload[position + i]
                item_at[a] += b
                position += b
            elif code == COUNT:
                if position + 4 > end:
                    return position
                n = _u4(payload, position)
                if n > end - position:
                    return position
                position += 4
                rows[a, entry + 1] += n
                if b >= 0:
                    if write:
                        numbers[number_at[b]] = n
                    number_at[b] += 1
            elif code == END_LOOP:
                left[loops - 1] -= 1
                if left[loops - 1] > 0:
                    pc = starts[loops - 1]
                else:
                    loops -= 1
            elif code == LOOP:
                if n == 0:
                    pc = a
                else:
                    starts[loops] = pc
                    left[loops] = n
                    loops += 1
            elif code == FRAME:
                if position + 4 > end:
                    return position
                size = _u4(payload, position)
                if size < _BYTE_COUNT or size - _BYTE_COUNT > end - position - 4:
                    return position
                position += 4
                frames[depth] = position + size - _BYTE_COUNT
                depth += 1
            elif code == END_FRAME:
                depth -= 1
                if frames[depth] != position:
                    return position
            elif code == CONSTANT:
                if sizes[a] == 0 and not _learn(payload, position, end, constants, sizes, a, b):
                    return position
                if sizes[a] > end - position:
                    return position
                for i in range(sizes[a]):
                    if payload[position + i] != constants[a, i]:
                        return position
                position += sizes[a]
            elif code == EACH:
                n = outer[entry]
                if n < 0:
                    return position
                rows[a, entry + 1] += n
            elif code == REST:
                size = end - position - 1
                if size < 0 or size % b != 0:
                    return position
                n = size // b
                if payload[position] != (1 if n > 0 else 0):
                    return position
                position += 1
                rows[a, entry + 1] += n
            elif code == STRING:
                if position >= end:
                    return position
                size = np.int64(payload[position]) + 1
                if size == _LONG_STRING + 1:
                    if position + 5 > end:
                        return position
                    size = _u4(payload, position + 1) + 5
                if size > end - position:
                    return position
                if write:
                    numbers[number_at[a]] = size
                    at = item_at[b]
                    for i in range(size):
                        items[at + i] = payload[position + i]
                number_at[a] += 1
                item_at[b] += size
                position += size
            else:  # BITS
                if position + 4 > end:
                    return position
                referenced = _u4(payload, position) & _REFERENCED
                size = _BITS_SIZE if referenced else 4
                if position + size > end:
                    return position
                if write:
                    at = item_at[a]
                    for i in range(_BITS_SIZE):
                        items[at + i] = payload[position + i] if i < size else 0
                item_at[a] += _BITS_SIZE
                position += size
        if bounded:
            if position != end:
                return position
        else:
            ends[entry] = position
    return -1 if position == whole else position


@kernel
def encode(
    ops: Array,
    constants: Array,
    sizes: Array,
    rows: Array,
    numbers: Array,
    number_at: Array,
    number_end: Array,
    items: Array,
    item_at: Array,
    item_end: Array,
    ends: Array,
    out: Array,
    write: bool,
) -> int:
    """The inverse of :func:`decode`.

    Parameters
    ----------
    rows : int64 array, shape (levels, entries + 1)
        Only levels right below the entries are looked at.
    number_end, item_end : int64 arrays
        Where each stream ends.
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
    frames = np.empty(MAX_DEPTH, np.int64)
    starts = np.empty(MAX_DEPTH, np.int64)
    left = np.empty(MAX_DEPTH, np.int64)
    for entry in range(len(ends)):
        depth = loops = pc = 0
        n = np.int64(0)
        while pc < len(ops):
            code, a, b = ops[pc, 0], ops[pc, 1], ops[pc, 2]
            pc += 1
            if code in (ROWS, ROW):
                size = n * b if code == ROWS else b
                at = item_at[a]
                if size > item_end[a] - at:
                    return -1
                if write:
                    for i in range(size):
                        out[position + i] = items[at + i]
                item_at[a] += size
                position += size
            elif code in (COUNT, EACH, REST):
                if code == COUNT and b >= 0:
                    if number_at[b] >= number_end[b]:
                        return -1
                    n = numbers[number_at[b]]
                    number_at[b] += 1
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
                left[loops - 1] -= 1
                if left[loops - 1] > 0:
                    pc = starts[loops - 1]
                else:
                    loops -= 1
            elif code == LOOP:
                if n == 0:
                    pc = a
                else:
                    starts[loops] = pc
                    left[loops] = n
                    loops += 1
            elif code == FRAME:
                position += 4
                frames[depth] = position
                depth += 1
            elif code == END_FRAME:
                depth -= 1
                if write:
                    _put_u4(out, frames[depth] - 4, _BYTE_COUNT + position - frames[depth])
            elif code == CONSTANT:
                if sizes[a] == 0:
                    return -1
                if write:
                    for i in range(sizes[a]):
                        out[position + i] = constants[a, i]
                position += sizes[a]
            elif code == STRING:
                if number_at[a] >= number_end[a]:
                    return -1
                size = numbers[number_at[a]]
                at = item_at[b]
                if size < 0 or size > item_end[b] - at:
                    return -1
                if write:
                    for i in range(size):
                        out[position + i] = items[at + i]
                number_at[a] += 1
                item_at[b] += size
                position += size
            else:  # BITS
                at = item_at[a]
                if item_end[a] - at < _BITS_SIZE:
                    return -1
                size = _BITS_SIZE if items[at + 3] & _REFERENCED else 4
                if write:
                    for i in range(size):
                        out[position + i] = items[at + i]
                item_at[a] += _BITS_SIZE
                position += size
        ends[entry] = position
    for k in range(len(item_at)):
        if item_at[k] != item_end[k]:
            return -1
    for k in range(len(number_at)):
        if number_at[k] != number_end[k]:
            return -1
    return position  # type: ignore[no-any-return]
