"""Regions that are scored, and predictions brought to their size.

The truth itself is never resized.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rilievo.arrays.shapes import (
    AnyPlane,
    Field,
    Float,
    Float32,
    Float64,
    Mask,
    Pixels,
    Size,
    UInt8,
    Values,
    Vectors,
)
from rilievo.errors import InputError
from rilievo.errors.messages import OptionName, Text
from rilievo.evaluation.benchmarks.benchmark import (
    Benchmark,
    Crop,
    InputCrop,
    Interpolation,
    call_crop,
    call_interpolation,
    call_mask,
)
from rilievo.evaluation.metrics.metric import Indices
from rilievo.evaluation.stored_predictions import PointMap, StoredPrediction
from rilievo.extensions.trust import is_import_path
from rilievo.io.depth_crops import DepthCrop
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.prediction_record import PredictionRecord
from rilievo.records.sample import Truth

NYU_SIZE = (480, 640)
KITTI_BENCHMARK_SIZE = (352, 1216)


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelWindow:
    """A rectangle of pixels; ends are exclusive."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def shape(self) -> Size:
        """(height, width)."""
        return self.bottom - self.top, self.right - self.left

    @property
    def slices(self) -> tuple[slice, slice]:
        """Slices of rows and columns."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


def model_window(crop: InputCrop | str, shape: Size) -> PixelWindow:
    """Part of an image of this size that the model sees."""
    height, width = shape
    if is_import_path(crop) or crop in (InputCrop.NONE, InputCrop.NYU_EIGEN):
        return scored_window(crop, shape)
    crop = InputCrop(crop)
    if crop is InputCrop.NYU_SQUARE:
        _refuse_other_size(crop, shape, NYU_SIZE, exactly=True)
        return PixelWindow(top=0, bottom=480, left=80, right=560)
    rows, columns = KITTI_BENCHMARK_SIZE
    _refuse_other_size(crop, shape, KITTI_BENCHMARK_SIZE, exactly=False)
    left = (width - columns) // 2
    return PixelWindow(top=height - rows, bottom=height, left=left, right=left + columns)


def crop_for_model(image: Pixels, crop: InputCrop | str) -> UInt8[np.ndarray, "a b 3"]:
    """Part of a photograph that the model sees."""
    height, width, _ = image.shape
    return np.ascontiguousarray(image[model_window(crop, (height, width)).slices])


def scored_window(crop: Crop | str, shape: Size) -> PixelWindow:
    """Part of a truth of this size that counts."""
    height, width = shape
    if is_import_path(crop):
        top, bottom, left, right = call_crop(crop, shape)
        return PixelWindow(top=top, bottom=bottom, left=left, right=right)
    crop = Crop(crop)
    if crop is Crop.NONE:
        return PixelWindow(top=0, bottom=height, left=0, right=width)
    if crop is Crop.NYU_EIGEN:
        _refuse_other_size(crop, shape, NYU_SIZE, exactly=True)
        return PixelWindow(top=45, bottom=471, left=41, right=601)
    if crop is Crop.KITTI_GARG:
        rows, columns = (0.40810811, 0.99189189), (0.03594771, 0.96405229)
    else:
        rows, columns = (0.3324324, 0.91351351), (0.0359477, 0.96405229)
    # Cut with int, as all programs of the literature do.
    return PixelWindow(
        top=int(rows[0] * height),
        bottom=int(rows[1] * height),
        left=int(columns[0] * width),
        right=int(columns[1] * width),
    )


def cut_truth(truth: Truth, crop: InputCrop | str) -> Truth:
    """Truth of the part that the model sees, with its camera."""
    if crop is InputCrop.NONE:
        return truth
    window = model_window(crop, truth_size(truth))
    arrays = {
        name: array[..., *window.slices]
        for name in ("depth", "depth_valid", "normals", "normals_valid", "sky", "objects")
        if (array := getattr(truth, name)) is not None
    }
    camera = truth.camera
    if camera is not None:
        camera = camera.cropped(top=window.top, left=window.left)
    return replace(truth, camera=camera, **arrays)  # pyright: ignore[reportArgumentType]


def truth_in_view(benchmark: Benchmark, truth: Truth) -> Truth:
    """Truth of what the model sees, depth clipped to the ceiling."""
    truth = cut_truth(truth, benchmark.input_crop)
    if benchmark.truth_ceiling is None or truth.depth is None:
        return truth
    return replace(truth, depth=np.minimum(truth.depth, np.float32(benchmark.truth_ceiling)))


def truth_size(truth: Truth) -> Size:
    """(height, width) of a truth's maps."""
    array = truth.depth if truth.depth is not None else truth.normals
    if array is None:
        raise InputError(f"sample {truth.id}: has neither true depth nor true normals")
    height, width = array.shape[-2:]
    return height, width


