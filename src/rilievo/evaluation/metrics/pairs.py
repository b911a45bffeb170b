"""Predictions with their ground truth, and quantities that several metrics need."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from rilievo.alignment.fit import dot
from rilievo.arrays.shapes import AnyPlane, Float, Float64, Int, Mask, UInt8, Values
from rilievo.errors import InputError, NoGroundTruthError
from rilievo.evaluation.metrics.metric import (
    PointColumns,
    Sums,
    column_lengths,
    count_unusable,
    squared_normal_lengths,
)
from rilievo.geometry.cameras.camera import Camera

Indices = Int[np.ndarray, "n"]
Levels = UInt8[np.ndarray, "h w"]
Curve = Float64[np.ndarray, "steps"]


def check_maps(
    predicted: Float[np.ndarray, "..."],
    true: Float[np.ndarray, "..."],
    valid: Mask,
) -> None:
    """Check that maps have equal sizes, and that the mask is boolean and not empty."""
    if predicted.shape != true.shape or true.shape[-2:] != valid.shape:
        raise InputError(
            f"the shapes of prediction {predicted.shape}, ground truth {true.shape} and mask "
            f"{valid.shape} do not match"
        )
    if valid.dtype != bool:
        # NumPy would take integers as indices.
        raise InputError(f"the mask is {valid.dtype}, expected bool: convert it with mask > 0")
    if not valid.any():
        raise NoGroundTruthError(
            "this image has no ground truth to score: the mask has no valid pixel"
        )


def confidence_at(confidence: AnyPlane | None, valid: Mask) -> Values:
    """Confidence at the valid pixels."""
    if confidence is None:
        raise InputError("the prediction has no confidence, which this benchmark scores")
    if confidence.shape != valid.shape:
        raise InputError(
            "confidence and mask must have the same shape, got "
            f"{confidence.shape} and {valid.shape}"
        )
    values = confidence[valid].astype(np.float64)
    # The comparisons are also false for NaN.
    if not (values.min() >= 0 and values.max() <= 1):
        is_in_range = (values >= 0) & (values <= 1)
        invalid_count = int((~is_in_range).sum())
        raise InputError(
            "confidence must be between 0 and 1, but it is NaN or outside this range at "
            f"{invalid_count} of {values.size} valid pixels"
        )
    return values


STEPS = 50
"""Number of steps in which sparsification removes pixels, as in Poggi et al. 2020."""
REMOVED: Curve = np.arange(STEPS + 1) / STEPS
"""Fraction of pixels that is removed at each point of a curve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sparsified:
    """Error of the remaining pixels by the removed fraction; 0 where no pixels remain.

    Attributes:
        by_confidence: Curve where the least sure pixels are removed first.
        by_error: Curve where the pixels with the largest errors are removed first.
    """

    by_confidence: Curve
    by_error: Curve

    @property
    def ause(self) -> float:
        """Area between the two curves; 0 if the confidence ranks pixels as their errors do."""
        return _area_below(self.by_confidence) - _area_below(self.by_error)

    @property
    def aurg(self) -> float:
        """Area between random removal, which keeps the error as it is, and the confidence."""
        error_of_all = float(self.by_confidence[0])
        return error_of_all - _area_below(self.by_confidence)


def sparsify(
    confidence: Values,
    error: Values,
    *,
    indicator: Values | None = None,
    take_root: bool = False,
) -> Sparsified:
    """Compute the sparsification curves of an error: means over the pixels that remain.

    Args:
        confidence: Confidence of each pixel, higher is better.
        error: Error of each pixel. Without an indicator, its mean is the curve.
        indicator: Value of each pixel whose mean is the curve instead, such as 1 for a wrong pixel.
            The error then only says in which order the ideal curve removes the pixels.
        take_root: Whether the curves are the square roots of the means, as for RMSE.
    """
    averaged = error if indicator is None else indicator
    by_confidence = _means_after_removal(confidence, averaged)
    # The ideal curve removes the largest errors first.
    by_error = _means_after_removal(-error, averaged)
    if take_root:
        by_confidence = np.sqrt(by_confidence)
        by_error = np.sqrt(by_error)
    return Sparsified(by_confidence=by_confidence, by_error=by_error)


