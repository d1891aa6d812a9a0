"""Discrete-event simulation of a job: driver, scheduler, workers, and the storage they share.

The model says what a job needs on average; here every task is submitted, waits its turn, shares
the storage with others, and may lose its worker, so that queues, rounds and ends come out by
themselves. The costs are the same.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from benchmarks.scale.model import Stage, heartbeats_per_second, stages_of
from benchmarks.scale.parameters import WINDOW, Costs, Data, Job, Site

Action = Callable[[], None]


@dataclass(frozen=True)
class Simulated:
    """What came of a simulated job.

    Parameters
    ----------
    wall_seconds : float
    busy : dict of str to float
        Share of the time in which driver, storage and workers had something to do.
    moved_bytes : float
    tasks : int
        Run to their end or lost.
    done, failed : int
        Files.
    lost_tasks, repeated : int
        Tasks that lost their worker, and attempts that ended in a passing error.
    most_in_flight : int
    """

    wall_seconds: float
    busy: dict[str, float]
    moved_bytes: float
    tasks: int
    done: int
    failed: int
    lost_tasks: int
    repeated: int
    most_in_flight: int


class Clock:
    """Events in the order of their time."""

    def __init__(self) -> None:
        self.now = 0.0
        self._events: list[tuple[float, int, Action]] = []
        self._number = 0

    def at(self, time: float, action: Action) -> None:
        """Do something at a time."""
        self._number += 1
        heapq.heappush(self._events, (time, self._number, action))

    def after(self, seconds: float, action: Action) -> None:
        """Do something in some time."""
        self.at(self.now + seconds, action)

    def run(self, until: Callable[[], bool]) -> None:
        """Let time pass until a condition holds or nothing is left to happen."""
        while self._events and not until():
            self.now, _, action = heapq.heappop(self._events)
            action()


class Server:
    """One thing at a time, first come first served: the driver's process, the name server."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._free = 0.0
        self.busy = 0.0

    def serve(self, seconds: float, done: Action) -> None:
        """Call ``done`` when it was this one's turn and the work took ``seconds``."""
        self._free = max(self._free, self._clock.now) + seconds
        self.busy += seconds
        self._clock.at(self._free, done)


class Transfer:
    """Bytes on their way; a lost worker's are given up."""

    __slots__ = ("alive", "done")

    def __init__(self, done: Action) -> None:
        self.alive = True
        self.done = done


class SharedLink:
    """A storage whose streams have a limit each and one in total, shared equally.

    As all streams move at the same pace, a transfer ends when the bytes that each stream has moved
    since the beginning reach a mark set at its start.
    """

    def __init__(self, clock: Clock, stream: float, total: float) -> None:
        self._clock = clock
        self._stream = stream
        self._total = total
        self._marks: list[tuple[float, int, Transfer]] = []
        self._active = 0
        self._number = 0
        self._moved = 0.0
        self._then = 0.0
        self._plan = 0
        self.bytes = 0.0
        self.full = 0.0

    def move(self, size: float, done: Action) -> Transfer:
        """Start a transfer; ``done`` is called at its end."""
        self._advance()
        transfer = Transfer(done)
        self._number += 1
        heapq.heappush(self._marks, (self._moved + size, self._number, transfer))
        self._active += 1
        self._schedule()
        return transfer

    def give_up(self, transfer: Transfer) -> None:
        """Forget a transfer that has not ended."""
        if transfer.alive:
            self._advance()
            transfer.alive = False
            self._active -= 1
            self._schedule()

    def _pace(self) -> float:
        return min(self._stream, self._total / max(1, self._active))

    def _advance(self) -> None:
        seconds = self._clock.now - self._then
        self._moved += self._pace() * seconds
        self.bytes += self._pace() * seconds * self._active
        self.full += seconds * min(1.0, self._active * self._stream / self._total)
        self._then = self._clock.now

    def _schedule(self) -> None:
        while self._marks and not self._marks[0][2].alive:
            heapq.heappop(self._marks)
        self._plan += 1
        if self._marks:
            plan = self._plan
            seconds = max(0.0, self._marks[0][0] - self._moved) / self._pace()
            self._clock.after(seconds, lambda: self._end(plan))

    def _end(self, plan: int) -> None:
        if plan != self._plan:
            return  # streams came or went since: another event stands for this one
        self._advance()
        mark, _, first = heapq.heappop(self._marks)
        self._moved = max(self._moved, mark)
        ended = [first]
        while self._marks and (self._marks[0][0] <= self._moved or not self._marks[0][2].alive):
            ended.append(heapq.heappop(self._marks)[2])
        for transfer in ended:
            if transfer.alive:
                transfer.alive = False
                self._active -= 1
        self._schedule()
        for transfer in ended:
            transfer.done()


@dataclass
class Task:
    """Files that go together."""

    files: list[int]
    stages: list[Stage] = field(default_factory=list)
    steps: int = 0


@dataclass
class Worker:
    """Where tasks run: ``life`` changes when it is lost, which makes what was planned void."""

    life: int = 0
    task: Task | None = None
    transfer: Transfer | None = None


