"""Distribute work over processes, or over a Ray cluster.

``Work`` is sent to each process and opened there once. Opening it returns a function that works on
the items of a task and returns a ``Report``. A process that dies is replaced. The standard
``ProcessPoolExecutor`` cannot do that, because it ends all processes if one dies.
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

TaskFunction = Callable[..., "Report"]
"""Function that works on the items of a task. Its keyword ``is_retry`` says whether a process was
killed while it worked on them. If the function raises ``RilievoError``, the whole work ends."""

MAX_TASK_SIZE = 16
"""Maximum number of items in a task."""

MIN_TASKS_PER_PROCESS = 4
"""Minimum number of tasks for each process, so that all finish at about the same time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An item that failed, with the reason in one line.

    Attributes:
        shared_reason: The reason in words that do not name the item, if many items may fail for it;
            otherwise empty.
    """

    name: str
    reason: str
    shared_reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a process has done with the items of one task.

    Attributes:
        finished_before: Number of items that an earlier run had finished.
        incomplete: Number of items of which only a part could be read.
        refusal: Reason why the whole work has to end; empty if it does not.
    """

    done: int = 0
    finished_before: int = 0
    incomplete: int = 0
    failures: tuple[Failure, ...] = ()
    notes: tuple[str, ...] = ()
    refusal: str = ""
    times: RunTimes = field(default_factory=RunTimes)


@runtime_checkable
class Work(Protocol[Item_contra]):
    """Work on many items, which can be pickled and sent to processes."""

    def open(self) -> TaskFunction:
        """Load what the work needs, such as a model, and return the function that does it.

        Raises:
            RilievoError: If the work cannot be done at all.
        """
        ...

    def name(self, item: Item_contra) -> str:
        """Name of an item in messages."""
        ...


def open_work(work: Work[Item], version: str) -> TaskFunction:
    """Open work in this process, and turn any ``RilievoError`` into a report with a refusal.

    ``version`` is rilievo's version in the process that sent the work; it must be the same here.
    """
    run_task: TaskFunction | None = None
    refusal = (
        f"the worker has rilievo {VERSION}, but this machine has {version}: install the "
        "same version everywhere"
    )
    if version == VERSION:
        try:
            run_task = work.open()
        except RilievoError as error:
            refusal = Note(Text(error))

    def run_task_and_report(items: Sequence[Item], *, is_retry: bool) -> Report:
        """Work on the items of a task; an error of the whole work becomes a refusal."""
        if run_task is None:
            return Report(refusal=refusal)
        try:
            return run_task(items, is_retry=is_retry)
        except RilievoError as error:  # for example because the disk has become full
            return Report(refusal=Note(Text(error)))

    return run_task_and_report


def killed_twice_report(work: Work[Item], item: Item) -> Report:
    """Report an item as failed, because two processes were killed while they worked on it."""
    name = work.name(item)
    failure = Failure(
        name=name,
        reason=f"{name}: skipped, because its process was killed twice, the second time while it "
        "worked on this input alone; this input probably needs more memory than is free",
    )
    return Report(failures=(failure,))


def merge_reports(reports: Iterable[Report]) -> Report:
    """Merge reports into one, with the first refusal."""
    all_reports = list(reports)
    stopwatch = Stopwatch()
    for report in all_reports:
        stopwatch.add(report.times)
    refusals = [report.refusal for report in all_reports if report.refusal]
    return Report(
        done=sum(report.done for report in all_reports),
        finished_before=sum(report.finished_before for report in all_reports),
        incomplete=sum(report.incomplete for report in all_reports),
        failures=tuple(failure for report in all_reports for failure in report.failures),
        notes=tuple(note for report in all_reports for note in report.notes),
        refusal=refusals[0] if refusals else "",
        times=stopwatch.times,
    )


