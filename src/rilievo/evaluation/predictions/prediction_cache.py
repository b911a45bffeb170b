"""Cache of a model's predictions: an npz file for each image, and a fingerprint of the model."""

import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Pixels, Size
from rilievo.data.datasets.dataset import Dataset, evenly_spread
from rilievo.data.datasets.text_files import names_in
from rilievo.errors import InputError, ModelError, OptionError, RilievoError
from rilievo.errors.messages import note_about
from rilievo.evaluation.benchmarks.benchmark import Benchmark, InputCrop, Task
from rilievo.evaluation.benchmarks.metric_choice import needs_confidence
from rilievo.evaluation.records import Unscored, unscored_image
from rilievo.evaluation.scoring.comparable_depth import require_scored_kind
from rilievo.evaluation.scoring.regions import crop_for_model
from rilievo.evaluation.selection import Selection
from rilievo.evaluation.stored_predictions import StoredPrediction
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.io.checksums import is_blank
from rilievo.io.files.archives import BROKEN_FILE, npz_member, opened_npz
from rilievo.io.files.atomic import is_part, make_folder, replacing, sweep_parts, write_text
from rilievo.io.files.limits import check_regular, reason, retry_miscounted
from rilievo.io.files.names import printable
from rilievo.io.json_record import InvalidRecordError, from_json, to_json
from rilievo.models.base import Model
from rilievo.models.requests import DepthFunction, register_function
from rilievo.predicting.prefetching import map_ahead
from rilievo.predicting.summary import Tally
from rilievo.prediction import Prediction
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.prediction_record import MadeBy, Setting
from rilievo.records.sample import Photo

FORMAT = "rilievo-predictions/1"
FINGERPRINT = "fingerprint.json"
READER_THREADS = 2
"""Threads that read photographs while the model predicts."""
MAX_COMPARED_PHOTOS = 8
"""Photographs that are compared with those of the cache before the rest is trusted."""
_MAX_SHOWN_CHARACTERS = 40
"""Longest value that a message shows in full, such as a name but not a hash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """Model, settings, data and stored outputs, which all predictions of a folder have in common.

    Attributes:
        kind: Kind of the stored depth; None if no depth is stored.
        normals: Whether normals are stored; the same for ``confidence`` and ``camera``.
        version: Version of rilievo that created the folder; later ones may have added to it.
    """

    format: str = FORMAT
    model: str
    weights_sha256: str
    licence: str
    settings: Mapping[str, Setting]
    kind: DepthKind | None = None
    normals: bool
    dataset: str
    split: str
    variant: str
    input_crop: str
    version: str
    confidence: bool = False
    camera: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionCache:
    """A folder of predictions; ``open_cache`` and ``read_cache`` make it."""

    folder: Path
    fingerprint: Fingerprint

    @property
    def kind(self) -> DepthKind | None:
        """Kind of the depth."""
        return self.fingerprint.kind

    @property
    def made_by(self) -> MadeBy:
        """Model, weights and settings that made the predictions."""
        return MadeBy(
            model=self.fingerprint.model,
            weights_sha256=self.fingerprint.weights_sha256,
            licence=self.fingerprint.licence,
            settings=self.fingerprint.settings,
            version=self.fingerprint.version,
        )

    def file_path(self, image_id: str) -> Path:
        """Path of an image's npz file, which need not exist."""
        return self.folder / f"{image_id}.npz"

    def write(self, image_id: str, prediction: Prediction, photo: Pixels | None = None) -> None:
        """Write the outputs that the fingerprint names, and a checksum of the photograph."""
        arrays: dict[str, np.ndarray] = {}
        if photo is not None:
            arrays["photo"] = np.array(_photo_crc32(photo), np.uint32)
        if self.kind is not None and prediction.depth_or_none is not None:
            arrays["depth"] = prediction.depth.values
            if not prediction.depth.valid.all():
                arrays["valid"] = prediction.depth.valid
        if self.fingerprint.normals and prediction.normals is not None:
            arrays["normals"] = prediction.normals
        if self.fingerprint.confidence and prediction.confidence is not None:
            arrays["confidence"] = prediction.confidence
        if self.fingerprint.camera and prediction.camera is not None:
            arrays["K"] = prediction.camera.needs_pinhole("the cache of predictions")
            arrays["size"] = np.array(prediction.shape, np.int64)
        path = self.file_path(image_id)
        make_folder(path.parent)
        # Not durable: the checksums reveal a file that a power cut breaks, and it is made again.
        with replacing(path, durable=False) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    @retry_miscounted
    def read(self, image_id: str) -> StoredPrediction:
        """Read the prediction of one image."""
        fingerprint = self.fingerprint
        depth = normals = confidence = camera = camera_size = None
        with self._open_arrays(image_id) as arrays:
            if fingerprint.kind is not None:
                depth = _read_depth(arrays, fingerprint.kind)
            if fingerprint.normals:
                normals = _read_float_array(arrays, "normals", ndim=3)
            if fingerprint.confidence and "confidence" in arrays:
                confidence = _read_float_array(arrays, "confidence", ndim=2)
            if fingerprint.camera:
                camera = _read_camera(arrays)
                camera_size = _read_size(arrays)
        return StoredPrediction(
            depth_or_none=depth,
            normals=normals,
            confidence=confidence,
            camera=camera,
            # A depth map has the size that its camera belongs to.
            size=camera_size if depth is None else None,
            made_by=self.made_by,
        )

    @retry_miscounted
    def matches_photo(self, image_id: str, photo: Pixels) -> bool:
        """Whether a prediction was made from this photograph, by its checksum if that is stored."""
        with self._open_arrays(image_id) as arrays:
            return "photo" not in arrays or int(arrays["photo"]) == _photo_crc32(photo)

    @contextmanager
    def _open_arrays(self, image_id: str) -> Iterator[Mapping[str, np.ndarray]]:
        """Open the npz file of an image, and turn errors of a broken file into an InputError."""
        path = self.file_path(image_id)
        check_regular(path)
        try:
            with opened_npz(path) as arrays:
                yield arrays
        except RilievoError:
            raise
        except BROKEN_FILE as error:
            raise InputError(
                f"{path}: is damaged ({reason(error)}); remove it and evaluate again"
            ) from error

    def missing(self, ids: Iterable[str]) -> tuple[list[str], list[str]]:
        """Return the ids without a file, and the ids whose file is broken."""
        absent, broken = [], []
        for image_id in ids:
            if not os.path.exists(self.file_path(image_id)):
                absent.append(image_id)
                continue
            try:
                self.read(image_id)
            except InputError:
                broken.append(image_id)
        return absent, broken