def _means_after_removal(priority: Values, values: Values) -> Curve:
    """Means of the values that remain, where pixels of low priority are removed first."""
    order = np.argsort(priority, kind="stable")
    sorted_priority = priority[order]
    thresholds = np.percentile(sorted_priority, 100 * REMOVED[:-1])
    # Pixels of equal priority leave together, at the first threshold above them.
    removed_count = np.searchsorted(sorted_priority, thresholds)
    remaining_sums = np.cumsum(values[order][::-1])[::-1]
    return np.append(remaining_sums[removed_count] / (values.size - removed_count), 0.0)


def _area_below(curve: Curve) -> float:
    return float(np.trapezoid(curve, REMOVED))


# Without slots, because cached properties need __dict__.
@dataclass(frozen=True, kw_only=True, eq=False)
class DepthPair:
    """Predicted and true depth of one image [m], read only where ``valid``.

    Attributes:
        predicted: Depth after alignment and clipping.
        camera: Camera of the image; None if no metric needs points.
        predicted_camera: Camera that the model predicts; None if ``camera`` makes the predicted
            points too.
        confidence: Confidence of the prediction, 0 to 1; None if it has none.
        p: Predicted depth at the valid pixels [m].
        t: True depth at the valid pixels [m].

    Raises:
        InputError: If sizes or types are wrong, or depth is not positive and finite.
        NoGroundTruthError: If no pixel is valid.
    """

    predicted: AnyPlane
    true: AnyPlane
    valid: Mask
    camera: Camera | None = None
    predicted_camera: Camera | None = None
    confidence: AnyPlane | None = None
    p: Values = field(init=False, repr=False)
    t: Values = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_maps(self.predicted, self.true, self.valid)
        if self.true.ndim != 2:
            raise InputError(
                f"depth maps must have the shape (height, width), got {self.true.shape}"
            )
        p = self._valid_depth(
            self.predicted,
            "predicted",
            "clip zero and negative depth to a minimum, and remove pixels that are NaN or infinite "
            "from the mask",
        )
        t = self._valid_depth(self.true, "true", "remove these pixels from the mask")
        object.__setattr__(self, "p", p)
        object.__setattr__(self, "t", t)

    def _valid_depth(self, depth: AnyPlane, name: str, remedy: str) -> Values:
        """Depth at the valid pixels, checked to be floating-point, positive and finite.

        ``name`` ("true" or "predicted") and ``remedy`` (what the user can do) are for the messages.
        """
        if not np.issubdtype(depth.dtype, np.floating):
            raise InputError(
                f"the {name} depth is {depth.dtype}, expected floating-point metres: convert it, "
                "for example with millimetres / 1000"
            )
        values = depth.ravel()[self.valid_indices].astype(np.float64)
        unusable = count_unusable(values)
        if unusable:
            raise InputError(
                f"{name} depth is zero, negative, NaN or infinite at {unusable} of {values.size} "
                f"valid pixels: {remedy}"
            )
        return values

    @property
    def count(self) -> int:
        """Number of valid pixels."""
        return self.t.size

    @cached_property
    def valid_indices(self) -> Indices:
        """Flat indices of the valid pixels."""
        return np.flatnonzero(self.valid)

    @cached_property
    def difference(self) -> Values:
        """Predicted minus true [m]."""
        return self.p - self.t

    @cached_property
    def relative(self) -> Values:
        """Difference divided by true depth."""
        return self.difference / self.t

    @cached_property
    def depth_ratio(self) -> Values:
        """Larger of the two depths divided by the smaller."""
        return np.maximum(self.p, self.t) / np.minimum(self.p, self.t)

    @cached_property
    def abs_log_error(self) -> Values:
        """|ln p - ln t|."""
        return np.log(self.depth_ratio)

    @cached_property
    def log_error_moments(self) -> Sums:
        """Three sums from which the variance of ln p - ln t over several images follows.

        They are the squared deviations from the image's mean, the sum, and its square over n.
        Unlike sums of e² and e, they lose no digits where e is large and hardly varies.
        """
        log_error = np.copysign(self.abs_log_error, self.difference)
        total = log_error.sum()
        deviation = log_error - total / self.count
        return np.array([dot(deviation, deviation), total, total * total / self.count])

    @cached_property
    def valid_confidence(self) -> Values:
        """Confidence at the valid pixels."""
        return confidence_at(self.confidence, self.valid)

    @cached_property
    def sparsified(self) -> Mapping[str, Sparsified]:
        """Sparsification curves of AbsRel, RMSE and 1 - δ1."""
        confidence = self.valid_confidence
        is_wrong = (self.depth_ratio >= 1.25).astype(np.float64)
        return {
            "abs_rel": sparsify(confidence, np.abs(self.relative)),
            "rmse": sparsify(confidence, np.square(self.difference), take_root=True),
            "delta1": sparsify(confidence, self.depth_ratio, indicator=is_wrong),
        }

    @cached_property
    def true_points(self) -> PointColumns:
        """True points in the camera frame, 3 x n [m]."""
        return self._valid_rays(self.camera) * self.t

    @cached_property
    def predicted_points(self) -> PointColumns:
        """Predicted points in the camera frame, 3 x n [m]."""
        return self._valid_rays(self.predicted_camera or self.camera) * self.p

    @cached_property
    def point_errors(self) -> Values:
        """Distance of predicted points from true ones [m]."""
        return column_lengths(self.predicted_points - self.true_points)

    @cached_property
    def true_distances(self) -> Values:
        """Distance of true points from the camera [m]."""
        return column_lengths(self.true_points)

    def _valid_rays(self, camera: Camera | None) -> PointColumns:
        """Rays of the valid pixels, row by row; depth times ray is a point in the camera frame."""
        if camera is None:
            raise InputError(
                "metrics of 3D points need a camera, but that of this image is unknown: state it "
                "in the dataset, or leave these metrics out"
            )
        v, u = np.divmod(self.valid_indices, self.true.shape[1])
        return camera.rays(np.stack([u, v]).astype(np.float64))


