"""Conformance of column coders: exact in bits, strict about their payload, safe with damage.

The contract is :class:`~vortex_hep.codec.columns.column_coders.ColumnCoder`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from vortex_hep.codec.columns.column_coders import MAX_DECODED, ColumnCoder
from vortex_hep.codec.columns.registry import Registry
from vortex_hep.core.schema import COLUMN_DTYPES, Array
from vortex_hep.errors import CorruptionError, UnsupportedTypeError
from vortex_hep.testing.conformance.arrays import column_arrays
from vortex_hep.testing.conformance.reporting import Subject

#: Types that no column has: big-endian, complex, text, records.
OTHER_TYPES = (">i4", "<c8", "S4", "<f4,<i4")

Arrays = Mapping[str, Array] | Iterable[Array]


def coder_subject(coder: ColumnCoder) -> Subject:
    """Return a coder as the errors of checks name it."""
    name, number = getattr(coder, "name", "?"), getattr(coder, "id", "?")
    return Subject(f"column coder {name!r} (id {number})")


def check_codec_round_trip(coder: ColumnCoder, arrays: Arrays) -> None:
    """Check that arrays come back from a coder bit for bit, and that it is strict about payloads.

    Parameters
    ----------
    coder : ColumnCoder
    arrays : mapping of str to array, or iterable of arrays
        Of any shape and of dtypes in :data:`~vortex_hep.core.schema.COLUMN_DTYPES`; names are for
        messages. :func:`~vortex_hep.testing.conformance.arrays.column_arrays` makes many.

    Raises
    ------
    ConformanceError
        An array does not come back as one dimension of the same dtype and bits; what comes back
        cannot be written to; the encoder changes its input; or a payload that is longer or shorter
        by a byte, or of no items, is not refused with CorruptionError.

    Examples
    --------
    >>> import numpy as np
    >>> from vortex_hep.codec.columns.classical import COLUMN_CODERS
    >>> check_codec_round_trip(COLUMN_CODERS.get("zstd"), [np.array([0.0, -0.0, np.nan])])
    """
    subject = coder_subject(coder)
    named = arrays if isinstance(arrays, Mapping) else _named(arrays)
    for name, array in named.items():
        here = subject.of(name)
        before = array.copy()
        payload = here.call("encoding", coder.encode, array)
        here.same_bits("the encoder's input before and after", array, before)
        if not isinstance(payload, bytes):
            raise here.error("the payload is not bytes", found=type(payload).__name__)
        found = here.call("decoding", coder.decode, payload, array.dtype, array.size)
        here.same_bits("items", found, array.reshape(-1))
        if not found.flags.writeable:
            raise here.error("the decoded array cannot be written to")
        _check_strict(here, coder, payload, array)


def _check_strict(here: Subject, coder: ColumnCoder, payload: bytes, array: Array) -> None:
    """Check that a payload of another length is refused."""
    dtype, decode = array.dtype, coder.decode
    longer = payload + b"\x00"
    here.refuses("a payload longer by a byte", CorruptionError, decode, longer, dtype, array.size)
    if payload:
        here.refuses(
            "a payload shorter by a byte", CorruptionError, decode, payload[:-1], dtype, array.size
        )
        here.refuses("a payload of no items", CorruptionError, decode, payload, dtype, 0)


def _named(arrays: Iterable[Array]) -> dict[str, Array]:
    return {f"array {k}, {a.dtype.str} {a.shape}": a for k, a in enumerate(arrays)}


def check_codec_deterministic(coder: ColumnCoder, arrays: Arrays) -> None:
    """Check that equal arrays have equal payloads, whatever else was encoded between.

    Raises
    ------
    ConformanceError
    """
    subject = coder_subject(coder)
    named = arrays if isinstance(arrays, Mapping) else _named(arrays)
    first = {n: subject.of(n).call("encoding", coder.encode, a) for n, a in named.items()}
    for name in reversed(first):
        again = subject.of(name).call("encoding", coder.encode, named[name].copy())
        subject.of(name).equal("payloads of equal arrays", again, first[name])


def check_codec_prefixes(coder: ColumnCoder, array: Array) -> None:
    """Check that every truncated payload of an array is refused with CorruptionError.

    Raises
    ------
    ConformanceError
        Names the length at which a payload was taken for whole.
    """
    here = coder_subject(coder).of(f"{array.dtype.str} {array.shape}")
    payload = here.call("encoding", coder.encode, array)
    for size in range(len(payload)):
        here.refuses(
            "a truncated payload", CorruptionError, coder.decode, payload[:size], array.dtype,
            array.size, position=f"{size} of {len(payload)} bytes",
        )  # fmt: skip


def check_codec_counts(coder: ColumnCoder, array: Array) -> None:
    """Check what a coder does that is asked for another number of items than a payload has.

    CorruptionError, or as many items as were asked for; always the error where that number is
    negative or beyond what a payload may hold.

    Raises
    ------
    ConformanceError
    """
    here = coder_subject(coder).of(f"{array.dtype.str} {array.shape}")
    payload = here.call("encoding", coder.encode, array)
    for count in (1, array.size - 1, array.size + 1, 1000):
        check_codec_hostile(coder, payload, array.dtype, count)
    for count in (-1, MAX_DECODED // array.dtype.itemsize + 1, 1 << 62):
        here.refuses(
            f"a request of {count} items", CorruptionError, coder.decode, payload, array.dtype,
            count,
        )  # fmt: skip


def check_codec_hostile(
    coder: ColumnCoder, payload: bytes, dtype: str | np.dtype[Any], count: int
) -> None:
    """Check that any bytes at all raise CorruptionError or decode to what was asked for.

    What is wrong but fits is found by the checksums around payloads.

    Raises
    ------
    ConformanceError
        Another error was raised, or an array of another dtype or size returned.
    """
    here = coder_subject(coder).of(f"payload {payload.hex()} as {count} of {np.dtype(dtype).str}")
    try:
        found = coder.decode(payload, dtype, count)
    except CorruptionError:
        return
    except Exception as error:
        raise here.error("decoding raises another error", expected="CorruptionError",
                         found=f"{type(error).__name__}: {error}") from error  # fmt: skip
    here.equal("shapes of items", found.shape, (count,))
    here.equal("dtypes of items", found.dtype.str, np.dtype(dtype).str)


def check_codec_damage(
    coder: ColumnCoder, array: Array, *, trials: int = 200, seed: int = 0
) -> None:
    """Check a coder with payloads cut at every length, with bytes changed, and of other bytes.

    Parameters
    ----------
    coder : ColumnCoder
    array : array
        One that the coder encodes.
    trials : int
        Payloads with bytes changed, and as many of random bytes.
    seed : int

    Raises
    ------
    ConformanceError

    Examples
    --------
    >>> import numpy as np
    >>> from vortex_hep.codec.columns.classical import COLUMN_CODERS
    >>> check_codec_damage(COLUMN_CODERS.get("bits"), np.arange(40), trials=20)
    """
    check_codec_prefixes(coder, array)
    check_codec_counts(coder, array)
    rng = np.random.default_rng(seed)
    payload = coder.encode(array)
    for _ in range(trials):
        changed = bytearray(payload)
        for at in rng.integers(0, max(1, len(changed)), int(rng.integers(1, 4))):
            changed[int(at) : int(at) + 1] = rng.bytes(1)
        check_codec_hostile(coder, bytes(changed), array.dtype, array.size)
        other = rng.bytes(int(rng.integers(0, 60)))
        check_codec_hostile(coder, other, array.dtype, array.size)


def check_codec_types(coder: ColumnCoder) -> None:
    """Check that a coder refuses what no column is, with UnsupportedTypeError.

    Raises
    ------
    ConformanceError
    """
    subject = coder_subject(coder)
    for dtype in OTHER_TYPES:
        array = np.zeros(3, dtype)
        here = subject.of(dtype)
        here.refuses("encoding this type", UnsupportedTypeError, coder.encode, array)
        here.refuses("decoding this type", UnsupportedTypeError, coder.decode, b"", array.dtype, 3)


def check_registered(registry: Registry[Any], entries: Mapping[int, str]) -> None:
    """Check that a registry holds the entries that a list says, by id and name, and no others.

    Ids are stored in files: a list in a test keeps them from changing, and a coder that was added
    without a line there has no tests.

    Parameters
    ----------
    registry : Registry
    entries : mapping of int to str

    Raises
    ------
    ConformanceError
        Names each entry that is missing or has another name.

    Examples
    --------
    >>> from vortex_hep.codec.columns.classical import COLUMN_CODERS
    >>> check_registered(COLUMN_CODERS, {coder.id: coder.name for coder in COLUMN_CODERS})
    """
    found = {entry.id: entry.name for entry in registry}
    for number in sorted(found.keys() | entries.keys()):
        here, there = entries.get(number), found.get(number)
        if here != there:
            subject = Subject(f"{registry.what} {there or here!r} (id {number})")
            if here is None:
                raise subject.error("is registered, but has no conformance entry")
            raise subject.error(
                "is not registered under its id and name", expected=repr(here), found=repr(there)
            )


class ColumnCoderTests:
    """Tests of a column coder, to inherit from.

    A subclass says which coder, as an attribute or a fixture that sets it; pytest finds the tests.
    The default values are of every dtype that a column may have.

    Examples
    --------
    >>> from vortex_hep.codec.columns.classical import COLUMN_CODERS
    >>> class TestZstd(ColumnCoderTests):
    ...     coder = COLUMN_CODERS.get("zstd")
    >>> TestZstd().test_round_trip()
    """

    #: The coder to test.
    coder: ColumnCoder

    def prepare(self, array: Array) -> Array:
        """Return an array like ``array`` that the coder encodes; most coders encode all."""
        return array

    def arrays(self) -> dict[str, Array]:
        """Return the arrays of the round trip, by name."""
        return {name: self.prepare(array) for name, array in column_arrays().items()}

    def small_arrays(self) -> list[Array]:
        """Return the arrays whose payloads are cut and damaged."""
        integers = np.arange(60, dtype="<i4") % 7
        floats = np.arange(40, dtype="<f4")
        return [self.prepare(integers), self.prepare(floats)]

    def test_identity(self) -> None:
        """Id and name can be registered."""
        Registry[ColumnCoder]("column coder").register(self.coder)

    def test_round_trip(self) -> None:
        """Every dtype, with all that bits can be."""
        arrays = self.arrays()
        missing = set(COLUMN_DTYPES) - {array.dtype.str for array in arrays.values()}
        if missing:
            raise coder_subject(self.coder).error("dtypes without an array", found=sorted(missing))
        check_codec_round_trip(self.coder, arrays)

    def test_deterministic(self) -> None:
        """Equal arrays have equal payloads."""
        check_codec_deterministic(self.coder, self.small_arrays())

    def test_damage(self) -> None:
        """Cut, changed and random payloads."""
        for number, array in enumerate(self.small_arrays()):
            check_codec_damage(self.coder, array, seed=number)

    def test_types(self) -> None:
        """What no column is."""
        check_codec_types(self.coder)
