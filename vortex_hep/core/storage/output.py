"""Sequential output to any place, with a running checksum."""

from __future__ import annotations

import contextlib
import io
import os
import zlib
from collections.abc import Iterator
from typing import Any

from vortex_hep.core.storage.backend import Sink, backend_of
from vortex_hep.core.storage.failures import writing
from vortex_hep.core.storage.identity import Identity

#: Bytes that are gathered before they are sent.
BLOCK = 1 << 22


class OutputFile(io.BufferedIOBase):
    """A binary file that is written in order; made by :func:`create`.

    Parameters
    ----------
    sink : Sink
    path : str

    Attributes
    ----------
    name : str
        Path or URL.
    """

    def __init__(self, sink: Sink, path: str) -> None:
        super().__init__()
        self.name = path
        self._sink = sink
        self._waiting = bytearray()
        self._checksum, self._size = 1, 0
        self._done = False
        self._start_over = False

    @property
    def identity(self) -> Identity:
        """Size and Adler-32 of what was written."""
        return Identity.make(self._size, self._checksum)

    def writable(self) -> bool:
        """Whether it can be written: until the block of :func:`create` ends."""
        return not self._done

    def seekable(self) -> bool:
        """Yes, but to the beginning only, to start over."""
        return True

    def tell(self) -> int:
        """Bytes written, or 0 after ``seek(0)``."""
        return 0 if self._start_over else self._size

    def write(self, data: Any, /) -> int:
        """Append bytes.

        Raises
        ------
        OutputError
            The operating system or the server refuses.
        """
        if self._done:
            raise ValueError("write to closed file")
        if self._start_over:
            raise io.UnsupportedOperation("this file is written in order: truncate it first")
        view = memoryview(data).cast("B")
        self._checksum = zlib.adler32(view, self._checksum)
        self._size += len(view)
        with writing(self.name):
            if len(self._waiting) + len(view) < BLOCK:
                self._waiting += view
            else:
                self._send()
                self._sink.write(view) if len(view) >= BLOCK else self._waiting.extend(view)
        return len(view)

    def _send(self) -> None:
        if self._waiting:
            data, self._waiting = self._waiting, bytearray()
            self._sink.write(memoryview(data))

    def flush(self) -> None:
        """Do nothing: what was written becomes durable when the block of :func:`create` ends."""

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go to where the file ends already, or to its beginning to :meth:`truncate` it.

        Raises
        ------
        io.UnsupportedOperation
            Any other place is asked for.
        """
        if whence != os.SEEK_SET:
            offset += self._size if whence == os.SEEK_END else self.tell()
        if offset == self._size:
            self._start_over = False
        elif offset == 0:
            self._start_over = True
        else:
            raise io.UnsupportedOperation("this file is written in order")
        return offset

    def truncate(self, size: int | None = None, /) -> int:
        """Make the file empty, after ``seek(0)``."""
        if size is None:
            size = 0 if self._start_over else self._size
        if size == self._size:
            return size
        if size:
            raise io.UnsupportedOperation("this file can only be made empty")
        with writing(self.name):
            self._waiting.clear()
            self._sink.restart()
        self._checksum, self._size, self._start_over = 1, 0, False
        return 0

    def close(self) -> None:
        """Do nothing: :func:`create` closes the file."""

    def finish(self) -> None:
        """Send what is left, make it durable, and close."""
        with writing(self.name):
            self._send()
            self._sink.finish()
        self._done = True

    def abort(self, error: BaseException | None) -> None:
        """Close and remove the file."""
        self._done = True
        self._waiting.clear()
        self._sink.abort(error)


@contextlib.contextmanager
def create(path: str | os.PathLike[str], *, shown: str | None = None) -> Iterator[OutputFile]:
    """Write a file from its beginning to its end, in place of one that is there.

    Parameters
    ----------
    path : str or path
        Local path or URL, in a folder that is there. The name appears at once; for one that
        appears with the whole file only, see :func:`vortex_hep.core.storage.atomic.atomic_output`.
    shown : str, optional
        What errors call the file, where its name is a temporary one.

    Yields
    ------
    OutputFile
        A binary file to ``write``; ``seek(0)`` and ``truncate()`` start it over. Its ``identity``
        is that of what was written. After the block, all of it is on the disk or server; after an
        exception in the block, the file is removed as far as its server can be reached.

    Raises
    ------
    OutputError
        The operating system or server refuses; ``errno`` says why.
    """
    name = os.fspath(path)
    with writing(shown or name):
        sink = backend_of(name).sink(name)
    output = OutputFile(sink, shown or name)
    try:
        yield output
        output.finish()
    except BaseException as error:
        output.abort(error)
        raise
