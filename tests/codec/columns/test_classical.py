"""Conformance of every classical coder: lossless, strict, old payloads decode for ever."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vortex_hep import errors
from vortex_hep.codec.columns.bytecoders import Store
from vortex_hep.codec.columns.classical import (
    COLUMN_CODERS,
    MAX_DECODED,
    decode,
    decode_solid,
    decode_varbytes,
)
from vortex_hep.codec.columns.column_coders import Constant, Laid
from vortex_hep.codec.columns.layouts import PLAIN, from_ordered, to_ordered, unsigned_view
from vortex_hep.codec.columns.registry import Registry
from vortex_hep.core.schema import COLUMN_DTYPES

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "classical-v1.json").read_text())

#: Ids are stored in archives: a line here never changes; a new coder adds one.
IDS = {
    1: "raw", 2: "constant", 3: "bits", 4: "pco",
    16: "zstd", 17: "shuffle-zstd", 18: "delta-zstd", 19: "delta-shuffle-zstd", 20: "bits-zstd",
    32: "lzma", 33: "shuffle-lzma", 34: "delta-lzma", 35: "delta-shuffle-lzma", 36: "bits-lzma",
    260: "pco-components", 272: "zstd-components", 273: "shuffle-zstd-components",
    274: "delta-zstd-components", 275: "delta-shuffle-zstd-components",
    276: "bits-zstd-components", 288: "lzma-components", 289: "shuffle-lzma-components",
    290: "delta-lzma-components", 291: "delta-shuffle-lzma-components",
    292: "bits-lzma-components",
}  # fmt: skip

CODERS = [pytest.param(coder, id=coder.name) for coder in COLUMN_CODERS]


def same(found: np.ndarray, array: np.ndarray) -> bool:
    return (
        found.dtype.str == array.dtype.str
        and found.shape == (array.size,)
        and found.tobytes() == array.tobytes()
    )


@st.composite
def bit_arrays(draw):
    """Arrays of all dtypes with any bits: random, from few values, rising, or constant."""
    dtype = np.dtype(draw(st.sampled_from(COLUMN_DTYPES)))
    shape = draw(st.one_of(st.tuples(st.integers(0, 300)), hnp.array_shapes(max_dims=3)))
    size = int(np.prod(shape))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    how = draw(st.sampled_from(["any", "few", "rising", "constant"]))
    if how == "rising":
        array = np.cumsum(rng.integers(0, 3, size)).astype(dtype).reshape(shape)
    else:
        pool = rng.bytes(dtype.itemsize * {"any": max(size, 1), "few": 3, "constant": 1}[how])
        values = np.frombuffer(pool, dtype)
        index = np.arange(size) if how == "any" else rng.integers(0, len(values), size)
        array = values[index].reshape(shape)
    return array


SPECIAL = [
    np.array([0x7FC00000, 0x7F800001, 0xFFFFFFFF, 0x80000000, 0, 1, 0x7F800000, 0xFF800000], "<u4")
    .view("<f4"),
    np.array([0x7FF0000000000001, 1 << 63, 1, 0xFFF0 << 48], "<u8").view("<f8"),
    np.arange(1 << 16, dtype="<u2").view("<f2"),
    np.frombuffer(bytes(range(256)), "|b1"),
    np.array([-(1 << 63), (1 << 63) - 1, 0, -1], "<i8"),
    np.array([(1 << 64) - 1, 0, 1 << 63], "<u8"),
]  # fmt: skip


def test_every_coder_has_its_line_here():
    assert {coder.id: coder.name for coder in COLUMN_CODERS} == IDS


@pytest.mark.parametrize("coder", CODERS)
@settings(max_examples=40)
@given(array=bit_arrays())
def test_round_trip(coder, array):
    if isinstance(coder, Constant):
        array = np.full(array.nbytes, 7, "u1").view(array.dtype).reshape(array.shape)
    payload = coder.encode(array)
    found = coder.decode(payload, array.dtype, array.size)
    assert same(found, array)
    assert found.flags.writeable
    with pytest.raises(errors.CorruptionError):
        coder.decode(payload + b"\x00", array.dtype, array.size)
    if payload:
        with pytest.raises(errors.CorruptionError):
            coder.decode(payload[:-1], array.dtype, array.size)
        with pytest.raises(errors.CorruptionError):
            coder.decode(payload, array.dtype, 0)


@pytest.mark.parametrize("coder", CODERS)
@pytest.mark.parametrize("array", SPECIAL, ids=lambda array: array.dtype.str)
def test_special_bits(coder, array):
    if not isinstance(coder, Constant):
        assert same(coder.decode(coder.encode(array), array.dtype, array.size), array)


@pytest.mark.parametrize("coder", CODERS)
def test_every_prefix_raises(coder):
    array = np.full(60, 3, "<i4") if isinstance(coder, Constant) else np.arange(60, dtype="<i4") % 7
    payload = coder.encode(array)
    for size in range(len(payload)):
        with pytest.raises(errors.CorruptionError):
            coder.decode(payload[:size], array.dtype, array.size)


@pytest.mark.parametrize("coder", CODERS)
def test_other_counts_raise_or_are_exact_in_size(coder):
    array = np.full(60, 3, "<i4") if isinstance(coder, Constant) else np.arange(60, dtype="<i4") % 7
    payload = coder.encode(array)
    for count in (1, 59, 61, 1000):
        try:
            found = coder.decode(payload, "<i4", count)
        except errors.CorruptionError:
            continue
        assert found.shape == (count,)
    for count in (-1, MAX_DECODED // 4 + 1, 1 << 62):
        with pytest.raises(errors.CorruptionError):
            coder.decode(payload, "<i4", count)


@pytest.mark.parametrize("coder", CODERS)
@settings(max_examples=60)
@given(data=st.data())
def test_damage_raises_or_decodes_to_the_right_size(coder, data):
    array = np.full(40, 3, "<f4") if isinstance(coder, Constant) else np.arange(40, dtype="<f4")
    payload = bytearray(coder.encode(array))
    for _ in range(data.draw(st.integers(1, 3))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    for hostile in (bytes(payload), data.draw(st.binary(max_size=60))):
        try:
            found = coder.decode(hostile, "<f4", 40)
        except errors.CorruptionError:
            continue
        assert found.shape == (40,)


@pytest.mark.parametrize("coder", CODERS)
def test_other_dtypes_are_refused(coder):
    for array in (
        np.zeros(3, ">i4"),
        np.zeros(3, "<c8"),
        np.zeros(3, "S4"),
        np.zeros(3, "<f4,<i4"),
    ):
        with pytest.raises(errors.UnsupportedTypeError):
            coder.encode(array)
        with pytest.raises(errors.UnsupportedTypeError):
            coder.decode(b"", array.dtype, 3)


@pytest.mark.parametrize("entry", GOLDEN["columns"], ids=lambda e: f"{e['coder']}{e['dtype']}")
def test_golden_payloads_decode_as_ever(entry):
    found = decode(entry["coder"], bytes.fromhex(entry["payload"]), entry["dtype"], entry["count"])
    assert found.tobytes().hex() == entry["data"]


def test_golden_payloads_cover_every_coder():
    assert {entry["coder"] for entry in GOLDEN["columns"]} == set(IDS)


def test_golden_solid_and_strings_decode_as_ever():
    solid = GOLDEN["solid"]
    arrays = decode_solid(bytes.fromhex(solid["payload"]), [tuple(c) for c in solid["columns"]])
    assert b"".join(a.tobytes() for a in arrays).hex() == solid["data"]
    strings = GOLDEN["strings"]
    found = decode_varbytes(bytes.fromhex(strings["payload"]), len(strings["rows"]))
    rows = [
        found.content[a:b].tobytes().hex()
        for a, b in zip(found.offsets[:-1], found.offsets[1:], strict=True)
    ]
    assert rows == strings["rows"]


# The worked examples of SPEC section 4.


@pytest.mark.parametrize(
    ("coder", "dtype", "values", "payload"),
    [
        ("raw", "<u2", [1, 2], "01000200"),
        ("constant", "<u2", [513, 513, 513], "0102"),
        ("bits", "|b1", [1, 0, 1, 1, 0, 0, 0, 0, 1], "01000d01"),
        ("bits", "<i2", [-1, 2, 0], "02ff7f0602"),
    ],
)
def test_worked_examples_of_the_specification(coder, dtype, values, payload):
    array = np.array(values, "u1").view("|b1") if dtype == "|b1" else np.array(values, dtype)
    found = COLUMN_CODERS.get(coder)
    assert found.encode(array).hex() == payload
    assert same(found.decode(bytes.fromhex(payload), dtype, len(values)), array)


def test_worked_example_of_the_layouts():
    from vortex_hep.codec.columns.layouts import DELTA, DELTA_SHUFFLE, SHUFFLE

    array = np.array([5, 7, 6], "<u2")
    assert SHUFFLE.to_body(array).hex() == "050706000000"
    assert DELTA.to_body(array).hex() == "0a0004000100"
    assert DELTA_SHUFFLE.to_body(array).hex() == "0a0401000000"


@pytest.mark.parametrize("dtype", COLUMN_DTYPES)
def test_ordered_view_sorts_as_the_values_do(dtype):
    rng = np.random.default_rng(1)
    array = np.frombuffer(rng.bytes(4000), dtype)
    ordered = to_ordered(unsigned_view(array), array.dtype)
    assert from_ordered(ordered, array.dtype).tobytes() == array.tobytes()
    if array.dtype.kind in "iu":
        assert (np.argsort(ordered, kind="stable") == np.argsort(array, kind="stable")).all()
    elif array.dtype.kind == "f":
        finite = array[np.isfinite(array)]
        ordered = to_ordered(unsigned_view(finite), finite.dtype)
        assert (np.diff(finite[np.argsort(ordered)].astype("f8")) >= 0).all()


@pytest.mark.parametrize("bad", ["21" + "00" * 4, "02000000000611", "01000000000980"])
def test_bit_planes_that_cannot_be_are_refused(bad):
    with pytest.raises(errors.CorruptionError):
        COLUMN_CODERS.get("bits").decode(bytes.fromhex(bad), "<u4", 4)


def test_constant_refuses_what_is_not():
    with pytest.raises(errors.UnsupportedTypeError):
        COLUMN_CODERS.get("constant").encode(np.array([0.0, -0.0], "<f4"))


def test_pco_takes_more_than_one_block():
    rng = np.random.default_rng(5)
    array = rng.normal(size=(1 << 18) * 2 + 5).astype("<f2")
    coder = COLUMN_CODERS.get("pco")
    payload = coder.encode(array)
    assert same(coder.decode(payload, array.dtype, array.size), array)
    for bad in (payload[: len(payload) // 2], payload + b"x", payload[:2] + b"\xff" + payload[3:]):
        with pytest.raises(errors.CorruptionError):
            coder.decode(bad, array.dtype, array.size)


def test_registry_takes_no_id_or_name_twice():
    registry: Registry[Laid] = Registry("coder")
    registry.register(Laid(1, "one", PLAIN, Store()))
    for number, name in ((1, "two"), (2, "one"), (0, "zero"), (65536, "big")):
        with pytest.raises(ValueError, match=r"registered|outside"):
            registry.register(Laid(number, name, PLAIN, Store()))
    assert [coder.name for coder in registry] == ["one"]
    for key in (7, "seven"):
        with pytest.raises(errors.UnknownCodecError, match=r"seven|7"):
            registry.get(key)
