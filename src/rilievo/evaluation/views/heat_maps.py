"""Heat maps: depth as 16-bit grey pictures, which viewers colour between two limits."""

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

MAX_STORED_VALUE = 65535
"""Largest value of a 16-bit picture."""
LAST_COLOUR_PERCENTILE = 98.0
"""Percentile of the depth that gets the last colour."""
_UNIT_BY_STEP = {0.001: "mm", 0.01: "cm", 0.1: "dm"}
"""Depth steps [m] at which a stored value is easily read as a length, and its unit then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatMap:
    """A depth map as it is stored.

    Depth is stored value * scale + offset. A stored value of 0 means that there is no depth.
    """

    stored: UInt16[np.ndarray, "h w"]
    coding: Quantisation
    kind: DepthKind
    sky: Mask | None = None

    @property
    def surface_values(self) -> UInt16[np.ndarray, "n"]:
        """Stored values of the pixels with depth that are not sky."""
        has_depth = self.stored > 0
        is_surface = has_depth if self.sky is None else has_depth & ~self.sky
        return self.stored[is_surface]

    @property
    def unit(self) -> str:
        """Unit of a stored value: "mm", "cm", "dm", or "step" if it is none of them."""
        if self.kind is not DepthKind.METRIC or self.coding.offset != 0:
            return "step"
        return _UNIT_BY_STEP.get(self.coding.scale, "step")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Stored values that get the first and the last colour."""

    low: int
    high: int


def heat_maps(depths: Sequence[DepthMap]) -> list[HeatMap]:
    """Encode the depth maps of one image; all maps in metres get the same coding."""
    largest_depths = [_value_range(depth)[1] for depth in depths if depth.kind is DepthKind.METRIC]
    metric_coding = _metric_coding(max(largest_depths)) if largest_depths else None
    return [_encode_depth(depth, metric_coding) for depth in depths]


def has_same_coding(first: HeatMap, second: HeatMap) -> bool:
    """Whether equal stored values mean equal depth."""
    return first.kind is second.kind and first.coding == second.coding


def _encode_depth(depth: DepthMap, metric_coding: Quantisation | None) -> HeatMap:
    """Encode metric depth by the given coding, and other depth by a coding for its range."""
    if depth.kind is DepthKind.METRIC and metric_coding is not None:
        coding = metric_coding
    else:
        coding = choose_quantisation(depth.kind, *_value_range(depth))
    return HeatMap(stored=encode(depth, coding), coding=coding, kind=depth.kind)


def _metric_coding(farthest: float) -> Quantisation:
    """Coding in mm, cm or dm, the finest whose range includes the farthest depth [m]."""
    for step in _UNIT_BY_STEP:
        if farthest < (MAX_STORED_VALUE + 0.5) * step:
            return Quantisation(scale=step, offset=0.0)
    return Quantisation(scale=farthest / MAX_STORED_VALUE, offset=0.0)


def _value_range(depth: DepthMap) -> tuple[float, float]:
    """Least and largest valid value; (1, 1) if no pixel is valid."""
    values = depth.values[depth.valid]
    return (float(values.min()), float(values.max())) if values.size else (1.0, 1.0)


def heat_map_limits(maps: Sequence[HeatMap], reference: HeatMap | None = None) -> Limits:
    """Limits that several maps share.

    The upper limit is a percentile, the largest of all maps, or that of ``reference`` if given.
    """
    minima = [
        int(heat_map.stored[heat_map.stored > 0].min())
        for heat_map in maps
        if (heat_map.stored > 0).any()
    ]
    upper_maps = maps if reference is None else [reference]
    percentiles = [
        float(np.percentile(heat_map.surface_values, LAST_COLOUR_PERCENTILE))
        for heat_map in upper_maps
        if heat_map.surface_values.size
    ]
    low = min(minima, default=1)  # FiftyOne shows smaller values transparent
    # A constant map has no range, by which viewers would divide.
    high = max(low + 1, round(max(percentiles, default=1.0)))
    return Limits(low=low, high=high)


def write_heat_map(path: Path, heat_map: HeatMap) -> None:
    """Write a heat map as PNG, with its coding in text chunks."""
    coding = heat_map.coding
    text = {
        "Software": "rilievo",
        "kind": heat_map.kind.value,
        "unit": UNITS.get(heat_map.kind, "arbitrary"),
        "scale": repr(coding.scale),
        "offset": repr(coding.offset),
        "invalid": "0",
    }
    with replacing(path) as temporary:
        write_png(temporary, heat_map.stored, text)
