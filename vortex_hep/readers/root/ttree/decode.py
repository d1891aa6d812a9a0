"""Baskets to columns and back, checked against each other on every read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vortex_hep.core.schema import Array, VarBytes
from vortex_hep.errors import LayoutError, SourceError
from vortex_hep.readers.root.file.compression import BlockError, decompress
from vortex_hep.readers.root.file.tkey import Key
from vortex_hep.readers.root.records.records import NUMBERS, STRINGS
from vortex_hep.readers.root.ttree import layout
from vortex_hep.readers.root.ttree.basket import (
    TAIL_NONE,
    TAIL_RAW,
    BasketHeader,
    build_tail,
    entry_offsets,
    lengths_of,
    pack_basket_key,
    split_tail,
)
from vortex_hep.readers.root.ttree.layout import BasketRef, BranchPart, BranchPlan


@dataclass
class BasketData:
    """Rows of one basket.

    ``counts`` holds the rows of each entry, or is None where every entry has one; ``row_offsets``
    their sums or, for byte branches, where entries start; ``arrays`` one array per part.
    """

    ref: BasketRef
    arrays: list[Array | VarBytes]
    counts: Array | None
    row_offsets: Array | None
    #: First row of each entry at each level, and bytes of each entry, where they are records.
    levels: Array | None = None
    lengths: Array | None = None
    #: Fields of the basket that the columns do not give; see skeleton.BASKET_FIELDS.
    fields: tuple[int, ...] = ()
    #: fKeylen + fObjlen, and whether the record was compressed.
    total: int = 0
    keylen: int = 0
    packed: bool = False
    raw_tail: bytes | None = None
    raw_header: bytes | None = None


def split_rows(
    payload: memoryview | Array, parts: Sequence[BranchPart], stride: int
) -> list[Array | VarBytes]:
    """Little-endian columns of the rows in a basket's data.

    Parameters
    ----------
    payload : memoryview or uint8 array
        Whole rows of ``stride`` bytes, big-endian as ROOT stores them.
    """
    rows = len(payload) // stride
    out: list[Array | VarBytes] = []
    for part in parts:
        dtype = np.dtype(part.dtype)
        width = dtype.itemsize * int(np.prod(part.inner, dtype=np.int64))
        if width == stride:
            raw = np.frombuffer(payload, np.uint8)
        else:
            table = np.frombuffer(payload, np.uint8).reshape(rows, stride)
            raw = np.ascontiguousarray(table[:, part.offset : part.offset + width]).reshape(-1)
        if dtype.itemsize > 1:
            # Swapped as integers: no floating-point unit ever sees the bits.
            raw = raw.view(f">u{dtype.itemsize}").astype(f"<u{dtype.itemsize}")
        out.append(raw.view(dtype).reshape(rows, *part.inner))
    return out


def join_rows(
    arrays: Sequence[Array | VarBytes], parts: Sequence[BranchPart], stride: int
) -> Array:
    """The inverse of :func:`split_rows`: big-endian bytes of the rows."""
    out: Array | None = None
    for part, array in zip(parts, arrays, strict=True):
        dtype = np.dtype(part.dtype)
        flat = np.ascontiguousarray(array).reshape(-1)
        if flat.dtype != dtype:
            msg = f"column {part.name!r} has dtype {flat.dtype.str}, not {part.dtype}"
            raise ValueError(msg)
        if dtype.itemsize > 1:
            flat = flat.view(f"<u{dtype.itemsize}").astype(f">u{dtype.itemsize}")
        raw = flat.view(np.uint8)
        width = dtype.itemsize * int(np.prod(part.inner, dtype=np.int64))
        if width == stride:
            return raw
        if out is None:
            out = np.empty((len(raw) // width, stride), np.uint8)
        out[:, part.offset : part.offset + width] = raw.reshape(-1, width)
    return np.empty(0, np.uint8) if out is None else out.reshape(-1)


def as_strings(column: Array | VarBytes) -> VarBytes:
    """``column``, which must be one of byte strings; TypeError otherwise."""
    if not isinstance(column, VarBytes):
        msg = "not a column of byte strings"
        raise TypeError(msg)
    return column


def decode_basket(
    plan: BranchPlan,
    ref: BasketRef,
    raw: memoryview,
    counter: Callable[[int, int], Array] | None,
) -> BasketData:
    """Decode one basket and check that its bytes follow from the result.

    Parameters
    ----------
    plan : BranchPlan
    ref : BasketRef
    raw : memoryview
        The record from its key on; for an embedded basket the bytes of the tree object.
    counter : callable, optional
        ``counter(start, stop)`` gives the counter's values of these entries.

    Raises
    ------
    SourceError
        The record is damaged.
    LayoutError
        The data do not fit ``plan``.
    """
    if ref.embedded is not None:
        return _decode_embedded(plan, ref, raw, counter)
    try:
        key, position = Key.unpack(raw)
        header, position = BasketHeader.unpack(raw, position)
        _check_key(key, ref, position)
        payload = decompress(raw[key.keylen : key.nbytes], key.objlen)
    except (ValueError, BlockError) as error:
        raise SourceError(str(error), branch=plan.name, offset=ref.seek) from error
    border = header.last - key.keylen
    if not 0 <= border <= len(payload) or header.nev != ref.stop - ref.start:
        raise _layout_error(plan, ref, f"basket of {header.nev} entries and {border} bytes")
    view = memoryview(payload)
    tail = view[border:]
    mode, last, lengths = split_tail(tail, header.nev, key.keylen, border)
    data = _decode_rows(plan, ref, view[:border], lengths, counter)
    if mode not in (TAIL_NONE, TAIL_RAW):
        sizes = entry_lengths(plan, data)
        if build_tail(mode, sizes, key.keylen, last) != tail:
            mode = TAIL_RAW
    if mode == TAIL_RAW:
        data.raw_tail = bytes(tail)
    names = (key.class_name, key.name, key.title)
    if names != (b"TBasket", *plan.key_names) or (
        pack_basket_key(key, header) != raw[: key.keylen]
    ):
        data.raw_header = bytes(raw[: key.keylen])
    data.total = key.keylen + key.objlen
    data.keylen = key.keylen
    data.packed = key.objlen != key.stored_size
    data.fields = (
        key.version, key.datime, key.cycle, header.version, header.buffer_size,
        header.nev_buf_size, header.io_bits, header.flag, mode, last,
    )  # fmt: skip
    return data


def _check_key(key: Key, ref: BasketRef, position: int) -> None:
    if key.nbytes != ref.nbytes or not position <= key.keylen <= key.nbytes:
        msg = "the tree points to something that is not its basket"
        raise ValueError(msg)


def _decode_embedded(
    plan: BranchPlan,
    ref: BasketRef,
    raw: memoryview,
    counter: Callable[[int, int], Array] | None,
) -> BasketData:
    basket = ref.embedded
    if basket is None:  # pragma: no cover - the caller has looked
        raise _layout_error(plan, ref, "no embedded basket")
    nev, keylen = basket.header.nev, basket.key.keylen
    lengths = None
    stored = b""
    if basket.offsets >= 0:
        stored = bytes(raw[basket.offsets : basket.offsets + 4 * nev])
        lengths = lengths_of(np.frombuffer(stored, ">i4"), keylen, basket.border)
        if (lengths < 0).any() or lengths.sum() != basket.border:
            lengths = None
    data = _decode_rows(plan, ref, raw[basket.data : basket.data + basket.border], lengths, counter)
    sizes = entry_lengths(plan, data)
    rebuilt = entry_offsets(sizes, keylen).astype(">i4").tobytes()
    # Where the offsets follow from the columns the skeleton leaves them out.
    data.fields = (1 if stored and rebuilt == stored else 0,)
    return data


def _decode_rows(
    plan: BranchPlan,
    ref: BasketRef,
    payload: memoryview,
    lengths: Array | None,
    counter: Callable[[int, int], Array] | None,
) -> BasketData:
    nev = ref.stop - ref.start
    if plan.kind == layout.FIXED:
        if len(payload) != nev * plan.stride:
            raise _layout_error(plan, ref, f"{nev} entries of {plan.stride} bytes")
        if plan.guessed and (lengths is None or (lengths != plan.stride).any()):
            raise _layout_error(plan, ref, f"entries that have not {plan.stride} bytes each")
        data = BasketData(ref, split_rows(payload, plan.parts, plan.stride), None, None)
    elif plan.kind == layout.BYTES:
        if lengths is None:
            # Nothing says where entries start: the first one carries the whole basket.
            if nev == 0 and len(payload):
                raise _layout_error(plan, ref, f"{len(payload)} bytes for no entry")
            lengths = _string_lengths(plan, payload, nev)
        if lengths is None:
            lengths = np.zeros(nev, np.int64)
            lengths[:1] = len(payload)
        content = np.frombuffer(payload, np.uint8)
        return BasketData(ref, [content], None, _offsets(lengths))
    elif plan.kind == layout.RECORDS:
        return _decode_records(plan, ref, payload, lengths, counter)
    else:
        data = _decode_jagged(plan, ref, payload, lengths, counter)
    if not np.array_equal(
        join_rows(data.arrays, plan.parts, plan.stride), np.frombuffer(payload, np.uint8)
    ):
        raise _layout_error(plan, ref, "columns do not give back the basket")
    return data


def _string_lengths(plan: BranchPlan, payload: memoryview, entries: int) -> Array | None:
    """Bytes of each of some strings without entry offsets, which follow from their lengths."""
    kind, *rule = plan.interpretation.split(" ")
    if kind != "string":
        return None
    skipped, length = rule or ("0", "1-5")
    text, at = bytes(payload), 0
    out = np.zeros(entries, np.int64)
    for k in range(entries):
        first, at = at, at + int(skipped)
        if at >= len(text):
            return None
        if length == "4":
            at += 4 + int.from_bytes(text[at : at + 4], "big")
        elif text[at] == 255:
            at += 5 + int.from_bytes(text[at + 1 : at + 5], "big")
        else:
            at += 1 + text[at]
        out[k] = at - first
    return out if at == len(text) else None


def _decode_jagged(
    plan: BranchPlan,
    ref: BasketRef,
    payload: memoryview,
    lengths: Array | None,
    counter: Callable[[int, int], Array] | None,
) -> BasketData:
    nev = ref.stop - ref.start
    if lengths is not None:
        counts, left = np.divmod(lengths, plan.stride)
        if left.any():
            raise _layout_error(plan, ref, f"entries that are no multiple of {plan.stride} bytes")
    elif counter is not None and plan.kind == layout.COUNTED:
        counts = counter(ref.start, ref.stop).astype(np.int64)
    elif nev == 0 or len(payload) == 0:
        counts = np.zeros(nev, np.int64)
    else:
        raise _layout_error(plan, ref, "no entry offsets")
    if (counts < 0).any() or int(counts.sum()) * plan.stride != len(payload):
        raise _layout_error(plan, ref, "counts that differ from the data")
    arrays = split_rows(payload, plan.parts, plan.stride)
    return BasketData(ref, arrays, counts, _offsets(counts))


def _offsets(counts: Array) -> Array:
    out = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=out[1:])
    return out


def _decode_records(
    plan: BranchPlan,
    ref: BasketRef,
    payload: memoryview,
    lengths: Array | None,
    counter: Callable[[int, int], Array] | None,
) -> BasketData:
    nev = ref.stop - ref.start
    program = plan.program
    if program is None:  # pragma: no cover - records have one
        raise _layout_error(plan, ref, "no program")
    outer = np.zeros(nev, np.int64)
    if program.needs_counter and counter is not None:
        outer = counter(ref.start, ref.stop).astype(np.int64)
    content = np.frombuffer(payload, np.uint8)
    try:
        found = program.decode(content, lengths, nev, outer)
        rebuilt, ends = program.encode(found.rows, found.outputs)
    except ValueError as error:
        raise _layout_error(plan, ref, str(error)) from error
    if not np.array_equal(rebuilt, content):
        raise _layout_error(plan, ref, "columns do not give back the basket")
    data = BasketData(ref, split_outputs(plan, found.outputs), None, None)
    data.levels, data.lengths = found.rows, np.diff(ends, prepend=0)
    if program.top:
        data.row_offsets = found.rows[program.top]
        data.counts = np.diff(data.row_offsets)
    return data


def split_outputs(plan: BranchPlan, outputs: Sequence[Array | VarBytes]) -> list[Array | VarBytes]:
    """Columns of a branch of records, from the outputs of its program."""
    arrays: list[Array | VarBytes] = []
    for number, data in enumerate(outputs):
        parts = [part for part in plan.parts if part.output == number]
        if isinstance(data, VarBytes):
            arrays.append(data)
        elif data.ndim == 1:
            arrays.append(data.astype(parts[0].dtype))
        else:
            arrays += split_rows(data.reshape(-1), parts, data.shape[1])
    return arrays


def join_outputs(
    plan: BranchPlan, columns: Mapping[str, Array | VarBytes]
) -> list[Array | VarBytes]:
    """The inverse of :func:`split_outputs`."""
    if plan.program is None:
        msg = "no program"
        raise ValueError(msg)
    out: list[Array | VarBytes] = []
    for number, output in enumerate(plan.program.outputs):
        parts = [part for part in plan.parts if part.output == number]
        arrays = [columns[part.name] for part in parts]
        if output.kind == STRINGS:
            out.append(as_strings(arrays[0]))
        elif output.kind == NUMBERS:
            out.append(np.asarray(arrays[0]))
        else:
            out.append(join_rows(arrays, parts, output.size).reshape(-1, output.size))
    return out


def entry_lengths(plan: BranchPlan, data: BasketData) -> Array:
    """Bytes of each entry of a basket, as the restorer derives them."""
    entries = data.ref.stop - data.ref.start
    if data.lengths is not None:
        return data.lengths
    if plan.kind == layout.FIXED:
        return np.full(entries, plan.stride, np.int64)
    if plan.kind == layout.BYTES or data.counts is None:
        bounds = data.row_offsets
        return np.diff(bounds) if bounds is not None else np.zeros(entries, np.int64)
    return data.counts * plan.stride


def _layout_error(plan: BranchPlan, ref: BasketRef, found: str) -> LayoutError:
    msg = f"basket {ref.index} does not fit the branch's type: {found}"
    return LayoutError(
        msg,
        number=plan.number,
        branch=plan.name,
        offset=ref.seek or None,
        hint="call settle() on the opened file, then read again",
    )
