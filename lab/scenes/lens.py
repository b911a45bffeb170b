"""Camera effects: fog, exposure, colour cast, blur, shake, tone curve, grain."""

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from lab.scenes.dice import Dice

Radiance = Float32[np.ndarray, "h w 3"]
_LAYERS = 8
"""Layers of a picture that is out of focus."""
_SHARP = 0.4
"""Deviation of a blur that is not seen [px]."""


def fog(colours: Radiance, depth: Float32[np.ndarray, "h w"], sky: Float32[np.ndarray, "a b 3"],
        density: float) -> Radiance:  # fmt: skip
    """Blend surfaces into the horizon's colour; half is lost over 0.7 / ``density`` [1/m]."""
    clear = np.exp(-np.maximum(depth, 0.0) * density)[..., None]
    veiled = colours * clear + (1.0 - clear) * sky[-1].mean(axis=0)
    return np.where(depth[..., None] > 0, veiled, colours).astype(np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lens:
    """Effects of a camera, the same for all frames of a clip.

    Attributes:
        brightness: Brightness of the exposure level, in [0, 1].
        cast: Factors of red, green and blue.
        vignette: Darkening of the corners, in [0, 1].
        blur: Standard deviation of the blur [px]; 0 for none.
        bloom: Standard deviation of the halo around overexposed areas [px]; 0 for none.
        clips: Whether highlights are clipped; otherwise they are rolled off.
        gamma: Exponent of the tone curve.
        grain: Standard deviation of the noise, for pixel values in [0, 1].
        shake: Length of the motion during the exposure [px]; 0 for none.
        heading: Direction of the motion [rad], from right to down.
        fringe: Relative enlargement of red, and reduction of blue, against green.
        rays: Number of rays of the stars around overexposed areas; 0 for none.
        reach: Length of these rays, as a share of the picture's height.
    """

    brightness: float
    cast: Float32[np.ndarray, "3"]
    vignette: float
    blur: float
    bloom: float
    clips: bool
    gamma: float
    grain: float
    shake: float
    heading: float
    fringe: float
    rays: int = 0
    reach: float = 0.0


def choose_lens(dice: Dice, draw: np.random.Generator) -> Lens:
    """Draw a camera with mild imperfections."""
    return Lens(
        brightness=dice.uniform(0.12, 0.4),
        cast=np.exp(draw.normal(0.0, 0.06, 3)).astype(np.float32),
        vignette=dice.uniform(0.1, 0.5) if dice.chance(0.3) else 0.0,
        blur=dice.uniform(0.4, 0.9) if dice.chance(0.25) else 0.0,
        bloom=dice.uniform(2, 8) if dice.chance(0.3) else 0.0,
        clips=dice.chance(0.5),
        gamma=dice.uniform(1.9, 2.4),
        grain=dice.uniform(0.0, 0.02),
        shake=dice.uniform(1.5, 5.0) if dice.chance(0.1) else 0.0,
        heading=dice.angle(),
        fringe=dice.uniform(-0.004, 0.004) if dice.chance(0.2) else 0.0,
    )


def flaring(lens: Lens, dice: Dice) -> Lens:
    """The same camera, with stars around lamps."""
    rays, reach = dice.choice((4, 6, 8)), dice.uniform(0.08, 0.3)
    return replace(lens, rays=rays, reach=reach, bloom=max(lens.bloom, dice.uniform(2, 8)))


def dimmed(lens: Lens, dice: Dice) -> Lens:
    """The same camera where there is too little light: dark, noisy, sometimes shaken."""
    return replace(
        lens,
        brightness=dice.log_uniform(0.06, 0.25),
        grain=dice.uniform(0.01, 0.045),
        shake=dice.uniform(1.0, 4.0) if dice.chance(0.2) else lens.shake,
    )


def level_of(colours: Radiance) -> np.float32:
    """Exposure level of a frame in linear radiance: halfway between median and mean."""
    return 0.5 * np.median(colours) + 0.5 * colours.mean() + np.float32(1e-4)


def expose(
    colours: Radiance, lens: Lens, level: np.float32, draw: np.random.Generator
) -> UInt8[np.ndarray, "h w 3"]:
    """Expose linear radiance for ``level`` to an sRGB photograph; ``draw`` makes the grain."""
    light = colours * (lens.brightness / level) * lens.cast
    if lens.vignette:
        light *= vignette(light.shape[:2], lens.vignette)
    if lens.fringe:
        light = fringed(light, lens.fringe)
    if lens.shake:
        light = cv2.filter2D(light, -1, streak(lens.shake, lens.heading))
    if lens.blur:
        light = cv2.GaussianBlur(light, (0, 0), lens.blur)
    if lens.bloom:
        light = light + 0.3 * cv2.GaussianBlur(np.maximum(light - 1.0, 0.0), (0, 0), lens.bloom)
    if lens.rays:
        light = light + stars(light, lens)
    light = np.minimum(light, 1.0) if lens.clips else 1.0 - np.exp(-1.3 * light)
    tone = np.clip(light, 0.0, 1.0) ** (1.0 / lens.gamma)
    grain = lens.grain * draw.standard_normal(tone.shape, dtype=np.float32)
    return np.round(np.clip(tone + grain, 0.0, 1.0) * 255).astype(np.uint8)


def defocused(
    colours: Radiance, depth: Float32[np.ndarray, "h w"], focus: float, deviation: float
) -> Radiance:
    """Blur what is not at the distance ``focus`` [m], as a lens of a wide aperture does.

    Surfaces are laid over each other in layers of equal blur, the farthest first; what is hidden
    behind a nearer one is continued from its surroundings.

    Args:
        colours: Linear RGB.
        depth: Depth [m], not positive where there is sky.
        focus: Depth that is sharp [m].
        deviation: Deviation of the blur at infinity [px]; that of nearer things grows without
            bound, and is cut at twice as much.
    """
    ratio = np.where(depth > 0, focus / np.maximum(depth, 1e-3), 0.0)
    size = deviation * np.maximum(1.0 - ratio, -2.0)
    edges = np.linspace(size.max() + 1e-3, size.min() - 1e-3, _LAYERS + 1)
    result = colours.copy()
    for far, near in pairwise(edges):
        mask = ((size <= far) & (size > near)).astype(np.float32)
        blur = abs(far + near) / 2
        if not mask.any():
            continue
        share, light = mask, colours * mask[..., None]
        if blur > _SHARP:
            share, light = (cv2.GaussianBlur(each, (0, 0), blur) for each in (share, light))
        # Doubled, so that no farther layer is seen through where a surface runs on into the next.
        cover = np.clip(2 * share, 0.0, 1.0)[..., None]
        result = result * (1 - cover) + cover * light / np.maximum(share, 1e-4)[..., None]
    return result.astype(np.float32)


def stars(light: Radiance, lens: Lens) -> Radiance:
    """Rays around overexposed areas, which fade towards their ends (diffraction at the blades)."""
    glare = np.clip(light - 1.0, 0.0, 20.0)
    length = max(3.0, 2 * lens.reach * light.shape[0])
    headings = [lens.heading + math.pi * k / lens.rays for k in range(0, lens.rays, 2)]
    blades = np.maximum.reduce([faded(length, 2 * each) for each in headings])
    return cv2.filter2D(glare, -1, blades)


def faded(length: float, heading: float) -> Float32[np.ndarray, "side side"]:
    """A line of ``length`` [px] about the middle of a square, which fades towards both ends."""
    middle = math.ceil(length / 2) + 1
    v, u = np.mgrid[-middle : middle + 1, -middle : middle + 1]
    along = np.abs(u * math.cos(heading) + v * math.sin(heading)) / (length / 2)
    beside = np.abs(v * math.cos(heading) - u * math.sin(heading))
    return (0.06 * np.clip(1 - along, 0, 1) ** 2 * np.clip(1.2 - beside, 0, 1)).astype(np.float32)


def vignette(size: tuple[int, int], strength: float) -> Float32[np.ndarray, "h w 1"]:
    """Factors that darken the corners by ``strength``, in [0, 1]."""
    height, width = size
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    return (1.0 - strength * 0.5 * (x * x + y * y))[..., None].astype(np.float32)


def fringed(light: Radiance, share: float) -> Radiance:
    """Enlarge red and shrink blue about the centre (lateral chromatic aberration)."""
    height, width, _ = light.shape
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    planes = list(cv2.split(light))
    for plane, scale in ((0, 1.0 + share), (2, 1.0 - share)):
        about = np.column_stack([scale * np.eye(2), (1.0 - scale) * middle])
        planes[plane] = cv2.warpAffine(
            planes[plane], about, (width, height), borderMode=cv2.BORDER_REPLICATE
        )
    return np.asarray(cv2.merge(planes), np.float32)


def streak(length: float, heading: float) -> Float32[np.ndarray, "side side"]:
    """Motion blur kernel of a uniform motion of ``length`` [px]; its sum is 1."""
    middle = math.ceil(length / 2) + 1
    weights = np.zeros((2 * middle + 1, 2 * middle + 1), np.float32)
    for way in np.linspace(-length / 2, length / 2, 33):
        x, y = middle + way * math.cos(heading), middle + way * math.sin(heading)
        left, top = int(x), int(y)
        across, down = x - left, y - top
        weights[top : top + 2, left : left + 2] += np.outer([1 - down, down], [1 - across, across])
    return weights / weights.sum()
