"""Tests of the guide's notebook: it runs from beginning to end."""

import ast
import importlib
import json
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import vortex_hep
from tests.waiting import PATIENCE

DOCS = Path(__file__).parents[2] / "docs"
NOTEBOOK = DOCS / "dimuon.ipynb"
GUIDE = (DOCS / "analysis.md").read_text()


def test_the_guide_names_what_exists():
    named = set(re.findall(r"`vortex_hep\.([\w.]+)", GUIDE))
    assert len(named) > 8
    for name in named:
        parts = name.split(".")
        found = vortex_hep
        for k, part in enumerate(parts):
            if not hasattr(found, part):
                importlib.import_module(".".join(["vortex_hep", *parts[: k + 1]]))
            found = getattr(found, part)


def test_code_of_the_guide_parses():
    blocks = re.findall(r"```python\n(.*?)```", GUIDE, flags=re.DOTALL)
    assert len(blocks) > 5
    for block in blocks:
        ast.parse(block)


def test_no_output_is_kept():
    for cell in json.loads(NOTEBOOK.read_text())["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_the_notebook_runs(tmp_path):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(
        notebook, timeout=int(PATIENCE), kernel_name="python3", resources=resources
    ).execute()
    outputs = [o for c in notebook.cells if c.cell_type == "code" for o in c.outputs]
    assert any("image/png" in o.get("data", {}) for o in outputs)
    text = "".join(o.get("text", "") for o in outputs)
    assert "branches are equal, bit for bit" in text
    assert "dimuon.vxc: " in text
    assert not [o for o in outputs if o.output_type == "stream" and o.name == "stderr"]