def open_cache(folder: Path, fingerprint: Fingerprint, ids: Iterable[str]) -> PredictionCache:
    """Create a cache, or open one with the same fingerprint and remove half-written files."""
    if not check_cache_folder(folder, fingerprint):
        make_folder(folder)
        write_text(folder / FINGERPRINT, to_json(fingerprint, indent=2))
    for parent in {(folder / image_id).parent for image_id in ids} | {folder}:
        if os.path.isdir(parent):
            sweep_parts(parent)
    return PredictionCache(folder=folder, fingerprint=fingerprint)


def check_cache_folder(folder: Path, fingerprint: Fingerprint) -> bool:
    """Check that a folder is the cache of this model, or that a cache can be made there.

    Returns:
        True if it is the cache already, and False if there is none yet.

    Raises:
        OptionError: If it is the cache of another model or other settings.
        InputError: If it has other files.
    """
    if os.path.exists(folder / FINGERPRINT):
        _check_same_fingerprint(read_cache(folder).fingerprint, fingerprint, folder)
        return True
    # Several parts of one evaluation may start at once. So another part may have written the
    # fingerprint since we looked for it above, which the list of names shows.
    names = names_in(folder)
    if FINGERPRINT not in names and any(not is_part(name) for name in names):
        raise InputError(
            f"{folder}: contains files but no {FINGERPRINT}, so rilievo did not write it; choose "
            "another output folder"
        )
    return False


def read_cache(folder: Path) -> PredictionCache:
    """Open the cache that an evaluation left in a folder."""
    path = folder / FINGERPRINT
    if is_blank(path):
        raise InputError(
            f"{path}: is empty, for example after a power failure; remove the folder and predict "
            "again"
        )
    check_regular(path)
    try:
        fingerprint = from_json(Fingerprint, path.read_text(encoding="utf-8"))
    except (InvalidRecordError, OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: is damaged ({reason(error)}); remove the folder and predict again"
        ) from error
    if fingerprint.format != FORMAT:
        raise InputError(
            f"{path}: its format is '{fingerprint.format}', expected '{FORMAT}': remove the folder "
            "and predict again"
        )
    return PredictionCache(folder=folder, fingerprint=fingerprint)


def _check_same_fingerprint(existing: Fingerprint, requested: Fingerprint, folder: Path) -> None:
    """Raise an OptionError if the fingerprints differ in anything but the version."""
    differences = [*_different_fields(existing, requested)]
    if differences:
        raise OptionError(
            f"{folder}: contains predictions that were made with other settings "
            f"({'; '.join(differences)}); choose another output folder"
        )


