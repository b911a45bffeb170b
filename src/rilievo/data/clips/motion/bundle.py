"""Bundle adjustment of some frames: poses, factors of depth, points.

A point lies on the ray of the first frame that saw it, at a depth that is found; its other
sightings should be where the cameras see it (Triggs et al., "Bundle adjustment: a modern
synthesis", 1999). Weak pulls keep what the pictures do not tell: the depth of a point towards what
a model says of its first frame, times a factor that each frame has of its own, and those factors
towards 1. Robust weights tell mistaken points apart gradually (graduated non-convexity, Blake and
Zisserman 1987); steps are Levenberg's and Marquardt's, points eliminated first (Schur complement).

Residuals of a bundle adjustment with their normal equations.
"""

from dataclasses import replace

import numpy as np

from rilievo.frozen import frozen
from rilievo.geometry.transforms import cross_matrix, rigid, rotation_from_axis_angle
from rilievo.shapes import Bool, Float64, Int64, Matrix

_PIXEL = 0.3
"""Standard deviation of a tracked position in the next frame [px]."""
_SLIDES = 0.2
"""Growth of its variance with every further frame, as a share of the first."""
_DEPTH = 0.3
"""Standard deviation of a point's log depth in a model's answer, apart from the frame's factor."""
_FACTOR = 0.25
"""Standard deviation of a frame's log factor of depth."""
_ODD = 3.0
"""Error of a model's depth, in standard deviations, from which it counts as mistaken."""
_NEAREST = 1e-3
_BEHIND = 1e3
"""Error, in standard deviations, of a point that would be behind the camera."""


@frozen
class PointViews:
    """Sightings of points, without those in the frames in which they begin.

    Attributes:
        frame: Frame of each sighting.
        point: Point of each sighting.
        place: Position of each sighting (x, y) [px].
        depth: Depth of the pixel by a model; NaN where it is unknown.
        begins: Frame in which each point begins.
        first: Position of each point there (x, y) [px].
        first_depth: Depth of the pixel there by a model; NaN where it is unknown.
        K: Intrinsics of all frames [px].
    """

    frame: Int64[np.ndarray, "sightings"]
    point: Int64[np.ndarray, "sightings"]
    place: Float64[np.ndarray, "sightings 2"]
    depth: Float64[np.ndarray, "sightings"]
    begins: Int64[np.ndarray, "points"]
    first: Float64[np.ndarray, "points 2"]
    first_depth: Float64[np.ndarray, "points"]
    K: Matrix

    @property
    def deviation(self) -> Float64[np.ndarray, "sightings"]:
        """Standard deviation of each position [px]."""
        frames = self.frame - self.begins[self.point]
        return _PIXEL * np.sqrt(1 + _SLIDES * frames)


@frozen
class State:
    """Unknowns of a bundle adjustment.

    Attributes:
        log_factors: Log factor of the depth that a model gives each frame.
        log_depths: Log depth of each point in the frame in which it begins.
    """

    cam_T_world: Float64[np.ndarray, "frames 4 4"]
    log_factors: Float64[np.ndarray, "frames"]
    log_depths: Float64[np.ndarray, "points"]


@frozen
class Residuals:
    """Errors of a state in standard deviations, with points in the cameras that see them.

    Attributes:
        places: Error of each sighting (x, y).
        depths: Error of each point's depth by a model; 0 where that is unknown.
        factors: Error of each frame's factor.
        ray: Point in the camera of the frame in which it begins, one for each sighting.
        R: Rotation from there to the camera of the sighting.
        seen: Point in the camera of the sighting.
    """

    places: Float64[np.ndarray, "sightings 2"]
    depths: Float64[np.ndarray, "points"]
    factors: Float64[np.ndarray, "frames"]
    ray: Float64[np.ndarray, "sightings 3"]
    R: Float64[np.ndarray, "sightings 3 3"]
    seen: Float64[np.ndarray, "sightings 3"]

    @property
    def squared(self) -> Float64[np.ndarray, "sightings"]:
        """Squared error of each sighting."""
        return (self.places**2).sum(axis=1)

    def cost(self, slack: float) -> float:
        """Robust cost (Cauchy), in which errors far above ``slack`` hardly count."""
        places = slack**2 * np.log1p(self.squared / slack**2).sum()
        depths = _ODD**2 * np.log1p(self.depths**2 / _ODD**2).sum()
        return float(places + depths + (self.factors**2).sum())


