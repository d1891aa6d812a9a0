"""Compressed weights as files, ``.vxw`` (SPEC section 10)."""

from __future__ import annotations

import json
import os
from typing import Any, BinaryIO

from vortex_hep.codec.container.container import (
    KIND_WEIGHTS,
    ContainerReader,
    ContainerWriter,
    atomic_output,
)
from vortex_hep.codec.container.container_format import kind_with_article
from vortex_hep.codec.weights.zipnn.formats import FORMATS
from vortex_hep.codec.weights.zipnn.weights import (
    CompressedTensor,
    CompressedWeights,
    Json,
    TensorPart,
)
from vortex_hep.errors import (
    CorruptionError,
    NotVortexError,
    UnsupportedFeatureError,
    UnsupportedTypeError,
)

#: Chunk kind of the items of a tensor (SPEC 8.1).
CHUNK_WEIGHTS = 6

_MAX_AXES = 64


def save_compressed(
    compressed: CompressedWeights,
    path: str | os.PathLike[str],
    *,
    metadata: Json | None = None,
    overwrite: bool = False,
) -> None:
    """Write weights to a ``.vxw`` file, which appears only once it is whole.

    Parameters
    ----------
    compressed : CompressedWeights
    path : str or path
    metadata : mapping, optional
        JSON object to keep with them; by default ``compressed.metadata``.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    OutputError
        The file exists, or cannot be written.
    UnsupportedTypeError
        The metadata is not JSON.
    """
    document = dict(compressed.metadata if metadata is None else metadata)
    try:
        with atomic_output(path, overwrite=overwrite) as file:
            write_weights(compressed, file, document)
    except UnsupportedTypeError as error:
        error.path = os.fspath(path)
        raise


def write_weights(compressed: CompressedWeights, file: BinaryIO, metadata: Json) -> None:
    """Write the container of :func:`save_compressed` to a binary file."""
    writer = ContainerWriter(file, kind=KIND_WEIGHTS)
    chunks: dict[int, list[int]] = {}
    entries = []
    for name, tensor in compressed.items():
        if id(tensor) not in chunks:
            chunks[id(tensor)] = [
                writer.add(CHUNK_WEIGHTS, p.payload, decoded_xxh3=p.xxh3, decoded_size=p.size)
                for p in tensor.parts
            ]
        entries.append([name, tensor.dtype, list(tensor.shape), chunks[id(tensor)]])
    writer.finish({"tensors": entries, "metadata": dict(metadata)})


def load_compressed(source: str | os.PathLike[str] | BinaryIO) -> CompressedWeights:
    """Read a ``.vxw`` file; nothing is decoded yet.

    Parameters
    ----------
    source : str, path or binary file
        A path, an fsspec URL, or a seekable file.

    Returns
    -------
    CompressedWeights
        With :attr:`~CompressedWeights.metadata` as it was saved.

    Raises
    ------
    SourceError
        The file cannot be read.
    NotVortexError
        The file is something else.
    CorruptionError
        The file was cut or damaged.
    UnsupportedFeatureError
        The file needs a newer release.
    """
    with ContainerReader(source) as reader:
        if reader.kind != KIND_WEIGHTS:
            msg = f"this is {kind_with_article(reader.kind)}, not a compressed weights file"
            hint = "such files end in .vxw and come from 'vortex-hep compress-weights'"
            raise NotVortexError(msg, path=reader.path, hint=hint)
        entries = reader.metadata.get("tensors")
        metadata = reader.metadata.get("metadata")
        if not isinstance(entries, list) or not isinstance(metadata, dict):
            msg = "key 'tensors' or 'metadata' of the metadata is missing or invalid"
            raise CorruptionError(msg, path=reader.path)
        payloads = reader.read_many(range(len(reader.chunks)))
        tensors: dict[str, CompressedTensor] = {}
        by_chunks: dict[tuple[int, ...], CompressedTensor] = {}
        for entry in entries:
            name, tensor, chunks = _tensor(entry, reader, payloads)
            if name in tensors:
                msg = f"two tensors have the name {name!r}"
                raise CorruptionError(msg, path=reader.path)
            if chunks:
                known = by_chunks.setdefault(chunks, tensor)
                if (known.dtype, known.shape) != (tensor.dtype, tensor.shape):
                    msg = f"tensor {name!r} shares chunks with one of another dtype or shape"
                    raise CorruptionError(msg, path=reader.path)
                tensor = known
            tensors[name] = tensor
    return CompressedWeights(tensors, metadata)


def _tensor(
    entry: Any, reader: ContainerReader, payloads: list[bytes]
) -> tuple[str, CompressedTensor, tuple[int, ...]]:
    """A tensor of the list in the metadata, with its name and chunks."""
    try:
        name, dtype, shape, chunks = entry
        sound = isinstance(name, str) and isinstance(dtype, str) and len(shape) <= _MAX_AXES
        sound = sound and all(type(n) is int and n >= 0 for n in (*shape, *chunks))
        sound = sound and all(n < len(payloads) for n in chunks)
        sound = sound and all(reader.chunks[n]["kind"] == CHUNK_WEIGHTS for n in chunks)
    except (TypeError, ValueError) as error:
        msg = f"invalid entry in 'tensors' of the metadata: {json.dumps(entry)[:80]}"
        raise CorruptionError(msg, path=reader.path) from error
    if not sound:
        msg = f"invalid entry in 'tensors' of the metadata: {json.dumps(entry)[:80]}"
        raise CorruptionError(msg, path=reader.path)
    if dtype not in FORMATS:
        msg = f"tensor {name!r} has the unsupported dtype {dtype!r}"
        raise UnsupportedFeatureError(msg, path=reader.path, hint="update vortex_hep")
    rows = [reader.chunks[n] for n in chunks]
    parts = tuple(
        TensorPart(payloads[n], int(row["decoded_size"]), int(row["decoded_xxh3"]))
        for n, row in zip(chunks, rows, strict=True)
    )
    tensor = CompressedTensor(FORMATS[dtype], tuple(shape), parts)
    sizes = [part.size for part in parts]
    if sum(sizes) != tensor.raw_bytes or any(
        size == 0 or size % tensor.format.itemsize for size in sizes
    ):
        msg = f"tensor {name!r}: expected {tensor.raw_bytes} bytes in its chunks, got {sum(sizes)}"
        raise CorruptionError(msg, path=reader.path)
    return name, tensor, tuple(chunks)
