"""Errors of points with the model's own directions, and of its field of view."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from rilievo.alignment.subsample import subsample_by_grid
from rilievo.arrays.shapes import Int64, Mask, Values
from rilievo.errors import CalibrationError, InputError, NoGroundTruthError
from rilievo.errors.messages import count_text
from rilievo.evaluation.metrics.metric import (
    Better,
    Metric,
    PointColumns,
    PointPlane,
    Sums,
    column_lengths,
    first_sum,
    metrics_by_name,
)
from rilievo.evaluation.metrics.pairs import DepthPair, check_maps
from rilievo.evaluation.point_fit import PointFit, fit_points

MIN_OBJECT_POINTS = 10
"""Least number of sampled points by which an object is fitted."""
_DISTANCE_OFFSET = 1e-6
"""Added to a distance before the division by it [m], as in MoGe's program."""
_MAX_RELATIVE_ERROR = 0.25
"""Error over distance, or over an object's size, below which a point is right, as in MoGe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectErrors:
    """Errors of the shape of one object after a fit of its own, as MoGe's "local points".

    Attributes:
        mean: Mean error of its points over its size.
        right: Fraction of points whose error is below a quarter of its size.
    """

    mean: float
    right: float


@dataclass(frozen=True, kw_only=True, eq=False)
class PointsPair:
    """Predicted and true points of one image in the camera frame [m], read only where ``valid``.

    Attributes:
        predicted: Predicted points after the fit to the true ones.
        raw: Predicted points before the fit, in the model's unit; None if objects are not compared.
        objects: Number of the object at each pixel, 0 for none; None if they are not known.

    Raises:
        InputError: If sizes are wrong, or a point is not finite.
        NoGroundTruthError: If no pixel is valid.
    """

    predicted: PointPlane
    true: PointPlane
    valid: Mask
    raw: PointPlane | None = None
    objects: Int64[np.ndarray, "h w"] | None = None

    def __post_init__(self) -> None:
        check_maps(self.predicted, self.true, self.valid)
        for name, point_map in (("predicted", self.predicted), ("true", self.true)):
            is_finite = np.isfinite(point_map[:, self.valid]).all(axis=0)
            if not is_finite.all():
                nonfinite = int((~is_finite).sum())
                raise InputError(
                    f"the {name} points are NaN or infinite at "
                    f"{count_text(nonfinite, 'valid pixel')}: remove these pixels from the mask"
                )

    @property
    def count(self) -> int:
        """Number of valid pixels."""
        return int(np.count_nonzero(self.valid))

    @cached_property
    def point_errors(self) -> Values:
        """Distance of predicted points from true ones [m]."""
        return column_lengths((self.predicted - self.true)[:, self.valid])

    @cached_property
    def true_distances(self) -> Values:
        """Distance of true points from the camera [m]."""
        return column_lengths(self.true[:, self.valid])

    @property
    def predicted_points(self) -> PointColumns:
        """Predicted points that count, 3 x n [m]."""
        return self.predicted[:, self.valid]

    @cached_property
    def errors_by_object(self) -> tuple[ObjectErrors, ...]:
        """Errors of each object that has enough points; raises NoGroundTruthError without one."""
        if self.objects is None or self.raw is None:
            raise NoGroundTruthError(
                "the image has no segmented objects whose shape can be compared"
            )

        subsample = subsample_by_grid(self.valid)
        # A pixel that stands for several cells of the grid counts several times.
        samples = np.repeat(subsample.indices, subsample.counts)
        object_of_sample = self.objects.flat[samples]
        errors = []
        for object_number in range(1, int(self.objects.max(initial=0)) + 1):
            object_samples = samples[object_of_sample == object_number]
            if object_samples.size >= MIN_OBJECT_POINTS:
                object_mask = self.valid & (self.objects == object_number)
                errors.append(self._fit_and_compare_object(object_mask, object_samples))
        if not errors:
            raise NoGroundTruthError(
                f"no object in the image has {MIN_OBJECT_POINTS} sampled points or more, which "
                "are needed for its fit"
            )
        return tuple(errors)

    def _fit_and_compare_object(
        self, object_mask: Mask, samples: Int64[np.ndarray, "k"]
    ) -> ObjectErrors:
        """Fit one object at the flat indices of its samples, and compare all its points."""
        assert self.raw is not None, "errors_by_object raises without raw points"
        true = self.true[:, object_mask]
        size = float((true.max(axis=1) - true.min(axis=1)).max())

        raw_samples = self.raw.reshape(3, -1)[:, samples]
        true_samples = self.true.reshape(3, -1)[:, samples]
        try:
            weights = np.full(samples.size, 1 / size)
            fitted = fit_points(raw_samples, true_samples, weights, PointFit.POINT_SCALE_SHIFT)
            points = fitted.scale * self.raw[:, object_mask] + fitted.shift[:, None]
        except CalibrationError:
            # A mirrored or flat object is as wrong as one of no size at its middle.
            middle = np.median(true_samples, axis=1)[:, None]
            points = np.broadcast_to(middle, true.shape)

        relative_errors = column_lengths(points - true) / size
        is_right = relative_errors < _MAX_RELATIVE_ERROR
        return ObjectErrors(mean=float(relative_errors.mean()), right=float(np.mean(is_right)))


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldOfViewPair:
    """Predicted and true horizontal field of view of one image [°]."""

    predicted: float
    true: float

    @property
    def count(self) -> int:
        """Number of images: one."""
        return 1


LOW = Better.LOWER
HIGH = Better.HIGHER


def point_rel(pair: DepthPair | PointsPair) -> Sums:
    """Sum of ‖p̂ - p‖ / (‖p‖ + 1e-6) of points [m] (Wang et al. 2025, MoGe)."""
    return np.array([(pair.point_errors / (pair.true_distances + _DISTANCE_OFFSET)).sum()])


def point_delta1(pair: DepthPair | PointsPair) -> Sums:
    """Count of ‖p̂ - p‖ < 0.25 min(‖p‖, ‖p̂‖) (MoGe)."""
    predicted_distances = column_lengths(pair.predicted_points)
    max_error = _MAX_RELATIVE_ERROR * np.minimum(pair.true_distances, predicted_distances)
    return np.array([float(np.count_nonzero(pair.point_errors < max_error))])


_REL = "mean ‖p̂ - p‖ / ‖p‖ of predicted 3D points p̂ and true points p (MoGe)"
_DELTA = "fraction of predicted 3D points p̂ with ‖p̂ - p‖ < min(‖p‖, ‖p̂‖) / 4 (MoGe)"
RELATIVE_METRICS: tuple[Metric[Any], ...] = (
    Metric("point_rel", "point rel", "", LOW, _REL, point_rel),
    Metric("point_delta1", "point δ1", "", HIGH, _DELTA, point_delta1),
)
"""Metrics of points, and of depth by the points of its own camera."""


def point_distance(pair: DepthPair | PointsPair) -> Sums:
    """Sum of ‖p̂ - p‖ [m]."""
    return np.array([pair.point_errors.sum()])


_DISTANCE = "mean distance ‖p̂ - p‖ between predicted 3D points p̂ and true points p"
POINT_DISTANCE: Metric[Any] = Metric(
    "point_distance", "point distance", "m", LOW, _DISTANCE, point_distance
)
"""Metric of depth; for points, the summary also names MoGe."""


def object_mean_error(pair: PointsPair) -> Sums:
    """Mean over the objects of their mean error over their size."""
    return np.array([np.mean([errors.mean for errors in pair.errors_by_object])])


LOCAL_REL: Metric[PointsPair] = Metric(
    "local_rel",
    "local rel",
    "",
    LOW,
    "mean distance between predicted and true 3D points, divided by the object's size, with each "
    "object fitted separately (MoGe)",
    object_mean_error,
    first_sum,
    pools=False,
)


def object_right_fraction(pair: PointsPair) -> Sums:
    """Mean over the objects of their fraction of right points."""
    return np.array([np.mean([errors.right for errors in pair.errors_by_object])])


LOCAL_DELTA1: Metric[PointsPair] = Metric(
    "local_delta1",
    "local δ1",
    "",
    HIGH,
    "fraction of 3D points that are off by less than a quarter of the object's size, with each "
    "object fitted separately (MoGe)",
    object_right_fraction,
    first_sum,
    pools=False,
)


# A new metric is one function with its Metric, and one name below.
POINT_METRICS: Mapping[str, Metric[PointsPair]] = metrics_by_name(
    *RELATIVE_METRICS,
    replace(POINT_DISTANCE, summary=f"{_DISTANCE} (MoGe)"),
    LOCAL_REL,
    LOCAL_DELTA1,
)


def fov_error(pair: FieldOfViewPair) -> Sums:
    """Absolute error of the field of view [°]."""
    return np.array([abs(pair.predicted - pair.true)])


def fov_deviation(pair: FieldOfViewPair) -> Sums:
    """Predicted minus true field of view [°]."""
    return np.array([pair.predicted - pair.true])


_FOV = "|predicted - true| horizontal field of view (MoGe)"
_FOV_SIGNED = (
    "predicted - true horizontal field of view, which is positive if it is predicted too wide "
    "(MoGe)"
)
CAMERA_METRICS: Mapping[str, Metric[FieldOfViewPair]] = metrics_by_name(
    Metric("fov_error", "FOV error", "°", LOW, _FOV, fov_error),
    Metric("fov_deviation", "FOV deviation", "°", Better.ZERO, _FOV_SIGNED, fov_deviation),
)
