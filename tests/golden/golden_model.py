"""Event models of the golden model and archive."""

from __future__ import annotations

import numpy as np

from vortex_hep.codec.predictors import Input, Predictor
from vortex_hep.codec.tokens.fields import LINKED_ROW, NO_REFERENCE, PREDICTED, PREVIOUS_ROW, Field
from vortex_hep.codec.tokens.transforms import Segments
from vortex_hep.models.model import Model
from vortex_hep.nn.event.model import WIDE, EventModel, Link, Shape


def _segments(*ranges: tuple[int, int]) -> Segments:
    """Segments from first to last."""
    start = np.array([a for a, _ in ranges], np.uint64)
    return Segments(start, np.array([b for _, b in ranges], np.uint64) - start)


def _field(
    names: str, dtype: str, segments: Segments, *, component: int = 0, shift: int = 0,
    reference: int = NO_REFERENCE, flat: int = 0, buckets: int = 8,
    predictor: Predictor | None = None,
) -> Field:  # fmt: skip
    top = segments.top
    thresholds = sorted({1 + k * top // buckets for k in range(buckets)})
    bound = np.array(thresholds, np.uint64)
    columns = tuple(names.split())
    reference = reference if predictor is None else PREDICTED
    return Field(columns, component, dtype, shift, reference, segments, bound, flat, predictor)


def _differences(width: int) -> Segments:
    """Small differences, and the largest: with these even NaN against a number is no escape."""
    if width == 8:
        return _segments((0, 1023))
    return _segments((0, 4095), ((1 << (width - 2)) - 1, (1 << (width + 1)) - 1))


def _from(kind: int, inputs: str, *parameters: float, magnitude: bool = False) -> Predictor:
    """A predictor with inputs as ``plan.column`` or ``plan.column[component]``."""
    made = []
    for name in inputs.split():
        plan, _, column = name.partition(".")
        column, _, component = column.partition("[")
        made.append(Input(plan, column, int(component.strip("]") or 0)))
    return Predictor(kind, tuple(made), tuple(map(float, parameters)), magnitude)


def _entry_fields() -> tuple[Field, ...]:
    """Fields of the table E: predictors of every kind."""
    number = _segments((0, (1 << 32) - 1))
    wide = _segments((0, (1 << 64) - 1))
    f4, f2 = _differences(32), _differences(16)
    px = _from(5, "E.E_x E.E_phi", 1, 0, 0, magnitude=True)
    twice = _from(6, "E.E_pair[0]", 2, magnitude=True)
    return (
        _field("E_key", "|u1", _segments((0, 6))),
        _field("E_n", "<i4", _segments(((1 << 31) - 300, (1 << 31) + 297))),
        _field("E_x", "<f4", number, flat=3),
        _field("E_y", "<f4", number, flat=3),
        _field("E_eta", "<f4", number, flat=3),
        _field("E_copy", "<f4", f4, predictor=_from(1, "E.E_x")),
        _field("E_z", "<f8", wide, flat=8, predictor=_from(2, "E.E_x E.E_n", 0.25, 2, -0.5)),
        _field("E_round", "<f4", _segments((0, 255)), shift=12, predictor=_from(1, "E.E_z")),
        _field("E_half", "<f2", f2, predictor=_from(3, "E.E_x E.E_y", 1, 1, -1)),
        _field("E_norm", "<f4", f4, predictor=_from(4, "E.E_x E.E_y E.E_mass", 1, 1, -1, 2)),
        _field("E_px", "<f4", f4, predictor=px),
        _field("E_py", "<f4", f4, predictor=_from(5, "E.E_x E.E_phi", 1, 1, 1)),
        _field("E_pz", "<f4", f4, predictor=_from(5, "E.E_x E.E_eta", 1, 2, 0)),
        _field("E_inverse", "<f8", wide, predictor=_from(5, "E.E_x E.E_eta", 1, 3, 2)),
        _field("E_tanh", "<f2", f2, predictor=_from(5, "E.E_x E.E_eta", 1, 4, 1)),
        _field("E_abs", "<f8", wide, flat=8, predictor=_from(6, "E.E_y", 1, magnitude=True)),
        _field("E_energy", "<f4", f4, predictor=_from(7, "E.E_x E.E_eta E.E_mass", 1)),
        _field("E_same", "<i4", _segments((0, 4095), (1 << 32, (1 << 33) - 1)),
               predictor=_from(32, "E.E_key")),
        _field("E_both", "<u8", wide, predictor=_from(32, "E.E_key E.E_n")),
        _field("E_count", "<i8", wide, predictor=_from(2, "E.E_n", -7, 3)),
        _field("E_byte", "|u1", _differences(8), predictor=_from(3, "E.E_key", 40, 1)),
        _field("E_small", "|i1", _differences(8), predictor=_from(2, "E.E_n", 0, -0.5)),
        _field("E_pair", "<f4", number),
        _field("E_pair", "<f4", f4, component=1, predictor=twice),
    )  # fmt: skip


def _table(
    seed: int, name: str, fields: tuple[Field, ...], *, previous: bool,
    links: tuple[Link, ...] = (), seen: tuple[int, ...] = (), context: str = "",
    fold: int = 0, head: int = 8, block: int = 0,
) -> EventModel:  # fmt: skip
    """A model of sparse random weights, of which some saturate."""
    rng = np.random.default_rng(seed)
    tokens = sum(len(f.token_widths) for f in fields)
    pairs = [text.partition(".") for text in context.split()]
    shape = Shape(len(fields), tokens, 8, head, len(pairs), previous, seen)
    weights = {}
    for key, size in shape.weight_shapes().items():
        top = 1000 if key in WIDE else 127
        w = rng.integers(-top, top + 1, size).astype(np.int32)
        weights[key] = np.where(rng.random(size) < 0.06, w, 0).astype(np.int32)
    weights["bias"][0, 0] = 1 << 22
    weights["head_bias"][0, :2] = 1 << 22, -(1 << 22)
    # That much better than any other coder: the network codes all that it may.
    expected = np.ones((len(fields), 2)) * [1e5, 1e6]
    known = tuple((plan, column) for plan, _, column in pairs)
    return EventModel(name, fields, shape, known, weights, expected, links, fold, block)


def _decay_fields() -> tuple[Field, ...]:
    """Fields of the table D: predictors along links."""
    wide = _segments((0, (1 << 64) - 1))
    flight = _from(35, "D.D_parent D.D_t D.D_p D.D_e")
    return (
        _field("D_parent", "<i2", _segments((0x7FFF, 0x7FFF + 12))),
        _field("D_partner", "|i1", _segments((0x7F, 0x7F + 12))),
        _field("D_p", "<f8", wide, flat=8, predictor=_from(33, "D.D_parent D.D_partner")),
        _field(
            "D_q", "<f4", _segments((0, (1 << 21) - 1)), shift=12,
            predictor=_from(33, "D.D_parent"),
        ),
        _field("D_e", "<f8", wide, flat=8),
        _field("D_t", "<f8", wide, predictor=_from(34, "D.D_parent")),
        _field("D_x", "<f8", wide, predictor=flight),
        _field("D_n", "<u2", _segments((0, 255)), predictor=_from(34, "D.D_parent")),
    )  # fmt: skip


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
        _field("T_copy", "<f4", _segments((0, 1 << 19)), shift=14, predictor=_from(1, "S.S_pt")),
        _field(
            "T_scaled", "<f8", _segments((0, (1 << 64) - 1)),
            predictor=_from(3, "T.T_pt E.E_x", 1, 1, 1),
        ),
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
        _field("J_eta", "<f4", _segments((0, (1 << 33) - 1)), predictor=_from(3, "S.S_eta", -2, 1)),
    )
    s = tuple(_field(f"S_{name}", "<f4", floats, shift=14) for name in ("pt", "eta", "phi"))
    w = tuple(
        _field("W", "<f2", _segments((0, (1 << 16) - 1)), component=k, flat=k) for k in range(3)
    )
    a = (
        _field("a/x", "<f4", _segments((0, (1 << 32) - 1))),
        _field("a/n", "<i2", _segments((0x8000 - 5, 0x8000 + 5))),
    )
    b = (_field("b/x", "<f4", _segments((0, 1023)), predictor=_from(3, "a.a/x", -1, 1)),)
    return Model(
        {
            "Events": {
                "": _table(1, "", core, previous=False),
                "T": _table(
                    2,
                    "T",
                    t,
                    previous=True,
                    links=t_links,
                    seen=(len(t), 3),
                    context=".nT .nJ E.E_byte /scalars.run E.E_pair",
                ),
                "J": _table(
                    3, "J", j, previous=True, links=(Link("S", ("", "S_pt", "")),), seen=(3,)
                ),
                "S": _table(4, "S", s, previous=True, context="E.E_key", head=16),
                "W": _table(5, "W", w, previous=False, fold=3),
                "D": _table(
                    9,
                    "D",
                    _decay_fields(),
                    previous=False,
                    links=(Link("D", tuple(f.columns[0] for f in _decay_fields())),),
                    seen=(len(_decay_fields()),),
                    context="E.E_key",
                ),
                "E": _table(6, "E", _entry_fields(), previous=True, context=".nT .nW", block=7),
            },
            "Pair": {
                "a": _table(7, "a", a, previous=False),
                "b": _table(8, "b", b, previous=True, context="a.a/n", block=16),
            },
        },
        {"Events": ["run", "trigger", "comment", "x", "T_noise", "T_label"]},
    )
