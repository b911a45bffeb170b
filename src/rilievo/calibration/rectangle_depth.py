"""Depth inside of a known rectangle, compared with its plane although objects may stand on it.

The corners give the plane, and the depth inside of the rectangle is fitted to it. Most weight lies
on the rim, because objects stand in the middle more often than at the border. The fit is robust: it
has the least sum of absolute differences, and then leaves out outliers. So an object on up to half
of the rectangle changes nothing.
"""

import math
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Bool, Float64, Mask, Values
from rilievo.calibration.rectangle_fit import RectanglePose
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.cameras.lens import Pinhole
from rilievo.records.depth_map import DepthKind, DepthMap

_NOISE_PER_MEDIAN = math.log(5) / math.log(2)
"""Ratio of the 80% quantile to the median of absolute errors with a Laplace distribution. The
median is used because an object on the rectangle changes it less than the quantile."""

_MAX_PIXELS = 4000
"""Most pixels of the rectangle that are fitted, for speed."""
_MIN_PIXELS = 30
"""Fewest pixels to which a plane is fitted."""
_MAX_GRID_PIXELS = 60_000
"""Most pixels of the picture that are tested for lying inside."""
_MARGIN = 3.0
"""Width of the margin along the outline that is left out, in errors of a corner."""
_MAX_MARGIN = 0.15
"""Largest such margin, over the rectangle's shortest side."""
_RIM_POWER = 4
"""The weight of a pixel is its offset from the middle to this power. Half of the weight then lies
within a tenth of the sides from the outline."""
_FIT_ROUNDS = 15
"""Rounds of reweighted least squares."""
_TRIM_ROUNDS = 5
"""Rounds of least squares without outliers."""
_MIN_MISFIT = 1e-4
"""Relative misfit below which all pixels have the same weight."""
_SURFACE_QUANTILE = 0.4
"""Least fraction of the weight on the main surface. This quantile of the misfits is thus one of its
own misfits, whatever the other pixels show."""
_OUTLIER_RATIO = 3 / 0.5244
"""Least misfit of an outlier, over the surface's quantile: 3 over 0.5244 standard deviations of a
normal error."""
_MIN_OUTLIER_RATIO = 10
"""Least misfit of an outlier, over that below which all misfits count alike."""
_TRIALS = 200
"""Number of random small sets of pixels to which a surface is fitted."""
_MAX_MISFIT_RATIO = 0.5
"""Largest ratio of misfits with which the fit to a small set replaces the fit to all pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RectangleSamples:
    """Pixels inside of a known rectangle, with the depth of its plane and the values of a map.

    Attributes:
        pixels: Column and row [px].
        plane_depths: Depth of the plane that the corners give [m].
        sample_weights: Weights, which grow towards the rim.
    """

    pixels: Float64[np.ndarray, "n 2"]
    plane_depths: Values
    values: Values
    sample_weights: Values
    shape: tuple[int, int]

    def weighted_fraction(self, mask: Bool[np.ndarray, "n"]) -> float:
        """Weighted fraction of the pixels in a mask."""
        return float(self.sample_weights[mask].sum() / self.sample_weights.sum())

    def weighted_quantile(self, values: Values, fraction: float) -> float:
        """Value, one for each pixel, that this fraction of the weight stays below."""
        return _weighted_quantile(values, self.sample_weights, fraction)

    def noise(self, misfits: Values) -> float:
        """Misfit that eight in ten pixels stay below, estimated by the median."""
        return _NOISE_PER_MEDIAN * self.weighted_quantile(misfits, 0.5)

    @property
    def log_ratios(self) -> Values:
        """Logarithms of the plane's depth over the map's depth."""
        return np.log(self.plane_depths / self.values)

    def fraction_within(self, tolerance: float) -> float:
        """Weighted fraction of the pixels whose log depth is the plane's within a tolerance."""
        return self.weighted_fraction(np.abs(self.log_ratios) <= tolerance)


