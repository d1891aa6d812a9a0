"""Predictors as formulas for readers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vortex_hep.codec.predictors import functions
from vortex_hep.codec.predictors.predictor import Input, Predictor

_ANGULAR = [f.__name__ for f in functions.ANGULAR]


def formula(predictor: Predictor, plan: str) -> str:
    """Write a predictor as a formula.

    Parameters
    ----------
    predictor : Predictor
    plan : str
        The own plan; columns of other plans are named with their plan in front.

    Examples
    --------
    >>> formula(Predictor(2, (Input("", "pc"), Input("", "pu")), (1.0, -1.0, -1.0)), "")
    '1 - pc - pu'
    """
    x = [_name(i, plan) for i in predictor.inputs]
    text = _FORMULAS[predictor.name](x, predictor.parameters)
    return f"± {text}" if predictor.magnitude else text


def _name(i: Input, plan: str) -> str:
    name = f"{i.column}[{i.component}]" if i.component else i.column
    return name if i.plan == plan else f"{i.plan}:{name}"


def _factor(c: float, text: str) -> str:
    return text if c == 1 else f"{c:g} * {text}"


def _linear(x: Sequence[str], p: Sequence[float]) -> str:
    parts = [f"{p[0]:g}"] if p[0] else []
    for c, name in zip(p[1:], x, strict=True):
        sign = "-" if c < 0 else "+"
        parts.append(f"{sign} {_factor(abs(c), name)}")
    return " ".join(parts).removeprefix("+ ")


def _product(x: Sequence[str], p: Sequence[float]) -> str:
    over = [n for n, e in zip(x, p[1:], strict=True) if e > 0]
    under = [n for n, e in zip(x, p[1:], strict=True) if e <= 0]
    top = " * ".join(over if over and p[0] == 1 else [f"{p[0]:g}", *over])
    return " / ".join([top, *under])


def _hypot(x: Sequence[str], p: Sequence[float]) -> str:
    terms = [
        f"{'+' if s > 0 else '-'} {f'{n} |{n}|' if abs(s) > 1 else f'{n}^2'}"
        for n, s in zip(x, p[1:], strict=True)
    ]
    return _factor(p[0], f"sqrt({' '.join(terms).removeprefix('+ ')})")


def _polar(x: Sequence[str], p: Sequence[float]) -> str:
    function = f"{_ANGULAR[int(p[1])]}({x[1]})"
    if p[2] == 2:
        return f"{p[0]:g} / ({x[0]} * {function})"
    return _factor(p[0], f"{x[0]} {'/' if p[2] == 1 else '*'} {function}")


_FORMULAS: dict[str, Callable[[Sequence[str], Sequence[float]], str]] = {
    "copy": lambda x, p: x[0],
    "linear": _linear,
    "product": _product,
    "hypot": _hypot,
    "polar": _polar,
    "magnitude": lambda x, p: _factor(p[0], f"|{x[0]}|"),
    "energy": lambda x, p: _factor(p[0], f"sqrt(({x[0]} * cosh({x[1]}))^2 + {x[2]}^2)"),
    "same-key": lambda x, p: f"the last row of the same {', '.join(x)}",
    "balance": lambda x, p: f"what siblings leave of {' and '.join(x)}",
    "inherit": lambda x, p: f"that of {x[0]}",
    "drift": lambda x, p: f"that of {x[0]}, moved by {x[1]} * {x[2]} / {x[3]}",
}
