"""Tasks: groups of files sent to a worker together, and the function that runs there."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import partial

from vortex_hep.batch.journal.rows import FileRow
from vortex_hep.batch.states import Order, Outcome
from vortex_hep.batch.worker.attempt import Attempt, attempted, dask_worker
from vortex_hep.batch.workoptions import WorkOptions

#: Files of one task at most.
GROUP_FILES = 16


def topic(job: str) -> str:
    """Topic of dask's events under which workers say which file they begin with."""
    return f"vortex-hep-{job}"


def order_of(row: FileRow) -> Order:
    """What a worker is asked to do with a file that was taken from the journal."""
    return Order(row.number, row.source, row.target, row.attempts, row.size, row.mtime)


def group_length(sizes: Sequence[int | None], group_bytes: int, most: int) -> int:
    """How many files, from the first one on, make the next task.

    Parameters
    ----------
    sizes : sequence of int or None
        Bytes of the files to come; those of unknown size count as a quarter of a task.
    group_bytes : int
        A task ends with the file that reaches this.
    most : int
        Files of the task at most.

    Examples
    --------
    >>> group_length([5, 5, 5, 5], 10, 16), group_length([50, 5], 10, 16)
    (2, 1)
    """
    total = length = 0
    for size in sizes[: max(1, min(most, GROUP_FILES))]:
        total += group_bytes // 4 if size is None else size
        length += 1
        if total >= group_bytes:
            break
    return length


def run_task(orders: Sequence[Order], how: WorkOptions, sha256: str | None) -> list[Outcome]:
    """Work on a group of files; runs on a worker.

    Parameters
    ----------
    orders : sequence of Order
    how : WorkOptions
    sha256 : str or None
        Of the model, which the worker has by :class:`~vortex_hep.batch.worker.plugin.ModelPlugin`.

    Returns
    -------
    list of Outcome
        One for each order, of failures too.
    """
    from vortex_hep.batch.report.metrics import count

    outcomes = []
    for order in orders:
        _tell(order, how)
        outcome = _work(order, how, sha256)
        count(how.command, [outcome])
        outcomes.append(outcome)
    return outcomes


def _work(order: Order, how: WorkOptions, sha256: str | None) -> Outcome:
    try:
        from vortex_hep.batch.worker.plugin import model_on_worker
        from vortex_hep.batch.worker.work import WORK

        return WORK[how.command](order, how, model_on_worker(sha256))
    except Exception as error:  # noqa: BLE001 - becomes an outcome in the next line
        return attempted(order, how, partial(_fail, error))


def _fail(error: Exception, attempt: Attempt) -> dict[str, object]:
    raise error


def _tell(order: Order, how: WorkOptions) -> None:
    """Tell the driver which file is begun with: should the worker be lost, that one is to blame."""
    worker = dask_worker()
    if worker is not None:
        with contextlib.suppress(OSError):
            worker.log_event(topic(how.job), [order.number, order.attempt])
