"""Work on a Ray cluster.

Ray Data sends tasks to actors, which are processes on any machine of the cluster, and replaces
actors that die. Each actor opens the work once, for example loads a model, and then runs tasks. The
ledger, an actor that outlives the others, records which tasks have begun, so that an input that
kills its process twice is given up.
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

_CONNECT_SECONDS = 10.0
"""Time-out of the first connection [s]."""
_QUIET_ENVIRONMENT = {
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
"""Variables that Ray reads at import. Without them it prints progress, warnings and hints."""
_MEMORY_ERRORS = ("OutOfMemory", "OutOfDisk", "ObjectStoreFull", "object store", "MemoryError")
"""Parts of the messages by which Ray says that memory or disk are full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Where actors run, and how many.

    Attributes:
        address: Address of the cluster, or "local" for this machine.
        workers: Number of actors; None for one for every ``threads`` cores of the cluster.
        threads: Cores of an actor.
        gpus: GPUs of an actor.
    """

    address: str
    workers: int | None = None
    threads: int = 1
    gpus: int = 0


def work_on_ray(
    work: Work[Item], items: Iterable[Item], *, count: int, pool: Pool
) -> Iterator[Report]:
    """Process inputs on a Ray cluster, and yield a report as each task ends.

    Args:
        work: Work to do on each input.
        items: Inputs.
        count: Number of inputs.
        pool: Cluster and number of actors.

    Raises:
        RilievoError: If Ray or the cluster is missing, rilievo is not installed on its machines, or
            the work cannot run.
    """
    ray, progress = _import_ray(), _Progress(count)
    with _message_if_killed(progress), _silence_compiled_part():
        _connect_to_cluster(ray, pool)
        try:
            workers = _number_of_workers(ray, pool, count)
            tasks = split_into_tasks(items, task_size(count, workers))
            for report in _run_tasks(ray, work, tasks, workers, pool, progress):
                progress.add(report)
                yield report
        finally:
            # A cluster that has failed cannot always be left in order; its failure was reported.
            with suppress(Exception):
                ray.shutdown()


class _Progress:
    """Number of inputs that are done, in a sentence for the case that the cluster fails."""

    def __init__(self, count: int) -> None:
        self._count, self._done = count, 0
        self.on_change: Callable[[], None] = lambda: None

    def add(self, report: Report) -> None:
        """Count the inputs of a finished task."""
        self._done += report.done + report.finished_before
        self.on_change()

    def __str__(self) -> str:
        return (
            f"{self._done} of {self._count} inputs are done and kept, and the same command goes on "
            "from there"
        )


_PRINT_LAST_LINE = """\
import signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the command
line = ""
for line in sys.stdin:
    pass
sys.stderr.write(line.lstrip())
"""
"""Program that waits for the end of its input, and prints the last line of it."""


@contextmanager
def _message_if_killed(progress: _Progress) -> Iterator[None]:
    """Print a message if Ray ends this process, as its compiled part does when a node dies.

    This process writes the message into the pipe of another one, which prints it when this process
    ends without having replaced it by an empty line.
    """
    command = [sys.executable, "-S", "-c", _PRINT_LAST_LINE]
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
def _silence_compiled_part() -> Iterator[None]:
    """Discard what Ray's compiled part prints, which ignores the log level.

    The file descriptor of standard error is discarded, and Python's own messages go to a copy.
    """
    original = sys.stderr
    try:
        duplicate = os.dup(original.fileno())
    except (AttributeError, OSError, ValueError):
        # Standard error is closed, or is not a file of the operating system.
        yield
        return
    with open(duplicate, "w", buffering=1, encoding="utf-8", errors="backslashreplace") as stream:
        descriptor, null = original.fileno(), os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, descriptor)
        os.close(null)
        sys.stderr = stream
        try:
            yield
        finally:
            sys.stderr = original
            os.dup2(duplicate, descriptor)


def _import_ray() -> Any:
    for name, value in _QUIET_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtraError("", "cluster", option="ray") from error
    return ray


def _connect_to_cluster(ray: Any, pool: Pool) -> None:
    """Connect to a Ray cluster, or start one on this machine."""
    _refuse_silent_address(pool.address)
    local_options: dict[str, Any] = {}
    if pool.address == LOCAL:
        local_options["include_dashboard"] = False
        if pool.workers:
            local_options["num_cpus"] = max(1, pool.workers * pool.threads)
    try:
        ray.init(
            address=pool.address,
            logging_level=logging.ERROR,
            log_to_driver=False,
            **local_options,
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
    """Raise an error if nothing answers at an address, which Ray would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdecimal()):
        return
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise RilievoError(problem=_connection_failure_text(address, error)) from error


