"""Tests of models on values that they never saw: larger archives, and no other effect."""

import awkward as ak
import numpy as np
import pytest
import uproot

import vortex_hep
from vortex_hep.archive import compress as compressing

from .files import NAN_PAYLOADS

DTYPES = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8", "?")


def smooth(rng, dtype, size):
    """Values with a structure to learn."""
    if dtype == "?":
        return rng.random(size) < 0.1
    if dtype[0] == "f":
        return (np.round(rng.exponential(20.0, size) * 64) / 64).astype(dtype)
    return rng.integers(0, 50, size).astype(dtype)


def wild(rng, dtype, size):
    """Any bits at all; for floats, infinities, zeros and NaN payloads among them."""
    if dtype == "?":
        return rng.random(size) < 0.5
    width = np.dtype(dtype).itemsize
    out = rng.integers(0, 256, size * width, dtype=np.uint8).view(dtype)
    if dtype == "f4":
        out[::2] = np.resize(NAN_PAYLOADS, len(out[::2]))
    return out


def write(path, events, seed, values, longest=5):
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, longest + 1, events)
    rows = int(counts.sum())
    jets = {f"x{d[-2:]}".replace("?", "b"): values(rng, d, rows) for d in DTYPES}
    jets["y"] = jets["xf4"] if values is smooth else values(rng, "f4", rows)
    # points to a row of the same list, sometimes to none, and when wild to anywhere
    parent = rng.integers(-1, 4, rows).astype("i2") if values is smooth else values(rng, "i2", rows)
    jets["jetIdx"] = parent
    event = {f"e{d}".replace("?", "b"): values(rng, d, events) for d in DTYPES}
    event["grid"] = values(rng, "f4", events * 6).reshape(events, 3, 2)
    jet = ak.unflatten(ak.zip(jets), counts)
    types = {k: (v.dtype, v.shape[1:]) for k, v in event.items()}
    with uproot.recreate(path) as file:
        file.mktree("Events", {"Jet": jet.type, **types})
        file["Events"].extend({"Jet": jet, **event})
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = write(tmp_path_factory.mktemp("any") / "train.root", 1500, 1, smooth)
    options = vortex_hep.TrainOptions(effort="fast", seconds=0.3, expected_rows=10**8)
    return vortex_hep.train([path], options=options)


@pytest.mark.parametrize("embed", [True, False])
@pytest.mark.parametrize(
    ("values", "events", "longest"),
    [(smooth, 700, 5), (wild, 300, 3), (wild, 1, 9), (smooth, 40, 0), (smooth, 3, 200)],
)
def test_round_trip(model, tmp_path, monkeypatch, values, events, longest, embed):
    monkeypatch.setattr(compressing, "CLUSTER_BYTES", 40_000)
    source, archive = tmp_path / "in.root", tmp_path / "a.vxc"
    write(source, events, 2, values, longest)
    report = vortex_hep.compress_file(source, archive, model=model, embed_model=embed)
    if values is smooth and longest == 5:
        assert "network" in {c["coder"] for c in report.columns}
    given = None if embed else model
    assert vortex_hep.verify(archive, against=source, model=given).ok
    vortex_hep.restore(archive, tmp_path / "out.root", model=given)
    assert vortex_hep.verify(archive, against=tmp_path / "out.root", model=given).ok


def test_a_file_of_wild_values_costs_no_more_than_without_a_model(model, tmp_path):
    source = write(tmp_path / "in.root", 300, 3, wild)
    without = vortex_hep.compress_file(source, tmp_path / "a.vxc", model=vortex_hep.Model({}))
    with_model = vortex_hep.compress_file(
        source, tmp_path / "b.vxc", model=model, embed_model=False
    )
    assert with_model.stored_bytes < 1.01 * without.stored_bytes + 200
