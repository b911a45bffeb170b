"""Focal length and depth shift of a point map (Wang et al., CVPR 2025, MoGe, section 3.1).

MoGe predicts points that are known up to a shift along z, and the camera is unknown. Both follow
from the pixels at which the points are seen. As in the paper, the image plane is measured in halves
of the diagonal, and its centre is (0, 0).
"""

import math
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Float, Float64, Mask, Positions, Values

_GRID_SIDE = 64
"""Rows and columns of the pixels that are fitted."""
_MAX_STEPS = 100
_CONVERGED_STEP = 1e-10
"""Largest last step of the shift, relative to the shift."""
_FIRST_DAMPING, _MAX_DAMPING = 1e-3, 1e12


@dataclass(frozen=True, slots=True, kw_only=True)
class FocalShift:
    """Camera of a point map.

    Attributes:
        focal: Focal length, in halves of the diagonal.
        shift: Number to add to z, in the unit of the points.
    """

    focal: float
    shift: float

    def focal_px(self, shape: tuple[int, int]) -> float:
        """Focal length [px] in a picture of (height, width) with square pixels."""
        return self.focal * math.hypot(*shape) / 2


def fit_focal_shift(
    points: Float[np.ndarray, "h w 3"],
    valid: Mask,
    *,
    focal: float | None = None,
) -> FocalShift:
    """Find the shift, and the focal length if it is unknown, that explain the pixels.

    They minimise ``|focal * xy / (z + shift) - uv|²`` over a grid of 64x64 pixels, by
    Levenberg-Marquardt. With fewer than two valid pixels, the shift is 0, and an unknown focal
    length is 1.

    ``focal`` is a known focal length, in halves of the diagonal.
    """
    height, width = valid.shape
    rows = np.arange(_GRID_SIDE) * height // _GRID_SIDE
    columns = np.arange(_GRID_SIDE) * width // _GRID_SIDE
    grid = np.ix_(rows, columns)
    grid_valid = valid[grid]
    if np.count_nonzero(grid_valid) < 2:
        return FocalShift(focal=focal or 1.0, shift=0.0)

    xyz = points[grid][grid_valid].astype(np.float64)
    uv = half_diagonal_grid(height, width)[grid][grid_valid]
    problem = _Problem(xy=xyz[:, :2], z=xyz[:, 2], uv=uv, known_focal=focal)
    shift = _best_shift(problem)
    return FocalShift(focal=problem.best_focal(shift), shift=shift)


def half_diagonal_grid(height: int, width: int) -> Float64[np.ndarray, "{height} {width} 2"]:
    """Centres (u, v) of all pixels, in halves of the diagonal from the middle of the picture."""
    half = math.hypot(height, width) / 2
    u = (np.arange(width) - (width - 1) / 2) / half
    v = (np.arange(height) - (height - 1) / 2) / half
    return np.stack(np.meshgrid(u, v), axis=-1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Problem:
    """Points and the pixels at which they are seen.

    For each shift, an unknown focal length follows by least squares, so that only the shift has to
    be searched (variable projection).
    """

    xy: Positions
    z: Values
    uv: Positions
    known_focal: float | None

    def _image_at_focal_1(self, shift: float) -> Positions:
        return self.xy / (self.z + shift)[:, None]

    def best_focal(self, shift: float) -> float:
        """Known focal length, else that of least squares at a shift."""
        if self.known_focal is not None:
            return self.known_focal
        image = self._image_at_focal_1(shift)
        norm = np.vdot(image, image)
        return float(np.vdot(image, self.uv) / norm) if norm > 0 else 1.0

    def residuals(self, shift: float) -> Positions:
        return self.best_focal(shift) * self.xy / (self.z + shift)[:, None] - self.uv

    def residual_derivatives(self, shift: float) -> Positions:
        """Total derivatives of the residuals by the shift, on which a free focal length depends.

        With p the image at focal length 1, the focal length is (p·uv) / (p·p). Its derivative is
        (p'·uv - 2 focal p·p') / (p·p).
        """
        image = self._image_at_focal_1(shift)
        image_derivative = -image / (self.z + shift)[:, None]
        focal = self.best_focal(shift)
        if self.known_focal is not None:
            return focal * image_derivative
        squared_norm = float(np.vdot(image, image))
        if squared_norm == 0:
            return image_derivative
        numerator_derivative = float(np.vdot(image_derivative, self.uv))
        norm_term = 2 * focal * float(np.vdot(image, image_derivative))
        focal_derivative = (numerator_derivative - norm_term) / squared_norm
        return focal * image_derivative + focal_derivative * image


def _best_shift(problem: _Problem) -> float:
    """Find the shift with the least squared residuals, by Levenberg-Marquardt from 0.

    With residuals r and derivatives J, a step is -J·r / (J·J (1 + damping)). A step that increases
    the cost r·r is not taken, and is tried again with more damping, so shorter.
    """
    shift = 0.0
    damping = _FIRST_DAMPING
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        residuals = problem.residuals(shift)
        cost = np.vdot(residuals, residuals)
        if not np.isfinite(cost):
            return 0.0
        for _ in range(_MAX_STEPS):
            derivatives = problem.residual_derivatives(shift)
            curvature = np.vdot(derivatives, derivatives)
            if curvature == 0 or not np.isfinite(curvature):
                break
            gradient = float(np.vdot(derivatives, residuals))
            step = -gradient / (curvature * (1 + damping))
            new_residuals = problem.residuals(shift + step)
            new_cost = np.vdot(new_residuals, new_residuals)
            is_improvement = new_cost <= cost  # False if it is NaN
            if not is_improvement:
                if damping > _MAX_DAMPING:
                    break
                damping *= 10
                continue
            shift += float(step)
            residuals = new_residuals
            cost = new_cost
            damping /= 10
            if abs(step) <= _CONVERGED_STEP * max(1.0, abs(shift)):
                break
    return shift
