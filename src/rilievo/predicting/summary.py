"""Count what a run does, show its progress, and summarize it."""

import sys
import time
import traceback
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from rilievo.errors import InputError, OutputError, RilievoError
from rilievo.errors.messages import (
    Note,
    OptionName,
    Spell,
    Text,
    count_text,
    for_terminal,
    note_about,
    spell_keyword,
    worded,
)
from rilievo.extensions.foreign_code import extension_fault
from rilievo.io.files.limits import reason
from rilievo.io.files.names import printable
from rilievo.io.outputs.sidecar import sidecar_path
from rilievo.predicting.inputs import Job, Medium
from rilievo.predicting.run_times import RunTimes, Stopwatch
from rilievo.system.terminal import wrap_for_terminal

FAILURES = (Exception, SystemExit)
"""Errors that make one input fail, and not the run. Third-party code may call ``sys.exit``."""
_MAX_MESSAGES = 20
"""Maximum number of failures, and of notes, that the summary repeats."""
_LINE_INTERVAL = 30.0  # [s], between lines of progress if there is no terminal
_PART_INTERVAL = 10.0  # [s], between lines on the progress of one long input


class EarlierResultError(OutputError):
    """An input has results of an earlier run, which had another model or other options.

    Usually, this is so for many inputs of a run. The summary then states it once.

    Attributes:
        shared_reason: What differs, in words that do not name the input, so that they are equal for
            all inputs with the same difference.
    """

    shared_reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedFailure:
    """Failure that several inputs may have in common.

    Attributes:
        message: Message on the first of these inputs.
        count: Number of inputs.
    """

    message: str
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """What a run has done.

    Attributes:
        done: Number of inputs that this run predicted.
        finished_before: Number of inputs that an earlier run had finished.
        failed: Number of inputs that failed.
        failures: Messages on the first of them.
        shared_failures: Those failures that the summary states, because they were not written
            during the run.
        incomplete: Number of videos and folders of frames that are broken, so that only a part was
            read. They are counted as done or as finished before, too.
        notes: The first notes.
        noted: Number of all notes.
        seconds: Wall time of the run.
        output: Folder of the results.
        interrupted: Whether the user stopped the run.
        wrote: Path of the results without suffix, if there is only one input.
        begins_anew: Video that was being predicted when the user stopped the run; nothing of it is
            kept.
        overwrites: Whether the run replaced the results of earlier runs.
        frames: Number of frames of videos.
        frame_seconds: Wall time of videos.
        spent: Times of the stages.
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
    shared_failures: tuple[SharedFailure, ...] = ()
    incomplete: int = 0
    wrote: Path | None = None
    begins_anew: Path | None = None
    overwrites: bool = False
    frames: int = 0
    frame_seconds: float = 0.0
    spent: RunTimes = field(default_factory=RunTimes)

    @property
    def exit_code(self) -> int:
        """0: everything done; 1: some inputs failed or are broken; 130: stopped by the user."""
        if self.interrupted:
            return 130
        return 1 if self.failed or self.incomplete else 0

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
            lines.append(self._stop_line(spell))
        return "\n".join(lines)

    def _done_line(self) -> str:
        """Say how many inputs were done, how fast, and where the results are."""
        speeds = []
        if self.done > 1:
            speeds.append(_describe_speed(self.done, self.seconds))
        if self.frames:
            rate = self.frames / self.frame_seconds
            speeds.append(f"{count_text(self.frames, 'frame')}, {rate:.1f} a second")
        speed = f" ({'; '.join(speeds)})" if speeds else ""
        result_path = self.output if self.wrote is None else f"{self.wrote}.*"
        results = f", results in {result_path}" if self.done + self.finished_before else ""
        return f"{self.done} done in {self.seconds:.1f} s{speed}{results}"

    def _stop_line(self, spell: Spell) -> str:
        """Say what is kept after the user stopped the run, and how to continue."""
        stopped = "stopped; no result is half-written, and the same command"
        if self.overwrites:
            stopped += f" without {OptionName('overwrite').spelled(spell)}"
        if self.begins_anew is None:
            return f"{stopped} resumes here"
        return (
            f"{stopped} starts {self.begins_anew} again, because its unfinished results are not "
            "kept"
        )

    def _failure_lines(self, spell: Spell) -> list[str]:
        """State the failure of the only input, or how many of several inputs failed."""
        has_one_input = self.done + self.finished_before + self.failed <= 1
        if has_one_input:
            return [f"failed: {worded(message, spell)}" for message in self.failures]
        lines = []
        for shared in self.shared_failures:
            message = worded(shared.message, spell)
            if shared.count == 1:
                lines.append(f"1 failed: {message}")
            else:
                lines.append(f"{shared.count} failed for the same reason, such as {message}")
        # Tally has written all other failures during the run.
        num_written = self.failed - sum(shared.count for shared in self.shared_failures)
        if num_written:
            lines.append(f"{num_written} failed (see above)")
        return lines


def _describe_speed(done: int, seconds: float) -> str:
    """Describe the speed, as seconds each if an input takes more than two seconds."""
    if done * 2 < seconds:
        return f"{seconds / done:.1f} s each"
    return f"{done / seconds:.1f} a second"


@dataclass(slots=True, kw_only=True)
class Tally:
    """Counter of a run's inputs, which shows progress by a bar on a terminal, or else by lines.

    Attributes:
        total: Number of inputs; None if unknown.
        interrupted: Whether the user stopped the run.
        incomplete: Number of videos and folders of frames of which only a part could be read.
        begins_anew: Video that is being predicted; if the run stops now, nothing of it is kept.
        overwrites: Whether the run replaces the results of earlier runs.
    """

    output: Path
    total: int | None = None
    show: bool = True
    interrupted: bool = False
    incomplete: int = 0
    begins_anew: Path | None = None
    overwrites: bool = False
    stopwatch: Stopwatch = field(default_factory=Stopwatch)
    _frames: int = 0
    _frame_seconds: float = 0.0
    _wrote: Path | None = None
    _done: int = 0
    _finished_before: int = 0
    _failed: int = 0
    _failures: list[str] = field(default_factory=list)
    _shared_failures: dict[str, SharedFailure] = field(default_factory=dict)
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
        """Count an input as done; ``target`` is the path of its results without suffix.

        ``frames`` and ``seconds`` (wall time) are those of a video.
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

    def failed(self, message: str, *, shared_reason: str = "") -> None:
        """Count an input as failed, and write the message, which is one line with its name.

        If there is a ``shared_reason``, the message is not written at once. Instead, the summary
        has one message for all inputs that failed for this reason.
        """
        self._failed += 1
        if len(self._failures) < _MAX_MESSAGES:
            self._failures.append(message)
        if not shared_reason:
            self.say(message)
        elif shared_reason in self._shared_failures:
            shared = self._shared_failures[shared_reason]
            self._shared_failures[shared_reason] = replace(shared, count=shared.count + 1)
        else:
            self._shared_failures[shared_reason] = SharedFailure(message=message)
        self._show_progress()

    def trace(self, error: BaseException) -> None:
        """Write the traceback of a defect, once for each line of code that raises."""
        innermost_frame = traceback.extract_tb(error.__traceback__)[-1:]
        if innermost_frame in self._traced_lines:
            return
        self._traced_lines.append(innermost_frame)
        self._write_to_stderr("".join(traceback.format_exception(error)).rstrip())

    def note(self, message: str) -> None:
        """Keep a note for the summary."""
        self._note_count += 1
        if len(self._notes) < _MAX_MESSAGES:
            self._notes.append(message)

    def sort_notes(self, jobs: Iterable[Job]) -> None:
        """Put notes in the order of the inputs that they are about.

        Threads work on several inputs at a time, so their notes come in any order. Notes on the
        whole run go first.
        """
        if self.total == 1:
            return
        named_files = {_named_file(note) for note in self._notes}
        position_by_name: dict[str, int] = {}
        for position, job in enumerate(jobs):
            # A note on an input names it, or the JSON of its results.
            for name in (printable(job.source), printable(sidecar_path(job.target))):
                if name in named_files:
                    position_by_name[name] = position
        self._notes.sort(key=lambda note: position_by_name.get(_named_file(note), -1))

    def part(self, message: str) -> None:
        """Show the progress of one long input."""
        now = time.perf_counter()
        if self._progress_bar is not None:
            self._progress_bar.set_description_str(message)
        elif self.show and now - self._last_line > _PART_INTERVAL:
            self._last_line = now
            self._write_to_stderr(f"rilievo: {message}")

    def say(self, message: str) -> None:
        """Write a line, above the bar if there is one; a run of one input writes only a summary."""
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
        """Summarize the run so far."""
        return RunSummary(
            done=self._done,
            finished_before=self._finished_before,
            failed=self._failed,
            failures=tuple(self._failures),
            shared_failures=tuple(self._shared_failures.values()),
            notes=tuple(self._notes),
            noted=self._note_count,
            seconds=time.perf_counter() - self._start,
            output=self.output,
            interrupted=self.interrupted,
            incomplete=self.incomplete,
            wrote=self._wrote if self.total in (None, 1) else None,
            begins_anew=self.begins_anew,
            overwrites=self.overwrites,
            frames=self._frames,
            frame_seconds=self._frame_seconds,
            spent=self.stopwatch.times,
        )

    def _show_progress(self) -> None:
        """Advance the bar, or write a line of progress from time to time."""
        now = time.perf_counter()
        processed_count = self._done + self._failed
        count = processed_count + self._finished_before
        is_first = processed_count == 1 and self._first_done is None
        if is_first:
            # The first input also waits for the model, so it is left out of the speed.
            self._first_done = now
        if self._progress_bar is not None:
            if is_first:
                _restart_progress_bar(self._progress_bar, count)
            else:
                self._progress_bar.update()
        elif self.show and now - self._last_line > _LINE_INTERVAL:
            self._last_line = now
            pace = self._describe_pace(count, processed_count, now)
            self.say(f"{count} of {self.total or '?'}{pace}")

    def _describe_pace(self, count: int, processed_count: int, now: float) -> str:
        """Describe speed and remaining time, measured from the first processed input on.

        ``count`` includes inputs that an earlier run had finished; they took no time.
        """
        if self._first_done is None or processed_count <= 1:
            return ""
        seconds = now - self._first_done
        measured_count = processed_count - 1
        pace = f", {_describe_speed(measured_count, seconds)}"
        if self.total:
            remaining = (self.total - count) * seconds / measured_count
            pace += f", {remaining:.0f} s left"
        return pace