def task_size(count: int, workers: int) -> int:
    """Choose the number of items in a task, if ``workers`` processes work on ``count`` items."""
    return max(1, min(MAX_TASK_SIZE, count // (MIN_TASKS_PER_PROCESS * workers)))


def split_into_tasks(items: Iterable[Item], size: int) -> Iterator[tuple[Item, ...]]:
    """Yield the items in tasks of ``size`` items; the last task may have fewer."""
    task: list[Item] = []
    for item in items:
        task.append(item)
        if len(task) == size:
            yield tuple(task)
            task = []
    if task:
        yield tuple(task)


MAX_DEATHS_WHILE_LOADING = 3
"""The work is given up if so many processes in a row die while they open it."""

SHUTDOWN_SECONDS = 20.0
"""Time that a process has to complete its writes, after it was told to stop, until it is killed
[s]."""


_WORK_IS_OPEN = None
"""First message of a process, after it has opened the work. All others are reports."""

_NO_MORE_TASKS = None
"""Last message to a process, which then ends. All others are tasks: items, and whether they are
retried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task(Generic[Item]):
    """Items for one process, and the number of processes that have died while working on them."""

    items: tuple[Item, ...]
    death_count: int = 0


@dataclass(slots=True, kw_only=True)
class _Worker(Generic[Item]):
    """A process, the pipe to it, its task (None if it is idle), and whether it opened the work."""

    process: SpawnProcess
    connection: Connection
    task: _Task[Item] | None = None
    has_opened: bool = False


def work_in_processes(
    work: Work[Item], items: Iterable[Item], *, workers: int, size: int
) -> Iterator[Report]:
    """Work on all items in several processes, and yield a report when a task ends.

    If a process is killed, its items are tried again, each in a task of its own.

    ``size`` is the number of items in a task. Items are taken when a process needs them.

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
            self._assign_tasks()
            busy_workers = {
                worker.connection: worker for worker in self._workers if worker.task is not None
            }
            if not busy_workers:
                return
            for connection in wait(list(busy_workers)):
                assert isinstance(connection, Connection), "only connections are waited for"
                yield from self._receive_report(busy_workers[connection])

    def close(self) -> None:
        """Stop all processes, and kill those that do not end in time."""
        for worker in self._workers:
            if worker.task is not None:
                worker.process.terminate()
            else:
                with suppress(OSError):
                    worker.connection.send(_NO_MORE_TASKS)
        for worker in self._workers:
            worker.process.join(SHUTDOWN_SECONDS)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.connection.close()
            worker.process.close()
        self._workers.clear()

    def _assign_tasks(self) -> None:
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
        """Return the next task, retries first; None if there is none."""
        if self._retries:
            return self._retries.popleft()
        items = next(self._tasks, None)
        return None if items is None else _Task(items=items)

    def _send_task(self, worker: _Worker[Item], task: _Task[Item]) -> None:
        """Send a task to an idle process."""
        worker.task = task
        # If the process has died, sending fails; _receive_report will notice and replace it.
        with suppress(OSError):
            worker.connection.send((task.items, task.death_count > 0))

    def _receive_report(self, worker: _Worker[Item]) -> Iterator[Report]:
        """Receive a message from a process, and yield it if it is a report.

        If the process has died, it is replaced.
        """
        try:
            message = worker.connection.recv()
        except (EOFError, OSError):
            yield from self._replace_dead_worker(worker)
            return
        if message is _WORK_IS_OPEN:
            worker.has_opened = True
            self._deaths_while_loading = 0
            return
        assert isinstance(message, Report), "processes send _WORK_IS_OPEN and reports only"
        if message.refusal:
            raise RilievoError(problem=Text(message.refusal))
        worker.task = None
        yield message

    def _replace_dead_worker(self, worker: _Worker[Item]) -> Iterator[Report]:
        """Remove a process that died, and queue its items for another one.

        Each item is tried again in a task of its own. An item that was alone and had killed a
        process before is reported as failed instead.

        Raises:
            RilievoError: If several processes in a row have died while they opened the work.
        """
        task = worker.task
        assert task is not None, "reports() waits for busy processes only"
        self._workers.remove(worker)
        exit_code = _release_dead_process(worker)
        died_before_task = not worker.has_opened
        if died_before_task:
            self._count_death_while_loading(exit_code)
            self._retries.append(task)
            return
        was_retried_alone = len(task.items) == 1 and task.death_count > 0
        if was_retried_alone:
            yield killed_twice_report(self._work, task.items[0])
            return
        death_count = task.death_count + 1
        self._retries += [_Task(items=(item,), death_count=death_count) for item in task.items]

    def _count_death_while_loading(self, exit_code: int | None) -> None:
        """Count a process that died while it opened the work; give up if there are too many."""
        self._deaths_while_loading += 1
        if self._deaths_while_loading < MAX_DEATHS_WHILE_LOADING:
            return
        raise RilievoError(
            problem=Text(
                "the processes end before they have loaded the model (exit code "
                f"{exit_code}); if memory is short, give fewer ",
                OptionName("workers"),
                "; if your own script calls rilievo, put the call under if __name__ == '__main__'",
            )
        )


def _release_dead_process(worker: _Worker[Any]) -> int | None:
    """Release the process and the pipe of a worker that died; return its exit code."""
    worker.process.join()
    exit_code = worker.process.exitcode
    worker.connection.close()
    worker.process.close()
    return exit_code


def _start_worker(work: Work[Any]) -> _Worker[Any]:
    """Start a process that opens the work."""
    # Forked processes would inherit locks that other threads hold.
    context = multiprocessing.get_context("spawn")
    connection, child_connection = context.Pipe()
    process = context.Process(
        target=_serve_tasks, args=(child_connection, work, VERSION), daemon=True
    )
    with signals.block_in_children():
        process.start()
    # Once this copy is closed, the death of the child shows as end of file.
    child_connection.close()
    return _Worker(process=process, connection=connection)


def _serve_tasks(connection: Connection, work: Work[Any], version: str) -> None:
    """Run in a child process: open the work, and do the tasks that come through a pipe.

    It sends ``_WORK_IS_OPEN`` once, and then a report for each task, until it receives
    ``_NO_MORE_TASKS``.
    """
    signals.ignore_ctrl_c()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        signals.install_handlers()
        run_task = open_work(work, version)
        connection.send(_WORK_IS_OPEN)
        while (task := connection.recv()) is not _NO_MORE_TASKS:
            items, is_retry = task
            connection.send(run_task(items, is_retry=is_retry))
    except (BrokenPipeError, EOFError):
        pass  # The parent has closed the pipe.
    except BaseException as error:
        # If SIGTERM arrives during an import, some modules, such as onnxruntime, turn the
        # interruption into an error of their own.
        if not signals.is_interruption(error):
            raise


def _end_with_parent() -> None:
    """Wait in a thread until the parent process ends, and then end this process."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "this runs in a child process"
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
    """Work on all items in processes or on a Ray cluster, and yield reports in any order.

    ``count`` is the number of items. If ``device`` is a GPU, each process on Ray gets one.

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
    run_task = open_work(work, VERSION)
    for item in items:
        report = run_task((item,), is_retry=False)
        if report.refusal:
            raise RilievoError(problem=Text(report.refusal))
        yield report


def threads_per_process(batch: BatchOptions, threads: int | None) -> int:
    """Choose the number of threads of each process: the user's, or an equal part of the cores.

    On a Ray cluster of other machines it is 1, because Ray gives each process one core.
    """
    if threads is not None:
        return threads
    if batch.ray is None:
        return max(1, cores() // (batch.workers or 1))
    if batch.ray == LOCAL and batch.workers:
        return max(1, cores() // batch.workers)
    return 1
