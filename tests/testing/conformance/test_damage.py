"""The checks of damage catch readers that swallow it, guess, hang, or take all memory."""

from __future__ import annotations

import io
import sys
import threading

import numpy as np
import pytest
import xxhash

from vortex_hep.codec.container.container import ContainerReader, ContainerWriter, xxh3
from vortex_hep.errors import CorruptionError, NotVortexError, TruncatedError, VortexError
from vortex_hep.testing import (
    ConformanceError,
    DamageTests,
    check_cuts,
    check_damage,
    check_flips,
)
from vortex_hep.testing.conformance import watching
from vortex_hep.testing.conformance.damage import Damage, same_data
from vortex_hep.testing.conformance.watching import Limits


def sealed(body):
    """Some bytes behind their length and before their checksum."""
    data = len(body).to_bytes(2, "little") + body
    return data + xxhash.xxh3_64_digest(data)


def open_sealed(data):
    if len(data) < 2 or len(data) < 10 + int.from_bytes(data[:2], "little"):
        raise TruncatedError("too short")
    if xxhash.xxh3_64_digest(data[:-8]) != data[-8:]:
        raise CorruptionError("the checksum does not hold")
    return data[2:-8]


BODY = b"thirteen bytes"
SEALED = sealed(BODY)


class TestSealed(DamageTests):
    def data(self):
        return SEALED

    def read(self, data):
        return open_sealed(data)


class TestContainers(DamageTests):
    def data(self):
        file = io.BytesIO()
        writer = ContainerWriter(file, kind=1)
        writer.add(3, BODY, decoded_xxh3=xxh3(BODY), decoded_size=len(BODY))
        writer.finish({"tree": "Events"})
        return file.getvalue()

    def read(self, data):
        reader = ContainerReader(io.BytesIO(data))
        reader.verify()
        return reader.read(0)

    def cut_errors(self, damage):
        return TruncatedError if damage.position else NotVortexError


def swallows(data):
    """Takes what is left for all there is."""
    try:
        return open_sealed(data)
    except VortexError:
        return data[2:]


def half_swallows(data):
    """Does not look at the checksum."""
    if len(data) < len(SEALED):
        raise TruncatedError("too short")
    return data[2:-8]


def other_error(data):
    if len(data) < 2:
        raise IndexError("index out of range")
    return open_sealed(data)


def greedy(data):
    """Believes the length."""
    if data != SEALED:
        np.ones(1 << 22, "u1")
    return open_sealed(data)


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (swallows, r"^sealed, cut to 0 of 24 bytes: damage is not noticed: found b''$"),
        (half_swallows, r"^sealed, byte 0 of 24, bits 0x01 flipped: damage is not noticed"),
        (other_error, r"^sealed, cut to 0 of 24 bytes: damage raises another error: expected "
         r"CorruptionError or NotVortexError or TruncatedError, found IndexError: index out of"),
        (greedy, r"^sealed, cut to 0 of 24 bytes: an attempt takes too much memory: expected at m"),
    ],
    ids=["swallows", "half swallows", "other error", "greedy"],
)  # fmt: skip
def test_wrong_readers_are_caught(read, message):
    with pytest.raises(ConformanceError, match=message):
        check_damage(SEALED, read, name="sealed", limits=Limits(memory=1 << 20))


def test_memory_of_attempts_that_are_not_traced_is_seen(monkeypatch):
    peak = [1 << 30]
    monkeypatch.setattr(watching, "_peak_resident", lambda: peak[0])

    def greedy(data):
        if data[1:2] != SEALED[1:2]:
            peak[0] += 64 << 20
        return open_sealed(data)

    with pytest.raises(ConformanceError, match=r"byte 1 of 24.* expected at most 33554432 bytes"):
        check_flips(SEALED, greedy, [0, 1], limits=Limits(memory=32 << 20))
    check_flips(SEALED, greedy, [0, 1], limits=Limits(memory=None))


def test_the_system_tells_the_peak_of_the_process():
    before = watching._peak_resident()
    assert before == 0 if sys.platform == "win32" else before > 10 << 20


def test_readers_that_hang_are_caught():
    goes_on = threading.Event()

    def hangs(data):
        if len(data) == 5:
            goes_on.wait()
        return open_sealed(data)

    with pytest.raises(ConformanceError, match=r"cut to 5 of 24 bytes: an attempt does not end w"):
        check_cuts(SEALED, hangs, limits=Limits(seconds=0.2))
    goes_on.set()


def test_what_does_not_take_the_sound_data_is_caught():
    with pytest.raises(ConformanceError, match="reading the sound data raises: found Corruption"):
        check_damage(SEALED[:-1] + b"x", open_sealed)


def test_damage_may_be_told_by_place():
    def expected(damage):
        return TruncatedError if damage.position < 10 else CorruptionError

    check_cuts(SEALED, open_sealed, errors=expected)
    with pytest.raises(ConformanceError, match="expected NotVortexError, found TruncatedError"):
        check_cuts(SEALED, open_sealed, errors=NotVortexError)


def test_unnoticed_damage_may_give_the_truth_or_anything_if_so_said():
    def first_byte(data):
        return np.frombuffer(data[2:3], "u1")

    with pytest.raises(ConformanceError, match=r"byte 2 of 24.*wrong data: expected .*116.*, "):
        check_flips(SEALED, first_byte, unnoticed="same")
    check_flips(SEALED, first_byte, [0, 1, *range(3, 24)], unnoticed="same")
    check_flips(SEALED, first_byte, unnoticed="any")
    with pytest.raises(ConformanceError, match="not noticed"):
        check_flips(SEALED, first_byte, [3])


def test_errors_are_shown_to_who_asks():
    seen = []
    check_flips(SEALED, open_sealed, [0, 9], masks=(1, 2), every_mask=True,
                inspect=lambda damage, error: seen.append((damage, type(error))))  # fmt: skip
    flips = [(at, mask) for at in (0, 9) for mask in (1, 2)]
    assert [(d.position, d.mask) for d, _ in seen] == flips
    assert {kind for _, kind in seen} <= {CorruptionError, TruncatedError}


def test_no_damage_is_no_test():
    with pytest.raises(ConformanceError, match="no damage at all"):
        check_flips(SEALED, open_sealed, masks=(0,))


def test_errors_of_the_test_itself_pass():
    def inspect(damage, error):
        raise RuntimeError("of the test")

    with pytest.raises(RuntimeError, match="of the test"):
        check_cuts(SEALED, open_sealed, inspect=inspect)


def test_sameness_is_of_bits():
    nan, other = (np.array([bits], "<u4").view("<f4") for bits in (0x7FC00000, 0x7FC00001))
    assert same_data([nan, {"x": 1.0}], [nan.copy(), {"x": 1.0}])
    assert not same_data(nan, other)
    assert not same_data(0.0, -0.0)
    assert not same_data(1, 1.0)
    assert not same_data([1], [1, 2])
    assert not same_data(np.zeros(2), np.zeros((1, 2)))
    assert not same_data({"x": 1}, {"y": 1})
    assert same_data(np.array([nan, None], object), np.array([nan, None], object))
    assert str(Damage("flip", 2, 9, 0x10)) == "byte 2 of 9, bits 0x10 flipped"
