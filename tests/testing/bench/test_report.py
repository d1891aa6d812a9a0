"""Tests of tables, plots and JSON of a comparison."""

import json

import pytest

from vortex_hep.testing.bench.compare import REFERENCES, Comparison
from vortex_hep.testing.bench.measure import Measurement, Timing, thread_counts, timed
from vortex_hep.testing.bench.plot import save_plot
from vortex_hep.testing.bench.table import header, table_rows, threads_note

TIMINGS = (Timing(1, 2.0, 1.0), Timing(2, 1.0, 0.5))
MACHINE = {"cpu": "Abacus 9000", "cores": 2}


def measurement(codec, stored, **more):
    return Measurement(codec, 1_000_000, stored, TIMINGS, verified=True, settings={}, **more)


def comparison():
    items = (
        Measurement("the file as it came", 1_000_000, 600_000, (), verified=True, settings={}),
        measurement("ROOT LZMA 9, per basket", 500_000),
        measurement("xz -9, per column", 400_000),
        measurement(
            "vortex_hep",
            250_000,
            model_bytes=50_000,
            peak_memory_bytes={"compress": 512_400_000, "restore": 301_000_000},
        ),
    )
    return Comparison("dir/x.root", 600_000, 1_000_000, MACHINE, items)


def test_rows():
    rows = table_rows(comparison())
    assert all(len(row) == len(header(comparison())) for row in rows)
    assert [row[0] for row in rows] == [
        "the file as it came",
        "ROOT LZMA 9, per basket",
        "xz -9, per column",
        "vortex_hep",
    ]
    assert rows[-1][1:] == [
        "250,000", "50,000 beside", "4.00", "3.33", "-50.0%", "-37.5%", "0.5 / 1", "1 / 2",
        "512 / 301",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["root", "hdf5", "hepmc", "opaque"])
def test_each_kind_has_references_of_its_own(kind):
    own, xz = REFERENCES[kind]
    items = (
        measurement(own, 500_000),
        measurement(xz, 400_000),
        measurement("vortex_hep", 100_000),
    )
    found = Comparison("x", 600_000, 1_000_000, MACHINE, items, kind)
    assert [item.codec for item in found.references() if item] == [own, xz]
    assert header(found)[5:7] == (f"vs {own.partition(',')[0]}", "vs xz -9")
    assert table_rows(found)[-1][5:7] == ["-80.0%", "-75.0%"]
    assert found.as_json()["kind"] == kind


def test_note_names_threads_and_machine():
    note = threads_note(comparison())
    assert "1 / 2 threads" in note
    assert "Abacus 9000" in note


def test_json_has_ratios_with_and_without_the_model():
    plain = json.loads(json.dumps(comparison().as_json()))
    ours = plain["measurements"][-1]
    assert (ours["ratio"], ours["ratio_with_model"]) == (4.0, round(1e6 / 3e5, 4))
    assert ours["timings"][1]["decode_mb_per_s"] == 2.0
    assert ours["peak_memory_bytes"] == {"compress": 512_400_000, "restore": 301_000_000}
    assert plain["file"] == "x.root"


def test_plot_is_a_png(tmp_path):
    save_plot(comparison(), tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


def test_thread_counts():
    assert thread_counts(1) == (1,)
    assert thread_counts(4) == (1, 4)


def test_timed_keeps_the_order_of_the_parts():
    results, seconds = timed(lambda i: i * i, range(50), threads=4, repeat=2)
    assert results == [i * i for i in range(50)]
    assert seconds > 0
