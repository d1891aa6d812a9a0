"""The stored form of all kinds of models: a document and arrays (SPEC 5.2)."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import numpy.typing as npt

from vortex_hep.codec.columns import classical
from vortex_hep.codec.sections import Reader, join
from vortex_hep.core import zstd
from vortex_hep.core.text import fault_of
from vortex_hep.errors import CorruptionError

Array = npt.NDArray[Any]
T = TypeVar("T")

_ARRAY = struct.Struct("<HI")  # SPEC 5.1: coder, payload size
_SIZE = struct.Struct("<I")
#: A limit that keeps a small file from asking for much memory (SPEC 8.7).
_MAX_DOCUMENT = 1 << 26


def document_bytes(document: Any) -> bytes:
    """Return a document in its canonical form (SPEC 2.4)."""
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def pack(document: Any, arrays: Iterable[Array], effort: classical.Effort) -> bytes:
    """Return a document and arrays as they are stored."""
    parts = []
    for array in arrays:
        coder, payload = classical.encode_best(array, effort=effort)
        parts.append(_ARRAY.pack(coder, len(payload)) + payload)
    text = document_bytes(document)
    return join([_SIZE.pack(len(text)) + zstd.compress(text, 19), b"".join(parts)])


def unpack(
    payload: bytes, what: str, build: Callable[[Any, Reader], T], document_of: Callable[[T], Any]
) -> T:
    """Read what :func:`pack` wrote.

    Parameters
    ----------
    payload : bytes
    what : str
        "an event model", for errors.
    build : callable
        Makes the model of its document and of a reader of its arrays, which it reads to the end.
    document_of : callable
        Of the model: its document, which must be the one that was read.

    Raises
    ------
    CorruptionError
        The bytes are something else.
    """
    reader = Reader(payload)
    head = reader.section()
    body = Reader(reader.section())
    reader.finish()
    if len(head) < _SIZE.size:
        raise CorruptionError(f"{what} is truncated")
    (size,) = _SIZE.unpack_from(head)
    if size > _MAX_DOCUMENT:
        raise CorruptionError(f"the description of {what} is larger than the format allows")
    text = zstd.decompress(head[_SIZE.size :], size)
    try:
        model = build(json.loads(text), body)
    except (
        KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError, RecursionError,
    ) as error:  # fmt: skip
        if isinstance(error, CorruptionError):
            raise
        raise CorruptionError(f"{what} is invalid: {fault_of(error)}") from error
    if document_bytes(document_of(model)) != text:
        raise CorruptionError(f"the description of {what} is not in its canonical form")
    return model


def read_array(body: Reader, dtype: str, count: int) -> Array:
    """Read one array of ``count`` items."""
    coder, size = _ARRAY.unpack(body.take(_ARRAY.size))
    return classical.decode(coder, body.take(size), dtype, count)
