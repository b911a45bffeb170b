"""Sharpen a low-resolution field: its ramps become steps at the edges of a photograph.

The output of a network has a low resolution, so its depth changes smoothly from one object to the
next. Such a ramp differs from a slope by its ends: a window twice as wide has no larger range. In a
window around it, clearly near pixels have one mean colour and clearly far pixels another; every
pixel of the photograph is assigned to the side whose colour is more likely (two normal
distributions with the same variance). Where colours are not conclusive, the field itself decides. A
wrong far pixel costs more relative error than a wrong near one, so it needs more evidence: the
log-odds of the ratio of the two depths.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float32, Shaped

Field = Float32[np.ndarray, "h w"]

REACH = 5
"""Pixels from the middle of a ramp to either end, and half of the window for colours."""
_STEP = 0.02
"""Half of the least difference that counts as a step; for depth the field is its logarithm."""
_NOISE = 0.012
"""Least variance of colours in 0..1."""
_NEAR = 0.4
"""Share of a ramp's height up to which pixels count as near, fully so up to 0.05."""
_MOST_PROOF = 2.0
"""Largest log-odds from colours."""
_PRIOR = 2.0
"""Log-odds from the field itself at the ends of a ramp."""
_HARDNESS = 2.0
"""Share of the far side per log-odds, starting at 1/2; pixels strictly between 0 and 1 are
uncertain.
"""
_ALIKE, _UNLIKE = math.cos(math.radians(15)), math.cos(math.radians(30))
"""Cosines of the angles between the slope of depth and the normals up to which the normals explain
it, and from which they do not.
"""
_NO_STEP, _STEP_SURE = 0.05, 0.12
"""Chances of a step up to which a ramp stays one, and from which it may become a step; the largest
within ``_BESIDE`` pixels counts.
"""
_BESIDE = 1
_TINY = np.float32(1e-6)


def sides(
    values: Float32[np.ndarray, "c h w"], colours: Float32[np.ndarray, "3 h w"]
) -> Float32[np.ndarray, "d h w"]:
    """Compute the near and the far side of every ramp, as smooth fields for ``decide``.

    Args:
        values: Fields. The ramps are those of the first, whose near side has smaller values; the
            others follow it.
        colours: Photograph of the same size, in 0..1.

    Returns:
        Strength of the ramp in 0..1; log-odds of the far side from the field; an offset and three
        weights for log-odds from the colours; the values of the near and of the far side.
    """
    field = values[0]
    low, high = (window(field, join) for join in (np.minimum, np.maximum))
    wide = window(high, np.maximum) - window(low, np.minimum)
    height = high - low
    # A slope is twice as high in a window twice as wide; a step is not.
    gate = np.clip((height - wide / 2) / np.float32(_STEP) - 1, 0, 1)
    gate = window(gate, np.add, 2) / 25
    share = (field - low) / np.maximum(height, _TINY)
    power = np.einsum("chw,chw->hw", colours, colours)
    near, far = (_side(of, values, (power, *colours)) for of in (share, 1 - share))
    variance = (near[0] + far[0]) / 2 + np.float32(_NOISE)
    apart = far[1:4] - near[1:4]
    weights = apart / variance
    offset = -np.einsum("chw,chw->hw", weights, far[1:4] + near[1:4]) / 2
    belief = np.float32(_PRIOR) * (2 * share - 1) - (far[4] - near[4])
    # Colours that hardly differ carry no evidence, whatever their noise.
    gate *= np.clip(np.einsum("chw,chw->hw", weights, apart), 0, 1)
    return np.concatenate([gate[None], belief[None], offset[None], weights, near[4:], far[4:]])


def decide(
    fields: Float32[np.ndarray, "d *n"],
    colours: Float32[np.ndarray, "3 *n"],
    values: Float32[np.ndarray, "c *n"],
) -> Float32[np.ndarray, "c *n"]:
    """Assign every pixel of a ramp to one of its sides, and return the values.

    Args:
        fields: Output of ``sides``, at its pixels or resized to those of ``colours``.
        colours: Photograph in 0..1.
        values: Values to keep where there is no ramp.
    """
    gate, belief, offset = fields[:3]
    proof = offset + np.einsum("c...,c...->...", fields[3:6], colours)
    odds = np.clip(proof, -_MOST_PROOF, _MOST_PROOF) + belief
    far_share = np.clip(np.float32(_HARDNESS) * odds + np.float32(0.5), 0, 1)
    near, far = np.split(fields[6:], 2)
    return values + gate * (near + far_share * (far - near) - values)


