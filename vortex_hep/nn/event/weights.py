"""Event models as bytes: one canonical form, which names the model, and one that is stored."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_hep.codec.plan import CORE
from vortex_hep.codec.predictors import KINDS, Input, Predictor
from vortex_hep.codec.sections import Reader, join
from vortex_hep.codec.tokens.fields import BUCKETS, FLAGS_PER_FIELD, NO_REFERENCE, PREDICTED, Field
from vortex_hep.codec.tokens.folding import MAX_FOLD
from vortex_hep.codec.tokens.rows import MAX_BLOCK
from vortex_hep.codec.tokens.transforms import Segments
from vortex_hep.core.schema import COLUMN_DTYPES
from vortex_hep.errors import CorruptionError
from vortex_hep.nn import stored
from vortex_hep.nn.event.linking import is_virtual
from vortex_hep.nn.event.model import (
    MAX_FIELDS,
    MAX_HIDDEN,
    MAX_LINKS,
    WIDE,
    EventModel,
    Link,
    Shape,
)

Array = npt.NDArray[Any]

_MAX_TOKENS = 16
#: Limits that keep a small file from asking for much memory.
_MAX_SEGMENTS = 1 << 24
_MAX_WEIGHTS = 1 << 27
#: Bits per row, in thousandths, that :attr:`EventModel.expected` can say.
_MAX_EXPECTED = 10**9
#: dtype of the links that the encoder makes up.
_VIRTUAL_DTYPE = "<i2"


def _integers(model: EventModel) -> list[tuple[str, Array]]:
    """Every array of a model in canonical order, narrowed to its stored type."""
    none = np.zeros(0, np.uint64)
    out = [
        ("start", np.concatenate([none, *(f.segments.start for f in model.fields)])),
        ("length", np.concatenate([none, *(f.segments.length for f in model.fields)])),
        ("thresholds", np.concatenate([none, *(f.thresholds for f in model.fields)])),
        ("expected", np.rint(np.minimum(model.expected, 1e6) * 1000).astype(np.uint32).reshape(-1)),
    ]
    for name in model.shape.weight_shapes():
        kind = "<i4" if name in WIDE else "|i1"
        out.append((name, model.weights[name].astype(kind).reshape(-1)))
    return out


def _document(model: EventModel) -> dict[str, Any]:
    s = model.shape
    predictors = [
        [f.predictor.kind, [[i.plan, i.column, i.component] for i in f.predictor.inputs],
         list(f.predictor.parameters), f.predictor.magnitude]
        for f in model.fields if f.predictor is not None
    ]  # fmt: skip
    return {
        "table": model.table,
        "hidden": s.hidden,
        "head": s.head,
        "previous": s.previous,
        "links": [
            [link.source, list(link.counterparts), [list(a) for a in link.anchors], n]
            for link, n in zip(model.links, s.links, strict=True)
        ],
        "fold": model.fold,
        **({"block": model.block} if model.block else {}),
        "lane_context": [
            column if plan == CORE else [plan, column] for plan, column in model.lane_context
        ],
        "fields": [
            [list(f.columns), f.component, f.dtype, f.shift, f.reference, f.flat,
             len(f.segments.start), len(f.thresholds)]
            for f in model.fields
        ],
        **({"predictors": predictors} if predictors else {}),
    }  # fmt: skip


def canonical(model: EventModel) -> bytes:
    """Return the bytes whose SHA-256 names an event model; no coder takes part in them."""
    parts = [stored.document_bytes(_document(model))] + [a.tobytes() for _, a in _integers(model)]
    return join(parts)


def dump(model: EventModel) -> bytes:
    """Return an event model as it is stored."""
    if model.stored is not None:
        return model.stored
    return stored.pack(_document(model), (a for _, a in _integers(model)), "normal")


def stored_size(weights: Mapping[str, Array]) -> int:
    """Estimate the bytes that integer weights take when stored (their order-0 entropy)."""
    total = 0.0
    for w in weights.values():
        if w.size:
            _, counts = np.unique(w, return_counts=True)
            total -= float((counts * np.log2(counts / w.size)).sum()) / 8 - 2 * len(counts)
    return int(total)


def load(payload: bytes) -> EventModel:
    """Read what :func:`dump` wrote, checking every value that a decoder relies on.

    Raises
    ------
    CorruptionError
        The bytes are not an event model.
    """
    model = stored.unpack(payload, "an event model", _build, _document)
    return replace(model, stored=payload)


def _checked_fields(
    entries: list[Any], predictors: list[Any], start: Array, length: Array, bound: Array
) -> tuple[Field, ...]:
    if len(predictors) != sum(entry[4] == PREDICTED for entry in entries):
        raise CorruptionError("'predictors' has more or fewer items than the fields need")
    coming = iter(predictors)
    fields = []
    s = t = 0
    for names, component, dtype, shift, reference, flat, n, m in entries:
        # Numbers equal to one, such as true or 1.0, would be other texts of the same model.
        known = type(reference) is int and 0 <= reference <= PREDICTED
        if dtype not in COLUMN_DTYPES or not known:
            raise CorruptionError(
                f"field {names}: unknown dtype {dtype!r} or reference {reference!r}"
            )
        most = FLAGS_PER_FIELD if dtype == "|b1" and component == 0 else 1
        if not 1 <= len(names) <= most or not all(isinstance(name, str) for name in names):
            raise CorruptionError(f"field {names}: expected 1 to {most} names of columns")
        segments = Segments(start[s : s + n], length[s : s + n])
        first = segments.start.tolist()
        last = [a + b for a, b in zip(first, segments.length.tolist(), strict=True)]
        if any(a >= b for a, b in zip(last, [*first[1:], 1 << 64], strict=True)):
            raise CorruptionError(f"field {names}: segments overlap or end beyond 64 bits")
        thresholds = bound[t : t + m]
        if (thresholds[1:] <= thresholds[:-1]).any():
            raise CorruptionError(f"field {names}: thresholds do not increase")
        predictor = _predictor(next(coming), dtype) if reference == PREDICTED else None
        f = Field(
            tuple(names), int(component), dtype, int(shift), reference, segments, thresholds,
            int(flat), predictor,
        )  # fmt: skip
        if f.width > 64 or not 0 <= f.flat <= len(f.token_widths) <= _MAX_TOKENS or f.width == 0:
            raise CorruptionError(f"field {names}: more bits than its dtype, or than 64, or none")
        widest = 8 * np.dtype(dtype).itemsize if np.dtype(dtype).kind == "f" else 1
        if not 0 <= f.shift < widest or f.component < 0:
            raise CorruptionError(f"field {names}: shift or component out of range")
        fields.append(f)
        s += n
        t += m
    by_column = {name: f.columns for f in fields for name in f.columns}
    if any(by_column[name] != f.columns for f in fields for name in f.columns) or len(
        {(f.columns, f.component) for f in fields}
    ) != len(fields):
        raise CorruptionError("'fields' has a column in several fields")
    return tuple(fields)


def _predictor(entry: list[Any], dtype: str) -> Predictor:
    kind, inputs, parameters, magnitude = entry
    made = Predictor(
        kind,
        tuple(Input(plan, column, component) for plan, column, component in inputs),
        tuple(map(float, parameters)),
        magnitude,
    )
    names = all(isinstance(t, str) for i in made.inputs for t in (i.plan, i.column))
    if not names or any(type(i.component) is not int or i.component < 0 for i in made.inputs):
        raise CorruptionError(f"invalid inputs {inputs} of a predictor")
    if type(kind) is not int or not made.allowed:
        raise CorruptionError(f"unknown kind {kind!r} of predictor, or invalid inputs for it")
    walks = KINDS[kind].formula is None
    if (
        dtype not in (KINDS[kind].dtypes or COLUMN_DTYPES[1:])
        or type(magnitude) is not bool
        or (magnitude and (walks or np.dtype(dtype).kind != "f"))
    ):
        raise CorruptionError(f"a predictor of kind {kind} does not fit a field of dtype {dtype}")
    return made


def _check_inputs(table: str, fields: tuple[Field, ...]) -> None:
    """A field's own inputs must be restored before it."""
    known: set[tuple[str, int]] = set()
    mine = {(name, f.component) for f in fields for name in f.columns}
    for f in fields:
        for i in f.predictor.inputs if f.predictor is not None else ():
            own = (i.column, i.component)
            if i.plan == table and own in mine and own not in known:
                raise CorruptionError(
                    f"field {f.columns} is predicted from the later column {i.column!r}"
                )
        known |= {(name, f.component) for name in f.columns}


