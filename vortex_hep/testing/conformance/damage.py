"""Damage of stored bytes: every cut and every flip must raise an error of ours, at once.

A truncated file and a changed byte are an error; never wrong data, another exception, a hang, or
memory without bound.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from vortex_hep.core.schema import Array
from vortex_hep.errors import CorruptionError, NotVortexError, TruncatedError, VortexError
from vortex_hep.testing.conformance.reporting import Errors, Subject, brief, describe, names_of
from vortex_hep.testing.conformance.watching import Limits, attempt_all

#: Errors that may be, for all damage or by what the damage is.
ErrorsOf = Errors | Callable[["Damage"], Errors]
#: What may become of damage that raises nothing: it must not be, the data must be those of the
#: sound bytes, or anything (where what is read has no checksum).
Unnoticed = Literal["refused", "same", "any"]

#: What a truncated file raises. TruncatedError is best; the beginning of a file may be too short
#: to tell what it is.
CUT_ERRORS: Errors = (TruncatedError, CorruptionError, NotVortexError)
#: Bits that are flipped, one of these per byte in turn: the lowest, all, the highest, one between.
MASKS = (0x01, 0xFF, 0x80, 0x10)


@dataclass(frozen=True)
class Damage:
    """One damage.

    Parameters
    ----------
    kind : {"cut", "flip"}
    position : int
        Bytes that are left, or the byte that is changed.
    size : int
        Bytes of the sound data.
    mask : int
        Bits of the byte that are flipped.
    """

    kind: Literal["cut", "flip"]
    position: int
    size: int
    mask: int = 0

    def of(self, data: bytes) -> bytes:
        """Return the data with this damage.

        Examples
        --------
        >>> Damage("flip", 1, 3, 0x01).of(b"abc")
        b'acc'
        """
        if self.kind == "cut":
            return data[: self.position]
        out = bytearray(data)
        out[self.position] ^= self.mask
        return bytes(out)

    def __str__(self) -> str:
        if self.kind == "cut":
            return f"cut to {self.position} of {self.size} bytes"
        return f"byte {self.position} of {self.size}, bits 0x{self.mask:02x} flipped"


@dataclass(frozen=True)
class DamageOptions:
    """How damage is judged.

    Parameters
    ----------
    name : str
        Of the file or reader, for messages.
    unnoticed : {"refused", "same", "any"}
        What may become of damage that raises nothing. With "same", what ``read`` returns is
        compared with what it returns of the sound data, arrays bit by bit.
    inspect : callable, optional
        Called as ``inspect(damage, error)`` with each error that was raised as it should be; may
        raise ConformanceError.
    limits : Limits
        Of time and memory.
    """

    name: str = "reader"
    unnoticed: Unnoticed = "refused"
    inspect: Callable[[Damage, Exception], object] | None = None
    limits: Limits = field(default_factory=Limits)


def check_damage(
    data: bytes,
    read: Callable[[bytes], object],
    *,
    positions: Iterable[int] | None = None,
    cuts: Iterable[int] | None = None,
    masks: Sequence[int] = MASKS,
    options: DamageOptions | None = None,
    **choices: Any,
) -> None:
    """Check that whatever is missing or changed of bytes, reading them raises an error of ours.

    Parameters
    ----------
    data : bytes
        Sound; ``read`` must take them.
    read : callable
        Reads all of the bytes it is given, verifies what there is to verify, and may return it.
    positions : iterable of int, optional
        Bytes to change; by default every byte.
    cuts : iterable of int, optional
        Lengths to truncate to; by default every length from 0 on.
    masks : sequence of int
        Bits to flip: one of these per byte, in turn.
    options : DamageOptions, optional
    **choices
        Fields of :class:`DamageOptions`, where ``options`` is not given.

    Raises
    ------
    ConformanceError
        Names the length or the byte and bits at which ``read`` raised another error than a
        truncated file (:data:`CUT_ERRORS`) or a damaged one (VortexError) should, returned
        something, did not end, or took too much memory.

    Examples
    --------
    >>> import io
    >>> from vortex_hep.codec.container.container import ContainerReader, ContainerWriter
    >>> file = io.BytesIO()
    >>> ContainerWriter(file, kind=1).finish({"tree": "Events"})
    >>> check_damage(file.getvalue(), lambda data: ContainerReader(io.BytesIO(data)).verify(),
    ...              positions=range(0, 100, 9), name="container")
    """
    check_cuts(data, read, cuts, options=options, **choices)
    check_flips(data, read, positions, masks=masks, options=options, **choices)


def check_cuts(
    data: bytes,
    read: Callable[[bytes], object],
    sizes: Iterable[int] | None = None,
    *,
    errors: ErrorsOf = CUT_ERRORS,
    options: DamageOptions | None = None,
    **choices: Any,
) -> None:
    """Check that truncated data raise.

    Parameters
    ----------
    data, read, options, **choices
        As for :func:`check_damage`.
    sizes : iterable of int, optional
        Lengths to truncate to; by default all.
    errors : class, tuple of classes, or callable
        That may be raised; a callable is given the :class:`Damage`.

    Raises
    ------
    ConformanceError
    """
    size = len(data)
    chosen = range(size) if sizes is None else sizes
    _check(data, read, (Damage("cut", at, size) for at in chosen), errors, options, choices)


def check_flips(
    data: bytes,
    read: Callable[[bytes], object],
    positions: Iterable[int] | None = None,
    *,
    masks: Sequence[int] = MASKS,
    every_mask: bool = False,
    errors: ErrorsOf = VortexError,
    options: DamageOptions | None = None,
    **choices: Any,
) -> None:
    """Check that data with a changed byte raise.

    Parameters
    ----------
    data, read, options, **choices
        As for :func:`check_damage`.
    positions : iterable of int, optional
        Bytes to change; by default all.
    masks : sequence of int
        Bits to flip.
    every_mask : bool
        Whether each byte is changed by each of ``masks``, and not by one in turn.
    errors : class, tuple of classes, or callable
        As for :func:`check_cuts`.

    Raises
    ------
    ConformanceError
    """
    size = len(data)
    chosen = range(size) if positions is None else positions
    flips = (
        Damage("flip", at, size, mask)
        for at in chosen
        for mask in (masks if every_mask else (masks[at % len(masks)],))
    )
    _check(data, read, flips, errors, options, choices)


def _check(
    data: bytes,
    read: Callable[[bytes], object],
    damages: Iterable[Damage],
    errors: ErrorsOf,
    options: DamageOptions | None,
    choices: dict[str, Any],
) -> None:
    """Read the data with each damage, and judge what becomes of it."""
    chosen = DamageOptions(**choices) if options is None else options
    subject = Subject(chosen.name)
    truth = subject.call("reading the sound data", read, data)

    def attempt(damage: Damage) -> None:
        allowed = _allowed(errors, damage)
        damaged = damage.of(data)
        if damaged == data:
            raise subject.error("no damage at all", position=str(damage))
        try:
            found = read(damaged)
        except allowed as error:
            if chosen.inspect is not None:
                chosen.inspect(damage, error)
        except Exception as error:
            raise subject.error(
                "damage raises another error", position=str(damage), expected=names_of(allowed),
                found=describe(error),
            ) from error  # fmt: skip
        else:
            _judge(subject, damage, chosen.unnoticed, found, truth)

    attempt_all(subject, damages, attempt, str, chosen.limits)


def _allowed(errors: ErrorsOf, damage: Damage) -> Errors:
    """Return the errors that this damage may raise."""
    if isinstance(errors, tuple):
        return errors
    # A class can be called as well as a function can.
    return errors if isinstance(errors, type) else errors(damage)


def _judge(
    subject: Subject, damage: Damage, unnoticed: Unnoticed, found: object, truth: object
) -> None:
    """Raise unless damage that raised nothing may do so."""
    if unnoticed == "refused":
        raise subject.error("damage is not noticed", position=str(damage), found=brief(found))
    if unnoticed == "same" and not same_data(found, truth):
        raise subject.error(
            "damage gives wrong data", position=str(damage), expected=brief(truth),
            found=brief(found),
        )  # fmt: skip


def same_data(a: object, b: object) -> bool:
    """Whether two things are equal: arrays in every bit, containers in each item.

    Examples
    --------
    >>> same_data({"x": np.array([0.0])}, {"x": np.array([-0.0])})
    False
    """
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return _same_array(a, b)
    if isinstance(a, dict) and isinstance(b, dict):
        return set(a) == set(b) and all(same_data(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(same_data(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, float) and isinstance(b, float):
        return struct.pack("<d", a) == struct.pack("<d", b)
    return bool(a == b)


def _same_array(a: Array, b: Array) -> bool:
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    if a.dtype.hasobject:
        return all(map(same_data, a.ravel().tolist(), b.ravel().tolist()))
    return a.tobytes() == b.tobytes()


class DamageTests:
    """Tests of a reader of stored bytes, to inherit from.

    A subclass gives sound bytes and what reads them; pytest finds the tests.

    Examples
    --------
    >>> import io
    >>> from vortex_hep.codec.container.container import ContainerReader, ContainerWriter
    >>> class TestContainer(DamageTests):
    ...     def data(self):
    ...         file = io.BytesIO()
    ...         ContainerWriter(file, kind=1).finish({})
    ...         return file.getvalue()
    ...
    ...     def read(self, data):
    ...         ContainerReader(io.BytesIO(data)).verify()
    >>> TestContainer().test_every_prefix()
    """

    #: How damage is judged.
    options = DamageOptions()

    def data(self) -> bytes:
        """Return the sound bytes."""
        raise NotImplementedError

    def read(self, data: bytes) -> object:
        """Read all of some bytes; return what is to be compared, if anything."""
        raise NotImplementedError

    def cut_errors(self, damage: Damage) -> Errors:
        """Return what truncated bytes may raise."""
        del damage
        return CUT_ERRORS

    def flip_errors(self, damage: Damage) -> Errors:
        """Return what a changed byte may raise."""
        del damage
        return VortexError

    def test_sound_data(self) -> None:
        """What is sound is read."""
        self.read(self.data())

    def test_every_prefix(self) -> None:
        """Truncated at every length."""
        check_cuts(self.data(), self.read, errors=self.cut_errors, options=self.options)

    def test_every_flip(self) -> None:
        """Every byte changed."""
        check_flips(self.data(), self.read, errors=self.flip_errors, options=self.options)
