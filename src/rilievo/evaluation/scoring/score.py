"""Score one image under a benchmark: place the prediction, compare it with the truth, measure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from rilievo.alignment.fit import Fit
from rilievo.alignment.ground_truth import AlignMethod
from rilievo.alignment.subsample import subsample_by_grid
from rilievo.arrays.shapes import AnyPlane, Float32, Float64, Mask, Values
from rilievo.errors import InputError, NoGroundTruthError, OptionError, suggest
from rilievo.errors.messages import count_text
from rilievo.evaluation.benchmarks.benchmark import Benchmark, Task
from rilievo.evaluation.benchmarks.metric_choice import benchmark_metrics
from rilievo.evaluation.metrics.certainty import reliability_sums, sparsification_curves
from rilievo.evaluation.metrics.metric import (
    AnyMetric,
    Curves,
    Plane,
    PointPlane,
    RangeSums,
    Sums,
    column_lengths,
)
from rilievo.evaluation.metrics.order import OrderPair
from rilievo.evaluation.metrics.pairs import DepthPair, Levels, NormalsPair, PicturePair
from rilievo.evaluation.metrics.point_maps import FieldOfViewPair, PointsPair
from rilievo.evaluation.metrics.stability import StabilityPair
from rilievo.evaluation.point_fit import FittedPoints, PointFit, fit_points
from rilievo.evaluation.records import Score
from rilievo.evaluation.scoring.comparable_depth import (
    alignment_for_kind,
    apply_scene_fit,
    comparable_depth,
    count_unanswered,
    describe_left_out,
    pixel_notes,
)
from rilievo.evaluation.scoring.depth_ranges import range_sums
from rilievo.evaluation.scoring.orientation import axes_note
from rilievo.evaluation.scoring.placing import PlacedPrediction, place_prediction
from rilievo.evaluation.scoring.regions import (
    ScoredPixels,
    depth_mask,
    scored_depth_pixels,
    scored_normals_pixels,
    truth_size,
)
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
class ScoreWithSums:
    """Score of one image, with the sums from which numbers over several images are computed.

    Attributes:
        sums: Sums of each metric that can be pooled, by its name.
        ranges: Errors by ranges of true depth; None if depth is not scored.
        curves: Sparsification curves; None if no metric judges confidence.
        reliability: Sums of the reliability diagram; None if no metric judges a probability.
    """

    score: Score
    sums: Mapping[str, Sums]
    ranges: RangeSums | None = None
    curves: Curves | None = None
    reliability: Float64[np.ndarray, "levels"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageComparison:
    """Prediction and ground truth of one image, ready for the metrics.

    Attributes:
        pair: What the metrics of the task take, such as a ``DepthPair``.
        true_share: Fraction of pixels with ground truth, before crop and cap.
        scale: Scale that was fitted to the truth, as ``shift``; None if none was fitted.
        left_out: Number of pixels with ground truth that each setting of the benchmark leaves out.
        unanswered: Number of pixels to be scored that have no prediction.
    """

    pair: Any
    true_share: float = 1.0
    scale: float | None = None
    shift: float | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)
    unanswered: int = 0
    notes: tuple[str, ...] = ()


def score(
    benchmark: Benchmark,
    prediction: PredictionRecord,
    truth: Truth,
    fit: Fit | None = None,
) -> ScoreWithSums:
    """Score the prediction of one image, or of a part of it.

    ``truth`` covers the whole photograph. ``fit`` is the alignment of the image's scene; None
    aligns this image on its own.
    """
    return score_placed(benchmark, place_prediction(benchmark, prediction, truth), fit)


def score_placed(
    benchmark: Benchmark, placed: PlacedPrediction, fit: Fit | None = None
) -> ScoreWithSums:
    """Score a prediction that is in the benchmark's view; ``fit`` is as for ``score``."""
    try:
        comparison = _compare(benchmark, placed.prediction, placed.truth, fit)
    except NoGroundTruthError as error:
        if not placed.outside_view:
            raise
        words = describe_left_out(benchmark, {"input_crop": placed.outside_view})
        raise NoGroundTruthError(
            f"{error}; outside of what models see, the benchmark leaves out {words}"
        ) from error
    return _compute_metrics(benchmark, placed, comparison)


