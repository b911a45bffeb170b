"""The score of one image under a benchmark."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rilievo.alignment.fit import Fit
from rilievo.alignment.point_fit import PointFit, fit_points
from rilievo.alignment.subsample import subsample_by_grid
from rilievo.arrays.shapes import AnyPlane, Float32, Float64, Mask, Values
from rilievo.errors import InputError, NoGroundTruthError, OptionError
from rilievo.evaluation.benchmarks.benchmark import Benchmark, Task, benchmark_metrics
from rilievo.evaluation.metrics.certainty import reliability_sums, sparsification_curves
from rilievo.evaluation.metrics.metric import Curves, Plane, PointPlane, RangeSums, Sums
from rilievo.evaluation.metrics.order import OrderPair
from rilievo.evaluation.metrics.pairs import DepthPair, Levels, NormalsPair, PicturePair
from rilievo.evaluation.metrics.point_maps import FieldOfViewPair, PointsPair
from rilievo.evaluation.metrics.stability import StabilityPair
from rilievo.evaluation.records import Score
from rilievo.evaluation.scoring.depth_ranges import range_sums
from rilievo.evaluation.scoring.metres import (
    ComparableDepth,
    alignment_for_kind,
    apply_scene_fit,
    count_unanswered,
    in_metres,
    notes_on_pixels,
)
from rilievo.evaluation.scoring.placing import place_prediction
from rilievo.evaluation.scoring.regions import depth_mask, normals_mask, truth_in_view, truth_size
from rilievo.evaluation.scoring.resizing import (
    nonzero_vector_mask,
    resize_confidence,
    resize_depth,
    resize_normals,
)
from rilievo.evaluation.stored_predictions import StoredPrediction
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.prediction_record import PredictionRecord
from rilievo.records.sample import Truth


@dataclass(frozen=True, slots=True, kw_only=True)
class PairWithFacts:
    """A pair to be scored, and the facts of its image."""

    pair: Any
    true_share: float = 1.0
    scale: float | None = None
    shift: float | None = None
    unanswered: int = 0
    notes: tuple[str, ...] = ()


def points_pair(benchmark: Benchmark, prediction: PredictionRecord, truth: Truth) -> PairWithFacts:
    """Predicted points, fitted to the true ones."""
    raw, valid, kind = _predicted_points(benchmark, prediction, truth)
    method = alignment_for_kind(benchmark, kind)
    if method not in list(PointFit):
        raise OptionError(f"the benchmark '{benchmark.name}' fits points by '{method}'")
    fit = PointFit(method)
    if fit is PointFit.POINT_SHIFT and not truth.is_metric:
        raise InputError("the true depth has no unit, and the benchmark takes points in metres")
    if truth.camera is None:
        raise InputError("the dataset has no camera, so it has no true points")
    mask = depth_mask(benchmark, truth)
    if not mask.any():
        raise NoGroundTruthError("no pixel has true depth that counts")
    both = mask & valid
    unanswered = count_unanswered(benchmark, mask, both)
    assert truth.depth is not None
    depth = np.where(both, truth.depth, np.float32(0)).astype(np.float64)
    true = truth.camera.points(depth)
    raw = np.where(both, raw, 0.0)
    chosen = subsample_by_grid(both)
    x, y = (points.reshape(3, -1)[:, chosen.indices] for points in (raw, true))
    weights = chosen.counts / np.sqrt(np.square(y).sum(axis=0))
    fitted = fit_points(x, y, weights, fit)
    predicted = fitted.scale * raw + fitted.shift[:, None, None]
    pair = PointsPair(predicted=predicted, true=true, valid=both, raw=raw, objects=truth.objects)
    assert truth.depth_valid is not None
    return PairWithFacts(
        pair=pair,
        true_share=float(truth.depth_valid.mean()),
        scale=None if fit is PointFit.POINT_SHIFT else fitted.scale,
        unanswered=unanswered,
        notes=tuple(notes_on_pixels(benchmark, pair.count, unanswered)),
    )


def camera_pair(prediction: PredictionRecord, truth: Truth) -> PairWithFacts:
    """Predicted and true horizontal field of view."""
    camera = _predicted_camera(prediction)
    if camera is None:
        raise InputError("the prediction has no camera of its own")
    if truth.camera is None:
        raise InputError("the dataset has no camera for this image")
    pair = FieldOfViewPair(
        predicted=_horizontal_fov(camera, prediction.shape[1]),
        true=_horizontal_fov(truth.camera, truth_size(truth)[1]),
    )
    return PairWithFacts(pair=pair)


def _predicted_camera(prediction: PredictionRecord) -> Camera | None:
    camera = prediction.camera
    return camera if camera is not None and camera.source is CameraSource.PREDICTED else None


def _horizontal_fov(camera: Camera, width: int) -> float:
    """Degrees about a centred axis."""
    K = camera.needs_pinhole("the score of a field of view")
    # As published: of a pinhole whose principal point is in the middle.
    return float(np.degrees(2 * np.arctan(0.5 * width / K[0, 0])))


def _predicted_points(
    benchmark: Benchmark, prediction: PredictionRecord, truth: Truth
) -> tuple[PointPlane, Mask, DepthKind]:
    """Points 3 x h x w, their mask and kind of depth."""
    assert truth.depth is not None or truth.normals is not None
    height, width = depth_mask(benchmark, truth).shape
    points = prediction.points if isinstance(prediction, StoredPrediction) else None
    if points is not None:
        if points.valid.shape != (height, width):
            raise InputError(
                f"the predicted points are {points.valid.shape[0]} x {points.valid.shape[1]}, "
                f"the truth {height} x {width}: points are not resized, give them at that size"
            )
        return points.values.astype(np.float64), points.valid, points.kind
    camera = _predicted_camera(prediction)
    if prediction.depth_or_none is None or camera is None:
        raise InputError(
            "the prediction has no points, and not both depth and a camera of its own to make them"
        )
    depth = resize_depth(prediction.depth, (height, width), benchmark.interpolation)
    camera = camera.resized(size=prediction.depth.shape, new_size=(height, width))
    values = np.where(depth.valid, depth.values, np.float32(1)).astype(np.float64)
    return camera.points(values), depth.valid, depth.kind


def stability_pair(
    benchmark: Benchmark,
    frames: tuple[PredictionRecord, PredictionRecord],
    truths: tuple[Truth, Truth],
    fit: Fit | None,
) -> PairWithFacts:
    """Predicted depth of a frame and the next, with the true motion between."""
    first, second = (truth_in_view(benchmark, item) for item in truths)
    if first.camera is None or first.world_T_cam is None or second.world_T_cam is None:
        raise InputError("the dataset has no camera or no pose for this frame or the next one")
    maps: list[DepthMap] = []
    for prediction, truth in zip(frames, (first, second), strict=True):
        if prediction.depth_or_none is None:
            raise InputError("the prediction has no depth")
        # With the fit of the whole scene, a frame needs no truth of its own (Video Depth Anything).
        if fit is not None and benchmark.min_inverse is not None:
            maps.append(apply_scene_fit(benchmark, prediction.depth, truth_size(truth), fit))
        else:
            metres = in_metres(benchmark, prediction.depth, truth)
            maps.append(replace(metres.aligned.depth, values=metres.depth))
    masks = [item.valid for item in maps]
    depths = [np.where(item.valid, item.values, np.float32(0)).astype(np.float64) for item in maps]
    pair = StabilityPair(
        first=depths[0],
        second=depths[1],
        first_seen=masks[0],
        second_seen=masks[1],
        first_true=_depth_or_zeros(first),
        second_true=_depth_or_zeros(second),
        first_K=first.camera.needs_pinhole("tae"),
        second_T_first=np.linalg.inv(second.world_T_cam) @ first.world_T_cam,
    )
    share = 1.0 if first.depth_valid is None else float(first.depth_valid.mean())
    return PairWithFacts(pair=pair, true_share=share)


def _depth_or_zeros(truth: Truth) -> Plane:
    if truth.depth is None or truth.depth_valid is None:
        return np.zeros(truth_size(truth))
    return np.where(truth.depth_valid, truth.depth, 0.0).astype(np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreWithSums:
    """The score of one image, and its sums for pooled numbers."""

    score: Score
    sums: Mapping[str, Sums]
    ranges: RangeSums | None = None
    curves: Curves | None = None
    reliability: Float64[np.ndarray, "levels"] | None = None


def score(
    benchmark: Benchmark,
    prediction: PredictionRecord,
    truth: Truth,
    fit: Fit | None = None,
) -> ScoreWithSums:
    """Score a prediction of one image against the whole photograph's truth."""
    place = place_prediction(benchmark, prediction, truth)
    truth = truth_in_view(benchmark, truth)
    paired = _pair_of_task(benchmark, place.prediction, truth, fit)
    return _score_pair(benchmark, truth, replace(paired, notes=(*place.notes, *paired.notes)))


