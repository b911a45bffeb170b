"""Straight line segments of a picture: regions of connected pixels whose gradients point one way.

The method is that of Burns, Hanson and Riseman, "Extracting straight lines" (PAMI 1986). Directions
are sorted into bins twice, the second time shifted by half a bin, because a line whose direction
lies between two bins is broken in one of the two sortings.
"""

import math
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Bool, Float, Float64, Int, Positions, Values
from rilievo.geometry.connected_components import connected_component_labels

_DIRECTION_BINS = 8
_MIN_GRADIENT = 6.0
"""Least gradient of a line's pixels [grey levels per pixel]."""
_MIN_PIXELS = 12
_MAX_THICKNESS = 1.6
"""Largest standard deviation across a line [px]."""
_HALF_OF_NEIGHBOURS = ((0, 1), (1, -1), (1, 0), (1, 1))
"""Rows and columns to four of a pixel's eight neighbours; it is a neighbour of the other four."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segments:
    """Line segments.

    Attributes:
        middle: Middle (x, y) of each [px].
        direction: Unit direction of each, of either sign.
        length: Length of each [px].
    """

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


def find_segments(grey: Float[np.ndarray, "h w"], *, min_length: float) -> Segments:
    """Find segments, ``min_length`` [px] or longer, in brightness from 0 to 255."""
    gradient_down, gradient_across, magnitude = _gradient(grey.astype(np.float64))
    rows, columns = np.nonzero(magnitude > _MIN_GRADIENT)
    angles = np.arctan2(gradient_down[rows, columns], gradient_across[rows, columns])
    weights = magnitude[rows, columns]

    def fit_with_bins(bin_shift: float) -> _RegionSegments:
        """Sort directions into bins that are shifted, and fit a segment to each region."""
        bins = np.floor(angles / (2 * math.pi) * _DIRECTION_BINS + bin_shift).astype(int)
        labels = _label_regions(rows, columns, bins % _DIRECTION_BINS, magnitude.shape)
        return _fit_segments(columns.astype(float), rows.astype(float), weights, labels)

    # Bins of one sorting break a line whose direction lies at their border; those half a bin later
    # do not.
    return _choose_segments(fit_with_bins(0.0), fit_with_bins(0.5), min_length)


@dataclass(frozen=True, slots=True)
class _RegionSegments:
    """Segments of the regions of one sorting.

    Attributes:
        labels: Region of each pixel.
        thickness: Standard deviation of each region's pixels across the segment [px].
    """

    labels: Int[np.ndarray, "p"]
    pixel_counts: Int[np.ndarray, "r"]
    thickness: Float64[np.ndarray, "r"]
    segments: Segments


def _gradient(
    grey: Float64[np.ndarray, "h w"],
) -> tuple[Float64[np.ndarray, "h w"], Float64[np.ndarray, "h w"], Float64[np.ndarray, "h w"]]:
    """Gradient down, gradient across, and its magnitude, after binomial smoothing."""
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
    """Region of each pixel, from 0. Neighbours in the same bin belong to one region."""
    pixel_index = np.full((shape[0] + 2, shape[1] + 2), -1)
    pixel_index[rows + 1, columns + 1] = np.arange(len(rows))
    pairs = []
    for down, across in _HALF_OF_NEIGHBOURS:
        neighbours = pixel_index[rows + 1 + down, columns + 1 + across]
        is_joined = (neighbours >= 0) & (bins[neighbours] == bins)
        pixels = np.flatnonzero(is_joined)
        pairs.append(np.stack([pixels, neighbours[pixels]]))
    first, second = np.concatenate(pairs, axis=1)
    labels = connected_component_labels(len(rows), first, second)
    _, consecutive_labels = np.unique(labels, return_inverse=True)
    return consecutive_labels.reshape(-1)


def _fit_segments(
    x: Float64[np.ndarray, "p"],
    y: Float64[np.ndarray, "p"],
    weights: Float64[np.ndarray, "p"],
    labels: Int[np.ndarray, "p"],
) -> _RegionSegments:
    """Fit a segment to each region, along the principal axis of its weighted pixels."""
    count = int(labels.max(initial=-1)) + 1
    total_weights = np.maximum(np.bincount(labels, weights, count), 1e-12)

    def mean(values: Float64[np.ndarray, "p"]) -> Float64[np.ndarray, "r"]:
        return np.bincount(labels, weights * values, count) / total_weights

    mean_x, mean_y = mean(x), mean(y)
    dx, dy = x - mean_x[labels], y - mean_y[labels]
    # Eigenvector and smaller eigenvalue of the covariance [[xx, xy], [xy, yy]].
    xx, xy, yy = mean(dx * dx), mean(dx * dy), mean(dy * dy)
    axis_angle = 0.5 * np.arctan2(2 * xy, xx - yy)
    direction = np.stack([np.cos(axis_angle), np.sin(axis_angle)], axis=-1)
    variance_across = (xx + yy) / 2 - np.hypot((xx - yy) / 2, xy)

    along = direction[labels, 0] * dx + direction[labels, 1] * dy
    first_end, last_end = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(first_end, labels, along)
    np.maximum.at(last_end, labels, along)
    mean_position = np.stack([mean_x, mean_y], axis=-1)
    middle = mean_position + direction * ((first_end + last_end) / 2)[:, None]
    return _RegionSegments(
        labels=labels,
        pixel_counts=np.bincount(labels, minlength=count),
        thickness=np.sqrt(np.maximum(variance_across, 0)),
        segments=Segments(middle=middle, direction=direction, length=last_end - first_end),
    )


def _choose_segments(
    unshifted: _RegionSegments, shifted: _RegionSegments, min_length: float
) -> Segments:
    """Choose between the segments of both sortings.

    Each pixel votes for the longer one of its two segments. A segment is kept if it has the votes
    of most of its pixels, and is thin and long enough.
    """
    unshifted_length = unshifted.segments.length[unshifted.labels]
    shifted_length = shifted.segments.length[shifted.labels]
    votes_unshifted = unshifted_length >= shifted_length
    kept = []
    for regions, votes in ((unshifted, votes_unshifted), (shifted, ~votes_unshifted)):
        vote_counts = np.bincount(regions.labels, votes, len(regions.pixel_counts))
        has_majority = vote_counts / regions.pixel_counts > 0.5
        is_line = (regions.pixel_counts >= _MIN_PIXELS) & (regions.thickness <= _MAX_THICKNESS)
        is_long = regions.segments.length >= min_length
        kept.append(regions.segments.select(has_majority & is_line & is_long))
    return Segments(
        middle=np.concatenate([segments.middle for segments in kept]),
        direction=np.concatenate([segments.direction for segments in kept]),
        length=np.concatenate([segments.length for segments in kept]),
    )
