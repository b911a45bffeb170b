"""Photographs of visitors, which are predicted once, and from which files are written on demand.

The network's answer is stored without rounding, so that later files are the same as those of
another run.
"""

import asyncio
import zipfile
from collections import Counter, OrderedDict
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

PHOTO = "photo"
"""File of a result with the photograph as it was sent."""
VIEW = "view"
"""File that the page shows; see ``view_file``."""
THUMBNAIL = "thumbnail.jpg"
_INFERENCE = "inference.npz"
_PARAMETERS = "asked.json"

_MAX_EXAMPLES = 32  # results of examples that all visitors share
_PANORAMA_NOTE = (
    "looks like a panorama and was taken as one; Settings, Lens: ordinary takes it otherwise"
)
Departure = Callable[[], Awaitable[object]]
EXAMPLES = files("rilievo.serving.browser") / "examples"


class PhotoResults:
    """Makes the results of photographs, and files from them."""

    def __init__(self, service: Service, store: ResultStore) -> None:
        self._service = service
        self._store = store
        self._examples: OrderedDict[tuple[str, str], asyncio.Future[str]] = OrderedDict()

    async def predict(
        self, upload: Upload, client: str, params: PredictParams, departure: Departure
    ) -> StoredResult:
        """Predict a photograph and store the result.

        A photograph that looks like a panorama is predicted as one, if the visitor named no lens.
        What ``departure`` returns ends when the visitor leaves, which ends the work.

        Returns:
            The result, pinned, which the caller has to release.
        """
        service = self._service
        name = upload.name
        job = await service.new_job(upload, client)

        async def predict_and_store(job: ImageJob) -> StoredResult:
            content = await service.run_in_worker(job.upload.read)
            used_params = params
            prediction = await service.predict(job, used_params)
            if _is_undeclared_panorama(params, prediction):
                job.inference = None
                job.upload = Upload(BytesIO(content), name=name)
                used_params = PredictParams.model_validate(
                    {**params.model_dump(exclude_defaults=True), "projection": "equirect"}
                )
                prediction = await service.predict(job, used_params)
                prediction = prediction.but(notes=(*prediction.notes, _PANORAMA_NOTE))
            return await self._store_result(name, client, used_params, job, content, prediction)

        slots = service.slots(is_heavy=job.is_heavy)
        return await service.jobs.run_in_slot(
            slots, job, predict_and_store, departure(), unused=self._store.release
        )

    async def example_result(
        self, name: str, client: str, request: PredictParams, departure: Departure
    ) -> StoredResult:
        """Return the result of an example, pinned.

        All visitors share the results of examples whose parameters are the defaults.
        """
        if name not in example_names():
            raise Refusal(404, "there is no such example")
        has_default_parameters = request == PredictParams(model=request.model)
        if not has_default_parameters:
            return await self.predict(_example_upload(name), client, request, departure)

        key = name, self._service.offered.server_name(request.model)
        shared_id = self._examples.get(key)
        if shared_id is None or (shared_id.done() and not self._result_exists(shared_id)):
            shared_id = asyncio.ensure_future(self._predict_example(name, request))
            shared_id.add_done_callback(_has_succeeded)  # which reads the error that nobody awaits
            self._examples[key] = shared_id
            if len(self._examples) > _MAX_EXAMPLES:
                self._examples.popitem(last=False)
        self._examples.move_to_end(key)
        # Without the shield, a visitor who leaves would cancel the work for all others.
        result = self._store.find(await asyncio.shield(shared_id))
        result.pins += 1
        return result

    def _result_exists(self, ended_id: "asyncio.Future[str]") -> bool:
        return _has_succeeded(ended_id) and ended_id.result() in self._store

    async def _predict_example(self, name: str, request: PredictParams) -> str:
        """Predict an example and return the id of its result."""
        # All visitors wait for it, so the work does not end when one of them leaves.
        departure = asyncio.get_running_loop().create_future
        result = await self.predict(_example_upload(name), "", request, departure)
        self._store.release(result)
        return result.id

    def photograph_upload(self, result: StoredResult) -> Upload:
        """Make the photograph of a result an upload again."""
        return Upload(BytesIO((result.path / PHOTO).read_bytes()), name=result.name)

    async def write_outputs(
        self,
        result: StoredResult,
        client: str,
        changes: PredictParams,
        outputs: tuple[str, ...],
        departure: Departure,
        name: str | None = None,
    ) -> tuple[Prediction, WrittenFiles]:
        """Write outputs of a result, which the caller has pinned.

        ``changes`` replace parameters of the result; the network runs again only if they change the
        model or the lens. The files have the ``name`` of the result by default.
        """
        service = self._service
        stored = PredictParams.model_validate_json((result.path / _PARAMETERS).read_bytes())
        params = stored.model_copy(update=changes.model_dump(exclude_unset=True))
        upload = self.photograph_upload(result)
        upload.name = name or result.name
        job = await service.new_job(upload, client, outputs)
        if _variant_and_view(params) == _variant_and_view(stored):
            job.inference = load_inference(result.path / _INFERENCE)

        def remove_files(outcome: tuple[Prediction, WrittenFiles]) -> None:
            _, written = outcome
            written.remove()

        return await service.jobs.run_in_slot(
            service.slots(is_heavy=job.is_heavy),
            job,
            lambda job: service.predict_and_write(job, params, outputs),
            departure(),
            unused=remove_files,
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
                _INFERENCE: inference_bytes(inference),
                VIEW: view_bytes(prediction, name, model, inference),
                THUMBNAIL: thumbnail_jpeg(prediction),
                _PARAMETERS: params.model_dump_json(exclude_defaults=True).encode(),
            }

        contents = await service.run_in_job_pool(job, result_files)
        size = sum(map(len, contents.values()))
        result = self._store.create(name, client, size)
        try:
            await service.run_in_worker(lambda: _write_contents(result.path, contents))
        except BaseException:
            self._store.remove(result)
            self._store.release(result)
            raise
        return result


