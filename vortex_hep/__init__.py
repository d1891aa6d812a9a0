"""vortex_hep: lossless neural compression of high-energy physics data.

Examples
--------
>>> import vortex_hep
>>> options = vortex_hep.TrainOptions(effort="fast", tables="Muon", expected_rows=10**7)
>>> model = vortex_hep.train(["a.root", "b.root"], options=options)
>>> report = vortex_hep.compress_file("c.root", "out.vxc", model=model)
>>> report.stored_bytes < report.source_bytes
True
>>> with vortex_hep.open("out.vxc") as archive:
...     muons = archive["Events"].arrays(["Muon_pt", "Muon_eta"])
>>> vortex_hep.verify("out.vxc", against="c.root").ok
True
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vortex_hep.core.version import __version__

if TYPE_CHECKING:
    from vortex_hep.analysis.coffea.nano import nanoevents
    from vortex_hep.analysis.collections import dask
    from vortex_hep.analysis.h5 import h5
    from vortex_hep.analysis.iterate import iterate
    from vortex_hep.analysis.tensors import ArchiveDataset
    from vortex_hep.archive.archive import Archive, ArchiveTree, open
    from vortex_hep.archive.cache import MemoryCache
    from vortex_hep.archive.compress import compress_file, compress_tree
    from vortex_hep.archive.exact import exact_forecast
    from vortex_hep.archive.foldercache import FolderCache
    from vortex_hep.archive.report import CompressReport, VerifyReport
    from vortex_hep.archive.restore import restore
    from vortex_hep.archive.verify import verify
    from vortex_hep.batch.site.site import Site
    from vortex_hep.errors import (
        ChangedError,
        CorruptionError,
        DeniedError,
        LayoutError,
        MissingError,
        ModelMismatchError,
        NetworkError,
        NotFoundError,
        NotVortexError,
        OutputError,
        SourceError,
        TruncatedError,
        UnknownCodecError,
        UnsupportedFeatureError,
        UnsupportedTypeError,
        UnsupportedVersionError,
        VerificationError,
        VortexError,
    )
    from vortex_hep.models.model import Model
    from vortex_hep.models.options import TrainOptions
    from vortex_hep.models.train import train
    from vortex_hep.nn.sequence.coder import LaneChoice

#: Every class of vortex_hep.errors.
_ERRORS = (
    "ChangedError", "CorruptionError", "DeniedError", "LayoutError", "MissingError",
    "ModelMismatchError", "NetworkError", "NotFoundError", "NotVortexError", "OutputError",
    "SourceError", "TruncatedError", "UnknownCodecError", "UnsupportedFeatureError",
    "UnsupportedTypeError", "UnsupportedVersionError", "VerificationError", "VortexError",
)  # fmt: skip
#: Module of each public name.
_HOMES = {
    "Archive": "archive.archive", "ArchiveTree": "archive.archive", "open": "archive.archive",
    "compress_file": "archive.compress", "compress_tree": "archive.compress",
    "exact_forecast": "archive.exact", "Model": "models.model", "LaneChoice": "nn.sequence.coder",
    "CompressReport": "archive.report", "TrainOptions": "models.options",
    "VerifyReport": "archive.report", "restore": "archive.restore", "verify": "archive.verify",
    "train": "models.train", "dask": "analysis.collections", "h5": "analysis.h5",
    "iterate": "analysis.iterate", "nanoevents": "analysis.coffea.nano",
    "ArchiveDataset": "analysis.tensors", "FolderCache": "archive.foldercache",
    "MemoryCache": "archive.cache", "Site": "batch.site.site",
    **dict.fromkeys(_ERRORS, "errors"),
}  # fmt: skip

__all__ = [
    "Archive",
    "ArchiveDataset",
    "ArchiveTree",
    "ChangedError",
    "CompressReport",
    "CorruptionError",
    "DeniedError",
    "FolderCache",
    "LaneChoice",
    "LayoutError",
    "MemoryCache",
    "MissingError",
    "Model",
    "ModelMismatchError",
    "NetworkError",
    "NotFoundError",
    "NotVortexError",
    "OutputError",
    "Site",
    "SourceError",
    "TrainOptions",
    "TruncatedError",
    "UnknownCodecError",
    "UnsupportedFeatureError",
    "UnsupportedTypeError",
    "UnsupportedVersionError",
    "VerificationError",
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

    from vortex_hep.errors import UnsupportedFeatureError

    try:
        return getattr(importlib.import_module(f"vortex_hep.{_HOMES[name]}"), name)
    except UnsupportedFeatureError as error:
        # Asking what there is, as completion and help do, must not fail where an extra is missing.
        from vortex_hep.analysis.extras import stand_in

        return stand_in(name, error.message, error.hint)


def __dir__() -> list[str]:
    """The public names, whether they were used already or not."""
    return list(__all__)
