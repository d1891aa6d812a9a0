"""Writing a container: frames one after another, then the index, then the trailer."""

from __future__ import annotations

from typing import Any, BinaryIO

import numpy as np

from vortex_hep.codec.container import container_format as fmt
from vortex_hep.core import zstd
from vortex_hep.core.storage.atomic import output_error
from vortex_hep.errors import OutputError, UnsupportedFeatureError


class ContainerWriter:
    """Append chunks to a new container.

    Parameters
    ----------
    file : binary file
        Only ``write`` is used, so a pipe will do.
    kind : int
        :data:`KIND_ARCHIVE`, :data:`KIND_MODEL` or :data:`KIND_WEIGHTS`.
    features : int
        Required-feature bits; a reader that does not know one of them refuses the file.
    optional_features : int
        Bits a reader may ignore.

    Examples
    --------
    >>> import io
    >>> from vortex_hep.codec.container.container import ContainerReader, ContainerWriter, xxh3
    >>> buffer = io.BytesIO()
    >>> writer = ContainerWriter(buffer, kind=1)
    >>> writer.add(7, b"payload", decoded_xxh3=xxh3(b"data"), decoded_size=4)
    0
    >>> writer.finish({"made": "by hand"})
    >>> ContainerReader(buffer).read(0)
    b'payload'
    """

    def __init__(
        self, file: BinaryIO, *, kind: int, features: int = 0, optional_features: int = 0
    ) -> None:
        self._header = fmt.Header(fmt.FORMAT_VERSION, kind, features, optional_features)
        fmt.check_header(self._header, 0, None, offset=0)
        if not 0 <= optional_features < 1 << 64:
            msg = "optional features are 64 bits"
            raise UnsupportedFeatureError(msg)
        self._file = file
        self._name = str(getattr(file, "name", "<file object>"))
        self._position = 0
        self._rows: list[tuple[int, ...]] = []
        self._decoded_total = 0
        self._finished = False
        self._write(fmt.pack_header(self._header))

    @property
    def position(self) -> int:
        """Bytes written so far."""
        return self._position

    def _write(self, data: bytes | memoryview) -> None:
        view = memoryview(data).cast("B")
        self._position += len(view)
        try:
            while len(view):  # raw files may take less than they are given
                view = view[self._file.write(view) :]
        except OutputError:
            raise
        except OSError as error:
            raise output_error(error, self._name) from error

    def add(
        self, kind: int, payload: bytes | memoryview, *, decoded_xxh3: int, decoded_size: int
    ) -> int:
        """Append one chunk.

        Parameters
        ----------
        kind : int
            1 to 65535; what the payload is, for the layer above.
        payload : bytes-like
        decoded_xxh3 : int
            XXH3-64 of what the payload decodes to.
        decoded_size : int
            Size of what the payload decodes to, in bytes.

        Returns
        -------
        int
            Id of the chunk: 0, 1, 2, ... in the order of the calls.

        Raises
        ------
        UnsupportedFeatureError
            A field or the file would pass a limit of the format, or the file is finished.
        OutputError
            The file cannot be written.
        """
        self._require_open()
        number = len(self._rows)
        total = self._decoded_total + decoded_size
        if not (
            0 < kind < 1 << 16
            and 0 <= decoded_size <= fmt.MAX_CHUNK_DECODED
            and 0 <= decoded_xxh3 < 1 << 64
            and total <= fmt.MAX_TOTAL_DECODED
            and number < fmt.MAX_CHUNKS
        ):
            msg = f"chunk {number} (kind {kind}, decoded size {decoded_size}) is beyond the limits"
            raise UnsupportedFeatureError(msg, path=self._name, hint="use smaller or fewer chunks")
        view = memoryview(payload).cast("B")
        digest = fmt.xxh3(view)
        offset = self._position
        self._write(fmt.pack_frame(fmt.Frame(number, kind, len(view), digest)))
        self._write(view)
        self._rows.append((number, kind, 0, offset, len(view), digest, decoded_size, decoded_xxh3))
        self._decoded_total = total
        return number

    def finish(self, metadata: dict[str, Any]) -> None:
        """Write the index, the metadata and the trailer; nothing can be added afterwards.

        Parameters
        ----------
        metadata : dict
            JSON object; read back as :attr:`ContainerReader.metadata`.

        Raises
        ------
        UnsupportedTypeError
            The metadata is not JSON.
        UnsupportedFeatureError
            The metadata is beyond the limits of the format.
        """
        self._require_open()
        document = fmt.dump_metadata(metadata)
        if len(document) > fmt.MAX_METADATA:
            msg = f"metadata of {len(document)} bytes; the format allows {fmt.MAX_METADATA}"
            raise UnsupportedFeatureError(msg, path=self._name)
        stored = zstd.compress(document)
        table = np.array(self._rows, dtype=fmt.CHUNK_DTYPE)
        footer = b"".join(
            (
                fmt.pack_footer_head(len(table), len(document), len(stored)),
                table.tobytes(),
                stored,
            )
        )
        offset = self._position
        self._write(footer)
        size = self._position + fmt.TRAILER_SIZE
        trailer = fmt.Trailer(offset, len(footer), fmt.xxh3(footer), size, self._header)
        self._write(fmt.pack_trailer(trailer))
        self._finished = True

    def _require_open(self) -> None:
        if self._finished:
            msg = "the container is finished"
            raise UnsupportedFeatureError(msg, path=self._name)
