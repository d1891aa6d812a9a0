"""An archive opened as the HDF5 file that it was made of."""

from __future__ import annotations

import os
import weakref
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any

import h5py
from h5py import h5d, h5o

from vortex_hep.analysis.h5.chunks import ChunkMaker
from vortex_hep.analysis.h5.columns import DatasetColumns
from vortex_hep.analysis.h5.objects import Group
from vortex_hep.archive.archive import Archive
from vortex_hep.core.options import checked_options
from vortex_hep.errors import CorruptionError, NotFoundError, UnsupportedTypeError, VortexError
from vortex_hep.readers.hdf5.datasets.survey import MAX_BLOCK
from vortex_hep.readers.hdf5.image import FileImage, HDF5Plan, PlannedDataset, read_plan
from vortex_hep.readers.hdf5.pythonfile import open_file_id

if TYPE_CHECKING:
    from vortex_hep.archive.cache import CacheLike
    from vortex_hep.archive.view import TreeView
    from vortex_hep.models.model import Model


class File(Group, h5py.File):  # type: ignore[misc]
    """An archived HDF5 file; see :class:`h5py.File`, of which it has everything that reads.

    Parameters
    ----------
    archive : Archive
        Of an HDF5 file; it is closed with this file.

    Raises
    ------
    UnsupportedTypeError
        It is the archive of a file of another kind.
    CorruptionError
        The archive is damaged.
    """

    def __init__(self, archive: Archive) -> None:
        _check_kind(archive)
        self.archive = archive
        self._found: list[tuple[DatasetColumns, Any]] = []
        self._by_address: dict[int, DatasetColumns] = {}
        self._view = self
        try:
            plan = read_plan(archive.blobs())
            self._chunks = ChunkMaker(plan, self._found.__getitem__, archive.path)
            self._image = FileImage(self.archive.blobs, plan, self._chunks)
            self._open_image()
            self._find(plan)
        except VortexError as error:
            error.path = error.path or archive.path
            raise

    def _open_image(self) -> None:
        try:
            h5py.File.__init__(self, open_file_id(self._image))
        except VortexError:
            raise
        except Exception as error:
            msg = f"the HDF5 file's skeleton cannot be opened: {error}"
            raise CorruptionError(msg) from error
        # The file holds the image, which holds datasets of the file: of itself that never ends.
        weakref.finalize(self, _close, self.id)

    def _find(self, plan: HDF5Plan) -> None:
        """Find the datasets that are columns, each under whatever names it has."""
        for planned in plan.datasets:
            lay = planned.layout
            try:
                tree = self.archive[planned.tree]
                found = h5d.open(self.id, lay.path)
                kind = found.get_type()
                fits = kind.get_size() == lay.size and tuple(found.shape) == lay.shape
                address = h5o.get_info(found).addr
            except NotFoundError as error:
                raise _misfit(planned, "the archive has no such tree") from error
            except VortexError:
                raise
            except Exception as error:
                raise _misfit(planned, f"the skeleton has no such dataset: {error}") from error
            if lay.chunk_bytes > MAX_BLOCK or lay.block_rows * lay.row_bytes > MAX_BLOCK:
                raise _misfit(planned, "chunks of a size that is not allowed")
            if not fits or tree.num_entries != lay.rows:
                raise _misfit(planned, "the skeleton has another shape or type")
            columns = DatasetColumns(partial(self._tree, planned.tree), planned, kind)
            self._found.append((columns, found))
            self._by_address[address] = columns

    def _tree(self, name: str) -> TreeView:
        return self.archive[name]

    def columns_at(self, address: int) -> DatasetColumns | None:
        """Columns of the dataset at an address of the file; None where it has none."""
        return self._by_address.get(address)

    @property
    def filename(self) -> str:
        """Path of the archive."""
        return self.archive.path

    def close(self) -> None:
        """Close the file and the archive."""
        self._found.clear()
        self._by_address.clear()
        super().close()
        self._chunks.close()
        self.archive.close()

    def __reduce__(self) -> Any:
        """Pickle the path; the file is opened anew where it arrives."""
        return File, (self.archive,)

    def __enter__(self) -> File:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "HDF5 file" if self.id else "Closed HDF5 file"
        return f"<{state} in archive {self.archive.path!r} (mode r)>"


def _close(file_id: Any) -> None:
    """Close a file and all objects of it."""
    if file_id.valid:
        h5py.File(file_id).close()


def _check_kind(archive: Archive) -> None:
    kind = archive.source.get("kind")
    if kind != "hdf5":
        raise UnsupportedTypeError(
            f"this is the archive of a file of kind {kind!r}, not of an HDF5 file",
            path=archive.path, hint="vortex_hep.open reads archives of all kinds",
        )  # fmt: skip


def _misfit(planned: PlannedDataset, message: str) -> CorruptionError:
    return CorruptionError(message, tree=planned.tree)


@checked_options
def h5(
    path: str | os.PathLike[str],
    *,
    model: Model | str | os.PathLike[str] | None = None,
    threads: int | None = None,
    cache: CacheLike = None,
) -> File:
    """Open the archive of an HDF5 file as h5py would open that file.

    Parameters
    ----------
    path : str or path
        A path or URL.
    model : Model, path or None
        Needed where the archive names a model but does not hold it; see :func:`vortex_hep.open`.
    threads : int, optional
        Workers; one per core by default.
    cache : str, path or ChunkCache, optional
        Where decoded chunks are kept, so that reading in any order decodes each once; see
        :func:`vortex_hep.open`.

    Returns
    -------
    File
        An :class:`h5py.File`, read-only; use it in a ``with`` block, or call ``close()``.

    Raises
    ------
    UnsupportedTypeError
        It is the archive of a file of another kind, such as ROOT.
    VortexError
        As :func:`vortex_hep.open` lists them.

    Notes
    -----
    Groups, attributes, links and types are those of the file. An index of numbers, slices, one
    list or a mask decodes the clusters that have some of the rows, and in them the columns of the
    fields that are asked for. Where h5py reads for itself, such as in copying a dataset to another
    file, chunks are compressed anew as they were in the file; that is exact too, but slower.

    Examples
    --------
    >>> import vortex_hep
    >>> with vortex_hep.h5("jets.vxc") as f:
    ...     jets = f["jets"].fields(["pt", "eta"])[:1000]
    ...     tracks = f["tracks"][:1000]
    >>> jets.dtype.names, tracks.shape
    (('pt', 'eta'), (1000, 8))
    """
    archive = Archive(path, model=model, threads=threads, cache=cache)
    try:
        return File(archive)
    except BaseException:
        archive.close()
        raise
