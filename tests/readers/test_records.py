"""Tests of files as records of bytes: round trips whatever the bytes, partial reads."""

from __future__ import annotations

import fsspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import vortex_hep
from vortex_hep.archive import compress as compressing
from vortex_hep.codec.tokens.records import RecordColumn, RecordLayout
from vortex_hep.core.schema import TableData
from vortex_hep.core.storage.identity import Identity
from vortex_hep.core.storage.ranges import open_binary
from vortex_hep.errors import (
    CorruptionError,
    NotFoundError,
    TruncatedError,
    UnsupportedTypeError,
)
from vortex_hep.models.record_width import record_width
from vortex_hep.nn.sequence.model import SequenceModel, SequenceShape
from vortex_hep.readers import open_source, records
from vortex_hep.readers.kinds import RestoreOptions, kind_of

DATA = np.random.default_rng(5).integers(0, 256, 1003).astype("u1").tobytes()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "in.bin"
    path.write_bytes(DATA)
    return path


@given(
    st.one_of(st.binary(max_size=300), st.builds(lambda b, n: b * n, st.binary(), st.just(40))),
    st.one_of(st.integers(1, 17), st.sampled_from([64, records.MAX_WIDTH])),
    st.booleans(),
)
@settings(max_examples=40)
def test_any_bytes_come_back(tmp_path, data, width, exact):
    source, archive, out = (tmp_path / name for name in ("in.bin", "a.vxc", "out.bin"))
    source.write_bytes(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compressing, "CLUSTER_BYTES", 64)
        vortex_hep.compress_file(
            source, archive, model=vortex_hep.Model({}), record=width, exact=exact,
            effort="fast", threads=1, overwrite=True,
        )  # fmt: skip
    vortex_hep.restore(archive, out, overwrite=True)
    assert out.read_bytes() == data
    assert vortex_hep.verify(archive, against=source).differences == []
    whole = len(data) // width * width
    with vortex_hep.open(archive) as found:
        assert found.source["kind"] == "bytes"
        assert (found.identity is not None) == exact
        assert b"".join(blob for _, blob in found.remainder()) == data[whole:]
        column = found["bytes"].arrays(library="np")["record"]
        assert column.shape == ((whole // width, width) if width > 1 else (whole,))
        assert column.tobytes() == data[:whole]


@pytest.mark.parametrize("width", [1, 4, 7])
def test_parts_are_read_alone(file, width):
    class Counting:
        """The file, and how much of it was asked for."""

        def __init__(self):
            self.inside, self.read = open_binary(file), 0
            self.size, self.name = self.inside.size, self.inside.name

        def read_ranges(self, ranges):
            self.read += sum(size for _, size in ranges)
            return self.inside.read_ranges(ranges)

        def close(self):
            self.inside.close()

    counting = Counting()
    with records.RecordsSource(counting, "in.bin", width) as source:
        tree = source.trees["bytes"]
        assert tree.num_entries == len(DATA) // width
        assert tree.read(3, 9, ["other"]) == {}
        assert counting.read == 0
        table = tree.read(3, 9)[""]
        assert counting.read == 6 * width
        assert table.offsets.tolist() == list(range(7))
        assert np.asarray(table.columns["record"]).tobytes() == DATA[3 * width : 9 * width]
        ranges = tree.cluster_ranges(100)
        assert [start for start, _ in ranges[1:]] == [stop for _, stop in ranges[:-1]]
        assert (ranges[0][0], ranges[-1][1]) == (0, tree.num_entries)
        assert max(stop - start for start, stop in ranges) * width <= 100


def test_clusters_of_short_records_are_bounded_by_their_number(tmp_path):
    """Else where they begin takes eight times the memory that they do."""
    path = tmp_path / "holes.bin"
    with path.open("wb") as sparse:
        sparse.truncate(1 << 25)
    with open_source(path, record=1) as source:
        ranges = source.trees["bytes"].cluster_ranges(1 << 24)
        assert max(stop - start for start, stop in ranges) == 1 << 22


def test_urls_are_read_by_range(tmp_path):
    fsspec.filesystem("memory").pipe("/records.bin", DATA)
    archive = tmp_path / "a.vxc"
    report = vortex_hep.compress_file(
        "memory://records.bin", archive, model=vortex_hep.Model({}), record=8, effort="fast"
    )
    assert report.raw_bytes == 1000
    assert report.messages == ["taken as records, 125 of 8 bytes and 3 behind the last"]
    vortex_hep.restore(archive, tmp_path / "out.bin")
    assert (tmp_path / "out.bin").read_bytes() == DATA


def test_a_file_that_becomes_shorter_is_noticed(file, tmp_path):
    with open_source(file, record=10) as source:
        tree = source.trees["bytes"]
        with file.open("rb+") as cut:
            cut.truncate(995)
        assert tree.read(0, 99)[""].num_rows == 99
        with pytest.raises(TruncatedError, match=r"in\.bin"):
            tree.read(90, 100)
        with pytest.raises(TruncatedError, match=r"in\.bin"):
            list(source.remainder())


def test_what_is_no_record_or_no_file_is_refused(file, tmp_path):
    for width in (0, -1, records.MAX_WIDTH + 1, 2.5, "4"):
        with pytest.raises(UnsupportedTypeError, match="from 1 to 4096, not"):
            open_source(file, record=width)  # type: ignore[arg-type]
    with pytest.raises(UnsupportedTypeError, match="expected the path"):
        vortex_hep.compress_tree({"x": np.arange(3)}, path=tmp_path / "a.vxc", record=4)
    with pytest.raises(NotFoundError, match="there is 'bytes'"):
        open_source(file, record=4, trees=["Events"])
    assert not (tmp_path / "a.vxc").exists()


def test_other_bytes_are_found(file, tmp_path):
    archive, other = tmp_path / "a.vxc", tmp_path / "other.bin"
    vortex_hep.compress_file(file, archive, model=vortex_hep.Model({}), record=4, exact=True)
    for at, where in ((4 * 70 + 1, "from entry 70 on"), (1001, "'bytes/tail' differ")):
        changed = bytearray(DATA)
        changed[at] ^= 1
        other.write_bytes(changed)
        found = vortex_hep.verify(archive, against=other).differences
        assert len(found) == 2
        assert where in found[0]
        assert "where the archive promises 1003 bytes" in found[1]
    other.write_bytes(DATA[:-8])
    assert "250 entries against 248" in vortex_hep.verify(archive, against=other).differences[0]


def test_archives_that_are_not_of_records_are_refused(tmp_path):
    out = tmp_path / "out.bin"
    good = {"": TableData(np.arange(3), {"record": np.zeros((2, 2), "u1")})}
    wide = {"": TableData(np.arange(3), {"record": np.zeros(2, "<u2")})}
    promise = RestoreOptions(identity=Identity.make(4, 1))
    for blobs, trees, cluster, options in (
        ({}, {}, good, RestoreOptions()),
        ({"opaque/0": b"x"}, {"bytes": [(0, 2)]}, good, RestoreOptions()),
        ({}, {"bytes": [(0, 2)]}, wide, RestoreOptions()),
        ({}, {"bytes": [(0, 2)]}, {"other": good[""]}, RestoreOptions()),
        ({}, {"bytes": [(0, 2)]}, good, promise),
    ):
        with pytest.raises(CorruptionError, match=r"out\.bin"):
            records.restore_file(blobs, trees, lambda *_, c=cluster: c, out, options)
        assert list(tmp_path.iterdir()) == []
    with pytest.raises(CorruptionError, match="expected the tree 'bytes'"):
        records.width_of({}, "a.vxc")


def test_a_model_of_records_takes_files_so(tmp_path):
    train, source, archive = (tmp_path / name for name in ("t.bin", "in.h5", "a.vxc"))
    for path, seed in ((train, 1), (source, 2)):
        rng = np.random.default_rng(seed)
        data = rng.choice([7, 9, 200], (8000, 3), p=[0.9, 0.06, 0.04]).astype("u1")
        data[:, 1] = np.where(rng.random(8000) < 0.5, data[:, 0], data[:, 1])
        path.write_bytes(b"\x89HDF\r\n\x1a\n" + data.tobytes())
    assert kind_of(source.read_bytes()) == "hdf5"
    options = vortex_hep.TrainOptions(record=3, effort="fast", seconds=1, expected_rows=10**7)
    model = vortex_hep.train([train], options=options)
    assert record_width(model) == 3
    assert vortex_hep.exact_forecast(source, model=model).endswith("comes back byte for byte")
    report = vortex_hep.compress_file(source, archive, model=model, embed_model=False, exact=True)
    assert [(c["name"], c["coder"]) for c in report.columns] == [("record", "network")]
    assert vortex_hep.verify(archive, against=source, model=model).ok
    vortex_hep.restore(archive, tmp_path / "out", model=model)
    assert (tmp_path / "out").read_bytes() == source.read_bytes()
    # Asked for otherwise, the model is of no use, and so the archive does without it.
    report = vortex_hep.compress_file(source, archive, model=model, record=7, overwrite=True)
    assert report.model_bytes == 0
    assert vortex_hep.verify(archive, against=source).ok


def test_only_models_of_records_alone_decide():
    def sequence(name, items):
        layout = RecordLayout((RecordColumn(name, "|u1", items, (-1,) * items),))
        shape = SequenceShape(2, 1, 1, 2, 4, 1, items, memory=False)
        model = SequenceModel("/scalars", layout, shape, 4, 4, False, {}, np.zeros((1, 2)))
        return {"/scalars": model}

    assert record_width(vortex_hep.Model({"bytes": sequence("record", 12)})) == 12
    assert record_width(vortex_hep.Model({"bytes": sequence("pixel", 12)})) is None
    assert record_width(vortex_hep.Model({"Events": sequence("record", 12)})) is None
    both = {"bytes": sequence("record", 12), "Events": sequence("record", 12)}
    assert record_width(vortex_hep.Model(both)) is None
