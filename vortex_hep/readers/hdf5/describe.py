"""Descriptions of the contents of an HDF5 file besides its columns."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5d, h5g, h5l, h5o, h5s, h5t

from vortex_hep.errors import CorruptionError
from vortex_hep.readers.hdf5.chunks.filters import Filter
from vortex_hep.readers.hdf5.chunks.recordtype import readable
from vortex_hep.readers.hdf5.heaps import endless_heap
from vortex_hep.readers.hdf5.image import HDF5Plan, read_plan, skeleton_file, skeleton_pieces

#: Bytes of a dataset that are compared at a time.
_STEP = 1 << 24
#: A dataset that claims so many times its stored bytes is compared chunk by chunk.
_SPARSE = 1 << 11


def describe(blobs: Mapping[str, bytes]) -> dict[str, Any]:
    """Describe what a remainder says of groups, links, attributes, types and small datasets.

    Parameters
    ----------
    blobs : mapping of str to bytes

    Returns
    -------
    dict
        By what it is of (``"dataset 'jets'"``); equal for files that hold the same, though chunks
        stand in other places and are of other sizes.

    Raises
    ------
    CorruptionError
        The remainder is not that of an HDF5 file.
    """
    plan = read_plan(blobs)
    _check_heaps(blobs, plan)
    columns = {d.layout.path for d in plan.datasets}
    out: dict[str, Any] = {}
    with skeleton_file(blobs) as file:
        try:
            names: list[bytes] = [b"."]
            h5o.visit(file.id, names.append)
            for name in names:
                found = h5o.open(file.id, name)
                out.update(_object(found, name, data=name not in columns, most=plan.size))
        except Exception as error:
            text = " ".join(str(error).split())
            raise CorruptionError(f"the HDF5 file's skeleton cannot be read: {text}") from error
    return out


def _check_heaps(blobs: Mapping[str, bytes], plan: HDF5Plan) -> None:
    """Refuse a file with which the library would not come to an end."""
    for offset, part in skeleton_pieces(blobs, plan):
        if offset <= plan.user_block < offset + len(part) - 16:
            block = part[plan.user_block - offset :]
            if block[14 if block[8] <= 1 else 10] != 8:
                return
        at = endless_heap(bytes(part))
        if at is not None:
            raise CorruptionError("the HDF5 file has a damaged heap", offset=offset + at)


def _object(found: Any, name: bytes, *, data: bool, most: int) -> Iterator[tuple[str, Any]]:
    label = readable(name)
    if isinstance(found, h5g.GroupID):
        yield f"group {label!r}", [_link(found, n) for n in sorted(found)]
    elif isinstance(found, h5t.TypeID):
        yield f"type {label!r}", found.encode().hex()
    else:
        yield f"dataset {label!r}", _dataset(found)
        if data:
            yield f"data of {label!r}", _data(found)
    for number in range(h5a.get_num_attrs(found)):
        attribute = h5a.open(found, index=number)
        if attribute.get_storage_size() > most:
            msg = f"attribute {readable(attribute.name)!r} of {label!r} is larger than the file"
            raise ValueError(msg)
        yield f"attribute {readable(attribute.name)!r} of {label!r}", _attribute(attribute)


def _link(group: Any, name: bytes) -> list[Any]:
    info = group.links.get_info(name)
    if info.type == h5l.TYPE_HARD:
        return [name.hex(), "hard"]
    value = group.links.get_val(name)
    parts = value if isinstance(value, tuple) else (value,)
    return [name.hex(), int(info.type), *(bytes(v).hex() for v in parts)]


def _space(space: Any) -> list[Any]:
    if space.get_simple_extent_type() != h5s.SIMPLE:
        return [int(space.get_simple_extent_type())]
    return [list(space.get_simple_extent_dims()), list(space.get_simple_extent_dims(True))]


def _dataset(dataset: Any) -> dict[str, Any]:
    properties = dataset.get_create_plist()
    layout = properties.get_layout()
    filters = [properties.get_filter(k) for k in range(properties.get_nfilters())]
    return {
        "type": dataset.get_type().encode().hex(),
        "space": _space(dataset.get_space()),
        "layout": int(layout),
        "chunk": list(properties.get_chunk()) if layout == h5d.CHUNKED else None,
        "filters": [[int(n), int(flags), list(values)] for n, flags, values, _ in filters],
        "fill": [int(properties.fill_value_defined()), int(properties.get_fill_time())],
        "allocated": int(properties.get_alloc_time()),
    }


def _attribute(attribute: Any) -> list[Any]:
    type_id, space = attribute.get_type(), attribute.get_space()
    head = [type_id.encode().hex(), _space(space)]
    if space.get_simple_extent_type() == h5s.NULL:
        return head
    if _is_plain(type_id):
        out = np.zeros(space.get_simple_extent_npoints() * type_id.get_size(), np.uint8)
        if len(out):
            attribute.read(out, mtype=type_id)
        return [*head, out.tobytes().hex()]
    values = np.empty(attribute.shape, attribute.dtype)
    attribute.read(values)
    return [*head, _told(values)]


def _data(dataset: Any) -> Any:
    """Digest of a dataset's elements, or None where they cannot be read."""
    space, type_id = dataset.get_space(), dataset.get_type()
    properties = dataset.get_create_plist()
    if space.get_simple_extent_type() == h5s.NULL or not space.get_simple_extent_npoints():
        return None
    if properties.get_layout() == h5d.VIRTUAL or properties.get_external_count():
        return None
    stored = dataset.get_storage_size()
    claimed = space.get_simple_extent_npoints() * type_id.get_size()
    if not stored or not _filters_work(properties) or claimed > _SPARSE * stored + _STEP:
        # Of a dataset that is large and nearly empty the chunks tell all, and soon.
        return _chunks_digest(dataset) if properties.get_layout() == h5d.CHUNKED else None
    digest = hashlib.sha256()
    if not _is_plain(type_id):
        return _told(h5py.Dataset(dataset)[()])
    if space.get_simple_extent_type() == h5s.SCALAR:
        out = np.zeros(type_id.get_size(), np.uint8)
        dataset.read(h5s.ALL, h5s.ALL, out, mtype=type_id)
        return out.tobytes().hex()
    shape = tuple(int(n) for n in space.get_simple_extent_dims())
    width = type_id.get_size() * int(np.prod(shape[1:], dtype=np.int64))
    step = max(1, _STEP // max(width, 1))
    for start in range(0, shape[0], step):
        count = min(step, shape[0] - start)
        out = np.zeros(count * width, np.uint8)
        space.select_hyperslab((start, *(0 for _ in shape[1:])), (count, *shape[1:]))
        memory = h5s.create_simple((count, *shape[1:]))
        dataset.read(memory, space, out, mtype=type_id)
        digest.update(out.data)
    return digest.hexdigest()


def _filters_work(properties: Any) -> bool:
    found = [properties.get_filter(k) for k in range(properties.get_nfilters())]
    sound = all(Filter(int(n), int(flags), tuple(values)).sound for n, flags, values, _ in found)
    return sound and bool(properties.all_filters_avail())


def _chunks_digest(dataset: Any) -> str:
    """Digest of chunks as stored, where their filters are not at hand."""
    digest = hashlib.sha256()
    starts: list[tuple[int, ...]] = []
    dataset.chunk_iter(lambda info: starts.append(tuple(info.chunk_offset)))
    for start in sorted(starts):
        mask, raw = dataset.read_direct_chunk(start)
        digest.update(repr((start, mask, len(raw))).encode() + raw)
    return digest.hexdigest()


def _is_plain(type_id: Any) -> bool:
    """Whether elements are the bytes in the file, without parts elsewhere."""
    return not (
        type_id.detect_class(h5t.VLEN)
        or (type_id.detect_class(h5t.STRING) and _has_text(type_id))
        or type_id.detect_class(h5t.REFERENCE)
    )


def _has_text(type_id: Any) -> bool:
    """Whether a string of variable length is in the type."""
    kind = type_id.get_class()
    if kind == h5t.STRING:
        return bool(type_id.is_variable_str())
    if kind == h5t.COMPOUND:
        return any(_has_text(type_id.get_member_type(k)) for k in range(type_id.get_nmembers()))
    return kind == h5t.ARRAY and _has_text(type_id.get_super())


def _told(values: Any) -> Any:
    """Values as nested lists of hexadecimal bytes."""
    if isinstance(values, (h5py.Reference, h5py.RegionReference)):
        return repr(bool(values))
    if isinstance(values, str):
        return values.encode("utf-8", "surrogateescape").hex()
    if isinstance(values, bytes):
        return values.hex()
    if isinstance(values, np.ndarray):
        if not values.dtype.hasobject:
            return [list(values.shape), np.ascontiguousarray(values).tobytes().hex()]
        return [list(values.shape), [_told(v) for v in values.reshape(-1)]]
    if isinstance(values, np.void) and values.dtype.names:
        return [_told(values[n]) for n in values.dtype.names]
    return np.asarray(values).tobytes().hex()
