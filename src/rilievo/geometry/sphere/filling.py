"""Smooth continuation of a picture into pixels that it lacks (pull-push, Gortler et al. 1996)."""

import numpy as np
from jaxtyping import Bool, Float32
from PIL import Image


def filled(
    field: Float32[np.ndarray, "h w c"], known: Bool[np.ndarray, "h w"]
) -> Float32[np.ndarray, "h w c"]:
    """Fill unknown pixels by means of known ones around them, taken as near as there are any."""
    if not known.any():
        return np.zeros_like(field)
    channels = [*np.moveaxis(np.where(known[..., None], field, 0), 2, 0)]
    weight = known.astype(np.float32)
    return np.stack(_filled([*channels, weight])[:-1], axis=2)


def _filled(layers: list[np.ndarray]) -> list[np.ndarray]:
    """Layers of values times weight, with the weight last; the result has weight 1 everywhere."""
    *values, weight = layers
    height, width = weight.shape
    if min(height, width) == 1 or weight.min() >= 1:
        total = max(float(weight.sum()), 1e-6)
        whole = weight.min() >= 1
        means = [each if whole else np.full_like(each, each.sum() / total) for each in values]
        return [*means, np.ones_like(weight)]
    half = ((width + 1) // 2, (height + 1) // 2)
    small = [_resized(each, half, Image.Resampling.BOX) for each in layers]
    gained = np.minimum(4 * small[-1], 1) / np.maximum(small[-1], 1e-9)
    coarse = _filled([each * gained for each in small])
    fine = [_resized(each, (width, height), Image.Resampling.BILINEAR) for each in coarse[:-1]]
    own = [each + (1 - weight) * below for each, below in zip(values, fine, strict=True)]
    return [*own, np.ones_like(weight)]


def _resized(
    field: np.ndarray, size: tuple[int, int], how: Image.Resampling
) -> Float32[np.ndarray, "h w"]:
    return np.asarray(Image.fromarray(np.asarray(field, np.float32)).resize(size, how))
