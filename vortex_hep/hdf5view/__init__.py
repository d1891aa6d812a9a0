"""Archives of HDF5 files as h5py knows files, of which only what is touched is decoded."""

from __future__ import annotations

from vortex_hep.hdf5view.file import File, h5
from vortex_hep.hdf5view.objects import Dataset, Group

__all__ = ["Dataset", "File", "Group", "h5"]
