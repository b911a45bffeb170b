"""Points that two rectified views share, by normalised correlation along rows."""

from collections.abc import Iterator
from itertools import pairwise, product

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from rilievo.arrays.shapes import Float32, Matrix, Points, UInt8

_ROWS, _COLUMNS = 24, 32
_LEAST_CORNER = 4.0
"""Least eigenvalue of a corner's structure tensor [grey levels²]."""
_HALF = 7
"""Pixels around a corner that are compared."""
_SLACK = 2
"""Rows searched above and below: views are never quite rectified."""
_LEAST_CORRELATION = 0.9
_LEAD, _NEAR = 0.05, 4


def match_views(
    view: UInt8[np.ndarray, "h w"],
    other: UInt8[np.ndarray, "h2 w2"],
    K: Matrix,
    other_K: Matrix,
    *,
    most: float,
) -> Points:
    """Match places of grey views side by side, up to a disparity (negative to the left).

    Returns:
        Column, row and disparity [px] against a point at infinity.
    """
    sign = np.copysign(1, most)
    ratio = other_K[[0, 1], [0, 1]] / K[[0, 1], [0, 1]]
    reach, matches = _HALF + _SLACK, []
    for u, v in _corner_centres(view):
        far, row = ((u, v) - K[:2, 2]) * ratio + other_K[:2, 2]
        # Places beyond infinity are searched too, so that far ones are not taken for nearer ones.
        left, right = sorted((round(far - most), round(far + sign * _NEAR)))
        left, top = max(left - _HALF, 0), round(row) - reach
        strip = other[max(top, 0) : max(top + 2 * reach + 1, 0), left : max(right + _HALF + 1, 0)]
        if strip.shape[0] <= 2 * reach or strip.shape[1] < 2 * reach:
            continue
        window = view[v - _HALF : v + _HALF + 1, u - _HALF : u + _HALF + 1]
        scores = _correlations(window.astype(np.float32), strip.astype(np.float32))
        line, at = np.unravel_index(scores.argmax(), scores.shape)
        lines, columns = np.indices(scores.shape)
        away = (abs(lines - line) > 1) | (abs(columns - at) > _NEAR)
        best = scores[line, at]
        is_inside = 0 < at < scores.shape[1] - 1
        if is_inside and best > max(_LEAST_CORRELATION, scores[away].max() + _LEAD):
            before, after = scores[line, at - 1], scores[line, at + 1]
            peak = left + _HALF + at + (before - after) / (before - 2 * best + after) / 2
            matches.append((u, v, sign * (far - peak)))
    return np.array(matches, np.float64).reshape(-1, 3)


def _corner_centres(view: UInt8[np.ndarray, "h w"]) -> Iterator[tuple[int, int]]:
    """Column and row of the clearest corner of each cell."""
    down, across = np.gradient(view.astype(np.float32))
    xx, yy, xy = (
        sliding_window_view(slopes, (_HALF, _HALF)).mean(axis=(2, 3))
        for slopes in (across * across, down * down, across * down)
    )
    eigenvalues = (xx + yy) / 2 - np.hypot((xx - yy) / 2, xy)
    heights, widths = (
        pairwise(np.linspace(_HALF, side - _HALF, cells + 1).astype(int))
        for side, cells in zip(eigenvalues.shape, (_ROWS, _COLUMNS), strict=True)
    )
    for (top, bottom), (left, right) in product(heights, widths):
        cell = eigenvalues[top:bottom, left:right]
        if cell.max(initial=0) > _LEAST_CORNER:
            row, column = np.unravel_index(cell.argmax(), cell.shape)
            yield int(left + column + _HALF // 2), int(top + row + _HALF // 2)


def _correlations(
    window: Float32[np.ndarray, "k k"], strip: Float32[np.ndarray, "h w"]
) -> Float32[np.ndarray, "n m"]:
    windows = sliding_window_view(strip, window.shape)
    common = np.einsum("ijkl,kl->ij", windows, window - window.mean())
    spread = windows.var(axis=(2, 3)) * window.var()
    return common / (window.size * np.sqrt(np.maximum(spread, np.float32(1))))
