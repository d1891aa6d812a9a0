"""Choice of a column coder: all are tried, or the few that a cheap probe points to.

What is chosen only steers the encoder; the decoder follows the stored id.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from vortex_hep.codec.columns import column_coders as cc
from vortex_hep.codec.columns.bytecoders import Lzma, Zstd
from vortex_hep.codec.columns.layouts import BIT_PLANES
from vortex_hep.core.schema import Array
from vortex_hep.errors import UnsupportedTypeError

Effort = Literal["fast", "normal", "max"]
Choice = tuple[int, bytes]

_SAMPLE = 1 << 16
_SMALL = 1 << 12
_LZMA_LEAST = 256
#: Bit planes beyond this many bits lose to the shuffle; not worth the time.
_MAX_PLANES = 16

_FAST_ZSTD = Zstd(level=3)
#: A column with this many items per distinct one is one that repeats itself.
_REPEATS = 16

_PCO_MAX = replace(cc.PCO, level=12)
_LZMA_UNALIGNED = replace(cc.LZMA, bytecoder=Lzma(aligned=False))

#: Per layout: its zstd coder, its LZMA coder, and LZMA's payload over that of zstd -3: between the
#: least decile and the median over 222 NanoAOD columns, so that a chance is not missed.
_LAYOUTS: tuple[tuple[cc.Laid, cc.Laid, float], ...] = (
    (cc.ZSTD, cc.LZMA, 0.72),
    (cc.SHUFFLE_ZSTD, cc.SHUFFLE_LZMA, 0.89),
    (cc.DELTA_ZSTD, cc.DELTA_LZMA, 0.76),
    (cc.DELTA_SHUFFLE_ZSTD, cc.DELTA_SHUFFLE_LZMA, 0.89),
    (cc.BITS_ZSTD, cc.BITS_LZMA, 0.97),
)


def encode_best(array: Array, *, effort: Effort = "normal") -> Choice:
    """Encode a column by the classical coder that makes it smallest.

    Parameters
    ----------
    array : array of a dtype in COLUMN_DTYPES, any shape
        The first axis is the row axis; the coders see the items in C order.
    effort : {"fast", "normal", "max"}
        "max" tries every coder, "normal" those that a probe of up to 64 KiB points to, "fast"
        those that run at 20 MB/s or more.

    Returns
    -------
    coder_id : int
    payload : bytes
        Never larger than the array itself.

    Examples
    --------
    >>> import numpy as np
    >>> coder, payload = encode_best(np.arange(1000, dtype="<i4"))
    >>> decode(coder, payload, "<i4", 1000)[:3]
    array([0, 1, 2], dtype=int32)
    """
    array = cc.check_array(array)
    if array.size == 0:
        return cc.RAW.id, b""
    if cc.is_constant(array):
        return cc.CONSTANT.id, cc.CONSTANT.encode(array)
    raw = (cc.RAW.id, array.tobytes())
    row = math.prod(array.shape[1:])
    if effort == "max":
        return min([raw, *_all(array, row)], key=_size)
    if effort not in ("fast", "normal"):
        msg = f"effort must be one of fast, normal, max, not {effort!r}"
        raise UnsupportedTypeError(msg)
    flat, offset = _arrange(array, row)
    coder, payload = min((_fast if effort == "fast" else _normal)(flat), key=_size)
    if offset:
        payload = row.to_bytes(4, "little") + payload
        return min(raw, (coder + offset, payload), key=_size)
    return min(raw, (coder, payload), key=_size)


def likely_size(array: Array, *, effort: Effort = "normal") -> float:
    """Bytes that :func:`encode_best` would take for a column, judged by a sample of its rows.

    Parameters
    ----------
    array : array, shape (rows, ...)
    effort : {"fast", "normal", "max"}
    """
    rows = len(array)
    width = array.nbytes // max(1, rows)
    if array.nbytes <= 2 * _SAMPLE or rows < 16:
        return float(len(encode_best(array, effort=effort)[1]))
    some = _stretches(array, max(4, _SAMPLE // max(1, width)))
    return len(encode_best(some, effort=effort)[1]) * rows / len(some)


def decode(coder_id: int, payload: bytes, dtype: str | np.dtype[Any], count: int) -> Array:
    """Decode what :func:`encode_best` or one coder encoded.

    Parameters
    ----------
    coder_id : int
    payload : bytes
    dtype : str or dtype
        One of COLUMN_DTYPES.
    count : int
        Number of items, those of inner shapes included.

    Returns
    -------
    array, shape (count,)
        Writable, bit for bit as encoded.

    Raises
    ------
    UnknownCodecError
        No coder has this id.
    CorruptionError
        The payload is not one that decodes to exactly ``count`` items.
    """
    return cc.COLUMN_CODERS.get(coder_id).decode(payload, dtype, count)


def _size(choice: Choice) -> int:
    return len(choice[1])


def _all(array: Array, row: int) -> list[Choice]:
    """Every registered coder that applies, and the costlier settings of some."""
    coders: list[cc.ColumnCoder] = [c for c in cc.COLUMN_CODERS if c.id != cc.CONSTANT.id]
    coders += [_PCO_MAX]
    for _, lzma, _ in _LAYOUTS:
        coders.append(replace(lzma, bytecoder=Lzma(nice_len=273)))
    coders += [_LZMA_UNALIGNED, replace(cc.LZMA, bytecoder=Lzma(nice_len=273, aligned=False))]
    if row > 1:
        coders.append(cc.Components(cc.COMPONENTS + cc.PCO.id, "pco", _PCO_MAX))
    else:
        coders = [c for c in coders if c.id < cc.COMPONENTS]
    return [(c.id, c.encode(array)) for c in coders]


def _arrange(array: Array, row: int) -> tuple[Array, int]:
    """The items in the order that a probe codes best, and what this adds to the coder's id."""
    flat = array.reshape(-1)
    if row < 2 or len(array) < 2:
        return flat, 0
    rows = array.reshape(len(array), row)[: max(2, _SAMPLE // (row * array.itemsize))]
    mixed = min(_size(c) for c in _probe(rows.reshape(-1), 3))
    apart = min(_size(c) for c in _probe(np.ascontiguousarray(rows.T).reshape(-1), 3))
    if mixed <= apart + 4:
        return flat, 0
    return np.ascontiguousarray(array.reshape(len(array), row).T).reshape(-1), cc.COMPONENTS


def _sample(flat: Array) -> Array:
    """Four stretches from all over the column."""
    return flat if flat.nbytes <= _SAMPLE else _stretches(flat, _SAMPLE // flat.itemsize)


def _stretches(array: Array, rows: int) -> Array:
    """Rows from all over a column, in four stretches."""
    length = min(rows // 4, len(array) // 4)
    starts = [i * (len(array) - length) // 3 for i in range(4)]
    return np.concatenate([array[s : s + length] for s in starts])


def _fits_planes(flat: Array) -> bool:
    """Whether the range of an integer column is small enough for bit planes."""
    if flat.dtype.kind == "f":
        return False
    bits = flat.view("u1") if flat.dtype.kind == "b" else flat
    return int(bits.max()) - int(bits.min()) < 1 << _MAX_PLANES


def _probe(flat: Array, level: int) -> list[Choice]:
    """Payloads of pcodec and of every layout under zstd."""
    coder = Zstd(level=level)
    choices = [(cc.PCO.id, cc.PCO.encode(flat))]
    for zstd, _, _ in _LAYOUTS:
        if zstd.layout is BIT_PLANES and not _fits_planes(flat):
            continue
        if flat.itemsize == 1 and zstd.id in (cc.SHUFFLE_ZSTD.id, cc.DELTA_SHUFFLE_ZSTD.id):
            continue  # the same bytes as without the shuffle
        choices.append((zstd.id, replace(zstd, bytecoder=coder).encode(flat)))
    return choices


def _fast(flat: Array) -> list[Choice]:
    probes = _probe(_sample(flat), 3)
    if flat.nbytes <= _SAMPLE:
        return probes
    best = min(probes, key=_size)[0]
    coder = cc.COLUMN_CODERS.get(best)
    if isinstance(coder, cc.Laid):
        coder = replace(coder, bytecoder=_FAST_ZSTD)
    return [(best, coder.encode(flat))]


def _normal(flat: Array) -> list[Choice]:
    sample = _sample(flat)
    probes = _probe(sample, 3)
    sizes = {coder: len(payload) for coder, payload in probes}
    numeric = sizes[cc.PCO.id]
    thorough = [(coder, coder.encode(sample)) for coder in _rivals(sample, sizes)]
    if any(coder is cc.LZMA and len(p) < 1.05 * numeric for coder, p in thorough):
        thorough.append((_LZMA_UNALIGNED, _LZMA_UNALIGNED.encode(sample)))
    least = min((len(payload) for _, payload in thorough), default=numeric)
    if sample is flat:
        choices = probes + [(coder.id, payload) for coder, payload in thorough]
    else:
        chosen = [c for c, payload in thorough if len(payload) == least and least < 1.1 * numeric]
        choices = [(c.id, c.encode(flat)) for c in chosen[:1]]
        if numeric < 1.2 * least and not (flat.nbytes > _SMALL and numeric <= 1.05 * least):
            choices.append((cc.PCO.id, cc.PCO.encode(flat)))
    # The highest level of pcodec gains little on little: half a per cent, at a fifth of the speed.
    if flat.nbytes > _SMALL and numeric <= 1.05 * least:
        choices.append((cc.PCO.id, _PCO_MAX.encode(flat)))
    # Entropy-free bit planes have no stream header: they win on a few dozen flags.
    if flat.nbytes <= _SMALL and _fits_planes(flat):
        choices.append((cc.BITS.id, cc.BITS.encode(flat)))
    return choices


def _rivals(flat: Array, sizes: dict[int, int]) -> list[cc.Laid]:
    """The thorough coders that may beat pcodec, judged by the sizes that the probe found."""
    expected = sorted(
        (sizes[zstd.id] * gain, index)
        for index, (zstd, _, gain) in enumerate(_LAYOUTS)
        if zstd.id in sizes
    )
    within = 1.05 * sizes[cc.PCO.id]
    chosen = [index for size, index in expected[:1] if size < within]
    if 0 not in chosen and (sizes[cc.ZSTD.id] * _LAYOUTS[0][2] < within or _repeats(flat)):
        chosen.append(0)  # repeats at a distance are where LZMA gains most on zstd -3
    coders = []
    for index in chosen:
        zstd, lzma, _ = _LAYOUTS[index]
        # LZMA sets up for a fifth of a millisecond, whatever the size.
        if flat.nbytes > _LZMA_LEAST:
            coders.append(lzma)
        # With the bytes in planes, zstd -19 is as good; without, it is not.
        if index or flat.nbytes <= _SMALL:
            coders.append(zstd)
    return coders


def _repeats(flat: Array) -> bool:
    """Whether a column of wide items holds few distinct ones: sequences of them may recur."""
    if flat.itemsize < 4 or flat.nbytes <= _SMALL:
        return False
    ordered = np.sort(flat.view(f"u{flat.itemsize}"))
    distinct = int(np.count_nonzero(ordered[1:] != ordered[:-1])) + 1
    return distinct * _REPEATS < len(flat)
