"""Heat maps: depth as 16-bit grey pictures, for viewers that colour values between two limits."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Mask, UInt16
from rilievo.io.files.atomic import replacing
from rilievo.io.outputs.formats.png16 import Quantisation, choose_quantisation, encode
from rilievo.io.outputs.sidecar import UNITS
from rilievo.io.png import write_png
from rilievo.records.depth_map import DepthKind, DepthMap

LARGEST = 65535
PERCENTILE = 98.0
"""Percentile that gets the last colour."""

# Sizes of a step at which a stored value is easily read as metres.
_STEPS = {0.001: "mm", 0.01: "cm", 0.1: "dm"}


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatMap:
    """Depth map in stored form, with its coding and sky."""

    stored: UInt16[np.ndarray, "h w"]
    coding: Quantisation
    kind: DepthKind
    sky: Mask | None = None

    @property
    def ground(self) -> UInt16[np.ndarray, "n"]:
        """Stored values of pixels with depth, without sky."""
        shown = self.stored > 0 if self.sky is None else (self.stored > 0) & ~self.sky
        return self.stored[shown]

    @property
    def unit(self) -> str:
        """Unit of a stored value: "mm", "cm", "dm" or "step"."""
        metric = self.kind is DepthKind.METRIC and self.coding.offset == 0
        return _STEPS.get(self.coding.scale, "step") if metric else "step"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Stored values of the first and last colour."""

    low: int
    high: int


def heat_maps(depths: Sequence[DepthMap]) -> list[HeatMap]:
    """Encode depth maps of one image; those in metres share a coding."""
    farthest = [_depth_range(depth)[1] for depth in depths if depth.kind is DepthKind.METRIC]
    shared = _metric_coding(max(farthest)) if farthest else None
    return [_encode_depth(depth, shared) for depth in depths]


def _encode_depth(depth: DepthMap, shared: Quantisation | None) -> HeatMap:
    if depth.kind is DepthKind.METRIC and shared is not None:
        coding = shared
    else:
        coding = choose_quantisation(depth.kind, *_depth_range(depth))
    return HeatMap(stored=encode(depth, coding), coding=coding, kind=depth.kind)


def _metric_coding(farthest: float) -> Quantisation:
    """Coding in the finest of mm, cm, dm that reaches."""
    reaches = (step for step in _STEPS if farthest < (LARGEST + 0.5) * step)
    scale = next(reaches, farthest / LARGEST)
    return Quantisation(scale=scale, offset=0.0)


def _depth_range(depth: DepthMap) -> tuple[float, float]:
    """Least and largest, or (1, 1)."""
    inside = depth.values[depth.valid]
    return (float(inside.min()), float(inside.max())) if inside.size else (1.0, 1.0)


def heat_map_limits(maps: Sequence[HeatMap], first: HeatMap | None = None) -> Limits:
    """Common limits of maps; ``first`` sets the upper one."""
    held = [item.stored[item.stored > 0] for item in maps]
    lows = [int(item.min()) for item in held if item.size]
    tops = [item.ground for item in (maps if first is None else [first])]
    highs = [float(np.percentile(item, PERCENTILE)) for item in tops if item.size]
    low = min(lows, default=1)  # FiftyOne shows smaller values transparent
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
