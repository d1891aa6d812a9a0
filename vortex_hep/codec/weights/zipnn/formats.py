"""Data types of weights: names, widths, and the fields of their bits (SPEC 10.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from vortex_hep.errors import UnsupportedTypeError

#: Key in a numpy dtype's metadata that names a type which numpy lacks.
FLAG = "weights"


@dataclass(frozen=True)
class WeightFormat:
    """One data type of weights.

    Parameters
    ----------
    name : str
        As torch and numpy call it; stored in files.
    carrier : str
        Column dtype whose items have the same bits. A complex number is two of them.
    parts : int
        Carriers of an item.
    exponent, mantissa : int
        Bits of these fields of a carrier, which has one sign bit above them; both are 0 where a
        carrier is not split.
    """

    name: str
    carrier: str
    parts: int = 1
    exponent: int = 0
    mantissa: int = 0

    @property
    def width(self) -> int:
        """Bytes of a carrier."""
        return np.dtype(self.carrier).itemsize

    @property
    def itemsize(self) -> int:
        """Bytes of an item."""
        return self.width * self.parts

    @property
    def dtype(self) -> np.dtype[Any]:
        """The numpy dtype of decoded arrays.

        Where numpy has no such type, it is that of unsigned integers with the same bits, and
        its metadata say what they are.

        Examples
        --------
        >>> FORMATS["float32"].dtype, FORMATS["bfloat16"].dtype.name
        (dtype('float32'), 'uint16')
        >>> FORMATS["bfloat16"].dtype.metadata["weights"]
        'bfloat16'
        """
        if self.name in _NUMPY:
            little: np.dtype[Any] = np.dtype(np.dtype(self.name).newbyteorder("<").str)
            return little
        return np.dtype(f"<u{self.itemsize}", metadata={FLAG: self.name})


_ALL = (
    WeightFormat("float64", "<f8", 1, 11, 52),
    WeightFormat("float32", "<f4", 1, 8, 23),
    WeightFormat("float16", "<f2", 1, 5, 10),
    WeightFormat("bfloat16", "<u2", 1, 8, 7),
    WeightFormat("float8_e4m3fn", "|u1", 1, 4, 3),
    WeightFormat("float8_e4m3fnuz", "|u1", 1, 4, 3),
    WeightFormat("float8_e5m2", "|u1", 1, 5, 2),
    WeightFormat("float8_e5m2fnuz", "|u1", 1, 5, 2),
    WeightFormat("float8_e8m0fnu", "|u1"),
    WeightFormat("float4_e2m1fn_x2", "|u1"),
    WeightFormat("complex128", "<f8", 2, 11, 52),
    WeightFormat("complex64", "<f4", 2, 8, 23),
    WeightFormat("complex32", "<f2", 2, 5, 10),
    WeightFormat("int64", "<i8"),
    WeightFormat("int32", "<i4"),
    WeightFormat("int16", "<i2"),
    WeightFormat("int8", "|i1"),
    WeightFormat("uint64", "<u8"),
    WeightFormat("uint32", "<u4"),
    WeightFormat("uint16", "<u2"),
    WeightFormat("uint8", "|u1"),
    WeightFormat("bool", "|b1"),
)

#: Every type of weights that a file can hold, by name; names never change their meaning.
FORMATS = {found.name: found for found in _ALL}

_NUMPY = frozenset(
    f.name for f in _ALL if not f.name.startswith(("bfloat", "float8", "float4", "complex32"))
)


def format_of_name(name: str, where: str) -> WeightFormat:
    """The format of this name; ``where`` names the tensor in the error.

    Raises
    ------
    UnsupportedTypeError
        There is none.
    """
    found = FORMATS.get(name)
    if found is None:
        msg = f"{where} has the unsupported dtype {name}, expected one of {', '.join(FORMATS)}"
        raise UnsupportedTypeError(msg)
    return found


def format_of_dtype(dtype: np.dtype[Any], where: str) -> WeightFormat:
    """The format of a numpy array, flagged ones and those of the package ml_dtypes included.

    Raises
    ------
    UnsupportedTypeError
        There is none, or the array is big-endian.
    """
    marks: Mapping[str, Any] = dtype.metadata or {}
    flagged = marks.get(FLAG)
    found = format_of_name(str(flagged or dtype.name), where)
    if dtype.itemsize != found.itemsize:
        msg = f"{where} has items of {dtype.itemsize} bytes; {found.name} has {found.itemsize}"
        raise UnsupportedTypeError(msg)
    if dtype.newbyteorder("<") != dtype:
        msg = f"{where} is big-endian"
        raise UnsupportedTypeError(msg, hint="convert it with .astype(a.dtype.newbyteorder('<'))")
    return found
