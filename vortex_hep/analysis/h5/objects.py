"""Groups and datasets of an archived HDF5 file: h5py's own, with data from columns."""

from __future__ import annotations

import posixpath
from typing import Any, Protocol

import h5py
import numpy as np
from h5py import h5o

from vortex_hep.analysis.h5.columns import DatasetColumns
from vortex_hep.analysis.h5.selecting import select
from vortex_hep.core.schema import Array


class View(Protocol):
    """What objects know of the file that they are in."""

    def __getitem__(self, name: Any) -> Any:
        """Open an object by its path or by a reference."""
        ...

    def columns_at(self, address: int) -> DatasetColumns | None:
        """Columns of the dataset at an address of the file; None where it has none."""
        ...


class Group(h5py.Group):  # type: ignore[misc]
    """A group; see :class:`h5py.Group`, of which it has everything that reads.

    Parameters
    ----------
    bind : h5py GroupID
    view : View
        The file that it is in.
    """

    def __init__(self, bind: Any, view: View) -> None:
        super().__init__(bind)
        self._view = view

    def __getitem__(self, name: Any) -> Any:
        """Open an object by its path or by a reference."""
        return wrap(super().__getitem__(name), self._view)

    def get(self, name: Any, default: Any = None, *args: Any, **options: Any) -> Any:
        """Open an object, or say what it is; see :meth:`h5py.Group.get`."""
        found = super().get(name, default, *args, **options)
        return found if found is default else wrap(found, self._view)

    def __reduce__(self) -> Any:
        """Pickle the path of the file and the name in it."""
        return _reopened, (self._view, self.name)

    @property
    def file(self) -> Any:
        """The file; see :class:`~vortex_hep.analysis.h5.file.File`."""
        return self._view

    @property
    def parent(self) -> Any:
        """The group that it is in."""
        return self._view[posixpath.dirname(self.name)]


class Dataset(h5py.Dataset):  # type: ignore[misc]
    """A dataset; see :class:`h5py.Dataset`, of which it has everything that reads.

    Of data that are columns of the archive only the clusters that are asked for are decoded, and
    of these only the fields.

    Parameters
    ----------
    bind : h5py DatasetID
    view : View
        The file that it is in.
    columns : DatasetColumns, optional
        Its data; without them they are in what the archive keeps of the file's own bytes.
    """

    def __init__(self, bind: Any, view: View, columns: DatasetColumns | None) -> None:
        super().__init__(bind, readonly=True)
        self._view = view
        self._columns = columns

    def __getitem__(self, args: Any, new_dtype: Any = None) -> Any:
        """Read a part of the dataset, as h5py does."""
        items = args if isinstance(args, tuple) else (args,)
        columns = self._columns if self.id else None
        if columns is not None and not any(isinstance(i, str) for i in items):
            dtype = np.dtype(self.dtype if new_dtype is None else new_dtype)
            selection = select(items, self.shape)
            if selection is not None and columns.readable(dtype):
                return columns.read(selection, dtype)
        # Names of fields come back to this method, with the type that has only these.
        return super().__getitem__(args, new_dtype=new_dtype)

    def read_direct(self, dest: Array, source_sel: Any = None, dest_sel: Any = None) -> None:
        """Read into an array; see :meth:`h5py.Dataset.read_direct`."""
        columns = self._columns if self.id else None
        if columns is not None and dest.flags.carray:
            selection = select(() if source_sel is None else source_sel, self.shape)
            place = select(() if dest_sel is None else dest_sel, dest.shape)
            if selection and place and place.plain and columns.readable(dest.dtype):
                target = dest[() if dest_sel is None else dest_sel]
                if isinstance(target, np.ndarray) and target.shape == selection.shape(self.shape):
                    target[...] = columns.read(selection, dest.dtype)
                    return
        super().read_direct(dest, source_sel, dest_sel)

    def __reduce__(self) -> Any:
        """Pickle the path of the file and the name in it."""
        return _reopened, (self._view, self.name)

    @property
    def file(self) -> Any:
        """The file; see :class:`~vortex_hep.analysis.h5.file.File`."""
        return self._view

    @property
    def parent(self) -> Any:
        """The group that it is in."""
        return self._view[posixpath.dirname(self.name)]


def wrap(found: Any, view: View) -> Any:
    """Give an object of h5py the data of the archive."""
    if isinstance(found, (Group, Dataset)):
        return found
    if isinstance(found, h5py.Dataset):
        return Dataset(found.id, view, view.columns_at(h5o.get_info(found.id).addr))
    if isinstance(found, h5py.Group):
        return Group(found.id, view)
    return found


def _reopened(view: View, name: str) -> Any:
    return view[name]
