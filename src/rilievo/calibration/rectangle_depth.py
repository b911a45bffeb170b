"""Depth inside of a known rectangle, fitted to its plane although objects may stand on it.

The corners give the plane. What a depth map shows inside of the rectangle is compared with it, and
most weight lies on the rim, because objects stand in the middle more often than at the border. The
sum of absolute differences is least, and pixels that differ clearly from the rest are left out of
the last rounds, so that an object on up to half of the rectangle changes nothing.
"""

import math
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Bool, Float64, Mask, Values
from rilievo.calibration.rectangle_fit import RectanglePose
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.cameras.lens import Pinhole
from rilievo.records.depth_map import DepthKind, DepthMap

_MAX_PIXELS = 4000
"""Number of pixels of the rectangle that are fitted, for speed."""
_MAX_GRID_PIXELS = 60_000
"""Number of pixels that are tried for being inside."""
_MIN_PIXELS = 30
_MARGIN = 3.0
"""Width of the margin along the outline that is left out, in errors of a corner."""
_MAX_MARGIN = 0.15
"""Largest such margin, as a share of the rectangle's shortest side."""
_RIM_POWER = 4
"""Power of a pixel's offset from the middle by which its weight grows. Half of the weight then lies
within a tenth of the sides from the outline."""
_FIT_ROUNDS = 15
_TRIM_ROUNDS = 5
_MIN_MISFIT = 1e-4
"""Relative misfit below which all pixels have the same weight."""
_LEAST_PART = 0.4
"""Share of the weight that one surface has at least, for it to be taken for the plane."""
_TRIM = 3 / 0.5244
"""Misfit, over that which this share of pixels stays below, beyond which a pixel is left out: three
deviations of a normal error."""
_TRIALS = 200
_MUCH_LESS = 0.5
"""Ratio of misfits from which on another fit is taken."""
_MIN_TRIM = 10 * _MIN_MISFIT
NOISE_PER_MEDIAN = math.log(5) / math.log(2)
"""80 % quantile over the median of errors as Laplace's. An object on the rectangle moves the median
less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RectangleSamples:
    """Pixels inside of a known rectangle.

    Attributes:
        places: Column and row [px].
        plane_depths: Depth of the plane that the corners give [m].
        values: Values of the map.
        importance: Weights, which grow towards the rim.
        size: Height and width of the picture.
    """

    places: Float64[np.ndarray, "n 2"]
    plane_depths: Values
    values: Values
    importance: Values
    size: tuple[int, int]

    def share_of(self, is_chosen: Bool[np.ndarray, "n"]) -> float:
        """Weighted share of the pixels that are chosen."""
        return float(self.importance[is_chosen].sum() / self.importance.sum())

    @property
    def log_ratios(self) -> Values:
        """Logarithms of the plane's depth over the map's depth."""
        return np.log(self.plane_depths / self.values)

    def share_within(self, tolerance: float) -> float:
        """Weighted share of the pixels whose depth is the plane's within a log tolerance."""
        return self.share_of(np.abs(self.log_ratios) <= tolerance)


