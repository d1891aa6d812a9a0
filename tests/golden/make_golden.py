"""Writing of missing golden files: ``python -m tests.golden.make_golden --write``.

A golden file says for ever what a format version means, so an existing one is never replaced.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import numpy.typing as npt

from tests.golden import golden_sequences
from tests.golden.golden_data import (
    JOINED,
    MEMBERS,
    OTHER,
    TABLES,
    clusters,
    joined_cluster,
    other_cluster,
)
from tests.golden.golden_model import model
from vortex_hep.archive.metadata import pack_tables
from vortex_hep.codec.columns.classical import COLUMN_CODERS, encode_solid, encode_varbytes
from vortex_hep.codec.columns.column_coders import Components
from vortex_hep.codec.container.container import KIND_ARCHIVE, KIND_MODEL, ContainerWriter, xxh3
from vortex_hep.codec.plan import make_plans
from vortex_hep.codec.weights.zipnn.files import write_weights
from vortex_hep.codec.weights.zipnn.formats import FORMATS
from vortex_hep.codec.weights.zipnn.planes import encode_planes, encode_whole
from vortex_hep.codec.weights.zipnn.weights import (
    CompressedTensor,
    CompressedWeights,
    TensorPart,
    compress_model_weights,
)
from vortex_hep.core.schema import Cluster, TableSpec, VarBytes
from vortex_hep.models.model import CHUNK_REMAINDER, CHUNK_TABLE, Model
from vortex_hep.nn.coding.treecoder import TreeEncoder
from vortex_hep.nn.sequence import coder as sequencecoder
from vortex_hep.nn.sequence.coder import LaneChoice

Array = npt.NDArray[Any]

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


def model_file(made: Model) -> bytes:
    """A model as :meth:`Model.save` writes it."""
    buffer = io.BytesIO()
    writer = ContainerWriter(buffer, kind=KIND_MODEL, features=made.features)
    writer.finish({"model": made.add_to(writer), "classical": made.classical})
    return buffer.getvalue()


#: Names, tables, family and clusters of a tree.
Tree = tuple[dict[str, Any], tuple[TableSpec, ...], str, list[Cluster]]


def trees() -> list[Tree]:
    """All trees of the archive of relations."""
    return [
        ({"name": "Events"}, TABLES, "Events", clusters()),
        ({"name": "Other;2", "family": "Events"}, OTHER, "Events", [other_cluster()]),
        (
            {"name": "first+second", "family": "Pair", "members": MEMBERS}, JOINED, "Pair",
            [joined_cluster()],
        ),
    ]  # fmt: skip


def archive(made: Model, content: Sequence[Tree], choice: LaneChoice | None = None) -> bytes:
    """An archive with its model inside and a remainder of one blob that restores nothing."""
    buffer = io.BytesIO()
    writer = ContainerWriter(buffer, kind=KIND_ARCHIVE, features=made.features)
    documents = []
    for names, tables, family, found in content:
        plans = make_plans(tables)
        rows: list[list[Any]] = []
        at = 0
        with ThreadPoolExecutor(1) as outer, ThreadPoolExecutor(1) as inner:
            encoder = TreeEncoder(
                plans, tables, made.tables(family), "normal", outer, inner, choice=choice
            )
            for cluster in found:
                chunks = encoder.encode(cluster).values()
                ids = [
                    writer.add(
                        CHUNK_TABLE, c.payload,
                        decoded_xxh3=c.decoded_xxh3, decoded_size=c.decoded_size,
                    )
                    for c in chunks
                ]  # fmt: skip
                lanes = len(next(iter(cluster.values())).offsets) - 1
                rows.append([at, at + lanes, ids])
                at += lanes
        documents.append(
            {**names, "entries": at, **pack_tables(tables, plans, {}), "clusters": rows}
        )
    blob = bytes(100)
    remainder = writer.add(
        CHUNK_REMAINDER, b"\x02\x00\x00", decoded_xxh3=xxh3(blob), decoded_size=len(blob)
    )
    writer.finish(
        {
            "writer": "golden",
            "source": {"name": "golden", "kind": "none", "trees": None},
            "trees": documents,
            "model": made.add_to(writer),
            "remainder": [["golden/zeros", remainder]],
        }
    )
    return buffer.getvalue()


def column_bytes(column: Array | VarBytes) -> bytes:
    """Bytes of a column as checksums cover them."""
    if isinstance(column, VarBytes):
        return column.offsets.astype("<i8").tobytes() + column.content.tobytes()
    return np.ascontiguousarray(column).tobytes()


def sequences() -> bytes:
    """An archive of plans that transformers code, in groups of few lanes."""
    content = ({"name": "Events"}, golden_sequences.TABLES, "Events", golden_sequences.clusters())
    with mock.patch.object(sequencecoder, "_MOST_LOG2", golden_sequences.GROUP_LOG2):
        return archive(golden_sequences.model(), [content], golden_sequences.CHOICE)


def values_of(made: Model, small: Cluster, large: Cluster) -> dict[str, Any]:
    """What two clusters hold: bytes of the columns of the first, digests of the second's."""
    return {
        "sha256": made.sha256,
        "lanes": [len(c[""].offsets) - 1 for c in (small, large)],
        "offsets": {t: [small[t].offsets.tolist()] for t in small},
        "columns": {n: column_bytes(c).hex() for t in small.values() for n, c in t.columns.items()},
        "digests": {
            n: hashlib.sha256(column_bytes(c)).hexdigest()
            for t in large.values()
            for n, c in t.columns.items()
        },
    }


