"""Work on a Ray cluster.

Ray Data sends tasks to actors, which are processes on any machine of the cluster, and replaces
actors that die. Each actor opens the work once (for example, it loads a model) and then runs tasks.
The ledger, an actor that outlives the others, records which tasks have begun, so that an input that
kills its process twice is given up.
"""

import logging
import os
import pickle
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from rilievo.errors import MissingExtraError, RilievoError
from rilievo.errors.messages import OptionName, Text, count_text
from rilievo.io.files.limits import reason
from rilievo.io.files.names import printable
from rilievo.predicting.options import LOCAL
from rilievo.predicting.work_processes import (
    Item,
    Report,
    Work,
    killed_twice_report,
    merge_reports,
    open_work,
    split_into_tasks,
    task_size,
)
from rilievo.version import VERSION

_CONNECT_SECONDS = 10.0
"""Time-out of the first connection [s]."""
_MAX_THREAD_SECONDS = 10.0
"""Longest wait for the threads of Ray Data to end [s]."""
_QUIET_ENVIRONMENT = {
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
"""Variables that Ray reads at import. Without them, it prints progress, warnings and hints."""
_MEMORY_ERRORS = ("OutOfMemory", "OutOfDisk", "ObjectStoreFull", "object store", "MemoryError")
"""Words in Ray's messages which mean that memory or disk is full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Where actors run, and how many.

    Attributes:
        address: Address of the cluster, or "local" for this machine.
        workers: Number of actors; by default as many as the cluster has room for.
        threads: Number of cores for each actor.
        gpus: Number of GPUs for each actor.
    """

    address: str
    workers: int | None = None
    threads: int = 1
    gpus: int = 0


def work_on_ray(
    work: Work[Item], items: Iterable[Item], *, count: int, pool: Pool
) -> Iterator[Report]:
    """Process ``count`` items on a Ray cluster, and yield a report as each task ends.

    Raises:
        RilievoError: If Ray or the cluster is missing, rilievo is not installed on its machines, or
            the work cannot run.
    """
    ray = _import_ray()
    progress = _Progress(count)
    with _message_if_killed(progress), _silence_native_stderr():
        _connect_to_cluster(ray, pool)
        threads_before = set(threading.enumerate())
        try:
            num_workers = _choose_worker_count(ray, pool, count)
            tasks = split_into_tasks(items, task_size(count, num_workers))
            for report in _run_tasks(ray, work, tasks, num_workers, pool, progress):
                progress.add(report)
                yield report
        finally:
            _wait_for_new_threads(threads_before)
            # Shutting down may fail after the cluster has failed, which was reported already.
            with suppress(Exception):
                ray.shutdown()


def _wait_for_new_threads(threads_before: set[threading.Thread]) -> None:
    """Wait until the threads of Ray Data have ended.

    Ray ends this process if one of them asks it for anything after ``ray.shutdown()``.
    """
    end = time.monotonic() + _MAX_THREAD_SECONDS
    for thread in {*threading.enumerate()} - threads_before - {threading.current_thread()}:
        thread.join(max(0, end - time.monotonic()))


class _Progress:
    """Number of finished inputs. ``str()`` is what the user reads about it if the cluster fails.

    Attributes:
        on_change: Function that is called after each change.
    """

    def __init__(self, num_inputs: int) -> None:
        self._num_inputs = num_inputs
        self._num_done = 0
        self.on_change: Callable[[], None] = lambda: None

    def add(self, report: Report) -> None:
        """Count the inputs of a finished task."""
        self._num_done += report.done + report.finished_before
        self.on_change()

    def __str__(self) -> str:
        return (
            f"rilievo has finished {self._num_done} of {self._num_inputs} inputs; to resume, run "
            "the same command again"
        )


_WATCHER_CODE = """\
import signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the command
line = ""
for line in sys.stdin:
    pass
sys.stderr.write(line.lstrip())
"""
"""Program that waits for the end of its standard input, and prints the last line of it."""


@contextmanager
def _message_if_killed(progress: _Progress) -> Iterator[None]:
    """Print a message if Ray kills this process, which no exception announces.

    Ray's compiled code does so when a node dies. Therefore a child process waits for the end of a
    pipe from this process, and then prints the last line that came through it. While the block
    runs, that line is the message. At a normal end, an empty line replaces it.
    """
    command = [sys.executable, "-S", "-c", _WATCHER_CODE]
    with subprocess.Popen(command, stdin=subprocess.PIPE, text=True, encoding="utf-8") as watcher:
        assert watcher.stdin is not None, "stdin=PIPE"
        pipe = watcher.stdin

        def write_line(line: str) -> None:
            """Send a line to the watcher, unless it has ended."""
            with suppress(OSError):
                pipe.write(f"{line}\n")
                pipe.flush()

        def write_progress() -> None:
            write_line(
                f"rilievo: the command was killed, for example because a node failed; {progress}"
            )

        progress.on_change = write_progress
        write_progress()
        try:
            yield
        finally:
            write_line("")
            with suppress(OSError):
                pipe.close()


@contextmanager
def _silence_native_stderr() -> Iterator[None]:
    """Discard what Ray's compiled code prints to standard error, because it ignores the log level.

    The file descriptor is redirected to the null device, and Python's messages go to a copy of it.
    """
    original = sys.stderr
    try:
        duplicate = os.dup(original.fileno())
    except (AttributeError, OSError, ValueError):
        # Standard error is closed, or is not a file of the operating system.
        yield
        return
    with open(duplicate, "w", buffering=1, encoding="utf-8", errors="backslashreplace") as stream:
        descriptor = original.fileno()
        null_device = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null_device, descriptor)
        os.close(null_device)
        sys.stderr = stream
        try:
            yield
        finally:
            sys.stderr = original
            os.dup2(duplicate, descriptor)


