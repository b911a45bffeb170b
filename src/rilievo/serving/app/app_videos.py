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

OUTPUT_FOLDER = "made"
"""Folder of a result with the outputs of the video."""
_SOURCE = "source"

_PHOTOGRAPH_PER_FRAME_PIXELS = 3  # a photograph may have this many times the pixels of a frame
_SPARE_FRAMES = 30  # added to the number of frames in the file's header, which may be wrong
_VIDEO_PASSES = 2  # each frame is processed in both, and counts twice in the progress
_MAX_UNWATCHED_SECONDS = 300.0  # [s], since the page last asked for the progress


class _VideoStopped(Exception):
    """Raised when the work is stopped, or nobody watches it any more."""


@dataclass(slots=True, kw_only=True)
class VideoWork:
    """Progress of the work on one video.

    Attributes:
        state: waiting, working, done, failed or stopped.
        fraction_done: From 0 to 1; None for videos of unknown length.
        num_frames_processed: Frames that were processed in both of the two passes, added up.
        seconds_left: Estimated remaining time [s]; None if it is unknown.
        error: Message if the work has failed.
        files: Names of the outputs, once they are written.
        stop_requested: Set to stop the work.
    """

    state: str = "waiting"
    fraction_done: float | None = None
    num_frames_processed: int = 0
    seconds_left: float | None = None
    error: str = ""
    files: tuple[str, ...] = ()
    stop_requested: threading.Event = field(default_factory=threading.Event, repr=False)

    def record_progress(self, num_processed: int, total: int | None, elapsed: float) -> None:
        """Record how many frames were processed in ``elapsed`` seconds.

        ``total`` is the number of frames in both passes, or None if it is unknown. The remaining
        time is estimated from the mean speed so far.
        """
        fraction = min(num_processed / total, 1.0) if total else None
        self.num_frames_processed = num_processed
        self.fraction_done = fraction
        self.seconds_left = elapsed * (1 - fraction) / fraction if fraction else None

    def progress_record(self) -> Mapping[str, object]:
        """The progress as JSON for the page."""
        return {
            "state": self.state,
            "share": self.fraction_done,
            "frames": self.num_frames_processed,
            "left": self.seconds_left,
            "error": self.error,
            "files": self.files,
        }