@dataclass(frozen=True, kw_only=True, eq=False)
class NormalsPair:
    """Predicted and true normals of one image, towards the camera; their lengths are any but 0.

    Attributes:
        confidence: Confidence of the prediction, 0 to 1; None if it has none.
        angles: Angle between both normals at the valid pixels, 0 to 180 [°].

    Raises:
        InputError: If sizes or types are wrong, or a normal has no direction.
        NoGroundTruthError: If no pixel is valid.
    """

    predicted: Float[np.ndarray, "3 h w"]
    true: Float[np.ndarray, "3 h w"]
    valid: Mask
    confidence: AnyPlane | None = None
    angles: Values = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_maps(self.predicted, self.true, self.valid)
        if self.true.ndim != 3 or self.true.shape[0] != 3:
            raise InputError(
                f"normals must have the shape (3, height, width), got {self.true.shape}"
            )
        valid_indices = np.flatnonzero(self.valid)
        predicted = self.predicted.reshape(3, -1)[:, valid_indices].astype(np.float64)
        true = self.true.reshape(3, -1)[:, valid_indices].astype(np.float64)
        predicted_squares = squared_normal_lengths("predicted", predicted)
        true_squares = squared_normal_lengths("true", true)
        dot_products = np.einsum("cn,cn->n", predicted, true)
        cosines = dot_products / np.sqrt(predicted_squares * true_squares)
        # Rounding can take a cosine slightly out of -1 to 1.
        angles = np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0)))
        object.__setattr__(self, "angles", angles)

    @property
    def count(self) -> int:
        """Number of valid pixels."""
        return self.angles.size

    @cached_property
    def sparsified(self) -> Mapping[str, Sparsified]:
        """Sparsification curve of the mean angle [°]."""
        confidence = confidence_at(self.confidence, self.valid)
        return {"mean": sparsify(confidence, self.angles)}


@dataclass(frozen=True, kw_only=True, eq=False)
class PicturePair:
    """Predicted and true depth maps as 8-bit pictures, each scaled by its own maximum."""

    predicted: Levels
    true: Levels

    def __post_init__(self) -> None:
        for name, levels in (("predicted", self.predicted), ("true", self.true)):
            if levels.dtype != np.uint8 or levels.ndim != 2 or not levels.size:
                raise InputError(
                    f"the {name} picture has the shape {levels.shape} and the type "
                    f"{levels.dtype}, expected (height, width) and uint8"
                )
        if self.predicted.shape != self.true.shape:
            raise InputError(
                "the predicted and the true picture must have the same shape, got "
                f"{self.predicted.shape} and {self.true.shape}"
            )

    @property
    def count(self) -> int:
        """Number of pixels; all are compared."""
        return self.true.size
