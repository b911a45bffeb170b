"""Consistency of a model: normals with depth, and successive frames with each other."""

import io
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, UInt8
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image

from rilievo.geometry.intrinsics import seen_from
from rilievo.geometry.normals import normals_from_depth

_REACH = 4
_LARGEST_BEND = 0.02
_SHORTEST_MEAN = np.cos(np.radians(10))
_SAME_SURFACE = 0.05
_AHEAD = 2.0  # metres: about where things in a room are


def smooth(
    depth: Float32[np.ndarray, "h w"], normals: Float32[np.ndarray, "3 h w"]
) -> Bool[np.ndarray, "h w"]:
    """Mask of pixels whose neighbourhood of 4 pixels is one smooth surface.

    Without depth edges: 1/depth of a plane is linear in the image, however oblique it is, and here
    its relative change of slope is at most 2 % from one pixel to the next. Without creases: unit
    normals differ by about 10 degrees at most, so that their mean is no shorter than cos 10°.
    """
    inverse = 1 / depth
    flat = np.zeros(depth.shape, bool)
    across = np.abs(np.diff(inverse, 2, axis=1))[1:-1] / inverse[1:-1, 1:-1]
    down = np.abs(np.diff(inverse, 2, axis=0))[:, 1:-1] / inverse[1:-1, 1:-1]
    flat[1:-1, 1:-1] = np.maximum(across, down) < _LARGEST_BEND
    side, inner = (2 * _REACH + 1,) * 2, slice(_REACH, -_REACH)
    mean = sliding_window_view(normals, side, axis=(1, 2)).mean(axis=(3, 4))
    whole = np.zeros(depth.shape, bool)
    whole[inner, inner] = sliding_window_view(flat, side).all(axis=(2, 3))
    whole[inner, inner] &= np.linalg.norm(mean, axis=0) > _SHORTEST_MEAN
    return whole


def disagreement(
    depth: Float32[np.ndarray, "h w"],
    normals: Float32[np.ndarray, "3 h w"],
    K: Float64[np.ndarray, "3 3"],
) -> Float[np.ndarray, "n"]:
    """Angles between normals and those that follow from depth, on smooth surfaces [degrees].

    Args:
        depth: Depth up to a factor.
        normals: Normals of any length.
        K: Intrinsics of an image of this size [px].
    """
    derived, known = normals_from_depth(depth, K, window=2 * _REACH + 1)
    unit = normals / np.linalg.norm(normals, axis=0)
    chosen = smooth(depth, unit) & known
    cosine = np.clip((unit[:, chosen] * derived[:, chosen]).sum(axis=0), -1, 1)
    return np.degrees(np.arccos(cosine))


def flicker(depths: Float[np.ndarray, "n h w"]) -> Float64[np.ndarray, "m"]:
    """Variation of each pixel's depth over time: standard deviation divided by mean.

    Every frame is first scaled by the median of its ratios to the median frame.

    Args:
        depths: Depth maps of one view, up to a factor a frame; NaN where a pixel is not seen.

    Returns:
        Variation of the pixels that are seen in every frame.
    """
    seen = depths[:, np.isfinite(depths).all(axis=0)].astype(np.float64)
    seen = seen / np.median(seen, axis=1, keepdims=True)
    seen = seen / np.median(seen / np.median(seen, axis=0), axis=1, keepdims=True)
    return seen.std(axis=0) / seen.mean(axis=0)


def disturbed(
    pixels: UInt8[np.ndarray, "h w 3"], count: int
) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """One photograph as a still camera would take it repeatedly; always the same variants.

    Exposure within 2 %, a shift by less than half a pixel, noise of two levels of 255, and JPEG
    of quality 75 to 95.
    """
    random = np.random.default_rng(0)
    image = Image.fromarray(pixels)
    for _ in range(count):
        across, down = random.uniform(-0.5, 0.5, 2)
        shift = (1, 0, float(across), 0, 1, float(down))
        moved = image.transform(image.size, Image.Transform.AFFINE, shift, Image.Resampling.BICUBIC)
        light = np.asarray(moved) * random.uniform(0.98, 1.02)
        noisy = (light + random.normal(0, 2, light.shape)).clip(0, 255).round()
        file = io.BytesIO()
        Image.fromarray(noisy.astype(np.uint8)).save(
            file, "JPEG", quality=int(random.integers(75, 96))
        )
        yield np.asarray(Image.open(file).convert("RGB"))


def movement(poses: Float64[np.ndarray, "n 4 4"]) -> float:
    """Largest distance of the camera, and of a point 2 m ahead of it, from the first pose [m]."""
    places = poses[:, :3, 3]
    ahead = places + _AHEAD * poses[:, :3, 2]
    far = [np.linalg.norm(each - each[0], axis=1).max() for each in (places, ahead)]
    return float(max(far))


def stillest(poses: Float64[np.ndarray, "n 4 4"], count: int) -> int:
    """Index of the first of the ``count`` consecutive poses that move least."""
    starts = range(len(poses) - count + 1)
    return min(starts, key=lambda start: movement(poses[start : start + count]))


def followed(
    predicted: Sequence[Float32[np.ndarray, "h w"]],
    true: Sequence[Float32[np.ndarray, "h w"]],
    poses: Float64[np.ndarray, "n 4 4"],
    K: Float64[np.ndarray, "3 3"],
) -> Float64[np.ndarray, "n h w"]:
    """Predicted divided by true depth of the first frame's points, tracked through the frames.

    Poses and true depth determine where a point is seen and its depth there, so that camera motion
    is removed and the rest is measured by ``flicker``.

    Args:
        predicted: Depth maps, up to a factor a frame.
        true: Measured depth [m]; not positive where there is none.
        poses: Camera to world.
        K: Intrinsics of the frames [px].

    Returns:
        Ratios; NaN where a point is outside or hidden.
    """
    height, width = true[0].shape
    ratios = np.full((len(predicted), height, width), np.nan)
    start = np.where(true[0] > 0, true[0], 1).astype(np.float64)
    for index, (guess, here) in enumerate(zip(predicted, true, strict=True)):
        u, v, z = seen_from(start, K, np.linalg.inv(poses[index]) @ poses[0])
        column, row = np.rint(u).astype(int), np.rint(v).astype(int)
        inside = (true[0] > 0) & (z > 0)
        inside &= (column >= 0) & (column < width) & (row >= 0) & (row < height)
        column, row = np.where(inside, column, 0), np.where(inside, row, 0)
        inside &= np.abs(here[row, column] - z) < _SAME_SURFACE * z
        ratios[index][inside] = (guess[row, column] / z)[inside]
    return ratios
