"""Errors to expect of metres, learned on real frames with true depth.

The size of an error that eight measurements in ten keep below is taken as

    exp(base + far * share + along * share + deeper * log ratio + fact_along * share + assumed)

with the base of how metres came about and weights fitted by ``tools/calibrate_ranges.py`` on frames
of several cameras, predicted by the embedded model; its folds hold whole frames out. Errors are of
the logarithm, so a length L lies between L / exp(error) and L * exp(error).
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

COVERAGE = 0.8
"""Share of measurements whose truth lies within the range."""
FEATURES = ("far", "along", "deeper", "fact_along", "assumed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What the error of one number in metres depends on.

    Attributes:
        method: How metres came about, as ``Calibration.method``, "smooth field" where one was
            found, or "model" for a model's own.
        far: Distance in the picture to the nearest thing that was known, in its widths.
        along: Share of a measured line that points away from the camera, 0 to 1; 0 of a depth.
        deeper: Absolute logarithm of the ratio of its depth and that of what was known.
        fact_along: Share of the known length that points away from the camera; 0 of a point.
        assumed: Whether the focal length is assumed.
    """

    method: str
    far: float = 0.0
    along: float = 0.0
    deeper: float = 0.0
    fact_along: float = 0.0
    assumed: bool = False


def expected_error(what: str, given: Circumstances) -> float:
    """Error of the logarithm that ``COVERAGE`` of such numbers keep below.

    Args:
        what: "length" or "depth".
        given: What it depends on.
    """
    learned = _learned()[what]
    bases: Mapping[str, float] = learned["base"]
    size = bases.get(given.method, max(bases.values()))
    size += sum(learned[name] * float(getattr(given, name)) for name in FEATURES)
    return math.exp(size)


def angle_error() -> float:
    """Degrees that ``COVERAGE`` of angles between planes are off by, at most."""
    return float(_learned()["angle"]["degrees"])


@cache
def _learned() -> Mapping[str, Mapping]:
    text = files("rilievo.calibration").joinpath("ranges.json").read_text(encoding="utf-8")
    return json.loads(text)