def _variant_and_view(request: PredictParams) -> tuple[Variant, CameraOptions]:
    return request.variant(request.model), request.options.view


def _is_undeclared_panorama(request: PredictParams, prediction: Prediction) -> bool:
    view = request.options.view
    is_lens_named = any(value is not None for value in (view.camera, view.projection, view.fov))
    if is_lens_named or prediction.photo is None:
        return False
    return panorama_note(prediction.photo) is not None


def _has_succeeded(ended: "asyncio.Future[str]") -> bool:
    return not ended.cancelled() and ended.exception() is None


def _example_upload(name: str) -> Upload:
    return Upload(BytesIO((EXAMPLES / f"{name}.jpg").read_bytes()), name=name)


def example_names() -> tuple[str, ...]:
    """Names of the photographs that the page offers to try, sorted."""
    return tuple(sorted(file.name.removesuffix(".jpg") for file in EXAMPLES.iterdir()))


def _write_contents(folder: Path, contents: Mapping[str, bytes]) -> None:
    for name, content in contents.items():
        (folder / name).write_bytes(content)


def results_zip_response(
    photographs: PhotoResults,
    store: ResultStore,
    results: Sequence[StoredResult],
    *,
    client: str,
    outputs: tuple[str, ...],
    seconds: float | int,
) -> TimedResponse:
    """Respond with a zip of the outputs of several results, whose pins it releases at the end."""

    async def release_pins() -> None:
        for result in results:
            store.release(result)

    return TimedResponse(
        _result_zip_pieces(photographs, results, client, outputs),
        headers={"Content-Disposition": 'attachment; filename="results.zip"'},
        media_type="application/zip",
        seconds=seconds,
        tidy=release_pins,
    )


async def _result_zip_pieces(
    photographs: PhotoResults,
    results: Sequence[StoredResult],
    client: str,
    outputs: tuple[str, ...],
) -> AsyncGenerator[bytes]:
    """Write one result after the other and yield the bytes of the zip as they come.

    Results of one name are numbered. For a result that fails there is a text with the error.
    """
    pipe = Pipe()
    counts = Counter[str]()
    # This future never ends: when the client leaves, the server closes this generator.
    departure = asyncio.get_running_loop().create_future
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as packed:  # pyright: ignore
        for result in results:
            counts[result.name] += 1
            count = counts[result.name]
            name = result.name if count == 1 else f"{result.name}-{count}"
            try:
                _, written = await photographs.write_outputs(
                    result, client, PredictParams(), outputs, departure, name
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
