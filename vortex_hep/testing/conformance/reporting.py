"""The error of all checks, which names subject, case, place and values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from vortex_hep.core.schema import Array

T = TypeVar("T")

#: A class of errors, or several.
Errors = type[Exception] | tuple[type[Exception], ...]


class ConformanceError(AssertionError):
    """A coder, an engine, a reader or a file does not do what its contract says.

    It is no :class:`~vortex_hep.errors.VortexError`: a check of damage waits for those, and must
    not take a failure of another check for one.

    Parameters
    ----------
    what : str
        What is wrong, in one line.
    subject : str
        What was tested: the coder, engine, reader or file by name.
    case : str
        With which data.
    position : str
        Where in them: an item, a byte, a row.
    expected, found : str
        What belongs there, and what was there.

    Examples
    --------
    >>> print(ConformanceError("bits differ", subject="column coder 'mine'", case="<f4 NaNs",
    ...                        position="item 3", expected="0x7f800001", found="0x7fc00001"))
    column coder 'mine', <f4 NaNs, item 3: bits differ: expected 0x7f800001, found 0x7fc00001
    """

    def __init__(
        self,
        what: str,
        *,
        subject: str,
        case: str = "",
        position: str = "",
        expected: str = "",
        found: str = "",
    ) -> None:
        self.what = what
        self.subject = subject
        self.case = case
        self.position = position
        self.expected = expected
        self.found = found
        super().__init__(what)

    def __str__(self) -> str:
        where = ", ".join(part for part in (self.subject, self.case, self.position) if part)
        values = [f"expected {self.expected}"] if self.expected else []
        values += [f"found {self.found}"] if self.found else []
        return f"{where}: {self.what}" + (f": {', '.join(values)}" if values else "")


@dataclass(frozen=True)
class Subject:
    """What is tested and with which data: makes the errors of the checks.

    Parameters
    ----------
    name : str
        ``"column coder 'pco' (id 4)"``.
    case : str
        The data at hand.
    """

    name: str
    case: str = ""

    def of(self, case: str) -> Subject:
        """Return the same subject with other data."""
        return replace(self, case=case)

    def error(
        self, what: str, *, position: str = "", expected: object = "", found: object = ""
    ) -> ConformanceError:
        """Return the error to raise."""
        return ConformanceError(
            what, subject=self.name, case=self.case, position=position, expected=str(expected),
            found=str(found),
        )  # fmt: skip

    def equal(self, what: str, found: object, expected: object, *, position: str = "") -> None:
        """Raise unless two plain values are equal."""
        if found != expected:
            raise self.error(
                f"{what} differ", position=position, expected=repr(expected), found=repr(found)
            )

    def call(self, what: str, function: Callable[..., T], *arguments: Any) -> T:
        """Return what a function gives; whatever it raises breaks the contract."""
        try:
            return function(*arguments)
        except ConformanceError:
            raise
        except Exception as error:
            raise self.error(f"{what} raises", found=describe(error)) from error

    def refuses(
        self, what: str, errors: Errors, function: Callable[..., Any], *arguments: Any,
        position: str = "",
    ) -> Exception:  # fmt: skip
        """Return the error that a function raises, which must be one of ``errors``."""
        try:
            result = function(*arguments)
        except ConformanceError:
            raise
        except errors as error:
            return error
        except Exception as error:
            raise self.error(
                f"{what} raises another error", position=position, expected=names_of(errors),
                found=describe(error),
            ) from error  # fmt: skip
        raise self.error(
            f"{what} is not refused", position=position, expected=names_of(errors),
            found=brief(result),
        )  # fmt: skip

    def same_bits(self, what: str, found: Array, expected: Array, *, unit: str = "item") -> None:
        """Raise unless two arrays have the same dtype, shape and bits."""
        if not isinstance(found, np.ndarray):
            raise self.error(f"{what} are no array", found=type(found).__name__)
        self.equal(f"dtypes of {what}", found.dtype.str, expected.dtype.str)
        self.equal(f"shapes of {what}", found.shape, expected.shape)
        item = first_difference(found, expected)
        if item is not None:
            a, b = (np.ascontiguousarray(x).reshape(-1)[item] for x in (expected, found))
            raise self.error(
                f"{what} differ", position=f"{unit} {item}", expected=bits_of(a), found=bits_of(b)
            )


def first_difference(a: Array, b: Array) -> int | None:
    """Return the first item, counted flat, whose bits differ in two arrays of one shape and dtype.

    Examples
    --------
    >>> first_difference(np.array([1.0, 0.0]), np.array([1.0, -0.0]))
    1
    """
    if not a.size or a.dtype.itemsize == 0:
        return None
    first, second = (np.ascontiguousarray(x).reshape(-1).view(np.uint8) for x in (a, b))
    unequal = np.flatnonzero(first != second)
    return int(unequal[0]) // a.dtype.itemsize if len(unequal) else None


def bits_of(value: Any) -> str:
    """Return a NumPy scalar as value and bits.

    Examples
    --------
    >>> bits_of(np.float32(-0.0))
    '-0.0 (bits 0x80000000)'
    """
    raw = np.asarray(value).tobytes()[::-1].hex()
    return f"{value} (bits 0x{raw})"


def describe(error: BaseException) -> str:
    """Return the class and message of an error, in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def brief(value: object) -> str:
    """Return a value as text of one line that is not too long."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 120 else f"{text[:117]}..."


def names_of(errors: Errors) -> str:
    """Return the names of classes of errors."""
    several = errors if isinstance(errors, tuple) else (errors,)
    return " or ".join(sorted(kind.__name__ for kind in several))
