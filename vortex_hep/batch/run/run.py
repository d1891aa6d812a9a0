"""The run of a job: files from the journal to the workers, outcomes back to the journal."""

from __future__ import annotations

import contextlib
import errno
import queue
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from vortex_hep.batch.journal.journal import FileRow, Journal
from vortex_hep.batch.report.naming import task_key
from vortex_hep.batch.report.progress import JobWatch, watching
from vortex_hep.batch.report.summary import JobSummary, summarise
from vortex_hep.batch.run.retries import Policy, Retries
from vortex_hep.batch.run.tidying import sweep
from vortex_hep.batch.states import Outcome, Reason, State, reason_of
from vortex_hep.batch.worker.tasks import GROUP_FILES, group_length, order_of, run_task, topic
from vortex_hep.batch.workoptions import WorkOptions
from vortex_hep.core.progress import SILENT, Progress
from vortex_hep.core.text import one_line
from vortex_hep.errors import NetworkError, OutputError, UnsupportedFeatureError, VortexError
from vortex_hep.models.model import Model

#: Tasks in flight per thread of the workers: one that runs and one that waits for it to end.
_PER_THREAD = 2
#: Seconds after which the number of workers is asked for again.
_LOOK_AGAIN = 2.0
#: Topic under which the keepers of dask's workers say that one needed too much memory.
_MEMORY_TOPIC = "worker-restart-memory"

Watch = Callable[[Outcome], None]


def run_job(
    journal: Journal,
    client: Any,
    how: WorkOptions,
    *,
    model: Model | None = None,
    policy: Policy | None = None,
    progress: Progress | None = None,
    watch: Watch | None = None,
) -> JobSummary:
    """Do what a journal says is to be done, until nothing waits any more.

    Parameters
    ----------
    journal : Journal
        Open for writing. What it has as running belongs to a run that has ended.
    client : distributed.Client
    how : WorkOptions
    model : Model, optional
        Each worker gets it once.
    policy : Policy, optional
    progress : Progress, optional
    watch : callable, optional
        Called with each outcome that is final: files that are done, or failed for good.

    Returns
    -------
    JobSummary
        Failures of files are in it; they are not raised.

    Raises
    ------
    NetworkError
        The scheduler was lost, or the storage does not answer for long. A later run goes on.
    UnsupportedFeatureError
        The workers cannot run tasks of this package.
    OutputError
        The journal cannot be written, or there is no space for outputs for long.

    Notes
    -----
    After any exception, KeyboardInterrupt included, the journal is one to go on from.
    """
    began = time.monotonic()
    progress = progress or SILENT
    journal.reopen(failed=False)
    with (
        watching(progress, how.command, journal.counts(), dashboard=_dashboard(client)) as bar,
        _prepared(client, how, model) as (begun, short_of_memory),
    ):
        runner = _Runner(journal, client, how, policy or Policy(), bar, watch)
        runner.sha256 = None if model is None else model.sha256
        runner.begun, runner.short_of_memory = begun, short_of_memory
        try:
            runner.run()
        finally:
            runner.cancel()
    sweep(journal, how, progress)
    return summarise(journal, seconds=time.monotonic() - began)


def _dashboard(client: Any) -> str | None:
    """Address of the scheduler's pages, where it has them."""
    link = getattr(client, "dashboard_link", None)
    return None if not link else str(link)


@contextlib.contextmanager
def _prepared(
    client: Any, how: WorkOptions, model: Model | None
) -> Iterator[tuple[dict[int, int], set[str]]]:
    """Give workers what they need, and listen to them.

    Yields
    ------
    begun : dict of int to int
        By number of the file, the attempt that a worker has begun last.
    short_of_memory : set of str
        Addresses of workers that were ended because they needed too much.
    """
    from vortex_hep.batch.report.metrics import FiguresPlugin
    from vortex_hep.batch.worker.plugin import ModelPlugin

    begun: dict[int, int] = {}
    short_of_memory: set[str] = set()

    def note_begun(event: tuple[float, Sequence[int]]) -> None:
        number, attempt = event[1]
        begun.pop(number, None)  # the last one begun is last in the dict
        begun[number] = attempt

    def note_memory(event: tuple[float, Any]) -> None:
        short_of_memory.add(str(event[1]["worker"]))

    plugin = None if model is None else ModelPlugin(model)
    with _scheduler_failures():
        client.subscribe_topic(topic(how.job), note_begun)
        client.subscribe_topic(_MEMORY_TOPIC, note_memory)
        for one in (FiguresPlugin(), plugin):
            if one is not None:
                client.register_plugin(one)
    try:
        yield begun, short_of_memory
    finally:
        with contextlib.suppress(Exception):  # the scheduler may be lost
            client.unsubscribe_topic(topic(how.job))
            client.unsubscribe_topic(_MEMORY_TOPIC)
            if plugin is not None:
                client.unregister_worker_plugin(plugin.name)


