"""Tests of tensors from archives: every entry once, in an order fixed by seed and epoch."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
import pytest

import vortex_hep
from vortex_hep.archive import compress as compressing
from vortex_hep.errors import ChangedError, MissingError, NotFoundError, UnsupportedTypeError
from vortex_hep.testing.examples import write_example

torch = pytest.importorskip("torch")

from torch.utils.data import DataLoader  # noqa: E402

from vortex_hep.analysis.tensors.dataset import ArchiveDataset, Jagged, Padded  # noqa: E402
from vortex_hep.analysis.tensors.options import ServeOptions  # noqa: E402

ROWS = 700


def _write(path, first, rows):
    """Jets that know their number, and tracks that know that of their jet."""
    random = np.random.default_rng(first)
    jets = np.zeros(rows, [("number", "<i8"), ("pt", "<f4"), ("status", "<u2"), ("big", "<u8")])
    jets["number"] = first + np.arange(rows)
    jets["pt"] = random.exponential(5e4, rows)
    jets["status"] = 40_000 + np.arange(rows) % 3
    jets["big"][-1] = 1 << 63
    tracks = np.zeros((rows, 6), [("jet", "<i4"), ("d0", "<f2")])
    filled = np.arange(6) < random.integers(0, 5, rows)[:, None]
    tracks["jet"] = np.where(filled, jets["number"][:, None] + 1, 0)
    tracks["d0"] = np.where(filled, random.normal(0, 1, (rows, 6)), 0)
    with h5py.File(path, "w") as f:
        f.create_dataset("jets", data=jets, chunks=(50,))
        f.create_dataset("tracks", data=tracks, chunks=(50, 6))
        f["vector/p"] = random.normal(size=(rows, 3)).astype("<f4")
        f["vector/q"] = random.normal(size=rows)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three archives of several clusters each, with 700 jets in all, and one of a ROOT file."""
    folder = tmp_path_factory.mktemp("archives")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compressing, "CLUSTER_BYTES", 8000)
        for name, first, rows in (("a", 0, 400), ("b", 400, 60), ("c", 460, ROWS - 460)):
            _write(folder / f"{name}.h5", first, rows)
            _compress(folder / f"{name}.h5", folder / f"{name}.vxc")
        patch.setattr(compressing, "CLUSTER_BYTES", 40_000)
        write_example(folder / "nano.root", events=60, seed=7)
        _compress(folder / "nano.root", folder / "nano.vxc")
    return folder


def _compress(source, path):
    model = vortex_hep.Model({})
    vortex_hep.compress_file(source, path, model=model, effort="fast", check=False)


def jets(folder, **options):
    options = {"tree": ("jets", "tracks"), "expressions": ["jets/number", "tracks/jet"], **options}
    files = [folder / f"{name}.vxc" for name in "abc"]
    return ArchiveDataset(files, ServeOptions(**options))


def numbers(batches, name="jets/number"):
    found = [batch[name].tolist() for batch in batches]
    return [n for batch in found for n in batch]


