"""Distribution of work over processes, or a Ray cluster.

A dead process is replaced; ``ProcessPoolExecutor`` would end all. ``Work`` is sent and opened once;
it returns a function from inputs to a ``Report``.
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
from rilievo.predicting.summary import RunTimes, Stages
from rilievo.system import signals
from rilievo.version import VERSION

Item = TypeVar("Item")
Item_contra = TypeVar("Item_contra", contravariant=True)

Do = Callable[..., "Report"]
"""Function of inputs and ``again``, whether a killed process had them; raises ``RilievoError`` at
the end of all.
"""

MOST_AT_ONCE = 16
"""Most inputs in a task."""

TASKS_EACH = 4
"""Least tasks for a process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Input that failed, and why in one line."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Result of one task.

    Attributes:
        finished_before: Inputs of an earlier run.
        notes: Warnings.
        refusal: Reason why nothing can be done.
    """

    done: int = 0
    finished_before: int = 0
    failures: tuple[Failure, ...] = ()
    notes: tuple[str, ...] = ()
    refusal: str = ""
    spent: RunTimes = field(default_factory=RunTimes)


@runtime_checkable
class Work(Protocol[Item_contra]):
    """Picklable work on every input."""

    def open(self) -> Do:
        """Load its state; ``RilievoError`` if it cannot run."""
        ...

    def name(self, item: Item_contra) -> str:
        """Name of an input in messages."""
        ...


def open_work(work: Work[Item], version: str) -> Do:
    """Open work of the same ``version``; refusals are reports."""
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

    def reported(items: Sequence[Item], *, again: bool) -> Report:
        if do is None:
            return Report(refusal=refusal)
        try:
            return do(items, again=again)
        except RilievoError as error:  # such as a disk that is full by now
            return Report(refusal=Note(Text(error)))

    return reported


def killed_twice_failure(work: Work[Item], item: Item) -> Failure:
    """Failure of an input that killed two processes."""
    name = work.name(item)
    return Failure(
        name=name,
        reason=f"{name}: the process at work on it was killed twice, the second time with nothing "
        "else to do: too little memory? It is skipped",
    )


def merge_reports(reports: Iterable[Report]) -> Report:
    """Merge reports; the first refusal stays."""
    every, stages = tuple(reports), Stages()
    for report in every:
        stages.add(report.spent)
    return Report(
        done=sum(report.done for report in every),
        finished_before=sum(report.finished_before for report in every),
        failures=tuple(failure for report in every for failure in report.failures),
        notes=tuple(note for report in every for note in report.notes),
        refusal=next((report.refusal for report in every if report.refusal), ""),
        spent=stages.spent,
    )


def task_size(count: int, workers: int) -> int:
    """Number of inputs in a task."""
    return max(1, min(MOST_AT_ONCE, count // (TASKS_EACH * workers)))


def split_into_tasks(items: Iterable[Item], size: int) -> Iterator[tuple[Item, ...]]:
    """Group inputs in order."""
    task: list[Item] = []
    for item in items:
        task.append(item)
        if len(task) == size:
            yield tuple(task)
            task = []
    if task:
        yield tuple(task)


DEATHS_AT_START = 3
"""Consecutive early deaths that end the work."""

PATIENCE = 20.0
"""Time for writes before a kill [s]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task(Generic[Item]):
    items: tuple[Item, ...]
    deaths: int = 0


@dataclass(slots=True, kw_only=True)
class _Worker(Generic[Item]):
    process: SpawnProcess
    line: Connection
    task: _Task[Item] | None = None
    ready: bool = False


def work_in_processes(
    work: Work[Item], items: Iterable[Item], *, workers: int, size: int
) -> Iterator[Report]:
    """Process every input lazily; yield a report as each task ends.

    Inputs of a killed process are retried alone.

    Raises:
        RilievoError: If the work cannot run at all.
    """
    crew = _WorkerPool(work, split_into_tasks(items, size), workers)
    try:
        yield from crew.reports()
    finally:
        crew.close()


