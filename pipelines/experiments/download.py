"""Downloads of files: resumed, checked, and renamed once complete."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.experiments.transfer import open_transfer
from vortex_hep.core.progress import SILENT, Progress
from vortex_hep.errors import (
    CorruptionError,
    NetworkError,
    OutputError,
    SourceError,
    UnsupportedFeatureError,
)

_READ = 4 << 20
#: How often a transfer that breaks off is taken up again.
ATTEMPTS = 3


@dataclass(frozen=True)
class Expected:
    """What is known of a file before it is there; None where it is not known.

    Parameters
    ----------
    bytes : int or None
    adler32, sha256 : str or None
        Lower-case hexadecimal digits.
    """

    bytes: int | None = None
    adler32: str | None = None
    sha256: str | None = None


def download(
    urls: Sequence[str],
    target: Path,
    *,
    expected: Expected | None = None,
    timeout: float = 30.0,
    progress: Progress = SILENT,
) -> None:
    """Fetch a file from the first of some places that gives it.

    What has come is kept under another name, and a later call goes on from there if the file is
    still the same one.

    Parameters
    ----------
    urls : sequence of str
        Places of the same file.
    target : Path
        Appears only when it is complete and checked.
    expected : Expected, optional
    timeout : float
        Seconds that a server may stay silent.
    progress : Progress

    Raises
    ------
    NetworkError
        No server can be reached.
    SourceError
        None gives the file; says why for each.
    CorruptionError
        A file came that is not the one expected.
    OutputError
        The file cannot be written.
    """
    errors: list[SourceError | UnsupportedFeatureError] = []
    for url in urls:
        for attempt in range(ATTEMPTS):
            before = _size(_partial(target))
            try:
                _fetch(url, target, timeout, progress)
                _complete(url, target, expected or Expected())
            except (NetworkError, UnsupportedFeatureError, SourceError) as error:
                moved = _size(_partial(target)) > before
                if not moved or attempt == ATTEMPTS - 1:
                    errors.append(error)
                    break
            else:
                return
    if len(errors) == 1:
        raise errors[0]
    # No network only if that is all there is to say of every place that has a client.
    tried = [e for e in errors if not isinstance(e, UnsupportedFeatureError)]
    alone = bool(tried) and all(isinstance(e, NetworkError) for e in tried)
    kind = NetworkError if alone else SourceError
    raise kind(
        f"no place gives {target.name}: {'; '.join(map(str, errors))}",
        hint="download it by other means and give its folder as --data DIR, or use --offline",
    )


def _partial(target: Path) -> Path:
    return target.with_name(f"{target.name}.part")


def _note(target: Path) -> Path:
    return target.with_name(f"{target.name}.part.json")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _fetch(url: str, target: Path, timeout: float, progress: Progress) -> None:
    """Bring what is missing of the partial file."""
    part, note = _partial(target), _note(target)
    stamp = ""
    if part.exists() and note.exists():
        begun = json.loads(note.read_text())
        stamp = begun["stamp"] if begun["url"] == url else ""
    offset = _size(part) if stamp else 0
    with open_transfer(url, offset=offset, stamp=stamp, timeout=timeout) as transfer:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            note.write_text(json.dumps({"url": url, "stamp": transfer.stamp}))
            file = part.open("r+b" if transfer.offset else "wb")
        except OSError as error:
            raise OutputError(f"cannot be written: {error.strerror}", path=str(part)) from error
        done = transfer.offset
        with file, progress.task(f"fetching {target.name}", transfer.size) as task:
            file.seek(done)
            file.truncate()
            task.advance(done)
            for block in transfer.blocks:
                try:
                    file.write(block)
                except OSError as error:
                    msg = f"cannot be written: {error.strerror}"
                    raise OutputError(msg, path=str(part)) from error
                done += len(block)
                task.advance(len(block))
        if transfer.size is not None and done != transfer.size:
            raise NetworkError(
                f"broke off after {done:,} of {transfer.size:,} bytes", path=url,
                hint="run again to go on from there",
            )  # fmt: skip


def _complete(url: str, target: Path, expected: Expected) -> None:
    """Check the partial file and give it its name; remove it if it is wrong."""
    part = _partial(target)
    try:
        check_file(part, expected, name=url)
    except CorruptionError:
        part.unlink()
        _note(target).unlink(missing_ok=True)
        raise
    part.replace(target)
    _note(target).unlink(missing_ok=True)


def check_file(path: Path, expected: Expected, *, name: str | None = None) -> None:
    """Compare a file with what is known of it.

    Parameters
    ----------
    path : Path
    expected : Expected
    name : str, optional
        What errors call the file.

    Raises
    ------
    CorruptionError
        It is another file.
    """
    where = name or str(path)
    size = path.stat().st_size
    if expected.bytes is not None and size != expected.bytes:
        raise CorruptionError(
            f"has {size:,} bytes, where {expected.bytes:,} were expected", path=where,
            hint="it is another file, or has changed at its source",
        )  # fmt: skip
    if expected.adler32 is None and expected.sha256 is None:
        return
    adler32, sha256 = checksums(path)
    for kind, found, wanted in (
        ("adler32", adler32, expected.adler32), ("sha256", sha256, expected.sha256),
    ):  # fmt: skip
        if wanted is not None and found != wanted:
            raise CorruptionError(
                f"has the {kind} {found}, where {wanted} was expected", path=where,
                hint="it was damaged on the way, or has changed at its source",
            )  # fmt: skip


def checksums(path: Path) -> tuple[str, str]:
    """The adler32 and the SHA-256 of a file, as hexadecimal digits."""
    adler, sha = 1, hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_READ):
            adler = zlib.adler32(block, adler)
            sha.update(block)
    return f"{adler:08x}", sha.hexdigest()
