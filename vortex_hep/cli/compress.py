"""``vortex-hep compress``: write archives."""

from __future__ import annotations

import argparse
from typing import Any

from vortex_hep.cli.common.many import (
    Item,
    add_recursive,
    check_outputs,
    found_items,
    output_of,
    placed,
    run_each,
)
from vortex_hep.cli.common.options import (
    ARCHIVE_SUFFIX,
    STDIO,
    add_command,
    add_effort,
    add_keep,
    add_lanes,
    add_model,
    add_output,
    add_record,
    add_resources,
    add_tree,
)
from vortex_hep.cli.common.running import note, say

DESCRIPTION = """\
Compress files to archives that restore bit for bit.

With --model, the network of that model does the predicting. Without, one is fitted to each file
and stored in its archive if the bytes it saves outweigh its own. Every column is stored by
whichever coding is smallest, network or classical, so an archive is never beaten by LZMA. All
trees are compressed, and everything else in the file is kept as it is.

A model that was given is stored once, beside the archives, where readers find it; in the archive
itself only where that makes it no more than 1 % larger. --embed-model and --no-embed decide
otherwise.

A restored ROOT file holds the same, bit for bit, in a file of its own; with --exact it is the same
file, byte for byte. Of several files, one that fails stops no other: a table says which failed, and
the exit code is 1.
"""

EXAMPLES = """\
  vortex-hep compress in.root                                writes in.vxc
  vortex-hep compress in.root -o out.vxc --model ttbar.vxm
  vortex-hep compress *.root -o archives/ --model ttbar.vxm  one archive per file, one model
  vortex-hep compress -r data/ -o archives/ --skip-existing  all files in a folder; go on later
  vortex-hep compress in.root --model ttbar.vxm --no-embed   store no model at all: 'decompress'
                                                             will then need --model too
  vortex-hep compress in.root --exact                        'decompress' gives in.root's bytes
  vortex-hep compress *.root --exact --dry-run               what that would cost
  vortex-hep compress dump.bin --record 4                    plain float32: records of 4 bytes
  zcat in.hepmc.gz | vortex-hep compress - > in.vxc          from a pipe, and to one
"""


def register(commands: Any) -> None:
    """Add the sub-command."""
    parser = add_command(
        commands,
        "compress",
        summary="write archives of files",
        description=DESCRIPTION,
        examples=EXAMPLES,
    )
    parser.add_argument(
        "sources",
        nargs="+",
        metavar="FILE",
        help="files or URLs (ROOT, HDF5, HepMC; any other is carried whole); - is standard input",
    )
    add_output(
        parser,
        f"archive, - for standard output, or a folder/ for archives, which is made"
        f" (default: FILE{ARCHIVE_SUFFIX})",
    )
    add_recursive(parser, "the ROOT, HDF5 and HepMC files")
    parser.add_argument(
        "--exact",
        action="store_true",
        help="let 'decompress' give the very bytes of FILE, with its adler32; what that costs is"
        " said first",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="with --exact: only say what can be promised, and what it costs",
    )
    add_tree(parser, "tree to compress; may be repeated (default: all)")
    add_choices(parser)
    parser.set_defaults(run=run, usage_error=parser.error)


def add_choices(parser: argparse.ArgumentParser) -> None:
    """How a file is compressed: what every command that compresses can be told."""
    add_keep(parser)
    add_model(parser, "model to predict with (default: fit one to the file)")
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--embed-model",
        action="store_true",
        default=None,
        dest="embed_model",
        help="store the model in every archive instead of once beside them",
    )
    where.add_argument(
        "--no-embed",
        action="store_false",
        dest="embed_model",
        help="only name the model in the archive, by its SHA-256, and store it nowhere",
    )
    parser.add_argument(
        "--no-check",
        action="store_true",
        help="do not decode every chunk after it is made (saves about half the time)",
    )
    add_record(
        parser,
        "take the file as records of N bytes, whatever it is (default: as its format or the model"
        " says)",
    )
    add_lanes(parser)
    add_effort(parser)
    add_resources(parser)


def run(args: argparse.Namespace) -> int:
    """Compress each source."""
    from vortex_hep.cli.common.files import check_stdout, load_model

    if STDIO in args.sources and args.output is None:
        args.output = STDIO
    args.output = output_of(args)
    items = placed(
        found_items(args.sources, recursive=args.recursive, suffixes=None),
        args.output,
        ARCHIVE_SUFFIX,
    )
    _check_usage(args, items)
    if args.dry_run:
        model = load_model(args.model)
        return run_each(args, items, lambda item: _show_forecast(args, item, model))
    if args.output == STDIO:
        check_stdout(archive=True)
    if len(items) == 1 and items[0].error is None:
        _check_output(args, items[0])
    work = _Compressing(args, items, load_model(args.model))
    return run_each(args, items, work.compress)


