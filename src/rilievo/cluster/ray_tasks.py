"""Work on a Ray cluster: Ray Data sends tasks to actors and replaces dead ones.

An actor opens the work once. Ray sends more only as tasks finish. The ledger, an actor that
outlives the others, records started tasks.
"""

import logging
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from rilievo.errors import MissingExtraError, RilievoError
from rilievo.errors.messages import OptionName, Text
from rilievo.io.files.limits import reason
from rilievo.io.files.names import printable
from rilievo.predicting.options import LOCAL
from rilievo.predicting.work_processes import (
    Failure,
    Item,
    Report,
    Work,
    killed_twice_failure,
    merge_reports,
    open_work,
    split_into_tasks,
    task_size,
)
from rilievo.version import VERSION

# Timeout of the first connection [s].
PATIENCE = 10.0

# Ray reads these at import. Without them it prints progress, warnings and hints between our lines.
_QUIET = {
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
_MEMORY = ("OutOfMemory", "OutOfDisk", "ObjectStoreFull", "object store", "MemoryError")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Requested actors; ``workers`` is by default one for every ``threads`` cores."""

    address: str
    workers: int | None = None
    threads: int = 1
    gpus: int = 0


def work_on_ray(
    work: Work[Item], items: Iterable[Item], *, count: int, pool: Pool
) -> Iterator[Report]:
    """Process every input, and yield a report as each task ends.

    Raises:
        RilievoError: If there is no Ray, cluster or rilievo there, or the work cannot run.
    """
    ray, progress = _import_ray(), _Progress(count)
    with _line_if_process_is_ended(progress), _silence_natives():
        _connect_to_cluster(ray, pool)
        try:
            workers = _number_of_workers(ray, pool, count)
            tasks = split_into_tasks(items, task_size(count, workers))
            for report in _run_tasks(ray, work, tasks, workers, pool, progress):
                progress.add(report)
                yield report
        finally:
            # A cluster that has failed cannot always be left in order, and has been told of.
            with suppress(Exception):
                ray.shutdown()


class _Progress:
    """Inputs that are done, and what becomes of them if the cluster fails."""

    def __init__(self, count: int) -> None:
        self._count, self._done = count, 0
        self.on_change: Callable[[], None] = lambda: None

    def add(self, report: Report) -> None:
        """Count the inputs of a task."""
        self._done += report.done + report.finished_before
        self.on_change()

    def __str__(self) -> str:
        return (
            f"{self._done} of {self._count} inputs are done and kept, and the same command goes on "
            "from there"
        )


_LAST_LINE_OF_INPUT = """\
import signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the command
line = ""
for line in sys.stdin:
    pass
sys.stderr.write(line.lstrip())
"""


@contextmanager
def _line_if_process_is_ended(progress: _Progress) -> Iterator[None]:
    """Print a line if Ray ends this process, as its compiled part does when a node dies.

    Another process waits for the end of this one, of which it is given the last line.
    """
    command = [sys.executable, "-S", "-c", _LAST_LINE_OF_INPUT]
    with subprocess.Popen(command, stdin=subprocess.PIPE, text=True, encoding="utf-8") as watcher:
        assert watcher.stdin is not None, "it is a pipe"
        lines = watcher.stdin

        def write_line(line: str) -> None:
            with suppress(OSError):
                lines.write(f"{line}\n")
                lines.flush()

        def write_progress() -> None:
            write_line(f"rilievo: the command was killed, as Ray does if a node dies; {progress}")

        progress.on_change = write_progress
        write_progress()
        try:
            yield
        finally:
            write_line("")
            with suppress(OSError):
                lines.close()


@contextmanager
def _silence_natives() -> Iterator[None]:
    """Silence Ray's compiled part, which ignores the log level."""
    ours = sys.stderr
    try:
        duplicate = os.dup(ours.fileno())
    except (AttributeError, OSError, ValueError):
        # Standard error is closed, or is not a file of the operating system.
        yield
        return
    with open(duplicate, "w", buffering=1, encoding="utf-8", errors="backslashreplace") as stream:
        descriptor, nowhere = ours.fileno(), os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)
        sys.stderr = stream
        try:
            yield
        finally:
            sys.stderr = ours
            os.dup2(duplicate, descriptor)


def _import_ray() -> Any:
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtraError("", "cluster", option="ray") from error
    return ray


def _connect_to_cluster(ray: Any, pool: Pool) -> None:
    _refuse_silent_address(pool.address)
    here = {"num_cpus": max(1, (pool.workers or 0) * pool.threads)} if pool.workers else {}
    try:
        ray.init(
            address=pool.address,
            logging_level=logging.ERROR,
            log_to_driver=False,
            **({"include_dashboard": False, **here} if pool.address == LOCAL else {}),
        )
    except Exception as error:
        # Ray raises a ConnectionError, a TimeoutError, a RuntimeError or a ValueError of its own.
        raise RilievoError(problem=_connection_failure_text(pool.address, error)) from error
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False


