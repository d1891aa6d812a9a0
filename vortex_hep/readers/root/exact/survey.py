"""Detection of the compression of a file's records, from a sample of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vortex_hep.readers.root.exact.recompress import STORED, Setting, candidates, recompress
from vortex_hep.readers.root.file.bytesource import ByteReader
from vortex_hep.readers.root.file.compression import BlockError, decompress
from vortex_hep.readers.root.file.tkey import Key

#: Records that are tried.
_SAMPLE = 40
#: Settings that are tried beside those which made records of the sample.
_MORE = 4
#: Bytes in which a block's header, and what candidates are chosen by, lie.
_BLOCK_HEAD = 9


@dataclass(frozen=True)
class Record:
    """Where a record is.

    Parameters
    ----------
    offset, size : int
    length : int
        Uncompressed bytes of a page; -1 for a record with a key, which tells them.
    """

    offset: int
    size: int
    length: int = -1


class Survey:
    """Tries to make some records of a file again, spread evenly over its bytes.

    Parameters
    ----------
    reader : ByteReader
    records : sequence of Record
        By offset.
    codes : sequence of int
        Settings that the file, its branches and columns name (``fCompress``), without repetition.
    """

    def __init__(self, reader: ByteReader, records: Sequence[Record], codes: Sequence[int]) -> None:
        self._codes = codes
        self._won: dict[bytes, Counter[Setting]] = {}
        starts = np.array([record.offset for record in records], np.int64)
        stops = starts + np.array([record.size for record in records], np.int64)
        # Equal pages may be one and the same.
        before = np.concatenate(([0], np.maximum.accumulate(stops)))[:-1]
        own = np.maximum(stops - np.maximum(starts, before), 0)
        ends = np.cumsum(own)
        #: Bytes of all records.
        self.total = int(own.sum())
        self.records = len(records)
        spread = (np.arange(_SAMPLE) + 0.5) * self.total / _SAMPLE
        picks = np.unique(np.searchsorted(ends, spread, "right")).tolist()
        self.tried, self.good = len(picks), 0
        good_bytes = tried_bytes = 0
        sample = [records[pick] for pick in picks]
        fetched = reader.read_many([(record.offset, record.size) for record in sample])
        for record, raw in zip(sample, fetched, strict=True):
            tried_bytes += record.size
            if self._try(record, raw):
                self.good += 1
                good_bytes += record.size
        #: Estimated share of the records' bytes that can be made again.
        self.share = good_bytes / tried_bytes if tried_bytes else 1.0

    def _try(self, record: Record, raw: memoryview) -> bool:
        try:
            if record.length >= 0:
                stored, length = raw, record.length
            else:
                key, _ = Key.unpack(raw)
                stored, length = raw[key.keylen :], key.objlen
            payload = decompress(stored, length)
        except (BlockError, ValueError):
            return False
        tag = bytes(stored[:2])
        found = self.find(payload, stored)
        if len(payload) != len(stored):
            won = self._won.setdefault(tag, Counter())
            if found is not None:
                won[found] += 1
        return found is not None

    def find(self, payload: bytes | memoryview, stored: memoryview) -> Setting | None:
        """Find a setting that gives the stored bytes of a record; None if there is none.

        What is tried depends on the sample only, not on what was found since.
        """
        if len(payload) == len(stored):
            return Setting(STORED) if bytes(payload) == stored else None
        tag = bytes(stored[:2])
        others = candidates(tag, stored[_BLOCK_HEAD:], self._codes)
        won = self._won.get(tag)
        if won is not None and won:
            others = [*(s for s, _ in won.most_common()), *others[:_MORE]]
        for setting in dict.fromkeys(others):
            try:
                if recompress(payload, setting) == stored:
                    return setting
            except ValueError:
                continue
        return None
