"""Exact arithmetic that predicts one column from others."""

from __future__ import annotations

from vortex_hep.codec.predictors.kinds import BALANCE, DRIFT, INHERIT, KINDS, SAME_KEY, Kind
from vortex_hep.codec.predictors.predictor import Input, Predictor, Values

__all__ = [
    "BALANCE",
    "DRIFT",
    "INHERIT",
    "KINDS",
    "SAME_KEY",
    "Input",
    "Kind",
    "Predictor",
    "Values",
]
