"""Photographs of visitors: predicted once, written as files on demand.

The network's answer is stored exactly, so that files agree with those of another run.

The page reads a result as four bytes with the length of a JSON (little-endian), the JSON, the
packed lattice, and the photograph as JPEG. The lattice has every n-th pixel: depth as float32 (NaN:
no depth, infinite: transparent), normals as int8, and the sky (1: no surface). Affine depth is
anchored.
"""

import asyncio
import zipfile
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from importlib.resources import files
from io import BytesIO
from pathlib import Path

from starlette.concurrency import iterate_in_threadpool

from rilievo.calibration.panoramas import panorama_note
from rilievo.errors import RilievoError
from rilievo.options.camera_forms import CameraOptions
from rilievo.prediction import Prediction
from rilievo.serving.app.inference_file import inference_bytes, load_inference
from rilievo.serving.app.result_store import ResultStore, StoredResult
from rilievo.serving.app.view_file import thumbnail_jpeg, view_bytes
from rilievo.serving.listener.request_refusals import Refusal
from rilievo.serving.server.answer_files import Pipe, WrittenFiles, add_files_to_zip
from rilievo.serving.server.file_responses import TimedResponse
from rilievo.serving.server.params import PredictParams, Variant
from rilievo.serving.server.service import ImageJob, Service
from rilievo.serving.server.uploads import Upload

PHOTO, INFERENCE, VIEW, THUMBNAIL, ASKED = (
    "photo",
    "inference.npz",
    "view",
    "thumbnail.jpg",
    "asked.json",
)
_MOST_EXAMPLES = 32
_ROUND = "looks like a panorama and was taken as one; Settings, Lens: ordinary takes it otherwise"
Departure = Callable[[], Awaitable[object]]
EXAMPLES = files("rilievo.serving.browser") / "examples"


class PhotoResults:
    """Results of photographs."""

    def __init__(self, service: Service, store: ResultStore) -> None:
        self._service, self._store = service, store
        self._examples: OrderedDict[tuple[str, str], asyncio.Future[str]] = OrderedDict()

    async def predict(
        self, upload: Upload, client: str, params: PredictParams, departure: Departure
    ) -> StoredResult:
        """Predict and store a photograph, pinned: it must be released."""
        service, name = self._service, upload.name
        job = await service.new_job(upload, client)

        async def predict_and_store(job: ImageJob) -> StoredResult:
            content = await service.run_in_worker(job.upload.read)
            prediction, taken = await service.predict(job, params), params
            if _is_undeclared_panorama(params, prediction):
                job.inference, job.upload = None, Upload(BytesIO(content), name=name)
                taken = PredictParams.model_validate(
                    {**params.model_dump(exclude_defaults=True), "projection": "equirect"}
                )
                prediction = await service.predict(job, taken)
                prediction = prediction.but(notes=(*prediction.notes, _ROUND))
            return await self._store_result(name, client, taken, job, content, prediction)

        slots = service.slots(is_heavy=job.is_heavy)
        return await service.jobs.run_in_slot(
            slots, job, predict_and_store, departure(), unused=self._store.release
        )

    async def example_result(
        self, name: str, client: str, request: PredictParams, departure: Departure
    ) -> StoredResult:
        """Pinned result of an example, shared if its parameters are usual."""
        if name not in example_names():
            raise Refusal(404, "there is no such example")
        if request != PredictParams(model=request.model):
            return await self.predict(_example_upload(name), client, request, departure)
        key = name, self._service.offered.server_name(request.model)
        coming = self._examples.get(key)
        if coming is None or (coming.done() and not self._result_exists(coming)):
            coming = self._examples[key] = asyncio.ensure_future(
                self._predict_example(name, request)
            )
            coming.add_done_callback(_has_succeeded)
            if len(self._examples) > _MOST_EXAMPLES:
                self._examples.popitem(last=False)
        self._examples.move_to_end(key)
        # A visitor who leaves takes it from nobody else.
        entry = self._store.find(await asyncio.shield(coming))
        entry.pins += 1
        return entry

    def _result_exists(self, ended: "asyncio.Future[str]") -> bool:
        return _has_succeeded(ended) and ended.result() in self._store

    async def _predict_example(self, name: str, request: PredictParams) -> str:
        """Predict an example; return the result's id."""
        never = asyncio.get_running_loop().create_future()
        entry = await self.predict(_example_upload(name), "", request, lambda: never)
        self._store.release(entry)
        return entry.id

    def photograph_upload(self, entry: StoredResult) -> Upload:
        """Original file of a result as an upload."""
        return Upload(BytesIO((entry.path / PHOTO).read_bytes()), name=entry.name)

    async def write_outputs(
        self,
        entry: StoredResult,
        client: str,
        changes: PredictParams,
        outputs: tuple[str, ...],
        departure: Departure,
        name: str | None = None,
    ) -> tuple[Prediction, WrittenFiles]:
        """Write outputs of a pinned result; ``changes`` replace its parameters."""
        service, path = self._service, entry.path
        before = PredictParams.model_validate_json((path / ASKED).read_bytes())
        arguments = before.model_copy(update=changes.model_dump(exclude_unset=True))
        is_same = _variant_and_view(arguments) == _variant_and_view(before)
        upload = self.photograph_upload(entry)
        upload.name = name or entry.name
        job = await service.new_job(upload, client, outputs)
        if is_same:
            job.inference = load_inference(path / INFERENCE)
        return await service.jobs.run_in_slot(
            service.slots(is_heavy=job.is_heavy),
            job,
            lambda job: service.predict_and_write(job, arguments, outputs),
            departure(),
            unused=lambda result: result[1].remove(),
        )

    async def _store_result(
        self,
        name: str,
        client: str,
        params: PredictParams,
        job: ImageJob,
        content: bytes,
        prediction: Prediction,
    ) -> StoredResult:
        inference = job.inference
        assert inference is not None, "it was predicted"
        service = self._service
        variant = params.variant(service.offered.server_name(params.model))
        model = await service.networks.model(variant)

        def result_files() -> Mapping[str, bytes]:
            return {
                PHOTO: content,
                INFERENCE: inference_bytes(inference),
                VIEW: view_bytes(prediction, name, model, inference),
                THUMBNAIL: thumbnail_jpeg(prediction),
                ASKED: params.model_dump_json(exclude_defaults=True).encode(),
            }

        parts = await service.run_in_job_pool(job, result_files)
        size = sum(map(len, parts.values()))
        entry = self._store.create(name, client, size)
        try:
            await service.run_in_worker(lambda: _write_contents(entry.path, parts))
        except BaseException:
            self._store.remove(entry)
            self._store.release(entry)
            raise
        return entry