def depth_mask(benchmark: Benchmark, truth: Truth) -> Mask:
    """Pixels whose true depth counts: between the caps, inside the crop."""
    if truth.depth is None or truth.depth_valid is None:
        raise InputError(
            f"sample {truth.id}: has no true depth, which the benchmark '{benchmark.name}' scores"
        )
    mask = truth.depth_valid & (truth.depth > benchmark.min_depth)
    if benchmark.max_depth is not None:
        mask &= truth.depth < benchmark.max_depth
    return _mask_in_crop(benchmark, truth, mask)


def normals_mask(benchmark: Benchmark, truth: Truth) -> Mask:
    """Pixels whose true normal counts."""
    if truth.normals is None or truth.normals_valid is None:
        raise InputError(
            f"sample {truth.id}: has no true normals, which the benchmark '{benchmark.name}' scores"
        )
    return _mask_in_crop(benchmark, truth, truth.normals_valid)


def _mask_in_crop(benchmark: Benchmark, truth: Truth, mask: Mask) -> Mask:
    height, width = mask.shape
    if benchmark.mask is not None:
        mask = mask & call_mask(benchmark.mask, truth, (height, width))
    counted = scored_window(benchmark.crop, (height, width)).slices
    inside = np.zeros_like(mask)
    inside[counted] = mask[counted]
    return inside


def _refuse_other_size(crop: Crop | InputCrop, shape: Size, size: Size, *, exactly: bool) -> None:
    fits = shape == size if exactly else shape[0] >= size[0] and shape[1] >= size[1]
    if not fits:
        least = "" if exactly else " or larger"
        raise InputError(
            f"the crop '{crop}' is made for images of {size[0]} x {size[1]} pixels (height x "
            f"width){least}, but this one has {shape[0]} x {shape[1]}"
        )


# Networks round sides to multiples of 14 or 32: 320x1024 for 375x1242 is off by 3.5 %. A crop to
# KITTI's benchmark size is off by 4.3 %, and is another picture.
ASPECT_TOLERANCE = 0.04
_LARGEST_STEP = 64
# As in PyTorch and OpenCV; nothing is filtered before it shrinks, as in all programs compared.
_CUBIC = -0.75


@dataclass(frozen=True, slots=True, kw_only=True)
class _Taps:
    # (1 - weight) * [low] + weight * [high], along one axis
    low: Indices
    high: Indices
    weight: Values


def resize_depth(predicted: DepthMap, shape: Size, interpolation: Interpolation | str) -> DepthMap:
    """A depth map at the truth's size, valid where all its sources are."""
    if predicted.shape == shape:
        return predicted
    _refuse_other_proportions(predicted.shape, shape)
    values, kind = predicted.values, predicted.kind
    inverted = interpolation is Interpolation.BILINEAR_INVERSE and kind.is_depth
    if interpolation is Interpolation.BILINEAR_INVERSE and kind is DepthKind.AFFINE:
        raise InputError(
            "depth of kind 'affine' cannot be interpolated as inverse depth: its zero is not "
            f"known; give predictions of the truth's size, {shape[0]} x {shape[1]}"
        )
    invalid = ~predicted.valid
    if invalid.any():
        # Any finite number does: what it touches is not valid.
        values = np.where(invalid, np.float32(1), values)
    if inverted:
        resized = 1 / _resize_map(1 / values.astype(np.float64), shape, interpolation)
    else:
        resized = _resize_map(values, shape, interpolation)
    valid = np.ones(shape, bool)
    if invalid.any():
        valid = _resize_map(invalid.astype(np.float32), shape, interpolation) == 0
    return DepthMap(values=resized.astype(np.float32), kind=kind, valid=valid)


def resize_normals(
    predicted: Float32[np.ndarray, "3 a b"],
    shape: Size,
    interpolation: Interpolation | str,
) -> Vectors:
    """Normals at the truth's size, of unit length only if not resized."""
    size = (predicted.shape[1], predicted.shape[2])
    if size == shape:
        return predicted
    _refuse_other_proportions(size, shape)
    valid = nonzero_vector_mask(predicted)
    if not valid.all():
        predicted = np.where(valid, predicted, np.float32(0))
    channels = [_resize_map(channel, shape, interpolation) for channel in predicted]
    resized = np.stack(channels).astype(np.float32)
    if not valid.all():
        resized[:, _resize_map((~valid).astype(np.float32), shape, interpolation) != 0] = np.nan
    return resized


