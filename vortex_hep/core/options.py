"""Options of the public functions."""

from __future__ import annotations

import os
from collections.abc import Sequence

from vortex_hep.errors import UnsupportedTypeError

EFFORTS = ("fast", "normal", "max")
#: Where networks run. The last two are for comparisons: main memory by torch, and the definition.
DEVICES = ("auto", "cpu", "cuda", "torch", "reference")
#: Parts of the modelling that a training can do without.
PARTS = ("predictors", "links", "context", "blocks")
FAMILIES = ("event", "transformer")
#: Recipe of a transformer where none is named.
DEFAULT_RECIPE = "laptop_cpu"
#: How users name the table of what there is once per event, or per record.
EVENT_TABLE = "(event)"


def thread_count(threads: int | None) -> int:
    """Return the number of workers: as asked for, else one per usable core.

    Raises
    ------
    UnsupportedTypeError
        Fewer than one was asked for.
    """
    if threads is not None:
        if threads < 1:
            raise UnsupportedTypeError(f"threads must be at least 1, not {threads!r}")
        return threads
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return max(1, os.cpu_count() or 1)


def check_effort(effort: str) -> None:
    """Raise UnsupportedTypeError unless ``effort`` is one of :data:`EFFORTS`."""
    if effort not in EFFORTS:
        raise UnsupportedTypeError(f"effort must be one of {', '.join(EFFORTS)}, not {effort!r}")


def check_device(device: str) -> None:
    """Raise UnsupportedTypeError unless ``device`` is one of :data:`DEVICES`."""
    if device not in DEVICES:
        raise UnsupportedTypeError(f"device must be one of {', '.join(DEVICES)}, not {device!r}")


def check_family(family: str) -> None:
    """Raise UnsupportedTypeError unless ``family`` is one of :data:`FAMILIES`."""
    if family not in FAMILIES:
        raise UnsupportedTypeError(f"family must be one of {', '.join(FAMILIES)}, not {family!r}")


def check_parts(parts: Sequence[str]) -> None:
    """Raise UnsupportedTypeError unless all of ``parts`` are among :data:`PARTS`."""
    for part in parts:
        if part not in PARTS:
            raise UnsupportedTypeError(
                f"without must name some of {', '.join(PARTS)}, not {part!r}"
            )


def tree_names(trees: str | Sequence[str] | None) -> list[str] | None:
    """Return the trees asked for, without repetition; None for all of them."""
    if trees is None:
        return None
    return [trees] if isinstance(trees, str) else list(dict.fromkeys(trees))
