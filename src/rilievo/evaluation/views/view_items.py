"""What a view shows of each image: photograph, ground truth, and the predictions of each model."""

import itertools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Pixels, Size, Values
from rilievo.data.datasets.dataset import Dataset
from rilievo.errors import InputError, RilievoError
from rilievo.errors.messages import count_text, note_of
from rilievo.evaluation.benchmarks.benchmark import InputCrop
from rilievo.evaluation.metrics.metric import AnyValues
from rilievo.evaluation.predictions.rilievo_results import RilievoResults
from rilievo.evaluation.records import Score, Summary
from rilievo.evaluation.scoring.placing import place_in_photo
from rilievo.evaluation.scoring.regions import crop_for_model, cut_truth
from rilievo.evaluation.stored_predictions import Predictions
from rilievo.geometry.cameras.camera import Camera
from rilievo.io.files.names import printable
from rilievo.io.outputs.sidecar import (
    FORMAT,
    SOURCE_BYTES,
    SUFFIX,
    FileFacts,
    Sidecar,
    read_sidecar,
)
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

    def photo(self, image_id: str) -> Pixels:
        """Photograph as models saw it."""
        return crop_for_model(self.dataset.image(image_id), self.crop)

    def photo_file(self, image_id: str) -> Path | None:
        """Absolute path of a file with exactly these pixels; None if there is no such file."""
        file = self.dataset.photo_file(image_id) if self.crop is InputCrop.NONE else None
        return None if file is None else file.absolute()

    def truth(self, image_id: str) -> Truth | None:
        """Ground truth of the photograph's size."""
        return cut_truth(self.dataset.truth(image_id), self.crop)


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderImages:
    """Photographs in a folder, which have no ground truth."""

    files: Mapping[str, Path]
    split: str | None = None

    def photo(self, image_id: str) -> Pixels:
        """Upright photograph."""
        return read_photo(self.files[image_id], own_depth=False).pixels

    def photo_file(self, image_id: str) -> Path | None:
        """Absolute path of the photograph."""
        return self.files[image_id].absolute()

    def truth(self, image_id: str) -> Truth | None:
        """Return None, because there is no ground truth."""
        return None


def result_ids(folder: Path) -> list[str]:
    """Ids of the results of ``rilievo predict`` in a folder: relative paths without suffix."""
    ids = [_relative_id(path, folder) for path, _ in _photo_sidecars(folder)]
    if not ids:
        raise InputError(
            f"{folder}: contains no results of 'rilievo predict' (with a JSON file beside each) "
            "and no evaluation; for results of other programs, also give the name of the dataset"
        )
    return ids


def photos_by_id(ids: Sequence[str], folders: Sequence[Path], photos: Path) -> Mapping[str, Path]:
    """Find the photographs of results in the folder ``photos``, by id."""
    if not photos.is_dir():
        raise InputError(f"{photos}: no such folder of photographs")
    photo_by_id: dict[str, Path] = {}
    for folder in folders:
        for path, sidecar in _photo_sidecars(folder):
            image_id = _relative_id(path, folder)
            photo = photo_by_id.get(image_id)
            if photo is None:
                photo = _find_photo(path.relative_to(folder).parent, sidecar, photos)
            if photo is not None:
                _check_photo_size(photo, sidecar, path)
                photo_by_id[image_id] = photo
    if not photo_by_id:
        raise InputError(
            f"{photos}: contains no photograph for {count_text(len(ids), 'result')}; expected "
            f"names such as {ids[0]}"
        )
    return photo_by_id


def _find_photo(parent: Path, sidecar: Sidecar, photos: Path) -> Path | None:
    """Find the photograph of a result in the same folder below ``photos``, or one level higher.

    ``parent`` is the folder of the result, relative to the folder of all results.
    """
    without_first_folder = Path(*parent.parts[1:])
    for relative in (parent, without_first_folder):
        folder = photos / relative
        name = sidecar.source.file
        file = folder / _names_by_escaped_name(folder).get(name, name)
        if file.is_file():
            return file
    return None


@cache
def _names_by_escaped_name(folder: Path) -> Mapping[str, str]:
    """Names of files that sidecars hold in an escaped form, by that form."""
    names = os.listdir(folder) if folder.is_dir() else []
    return {printable(name): name for name in names if printable(name) != name}


def _check_photo_size(photo: Path, sidecar: Sidecar, sidecar_path: Path) -> None:
    """Raise an InputError if a photograph has not the bytes that a sidecar states."""
    expected = sidecar.run.get(SOURCE_BYTES)
    num_bytes = photo.stat().st_size
    if isinstance(expected, int) and num_bytes != expected:
        raise InputError(
            f"{photo}: has {num_bytes} bytes, but {sidecar_path} was made from a file of "
            f"{expected} bytes, so the photograph is a different one or has changed: predict it "
            "again"
        )


