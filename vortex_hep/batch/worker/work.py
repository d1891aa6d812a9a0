"""The work on one file: compress, verify or restore; independent of dask.

An output is written under a temporary name beside its place, read back, compared with its source,
and only then gets its name; so what has its final name is whole and right, whatever happens.
"""

from __future__ import annotations

import contextlib
import errno
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast

from vortex_hep.archive.archive import open as open_archive
from vortex_hep.archive.compress import compress_file
from vortex_hep.archive.restore import restore
from vortex_hep.archive.verify import verify
from vortex_hep.batch.states import Order, Outcome
from vortex_hep.batch.worker.attempt import Attempt, attempted, dask_worker
from vortex_hep.batch.workoptions import WorkOptions
from vortex_hep.core import storage
from vortex_hep.core.text import one_line
from vortex_hep.errors import (
    MissingError,
    NetworkError,
    OutputError,
    VerificationError,
    VortexError,
)
from vortex_hep.models.model import Model

#: Differences that an error spells out.
_SHOWN = 3

Found = Mapping[str, Any]


def compress_one(order: Order, how: WorkOptions, model: Model | None) -> Outcome:
    """Compress one file to its archive.

    Parameters
    ----------
    order : Order
    how : WorkOptions
    model : Model or None
        Without one, a model is fitted to the file.

    Returns
    -------
    Outcome
        Of failures too.
    """
    return attempted(order, how, partial(_compress, model=model))


def verify_one(order: Order, how: WorkOptions, model: Model | None) -> Outcome:
    """Verify one archive, ``order.source``; against ``order.target``, if that is a file.

    Parameters
    ----------
    order : Order
    how : WorkOptions
    model : Model or None
        Where archives neither hold it nor have it beside them.

    Returns
    -------
    Outcome
        Of failures too.
    """
    return attempted(order, how, partial(_verify, model=model))


def restore_one(order: Order, how: WorkOptions, model: Model | None) -> Outcome:
    """Restore the file of one archive.

    Parameters
    ----------
    order : Order
    how : WorkOptions
    model : Model or None
        Where archives neither hold it nor have it beside them.

    Returns
    -------
    Outcome
        Of failures too.
    """
    return attempted(order, how, partial(_restore, model=model))


#: What is called for each command.
WORK = {"compress": compress_one, "verify": verify_one, "restore": restore_one}


def _compress(attempt: Attempt, *, model: Model | None) -> Found:
    source, target, how = attempt.order.source, attempt.target, attempt.how
    attempt.look_at_source()
    attempt.remove_leftovers()
    storage.check_distinct(target, attempt.order.source)
    if not how.overwrite and storage.exists(target):
        return _adopt_archive(attempt, model)
    with attempt.temporary() as name:
        with (
            attempt.stage("compress"),
            storage.permissions_like(source),
            storage.create(name, shown=target) as out,
        ):
            report = compress_file(
                source, cast("BinaryIO", out), model=model, trees=how.trees, effort=how.effort,
                threads=how.threads, embed_model=how.embed_model or model is None,
                check=how.verify != "source", exact=how.exact,
            )  # fmt: skip
        with attempt.stage("verify"):
            attempt.check_arrived(name, out.identity)
            if how.verify == "source":
                _check_equal(name, source, how, model)
        with attempt.stage("checksum"):
            checksum = storage.identity(source).adler32
        attempt.check_unchanged()
        if not _named(name, attempt):
            return _adopt_archive(attempt, model)
    return {
        "source_adler32": checksum,
        "target_size": out.identity.size,
        "target_adler32": out.identity.adler32,
        "raw_bytes": report.raw_bytes,
        "model_bytes": report.model_bytes,
        "groups": _groups((c["table"], c) for c in report.columns),
        "messages": tuple(one_line(message) for message in report.messages),
    }


def _verify(attempt: Attempt, *, model: Model | None) -> Found:
    archive, against, how = attempt.order.source, attempt.order.target, attempt.how
    attempt.look_at_source()
    size = None if against is None else storage.stat(against).size
    with attempt.stage("verify"):
        _check_equal(archive, against, how, model)
    with attempt.stage("checksum"):
        checksum = storage.identity(archive).adler32
    found = _figures(archive, how, model)
    exact = found.pop("exact")
    attempt.check_unchanged()
    if size is None and exact is not None:
        size = exact["size"]
    return {"source_adler32": checksum, "target_size": size, **found}


