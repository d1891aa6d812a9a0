"""General-purpose codecs on whole files as bytes, at their usual levels."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cramjam

from vortex_hep.core.zstd import zstd
from vortex_hep.errors import UnknownCodecError, UnsupportedTypeError
from vortex_hep.testing.bench.rivals.streams import StreamCodec

#: Which levels to measure.
LEVELS = ("quick", "all")


@dataclass(frozen=True)
class ByteCodec(StreamCodec):
    """A codec at one level.

    Parameters
    ----------
    name : str
    encode, decode : callable
    family : str
        The codec without its level.
    level : int
    """

    family: str
    level: int


@dataclass(frozen=True)
class Family:
    """A codec at all its levels.

    Parameters
    ----------
    encode : callable
        Bytes and a level to bytes.
    decode : callable
    levels : tuple of int
        All that are worth showing, in order: fastest, default and smallest among them.
    quick : tuple of int
        Those that take little time.
    """

    encode: Callable[[bytes, int], bytes]
    decode: Callable[[bytes], bytes]
    levels: tuple[int, ...]
    quick: tuple[int, ...]


def _gzip(data: bytes, level: int) -> bytes:
    return gzip.compress(data, level, mtime=0)


def _xz(data: bytes, level: int) -> bytes:
    return lzma.compress(data, preset=level)


def _brotli(data: bytes, level: int) -> bytes:
    # cramjam has no option for a window other than its own of 4 MB.
    return bytes(cramjam.brotli.compress(data, level=level))


def _unbrotli(data: bytes) -> bytes:
    return bytes(cramjam.brotli.decompress(data))


#: All codecs, by name.
FAMILIES = {
    "gzip": Family(_gzip, gzip.decompress, (1, 6, 9), (6,)),
    "zlib": Family(zlib.compress, zlib.decompress, (1, 6, 9), (6,)),
    "bz2": Family(bz2.compress, bz2.decompress, (1, 9), (9,)),
    "lzma": Family(_xz, lzma.decompress, (0, 6, 9), (6,)),
    "zstd": Family(zstd.compress, zstd.decompress, (1, 3, 9, 19, 22), (3, 19)),
    "brotli": Family(_brotli, _unbrotli, (1, 5, 9, 11), (5,)),
}


def byte_codecs(names: Sequence[str] | None = None, *, levels: str = "all") -> list[ByteCodec]:
    """The codecs to measure, in the order of their names as given.

    Parameters
    ----------
    names : sequence of str, optional
        Of :data:`FAMILIES`; all by default, none if empty.
    levels : {"all", "quick"}

    Raises
    ------
    UnknownCodecError
        There is no codec of that name.
    UnsupportedTypeError
        ``levels`` is something else.

    Examples
    --------
    >>> [codec.name for codec in byte_codecs(["zstd", "bz2"], levels="quick")]
    ['zstd -3', 'zstd -19', 'bz2 -9']
    """
    if levels not in LEVELS:
        raise UnsupportedTypeError(f"levels must be one of {', '.join(LEVELS)}, not {levels!r}")
    found = []
    for name in FAMILIES if names is None else dict.fromkeys(names):
        family = FAMILIES.get(name)
        if family is None:
            raise UnknownCodecError(
                f"no codec is named {name!r}", hint=f"there are {', '.join(FAMILIES)}"
            )
        for level in family.levels if levels == "all" else family.quick:
            found.append(_at(name, family, level))
    return found


def _at(name: str, family: Family, level: int) -> ByteCodec:
    return ByteCodec(
        f"{name} -{level}", lambda data: family.encode(data, level), family.decode, name, level
    )
