"""Tests of transformers as bytes."""

import dataclasses

import numpy as np
import pytest

from vortex_hep.codec.sections import Reader, join
from vortex_hep.codec.tokens.records import RecordColumn, RecordLayout
from vortex_hep.errors import CorruptionError, VortexError
from vortex_hep.nn.sequence import serial
from vortex_hep.testing.conformance.engines.sequences import bytes_layout, random_model


@pytest.fixture(scope="module")
def model():
    layout = RecordLayout(
        (RecordColumn("pt", "<f4", 1, (-1, -1, -1, 0)), RecordColumn("n", "|u1", 2, (-1, -1)))
    )
    return random_model(
        layout=layout, width=4, heads=2, layers=1, ff=3, window=8, chunk=8, rate=2, table="jets"
    )


@pytest.mark.parametrize("memory", [True, False])
def test_round_trip(memory):
    model = random_model(memory=memory, types=3)
    payload = serial.dump(model)
    back = serial.load(payload)
    assert serial.canonical(back) == serial.canonical(model)
    assert serial.dump(back) == payload
    assert (back.table, back.layout, back.shape) == (model.table, model.layout, model.shape)
    for name, array in model.weights.items():
        np.testing.assert_array_equal(back.weights[name], array)
        assert back.weights[name].dtype == array.dtype


def test_every_prefix_raises(model):
    payload = serial.dump(model)
    for size in range(0, len(payload), 7):
        with pytest.raises(VortexError):
            serial.load(payload[:size])


@pytest.mark.slow
def test_flipped_bytes_raise_nothing_but_our_own_errors(model):
    """What a flip leaves readable is told by the checksums around it."""
    payload = serial.dump(model)
    raised = 0
    for at in range(0, len(payload), 5):
        bad = bytearray(payload)
        bad[at] ^= 0x10
        try:
            found = serial.load(bytes(bad))
        except VortexError:
            raised += 1
        else:
            assert found.shape.arrays().keys() == found.weights.keys()
    assert raised > 20


@pytest.mark.parametrize(
    ("name", "value"),
    [("unit", 0), ("unit", 128), ("value_factor", -1), ("qkv_factor", -1), ("mix", 257),
     ("project_bias", (1 << 24) + 1), ("head_bias", -(1 << 20) - 1), ("qkv", -128)],
)  # fmt: skip
def test_values_that_could_overflow_are_refused(model, name, value):
    weights = {k: v.copy() for k, v in model.weights.items()}
    weights[name].flat[0] = value
    payload = serial.dump(dataclasses.replace(model, weights=weights))
    with pytest.raises(CorruptionError, match=f"weights '{name}' out of range"):
        serial.load(payload)


def documents(payload, change):
    """The stored model with another document."""
    import json
    import struct

    from vortex_hep.core import zstd

    reader = Reader(payload)
    head, body = reader.section(), reader.section()
    document = json.loads(zstd.decompress(head[4:], struct.unpack("<I", head[:4])[0]))
    change(document)
    text = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    return join([struct.pack("<I", len(text)) + zstd.compress(text, 3), body])


@pytest.mark.parametrize(
    "change",
    [{"width": 5}, {"width": 1 << 13}, {"heads": 3}, {"window": 4097}, {"chunk": 9}, {"chunk": 0},
     {"layers": True}, {"lane_tokens": 0}, {"use_memory": 1}, {"memory": False}, {"columns": []},
     {"columns": [["a", "<f4", 1, [0, 0, 0, 0]]]}, {"columns": [["a", "<q9", 1, [-1]]]},
     {"columns": [["a", "|u1", 1, [256]]]}, {"columns": 3}, {"extra": 1}, {"table": 4}],
    ids=str,
)  # fmt: skip
def test_documents_that_cannot_be_are_refused(model, change):
    payload = documents(serial.dump(model), lambda d: d.update(change))
    with pytest.raises(CorruptionError):
        serial.load(payload)


def test_the_document_must_be_whole(model):
    for key in ("table", "columns", "width", "chunk", "memory"):
        payload = documents(serial.dump(model), lambda d, key=key: d.pop(key))
        with pytest.raises(CorruptionError):
            serial.load(payload)


def test_layouts_give_back_what_they_pack():
    layout = bytes_layout(3)
    rows = np.arange(12, dtype=np.uint8).reshape(4, 3)
    packed = layout.pack({"record": rows}, 4)
    np.testing.assert_array_equal(layout.unpack(packed, layout.parts[0], (3,)), rows)
