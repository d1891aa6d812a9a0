"""``vortex-hep completion`` and ``vortex-hep man``: what a shell and ``man`` need."""

from __future__ import annotations

import argparse
from typing import Any

from vortex_hep.cli.common.options import add_command

SHELLS = ("bash", "zsh", "tcsh")

COMPLETION = """\
Print what lets a shell complete commands, options and file names. Needs shtab:

  pip install 'vortex-hep[completion]'
"""
COMPLETION_EXAMPLES = """\
  vortex-hep completion bash > ~/.local/share/bash-completion/completions/vortex-hep
  vortex-hep completion zsh > ~/.zfunc/_vortex-hep
"""
MAN = """\
Write manual pages of all commands to a folder, made of what --help says.
"""
MAN_EXAMPLES = """\
  vortex-hep man -o ~/.local/share/man/man1 && man vortex-hep-compress
"""


def register(commands: Any) -> None:
    """Add the sub-commands."""
    parser = add_command(
        commands,
        "completion",
        summary="print completion for a shell",
        description=COMPLETION,
        examples=COMPLETION_EXAMPLES,
    )
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help=", ".join(SHELLS))
    parser.set_defaults(run=_completion)
    parser = add_command(
        commands,
        "man",
        summary="write manual pages",
        description=MAN,
        examples=MAN_EXAMPLES,
    )
    parser.add_argument(
        "-o", "--output", default="man", metavar="DIR", help="folder, which is made (default: man)"
    )
    parser.set_defaults(run=_man)


def _parsers() -> list[argparse.ArgumentParser]:
    from vortex_hep.cli.main import build_parser
    from vortex_hep.cli.vortex_compress import build_parser as compress_parser
    from vortex_hep.cli.vortex_decompress import build_parser as decompress_parser

    return [build_parser(), compress_parser(), decompress_parser()]


def _completion(args: argparse.Namespace) -> int:
    from vortex_hep.core.install import install_hint
    from vortex_hep.errors import UnsupportedFeatureError

    try:
        import shtab
    except ImportError as error:
        raise UnsupportedFeatureError(
            "completion needs shtab, which is not installed", hint=install_hint("completion")
        ) from error
    parser = _parsers()[0]
    _complete_files(parser, shtab.FILE)
    print(shtab.complete(parser, args.shell))
    return 0


def _complete_files(parser: argparse.ArgumentParser, files: Any) -> None:
    """Let arguments that take text be completed with names of files."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                _complete_files(inner, files)
        elif action.nargs != 0 and action.choices is None and action.type is None:
            action.complete = files  # type: ignore[attr-defined]


def _man(args: argparse.Namespace) -> int:
    from pathlib import Path

    from vortex_hep.cli.common.manpages import pages
    from vortex_hep.core import storage
    from vortex_hep.core.storage.atomic import atomic_output
    from vortex_hep.core.text import plural

    storage.make_folder(args.output)
    written = 0
    for parser in _parsers():
        for name, text in pages(parser).items():
            with atomic_output(Path(args.output) / name, overwrite=True) as file:
                file.write(text.encode())
            written += 1
    if not args.quiet:
        print(f"{args.output}: {plural(written, 'manual page')}")
    return 0
