"""Compressing and restoring weights files: those of torch and of safetensors."""

from __future__ import annotations

import json
import os
import pickle
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vortex_hep.codec.columns.classical import Effort
from vortex_hep.codec.container.container import atomic_output
from vortex_hep.codec.weights.safetensors import (
    looks_like_safetensors,
    read_safetensors,
    write_safetensors,
)
from vortex_hep.codec.weights.zipnn import (
    CompressedWeights,
    compress_model_weights,
    decompress_arrays,
    decompress_state,
    load_compressed,
    save_compressed,
)
from vortex_hep.codec.weights.zipnn.tensors import is_tensor
from vortex_hep.core import storage
from vortex_hep.core.magic import MAGIC
from vortex_hep.errors import (
    CorruptionError,
    SourceError,
    UnsupportedFeatureError,
    UnsupportedTypeError,
    VerificationError,
)

WEIGHTS_SUFFIX = ".vxw"
SAFETENSORS_SUFFIX = ".safetensors"
TORCH_SUFFIXES = (".pt", ".pth", ".ckpt", ".bin")

#: Key of the metadata under which the structure of the original weights file is kept.
ORIGINAL = "checkpoint"

_TORCH_STARTS = (b"PK\x03\x04", b"\x80\x02")


def compress_weights_file(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    effort: Effort = "normal",
    overwrite: bool = False,
) -> CompressedWeights:
    """Compress a weights file to a ``.vxw`` file, decode that and compare.

    Parameters
    ----------
    source : str or path
        A file of ``torch.save`` (read with ``weights_only=True``) or of safetensors.
    output : str or path
    effort : {"fast", "normal", "max"}
    overwrite : bool
        Whether an existing file may be replaced.

    Returns
    -------
    CompressedWeights

    Raises
    ------
    SourceError
        The weights file cannot be read.
    UnsupportedTypeError
        It holds what is neither a tensor nor JSON.
    OutputError
        The output exists, or cannot be written.
    VerificationError
        What was compressed does not decode to the same.
    """
    storage.check_distinct(output, source)
    tensors, metadata = read_weights_file(source)
    packed = compress_model_weights(tensors, effort=effort)
    for name, tensor in packed.items():
        try:
            tensor.carriers()
        except CorruptionError as error:
            msg = f"tensor {name!r} does not decode to its values"
            raise VerificationError(msg, path=os.fspath(source)) from error
    packed.metadata.update(metadata)
    with storage.permissions_like(source):
        save_compressed(packed, output, overwrite=overwrite)
    return packed


def restore_weights_file(
    source: str | os.PathLike[str], output: str | os.PathLike[str], *, overwrite: bool = False
) -> CompressedWeights:
    """Restore the weights file of a ``.vxw`` file.

    Parameters
    ----------
    source : str or path
    output : str or path
        Its suffix says the format: ``.safetensors``, or one of torch's (``.pt``, ``.pth``,
        ``.ckpt``, ``.bin``). From a safetensors file to one the bytes are the same; else names,
        types, shapes and bits of all tensors are. What is not a tensor goes to torch's files.
    overwrite : bool
        Whether an existing file may be replaced.

    Returns
    -------
    CompressedWeights
        What was restored.

    Raises
    ------
    NotVortexError, CorruptionError
        ``source`` is something else, or is damaged.
    UnsupportedTypeError
        The suffix names no format, or one that cannot hold a tensor's type.
    OutputError
        The output exists, or cannot be written.
    """
    storage.check_distinct(output, source)
    packed = load_compressed(source)
    kept = packed.metadata.get(ORIGINAL)
    kept = kept if isinstance(kept, dict) else {}
    suffix = Path(output).suffix
    if suffix == SAFETENSORS_SUFFIX:
        arrays = decompress_arrays(packed)
        header = kept.get("header")
        with storage.permissions_like(source), atomic_output(output, overwrite=overwrite) as file:
            write_safetensors(file, arrays, header=header if isinstance(header, str) else None)
    elif suffix in TORCH_SUFFIXES:
        state: Any = decompress_state(packed)
        if "structure" in kept:
            state = _rebuild(kept["structure"], state, os.fspath(source))
        import torch

        with storage.permissions_like(source), atomic_output(output, overwrite=overwrite) as file:
            torch.save(state, file)
    else:
        msg = f"unsupported suffix {suffix!r} of a weights file"
        known = ", ".join((SAFETENSORS_SUFFIX, *TORCH_SUFFIXES))
        raise UnsupportedTypeError(msg, path=os.fspath(output), hint=f"choose one of {known}")
    return packed


