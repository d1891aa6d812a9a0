"""Values of columns that are stored as something else: integers that stand for real numbers.

What is stored are the bits of the source. Where these are not the values, the *interpretation* of
the column says how values follow from them; it steers reading only, never what is stored:

``"quantized LOW HIGH STEPS DTYPE"``
    an integer ``i`` stands for ``LOW + i * (HIGH - LOW) / STEPS``;
``"scaled LOW HIGH STEPS DTYPE"``
    the same, computed in double precision whatever the type, as RNTuples define it;
``"exponent"``, and ``"mantissa BITS DTYPE"`` of the column right behind it
    eight bits of an exponent, and the sign above ``BITS`` bits of a mantissa, as ROOT writes a
    Float16_t or Double32_t without a range; both together are one column of values;
``"widened DTYPE"``
    the same value, in another type;
``"viewed DTYPE"``
    the same bits, in an integer type of the same size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from vortex_hep.core.schema import Array, ColumnSpec, TableData, TableSpec, VarBytes
from vortex_hep.errors import CorruptionError

_QUANTIZED, _SCALED, _WIDENED, _VIEWED = "quantized", "scaled", "widened", "viewed"
_EXPONENT, _MANTISSA = "exponent", "mantissa"
#: Bits of the mantissa of a float32.
_FLOAT_BITS = 23
_WORDS = {_QUANTIZED: 5, _SCALED: 5, _MANTISSA: 3, _WIDENED: 2, _VIEWED: 2}


def quantized(low: float, high: float, steps: int, dtype: str) -> str:
    """Interpretation of integers that count steps from one number to another.

    Examples
    --------
    >>> quantized(-1, 1, 1 << 10, "<f8")
    'quantized -1.0 1.0 1024 <f8'
    """
    return f"{_QUANTIZED} {float(low)!r} {float(high)!r} {int(steps)} {dtype}"


def scaled(low: float, high: float, steps: int, dtype: str) -> str:
    """Interpretation of such integers whose values are computed in double precision."""
    return f"{_SCALED} {float(low)!r} {float(high)!r} {int(steps)} {dtype}"


def truncated(bits: int, dtype: str) -> tuple[str, str]:
    """Interpretations of the exponents, and of the mantissas behind them."""
    return _EXPONENT, f"{_MANTISSA} {int(bits)} {dtype}"


def widened(dtype: str) -> str:
    """Interpretation of numbers that users know in another type."""
    return f"{_WIDENED} {dtype}"


def viewed(dtype: str) -> str:
    """Interpretation of integers that users know as signed, or as unsigned."""
    return f"{_VIEWED} {dtype}"


@dataclass(frozen=True)
class ValueColumn:
    """A column as users know it.

    Parameters
    ----------
    spec : ColumnSpec
    stored : tuple of str
        Names of the columns that it follows from.
    rule : tuple of str
        Words of the interpretation; empty where what is stored are the values.
    """

    spec: ColumnSpec
    stored: tuple[str, ...]
    rule: tuple[str, ...] = ()

    def compute(self, columns: Mapping[str, Array | VarBytes]) -> Array | VarBytes:
        """Values, from the stored columns."""
        stored = columns[self.stored[-1]]
        if not self.rule or isinstance(stored, VarBytes):
            return stored
        kind, *rest = self.rule
        dtype = np.dtype(self.spec.dtype)
        if kind == _WIDENED:
            return stored.astype(dtype)
        if kind == _VIEWED:
            return np.ascontiguousarray(stored).view(dtype)
        if kind in (_QUANTIZED, _SCALED):
            low, high, steps = float(rest[0]), float(rest[1]), int(rest[2])
            if kind == _SCALED:
                return (low + stored.astype(np.float64) * (high - low) / steps).astype(dtype)
            # Each step in the type of the values, as uproot computes them.
            out = stored.astype(dtype)
            out *= (high - low) / steps
            out += low
            return out
        exponent = np.asarray(columns[self.stored[0]]).astype(np.int32)
        return _joined(exponent, stored.astype(np.int32), int(rest[0])).astype(dtype)


def _joined(exponent: Array, mantissa: Array, bits: int) -> Array:
    """Floats of a sign, an exponent and the first bits of a mantissa."""
    sign_bit = 1 << (bits + 1)
    # The bit below the sign carries over where ROOT rounded a mantissa up.
    rounded = mantissa & (sign_bit - 1)
    shift = _FLOAT_BITS - bits
    joined = (exponent << _FLOAT_BITS) | (rounded << shift if shift >= 0 else rounded >> -shift)
    sign = np.where(mantissa & sign_bit, np.float32(-1), np.float32(1))
    out: Array = joined.view(np.float32) * sign
    return out


def value_columns(table: TableSpec) -> tuple[ValueColumn, ...]:
    """Columns of a table as users know them.

    Raises
    ------
    CorruptionError
        An interpretation is invalid.
    """
    out: list[ValueColumn] = []
    exponent: ColumnSpec | None = None
    for spec in table.columns:
        rule = tuple(spec.interpretation.split(" "))
        if rule[0] == _EXPONENT:
            exponent = spec
            continue
        if rule[0] not in _WORDS:
            out.append(ValueColumn(spec, (spec.name,)))
            continue
        _check(spec, rule, exponent)
        name = spec.name
        stored: tuple[str, ...] = (spec.name,)
        if rule[0] == _MANTISSA and exponent is not None:
            name = spec.name.rpartition(f".{_MANTISSA}")[0] or spec.name
            stored = (exponent.name, spec.name)
        values = replace(spec, name=name, dtype=rule[-1], link=None, interpretation="")
        out.append(ValueColumn(values, stored, rule))
    return tuple(out)


def _check(spec: ColumnSpec, rule: Sequence[str], exponent: ColumnSpec | None) -> None:
    numbers = spec.dtype[1] in ("f" if rule[0] == _WIDENED else "iu")
    try:
        valid = len(rule) == _WORDS[rule[0]] and numbers
        if rule[0] == _VIEWED:
            valid = valid and rule[1][:2] in ("<i", "<u") and rule[1][2:] == spec.dtype[2:]
        else:
            valid = valid and rule[-1] in ("<f4", "<f8")
        if rule[0] in (_QUANTIZED, _SCALED):
            limits = [float(text) for text in rule[1:3]]
            valid = valid and bool(np.isfinite(limits).all()) and 0 < int(rule[3]) <= 1 << 32
        if rule[0] == _MANTISSA:
            paired = exponent is not None and exponent.inner == spec.inner
            valid = valid and paired and 0 < int(rule[1]) <= 32
    except ValueError:
        valid = False
    if not valid:
        raise CorruptionError(
            f"invalid interpretation {spec.interpretation!r} of a column", branch=spec.name
        )


def value_table(table: TableSpec, columns: Sequence[ValueColumn]) -> TableSpec:
    """Describe a table with its columns as users know them."""
    return replace(table, columns=tuple(column.spec for column in columns))


def compute_table(data: TableData, columns: Sequence[ValueColumn]) -> TableData:
    """Values of the columns of a table, from what is stored."""
    return TableData(
        data.offsets, {column.spec.name: column.compute(data.columns) for column in columns}
    )
