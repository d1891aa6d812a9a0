"""ROOT's own compression: each basket on its own, in ROOT's block format.

The baskets of the file are taken as they are laid out, uncompressed, and compressed again with
another setting. The size of the rewritten file is then known: keys and everything that is not a
basket keep their size. No file is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vortex_hep.readers.root.file.compression import Compression, compress, decompress
from vortex_hep.readers.root.file.tkey import Key

#: Settings of ROOT to compare with: what TFile writes by default, what CMS and RNTuple use.
ROOT_SETTINGS = (
    ("ROOT zlib 1, per basket", Compression("zlib", 1)),
    ("ROOT zstd 5, per basket", Compression("zstd", 5)),
    ("ROOT LZMA 9, per basket", Compression("lzma", 9)),
)


@dataclass(frozen=True)
class Baskets:
    """The baskets of a ROOT file.

    Parameters
    ----------
    data : tuple of bytes
        Uncompressed contents, without their keys.
    overhead : int
        Bytes of the file that are no basket content: keys, metadata, gaps.
    """

    data: tuple[bytes, ...]
    overhead: int

    def compressed(self, index: int, how: Compression) -> bytes:
        """One basket as ROOT would store it, without its key."""
        return compress(self.data[index], how)

    def restored(self, index: int, stored: bytes) -> bytes:
        """One basket back from :meth:`compressed`."""
        return decompress(memoryview(stored), len(self.data[index]))


def load_baskets(path: str) -> Baskets | None:
    """Read all baskets of a local ROOT file.

    Parameters
    ----------
    path : str

    Returns
    -------
    Baskets or None
        None if the file has no TTree with baskets of its own (RNTuple, another format).
    """
    import uproot

    whole = memoryview(Path(path).read_bytes())
    if bytes(whole[:4]) != b"root":
        return None
    stored = 0
    data = []
    with uproot.open(path) as file:
        for seek in _seeks(file):
            key, _ = Key.unpack(whole, seek)
            record = whole[seek + key.keylen : seek + key.nbytes]
            stored += len(record)
            data.append(decompress(record, key.objlen))
    return Baskets(tuple(data), len(whole) - stored) if data else None


def _seeks(file: Any) -> Iterator[int]:
    """Where the baskets start; two cycles of a tree share theirs."""
    seen: set[int] = set()
    names = file.classnames(recursive=True, filter_classname="TTree")
    for name in names:
        for branch in file[name].itervalues(recursive=True):
            count = branch.member("fWriteBasket")
            for seek in branch.member("fBasketSeek")[:count].tolist():
                # 0 marks a basket that is held in the tree's own record.
                if seek and seek not in seen:
                    seen.add(seek)
                    yield seek