def _different_fields(existing: Fingerprint, requested: Fingerprint) -> Iterator[str]:
    """Describe the fields in which two fingerprints differ, and each differing setting."""
    for field in fields(Fingerprint):
        old, new = getattr(existing, field.name), getattr(requested, field.name)
        if field.name not in ("settings", "version") and old != new:
            yield f"{field.name}: {_shorten_text(old)}, not {_shorten_text(new)}"
        elif field.name == "settings":
            for key in sorted({*old, *new}):
                if old.get(key) != new.get(key):
                    yield f"{key}: {old.get(key)}, not {new.get(key)}"


def _read_depth(arrays: Mapping[str, np.ndarray], kind: DepthKind) -> DepthMap:
    """Read depth and its mask; without a mask, all pixels are valid."""
    values = _read_float_array(arrays, "depth", ndim=2)
    valid = npz_member(arrays, "valid") if "valid" in arrays else np.ones(values.shape, bool)
    return DepthMap(values=values, kind=kind, valid=valid)


def _read_float_array(arrays: Mapping[str, np.ndarray], name: str, *, ndim: int) -> np.ndarray:
    """Read an array, and raise a ValueError if it is not float32 with ``ndim`` axes."""
    array = npz_member(arrays, name)
    if array.dtype != np.float32 or array.ndim != ndim or not array.size:
        raise ValueError(
            f"its {name} has the shape {array.shape} and the type {array.dtype}, expected "
            f"{ndim} axes and float32"
        )
    return array


def _read_camera(arrays: Mapping[str, np.ndarray]) -> Camera:
    """Read the predicted camera; raises ValueError if its K is not a valid matrix."""
    K = npz_member(arrays, "K")
    if K.dtype != np.float64 or K.shape != (3, 3):
        raise ValueError(
            f"its K has the shape {K.shape} and the type {K.dtype}, expected (3, 3) and float64"
        )
    try:
        return Camera(K=K, source=CameraSource.PREDICTED)
    except InputError as error:
        raise ValueError(str(error)) from error


def _read_size(arrays: Mapping[str, np.ndarray]) -> Size:
    """Read the (height, width) of the picture that the camera belongs to."""
    size = npz_member(arrays, "size")
    if size.shape != (2,):
        raise ValueError(f"its size has the shape {size.shape}, expected (2,)")
    return int(size[0]), int(size[1])


def _photo_crc32(photo: Pixels) -> int:
    return zlib.crc32(photo.tobytes(), zlib.crc32(repr(photo.shape).encode()))


def _shorten_text(value: object) -> str:
    text = printable(str(value))
    return text if len(text) <= _MAX_SHOWN_CHARACTERS else text[:12] + "..."


AnyModel = Model | str | Path | DepthFunction | None
CacheFiller = Callable[
    [PredictionCache, Model, Dataset, InputCrop | str, Sequence[str], Tally], Sequence[Unscored]
]
"""Function that predicts images into a cache, and returns those that failed."""


def model_name(model: AnyModel) -> str | None:
    """Name by which the user gave a model; None if there is no model."""
    if model is None:
        return None
    if isinstance(model, Model):
        return model.card.name
    if isinstance(model, str | Path):
        return str(model)
    return register_function(model)


def find_cache(
    folder: Path, model: Model, selection: Selection, *, cache_all_outputs: bool = False
) -> PredictionCache:
    """Describe a model's cache in a folder, and check that it fits if it exists.

    With ``cache_all_outputs``, it has all that the model predicts, not only what is scored.
    """
    fingerprint = model_fingerprint(model, selection.benchmark, cache_all_outputs=cache_all_outputs)
    require_scored_kind(selection.benchmark, fingerprint.kind)
    cache = PredictionCache(folder=folder, fingerprint=fingerprint)
    if check_cache_folder(folder, fingerprint):
        check_same_photographs(cache, selection)
    return cache


def model_fingerprint(
    model: Model, benchmark: Benchmark, *, cache_all_outputs: bool = False
) -> Fingerprint:
    """Fingerprint of the predictions that a benchmark needs of a model.

    With ``cache_all_outputs`` they have everything that the model predicts.
    """
    _check_model_outputs(model, benchmark)
    assert benchmark.dataset is not None, "a selection's benchmark has a dataset"
    assert benchmark.split is not None
    assert benchmark.variant is not None
    card, made_by = model.card, model.made_by
    needs_depth = benchmark.task not in (Task.NORMALS, Task.CAMERA)
    needs_normals = benchmark.task is Task.NORMALS
    needs_camera = benchmark.task in (Task.POINTS, Task.CAMERA)
    return Fingerprint(
        model=made_by.model,
        weights_sha256=made_by.weights_sha256,
        licence=made_by.licence,
        settings=made_by.settings,
        kind=card.kind if cache_all_outputs or needs_depth else None,
        normals=card.normals if cache_all_outputs else needs_normals,
        dataset=benchmark.dataset,
        split=benchmark.split,
        variant=benchmark.variant,
        input_crop=str(benchmark.input_crop),
        version=made_by.version,
        confidence=card.confidence if cache_all_outputs else needs_confidence(benchmark),
        camera=card.camera if cache_all_outputs else needs_camera,
    )


