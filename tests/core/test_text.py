"""Tests of numbers and tables as text."""

import pytest

from vortex_hep.core.text import format_bytes, format_ratio, format_table, plural


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (2_345_678, "2.35 MB"),
        (5e12, "5.00 TB"),
        (5e16, "50000.00 TB"),
    ],
)
def test_format_bytes(count, text):
    assert format_bytes(count) == text


def test_ratio_of_nothing():
    assert format_ratio(0, 0) == "-"
    assert format_ratio(300, 100) == "3.00"


def test_table_aligns_names_left_and_figures_right():
    text = format_table(["name", "bytes"], [["a", "10"], ["longer", "2000"]])
    assert text.splitlines() == [
        "name    bytes",
        "------  -----",
        "a          10",
        "longer   2000",
    ]


def test_plural():
    assert plural(1, "event") == "1 event"
    assert plural(0, "event") == "0 events"
