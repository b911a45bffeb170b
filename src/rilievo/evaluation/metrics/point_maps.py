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

_EPS = 1e-6
_LOCAL_REL = "mean ‖p̂ - p‖ over the object's size, each object fitted by itself (MoGe)"
_LOCAL_DELTA = (
    "share of ‖p̂ - p‖ below a quarter of the object's size, each object fitted by itself (MoGe)"
)
_FOV = "|predicted - true| horizontal field of view (MoGe)"
_FOV_SIGNED = "predicted - true horizontal field of view: positive where it is too wide (MoGe)"


@dataclass(frozen=True, kw_only=True, eq=False)
class PointsPair:
    """Predicted and true points of one image [m], read only where ``valid``.

    Attributes:
        raw: Predicted, before the fit.
        objects: Number of each pixel's object, 0 for none.

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
        for name in ("predicted", "true"):
            points = getattr(self, name)[:, self.valid]
            if not np.isfinite(points).all():
                bad = int((~np.isfinite(points).all(axis=0)).sum())
                raise InputError(f"{name} points are NaN or infinite at {bad} valid pixels")

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
        """Mean gap of each object's points over its size, and the share below a quarter of it.

        Raises:
            NoGroundTruthError: If no object has enough points.
        """
        if self.objects is None or self.raw is None:
            raise NoGroundTruthError("the image has no objects to compare by themselves")
        # Each object has a fit of its own, which judges its shape alone (MoGe: "local points").
        chosen = subsample_by_grid(self.valid)
        sampled = np.repeat(chosen.indices, chosen.counts)
        scores = []
        for number in range(1, int(self.objects.max(initial=0)) + 1):
            places = sampled[self.objects.flat[sampled] == number]
            if places.size >= LEAST_POINTS:
                scores.append(self._object_errors(self.valid & (self.objects == number), places))
        if not scores:
            raise NoGroundTruthError(
                f"no object of the image has {LEAST_POINTS} points of the subsample"
            )
        return tuple(scores)

    def _object_errors(self, inside: Mask, places: Int64[np.ndarray, "k"]) -> tuple[float, float]:
        """Mean gap over the object's size, share below 0.25."""
        assert self.raw is not None
        x, y = (points_map.reshape(3, -1)[:, places] for points_map in (self.raw, self.true))
        true = self.true[:, inside]
        size = float((true.max(axis=1) - true.min(axis=1)).max())
        try:
            weights = np.full(places.size, 1 / size)
            fitted = fit_points(x, y, weights, PointFit.POINT_SCALE_SHIFT)
            points = fitted.scale * self.raw[:, inside] + fitted.shift[:, None]
        except CalibrationError:
            # A mirrored or flat object is as wrong as one of no size at its middle.
            points = np.broadcast_to(np.median(y, axis=1)[:, None], true.shape)
        gap = column_lengths(points - true) / size
        return float(gap.mean()), float(np.mean(gap < 0.25))


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
    return np.array([(pair.gap / (pair.distance + _EPS)).sum()])


def point_delta1(pair: DepthPair | PointsPair) -> Sums:
    """Count of ‖p̂ - p‖ < 0.25 min(‖p‖, ‖p̂‖) (MoGe)."""
    near = pair.gap < 0.25 * np.minimum(pair.distance, column_lengths(pair.predicted_points))
    return np.array([float(np.count_nonzero(near))])


def point_distance(pair: DepthPair | PointsPair) -> Sums:
    """Sum of ‖p̂ - p‖ [m]."""
    return np.array([pair.gap.sum()])


def _mean_over_objects(column: int) -> Callable[[PointsPair], Sums]:
    """Mean over objects of one column of ``by_object``."""
    return lambda pair: np.array([np.mean([numbers[column] for numbers in pair.by_object])])


_REL, _DELTA = "mean ‖p̂ - p‖ / ‖p‖ of points (MoGe)", "‖p̂ - p‖ < min(‖p‖, ‖p̂‖) / 4 (MoGe)"
LOW, HIGH = Better.LOWER, Better.HIGHER
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
