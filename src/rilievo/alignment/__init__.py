"""Alignment to ground truth in metres, as evaluation protocols do it."""

from rilievo.alignment.fit import Fit, FitSpace, check_depth_map, to_depth
from rilievo.alignment.ground_truth import METHODS, Aligned, AlignMethod, align

__all__ = [
    "METHODS",
    "AlignMethod",
    "Aligned",
    "Fit",
    "FitSpace",
    "align",
    "check_depth_map",
    "to_depth",
]
