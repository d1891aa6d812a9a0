"""Executes the tutorial and stores its outputs: ``python docs/tools/notebooks.py``.

Nothing that changes from run to run is stored: no times, no addresses, no execution metadata.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

DOCS = Path(__file__).parents[1]
TUTORIAL = DOCS / "tutorial.ipynb"
#: Seconds that one cell may take on a busy machine.
TIMEOUT = 1800


def executed(path: Path, folder: Path) -> Any:
    """Run a notebook from beginning to end.

    Parameters
    ----------
    path : path
        The notebook.
    folder : path
        Where it runs.

    Returns
    -------
    NotebookNode
        With outputs; the first cell that fails raises.
    """
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=TIMEOUT, kernel_name="python3", resources=resources).execute()
    return notebook


def tidied(notebook: Any) -> Any:
    """Remove what differs between runs."""
    count = 0
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type != "code":
            continue
        count += 1
        cell.execution_count = count
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = count
            if "metadata" in output:
                output.metadata = {}
            if "image/png" in output.get("data", {}):
                output.data.pop("text/plain", None)
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return notebook


def main() -> None:
    """Store the outputs."""
    with tempfile.TemporaryDirectory() as folder:
        notebook = executed(TUTORIAL, Path(folder))
    TUTORIAL.write_text(nbformat.writes(tidied(notebook)).rstrip("\n") + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