def _import_ray() -> Any:
    """Import Ray so that it prints no progress and hints.

    Raises:
        MissingExtraError: If it is not installed.
    """
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
    _check_reachable(pool.address)
    local_options: dict[str, Any] = {}
    if pool.address == LOCAL:
        local_options["include_dashboard"] = False
        if pool.workers:
            local_options["num_cpus"] = max(1, pool.workers * pool.threads)
    try:
        ray.init(
            address=pool.address, logging_level=logging.ERROR, log_to_driver=False, **local_options
        )
    except Exception as error:
        # Depending on the cause, Ray raises one of many types of errors.
        raise RilievoError(problem=_connection_failure_text(pool.address, error)) from error
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False


def _check_reachable(address: str) -> None:
    """Raise an error if nothing answers at an address. Ray itself would try for minutes."""
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
            f": Ray cannot be started on this machine ({reason(error)}); use ",
            OptionName("workers"),
            " without ",
            OptionName("ray"),
        )
    # The sentence in which Ray states the versions, cut off after 200 characters.
    mismatch = re.search(r".ersion mismatch.{0,184}", message)
    if mismatch is not None:
        return Text(
            OptionName("ray"),
            f" {printable(address)}: the cluster and this machine have different versions of Ray "
            f"or Python ({printable(mismatch[0])}); install the same versions on both",
        )
    return Text(
        OptionName("ray"),
        f" {printable(address)}: no Ray cluster answers at this address "
        f"({reason(error)}); start a cluster with 'ray start --head', or use ",
        OptionName("ray", LOCAL),
    )


def _choose_worker_count(ray: Any, pool: Pool, num_inputs: int) -> int:
    """Choose as many actors as are wanted and fit into the cluster, at most one per input."""
    resources = ray.cluster_resources()
    num_cores = resources.get("CPU", 0)
    num_gpus = resources.get("GPU", 0)
    max_workers = int(num_cores) // pool.threads
    if pool.gpus:
        max_workers = min(max_workers, int(num_gpus) // pool.gpus)
    if max_workers < 1:
        raise RilievoError(
            problem=Text(
                OptionName("ray"),
                f" {pool.address}: the cluster has {count_text(int(num_cores), 'core')} and "
                f"{count_text(int(num_gpus), 'GPU')}, but one process needs "
                f"{count_text(pool.threads, 'core')} and {count_text(pool.gpus, 'GPU')}; set "
                "fewer cores with ",
                OptionName("threads"),
                ", or leave out GPUs with ",
                OptionName("device", "cpu"),
            )
        )
    num_wanted = pool.workers or max_workers
    return max(1, min(num_wanted, max_workers, num_inputs))


def _run_tasks(
    ray: Any,
    work: Work[Item],
    tasks: Iterator[tuple[Item, ...]],
    num_workers: int,
    pool: Pool,
    progress: _Progress,
) -> Iterator[Report]:
    """Run tasks on actors, and yield their reports.

    Ray Data has one row for each task, and Ray sends the rows to the actors.
    """
    rows = [{"number": index, "task": pickle.dumps(task)} for index, task in enumerate(tasks)]
    if not rows:
        return
    gpu_options = {"num_gpus": pool.gpus} if pool.gpus else {}
    ledger = ray.remote(num_cpus=0, max_restarts=-1)(Ledger).remote()
    try:
        results = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            Actor,
            fn_constructor_kwargs={"work": work, "version": VERSION, "ledger": ledger},
            compute=ray.data.ActorPoolStrategy(size=num_workers),
            batch_size=None,
            num_cpus=pool.threads,
            **gpu_options,
        )
        # Threads of Ray Data end when the rows are closed.
        with closing(iter(results.iter_rows())) as rows:
            for row in rows:
                report = pickle.loads(row["report"])
                assert isinstance(report, Report), "actors return nothing else"
                if report.refusal:
                    raise RilievoError(problem=Text(report.refusal))
                yield report
    except (ray.exceptions.RayError, ConnectionError, TimeoutError) as error:
        raise RilievoError(problem=_work_failure_text(pool.address, error, progress)) from error


