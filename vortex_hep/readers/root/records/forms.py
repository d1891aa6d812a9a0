"""Forms of branches (:mod:`vortex_hep.core.branches`), from what uproot makes of them.

uproot says what a branch looks like to users, as a form of Awkward Array; this module finds the
columns that hold its numbers and strings. Where it cannot, columns are what users see.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import uproot

from vortex_hep.core import interpretations as values
from vortex_hep.core.branches import Branch, Form, columns_of, is_short, unknown_reason
from vortex_hep.core.schema import VARBYTES
from vortex_hep.readers.root.ttree.layout import BYTES, LEFT, NONE, STORED, BranchPart, BranchPlan
from vortex_hep.readers.root.ttree.tables import covers


class _UnboundError(ValueError):
    """A form whose columns are not there."""


@dataclass(frozen=True)
class Bound:
    """A form, and the columns of the branch with what it says of their values."""

    form: Form
    parts: tuple[BranchPart, ...]


def awkward_form(branch: Any) -> dict[str, Any] | None:
    """Uproot's form of a branch; None where it has none."""
    try:
        form = branch.interpretation.awkward_form(branch.file)
        found: dict[str, Any] = json.loads(form.to_json())
    except Exception:  # noqa: BLE001 - whatever uproot cannot put into an Awkward array
        return None
    return found


def is_group(branch: Any) -> bool:
    """Whether a branch is, to uproot, the group of those below it."""
    try:
        return isinstance(branch.interpretation, uproot.interpretation.grouped.AsGrouped)
    except Exception:  # noqa: BLE001 - nothing that uproot knows is a group
        return False


def bind(plan: BranchPlan, form: Mapping[str, Any]) -> Bound | None:
    """Find the columns of a form; None where they are not what it says.

    Parameters
    ----------
    plan : BranchPlan
        With its tables.
    form : mapping
        Of :func:`awkward_form`.
    """
    binder = _Binder(plan)
    try:
        found, _ = binder.bind(form, "", 0)
    except _UnboundError:
        return None
    return Bound(found, tuple(binder.parts))


class _Binder:
    def __init__(self, plan: BranchPlan) -> None:
        self.plan = plan
        self.parts = list(plan.parts)
        self._by_path = {_path(part, plan): k for k, part in reversed(list(enumerate(plan.parts)))}

    def bind(self, form: Mapping[str, Any], path: str, depth: int) -> tuple[Form, list[str]]:
        """Form of what is at a path, inside ``depth`` lists, and the lists that it is in."""
        kind, about = form["class"], form.get("parameters") or {}
        if kind == "ListOffsetArray" and about.get("__array__") in ("string", "bytestring"):
            return self._leaf(path, depth, VARBYTES, ())
        if kind in ("NumpyArray", "RegularArray"):
            return self._leaf(path, depth, *_item(form))
        if kind == "ListOffsetArray":
            return self._list(form["content"], path, depth)
        if kind != "RecordArray":
            raise _UnboundError(kind)
        if about.get("__record__") == "TRefArray":
            return self._references(path, depth)
        names = [".first", ".second"] if form["fields"] is None else form["fields"]
        if len(form["contents"]) != len(names):
            raise _UnboundError(kind)
        out: list[Any] = []
        chain: list[str] = []
        for name, content in zip(names, form["contents"], strict=True):
            if name.startswith("@"):
                continue
            inside, chain = self.bind(content, f"{path}.{name.lstrip('.')}", depth)
            out.append(inside if form["fields"] is None else [name, inside])
        if not out:
            raise _UnboundError(kind)
        if form["fields"] is None:
            return ["pair", out], chain
        return ["record", about.get("__record__"), out], chain

    def _references(self, path: str, depth: int) -> tuple[Form, list[str]]:
        """TRefArray, as uproot has it: name, number and identifiers of its objects."""
        name, _ = self._leaf(f"{path}.fName", depth, VARBYTES, ())
        numbers, chain = self._leaf(f"{path}.fUIDs", depth + 1, "<i4", ())
        size: Form = ["counts", chain[depth], "<i4"]
        if depth:
            size, _ = self._leaf(f"{path}.fUIDs.size", depth, "<i4", ())
        refs: Form = ["list", chain[depth], numbers]
        fields: list[Any] = [["fName", name], ["fSize", size], ["refs", refs]]
        return ["record", "TRefArray", fields], chain[:depth]

    def _list(self, content: Mapping[str, Any], path: str, depth: int) -> tuple[Form, list[str]]:
        inside, chain = self.bind(content, path, depth + 1)
        if len(chain) <= depth:
            raise _UnboundError(path)
        about = content.get("parameters") or {}
        if about.get("__array__") == "sorted_map" and inside[0] == "pair":
            return ["map", chain[depth], *inside[1]], chain
        return ["list", chain[depth], inside], chain

    def _leaf(
        self, path: str, depth: int, dtype: str, shape: Sequence[int]
    ) -> tuple[Form, list[str]]:
        number = self._by_path.get(path.replace("/", "."), -1)
        if number < 0:
            raise _UnboundError(path)
        part = self.parts[number]
        chain = _lists(self.plan, part)
        if len(chain) != depth or part.inner != tuple(shape):
            raise _UnboundError(path)
        name, known = part.name, part.dtype
        if part.interpretation:
            known = part.interpretation.rpartition(" ")[2]
            if part.interpretation == "exponent":
                raise _UnboundError(path)
            if part.interpretation.startswith("mantissa"):
                name = name.rpartition(".mantissa")[0]
        elif (known, dtype) == ("<f4", "<f8"):
            # Double32_t without a range.
            self.parts[number] = replace(part, interpretation=values.widened(dtype))
            known = dtype
        elif known[:2] in ("<i", "<u") and dtype[:2] in ("<i", "<u") and known[2:] == dtype[2:]:
            if known != dtype:
                self.parts[number] = replace(part, interpretation=values.viewed(dtype))
            known = dtype
        if known != dtype:
            raise _UnboundError(path)
        return name, chain


