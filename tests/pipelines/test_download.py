"""Tests of downloads against a real server: complete and right, or absent."""

import socket
import sys
import zlib

import pytest

from pipelines.experiments.download import Expected, checksums, download
from pipelines.experiments.transfer import open_transfer
from tests.pipelines.server import FileServer
from tests.xrootd import xrootd, xrootd_base  # noqa: F401 - fixtures
from vortex_hep.core.storage.xrootd import client as xrootd_client
from vortex_hep.errors import (
    CorruptionError,
    MissingError,
    NetworkError,
    SourceError,
    UnsupportedFeatureError,
)

CONTENT = bytes(range(256)) * 5000


@pytest.fixture
def server():
    with FileServer(CONTENT) as running:
        yield running


def closed_url() -> str:
    """A URL of a port where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/in.bin"


def left_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_comes_whole_and_is_checked(server, tmp_path):
    adler, sha = f"{zlib.adler32(CONTENT):08x}", checksums_of(CONTENT, tmp_path)[1]
    target = tmp_path / "new" / "in.bin"
    download([server.url()], target, expected=Expected(len(CONTENT), adler, sha))
    assert target.read_bytes() == CONTENT
    assert left_in(target.parent) == ["in.bin"]


def checksums_of(content, folder):
    path = folder / "scratch"
    path.write_bytes(content)
    return checksums(path)


def test_what_breaks_off_is_taken_up_where_it_stopped(server, tmp_path):
    server.break_after = [100_000, 200_000]
    download([server.url()], tmp_path / "in.bin")
    assert (tmp_path / "in.bin").read_bytes() == CONTENT
    assert server.asked == [None, "bytes=100000-", "bytes=300000-"]


def test_a_later_call_goes_on(server, tmp_path):
    server.break_after = [1000, 0]
    with pytest.raises(NetworkError, match=r"broke off after 1,000 of 1,280,000"):
        download([server.url()], tmp_path / "in.bin")
    assert left_in(tmp_path) == ["in.bin.part", "in.bin.part.json"]
    download([server.url()], tmp_path / "in.bin")
    assert server.asked[-1] == "bytes=1000-"
    assert (tmp_path / "in.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("fault", ["changed", "no ranges", "no size"])
def test_a_beginning_that_is_of_no_use_is_dropped(server, tmp_path, fault):
    server.break_after = [1000, 0]
    with pytest.raises(NetworkError):
        download([server.url()], tmp_path / "in.bin")
    if fault == "changed":
        server.content, server.etag = CONTENT[::-1], '"2"'
    server.ranges = fault != "no ranges"
    server.tells_size = fault != "no size"
    download([server.url()], tmp_path / "in.bin")
    assert (tmp_path / "in.bin").read_bytes() == server.content


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        (Expected(bytes=7), "has 1,280,000 bytes, where 7"),
        (Expected(adler32="00000001"), "adler32"),
        (Expected(len(CONTENT), None, "0" * 64), "sha256"),
    ],
)
def test_a_file_that_is_not_the_one_expected_is_not_left_behind(server, tmp_path, expected, said):
    with pytest.raises(CorruptionError, match=said) as error:
        download([server.url()], tmp_path / "in.bin", expected=expected)
    assert server.url() in str(error.value)
    assert left_in(tmp_path) == []


def test_a_missing_file_is_no_failure_of_the_network(server, tmp_path):
    with pytest.raises(SourceError, match="404") as error:
        download([server.url("missing.bin")], tmp_path / "in.bin")
    assert not isinstance(error.value, NetworkError)


def test_another_place_is_tried(server, tmp_path):
    download([closed_url(), server.url()], tmp_path / "in.bin")
    assert (tmp_path / "in.bin").read_bytes() == CONTENT


def test_no_network(tmp_path):
    with pytest.raises(NetworkError, match="cannot be reached"):
        download([closed_url()], tmp_path / "in.bin")
    with pytest.raises(NetworkError, match=r"no place gives in\.bin.*--data DIR"):
        download(["gopher://127.0.0.1/in.bin", closed_url(), closed_url()], tmp_path / "in.bin")
    with pytest.raises(SourceError, match="404") as error, FileServer(b"") as other:
        download([closed_url(), other.url("missing")], tmp_path / "in.bin")
    assert not isinstance(error.value, NetworkError)
    assert left_in(tmp_path) == []


def test_a_silent_server_is_given_up(server, tmp_path):
    server.speaks.clear()  # until the test has ended
    with pytest.raises(NetworkError, match="timed out"):
        download([server.url()], tmp_path / "in.bin", timeout=0.1)
    assert server.asked == [None]


def test_root_needs_a_client(monkeypatch):
    for name in ("XRootD", "XRootD.client"):
        monkeypatch.setitem(sys.modules, name, None)
    xrootd_client.xrootd.cache_clear()
    with (
        pytest.raises(UnsupportedFeatureError, match=r"vortex-hep\[grid\]"),
        open_transfer("root://host//store/in.root"),
    ):
        pass


@pytest.mark.network
def test_files_of_an_xrootd_server(xrootd, tmp_path):  # noqa: F811 - the fixture
    (xrootd.root / "in.bin").write_bytes(CONTENT)
    url = xrootd.url("data/in.bin")
    download([url], tmp_path / "in.bin")
    assert (tmp_path / "in.bin").read_bytes() == CONTENT
    with open_transfer(url) as transfer:
        stamp = transfer.stamp
    with open_transfer(url, offset=99, stamp=stamp) as transfer:
        assert (transfer.offset, b"".join(transfer.blocks)) == (99, CONTENT[99:])
    with open_transfer(url, offset=99, stamp="another") as transfer:
        assert transfer.offset == 0
    with pytest.raises(MissingError, match="no such file"):
        download([xrootd.url("data/nothing.bin")], tmp_path / "nothing.bin")
