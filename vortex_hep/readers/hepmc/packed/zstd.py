"""The zstd module for reading and packing streams."""

from __future__ import annotations

from vortex_hep.readers.zstd import zstd

__all__ = ["zstd"]
