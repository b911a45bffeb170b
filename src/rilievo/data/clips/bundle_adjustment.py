"""Bundle adjustment of poses, depth factors and points, in windows of a clip (Triggs et al., 1999).

Windows overlap, so that errors do not spread; a weak pull keeps depth near the model's. Robust
weights exclude outliers gradually (Blake and Zisserman 1987). Steps are Levenberg-Marquardt with
the Schur complement.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rilievo.arrays.shapes import Bool, Float64, Int64, Matrix, Positions, Transforms, Values
from rilievo.data.clips.tracks import PointTracker, Sightings, rays_at
from rilievo.geometry.transforms import cross_matrix, invert, rigid, rotation_from_axis_angle

_PIXEL = 0.3  # deviation of tracking into the next frame [px]
_SLIDES = 0.2  # growth of its variance a frame, as a share
_DEPTH = 0.3  # deviation of a model's log depth
_FACTOR = 0.25
_ODD = 3.0  # deviations of a mistaken depth
_NEAREST = 1e-3
_BEHIND = 1e3


@dataclass(frozen=True, slots=True, kw_only=True)
class PointViews:
    """Sightings (x, y) [px] of points after their first frames; unknown depth is NaN."""

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
        """Standard deviations [px], growing after a point's first frame."""
        frames = self.frame - self.begins[self.point]
        return _PIXEL * np.sqrt(1 + _SLIDES * frames)


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Poses, log factors of frames, log depths of points."""

    cam_T_world: Float64[np.ndarray, "frames 4 4"]
    log_factors: Float64[np.ndarray, "frames"]
    log_depths: Float64[np.ndarray, "points"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Residuals:
    """Errors of a state in standard deviations; 0 for unknown depth.

    Attributes:
        ray: Point of a sighting, in the camera of its first frame.
        R: Rotation from there to the camera of the sighting.
        in_camera: Point in that camera.
    """

    places: Float64[np.ndarray, "sightings 2"]
    depths: Float64[np.ndarray, "points"]
    factors: Float64[np.ndarray, "frames"]
    ray: Float64[np.ndarray, "sightings 3"]
    R: Float64[np.ndarray, "sightings 3 3"]
    in_camera: Float64[np.ndarray, "sightings 3"]

    @property
    def squared_image_errors(self) -> Float64[np.ndarray, "sightings"]:
        """Squared lengths in standard deviations."""
        return (self.places**2).sum(axis=1)

    def cost(self, slack: float) -> float:
        """Robust cost (Cauchy): errors far above ``slack`` hardly count."""
        places = slack**2 * np.log1p(self.squared_image_errors / slack**2).sum()
        depths = _ODD**2 * np.log1p(self.depths**2 / _ODD**2).sum()
        return float(places + depths + (self.factors**2).sum())


@dataclass(frozen=True, slots=True, kw_only=True)
class Equations:
    """Normal equations of (turn, translation) of each frame, then log factors; points are apart."""

    matrix: Float64[np.ndarray, "u u"]
    across: Float64[np.ndarray, "u points"]
    points: Float64[np.ndarray, "points"]
    right: Float64[np.ndarray, "u"]
    right_points: Float64[np.ndarray, "points"]
    seen_points: Float64[np.ndarray, "points"]
    cost: float
    slack: float


def residuals(views: PointViews, state: State) -> Residuals:
    """Errors of sightings, depths and log factors."""
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
        in_camera=points,
    )


def normal_equations(views: PointViews, state: State, slack: float) -> Equations:
    """Normal equations with Cauchy's weights above ``slack``."""
    errors = residuals(views, state)
    parts = _error_derivatives(views, errors)
    weight = 1 / (1 + errors.squared_image_errors / slack**2)
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
    matrix = _sums_at_indices(
        columns[:, :, None] * size + columns[:, None, :],
        left.transpose(0, 2, 1) @ J,
        size * size,
    ).reshape(size, size)
    right = _sums_at_indices(columns, np.einsum("nia,ni->na", left, errors.places), size)
    across = _sums_at_indices(
        columns * points + views.point[:, None],
        np.einsum("nia,ni->na", left, parts.deeper),
        size * points,
    ).reshape(size, points)
    seen_points = _sums_at_indices(views.point, weight * (parts.deeper**2).sum(axis=1), points)
    right_points = _sums_at_indices(
        views.point, weight * (parts.deeper * errors.places).sum(axis=1), points
    )
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Derivatives:
    pose: Float64[np.ndarray, "sightings 2 6"]
    begin: Float64[np.ndarray, "sightings 2 6"]
    deeper: Float64[np.ndarray, "sightings 2"]


