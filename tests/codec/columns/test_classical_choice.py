"""Tests of choosing coders, groups of small columns, byte strings."""

from __future__ import annotations

import lzma

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vortex_hep import errors
from vortex_hep.codec.columns.bytecoders import Lzma, Zstd
from vortex_hep.codec.columns.classical import (
    COLUMN_CODERS,
    decode,
    decode_solid,
    decode_varbytes,
    encode_best,
    encode_solid,
    encode_varbytes,
)
from vortex_hep.codec.columns.column_coders import Components
from vortex_hep.core.schema import COLUMN_DTYPES, VarBytes

EFFORTS = ("fast", "normal", "max")


def columns():
    rng = np.random.default_rng(11)
    return {
        "normal": rng.normal(size=3000).astype("<f4"),
        "rounded": rng.exponential(30, 2000).astype("<f4").round(1),
        "rising": np.cumsum(rng.poisson(3, 3000)).astype("<u8"),
        "flags": rng.integers(0, 100, 5000).astype(bool) < 1,
        "few": rng.choice(np.array([11, -11, 13, -13, 22], "<i4"), 3000),
        "repeats": np.tile(rng.normal(size=500).astype("<f8"), 6),
        "rows": np.cumsum(rng.normal(size=(1000, 3)), axis=0).astype("<f4"),
        "random": np.frombuffer(rng.bytes(4000), "|u1"),
        "constant": np.full(500, -0.0, "<f4"),
        "empty": np.empty((0, 3), "<f4"),
        "one": np.array([7], "<i8"),
        "scalar": np.array(7, "<i8"),
    }


@pytest.mark.parametrize("effort", EFFORTS)
@pytest.mark.parametrize("name", list(columns()))
def test_choice_decodes_and_is_no_larger_than_raw(name, effort):
    array = columns()[name]
    before = array.tobytes()
    coder, payload = encode_best(array, effort=effort)
    assert len(payload) <= array.nbytes
    found = decode(coder, payload, array.dtype, array.size)
    assert found.tobytes() == before == array.tobytes()
    assert found.flags.writeable


@pytest.mark.parametrize("name", [n for n, a in columns().items() if a.size > 100])
def test_max_is_no_larger_than_any_coder_and_normal_is_near(name):
    array = columns()[name]
    best = len(encode_best(array, effort="max")[1])
    for coder in COLUMN_CODERS:
        if coder.name != "constant" and (array.ndim > 1 or not isinstance(coder, Components)):
            assert best <= len(coder.encode(array))
    assert len(encode_best(array)[1]) <= 1.03 * best + 16


def test_long_columns_and_their_samples():
    rng = np.random.default_rng(2)
    for array in (
        np.tile(rng.normal(size=5000).astype("<f4"), 8),
        rng.normal(size=40_000).astype("<f4"),
        np.arange(40_000, dtype="<i4"),
        np.cumsum(rng.normal(size=(15_000, 3)), axis=0).astype("<f8"),
    ):
        for effort in ("fast", "normal"):
            coder, payload = encode_best(array, effort=effort)
            assert decode(coder, payload, array.dtype, array.size).tobytes() == array.tobytes()


