"""Types of HDF5 elements as columns: the bytes of an element that belong to each column.

An element is taken as its bytes in the file. Every column gets the bytes at certain places of it;
together they cover the element but for the padding of compound types.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from h5py import h5t

from vortex_hep.core.schema import MAX_COMPONENTS, Array

#: Class of complex numbers, where the library at hand has it.
COMPLEX = getattr(h5t, "COMPLEX", -100)
_IEEE = {
    2: ("<f2", h5t.IEEE_F16LE.get_fields()),
    4: ("<f4", h5t.IEEE_F32LE.get_fields()),
    8: ("<f8", h5t.IEEE_F64LE.get_fields()),
}


@dataclass(frozen=True)
class ElementPart:
    """Bytes of an element that are one column.

    Parameters
    ----------
    name : str
        Of the field within its compound type; ``""`` where the element is no compound.
    dtype : str
        Of the column, one of :data:`~vortex_hep.core.schema.COLUMN_DTYPES`.
    offset : int
        First byte in the element.
    shape, strides : tuple of int
        Items of the column in an element, and the bytes from one to the next.
    swapped : bool
        Whether the bytes of an item are in big-endian order.
    typename : str
        Type as users are told it.
    type_id : h5py TypeID, optional
        Of an item, where the part was cut from a type: a number, or several bytes that are one.
    """

    name: str
    dtype: str
    offset: int = 0
    shape: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()
    swapped: bool = False
    typename: str = ""
    type_id: Any = field(default=None, compare=False, repr=False)


def parts_of(type_id: Any) -> list[ElementPart] | None:
    """Cut a type into columns.

    Returns
    -------
    list of ElementPart or None
        None where elements are of variable length, or too many items.
    """
    parts = _cut(type_id)
    if parts is None or any(math.prod(p.shape) > MAX_COMPONENTS for p in parts):
        return None
    return _renamed(parts)


def _renamed(parts: Sequence[ElementPart]) -> list[ElementPart]:
    """Parts whose names are unique: one that is taken gets ``#2``, ``#3``, ... behind."""
    taken: set[str] = set()
    out = []
    for part in parts:
        name, count = part.name, 1
        while name in taken:
            count += 1
            name = f"{part.name}#{count}"
        taken.add(name)
        out.append(replace(part, name=name))
    return out


