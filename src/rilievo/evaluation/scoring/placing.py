"""Predictions of a part of a picture, put where they belong in it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rilievo.arrays.shapes import Size
from rilievo.errors import InputError
from rilievo.errors.messages import OptionName, Text
from rilievo.evaluation.benchmarks.benchmark import Benchmark, Crop, InputCrop, Interpolation
from rilievo.evaluation.scoring.regions import (
    PixelWindow,
    model_window,
    scored_window,
    truth_in_view,
    truth_size,
)
from rilievo.evaluation.scoring.resizing import (
    is_rounded_size,
    resize_confidence,
    resize_depth,
    resize_normals,
    size_words,
)
from rilievo.evaluation.stored_numbers import PointMap
from rilievo.evaluation.stored_predictions import StoredPrediction
from rilievo.io.depth_crops import DepthCrop
from rilievo.records.depth_map import DepthMap
from rilievo.records.prediction_record import PredictionRecord
from rilievo.records.sample import Truth


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedPrediction:
    """A prediction of what the benchmark shows, and notes on its place."""

    prediction: PredictionRecord
    notes: tuple[str, ...] = ()


def place_prediction(
    benchmark: Benchmark, prediction: PredictionRecord, truth: Truth
) -> PlacedPrediction:
    """Put a prediction of a known crop where it belongs in what the benchmark shows."""
    if truth.depth is None and truth.normals is None:
        return PlacedPrediction(prediction=prediction)
    crop = prediction.crop if isinstance(prediction, StoredPrediction) else None
    size = _prediction_size(prediction)
    whole = truth_size(truth)
    if size is None or (crop is None and size == whole and benchmark.input_crop == "none"):
        return PlacedPrediction(prediction=prediction)
    shown = truth_size(truth_in_view(benchmark, truth))
    if crop is not None:
        crop.check_inside(shown)
        rule = benchmark.interpolation
        return PlacedPrediction(
            prediction=_change_parts(
                prediction,
                lambda part: _paste_part(_resize_part(part, crop.shape, rule), crop, shown),
            )
        )
    if size == shown:
        return PlacedPrediction(prediction=prediction)
    counted = scored_window(benchmark.crop, shown)
    if counted.shape == size:
        place = _crop_of_window(counted)
        note = (
            f"the prediction is of the crop '{benchmark.crop}' alone ({size_words(size)}), and was "
            f"put there: {place} (top, left, height, width)"
        )
        return PlacedPrediction(
            prediction=_change_parts(prediction, lambda part: _paste_part(part, place, shown)),
            notes=(note,),
        )
    if size == whole:
        window = model_window(benchmark.input_crop, whole)
        note = (
            f"the prediction is of the whole photograph ({size_words(size)}), and was cut to the "
            f"{size_words(shown)} that the benchmark shows"
        )
        return PlacedPrediction(
            prediction=_change_parts(prediction, lambda part: _crop_part(part, window)),
            notes=(note,),
        )
    for name, place in _named_crops(shown):
        if place.shape == size and not is_rounded_size(size, shown):
            raise InputError(
                problem=Text(
                    f"the prediction is {size_words(size)}, which is the crop "
                    f"'{name}' of the truth's {size_words(shown)}, and the "
                    f"benchmark '{benchmark.name}' does not know it: say "
                    "where it lies, ",
                    OptionName("crop", str(place)),
                )
            )
    return PlacedPrediction(prediction=prediction)


def _named_crops(shape: Size) -> Iterator[tuple[str, DepthCrop]]:
    # A size that is exactly one of a benchmark's crops is one.
    for crop in Crop:
        if crop is not Crop.NONE and (crop is not Crop.NYU_EIGEN or shape == (480, 640)):
            yield crop.value, _crop_of_window(scored_window(crop, shape))
    for crop in InputCrop:
        try:
            yield crop.value, _crop_of_window(model_window(crop, shape))
        except InputError:
            continue


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
