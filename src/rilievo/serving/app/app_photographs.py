"""Photographs of visitors: predicted once, written as files on demand.

The network's answer is stored exactly, so that files agree with those of another run.

The page reads a result as four bytes with the length of a JSON (little-endian), the JSON, the
packed lattice, and the photograph as JPEG. The lattice has every n-th pixel: depth as float32 (NaN:
no depth, infinite: transparent), normals as int8, and the sky (1: no surface). Affine depth is
anchored.
"""

import asyncio
import json
import math
import zipfile
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from isal import isal_zlib
from PIL import Image
from starlette.concurrency import iterate_in_threadpool

from rilievo.arrays.shapes import Mask, Shaped
from rilievo.errors import RilievoError
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.cameras.equirectangular import Equirectangular
from rilievo.geometry.cameras.lens import Pinhole
from rilievo.geometry.cameras.spelling import read_spelling, spelling_of
from rilievo.geometry.surfaces.lattice import goes_round
from rilievo.io.files.archives import read_npz_arrays
from rilievo.io.json_record import to_json
from rilievo.io.outputs.writing import with_nan
from rilievo.measure.page_terms import page_terms
from rilievo.models.base import Inference, Model
from rilievo.models.refinement.trimming import Trimmed
from rilievo.options.camera_forms import CameraOptions
from rilievo.pages.relief import lens_on_pages
from rilievo.predicting.photographs.finishing import panorama_note
from rilievo.prediction import Prediction
from rilievo.prediction.output import OUTPUTS
from rilievo.prediction.saving import can_make_surface
from rilievo.records.sample import Photo
from rilievo.serving.app.result_store import ResultStore, StoredResult
from rilievo.serving.listener.request_refusals import Refusal
from rilievo.serving.server.answers import TimedResponse
from rilievo.serving.server.params import PredictParams, Variant
from rilievo.serving.server.request_files import Pipe, Written, add_files_to_zip, can_write_output
from rilievo.serving.server.service import ImageJob, Service, prediction_record
from rilievo.serving.server.uploads import Upload

_LEVEL = 1


def packed_lattice(
    depth: Shaped[np.ndarray, "h w"],
    normals: Shaped[np.ndarray, "3 h w"] | None,
    sky: Mask | None,
) -> bytes:
    """Compress a lattice by zlib: second differences pack 4.7 MB to 1.3 MB.

    Args:
        depth: Depth, float32.
        normals: Normals in int8, 127 being 1.
        sky: Points without a surface.

    Returns:
        Four planes of the bytes of depth's differences, least significant first, sign in the lowest
        bit; three planes of the normals' differences; the sky as one bit a point.
    """
    differences = _mixed_second_differences(depth.astype("<f4").view("<u4")).view("<i4")
    folded = (differences << 1) ^ (differences >> 31)
    planes = [np.moveaxis(folded.view(np.uint8).reshape(*folded.shape, 4), 2, 0)]
    if normals is not None:
        planes.append(
            _mixed_second_differences(normals.view(np.uint8).reshape(-1, normals.shape[2]))
        )
    if sky is not None:
        planes.append(np.packbits(sky))
    return isal_zlib.compress(b"".join(plane.tobytes() for plane in planes), _LEVEL)


def _mixed_second_differences(values: np.ndarray) -> np.ndarray:
    along = values.copy()
    along[:, 1:] -= values[:, :-1]
    both = along.copy()
    both[1:] -= along[:-1]
    return both


_SIDE = 768
_PHOTO_SIDE, _PANORAMA_SIDE = 1600, 4096
"""Longer sides of the photograph [px]."""
_THUMBNAIL_SIDE = 192
_QUALITY = 88


