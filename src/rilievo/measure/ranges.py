"""Expected errors of metres by a network's depth, fitted on real frames with true depth.

The error that eight in ten measurements stay below is

    spread * exp(base + sum of weight * feature)

with a base for each method, the features of ``Circumstances``, and the spread from the confidence.
Bases and weights were fitted by ``lab/studies/calibrate_ranges.py`` and
``calibrate_anchored_ranges.py``. Errors are logarithmic: a length L lies between L / exp(error) and
L * exp(error).
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

COVERAGE = 0.8
"""Fraction of measurements within their range."""
FEATURES = ("far", "along", "deeper", "fact_along", "assumed")
"""Features by which the error grows, as ``ranges.json`` names them; see ``Circumstances``."""
ANCHORED_FEATURES = (*FEATURES, "misfit", "disorder")
"""The same for anchored depth; see ``AnchoringMisfit``."""
TYPICAL_DOUBT = 0.3
"""Doubt of a picture without a suitable confidence."""
MIN_RESIDUAL = 0.02
"""Residual of an anchoring below which depth is not more certain."""
MIN_DOUBT, MAX_DOUBT = 0.03, 0.5
"""Limits to which the doubt is clipped. Beyond a half, depth is wrong in other ways too."""

CONFIDENCE_FACTOR = 1.25
"""A confidence is the probability that depth is right within this factor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchoringMisfit:
    """Disagreement of anchored depth with the depth to which it was fitted.

    Attributes:
        log_residual: Logarithm of the fit's residual.
        rank_disorder: 1 minus the rank correlation of both.
    """

    log_residual: float
    rank_disorder: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """Properties of a measurement in metres that its error depends on.

    Attributes:
        method: ``Calibration.method``, "smooth field" or "model".
        known_size_distance: Distance to the nearest known size, in widths of the picture.
        radial_fraction: Fraction of the measured line that points away from the camera, 0 to 1.
        log_depth_ratio: Absolute log ratio of the depth and that of the nearest known size.
        known_radial_fraction: The same fraction of the known length.
        doubt: 1 minus the 10% quantile of the picture's confidence (``picture_doubt``).
        anchoring: Disagreement of anchored depth; None for other depth.
    """

    method: str
    known_size_distance: float = 0.0
    radial_fraction: float = 0.0
    log_depth_ratio: float = 0.0
    known_radial_fraction: float = 0.0
    is_focal_length_guessed: bool = False
    doubt: float = TYPICAL_DOUBT
    anchoring: AnchoringMisfit | None = None

    @property
    def features(self) -> dict[str, float]:
        """Features by their names in ``ranges.json``."""
        features = {
            "far": self.known_size_distance,
            "along": self.radial_fraction,
            "deeper": self.log_depth_ratio,
            "fact_along": self.known_radial_fraction,
            "assumed": float(self.is_focal_length_guessed),
        }
        if self.anchoring is not None:
            features["misfit"] = self.anchoring.log_residual
            features["disorder"] = self.anchoring.rank_disorder
        return features


def expected_error(quantity: str, circumstances: Circumstances) -> float:
    """Log error that ``COVERAGE`` of such measurements ("length" or "depth") stay below."""
    is_anchored = circumstances.anchoring is not None
    exponent = base_exponent(quantity, circumstances.method, is_anchored=is_anchored)
    log_spread = 0.0 if is_anchored else log_mean_log_error(circumstances.doubt)
    weighted_features = sum(
        feature_weight(quantity, name, is_anchored=is_anchored) * value
        for name, value in circumstances.features.items()
    )
    return math.exp(exponent + log_spread + weighted_features)


def log_mean_log_error(doubt: float) -> float:
    """Logarithm of the mean absolute log depth error of a picture.

    The doubt is the probability that depth is wrong by more than a factor of 1.25. If log errors
    have a Laplace distribution with the mean absolute value b, doubt = exp(-log(1.25) / b).
    """
    probability = min(max(doubt, MIN_DOUBT), MAX_DOUBT)
    return math.log(math.log(CONFIDENCE_FACTOR) / -math.log(probability))


def base_exponent(quantity: str, method: str, *, is_anchored: bool = False) -> float:
    """Base of the exponent for a method; the largest base if the method is unknown."""
    bases: Mapping[str, float] = _learned_ranges(is_anchored)[quantity]["base"]
    return bases.get(method, max(bases.values()))


def feature_weight(quantity: str, feature: str, *, is_anchored: bool = False) -> float:
    """Factor of a feature of ``Circumstances`` in the exponent."""
    return float(_learned_ranges(is_anchored)[quantity][feature])


def angle_error(*, is_anchored: bool = False) -> float:
    """Error [degrees] that ``COVERAGE`` of angles stay below."""
    return float(_learned_ranges(is_anchored)["angle"]["degrees"])


@cache
def _learned_ranges(is_anchored: bool) -> Mapping[str, Mapping]:
    text = files("rilievo.measure").joinpath("ranges.json").read_text(encoding="utf-8")
    learned = json.loads(text)
    return learned["anchored"] if is_anchored else learned
