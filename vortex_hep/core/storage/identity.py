"""The identity of a file as in catalogues: its size and its Adler-32."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from vortex_hep.core.storage.bytesource import ByteSource
from vortex_hep.core.text import fault_of
from vortex_hep.errors import CorruptionError

#: Modulus of Adler-32 (RFC 1950, section 8.2).
_BASE = 65521
#: Bytes that are read at once.
_STEP = 1 << 24


@dataclass(frozen=True)
class Identity:
    """Size and Adler-32 of a file.

    Parameters
    ----------
    size : int
        Bytes.
    adler32 : str
        Eight hexadecimal digits, as file catalogues write it.
    """

    size: int
    adler32: str

    @classmethod
    def make(cls, size: int, checksum: int) -> Identity:
        """Identity by the checksum as a number.

        Examples
        --------
        >>> Identity.make(3, 0x24d0127)
        Identity(size=3, adler32='024d0127')
        """
        return cls(size, f"{checksum:08x}")

    @classmethod
    def parse(cls, document: Any) -> Identity:
        """Read what :attr:`document` gave.

        Raises
        ------
        CorruptionError
        """
        try:
            return cls.make(int(document["size"]), int(document["adler32"], 16))
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptionError(
                f"invalid 'size' or 'adler32' of the original file: {fault_of(error)}"
            ) from error

    @property
    def document(self) -> dict[str, Any]:
        """As JSON values."""
        return {"size": self.size, "adler32": self.adler32}

    def __str__(self) -> str:
        return f"{self.size} bytes, adler32 {self.adler32}"

    def check(self, found: Identity, path: str, *, hint: str | None = None) -> None:
        """Raise CorruptionError unless ``found``, of the file for ``path``, is the same."""
        if found != self:
            raise CorruptionError(
                f"the restored file has {found}; the original has {self}", path=path,
                hint=hint or "the archive is damaged: fetch it again",
            )  # fmt: skip


def identity_of(source: ByteSource) -> Identity:
    """Read a file whole, piece by piece.

    Raises
    ------
    SourceError
        It cannot be read.
    """
    checksum = 1
    for start in range(0, source.size, _STEP):
        size = min(_STEP, source.size - start)
        checksum = zlib.adler32(source.read_ranges([(start, size)])[0], checksum)
    return Identity.make(source.size, checksum)


def joined_identity(parts: Iterable[tuple[int, int]]) -> Identity:
    """Identity of a file from the size and checksum of its parts, in order.

    Parameters
    ----------
    parts : iterable of (size, adler32)

    Examples
    --------
    >>> joined_identity([(1, zlib.adler32(b"a")), (2, zlib.adler32(b"bc"))])
    Identity(size=3, adler32='024d0127')
    """
    total, low, high = 0, 1, 0
    for size, checksum in parts:
        # The sums of the part started at (1, 0); here they start at (low, high).
        high = (high + (checksum >> 16) + size % _BASE * (low - 1)) % _BASE
        low = (low + (checksum & 0xFFFF) - 1) % _BASE
        total += size
    return Identity.make(total, high << 16 | low)