def read_weights_file(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Tensors of a weights file by name, and metadata from which it can be restored.

    Parameters
    ----------
    path : str or path
        A file of ``torch.save`` or of safetensors, told apart by what it begins with.

    Returns
    -------
    tensors : dict of str to tensor or array
        Names of tensors in nested dicts and lists are joined by dots.
    metadata : dict
        JSON.

    Raises
    ------
    SourceError
        The file cannot be read, or is something else.
    UnsupportedTypeError
        It holds what is neither a tensor nor JSON.
    """
    name = os.fspath(path)
    try:
        with Path(path).open("rb") as file:
            head = file.read(16)
    except OSError as error:
        msg = f"cannot be read: {error.strerror or error}"
        raise SourceError(msg, path=name) from error
    if looks_like_safetensors(head):
        arrays, header = read_safetensors(path)
        return dict(arrays), {ORIGINAL: {"format": "safetensors", "header": header}}
    if not head.startswith(_TORCH_STARTS):
        ours = head.startswith(MAGIC)
        msg = f"this is {'a vortex_hep file' if ours else 'something else'}, not a weights file"
        hint = "weights files are written by torch.save or safetensors"
        raise SourceError(msg, path=name, hint=hint)
    tensors: dict[str, Any] = {}
    structure = _flatten(_load_torch(name), (), tensors, name)
    return tensors, {ORIGINAL: {"format": "torch", "structure": structure}}


def _load_torch(name: str) -> Any:
    try:
        import torch
    except ImportError as error:
        msg = "reading files of torch needs torch, which is not installed"
        raise UnsupportedFeatureError(msg, path=name, hint="pip install torch") from error
    try:
        return torch.load(name, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = str(error).strip().splitlines()[-1] if str(error).strip() else "damaged"
        msg = f"torch refuses to load it as weights: {reason}"
        hint = "save dicts of tensors, numbers and strings, as state_dict() gives them"
        raise SourceError(msg, path=name, hint=hint) from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        msg = f"torch cannot load it: {str(error).splitlines()[0] if str(error) else 'damaged'}"
        raise SourceError(msg, path=name) from error


# The structure of a torch file in JSON. Every node is a list whose first item says what follows.
_TENSOR, _VALUE, _FLOAT, _LIST, _TUPLE, _DICT, _ORDERED = "tvfludo"


def _flatten(value: Any, place: tuple[Any, ...], tensors: dict[str, Any], path: str) -> list[Any]:
    """Node of a value; its tensors are added to ``tensors``."""
    if is_tensor(value):
        return [_TENSOR, _add(value, place, tensors)]
    if value is None or isinstance(value, (bool, int, str)):
        return [_VALUE, value]
    if isinstance(value, float):
        return [_FLOAT, value.hex()]  # NaN and infinity too, which JSON does not have
    if type(value) in (list, tuple):
        items = [_flatten(v, (*place, i), tensors, path) for i, v in enumerate(value)]
        return [_LIST if type(value) is list else _TUPLE, items]
    if type(value) in (dict, OrderedDict):
        rows = []
        for key, found in value.items():
            if not (key is None or isinstance(key, (bool, int, str))):
                msg = f"the key {key!r} in {_words(place)} is neither string nor integer"
                raise UnsupportedTypeError(msg, path=path)
            rows.append([key, _flatten(found, (*place, key), tensors, path)])
        if type(value) is dict:
            return [_DICT, rows]
        # Versions of modules, which state_dict() keeps in an attribute.
        extra = getattr(value, "_metadata", None)
        return [_ORDERED, rows, _flatten(extra, (*place, "_metadata"), tensors, path)]
    msg = f"{_words(place)} is a {type(value).__name__}, neither a tensor nor JSON"
    raise UnsupportedTypeError(msg, path=path, hint="leave it out of the file")


def _words(place: tuple[Any, ...]) -> str:
    return repr(".".join(map(str, place))) if place else "the top level"


def _add(tensor: Any, place: tuple[Any, ...], tensors: dict[str, Any]) -> str:
    """Add a tensor under the name of its place, or the next that is free, and return it."""
    name = first = ".".join(map(str, place)) or "tensor"
    number = 2
    while name in tensors:
        name = f"{first}#{number}"
        number += 1
    tensors[name] = tensor
    return name


def _rebuild(node: Any, tensors: Mapping[str, Any], path: str) -> Any:
    """Inverse of :func:`_flatten`."""
    try:
        return _value(node, tensors)
    except (KeyError, TypeError, ValueError, IndexError, RecursionError) as error:
        msg = f"invalid 'structure' in the metadata: {json.dumps(node)[:80]}"
        raise CorruptionError(msg, path=path) from error


def _value(node: Any, tensors: Mapping[str, Any]) -> Any:
    kind, content = node[0], node[1]
    if kind == _TENSOR:
        return tensors[content]
    if kind == _VALUE:
        return content
    if kind == _FLOAT:
        return float.fromhex(content)
    if kind in (_LIST, _TUPLE):
        items = [_value(item, tensors) for item in content]
        return items if kind == _LIST else tuple(items)
    if kind not in (_DICT, _ORDERED):
        msg = f"unknown kind {kind!r} of a node"
        raise ValueError(msg)
    rows = [(key, _value(item, tensors)) for key, item in content]
    if kind == _DICT:
        return dict(rows)
    ordered: Any = OrderedDict(rows)
    extra = _value(node[2], tensors)
    if extra is not None:
        ordered._metadata = extra
    return ordered
