"""Tests of the measurements of transformers, on tiny data, and of their tables."""

import copy
import json

import numpy as np
import pytest

from benchmarks.transformers import __main__ as command
from benchmarks.transformers import ablate, compare, data, rates, report, variants
from vortex_hep.errors import UnsupportedTypeError, VerificationError
from vortex_hep.models.model import Model
from vortex_hep.nn.loop.recipes import Recipe
from vortex_hep.nn.transformer.config import TransformerConfig
from vortex_hep.testing.bench import alone, ours

ROWS = 12_000
TINY = TransformerConfig(
    d_model=32, n_layers=1, n_heads=2, d_ff=32, window=32, chunk_sizes=(32,), dropout=0.0
)
RECIPE = Recipe(
    "tiny", "tests", 1.0, TINY, batch=64, lane_tokens=32, rate=0.01, warmup=10, steps=80,
    eval_every=40, device="cpu",
)  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def _one_torch_thread():
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Jets of which one column repeats another, beside a dataset that is not to be used."""
    import h5py

    folder = tmp_path_factory.mktemp("jets")
    rng = np.random.default_rng(3)
    jets = np.zeros(ROWS, [("n", "<i4"), ("pt", "<f4"), ("twice", "<i4"), ("flag", "i1")])
    jets["n"] = rng.integers(0, 60_000, ROWS)
    jets["pt"] = rng.exponential(30, ROWS)
    jets["twice"] = jets["n"]
    jets["flag"] = jets["n"] > 30_000
    source = folder / "made.h5"
    with h5py.File(source, "w") as file:
        file["jets"] = jets
        file["tracks"] = np.zeros((ROWS, 2), "<f4")
    return data.split_jets(source, folder / "cut", 0.8)


@pytest.fixture(scope="module")
def compared(files, tmp_path_factory):
    """A comparison, and the transformer that it kept."""
    kept = tmp_path_factory.mktemp("kept") / "deep" / "model.vxm"
    options = compare.CompareOptions(RECIPE, effort="fast", threads=1, repeat=1)
    with pytest.MonkeyPatch.context() as patch:
        # Nine processes would take longer than all the rest.
        patch.setattr(ours, "run_alone", _run_here)
        return compare.measure(files, options, kept), Model.load(kept)


def _run_here(call, *, repeat=1, model=None, **arguments):
    """As :func:`vortex_hep.testing.bench.alone.run_alone`, in this process."""
    loaded = None if model is None else Model.load(model)
    result = alone.CALLS[call](model=loaded, **arguments)
    return alone.Alone(1.0, 1, result)


def small_stream(records, **changes):
    config = TransformerConfig(**{**TINY.as_json(), "types": records.shape[1], **changes})
    rows = max(1, RECIPE.lane_tokens // records.shape[1])
    return variants.Stream("jets", "Jets", records, config, rows, variants.JET_VARIANTS)


@pytest.fixture(scope="module")
def streams(files):
    """Rows of eight bytes in lanes of one chunk, and bytes in lanes of four chunks."""
    rng = np.random.default_rng(5)
    half = rng.integers(0, 4, (4000, 4), np.uint8)
    jets = small_stream(np.hstack([half, half]))
    text = np.repeat(rng.integers(97, 101, 5000, np.uint8), 4).reshape(-1, 1)
    config = TransformerConfig(**{**TINY.as_json(), "types": 1})
    lanes = 4 * max(config.chunk_sizes)
    chosen = tuple(
        variants.Variant(
            v.name, v.what, {"chunk_sizes": (8, 16, 32)} if v.name == "cat" else v.config
        )
        for v in variants.TEXT_VARIANTS
        if v.name in (variants.BASE, "cat", "strided", "no memory")
    )
    return jets, variants.Stream("hepmc", "Text", text, config, lanes, chosen)


@pytest.fixture(scope="module")
def ablated(streams):
    """The last result of an ablation of a few steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ablate, "_CALIBRATED", 1 << 13)
        *_, last = ablate.ablate(streams, RECIPE, ablate.Budget(4, None, 1 << 12), ablate.Where())
    return last


def test_splitting_keeps_every_jet_once_and_nothing_else(files):
    import h5py

    train, test = data.jets_of(files.train), data.jets_of(files.test)
    assert (len(train), len(test)) == (9600, 2400)
    with h5py.File(files.train.parent.parent / "made.h5") as file, h5py.File(files.test) as cut:
        assert file["jets"][:].tobytes() == train.tobytes() + test.tobytes()
        assert list(cut) == ["jets"]


