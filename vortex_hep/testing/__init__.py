"""Conformance suite, example files, and comparison with other codecs.

:mod:`~vortex_hep.testing.conformance` says what every coder, engine, reader and archive must do,
for those here and for yours; its main names are here too. :mod:`~vortex_hep.testing.examples`
makes files, :mod:`~vortex_hep.testing.bench` measures.

Examples
--------
>>> from vortex_hep.testing import ColumnCoderTests
>>> from vortex_hep.codec.columns.classical import COLUMN_CODERS
>>> class TestMyCoder(ColumnCoderTests):  # in a file that pytest collects
...     coder = COLUMN_CODERS.get("zstd")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vortex_hep.testing.conformance.archives import (
        check_archive_damage,
        check_archive_round_trip,
        check_hostile_metadata,
        check_hostile_payloads,
    )
    from vortex_hep.testing.conformance.arrays import column_arrays, odd_events, special_arrays
    from vortex_hep.testing.conformance.codecs import (
        ColumnCoderTests,
        check_codec_damage,
        check_codec_round_trip,
        check_registered,
    )
    from vortex_hep.testing.conformance.damage import (
        DamageOptions,
        DamageTests,
        check_cuts,
        check_damage,
        check_flips,
    )
    from vortex_hep.testing.conformance.engines import EngineTests, check_engines_agree
    from vortex_hep.testing.conformance.readers import ReaderTests, check_reader_round_trip
    from vortex_hep.testing.conformance.reporting import ConformanceError
    from vortex_hep.testing.examples import write_example

#: Modules of names, by name.
_HOMES = {
    "ColumnCoderTests": "conformance.codecs", "ConformanceError": "conformance.reporting",
    "DamageOptions": "conformance.damage", "DamageTests": "conformance.damage",
    "EngineTests": "conformance.engines", "ReaderTests": "conformance.readers",
    "check_archive_damage": "conformance.archives",
    "check_archive_round_trip": "conformance.archives",
    "check_codec_damage": "conformance.codecs", "check_codec_round_trip": "conformance.codecs",
    "check_cuts": "conformance.damage", "check_damage": "conformance.damage",
    "check_engines_agree": "conformance.engines", "check_flips": "conformance.damage",
    "check_hostile_metadata": "conformance.archives",
    "check_hostile_payloads": "conformance.archives",
    "check_reader_round_trip": "conformance.readers", "check_registered": "conformance.codecs",
    "column_arrays": "conformance.arrays", "odd_events": "conformance.arrays",
    "special_arrays": "conformance.arrays", "write_example": "examples",
}  # fmt: skip

__all__ = [
    "ColumnCoderTests",
    "ConformanceError",
    "DamageOptions",
    "DamageTests",
    "EngineTests",
    "ReaderTests",
    "check_archive_damage",
    "check_archive_round_trip",
    "check_codec_damage",
    "check_codec_round_trip",
    "check_cuts",
    "check_damage",
    "check_engines_agree",
    "check_flips",
    "check_hostile_metadata",
    "check_hostile_payloads",
    "check_reader_round_trip",
    "check_registered",
    "column_arrays",
    "odd_events",
    "special_arrays",
    "write_example",
]


def __getattr__(name: str) -> Any:
    """Import on first use: what measures or makes examples need not load engines."""
    if name not in _HOMES:
        msg = f"module 'vortex_hep.testing' has no attribute {name!r}"
        raise AttributeError(msg)
    import importlib

    return getattr(importlib.import_module(f"vortex_hep.testing.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """Return the public names, for completion and ``help``."""
    return sorted({*globals(), *__all__})
