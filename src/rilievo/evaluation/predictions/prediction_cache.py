"""Cache of predictions: one npz file an image, and what made them."""

import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Pixels
from rilievo.data.datasets.dataset import Dataset, evenly_spread
from rilievo.data.datasets.text_files import names_in
from rilievo.errors import InputError, ModelError, OptionError, RilievoError
from rilievo.errors.messages import note_about
from rilievo.evaluation.benchmarks.benchmark import Benchmark, InputCrop, Task, judges_confidence
from rilievo.evaluation.records import Unscored, unscored_image
from rilievo.evaluation.scoring.metres import refuse_other_kinds
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """Facts that all predictions of a folder share.

    Attributes:
        kind: Kind of its depth; None if only normals are stored.
        version: Version of rilievo that began the folder; later ones may have added to it.
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
        mark = self.fingerprint
        return MadeBy(
            model=mark.model,
            weights_sha256=mark.weights_sha256,
            licence=mark.licence,
            settings=mark.settings,
            version=mark.version,
        )

    def path_of(self, id: str) -> Path:
        """Path of an image's npz file, which need not exist."""
        return self.folder / f"{id}.npz"

    def note_on_broken(self, id: str) -> str:
        """Note that a prediction is made again."""
        return f"{self.path_of(id)}: broken, so it is predicted anew"

    def write(self, id: str, prediction: Prediction, photo: Pixels | None = None) -> None:
        """Write a prediction, and a checksum of its photograph."""
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
        # Not durable yet: a file that a power cut breaks is noticed by its checksums and made anew.
        with replacing(path, durable=False) as part, part.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    @retry_miscounted
    def read(self, id: str) -> StoredPrediction:
        """The prediction of one image."""
        mark, depth = self.fingerprint, None
        with self._arrays(id) as file:
            values = None if mark.kind is None else _read_float_array(file, "depth", 2)
            valid = npz_member(file, "valid") if "valid" in file else None
            normals = _read_float_array(file, "normals", 3) if mark.normals else None
            judged = mark.confidence and "confidence" in file
            confidence = _read_float_array(file, "confidence", 2) if judged else None
            camera, size = _read_camera_and_size(file) if mark.camera else (None, None)
        if mark.kind is not None and values is not None:
            valid = np.ones(values.shape, bool) if valid is None else valid
            depth, size = DepthMap(values=values, kind=mark.kind, valid=valid), None
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
        """Whether the prediction is of this photograph, or of one that is unknown."""
        with self._arrays(id) as file:
            return "photo" not in file or int(file["photo"]) == _photo_crc32(photo)

    @contextmanager
    def _arrays(self, id: str) -> Iterator[Mapping[str, np.ndarray]]:
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
    """Begin a folder, or open one with the same settings and remove half-written files."""
    mark = folder / FINGERPRINT
    if not check_cache(folder, fingerprint):
        make_folder(folder)
        with replacing(mark) as part:
            part.write_text(to_json(fingerprint, indent=2), encoding="utf-8")
    for parent in {(folder / id).parent for id in ids} | {folder}:
        if os.path.isdir(parent):
            sweep_parts(parent)
    return PredictionCache(folder=folder, fingerprint=fingerprint)


def check_cache(folder: Path, fingerprint: Fingerprint) -> bool:
    """Whether the folder was begun before; refuse other files or settings."""
    if os.path.exists(folder / FINGERPRINT):
        _refuse_other_fingerprint(read_cache(folder).fingerprint, fingerprint, folder)
        return True
    # Several parts of one evaluation may begin at once: the mark may have come meanwhile.
    names = names_in(folder)
    if FINGERPRINT not in names and any(not is_part(name) for name in names):
        raise InputError(
            f"{folder}: holds files but no {FINGERPRINT}, so they are not ours; choose another "
            "output folder"
        )
    return False


def read_cache(folder: Path) -> PredictionCache:
    """A folder of predictions that an evaluation left."""
    mark = folder / FINGERPRINT
    if is_blank(mark):
        raise InputError(
            f"{mark}: has no content, as after a power cut; remove the folder and predict again"
        )
    check_regular(mark)
    try:
        record = from_json(Fingerprint, mark.read_text(encoding="utf-8"))
    except (NotThisRecord, OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{mark}: broken ({reason(error)}); remove the folder and predict again"
        ) from error
    if record.format != FORMAT:
        raise InputError(
            f"{mark}: its format is '{record.format}', expected '{FORMAT}': remove the folder and "
            "predict again"
        )
    return PredictionCache(folder=folder, fingerprint=record)


def _refuse_other_fingerprint(there: Fingerprint, fingerprint: Fingerprint, folder: Path) -> None:
    differ = []
    for field in fields(Fingerprint):
        one, other = getattr(there, field.name), getattr(fingerprint, field.name)
        if field.name == "settings":
            keys = sorted({*one, *other})
            differ += [
                f"{key}: {one.get(key)}, not {other.get(key)}"
                for key in keys
                if one.get(key) != other.get(key)
            ]
        elif one != other and field.name != "version":
            differ.append(f"{field.name}: {_shorten_text(one)}, not {_shorten_text(other)}")
    if differ:
        raise OptionError(
            f"{folder}: holds predictions made otherwise ({'; '.join(differ)}); choose another "
            "output folder"
        )


def _read_float_array(file: Mapping[str, np.ndarray], name: str, axes: int) -> np.ndarray:
    array = npz_member(file, name)
    if array.dtype != np.float32 or array.ndim != axes or not array.size:
        raise ValueError(f"its {name} is {array.shape} {array.dtype}")
    return array


