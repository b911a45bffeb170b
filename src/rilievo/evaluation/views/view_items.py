"""Data for views: images, ground truth, and the predictions of each model."""

import itertools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Pixels, Values
from rilievo.data.datasets.dataset import Dataset
from rilievo.errors import InputError, RilievoError
from rilievo.errors.messages import note_of
from rilievo.evaluation.benchmarks.benchmark import InputCrop
from rilievo.evaluation.metrics.metric import AnyValues
from rilievo.evaluation.predictions.foreign import ForeignPredictions
from rilievo.evaluation.records import Score, Summary
from rilievo.evaluation.scoring.regions import crop_for_model, cut_truth
from rilievo.evaluation.stored_predictions import Predictions
from rilievo.geometry.cameras.camera import Camera
from rilievo.io.files.names import printable
from rilievo.io.outputs.sidecar import FORMAT, SUFFIX, FileFacts, Sidecar, read_sidecar
from rilievo.io.photographs.photo import read_photo
from rilievo.prediction.output import OUTPUTS, Need
from rilievo.prediction.readback import NoArraysError
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.prediction_record import MadeBy, PredictionRecord
from rilievo.records.sample import Truth


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetImages:
    """Images of a dataset."""

    dataset: Dataset
    crop: InputCrop | str = InputCrop.NONE

    @property
    def split(self) -> str | None:
        """Split of them."""
        return self.dataset.request.split

    def photo(self, id: str) -> Pixels:
        """Photograph as models saw it."""
        return crop_for_model(self.dataset.image(id), self.crop)

    def photo_file(self, id: str) -> Path | None:
        """File with exactly these pixels, if any."""
        file = self.dataset.photo_file(id) if self.crop is InputCrop.NONE else None
        return None if file is None else file.absolute()

    def truth(self, id: str) -> Truth | None:
        """Truth at the photograph's size."""
        return cut_truth(self.dataset.truth(id), self.crop)


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderImages:
    """Photographs of a folder, without truth."""

    files: Mapping[str, Path]
    split: str | None = None

    def photo(self, id: str) -> Pixels:
        """Upright photograph."""
        return read_photo(self.files[id], own_depth=False).pixels

    def photo_file(self, id: str) -> Path | None:
        """Absolute path."""
        return self.files[id].absolute()

    def truth(self, id: str) -> Truth | None:
        """None."""
        return None


def result_ids(folder: Path) -> list[str]:
    """Sorted relative paths of photographs' results, without suffix."""
    ids = [_relative_id(path, folder) for path, _ in _sidecars(folder)]
    if not ids:
        raise InputError(
            f"{folder}: holds no results of 'rilievo predict' (a JSON beside each) and "
            "no evaluation; results of other programs need their dataset's name"
        )
    return ids


def photos_by_id(ids: Sequence[str], folders: Sequence[Path], photos: Path) -> Mapping[str, Path]:
    """Photographs of results, by id."""
    if not photos.is_dir():
        raise InputError(f"{photos}: there is no such folder of photographs")
    files: dict[str, Path] = {}
    for folder in folders:
        for path, sidecar in _sidecars(folder):
            id = _relative_id(path, folder)
            file = files.get(id) or _find_photo(path.relative_to(folder).parent, sidecar, photos)
            if file is not None:
                _refuse_other_photo(file, sidecar, path)
                files[id] = file
    if not files:
        raise InputError(
            f"{photos}: none of the {len(ids)} results has its photograph here; "
            f"expected {ids[0]} and the like"
        )
    return files


def _find_photo(parent: Path, sidecar: Sidecar, photos: Path) -> Path | None:
    for place in (parent, Path(*parent.parts[1:])):
        folder = photos / place
        file = folder / _names_by_escape(folder).get(sidecar.source.file, sidecar.source.file)
        if file.is_file():
            return file
    return None


@cache
def _names_by_escape(folder: Path) -> Mapping[str, str]:
    """Names of files by their escaped names."""
    names = os.listdir(folder) if folder.is_dir() else []
    return {printable(name): name for name in names if printable(name) != name}


def _refuse_other_photo(file: Path, sidecar: Sidecar, json: Path) -> None:
    """Refuse a photograph that is not the predicted one."""
    size = sidecar.run.get("source_bytes")
    if isinstance(size, int) and file.stat().st_size != size:
        raise InputError(
            f"{file}: has {file.stat().st_size} bytes, but {json} was made "
            f"from {size}; it is another photograph, or has changed: predict it again"
        )


