"""Progress, times and summary of a run."""

import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

import numpy as np

from rilievo.errors import InputError, RilievoError
from rilievo.errors.messages import (
    Note,
    Spell,
    Text,
    for_terminal,
    note_about,
    spell_keyword,
    worded,
)
from rilievo.extensions.foreign_code import extension_fault
from rilievo.io.files.limits import reason
from rilievo.io.files.names import printable
from rilievo.models.base import Inference, Model
from rilievo.predicting.inputs import Job
from rilievo.records.sample import Photo
from rilievo.system.terminal import wrap_for_terminal

Given = ParamSpec("Given")
Result = TypeVar("Result")
LOAD, READ, NETWORK, FINISH, PLACE = "load", "read", "network", "finish and write", "rename"
STAGES = (LOAD, READ, NETWORK, FINISH, PLACE)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTimes:
    """Models, answers and seconds of a run.

    Attributes:
        model: Models and settings; empty if none ran.
        answers: Number by size, ``WIDTHxHEIGHT`` [px].
        seconds: Wall time over threads and processes.
    """

    model: str = ""
    answers: Mapping[str, int] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        sizes = ", ".join(f"{size} ({count})" for size, count in self.answers.items())
        times = ", ".join(
            f"{name} {self.seconds[name]:.2f} s" for name in STAGES if name in self.seconds
        )
        return "\n".join(
            (
                f"model: {self.model or 'none ran'}",
                f"answers of the network, by size: {sizes or 'none'}",
                f"time by stage, summed over threads: {times or 'none'}",
            )
        )


