"""Ablation: what each part of the event model contributes on one data set.

Trains a model with everything, then one without each part, all alike otherwise, and compresses the
test files with each. Writes ``results/ablation-NAME.json``; ``benchmarks/report.py`` makes
``ABLATION.md`` of it.

Examples
--------
``python -m benchmarks.ablation --data DIR --dataset camels --seconds 300``
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.corpus import Dataset, load_corpus, parts_of
from benchmarks.run import CACHE, RESULTS, commit
from vortex_hep.cli.common.options import positive_int
from vortex_hep.cli.common.progress import progress_for
from vortex_hep.core.options import PARTS
from vortex_hep.testing.bench.measure import machine


def main() -> int:
    """Run what the command line asks for."""
    args = _parser().parse_args()
    known = {dataset.name: dataset for dataset in load_corpus()}
    if args.dataset not in known:
        sys.exit(f"no data set {args.dataset!r}; there are: {', '.join(known)}")
    result = measure(known[args.dataset], args)
    args.results.mkdir(parents=True, exist_ok=True)
    path = args.results / f"ablation-{args.dataset}.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    for run in result["runs"]:
        print(f"{run['stored_bytes']:>12,}  without {' and '.join(run['without']) or 'nothing'}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.ablation")
    parser.add_argument("--data", type=Path, required=True, help="folder of the corpus' files")
    parser.add_argument("--dataset", required=True, metavar="NAME", help="one with training files")
    parser.add_argument(
        "--results", type=Path, default=RESULTS, metavar="DIR", help="where the JSON file goes"
    )
    parser.add_argument("--seconds", type=float, help="training time of each model")
    parser.add_argument("--train-effort", default="normal", help="of training")
    parser.add_argument("--effort", default="normal", help="of compression")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=positive_int)
    return parser


def measure(dataset: Dataset, args: argparse.Namespace) -> dict[str, Any]:
    """Train with everything, without each part, and without all parts."""
    train, test = parts_of(dataset, args.data, CACHE)
    if not train:
        sys.exit(f"{dataset.name} has no training files: parts are left out of trained models")
    sources = [str(part.path) for part in train]
    tests = [str(part.path) for part in test]
    return {
        "dataset": dataset.name,
        "train_files": [part.name for part in train],
        "test_files": [part.name for part in test],
        "train_effort": args.train_effort,
        "seconds": args.seconds,
        "effort": args.effort,
        "commit": commit(),
        "machine": machine(),
        "runs": [_run(sources, tests, without, args) for without in combinations()],
    }


def combinations() -> list[tuple[str, ...]]:
    """What is left out: nothing, each part alone, all parts."""
    return list(dict.fromkeys([(), *((part,) for part in PARTS), PARTS]))


def _run(
    train: list[str], test: list[str], without: tuple[str, ...], args: argparse.Namespace
) -> dict[str, Any]:
    import vortex_hep

    options = vortex_hep.TrainOptions(
        seconds=args.seconds, device=args.device, threads=args.threads, effort=args.train_effort,
        without=without,
    )  # fmt: skip
    start = time.perf_counter()
    model = vortex_hep.train(train, options=options, progress=progress_for(quiet=False))
    seconds = time.perf_counter() - start
    stored = 0
    with tempfile.TemporaryDirectory() as folder:
        archive = str(Path(folder) / "ablation.vxc")
        for path in test:
            # Every chunk is decoded and compared before it is written.
            report = vortex_hep.compress_file(
                path, archive, model=model, embed_model=False, overwrite=True,
                effort=args.effort, device=args.device, threads=args.threads,
            )  # fmt: skip
            stored += report.stored_bytes
    return {
        "without": list(without),
        "stored_bytes": stored,
        "model_bytes": model.nbytes,
        "train_seconds": round(seconds, 1),
    }


if __name__ == "__main__":
    raise SystemExit(main())
