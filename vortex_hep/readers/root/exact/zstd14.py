"""Compression parameters of zstd 1.4.8, as ROOT used for years; later releases choose others."""

from __future__ import annotations

from typing import Any

from vortex_hep.core.zstd import zstd

_NAMES = (
    zstd.CompressionParameter.window_log,
    zstd.CompressionParameter.chain_log,
    zstd.CompressionParameter.hash_log,
    zstd.CompressionParameter.search_log,
    zstd.CompressionParameter.min_match,
    zstd.CompressionParameter.target_length,
    zstd.CompressionParameter.strategy,
)
_FAST, _DFAST, _GREEDY, _LAZY, _LAZY2, _BTLAZY2 = range(1, 7)
#: ZSTD_c_useRowMatchFinder and ZSTD_c_blockSplitterLevel (``zstd.h``): what came later, switched
#: off.
_LATER: dict[Any, int] = {1011: 2, 1017: 1}

#: ZSTD_defaultCParameters of 1.4.8 by level, in the order of ``_NAMES``: for data of more than 256
#: KiB, up to 256 KiB, up to 128 KiB, up to 16 KiB. Beyond level 10, the strategies of later
#: releases give other bytes whatever their parameters; ROOT's levels are twice as high as these.
_TABLES: dict[int, tuple[tuple[int, ...], ...]] = {
    2: (
        (20, 15, 16, 1, 6, 0, _FAST), (18, 14, 14, 1, 5, 0, _DFAST),
        (17, 13, 15, 1, 5, 0, _FAST), (14, 14, 15, 1, 4, 0, _FAST),
    ),
    4: (
        (21, 18, 18, 1, 5, 0, _DFAST), (18, 16, 17, 2, 5, 2, _GREEDY),
        (17, 17, 17, 2, 4, 0, _DFAST), (14, 14, 14, 4, 4, 2, _GREEDY),
    ),
    6: (
        (21, 19, 19, 3, 5, 4, _GREEDY), (18, 18, 19, 3, 5, 4, _LAZY),
        (17, 17, 17, 3, 4, 4, _LAZY), (14, 14, 14, 4, 4, 8, _LAZY2),
    ),
    8: (
        (21, 19, 19, 3, 5, 16, _LAZY2), (18, 18, 19, 4, 4, 8, _LAZY2),
        (17, 17, 17, 4, 4, 8, _LAZY2), (14, 14, 14, 8, 4, 8, _LAZY2),
    ),
    10: (
        (22, 20, 21, 4, 5, 16, _LAZY2), (18, 18, 19, 6, 4, 8, _LAZY2),
        (17, 17, 17, 6, 4, 8, _LAZY2), (14, 15, 14, 9, 4, 8, _BTLAZY2),
    ),
}  # fmt: skip
#: Levels there are.
LEVELS = tuple(_TABLES)


def options_of(level: int, size: int) -> dict[Any, int]:
    """Parameters for ``size`` bytes at one of :data:`LEVELS`."""
    table = (size <= 1 << 18) + (size <= 1 << 17) + (size <= 1 << 14)
    named: dict[Any, int] = dict(zip(_NAMES, _TABLES[level][table], strict=True))
    return {zstd.CompressionParameter.compression_level: level, **named, **_LATER}