class _WorkerPool(Generic[Item]):
    def __init__(self, work: Work[Item], tasks: Iterator[tuple[Item, ...]], workers: int) -> None:
        self._work, self._tasks, self._most = work, tasks, workers
        self._again: deque[_Task[Item]] = deque()
        self._workers: list[_Worker[Item]] = []
        self._deaths_at_start = 0

    def reports(self) -> Iterator[Report]:
        while True:
            self._give_tasks()
            lines = {worker.line: worker for worker in self._workers if worker.task is not None}
            if not lines:
                return
            for line in wait(list(lines)):
                assert isinstance(line, Connection), "nothing else is waited for"
                yield from self._receive_report(lines[line])

    def close(self) -> None:
        for worker in self._workers:
            if worker.task is not None:
                worker.process.terminate()
            else:
                with suppress(OSError):
                    worker.line.send(None)
        for worker in self._workers:
            worker.process.join(PATIENCE)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.line.close()
            worker.process.close()
        self._workers.clear()

    def _give_tasks(self) -> None:
        for worker in self._workers:
            if worker.task is None and (task := self._next_task()) is not None:
                self._send_task(worker, task)
        while len(self._workers) < self._most and (task := self._next_task()) is not None:
            self._workers.append(_start_worker(self._work))
            self._send_task(self._workers[-1], task)

    def _next_task(self) -> _Task[Item] | None:
        if self._again:
            return self._again.popleft()
        items = next(self._tasks, None)
        return None if items is None else _Task(items=items)

    def _send_task(self, worker: _Worker[Item], task: _Task[Item]) -> None:
        worker.task = task
        # A process that has died meanwhile is noticed when its answer is read.
        with suppress(OSError):
            worker.line.send((task.items, task.deaths > 0))

    def _receive_report(self, worker: _Worker[Item]) -> Iterator[Report]:
        try:
            answer = worker.line.recv()
        except (EOFError, OSError):
            yield from self._end_dead_worker(worker)
            return
        if answer is None:
            worker.ready, self._deaths_at_start = True, 0
            return
        assert isinstance(answer, Report), "a process says nothing else"
        if answer.refusal:
            raise RilievoError(problem=Text(answer.refusal))
        worker.task = None
        yield answer

    def _end_dead_worker(self, worker: _Worker[Item]) -> Iterator[Report]:
        """Remove a dead process; its task is tried once more."""
        task = worker.task
        assert task is not None, "only processes at work are listened to"
        self._workers.remove(worker)
        worker.process.join()
        code = worker.process.exitcode
        worker.line.close()
        worker.process.close()
        if not worker.ready:
            self._deaths_at_start += 1
            if self._deaths_at_start >= DEATHS_AT_START:
                raise RilievoError(
                    problem=Text(
                        "processes die before they have loaded the model (exit code "
                        f"{code}): is there memory for so many ",
                        OptionName("workers"),
                        "? (A script of your own calls this below if __name__ == '__main__')",
                    )
                )
            self._again.append(task)
        elif task.deaths and len(task.items) == 1:
            yield Report(failures=(killed_twice_failure(self._work, task.items[0]),))
        else:
            self._again += [_Task(items=(item,), deaths=task.deaths + 1) for item in task.items]


def _start_worker(work: Work[Any]) -> _Worker[Any]:
    # Forked processes would inherit locks that other threads hold.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve_tasks, args=(theirs, work, VERSION), daemon=True)
    with signals.block_in_children():
        process.start()
    # Closed here, so that the end of the process is read as end of file.
    theirs.close()
    return _Worker(process=process, line=ours)


def _serve_tasks(line: Connection, work: Work[Any], version: str) -> None:
    signals.ignore_ctrl_c()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        signals.install_handlers()
        do = open_work(work, version)
        line.send(None)
        while (task := line.recv()) is not None:
            items, again = task
            line.send(do(items, again=again))
    except (BrokenPipeError, EOFError):
        pass
    except BaseException as error:
        # Modules whose import SIGTERM ends, such as onnxruntime, make an error of their own of it.
        if not signals.is_interruption(error):
            raise


def _end_with_parent() -> None:
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
    """Process every input, reporting in any order.

    Raises:
        RilievoError: If the work cannot run at all.
    """
    if not count:
        return iter(())
    if batch.ray is None:
        if count == 1 and batch.workers is None:
            return _work_here(work, items)
        workers = min(batch.workers or 1, count)
        size = task_size(count, workers)
        return work_in_processes(work, items, workers=workers, size=size)
    make_pool = load_service("ray-pool")
    work_on_ray = load_service("work-on-ray")
    gpus = 1 if device.startswith("cuda") else 0
    pool = make_pool(address=batch.ray, workers=batch.workers, threads=threads, gpus=gpus)
    return work_on_ray(work, items, count=count, pool=pool)


def _work_here(work: Work[Item], items: Iterable[Item]) -> Iterator[Report]:
    """Process the only input here; a process takes a second."""
    do = open_work(work, VERSION)
    for item in items:
        report = do((item,), again=False)
        if report.refusal:
            raise RilievoError(problem=Text(report.refusal))
        yield report


def threads_per_process(batch: BatchOptions, threads: int | None) -> int:
    """Threads of a process."""
    if threads is not None:
        return threads
    if batch.ray is None:
        return max(1, cores() // (batch.workers or 1))
    here = batch.ray == LOCAL and batch.workers is not None
    return max(1, cores() // batch.workers) if here and batch.workers else 1
