"""Photographs of visitors: predicted once, written as files on demand.

The network's answer is stored exactly, so that files agree with those of another run.
"""

import asyncio
import zipfile
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from starlette.concurrency import iterate_in_threadpool

from rilievo.errors import RilievoError
from rilievo.geometry.cameras.spelling import spelled, spelling_of
from rilievo.io.files.archives import read_arrays
from rilievo.models.base import Inference
from rilievo.options.camera_forms import GivenCamera
from rilievo.predicting.photographs.photo_camera import panorama_note
from rilievo.prediction import Prediction
from rilievo.serving.app.result_store import ResultStore, StoredResult
from rilievo.serving.app.view_file import thumbnail, view_bytes
from rilievo.serving.listener.request_refusals import Refusal
from rilievo.serving.server.requests.asked import PredictAsked, Variant
from rilievo.serving.server.requests.uploads import Upload
from rilievo.serving.server.work.answer_files import Pipe, Written, zipped
from rilievo.serving.server.work.file_responses import TimedResponse
from rilievo.serving.server.work.request_results import ImageJob
from rilievo.serving.server.work.service import Service
from rilievo.types import Camera, CameraSource

_FIELDS = ("depth", "normals", "confidence", "sky")
_MEMBERS = (*_FIELDS, "valid", "shift", "lens", "source")
_MOST_BYTES = 2**31


def write_inference(inference: Inference) -> bytes:
    """Content of the file of an inference."""
    arrays = {"shift": np.array(inference.shift)}
    for name in _FIELDS:
        field = getattr(inference, name)
        if field is not None:
            arrays[name] = field
    if inference.valid is not None:
        arrays["valid"] = inference.valid
    if inference.camera is not None:
        arrays["lens"] = np.array(str(spelling_of(inference.camera.lens)))
        arrays["source"] = np.array(str(inference.camera.source))
    with BytesIO() as file:
        np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]
        return file.getvalue()


def read_inference(path: Path) -> Inference:
    """Read an inference."""
    with path.open("rb") as file:
        arrays = read_arrays(file, _MEMBERS, most_bytes=_MOST_BYTES)
    camera = None
    if "lens" in arrays:
        lens = spelled(arrays["lens"].item()).lens((2, 2))
        camera = Camera(lens=lens, source=CameraSource(arrays["source"].item()))
    fields: dict[str, Any] = {name: arrays[name] for name in _FIELDS if name in arrays}
    return Inference(
        camera=camera, valid=arrays.get("valid"), shift=float(arrays["shift"].item()), **fields
    )


PHOTO, INFERENCE, VIEW, THUMBNAIL, ASKED = (
    "photo",
    "inference.npz",
    "view",
    "thumbnail.jpg",
    "asked.json",
)

_MOST_EXAMPLES = 32

_ROUND = "looks like a panorama and was taken as one; Settings, Lens: ordinary takes it otherwise"

Left = Callable[[], Awaitable[object]]

EXAMPLES = files("rilievo.serving.browser") / "examples"


