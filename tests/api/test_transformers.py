"""Tests of transformers from training to the restored file."""

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
import uproot

import vortex_hep
from vortex_hep import LaneChoice, TrainOptions
from vortex_hep.archive import compress as compressing
from vortex_hep.archive.archive import ArchiveTree
from vortex_hep.codec.container.container import ContainerReader, ContainerWriter
from vortex_hep.codec.tokens.records import RecordColumn, RecordLayout
from vortex_hep.errors import (
    ModelMismatchError,
    NotFoundError,
    UnsupportedFeatureError,
    UnsupportedTypeError,
    VortexError,
)
from vortex_hep.models.model import Model
from vortex_hep.nn.coding.engine import get_engine
from vortex_hep.nn.sequence import fit as fitting
from vortex_hep.nn.transformer import CATWrapper

from .files import write_twins
from .test_imports import loaded

RECIPE = """\
hardware: any
memory_gb: 1
device: cpu
transformer: {{d_model: 32, n_layers: 1, n_heads: 2, d_ff: 64, window: 64, dropout: 0.0,
  chunk_sizes: [64]}}
batch: 16
lane_tokens: {lane}
rate: 0.02
warmup: 10
steps: {steps}
eval_every: 50
precision: float32
"""


@pytest.fixture(autouse=True, scope="module")
def _one_torch_thread():
    """Many threads waiting for one another make tiny tensor operations very slow."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def recipe(folder, *, steps=150, lane=128):
    path = folder / "tiny.yaml"
    path.write_text(RECIPE.format(steps=steps, lane=lane))
    return path


def arrays(rows, seed):
    """Columns of which one follows from another: a transformer's easy win."""
    rng = np.random.default_rng(seed)
    a = rng.integers(0, 32, rows).astype(np.uint8)
    return {
        "a": a,
        "twin": a.astype(np.int16) * 5 + 1000,
        "noise": rng.integers(0, 9, rows).astype(np.uint8),
    }


def write(path, rows, seed, **more):
    columns = {**arrays(rows, seed), **more}
    with uproot.recreate(path) as file:
        file.mktree("arrays", {name: column.dtype for name, column in columns.items()})
        file["arrays"].extend(columns)
    return path


def train(data, path, **options):
    chosen = TrainOptions(family="transformer", recipe=path, threads=1, **options)
    return vortex_hep.train([data], options=chosen)


def coders(report):
    return {c["name"]: c["coder"] for c in report.columns}


