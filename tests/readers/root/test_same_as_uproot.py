"""Every branch of every file at hand is what uproot makes of it: values, types and errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import awkward as ak
import pytest
import uproot

from vortex_hep.archive.view import TreeView
from vortex_hep.errors import UnsupportedTypeError
from vortex_hep.readers import open_source

#: Entries that are compared: enough for several baskets of most files.
ENTRIES = 40
#: Files that take uproot more than ten seconds.
LARGE = {
    "real/alice/AliESDs_20200201_v0.root",
    "real/nanoaod/nano_dy_rntuple.root",
    "real/nanoaod/nano_tt_v15.root",
    "real/root/PHYSLITE_example.root",
    "generated/alice/AO2D_train.root",
    "generated/nanoaod/ttbar_train.root",
}
#: Ends of branches that uproot reads wrongly, and how.
FAULTS_OF_UPROOT = {
    # An object that is referred to has six bytes here, which uproot takes for other items.
    "fBits": "TObject::fBits of referenced objects",
    # Members of a list one after the other (kStreamedMemberWise) are taken for whole items.
    "METAssoc_AnalysisMETAux.jetLink": "a list that is streamed by members",
    # Lengths are those of items, not of rows of several.
    "Kinks.fAngle[3]": "lists of arrays of Double32_t",
    "Kinks.fTPCdensity[2][2]": "lists of arrays of Double32_t",
}


class SourceView(TreeView):
    """The tree of an opened file as users see the tree of an archive."""

    def __init__(self, source: Any) -> None:
        self._source = source
        branches = getattr(source, "branch_forms", ())
        super().__init__(source.name, "", source.num_entries, source.tables, branches)

    def cluster_ranges(self, target_bytes: int) -> list[tuple[int, int]]:
        ranges: list[tuple[int, int]] = self._source.cluster_ranges(target_bytes)
        return ranges

    def raw_bytes(self, names: Any) -> int:
        return len(names)

    def cost(self, *, filter_name: Any = None) -> dict[str, int]:
        return {}

    def read(self, start: int, stop: int, columns: Any = None) -> Any:
        return self._source.read(start, stop, columns)


def _files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.root"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test for every ROOT file of the data folder, and of the folder of cases beside it."""
    if "root_file" not in metafunc.fixturenames:
        return
    folder = _data(metafunc.config)
    if folder is None:
        metafunc.parametrize("root_file", [])
        return
    names, cases = _files(folder), sorted((folder.parent / "cases").glob("*.root"))
    metafunc.parametrize(
        "root_file",
        [
            *(
                pytest.param(folder / n, id=n, marks=[pytest.mark.slow] if n in LARGE else [])
                for n in names
            ),
            *(pytest.param(path, id=path.name) for path in cases),
        ],
    )


def _data(config: pytest.Config) -> Path | None:
    from tests.conftest import _shared_data

    return _shared_data(config)


def _outcome(read: Any) -> tuple[Any, Exception | None]:
    try:
        return read(), None
    except Exception as error:  # noqa: BLE001 - uproot's errors are of any kind
        return None, error


def _difference(view: TreeView, name: str, branch: Any) -> str | None:
    """How a branch differs from what uproot has; None if it does not."""
    ours, refused = _outcome(lambda: view[name].array(entry_stop=ENTRIES))
    right, wrong = _outcome(lambda: branch.array(entry_stop=ENTRIES))
    if wrong is not None:
        # We may know more, but what we do not know is refused by name.
        if refused is None or isinstance(refused, UnsupportedTypeError):
            return None
        return f"{name}: {refused!r} where uproot has {type(wrong).__name__}"
    if refused is not None:
        return f"{name} ({branch.typename}): {refused!r}"
    if name.endswith(tuple(FAULTS_OF_UPROOT)):
        return None
    if str(ours.type) != str(right.type):
        return f"{name}: type {ours.type}, not {right.type}"
    if not ak.array_equal(ours, right, equal_nan=True):
        return f"{name}: {ours.tolist()!s:.80}, not {right.tolist()!s:.80}"
    if view[name].typename != str(branch.typename):
        return f"{name}: called {view[name].typename}, not {branch.typename}"
    return None


def _compare(path: Path) -> list[str]:
    out: list[str] = []
    with open_source(path) as source, uproot.open(path) as file:
        for name, tree in getattr(source, "sources", {}).items():
            view = SourceView(tree)
            seen: set[str] = set()
            for key, branch in file[name].iteritems():
                if key not in seen:
                    seen.add(key)
                    difference = _difference(view, key, branch)
                    out += [] if difference is None else [difference]
    return out


@pytest.mark.filterwarnings("ignore")
def test_every_branch(root_file):
    assert _compare(root_file) == []
