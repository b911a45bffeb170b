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
from itertools import combinations

import numpy as np

from rilievo.arrays.shapes import Bool, Float, Float64, Int, Mask, Matrix, Positions, Values, Vector
from rilievo.geometry.surfaces.patches import least_joined_index
from rilievo.geometry.transforms import rotation_from_axis_angle

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


_BINS = 8
_LEAST_SLOPE = 6.0
"""Least slope of a line's pixels [grey levels per pixel]."""
_LEAST_PIXELS = 12
_THICKEST = 1.6
"""Largest standard deviation across a line [px]."""
_NEIGHBOURS = ((0, 1), (1, -1), (1, 0), (1, 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Segments:
    """Line segments: middles [px], unit directions of either sign, lengths [px]."""

    middle: Positions
    direction: Positions
    length: Values

    def __len__(self) -> int:
        return len(self.length)

    def select(self, which: Bool[np.ndarray, "n"] | Int[np.ndarray, "m"]) -> "Segments":
        """Segments of a mask or of indices."""
        return Segments(
            middle=self.middle[which], direction=self.direction[which], length=self.length[which]
        )


def find_segments(grey: Float[np.ndarray, "h w"], *, shortest: float) -> Segments:
    """Find segments, ``shortest`` [px] or longer, in brightness 0 to 255."""
    down, across, size = _gradient(grey.astype(np.float64))
    rows, columns = np.nonzero(size > _LEAST_SLOPE)
    weight = size[rows, columns]
    angle = np.arctan2(down[rows, columns], across[rows, columns])
    segments = []
    for shift in (0.0, 0.5):
        bins = np.floor(angle / (2 * math.pi) * _BINS + shift).astype(int) % _BINS
        labels = _label_regions(rows, columns, bins, size.shape)
        segments.append(
            _fit_segment_per_region(columns.astype(float), rows.astype(float), weight, labels)
        )
    return _vote_segments(segments, shortest)


@dataclass(frozen=True, slots=True)
class _RegionSegments:
    of_pixel: Int[np.ndarray, "p"]
    pixels: Int[np.ndarray, "r"]
    thick: Float64[np.ndarray, "r"]
    lines: Segments


def _gradient(
    grey: Float64[np.ndarray, "h w"],
) -> tuple[Float64[np.ndarray, "h w"], Float64[np.ndarray, "h w"], Float64[np.ndarray, "h w"]]:
    """Change down, change across, and size, after smoothing."""
    padded = np.pad(grey, 1, mode="edge")
    smooth = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    smooth = (smooth[:, :-2] + 2 * smooth[:, 1:-1] + smooth[:, 2:]) / 4
    down, across = np.gradient(smooth)
    return down, across, np.hypot(down, across)


def _label_regions(
    rows: Int[np.ndarray, "p"],
    columns: Int[np.ndarray, "p"],
    bins: Int[np.ndarray, "p"],
    shape: tuple[int, int],
) -> Int[np.ndarray, "p"]:
    place = np.full((shape[0] + 2, shape[1] + 2), -1)
    place[rows + 1, columns + 1] = np.arange(len(rows))
    pairs = []
    for dy, dx in _NEIGHBOURS:
        other = place[rows + 1 + dy, columns + 1 + dx]
        here = np.flatnonzero((other >= 0) & (bins[other] == bins))
        pairs.append(np.stack([here, other[here]]))
    first, second = np.concatenate(pairs, axis=1)
    root = least_joined_index(len(rows), first, second)
    return np.unique(root, return_inverse=True)[1].reshape(-1)


def _fit_segment_per_region(
    x: Float64[np.ndarray, "p"],
    y: Float64[np.ndarray, "p"],
    weight: Float64[np.ndarray, "p"],
    labels: Int[np.ndarray, "p"],
) -> _RegionSegments:
    count = int(labels.max(initial=-1)) + 1

    def mean(values: Float64[np.ndarray, "p"]) -> Float64[np.ndarray, "r"]:
        return np.bincount(labels, weight * values, count) / total

    total = np.maximum(np.bincount(labels, weight, count), 1e-12)
    cx, cy = mean(x), mean(y)
    dx, dy = x - cx[labels], y - cy[labels]
    xx, xy, yy = mean(dx * dx), mean(dx * dy), mean(dy * dy)
    turn = 0.5 * np.arctan2(2 * xy, xx - yy)
    direction = np.stack([np.cos(turn), np.sin(turn)], axis=-1)
    across = (xx + yy) / 2 - np.hypot((xx - yy) / 2, xy)
    along = direction[labels, 0] * dx + direction[labels, 1] * dy
    low, high = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(low, labels, along)
    np.maximum.at(high, labels, along)
    centre = np.stack([cx, cy], axis=-1) + direction * ((low + high) / 2)[:, None]
    return _RegionSegments(
        of_pixel=labels,
        pixels=np.bincount(labels, minlength=count),
        thick=np.sqrt(np.maximum(across, 0)),
        lines=Segments(middle=centre, direction=direction, length=high - low),
    )


def _vote_segments(segments: list[_RegionSegments], shortest: float) -> Segments:
    """Segments that are the longer ones at most of their pixels."""
    one, other = segments
    longer = one.lines.length[one.of_pixel] >= other.lines.length[other.of_pixel]
    voted = []
    for regions, votes in ((one, longer), (other, ~longer)):
        share = np.bincount(regions.of_pixel, votes, len(regions.pixels)) / regions.pixels
        good = (share > 0.5) & (regions.pixels >= _LEAST_PIXELS) & (regions.thick <= _THICKEST)
        voted.append(regions.lines.select(good & (regions.lines.length >= shortest)))
    return Segments(
        middle=np.concatenate([part.middle for part in voted]),
        direction=np.concatenate([part.direction for part in voted]),
        length=np.concatenate([part.length for part in voted]),
    )


LEAST_SEGMENTS = 10
"""Least segments along each of two directions."""
LEAST_BALANCE = 1 / 6
"""Least ratio of second to first direction's segments."""
MOST_DOUBT = 0.02
"""Standard deviation of the log focal length that is not clear."""
LEAST_SHARE = 0.6
"""Least share of length that points along the directions."""
NARROWEST, WIDEST = 20.0, 110.0
"""Limits of the field of view along the longer side [degrees]; others are false detections."""
_SHORTEST = 0.05
_OFF = math.sin(math.radians(2.0))
"""Sine of the largest angle to a vanishing point."""
_DAMPING = 1e-3
_DRAWS = 1500
_CANDIDATES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Vanishing:
    """Focal length and directions of vanishing points.

    Attributes:
        focal: Focal length [px].
        doubt: Standard deviation of its logarithm.
        rotation: Directions as columns, in any order.
        counts: Segments along each.
        share: Share of length along any.
    """

    focal: float
    doubt: float
    rotation: Matrix
    counts: tuple[int, int, int]
    share: float

    @property
    def is_clear(self) -> bool:
        """Whether the focal length is reliable."""
        _, second, first = sorted(self.counts)
        enough = second >= max(LEAST_SEGMENTS, LEAST_BALANCE * first)
        return enough and self.doubt <= MOST_DOUBT and self.share >= LEAST_SHARE


def find_vanishing(grey: Float[np.ndarray, "h w"]) -> Vanishing | None:
    """Find vanishing points of brightness 0 to 255 about the centre; some 500 pixels suffice.

    Returns:
        None if no directions explain the lines.
    """
    height, width = grey.shape
    if min(height, width) < 2:
        return None
    half = math.hypot(height, width) / 2
    segments = find_segments(grey, shortest=_SHORTEST * half)
    if len(segments) < 2 * LEAST_SEGMENTS:
        return None
    centred = Segments(
        middle=(segments.middle - ((width - 1) / 2, (height - 1) / 2)) / half,
        direction=segments.direction,
        length=segments.length / half,
    )
    longer = max(height, width) / 2 / half
    limits = tuple(longer / math.tan(math.radians(angle) / 2) for angle in (WIDEST, NARROWEST))
    start = _best_supported_focal_rotation(centred, (limits[0], limits[1]))
    if start is None:
        return None
    fit = _refine_vanishing(centred, *start)
    if fit is None or not limits[0] < fit.focal < limits[1]:
        return None
    return Vanishing(
        focal=fit.focal * half,
        doubt=fit.doubt,
        rotation=fit.rotation,
        counts=fit.counts,
        share=fit.share,
    )


def _misses_by_point(
    segments: Segments, points: Float64[np.ndarray, "k 3"]
) -> Float64[np.ndarray, "k n"]:
    """Sine between each segment and its ray to each point."""
    to_x = points[:, None, 0] - points[:, None, 2] * segments.middle[None, :, 0]
    to_y = points[:, None, 1] - points[:, None, 2] * segments.middle[None, :, 1]
    cross = to_x * segments.direction[None, :, 1] - to_y * segments.direction[None, :, 0]
    return cross / np.maximum(np.hypot(to_x, to_y), 1e-12)


def _best_supported_focal_rotation(
    segments: Segments, limits: tuple[float, float]
) -> tuple[float, Matrix] | None:
    points = _candidate_vanishing_points(segments)
    best, most = None, 0.0
    for one, other in combinations(points, 2):
        if min(abs(one[2]), abs(other[2])) < 1e-6:
            continue
        product = float(one[:2] @ other[:2]) / float(one[2] * other[2])
        if not limits[0] ** 2 < -product < limits[1] ** 2:
            continue
        focal = math.sqrt(-product)
        rotation = _rotation_of_points(one, other, focal)
        held = (np.abs(_misses_by_point(segments, _vanishing_points(focal, rotation))) < _OFF).any(
            axis=0
        )
        explained = float(segments.length[held].sum())
        if explained > most:
            best, most = (focal, rotation), explained
    return best


def _candidate_vanishing_points(segments: Segments) -> list[Vector]:
    chance = np.random.default_rng(0)
    ends = np.concatenate([segments.middle, np.ones((len(segments), 1))], axis=1)
    ways = np.concatenate([segments.direction, np.zeros((len(segments), 1))], axis=1)
    lines = np.cross(ends, ways)
    share = segments.length / segments.length.sum()
    first, second = (chance.choice(len(segments), _DRAWS, p=share) for _ in range(2))
    points = np.cross(lines[first], lines[second])
    size = np.linalg.norm(points, axis=1)
    points = points[size > 1e-6] / size[size > 1e-6, None]
    held = np.abs(_misses_by_point(segments, points)) < _OFF
    left, candidates = segments.length.copy(), []
    for _ in range(_CANDIDATES):
        votes = held @ left
        if not len(votes) or votes.max() <= 0:
            break
        index = int(votes.argmax())
        candidates.append(points[index])
        left = np.where(held[index], 0.0, left)
    return candidates


def _rotation_of_points(one: Vector, other: Vector, focal: float) -> Matrix:
    columns = []
    for point in (one, other):
        way = point / (focal, focal, 1.0)
        columns.append(way / np.linalg.norm(way))
    third = np.cross(columns[0], columns[1])
    left, _, right = np.linalg.svd(np.stack([*columns, third / np.linalg.norm(third)], axis=1))
    return left @ right


def _vanishing_points(focal: float, rotation: Matrix) -> Matrix:
    """Homogeneous points, a row each."""
    return rotation.T * (focal, focal, 1.0)


def _refine_vanishing(segments: Segments, focal: float, rotation: Matrix) -> Vanishing | None:
    """Least-squares fit; None with too few segments."""
    for _ in range(30):
        held, which = _nearest_vanishing_points(segments, focal, rotation)
        if held.sum() < 2 * LEAST_SEGMENTS:
            return None
        chosen, which = segments.select(held), which[held]
        slopes, misses = _linearise(chosen, which, focal, rotation)
        # Long segments weigh more, because their direction is exact; outliers weigh less.
        weight = chosen.length / (1 + np.square(misses / (0.4 * _OFF)))
        normal = (slopes * weight[:, None]).T @ slopes
        step = np.linalg.solve(
            normal + _DAMPING * np.diag(np.diag(normal)) + 1e-12 * np.eye(4),
            -(slopes * weight[:, None]).T @ misses,
        )
        step = np.clip(step, -0.2, 0.2)
        focal, rotation = _apply_step(focal, rotation, step)
        if np.abs(step).max() < 1e-5:
            break
    freedom = max(len(misses) - 4, 1)
    variance = float(weight @ np.square(misses)) / float(weight.sum()) * len(misses) / freedom
    mean_weight = float(weight.mean())
    try:
        doubt = math.sqrt(variance * float(np.linalg.inv(normal / mean_weight)[0, 0]))
    except (np.linalg.LinAlgError, ValueError):
        return None
    counts = tuple(int((which == index).sum()) for index in range(3))
    return Vanishing(
        focal=focal,
        doubt=doubt,
        rotation=rotation,
        counts=(counts[0], counts[1], counts[2]),
        share=float(segments.length[held].sum() / segments.length.sum()),
    )


def _nearest_vanishing_points(
    segments: Segments, focal: float, rotation: Matrix
) -> tuple[Bool[np.ndarray, "n"], Int[np.ndarray, "n"]]:
    """Mask of segments on a point; nearest point of each."""
    misses = np.abs(_misses_by_point(segments, _vanishing_points(focal, rotation)))
    which = misses.argmin(axis=0)
    return misses.min(axis=0) < _OFF, which


def _linearise(
    segments: Segments,
    which: Int[np.ndarray, "n"],
    focal: float,
    rotation: Matrix,
) -> tuple[Float64[np.ndarray, "n 4"], Values]:
    """Slopes by log focal length and turn, and misses."""

    def at(step: Float64[np.ndarray, "4"]) -> Values:
        points = _vanishing_points(*_apply_step(focal, rotation, step))
        return _misses_by_point(segments, points)[which, np.arange(len(which))]

    small = 1e-5
    here = at(np.zeros(4))
    return np.stack([(at(small * unit) - here) / small for unit in np.eye(4)], axis=1), here


def _apply_step(
    focal: float, rotation: Matrix, step: Float64[np.ndarray, "4"]
) -> tuple[float, Matrix]:
    return focal * math.exp(float(step[0])), rotation_from_axis_angle(step[1:]) @ rotation