def _path(part: BranchPart, plan: BranchPlan) -> str:
    """Where a column is within its branch."""
    path = part.name.removeprefix(plan.name).partition("#")[0].replace("/", ".")
    return path.removesuffix(".mantissa") if part.interpretation.startswith("mantissa") else path


def _lists(plan: BranchPlan, part: BranchPart) -> list[str]:
    """Tables of the lists that a column is in, outermost first."""
    if plan.program is None:
        return [plan.table] if plan.rows_vary else []
    level, out = plan.program.outputs[part.output].level, []
    while level > 0:
        out.append(plan.tables[level])
        level = plan.program.parents[level]
    return out[::-1]


def _flat(plan: BranchPlan) -> Form:
    """Form of what uproot has none for: the columns, each in its lists, side by side."""
    fields: list[Any] = []
    for part in plan.parts:
        form: Form = part.name
        if part.interpretation == "exponent":
            continue
        if part.interpretation.startswith("mantissa"):
            form = part.name.rpartition(".mantissa")[0]
        for table in reversed(_lists(plan, part)):
            form = ["list", table, form]
        fields.append([part.name.removeprefix(plan.name).lstrip("."), form])
    if len(fields) == 1 and fields[0][0] == "":
        return fields[0][1]  # type: ignore[no-any-return]
    return ["record", None, fields]


def _item(form: Mapping[str, Any]) -> tuple[str, tuple[int, ...]]:
    """Dtype and shape of items of fixed size."""
    shape: list[int] = []
    while form["class"] == "RegularArray":
        shape.append(int(form["size"]))
        form = form["content"]
    if form["class"] != "NumpyArray":
        raise _UnboundError(form["class"])
    shape += [int(n) for n in form.get("inner_shape", ())]
    return np.dtype(form["primitive"]).newbyteorder("<").str, tuple(shape)