def columns_of(archive, **options):
    with vortex_hep.open(archive, **options) as opened:
        return dict(opened["arrays"].arrays(library="np"))


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, column in expected.items():
        assert found[name].dtype == column.dtype, name
        assert found[name].tobytes() == column.tobytes(), name


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A transformer of :func:`arrays`, and how it came about."""
    fits = {}
    fit = fitting.fit_sequences

    def spy(*args, **kwargs):
        found = fit(*args, **kwargs)
        fits.update(found)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "fit_sequences", spy)
        model = train(arrays(24_000, 1), recipe(tmp_path_factory.mktemp("recipe")))
    return model, fits["/scalars"]


@pytest.fixture(scope="session")
def model(trained):
    return trained[0]


@pytest.fixture(scope="session")
def archive(model, tmp_path_factory):
    """An archive of 300 rows that holds its model, whose name is in it."""
    path = tmp_path_factory.mktemp("archive") / "a.vxc"
    vortex_hep.compress_tree(arrays(300, 2), model, path=path)
    return path.read_bytes()


def test_the_transformer_wins_and_integers_cost_little(trained):
    model, fit = trained
    assert fit.exact_bits_per_byte < 1.01 * fit.bits_per_byte
    known = dict(zip(fit.model.columns, fit.model.expected, strict=True))
    assert known["twin"][0] < 0.2 * known["twin"][1]
    assert fit.loop.stopped == "steps"
    assert [row["kind"] for row in model.summary()] == ["sequence"]
    assert model.classical == {"arrays": ()}


def test_arrays_in_memory(model, tmp_path):
    data, plain = arrays(2000, 3), tmp_path / "plain.vxc"
    none = vortex_hep.compress_tree(data, Model({}), path=plain)
    report = vortex_hep.compress_tree(
        data, model, path=tmp_path / "a.vxc", threads=1, embed_model=False
    )
    assert coders(report)["twin"] == "network"
    assert report.stored_bytes < 0.8 * none.stored_bytes
    assert (report.model_bytes, report.messages) == (0, [])
    assert_same(columns_of(tmp_path / "a.vxc", model=model), data)
    again = tmp_path / "b.vxc"
    vortex_hep.compress_tree(data, model, path=again, threads=3, embed_model=False)
    assert again.read_bytes() == (tmp_path / "a.vxc").read_bytes()


def test_a_root_file_read_in_parts_verified_and_restored(model, tmp_path, monkeypatch):
    monkeypatch.setattr(compressing, "CLUSTER_BYTES", 1500)
    values = np.linspace(0, 1, 900)
    source, path = write(tmp_path / "in.root", 900, 4, x=values), tmp_path / "a.vxc"
    report = vortex_hep.compress_file(source, path, model=model)
    assert coders(report)["twin"] == "network"
    expected = {**arrays(900, 4), "x": values}
    with vortex_hep.open(path) as archive:
        tree = archive["arrays"]
        assert isinstance(tree, ArchiveTree)
        assert len(tree.clusters) > 2
        for start, stop in ((0, None), (395, 805), (890, 10**9), (7, 7)):
            found = tree.arrays(["twin", "x"], entry_start=start, entry_stop=stop, library="np")
            for name, column in found.items():
                assert column.tobytes() == expected[name][start:stop].tobytes()
        parts = [part["twin"] for part in tree.iterate(["twin"], step_size=250, library="np")]
        assert np.concatenate(parts).tobytes() == expected["twin"].tobytes()
        info = archive.info()
        assert info["model"]["sha256"] == model.sha256
        assert info["model"]["embedded"]
        (table,) = info["trees"][0]["tables"]
        assert {c["name"]: c["coder"] for c in table["columns"]} == coders(report)
    assert vortex_hep.verify(path, against=source).ok
    vortex_hep.restore(path, tmp_path / "out.root")
    with uproot.open(tmp_path / "out.root") as file:
        assert_same(file["arrays"].arrays(library="np"), expected)


def test_an_archive_without_its_model_needs_it(model, tmp_path):
    path, data = tmp_path / "a.vxc", arrays(300, 5)
    vortex_hep.compress_tree(data, model, path=path, embed_model=False)
    with vortex_hep.open(path) as archive, pytest.raises(ModelMismatchError, match="pass it"):
        archive["arrays"].arrays()
    one = model.trees["arrays"]["/scalars"]
    weights = {**one.weights, "head_bias": one.weights["head_bias"] + 1}
    other = Model({"arrays": {"/scalars": replace(one, weights=weights, stored=None)}})
    with pytest.raises(ModelMismatchError, match=r"made with model .* but given"):
        vortex_hep.open(path, model=other)
    model.save(tmp_path / "m.vxm")
    again = Model.load(tmp_path / "m.vxm")
    assert (again.sha256, again.summary()) == (model.sha256, model.summary())
    assert_same(columns_of(path, model=again), data)


def test_engines_write_and_read_the_same(model, tmp_path, monkeypatch):
    data, first = arrays(66, 2), tmp_path / "cpu.vxc"
    report = vortex_hep.compress_tree(data, model, path=first)
    assert coders(report)["twin"] == "network"
    for device in ("reference", "torch"):
        with monkeypatch.context() as patch:
            patch.setattr(compressing, "get_engine", lambda _, name=device: get_engine(name))
            path = tmp_path / f"{device}.vxc"
            vortex_hep.compress_tree(data, model, path=path, check=False)
        assert path.read_bytes() == first.read_bytes()
        assert_same(columns_of(first, device=device), data)


@pytest.mark.parametrize(
    ("tokens", "chunk", "memory"),
    [(None, None, None), (1, 64, False), (64, 64, True), (64, 64, False), (64, 17, True),
     (10**6, 64, True), (10**6, 64, False), (250, 60, True)],
)  # fmt: skip
def test_lanes_are_as_chosen_and_recorded(model, tmp_path, tokens, chunk, memory):
    data, path = arrays(500, 6), tmp_path / "a.vxc"
    choice = LaneChoice(tokens, chunk, memory)
    report = vortex_hep.compress_tree(
        data, model, path=path, lanes=choice, embed_model=False, check=False
    )
    assert coders(report)["twin"] == "network" or tokens == 1
    assert_same(columns_of(path, model=model), data)


def test_memory_tells_across_chunks_and_only_there(model, tmp_path):
    """With lanes as long as a chunk there is nothing to remember; with longer ones there is."""

    def stored(tokens, memory):
        path, lanes = tmp_path / "a.vxc", LaneChoice(tokens, 64, memory)
        report = vortex_hep.compress_tree(
            arrays(2000, 7), model, path=path, lanes=lanes, embed_model=False, overwrite=True,
            check=False,
        )  # fmt: skip
        return [c["stored_bytes"] for c in report.columns], path.read_bytes()

    assert stored(64, True)[0] == stored(64, False)[0]
    with_memory, without = stored(4000, True)[1], stored(4000, False)[1]
    assert sum(a != b for a, b in zip(with_memory, without, strict=False)) > 500


def test_lanes_that_cannot_be(model, tmp_path):
    (one,) = model.trees["arrays"].values()
    shape = replace(one.shape, memory=False)
    weights = {name: one.weights[name] for name in shape.arrays()}
    forgetful = Model(
        {"arrays": {one.table: replace(one, shape=shape, weights=weights, use_memory=False,
                                       stored=None)}}
    )  # fmt: skip
    for lanes, used, message in (
        (LaneChoice(chunk=65), model, "chunks have 1 to 64 tokens"),
        (LaneChoice(chunk=0), model, "chunks have 1 to 64 tokens"),
        (LaneChoice(tokens=0), model, "lanes at least 1"),
        (LaneChoice(memory=True), forgetful, "trained without memory"),
    ):
        with pytest.raises(UnsupportedTypeError, match=message):
            vortex_hep.compress_tree(arrays(90, 8), used, path=tmp_path / "a.vxc", lanes=lanes)
    vortex_hep.compress_tree(arrays(90, 8), forgetful, path=tmp_path / "a.vxc")
    assert_same(columns_of(tmp_path / "a.vxc"), arrays(90, 8))
    assert [p.name for p in tmp_path.iterdir()] == ["a.vxc"]


def test_columns_that_are_missing_retyped_or_new(model, tmp_path):
    data = arrays(400, 9)
    del data["noise"]
    data["a"] = data["a"].astype(np.int32)
    data["later"] = np.arange(400, dtype=np.int16)
    report = vortex_hep.compress_tree(data, model, path=tmp_path / "a.vxc", embed_model=False)
    said = " ".join(report.messages)
    for words in ("lacks 1 of the model's branches: 'noise'", "another type than the model learnt",
                  "new to the model, left to the classical coders: 'later'"):  # fmt: skip
        assert words in said
    assert {coders(report)[name] for name in ("a", "later")}.isdisjoint({"network"})
    assert_same(columns_of(tmp_path / "a.vxc", model=model), data)


def test_values_that_training_never_saw(model, tmp_path):
    rng = np.random.default_rng(10)
    data = arrays(400, 11)
    data["twin"][rng.random(400) < 0.1] = -32768  # bytes that were always the same differ
    data["noise"][:] = rng.integers(0, 256, 400)
    report = vortex_hep.compress_tree(data, model, path=tmp_path / "a.vxc", embed_model=False)
    assert "network" in coders(report).values()
    assert_same(columns_of(tmp_path / "a.vxc", model=model), data)


@pytest.mark.slow
def test_damage_raises(archive):
    """Flips in the whole file, and of payloads whose checksums were made to fit."""
    rng = np.random.default_rng(12)
    for at in rng.choice(len(archive), 60, replace=False):
        damaged = bytearray(archive)
        damaged[at] ^= 1 << rng.integers(8)
        with pytest.raises(VortexError):
            read_all(bytes(damaged))
    truth = columns_of(io.BytesIO(archive))
    reader = ContainerReader(io.BytesIO(archive))
    (number,) = (n for n, row in enumerate(reader.chunks) if row["kind"] == 3)
    payload = reader.read(number)
    refused = 0
    for at in range(len(payload) - 1, 0, -max(1, len(payload) // 100)):
        damaged = bytearray(payload)
        damaged[at] ^= 1 << rng.integers(8)
        try:
            found = columns_of(io.BytesIO(resigned(reader, number, bytes(damaged))))
        except VortexError:
            refused += 1
        else:  # what is decoded is under a checksum of its own
            assert_same(found, truth)
    assert refused > 50


def read_all(data):
    with vortex_hep.open(io.BytesIO(data)) as opened:
        opened.reader.verify()
        opened.info()


def resigned(reader, number, payload):
    """An archive with another payload in one chunk, under checksums that fit."""
    out = io.BytesIO()
    writer = ContainerWriter(out, kind=reader.kind, features=reader.features[0])
    for n, row in enumerate(reader.chunks):
        writer.add(
            int(row["kind"]), payload if n == number else reader.read(n),
            decoded_xxh3=int(row["decoded_xxh3"]), decoded_size=int(row["decoded_size"]),
        )  # fmt: skip
    writer.finish(reader.metadata)
    return out.getvalue()


def renamed(model, table, names):
    """A transformer for a table whose columns have other names."""
    parts = tuple(
        RecordColumn(names[p.name], p.dtype, p.items, p.constant) for p in model.layout.parts
    )
    return replace(model, table=table, layout=RecordLayout(parts), stored=None)


def test_an_event_model_beside_a_transformer(model, twins_model, tmp_path):
    """One model, a kind for each table; and a transformer of a jagged table."""
    (one,) = model.trees["arrays"].values()
    source = write_twins(tmp_path / "in.root", 400, 13, **arrays(400, 13))
    both = Model({"Events": {**twins_model.trees["Events"], "/scalars": one}})
    jagged = Model({"Events": {"T": renamed(one, "T", {"a": "z", "twin": "T_a", "noise": "T_b"})}})
    for used, network in ((both, {"T_b", "twin"}), (jagged, set())):
        path = tmp_path / "a.vxc"
        report = vortex_hep.compress_file(source, path, model=used, overwrite=True)
        assert network <= {name for name, coder in coders(report).items() if coder == "network"}
        with vortex_hep.open(path) as opened:
            assert opened.model is None or opened.model.features == used.features
        assert vortex_hep.verify(path, against=source).ok
    with vortex_hep.open(path) as opened:
        assert opened["Events"].arrays(["T_a"]).fields == ["T_a"]


def test_reading_imports_no_torch(archive, tmp_path):
    path = tmp_path / "a.vxc"
    path.write_bytes(archive)
    work = f"import vortex_hep; vortex_hep.open({str(path)!r})['arrays'].arrays(library='np')"
    assert loaded(work, "torch", "uproot", "numba") == ["numba"]


@pytest.mark.slow
def test_a_training_goes_on_and_can_be_repeated(tmp_path, monkeypatch):
    monkeypatch.setattr(fitting, "_SNAPSHOT_EVERY", 0.0)
    data, own, run = arrays(17_000, 14), recipe(tmp_path, steps=20), tmp_path / "run.vxw"
    whole = train(data, own, seed=3)
    take, calls = CATWrapper.bits_per_byte, []

    def interrupt(*args):
        calls.append(1)
        if len(calls) == 12:
            raise KeyboardInterrupt
        return take(*args)

    with monkeypatch.context() as patch:
        patch.setattr(CATWrapper, "bits_per_byte", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(data, own, seed=3, checkpoint=run)
    assert [p.name for p in tmp_path.glob("*.vxw")] == ["run.event.vxw"]
    assert train(data, own, seed=3, checkpoint=run).sha256 == whole.sha256
    with pytest.raises(ModelMismatchError, match=r"run\.event\.vxw.*another"):
        train(data, own, seed=4, checkpoint=run)
    assert train(data, own, seed=4).sha256 != whole.sha256


def test_trees_have_files_of_their_own(tmp_path):
    with uproot.recreate(tmp_path / "in.root") as file:
        for name in ("folder/one", "two"):
            file[name] = arrays(17_000, len(name))
    options = {"seconds": 3, "checkpoint": tmp_path / "run.vxw", "tables": "(event)"}
    model = train(tmp_path / "in.root", recipe(tmp_path, steps=2), **options)
    assert list(model.trees) == ["folder/one", "two"]
    assert sorted(p.name for p in tmp_path.glob("*.vxw")) == [
        "run.folder_one.event.vxw", "run.two.event.vxw",
    ]  # fmt: skip


def test_what_cannot_be_trained_is_said_before_the_work(model, tmp_path):
    small, own = arrays(1000, 15), recipe(tmp_path)
    for options, message in (
        ({"base": model, "passes": 2.0}, "base, passes: not for models of family 'transformer'"),
        ({"without": ["links"]}, "without: not for models"),
        ({"independent": True, "expected_rows": 9}, "independent, expected_rows: not"),
        ({"seconds": 0}, "0 seconds to train in"),
        ({}, r"table 'event' has 4,000 bytes that vary, and 65,536 are the least"),
    ):
        with pytest.raises(UnsupportedTypeError, match=message):
            train(small, own, **options)
    for options, message in (
        ({"recipe": own}, "recipe: not for models of family 'event'"),
        ({"log_dir": tmp_path}, "log_dir: not for models of family"),
    ):
        with pytest.raises(UnsupportedTypeError, match=message):
            vortex_hep.train([small], options=TrainOptions(**options))
    with pytest.raises(NotFoundError, match=r"no table 'Jet'; there are '\(event\)'"):
        train(small, own, tables=["Jet", "(event)"])
    with pytest.raises(NotFoundError, match="did you mean 'laptop_cpu'"):
        train(small, "laptop")
    own.write_text(RECIPE.format(steps=1, lane=100_000).replace("window", "norm: layer, window"))
    with pytest.raises(UnsupportedFeatureError, match="norm must be rms; lane_tokens must be at"):
        train(small, own)
    with pytest.raises(UnsupportedTypeError, match="fewer rows than a lane of the recipe, 15,000"):
        train(arrays(16_600, 16), recipe(tmp_path, lane=60_000))
