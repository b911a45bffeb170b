"""Work that is distributed over processes, or over a Ray cluster.

``Work`` is sent to each process and opened there once. Opening it returns a function that works on
the items of a task and returns a ``Report``. A process that dies is replaced, which
``concurrent.futures.ProcessPoolExecutor`` cannot do: it ends all of them.
"""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from rilievo.errors import RilievoError
from rilievo.errors.messages import Note, OptionName, Text
from rilievo.extensions.subpackages import load_service
from rilievo.io.files.machine import cores
from rilievo.predicting.options import LOCAL, BatchOptions
from rilievo.predicting.run_times import RunTimes, Stopwatch
from rilievo.system import signals
from rilievo.version import VERSION

Item = TypeVar("Item")
Item_contra = TypeVar("Item_contra", contravariant=True)

Do = Callable[..., "Report"]
"""Function that works on the items of a task. Its keyword ``again`` says whether a process that was
killed had worked on them. A ``RilievoError`` ends the whole work."""

MAX_TASK_SIZE = 16
"""Most items in a task."""

MIN_TASKS_PER_PROCESS = 4
"""Least number of tasks for each process, so that none waits long for the others at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An item that failed, and why, in one line."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a process has done with the items of one task.

    Attributes:
        done: Number of items that are done.
        finished_before: Number of items that an earlier run had finished.
        failures: Items that failed.
        notes: Notes for the user.
        refusal: Why the whole work cannot go on; empty if it can.
        times: Where the time went.
    """

    done: int = 0
    finished_before: int = 0
    failures: tuple[Failure, ...] = ()
    notes: tuple[str, ...] = ()
    refusal: str = ""
    times: RunTimes = field(default_factory=RunTimes)


@runtime_checkable
class Work(Protocol[Item_contra]):
    """Work on many items, which can be pickled and sent to processes."""

    def open(self) -> Do:
        """Load what the work needs, and return the function that does it.

        Raises:
            RilievoError: If the work cannot be done at all.
        """
        ...

    def name(self, item: Item_contra) -> str:
        """Name of an item in messages."""
        ...


def open_work(work: Work[Item], version: str) -> Do:
    """Open work in this process; a ``RilievoError`` becomes a report with a refusal.

    ``version`` is rilievo's version in the process that sent the work, which must be the same here.
    """
    do: Do | None = None
    refusal = (
        f"rilievo {VERSION} is installed where the work is done, and {version} here: install the "
        "same version everywhere"
    )
    if version == VERSION:
        try:
            do = work.open()
        except RilievoError as error:
            refusal = Note(Text(error))

    def do_and_report(items: Sequence[Item], *, again: bool) -> Report:
        if do is None:
            return Report(refusal=refusal)
        try:
            return do(items, again=again)
        except RilievoError as error:  # such as a disk that is full by now
            return Report(refusal=Note(Text(error)))

    return do_and_report


def killed_twice_failure(work: Work[Item], item: Item) -> Failure:
    """Failure of an item at which two processes were killed."""
    name = work.name(item)
    return Failure(
        name=name,
        reason=f"{name}: the process at work on it was killed twice, the second time with nothing "
        "else to do: too little memory? It is skipped",
    )


def merge_reports(reports: Iterable[Report]) -> Report:
    """Merge reports into one, with the first refusal."""
    all_reports, stopwatch = list(reports), Stopwatch()
    for report in all_reports:
        stopwatch.add(report.times)
    refusals = [report.refusal for report in all_reports if report.refusal]
    return Report(
        done=sum(report.done for report in all_reports),
        finished_before=sum(report.finished_before for report in all_reports),
        failures=tuple(failure for report in all_reports for failure in report.failures),
        notes=tuple(note for report in all_reports for note in report.notes),
        refusal=refusals[0] if refusals else "",
        times=stopwatch.times,
    )


