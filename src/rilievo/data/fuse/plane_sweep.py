"""Plane sweep around known depth: factors of depth under which pictures match (Collins, 1996)."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from rilievo.arrays.shapes import Field, Float32, Matrix, Transform, Values
from rilievo.data.fuse.clip_views import ClipView
from rilievo.errors import explain_missing_extra
from rilievo.geometry.intrinsics import rays, resize_K
from rilievo.geometry.transforms import invert

_WINDOW = 7
"""Side of the windows whose grey levels are correlated [px]."""
_MIN_VARIANCE = 4.0
"""Variance of grey levels below which a window counts as blank, so that noise correlates little."""
_CORRELATION_IF_UNSEEN = -0.2
"""Correlation of points that the neighbour does not see, which is less than chance."""
_GREY_OUTSIDE = -1e4
"""Grey level outside of a picture, so low that no window which touches it looks like a picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GreyView:
    """Grey levels of a view, 0 to 255."""

    values: Field
    K: Matrix
    world_T_cam: Transform

    def reduced(self, factor: int) -> "GreyView":
        """Divide the sides by a whole factor."""
        size = self.values.shape
        height, width = max(1, size[0] // factor), max(1, size[1] // factor)
        cv2 = import_opencv()
        return GreyView(
            values=cv2.resize(self.values, (width, height), interpolation=cv2.INTER_AREA),
            K=resize_K(self.K, size=size, new_size=(height, width)),
            world_T_cam=self.world_T_cam,
        )


def import_opencv() -> ModuleType:
    """Import OpenCV."""
    with explain_missing_extra("fusing a surface", "fuse"):
        import cv2
    return cv2


def grey_view(view: ClipView) -> GreyView:
    """Brightness of a view by the weights of ITU-R BT.601."""
    weights = np.array([0.299, 0.587, 0.114], np.float32)
    return GreyView(
        values=view.pixels.astype(np.float32) @ weights, K=view.K, world_T_cam=view.world_T_cam
    )


def correlations(
    view: GreyView,
    neighbours: Sequence[GreyView],
    depth: Field,
    log_factors: Values,
    *,
    best: int = 2,
) -> Float32[np.ndarray, "n h w"]:
    """Correlate a view with its neighbours at multiples of its depth.

    The depth is in the unit of the poses, and is tried times each of the n factors whose natural
    logarithms are ``log_factors``. Only the ``best`` neighbours count at each pixel, since others
    may not see the point.

    Returns:
        Mean correlation of windows, in [-1, 1], for each factor and pixel.
    """
    scores = np.stack(
        [
            _correlations_with_neighbour(view, neighbour, depth, log_factors)
            for neighbour in neighbours
        ]
    )
    counted = min(best, len(neighbours))
    if counted < len(scores):
        scores = np.partition(scores, len(scores) - counted, axis=0)[-counted:]
    return scores.mean(axis=0)


def _correlations_with_neighbour(
    view: GreyView, neighbour: GreyView, depth: Field, log_factors: Values
) -> Float32[np.ndarray, "n h w"]:
    """Warp the neighbour by each factor of depth, and correlate windows (zero-mean normalised)."""
    cv2 = import_opencv()
    height, width = depth.shape
    # At a factor f of the depth, a pixel projects to f * direction + offset in homogeneous
    # coordinates of the neighbour.
    neighbour_T_view = invert(neighbour.world_T_cam) @ view.world_T_cam
    rays_in_neighbour = np.einsum(
        "ij,jhw->ihw", neighbour.K @ neighbour_T_view[:3, :3], rays(view.K, height, width)
    )
    direction = rays_in_neighbour.astype(np.float32) * depth
    offset = (neighbour.K @ neighbour_T_view[:3, 3]).astype(np.float32)

    mean, variance = _window_mean_and_variance(view.values)
    scores = np.empty((len(log_factors), height, width), np.float32)
    for index, factor in enumerate(np.exp(log_factors).astype(np.float32)):
        z = direction[2] * factor + offset[2]
        divisor = np.maximum(z, np.float32(1e-6))
        u = (direction[0] * factor + offset[0]) / divisor
        v = (direction[1] * factor + offset[1]) / divisor
        warped = cv2.remap(
            neighbour.values, u, v, cv2.INTER_LINEAR, None, cv2.BORDER_CONSTANT, (_GREY_OUTSIDE,)
        )

        warped_mean, warped_variance = _window_mean_and_variance(warped)
        covariance = cv2.boxFilter(view.values * warped, cv2.CV_32F, (_WINDOW, _WINDOW))
        covariance -= mean * warped_mean
        variances = np.maximum(variance, _MIN_VARIANCE) * np.maximum(warped_variance, _MIN_VARIANCE)
        # A window that reaches out of the neighbour's picture has a mean below any grey level.
        is_seen = (z > 0) & (warped_mean >= 0)
        scores[index] = np.where(
            is_seen, covariance / np.sqrt(variances), np.float32(_CORRELATION_IF_UNSEEN)
        )
    return scores


def _window_mean_and_variance(values: Field) -> tuple[Field, Field]:
    """Mean and variance E[x²] - E[x]² of the window around each pixel."""
    cv2 = import_opencv()
    window = (_WINDOW, _WINDOW)
    mean = cv2.boxFilter(values, cv2.CV_32F, window)
    return mean, cv2.boxFilter(values * values, cv2.CV_32F, window) - mean * mean


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrelationPeaks:
    """Factors of depth under which pictures match best.

    Attributes:
        log_factors: Natural logarithm of the best factor at each pixel.
        clarity: How clearly that factor is the best, in [0, 1]; 0 at either end of the factors.
    """

    log_factors: Field
    clarity: Field


def correlation_peaks(
    scores: Float32[np.ndarray, "n h w"], log_factors: Values
) -> CorrelationPeaks:
    """Find the highest correlation at each pixel, with a parabola for factors between the tried.

    ``log_factors`` must be evenly spaced.
    """
    highest = scores.argmax(axis=0)
    # A parabola needs both neighbours, so peaks at an end are moved by one. They get no clarity.
    inner = highest.clip(1, len(log_factors) - 2)
    rows, columns = np.indices(highest.shape)
    before, peak, after = (scores[inner + offset, rows, columns] for offset in (-1, 0, 1))

    curvature = np.minimum(before - 2 * peak + after, np.float32(-1e-6))
    shift = (0.5 * (before - after) / curvature).clip(-1, 1)
    step = float(log_factors[1] - log_factors[0])
    peak_log_factors = np.asarray(log_factors, np.float32)[inner] + np.float32(step) * shift

    lead_over_median = 2 * (peak - np.median(scores, axis=0))
    is_inside = inner == highest
    clarity = peak.clip(0, 1) * lead_over_median.clip(0, 1) * is_inside
    return CorrelationPeaks(
        log_factors=peak_log_factors.astype(np.float32), clarity=clarity.astype(np.float32)
    )
