"""Plane sweep around known depth: factors under which neighbours correlate (Collins, 1996)."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from rilievo.arrays.shapes import Field, Float32, Matrix, Transform, Values
from rilievo.data.fuse.clip_views import ClipView
from rilievo.errors import needing
from rilievo.geometry.intrinsics import rays, resize_K
from rilievo.geometry.transforms import invert

WINDOW = 7  # side [px]
_FAINTEST = 4.0
_UNSEEN = -0.2  # correlation of unseen points, less than chance
_OUTSIDE = -1e4


@dataclass(frozen=True, slots=True, kw_only=True)
class Grey:
    """Grey levels of a view, 0 to 255."""

    values: Field
    K: Matrix
    world_T_cam: Transform

    def reduced(self, factor: int) -> "Grey":
        """Sides divided by a whole factor."""
        size = self.values.shape
        height, width = max(1, size[0] // factor), max(1, size[1] // factor)
        cv2 = import_opencv()
        small = cv2.resize(self.values, (width, height), interpolation=cv2.INTER_AREA)
        K = resize_K(self.K, size=size, new_size=(height, width))
        return Grey(values=small, K=K, world_T_cam=self.world_T_cam)


def import_opencv() -> ModuleType:
    """Raise ``MissingExtraError`` without OpenCV."""
    with needing("fusing a surface", "fuse"):
        import cv2
    return cv2


def grey_view(view: ClipView) -> Grey:
    """Brightness of a view."""
    weights = np.array([0.299, 0.587, 0.114], np.float32)
    return Grey(
        values=view.pixels.astype(np.float32) @ weights, K=view.K, world_T_cam=view.world_T_cam
    )


def correlations(
    view: Grey,
    neighbours: Sequence[Grey],
    depth: Field,
    logs: Values,
    *,
    best: int = 2,
) -> Float32[np.ndarray, "n h w"]:
    """Mean correlation, in [-1, 1], at multiples of a view's depth.

    The ``best`` neighbours count at each pixel, since others may be hidden.
    """
    scores = np.stack(
        [_correlations_with_neighbour(view, neighbour, depth, logs) for neighbour in neighbours]
    )
    count = min(best, len(neighbours))
    if count < len(scores):
        scores = np.partition(scores, len(scores) - count, axis=0)[-count:]
    return scores.mean(axis=0)


def _correlations_with_neighbour(
    view: Grey,
    other: Grey,
    depth: Field,
    logs: Values,
) -> Float32[np.ndarray, "n h w"]:
    cv2 = import_opencv()
    height, width = depth.shape
    other_T_view = invert(other.world_T_cam) @ view.world_T_cam
    turned = np.einsum("ij,jhw->ihw", other.K @ other_T_view[:3, :3], rays(view.K, height, width))
    at = turned.astype(np.float32) * depth
    moved = (other.K @ other_T_view[:3, 3]).astype(np.float32)
    mean, variance = _window_mean_and_variance(cv2, view.values)
    result = np.empty((len(logs), height, width), np.float32)
    for index, factor in enumerate(np.exp(logs).astype(np.float32)):
        z = at[2] * factor + moved[2]
        divisor = np.maximum(z, np.float32(1e-6))
        u, v = (at[0] * factor + moved[0]) / divisor, (at[1] * factor + moved[1]) / divisor
        warped = cv2.remap(
            other.values, u, v, cv2.INTER_LINEAR, None, cv2.BORDER_CONSTANT, (_OUTSIDE,)
        )
        other_mean, other_variance = _window_mean_and_variance(cv2, warped)
        common = cv2.boxFilter(view.values * warped, cv2.CV_32F, (WINDOW, WINDOW))
        common -= mean * other_mean
        spread = np.maximum(variance, _FAINTEST) * np.maximum(other_variance, _FAINTEST)
        # A window that reaches out of the neighbour's picture has a mean below any grey level.
        visible = (z > 0) & (other_mean >= 0)
        result[index] = np.where(visible, common / np.sqrt(spread), np.float32(_UNSEEN))
    return result


def _window_mean_and_variance(cv2: ModuleType, values: Field) -> tuple[Field, Field]:
    mean = cv2.boxFilter(values, cv2.CV_32F, (WINDOW, WINDOW))
    return mean, cv2.boxFilter(values * values, cv2.CV_32F, (WINDOW, WINDOW)) - mean * mean


def correlation_peaks(scores: Float32[np.ndarray, "n h w"], logs: Values) -> tuple[Field, Field]:
    """Log factor of the highest score, and its clearness in [0, 1]."""
    highest = scores.argmax(axis=0)
    inner = highest.clip(1, len(logs) - 2)
    rows, columns = np.indices(highest.shape)
    before, here, after = (scores[inner + step, rows, columns] for step in (-1, 0, 1))
    bend = np.minimum(before - 2 * here + after, np.float32(-1e-6))
    shift = (0.5 * (before - after) / bend).clip(-1, 1)
    lead = 2 * (here - np.median(scores, axis=0))
    clear = here.clip(0, 1) * lead.clip(0, 1) * (inner == highest)
    step = float(logs[1] - logs[0])
    factors = np.asarray(logs, np.float32)[inner] + np.float32(step) * shift
    return factors.astype(np.float32), clear.astype(np.float32)