def _cut(type_id: Any) -> list[ElementPart] | None:
    kind, size = type_id.get_class(), type_id.get_size()
    if type_id.detect_class(h5t.VLEN) or (kind == h5t.STRING and type_id.is_variable_str()):
        return None
    if kind == h5t.COMPOUND:
        return _cut_compound(type_id)
    if kind == h5t.ARRAY:
        return _cut_array(type_id)
    if kind == COMPLEX:
        half = _cut(type_id.get_super())
        if half is None:
            return None
        return [replace(_repeated(p, (2,), (size // 2,)), type_id=type_id) for p in half]
    return [_scalar(type_id, kind, size)]


def _cut_compound(type_id: Any) -> list[ElementPart] | None:
    out: list[ElementPart] = []
    for number in range(type_id.get_nmembers()):
        inner = _cut(type_id.get_member_type(number))
        if inner is None:
            return None
        name = readable(type_id.get_member_name(number))
        offset = type_id.get_member_offset(number)
        out += [
            replace(p, name=f"{name}.{p.name}" if p.name else name, offset=offset + p.offset)
            for p in inner
        ]
    return out


def _cut_array(type_id: Any) -> list[ElementPart] | None:
    dims = tuple(int(n) for n in type_id.get_array_dims())
    base = type_id.get_super()
    inner = _cut(base)
    if inner is None:
        return None
    size = base.get_size()
    strides = tuple(size * math.prod(dims[k + 1 :]) for k in range(len(dims)))
    return [_repeated(p, dims, strides) for p in inner]


def _repeated(part: ElementPart, dims: tuple[int, ...], strides: tuple[int, ...]) -> ElementPart:
    sizes = "".join(f"[{n}]" for n in dims)
    return replace(
        part, shape=dims + part.shape, strides=strides + part.strides,
        typename=part.typename + sizes,
    )  # fmt: skip


def _scalar(type_id: Any, kind: int, size: int) -> ElementPart:
    if kind == h5t.ENUM:
        base = replace(_scalar(type_id.get_super(), h5t.INTEGER, size), type_id=type_id)
        if size == 1 and _is_bool(type_id):
            return replace(base, dtype="|b1", typename="bool")
        return replace(base, typename=f"enum {base.typename}")
    swapped = False
    dtype = None
    if kind in (h5t.INTEGER, h5t.FLOAT, h5t.BITFIELD):
        order = type_id.get_order()
        if size in (1, 2, 4, 8) and order in (h5t.ORDER_LE, h5t.ORDER_BE):
            swapped = order == h5t.ORDER_BE and size > 1
            dtype = _number(type_id, kind, size)
    if dtype is not None:
        typename = f"bitfield{8 * size}" if kind == h5t.BITFIELD else np.dtype(dtype).name
        if kind == h5t.FLOAT and dtype[1] == "u":
            typename = f"float of {8 * size} bits, not IEEE"
        return ElementPart("", dtype, swapped=swapped, typename=typename, type_id=type_id)
    names = {
        h5t.STRING: "string", h5t.OPAQUE: "opaque", h5t.REFERENCE: "reference",
        h5t.TIME: "time", h5t.FLOAT: "float", h5t.INTEGER: "integer", h5t.BITFIELD: "bitfield",
    }  # fmt: skip
    typename = f"{names.get(kind, 'bytes')}[{size}]"
    return ElementPart("", "|u1", 0, (size,), (1,), typename=typename, type_id=type_id)


def _number(type_id: Any, kind: int, size: int) -> str:
    if kind == h5t.FLOAT:
        # A float of another format keeps its bits as an unsigned integer.
        dtype, fields = _IEEE.get(size, ("", None))
        if fields == type_id.get_fields() and type_id.get_precision() == 8 * size:
            return str(dtype)
    sign = "i" if kind == h5t.INTEGER and type_id.get_sign() == h5t.SGN_2 else "u"
    return str(np.dtype(f"<{sign}{size}").str)


def _is_bool(type_id: Any) -> bool:
    """Whether h5py takes the enumeration for a boolean."""
    return type_id.get_nmembers() == 2 and bool(type_id.dtype == np.dtype(np.bool_))


def readable(name: bytes) -> str:
    """Turn a name of the file into text; bytes that are no UTF-8 are escaped."""
    return name.decode("utf-8", "backslashreplace")


def gaps(parts: Sequence[ElementPart], size: int) -> list[tuple[int, int]]:
    """Runs of bytes, as (offset, size), of an element that belong to no part."""
    covered = np.zeros(size + 2, np.bool_)
    covered[0] = covered[-1] = True
    for part in parts:
        _view(covered[1:-1].view(np.uint8), part, np.dtype(part.dtype).itemsize)[...] = 1
    edges = np.flatnonzero(np.diff(covered.view(np.int8)))
    return [(int(a), int(b - a)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def with_padding(parts: Sequence[ElementPart], size: int) -> list[ElementPart]:
    """Parts of an element with a part for every gap between them: ``@pad0``, ``@pad1``, ..."""
    extra = [
        ElementPart(f"@pad{number}", "|u1", at, (count,), (1,), typename=f"padding[{count}]")
        for number, (at, count) in enumerate(gaps(parts, size))
    ]
    return _renamed([*parts, *extra])


def _view(element: Array, part: ElementPart, itemsize: int) -> Array:
    """Bytes of the part in one element, shape (*part.shape, itemsize)."""
    shape, strides = (*part.shape, itemsize), (*part.strides, 1)
    view: Array = np.ndarray(shape, np.uint8, element, part.offset, strides)
    return view


def _items(records: Array, part: ElementPart) -> tuple[Array, str]:
    """Items of a part as unsigned integers in the file's byte order, a view of ``records``."""
    itemsize = np.dtype(part.dtype).itemsize
    order = ">" if part.swapped else "<"
    shape = records.shape[:-1] + part.shape
    if not records.size:
        return np.zeros(shape, f"<u{itemsize}"), f"<u{itemsize}"
    view = np.ndarray(
        shape,
        np.dtype(f"{order}u{itemsize}"),
        records,
        part.offset,
        records.strides[:-1] + part.strides,
    )
    return view, f"<u{itemsize}"


def extract(records: Array, part: ElementPart) -> Array:
    """Return a column.

    Parameters
    ----------
    records : uint8 array, shape (..., bytes of an element)
        Contiguous.
    part : ElementPart

    Returns
    -------
    array of shape (..., *part.shape)
    """
    view, native = _items(records, part)
    # Through integers of that size, so that no bit of a float is touched.
    column: Array = np.ascontiguousarray(view.astype(native, copy=False))
    return column.view(np.dtype(part.dtype))


def insert(records: Array, part: ElementPart, column: Array) -> None:
    """Put a column into records; the inverse of :func:`extract`."""
    view, native = _items(records, part)
    view[...] = np.ascontiguousarray(column).view(native).reshape(view.shape)


def convert_items(items: Array, stored: Any, wanted: Any) -> Array:
    """Convert items, bytes of shape (..., size), as the HDF5 library does.

    Parameters
    ----------
    items : uint8 array
    stored, wanted : h5py TypeID

    Returns
    -------
    uint8 array, shape (..., size of the wanted type)

    Raises
    ------
    OSError, TypeError, ValueError
        The library has no such conversion.
    """
    count = items.size // items.shape[-1]
    width = wanted.get_size()
    buffer = np.zeros(count * max(items.shape[-1], width), np.uint8)
    buffer[: items.size] = items.reshape(-1)
    h5t.convert(stored, wanted, count, buffer)
    return buffer[: count * width].reshape(*items.shape[:-1], width)


def pack_part(part: ElementPart, column: str) -> list[Any]:
    """Describe a part and the name of its column as JSON values."""
    return [
        column, part.dtype, part.offset, list(part.shape), list(part.strides), int(part.swapped)
    ]  # fmt: skip


def unpack_part(item: Sequence[Any], size: int) -> ElementPart:
    """Read what :func:`pack_part` wrote; the part has the column's name.

    Raises
    ------
    ValueError
        It does not lie in an element of ``size`` bytes.
    """
    column, dtype, offset, shape, strides, swapped = item
    part = ElementPart(
        str(column), str(dtype), int(offset), tuple(map(int, shape)), tuple(map(int, strides)),
        bool(swapped),
    )  # fmt: skip
    reach = sum((n - 1) * s for n, s in zip(part.shape, part.strides, strict=True))
    end = part.offset + reach + np.dtype(part.dtype).itemsize
    if min(part.offset, 0, *part.strides) < 0 or min(part.shape, default=1) < 1 or end > size:
        msg = f"column {part.name!r} lies outside its element"
        raise ValueError(msg)
    return part
