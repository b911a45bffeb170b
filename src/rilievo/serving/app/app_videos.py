"""Videos of visitors, which are predicted one at a time and within limits."""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rilievo.errors import InputError, OptionError
from rilievo.io.files.limits import check_size
from rilievo.io.videos.frame_source import FrameSource
from rilievo.models.base import Model
from rilievo.predicting.videos.clip import predict_clip
from rilievo.predicting.videos.clip_options import ClipOptions
from rilievo.prediction.output import OUTPUTS
from rilievo.serving.app.result_store import ResultStore, StoredResult
from rilievo.serving.browser.document import VIDEOS
from rilievo.serving.listener.work_slots import WorkSlots
from rilievo.serving.server.params import Variant
from rilievo.serving.server.server_options import AppOptions
from rilievo.serving.server.service import Service
from rilievo.serving.server.uploads import Upload

MADE = "made"
"""Folder of a result with the outputs of the video."""
_SOURCE = "source"

_PHOTOGRAPH_PER_FRAME_PIXELS = 3  # a photograph may have so many times the pixels of a frame
_SPARE_FRAMES = 30  # added to the number of frames in the file's header, which need not be true
_MAX_UNWATCHED_SECONDS = 300.0  # since the page last asked for the progress


class _VideoStopped(Exception):
    """The work was stopped, or nobody waits for it."""


@dataclass(slots=True, kw_only=True)
class VideoWork:
    """Progress of the work on one video.

    Attributes:
        state: waiting, working, done, failed or stopped.
        fraction_done: From 0 to 1; None for videos of unknown length.
        frames: Number of processed frames; every frame counts twice, as there are two passes.
        seconds_left: Estimate of the remaining time; None if unknown.
        files: Names of the outputs, once they are written.
        stop: Set to stop the work.
    """

    state: str = "waiting"
    fraction_done: float | None = None
    frames: int = 0
    seconds_left: float | None = None
    error: str = ""
    files: tuple[str, ...] = ()
    stop: threading.Event = field(default_factory=threading.Event, repr=False)

    def page_record(self) -> Mapping[str, object]:
        """What the page reads of the progress."""
        return {
            "state": self.state,
            "share": self.fraction_done,
            "frames": self.frames,
            "left": self.seconds_left,
            "error": self.error,
            "files": self.files,
        }


