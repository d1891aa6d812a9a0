"""Checks of finished outputs before a run, and removal of temporary files after it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from vortex_hep.batch.journal.journal import FileRow, Journal
from vortex_hep.batch.states import Reason, State, reason_of
from vortex_hep.batch.worker.attempt import temporary_names
from vortex_hep.batch.workoptions import WorkOptions
from vortex_hep.core import storage
from vortex_hep.core.progress import SILENT, Progress
from vortex_hep.core.storage.paths import server_of
from vortex_hep.core.text import one_line
from vortex_hep.errors import MissingError, NetworkError, OutputError, VortexError

#: Files that are looked at, at the same time.
_THREADS = 32
#: Files that are looked at before what was found is recorded.
_AT_ONCE = 4096

Problem = tuple[Reason, str]


def recheck(journal: Journal, progress: Progress = SILENT) -> int:
    """Look at the files that are done: those that do not hold any more wait again.

    An output must have the size that it had, and a source, where it still exists, size and time.

    Parameters
    ----------
    journal : Journal
        Open for writing.
    progress : Progress

    Returns
    -------
    int
        How many wait again.

    Raises
    ------
    NetworkError
        Outputs cannot be looked at.
    """
    total = journal.counts()[State.DONE].files
    if not total:
        return 0
    again = 0
    with (
        progress.task("looking again", total, unit="files") as task,
        ThreadPoolExecutor(_THREADS) as pool,
    ):
        for rows in _portions(journal.rows(State.DONE)):
            for row, problem in zip(rows, pool.map(_problem, rows), strict=True):
                if problem is not None:
                    reason, text = problem
                    again += journal.put_back([row.number], reason=reason.value, error=text)
            task.advance(len(rows))
    return again


def _portions(rows: Iterator[FileRow]) -> Iterator[list[FileRow]]:
    while portion := list(islice(rows, _AT_ONCE)):
        yield portion


def _problem(row: FileRow) -> Problem | None:
    """What does not hold of a file that is done."""
    try:
        found = row.outcome
        size = None if found is None else found.target_size
        if row.target is not None and storage.stat(row.target).size != size:
            return Reason.DIFFERENT, f"{row.target}: its size has changed since it was written"
        try:
            source = storage.stat(row.source)
        except (MissingError, NetworkError):  # it is not needed any more, once there is an archive
            return None
        if (source.size, source.mtime) != (row.size, row.mtime):
            return Reason.BEING_WRITTEN, f"{row.source}: has changed since the job read it"
    except NetworkError:
        raise  # that says nothing of the file
    except VortexError as error:
        return reason_of(error), one_line(str(error))
    return None


def sweep(journal: Journal, how: WorkOptions, progress: Progress = SILENT) -> int:
    """Remove the temporary files of attempts that did not come to their end.

    Parameters
    ----------
    journal : Journal
    how : WorkOptions
    progress : Progress
        Is told what cannot be removed.

    Returns
    -------
    int
        How many may be left because they cannot be removed.
    """
    if how.command == "verify":
        return 0
    names = (
        name
        for row in journal.rows()
        if row.target is not None and (row.attempts > 1 or row.state is not State.DONE)
        for name in temporary_names(row.target, how.job, row.attempts)
    )
    return _remove(names, progress)


def _remove(names: Iterable[str], progress: Progress) -> int:
    left = 0
    silent: set[str] = set()
    with ThreadPoolExecutor(_THREADS) as pool, progress.task("tidying", None, unit="files") as task:
        names = iter(names)
        while portion := list(islice(names, _AT_ONCE)):
            for error in pool.map(_removing(silent), portion):
                task.advance(1)
                if error is not None:
                    left += 1
                    if left == 1:
                        task.note(f"temporary files may be left: {one_line(str(error))}")
    return left


def _removing(silent: set[str]) -> Callable[[str], OutputError | None]:
    """Make a function that removes a file; servers that do not answer are not asked again."""

    def remove(name: str) -> OutputError | None:
        server = server_of(name)
        if server in silent:
            return OutputError("its server does not answer", path=name)
        try:
            storage.remove(name)
        except OutputError as error:
            if reason_of(error) is Reason.NETWORK:
                silent.add(server)
            return error
        return None

    return remove
