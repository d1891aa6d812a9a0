"""Dataclass values from JSON or YAML, checked by name and type."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from vortex_hep.errors import UnsupportedTypeError


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _whole_numbers(value: object) -> bool:
    return isinstance(value, (list, tuple)) and all(_whole(v) for v in value)


#: Annotation of a field: what a value must be, in words, and the test of that.
_KINDS: dict[str, tuple[str, Callable[[object], bool]]] = {
    "bool": ("true or false", lambda v: isinstance(v, bool)),
    "bool | None": ("true, false or null", lambda v: v is None or isinstance(v, bool)),
    "float": ("a number", _number),
    "float | None": ("a number or null", lambda v: v is None or _number(v)),
    "int": ("a whole number", _whole),
    "str": ("text", lambda v: isinstance(v, str)),
    "tuple[int, ...]": ("a list of whole numbers", _whole_numbers),
}


def checked(
    cls: type[Any], values: Mapping[str, Any], what: str, *, path: str | None = None
) -> dict[str, Any]:
    """Return the values if a dataclass has fields of these names and types.

    Parameters
    ----------
    cls : dataclass
        Its fields of the types bool, int, float, str, tuple of int, or None beside them are
        those that values may be for.
    values : mapping
    what : str
        What the values are, for messages.
    path : str, optional
        File they are from, for messages.

    Raises
    ------
    UnsupportedTypeError
        A name that does not exist, or a value of another type.

    Examples
    --------
    >>> from vortex_hep.nn.transformer.config import TransformerConfig
    >>> checked(TransformerConfig, {"d_modle": 64}, "a transformer")
    Traceback (most recent call last):
    ...
    vortex_hep.errors.UnsupportedTypeError: a transformer: unknown key 'd_modle' (did you mean \
'd_model'?)
    """
    kinds = {f.name: _KINDS[str(f.type)] for f in fields(cls) if str(f.type) in _KINDS}
    for name, value in values.items():
        if name not in kinds:
            near = difflib.get_close_matches(str(name), list(kinds), 3)
            raise UnsupportedTypeError(
                f"{what}: unknown key {name!r}", path=path,
                hint=f"did you mean {', '.join(map(repr, near))}?" if near
                else f"known are {', '.join(sorted(kinds))}",
            )  # fmt: skip
        wanted, holds = kinds[name]
        if not holds(value):
            raise UnsupportedTypeError(
                f"{what}: {name} must be {wanted}, not {value!r}", path=path, hint=_spelling(value)
            )
    return dict(values)


def _spelling(value: object) -> str | None:
    """What is wrong with a number that YAML takes for text, as it does ``1e-3``."""
    if not isinstance(value, str):
        return None
    try:
        float(value)
    except ValueError:
        return None
    return "this is text: YAML wants no quotes, and a point and a sign as in 1.0e-3"
