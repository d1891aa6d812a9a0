"""Sizes of what an archive holds, for users."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from vortex_hep.archive_tree import ArchiveTree


def _tree_info(tree: ArchiveTree, chunks: Any) -> dict[str, Any]:
    document = tree._document
    coders = document.get("coders", [])
    place = {p.name: k for k, p in enumerate(tree.plans)}
    tables = []
    for spec, d in zip(tree.tables, document["tables"], strict=True):
        plans = [p for p in tree.plans if p.table == spec.name]
        stored = sum(
            int(chunks[ids[place[p.name]]]["stored_size"])
            for p in plans
            for _, _, ids in tree.clusters
        )
        columns = [
            {
                "name": c.name,
                "typename": c.typename,
                "coder": coders[k] if 0 <= k < len(coders) else "none",
                "raw_bytes": raw,
                "stored_bytes": size,
            }
            for c, k, size, raw in zip(spec.columns, d["coder"], d["stored"], d["raw"], strict=True)
        ]
        first = next((c for c in spec.columns if c.dtype != "bytes"), None)
        rows = 0
        if first is not None and columns:
            width = int(np.prod(first.inner, dtype=np.int64)) * np.dtype(first.dtype).itemsize
            raw = next(c["raw_bytes"] for c in columns if c["name"] == first.name)
            rows = raw // max(1, width)
        tables.append(
            {
                "name": spec.name,
                "rows": rows,
                "raw_bytes": sum(c["raw_bytes"] for c in columns),
                "stored_bytes": stored,
                "columns": columns,
            }
        )
    return {"name": tree.name, "entries": tree.num_entries, "tables": tables}
