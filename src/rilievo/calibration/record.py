"""What a calibration found, and the depth in metres that it made."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from rilievo.alignment import Fit, to_depth
from rilievo.calibration.field import Field
from rilievo.calibration.known import Known, KnownPoint
from rilievo.errors import CalibrationError
from rilievo.types import Calibration, DepthKind, DepthMap


@dataclass(frozen=True, slots=True, kw_only=True)
class Residual:
    """Difference between the fitted depth and one thing that was known.

    Attributes:
        known: The point or the length.
        metres: Fitted minus known [m]; of a point, both along the axis.
        relative: The same as a share of what was known.
    """

    known: Known
    metres: float
    relative: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """The plane that was taken for the floor.

    Attributes:
        normal: Unit, camera frame, up.
        height: Of the camera above it, in the unit that the map had before.
        area: Share of the picture that lies on it.
        inliers: Share that lies on it of what faces up in the lower half of the picture.
    """

    normal: Float64[np.ndarray, "3"]
    height: float
    area: float
    inliers: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """Depth in metres, and how it came to be.

    Attributes:
        depth: Kind ``METRIC``.
        fit: What turned the map's numbers into metres; ``rilievo.alignment.to_depth`` applies it
            to another map of the same scale, such as the next frame of a video.
        residuals: One of each thing that was known, in their order.
        floor: The floor, where a height was known.
        field: What depth was multiplied by after the fit; None where one factor does as well.
        lost: Pixels that the fit left without a positive depth; they are no longer valid.
        warning: What deserves a look, in words; None where nothing does.
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
    """Apply a fit to a map, take out what it leaves without a depth, and say so.

    Raises:
        CalibrationError: If no pixel has a positive depth after the fit.
    """
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
    """What a prediction and its files say of a calibration.

    Args:
        calibrated: The calibration.
        asked: What the user said that he knows.
    """
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
    return "known points" if kinds == {True} else "known lengths"


def _bend(calibrated: Calibrated) -> float:
    assert calibrated.field is not None, "the caller asked"
    factors = calibrated.field.factors(calibrated.depth.shape)[calibrated.depth.valid]
    return round(float(factors.max() / factors.min()), 3)
