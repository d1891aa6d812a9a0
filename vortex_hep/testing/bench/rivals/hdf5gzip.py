"""The usual HDF5 settings: filters shuffle and gzip 9 on every dataset."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from vortex_hep.errors import VerificationError
from vortex_hep.testing.bench.measure import Measurement, Timing
from vortex_hep.testing.bench.rivals.hdf5copy import Remade, copy_file, datasets_of, values_of

NAME = "HDF5 gzip 9 + shuffle"
#: Datasets of fewer bytes stay as they are: chunks would cost more than filters save.
_LEAST_BYTES = 1 << 12


def measure_gzip(path: str, raw_bytes: int) -> Measurement:
    """Rewrite an HDF5 file with shuffle and gzip 9, and read it back.

    Chunks are those of the file; datasets without get those that h5py would give them. The library
    filters with one thread, so that one is timed: from values in memory to a file, and back.

    Parameters
    ----------
    path : str
    raw_bytes : int
        Bytes of the columns, which ratio and speed refer to.

    Raises
    ------
    VerificationError
        A dataset does not come back bit for bit.
    """
    import h5py

    with h5py.File(path, "r") as file:
        values = {d.name: values_of(d) for d in datasets_of(file) if _is_worth(d)}
    with tempfile.TemporaryDirectory() as folder:
        target = str(Path(folder) / "gzip.h5")
        start = time.perf_counter()
        # The newest layout has the smallest index of chunks.
        copy_file(path, target, lambda d: _filtered(d, values), libver="latest")
        encode = time.perf_counter() - start
        start = time.perf_counter()
        with h5py.File(target, "r") as file:
            found = {name: values_of(file[name]) for name in values}
        decode = time.perf_counter() - start
        size = Path(target).stat().st_size
        if any(not _same(found[name], values[name]) for name in values):
            raise VerificationError(f"{NAME} does not give back the same bytes", path=path)
    return Measurement(
        NAME, raw_bytes, size, (Timing(1, encode, decode),), verified=True,
        settings={"unit": "chunk", "filters": ["shuffle", "gzip 9"]},
    )  # fmt: skip


def _is_worth(dataset: Any) -> bool:
    return (
        bool(dataset.shape)
        and not dataset.dtype.hasobject
        and dataset.size * dataset.id.get_type().get_size() >= _LEAST_BYTES
    )


def _filtered(dataset: Any, values: dict[str, Any]) -> Remade | None:
    import h5py

    if dataset.name not in values:
        return None
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk(dataset.chunks or _default_chunks(dataset))
    plist.set_shuffle()
    plist.set_deflate(9)
    return Remade(values[dataset.name], dataset.shape, dataset.maxshape, plist)


def _default_chunks(dataset: Any) -> tuple[int, ...]:
    """Chunks that h5py gives a dataset whose user asks for a filter and nothing else."""
    import h5py

    with h5py.File("chunks", "w", driver="core", backing_store=False) as file:
        like = file.create_dataset(
            "like", dataset.shape, dataset.dtype, maxshape=dataset.maxshape, chunks=True
        )
        chunks: tuple[int, ...] = like.chunks
        return chunks


def _same(first: Any, second: Any) -> bool:
    return bool(first.shape == second.shape and first.tobytes() == second.tobytes())
