"""What a camera does to light: fog on the way, exposure, colour cast, blur, tone, grain."""

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from rilievo.datasets.synthetic.dice import Dice

Radiance = Float32[np.ndarray, "h w 3"]


def fog(colours: Radiance, depth: Float32[np.ndarray, "h w"], sky: Float32[np.ndarray, "a b 3"],
        density: float) -> Radiance:  # fmt: skip
    """Veil surfaces with the horizon's colour; half is lost over 0.7 / ``density`` [1/m]."""
    clear = np.exp(-np.maximum(depth, 0.0) * density)[..., None]
    veiled = colours * clear + (1.0 - clear) * sky[-1].mean(axis=0)
    return np.where(depth[..., None] > 0, veiled, colours).astype(np.float32)


def expose(colours: Radiance, dice: Dice, draw: np.random.Generator) -> UInt8[np.ndarray, "h w 3"]:
    """An sRGB photograph of linear radiance, with mild faults."""
    level = 0.5 * np.median(colours) + 0.5 * colours.mean() + 1e-4
    cast = np.exp(draw.normal(0.0, 0.06, 3)).astype(np.float32)
    light = colours * (dice.uniform(0.12, 0.4) / level) * cast
    if dice.chance(0.3):
        light *= vignette(light.shape[:2], dice.uniform(0.1, 0.5))
    if dice.chance(0.25):
        light = cv2.GaussianBlur(light, (0, 0), dice.uniform(0.4, 0.9))
    if dice.chance(0.3):
        bloom = cv2.GaussianBlur(np.maximum(light - 1.0, 0.0), (0, 0), dice.uniform(2, 8))
        light = light + 0.3 * bloom
    # Half of the cameras clip the highlights, half roll them off.
    light = np.minimum(light, 1.0) if dice.chance(0.5) else 1.0 - np.exp(-1.3 * light)
    tone = np.clip(light, 0.0, 1.0) ** (1.0 / dice.uniform(1.9, 2.4))
    grain = dice.uniform(0.0, 0.02) * draw.standard_normal(tone.shape, dtype=np.float32)
    return np.round(np.clip(tone + grain, 0.0, 1.0) * 255).astype(np.uint8)


def vignette(size: tuple[int, int], strength: float) -> Float32[np.ndarray, "h w 1"]:
    """Factors that darken the corners by ``strength``, in [0, 1]."""
    height, width = size
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    return (1.0 - strength * 0.5 * (x * x + y * y))[..., None].astype(np.float32)
