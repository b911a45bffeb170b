"""Predictions of a part of a picture, put where they belong in it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from rilievo.depth_map import DepthMap
from rilievo.errors import InputError
from rilievo.evaluation.benchmarks.benchmark import Benchmark, Crop, InputCrop, Interpolation
from rilievo.evaluation.scoring.regions import (
    PixelWindow,
    counted_window,
    shown_window,
    size_of,
    truth_for,
)
from rilievo.evaluation.scoring.resizing import (
    confidence_at,
    depth_at,
    is_rounded,
    normals_at,
    size_words,
)
from rilievo.evaluation.stored_predictions import PointMap, StoredPrediction
from rilievo.frozen import frozen
from rilievo.io.depth_numbers import DepthCrop
from rilievo.messages import literal
from rilievo.prediction_record import PredictionRecord
from rilievo.sample import Truth
from rilievo.shapes import Size


@frozen
class Placed:
    """A prediction of what the benchmark shows, and notes on its place."""

    prediction: PredictionRecord
    notes: tuple[str, ...] = ()


def placed(benchmark: Benchmark, prediction: PredictionRecord, truth: Truth) -> Placed:
    """Put a prediction of a known crop where it belongs in what the benchmark shows."""
    if truth.depth is None and truth.normals is None:
        return Placed(prediction=prediction)
    crop = prediction.crop if isinstance(prediction, StoredPrediction) else None
    size = _prediction_size(prediction)
    whole = size_of(truth)
    if size is None or (crop is None and size == whole and benchmark.input_crop == "none"):
        return Placed(prediction=prediction)
    shown = size_of(truth_for(benchmark, truth))
    if crop is not None:
        crop.check_inside(shown)
        rule = benchmark.interpolation
        return Placed(
            prediction=_map_parts(
                prediction,
                lambda part: _paste_part(_resize_part(part, crop.shape, rule), crop, shown),
            )
        )
    if size == shown:
        return Placed(prediction=prediction)
    counted = counted_window(benchmark.crop, shown)
    if counted.shape == size:
        place = _depth_crop(counted)
        note = (
            f"the prediction is of the crop '{benchmark.crop}' alone ({size_words(size)}), and was "
            f"put there: {place} (top, left, height, width)"
        )
        return Placed(
            prediction=_map_parts(prediction, lambda part: _paste_part(part, place, shown)),
            notes=(note,),
        )
    if size == whole:
        window = shown_window(benchmark.input_crop, whole)
        note = (
            f"the prediction is of the whole photograph ({size_words(size)}), and was cut to the "
            f"{size_words(shown)} that the benchmark shows"
        )
        return Placed(
            prediction=_map_parts(prediction, lambda part: _crop_part(part, window)), notes=(note,)
        )
    for name, place in _known_crops(shown):
        if place.shape == size and not is_rounded(size, shown):
            raise InputError(
                problem=(
                    f"the prediction is {size_words(size)}, which is the crop "
                    f"'{literal(name)}' of the truth's {size_words(shown)}, and the "
                    f"benchmark '{literal(benchmark.name)}' does not know it: say where "
                    f"it lies, {{crop={place}}}"
                )
            )
    return Placed(prediction=prediction)


def _known_crops(shape: Size) -> Iterator[tuple[str, DepthCrop]]:
    # A size that is exactly one of a benchmark's crops is one.
    for crop in Crop:
        if crop is not Crop.NONE and (crop is not Crop.NYU_EIGEN or shape == (480, 640)):
            yield crop.value, _depth_crop(counted_window(crop, shape))
    for crop in InputCrop:
        try:
            yield crop.value, _depth_crop(shown_window(crop, shape))
        except InputError:
            continue


def _depth_crop(window: PixelWindow) -> DepthCrop:
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


def _map_parts(prediction: PredictionRecord, change: Callable[[Any], Any]) -> PredictionRecord:
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
        values = place.placed(part.values, shape, np.nan)
        return replace(part, values=values, valid=place.placed(part.valid, shape, False))
    return place.placed(part, shape, np.nan if part.ndim == 3 else 0)


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
        return depth_at(part, shape, rule)
    if part.ndim == 3:
        return normals_at(part, shape, rule)
    return confidence_at(part, shape)
