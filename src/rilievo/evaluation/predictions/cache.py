"""Cache of predictions: one npz file an image, and what made them.

Each file has a checksum of its photograph, since those of another folder can have the same names.
"""

import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

import numpy as np

from rilievo.data.datasets.loaders import names_in
from rilievo.depth_map import DepthKind, DepthMap
from rilievo.errors import InputError, OptionError, RilievoError
from rilievo.evaluation.stored_predictions import StoredPrediction
from rilievo.frozen import frozen
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.io.checksums import is_blank
from rilievo.io.files.archives import BROKEN_FILE, check_member
from rilievo.io.files.atomic import is_part, make_folder, replacing, sweep_parts
from rilievo.io.files.limits import MAX_BYTES, check_regular, printable, reason, retry_miscounted
from rilievo.io.json_record import NotThisRecord, from_json, to_json
from rilievo.io.numbers import npz_member
from rilievo.prediction import Prediction
from rilievo.prediction_record import MadeBy, Setting
from rilievo.shapes import Pixels

FORMAT = "rilievo-predictions/1"
FINGERPRINT = "fingerprint.json"
PREDICTIONS = "predictions"


@frozen
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


@frozen
class Cache:
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
        """The file of one image."""
        return self.folder / f"{id}.npz"

    def note_on_broken(self, id: str) -> str:
        """Note that a prediction is made again."""
        return f"{self.path_of(id)}: broken, so it is predicted anew"

    def write(self, id: str, prediction: Prediction, photo: Pixels | None = None) -> None:
        """Write a prediction, and a checksum of its photograph."""
        arrays: dict[str, np.ndarray] = {}
        if photo is not None:
            arrays["photo"] = np.array(_checksum(photo), np.uint32)
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
            values = None if mark.kind is None else _floats(file, "depth", 2)
            valid = npz_member(file, "valid") if "valid" in file else None
            normals = _floats(file, "normals", 3) if mark.normals else None
            judged = mark.confidence and "confidence" in file
            confidence = _floats(file, "confidence", 2) if judged else None
            camera, size = _camera(file) if mark.camera else (None, None)
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
            return "photo" not in file or int(file["photo"]) == _checksum(photo)

    @contextmanager
    def _arrays(self, id: str) -> Iterator[Mapping[str, np.ndarray]]:
        path = self.path_of(id)
        check_regular(path)
        try:
            # numpy leaves a broken file open that it opened itself.
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                for member in file.zip.infolist():
                    check_member(member, most_bytes=MAX_BYTES)
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


def open_cache(folder: Path, fingerprint: Fingerprint, ids: Iterable[str]) -> Cache:
    """Begin a folder, or open one with the same settings and remove half-written files."""
    mark = folder / FINGERPRINT
    if not check_cache(folder, fingerprint):
        make_folder(folder)
        with replacing(mark) as part:
            part.write_text(to_json(fingerprint, indent=2), encoding="utf-8")
    for parent in {(folder / id).parent for id in ids} | {folder}:
        if os.path.isdir(parent):
            sweep_parts(parent)
    return Cache(folder=folder, fingerprint=fingerprint)


def check_cache(folder: Path, fingerprint: Fingerprint) -> bool:
    """Whether the folder was begun before; refuse other files or settings."""
    if os.path.exists(folder / FINGERPRINT):
        _refuse_mixture(read_cache(folder).fingerprint, fingerprint, folder)
        return True
    # Several parts of one evaluation may begin at once: the mark may have come meanwhile.
    names = names_in(folder)
    if FINGERPRINT not in names and any(not is_part(name) for name in names):
        raise InputError(
            f"{folder}: holds files but no {FINGERPRINT}, so they are not ours; choose another "
            "output folder"
        )
    return False


def read_cache(folder: Path) -> Cache:
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
    return Cache(folder=folder, fingerprint=record)


def _refuse_mixture(there: Fingerprint, fingerprint: Fingerprint, folder: Path) -> None:
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
            differ.append(f"{field.name}: {_short(one)}, not {_short(other)}")
    if differ:
        raise OptionError(
            f"{folder}: holds predictions made otherwise ({'; '.join(differ)}); choose another "
            "output folder"
        )


def _floats(file: Mapping[str, np.ndarray], name: str, axes: int) -> np.ndarray:
    array = npz_member(file, name)
    if array.dtype != np.float32 or array.ndim != axes or not array.size:
        raise ValueError(f"its {name} is {array.shape} {array.dtype}")
    return array


def _camera(file: Mapping[str, np.ndarray]) -> tuple[Camera, tuple[int, int]]:
    K, size = npz_member(file, "K"), npz_member(file, "size")
    if K.dtype != np.float64 or K.shape != (3, 3) or size.shape != (2,):
        raise ValueError(f"its K is {K.shape} {K.dtype}")
    try:
        camera = Camera(K=K, source=CameraSource.PREDICTED)
    except InputError as error:
        raise ValueError(str(error)) from error
    return camera, (int(size[0]), int(size[1]))


def _checksum(photo: Pixels) -> int:
    return zlib.crc32(photo.tobytes(), zlib.crc32(repr(photo.shape).encode()))


def _short(value: object) -> str:
    text = printable(str(value))
    return text if len(text) <= 40 else text[:12] + "..."
