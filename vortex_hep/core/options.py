"""Options of the public functions."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Iterable, Sequence
from typing import ParamSpec, TypeVar

from vortex_hep.core.text import near_misses
from vortex_hep.errors import UnsupportedTypeError

P = ParamSpec("P")
T = TypeVar("T")

EFFORTS = ("fast", "normal", "max")
#: Where networks run. The last two are for comparisons: main memory by torch, and the definition.
DEVICES = ("auto", "cpu", "cuda", "torch", "reference")
#: Parts of the modelling that a training can do without.
PARTS = ("predictors", "links", "context", "blocks")
FAMILIES = ("event", "transformer")
#: Recipe of a transformer where none is named.
DEFAULT_RECIPE = "laptop_cpu"
#: How users name the table of what there is once per event, or per record.
EVENT_TABLE = "(event)"


def thread_count(threads: int | None) -> int:
    """Return the number of workers: as asked for, else one per usable core.

    Raises
    ------
    UnsupportedTypeError
        Fewer than one was asked for.
    """
    if threads is not None:
        if threads < 1:
            raise UnsupportedTypeError(f"threads must be at least 1, not {threads!r}")
        return threads
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return max(1, os.cpu_count() or 1)


def check_effort(effort: str) -> None:
    """Raise UnsupportedTypeError unless ``effort`` is one of :data:`EFFORTS`."""
    if effort not in EFFORTS:
        raise UnsupportedTypeError(f"effort must be one of {', '.join(EFFORTS)}, not {effort!r}")


def check_device(device: str) -> None:
    """Raise UnsupportedTypeError unless ``device`` is one of :data:`DEVICES`."""
    if device not in DEVICES:
        raise UnsupportedTypeError(f"device must be one of {', '.join(DEVICES)}, not {device!r}")


def check_family(family: str) -> None:
    """Raise UnsupportedTypeError unless ``family`` is one of :data:`FAMILIES`."""
    if family not in FAMILIES:
        raise UnsupportedTypeError(f"family must be one of {', '.join(FAMILIES)}, not {family!r}")


def check_parts(parts: Sequence[str]) -> None:
    """Raise UnsupportedTypeError unless all of ``parts`` are among :data:`PARTS`."""
    for part in parts:
        if part not in PARTS:
            raise UnsupportedTypeError(
                f"without must name some of {', '.join(PARTS)}, not {part!r}"
            )


def tree_names(trees: str | Sequence[str] | None) -> list[str] | None:
    """Return the trees asked for, without repetition; None for all of them."""
    if trees is None:
        return None
    return [trees] if isinstance(trees, str) else list(dict.fromkeys(trees))


def checked_options(
    function: Callable[P, T], more: Iterable[str] = (), note: str = ""
) -> Callable[P, T]:
    """Let a call with an option that does not exist say which do, and which one may be meant.

    Parameters
    ----------
    function : callable
        A public function, or the ``__init__`` of a class that holds options.
    more : iterable of str
        Options that the function takes as ``**options``.
    note : str
        What else is to be said of options.

    Examples
    --------
    >>> @checked_options
    ... def cut(source, *, at=1): ...
    >>> cut("in.root", att=2)
    Traceback (most recent call last):
    vortex_hep.errors.UnsupportedTypeError: cut has no option 'att' (did you mean 'at'? all: at)
    """
    every = inspect.signature(function).parameters.values()
    named = [p for p in every if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    options = [p.name for p in named if p.kind is p.KEYWORD_ONLY or p.default is not p.empty]
    options += more
    known = {p.name for p in named} | set(options)
    called = function.__qualname__.removesuffix(".__init__")

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> T:
        for name in kwargs:
            if name not in known:
                near = near_misses(name, options)
                hint = f"all: {', '.join(options)}{note}" if options else "it has none"
                raise UnsupportedTypeError(
                    f"{called} has no option {name!r}",
                    hint=f"did you mean {near}? {hint}" if near else hint,
                )
        return function(*args, **kwargs)

    return checked


def checked_fields(kind: type[T]) -> type[T]:
    """Let a class that holds options say which there are; see :func:`checked_options`."""
    kind.__init__ = checked_options(kind.__init__)  # type: ignore[method-assign]
    return kind
