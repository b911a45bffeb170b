"""The work for a request: decode the photograph, run the network, finish and write."""

import asyncio
import json
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from rilievo.calibration.readings import Pixel, median_around, normalized_points_note
from rilievo.errors import CalibrationError, OptionError, explain_missing_extra
from rilievo.errors.messages import spell_parameter, worded
from rilievo.io.json_record import to_json
from rilievo.io.outputs.sidecar import make_sidecar
from rilievo.io.videos.frame_source import FrameSource
from rilievo.models.base import Inference, Model
from rilievo.options.photo_options import ReadingArguments
from rilievo.predicting.photographs.finishing import finish_photo, is_depth_sufficient
from rilievo.predicting.photographs.named_camera import with_camera
from rilievo.predicting.run import no_output_notes
from rilievo.prediction import Prediction
from rilievo.prediction.output import Need
from rilievo.prediction.saving import output_parts
from rilievo.records.sample import Photo
from rilievo.serving.listener.connections import OpenStreams
from rilievo.serving.listener.jobs import Jobs, RequestJob
from rilievo.serving.listener.process import trim_heap
from rilievo.serving.listener.request_refusals import Refusal, refusal_from_error
from rilievo.serving.listener.work_slots import WorkSlots
from rilievo.serving.server.answer_files import (
    WrittenFiles,
    file_output_names,
    have_heavy_output,
    max_output_bytes,
    write_request_outputs,
)
from rilievo.serving.server.counters import Metrics
from rilievo.serving.server.decoding.decoder_pool import Decoders
from rilievo.serving.server.offered_models import OfferedModels
from rilievo.serving.server.params import Point, PredictParams, RequestParams
from rilievo.serving.server.request_files import Folders
from rilievo.serving.server.server_models import Networks
from rilievo.serving.server.server_options import ServerOptions
from rilievo.serving.server.uploads import Upload, Uploads


def check_image_and_packages(upload: Upload, params: RequestParams) -> None:
    """Raise an error if a request has no image, or needs a package that is not installed."""
    if params.options.sizes.markers is not None:
        with explain_missing_extra("", "markers", option="markers"):
            import cv2  # noqa: F401
    if not upload.size:
        raise OptionError(
            "no image: send one as the request body, or as the file 'image' in a form"
        )


def postprocess_for_client(
    model: Model,
    inference: Inference,
    photo: Photo,
    params: RequestParams,
    *,
    display_name: str,
    outputs: Sequence[str] | None = None,
) -> Prediction:
    """Turn the output of a network into a prediction at the photograph's size.

    Args:
        model: Model of the network.
        inference: Output of the network.
        photo: Photograph, with the camera that the request states.
        params: Parameters of the request.
        display_name: Name of the model for clients.
        outputs: Outputs that the request asks for, or None if it asks for none. Normals that no
            output needs are left out, and options that have no effect on the outputs are noted.
    """
    prediction = finish_photo(model, inference, photo, params.options)
    prediction = prediction.but(made_by=replace(prediction.made_by, model=display_name))
    if outputs is None:
        return prediction

    names = file_output_names(outputs)
    unused_option_notes = no_output_notes(params.options, names)
    prediction = prediction.but(notes=(*prediction.notes, *unused_option_notes))
    if Need.NORMALS not in output_parts(names):
        prediction = prediction.but(normals=None)
    return prediction


def client_notes(prediction: Prediction) -> list[str]:
    """Notes on a prediction. They name request parameters, not command-line options."""
    return [worded(note, spell_parameter) for note in prediction.notes]


def prediction_record(prediction: Prediction, points: list[Point]) -> dict[str, object]:
    """Describe a prediction in JSON, with its depth at points (u, v) [px]."""
    record: dict[str, object] = json.loads(to_json(make_sidecar(prediction)))
    for name in ("files", "earlier", "run"):  # they describe files on a disk
        record.pop(name, None)
    if points:
        record["at"] = [_depth_record(prediction, u, v) for u, v in points]
    notes = client_notes(prediction)
    points_note = normalized_points_note(points, prediction.shape)
    if points_note:
        notes.append(points_note)
    record["notes"] = notes
    return record


