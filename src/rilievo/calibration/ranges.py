"""Expected errors of metres by a network's depth, fitted on real frames with true depth.

The error that eight in ten measurements stay below is

    spread * exp(base + far * share + along * share + deeper * log ratio + fact_along * share
                 + assumed)

with a base for each method, and the spread from the confidence, fitted by
``lab/studies/calibrate_ranges.py`` and ``calibrate_anchored_ranges.py``. Errors are logarithmic: a
length L lies between L / exp(error) and L * exp(error).
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

COVERAGE = 0.8
"""Share of measurements within their range."""
FEATURES = ("far", "along", "deeper", "fact_along", "assumed")
"""Properties of a measurement by which its error grows; see ``Circumstances``."""
ANCHORED_FEATURES = (*FEATURES, "misfit", "disorder")
"""The same for anchored depth; see ``Misfit``."""
TYPICAL_DOUBT = 0.3
"""Doubt of a picture without a confidence that could tell it."""
MIN_RESIDUAL = 0.02
"""Least residual of an anchor that counts; depth is not more certain below it."""
MIN_DOUBT, MAX_DOUBT = 0.03, 0.5
"""Range of the doubt that counts. Beyond a half, depth is wrong in other ways too."""
KNOWN_LENGTHS = "known lengths"
KNOWN_RECTANGLES = "known rectangles"

_CONFIDENCE_FACTOR = 1.25
"""Factor within which depth is right, for the probability that a confidence gives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfit:
    """Disagreement of anchored depth with the depth to which it was fitted.

    Attributes:
        misfit: Logarithm of the fit's residual.
        disorder: 1 minus the rank correlation of both.
    """

    misfit: float
    disorder: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """Properties of a measurement in metres that its error depends on.

    Attributes:
        method: ``Calibration.method``, "smooth field" or "model".
        far: Distance to the nearest known size, in widths of the picture.
        along: Share of the measured line that points away from the camera, 0 to 1.
        deeper: Absolute log ratio of the depth and that of the nearest known size.
        fact_along: Share of the known length that points away from the camera, 0 to 1.
        assumed: Whether the focal length is assumed.
        doubt: 1 minus the 10 % quantile of the picture's confidence (``picture_doubt``).
        anchored: Disagreement of anchored depth; None for other depth.
    """

    method: str
    far: float = 0.0
    along: float = 0.0
    deeper: float = 0.0
    fact_along: float = 0.0
    assumed: bool = False
    doubt: float = TYPICAL_DOUBT
    anchored: Misfit | None = None

    def feature(self, name: str) -> float:
        """Value of a feature by its name in ``ANCHORED_FEATURES``."""
        record = self.anchored if name in ("misfit", "disorder") else self
        return float(getattr(record, name))


def expected_error(quantity: str, circumstances: Circumstances) -> float:
    """Log error that ``COVERAGE`` of such measurements ("length" or "depth") stay below."""
    is_anchored = circumstances.anchored is not None
    exponent = base_exponent(quantity, circumstances.method, is_anchored=is_anchored)
    log_spread = 0.0 if is_anchored else log_mean_log_error(circumstances.doubt)
    features = ANCHORED_FEATURES if is_anchored else FEATURES
    growth = sum(
        feature_weight(quantity, name, is_anchored=is_anchored) * circumstances.feature(name)
        for name in features
    )
    return math.exp(exponent + log_spread + growth)


def log_mean_log_error(doubt: float) -> float:
    """Logarithm of the mean log depth error of a picture, if the errors are Laplace's.

    The doubt is the probability that depth is wrong by more than a factor of 1.25.
    """
    probability = min(max(doubt, MIN_DOUBT), MAX_DOUBT)
    return math.log(math.log(_CONFIDENCE_FACTOR) / -math.log(probability))


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
    text = files("rilievo.calibration").joinpath("ranges.json").read_text(encoding="utf-8")
    learned = json.loads(text)
    return learned["anchored"] if is_anchored else learned