class Videos:
    """Predicts videos one after the other, and knows the progress of each."""

    def __init__(self, service: Service, store: ResultStore, options: AppOptions) -> None:
        self._service = service
        self._store = store
        self._options = options
        self._slots = WorkSlots(1, waiting=options.limits.queue)
        self._work: dict[str, VideoWork] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Stop all work and wait until it has ended."""
        self._slots.close()
        for work in self._work.values():
            work.stop_requested.set()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def find(self, result: StoredResult) -> VideoWork | None:
        """Progress of a video's result, or None for the result of a photograph."""
        return self._work.get(result.id)

    async def store_and_queue(
        self, upload: Upload, client: str, model: str, outputs: Sequence[str]
    ) -> StoredResult:
        """Store a video and queue its prediction.

        Raises:
            InputError: If the video is above the limits.
            OptionError: If an output is unknown.
            Refusal: If the model is unknown, or the queue or the disk is full.
        """
        try:
            offered = self._service.offered
            model_name = offered.server_name(offered.video_name(model))
            if not outputs or not set(outputs) <= set(VIDEOS):
                raise OptionError(f"for a video, 'save' takes one or more of {', '.join(VIDEOS)}")
            self._slots.refuse_if_full()
            result, video_path = await self._store_video_within_limits(upload, client, outputs)
        finally:
            upload.close()
        self._forget_deleted_results()
        work = VideoWork()
        self._work[result.id] = work
        task = asyncio.create_task(
            self._predict_in_turn(result, work, video_path, model_name, outputs)
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return result

    def _forget_deleted_results(self) -> None:
        for result_id in [known_id for known_id in self._work if known_id not in self._store]:
            del self._work[result_id]

    async def _store_video_within_limits(
        self, upload: Upload, client: str, outputs: Sequence[str]
    ) -> tuple[StoredResult, Path]:
        """Store a video, reserve space for its outputs, and return its pinned result and path."""
        result = self._store.create(upload.name, client, upload.size)
        try:
            path = await self._service.run_in_worker(lambda: _copy_upload(upload, result))
            source = await open_video_within_limits(path, self._service, self._options)
            # A waiting video must not occupy a decoding process, so it is opened again later.
            await asyncio.to_thread(source.close)
            self._store.resize(result, upload.size + max_output_file_bytes(source, outputs))
        except BaseException:
            self._store.remove(result)
            self._store.release(result)
            raise
        return result, path

    async def _predict_in_turn(
        self, result: StoredResult, work: VideoWork, path: Path, model: str, outputs: Sequence[str]
    ) -> None:
        """Wait for a slot, predict a video in it, and record the outcome in ``work``."""
        try:
            slot = await self._slots.acquire(result.client)
            try:
                await self._predict_video(result, work, path, model, outputs)
            finally:
                slot.release()
            work.files = tuple(
                sorted(file.name for file in (result.path / OUTPUT_FOLDER).iterdir())
            )
            work.state = "done"
            work.fraction_done = 1.0
            work.seconds_left = 0.0
        except _VideoStopped:
            work.state = "stopped"
            self._store.remove(result)
        except Exception as error:
            work.error = self._service.refusal_for(error).line
            work.state = "failed"
        finally:
            # The files of a removed result count until the last pin is released.
            self._store.resize(result, _folder_bytes(result.path))
            self._store.release(result)

    async def _predict_video(
        self, result: StoredResult, work: VideoWork, path: Path, model: str, outputs: Sequence[str]
    ) -> None:
        """Predict a video and write its outputs, within the limits of space and time."""
        if work.stop_requested.is_set():
            raise _VideoStopped
        work.state = "working"
        source = await self._service.open_video(path)
        try:
            loaded = await self._service.networks.video_model(Variant(name=model))
            # Space is reserved for the upload and the outputs. While the video is predicted, the
            # inferences of all frames are on the disk too.
            max_file_bytes = result.size
            inference_bytes = await asyncio.to_thread(estimate_inference_bytes, source, loaded)
            self._store.resize(result, max_file_bytes + inference_bytes)
            report = self._progress_callback_with_limits(result, work, max_file_bytes)
            options = ClipOptions(outputs=tuple(outputs))
            target = result.path / OUTPUT_FOLDER / result.name
            await asyncio.to_thread(predict_clip, source, loaded, target, options, report)
        finally:
            await asyncio.to_thread(source.close)

    def _progress_callback_with_limits(
        self, result: StoredResult, work: VideoWork, max_bytes: int
    ) -> Callable[[int, int | None], None]:
        """Make the function that records the progress.

        It raises an error to end work that was stopped, or that takes too much time or space.
        """
        start = time.monotonic()

        def report_or_stop(num_done: int, total: int | None) -> None:
            """Record how many frames were processed; ``total`` is None if it is unknown."""
            elapsed = time.monotonic() - start
            is_unwatched = time.monotonic() - result.last_used > _MAX_UNWATCHED_SECONDS
            if work.stop_requested.is_set() or is_unwatched:
                raise _VideoStopped
            self._check_limits_of_work(result, num_done, elapsed, max_bytes)
            work.record_progress(num_done, total, elapsed)

        return report_or_stop

    def _check_limits_of_work(
        self, result: StoredResult, num_processed: int, elapsed: float, max_bytes: int
    ) -> None:
        """Raise ``InputError`` if the work on a video takes too much time or space.

        Args:
            result: Result of the video.
            num_processed: Frames that were processed in both passes, added up.
            elapsed: Time since the work began [s].
            max_bytes: Size that the files of the result may have [bytes].
        """
        limits = self._options.limits
        if elapsed > limits.video_seconds:
            raise InputError(
                f"was not processed within the time limit of {limits.video_seconds:g} s; "
                "shorten the video or reduce its resolution",
                path=result.name,
            )
        # The number of frames in the header may be wrong.
        has_too_many_frames = num_processed > _VIDEO_PASSES * limits.video_frames
        if has_too_many_frames or _folder_bytes(result.path) > max_bytes:
            raise InputError(
                "is longer than its header states, and exceeds the limits of this server; "
                "shorten the video",
                path=result.name,
            )


def _copy_upload(upload: Upload, result: StoredResult) -> Path:
    path = result.path / _SOURCE / result.name
    path.parent.mkdir()
    upload.copy_to(path)
    return path


async def open_video_within_limits(
    path: Path, service: Service, options: AppOptions
) -> FrameSource:
    """Open a video, which the caller closes; raise ``InputError`` if it is above the limits."""
    source = await service.open_video(path)
    try:
        check_video_limits(source, path.name, options)
    except BaseException:
        source.close()
        raise
    return source


def check_video_limits(source: FrameSource, name: str, options: AppOptions) -> None:
    """Raise ``InputError`` if a video has too many frames, or too many pixels in a frame."""
    check_size(name, source.size, max_pixels=options.max_pixels // _PHOTOGRAPH_PER_FRAME_PIXELS)
    num_frames = source.frame_estimate
    limit = options.limits.video_frames
    if num_frames is not None and num_frames > limit:
        raise InputError(
            f"has {num_frames} frames, but at most {limit} are allowed; shorten the video",
            path=name,
        )


def max_output_file_bytes(source: FrameSource, outputs: Sequence[str]) -> int:
    """Upper bound on the size of a video's outputs [bytes]; work that needs more is ended."""
    height, width = source.size
    num_frames = (source.frame_estimate or 0) + _SPARE_FRAMES
    formats = [OUTPUTS[name].video for name in outputs]
    bytes_per_pixel = sum(form.bytes_per_pixel for form in formats if form is not None)
    return int(num_frames * height * width * bytes_per_pixel)


def estimate_inference_bytes(source: FrameSource, model: Model) -> int:
    """Estimate the size of the inferences of all frames [bytes], by inferring the first frame."""
    first_frame = next(iter(source), None)
    if first_frame is None:
        return 0  # the prediction refuses a video without frames
    [inference] = model.infer([first_frame.photo])
    maps = (inference.depth, inference.normals, inference.confidence, inference.sky)
    num_values = sum(values.size for values in maps if values is not None)
    num_frames = (source.frame_estimate or 0) + _SPARE_FRAMES
    return 4 * num_values * num_frames  # float32


def _folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
