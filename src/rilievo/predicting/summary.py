"""Progress of a run, what fails in it, and its summary."""

import sys
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

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
from rilievo.predicting.inputs import Job
from rilievo.predicting.run_times import RunTimes, Stopwatch
from rilievo.system.terminal import wrap_for_terminal

FAILURES = (Exception, SystemExit)
"""Errors that end one input, and not the run. Code of others may call ``sys.exit``."""
_MAX_MESSAGES = 20
"""Most failures, and most notes, that the summary repeats."""
_LINE_INTERVAL = 30.0  # [s], between lines of progress where there is no terminal
_PART_INTERVAL = 10.0  # [s], between lines on the progress of one long input


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """What a run has done.

    Attributes:
        done: Number of inputs that this run predicted.
        finished_before: Number of inputs that an earlier run had finished.
        failed: Number of inputs that failed.
        failures: The first messages on them.
        notes: The first notes.
        noted: Number of notes.
        seconds: Wall time of the run.
        output: Folder of the results.
        interrupted: Whether the user stopped the run.
        wrote: Path of the results without suffix, if there is one input only.
        begins_anew: Video that was stopped, of which nothing is kept.
        frames: Number of frames of videos.
        frame_seconds: Wall time of videos.
        spent: Where the time went.
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
        """Write the summary in lines, with options as an entry point spells them."""
        lines = [self._done_line()]
        if self.finished_before:
            lines.append(f"{self.finished_before} skipped: already done")
        lines += self._failure_lines(spell)
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

    def _done_line(self) -> str:
        """What was done, how fast, and where the results are."""
        rates = []
        if self.done > 1:
            rates.append(_speed_words(self.done, self.seconds))
        if self.frames:
            rates.append(f"{self.frames} frames, {self.frames / self.frame_seconds:.1f} a second")
        rate = f" ({'; '.join(rates)})" if rates else ""
        place = self.output if self.wrote is None else f"{self.wrote}.*"
        results = f", results in {place}" if self.done + self.finished_before else ""
        return f"{self.done} done in {self.seconds:.1f} s{rate}{results}"

    def _failure_lines(self, spell: Spell) -> list[str]:
        """The failure of the only input, or how many of several failed."""
        has_one_input = self.done + self.finished_before + self.failed <= 1
        if has_one_input:  # its failure was not written during the run
            return [f"failed: {worded(message, spell)}" for message in self.failures]
        return [f"{self.failed} failed, as said above"] if self.failed else []


def _speed_words(done: int, seconds: float) -> str:
    """Speed in words, by seconds if one takes more than two."""
    if done * 2 < seconds:
        return f"{seconds / done:.1f} s each"
    return f"{done / seconds:.1f} a second"


@dataclass(slots=True, kw_only=True)
class Tally:
    """Counts the inputs of a run and shows its progress: a bar on a terminal, else lines.

    Attributes:
        output: Folder of the results.
        total: Number of inputs; None if unknown.
        show: Whether to show progress.
        interrupted: Whether the user stopped the run.
        begins_anew: Video under way, of which nothing is kept if the run stops now.
        stopwatch: Times of the run.
    """

    output: Path
    total: int | None = None
    show: bool = True
    interrupted: bool = False
    begins_anew: Path | None = None
    stopwatch: Stopwatch = field(default_factory=Stopwatch)
    _frames: int = 0
    _frame_seconds: float = 0.0
    _wrote: Path | None = None
    _done: int = 0
    _finished_before: int = 0
    _failed: int = 0
    _failures: list[str] = field(default_factory=list)
    _note_count: int = 0
    _notes: list[str] = field(default_factory=list)
    _traced_lines: list[list[traceback.FrameSummary]] = field(default_factory=list)
    _start: float = field(default_factory=time.perf_counter)
    _first_done: float | None = None
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
        """Count an input as done.

        Args:
            target: Path of its results without suffix.
            frames: Number of its frames, if it is a video.
            seconds: Wall time that the video took.
        """
        self._done += 1
        self._frames += frames
        self._frame_seconds += seconds
        self._wrote = target if self._done == 1 else None
        self._show_progress()

    def finished_before(self) -> None:
        """Count an input that an earlier run had finished."""
        self._finished_before += 1
        self._show_progress()

    def failed(self, message: str) -> None:
        """Count an input as failed, and write the message, a line with the input's name."""
        self._failed += 1
        if len(self._failures) < _MAX_MESSAGES:
            self._failures.append(message)
        self.say(message)
        self._show_progress()

    def trace(self, error: BaseException) -> None:
        """Write the traceback of a defect, once for each line of code that raises."""
        line = traceback.extract_tb(error.__traceback__)[-1:]
        if line in self._traced_lines:
            return
        self._traced_lines.append(line)
        self._write_to_stderr("".join(traceback.format_exception(error)).rstrip())

    def note(self, message: str) -> None:
        """Keep a note for the summary."""
        self._note_count += 1
        if len(self._notes) < _MAX_MESSAGES:
            self._notes.append(message)

    def part(self, message: str) -> None:
        """Show the progress of one long input."""
        now = time.perf_counter()
        if self._progress_bar is not None:
            self._progress_bar.set_description_str(message)
        elif self.show and now - self._last_line > _PART_INTERVAL:
            self._last_line = now
            self._write_to_stderr(f"rilievo: {message}")

    def say(self, message: str) -> None:
        """Write a line, above the bar if there is one; a run of one input says nothing yet."""
        if self._progress_bar is not None:
            self._write_to_stderr(for_terminal(message))
        elif self.total != 1:
            self._write_to_stderr(f"rilievo: {for_terminal(message)}")

    def _write_to_stderr(self, text: str) -> None:
        """Write text above the bar, or to standard error; errors in writing are ignored."""
        if self._progress_bar is not None:
            self._progress_bar.write(wrap_for_terminal(text, sys.stderr), file=sys.stderr)
        elif sys.stderr is not None:  # it is None if the user closed it
            # A closed pipe or a full disk of logs must not end the run.
            with suppress(OSError):
                print(wrap_for_terminal(text, sys.stderr), file=sys.stderr, flush=True)  # noqa: T201

    def summary(self) -> RunSummary:
        """Summary of the run so far."""
        return RunSummary(
            done=self._done,
            finished_before=self._finished_before,
            failed=self._failed,
            failures=tuple(self._failures),
            notes=tuple(self._notes),
            noted=self._note_count,
            seconds=time.perf_counter() - self._start,
            output=self.output,
            interrupted=self.interrupted,
            wrote=self._wrote,
            begins_anew=self.begins_anew,
            frames=self._frames,
            frame_seconds=self._frame_seconds,
            spent=self.stopwatch.times,
        )

    def _show_progress(self) -> None:
        """Move the bar, or write a line now and then."""
        now = time.perf_counter()
        worked = self._done + self._failed
        count = worked + self._finished_before
        is_first = worked == 1 and self._first_done is None
        if is_first:
            # The first input also waits for the model, so it does not tell the others' speed.
            self._first_done = now
        if self._progress_bar is None:
            if self.show and now - self._last_line > _LINE_INTERVAL:
                self._last_line = now
                self.say(f"{count} of {self.total or '?'}{self._pace_words(count, worked, now)}")
        elif is_first:
            _restart_progress_bar(self._progress_bar, count)
        else:
            self._progress_bar.update()

    def _pace_words(self, count: int, worked: int, now: float) -> str:
        """Speed and remaining time after the first input; empty if nothing is known of them."""
        if self._first_done is None or worked <= 1:
            return ""
        seconds = now - self._first_done
        pace = f", {_speed_words(worked - 1, seconds)}"
        if self.total:
            remaining = (self.total - count) * seconds / (worked - 1)
            pace += f", {remaining:.0f} s left"
        return pace