def sample_rectangle(
    depth: DepthMap, camera: Camera, pose: RectanglePose, *, sky: Mask | None = None
) -> RectangleSamples | None:
    """Sample a map inside of a known rectangle; None if too few pixels have depth.

    Pixels of the ``sky`` count as without depth.
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
    all_indices = np.flatnonzero(is_inside)
    stride = max(1, len(all_indices) // _MAX_PIXELS)
    indices = all_indices[::stride]
    if len(indices) < _MIN_PIXELS:
        return None
    return RectangleSamples(
        pixels=pixels[indices],
        plane_depths=plane_depths[indices],
        values=depth.values[row[indices], column[indices]].astype(np.float64),
        sample_weights=offsets[indices] ** _RIM_POWER + 1e-9,
        shape=depth.shape,
    )


def _grid_around(
    pose: RectanglePose, camera: Camera, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of a grid over the part of the picture that may show a rectangle."""
    height, width = shape
    last_pixel = (width - 1, height - 1)
    left, top, right, bottom = 0, 0, *last_pixel
    if isinstance(camera.lens, Pinhole):
        # Only a pinhole shows straight sides, so that the box of the corners contains the outline.
        corners = np.array(pose.rectangle.corners)
        left, top = np.floor(corners.min(axis=0)).astype(int).clip(0, last_pixel).tolist()
        right, bottom = np.ceil(corners.max(axis=0)).astype(int).clip(0, last_pixel).tolist()
    area = (bottom - top + 1) * (right - left + 1)
    step = max(1, math.isqrt(area // _MAX_GRID_PIXELS))
    return np.arange(top, bottom + 1, step), np.arange(left, right + 1, step)


def _depths_and_offsets(
    pixels: Float64[np.ndarray, "n 2"], camera: Camera, pose: RectanglePose
) -> tuple[Values, Values]:
    """Depth of a rectangle's plane at pixels, and their offset from its middle over its sides.

    The offset is 0.5 on the rim, and infinite where the lens sees nothing. The depth is negative
    where the plane lies behind the camera.
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
        coefficients: Factors of 1, column and row; see ``_linear_terms``.
        noise: Difference that eight in ten pixels of the rectangle stay below.
        is_in_plane: Which of the pixels agree with the fit.
    """

    coefficients: Float64[np.ndarray, "3"]
    shape: tuple[int, int]
    noise: float
    is_in_plane: Bool[np.ndarray, "n"]

    def at(self, pixels: Float64[np.ndarray, "m 2"]) -> Values:
        """Logarithm of the ratio at positions (column, row) [px]."""
        return _linear_terms(pixels, self.shape) @ self.coefficients


def fit_log_ratio(samples: RectangleSamples) -> LogRatio:
    """Fit the ratio of a rectangle's plane depth to the map's depth.

    Its logarithm is a linear function of column and row.
    """
    design_matrix = _linear_terms(samples.pixels, samples.shape)
    ratios = samples.log_ratios
    fit = _fit_one_surface(design_matrix, ratios, samples.sample_weights, _MIN_MISFIT)
    return LogRatio(
        coefficients=fit.coefficients,
        shape=samples.shape,
        noise=samples.noise(np.abs(ratios - design_matrix @ fit.coefficients)),
        is_in_plane=fit.is_inlier,
    )


def value_at_middle(
    samples: RectangleSamples, kind: DepthKind, pose: RectanglePose, camera: Camera
) -> float:
    """Value of a map of any kind at a rectangle's middle, as if no object stood on it."""
    middle = np.array([pose.rectangle.middle])
    middle_depth = float(pose.depths(camera.rays(middle.T))[0])
    if kind not in (DepthKind.AFFINE, DepthKind.AFFINE_INVERSE):
        return middle_depth / math.exp(float(fit_log_ratio(samples).at(middle)[0]))

    # The values of an affine map are linear in depth, or in inverse depth. A line is fitted to them
    # over the difference from the middle, so that its constant term is the value at the middle.
    exponent = -1 if kind is DepthKind.AFFINE_INVERSE else 1
    from_middle = samples.plane_depths**exponent - middle_depth**exponent
    design_matrix = np.column_stack([np.ones(len(from_middle)), from_middle])
    min_misfit = max(_MIN_MISFIT * float(np.ptp(samples.values)), 1e-12)
    line = _fit_one_surface(design_matrix, samples.values, samples.sample_weights, min_misfit)
    middle_value, _slope = line.coefficients
    return float(middle_value)


@dataclass(frozen=True, slots=True, kw_only=True)
class _SurfaceFit:
    """Linear fit to the pixels of one surface.

    ``coefficients`` are the factors of the columns of the design matrix.
    """

    coefficients: Float64[np.ndarray, "k"]
    is_inlier: Bool[np.ndarray, "n"]


def _fit_one_surface(
    design_matrix: Float64[np.ndarray, "n k"],
    target: Values,
    sample_weights: Values,
    min_misfit: float,
) -> _SurfaceFit:
    """Fit a target by linear terms, to the pixels of the surface with the most weight.

    In three steps: a fit with the least sum of absolute misfits, its replacement if it lies between
    two surfaces, and weighted least squares without outliers, repeated.

    Args:
        design_matrix: Terms of each pixel, one a column.
        target: Value of each pixel that the terms should give.
        sample_weights: Weights of the pixels.
        min_misfit: Misfits below it count alike.
    """
    robust_coefficients = _fit_least_absolute(design_matrix, target, sample_weights, min_misfit)
    min_outlier = _MIN_OUTLIER_RATIO * min_misfit
    coefficients = _avoid_mixed_surfaces(
        design_matrix, target, sample_weights, robust_coefficients, min_outlier
    )
    is_inlier = np.ones(len(target), bool)
    for _ in range(_TRIM_ROUNDS):
        misfits = np.abs(target - design_matrix @ coefficients)
        surface_misfit = _weighted_quantile(misfits, sample_weights, _SURFACE_QUANTILE)
        is_inlier = misfits <= max(_OUTLIER_RATIO * surface_misfit, min_outlier)
        coefficients = _fit_least_squares(
            design_matrix[is_inlier], target[is_inlier], sample_weights[is_inlier]
        )
    return _SurfaceFit(coefficients=coefficients, is_inlier=is_inlier)


def _fit_least_squares(
    design_matrix: Float64[np.ndarray, "n k"], target: Values, weights: Values
) -> Float64[np.ndarray, "k"]:
    """Coefficients with the least weighted sum of squared misfits."""
    # Least squares weigh each row by its square.
    root_weights = np.sqrt(weights)
    weighted_terms = design_matrix * root_weights[:, None]
    return np.linalg.lstsq(weighted_terms, target * root_weights, rcond=None)[0]


def _fit_least_absolute(
    design_matrix: Float64[np.ndarray, "n k"],
    target: Values,
    sample_weights: Values,
    min_misfit: float,
) -> Float64[np.ndarray, "k"]:
    """Coefficients with the least weighted sum of absolute misfits.

    It is found by iteratively reweighted least squares: the weighted squared misfit of a pixel is
    its absolute misfit if the weight is divided by the latter.
    """
    weights = sample_weights
    coefficients = np.zeros(design_matrix.shape[1])
    for _ in range(_FIT_ROUNDS):
        coefficients = _fit_least_squares(design_matrix, target, weights)
        misfits = np.abs(target - design_matrix @ coefficients)
        weights = sample_weights / np.maximum(misfits, min_misfit)
    return coefficients


def _avoid_mixed_surfaces(
    design_matrix: Float64[np.ndarray, "n k"],
    target: Values,
    sample_weights: Values,
    coefficients: Float64[np.ndarray, "k"],
    min_misfit: float,
) -> Float64[np.ndarray, "k"]:
    """Replace a fit that lies between two surfaces by one that describes a single surface.

    Candidates are exact fits to random minimal sets of pixels, as many as there are terms. The best
    of them has the least quantile of the misfits (least quantile of squares, Rousseeuw 1984). It
    replaces ``coefficients`` if its quantile, or ``min_misfit`` if that is larger, is much smaller.
    """
    generator = np.random.default_rng(0)
    probability = sample_weights / sample_weights.sum()
    term_count = design_matrix.shape[1]
    trials = generator.choice(len(target), size=(_TRIALS, term_count), p=probability)
    candidates = (np.linalg.pinv(design_matrix[trials]) @ target[trials][..., None])[..., 0]
    misfits_by_candidate = np.abs(target[:, None] - design_matrix @ candidates.T).T
    quantiles = [
        _weighted_quantile(misfits, sample_weights, _SURFACE_QUANTILE)
        for misfits in misfits_by_candidate
    ]
    best = int(np.argmin(quantiles))

    current_misfits = np.abs(target - design_matrix @ coefficients)
    current_quantile = _weighted_quantile(current_misfits, sample_weights, _SURFACE_QUANTILE)
    is_much_better = max(quantiles[best], min_misfit) <= _MAX_MISFIT_RATIO * current_quantile
    return candidates[best] if is_much_better else coefficients


def _weighted_quantile(values: Values, sample_weights: Values, fraction: float) -> float:
    """Value that this fraction of the weight stays below."""
    order = np.argsort(values)
    cumulative_weight = np.cumsum(sample_weights[order])
    index = np.searchsorted(cumulative_weight, fraction * cumulative_weight[-1])
    return float(values[order][index])


def _linear_terms(
    pixels: Float64[np.ndarray, "n 2"], shape: tuple[int, int]
) -> Float64[np.ndarray, "n 3"]:
    """Terms of a linear function: 1, and column and row from the picture's middle, in widths."""
    height, width = shape
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    return np.column_stack([np.ones(len(pixels)), (pixels - middle) / width])
