"""The remainder of an archive: blobs by name, each decoded when it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from vortex_hep.codec.columns import classical
from vortex_hep.codec.container.container import ContainerReader, check_decoded
from vortex_hep.core.text import fault_of
from vortex_hep.errors import CorruptionError
from vortex_hep.models.model import CHUNK_REMAINDER

if TYPE_CHECKING:
    from collections.abc import Callable


class Remainder(Mapping[str, bytes]):
    """Blobs by name, decoded anew every time, so that no more of them are in memory than needed.

    Parameters
    ----------
    reader : callable
        Gives the open file.
    listed : list
        What the metadata say: names and chunks.
    path : str

    Raises
    ------
    CorruptionError
        The list is invalid.
    """

    def __init__(self, reader: Callable[[], ContainerReader], listed: Any, path: str) -> None:
        self._reader, self._path = reader, path
        try:
            self.entries = [(str(name), int(number)) for name, number in listed]
        except (TypeError, ValueError) as error:
            msg = f"invalid key 'remainder' in the archive's metadata: {fault_of(error)}"
            raise CorruptionError(msg, path=path) from error
        if not all(0 <= number < len(reader().chunks) for _, number in self.entries):
            msg = "'remainder' in the archive's metadata names a chunk that is missing"
            raise CorruptionError(msg, path=path)
        self._numbers = dict(self.entries)

    def decoded(self, number: int) -> bytes:
        """Return the blob of a chunk.

        Raises
        ------
        CorruptionError
            It is damaged, or of another kind.
        """
        reader = self._reader()
        row = reader.chunks[number]
        payload = reader.read(number)
        if row["kind"] != CHUNK_REMAINDER or len(payload) < 2:
            msg = f"chunk {number} is not of the remainder"
            raise CorruptionError(msg, path=self._path)
        coder = int.from_bytes(payload[:2], "little")
        blob = classical.decode(coder, payload[2:], "|u1", int(row["decoded_size"])).tobytes()
        check_decoded(row, blob, path=self._path)
        return blob

    def __getitem__(self, name: str) -> bytes:
        return self.decoded(self._numbers[name])

    def __contains__(self, name: object) -> bool:
        return name in self._numbers

    def __iter__(self) -> Iterator[str]:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)
