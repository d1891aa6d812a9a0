"""Tests of streamed records: programs that parse entries and serialise them again."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vortex_hep.core.schema import VarBytes
from vortex_hep.readers.root.records.records import Program, RecordStreams

VERSION = bytes.fromhex("00000badcafe")


def _frame(content):
    return struct.pack(">I", 0x40000000 | len(content)) + content


def _vector(items, pack):
    return struct.pack(">I", len(items)) + b"".join(map(pack, items))


def _payload(entries):
    lengths = np.array([len(entry) for entry in entries], np.int64)
    return np.frombuffer(b"".join(entries), np.uint8), lengths


def _there_and_back(nodes, entries, *, outer=None, bounded=True):
    """Decode, encode, and decode what the encoded constants say."""
    payload, lengths = _payload(entries)
    counts = np.zeros(len(entries), np.int64) if outer is None else np.array(outer, np.int64)
    program = Program(nodes)
    found = program.decode(payload, lengths if bounded else None, len(entries), counts)
    content, ends = Program(nodes, program.constants).encode(found.rows, found.outputs)
    assert content.tobytes() == payload.tobytes()
    assert np.diff(ends, prepend=0).tolist() == lengths.tolist()
    return program, found


nested = st.lists(st.lists(st.lists(st.integers(0, 2**32 - 1), max_size=4), max_size=4), max_size=8)


@given(entries=nested, bounded=st.booleans())
def test_vectors_of_vectors(entries, bounded):
    packed = [
        _frame(b"\0\x09" + _vector(e, lambda inner: _vector(inner, struct.Struct(">I").pack)))
        for e in entries
    ]
    nodes = [["frame", ["version", 0], ["list", 0, ["list", 0, ["row", 4]]]]]
    program, found = _there_and_back(nodes, packed, bounded=bounded)
    assert np.diff(found.rows[1]).tolist() == [len(e) for e in entries]
    sizes, items = found.outputs
    assert np.asarray(sizes).tolist() == [len(inner) for e in entries for inner in e]
    assert np.asarray(items).reshape(-1).view(">u4").tolist() == [
        value for e in entries for inner in e for value in inner
    ]
    assert program.constants == ([b"\0\x09"] if entries else [b""])


@given(entries=st.lists(st.lists(st.binary(max_size=300), max_size=4), max_size=6))
def test_strings(entries):
    def pack(text):
        long = b"\xff" + struct.pack(">I", len(text))
        return (bytes([len(text)]) if len(text) < 255 else long) + text

    packed = [_frame(b"\0\x09" + _vector(e, pack)) for e in entries]
    nodes = [["frame", ["version", 0], ["list", 0, ["string"]]]]
    _, found = _there_and_back(nodes, packed)
    (strings,) = found.outputs
    assert isinstance(strings, VarBytes)
    assert strings.content.tobytes() == b"".join(pack(text) for e in entries for text in e)


@given(entries=st.lists(st.lists(st.tuples(st.integers(0, 99), st.booleans()), max_size=5)))
def test_referenced_objects_are_longer(entries):
    def pack(item):
        pid, referenced = item
        bits = struct.pack(">I", 0x03000010 if referenced else 0x03000000)
        return bits + (struct.pack(">H", pid) if referenced else b"")

    packed = [b"".join(map(pack, e)) for e in entries]
    _, found = _there_and_back([["each", ["bits"]]], packed, outer=[len(e) for e in entries])
    (rows,) = found.outputs
    pids = np.ascontiguousarray(np.asarray(rows)[:, 4:]).view(">u2").reshape(-1)
    assert pids.tolist() == [pid if referenced else 0 for e in entries for pid, referenced in e]


def test_objects_with_checksums():
    nodes = [["frame", ["version", 0], ["list", 0, ["frame", ["version", 1], ["row", 8]]]]]
    item = _frame(VERSION + bytes(range(8)))
    packed = [_frame(b"\0\x09" + _vector([item] * n, bytes)) for n in (0, 2, 1)]
    program, _ = _there_and_back(nodes, packed)
    assert program.constants == [b"\0\x09", VERSION]
    other = _frame(b"\0\0\0\0\0\1" + bytes(8))
    payload, lengths = _payload([*packed, _frame(b"\0\x09" + _vector([other], bytes))])
    with pytest.raises(ValueError, match="byte 98"):
        Program(nodes).decode(payload, lengths, 4, np.zeros(4, np.int64))


def test_member_by_member():
    keys, values = np.arange(3, dtype=">i4"), np.arange(3, dtype=">f8")
    head = bytes.fromhex("400a000012345678")
    entry = _frame(head + struct.pack(">I", 3) + keys.tobytes() + values.tobytes())
    nodes = [["frame", ["memberwise", 0], ["columns", ["row", 4], ["row", 8]]]]
    program, found = _there_and_back(nodes, [entry])
    assert program.constants == [head]
    assert [np.asarray(x).tobytes() for x in found.outputs] == [keys.tobytes(), values.tobytes()]
    # Item by item it would fit too, but for what the version says.
    payload, lengths = _payload([entry])
    with pytest.raises(ValueError, match="byte 4"):
        Program([["frame", ["version", 0], ["list", 0, ["row", 12]]]]).decode(
            payload, lengths, 1, np.zeros(1, np.int64)
        )


def test_up_to_the_end():
    nodes = [["rest", ["row", 2]]]
    _there_and_back(nodes, [b"\0", b"\1abcd", b"\1ab"])
    for wrong in (b"\1", b"\0ab", b"\1a", b"\2ab", b""):
        payload, lengths = _payload([wrong])
        with pytest.raises(ValueError, match="byte"):
            Program(nodes).decode(payload, lengths, 1, np.zeros(1, np.int64))
    with pytest.raises(ValueError, match="no entry offsets"):
        Program(nodes).decode(payload, None, 1, np.zeros(1, np.int64))


@pytest.mark.parametrize(
    "nodes",
    [
        [], [[]], ["frame"], [["frame"], 3], [["what"]], [["row"]], [["row", 0]], [["row", -1]],
        [["row", True]], [["row", 1 << 21]], [["list", ["row", 4]]], [["list", 0]],
        [["list", 0, ["frame", ["version", 0]]]], [["columns"]], [["columns", ["string"]]],
        [["rest", ["row", 2], ["row", 2]]], [["list", 0, ["each", ["row", 1]]]],
        [["list", 0, ["list", 0]]], [["version", -1]], [["version", 1 << 20]], [["string", 1]],
        [["list", 0, ["rest", ["row", 1]]]], [["each"]],
    ],
)  # fmt: skip
def test_nodes_that_make_no_sense(nodes):
    with pytest.raises(ValueError, match="unknown layout"):
        Program(nodes)


def test_nesting_has_a_limit():
    deep = ["row", 1]
    for _ in range(40):
        deep = ["list", 0, deep]
    with pytest.raises(ValueError, match="unknown layout"):
        Program([deep])


ANY = [
    "frame", ["version", 0],
    ["list", 2, ["frame", ["memberwise", 1], ["columns", ["row", 4], ["row", 2]]], ["string"]],
]  # fmt: skip


@given(data=st.binary(max_size=200), cuts=st.integers(1, 5))
def test_any_bytes_are_refused_or_come_back(data, cuts):
    payload = np.frombuffer(data, np.uint8)
    lengths = np.diff(np.linspace(0, len(data), cuts + 1).astype(np.int64))
    for nodes in ([ANY], [["list", 0, ["list", 0, ["bits"]]]], [["rest", ["row", 3]]]):
        program = Program(nodes)
        try:
            found = program.decode(payload, lengths, cuts, np.zeros(cuts, np.int64))
        except ValueError:
            continue
        content, _ = program.encode(found.rows, found.outputs)
        assert content.tobytes() == data


def test_outputs_that_do_not_fit_are_refused():
    nodes = [["frame", ["version", 0], ["list", 0, ["list", 0, ["row", 4]]]]]
    program = Program(nodes, [b"\0\x09"])
    rows = np.array([[0, 1, 2], [0, 2, 3], [0, 3, 4]], np.int64)
    sizes, items = np.array([1, 2, 1]), np.zeros((4, 4), np.uint8)
    assert len(program.encode(rows, [sizes, items])[0]) == 10 * 2 + 3 * 4 + 4 * 4
    for wrong in ([sizes[:2], items], [sizes, items[:3]], [sizes + 1, items], [-sizes, items],
                  [sizes * (1 << 40), items]):  # fmt: skip
        with pytest.raises(ValueError, match="numbers of items differ"):
            program.encode(rows, wrong)
    with pytest.raises(ValueError, match="numbers of items differ"):
        Program(nodes).encode(rows, [sizes, items])
    empty = RecordStreams(np.zeros((3, 1), np.int64), [sizes[:0], items[:0]], np.zeros(0, np.int64))
    assert len(program.encode(empty.rows, empty.outputs)[0]) == 0
