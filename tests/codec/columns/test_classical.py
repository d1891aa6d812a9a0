"""Conformance of every classical coder: lossless, strict, old payloads decode for ever."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vortex_hep import errors
from vortex_hep.codec.columns.bytecoders import Store
from vortex_hep.codec.columns.classical import (
    COLUMN_CODERS,
    decode,
    decode_solid,
    decode_varbytes,
)
from vortex_hep.codec.columns.column_coders import Constant, Laid
from vortex_hep.codec.columns.layouts import PLAIN, from_ordered, to_ordered, unsigned_view
from vortex_hep.codec.columns.registry import Registry
from vortex_hep.core.schema import COLUMN_DTYPES
from vortex_hep.testing import ColumnCoderTests, check_codec_round_trip, check_registered
from vortex_hep.testing.conformance.codecs import check_codec_hostile
from vortex_hep.testing.conformance.strategies import column_arrays, damaged

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


def test_every_coder_has_its_line_here():
    check_registered(COLUMN_CODERS, IDS)


def like(coder, array):
    """An array that the coder encodes."""
    if isinstance(coder, Constant):
        return np.full(array.nbytes, 7, "u1").view(array.dtype).reshape(array.shape)
    return array


class TestEveryCoder(ColumnCoderTests):
    @pytest.fixture(autouse=True, params=CODERS)
    def _coder(self, request):
        self.coder = request.param

    def prepare(self, array):
        return like(self.coder, array)


@pytest.mark.parametrize("coder", CODERS)
@settings(max_examples=40)
@given(array=column_arrays())
def test_round_trip(coder, array):
    check_codec_round_trip(coder, [like(coder, array)])


@pytest.mark.parametrize("coder", CODERS)
@settings(max_examples=60)
@given(data=st.data())
def test_damage_raises_or_decodes_to_the_right_size(coder, data):
    array = like(coder, np.arange(40, dtype="<f4"))
    for hostile in (data.draw(damaged(coder.encode(array))), data.draw(st.binary(max_size=60))):
        check_codec_hostile(coder, hostile, "<f4", 40)


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
