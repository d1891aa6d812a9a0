"""Manual pages, made of the parsers of commands."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from vortex_hep.core.version import __version__


def pages(parser: argparse.ArgumentParser) -> dict[str, str]:
    """Manual pages of a command and of all under it.

    Parameters
    ----------
    parser : argparse.ArgumentParser

    Returns
    -------
    dict of str to str
        Pages in roff, by the names of their files: ``vortex-hep-compress.1`` and the like.
    """
    summary = (parser.description or "").strip().splitlines()[0].rstrip(".")
    return dict(_pages(parser, summary, []))


def _pages(
    parser: argparse.ArgumentParser, summary: str, above: list[str]
) -> Iterator[tuple[str, str]]:
    name = parser.prog.replace(" ", "-")
    below = list(_commands(parser))
    others = [*above, *(p.prog.replace(" ", "-") for p, _ in below)]
    yield f"{name}.1", _page(parser, name, summary, others)
    for inner, text in below:
        yield from _pages(inner, text, [name])


def _commands(parser: argparse.ArgumentParser) -> Iterator[tuple[argparse.ArgumentParser, str]]:
    """Parsers of the commands under one, each with its summary."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            summaries = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, inner in action.choices.items():
                yield inner, summaries.get(name, "")


def _page(parser: argparse.ArgumentParser, name: str, summary: str, others: list[str]) -> str:
    usage = " ".join(parser.format_usage().removeprefix("usage: ").split())
    lines = [
        f'.TH "{name.upper()}" 1 "" "vortex_hep {__version__}" "User Commands"',
        ".SH NAME", f"{_text(name)} \\- {_text(summary)}",
        ".SH SYNOPSIS", _text(usage),
        ".SH DESCRIPTION", *_paragraphs(parser.description or ""),
        ".SH OPTIONS",
    ]  # fmt: skip
    for action in parser._actions:
        lines += _option(action)
    heading = "NOTES"
    for part in (parser.epilog or "").strip().split("\n\n"):
        first, *rest = part.splitlines() or [""]
        if first.endswith(":") and rest:
            heading, part = first[:-1].upper(), "\n".join(rest)
        lines += [f".SH {heading}", ".nf", *map(_line, part.splitlines()), ".fi"]
        heading = "NOTES"
    if others:
        lines += [".SH SEE ALSO", _text(", ".join(f"{other}(1)" for other in others))]
    return "\n".join(lines) + "\n"


def _option(action: argparse.Action) -> list[str]:
    if action.help is argparse.SUPPRESS:
        return []
    if isinstance(action, argparse._SubParsersAction):
        out = []
        for choice in action._choices_actions:
            out += [".TP", f"\\fB{_text(choice.dest)}\\fR", _text(choice.help or "")]
        return out
    value = action.metavar or (
        "{" + ",".join(map(str, action.choices)) + "}" if action.choices else action.dest.upper()
    )
    shown = value if isinstance(value, str) else " ".join(value)
    takes = "" if action.nargs == 0 else f" \\fI{_text(shown)}\\fR"
    names = ", ".join(f"\\fB{_text(option)}\\fR{takes}" for option in action.option_strings)
    help_text = (action.help or "").replace("%%", "%")
    return [".TP", names or f"\\fI{_text(shown)}\\fR", _line(help_text)]


def _paragraphs(text: str) -> list[str]:
    out: list[str] = []
    for part in text.strip().split("\n\n"):
        out += [".PP", *(map(_line, part.splitlines()))]
    return out


def _line(text: str) -> str:
    """A line of text, which no request of roff begins with."""
    text = _text(text)
    return f"\\&{text}" if text[:1] in (".", "'") else text


def _text(text: str) -> str:
    return text.replace("\\", "\\e").replace("-", "\\-")