def _pair_of_task(
    benchmark: Benchmark, prediction: PredictionRecord, truth: Truth, fit: Fit | None
) -> PairWithFacts:
    if benchmark.task is Task.NORMALS:
        return _pair_normals(benchmark, prediction, truth)
    if benchmark.task is Task.POINTS:
        return points_pair(benchmark, prediction, truth)
    if benchmark.task is Task.CAMERA:
        return camera_pair(prediction, truth)
    if prediction.depth_or_none is None:
        raise InputError("the prediction has no depth")
    if benchmark.task is Task.ORDER:
        return _pair_order(benchmark, prediction.depth, truth)
    if benchmark.task is Task.PICTURE:
        return _pair_pictures(benchmark, prediction.depth, truth)
    metres = in_metres(benchmark, prediction.depth, truth, fit)
    return _pair_depth(metres, prediction.confidence, truth)


def _pair_depth(
    metres: ComparableDepth, confidence: Float32[np.ndarray, "a b"] | None, truth: Truth
) -> PairWithFacts:
    assert truth.depth_valid is not None
    if confidence is not None:
        confidence = resize_confidence(confidence, truth_size(truth))
        # Pixels that are charged as far have no answer, and nobody is sure of them.
        confidence = np.where(metres.aligned.depth.valid, confidence, np.float32(0))
    pair = DepthPair(
        predicted=metres.depth,
        true=metres.true,
        valid=metres.mask,
        camera=truth.camera,
        confidence=confidence,
    )
    fit, fitted = metres.aligned.fit, metres.aligned.method != "none"
    return PairWithFacts(
        pair=pair,
        true_share=float(truth.depth_valid.mean()),
        scale=fit.scale if fitted else None,
        shift=fit.shift if fitted else None,
        unanswered=metres.unanswered,
        notes=metres.notes,
    )


