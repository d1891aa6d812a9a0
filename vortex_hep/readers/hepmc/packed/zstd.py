"""The zstd that streams are read and packed with."""

from __future__ import annotations

from vortex_hep.readers.zstd import zstd

__all__ = ["zstd"]
