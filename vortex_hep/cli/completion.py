"""``vortex-hep completion``: what lets a shell complete commands."""

from __future__ import annotations

import argparse
from typing import Any

from vortex_hep.cli.common.options import add_command
from vortex_hep.core.install import install_hint

SHELLS = ("bash", "zsh", "tcsh")

DESCRIPTION = f"""\
Print what lets a shell complete commands, options and file names. Needs shtab:

  {install_hint("completion")}
"""

EXAMPLES = """\
  vortex-hep completion bash > ~/.local/share/bash-completion/completions/vortex-hep
  vortex-hep completion zsh > ~/.zfunc/_vortex-hep
"""


def register(commands: Any) -> None:
    """Add the sub-command."""
    parser = add_command(
        commands,
        "completion",
        summary="print completion for a shell",
        description=DESCRIPTION,
        examples=EXAMPLES,
    )
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help=", ".join(SHELLS))
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the completion."""
    from vortex_hep.errors import UnsupportedFeatureError

    try:
        import shtab
    except ImportError as error:
        raise UnsupportedFeatureError(
            "completion needs shtab, which is not installed", hint=install_hint("completion")
        ) from error
    parser = args.whole
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
