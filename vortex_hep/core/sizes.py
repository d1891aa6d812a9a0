"""Sizes as users write them: ``"100 MB"``."""

from __future__ import annotations

import re

import numpy as np

from vortex_hep.errors import UnsupportedTypeError

_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?)\s*([KMGT]?)(I?)B\s*", re.IGNORECASE)
_POWER = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}


def is_size(text: str) -> bool:
    """Whether a text is a size rather than a path.

    Examples
    --------
    >>> is_size("2 GB"), is_size("cache/2GB")
    (True, False)
    """
    return _SIZE.fullmatch(text) is not None


def byte_count(size: int | str) -> int:
    """Read a number of bytes.

    Parameters
    ----------
    size : int or str
        ``"100 MB"`` is 10^8 bytes, ``"100 MiB"`` is 100 * 2^20; large and small letters are one.

    Raises
    ------
    UnsupportedTypeError
        It is not a positive size.

    Examples
    --------
    >>> byte_count("2.5 kB"), byte_count("1 MiB"), byte_count(17)
    (2500, 1048576, 17)
    """
    count = 0
    if isinstance(size, str):
        found = _SIZE.fullmatch(size)
        if found:
            number, unit, binary = found.groups()
            count = round(float(number) * (1024 if binary else 1000) ** _POWER[unit.upper()])
    elif isinstance(size, (int, np.integer)):
        count = int(size)
    if count < 1:
        raise UnsupportedTypeError(f"{size!r} is not a size in bytes", hint="such as '100 MB'")
    return count
