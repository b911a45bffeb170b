"""Depth and rays at positions between pixels."""

import numpy as np
from jaxtyping import Float, Float64


def depth_at(
    depth: Float[np.ndarray, "h w"], places: Float64[np.ndarray, "n 2"]
) -> Float64[np.ndarray, "n"]:
    """Depth at positions (x, y) [px], linear between pixels; NaN outside and where unknown."""
    height, width = depth.shape
    x, y = places[:, 0], places[:, 1]
    inside = (x >= 0) & (y >= 0) & (x <= width - 1) & (y <= height - 1)
    left = np.clip(np.floor(x).astype(int), 0, max(width - 2, 0))
    top = np.clip(np.floor(y).astype(int), 0, max(height - 2, 0))
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    across, down = x - left, y - top
    with np.errstate(invalid="ignore"):
        upper = depth[top, left] * (1 - across) + depth[top, right] * across
        lower = depth[bottom, left] * (1 - across) + depth[bottom, right] * across
        found = upper * (1 - down) + lower * down
        return np.where(inside & np.isfinite(found) & (found > 0), found, np.nan)


def rays_at(
    places: Float64[np.ndarray, "n 2"], K: Float[np.ndarray, "3 3"]
) -> Float64[np.ndarray, "n 3"]:
    """Points of depth 1 at positions (x, y) [px]."""
    rays = (places - K[[0, 1], [2, 2]]) / K[[0, 1], [0, 1]]
    return np.concatenate([rays, np.ones((len(rays), 1))], axis=1)
