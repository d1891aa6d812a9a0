"""Values that follow from stored items, against the formulas that define them."""

from __future__ import annotations

import numpy as np
import pytest

from vortex_hep.core import interpretations as values
from vortex_hep.core.schema import ColumnSpec, TableData, TableSpec
from vortex_hep.errors import CorruptionError


def _values(columns, arrays):
    table = TableSpec("", tuple(columns))
    found = values.value_columns(table)
    rows = len(next(iter(arrays.values())))
    data = values.compute_table(TableData(np.arange(rows + 1), arrays), found)
    return values.value_table(table, found), data.columns


def test_quantized():
    items = np.array([[0, 1, 1023], [512, 7, 9]], "<u4")
    spec = ColumnSpec("x", "<u4", (3,), interpretation=values.quantized(-2, 6, 1 << 10, "<f8"))
    table, out = _values([spec], {"x": items})
    assert table.columns[0].dtype == "<f8"
    assert table.columns[0].interpretation == ""
    assert out["x"].tolist() == (items * (8 / 1024) - 2.0).tolist()


def test_scaled():
    items = np.array([0, 3, 7], "<u4")
    spec = ColumnSpec("x", "<u4", interpretation=values.scaled(0, 1, 7, "<f4"))
    _, out = _values([spec], {"x": items})
    assert out["x"].dtype == "<f4"
    assert out["x"].tolist() == (items * 1.0 / 7).astype("f4").tolist()


def test_exponent_and_mantissa_are_one_column():
    bits = 12
    numbers = np.array([1.0, -1.5, 0.0, 1024.25, -3e-5], "<f4")
    raw = numbers.view(np.uint32)
    mantissa = ((raw >> (23 - bits)) & ((1 << bits) - 1)) | ((raw >> 31) << (bits + 1))
    kinds = values.truncated(bits, "<f4")
    specs = [
        ColumnSpec("x.exponent", "|u1", interpretation=kinds[0]),
        ColumnSpec("x.mantissa", "<u2", interpretation=kinds[1]),
        ColumnSpec("y", "<i4"),
    ]
    arrays = {
        "x.exponent": ((raw >> 23) & 255).astype("u1"),
        "x.mantissa": mantissa.astype("<u2"),
        "y": np.arange(5, dtype="<i4"),
    }
    table, out = _values(specs, arrays)
    assert [c.name for c in table.columns] == ["x", "y"]
    np.testing.assert_allclose(out["x"], numbers, rtol=2.0**-bits)
    assert out["y"] is arrays["y"]


def test_widened_and_viewed():
    specs = [
        ColumnSpec("a", "<f4", interpretation=values.widened("<f8")),
        ColumnSpec("b", "<u4", interpretation=values.viewed("<i4")),
    ]
    arrays = {"a": np.array([0.1], "<f4"), "b": np.array([0xFFFFFFFF], "<u4")}
    table, out = _values(specs, arrays)
    assert [c.dtype for c in table.columns] == ["<f8", "<i4"]
    assert out["a"].tolist() == [float(np.float32(0.1))]
    assert out["b"].tolist() == [-1]


@pytest.mark.parametrize(
    "wrong",
    [
        "quantized 0 1 <f8",
        "quantized 0 inf 4 <f8",
        "quantized 0 1 0 <f8",
        "scaled a b 4 <f8",
        "widened <f8",
        "viewed <i8",
        "mantissa 12 <f4",
        "scaled 0 1 4 <i4",
    ],
)
def test_invalid_ones_are_refused(wrong):
    spec = ColumnSpec("x", "<u4", interpretation=wrong)
    with pytest.raises(CorruptionError, match="interpretation"):
        values.value_columns(TableSpec("", (spec,)))
