"""Heat maps: depth as 16-bit grey pictures, for viewers that colour values between two limits.

A stored 0 is a pixel without depth, which viewers show transparent; pixels with depth are stored as
1 or more. Metres are stored in whole millimetres, so that the value under the pointer is readable;
beyond 65.5 m in centimetres, then in decimetres. Other kinds are stretched over 16 bits. In all
cases value = stored * scale + offset.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rilievo.frozen import frozen
from rilievo.io.files.atomic import replacing
from rilievo.io.outputs.formats.png16 import Quantisation, coding_of, encode
from rilievo.io.outputs.sidecar import UNITS
from rilievo.io.png import write_png
from rilievo.shapes import Mask, UInt16
from rilievo.types import DepthKind, DepthMap

LARGEST = 65535
PERCENTILE = 98.0
"""Percentile of the stored values that gets the last colour; larger values get it too."""

# Sizes of a step at which a stored value is easily read as metres.
_STEPS = {0.001: "mm", 0.01: "cm", 0.1: "dm"}


@frozen
class HeatMap:
    """A depth map in stored form.

    Attributes:
        stored: Stored values: 0 without depth, otherwise 1 or more.
        coding: Conversion from stored values to those of the map.
        sky: Pixels that the upper limit leaves out; None where there is no sky.
    """

    stored: UInt16[np.ndarray, "h w"]
    coding: Quantisation
    kind: DepthKind
    sky: Mask | None = None

    @property
    def ground(self) -> UInt16[np.ndarray, "n"]:
        """Stored values of pixels with depth that are no sky."""
        shown = self.stored > 0 if self.sky is None else (self.stored > 0) & ~self.sky
        return self.stored[shown]

    @property
    def unit(self) -> str:
        """Unit of a stored value: "mm", "cm" or "dm", otherwise "step"."""
        metric = self.kind is DepthKind.METRIC and self.coding.offset == 0
        return _STEPS.get(self.coding.scale, "step") if metric else "step"


@frozen
class Limits:
    """Stored values that get the first and the last colour.

    Attributes:
        low: Lower limit; no stored value is smaller, because FiftyOne shows smaller ones
            transparent.
        high: Upper limit, above ``low``.
    """

    low: int
    high: int


def heat_maps(depths: Sequence[DepthMap]) -> list[HeatMap]:
    """Encode the depth maps of one image; those in metres share one coding, to be comparable."""
    farthest = [_ends(depth)[1] for depth in depths if depth.kind is DepthKind.METRIC]
    shared = _metric_coding(max(farthest)) if farthest else None
    return [_heat_map(depth, shared) for depth in depths]


def _heat_map(depth: DepthMap, shared: Quantisation | None) -> HeatMap:
    if depth.kind is DepthKind.METRIC and shared is not None:
        coding = shared
    else:
        coding = coding_of(depth.kind, *_ends(depth))
    return HeatMap(stored=encode(depth, coding), coding=coding, kind=depth.kind)


def _metric_coding(farthest: float) -> Quantisation:
    reaches = (step for step in _STEPS if farthest < (LARGEST + 0.5) * step)
    scale = next(reaches, farthest / LARGEST)
    return Quantisation(scale=scale, offset=0.0)


def _ends(depth: DepthMap) -> tuple[float, float]:
    """Smallest and largest valid value."""
    inside = depth.values[depth.valid]
    return (float(inside.min()), float(inside.max())) if inside.size else (1.0, 1.0)


def limits_of(maps: Sequence[HeatMap], first: HeatMap | None = None) -> Limits:
    """Limits for maps with the same coding, so that a colour means the same depth in all of them.

    Args:
        maps: The maps; the smallest value of any is the lower limit.
        first: Map whose percentile is the upper limit, such as the ground truth; None takes the
            largest percentile of all.
    """
    held = [item.stored[item.stored > 0] for item in maps]
    lows = [int(item.min()) for item in held if item.size]
    tops = [item.ground for item in (maps if first is None else [first])]
    highs = [float(np.percentile(item, PERCENTILE)) for item in tops if item.size]
    low = min(lows, default=1)
    # A constant map has no range, by which viewers would divide.
    return Limits(low=low, high=max(low + 1, round(max(highs, default=1.0))))


def write_heat_map(path: Path, heat_map: HeatMap) -> None:
    """Write the picture, with its coding embedded."""
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
