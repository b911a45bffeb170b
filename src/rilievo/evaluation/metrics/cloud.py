"""Distances between predicted and true points in space, in any order."""

import numpy as np

from rilievo.arrays.shapes import Values
from rilievo.errors import InputError, OptionError, explain_missing_extra
from rilievo.evaluation.metrics.metric import Cloud, OtherCloud


def cloud_distances(points: Cloud, cloud: OtherCloud) -> Values:
    """Distance [m] from each point to the nearest point of a cloud."""
    with explain_missing_extra("comparing point clouds", "evaluate"):
        from scipy.spatial import KDTree
    for array in (points, cloud):
        if array.ndim != 2 or array.shape[1:] != (3,) or not len(array):
            raise InputError(
                "a point cloud must have the shape (points, 3) with at least one point, got "
                f"{array.shape}"
            )
        if not np.isfinite(array).all():
            raise InputError(
                "a point cloud has NaN or infinite coordinates: leave these points out"
            )
    distances, _ = KDTree(cloud).query(points)
    return np.asarray(distances, dtype=np.float64)


def cloud_accuracy(predicted: Cloud, true: OtherCloud) -> float:
    """Mean distance [m] of predicted points to the true ones."""
    return float(cloud_distances(predicted, true).mean())


def cloud_completeness(predicted: Cloud, true: OtherCloud) -> float:
    """Mean distance [m] of true points to the predicted ones."""
    return float(cloud_distances(true, predicted).mean())


def cloud_f_score(predicted: Cloud, true: OtherCloud, threshold: float) -> float:
    """F-score of points nearer than a threshold [m], in [0, 1] (Knapitsch et al. 2017)."""
    if not threshold > 0:
        raise OptionError(
            f"the threshold of an F-score must be a positive distance, got {threshold}"
        )
    precision = np.mean(cloud_distances(predicted, true) < threshold)
    recall = np.mean(cloud_distances(true, predicted) < threshold)
    if not precision + recall:
        return 0.0
    return float(2 * precision * recall / (precision + recall))