def _pair_normals(
    benchmark: Benchmark, prediction: PredictionRecord, truth: Truth
) -> PairWithFacts:
    pair = _normals_pair(benchmark, prediction, truth)
    assert truth.normals_valid is not None, "what makes a pair of normals has normals"
    unanswered = int(np.count_nonzero(normals_mask(benchmark, truth))) - pair.count
    return PairWithFacts(
        pair=pair,
        true_share=float(truth.normals_valid.mean()),
        unanswered=unanswered,
        notes=tuple(notes_on_pixels(benchmark, pair.count, unanswered)),
    )


def normal_angles(benchmark: Benchmark, prediction: PredictionRecord, truth: Truth) -> Values:
    """Angles between predicted and true normals [°]."""
    place = place_prediction(benchmark, prediction, truth)
    return _normals_pair(benchmark, place.prediction, truth_in_view(benchmark, truth)).angles


def _normals_pair(benchmark: Benchmark, prediction: PredictionRecord, truth: Truth) -> NormalsPair:
    if prediction.normals is None:
        raise InputError("the prediction has no normals")
    mask = normals_mask(benchmark, truth)
    if not mask.any():
        raise NoGroundTruthError("no pixel has a true normal that counts")
    assert truth.normals is not None, "what has a mask of normals has normals"
    resized = resize_normals(prediction.normals, truth_size(truth), benchmark.interpolation)
    answered = mask & nonzero_vector_mask(resized)
    count_unanswered(benchmark, mask, answered)
    confidence = prediction.confidence
    if confidence is not None:
        confidence = resize_confidence(confidence, truth_size(truth))
    return NormalsPair(predicted=resized, true=truth.normals, valid=answered, confidence=confidence)