class Stages:
    """Stopwatch of a run, for several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._model = ""
        self._answers: dict[str, int] = {}
        self._seconds: dict[str, float] = {}

    @property
    def spent(self) -> RunTimes:
        """Times so far."""
        with self._lock:
            return RunTimes(
                model=self._model, answers=dict(self._answers), seconds=dict(self._seconds)
            )

    def add(self, other: RunTimes) -> None:
        """Add times of another process."""
        with self._lock:
            if other.model and other.model not in self._model:
                self._model = "; ".join(filter(None, (self._model, other.model)))
            for size, count in other.answers.items():
                self._answers[size] = self._answers.get(size, 0) + count
            for name, seconds in other.seconds.items():
                self._seconds[name] = self._seconds.get(name, 0.0) + seconds

    def timed(self, stage: str, function: Callable[Given, Result]) -> Callable[Given, Result]:
        """Function whose calls count for a stage."""

        def call(*args: Given.args, **kwargs: Given.kwargs) -> Result:
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.add(RunTimes(seconds={stage: time.perf_counter() - start}))

        return call

    def answer(self, model: Model, photos: Sequence[Photo]) -> list[Inference]:
        """Answers of a model, counted for ``NETWORK``."""
        answers = self.timed(NETWORK, model.infer)(photos)
        for answer in answers:
            parts = (answer.depth, answer.normals, answer.confidence)
            sizes = (np.shape(part)[-2:] for part in parts if part is not None)
            height, width = next(sizes, (0, 0))
            self.add(RunTimes(answers={f"{width}x{height}": 1}))
        return answers


FAILURES = (Exception, SystemExit)
"""Errors that end one input alone; others' code may ``sys.exit``."""
LISTED = 20
"""Most failures, and notes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """End of a run.

    Attributes:
        finished_before: Inputs of an earlier run.
        failures: First messages.
        notes: First notes.
        noted: Number of notes.
        wrote: Results of the only input, without suffix.
        begins_anew: Video that was stopped.
        frame_seconds: Wall time of videos.
    """

    done: int
    finished_before: int
    failed: int
    failures: tuple[str, ...]
    notes: tuple[str, ...]
    noted: int
    seconds: float
    output: Path
    interrupted: bool
    wrote: Path | None = None
    begins_anew: Path | None = None
    frames: int = 0
    frame_seconds: float = 0.0
    spent: RunTimes = field(default_factory=RunTimes)

    @property
    def exit_code(self) -> int:
        """0: everything done; 1: some inputs failed; 130: stopped by the user."""
        if self.interrupted:
            return 130
        return 1 if self.failed else 0

    def __str__(self) -> str:
        return self.worded(spell_keyword)

    def worded(self, spell: Spell) -> str:
        """Lines, with options as a door spells them."""
        rates = [_speed_words(self.done, self.seconds)] if self.done > 1 else []
        if self.frames:
            rates.append(f"{self.frames} frames, {self.frames / self.frame_seconds:.1f} a second")
        rate = f" ({'; '.join(rates)})" if rates else ""
        where = self.output if self.wrote is None else f"{self.wrote}.*"
        ending = f", results in {where}" if self.done + self.finished_before else ""
        lines = [f"{self.done} done in {self.seconds:.1f} s{rate}{ending}"]
        if self.finished_before:
            lines.append(f"{self.finished_before} skipped: already done")
        if self.done + self.finished_before + self.failed > 1:
            lines += [f"{self.failed} failed, as said above"] if self.failed else []
        else:  # of one input nothing was said yet
            lines += [f"failed: {worded(message, spell)}" for message in self.failures]
        lines += [f"note: {worded(note, spell)}" for note in self.notes]
        if self.noted > len(self.notes):
            lines.append(f"note: ... and {self.noted - len(self.notes)} more")
        if self.interrupted:
            lines.append(
                "stopped; no result is half-written, and the same command goes on from here"
            )
        if self.interrupted and self.begins_anew is not None:
            lines.append(f"nothing of {self.begins_anew} is kept: the same command begins it anew")
        return "\n".join(lines)


def _speed_words(done: int, seconds: float) -> str:
    if done * 2 < seconds:
        return f"{seconds / done:.1f} s each"
    return f"{done / seconds:.1f} a second"


@dataclass(slots=True, kw_only=True)
class Tally:
    """Counter with a bar on a terminal, else lines."""

    output: Path
    total: int | None = None
    show: bool = True
    interrupted: bool = False
    begins_anew: Path | None = None
    stages: Stages = field(default_factory=Stages)
    _frames: int = 0
    _frame_seconds: float = 0.0
    _wrote: Path | None = None
    _done: int = 0
    _finished_before: int = 0
    _failed: int = 0
    _failures: list[str] = field(default_factory=list)
    _noted: int = 0
    _notes: list[str] = field(default_factory=list)
    _traced: list[list[traceback.FrameSummary]] = field(default_factory=list)
    _start: float = field(default_factory=time.perf_counter)
    _first: float | None = None
    _last_line: float = field(default_factory=time.perf_counter)
    _progress_bar: Any = None

    def __enter__(self) -> "Tally":
        if self.show and self.total != 1 and sys.stderr is not None and sys.stderr.isatty():
            self._progress_bar = _open_progress_bar(self.total)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._progress_bar is not None:
            self._progress_bar.close()

    def done(self, target: Path | None = None, *, frames: int = 0, seconds: float = 0.0) -> None:
        """Count an input, with frames and wall time [s]."""
        self._done += 1
        self._frames += frames
        self._frame_seconds += seconds
        self._wrote = target if self._done == 1 else None
        self._show_progress()

    def finished_before(self) -> None:
        """Count an input of an earlier run."""
        self._finished_before += 1
        self._show_progress()

    def failed(self, message: str) -> None:
        """Count a failure, a line with the input's name."""
        self._failed += 1
        if len(self._failures) < LISTED:
            self._failures.append(message)
        self.say(message)
        self._show_progress()

    def trace(self, error: BaseException) -> None:
        """Write a defect's traceback once."""
        place = traceback.extract_tb(error.__traceback__)[-1:]
        if place in self._traced:
            return
        self._traced.append(place)
        self._write_to_stderr("".join(traceback.format_exception(error)).rstrip())

    def note(self, message: str) -> None:
        """Keep a note for the summary."""
        self._noted += 1
        if len(self._notes) < LISTED:
            self._notes.append(message)

    def part(self, message: str) -> None:
        """Show progress of one long input."""
        now = time.perf_counter()
        if self._progress_bar is not None:
            self._progress_bar.set_description_str(message)
        elif self.show and now - self._last_line > 10:
            self._last_line = now
            self._write_to_stderr(f"rilievo: {message}")

    def say(self, message: str) -> None:
        """Write a line above the bar."""
        if self._progress_bar is not None:
            self._write_to_stderr(for_terminal(message))
        elif self.total != 1:
            self._write_to_stderr(f"rilievo: {for_terminal(message)}")

    def _write_to_stderr(self, text: str) -> None:
        if self._progress_bar is not None:
            self._progress_bar.write(wrap_for_terminal(text, sys.stderr), file=sys.stderr)
        elif sys.stderr is not None:  # it is None if the user closed it
            # A closed pipe or a full disk of logs must not end the run.
            with suppress(OSError):
                print(wrap_for_terminal(text, sys.stderr), file=sys.stderr, flush=True)  # noqa: T201

    def summary(self) -> RunSummary:
        """Summary of the run."""
        return RunSummary(
            done=self._done,
            finished_before=self._finished_before,
            failed=self._failed,
            failures=tuple(self._failures),
            notes=tuple(self._notes),
            noted=self._noted,
            seconds=time.perf_counter() - self._start,
            output=self.output,
            interrupted=self.interrupted,
            wrote=self._wrote,
            begins_anew=self.begins_anew,
            frames=self._frames,
            frame_seconds=self._frame_seconds,
            spent=self.stages.spent,
        )

    def _show_progress(self) -> None:
        now, count = time.perf_counter(), self._done + self._finished_before + self._failed
        worked = count - self._finished_before
        if worked == 1 and self._first is None:
            # The first input also waits for the model, so it does not tell the others' speed.
            self._first = now
            if self._progress_bar is not None:
                self._progress_bar.reset()
                self._progress_bar.initial = self._progress_bar.last_print_n = (
                    self._progress_bar.n
                ) = count
                self._progress_bar.refresh()
        elif self._progress_bar is not None:
            self._progress_bar.update()
        if self._progress_bar is None and self.show and now - self._last_line > 30:
            self._last_line, speed = now, ""
            if self._first is not None and worked > 1:
                seconds = now - self._first
                left = ((self.total or count) - count) * seconds / (worked - 1)
                speed = f", {_speed_words(worked - 1, seconds)}"
                speed += f", {left:.0f} s left" if self.total else ""
            self.say(f"{count} of {self.total or '?'}{speed}")


