"""The superblock of an HDF5 file: its position, and the end of the file in it.

Numbers of sections are those of the HDF5 File Format Specification, version 4.0.
"""

from __future__ import annotations

from dataclasses import dataclass

from vortex_hep.errors import SourceError
from vortex_hep.readers.kinds import hdf5_signature

#: Bytes from its beginning within which every version of the superblock ends (II.A).
_SIZE = 128


@dataclass(frozen=True)
class Superblock:
    """What the superblock says of the file as a whole.

    Parameters
    ----------
    at : int
        Its position, which is the size of the user block.
    end : int
        End of the file's data; what follows is no part of HDF5's content.
    in_use : bool
        Whether a writer has the file open, or died with it open.
    """

    at: int
    end: int
    in_use: bool


def read_superblock(head: bytes, size: int, path: str) -> Superblock:
    """Read the superblock.

    Parameters
    ----------
    head : bytes
        Beginning of the file.
    size : int
        Bytes of the file.
    path : str

    Raises
    ------
    SourceError
        There is none, or the file ends before it should.
    """
    at = hdf5_signature(head)
    if at is None:
        raise SourceError("not an HDF5 file: it has no superblock", path=path)
    block = head[at : at + _SIZE]
    if len(block) < 48:
        raise SourceError("the superblock is cut off", path=path, offset=at)
    version = block[8]
    if version <= 1:
        width, start = block[13], 24 + 4 * version
        in_use = False
    else:
        width, start = block[9], 12
        in_use = bool(block[11] & 0b101)
    # base address, another address, end of file address; with a user block the end counts it
    field = block[start + 2 * width : start + 3 * width]
    if version > 3:
        raise SourceError(
            f"unsupported version {version} of the superblock", path=path, offset=at + 8,
            hint="the file is damaged, or of a newer HDF5",
        )  # fmt: skip
    if width not in (2, 4, 8) or len(field) != width:
        return Superblock(at, size, in_use)
    end = int.from_bytes(field, "little")
    if end > size:
        raise SourceError(
            f"the file should have {end} bytes but has {size}", path=path, offset=size,
            hint="it is truncated, or one of several files that are one (h5repart joins them)",
        )  # fmt: skip
    return Superblock(at, end, in_use)
