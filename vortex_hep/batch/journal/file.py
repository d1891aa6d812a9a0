"""The SQLite file under a journal: its tables, how it is opened, and its one writer."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

from vortex_hep.batch.plan.inputs import InputFile
from vortex_hep.core.storage.failures import output_error
from vortex_hep.core.storage.local import sync_folder
from vortex_hep.core.storage.paths import is_url
from vortex_hep.errors import (
    CorruptionError,
    DeniedError,
    MissingError,
    NotVortexError,
    OutputError,
    SourceError,
    UnsupportedFeatureError,
    UnsupportedTypeError,
    UnsupportedVersionError,
    VortexError,
)

#: What the header of the SQLite file says: "VXJ" and what kind of file that is.
APPLICATION_ID = 0x56584A01
#: Version of the tables; readers refuse later ones.
FORMAT_VERSION = 1
#: Seconds to wait while another process reads or writes the file.
BUSY_SECONDS = 60.0

_TABLES = """\
CREATE TABLE job (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE files (
    number INTEGER PRIMARY KEY,
    source TEXT NOT NULL,
    target TEXT,
    dataset TEXT,
    state TEXT NOT NULL DEFAULT 'waiting',
    attempts INTEGER NOT NULL DEFAULT 0,
    not_before REAL NOT NULL DEFAULT 0,
    reason TEXT,
    error TEXT,
    size INTEGER,
    mtime REAL,
    source_adler32 TEXT,
    target_size INTEGER,
    target_adler32 TEXT
);
CREATE TABLE attempts (
    number INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    ok INTEGER NOT NULL,
    reason TEXT,
    error TEXT,
    worker TEXT,
    started REAL,
    finished REAL,
    outcome TEXT NOT NULL,
    PRIMARY KEY (number, attempt)
);
"""
#: Made once the files are in: that is faster. Taking and counting read nothing but these.
_INDEXES = """\
CREATE UNIQUE INDEX by_source ON files (source);
CREATE UNIQUE INDEX by_target ON files (target);
CREATE INDEX by_due ON files (not_before, number) WHERE state = 'waiting';
CREATE INDEX by_state ON files (state, number, size, target_size);
"""


def connect(path: str, *, write: bool) -> sqlite3.Connection:
    """Open a journal's file, and check that it is one.

    The file is kept in a form that needs no shared memory, since it may lie on a network file
    system, and readers leave it between two queries, so that they never stop the writer for long.

    Raises
    ------
    MissingError, DeniedError
        There is none, or it may not be read.
    NotVortexError, UnsupportedVersionError, CorruptionError
        It is something else, written by a later release, or damaged.
    """
    if is_url(path):
        raise UnsupportedFeatureError(
            "a journal must be a local file", path=path, hint="download it first"
        )
    if not Path(path).is_file():
        raise MissingError("there is no such journal", path=path)
    if not os.access(path, os.R_OK):
        raise DeniedError("no permission to read the journal", path=path)
    # Whoever may write also cleans up after a writer that was killed, even if only to read.
    mode = "rw" if write or os.access(path, os.W_OK) else "ro"
    name = Path(path).absolute().as_uri()
    with failures(path):
        connection = sqlite3.connect(
            f"{name}?mode={mode}", uri=True, timeout=BUSY_SECONDS,
            isolation_level=None, check_same_thread=False,
        )  # fmt: skip
        try:
            _check(connection, path)
            if not write:
                connection.execute("PRAGMA query_only = ON")
        except BaseException:
            connection.close()
            raise
    return connection


def prepare_writing(connection: sqlite3.Connection) -> None:
    """Make every transaction of a connection durable; only the one writer may ask for that."""
    connection.execute("PRAGMA journal_mode = TRUNCATE")
    connection.execute("PRAGMA synchronous = FULL")


def _check(connection: sqlite3.Connection, path: str) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID:
        raise NotVortexError(
            "this is an SQLite file, but not the journal of a job", path=path,
            hint="journals are made by a job, and end in .sqlite",
        )  # fmt: skip
    if version > FORMAT_VERSION:
        raise UnsupportedVersionError(
            f"this journal has version {version}, and this release reads up to {FORMAT_VERSION}",
            path=path, hint="use the release that wrote it, or a later one",
        )  # fmt: skip


@contextlib.contextmanager
def failures(path: str) -> Iterator[None]:
    """Turn what SQLite and the file system say into errors of this package."""
    try:
        yield
    except sqlite3.Error as error:
        raise _translated(error, path) from error


def _translated(error: sqlite3.Error, path: str) -> VortexError:
    text = str(error)
    if isinstance(error, sqlite3.IntegrityError):
        column = text.rpartition(".")[2]
        return UnsupportedTypeError(f"two files of the job have one {column}", path=path)
    if "not a database" in text:
        return NotVortexError(
            "this is not the journal of a job", path=path,
            hint="journals are SQLite files that a job made",
        )  # fmt: skip
    if "malformed" in text or "no such table" in text or "no such column" in text:
        return CorruptionError(
            f"the journal is damaged: {text}", path=path,
            hint="take a copy of it, or start the job anew: outputs that exist are checked, not"
            " made again",
        )  # fmt: skip
    numbers = {
        "full": errno.ENOSPC, "locked": errno.EBUSY, "readonly": errno.EACCES,
        "unable to open": errno.EACCES, "disk I/O": errno.EIO,
    }  # fmt: skip
    number = next((n for key, n in numbers.items() if key in text), None)
    wrapped = OutputError(f"the journal cannot be written: {text}", path=path, hint=_hint(number))
    wrapped.errno = number
    return wrapped


def _hint(number: int | None) -> str | None:
    if number == errno.EBUSY:
        return f"another program has kept it for {BUSY_SECONDS:.0f} s; close it"
    if number in (errno.ENOSPC, errno.EIO):
        return "is the disk full or the quota used up? then run the job again, it goes on"
    if number == errno.EACCES:
        return "may you write the file and its folder?"
    return None


def write_new(name: str, document: str, files: Iterable[InputFile]) -> None:
    """Write a whole journal under another name, make it durable, and give it its own."""
    if os.path.lexists(name):
        error = OutputError("there is a journal already", path=name, hint="resume it, or remove it")
        error.errno = errno.EEXIST
        raise error
    draft = Path(f"{name}.part")
    try:
        draft.unlink(missing_ok=True)
        with (
            failures(name),
            contextlib.closing(sqlite3.connect(draft, isolation_level=None)) as new,
        ):
            _create_tables(new)
            new.execute("BEGIN")
            new.execute("INSERT INTO job VALUES ('document', ?)", [document])
            insert(new, files, ignore=False)
            _finish_tables(new)
            new.execute("COMMIT")
        with draft.open("rb+") as file:
            os.fsync(file.fileno())
        draft.replace(name)
        sync_folder(Path(name).absolute().parent)
    except BaseException as error:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        if isinstance(error, OSError) and not isinstance(error, VortexError):
            raise output_error(error, name) from error
        raise


def insert(connection: sqlite3.Connection, files: Iterable[InputFile], *, ignore: bool) -> int:
    """Add files; return how many. With ``ignore`` those whose source is there are left as they are.

    Raises
    ------
    sqlite3.IntegrityError
        Two have one source or target; in a new journal, only once it has its indexes.
    SourceError
        The name of a file is no text.
    """
    conflict = " ON CONFLICT (source) DO NOTHING" if ignore else ""
    return connection.executemany(
        "INSERT INTO files (source, target, dataset, size, mtime) VALUES (?, ?, ?, ?, ?)"
        + conflict,
        (
            (_text(f.source), f.target and _text(f.target), f.dataset, f.size, f.mtime)
            for f in files
        ),
    ).rowcount


def _create_tables(connection: sqlite3.Connection) -> None:
    """Make the tables of a new journal."""
    for pragma in ("page_size = 8192", "journal_mode = OFF", "synchronous = OFF"):
        connection.execute(f"PRAGMA {pragma}")
    for statement in _TABLES.split(";\n"):
        connection.execute(statement)


def _finish_tables(connection: sqlite3.Connection) -> None:
    """Make the indexes, and mark the file as a journal."""
    for statement in _INDEXES.split(";\n"):
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {FORMAT_VERSION}")


def _text(path: str) -> str:
    """A path as SQLite can keep it."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError as error:
        shown = path.encode("utf-8", "backslashreplace").decode()
        raise SourceError("the name of this file is not UTF-8", path=shown) from error
    return path