class Simulation:
    """One job from its first submission to its last result.

    Parameters
    ----------
    job, data, site, costs
        As for :func:`benchmarks.scale.model.predict`.
    spread : float
        Standard deviation of the logarithm of file sizes; 0 makes all equal.
    largest_first : bool
        Whether files are taken by falling size, or as they are listed.
    seed : int
    """

    def __init__(
        self,
        job: Job,
        data: Data,
        site: Site,
        costs: Costs,
        *,
        spread: float = 0.0,
        largest_first: bool = False,
        seed: int = 1,
    ) -> None:
        self._job, self._data, self._site, self._costs = job, data, site, costs
        self._random = random.Random(seed)
        self._clock = Clock()
        self._driver = Server(self._clock)
        self._names = Server(self._clock)
        self._link = SharedLink(self._clock, site.stream_bytes, site.storage_bytes)
        self._sizes = self._draw_sizes(spread)
        if largest_first:
            self._sizes.sort(reverse=True)
        together = job.files_per_task(site.workers)
        self._losses = [0] * job.files
        self._waiting: deque[Task] = deque(
            Task(list(range(first, min(first + together, job.files))))
            for first in range(0, job.files, together)
        )
        self._queued: deque[Task] = deque()
        self._idle = [Worker() for _ in range(site.workers)]
        self._window = WINDOW * site.workers
        busy = heartbeats_per_second(site.workers) * costs.heartbeat
        self._control = (costs.scheduler_task + costs.driver_task) / max(1e-3, 1 - busy)
        self._flight = self._most = self._tasks = 0
        self._done = self._failed = self._lost = self._repeated = 0
        self._worked = 0.0

    def run(self) -> Simulated:
        """Let it happen."""
        job, site, costs = self._job, self._site, self._costs
        startup = job.files * costs.create_file
        startup += site.workers * self._data.model_bytes / site.driver_bytes
        self._driver.serve(startup, self._fill)
        if site.losses_per_hour:
            for worker in list(self._idle):
                self._await_loss(worker)
        self._clock.run(lambda: self._done + self._failed == job.files)
        wall = self._clock.now
        return Simulated(
            wall_seconds=wall,
            busy={
                "driver": self._driver.busy / wall,
                "storage": self._link.full / wall,
                "requests": self._names.busy / wall,
                "workers": self._worked / wall / site.workers,
            },
            moved_bytes=self._link.bytes,
            tasks=self._tasks,
            done=self._done,
            failed=self._failed,
            lost_tasks=self._lost,
            repeated=self._repeated,
            most_in_flight=self._most,
        )

    def _draw_sizes(self, spread: float) -> list[float]:
        job = self._job
        if not spread:
            return [job.file_bytes] * job.files
        drawn = [self._random.lognormvariate(0.0, spread) for _ in range(job.files)]
        scale = job.bytes / sum(drawn)
        return [value * scale for value in drawn]

    def _fill(self) -> None:
        """Submit tasks as far as the window allows."""
        while self._waiting and self._flight < self._window:
            task = self._waiting.popleft()
            self._flight += 1
            self._most = max(self._most, self._flight)
            seconds = len(task.files) * self._costs.take_file + self._control / 2
            self._driver.serve(seconds, partial(self._enqueue, task))

    def _enqueue(self, task: Task) -> None:
        self._queued.append(task)
        self._assign()

    def _assign(self) -> None:
        while self._queued and self._idle:
            worker, task = self._idle.pop(), self._queued.popleft()
            worker.task = task
            task.steps = 0
            task.stages = [
                stage
                for number in task.files
                for stage in stages_of(
                    self._job, self._data, self._site, self._costs, self._sizes[number]
                )
            ]
            self._tasks += 1
            began = self._clock.now
            self._next_stage(worker, worker.life, began)

    def _next_stage(self, worker: Worker, life: int, began: float) -> None:
        """Start the next stage of the worker's task, or hand in its results."""
        task = worker.task
        if worker.life != life or task is None:
            return
        if task.steps == len(task.stages):
            self._worked += self._clock.now - began
            worker.task = None
            self._hand_in(task)
            self._idle.append(worker)
            self._assign()
            return
        stage = task.stages[task.steps]
        task.steps += 1

        def work() -> None:
            if worker.life == life:
                self._compute(stage, worker, life, began)

        if stage.requests:
            served = stage.requests / self._site.requests_per_second
            wait = stage.requests * self._site.request_seconds
            self._names.serve(served, lambda: self._clock.after(max(0.0, wait - served), work))
        else:
            work()

    def _compute(self, stage: Stage, worker: Worker, life: int, began: float) -> None:
        """Computing and transfer side by side; the stage ends with the later one."""
        parts = 1 + (stage.moved > 0)

        def part_done() -> None:
            nonlocal parts
            parts -= 1
            if parts == 0:
                self._next_stage(worker, life, began)

        self._clock.after(stage.cpu, part_done)
        if stage.moved > 0:
            worker.transfer = self._link.move(stage.moved, part_done)

    def _hand_in(self, task: Task) -> None:
        """Results reach the driver: the journal is written, the next task goes out."""
        site = self._site
        again = [n for n in task.files if site.transient and self._random.random() < site.transient]
        finished = len(task.files) - len(again)

        def journalled() -> None:
            self._flight -= 1
            self._done += finished
            self._repeated += len(again)
            self._waiting.extend(Task([number]) for number in again)
            self._fill()

        seconds = len(task.files) * self._costs.finish_file + self._control / 2
        self._driver.serve(seconds, journalled)

    def _await_loss(self, worker: Worker) -> None:
        seconds = self._random.expovariate(self._site.losses_per_hour / 3600)
        self._clock.after(seconds, lambda: self._lose(worker))

    def _lose(self, worker: Worker) -> None:
        """A worker goes; its files are tried again one by one, and given up the second time."""
        worker.life += 1
        task, worker.task = worker.task, None
        if worker.transfer is not None:
            self._link.give_up(worker.transfer)
        if task is None:
            self._idle.remove(worker)
        else:
            self._lost += 1
            self._flight -= 1
            for number in task.files:
                self._losses[number] += 1
                if self._losses[number] < 2:
                    self._waiting.append(Task([number]))
                else:
                    self._failed += 1
            self._fill()

        def replaced() -> None:
            self._idle.append(worker)
            self._assign()
            self._await_loss(worker)

        self._clock.after(self._site.replace_seconds, replaced)
