"""Errors of depth, normals and surfaces: one function and one table row each."""

from rilievo.metrics.depth import DEPTH_METRICS
from rilievo.metrics.metric import AnyMetric, Better, Metric, Sums, measure, pooled, sums_of, value
from rilievo.metrics.normals import NORMAL_METRICS, pooled_median
from rilievo.metrics.pairs import DepthPair, NormalsPair, PicturePair
from rilievo.metrics.picture import PICTURE_METRICS

__all__ = [
    "DEPTH_METRICS",
    "NORMAL_METRICS",
    "PICTURE_METRICS",
    "AnyMetric",
    "Better",
    "DepthPair",
    "Metric",
    "NormalsPair",
    "PicturePair",
    "Sums",
    "measure",
    "pooled",
    "pooled_median",
    "sums_of",
    "value",
]