def _refuse_silent_address(address: str) -> None:
    """Check that an address answers; Ray would retry for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdecimal()):
        return
    try:
        socket.create_connection((host, int(port)), timeout=PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise RilievoError(problem=_connection_failure_text(address, error)) from error


def _connection_failure_text(address: str, error: Exception) -> Text:
    message = " ".join(str(error).split())
    if address == LOCAL:
        return Text(
            OptionName("ray", LOCAL),
            f": Ray cannot be started on this machine ({reason(error)}): use ",
            OptionName("workers"),
            " without ",
            OptionName("ray"),
        )
    if "ersion mismatch" in message:
        start = message.index("ersion mismatch") - 1
        return Text(
            OptionName("ray"),
            f" {printable(address)}: the cluster has another Ray or Python "
            f"than this machine ({printable(message[start : start + 200])}): "
            "install the same everywhere",
        )
    return Text(
        OptionName("ray"),
        f" {printable(address)}: no Ray cluster can be reached there "
        f"({reason(error)}): start one with 'ray start --head', or use ",
        OptionName("ray", "local"),
    )


def _number_of_workers(ray: Any, pool: Pool, count: int) -> int:
    there = ray.cluster_resources()
    fit = int(there.get("CPU", 0)) // pool.threads
    if pool.gpus:
        fit = min(fit, int(there.get("GPU", 0)) // pool.gpus)
    if fit < 1:
        raise RilievoError(
            problem=Text(
                OptionName("ray"),
                f" {pool.address}: the cluster has "
                f"{there.get('CPU', 0):g} cores and {there.get('GPU', 0):g} GPUs, "
                f"too few for one process with {pool.threads} cores and "
                f"{pool.gpus} GPUs: lower ",
                OptionName("threads"),
                ", or choose another ",
                OptionName("device"),
            )
        )
    return max(1, min(pool.workers or fit, fit, count))


def _run_tasks(
    ray: Any,
    work: Work[Item],
    tasks: Iterator[tuple[Item, ...]],
    workers: int,
    pool: Pool,
    progress: _Progress,
) -> Iterator[Report]:
    rows = [{"number": number, "task": pickle.dumps(task)} for number, task in enumerate(tasks)]
    if not rows:
        return
    ledger = ray.remote(num_cpus=0, max_restarts=-1)(Ledger).remote()
    try:
        done = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            Actor,
            fn_constructor_kwargs={"work": work, "version": VERSION, "ledger": ledger},
            compute=ray.data.ActorPoolStrategy(size=workers),
            batch_size=None,
            num_cpus=pool.threads,
            **({"num_gpus": pool.gpus} if pool.gpus else {}),
        )
        for row in done.iter_rows():
            report = pickle.loads(row["report"])
            assert isinstance(report, Report), "an actor answers nothing else"
            if report.refusal:
                raise RilievoError(problem=Text(report.refusal))
            yield report
    except (ray.exceptions.RayError, ConnectionError, TimeoutError) as error:
        raise RilievoError(problem=_work_failure_text(pool.address, error, progress)) from error


def _work_failure_text(address: str, error: Exception, progress: _Progress) -> Text:
    message, where = str(error), Text(OptionName("ray"), f" {printable(address)}")
    if "No module named" in message:
        module = message.partition("No module named")[2].split()[0].strip("'\".,")
        return Text(
            where,
            f": the machines of the cluster have no '{printable(module)}': install rilievo "
            "there as here, in the environment that Ray runs in",
        )
    if any(word in message for word in _MEMORY):
        return Text(
            where,
            f": the cluster ran out of memory ({type(error).__name__}): use fewer ",
            OptionName("workers"),
            f", or machines with more; {progress}",
        )
    return Text(
        where,
        f": the cluster failed ({type(error).__name__}: {reason(error)}); {progress}",
    )


class Actor:
    """Process of the pool, which opens the work once."""

    def __init__(self, work: Work[Any], version: str, ledger: Any) -> None:
        import ray

        self._get, self._ledger, self._work = ray.get, ledger, work
        self._run = open_work(work, version)

    def __call__(self, rows: Mapping[str, np.ndarray]) -> dict[str, list[bytes]]:
        """Run a block's tasks; return pickled reports."""
        answers = []
        for number, packed in zip(rows["number"], rows["task"], strict=True):
            report = self._run_task(int(number), pickle.loads(packed))
            answers.append(pickle.dumps(report))
        return {"report": answers}

    def _run_task(self, number: int, items: tuple[Any, ...]) -> Report:
        """Run items together, or alone after a lost run."""
        if self._get(self._ledger.begin.remote(number)):
            return self._run(items, again=False)
        return merge_reports(self._run_alone(f"{number}/{i}", item) for i, item in enumerate(items))

    def _run_alone(self, key: str, item: Any) -> Report:
        """Run an input, unless its run was lost twice."""
        if not self._get(self._ledger.begin_alone.remote(key)):
            failure: Failure = killed_twice_failure(self._work, item)
            return Report(failures=(failure,))
        report = self._run((item,), again=True)
        self._get(self._ledger.end_alone.remote(key))
        return report


class Ledger:
    """Record of started tasks and inputs, which outlives workers."""

    def __init__(self) -> None:
        self._begun: set[int] = set()
        self._run_alone: set[str] = set()

    def begin(self, number: int) -> bool:
        """Whether the task starts for the first time; records it."""
        first = number not in self._begun
        self._begun.add(number)
        return first

    def begin_alone(self, key: str) -> bool:
        """Whether no run of the input alone was left unfinished."""
        first = key not in self._run_alone
        self._run_alone.add(key)
        return first

    def end_alone(self, key: str) -> None:
        """Record that the input finished."""
        self._run_alone.discard(key)
