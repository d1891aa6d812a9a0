"""Command line of the measurements of transformers: comparison, ablation, speed.

``compare``, ``ablate`` and ``rates`` each write one JSON file into the results of this machine;
``report`` makes the tables of ``docs/transformers.md`` and a plot of them. With ``--check`` it
writes nothing and fails if the tables do not say what the results say.

Examples
--------
``python -m benchmarks.transformers compare --data DIR --seconds 1140``
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.run import CACHE, RESULTS, slug
from vortex_hep.cli.common.options import positive_int
from vortex_hep.cli.common.progress import progress_for
from vortex_hep.testing.bench.measure import load_average, machine

#: The transformer that ``compare`` trains and ``rates`` measures.
MODEL = CACHE / "ftag-jets-transformer.vxm"


def main(arguments: list[str] | None = None) -> int:
    """Run what the command line asks for."""
    args = _parser().parse_args(arguments)
    if args.command != "report" and (load := load_average()) is not None and load > 0.5:
        print(f"the machine is busy (load {load}): speeds will be too low", file=sys.stderr)
    run: int = args.run(args)
    return run


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.transformers")
    commands = parser.add_subparsers(dest="command", required=True)
    compare = commands.add_parser("compare", help="a transformer and the event model on jets")
    compare.add_argument("--seconds", type=float, help="training time of the transformer")
    compare.add_argument("--train-effort", default="normal", help="of training the event model")
    compare.add_argument("--repeat", type=positive_int, default=2)
    compare.set_defaults(run=_compare)
    ablate = commands.add_parser("ablate", help="variants of the transformer, trained alike")
    ablate.add_argument("--steps", type=positive_int, help="of every training")
    ablate.add_argument("--seconds", type=float, help="of every training, at most")
    ablate.add_argument("--stream", action="append", choices=("jets", "hepmc"))
    ablate.add_argument("--variant", action="append", metavar="NAME", help="may be repeated")
    ablate.add_argument("--text-bytes", type=positive_int, default=4_000_000)
    ablate.add_argument("--again", action="store_true", help="also what the results have already")
    ablate.set_defaults(run=_ablate)
    rates = commands.add_parser("rates", help="speeds of devices, and that all agree")
    rates.add_argument("--model", type=Path, default=MODEL, help="default: what compare trained")
    rates.set_defaults(run=_rates)
    for command in (compare, ablate):
        command.add_argument("--recipe", default="laptop_cpu", help="name or YAML file")
    for command in (compare, ablate, rates):
        command.add_argument("--data", type=Path, required=True, help="folder of the corpus' files")
        command.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
        command.add_argument("--threads", type=positive_int, default=2)
        command.add_argument("--results", type=Path, default=RESULTS, metavar="DIR")
    report = commands.add_parser("report", help="tables and plot of the results")
    report.add_argument("--check", action="store_true", help="write nothing, fail on a difference")
    report.set_defaults(run=_report)
    return parser


def _compare(args: argparse.Namespace) -> int:
    from benchmarks.transformers.compare import CompareOptions, measure
    from benchmarks.transformers.data import jet_files
    from vortex_hep.nn.loop.recipes import load_recipe

    _limit_torch(args.threads)
    options = CompareOptions(
        load_recipe(args.recipe), args.seconds, args.train_effort, args.device, args.threads,
        args.repeat,
    )  # fmt: skip
    result = measure(jet_files(args.data, CACHE), options, MODEL)
    print(f"wrote {write(args.results, 'compare', result)}")
    return 0


def _ablate(args: argparse.Namespace) -> int:
    from benchmarks.transformers.ablate import Budget, Where, ablate
    from benchmarks.transformers.data import jet_files
    from benchmarks.transformers.variants import jet_stream, text_stream
    from vortex_hep.nn.loop.recipes import load_recipe

    if args.steps is None and args.seconds is None:
        sys.exit("say how long to train each variant: --steps or --seconds")
    recipe = load_recipe(args.recipe)
    streams = []
    if "jets" in (args.stream or ("jets",)):
        streams.append(jet_stream(jet_files(args.data, CACHE), recipe))
    if "hepmc" in (args.stream or ("hepmc",)):
        streams.append(text_stream(args.data, recipe, args.text_bytes))
    known = {variant.name for stream in streams for variant in stream.variants}
    if unknown := sorted(set(args.variant or ()) - known):
        sys.exit(f"no variant {', '.join(unknown)}; there are: {', '.join(sorted(known))}")
    _limit_torch(args.threads)
    path = place(args.results, "ablate")
    before = json.loads(path.read_text()) if path.exists() and not args.again else None
    where = Where(args.device, args.threads, progress_for(quiet=False))
    # Written after every training: hours of them should not be lost with the last.
    for result in ablate(
        streams, recipe, Budget(args.steps, args.seconds), where, before, args.variant
    ):
        write(args.results, "ablate", result)
    print(f"wrote {path}")
    return 0


def _rates(args: argparse.Namespace) -> int:
    from benchmarks.transformers.data import jet_files
    from benchmarks.transformers.rates import measure
    from vortex_hep.models.model import Model
    from vortex_hep.nn.devices import cuda_available

    if args.device == "cuda" and not cuda_available():
        print("torch sees no CUDA device: nothing was measured", file=sys.stderr)
        return 2
    if not args.model.exists():
        sys.exit(f"{args.model} is not there: run compare first, or name a model with --model")
    devices = ["cpu"] if args.device == "cpu" else ["cpu", args.device]
    model = Model.load(args.model)
    result = measure(jet_files(args.data, CACHE).test, model, devices, threads=args.threads)
    print(f"wrote {write(args.results, 'rates', result)}")
    return 0


def _report(args: argparse.Namespace) -> int:
    from benchmarks.transformers import report

    return report.run(check=args.check)


def _limit_torch(threads: int) -> None:
    """Let training have as many threads as the measurements."""
    import torch

    torch.set_num_threads(threads)


def place(results: Path, what: str) -> Path:
    """Where a result of this machine goes."""
    here = machine()
    return results / slug(f"{here['cpu']} {here['cores']} cores") / f"transformers-{what}.json"


def write(results: Path, what: str, plain: dict[str, Any]) -> Path:
    """Write a result of this machine; return where."""
    path = place(results, what)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.part")
    unfinished.write_text(json.dumps(plain, indent=2) + "\n")
    unfinished.replace(path)
    return path


if __name__ == "__main__":
    raise SystemExit(main())
