"""Put predictions that show a part of a picture where they belong in it."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rilievo.arrays.shapes import Size
from rilievo.data.datasets.dataset import Dataset
from rilievo.errors import InputError
from rilievo.evaluation.benchmarks.benchmark import Benchmark, Crop, Interpolation
from rilievo.evaluation.scoring.regions import (
    PixelWindow,
    count_outside_view,
    model_window,
    scored_window,
    truth_in_view,
    truth_size,
)
from rilievo.evaluation.scoring.resizing import (
    resize_confidence,
    resize_depth,
    resize_normals,
)
from rilievo.evaluation.stored_numbers import PointMap
from rilievo.evaluation.stored_predictions import Predictions, StoredPrediction
from rilievo.io.depth.crops import DepthCrop, known_crops
from rilievo.io.depth.placement import PlacementNames, has_size_or_multiple, place_map
from rilievo.records.depth_map import DepthMap
from rilievo.records.prediction_record import PredictionRecord
from rilievo.records.sample import Truth


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedPrediction:
    """A prediction and the ground truth, cut to the part that the benchmark shows to models.

    Attributes:
        outside_view: Number of pixels with ground truth outside of that part.
        notes: Notes of the prediction's own, and where it was put, if it showed something else.
    """

    prediction: PredictionRecord
    truth: Truth
    outside_view: int = 0
    notes: tuple[str, ...] = ()


_NAMES = PlacementNames(map="the prediction", picture="the truth")
_PHOTO_NAMES = PlacementNames(map="the prediction", picture="the photograph")


_PREDICTION_NOTE = "note of the prediction: "
"""Beginning of a note that a prediction brings along."""


def is_placement_note(note: str) -> bool:
    """Whether a note of a score says where its prediction was placed, or how it was cut."""
    return re.match(rf"{_NAMES.map} is (\d|of the whole photograph)", note) is not None


def is_prediction_note(note: str) -> bool:
    """Whether a note of a score is one that its prediction brought along."""
    return note.startswith(_PREDICTION_NOTE)


def read_placed(
    benchmark: Benchmark, dataset: Dataset, predictions: Predictions, image_id: str
) -> PlacedPrediction:
    """Read the prediction and the truth of an image, and bring both to the benchmark's view."""
    return place_prediction(benchmark, predictions.read(image_id), dataset.truth(image_id))


def place_prediction(
    benchmark: Benchmark, prediction: PredictionRecord, truth: Truth
) -> PlacedPrediction:
    """Bring a prediction and the truth to the benchmark's view, the part that models see.

    A prediction of another size that shows the whole view stays as it is, and is resized later by
    the benchmark's rule. ``truth`` covers the whole photograph.

    Raises:
        InputError: If it cannot be told which part a prediction shows (``io.depth.placement``).
    """
    view_truth = truth_in_view(benchmark, truth)
    placed, placement_notes = _bring_to_view(benchmark, prediction, truth, view_truth)
    own_notes = [f"{_PREDICTION_NOTE}{note}" for note in prediction.notes]
    return PlacedPrediction(
        prediction=placed,
        truth=view_truth,
        outside_view=count_outside_view(benchmark, truth, view_truth),
        notes=(*own_notes, *placement_notes),
    )


def _bring_to_view(
    benchmark: Benchmark, prediction: PredictionRecord, truth: Truth, view_truth: Truth
) -> tuple[PredictionRecord, tuple[str, ...]]:
    """Bring a prediction to the part that models see, with notes on where it was put.

    ``truth`` covers the whole photograph, and ``view_truth`` that part.
    """
    size = _prediction_size(prediction)
    if size is None:
        return prediction, ()
    stated_crop = prediction.crop if isinstance(prediction, StoredPrediction) else None
    depth = prediction.depth_or_none
    # Invalid pixels are zero, by which padding is noticed.
    values = None if depth is None else np.where(depth.valid, depth.values, 0)

    candidate_crops: Mapping[str, DepthCrop] | None = None
    if truth.depth is not None or truth.normals is not None:
        photo_size = truth_size(truth)
        view_size = truth_size(view_truth)
        # The benchmark crops the photograph, but the model may have predicted all of it.
        shows_whole_photo = size != view_size and has_size_or_multiple(size, photo_size)
        if stated_crop is None and view_size != photo_size and shows_whole_photo:
            cut, note = _cut_from_photo(benchmark, prediction, size, photo_size)
            return cut, (note,)
        candidate_crops = _candidate_crops(benchmark, view_size)
    elif truth.order is not None:
        # The truth is pairs of points, of which only the picture's size is known.
        view_size = truth.order.size
    else:
        return prediction, ()

    placement = place_map(
        size, view_size, stated_crop, _NAMES, known=candidate_crops, values=values
    )
    return _paste_into_view(benchmark, prediction, placement.crop, view_size), placement.notes


def place_in_photo(prediction: PredictionRecord, photo_size: Size) -> PredictionRecord:
    """Bring a prediction to the size of its photograph, to be shown beside it.

    Its maps are resized linearly, and put where the part lies that they show.

    Raises:
        InputError: If it cannot be told which part a prediction shows (``io.depth.placement``).
    """
    size = _prediction_size(prediction)
    if size is None or size == photo_size:
        return prediction
    stated_crop = prediction.crop if isinstance(prediction, StoredPrediction) else None
    crop = place_map(size, photo_size, stated_crop, _PHOTO_NAMES).crop

    def placed(output: Any) -> Any:
        if output is None:
            return None
        resized = _resize_output(output, crop.shape, Interpolation.BILINEAR)
        return _paste_output(resized, crop, photo_size)

    sky = prediction.sky
    if sky is not None:
        sky = placed(sky.astype(np.float32)) > 0.5
    return StoredPrediction(
        depth_or_none=placed(prediction.depth_or_none),
        normals=placed(prediction.normals),
        confidence=placed(prediction.confidence),
        sky=sky,
        notes=prediction.notes,
        made_by=prediction.made_by,
    )


