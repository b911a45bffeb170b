"""Several workers at once, each watched: what dies or hangs is a verdict, and the work goes on."""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.torture.reader import Reader
from lab.torture.worker import BAD, Outcome

_START = 120.0
"""Seconds that a worker has to start and to read the good file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Some cases of one reader, in one go."""

    reader: Reader
    first: int
    last: int


class WorkerError(RuntimeError):
    """A worker does not get as far as its first case: the campaign itself is broken."""


Report = Callable[[Reader, Outcome], None]


class Worker:
    """A process that is started when it is needed and started anew when it died."""

    def __init__(self, base: Path, seed: int) -> None:
        self._base, self._seed = base, seed
        self._process: subprocess.Popen[bytes] | None = None
        self._waiting = b""

    def run(
        self, chunk: Chunk, report: Report, is_over: Callable[[], bool] = lambda: False
    ) -> None:
        """Go through the cases of a chunk, whatever happens to the process, while there is time."""
        first = chunk.first
        while first < chunk.last and not is_over():
            first = self._some(chunk, first, report, is_over)

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _some(self, chunk: Chunk, first: int, report: Report, is_over: Callable[[], bool]) -> int:
        """Cases until the end or until the process is lost; the first that is not done."""
        self._send(chunk.reader.name, first, chunk.last)
        at, seconds = -1, _START
        while True:
            said = self._line(seconds)
            if said is None:
                if at < 0:
                    raise WorkerError(f"{chunk.reader.name}: no start: {self._printed()}")
                report(chunk.reader, self._lost(at, seconds))
                return at + 1
            if "done" in said:
                return chunk.last
            if "begins" in said:
                at, seconds = said["begins"], chunk.reader.seconds
            else:
                report(chunk.reader, Outcome(**said))
                if is_over():
                    self.stop()
                    return chunk.last

    def _lost(self, case: int, seconds: float) -> Outcome:
        assert self._process is not None, "it was sent something"
        code = self._process.poll()
        if code is None:
            # Where it hangs goes to the file of what is printed.
            said = f"hangs: no answer in {seconds:g} s"
        elif code == -signal.SIGKILL:
            said = "killed by the system for its memory"
        else:
            said = f"the process died: {_name(code)}"
        trace = self._printed()
        self.stop()
        return Outcome(case=case, verdict=BAD, said=said, where=said, trace=trace)

    def _printed(self) -> str:
        try:
            return (self._base / "printed.txt").read_text(errors="replace")[-2000:]
        except OSError:
            return ""

    def _send(self, *words: object) -> None:
        if self._process is None or self._process.poll() is not None:
            self._start()
        assert self._process is not None, "it was just started"
        assert self._process.stdin is not None, "it has a pipe"
        self._process.stdin.write(json.dumps(words).encode() + b"\n")
        self._process.stdin.flush()

    def _start(self) -> None:
        shutil.rmtree(self._base, ignore_errors=True)
        self._base.mkdir(parents=True)
        environment = os.environ | {
            "TORTURE_MARKER": str(self._base / "executed"),
            "RILIEVO_CACHE": str(self._base / "cache"),
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
            "PYTHONFAULTHANDLER": "1",
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "lab.torture.worker", str(self._base), str(self._seed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            cwd=Path(__file__).parents[2],
        )
        self._waiting = b""

    def _line(self, seconds: float) -> dict[str, Any] | None:
        """The next line; None when the process ended or was silent for so long."""
        assert self._process is not None, "it was sent something"
        assert self._process.stdout is not None, "it has a pipe"
        end = time.monotonic() + seconds
        while b"\n" not in self._waiting:
            left = end - time.monotonic()
            ready, _, _ = select.select([self._process.stdout], [], [], max(0, left))
            part = os.read(self._process.stdout.fileno(), 65536) if ready else b""
            if not part:
                if ready:
                    self._process.wait()
                return None
            self._waiting += part
        line, _, self._waiting = self._waiting.partition(b"\n")
        return json.loads(line)


def run_all(
    chunks: Iterator[Chunk],
    report: Report,
    *,
    workers: int,
    folder: Path,
    seed: int,
    is_over: Callable[[], bool] = lambda: False,
) -> None:
    """Go through all chunks with so many workers; reports come one at a time."""
    lock = threading.Lock()
    failures: list[WorkerError] = []

    def serve(number: int) -> None:
        worker = Worker(folder / f"w{number}", seed)
        try:
            while True:
                with lock:
                    chunk = next(chunks, None)
                if chunk is None:
                    return
                worker.run(
                    chunk, lambda reader, outcome: _alone(lock, report, reader, outcome), is_over
                )
        except WorkerError as error:
            failures.append(error)
        finally:
            worker.stop()

    threads = [threading.Thread(target=serve, args=(number,)) for number in range(workers)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    if failures:
        raise failures[0]


def _alone(lock: threading.Lock, report: Report, reader: Reader, outcome: Outcome) -> None:
    with lock:
        report(reader, outcome)


def _name(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