def _variant_and_view(request: PredictParams) -> tuple[Variant, CameraOptions]:
    return request.variant(request.model), request.options.view


def _is_undeclared_panorama(request: PredictParams, prediction: Prediction) -> bool:
    photo, view = prediction.photo, request.options.view
    is_named = (view.camera, view.projection, view.fov) != (None, None, None)
    return photo is not None and not is_named and panorama_note(photo) is not None


def _has_succeeded(ended: "asyncio.Future[str]") -> bool:
    return not ended.cancelled() and ended.exception() is None


def _example_upload(name: str) -> Upload:
    return Upload(BytesIO((EXAMPLES / f"{name}.jpg").read_bytes()), name=name)


def example_names() -> tuple[str, ...]:
    """Names of our photographs, sorted."""
    return tuple(sorted(file.name.removesuffix(".jpg") for file in EXAMPLES.iterdir()))


def _write_contents(folder: Path, contents: Mapping[str, bytes]) -> None:
    for name, content in contents.items():
        (folder / name).write_bytes(content)


def results_zip_response(
    photographs: PhotoResults,
    store: ResultStore,
    entries: Sequence[StoredResult],
    *,
    client: str,
    outputs: tuple[str, ...],
    seconds: float | int,
) -> TimedResponse:
    """Response with a zip of outputs, which releases the results."""

    async def release_pins() -> None:
        for entry in entries:
            store.release(entry)

    return TimedResponse(
        _result_zip_pieces(photographs, entries, client, outputs),
        headers={"Content-Disposition": 'attachment; filename="results.zip"'},
        media_type="application/zip",
        seconds=seconds,
        tidy=release_pins,
    )


async def _result_zip_pieces(
    photographs: PhotoResults,
    entries: Sequence[StoredResult],
    client: str,
    outputs: tuple[str, ...],
) -> AsyncGenerator[bytes]:
    pipe, counts = Pipe(), dict[str, int]()
    # A client that leaves ends this function as a whole.
    departure = asyncio.get_running_loop().create_future
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as packed:  # pyright: ignore
        for entry in entries:
            count = counts[entry.name] = counts.get(entry.name, 0) + 1
            name = entry.name if count == 1 else f"{entry.name}-{count}"
            try:
                _, written = await photographs.write_outputs(
                    entry, client, PredictParams(), outputs, departure, name
                )
            except (RilievoError, Refusal) as error:
                packed.writestr(f"{name}.error.txt", f"{error}\n")
                continue
            try:
                async for piece in iterate_in_threadpool(add_files_to_zip(packed, pipe, written)):
                    yield piece
            finally:
                written.remove()
    yield pipe.take_pieces()
