"""Costs of processes, measured in turns, so that noise affects all of them alike."""

import json
import os
import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).resolve().parent.parent
"""Root of the repository."""

# What users do not have set, and what would put the network into a comparison.
_UNSET = ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")
_SET = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}

Answer = TypeVar("Answer")


class BenchmarkError(Exception):
    """A measured process failed, or its figures are not valid."""


class NotHereError(BenchmarkError):
    """Something that a benchmark needs is not on this machine: a package, a browser, an index."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Cost of one process with its children, from start to end.

    Attributes:
        wall: Time on the clock [s].
        cpu: User and system time of all its threads [s].
        peak: Most memory resident at once [MB], of the largest process where it has children;
            None if the measuring process has been as large, since the system hands its peak down
            to the programs that it starts.
    """

    wall: float
    cpu: float
    peak: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Summary of repeated measurements."""

    median: float
    least: float
    most: float

    def __str__(self) -> str:
        return f"{self.median:.3g} ({self.least:.3g} to {self.most:.3g})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Machine and load of the measurement.

    Attributes:
        processor: Name of the processor.
        cores: Number of cores that this process may use.
        python: Version of Python.
        load: Processes that wanted to run, mean of the last minute; above 0.5 or so, the times
            measured are too long.
    """

    processor: str
    cores: int
    python: str
    load: float

    def __str__(self) -> str:
        return (
            f"{self.cores} cores of {self.processor}, Python {self.python}, "
            f"load average {self.load:.1f} at the start"
        )


def this_machine() -> Machine:
    """Describe the machine and its present load."""
    return Machine(
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)),
        python=".".join(map(str, sys.version_info[:3])),
        load=os.getloadavg()[0],
    )


def spread(values: Sequence[float]) -> Spread:
    """Median, least and most."""
    return Spread(median=statistics.median(values), least=min(values), most=max(values))


def in_turns(
    sides: Mapping[str, Callable[[], Answer]], *, rounds: int, warm_up: bool = True
) -> dict[str, list[Answer]]:
    """Measure A, B, A, B, ...: what disturbs the machine for a while disturbs both.

    Args:
        sides: Functions that measure, by name.
        rounds: Number of measurements of each.
        warm_up: Whether each runs once before, unmeasured, to fill the caches of the system.
    """
    if warm_up:
        for measure in sides.values():
            measure()
    answers: dict[str, list[Answer]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, measure in sides.items():
            answers[name].append(measure())
    return answers


def cost_of(command: Sequence[str | Path]) -> Cost:
    """Run a command and wait for it.

    Raises:
        BenchmarkError: If it fails.
    """
    start = time.perf_counter()
    with subprocess.Popen(
        [str(part) for part in command],
        env=_environment(),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None, "asked for above"
        said = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise BenchmarkError(f"{_line(command)} ended with {process.returncode}: {said[-2000:]}")
    hidden = usage.ru_maxrss <= resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Cost(
        wall=wall,
        cpu=usage.ru_utime + usage.ru_stime,
        peak=None if hidden else usage.ru_maxrss / 1024,
    )


def peak_of(cost: Cost) -> float:
    """Peak memory [MB].

    Raises:
        BenchmarkError: If it is not known.
    """
    if cost.peak is None:
        raise BenchmarkError("a peak of memory is hidden by that of the measuring process")
    return cost.peak


def answer_of(module: str, *arguments: str | Path) -> Any:
    """Run ``benchmarks.module`` in a process of its own and take what it prints, as JSON.

    Keeps this process small, which ``cost_of`` depends on, and measurements from each other.

    Raises:
        BenchmarkError: If it fails.
    """
    command = [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)]
    done = subprocess.run(command, env=_environment(), cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise BenchmarkError(f"{_line(command)} ended with {done.returncode}: {done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def processes_below(pid: int) -> Mapping[int, float]:
    """CPU time so far [s] of a running process and of all below it, by their ids."""
    seconds, parents = dict[int, float](), dict[int, int]()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            facts = path.read_text("utf-8", "replace").rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        number = int(path.parent.name)
        parents[number] = int(facts[1])
        seconds[number] = sum(map(int, facts[11:15])) / os.sysconf("SC_CLK_TCK")

    def is_below(number: int) -> bool:
        return number == pid or (number in parents and is_below(parents[number]))

    return {number: spent for number, spent in seconds.items() if is_below(number)}


def cpu_seconds(pid: int) -> float:
    """CPU time of a running process so far, its children and theirs included [s]."""
    return sum(processes_below(pid).values())


def command_of(pid: int) -> bytes:
    """Command line of a process; empty where it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def resident(pid: int) -> float:
    """Memory that a process holds [MB]."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    [line] = [line for line in lines if line.startswith("VmRSS:")]
    return int(line.split()[1]) / 1024


@contextmanager
def serving(command: Sequence[str | Path]) -> Iterator[tuple[str, int]]:
    """Run a server, whose first line names its address; gives address and process.

    Raises:
        BenchmarkError: If it does not start.
    """
    parts = [str(part) for part in command]
    with subprocess.Popen(parts, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None, "asked for above"
        try:
            line = process.stdout.readline()
            address = re.search(r"http://[^;)\s]+", line)
            if address is None:
                raise BenchmarkError(f"{_line(command)} did not start: {line}")
            yield address[0], process.pid
        finally:
            process.terminate()


def rilievo_command(*arguments: str | Path) -> list[str | Path]:
    """Command line of the installed ``rilievo``, as a user types it."""
    return [Path(sys.executable).with_name("rilievo"), *arguments]


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _UNSET}
    return {**kept, **_SET}


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "an unknown processor"


def _line(command: Sequence[str | Path]) -> str:
    return " ".join(Path(part).name if os.sep in str(part) else str(part) for part in command)