class PhotoResults:
    """Results of photographs."""

    def __init__(self, service: Service, store: ResultStore) -> None:
        self._service, self._store = service, store
        self._examples: OrderedDict[tuple[str, str], asyncio.Future[str]] = OrderedDict()

    async def predict(
        self, upload: Upload, client: str, params: PredictAsked, left: Left
    ) -> StoredResult:
        """Predict a photograph; the result must be released."""
        service, name = self._service, upload.name
        job = await service.job(upload, client)

        async def work(job: ImageJob) -> StoredResult:
            content = await service.in_worker(job.upload.read)
            prediction, taken = await service.predict(job, params), params
            if _looks_round(params, prediction):
                job.inference, job.upload = None, Upload(BytesIO(content), name=name)
                taken = PredictAsked.model_validate(
                    {**params.model_dump(exclude_defaults=True), "projection": "equirect"}
                )
                prediction = await service.predict(job, taken)
                prediction = prediction.but(notes=(*prediction.notes, _ROUND))
            return await self._keep(name, client, taken, job, content, prediction)

        turns = service.turns(is_heavy=job.is_heavy)
        return await service.jobs.in_turn(turns, job, work, left(), unused=self._store.release)

    async def example(
        self, name: str, client: str, request: PredictAsked, left: Left
    ) -> StoredResult:
        """Result of an example, shared if its parameters are usual; it must be released."""
        if name not in example_names():
            raise Refusal(404, "there is no such example")
        if request != PredictAsked(model=request.model):
            return await self.predict(_example(name), client, request, left)
        key = name, self._service.offered.named(request.model)
        coming = self._examples.get(key)
        if coming is None or (coming.done() and not self._is_there(coming)):
            coming = self._examples[key] = asyncio.ensure_future(self._shared(name, request))
            coming.add_done_callback(_has_ended)
            if len(self._examples) > _MOST_EXAMPLES:
                self._examples.popitem(last=False)
        self._examples.move_to_end(key)
        # A visitor who leaves takes it from nobody else.
        entry = self._store.find(await asyncio.shield(coming))
        entry.pins += 1
        return entry

    def _is_there(self, ended: "asyncio.Future[str]") -> bool:
        return _has_ended(ended) and ended.result() in self._store

    async def _shared(self, name: str, request: PredictAsked) -> str:
        never = asyncio.get_running_loop().create_future()
        entry = await self.predict(_example(name), "", request, lambda: never)
        self._store.release(entry)
        return entry.id

    def photo(self, entry: StoredResult) -> Upload:
        """Photograph of a result."""
        return Upload(BytesIO((entry.path / PHOTO).read_bytes()), name=entry.name)

    async def files(
        self,
        entry: StoredResult,
        client: str,
        more: PredictAsked,
        outputs: tuple[str, ...],
        left: Left,
        name: str | None = None,
    ) -> tuple[Prediction, Written]:
        """Write files of a pinned result, which must be removed; ``more`` replaces parameters."""
        service, path = self._service, entry.path
        before = PredictAsked.model_validate_json((path / ASKED).read_bytes())
        arguments = before.model_copy(update=more.model_dump(exclude_unset=True))
        is_same = _network_of(arguments) == _network_of(before)
        upload = self.photo(entry)
        upload.name = name or entry.name
        job = await service.job(upload, client, outputs)
        if is_same:
            job.inference = read_inference(path / INFERENCE)
        return await service.jobs.in_turn(
            service.turns(is_heavy=job.is_heavy),
            job,
            lambda job: service.files(job, arguments, outputs),
            left(),
            unused=lambda result: result[1].remove(),
        )

    async def _keep(
        self,
        name: str,
        client: str,
        params: PredictAsked,
        job: ImageJob,
        content: bytes,
        prediction: Prediction,
    ) -> StoredResult:
        inference = job.inference
        assert inference is not None, "it was predicted"
        service = self._service
        variant = params.variant(service.offered.named(params.model))
        model = await service.networks.model(variant)

        def made() -> Mapping[str, bytes]:
            return {
                PHOTO: content,
                INFERENCE: write_inference(inference),
                VIEW: view_bytes(prediction, name, model, inference),
                THUMBNAIL: thumbnail(prediction),
                ASKED: params.model_dump_json(exclude_defaults=True).encode(),
            }

        parts = await service.in_pool(job, made)
        size = sum(map(len, parts.values()))
        entry = self._store.begin(name, client, size)
        try:
            await service.in_worker(lambda: _write(entry.path, parts))
        except BaseException:
            self._store.remove(entry)
            self._store.release(entry)
            raise
        return entry


def _network_of(request: PredictAsked) -> tuple[Variant, GivenCamera]:
    return request.variant(request.model), request.options.view


def _looks_round(request: PredictAsked, prediction: Prediction) -> bool:
    photo, view = prediction.photo, request.options.view
    is_named = (view.camera, view.projection, view.fov) != (None, None, None)
    return photo is not None and not is_named and panorama_note(photo) is not None


def _has_ended(ended: "asyncio.Future[str]") -> bool:
    return not ended.cancelled() and ended.exception() is None


def _example(name: str) -> Upload:
    return Upload(BytesIO((EXAMPLES / f"{name}.jpg").read_bytes()), name=name)


def example_names() -> tuple[str, ...]:
    """Names of the photographs of ours."""
    return tuple(sorted(file.name.removesuffix(".jpg") for file in EXAMPLES.iterdir()))


def _write(folder: Path, parts: Mapping[str, bytes]) -> None:
    for name, content in parts.items():
        (folder / name).write_bytes(content)


def zip_of_results(
    photographs: PhotoResults,
    store: ResultStore,
    entries: Sequence[StoredResult],
    *,
    client: str,
    outputs: tuple[str, ...],
    seconds: float | int,
) -> TimedResponse:
    """Response with a zip of files of pinned results."""

    async def release() -> None:
        for entry in entries:
            store.release(entry)

    return TimedResponse(
        _zip_pieces(photographs, entries, client, outputs),
        headers={"Content-Disposition": 'attachment; filename="results.zip"'},
        media_type="application/zip",
        seconds=seconds,
        tidy=release,
    )


async def _zip_pieces(
    photographs: PhotoResults,
    entries: Sequence[StoredResult],
    client: str,
    outputs: tuple[str, ...],
) -> AsyncGenerator[bytes]:
    pipe, counts = Pipe(), dict[str, int]()
    # A client that leaves ends this function as a whole.
    left = asyncio.get_running_loop().create_future
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as packed:  # pyright: ignore
        for entry in entries:
            count = counts[entry.name] = counts.get(entry.name, 0) + 1
            name = entry.name if count == 1 else f"{entry.name}-{count}"
            try:
                _, written = await photographs.files(
                    entry, client, PredictAsked(), outputs, left, name
                )
            except (RilievoError, Refusal) as error:
                packed.writestr(f"{name}.error.txt", f"{error}\n")
                continue
            try:
                async for piece in iterate_in_threadpool(zipped(packed, pipe, written.paths)):
                    yield piece
            finally:
                written.remove()
    yield pipe.taken()
