"""Expected errors of metres, fitted on real frames with true depth.

The error bound that holds for eight measurements in ten is modelled as

    spread * exp(base + far * share + along * share + deeper * log ratio + fact_along * share
                 + assumed)

with a base for each method of calibration. The spread is the size of a photograph's errors by its
confidence, which is not fitted. Base and weights are fitted by ``lab/studies/calibrate_ranges.py``
on photographs that no training saw, predicted by the embedded model; other cameras judge them.
Anchored depth has a base and weights of its own, two of them for
how well the anchoring fits; ``lab/studies/calibrate_anchored_ranges.py`` fits them. Errors are
errors of the logarithm, so a length L lies between L / exp(error) and L * exp(error).
"""

import json
import math
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from rilievo.frozen import frozen

NEAR = 1.25
"""Factor within which depth is right, as the confidence of the embedded models has it."""
COVERAGE = 0.8
"""Share of measurements whose truth lies within the range."""
FEATURES = ("far", "along", "deeper", "fact_along", "assumed")
ANCHORED_FEATURES = ("far", "along", "deeper", "fact_along", "assumed", "misfit", "disorder")
USUAL_DOUBT = 0.2
"""Doubt of a photograph whose model gives no confidence: the mean of those it was fitted on."""
LEAST_RESIDUAL = 0.02
"""Residual of an anchoring below which a better one says nothing more."""
LEAST_DOUBT, MOST_DOUBT = 0.03, 0.5
"""Bounds of a photograph's doubt: beyond the half, depth is wrong in other ways too."""
KNOWN_LENGTHS = "known lengths"
"""``Calibration.method`` of metres that come from lengths."""
KNOWN_RECTANGLES = "known rectangles"
"""``Calibration.method`` of metres that come from rectangles."""


@frozen
class Misfit:
    """Disagreement of anchored depth with the depth to which it was anchored.

    Attributes:
        misfit: Logarithm of the anchoring's residual, which is at least ``LEAST_RESIDUAL``.
        disorder: 1 minus the rank correlation of both.
    """

    misfit: float
    disorder: float


@frozen
class Circumstances:
    """Properties of one number in metres that its expected error depends on.

    Attributes:
        method: Source of the metres: ``Calibration.method``, "smooth field" where one was found,
            or "model" for a model's own.
        far: Distance in the picture to the nearest known fact, in picture widths.
        along: Share of a measured line that points away from the camera, 0 to 1; 0 for a depth.
        deeper: Absolute logarithm of the ratio between its depth and the depth of the fact.
        fact_along: Share of the known length that points away from the camera; 0 for a point.
        assumed: Whether the focal length is assumed.
        doubt: 1 minus the mean confidence of the photograph, from ``LEAST_DOUBT`` to
            ``MOST_DOUBT``. Not of anchored depth.
        anchored: Fit of an anchoring; None of depth that was not anchored.
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
        """Value of one of ``FEATURES`` or ``ANCHORED_FEATURES``."""
        holder = self.anchored if name in ("misfit", "disorder") else self
        return float(getattr(holder, name))


def expected_error(what: str, circumstances: Circumstances) -> float:
    """Error of the logarithm that a share ``COVERAGE`` of such numbers stays below.

    Args:
        what: "length" or "depth".
        circumstances: Circumstances of the number.
    """
    is_anchored = circumstances.anchored is not None
    size = base_of(what, circumstances.method, is_anchored=is_anchored)
    features = ANCHORED_FEATURES if is_anchored else FEATURES
    weights = ((name, weight_of(what, name, is_anchored=is_anchored)) for name in features)
    more = 0.0 if is_anchored else log_spread(circumstances.doubt)
    return math.exp(
        size + more + sum(weight * circumstances.feature(name) for name, weight in weights)
    )


def log_spread(doubt: float) -> float:
    """Logarithm of the mean size of the errors of log depth in a photograph, by its doubt.

    Confidence is the chance that depth is right within a factor of 1.25. Errors with the
    distribution of Laplace and this mean exceed that with the chance of the doubt.
    """
    return math.log(math.log(NEAR) / -math.log(min(max(doubt, LEAST_DOUBT), MOST_DOUBT)))


def base_of(what: str, method: str, *, is_anchored: bool = False) -> float:
    """Logarithm of the error by how metres came about; the largest of a method without its own."""
    bases: Mapping[str, float] = _learned(is_anchored)[what]["base"]
    return bases.get(method, max(bases.values()))


def weight_of(what: str, feature: str, *, is_anchored: bool = False) -> float:
    """Weight of one of ``FEATURES``, or of ``ANCHORED_FEATURES``."""
    return float(_learned(is_anchored)[what][feature])


def angle_error(*, is_anchored: bool = False) -> float:
    """Error [degrees] that a share ``COVERAGE`` of angles between planes stays below."""
    return float(_learned(is_anchored)["angle"]["degrees"])


@cache
def _learned(is_anchored: bool) -> Mapping[str, Mapping]:
    text = files("rilievo.calibration").joinpath("ranges.json").read_text(encoding="utf-8")
    learned = json.loads(text)
    return learned["anchored"] if is_anchored else learned
