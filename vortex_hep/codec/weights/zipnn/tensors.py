"""Tensors of torch and arrays of numpy as flat bits.

The only module of the codec that knows torch, and it imports it only once a tensor is at hand or
asked for.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, NamedTuple

import numpy as np

from vortex_hep.codec.weights.zipnn.formats import WeightFormat, format_of_dtype, format_of_name
from vortex_hep.core.schema import Array
from vortex_hep.errors import UnsupportedFeatureError, UnsupportedTypeError


class Bits(NamedTuple):
    """What a tensor is.

    Parameters
    ----------
    format : WeightFormat
    shape : tuple of int
    tie : hashable
        Equal for tensors that are the same memory in the same order.
    """

    format: WeightFormat
    shape: tuple[int, ...]
    tie: Hashable


def state_of(model: Any) -> dict[str, Any]:
    """Tensors by name, of a module or of a mapping.

    Raises
    ------
    UnsupportedTypeError
        ``model`` is neither, or a name is not a string.
    """
    state = model.state_dict() if hasattr(model, "state_dict") else model
    if not isinstance(state, Mapping):
        msg = f"expected a module, or a mapping of names to tensors, got {type(model).__name__}"
        raise UnsupportedTypeError(msg)
    for name in state:
        if not isinstance(name, str):
            msg = f"the name of a tensor must be a string, not {name!r}"
            raise UnsupportedTypeError(msg)
    return dict(state)


def is_tensor(value: Any) -> bool:
    """Whether ``value`` is a tensor of torch; asking does not import it."""
    return hasattr(value, "untyped_storage") and hasattr(value, "detach")


def describe(value: Any, name: str) -> Bits:
    """Format, shape and memory of a tensor or array.

    Raises
    ------
    UnsupportedTypeError
        It is something else, or of a type that cannot be represented.
    """
    where = f"the tensor {name!r}"
    if not is_tensor(value):
        if not isinstance(value, np.ndarray):
            msg = f"{name!r} is not a tensor but a {type(value).__name__}"
            raise UnsupportedTypeError(msg, hint="leave it out, or keep it as metadata")
        memory = value.__array_interface__["data"][0]
        found = format_of_dtype(value.dtype, where)
        tie: Hashable = ("numpy", memory, found.name, value.shape, value.strides)
        return Bits(found, value.shape, tie if value.size else id(value))
    import torch

    if value.layout != torch.strided or value.is_quantized or value.device.type == "meta":
        kind = "quantized" if value.is_quantized else f"{value.layout} on {value.device}"
        msg = f"{where} is {kind}: only dense tensors with data can be stored"
        raise UnsupportedTypeError(msg)
    found = format_of_name(str(value.dtype).removeprefix("torch."), where)
    shape = tuple(value.shape)
    marks = (str(value.device), value.is_conj(), value.is_neg(), value.stride())
    tie = ("torch", value.data_ptr(), found.name, shape, *marks)
    return Bits(found, shape, tie if value.numel() else id(value))


def carriers_of(value: Any, wf: WeightFormat) -> Array:
    """Flat array of the carriers of a tensor or array, in C order; a view where it can be one."""
    if not is_tensor(value):
        flat = np.ascontiguousarray(value).reshape(-1)
        return flat.view(f"<u{wf.width}").view(wf.carrier)
    import torch

    dense = value.detach().resolve_conj().resolve_neg().cpu().contiguous().reshape(-1)
    if not dense.numel():  # views of empty tensors as another type are not allowed everywhere
        return np.empty(0, wf.carrier)
    flat_bytes: Array = dense.view(torch.uint8).numpy()
    return flat_bytes.view(wf.carrier)


def to_array(carriers: Array, wf: WeightFormat, shape: tuple[int, ...]) -> Array:
    """The numpy array of decoded carriers."""
    return carriers.view(wf.dtype).reshape(shape)


def to_tensor(carriers: Array, wf: WeightFormat, shape: tuple[int, ...]) -> Any:
    """The tensor of decoded carriers, on the CPU.

    Raises
    ------
    UnsupportedFeatureError
        There is no torch, or it has no such type.
    """
    try:
        import torch
    except ImportError as error:
        msg = "tensors need torch, which is not installed"
        hint = "pip install torch; decompress_arrays() does without"
        raise UnsupportedFeatureError(msg, hint=hint) from error
    dtype = getattr(torch, wf.name, None)
    if dtype is None:
        msg = f"torch {torch.__version__} has no type {wf.name}"
        raise UnsupportedFeatureError(msg, hint="update torch")
    if not carriers.size:
        return torch.empty(shape, dtype=dtype)
    return torch.from_numpy(carriers.view("u1")).view(dtype).reshape(shape)


def write_into(target: Any, source: Array, wf: WeightFormat) -> None:
    """Overwrite a tensor or array with the bits of decoded carriers of the same format."""
    if not is_tensor(target):
        np.copyto(target, source.view(target.dtype).reshape(target.shape))
        return
    import torch

    tensor = to_tensor(source, wf, tuple(target.shape))
    integer = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    with torch.no_grad():
        target, tensor = target.detach(), tensor.detach()
        if wf.itemsize == 16:  # no integer is as wide: by real and imaginary parts
            target, tensor = torch.view_as_real(target), torch.view_as_real(tensor)
        kind = integer[min(8, wf.itemsize)]
        target.view(kind).copy_(tensor.view(kind))
