"""The checks of column coders catch coders that are wrong, and pass those that are right."""

from __future__ import annotations

import lzma
import zlib
from dataclasses import dataclass

import numpy as np
import pytest

from vortex_hep.codec.columns import classical
from vortex_hep.codec.columns.column_coders import COLUMN_CODERS, check_array, check_request
from vortex_hep.errors import CorruptionError
from vortex_hep.testing import (
    ColumnCoderTests,
    ConformanceError,
    check_codec_damage,
    check_codec_round_trip,
    check_registered,
    column_arrays,
)
from vortex_hep.testing.conformance import codecs


@dataclass(frozen=True)
class Deflate:
    """A coder of somebody else's."""

    id: int = 40_000
    name: str = "deflate"

    def encode(self, array):
        return zlib.compress(check_array(array).tobytes()) if array.size else b""

    def decode(self, payload, dtype, count):
        found = check_request(dtype, count)
        size = count * found.itemsize
        if not count:
            if payload:
                raise CorruptionError("bytes for no items")
            return np.empty(0, found)
        try:
            inflating = zlib.decompressobj()
            data = inflating.decompress(payload, size + 1)
        except zlib.error as error:
            raise CorruptionError(str(error)) from error
        if len(data) != size or not inflating.eof or inflating.unused_data:
            raise CorruptionError("another size")
        return np.frombuffer(data, found).copy()


class TestDeflate(ColumnCoderTests):
    coder = Deflate()


@pytest.fixture
def registered(monkeypatch):
    """Deflate, registered for one test."""
    for name in ("_by_id", "_by_name"):
        monkeypatch.setattr(COLUMN_CODERS, name, dict(getattr(COLUMN_CODERS, name)))
    return COLUMN_CODERS.register(Deflate())


def test_a_registered_coder_of_somebody_else_passes(registered):
    check_codec_round_trip(registered, column_arrays())
    check_codec_damage(registered, np.arange(60) % 7)
    array = np.arange(5.0)
    payload = COLUMN_CODERS.get("deflate").encode(array)
    assert classical.decode(40_000, payload, "<f8", 5).tolist() == array.tolist()


def test_a_registered_coder_without_an_entry_is_named(registered):
    entries = {c.id: c.name for c in COLUMN_CODERS}
    check_registered(COLUMN_CODERS, entries)
    del entries[registered.id]
    with pytest.raises(ConformanceError, match=r"column coder 'deflate' \(id 40000\).*no conform"):
        check_registered(COLUMN_CODERS, entries)
    with pytest.raises(ConformanceError, match=r"expected 'other', found 'deflate'"):
        check_registered(COLUMN_CODERS, {**entries, 40_000: "other"})
    with pytest.raises(ConformanceError, match=r"column coder 'gone' \(id 7\).*found None"):
        check_registered(COLUMN_CODERS, {**entries, 40_000: "deflate", 7: "gone"})


class QuietNans(Deflate):
    """Floating-point arithmetic: signalling NaNs become quiet ones, as they do in registers."""

    def decode(self, payload, dtype, count):
        array = super().decode(payload, dtype, count)
        if array.dtype == np.float32:
            bits = array.view("u4")
            bits[np.isnan(array)] |= 0x400000
        return array


class NoSignOfZero(Deflate):
    def encode(self, array):
        if array.dtype != np.float32:
            return super().encode(array)
        return super().encode(np.where(array == 0, np.float32(0), array))


class FlushesDenormals(Deflate):
    def decode(self, payload, dtype, count):
        array = super().decode(payload, dtype, count)
        if array.dtype == np.float64:
            array[(array != 0) & (np.abs(array) < np.finfo(array.dtype).tiny)] = 0.0
        return array


class Booleans(Deflate):
    """Takes any byte but 0 for True."""

    def decode(self, payload, dtype, count):
        array = super().decode(payload, dtype, count)
        return array.view("u1").astype(bool) if array.dtype == bool else array


class ThroughFloats(Deflate):
    """64-bit integers by way of float64."""

    def decode(self, payload, dtype, count):
        array = super().decode(payload, dtype, count)
        if array.dtype == np.int64:
            return array.astype("f8").clip(-(2.0**62), 2.0**62).astype("i8")
        return array


class ReadOnly(Deflate):
    def decode(self, payload, dtype, count):
        array = super().decode(payload, dtype, count)
        array.flags.writeable = False
        return array