class Videos:
    """Predicts videos in their turn, and knows the progress of each."""

    def __init__(self, service: Service, store: ResultStore, options: AppOptions) -> None:
        self._service = service
        self._store = store
        self._options = options
        self._slots = WorkSlots(1, waiting=options.limits.queue)
        self._work: dict[str, VideoWork] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Stop all work and wait for its end."""
        self._slots.close()
        for work in self._work.values():
            work.stop.set()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def find(self, result: StoredResult) -> VideoWork | None:
        """Progress of the result of a video; None for that of a photograph."""
        return self._work.get(result.id)

    async def store_and_queue(
        self, upload: Upload, client: str, model: str, outputs: Sequence[str]
    ) -> StoredResult:
        """Store a video and queue its prediction; refuse one above the limits, or a full queue."""
        try:
            offered = self._service.offered
            name = offered.server_name(offered.video_name(model))
            if not outputs or not set(outputs) <= set(VIDEOS):
                raise OptionError(f"of a video the app makes one or more of {', '.join(VIDEOS)}")
            self._slots.refuse_if_full()
            result, path = await self._store_video_within_limits(upload, client, outputs)
        finally:
            upload.close()
        # Forget the work on results that are deleted.
        self._work = {id: work for id, work in self._work.items() if id in self._store}
        work = VideoWork()
        self._work[result.id] = work
        task = asyncio.create_task(self._predict_in_turn(result, work, path, name, tuple(outputs)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return result

    async def _store_video_within_limits(
        self, upload: Upload, client: str, outputs: Sequence[str]
    ) -> tuple[StoredResult, Path]:
        result = self._store.create(upload.name, client, upload.size)
        try:
            path = await self._service.run_in_worker(lambda: _copy_upload(upload, result))
            source = await open_video_within_limits(path, self._service, self._options)
            # A waiting video must not keep a decoding process, so its turn opens it again.
            await asyncio.to_thread(source.close)
            self._store.resize(result, upload.size + max_file_bytes(source, outputs))
        except BaseException:
            self._store.remove(result)
            self._store.release(result)
            raise
        return result, path

    async def _predict_in_turn(
        self, result: StoredResult, work: VideoWork, path: Path, name: str, outputs: tuple[str, ...]
    ) -> None:
        try:
            slot = await self._slots.acquire(result.client)
            try:
                await self._predict_video(result, work, path, name, outputs)
            finally:
                slot.release()
            work.files = tuple(sorted(file.name for file in (result.path / MADE).iterdir()))
            work.state = "done"
            work.fraction_done = 1.0
            work.seconds_left = 0.0
        except _VideoStopped:
            work.state = "stopped"
            self._store.remove(result)
        except Exception as error:
            work.error = self._service.refusal_of(error).line
            work.state = "failed"
        finally:
            self._store.resize(result, _bytes_of_files_below(result.path))
            self._store.release(result)

    async def _predict_video(
        self, result: StoredResult, work: VideoWork, path: Path, name: str, outputs: tuple[str, ...]
    ) -> None:
        if work.stop.is_set():
            raise _VideoStopped
        work.state = "working"
        source = await self._service.open_video(path)
        try:
            model = await self._service.networks.video_model(Variant(name=name))
            file_bytes = result.size
            answer_bytes = await asyncio.to_thread(estimated_answer_bytes, source, model)
            self._store.resize(result, file_bytes + answer_bytes)
            report = self._progress_callback_with_limits(result, work, file_bytes)
            options = ClipOptions(outputs=outputs)
            target = result.path / MADE / result.name
            await asyncio.to_thread(predict_clip, source, model, target, options, report)
        finally:
            await asyncio.to_thread(source.close)

    def _progress_callback_with_limits(
        self, result: StoredResult, work: VideoWork, max_bytes: int
    ) -> Callable[[int, int | None], None]:
        """Make the function that notes the progress, and ends work that takes too much."""
        start = time.monotonic()
        limits = self._options.limits

        def report_or_stop(done: int, total: int | None) -> None:
            elapsed = time.monotonic() - start
            is_unwatched = time.monotonic() - result.last_used > _MAX_UNWATCHED_SECONDS
            if work.stop.is_set() or is_unwatched:
                raise _VideoStopped
            if elapsed > limits.video_seconds:
                raise InputError(
                    f"not done after {limits.video_seconds:g} s, which is the limit; make it "
                    "shorter or smaller first",
                    path=result.name,
                )
            # The length in the file's header need not be true. Every frame counts twice.
            if done > 2 * limits.video_frames or _bytes_of_files_below(result.path) > max_bytes:
                raise InputError(
                    "is longer than its header says; make it shorter first", path=result.name
                )
            work.frames = done
            fraction = min(done / total, 1.0) if total else None
            work.fraction_done = fraction
            work.seconds_left = elapsed * (1 - fraction) / fraction if fraction else None

        return report_or_stop


def _copy_upload(upload: Upload, result: StoredResult) -> Path:
    path = result.path / _SOURCE / result.name
    path.parent.mkdir()
    upload.copy_to(path)
    return path


async def open_video_within_limits(
    path: Path, service: Service, options: AppOptions
) -> FrameSource:
    """Open a video, or raise ``InputError`` if it is above the limits."""
    source = await service.open_video(path)
    try:
        refuse_oversized_video(source, path.name, options)
    except BaseException:
        source.close()
        raise
    return source


def refuse_oversized_video(reader: FrameSource, name: str, options: AppOptions) -> None:
    """Raise ``InputError`` if the frames have too many pixels, or are too many."""
    check_size(name, reader.size, max_pixels=options.max_pixels // _PHOTOGRAPH_PER_FRAME_PIXELS)
    frames = reader.frame_estimate
    limit = options.limits.video_frames
    if frames is not None and frames > limit:
        raise InputError(
            f"has {frames}, above the limit of {limit} frames; make it shorter first", path=name
        )


def max_file_bytes(source: FrameSource, outputs: Sequence[str]) -> int:
    """Bytes that the outputs of a video may take; work that needs more is ended."""
    height, width = source.size
    frames = (source.frame_estimate or 0) + _SPARE_FRAMES
    forms = (OUTPUTS[name].video for name in outputs)
    bytes_per_pixel = sum(form.bytes_per_pixel for form in forms if form is not None)
    return int(frames * height * width * bytes_per_pixel)


def estimated_answer_bytes(source: FrameSource, model: Model) -> int:
    """Estimate the bytes of the network's answers to all frames, by inferring the first one."""
    first = next(iter(source), None)
    if first is None:
        return 0  # the prediction refuses a video without frames
    [answer] = model.infer([first.photo])
    parts = (answer.depth, answer.normals, answer.confidence, answer.sky)
    values = sum(part.size for part in parts if part is not None)
    return 4 * values * ((source.frame_estimate or 0) + _SPARE_FRAMES)


def _bytes_of_files_below(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
