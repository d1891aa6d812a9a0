"""NanoAOD's conventions: collections by name, counters, and branches that index collections."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_INDEX = re.compile(r"^(?P<target>.+?)Idx(?:Mother)?\d*$")


def collection_name(counter: str, columns: Sequence[str]) -> str:
    """Name of the collection whose rows ``counter`` counts.

    Parameters
    ----------
    counter : str
        Name of the counter branch, such as ``nJet``.
    columns : sequence of str
        Names of the branches it counts.

    Examples
    --------
    >>> collection_name("nJet", ["Jet_pt", "Jet_eta"])
    'Jet'
    >>> collection_name("nLHEPdfWeight", ["LHEPdfWeight"])
    'LHEPdfWeight'
    >>> collection_name("Muon_size", ["Muon.PT", "Muon.Eta"])
    'Muon'
    """
    if counter.startswith("n") and len(counter) > 1:
        name = counter[1:]
        if all(column == name or column.startswith(name + "_") for column in columns):
            return name
    prefixes = {re.split(r"[_.]", column)[0] for column in columns}
    if len(columns) > 1 and len(prefixes) == 1 and "" not in prefixes:
        return prefixes.pop()
    if counter.startswith("n") and counter[1:2].isalpha():
        return counter[1:]
    return counter.rstrip("_") or counter


def link_target(name: str, table: str, tables: Iterable[str]) -> str | None:
    """Table whose rows the index branch ``name`` refers to, by NanoAOD's naming rule.

    Examples
    --------
    >>> link_target("Electron_jetIdx", "Electron", ["Jet", "Electron"])
    'Jet'
    >>> link_target("GenPart_genPartIdxMother", "GenPart", ["GenPart"])
    'GenPart'
    >>> link_target("FatJet_subJetIdx1", "FatJet", ["FatJet", "SubJet"])
    'SubJet'
    """
    field = name[len(table) + 1 :] if table and name.startswith(table + "_") else name
    match = _INDEX.match(field.rsplit("_", 1)[-1])
    if match is None:
        return None
    target = match["target"].lower()
    for candidate in tables:
        if candidate and candidate.lower() == target:
            return candidate
    return None
