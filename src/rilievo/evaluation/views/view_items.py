"""What a view shows of each image: photograph, ground truth, and the predictions of each model."""

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
from rilievo.evaluation.predictions.rilievo_results import RilievoResults
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
    """Photographs and ground truth of a dataset, cropped as models saw them."""

    dataset: Dataset
    crop: InputCrop | str = InputCrop.NONE

    @property
    def split(self) -> str | None:
        """Split of the dataset."""
        return self.dataset.request.split

    def photo(self, id: str) -> Pixels:
        """Photograph as models saw it."""
        return crop_for_model(self.dataset.image(id), self.crop)

    def photo_file(self, id: str) -> Path | None:
        """Absolute path of a file with exactly these pixels; None if there is none."""
        file = self.dataset.photo_file(id) if self.crop is InputCrop.NONE else None
        return None if file is None else file.absolute()

    def truth(self, id: str) -> Truth | None:
        """Ground truth of the photograph's size."""
        return cut_truth(self.dataset.truth(id), self.crop)


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderImages:
    """Photographs in a folder, which have no ground truth."""

    files: Mapping[str, Path]
    split: str | None = None

    def photo(self, id: str) -> Pixels:
        """Upright photograph."""
        return read_photo(self.files[id], own_depth=False).pixels

    def photo_file(self, id: str) -> Path | None:
        """Absolute path of the photograph."""
        return self.files[id].absolute()

    def truth(self, id: str) -> Truth | None:
        """Return None, because there is no ground truth."""
        return None


def result_ids(folder: Path) -> list[str]:
    """Ids of the results of ``rilievo predict`` in a folder: relative paths without suffix.

    Raises:
        InputError: If there are none.
    """
    ids = [_relative_id(path, folder) for path, _ in _photo_sidecars(folder)]
    if not ids:
        raise InputError(
            f"{folder}: holds no results of 'rilievo predict' (a JSON beside each) and "
            "no evaluation; results of other programs need their dataset's name"
        )
    return ids


def photos_by_id(ids: Sequence[str], folders: Sequence[Path], photos: Path) -> Mapping[str, Path]:
    """Find the photographs of results in the folder ``photos``, by id.

    Raises:
        InputError: If none is found, or one has changed since it was predicted.
    """
    if not photos.is_dir():
        raise InputError(f"{photos}: there is no such folder of photographs")
    files: dict[str, Path] = {}
    for folder in folders:
        for path, sidecar in _photo_sidecars(folder):
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
    """Photograph of a result, in the same folder below ``photos``, or one level higher."""
    without_first_folder = Path(*parent.parts[1:])
    for relative in (parent, without_first_folder):
        folder = photos / relative
        name = sidecar.source.file
        file = folder / _names_by_escape(folder).get(name, name)
        if file.is_file():
            return file
    return None


@cache
def _names_by_escape(folder: Path) -> Mapping[str, str]:
    """Names of files that sidecars hold in an escaped form, by that form."""
    names = os.listdir(folder) if folder.is_dir() else []
    return {printable(name): name for name in names if printable(name) != name}


def _refuse_other_photo(file: Path, sidecar: Sidecar, json: Path) -> None:
    """Refuse a photograph whose size in bytes is not that of the predicted one."""
    size = sidecar.run.get("source_bytes")
    if isinstance(size, int) and file.stat().st_size != size:
        raise InputError(
            f"{file}: has {file.stat().st_size} bytes, but {json} was made "
            f"from {size}; it is another photograph, or has changed: predict it again"
        )


def _photo_sidecars(folder: Path) -> Iterator[tuple[Path, Sidecar]]:
    """Yield the sidecars of photographs in a folder with their paths; those of videos are left out.

    Raises:
        InputError: If a file says that it is a sidecar of rilievo, but is broken.
    """
    for path in sorted(folder.rglob(f"*{SUFFIX}")):
        try:
            sidecar = read_sidecar(path)
        except InputError:
            if _names_our_format(path):
                raise
            continue  # JSON files of other programs may be in the folder
        if "independent" not in sidecar.run:
            yield path, sidecar


def _names_our_format(path: Path) -> bool:
    try:
        return f'"{FORMAT}"'.encode() in path.read_bytes()
    except OSError:
        return False


