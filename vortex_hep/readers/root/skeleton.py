"""The remainder of a ROOT file: all that restoring needs besides the trees' columns.

Blobs:

``root/skeleton``
    JSON: file header, directories, keys, trees. Text of ROOT is decoded as latin-1, which keeps
    every byte.
``root/objects``
    Uncompressed bytes of all other objects, one after the other in the order of the keys, then the
    streamer info.
``root/tree/N/object``
    Bytes of the TTree object. Places that depend on where baskets lie are cleared (fBasketBytes,
    fBasketSeek), or hold what the baskets do not account for (fTotBytes, fZipBytes); data of
    embedded baskets are cleared; each fBasketEntry is XORed with that of the branch before it.
``root/ntuple/N/envelopes``, ``root/ntuple/N/extra``
    Header, footer and page lists of an RNTuple, without the places of pages; unused bits of pages.
``root/fixed/N``
    Records that keep their place: of what is not understood, and may name others by offset.
``root/tail/N``
    What follows the end of the file that its header names: a job that died leaves such.
``root/tree/N/plan``, ``root/tree/N/baskets``, ``root/tree/N/extra``
    How branches become columns; the fields of each basket; the few bytes that no rule gives.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vortex_hep.errors import CorruptionError, UnsupportedVersionError, VortexError
from vortex_hep.readers.root.contents import RootContents, TreeRecord
from vortex_hep.readers.root.file.fixed import FixedRecords, fixed_blobs
from vortex_hep.readers.root.file.tkey import FileHeader, Key
from vortex_hep.readers.root.rntuple.fill import StoredNTuple, pack_ntuple, unpack_ntuple
from vortex_hep.readers.root.rntuple.schema import OTHER
from vortex_hep.readers.root.ttree import layout
from vortex_hep.readers.root.ttree.basket_log import BASKET_FIELDS
from vortex_hep.readers.root.ttree.plan_blobs import (
    pack_fields,
    pack_plans,
    unpack_fields,
    unpack_plans,
)
from vortex_hep.readers.root.ttree.stored import StoredTree, number_at, table
from vortex_hep.readers.root.ttree.streamed import StreamedBranch, TreeWalker, tree_zip_bytes

VERSION = 1
#: Of a skeleton with records that keep their place, or branches whose baskets do.
_VERSION_FIXED = 2
#: Marks of keys whose objects are not among ``root/objects``.
NOT_OBJECTS = ("tree", "ntuple", "is_directory", "fixed")
#: fBasketSeek of a basket that is written anew, in a cleared tree object.
_PRESENT = 1


def pack_key(key: Key) -> list[Any]:
    """A key without its places, for the JSON."""
    names = [text.decode("latin-1") for text in (key.class_name, key.name, key.title)]
    return [key.version, key.objlen, key.datime, key.keylen, key.cycle, *names]


def unpack_key(item: Sequence[Any]) -> Key:
    """The inverse of :func:`pack_key`; size and places are 0."""
    version, objlen, datime, keylen, cycle, *names = item
    return Key(
        0, version, objlen, datime, keylen, cycle, 0, 0, *(n.encode("latin-1") for n in names)
    )


def write_blobs(source: RootContents) -> Iterator[tuple[str, bytes]]:
    """All blobs of a file, ``root/skeleton`` first."""
    records = source.records
    trees = {id(record.entry): i for i, record in enumerate(source.tree_records)}
    ntuples = {id(entry): i for i, (entry, _) in enumerate(source.ntuple_records)}
    objects: list[bytes] = []
    keys: list[dict[str, Any]] = []
    directories = {id(d.key): i for i, d in enumerate(records.directories)}
    for number, entry in enumerate(records.entries):
        if number in source.left_out:
            continue
        item: dict[str, Any] = {"directory": entry.directory, "key": pack_key(entry.key)}
        if number in source.left:
            item["fixed"] = [entry.key.seek, entry.key.nbytes]
        elif id(entry) in trees:
            item["tree"] = trees[id(entry)]
        elif id(entry) in ntuples:
            item["ntuple"] = ntuples[id(entry)]
            item["anchor"] = records.object_bytes(entry.key).hex()
        elif id(entry.key) in directories:
            item["is_directory"] = directories[id(entry.key)]
        else:
            objects.append(records.object_bytes(entry.key))
        keys.append(item)
    info = None
    if records.info_key is not None:
        info = pack_key(records.info_key)
        objects.append(records.object_bytes(records.info_key))
    blobs: list[tuple[str, bytes]] = []
    described = []
    first = 0
    for number, record in enumerate(source.tree_records):
        item, more = _write_tree(source, record, first)
        described.append(item)
        blobs += [(f"root/tree/{number}/{name}", data) for name, data in more]
        if record.source is not None:
            first += len(record.source.log.fields)
    described_ntuples = []
    for number, (_, ntuple) in enumerate(source.ntuple_records):
        item, more = pack_ntuple(ntuple)
        described_ntuples.append(item)
        blobs += [(f"root/ntuple/{number}/{name}", data) for name, data in more]
    version = _VERSION_FIXED if _needs_newer(source) else VERSION
    skeleton = {
        "version": version,
        "file": _describe_header(records.header),
        "directories": [
            {
                "key": pack_key(d.key),
                "version": d.header.version,
                "created": d.header.created,
                "modified": d.header.modified,
                "nbytes_name": d.header.nbytes_name,
                "rest": d.header.rest.hex(),
                "prefix": d.prefix.decode("latin-1"),
                "parent": d.parent,
                "list": None if d.list_key is None else pack_key(d.list_key),
                # Old files call a folder otherwise in the list of keys than in its record.
                **({"own": pack_key(d.own_key)} if _differ(d.key, d.own_key) else {}),
            }
            for d in records.directories
        ],
        "keys": keys,
        "info": info,
        "trees": described,
        "ntuples": described_ntuples,
        **({} if version == VERSION else {"fixed": source.fixed}),
    }
    yield "root/skeleton", json.dumps(skeleton, separators=(",", ":")).encode("ascii")
    yield "root/objects", b"".join(objects)
    yield from blobs
    yield from fixed_blobs(records.reader, source.fixed)
    yield from ((f"root/tail/{number}", piece) for number, piece in enumerate(source.tail()))


def _describe_header(header: FileHeader) -> dict[str, Any]:
    return {
        "version": header.version,
        "begin": header.begin,
        "nbytes_name": header.nbytes_name,
        "units": header.units,
        "compress": header.compress,
        "uuid_version": header.uuid_version,
        "uuid": header.uuid.hex(),
    }


def _needs_newer(source: RootContents) -> bool:
    """Whether readers of before :data:`_VERSION_FIXED` would take the file for another."""
    plans = (
        plan
        for record in source.tree_records
        if record.source is not None
        for plan in record.source.plans
    )
    columns = (column for _, ntuple in source.ntuple_records for column in ntuple.columns)
    return (
        bool(source.fixed)
        or any(plan.kind == layout.LEFT for plan in plans)
        or any(column.late or column.role == OTHER for column in columns)
    )


def _differ(a: Key, b: Key) -> bool:
    return (a.class_name, a.name, a.title) != (b.class_name, b.name, b.title)


def _write_tree(
    source: RootContents, record: TreeRecord, first: int
) -> tuple[dict[str, Any], list[tuple[str, bytes]]]:
    item: dict[str, Any] = {
        "name": record.name,
        "class": record.entry.key.class_name.decode("latin-1"),
        "at_branches": record.at_branches,
    }
    if record.headers > 1:
        item["headers"] = record.headers
    if record.source is None:
        item["shared"] = True
        item["entries"] = max((branch.entries for branch in record.branches), default=0)
        numbers = _numbers_by_seek(source)
        left = _left_of(record, numbers)
        if left:
            item["left"] = sorted(left)
        return item, [("object", _clear_shared(record, numbers, left))]
    tree = record.source
    tree.complete_log()
    item["entries"] = tree.num_entries
    extra: list[bytes] = []
    for name in ("raw_tails", "raw_headers"):
        raw = getattr(tree.log, name)
        item[name] = [[row, len(raw[row])] for row in sorted(raw)]
        extra += [raw[row] for row in sorted(raw)]
    stored = []
    for plan in tree.plans:
        if plan.kind == layout.STORED:
            for ref in plan.baskets:
                if ref.embedded is None:
                    data = bytes(tree.stored_record(ref))
                    key, _ = Key.unpack(data)
                    row = tree.log.row(plan.number, ref)
                    tree.log.totals[row] = key.keylen + key.objlen
                    stored.append([row, len(data)])
                    extra.append(data)
    item["stored"] = stored
    # An upper bound of the restored tree's size.
    item["bytes"] = int(tree.log.totals.sum())
    tables = [table.name for table in tree.tables]
    item["tables"] = tables
    item["plan"], packed = pack_plans(tree.plans, tables)
    blobs = [
        ("object", _clear(record)),
        ("plan", packed),
        ("baskets", pack_fields(tree.log.fields, tree.plans)),
        ("extra", b"".join(extra)),
    ]
    return item, blobs


def _numbers_by_seek(source: RootContents) -> dict[int, int]:
    """Number of every basket in the file, by its offset."""
    out: dict[int, int] = {}
    first = 0
    for record in source.tree_records:
        if record.source is None:
            continue
        for plan in record.source.plans:
            for ref in plan.baskets:
                if ref.embedded is None:
                    out[ref.seek] = first + record.source.log.row(plan.number, ref)
        first += len(record.source.log.fields)
    return out


def _left_of(record: TreeRecord, numbers: Mapping[int, int]) -> frozenset[int]:
    """Branches of an older cycle whose baskets are not among those that are written anew."""
    out = set()
    data = bytearray(record.payload)
    for number, branch in enumerate(record.branches):
        seeks = table(data, branch, "seek")[: branch.write_basket].tolist()
        if branch.file_name or any(seek and seek not in numbers for seek in seeks):
            out.add(number)
    return frozenset(out)


def _clear_shared(record: TreeRecord, numbers: Mapping[int, int], left: frozenset[int]) -> bytes:
    """An older cycle of a tree, with basket numbers (from 1) in place of offsets."""
    data = bytearray(record.payload)
    for number, branch in enumerate(record.branches):
        if number in left:
            continue
        seeks = table(data, branch, "seek")
        count = branch.write_basket
        seeks[:] = [numbers[s] + 1 if s and i < count else 0 for i, s in enumerate(seeks.tolist())]
        table(data, branch, "bytes")[:] = 0
    return bytes(data)


def _clear(record: TreeRecord) -> bytes:
    tree = record.source
    if tree is None:  # pragma: no cover - the caller has looked
        return record.payload
    data = bytearray(record.payload)
    zipped = 0
    for plan, branch in zip(tree.plans, tree.branches, strict=True):
        if plan.kind == layout.LEFT:
            continue
        free = [ref for ref in plan.baskets if ref.embedded is None]
        nbytes = sum(ref.nbytes for ref in free)
        zipped += nbytes
        total = sum(int(tree.log.totals[tree.log.row(plan.number, ref)]) for ref in free)
        number_at(data, branch.at_zip_bytes, branch.total_dtype)[0] -= nbytes
        number_at(data, branch.at_tot_bytes, branch.total_dtype)[0] -= total
        table(data, branch, "bytes")[:] = 0
        seeks = table(data, branch, "seek")
        seeks[:] = 0
        seeks[[ref.index for ref in free]] = _PRESENT
        if not plan.has_columns:
            continue
        for ref in plan.baskets:
            basket = ref.embedded
            if basket is None:
                continue
            data[basket.data : basket.data + basket.border] = bytes(basket.border)
            if tree.log.fields[tree.log.row(plan.number, ref), 0]:
                size = 4 * basket.header.nev
                data[basket.offsets : basket.offsets + size] = bytes(size)
    at = tree_zip_bytes(data, record.headers)
    if at is not None:
        number_at(data, at)[0] -= zipped
    _xor_entries(data, tree.branches, reverse=True)
    return bytes(data)


def _xor_entries(data: bytearray, branches: Sequence[StreamedBranch], *, reverse: bool) -> None:
    """XOR each fBasketEntry with the one before it, where they are of one length."""
    pairs = list(itertools.pairwise(branches))
    for before, after in reversed(pairs) if reverse else pairs:
        alike = before.entry_dtype == after.entry_dtype
        if alike and before.max_baskets == after.max_baskets:
            entries = table(data, after, "entry")
            entries[:] ^= table(data, before, "entry")


@dataclass
class Skeleton:
    """The remainder of a file, parsed."""

    info: dict[str, Any]
    objects: bytes
    trees: list[StoredTree]
    ntuples: list[StoredNTuple]
    tail: list[bytes]
    fixed: FixedRecords


def read_blobs(blobs: Mapping[str, bytes]) -> Skeleton:
    """Parse what :func:`write_blobs` wrote.

    Raises
    ------
    CorruptionError, UnsupportedVersionError
    """
    try:
        info = json.loads(blobs["root/skeleton"])
        if info["version"] not in (VERSION, _VERSION_FIXED):
            known = f"versions up to {_VERSION_FIXED}"
            msg = f"remainder of version {info['version']}; this release reads {known}"
            raise UnsupportedVersionError(msg, hint="install a newer vortex_hep")
        keys = {item["tree"]: item["key"] for item in info["keys"] if "tree" in item}
        trees = [
            _read_tree(blobs, number, item, unpack_key(keys[number]))
            for number, item in enumerate(info["trees"])
        ]
        ntuples = [
            unpack_ntuple(
                item, blobs[f"root/ntuple/{number}/envelopes"], blobs[f"root/ntuple/{number}/extra"]
            )
            for number, item in enumerate(info["ntuples"])
        ]
        pieces = sum(name.startswith("root/tail/") for name in blobs)
        tail = [blobs[f"root/tail/{number}"] for number in range(pieces)]
        places = [(int(offset), int(size)) for offset, size in info.get("fixed", ())]
        fixed = FixedRecords(places, blobs)
        return Skeleton(info, blobs["root/objects"], trees, ntuples, tail, fixed)
    except (KeyError, ValueError, IndexError, TypeError) as error:
        if isinstance(error, VortexError):
            raise
        msg = f"the remainder of the ROOT file is damaged: {error!r}"
        raise CorruptionError(msg) from error


def _read_tree(
    blobs: Mapping[str, bytes], number: int, item: Mapping[str, Any], key: Key
) -> StoredTree:
    prefix = f"root/tree/{number}/"
    data = bytearray(blobs[prefix + "object"])
    branches = TreeWalker(data, key.keylen).walk(item["at_branches"])
    headers = item.get("headers", 0 if item["class"] == "TTree" else 1)
    tree = StoredTree(
        item["name"], headers, item.get("shared", False), data, branches,
        [], 0, item.get("bytes", 0), np.empty((0, len(BASKET_FIELDS)), np.int64), {}, {}, {},
        frozenset(item.get("left", ())),
    )  # fmt: skip
    if tree.shared:
        return tree
    tree.entries = item["entries"]
    _xor_entries(data, branches, reverse=False)
    paths: list[str] = []
    for branch in branches:
        paths.append((paths[branch.parent] + "/" if branch.parent >= 0 else "") + branch.name)
    names = layout.unique_names(paths, [branch.name for branch in branches])
    tree.plans = unpack_plans(item["plan"], blobs[prefix + "plan"], names, item["tables"])
    for plan, branch in zip(tree.plans, branches, strict=True):
        if plan.kind == layout.LEFT:
            continue
        plan.key_names = (branch.name.encode("utf-8", "surrogateescape"), key.name)
        tables = [table(data, branch, which).tolist() for which in ("bytes", "entry", "seek")]
        plan.baskets = layout.find_baskets(branch, *tables)
        if plan.baskets:
            plan.first, plan.stop = plan.baskets[0].start, plan.baskets[-1].stop
    tree.fields = unpack_fields(blobs[prefix + "baskets"], tree.plans)
    extra, position = blobs[prefix + "extra"], 0
    for name, out in (
        ("raw_tails", tree.raw_tails),
        ("raw_headers", tree.raw_headers),
        ("stored", tree.stored),
    ):
        for row, size in item[name]:
            out[row] = extra[position : position + size]
            position += size
    return tree
