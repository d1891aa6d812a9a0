"""Write the golden files that are missing: ``python tests/golden/make_golden.py --write``.

A golden file says for ever what a format version means, so an existing one is never replaced.
"""

from __future__ import annotations

import argparse
import io
import json
from pathlib import Path

import numpy as np

from vortex_hep.codec.classical import COLUMN_CODERS, encode_solid, encode_varbytes
from vortex_hep.codec.column_coders import Components
from vortex_hep.codec.container import KIND_ARCHIVE, ContainerWriter, xxh3
from vortex_hep.schema import VarBytes

FOLDER = Path(__file__).parent


def container() -> bytes:
    """A container with three chunks, one of them empty."""
    buffer = io.BytesIO()
    writer = ContainerWriter(buffer, kind=KIND_ARCHIVE, optional_features=1 << 63)
    for kind, payload, decoded in (
        (1, b"a payload", b"what it decodes to"),
        (2, b"", b""),
        (65535, bytes(range(256)), bytes(1000)),
    ):
        writer.add(kind, payload, decoded_xxh3=xxh3(decoded), decoded_size=len(decoded))
    writer.finish(
        {"name": "golden \u00e9", "numbers": [1, -2, 0.5], "nested": {"b": None, "a": True}}
    )
    return buffer.getvalue()


def arrays() -> list[np.ndarray]:
    """Small arrays that between them hold every dtype and the awkward bits of floats."""
    rng = np.random.Generator(np.random.PCG64(20250101))
    found: list[np.ndarray] = [
        np.frombuffer(bytes([0, 1, 1, 2, 255, 0, 1, 0, 0, 1, 1]), "|b1"),
        rng.integers(-3, 4, 37).astype("|i1"),
        rng.integers(0, 256, 20).astype("|u1"),
        np.arange(-900, 900, 90).astype("<i2"),
        rng.poisson(40, 33).astype("<u2"),
        rng.integers(-1 << 31, 1 << 31, 9).astype("<i4"),
        np.cumsum(rng.poisson(3, 50)).astype("<u4"),
        rng.integers(-(1 << 62), 1 << 62, 12).astype("<i8"),
        (np.uint64(1 << 63) + np.arange(30, dtype="<u8") * np.uint64(7)).astype("<u8"),
        np.array([0x7E01, 0xFE02, 0x8000, 0x0001, 0x7C00, 0xFC00, 0x3C00], "<u2").view("<f2"),
        np.array([0x7FA00001, 0xFFC12345, 0x80000000, 1, 0x7F800000], "<u4").view("<f4"),
        rng.normal(size=40).astype("<f4").round(2),
        np.array([0x7FF0000000000001, 1 << 63, 1, 0x3FF8 << 48], "<u8").view("<f8"),
        np.zeros((4, 3), "<f4"),
        rng.integers(0, 9, (5, 2)).astype("<i4"),
        np.empty(0, "<f8"),
    ]
    return found


def classical() -> str:
    """Payloads of every coder, of solid groups and of byte strings, with what they decode to."""
    columns = []
    for coder in COLUMN_CODERS:
        for array in arrays():
            if isinstance(coder, Components) and array.ndim < 2:
                continue
            if coder.name == "constant" and len(set(array.reshape(-1).tolist())) > 1:
                continue
            data = array.tobytes().hex()
            entry = {"coder": coder.id, "dtype": array.dtype.str, "count": array.size}
            columns.append({**entry, "payload": coder.encode(array).hex(), "data": data})
    some = [array for array in arrays() if array.ndim == 1]
    solid = {
        "columns": [[array.dtype.str, array.size] for array in some],
        "payload": encode_solid(some).hex(),
        "data": b"".join(array.tobytes() for array in some).hex(),
    }
    words = [b"", b"HLT_IsoMu24", b"HLT_IsoMu27", b"\x00\xff", b"HLT_IsoMu24"] * 5
    content = np.frombuffer(b"".join(words), "u1")
    offsets = np.cumsum([0, *map(len, words)])
    strings = {"rows": [w.hex() for w in words], "payload": ""}
    strings["payload"] = encode_varbytes(VarBytes(offsets, content)).hex()
    return json.dumps({"columns": columns, "solid": solid, "strings": strings}, indent=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", required=True)
    parser.parse_args()
    for name, data in (
        ("container-v1.vxc", container()),
        ("classical-v1.json", classical().encode()),
    ):
        path = FOLDER / name
        if not path.exists():
            path.write_bytes(data)


if __name__ == "__main__":
    main()