def _relative_id(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix().removesuffix(SUFFIX)


RESERVED_FIELDS = (
    *("true_depth", "true_normals", "image_id", "split", "disagreement", "notes"),
    *("fx", "fy", "cx", "cy", "similarity", "uniqueness"),
    *("id", "filepath", "tags", "metadata", "created_at", "last_modified_at"),
)
"""Names of fields that every image has, which are no names for models."""
_GRID_SIDE = 96
"""Rows and columns of the grid on which the depth maps of models are compared."""
_MIN_COMPARED_POINTS = 3
"""Fewest points of the grid with depth in both maps for which they are compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelColumn:
    """One model of a view, with its predictions and scores.

    Attributes:
        label: Name to show.
        field: Name of its field in FiftyOne.
        kind: Kind of its depth; None if it has no depth.
        shows: Description of its depth, and of the alignment.
        normals: Whether it predicts normals.
        ids: Images with a prediction.
        summaries: Summaries of metrics, the leading one first; empty without an evaluation.
        scores: Scores by image; empty without an evaluation.
        unscored: Reasons for missing scores, by image.
        pictures: Whether pictures take the place of depth that no file holds.
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
    """A picture among the files of a prediction, and what it shows."""

    facts: FileFacts
    pixels: Pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAnswer:
    """One model's prediction of one image.

    Attributes:
        prediction: None if there is none, or it cannot be read.
        fault: Why it cannot be read; None if it can, or there is none.
        pictures: Pictures in place of depth that no file holds.
    """

    column: ModelColumn
    prediction: PredictionRecord | None
    fault: str | None = None
    pictures: tuple[WrittenPicture, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewItem:
    """One image of a view, with ground truth, camera and the models' predictions.

    Attributes:
        truth: None if there is no ground truth.
        camera: Camera of the ground truth, else the first that a model gives; None without any.
        answers: One for each model.
    """

    id: str
    photo: Pixels
    truth: Truth | None
    camera: Camera | None
    answers: tuple[ModelAnswer, ...]

    @property
    def disagreement(self) -> float | None:
        """How much the depth of the models differs (see ``disagreement``)."""
        depths = []
        for answer in self.answers:
            if answer.prediction is not None and answer.prediction.depth_or_none is not None:
                depths.append(answer.prediction.depth)
        return disagreement(depths)

    @property
    def true_depth(self) -> DepthMap | None:
        """True depth [m]; None if there is none."""
        truth = self.truth
        if truth is None or truth.depth is None or truth.depth_valid is None:
            return None
        return DepthMap(values=truth.depth, kind=DepthKind.METRIC, valid=truth.depth_valid)


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewItems:
    """All images and models of a view.

    Attributes:
        name: Name of the data, for titles.
        columns: Models, side by side; none as long as only the images are known.
        absent: Images that are missing on disk, with the reasons.
    """

    name: str
    images: DatasetImages | FolderImages
    ids: tuple[str, ...]
    columns: tuple[ModelColumn, ...] = ()
    absent: Mapping[str, str]

    def read(self, id: str) -> ViewItem:
        """Read one image with all predictions; a broken prediction becomes a fault.

        Raises:
            InputError: If the photograph or the ground truth is broken.
        """
        photo, truth = self.images.photo(id), self.images.truth(id)
        answers = tuple(_read_answer(column, id) for column in self.columns)
        camera = None if truth is None else truth.camera
        for answer in answers:
            if camera is None and answer.prediction is not None:
                camera = answer.prediction.camera
        return ViewItem(id=id, photo=photo, truth=truth, camera=camera, answers=answers)

    def require_shown(self, failed: Sequence[str]) -> None:
        """Raise an InputError if all images failed."""
        if len(failed) == len(self.ids) + len(self.absent):
            raise InputError(
                f"none of the {len(failed)} images can be shown; the first, {failed[0]}"
            )


def _read_answer(column: ModelColumn, id: str) -> ModelAnswer:
    """Read a model's prediction of an image; what is broken becomes a fault."""
    if id not in column.ids:
        return ModelAnswer(column=column, prediction=None)
    prediction, fault = None, None
    try:
        try:
            prediction = column.predictions.read(id)
        except NoArraysError as error:
            fault = note_of(error)
        pictures = _pictures_without_depth(column, id, prediction)
    except RilievoError as error:
        return ModelAnswer(column=column, prediction=None, fault=note_of(error))
    return ModelAnswer(column=column, prediction=prediction, fault=fault, pictures=pictures)


def _pictures_without_depth(
    column: ModelColumn, id: str, prediction: PredictionRecord | None
) -> tuple[WrittenPicture, ...]:
    """Pictures of an image that take the place of depth; none if there is depth.

    Pictures of outputs that were read as arrays are left out.
    """
    if not isinstance(column.predictions, RilievoResults):
        return ()
    if prediction is not None and prediction.depth_or_none is not None:
        return ()
    parts = set()
    if prediction is not None:
        parts = {part for part in Need if part is not Need.DEPTH and prediction.has(part)}
    outputs_read = {name for name, output in OUTPUTS.items() if parts & {*output.readable}}
    return tuple(
        WrittenPicture(facts=facts, pixels=read_photo(path, own_depth=False).pixels)
        for path, facts in column.predictions.pictures(id).items()
        if facts.output not in outputs_read
    )


def item_notes(item: ViewItem) -> Iterator[str]:
    """Yield notes on an image: missing parts, missing scores, and the notes of its scores."""
    for answer in item.answers:
        label, score = answer.column.label, answer.column.scores.get(item.id)
        if answer.pictures:
            yield f"{label}: pictures as they were written; arrays (npz, png16) show more"
        elif answer.fault is not None:
            yield f"{label}: cannot be shown: {answer.fault}"
        elif answer.prediction is None:
            yield f"{label}: no prediction"
        if item.id in answer.column.unscored:
            yield f"{label}: no score: {answer.column.unscored[item.id]}"
        if score is not None:
            for note in score.notes:
                yield f"{label}: {note}"


def column_label(model: str, folder: Path) -> str:
    """Name to show for a model; if that is a path, the name of its folder of results.

    The absolute path of a checkpoint tells a reader little, and names the machine. The field in
    FiftyOne is called by the same folder.
    """
    is_path = Path(model).is_absolute()
    return printable(folder.resolve().name if is_path else model)


def name_columns(
    columns: Sequence[ModelColumn], folders: Sequence[str], hints: Sequence[Sequence[str]]
) -> tuple[ModelColumn, ...]:
    """Give the columns unique labels and fields.

    Args:
        columns: Models, whose labels may repeat.
        folders: Name of each model's folder, from which its field is made.
        hints: Words for each model that are added to repeated labels, one after the other, until
            the labels differ.
    """
    labels = [column.label for column in columns]
    for level in range(max(map(len, hints), default=0)):
        repeated = {label for label in labels if labels.count(label) > 1}
        for index, label in enumerate(labels):
            if label in repeated and level < len(hints[index]):
                labels[index] = f"{label} {hints[index][level]}"
    unique_labels = _make_unique(labels)
    fields = _make_unique([_field_name(folder) for folder in folders])
    return tuple(
        replace(column, label=label, field=field)
        for column, label, field in zip(columns, unique_labels, fields, strict=True)
    )


def _field_name(folder: str) -> str:
    """Name of a FiftyOne field that is made from the name of a folder."""
    name = re.sub(r"[^0-9a-z]+", "_", folder.lower()).strip("_")
    if not name or name[0].isdigit() or name in RESERVED_FIELDS:
        return f"model_{name}"
    return name


def _make_unique(names: Sequence[str]) -> list[str]:
    """Append _2, _3 and so on to repeated names."""
    unique: list[str] = []
    for name in names:
        candidate, number = name, 1
        while candidate in unique:
            number += 1
            candidate = f"{name}_{number}"
        unique.append(candidate)
    return unique


def disagreement(depths: Sequence[DepthMap]) -> float | None:
    """How much the depth maps of several models differ; None if no two can be compared.

    It is 1 minus the least rank correlation between any two maps (Spearman, 1904). 0 is the same
    order everywhere, 1 is nothing in common, and 2 is near and far exchanged.
    """
    maps = [_distances_on_grid(depth) for depth in depths]
    correlations = [
        _rank_correlation(first, second) for first, second in itertools.combinations(maps, 2)
    ]
    known = [correlation for correlation in correlations if correlation is not None]
    return 1 - min(known) if known else None


def _distances_on_grid(depth: DepthMap) -> Values:
    """Values that grow with distance, on a coarse grid over the map; NaN where there is none."""
    height, width = depth.shape
    steps = (np.arange(_GRID_SIDE) + 0.5) / _GRID_SIDE
    grid = np.ix_((steps * height).astype(int), (steps * width).astype(int))
    values = depth.values[grid].astype(np.float64)
    if depth.kind is DepthKind.AFFINE_INVERSE:
        values = -values
    return np.where(depth.valid[grid], values, np.nan).ravel()


def _rank_correlation(first: AnyValues, second: AnyValues) -> float | None:
    """Spearman's correlation; None if a map is constant, or too few points have depth in both."""
    both = np.isfinite(first) & np.isfinite(second)
    if both.sum() < _MIN_COMPARED_POINTS:
        return None
    ranks = np.stack([_mean_ranks(first[both]), _mean_ranks(second[both])])
    ranks -= ranks.mean(axis=1, keepdims=True)
    lengths = np.sqrt(np.square(ranks).sum(axis=1))
    if not lengths.all():
        return None
    return float(ranks[0] @ ranks[1] / (lengths[0] * lengths[1]))


def _mean_ranks(values: AnyValues) -> Values:
    """Ranks from 0; equal values get the mean of their ranks."""
    _, index, counts = np.unique(values, return_inverse=True, return_counts=True)
    end = np.cumsum(counts)
    first, last = end - counts, end - 1
    return ((first + last) / 2)[index]
