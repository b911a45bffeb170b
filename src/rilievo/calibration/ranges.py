"""Expected errors of metres, fitted on real frames with true depth.

The bound for eight measurements in ten is

    spread * exp(base + far * share + along * share + deeper * log ratio + fact_along * share
                 + assumed)

with a base for each method, and the spread from the confidence, fitted by
``lab/studies/calibrate_ranges.py`` and ``calibrate_anchored_ranges.py``. Errors are logarithmic: L
lies between L / exp(error) and L * exp(error).
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

# Factor within which depth is right, for confidence.
NEAR = 1.25
COVERAGE = 0.8
"""Share of measurements within the range."""
FEATURES = ("far", "along", "deeper", "fact_along", "assumed")
ANCHORED_FEATURES = ("far", "along", "deeper", "fact_along", "assumed", "misfit", "disorder")
USUAL_DOUBT = 0.3
# Least residual of an anchoring that counts.
LEAST_RESIDUAL = 0.02
# Beyond a half, depth is wrong in other ways too.
LEAST_DOUBT, MOST_DOUBT = 0.03, 0.5
KNOWN_LENGTHS = "known lengths"
KNOWN_RECTANGLES = "known rectangles"


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfit:
    """Disagreement of anchored depth with its reference.

    Attributes:
        misfit: Logarithm of the residual.
        disorder: 1 minus the rank correlation.
    """

    misfit: float
    disorder: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """Properties of a number in metres that its error depends on.

    Attributes:
        method: ``Calibration.method``, "smooth field" or "model".
        far: Distance to the nearest fact, in picture widths.
        along: Share of a line that points away, 0 to 1.
        deeper: Absolute log ratio of its depth and the fact's.
        fact_along: Share of the known length that points away.
        doubt: 1 minus the 10 % quantile of the picture's confidence (``picture_doubt``).
    """

    method: str
    far: float = 0.0
    along: float = 0.0
    deeper: float = 0.0
    fact_along: float = 0.0
    assumed: bool = False
    doubt: float = USUAL_DOUBT
    anchored: Misfit | None = None

    def feature(self, name: str) -> float:
        """Value of a feature by its name."""
        holder = self.anchored if name in ("misfit", "disorder") else self
        return float(getattr(holder, name))


def expected_error(quantity: str, circumstances: Circumstances) -> float:
    """Log error that ``COVERAGE`` of such numbers ("length" or "depth") stay below."""
    is_anchored = circumstances.anchored is not None
    size = base_exponent(quantity, circumstances.method, is_anchored=is_anchored)
    features = ANCHORED_FEATURES if is_anchored else FEATURES
    weights = ((name, feature_weight(quantity, name, is_anchored=is_anchored)) for name in features)
    more = 0.0 if is_anchored else log_mean_log_error(circumstances.doubt)
    return math.exp(
        size + more + sum(weight * circumstances.feature(name) for name, weight in weights)
    )


def log_mean_log_error(doubt: float) -> float:
    """Logarithm of the mean log depth error, by the doubt; errors are Laplace's."""
    return math.log(math.log(NEAR) / -math.log(min(max(doubt, LEAST_DOUBT), MOST_DOUBT)))


def base_exponent(quantity: str, method: str, *, is_anchored: bool = False) -> float:
    """Base of a method's exponent; the largest if unknown."""
    bases: Mapping[str, float] = _learned_ranges(is_anchored)[quantity]["base"]
    return bases.get(method, max(bases.values()))


def feature_weight(quantity: str, feature: str, *, is_anchored: bool = False) -> float:
    """Weight of a feature of ``Circumstances``."""
    return float(_learned_ranges(is_anchored)[quantity][feature])


def angle_error(*, is_anchored: bool = False) -> float:
    """Error [degrees] that ``COVERAGE`` of angles stay below."""
    return float(_learned_ranges(is_anchored)["angle"]["degrees"])


@cache
def _learned_ranges(is_anchored: bool) -> Mapping[str, Mapping]:
    text = files("rilievo.calibration").joinpath("ranges.json").read_text(encoding="utf-8")
    learned = json.loads(text)
    return learned["anchored"] if is_anchored else learned
