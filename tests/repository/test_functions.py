"""Functions are short enough to be read: 80 lines of code at most, their docstring left aside."""

import ast
from pathlib import Path

import pytest

from tests.repository.imports import ROOT

MOST = 80
#: Functions that are longer, each with its reason.
LONGER: dict[str, str] = {}
FOLDERS = ("vortex_hep", "pipelines", "benchmarks")


def lengths(path: Path) -> dict[str, int]:
    """Lines of code of all functions of a file."""
    found: dict[str, int] = {}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            end = node.end_lineno or node.lineno
            lines = end - node.lineno + 1
            if ast.get_docstring(node) is not None:
                lines -= (first.end_lineno or first.lineno) - first.lineno + 1
            found[node.name] = max(lines, found.get(node.name, 0))
    return found


def test_no_function_is_long():
    top = ROOT.parent
    long = {
        f"{path.relative_to(top).as_posix()}::{name}"
        for folder in FOLDERS
        for path in sorted((top / folder).rglob("*.py"))
        for name, lines in lengths(path).items()
        if lines > MOST
    }
    assert long == set(LONGER)


@pytest.mark.parametrize(("body", "lines"), [('    """Say."""\n    return 1', 2), ("    pass", 2)])
def test_docstrings_do_not_count(tmp_path, body, lines):
    path = tmp_path / "x.py"
    path.write_text(f"def f():\n{body}\n")
    assert lengths(path) == {"f": lines}
