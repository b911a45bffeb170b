"""The loss of learning depth from video, computed from its description by numpy, scipy and OpenCV.

Float64, one image at a time, images ``h w 3``; shares nothing with what it checks.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image
from scipy.ndimage import map_coordinates, uniform_filter


@dataclass(frozen=True, kw_only=True)
class Recipe:
    ssim: float = 0.85
    smoothness: float = 1e-3
    minimum: bool = True
    automask: bool = True
    native: bool = False
    pixel_centres: bool = True
    multiplied: bool = False
    align_corners: bool = True
    epsilon: float = 1e-7
    min_depth: float = 0.1
    max_depth: float = 100.0


def error_between(x: np.ndarray, y: np.ndarray, ssim: float) -> np.ndarray:
    total = np.zeros(x.shape[:2])
    for c in range(3):
        a, b = x[..., c], y[..., c]

        def mean(z: np.ndarray) -> np.ndarray:
            return uniform_filter(z, size=3, mode="mirror")

        ma, mb = mean(a), mean(b)
        va, vb, cov = mean(a * a) - ma**2, mean(b * b) - mb**2, mean(a * b) - ma * mb
        s = (2 * ma * mb + 1e-4) * (2 * cov + 9e-4) / ((ma**2 + mb**2 + 1e-4) * (va + vb + 9e-4))
        total += (ssim * np.clip((1 - s) / 2, 0, 1) + (1 - ssim) * np.abs(a - b)) / 3
    return total


def places_of(depth: np.ndarray, K: np.ndarray, T: np.ndarray, epsilon: float) -> np.ndarray:
    """``2 h w``: (u, v) in the source."""
    K4 = np.eye(4)
    K4[:3, :3] = K
    rows, columns = np.indices(depth.shape)
    pixels = np.stack([columns.ravel(), rows.ravel(), np.ones(depth.size)])
    points = np.linalg.inv(K) @ pixels * depth.ravel()
    x, y, z = (K4 @ T @ np.vstack([points, np.ones(depth.size)]))[:3]
    return np.stack([x / (z + epsilon), y / (z + epsilon)]).reshape(2, *depth.shape)


def look_up(image: np.ndarray, places: np.ndarray, *, align_corners: bool) -> np.ndarray:
    """Bilinear; a place beyond the border is moved onto it."""
    height, width = image.shape[:2]
    u, v = places
    if not align_corners:
        # (u / (W - 1) - 0.5) * 2 is read as ((x + 1) W - 1) / 2.
        u, v = u / (width - 1) * width - 0.5, v / (height - 1) * height - 0.5
    u, v = np.clip(u, 0, width - 1), np.clip(v, 0, height - 1)
    layers = [map_coordinates(image[..., c], [v, u], order=1) for c in range(image.shape[2])]
    return np.stack(layers, axis=-1)


def smoothness_of(disparity: np.ndarray, image: np.ndarray) -> float:
    shape = disparity / (disparity.mean() + 1e-7)
    total = 0.0
    for axis in (0, 1):
        edge = np.abs(np.diff(image, axis=axis)).mean(axis=2)
        total += (np.abs(np.diff(shape, axis=axis)) * np.exp(-edge)).mean()
    return total


def pyramid_of_bytes(image: np.ndarray) -> list[np.ndarray]:
    """An image of bytes and its three halvings by Lanczos, each from the one before, in 0..1."""
    levels = [Image.fromarray(image)]
    for _ in range(3):
        half = (levels[-1].width // 2, levels[-1].height // 2)
        levels.append(levels[-1].resize(half, Image.Resampling.LANCZOS))
    return [np.asarray(level) / 255 for level in levels]


def camera_of_scale(K: np.ndarray, size: tuple[int, int], scale: int, recipe: Recipe) -> np.ndarray:
    """K of an image halved ``scale`` times."""
    height, width = size
    if recipe.pixel_centres:
        # Centres of pixels lie half a pixel inside of the edges, which stay where they are.
        shrunk = K.copy()
        shrunk[:2, 2] = (K[:2, 2] + 0.5) / 2**scale - 0.5
        shrunk[[0, 1], [0, 1]] /= 2**scale
        return shrunk
    normalised = K / np.array([[width], [height], [1]])
    return normalised * np.array([[width // 2**scale], [height // 2**scale], [1]])


def loss_of(
    pyramids: list[list[np.ndarray]],
    K: np.ndarray,
    motion: list[np.ndarray],
    sigmoids: list[np.ndarray],
    recipe: Recipe,
    masks: list[np.ndarray] | None = None,
) -> float:
    """Loss of one image; pyramids are the target's, then the sources'; masks are ``h w n`` by
    scale.
    """
    total = 0.0
    for scale, sigmoid in enumerate(sigmoids):
        times = scale if recipe.native else 0
        frames = [pyramid[times] for pyramid in pyramids]
        goal, others = frames[0], frames[1:]
        height, width = goal.shape[:2]
        fine = cv2.resize(sigmoid, (width, height), interpolation=cv2.INTER_LINEAR)
        depth = 1 / (1 / recipe.max_depth + (1 / recipe.min_depth - 1 / recipe.max_depth) * fine)
        shrunk = camera_of_scale(K, pyramids[0][0].shape[:2], times, recipe)
        moved = []
        for k, (source, T) in enumerate(zip(others, motion, strict=True)):
            if recipe.multiplied:
                T = T.copy()
                T[:3, 3] *= (1 / depth).mean()
            places = places_of(depth, shrunk, T, recipe.epsilon)
            seen = look_up(source, places, align_corners=recipe.align_corners)
            error = error_between(seen, goal, recipe.ssim)
            if masks is not None:
                mask = cv2.resize(masks[scale][..., k], (width, height))
                error = error * mask
                total += 0.2 * (-np.log(mask)).mean() / len(others)
            moved.append(error)
        still = [error_between(source, goal, recipe.ssim) for source in others]
        if not recipe.minimum:
            moved, still = [np.mean(moved, axis=0)], [np.mean(still, axis=0)]
        candidates = [*still, *moved] if recipe.automask else moved
        total += np.min(candidates, axis=0).mean()
        total += recipe.smoothness / 2**scale * smoothness_of(sigmoid, pyramids[0][scale])
    return total / len(sigmoids)
