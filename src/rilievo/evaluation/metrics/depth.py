"""Depth errors of one image: at points, at edges, of pictures, of clouds and of order.

p is predicted and t true depth [m] at the valid pixels, e = ln p - ln t. ``boundary_f1``:
Bochkovskii et al. 2024, "Depth Pro". ``window_f1``: Wang et al. 2025, MoGe.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from rilievo.alignment.fit import dot
from rilievo.arrays.shapes import Float64, Int, Mask, Values
from rilievo.errors import InputError, NoGroundTruthError, OptionError, needing
from rilievo.evaluation.metrics.metric import (
    Better,
    Cloud,
    DepthPair,
    Indices,
    Metric,
    OtherCloud,
    PicturePair,
    Plane,
    Sums,
    metrics_by_name,
    root_mean,
    whole,
)
from rilievo.evaluation.metrics.point_maps import RELATIVE_METRICS, point_distance

FACTORS = np.linspace(1.05, 1.25, 10)
_WEIGHTS = FACTORS / FACTORS.sum()
STEPS: Float64[np.ndarray, "t"] = np.linspace(0.05, 0.25, 10)


def boundary_counts(pair: DepthPair) -> Sums:
    """Number of edges found, true and predicted, by direction and factor."""
    counts = []
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for first, second in _neighbour_slices():
            # The published computation has no mask; where all pixels are valid, both agree.
            usable = pair.valid[first] & pair.valid[second]
            counts += _edge_counts(
                pair.predicted[first].astype(np.float64),
                pair.predicted[second].astype(np.float64),
                pair.true[first].astype(np.float64),
                pair.true[second].astype(np.float64),
                usable,
            )
    return np.stack(counts).astype(np.float64).ravel()


def boundary_f1(sums: Sums, _count: int) -> float:
    """F1 of edges, averaged over the factors by weight."""
    common, true, predicted = np.moveaxis(sums.reshape(4, 3, FACTORS.size), 1, 0)
    # A direction without edges counts as missed, as published.
    recall = np.mean(common / np.maximum(true, 1), axis=0)
    precision = np.mean(common / np.maximum(predicted, 1), axis=0)
    both = recall + precision
    f1 = 2 * recall * precision / np.where(both > 0, both, 1.0)
    return float(_WEIGHTS @ f1)


def _neighbour_slices() -> tuple[tuple[tuple[slice, slice], tuple[slice, slice]], ...]:
    """Slices of left and right, then of upper and lower pixels."""
    whole, head, tail = slice(None), slice(None, -1), slice(1, None)
    return ((whole, head), (whole, tail)), ((head, whole), (tail, whole))


def _edge_counts(
    p_first: Plane,
    p_second: Plane,
    t_first: Plane,
    t_second: Plane,
    usable: Mask,
) -> list[Int[np.ndarray, "3 f"]]:
    """Edges of both, truth, prediction by factor; ahead, then back."""
    p_step = np.maximum(p_first, p_second) / np.minimum(p_first, p_second)
    t_step = np.maximum(t_first, t_second) / np.minimum(t_first, t_second)
    # Few pairs are edges, so only these are examined further.
    edges = ((p_step > FACTORS[0]) | (t_step > FACTORS[0])) & usable
    p_level, t_level = (np.searchsorted(FACTORS, step[edges]) for step in (p_step, t_step))
    p_ahead, t_ahead = (p_second > p_first)[edges], (t_second > t_first)[edges]
    counts = []
    for p_side, t_side in ((p_ahead, t_ahead), (~p_ahead, ~t_ahead)):
        p, t = p_level * p_side, t_level * t_side
        counts.append(
            np.stack([_counts_at_each_factor(level) for level in (np.minimum(p, t), t, p)])
        )
    return counts


def _counts_at_each_factor(levels: Indices) -> Int[np.ndarray, "f"]:
    """Number of levels that reach each factor."""
    histogram = np.bincount(levels, minlength=FACTORS.size + 1)
    return histogram[::-1].cumsum()[::-1][1:]


def window_edge_counts(pair: DepthPair, radius: int) -> Sums:
    """Number of edges found, true and predicted within windows, by step."""
    predicted, true = (
        np.where(pair.valid, depth, np.float32(1)).astype(np.float64)
        for depth in (pair.predicted, pair.true)
    )
    counts = np.zeros((3, STEPS.size))
    height, width = pair.valid.shape
    if min(height, width) <= 2 * radius:
        return counts.ravel()
    middle = slice(radius, height - radius), slice(radius, width - radius)
    for down in range(-radius, radius + 1):
        for across in range(-radius, radius + 1):
            if not 0 < down * down + across * across <= radius * radius:
                continue
            other = (
                slice(radius + down, height - radius + down),
                slice(radius + across, width - radius + across),
            )
            both = pair.valid[middle] & pair.valid[other]
            p = (predicted[other] / predicted[middle])[both]
            t = (true[other] / true[middle])[both]
            # Few are edges at all; what follows looks at those alone.
            steep = (p > 1 + STEPS[0]) | (t > 1 + STEPS[0])
            p, t = p[steep, None] > 1 + STEPS, t[steep, None] > 1 + STEPS
            counts += np.stack([(p & t).sum(axis=0), t.sum(axis=0), p.sum(axis=0)])
    return counts.ravel()


def window_f1(sums: Sums, _count: int) -> float:
    """F1 of edges in windows, averaged over the steps by weight."""
    common, true, predicted = sums.reshape(3, STEPS.size)
    recall = common / np.maximum(true, 1e-12)
    precision = common / np.maximum(predicted, 1e-12)
    f1 = 2 * recall * precision / np.maximum(recall + precision, 1e-12)
    return float(STEPS @ f1 / STEPS.sum())


# A radius is one number here.
WINDOW_METRICS: Mapping[str, Metric[DepthPair]] = metrics_by_name(
    *(
        Metric(
            f"edge_f1_r{radius}",
            f"edge F1 r={radius}",
            "",
            Better.HIGHER,
            f"F1 of occluding edges within {radius} pixel{'s' if radius > 1 else ''} (MoGe)",
            partial(window_edge_counts, radius=radius),
            window_f1,
        )
        for radius in (1, 2, 3)
    )
)


# Side of the window over which SSIM is computed [px].
_SSIM_WINDOW = 7


def squared_grey_error(pair: PicturePair) -> Sums:
    """Sum of squared differences of the grey levels."""
    return np.array([_skimage_metrics().mean_squared_error(pair.true, pair.predicted) * pair.count])


def psnr(pair: PicturePair) -> Sums:
    """Peak signal-to-noise ratio [dB]; infinite where the pictures are equal."""
    with np.errstate(divide="ignore"):
        ratio = _skimage_metrics().peak_signal_noise_ratio(
            pair.true, pair.predicted, data_range=255
        )
    return np.array([ratio], dtype=np.float64)


def ssim(pair: PicturePair) -> Sums:
    """Structural similarity over windows of 7x7 pixels (Wang et al. 2004).

    Raises:
        InputError: If the picture is smaller.
    """
    if min(pair.true.shape) < _SSIM_WINDOW:
        raise InputError(
            f"a picture of {pair.true.shape} is smaller than the 7x7 window of SSIM: "
            "leave that metric out"
        )
    similarity = _skimage_metrics().structural_similarity(pair.true, pair.predicted, data_range=255)
    return np.array([similarity], dtype=np.float64)


def _skimage_metrics() -> Any:
    with needing("comparing pictures", "evaluate"):
        from skimage import metrics
    return metrics


_RMSE = "root of the mean squared difference of grey levels, 0 to 255"
_PSNR = "peak signal-to-noise ratio, data_range 255 (scikit-image)"
_SSIM = "structural similarity, data_range 255, 7x7 windows (scikit-image)"
# A new metric is one function above and one entry here.
PICTURE_METRICS: Mapping[str, Metric[PicturePair]] = metrics_by_name(
    Metric("rmse", "RMSE", "", Better.LOWER, _RMSE, squared_grey_error, root_mean),
    Metric("psnr", "PSNR", "dB", Better.HIGHER, _PSNR, psnr, whole, pools=False),
    Metric("ssim", "SSIM", "", Better.HIGHER, _SSIM, ssim, whole, pools=False),
)


def cloud_distances(points: Cloud, cloud: OtherCloud) -> Values:
    """Distance [m] from each point to the nearest one of a cloud.

    Raises:
        InputError: If either is empty or not finite.
    """
    with needing("comparing clouds of points", "evaluate"):
        from scipy.spatial import KDTree
    for array in (points, cloud):
        if array.ndim != 2 or array.shape[1:] != (3,) or not len(array):
            raise InputError(f"a cloud is (points, 3) with at least one, this is {array.shape}")
        if not np.isfinite(array).all():
            raise InputError("a cloud has NaN or infinite coordinates: leave such points out")
    return np.asarray(KDTree(cloud).query(points)[0], dtype=np.float64)


def cloud_accuracy(predicted: Cloud, true: OtherCloud) -> float:
    """Mean distance [m] of predicted points to the true ones."""
    return float(cloud_distances(predicted, true).mean())


def cloud_completeness(predicted: Cloud, true: OtherCloud) -> float:
    """Mean distance [m] of true points to the predicted ones."""
    return float(cloud_distances(true, predicted).mean())


def cloud_f_score(predicted: Cloud, true: OtherCloud, threshold: float) -> float:
    """F-score of points nearer than a threshold [m], in [0, 1] (Knapitsch et al. 2017).

    Raises:
        OptionError: If the threshold is not positive.
    """
    if not threshold > 0:
        raise OptionError(f"the threshold of an F-score is a positive distance, not {threshold}")
    precision = np.mean(cloud_distances(predicted, true) < threshold)
    recall = np.mean(cloud_distances(true, predicted) < threshold)
    both = precision + recall
    return float(2 * precision * recall / both) if both else 0.0


def abs_rel(pair: DepthPair) -> Sums:
    """Sum of |p - t| / t."""
    return np.array([np.abs(pair.relative).sum()])


def bias(pair: DepthPair) -> Sums:
    """Sum of (p - t) / t."""
    return np.array([pair.relative.sum()])


def sq_rel(pair: DepthPair) -> Sums:
    """Sum of (p - t)² / t [m]."""
    return np.array([dot(pair.relative, pair.difference)])


def squared_error(pair: DepthPair) -> Sums:
    """Sum of (p - t)² [m²]."""
    return np.array([dot(pair.difference, pair.difference)])


def absolute_error(pair: DepthPair) -> Sums:
    """Sum of |p - t| [m]."""
    return np.array([np.abs(pair.difference).sum()])


def squared_inverse_error(pair: DepthPair) -> Sums:
    """Sum of (1/p - 1/t)² [1/m²]."""
    inverse = pair.relative / pair.p
    return np.array([dot(inverse, inverse)])


def squared_log_error(pair: DepthPair) -> Sums:
    """Sum of (ln p - ln t)²."""
    return np.array([dot(pair.log_factor, pair.log_factor)])


def log10_error(pair: DepthPair) -> Sums:
    """Sum of |log₁₀ p - log₁₀ t|."""
    return np.array([pair.log_factor.sum() / np.log(10)])


def log_error_moments(pair: DepthPair) -> Sums:
    """Squared deviations, sum, and squared sum over n, of ln p - ln t."""
    return pair.log_moments


def silog(sums: Sums, count: int) -> float:
    """100 standard deviations of ln p - ln t, divisor n."""
    return 100 * float(np.sqrt(_squared_deviations(sums, count) / count))


def silog_unbiased(sums: Sums, count: int) -> float:
    """100 standard deviations of ln p - ln t, divisor n - 1."""
    return 100 * float(np.sqrt(_squared_deviations(sums, count) / max(count - 1, 1)))


def silog_half(sums: Sums, count: int) -> float:
    """Root of (mean e² - mean² e / 2), e = ln p - ln t."""
    mean = sums[1] / count
    return float(np.sqrt(_squared_deviations(sums, count) / count + mean * mean / 2))


def _squared_deviations(sums: Sums, count: int) -> float:
    """Sum of (e - mean)² over all images."""
    between = sums[2] - sums[1] * sums[1] / count
    return float(sums[0] + max(between, 0.0))


def _count_below_factor(bound: float) -> Callable[[DepthPair], Sums]:
    return lambda pair: np.array([float(np.count_nonzero(pair.factor < bound))])


LOW, HIGH = Better.LOWER, Better.HIGHER
# A new metric is one function, here or in a file of its own, and one line below.
DEPTH_METRICS: Mapping[str, Metric[DepthPair]] = metrics_by_name(
    Metric("abs_rel", "AbsRel", "", LOW, "mean |p - t| / t", abs_rel),
    Metric("sq_rel", "SqRel", "m", LOW, "mean (p - t)² / t (Eigen et al. 2014)", sq_rel),
    Metric("rmse", "RMSE", "m", LOW, "root of mean (p - t)²", squared_error, root_mean),
    Metric("rmse_log", "RMSElog", "", LOW, "root of mean e²", squared_log_error, root_mean),
    Metric("log10", "log10", "", LOW, "mean |log₁₀ p - log₁₀ t|", log10_error),
    Metric(
        "silog",
        "SILog ×100",
        "",
        LOW,
        "100 √(mean e² - mean² e): KITTI, Marigold",
        log_error_moments,
        silog,
    ),
    Metric(
        "silog_unbiased",
        "SILog n-1 ×100",
        "",
        LOW,
        "100 times the standard deviation of e by n - 1: UniDepth",
        log_error_moments,
        silog_unbiased,
    ),
    Metric(
        "silog_half",
        "SILog λ=0.5",
        "",
        LOW,
        "√(mean e² - mean² e / 2), no factor: Depth Anything V2",
        log_error_moments,
        silog_half,
    ),
    *(
        Metric(
            f"delta{power}",
            f"δ{power}",
            "",
            HIGH,
            f"share with max(p/t, t/p) < 1.25{sign}, strictly",
            _count_below_factor(1.25**power),
        )
        for power, sign in ((1, ""), (2, "²"), (3, "³"))
    ),
    Metric(
        "irmse", "iRMSE", "1/m", LOW, "root of mean (1/p - 1/t)²", squared_inverse_error, root_mean
    ),
    Metric("mae", "MAE", "m", LOW, "mean |p - t|", absolute_error),
    Metric(
        "bias",
        "bias",
        "",
        Better.ZERO,
        "mean (p - t) / t: positive where depth comes out too large",
        bias,
    ),
    Metric(
        "boundary_f1",
        "boundary F1",
        "",
        HIGH,
        "scale-invariant F1 of occluding edges (Bochkovskii et al. 2024, Depth Pro)",
        boundary_counts,
        boundary_f1,
    ),
    *RELATIVE_METRICS,
    Metric("point_distance", "point distance", "m", LOW, "mean ‖p̂ - p‖ of points", point_distance),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPair:
    """Predicted depth, of any scale, of points known to be nearer, and of those farther.

    Raises:
        InputError: If their numbers differ, or one is not finite.
        NoGroundTruthError: If there is none.
    """

    nearer: Values
    farther: Values

    def __post_init__(self) -> None:
        if self.nearer.shape != self.farther.shape:
            raise InputError(f"{self.nearer.size} nearer points and {self.farther.size} farther")
        if not self.nearer.size:
            raise NoGroundTruthError("no pair of points: this image says nothing of order")
        if not (np.isfinite(self.nearer).all() and np.isfinite(self.farther).all()):
            raise InputError("the prediction is NaN or infinite at a point of a pair")

    @property
    def count(self) -> int:
        """Number of pairs of points."""
        return self.nearer.size


def count_in_order(pair: OrderPair) -> Sums:
    """Count pairs whose nearer point is predicted nearer; a tie is wrong."""
    return np.array([float(np.count_nonzero(pair.nearer < pair.farther))])


_SUMMARY = "share of pairs whose nearer point is predicted nearer, strictly (DA-2K)"
ORDER_METRICS: Mapping[str, Metric[OrderPair]] = metrics_by_name(
    Metric("in_order", "in order", "", HIGH, _SUMMARY, count_in_order)
)
