"""The journal of a job: an SQLite file with the task and the outcome of every file.

Only the driver writes it. What :meth:`Journal.finish` has returned from survives a crash of the
process or the machine. Everybody may read it while the job runs, for instance with the program
``sqlite3``; these are its tables (``PRAGMA user_version`` is the version of this form):

``job (key, value)``
    The row with the key ``document`` has all about the job as JSON: command, options, model.
``files``
    One row per file: ``number``, ``source``, ``target``, ``dataset``; ``state`` (``waiting``,
    ``running``, ``done``, ``failed``); ``attempts`` begun so far; ``not_before`` (seconds since
    1970, of files that wait for another attempt); ``reason`` and ``error`` of the last failure,
    empty once it is done; ``size`` in bytes and ``mtime`` of the source (as listed; as the worker
    found it, once done); ``source_adler32``, ``target_size``, ``target_adler32`` once done.
``attempts``
    One row per attempt that has ended: ``number`` of the file, ``attempt``, ``ok``, ``reason``,
    ``error``, ``worker``, ``started``, ``finished`` (seconds since 1970) and ``outcome``, all
    fields of :class:`~vortex_hep.batch.states.Outcome` as JSON.

Such as, for the failures by reason and the slowest files::

    SELECT reason, count(*), min(source) FROM files WHERE state = 'failed' GROUP BY reason;
    SELECT source, finished - started AS seconds FROM attempts JOIN files USING (number)
        WHERE ok ORDER BY seconds DESC LIMIT 10;
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vortex_hep.batch.journal.file import (
    connect,
    failures,
    insert,
    prepare_writing,
    write_new,
)
from vortex_hep.batch.journal.lock import WriterLock
from vortex_hep.batch.journal.rows import (
    COLUMNS,
    Counts,
    FileRow,
    json_text,
    outcome_of,
    outcome_text,
    row_of,
    state_of,
)
from vortex_hep.batch.plan.inputs import InputFile
from vortex_hep.batch.states import Outcome, State
from vortex_hep.core.storage.failures import output_error
from vortex_hep.errors import CorruptionError, OutputError

__all__ = ["Counts", "FileRow", "Journal"]

#: Rows read at once: between two such reads the writer can write.
_PAGE = 500


class Journal:
    """A job's journal. Made by :meth:`create` or :meth:`open`; a context manager.

    Methods may be called from any thread; they raise :class:`~vortex_hep.errors.OutputError` where
    the file cannot be written, and :class:`~vortex_hep.errors.CorruptionError` where it is damaged.

    Attributes
    ----------
    path : str
    """

    def __init__(self, path: str, connection: sqlite3.Connection, lock: WriterLock | None) -> None:
        self.path = path
        self._connection = connection
        self._writer = lock
        self._lock = threading.RLock()

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        document: Mapping[str, Any],
        files: Iterable[InputFile],
    ) -> Journal:
        """Make the journal of a new job; it is there when it is complete.

        Parameters
        ----------
        path : str or path
            A local file that does not exist. Folders above it are made.
        document : mapping
            What there is to say of the job, as JSON can.
        files : iterable of InputFile
            With their targets.

        Raises
        ------
        OutputError
            The file exists, cannot be written, or another process is at it.
        UnsupportedTypeError
            Two files have one source or target, or the document is no JSON.
        """
        name = os.fspath(path)
        text = json_text(document)
        try:
            Path(name).absolute().parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise output_error(error, name) from error
        lock = WriterLock(name)
        try:
            write_new(name, text, files)
            connection = connect(name, write=True)
        except BaseException:
            lock.release()
            raise
        return cls._writing(name, connection, lock)

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, read_only: bool = False) -> Journal:
        """Open a journal.

        Parameters
        ----------
        path : str or path
        read_only : bool
            To look at it; possible while another process writes it.

        Raises
        ------
        MissingError, DeniedError
            There is none, or it may not be read.
        NotVortexError, UnsupportedVersionError, CorruptionError
            It is something else, of a later release, or damaged.
        OutputError
            Another process is writing it, and ``read_only`` is not set.
        """
        name = os.fspath(path)
        connection = connect(name, write=not read_only)
        if read_only:
            return cls(name, connection, None)
        try:
            lock = WriterLock(name)
        except BaseException:
            connection.close()
            raise
        return cls._writing(name, connection, lock)

    @classmethod
    def _writing(cls, name: str, connection: sqlite3.Connection, lock: WriterLock) -> Journal:
        try:
            with failures(name):
                prepare_writing(connection)
        except BaseException:
            connection.close()
            lock.release()
            raise
        return cls(name, connection, lock)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file, and let others write it."""
        with self._lock:
            if self._writer is not None:
                # Leaves no empty file beside the journal; that a reader keeps it does no harm.
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("PRAGMA journal_mode = DELETE")
            self._connection.close()
            if self._writer is not None:
                self._writer.release()
                self._writer = None

    @property
    def document(self) -> dict[str, Any]:
        """What there is to say of the job: command, options, model, and the like."""
        rows = self._query("SELECT value FROM job WHERE key = 'document'")
        try:
            document = json.loads(rows[0][0])
        except (IndexError, ValueError, TypeError) as error:
            msg = "the row 'document' of the table 'job' is missing or not JSON"
            raise CorruptionError(msg, path=self.path) from error
        if not isinstance(document, dict):
            msg = "the row 'document' of the table 'job' is not a JSON object"
            raise CorruptionError(msg, path=self.path)
        return document

    def set_document(self, document: Mapping[str, Any]) -> None:
        """Replace the document, for what is known only later."""
        with self._changing() as connection:
            connection.execute(
                "UPDATE job SET value = ? WHERE key = 'document'", [json_text(document)]
            )

    def add(self, files: Iterable[InputFile]) -> int:
        """Add the files that are not there yet, as waiting.

        Parameters
        ----------
        files : iterable of InputFile
            With their targets. Of a source that is there already nothing changes.

        Returns
        -------
        int
            How many are new.
        """
        with self._changing() as connection:
            return insert(connection, files, ignore=True)

    def take(self, limit: int, now: float) -> list[FileRow]:
        """Take waiting files to be worked on: they are running then, at their next attempt.

        Parameters
        ----------
        limit : int
            How many at most.
        now : float
            Seconds since 1970: files that wait for a later time are left.

        Returns
        -------
        list of FileRow
            New ones in their order first, then those that are tried again.
        """
        with self._changing() as connection:
            rows = connection.execute(
                "UPDATE files SET state = 'running', attempts = attempts + 1 WHERE number IN"
                " (SELECT number FROM files INDEXED BY by_due WHERE state = 'waiting'"
                " AND not_before <= ? ORDER BY not_before, number LIMIT ?)"
                f" RETURNING {COLUMNS.replace('f.', '')}",
                [now, limit],
            ).fetchall()
        return [
            row_of((*row, None), self.path)
            for row in sorted(rows, key=lambda row: (row[10], row[0]))
        ]

    def finish(
        self, outcomes: Sequence[Outcome], *, retry_at: Mapping[int, float] | None = None
    ) -> None:
        """Record what became of running files; durable when it returns.

        Parameters
        ----------
        outcomes : sequence of Outcome
            Of one of an earlier attempt than the last only the history is kept.
        retry_at : mapping of int to float, optional
            By number, when a file that failed is to be tried again (seconds since 1970); the
            others that failed are failed for good.
        """
        later = retry_at or {}
        with self._changing() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO attempts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (o.number, o.attempt, o.ok, o.reason, o.error, o.worker, o.started, o.finished,
                     outcome_text(o))
                    for o in outcomes
                ],
            )  # fmt: skip
            connection.executemany(
                "UPDATE files SET state = 'done', reason = NULL, error = NULL, not_before = 0,"
                " size = coalesce(?, size), mtime = coalesce(?, mtime), source_adler32 = ?,"
                " target_size = ?, target_adler32 = ?"
                " WHERE number = ? AND attempts = ? AND state = 'running'",
                [
                    (o.source_size, o.source_mtime, o.source_adler32, o.target_size,
                     o.target_adler32, o.number, o.attempt)
                    for o in outcomes if o.ok
                ],
            )  # fmt: skip
            connection.executemany(
                "UPDATE files SET state = ?, reason = ?, error = ?, not_before = ?,"
                " size = coalesce(?, size)"
                " WHERE number = ? AND attempts = ? AND state = 'running'",
                [
                    (State.WAITING.value if o.number in later else State.FAILED.value, o.reason,
                     o.error, later.get(o.number, 0.0), o.source_size, o.number, o.attempt)
                    for o in outcomes if not o.ok
                ],
            )  # fmt: skip

    def reopen(self, *, failed: bool) -> int:
        """Make files wait that were running when an earlier run ended.

        Parameters
        ----------
        failed : bool
            Those that failed, too. The attempts they had are still counted.

        Returns
        -------
        int
            How many wait now that did not.
        """
        states = [State.RUNNING.value, State.FAILED.value if failed else State.RUNNING.value]
        with self._changing() as connection:
            # Whoever tries a failed file again may have replaced it.
            return connection.execute(
                "UPDATE files SET state = 'waiting', not_before = 0,"
                " size = CASE state WHEN 'failed' THEN NULL ELSE size END,"
                " mtime = CASE state WHEN 'failed' THEN NULL ELSE mtime END"
                " WHERE state IN (?, ?)",
                states,
            ).rowcount

    def put_back(self, numbers: Iterable[int], *, reason: str, error: str) -> int:
        """Make files wait that were done, but whose source or output is not what it was.

        Parameters
        ----------
        numbers : iterable of int
        reason, error : str
            Why, for whoever looks at the journal.

        Returns
        -------
        int
            How many wait now.
        """
        with self._changing() as connection:
            return connection.executemany(
                "UPDATE files SET state = 'waiting', not_before = 0, reason = ?, error = ?,"
                " size = NULL, mtime = NULL, source_adler32 = NULL, target_size = NULL,"
                " target_adler32 = NULL WHERE number = ? AND state = 'done'",
                [(reason, error, number) for number in numbers],
            ).rowcount

    def next_due(self) -> float | None:
        """When the next waiting file may be taken, in seconds since 1970; None if none waits."""
        rows = self._query(
            "SELECT min(not_before) FROM files INDEXED BY by_due WHERE state = 'waiting'"
        )
        return None if rows[0][0] is None else float(rows[0][0])

    def counts(self) -> dict[State, Counts]:
        """Files and bytes in each state; all states are there."""
        rows = self._query(
            "SELECT state, count(*), total(size), total(target_size)"
            " FROM files INDEXED BY by_state GROUP BY state"
        )
        found = {state_of(s, self.path): Counts(n, int(a), int(b)) for s, n, a, b in rows}
        return {state: found.get(state, Counts()) for state in State}

    def rows(self, *states: State) -> Iterator[FileRow]:
        """Files in the order of their numbers, as they are when they are reached.

        Parameters
        ----------
        *states : State
            Only files in these; all by default.
        """
        marks = ", ".join("?" * len(states))
        only = f"f.state IN ({marks}) AND " if states else ""
        last = 0
        while True:
            page = self._query(
                f"SELECT {COLUMNS}, a.outcome FROM files f LEFT JOIN attempts a"
                " ON a.number = f.number AND a.attempt = f.attempts"
                f" WHERE {only} f.number > ? ORDER BY f.number LIMIT ?",
                [*(s.value for s in states), last, _PAGE],
            )
            if not page:
                return
            last = page[-1][0]
            yield from (row_of(row, self.path) for row in page)

    def history(self, number: int) -> list[Outcome]:
        """All attempts of a file that have ended, the first one first."""
        rows = self._query(
            "SELECT outcome FROM attempts WHERE number = ? ORDER BY attempt", [number]
        )
        return [outcome_of(text, self.path) for (text,) in rows]

    def _query(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._lock, failures(self.path):
            return self._connection.execute(statement, values).fetchall()

    @contextlib.contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that is durable after the block, or has not been."""
        if self._writer is None:
            raise OutputError("this journal is open to be read, or closed", path=self.path)
        with self._lock, failures(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise
