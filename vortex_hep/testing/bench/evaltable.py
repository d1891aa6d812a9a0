"""Table of an evaluation as text."""

from __future__ import annotations

from collections.abc import Sequence

from vortex_hep.testing.bench.evaluation import Evaluation, bits_per_byte
from vortex_hep.testing.bench.measure import Measurement
from vortex_hep.testing.bench.table import model_text, speed_text

HEADER = (
    "codec", "bytes", "model", "ratio", "bits/byte", "with model", "enc MB/s", "dec MB/s",
    "comes back",
)  # fmt: skip


def evaluation_rows(measurements: Sequence[Measurement]) -> list[list[str]]:
    """One row per codec, largest first.

    Parameters
    ----------
    measurements : sequence of Measurement
        Of one file, or of all of them.

    Notes
    -----
    Ratio and bits per byte count all that is stored, a model within an archive too. A model beside
    it is added in the column "with model".
    """
    return [_row(item) for item in sorted(measurements, key=lambda item: -item.stored_bytes)]


def _row(item: Measurement) -> list[str]:
    timing = item.timings[0]
    speeds = (item.encode_speed(timing), item.decode_speed(timing))
    return [
        item.codec,
        f"{item.stored_bytes:,}",
        model_text(item, "{:,}"),
        f"{item.raw_bytes / item.stored_bytes:.3f}",
        f"{bits_per_byte(item.stored_bytes, item.raw_bytes):.4f}",
        f"{bits_per_byte(item.bytes_with_model, item.raw_bytes):.4f}",
        *("" if speed is None else speed_text(speed) for speed in speeds),
        str(item.settings["restored"]),
    ]


def evaluation_note(evaluation: Evaluation) -> str:
    """What the speeds mean, in one line."""
    threads = [
        item.timings[0].threads
        for item in evaluation.total()
        if item.codec.startswith("vortex_hep")
    ]
    ours = f", vortex_hep with {threads[0]}" if threads else ""
    return f"MB of the file per second with 1 thread{ours}; {evaluation.machine['cpu']}"
