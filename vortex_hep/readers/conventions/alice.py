"""ALICE's conventions: a folder for every time frame, with the same trees in each."""

from __future__ import annotations

import re

_FOLDER = re.compile(r"^DF_\d+(?=/)")


def family_of(path: str) -> str:
    """Name under which models know a tree, whatever folder it is in.

    Parameters
    ----------
    path : str
        Path of the tree in its file.

    Examples
    --------
    >>> family_of("DF_2261923158000000/O2track_iu")
    'DF_*/O2track_iu'
    >>> family_of("folder/Events")
    'folder/Events'
    """
    return _FOLDER.sub("DF_*", path)
