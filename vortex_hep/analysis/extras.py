"""Error messages for missing optional packages."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Iterable, Iterator
from typing import Any

from vortex_hep.core.install import install_hint
from vortex_hep.errors import UnsupportedFeatureError


@contextlib.contextmanager
def needs(extra: str) -> Iterator[None]:
    """Import within; a failure says which extra of this package brings what is missing.

    Parameters
    ----------
    extra : str
        Name of the extra, as in pyproject.toml.

    Raises
    ------
    UnsupportedFeatureError
        A package, or what is used of it, is missing.
    """
    try:
        yield
    except ImportError as error:
        raise UnsupportedFeatureError(
            f"this needs another package, or another release of it: {error}",
            hint=install_hint(extra),
        ) from error


@functools.cache
def stand_in(name: str, reason: str, hint: str | None) -> type:
    """A class in the place of one whose package is missing: to be seen, but not used.

    Parameters
    ----------
    name : str
        Of the class.
    reason, hint : str
        What is missing, and what to do about it.

    Returns
    -------
    type
        Its docstring says what is missing; to call it or to derive from it raises
        UnsupportedFeatureError.
    """

    def refuse(*_: Any, **__: Any) -> None:
        raise UnsupportedFeatureError(reason, hint=hint)

    doc = f"Not available here: {reason} ({hint})."
    body = {
        "__doc__": doc, "__module__": "vortex_hep", "__new__": refuse,
        "__init_subclass__": classmethod(refuse),
    }  # fmt: skip
    return type(name, (), body)


def check_interface(owner: Any, names: Iterable[str], extra: str) -> None:
    """Make sure that a class of another package still has what is used of it.

    Parameters
    ----------
    owner : type
    names : iterable of str
        Attributes, or parameters as ``"method(parameter)"``.
    extra : str
        As for :func:`needs`.

    Raises
    ------
    UnsupportedFeatureError
        One of them is missing.
    """
    for name in names:
        method, _, parameter = name.rstrip(")").partition("(")
        found = getattr(owner, method, None)
        if found is None or (parameter and parameter not in inspect.signature(found).parameters):
            raise UnsupportedFeatureError(
                f"this release of {owner.__module__.split('.')[0]} has no {owner.__name__}.{name}",
                hint=f"{install_hint(extra)} brings one that has",
            )
