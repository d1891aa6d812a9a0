# ruff: noqa: ANN001, ANN201, ANN202 - numba infers the types of kernels
"""Kernels that try many formulas on a few rows."""

from __future__ import annotations

import math

from vortex_hep.core.compiled import kernel

#: Formulas of two columns, by number: see :func:`_pair`.
SUM, DIFFERENCE, PRODUCT, RATIO, INVERSE, HYPOT, LEG, POLAR = 0, 1, 2, 3, 4, 5, 6, 7
#: Angular functions tried with a polar formula, and the ways they are combined.
FUNCTIONS, MODES = 5, 3
PAIRS = POLAR + FUNCTIONS * MODES


@kernel
def _pair(form, a, b, fb):  # type: ignore[no-untyped-def]
    """Value of a formula; ``fb`` are the angular functions of ``b``."""
    if form == 0:
        return a + b
    if form == 1:
        return a - b
    if form == 2:
        return a * b
    if form == 3:
        return a / b if b != 0.0 else math.nan
    if form == 4:
        return 1.0 / (a * b) if a * b != 0.0 else math.nan
    if form == 5:
        return math.sqrt(a * a + b * b)
    if form == 6:
        return math.sqrt(abs(a * a - b * b))
    k = form - POLAR
    f = fb[k // 3]
    if k % 3 == 0:
        return a * f
    if k % 3 == 1:
        return a / f if f != 0.0 else math.nan
    return 1.0 / (a * f) if a * f != 0.0 else math.nan


@kernel
def _steady(y, value, first):  # type: ignore[no-untyped-def]
    """Whether ``y / value`` differs from ``first`` by little."""
    return abs(abs(y / value) - first) <= 0.01 * first if value != 0.0 else False


@kernel
def search_pairs(y, x, fx, own, found, limit):  # type: ignore[no-untyped-def]
    """Pairs of columns of which some formula is proportional to ``y`` on all rows.

    Parameters
    ----------
    y : float64 array, shape (rows,)
    x : float64 array, shape (columns, rows)
    fx : float64 array, shape (columns, FUNCTIONS, rows)
        Angular functions of ``x``.
    own : bool array, shape (columns,)
        Columns of the table itself; one of a pair must be.
    found : int64 array, shape (limit, 3)
        Formula and columns, filled in here.
    limit : int

    Returns
    -------
    int
        Number of pairs found.
    """
    count = 0
    columns, rows = x.shape
    for i in range(columns):
        for j in range(columns):
            if i == j or not (own[i] or own[j]):
                continue
            for form in range(PAIRS):
                if j < i and form in (SUM, DIFFERENCE, PRODUCT, INVERSE, HYPOT, LEG):
                    continue
                v = _pair(form, x[i, 0], x[j, 0], fx[j, :, 0])
                if not abs(v) > 0.0 or not math.isfinite(v):
                    continue
                first = abs(y[0] / v)
                good = True
                for r in range(1, rows):
                    if not _steady(y[r], _pair(form, x[i, r], x[j, r], fx[j, :, r]), first):
                        good = False
                        break
                if good and count < limit:
                    found[count, 0] = form
                    found[count, 1] = i
                    found[count, 2] = j
                    count += 1
    return count


@kernel
def _constant(y, x, i, j, k, signs, near):  # type: ignore[no-untyped-def]
    """Whether ``y`` less the signed sum of three columns is constant."""
    a = 1.0 if signs & 1 else -1.0
    b = 1.0 if signs & 2 else -1.0
    c = 1.0 if signs & 4 else -1.0
    first = y[0] - a * x[i, 0] - b * x[j, 0] - c * x[k, 0]
    for r in range(1, len(y)):
        v = y[r] - a * x[i, r] - b * x[j, r] - c * x[k, r]
        if not abs(v - first) <= near:
            return False
    return True


@kernel
def search_sums(y, x, own, near, found, limit):  # type: ignore[no-untyped-def]
    """Find up to three columns whose signed sum differs from ``y`` by a constant.

    Parameters
    ----------
    y : float64 array, shape (rows,)
    x : float64 array, shape (columns + 2, rows)
        The last two are zero: they stand for no column.
    own : bool array, shape (columns + 2,)
    near : float
        How constant the difference must be.
    found : int64 array, shape (limit, 4)
        The columns, and a bit per column that is added, filled in here.
    limit : int

    Returns
    -------
    int
        Number of sums found.
    """
    count = 0
    none = len(x) - 2
    for i in range(none):
        for j in range(i + 1, none + 1):
            for k in range(j + 1, (none if j < none else none + 1) + 1):
                if not (own[i] or own[j] or own[k]):
                    continue
                for signs in range(2 if j == none else 4 if k >= none else 8):
                    if count < limit and _constant(y, x, i, j, k, signs, near):
                        found[count, 0] = i
                        found[count, 1] = j
                        found[count, 2] = k
                        found[count, 3] = signs
                        count += 1
    return count


@kernel
def search_squares(y, x, found, limit):  # type: ignore[no-untyped-def]
    """Find three or four columns whose signed squares add up to the square of ``y``.

    Parameters
    ----------
    y : float64 array, shape (rows,)
    x : float64 array, shape (columns + 1, rows)
        The last is zero: it stands for no column.
    found : int64 array, shape (limit, 5)
        The columns, and a bit per column that is subtracted, filled in here.
    limit : int

    Returns
    -------
    int
        Number of sums found.
    """
    count = 0
    none = len(x) - 1
    for i in range(none):
        for j in range(i + 1, none):
            for k in range(j + 1, none):
                for m in range(k + 1, none + 1):
                    for minus in (0, 1, 2, 4, 8):
                        if minus == 8 and m == none:
                            continue
                        good = True
                        for r in range(len(y)):
                            v = x[i, r] ** 2 * (-1.0 if minus & 1 else 1.0)
                            v += x[j, r] ** 2 * (-1.0 if minus & 2 else 1.0)
                            v += x[k, r] ** 2 * (-1.0 if minus & 4 else 1.0)
                            v += x[m, r] ** 2 * (-1.0 if minus & 8 else 1.0)
                            if not abs(v - y[r] * y[r]) <= 0.01 * y[r] * y[r]:
                                good = False
                                break
                        if good and count < limit:
                            found[count, 0] = i
                            found[count, 1] = j
                            found[count, 2] = k
                            found[count, 3] = m
                            found[count, 4] = minus
                            count += 1
    return count


@kernel
def search_energies(y, x, cosh, found, limit):  # type: ignore[no-untyped-def]
    """Columns (transverse momentum, pseudorapidity, mass) of which ``y`` is the energy.

    ``cosh`` is that of ``x``; ``found`` is int64 of shape (limit, 3). Returns how many there are.
    """
    count = 0
    columns = len(x)
    for i in range(columns):
        for j in range(columns):
            if i == j:
                continue
            for k in range(columns):
                if k in (i, j):
                    continue
                good = True
                for r in range(len(y)):
                    p = x[i, r] * cosh[j, r]
                    v = p * p + x[k, r] * x[k, r]
                    if not abs(v - y[r] * y[r]) <= 0.01 * y[r] * y[r]:
                        good = False
                        break
                if good and count < limit:
                    found[count, 0] = i
                    found[count, 1] = j
                    found[count, 2] = k
                    count += 1
    return count
