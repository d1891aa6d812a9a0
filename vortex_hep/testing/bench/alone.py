"""Calls in a separate process: time, and peak memory.

Run as ``python -m vortex_hep.testing.bench.alone``: a pickled request on standard input, a pickled
answer in the file named by the only argument.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vortex_hep.errors import VortexError


@dataclass(frozen=True)
class Alone:
    """What a call took.

    Parameters
    ----------
    seconds : float
        Of the fastest run, without the start of the process and the loading of the model.
    peak_memory_bytes : int
        Largest resident memory of the whole process, interpreter and libraries included; 0 where
        the system does not tell.
    result : object
    """

    seconds: float
    peak_memory_bytes: int
    result: Any


def run_alone(call: str, *, repeat: int = 1, **arguments: Any) -> Alone:
    """Run one of :data:`CALLS` in a fresh process.

    Parameters
    ----------
    call : {"compress", "read", "restore"}
    repeat : int
        Runs; the fastest counts.
    **arguments
        Of the call; ``model`` is the path of a model, or None.

    Raises
    ------
    VortexError
        As the call raises it, or where its process ends without an answer.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "answer"
        done = subprocess.run(
            [sys.executable, "-m", "vortex_hep.testing.bench.alone", str(path)],
            input=pickle.dumps((call, repeat, arguments)), capture_output=True, check=False,
        )  # fmt: skip
        if done.returncode or not path.exists():
            said = done.stderr.decode(errors="replace").strip().splitlines()
            msg = f"measuring {call!r} ended with code {done.returncode}"
            raise VortexError(f"{msg}: {said[-1]}" if said else msg)
        answer = pickle.loads(path.read_bytes())
    if isinstance(answer, VortexError):
        raise answer
    if not isinstance(answer, Alone):
        raise VortexError(f"measuring {call!r} gave no answer")
    return answer


def _compress(source: str, archive: str, model: Any, **options: Any) -> int:
    import vortex_hep

    report = vortex_hep.compress_file(
        source, archive, model=model, embed_model=model is None, overwrite=True, **options
    )
    return report.model_bytes


def _read(archive: str, model: Any, threads: int) -> None:
    import vortex_hep

    vortex_hep.verify(archive, model=model, threads=threads)


def _restore(archive: str, out: str, model: Any, threads: int) -> None:
    import vortex_hep

    vortex_hep.restore(archive, out, model=model, threads=threads, overwrite=True)


#: What can be measured.
CALLS: dict[str, Callable[..., Any]] = {"compress": _compress, "read": _read, "restore": _restore}


def peak_memory() -> int:
    """Largest resident memory of this process in bytes; 0 where the system does not tell."""
    # On Linux, getrusage would count the memory of the process that started this one: the kernel
    # carries its figure over into the new program. VmHWM begins anew.
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def main() -> int:
    """Answer the request on standard input."""
    from vortex_hep.models.model import Model

    call, repeat, arguments = pickle.loads(sys.stdin.buffer.read())
    answer: Alone | VortexError
    try:
        # Once for all files of a data set, and so not part of the call.
        path = arguments.pop("model")
        arguments["model"] = None if path is None else Model.load(path)
        best, result = float("inf"), None
        for _ in range(repeat):
            start = time.perf_counter()
            result = CALLS[call](**arguments)
            best = min(best, time.perf_counter() - start)
        answer = Alone(best, peak_memory(), result)
    except VortexError as error:
        answer = error
    Path(sys.argv[1]).write_bytes(pickle.dumps(answer))
    return 0


if __name__ == "__main__":
    # Under its name as a module: what is pickled as a class of __main__ cannot be read elsewhere.
    from vortex_hep.testing.bench.alone import main as named_main

    raise SystemExit(named_main())