def archive_values() -> str:
    """What the archive of relations holds."""
    return json.dumps(
        {
            **values_of(model(), *clusters()),
            "others": {
                name: {
                    n: column_bytes(c).hex()
                    for t in found[0].values()
                    for n, c in t.columns.items()
                }
                for name, found in (
                    ("Other;2", [other_cluster()]),
                    ("first+second", [joined_cluster()]),
                )
            },
        },
        indent=0,
    )


def sequence_values() -> str:
    """What the archive of transformers holds."""
    small, large = golden_sequences.clusters()
    return json.dumps(values_of(golden_sequences.model(), small, large), indent=0)


def weight_tensors() -> dict[str, Array]:
    """A tensor of every type with random bits, and some of shapes that are easily forgotten."""
    rng = np.random.Generator(np.random.PCG64(20250102))
    found: dict[str, Array] = {}
    for name, wf in FORMATS.items():
        raw = rng.integers(0, 256, 12 * wf.itemsize).astype("u1")
        found[name] = raw.view(wf.dtype).reshape(3, 4)
    found["layer.weight"] = rng.normal(0, 0.02, (40, 30)).astype("<f4")
    found["tied"] = found["layer.weight"]
    found["steps"] = np.array(1234, "<i8")
    found["empty"] = np.zeros((0, 5), "<f2")
    found["zeros"] = np.zeros(1000, "<f8")
    return found


def weights() -> bytes:
    """A file of weights; tensors that can be are in two chunks, one by each method."""
    tensors = weight_tensors()
    packed = dict(compress_model_weights(tensors, effort="max"))
    for name, wf in FORMATS.items():
        items = tensors[name].reshape(-1).view(f"u{wf.width}").view(wf.carrier)
        first, second = items[: 5 * wf.parts], items[5 * wf.parts :]
        if wf.exponent:
            parts = tuple(
                TensorPart(payload, piece.nbytes, xxh3(piece.tobytes()))
                for piece, payload in (
                    (first, encode_whole(first, "max")),
                    (second, encode_planes(second, wf, "max")),
                )
            )
            packed[name] = CompressedTensor(wf, (3, 4), parts)
    buffer = io.BytesIO()
    write_weights(CompressedWeights(packed), buffer, {"step": 7, "note": "golden \u00e9"})
    return buffer.getvalue()


def weight_values() -> str:
    """What the file of weights holds: type, shape and bytes of every tensor."""
    found = weight_tensors()
    types = {name: name if name in FORMATS else a.dtype.name for name, a in found.items()}
    entries = {n: [types[n], list(a.shape), a.tobytes().hex()] for n, a in found.items()}
    return json.dumps({"tensors": entries}, indent=0)


#: What makes each golden file; those that are not here were made by what came before.
FILES: dict[str, Callable[[], bytes]] = {
    "container-v1.vxc": container,
    "classical-v1.json": lambda: classical().encode(),
    "relations-v1.vxm": lambda: model_file(model()),
    "relations-v1.vxc": lambda: archive(model(), trees()),
    "relations-v1.json": lambda: archive_values().encode(),
    "sequences-v1.vxm": lambda: model_file(golden_sequences.model()),
    "sequences-v1.vxc": sequences,
    "sequences-v1.json": lambda: sequence_values().encode(),
    "weights-v1.vxw": weights,
    "weights-v1.json": lambda: weight_values().encode(),
}


def main() -> None:
    """Write what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", required=True)
    parser.parse_args()
    for name, make in FILES.items():
        path = FOLDER / name
        if not path.exists():
            path.write_bytes(make())


if __name__ == "__main__":
    main()