@frozen
class Equations:
    """Normal equations of small changes.

    Unknowns beside points are (turn, translation) of each frame, then the log factors of all
    frames. The points' own part of the matrix is diagonal.

    Attributes:
        matrix: Matrix of the unknowns beside points.
        across: Matrix of those with the points.
        points: Diagonal of the points.
        right: Right side of the unknowns beside points.
        right_points: Right side of the points.
        seen_points: Share of ``points`` that comes from sightings.
        cost: Robust cost of the state.
        slack: Error from which sightings hardly counted, in standard deviations.
    """

    matrix: Float64[np.ndarray, "u u"]
    across: Float64[np.ndarray, "u points"]
    points: Float64[np.ndarray, "points"]
    right: Float64[np.ndarray, "u"]
    right_points: Float64[np.ndarray, "points"]
    seen_points: Float64[np.ndarray, "points"]
    cost: float
    slack: float


def residuals(views: PointViews, state: State) -> Residuals:
    """Compute the errors of a state."""
    f, centre = views.K[[0, 1], [0, 1]], views.K[[0, 1], [2, 2]]
    begins = views.begins[views.point]
    rays = np.concatenate([(views.first - centre) / f, np.ones((len(views.first), 1))], axis=1)
    ray = (rays * np.exp(state.log_depths)[:, None])[views.point]
    here, there = state.cam_T_world[begins], state.cam_T_world[views.frame]
    R = there[:, :3, :3] @ here[:, :3, :3].transpose(0, 2, 1)
    way = there[:, :3, 3] - np.einsum("nij,nj->ni", R, here[:, :3, 3])
    points = np.einsum("nij,nj->ni", R, ray) + way
    places = f * points[:, :2] / np.maximum(points[:, 2:], _NEAREST) + centre
    errors = (views.place - places) / views.deviation[:, None]
    errors[points[:, 2] < _NEAREST] = _BEHIND
    own = np.log(views.first_depth) + state.log_factors[views.begins] - state.log_depths
    return Residuals(
        places=errors,
        depths=np.where(np.isfinite(own), own / _DEPTH, 0.0),
        factors=-state.log_factors / _FACTOR,
        ray=ray,
        R=R,
        seen=points,
    )


def equations(views: PointViews, state: State, slack: float) -> Equations:
    """Compute the normal equations at a state, with Cauchy's weights for errors above ``slack``."""
    errors = residuals(views, state)
    parts = _derivatives(views, errors)
    weight = 1 / (1 + errors.squared / slack**2)
    frames, points = len(state.cam_T_world), len(state.log_depths)
    # Columns of a sighting: the pose of its frame, and that of the frame it begins in.
    columns = np.concatenate(
        [
            6 * views.frame[:, None] + np.arange(6),
            6 * views.begins[views.point][:, None] + np.arange(6),
        ],
        axis=1,
    )
    size = 7 * frames
    J = np.concatenate([parts.pose, parts.begin], axis=2)
    left = weight[:, None, None] * J
    matrix = _summed(
        columns[:, :, None] * size + columns[:, None, :],
        left.transpose(0, 2, 1) @ J,
        size * size,
    ).reshape(size, size)
    right = _summed(columns, np.einsum("nia,ni->na", left, errors.places), size)
    across = _summed(
        columns * points + views.point[:, None],
        np.einsum("nia,ni->na", left, parts.deeper),
        size * points,
    ).reshape(size, points)
    seen_points = _summed(views.point, weight * (parts.deeper**2).sum(axis=1), points)
    right_points = _summed(views.point, weight * (parts.deeper * errors.places).sum(axis=1), points)
    has_depth = np.isfinite(views.first_depth)
    pull = has_depth / (1 + errors.depths**2 / _ODD**2)
    factors = 6 * frames + views.begins
    strength, push = pull / _DEPTH**2, pull * errors.depths / _DEPTH
    np.add.at(matrix, (factors, factors), strength)
    np.add.at(right, factors, -push)
    across[factors, np.arange(points)] -= strength
    own = np.arange(6 * frames, size)
    matrix[own, own] += 1 / _FACTOR**2
    right[own] += errors.factors / _FACTOR
    return Equations(
        matrix=matrix,
        across=across,
        points=seen_points + strength,
        right=right,
        right_points=right_points + push,
        seen_points=seen_points,
        cost=errors.cost(slack),
        slack=slack,
    )


