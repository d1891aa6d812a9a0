"""The suite is found under ``vortex_hep.testing``, and asks for nothing that users may lack."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import vortex_hep.testing
from vortex_hep.core.schema import COLUMN_DTYPES
from vortex_hep.errors import VortexError
from vortex_hep.testing import ConformanceError, column_arrays, odd_events, special_arrays
from vortex_hep.testing.conformance.arrays import jagged_counts, special_values

BLOCKED = """
import sys
for name in ("pytest", "hypothesis", "torch"):
    sys.modules[name] = None
import vortex_hep.testing as t
assert not {"numpy", "numba", "awkward"} & set(sys.modules), "heavy"
for name in t.__all__:
    getattr(t, name)
t.check_codec_round_trip(__import__("vortex_hep.codec.columns.classical", fromlist="x")
                         .COLUMN_CODERS.get("raw"), t.special_arrays("<f4"))
try:
    import vortex_hep.testing.conformance.strategies
except Exception as error:
    print(type(error).__name__, error)
"""


def test_neither_pytest_nor_hypothesis_is_needed_but_for_strategies():
    run = subprocess.run(
        [sys.executable, "-c", BLOCKED], capture_output=True, text=True, check=True
    )
    assert run.stdout.startswith("UnsupportedFeatureError strategies of values need Hypothesis")
    assert "vortex-hep[test]" in run.stdout


def test_public_names_are_there_and_listed():
    assert set(vortex_hep.testing.__all__) <= set(dir(vortex_hep.testing))
    assert sorted(vortex_hep.testing.__all__) == vortex_hep.testing.__all__
    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        _ = vortex_hep.testing.nope


def test_failures_are_no_errors_that_checks_wait_for():
    assert issubclass(ConformanceError, AssertionError)
    assert not issubclass(ConformanceError, VortexError)


def test_values_have_what_they_are_said_to_have():
    for dtype in ("<f2", "<f4", "<f8"):
        values = special_values(dtype)
        bits = values.view(f"<u{values.itemsize}")
        quiet = np.array(np.nan, dtype).view(bits.dtype)
        nans = np.isnan(values)
        with np.errstate(all="ignore"):
            tiny = np.finfo(dtype).tiny
        assert len({*bits[nans].tolist()} - {int(quiet)}) >= 3
        assert ((bits[nans] & quiet) != quiet).any(), "no signalling NaN"
        assert (np.signbit(values) & (values == 0)).any()
        assert np.isposinf(values).any()
        assert np.isneginf(values).any()
        finite = np.abs(values[np.isfinite(values) & (values != 0)])
        assert (finite < tiny).any()
    assert len(special_values("|b1")) == 256
    assert {a.dtype.str for a in column_arrays().values()} == set(COLUMN_DTYPES)
    arrays = special_arrays("<i8")
    assert arrays["empty"].size == arrays["no rows of several items"].size == 0
    assert arrays["not contiguous"].flags.c_contiguous is False
    again = special_arrays("<i8")
    assert all(np.array_equal(again[name], array) for name, array in arrays.items())


def test_lists_are_empty_where_that_matters():
    counts = jagged_counts(30)
    assert counts[0] == counts[-1] == counts[10:20].sum() == 0
    assert counts.sum() > 0
    assert len(jagged_counts(0)) == 0
    assert {len(array) for array in odd_events(0).values()} == {0}
