"""Tests of sources by path, URL and file object, and of atomic output."""

from __future__ import annotations

import errno
import io
import os
from typing import Any

import fsspec
import pytest

from vortex_hep import errors
from vortex_hep.codec.container.container import (
    ContainerReader,
    ContainerWriter,
    atomic_output,
    open_binary,
)
from vortex_hep.core.storage.local import RawOutput
from vortex_hep.core.storage.ranges import COALESCE_GAP, read_coalesced


def write(file) -> None:
    writer = ContainerWriter(file, kind=2)
    for i in range(4):
        writer.add(1, bytes([i]) * 100_000, decoded_xxh3=0, decoded_size=0)
    writer.finish({"a": 1})


def check(source) -> None:
    with ContainerReader(source) as reader:
        assert reader.metadata == {"a": 1}
        assert reader.read_many([3, 0]) == [b"\x03" * 100_000, b"\x00" * 100_000]
        reader.verify()


def test_paths_urls_and_files(tmp_path):
    path = tmp_path / "x.vxc"
    with atomic_output(path) as file:
        write(file)
    check(path)
    check(str(path))
    check(path.as_uri())
    with path.open("rb") as file:
        check(file)
        assert not file.closed, "the caller's file stays open"
    filesystem = fsspec.filesystem("memory")
    filesystem.pipe_file("/vxc-test/x.vxc", path.read_bytes())
    check("memory://vxc-test/x.vxc")
    with fsspec.open("memory://vxc-test/x.vxc") as file:
        check(file)
    filesystem.rm("/vxc-test", recursive=True)


def test_sources_that_do_not_exist(tmp_path):
    for source in (tmp_path / "no.vxc", (tmp_path / "no.vxc").as_uri(), "nosuchprotocol://x/y"):
        with pytest.raises(errors.SourceError):
            open_binary(source)
    with pytest.raises(errors.UnsupportedTypeError):
        open_binary(42)  # type: ignore[arg-type]


def test_ranges_near_one_another_are_read_once():
    class Spy:
        name, size = "spy", 1 << 30

        def read_ranges(self, ranges):
            self.ranges = list(ranges)
            return [bytes(size) for _, size in ranges]

        def close(self): ...

    spy = Spy()
    far = 1000 + COALESCE_GAP + 1
    views = read_coalesced(spy, [(900, 100), (0, 10), (far, 5), (905, 3), (0, 10)])
    assert spy.ranges == [(0, 1000), (far, 5)]
    assert [len(view) for view in views] == [100, 10, 5, 3, 10]
    assert read_coalesced(spy, []) == []


def test_short_reads_are_truncation():
    source = open_binary(io.BytesIO(b"0123456789"))
    assert source.read_ranges([(8, 2), (0, 1)]) == [b"89", b"0"]
    with pytest.raises(errors.TruncatedError):
        source.read_ranges([(8, 3)])


class Dribble(io.RawIOBase):
    """A raw file that takes and gives three bytes at a time."""

    def __init__(self):
        self.inner = io.BytesIO()

    def read(self, size=-1, /):
        return self.inner.read(min(size, 3))

    def write(self, data, /):
        return self.inner.write(bytes(data[:3]))

    def seek(self, offset, whence=0, /):
        return self.inner.seek(offset, whence)


def test_raw_files_that_take_and_give_little_at_a_time():
    file: Any = Dribble()
    writer = ContainerWriter(file, kind=1)
    writer.add(1, b"payload", decoded_xxh3=0, decoded_size=0)
    writer.finish({})
    assert ContainerReader(file).read(0) == b"payload"


def names(folder) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_output_appears_only_when_whole(tmp_path):
    path = tmp_path / "x"
    with atomic_output(path) as file:
        file.write(b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["x"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_output_leaves_nothing_behind(tmp_path, error):
    path = tmp_path / "x"
    path.write_bytes(b"old")
    with pytest.raises(error), atomic_output(path, overwrite=True) as file:  # noqa: PT012
        file.write(bytes(200_000))
        file.write(b"still buffered")
        raise error
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["x"]


def test_output_does_not_overwrite_unless_told(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"old")
    with pytest.raises(errors.OutputError, match="overwrite=True"), atomic_output(path):
        pass
    with atomic_output(path, overwrite=True) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"


def test_output_made_by_somebody_else_meanwhile_is_kept(tmp_path):
    path = tmp_path / "x"
    with pytest.raises(errors.OutputError, match="exists"), atomic_output(path) as file:  # noqa: PT012
        file.write(b"mine")
        path.write_bytes(b"theirs")
    assert path.read_bytes() == b"theirs"
    assert names(tmp_path) == ["x"]


def test_output_without_hard_links(tmp_path, monkeypatch):
    def refuse(*_args):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    with atomic_output(tmp_path / "x") as file:
        file.write(b"new")
    assert names(tmp_path) == ["x"]


def test_output_into_folders_that_cannot_be(tmp_path):
    with pytest.raises(errors.OutputError, match="folder does not exist"):
        atomic_output(tmp_path / "no" / "x").__enter__()
    with pytest.raises(errors.OutputError, match="folder"):
        atomic_output(tmp_path).__enter__()


@pytest.mark.parametrize("late", [False, True])
def test_full_disk_names_the_path_and_says_what_to_do(tmp_path, monkeypatch, late):
    def full(_self, _data, /):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(RawOutput, "put", full)
    path = tmp_path / "x"
    hint = pytest.raises(errors.OutputError, match="free some space")
    with hint as caught, atomic_output(path) as file:
        file.write(b"x" if late else bytes(1 << 20))
    assert caught.value.path == str(path)
    assert caught.value.errno == errno.ENOSPC
    assert names(tmp_path) == []


def test_source_errors_inside_the_block_stay_what_they_are(tmp_path):
    with pytest.raises(errors.SourceError), atomic_output(tmp_path / "x"):
        raise errors.SourceError("input is gone")
    with pytest.raises(FileNotFoundError), atomic_output(tmp_path / "x"):
        (tmp_path / "input").read_bytes()


def test_writer_turns_failures_into_output_errors():
    class Broken(io.BytesIO):
        def write(self, _data, /):
            raise OSError(errno.EDQUOT, "quota")

    with pytest.raises(errors.OutputError, match="quota is used up"):
        ContainerWriter(Broken(), kind=1)
