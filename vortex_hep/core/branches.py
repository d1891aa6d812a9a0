"""Branches as users know them: lists and records, made of the columns of tables.

Most branches are one column. What is more, such as an object, a list of objects or a map, is
described by a *form*:

``"NAME"``
    values of a column;
``["list", TABLE, FORM]``
    lists of the rows of a table;
``["option", TABLE, FORM]``
    the row of a table, or nothing;
``["regular", N, FORM]``
    arrays of N items, of columns whose rows are as many;
``["map", TABLE, FORM, FORM]``
    such lists of keys and values;
``["record", CLASS, [[FIELD, FORM], ...]]``
    a record, of a class or of none (null);
``["pair", [FORM, ...]]``
    a record whose fields have no names;
``["counts", TABLE, DTYPE]``
    how many rows of a table each entry has;
``["packed", COLUMN, ITEM]``
    rows of bytes that hold items as C++ lays them out: ``[">f4", AT]``, a number AT so many bytes
    from the beginning; ``["record", CLASS, [[FIELD, ITEM], ...]]``; or ``["array", AT, N, SIZE,
    ITEM]``, N items of SIZE bytes;
``["rows", TABLE, FORM]``
    of a branch that holds fewer entries than its tree: those that it has;
``["unknown", REASON]``
    nothing: what is stored is not understood.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vortex_hep.core import arrays
from vortex_hep.core.schema import MAX_COMPONENTS, Array, Cluster, ColumnSpec, TableSpec, VarBytes
from vortex_hep.errors import CorruptionError, UnsupportedTypeError

Form = str | list[Any]

_LIST, _MAP, _RECORD, _PAIR, _COUNTS, _ROWS = "list", "map", "record", "pair", "counts", "rows"
_OPTION, _REGULAR = "option", "regular"
_UNKNOWN, _PACKED, _ARRAY = "unknown", "packed", "array"
#: Items of a form of each kind, and where the first of its forms is.
_SIZES = {
    _LIST: 3,
    _MAP: 4,
    _RECORD: 3,
    _PAIR: 2,
    _COUNTS: 3,
    _ROWS: 3,
    _UNKNOWN: 2,
    _PACKED: 3,
    _OPTION: 3,
    _REGULAR: 3,
}
_WITH_TABLE = (_LIST, _MAP, _COUNTS, _ROWS, _OPTION)
#: Depth of forms that is still read.
_DEEPEST = 64


@dataclass(frozen=True)
class Branch:
    """A branch as users know it.

    Parameters
    ----------
    name : str
        Unique in its tree.
    typename, title : str
        As uproot or ROOT has them.
    form : str or list
    path : str
        What uproot calls it, with the branches that it is in; empty where that is its name.
    listed : bool
        Whether it is among the keys of the tree.
    hidden : tuple of str
        Columns that are not among the keys, though the form does not name them.
    """

    name: str
    typename: str
    title: str
    form: Form
    path: str = ""
    listed: bool = True
    hidden: tuple[str, ...] = ()


def children(form: Form) -> list[Form]:
    """Forms inside a form."""
    if isinstance(form, str) or form[0] in (_COUNTS, _UNKNOWN):
        return []
    if form[0] == _PACKED:
        return [form[1]]
    if form[0] == _RECORD:
        return [inside for _, inside in form[2]]
    return list(form[1]) if form[0] == _PAIR else list(form[2:])


def columns_of(form: Form) -> Iterator[str]:
    """Columns that a form names."""
    if isinstance(form, str):
        yield form
    for inside in children(form):
        yield from columns_of(inside)


def tables_of(form: Form) -> Iterator[str]:
    """Tables that a form names."""
    if not isinstance(form, str) and form[0] in _WITH_TABLE:
        yield form[1]
    for inside in children(form):
        yield from tables_of(inside)


def unknown_reason(form: Form) -> str | None:
    """Why a branch cannot be read; None if it can."""
    return str(form[1]) if not isinstance(form, str) and form[0] == _UNKNOWN else None


def inside_of(form: Form, fields: Sequence[str]) -> Form | None:
    """Form of a member of the records in a form; None where there is no such member."""
    if not fields:
        return form
    if isinstance(form, str):
        return None
    if form[0] in (_LIST, _OPTION, _ROWS, _REGULAR):
        found = inside_of(form[2], fields)
        return None if found is None else [*form[:2], found]
    if form[0] == _RECORD:
        known = dict(form[2])
        for k in range(len(fields), 0, -1):
            name = ".".join(fields[:k])
            if name in known:
                return inside_of(known[name], fields[k:])
    return None


def is_short(form: Form) -> bool:
    """Whether a branch may hold fewer entries than its tree."""
    return not isinstance(form, str) and form[0] == _ROWS


def renamed(form: Form, column: Any, table: Any) -> Form:
    """Apply functions to the names of columns and of tables in a form."""
    if isinstance(form, str):
        return str(column(form))
    kind = form[0]
    if kind == _UNKNOWN:
        return form
    if kind == _PACKED:
        return [kind, column(form[1]), form[2]]
    if kind == _COUNTS:
        return [kind, table(form[1]), form[2]]
    if kind == _RECORD:
        return [kind, form[1], [[field, renamed(f, column, table)] for field, f in form[2]]]
    if kind == _REGULAR:
        return [kind, form[1], renamed(form[2], column, table)]
    if kind == _PAIR:
        return [kind, [renamed(f, column, table) for f in form[1]]]
    return [kind, table(form[1]), *(renamed(f, column, table) for f in form[2:])]


def check_form(form: Any, columns: Mapping[str, Any], tables: Mapping[str, Any]) -> None:
    """Check a form of which nothing is known.

    Raises
    ------
    ValueError
        It is invalid.
    """
    _check_shape(form, 0)
    missing = [n for n in columns_of(form) if n not in columns]
    missing += [n for n in tables_of(form) if n not in tables]
    if missing:
        msg = f"a form names {missing[0]!r}, which is missing"
        raise ValueError(msg)


def _check_shape(form: Any, depth: int) -> None:
    if isinstance(form, str):
        return
    valid = isinstance(form, list) and form and depth < _DEEPEST
    valid = valid and isinstance(form[0], str) and _SIZES.get(form[0]) == len(form)
    if valid and form[0] in (*_WITH_TABLE, _UNKNOWN):
        valid = isinstance(form[1], str)
    elif valid and form[0] == _RECORD:
        valid = isinstance(form[1], (str, type(None))) and isinstance(form[2], list)
        valid = valid and bool(form[2]) and all(
            isinstance(f, list) and len(f) == 2 and isinstance(f[0], str)
            for f in form[2]
        )  # fmt: skip
    elif valid and form[0] == _PACKED:
        valid = isinstance(form[1], str)
        _check_item(form[2], depth + 1)
    elif valid and form[0] == _REGULAR:
        valid = isinstance(form[1], int) and 0 < form[1] <= MAX_COMPONENTS
    elif valid:
        valid = isinstance(form[1], list) and bool(form[1])
    if valid and form[0] == _COUNTS:
        valid = form[2] in ("<i4", "<u4", "<i8", "<u8")
    if not valid:
        msg = f"unknown form of a branch: {str(form)[:60]}"
        raise ValueError(msg)
    for inside in children(form):
        _check_shape(inside, depth + 1)


def _check_item(item: Any, depth: int) -> None:
    """Check an item of packed rows; that rows are long enough is checked where they are read."""
    valid = isinstance(item, list) and len(item) > 1 and depth < _DEEPEST
    if valid and item[0] == _RECORD:
        valid = isinstance(item[1], (str, type(None)))
        for _, inside in item[2]:
            _check_item(inside, depth + 1)
    elif valid and item[0] == _ARRAY:
        _, at, count, size, inside = item
        valid = at >= 0 and 0 < count <= MAX_COMPONENTS and 0 < size <= MAX_COMPONENTS
        _check_item(inside, depth + 1)
    elif valid:
        valid = len(item) == 2 and item[1] >= 0 and np.dtype(item[0]).kind in "biuf"
    if not valid:
        msg = f"unknown items in packed rows: {str(item)[:60]}"
        raise ValueError(msg)


def plain_form(table: TableSpec, column: str, tables: Mapping[str, TableSpec]) -> Form:
    """Form of a branch that is one column, in the lists that its table is in."""
    form: Form = column
    while table.jagged or table.counter is not None:
        form = [_LIST, table.name, form]
        if table.parent is None:
            break
        table = tables[table.parent]
    return form


class Builder:
    """Makes arrays of branches.

    Parameters
    ----------
    specs : mapping of str to ColumnSpec
        What is known of the columns.
    tables : mapping of str to TableSpec
    table_of : mapping of str to TableSpec
        By column.
    """

    def __init__(
        self,
        specs: Mapping[str, ColumnSpec],
        tables: Mapping[str, TableSpec],
        table_of: Mapping[str, TableSpec],
    ) -> None:
        self._specs, self._tables, self._table_of = specs, tables, table_of

    def needed(self, form: Form) -> list[str]:
        """Columns to read for a form: those it names, and those that count its lists."""
        out = [*columns_of(form), *self.counting(form)]
        for name in tables_of(form):
            table = self._tables[name]
            if isinstance(form, list) and form[0] == _COUNTS:
                out.append(table.columns[0].name)
        return list(dict.fromkeys(out))

    def counting(self, form: Form) -> list[str]:
        """Columns that count the items of the lists in a form."""
        tables = [self._tables[name] for name in tables_of(form)]
        return [counts for t in tables for _, counts in arrays.lists_above(t, self._tables)]

    def layout(self, form: Form, cluster: Cluster, within: int = 0) -> Any:
        """Awkward layout of a branch.

        Parameters
        ----------
        form : str or list
        cluster : dict of str to TableData
        within : int
            Dimensions of arrays of fixed size that it is within.

        Raises
        ------
        CorruptionError
            A string does not fit its length, or lists do not hold what they say.
        """
        import awkward as ak

        if isinstance(form, str):
            column = cluster[self._table_of[form].name].columns[form]
            if within and not isinstance(column, VarBytes):
                column = column.reshape(-1, *column.shape[1 + within :])
            return arrays.leaf_layout(self._specs[form], column)
        kind = form[0]
        if kind == _REGULAR:
            return ak.contents.RegularArray(self.layout(form[2], cluster, within + 1), form[1])
        if kind == _COUNTS:
            return ak.contents.NumpyArray(self.numpy(form, cluster))
        if kind == _PACKED:
            column = np.asarray(cluster[self._table_of[form[1]].name].columns[form[1]])
            size = column.dtype.itemsize * int(np.prod(column.shape[1:], dtype=np.int64))
            rows = np.ascontiguousarray(column).view(np.uint8).reshape(len(column), size)
            return _unpacked(form[2], rows)
        if kind == _RECORD:
            fields = [field for field, _ in form[2]]
            inside = [self.layout(f, cluster, within) for _, f in form[2]]
            about = {} if form[1] is None else {"__record__": form[1]}
            return ak.contents.RecordArray(inside, fields, parameters=about)
        if kind == _PAIR:
            return ak.contents.RecordArray([self.layout(f, cluster, within) for f in form[1]], None)
        if kind == _ROWS:
            return self.layout(form[2], cluster)
        if kind == _OPTION:
            at = self._offsets(form[1], cluster)
            index = ak.index.Index64(np.where(np.diff(at) > 0, at[:-1], -1))
            return ak.contents.IndexedOptionArray.simplified(index, self.layout(form[2], cluster))
        offsets = ak.index.Index64(self._offsets(form[1], cluster))
        if kind == _LIST:
            return ak.contents.ListOffsetArray(offsets, self.layout(form[2], cluster))
        pairs = ak.contents.RecordArray(
            [self.layout(f, cluster) for f in form[2:]], None,
            parameters={"__array__": "sorted_map"},
        )  # fmt: skip
        return ak.contents.ListOffsetArray(offsets, pairs)

    def _offsets(self, name: str, cluster: Cluster) -> Any:
        """Offsets of the lists of a table's rows: of those of its parent, or of the entries."""
        table = self._tables[name]
        if table.parent is None or table.inner_counts is None:
            return cluster[name].offsets
        sizes = np.asarray(cluster[table.parent].columns[table.inner_counts])
        offsets = np.zeros(len(sizes) + 1, np.int64)
        np.cumsum(sizes, out=offsets[1:])
        rows = cluster[name].num_rows if name in cluster else int(offsets[-1])
        if (sizes < 0).any() or offsets[-1] != rows:
            msg = f"the lengths {table.inner_counts!r} of the lists do not add up to {rows} rows"
            raise CorruptionError(msg, branch=table.inner_counts)
        return offsets

    def numpy(self, form: Form, cluster: Cluster) -> Any:
        """NumPy array of a branch: of objects where its entries are not all of one size."""
        if isinstance(form, str):
            column = cluster[self._table_of[form].name].columns[form]
            return arrays.leaf_numpy(self._specs[form], column)
        if form[0] == _COUNTS:
            return np.diff(self._offsets(form[1], cluster)).astype(form[2])
        if form[0] == _ROWS:
            return self.numpy(form[2], cluster)
        if form[0] == _LIST:
            offsets = self._offsets(form[1], cluster)
            column = self.numpy(form[2], cluster)
            out = np.empty(len(offsets) - 1, object)
            for i in range(len(out)):
                out[i] = column[offsets[i] : offsets[i + 1]]
            return out
        import awkward as ak

        array = ak.Array(self.layout(form, cluster))
        try:
            return ak.to_numpy(array, allow_missing=False)
        except (ValueError, TypeError):
            out = np.empty(len(array), object)
            out[:] = ak.to_list(array)
            return out


