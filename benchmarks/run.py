"""The benchmark runner: measures all files of the corpus on this machine.

Writes one JSON per codec, file and machine to ``benchmarks/results/``; ``benchmarks/report.py``
makes the tables and plots from them.

Examples
--------
``python -m benchmarks.run --data DIR --dataset nanoaod-ttbar``
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.corpus import HERE, Dataset, Part, load_corpus, parts_of
from vortex_hep.cli.common.options import positive_int
from vortex_hep.cli.common.progress import progress_for
from vortex_hep.testing.bench import Comparison, compare
from vortex_hep.testing.bench.measure import load_average

RESULTS = HERE / "results"
CACHE = HERE / "cache"


def main() -> int:
    """Run what the command line asks for."""
    args = _parser().parse_args()
    load = load_average()
    if load is not None and load > 0.5:
        print(f"the machine is busy (load {load}): speeds will be too low", file=sys.stderr)
    known = {dataset.name: dataset for dataset in load_corpus()}
    for name in args.dataset or list(known):
        if name not in known:
            sys.exit(f"no data set {name!r}; there are: {', '.join(known)}")
        _run_dataset(known[name], args)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.run")
    parser.add_argument("--data", type=Path, required=True, help="folder of the corpus' files")
    parser.add_argument("--dataset", action="append", metavar="NAME", help="may be repeated")
    parser.add_argument(
        "--results", type=Path, default=RESULTS, metavar="DIR", help="where the JSON files go"
    )
    parser.add_argument("--seconds", type=float, help="training time per data set")
    parser.add_argument("--model", type=Path, help="use this model instead of training one")
    parser.add_argument("--effort", default="normal", help="of compression")
    parser.add_argument("--train-effort", default="max", help="of training a data set's model")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=positive_int)
    parser.add_argument("--repeat", type=positive_int, default=2)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--only-baselines", action="store_true")
    what.add_argument("--only-ours", action="store_true")
    return parser


def _run_dataset(dataset: Dataset, args: argparse.Namespace) -> None:
    train, test = parts_of(dataset, args.data, CACHE)
    ours = not args.only_baselines
    models, training = _models(dataset, train, args) if ours else ([], {})
    for part in test:
        print(f"{dataset.name}: {part.name}", flush=True)
        comparison = compare(
            part.path,
            models=models,
            fit=ours and not models,
            baselines=not args.only_ours,
            effort=args.effort,
            device=args.device,
            threads=args.threads,
            repeat=args.repeat,
            progress=progress_for(quiet=False),
        )
        save(dataset, part, comparison, training, args.results)


def _models(
    dataset: Dataset, train: list[Part], args: argparse.Namespace
) -> tuple[list[Any], dict[str, Any]]:
    """The model of a data set, and how it came to be."""
    import vortex_hep

    if args.model is not None:
        return [vortex_hep.Model.load(args.model)], {"model": args.model.name}
    if not train:
        return [], {}
    options = vortex_hep.TrainOptions(
        seconds=args.seconds, device=args.device, threads=args.threads, effort=args.train_effort
    )
    start = time.perf_counter()
    model = vortex_hep.train(
        [str(part.path) for part in train], options=options, progress=progress_for(quiet=False)
    )
    CACHE.mkdir(exist_ok=True)
    model.save(CACHE / f"{dataset.name}.vxm", overwrite=True)
    training = {
        "train_files": [part.name for part in train],
        "train_seconds": round(time.perf_counter() - start, 1),
        "train_effort": args.train_effort,
    }
    return [model], training


def save(
    dataset: Dataset,
    part: Part,
    comparison: Comparison,
    training: dict[str, Any],
    results: Path,
) -> None:
    """Write one JSON per measurement into a folder of the data set."""
    machine = slug(f"{comparison.machine['cpu']} {comparison.machine['cores']} cores")
    common = {
        "dataset": dataset.name,
        "file": part.name,
        "kind": comparison.kind,
        "file_bytes": comparison.file_bytes,
        "source_sha256": part.source.sha256,
        "limit_bytes": part.source.limit_bytes,
        "commit": commit(),
        "machine": comparison.machine,
    }
    for item in comparison.measurements:
        own = item.codec.startswith("vortex_hep")
        plain = common | item.as_json()
        plain["settings"] = item.settings | (training if own else {})
        folder = results / machine / dataset.name
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{slug(part.name)}.{slug(item.codec)}.json"
        path.write_text(json.dumps(plain, indent=2) + "\n")


def slug(text: str) -> str:
    """A name fit for a file.

    Examples
    --------
    >>> slug("ROOT LZMA 9, per basket")
    'root-lzma-9-per-basket'
    """
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-")


def commit() -> str:
    """The commit of the code, marked where files differ from it."""
    command = ["git", "-C", str(HERE), "describe", "--always", "--dirty", "--abbrev=12"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.stdout.strip() or "unknown"


if __name__ == "__main__":
    raise SystemExit(main())
