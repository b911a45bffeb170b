"""Rules of a benchmark that are functions of the user's own, named as ``package.module:name``.

A crop takes (height, width) and returns (top, bottom, left, right), ends exclusive. A mask takes
the ``Truth`` and returns the pixels that count. A fit takes the predicted ``DepthMap``, true depth
[m] and that mask, and returns depth [m]. An interpolation takes float64 numbers and a size.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from rilievo.arrays.shapes import Field, Float, Mask, Size
from rilievo.errors import InputError, OptionError, RilievoError
from rilievo.evaluation.metrics.metric import Plane
from rilievo.extensions.user_objects import load_user_object
from rilievo.records.depth_map import DepthMap
from rilievo.records.sample import Truth


@cache
def find_rule(import_path: str, kind: str) -> Callable[..., Any]:
    """Import a function of the user's own, such as a crop; ``kind`` names it in messages.

    Raises:
        OptionError: If there is none, or it is not callable.
    """
    rule = load_user_object(import_path, kind)
    if not callable(rule):
        raise OptionError(f"'{import_path}' is no {kind}, but a {type(rule).__name__}")
    return rule


def call_crop(import_path: str, shape: Size) -> tuple[int, int, int, int]:
    """Crop (top, bottom, left, right) [px] by the user's function; the ends are exclusive."""
    edges = _call_rule(import_path, "crop", shape)
    improper_crop = InputError(
        f"the crop '{import_path}' gives {edges} of {shape[0]} x {shape[1]} pixels, expected (top, "
        "bottom, left, right) inside them"
    )
    try:
        top, bottom, left, right = (int(edge) for edge in edges)
    except (TypeError, ValueError):
        raise improper_crop from None
    if not (0 <= top < bottom <= shape[0] and 0 <= left < right <= shape[1]):
        raise improper_crop
    return top, bottom, left, right


def call_mask(import_path: str, truth: Truth, shape: Size) -> Mask:
    """Mask of the pixels that count, by the user's function."""
    mask = _call_rule(import_path, "mask", truth)
    if not isinstance(mask, np.ndarray) or mask.dtype != bool or mask.shape != shape:
        raise InputError(
            f"the mask '{import_path}' gives {_shape_or_type(mask)}, expected {shape} bool"
        )
    return mask


def call_fit(
    import_path: str,
    predicted: DepthMap,
    true: Field,
    valid: Mask,
) -> Field:
    """Depth [m] by the user's function; 1 m where nothing is predicted.

    Raises:
        InputError: If it is no array of the right size, or not positive where ``valid``.
    """
    fitted = _call_rule(import_path, "fit", predicted, true, valid)
    if not isinstance(fitted, np.ndarray) or fitted.shape != true.shape or fitted.dtype.kind != "f":
        raise InputError(
            f"the fit '{import_path}' gives {_shape_or_type(fitted)}, expected {true.shape} float"
        )
    with np.errstate(over="ignore", invalid="ignore"):
        depth = np.where(predicted.valid, fitted, 1).astype(np.float32)
    is_depth = np.isfinite(depth) & (depth > 0)
    improper = int((~is_depth & valid).sum())
    if improper:
        raise InputError(
            f"the fit '{import_path}' gives depth that is zero, negative, NaN or infinite at "
            f"{improper} pixels that count: let it keep a least depth"
        )
    return depth


def call_interpolation(import_path: str, values: Float[np.ndarray, "a b"], shape: Size) -> Plane:
    """Map resized to (height, width) by the user's function."""
    resized = _call_rule(import_path, "interpolation", values.astype(np.float64), shape)
    if not isinstance(resized, np.ndarray) or resized.shape != shape or resized.dtype.kind != "f":
        raise InputError(
            f"the interpolation '{import_path}' gives {_shape_or_type(resized)}, expected {shape} "
            "float"
        )
    return resized.astype(np.float64)


def _call_rule(import_path: str, kind: str, *arguments: object) -> Any:
    """Call a function of the user's own; whatever it raises becomes an InputError."""
    rule = find_rule(import_path, kind)
    try:
        return rule(*arguments)
    except RilievoError:
        raise
    except Exception as error:
        raise InputError(
            f"the {kind} '{import_path}' failed: {type(error).__name__}: {error}"
        ) from error


def _shape_or_type(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.shape} {value.dtype}"
    return f"a {type(value).__name__}"
