"""Errors of depth, normals and surfaces: one function and one table row each."""

from rilievo.metrics.certainty import CERTAINTY_METRICS, NORMAL_CERTAINTY_METRICS
from rilievo.metrics.depth import DEPTH_METRICS
from rilievo.metrics.metric import AnyMetric, Better, Metric, Sums, measure, pooled, value
from rilievo.metrics.normals import NORMAL_METRICS, pooled_median
from rilievo.metrics.pairs import DepthPair, NormalsPair, PicturePair
from rilievo.metrics.picture import PICTURE_METRICS
from rilievo.metrics.point_maps import CAMERA_METRICS, POINT_METRICS, FieldOfViewPair, PointsPair

__all__ = [
    "CAMERA_METRICS",
    "CERTAINTY_METRICS",
    "DEPTH_METRICS",
    "NORMAL_CERTAINTY_METRICS",
    "NORMAL_METRICS",
    "PICTURE_METRICS",
    "POINT_METRICS",
    "AnyMetric",
    "Better",
    "DepthPair",
    "FieldOfViewPair",
    "Metric",
    "NormalsPair",
    "PicturePair",
    "PointsPair",
    "Sums",
    "measure",
    "pooled",
    "pooled_median",
    "value",
]
