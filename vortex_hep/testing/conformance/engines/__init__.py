"""Conformance of engines: different ways to compute the same integers."""

from __future__ import annotations

from vortex_hep.testing.conformance.engines.cases import Case, make_case
from vortex_hep.testing.conformance.engines.event import (
    EVENT_FEATURES,
    check_coded_alike,
    check_engine_equals_definition,
    check_given_fields,
    check_truncated_words,
)
from vortex_hep.testing.conformance.engines.sequences import (
    check_lanes_alone,
    check_operations,
    random_lanes,
    random_model,
)
from vortex_hep.testing.conformance.engines.suite import (
    EngineTests,
    check_engine_names,
    check_engines_agree,
)

__all__ = [
    "EVENT_FEATURES",
    "Case",
    "EngineTests",
    "check_coded_alike",
    "check_engine_equals_definition",
    "check_engine_names",
    "check_engines_agree",
    "check_given_fields",
    "check_lanes_alone",
    "check_operations",
    "check_truncated_words",
    "make_case",
    "random_lanes",
    "random_model",
]
