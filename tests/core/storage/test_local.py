"""Tests of local files alone."""

from __future__ import annotations

import errno
import os

import pytest

from vortex_hep.core import storage
from vortex_hep.core.storage.atomic import atomic_output
from vortex_hep.core.storage.failures import output_error, source_error
from vortex_hep.errors import (
    DeniedError,
    MissingError,
    NetworkError,
    OutputError,
    SourceError,
    UnsupportedTypeError,
)


def test_file_urls(tmp_path):
    path = tmp_path / "a b%.bin"
    with atomic_output(path.as_uri()) as out:
        out.write(b"123")
    assert path.read_bytes() == b"123"
    assert storage.stat(path.as_uri()) == storage.stat(path)
    source = storage.open_binary(path.as_uri())
    assert source.read_ranges([(1, 2)]) == [b"23"]
    source.close()
    assert storage.list_files(tmp_path.as_uri()) == [(str(path), storage.stat(path))]
    assert storage.glob(f"{tmp_path.as_uri()}/*.bin") == [(str(path), storage.stat(path))]
    storage.remove(path.as_uri())
    assert not path.exists()


def test_links(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "in.bin").write_bytes(b"1")
    (tmp_path / "data" / "up").symlink_to(tmp_path)
    (tmp_path / "data" / "dangling").symlink_to(tmp_path / "nothing")
    os.mkfifo(tmp_path / "data" / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "data")
    found = [storage.name(path) for path, _ in storage.list_files(tmp_path / "data")]
    assert found == ["dangling", "in.bin"]
    with pytest.raises(MissingError):
        storage.open_binary(tmp_path / "data" / "dangling")
    with pytest.raises(SourceError, match="pipe"):
        storage.open_binary(tmp_path / "data" / "pipe")
    by_all_names = [path for path, _ in storage.list_files(tmp_path.as_uri())]
    assert [path.removeprefix(str(tmp_path)) for path in by_all_names] == [
        "/data/dangling", "/data/in.bin", "/link/dangling", "/link/in.bin",
    ]  # fmt: skip
    storage.remove((tmp_path / "link").as_uri())
    assert (tmp_path / "data" / "in.bin").exists()


def test_patterns_of_relative_paths(tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.root").write_bytes(b"1")
    monkeypatch.chdir(tmp_path)
    for pattern in ("in/*.root", "*/a.root", "**/*.root"):
        assert [path for path, _ in storage.glob(pattern)] == ["in/a.root"]
    assert [path for path, _ in storage.glob("./in/*")] == ["./in/a.root"]
    assert [path for path, _ in storage.list_files("in")] == ["in/a.root"]
    with pytest.raises(SourceError, match="no pattern"):
        storage.glob("root://*.example.org//data/in.root")


def test_a_full_disk(tmp_path):
    (tmp_path / "out").symlink_to("/dev/full")
    full = pytest.raises(OutputError, match="free some space")
    with full as caught, storage.create(tmp_path / "out") as out:
        out.write(b"1" * 100)
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.path == str(tmp_path / "out")


def test_folders_that_cannot_be_written():
    for folder in ("/proc/none", "/dev/null/none"):
        with pytest.raises(OutputError):
            storage.check_writable(folder)


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOENT, MissingError),
        (errno.EACCES, DeniedError),
        (errno.ESTALE, NetworkError),
        (errno.ETIMEDOUT, NetworkError),
        (errno.EIO, SourceError),
    ],
)
def test_failures_have_their_classes_and_numbers(number, kind):
    error = source_error(OSError(number, os.strerror(number)), "in.root")
    assert type(error) is kind
    assert error.errno == number
    assert os.strerror(number) in str(error)
    written = output_error(OSError(number, os.strerror(number)), "out.root")
    assert written.errno == number


@pytest.mark.parametrize("bare", [FileNotFoundError, PermissionError, TimeoutError])
def test_failures_without_a_number_get_one(bare):
    assert isinstance(source_error(bare("/some/path"), "in.root"), bare | NetworkError)
    assert output_error(bare("/some/path"), "in.root").errno is not None


def test_what_is_no_file():
    with pytest.raises(UnsupportedTypeError):
        storage.open_binary(42)  # type: ignore[arg-type]
    with pytest.raises(SourceError):
        storage.open_binary("a\0b")
    with pytest.raises(SourceError):
        storage.stat("a\0b")
    with pytest.raises(SourceError):
        storage.stat("nosuchprotocol://x/y")
