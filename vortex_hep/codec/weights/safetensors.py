"""The file format safetensors: eight bytes of length, a JSON header, and the tensors' bytes."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from vortex_hep.codec.weights.zipnn.formats import FORMATS, format_of_dtype
from vortex_hep.core.schema import Array
from vortex_hep.core.text import fault_of
from vortex_hep.errors import SourceError, UnsupportedTypeError

_NAMES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2", "F8_E8M0": "float8_e8m0fnu",
    "I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8",
    "U64": "uint64", "U32": "uint32", "U16": "uint16", "U8": "uint8",
    "BOOL": "bool", "C64": "complex64",
}  # fmt: skip
_CODES = {name: code for code, name in _NAMES.items()}

#: A longer header is refused, as by the format's own library.
MAX_HEADER = 100_000_000
_METADATA = "__metadata__"


def looks_like_safetensors(head: bytes) -> bool:
    """Whether a file that begins so may be one."""
    return head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= MAX_HEADER


def read_safetensors(path: str | os.PathLike[str]) -> tuple[dict[str, Array], str]:
    """Tensors in the order of their data, and the header as it stands in the file.

    Returns
    -------
    arrays : dict of str to array
        Views of the file; types that numpy lacks are flagged as
        :func:`~vortex_hep.codec.weights.zipnn.decompress_arrays` does.
    header : str

    Raises
    ------
    SourceError
        The file cannot be read, or is not in the format.
    UnsupportedTypeError
        A tensor has a type that weights do not have.
    """
    name = os.fspath(path)
    try:
        data = np.memmap(name, np.uint8, "r")
    except (OSError, ValueError) as error:
        msg = f"cannot be read: {error}"
        raise SourceError(msg, path=name) from error
    size = int.from_bytes(data[:8].tobytes(), "little")
    if len(data) < 8 or not 2 <= size <= min(MAX_HEADER, len(data) - 8):
        msg = "truncated inside its header, or not a safetensors file"
        raise SourceError(msg, path=name)
    try:
        header = data[8 : 8 + size].tobytes().decode("utf-8")
        arrays = {}
        at = 0
        for key, dtype, shape, (start, stop) in _entries(header):
            if start != at or stop - start != int(np.prod(shape, dtype=object)) * dtype.itemsize:
                msg = f"tensor {key!r}: 'data_offsets' do not match its dtype, shape and position"
                raise SourceError(msg, path=name)
            found = np.asarray(data[8 + size + start : 8 + size + stop])
            if len(found) != stop - start:
                msg = f"truncated inside the data of tensor {key!r}"
                raise SourceError(msg, path=name)
            arrays[key] = np.require(found.view(dtype), requirements="A").reshape(shape)
            at = stop
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        if isinstance(error, UnsupportedTypeError):
            error.path = name
            raise
        msg = f"invalid header: {fault_of(error)}"
        raise SourceError(msg, path=name) from error
    if 8 + size + at != len(data):
        msg = f"{len(data) - 8 - size - at} bytes follow the data of the last tensor"
        raise SourceError(msg, path=name)
    return arrays, header


def _entries(header: str) -> list[tuple[str, np.dtype[Any], tuple[int, ...], tuple[int, int]]]:
    """Name, dtype, shape and place of all tensors, in the order of their data."""
    pairs = json.loads(header, object_pairs_hook=_unique)
    found = []
    for name, entry in pairs.items():
        if name == _METADATA:
            continue
        if entry["dtype"] not in _NAMES:
            msg = f"tensor {name!r} has the unsupported dtype {entry['dtype']}"
            raise UnsupportedTypeError(msg)
        start, stop = map(int, entry["data_offsets"])
        shape = tuple(map(int, entry["shape"]))
        found.append((name, FORMATS[_NAMES[entry["dtype"]]].dtype, shape, (start, stop)))
    return sorted(found, key=lambda entry: entry[3])


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        msg = "a key occurs twice"
        raise ValueError(msg)
    return found


def write_safetensors(
    file: BinaryIO, arrays: Mapping[str, Array], *, header: str | None = None
) -> None:
    """Write tensors in the format.

    Parameters
    ----------
    file : binary file
    arrays : mapping of str to array
        Flagged where numpy lacks the type.
    header : str, optional
        Header of a file with these very tensors, to get that file again byte for byte.

    Raises
    ------
    UnsupportedTypeError
        The format does not have one of the types, or ``header`` is of other tensors.
    """
    text = _header(arrays) if header is None else header
    try:
        entries = _entries(text)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        msg = f"invalid safetensors header: {fault_of(error)}"
        raise UnsupportedTypeError(msg) from error
    same = len(entries) == len(arrays) and all(
        name in arrays
        and arrays[name].shape == shape
        and format_of_dtype(arrays[name].dtype, name) == format_of_dtype(dtype, name)
        for name, dtype, shape, _ in entries
    )
    if not same:
        msg = "the safetensors header describes other tensors"
        raise UnsupportedTypeError(msg)
    encoded = text.encode("utf-8")
    file.write(len(encoded).to_bytes(8, "little") + encoded)
    for name, *_ in entries:
        file.write(np.ascontiguousarray(arrays[name]).reshape(-1).view("u1").data)


def _header(arrays: Mapping[str, Array]) -> str:
    """A header for these tensors: wide types first, so that all lie aligned."""
    entries: dict[str, Any] = {}
    at = 0
    for name in sorted(arrays, key=lambda n: (-arrays[n].dtype.itemsize, n)):
        array = arrays[name]
        wf = format_of_dtype(array.dtype, f"the tensor {name!r}")
        if wf.name not in _CODES or name == _METADATA:
            msg = f"safetensors cannot hold tensor {name!r} of dtype {wf.name}"
            raise UnsupportedTypeError(msg, hint="restore to a .pt file")
        place = [at, at + array.nbytes]
        shape = list(array.shape)
        entries[name] = {"dtype": _CODES[wf.name], "shape": shape, "data_offsets": place}
        at += array.nbytes
    text = json.dumps(entries, separators=(",", ":"))
    return text + " " * (-len(text) % 8)
