"""Results of a calibration: fit, smooth field, residuals."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from rilievo.alignment import Fit, to_depth
from rilievo.calibration.ranges import KNOWN_LENGTHS, KNOWN_RECTANGLES
from rilievo.calibration.sizes import Known, KnownPoint, KnownRectangle
from rilievo.depth_map import DepthKind, DepthMap
from rilievo.errors import CalibrationError
from rilievo.frozen import frozen
from rilievo.prediction_record import Calibration
from rilievo.shapes import Float32, Float64, Positions, Values, Vector

# Fewer places show chance.
LEAST_PLACES = 5
# More are merged by median.
MOST_PLACES = 600
# Variance of the field over a place's noise.
_STRENGTHS = (0.5, 2.0, 8.0, 32.0)
# Deviations of the kernel, in widths.
_REACHES = (0.2, 0.4, 0.8)
# Outliers are farther from the median logarithm.
_MOST_LOG = 1.0
_GRID = 48


@frozen
class Field:
    """Smooth correction factor over the picture.

    Attributes:
        places: Columns and rows of kernels, over the width.
        pull: Weights of kernels.
        offset: Log factor far from all.
        reach: Deviation of the kernel, in widths.
    """

    places: Positions
    pull: Values
    offset: float
    reach: float

    def logs(self, at: Float64[np.ndarray, "m 2"]) -> Float64[np.ndarray, "m"]:
        """Log factor at places, over the width."""
        return self.offset + _kernel(at, self.places, self.reach) @ self.pull

    def factors(self, shape: tuple[int, int]) -> Float32[np.ndarray, "h w"]:
        """Factor at every pixel, upsampled from a grid (bicubic)."""
        height, width = shape
        rows, columns = min(height, _GRID), min(width, _GRID)
        # Centres of the grid's cells, as the upsampling assumes.
        v = ((np.arange(rows) + 0.5) * height / rows - 0.5) / width
        u = ((np.arange(columns) + 0.5) * width / columns - 0.5) / width
        at = np.stack(np.meshgrid(u, v), axis=-1).reshape(-1, 2)
        logs = self.logs(at).reshape(rows, columns).astype(np.float32)
        enlarged = Image.fromarray(logs).resize((width, height), Image.Resampling.BICUBIC)
        return np.exp(np.asarray(enlarged, np.float32))


def find_field(
    places: Sequence[tuple[float, float]], logs: Sequence[float], shape: tuple[int, int]
) -> Field | None:
    """Fit a field; None where a single factor does as well."""
    at, y = np.array(places, np.float64) / shape[1], np.array(logs, np.float64)
    is_near = np.abs(y - np.median(y)) <= _MOST_LOG
    at, y = _thinned(at[is_near], y[is_near])
    if len(y) < LEAST_PLACES:
        return None
    best, least = None, _clearly(len(y)) * _miss(at, y, 0.0, _REACHES[0])
    for reach in _REACHES:
        for strength in _STRENGTHS:
            miss = _miss(at, y, strength, reach)
            if miss < least:
                best, least = (strength, reach), miss
    if best is None:
        return None
    strength, reach = best
    inverse, offset = _solved(at, y, strength, reach)
    return Field(places=at, pull=strength * inverse @ (y - offset), offset=offset, reach=reach)


def bent(depth: DepthMap, field: Field) -> DepthMap:
    """Multiply depth by a smooth field."""
    values = depth.values * np.where(depth.valid, field.factors(depth.shape), 1)
    return DepthMap(values=values, kind=DepthKind.METRIC, valid=depth.valid)


def _kernel(
    a: Positions, b: Float64[np.ndarray, "m 2"], reach: float
) -> Float64[np.ndarray, "n m"]:
    squares = np.square(a[:, None] - b[None]).sum(axis=-1)
    return np.exp(-squares / (2 * reach * reach))


def _solved(
    at: Positions, y: Values, strength: float, reach: float
) -> tuple[Float64[np.ndarray, "n n"], float]:
    inverse = np.linalg.inv(strength * _kernel(at, at, reach) + np.eye(len(y)))
    weights = inverse.sum(axis=0)
    return inverse, float(weights @ y / weights.sum())


def _miss(at: Positions, y: Values, strength: float, reach: float) -> float:
    """Mean absolute leave-one-out error, in closed form (Rasmussen and Williams, eq. 5.12)."""
    inverse, _ = _solved(at, y, strength, reach)
    weights = inverse.sum(axis=0)
    without = inverse - np.outer(weights, weights) / weights.sum()
    return float(np.abs(without @ y / np.diag(without)).mean())


def _clearly(count: int) -> float:
    # One in twenty of 200 noise sets reaches it.
    return min(0.85, 0.4 + 0.028 * count)


def _thinned(
    at: Positions, y: Values
) -> tuple[Float64[np.ndarray, "m 2"], Float64[np.ndarray, "m"]]:
    if len(y) <= MOST_PLACES:
        return at, y
    # Cells at the far sides may be cut, so fewer whole cells fit than the limit: hence 1.1.
    side = 1.1 * np.sqrt(float(np.prod(np.maximum(np.ptp(at, axis=0), 1e-9))) / MOST_PLACES)
    side = max(side, 1.1 * float(np.ptp(at, axis=0).max()) / MOST_PLACES)
    cells = np.floor((at - at.min(axis=0)) / max(side, 1e-9)).astype(int)
    _, index = np.unique(cells, axis=0, return_inverse=True)
    order = np.argsort(index.reshape(-1), kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(index.reshape(-1)[order])) + 1)
    places = np.array([at[group].mean(axis=0) for group in groups])
    return places, np.array([np.median(y[group]) for group in groups])


@frozen
class Residual:
    """Difference of fitted depth and a known fact [m], also as a share of the known value."""

    known: Known
    metres: float
    relative: float


@frozen
class Floor:
    """Plane that was chosen as the floor.

    Attributes:
        normal: Unit normal, up, in the camera frame.
        height: Height of the camera, in the map's unit.
        area: Share of valid pixels.
        inliers: Share of the lower half's upward pixels.
    """

    normal: Vector
    height: float
    area: float
    inliers: float


@frozen
class Calibrated:
    """Depth in metres, and its calibration.

    Attributes:
        fit: Conversion to metres, also of maps of the same scale.
        field: Correction after the fit.
        lost: Pixels without positive depth, now invalid.
        warning: Warnings joined by "; ".
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
    """Apply a fit; depth that is not positive is invalid, with a warning."""
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


def facts(calibrated: Calibrated, texts: Sequence[str]) -> Calibration:
    """Summarise a calibration for predictions and files."""
    kinds = {type(residual.known) for residual in calibrated.residuals}
    method = KNOWN_LENGTHS
    if calibrated.floor is not None:
        method = "camera height"
    elif len(kinds) > 1:
        method = "known points and lengths"
    elif kinds == {KnownPoint}:
        method = "known points"
    elif kinds == {KnownRectangle}:
        method = KNOWN_RECTANGLES
    bend = None
    if calibrated.field is not None:
        depth = calibrated.depth
        factors = calibrated.field.factors(depth.shape)[depth.valid]
        bend = round(float(factors.max() / factors.min()), 3)
    return Calibration(
        method=method,
        asked=tuple(texts),
        space=calibrated.fit.space,
        scale=calibrated.fit.scale,
        shift=calibrated.fit.shift,
        residuals=tuple(residual.metres for residual in calibrated.residuals),
        bend=bend,
        warning=calibrated.warning,
    )
