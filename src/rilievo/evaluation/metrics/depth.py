"""Depth errors of one image, errors in space, and the order of points.

p is predicted and t true depth [m] at the valid pixels, e = ln p - ln t.
"""

from collections.abc import Callable, Mapping

import numpy as np

from rilievo.alignment.fit import dot
from rilievo.errors import InputError, NoGroundTruthError, OptionError, needing
from rilievo.evaluation.arrays import Cloud, OtherCloud
from rilievo.evaluation.metrics.boundary import boundary_counts, boundary_f1
from rilievo.evaluation.metrics.metric import Better, Metric, Sums, root_mean, table_of
from rilievo.evaluation.metrics.pairs import DepthPair
from rilievo.evaluation.metrics.point_maps import RELATIVE_METRICS, point_distance
from rilievo.frozen import frozen
from rilievo.shapes import Values


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
    """Sum of e²."""
    return np.array([dot(pair.log_factor, pair.log_factor)])


def log10_error(pair: DepthPair) -> Sums:
    """Sum of |log₁₀ p - log₁₀ t|."""
    return np.array([pair.log_factor.sum() / np.log(10)])


def log_moments(pair: DepthPair) -> Sums:
    """Sums for every form of the scale-invariant log error."""
    return pair.log_moments


def silog(sums: Sums, count: int) -> float:
    """100 standard deviations of e, with divisor n."""
    return 100 * float(np.sqrt(_squared_deviations(sums, count) / count))


def silog_unbiased(sums: Sums, count: int) -> float:
    """100 standard deviations of e, with divisor n - 1."""
    return 100 * float(np.sqrt(_squared_deviations(sums, count) / max(count - 1, 1)))


def silog_half(sums: Sums, count: int) -> float:
    """Root of (mean of e² minus half the squared mean of e)."""
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
DEPTH_METRICS: Mapping[str, Metric[DepthPair]] = table_of(
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
        log_moments,
        silog,
    ),
    Metric(
        "silog_unbiased",
        "SILog n-1 ×100",
        "",
        LOW,
        "100 times the standard deviation of e by n - 1: UniDepth",
        log_moments,
        silog_unbiased,
    ),
    Metric(
        "silog_half",
        "SILog λ=0.5",
        "",
        LOW,
        "√(mean e² - mean² e / 2), no factor: Depth Anything V2",
        log_moments,
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


@frozen
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


def in_order(pair: OrderPair) -> Sums:
    """Count pairs whose nearer point is predicted nearer; a tie is wrong."""
    return np.array([float(np.count_nonzero(pair.nearer < pair.farther))])


_SUMMARY = "share of pairs whose nearer point is predicted nearer, strictly (DA-2K)"
ORDER_METRICS: Mapping[str, Metric[OrderPair]] = table_of(
    Metric("in_order", "in order", "", HIGH, _SUMMARY, in_order)
)
