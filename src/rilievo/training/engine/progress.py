"""Progress of a run on standard error."""

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, SupportsFloat

from rilievo.io.files.names import printable
from rilievo.system.terminal import wrap_for_terminal

_FRAMES_A_WORD = 20
_NOTES = 4
_SECONDS_A_LINE = 5.0


class Progress:
    """Report of a run's steps, loss and time left."""

    def __init__(
        self,
        *,
        steps: int | None,
        done: int,
        images: int,
        shown: bool,
        share: float = 0.0,
        what: str = "training",
        before: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open the bar; without ``steps``, ``share`` is the part of the run done before."""
        self._shown, self._images, self._clock = shown, images, clock
        self._steps, self._step, self._before = steps, done, done
        self._share_before = done / steps if steps else share
        self._began, self._told = clock(), -float("inf")
        is_terminal = sys.stderr is not None and sys.stderr.isatty()
        self._bar: Any = None
        if before is not None:
            self.say(before)
        self._bar = _make_bar(steps, done, images) if shown and is_terminal and steps else None
        if self._bar is None:
            length = f"{self._share_before:.0%}" if steps is None else f"step {done} of {steps}"
            self.say(f"{what}: {length}, {images} image{'s' if images > 1 else ''} a step")

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def step(self, loss: SupportsFloat | None = None, *, share: float | None = None) -> None:
        """Count one more step; reading the loss would wait for a GPU, so only a line does."""
        self._step += 1
        if self._bar is not None:
            self._bar.update(self._images)
        now = self._clock()
        is_last = self._step == self._steps
        if not self._shown or (now - self._told < _SECONDS_A_LINE and not is_last):
            return
        self._told = now
        words = "" if loss is None else f"loss {float(loss):.4g}"
        if self._bar is not None:
            self._bar.set_description_str(words or "train")
            return
        if share is None:
            share = self._step / self._steps if self._steps else self._share_before
        share = min(share, 1.0)
        of = f"{share:.0%}" if self._steps is None else f"of {self._steps}"
        parts = [
            f"step {self._step} {of}",
            words,
            *self._speed_and_time_left(now - self._began, share),
        ]
        self.say(", ".join(part for part in parts if part))

    def say(self, text: str) -> None:
        """Print a line, unless hidden."""
        if self._bar is not None:
            self._bar.write(wrap_for_terminal(text, sys.stderr), file=sys.stderr)
        elif self._shown:
            say(text)

    def _speed_and_time_left(self, seconds: float, share: float) -> list[str]:
        here, gained = self._step - self._before, share - self._share_before
        if seconds <= 0:
            return []
        rate = [f"{here * self._images / seconds:.3g} images a second"]
        return (
            [*rate, f"{_duration_text(seconds * (1 - share) / gained)} left"]
            if gained > 0
            else rate
        )


class Decoding:
    """Report of the progress of decoding."""

    def __init__(self, *, shown: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._shown = shown and sys.stderr is not None
        self._redraws = shown and sys.stderr is not None and sys.stderr.isatty()
        self._clock, self._told = clock, clock()

    def __call__(self, sequence: str, done: int, total: int) -> None:
        """Report one more frame."""
        if not self._shown:
            return
        text = f"{printable(sequence)}: {done} of {total} frames"
        if not self._redraws:
            if self._clock() - self._told >= _SECONDS_A_LINE:
                self._told = self._clock()
                say(text)
        elif done == total or done % _FRAMES_A_WORD == 0:
            ending = "\n" if done == total else ""
            with suppress(OSError):
                sys.stderr.write(f"\r{text}{ending}")
                sys.stderr.flush()


def first_and_last_notes(notes: tuple[str, ...]) -> tuple[str, ...]:
    """Notes, or four first and last with a count between."""
    if len(notes) <= 2 * _NOTES:
        return notes
    left = len(notes) - 2 * _NOTES
    return (*notes[:_NOTES], f"... and {left} more, in record.json at the end", *notes[-_NOTES:])


def is_first_process() -> bool:
    """Whether this is the first process of a run."""
    return all(os.environ.get(name, "0") == "0" for name in ("RANK", "LOCAL_RANK", "NODE_RANK"))


def say(text: str) -> None:
    """Print a line on standard error."""
    # A closed standard error is no reason to end a run.
    if sys.stderr is not None:
        with suppress(OSError):
            print(wrap_for_terminal(text, sys.stderr), file=sys.stderr, flush=True)  # noqa: T201


def _duration_text(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def _make_bar(steps: int, done: int, images: int) -> Any:
    from tqdm import tqdm

    # tqdm's monitor thread, which redraws slow bars, would outlive the run.
    tqdm.monitor_interval = 0
    return tqdm(
        total=steps * images,
        initial=done * images,
        desc="train",
        unit="",
        file=sys.stderr,
        dynamic_ncols=True,
        bar_format="{desc} |{bar}| {percentage:.0f} %, {rate_noinv_fmt} images, {remaining} left",
    )