def _read_camera_and_size(file: Mapping[str, np.ndarray]) -> tuple[Camera, tuple[int, int]]:
    K, size = npz_member(file, "K"), npz_member(file, "size")
    if K.dtype != np.float64 or K.shape != (3, 3) or size.shape != (2,):
        raise ValueError(f"its K is {K.shape} {K.dtype}")
    try:
        camera = Camera(K=K, source=CameraSource.PREDICTED)
    except InputError as error:
        raise ValueError(str(error)) from error
    return camera, (int(size[0]), int(size[1]))


def _photo_crc32(photo: Pixels) -> int:
    return zlib.crc32(photo.tobytes(), zlib.crc32(repr(photo.shape).encode()))


def _shorten_text(value: object) -> str:
    text = printable(str(value))
    return text if len(text) <= 40 else text[:12] + "..."


AnyModel = Model | str | Path | DepthFunction | None
Fill = Callable[
    [PredictionCache, Model, Dataset, InputCrop | str, Sequence[str], Tally], Sequence[Unscored]
]
READERS = 2

# Predictions whose photographs are compared before the rest is trusted.
COMPARED = 8


def model_name(model: AnyModel) -> str | None:
    """The user's name of the model; None where there is none."""
    if isinstance(model, Model):
        return model.card.name
    if model is None or isinstance(model, str | Path):
        return None if model is None else str(model)
    return register_function(model)


def find_cache(
    folder: Path, model: Model, selection: Selection, *, is_whole: bool = False
) -> PredictionCache:
    """The cache for a model, of all that it predicts if ``is_whole``; nothing is written."""
    fingerprint = model_fingerprint(model, selection.benchmark, is_whole=is_whole)
    refuse_other_kinds(selection.benchmark, fingerprint.kind)
    cache = PredictionCache(folder=folder, fingerprint=fingerprint)
    if check_cache(folder, fingerprint):
        refuse_other_photographs(cache, selection)
    return cache


def begin_cache(cache: PredictionCache, ids: Sequence[str]) -> tuple[list[str], list[str]]:
    """Begin it; ids to predict, and the broken among them."""
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
    filling: Fill,
) -> Sequence[Unscored]:
    """Predict images by ``filling``; those that fail come back."""
    crop = selection.benchmark.input_crop
    with Tally(output=cache.folder, total=len(wanted), show=show) as tally:
        for note in notes:
            tally.say(note)
        return filling(cache, model, selection.dataset, crop, wanted, tally)


def model_fingerprint(model: Model, benchmark: Benchmark, *, is_whole: bool = False) -> Fingerprint:
    """Facts that predictions of this model for this benchmark share."""
    card = model.card
    normals = benchmark.task is Task.NORMALS
    if normals and not card.normals:
        raise OptionError(f"the model '{card.name}' predicts no normals")
    camera = benchmark.task in (Task.POINTS, Task.CAMERA)
    if camera and not card.camera:
        raise OptionError(
            f"the model '{card.name}' sees no camera in a photograph, which the benchmark "
            f"'{benchmark.name}' judges"
        )
    if not normals and benchmark.task is not Task.CAMERA and card.kind is None:
        raise OptionError(f"the model '{card.name}' predicts no depth")
    confidence = judges_confidence(benchmark)
    if confidence and not card.confidence:
        raise OptionError(
            f"the model '{card.name}' gives no confidence, which the benchmark "
            f"'{benchmark.name}' judges; 'rilievo models NAME' says which models do"
        )
    if confidence and normals and card.kind is not None:
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
        kind=card.kind if is_whole or not (normals or benchmark.task is Task.CAMERA) else None,
        normals=card.normals if is_whole else normals,
        dataset=benchmark.dataset,
        split=benchmark.split,
        variant=benchmark.variant,
        input_crop=str(benchmark.input_crop),
        version=made_by.version,
        confidence=card.confidence if is_whole else confidence,
        camera=card.camera if is_whole else camera,
    )


def predict_into_cache(
    cache: PredictionCache,
    model: Model,
    dataset: Dataset,
    crop: InputCrop | str,
    ids: Iterable[str],
    tally: Tally,
) -> list[Unscored]:
    """Predict images one by one; those that fail come back."""

    @retry_miscounted
    def read(id: str) -> Photo | Unscored:
        try:
            image = dataset.image(id)
            pixels = crop_for_model(image, crop)
            camera = dataset.wide_camera(id, image.shape[:2])
            if camera is not None and pixels.shape != image.shape:
                raise InputError(f"{id}: a crop for the model is of pinhole pictures only")
            return Photo(pixels=pixels, camera=camera, name=id)
        except (InputError, OSError) as error:
            return unscored_image(id, error)

    failed: list[Unscored] = []
    for photo in map_ahead(read, ids, workers=READERS):
        lost = photo
        if isinstance(photo, Photo):
            try:
                [prediction] = model.predict_raw([photo])
            except (InputError, ModelError) as error:
                lost = unscored_image(photo.name, error)
            else:
                cache.write(photo.name, prediction, photo.pixels)
                tally.done()
        if isinstance(lost, Unscored):
            failed.append(lost)
            tally.failed(note_about(printable(lost.id), lost.reason))
    return failed


def refuse_other_photographs(cache: PredictionCache, selection: Selection) -> None:
    """Refuse predictions of other photographs; some, evenly spread, are compared."""
    dataset = selection.dataset
    there = [id for id in selection.ids if os.path.exists(cache.path_of(id))]
    for id in evenly_spread(there, COMPARED):
        try:
            pixels = crop_for_model(dataset.image(id), selection.benchmark.input_crop)
            same = cache.is_of(id, pixels)
        except (InputError, OSError):
            # What is broken is another matter, and told when its turn comes.
            continue
        if not same:
            raise OptionError(
                f"{cache.folder}: holds predictions of other photographs than those in "
                f"{dataset.request.root} ('{id}' is another picture there); choose another output "
                "folder"
            )