def sample_rectangle(
    depth: DepthMap, camera: Camera, pose: RectanglePose, *, sky: Mask | None = None
) -> RectangleSamples | None:
    """Sample a map inside of a known rectangle; None if too few pixels there have a value."""
    rectangle = pose.rectangle
    rows, columns = _grid_around(pose, camera, depth.shape)
    places = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2).astype(np.float64)
    plane_depths, offset = _depths_and_offsets(places, camera, pose)
    margin = min(_MAX_MARGIN, _MARGIN * rectangle.error / rectangle.shortest)

    column, row = places.astype(int).T
    has_value = depth.valid[row, column]
    if sky is not None:
        has_value = has_value & ~sky[row, column]
    is_inside = (offset <= 0.5 - margin) & (plane_depths > 0) & has_value
    [indices] = np.nonzero(is_inside)
    indices = indices[:: max(1, len(indices) // _MAX_PIXELS)]
    if len(indices) < _MIN_PIXELS:
        return None
    row, column = row[indices], column[indices]
    return RectangleSamples(
        places=places[indices],
        plane_depths=plane_depths[indices],
        values=depth.values[row, column].astype(np.float64),
        importance=offset[indices] ** _RIM_POWER + 1e-9,
        size=depth.shape,
    )


def _grid_around(
    pose: RectanglePose, camera: Camera, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of a grid over the part of the picture that may show a rectangle."""
    height, width = size
    top, left, bottom, right = 0, 0, height - 1, width - 1
    if isinstance(camera.lens, Pinhole):
        corners = np.array(pose.rectangle.corners)
        left, top = np.clip(np.floor(corners.min(axis=0)).astype(int), 0, (right, bottom))
        right, bottom = np.clip(np.ceil(corners.max(axis=0)).astype(int), 0, (right, bottom))
    area = (bottom - top + 1) * (right - left + 1)
    step = max(1, math.isqrt(int(area) // _MAX_GRID_PIXELS))
    return np.arange(top, bottom + 1, step), np.arange(left, right + 1, step)


def _depths_and_offsets(
    places: Float64[np.ndarray, "n 2"], camera: Camera, pose: RectanglePose
) -> tuple[Values, Values]:
    """Depth of the plane at places, and their offset from the middle in sides: .5 on the rim."""
    rays = camera.rays(places.T)
    with np.errstate(divide="ignore", invalid="ignore"):
        depths = pose.depths(rays)
        positions = (rays * depths).T
        offsets = np.abs((positions - pose.t) @ pose.R[:, :2]) / pose.rectangle.lengths
    offset = offsets.max(axis=1)
    return np.nan_to_num(depths, nan=-1.0), np.where(np.isfinite(offset), offset, np.inf)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRatio:
    """Logarithm of the plane's depth over depth, which changes evenly across the picture.

    Attributes:
        weights: Factors of 1, column and row, over the width and from the middle.
        size: Height and width of the picture.
        noise: Difference that eight in ten pixels of the rectangle stay below.
        is_in_plane: Which of the pixels agree with the fit.
    """

    weights: Float64[np.ndarray, "3"]
    size: tuple[int, int]
    noise: float
    is_in_plane: Bool[np.ndarray, "n"]

    def at(self, places: Float64[np.ndarray, "m 2"]) -> Values:
        """Ratio at places (column, row) [px]."""
        return _coordinates(places, self.size) @ self.weights


def fit_log_ratio(samples: RectangleSamples) -> LogRatio:
    """Fit depth to the plane of a rectangle by a factor that changes evenly over the picture."""
    coordinates = _coordinates(samples.places, samples.size)
    ratios, importance = samples.log_ratios, samples.importance
    weights = _fit_least_absolute(coordinates, ratios, importance, _MIN_MISFIT)
    weights, is_kept = _refit_without_outliers(coordinates, ratios, importance, weights, _MIN_TRIM)
    misfit = np.abs(ratios - coordinates @ weights)
    noise = NOISE_PER_MEDIAN * weighted_quantile(misfit, importance, 0.5)
    return LogRatio(weights=weights, size=samples.size, noise=noise, is_in_plane=is_kept)


def value_at_middle(
    samples: RectangleSamples, kind: DepthKind, pose: RectanglePose, camera: Camera
) -> float:
    """Value of a map of any kind where the diagonals cross, if nothing stands on the rectangle."""
    middle = np.array([pose.rectangle.middle])
    middle_depth = float(pose.depths(camera.rays(middle.T))[0])
    if kind not in (DepthKind.AFFINE, DepthKind.AFFINE_INVERSE):
        return middle_depth / math.exp(float(fit_log_ratio(samples).at(middle)[0]))

    # Depth or its inverse with an unknown scale and shift is a line over that of the plane.
    is_inverse = kind is DepthKind.AFFINE_INVERSE
    power = -1 if is_inverse else 1
    from_middle = samples.plane_depths**power - middle_depth**power
    columns = np.column_stack([np.ones(len(from_middle)), from_middle])
    least = max(_MIN_MISFIT * float(np.ptp(samples.values)), 1e-12)
    weights = _fit_least_absolute(columns, samples.values, samples.importance, least)
    weights, _ = _refit_without_outliers(
        columns, samples.values, samples.importance, weights, 10 * least
    )
    return float(weights[0])


def _fit_least_absolute(
    columns: Float64[np.ndarray, "n k"], target: Values, importance: Values, least: float
) -> Float64[np.ndarray, "k"]:
    """Weights of columns with the least sum of absolute misfits, by reweighted squares."""
    weight = np.sqrt(importance)
    weights = np.zeros(columns.shape[1])
    for _ in range(_FIT_ROUNDS):
        weights = np.linalg.lstsq(columns * weight[:, None], target * weight, rcond=None)[0]
        misfit = np.abs(target - columns @ weights)
        weight = np.sqrt(importance / np.maximum(misfit, least))
    return weights


def _fit_most_of_one_surface(
    columns: Float64[np.ndarray, "n k"],
    target: Values,
    importance: Values,
    weights: Float64[np.ndarray, "k"],
    least: float,
) -> Float64[np.ndarray, "k"]:
    """Replace a fit that lies between two surfaces by one that describes a single one.

    Of random small sets of pixels, the one whose fit has the least misfit over two fifths of the
    weight is taken (least quantile of squares, Rousseeuw 1984), if it is much less.
    """
    generator = np.random.default_rng(0)
    chance = importance / importance.sum()
    size = (_TRIALS, columns.shape[1])
    chosen = generator.choice(len(target), size=size, p=chance)
    candidates = np.linalg.pinv(columns[chosen]) @ target[chosen][..., None]
    misfits = np.abs(target[:, None] - columns @ candidates[..., 0].T)
    quantiles = [weighted_quantile(misfit, importance, _LEAST_PART) for misfit in misfits.T]
    best = int(np.argmin(quantiles))
    present = weighted_quantile(np.abs(target - columns @ weights), importance, _LEAST_PART)
    if max(quantiles[best], least) > _MUCH_LESS * present:
        return weights
    return candidates[best, :, 0]


def _refit_without_outliers(
    columns: Float64[np.ndarray, "n k"],
    target: Values,
    importance: Values,
    weights: Float64[np.ndarray, "k"],
    least: float,
) -> tuple[Float64[np.ndarray, "k"], Bool[np.ndarray, "n"]]:
    """Fit squares to the pixels that agree with a fit; also which pixels those are."""
    weights = _fit_most_of_one_surface(columns, target, importance, weights, least)
    is_kept = np.ones(len(target), bool)
    for _ in range(_TRIM_ROUNDS):
        misfit = np.abs(target - columns @ weights)
        is_kept = misfit <= max(_TRIM * weighted_quantile(misfit, importance, _LEAST_PART), least)
        weight = np.sqrt(importance[is_kept])
        weights = np.linalg.lstsq(
            columns[is_kept] * weight[:, None], target[is_kept] * weight, rcond=None
        )[0]
    return weights, is_kept


def weighted_quantile(values: Values, importance: Values, share: float) -> float:
    """Value that a share of the weight stays below."""
    order = np.argsort(values)
    total = np.cumsum(importance[order])
    return float(values[order][np.searchsorted(total, share * total[-1])])


def _coordinates(
    places: Float64[np.ndarray, "n 2"], size: tuple[int, int]
) -> Float64[np.ndarray, "n 3"]:
    """1, column and row of places, over the width and from the middle."""
    height, width = size
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    return np.column_stack([np.ones(len(places)), (places - middle) / width])