def _restore(attempt: Attempt, *, model: Model | None) -> Found:
    archive, target, how = attempt.order.source, attempt.target, attempt.how
    attempt.look_at_source()
    attempt.remove_leftovers()
    storage.check_distinct(target, attempt.order.source)
    if not how.overwrite and storage.exists(target):
        return _adopt_restored(attempt, model)
    with attempt.temporary() as name, _room(target, name) as folder:
        local = str(Path(folder) / "restored")
        with attempt.stage("restore"):
            restore(
                archive, local, model=model, compression=how.compression, exact=how.exact,
                threads=how.threads,
            )  # fmt: skip
        if how.verify == "source":
            with attempt.stage("verify"):
                _check_equal(archive, local, how, model)
        with attempt.stage("checksum"):
            checksum = storage.identity(archive).adler32
        made = local
        if storage.is_url(target):
            with attempt.stage("upload"):
                identity = storage.upload(local, name)
                attempt.check_arrived(name, identity)
            made = name
        else:
            identity = storage.identity(local)
        attempt.check_unchanged()
        if not _named(made, attempt):
            return _adopt_restored(attempt, model)
    found = _figures(archive, how, model)
    del found["exact"]
    return {
        "source_adler32": checksum,
        "target_size": identity.size,
        "target_adler32": identity.adler32,
        **found,
    }


@contextlib.contextmanager
def _room(target: str, name: str) -> Iterator[str]:
    """A local folder to restore in: beside the target, or the worker's own for URLs."""
    if not storage.is_url(target):
        storage.make_folder(name)
        yield name
        return
    worker = dask_worker()
    local = None if worker is None else worker.local_directory
    with tempfile.TemporaryDirectory(prefix="vortex-", dir=local) as folder:
        yield folder


def _named(name: str, attempt: Attempt) -> bool:
    """Give an output its name; False if somebody has made it meanwhile."""
    try:
        storage.rename(name, attempt.target, overwrite=attempt.how.overwrite)
    except OutputError as error:
        if error.errno == errno.EEXIST and not attempt.how.overwrite:
            return False
        raise
    return True


def _check_equal(archive: str, against: str | None, how: WorkOptions, model: Model | None) -> None:
    """Decode all of an archive, and compare it with a file.

    Raises
    ------
    VerificationError
        They differ.
    VortexError
        The archive is damaged, or one of them cannot be read.
    """
    report = verify(archive, against=against, model=model, threads=how.threads)
    if not report.ok:
        few = "; ".join(report.differences[:_SHOWN])
        more = len(report.differences) - _SHOWN
        text = few if more <= 0 else f"{few}; and {more} more differences"
        raise VerificationError(text, path=archive)


def _adopt_archive(attempt: Attempt, model: Model | None) -> Found:
    """Take an archive that is there for the output, if it is one of this source."""
    source, target = attempt.order.source, attempt.target
    with _whose(attempt), attempt.stage("verify"):
        _check_equal(target, source, attempt.how, model)
        found = _figures(target, attempt.how, model)
        if found.pop("exact") is None and attempt.how.exact:
            raise VerificationError("it does not promise the very bytes of its source", path=target)
    with attempt.stage("checksum"):
        written, checksum = storage.identity(target), storage.identity(source).adler32
    attempt.check_unchanged()
    return _adopted(checksum, written, found)


def _adopt_restored(attempt: Attempt, model: Model | None) -> Found:
    """Take a file that is there for the output, if it holds what the archive does."""
    archive, target = attempt.order.source, attempt.target
    with _whose(attempt), attempt.stage("verify"):
        _check_equal(archive, target, attempt.how, model)
    with attempt.stage("checksum"):
        written, checksum = storage.identity(target), storage.identity(archive).adler32
    attempt.check_unchanged()
    found = _figures(archive, attempt.how, model)
    del found["exact"]
    return _adopted(checksum, written, found)


def _adopted(checksum: str, written: storage.Identity, found: Found) -> Found:
    return {
        "adopted": True,
        "source_adler32": checksum,
        "target_size": written.size,
        "target_adler32": written.adler32,
        **found,
    }


@contextlib.contextmanager
def _whose(attempt: Attempt) -> Iterator[None]:
    """Say of an output that exists and is not right that it is in the way.

    Raises
    ------
    OutputError
        With ``errno`` EEXIST.
    """
    try:
        yield
    except (NetworkError, MissingError):
        raise
    except VortexError as error:
        if error.path == attempt.order.source and not isinstance(error, VerificationError):
            raise
        why = error.message if error.path == attempt.target else str(error)
        found = OutputError(
            f"exists, and is not what would be written: {why}", path=attempt.target,
            hint="move it away, or allow to overwrite it",
        )  # fmt: skip
        found.errno = errno.EEXIST
        raise found from error


def _figures(archive: str, how: WorkOptions, model: Model | None) -> dict[str, Any]:
    """What the outcome says of an archive; and ``exact``, the identity that it promises."""
    with open_archive(archive, model=model, threads=how.threads) as opened:
        info = opened.info()
    tables = [table for tree in info["trees"] for table in tree["tables"]]
    return {
        "raw_bytes": info["raw_bytes"],
        "model_bytes": info["model"]["bytes"],
        "groups": _groups(
            (table["name"], column) for table in tables for column in table["columns"]
        ),
        "exact": info["exact"],
    }


def _groups(columns: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, tuple[int, int]]:
    """Raw and stored bytes by table, over all trees."""
    found: dict[str, tuple[int, int]] = {}
    for table, column in columns:
        raw, stored = found.get(table, (0, 0))
        found[table] = (raw + column["raw_bytes"], stored + column["stored_bytes"])
    return found
