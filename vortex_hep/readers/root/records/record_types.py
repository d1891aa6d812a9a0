"""Programs of :mod:`vortex_hep.readers.root.records.records`, from the types of branches.

Types are taken from uproot's interpretations and from the file's streamers. What this module says
of a type is a guess: every basket is checked against it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import uproot

from vortex_hep.core.schema import COLUMN_DTYPES, VARBYTES
from vortex_hep.readers.root.records.records import Node, Program

#: TVirtualStreamerInfo::EReadWrite of basic types, as they are on disk. Double32_t without a range
#: is a float.
_BASIC = {
    1: "i1", 2: ">i2", 3: ">i4", 4: ">i8", 5: ">f4", 6: ">i4", 8: ">f8", 9: ">f4", 11: "u1",
    12: ">u2", 13: ">u4", 14: ">u8", 16: ">i8", 17: ">u8", 18: "?",
}  # fmt: skip
_BITS, _ARRAY, _DOUBLE32, _TSTRING = 15, 20, 9, 65
#: Objects inside objects: with TObject as a base (kObject), or without (kAny).
_OBJECTS = (61, 62)
#: Members of a TObject and of a TRefArray beside it.
_UID = (("fUniqueID", ">u4", ()),)
_REF_ARRAY = (("fLowerBound", ">i4", ()), ("pidf", ">u2", ()))
#: TBranchElement::EBranchElementType of a member of the items of a TClonesArray or STL collection.
_MEMBERS = (31, 41)
#: Arrays of ROOT: the number of items, and the items.
_ARRAYS = {
    "TArrayC": "i1", "TArrayS": ">i2", "TArrayI": ">i4", "TArrayL": ">i8", "TArrayL64": ">i8",
    "TArrayF": ">f4", "TArrayD": ">f8",
}  # fmt: skip
_VECTORS = ("AsVector", "AsRVec", "AsSet", "AsList")
_UNKNOWN_CLASSES = ("TObjArray", "TClonesArray", "TRef", "TRefArray")


class UnknownRecordError(ValueError):
    """A type that this module has no program for."""


@dataclass(frozen=True)
class RecordField:
    """A column of an output, named by what is put behind the branch's name."""

    suffix: str
    dtype: str
    inner: tuple[int, ...] = ()
    offset: int = 0


@dataclass
class Description:
    """Nodes, the columns of each output, and what the table of each level is called."""

    nodes: list[Node] = field(default_factory=list)
    fields: list[list[RecordField]] = field(default_factory=list)
    levels: list[str] = field(default_factory=lambda: [""])
    slots: int = 0

    def version(self, *, memberwise: bool = False) -> Node:
        """A version, which decoding fills in."""
        self.slots += 1
        return ["memberwise" if memberwise else "version", self.slots - 1]

    def row(self, members: Any) -> Node:
        """Items of known size: name, dtype as on disk and inner shape of each."""
        columns, offset = [], 0
        for suffix, text, inner in members:
            dtype = np.dtype(text)
            plain = dtype.newbyteorder("<").str
            if plain not in COLUMN_DTYPES:
                raise UnknownRecordError(plain)
            columns.append(RecordField(suffix, plain, tuple(inner), offset))
            offset += dtype.itemsize * int(np.prod(inner, dtype=np.int64))
        self.fields.append(columns)
        return ["row", offset]

    def bits(self, path: str) -> Node:
        """TObject::fBits."""
        columns = [
            RecordField(f"{path}fBits", "<u4"),
            RecordField(f"{path}fBits.pidf", "<u2", (), 4),
        ]
        self.fields.append(columns)
        return ["bits"]

    def string(self, path: str) -> Node:
        """A TString or a std::string."""
        self.fields.append([RecordField(path, VARBYTES)])
        return ["string"]

    def items(self, path: str, *, depth: int, counted: bool = False) -> None:
        """Enter a list; below the entries its table knows the numbers, else a column does."""
        self.levels.append(path)
        if depth and not counted:
            self.fields.append([RecordField(f"{path}.size", "<u4")])


def describe(branch: Any) -> list[Description]:
    """Programs that a branch may follow, the most likely first; none for plain or unknown types."""
    out = []
    for attempt in (_of_interpretation, _memberwise, _mother_of_data_vector):
        try:
            found = attempt(branch)
            if found is not None:
                Program(found.nodes)  # raises where the nodes make none
        except Exception:  # noqa: BLE001 - what uproot cannot describe is carried as bytes
            continue
        if found is not None:
            out.append(found)
    return out