def _paste_into_view(
    benchmark: Benchmark, prediction: PredictionRecord, crop: DepthCrop, view_size: Size
) -> PredictionRecord:
    """Paste a prediction of a crop into empty maps of the size that the benchmark shows."""
    if crop.shape == view_size:
        return prediction

    def resize_and_paste(output: Any) -> Any:
        return _paste_output(
            _resize_output(output, crop.shape, benchmark.interpolation), crop, view_size
        )

    return _change_outputs(prediction, resize_and_paste)


def _cut_from_photo(
    benchmark: Benchmark, prediction: PredictionRecord, size: Size, photo_size: Size
) -> tuple[PredictionRecord, str]:
    """Cut a prediction of the whole photograph to what the benchmark shows, with a note on that."""
    window = model_window(benchmark.input_crop, photo_size)
    note = (
        f"the prediction is of the whole photograph ({_size_text(size)}), so rilievo cut it to "
        f"the {_size_text(window.shape)} pixels (height x width) that the benchmark shows"
    )

    def resize_and_cut(output: Any) -> Any:
        return _crop_output(_resize_output(output, photo_size, benchmark.interpolation), window)

    return _change_outputs(prediction, resize_and_cut), note


_KITTI_CROPS = (Crop.KITTI_GARG, Crop.KITTI_EIGEN)


def _candidate_crops(benchmark: Benchmark, view_size: Size) -> Mapping[str, DepthCrop]:
    """Crops that a prediction may show, by name: published ones and the benchmark's own."""
    candidates = dict(known_crops(view_size))
    if benchmark.crop == Crop.NONE:
        return candidates
    if benchmark.crop in _KITTI_CROPS:
        # Garg's and Eigen's crops have the same size in most of KITTI's pictures.
        for kitti_crop in _KITTI_CROPS:
            candidates[kitti_crop.value] = _scored_crop(kitti_crop, view_size)
    candidates[str(benchmark.crop)] = _scored_crop(benchmark.crop, view_size)
    return candidates


def _scored_crop(crop: Crop | str, view_size: Size) -> DepthCrop:
    """Part of the view that a benchmark's crop scores."""
    window = scored_window(crop, view_size)
    height, width = window.shape
    return DepthCrop(top=window.top, left=window.left, height=height, width=width)


def _prediction_size(prediction: PredictionRecord) -> Size | None:
    """(height, width) of the depth, points or normals, the first that exists; None if none does."""
    if prediction.depth_or_none is not None:
        return _last_two(prediction.depth_or_none.valid.shape)
    if isinstance(prediction, StoredPrediction) and prediction.points is not None:
        return _last_two(prediction.points.valid.shape)
    if prediction.normals is not None:
        return _last_two(prediction.normals.shape)
    return None


def _size_text(size: Size) -> str:
    """Text such as "480 x 640", height first."""
    return f"{size[0]} x {size[1]}"


def _last_two(shape: tuple[int, ...]) -> Size:
    height, width = shape[-2:]
    return height, width


def _change_outputs(prediction: PredictionRecord, change: Callable[[Any], Any]) -> PredictionRecord:
    """Apply a function to depth, normals, confidence and points, and drop the camera."""
    changed = {}
    for name in ("depth_or_none", "normals", "confidence", "points"):
        output = getattr(prediction, name, None)
        if output is not None:
            changed[name] = change(output)
    # The camera belongs to the old size.
    return replace(prediction, camera=None, **changed)


def _paste_output(output: Any, crop: DepthCrop, view_size: Size) -> Any:
    """Paste a map into an empty one: depth and vectors are NaN elsewhere, confidence is 0."""
    if isinstance(output, DepthMap | PointMap):
        values = crop.paste_into_picture(output.values, view_size, np.nan)
        valid = crop.paste_into_picture(output.valid, view_size, False)
        return replace(output, values=values, valid=valid)
    is_vectors = output.ndim == 3  # (3, height, width)
    return crop.paste_into_picture(output, view_size, np.nan if is_vectors else 0)


def _crop_output(output: Any, window: PixelWindow) -> Any:
    """Cut a depth map, points, vectors or confidence to a window."""
    if isinstance(output, DepthMap | PointMap):
        values = output.values[(..., *window.slices)]
        return replace(output, values=values, valid=output.valid[window.slices])
    return output[(..., *window.slices)]


def _resize_output(output: Any, size: Size, interpolation: Interpolation | str) -> Any:
    """Resize depth, normals or confidence; points cannot be resized, so they must have the size."""
    if isinstance(output, PointMap):
        if output.valid.shape != size:
            raise InputError(
                f"the predicted points have the size {_size_text(_last_two(output.valid.shape))} "
                f"(height x width), but the crop has the size {_size_text(size)}: points cannot "
                "be resized, so give them at the crop's size"
            )
        return output
    if isinstance(output, DepthMap):
        return resize_depth(output, size, interpolation)
    if output.ndim == 3:  # normals (3, height, width)
        return resize_normals(output, size, interpolation)
    return resize_confidence(output, size)
