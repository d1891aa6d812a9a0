"""Kinds of predictors: the inputs of a prediction and its exact order of operations (SPEC 6.8).

Every pointwise kind takes columns as binary64 numbers and gives binary64 numbers; a result that
is not finite is no prediction. Only IEEE 754 operations are used, each rounded by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vortex_hep.codec.predictors import functions

Array = npt.NDArray[Any]
Formula = Callable[[Sequence[Array], Sequence[float]], Array]


@dataclass(frozen=True)
class Kind:
    """One kind of predictor.

    Parameters
    ----------
    number : int
        Its identity in models; never used again for another.
    name : str
    inputs : tuple of int
        Fewest and most columns it takes.
    parameters : callable
        Number of parameters for a number of inputs.
    formula : callable or None
        Computes the predictions; None for kinds that walk along the rows.
    adds : bool
        Whether the first parameter is added to all else; it is a factor of it otherwise.
    dtypes : tuple of str
        What it may predict; anything but booleans where there are none.
    """

    number: int
    name: str
    inputs: tuple[int, int]
    parameters: Callable[[int], int]
    formula: Formula | None
    adds: bool = False
    dtypes: tuple[str, ...] = ()

    def allows(self, inputs: int, parameters: Sequence[float]) -> bool:
        """Whether a predictor of this kind may have so many inputs and these parameters."""
        low, high = self.inputs
        finite = all(np.isfinite(p) for p in parameters)
        return low <= inputs <= high and len(parameters) == self.parameters(inputs) and finite


KINDS: dict[int, Kind] = {}


def _register(
    number: int,
    name: str,
    inputs: tuple[int, int],
    parameters: Callable[[int], int],
    *,
    adds: bool = False,
) -> Callable[[Formula], Formula]:
    def put(formula: Formula) -> Formula:
        _add(Kind(number, name, inputs, parameters, formula, adds))
        return formula

    return put


def _add(kind: Kind) -> Kind:
    if kind.number in KINDS or any(k.name == kind.name for k in KINDS.values()):
        msg = f"predictor {kind.number} ({kind.name}) is registered twice"
        raise ValueError(msg)
    KINDS[kind.number] = kind
    return kind


@_register(1, "copy", (1, 1), lambda n: 0)
def _copy(x: Sequence[Array], p: Sequence[float]) -> Array:
    return x[0]


@_register(2, "linear", (1, 4), lambda n: n + 1, adds=True)
def _linear(x: Sequence[Array], p: Sequence[float]) -> Array:
    out = np.full(x[0].shape, float(p[0]))
    for c, column in zip(p[1:], x, strict=True):
        out = out + c * column
    return out


@_register(3, "product", (1, 4), lambda n: n + 1)
def _product(x: Sequence[Array], p: Sequence[float]) -> Array:
    out = np.full(x[0].shape, float(p[0]))
    for e, column in zip(p[1:], x, strict=True):
        out = out * column if e > 0 else out / column
    return out


@_register(4, "hypot", (1, 4), lambda n: n + 1)
def _hypot(x: Sequence[Array], p: Sequence[float]) -> Array:
    total = np.zeros(x[0].shape)
    for s, column in zip(p[1:], x, strict=True):
        square = column * np.abs(column) if abs(s) > 1 else column * column
        total = total + square if s > 0 else total - square
    return p[0] * np.copysign(np.sqrt(np.abs(total)), total)


@_register(5, "polar", (2, 2), lambda n: 3)
def _polar(x: Sequence[Array], p: Sequence[float]) -> Array:
    if p[1] not in range(len(functions.ANGULAR)) or p[2] not in (0, 1, 2):
        return np.full(x[0].shape, np.nan)
    f = functions.ANGULAR[int(p[1])](x[1])
    if p[2] == 0:
        return p[0] * (x[0] * f)
    return p[0] * (x[0] / f) if p[2] == 1 else p[0] / (x[0] * f)


@_register(6, "magnitude", (1, 1), lambda n: 1)
def _magnitude(x: Sequence[Array], p: Sequence[float]) -> Array:
    return p[0] * np.abs(x[0])


@_register(7, "energy", (3, 3), lambda n: 1)
def _energy(x: Sequence[Array], p: Sequence[float]) -> Array:
    momentum = x[0] * functions.cosh(x[1])
    square = momentum * momentum + x[2] * np.abs(x[2])
    out: Array = p[0] * np.sqrt(np.maximum(square, 0.0))
    return out


SAME_KEY = _add(Kind(32, "same-key", (1, 4), lambda n: 0, None))
BALANCE = _add(Kind(33, "balance", (1, 2), lambda n: 0, None, dtypes=("<f4", "<f8")))
INHERIT = _add(Kind(34, "inherit", (1, 1), lambda n: 0, None))
DRIFT = _add(Kind(35, "drift", (4, 4), lambda n: 0, None, dtypes=("<f4", "<f8")))
