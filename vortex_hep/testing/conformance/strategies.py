"""Values for property tests with Hypothesis, which only this module needs (extra ``test``)."""

from __future__ import annotations

from typing import Any

import numpy as np

from vortex_hep.core.install import install_hint
from vortex_hep.core.schema import COLUMN_DTYPES, Array
from vortex_hep.errors import UnsupportedFeatureError
from vortex_hep.testing.conformance.arrays import special_values

try:
    from hypothesis import strategies as st
    from hypothesis.extra import numpy as hnp
except ImportError as _error:
    raise UnsupportedFeatureError(
        f"strategies of values need Hypothesis: {_error}",
        hint=f"{install_hint('test')}; check_codec_round_trip() does without",
    ) from _error


@st.composite
def column_arrays(
    draw: st.DrawFn, *, dtypes: tuple[str, ...] = COLUMN_DTYPES, longest: int = 300
) -> Array:
    """Draw arrays of all dtypes and shapes with any bits.

    Random ones, special ones (NaN payloads, -0.0, infinities, denormals, ends of ranges), few
    values, rising, or constant.

    Parameters
    ----------
    draw : callable
        Given by Hypothesis.
    dtypes : tuple of str
    longest : int
        Items of the longest one-dimensional array.

    Examples
    --------
    >>> from hypothesis import given
    >>> from vortex_hep.testing import check_codec_round_trip
    >>> from vortex_hep.codec.columns.classical import COLUMN_CODERS
    >>> @given(column_arrays())
    ... def test_mine(array):
    ...     check_codec_round_trip(COLUMN_CODERS.get("raw"), [array])
    """
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    shape = draw(st.one_of(st.tuples(st.integers(0, longest)), hnp.array_shapes(max_dims=3)))
    size = int(np.prod(shape))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    how = draw(st.sampled_from(["any", "few", "rising", "constant", "special"]))
    if how == "rising":
        rising: Array = np.cumsum(rng.integers(0, 3, size)).astype(dtype).reshape(shape)
        return rising
    if how == "special":
        values = special_values(dtype)
    else:
        pool = rng.bytes(dtype.itemsize * {"any": max(size, 1), "few": 3, "constant": 1}[how])
        values = np.frombuffer(pool, dtype)
    index = np.arange(size) if how == "any" else rng.integers(0, len(values), size)
    array: Array = values[index].reshape(shape)
    return array


def damaged(payload: bytes, *, most: int = 3) -> st.SearchStrategy[bytes]:
    """Give a payload with one to ``most`` of its bytes set to anything.

    Parameters
    ----------
    payload : bytes
        Not empty.
    most : int
    """

    def put(changes: list[tuple[int, int]]) -> bytes:
        out = bytearray(payload)
        for at, value in changes:
            out[at] = value
        return bytes(out)

    change: Any = st.tuples(st.integers(0, len(payload) - 1), st.integers(0, 255))
    return st.lists(change, min_size=1, max_size=most).map(put)