def score_stability(
    benchmark: Benchmark, first: PlacedPrediction, second: PlacedPrediction, fit: Fit | None = None
) -> ScoreWithSums:
    """Score how well the depth of a video frame agrees with that of the next frame.

    ``fit`` is the alignment of their scene; None aligns each frame on its own.
    """
    comparison = _compare_frames(benchmark, first, second, fit)
    return _compute_metrics(benchmark, first, comparison)


def normal_angles(benchmark: Benchmark, placed: PlacedPrediction) -> Values:
    """Angles between predicted and true normals at the pixels that are scored [°]."""
    return _normals_pair(benchmark, placed.prediction, placed.truth).angles


def _compute_metrics(
    benchmark: Benchmark, placed: PlacedPrediction, comparison: ImageComparison
) -> ScoreWithSums:
    """Compute all metrics of a benchmark for one image, and the sums for reports.

    Raises:
        InputError: If a metric is NaN or infinite, because it would spoil the mean over images.
    """
    pair = comparison.pair
    metrics = benchmark_metrics(benchmark)
    sums = {name: metric.sums(pair) for name, metric in metrics.items()}
    values = {name: metric.finish(sums[name], pair.count) for name, metric in metrics.items()}
    _require_finite(values, metrics)
    if benchmark.rounding is not None:
        values = _round_values(values, metrics, benchmark.rounding)

    left_out = dict(comparison.left_out)
    if placed.outside_view:
        left_out = {"input_crop": placed.outside_view, **left_out}
    score = Score(
        id=placed.truth.id,
        values=values,
        pixels=pair.count,
        true_share=comparison.true_share,
        scale=comparison.scale,
        shift=comparison.shift,
        left_out=left_out,
        unanswered=comparison.unanswered,
        notes=(*placed.notes, *comparison.notes),
        scene=placed.truth.scene,
    )
    # Depth ranges and the reliability diagram exist for depth only, sparsification for normals too.
    is_depth = isinstance(pair, DepthPair)
    needs_confidence = any(metric.needs_confidence for metric in metrics.values())
    needs_probability = any(metric.needs_probability for metric in metrics.values())
    return ScoreWithSums(
        score=score,
        sums={name: sums[name] for name, metric in metrics.items() if metric.pools},
        ranges=range_sums(pair.t, pair.relative) if is_depth else None,
        curves=sparsification_curves(pair) if needs_confidence else None,
        reliability=reliability_sums(pair) if needs_probability and is_depth else None,
    )


def _require_finite(values: Mapping[str, float], metrics: Mapping[str, AnyMetric]) -> None:
    """Raise an InputError if the value of a metric is NaN or infinite."""
    for name, value in values.items():
        if not math.isfinite(value):
            raise InputError(
                f"{metrics[name].label} is {value}, so it cannot be averaged over images"
            )


def _round_values(
    values: Mapping[str, float], metrics: Mapping[str, AnyMetric], decimals: int
) -> dict[str, float]:
    """Round metrics to some decimals, and fractions to as many decimals of a per cent."""
    return {
        name: round(value, decimals if metrics[name].unit else decimals + 2)
        for name, value in values.items()
    }


def _compare(
    benchmark: Benchmark, prediction: PredictionRecord, truth: Truth, fit: Fit | None
) -> ImageComparison:
    """Compare a prediction with the truth in the way that the benchmark's task needs."""
    if benchmark.task is Task.NORMALS:
        return _compare_normals(benchmark, prediction, truth)
    if benchmark.task is Task.POINTS:
        return compare_points(benchmark, prediction, truth)
    if benchmark.task is Task.CAMERA:
        return compare_fields_of_view(prediction, truth)
    if prediction.depth_or_none is None:
        raise InputError(
            f"the prediction has no depth, which the benchmark '{benchmark.name}' needs"
        )
    if benchmark.task is Task.ORDER:
        return _compare_order(benchmark, prediction.depth, truth)
    if benchmark.task is Task.PICTURE:
        return _compare_pictures(benchmark, prediction.depth, truth)
    return _compare_depth(benchmark, prediction.depth, prediction.confidence, truth, fit)


