"""Write the golden files that are missing: ``python tests/golden/make_golden.py --write``.

A golden file says for ever what a format version means, so an existing one is never replaced.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_hep.codec.classical import COLUMN_CODERS, encode_solid, encode_varbytes
from vortex_hep.codec.column_coders import Components
from vortex_hep.codec.container import KIND_ARCHIVE, KIND_MODEL, ContainerWriter, xxh3
from vortex_hep.codec.fields import LINKED_ROW, NO_REFERENCE, PREVIOUS_ROW, Field
from vortex_hep.codec.plan import make_plans
from vortex_hep.codec.transforms import Segments
from vortex_hep.codec.treecoder import TreeEncoder
from vortex_hep.metadata import pack_tables
from vortex_hep.model import CHUNK_REMAINDER, CHUNK_TABLE, Model
from vortex_hep.nn.tablemodel import WIDE, Link, Shape, TableModel
from vortex_hep.schema import Cluster, ColumnSpec, TableData, TableSpec, VarBytes

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


TABLES = (
    TableSpec(
        "",
        (
            ColumnSpec("nJ", "<u4"),
            ColumnSpec("nT", "|u1"),
            ColumnSpec("nW", "<i4"),
            ColumnSpec("run", "<u8"),
            ColumnSpec("trigger", "|b1"),
            ColumnSpec("comment", "bytes", interpretation="string"),
            ColumnSpec("x", "<f8"),
        ),
    ),
    TableSpec(
        "T",
        (
            ColumnSpec("T_mother", "<i2", link="T"),
            ColumnSpec("T_pt", "<f4"),
            ColumnSpec("T_eta", "<f4"),
            ColumnSpec("T_phi", "<f4"),
            ColumnSpec("T_vector", "<i2", (2, 2)),
            ColumnSpec("T_good", "|b1"),
            ColumnSpec("T_tight", "|b1"),
            ColumnSpec("T_odd", "|b1"),
            ColumnSpec("T_bits", "<u8"),
            ColumnSpec("T_noise", "<u4"),
            ColumnSpec("T_label", "bytes", interpretation="opaque"),
        ),
        "nT",
        True,
    ),
    TableSpec("J", (ColumnSpec("J_sIdx", "<i4", link="S"), ColumnSpec("J_pt", "<f4")), "nJ", True),
    TableSpec(
        "S",
        (ColumnSpec("S_pt", "<f4"), ColumnSpec("S_eta", "<f4"), ColumnSpec("S_phi", "<f4")),
        None,
        True,
    ),
    TableSpec("W", (ColumnSpec("W", "<f2"),), "nW", True),
)


def _kinematics(rng: np.random.Generator, n: int) -> tuple[Array, Array, Array]:
    """Floats of which 14 low bits are zero, but for some."""
    out = []
    for scale in (30, 1, 1):
        values = (rng.normal(0, scale, n)).astype("<f4")
        if scale > 1:
            values = np.abs(values)
        bits = values.view("<u4") & np.uint32(0xFFFFC000)
        bits[rng.random(n) < 0.03] |= np.uint32(1)
        out.append(bits.view("<f4"))
    return out[0], out[1], out[2]


def _cluster(seed: int, lanes: int, busy: int, folded: bool) -> Cluster:
    """Some lanes; the first ``busy`` of them have rows of other tables than W."""
    rng = np.random.default_rng(seed)
    counts = {}
    for name, most in (("T", 5), ("J", 4), ("S", 4)):
        counts[name] = np.zeros(lanes, np.int64)
        counts[name][:busy] = rng.integers(0, most, busy)
    counts["T"][busy // 2] = 34  # positions beyond the last that has an embedding
    counts["W"] = np.full(lanes, 3)
    if not folded:
        counts["W"][1] = 2
    offsets = {k: np.concatenate([[0], np.cumsum(c)]).astype(np.int64) for k, c in counts.items()}
    n = {k: int(o[-1]) for k, o in offsets.items()}
    lane = {k: np.repeat(np.arange(lanes), c) for k, c in counts.items()}
    place = {k: np.arange(n[k]) - offsets[k][lane[k]] for k in counts}
    s_pt, s_eta, s_phi = _kinematics(rng, n["S"])
    t_pt, t_eta, t_phi = _kinematics(rng, n["T"])
    for i in range(n["T"]):  # near a row of S, where there is one
        first, last = offsets["S"][lane["T"][i] :][:2]
        if first < last and rng.random() < 0.7:
            k = int(rng.integers(first, last))
            t_pt[i], t_eta[i], t_phi[i] = s_pt[k], s_eta[k], s_phi[k]
    mother = np.where(rng.random(n["T"]) < 0.6, rng.integers(-1, 3, n["T"]), place["T"] - 1)
    mother[::17] = 300  # an escape
    s_idx = rng.integers(-1, 4, n["J"]).astype("<i4")
    j_pt = _kinematics(rng, n["J"])[0]
    for i in range(n["J"]):
        first, last = offsets["S"][lane["J"][i] :][:2]
        if 0 <= s_idx[i] < last - first and rng.random() < 0.8:
            j_pt[i] = s_pt[first + s_idx[i]]
    j_pt[:3] = np.array([0x7FA00001, 0x80000000, 0xFF800000], "<u4").view("<f4")[: n["J"]]
    flags = rng.random((3, n["T"])) < 0.5
    odd = flags[2].astype("u1")
    odd[5] = 7  # a boolean that is neither
    lengths = rng.integers(0, 3, n["T"])
    bits = rng.integers(0, 1 << 63, n["T"], "<u8")
    words = [f"lane {k % 5}" for k in range(lanes)]
    return {
        "": TableData(
            np.arange(lanes + 1, dtype=np.int64),
            {
                "nJ": counts["J"].astype("<u4"),
                "nT": counts["T"].astype("|u1"),
                "nW": counts["W"].astype("<i4"),
                "run": np.uint64(1 << 63) + np.arange(lanes, dtype="<u8") // np.uint64(9),
                "trigger": np.arange(lanes) % 3 == 0,
                "comment": VarBytes(
                    np.concatenate([[0], np.cumsum([len(w) for w in words])]).astype(np.int64),
                    np.frombuffer("".join(words).encode(), "u1"),
                ),
                "x": (np.arange(lanes) // 7 - 2.5).astype("<f8"),
            },
        ),
        "T": TableData(
            offsets["T"],
            {
                "T_mother": mother.astype("<i2"),
                "T_pt": t_pt,
                "T_eta": t_eta,
                "T_phi": t_phi,
                "T_vector": rng.integers(-8, 8, (n["T"], 2, 2)).astype("<i2"),
                "T_good": flags[0],
                "T_tight": flags[0] & flags[1],
                "T_odd": odd.view("|b1"),
                "T_bits": np.uint64((1 << 64) - 1) - (bits >> np.uint64(43)),
                "T_noise": rng.integers(0, 1 << 32, n["T"], "<u4"),
                "T_label": VarBytes(
                    np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
                    rng.integers(0, 256, int(lengths.sum()), np.uint8),
                ),
            },
        ),
        "J": TableData(offsets["J"], {"J_sIdx": s_idx, "J_pt": j_pt}),
        "S": TableData(offsets["S"], {"S_pt": s_pt, "S_eta": s_eta, "S_phi": s_phi}),
        "W": TableData(offsets["W"], {"W": rng.normal(1, 0.01, n["W"]).astype("<f2")}),
    }


def _segments(*ranges: tuple[int, int]) -> Segments:
    """Segments from first to last."""
    start = np.array([a for a, _ in ranges], np.uint64)
    return Segments(start, np.array([b for _, b in ranges], np.uint64) - start)


def _field(
    names: str, dtype: str, segments: Segments, *, component: int = 0, shift: int = 0,
    reference: int = NO_REFERENCE, flat: int = 0, buckets: int = 8,
) -> Field:  # fmt: skip
    top = segments.top
    thresholds = sorted({1 + k * top // buckets for k in range(buckets)})
    bound = np.array(thresholds, np.uint64)
    columns = tuple(names.split())
    return Field(columns, component, dtype, shift, reference, segments, bound, flat)


def _table(
    seed: int, name: str, fields: tuple[Field, ...], *, previous: bool,
    links: tuple[Link, ...] = (), seen: tuple[int, ...] = (), context: tuple[str, ...] = (),
    fold: int = 0, head: int = 8,
) -> TableModel:  # fmt: skip
    """A model of sparse random weights, of which some saturate."""
    rng = np.random.default_rng(seed)
    tokens = sum(len(f.token_widths) for f in fields)
    shape = Shape(len(fields), tokens, 8, head, len(context), previous, seen)
    weights = {}
    for key, size in shape.weight_shapes().items():
        top = 1000 if key in WIDE else 127
        w = rng.integers(-top, top + 1, size).astype(np.int32)
        weights[key] = np.where(rng.random(size) < 0.06, w, 0).astype(np.int32)
    weights["bias"][0, 0] = 1 << 22
    weights["head_bias"][0, :2] = 1 << 22, -(1 << 22)
    # That much better than any other coder: the network codes all that it may.
    expected = np.ones((len(fields), 2)) * [1e5, 1e6]
    return TableModel(name, fields, shape, context, weights, expected, links, fold)


def model() -> Model:
    """Networks of all plans but one, which is left to the classical coders."""
    floats = _segments((0, (1 << 18) - 1))
    core = (
        _field("nJ", "<u4", _segments((0, 15))),
        _field("nT", "|u1", _segments((0, 31)), reference=NO_REFERENCE),
        _field("nW", "<i4", _segments(((1 << 31) + 2, (1 << 31) + 3))),
    )
    t = (
        _field("T_mother", "<i2", _segments((0x7FFF, 0x7FFF + 62))),
        _field("@S", "<i2", _segments((0x7FFF, 0x7FFF + 6))),
        _field("T_pt", "<f4", floats, shift=14),
        _field("T_eta", "<f4", _segments((0, 100_000), (1 << 17, (1 << 18) - 1)), shift=14, flat=1),
        _field("T_phi", "<f4", _segments((0, (1 << 19) - 1)), shift=14, reference=LINKED_ROW),
        *(
            _field(
                "T_vector", "<i2", _segments((0, 31)), component=k,
                reference=PREVIOUS_ROW,
            )
            if k % 2
            else _field("T_vector", "<i2", _segments((0x8000 - 8, 0x8000 + 6)), component=k)
            for k in range(4)
        ),
        _field("T_good T_tight T_odd", "|b1", _segments((0, 7))),
        _field("T_bits", "<u8", _segments(((1 << 64) - 1_000_000, (1 << 64) - 1)), flat=4),
        _field("T_gone", "<f4", floats, shift=14),
    )  # fmt: skip
    same = {"T_pt": "S_pt", "T_eta": "S_eta"}
    t_links = (
        Link("T", tuple(f.columns[0] for f in t)),
        Link(
            "S",
            tuple(same.get(f.columns[0], "") for f in t),
            (("T_eta", "S_eta"), ("T_phi", "S_phi")),
        ),
    )
    j = (
        _field("J_sIdx", "<i4", _segments(((1 << 31) - 1, (1 << 31) + 3))),
        _field("J_pt", "<f4", floats, shift=14),
    )
    s = tuple(_field(f"S_{name}", "<f4", floats, shift=14) for name in ("pt", "eta", "phi"))
    w = tuple(
        _field("W", "<f2", _segments((0, (1 << 16) - 1)), component=k, flat=k) for k in range(3)
    )
    return Model(
        {
            "Events": {
                "": _table(1, "", core, previous=False),
                "T": _table(
                    2, "T", t, previous=True, links=t_links, seen=(len(t), 3), context=("nT", "nJ")
                ),
                "J": _table(3, "J", j, previous=True, links=(Link("S", ("", "S_pt")),), seen=(3,)),
                "S": _table(4, "S", s, previous=True, context=("nT",), head=16),
                "W": _table(5, "W", w, previous=False, fold=3),
            }
        },
        {"Events": ["run", "trigger", "comment", "x", "T_noise", "T_label"]},
    )


def model_file() -> bytes:
    """A model as :meth:`Model.save` writes it."""
    buffer = io.BytesIO()
    writer = ContainerWriter(buffer, kind=KIND_MODEL)
    made = model()
    writer.finish({"model": made.add_to(writer), "classical": made.classical})
    return buffer.getvalue()


def clusters() -> list[Cluster]:
    """Two clusters; the second has two groups of lanes and lists that cannot be folded."""
    return [_cluster(11, 18, 18, True), _cluster(12, 520, 12, False)]


def archive() -> bytes:
    """An archive with its model inside and a remainder of one blob that restores nothing."""
    buffer = io.BytesIO()
    writer = ContainerWriter(buffer, kind=KIND_ARCHIVE)
    plans = make_plans(TABLES)
    made = model()
    rows: list[list[Any]] = []
    at = 0
    with ThreadPoolExecutor(1) as outer, ThreadPoolExecutor(1) as inner:
        encoder = TreeEncoder(plans, TABLES, made.tables("Events"), "normal", outer, inner)
        for cluster in clusters():
            chunks = encoder.encode(cluster).values()
            ids = [
                writer.add(
                    CHUNK_TABLE, c.payload, decoded_xxh3=c.decoded_xxh3, decoded_size=c.decoded_size
                )
                for c in chunks
            ]
            lanes = len(cluster[""].offsets) - 1
            rows.append([at, at + lanes, ids])
            at += lanes
    blob = bytes(100)
    remainder = writer.add(
        CHUNK_REMAINDER, b"\x02\x00\x00", decoded_xxh3=xxh3(blob), decoded_size=len(blob)
    )
    tree = {"name": "Events", "entries": at, **pack_tables(TABLES, plans, {}), "clusters": rows}
    writer.finish(
        {
            "writer": "golden",
            "source": {"name": "golden", "kind": "none", "trees": None},
            "trees": [tree],
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


def archive_values() -> str:
    """What the archive holds: bytes of the first cluster's columns, digests of the second's."""
    small, large = clusters()
    return json.dumps(
        {
            "sha256": model().sha256,
            "lanes": [len(c[""].offsets) - 1 for c in (small, large)],
            "offsets": {t: [c[t].offsets.tolist() for c in (small,)] for t in small},
            "columns": {
                n: column_bytes(c).hex() for t in small.values() for n, c in t.columns.items()
            },
            "digests": {
                n: hashlib.sha256(column_bytes(c)).hexdigest()
                for t in large.values()
                for n, c in t.columns.items()
            },
        },
        indent=0,
    )


#: Every golden file and what makes it.
FILES: dict[str, Callable[[], bytes]] = {
    "container-v1.vxc": container,
    "classical-v1.json": lambda: classical().encode(),
    "model-v1.vxm": model_file,
    "archive-v1.vxc": archive,
    "archive-v1.json": lambda: archive_values().encode(),
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
