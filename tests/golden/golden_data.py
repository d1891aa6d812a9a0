"""Tables and clusters of the golden archive."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_hep.core.schema import Cluster, ColumnSpec, TableData, TableSpec, VarBytes

Array = npt.NDArray[Any]

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
            ColumnSpec("T_copy", "<f4"),
            ColumnSpec("T_scaled", "<f8"),
        ),
        "nT",
        True,
    ),
    TableSpec(
        "J",
        (
            ColumnSpec("J_sIdx", "<i4", link="S"),
            ColumnSpec("J_pt", "<f4"),
            ColumnSpec("J_eta", "<f4"),
        ),
        "nJ",
        True,
    ),
    TableSpec(
        "S",
        (ColumnSpec("S_pt", "<f4"), ColumnSpec("S_eta", "<f4"), ColumnSpec("S_phi", "<f4")),
        None,
        True,
    ),
    TableSpec("W", (ColumnSpec("W", "<f2"),), "nW", True),
    TableSpec(
        "D",
        (
            ColumnSpec("D_parent", "<i2", link="D"),
            ColumnSpec("D_partner", "|i1"),
            ColumnSpec("D_p", "<f8"),
            ColumnSpec("D_q", "<f4"),
            ColumnSpec("D_e", "<f8"),
            ColumnSpec("D_t", "<f8"),
            ColumnSpec("D_x", "<f8"),
            ColumnSpec("D_n", "<u2"),
        ),
        None,
        True,
    ),
    TableSpec(
        "E",
        (
            ColumnSpec("E_key", "|u1"),
            ColumnSpec("E_n", "<i4"),
            *(ColumnSpec(f"E_{name}", "<f4") for name in ("x", "y", "eta", "phi", "mass")),
            ColumnSpec("E_copy", "<f4"),
            ColumnSpec("E_z", "<f8"),
            ColumnSpec("E_round", "<f4"),
            ColumnSpec("E_half", "<f2"),
            ColumnSpec("E_norm", "<f4"),
            ColumnSpec("E_px", "<f4"),
            ColumnSpec("E_py", "<f4"),
            ColumnSpec("E_pz", "<f4"),
            ColumnSpec("E_inverse", "<f8"),
            ColumnSpec("E_tanh", "<f2"),
            ColumnSpec("E_abs", "<f8"),
            ColumnSpec("E_energy", "<f4"),
            ColumnSpec("E_same", "<i4"),
            ColumnSpec("E_both", "<u8"),
            ColumnSpec("E_count", "<i8"),
            ColumnSpec("E_byte", "|u1"),
            ColumnSpec("E_small", "|i1"),
            ColumnSpec("E_pair", "<f4", (2,)),
        ),
    ),
)

#: A tree of the same family that lacks some columns, and has one of another type.
OTHER = (
    TableSpec(
        "E",
        tuple(
            ColumnSpec("E_y", "<f8") if c.name == "E_y" else c
            for c in TABLES[-1].columns
            if c.name not in ("E_mass", "E_n")
        ),
    ),
)

#: Two trees that are coded as one.
JOINED = (
    TableSpec("a", (ColumnSpec("a/x", "<f4"), ColumnSpec("a/n", "<i2"))),
    TableSpec("b", (ColumnSpec("b/x", "<f4"),)),
    TableSpec("b/K", (ColumnSpec("b/K_pt", "<f4"),), None, True),
)
MEMBERS = [["first", "a/"], ["second", "b/"]]


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


def _entries(seed: int, n: int, factor: float) -> dict[str, Array]:
    """Columns with one row per entry, most of which follow from others but for a little."""
    rng = np.random.default_rng(seed)
    key = rng.integers(0, 7, n)
    number = rng.integers(-300, 300, n)
    x, y, eta, phi, mass = rng.normal(0, 3, (5, n)).astype("<f4")
    # a NaN with a payload, infinity, negative zero and a denormal number
    x[3:7] = np.array([0x7FA12345, 0x7F800000, 0x80000000, 5], "<u4").view("<f4")
    y[5:8] = np.array([0, 0xFFC00001, 0xFF800000], "<u4").view("<f4")
    phi[8:10] = 2e5, np.inf
    eta[9:11] = 800, -800
    with np.errstate(all="ignore"):
        a, b, e, p, m = (c.astype("<f8") for c in (x, y, eta, phi, mass))
        z = 0.25 + 2 * a - 0.5 * number
        squares = a * a - b * b + m * np.abs(m)
        made = {
            "E_z": z,
            "E_round": (z.astype("<f4").view("<u4") & np.uint32(0xFFFFF000)).view("<f4"),
            "E_half": (factor * a / b).astype("<f2"),
            "E_norm": (factor * np.sign(squares) * np.sqrt(np.abs(squares))).astype("<f4"),
            "E_px": (a * np.cos(p)).astype("<f4"),
            "E_py": (a / np.sin(p)).astype("<f4"),
            "E_pz": (factor * a * np.sinh(e)).astype("<f4"),
            "E_inverse": factor / (a * np.cosh(e)),
            "E_tanh": (a / np.tanh(e)).astype("<f2"),
            "E_abs": np.abs(b) * factor,
            "E_energy": np.sqrt(np.maximum((a * np.cosh(e)) ** 2 + m * np.abs(m), 0)).astype("<f4"),
            "E_same": 1000 * key - 3000,
            "E_both": np.uint64(1 << 63) + (key * 1000 + number).astype("<u8"),
            "E_count": 3 * number - 7,
            "E_byte": 40 * key % 256,
            "E_small": np.clip(-0.5 * number, -128, 127),
            "E_pair": np.stack([a, 2 * np.abs(a)], axis=1),
        }
        for name in ("E_px", "E_abs"):  # signs of their own
            made[name] = np.where(rng.random(n) < 0.5, made[name], -made[name])
        out = {"E_key": key, "E_n": number, "E_x": x, "E_y": y, "E_eta": eta, "E_phi": phi}
        out |= {"E_mass": mass, "E_copy": x.copy(), **made}
        columns = {c.name: np.ascontiguousarray(out[c.name], c.dtype) for c in TABLES[-1].columns}
    for name in (*made, "E_copy"):  # off by a little here and there, or by a lot
        bits = columns[name].reshape(-1).view(f"<u{columns[name].itemsize}")
        near = rng.random(len(bits)) < 0.2
        step = 1 << 12 if name == "E_round" else 1
        bits[near] += (step * rng.integers(0, 3, int(near.sum()))).astype(bits.dtype)
        bits[rng.random(len(bits)) < 0.04] = rng.integers(0, 1 << 8 * bits.itemsize, dtype="u8")
    columns["E_copy"][3] = x[3]
    return columns


def _decays(seed: int, lanes: int) -> TableData:
    """Rows that descend from one another: two that meet, and what comes of them, twice."""
    rng = np.random.default_rng(seed)
    parent = np.array([-1, -1, 0, 0, 0, 2, 2, 4, 7, 7])
    partner = np.array([-1, 0, -1, -1, -1, -1, -1, -1, -1, 3])
    n = len(parent)
    p, q, e = rng.normal(0, 3, (3, lanes, n))
    t, x = np.zeros((2, lanes, n))
    e = np.abs(e) + 4
    q = (q.astype("<f4").view("<u4") & np.uint32(0xFFFFF000)).view("<f4").astype("<f8")
    for last, into, others in (
        (4, (0, 1), (2, 3)),
        (6, (2,), (5,)),
        (7, (4,), ()),
        (9, (7,), (8,)),
    ):
        p[:, last] = sum(p[:, k] for k in into) - sum(p[:, k] for k in others)
        q[:, last] = q[:, into[0]] - sum(q[:, k] for k in others)
    for k in range(2, n):
        t[:, k] = t[:, parent[k]] + (rng.exponential(1, lanes) if k in (2, 5, 8) else 0)
        x[:, k] = x[:, parent[k]] + (t[:, k] - t[:, parent[k]]) * (p / e)[:, parent[k]]
    for k in (3, 4, 6, 9):  # as the one before it
        t[:, k], x[:, k] = t[:, k - 1], x[:, k - 1]
    p[0, 3], q[1, 2], x[2, 5], e[3, 0] = np.nan, np.inf, -np.inf, 0.0
    p[4, 4] = np.nextafter(p[4, 4], 0)
    columns = {"parent": np.tile(parent, lanes), "partner": np.tile(partner, lanes)}
    columns["parent"][-1] = 30  # an escape, and no row
    columns |= {"p": p, "q": q, "e": e, "t": t, "x": x, "n": 100 + 7 * (t > 0)}
    with np.errstate(all="ignore"):
        made = {
            c.name: columns[c.name[2:]].reshape(-1).astype(c.dtype)
            for table in TABLES
            for c in table.columns
            if table.name == "D"
        }
    return TableData(np.arange(lanes + 1, dtype=np.int64) * n, dict(made))


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
    entries = _entries(seed, lanes, 1.0 if folded else 1.25)
    copied = t_pt.copy()
    with np.errstate(all="ignore"):
        scaled = t_pt * entries["E_x"][lane["T"]].astype("<f8")
    copied[::9] = np.float32(2.0)
    scaled[::7] = np.nextafter(scaled[::7], 0)
    first = offsets["S"][lane["J"]] + s_idx
    good = (s_idx >= 0) & (first < offsets["S"][lane["J"] + 1])
    j_eta = np.where(good, -2 * s_eta[np.where(good, first, 0)] if len(s_eta) else 0, np.float32(7))
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
                "T_copy": copied,
                "T_scaled": scaled,
            },
        ),
        "J": TableData(offsets["J"], {"J_sIdx": s_idx, "J_pt": j_pt, "J_eta": j_eta.astype("<f4")}),
        "S": TableData(offsets["S"], {"S_pt": s_pt, "S_eta": s_eta, "S_phi": s_phi}),
        "W": TableData(offsets["W"], {"W": rng.normal(1, 0.01, n["W"]).astype("<f2")}),
        "D": _decays(seed, lanes),
        "E": TableData(np.arange(lanes + 1, dtype=np.int64), dict(entries)),
    }


def other_cluster() -> Cluster:
    """Entries of the second tree."""
    columns: dict[str, Any] = dict(_entries(21, 25, 1.0))
    columns["E_y"] = columns["E_y"].astype("<f8")
    kept = {c.name: columns[c.name] for c in OTHER[0].columns}
    return {"E": TableData(np.arange(26, dtype=np.int64), kept)}


def joined_cluster() -> Cluster:
    """Entries of two trees that are coded as one."""
    rng = np.random.default_rng(31)
    x = rng.normal(0, 3, 30).astype("<f4")
    counts = rng.integers(0, 3, 30)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    flat = np.arange(31, dtype=np.int64)
    pt = rng.exponential(20, int(offsets[-1])).astype("<f4")
    return {
        "a": TableData(flat, {"a/x": x, "a/n": rng.integers(-5, 6, 30).astype("<i2")}),
        "b": TableData(flat.copy(), {"b/x": np.nextafter(-x, np.float32(0))}),
        "b/K": TableData(offsets, {"b/K_pt": pt}),
    }


def clusters() -> list[Cluster]:
    """Two clusters; the second has two groups of lanes and lists that cannot be folded."""
    return [_cluster(11, 18, 18, True), _cluster(12, 520, 12, False)]