def _check_model_outputs(model: Model, benchmark: Benchmark) -> None:
    """Raise an OptionError if a model does not predict what a benchmark scores."""
    card = model.card
    if benchmark.task is Task.NORMALS and not card.normals:
        raise OptionError(
            f"the model '{card.name}' does not predict normals, which the benchmark "
            f"'{benchmark.name}' scores"
        )
    if benchmark.task in (Task.POINTS, Task.CAMERA) and not card.camera:
        raise OptionError(
            f"the model '{card.name}' does not predict a camera, which the benchmark "
            f"'{benchmark.name}' needs"
        )
    if benchmark.task not in (Task.NORMALS, Task.CAMERA) and card.kind is None:
        raise OptionError(
            f"the model '{card.name}' does not predict depth, which the benchmark "
            f"'{benchmark.name}' needs"
        )
    if not needs_confidence(benchmark):
        return
    if not card.confidence:
        raise OptionError(
            f"the model '{card.name}' does not predict confidence, which the benchmark "
            f"'{benchmark.name}' scores; 'rilievo models NAME' says whether a model does"
        )
    # A model that predicts depth gives the confidence of its depth.
    if benchmark.task is Task.NORMALS and card.kind is not None:
        raise OptionError(
            f"the model '{card.name}' predicts confidence for depth, but the benchmark "
            f"'{benchmark.name}' scores confidence for normals"
        )


def predict_into_cache(
    cache: PredictionCache,
    model: Model,
    dataset: Dataset,
    crop: InputCrop | str,
    ids: Iterable[str],
    tally: Tally,
) -> list[Unscored]:
    """Predict images one by one into a cache, and return those that failed."""

    @retry_miscounted
    def read_photo(image_id: str) -> Photo | Unscored:
        try:
            return _read_cropped_photo(dataset, image_id, crop)
        except (InputError, OSError) as error:
            return unscored_image(image_id, error)

    failed: list[Unscored] = []
    for photo in map_ahead(read_photo, ids, workers=READER_THREADS):
        failure = _predict_photo(cache, model, photo) if isinstance(photo, Photo) else photo
        if failure is None:
            tally.done()
        else:
            failed.append(failure)
            tally.failed(note_about(printable(failure.id), failure.reason))
    return failed


def _read_cropped_photo(dataset: Dataset, image_id: str, crop: InputCrop | str) -> Photo:
    """Read what a model sees; InputError if a wide image would have to be cropped."""
    image = dataset.image(image_id)
    pixels = crop_for_model(image, crop)
    camera = dataset.wide_camera(image_id, image.shape[:2])
    if camera is not None and pixels.shape != image.shape:
        raise InputError(
            f"{image_id}: only images of a pinhole camera can be cropped for the model; choose a "
            "benchmark without an input crop"
        )
    return Photo(pixels=pixels, camera=camera, name=image_id)


def _predict_photo(cache: PredictionCache, model: Model, photo: Photo) -> Unscored | None:
    """Predict a photograph into the cache; return None, or the reason if the model fails."""
    try:
        [prediction] = model.predict_raw([photo])
    except (InputError, ModelError) as error:
        return unscored_image(photo.name, error)
    cache.write(photo.name, prediction, photo.pixels)
    return None


def check_same_photographs(cache: PredictionCache, selection: Selection) -> None:
    """Raise an OptionError if a cache was made from other photographs of the same names.

    Only a few photographs, evenly spread, are compared.
    """
    dataset = selection.dataset
    cached_ids = [
        image_id for image_id in selection.ids if os.path.exists(cache.file_path(image_id))
    ]
    for image_id in evenly_spread(cached_ids, MAX_COMPARED_PHOTOS):
        try:
            pixels = crop_for_model(dataset.image(image_id), selection.benchmark.input_crop)
            is_same_photo = cache.matches_photo(image_id, pixels)
        except (InputError, OSError):
            continue  # A broken file is reported when it is scored.
        if not is_same_photo:
            raise OptionError(
                f"{cache.folder}: contains predictions for different photographs than those in "
                f"{dataset.request.root} ('{image_id}' is a different image there); choose another "
                "output folder"
            )
