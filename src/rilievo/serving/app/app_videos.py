"""Videos of visitors: one at a time, within limits."""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
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

SOURCE, MADE = "source", "made"

_FRAME_SHARE = 3
_SPARE_FRAMES = 30
_LISTENED_SECONDS = 300.0


class _VideoStopped(Exception):
    """Work was stopped, or nobody waits for it."""


@dataclass(slots=True, kw_only=True)
class VideoWork:
    """Work on one video, as the page shows it.

    Attributes:
        state: waiting, working, done, failed or stopped.
        share: Finished share; None for videos of unknown length.
        frames: Number of processed frames; every frame counts twice.
        left: Remaining time [s].
    """

    state: str = "waiting"
    share: float | None = None
    frames: int = 0
    left: float | None = None
    error: str = ""
    files: tuple[str, ...] = ()
    stop: threading.Event = field(default_factory=threading.Event, repr=False)

    def progress_facts(self) -> Mapping[str, object]:
        """All attributes but ``stop``."""
        return {
            attribute.name: getattr(self, attribute.name)
            for attribute in fields(self)
            if attribute.name != "stop"
        }


class Videos:
    """Results of videos."""

    def __init__(self, service: Service, store: ResultStore, options: AppOptions) -> None:
        self._service, self._store, self._options = service, store, options
        self._slots = WorkSlots(1, waiting=options.limits.queue)
        self._work: dict[str, VideoWork] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Stop all work, and wait for its end."""
        self._slots.close()
        for work in self._work.values():
            work.stop.set()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def find(self, entry: StoredResult) -> VideoWork | None:
        """Work on a video; None for a photograph."""
        return self._work.get(entry.id)

    async def store_and_queue(
        self, upload: Upload, client: str, model: str, outputs: Sequence[str]
    ) -> StoredResult:
        """Store a video, and queue its prediction."""
        try:
            offered = self._service.offered
            name = offered.server_name(offered.video_name(model))
            if not outputs or not set(outputs) <= set(VIDEOS):
                raise OptionError(f"of a video the app makes one or more of {', '.join(VIDEOS)}")
            self._slots.refuse_if_full()
            entry, path = await self._store_video_within_limits(upload, client, outputs)
        finally:
            upload.close()
        self._work = {id: work for id, work in self._work.items() if id in self._store}
        work = self._work[entry.id] = VideoWork()
        task = asyncio.create_task(self._predict_in_turn(entry, work, path, name, tuple(outputs)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return entry

    async def _store_video_within_limits(
        self, upload: Upload, client: str, outputs: Sequence[str]
    ) -> tuple[StoredResult, Path]:
        entry = self._store.create(upload.name, client, upload.size)
        try:
            path = await self._service.run_in_worker(lambda: _copy_upload(upload, entry))
            source = await open_video_within_limits(path, self._service, self._options)
            # A video that waits holds no process that decodes; its turn opens it again.
            await asyncio.to_thread(source.close)
            self._store.resize(entry, upload.size + most_file_bytes(source, outputs))
        except BaseException:
            self._store.remove(entry)
            self._store.release(entry)
            raise
        return entry, path

    async def _predict_in_turn(
        self, entry: StoredResult, work: VideoWork, path: Path, name: str, outputs: tuple[str, ...]
    ) -> None:
        try:
            slot = await self._slots.acquire(entry.client)
            try:
                await self._predict_video(entry, work, path, name, outputs)
            finally:
                slot.release()
            work.files = tuple(sorted(file.name for file in (entry.path / MADE).iterdir()))
            work.state, work.share, work.left = "done", 1.0, 0.0
        except _VideoStopped:
            work.state = "stopped"
            self._store.remove(entry)
        except Exception as error:
            line = self._service.refusal_of(error).line
            work.state, work.error = "failed", line
        finally:
            self._store.resize(entry, _bytes_of_files_below(entry.path))
            self._store.release(entry)

    async def _predict_video(
        self, entry: StoredResult, work: VideoWork, path: Path, name: str, outputs: tuple[str, ...]
    ) -> None:
        if work.stop.is_set():
            raise _VideoStopped
        work.state = "working"
        source = await self._service.open_video(path)
        try:
            model = await self._service.networks.video_model(Variant(name=name))
            reserve = await asyncio.to_thread(estimated_answer_bytes, source, model)
            self._store.resize(entry, entry.size + reserve)
            report = self._progress_callback_with_limits(entry, work, entry.size - reserve)
            options, target = ClipOptions(outputs=outputs), entry.path / MADE / entry.name
            await asyncio.to_thread(predict_clip, source, model, target, options, report)
        finally:
            await asyncio.to_thread(source.close)

    def _progress_callback_with_limits(
        self, entry: StoredResult, work: VideoWork, most_bytes: int
    ) -> Callable[[int, int | None], None]:
        start, limits = time.monotonic(), self._options.limits

        def report_or_stop(done: int, total: int | None) -> None:
            elapsed = time.monotonic() - start
            if work.stop.is_set() or time.monotonic() - entry.used > _LISTENED_SECONDS:
                raise _VideoStopped
            if elapsed > limits.video_seconds:
                raise InputError(
                    (
                        f"not done after {limits.video_seconds:g} s, which is the "
                        "limit; make it shorter or smaller first"
                    ),
                    path=entry.name,
                )
            # The length in the file's header need not be true.
            if done > 2 * limits.video_frames or _bytes_of_files_below(entry.path) > most_bytes:
                raise InputError(
                    "is longer than its header says; make it shorter first", path=entry.name
                )
            work.frames = done
            work.share = min(done / total, 1.0) if total else None
            work.left = elapsed * (1 - work.share) / work.share if work.share else None

        return report_or_stop


def _copy_upload(upload: Upload, entry: StoredResult) -> Path:
    path = entry.path / SOURCE / entry.name
    path.parent.mkdir()
    upload.copy_to(path)
    return path


async def open_video_within_limits(
    path: Path, service: Service, options: AppOptions
) -> FrameSource:
    """Open a video; refuse one above the limits."""
    source = await service.open_video(path)
    try:
        refuse_oversized_video(source, path.name, options)
    except BaseException:
        source.close()
        raise
    return source


def refuse_oversized_video(reader: FrameSource, name: str, options: AppOptions) -> None:
    """Refuse too many pixels in a frame, or frames."""
    check_size(name, reader.size, max_pixels=options.max_pixels // _FRAME_SHARE)
    frames = reader.frame_estimate
    most = options.limits.video_frames
    if frames is not None and frames > most:
        raise InputError(
            f"has {frames}, above the limit of {most} frames; make it shorter first", path=name
        )


def most_file_bytes(source: FrameSource, outputs: Sequence[str]) -> int:
    """Estimate for a video's outputs; more ends the work."""
    height, width = source.size
    frames = (source.frame_estimate or 0) + _SPARE_FRAMES
    forms = (OUTPUTS[name].video for name in outputs)
    bytes_per_pixel = sum(form.bytes_per_pixel for form in forms if form is not None)
    return int(frames * height * width * bytes_per_pixel)


def estimated_answer_bytes(source: FrameSource, model: Model) -> int:
    """Estimate for all frames, of which the first is inferred."""
    first = next(iter(source), None)
    if first is None:
        return 0  # which is told where the video is predicted
    [answer] = model.infer([first.photo])
    parts = (answer.depth, answer.normals, answer.confidence, answer.sky)
    values = sum(part.size for part in parts if part is not None)
    return 4 * values * ((source.frame_estimate or 0) + _SPARE_FRAMES)


def _bytes_of_files_below(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
