"""Tests of finding links between tables."""

from __future__ import annotations

import numpy as np

from vortex_hep.core.schema import ColumnSpec, TableData
from vortex_hep.nn.event.linking import TableView, choose_links


def view(name: str, counts: list[int], seed: int = 0) -> TableView:
    """A table of directions and momenta, the same for the same seed."""
    rng = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    columns = {
        f"{name}_{what}": rng.normal(0, 2, int(offsets[-1])).astype("<f4")
        for what in ("pt", "eta", "phi")
    }
    specs = tuple(ColumnSpec(column, "<f4") for column in columns)
    return TableView(name, specs, TableData(offsets, dict(columns)), True)


def test_a_table_links_to_one_of_the_same_objects() -> None:
    counts = np.random.default_rng(1).integers(0, 5, 400).tolist()
    links = choose_links([view("Jet", counts), view("GenJet", counts), view("Tau", counts, 9)])
    assert {(name, plan.source) for name, plan in links.items()} in (
        {("Jet", "GenJet")}, {("GenJet", "Jet")},
    )  # fmt: skip


def test_tables_without_rows_have_no_links() -> None:
    counts = np.random.default_rng(1).integers(0, 5, 400).tolist()
    empty = view("Photon", [0] * 400)
    assert choose_links([empty, view("Other", [0] * 400)]) == {}
    links = choose_links([empty, view("Jet", counts), view("GenJet", counts)])
    assert len(links) == 1
    assert "Photon" not in {*links, *(plan.source for plan in links.values())}
