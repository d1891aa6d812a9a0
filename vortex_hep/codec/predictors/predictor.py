"""Predictors of one field, and differences to their predictions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from vortex_hep.codec.predictors import functions
from vortex_hep.codec.predictors.kinds import KINDS, SAME_KEY
from vortex_hep.codec.predictors.scans import take_key
from vortex_hep.codec.predictors.trees import walk
from vortex_hep.codec.tokens import transforms

Array = npt.NDArray[Any]

#: Rows from which a chunk's own parameter is told.
_REFIT_ROWS = 4096


@dataclass(frozen=True)
class Input:
    """A component of a column that predictions are made from.

    Parameters
    ----------
    plan : str
        The own plan; or one that comes before, whose row of the same entry, or that a link leads
        to, is meant.
    column : str
    component : int
    """

    plan: str
    column: str
    component: int = 0


class Values(Protocol):
    """What predictions of some rows are made from."""

    @property
    def entry(self) -> Array:
        """Entry of each row (int64, shape (rows,)): rows of one entry are a list."""
        ...

    def __call__(self, i: Input, /) -> tuple[Array, Array] | None:
        """Values of an input for every row (any dtype), and where there is one (bool).

        None where the file at hand has no such column.
        """
        ...


@dataclass(frozen=True)
class Predictor:
    """How a field's values are predicted from other columns.

    Parameters
    ----------
    kind : int
        Number of a :class:`~vortex_hep.codec.predictors.kinds.Kind`.
    inputs : tuple of Input
    parameters : tuple of float
    magnitude : bool
        Whether only the magnitude is predicted, the sign being told apart.
    """

    kind: int
    inputs: tuple[Input, ...]
    parameters: tuple[float, ...] = ()
    magnitude: bool = False

    @property
    def name(self) -> str:
        """Name of the kind."""
        return KINDS[self.kind].name

    @property
    def allowed(self) -> bool:
        """Whether its kind exists and takes such inputs and parameters."""
        kind = KINDS.get(self.kind)
        return kind is not None and kind.allows(len(self.inputs), self.parameters)

    def available(self, values: Values) -> bool:
        """Whether the file has all columns that the prediction needs."""
        return all(values(i) is not None for i in self.inputs)

    def fold(self, ordered: Array, dtype: str, shift: int, values: Values) -> Array:
        """Take differences between values and predictions, folded to small unsigned integers.

        Parameters
        ----------
        ordered : uint64 array, shape (rows,)
            Ordered view of the values.
        dtype : str
            Of the values.
        shift : int
            Low bits of their magnitudes that are dropped.
        values : callable
            The inputs; all must be available.

        Returns
        -------
        uint64 array, shape (rows,)
        """
        if KINDS[self.kind].formula is None:
            return self._walk(ordered, None, None, dtype, shift, values)
        expected, known = self._expected(len(ordered), dtype, shift, values)
        if self.magnitude:
            half = _half(dtype, shift)
            out: Array = transforms.subtract_magnitude(ordered, expected, known, half)
        else:
            out = transforms.subtract_expected(ordered, expected, known)
        return out

    def unfold(
        self, folded: Array, ok: Array, known_ordered: Array, dtype: str, shift: int, values: Values
    ) -> Array:
        """Invert :meth:`fold`; where ``ok`` is False a row's ordered integer is known already."""
        if KINDS[self.kind].formula is None:
            return self._walk(folded, ok, known_ordered, dtype, shift, values)
        expected, known = self._expected(len(folded), dtype, shift, values)
        if self.magnitude:
            half = _half(dtype, shift)
            out: Array = transforms.add_magnitude(folded, expected, known, half)
        else:
            out = transforms.add_expected(folded, expected, known)
        return out

    @property
    def parameter(self) -> float:
        """The parameter that each chunk may have for itself: the first, or 0 without any."""
        return self.parameters[0] if self.parameters else 0.0

    def with_parameter(self, value: float) -> Predictor:
        """Return the same predictor with another first parameter; 0 stands for none."""
        if not self.parameters and value == 0.0:
            return self
        return replace(self, parameters=(value, *self.parameters[1:]))

    def refitted(self, column: Array, values: Values) -> Predictor:
        """Return the same predictor with the first parameter that suits some values best.

        Parameters
        ----------
        column : array, shape (rows,)
            Values to be predicted.
        values : callable
            The inputs; all must be available.
        """
        kind = KINDS[self.kind]
        if kind.formula is None or not self.parameters or not len(column):
            return self
        rows = slice(None, None, max(1, len(column) // _REFIT_ROWS))
        taken = [_taken(values, i)[0][rows] for i in self.inputs]
        with np.errstate(all="ignore"):
            wanted = column[rows].astype(np.float64)
            reals = [c.astype(np.float64) for c in taken]
            bare = kind.formula(reals, (0.0 if kind.adds else 1.0, *self.parameters[1:]))
            given = wanted - bare if kind.adds else wanted / bare
            if self.magnitude:
                given = np.abs(given)
            given = given[np.isfinite(given) & (kind.adds | (given != 0.0))]
            if not len(given):
                return self
            middle = float(np.median(given))
            # Within the spread of single values the model's own parameter is as good.
            spread = float(np.median(np.abs(given - middle)))
        if not np.isfinite(middle) or abs(middle - self.parameters[0]) <= 2 * spread:
            return self
        return self.with_parameter(middle)

    def _walk(
        self, integers: Array, ok: Array | None, ordered: Array | None, dtype: str, shift: int,
        values: Values,
    ) -> Array:  # fmt: skip
        taken = [_taken(values, i) for i in self.inputs]
        if self.kind != SAME_KEY.number:
            functions.check_arithmetic()
            return walk(self.name, integers, ok, ordered, taken, values.entry, dtype, shift)
        rows = take_key([bits for bits, _ in taken])
        if ok is None:
            out: Array = transforms.subtract_reference(integers, rows)
        else:
            out = transforms.add_reference(integers, rows, ok, ordered)
        return out

    def _expected(self, rows: int, dtype: str, shift: int, values: Values) -> tuple[Array, Array]:
        """Ordered view of the predictions, and where there is one."""
        taken = [_taken(values, i) for i in self.inputs]
        known = np.ones(rows, np.bool_)
        for _, there in taken:
            known &= there
        kind = KINDS[self.kind]
        if kind.number == 1 and taken[0][0].dtype.str == dtype:
            bits = transforms.bits_of(taken[0][0])
            width = 8 * np.dtype(dtype).itemsize
            ordered, _ = transforms.ordered_view(bits, transforms.order_kind(dtype), width, shift)
            return ordered, known
        functions.check_arithmetic()
        with np.errstate(all="ignore"):
            reals = [column.astype(np.float64) for column, _ in taken]
            formula = kind.formula
            out = formula(reals, self.parameters) if formula is not None else reals[0]
            return transforms.ordered_from_reals(out, known, dtype, shift)


def _taken(values: Values, i: Input) -> tuple[Array, Array]:
    found = values(i)
    if found is None:
        msg = f"column {i.column!r} is not there to predict from"
        raise KeyError(msg)
    return found


def _half(dtype: str, shift: int) -> Any:
    """Ordered integer of zero."""
    return np.uint64(1 << (8 * np.dtype(dtype).itemsize - 1 - shift))
