"""Tests common to all places of files."""

from __future__ import annotations

import errno
import io
import time
import zlib

import numpy as np
import pytest

from vortex_hep.core import storage
from vortex_hep.core.storage.atomic import atomic_output
from vortex_hep.core.storage.output import BLOCK
from vortex_hep.errors import MissingError, OutputError, SourceError, TruncatedError

DATA = bytes(range(256)) * 1000
NAME = "μ+ jets (run 2), 90% #1 & more @CERN: a=b;.root"


def put(path, data=DATA):
    with storage.create(path) as out:
        out.write(data)
    return path


def names(folder):
    return [path.removeprefix(folder).strip("/") for path, _ in storage.list_files(folder)]


def read(path):
    source = storage.open_binary(path)
    try:
        return source.read_ranges([(0, source.size)])[0]
    finally:
        source.close()


def test_a_file_is_written_and_read(place):
    path = storage.join(place, NAME)
    began = time.time()
    with storage.create(path) as out:
        assert out.name == path
        assert out.writable()
        out.write(DATA[:1000])
        out.write(np.frombuffer(DATA[1000:], "<u4"))
        assert out.tell() == len(DATA)
    assert out.identity == storage.Identity.make(len(DATA), zlib.adler32(DATA))
    assert read(path) == DATA
    assert storage.identity(path) == storage.identity(path, read=True) == out.identity
    status = storage.stat(path)
    assert (status.size, status.is_folder) == (len(DATA), False)
    assert status.mtime is not None
    # Clocks of file systems are a little behind.
    assert began - 5 <= status.mtime <= time.time() + 5
    with pytest.raises(ValueError, match="closed"):
        out.write(b"")


def test_ranges_come_in_the_order_asked_for(place):
    source = storage.open_binary(put(storage.join(place, "in.bin")))
    ranges = [(5, 10), (np.int64(1), np.int64(100_000)), (0, 0), (5, 10), (len(DATA) - 1, 1)]
    with storage.counting() as count:
        assert source.read_ranges(ranges) == [DATA[o : o + n] for o, n in ranges]
    assert count.requests >= 1
    assert count.bytes >= 100_011
    assert source.read_ranges([]) == []
    for beyond in ((len(DATA), 1), (0, len(DATA) + 1)):
        with pytest.raises(TruncatedError):
            source.read_ranges([(0, 1), beyond])
    source.close()


def test_large_and_empty_files(place):
    large = np.random.default_rng(1).bytes(2 * BLOCK + 7)
    for number, data in enumerate((large, b"", large[: BLOCK - 1])):
        path = put(storage.join(place, str(number)), data)
        assert read(path) == data
        assert storage.identity(path).size == len(data)


def test_a_file_can_be_started_over(place):
    path = storage.join(place, "out")
    with storage.create(path) as out:
        for data in (b"x" * (BLOCK + 5), b"yy", DATA):
            out.seek(0)
            out.truncate()
            assert out.tell() == 0
            out.write(data)
        with pytest.raises(io.UnsupportedOperation):
            out.seek(5)
        out.seek(0)
        assert out.tell() == 0
        with pytest.raises(io.UnsupportedOperation):
            out.write(b"in between")
        out.seek(0, io.SEEK_END)
        out.write(b"end")
    assert read(path) == DATA + b"end"
    assert out.identity == storage.identity(path, read=True)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_file_that_is_not_finished_is_removed(place, error):
    with pytest.raises(error), storage.create(storage.join(place, "out")) as out:  # noqa: PT012
        out.write(bytes(BLOCK + 1))
        raise error
    assert storage.list_files(place) == []


def test_a_file_that_is_there_is_replaced(place):
    path = put(put(storage.join(place, "out")), b"new")
    assert read(path) == b"new"


def test_atomic_output(place):
    path = storage.join(place, NAME)
    with atomic_output(path) as out:
        out.write(b"first")
        assert not storage.exists(path)
    with (
        pytest.raises(OutputError, match=r"exists already.*overwrite=True") as caught,
        atomic_output(path),
    ):
        pass
    assert caught.value.errno == errno.EEXIST
    with pytest.raises(ZeroDivisionError), atomic_output(path, overwrite=True) as out:  # noqa: PT012
        out.write(b"never")
        raise ZeroDivisionError
    assert read(path) == b"first"
    with atomic_output(path, overwrite=True) as out:
        out.write(b"second")
    assert read(path) == b"second"
    with pytest.raises(OutputError, match="exists already"), atomic_output(f"{path}2") as out:  # noqa: PT012
        out.write(b"mine")
        put(f"{path}2", b"theirs")
    assert read(f"{path}2") == b"theirs"
    assert names(place) == [NAME, f"{NAME}2"]
    with pytest.raises(OutputError, match="folder") as caught, atomic_output(place):
        pass
    assert caught.value.errno == errno.EISDIR


