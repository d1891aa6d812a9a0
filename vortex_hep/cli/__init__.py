"""The command ``vortex-hep``.

One module per sub-command. Nothing heavy is imported until a sub-command runs: ``--help`` must
answer at once on a login node with a cold file system.
"""

from __future__ import annotations

from vortex_hep.cli.main import main

__all__ = ["main"]
