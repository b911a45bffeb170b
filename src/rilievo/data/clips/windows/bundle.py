"""Bundle adjustment of some frames: poses, factors of depth, points.

A point lies on the ray of the first frame that saw it, at a depth that is found; its other
sightings should be where the cameras see it (Triggs et al., "Bundle adjustment: a modern
synthesis", 1999). Weak pulls keep what the pictures do not tell: the depth of a point towards what
a model says of its first frame, times a factor that each frame has of its own, and those factors
towards 1. Robust weights tell mistaken points apart gradually (graduated non-convexity, Blake and
Zisserman 1987); steps are Levenberg's and Marquardt's, points eliminated first (Schur complement).
"""

from dataclasses import replace

import numpy as np

from rilievo.data.clips.windows.bundle_equations import (
    Equations,
    PointViews,
    State,
    equations,
    residuals,
)
from rilievo.frozen import frozen
from rilievo.geometry.transforms import rigid, rotation_from_axis_angle
from rilievo.shapes import Bool, Float64, Int64

OUTLIER = 3.0
"""Error, in standard deviations, from which a sighting counts as mistaken."""
_SLACK = 16.0
"""Factor of ``OUTLIER`` in the first round; it is halved in every round."""
_ROUNDS = 30
_DONE = 1e-5
"""Relative change of the cost at which rounds end."""
_DAMPING, _LEAST_DAMPING, _MOST_DAMPING = 1e-3, 1e-7, 1e6
_LARGEST_STEP = 1.0
"""Largest change of a point's log depth in one round."""


@frozen
class Adjusted:
    """Result of a bundle adjustment.

    Attributes:
        agrees: Whether each sighting of ``PointViews`` is explained by the state.
        doubt: Standard error of each point's log depth, poses taken as known.
    """

    state: State
    agrees: Bool[np.ndarray, "sightings"]
    doubt: Float64[np.ndarray, "points"]


def adjust(views: PointViews, start: State) -> Adjusted:
    """Find the state that explains the sightings best, from one that is near it.

    The pose of the first frame and its factor of depth stay.
    """
    state, damping, slack = start, _DAMPING, _SLACK
    for _ in range(_ROUNDS):
        system = equations(views, state, OUTLIER * max(1.0, slack))
        changed, cost, damping = _improved(views, state, system, damping)
        if changed is None:
            break
        done = system.cost - cost < _DONE * system.cost
        state = changed
        if slack <= 1 and done:
            break
        slack /= 2
    last = equations(views, state, OUTLIER)
    return Adjusted(
        state=state,
        agrees=residuals(views, state).squared < OUTLIER**2,
        doubt=1 / np.sqrt(np.maximum(last.seen_points, 1e-12)),
    )


def _improved(
    views: PointViews, state: State, found: Equations, damping: float
) -> tuple[State | None, float, float]:
    """The state after one step that lowers the cost, with its cost and the next damping."""
    active = _active(len(state.cam_T_world))
    while damping < _MOST_DAMPING:
        changed = _moved(state, *_step(found, active, damping))
        cost = residuals(views, changed).cost(found.slack)
        if cost <= found.cost:
            return changed, cost, max(damping / 5, _LEAST_DAMPING)
        damping *= 5
    return None, found.cost, damping


def _active(frames: int) -> Int64[np.ndarray, "a"]:
    """Numbers of the unknowns beside points that may change; see ``Equations``."""
    return np.concatenate([np.arange(6, 6 * frames), np.arange(6 * frames + 1, 7 * frames)])


def _step(
    found: Equations, active: Int64[np.ndarray, "a"], damping: float
) -> tuple[Float64[np.ndarray, "u"], Float64[np.ndarray, "points"]]:
    """Changes of all unknowns: those beside points first, then the points' log depths."""
    points = found.points * (1 + damping) + 1e-9
    across = found.across[active]
    shares = across / points
    matrix = found.matrix[np.ix_(active, active)] - shares @ across.T
    matrix[np.diag_indices_from(matrix)] += damping * found.matrix[active, active] + 1e-9
    step = np.zeros(len(found.right))
    step[active] = np.linalg.solve(matrix, found.right[active] - shares @ found.right_points)
    deeper = (found.right_points - across.T @ step[active]) / points
    return step, np.clip(deeper, -_LARGEST_STEP, _LARGEST_STEP)


def _moved(
    state: State, step: Float64[np.ndarray, "u"], deeper: Float64[np.ndarray, "points"]
) -> State:
    count = len(state.cam_T_world)
    change = step[: 6 * count].reshape(count, 6)
    turn = rotation_from_axis_angle(change[:, :3])
    return replace(
        state,
        cam_T_world=rigid(turn, change[:, 3:]) @ state.cam_T_world,
        log_factors=state.log_factors + step[6 * count :],
        log_depths=state.log_depths + deeper,
    )