def _sidecars(folder: Path) -> Iterator[tuple[Path, Sidecar]]:
    """Yield JSON files of photographs, not videos."""
    for path in sorted(folder.rglob(f"*{SUFFIX}")):
        try:
            sidecar = read_sidecar(path)
        except InputError:
            if _claims_our_format(path):
                raise
            continue  # JSON files of other programs may be in the folder
        if "independent" not in sidecar.run:
            yield path, sidecar


def _claims_our_format(path: Path) -> bool:
    try:
        return f'"{FORMAT}"'.encode() in path.read_bytes()
    except OSError:
        return False


def _relative_id(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix().removesuffix(SUFFIX)


FIELDS = (
    *("true_depth", "true_normals", "image_id", "split", "disagreement", "notes"),
    *("fx", "fy", "cx", "cy", "similarity", "uniqueness"),
    *("id", "filepath", "tags", "metadata", "created_at", "last_modified_at"),
)
"""Fields that every image has; models may not use them."""
_GRID = 96


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelColumn:
    """One model; ``pictures`` replace depth that no file holds.

    Attributes:
        shows: Description of its depth, and the fit.
        summaries: Summaries of metrics, the leading one first.
        unscored: Reasons for missing scores, by image.
    """

    label: str
    field: str
    made_by: MadeBy
    kind: DepthKind | None
    shows: str
    normals: bool
    predictions: Predictions
    ids: frozenset[str]
    summaries: tuple[Summary, ...]
    scores: Mapping[str, Score]
    unscored: Mapping[str, str]
    pictures: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenPicture:
    """Picture among the files of a prediction."""

    facts: FileFacts
    pixels: Pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAnswer:
    """One model's prediction for one image, or why it is missing."""

    column: ModelColumn
    seen: PredictionRecord | None
    fault: str | None = None
    pictures: tuple[WrittenPicture, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewItem:
    """One image with truth, camera and predictions."""

    id: str
    photo: Pixels
    truth: Truth | None
    camera: Camera | None
    shown: tuple[ModelAnswer, ...]

    @property
    def disagreement(self) -> float | None:
        """Disagreement of models' depths."""
        depths = [entry.seen.depth_or_none for entry in self.shown if entry.seen is not None]
        return disagreement([entry for entry in depths if entry is not None])

    @property
    def true_depth(self) -> DepthMap | None:
        """True depth [m], if any."""
        truth = self.truth
        if truth is None or truth.depth is None or truth.depth_valid is None:
            return None
        return DepthMap(values=truth.depth, kind=DepthKind.METRIC, valid=truth.depth_valid)


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewItems:
    """Images and models of a view; ``absent`` are not on disk."""

    name: str
    images: DatasetImages | FolderImages
    ids: tuple[str, ...]
    columns: tuple[ModelColumn, ...]
    absent: Mapping[str, str]

    def read(self, id: str) -> ViewItem:
        """Read one image with all predictions; broken ones are faults."""
        photo, truth = self.images.photo(id), self.images.truth(id)
        shown = tuple(_read_answer(column, id) for column in self.columns)
        cameras = [None if truth is None else truth.camera]
        cameras += [entry.seen.camera for entry in shown if entry.seen is not None]
        camera = next((entry for entry in cameras if entry is not None), None)
        return ViewItem(id=id, photo=photo, truth=truth, camera=camera, shown=shown)

    def check_shown(self, failed: Sequence[str]) -> None:
        """Raise an error if no image could be shown."""
        if len(failed) == len(self.ids) + len(self.absent):
            raise InputError(
                f"none of the {len(failed)} images can be shown; the first, {failed[0]}"
            )


def _read_answer(column: ModelColumn, id: str) -> ModelAnswer:
    prediction, fault = None, None
    try:
        if id not in column.ids:
            return ModelAnswer(column=column, seen=None)
        try:
            prediction = column.predictions.read(id)
        except NoArraysError as error:
            fault = note_of(error)
        return ModelAnswer(
            column=column,
            seen=prediction,
            fault=fault,
            pictures=_pictures_without_depth(column, id, prediction),
        )
    except RilievoError as error:
        return ModelAnswer(column=column, seen=None, fault=note_of(error))


def _pictures_without_depth(
    column: ModelColumn, id: str, prediction: PredictionRecord | None
) -> tuple[WrittenPicture, ...]:
    """Pictures of an image that stand in for depth."""
    if not isinstance(column.predictions, ForeignPredictions) or (
        prediction and prediction.depth_or_none is not None
    ):
        return ()
    parts = {
        part for part in Need if part is not Need.DEPTH and prediction and prediction.has(part)
    }
    read = {name for name, output in OUTPUTS.items() if parts & {*output.readable}}
    return tuple(
        WrittenPicture(facts=facts, pixels=read_photo(path, own_depth=False).pixels)
        for path, facts in column.predictions.pictures(id).items()
        if facts.output not in read
    )


def item_notes(item: ViewItem) -> Iterator[str]:
    """Yield notes about an image's scores and missing parts."""
    for answer in item.shown:
        label, score = answer.column.label, answer.column.scores.get(item.id)
        if answer.pictures:
            yield f"{label}: pictures as they were written; arrays (npz, png16) show more"
        elif answer.fault is not None:
            yield f"{label}: cannot be shown: {answer.fault}"
        elif answer.seen is None:
            yield f"{label}: no prediction"
        if item.id in answer.column.unscored:
            yield f"{label}: no score: {answer.column.unscored[item.id]}"
        yield from (f"{label}: {note}" for note in (() if score is None else score.notes))


def column_label(model: str, folder: Path) -> str:
    """Name to show for a model: its own, or that of the folder of results where it is a path.

    A checkpoint on disk has no name but its absolute path, which tells a reader little and names
    the machine. The field in FiftyOne is called by the same folder.
    """
    is_path = Path(model).is_absolute()
    return printable(folder.resolve().name if is_path else model)


def name_columns(
    columns: Sequence[ModelColumn], folders: Sequence[str], hints: Sequence[Sequence[str]]
) -> tuple[ModelColumn, ...]:
    """Make labels and fields of models unique, by folders or ``hints``."""
    labels = [column.label for column in columns]
    for level in range(max((len(item) for item in hints), default=0)):
        for label in {item for item in labels if labels.count(item) > 1}:
            for place in [at for at, item in enumerate(labels) if item == label]:
                hint = hints[place][level] if level < len(hints[place]) else None
                labels[place] = label if hint is None else f"{label} {hint}"
    labels = list(_make_unique(labels))
    fields = _make_unique([_field_name(folder) for folder in folders])
    return tuple(
        replace(column, label=label, field=field)
        for column, label, field in zip(columns, labels, fields, strict=True)
    )


def _field_name(folder: str) -> str:
    """Field name of a folder's name."""
    name = re.sub(r"[^0-9a-z]+", "_", folder.lower()).strip("_")
    return f"model_{name}" if not name or name[0].isdigit() or name in FIELDS else name


def _make_unique(names: Sequence[str]) -> Iterator[str]:
    """Yield names, repeated ones with _2, _3."""
    taken: set[str] = set()
    for name in names:
        candidate, number = name, 1
        while candidate in taken:
            number += 1
            candidate = f"{name}_{number}"
        taken.add(candidate)
        yield candidate


def disagreement(depths: Sequence[DepthMap]) -> float | None:
    """1 - the least rank correlation between any two maps (Spearman, 1904).

    0: the same order everywhere; 1: nothing in common; 2: near and far exchanged.
    """
    pairs = itertools.combinations([_distances_on_grid(depth) for depth in depths], 2)
    correlations = [
        correlation for one, other in pairs if (correlation := _spearman(one, other)) is not None
    ]
    return 1 - min(correlations) if correlations else None


def _distances_on_grid(depth: DepthMap) -> Values:
    """Values that grow with distance, at the same places in maps."""
    rows, columns = ((np.arange(_GRID) + 0.5) / _GRID * side for side in depth.shape)
    places = np.ix_(rows.astype(int), columns.astype(int))
    values = depth.values[places].astype(np.float64)
    if depth.kind is DepthKind.AFFINE_INVERSE:
        values = -values
    return np.where(depth.valid[places], values, np.nan).ravel()


def _spearman(one: AnyValues, other: AnyValues) -> float | None:
    """Rank correlation; None where undefined."""
    both = np.isfinite(one) & np.isfinite(other)
    if both.sum() < 3:
        return None
    ranks = np.stack([_ranks(one[both]), _ranks(other[both])])
    ranks -= ranks.mean(axis=1, keepdims=True)
    sizes = np.sqrt(np.square(ranks).sum(axis=1))
    if not sizes.all():
        return None
    return float(ranks[0] @ ranks[1] / (sizes[0] * sizes[1]))


def _ranks(values: AnyValues) -> Values:
    """Ranks from 0; equal values share their mean."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return ((last - counts + last - 1) / 2)[place]
