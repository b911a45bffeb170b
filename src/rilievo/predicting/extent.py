"""The range of depth of a whole video, so that one scale and one colour range serve all frames."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from rilievo.io.colour import ColourRange, Drawn, drawn, widened
from rilievo.types import DepthKind, DepthMap

_FRAMES = 1024
_PIXELS = 2048
_PERCENTILES = (2.0, 98.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """Range of the depth of a whole video.

    Attributes:
        kind: Kind of its numbers.
        low: Smallest valid number; 0 if there is none.
        high: Largest valid number; 0 if there is none.
        colours: Percentiles of the drawn numbers, those of ``rilievo.io.colour.colour_range``.
    """

    kind: DepthKind
    low: float
    high: float
    colours: ColourRange


def measure(depths: Iterable[DepthMap], *, count: int, what: Drawn) -> Extent:
    """Measure the depth of a video in one pass.

    Args:
        depths: Depth maps, all of one kind, at any resolution; at least one.
        count: Number of depth maps. Percentiles use at most 1,024 of them, evenly spread, and about
            2,048 pixels of each.
        what: Numbers that pictures show.
    """
    low, high, kind = np.inf, -np.inf, DepthKind.METRIC
    stride = -(-count // _FRAMES)
    samples: list[np.ndarray] = []
    for index, depth in enumerate(depths):
        kind = depth.kind
        inside = depth.values[depth.valid]
        if not inside.size:
            continue
        low, high = min(low, float(inside.min())), max(high, float(inside.max()))
        if index % stride == 0:
            samples.append(_sample(depth, what))
    if not samples or not (shown := np.concatenate(samples)).size:
        return Extent(kind=kind, low=0.0, high=0.0, colours=ColourRange(low=0.0, high=1.0))
    first, last = np.percentile(shown, _PERCENTILES)
    colours = widened(ColourRange(low=float(first), high=float(last)), kind)
    return Extent(kind=kind, low=low, high=high, colours=colours)


def _sample(depth: DepthMap, what: Drawn) -> np.ndarray:
    stride = max(1, round((depth.values.size / _PIXELS) ** 0.5))
    grid = np.s_[stride // 2 :: stride, stride // 2 :: stride]
    some = DepthMap(values=depth.values[grid], kind=depth.kind, valid=depth.valid[grid])
    return drawn(some, what)[some.valid]
