"""Values of items whose type is more than their bytes: as h5py gives them.

Columns have the bytes of an element as they stand in the file, so that these come back. What they
mean is said by the element's type, in the skeleton: integers of fewer bits than their bytes have,
floats of other formats, strings, dates.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from h5py import h5d, h5t

from vortex_hep.core.conversions import Conversion
from vortex_hep.core.schema import Array
from vortex_hep.errors import CorruptionError
from vortex_hep.readers.hdf5.chunks.recordtype import (
    COMPLEX,
    ElementPart,
    convert_items,
    parts_of,
)
from vortex_hep.readers.hdf5.image import read_plan, skeleton_file

#: Items that are converted at a time.
_STEP = 1 << 18
#: Bitfields of all their bytes' bits, which are unsigned integers.
_BITFIELDS = (
    h5t.STD_B8LE, h5t.STD_B16LE, h5t.STD_B32LE, h5t.STD_B64LE,
    h5t.STD_B8BE, h5t.STD_B16BE, h5t.STD_B32BE, h5t.STD_B64BE,
)  # fmt: skip


def conversions(blobs: Mapping[str, bytes]) -> dict[str, dict[str, Conversion]]:
    """Find the columns whose values are not their items.

    Parameters
    ----------
    blobs : mapping of str to bytes
        The remainder.

    Returns
    -------
    dict of str to dict of str to Conversion
        By tree and column.

    Raises
    ------
    CorruptionError
        The remainder is not that of an HDF5 file.
    """
    out: dict[str, dict[str, Conversion]] = {}
    plan = read_plan(blobs)
    with skeleton_file(blobs) as file:
        for planned in plan.datasets:
            try:
                type_id = h5d.open(file.id, planned.layout.path).get_type()
                parts = parts_of(type_id)
            except Exception as error:
                raise CorruptionError(
                    f"the skeleton has no such dataset: {error}", tree=planned.tree
                ) from error
            # Padding, which has columns of its own behind the others, has no type.
            for own, part in zip(planned.layout.parts, parts or (), strict=False):
                found = values_of(part)
                if found is not None:
                    out.setdefault(planned.tree, {})[own.name] = found
    return out


def values_of(part: ElementPart) -> Conversion | None:
    """How items of a part become values; None where they are values as they are.

    Parameters
    ----------
    part : ElementPart
        Cut from a type by :func:`~vortex_hep.readers.hdf5.chunks.recordtype.parts_of`.
    """
    type_id = part.type_id
    if type_id.get_class() == h5t.REFERENCE:
        return Conversion(
            refusal=f"{part.typename} is a reference into the file, which vortex_hep.h5 follows"
        )
    try:
        dtype = type_id.dtype
        plain = dtype.newbyteorder("<")
        if dtype == np.dtype(np.bool_) and part.dtype == "|b1":
            return None
        # In the order of bytes that the file has: of integers of fewer bits the library turns bytes
        # round and leaves the sign aside.
        wanted = h5t.py_create(dtype)
        if _is_stored(part, dtype):
            return None if plain == np.dtype(part.dtype) else _viewed(part, plain)
        convert_items(np.zeros((1, type_id.get_size()), np.uint8), type_id, wanted)
    except (OSError, TypeError, ValueError, KeyError) as error:
        text = " ".join(str(error).split())
        return Conversion(refusal=f"{part.typename} is no type that h5py reads: {text}")
    return _converted(part, wanted, dtype)


def _is_stored(part: ElementPart, dtype: Any) -> bool:
    """Whether items are those of NumPy's type, bit for bit."""
    type_id = part.type_id
    kind = type_id.get_class()
    if kind == h5t.ENUM:
        return bool(type_id.get_super().equal(h5t.py_create(np.dtype(dtype.str))))
    if kind == COMPLEX:
        return part.dtype[1] == "f" and bool(dtype.itemsize == type_id.get_size())
    if kind == h5t.BITFIELD:
        return any(type_id.equal(standard) for standard in _BITFIELDS)
    # An opaque type may be one of NumPy's own by its tag, such as a date.
    return any(type_id.equal(h5t.py_create(dtype, logical=logical)) for logical in (False, True))


def _item_axes(part: ElementPart, column: Array) -> tuple[int, ...]:
    """Shape of items, where bytes along the last axis of a column are one."""
    single = np.dtype(part.dtype).itemsize == part.type_id.get_size()
    return column.shape if single else column.shape[:-1]


def _viewed(part: ElementPart, dtype: Any) -> Conversion:
    big = part.type_id.dtype.byteorder == ">" and part.dtype == "|u1"

    def view(column: Array) -> Array:
        shape = _item_axes(part, column)
        flat = np.ascontiguousarray(column).reshape(-1)
        found: Array = flat.view(dtype.newbyteorder(">") if big else dtype).reshape(shape)
        return found.astype(dtype) if big else found

    return Conversion(view)


def _converted(part: ElementPart, wanted: Any, dtype: Any) -> Conversion:
    type_id, width = part.type_id, np.dtype(part.dtype).itemsize
    size = type_id.get_size()

    def convert(column: Array) -> Array:
        flat = np.ascontiguousarray(column).reshape(-1).view(f"<u{width}")
        # As the bytes stand in the file.
        stored = flat.byteswap() if part.swapped else flat
        items = stored.view(np.uint8).reshape(-1, size)
        out = np.empty(len(items), dtype.newbyteorder("<"))
        for at in range(0, len(items), _STEP):
            made = convert_items(items[at : at + _STEP], type_id, wanted)
            out[at : at + _STEP] = np.ascontiguousarray(made).reshape(-1).view(dtype)
        return out.reshape(_item_axes(part, column))

    return Conversion(convert)