def _photo_sidecars(folder: Path) -> Iterator[tuple[Path, Sidecar]]:
    """Yield the sidecars of photographs in a folder, not those of videos, with their paths."""
    for path in sorted(folder.rglob(f"*{SUFFIX}")):
        try:
            sidecar = read_sidecar(path)
        except InputError:
            if _mentions_sidecar_format(path):
                raise
            continue  # JSON files of other programs may be in the folder
        # Only sidecars of videos say whether frames were predicted independently.
        if "independent" not in sidecar.run:
            yield path, sidecar


def _mentions_sidecar_format(path: Path) -> bool:
    """Whether a file that cannot be read as a sidecar claims to be one of ours."""
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
        label_suffixes: Added to the label, one after the other, as long as other models have the
            same one (see ``make_names_unique``).
        field: Name of its field in FiftyOne.
        kind: Kind of its depth; None if it has no depth.
        description: What it predicts, and how that was aligned.
        ids: Images with a prediction.
        summaries: Summaries of metrics, the leading one first; empty without an evaluation.
        scores: Scores by image; empty without an evaluation.
        unscored: Reasons for missing scores, by image.
        shows_pictures: Whether written pictures are shown, because no file holds depth.
    """

    label: str
    label_suffixes: tuple[str, ...] = ()
    field: str
    made_by: MadeBy
    kind: DepthKind | None
    description: str
    has_normals: bool
    predictions: Predictions
    ids: frozenset[str]
    summaries: tuple[Summary, ...]
    scores: Mapping[str, Score]
    unscored: Mapping[str, str]
    shows_pictures: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenPicture:
    """A picture among the files of a prediction, and what it shows."""

    metadata: FileFacts
    pixels: Pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelResult:
    """Result of one model for one image.

    Attributes:
        prediction: None if there is no prediction, or it cannot be read.
        fault: Why the prediction cannot be read; None if it can, or there is none.
        pictures: Pictures that show depth which is in no file.
    """

    column: ModelColumn
    prediction: PredictionRecord | None
    fault: str | None = None
    pictures: tuple[WrittenPicture, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewItem:
    """One image of a view, with ground truth, camera and the results of the models.

    Attributes:
        truth: None if there is no ground truth.
        camera: Camera of the ground truth, else of the first prediction that has one; else None.
        results: One for each model.
    """

    id: str
    photo: Pixels
    truth: Truth | None
    camera: Camera | None
    results: tuple[ModelResult, ...]

    @property
    def disagreement(self) -> float | None:
        """How much the depth of the models differs (see ``disagreement``)."""
        predictions = [result.prediction for result in self.results]
        return disagreement(
            [
                prediction.depth
                for prediction in predictions
                if prediction is not None and prediction.depth_or_none is not None
            ]
        )

    @property
    def true_depth(self) -> DepthMap | None:
        """True depth [m]; None if there is no true depth."""
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
        absent: Images that the user would expect in the view but that cannot be shown, because
            their files are missing, with the reasons.
    """

    name: str
    images: DatasetImages | FolderImages
    ids: tuple[str, ...]
    columns: tuple[ModelColumn, ...] = ()
    absent: Mapping[str, str]

    def read(self, image_id: str) -> ViewItem:
        """Read one image with all predictions; a broken prediction becomes a fault.

        Raises:
            InputError: If the photograph or the ground truth is broken.
        """
        photo, truth = self.images.photo(image_id), self.images.truth(image_id)
        results = tuple(_read_result(column, image_id, photo.shape[:2]) for column in self.columns)
        camera = None if truth is None else truth.camera
        for result in results:
            if camera is None and result.prediction is not None:
                camera = result.prediction.camera
        return ViewItem(id=image_id, photo=photo, truth=truth, camera=camera, results=results)

    def require_shown(self, failed: Sequence[str]) -> None:
        """Raise an InputError if all images failed."""
        if len(failed) == len(self.ids) + len(self.absent):
            beginning = "the only image cannot be shown"
            if len(failed) > 1:
                beginning = (
                    f"none of the {len(failed)} images can be shown; the reason for the first one"
                )
            raise InputError(f"{beginning}: {failed[0]}")


def _read_result(column: ModelColumn, image_id: str, photo_size: Size) -> ModelResult:
    """Read a model's prediction of an image, at the size of the photograph.

    An error becomes a fault of the result.
    """
    if image_id not in column.ids:
        return ModelResult(column=column, prediction=None)
    prediction, fault = None, None
    try:
        try:
            prediction = place_in_photo(column.predictions.read(image_id), photo_size)
        except NoArraysError as error:
            # There may be pictures, which are shown instead.
            fault = note_of(error)
        pictures = _pictures_without_depth(column, image_id, prediction)
    except RilievoError as error:
        return ModelResult(column=column, prediction=None, fault=note_of(error))
    return ModelResult(column=column, prediction=prediction, fault=fault, pictures=pictures)


def _pictures_without_depth(
    column: ModelColumn, image_id: str, prediction: PredictionRecord | None
) -> tuple[WrittenPicture, ...]:
    """Pictures that are shown instead of depth, if the prediction has no depth array.

    Pictures of outputs that were read as arrays, such as normals, are left out.
    """
    if not isinstance(column.predictions, RilievoResults):
        return ()
    if prediction is not None and prediction.depth_or_none is not None:
        return ()
    needs = set()
    if prediction is not None:
        needs = {need for need in Need if need is not Need.DEPTH and prediction.has(need)}
    read_outputs = {name for name, output in OUTPUTS.items() if needs & {*output.readable}}
    return tuple(
        WrittenPicture(metadata=metadata, pixels=read_photo(path, own_depth=False).pixels)
        for path, metadata in column.predictions.pictures(image_id).items()
        if metadata.output not in read_outputs
    )


