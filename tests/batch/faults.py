"""Workers that crash on certain files."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import vortex_hep
from vortex_hep.batch.worker import work


class Faults:
    """A plugin of dask's workers, also of those that are started again: files kill them by name.

    In the midst of writing the output: ``killer`` always, ``once`` the first time. ``hungry`` needs
    ever more memory. ``slow`` takes a second.
    """

    name = "faults"
    idempotent = True

    def setup(self, worker: Any) -> None:
        del worker
        vars(work)["compress_file"] = compress_file

    def teardown(self, worker: Any) -> None:
        del worker
        vars(work)["compress_file"] = vortex_hep.compress_file


def compress_file(source: str, out: Any, **options: Any) -> Any:
    """As the real one, but for some files."""
    name = Path(source).name
    first = Path(f"{source}.seen")
    if "killer" in name or ("once" in name and not first.exists()):
        first.touch()
        out.write(bytes(5 << 20))
        os.kill(os.getpid(), signal.SIGKILL)
    if "hungry" in name:
        out.write(bytes(5 << 20))
        eaten = []
        while True:
            eaten.append(os.urandom(10 << 20))
            time.sleep(0.01)
    if "slow" in name:
        time.sleep(1)
    return vortex_hep.compress_file(source, out, **options)
