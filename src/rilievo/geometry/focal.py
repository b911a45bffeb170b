"""Focal length of a point map that is known up to a depth shift.

The image plane is MoGe's (Wang et al., CVPR 2025, section 3.1): half the diagonal is 1, the centre
(0, 0).

Focal length from vanishing points of two or three directions at right angles.

Vanishing points a and b, about the centre, give sqrt(-a.b) (Caprile and Torre, IJCV 1990); a fit to
all segments (Gauss-Newton, Cauchy weights) gives the uncertainty. Segments are connected pixels
whose gradients point one way (Burns, Hanson and Riseman, "Extracting straight lines", PAMI 1986).
"""

import math
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Float, Float64, Mask, Positions, Values

_SAMPLES = 64
_STEPS = 100
_TOLERANCE = 1e-10


@dataclass(frozen=True, slots=True, kw_only=True)
class FocalShift:
    """Focal length, in halves of the diagonal, and the number to add to z."""

    focal: float
    shift: float

    def focal_px(self, shape: tuple[int, int]) -> float:
        """Focal length for square pixels [px]."""
        return self.focal * math.hypot(*shape) / 2


def fit_focal_shift(
    points: Float[np.ndarray, "h w 3"],
    valid: Mask,
    *,
    focal: float | None = None,
) -> FocalShift:
    """Find the shift, and the focal length if unknown, that explain the pixels.

    They minimise ``|f xy / (z + s) - uv|^2`` over a 64x64 grid, by Levenberg-Marquardt. With fewer
    than two valid pixels the shift is 0, and an unknown focal length 1.
    """
    height, width = valid.shape
    rows = np.arange(_SAMPLES) * height // _SAMPLES
    columns = np.arange(_SAMPLES) * width // _SAMPLES
    inside = valid[np.ix_(rows, columns)]
    if np.count_nonzero(inside) < 2:
        return FocalShift(focal=focal or 1.0, shift=0.0)
    xyz = points[np.ix_(rows, columns)][inside].astype(np.float64)
    uv = half_diagonal_grid(height, width)[np.ix_(rows, columns)][inside]
    fit = _Fit(xy=xyz[:, :2], z=xyz[:, 2], uv=uv, focal=focal)
    shift = _best_shift(fit)
    return FocalShift(focal=fit.best_focal(shift), shift=shift)


def half_diagonal_grid(height: int, width: int) -> Float64[np.ndarray, "{height} {width} 2"]:
    """Pixel centres (u, v), in halves of the diagonal."""
    half = math.hypot(height, width) / 2
    u = (np.arange(width) - (width - 1) / 2) / half
    v = (np.arange(height) - (height - 1) / 2) / half
    return np.stack(np.meshgrid(u, v), axis=-1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fit:
    xy: Positions
    z: Values
    uv: Positions
    focal: float | None

    def best_focal(self, shift: float) -> float:
        """Known focal length, else that of least squares."""
        if self.focal is not None:
            return self.focal
        q = self.xy / (self.z + shift)[:, None]
        norm = np.vdot(q, q)
        return float(np.vdot(q, self.uv) / norm) if norm > 0 else 1.0

    def residuals(self, shift: float) -> Positions:
        return self.best_focal(shift) * self.xy / (self.z + shift)[:, None] - self.uv

    def residual_slope(self, shift: float) -> Positions:
        """Derivative of the residuals by the shift; a free focal length changes with it."""
        q = self.xy / (self.z + shift)[:, None]
        dq = -q / (self.z + shift)[:, None]
        focal = self.best_focal(shift)
        if self.focal is not None:
            return focal * dq
        norm = float(np.vdot(q, q))
        if norm == 0:
            return dq
        change = (float(np.vdot(dq, self.uv)) - 2 * focal * float(np.vdot(q, dq))) / norm
        return focal * dq + change * q


def _best_shift(fit: _Fit) -> float:
    shift, damping = 0.0, 1e-3
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        residuals = fit.residuals(shift)
        cost = np.vdot(residuals, residuals)
        if not np.isfinite(cost):
            return 0.0
        for _ in range(_STEPS):
            slope = fit.residual_slope(shift)
            curvature = np.vdot(slope, slope)
            if curvature == 0 or not np.isfinite(curvature):
                break
            step = -float(np.vdot(slope, residuals)) / (curvature * (1 + damping))
            tried = fit.residuals(shift + step)
            tried_cost = np.vdot(tried, tried)
            if tried_cost <= cost:
                shift, residuals, cost = shift + float(step), tried, tried_cost
                damping /= 10
                if abs(step) <= _TOLERANCE * max(1.0, abs(shift)):
                    break
            elif damping > 1e12:
                break
            else:
                damping *= 10
    return shift
