"""Bits per byte of whole files: general-purpose codecs beside archives of vortex_hep."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vortex_hep.core.progress import SILENT, Progress, Task
from vortex_hep.errors import SourceError, UnsupportedTypeError
from vortex_hep.testing.bench.measure import Measurement, Timing, machine, thread_counts


@dataclass(frozen=True)
class EvaluateOptions:
    """What to measure, and how.

    Parameters
    ----------
    codecs : sequence of str, optional
        Names of general-purpose codecs; all by default.
    levels : {"all", "quick"}
        Whether to try all levels worth showing, or those that take little time.
    fit : bool
        Whether to add an archive with a model fitted to the file itself.
    exact : bool
        Whether archives promise the file byte for byte, and not only all that it holds.
    repeat : int
        Runs of everything but a fit; the fastest counts.
    max_bytes : int, optional
        Take only this many bytes from the start of each file.
    effort, device : str
        Of archives, as for :func:`vortex_hep.compress_file`.
    threads : int, optional
        Of archives; all cores by default. The other codecs have one.
    """

    codecs: Sequence[str] | None = None
    levels: str = "all"
    fit: bool = False
    exact: bool = False
    repeat: int = 1
    max_bytes: int | None = None
    effort: str = "normal"
    device: str = "cpu"
    threads: int | None = None


@dataclass(frozen=True)
class EvaluatedFile:
    """What all codecs made of one file.

    Parameters
    ----------
    path : str
    file_bytes : int
    raw_bytes : int
        Bytes that were coded: all of the file, or its first ones.
    measurements : tuple of Measurement
    notes : tuple of str
        What a reader of the figures should know.
    """

    path: str
    file_bytes: int
    raw_bytes: int
    measurements: tuple[Measurement, ...]
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Plain data for a JSON file."""
        return {
            "file": Path(self.path).name,
            "file_bytes": self.file_bytes,
            "raw_bytes": self.raw_bytes,
            "notes": list(self.notes),
            "measurements": [_plain(item) for item in self.measurements],
        }


@dataclass(frozen=True)
class Evaluation:
    """All measurements of some files on one machine.

    Parameters
    ----------
    files : tuple of EvaluatedFile
    machine : dict
    """

    files: tuple[EvaluatedFile, ...]
    machine: dict[str, Any]

    def total(self) -> tuple[Measurement, ...]:
        """Every codec on all files together, a shared model counted once.

        Codecs that were not measured on each of the files are left out.
        """
        by_codec: dict[str, list[Measurement]] = {}
        for file in self.files:
            for item in file.measurements:
                by_codec.setdefault(item.codec, []).append(item)
        return tuple(_sum(items) for items in by_codec.values() if len(items) == len(self.files))

    def as_json(self) -> dict[str, Any]:
        """Plain data for a JSON file."""
        return {
            "machine": self.machine,
            "files": [file.as_json() for file in self.files],
            "total": [_plain(item) for item in self.total()],
        }


def bits_per_byte(stored: int, raw: int) -> float:
    """Bits that are stored for each byte.

    Examples
    --------
    >>> bits_per_byte(250, 1000)
    2.0
    """
    return 8 * stored / raw


def _plain(item: Measurement) -> dict[str, Any]:
    """A measurement with bits per byte: of all that is stored, and with and without a model."""
    sizes = {
        "bits_per_byte": item.stored_bytes,
        "bits_per_byte_with_model": item.bytes_with_model,
        "bits_per_byte_without_model": item.stored_bytes - item.embedded_model_bytes,
    }
    bits = {name: round(bits_per_byte(size, item.raw_bytes), 6) for name, size in sizes.items()}
    return item.as_json() | bits


def _sum(items: Sequence[Measurement]) -> Measurement:
    if len(items) == 1:
        return items[0]
    timing = Timing(
        items[0].timings[0].threads,
        sum(item.timings[0].encode_seconds for item in items),
        sum(item.timings[0].decode_seconds for item in items),
    )
    settings = dict(items[0].settings)
    if any(item.settings["restored"] != settings["restored"] for item in items):
        settings["restored"] = "content"
    settings.pop("restore_seconds", None)
    return Measurement(
        items[0].codec,
        sum(item.raw_bytes for item in items),
        sum(item.stored_bytes for item in items),
        (timing,),
        verified=all(item.verified for item in items),
        settings=settings,
        model_bytes=items[0].model_bytes,
        embedded_model_bytes=sum(item.embedded_model_bytes for item in items),
        peak_memory_bytes={
            call: max(item.peak_memory_bytes.get(call, 0) for item in items)
            for call in items[0].peak_memory_bytes
        },
    )


