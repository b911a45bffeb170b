"""Contact sheet of rendered frames: image, depth and normals side by side."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8

from rilievo.records.sample import Sample


def panel(sample: Sample) -> UInt8[np.ndarray, "h w3 3"]:
    """Image, depth (near is bright, on a logarithmic scale; sky black) and normals of a sample."""
    valid = sample.depth_valid
    assert sample.depth is not None
    assert sample.normals is not None
    assert valid is not None
    depth = np.zeros(valid.shape)
    if valid.any():
        logarithm = np.log(sample.depth[valid])
        low, high = np.percentile(logarithm, (1, 99))
        depth[valid] = 0.08 + 0.92 * np.clip((high - logarithm) / max(high - low, 1e-6), 0, 1)
    # Right is red, up is green, towards the camera is blue.
    axes = np.array([1.0, -1.0, -1.0])[:, None, None]
    normals = np.where(valid, 0.5 + 0.5 * axes * sample.normals, 0.0).transpose(1, 2, 0)
    grey = np.repeat(depth[..., None], 3, axis=2)
    right = np.concatenate([grey, normals], axis=1)
    return np.concatenate([sample.image, np.round(255 * right).astype(np.uint8)], axis=1)


def contact_sheet(samples: Sequence[Sample], *, columns: int = 3) -> UInt8[np.ndarray, "h w 3"]:
    """Panels of samples of one size in a grid, row by row."""
    panels = [panel(sample) for sample in samples]
    rows = math.ceil(len(panels) / columns)
    height, width, _ = panels[0].shape
    sheet = np.zeros((rows * height, columns * width, 3), np.uint8)
    for k, one in enumerate(panels):
        top, left = k // columns * height, k % columns * width
        sheet[top : top + height, left : left + width] = one
    return sheet
