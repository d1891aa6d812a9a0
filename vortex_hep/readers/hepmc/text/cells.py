"""Numbers of particles and positions: digits on lines as columns, and back."""

# ruff: noqa: ANN001, ANN202
from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vortex_hep.core.compiled import kernel
from vortex_hep.core.schema import Array
from vortex_hep.readers.hepmc.text.body3 import NEGATIVE
from vortex_hep.readers.hepmc.text.numbers import (
    BARE_ZERO,
    NUMBER,
    ODD,
    digits_of,
    double_of,
    printed,
    to_double,
)
from vortex_hep.readers.hepmc.text.tokens import LAST_DECIMAL


class Style(NamedTuple):
    """How the numbers of a group of columns are printed.

    Parameters
    ----------
    precision : int
        Digits behind the point of ``"%.{precision}e"``.
    bare : bool
        Whether zero is printed as ``0``.
    """

    precision: int
    bare: bool

    @property
    def decimal(self) -> bool:
        """Whether columns hold digits and exponents, not doubles."""
        return self.precision <= LAST_DECIMAL

    @property
    def zero(self) -> int:
        """Kind of cell that a zero is."""
        return BARE_ZERO if self.bare else NUMBER


class Cells(NamedTuple):
    """Numbers as they stand on lines.

    Parameters
    ----------
    kinds : uint8 array
    digits : int64 array
    exponents : int16 array
    """

    kinds: Array
    digits: Array
    exponents: Array


def empty_cells(size: int) -> Cells:
    """Room for some numbers."""
    return Cells(np.zeros(size, np.uint8), np.zeros(size, np.int64), np.zeros(size, np.int16))


_SURE, _OTHER, _UNSURE = 0, 1, 2


@kernel
def _to_bits(kinds, digits, exponents, precision, zero, bits, state):  # type: ignore[no-untyped-def]
    for k in range(len(kinds)):
        bits[k] = 0
        state[k] = _SURE
        if kinds[k] == ODD:
            state[k] = _OTHER
            continue
        sign = np.int64(-0x8000000000000000) if kinds[k] == NEGATIVE else np.int64(0)
        if digits[k] == 0:
            bits[k] = sign
            if kinds[k] != NEGATIVE and kinds[k] != zero:
                state[k] = _OTHER
            continue
        value, sure = to_double(digits[k], exponents[k] - precision)
        if not sure:
            state[k] = _UNSURE
            continue
        again, exponent, sure = digits_of(value, precision)
        if not sure:
            state[k] = _UNSURE
        elif again != digits[k] or exponent != exponents[k]:
            state[k] = _OTHER
        bits[k] = value | sign


@kernel
def _from_bits(bits, precision, zero, kinds, digits, exponents):  # type: ignore[no-untyped-def]
    unsure = 0
    for k in range(len(bits)):
        kinds[k] = NEGATIVE if bits[k] < 0 else NUMBER
        if bits[k] == 0:
            kinds[k] = zero
        digits[k], exponents[k], sure = digits_of(bits[k], precision)
        if not sure:
            digits[k] = -1
            unsure += 1
    return unsure


def printed_cell(cells: Cells, k: int, precision: int) -> bytes:
    """Text of a cell that is not odd."""
    if cells.kinds[k] == BARE_ZERO:
        return b"0"
    digits = str(int(cells.digits[k])).zfill(precision + 1)
    sign = "-" if cells.kinds[k] == NEGATIVE else ""
    point = "." if precision else ""
    return f"{sign}{digits[0]}{point}{digits[1:]}e{int(cells.exponents[k]):+03d}".encode()


def to_doubles(cells: Cells, style: Style) -> tuple[Array, Array]:
    """Doubles that print as the cells stand, and which cells no double gives."""
    bits, state = np.empty(len(cells.kinds), np.int64), np.empty(len(cells.kinds), np.uint8)
    _to_bits(*cells, style.precision, style.zero, bits, state)
    for k in np.flatnonzero(state == _UNSURE).tolist():
        value = double_of(printed_cell(cells, k, style.precision).decode())
        digits, exponent = printed(value, style.precision)
        same = (digits, exponent) == (cells.digits[k], cells.exponents[k])
        bits[k], state[k] = (value, _SURE) if same else (0, _OTHER)
    other = state == _OTHER
    bits[other] = 0
    return bits.view(np.float64), other


def to_decimals(cells: Cells, style: Style) -> tuple[Array, Array, Array]:
    """Digits with sign, exponents, and which cells these do not give."""
    negative = cells.kinds == NEGATIVE
    zero = cells.digits == 0
    other = (cells.kinds == ODD) | (zero & (negative | (cells.kinds != style.zero)))
    digits = np.where(negative, -cells.digits, cells.digits)
    digits[other] = 0
    exponents = np.where(other, 0, cells.exponents).astype(np.int16)
    return digits, exponents, other


def from_doubles(values: Array, style: Style) -> Cells:
    """Print doubles; the inverse of :func:`to_doubles`."""
    bits = np.ascontiguousarray(values).view(np.int64)
    cells = empty_cells(len(bits))
    if _from_bits(bits, style.precision, style.zero, *cells):
        for k in np.flatnonzero(cells.digits < 0).tolist():
            cells.digits[k], cells.exponents[k] = printed(int(bits[k]), style.precision)
    return cells


def from_decimals(digits: Array, exponents: Array, style: Style) -> Cells:
    """Print decimals; the inverse of :func:`to_decimals`."""
    whole = digits.astype(np.int64)
    kinds = np.where(whole < 0, NEGATIVE, NUMBER).astype(np.uint8)
    kinds[whole == 0] = style.zero
    return Cells(kinds, np.abs(whole), exponents.astype(np.int16))