def _unpacked(item: list[Any], rows: Array) -> Any:
    """Awkward layout of an item of each of some rows.

    Parameters
    ----------
    item : list
    rows : uint8 array, shape (rows, bytes)
    """
    import awkward as ak

    if item[0] == _RECORD:
        inside = [_unpacked(i, rows) for _, i in item[2]]
        about = {} if item[1] is None else {"__record__": item[1]}
        fields = [field for field, _ in item[2]]
        return ak.contents.RecordArray(inside, fields, length=len(rows), parameters=about)
    dtype = np.dtype("u1") if item[0] == _ARRAY else np.dtype(item[0])
    at, width = item[1], item[2] * item[3] if item[0] == _ARRAY else dtype.itemsize
    if at + width > rows.shape[1]:
        msg = f"items of {width} bytes at byte {at} of rows of {rows.shape[1]}"
        raise CorruptionError(msg)
    part = np.ascontiguousarray(rows[:, at : at + width])
    if item[0] == _ARRAY:
        _, _, count, size, inside = item
        content = _unpacked(inside, part.reshape(-1, size))
        return ak.contents.RegularArray(content, count, len(rows))
    numbers = part.reshape(-1).view(dtype)
    return ak.contents.NumpyArray(numbers.astype(dtype.newbyteorder("=")))