def _open_progress_bar(total: int | None) -> Any:
    """Bar of tqdm on standard error; without a total it only counts."""
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


def _restart_progress_bar(bar: Any, count: int) -> None:
    """Let a bar measure its speed from here on, with ``count`` inputs done already."""
    bar.reset()
    bar.n = count
    bar.initial = count
    bar.last_print_n = count
    bar.refresh()


def fail(job: Job, error: BaseException, tally: Tally) -> None:
    """Count a failed input; a defect of rilievo is also traced."""
    if not isinstance(error, RilievoError | MemoryError):
        tally.trace(error)
    tally.failed(failure_line(job, error))


def failure_line(job: Job, error: BaseException) -> str:
    """Message on a failed input: its name, and what is wrong."""
    name = printable(job.source)
    if isinstance(error, RilievoError):
        names_input = isinstance(error, InputError) and str(error).startswith(name)
        return Note(Text(error)) if names_input else note_about(name, error)
    if isinstance(error, MemoryError):
        return f"{name}: too little memory for this photograph: make it smaller"
    fault_of_user = extension_fault(error)
    if fault_of_user is not None:
        return f"{name}: a fault in code of your own: {fault_of_user}"
    what = f"{type(error).__name__}: {reason(error)}"
    return f"{name}: a defect of rilievo, please report it ({what})"