@contextlib.contextmanager
def _scheduler_failures() -> Iterator[None]:
    """Turn what comes of a lost scheduler into an error of this package."""
    try:
        yield
    except OSError as error:
        raise _lost_scheduler(error) from error


def _lost_scheduler(error: object) -> NetworkError:
    text = one_line(str(error) or type(error).__name__)
    return NetworkError(
        f"the scheduler does not answer any more: {text}", hint="run the job again: it goes on"
    )


def _nothing_succeeds(last: Outcome) -> VortexError:
    """Why a run gives up: the last of many failures of one kind says it."""
    text = f"one file after the other fails: {last.error}"
    hint = "once that is mended, run the job again: it goes on"
    if last.reason != Reason.NO_SPACE.value:
        return NetworkError(text, hint=hint)
    full = OutputError(text, hint=hint)
    full.errno = errno.ENOSPC
    return full


@dataclass
class _Flight:
    """A task that was submitted."""

    future: Any
    rows: list[FileRow]
    submitted: float


class _Runner:
    """The state of a run: what is in flight, and what was taken from the journal before."""

    def __init__(
        self,
        journal: Journal,
        client: Any,
        how: WorkOptions,
        policy: Policy,
        bar: JobWatch,
        watch: Watch | None,
    ) -> None:
        self.sha256: str | None = None
        self.begun: dict[int, int] = {}
        self.short_of_memory: set[str] = set()
        self._journal, self._client, self._how = journal, client, how
        self._policy, self._bar, self._watch = policy, bar, watch
        self._retries = Retries(policy)
        self._flights: dict[Any, _Flight] = {}
        self._ended: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._taken: deque[FileRow] = deque()
        #: Files that wait in the journal, be they due or not.
        self._waiting = journal.counts()[State.WAITING].files
        #: Files whose worker was lost: they go alone from then on.
        self._alone: set[int] = set()
        self._threads, self._asked = 1, float("-inf")
        self._quiet_until = 0.0

    def run(self) -> None:
        """Work until nothing waits any more."""
        while True:
            self._fill()
            due = self._next_due()
            if not self._flights:
                if due is None:
                    return
                time.sleep(min(due, _LOOK_AGAIN))
                continue
            self._collect(_LOOK_AGAIN if due is None else min(due, _LOOK_AGAIN))

    def cancel(self) -> None:
        """Give up what is in flight."""
        futures = [flight.future for flight in self._flights.values()]
        self._flights.clear()
        if futures:
            with contextlib.suppress(Exception):  # the scheduler may be lost
                self._client.cancel(futures, force=True)

    def _next_due(self) -> float | None:
        """Seconds until the next file may be submitted; None if none waits."""
        now = time.time()
        if self._taken:
            return max(0.01, self._quiet_until - now)
        due = self._journal.next_due() if self._waiting else None
        return None if due is None else max(0.01, due - now, self._quiet_until - now)

    def _fill(self) -> None:
        """Submit tasks until enough are in flight."""
        while len(self._flights) < self._window() and (rows := self._next_group()):
            orders = [order_of(row) for row in rows]
            key = task_key(self._how.command, orders, job=self._how.job)
            future = self._client.submit(
                run_task, orders, self._how, self.sha256, key=key, retries=0
            )
            self._flights[future.key] = _Flight(future, rows, time.time())
            future.add_done_callback(self._ended.put)

    def _window(self) -> int:
        """Tasks that are to be in flight now."""
        now = time.monotonic()
        if now - self._asked >= _LOOK_AGAIN:
            with _scheduler_failures():
                self._threads = max(1, sum(self._client.nthreads().values()))
            self._asked = now
        if self._retries.storm(self._threads):
            return 1 if time.time() >= self._quiet_until else 0
        return _PER_THREAD * self._threads

    def _next_group(self) -> list[FileRow]:
        """Files of the next task; none if none is due."""
        if not self._taken and self._waiting:
            rows = self._journal.take(GROUP_FILES, time.time())
            self._waiting -= len(rows)
            self._taken.extend(rows)
        if not self._taken:
            return []
        # Towards the end tasks become small, so that no worker idles while another has several.
        left = len(self._taken) + self._waiting
        most = -(-left // (2 * _PER_THREAD * self._threads))
        together = []
        for row in self._taken:
            if row.number in self._alone:
                break
            together.append(row.size)
        if self._retries.storm(self._threads):
            most = 1
        count = max(1, group_length(together, self._policy.group_bytes, most))
        return [self._taken.popleft() for _ in range(count)]

    def _collect(self, timeout: float) -> None:
        """Wait for tasks that end, and record what came of them."""
        try:
            ended = [self._ended.get(timeout=timeout)]
        except queue.Empty:
            return
        with contextlib.suppress(queue.Empty):
            while True:
                ended.append(self._ended.get_nowait())
        flights = [self._flights.pop(f.key) for f in ended if f.key in self._flights]
        outcomes: list[Outcome] = []
        retry_at: dict[int, float] = {}
        for flight, found in zip(flights, self._results(flights), strict=True):
            if isinstance(found, BaseException):
                self._lost(flight, found, outcomes, retry_at)
                continue
            for outcome in found:
                outcomes.append(outcome)
                self._retries.note(outcome)
                if not outcome.ok:
                    self._again(outcome, retry_at, self._retries.delay(outcome))
        self._record(outcomes, retry_at)

    def _results(self, flights: Sequence[_Flight]) -> list[list[Outcome] | BaseException]:
        """Outcomes of each task, or why there are none."""
        futures = [flight.future for flight in flights]
        if all(future.status == "finished" for future in futures):
            with contextlib.suppress(Exception):  # told apart one by one in the following
                return list(self._client.gather(futures))
        found: list[list[Outcome] | BaseException] = []
        for future in futures:
            try:
                found.append(future.result())
            except Exception as error:  # noqa: BLE001 - looked at by the caller
                found.append(error)
        return found

    def _lost(
        self,
        flight: _Flight,
        error: BaseException,
        outcomes: list[Outcome],
        retry_at: dict[int, float],
    ) -> None:
        """Find out which file is to blame for the loss of a worker; the others had bad luck."""
        if type(error).__name__ in ("CancelledError", "FutureCancelledError"):
            raise _lost_scheduler(error)
        if reason_of(error) is not Reason.CRASHED:
            # Whatever goes wrong with a file is an outcome: this is wrong with the worker.
            raise UnsupportedFeatureError(
                f"workers cannot run tasks: {type(error).__name__}: {error}",
                hint="do they have the same versions of Python, dask and vortex_hep as this"
                " process?",
            ) from error
        address = str(getattr(getattr(error, "last_worker", None), "address", ""))
        memory = address in self.short_of_memory
        reason = Reason.MEMORY if memory else Reason.CRASHED
        attempts = {row.number: row.attempts for row in flight.rows}
        begun = [n for n, attempt in self.begun.items() if attempts.get(n) == attempt]
        for row in flight.rows:
            blamed = bool(begun) and row.number == begun[-1]
            if not blamed:
                text = "the worker was lost with another file of the same task"
            elif memory:
                text = "the worker needed more memory than it has, and was ended"
            else:
                text = "the worker was lost with this file"
            outcome = Outcome(
                row.number, row.attempts, ok=False, reason=reason.value,
                error=f"{row.source}: {text}", source_size=row.size, worker=address,
                started=flight.submitted, finished=time.time(),
            )  # fmt: skip
            outcomes.append(outcome)
            self._alone.add(row.number)
            delay = self._retries.delay(outcome, lost=True, blamed=blamed)
            self._again(outcome, retry_at, delay)

    def _again(self, outcome: Outcome, retry_at: dict[int, float], delay: float | None) -> None:
        if delay is not None:
            retry_at[outcome.number] = time.time() + delay

    def _record(self, outcomes: Sequence[Outcome], retry_at: dict[int, float]) -> None:
        self._journal.finish(outcomes, retry_at=retry_at)
        self._waiting += len(retry_at)
        final = [outcome for outcome in outcomes if outcome.number not in retry_at]
        for outcome in outcomes:
            self.begun.pop(outcome.number, None)
        if self._retries.storm(self._threads) and not self._flights:
            pause = self._retries.pause()
            if pause is None:
                raise _nothing_succeeds(outcomes[-1])
            self._quiet_until = time.time() + pause
        self._bar.update(final, retried=len(retry_at))
        if self._watch is not None:
            for outcome in final:
                self._watch(outcome)
