"""Running parsed commands, and exit codes of failures."""

from __future__ import annotations

import argparse
import os
import sys
import traceback

from vortex_hep.errors import VerificationError, VortexError

EXIT_ERROR = 1
EXIT_DIFFERENT = 3
EXIT_DIFFERENT_OUTSIDE = 4
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141


def run_parsed(arguments: argparse.Namespace) -> int:
    """Run a command.

    Parameters
    ----------
    arguments : argparse.Namespace
        What a parser made; ``run`` is called with it, ``program`` is the name by which the command
        speaks, and with ``debug`` a failure shows where it came from.

    Returns
    -------
    int
        The exit code.
    """
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _failed(arguments, "interrupted", EXIT_INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output has gone ('vortex-hep info x.vxc | head'): not an error, but
        # Python would complain again when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    except (VortexError, OSError) as error:
        return _failed(arguments, f"error: {error}", exit_code_of(error))
    except MemoryError:
        return _failed(arguments, "error: out of memory", EXIT_ERROR)
    return code


class OutsideError(VerificationError):
    """Two files are equal in every branch, and differ in what is in none."""


def exit_code_of(error: BaseException) -> int:
    """The exit code that an error means."""
    if isinstance(error, OutsideError):
        return EXIT_DIFFERENT_OUTSIDE
    return EXIT_DIFFERENT if isinstance(error, VerificationError) else EXIT_ERROR


def say(arguments: argparse.Namespace, text: str, *, output: str = "") -> None:
    """Tell the user what was done: on stdout, unless data go there."""
    if not arguments.quiet:
        print(text, file=sys.stderr if output == "-" else sys.stdout, flush=True)


def note(arguments: argparse.Namespace, message: str) -> None:
    """Tell the user, on stderr, what is worth knowing and no failure; ``--quiet`` hides it."""
    if not arguments.quiet:
        print(f"{arguments.program}: note: {message}", file=sys.stderr, flush=True)


def _failed(arguments: argparse.Namespace, message: str, code: int) -> int:
    if arguments.debug:
        traceback.print_exc()
    print(f"{arguments.program}: {' '.join(message.split())}", file=sys.stderr)
    return code