def _work_failure_text(address: str, error: Exception, progress: _Progress) -> Text:
    """Say why a cluster failed during the work, what to do, and how many inputs are done."""
    message = str(error)
    cluster = Text(OptionName("ray"), f" {printable(address)}")
    if "No module named" in message:
        # Such as: ModuleNotFoundError: No module named 'rilievo'
        module = message.partition("No module named")[2].split()[0].strip("'\".,")
        return Text(
            cluster,
            f": the machines of the cluster do not have the module '{printable(module)}'; install "
            "rilievo, with the extras that you use, in the environment in which Ray runs there",
        )
    if any(word in message for word in _MEMORY_ERRORS):
        return Text(
            cluster,
            f": the cluster ran out of memory ({type(error).__name__}); use fewer ",
            OptionName("workers"),
            f", or machines with more memory; {progress}",
        )
    return Text(
        cluster, f": the cluster failed ({type(error).__name__}: {reason(error)}); {progress}"
    )


class Actor:
    """Process of the cluster that opens the work once, and then runs tasks."""

    def __init__(self, work: Work[Any], version: str, ledger: Any) -> None:
        import ray

        self._get_result = ray.get
        self._ledger = ledger
        self._work = work
        self._run = open_work(work, version)

    def __call__(self, rows: Mapping[str, np.ndarray]) -> dict[str, list[bytes]]:
        """Run the tasks of a batch of rows; return their pickled reports."""
        reports = []
        for index, task in zip(rows["number"], rows["task"], strict=True):
            report = self._run_task(int(index), pickle.loads(task))
            reports.append(pickle.dumps(report))
        return {"report": reports}

    def _run_task(self, task_index: int, items: tuple[Any, ...]) -> Report:
        """Run the inputs of a task, one by one if an earlier actor died while it ran the task."""
        is_first_run = self._get_result(self._ledger.begin.remote(task_index))
        if is_first_run:
            return self._run(items, is_retry=False)
        return merge_reports(
            self._run_alone(f"{task_index}/{item_index}", item)
            for item_index, item in enumerate(items)
        )

    def _run_alone(self, key: str, item: Any) -> Report:
        """Run a single input, or give it up if a process died while it ran this input alone."""
        is_first_run = self._get_result(self._ledger.begin_alone.remote(key))
        if not is_first_run:
            return killed_twice_report(self._work, item)
        report = self._run((item,), is_retry=True)
        self._get_result(self._ledger.end_alone.remote(key))
        return report


class Ledger:
    """Records which tasks and inputs have begun, in an actor that outlives the others.

    A task that begins a second time was given to another actor because the first one died. Its
    inputs are then run alone, one after the other, so that the input that kills a process is known.
    """

    def __init__(self) -> None:
        self._begun_tasks: set[int] = set()
        self._inputs_running_alone: set[str] = set()

    def begin(self, task_index: int) -> bool:
        """Record that a task begins; return whether it does so for the first time."""
        is_first = task_index not in self._begun_tasks
        self._begun_tasks.add(task_index)
        return is_first

    def begin_alone(self, key: str) -> bool:
        """Record that a single input begins; return whether no earlier actor died with it."""
        is_first = key not in self._inputs_running_alone
        self._inputs_running_alone.add(key)
        return is_first

    def end_alone(self, key: str) -> None:
        """Record that an input has ended, without killing its process."""
        self._inputs_running_alone.discard(key)
