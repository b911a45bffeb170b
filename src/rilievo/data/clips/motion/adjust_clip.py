"""Bundle adjustment in overlapping windows of a clip.

Errors do not spread, and memory does not grow. Shared frames bring units together; a weak pull
prevents drift.
"""

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from rilievo.data.clips.motion.bundle import Adjusted, PointViews, State, adjust
from rilievo.data.clips.motion.chained_scales import chained_log_scales
from rilievo.data.clips.motion.tracks import PointTracker, Sightings, rays_at
from rilievo.frozen import frozen
from rilievo.geometry.transforms import invert
from rilievo.shapes import Float64, Matrix, Positions, Transforms, Values

WINDOW = 40
"""Frames in a window."""
STEP = 20
"""Frames between windows; shared ones are taken half from each."""
_AGREE = 0.5
"""Share of sightings that a window explains."""
_SEEN = 3
_JUDGES = 12
_FEWEST = 30


@frozen
class PointDepths:
    """Depth of followed points in one frame, at (x, y) [px].

    Attributes:
        depth: Depth in the unit of the poses.
        given: Depth by a model, in its unit; NaN where unknown.
        doubt: Standard error of log depth for known poses.
    """

    places: Positions
    depth: Values
    given: Values
    doubt: Values

    @classmethod
    def none(cls) -> "PointDepths":
        """Points of a frame without any."""
        return cls(places=np.zeros((0, 2)), depth=np.zeros(0), given=np.zeros(0), doubt=np.zeros(0))

    def times(self, factor: float) -> "PointDepths":
        """Points in a unit in which depth is ``factor`` times larger."""
        return replace(self, depth=self.depth * factor)


@frozen
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
        _adjusted(tracker, first, slice(begin, end), cam_T_world, log_factors, K)
        for begin, end in _spans(count)
    ]
    units = _units(windows)
    poses, factors = cam_T_world.copy(), log_factors.copy()
    points: list[PointDepths] = [PointDepths.none()] * count
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
        cam_T_world=poses, log_factors=_factors(points, factors), points=tuple(points)
    )


@frozen
class _Window:
    span: slice
    cam_T_world: Transforms
    log_factors: Values
    points: tuple[PointDepths, ...]


def _adjusted(
    tracker: PointTracker,
    first: int,
    span: slice,
    cam_T_world: Transforms,
    log_factors: Values,
    K: Matrix,
) -> _Window:
    poses, factors = cam_T_world[span], log_factors[span]
    count = len(poses)
    guess = _Window(
        span=span, cam_T_world=poses, log_factors=factors, points=(PointDepths.none(),) * count
    )
    views = views_of(
        tracker.sightings(first + span.start, first + span.stop), first + span.start, K
    )
    if views is None:
        return guess
    solution = adjust(views, _start(views, poses, factors))
    if solution.agrees.mean() < _AGREE or not np.isfinite(solution.state.cam_T_world).all():
        return guess
    return _Window(
        span=span,
        cam_T_world=solution.state.cam_T_world,
        log_factors=solution.state.log_factors,
        points=tuple(_points_in(frame, views, solution) for frame in range(count)),
    )


def _units(windows: Sequence[_Window]) -> Float64[np.ndarray, "w"]:
    steps = [np.nan]
    for before, after in itertools.pairwise(windows):
        shared = before.span.stop - after.span.start
        ratios = [
            np.median(ratio)
            for one, other in zip(before.points[-shared:], after.points[:shared], strict=True)
            if len(ratio := _depth_ratios(one, other)) >= _JUDGES
        ]
        steps.append(float(np.median(ratios)) if ratios else np.nan)
    return chained_log_scales(steps)


def _depth_ratios(one: PointDepths, other: PointDepths) -> Values:
    _, here, there = np.intersect1d(
        one.places @ [1, 1j], other.places @ [1, 1j], return_indices=True
    )
    return np.log(one.depth[here] / other.depth[there])


def views_of(sightings: Sightings, first: int, K: Matrix) -> PointViews | None:
    """Sightings in frames from ``first`` on; None if too few points count."""
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


def _spans(count: int) -> list[tuple[int, int]]:
    spans = [(0, min(count, WINDOW))]
    while spans[-1][1] < count:
        end = min(count, spans[-1][1] + STEP)
        spans.append((max(end - WINDOW, 0), end))
    return spans


def _start(
    views: PointViews,
    cam_T_world: Transforms,
    log_factors: Values,
) -> State:
    """State with points at the model's depth, or a median."""
    own = np.log(views.first_depth) + log_factors[views.begins]
    finite = np.isfinite(own)
    middle = float(np.median(own[finite])) if finite.any() else 0.0
    return State(
        cam_T_world=cam_T_world,
        log_factors=log_factors,
        log_depths=np.where(finite, own, middle),
    )


def _factors(points: Sequence[PointDepths], guessed: Values) -> Values:
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


def _points_in(frame: int, views: PointViews, adjustment: Adjusted) -> PointDepths:
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