def view_bytes(original: Prediction, name: str, model: Model, inference: Inference) -> bytes:
    """Page's file of a prediction: JSON, every n-th pixel, JPEG."""
    prediction = original.anchored if can_make_surface(original) else original
    depth, photo = prediction.depth, prediction.photo
    assert photo is not None, "made by a model"
    height, width = prediction.shape
    step = math.ceil(max(height, width) / _SIDE)
    down, across = (range(min(step - 1, side - 1) // 2, side, step) for side in (height, width))
    grid = slice(down.start, None, step), slice(across.start, None, step)
    values = with_nan(depth.values[grid], depth.valid[grid]).astype(np.float32)
    if photo.transparent is not None:
        values[photo.transparent[grid]] = np.inf
    normals = sky = None
    if prediction.has("normals") or prediction.has("sky"):
        shown = prediction if step == 1 else coarse_prediction(model, inference, photo, step)
        if not shown.depth.is_depth and prediction.depth.is_depth:
            shown = shown.but(anchoring=original.anchoring).anchored
        inside = np.s_[: len(down), : len(across)]
        if prediction.has("normals") and shown.normals is not None:
            normals = np.rint(np.nan_to_num(shown.normals[:, *inside]) * 127).astype(np.int8)
        if prediction.has("sky") and shown.sky is not None:
            sky = shown.sky[inside]
    lattice = packed_lattice(values, normals, sky)
    about: dict[str, Any] = prediction_record(original, [])
    about |= {
        "name": name,
        "shown_kind": depth.kind,
        "lattice": {
            "step": step,
            "rows": len(down),
            "columns": len(across),
            "first_row": down.start,
            "first_column": across.start,
        },
        "packed": len(lattice),
        "normals": normals is not None,
        "sky": sky is not None,
        "lens": _lens_record(prediction.camera, width),
        "terms": _range_terms_record(prediction),
        "outputs": [name for name in OUTPUTS.own if can_write_output(prediction, name)],
    }
    head = json.dumps(about).encode()
    is_panorama = about["lens"] is not None and about["lens"]["lens"] != "pinhole"
    picture = shrunken_jpeg(photo.pixels, _PANORAMA_SIDE if is_panorama else _PHOTO_SIDE)
    return b"".join((len(head).to_bytes(4, "little"), head, lattice, picture))


def _lens_record(camera: Camera | None, width: int) -> dict[str, Any] | None:
    """Lens for JSON; None unless pinhole or equirectangular."""
    if camera is None or not isinstance(camera.lens, Pinhole | Equirectangular):
        return None
    name, numbers = lens_on_pages(camera)
    named = dict(zip(("fx", "fy", "cx", "cy"), map(float, numbers), strict=True))
    return {"lens": name, **named, "goes_round": goes_round(camera, width)}


def _range_terms_record(prediction: Prediction) -> Any:
    """Terms of size ranges as JSON; None without camera or depth."""
    if prediction.camera is None or not prediction.depth.is_depth:
        return None
    return json.loads(to_json(page_terms(prediction, floor=False)))  # the page finds the floor


def coarse_prediction(model: Model, inference: Inference, photo: Photo, step: int) -> Prediction:
    """Finish an inference at a ``step``-th of the photograph's size."""
    pixels = np.asarray(Image.fromarray(photo.pixels).reduce(step))
    camera = photo.camera or inference.camera
    if camera is not None:
        size = pixels.shape[0], pixels.shape[1]
        camera = camera.resized(size=photo.shape, new_size=size)
    if isinstance(model, Trimmed):
        model = Trimmed(model.model, model.margins(photo).subsampled(step))
    small = Photo(pixels=pixels, camera=camera, name=photo.name)
    return model.finish(replace(inference, camera=None), small)


def thumbnail_jpeg(prediction: Prediction) -> bytes:
    """JPEG of the photograph, at most 192 pixels long."""
    photo = prediction.photo
    assert photo is not None, "made by a model"
    return shrunken_jpeg(photo.pixels, _THUMBNAIL_SIDE)


def shrunken_jpeg(pixels: np.ndarray, side: int) -> bytes:
    """JPEG whose longer side has at most ``side`` pixels."""
    image = Image.fromarray(pixels)
    image = image.reduce(max(1, max(image.size) // side))  # by a whole number, which is quick
    image.thumbnail((side, side), Image.Resampling.BOX)
    stream = BytesIO()
    image.save(stream, "JPEG", quality=_QUALITY)
    return stream.getvalue()


_FIELDS = ("depth", "normals", "confidence", "sky")
_MEMBERS = (*_FIELDS, "valid", "shift", "lens", "source")
_MOST_BYTES = 2**31


def inference_bytes(inference: Inference) -> bytes:
    """Content of an npz file."""
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


def load_inference(path: Path) -> Inference:
    """Inference from the file of ``inference_bytes``."""
    with path.open("rb") as file:
        arrays = read_npz_arrays(file, _MEMBERS, most_bytes=_MOST_BYTES)
    camera = None
    if "lens" in arrays:
        lens = read_spelling(arrays["lens"].item()).lens((2, 2))
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

        turns = service.turns(is_heavy=job.is_heavy)
        return await service.jobs.run_in_turn(
            turns, job, predict_and_store, departure(), unused=self._store.release
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
    ) -> tuple[Prediction, Written]:
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
        return await service.jobs.run_in_turn(
            service.turns(is_heavy=job.is_heavy),
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
                async for piece in iterate_in_threadpool(
                    add_files_to_zip(packed, pipe, written.paths)
                ):
                    yield piece
            finally:
                written.remove()
    yield pipe.take_pieces()