def basic_type(branch: Any) -> tuple[np.dtype[Any], tuple[int, ...]] | None:
    """Item on disk and fixed shape of a member of basic type that uproot cannot interpret."""
    if not branch.has_member("fStreamerType"):
        return None
    code = int(branch.member("fStreamerType"))
    shape: tuple[int, ...] = ()
    if _ARRAY < code < 2 * _ARRAY:
        code -= _ARRAY
        sizes = branch.name.partition("[")[2].rstrip("]").split("][")
        if not all(size.isdecimal() for size in sizes):
            return None
        shape = tuple(int(size) for size in sizes)
    return (np.dtype(_BASIC[code]), shape) if code in _BASIC else None


def is_bits(branch: Any) -> bool:
    """Whether a branch holds TObject::fBits, which take more bytes where they are referenced."""
    return branch.has_member("fStreamerType") and int(branch.member("fStreamerType")) == _BITS


def is_member_of_items(branch: Any) -> bool:
    """Whether a branch holds one member of all objects of a list."""
    return branch.has_member("fType") and int(branch.member("fType")) in _MEMBERS


def describe_bits(*, counted: bool) -> Description:
    """TObject::fBits as a branch of its own."""
    out = Description()
    columns = [RecordField("", "<u4"), RecordField(".pidf", "<u2", (), 4)]
    if counted:
        out.items("", depth=0)
    out.fields.append(columns)
    out.nodes = [["each", ["bits"]]] if counted else [["bits"]]
    return out


def _of_interpretation(branch: Any) -> Description | None:
    found = branch.interpretation
    out = Description()
    kind = type(found).__name__
    if kind == "AsStrings" and is_member_of_items(branch):
        if int(branch.member("fStreamerType")) != _TSTRING:
            return None
        out.items("", depth=0)
        out.nodes = [["each", out.string("")]]
    elif kind == "AsStrings":
        if found.header_bytes == 0 or found.length_bytes != "1-5":
            return None
        out.nodes = [["frame", out.version(), out.string("")]]
    elif kind == "AsJagged":
        if found.header_bytes == 10:
            start = out.version()
            out.items("", depth=0)
            out.nodes = [["frame", start, ["list", 0, *_value(out, found.content, "", 1, branch)]]]
        elif found.header_bytes == 1:
            out.items("", depth=0)
            out.nodes = [["rest", *_value(out, found.content, "", 1, branch)]]
        else:
            return None
    elif kind == "AsObjects":
        out.nodes = _top(out, found.model, branch)
    else:
        return None
    return out


def _top(out: Description, model: Any, branch: Any) -> list[Node]:
    if type(model).__name__ != "AsArray":
        return _value(out, model, "", 0, branch)
    if model.inner_shape != ():
        raise UnknownRecordError("array of fixed shape")
    if model.speedbump:
        # Pointers to items: Double32_t, above all, which uproot leaves alone.
        values = model.values
        if type(values).__name__ == "AsFIXME" and "Double32_t" in str(values.message):
            values = np.dtype(">f4")
        out.items("", depth=0)
        return [["rest", *_value(out, values, "", 1, branch)]]
    start = [out.version()] if model.header else []
    out.items("", depth=0)
    each: Node = ["each", *_value(out, model.values, "", 1, branch)]
    return [["frame", *start, each]] if model.header else [each]


def _value(out: Description, model: Any, path: str, depth: int, branch: Any) -> list[Node]:
    """Nodes of one value of a type."""
    kind = type(model).__name__
    if kind == "AsStridedObjects":
        model, kind = model.model, ""
    if kind == "AsDtype":
        model = model.from_dtype
    if isinstance(model, np.dtype):
        base, shape = model.subdtype or (model, ())
        return [out.row([(path, base, shape)])]
    if kind == "AsString":
        if model.length_bytes != "1-5":
            raise UnknownRecordError(kind)
        if not model.header:
            return [out.string(path)]
        return [["frame", out.version(), out.string(path)]]
    if kind in _VECTORS:
        start = [out.version()] if model.header else []
        out.items(path, depth=depth)
        items = model.values if hasattr(model, "values") else model.keys
        inside: Node = ["list", 0, *_value(out, items, path, depth + 1, branch)]
        return [["frame", *start, inside]] if start else [inside]
    if kind == "AsMap":
        start = [out.version()] if model.header else []
        out.items(path, depth=depth)
        pair = out.row(_pair(model, path))
        return [["frame", *start, ["list", 0, pair]]] if start else [["list", 0, pair]]
    if isinstance(model, type):
        name, version = uproot.model.classname_decode(model.__name__)
        return _object(out, name, version, path, depth, branch)
    raise UnknownRecordError(kind)


