"""Depth errors of one image; p is predicted and t true depth [m], and e is ln p - ln t."""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from rilievo.alignment.fit import dot
from rilievo.errors.messages import count_text
from rilievo.evaluation.metrics.boundary import (
    boundary_counts,
    boundary_f1,
    window_edge_counts,
    window_f1,
)
from rilievo.evaluation.metrics.metric import (
    Better,
    Metric,
    Sums,
    first_sum,
    metrics_by_name,
    root_mean,
)
from rilievo.evaluation.metrics.order import OrderPair, count_in_order
from rilievo.evaluation.metrics.pairs import DepthPair, PicturePair
from rilievo.evaluation.metrics.picture import psnr, squared_grey_error, ssim
from rilievo.evaluation.metrics.point_maps import (
    POINT_DISTANCE,
    RELATIVE_METRICS,
    point_distance,
)

WINDOW_METRICS: Mapping[str, Metric[DepthPair]] = metrics_by_name(
    *(
        Metric(
            f"edge_f1_r{radius}",
            f"edge F1 r={radius}",
            "",
            Better.HIGHER,
            "F1 of occluding edges in windows with a radius of "
            f"{count_text(radius, 'pixel')} (MoGe)",
            partial(window_edge_counts, radius=radius),
            window_f1,
        )
        for radius in (1, 2, 3)
    )
)

_RMSE = "root mean squared difference of grey levels from 0 to 255"
_PSNR = "peak signal-to-noise ratio of grey levels from 0 to 255 (scikit-image)"
_SSIM = "structural similarity of grey levels from 0 to 255 in windows of 7x7 pixels (scikit-image)"

# A new metric is one function above and one entry here.
PICTURE_METRICS: Mapping[str, Metric[PicturePair]] = metrics_by_name(
    Metric("rmse", "RMSE", "", Better.LOWER, _RMSE, squared_grey_error, root_mean),
    Metric("psnr", "PSNR", "dB", Better.HIGHER, _PSNR, psnr, first_sum, pools=False),
    Metric("ssim", "SSIM", "", Better.HIGHER, _SSIM, ssim, first_sum, pools=False),
)


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
    inverse_difference = pair.relative / pair.p
    return np.array([dot(inverse_difference, inverse_difference)])


def squared_log_error(pair: DepthPair) -> Sums:
    """Sum of (ln p - ln t)²."""
    return np.array([dot(pair.abs_log_error, pair.abs_log_error)])


def log10_error(pair: DepthPair) -> Sums:
    """Sum of |log₁₀ p - log₁₀ t|."""
    return np.array([pair.abs_log_error.sum() / np.log(10)])


def log_error_moments(pair: DepthPair) -> Sums:
    """Sums for the standard deviation of ln p - ln t (see ``DepthPair.log_error_moments``)."""
    return pair.log_error_moments


def silog(sums: Sums, count: int) -> float:
    """100 standard deviations of ln p - ln t, divisor n."""
    return 100 * float(np.sqrt(_squared_deviations(sums, count) / count))


def silog_unbiased(sums: Sums, count: int) -> float:
    """100 standard deviations of ln p - ln t, divisor n - 1."""
    return 100 * float(np.sqrt(_squared_deviations(sums, count) / max(count - 1, 1)))


def silog_half(sums: Sums, count: int) -> float:
    """Root of (mean e² - mean² e / 2), e = ln p - ln t."""
    mean_error = sums[1] / count
    variance = _squared_deviations(sums, count) / count
    # The variance is mean e² - mean² e, so half of mean² e is added to it.
    return float(np.sqrt(variance + mean_error * mean_error / 2))


def _squared_deviations(sums: Sums, count: int) -> float:
    """Sum of (e - mean)² over all images, whose deviations are from their common mean.

    This is the sum of deviations within the images, and of those between their means.
    """
    within_images, error_sum, squared_sums_over_n = sums
    between_images = squared_sums_over_n - error_sum * error_sum / count
    # Rounding can make the difference slightly negative.
    return float(within_images + max(between_images, 0.0))


def _count_below_factor(bound: float) -> Callable[[DepthPair], Sums]:
    return lambda pair: np.array([float(np.count_nonzero(pair.depth_ratio < bound))])


LOW = Better.LOWER
HIGH = Better.HIGHER

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
        "100 √(mean e² - (mean e)²), as in KITTI and Marigold",
        log_error_moments,
        silog,
    ),
    Metric(
        "silog_unbiased",
        "SILog n-1 ×100",
        "",
        LOW,
        "100 times the standard deviation of e with the divisor n - 1 (UniDepth)",
        log_error_moments,
        silog_unbiased,
    ),
    Metric(
        "silog_half",
        "SILog λ=0.5",
        "",
        LOW,
        "√(mean e² - (mean e)² / 2), without the factor 100 (Depth Anything V2)",
        log_error_moments,
        silog_half,
    ),
    *(
        Metric(
            f"delta{power}",
            f"δ{power}",
            "",
            HIGH,
            f"fraction with max(p/t, t/p) strictly below 1.25{sign}",
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
        "mean (p - t) / t, which is positive if depth is predicted too large",
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
    Metric("point_distance", "point distance", "m", LOW, POINT_DISTANCE, point_distance),
)

_IN_ORDER = "fraction of pairs of points whose nearer point is predicted strictly nearer (DA-2K)"
ORDER_METRICS: Mapping[str, Metric[OrderPair]] = metrics_by_name(
    Metric("in_order", "in order", "", HIGH, _IN_ORDER, count_in_order)
)
