"""An extension of griffe for the docstrings of this package, used by the reference."""

from __future__ import annotations

import re
from typing import Any

import griffe

_CHOICES = re.compile(r"^( *[\w, ]+ : )\{(.+)\}$", flags=re.MULTILINE)


def without_braces(docstring: str) -> str:
    """Write choices as words.

    griffe takes the first of ``{"fast", "normal", "max"}`` for the default, which here is in the
    signature alone.

    """

    def words(match: re.Match[str]) -> str:
        *first, last = [choice.strip() for choice in match[2].split(",")]
        return match[1] + (f"{', '.join(first)} or {last}" if first else last)

    return _CHOICES.sub(words, docstring)


class Choices(griffe.Extension):
    """Rewrites the docstrings of all objects."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of an object that was loaded."""
        if obj.docstring is not None:
            obj.docstring.value = without_braces(obj.docstring.value)
