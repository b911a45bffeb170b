"""Depth inside of a known rectangle, compared with its plane although objects may stand on it.

The corners give the plane. What a depth map shows inside of the rectangle is fitted to it, and most
weight lies on the rim, because objects stand in the middle more often than at the border. The sum
of absolute differences is least, and pixels that differ clearly from the rest are left out of the
last rounds, so that an object on up to half of the rectangle changes nothing.
"""

import math
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Bool, Float64, Mask, Values
from rilievo.calibration.rectangle_fit import RectanglePose
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.cameras.lens import Pinhole
from rilievo.records.depth_map import DepthKind, DepthMap

NOISE_PER_MEDIAN = math.log(5) / math.log(2)
"""80 % quantile over the median of the absolute values of Laplace's errors. An object on the
rectangle moves the median less than the quantile."""

_MAX_PIXELS = 4000
"""Most pixels of the rectangle that are fitted, for speed."""
_MIN_PIXELS = 30
"""Fewest pixels to which a plane is fitted."""
_MAX_GRID_PIXELS = 60_000
"""Most pixels of the picture that are tested for lying inside."""
_MARGIN = 3.0
"""Width of the margin along the outline that is left out, in errors of a corner."""
_MAX_MARGIN = 0.15
"""Largest such margin, as a share of the rectangle's shortest side."""
_RIM_POWER = 4
"""Power of a pixel's offset from the middle by which its weight grows. Half of the weight then lies
within a tenth of the sides from the outline."""
_FIT_ROUNDS = 15
"""Rounds of reweighted least squares."""
_TRIM_ROUNDS = 5
"""Rounds of least squares without outliers."""
_MIN_MISFIT = 1e-4
"""Relative misfit below which all pixels have the same weight."""
_MIN_SURFACE_SHARE = 0.4
"""Share of the weight that one surface has at least, for it to be taken for the plane."""
_OUTLIER_RATIO = 3 / 0.5244
"""Misfit, over that which ``_MIN_SURFACE_SHARE`` of the weight stays below, beyond which a pixel is
an outlier. It is three standard deviations of a normal error."""
_TRIALS = 200
"""Number of random small sets of pixels to which a surface is fitted."""
_MAX_MISFIT_RATIO = 0.5
"""Ratio of misfits below which the fit to such a set replaces the fit to all pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RectangleSamples:
    """Pixels inside of a known rectangle, with the depth of its plane and the values of a map.

    Attributes:
        pixels: Column and row [px].
        plane_depths: Depth of the plane that the corners give [m].
        values: Values of the map.
        importance: Weights, which grow towards the rim.
        size: Height and width of the picture.
    """

    pixels: Float64[np.ndarray, "n 2"]
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
    """Sample a map inside of a known rectangle; None if too few pixels have depth.

    Args:
        depth: Map of any kind.
        camera: Intrinsics.
        pose: Pose of the rectangle.
        sky: Pixels that count as without depth; None for none.
    """
    rectangle = pose.rectangle
    rows, columns = _grid_around(pose, camera, depth.shape)
    pixels = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2).astype(np.float64)
    plane_depths, offsets = _depths_and_offsets(pixels, camera, pose)

    column, row = pixels.astype(int).T
    has_depth = depth.valid[row, column]
    if sky is not None:
        has_depth = has_depth & ~sky[row, column]
    margin = min(_MAX_MARGIN, _MARGIN * rectangle.error / rectangle.shortest_side)
    is_inside = (offsets <= 0.5 - margin) & (plane_depths > 0) & has_depth
    [indices] = np.nonzero(is_inside)
    indices = indices[:: max(1, len(indices) // _MAX_PIXELS)]
    if len(indices) < _MIN_PIXELS:
        return None
    return RectangleSamples(
        pixels=pixels[indices],
        plane_depths=plane_depths[indices],
        values=depth.values[row[indices], column[indices]].astype(np.float64),
        importance=offsets[indices] ** _RIM_POWER + 1e-9,
        size=depth.shape,
    )


def _grid_around(
    pose: RectanglePose, camera: Camera, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of a grid over the part of the picture that may show a rectangle."""
    height, width = size
    top, left, bottom, right = 0, 0, height - 1, width - 1
    if isinstance(camera.lens, Pinhole):
        # Sides are straight in such a picture only, and the outline lies between its corners.
        corners = np.array(pose.rectangle.corners)
        left, top = np.clip(np.floor(corners.min(axis=0)).astype(int), 0, (right, bottom))
        right, bottom = np.clip(np.ceil(corners.max(axis=0)).astype(int), 0, (right, bottom))
    area = (bottom - top + 1) * (right - left + 1)
    step = max(1, math.isqrt(int(area) // _MAX_GRID_PIXELS))
    return np.arange(top, bottom + 1, step), np.arange(left, right + 1, step)


def _depths_and_offsets(
    pixels: Float64[np.ndarray, "n 2"], camera: Camera, pose: RectanglePose
) -> tuple[Values, Values]:
    """Depth of a rectangle's plane at pixels, and their offset from its middle in sides.

    The offset is 0.5 on the rim, and infinite where the lens sees nothing; the depth is negative
    behind the camera.
    """
    rays = camera.rays(pixels.T)
    with np.errstate(divide="ignore", invalid="ignore"):
        depths = pose.depths(rays)
        positions = (rays * depths).T
        offsets_by_side = np.abs((positions - pose.t) @ pose.R[:, :2]) / pose.rectangle.lengths
    offsets = offsets_by_side.max(axis=1)
    return np.nan_to_num(depths, nan=-1.0), np.where(np.isfinite(offsets), offsets, np.inf)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRatio:
    """Logarithm of the plane's depth over the map's depth, linear in column and row.

    Attributes:
        weights: Factors of 1, column and row; see ``_linear_terms``.
        size: Height and width of the picture.
        noise: Difference that eight in ten pixels of the rectangle stay below.
        is_in_plane: Which of the pixels agree with the fit.
    """

    weights: Float64[np.ndarray, "3"]
    size: tuple[int, int]
    noise: float
    is_in_plane: Bool[np.ndarray, "n"]

    def at(self, pixels: Float64[np.ndarray, "m 2"]) -> Values:
        """Logarithm of the ratio at positions (column, row) [px]."""
        return _linear_terms(pixels, self.size) @ self.weights


def fit_log_ratio(samples: RectangleSamples) -> LogRatio:
    """Fit a map's depth to the plane of a rectangle, by a factor that changes over the picture.

    The logarithm of the factor is linear in column and row.
    """
    terms = _linear_terms(samples.pixels, samples.size)
    ratios, importance = samples.log_ratios, samples.importance
    fit = _fit_one_surface(terms, ratios, importance, _MIN_MISFIT)
    misfits = np.abs(ratios - terms @ fit.weights)
    noise = NOISE_PER_MEDIAN * weighted_quantile(misfits, importance, 0.5)
    return LogRatio(weights=fit.weights, size=samples.size, noise=noise, is_in_plane=fit.is_inlier)


def value_at_middle(
    samples: RectangleSamples, kind: DepthKind, pose: RectanglePose, camera: Camera
) -> float:
    """Value of a map of any kind at a rectangle's middle, as if no object stood on it."""
    middle = np.array([pose.rectangle.middle])
    middle_depth = float(pose.depths(camera.rays(middle.T))[0])
    if kind not in (DepthKind.AFFINE, DepthKind.AFFINE_INVERSE):
        return middle_depth / math.exp(float(fit_log_ratio(samples).at(middle)[0]))

    # An affine map is a line over depth, or over inverse depth. This one is fitted to the plane's
    # depth, counted from the middle, so that its constant term is the value at the middle.
    power = -1 if kind is DepthKind.AFFINE_INVERSE else 1
    from_middle = samples.plane_depths**power - middle_depth**power
    terms = np.column_stack([np.ones(len(from_middle)), from_middle])
    min_misfit = max(_MIN_MISFIT * float(np.ptp(samples.values)), 1e-12)
    line = _fit_one_surface(terms, samples.values, samples.importance, min_misfit)
    middle_value, _ = line.weights
    return float(middle_value)


@dataclass(frozen=True, slots=True, kw_only=True)
class _SurfaceFit:
    """Linear fit to the pixels of one surface.

    Attributes:
        weights: Factors of the terms.
        is_inlier: Which of the pixels lie on the surface.
    """

    weights: Float64[np.ndarray, "k"]
    is_inlier: Bool[np.ndarray, "n"]


def _fit_one_surface(
    terms: Float64[np.ndarray, "n k"], target: Values, importance: Values, min_misfit: float
) -> _SurfaceFit:
    """Fit a target by linear terms, to the pixels of the surface with the most weight.

    Misfits below ``min_misfit`` count alike.
    """
    weights = _fit_least_absolute(terms, target, importance, min_misfit)
    min_trim = 10 * min_misfit
    weights = _leave_mixed_surfaces(terms, target, importance, weights, min_trim)
    is_inlier = np.ones(len(target), bool)
    for _ in range(_TRIM_ROUNDS):
        misfits = np.abs(target - terms @ weights)
        surface_misfit = weighted_quantile(misfits, importance, _MIN_SURFACE_SHARE)
        is_inlier = misfits <= max(_OUTLIER_RATIO * surface_misfit, min_trim)
        root_weights = np.sqrt(importance[is_inlier])
        weights = np.linalg.lstsq(
            terms[is_inlier] * root_weights[:, None], target[is_inlier] * root_weights, rcond=None
        )[0]
    return _SurfaceFit(weights=weights, is_inlier=is_inlier)


def _fit_least_absolute(
    terms: Float64[np.ndarray, "n k"], target: Values, importance: Values, min_misfit: float
) -> Float64[np.ndarray, "k"]:
    """Factors of the terms with the least sum of absolute misfits, by reweighted squares."""
    root_weights = np.sqrt(importance)
    weights = np.zeros(terms.shape[1])
    for _ in range(_FIT_ROUNDS):
        weights = np.linalg.lstsq(terms * root_weights[:, None], target * root_weights, rcond=None)[
            0
        ]
        misfits = np.abs(target - terms @ weights)
        root_weights = np.sqrt(importance / np.maximum(misfits, min_misfit))
    return weights


def _leave_mixed_surfaces(
    terms: Float64[np.ndarray, "n k"],
    target: Values,
    importance: Values,
    weights: Float64[np.ndarray, "k"],
    min_misfit: float,
) -> Float64[np.ndarray, "k"]:
    """Replace a fit that lies between two surfaces by one that describes a single one.

    Of random small sets of pixels, the one whose fit has the least misfit over two fifths of the
    weight is taken (least quantile of squares, Rousseeuw 1984), if it is much less.
    """
    generator = np.random.default_rng(0)
    probability = importance / importance.sum()
    chosen = generator.choice(len(target), size=(_TRIALS, terms.shape[1]), p=probability)
    candidates = (np.linalg.pinv(terms[chosen]) @ target[chosen][..., None])[..., 0]
    misfits = np.abs(target[:, None] - terms @ candidates.T)
    candidate_misfits = [
        weighted_quantile(misfit, importance, _MIN_SURFACE_SHARE) for misfit in misfits.T
    ]
    best = int(np.argmin(candidate_misfits))

    current_misfits = np.abs(target - terms @ weights)
    current_misfit = weighted_quantile(current_misfits, importance, _MIN_SURFACE_SHARE)
    if max(candidate_misfits[best], min_misfit) > _MAX_MISFIT_RATIO * current_misfit:
        return weights
    return candidates[best]


def weighted_quantile(values: Values, importance: Values, share: float) -> float:
    """Value that a share of the weight stays below."""
    order = np.argsort(values)
    cumulated = np.cumsum(importance[order])
    return float(values[order][np.searchsorted(cumulated, share * cumulated[-1])])


def _linear_terms(
    pixels: Float64[np.ndarray, "n 2"], size: tuple[int, int]
) -> Float64[np.ndarray, "n 3"]:
    """1, column and row of pixels, counted from the picture's middle in its width."""
    height, width = size
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    return np.column_stack([np.ones(len(pixels)), (pixels - middle) / width])