def _object(
    out: Description, name: str, version: int | str | None, path: str, depth: int, branch: Any
) -> list[Node]:
    """An object with byte count and version."""
    if name == "TRefArray":
        start = [out.version(), *_tobject(out, path), out.string(f"{path}.fName")]
        out.items(f"{path}.fUIDs", depth=depth)
        gap = out.row([(f"{path}.{suffix}", *rest) for suffix, *rest in _REF_ARRAY])
        uids = out.row([(f"{path}.fUIDs", ">u4", ())])
        return [["frame", *start, ["list", gap[1], uids]]]
    if name in _ARRAYS:
        out.items(path, depth=depth)
        return [["list", 0, out.row([(path, _ARRAYS[name], ())])]]
    if name in _UNKNOWN_CLASSES:
        raise UnknownRecordError(name)
    return [["frame", out.version(), *_members(out, name, version, path, depth, branch)]]


def _tobject(out: Description, path: str) -> list[Node]:
    """TObject, which has a version but no byte count."""
    uid = [(f"{path}.{suffix}", *rest) for suffix, *rest in _UID]
    return [out.version(), out.row(uid), out.bits(f"{path}.")]


def _members(
    out: Description, name: str, version: int | str | None, path: str, depth: int, branch: Any
) -> list[Node]:
    nodes: list[Node] = []
    basic: list[tuple[str, Any, tuple[int, ...]]] = []

    def close() -> None:
        if basic:
            nodes.append(out.row(basic))
            basic.clear()

    for element in _elements(branch, name, version):
        code = int(element.member("fType"))
        item = _basic_member(element, path)
        if item is not None:
            basic.append(item)
            continue
        close()
        if type(element).__name__.startswith("Model_TStreamerBase"):
            base = element.name
            if base == "TObject":
                nodes += _tobject(out, path)
            else:
                nodes += _object(out, base, element.base_version, path, depth, branch)
        elif code == _BITS:
            nodes.append(out.bits(f"{path}."))
        elif code == _TSTRING:
            nodes.append(out.string(f"{path}.{element.name}"))
        elif code in _OBJECTS:
            inside = f"{path}.{element.name}"
            nodes += _object(out, element.typename, None, inside, depth, branch)
        else:
            raise UnknownRecordError(element.name)
    close()
    return nodes


def _elements(branch: Any, name: str, version: int | str | None) -> Any:
    known = branch.file.streamers[uproot.model.classname_regularize(name)]
    return known.get(version, known[max(known)]).elements


def _basic_member(element: Any, path: str) -> tuple[str, Any, tuple[int, ...]] | None:
    code = int(element.member("fType"))
    shape: tuple[int, ...] = ()
    if _ARRAY < code < 2 * _ARRAY:
        code -= _ARRAY
        shape = tuple(int(n) for n in element.member("fMaxIndex")[: element.member("fArrayDim")])
    if code not in _BASIC:
        return None
    if code == _DOUBLE32 and str(element.title).startswith("["):
        raise UnknownRecordError(element.title)
    return f"{path}.{element.name}", np.dtype(_BASIC[code]), shape


def _memberwise(branch: Any) -> Description | None:
    """A vector of objects whose members lie one after the other."""
    found = branch.interpretation
    model = None
    if type(found).__name__ == "AsObjects" and type(found.model).__name__ == "AsMap":
        return _columns(_pair(found.model, ""))
    if type(found).__name__ == "AsJagged" and found.header_bytes == 10:
        model = getattr(found.content, "model", None)
    elif type(found).__name__ == "AsObjects" and type(found.model).__name__ in _VECTORS:
        model = found.model.values
    if not isinstance(model, type):
        return None
    return _columns(_flat_members(branch, *uproot.model.classname_decode(model.__name__)))


def _pair(model: Any, path: str) -> list[Any]:
    """Keys and values of a map, if they are numbers."""
    pair = ((f"{path}.first", model.keys), (f"{path}.second", model.values))
    if not all(isinstance(dtype, np.dtype) for _, dtype in pair):
        raise UnknownRecordError("map of other things than numbers")
    return [(suffix, dtype, ()) for suffix, dtype in pair]


def _columns(members: list[Any]) -> Description:
    out = Description()
    start = out.version(memberwise=True)
    out.items("", depth=0)
    out.nodes = [["frame", start, ["columns", *(out.row([member]) for member in members)]]]
    return out


def _flat_members(branch: Any, name: str, version: int | str | None) -> list[Any]:
    members = []
    for element in _elements(branch, name, version):
        if type(element).__name__.startswith("Model_TStreamerBase"):
            members += _flat_members(branch, element.name, element.base_version)
            continue
        item = _basic_member(element, "")
        if item is None:
            raise UnknownRecordError(element.name)
        members.append(item)
    return members


def _mother_of_data_vector(branch: Any) -> Description | None:
    """ATLAS's containers: the branch itself only holds how many objects there are."""
    found = branch.interpretation
    if type(found).__name__ != "AsObjects" or not branch.typename.startswith("DataVector<"):
        return None
    out = Description()
    out.nodes = [["frame", out.version(memberwise=True), out.row([("", ">u4", ())])]]
    return out
