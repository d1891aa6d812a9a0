"""Tests of small files on servers, fetched in one request."""

import uuid

import fsspec
import pytest

from vortex_hep.core import storage
from vortex_hep.core.storage.whole import SMALL, WholeSource, whole_if_small
from vortex_hep.errors import TruncatedError


@pytest.fixture
def written():
    """Write bytes to a file system in memory; gives the URL."""
    filesystem = fsspec.filesystem("memory")
    folder = f"/{uuid.uuid4().hex}"
    filesystem.mkdir(folder)

    def write(data):
        filesystem.pipe_file(f"{folder}/file", data)
        return f"memory:/{folder}/file"

    yield write
    filesystem.rm(folder, recursive=True)


def test_all_ranges_of_a_small_file_cost_one_request(written):
    data = bytes(range(256)) * 10
    with storage.counting() as count:
        source = whole_if_small(storage.open_binary(written(data)))
        before = count.requests
        parts = [source.read_ranges([(i, 3), (i + 5, 2)]) for i in range(100)]
    assert parts == [[data[i : i + 3], data[i + 5 : i + 7]] for i in range(100)]
    assert (count.requests - before, count.bytes) == (1, len(data))


def test_what_is_beyond_the_end_is_an_error(written):
    source = whole_if_small(storage.open_binary(written(b"0123456789")))
    with pytest.raises(TruncatedError):
        source.read_ranges([(8, 3)])
    assert source.read_ranges([(10, 0), (0, 10)]) == [b"", b"0123456789"]


def test_large_and_local_files_are_read_by_range(written, tmp_path):
    large = storage.open_binary(written(bytes(SMALL + 1)))
    assert whole_if_small(large) is large
    (tmp_path / "file").write_bytes(b"local")
    local = storage.open_binary(tmp_path / "file")
    assert not isinstance(whole_if_small(local), WholeSource)
    local.close()
