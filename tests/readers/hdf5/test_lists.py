"""Tests of lists in rows of fixed length, whose padding is implied."""

import h5py
import numpy as np
import pytest

from vortex_hep import Model, compress_file
from vortex_hep import open as open_archive
from vortex_hep.readers.hdf5 import open_file
from vortex_hep.readers.hdf5.datasets.lists import find_pad, list_lengths, lists_of, rows_of_lists

TRACK = np.dtype([("pt", "<f2"), ("d0", "<f4"), ("hits", "u1"), ("origin", "<i4"), ("valid", "?")])
JET = np.dtype([("pt", "<f4"), ("label", "<i4"), ("n", "u1")])


def _jets_and_tracks(rows=200, width=40, seed=0):
    """Jets and their tracks as flavour-tagging dumps hold them, and the numbers of tracks."""
    rng = np.random.default_rng(seed)
    counts = np.minimum(rng.poisson(6, rows), width)
    tracks = np.zeros((rows, width), TRACK)
    tracks["pt"], tracks["d0"] = np.nan, np.nan
    tracks["origin"] = -1
    inside = np.arange(width) < counts[:, None]
    total = int(counts.sum())
    tracks["pt"][inside] = rng.exponential(5, total)
    tracks["d0"][inside] = rng.normal(size=total)
    tracks["hits"][inside] = rng.integers(0, 9, total)
    tracks["origin"][inside] = rng.integers(0, 7, total)
    tracks["valid"] = inside
    jets = np.zeros(rows, JET)
    jets["pt"], jets["n"] = rng.exponential(50, rows), counts
    return jets, tracks, counts


def test_tracks_of_jets(check):
    jets, tracks, counts = _jets_and_tracks()

    def fill(file):
        file.create_dataset("jets", data=jets, chunks=(64,), compression="gzip")
        file.create_dataset("tracks", data=tracks, chunks=(32, 40), compression="lzf")

    columns, notes = check(fill)
    assert notes == []
    assert set(columns) == {"jets", "tracks"}
    assert columns["tracks"]["@lengths"].tolist() == counts.tolist()
    assert columns["tracks"]["valid"].all()
    assert len(columns["tracks"]["pt"]) == counts.sum()
    assert not np.isnan(columns["tracks"]["pt"]).any()


def test_padding_costs_nothing(tmp_path):
    """Ten times the width makes rows ten times as large, and the archive hardly larger."""
    sizes = []
    for width in (40, 400):
        _, tracks, _ = _jets_and_tracks(width=width)
        with h5py.File(tmp_path / "in.h5", "w") as file:
            file["tracks"] = tracks
        report = compress_file(
            tmp_path / "in.h5", tmp_path / "a.vxc", model=Model({}), effort="fast", overwrite=True
        )
        sizes.append(report.stored_bytes)
        assert report.remainder_bytes < 1500
    assert sizes[1] < 1.02 * sizes[0]


def test_one_tree_whose_members_users_know(make, through_archive):
    jets, tracks, counts = _jets_and_tracks()

    def fill(file):
        file.create_dataset("jets", data=jets, chunks=(64,), compression="gzip")
        file.create_dataset("tracks", data=tracks, chunks=(32, 40), compression="gzip")
        file["eventwise"] = np.zeros(7, JET)
        file["flows"] = _jets_and_tracks(seed=5)[1]

    path = make(fill)
    with open_file(path, trees=None) as source:
        assert set(source.trees) == {"jets+tracks+flows", "eventwise"} or set(source.trees) == {
            "flows+jets+tracks",
            "eventwise",
        }
        joint = next(t for n, t in source.trees.items() if "+" in n)
        assert {m.name for m in joint.members} == {"jets", "tracks", "flows"}
    _, archive = through_archive(path)
    with open_archive(archive) as opened:
        assert set(opened.trees) == {"jets", "tracks", "flows", "eventwise"}
        found = opened["tracks"].read(50, 60, columns=["pt"])
        assert np.diff(found[""].offsets).tolist() == counts[50:60].tolist()
        numbers = np.asarray(opened["jets"].read(50, 60, columns=["n"])[""].columns["n"])
        assert numbers.tolist() == counts[50:60].tolist()


