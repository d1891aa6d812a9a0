"""Files and runner of the examples in docstrings and guides."""

from __future__ import annotations

import ast
import doctest
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
#: What an example may leave to chance: addresses, and spaces that numpy arranges.
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE | doctest.REPORT_NDIFF
#: Before a block that is not to be run, with the reason.
NOT_RUN = re.compile(r"<!-- not run: (.+) -->")


class Block(NamedTuple):
    """Python code in a page: its text, the number of its first line, and why it is not run."""

    text: str
    line: int
    reason: str


def blocks_of(page: str) -> list[Block]:
    """All blocks of Python code in a page, those within lists too."""
    out: list[Block] = []
    lines = page.splitlines()
    at = 0
    while at < len(lines):
        fence = re.fullmatch(r"( *)```python", lines[at])
        if fence is None:
            at += 1
            continue
        end = lines.index(f"{fence[1]}```", at)
        text = "\n".join(line.removeprefix(fence[1]) for line in lines[at + 1 : end])
        before = next((line for line in reversed(lines[:at]) if line.strip()), "")
        mark = NOT_RUN.fullmatch(before.strip())
        out.append(Block(text, at + 2, mark[1] if mark else ""))
        at = end + 1
    return out


def failures_of(test: doctest.DocTest) -> str:
    """Run the examples of a docstring; what failed, as text."""
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    said: list[str] = []
    runner.run(test, out=said.append, clear_globs=False)
    return "".join(said)


def docstring_tests(module: Any) -> Iterator[doctest.DocTest]:
    """The examples of a module, each docstring's by itself, with the module's own names."""
    for test in doctest.DocTestFinder(exclude_empty=True).find(module):
        if test.examples:
            yield test


def run_page(path: Path, names: dict[str, Any]) -> None:
    """Run a page's blocks, one after the other, in one namespace; parse those not to be run."""
    for block in blocks_of(path.read_text()):
        place = f"{path.name}:{block.line}"
        if ">>> " in block.text:
            parser = doctest.DocTestParser()
            test = parser.get_doctest(block.text, names, place, str(path), block.line - 1)
            failures = "" if block.reason else failures_of(test)
            assert not failures, failures
            names.update(test.globs)
            continue
        tree = ast.parse("\n" * (block.line - 1) + block.text, str(path))
        if not block.reason:
            exec(compile(tree, str(path), "exec"), names)