def _depth_record(prediction: Prediction, u: float, v: float) -> dict[str, float]:
    if prediction.depth_or_none is None:
        raise CalibrationError(
            "this model predicts no depth, so points have no depth value: use another model"
        )
    value = median_around(prediction.depth, Pixel(u, v, f"the point {u:g},{v:g}"))
    return {"u": u, "v": v, "value": value}


@dataclass(slots=True, kw_only=True)
class ImageJob(RequestJob):
    """Request about an image.

    Attributes:
        upload: Image and parameters.
        inference: Output of the network; None if it has not run yet.
    """

    upload: Upload
    inference: Inference | None = None

    def close(self) -> None:
        """Close the upload."""
        self.upload.close()


_HEAVY_BYTES = 4_000_000
"""Requests with larger bodies are heavy, which means that their work takes seconds."""
_HEAVY_PIXELS = 4_000_000
"""Requests with larger photographs are heavy, too [px]."""
_HEAVY_SLOTS = 2
"""Heavy requests at a time: one is decoded while the other one is finished. Each may take a
gigabyte."""
_LIGHT_CPU_SECONDS = 5
"""Most CPU time for decoding the photograph of a request that is not heavy [s]."""
_HEAVY_CPU_SECONDS = 20
"""Most CPU time for decoding the photograph of a heavy request [s]."""
_TIDY_SECONDS = 1.0
"""Time between two checks whether memory can be released [s]."""
_TIDY_REQUESTS = 50
"""Requests after which memory is released, even if the server is busy."""
_SPARE_SLOTS = 2
"""Slots that one client alone never gets."""
_PARALLEL_VIDEO_OPENINGS = 2
T = TypeVar("T")


