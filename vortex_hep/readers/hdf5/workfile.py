"""The file being restored: kept bytes, chunks in their places, then those that do not fit."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import h5py

from vortex_hep.core.storage.atomic import output_error
from vortex_hep.core.storage.identity import Identity
from vortex_hep.errors import CorruptionError

_COPY = 1 << 22


@dataclass(frozen=True)
class Misfit:
    """A chunk of another size than its hole, kept aside.

    Parameters
    ----------
    path : bytes
        Of its dataset.
    start : tuple of int
        Its first element.
    mask : int
    at, size : int
        Where it is in the spool.
    """

    path: bytes
    start: tuple[int, ...]
    mask: int
    at: int
    size: int


class WorkFile:
    """A file beside the one to be, which the HDF5 library may change too.

    Parameters
    ----------
    folder : Path
        Empty, for this file alone.
    out_path : str
        For messages.
    """

    def __init__(self, folder: Path, out_path: str) -> None:
        self._path = folder / "file.h5"
        self._spool_path = folder / "chunks"
        self._out_path = out_path
        self._file: BinaryIO = self._path.open("w+b")
        self._spool: BinaryIO | None = None
        self._spooled = 0
        self._misfits: list[Misfit] = []

    def put(self, offset: int, data: Any) -> None:
        """Write bytes at their place."""
        self._file.seek(offset)
        self._file.write(data)

    def put_aside(self, path: bytes, start: tuple[int, ...], mask: int, data: bytes) -> None:
        """Keep a chunk that does not fit into its hole."""
        if self._spool is None:
            self._spool = self._spool_path.open("w+b")
        self._spool.seek(self._spooled)
        self._spool.write(data)
        self._misfits.append(Misfit(path, start, mask, self._spooled, len(data)))
        self._spooled += len(data)

    def finish(self, size: int, end: int) -> None:
        """Give the file its size, and chunks that do not fit new places.

        Parameters
        ----------
        size : int
            Bytes of the file.
        end : int
            End of HDF5's data; what follows stays behind them.

        Raises
        ------
        CorruptionError
            The HDF5 library refuses.
        """
        self._file.truncate(size)
        self._file.flush()
        if not self._misfits:
            return
        self._file.seek(end)
        tail = self._file.read()
        try:
            with h5py.File(self._path, "r+") as file:
                self._each_misfit(file, self._write)
            with h5py.File(self._path, "r") as file:
                self._each_misfit(file, self._check)
        except CorruptionError:
            raise
        except Exception as error:
            text = " ".join(str(error).split())
            raise CorruptionError(
                f"the HDF5 library cannot put a chunk into the file: {text}", path=self._out_path
            ) from error
        with self._path.open("ab") as behind:
            behind.write(tail)

    def _each_misfit(self, file: h5py.File, act: Any) -> None:
        opened: tuple[bytes, Any] = (b"", None)
        for misfit in self._misfits:
            if opened[1] is None or opened[0] != misfit.path:
                opened = (misfit.path, h5py.h5d.open(file.id, misfit.path))
            if self._spool is not None:
                self._spool.seek(misfit.at)
                act(opened[1], misfit, self._spool.read(misfit.size))

    def _write(self, dataset: Any, misfit: Misfit, data: bytes) -> None:
        dataset.write_direct_chunk(misfit.start, data, misfit.mask)

    def _check(self, dataset: Any, misfit: Misfit, data: bytes) -> None:
        if dataset.read_direct_chunk(misfit.start) != (misfit.mask, data):
            raise CorruptionError(
                "the HDF5 library did not keep a chunk as it was given", path=self._out_path
            )

    def identity(self) -> Identity:
        """Size and checksum of the file."""
        checksum, size = 1, 0
        self._file.seek(0)
        while data := self._file.read(_COPY):
            checksum, size = zlib.adler32(data, checksum), size + len(data)
        return Identity.make(size, checksum)

    def copy_to(self, out: BinaryIO) -> None:
        """Write all of the file to ``out``."""
        self._file.seek(0)
        shutil.copyfileobj(self._file, out, _COPY)

    def close(self) -> None:
        """Close the file."""
        # After an error there may be bytes that cannot be written.
        with contextlib.suppress(OSError):
            self._file.close()
        if self._spool is not None:
            with contextlib.suppress(OSError):
                self._spool.close()


@contextlib.contextmanager
def work_file(out_path: str) -> Iterator[WorkFile]:
    """Open a :class:`WorkFile` in a folder beside ``out_path`` that is removed at the end.

    Raises
    ------
    OutputError
        The operating system refuses.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=".vortex-", dir=Path(out_path).parent) as folder:
            work = WorkFile(Path(folder), out_path)
            try:
                yield work
            finally:
                work.close()
    except OSError as error:
        # errors of this package are not the operating system's, though some are OSErrors
        if type(error).__module__.startswith("vortex_hep"):
            raise
        raise output_error(error, out_path) from error
