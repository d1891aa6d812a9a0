"""Tests of XRootD servers, with the quirks and faults of real ones."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from tests.xrootd import XrootdServer, free_port
from vortex_hep.core import storage
from vortex_hep.core.install import install_hint
from vortex_hep.core.storage.atomic import atomic_output
from vortex_hep.core.storage.xrootd import backend as xrootd_backend
from vortex_hep.core.storage.xrootd import client as xrootd_client
from vortex_hep.core.storage.xrootd import reading as xrootd_reading
from vortex_hep.core.storage.xrootd import writing as xrootd_writing
from vortex_hep.errors import (
    ChangedError,
    DeniedError,
    MissingError,
    NetworkError,
    OutputError,
    SourceError,
    UnsupportedFeatureError,
)

pytestmark = pytest.mark.network

DATA = os.urandom(3 << 20)


@pytest.fixture
def data_url(xrootd):
    (xrootd.root / "in.bin").write_bytes(DATA)
    return xrootd.url("data/in.bin")


@pytest.fixture
def impatient(monkeypatch):
    """Do not wait long for a server to come again."""
    monkeypatch.setattr(xrootd_reading, "PAUSES", (0.1, 0.1))


def test_forms_of_a_url(xrootd, data_url):
    host = data_url.split("//")[1]
    for url in (
        f"root://{host}/data/in.bin",
        f"root://{host}//data//in.bin",
        f"xroot://{host}//data/in.bin",
        f"{data_url}?xrd.wantprot=unix",
    ):
        assert storage.stat(url).size == len(DATA)
        assert storage.identity(url).size == len(DATA)
        assert storage.open_binary(url).read_ranges([(0, 9)]) == [DATA[:9]]
        assert storage.name(url) == "in.bin"
        assert storage.exists(storage.parent(url))
        assert storage.glob(url) == [(url, storage.stat(url))]


def test_a_name_that_urls_cannot_have(xrootd, data_url):
    (xrootd.root / "in.bin?a=b").write_bytes(b"another one")
    with pytest.raises(SourceError, match="question mark"):
        storage.list_files(storage.parent(data_url))


def test_a_closed_source_stays_closed(data_url):
    source = storage.open_binary(data_url)
    source.close()
    source.close()
    with pytest.raises(SourceError, match="closed"):
        source.read_ranges([(0, 1)])


def test_many_ranges_are_few_requests(data_url):
    source = storage.open_binary(data_url)
    ranges = [(i * 700, 100 + i % 7) for i in range(3000)]
    with storage.counting() as count:
        assert source.read_ranges(ranges) == [DATA[o : o + n] for o, n in ranges]
    assert count.requests == 3
    assert count.bytes == sum(size for _, size in ranges)


def test_ranges_larger_than_servers_take_at_once(data_url, monkeypatch):
    monkeypatch.setattr(xrootd_reading, "REQUEST_BYTES", 1 << 20)
    source = storage.open_binary(data_url)
    ranges = [(1, 600_000), (3, len(DATA) - 3), (2, 600_000), (0, 5)]
    with storage.counting() as count:
        assert source.read_ranges(ranges) == [DATA[o : o + n] for o, n in ranges]
    assert count.requests == 5


def test_several_threads_read(data_url):
    source = storage.open_binary(data_url)
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda i: source.read_ranges([(i * 1000, 1000)])[0], range(200)))
    assert b"".join(parts) == DATA[:200_000]


def test_new_files_can_be_read_by_all(xrootd):
    storage.make_folder(xrootd.url("data/new/folder"))
    with storage.create(xrootd.url("data/new/folder/out")) as out:
        out.write(b"1")
    assert (xrootd.root / "new/folder/out").stat().st_mode & 0o777 == 0o644
    assert (xrootd.root / "new").stat().st_mode & 0o777 == 0o755


def test_the_server_is_asked_for_the_checksum(data_url):
    with storage.counting() as count:
        asked = storage.identity(data_url)
    assert (count.requests, count.bytes) == (0, 0)
    with storage.counting() as count:
        assert storage.identity(data_url, read=True) == asked
    assert count.bytes == len(DATA)


@pytest.mark.parametrize("kinds", ["md5", ""])
def test_a_server_without_such_checksums(xrootd_base, monkeypatch, kinds):
    monkeypatch.setattr("tests.xrootd.CHECKSUMS", f"xrootd.chksum {kinds}" if kinds else "")
    with XrootdServer(xrootd_base) as server:
        (server.root / "in.bin").write_bytes(DATA)
        found = storage.identity(server.url("data/in.bin"))
    assert found == storage.identity(server.root / "in.bin")


def test_what_may_not_be_read(xrootd):
    (xrootd.root / "secret.bin").write_bytes(b"1")
    (xrootd.root / "secret.bin").chmod(0)
    (xrootd.root / "closed").mkdir(mode=0o700)
    if os.getuid() != 0:
        (xrootd.root / "closed").chmod(0)
    for call in (
        lambda: storage.open_binary(xrootd.url("data/secret.bin")),
        lambda: storage.identity(xrootd.url("data/secret.bin"), read=True),
        lambda: storage.list_files(xrootd.url("data")),
        lambda: storage.stat(xrootd.url("data/closed/in.bin")),
        lambda: storage.stat(xrootd.url("elsewhere/in.bin")),
    ):
        with pytest.raises(DeniedError, match="credentials") as caught:
            call()
        assert isinstance(caught.value, PermissionError)
    with pytest.raises(OutputError, match="no permission") as refused:
        storage.check_writable(xrootd.url("data/closed"))
    assert refused.value.errno == errno.EACCES
    (xrootd.root / "closed").chmod(0o755)


def test_a_server_that_takes_no_files(xrootd_base):
    with XrootdServer(xrootd_base, read_only=True) as server:
        (server.root / "in.bin").write_bytes(DATA)
        url = server.url("data/in.bin")
        assert storage.open_binary(url).read_ranges([(5, 5)]) == [DATA[5:10]]
        for change in (
            lambda: storage.check_writable(server.url("data")),
            lambda: storage.make_folder(server.url("data/new")),
            lambda: storage.remove(url),
            lambda: storage.rename(url, server.url("data/other")),
        ):
            with pytest.raises(OutputError) as caught:
                change()
            assert caught.value.errno in (errno.EROFS, errno.EACCES)
        assert (server.root / "in.bin").read_bytes() == DATA


def test_folders_are_no_files(xrootd):
    with pytest.raises(SourceError, match="directory"):
        storage.open_binary(xrootd.url("data"))
    with pytest.raises(OutputError) as caught, storage.create(xrootd.url("data")):
        pass
    assert caught.value.errno == errno.EISDIR


@pytest.mark.parametrize("lost", [False, True])
def test_a_server_that_renames_over_no_file(xrootd, data_url, monkeypatch, lost):
    client = xrootd_client.xrootd()

    class Stubborn:
        """As some servers do: a rename fails where there is a file of the new name."""

        def __init__(self, url):
            self.inner = client.FileSystem(url)

        def __getattr__(self, name):
            return getattr(self.inner, name)

        def mv(self, old, new, timeout):
            if lost and old.endswith(".new") and not self.inner.stat(new)[0].ok:
                return self.inner.mv("/data/none", new, timeout)
            if self.inner.stat(new)[0].ok:
                return self.inner.mkdir("/data", timeout=timeout)  # says: file exists
            return self.inner.mv(old, new, timeout)

    with storage.create(f"{data_url}.new") as out:
        out.write(b"new")
    stubborn = SimpleNamespace(FileSystem=Stubborn)
    monkeypatch.setattr("vortex_hep.core.storage.xrootd.backend.xrootd", lambda: stubborn)
    if lost:
        with pytest.raises(OutputError):
            storage.rename(f"{data_url}.new", data_url, overwrite=True)
    else:
        storage.rename(f"{data_url}.new", data_url, overwrite=True)
    assert (xrootd.root / "in.bin").read_bytes() == (DATA if lost else b"new")
    names = [storage.name(path) for path, _ in storage.list_files(xrootd.url("data"))]
    assert names == (["in.bin", "in.bin.new"] if lost else ["in.bin"])


def test_no_server():
    url = f"root://127.0.0.1:{free_port()}//data/in.root"
    for call in (storage.stat, storage.open_binary, storage.list_files, storage.identity):
        with pytest.raises(NetworkError, match="cannot be reached") as caught:
            call(url)
        assert isinstance(caught.value, ConnectionError)
    with pytest.raises(NetworkError):
        storage.exists(url)
    with pytest.raises(OutputError, match="cannot be reached") as failed, storage.create(url):
        pass
    assert failed.value.errno == errno.ECONNRESET
    with pytest.raises(NetworkError):
        storage.stat("root://no.such.host.invalid//data/in.root")


def test_a_server_that_is_started_again_is_read_on(xrootd, data_url, monkeypatch):
    class Pauses(tuple[float, ...]):
        """The server is there again after two attempts in vain."""

        def __iter__(self):
            yield from (0.01, 0.01)
            xrootd.start()
            yield 0.01

    source = storage.open_binary(data_url)
    assert source.read_ranges([(0, 100)]) == [DATA[:100]]
    xrootd.kill()
    monkeypatch.setattr(xrootd_reading, "PAUSES", Pauses())
    assert source.read_ranges([(100, 100), (9, 9)]) == [DATA[100:200], DATA[9:18]]
    monkeypatch.undo()
    xrootd.kill()
    xrootd.start()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda i: source.read_ranges([(i, 1000)])[0], range(20)))
    assert found == [DATA[i : i + 1000] for i in range(20)]
    source.close()


@pytest.mark.usefixtures("impatient")
def test_a_server_that_stays_away(xrootd, data_url):
    source = storage.open_binary(data_url)
    xrootd.kill()
    with pytest.raises(NetworkError, match="cannot be reached") as caught:
        source.read_ranges([(100, 100)])
    assert caught.value.path == data_url
    xrootd.start()
    assert source.read_ranges([(100, 100)]) == [DATA[100:200]]


@pytest.mark.usefixtures("impatient")
def test_a_file_that_is_another_one_after_a_restart(xrootd, data_url):
    source = storage.open_binary(data_url)
    xrootd.kill()
    (xrootd.root / "in.bin").write_bytes(DATA[:-1])
    xrootd.start()
    with pytest.raises(ChangedError, match="changed while it was read"):
        source.read_ranges([(100, 100)])
    xrootd.kill()
    (xrootd.root / "in.bin").unlink()
    xrootd.start()
    with pytest.raises(MissingError):
        source.read_ranges([(100, 100)])


def test_a_silent_server_is_given_up(xrootd, data_url, monkeypatch):
    # The client's own time-outs are set once for a process; these are given with each request.
    assert storage.exists(data_url)
    xrootd.freeze()
    monkeypatch.setattr("vortex_hep.core.storage.xrootd.backend.REQUEST_SECONDS", 1)
    with pytest.raises(NetworkError, match="does not answer"):
        storage.stat(data_url)
    xrootd.thaw()


class Noting:
    """A file or file system of the client; notes what is asked of it, and the seconds allowed."""

    def __init__(self, inner, asked):
        self._inner, self._asked = inner, asked

    def __getattr__(self, name):
        def ask(*arguments, timeout):
            self._asked.append((name, timeout))
            return getattr(self._inner, name)(*arguments, timeout=timeout)

        return ask


@pytest.fixture
def asked(monkeypatch):
    """List of what is asked of servers in writing, with the seconds allowed for each."""
    requests: list[tuple[str, int]] = []
    real, make = xrootd_client.xrootd(), xrootd_client.new_file
    noting = SimpleNamespace(FileSystem=lambda url: Noting(real.FileSystem(url), requests))
    for module in (xrootd_backend, xrootd_writing):
        monkeypatch.setattr(module, "xrootd", lambda: noting)
    monkeypatch.setattr(xrootd_writing, "new_file", lambda: Noting(make(), requests))
    return requests


@pytest.mark.parametrize("when", ["writing", "closing", "renaming"])
def test_a_server_that_dies_while_it_is_written_to(xrootd, monkeypatch, asked, when):
    url = xrootd.url("data/out.vxc")
    rename = storage.rename

    def die():
        xrootd.kill()
        asked.clear()

    def late(*arguments, **options):
        die()
        rename(*arguments, **options)

    monkeypatch.setattr(storage, "rename", late)
    with pytest.raises(OutputError) as caught, atomic_output(url) as out:  # noqa: PT012
        out.write(DATA * 2)
        if when != "renaming":
            die()
        if when == "writing":
            out.write(DATA * 2)
    assert caught.value.errno == errno.ECONNRESET
    assert caught.value.path == url
    # One failure is enough to give the server up, and tidying up is tried for a moment only.
    assert asked == {
        "writing": [("write", 120), ("close", 2), ("rm", 2)],
        "closing": [("sync", 120), ("close", 2), ("rm", 2)],
        "renaming": [("stat", 15), ("stat", 15)],
    }[when]  # fmt: skip
    xrootd.start()
    left = [storage.name(path) for path, _ in storage.list_files(xrootd.url("data"))]
    assert all(name.startswith(".out.vxc.") and name.endswith(".tmp") for name in left)


@pytest.fixture
def full_disk(xrootd_base):
    """A server whose disk has room for a megabyte."""
    folder = xrootd_base / "root" / "data"
    folder.mkdir(parents=True)
    mount = shutil.which("mount")
    if mount is None or os.getuid() != 0:
        pytest.skip("only the superuser can make a small disk")
    command = [mount, "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a small disk cannot be made here")
    try:
        with XrootdServer(xrootd_base) as server:
            yield server
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk(full_disk):
    full = pytest.raises(OutputError, match="free some space")
    with full as caught, storage.create(full_disk.url("data/out")) as out:
        out.write(DATA * 2)
    assert caught.value.errno == errno.ENOSPC
    assert list(full_disk.root.iterdir()) == []


def test_root_urls_need_a_client(monkeypatch):
    for name in ("XRootD", "XRootD.client"):
        monkeypatch.setitem(sys.modules, name, None)
    xrootd_client.xrootd.cache_clear()
    with pytest.raises(UnsupportedFeatureError, match=re.escape(install_hint("grid"))):
        storage.stat("root://host//in.root")
    with (
        pytest.raises(UnsupportedFeatureError, match="not installed: XRootD"),
        storage.create("root://host//out.root"),
    ):
        pass


def test_files_by_the_thousand_do_not_end_the_interpreter():
    script = """
import sys
from vortex_hep.core.storage.xrootd.client import new_file
before = sys.getrefcount(True)
files = [new_file() for _ in range(2000)]
assert sys.getrefcount(True) >= before
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_settings_that_the_user_has_made_are_kept():
    script = """
from vortex_hep.core.storage.xrootd.client import xrootd
print(xrootd().EnvGetInt("RequestTimeout"), xrootd().EnvGetInt("ConnectionRetry"))
"""
    environment = {**os.environ, "XRD_REQUESTTIMEOUT": "77"}
    run = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == ["77", "1"]
