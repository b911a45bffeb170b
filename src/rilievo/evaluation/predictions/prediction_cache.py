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
from rilievo.evaluation.benchmarks.metric_choice import judges_confidence
from rilievo.evaluation.records import Unscored, unscored_image
from rilievo.evaluation.scoring.comparable_depth import require_scored_kind
from rilievo.evaluation.scoring.regions import crop_for_model
from rilievo.evaluation.selection import Selection
from rilievo.evaluation.stored_predictions import StoredPrediction
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.io.checksums import is_blank
from rilievo.io.files.archives import BROKEN_FILE, check_zip_member
from rilievo.io.files.atomic import is_part, make_folder, replacing, sweep_parts
from rilievo.io.files.limits import MAX_BYTES, check_regular, reason, retry_miscounted
from rilievo.io.files.names import printable
from rilievo.io.json_record import NotThisRecord, from_json, to_json
from rilievo.io.numbers import npz_member
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
_MAX_SHOWN_LETTERS = 40
"""Longest value that a message shows in full, such as a name but not a hash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """What all predictions of a folder have in common: model, settings, data and stored parts.

    Attributes:
        kind: Kind of the stored depth; None if no depth is stored.
        normals: Whether normals are stored.
        version: Version of rilievo that created the folder; later ones may have added to it.
        confidence: Whether confidences are stored.
        camera: Whether predicted cameras are stored.
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

    def path_of(self, id: str) -> Path:
        """Path of an image's npz file, which need not exist."""
        return self.folder / f"{id}.npz"

    def note_on_broken(self, id: str) -> str:
        """Note that a broken file is predicted again."""
        return f"{self.path_of(id)}: broken, so it is predicted anew"

    def write(self, id: str, prediction: Prediction, photo: Pixels | None = None) -> None:
        """Write the parts that the fingerprint names, and a checksum of the photograph."""
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
        path = self.path_of(id)
        make_folder(path.parent)
        # Not synced yet: a file that a power cut breaks is noticed by its checksums and made anew.
        with replacing(path, durable=False) as part, part.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    @retry_miscounted
    def read(self, id: str) -> StoredPrediction:
        """Read the prediction of one image.

        Raises:
            InputError: If its file is missing or broken.
        """
        fingerprint = self.fingerprint
        depth = normals = confidence = camera = size = None
        with self._open_arrays(id) as file:
            if fingerprint.kind is not None:
                depth = _read_depth(file, fingerprint.kind)
            if fingerprint.normals:
                normals = _read_float_array(file, "normals", 3)
            if fingerprint.confidence and "confidence" in file:
                confidence = _read_float_array(file, "confidence", 2)
            if fingerprint.camera:
                camera, size = _read_camera(file), _read_size(file)
        if depth is not None:
            size = None  # It is that of the depth map.
        return StoredPrediction(
            depth_or_none=depth,
            normals=normals,
            confidence=confidence,
            camera=camera,
            size=size,
            made_by=self.made_by,
        )

    @retry_miscounted
    def is_of(self, id: str, photo: Pixels) -> bool:
        """Whether a prediction was made from this photograph; True if that was not stored."""
        with self._open_arrays(id) as file:
            return "photo" not in file or int(file["photo"]) == _photo_crc32(photo)

    @contextmanager
    def _open_arrays(self, id: str) -> Iterator[Mapping[str, np.ndarray]]:
        """Open the npz file of an image; what is broken inside becomes an InputError."""
        path = self.path_of(id)
        check_regular(path)
        try:
            # numpy leaves a broken file open that it opened itself.
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                for member in file.zip.infolist():
                    check_zip_member(member, most_bytes=MAX_BYTES)
                yield file
        except RilievoError:
            raise
        except BROKEN_FILE as error:
            raise InputError(
                f"{path}: broken ({reason(error)}); remove it and evaluate again"
            ) from error

    def missing(self, ids: Iterable[str]) -> tuple[list[str], list[str]]:
        """Ids without a file, and ids whose file is broken."""
        absent, broken = [], []
        for id in ids:
            if not os.path.exists(self.path_of(id)):
                absent.append(id)
                continue
            try:
                self.read(id)
            except InputError:
                broken.append(id)
        return absent, broken


def open_cache(folder: Path, fingerprint: Fingerprint, ids: Iterable[str]) -> PredictionCache:
    """Create a cache, or open one with the same fingerprint and remove half-written files.

    Raises:
        OptionError: If the folder holds predictions with another fingerprint.
        InputError: If it holds other files.
    """
    if not check_cache(folder, fingerprint):
        make_folder(folder)
        with replacing(folder / FINGERPRINT) as part:
            part.write_text(to_json(fingerprint, indent=2), encoding="utf-8")
    for parent in {(folder / id).parent for id in ids} | {folder}:
        if os.path.isdir(parent):
            sweep_parts(parent)
    return PredictionCache(folder=folder, fingerprint=fingerprint)


