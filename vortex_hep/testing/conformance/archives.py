"""Conformance of archives: all that the source holds is there, and damage raises."""

from __future__ import annotations

import copy
import io
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from vortex_hep.archive.archive import open as open_archive
from vortex_hep.archive.compress import compress_file
from vortex_hep.archive.report import CompressReport
from vortex_hep.archive.restore import restore
from vortex_hep.archive.verify import verify
from vortex_hep.codec.container.container import ContainerReader, ContainerWriter
from vortex_hep.errors import TruncatedError, VortexError
from vortex_hep.models.model import Model
from vortex_hep.readers import compare_sources, open_source
from vortex_hep.testing.conformance.damage import Damage, DamageOptions, check_cuts, check_flips
from vortex_hep.testing.conformance.reporting import Errors, Subject
from vortex_hep.testing.conformance.watching import attempt_all

#: Values of metadata that are of another type or size than what belongs there.
WRONG_VALUES: tuple[object, ...] = (None, -1, 10**6, "x", [], {}, [[]], 1.5, 2**70)

#: The shortest thing that can be told to be a truncated archive, in bytes.
_TOLD = 64


def read_everything(data: bytes | BinaryIO, *, model: Model | None = None) -> None:
    """Open an archive and decode all of it, checking every checksum there is.

    Parameters
    ----------
    data : bytes or binary file
        Of the archive.
    model : Model, optional
        Where the archive does not hold its own.

    Raises
    ------
    VortexError
        Something is damaged.
    """
    file = io.BytesIO(data) if isinstance(data, bytes) else data
    with open_archive(file, model=model, threads=1) as archive:
        archive.reader.verify()
        for tree in archive.coded.values():
            for number in range(len(tree.clusters)):
                tree.check(number)
        for _ in archive.remainder():
            pass
        archive.info()


def cut_errors(damage: Damage) -> Errors:
    """Return what a truncated archive raises: TruncatedError, once it can be told to be one."""
    return VortexError if damage.position < _TOLD else TruncatedError


def check_archive_damage(
    data: bytes, *, model: Model | None = None, options: DamageOptions | None = None
) -> None:
    """Check that an archive cut at any length, or with any byte changed, raises.

    Parameters
    ----------
    data : bytes
        Of a small archive: it is decoded twice for each of its bytes.
    model : Model, optional
        As for :func:`read_everything`.
    options : DamageOptions, optional

    Raises
    ------
    ConformanceError
        Names the length, or the byte and bits.
    """
    chosen = options or DamageOptions(name="archive")

    def read(changed: bytes) -> None:
        read_everything(changed, model=model)

    check_cuts(data, read, errors=cut_errors, options=chosen)
    check_flips(data, read, options=chosen)


def resigned(
    data: bytes, payloads: Mapping[int, bytes], metadata: Mapping[str, Any] | None = None
) -> bytes:
    """Return an archive with other contents, and all stored checksums of the file made to fit.

    What decoders then get is what somebody's bug, or malice, may give them.

    Parameters
    ----------
    data : bytes
        Of the archive.
    payloads : mapping of int to bytes
        Chunks that are replaced, by number.
    metadata : mapping, optional
        Instead of the archive's own.
    """
    reader = ContainerReader(io.BytesIO(data))
    out = io.BytesIO()
    writer = ContainerWriter(out, kind=reader.kind)
    for number, row in enumerate(reader.chunks):
        writer.add(
            int(row["kind"]),
            payloads[number] if number in payloads else reader.read(number),
            decoded_xxh3=int(row["decoded_xxh3"]),
            decoded_size=int(row["decoded_size"]),
        )
    writer.finish(dict(reader.metadata if metadata is None else metadata))
    return out.getvalue()


def check_hostile_payloads(
    data: bytes, *, model: Model | None = None, trials: int = 300, seed: int = 3
) -> None:
    """Check that no payload makes an archive raise anything but an error of ours.

    Chunks are changed and cut, and the checksums of the file made to fit. Where nothing is raised,
    what was decoded has the checksum of what was encoded.

    Parameters
    ----------
    data : bytes
        Of a small archive.
    model : Model, optional
        As for :func:`read_everything`.
    trials : int
        At most so many changes of each chunk.
    seed : int

    Raises
    ------
    ConformanceError
        Names the chunk.
    """
    rng = np.random.default_rng(seed)
    reader = ContainerReader(io.BytesIO(data))

    def changes() -> Iterator[tuple[str, dict[int, bytes]]]:
        for number in range(len(reader.chunks)):
            payload = reader.read(number)
            for trial in range(min(trials, 2 * len(payload))):
                changed = bytearray(payload)
                first = trial < 60 and trial < len(changed)
                at = trial if first else int(rng.integers(len(changed)))
                changed[at] ^= int(rng.integers(1, 256))
                if trial % 10 == 9:
                    del changed[at:]
                yield f"chunk {number}, byte {at}", {number: bytes(changed)}

    _check_resigned(data, ((place, resigned(data, new)) for place, new in changes()), model)


