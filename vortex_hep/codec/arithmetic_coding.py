"""Arithmetic coding of whole batches with torchac, from probabilities that a model computed.

This is a tool for research on models: it turns a tensor of probabilities and a tensor of symbols
into bytes and back, so that what a model promises can be held against bytes that decode.

It is *not* what archives are made with, and its streams are no archives:

* A stream is bits and nothing else: no length, no name of a model, no checksum. Damage, and
  probabilities other than those of the encoder, give wrong symbols without any error.
* The decoder needs **the very same probabilities, bit for bit**. What a network computes in
  floating point depends on the device, the library's version, the number of threads and the shape
  of the batch, so in practice: the same machine, device and batch on both sides. Given the same
  bits of the probabilities, the integers made of them are the same everywhere.
* All probabilities are needed before the first symbol is decoded, so a model that predicts from
  what was decoded before cannot use it.

To store data use archives (:func:`vortex_hep.compress_file`): their lane coder
(:mod:`vortex_hep.codec.tokens.rans`) is driven by networks in integer arithmetic, which give the
same frequencies on every machine, and everything in them is under a checksum.

torchac compiles its coder when it is first used, which takes half a minute or more, once per
environment. It is imported here only when something is coded.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import threading
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vortex_hep.core.compiled import kernel
from vortex_hep.core.install import install_hint
from vortex_hep.errors import CorruptionError, UnsupportedFeatureError, UnsupportedTypeError

__all__ = ["decode", "encode", "probs_to_cdf", "theoretical_bpd"]

PRECISION = 16
TOTAL = 1 << PRECISION
#: Symbols are int16, and none is negative.
MAX_SYMBOLS = 1 << 15
#: By how much probabilities may miss a sum of 1: what bfloat16 leaves after a softmax is less.
TOLERANCE = 0.01

#: torchac counts the entries of its table in a signed 32-bit integer, unchecked.
_MAX_ENTRIES = (1 << 31) - 1
#: Probabilities become integers with this many bits: eight more than a frequency can show.
_WEIGHT_BITS = 24
#: Bits of the fixed-point factor that scales weights to frequencies; products stay below 2**62.
_SCALE_BITS = 46
#: Entries turned into integers at a time, for what has to be converted to float32 first.
_BLOCK = 1 << 20

_HINT = f"{install_hint('torchac')}; a C++ compiler (g++ or clang++) is needed too"
#: Held while PATH is another one.
_importing = threading.Lock()


@kernel
def _fill_cdf(probs, cdf):  # type: ignore[no-untyped-def]
    """Fill one row of ``cdf`` per row of probabilities; return where that was not possible.

    With weights ``w = floor(p * 2**24 + 1/2)`` of sum ``S``, a symbol that deserves more than one
    of the 65536 parts, ``e = max(0, 65536 * w - S)``, gets one part and its share of what is left
    when every symbol has one: frequencies are 1 + e * (65536 - V) / sum(e), rounded so that their
    running sum is off by half a part at most. All is done in integers, whose sums have no order.

    Parameters
    ----------
    probs : float32 or float64 array, shape (rows, V)
    cdf : uint16 array, shape (rows, V + 1)
        The last entry of each row, 65536, is written as 0.

    Returns
    -------
    int, int
        Row and column of the first value that is no probability; column V for a row with a wrong
        sum; (-1, -1) if all is well.
    """
    rows, size = probs.shape
    one = np.int64(1) << _WEIGHT_BITS
    half = np.int64(1) << (_SCALE_BITS - 1)
    slack = np.int64(one * TOLERANCE)
    excess = np.empty(size, np.int64)
    for row in range(rows):
        total = np.int64(0)
        for k in range(size):
            p = np.float64(probs[row, k])
            # Written so that NaN fails too. Far above 1 is caught here, the rest by the sum.
            if not (p >= 0.0 and p <= 2.0):
                return row, k
            weight = np.int64(p * one + 0.5)
            excess[k] = weight
            total += weight
        if abs(total - one) > slack:
            return row, size
        above = np.int64(0)
        for k in range(size):
            excess[k] = max(np.int64(0), (excess[k] << PRECISION) - total)
            above += excess[k]
        # The sum of 65536 * w - S over all symbols is (65536 - V) * S, and leaving out what is
        # negative makes it larger: it is not zero.
        scale = (np.int64(TOTAL - size) << _SCALE_BITS) // above
        below = np.int64(0)
        for k in range(size):
            cdf[row, k] = k + ((below * scale + half) >> _SCALE_BITS)
            below += excess[k]
        cdf[row, size] = 0
    return -1, -1


def probs_to_cdf(probs: Tensor) -> Tensor:
    """Turn probabilities into the integer CDF that torchac codes with.

    Every symbol gets at least one of 65536 parts, whatever its probability, so each can be coded,
    at no more than 16 bits. What these parts are in excess of the probabilities is taken from the
    symbols that have more than one.

    Parameters
    ----------
    probs : floating-point tensor, shape (..., V)
        Probabilities of V symbols, 1 to 32768; on any device. Each row sums to 1 within 1 %.

    Returns
    -------
    int16 tensor on the CPU, shape (..., V + 1)
        Bits of uint16 numbers that rise strictly from 0; the last entry stands for 65536 and is 0.

    Raises
    ------
    UnsupportedTypeError
        ``probs`` is no floating-point tensor, has no or too many symbols, holds a value that is
        no probability, or a row with another sum; the message names the place.

    Notes
    -----
    The result is a function of the values alone: not of their type, layout, device or batch, nor
    of threads.

    Examples
    --------
    >>> probs_to_cdf(torch.tensor([0.5, 0.25, 0.25, 0.0])).numpy().view("uint16").tolist()
    [0, 32767, 49151, 65535, 0]
    """
    shape = _check_probs(probs)
    flat = probs.detach().reshape(-1, shape[-1])
    exact = torch.float64 if probs.dtype == torch.float64 else torch.float32
    cdf = np.empty((len(flat), shape[-1] + 1), np.uint16)
    step = max(1, _BLOCK // shape[-1])
    for start in range(0, len(flat), step):
        block = flat[start : start + step].to("cpu", exact).numpy()
        row, column = _fill_cdf(block, cdf[start : start + step])
        if row >= 0:
            raise UnsupportedTypeError(_fault(shape, start + row, column, block[row]))
    return torch.from_numpy(cdf.view(np.int16)).reshape(*shape[:-1], shape[-1] + 1)


def encode(probs: Tensor, symbols: Tensor) -> bytes:
    """Encode symbols to one stream.

    Parameters
    ----------
    probs : floating-point tensor, shape (B, T, V)
        What the model expects at each place; see :func:`probs_to_cdf`.
    symbols : integer tensor, shape (B, T)
        From 0 to V - 1.

    Returns
    -------
    bytes
        Empty if there are no symbols.

    Raises
    ------
    UnsupportedTypeError
        Shapes, types or values that cannot be coded; more than 2**31 - 1 entries of a CDF.
    UnsupportedFeatureError
        torchac, ninja or a compiler is missing.
    """
    _check_symbols(probs, symbols)
    if not symbols.numel():
        return b""
    flat = symbols.detach().reshape(-1).to("cpu", torch.int16)
    cdf = probs_to_cdf(probs).reshape(len(flat), -1)
    return bytes(_torchac().encode_int16_normalized_cdf(cdf, flat))


def decode(bitstring: bytes, probs: Tensor) -> Tensor:
    """Decode what :func:`encode` wrote with the same probabilities.

    Parameters
    ----------
    bitstring : bytes
    probs : floating-point tensor, shape (B, T, V)
        Bit for bit those that the encoder had: nothing in the stream tells whether they are.

    Returns
    -------
    int16 tensor on the CPU, shape (B, T)

    Raises
    ------
    CorruptionError
        The stream is empty and symbols are wanted, or the other way round. Other damage is not
        noticed.
    UnsupportedTypeError, UnsupportedFeatureError
        As for :func:`encode`.
    """
    shape = _check_probs(probs)[:-1]
    count = shape.numel()
    if bool(bitstring) != bool(count):
        msg = f"a stream of {len(bitstring)} bytes cannot hold {count} symbols"
        raise CorruptionError(msg)
    if not count:
        return torch.empty(shape, dtype=torch.int16)
    cdf = probs_to_cdf(probs).reshape(count, -1)
    symbols: Tensor = _torchac().decode_int16_normalized_cdf(cdf, bytes(bitstring))
    return symbols.reshape(shape)


def theoretical_bpd(probs: Tensor, symbols: Tensor) -> Tensor:
    """Cross entropy in bits per symbol: what coding costs, and what training makes smaller.

    Parameters
    ----------
    probs : floating-point tensor, shape (B, T, V)
    symbols : integer tensor, shape (B, T)
        From 0 to V - 1; with bytes as symbols the result is in bits per byte.

    Returns
    -------
    tensor without dimensions
        float32, or float64 where ``probs`` is; on their device, and differentiable.

    Raises
    ------
    UnsupportedTypeError
        Shapes or types do not fit, a symbol is out of range, or there is none.

    Notes
    -----
    Streams of :func:`encode` are this long where no probability is far below 2**-16; a symbol never
    costs more than 16 bits there. A probability of 0 counts as the smallest normal number of the
    result's type (126 bits in float32), so that the result is finite.

    Examples
    --------
    >>> data = torch.tensor([[1, 2, 250]], dtype=torch.uint8)
    >>> float(theoretical_bpd(torch.full((1, 3, 256), 1 / 256), data))
    8.0
    """
    _check_symbols(probs, symbols)
    if not symbols.numel():
        raise UnsupportedTypeError("no symbols: their cross entropy is not defined")
    index = symbols.detach().to(probs.device, torch.int64).unsqueeze(-1)
    chosen = probs.gather(-1, index)
    if chosen.dtype != torch.float64:
        chosen = chosen.float()
    return -chosen.clamp_min(torch.finfo(chosen.dtype).tiny).log2().mean()


def _check_probs(probs: object) -> torch.Size:
    """Return the shape of probabilities, or raise UnsupportedTypeError."""
    if not isinstance(probs, Tensor) or not probs.is_floating_point():
        what = probs.dtype if isinstance(probs, Tensor) else type(probs).__name__
        raise UnsupportedTypeError(f"probabilities are a floating-point tensor, not {what}")
    shape = probs.shape
    if not shape or not 1 <= shape[-1] <= MAX_SYMBOLS:
        raise UnsupportedTypeError(
            f"probabilities of shape {tuple(shape)}: the last dimension has 1 to {MAX_SYMBOLS}"
            " symbols"
        )
    entries = shape[:-1].numel() * (shape[-1] + 1)
    if entries > _MAX_ENTRIES:
        raise UnsupportedTypeError(
            f"probabilities of shape {tuple(shape)} are too many for one stream: {entries} entries"
            f" of a CDF, at most {_MAX_ENTRIES}",
            hint="encode smaller batches",
        )
    return shape


def _check_symbols(probs: object, symbols: object) -> None:
    """Raise UnsupportedTypeError unless the symbols are some that the probabilities speak of."""
    shape = _check_probs(probs)
    if not isinstance(symbols, Tensor) or symbols.is_floating_point() or symbols.is_complex():
        what = symbols.dtype if isinstance(symbols, Tensor) else type(symbols).__name__
        raise UnsupportedTypeError(f"symbols are an integer tensor, not {what}")
    if symbols.shape != shape[:-1]:
        raise UnsupportedTypeError(
            f"symbols of shape {tuple(symbols.shape)} do not go with probabilities of shape"
            f" {tuple(shape)}"
        )
    # As int64, for uint8 holds no V above 255 and uint16 has few operations.
    values = symbols.detach().to(torch.int64)
    wrong = ((values < 0) | (values >= shape[-1])).nonzero()
    if len(wrong):
        place = wrong[0].tolist()
        raise UnsupportedTypeError(
            f"symbols{place} is {int(values[tuple(place)])}, but there are {shape[-1]} symbols"
        )


def _fault(shape: torch.Size, row: int, column: int, values: npt.NDArray[Any]) -> str:
    """Say what is wrong with a row of probabilities, at its place in the caller's tensor."""
    place = [int(i) for i in np.unravel_index(row, shape[:-1])] if len(shape) > 1 else []
    if column < len(values):
        return f"probs{[*place, column]} is {float(values[column])!r}, which is no probability"
    total = float(values.sum(dtype=np.float64))
    return f"probs{place} sums to {total:.6g}, not to 1: probabilities are wanted, not logits"