def _named_file(note: str) -> str:
    """Return the name of the file that a note is about, with which it begins."""
    path = note.path if isinstance(note, Note) else ""
    return str(path) or note.partition(": ")[0]


def _open_progress_bar(total: int | None) -> Any:
    """Open a bar of tqdm on standard error; if the total is unknown, it only counts."""
    from tqdm import tqdm

    # Prevents tqdm's monitor thread, which would outlive the run.
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
    """Restart the speed measurement of a bar, with ``count`` inputs done already."""
    bar.reset()
    bar.n = count
    bar.initial = count
    bar.last_print_n = count
    bar.refresh()


def record_failure(job: Job, error: BaseException, tally: Tally) -> None:
    """Count a failed input, and write the traceback if the error is a defect of rilievo."""
    if not isinstance(error, RilievoError | MemoryError):
        tally.trace(error)
    shared_reason = error.shared_reason if isinstance(error, EarlierResultError) else ""
    tally.failed(failure_message(job, error), shared_reason=shared_reason)


def failure_message(job: Job, error: BaseException) -> str:
    """Write the message on a failed input: its name, and what is wrong."""
    name = printable(job.source)
    if isinstance(error, RilievoError):
        names_input = isinstance(error, InputError) and str(error).startswith(name)
        return Note(Text(error)) if names_input else note_about(name, error)
    if isinstance(error, MemoryError):
        noun = "photograph" if job.medium is Medium.PHOTO else "video"
        return f"{name}: there is not enough memory for this {noun}; make it smaller"
    user_code_fault = extension_fault(error)
    if user_code_fault is not None:
        return f"{name}: there is an error in your own code: {user_code_fault}"
    description = f"{type(error).__name__}: {reason(error)}"
    return f"{name}: this is a bug in rilievo, please report it ({description})"