def evaluate(
    paths: Sequence[str | os.PathLike[str]],
    *,
    models: Mapping[str, Any] | None = None,
    options: EvaluateOptions = EvaluateOptions(),
    progress: Progress = SILENT,
) -> Evaluation:
    """Measure codecs and vortex_hep on local files of any kind, as plain bytes.

    Every result is decoded and compared with the file. Unlike
    :func:`~vortex_hep.testing.bench.compare`, which gives all codecs the same uncompressed columns
    or baskets of a physics file, this one gives them the file as it lies on disk, so what it holds
    may be compressed already.

    Parameters
    ----------
    paths : sequence of path
    models : mapping of str to Model, optional
        Models to compress with, by the names that they get in the results; kept apart from the
        archives. Each takes one row, as does each level of a codec.
    options : EvaluateOptions
    progress : Progress

    Returns
    -------
    Evaluation

    Raises
    ------
    SourceError
        A file is missing, cannot be read or is empty; known before anything is measured.
    UnknownCodecError, UnsupportedTypeError
        An option has a value that does not exist.
    VerificationError
        Something does not come back.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "zeros"
    >>> _ = path.write_bytes(bytes(1000))
    >>> found = evaluate([path], options=EvaluateOptions(codecs=["zstd"], levels="quick"))
    >>> [(item.codec, item.verified) for item in found.total()]
    [('zstd -3', True), ('zstd -19', True)]
    """
    from vortex_hep.testing.bench.rivals.bytecodecs import byte_codecs

    codecs = byte_codecs(options.codecs, levels=options.levels)
    if options.repeat < 1 or (options.max_bytes is not None and options.max_bytes < 1):
        raise UnsupportedTypeError("repeat and max_bytes must be at least 1")
    names = [os.fspath(path) for path in paths]
    for name in names:
        _check_file(name)
    ours: dict[str, Any] = {f"vortex_hep, {name}": model for name, model in (models or {}).items()}
    if options.fit:
        from vortex_hep.testing.bench.ours import WITHOUT_MODEL

        ours[WITHOUT_MODEL] = None
    here = machine()
    files = []
    with progress.task("evaluating", len(names) * (len(codecs) + len(ours)), "codecs") as task:
        for name in names:
            with _start_of(name, options.max_bytes) as source:
                files.append(_evaluate_file(name, source, codecs, ours, options, task))
    return Evaluation(tuple(files), here)


def _check_file(name: str) -> None:
    if not Path(name).exists():
        raise SourceError("is not there", path=name, hint="local files only")
    if not Path(name).is_file():
        raise SourceError("is not a file", path=name)
    if not Path(name).stat().st_size:
        raise SourceError("is empty: there are no bytes to measure", path=name)


@contextmanager
def _start_of(name: str, max_bytes: int | None) -> Iterator[Path]:
    """A file with the first bytes of another one, or that one itself if it has no more."""
    path = Path(name)
    if max_bytes is None or path.stat().st_size <= max_bytes:
        yield path
        return
    with tempfile.TemporaryDirectory() as folder, path.open("rb") as file:
        cut = Path(folder) / path.name
        cut.write_bytes(file.read(max_bytes))
        yield cut


def _evaluate_file(
    name: str,
    source: Path,
    codecs: Sequence[Any],
    ours: Mapping[str, Any],
    options: EvaluateOptions,
    task: Task,
) -> EvaluatedFile:
    from vortex_hep.testing.bench.ours import OursOptions, measure_ours
    from vortex_hep.testing.bench.rivals.streams import measure_stream

    data = source.read_bytes()
    size = Path(name).stat().st_size
    found: list[Measurement] = []
    notes = []
    if len(data) < size:
        notes.append(f"only the first {len(data):,} of {size:,} bytes were taken")
    for codec in codecs:
        item = measure_stream(codec, data, len(data), repeat=options.repeat)
        settings = {"codec": codec.family, "level": codec.level, "restored": "bytes"}
        found.append(replace(item, settings=item.settings | settings))
        task.advance(1, last=codec.name)
    how = OursOptions(options.effort, options.device, options.repeat, options.exact)
    threads = thread_counts(options.threads)[-1:]
    for label, model in ours.items():
        try:
            item = measure_ours(str(source), len(data), threads, model=model, options=how)
        except SourceError as error:
            if len(data) == size:
                raise
            # The start of a file may be no file that a reader takes.
            notes.append(f"{label}: not measured, for the file was cut: {error.message}")
        else:
            found.append(replace(item, codec=label))
        task.advance(1, last=label)
    return EvaluatedFile(name, size, len(data), tuple(found), tuple(notes))
