"""Ramps of a field turned into steps at the edges of a photograph.

A network answers at a low resolution, so its depth runs smoothly from one object to the next. Such
a ramp is told from a slope by its ends: a window twice as wide sees no larger difference. In a
window around it, what is clearly near has one mean colour and what is clearly far another; every
pixel of the photograph goes to the side whose colour is the more likely (two normal distributions
of one variance). Where colours do not tell, the field itself decides. A wrong far pixel costs more
relative error than a wrong near one, so it needs more proof: the log-odds of the ratio of the two.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float32

Field = Float32[np.ndarray, "h w"]

REACH = 5
"""Pixels from the middle of a ramp to either end, and half of the window of colours."""
_STEP = 0.02
"""Half of the least step that is one; of depth the field is the logarithm."""
_NOISE = 3e-3
"""Variance that any colour in 0..1 has."""
_NEAR = 0.4
"""Share of a ramp's height that still belongs to its near end, wholly so up to 0.05."""
_MOST_PROOF = 2.0
"""Log-odds that colours give at most."""
_PRIOR = 2.0
"""Log-odds that the field itself gives at the ends of a ramp."""
_HARDNESS = 2.0
"""Share of the far side per log-odds, from 1/2; between 0 and 1 pixels are in doubt."""
_TINY = np.float32(1e-6)


def sides(
    values: Float32[np.ndarray, "c h w"], colours: Float32[np.ndarray, "3 h w"]
) -> Float32[np.ndarray, "d h w"]:
    """The near and the far side of every ramp, as smooth fields for ``decide``.

    Args:
        values: The first is the field whose ramps are looked for, near being less; the others go
            with it.
        colours: Photograph of the same size, in 0..1.

    Returns:
        How much of a ramp there is, in 0..1; the log-odds of the far side that the field gives, and
        of the colours an offset and three weights; the values of the near and of the far side.
    """
    field = values[0]
    low, high = (window(field, join) for join in (np.minimum, np.maximum))
    wide = window(high, np.maximum) - window(low, np.minimum)
    height = high - low
    # A slope is twice as high in a window twice as wide, a step is not.
    gate = np.clip((height - wide / 2) / np.float32(_STEP) - 1, 0, 1)
    gate = window(gate, np.add, 2) / 25
    share = (field - low) / np.maximum(height, _TINY)
    near, far = (_side(of, values, colours) for of in (share, 1 - share))
    variance = (near[0] + far[0]) / 2 + np.float32(_NOISE)
    apart = far[1:4] - near[1:4]
    weights = apart / variance
    offset = -np.einsum("chw,chw->hw", weights, far[1:4] + near[1:4]) / 2
    belief = np.float32(_PRIOR) * (2 * share - 1) - (far[4] - near[4])
    # Colours that hardly differ tell nothing, whatever their noise says.
    gate *= np.clip(np.einsum("chw,chw->hw", weights, apart), 0, 1)
    return np.concatenate([gate[None], belief[None], offset[None], weights, near[4:], far[4:]])


def decide(
    fields: Float32[np.ndarray, "d *n"],
    colours: Float32[np.ndarray, "3 *n"],
    values: Float32[np.ndarray, "c *n"],
) -> Float32[np.ndarray, "c *n"]:
    """The values with every pixel of a ramp on one of its sides.

    Args:
        fields: From ``sides``, there or brought to where ``colours`` are.
        colours: In 0..1.
        values: What stays where there is no ramp.
    """
    gate, belief, offset = fields[:3]
    proof = offset + np.einsum("c...,c...->...", fields[3:6], colours)
    odds = np.clip(proof, -_MOST_PROOF, _MOST_PROOF) + belief
    far_share = np.clip(np.float32(_HARDNESS) * odds + np.float32(0.5), 0, 1)
    near, far = np.split(fields[6:], 2)
    return values + gate * (near + far_share * (far - near) - values)


def calm(field: Field, gate: Field) -> Field:
    """The field without ripples of two and three pixels where there is no ramp."""
    smooth = field
    for _ in range(2):
        smooth = _binomial(_binomial(smooth, 0), 1)
    ramp = np.clip(window(gate, np.add, 1) * np.float32(2 / 9), 0, 1)
    return smooth + ramp * (field - smooth)


def window(
    field: Field, join: Callable[[np.ndarray, np.ndarray], np.ndarray], reach: int = REACH
) -> Field:
    """Least, largest or sum of the pixels at most ``reach`` away; borders are repeated."""
    count = 2 * reach + 1
    for axis in (0, 1):
        length = field.shape[axis]
        part = np.moveaxis(np.pad(field, _margins(axis, reach), mode="edge"), axis, 0)
        total, start, size = None, 0, 1
        while True:
            # The parts of powers of two that make up the window.
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


def _margins(axis: int, reach: int) -> tuple[tuple[int, int], tuple[int, int]]:
    return ((reach, reach), (0, 0)) if axis == 0 else ((0, 0), (reach, reach))


def _binomial(field: Field, axis: int) -> Field:
    part = np.moveaxis(np.pad(field, _margins(axis, 1), mode="edge"), axis, 0)
    return np.moveaxis((part[:-2] + part[2:]) / 4 + part[1:-1] / 2, 0, axis)


def _side(
    share: Field, values: Float32[np.ndarray, "c h w"], colours: Float32[np.ndarray, "3 h w"]
) -> Float32[np.ndarray, "4+c h w"]:
    """Variance and mean of the colours, and mean values, of the pixels of small ``share``."""
    weight = np.clip((np.float32(_NEAR) - share) / np.float32(_NEAR - 0.05), 0, 1)
    power = np.einsum("chw,chw->hw", colours, colours)
    total = window(weight, np.add) + _TINY
    mean = np.stack([window(weight * each, np.add) / total for each in colours])
    spread = window(weight * power, np.add) / total - np.einsum("chw,chw->hw", mean, mean)
    # Where no pixel is on this side, values stay as they are.
    kept = [(window(weight * each, np.add) + _TINY * each) / total for each in values]
    return np.concatenate([np.maximum(spread, 0)[None] / 3, mean, np.stack(kept)])
