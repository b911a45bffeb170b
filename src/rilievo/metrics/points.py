"""Errors in space: between the points of one image, and between two point clouds."""

import numpy as np
from jaxtyping import Float, Float64

from rilievo.errors import InputError, MissingExtraError, OptionError
from rilievo.metrics.metric import Sums
from rilievo.metrics.pairs import DepthPair


def point_rel(pair: DepthPair) -> Sums:
    """Sum of ‖p̂ - p‖ / (‖p‖ + 1e-6), with points p [m] of the same pixel (Wang et al. 2025, MoGe).

    With one camera for both, a point's error is along its ray, and this is nearly AbsRel; with
    ``predicted_camera`` it includes the error of the model's own camera.
    """
    true = np.sqrt(np.square(pair.true_points).sum(axis=0))
    return np.array([(pair.point_gap / (true + 1e-6)).sum()])


def point_delta1(pair: DepthPair) -> Sums:
    """Count of ‖p̂ - p‖ < 0.25 min(‖p‖, ‖p̂‖) (Wang et al. 2025, MoGe)."""
    true, predicted = (
        np.square(points).sum(axis=0) for points in (pair.true_points, pair.predicted_points)
    )
    near = pair.point_gap < 0.25 * np.sqrt(np.minimum(true, predicted))
    return np.array([float(np.count_nonzero(near))])


def point_distance(pair: DepthPair) -> Sums:
    """Sum of ‖p̂ - p‖ [m]."""
    return np.array([pair.point_gap.sum()])


def cloud_distances(
    points: Float[np.ndarray, "n 3"], cloud: Float[np.ndarray, "m 3"]
) -> Float64[np.ndarray, "n"]:
    """Distance [m] from each point to the nearest one of a cloud.

    Raises:
        InputError: If either is empty or has NaN or infinite coordinates.
        MissingExtraError: If scipy is not installed.
    """
    try:
        from scipy.spatial import KDTree
    except ImportError as error:
        raise MissingExtraError("comparing clouds of points", "evaluate") from error
    for array in (points, cloud):
        if array.ndim != 2 or array.shape[1:] != (3,) or not len(array):
            raise InputError(f"a cloud is (points, 3) with at least one, this is {array.shape}")
        if not np.isfinite(array).all():
            raise InputError("a cloud has NaN or infinite coordinates: leave such points out")
    return np.asarray(KDTree(cloud).query(points)[0], dtype=np.float64)


def cloud_accuracy(predicted: Float[np.ndarray, "n 3"], true: Float[np.ndarray, "m 3"]) -> float:
    """Mean distance [m] of predicted points to the true surface."""
    return float(cloud_distances(predicted, true).mean())


def cloud_completeness(
    predicted: Float[np.ndarray, "n 3"], true: Float[np.ndarray, "m 3"]
) -> float:
    """Mean distance [m] of true points to the predicted surface."""
    return float(cloud_distances(true, predicted).mean())


def cloud_f_score(
    predicted: Float[np.ndarray, "n 3"], true: Float[np.ndarray, "m 3"], threshold: float
) -> float:
    """Harmonic mean of precision and recall, in [0, 1]; 0 if no points are close.

    Precision is the share of predicted points nearer than the threshold [m] to a true one; recall
    is the share of true points nearer than that to a predicted one (Knapitsch et al. 2017).

    Raises:
        OptionError: If the threshold is not positive.
    """
    if not threshold > 0:
        raise OptionError(f"the threshold of an F-score is a positive distance, not {threshold}")
    precision = np.mean(cloud_distances(predicted, true) < threshold)
    recall = np.mean(cloud_distances(true, predicted) < threshold)
    both = precision + recall
    return float(2 * precision * recall / both) if both else 0.0
