"""An extension of griffe for the docstrings of this package, used by the reference."""

from __future__ import annotations

import re
from typing import Any

import griffe

_CHOICES = re.compile(r"^( *[\w, ]+ : )\{(.+)\}$", flags=re.MULTILINE)
_TOGETHER = re.compile(
    r"^(?P<indent> *)(?P<names>\w+(?:, \w+)+)\n(?P<text>(?:(?P=indent) +\S.*(?:\n|\Z))+)",
    flags=re.MULTILINE,
)


def without_braces(docstring: str) -> str:
    """Write choices as words.

    griffe takes the first of ``{"fast", "normal", "max"}`` for the default, which here is in the
    signature alone.
    """

    def words(match: re.Match[str]) -> str:
        *first, last = [choice.strip() for choice in match[2].split(",")]
        return match[1] + (f"{', '.join(first)} or {last}" if first else last)

    return _CHOICES.sub(words, docstring)


def one_by_one(docstring: str) -> str:
    """Describe names that are described together, as ``model, threads``, one by one.

    griffe takes the type and default of the first for those of all.
    """

    def repeated(match: re.Match[str]) -> str:
        text = match["text"].rstrip("\n")
        names = match["names"].split(", ")
        return "".join(f"{match['indent']}{name}\n{text}\n" for name in names)

    return _TOGETHER.sub(repeated, docstring)


class Plain(griffe.Extension):
    """Rewrites the docstrings of all objects."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of an object that was loaded."""
        if obj.docstring is not None:
            obj.docstring.value = one_by_one(without_braces(obj.docstring.value))
