"""Put predictions that show a part of a picture where they belong in it."""

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
    """A prediction of all that the benchmark shows, and notes on where it was put."""

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

    A prediction of another size that shows the whole picture stays as it is, and is resized later
    by the benchmark's rule. ``truth`` is that of the whole photograph.

    Raises:
        InputError: If nothing says which part it shows (``rilievo.io.depth.placement``).
    """
    size = _prediction_size(prediction)
    if size is None:
        return PlacedPrediction(prediction=prediction)
    stated = prediction.crop if isinstance(prediction, StoredPrediction) else None
    values = _depth_or_zeros(prediction)

    if truth.depth is None and truth.normals is None:
        if truth.order is None:
            return PlacedPrediction(prediction=prediction)
        shown = truth.order.size
        place = place_map(size, shown, stated, _WORDS, values=values)
        return _put_into_picture(benchmark, prediction, place, shown)

    whole = truth_size(truth)
    shown = truth_size(truth_in_view(benchmark, truth))
    if stated is None and shown != whole and size != shown and has_size_or_multiple(size, whole):
        return _cut_from_whole(benchmark, prediction, size, whole)
    crops = _candidate_crops(benchmark, shown)
    place = place_map(size, shown, stated, _WORDS, known=crops, values=values)
    return _put_into_picture(benchmark, prediction, place, shown)


def _put_into_picture(
    benchmark: Benchmark, prediction: PredictionRecord, place: MapPlacement, shown: Size
) -> PlacedPrediction:
    """Paste a prediction of a crop into an empty map of the shown size."""
    crop = place.crop
    if crop.shape == shown:
        return PlacedPrediction(prediction=prediction, notes=place.notes)

    def paste(part: Any) -> Any:
        return _paste_part(_resize_part(part, crop.shape, benchmark.interpolation), crop, shown)

    return PlacedPrediction(prediction=_change_parts(prediction, paste), notes=place.notes)


def _cut_from_whole(
    benchmark: Benchmark, prediction: PredictionRecord, size: Size, whole: Size
) -> PlacedPrediction:
    """Cut a prediction of the whole photograph to what the benchmark shows."""
    window = model_window(benchmark.input_crop, whole)
    note = (
        f"the prediction is of the whole photograph ({size_words(size)}), and was cut to the "
        f"{size_words(window.shape)} that the benchmark shows"
    )

    def cut(part: Any) -> Any:
        return _crop_part(_resize_part(part, whole, benchmark.interpolation), window)

    return PlacedPrediction(prediction=_change_parts(prediction, cut), notes=(note,))


_KITTI_CROPS = (Crop.KITTI_GARG, Crop.KITTI_EIGEN)


def _candidate_crops(benchmark: Benchmark, shown: Size) -> Mapping[str, DepthCrop]:
    """Crops that a prediction may show, by name: published ones and the benchmark's own."""
    candidates = dict(known_crops(shown))
    if benchmark.crop == Crop.NONE:
        return candidates
    if benchmark.crop in _KITTI_CROPS:
        # Garg's and Eigen's crops have the same size in most of KITTI's pictures.
        for kitti_crop in _KITTI_CROPS:
            candidates[kitti_crop.value] = _scored_crop(kitti_crop, shown)
    candidates[str(benchmark.crop)] = _scored_crop(benchmark.crop, shown)
    return candidates


def _scored_crop(crop: Crop | str, shown: Size) -> DepthCrop:
    window = scored_window(crop, shown)
    height, width = window.shape
    return DepthCrop(top=window.top, left=window.left, height=height, width=width)


def _prediction_size(prediction: PredictionRecord) -> Size | None:
    """(height, width) of the depth, else the points, else the normals; None if it has none."""
    if prediction.depth_or_none is not None:
        return _last_two(prediction.depth_or_none.valid.shape)
    if isinstance(prediction, StoredPrediction) and prediction.points is not None:
        return _last_two(prediction.points.valid.shape)
    if prediction.normals is not None:
        return _last_two(prediction.normals.shape)
    return None


def _last_two(shape: tuple[int, ...]) -> Size:
    height, width = shape[-2:]
    return height, width


def _depth_or_zeros(prediction: PredictionRecord) -> AnyPlane | None:
    """Values of the predicted depth map, 0 where they are invalid; None without depth."""
    depth = prediction.depth_or_none
    return None if depth is None else np.where(depth.valid, depth.values, 0)


def _change_parts(prediction: PredictionRecord, change: Callable[[Any], Any]) -> PredictionRecord:
    """Apply a function to depth, normals, confidence and points, and drop the camera."""
    changed = {}
    for name in ("depth_or_none", "normals", "confidence", "points"):
        part = getattr(prediction, name, None)
        if part is not None:
            changed[name] = change(part)
    # The camera belongs to the old size.
    return replace(prediction, camera=None, **changed)


def _paste_part(part: Any, crop: DepthCrop, shape: Size) -> Any:
    """Paste a map into an empty one: depth and vectors are NaN elsewhere, confidence is 0."""
    if isinstance(part, DepthMap | PointMap):
        values = crop.paste_into_picture(part.values, shape, np.nan)
        valid = crop.paste_into_picture(part.valid, shape, False)
        return replace(part, values=values, valid=valid)
    return crop.paste_into_picture(part, shape, np.nan if part.ndim == 3 else 0)


def _crop_part(part: Any, window: PixelWindow) -> Any:
    if isinstance(part, DepthMap | PointMap):
        values = part.values[(..., *window.slices)]
        return replace(part, values=values, valid=part.valid[window.slices])
    return part[(..., *window.slices)]


def _resize_part(part: Any, shape: Size, interpolation: Interpolation | str) -> Any:
    """Resize one part of a prediction; points are only accepted at the right size."""
    if isinstance(part, PointMap):
        if part.valid.shape != shape:
            raise InputError(
                f"the predicted points are {size_words(_last_two(part.valid.shape))}"
                f", the crop {size_words(shape)}: points are not resized"
            )
        return part
    if isinstance(part, DepthMap):
        return resize_depth(part, shape, interpolation)
    if part.ndim == 3:
        return resize_normals(part, shape, interpolation)
    return resize_confidence(part, shape)