def test_comparison_holds_every_codec(compared):
    plain, model = compared
    by_name = {c["codec"]: c for c in plain["codecs"]}
    assert list(by_name) == [
        compare.ROWS_LZMA, compare.COLUMNS_LZMA, compare.NEITHER, compare.EVENT,
        compare.TRANSFORMER,
    ]  # fmt: skip
    assert all(c["verified"] and c["raw_bytes"] == 2400 * 13 for c in plain["codecs"])
    own = by_name[compare.TRANSFORMER]
    assert own["model_bytes"] == model.nbytes
    assert own["bits_per_byte"] == pytest.approx(8 * own["stored_bytes"] / (2400 * 13))
    assert own["bits_per_byte_with_model"] > own["bits_per_byte"]
    about = plain["transformer"]
    assert about["tokens_per_row"] == 9  # what never changes is left out
    assert about["steps"] == 80
    assert about["history"][-1]["validation"] < about["history"][0]["validation"]
    assert about["exact_bits_per_token"] == pytest.approx(about["bits_per_token"], rel=0.05)
    assert set(plain["columns"]) == {"n", "pt", "twice", "flag"}


def test_too_few_jets_are_told(files):
    options = compare.CompareOptions(RECIPE)
    with pytest.raises(UnsupportedTypeError, match="too few jets to train on"):
        compare.measure(data.JetFiles(files.test, files.test, "made.h5"), options)


def test_engines_make_and_read_the_same_archive(files, compared, monkeypatch):
    _, model = compared
    found = rates.measure(files.test, model, ["cpu", "torch"], threads=1, repeat=1)
    assert [entry["device"] for entry in found["devices"]] == ["cpu", "torch"]
    assert all(e["encode_mb_per_s"] > 0 and e["decode_mb_per_s"] > 0 for e in found["devices"])
    assert (found["lanes"], found["lane_tokens"]) == (800, 27)
    assert "| cpu: " in report.rates_text(found)
    # What is compared is what was read: other jets would be noticed.
    real = data.jets_of(files.test)
    real["pt"][7] = -1.0
    monkeypatch.setattr(rates, "jets_of", lambda path: real)
    with pytest.raises(VerificationError, match="same bits of pt"):
        rates.measure(files.test, model, ["cpu"], threads=1, repeat=1)


def test_ablation_measures_every_variant(ablated):
    runs = {(run["stream"], run["variant"]): run for run in ablated["runs"]}
    assert len(runs) == len(ablated["runs"]) == len(variants.JET_VARIANTS) + 4
    without = {"layer norm", "gelu", "strided"}
    for (_, name), run in runs.items():
        assert run["steps"] == 4
        if name in without:
            assert run["exact_bits_per_byte"] is None
            assert run["model_bytes"] is None
        else:
            assert run["exact_bits_per_byte"] == pytest.approx(run["bits_per_byte"], rel=0.02)
            assert run["model_bytes"] > 1000
    assert runs["jets", "shared"]["parameters"] < runs["jets", "base"]["parameters"]
    assert set(runs["hepmc", "cat"]["by_chunk"]) == {"8", "16", "32"}
    assert set(runs["jets", "base"]["by_chunk"]) == {"32"}
    # What memory and longer chunks are worth shows in lanes of several chunks only.
    base = runs["hepmc", "base"]["by_chunk"]
    assert base["8"] != base["32"]
    assert runs["jets", "rows"]["bits_per_byte"] != runs["jets", "rows, no memory"]["bits_per_byte"]


def test_ablation_goes_on_where_it_stopped(streams, ablated, monkeypatch):
    ran = []

    def run_variant(stream, variant, *_):
        ran.append((stream.name, variant.name))
        return {**ablate.variant_about(stream, variant), "again": True}

    monkeypatch.setattr(ablate, "run_variant", run_variant)
    budget = ablate.Budget(4, None, 1 << 12)
    before = json.loads(json.dumps(ablated))  # as it comes from a file
    assert not list(ablate.ablate(streams, RECIPE, budget, ablate.Where(), before))
    before["runs"].pop(1)
    *_, last = ablate.ablate(streams, RECIPE, budget, ablate.Where(), before)
    assert ran == [("jets", "seed")]
    assert len(last["runs"]) == len(ablated["runs"])
    # Other data, or another budget: nothing of before counts.
    ran.clear()
    jets, _ = streams
    other = variants.Stream(**{**vars(jets), "records": jets.records[:2000]})
    *_, last = ablate.ablate([other], RECIPE, budget, ablate.Where(), before)
    assert len(ran) == len(variants.JET_VARIANTS)
    assert all("again" in run for run in last["runs"] if run["stream"] == "jets")
    *_, last = ablate.ablate(
        [jets], RECIPE, ablate.Budget(5, None, 1 << 12), ablate.Where(), before, ["gelu"]
    )
    assert [run["variant"] for run in last["runs"]] == ["gelu"]


