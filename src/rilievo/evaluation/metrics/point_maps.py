"""Errors of points with the model's own directions, and of its field of view."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from rilievo.alignment.point_fit import PointFit, fit_points
from rilievo.alignment.subsample import subsample_by_grid
from rilievo.arrays.shapes import Int64, Mask, Values
from rilievo.errors import CalibrationError, InputError, NoGroundTruthError
from rilievo.evaluation.metrics.metric import (
    Better,
    Metric,
    PointColumns,
    PointPlane,
    Sums,
    column_lengths,
    metrics_by_name,
    whole,
)
from rilievo.evaluation.metrics.pairs import DepthPair, check_maps

LEAST_POINTS = 10
"""Least number of sampled points by which an object is fitted."""
_DISTANCE_OFFSET = 1e-6
"""Added to a distance before the division by it [m], as in MoGe's program."""
_MAX_RELATIVE_GAP = 0.25
"""Gap over distance, or over an object's size, below which a point is right, as in MoGe."""
_LOCAL_REL = "mean ‖p̂ - p‖ over the object's size, each object fitted by itself (MoGe)"
_LOCAL_DELTA = (
    "share of ‖p̂ - p‖ below a quarter of the object's size, each object fitted by itself (MoGe)"
)
_FOV = "|predicted - true| horizontal field of view (MoGe)"
_FOV_SIGNED = "predicted - true horizontal field of view: positive where it is too wide (MoGe)"


@dataclass(frozen=True, kw_only=True, eq=False)
class PointsPair:
    """Predicted and true points of one image in the camera frame [m], read only where ``valid``.

    Attributes:
        predicted: Predicted points after the fit to the true ones.
        true: True points.
        valid: Pixels that count.
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
                improper = int((~is_finite).sum())
                raise InputError(f"{name} points are NaN or infinite at {improper} valid pixels")

    @property
    def count(self) -> int:
        """Number of valid pixels."""
        return int(np.count_nonzero(self.valid))

    @cached_property
    def gap(self) -> Values:
        """Distance of predicted points from true ones [m]."""
        return column_lengths((self.predicted - self.true)[:, self.valid])

    @cached_property
    def distance(self) -> Values:
        """Distance of true points from the camera [m]."""
        return column_lengths(self.true[:, self.valid])

    @property
    def predicted_points(self) -> PointColumns:
        """Predicted points that count, 3 x n [m]."""
        return self.predicted[:, self.valid]

    @cached_property
    def by_object(self) -> tuple[tuple[float, float], ...]:
        """Errors of each object whose shape alone is judged, as MoGe's "local points".

        These are the mean gap of its points over its size, and the share of points whose gap is
        below a quarter of its size. Each object has a fit of its own.

        Raises:
            NoGroundTruthError: If no object has enough points.
        """
        if self.objects is None or self.raw is None:
            raise NoGroundTruthError("the image has no objects to compare by themselves")

        subsample = subsample_by_grid(self.valid)
        # A pixel that stands for several cells of the grid counts several times.
        sampled = np.repeat(subsample.indices, subsample.counts)
        errors = []
        for number in range(1, int(self.objects.max(initial=0)) + 1):
            object_samples = sampled[self.objects.flat[sampled] == number]
            if object_samples.size >= LEAST_POINTS:
                object_mask = self.valid & (self.objects == number)
                errors.append(self._object_errors(object_mask, object_samples))
        if not errors:
            raise NoGroundTruthError(
                f"no object of the image has {LEAST_POINTS} points of the subsample"
            )
        return tuple(errors)

    def _object_errors(
        self, object_mask: Mask, samples: Int64[np.ndarray, "k"]
    ) -> tuple[float, float]:
        """Errors of one object, which is fitted at the flat indices of its samples."""
        assert self.raw is not None, "only objects of raw points are compared"
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

        relative_gap = column_lengths(points - true) / size
        return float(relative_gap.mean()), float(np.mean(relative_gap < _MAX_RELATIVE_GAP))


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldOfViewPair:
    """Predicted and true horizontal field of view of one image [°]."""

    predicted: float
    true: float

    @property
    def count(self) -> int:
        """Number of images: one."""
        return 1


def point_rel(pair: DepthPair | PointsPair) -> Sums:
    """Sum of ‖p̂ - p‖ / (‖p‖ + 1e-6) of points [m] (Wang et al. 2025, MoGe)."""
    return np.array([(pair.gap / (pair.distance + _DISTANCE_OFFSET)).sum()])


def point_delta1(pair: DepthPair | PointsPair) -> Sums:
    """Count of ‖p̂ - p‖ < 0.25 min(‖p‖, ‖p̂‖) (MoGe)."""
    predicted_distance = column_lengths(pair.predicted_points)
    max_gap = _MAX_RELATIVE_GAP * np.minimum(pair.distance, predicted_distance)
    return np.array([float(np.count_nonzero(pair.gap < max_gap))])


def point_distance(pair: DepthPair | PointsPair) -> Sums:
    """Sum of ‖p̂ - p‖ [m]."""
    return np.array([pair.gap.sum()])


def _mean_over_objects(column: int) -> Callable[[PointsPair], Sums]:
    """Function that averages one column of ``by_object`` over the objects."""
    return lambda pair: np.array([np.mean([errors[column] for errors in pair.by_object])])


_REL = "mean ‖p̂ - p‖ / ‖p‖ of points (MoGe)"
_DELTA = "‖p̂ - p‖ < min(‖p‖, ‖p̂‖) / 4 (MoGe)"
LOW = Better.LOWER
HIGH = Better.HIGHER
RELATIVE_METRICS: tuple[Metric[Any], ...] = (
    Metric("point_rel", "point rel", "", LOW, _REL, point_rel),
    Metric("point_delta1", "point δ1", "", HIGH, _DELTA, point_delta1),
)

# A new metric is one function and one line below.
POINT_METRICS: Mapping[str, Metric[PointsPair]] = metrics_by_name(
    *RELATIVE_METRICS,
    Metric(
        "point_distance",
        "point distance",
        "m",
        LOW,
        "mean ‖p̂ - p‖ of points (MoGe)",
        point_distance,
    ),
    Metric(
        "local_rel", "local rel", "", LOW, _LOCAL_REL, _mean_over_objects(0), whole, pools=False
    ),
    Metric(
        "local_delta1",
        "local δ1",
        "",
        HIGH,
        _LOCAL_DELTA,
        _mean_over_objects(1),
        whole,
        pools=False,
    ),
)


def fov_error(pair: FieldOfViewPair) -> Sums:
    """Absolute error of the field of view [°]."""
    return np.array([abs(pair.predicted - pair.true)])


def fov_deviation(pair: FieldOfViewPair) -> Sums:
    """Predicted minus true field of view [°]."""
    return np.array([pair.predicted - pair.true])


CAMERA_METRICS: Mapping[str, Metric[FieldOfViewPair]] = metrics_by_name(
    Metric("fov_error", "FOV error", "°", LOW, _FOV, fov_error),
    Metric("fov_deviation", "FOV deviation", "°", Better.ZERO, _FOV_SIGNED, fov_deviation),
)