@frozen
class _Derivatives:
    """Derivatives of predicted positions, in standard deviations.

    Attributes:
        pose: Derivative by (turn, translation) of the frame of the sighting.
        begin: Derivative by those of the frame in which the point begins.
        deeper: Derivative by the point's log depth.
    """

    pose: Float64[np.ndarray, "sightings 2 6"]
    begin: Float64[np.ndarray, "sightings 2 6"]
    deeper: Float64[np.ndarray, "sightings 2"]


def _derivatives(views: PointViews, misfits: Residuals) -> _Derivatives:
    f = views.K[[0, 1], [0, 1]]
    z = np.maximum(misfits.seen[:, 2], _NEAREST)
    flat = f * misfits.seen[:, :2] / z[:, None]
    D = np.zeros((len(z), 2, 3))
    D[:, 0, 0], D[:, 1, 1], D[:, :, 2] = f[0] / z, f[1] / z, -flat / z[:, None]
    D /= views.deviation[:, None, None]
    # A turn w moves the point p by w × p = -[p] w; it moves points that begin there the other way.
    back = D @ misfits.R
    return _Derivatives(
        pose=np.concatenate([-D @ cross_matrix(misfits.seen), D], axis=2),
        begin=np.concatenate([back @ cross_matrix(misfits.ray), -back], axis=2),
        deeper=np.einsum("nij,nj->ni", back, misfits.ray),
    )


def _summed(
    places: Int64[np.ndarray, "..."], values: Float64[np.ndarray, "..."], size: int
) -> Float64[np.ndarray, "_"]:
    """Sums of the values that go to the same place."""
    return np.bincount(places.ravel(), values.ravel(), size)


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
    views: PointViews, state: State, equations: Equations, damping: float
) -> tuple[State | None, float, float]:
    """The state after one step that lowers the cost, with its cost and the next damping."""
    active = _active(len(state.cam_T_world))
    while damping < _MOST_DAMPING:
        changed = _moved(state, *_step(equations, active, damping))
        cost = residuals(views, changed).cost(equations.slack)
        if cost <= equations.cost:
            return changed, cost, max(damping / 5, _LEAST_DAMPING)
        damping *= 5
    return None, equations.cost, damping


def _active(frames: int) -> Int64[np.ndarray, "a"]:
    """Numbers of the unknowns beside points that may change; see ``Equations``."""
    return np.concatenate([np.arange(6, 6 * frames), np.arange(6 * frames + 1, 7 * frames)])


def _step(
    equations: Equations, active: Int64[np.ndarray, "a"], damping: float
) -> tuple[Float64[np.ndarray, "u"], Float64[np.ndarray, "points"]]:
    """Changes of all unknowns: those beside points first, then the points' log depths."""
    points = equations.points * (1 + damping) + 1e-9
    across = equations.across[active]
    shares = across / points
    matrix = equations.matrix[np.ix_(active, active)] - shares @ across.T
    matrix[np.diag_indices_from(matrix)] += damping * equations.matrix[active, active] + 1e-9
    step = np.zeros(len(equations.right))
    step[active] = np.linalg.solve(
        matrix, equations.right[active] - shares @ equations.right_points
    )
    deeper = (equations.right_points - across.T @ step[active]) / points
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