def _compare_depth(
    benchmark: Benchmark,
    predicted: DepthMap,
    confidence: Float32[np.ndarray, "a b"] | None,
    truth: Truth,
    fit: Fit | None,
) -> ImageComparison:
    """Pair predicted with true depth [m], with the confidence at the truth's size."""
    comparable = comparable_depth(benchmark, predicted, truth, fit)
    assert truth.depth_valid is not None
    if confidence is not None:
        confidence = resize_confidence(confidence, truth_size(truth))
        # Pixels without a prediction, which are scored as far, have no confidence.
        confidence = np.where(comparable.aligned.depth.valid, confidence, np.float32(0))
    pair = DepthPair(
        predicted=comparable.depth,
        true=comparable.true,
        valid=comparable.mask,
        camera=truth.camera,
        confidence=confidence,
    )
    applied_fit = comparable.aligned.fit
    is_fitted = comparable.aligned.method is not AlignMethod.NONE
    return ImageComparison(
        pair=pair,
        true_share=float(truth.depth_valid.mean()),
        scale=applied_fit.scale if is_fitted else None,
        shift=applied_fit.shift if is_fitted else None,
        left_out=comparable.left_out,
        unanswered=comparable.unanswered,
        notes=comparable.notes,
    )


def _compare_normals(
    benchmark: Benchmark, prediction: PredictionRecord, truth: Truth
) -> ImageComparison:
    """Pair predicted with true normals, count pixels without a prediction, and note doubts."""
    pair = _normals_pair(benchmark, prediction, truth)
    assert truth.normals_valid is not None, "_normals_pair raises if there are no true normals"
    to_score = scored_normals_pixels(benchmark, truth)
    unanswered = int(np.count_nonzero(to_score.mask)) - pair.count
    notes = pixel_notes(benchmark, pair.count, unanswered)
    other_axes = axes_note(pair.angles)
    if other_axes is not None:
        notes.append(other_axes)
    return ImageComparison(
        pair=pair,
        true_share=float(truth.normals_valid.mean()),
        left_out=to_score.left_out,
        unanswered=unanswered,
        notes=tuple(notes),
    )


def _normals_pair(benchmark: Benchmark, prediction: PredictionRecord, truth: Truth) -> NormalsPair:
    """Pair predicted normals, at the truth's size, with true ones where both are valid."""
    if prediction.normals is None:
        raise InputError(
            f"the prediction has no normals, which the benchmark '{benchmark.name}' scores"
        )
    to_score = scored_normals_pixels(benchmark, truth)
    truth_mask = to_score.mask
    if not truth_mask.any():
        raise NoGroundTruthError(
            _nothing_to_score("no pixel has a ground-truth normal to score", benchmark, to_score)
        )
    assert truth.normals is not None, "normals_mask raises if there are no true normals"

    resized = resize_normals(prediction.normals, truth_size(truth), benchmark.interpolation)
    both_valid = truth_mask & nonzero_vector_mask(resized)
    # The count is not needed here, but this raises where the benchmark requires all pixels.
    count_unanswered(benchmark, truth_mask, both_valid)
    confidence = prediction.confidence
    if confidence is not None:
        confidence = resize_confidence(confidence, truth_size(truth))
    return NormalsPair(
        predicted=resized, true=truth.normals, valid=both_valid, confidence=confidence
    )


