"""Alignment to ground truth in metres, as evaluation protocols do it."""

from typing import NoReturn

from rilievo.alignment.fit import Fit, FitSpace, check_depth_map, to_depth
from rilievo.alignment.ground_truth import METHODS, Aligned, AlignMethod, align
from rilievo.other_libraries import refuse_module_attribute

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


def __getattr__(name: str) -> NoReturn:
    refuse_module_attribute(__name__, name)
