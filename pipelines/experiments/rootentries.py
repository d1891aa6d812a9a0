"""Cutting ROOT files: the first entries of a tree, for trials only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vortex_hep.errors import UnsupportedTypeError

#: Entries read and written at a time.
_BLOCK = 5000


def count_entries(path: Path, tree: str) -> int:
    """Entries of a tree."""
    import uproot

    with uproot.open(path) as file:
        return int(file[tree].num_entries)


def cut_entries(source: Path, target: Path, tree: str, start: int, stop: int) -> None:
    """Write a range of the entries of one tree; other objects of the file are left out.

    Values keep their types. Counters of collections are written as int32, as uproot does it, and
    titles are lost: figures are to be quoted of whole files.

    Parameters
    ----------
    source, target : Path
    tree : str
        Of scalars, fixed arrays and lists of numbers, as in NanoAOD.
    start, stop : int

    Raises
    ------
    UnsupportedTypeError
        The tree has branches of another kind.
    """
    import uproot

    with (
        uproot.open(source) as old,
        uproot.recreate(target, compression=uproot.LZMA(9)) as new,
    ):
        written = False
        for at in range(start, stop, _BLOCK):
            arrays = old[tree].arrays(entry_start=at, entry_stop=min(stop, at + _BLOCK))
            block = _columns(arrays, source, tree)
            if not written:
                types = {k: v.dtype if hasattr(v, "dtype") else v.type for k, v in block.items()}
                new.mktree(tree, {k: _item_type(v) for k, v in types.items()})
                written = True
            new[tree].extend(block)


def _item_type(kind: Any) -> Any:
    """The type of an entry: what a column's type says without its length."""
    return getattr(kind, "content", kind)


def _columns(arrays: Any, source: Path, tree: str) -> dict[str, Any]:
    """Columns as uproot writes them: numbers by name, lists of one counter together."""
    import awkward as ak

    lists = [name for name in arrays.fields if _is_list(arrays[name], name, source, tree)]
    collections: dict[str, list[str]] = {}
    for name in lists:
        owner = name.partition("_")[0]
        together = f"n{owner}" in arrays.fields and name != owner
        collections.setdefault(owner if together else name, []).append(name)
    counters = {f"n{owner}" for owner in collections}
    columns: dict[str, Any] = {
        name: ak.to_numpy(arrays[name])
        for name in arrays.fields
        if name not in lists and name not in counters
    }
    for owner, names in collections.items():
        if names == [owner]:
            columns[owner] = arrays[owner]
        else:
            columns[owner] = ak.zip({name[len(owner) + 1 :]: arrays[name] for name in names})
    return columns


def _is_list(array: Any, name: str, source: Path, tree: str) -> bool:
    """Whether a column has lists of numbers; raise where it has neither lists nor numbers."""
    import awkward as ak

    kind = array.type.content
    depth = 0
    while isinstance(kind, (ak.types.ListType, ak.types.RegularType)):
        depth += isinstance(kind, ak.types.ListType)
        kind = kind.content
    if not isinstance(kind, ak.types.NumpyType) or depth > 1 or _is_text(array.type.content):
        raise UnsupportedTypeError(
            f"cannot be cut: {array.type.content} is neither a number nor a list of numbers",
            path=str(source), tree=tree, branch=name, hint="leave --limit-bytes out",
        )  # fmt: skip
    return depth == 1


def _is_text(kind: Any) -> bool:
    """Whether items are strings, which look like lists of bytes."""
    return getattr(kind, "parameters", {}).get("__array__") in ("string", "bytestring")
