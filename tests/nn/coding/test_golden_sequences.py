"""The golden archive of transformers: it decodes for ever, on every engine, as specified."""

from __future__ import annotations

import hashlib
import json
import math
import struct
from pathlib import Path

import numpy as np
import pytest

from tests import plain_sequences as plain
from vortex_hep.archive.archive import Archive
from vortex_hep.codec.container.container import FEATURE_SEQUENCES
from vortex_hep.core.schema import VarBytes
from vortex_hep.models.model import CHUNK_SEQUENCE_MODEL, Model
from vortex_hep.nn.sequence import serial
from vortex_hep.nn.sequence.model import SequenceModel

GOLDEN = Path(__file__).parents[2] / "golden"
ARCHIVE, MODEL = GOLDEN / "sequences-v1.vxc", GOLDEN / "sequences-v1.vxm"
VALUES = json.loads((GOLDEN / "sequences-v1.json").read_text())
FIRST, SECOND = VALUES["lanes"]


def column_bytes(column):
    if isinstance(column, VarBytes):
        return column.offsets.astype("<i8").tobytes() + column.content.tobytes()
    return np.ascontiguousarray(column).tobytes()


def columns_of(start, stop, *, model=None, device="auto"):
    with Archive(ARCHIVE, model=model, device=device) as archive:
        found = archive["Events"].read(start, stop)
    return {n: column_bytes(c) for t in found.values() for n, c in t.columns.items()}


@pytest.mark.parametrize("device", ["cpu", "reference", "torch"])
def test_the_first_cluster_decodes_as_ever(device):
    found = columns_of(0, FIRST, device=device)
    assert {n: b.hex() for n, b in found.items()} == VALUES["columns"]


def test_the_second_cluster_decodes_as_ever_with_the_model_from_its_file():
    model = Model.load(MODEL)
    assert model.sha256 == VALUES["sha256"]
    assert model.classical == {"Events": ("name", "constant")}
    found = columns_of(FIRST, FIRST + SECOND, model=model)
    assert {n: hashlib.sha256(b).hexdigest() for n, b in found.items()} == VALUES["digests"]


def test_a_file_with_sequence_models_says_so():
    with Archive(ARCHIVE) as archive:
        archive.reader.verify()
        assert archive.reader.features == (FEATURE_SEQUENCES, 0)
        assert archive.model is not None
        kinds = {n: type(m) for n, m in archive.model.tables("Events").items()}
        assert {n for n, k in kinds.items() if k is SequenceModel} == {"", "/scalars", "J"}
        assert [plan for plan in kinds if plan not in ("", "/scalars", "J")] == ["T"]
        assert sum(int(c["kind"]) == CHUNK_SEQUENCE_MODEL for c in archive.reader.chunks) == 3


def network_chunk(plan: str):
    """Head, modes, escapes and network of a plan's chunk in the first cluster."""
    with Archive(ARCHIVE) as archive:
        tree = archive.coded["Events"]
        names = [p.name for p in tree.plans]
        payload = archive.reader.read(tree.clusters[0][2][names.index(plan)])
        columns = tree.plans[names.index(plan)].columns
    flags, g, _, rows = struct.unpack_from("<BBII", payload)
    sections = plain.sections_of(payload[10:])
    assert flags & 5 == 1
    modes = dict(zip(columns, plain.Arrays(sections[0]).take("|u1", len(columns)), strict=True))
    return g, rows, modes, *sections[-2:]


def plain_bytes(column: tuple[str, str, int, list[int]], rows: int) -> list[list[int]]:
    """Bytes of a column's rows, as 9.1 orders them, from its values in the archive's content."""
    name, dtype, items, _ = column
    data, width = bytes.fromhex(VALUES["columns"][name]), int(dtype[2])
    size = items * width
    assert len(data) == rows * size
    order = [k * width + b for k in range(items) for b in reversed(range(width))]
    return [[data[r * size + at] for at in order] for r in range(rows)]


@pytest.mark.parametrize("plan", ["", "/scalars", "J"])
def test_the_text_of_the_specification_decodes_it(plan):
    """A decoder written from docs/SPEC.md alone restores what the package encoded."""
    found = Model.load(MODEL).tables("Events")[plan]
    assert isinstance(found, SequenceModel)
    model = plain.Plain(serial.dump(found))
    g, rows, modes, escapes, network = network_chunk(plan)
    retyped, gone = {"retyped"}, {"gone"}
    known = [c for c in model.columns if c[0] not in retyped | gone]
    given: dict[int, list[int]] = {}
    first = 0
    for column in model.columns:
        tokens = [k for k, c in enumerate(column[3]) if c == -1]
        whole = plain_bytes(column, rows) if column in known else None
        for at, k in enumerate(tokens):
            if whole is None:
                given[first + at] = [0] * rows
            elif modes[column[0]] != 0:
                given[first + at] = [row[k] for row in whole]
        first += len(tokens)
    head = plain.read_network(network, rows, g)
    records = [[0] * model.p for _ in range(rows)]
    plain.decode(model, head, given, records)
    assert_restored(model, records, escapes, modes, known)
    assert head.chunk < head.lane_rows * model.p
    assert head.memory == model.doc["memory"]


def assert_restored(model, records, escapes, modes, known):
    """Constants and escapes make the columns' bytes of the records."""
    arrays = plain.Arrays(escapes)
    count = len(model.columns)
    counts = arrays.take("<u4", count) if escapes else [0] * count
    places = arrays.take("<u4", sum(counts)) if escapes else []
    fixed = [[k for k, c in enumerate(column[3]) if c >= 0] for column in model.columns]
    sizes = [n * len(f) for n, f in zip(counts, fixed, strict=True)]
    values = arrays.take("|u1", sum(sizes)) if escapes else []
    assert not arrays.data
    first = at = token = 0
    for column, n, left in zip(model.columns, counts, fixed, strict=True):
        tokens = [k for k, c in enumerate(column[3]) if c == -1]
        rows = [list(column[3]) for _ in records]
        for row, record in zip(rows, records, strict=True):
            for k, byte in zip(tokens, record[token:], strict=False):
                row[k] = byte
        for row in places[first : first + n]:
            for k in left:
                rows[row][k] = values[at]
                at += 1
        if column in known and modes[column[0]] == 0:
            assert rows == plain_bytes(column, len(records)), column
        first, token = first + n, token + len(tokens)


def test_the_golden_chunks_have_what_only_some_have():
    g, rows, modes, escapes, network = network_chunk("/scalars")
    lane_rows, chunk, memory = struct.unpack_from("<IIB", network)
    assert escapes
    assert modes["noise"] in (1, 2)
    assert memory == 1
    assert 15 * lane_rows > 2 * chunk
    assert rows % lane_rows
    assert math.ceil(rows // lane_rows / 2**g) > 1
    g, rows, modes, escapes, network = network_chunk("J")
    assert modes == {"J_matrix": 0, "J_n": modes["J_n"]}
    assert modes["J_n"] in (1, 2)
    assert escapes
    assert network[8] == 0