def _nothing_to_score(problem: str, benchmark: Benchmark, to_score: ScoredPixels) -> str:
    """Sentence on an image without a pixel to score, and on what the benchmark leaves out."""
    left_out_words = describe_left_out(benchmark, to_score.left_out)
    if not left_out_words:
        return problem
    return f"{problem}: the benchmark '{benchmark.name}' leaves out {left_out_words}"


def compare_points(
    benchmark: Benchmark, prediction: PredictionRecord, truth: Truth
) -> ImageComparison:
    """Fit predicted points to the true points of the same pixels, and pair them.

    Points are arrays (3, height, width) in the camera frame.
    """
    points = _predicted_points(benchmark, prediction, truth)
    point_fit = _point_fit_for_kind(benchmark, points.kind)
    if point_fit is PointFit.POINT_SHIFT and not truth.is_metric:
        raise InputError(
            "the ground-truth depth has no unit, but the benchmark scores points in metres: choose "
            "a benchmark that fits a scale"
        )
    if truth.camera is None:
        raise InputError(
            "the dataset has no camera for this image, so there are no ground-truth points to score"
        )
    to_score = scored_depth_pixels(benchmark, truth)
    truth_mask = to_score.mask
    if not truth_mask.any():
        raise NoGroundTruthError(
            _nothing_to_score("no pixel has ground-truth depth to score", benchmark, to_score)
        )
    both_valid = truth_mask & points.valid
    unanswered = count_unanswered(benchmark, truth_mask, both_valid)
    # scored_depth_pixels raises if there is no true depth.
    assert truth.depth is not None
    assert truth.depth_valid is not None

    # The other pixels may be NaN. They become 0 and are not compared.
    true_depth = np.where(both_valid, truth.depth, np.float32(0)).astype(np.float64)
    true_points = truth.camera.points(true_depth)
    raw_points = np.where(both_valid, points.values, 0.0)
    fitted = _fit_sampled_points(raw_points, true_points, both_valid, point_fit)

    pair = PointsPair(
        predicted=fitted.scale * raw_points + fitted.shift[:, None, None],
        true=true_points,
        valid=both_valid,
        raw=raw_points,
        objects=truth.objects,
    )
    return ImageComparison(
        pair=pair,
        true_share=float(truth.depth_valid.mean()),
        # A fit by shift alone has a scale of 1, which says nothing.
        scale=None if point_fit is PointFit.POINT_SHIFT else fitted.scale,
        left_out=to_score.left_out,
        unanswered=unanswered,
        notes=tuple(pixel_notes(benchmark, pair.count, unanswered)),
    )


def _point_fit_for_kind(benchmark: Benchmark, kind: DepthKind) -> PointFit:
    """Fit that the benchmark uses for points of a kind; raises OptionError if it is for depth."""
    method = alignment_for_kind(benchmark, kind)
    if method not in list(PointFit):
        raise OptionError(
            f"the benchmark '{benchmark.name}' cannot fit points with '{method}'; "
            f"{suggest(str(method), PointFit)}"
        )
    return PointFit(method)


def _fit_sampled_points(
    raw_points: PointPlane, true_points: PointPlane, both_valid: Mask, point_fit: PointFit
) -> FittedPoints:
    """Fit points at a subsample of the valid pixels, by errors relative to the true distance."""
    sample = subsample_by_grid(both_valid)
    raw_samples = raw_points.reshape(3, -1)[:, sample.indices]
    true_samples = true_points.reshape(3, -1)[:, sample.indices]
    weights = sample.counts / column_lengths(true_samples)
    return fit_points(raw_samples, true_samples, weights, point_fit)


@dataclass(frozen=True, slots=True, kw_only=True)
class _PredictedPoints:
    """Predicted points at the truth's size, and the kind of their depth."""

    values: PointPlane
    valid: Mask
    kind: DepthKind