def _connection_failure_text(address: str, error: Exception) -> Text:
    """Say why a cluster cannot be reached, and what to do."""
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
    """Number of actors that the cluster has room for, at most one for each input."""
    resources = ray.cluster_resources()
    cores, gpus = resources.get("CPU", 0), resources.get("GPU", 0)
    max_workers = int(cores) // pool.threads
    if pool.gpus:
        max_workers = min(max_workers, int(gpus) // pool.gpus)
    if max_workers < 1:
        raise RilievoError(
            problem=Text(
                OptionName("ray"),
                f" {pool.address}: the cluster has "
                f"{cores:g} cores and {gpus:g} GPUs, "
                f"too few for one process with {pool.threads} cores and "
                f"{pool.gpus} GPUs: lower ",
                OptionName("threads"),
                ", or choose another ",
                OptionName("device"),
            )
        )
    return max(1, min(pool.workers or max_workers, max_workers, count))


def _run_tasks(
    ray: Any,
    work: Work[Item],
    tasks: Iterator[tuple[Item, ...]],
    workers: int,
    pool: Pool,
    progress: _Progress,
) -> Iterator[Report]:
    """Run tasks on actors, and yield their reports."""
    rows = [{"number": number, "task": pickle.dumps(task)} for number, task in enumerate(tasks)]
    if not rows:
        return
    ledger = ray.remote(num_cpus=0, max_restarts=-1)(Ledger).remote()
    try:
        results = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            Actor,
            fn_constructor_kwargs={"work": work, "version": VERSION, "ledger": ledger},
            compute=ray.data.ActorPoolStrategy(size=workers),
            batch_size=None,
            num_cpus=pool.threads,
            **({"num_gpus": pool.gpus} if pool.gpus else {}),
        )
        for row in results.iter_rows():
            report = pickle.loads(row["report"])
            assert isinstance(report, Report), "an actor returns nothing else"
            if report.refusal:
                raise RilievoError(problem=Text(report.refusal))
            yield report
    except (ray.exceptions.RayError, ConnectionError, TimeoutError) as error:
        raise RilievoError(problem=_work_failure_text(pool.address, error, progress)) from error


def _work_failure_text(address: str, error: Exception, progress: _Progress) -> Text:
    """Say why a cluster failed during the work, what to do, and what is done already."""
    message, cluster = str(error), Text(OptionName("ray"), f" {printable(address)}")
    if "No module named" in message:
        module = message.partition("No module named")[2].split()[0].strip("'\".,")
        return Text(
            cluster,
            f": the machines of the cluster have no '{printable(module)}': install rilievo "
            "there as here, in the environment that Ray runs in",
        )
    if any(word in message for word in _MEMORY_ERRORS):
        return Text(
            cluster,
            f": the cluster ran out of memory ({type(error).__name__}): use fewer ",
            OptionName("workers"),
            f", or machines with more; {progress}",
        )
    return Text(
        cluster,
        f": the cluster failed ({type(error).__name__}: {reason(error)}); {progress}",
    )


class Actor:
    """Process of the cluster that opens the work once, and then runs tasks."""

    def __init__(self, work: Work[Any], version: str, ledger: Any) -> None:
        import ray

        self._get, self._ledger, self._work = ray.get, ledger, work
        self._run = open_work(work, version)

    def __call__(self, rows: Mapping[str, np.ndarray]) -> dict[str, list[bytes]]:
        """Run the tasks of a block of rows; return their pickled reports."""
        reports = []
        for number, task in zip(rows["number"], rows["task"], strict=True):
            report = self._run_task(int(number), pickle.loads(task))
            reports.append(pickle.dumps(report))
        return {"report": reports}

    def _run_task(self, number: int, items: tuple[Any, ...]) -> Report:
        """Run the inputs of a task; one by one if an earlier run of the task was lost."""
        if self._get(self._ledger.begin.remote(number)):
            return self._run(items, again=False)
        return merge_reports(self._run_alone(f"{number}/{i}", item) for i, item in enumerate(items))

    def _run_alone(self, key: str, item: Any) -> Report:
        """Run one input, or give it up if it already killed a process while it ran alone."""
        if not self._get(self._ledger.begin_alone.remote(key)):
            failure: Failure = killed_twice_failure(self._work, item)
            return Report(failures=(failure,))
        report = self._run((item,), again=True)
        self._get(self._ledger.end_alone.remote(key))
        return report


class Ledger:
    """Record of the tasks and inputs that have begun, in an actor that outlives the others."""

    def __init__(self) -> None:
        self._started_tasks: set[int] = set()
        self._running_alone: set[str] = set()

    def begin(self, number: int) -> bool:
        """Record that a task begins; return whether it does so for the first time."""
        is_first = number not in self._started_tasks
        self._started_tasks.add(number)
        return is_first

    def begin_alone(self, key: str) -> bool:
        """Record that an input begins alone; return whether no earlier run of it was lost."""
        is_first = key not in self._running_alone
        self._running_alone.add(key)
        return is_first

    def end_alone(self, key: str) -> None:
        """Record that an input has ended."""
        self._running_alone.discard(key)
