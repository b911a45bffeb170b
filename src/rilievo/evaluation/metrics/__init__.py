"""Errors of depth, normals and surfaces."""

from rilievo.evaluation.metrics.certainty import CERTAINTY_METRICS, NORMAL_CERTAINTY_METRICS
from rilievo.evaluation.metrics.depth import DEPTH_METRICS
from rilievo.evaluation.metrics.metric import (
    AnyMetric,
    Better,
    Metric,
    Sums,
    measure,
    pooled,
    value,
)
from rilievo.evaluation.metrics.normals import NORMAL_METRICS, pooled_median
from rilievo.evaluation.metrics.pairs import DepthPair, NormalsPair, PicturePair
from rilievo.evaluation.metrics.picture import PICTURE_METRICS
from rilievo.evaluation.metrics.point_maps import (
    CAMERA_METRICS,
    POINT_METRICS,
    FieldOfViewPair,
    PointsPair,
)

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