def _predicted_points(
    benchmark: Benchmark, prediction: PredictionRecord, truth: Truth
) -> _PredictedPoints:
    """Points of a prediction: its own, or those of its depth and its own camera."""
    assert truth.depth is not None or truth.normals is not None
    height, width = depth_mask(benchmark, truth).shape
    points = prediction.points if isinstance(prediction, StoredPrediction) else None
    if points is not None:
        if points.valid.shape != (height, width):
            raise InputError(
                f"the predicted points have {points.valid.shape[1]}x{points.valid.shape[0]} "
                f"pixels, but the ground truth has {width}x{height}: points cannot be resized, so "
                "give them at the size of the ground truth"
            )
        return _PredictedPoints(
            values=points.values.astype(np.float64), valid=points.valid, kind=points.kind
        )

    camera = _predicted_camera(prediction)
    if prediction.depth_or_none is None or camera is None:
        raise InputError(
            "the prediction has no points, and they cannot be computed without both depth and a "
            "predicted camera"
        )
    depth = resize_depth(prediction.depth, (height, width), benchmark.interpolation)
    camera = camera.resized(size=prediction.depth.shape, new_size=(height, width))
    # Any finite depth will do at invalid pixels, which are masked out.
    finite_depth = np.where(depth.valid, depth.values, np.float32(1)).astype(np.float64)
    return _PredictedPoints(values=camera.points(finite_depth), valid=depth.valid, kind=depth.kind)


def _predicted_camera(prediction: PredictionRecord) -> Camera | None:
    """Camera that the model predicted; None if the camera is assumed or comes from elsewhere."""
    camera = prediction.camera
    return camera if camera is not None and camera.source is CameraSource.PREDICTED else None


def compare_fields_of_view(prediction: PredictionRecord, truth: Truth) -> ImageComparison:
    """Pair the predicted with the true horizontal field of view."""
    camera = _predicted_camera(prediction)
    if camera is None:
        raise InputError(
            "the model predicted no camera, so there is no predicted field of view to score"
        )
    if truth.camera is None:
        raise InputError(
            "the dataset has no camera for this image, so the true field of view is unknown"
        )
    pair = FieldOfViewPair(
        predicted=_horizontal_fov(camera, prediction.shape[1]),
        true=_horizontal_fov(truth.camera, truth_size(truth)[1]),
    )
    return ImageComparison(pair=pair)


def _horizontal_fov(camera: Camera, width: int) -> float:
    """Field of view [°] as papers compute it, as if the principal point were in the middle."""
    K = camera.needs_pinhole("the score of a field of view")
    return float(np.degrees(2 * np.arctan(0.5 * width / K[0, 0])))


def _compare_order(benchmark: Benchmark, predicted: DepthMap, truth: Truth) -> ImageComparison:
    """Sample predicted depth at pairs of points, of which the truth says which one is nearer."""
    order = truth.order
    if order is None:
        raise InputError(f"sample {truth.id}: has no pairs of points, which the benchmark scores")
    resized = resize_depth(predicted, order.size, benchmark.interpolation)
    values = resized.values.astype(np.float64)
    if not resized.kind.is_depth:
        values = -values  # inverse depth grows towards the camera
    values = np.where(resized.valid, values, np.nan)
    # Points are (row, column) pairs.
    nearer, farther = (values[tuple(points.T)] for points in (order.nearer, order.farther))
    return ImageComparison(pair=OrderPair(nearer=nearer, farther=farther))


