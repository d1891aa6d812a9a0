"""The report says what the results say."""

import json

import pytest

from benchmarks import report, run
from benchmarks.corpus import HERE, Part, load_corpus
from vortex_hep.bench.compare import Comparison
from vortex_hep.bench.measure import Measurement, Timing

DATASET = load_corpus()[0]
MACHINE = {"cpu": "Abacus 9000", "cores": 2, "system": "Linux", "versions": {}}


@pytest.fixture
def results(tmp_path, monkeypatch):
    """Results of one file, written as the runner does."""
    timings = (Timing(1, 2.0, 1.0),)
    items = tuple(
        Measurement(
            codec, 10_000_000, stored, timings, verified=True, settings={}, model_bytes=model
        )
        for codec, stored, model in (
            ("ROOT zstd 5, per basket", 6_000_000, 0),
            ("ROOT LZMA 9, per basket", 5_000_000, 0),
            ("xz -9, per column", 4_000_000, 0),
            ("vortex_hep", 2_500_000, 300_000),
        )
    )
    comparison = Comparison("x.root", 7_000_000, 10_000_000, MACHINE, items)
    part = Part("x.root", tmp_path / "x.root", DATASET.files[1])
    monkeypatch.setattr(run, "RESULTS", tmp_path)
    run.save(DATASET, part, comparison, {"train_seconds": 5.0})
    return tmp_path


def test_one_json_per_codec(results):
    folder = results / "abacus-9000-2-cores" / DATASET.name
    names = sorted(path.name for path in folder.iterdir())
    assert names == [
        "x.root.root-lzma-9-per-basket.json",
        "x.root.root-zstd-5-per-basket.json",
        "x.root.vortex-hep.json",
        "x.root.xz-9-per-column.json",
    ]
    ours = json.loads((folder / "x.root.vortex-hep.json").read_text())
    assert ours["settings"] == {"train_seconds": 5.0}
    assert ours["source_sha256"] == DATASET.files[1].sha256
    assert ours["verified"] is True
    assert ours["commit"]


def test_readme_row(results):
    text = report.readme_text(report.load_results(results))
    assert text.splitlines()[2] == (
        f"| {DATASET.title} | 10.000 | 5.000 | 4.000 | 4.000"
        " | **2.500** | 0.300 beside | -50.0% | -37.5% | 5.0 / 10.0 |"
    )


def test_report_lists_every_codec(results):
    text = report.report_text(report.load_results(results))
    assert f"## {DATASET.title}" in text
    assert text.count("\n| ") == 1 + 1 + 4


def test_figures_go_between_the_markers():
    text = f"a\n{report.BEGIN}\nold\n{report.END}\nb\n"
    assert report.inserted(text, "new") == f"a\n{report.BEGIN}\nnew\n{report.END}\nb\n"
    with pytest.raises(SystemExit, match="needs one"):
        report.inserted("no markers", "new")


def test_committed_figures_are_those_of_the_results():
    comparisons = report.load_results(HERE / "results")
    readme = report.README.read_text()
    assert report.inserted(readme, report.readme_text(comparisons)) == readme
    assert report.REPORT.read_text() == report.report_text(comparisons)