def _open_progress_bar(total: int | None) -> Any:
    from tqdm import tqdm

    # The thread of tqdm that redraws slow bars would outlive the run.
    tqdm.monitor_interval = 0
    layout = "{desc} |{bar}| {n_fmt} of {total_fmt}, {rate_noinv_fmt}, {remaining} left"
    return tqdm(
        total=total,
        desc="predict",
        unit="",
        file=sys.stderr,
        dynamic_ncols=True,
        bar_format=layout if total else "{desc} {n_fmt}, {rate_noinv_fmt}",
    )


def fail(job: Job, error: BaseException, tally: Tally) -> None:
    """Count a failed input, also by a defect."""
    if not isinstance(error, RilievoError | MemoryError):
        tally.trace(error)
    tally.failed(failure_line(job, error))


def failure_line(job: Job, error: BaseException) -> str:
    """Message of a failure."""
    name = printable(job.source)
    if isinstance(error, MemoryError):
        return f"{name}: too little memory for this photograph: make it smaller"
    if not isinstance(error, RilievoError):
        theirs = extension_fault(error)
        if theirs is not None:
            return f"{name}: a fault in code of your own: {theirs}"
        what = f"{type(error).__name__}: {reason(error)}"
        return f"{name}: a defect of rilievo, please report it ({what})"
    named = isinstance(error, InputError) and str(error).startswith(name)
    return Note(Text(error)) if named else note_about(name, error)
