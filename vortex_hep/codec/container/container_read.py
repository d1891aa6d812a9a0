"""Reading a container: by ranges, checking all of it, and recovering a truncated file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from vortex_hep.codec.container import container_format as fmt
from vortex_hep.core import zstd
from vortex_hep.core.storage.ranges import ByteSource, Range, open_binary, read_coalesced
from vortex_hep.errors import CorruptionError, NotFoundError, SourceError, TruncatedError

#: Bytes fetched from the end of a file when it is opened; most footers fit.
TAIL_GUESS = 1 << 16
_WALK = 1 << 24  # bytes per read while every byte is visited


class ContainerReader:
    """Random access to the chunks of a container.

    Opening costs one ranged read, or two if the footer is longer than :data:`TAIL_GUESS`.
    It checks trailer, footer and index; a chunk is checked when it is read; :meth:`verify`
    checks every byte of the file.

    Parameters
    ----------
    source : str, path, binary file or ByteSource
        See :func:`open_binary`.

    Raises
    ------
    NotVortexError
        The file is empty or of another kind.
    TruncatedError, CorruptionError
        The file was cut or damaged.
    UnsupportedVersionError, UnsupportedFeatureError
        The file needs a newer release.
    """

    def __init__(self, source: str | os.PathLike[str] | BinaryIO | ByteSource) -> None:
        self._owned = not hasattr(source, "read_ranges")
        self._source: ByteSource = open_binary(source) if self._owned else source  # type: ignore[assignment, arg-type]
        self.path = self._source.name
        self.bytes_read = 0  # of all ranges asked for since the file was opened
        self._closed = False
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        size = self._source.size
        start = max(0, size - TAIL_GUESS)
        tail = self._read(start, size - start) if size else b""
        if start == 0:  # the header is at hand: look at it first, it tells foreign files
            fmt.unpack_header(tail, self.path)
        try:
            if size < fmt.MIN_FILE:
                msg = f"the file ends after {size} bytes"
                raise TruncatedError(msg, path=self.path, offset=size, hint="fetch the file again")
            self._trailer = fmt.unpack_trailer(tail[-fmt.TRAILER_SIZE :], size, self.path)
        except CorruptionError:
            if start:  # a foreign file deserves to be told so
                fmt.unpack_header(self._read(0, fmt.HEADER_SIZE), self.path)
            raise
        at, length = self._trailer.footer_offset, self._trailer.footer_size
        footer = tail[at - start : at - start + length] if at >= start else self._read(at, length)
        if fmt.xxh3(footer) != self._trailer.footer_xxh3:
            msg = "checksum of the footer does not hold"
            raise CorruptionError(msg, path=self.path, offset=at)
        self._parse_footer(footer)

    def _parse_footer(self, footer: bytes) -> None:
        at = self._trailer.footer_offset
        good, count, document_size, stored_size = fmt.unpack_footer_head(footer)
        stop = fmt.FOOTER_SIZE + count * fmt.CHUNK_DTYPE.itemsize
        if not good or count > fmt.MAX_CHUNKS or stop + stored_size != len(footer):
            msg = "the sizes in the footer contradict one another"
            raise CorruptionError(msg, path=self.path, offset=at)
        if document_size > fmt.MAX_METADATA:
            msg = f"metadata of {document_size} bytes; the format allows {fmt.MAX_METADATA}"
            raise CorruptionError(msg, path=self.path, offset=at)
        table = np.frombuffer(footer, fmt.CHUNK_DTYPE, count, fmt.FOOTER_SIZE)
        self._check_table(table)
        try:
            document = zstd.decompress(footer[stop:], document_size)
        except CorruptionError as error:
            raise CorruptionError(error.message, path=self.path, offset=at + stop) from error
        self._chunks = table
        self._metadata = fmt.load_metadata(document, self.path, at + stop)

    def _check_table(self, table: npt.NDArray[Any]) -> None:
        """Chunks are numbered in file order and fill the room between header and footer."""
        offsets, sizes = table["offset"], table["stored_size"]
        limit = np.uint64(self._source.size)
        # Each term is bounded first, so the sums below cannot wrap.
        inside = bool((offsets <= limit).all() and (sizes <= limit).all())
        ends = offsets + sizes + np.uint64(fmt.FRAME_SIZE)
        begins = np.append(offsets, np.uint64(self._trailer.footer_offset))
        if not inside or begins[0] != fmt.HEADER_SIZE or not np.array_equal(begins[1:], ends):
            msg = "chunks overlap, leave gaps or lie outside the file"
            raise CorruptionError(msg, path=self.path, offset=self._trailer.footer_offset)
        numbers = np.arange(len(table), dtype=np.uint32)
        decoded = table["decoded_size"]
        if (
            not np.array_equal(table["id"], numbers)
            or not table["kind"].all()
            or table["reserved"].any()
            or bool((decoded > np.uint64(fmt.MAX_CHUNK_DECODED)).any())
            or int(decoded.sum()) > fmt.MAX_TOTAL_DECODED
        ):
            msg = "the index holds ids, kinds or sizes that the format forbids"
            raise CorruptionError(msg, path=self.path, offset=self._trailer.footer_offset)

    def _read(self, offset: int, size: int) -> bytes:
        self._check_open()
        self.bytes_read += size
        return self._source.read_ranges([(offset, size)])[0]

    @property
    def metadata(self) -> dict[str, Any]:
        """The document given to :meth:`ContainerWriter.finish`."""
        return self._metadata

    @property
    def kind(self) -> int:
        """:data:`KIND_ARCHIVE`, :data:`KIND_MODEL` or :data:`KIND_WEIGHTS`."""
        return self._trailer.header.kind

    @property
    def features(self) -> tuple[int, int]:
        """Required and optional feature bits."""
        return self._trailer.header.required, self._trailer.header.optional

    @property
    def chunks(self) -> npt.NDArray[Any]:
        """Index of the chunks, read-only, of dtype :data:`CHUNK_DTYPE`."""
        return self._chunks

    @property
    def fingerprint(self) -> str:
        """What tells this file from others: checksum of its footer, and its size, in hexadecimal.

        The footer holds the checksums of all chunks, as stored and as decoded.
        """
        return f"{self._trailer.footer_xxh3:016x}{self._source.size:016x}"

    @property
    def size(self) -> int:
        """Bytes of the whole file."""
        return self._source.size

    def _range(self, chunk_id: int) -> Range:
        if not 0 <= chunk_id < len(self._chunks):
            msg = f"no chunk {chunk_id}; there are {len(self._chunks)}"
            raise NotFoundError(msg, path=self.path)
        row = self._chunks[chunk_id]
        return int(row["offset"]), fmt.FRAME_SIZE + int(row["stored_size"])

    def _payload(self, chunk_id: int, view: memoryview) -> bytes:
        row = self._chunks[chunk_id]
        offset = int(row["offset"])
        frame = fmt.unpack_frame(bytes(view[: fmt.FRAME_SIZE]), self.path, offset)
        expected = (row["id"], row["kind"], row["stored_size"], row["stored_xxh3"])
        if frame != tuple(int(value) for value in expected):
            msg = f"frame and index disagree on chunk {chunk_id}"
            raise CorruptionError(msg, path=self.path, offset=offset)
        payload = bytes(view[fmt.FRAME_SIZE :])
        if fmt.xxh3(payload) != frame.stored_xxh3:
            msg = f"checksum of chunk {chunk_id} does not hold"
            raise CorruptionError(msg, path=self.path, offset=offset + fmt.FRAME_SIZE)
        return payload

    def read(self, chunk_id: int) -> bytes:
        """Payload of one chunk, its checksum verified.

        Raises
        ------
        NotFoundError
            There is no such chunk.
        CorruptionError
            Frame header or payload are damaged.
        """
        return self.read_many([chunk_id])[0]

    def read_many(self, ids: Iterable[int]) -> list[bytes]:
        """Payloads in the order asked for; neighbouring chunks are fetched in one request.

        Raises
        ------
        NotFoundError, CorruptionError
            As :meth:`read`.
        SourceError
            The file was closed, or cannot be read.
        """
        self._check_open()
        wanted = [int(i) for i in ids]
        ranges = [self._range(i) for i in wanted]
        self.bytes_read += sum(size for _, size in ranges)
        views = read_coalesced(self._source, ranges)
        return [self._payload(i, view) for i, view in zip(wanted, views, strict=True)]

    def _check_open(self) -> None:
        # Not every source knows by itself that it was closed.
        if self._closed:
            raise SourceError("the file is closed", path=self.path, hint="open it anew")

    def verify(self) -> None:
        """Visit every byte of the file and check it.

        Raises
        ------
        VortexError
            At the first byte that is not what was written, as far as the file can tell:
            payloads are checked against their stored checksums but not decoded.
        """
        fresh = ContainerReader(self._source)  # trailer and footer as they are on disk now
        header = fmt.unpack_header(self._read(0, fmt.HEADER_SIZE), self.path)
        if header != fresh._trailer.header:
            msg = "header and trailer disagree"
            raise CorruptionError(msg, path=self.path, offset=0)
        if not np.array_equal(fresh._chunks, self._chunks):
            msg = "the file changed since it was opened"
            raise CorruptionError(msg, path=self.path, offset=fresh._trailer.footer_offset)
        batch: list[int] = []
        pending = 0
        for chunk_id, stored in enumerate(self._chunks["stored_size"].tolist()):
            batch.append(chunk_id)
            pending += stored + fmt.FRAME_SIZE
            if pending >= _WALK:
                self.read_many(batch)
                batch, pending = [], 0
        self.read_many(batch)

    def close(self) -> None:
        """Close the file if it was opened here."""
        self._closed = True
        if self._owned:
            self._source.close()

    def __enter__(self) -> ContainerReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def check_decoded(chunk: Any, data: bytes | memoryview, *, path: str | None = None) -> None:
    """Compare decoded data with what the index promises.

    Parameters
    ----------
    chunk : row of :attr:`ContainerReader.chunks`
    data : bytes-like
    path : str, optional
        Named in the error.

    Raises
    ------
    CorruptionError
        Size or XXH3-64 differ.
    """
    view = memoryview(data).cast("B")
    if len(view) != chunk["decoded_size"] or fmt.xxh3(view) != chunk["decoded_xxh3"]:
        msg = f"chunk {chunk['id']} decodes to other data than was encoded"
        raise CorruptionError(msg, path=path, offset=int(chunk["offset"]))


def scan_frames(
    source: str | os.PathLike[str] | BinaryIO | ByteSource,
) -> Iterator[tuple[fmt.Frame, bytes]]:
    """Yield each whole frame of a file whose end may be missing or damaged.

    Parameters
    ----------
    source : str, path, binary file or ByteSource
        The header must be intact; the footer is not looked at.

    Yields
    ------
    frame : Frame
        Id, kind, stored size and checksum.
    payload : bytes
        Checksum verified. Damaged frames are passed over.
    """
    owned = not hasattr(source, "read_ranges")
    stream: ByteSource = open_binary(source) if owned else source  # type: ignore[assignment, arg-type]
    try:
        head = stream.read_ranges([(0, min(fmt.HEADER_SIZE, stream.size))])[0]
        fmt.unpack_header(head, stream.name)
        position = fmt.HEADER_SIZE
        while position + fmt.FRAME_SIZE <= stream.size:
            found = _frame_at(stream, position)
            if found is not None:
                yield found
                position += fmt.FRAME_SIZE + found[0].stored_size
            else:
                position = _next_sync(stream, position + 1)
    finally:
        if owned:
            stream.close()


def _frame_at(stream: ByteSource, position: int) -> tuple[fmt.Frame, bytes] | None:
    head = stream.read_ranges([(position, fmt.FRAME_SIZE)])[0]
    try:
        frame = fmt.unpack_frame(head, stream.name, position)
    except ValueError:
        return None
    start = position + fmt.FRAME_SIZE
    if frame.stored_size > stream.size - start:
        return None
    payload = stream.read_ranges([(start, frame.stored_size)])[0] if frame.stored_size else b""
    return (frame, payload) if fmt.xxh3(payload) == frame.stored_xxh3 else None


def _next_sync(stream: ByteSource, position: int) -> int:
    """Offset of the next frame sync at or after ``position``, else the size of the file."""
    while position < stream.size:
        block = stream.read_ranges([(position, min(_WALK, stream.size - position))])[0]
        found = block.find(fmt.FRAME_SYNC)
        if found >= 0:
            return position + found
        if position + len(block) == stream.size:
            break
        position += len(block) - len(fmt.FRAME_SYNC) + 1
    return stream.size
