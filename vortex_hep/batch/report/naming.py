"""Names of tasks on the dashboard: command and files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vortex_hep.core.storage import name

if TYPE_CHECKING:
    from vortex_hep.batch.states import Order


def task_key(command: str, orders: Sequence[Order], *, job: str = "") -> tuple[str, str, str]:
    """The key of the task that works on a group of files.

    Dask's pages group tasks by the first part and show the others. As the attempts of a file
    count up, number and attempt of the first file are unique within a job; `job` keeps apart
    jobs that share a scheduler.

    Parameters
    ----------
    command : str
        "compress", "verify" or "restore".
    orders : sequence of Order
        At least one.
    job : str
        Identity of the job.

    Returns
    -------
    tuple of str
        As ``client.submit(..., key=...)`` takes it.

    Examples
    --------
    >>> from vortex_hep.batch.states import Order
    >>> order = Order(number=7, source="root://h//d/a.root", target="root://h//d/a.vxc",
    ...               attempt=2, size=10, mtime=None)
    >>> task_key("compress", [order], job="3f2a")
    ('compress', 'a.root #7 attempt 2', '3f2a')
    """
    first = orders[0]
    text = f"{name(first.source)} #{first.number}"
    if first.attempt > 1:
        text += f" attempt {first.attempt}"
    if len(orders) > 1:
        text += f" and {len(orders) - 1} more"
    return command, text, job