def test_lists_that_are_full_empty_or_hold_the_padding(check):
    _, tracks, _ = _jets_and_tracks(rows=60, width=10)
    pad = tracks[0, -1]
    assert not pad["valid"]
    tracks[3] = tracks[5, 0]
    tracks[4] = pad
    tracks[6, 0] = pad
    tracks[7, :9], tracks[7, 9] = pad, tracks[5, 0]
    # A NaN of another payload is no padding, nor is one whose hidden bytes differ.
    tracks.view(np.uint8).reshape(60, 10, -1)[8, 9, :2] = (1, 0x7E)

    columns, notes = check(lambda f: f.create_dataset("t", data=tracks, chunks=(7, 10)))
    assert notes == []
    lengths = columns["t"]["@lengths"]
    assert lengths[3] == lengths[7] == lengths[8] == 10
    assert lengths[4] == 0


@pytest.mark.parametrize("target", [1, 1 << 20])
def test_clusters_of_empty_lists(check, target):
    _, tracks, _ = _jets_and_tracks(rows=60, width=10)
    tracks[:] = tracks[0, -1]
    tracks[30, 0] = np.zeros(1, TRACK)
    columns, _ = check(lambda f: f.create_dataset("t", data=tracks), target=target)
    assert columns["t"]["@lengths"].sum() == 1
    assert columns["t"]["d0"].tolist() == [0.0]


def test_padding_that_is_not_at_the_end_of_its_row(check):
    _, tracks, counts = _jets_and_tracks(rows=60, width=10)
    columns, _ = check(lambda f: f.create_dataset("t", data=tracks[:, ::-1].copy()))
    found = columns["t"]
    assert found["valid"].sum() == counts.sum()
    if found["valid"].ndim == 1:
        assert (found["@lengths"] == np.where(counts, 10, 0)).all()


def test_rows_without_padding_are_no_lists(check):
    data = np.zeros((50, 4), JET)
    data["pt"] = np.arange(200).reshape(50, 4)
    columns, _ = check(lambda f: f.create_dataset("t", data=data))
    assert columns["t"]["pt"].shape == (50, 4)
    columns, _ = check(lambda f: f.create_dataset("t", data=data["pt"] * 0, chunks=(7, 4)))
    assert columns["t"]["t"].shape == (50, 4)


@pytest.mark.parametrize("chunks", [(7, 3), (50, 1), (1, 10), (128, 16)])
def test_lists_across_chunks(check, chunks):
    _, tracks, _ = _jets_and_tracks(rows=60, width=10)

    def fill(file):
        file.create_dataset(
            "t", data=tracks, chunks=chunks, maxshape=(None, 16), fillvalue=tracks[0, -1]
        )

    _, notes = check(fill, target=500)
    assert notes == []


def test_lengths():
    records = np.zeros((4, 3, 2), np.uint8)
    records[1, 0] = records[2, 2] = records[3, 1] = 1
    pad = bytes(2)
    assert list_lengths(records, np.frombuffer(pad, np.uint8)).tolist() == [0, 1, 3, 2]
    lengths, elements = lists_of(records, pad)
    assert len(elements) == 6
    assert np.array_equal(rows_of_lists(lengths, elements, 3, pad), records)
    with pytest.raises(ValueError, match="more than 3"):
        rows_of_lists(np.array([4]), np.zeros((4, 2), np.uint8), 3, pad)
    assert find_pad(records) == pad
    assert find_pad(np.arange(240, dtype=np.uint8).reshape(40, 3, 2)) is None
    assert find_pad(np.zeros((4, 1, 2), np.uint8)) is None
    assert find_pad(np.zeros((0, 3, 2), np.uint8)) is None
