"""Photographs of visitors, which are predicted once, and from which files are written on demand.

The output of the network is stored without rounding, so that files that are written later are the
same as those of another run.
"""

import asyncio
import zipfile
from collections import Counter, OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from importlib.resources import files
from io import BytesIO
from pathlib import Path

from starlette.concurrency import iterate_in_threadpool

from rilievo.calibration.camera_checks import panorama_note
from rilievo.errors import RilievoError
from rilievo.options.camera_forms import CameraOptions
from rilievo.prediction import Prediction
from rilievo.serving.app.inference_file import encode_inference, read_inference
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
    "looks like a panorama and is treated as one; if it is not, set Settings > Lens to ordinary"
)
WaitForDisconnect = Callable[[], Awaitable[object]]
"""Function whose awaitable completes when the visitor leaves, which ends the work."""
EXAMPLES = files("rilievo.serving.browser") / "examples"


class PhotoResults:
    """Predicts photographs, stores the results, and writes output files from them."""

    def __init__(self, service: Service, store: ResultStore) -> None:
        self._service = service
        self._store = store
        self._examples: OrderedDict[tuple[str, str], asyncio.Future[str]] = OrderedDict()

    async def predict(
        self,
        upload: Upload,
        client: str,
        params: PredictParams,
        wait_for_disconnect: WaitForDisconnect,
    ) -> StoredResult:
        """Predict a photograph and store the result.

        If it looks like a panorama, it is predicted as one, unless the visitor chose a lens.

        Returns:
            The result, pinned; the caller has to release it.
        """
        service = self._service
        name = upload.name
        job = await service.create_job(upload, client)

        async def predict_and_store(job: ImageJob) -> StoredResult:
            """Predict, again as a panorama if it looks like one, and store the files."""
            content = await service.run_in_worker(job.upload.read)
            used_params = params
            prediction = await service.predict(job, params)
            if _is_undeclared_panorama(params, prediction):
                used_params = _as_panorama(params)
                job.inference = None  # so that the network runs again
                job.upload = Upload(BytesIO(content), name=name)  # the first one was closed
                prediction = await service.predict(job, used_params)
                prediction = prediction.but(notes=(*prediction.notes, _PANORAMA_NOTE))
            return await self._store_result(name, client, used_params, job, content, prediction)

        slots = service.slots(is_heavy=job.is_heavy)
        return await service.jobs.run_in_slot(
            slots, job, predict_and_store, wait_for_disconnect(), dispose=self._store.release
        )

    async def example_result(
        self, name: str, client: str, params: PredictParams, wait_for_disconnect: WaitForDisconnect
    ) -> StoredResult:
        """Return the result of an example photograph, pinned.

        With default parameters, the example is predicted once and all visitors share the result.
        """
        if name not in example_names():
            raise Refusal(404, f"there is no such example; known: {', '.join(example_names())}")
        has_default_parameters = params == PredictParams(model=params.model)
        if not has_default_parameters:
            return await self.predict(_example_upload(name), client, params, wait_for_disconnect)
        # Without the shield, a visitor who leaves would cancel the work for all others.
        result_id = await asyncio.shield(self._shared_result_id(name, params))
        result = self._store.find(result_id)
        result.num_pins += 1
        return result

    def _shared_result_id(self, name: str, params: PredictParams) -> "asyncio.Future[str]":
        """Id of the result of an example that visitors share, once it is predicted.

        The prediction is started if nobody has asked for it yet, if it failed, or if the result was
        deleted meanwhile.
        """
        key = name, self._service.offered.server_name(params.model)
        result_id = self._examples.get(key)
        if result_id is None or (result_id.done() and not self._result_exists(result_id)):
            result_id = asyncio.ensure_future(self._predict_example(name, params))
            # asyncio would complain about an error that nobody reads, if all visitors leave.
            result_id.add_done_callback(_has_succeeded)
            self._examples[key] = result_id
            if len(self._examples) > _MAX_EXAMPLES:
                self._examples.popitem(last=False)  # the least recently used one
        self._examples.move_to_end(key)
        return result_id

    def _result_exists(self, finished_id: "asyncio.Future[str]") -> bool:
        return _has_succeeded(finished_id) and finished_id.result() in self._store

    async def _predict_example(self, name: str, params: PredictParams) -> str:
        # A new future never completes, because the work must not end when one visitor leaves.
        never_leaves = asyncio.get_running_loop().create_future
        result = await self.predict(_example_upload(name), "", params, never_leaves)
        self._store.release(result)
        return result.id

    def photograph_upload(self, result: StoredResult) -> Upload:
        """Read the photograph of a result back as an upload."""
        return Upload(BytesIO((result.path / PHOTO).read_bytes()), name=result.name)

    async def write_outputs(
        self,
        result: StoredResult,
        client: str,
        changed_params: PredictParams,
        outputs: tuple[str, ...],
        wait_for_disconnect: WaitForDisconnect,
        name: str | None = None,
    ) -> tuple[Prediction, WrittenFiles]:
        """Write outputs of a stored result, which the caller has pinned, with some new parameters.

        The network runs again only if the model or the lens changes.

        Returns:
            The prediction, and its files, which the caller removes.
        """
        service = self._service
        stored = PredictParams.model_validate_json((result.path / _PARAMETERS).read_bytes())
        params = stored.model_copy(update=changed_params.model_dump(exclude_unset=True))
        upload = self.photograph_upload(result)
        upload.name = name or result.name
        job = await service.create_job(upload, client, outputs)
        is_inference_reusable = _variant_and_view(params) == _variant_and_view(stored)
        if is_inference_reusable:
            job.inference = read_inference(result.path / _INFERENCE)

        def remove_files(outcome: tuple[Prediction, WrittenFiles]) -> None:
            """Remove the files, if the client left before they could be sent."""
            _, written = outcome
            written.remove()

        return await service.jobs.run_in_slot(
            service.slots(is_heavy=job.is_heavy),
            job,
            lambda running_job: service.predict_and_write(running_job, params, outputs),
            wait_for_disconnect(),
            dispose=remove_files,
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
        """Store the files of a result, and return it pinned."""
        inference = job.inference
        assert inference is not None, "the job has just been predicted"
        service = self._service
        variant = params.variant(service.offered.server_name(params.model))
        model = await service.networks.model(variant)

        def make_contents() -> Mapping[str, bytes]:
            return {
                PHOTO: content,
                _INFERENCE: encode_inference(inference),
                VIEW: view_bytes(prediction, name, model, inference),
                THUMBNAIL: thumbnail_jpeg(prediction),
                _PARAMETERS: params.model_dump_json(exclude_defaults=True).encode(),
            }

        contents = await service.run_in_job_pool(job, make_contents)
        size = sum(len(file_content) for file_content in contents.values())
        result = self._store.create(name, client, size)
        try:
            await service.run_in_worker(lambda: _write_contents(result.path, contents))
        except BaseException:
            self._store.remove(result)
            self._store.release(result)
            raise
        return result


def _variant_and_view(params: PredictParams) -> tuple[Variant, CameraOptions]:
    """Everything that the output of the network depends on."""
    return params.variant(params.model), params.options.view


def _is_undeclared_panorama(params: PredictParams, prediction: Prediction) -> bool:
    """Whether a photograph looks like a panorama, and the visitor chose no lens."""
    view = params.options.view
    has_chosen_lens = any(value is not None for value in (view.camera, view.projection, view.fov))
    if has_chosen_lens or prediction.photo is None:
        return False
    return panorama_note(prediction.photo) is not None


def _as_panorama(params: PredictParams) -> PredictParams:
    """Copy of parameters with the lens of a whole panorama."""
    changed = {**params.model_dump(exclude_defaults=True), "projection": "equirect"}
    return PredictParams.model_validate(changed)


def _has_succeeded(finished: "asyncio.Future[str]") -> bool:
    return not finished.cancelled() and finished.exception() is None


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
    timeout_seconds: float | int,
) -> TimedResponse:
    """Respond with a zip of the outputs of several pinned results, and release them at the end."""

    async def release_pins() -> None:
        for result in results:
            store.release(result)

    return TimedResponse(
        _zip_results_in_pieces(photographs, results, client, outputs),
        headers={"Content-Disposition": 'attachment; filename="results.zip"'},
        media_type="application/zip",
        timeout_seconds=timeout_seconds,
        clean_up=release_pins,
    )


async def _zip_results_in_pieces(
    photographs: PhotoResults,
    results: Sequence[StoredResult],
    client: str,
    outputs: tuple[str, ...],
) -> AsyncGenerator[bytes]:
    """Write one result after the other, and yield the bytes of the zip as they come.

    Results with the same name are numbered. If a result fails, the zip has a text with the error.
    """
    pipe = Pipe()
    # A new future never completes: when the client leaves, the server closes this generator.
    never_leaves = asyncio.get_running_loop().create_future
    unique_names = _numbered_names([result.name for result in results])
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as packed:  # pyright: ignore
        for result, name in zip(results, unique_names, strict=True):
            try:
                _, written = await photographs.write_outputs(
                    result, client, PredictParams(), outputs, never_leaves, name
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


def _numbered_names(names: Sequence[str]) -> Iterator[str]:
    """Yield names, of which the second one of a kind becomes name-2, and so on."""
    counts = Counter[str]()
    for name in names:
        counts[name] += 1
        yield name if counts[name] == 1 else f"{name}-{counts[name]}"