def refuse_unknown(branch: Branch, path: str, tree: str) -> None:
    """Raise where a branch is not understood.

    Raises
    ------
    UnsupportedTypeError
        It is not.
    """
    reason = unknown_reason(branch.form)
    if reason is not None:
        raise UnsupportedTypeError(
            f"a branch of type {branch.typename or 'unknown'} cannot be read: {reason}",
            path=path, tree=tree, branch=branch.name,
            hint="restore the file, which has the branch bit for bit, and read it with ROOT",
        )  # fmt: skip


def pack_branches(branches: Sequence[Branch]) -> list[list[Any]]:
    """Describe branches as JSON values."""
    return [
        [b.name, b.typename, b.title, b.form, b.path or None, int(b.listed), list(b.hidden)]
        for b in branches
    ]


def unpack_branches(
    rows: Any, columns: Mapping[str, Any], tables: Mapping[str, Any]
) -> tuple[Branch, ...]:
    """Read what :func:`pack_branches` wrote.

    Raises
    ------
    ValueError, TypeError
        The description is invalid.
    """
    out = []
    for name, typename, title, form, path, listed, hidden in rows:
        if not all(isinstance(t, str) for t in (name, typename, title, path or "", *hidden)):
            msg = "name, type, title and path of a branch must be text"
            raise ValueError(msg)
        check_form(form, columns, tables)
        out.append(Branch(name, typename, title, form, path or "", bool(listed), tuple(hidden)))
    if len({branch.name for branch in out}) != len(out):
        msg = "a branch is described twice"
        raise ValueError(msg)
    return tuple(out)
