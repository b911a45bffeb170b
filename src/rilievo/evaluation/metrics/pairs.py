"""A prediction and its ground truth, with what metrics share."""

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
    count_improper,
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
    """Refuse maps of unequal sizes, and an empty mask."""
    if predicted.shape != true.shape or true.shape[-2:] != valid.shape:
        raise InputError(
            f"prediction {predicted.shape}, truth {true.shape} and mask {valid.shape} differ"
        )
    if valid.dtype != bool:
        # Of whole numbers, numpy would make indices.
        raise InputError(f"the mask is {valid.dtype}, expected bool: convert it with mask > 0")
    if not valid.any():
        raise NoGroundTruthError("no valid pixel: this image has no ground truth that counts")


def confidence_at(confidence: AnyPlane | None, valid: Mask) -> Values:
    """Confidence at the valid pixels, checked to be in [0, 1]."""
    if confidence is None:
        raise InputError("the prediction has no confidence, which this benchmark judges")
    if confidence.shape != valid.shape:
        raise InputError(f"confidence {confidence.shape} and mask {valid.shape} differ")
    numbers = confidence[valid].astype(np.float64)
    if not (numbers.min() >= 0 and numbers.max() <= 1):
        bad = int((~((numbers >= 0) & (numbers <= 1))).sum())
        raise InputError(
            f"confidence is outside 0 to 1, or NaN, at {bad} of {numbers.size} valid pixels"
        )
    return numbers


STEPS = 50
REMOVED: Curve = np.arange(STEPS + 1) / STEPS


@dataclass(frozen=True, slots=True, kw_only=True)
class Sparsified:
    """Error by share of pixels removed, least sure or worst ones first."""

    by_confidence: Curve
    by_error: Curve

    @property
    def ause(self) -> float:
        """Area between the two curves; 0 for the best order."""
        return _area_below(self.by_confidence) - _area_below(self.by_error)

    @property
    def aurg(self) -> float:
        """Area between random removal and the confidence."""
        return float(self.by_confidence[0]) - _area_below(self.by_confidence)


def sparsify(
    confidence: Values,
    error: Values,
    *,
    indicator: Values | None = None,
    root: bool = False,
) -> Sparsified:
    """Sparsification curves of one error, or of ``indicator`` in its order."""
    averaged = error if indicator is None else indicator
    first, second = (_means_after_removal(order, averaged) for order in (confidence, -error))
    if root:
        first, second = np.sqrt(first), np.sqrt(second)
    return Sparsified(by_confidence=first, by_error=second)


def _means_after_removal(order: Values, values: Values) -> Curve:
    """Means of values that remain while low ``order`` leaves first."""
    places = np.argsort(order, kind="stable")
    ranked = order[places]
    # Equal values leave together, at the first threshold above them.
    starts = np.searchsorted(ranked, np.percentile(ranked, 100 * REMOVED[:-1]))
    sums = np.cumsum(values[places][::-1])[::-1]
    return np.append(sums[starts] / (values.size - starts), 0.0)


def _area_below(curve: Curve) -> float:
    return float(np.trapezoid(curve, REMOVED))


# Without slots, because cached properties need __dict__.
@dataclass(frozen=True, kw_only=True, eq=False)
class DepthPair:
    """Predicted and true depth of one image [m], read only where ``valid``.

    Attributes:
        predicted: Depth after alignment and clipping.
        predicted_camera: The model's own, if its points are to be judged with it.

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
            raise InputError(f"depth maps are (height, width), these are {self.true.shape}")
        for letter, name, mend in (
            ("p", "predicted", "clip it to a least depth first"),
            ("t", "true", "take them out of the mask"),
        ):
            array = getattr(self, name)
            if not np.issubdtype(array.dtype, np.floating):
                raise InputError(
                    f"the {name} depth is {array.dtype}, expected floating-point metres: convert "
                    "it, as with millimetres / 1000"
                )
            depth = array.ravel()[self.valid_indices].astype(np.float64)
            if bad := count_improper(depth):
                raise InputError(
                    f"{name} depth is zero, negative, NaN or infinite at {bad} of {depth.size} "
                    f"valid pixels: {mend}"
                )
            object.__setattr__(self, letter, depth)

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
    def factor(self) -> Values:
        """Larger depth divided by the smaller."""
        return np.maximum(self.p, self.t) / np.minimum(self.p, self.t)

    @cached_property
    def log_factor(self) -> Values:
        """|ln p - ln t|."""
        return np.log(self.factor)

    @cached_property
    def log_moments(self) -> Sums:
        """Squared deviations, sum, and squared sum over n, of ln p - ln t."""
        # Unlike sums of e squared and e, these lose no digits where e is large and hardly varies.
        e = np.copysign(self.log_factor, self.difference)
        total = e.sum()
        e -= total / self.count
        return np.array([dot(e, e), total, total * total / self.count])

    @cached_property
    def c(self) -> Values:
        """Confidence at the valid pixels."""
        return confidence_at(self.confidence, self.valid)

    @cached_property
    def sparsified(self) -> Mapping[str, Sparsified]:
        """Sparsification curves of AbsRel, RMSE and 1 - δ1."""
        wrong = (self.factor >= 1.25).astype(np.float64)
        return {
            "abs_rel": sparsify(self.c, np.abs(self.relative)),
            "rmse": sparsify(self.c, np.square(self.difference), root=True),
            "delta1": sparsify(self.c, self.factor, indicator=wrong),
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
    def gap(self) -> Values:
        """Distance of predicted points from true ones [m]."""
        return column_lengths(self.predicted_points - self.true_points)

    @cached_property
    def distance(self) -> Values:
        """Distance of true points from the camera [m]."""
        return column_lengths(self.true_points)

    def _valid_rays(self, camera: Camera | None) -> PointColumns:
        """Rays of valid pixels, row by row; depth times ray is a point."""
        if camera is None:
            raise InputError("errors of points need the camera: give its K, or drop these metrics")
        v, u = np.divmod(self.valid_indices, self.true.shape[1])
        return camera.rays(np.stack([u, v]).astype(np.float64))


@dataclass(frozen=True, kw_only=True, eq=False)
class NormalsPair:
    """Predicted and true normals of one image, towards the camera; angles are 0 to 180°.

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
            raise InputError(f"normals are (3, height, width), these are {self.true.shape}")
        places = np.flatnonzero(self.valid)
        predicted = self.predicted.reshape(3, -1)[:, places].astype(np.float64)
        true = self.true.reshape(3, -1)[:, places].astype(np.float64)
        squares = squared_normal_lengths("predicted", predicted) * squared_normal_lengths(
            "true", true
        )
        cosine = np.einsum("cn,cn->n", predicted, true) / np.sqrt(squares)
        angles = np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))
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
    """Two depth maps as 8-bit pictures, each scaled by its own maximum.

    Raises:
        InputError: If sizes or types are wrong.
    """

    predicted: Levels
    true: Levels

    def __post_init__(self) -> None:
        for name, picture in (("predicted", self.predicted), ("true", self.true)):
            if picture.dtype != np.uint8 or picture.ndim != 2 or not picture.size:
                raise InputError(
                    f"the {name} picture is {picture.shape} {picture.dtype}, "
                    "expected (height, width) uint8"
                )
        if self.predicted.shape != self.true.shape:
            raise InputError(
                f"the predicted picture is {self.predicted.shape}, the true one {self.true.shape}"
            )

    @property
    def count(self) -> int:
        """Number of all pixels."""
        return self.true.size
