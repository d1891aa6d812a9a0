"""Tests of the examples in docstrings and guides."""

import ast
import importlib
import warnings
from pathlib import Path

import pytest

import vortex_hep
from tests.docs.examples import ROOT, blocks_of, docstring_tests, failures_of, run_page

#: All modules with examples, by their names.
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in Path(vortex_hep.__file__).parent.rglob("*.py")
    if ">>> " in path.read_text()
)
PAGES = [path for path in sorted((ROOT / "docs").rglob("*.md")) if "```python" in path.read_text()]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore:Missing cross-reference index:RuntimeWarning")
@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name, example_folder):
    module = importlib.import_module(name)
    ran = 0
    for test in docstring_tests(module):
        test.globs.setdefault("vortex_hep", vortex_hep)
        failures = failures_of(test)
        assert not failures, failures
        ran += len(test.examples)
    assert ran, "the examples are not where doctest finds them"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore:Missing cross-reference index:RuntimeWarning")
@pytest.mark.parametrize("path", PAGES, ids=[path.name for path in PAGES])
def test_pages(path, example_folder):
    with warnings.catch_warnings():  # what a page sets up does not last
        run_page(path, {"__name__": "__main__"})


def test_the_readme_parses():
    """It names servers and trains for minutes, so it is not run."""
    blocks = blocks_of((ROOT / "README.md").read_text())
    assert len(blocks) >= 2
    for block in blocks:
        ast.parse(block.text)


def test_no_example_is_left_out():
    """What cannot run on every machine is rare, and says why."""
    skipped = [
        path.name
        for path in Path(vortex_hep.__file__).parent.rglob("*.py")
        if "doctest: +SKIP" in path.read_text()
    ]
    assert not skipped
    for path in PAGES:
        for block in blocks_of(path.read_text()):
            assert not block.reason or len(block.reason) > 8