def resize_confidence(confidence: Float32[np.ndarray, "a b"], shape: Size) -> Field:
    """Confidence at the truth's size, always bilinear."""
    size = (confidence.shape[0], confidence.shape[1])
    if size == shape:
        return confidence
    _refuse_other_proportions(size, shape)
    return _resize_map(confidence, shape, Interpolation.BILINEAR).astype(np.float32)


def nonzero_vector_mask(normals: Vectors) -> Mask:
    """Mask of vectors that are finite and longer than zero."""
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.einsum("chw,chw->hw", normals, normals, dtype=np.float64)
    return np.isfinite(squares) & (squares > 0)


def is_rounded_size(size: Size, shape: Size) -> bool:
    """Whether a network may round a picture's sides to this size."""
    step = min(math.gcd(*size), _LARGEST_STEP)
    least = max((side - step) / whole for side, whole in zip(size, shape, strict=True))
    most = min((side + step) / whole for side, whole in zip(size, shape, strict=True))
    ratio = (size[1] / size[0]) / (shape[1] / shape[0])
    return abs(ratio - 1) <= ASPECT_TOLERANCE and least < most


def size_words(size: Size) -> str:
    """Text such as "480 x 640", height first."""
    return f"{size[0]} x {size[1]}"


def _refuse_other_proportions(size: Size, shape: Size) -> None:
    if not is_rounded_size(size, shape):
        raise InputError(
            (
                f"the prediction is {size_words(size)} (height x width), the "
                f"truth {size_words(shape)}: other proportions than a network "
                "rounds to, so another part of the scene"
            ),
            hint=Text(
                "predict the whole picture that the benchmark shows, or say which part it is: ",
                OptionName("crop", "TOP,LEFT,HEIGHT,WIDTH"),
            ),
        )


def _resize_map(
    values: Float[np.ndarray, "a b"], shape: Size, interpolation: Interpolation | str
) -> AnyPlane:
    if is_import_path(interpolation):
        return call_interpolation(interpolation, values, shape)
    interpolation = Interpolation(interpolation)
    if interpolation is Interpolation.BICUBIC_CORNERS:
        tall = _resize_rows_cubic(values.shape[0], shape[0], values.astype(np.float64))
        return _resize_rows_cubic(values.shape[1], shape[1], tall.T).T
    rows = _linear_taps(values.shape[0], shape[0], interpolation)
    columns = _linear_taps(values.shape[1], shape[1], interpolation)
    if interpolation is Interpolation.NEAREST:
        return values[rows.low[:, None], columns.low]
    tall = _blend_rows(values.astype(np.float64), rows)
    return _blend_rows(tall.T, columns).T


def _blend_rows(values: Float64[np.ndarray, "n m"], taps: _Taps) -> Float64[np.ndarray, "k m"]:
    """Rows between two old ones, by weight."""
    low, high = values[taps.low], values[taps.high]
    high -= low
    high *= taps.weight[:, None]
    return np.add(low, high, out=low)


# Keys 1981, corners on corners, ends repeated.
def _resize_rows_cubic(
    old: int, new: int, values: Float64[np.ndarray, "n m"]
) -> Float64[np.ndarray, "k m"]:
    place = _corner_positions(old, new)
    below = np.floor(place).astype(np.int64)
    resized = np.zeros((new, values.shape[1]))
    for step in (-1, 0, 1, 2):
        distance = np.abs(place - below - step)
        near = ((_CUBIC + 2) * distance - (_CUBIC + 3)) * distance * distance + 1
        far = _CUBIC * (((distance - 5) * distance + 8) * distance - 4)
        weight = np.where(distance <= 1, near, far)
        resized += weight[:, None] * values[np.clip(below + step, 0, old - 1)]
    return resized


def _corner_positions(old: int, new: int) -> Float64[np.ndarray, "k"]:
    """Positions of new pixels among old ones, corners aligned."""
    return np.arange(new) * ((old - 1) / (new - 1)) if new > 1 else np.zeros(1)


def _linear_taps(old: int, new: int, interpolation: Interpolation | str) -> _Taps:
    """Two old pixels of each new one, and their weight."""
    index = np.arange(new)
    if interpolation is Interpolation.NEAREST:
        nearest = np.minimum(((index + 0.5) * old / new).astype(np.int64), old - 1)
        return _Taps(low=nearest, high=nearest, weight=np.zeros(new))
    if interpolation is Interpolation.BILINEAR_CORNERS:
        place = _corner_positions(old, new)
    else:
        place = (index + 0.5) * old / new - 0.5
    place = np.clip(place, 0, old - 1)
    low = np.minimum(place.astype(np.int64), max(old - 2, 0))
    return _Taps(low=low, high=np.minimum(low + 1, old - 1), weight=place - low)


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
