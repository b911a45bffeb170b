"""How far a run is, on standard error: a bar on a terminal, and nothing elsewhere but warnings."""

import sys
from contextlib import suppress
from types import TracebackType
from typing import Any

from rilievo.io.limits import printable

_FRAMES_A_WORD = 20
_NOTES = 4


class Progress:
    """A bar with the rate of images and the time left, to be closed."""

    def __init__(self, *, steps: int, done: int, images: int, shown: bool) -> None:
        """Open the bar.

        Args:
            steps: In all.
            done: Steps done before.
            images: Targets a step has.
            shown: Whether this process speaks.
        """
        self._shown, self._images = shown, images
        is_terminal = sys.stderr is not None and sys.stderr.isatty()
        self._bar: Any = _bar(steps, done, images) if shown and is_terminal else None

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def step(self) -> None:
        """One more step is done."""
        if self._bar is not None:
            self._bar.update(self._images)

    def describe(self, text: str) -> None:
        """What stands before the bar."""
        if self._bar is not None:
            self._bar.set_description_str(text)

    def say(self, text: str) -> None:
        """A line on standard error, above the bar where there is one."""
        if self._bar is not None:
            self._bar.write(text, file=sys.stderr)
        elif self._shown and sys.stderr is not None:
            # That nobody listens any more is no reason to end a run.
            with suppress(OSError):
                print(text, file=sys.stderr, flush=True)  # noqa: T201


def listed(notes: tuple[str, ...]) -> tuple[str, ...]:
    """The first and the last of many notes: the last ones sum up."""
    if len(notes) <= 2 * _NOTES:
        return notes
    left = len(notes) - 2 * _NOTES
    return (*notes[:_NOTES], f"... and {left} more, in record.json at the end", *notes[-_NOTES:])


class Decoding:
    """Says how far the decoding of frames is, on a terminal."""

    def __init__(self, *, shown: bool) -> None:
        self._shown = shown and sys.stderr is not None and sys.stderr.isatty()

    def __call__(self, sequence: str, done: int, total: int) -> None:
        """Say that one more frame is decoded."""
        if self._shown and (done == total or done % _FRAMES_A_WORD == 0):
            ending = "\n" if done == total else ""
            with suppress(OSError):
                sys.stderr.write(f"\r{printable(sequence)}: {done} of {total} frames{ending}")
                sys.stderr.flush()


def _bar(steps: int, done: int, images: int) -> Any:
    from tqdm import tqdm

    # Its thread that redraws slow bars would outlive the run.
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