def item_notes(item: ViewItem) -> Iterator[str]:
    """Yield notes on an image: missing parts, missing scores, and the notes of its scores."""
    for result in item.results:
        label = result.column.label
        if result.pictures:
            yield f"{label} is shown by its saved pictures; save arrays (npz, png16) to see more"
        elif result.fault is not None:
            yield f"{label} cannot be shown: {result.fault}"
        elif result.prediction is None:
            yield f"{label} has no prediction"
        if item.id in result.column.unscored:
            yield f"{label} has no score: {result.column.unscored[item.id]}"
        score = result.column.scores.get(item.id)
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


def column_field(folder: Path) -> str:
    """Name of a model's field in FiftyOne, made from the name of its folder."""
    name = re.sub(r"[^0-9a-z]+", "_", folder.resolve().name.lower()).strip("_")
    if not name or name[0].isdigit() or name in RESERVED_FIELDS:
        return f"model_{name}"
    return name


def make_names_unique(columns: Sequence[ModelColumn]) -> tuple[ModelColumn, ...]:
    """Make the labels and fields of the columns unique.

    The first suffix is added to all labels that are repeated, then the second one to those that
    still are, and so on. A suffix that is the same for all of them tells nothing and is left out.
    Names that are repeated in the end get a number.
    """
    labels = [column.label for column in columns]
    max_suffixes = max((len(column.label_suffixes) for column in columns), default=0)
    for level in range(max_suffixes):
        suffixes_by_label: dict[str, set[str]] = {}
        suffixes = [" ".join(column.label_suffixes[level : level + 1]) for column in columns]
        for label, suffix in zip(labels, suffixes, strict=True):
            suffixes_by_label.setdefault(label, set()).add(suffix)
        labels = [
            f"{label} {suffix}".rstrip() if len(suffixes_by_label[label]) > 1 else label
            for label, suffix in zip(labels, suffixes, strict=True)
        ]
    unique_labels = _number_repeated(labels)
    fields = _number_repeated([column.field for column in columns])
    return tuple(
        replace(column, label=label, field=field)
        for column, label, field in zip(columns, unique_labels, fields, strict=True)
    )


def _number_repeated(names: Sequence[str]) -> list[str]:
    """Append _2, _3 and so on to repeated names."""
    unique_names: list[str] = []
    for name in names:
        candidate = name
        suffix = 1
        while candidate in unique_names:
            suffix += 1
            candidate = f"{name}_{suffix}"
        unique_names.append(candidate)
    return unique_names


def disagreement(depths: Sequence[DepthMap]) -> float | None:
    """How much the depth maps of several models differ; None if no two can be compared.

    It is 1 minus the least rank correlation between any two maps (Spearman, 1904). 0 is the same
    order everywhere, 1 is nothing in common, and 2 is near and far exchanged.
    """
    samples = [_distances_on_grid(depth) for depth in depths]
    correlations = [
        _rank_correlation(first, second) for first, second in itertools.combinations(samples, 2)
    ]
    defined = [correlation for correlation in correlations if correlation is not None]
    return 1 - min(defined) if defined else None


def _distances_on_grid(depth: DepthMap) -> Values:
    """Values that grow with distance, on a coarse grid over the map; NaN at invalid pixels."""
    height, width = depth.shape
    cell_centres = (np.arange(_GRID_SIDE) + 0.5) / _GRID_SIDE
    grid = np.ix_((cell_centres * height).astype(int), (cell_centres * width).astype(int))
    values = depth.values[grid].astype(np.float64)
    if depth.kind is DepthKind.AFFINE_INVERSE:
        values = -values
    return np.where(depth.valid[grid], values, np.nan).ravel()


def _rank_correlation(first: AnyValues, second: AnyValues) -> float | None:
    """Spearman's correlation; None if a map is constant, or too few points have depth in both."""
    both_known = np.isfinite(first) & np.isfinite(second)
    if both_known.sum() < _MIN_COMPARED_POINTS:
        return None
    ranks = np.stack([_mean_ranks(first[both_known]), _mean_ranks(second[both_known])])
    centred = ranks - ranks.mean(axis=1, keepdims=True)
    norms = np.sqrt(np.square(centred).sum(axis=1))
    if not norms.all():
        return None
    return float(centred[0] @ centred[1] / (norms[0] * norms[1]))


def _mean_ranks(values: AnyValues) -> Values:
    """Rank of each value, from 0; equal values share their mean rank."""
    _, unique_index, counts = np.unique(values, return_inverse=True, return_counts=True)
    rank_ends = np.cumsum(counts)
    first_ranks, last_ranks = rank_ends - counts, rank_ends - 1
    return ((first_ranks + last_ranks) / 2)[unique_index]
