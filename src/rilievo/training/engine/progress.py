"""Progress of a run on standard error."""

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, SupportsFloat

from rilievo.errors.messages import count_text
from rilievo.io.files.names import printable
from rilievo.system.terminal import wrap_for_terminal

_SECONDS_BETWEEN_LINES = 5.0
"""Least time between two lines of progress [s]."""
_FRAMES_PER_REDRAW = 20
"""Frames after which a line of a terminal is written anew."""
_NOTES_AT_EACH_END = 4
"""Notes that are shown from the beginning and from the end of a long list."""


class Progress:
    """Progress of a training run: a bar on a terminal, otherwise a line every few seconds."""

    def __init__(
        self,
        *,
        steps: int | None,
        first_step: int,
        images_per_step: int,
        shown: bool,
        done: float = 0.0,
        activity: str = "training",
        first_line: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin to report, with ``first_line`` and a line that names the ``activity``.

        ``steps`` are those of the whole run, or None if it ends by the clock. A resumed run has
        ``first_step`` steps behind it, or without ``steps`` the fraction ``done``.
        """
        self._shown = shown
        self._images_per_step = images_per_step
        self._clock = clock
        self._steps = steps
        self._first_step = first_step
        self._step = first_step
        self._start_fraction = first_step / steps if steps else done
        self._start_time = clock()
        self._last_line_time = -float("inf")
        self._bar: Any = None

        if first_line is not None:
            self.print_line(first_line)
        if shown and steps and _is_terminal():
            self._bar = _make_bar(steps, first_step, images_per_step)
            return
        position = f"{done:.0%}" if steps is None else f"step {first_step} of {steps}"
        images = count_text(images_per_step, "image")
        self.print_line(f"{activity}: {position}, {images} a step")

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def step(self, loss: SupportsFloat | None = None, *, done: float | None = None) -> None:
        """Count one more step, and print a line if one is due.

        The loss is read only if it is printed, as reading waits for a GPU. ``done`` is the fraction
        of the run that is done, by default from the number of steps.
        """
        self._step += 1
        if self._bar is not None:
            self._bar.update(self._images_per_step)

        now = self._clock()
        is_last_step = self._step == self._steps
        is_line_due = now - self._last_line_time >= _SECONDS_BETWEEN_LINES or is_last_step
        if not self._shown or not is_line_due:
            return
        self._last_line_time = now

        loss_texts = [] if loss is None else [f"loss {float(loss):.4g}"]
        if self._bar is not None:
            self._bar.set_description_str(loss_texts[0] if loss_texts else "train")
            return
        fraction = min(self._fraction_by_steps() if done is None else done, 1.0)
        position = f"{fraction:.0%}" if self._steps is None else f"of {self._steps}"
        speed_and_time = self._speed_and_time_left(now - self._start_time, fraction)
        self.print_line(", ".join([f"step {self._step} {position}", *loss_texts, *speed_and_time]))

    def print_line(self, text: str) -> None:
        """Print a line, unless the run is silent."""
        if self._bar is not None:
            self._bar.write(wrap_for_terminal(text, sys.stderr), file=sys.stderr)
        elif self._shown:
            print_to_stderr(text)

    def _fraction_by_steps(self) -> float:
        return self._step / self._steps if self._steps else self._start_fraction

    def _speed_and_time_left(self, seconds: float, fraction: float) -> list[str]:
        """Describe the images per second and the time left, as far as they can be estimated.

        ``seconds`` is the time since the start, ``fraction`` that of the whole run which is done.
        """
        if seconds <= 0:
            return []
        num_images = (self._step - self._first_step) * self._images_per_step
        speed = f"{num_images / seconds:.3g} images a second"

        fraction_since_start = fraction - self._start_fraction
        if fraction_since_start <= 0:
            return [speed]
        seconds_left = seconds * (1 - fraction) / fraction_since_start
        return [speed, f"{_format_duration(seconds_left)} left"]


class FrameProgress:
    """Progress of work on the frames of a clip, such as decoding them."""

    def __init__(self, *, shown: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._shown = shown and sys.stderr is not None
        self._redraws_line = shown and _is_terminal()
        self._clock = clock
        self._last_line_time = clock()

    def __call__(self, sequence: str, done: int, total: int) -> None:
        """Report that ``done`` of ``total`` frames of a sequence are done."""
        if not self._shown:
            return
        text = f"{printable(sequence)}: {done} of {total} frames"
        if self._redraws_line:
            if done == total or done % _FRAMES_PER_REDRAW == 0:
                _redraw_line(text, is_last=done == total)
        elif self._clock() - self._last_line_time >= _SECONDS_BETWEEN_LINES:
            self._last_line_time = self._clock()
            print_to_stderr(text)


def first_and_last_notes(notes: tuple[str, ...]) -> tuple[str, ...]:
    """Shorten a long list of notes to its first and last four, and the number of the others."""
    num_left_out = len(notes) - 2 * _NOTES_AT_EACH_END
    if num_left_out <= 0:
        return notes
    count_line = (
        f"... and {count_text(num_left_out, 'more note')}; when the run ends, record.json lists "
        "all of them"
    )
    return (*notes[:_NOTES_AT_EACH_END], count_line, *notes[-_NOTES_AT_EACH_END:])


def is_first_process() -> bool:
    """Whether this process is the first one of a run, or the only one."""
    return all(os.environ.get(name, "0") == "0" for name in ("RANK", "LOCAL_RANK", "NODE_RANK"))


def print_to_stderr(text: str) -> None:
    """Print a line on standard error."""
    # A closed standard error is no reason to end a run.
    if sys.stderr is not None:
        with suppress(OSError):
            print(wrap_for_terminal(text, sys.stderr), file=sys.stderr, flush=True)  # noqa: T201


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _redraw_line(text: str, *, is_last: bool) -> None:
    """Write a line of a terminal over the previous one."""
    with suppress(OSError):
        sys.stderr.write(f"\r{text}\n" if is_last else f"\r{text}")
        sys.stderr.flush()


def _format_duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def _make_bar(steps: int, first_step: int, images_per_step: int) -> Any:
    """Make a progress bar that counts images."""
    from tqdm import tqdm

    # tqdm's monitor thread, which redraws slow bars, would outlive the run.
    tqdm.monitor_interval = 0
    return tqdm(
        total=steps * images_per_step,
        initial=first_step * images_per_step,
        desc="train",
        unit="",
        file=sys.stderr,
        dynamic_ncols=True,
        bar_format="{desc} |{bar}| {percentage:.0f}%, {rate_noinv_fmt} images, {remaining} left",
    )
