"""Tests of byte windows from files, datasets and streams."""

import pickle
from itertools import pairwise
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vortex_hep.errors import NotFoundError, SourceError, UnsupportedTypeError
from vortex_hep.nn.loop.records import open_records

torch = pytest.importorskip("torch")

from vortex_hep.nn.loop.data import LoaderOptions, make_loaders  # noqa: E402


def numbered(count, first=0):
    """Records of four bytes that hold their own number."""
    return np.arange(first, first + count, dtype="<u4").view("u1").reshape(-1, 4)


def numbers(batch):
    """Record numbers in a batch of windows."""
    return batch.numpy().view("<u4")


def served(loader):
    return np.concatenate([numbers(batch).ravel() for batch in loader])


def start_epoch(loader, epoch, first=0):
    sampler: Any = loader.batch_sampler
    sampler.set_epoch(epoch, first)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("records")


@settings(max_examples=60)
@given(
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=4),
    window=st.integers(1, 40),
    batch=st.integers(1, 5),
    share=st.floats(0.3, 0.9),
)
def test_parts_hold_every_record_once_and_share_none(folder, sizes, window, batch, share):
    total = sum(sizes)
    borders = np.cumsum([0, *sizes])
    paths = [folder / f"{i}.bin" for i in range(len(sizes))]
    for path, first, count in zip(paths, borders, sizes, strict=False):
        numbered(count, first).tofile(path)
    options = LoaderOptions(
        record=4, window=window, batch=batch, fractions=(share, 1 - share, 0.0), seed=total
    )
    try:
        loaders = make_loaders(paths, options)
    except SourceError:
        # Only where a part gets no record, or training no window.
        cut = round(total * share)
        within = [min(b, cut) - a for a, b in pairwise(borders) if a < cut]
        assert cut in (0, total) or max(within) < max(1, window // 4)
        return
    cut = round(total * share)
    assert len(loaders.test) == 0
    assert list(loaders.test) == []
    held = list(loaders.validation)
    assert len(held) == len(loaders.validation)
    assert sorted(np.concatenate([numbers(b).ravel() for b in held])) == list(range(cut, total))
    per_window = max(1, window // 4)
    assert loaders.window == 4 * per_window
    train = [row for b in loaders.train for row in numbers(b)]
    assert train
    for row in [*train, *(row for b in held for row in numbers(b))]:
        assert np.array_equal(row, np.arange(row[0], row[0] + len(row)))
        # Within one file.
        assert np.searchsorted(borders, row[0], "right") == np.searchsorted(
            borders, row[-1], "right"
        )
    for row in train:
        assert len(row) == per_window
        assert row[-1] < cut


def test_epochs_differ_and_repeat_themselves():
    loaders = make_loaders(numbered(1000), LoaderOptions(window=64, batch=4))
    again = make_loaders(numbered(1000), LoaderOptions(window=64, batch=4))
    other = make_loaders(numbered(1000), LoaderOptions(window=64, batch=4, seed=1))
    epochs = []
    for epoch in range(3):
        for part in (loaders, again, other):
            start_epoch(part.train, epoch)
        first = served(loaders.train)
        assert np.array_equal(first, served(again.train))
        assert not np.array_equal(first, served(other.train))
        assert len(set(first.tolist())) > 0.9 * 800
        epochs.append(first)
    starts = [set(e[::16].tolist()) for e in epochs]
    assert len({min(s) for s in starts}) == 3, "windows begin at other records in other epochs"
    start_epoch(loaders.train, 1, 5)
    assert np.array_equal(served(loaders.train), epochs[1][5 * 4 * 16 :])


def make_hdf5(path):
    padded = np.dtype({"names": ["a", "b"], "formats": ["<u1", "<f8"], "offsets": [3, 8]})
    rows = np.zeros(300, padded)
    rows["a"] = np.arange(300) % 251
    rows["b"] = np.arange(300) / 7
    with h5py.File(path, "w") as file:
        file["deep/events"] = rows
        file.create_dataset("plain", data=numbered(2000).reshape(-1, 2, 2, 2), chunks=(64, 2, 2, 2))
        file["text"] = ["a", "bc"]
        file["scalar"] = 3.0
        file["none"] = np.zeros((0, 3))
    return rows


def test_rows_of_hdf5_datasets(tmp_path):
    path = tmp_path / "x.h5"
    rows = make_hdf5(path)
    options = LoaderOptions(dataset="deep/events", window=20, fractions=(0.5, 0.5, 0.0))
    loaders = make_loaders(path, options)
    assert (loaders.width, loaders.window) == (9, 18)
    data = np.concatenate([b.numpy().ravel() for b in loaders.validation])
    fields = data.view(np.dtype([("a", "<u1"), ("b", "<f8")]))
    assert np.array_equal(fields["a"], rows["a"][150:])
    assert np.array_equal(fields["b"], rows["b"][150:])
    loaders = make_loaders([path, path], LoaderOptions(dataset="plain", window=256))
    assert loaders.width == 8
    assert np.array_equal(served(loaders.test), np.arange(1600, 2000))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_read_what_one_process_reads(tmp_path, method):
    make_hdf5(tmp_path / "x.h5")
    plain = LoaderOptions(dataset="plain", window=512, batch=2)
    alone = make_loaders(tmp_path / "x.h5", plain).train
    expected = served(alone)
    options = LoaderOptions(dataset="plain", window=512, batch=2, workers=2, start_method=method)
    train = make_loaders(tmp_path / "x.h5", options).train
    # This process has the file open, as it does where a training goes through it twice.
    train.dataset[0, 0, 1]
    for _ in range(2):
        assert np.array_equal(served(train), expected)


def test_a_memory_map_goes_to_other_processes_as_its_path(tmp_path):
    path = tmp_path / "x.bin"
    numbered(50_000).tofile(path)
    whole = np.memmap(path, np.uint8, "r", offset=400, shape=(49_000, 4))
    for array, light in ((whole, True), (whole[5:], False), (np.array(whole), False)):
        (records,) = open_records(array)
        records.read(0, 1)
        text = pickle.dumps(records)
        assert (len(text) < 1000) == light
        copy = pickle.loads(text)
        assert np.array_equal(copy.read(7, 9), np.asarray(array[7:16]).ravel())


def test_a_file_cut_short_while_it_is_read(tmp_path):
    path = tmp_path / "x.bin"
    numbered(1000).tofile(path)
    (records,) = open_records(path, width=4)
    path.write_bytes(b"short")
    with pytest.raises(SourceError, match="no longer be read"):
        records.read(0, 1)


WRONG = {
    "missing": ("absent.bin", {}, SourceError, "no such file"),
    "folder": (".", {}, SourceError, "folder"),
    "empty": ("empty.bin", {}, SourceError, "no whole record"),
    "tail": ("ten.bin", {"record": 4}, SourceError, "2 are left over"),
    "large record": ("ten.bin", {"record": 40, "drop_tail": True}, SourceError, "no whole record"),
    "no record": ("ten.bin", {"record": 0}, UnsupportedTypeError, "at least one"),
    "window": ("ten.bin", {"window": 64}, SourceError, "do not fill one window"),
    "few": ("ten.bin", {"record": 5, "fractions": (0.9, 0.05, 0.05)}, SourceError, "too few"),
    "not HDF5": ("ten.bin", {"dataset": "x"}, SourceError, "HDF5"),
    "no dataset": ("x.h5", {"dataset": "x"}, NotFoundError, "plain"),
    "group": ("x.h5", {"dataset": "deep"}, NotFoundError, "is a group"),
    "text": ("x.h5", {"dataset": "text"}, UnsupportedTypeError, "fixed size"),
    "scalar": ("x.h5", {"dataset": "scalar"}, UnsupportedTypeError, "scalar"),
    "no rows": ("x.h5", {"dataset": "none"}, SourceError, "empty"),
    "width": ("x.h5", {"dataset": "plain", "record": 4}, SourceError, "records of 8 bytes"),
}


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG)
def test_what_cannot_be_served(tmp_path, case):
    name, options, kind, match = case
    (tmp_path / "empty.bin").touch()
    (tmp_path / "ten.bin").write_bytes(bytes(10))
    make_hdf5(tmp_path / "x.h5")
    with pytest.raises(kind, match=match):
        make_loaders(tmp_path / name, LoaderOptions(**options))


@pytest.mark.parametrize(
    "array", [np.zeros((4, 4)), np.zeros(16, np.uint8), np.zeros((3, 0), np.uint8)]
)
def test_arrays_that_are_no_records(array):
    with pytest.raises(UnsupportedTypeError, match="uint8 array"):
        make_loaders(array)


@pytest.mark.parametrize(
    "options",
    [
        {"fractions": (0.5, 0.1, 0.1)},
        {"fractions": (0.0, 0.5, 0.5)},
        {"fractions": (1.2, -0.1, -0.1)},
        {"window": 0},
        {"batch": 0},
    ],
)
def test_options_that_make_no_sense(options):
    with pytest.raises(UnsupportedTypeError):
        LoaderOptions(**options)


def test_a_tail_is_left_out_on_request(tmp_path):
    path = tmp_path / "x.bin"
    path.write_bytes(numbered(100).tobytes() + b"tail"[:3])
    options = LoaderOptions(record=4, window=16, fractions=(0.5, 0.5, 0), drop_tail=True)
    loaders = make_loaders(path, options)
    assert np.array_equal(served(loaders.validation), np.arange(50, 100))
    assert sum(b.numel() for b in loaders.validation) == 200
