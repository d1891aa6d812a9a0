"""Peak memory of compressing, verifying and restoring large files.

Writes a file of the kind and size asked for, works on it with a process for each step, and adds
what was measured to ``results/memory.json``.

Examples
--------
``python -m benchmarks.memory --kind root --gigabytes 2``
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.corpus import HERE
from benchmarks.largefiles import KINDS, write_large
from benchmarks.run import commit
from vortex_hep.cli.common.options import positive_int
from vortex_hep.testing.bench.alone import peak_memory
from vortex_hep.testing.bench.measure import load_average

RESULTS = HERE / "results" / "memory.json"
#: Seconds between two looks at a process.
_PAUSE = 0.05


def main() -> int:
    """Measure what the command line asks for."""
    args = _parser().parse_args()
    with tempfile.TemporaryDirectory(dir=args.scratch) as folder:
        source = args.file or Path(folder) / f"large.{args.kind}"
        if not args.file:
            write_large(args.kind, source, int(args.gigabytes * 1e9))
        archive, restored = Path(folder) / "large.vxc", Path(folder) / "restored"
        result = {
            "kind": args.kind,
            "source_bytes": source.stat().st_size,
            "model": args.model,
            "effort": args.effort,
            "threads": args.threads,
            "check": args.check,
            "commit": commit(),
            "load": load_average(),
            "steps": {},
        }
        steps = {
            "compress": {"source": source, "archive": archive, "effort": args.effort,
                         "check": args.check},
            "verify": {"source": source, "archive": archive},
            "restore": {"archive": archive, "restored": restored},
        }  # fmt: skip
        for name in args.step or list(steps):
            result["steps"][name] = found = measure(name, args.model, args.threads, steps[name])
            print(f"{args.kind} {name}: {_told(found)}", flush=True)
        if archive.exists():
            result["archive_bytes"] = archive.stat().st_size
    if not args.dry:
        _add(result, args.results)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.memory")
    parser.add_argument("--kind", choices=KINDS, required=True)
    parser.add_argument("--gigabytes", type=float, default=2.0, help="size of the file")
    parser.add_argument("--file", type=Path, help="work on this file instead of writing one")
    parser.add_argument(
        "--model", default="none",
        help="path of a model, 'own' to fit one to the file, or 'none' for classical coders alone",
    )  # fmt: skip
    parser.add_argument("--effort", default="fast")
    parser.add_argument("--threads", type=positive_int)
    parser.add_argument("--check", action="store_true", help="decode each chunk once it is made")
    parser.add_argument("--step", action="append", choices=("compress", "verify", "restore"))
    parser.add_argument("--scratch", type=Path, help="folder for the files")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--dry", action="store_true", help="print only")
    return parser


def measure(
    step: str, model: str, threads: int | None, arguments: dict[str, Any]
) -> dict[str, float]:
    """Run a step in a process of its own.

    Parameters
    ----------
    step : {"compress", "verify", "restore"}
    model : str
        Path of a model, ``"own"`` or ``"none"``.
    threads : int, optional
    arguments : dict
        Files and options of the step.

    Returns
    -------
    dict of str to float
        ``seconds``; ``resident``, the largest resident memory in bytes, as ``dask`` and batch
        systems count it; of it at any one time at most ``anonymous``, and ``mapped`` from files.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, step, model, threads, arguments))
    process.start()
    theirs.close()
    anonymous = mapped = 0
    while process.is_alive():
        now = _status(process.pid or 0)
        anonymous = max(anonymous, now.get("RssAnon", 0))
        mapped = max(mapped, now.get("RssFile", 0))
        if ours.poll(_PAUSE):
            break
    try:
        seconds, resident = ours.recv()
    except EOFError:
        process.join()
        sys.exit(f"{step} ended with code {process.exitcode}")
    process.join()
    return {
        "seconds": round(seconds, 2),
        "resident": resident,
        "anonymous": anonymous,
        "mapped": mapped,
    }


def _work(
    answer: Connection, step: str, model: str, threads: int | None, arguments: dict[str, Any]
) -> None:
    import vortex_hep

    known = None if model == "own" else _model(model)
    began = time.perf_counter()
    if step == "compress":
        vortex_hep.compress_file(
            arguments["source"], arguments["archive"], model=known, threads=threads,
            effort=arguments["effort"], check=arguments["check"],
        )  # fmt: skip
    elif step == "verify":
        report = vortex_hep.verify(
            arguments["archive"], against=arguments["source"], model=known, threads=threads
        )
        if not report.ok:
            sys.exit("\n".join(report.differences))
    else:
        vortex_hep.restore(
            arguments["archive"], arguments["restored"], model=known, threads=threads
        )
    answer.send((time.perf_counter() - began, peak_memory()))


def _model(name: str) -> Any:
    from vortex_hep.models.model import Model

    return Model({}) if name == "none" else Model.load(name)


def _status(number: int) -> dict[str, int]:
    """Memory of a process in bytes, by the names that Linux gives."""
    try:
        lines = Path(f"/proc/{number}/status").read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.split(":", 1) for line in lines if line.endswith(" kB"))
    return {name: int(value.split()[0]) * 1024 for name, value in pairs}


def _told(found: dict[str, float]) -> str:
    parts = (f"{name} {found[name] / 1e6:.0f} MB" for name in ("resident", "anonymous", "mapped"))
    return f"{found['seconds']:.1f} s, {', '.join(parts)}"


def _add(result: dict[str, Any], path: Path) -> None:
    """Put a result in the place of the one that was measured before in the same way."""
    path.parent.mkdir(parents=True, exist_ok=True)
    known = json.loads(path.read_text()) if path.exists() else []
    same = ("kind", "model", "effort", "check", "threads")
    kept = [k for k in known if any(k[name] != result[name] for name in same)]
    path.write_text(json.dumps([*kept, result], indent=2) + "\n")


if __name__ == "__main__":
    raise SystemExit(main())
