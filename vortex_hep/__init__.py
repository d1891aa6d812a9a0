"""vortex_hep: lossless neural compression of high-energy physics data.

Examples
--------
>>> import vortex_hep
>>> model = vortex_hep.train(["train.root"])                       # doctest: +SKIP
>>> vortex_hep.compress_file("in.root", "out.vxc", model=model)    # doctest: +SKIP
>>> vortex_hep.open("out.vxc")["Events"].arrays(["Jet_pt"])        # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vortex_hep._version import __version__

if TYPE_CHECKING:
    from vortex_hep.analysis.collections import dask
    from vortex_hep.analysis.iterate import iterate
    from vortex_hep.analysis.nano import nanoevents
    from vortex_hep.archive import Archive, ArchiveTree, open
    from vortex_hep.archiving import CompressReport
    from vortex_hep.codec.sequencecoder import LaneChoice
    from vortex_hep.compressing import compress_file, compress_tree
    from vortex_hep.errors import VortexError
    from vortex_hep.exactness import exact_forecast
    from vortex_hep.hdf5view import h5
    from vortex_hep.model import Model
    from vortex_hep.options import TrainOptions
    from vortex_hep.restoring import restore
    from vortex_hep.training import train
    from vortex_hep.verifying import VerifyReport, verify

_HOMES = {
    "Archive": "archive", "ArchiveTree": "archive", "open": "archive",
    "compress_file": "compressing", "compress_tree": "compressing",
    "VortexError": "errors", "exact_forecast": "exactness", "Model": "model",
    "LaneChoice": "codec.sequencecoder", "CompressReport": "archiving", "TrainOptions": "options",
    "VerifyReport": "verifying", "restore": "restoring", "verify": "verifying",
    "train": "training",
    "dask": "analysis.collections", "h5": "hdf5view", "iterate": "analysis.iterate",
    "nanoevents": "analysis.nano",
}  # fmt: skip

__all__ = [
    "Archive",
    "ArchiveTree",
    "CompressReport",
    "LaneChoice",
    "Model",
    "TrainOptions",
    "VerifyReport",
    "VortexError",
    "__version__",
    "compress_file",
    "compress_tree",
    "dask",
    "exact_forecast",
    "h5",
    "iterate",
    "nanoevents",
    "open",
    "restore",
    "train",
    "verify",
]


def __getattr__(name: str) -> Any:
    """Import on first use, so that ``import vortex_hep`` stays quick."""
    if name not in _HOMES:
        msg = f"module 'vortex_hep' has no attribute {name!r}"
        raise AttributeError(msg)
    import importlib

    return getattr(importlib.import_module(f"vortex_hep.{_HOMES[name]}"), name)