class KeepsShape(Deflate):
    def decode(self, payload, dtype, count):
        return super().decode(payload, dtype, count).reshape(1, -1)


class OtherDtype(Deflate):
    def decode(self, payload, dtype, count):
        return super().decode(payload, dtype, count).astype(">f8")


class Lenient(Deflate):
    """Ignores what is behind the stream."""

    def decode(self, payload, dtype, count):
        found = check_request(dtype, count)
        if not payload:
            return np.empty(0, found)
        data = zlib.decompressobj().decompress(payload)
        return np.frombuffer(data, found, count).copy()


class NeedsContiguous(Deflate):
    def encode(self, array):
        return zlib.compress(memoryview(array).cast("B")) if array.size else b""


class SortsItsInput(Deflate):
    def encode(self, array):
        payload = super().encode(array)
        if array.flags.writeable:
            array[:2] = array[:2][::-1].copy()
        return payload


class Bytearrays(Deflate):
    def encode(self, array):
        return bytearray(super().encode(array))


class ForgetsNothing(Deflate):
    """Each payload depends on how many there were before."""

    made = 0

    def encode(self, array):
        type(self).made += 1
        return zlib.compress(array.tobytes(), type(self).made % 10) if array.size else b""


class OtherErrors(Deflate):
    def decode(self, payload, dtype, count):
        check_request(dtype, count)
        return np.frombuffer(zlib.decompress(payload), dtype, count).copy()


class AnyType(Deflate):
    def encode(self, array):
        return lzma.compress(array.tobytes())


FLOATS = {k: a for k, a in column_arrays().items() if a.dtype == np.float32}


@pytest.mark.parametrize(
    ("coder", "message"),
    [
        (QuietNans, r"<f4 special values, item 3: items differ: expected .*0x7f800001.*0x7fc00001"),
        (NoSignOfZero, r"<f4 special .* expected -0\.0 \(bits 0x80000000\), found 0\.0 \(bits 0x0"),
        (FlushesDenormals, r"<f8 special.*expected 5e-324 \(bits 0x0000000000000001\), found 0\.0"),
        (Booleans, r"\|b1 special values, item 2: items differ"),
        (ThroughFloats, r"<i8 .*items differ: expected -9223372036854775808"),
        (ReadOnly, "cannot be written to"),
        (KeepsShape, r"empty: shapes of items differ: expected \(0,\), found \(1, 0\)"),
        (OtherDtype, "dtypes of items differ"),
        (Lenient, "a payload longer by a byte is not refused: expected CorruptionError"),
        (NeedsContiguous, "not contiguous: encoding raises"),
        (SortsItsInput, "the encoder's input before and after differ"),
        (Bytearrays, "the payload is not bytes: found bytearray"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_wrong_coders_are_caught_in_the_round_trip(coder, message):
    with pytest.raises(ConformanceError, match=message) as caught:
        check_codec_round_trip(coder(), column_arrays())
    assert str(caught.value).startswith("column coder 'deflate' (id 40000), ")


def test_coders_that_are_not_deterministic_are_caught():
    with pytest.raises(ConformanceError, match="payloads of equal arrays differ"):
        codecs.check_codec_deterministic(ForgetsNothing(), [np.arange(1000), np.arange(90.0)])


def test_coders_that_raise_anything_on_damage_are_caught():
    with pytest.raises(ConformanceError, match=r"0 of \d+ bytes: a truncated payload raises anoth"):
        check_codec_damage(OtherErrors(), np.arange(60))
    with pytest.raises(ConformanceError, match="expected CorruptionError, found error: Error -3"):
        codecs.check_codec_hostile(OtherErrors(), b"xyz", "<f4", 3)
    with pytest.raises(ConformanceError, match="a request of -1 items is not refused"):
        codecs.check_codec_counts(Unbounded(), np.arange(60))


class Unbounded(Deflate):
    def decode(self, payload, dtype, count):
        return np.empty(min(max(count, 0), 10**6), dtype)


def test_coders_of_any_type_are_caught():
    with pytest.raises(ConformanceError, match=r">i4: encoding this type is not refused"):
        codecs.check_codec_types(AnyType())


def test_a_suite_of_too_few_types_is_no_suite():
    class Few(ColumnCoderTests):
        coder = Deflate()

        def arrays(self):
            return FLOATS

    with pytest.raises(ConformanceError, match="dtypes without an array"):
        Few().test_round_trip()