def check_cache(folder: Path, fingerprint: Fingerprint) -> bool:
    """Whether a folder is a cache already; files or a fingerprint that do not fit are refused."""
    if os.path.exists(folder / FINGERPRINT):
        _refuse_other_fingerprint(read_cache(folder).fingerprint, fingerprint, folder)
        return True
    # Several parts of one evaluation may start at once, so the fingerprint may have come meanwhile.
    names = names_in(folder)
    if FINGERPRINT not in names and any(not is_part(name) for name in names):
        raise InputError(
            f"{folder}: holds files but no {FINGERPRINT}, so they are not ours; choose another "
            "output folder"
        )
    return False


def read_cache(folder: Path) -> PredictionCache:
    """Open the cache that an evaluation left in a folder.

    Raises:
        InputError: If its fingerprint is missing, broken or of another format.
    """
    path = folder / FINGERPRINT
    if is_blank(path):
        raise InputError(
            f"{path}: has no content, as after a power cut; remove the folder and predict again"
        )
    check_regular(path)
    try:
        fingerprint = from_json(Fingerprint, path.read_text(encoding="utf-8"))
    except (NotThisRecord, OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: broken ({reason(error)}); remove the folder and predict again"
        ) from error
    if fingerprint.format != FORMAT:
        raise InputError(
            f"{path}: its format is '{fingerprint.format}', expected '{FORMAT}': remove the folder "
            "and predict again"
        )
    return PredictionCache(folder=folder, fingerprint=fingerprint)


def _refuse_other_fingerprint(existing: Fingerprint, wanted: Fingerprint, folder: Path) -> None:
    """Refuse a cache whose fingerprint differs in anything but the version."""
    differences = []
    for field in fields(Fingerprint):
        held, asked = getattr(existing, field.name), getattr(wanted, field.name)
        if field.name == "settings":
            for key in sorted({*held, *asked}):
                if held.get(key) != asked.get(key):
                    differences.append(f"{key}: {held.get(key)}, not {asked.get(key)}")
        elif held != asked and field.name != "version":
            differences.append(f"{field.name}: {_shorten_text(held)}, not {_shorten_text(asked)}")
    if differences:
        raise OptionError(
            f"{folder}: holds predictions made otherwise ({'; '.join(differences)}); choose "
            "another output folder"
        )


def _read_depth(file: Mapping[str, np.ndarray], kind: DepthKind) -> DepthMap:
    values = _read_float_array(file, "depth", 2)
    valid = npz_member(file, "valid") if "valid" in file else np.ones(values.shape, bool)
    return DepthMap(values=values, kind=kind, valid=valid)


def _read_float_array(file: Mapping[str, np.ndarray], name: str, axes: int) -> np.ndarray:
    """Array of float32 with so many axes."""
    array = npz_member(file, name)
    if array.dtype != np.float32 or array.ndim != axes or not array.size:
        raise ValueError(f"its {name} is {array.shape} {array.dtype}")
    return array


def _read_camera(file: Mapping[str, np.ndarray]) -> Camera:
    K = npz_member(file, "K")
    if K.dtype != np.float64 or K.shape != (3, 3):
        raise ValueError(f"its K is {K.shape} {K.dtype}")
    try:
        return Camera(K=K, source=CameraSource.PREDICTED)
    except InputError as error:
        raise ValueError(str(error)) from error


def _read_size(file: Mapping[str, np.ndarray]) -> Size:
    """(height, width) of the picture that the camera belongs to."""
    size = npz_member(file, "size")
    if size.shape != (2,):
        raise ValueError(f"its size is {size.shape} {size.dtype}")
    return int(size[0]), int(size[1])


def _photo_crc32(photo: Pixels) -> int:
    return zlib.crc32(photo.tobytes(), zlib.crc32(repr(photo.shape).encode()))


def _shorten_text(value: object) -> str:
    text = printable(str(value))
    return text if len(text) <= _MAX_SHOWN_LETTERS else text[:12] + "..."


AnyModel = Model | str | Path | DepthFunction | None
CacheFiller = Callable[
    [PredictionCache, Model, Dataset, InputCrop | str, Sequence[str], Tally], Sequence[Unscored]
]
"""Function that predicts images into a cache, and returns those that failed."""


def model_name(model: AnyModel) -> str | None:
    """Name by which the user gave a model; None without a model."""
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
    """Cache of a model in a folder, which need not exist yet; nothing is written.

    ``cache_all_outputs`` is that of ``model_fingerprint``.

    Raises:
        OptionError: If the model does not predict what is scored, or the folder holds other
            predictions.
    """
    fingerprint = model_fingerprint(model, selection.benchmark, cache_all_outputs=cache_all_outputs)
    require_scored_kind(selection.benchmark, fingerprint.kind)
    cache = PredictionCache(folder=folder, fingerprint=fingerprint)
    if check_cache(folder, fingerprint):
        refuse_other_photographs(cache, selection)
    return cache