class Service:
    """Decodes, predicts and writes for requests, which share models, decoders, threads and limits.

    Heavy requests (large photographs, slow outputs) have slots and threads of their own, so that
    light ones can pass them.
    """

    def __init__(
        self, options: ServerOptions, offered: OfferedModels, folders: Folders, metrics: Metrics
    ) -> None:
        self.options = options
        self.offered = offered
        self.folders = folders
        self.metrics = metrics
        limits = options.limits
        self.networks = Networks(
            offered.load,
            max_batch=limits.batch,
            batch_wait_seconds=limits.batch_seconds,
            on_batch=metrics.count_batch,
        )
        workers = limits.workers
        self.light = WorkSlots(workers + limits.batch, waiting=limits.queue, spare=_SPARE_SLOTS)
        self.heavy = WorkSlots(_HEAVY_SLOTS, waiting=limits.queue, spare=1)
        # One thread more than there are workers decodes, so that the network stays busy while
        # workers write. The spare slot keeps one client alone from taking all decoding processes.
        self.decoders = Decoders(max_pixels=options.max_pixels, idle=workers + 2)
        self._decoding = WorkSlots(workers + 1, waiting=4 * limits.queue, spare=1)
        self._readers = ThreadPoolExecutor(workers + 1, "read")
        self._heavy_reader = ThreadPoolExecutor(1, "heavy-read")
        self._video_openers = ThreadPoolExecutor(_PARALLEL_VIDEO_OPENINGS, "open")
        self._workers = ThreadPoolExecutor(workers, "work")
        self._heavy_worker = ThreadPoolExecutor(1, "heavy")
        self.uploads = Uploads(
            folders.disk,
            max_arrivals=limits.uploads,
            max_bytes=options.max_bytes,
            seconds=limits.upload_seconds,
        )
        self.jobs = Jobs(options.time_limit)
        self.streams = OpenStreams(limits.streams, max_per_client=max(1, limits.streams // 2))
        self._register_gauges()

    async def release_memory_forever(self) -> None:
        """Return freed memory to the system after requests, preferably when the server is idle."""
        num_started_at_release = 0
        while True:
            await asyncio.sleep(_TIDY_SECONDS)
            num_started_since = self.jobs.num_started - num_started_at_release
            is_idle = not self.jobs.num_running
            if num_started_since >= _TIDY_REQUESTS or (num_started_since > 0 and is_idle):
                num_started_at_release = self.jobs.num_started
                if is_idle:
                    await self.networks.release_batch_memory()
                await self.run_in_worker(trim_heap)

    async def close(self) -> None:
        """Refuse the requests that wait, and finish those that run."""
        self.light.close()
        self.heavy.close()
        self._decoding.close()
        await self.networks.close()
        await self.jobs.wait_for_all()
        for pool in (self._readers, self._heavy_reader, self._video_openers):
            pool.shutdown(cancel_futures=True)
        for pool in (self._workers, self._heavy_worker):
            pool.shutdown(cancel_futures=True)
        await asyncio.to_thread(self.decoders.close)

    def refusal_for(self, error: Exception) -> Refusal:
        """Refusal that tells a client about an error, without paths of the server."""
        return refusal_from_error(error, self.offered.display_names_by_path)

    async def create_job(
        self, upload: Upload, client: str, outputs: Sequence[str] = ()
    ) -> ImageJob:
        """Create the job for an upload, and decide whether it is heavy.

        It is heavy if its body is large, an output takes long to write, or its image has many
        pixels. If this fails, the upload is closed.
        """
        job = ImageJob(
            upload=upload,
            client=client,
            is_heavy=self.is_heavy(upload.size, outputs),
            deadline=self.jobs.deadline_after(upload.created_at),
        )
        try:
            if upload.size and not job.is_heavy:
                job.is_heavy = await self._count_pixels(job) > _HEAVY_PIXELS
        except BaseException:
            upload.close()
            raise
        return job

    async def _count_pixels(self, job: ImageJob) -> int:
        """Read the number of pixels of a job's image from the header of its file."""
        read_size = self._decode_in_turn(
            job, lambda: self.decoders.image_size(job.upload, deadline=job.deadline)
        )
        height, width = await self.jobs.result_in_time(job.deadline, read_size)
        return height * width

    def is_heavy(self, size: int, outputs: Sequence[str] = ()) -> bool:
        """Whether a request with a body of ``size`` bytes takes seconds."""
        return size > _HEAVY_BYTES or have_heavy_output(outputs)

    def slots(self, *, is_heavy: bool) -> WorkSlots:
        """Slots for which a request waits."""
        return self.heavy if is_heavy else self.light

    async def predict(
        self,
        job: ImageJob,
        params: RequestParams,
        *,
        outputs: Sequence[str] | None = None,
        on_size: Callable[[int], None] = lambda pixel_count: None,
    ) -> Prediction:
        """Predict the photograph of a job: decode it, run the network, and finish its output.

        Args:
            job: Job, which has a slot. If it has an inference already, the network does not run.
            params: Parameters of the request.
            outputs: Outputs that the request asks for; None if it asks for none, such as a
                measurement.
            on_size: Function that gets the number of pixels once the photograph is decoded.
        """
        variant = params.variant(self.offered.server_name(params.model))
        photo = await self._read_photo_with_camera(job, params)
        height, width = photo.shape
        job.is_heavy = job.is_heavy or height * width > _HEAVY_PIXELS
        on_size(height * width)
        job.raise_if_cancelled()

        if outputs is not None:
            names = file_output_names(outputs)
            needs_only_depth = is_depth_sufficient(params.options.sizes, names, photo)
            variant = replace(variant, depth_alone=needs_only_depth)
        inference = job.inference
        if inference is None:
            inference = await self.networks.infer(
                variant, photo, is_wanted=lambda: not job.is_cancelled
            )
            job.inference = inference
        job.raise_if_cancelled()
        model = await self.networks.model(variant)
        display_name = self.offered.display_name(params.model)

        def postprocess() -> Prediction:
            return postprocess_for_client(
                model, inference, photo, params, display_name=display_name, outputs=outputs
            )

        return await self.run_in_job_pool(job, postprocess)

    async def predict_and_write(
        self, job: ImageJob, params: PredictParams, outputs: Sequence[str]
    ) -> tuple[Prediction, WrittenFiles]:
        """Predict the photograph of a job and write its outputs; the caller removes the files."""
        names = file_output_names(outputs)
        saving = params.saving
        stem = job.upload.name
        folder = self.folders.make(job.client)

        def reserve_files(pixel_count: int) -> None:
            """Reserve disk space for the outputs, now that the photograph's size is known."""
            folder.set_reserved_bytes(max_output_bytes(names, pixel_count, saving))

        try:
            prediction = await self.predict(job, params, outputs=outputs, on_size=reserve_files)
            job.raise_if_cancelled()
            written = await self.run_in_job_pool(
                job, lambda: write_request_outputs(prediction, outputs, saving, folder, stem)
            )
        except BaseException:
            folder.remove()
            raise
        return prediction, written

    async def decode_photo(
        self, job: ImageJob, *, own_depth: bool, reading: ReadingArguments
    ) -> Photo:
        """Decode the photograph of a job when its turn comes.

        Until it is decoded, ``networks.expected_photos`` counts it, so that a network can wait a
        moment in order to run it together with others in a batch.
        """

        def decode() -> Photo:
            """Decode in one of the isolated processes, unless the job was cancelled meanwhile."""
            job.raise_if_cancelled()
            return self.decoders.read_photo(
                job.upload,
                own_depth=own_depth,
                reading=reading,
                cpu_seconds=_HEAVY_CPU_SECONDS if job.is_heavy else _LIGHT_CPU_SECONDS,
                deadline=job.deadline,
            )

        self.networks.expected_photos += 1
        try:
            if job.is_heavy:
                return await self._run_in_pool(self._heavy_reader, decode)
            return await self._decode_in_turn(job, decode)
        finally:
            self.networks.expected_photos -= 1

    async def _decode_in_turn(self, job: ImageJob, work: Callable[[], T]) -> T:
        """Run decoding work once the job has one of the slots for decoding."""
        slot = await self._decoding.acquire(job.client)
        try:
            return await self._run_in_pool(self._readers, work)
        finally:
            slot.release()

    async def open_video(self, path: Path) -> FrameSource:
        """Open a video, which the caller closes."""
        return await self._run_in_pool(self._video_openers, lambda: self.decoders.open_video(path))

    async def run_in_worker(self, work: Callable[[], T]) -> T:
        """Run short work in a thread for light requests."""
        return await self._run_in_pool(self._workers, work)

    async def run_in_job_pool(self, job: ImageJob, work: Callable[[], T]) -> T:
        """Run work for a request in a thread for light or for heavy ones."""
        pool = self._heavy_worker if job.is_heavy else self._workers
        return await self._run_in_pool(pool, work)

    async def _read_photo_with_camera(self, job: ImageJob, params: RequestParams) -> Photo:
        check_image_and_packages(job.upload, params)
        options = params.options
        photo = await self.decode_photo(
            job, own_depth=options.sizes.reads_own_depth, reading=options.refine.reading
        )
        job.upload.close()
        return with_camera(photo, options.view.named_camera, options.view.fov)

    async def _run_in_pool(self, pool: Executor, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(pool, work)

    def _register_gauges(self) -> None:
        """Register gauges for waiting and running requests, uploads, streams and disk space."""
        add_gauge = self.metrics.add_gauge
        add_gauge(
            "requests_waiting",
            "Waiting requests.",
            lambda: self.light.waiting + self.heavy.waiting,
        )
        add_gauge(
            "requests_working",
            "Requests in progress.",
            lambda: self.light.working + self.heavy.working,
        )
        add_gauge("uploads", "Request bodies being received.", lambda: self.uploads.arriving)
        add_gauge("streams", "Open streams.", self.streams.total)
        add_gauge(
            "disk_bytes",
            "Disk space that requests and results use, in bytes.",
            lambda: self.folders.disk.reserved_bytes,
        )
