"""Plane and power of log depth that bring the surfaces of a depth map to a Manhattan frame.

Networks often predict the layout of a room well, but tilt it, and exaggerate or flatten its relief.
Both are smooth changes of log depth:

    log d' = p log (d / m) + log m + a x + b y,

where m is the median depth and x and y are the normalised coordinates of a pixel. At depth d, a
surface with the gradient g of log depth by x and y has the normal

    n ∝ (-g_x, -g_y, 1 + g_x x + g_y y),

because it contains the derivatives of d (x, y, 1). The change makes p g + (a, b) of g, so normals
after any change follow from the gradients before it, and the depth map is read only once.
"""

import math
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Bool, Float, Float64, Matrix
from rilievo.geometry.normals import normals_from_depth

_MAX_SIDE = 128
"""Longer side of the map whose surfaces are compared [px]; larger maps are read in steps."""
_WINDOW = 9
"""Side of the windows to which planes are fitted [px of that map]."""
_SURFACE_STEP = 2
"""Step between the surfaces that are compared [px of that map]."""
_MIN_SURFACES = 100
_ROBUST_SINE = 0.25
"""Sine of the angle to the nearest axis at which a surface has half its largest cost."""
_PRIOR_WEIGHT = 0.55
"""Cost of a change by 1 of the tilts and the log power, over that of surfaces far from the axes."""
_MIN_GAIN = 0.1
"""Least relative fall of the cost with which a change is accepted."""
_FIRST_STEP, _LAST_STEP = 0.2, 0.005
"""Steps of the search [change of log depth per unit]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogDepthChange:
    """Smooth change of a depth map that keeps its median depth in the centre.

    Attributes:
        tilt_x: Change of log depth per unit of x/z, to the right.
        tilt_y: Change of log depth per unit of y/z, downwards.
        power: Factor of the logarithm of depth over its median; above 1, relief grows.
    """

    tilt_x: float = 0.0
    tilt_y: float = 0.0
    power: float = 1.0

    def apply(self, depth: Float[np.ndarray, "h w"], K: Matrix) -> Float[np.ndarray, "h w"]:
        """Change a depth map with positive values and the intrinsics K [px]."""
        height, width = depth.shape
        x = (np.arange(width) - K[0, 2]) / K[0, 0]
        y = (np.arange(height) - K[1, 2]) / K[1, 1]
        relief = np.log(depth / np.median(depth))
        factor = np.exp((self.power - 1) * relief + self.tilt_x * x + self.tilt_y * y[:, None])
        return (depth * factor).astype(depth.dtype)


def fit_to_manhattan_frame(
    depth: Float[np.ndarray, "h w"],
    K: Matrix,
    axes: Matrix,
    valid: Bool[np.ndarray, "h w"] | None = None,
) -> LogDepthChange | None:
    """Find the change that brings surfaces closest to right angles with the axes.

    The cost of a surface is that of Geman and McClure for the sine of the angle between its normal
    and the nearest axis, so surfaces along no axis hardly count. A change is only accepted if the
    mean cost falls clearly.

    Args:
        depth: Depth along the optical axis, in any unit.
        K: Intrinsics of the depth map [px].
        axes: Directions of the Manhattan frame in the camera's frame, as columns.
        valid: Pixels that have depth; None if all have.

    Returns:
        The change; None if there are too few surfaces, or no change improves them clearly.
    """
    surfaces = _find_surfaces(depth, K, valid)
    if len(surfaces.x) < _MIN_SURFACES:
        return None
    unchanged = np.zeros(3)
    best = _search(surfaces, axes, unchanged)
    if _cost(surfaces, axes, best) > (1 - _MIN_GAIN) * _cost(surfaces, axes, unchanged):
        return None
    tilt_x, tilt_y, log_power = best.tolist()
    return LogDepthChange(tilt_x=tilt_x, tilt_y=tilt_y, power=math.exp(log_power))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Surfaces:
    """Small surfaces of a depth map.

    Attributes:
        x: Normalised coordinates; y likewise.
        gradient_x: Change of log depth per unit of x; gradient_y likewise.
    """

    x: Float64[np.ndarray, "n"]
    y: Float64[np.ndarray, "n"]
    gradient_x: Float64[np.ndarray, "n"]
    gradient_y: Float64[np.ndarray, "n"]


def _find_surfaces(
    depth: Float[np.ndarray, "h w"], K: Matrix, valid: Bool[np.ndarray, "h w"] | None
) -> _Surfaces:
    """Surfaces at a grid of pixels, from planes that end where depth steps."""
    step = max(1, round(max(depth.shape) / _MAX_SIDE))
    reduced_valid = None if valid is None else valid[::step, ::step]
    normals, is_known = normals_from_depth(
        depth[::step, ::step].astype(np.float64), K, reduced_valid, window=_WINDOW, step=step
    )
    grid = np.s_[::_SURFACE_STEP, ::_SURFACE_STEP]
    rows, columns = np.nonzero(is_known[grid])
    rows, columns = rows * _SURFACE_STEP, columns * _SURFACE_STEP
    x = (columns * step - K[0, 2]) / K[0, 0]
    y = (rows * step - K[1, 2]) / K[1, 1]
    n_x, n_y, n_z = normals[:, rows, columns]
    # The formula for n at the top of this file, solved for g: its product with (x, y, 1) is 1.
    along_ray = n_x * x + n_y * y + n_z
    return _Surfaces(x=x, y=y, gradient_x=-n_x / along_ray, gradient_y=-n_y / along_ray)


def _cost(surfaces: _Surfaces, axes: Matrix, change: Float64[np.ndarray, "3"]) -> float:
    """Cost of a change (tilt_x, tilt_y, log power): mean cost of the surfaces, and the prior."""
    tilt_x, tilt_y, log_power = change
    power = math.exp(log_power)
    gradient_x = power * surfaces.gradient_x + tilt_x
    gradient_y = power * surfaces.gradient_y + tilt_y
    along_z = 1 + gradient_x * surfaces.x + gradient_y * surfaces.y
    normals = np.stack([-gradient_x, -gradient_y, along_z])
    squared_cosines = np.square(axes.T @ normals).max(axis=0) / np.square(normals).sum(axis=0)
    squared_sines = 1 - squared_cosines
    mean_cost = np.mean(squared_sines / (squared_sines + _ROBUST_SINE**2))
    return float(mean_cost + _PRIOR_WEIGHT * change @ change)


def _search(
    surfaces: _Surfaces, axes: Matrix, start: Float64[np.ndarray, "3"]
) -> Float64[np.ndarray, "3"]:
    """Find a minimum of the cost by compass search (Kolda, Lewis and Torczon, SIAM Review 2003).

    It tries a step in each direction, goes to the best place, and halves the step if none is
    better. It needs no derivatives, and passes over small local minima.
    """
    best, least_cost, step = start, _cost(surfaces, axes, start), _FIRST_STEP
    directions = np.concatenate([np.eye(3), -np.eye(3)])
    while step >= _LAST_STEP:
        tried = best + step * directions
        costs = [_cost(surfaces, axes, change) for change in tried]
        index = int(np.argmin(costs))
        if costs[index] < least_cost:
            best, least_cost = tried[index], costs[index]
        else:
            step /= 2
    return best