def test_what_is_missing(place):
    missing = storage.join(place, "no", "such.root")
    assert not storage.exists(missing)
    for call in (
        lambda: storage.stat(missing),
        lambda: storage.open_binary(missing),
        lambda: storage.identity(missing),
        lambda: storage.list_files(missing),
        lambda: storage.upload(missing, storage.join(place, "out")),
    ):
        with pytest.raises(MissingError) as caught:
            call()
        assert caught.value.path == missing
        assert isinstance(caught.value, FileNotFoundError)
    storage.remove(missing)
    for change in (
        lambda: storage.remove(missing, missing_ok=False),
        lambda: storage.rename(missing, storage.join(place, "out")),
    ):
        with pytest.raises(OutputError) as refused:
            change()
        assert refused.value.errno == errno.ENOENT
    assert storage.list_files(place) == []


def test_folders(place):
    inner = storage.join(place, "a b", "c")
    storage.make_folder(inner)
    storage.make_folder(inner)
    assert storage.stat(inner).is_folder
    paths = [put(storage.join(inner, name)) for name in ("2.root", "1.root", ".hidden")]
    paths += [put(storage.join(place, "top.root")), put(storage.join(storage.parent(inner), "3"))]
    found = storage.list_files(place)
    assert [path for path, _ in found] == sorted(paths)
    assert {status.size for _, status in found} == {len(DATA)}
    assert names(storage.join(place, "")) == names(place)
    assert [path for path, _ in storage.list_files(place, recursive=False)] == paths[3:4]
    with pytest.raises(SourceError, match=r"[Nn]ot a directory"):
        storage.list_files(paths[0])
    with pytest.raises(OutputError):
        storage.make_folder(paths[0])
    storage.remove(storage.parent(inner))
    assert names(place) == ["top.root"]
    assert not storage.exists(inner)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.root", ["top.root"]),
        ("*/*.root", ["x y/1.root", "x y/2.root"]),
        ("x ?/[2-9].root", ["x y/2.root"]),
        ("**/*.root", ["top.root", "x y/1.root", "x y/2.root", "x y/z/deep.root"]),
        ("x y/**", ["x y/1.root", "x y/2.root", "x y/z", "x y/z/deep.root"]),
        ("x y/.h*", ["x y/.hidden.root"]),
        ("top.root", ["top.root"]),
        ("none.root", []),
        ("none/*.root", []),
        ("top.root/*", []),
        ("*/*/*", ["x y/z/deep.root"]),
    ],
)
def test_glob(place, pattern, expected):
    storage.make_folder(storage.join(place, "x y", "z"))
    for name in ("top.root", "x y/2.root", "x y/1.root", "x y/.hidden.root", "x y/z/deep.root"):
        put(storage.join(place, name), b"1")
    found = storage.glob(storage.join(place, pattern))
    assert [path.removeprefix(place).strip("/") for path, _ in found] == expected
    assert all(status.is_folder == path.endswith("/z") for path, status in found)


def test_renaming(place):
    old, new = storage.join(place, NAME), storage.join(place, "new name")
    put(old, b"old")
    put(new, b"new")
    with pytest.raises(OutputError) as caught:
        storage.rename(old, new)
    assert caught.value.errno == errno.EEXIST
    assert (read(old), read(new)) == (b"old", b"new")
    storage.rename(old, new, overwrite=True)
    assert read(new) == b"old"
    storage.rename(new, old)
    assert names(place) == [NAME]
    folder = storage.join(place, "folder")
    storage.make_folder(folder)
    with pytest.raises(OutputError):
        storage.rename(old, folder, overwrite=True)
    assert read(old) == b"old"


def test_copies(place, tmp_path):
    local = tmp_path / "local.bin"
    local.write_bytes(DATA)
    remote = storage.join(place, "remote.bin")
    assert storage.upload(local, remote) == storage.identity(local)
    assert storage.download(remote, tmp_path / "back.bin") == storage.identity(remote)
    assert (tmp_path / "back.bin").read_bytes() == DATA


def test_a_folder_that_can_be_written(place):
    folder = storage.join(place, "new", "folder")
    storage.check_writable(folder)
    assert storage.list_files(folder) == []
    put(storage.join(folder, "file"))
    with pytest.raises(OutputError):
        storage.check_writable(storage.join(folder, "file"))