def _check_links(fields: tuple[Field, ...], links: tuple[Link, ...], seen: tuple[int, ...]) -> None:
    if len(links) > min(MAX_LINKS, len(fields)) or any(not 0 <= n <= MAX_FIELDS for n in seen):
        raise CorruptionError(f"'links' has {len(links)} items, at most {MAX_LINKS} are allowed")
    if any(len(link.counterparts) != len(fields) for link in links):
        raise CorruptionError("'links': counterparts of a link do not match the fields")
    for link, f in zip(links, fields, strict=False):
        plain = f.component == 0 and f.reference == NO_REFERENCE
        if not plain or np.dtype(f.dtype).kind not in "iu":
            raise CorruptionError(f"link field {f.columns}: expected a plain column of integers")
        virtual = is_virtual(f.columns[0])
        if virtual != bool(link.anchors) or (virtual and f.dtype != _VIRTUAL_DTYPE):
            raise CorruptionError(
                f"link field {f.columns}: only virtual columns have anchors, and all of them do"
            )
    if any(is_virtual(name) for f in fields[len(links) :] for name in f.columns):
        raise CorruptionError("a virtual column must be the field of a link")


def _build(d: dict[str, Any], body: Reader) -> EventModel:
    entries = d["fields"]
    if not 1 <= len(entries) <= MAX_FIELDS or len(d["lane_context"]) > MAX_FIELDS:
        raise CorruptionError(
            f"'fields' has {len(entries)} and 'lane_context' {len(d['lane_context'])} items,"
            f" at most {MAX_FIELDS} are allowed, and one field is needed"
        )
    counts = np.array([[e[6], e[7]] for e in entries], np.int64).reshape(-1, 2)
    if (counts[:, 0] < 1).any() or (counts[:, 1] < 0).any() or (counts[:, 1] >= BUCKETS).any():
        raise CorruptionError("'fields': number of segments or thresholds out of range")
    if (counts > _MAX_SEGMENTS).any() or int(counts[:, 0].sum()) > _MAX_SEGMENTS:
        raise CorruptionError(f"'fields' have more than {_MAX_SEGMENTS} segments")
    total, thresholds = int(counts[:, 0].sum()), int(counts[:, 1].sum())
    start = stored.read_array(body, "<u8", total)
    length = stored.read_array(body, "<u8", total)
    bound = stored.read_array(body, "<u8", thresholds)
    expected = stored.read_array(body, "<u4", 2 * len(entries)).reshape(-1, 2)
    if int(expected.max()) > _MAX_EXPECTED:
        raise CorruptionError(f"'expected' is above {_MAX_EXPECTED}")
    fields = _checked_fields(entries, d.get("predictors", []), start, length, bound)
    _check_inputs(str(d["table"]), fields)
    context = tuple((CORE, c) if isinstance(c, str) else (c[0], c[1]) for c in d["lane_context"])
    if not all(isinstance(text, str) for pair in context for text in pair):
        raise CorruptionError("'lane_context' must be a list of names")
    shape = Shape(
        len(fields), sum(len(f.token_widths) for f in fields), int(d["hidden"]), int(d["head"]),
        len(context), bool(d["previous"]), tuple(int(entry[3]) for entry in d["links"]),
    )  # fmt: skip
    fold = int(d["fold"])
    if fold != 0 and not 2 <= fold <= MAX_FOLD:
        raise CorruptionError(f"'fold' must be 0 or 2 to {MAX_FOLD}, not {fold}")
    block = int(d.get("block", 0))
    if block != 0 and (not 2 <= block <= MAX_BLOCK or fold or d["links"] or not shape.previous):
        raise CorruptionError(f"'block' {block} is out of range, or used with 'fold' or 'links'")
    links = tuple(
        Link(str(source), tuple(map(str, same)), tuple((str(a), str(b)) for a, b in anchors))
        for source, same, anchors, _ in d["links"]
    )
    _check_links(fields, links, shape.links)
    for link in links:
        several = any(
            c and len(f.columns) > 1 for c, f in zip(link.counterparts, fields, strict=True)
        )
        if several and link.source != d["table"]:
            raise CorruptionError(
                f"'links': several columns have one counterpart in {link.source!r}"
            )
    if not (8 <= shape.hidden <= MAX_HIDDEN and 8 <= shape.head <= MAX_HIDDEN):
        raise CorruptionError(f"'hidden' and 'head' must be 8 to {MAX_HIDDEN}")
    sizes = {name: math.prod(size) for name, size in shape.weight_shapes().items()}
    if sum(sizes.values()) > _MAX_WEIGHTS:
        raise CorruptionError(f"more than {_MAX_WEIGHTS} weights")
    weights = {}
    for name, size in shape.weight_shapes().items():
        kind = "<i4" if name in WIDE else "|i1"
        weights[name] = stored.read_array(body, kind, sizes[name]).astype(np.int32).reshape(size)
    body.finish()
    return EventModel(
        str(d["table"]), fields, shape, context, weights, expected / 1000.0, links, fold, block
    )
