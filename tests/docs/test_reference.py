"""Tests of the reference: an entry for every public name, and none for others."""

import ast
import importlib
import re
from pathlib import Path

import pytest

import vortex_hep
from vortex_hep import errors
from vortex_hep.batch import jobs
from vortex_hep.codec.weights import zipnn

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs" / "reference").glob("*.md"))


def entries():
    """Names behind ``:::`` on all pages."""
    return [
        name
        for page in PAGES
        for name in re.findall(r"^::: ([\w.]+)$", page.read_text(), flags=re.MULTILINE)
    ]


def found(name):
    """What a dotted name stands for."""
    parts = name.split(".")
    for k in range(len(parts), 0, -1):
        try:
            thing = importlib.import_module(".".join(parts[:k]))
        except ModuleNotFoundError:
            continue
        for part in parts[k:]:
            thing = getattr(thing, part)
        return thing
    raise AttributeError(name)


@pytest.mark.parametrize("name", entries())
def test_entries_exist_and_are_described(name):
    assert found(name).__doc__


def test_no_entry_is_twice():
    assert len(entries()) == len(set(entries()))


def test_every_public_name_has_its_entry():
    wanted = {f"vortex_hep.{name}" for name in vortex_hep.__all__ if name != "__version__"}
    wanted |= {f"vortex_hep.batch.jobs.{name}" for name in jobs.__all__}
    assert wanted <= set(entries())
    assert zipnn.__name__ in entries()


def test_every_error_has_its_entry():
    tree = ast.parse(Path(errors.__file__).read_text())
    names = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    assert {f"vortex_hep.{name}" for name in names} <= set(entries())


def test_types_for_static_readers_are_those_of_the_table():
    """The reference and type checkers read imports that only they see."""
    tree = ast.parse(Path(vortex_hep.__file__).read_text())
    homes = {
        alias.name: node.module
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert homes == {name: f"vortex_hep.{home}" for name, home in vortex_hep._HOMES.items()}
