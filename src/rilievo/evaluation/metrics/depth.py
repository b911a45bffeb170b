"""Depth errors of one image; p is predicted and t true depth [m], and e is ln p - ln t."""

from collections.abc import Callable, Mapping

import numpy as np

from rilievo.alignment.fit import dot
from rilievo.evaluation.metrics.boundary import BOUNDARY_F1
from rilievo.evaluation.metrics.metric import (
    Better,
    Metric,
    Sums,
    metrics_by_name,
    root_mean,
)
from rilievo.evaluation.metrics.pairs import DepthPair
from rilievo.evaluation.metrics.point_maps import POINT_DISTANCE, RELATIVE_METRICS

LOW = Better.LOWER
HIGH = Better.HIGHER
DepthMetric = Metric[DepthPair]


def abs_rel(pair: DepthPair) -> Sums:
    """Sum of |p - t| / t."""
    return np.array([np.abs(pair.relative).sum()])


ABS_REL: DepthMetric = Metric("abs_rel", "AbsRel", "", LOW, "mean |p - t| / t", abs_rel)


def bias(pair: DepthPair) -> Sums:
    """Sum of (p - t) / t."""
    return np.array([pair.relative.sum()])


BIAS: DepthMetric = Metric(
    "bias",
    "bias",
    "",
    Better.ZERO,
    "mean (p - t) / t, which is positive if depth is predicted too large",
    bias,
)


def sq_rel(pair: DepthPair) -> Sums:
    """Sum of (p - t)² / t [m]."""
    return np.array([dot(pair.relative, pair.difference)])


SQ_REL: DepthMetric = Metric(
    "sq_rel", "SqRel", "m", LOW, "mean (p - t)² / t (Eigen et al. 2014)", sq_rel
)


def squared_error(pair: DepthPair) -> Sums:
    """Sum of (p - t)² [m²]."""
    return np.array([dot(pair.difference, pair.difference)])


RMSE: DepthMetric = Metric(
    "rmse", "RMSE", "m", LOW, "root of mean (p - t)²", squared_error, root_mean
)


def absolute_error(pair: DepthPair) -> Sums:
    """Sum of |p - t| [m]."""
    return np.array([np.abs(pair.difference).sum()])


MAE: DepthMetric = Metric("mae", "MAE", "m", LOW, "mean |p - t|", absolute_error)


def squared_inverse_error(pair: DepthPair) -> Sums:
    """Sum of (1/p - 1/t)² [1/m²]."""
    inverse_difference = pair.relative / pair.p
    return np.array([dot(inverse_difference, inverse_difference)])


IRMSE: DepthMetric = Metric(
    "irmse", "iRMSE", "1/m", LOW, "root of mean (1/p - 1/t)²", squared_inverse_error, root_mean
)


def squared_log_error(pair: DepthPair) -> Sums:
    """Sum of (ln p - ln t)²."""
    return np.array([dot(pair.abs_log_error, pair.abs_log_error)])


RMSE_LOG: DepthMetric = Metric(
    "rmse_log", "RMSElog", "", LOW, "root of mean e²", squared_log_error, root_mean
)


def log10_error(pair: DepthPair) -> Sums:
    """Sum of |log₁₀ p - log₁₀ t|."""
    return np.array([pair.abs_log_error.sum() / np.log(10)])


LOG10: DepthMetric = Metric("log10", "log10", "", LOW, "mean |log₁₀ p - log₁₀ t|", log10_error)


def log_error_moments(pair: DepthPair) -> Sums:
    """Sums for the standard deviation of ln p - ln t (see ``DepthPair.log_error_moments``)."""
    return pair.log_error_moments


def _squared_deviations(sums: Sums, count: int) -> float:
    """Sum of (e - mean)² over all images, whose deviations are from their common mean.

    This is the sum of deviations within the images, and of those between their means.
    """
    within_images, error_sum, squared_sums_over_n = sums
    between_images = squared_sums_over_n - error_sum * error_sum / count
    # Rounding can make the difference slightly negative.
    return float(within_images + max(between_images, 0.0))


def silog(sums: Sums, count: int) -> float:
    """100 standard deviations of ln p - ln t, divisor n."""
    return 100 * float(np.sqrt(_squared_deviations(sums, count) / count))


SILOG: DepthMetric = Metric(
    "silog",
    "SILog ×100",
    "",
    LOW,
    "100 √(mean e² - (mean e)²), as in KITTI and Marigold",
    log_error_moments,
    silog,
)


def silog_unbiased(sums: Sums, count: int) -> float:
    """100 standard deviations of ln p - ln t, divisor n - 1."""
    return 100 * float(np.sqrt(_squared_deviations(sums, count) / max(count - 1, 1)))


SILOG_UNBIASED: DepthMetric = Metric(
    "silog_unbiased",
    "SILog n-1 ×100",
    "",
    LOW,
    "100 times the standard deviation of e with the divisor n - 1 (UniDepth)",
    log_error_moments,
    silog_unbiased,
)


def silog_half(sums: Sums, count: int) -> float:
    """Root of (mean e² - mean² e / 2), e = ln p - ln t."""
    mean_error = sums[1] / count
    variance = _squared_deviations(sums, count) / count
    # The variance is mean e² - mean² e, so half of mean² e is added to it.
    return float(np.sqrt(variance + mean_error * mean_error / 2))


SILOG_HALF: DepthMetric = Metric(
    "silog_half",
    "SILog λ=0.5",
    "",
    LOW,
    "√(mean e² - (mean e)² / 2), without the factor 100 (Depth Anything V2)",
    log_error_moments,
    silog_half,
)


def _count_below_factor(bound: float) -> Callable[[DepthPair], Sums]:
    return lambda pair: np.array([float(np.count_nonzero(pair.depth_ratio < bound))])


DELTAS: tuple[DepthMetric, ...] = tuple(
    Metric(
        f"delta{power}",
        f"δ{power}",
        "",
        HIGH,
        f"fraction with max(p/t, t/p) strictly below 1.25{sign}",
        _count_below_factor(1.25**power),
    )
    for power, sign in ((1, ""), (2, "²"), (3, "³"))
)


# A new metric is one function with its Metric, here or in a file of its own, and one name below.
DEPTH_METRICS: Mapping[str, DepthMetric] = metrics_by_name(
    *(ABS_REL, SQ_REL, RMSE, RMSE_LOG, LOG10),
    *(SILOG, SILOG_UNBIASED, SILOG_HALF),
    *DELTAS,
    *(IRMSE, MAE, BIAS),
    BOUNDARY_F1,
    *RELATIVE_METRICS,
    POINT_DISTANCE,
)