def _torchac() -> Any:
    """Import torchac, and compile it if that was not done before.

    Raises
    ------
    UnsupportedFeatureError
        It is not installed, or cannot be compiled.
    """
    with _importing, warnings.catch_warnings():
        # torch warns of compilers that it does not know.
        warnings.simplefilter("ignore")
        before = os.environ.get("PATH")
        # Scripts of this environment come first, whether it is activated or not: there the package
        # `ninja` puts its program, and with another one all would be compiled again.
        ours = str(Path(sys.executable).parent)
        os.environ["PATH"] = ours if not before else ours + os.pathsep + before
        try:
            _compile_quietly()
            return importlib.import_module("torchac")
        except (ImportError, OSError, RuntimeError, subprocess.SubprocessError) as error:
            missing = isinstance(error, ModuleNotFoundError) and error.name == "torchac"
            what = "is not installed" if missing else f"cannot be compiled: {_reason(error)}"
            raise UnsupportedFeatureError(f"torchac {what}", hint=_HINT) from error
        finally:
            if before is None:
                del os.environ["PATH"]
            else:
                os.environ["PATH"] = before


def _compile_quietly() -> None:
    """Compile what torchac compiles on import, without the compiler's words on standard output."""
    spec = None if "torchac" in sys.modules else find_spec("torchac")
    for folder in (spec and spec.submodule_search_locations) or ():
        source = Path(folder).resolve() / "backend" / "torchac_backend.cpp"
        if source.is_file():
            from torch.utils.cpp_extension import load

            load(name="torchac_backend", sources=[str(source)], verbose=False)


def _reason(error: BaseException) -> str:
    """Return the line of a compiler's output that says why it failed, or else the first one."""
    lines = str(error).splitlines() or [type(error).__name__]
    telling = (line for line in lines[1:] if "error:" in line or "not found" in line)
    return next(telling, lines[0])
