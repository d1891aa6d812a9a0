"""Forms of branches: what is built of them, and what is refused."""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
import pytest

from vortex_hep.core.branches import Branch, Builder, inside_of, pack_branches, unpack_branches
from vortex_hep.core.schema import ColumnSpec, TableData, TableSpec

TABLES = {
    "": TableSpec("", (ColumnSpec("n", "<i4"),)),
    "J": TableSpec("J", (ColumnSpec("J.x", "<f4"), ColumnSpec("J.size", "<u4")), jagged=True),
    "K": TableSpec(
        "K", (ColumnSpec("K.y", "<i2"),), jagged=True, parent="J", inner_counts="J.size"
    ),
    "P": TableSpec("P", (ColumnSpec("p", "|u1", (10,)),), jagged=True),
}
CLUSTER = {
    "": TableData(np.arange(3), {"n": np.array([1, 2], "<i4")}),
    "J": TableData(
        np.array([0, 2, 3]),
        {"J.x": np.array([1, 2, 3], "<f4"), "J.size": np.array([1, 0, 2], "<u4")},
    ),
    "K": TableData(np.array([0, 1, 3]), {"K.y": np.array([7, 8, 9], "<i2")}),
    "P": TableData(
        np.array([0, 1, 2]),
        {"p": np.frombuffer(np.array([(1, 2, 3), (4, 5, 6)], ">i2,>f4,>f4").tobytes(), np.uint8)
         .reshape(2, 10)},
    ),
}  # fmt: skip
SPECS = {c.name: c for t in TABLES.values() for c in t.columns}
TABLE_OF = {c.name: t for t in TABLES.values() for c in t.columns}

FORMS: dict[str, tuple[Any, Any]] = {
    "plain": ("n", [1, 2]),
    "lists": (["list", "J", ["list", "K", "K.y"]], [[[7], []], [[8, 9]]]),
    "records": (
        ["list", "J", ["record", "C", [["a", "J.x"], ["b", ["list", "K", "K.y"]]]]],
        [[{"a": 1, "b": [7]}, {"a": 2, "b": []}], [{"a": 3, "b": [8, 9]}]],
    ),
    "map": (["map", "J", "J.x", "J.size"], [[(1, 1), (2, 0)], [(3, 2)]]),
    "counts": (["counts", "J", "<i8"], [2, 1]),
    "option": (["list", "J", ["pair", ["J.x", "J.size"]]], [[(1, 1), (2, 0)], [(3, 2)]]),
    "packed": (
        ["rows", "P", ["packed", "p", ["record", None, [
            ["i", [">i2", 0]], ["f", ["array", 2, 2, 4, [">f4", 0]]]]]]],
        [{"i": 1, "f": [2, 3]}, {"i": 4, "f": [5, 6]}],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_forms(name):
    form, right = FORMS[name]
    build = Builder(SPECS, TABLES, TABLE_OF)
    assert ak.to_list(build.layout(form, CLUSTER)) == right
    assert len(build.numpy(form, CLUSTER)) == len(right)
    assert set(build.needed(form)) <= set(SPECS)
    branch = Branch("b", "T", "title", form, "a/b", hidden=("n",))
    assert unpack_branches(pack_branches([branch]), SPECS, TABLES) == (branch,)


def test_members():
    form, _ = FORMS["records"]
    assert inside_of(form, ["b"]) == ["list", "J", ["list", "K", "K.y"]]
    assert inside_of(form, ["c"]) is None


@pytest.mark.parametrize(
    "wrong",
    [
        "missing",
        ["list", "missing", "n"],
        ["list", "J"],
        ["what", "J", "n"],
        ["record", None, []],
        ["record", None, ["n"]],
        ["counts", "J", "<f4"],
        ["regular", 0, "n"],
        ["packed", "p", ["array", 0, 1 << 40, 1, [">f4", 0]]],
        [],
        7,
    ],
)
def test_invalid_forms_are_refused(wrong):
    with pytest.raises((ValueError, TypeError)):
        unpack_branches([["b", "", "", wrong, None, 1, []]], SPECS, TABLES)
