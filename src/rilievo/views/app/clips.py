"""Predict an uploaded video within limits, with progress and cancellation."""

import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from rilievo.errors import InputError, OptionError, RilievoError
from rilievo.io.frames import FrameSource, open_video
from rilievo.io.limits import check_size
from rilievo.io.writing import SaveOptions
from rilievo.models.base import Model
from rilievo.predicting.clip import predict_clip
from rilievo.predicting.clip_options import ClipOptions, ClipSidecar
from rilievo.views.app.options import AppOptions

OUTPUTS = ("colour", "normals", "png16")
"""Outputs that visitors may choose; folders with a file for every frame are left to ``predict``."""

_FRAME_SHARE = 3
_TICK = 0.4


class _Stopped(Exception):
    """The work was cancelled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipAsked:
    """A video and the outputs to make from it.

    Attributes:
        video: Path of the uploaded file.
        name: Name of the video and of the results, without suffix.
        model: Model that predicts it, ready to run.
        outputs: Some of ``OUTPUTS``.
        colour_map: Colour map of the depth video.
        folder: Folder for the results, used by nobody else.
    """

    video: Path
    name: str
    model: Model
    outputs: tuple[str, ...]
    colour_map: str
    folder: Path

    def __post_init__(self) -> None:
        if not self.outputs:
            raise OptionError("choose at least one video to make")
        for name in self.outputs:
            if name not in OUTPUTS:
                raise OptionError(f"of a video the app makes {', '.join(OUTPUTS)}, not '{name}'")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipProgress:
    """Progress of the work.

    Attributes:
        share: Finished share, 0 to 1; None if the length of the video is unknown.
        frames: Number of frames processed so far; every frame counts twice.
        left: Remaining time [s]; None if unknown.
        done: Content of the JSON, once everything is written.
    """

    share: float | None
    frames: int
    left: float | None
    done: ClipSidecar | None = None


def open_clip(path: Path, name: str, limits: AppOptions) -> FrameSource:
    """Open an uploaded video that is within the limits.

    Raises:
        InputError: If it is not a video, or larger or longer than allowed.
    """
    try:
        reader = open_video(path)
    except InputError as error:
        raise InputError(str(error).replace(str(path), name)) from error
    check_size(name, reader.size, max_pixels=limits.max_pixels // _FRAME_SHARE)
    frames = reader.frame_estimate
    if frames is not None:
        seconds = frames / float(reader.rate)
        if seconds > limits.max_seconds or frames > limits.max_frames:
            raise InputError(
                f"{name}: has {frames} frames in {seconds:.0f} s, above the limit of "
                f"{limits.max_frames} frames and {limits.max_seconds:g} s; make it shorter first"
            )
    return reader


def predict_within(
    asked: ClipAsked, limits: AppOptions, stop: threading.Event
) -> Iterator[ClipProgress]:
    """Predict a video in a separate thread, and yield its progress.

    Args:
        asked: Video and outputs.
        limits: Limits on length and time.
        stop: Event that cancels the work; closing the iterator does the same.

    Raises:
        RilievoError: If the work fails; no incomplete files remain.
    """
    reader = open_clip(asked.video, asked.name, limits)
    told: queue.Queue[ClipProgress | Exception] = queue.Queue()
    meter = _Meter(told, stop, limits, asked.name)

    def work() -> None:
        try:
            options = ClipOptions(
                outputs=asked.outputs, save=SaveOptions(colour_map=asked.colour_map)
            )
            done = predict_clip(
                reader, asked.model, asked.folder / asked.name, options, meter.report
            )
            told.put(replace(meter.now(), share=1.0, left=0.0, done=done))
        except Exception as error:
            told.put(error)

    thread = threading.Thread(target=work, name="video", daemon=True)
    thread.start()
    try:
        yield from _follow(told, asked)
    finally:
        stop.set()
        thread.join()


def _follow(
    told: "queue.Queue[ClipProgress | Exception]", asked: ClipAsked
) -> Iterator[ClipProgress]:
    while True:
        latest = told.get()
        if isinstance(latest, _Stopped):
            return
        if isinstance(latest, RilievoError):
            said = str(latest).replace(str(asked.video), asked.name)
            raise type(latest)(said) from latest
        if isinstance(latest, Exception):
            raise latest
        yield latest
        if latest.done is not None:
            return


class _Meter:
    """Counts frames, reports progress at intervals, and ends the work at a limit."""

    def __init__(
        self,
        told: "queue.Queue[ClipProgress | Exception]",
        stop: threading.Event,
        limits: AppOptions,
        name: str,
    ) -> None:
        self._told, self._stop, self._limits, self._name = told, stop, limits, name
        self._start = time.perf_counter()
        self._last = 0.0
        self._done = 0
        self._total: int | None = None

    def report(self, done: int, total: int | None) -> None:
        self._done, self._total = done, total
        if self._stop.is_set():
            raise _Stopped
        elapsed = time.perf_counter() - self._start
        if elapsed > self._limits.video_limit:
            raise InputError(
                f"{self._name}: not done after {self._limits.video_limit:g} s, which is the limit; "
                "make it shorter or smaller first"
            )
        # The length in the file's header need not be true.
        if done > 2 * self._limits.max_frames:
            raise InputError(
                f"{self._name}: has more than {self._limits.max_frames} frames; "
                "make it shorter first"
            )
        if elapsed - self._last >= _TICK:
            self._last = elapsed
            self._told.put(self.now())

    def now(self) -> ClipProgress:
        done, total = self._done, self._total
        elapsed = time.perf_counter() - self._start
        share = min(done / total, 1.0) if total else None
        left = elapsed * (1 - share) / share if share else None
        return ClipProgress(share=share, frames=done, left=left)
