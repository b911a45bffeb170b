"""Rules of a benchmark that are somebody's own functions, named as ``package.module:name``.

A crop takes (height, width) and returns (top, bottom, left, right), ends exclusive. A mask takes
the ``Truth`` and returns the pixels that count. A fit takes the predicted ``DepthMap``, true depth
[m] and that mask, and returns depth [m]. An interpolation takes float64 numbers and a size.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from rilievo.depth_map import DepthMap
from rilievo.errors import InputError, OptionError, RilievoError
from rilievo.evaluation.arrays import Plane
from rilievo.registry import load_outside
from rilievo.sample import Truth
from rilievo.shapes import Field, Float, Mask, Size


@cache
def find_rule(place: str, what: str) -> Callable[..., Any]:
    """A function by its ``package.module:name``."""
    rule = load_outside(place, what)
    if not callable(rule):
        raise OptionError(f"'{place}' is no {what}, but a {type(rule).__name__}")
    return rule


def cropped(place: str, shape: Size) -> tuple[int, int, int, int]:
    """(top, bottom, left, right) of a crop."""
    edges = _call_rule(place, "crop", shape)
    try:
        top, bottom, left, right = (int(edge) for edge in edges)
    except (TypeError, ValueError):
        top = bottom = left = right = 0
    if not (0 <= top < bottom <= shape[0] and 0 <= left < right <= shape[1]):
        raise InputError(
            f"the crop '{place}' gives {edges} of {shape[0]} x {shape[1]} pixels, expected (top, "
            "bottom, left, right) inside them"
        )
    return top, bottom, left, right


def masked(place: str, truth: Truth, shape: Size) -> Mask:
    """Pixels that a mask lets count."""
    mask = _call_rule(place, "mask", truth)
    if not isinstance(mask, np.ndarray) or mask.dtype != bool or mask.shape != shape:
        raise InputError(f"the mask '{place}' gives {_shape_or_type(mask)}, expected {shape} bool")
    return mask


def fitted(
    place: str,
    predicted: DepthMap,
    true: Field,
    valid: Mask,
) -> Field:
    """Depth [m] that a fit gives; 1 m where nothing is predicted."""
    answer = _call_rule(place, "fit", predicted, true, valid)
    if not isinstance(answer, np.ndarray) or answer.shape != true.shape or answer.dtype.kind != "f":
        raise InputError(
            f"the fit '{place}' gives {_shape_or_type(answer)}, expected {true.shape} float"
        )
    with np.errstate(over="ignore", invalid="ignore"):
        depth = np.where(predicted.valid, answer, 1).astype(np.float32)
    bad = int((~(np.isfinite(depth) & (depth > 0)) & valid).sum())
    if bad:
        raise InputError(
            f"the fit '{place}' gives depth that is zero, negative, NaN or infinite at {bad} "
            "pixels that count: let it keep a least depth"
        )
    return depth


def interpolated(place: str, values: Float[np.ndarray, "a b"], shape: Size) -> Plane:
    """Numbers at another size."""
    plane = _call_rule(place, "interpolation", values.astype(np.float64), shape)
    if not isinstance(plane, np.ndarray) or plane.shape != shape or plane.dtype.kind != "f":
        raise InputError(
            f"the interpolation '{place}' gives {_shape_or_type(plane)}, expected {shape} float"
        )
    return plane.astype(np.float64)


def _call_rule(place: str, what: str, *values: object) -> Any:
    """Result of a rule; its own failure becomes an InputError."""
    rule = find_rule(place, what)
    try:
        return rule(*values)
    except RilievoError:
        raise
    except Exception as error:
        raise InputError(f"the {what} '{place}' failed: {type(error).__name__}: {error}") from error


def _shape_or_type(thing: object) -> str:
    if isinstance(thing, np.ndarray):
        return f"{thing.shape} {thing.dtype}"
    return f"a {type(thing).__name__}"