def _error_derivatives(views: PointViews, misfits: Residuals) -> _Derivatives:
    """Derivatives of errors by both poses and log depth."""
    f = views.K[[0, 1], [0, 1]]
    z = np.maximum(misfits.in_camera[:, 2], _NEAREST)
    flat = f * misfits.in_camera[:, :2] / z[:, None]
    D = np.zeros((len(z), 2, 3))
    D[:, 0, 0], D[:, 1, 1], D[:, :, 2] = f[0] / z, f[1] / z, -flat / z[:, None]
    D /= views.deviation[:, None, None]
    # A turn w moves the point p by w × p = -[p] w; it moves points that begin there the other way.
    back = D @ misfits.R
    return _Derivatives(
        pose=np.concatenate([-D @ cross_matrix(misfits.in_camera), D], axis=2),
        begin=np.concatenate([back @ cross_matrix(misfits.ray), -back], axis=2),
        deeper=np.einsum("nij,nj->ni", back, misfits.ray),
    )


def _sums_at_indices(
    indices: Int64[np.ndarray, "..."], values: Float64[np.ndarray, "..."], size: int
) -> Float64[np.ndarray, "_"]:
    return np.bincount(indices.ravel(), values.ravel(), size)


OUTLIER = 3.0  # deviations of a mistaken sighting
_SLACK = 16.0  # factor of the first round, halved in each
_ROUNDS = 30
_DONE = 1e-5
_DAMPING, _LEAST_DAMPING, _MOST_DAMPING = 1e-3, 1e-7, 1e6
_LARGEST_STEP = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustment:
    """Result; ``doubt`` is the standard error of log depths."""

    state: State
    agrees: Bool[np.ndarray, "sightings"]
    doubt: Float64[np.ndarray, "points"]


def bundle_adjust(views: PointViews, start: State) -> Adjustment:
    """Find the state that explains sightings best; the first frame stays."""
    state, damping, slack = start, _DAMPING, _SLACK
    for _ in range(_ROUNDS):
        system = normal_equations(views, state, OUTLIER * max(1.0, slack))
        changed, cost, damping = _step_of_lower_cost(views, state, system, damping)
        if changed is None:
            break
        done = system.cost - cost < _DONE * system.cost
        state = changed
        if slack <= 1 and done:
            break
        slack /= 2
    last = normal_equations(views, state, OUTLIER)
    return Adjustment(
        state=state,
        agrees=residuals(views, state).squared_image_errors < OUTLIER**2,
        doubt=1 / np.sqrt(np.maximum(last.seen_points, 1e-12)),
    )


def _step_of_lower_cost(
    views: PointViews, state: State, equations: Equations, damping: float
) -> tuple[State | None, float, float]:
    """State of lower cost or None, its cost, and the next damping."""
    active = _unknown_indices_after_first_frame(len(state.cam_T_world))
    while damping < _MOST_DAMPING:
        changed = _state_after_step(state, *_solve_damped_equations(equations, active, damping))
        cost = residuals(views, changed).cost(equations.slack)
        if cost <= equations.cost:
            return changed, cost, max(damping / 5, _LEAST_DAMPING)
        damping *= 5
    return None, equations.cost, damping


def _unknown_indices_after_first_frame(frames: int) -> Int64[np.ndarray, "a"]:
    return np.concatenate([np.arange(6, 6 * frames), np.arange(6 * frames + 1, 7 * frames)])


def _solve_damped_equations(
    equations: Equations, active: Int64[np.ndarray, "a"], damping: float
) -> tuple[Float64[np.ndarray, "u"], Float64[np.ndarray, "points"]]:
    """Steps of poses with log factors, and of log depths."""
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


