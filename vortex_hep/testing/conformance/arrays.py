"""Values that lossless codes get wrong: arrays of every dtype, with all that bits can be.

Nothing here is random from run to run: generators are seeded.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from vortex_hep.core.schema import COLUMN_DTYPES, Array

#: Bits of the floats that are easily lost: quiet and signalling NaNs with payloads and either sign,
#: zeros and infinities of either sign, the smallest and largest denormal, the smallest normal and
#: the largest finite number, one, and its neighbour. By dtype.
FLOAT_BITS: dict[str, tuple[int, ...]] = {
    "<f2": (
        0x7E00, 0x7E01, 0xFE55, 0x7C01, 0xFFFF, 0x0000, 0x8000, 0x7C00, 0xFC00, 0x0001, 0x8001,
        0x03FF, 0x0400, 0x7BFF, 0xFBFF, 0x3C00, 0x3C01,
    ),
    "<f4": (
        0x7FC00000, 0x7FC00001, 0xFFC12345, 0x7F800001, 0x7FA00001, 0xFFFFFFFF, 0x00000000,
        0x80000000, 0x7F800000, 0xFF800000, 0x00000001, 0x80000001, 0x007FFFFF, 0x00800000,
        0x7F7FFFFF, 0xFF7FFFFF, 0x3F800000, 0x3F800001,
    ),
    "<f8": (
        0x7FF8 << 48, (0x7FF8 << 48) + 1, (0xFFF8 << 48) + 0x12345, (0x7FF0 << 48) + 1,
        (1 << 64) - 1, 0, 1 << 63, 0x7FF0 << 48, 0xFFF0 << 48, 1, (1 << 63) + 1, (1 << 52) - 1,
        1 << 52, (0x7FF0 << 48) - 1, (0xFFF0 << 48) - 1, 0x3FF0 << 48, (0x3FF0 << 48) + 1,
    ),
}  # fmt: skip


def special_values(dtype: str | np.dtype[Any]) -> Array:
    """Return the values of a dtype that are easily lost.

    Parameters
    ----------
    dtype : str or dtype
        One of :data:`~vortex_hep.core.schema.COLUMN_DTYPES`.

    Returns
    -------
    array of that dtype, shape (n,)
        For floats :data:`FLOAT_BITS`, for integers the ends of the range and what is next to them
        and to zero, for booleans every byte.

    Examples
    --------
    >>> special_values("<i2")
    array([-32768, -32767,     -1,      0,      1,  32766,  32767], dtype=int16)
    """
    found = np.dtype(dtype)
    if found.kind == "b":
        return np.frombuffer(bytes(range(256)), found)
    if found.kind == "f":
        return np.array(FLOAT_BITS[found.str], f"<u{found.itemsize}").view(found)
    info = np.iinfo(found)
    ends = {info.min, info.min + 1, info.max - 1, info.max, 0, 1}
    return np.array(sorted(ends | ({-1} if info.min else set())), found)


def special_arrays(dtype: str | np.dtype[Any], *, seed: int = 0) -> dict[str, Array]:
    """Return arrays of a dtype that between them have all that a column can have, by name.

    Empty; one item; special values alone, repeated and among usual ones; constant, also of a NaN;
    any bits; few values; rising; rows of several items; no rows; not contiguous; for half floats
    every bit pattern.

    Parameters
    ----------
    dtype : str or dtype
        One of :data:`~vortex_hep.core.schema.COLUMN_DTYPES`.
    seed : int
        Of the random ones.

    Examples
    --------
    >>> arrays = special_arrays("<f4")
    >>> arrays["not contiguous"].flags.c_contiguous
    False
    """
    found = np.dtype(dtype)
    rng = np.random.default_rng(seed)
    special = special_values(found)
    noise = np.frombuffer(rng.bytes(300 * found.itemsize), found)
    usual = rng.integers(0, 2 if found.kind == "b" else 100, 257).astype(found)
    mixed = usual.copy()
    mixed[::5] = np.resize(special, len(mixed[::5]))
    out = {
        "empty": np.empty(0, found),
        "one item": special[:1].copy(),
        "special values": special,
        "special values, repeated": np.tile(special, 3),
        "special values among usual ones": mixed,
        "constant": np.repeat(special[-1:], 100),
        "constant, first special value": np.repeat(special[:1], 100),
        "any bits": noise,
        "few values": noise[rng.integers(0, 3, 200)],
        "rising": np.cumsum(rng.integers(0, 3, 200)).astype(found),
        "rows of several items": noise[:240].reshape(40, 3, 2),
        "no rows of several items": np.empty((0, 3), found),
        "not contiguous": noise[:200].reshape(2, 100).T[::3],
    }
    if found.str == "<f2":
        out["every bit pattern"] = np.arange(1 << 16, dtype="<u2").view("<f2")
    return out


def column_arrays(*, seed: int = 0) -> dict[str, Array]:
    """Return :func:`special_arrays` of every dtype that a column may have, by dtype and name.

    Examples
    --------
    >>> len({array.dtype for array in column_arrays().values()})
    12
    """
    return {
        f"{dtype} {name}": array
        for dtype in COLUMN_DTYPES
        for name, array in special_arrays(dtype, seed=seed).items()
    }


def jagged_counts(entries: int, *, seed: int = 0, longest: int = 4) -> Array:
    """Return lengths of lists, many of them zero: the first, the last and a run between are empty.

    Parameters
    ----------
    entries : int
    seed : int
    longest : int

    Examples
    --------
    >>> counts = jagged_counts(30)
    >>> int(counts[0]), int(counts[-1]), int(counts[10:20].sum())
    (0, 0, 0)
    """
    counts = np.random.default_rng(seed).integers(0, longest + 1, entries)
    counts[[0, -1] if entries else []] = 0
    counts[entries // 3 : 2 * entries // 3] = 0
    return counts.astype(np.int64)


def odd_events(entries: int = 60, *, seed: int = 0) -> dict[str, Any]:
    """Return arrays as ``compress_tree`` takes them: scalars, lists and rows of every dtype.

    Parameters
    ----------
    entries : int
        With 0, nothing but empty arrays.
    seed : int

    Returns
    -------
    dict of str to array
        NumPy arrays, of one or several items per entry, and jagged awkward arrays.

    Examples
    --------
    >>> events = odd_events(10)
    >>> events["scalar_f4"].dtype, len(events["list_f4"])
    (dtype('float32'), 10)
    """
    import awkward as ak

    out: dict[str, Any] = {}
    for number, dtype in enumerate(COLUMN_DTYPES):
        name = np.dtype(dtype).str[1:]
        # A boolean of libraries is 0 or 1; other bytes are only in files.
        special = special_values(dtype) if dtype != "|b1" else np.array([True, False, False])
        counts = jagged_counts(entries, seed=seed + number)
        out[f"scalar_{name}"] = np.resize(special, entries)
        out[f"matrix_{name}"] = np.resize(special, (entries, 2, 3))
        out[f"list_{name}"] = ak.unflatten(np.resize(special, int(counts.sum())), counts)
    return out
