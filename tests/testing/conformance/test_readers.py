"""The checks of readers: every kind of file has an entry, and readers that are wrong are caught."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from types import ModuleType

import h5py
import numpy as np
import pytest
import uproot

from vortex_hep.core.schema import ColumnSpec, TableData, TableSpec
from vortex_hep.errors import UnsupportedFeatureError
from vortex_hep.readers import open_source
from vortex_hep.readers.arrays.memory import ArraysTree
from vortex_hep.readers.kinds import KINDS, RestoreOptions, kind_module
from vortex_hep.testing import ConformanceError, ReaderTests, check_reader_round_trip, odd_events
from vortex_hep.testing.conformance.readers import (
    check_columns_alone,
    check_reader_kinds,
    read_contents,
)


class TestRoot(ReaderTests):
    kind = "root"

    def write_files(self, folder):
        # No 16-bit floats, which ROOT has not.
        events = {k: v for k, v in odd_events(50).items() if not k.endswith("f2")}
        types = {k: v.type if k.startswith("list") else np.dtype((v.dtype, v.shape[1:]))
                 for k, v in events.items()}  # fmt: skip
        with uproot.recreate(folder / "in.root", compression=uproot.ZLIB(1)) as file:
            file.mktree("t", types)
            file["t"].extend({k: v[:20] for k, v in events.items()})
            file["t"].extend({k: v[20:] for k, v in events.items()})
            file.mktree("folder/empty", {"x": np.float32})
            file["note"] = "some text"
        return [folder / "in.root"]


class TestHdf5(ReaderTests):
    kind = "hdf5"

    def write_files(self, folder):
        arrays = {k: v for k, v in odd_events(50).items() if not k.startswith("list")}
        for version in ("earliest", "latest"):
            with h5py.File(folder / f"{version}.h5", "w", libver=version) as file:
                for name, array in arrays.items():
                    file.create_dataset(name, data=array, chunks=(16, *array.shape[1:]),
                                        compression="gzip", shuffle=True)  # fmt: skip
                file.create_dataset(
                    "empty", shape=(0, 3), dtype="<f4", chunks=(4, 3), maxshape=(None, 3)
                )
                file["text"] = ["a", "bb"]
        return sorted(folder.glob("*.h5"))


EVENT = """E {number} 1 3
U GEV MM
P 1 0 11 0.0000000000000000e+00 -0.0000000000000000e+00 1.0000000000000000e+02 1.0000000000000000e+02 5.1099891000000001e-04 4
V -1 0 [1]
P 2 -1 22 1.2345678901234567e-300 2.0000000000000000e+00 3.0000000000000000e+00 1.0000000000000000e+01 0.0000000000000000e+00 1
P 3 -1 11 1.0000000000000000e+00 2.0000000000000000e+00 3.0000000000000000e+00 9.0000000000000000e+01 5.1099891000000001e-04 1
"""  # noqa: E501


class TestHepmc(ReaderTests):
    kind = "hepmc"

    def write_files(self, folder):
        head = "HepMC::Version 3.02.05\nHepMC::Asciiv3-START_EVENT_LISTING\nW Weight\n"
        end = "HepMC::Asciiv3-END_EVENT_LISTING\n\n"
        events = "".join(EVENT.format(number=k) for k in range(30))
        (folder / "in.hepmc3").write_text(head + events + end)
        return [folder / "in.hepmc3"]


class TestOpaque(ReaderTests):
    kind = "opaque"

    def write_files(self, folder):
        (folder / "empty.bin").write_bytes(b"")
        (folder / "data.bin").write_bytes(np.random.default_rng(1).bytes(5000))
        return sorted(folder.glob("*.bin"))


class TestBytes(TestOpaque):
    kind = "bytes"
    told = False


def test_arrays_are_no_file_but_read_as_well():
    for entries in (40, 0):
        with open_source(odd_events(entries)) as source:
            check_columns_alone(source)
            assert len(read_contents(source).blobs) == 0
    with pytest.raises(UnsupportedFeatureError):
        kind_module("arrays").open_file(odd_events(3), trees=None, exact=True)


#: What tests every kind of file.
TESTS = {
    "root": TestRoot, "hdf5": TestHdf5, "hepmc": TestHepmc, "opaque": TestOpaque,
    "bytes": TestBytes, "arrays": test_arrays_are_no_file_but_read_as_well,
}  # fmt: skip


def test_every_kind_of_file_has_an_entry(monkeypatch):
    check_reader_kinds(TESTS)
    monkeypatch.setitem(KINDS, "parquet", "of.somebody")
    with pytest.raises(ConformanceError, match="'parquet': is known, but has no conformance entry"):
        check_reader_kinds(TESTS)
    with pytest.raises(ConformanceError, match="'json': has a conformance entry, but is not known"):
        check_reader_kinds({**TESTS, "parquet": None, "json": None})


# A reader of somebody else's, of files of numbers: right, or wrong in one way.


class NumbersSource:
    """A file of numbers of 32 bits as one column ``x``, behind a name of four bytes."""

    kind = "numbers"

    def __init__(self, path, fault):
        self.path, self.fault = str(path), fault
        data = Path(path).read_bytes()
        self.name = data[:4]
        self.x = np.frombuffer(data[4:], "<f4").copy()
        spec = ColumnSpec("x", "<f4")
        table = TableData(np.arange(len(self.x) + 1), {"x": self.x})
        tree = FaultyTree("t", (TableSpec("", (spec,)),), {"": table}, len(self.x))
        tree.fault = fault
        self.trees = {"t": tree}

    def remainder(self):
        yield "numbers/name", b"" if self.fault == "forgets the name" else self.name

    def settle(self):
        pass

    def notes(self):
        return []

    def unread(self):
        return []

    def close(self):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


class FaultyTree(ArraysTree):
    fault = ""

    def cluster_ranges(self, target_bytes):
        ranges = super().cluster_ranges(target_bytes)
        return ranges[:-1] if self.fault == "leaves out the end" else ranges

    def read(self, start, stop, columns=None):
        cluster = super().read(start, stop, columns)
        if self.fault == "other dtype":
            cluster[""].columns["x"] = np.zeros(len(cluster[""].columns["x"]), "<f8")
        if self.fault == "too few rows":
            cluster[""].columns["x"] = np.asarray(cluster[""].columns["x"])[:-1]
        if self.fault == "another column":
            cluster[""].columns["y"] = cluster[""].columns["x"]
        if self.fault == "alone differs" and columns is not None:
            cluster[""].columns["x"] = np.asarray(cluster[""].columns["x"])[::-1]
        if self.fault == "raises":
            raise ZeroDivisionError("by zero")
        return cluster


def restore(blobs, trees, read_cluster, out, options, fault=""):
    parts = [read_cluster("t", *bounds)[""].columns["x"] for bounds in trees["t"]]
    x = np.concatenate([np.zeros(0, "<f4"), *parts])
    if fault == "quiet NaNs":
        bits = x.view("<u4")
        bits[np.isnan(x)] |= 0x400000
    if fault == "loses an entry":
        x = x[:-1]
    tail = b"\0" * 4 if fault == "more bytes" else b""
    out.write_bytes(blobs["numbers/name"].ljust(4, b"?") + x.tobytes() + tail)


@pytest.fixture
def numbers(monkeypatch, tmp_path):
    """Function that registers a reader with some fault, and gives a file of its kind."""

    def register(fault=""):
        module = ModuleType("numbers_reader")
        module.open_file = lambda source, *, trees, exact=False: NumbersSource(source, fault)  # type: ignore[attr-defined]
        module.restore_file = partial(restore, fault=fault)  # type: ignore[attr-defined]
        module.content_of = lambda name, blob: blob  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "numbers_reader", module)
        monkeypatch.setitem(KINDS, "numbers", "numbers_reader")
        bits = [0x7F800001, 0xFFC12345, 0x80000000, 1, 0x7F800000, 0]
        path = tmp_path / "in.numbers"
        path.write_bytes(b"name" + np.resize(np.array(bits, "<u4"), 1000).tobytes())
        return path

    return register


def test_a_reader_of_somebody_else_passes(numbers, tmp_path):
    path = numbers()
    contents = check_reader_round_trip(path, tmp_path / "out", kind="numbers", target=256)
    assert len(contents.ranges["t"]) > 10
    assert contents.blobs == {"numbers/name": b"name"}
    with NumbersSource(path, "") as source:
        check_columns_alone(source)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (
            "leaves out the end",
            r"entries of tree 't' and the end of its ranges differ: expected 10",
        ),
        ("other dtype", r"entries 0 to 64, table '', column 'x': dtypes differ: expected '<f4', f"),
        ("too few rows", r"column 'x': shapes differ: expected \(64,\), found \(63,\)"),
        ("another column", r"columns differ: expected \['x'\], found \['x', 'y'\]"),
        ("raises", r"reading raises: found ZeroDivisionError: by zero"),
        ("quiet NaNs", r"differs: found tree 't': column 'x': differs from entry 0 on"),
        ("loses an entry", r"the restored file differs: found tree 't': 1000 entries against 999"),
        ("more bytes", r"1000 entries against 1001"),
    ],
)
def test_wrong_readers_are_caught(numbers, fault, message):
    path = numbers(fault)
    with pytest.raises(ConformanceError, match=message) as caught:
        check_reader_round_trip(path, kind="numbers", target=256)
    assert caught.value.subject.startswith("reader 'numbers'")
    assert str(path) in str(caught.value)


def test_columns_that_differ_alone_are_caught(numbers):
    with (
        NumbersSource(numbers("alone differs"), "alone differs") as source,
        pytest.raises(
            ConformanceError, match="items of tree 't', entries 0 to 1000, 'x' alone dif"
        ),
    ):
        check_columns_alone(source, target=1 << 20)


def test_files_that_must_come_back_byte_for_byte(numbers, tmp_path, monkeypatch):
    path = numbers()
    monkeypatch.setattr(NumbersSource, "identity", lambda self: None, raising=False)
    check_reader_round_trip(path, kind="numbers", exact=True)
    path = numbers("forgets the name")  # whoever reads again does not miss it
    check_reader_round_trip(path, kind="numbers")
    with pytest.raises(ConformanceError, match="other bytes") as caught:
        check_reader_round_trip(path, kind="numbers", exact=True)
    assert caught.value.position == "byte 0"
    path = numbers("more bytes")
    message = "the restored file has other bytes, expected 4004 bytes, found 4008 bytes"
    with pytest.raises(ConformanceError, match=message.replace(", exp", ".*exp")) as caught:
        check_reader_round_trip(path, kind="numbers", exact=True, compare=False)
    assert caught.value.position == "byte 4004"


def test_restoring_can_be_chosen(tmp_path):
    path = TestRoot().write_files(tmp_path)[0]
    out = tmp_path / "out.root"
    check_reader_round_trip(path, out, options=RestoreOptions(compression="none"))
    with uproot.open(out) as file:
        assert file["t"]["scalar_f4"].compression is None
