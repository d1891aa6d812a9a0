"""Source mapping of coffea's NanoEvents: columns by name, each decoded on first access.

``BaseSourceMapping`` is no public interface of coffea; what is used of it is in this module only.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any, cast

import numpy as np

from vortex_hep.analysis.extras import check_interface, needs
from vortex_hep.archive.view import TreeView
from vortex_hep.core.schema import TableSpec
from vortex_hep.errors import UnsupportedTypeError

with needs("coffea"):
    import awkward as ak
    from coffea.nanoevents.mapping.base import BaseSourceMapping, UUIDOpener
    from coffea.nanoevents.util import quote, tuple_to_key


check_interface(
    BaseSourceMapping,
    [
        "preload_column_source", "_column_source", "__init__(cache)", "__init__(access_log)",
        "__init__(virtual)", "__init__(buffer_cache)",
    ],
    "coffea",
)  # fmt: skip

#: Type of the counters of an RNTuple.
_COUNTER = "ROOT::RNTupleCardinality<std::uint32_t>"


class ArchiveMapping(BaseSourceMapping):  # type: ignore[misc]
    """Buffers of NanoEvents, from the columns of an archive's tree.

    Parameters
    ----------
    tree : TreeView
    fingerprint : str
        Of its archive.
    entries : tuple of (int, int)
        Range of entries.
    access_log : list, optional
        Gets what is touched.
    buffer_cache : mutable mapping, optional
        Gets the buffers.

    Attributes
    ----------
    partition_key : str
        What coffea puts in front of the keys of buffers.
    """

    def __init__(
        self,
        tree: TreeView,
        fingerprint: str,
        entries: tuple[int, int],
        *,
        access_log: list[Any] | None = None,
        buffer_cache: MutableMapping[str, Any] | None = None,
    ) -> None:
        start, stop = entries
        super().__init__(
            UUIDOpener({fingerprint: tree.path}), start, stop, cache={}, access_log=access_log,
            virtual=True, buffer_cache=buffer_cache,
        )  # fmt: skip
        # Under its key the tree stays in the mapping's cache, so that nothing is opened again.
        self.preload_column_source(fingerprint, tree.name, tree)
        self.partition_key: str = tuple_to_key((fingerprint, tree.name, f"{start}-{stop}"))

    def key_root(self) -> str:
        """What keys of the cache of trees begin with."""
        return "ArchiveMapping:"

    @classmethod
    def _extract_base_form(cls, source: TreeView) -> dict[str, Any]:
        """Form of a tree: which columns there are, of which types, and under which keys."""
        names = list(_usable(source))
        record = json.loads(source.empty(names).layout.form.to_json())
        contents = []
        for name, form in zip(names, record["contents"], strict=True):
            branch = source.branch(name)
            about = {"__doc__": branch.title, "typename": branch.typename}
            contents.append(_keyed(form, f"{name},!load", about))
        counters = _counters(source)
        for name in counters:
            form = json.loads(ak.forms.NumpyForm("uint32").to_json())
            contents.append(_keyed(form, f"{name},!load", {"__doc__": "", "typename": _COUNTER}))
        return {
            "class": "RecordArray",
            "contents": contents,
            "fields": [*names, *counters],
            "parameters": {"__doc__": source.name},
            "form_key": None,
            "typenames": {
                **{name: source.branch(name).typename for name in names},
                **dict.fromkeys(counters, _COUNTER),
            },
        }

    def get_column_handle(
        self, columnsource: TreeView, name: str, allow_missing: bool
    ) -> tuple[TreeView, str] | None:
        """Return what :meth:`extract_column` reads; None for what may be missing and is."""
        if allow_missing and name not in columnsource and name not in _counters(columnsource):
            return None
        return columnsource, name

    def extract_column(
        self,
        columnhandle: tuple[TreeView, str] | None,
        start: int,
        stop: int,
        allow_missing: bool,
        **_options: Any,
    ) -> Any:
        """Decode entries of a column.

        Returns
        -------
        ak.Array
            Lists are of offsets, which begin at 0.
        """
        if columnhandle is None:
            absent = ak.index.Index64(np.full(stop - start, -1, np.int64))
            return ak.contents.IndexedOptionArray(
                absent, ak.contents.NumpyArray(np.zeros(0, np.bool_))
            )
        tree, name = columnhandle
        table = None if name in tree else _counters(tree).get(name)
        if table is None:
            array = tree.arrays([name], entry_start=start, entry_stop=stop)[name]
        else:
            column = table.columns[0].name
            offsets = tree.read_converted(start, stop, [column])[table.name].offsets
            array = ak.Array(np.diff(offsets).astype(np.uint32))
        if isinstance(array.layout, ak.contents.ListOffsetArray):
            array = ak.Array(array.layout.to_ListOffsetArray64(True))
        if allow_missing:
            present = ak.index.Index64(np.arange(stop - start, dtype=np.int64))
            array = ak.Array(ak.contents.IndexedOptionArray(present, array.layout))
        return array

    def __len__(self) -> int:
        return cast("int", self._stop - self._start)

    def __iter__(self) -> Iterator[Any]:
        raise UnsupportedTypeError(
            "buffers of NanoEvents cannot be iterated over: access them by key"
        )


def _counters(tree: TreeView) -> dict[str, TableSpec]:
    """Names of counters that NanoEvents looks for and no branch holds, and what they count.

    An RNTuple of NanoAOD holds ``Jet_pt`` and the like in a collection that knows its own size;
    ``nJet`` is a projection of it, which uproot shows as a field.
    """
    return {
        f"n{table.name}": table
        for table in tree.value_tables
        if table.jagged and table.counter is None and table.parent is None
        and f"n{table.name}" not in tree
        and all(c.name.startswith(f"{table.name}_") for c in table.columns)
    }  # fmt: skip


def _usable(tree: TreeView) -> Iterator[str]:
    """Branches that NanoEvents can take, as uproot calls them; it takes the same of a ROOT file."""
    taken: set[str] = set()
    for key in tree:
        name = tree.branch(key).path or key
        if name in taken:
            continue
        taken.add(name)
        form = tree.empty([name]).layout.form.contents[0]
        if "," in name or "!" in name or not _is_named(form):
            warnings.warn(
                f"{tree.path}: NanoEvents cannot take branch {name!r}, whose name, or that of a"
                " member, has ',' or '!'",
                stacklevel=4,
            )
        elif not _is_refused(form):
            yield name


def _is_named(form: Any) -> bool:
    """Whether all members of a form have names that can be in keys of buffers."""
    names = form.fields if form.is_record else []
    inside = form.contents if form.is_record else [getattr(form, "content", None)]
    return not any("," in n or "!" in n for n in names) and all(
        _is_named(f) for f in inside if f is not None
    )


def _is_refused(form: Any) -> bool:
    """Whether a form has what NanoEvents does not know: bytes, or what may be missing."""
    if form.is_option or form.parameter("__array__") == "bytestring":
        return True
    inside = form.contents if form.is_record else [getattr(form, "content", None)]
    return any(_is_refused(f) for f in inside if f is not None)


def _keyed(form: dict[str, Any], key: str, about: Mapping[str, str]) -> dict[str, Any]:
    """Form of a column with the keys under which its buffers are asked for.

    A key is a program for coffea's stack: the branch's name, ``!load``, then one ``!content`` for
    each list; coffea itself adds ``!offsets`` where it wants them.
    """
    own = {k: v for k, v in (form.get("parameters") or {}).items() if k == "__array__"}
    kind = form["class"]
    if kind.startswith("ListOffset"):
        content = _keyed(form["content"], f"{key},!content", about)
        return {**form, "form_key": quote(key), "content": content}
    if kind == "RegularArray":
        content = _keyed(form["content"], f"{key},!content", about)
        return {**form, "parameters": {**own, **about}, "content": content}
    if kind == "RecordArray":
        names = form["fields"] or [str(k) for k in range(len(form["contents"]))]
        contents = [
            _keyed(content, f"{key},{name},!item", {})
            for name, content in zip(names, form["contents"], strict=True)
        ]
        named = {**form, "fields": names, "contents": contents}
        # As coffea does it: the name of a class stays where nothing else is said of a record.
        return {**named, "parameters": {**own, **about} or form.get("parameters") or {}}
    return {**form, "form_key": quote(key), "parameters": {**own, **about}}
