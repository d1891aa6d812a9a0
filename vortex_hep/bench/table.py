"""A comparison as rows of text."""

from __future__ import annotations

from vortex_hep.bench.compare import Comparison
from vortex_hep.bench.measure import Measurement, Timing

#: Heads of the columns of :func:`table_rows`.
HEADER = (
    "codec", "bytes", "model", "ratio", "vs ROOT LZMA 9", "vs xz -9", "enc MB/s", "dec MB/s",
)  # fmt: skip


def table_rows(comparison: Comparison) -> list[list[str]]:
    """One row per codec, largest first.

    The model's bytes count in ratio and difference only where they are inside the archive; a model
    that serves a dataset is shown beside.
    """
    references = comparison.references()
    ordered = sorted(comparison.measurements, key=lambda item: -item.stored_bytes)
    return [_row(item, references) for item in ordered]


def _row(item: Measurement, references: list[Measurement | None]) -> list[str]:
    model = item.model_bytes or item.embedded_model_bytes
    place = "inside" if item.embedded_model_bytes else "beside"
    return [
        item.codec,
        f"{item.stored_bytes:,}",
        f"{model:,} {place}" if model else "",
        f"{item.raw_bytes / item.stored_bytes:.2f}",
        *(f"{item.stored_bytes / r.stored_bytes - 1:+.1%}" if r else "" for r in references),
        _speeds(item, encode=True),
        _speeds(item, encode=False),
    ]


def _speeds(item: Measurement, *, encode: bool) -> str:
    """Speed with one thread and with all: ``1.9 / 3.6``."""
    found = [item.encode_speed(t) if encode else item.decode_speed(t) for t in item.timings]
    return " / ".join(_speed(value) for value in found if value is not None)


def _speed(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.2g}" if value < 10 else f"{value:.1f}"


def threads_note(comparison: Comparison) -> str:
    """What the speeds mean, in one line."""
    timings: tuple[Timing, ...] = max(
        (item.timings for item in comparison.measurements), key=len, default=()
    )
    counts = " / ".join(str(timing.threads) for timing in timings)
    return (
        f"{comparison.raw_bytes:,} bytes of columns; MB of columns per second with"
        f" {counts} threads; {comparison.machine['cpu']}"
    )