@settings(max_examples=60)
@given(st.binary(max_size=600), st.sampled_from(COLUMN_DTYPES), st.sampled_from(EFFORTS[:2]))
def test_any_bytes_survive(data, dtype, effort):
    width = np.dtype(dtype).itemsize
    array = np.frombuffer(data[: len(data) // width * width], dtype)
    coder, payload = encode_best(array, effort=effort)
    assert decode(coder, payload, dtype, array.size).tobytes() == array.tobytes()


def test_views_that_are_not_contiguous():
    array = np.arange(4000, dtype="<i4").reshape(1000, 4)[::2, 1]
    coder, payload = encode_best(array)
    assert decode(coder, payload, "<i4", 500).tolist() == array.tolist()


def test_refusals():
    with pytest.raises(errors.UnsupportedTypeError):
        encode_best(np.array(["text"]))
    with pytest.raises(errors.UnsupportedTypeError, match="effort"):
        encode_best(np.arange(3), effort="most")  # type: ignore[arg-type]
    with pytest.raises(errors.UnknownCodecError):
        decode(999, b"", "<f4", 0)


def test_tiny_columns_cost_little(monkeypatch):
    """Few coders are tried, and none that sets up for more than the column is worth."""
    tried: list[str] = []
    dictionaries: list[int] = []
    for kind in (Zstd, Lzma):

        def encode(self, data, width, kind=kind, real=kind.encode):
            tried.append(kind.__name__)
            return real(self, data, width)

        monkeypatch.setattr(kind, "encode", encode)
    compress = lzma.compress

    def noted(data, container, *, filters):
        dictionaries.append(filters[0]["dict_size"])
        return compress(data, container, filters=filters)

    monkeypatch.setattr(lzma, "compress", noted)
    rng = np.random.default_rng(3)
    for size in rng.integers(10, 1000, 50):
        tried.clear()
        encode_best(rng.normal(size=size).astype("<f4"))
        assert tried.count("Zstd") <= 5
        assert tried.count("Lzma") <= (2 if 4 * size > 256 else 0)
    assert 0 < max(dictionaries) <= 4096


@settings(max_examples=50)
@given(st.lists(st.tuples(st.sampled_from(COLUMN_DTYPES), st.integers(0, 40)), max_size=12))
def test_solid_round_trip(shape):
    rng = np.random.default_rng(len(shape))
    arrays = [np.frombuffer(rng.bytes(n * np.dtype(d).itemsize), d) for d, n in shape]
    payload = encode_solid(arrays)
    found = decode_solid(payload, shape)
    assert [a.tobytes() for a in found] == [a.tobytes() for a in arrays]
    assert [a.dtype.str for a in found] == [d for d, _ in shape]
    assert all(a.flags.writeable for a in found)
    for bad in (payload + b"\x00", payload[:-1] if payload else b"\x01"):
        with pytest.raises(errors.CorruptionError):
            decode_solid(bad, shape)
    with pytest.raises(errors.CorruptionError):
        decode_solid(payload, [*shape, ("<f8", 1)])


def test_solid_beats_the_columns_one_by_one():
    arrays = [np.arange(30, dtype="<i4") % (i % 4 + 2) for i in range(40)]
    assert len(encode_solid(arrays)) < sum(len(encode_best(a, effort="max")[1]) for a in arrays)


def test_solid_refuses_other_methods_and_sizes():
    for bad in (b"", b"\x03abcd", b"\xffabcd"):
        with pytest.raises(errors.CorruptionError):
            decode_solid(bad, [("<i4", 1)])
    with pytest.raises(errors.CorruptionError):
        decode_solid(b"", [("<f8", 1 << 27), ("<f8", 1 << 27), ("<f8", 1)])


def pack(rows: list[bytes]) -> VarBytes:
    offsets = np.cumsum([0, *map(len, rows)])
    return VarBytes(offsets.astype(np.int64), np.frombuffer(b"".join(rows), "u1"))


def unpack(strings: VarBytes) -> list[bytes]:
    ends = zip(strings.offsets[:-1], strings.offsets[1:], strict=True)
    return [strings.content[a:b].tobytes() for a, b in ends]


@settings(max_examples=60)
@given(st.lists(st.binary(max_size=400), max_size=40))
def test_strings_round_trip(rows):
    payload = encode_varbytes(pack(rows))
    found = decode_varbytes(payload, len(rows))
    assert unpack(found) == rows
    assert found.offsets.dtype == np.int64
    assert found.content.dtype == np.uint8
    for size in range(0, len(payload), 3):
        with pytest.raises(errors.CorruptionError):
            decode_varbytes(payload[:size], len(rows))
    with pytest.raises(errors.CorruptionError):
        decode_varbytes(payload + b"x", len(rows))


@settings(max_examples=100)
@given(st.data())
def test_damaged_strings_raise_or_stay_in_bounds(data):
    payload = bytearray(encode_varbytes(pack([b"abc", b"", b"HLT_IsoMu24"] * 20)))
    payload[data.draw(st.integers(0, len(payload) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        found = decode_varbytes(bytes(payload), 60)
    except (errors.CorruptionError, errors.UnknownCodecError):
        return
    assert found.offsets[-1] == len(found.content)


def test_strings_of_a_slice_and_of_great_length():
    whole = pack([b"zero", b"one", b"x" * 70_000, b"three"])
    part = VarBytes(whole.offsets[1:4], whole.content)
    assert unpack(decode_varbytes(encode_varbytes(part), 2)) == [b"one", b"x" * 70_000]
    assert unpack(decode_varbytes(encode_varbytes(pack([b"aaaa", b"aa"])), 2)) == [b"aaaa", b"aa"]


@pytest.mark.parametrize("offsets", [[], [-1, 0], [0, 5], [0, 3, 1, 4]])
def test_offsets_that_cannot_be_are_refused(offsets):
    with pytest.raises(errors.UnsupportedTypeError):
        encode_varbytes(VarBytes(np.array(offsets, np.int64), np.zeros(4, np.uint8)))