def _pair_pictures(benchmark: Benchmark, predicted: DepthMap, truth: Truth) -> PairWithFacts:
    if truth.depth is None or truth.depth_valid is None:
        raise InputError("has no true depth")
    if not truth.depth_valid.any():
        raise NoGroundTruthError("no pixel has true depth")
    resized = resize_depth(predicted, truth_size(truth), benchmark.interpolation)
    if not resized.valid.all():
        raise InputError(
            f"the prediction has no answer at {(~resized.valid).sum()} pixels; a picture needs all"
        )
    values, notes = resized.values, ()
    if values.max() <= 0:
        raise InputError("the prediction is nowhere above zero, so its maximum scales nothing")
    below = int((values < 0).sum())
    if below:
        notes = (f"{below} predicted values below zero count as zero",)
    # Whole millimetres, as the files have them: of rounded metres, some fractions would fall
    # just below a whole number.
    millimetres = np.rint(truth.depth.astype(np.float64) * 1000)
    pair = PicturePair(
        predicted=depth_to_8_bits(
            np.maximum(values, 0), turned=resized.kind is DepthKind.AFFINE_INVERSE
        ),
        true=depth_to_8_bits(np.where(truth.depth_valid, millimetres, 0.0), turned=False),
    )
    return PairWithFacts(pair=pair, true_share=float(truth.depth_valid.mean()), notes=notes)


def _pair_order(benchmark: Benchmark, predicted: DepthMap, truth: Truth) -> PairWithFacts:
    order = truth.order
    if order is None:
        raise InputError(f"sample {truth.id}: has no pairs of points, which the benchmark scores")
    resized = resize_depth(predicted, order.size, benchmark.interpolation)
    values = resized.values.astype(np.float64)
    if not resized.kind.is_depth:
        values = -values
    values = np.where(resized.valid, values, np.nan)
    nearer, farther = (values[tuple(points.T)] for points in (order.nearer, order.farther))
    return PairWithFacts(pair=OrderPair(nearer=nearer, farther=farther))


def depth_to_8_bits(values: AnyPlane, *, turned: bool) -> Levels:
    """A non-negative map as a picture: its maximum is 255, or 0 where ``turned``."""
    scaled = values * 255 / values.max()
    return (255 - scaled if turned else scaled).astype(np.uint8)


def score_stability(
    benchmark: Benchmark,
    frames: tuple[PredictionRecord, PredictionRecord],
    truths: tuple[Truth, Truth],
    fit: Fit | None = None,
) -> ScoreWithSums:
    """Score one frame of a video against the next one."""
    first, second = (
        place_prediction(benchmark, frame, truth)
        for frame, truth in zip(frames, truths, strict=True)
    )
    paired = stability_pair(benchmark, (first.prediction, second.prediction), truths, fit)
    return _score_pair(benchmark, truths[0], replace(paired, notes=(*first.notes, *paired.notes)))


def _score_pair(benchmark: Benchmark, truth: Truth, paired: PairWithFacts) -> ScoreWithSums:
    metrics, pair = benchmark_metrics(benchmark), paired.pair
    sums = {name: metric.sums(pair) for name, metric in metrics.items()}
    values = {
        name: metrics[name].finish(metric_sums, pair.count) for name, metric_sums in sums.items()
    }
    for name, value in values.items():
        if not math.isfinite(value):
            raise InputError(f"{metrics[name].label} is {value}, which no mean can take in")
    if benchmark.rounding is not None:
        values = {
            name: round(value, benchmark.rounding + (0 if metrics[name].unit else 2))
            for name, value in values.items()
        }
    judged = any(metric.needs_confidence for metric in metrics.values())
    calibrated = any(metric.needs_probability for metric in metrics.values())
    is_depth = isinstance(pair, DepthPair)
    return ScoreWithSums(
        score=Score(
            id=truth.id,
            values=values,
            pixels=pair.count,
            true_share=paired.true_share,
            scale=paired.scale,
            shift=paired.shift,
            unanswered=paired.unanswered,
            notes=paired.notes,
            scene=truth.scene,
        ),
        sums={name: metric_sums for name, metric_sums in sums.items() if metrics[name].pools},
        ranges=range_sums(pair.t, pair.relative) if is_depth else None,
        curves=sparsification_curves(pair) if judged else None,
        reliability=reliability_sums(pair) if calibrated and is_depth else None,
    )
