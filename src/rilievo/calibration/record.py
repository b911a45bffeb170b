"""Results of a calibration: the fit, its residuals, and depth in metres."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from rilievo.alignment import Fit, to_depth
from rilievo.calibration.field import Field
from rilievo.calibration.lengths import Known, KnownPoint
from rilievo.calibration.ranges import KNOWN_LENGTHS
from rilievo.errors import CalibrationError
from rilievo.types import Calibration, DepthKind, DepthMap


@dataclass(frozen=True, slots=True, kw_only=True)
class Residual:
    """Difference between the fitted depth and one known fact.

    Attributes:
        known: The point or the length.
        metres: Fitted minus known [m]; for a point, both along the optical axis.
        relative: The same as a share of the known value.
    """

    known: Known
    metres: float
    relative: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """The plane that was chosen as the floor.

    Attributes:
        normal: Unit normal in the camera frame, pointing up.
        height: Height of the camera above the floor, in the map's unit before calibration.
        area: Share of the picture's valid pixels that lie on the floor.
        inliers: Share of the pixels that face up in the lower half of the picture and lie on it.
    """

    normal: Float64[np.ndarray, "3"]
    height: float
    area: float
    inliers: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """Depth in metres, and the calibration that gave it.

    Attributes:
        depth: Depth map of kind ``METRIC``.
        fit: Conversion of the map's values to metres; ``rilievo.alignment.to_depth`` applies it
            to another map of the same scale, such as the next frame of a video.
        residuals: Residuals of the known facts, in their order.
        floor: The floor, if the camera's height was known; else None.
        field: Correction field applied after the fit; None where one factor does as well.
        lost: Number of pixels without a positive depth after the fit; they are no longer valid.
        warning: Warnings joined by "; "; None where there are none.
    """

    depth: DepthMap
    fit: Fit
    residuals: tuple[Residual, ...] = ()
    floor: Floor | None = None
    field: Field | None = None
    lost: int = 0
    warning: str | None = None


def calibrated(
    depth: DepthMap,
    fit: Fit,
    *,
    residuals: Sequence[Residual] = (),
    floor: Floor | None = None,
    remarks: Sequence[str] = (),
) -> Calibrated:
    """Apply a fit to a map; pixels without a positive depth become invalid, with a warning."""
    remarks = list(remarks)
    if depth.kind is DepthKind.METRIC:
        remarks.append(f"the model's own metres were multiplied by {fit.scale:.4g}")
    metres = to_depth(depth, fit)
    valid = depth.valid & (metres > 0) & np.isfinite(metres)
    lost = int(depth.valid.sum() - valid.sum())
    if not valid.any():
        raise CalibrationError("the fitted scale and shift leave no pixel with a positive depth")
    if lost:
        metres[~valid] = 0
        remarks.append(
            f"{lost} of {depth.valid.sum()} pixels have no positive depth after the fit and are "
            "now invalid"
        )
    return Calibrated(
        depth=DepthMap(values=metres, kind=DepthKind.METRIC, valid=valid),
        fit=fit,
        residuals=tuple(residuals),
        floor=floor,
        lost=lost,
        warning="; ".join(remarks) or None,
    )


def facts(calibrated: Calibrated, asked: Sequence[str]) -> Calibration:
    """Summary of a calibration for predictions and their files."""
    return Calibration(
        method=_method(calibrated),
        asked=tuple(asked),
        space=calibrated.fit.space,
        scale=calibrated.fit.scale,
        shift=calibrated.fit.shift,
        residuals=tuple(residual.metres for residual in calibrated.residuals),
        bend=None if calibrated.field is None else _bend(calibrated),
        warning=calibrated.warning,
    )


def _method(calibrated: Calibrated) -> str:
    if calibrated.floor is not None:
        return "camera height"
    kinds = {isinstance(residual.known, KnownPoint) for residual in calibrated.residuals}
    if len(kinds) == 2:
        return "known points and lengths"
    return "known points" if kinds == {True} else KNOWN_LENGTHS


def _bend(calibrated: Calibrated) -> float:
    assert calibrated.field is not None, "the caller asked"
    factors = calibrated.field.factors(calibrated.depth.shape)[calibrated.depth.valid]
    return round(float(factors.max() / factors.min()), 3)
