"""Fields of RNTuples as branches (:mod:`vortex_hep.core.branches`), as uproot shows them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vortex_hep.core.branches import Branch, Form
from vortex_hep.readers.root.rntuple.schema import DATA, INDEX, LENGTHS, RColumn, RTable

_LEAF = 0
#: What ROOT's importer of TTrees calls collections whose items are shown as fields of their own.
_IMPORTED = "_collection"


class _UnshownError(ValueError):
    """A form whose columns are not there."""


class _Everything:
    """A key that stands for all fields: to list them takes uproot half a minute for a thousand."""

    def startswith(self, _prefix: str) -> bool:
        return True

    def __eq__(self, _other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0


_EVERYTHING = _Everything()


def describe_fields(
    ntuple: Any, tables: Sequence[RTable], columns: Sequence[RColumn]
) -> tuple[Branch, ...]:
    """Fields at the top that are more than a column.

    Parameters
    ----------
    ntuple : uproot RNTuple
    tables : sequence of RTable
        With their names.
    columns : sequence of RColumn
    """
    whole = {
        (column.name, column.table): None for column in columns if column.role in (DATA, LENGTHS)
    }
    out = []
    if not ntuple.all_fields:  # they are made when they are asked for, and forms need them
        return ()
    for number, record in enumerate(ntuple.field_records):
        name = record.field_name
        plain = (name, 0) in whole and int(record.struct_role) == _LEAF
        if record.parent_field_id != number or plain:
            continue
        try:
            form = ntuple.field_form(number, [_EVERYTHING])
            bound = _bind(json.loads(form.to_json()), tables, columns, ())
        except Exception:  # noqa: BLE001 - what uproot cannot describe stays columns
            continue
        listed = not name.startswith(_IMPORTED)
        out.append(Branch(name, str(record.type_name), record.field_desc, bound, listed=listed))
    return tuple(out)


def _bind(
    form: Mapping[str, Any],
    tables: Sequence[RTable],
    columns: Sequence[RColumn],
    shape: tuple[int, ...],
) -> Form:
    """Form of a field, from its Awkward form, inside arrays of fixed ``shape``."""
    kind, key = form["class"], str(form.get("form_key"))
    if kind == "RegularArray":
        inner = (*shape, int(form["size"]))
        inside = _bind(form["content"], tables, columns, inner)
        plain = isinstance(inside, str)
        return inside if plain else ["regular", int(form["size"]), inside]
    if kind == "RecordArray":
        forms = [_bind(f, tables, columns, shape) for f in form["contents"]]
        if not forms:
            raise _UnshownError(kind)
        if form["fields"] is None:
            return ["pair", forms]
        return ["record", None, [list(pair) for pair in zip(form["fields"], forms, strict=True)]]
    _, _, rest = key.partition("column-")
    number, _, mark = rest.partition("-")
    column = columns[int(number)]
    if kind == "NumpyArray" and mark == "cardinality":
        if column.table or column.role != INDEX:
            raise _UnshownError(key)
        return ["counts", tables[column.target].name, "<i8"]
    if kind == "NumpyArray":
        if column.role != DATA or not _is_alike(column, form["primitive"]):
            raise _UnshownError(key)
        return column.name
    if column.role == LENGTHS and (form.get("parameters") or {}).get("__array__"):
        return column.name
    if column.role != INDEX or shape or kind not in ("ListOffsetArray", "IndexedOptionArray"):
        raise _UnshownError(key)
    inside = _bind(form["content"], tables, columns, ())
    return ["list" if kind == "ListOffsetArray" else "option", tables[column.target].name, inside]


def _is_alike(column: RColumn, primitive: str) -> bool:
    """Whether values of a column are of the type that uproot says."""
    return np.dtype(column.codec.dtype).itemsize <= np.dtype(primitive).itemsize
