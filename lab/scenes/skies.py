"""Random skies: a gradient from horizon to zenith with clouds, or a closed cover of them."""

import cv2
import numpy as np
from jaxtyping import Float32


def sky(draw: np.random.Generator) -> Float32[np.ndarray, "64 256 3"]:
    """Linear RGB by elevation (first row zenith, last row horizon) and azimuth."""
    blue = np.array([draw.uniform(0.3, 1.0), draw.uniform(0.55, 1.0), 1.0])
    zenith = draw.uniform(0.3, 1.0) * blue
    horizon = np.clip(zenith + draw.uniform(0.0, 0.5), 0.0, 1.3)
    if draw.random() < 0.15:
        horizon = horizon * np.array([1.2, 0.8, 0.55])
    low = np.linspace(0.0, 1.0, 64)[:, None, None] ** 2
    clear = (zenith * (1.0 - low) + horizon * low) * np.ones((64, 256, 1))
    shapes = _shapes(draw)
    cover = np.clip((shapes + draw.uniform(-1.0, 1.0)) * draw.uniform(0.2, 1.2), 0.0, 1.0)[
        ..., None
    ]
    cover *= draw.random() ** 0.5
    clouds = draw.uniform(0.6, 1.2) * (0.85 + 0.15 * np.clip(shapes, -1, 1))[..., None]
    return (clear * (1.0 - cover) + cover * clouds).astype(np.float32)


def overcast(draw: np.random.Generator) -> Float32[np.ndarray, "64 256 3"]:
    """Linear RGB of a closed cover of clouds, or of a pale haze; laid out as by `sky`."""
    tint = 1.0 + draw.uniform(0.0, 0.12) * np.array([-1.0, 0.0, 1.0])
    if draw.random() < 0.15:
        tint = np.array([1.1, 0.9, draw.uniform(0.65, 0.85)])
    low = np.linspace(0.0, 1.0, 64)[:, None] ** draw.uniform(0.5, 3.0)
    level = draw.uniform(0.35, 1.2) * (1.0 + draw.uniform(-0.4, 0.4) * low)
    shapes = np.clip(_shapes(draw), -1.5, 1.5)
    clouds = level * (1.0 + draw.choice((0.0, 0.05, 0.2, 0.35)) * shapes)
    return (clouds[..., None] * tint).clip(0.02, 2.0).astype(np.float32)


def dramatic(draw: np.random.Generator) -> Float32[np.ndarray, "64 256 3"]:
    """Linear RGB of a sunset, a storm or twilight, with clouds; laid out as by `sky`."""
    rise = np.linspace(1.0, 0.0, 64)[:, None, None]
    around = np.cos(np.linspace(0.0, 2 * np.pi, 256) - draw.uniform(0, 2 * np.pi))[None, :, None]
    warm = np.array([1.0, draw.uniform(0.3, 0.75), draw.uniform(0.08, 0.5)])
    cold = np.array([draw.uniform(0.1, 0.4), draw.uniform(0.35, 0.6), draw.uniform(0.5, 0.9)])
    if draw.random() < 0.35:
        # A storm has no colour.
        warm, cold = np.full(3, draw.uniform(0.3, 1.0)), np.full(3, draw.uniform(0.05, 0.4))
    glow = np.exp(-rise / draw.uniform(0.1, 0.6)) * (0.6 + 0.4 * draw.random() * around)
    level = draw.uniform(0.15, 1.2)
    clear = level * (draw.uniform(0.2, 0.8) * cold * (1.0 - glow) + warm * glow)
    shapes = _shapes(draw)
    cover = np.clip((shapes + draw.uniform(-0.8, 0.8)) * draw.uniform(0.8, 3.0), 0.0, 1.0)
    cover = cover[..., None] * draw.uniform(0.3, 1.0)
    # Clouds are lit from below near the sun, and dark elsewhere.
    clouds = (
        clear.mean(axis=2, keepdims=True) * draw.uniform(0.2, 1.0) * (0.7 + 0.3 * shapes[..., None])
    )
    clouds = clouds + draw.uniform(0.0, 0.8) * level * glow * warm
    return (clear * (1.0 - cover) + cover * clouds).clip(0.005, 2.5).astype(np.float32)


def _shapes(draw: np.random.Generator) -> Float32[np.ndarray, "64 256"]:
    """Random field of three sizes of clouds, which continues itself around the horizon."""
    shapes = np.zeros((64, 256), np.float32)
    for rows, columns, weight in ((6, 24, 1.0), (16, 64, 0.5), (32, 128, 0.25)):
        grid = draw.standard_normal((rows, columns)).astype(np.float32)
        grid[:, -1] = grid[:, 0]
        shapes += weight * cv2.resize(grid, (256, 64), interpolation=cv2.INTER_CUBIC)
    return shapes