class BranchForms:
    """What the branches of a TTree look like to users.

    Parameters
    ----------
    theirs : sequence of uproot TBranch
        Of the first plans.
    paths : sequence of str
        What uproot calls each, with the branches that it is in.
    entries : int
        Of the tree.
    """

    def __init__(self, theirs: Sequence[Any], paths: Sequence[str], entries: int) -> None:
        self._theirs, self._paths, self._entries = theirs, paths, entries
        self._numbers = {id(branch): k for k, branch in enumerate(theirs)}
        self._forms: dict[int, dict[str, Any] | None] = {}
        self._groups: dict[int, bool] = {}

    def describe(self, plans: Sequence[BranchPlan]) -> tuple[Branch, ...]:
        """Branches that are more than a column; sets what columns of records stand for.

        Parameters
        ----------
        plans : sequence of BranchPlan
            With their tables.
        """
        forms: dict[int, Form | None] = {}
        out = []
        # Those below a branch come behind it, and what they are must be known first.
        for plan in reversed(plans):
            form = None if plan.kind == LEFT else self._form(plan, forms)
            forms[plan.number] = form
            path = self._paths[plan.number]
            if form is None:
                continue
            named = {plan.name, *columns_of(form)}
            hidden = tuple(p.name for p in plan.parts if p.name not in named)
            listed = unknown_reason(form) is None and not self._is_shell(plan)
            if form == _plain(plan) and path == plan.name and listed and not hidden:
                continue
            where = "" if path == plan.name else path
            typename = plan.typename
            if self._groups.get(plan.number):
                typename = str(self._theirs[plan.number].typename)
            out.append(Branch(plan.name, typename, plan.title, form, where, listed, hidden))
        return tuple(reversed(out))

    def _form(self, plan: BranchPlan, below: Mapping[int, Form | None]) -> Form | None:
        number = plan.number
        if number >= len(self._theirs):
            return None
        group = self._group(number, below)
        if group is not None:
            return group
        if plan.kind == NONE:
            return ["unknown", "it has no data of its own"]
        if plan.kind == STORED:
            return ["unknown", "its baskets are kept as they are in the file"]
        if plan.kind == BYTES and plan.interpretation == "opaque":
            return ["unknown", "it is kept as the bytes that the file has"]
        form = self._own(plan)
        if form is not None and not plan.rows_vary and not covers(plan, self._entries):
            return ["rows", plan.table, form]
        return form

    def _is_shell(self, plan: BranchPlan) -> bool:
        """Whether a branch only says that others are there, and uproot does not read it."""
        if plan.program is None or self._forms.get(plan.number) is not None:
            return False
        return plan.typename.startswith("DataVector<") or bool(
            len(self._theirs[plan.number].branches)
        )

    def _own(self, plan: BranchPlan) -> Form | None:
        """Form of what a branch itself holds."""
        only = plan.parts[0] if len(plan.parts) == 1 else None
        bytes_only = only is not None and only.dtype == "|u1" and only.inner != ()
        if plan.program is None and not bytes_only and (only is not None or not plan.parts):
            return _plain(plan)
        form = self._awkward(plan.number)
        if bytes_only and form is not None:
            rows = _packed_form(plan, form, self._theirs[plan.number])
            return rows or ["unknown", "it is kept as the bytes that the file has"]
        if bytes_only:
            return ["unknown", "it is kept as the bytes that the file has"]
        bound = (None if form is None else bind(plan, form)) or Bound(_flat(plan), plan.parts)
        plan.parts = bound.parts
        return bound.form

    def _awkward(self, number: int) -> dict[str, Any] | None:
        if number not in self._forms:
            self._forms[number] = awkward_form(self._theirs[number])
        return self._forms[number]

    def _group(self, number: int, below: Mapping[int, Form | None]) -> Form | None:
        """Form of a branch that is a group of others, all of which can be read."""
        branch = self._theirs[number]
        if not len(branch.branches):
            return None
        if number not in self._groups:
            self._groups[number] = is_group(branch)
        if not self._groups[number]:
            return None
        fields: list[Any] = []
        for inside in branch.branches:
            form = below.get(self._numbers.get(id(inside), -1))
            if form is None or unknown_reason(form) is not None or is_short(form):
                return None
            fields.append([inside.name, form])
        return ["record", None, fields]


def _packed_form(plan: BranchPlan, form: Mapping[str, Any], branch: Any) -> Form | None:
    """Form of rows of bytes that uproot knows as items of fixed size."""
    content = getattr(branch.interpretation, "content", branch.interpretation)
    dtype = getattr(content, "from_dtype", None)
    if plan.rows_vary:
        form = form["content"] if form["class"] == "ListOffsetArray" else {"class": ""}
    if dtype is None or dtype.itemsize != plan.stride:
        return None
    if dtype.fields is None and dtype.base == np.dtype("u1"):
        return _plain(plan)
    try:
        inside: Form = ["packed", plan.name, _packed_item(form, dtype, 0, "")]
    except (_UnboundError, KeyError, IndexError):
        return None
    return ["list", plan.table, inside] if plan.rows_vary else inside


def _packed_item(form: Mapping[str, Any], dtype: np.dtype[Any], at: int, prefix: str) -> list[Any]:
    """Items at a byte of a row, which NumPy and Awkward Array describe."""
    kind = form["class"]
    if kind == "RegularArray":
        base, shape = dtype.subdtype or (dtype, ())
        inner = np.dtype((base, shape[1:]))
        if shape[:1] != (form["size"],):
            raise _UnboundError(kind)
        item = _packed_item(form["content"], inner, 0, "")
        return ["array", at, int(shape[0]), inner.itemsize, item]
    if kind == "NumpyArray" and not form.get("inner_shape") and dtype.fields is None:
        if dtype.newbyteorder("=") != np.dtype(form["primitive"]):
            raise _UnboundError(kind)
        return [dtype.str, at]
    if kind != "RecordArray" or form["fields"] is None or dtype.fields is None:
        raise _UnboundError(kind)
    out: list[Any] = []
    for name, content in zip(form["fields"], form["contents"], strict=True):
        if name.startswith("@"):
            continue
        known = dtype.fields.get(prefix + name)
        if known is None:
            # uproot puts members of members side by side.
            out.append([name, _packed_item(content, dtype, at, f"{prefix}{name}/")])
        else:
            out.append([name, _packed_item(content, known[0], at + int(known[1]), "")])
    return ["record", (form.get("parameters") or {}).get("__record__"), out]


def _plain(plan: BranchPlan) -> Form:
    """Form of a branch that is one column."""
    name = plan.name
    return ["list", plan.table, name] if plan.rows_vary else name
