"""Archives of HDF5 files with the interface of h5py; only what is accessed is decoded."""

from __future__ import annotations

from vortex_hep.analysis.h5.file import File, h5
from vortex_hep.analysis.h5.objects import Dataset, Group

__all__ = ["Dataset", "File", "Group", "h5"]
