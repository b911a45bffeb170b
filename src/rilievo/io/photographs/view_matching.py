"""Points that two rectified views share, found by normalised correlation along rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from rilievo.arrays.shapes import Float32, Matrix, Points, UInt8

_CELL_ROWS, _CELL_COLUMNS = 24, 32
"""Number of cells down and across the view; the strongest corner of each is matched."""
_MIN_CORNER = 4.0
"""Least eigenvalue of a corner's structure tensor [grey levels²]."""
_WINDOW_RADIUS = 7
"""Pixels to each side of a corner that are compared."""
_TENSOR_SIDE = 7
"""Side of the window over which a corner's structure tensor is averaged [px]."""
_ROW_TOLERANCE = 2
"""Rows that are searched above and below, because views are never quite rectified [px]."""
_MARGIN_BEYOND_INFINITY = 4
"""Pixels searched beyond a disparity of 0, so that no far point is matched nearer by mistake."""
_MIN_CORRELATION = 0.9
_MIN_LEAD = 0.05
"""Least difference between the best correlation and that of any other match."""
_SAME_MATCH = 4
"""Columns within which correlations belong to one match [px]."""


def match_views(
    first: UInt8[np.ndarray, "h w"],
    second: UInt8[np.ndarray, "h2 w2"],
    first_K: Matrix,
    second_K: Matrix,
    *,
    max_disparity: float,
) -> Points:
    """Match corners of two rectified grey views by normalised correlation of windows.

    A corner at infinity is seen in the second view where its ray through the first camera meets the
    second picture. A nearer one is seen in the same row, shifted by its disparity, so only the
    columns from there to the largest disparity are searched.

    Args:
        first: Grey view whose corners are matched.
        second: Grey view that is searched for the corners.
        first_K: Intrinsics of the first view [px].
        second_K: Intrinsics of the second view [px].
        max_disparity: Largest disparity [px], negative if the second view is to the left.

    Returns:
        Column, row and disparity [px] of each match; the disparity is 0 at infinity.
    """
    # The column in the second view is that at infinity, minus the disparity times this sign.
    sign = np.copysign(1, max_disparity)
    focal_ratio = second_K[[0, 1], [0, 1]] / first_K[[0, 1], [0, 1]]
    matches = []
    for u, v in _strongest_corners(first):
        # Where the corner would be seen if it were infinitely far.
        infinity_u, infinity_v = ((u, v) - first_K[:2, 2]) * focal_ratio + second_K[:2, 2]
        nearest_column = round(infinity_u - max_disparity)
        farthest_column = round(infinity_u + sign * _MARGIN_BEYOND_INFINITY)
        strip = _cut_strip(
            second,
            first_column=min(nearest_column, farthest_column),
            last_column=max(nearest_column, farthest_column),
            row=round(infinity_v),
        )
        if strip is None:
            continue
        rows = slice(v - _WINDOW_RADIUS, v + _WINDOW_RADIUS + 1)
        columns = slice(u - _WINDOW_RADIUS, u + _WINDOW_RADIUS + 1)
        window = first[rows, columns].astype(np.float32)
        column_in_strip = _find_unique_peak(_correlations(window, strip.pixels))
        if column_in_strip is not None:
            matched_u = strip.first_centre + column_in_strip
            matches.append((u, v, sign * (infinity_u - matched_u)))
    return np.array(matches, np.float64).reshape(-1, 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Strip:
    """Part of a view that is searched for a corner.

    Attributes:
        first_centre: Column of the view that is the centre of the first window in the strip.
    """

    pixels: Float32[np.ndarray, "h w"]
    first_centre: int


def _cut_strip(
    view: UInt8[np.ndarray, "h w"], first_column: int, last_column: int, row: int
) -> _Strip | None:
    """Cut out the pixels of the windows around a row whose centres are these columns.

    Return None if too much lies outside of the view.
    """
    rows_beside = _WINDOW_RADIUS + _ROW_TOLERANCE  # above the row and below it
    left, right = max(first_column - _WINDOW_RADIUS, 0), last_column + _WINDOW_RADIUS + 1
    top, bottom = row - rows_beside, row + rows_beside + 1
    # Negative ends would count from the other side of the view.
    pixels = view[max(top, 0) : max(bottom, 0), left : max(right, 0)]
    height, width = pixels.shape
    is_too_short = height <= 2 * rows_beside
    # A strip that is hardly wider than one window shows no peak.
    is_too_narrow = width < 2 * rows_beside
    if is_too_short or is_too_narrow:
        return None
    return _Strip(pixels=pixels.astype(np.float32), first_centre=left + _WINDOW_RADIUS)


def _find_unique_peak(scores: Float32[np.ndarray, "n m"]) -> float | None:
    """Column of the best correlation, to a fraction of a pixel.

    The peak is that of a parabola through three correlations: with a before, b at and c after the
    best column, it lies (a - c) / (2 (a - 2 b + c)) beside it. Return None if it is low, at an end,
    or hardly better than the correlation of another match.
    """
    peak_row, peak_column = np.unravel_index(scores.argmax(), scores.shape)
    best_score = scores[peak_row, peak_column]
    rows, columns = np.indices(scores.shape)
    is_other_match = (abs(rows - peak_row) > 1) | (abs(columns - peak_column) > _SAME_MATCH)
    is_at_end = not 0 < peak_column < scores.shape[1] - 1
    min_score = max(_MIN_CORRELATION, scores[is_other_match].max() + _MIN_LEAD)
    if is_at_end or best_score <= min_score:
        return None
    before, after = scores[peak_row, peak_column - 1], scores[peak_row, peak_column + 1]
    return peak_column + (before - after) / (before - 2 * best_score + after) / 2


def _strongest_corners(view: UInt8[np.ndarray, "h w"]) -> Iterator[tuple[int, int]]:
    """Yield the column and row of the strongest corner of each cell.

    The strength is the smaller eigenvalue of the structure tensor (Shi and Tomasi 1994).
    """
    strengths = _smaller_eigenvalues(view)
    height, width = strengths.shape
    # No corner is so near to the border that a window around it leaves the view.
    row_bounds = np.linspace(_WINDOW_RADIUS, height - _WINDOW_RADIUS, _CELL_ROWS + 1).astype(int)
    column_bounds = np.linspace(_WINDOW_RADIUS, width - _WINDOW_RADIUS, _CELL_COLUMNS + 1).astype(
        int
    )
    # A mean over a window belongs to the pixel in its middle.
    half_window = _TENSOR_SIDE // 2
    for (top, bottom), (left, right) in product(pairwise(row_bounds), pairwise(column_bounds)):
        cell = strengths[top:bottom, left:right]
        if cell.max(initial=0) > _MIN_CORNER:
            row, column = np.unravel_index(cell.argmax(), cell.shape)
            yield int(left + column + half_window), int(top + row + half_window)


def _smaller_eigenvalues(view: UInt8[np.ndarray, "h w"]) -> Float32[np.ndarray, "a b"]:
    """Smaller eigenvalue of the structure tensor in each window of ``_TENSOR_SIDE`` pixels.

    The tensor [[xx, xy], [xy, yy]] is the mean product of the slopes in the window.
    """
    down, across = np.gradient(view.astype(np.float32))
    xx, yy, xy = (
        sliding_window_view(slopes, (_TENSOR_SIDE, _TENSOR_SIDE)).mean(axis=(2, 3))
        for slopes in (across * across, down * down, across * down)
    )
    return (xx + yy) / 2 - np.hypot((xx - yy) / 2, xy)


def _correlations(
    window: Float32[np.ndarray, "k k"], strip: Float32[np.ndarray, "h w"]
) -> Float32[np.ndarray, "n m"]:
    """Normalised correlation of a window with each window of a strip; 0 where that is flat."""
    windows = sliding_window_view(strip, window.shape)
    covariances = np.einsum("ijkl,kl->ij", windows, window - window.mean())
    variances = windows.var(axis=(2, 3)) * window.var()
    return covariances / (window.size * np.sqrt(np.maximum(variances, np.float32(1))))
