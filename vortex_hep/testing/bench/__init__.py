"""Comparison of vortex_hep with other codecs on one file.

Two kinds of baseline are told apart. *Basket* codecs do what ROOT does: each basket of the file is
compressed on its own. *Column* codecs get each whole column as one byte string, with no container
around it: more than any file format gives them, so a win against them is a win on modelling.

:func:`compare` does that for one file of physics; :func:`evaluate` takes any files as plain bytes.
"""

from __future__ import annotations

from vortex_hep.testing.bench.compare import Comparison, compare
from vortex_hep.testing.bench.evaluation import EvaluateOptions, Evaluation, evaluate

__all__ = ["Comparison", "EvaluateOptions", "Evaluation", "compare", "evaluate"]
