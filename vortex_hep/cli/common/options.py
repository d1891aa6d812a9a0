"""Options shared by several sub-commands."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from vortex_hep.core.text import near_misses

MODEL_SUFFIX = ".vxm"
ARCHIVE_SUFFIX = ".vxc"
#: Standard input or output, in place of a file.
STDIO = "-"


class Parser(argparse.ArgumentParser):
    """A parser that says what a misspelt command, option or choice may have meant."""

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse, as the base class does; wrong options are told by the command they stand in."""
        found, rest = self.parse_known_args(args, namespace)
        if rest:
            parser = getattr(found, "parser", self)
            known = [name for action in parser._actions for name in action.option_strings]
            near = [near_misses(word.partition("=")[0], known) for word in rest if word[:1] == "-"]
            meant = f" (did you mean {near[0]}?)" if near and near[0] else ""
            parser.error(f"unrecognized arguments: {' '.join(rest)}{meant}")
        return found

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and end the program."""
        wrong = _WRONG_CHOICE.search(message)
        if wrong is not None:
            choices = [word.strip(" '\"") for word in wrong[2].split(",")]
            near = near_misses(wrong[1], choices)
            message += f"; did you mean {near}?" if near else ""
        super().error(message)


#: What argparse says of a choice that there is not.
_WRONG_CHOICE = re.compile(r"invalid choice: '([^']*)' \(choose from (.*)\)")


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the line breaks of descriptions and examples, and wide enough columns."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=28, width=96)


class VersionAction(argparse.Action):
    """Prints the version."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        """Print and exit."""
        from vortex_hep.core.version import __version__

        print(f"{parser.prog} {__version__}")
        parser.exit()


def add_command(
    commands: Any, name: str, *, summary: str, description: str, examples: str
) -> argparse.ArgumentParser:
    """A parser for one sub-command with the options that all of them have."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=f"examples:\n{examples}",
        formatter_class=HelpFormatter,
    )
    parser.set_defaults(parser=parser)
    _add_common(parser)
    return parser


def program_parser(program: str, *, description: str, examples: str) -> argparse.ArgumentParser:
    """A parser for a command that stands alone, on one input file."""
    parser = Parser(
        prog=program,
        description=description,
        epilog=f"examples:\n{examples}",
        formatter_class=HelpFormatter,
    )
    parser.set_defaults(program=program, usage_error=parser.error)
    parser.add_argument("--version", action=VersionAction, help="print the version and exit")
    _add_common(parser)
    return parser


def _add_common(parser: argparse.ArgumentParser) -> None:
    """What all commands have."""
    parser.add_argument("--quiet", "-q", action="store_true", help="no progress, errors only")
    parser.add_argument("--verbose", "-v", action="store_true", help="say more of each file")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")


def add_input(parser: argparse.ArgumentParser, metavar: str, help: str) -> None:
    """One input file, by its place or behind ``--input``; :func:`one_input` gives it."""
    parser.add_argument("by_place", nargs="?", metavar=metavar, help=help)
    parser.add_argument("-i", "--input", metavar=metavar, help=f"the same as {metavar} alone")


def one_input(args: argparse.Namespace) -> str:
    """The input; the command line is wrong if there is none, or are two."""
    found = [given for given in (args.by_place, args.input) if given is not None]
    if len(found) != 1:
        args.usage_error("one input file is needed" if not found else "two input files are given")
    return str(found[0])


def add_output(parser: argparse.ArgumentParser, help: str) -> None:
    """``-o`` and ``--overwrite``."""
    parser.add_argument("-o", "--output", metavar="PATH", help=help)
    add_overwrite(parser)


def add_overwrite(parser: argparse.ArgumentParser) -> None:
    """``--overwrite``."""
    parser.add_argument(
        "--overwrite", "-f", "--force", action="store_true", help="replace the output if it exists"
    )


def add_model(parser: argparse.ArgumentParser, help: str) -> None:
    """``--model``."""
    parser.add_argument("--model", metavar="MODEL.vxm", help=help)


def add_resources(parser: argparse.ArgumentParser, *, device: bool = True) -> None:
    """``--threads`` and ``--device``: neither changes what is written."""
    parser.add_argument(
        "--threads", "-T", type=thread_number, metavar="N",
        help="threads to use (default, and 0: all cores)",
    )  # fmt: skip
    if device:
        parser.add_argument(
            "--device",
            choices=("auto", "cpu", "cuda"),
            default="auto",
            help="where the network runs (default: auto)",
        )


def add_tree(parser: argparse.ArgumentParser, help: str) -> None:
    """``--tree``, which may be repeated."""
    parser.add_argument("--tree", action="append", metavar="NAME", dest="trees", help=help)


def add_record(parser: argparse.ArgumentParser, help: str) -> None:
    """``--record``."""
    parser.add_argument("--record", type=positive_int, metavar="N", help=help)


def add_lanes(parser: argparse.ArgumentParser) -> None:
    """How transformers cut rows into lanes: the archive records it."""
    group = parser.add_argument_group(
        "transformers", "for models trained with --family transformer; else without effect"
    )
    group.add_argument(
        "--lane-tokens", type=positive_int, metavar="N",
        help="bytes that are coded one after the other, knowing those before (default: as trained)",
    )  # fmt: skip
    group.add_argument(
        "--chunk-size", type=positive_int, metavar="N",
        help="bytes after which attention begins anew (default: as trained)",
    )  # fmt: skip
    group.add_argument(
        "--memory", action=argparse.BooleanOptionalAction, default=None,
        help="keep compressed memory of the chunks before (default: as trained)",
    )  # fmt: skip


def add_effort(parser: argparse.ArgumentParser) -> None:
    """``--effort``."""
    parser.add_argument(
        "--effort",
        choices=("fast", "normal", "max"),
        default="normal",
        help="time spent looking for the smallest coding (default: normal)",
    )


def thread_number(text: str) -> int | None:
    """A number of threads, for argparse: 0 is one for each core, as xz and zstd have it."""
    return positive_int(text) if text.strip("0") else None


def add_keep(parser: argparse.ArgumentParser) -> None:
    """``--keep``, ``--rm``, ``--stdout`` and ``--skip-existing``."""
    parser.add_argument(
        "-k", "--keep", action="store_false", dest="rm", default=False,
        help="keep the input (the default)",
    )  # fmt: skip
    parser.add_argument(
        "--rm", action="store_true", dest="rm", default=False,
        help="remove the input once the output has been verified against it, bit for bit",
    )  # fmt: skip
    parser.add_argument(
        "-c", "--stdout", action="store_const", const=STDIO, dest="output",
        help="write to standard output, as '-o -' does",
    )  # fmt: skip
    parser.add_argument(
        "--skip-existing", action="store_true", help="leave inputs alone whose output exists"
    )


def positive_int(text: str) -> int:
    """An integer above zero, for argparse."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def default_output(source: str, suffix: str) -> str:
    """``source`` with another suffix: beside a local file, in the current folder for a URL.

    Examples
    --------
    >>> default_output("data/in.root", ".vxc")
    'data/in.vxc'
    >>> default_output("root://host//store/in.root", ".vxc")
    'in.vxc'
    """
    path = Path(source.rsplit("/", 1)[-1] if "://" in source else source)
    return str(path.with_suffix(suffix))
