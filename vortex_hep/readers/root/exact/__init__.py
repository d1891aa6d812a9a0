"""Restoring ROOT files byte for byte: positions of records, and their compression.

A record is a basket, a page, or any other object with its key. What the columns and the remainder
give back of a file is holes in it; all other bytes of the file are kept. A record is a hole only
if it was made again, when the archive was written, from what the archive holds.
"""

from __future__ import annotations

from vortex_hep.readers.root.exact.places import is_exact
from vortex_hep.readers.root.exact.restore import restore_exact

__all__ = ["is_exact", "restore_exact"]
