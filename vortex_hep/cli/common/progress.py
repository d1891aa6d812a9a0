"""Progress of commands."""

from __future__ import annotations

from vortex_hep.core.progress import Progress
from vortex_hep.core.terminal import progress_of


def progress_for(*, quiet: bool) -> Progress:
    """The progress that suits where stderr goes; none where the user wants none."""
    return progress_of(not quiet)
