"""Predictions of a part of a picture, put where they belong in it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rilievo.arrays.shapes import AnyPlane, Size
from rilievo.errors import InputError
from rilievo.evaluation.benchmarks.benchmark import Benchmark, Crop, Interpolation
from rilievo.evaluation.scoring.regions import (
    PixelWindow,
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
from rilievo.evaluation.stored_predictions import StoredPrediction
from rilievo.io.depth.crops import DepthCrop, known_crops
from rilievo.io.depth.map_sizes import has_size_or_multiple, size_words
from rilievo.io.depth.placement import MapPlacement, PlacementWords, place_map
from rilievo.records.depth_map import DepthMap
from rilievo.records.prediction_record import PredictionRecord
from rilievo.records.sample import Truth


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedPrediction:
    """A prediction of what the benchmark shows, and notes on its place."""

    prediction: PredictionRecord
    notes: tuple[str, ...] = ()


_WORDS = PlacementWords(map="the prediction", picture="the truth")


def is_note_on_place(note: str) -> bool:
    """Whether a note of a score says where its prediction was put."""
    return note.startswith(f"{_WORDS.map} is ")


def place_prediction(
    benchmark: Benchmark, prediction: PredictionRecord, truth: Truth
) -> PlacedPrediction:
    """Put a prediction where it belongs in what the benchmark shows.

    A prediction of another size that is of all that the benchmark shows stays as it is: what scores
    it resizes it by the benchmark's rule.

    Raises:
        InputError: If nothing says where it lies (``rilievo.io.depth.placement``).
    """
    size = _prediction_size(prediction)
    stated = prediction.crop if isinstance(prediction, StoredPrediction) else None
    if size is None:
        return PlacedPrediction(prediction=prediction)
    if truth.depth is None and truth.normals is None:
        if truth.order is None:
            return PlacedPrediction(prediction=prediction)
        values = _prediction_values(prediction)
        place = place_map(size, truth.order.size, stated, _WORDS, values=values)
        return _put_into_picture(benchmark, prediction, place, truth.order.size)
    whole = truth_size(truth)
    shown = truth_size(truth_in_view(benchmark, truth))
    if stated is None and shown != whole and size != shown:
        cut = _cut_from_whole(benchmark, prediction, size, whole)
        if cut is not None:
            return cut
    candidates = _candidate_crops(benchmark, shown)
    values = _prediction_values(prediction)
    place = place_map(size, shown, stated, _WORDS, known=candidates, values=values)
    return _put_into_picture(benchmark, prediction, place, shown)


def _put_into_picture(
    benchmark: Benchmark, prediction: PredictionRecord, place: MapPlacement, shown: Size
) -> PlacedPrediction:
    crop = place.crop
    if crop.shape != shown:
        prediction = _change_parts(
            prediction,
            lambda part: _paste_part(
                _resize_part(part, crop.shape, benchmark.interpolation), crop, shown
            ),
        )
    return PlacedPrediction(prediction=prediction, notes=place.notes)


def _cut_from_whole(
    benchmark: Benchmark, prediction: PredictionRecord, size: Size, whole: Size
) -> PlacedPrediction | None:
    """Prediction of the whole photograph, cut to what the benchmark shows; None for others."""
    if not has_size_or_multiple(size, whole):
        return None
    window = model_window(benchmark.input_crop, whole)
    note = (
        f"the prediction is of the whole photograph ({size_words(size)}), and was cut to the "
        f"{size_words(window.shape)} that the benchmark shows"
    )

    def cut(part: Any) -> Any:
        return _crop_part(_resize_part(part, whole, benchmark.interpolation), window)

    return PlacedPrediction(prediction=_change_parts(prediction, cut), notes=(note,))


def _candidate_crops(benchmark: Benchmark, shown: Size) -> Mapping[str, DepthCrop]:
    """Known crops that a prediction may be of: the benchmark's own, and published ones."""
    candidates = dict(known_crops(shown))
    if benchmark.crop == Crop.NONE:
        return candidates
    own = _crop_of_window(scored_window(benchmark.crop, shown))
    if benchmark.crop in _KITTI_CROPS:
        # Garg's and Eigen's crops have the same size in most of KITTI's pictures.
        for name in _KITTI_CROPS:
            candidates[name.value] = _crop_of_window(scored_window(name, shown))
    candidates[str(benchmark.crop)] = own
    return candidates


_KITTI_CROPS = (Crop.KITTI_GARG, Crop.KITTI_EIGEN)


def _crop_of_window(window: PixelWindow) -> DepthCrop:
    height, width = window.shape
    return DepthCrop(top=window.top, left=window.left, height=height, width=width)


def _prediction_size(prediction: PredictionRecord) -> Size | None:
    """(height, width) of depth, points or normals; None without."""
    points = prediction.points if isinstance(prediction, StoredPrediction) else None
    for part in (prediction.depth_or_none, points):
        if part is not None:
            height, width = part.valid.shape
            return height, width
    if prediction.normals is None:
        return None
    height, width = prediction.normals.shape[-2:]
    return height, width


def _prediction_values(prediction: PredictionRecord) -> AnyPlane | None:
    """Numbers of a predicted depth map, 0 where it has none; None without depth."""
    depth = prediction.depth_or_none
    return None if depth is None else np.where(depth.valid, depth.values, 0)


def _change_parts(prediction: PredictionRecord, change: Callable[[Any], Any]) -> PredictionRecord:
    """Prediction of changed parts, without its camera."""
    names = ("depth_or_none", "normals", "confidence", "points")
    parts = {
        name: change(part)
        for name in names
        if (part := getattr(prediction, name, None)) is not None
    }
    # The camera is of the old size.
    return replace(prediction, camera=None, **parts)


def _paste_part(part: Any, place: DepthCrop, shape: Size) -> Any:
    if isinstance(part, DepthMap | PointMap):
        values = place.paste_into_picture(part.values, shape, np.nan)
        return replace(
            part, values=values, valid=place.paste_into_picture(part.valid, shape, False)
        )
    return place.paste_into_picture(part, shape, np.nan if part.ndim == 3 else 0)


def _crop_part(part: Any, window: PixelWindow) -> Any:
    if isinstance(part, DepthMap | PointMap):
        values = part.values[(..., *window.slices)]
        return replace(part, values=values, valid=part.valid[window.slices])
    return part[(..., *window.slices)]


def _resize_part(part: Any, shape: Size, rule: Interpolation | str) -> Any:
    if isinstance(part, PointMap):
        if part.valid.shape != shape:
            raise InputError(
                f"the predicted points are {size_words((part.valid.shape[0], part.valid.shape[1]))}"
                f", the crop {size_words(shape)}: points are not resized"
            )
        return part
    if isinstance(part, DepthMap):
        return resize_depth(part, shape, rule)
    if part.ndim == 3:
        return resize_normals(part, shape, rule)
    return resize_confidence(part, shape)
