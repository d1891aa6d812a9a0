"""Tests of byte-string coding at every effort."""

import numpy as np
import pytest

from vortex_hep.codec.columns import classical, varbytes

NOISE = np.random.default_rng(3).bytes(5000)
BLOBS = {
    "empty": b"", "one byte": b"x", "constant": b"\0" * 1000, "text": b"Jet_pt Jet_eta " * 300,
    "noise": NOISE, "both": NOISE + b"Jet_pt" * 500,
}  # fmt: skip


@pytest.fixture(params=[1 << 20, 100])
def large(request, monkeypatch):
    """Bytes above which effort "fast" is another than "normal"."""
    monkeypatch.setattr(varbytes, "_LARGE", request.param)


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("effort", ["fast", "normal", "max"])
@pytest.mark.parametrize("name", BLOBS)
def test_byte_strings_come_back_at_every_effort(name, effort):
    blob = BLOBS[name]
    coder, payload = classical.encode_bytes(blob, effort)
    assert len(payload) <= len(blob)
    assert classical.decode(coder, payload, "|u1", len(blob)).tobytes() == blob
