"""``rilievo serve`` under load: requests a second against a folder, errors, memory."""

import http.client
import resource
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from benchmarks.app import server
from benchmarks.measure import cpu_seconds, resident, spread
from benchmarks.photographs import SIDE, make_photographs
from benchmarks.report import Bar, Report, Table
from benchmarks.settings import Settings
from benchmarks.throughput import pipeline_rate

CLIENTS = 8
LEAST_SHARE = 0.9
GROWTH = 1.1
"""Most of the server's memory after all rounds, over that after the first."""
MOST_MEMORY = 400
"""Memory of the server after a round [MB]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Load:
    """One round of requests: answers a second, seconds of each, and those that failed."""

    rate: float
    seconds: Sequence[float]
    failures: int


def run(settings: Settings) -> Report:
    count, rounds = settings.count(200, quick=24), settings.count(4, quick=2)
    folder = settings.work / "photographs"
    photos = [path.read_bytes() for path in make_photographs(folder, count)]
    folder_rate = pipeline_rate(settings.weights, folder, settings.folder("output"))
    folders, loads, memory = [], [], []
    folder_cpu = server_cpu = 0.0
    with server("serve", *settings.model_options) as (address, pid):
        port = int(address.rstrip("/").rpartition(":")[2])
        _ask_all(port, photos[:CLIENTS])
        for _ in range(rounds):
            before = _cpu_seconds_of_children()
            folders.append(folder_rate())
            folder_cpu += _cpu_seconds_of_children() - before
            before = cpu_seconds(pid)
            loads.append(_ask_all(port, photos))
            server_cpu += cpu_seconds(pid) - before
            memory.append(resident(pid))
    cpu = tuple(1000 * each / (rounds * count) for each in (folder_cpu, server_cpu))
    return _report(count, folders, loads, memory, cpu)


def _report(
    count: int,
    folders: Sequence[float],
    loads: Sequence[_Load],
    memory: Sequence[float],
    cpu: tuple[float, ...],
) -> Report:
    rate, folder = spread([load.rate for load in loads]), spread(folders)
    failures = sum(load.failures for load in loads)
    seconds = sorted(each for load in loads for each in load.seconds)
    share = rate.median / folder.median
    return Report(
        name="serve",
        about=(
            "How many photographs per second can the [server](../serve.md) answer if many "
            f"programs use it at once? In this benchmark, {CLIENTS} clients on the same machine "
            f"send {count} requests. Each request contains a JPEG photograph of {SIDE}x{SIDE} and "
            "asks for a depth image. For comparison, we process the same photographs as a folder, "
            "with `predict_files`. The time to load the network does not count.\n\n"
            "The table also shows how much memory (RSS) the server uses after each round."
        ),
        tables=(
            Table(
                columns=("what", "median (least to most)"),
                rows=(
                    ("folder [photographs a second]", str(folder)),
                    ("server [answers a second]", str(rate)),
                    ("an answer [s]", str(spread(seconds))),
                    ("95 of 100 answers within [s]", f"{seconds[int(0.95 * len(seconds))]:.3g}"),
                    ("CPU time of the folder, its start included [ms]", f"{cpu[0]:.0f}"),
                    ("CPU time of the server for an answer [ms]", f"{cpu[1]:.0f}"),
                    ("memory, round by round [MB]", ", ".join(f"{each:.0f}" for each in memory)),
                ),
            ),
        ),
        bars=(
            Bar(
                promise=f"at least {LEAST_SHARE:.0%} of the folder's speed",
                measured=f"{share:.0%}",
                kept=share >= LEAST_SHARE,
            ),
            Bar(promise="no error", measured=f"{failures} errors", kept=not failures),
            Bar(
                promise="memory does not grow with the number of requests",
                measured=f"{memory[0]:.0f} MB after one round, {memory[-1]:.0f} MB after all",
                kept=memory[-1] <= GROWTH * memory[0],
            ),
            Bar(
                promise=f"at most {MOST_MEMORY} MB with {CLIENTS} clients",
                measured=f"{max(memory):.0f} MB",
                kept=max(memory) <= MOST_MEMORY,
            ),
        ),
    )


def _ask_all(port: int, photos: Sequence[bytes]) -> _Load:
    """Send every photograph once, from all clients at the same time."""
    kept = threading.local()
    start = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as clients:
        took = list(clients.map(lambda photo: _ask(port, photo, kept), photos))
    seconds = [each for each in took if each is not None]
    return _Load(
        rate=len(seconds) / (time.perf_counter() - start),
        seconds=seconds,
        failures=len(took) - len(seconds),
    )


def _ask(port: int, photo: bytes, kept: threading.local) -> float | None:
    """Seconds of one answer; None of a failure. Every client keeps its connection."""
    if not hasattr(kept, "connection"):
        kept.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    start = time.perf_counter()
    kept.connection.request("POST", "/v1/predict?save=colour", photo)
    answer = kept.connection.getresponse()
    content = answer.read()
    is_good = answer.status == 200 and content.startswith(b"\x89PNG")
    return time.perf_counter() - start if is_good else None


def _cpu_seconds_of_children() -> float:
    """CPU time of the processes that were started here and have ended [s]."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
