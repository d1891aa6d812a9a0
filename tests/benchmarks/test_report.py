"""Tests that the report agrees with the results."""

import json

import pytest

from benchmarks import report, run, tables
from benchmarks.corpus import HERE, Part, load_corpus
from vortex_hep.testing.bench.compare import Comparison
from vortex_hep.testing.bench.measure import Measurement, Timing

CORPUS = load_corpus()
BY_NAME = {dataset.name: dataset for dataset in CORPUS}
DATASET = CORPUS[0]
MACHINE = {"cpu": "Abacus 9000", "cores": 2, "system": "Linux", "versions": {}}


@pytest.fixture
def results(tmp_path):
    """Results of one file, written as the runner does."""
    items = (
        ("ROOT zstd 5, per basket", 6_000_000),
        ("ROOT LZMA 9, per basket", 5_000_000),
        ("xz -9, per column", 4_000_000),
    )
    write(tmp_path, DATASET, items)
    return tmp_path


def write(folder, dataset, others, *, ours=2_500_000, model=300_000, kind="root"):
    """Write measurements of a file of 10 MB: some other codecs, and us."""
    timings = (Timing(1, 2.0, 1.0),)
    items = [
        Measurement(codec, 10_000_000, size, timings, verified=True, settings={})
        for codec, size in others
    ]
    items.append(
        Measurement(
            "vortex_hep", 10_000_000, ours, (Timing(1, 0.5, 0.25),), verified=True, settings={},
            model_bytes=model, peak_memory_bytes={"compress": 400_000_000, "restore": 200_000_000},
        )
    )  # fmt: skip
    comparison = Comparison("x.root", 7_000_000, 10_000_000, MACHINE, tuple(items), kind)
    part = Part("x.root", folder / "x.root", dataset.files[-1])
    run.save(dataset, part, comparison, {"train_seconds": 5.0}, folder)


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
    assert ours["kind"] == "root"
    assert ours["peak_memory_bytes"] == {"compress": 400_000_000, "restore": 200_000_000}
    assert ours["verified"] is True
    assert ours["commit"]


def test_results_come_back_as_they_were_written(results):
    (found,) = report.load_results(results)[DATASET.name]
    ours = next(item for item in found.measurements if item.codec == "vortex_hep")
    assert found.kind == "root"
    assert ours.peak_memory_bytes == {"compress": 400_000_000, "restore": 200_000_000}
    assert ours.bytes_with_model == 2_800_000


def test_readme_row(results):
    text = tables.readme_text(report.load_results(results), CORPUS)
    assert text.splitlines()[2] == (
        f"| {DATASET.title} | 10.000 | 5.000 ROOT | 4.000 | 4.000 | **2.500** | 0.300 beside"
        " | -50.0% | -37.5% | -30.0% | 20.0 / 40.0 | 400 / 200 |"
    )


def test_report_lists_every_codec(results):
    text = tables.report_text(report.load_results(results), CORPUS)
    assert f"## ROOT files\n\n### {DATASET.title}" in text
    section = text[text.index("## ROOT files") :]
    assert section.count("\n| ") == 1 + 1 + 4


def test_targets_are_told_with_and_without_the_model(tmp_path):
    dataset = BY_NAME["hepmc-ttbar"]
    others = (("gzip -9, whole text", 3_000_000), ("xz -9, whole text", 2_000_000))
    write(tmp_path, dataset, others, ours=800_000, model=200_000, kind="hepmc")
    text = tables.report_text(report.load_results(tmp_path), CORPUS)
    assert "| 2,000,000 | 800,000 | 0.400 | 0.500 | 0.45 | yes |" in text
    write(tmp_path, dataset, others, ours=950_000, model=200_000, kind="hepmc")
    text = tables.report_text(report.load_results(tmp_path), CORPUS)
    assert "| 2,000,000 | 950,000 | 0.475 | 0.575 | 0.45 | **no** |" in text


def test_speed_is_told_beside_that_of_xz(results):
    text = tables.report_text(report.load_results(results), CORPUS)
    assert f"| {DATASET.title} | 1 | 20.0 | 4.00 | 40.0 | 4.00 | 2.00 | 400 / 200 |" in text


def test_where_it_loses_lists_what_is_smaller(tmp_path, results):
    assert "## Where it loses" not in tables.report_text(report.load_results(results), CORPUS)
    others = (("pcodec 12, per column", 2_400_000), ("OpenZL, per column", 2_600_000))
    write(tmp_path, DATASET, others)
    text = tables.report_text(report.load_results(tmp_path), CORPUS)
    losses = text[text.index("## Where it loses") : text.index("## ROOT files")]
    assert (
        "| pcodec 12, per column | 2,400,000 | 2,500,000 | 2,800,000 | +16.7% | always |" in losses
    )
    assert "| OpenZL, per column | 2,600,000 | 2,500,000 | 2,800,000 | +7.7% | if the" in losses


def test_ablation_table(tmp_path):
    runs = [
        {"without": [], "stored_bytes": 1000, "model_bytes": 50, "train_seconds": 9.6},
        {"without": ["links", "context"], "stored_bytes": 1100, "model_bytes": 40,
         "train_seconds": 8.0},
    ]  # fmt: skip
    plain = {"dataset": "camels", "runs": runs, "train_effort": "fast", "seconds": 20.0}
    (tmp_path / "ablation-camels.json").write_text(json.dumps(plain))
    text = tables.ablation_text(report.load_ablations(tmp_path), CORPUS)
    assert f"## {BY_NAME['camels'].title}" in text
    assert "| nothing | 1,000 | +0.0% | 50 | 10 |" in text
    assert "| links and context | 1,100 | +10.0% | 40 | 8 |" in text


def test_figures_go_between_the_markers():
    begin, end = "<!-- cost: begin -->", "<!-- cost: end -->"
    text = f"a\n{begin}\nold\n{end}\nb\n"
    assert report.inserted(text, "new", "cost") == f"a\n{begin}\nnew\n{end}\nb\n"
    with pytest.raises(SystemExit, match="needs one"):
        report.inserted("no markers", "new", "cost")


def test_committed_figures_are_those_of_the_results():
    for path, text in report.wanted_texts(HERE / "results").items():
        assert path.read_text() == text
