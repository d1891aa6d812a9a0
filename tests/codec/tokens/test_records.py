"""Tests of rows as records of bytes: tokens, the rest, and both joined again."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vortex_hep.codec.tokens.records import (
    RecordColumn,
    RecordLayout,
    column_of,
    layout_of,
    row_bytes,
)
from vortex_hep.core.schema import COLUMN_DTYPES, VARBYTES, ColumnSpec

INNER = st.sampled_from([(), (1,), (3,), (2, 2), (0,)])


@st.composite
def tables(draw, min_rows=0):
    """Columns of random bytes; a byte of each item is mostly the same."""
    rows = draw(st.integers(min_rows, 9))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    specs, columns = [], {}
    for k in range(draw(st.integers(1, 4))):
        dtype, inner = draw(st.sampled_from(COLUMN_DTYPES)), draw(INNER)
        items = math.prod(inner)
        data = rng.integers(0, 256, (rows, items, np.dtype(dtype).itemsize)).astype("u1")
        data[:, :, draw(st.integers(0, data.shape[2] - 1))] = 7
        specs.append(ColumnSpec(f"c{k}", dtype, inner))
        columns[f"c{k}"] = np.frombuffer(data.tobytes(), dtype).reshape(rows, *inner)
    return rows, specs, columns


@settings(max_examples=60)
@given(tables())
def test_bytes_of_rows_come_back_and_are_in_the_order_of_the_numbers(table):
    rows, specs, columns = table
    for spec in specs:
        column = columns[spec.name]
        data = row_bytes(column)
        width = column.dtype.itemsize
        assert data.shape == (rows, math.prod(spec.inner) * width)
        back = column_of(data, spec.dtype, spec.inner) if data.shape[1] else column
        assert (back.tobytes(), back.dtype, back.shape) == (
            column.tobytes(), column.dtype, column.shape,
        )  # fmt: skip
        if column.dtype.kind == "u" and column.size:
            first = int.from_bytes(data[0, :width].tobytes(), "big")
            assert first == int(column.reshape(-1)[0])


@settings(max_examples=60)
@given(tables(min_rows=1), st.integers(1, 9))
def test_tokens_constants_and_exceptions_are_all_there_is(table, sample):
    """What a sample had always the same is left out; rows where it is other are told."""
    rows, specs, columns = table
    layout = layout_of(specs, {n: c[:sample] for n, c in columns.items()})
    packed = layout.pack(columns, rows)
    assert packed.shape == (rows, layout.width)
    assert layout.starts.tolist()[-1] == layout.width
    by_name = {s.name: s for s in specs}
    for part in layout.parts:
        column, inner = columns[part.name], by_name[part.name].inner
        back = layout.unpack(packed, part, inner)
        assert (back.dtype, back.shape) == (column.dtype, column.shape)
        different = (row_bytes(back) != row_bytes(column)).any(axis=1)
        exceptions = layout.exceptions(part, column)
        assert exceptions.tolist() == np.flatnonzero(different).tolist()
        assert not (exceptions < sample).any()
        assert len(part.coded) + len(part.fixed) == len(part.constant)
    for spec in specs:
        varies = (row_bytes(columns[spec.name][:sample]) != row_bytes(columns[spec.name][:1])).any()
        assert (spec.name in layout.columns) == bool(varies)


def test_strings_and_constant_columns_are_no_tokens():
    specs = [ColumnSpec("s", VARBYTES), ColumnSpec("c", "<i4"), ColumnSpec("n", "<u2")]
    columns = {"c": np.full(4, -9, "<i4"), "n": np.array([1, 2, 513, 3], "<u2")}
    layout = layout_of(specs, columns)
    assert layout.parts == (RecordColumn("n", "<u2", 1, (-1, -1)),)
    layout = layout_of(specs, {n: c[:2] for n, c in columns.items()})
    assert layout.parts == (RecordColumn("n", "<u2", 1, (0, -1)),)
    assert layout.exceptions(layout.parts[0], columns["n"]).tolist() == [2]


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_columns_that_are_not_there_are_zeros(rows):
    parts = (RecordColumn("a", "|u1", 1, (-1,)), RecordColumn("b", "<u2", 1, (-1, 4)))
    packed = RecordLayout(parts).pack({"a": np.arange(5, 5 + rows, dtype="u1")}, rows)
    assert packed.tolist() == [[5 + r, 0] for r in range(rows)]
