"""Commands on several files: folders, places of outputs, and a bad file that stops no other."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vortex_hep.cli.common.files import is_folder
from vortex_hep.cli.common.options import STDIO, default_output
from vortex_hep.cli.common.running import exit_code_of
from vortex_hep.core.text import format_table, one_line, plural
from vortex_hep.errors import SourceError, VortexError


def output_of(args: argparse.Namespace) -> str | None:
    """Where outputs go: as given, which is a folder where folders are gone through."""
    given: str | None = args.output
    if given is None or given == STDIO or not args.recursive or given.endswith("/"):
        return given
    return f"{given}/"


@dataclass(frozen=True)
class Item:
    """One file of a command.

    Parameters
    ----------
    source : str
        Path, URL, or ``-``.
    relative : str
        Its place below the folder that was given; its name where it was given itself.
    output : str
        Where what is made of it goes: a path, a URL, or ``-``; "" where nothing is made.
    error : VortexError, optional
        Why there is nothing to be done with it.
    """

    source: str
    relative: str
    output: str = ""
    error: VortexError | None = None


def add_recursive(parser: argparse.ArgumentParser, what: str) -> None:
    """``-r``."""
    parser.add_argument(
        "-r", "--recursive", action="store_true", help=f"of folders, take {what} in them"
    )


def found_items(
    sources: Sequence[str], *, recursive: bool, suffixes: Sequence[str] | None
) -> list[Item]:
    """The files that inputs stand for.

    Parameters
    ----------
    sources : sequence of str
    recursive : bool
        Whether folders stand for the files in them.
    suffixes : sequence of str, optional
        Of files that are taken from folders; those of ROOT, HDF5 and HepMC files by default.
    """
    from vortex_hep.core import storage

    items: list[Item] = []
    for source in sources:
        try:
            items += _found(source, recursive=recursive, suffixes=suffixes)
        except VortexError as error:
            items.append(Item(source, storage.name(source), error=error))
    return items


def _found(source: str, *, recursive: bool, suffixes: Sequence[str] | None) -> list[Item]:
    from vortex_hep.core import storage

    if source == STDIO:
        return [Item(source, "stdin")]
    if storage.is_url(source):
        folder = recursive and storage.stat(source).is_folder
    else:
        folder = Path(source).is_dir()
    if not folder:
        return [Item(source, storage.name(source))]
    if not recursive:
        raise SourceError("is a folder", path=source, hint="-r takes the files in it")
    from vortex_hep.batch.plan.inputs import find_inputs

    return [Item(f.source, f.relative) for f in find_inputs([source], suffixes=suffixes)]


def placed(items: Sequence[Item], output: str | None, suffix: str) -> list[Item]:
    """Name the outputs, so that no two are one.

    Files keep the folders below one that was given; so do files that were given by themselves,
    where two of them have one name. Where two differ in nothing but their suffix, both keep it.

    Parameters
    ----------
    items : sequence of Item
    output : str or None
        Folder, or the one output; None for beside each file.
    suffix : str
        What outputs end in; "" where that is not known yet, and outputs keep their names.

    Examples
    --------
    >>> two = [Item("a/x.root", "x.root"), Item("b/x.root", "x.root")]
    >>> [item.output for item in placed(two, "o/", ".vxc")]
    ['o/a/x.vxc', 'o/b/x.vxc']
    >>> two = [Item("x.root", "x.root"), Item("x.h5", "x.h5")]
    >>> [item.output for item in placed(two, None, ".vxc")]
    ['x.root.vxc', 'x.h5.vxc']
    """
    from vortex_hep.core import storage

    if output is not None and not is_folder(output) and len(items) == 1:
        return [replace(items[0], output=output)]
    names = [item.source if output is None else item.relative for item in items]
    if output is not None and _shared([default_output(name, "") for name in names]):
        from vortex_hep.batch.names import relative_to_common

        names = relative_to_common([item.source for item in items])
    if suffix:
        short = [default_output(name, suffix) for name in names]
        shared = _shared(short)
        names = [
            default_output(n, Path(n).suffix + suffix) if s in shared else s
            for n, s in zip(names, short, strict=True)
        ]
    if output is not None:
        names = [storage.join(output, name) for name in names]
    return [replace(item, output=name) for item, name in zip(items, names, strict=True)]


def _shared(names: Sequence[str]) -> set[str]:
    """Names that are there more than once."""
    return {name for name, count in Counter(names).items() if count > 1}


def with_suffix(output: str, suffix: str, given: str | None) -> str:
    """An output of :func:`placed` with the suffix that it gets once that is known.

    Examples
    --------
    >>> with_suffix("o/x.vxc", ".root", "o/"), with_suffix("x.root.vxc", ".root", None)
    ('o/x.root', 'x.root')
    """
    from vortex_hep.core import storage

    if given is not None and storage.is_url(output):
        name = with_suffix(storage.name(output), suffix, None)
        return storage.join(storage.parent(output), name)
    stem = default_output(output, "")
    return stem if suffix and stem.lower().endswith(suffix.lower()) else stem + suffix


def check_outputs(args: argparse.Namespace, items: Sequence[Item]) -> None:
    """Refuse a command line that asks for two outputs of one name."""
    from vortex_hep.core.storage.paths import same_file_key

    if args.output is not None and len(items) > 1 and not is_folder(args.output):
        args.usage_error(
            "several inputs would be written to one output: -o needs a folder, such as"
            f" {args.output}/"
        )
    twice = [name for name, n in Counter(same_file_key(i.output) for i in items).items() if n > 1]
    if twice:
        args.usage_error(f"several inputs would be written to one output, {twice[0]}")


def run_each(
    args: argparse.Namespace, items: Sequence[Item], work: Callable[[Item], object]
) -> int:
    """Do the work on each file; one that fails is told, and the others go on.

    Parameters
    ----------
    args : argparse.Namespace
    items : sequence of Item
    work : callable
        Fails with the errors of this package, or of the operating system.

    Returns
    -------
    int
        The exit code: 0, or the one that tells most of what happened.
    """
    failed: list[tuple[str, str, int]] = []
    for item in items:
        try:
            if item.error is not None:
                raise item.error
            work(item)
        except BrokenPipeError:
            raise
        except (VortexError, OSError, MemoryError) as error:
            if len(items) == 1:
                raise
            if args.debug:
                traceback.print_exc()
            text = one_line(str(error) or type(error).__name__)
            print(f"{args.program}: error: {text}", file=sys.stderr, flush=True)
            shown = error.message if isinstance(error, VortexError) else str(error)
            failed.append((item.source, one_line(shown), exit_code_of(error)))
    if not failed:
        return 0
    rows = [[source, text] for source, text, _ in failed]
    print(
        f"{args.program}: {len(failed):,} of {plural(len(items), 'file')} failed:\n"
        f"{format_table(['file', 'why'], rows, left=(0, 1))}",
        file=sys.stderr,
    )
    codes = {code for _, _, code in failed}
    return next(code for code in (3, 1, 4) if code in codes)