@pytest.fixture
def document(tmp_path, monkeypatch):
    """A document with markers and a folder of results, in place of the real ones."""
    path = tmp_path / "transformers.md"
    names = ("comparison", "picture", "variants", "rates")
    path.write_text("\n".join(f"{n}:\n<!-- {n}: begin -->\n<!-- {n}: end -->" for n in names))
    monkeypatch.setattr(report, "DOCUMENT", path)
    monkeypatch.setattr(report, "PICTURE", tmp_path / "img" / "transformers.png")
    return path


def test_report_writes_what_the_check_wants(compared, ablated, document, tmp_path, capsys):
    results = tmp_path / "results"
    assert report.run(check=False, results=results) == 0
    assert "Not measured yet: `python -m benchmarks.transformers rates" in document.read_text()
    assert not report.PICTURE.exists()
    command.write(results, "compare", compared[0])
    command.write(results, "ablate", ablated)
    assert report.run(check=True, results=results) == 1
    assert report.run(check=False, results=results) == 0
    assert report.run(check=True, results=results) == 0
    text = document.read_text()
    assert "img/transformers.png" in text
    assert f"| {compare.TRANSFORMER} | {compared[0]['codecs'][-1]['stored_bytes']:,} |" in text
    assert "| LayerNorm for RMSNorm | " in text
    assert "| network | 8 | 16 | 32 |" in text
    assert report.PICTURE.stat().st_size > 10_000
    report.PICTURE.unlink()
    changed = copy.deepcopy(ablated)
    changed["runs"][0]["bits_per_byte"] += 0.5
    command.write(results, "ablate", changed)
    assert report.run(check=True, results=results) == 1
    assert "transformers.md, transformers.png; run python -m" in capsys.readouterr().out
    document.write_text("no markers")
    with pytest.raises(SystemExit, match="comparison: begin"):
        report.run(check=True, results=results)


def test_columns_are_told_apart():
    columns = {
        "a": {"no network": 90, "event model": 50, "transformer": 40},
        "b": {"no network": 90, "event model": 20, "transformer": 80},
    }
    text = report.columns_text(columns)
    assert "ahead in 1 of 2" in text
    assert "70 bytes with the event model, 120 with the transformer, and 60 with" in text
    assert "| `a` | 90 | 50 | 40 |" in text


def test_committed_figures_are_those_of_the_results():
    assert report.run(check=True) == 0


def test_command_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("vortex_hep.nn.devices.cuda_available", lambda: False)
    rest = ["--data", str(tmp_path), "--results", str(tmp_path)]
    assert command.main(["rates", *rest, "--device", "cuda"]) == 2
    assert "no CUDA device" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="run compare first"):
        command.main(["rates", *rest, "--model", str(tmp_path / "none.vxm")])
    with pytest.raises(SystemExit, match="--steps or --seconds"):
        command.main(["ablate", *rest])


def test_ablation_from_the_command_line(tmp_path, files, streams, monkeypatch):
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(
        "hardware: tests\nmemory_gb: 1\nbatch: 8\nlane_tokens: 32\nrate: 0.01\nwarmup: 1\n"
        "steps: 9\ntransformer: {d_model: 16, n_layers: 1, n_heads: 1, d_ff: 16, window: 32,"
        " chunk_sizes: [32]}\n"
    )
    monkeypatch.setattr(data, "jet_files", lambda *_: files)
    arguments = [
        "ablate", "--data", str(tmp_path), "--results", str(tmp_path), "--recipe", str(recipe),
        "--steps", "2", "--stream", "jets", "--threads", "1",
    ]  # fmt: skip
    with pytest.raises(SystemExit, match="no variant brelu; there are: base, four, gelu"):
        command.main([*arguments, "--variant", "brelu"])
    assert command.main([*arguments, "--variant", "base"]) == 0
    assert command.main([*arguments, "--variant", "gelu"]) == 0
    (found,) = report.load(tmp_path, "ablate")
    assert [(run["variant"], run["steps"]) for run in found["runs"]] == [("base", 2), ("gelu", 2)]
    assert found["streams"][0]["record"] == 9
