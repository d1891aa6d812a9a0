"""Sizes of the contents of an archive, for users."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from vortex_hep.core.schema import VARBYTES, TableSpec
from vortex_hep.core.text import fault_of
from vortex_hep.errors import CorruptionError

if TYPE_CHECKING:
    from vortex_hep.archive.tree import ArchiveTree


def tree_info(tree: ArchiveTree, stored_sizes: Any) -> dict[str, Any]:
    """Sizes of a tree's tables and columns.

    Parameters
    ----------
    tree : ArchiveTree
    stored_sizes : uint64 array
        Of the archive's chunks.

    Returns
    -------
    dict
        ``name, entries`` and ``tables``, each with ``name, rows, raw_bytes, stored_bytes`` and
        ``columns`` (``name, typename, coder, raw_bytes, stored_bytes``).
    """
    coders = tree.document.get("coders", [])
    tables: list[dict[str, Any]] = []
    for spec, d in zip(tree.tables, tree.document["tables"], strict=True):
        places = [k for k, p in enumerate(tree.plans) if p.table == spec.name]
        stored = sum(int(stored_sizes[ids[k]]) for k in places for _, _, ids in tree.clusters)
        try:
            columns: list[dict[str, Any]] = [
                {
                    "name": c.name,
                    "typename": c.typename,
                    "coder": str(coders[k]) if 0 <= k < len(coders) else "none",
                    "raw_bytes": int(raw),
                    "stored_bytes": int(size),
                }
                for c, k, size, raw in zip(
                    spec.columns, d["coder"], d["stored"], d["raw"], strict=True
                )
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptionError(
                f"invalid 'coder', 'stored' or 'raw' of table {spec.name!r}: {fault_of(error)}",
                tree=tree.name,
            ) from error
        tables.append(
            {
                "name": spec.name,
                "rows": _rows(spec, columns),
                "raw_bytes": sum(c["raw_bytes"] for c in columns),
                "stored_bytes": stored,
                "columns": columns,
            }
        )
    return {"name": tree.name, "entries": tree.num_entries, "tables": tables}


def _rows(spec: TableSpec, columns: list[dict[str, Any]]) -> int:
    """Rows of a table, from the size of a column of fixed width; 0 where there is none."""
    for c, sizes in zip(spec.columns, columns, strict=True):
        if c.dtype != VARBYTES:
            width = int(np.prod(c.inner, dtype=np.int64)) * np.dtype(c.dtype).itemsize
            if width:
                return int(sizes["raw_bytes"]) // width
    return 0
