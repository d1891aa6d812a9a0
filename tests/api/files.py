"""Writers of the files used in the tests of the public interface."""

from __future__ import annotations

from pathlib import Path

import awkward as ak
import numpy as np
import uproot

NAN_PAYLOADS = np.array(
    [0x7FC00001, 0xFFC12345, 0x80000000, 0x00000001, 0x7F800000, 0x7FA00001], np.uint32
).view(np.float32)


def write_odd(path: Path) -> Path:
    """Write what analyses meet rarely: NaN payloads, -0.0, fixed shapes, folders, empty trees."""
    rng = np.random.default_rng(5)
    n = 60
    counts = rng.integers(0, 4, n)
    flat = np.resize(NAN_PAYLOADS, counts.sum())
    arrays = {
        "f32": np.resize(NAN_PAYLOADS, n),
        "f64": np.where(np.arange(n) % 3 == 0, -0.0, rng.normal(size=n)),
        "flag": rng.random(n) < 0.5,
        "u64": rng.integers(0, 1 << 63, n, dtype=np.uint64) * 2 + 1,
        "i8": rng.integers(-128, 128, n).astype(np.int8),
        "matrix": rng.normal(size=(n, 3, 2)).astype(np.float32),
        "Jet": ak.zip({"pt": ak.unflatten(flat, counts)}),
    }
    with uproot.recreate(path, compression=uproot.ZLIB(1)) as file:
        types = {k: v.type if isinstance(v, ak.Array) else (v.dtype, v.shape[1:])
                 for k, v in arrays.items()}  # fmt: skip
        file.mktree("t", types, title="an odd tree")
        for start, stop in ((0, 25), (25, 60)):
            file["t"].extend({k: v[start:stop] for k, v in arrays.items()})
        file.mktree("folder/empty", {"x": np.float32, "y": np.int16})
        file["folder/hist"] = np.histogram(np.arange(10.0), bins=4)
        file["note"] = "some text"
    return path


def write_twins(path: Path, events: int, seed: int, **more: np.ndarray) -> Path:
    """Write a collection whose second branch follows from its first: a network's easy win."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 5, events)
    a = rng.integers(0, 200, counts.sum()).astype(np.int16)
    b = (a * 7 + 3).astype(np.int16)
    with uproot.recreate(path) as file:
        twins = ak.unflatten(ak.zip({"a": a, "b": b}), counts)
        file.mktree("Events", {"T": twins.type, **{k: v.dtype for k, v in more.items()}})
        file["Events"].extend({"T": twins, **more})
    return path
