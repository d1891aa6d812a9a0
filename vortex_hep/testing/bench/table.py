"""Table of a comparison as text."""

from __future__ import annotations

from vortex_hep.testing.bench.compare import REFERENCES, Comparison
from vortex_hep.testing.bench.measure import Measurement, Timing

#: What the raw bytes of a kind are; columns where it is not named.
RAW_IS = {"hepmc": "text", "opaque": "the file"}


def header(comparison: Comparison) -> tuple[str, ...]:
    """Heads of the columns of :func:`table_rows`."""
    return (
        "codec", "bytes", "model", "ratio", "with model",
        *(f"vs {short_name(name)}" for name in REFERENCES[comparison.kind]),
        "enc MB/s", "dec MB/s", "peak MB",
    )  # fmt: skip


def short_name(codec: str) -> str:
    """A codec without what it is given.

    Examples
    --------
    >>> short_name("ROOT LZMA 9, per basket")
    'ROOT LZMA 9'
    """
    return codec.partition(",")[0]


def table_rows(comparison: Comparison) -> list[list[str]]:
    """One row per codec, largest first.

    The model's bytes count in ratio and difference only where they are inside the archive; a model
    that serves a dataset is shown beside, and counts in the column "with model".
    """
    references = comparison.references()
    ordered = sorted(comparison.measurements, key=lambda item: -item.stored_bytes)
    return [_row(item, references) for item in ordered]


def _row(item: Measurement, references: list[Measurement | None]) -> list[str]:
    return [
        item.codec,
        f"{item.stored_bytes:,}",
        model_text(item, "{:,}"),
        f"{item.raw_bytes / item.stored_bytes:.2f}",
        f"{item.raw_bytes / item.bytes_with_model:.2f}",
        *(difference(item.stored_bytes, reference) for reference in references),
        _speeds(item, encode=True),
        _speeds(item, encode=False),
        peak_text(item),
    ]


def model_text(item: Measurement, form: str, scale: float = 1) -> str:
    """Size of a model and where it is: ``2,237,159 beside``."""
    model = item.model_bytes or item.embedded_model_bytes
    place = "inside" if item.embedded_model_bytes else "beside"
    return f"{form.format(model / scale if scale != 1 else model)} {place}" if model else ""


def difference(size: int, reference: Measurement | None) -> str:
    """How much larger than a reference: ``-35.4%``."""
    return f"{size / reference.stored_bytes - 1:+.1%}" if reference else ""


def peak_text(item: Measurement) -> str:
    """Memory at the peak in megabytes, of compressing and of restoring: ``512 / 301``."""
    return " / ".join(
        f"{item.peak_memory_bytes[call] / 1e6:.0f}"
        for call in ("compress", "restore")
        if call in item.peak_memory_bytes
    )


def _speeds(item: Measurement, *, encode: bool) -> str:
    """Speed with one thread and with all: ``1.9 / 3.6``."""
    found = [item.encode_speed(t) if encode else item.decode_speed(t) for t in item.timings]
    return " / ".join(speed_text(value) for value in found if value is not None)


def speed_text(value: float) -> str:
    """A speed with two or three digits."""
    return f"{value:.0f}" if value >= 100 else f"{value:.2g}" if value < 10 else f"{value:.1f}"


def threads_note(comparison: Comparison) -> str:
    """What the speeds mean, in one line."""
    timings: tuple[Timing, ...] = max(
        (item.timings for item in comparison.measurements), key=len, default=()
    )
    counts = " / ".join(str(timing.threads) for timing in timings)
    raw = RAW_IS.get(comparison.kind, "columns")
    return (
        f"{comparison.raw_bytes:,} bytes of {raw}; MB of that per second with"
        f" {counts} threads; {comparison.machine['cpu']}"
    )
