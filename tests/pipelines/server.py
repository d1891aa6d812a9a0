"""A local web server with the quirks and faults of real ones."""

from __future__ import annotations

import contextlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FileServer:
    """Serves one file under every path that ends in its name.

    Parameters
    ----------
    content : bytes
    """

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.etag = '"1"'
        self.ranges = True
        self.break_after: list[int] = []
        self.speaks = threading.Event()
        self.speaks.set()
        self.tells_size = True
        self.asked: list[str | None] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.answer(self)

            def log_message(self, *args):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> FileServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.speaks.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def url(self, name: str = "in.bin") -> str:
        return f"http://127.0.0.1:{self._server.server_port}/{name}"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        wanted = handler.headers.get("Range")
        self.asked.append(wanted)
        self.speaks.wait()
        if "missing" in handler.path:
            handler.send_error(404)
            return
        start = 0
        if wanted and self.ranges and handler.headers.get("If-Range") == self.etag:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
        body = self.content[start:]
        handler.send_response(206 if start else 200)
        if start:
            total = len(self.content)
            handler.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        if self.tells_size:
            handler.send_header("Content-Length", str(len(body)))
        handler.send_header("ETag", self.etag)
        handler.end_headers()
        stop = self.break_after.pop(0) if self.break_after else len(body)
        with contextlib.suppress(ConnectionError):  # a client that has given up
            handler.wfile.write(body[:stop])