def _check_usage(args: argparse.Namespace, items: list[Item]) -> None:
    if args.embed_model is False and args.model is None:
        args.usage_error("--no-embed needs --model")
    if args.dry_run and not args.exact:
        args.usage_error("--dry-run needs --exact")
    if args.rm and args.trees:
        args.usage_error("--rm with --tree would lose the other trees")
    if args.rm and STDIO in (args.output, *args.sources):
        args.usage_error("--rm needs files, not standard input or output")
    if args.skip_existing and args.overwrite:
        args.usage_error("--skip-existing and --overwrite contradict one another")
    check_outputs(args, items)


def _check_output(args: argparse.Namespace, item: Item) -> bool:
    """Refuse what may not be written over; tell whether there is anything to be done."""
    from vortex_hep.cli.common.files import check_new, make_parent
    from vortex_hep.core import storage

    if item.output == STDIO:
        return True
    make_parent(item.output, args.output)
    if args.skip_existing and storage.exists(item.output):
        say(args, f"{item.output}: exists already, left as it is")
        return False
    check_new(item.output, overwrite=args.overwrite, inputs=args.sources, model=args.model)
    return True


def _forecast(args: argparse.Namespace, source: str, model: Any) -> str:
    import vortex_hep

    return vortex_hep.exact_forecast(source, trees=args.trees, record=args.record, model=model)


def _show_forecast(args: argparse.Namespace, item: Item, model: Any) -> None:
    from vortex_hep.cli.common.files import readable

    with readable(item.source, archive=False) as source:
        print(f"{item.source}: {_forecast(args, source, model)}", flush=True)


class _Compressing:
    """Compresses the files of one command, with one model."""

    def __init__(self, args: argparse.Namespace, items: list[Item], model: Any) -> None:
        self._args, self._model = args, model
        self._targets = [item.output for item in items if item.error is None]
        self._stored = False

    def compress(self, item: Item) -> None:
        """Compress a file."""
        from vortex_hep.cli.common.files import readable, writable

        if not _check_output(self._args, item):
            return
        with readable(item.source, archive=False) as source, writable(item.output) as output:
            told = ""
            if self._args.exact:
                # Before the work, so that there is time to think better of it.
                told = _forecast(self._args, source, self._model)
                note(self._args, f"{item.source}: {told}")
            report = self._report(source, output)
        self._tell(report, item, told)
        if report.beside_bytes and self._args.embed_model is None:
            self._store_model()
        if self._args.rm:
            remove_verified(self._args, item.source, item.output, against=item.source)

    def _report(self, source: str, output: str) -> Any:
        import vortex_hep
        from vortex_hep.cli.common.progress import progress_for

        args = self._args
        embed = args.embed_model
        if embed is None and args.output == STDIO:
            embed = True  # there is no place beside a pipe
        return vortex_hep.compress_file(
            source,
            output,
            model=self._model,
            trees=args.trees,
            effort=args.effort,
            threads=args.threads,
            device=args.device,
            overwrite=args.overwrite,
            embed_model=embed,
            check=not args.no_check,
            exact=args.exact,
            record=args.record,
            lanes=vortex_hep.LaneChoice(args.lane_tokens, args.chunk_size, args.memory),
            progress=progress_for(quiet=args.quiet),
        )

    def _tell(self, report: Any, item: Item, told: str) -> None:
        report.path = item.output
        for message in report.messages:
            if message != told:
                note(self._args, message)
        report.messages.clear()
        text = str(report) if self._args.verbose else f"{report.path}: {report.line()}"
        say(self._args, text, output=item.output)

    def _store_model(self) -> None:
        """Store the model where readers of the archives find it; once."""
        from vortex_hep.batch.plan.modelplaces import store_model

        if self._stored:
            return
        folder = self._args.output
        top = None
        if folder is not None and folder not in self._targets:
            top = folder
        for path in store_model(self._model, self._targets, top):
            say(self._args, f"{path}: the model, which these archives need to be read")
        self._stored = True


def remove_verified(args: argparse.Namespace, path: str, archive: str, *, against: str) -> None:
    """Remove an input once an archive was compared with a file, bit for bit."""
    import vortex_hep
    from vortex_hep.core import storage
    from vortex_hep.errors import VerificationError

    report = vortex_hep.verify(archive, against=against, model=args.model, threads=args.threads)
    if not report.ok:
        raise VerificationError(
            f"was kept, for {report.differences[0]}", path=path, hint="please report this"
        )
    storage.remove(path)