def _state_after_step(
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


LINK = 0.05  # standard deviation of a log ratio between neighbours
OWN = 0.25  # standard deviation of a log scale of its own
_SOLVED = 1e-12  # relative residual at which log scales are solved


def chained_log_scales(steps: Sequence[float]) -> Values:
    """Log factors of depth maps in a row, from log ratios between neighbours (NaN: unknown).

    Least squares with a weak pull towards 1.
    """
    own, link = 1 / OWN**2, 1 / LINK**2
    count = len(steps)
    diagonal, right, linked = np.full(count, own), np.zeros(count), np.zeros(count)
    for place in range(1, count):
        if not np.isfinite(steps[place]):
            continue
        linked[place] = link
        diagonal[place - 1 : place + 1] += link
        right[place - 1] -= link * steps[place]
        right[place] += link * steps[place]
    for place in range(1, count):
        share = linked[place] / diagonal[place - 1]
        diagonal[place] -= share * linked[place]
        right[place] += share * right[place - 1]
    logs = np.zeros(count)
    for place in reversed(range(count)):
        after = linked[place + 1] * logs[place + 1] if place + 1 < count else 0.0
        logs[place] = (right[place] + after) / diagonal[place]
    return logs


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleLink:
    """Log of the factor that the second of two depth maps needs over that of the first."""

    first: int
    second: int
    log_ratio: float


def linked_log_scales(count: int, links: Sequence[ScaleLink]) -> Values:
    """Log factors of ``count`` depth maps, from log ratios between any two of them.

    The same least squares as ``chained_log_scales``, solved by conjugate gradients because links
    need not form a row.
    """
    own, link = 1 / OWN**2, 1 / LINK**2
    first = np.array([item.first for item in links], np.int64)
    second = np.array([item.second for item in links], np.int64)
    ratios = np.array([item.log_ratio for item in links], np.float64)

    def sum_at_ends(values: Values) -> Values:
        """Sum over the links of a map: plus at its second end, minus at its first."""
        return np.bincount(second, values, count) - np.bincount(first, values, count)

    def multiply(logs: Values) -> Values:
        return own * logs + link * sum_at_ends(logs[second] - logs[first])

    logs = np.zeros(count)
    residual = link * sum_at_ends(ratios)
    direction, squared = residual, float(residual @ residual)
    least = _SOLVED**2 * squared
    while squared > least:
        product = multiply(direction)
        length = squared / float(direction @ product)
        logs = logs + length * direction
        residual = residual - length * product
        previous, squared = squared, float(residual @ residual)
        direction = residual + squared / previous * direction
    return logs


WINDOW = 40  # frames
STEP = 20  # frames between windows; shared ones are taken half from each
_AGREE = 0.5  # share of sightings that a window explains
_SEEN = 3
_JUDGES = 12
_FEWEST = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class PointDepths:
    """Depth of followed points in one frame, at (x, y) [px].

    Attributes:
        depth: Depth in the unit of the poses.
        given: Depth by a model, in its unit; NaN where unknown.
        doubt: Standard error of log depth.
    """

    places: Positions
    depth: Values
    given: Values
    doubt: Values

    @classmethod
    def empty(cls) -> "PointDepths":
        """Empty record."""
        return cls(places=np.zeros((0, 2)), depth=np.zeros(0), given=np.zeros(0), doubt=np.zeros(0))

    def times(self, factor: float) -> "PointDepths":
        """Points of multiplied depth."""
        return replace(self, depth=self.depth * factor)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdjustedPart:
    """Result of one unbroken part; ``log_factors`` take depth to the unit of the poses."""

    cam_T_world: Transforms
    log_factors: Values
    points: tuple[PointDepths, ...]


def adjust_part(
    tracker: PointTracker,
    first: int,
    cam_T_world: Transforms,
    log_factors: Values,
    K: Matrix,
) -> AdjustedPart:
    """Adjust one unbroken part from frame ``first`` on."""
    count = len(cam_T_world)
    windows = [
        _adjust_window_or_guess(tracker, first, slice(begin, end), cam_T_world, log_factors, K)
        for begin, end in _overlapping_window_spans(count)
    ]
    units = _log_factors_to_common_unit(windows)
    poses, factors = cam_T_world.copy(), log_factors.copy()
    points: list[PointDepths] = [PointDepths.empty()] * count
    taken = 0
    for window, unit in zip(windows, units.tolist(), strict=True):
        span = window.span
        seam = max(taken - (WINDOW - STEP) // 2, 0) if taken else 0
        own = slice(seam - span.start, None)
        way = window.cam_T_world[own] @ invert(window.cam_T_world[seam - span.start])
        way[:, :3, 3] *= np.exp(unit)
        poses[seam : span.stop] = way @ poses[seam]
        factors[seam : span.stop] = window.log_factors[own] + unit
        points[seam : span.stop] = [
            point_depths.times(np.exp(unit)) for point_depths in window.points[own]
        ]
        taken = span.stop
    return AdjustedPart(
        cam_T_world=poses,
        log_factors=_median_log_depth_ratios(points, factors),
        points=tuple(points),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _AdjustedWindow:
    span: slice
    cam_T_world: Transforms
    log_factors: Values
    points: tuple[PointDepths, ...]


def _adjust_window_or_guess(
    tracker: PointTracker,
    first: int,
    span: slice,
    cam_T_world: Transforms,
    log_factors: Values,
    K: Matrix,
) -> _AdjustedWindow:
    poses, factors = cam_T_world[span], log_factors[span]
    count = len(poses)
    guess = _AdjustedWindow(
        span=span, cam_T_world=poses, log_factors=factors, points=(PointDepths.empty(),) * count
    )
    views = group_sightings_by_point(
        tracker.sightings(first + span.start, first + span.stop), first + span.start, K
    )
    if views is None:
        return guess
    solution = bundle_adjust(views, _initial_state(views, poses, factors))
    if solution.agrees.mean() < _AGREE or not np.isfinite(solution.state.cam_T_world).all():
        return guess
    return _AdjustedWindow(
        span=span,
        cam_T_world=solution.state.cam_T_world,
        log_factors=solution.state.log_factors,
        points=tuple(_reliable_points_in(frame, views, solution) for frame in range(count)),
    )


def _log_factors_to_common_unit(windows: Sequence[_AdjustedWindow]) -> Float64[np.ndarray, "w"]:
    steps = [np.nan]
    for before, after in itertools.pairwise(windows):
        shared = before.span.stop - after.span.start
        ratios = [
            np.median(ratio)
            for one, other in zip(before.points[-shared:], after.points[:shared], strict=True)
            if len(ratio := _log_depth_ratios(one, other)) >= _JUDGES
        ]
        steps.append(float(np.median(ratios)) if ratios else np.nan)
    return chained_log_scales(steps)


def _log_depth_ratios(one: PointDepths, other: PointDepths) -> Values:
    """Logs of one over the other at common positions."""
    _, here, there = np.intersect1d(
        one.places @ [1, 1j], other.places @ [1, 1j], return_indices=True
    )
    return np.log(one.depth[here] / other.depth[there])


def group_sightings_by_point(sightings: Sightings, first: int, K: Matrix) -> PointViews | None:
    """Views by point, in frames from ``first``; None for few points."""
    if not len(sightings.frame):
        return None
    often = np.bincount(sightings.point - sightings.point.min()) >= _SEEN
    sightings = sightings.where(often[sightings.point - sightings.point.min()])
    order = np.lexsort((sightings.frame, sightings.point))
    begins = np.diff(sightings.point[order], prepend=-1) != 0
    if begins.sum() < _FEWEST:
        return None
    heads, others = order[begins], order[~begins]
    number = np.cumsum(begins) - 1
    return PointViews(
        frame=sightings.frame[others] - first,
        point=number[~begins],
        place=sightings.place[others],
        depth=sightings.depth[others],
        begins=sightings.frame[heads] - first,
        first=sightings.place[heads],
        first_depth=sightings.depth[heads],
        K=K,
    )


def _overlapping_window_spans(frames: int) -> list[tuple[int, int]]:
    spans = [(0, min(frames, WINDOW))]
    while spans[-1][1] < frames:
        end = min(frames, spans[-1][1] + STEP)
        spans.append((max(end - WINDOW, 0), end))
    return spans


def _initial_state(
    views: PointViews,
    cam_T_world: Transforms,
    log_factors: Values,
) -> State:
    """First state, with points at the model's depth."""
    own = np.log(views.first_depth) + log_factors[views.begins]
    finite = np.isfinite(own)
    middle = float(np.median(own[finite])) if finite.any() else 0.0
    return State(
        cam_T_world=cam_T_world,
        log_factors=log_factors,
        log_depths=np.where(finite, own, middle),
    )


def _median_log_depth_ratios(points: Sequence[PointDepths], guessed: Values) -> Values:
    """Median log of depth over model's, interpolated; else the guess."""
    medians = np.full(len(points), np.nan)
    for frame, point in enumerate(points):
        ratios = np.log(point.depth / point.given)
        ratios = ratios[np.isfinite(ratios)]
        if len(ratios) >= _JUDGES:
            medians[frame] = np.median(ratios)
    frames = np.flatnonzero(np.isfinite(medians))
    if not len(frames):
        return guessed
    return np.interp(np.arange(len(points)), frames, medians[frames])


def _reliable_points_in(frame: int, views: PointViews, adjustment: Adjustment) -> PointDepths:
    often = np.bincount(views.point, adjustment.agrees, len(views.begins))
    total = np.bincount(views.point, minlength=len(views.begins))
    sure = (often >= _SEEN - 1) & (often > total / 2)
    here: np.ndarray = (views.frame == frame) & adjustment.agrees & sure[views.point]
    point = views.point[here]
    state = adjustment.state
    origin = state.cam_T_world[views.begins[point]]
    ray = rays_at(views.first[point], views.K) * np.exp(state.log_depths[point])[:, None]
    way = state.cam_T_world[frame] @ invert(origin)
    depth = np.einsum("ni,ni->n", way[:, 2, :3], ray) + way[:, 2, 3]
    own = sure & (views.begins == frame)
    places = np.concatenate([views.place[here], views.first[own]])
    depths = np.concatenate([depth, np.exp(state.log_depths[own])])
    model_depths = np.concatenate([views.depth[here], views.first_depth[own]])
    doubt = np.concatenate([adjustment.doubt[point], adjustment.doubt[own]])
    good = depths > 0
    return PointDepths(
        places=places[good], depth=depths[good], given=model_depths[good], doubt=doubt[good]
    )
