"""A picture whose sky the default network finds: a rolling field with a post, under a clear sky."""

import numpy as np
from jaxtyping import Bool, UInt8


def open_field(
    height: int = 480, width: int = 640
) -> tuple[UInt8[np.ndarray, "h w 3"], Bool[np.ndarray, "h w"]]:
    """Draw the picture; returns its pixels and the mask of its sky."""
    v, u = np.mgrid[:height, :width]
    grain = np.random.default_rng(0).normal(0, 14, (height, width, 1))
    sky = v < height * (0.45 + np.sin(7 * u / width) / 16 + np.sin(28 * u / width) / 48)
    blue = np.stack([90 + 60 * v / height, 140 + 50 * v / height, np.full(v.shape, 225)], axis=-1)
    grass = grain + [70, 95, 45] + 30 * (v / height)[..., None]
    pixels = np.where(sky[..., None], blue, grass)
    post = np.s_[5 * height // 12 : 5 * height // 6, 15 * width // 32 : 33 * width // 64]
    pixels[post] = grain[post] / 2 + [80, 60, 40]
    sky[post] = False
    return pixels.clip(0, 255).astype(np.uint8), sky