def begin_cache(cache: PredictionCache, ids: Sequence[str]) -> tuple[list[str], list[str]]:
    """Create or open a cache on disk, and find out what is left to predict.

    Returns the ids to predict, and those among them whose file is broken.
    """
    cache = open_cache(cache.folder, cache.fingerprint, ids)
    absent, broken = cache.missing(ids)
    wanted = {*absent, *broken}
    return [id for id in ids if id in wanted], broken


def fill_cache_with_progress(
    cache: PredictionCache,
    model: Model,
    selection: Selection,
    wanted: Sequence[str],
    *,
    notes: Sequence[str],
    show: bool,
    fill_cache: CacheFiller,
) -> Sequence[Unscored]:
    """Predict the wanted images with a progress display, and return those that failed.

    ``notes`` are shown before the first prediction.
    """
    crop = selection.benchmark.input_crop
    with Tally(output=cache.folder, total=len(wanted), show=show) as tally:
        for note in notes:
            tally.say(note)
        return fill_cache(cache, model, selection.dataset, crop, wanted, tally)


def model_fingerprint(
    model: Model, benchmark: Benchmark, *, cache_all_outputs: bool = False
) -> Fingerprint:
    """Fingerprint of the predictions that a benchmark needs of a model.

    With ``cache_all_outputs`` they have everything that the model predicts.

    Raises:
        OptionError: If the model does not predict what the benchmark scores.
    """
    needs_normals = benchmark.task is Task.NORMALS
    needs_camera = benchmark.task in (Task.POINTS, Task.CAMERA)
    needs_depth = not needs_normals and benchmark.task is not Task.CAMERA
    needs_confidence = judges_confidence(benchmark)
    card = model.card
    if needs_normals and not card.normals:
        raise OptionError(f"the model '{card.name}' predicts no normals")
    if needs_camera and not card.camera:
        raise OptionError(
            f"the model '{card.name}' sees no camera in a photograph, which the benchmark "
            f"'{benchmark.name}' judges"
        )
    if needs_depth and card.kind is None:
        raise OptionError(f"the model '{card.name}' predicts no depth")
    if needs_confidence and not card.confidence:
        raise OptionError(
            f"the model '{card.name}' gives no confidence, which the benchmark "
            f"'{benchmark.name}' judges; 'rilievo models NAME' says which models do"
        )
    if needs_confidence and needs_normals and card.kind is not None:
        raise OptionError(
            f"the confidence of the model '{card.name}' is of its depth, and the benchmark "
            f"'{benchmark.name}' judges that of normals"
        )

    assert benchmark.dataset is not None, "the selection has settled it"
    assert benchmark.split is not None
    assert benchmark.variant is not None
    made_by = model.made_by
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
        confidence=card.confidence if cache_all_outputs else needs_confidence,
        camera=card.camera if cache_all_outputs else needs_camera,
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
    def read(id: str) -> Photo | Unscored:
        try:
            return _read_cropped_photo(dataset, id, crop)
        except (InputError, OSError) as error:
            return unscored_image(id, error)

    failed: list[Unscored] = []
    for photo in map_ahead(read, ids, workers=READER_THREADS):
        failure = _predict_photo(cache, model, photo) if isinstance(photo, Photo) else photo
        if failure is None:
            tally.done()
        else:
            failed.append(failure)
            tally.failed(note_about(printable(failure.id), failure.reason))
    return failed


def _read_cropped_photo(dataset: Dataset, id: str, crop: InputCrop | str) -> Photo:
    """Photograph as the model sees it."""
    image = dataset.image(id)
    pixels = crop_for_model(image, crop)
    camera = dataset.wide_camera(id, image.shape[:2])
    if camera is not None and pixels.shape != image.shape:
        raise InputError(f"{id}: a crop for the model is of pinhole pictures only")
    return Photo(pixels=pixels, camera=camera, name=id)


def _predict_photo(cache: PredictionCache, model: Model, photo: Photo) -> Unscored | None:
    """Predict a photograph into the cache; if the model fails, say why."""
    try:
        [prediction] = model.predict_raw([photo])
    except (InputError, ModelError) as error:
        return unscored_image(photo.name, error)
    cache.write(photo.name, prediction, photo.pixels)
    return None


def refuse_other_photographs(cache: PredictionCache, selection: Selection) -> None:
    """Refuse a cache that was made from other photographs of the same names.

    Only a few photographs, evenly spread, are compared.
    """
    dataset = selection.dataset
    cached_ids = [id for id in selection.ids if os.path.exists(cache.path_of(id))]
    for id in evenly_spread(cached_ids, MAX_COMPARED_PHOTOS):
        try:
            pixels = crop_for_model(dataset.image(id), selection.benchmark.input_crop)
            is_same_photo = cache.is_of(id, pixels)
        except (InputError, OSError):
            continue  # A broken file is reported when it is scored.
        if not is_same_photo:
            raise OptionError(
                f"{cache.folder}: holds predictions of other photographs than those in "
                f"{dataset.request.root} ('{id}' is another picture there); choose another output "
                "folder"
            )
