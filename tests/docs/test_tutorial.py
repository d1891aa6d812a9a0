"""The tutorial runs, trains a network, and its stored outputs are those of its code."""

import importlib.util

import nbformat
import pytest

from tests.docs.examples import ROOT

TUTORIAL = ROOT / "docs" / "tutorial.ipynb"


def tool(name):
    """A script of the documentation, as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def text_of(notebook):
    outputs = [o for cell in code_cells(notebook) for o in cell.outputs]
    return "".join(o.get("text", "") for o in outputs if o.output_type == "stream")


def kinds_of(cell):
    """What a cell shows, without the figures in it."""
    return [
        (o.output_type, o.get("name"), sorted(o.get("data", {}).keys() - {"text/plain"}))
        for o in cell.outputs
    ]


@pytest.fixture(scope="module")
def stored():
    return nbformat.read(TUTORIAL, as_version=4)


def test_outputs_are_stored(stored):
    cells = code_cells(stored)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert sum("image/png" in o.get("data", {}) for c in cells for o in c.outputs) == 2
    assert "branches are equal, bit for bit" in text_of(stored)
    assert str(ROOT) not in TUTORIAL.read_text()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_the_tutorial_runs(stored, tmp_path):
    notebooks = tool("notebooks")
    run = notebooks.tidied(notebooks.executed(TUTORIAL, tmp_path))
    text = text_of(run)
    assert "sound and equal: True" in text
    assert "came back, bit for bit" in text
    assert "network" in text, "no column was coded by the network"
    for now, before in zip(code_cells(run), code_cells(stored), strict=True):
        assert kinds_of(now) == kinds_of(before), now.source
        assert not [o for o in now.outputs if o.get("name") == "stderr"], now.source