def test_batches_in_order(folder):
    data = jets(folder, batch=64, expressions=None, filter_name=["*/number", "*/pt", "tracks/*"])
    assert data.columns == ["jets/number", "jets/pt", "tracks/jet", "tracks/d0"]
    batches = list(data)
    assert data.num_entries == ROWS
    assert len(batches) == len(data) == -(-ROWS // 64)
    assert [len(b["jets/number"]) for b in batches] == [64] * 10 + [ROWS % 64]
    assert numbers(batches) == list(range(ROWS))
    with h5py.File(folder / "a.h5") as f:
        expected = f["tracks"][:64]
        assert batches[0]["jets/pt"].numpy().tobytes() == f["jets"]["pt", :64].tobytes()
    tracks = batches[0]["tracks/d0"]
    assert isinstance(tracks, Jagged)
    assert tracks.values.dtype == torch.float16
    assert tracks.values.numpy().tobytes() == expected["d0"][expected["jet"] > 0].tobytes()
    counts = (expected["jet"] > 0).sum(axis=1)
    assert np.diff(tracks.offsets.numpy()).tolist() == counts.tolist()


def test_lists_of_one_length(folder):
    batch = next(iter(jets(folder, batch=100, pad=6)))
    tracks = batch["tracks/jet"]
    assert isinstance(tracks, Padded)
    with h5py.File(folder / "a.h5") as f:
        assert tracks.values.numpy().tobytes() == f["tracks"][:100]["jet"].tobytes()
    with pytest.raises(UnsupportedTypeError, match=r"tracks/jet.*more than the 2 .*truncate"):
        next(iter(jets(folder, pad=2)))
    cut = next(iter(jets(folder, batch=100, pad=2, truncate=True)))["tracks/jet"]
    assert torch.equal(cut.values, tracks.values[:, :2])
    assert cut.lengths.max() == 2


def test_an_epoch_decides_the_order(folder):
    data = jets(folder, batch=64, shuffle=True, buffer=200, seed=3)
    first = list(data)
    again = numbers(data)
    data.set_epoch(1)
    other = numbers(data)
    assert numbers(first) == again != other
    assert again != list(range(ROWS))
    assert sorted(again) == sorted(other) == list(range(ROWS))
    for batch in first:
        tracks = batch["tracks/jet"]
        of_jet = torch.repeat_interleave(batch["jets/number"], torch.diff(tracks.offsets))
        assert torch.equal(tracks.values.long(), of_jet + 1)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("drop_last", [False, True])
def test_processes_share_the_entries(folder, shuffle, drop_last):
    parts = [
        jets(folder, batch=40, buffer=100, shuffle=shuffle, drop_last=drop_last, rank=r, world=3)
        for r in range(3)
    ]
    served = [list(part) for part in parts]
    assert [len(s) for s in served] == [len(p) for p in parts]
    found = [n for batches in served for n in numbers(batches)]
    assert len(set(found)) == len(found)
    if drop_last:
        assert {len(s) for s in served} == {ROWS // 3 // 40}
        assert all(len(b["jets/number"]) == 40 for batches in served for b in batches)
    else:
        assert sorted(found) == list(range(ROWS))


@pytest.mark.slow
def test_workers_share_the_entries_and_see_the_epoch(folder):
    data = jets(folder, batch=64, shuffle=True, buffer=100)
    loader = DataLoader(
        data, batch_size=None, num_workers=2, multiprocessing_context="spawn",
        persistent_workers=True,
    )  # fmt: skip
    assert len(loader) == len(data)
    orders = []
    for epoch in (0, 1):
        data.set_epoch(epoch)
        batches = list(loader)
        assert len(batches) == len(data)
        assert isinstance(batches[0]["tracks/jet"], Jagged)
        orders.append(numbers(batches))
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(ROWS))


def test_fixed_inner_shapes_and_the_columns_of_a_group(folder):
    data = ArchiveDataset(folder / "a.vxc", ServeOptions(tree="vector", batch=30))
    batch = next(iter(data))
    with h5py.File(folder / "a.h5") as f:
        assert batch["p"].numpy().tobytes() == f["vector/p"][:30].tobytes()
    assert batch["p"].shape == (30, 3)
    assert batch["q"].dtype == torch.float64


def test_nothing_is_cast_unasked(folder):
    with pytest.raises(UnsupportedTypeError, match=r"a.vxc.*status.*uint16.*widen=True"):
        jets(folder, expressions=["jets/status"])
    batch = next(iter(jets(folder, expressions=["jets/status"], widen=True)))
    assert batch["jets/status"].dtype == torch.int32
    assert batch["jets/status"].min() == 40_000
    with pytest.raises(UnsupportedTypeError, match=r"jets/big.*9223372036854775808.*int64"):
        list(jets(folder, expressions=["jets/big"], widen=True))


def test_root_archives(folder):
    options = ServeOptions(tree="Events", filter_name=["Jet_pt", "MET_pt"], batch=25, cache="9 MB")
    batches = list(ArchiveDataset(str(folder / "nan*.vxc"), options))
    with vortex_hep.open(folder / "nano.vxc") as archive:
        whole = archive["Events"].arrays(["Jet_pt", "MET_pt"])
    assert [len(b["MET_pt"]) for b in batches] == [25, 25, 10]
    assert torch.cat([b["MET_pt"] for b in batches]).tolist() == whole["MET_pt"].to_list()
    jets = [batch["Jet_pt"] for batch in batches]
    lists = [x.tolist() for j in jets for x in torch.tensor_split(j.values, j.offsets[1:-1])]
    assert lists == whole["Jet_pt"].to_list()


def test_what_does_not_fit_is_an_error_at_once(folder):
    a = folder / "a.vxc"
    for options, kind, text in (
        ({}, NotFoundError, r"several trees: .*tree="),
        ({"tree": "jet"}, NotFoundError, r"a.vxc.*jet"),
        ({"tree": "jets", "expressions": ["ptt"]}, NotFoundError, r"did you mean 'pt'"),
        ({"tree": "jets", "filter_name": "x*"}, NotFoundError, "no column matches"),
        ({"tree": ("jets", "counts")}, NotFoundError, "counts"),
    ):
        with pytest.raises(kind, match=text):
            ArchiveDataset(a, ServeOptions(**options))
    wrong: list[dict[str, Any]] = [{"batch": 0}, {"pad": 0}, {"rank": 2, "world": 2}]
    for sizes in wrong:
        with pytest.raises(UnsupportedTypeError, match=r"\d"):
            ServeOptions(**sizes)
    with pytest.raises(MissingError, match="nothing"):
        ArchiveDataset([a, folder / "nothing.vxc"], ServeOptions(tree="jets", expressions=["pt"]))
    with pytest.raises(MissingError, match="pattern"):
        ArchiveDataset(str(folder / "x*.vxc"))
    with pytest.raises(MissingError, match="no files"):
        ArchiveDataset([])


def test_an_archive_that_is_replaced_meanwhile(folder, tmp_path):
    path = tmp_path / "x.vxc"
    path.write_bytes((folder / "a.vxc").read_bytes())
    batches = ArchiveDataset(path, ServeOptions(tree="jets", expressions=["number"], batch=100))
    path.write_bytes((folder / "b.vxc").read_bytes())
    with pytest.raises(ChangedError, match="replaced while it was in use"):
        next(iter(batches))


def test_text_and_lists_within_lists_are_refused(tmp_path):
    import awkward as ak
    import uproot

    with uproot.recreate(tmp_path / "t.root") as file:
        file.mkrntuple("t", ak.Array({"s": ["a", "bc"], "x": [[[1.0]], []], "y": [1, 2]}))
    _compress(tmp_path / "t.root", tmp_path / "t.vxc")
    for name, reason in (("s", "text"), ("x", "lists within lists")):
        with pytest.raises(UnsupportedTypeError, match=rf"'{name}': {reason}.*leave it out"):
            ArchiveDataset(tmp_path / "t.vxc", ServeOptions(expressions=[name]))
    (batch,) = ArchiveDataset(tmp_path / "t.vxc", ServeOptions(expressions=["y"]))
    assert batch["y"].tolist() == [1, 2]


def test_files_whose_columns_differ_are_an_error(folder, tmp_path):
    with h5py.File(tmp_path / "d.h5", "w") as f:
        f["jets"] = np.ones(5, [("number", "<i8"), ("pt", "<f8")])
        f["tracks"] = np.ones(4, [("d0", "<f2")])
    _compress(tmp_path / "d.h5", tmp_path / "d.vxc")
    files = [folder / "a.vxc", tmp_path / "d.vxc"]
    with pytest.raises(UnsupportedTypeError, match=r"d.vxc.*'pt'.*expected.*float32.*got.*float64"):
        ArchiveDataset(files, ServeOptions(tree="jets", expressions=["pt"]))
    with pytest.raises(UnsupportedTypeError, match=r"d.vxc.*differ in their numbers of entries"):
        ArchiveDataset(files[1], ServeOptions(tree=("jets", "tracks")))
