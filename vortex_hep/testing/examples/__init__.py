"""Example data: a small NanoAOD-like file, generated from random numbers.

:func:`write_example` gives documentation, tests and ``vortex-hep demo`` something to work on
without a download. The events follow a toy model of top-quark pairs whose columns depend on one
another as those of a real file do; they are no physics result.
"""

from __future__ import annotations

from vortex_hep.testing.examples.nanoaod import write_example

__all__ = ["write_example"]
