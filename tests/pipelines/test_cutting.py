"""Tests of cutting files between events: both parts together hold all of the file."""

import gzip
import io
import tarfile

import awkward as ak
import h5py
import numpy as np
import pytest
import uproot
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.experiments import hdf5rows
from pipelines.experiments.description import Cutting
from pipelines.experiments.hepmctext import count_events, cut_events
from pipelines.experiments.manifest import FileRecord
from pipelines.experiments.prepare import Preparation, part_name, range_of_part
from pipelines.experiments.rootentries import cut_entries
from tests.pipelines.inputs import hepmc_text, write_frames, write_jets, write_snapshot
from vortex_hep.errors import SourceError, UnsupportedTypeError


@given(
    total=st.integers(2, 10**6),
    train_share=st.floats(0.01, 0.99),
    share=st.floats(0.0, 1.0),
)
def test_parts_do_not_overlap(total, train_share, share):
    train = range_of_part(total, role="train", train_share=train_share, share=share)
    test = range_of_part(total, role="test", train_share=train_share, share=share)
    assert 0 == train[0] <= train[1] <= test[0] <= test[1] <= total
    whole = [
        range_of_part(total, role=r, train_share=train_share, share=1) for r in ("train", "test")
    ]
    assert whole[0][1] == whole[1][0]
    assert whole[1][1] == total


@pytest.mark.parametrize("in_memory", [True, False])
def test_rows_of_hdf5_keep_their_bits(tmp_path, monkeypatch, in_memory):
    if not in_memory:
        monkeypatch.setattr(hdf5rows, "_IN_MEMORY", 0)
        monkeypatch.setattr(hdf5rows, "_BLOCK", 5000)
    write_jets(tmp_path / "in.h5", jets=1001)
    with h5py.File(tmp_path / "in.h5") as file:
        whole = {name: file[name][()].tobytes() for name in ("jets", "tracks")}
    found = {"jets": b"", "tracks": b""}
    for start, stop in ((0, 333), (333, 1001)):
        hdf5rows.cut_rows(
            tmp_path / "in.h5", tmp_path / "out.h5", hdf5rows.range_of_rows(1001, start, stop)
        )
        with h5py.File(tmp_path / "out.h5") as file:
            for name in found:
                found[name] += file[name][()].tobytes()
            assert (file["jets"].chunks, file["jets"].compression) == ((100,), "gzip")
            assert file["jets"].shuffle
            assert file["jets"].attrs["note"] == "made"
            assert file["counts"][()].tolist() == [0, 1, 2]
    assert found == whole
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.h5", "out.h5"]


def test_groups_of_a_snapshot_keep_a_share(tmp_path):
    write_snapshot(tmp_path / "in.hdf5", particles=4000)
    cutting = Cutting("hdf5")
    size = (tmp_path / "in.hdf5").stat().st_size
    record = FileRecord.of("test", tmp_path / "in.hdf5")
    preparation = Preparation(cutting, size // 4, tmp_path / "parts", lambda line: None)
    ((role, path),), _ = preparation([record])
    with h5py.File(path) as part, h5py.File(tmp_path / "in.hdf5") as whole:
        for group, rows in (("PartType0", 1000), ("PartType1", 500)):
            kept = part[f"{group}/Velocities"]
            assert abs(len(kept) - rows) <= 1
            assert np.array_equal(kept[()], whole[f"{group}/Velocities"][: len(kept)])
        assert part["Header"].attrs["Time"] == 1.0
    assert (role, path.name) == ("test", "in.test.hdf5")


@settings(max_examples=20)
@given(events=st.integers(1, 30), cut=st.integers(0, 30), packed=st.sampled_from(["", "gz", "tar"]))
def test_events_of_a_text_stay_whole(tmp_path_factory, events, cut, packed):
    folder = tmp_path_factory.mktemp("hepmc")
    text = hepmc_text(events)
    path = folder / "in"
    path.write_bytes(_packed(text, packed))
    assert count_events(path) == events
    cut = min(cut, events)
    head, end = text[: text.index(b"E ")], text[text.index(b"HepMC::Asciiv3-END") :]
    bodies = []
    for start, stop in ((0, cut), (cut, events)):
        cut_events(path, folder / "out", start, stop)
        part = (folder / "out").read_bytes()
        assert count_events(folder / "out") == stop - start
        assert part.startswith(head)
        assert end.rstrip(b"\n") in part
        bodies.append(part[len(head) :].partition(end.rstrip(b"\n"))[0])
    assert head + b"".join(bodies) + end == text


def _packed(text, packed):
    if packed == "gz":
        return gzip.compress(text)
    if packed == "tar":
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w:gz") as archive:
            member = tarfile.TarInfo("events.hepmc")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text))
        return file.getvalue()
    return text


def test_what_is_no_hepmc_is_refused(tmp_path):
    (tmp_path / "in").write_bytes(b"E 1 2 3\n")
    with pytest.raises(SourceError, match="no HepMC"):
        count_events(tmp_path / "in")


def test_entries_of_a_tree_keep_their_values(example_file, tmp_path):
    cut_entries(example_file, tmp_path / "out.root", "Events", 250, 300)
    with uproot.open(example_file) as whole, uproot.open(tmp_path / "out.root") as part:
        before = whole["Events"].arrays(entry_start=250)
        after = part["Events"].arrays()
        assert sorted(after.fields) == sorted(before.fields)
        for name in before.fields:
            assert ak.array_equal(before[name], after[name], equal_nan=True, dtype_exact=False)
            if not name.startswith("n"):
                assert str(after[name].type.content) == str(before[name].type.content)


def test_strings_cannot_be_cut(tmp_path):
    with uproot.recreate(tmp_path / "in.root") as file:
        file["t"] = {"s": ["one", "two"]}
    with pytest.raises(UnsupportedTypeError, match="leave --limit-bytes out"):
        cut_entries(tmp_path / "in.root", tmp_path / "out.root", "t", 0, 1)


def test_files_that_cannot_be_cut_are_used_whole(tmp_path):
    write_frames(tmp_path / "in.root")
    said: list[str] = []
    preparation = Preparation(Cutting("root"), 10, tmp_path / "parts", said.append)
    record = FileRecord.of("test", tmp_path / "in.root")
    assert preparation([record])[0] == [("test", tmp_path / "in.root")]
    assert said == ["prepare: in.root can only be used whole, whatever the limit"]
    with pytest.raises(SourceError, match="cannot be split"):
        preparation([FileRecord.of("split", tmp_path / "in.root")])


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("HEPMC.43646133._000001.tar.gz.1", "HEPMC.43646133._000001.test.hepmc"),
        ("dijet.hepmc2.gz", "dijet.test.hepmc"),
        ("events.hepmc", "events.test.hepmc"),
        ("events.tgz", "events.test.hepmc"),
    ],
)
def test_names_of_texts(name, part):
    assert part_name(name, "test", "hepmc") == part
