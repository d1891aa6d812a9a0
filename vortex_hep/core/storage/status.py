"""The status of a file, without reading it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Stat:
    """What is known of a file without reading it.

    Parameters
    ----------
    size : int
        Bytes.
    mtime : float or None
        Seconds since 1970 at which it was changed last; None where the server does not tell.
    is_folder : bool
    """

    size: int
    mtime: float | None
    is_folder: bool
