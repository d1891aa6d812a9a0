"""Tests of files on web servers, with the quirks and faults of real ones."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.xrootd import free_port
from vortex_hep.core import storage
from vortex_hep.errors import (
    DeniedError,
    MissingError,
    NetworkError,
    OutputError,
    SourceError,
    UnsupportedFeatureError,
)

pytest.importorskip("aiohttp", reason="needs fsspec[http]")

DATA = os.urandom(300_000)
#: Whether each next request for a part of a file breaks off.
FLAWS: list[bool] = []


class Server(ThreadingHTTPServer):
    """A server whose clients may go away."""

    daemon_threads = True

    def handle_error(self, request, client_address):
        pass


class Handler(BaseHTTPRequestHandler):
    """Gives DATA; what the path begins with says how."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, *, body):
        _, how, *_ = self.path.split("/")
        if how == "flaky" and body and self.headers.get("Range") and FLAWS.pop(0):
            self.close_connection = True
            return
        if how.isdigit():
            self.send_response(int(how))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        part = DATA
        if wanted and how != "whole":
            first, last = map(int, wanted.groups())
            part = DATA[first : last + 1]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(DATA)}")
        else:
            self.send_response(200)
        if how == "unsized":
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        if body:
            with contextlib.suppress(ConnectionError):  # a client that has seen enough
                self.wfile.write(part)


@pytest.fixture(scope="module")
def server():
    """URL of the server."""
    with Server(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def test_connections_that_break(server):
    FLAWS[:] = [False, True, True, False]
    source = storage.open_binary(f"{server}/flaky/in.bin")
    assert source.read_ranges([(1, 9)]) == [DATA[1:10]]
    FLAWS[:] = [True] * 9
    with pytest.raises(NetworkError):
        source.read_ranges([(1, 9)])


def test_reading(server):
    url = f"{server}/good/in%20put.bin"
    assert storage.stat(url).size == len(DATA)
    assert storage.exists(url)
    source = storage.open_binary(url)
    ranges = [(5, 100), (0, 3), (len(DATA) - 7, 7), (4, 0)]
    with storage.counting() as count:
        assert source.read_ranges(ranges) == [DATA[o : o + n] for o, n in ranges]
    assert count.bytes == 110
    assert storage.identity(url).size == len(DATA)


def test_servers_that_give_no_parts(server):
    with pytest.raises(SourceError, match="whole files only"):
        storage.open_binary(f"{server}/whole/in.bin")
    with pytest.raises(SourceError, match="does not tell the size"):
        storage.open_binary(f"{server}/unsized/in.bin")


@pytest.mark.parametrize(
    ("status", "error"),
    [(404, MissingError), (410, MissingError), (401, DeniedError), (403, DeniedError),
     (503, NetworkError), (500, SourceError)],
)  # fmt: skip
def test_refusals(server, status, error):
    for call in (storage.stat, storage.open_binary):
        with pytest.raises(error, match=str(status)) as caught:
            call(f"{server}/{status}/in.bin")
        assert type(caught.value) is error


def test_no_server():
    with pytest.raises(NetworkError):
        storage.open_binary(f"http://127.0.0.1:{free_port()}/in.bin")


def test_what_web_servers_do_not_do(server):
    with pytest.raises(OutputError) as caught, storage.create(f"{server}/good/out.bin"):
        pass
    assert caught.value.errno == errno.EROFS
    with pytest.raises(UnsupportedFeatureError, match="cannot be listed over http"):
        storage.list_files(f"{server}/good/")


def test_without_the_client(monkeypatch):
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    with pytest.raises(UnsupportedFeatureError, match=r"pip install 'fsspec\[http\]'"):
        storage.stat("https://host/in.bin")
