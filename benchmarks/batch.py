"""Timing of jobs: one worker beside a plain loop, and two workers beside one, on the same files.

Equal files are compressed and verified against their sources by a loop over ``compress_file`` and
``verify``, and by the pipeline with one worker and with two: each run in a process of its own, in
alternating order, with the same options. Writes ``batch.json`` into the results of this
machine, with what the model of ``benchmarks.scale`` predicts; ``python -m benchmarks.scale report``
makes the table of ``docs/scale.md`` of it.

Examples
--------
``python -m benchmarks.batch``
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.run import RESULTS
from vortex_hep.cli.common.options import positive_int
from vortex_hep.testing.bench.measure import load_average

#: What is run: a name, and the workers of the pipeline; 0 for the plain loop.
RUNS = (("plain loop", 0), ("pipeline, one worker", 1), ("pipeline, two workers", 2))
#: What the project demands of these.
MOST_OVERHEAD, MOST_OF_ONE = 0.05, 0.6


def main(arguments: list[str] | None = None) -> int:
    """Run what the command line asks for; 1 where a demand is not met."""
    args = _parser().parse_args(arguments)
    if args.child is not None:
        print(json.dumps(_child(args.child, args.folder)))
        return 0
    if (load := load_average()) is not None and load > 0.5:
        print(f"the machine is busy (load {load}): figures will be off", file=sys.stderr)
    plain = measure(args.files, args.events, args.repeat)
    from benchmarks.scale.__main__ import write

    print(f"wrote {write(args.results, 'batch', plain)}")
    for line in verdicts(plain):
        print(line)
    return 0 if plain["demands_met"] else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__,
        prog="python -m benchmarks.batch",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--files", type=positive_int, default=40)
    parser.add_argument("--events", type=positive_int, default=300, help="of each file")
    parser.add_argument("--repeat", type=positive_int, default=3)
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="DIR")
    parser.add_argument("--child", type=int, metavar="WORKERS", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser


def measure(files: int, events: int, repeat: int) -> dict[str, Any]:
    """Make the files, run everything ``repeat`` times, take medians.

    Parameters
    ----------
    files, events : int
        How many files, and events in each.
    repeat : int

    Returns
    -------
    dict
        Plain data for a JSON file.
    """
    seconds: dict[str, list[float]] = {name: [] for name, _ in RUNS}
    whole: dict[str, list[float]] = {name: [] for name, _ in RUNS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        size = make_files(folder / "sources", files, events)
        for turn in range(repeat):
            for label, workers in RUNS if turn % 2 == 0 else reversed(RUNS):
                began = time.perf_counter()
                seconds[label].append(run_once(workers, folder))
                whole[label].append(time.perf_counter() - began)
                print(f"{label}: {seconds[label][-1]:.2f} s", flush=True)
    plain, one, two = (statistics.median(seconds[name]) for name, _ in RUNS)
    expected = predicted(files, size, plain)
    return {
        "files": files,
        "events": events,
        "file_bytes": size,
        "repeat": repeat,
        "overhead": one / plain - 1,
        "two_of_one": two / one,
        "demands_met": one / plain - 1 < MOST_OVERHEAD and two / one <= MOST_OF_ONE,
        "runs": [
            {
                "name": name,
                "workers": workers,
                "seconds": median,
                "all_seconds": seconds[name],
                "process_seconds": statistics.median(whole[name]),
                "against_loop": median / plain,
                "against_one": median / one if workers == 2 else None,
                "predicted_seconds": expected[workers],
            }
            for (name, workers), median in zip(RUNS, (plain, one, two), strict=True)
        ],
    }


def verdicts(plain: dict[str, Any]) -> list[str]:
    """What came out, in words."""
    return [
        f"overhead of the pipeline: {plain['overhead']:+.1%} (demanded: under {MOST_OVERHEAD:.0%})",
        f"two workers need {plain['two_of_one']:.3f} of one's time "
        f"(demanded: at most {MOST_OF_ONE})",
    ]


def make_files(folder: Path, files: int, events: int) -> int:
    """Equal files under different names; return the size of one."""
    from vortex_hep.testing.examples import write_example

    folder.mkdir()
    first = folder / "file-000.root"
    write_example(first, events=events, seed=7)
    for number in range(1, files):
        shutil.copyfile(first, folder / f"file-{number:03d}.root")
    return first.stat().st_size


def run_once(workers: int, folder: Path) -> float:
    """Seconds of one run, in a process of its own, all archives removed before."""
    for kind in ("archives", "scratch"):
        shutil.rmtree(folder / kind, ignore_errors=True)
    command = [sys.executable, "-m", "benchmarks.batch", "--child", str(workers)]
    done = subprocess.run(
        [*command, "--folder", str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"the run failed:\n{done.stderr[-2000:]}")
    answer = json.loads(done.stdout.splitlines()[-1])
    sources = len(list((folder / "sources").iterdir()))
    archives = len(list((folder / "archives").glob("**/*.vxc")))
    if archives != sources:
        raise RuntimeError(f"{archives} archives of {sources} files")
    return float(answer["seconds"])


def _child(workers: int, folder: Path) -> dict[str, float]:
    """What runs in the fresh process: imports and the cluster's start are not in the seconds."""
    if workers:
        return {"seconds": _pipeline(folder, workers)}
    return {"seconds": loop(folder)}


def loop(folder: Path) -> float:
    """Compress, verify and checksum file by file, as a script would."""
    import vortex_hep
    from vortex_hep.core import storage

    target = folder / "archives"
    target.mkdir()
    model = vortex_hep.Model({})
    began = time.perf_counter()
    for source in sorted((folder / "sources").iterdir()):
        archive = target / f"{source.stem}.vxc"
        vortex_hep.compress_file(
            str(source), archive, model=model, threads=1, check=False, embed_model=False
        )
        storage.identity(str(archive))
        vortex_hep.verify(archive, against=str(source), model=model, threads=1)
        storage.identity(str(source))
    return time.perf_counter() - began


def _pipeline(folder: Path, workers: int) -> float:
    """The same by a job."""
    import vortex_hep
    from vortex_hep.batch.jobs import compress_dataset
    from vortex_hep.batch.site.site import Site, connect

    model = vortex_hep.Model({})
    with connect(Site(workers=workers, cores=1, memory="2GB", dashboard="none")) as client:
        client.wait_for_workers(workers)
        began = time.perf_counter()
        compress_dataset(
            [str(folder / "sources")], model=model, output=str(folder / "archives"), site=client
        )
        return time.perf_counter() - began


def predicted(files: int, size: int, loop: float) -> dict[int, float]:
    """Seconds that the model expects, given those of the plain loop; by number of workers."""
    from benchmarks.scale.model import predict
    from benchmarks.scale.parameters import Data, Job, Site, costs_of, load_constants

    costs = costs_of(load_constants())
    per_megabyte = loop / files / (size / 1e6)
    data = Data("measured", ratio=1.0, compress=per_megabyte, decode=0.0, read=0.0)
    out = {0: loop}
    for workers in (1, 2):
        local = Site(
            workers, stream_bytes=math.inf, storage_bytes=math.inf, request_seconds=0.0,
            requests_per_second=math.inf, losses_per_hour=0.0, transient=0.0,
        )  # fmt: skip
        out[workers] = predict(Job(files, files * size), data, local, costs).wall_seconds
    return out


if __name__ == "__main__":
    raise SystemExit(main())
