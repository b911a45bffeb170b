"""Depth as 16-bit grey pictures whose numbers a viewer colours, and between which it does so.

A stored 0 is a pixel without depth, which viewers leave clear; every pixel with depth is stored as
1 or more. Metres are stored in whole millimetres, so that the number under the pointer can be
read; where they reach beyond 65.5 m in centimetres, then in decimetres. Other kinds of numbers are
stretched over all 16 bits. In any case number = stored * scale + offset.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt16

from rilievo.io.atomic import replacing
from rilievo.io.facts import UNITS
from rilievo.io.formats.png16 import Coding, coding_of, encode
from rilievo.io.png import write_png
from rilievo.types import DepthKind, DepthMap

LARGEST = 65535
PERCENTILE = 98.0
"""Of the stored numbers, gets the last colour; what is larger keeps it."""

# Sizes of a step, in which a number on the screen is easily read as metres.
_STEPS = {0.001: "mm", 0.01: "cm", 0.1: "dm"}


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatMap:
    """A depth map as it is stored.

    Attributes:
        stored: 0 where there is no depth, else 1 or more.
        coding: From stored numbers to the map's.
        kind: Of the map's numbers.
    """

    stored: UInt16[np.ndarray, "h w"]
    coding: Coding
    kind: DepthKind

    @property
    def unit(self) -> str:
        """Of a stored number: "mm", "cm" or "dm", else "step"."""
        metric = self.kind is DepthKind.METRIC and self.coding.offset == 0
        return _STEPS.get(self.coding.scale, "step") if metric else "step"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Stored numbers that get the first and the last colour.

    Attributes:
        low: None is smaller: FiftyOne leaves what is smaller clear.
        high: Above ``low``.
    """

    low: int
    high: int


def heat_maps(depths: Sequence[DepthMap]) -> list[HeatMap]:
    """Depth maps of one image; those in metres share one coding, so that numbers compare."""
    farthest = [_ends(each)[1] for each in depths if each.kind is DepthKind.METRIC]
    shared = _metric_coding(max(farthest)) if farthest else None
    return [_heat_map(each, shared) for each in depths]


def _heat_map(depth: DepthMap, shared: Coding | None) -> HeatMap:
    if depth.kind is DepthKind.METRIC and shared is not None:
        coding = shared
    else:
        coding = coding_of(depth.kind, *_ends(depth))
    return HeatMap(stored=encode(depth, coding), coding=coding, kind=depth.kind)


def _metric_coding(farthest: float) -> Coding:
    reaches = (step for step in _STEPS if farthest < (LARGEST + 0.5) * step)
    scale = next(reaches, farthest / LARGEST)
    return Coding(scale=scale, offset=0.0)


def _ends(depth: DepthMap) -> tuple[float, float]:
    """Smallest and largest valid number."""
    inside = depth.values[depth.valid]
    return (float(inside.min()), float(inside.max())) if inside.size else (1.0, 1.0)


def limits_of(maps: Sequence[HeatMap], first: HeatMap | None = None) -> Limits:
    """Of maps that share a coding, so that one colour means one depth in all of them.

    Args:
        maps: All of them; the smallest number of any is the lower limit.
        first: Whose percentile is the upper limit, as of the truth; None for the largest of all.
    """
    held = [each.stored[each.stored > 0] for each in maps]
    lows = [int(each.min()) for each in held if each.size]
    tops = held if first is None else [first.stored[first.stored > 0]]
    highs = [float(np.percentile(each, PERCENTILE)) for each in tops if each.size]
    low = min(lows, default=1)
    # A constant map has no range, and a viewer would divide by it.
    return Limits(low=low, high=max(low + 1, round(max(highs, default=1.0))))


def write_heat_map(path: Path, heat_map: HeatMap) -> None:
    """Write the picture; inside it says what its numbers are.

    Raises:
        OutputError: If the system refuses.
    """
    coding = heat_map.coding
    text = {
        "Software": "rilievo",
        "kind": heat_map.kind.value,
        "unit": UNITS.get(heat_map.kind, "arbitrary"),
        "scale": repr(coding.scale),
        "offset": repr(coding.offset),
        "invalid": "0",
    }
    with replacing(path) as part:
        write_png(part, heat_map.stored, text)