def _compare_pictures(benchmark: Benchmark, predicted: DepthMap, truth: Truth) -> ImageComparison:
    """Pair predicted with true depth as 8-bit pictures, each scaled by its own maximum."""
    if truth.depth is None or truth.depth_valid is None:
        raise InputError("the image has no ground-truth depth to score")
    if not truth.depth_valid.any():
        raise NoGroundTruthError("no pixel has ground-truth depth to score")
    resized = resize_depth(predicted, truth_size(truth), benchmark.interpolation)
    if not resized.valid.all():
        raise InputError(
            f"the prediction has no value at {(~resized.valid).sum()} of {resized.valid.size} "
            "pixels, but this benchmark needs a value at every pixel"
        )
    if resized.values.max() <= 0:
        raise InputError(
            "the prediction has no positive value, so it cannot be scaled by its maximum"
        )

    negative_count = int((resized.values < 0).sum())
    notes: tuple[str, ...] = ()
    if negative_count:
        pixels = count_text(negative_count, "pixel")
        notes = (f"the predicted values of {pixels} were below zero and count as zero",)
    # Whole millimetres, as the files have them: of rounded metres, some fractions would fall
    # just below a whole number.
    millimetres = np.rint(truth.depth.astype(np.float64) * 1000)
    is_inverse = resized.kind is DepthKind.AFFINE_INVERSE
    pair = PicturePair(
        predicted=depth_to_8_bits(np.maximum(resized.values, 0), inverted=is_inverse),
        true=depth_to_8_bits(np.where(truth.depth_valid, millimetres, 0.0), inverted=False),
    )
    return ImageComparison(pair=pair, true_share=float(truth.depth_valid.mean()), notes=notes)


def depth_to_8_bits(values: AnyPlane, *, inverted: bool) -> Levels:
    """Scale a non-negative map to grey levels; its maximum becomes 255, or 0 if ``inverted``."""
    scaled = values * 255 / values.max()
    return (255 - scaled if inverted else scaled).astype(np.uint8)


def _compare_frames(
    benchmark: Benchmark, first: PlacedPrediction, second: PlacedPrediction, fit: Fit | None
) -> ImageComparison:
    """Pair the predicted depth of two successive video frames [m], with the camera's true motion.

    ``fit`` is the alignment of their scene; None aligns each frame on its own.
    """
    first_truth, second_truth = first.truth, second.truth
    if first_truth.camera is None or (
        first_truth.world_T_cam is None or second_truth.world_T_cam is None
    ):
        raise InputError(
            "the dataset lacks the camera or the pose of this frame or of the next one, so the two "
            "frames cannot be compared"
        )
    first_depth, second_depth = (
        _frame_depth(benchmark, frame.prediction, frame.truth, fit) for frame in (first, second)
    )
    pair = StabilityPair(
        first_depth=_valid_depth_or_zeros(first_depth.values, first_depth.valid),
        second_depth=_valid_depth_or_zeros(second_depth.values, second_depth.valid),
        first_valid=first_depth.valid,
        second_valid=second_depth.valid,
        first_true=_true_depth_or_zeros(first_truth),
        second_true=_true_depth_or_zeros(second_truth),
        K=first_truth.camera.needs_pinhole("tae"),
        second_T_first=np.linalg.inv(second_truth.world_T_cam) @ first_truth.world_T_cam,
    )
    first_valid = first_truth.depth_valid
    true_share = 1.0 if first_valid is None else float(first_valid.mean())
    return ImageComparison(pair=pair, true_share=true_share)


def _frame_depth(
    benchmark: Benchmark, prediction: PredictionRecord, truth: Truth, fit: Fit | None
) -> DepthMap:
    """Depth of a frame [m], by its scene's fit if there is one, else aligned to its own truth."""
    if prediction.depth_or_none is None:
        raise InputError(
            f"the prediction has no depth, which the benchmark '{benchmark.name}' needs"
        )
    # With the fit of the whole scene, a frame needs no truth of its own (Video Depth Anything).
    if fit is not None and benchmark.min_inverse is not None:
        return apply_scene_fit(benchmark, prediction.depth, truth_size(truth), fit)
    comparable = comparable_depth(benchmark, prediction.depth, truth)
    return replace(comparable.aligned.depth, values=comparable.depth)


def _true_depth_or_zeros(truth: Truth) -> Plane:
    if truth.depth is None or truth.depth_valid is None:
        return np.zeros(truth_size(truth))
    return _valid_depth_or_zeros(truth.depth, truth.depth_valid)


def _valid_depth_or_zeros(depth: Float32[np.ndarray, "h w"], valid: Mask) -> Plane:
    """Depth as float64, 0 at invalid pixels."""
    return np.where(valid, depth, np.float32(0)).astype(np.float64)
