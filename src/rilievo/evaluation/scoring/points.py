"""Scores of points in space, of fields of view, and of neighbouring frames of a video."""

from dataclasses import replace
from typing import Any

import numpy as np

from rilievo.alignment.fit import Fit
from rilievo.alignment.point_fit import PointFit, fit_points
from rilievo.alignment.subsample import nearest_valid
from rilievo.depth_map import DepthKind, DepthMap
from rilievo.errors import InputError, NoGroundTruthError, OptionError
from rilievo.evaluation.arrays import Plane, PointPlane
from rilievo.evaluation.benchmarks.benchmark import Benchmark
from rilievo.evaluation.metrics.point_maps import FieldOfViewPair, PointsPair
from rilievo.evaluation.metrics.stability import StabilityPair
from rilievo.evaluation.scoring.metres import (
    check_answered,
    fitted_to_scene,
    in_metres,
    method_for,
    notes_on_pixels,
)
from rilievo.evaluation.scoring.regions import depth_mask, size_of, truth_for
from rilievo.evaluation.scoring.resizing import depth_at
from rilievo.evaluation.stored_predictions import StoredPrediction
from rilievo.frozen import frozen
from rilievo.shapes import Mask
from rilievo.types import Camera, CameraSource, Prediction, Truth


@frozen
class Paired:
    """A pair to be scored, and the facts of its image, as ``Score`` has them.

    Attributes:
        pair: Prediction and truth, as the metrics of the task take them.
    """

    pair: Any
    true_share: float = 1.0
    scale: float | None = None
    shift: float | None = None
    unanswered: int = 0
    notes: tuple[str, ...] = ()


def points_pair(benchmark: Benchmark, prediction: Prediction, truth: Truth) -> Paired:
    """Predicted points, fitted to the true ones as the benchmark does."""
    raw, valid, kind = _predicted(benchmark, prediction, truth)
    method = method_for(benchmark, kind)
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
    unanswered = check_answered(benchmark, mask, both)
    assert truth.depth is not None
    depth = np.where(both, truth.depth, np.float32(0)).astype(np.float64)
    true = truth.camera.points(depth)
    raw = np.where(both, raw, 0.0)
    chosen = nearest_valid(both)
    x, y = (points.reshape(3, -1)[:, chosen.places] for points in (raw, true))
    weights = chosen.times / np.sqrt(np.square(y).sum(axis=0))
    fitted = fit_points(x, y, weights, fit)
    predicted = fitted.scale * raw + fitted.shift[:, None, None]
    pair = PointsPair(predicted=predicted, true=true, valid=both, raw=raw, objects=truth.objects)
    assert truth.depth_valid is not None
    return Paired(
        pair=pair,
        true_share=float(truth.depth_valid.mean()),
        scale=None if fit is PointFit.POINT_SHIFT else fitted.scale,
        unanswered=unanswered,
        notes=tuple(notes_on_pixels(benchmark, pair.count, unanswered)),
    )


def camera_pair(prediction: Prediction, truth: Truth) -> Paired:
    """Predicted and true horizontal field of view."""
    camera = _seen_camera(prediction)
    if camera is None:
        raise InputError("the prediction has no camera of its own")
    if truth.camera is None:
        raise InputError("the dataset has no camera for this image")
    pair = FieldOfViewPair(
        predicted=_field_of_view(camera, prediction.shape[1]),
        true=_field_of_view(truth.camera, size_of(truth)[1]),
    )
    return Paired(pair=pair)


def _seen_camera(prediction: Prediction) -> Camera | None:
    """Camera that the model saw in the photograph; None where it was given or assumed."""
    camera = prediction.camera
    return camera if camera is not None and camera.source is CameraSource.PREDICTED else None


def _field_of_view(camera: Camera, width: int) -> float:
    """Field of view as published: of a pinhole whose principal point is in the middle."""
    K = camera.needs_pinhole("the score of a field of view")
    return float(np.degrees(2 * np.arctan(0.5 * width / K[0, 0])))


def _predicted(
    benchmark: Benchmark, prediction: Prediction, truth: Truth
) -> tuple[PointPlane, Mask, DepthKind]:
    """Predicted points at the truth's size, where there are any, and their kind."""
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
    camera = _seen_camera(prediction)
    if prediction.depth_or_none is None or camera is None:
        raise InputError(
            "the prediction has no points, and not both depth and a camera of its own to make them"
        )
    depth = depth_at(prediction.depth, (height, width), benchmark.interpolation)
    camera = camera.resized(size=prediction.depth.shape, new_size=(height, width))
    values = np.where(depth.valid, depth.values, np.float32(1)).astype(np.float64)
    return camera.points(values), depth.valid, depth.kind


def stability_pair(
    benchmark: Benchmark,
    frames: tuple[Prediction, Prediction],
    truths: tuple[Truth, Truth],
    fit: Fit | None,
) -> Paired:
    """Predicted depth of a frame and the next one, with the true motion between them."""
    first, second = (truth_for(benchmark, item) for item in truths)
    if first.camera is None or first.world_T_cam is None or second.world_T_cam is None:
        raise InputError("the dataset has no camera or no pose for this frame or the next one")
    maps: list[DepthMap] = []
    for prediction, truth in zip(frames, (first, second), strict=True):
        if prediction.depth_or_none is None:
            raise InputError("the prediction has no depth")
        # With the fit of the whole scene, a frame needs no truth of its own (Video Depth Anything).
        if fit is not None and benchmark.min_inverse is not None:
            maps.append(fitted_to_scene(benchmark, prediction.depth, size_of(truth), fit))
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
        first_true=_known_depth(first),
        second_true=_known_depth(second),
        first_K=first.camera.needs_pinhole("tae"),
        second_T_first=np.linalg.inv(second.world_T_cam) @ first.world_T_cam,
    )
    share = 1.0 if first.depth_valid is None else float(first.depth_valid.mean())
    return Paired(pair=pair, true_share=share)


def _known_depth(truth: Truth) -> Plane:
    """True depth, 0 where it is not known."""
    if truth.depth is None or truth.depth_valid is None:
        return np.zeros(size_of(truth))
    return np.where(truth.depth_valid, truth.depth, 0.0).astype(np.float64)
