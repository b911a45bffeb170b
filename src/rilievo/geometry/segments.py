"""Straight line segments of a picture: regions whose gradients point one way."""

import math
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Bool, Float, Float64, Int, Positions, Values
from rilievo.geometry.surfaces.patches import least_joined_index

_BINS = 8
_LEAST_SLOPE = 6.0
"""Least slope of a line's pixels [grey levels per pixel]."""
_LEAST_PIXELS = 12
_THICKEST = 1.6
"""Largest standard deviation across a line [px]."""
_NEIGHBOURS = ((0, 1), (1, -1), (1, 0), (1, 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Segments:
    """Line segments: middles [px], unit directions of either sign, lengths [px]."""

    middle: Positions
    direction: Positions
    length: Values

    def __len__(self) -> int:
        return len(self.length)

    def select(self, which: Bool[np.ndarray, "n"] | Int[np.ndarray, "m"]) -> "Segments":
        """Segments of a mask or of indices."""
        return Segments(
            middle=self.middle[which], direction=self.direction[which], length=self.length[which]
        )


def find_segments(grey: Float[np.ndarray, "h w"], *, shortest: float) -> Segments:
    """Find segments, ``shortest`` [px] or longer, in brightness 0 to 255."""
    down, across, size = _gradient(grey.astype(np.float64))
    rows, columns = np.nonzero(size > _LEAST_SLOPE)
    weight = size[rows, columns]
    angle = np.arctan2(down[rows, columns], across[rows, columns])
    segments = []
    for shift in (0.0, 0.5):
        bins = np.floor(angle / (2 * math.pi) * _BINS + shift).astype(int) % _BINS
        labels = _label_regions(rows, columns, bins, size.shape)
        segments.append(
            _fit_segment_per_region(columns.astype(float), rows.astype(float), weight, labels)
        )
    return _vote_segments(segments, shortest)


@dataclass(frozen=True, slots=True)
class _RegionSegments:
    of_pixel: Int[np.ndarray, "p"]
    pixels: Int[np.ndarray, "r"]
    thick: Float64[np.ndarray, "r"]
    lines: Segments


def _gradient(
    grey: Float64[np.ndarray, "h w"],
) -> tuple[Float64[np.ndarray, "h w"], Float64[np.ndarray, "h w"], Float64[np.ndarray, "h w"]]:
    """Change down, change across, and size, after smoothing."""
    padded = np.pad(grey, 1, mode="edge")
    smooth = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    smooth = (smooth[:, :-2] + 2 * smooth[:, 1:-1] + smooth[:, 2:]) / 4
    down, across = np.gradient(smooth)
    return down, across, np.hypot(down, across)


def _label_regions(
    rows: Int[np.ndarray, "p"],
    columns: Int[np.ndarray, "p"],
    bins: Int[np.ndarray, "p"],
    shape: tuple[int, int],
) -> Int[np.ndarray, "p"]:
    place = np.full((shape[0] + 2, shape[1] + 2), -1)
    place[rows + 1, columns + 1] = np.arange(len(rows))
    pairs = []
    for dy, dx in _NEIGHBOURS:
        other = place[rows + 1 + dy, columns + 1 + dx]
        here = np.flatnonzero((other >= 0) & (bins[other] == bins))
        pairs.append(np.stack([here, other[here]]))
    first, second = np.concatenate(pairs, axis=1)
    root = least_joined_index(len(rows), first, second)
    return np.unique(root, return_inverse=True)[1].reshape(-1)


def _fit_segment_per_region(
    x: Float64[np.ndarray, "p"],
    y: Float64[np.ndarray, "p"],
    weight: Float64[np.ndarray, "p"],
    labels: Int[np.ndarray, "p"],
) -> _RegionSegments:
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
    return _RegionSegments(
        of_pixel=labels,
        pixels=np.bincount(labels, minlength=count),
        thick=np.sqrt(np.maximum(across, 0)),
        lines=Segments(middle=centre, direction=direction, length=high - low),
    )


def _vote_segments(segments: list[_RegionSegments], shortest: float) -> Segments:
    """Segments that are the longer ones at most of their pixels."""
    one, other = segments
    longer = one.lines.length[one.of_pixel] >= other.lines.length[other.of_pixel]
    voted = []
    for regions, votes in ((one, longer), (other, ~longer)):
        share = np.bincount(regions.of_pixel, votes, len(regions.pixels)) / regions.pixels
        good = (share > 0.5) & (regions.pixels >= _LEAST_PIXELS) & (regions.thick <= _THICKEST)
        voted.append(regions.lines.select(good & (regions.lines.length >= shortest)))
    return Segments(
        middle=np.concatenate([part.middle for part in voted]),
        direction=np.concatenate([part.direction for part in voted]),
        length=np.concatenate([part.length for part in voted]),
    )
