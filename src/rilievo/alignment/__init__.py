"""Predictions brought to metres by ground truth, as evaluation protocols do it.

A method fits one or two numbers over the pixels that have ground truth. Which one a benchmark uses
changes its scores, so it is named and its fit kept. For metres without ground truth see
``rilievo.calibration``.
"""

from rilievo.alignment.aligned import Aligned, align
from rilievo.alignment.fit import Fit, FitSpace, check_depth_map, to_depth
from rilievo.alignment.method import METHODS, AlignMethod

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