def check_hostile_metadata(
    data: bytes, *, model: Model | None = None, values: tuple[object, ...] = WRONG_VALUES
) -> None:
    """Check that no value in the metadata makes an archive raise anything but an error of ours.

    Parameters
    ----------
    data : bytes
        Of a small archive.
    model : Model, optional
        As for :func:`read_everything`.
    values : tuple
        Each is put in the place of each value, at every depth.

    Raises
    ------
    ConformanceError
        Names the place in the metadata.
    """
    metadata = ContainerReader(io.BytesIO(data)).metadata

    def changes() -> Iterator[tuple[str, bytes]]:
        for path in _places(metadata):
            for wrong in values if path else ():
                document = copy.deepcopy(metadata)
                parent: Any = document
                for key in path[:-1]:
                    parent = parent[key]
                parent[path[-1]] = wrong
                place = f"metadata {'/'.join(map(str, path))} = {wrong!r}"
                yield place, resigned(data, {}, document)

    _check_resigned(data, changes(), model)


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Give the paths of all values of a document."""
    yield path
    items = value.items() if isinstance(value, dict) else ()
    for key, item in enumerate(value) if isinstance(value, list) else items:
        yield from _places(item, (*path, key))


def _check_resigned(
    data: bytes, archives: Iterator[tuple[str, bytes]], model: Model | None
) -> None:
    """Read archives; errors of ours, or nothing, may come of it."""
    subject = Subject("archive with checksums that fit")
    subject.call("reading the sound archive", lambda: read_everything(data, model=model))

    def attempt(archive: tuple[str, bytes]) -> None:
        place, changed = archive
        try:
            read_everything(changed, model=model)
        except VortexError:
            return
        except Exception as error:
            raise subject.error(
                "reading raises another error", position=place, expected="VortexError",
                found=f"{type(error).__name__}: {error}",
            ) from error  # fmt: skip

    attempt_all(subject, archives, attempt, lambda archive: archive[0], DamageOptions().limits)


def check_archive_round_trip(
    path: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    compression: str | None = "zstd:1",
    **options: Any,
) -> CompressReport:
    """Check that a file goes into an archive and comes back with all that it holds.

    It is compressed, verified against itself, restored, and compared.

    Parameters
    ----------
    path : str or path
        The file.
    folder : str or path
        For the archive, ``a.vxc``, and the restored file, which has the name of the file.
    compression : str, optional
        Of the restored file, where it is a ROOT file.
    **options
        As for :func:`vortex_hep.compress_file`.

    Returns
    -------
    CompressReport

    Raises
    ------
    ConformanceError
        Names the file and the first difference.

    Examples
    --------
    >>> import pathlib, tempfile, vortex_hep
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "data.bin")
    ...     _ = path.write_bytes(b"of no known format")
    ...     pathlib.Path(folder, "out").mkdir()
    ...     report = check_archive_round_trip(path, pathlib.Path(folder, "out"),
    ...                                       model=vortex_hep.Model({}))
    >>> report.source_bytes
    18
    """
    source = Path(path)
    subject = Subject("archive", f"file {source}")
    archive, restored = Path(folder) / "a.vxc", Path(folder) / source.name
    model = None if options.get("embed_model", True) else options.get("model")
    report = subject.call("compressing", lambda: compress_file(source, archive, **options))
    check = subject.call("verifying", lambda: verify(archive, against=source, model=model))
    if check.differences:
        raise subject.error("verifying finds differences", found=check.differences[0])
    if check.raw_bytes < report.raw_bytes:
        raise subject.error("not all bytes are verified", expected=report.raw_bytes,
                            found=check.raw_bytes)  # fmt: skip
    subject.call(
        "restoring", lambda: restore(archive, restored, compression=compression, model=model)
    )
    with open_source(source) as a, open_source(restored) as b:
        differences = subject.call("comparing", compare_sources, a, b)
    if differences:
        raise subject.error("the restored file differs", found=differences[0])
    return report
