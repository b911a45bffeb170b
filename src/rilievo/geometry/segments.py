"""Straight line segments of a picture: regions whose gradients point one way.

After Burns, Hanson and Riseman, "Extracting straight lines" (PAMI 1986): pixels are sorted by the
direction of their gradient into two sets of overlapping bins, connected pixels of one bin are a
region, every pixel votes for its longer region, and a region that most of its pixels voted for is
a line. OpenCV and scikit-image, which have such detectors, are not dependencies of the core.
"""

import math
from dataclasses import dataclass

import numpy as np

from rilievo.frozen import frozen
from rilievo.geometry.surfaces.patches import joined
from rilievo.shapes import Bool, Float, Float64, Int, Positions, Values

_BINS = 8
_LEAST_SLOPE = 6.0
"""Least slope of a line's pixels [grey levels of 0 to 255 per pixel]; less is noise."""
_LEAST_PIXELS = 12
_THICKEST = 1.6
"""Largest standard deviation of pixels across a line [px]."""
_NEIGHBOURS = ((0, 1), (1, -1), (1, 0), (1, 1))


@frozen
class Segments:
    """Line segments of one picture.

    Attributes:
        middle: Column and row of the middles [px].
        direction: Unit vectors along the segments, of either sign.
        length: Lengths [px].
    """

    middle: Positions
    direction: Positions
    length: Values

    def __len__(self) -> int:
        return len(self.length)

    def chosen(self, which: Bool[np.ndarray, "n"] | Int[np.ndarray, "m"]) -> "Segments":
        """Select segments."""
        return Segments(
            middle=self.middle[which], direction=self.direction[which], length=self.length[which]
        )


def find_segments(grey: Float[np.ndarray, "h w"], *, shortest: float) -> Segments:
    """Find the line segments of a picture.

    Args:
        grey: Brightness, 0 to 255.
        shortest: Least length [px].
    """
    down, across, size = _slopes(grey.astype(np.float64))
    rows, columns = np.nonzero(size > _LEAST_SLOPE)
    weight = size[rows, columns]
    angle = np.arctan2(down[rows, columns], across[rows, columns])
    found = []
    for shift in (0.0, 0.5):
        bins = np.floor(angle / (2 * math.pi) * _BINS + shift).astype(int) % _BINS
        labels = _connected(rows, columns, bins, size.shape)
        found.append(_lines(columns.astype(float), rows.astype(float), weight, labels))
    return _voted(found, shortest)


@dataclass(frozen=True, slots=True)
class _Regions:
    """Regions of one set of bins: the region of each pixel, and the line of each region."""

    of_pixel: Int[np.ndarray, "p"]
    pixels: Int[np.ndarray, "r"]
    thick: Float64[np.ndarray, "r"]
    lines: Segments


def _slopes(
    grey: Float64[np.ndarray, "h w"],
) -> tuple[Float64[np.ndarray, "h w"], Float64[np.ndarray, "h w"], Float64[np.ndarray, "h w"]]:
    """Slope down and across, and its size, of a slightly smoothed picture."""
    padded = np.pad(grey, 1, mode="edge")
    smooth = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    smooth = (smooth[:, :-2] + 2 * smooth[:, 1:-1] + smooth[:, 2:]) / 4
    down, across = np.gradient(smooth)
    return down, across, np.hypot(down, across)


def _connected(
    rows: Int[np.ndarray, "p"],
    columns: Int[np.ndarray, "p"],
    bins: Int[np.ndarray, "p"],
    shape: tuple[int, int],
) -> Int[np.ndarray, "p"]:
    """Index of the region of each pixel: neighbours of one bin are connected."""
    place = np.full((shape[0] + 2, shape[1] + 2), -1)
    place[rows + 1, columns + 1] = np.arange(len(rows))
    pairs = []
    for dy, dx in _NEIGHBOURS:
        other = place[rows + 1 + dy, columns + 1 + dx]
        here = np.flatnonzero((other >= 0) & (bins[other] == bins))
        pairs.append(np.stack([here, other[here]]))
    first, second = np.concatenate(pairs, axis=1)
    root = joined(len(rows), first, second)
    return np.unique(root, return_inverse=True)[1].reshape(-1)


def _lines(
    x: Float64[np.ndarray, "p"],
    y: Float64[np.ndarray, "p"],
    weight: Float64[np.ndarray, "p"],
    labels: Int[np.ndarray, "p"],
) -> _Regions:
    """Fit a line through each region: its weighted principal axis."""
    count = int(labels.max(initial=-1)) + 1

    def mean(values: Float64[np.ndarray, "p"]) -> Float64[np.ndarray, "r"]:
        return np.bincount(labels, weight * values, count) / total

    total = np.maximum(np.bincount(labels, weight, count), 1e-12)
    cx, cy = mean(x), mean(y)
    dx, dy = x - cx[labels], y - cy[labels]
    xx, xy, yy = mean(dx * dx), mean(dx * dy), mean(dy * dy)
    turn = 0.5 * np.arctan2(2 * xy, xx - yy)
    direction = np.stack([np.cos(turn), np.sin(turn)], axis=-1)
    across = (xx + yy) / 2 - np.hypot((xx - yy) / 2, xy)
    along = direction[labels, 0] * dx + direction[labels, 1] * dy
    low, high = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(low, labels, along)
    np.maximum.at(high, labels, along)
    centre = np.stack([cx, cy], axis=-1) + direction * ((low + high) / 2)[:, None]
    return _Regions(
        of_pixel=labels,
        pixels=np.bincount(labels, minlength=count),
        thick=np.sqrt(np.maximum(across, 0)),
        lines=Segments(middle=centre, direction=direction, length=high - low),
    )


def _voted(found: list[_Regions], shortest: float) -> Segments:
    """Select the lines that most of their pixels voted for."""
    one, other = found
    longer = one.lines.length[one.of_pixel] >= other.lines.length[other.of_pixel]
    voted = []
    for regions, votes in ((one, longer), (other, ~longer)):
        share = np.bincount(regions.of_pixel, votes, len(regions.pixels)) / regions.pixels
        good = (share > 0.5) & (regions.pixels >= _LEAST_PIXELS) & (regions.thick <= _THICKEST)
        voted.append(regions.lines.chosen(good & (regions.lines.length >= shortest)))
    return Segments(
        middle=np.concatenate([each.middle for each in voted]),
        direction=np.concatenate([each.direction for each in voted]),
        length=np.concatenate([each.length for each in voted]),
    )