def unexplained(
    field: Field, normals: Float32[np.ndarray, "3 h w"], focal: tuple[float, float]
) -> Field:
    """Share of the changes within ``REACH`` that the normals do not explain, in 0..1.

    Ground that recedes changes as fast as a ramp between two things, but the normals say so.

    Args:
        field: Logarithm of depth.
        normals: Normals of the same size, of any length.
        focal: Focal lengths down and across [px]; the principal point is the middle.
    """
    down, across = np.gradient(field)
    v, u = (np.arange(n, dtype=np.float32) - np.float32((n - 1) / 2) for n in field.shape)
    # 1/z of a plane is linear in the image, and its slopes are the normal's x and y.
    own = np.stack(
        [
            across * np.float32(focal[1]),
            down * np.float32(focal[0]),
            -1 - across * u - down * v[:, None],
        ]
    )
    lengths = np.sqrt(
        np.einsum("chw,chw->hw", own, own) * np.einsum("chw,chw->hw", normals, normals)
    )
    cosine = np.einsum("chw,chw->hw", own, normals) / np.maximum(lengths, _TINY)
    strange = np.clip((np.float32(_ALIKE) - cosine) / np.float32(_ALIKE - _UNLIKE), 0, 1)
    change = np.hypot(down, across)
    share = window(change * strange, np.add) / (window(change, np.add) + _TINY)
    return np.clip(2 * share - np.float32(0.5), 0, 1)


def agreed(steps: Field, sky: Field | None) -> Field:
    """Share of ramps to which a network's own chances of a step agree, in 0..1.

    The edge of a shadow or the glare of a lamp changes colour where depth has no step. The border
    of the sky counts as one.

    Args:
        steps: Chance that a pixel lies on a step of depth.
        sky: Chance that a pixel sees no surface, of the same size; None if not known.
    """
    if sky is not None:
        border = window(sky, np.maximum, 1) - window(sky, np.minimum, 1)
        steps = np.maximum(steps, border)
    near = window(steps, np.maximum, _BESIDE)
    return np.clip((near - np.float32(_NO_STEP)) / np.float32(_STEP_SURE - _NO_STEP), 0, 1)


def calm(field: Field, gate: Field) -> Field:
    """Smooth ripples of two and three pixels where there is no ramp."""
    smooth = field
    for _ in range(2):
        smooth = _binomial(_binomial(smooth, 0), 1)
    ramp = np.clip(window(gate, np.add, 1) * np.float32(2 / 9), 0, 1)
    return smooth + ramp * (field - smooth)


def window(
    field: Shaped[np.ndarray, "*c h w"],
    join: Callable[[np.ndarray, np.ndarray], np.ndarray],
    reach: int = REACH,
) -> Shaped[np.ndarray, "*c h w"]:
    """Least, largest or sum of the pixels at most ``reach`` away; borders are repeated."""
    count = 2 * reach + 1
    for axis in (-2, -1):
        length = field.shape[axis]
        part = _padded(np.moveaxis(field, axis, 0), reach)
        total, start, size = None, 0, 1
        while True:
            # The windows, with power-of-two lengths, that make up the whole.
            if count & size:
                piece = part[start : start + length]
                total = piece if total is None else join(total, piece)
                start += size
            if 2 * size > count:
                break
            part = join(part[:-size], part[size:])
            size *= 2
        assert total is not None, "a window has an odd number of pixels"
        field = np.moveaxis(total, 0, axis)
    return field


def _padded(
    lines: Shaped[np.ndarray, "n *other"], reach: int
) -> Shaped[np.ndarray, "padded *other"]:
    """Repeat the first and the last line; in a fraction of the time of ``np.pad``."""
    count = len(lines)
    padded = np.empty_like(lines, shape=(count + 2 * reach, *lines.shape[1:]))
    padded[:reach], padded[reach : reach + count], padded[reach + count :] = (
        lines[0],
        lines,
        lines[-1],
    )
    return padded


def _binomial(field: Field, axis: int) -> Field:
    part = _padded(np.moveaxis(field, axis, 0), 1)
    return np.moveaxis((part[:-2] + part[2:]) / 4 + part[1:-1] / 2, 0, axis)


def _side(
    share: Field, values: Float32[np.ndarray, "c h w"], planes: Sequence[Field]
) -> Float32[np.ndarray, "4+c h w"]:
    """Variance and mean of the colours, and mean values, of the pixels with small ``share``.

    The planes are the sum of the squared colours and the three colours.
    """
    weight = np.clip((np.float32(_NEAR) - share) / np.float32(_NEAR - 0.05), 0, 1)
    total = window(weight, np.add) + _TINY
    means = np.empty((4 + len(values), *share.shape), np.float32)
    # One by one, because planes that fit into the cache take half the time.
    for plane, mean in zip((*planes, *values), means, strict=True):
        np.divide(window(weight * plane, np.add), total, out=mean)
    means[0] -= np.einsum("chw,chw->hw", means[1:4], means[1:4])
    means[0] = np.maximum(means[0], 0) / 3
    # Values stay as they are where no pixel is on this side.
    means[4:] += _TINY * values / total
    return means