def task_size(count: int, workers: int) -> int:
    """Number of items in a task, if ``workers`` processes work on ``count`` items."""
    return max(1, min(MAX_TASK_SIZE, count // (MIN_TASKS_PER_PROCESS * workers)))


def split_into_tasks(items: Iterable[Item], size: int) -> Iterator[tuple[Item, ...]]:
    """Yield the items in tasks of ``size``, and the rest in a smaller one."""
    task: list[Item] = []
    for item in items:
        task.append(item)
        if len(task) == size:
            yield tuple(task)
            task = []
    if task:
        yield tuple(task)


MAX_DEATHS_WHILE_LOADING = 3
"""Consecutive processes that may die while they open the work, before the work is given up."""

SHUTDOWN_SECONDS = 20.0
"""How long a process that was told to stop may complete its writes before it is killed [s]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task(Generic[Item]):
    """Items for one process, and how many processes have died at them."""

    items: tuple[Item, ...]
    deaths: int = 0


@dataclass(slots=True, kw_only=True)
class _Worker(Generic[Item]):
    """A process, and what it is doing.

    Attributes:
        process: The process.
        connection: Pipe to the process.
        task: Task that it works on; None if it is idle.
        has_opened: Whether it has opened the work.
    """

    process: SpawnProcess
    connection: Connection
    task: _Task[Item] | None = None
    has_opened: bool = False


def work_in_processes(
    work: Work[Item], items: Iterable[Item], *, workers: int, size: int
) -> Iterator[Report]:
    """Work on all items in several processes, and yield a report when a task ends.

    If a process is killed, its items are tried again, each in a task of its own.

    Args:
        work: Work that each process opens.
        items: Items, which are taken when a process needs them.
        workers: Number of processes.
        size: Number of items in a task.

    Raises:
        RilievoError: If the work cannot be done at all.
    """
    pool = _WorkerPool(work, split_into_tasks(items, size), workers)
    try:
        yield from pool.reports()
    finally:
        pool.close()


class _WorkerPool(Generic[Item]):
    """Processes that work on tasks, started when there is a task for them."""

    def __init__(self, work: Work[Item], tasks: Iterator[tuple[Item, ...]], workers: int) -> None:
        self._work = work
        self._tasks = tasks
        self._max_workers = workers
        self._retries: deque[_Task[Item]] = deque()
        self._workers: list[_Worker[Item]] = []
        self._deaths_while_loading = 0

    def reports(self) -> Iterator[Report]:
        """Give tasks to processes, and yield their reports until all tasks are done."""
        while True:
            self._give_tasks()
            busy = {
                worker.connection: worker for worker in self._workers if worker.task is not None
            }
            if not busy:
                return
            for connection in wait(list(busy)):
                assert isinstance(connection, Connection), "nothing else is waited for"
                yield from self._receive_report(busy[connection])

    def close(self) -> None:
        """Stop all processes; those that do not end in time are killed."""
        for worker in self._workers:
            if worker.task is not None:
                worker.process.terminate()
            else:
                with suppress(OSError):
                    worker.connection.send(None)
        for worker in self._workers:
            worker.process.join(SHUTDOWN_SECONDS)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.connection.close()
            worker.process.close()
        self._workers.clear()

    def _give_tasks(self) -> None:
        """Give a task to every idle process, and start processes for further tasks."""
        for worker in self._workers:
            if worker.task is None:
                task = self._next_task()
                if task is None:
                    return
                self._send_task(worker, task)
        while len(self._workers) < self._max_workers:
            task = self._next_task()
            if task is None:
                return
            worker = _start_worker(self._work)
            self._workers.append(worker)
            self._send_task(worker, task)

    def _next_task(self) -> _Task[Item] | None:
        """Next task to give to a process, retries first; None if there is none now."""
        if self._retries:
            return self._retries.popleft()
        items = next(self._tasks, None)
        return None if items is None else _Task(items=items)

    def _send_task(self, worker: _Worker[Item], task: _Task[Item]) -> None:
        """Send a task to an idle process."""
        worker.task = task
        # A process that has died meanwhile is noticed when its answer is read.
        with suppress(OSError):
            worker.connection.send((task.items, task.deaths > 0))

    def _receive_report(self, worker: _Worker[Item]) -> Iterator[Report]:
        """Yield what a process answers: a report, or nothing when it has opened the work."""
        try:
            answer = worker.connection.recv()
        except (EOFError, OSError):
            yield from self._replace_dead_worker(worker)
            return
        if answer is None:
            worker.has_opened = True
            self._deaths_while_loading = 0
            return
        assert isinstance(answer, Report), "a process says nothing else"
        if answer.refusal:
            raise RilievoError(problem=Text(answer.refusal))
        worker.task = None
        yield answer

    def _replace_dead_worker(self, worker: _Worker[Item]) -> Iterator[Report]:
        """Remove a process that died, so that another one takes its place and its task.

        Yields a report with a failure if its only item has killed a process before.
        """
        task = worker.task
        assert task is not None, "only processes at work are listened to"
        self._workers.remove(worker)
        worker.process.join()
        exit_code = worker.process.exitcode
        worker.connection.close()
        worker.process.close()
        if not worker.has_opened:
            self._deaths_while_loading += 1
            if self._deaths_while_loading >= MAX_DEATHS_WHILE_LOADING:
                raise RilievoError(
                    problem=Text(
                        "processes die before they have loaded the model (exit code "
                        f"{exit_code}): is there memory for so many ",
                        OptionName("workers"),
                        "? (A script of your own calls this below if __name__ == '__main__')",
                    )
                )
            self._retries.append(task)
        elif task.deaths and len(task.items) == 1:
            yield Report(failures=(killed_twice_failure(self._work, task.items[0]),))
        else:
            self._retries += [_Task(items=(item,), deaths=task.deaths + 1) for item in task.items]


def _start_worker(work: Work[Any]) -> _Worker[Any]:
    """Start a process that opens the work."""
    # Forked processes would inherit locks that other threads hold.
    context = multiprocessing.get_context("spawn")
    connection, connection_of_child = context.Pipe()
    process = context.Process(
        target=_serve_tasks, args=(connection_of_child, work, VERSION), daemon=True
    )
    with signals.block_in_children():
        process.start()
    # Closed in this process, so that the end of the child is read as end of file.
    connection_of_child.close()
    return _Worker(process=process, connection=connection)


def _serve_tasks(connection: Connection, work: Work[Any], version: str) -> None:
    """Open the work and do the tasks that come through a pipe, until None comes.

    This runs in the child. It sends None when the work is opened, and a report for each task.
    """
    signals.ignore_ctrl_c()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        signals.install_handlers()
        do = open_work(work, version)
        connection.send(None)
        while (task := connection.recv()) is not None:
            items, again = task
            connection.send(do(items, again=again))
    except (BrokenPipeError, EOFError):
        pass
    except BaseException as error:
        # Modules whose import SIGTERM ends, such as onnxruntime, make an error of their own of it.
        if not signals.is_interruption(error):
            raise


def _end_with_parent() -> None:
    """End this process when the one that started it ends."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "only processes that were started for it serve"
    parent.join()
    os._exit(1)


def distribute_work(
    work: Work[Item],
    items: Iterable[Item],
    *,
    count: int,
    batch: BatchOptions,
    threads: int,
    device: str = "auto",
) -> Iterator[Report]:
    """Work on all items where the options say, and yield reports in any order.

    Args:
        work: Work that each process opens.
        items: Items.
        count: Number of items.
        batch: Number of processes, or Ray cluster.
        threads: Number of threads of each process.
        device: Device of the network, by which a process on Ray needs a GPU.

    Raises:
        RilievoError: If the work cannot be done at all.
    """
    if not count:
        return iter(())
    if batch.ray is not None:
        make_pool = load_service("ray-pool")
        work_on_ray = load_service("work-on-ray")
        gpus = 1 if device.startswith("cuda") else 0
        pool = make_pool(address=batch.ray, workers=batch.workers, threads=threads, gpus=gpus)
        return work_on_ray(work, items, count=count, pool=pool)
    if count == 1 and batch.workers is None:
        return _work_in_this_process(work, items)
    workers = min(batch.workers or 1, count)
    return work_in_processes(work, items, workers=workers, size=task_size(count, workers))


def _work_in_this_process(work: Work[Item], items: Iterable[Item]) -> Iterator[Report]:
    """Work on a single item without starting a process, which takes a second."""
    do = open_work(work, VERSION)
    for item in items:
        report = do((item,), again=False)
        if report.refusal:
            raise RilievoError(problem=Text(report.refusal))
        yield report


def threads_per_process(batch: BatchOptions, threads: int | None) -> int:
    """Number of threads of each process: what the user says, or an equal part of the cores.

    A process on a Ray cluster of other machines has one, because Ray gives it one core.
    """
    if threads is not None:
        return threads
    if batch.ray is None:
        return max(1, cores() // (batch.workers or 1))
    if batch.ray == LOCAL and batch.workers:
        return max(1, cores() // batch.workers)
    return 1
