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
from rilievo.errors.messages import count_text
from rilievo.evaluation.metrics.metric import Plane
from rilievo.extensions.foreign_code import load_user_object
from rilievo.records.depth_map import DepthMap
from rilievo.records.sample import Truth


@cache
def find_rule(import_path: str, rule_kind: str) -> Callable[..., Any]:
    """Import a function of the user's own; ``rule_kind`` is "crop", "mask", "fit" and so on."""
    rule = load_user_object(import_path, rule_kind)
    if not callable(rule):
        raise OptionError(
            f"the {rule_kind} '{import_path}' is of type {type(rule).__name__}, expected a function"
        )
    return rule


def call_crop(import_path: str, shape: Size) -> tuple[int, int, int, int]:
    """Crop (top, bottom, left, right) [px] by the user's function; the ends are exclusive."""
    edges = _call_user_function(import_path, "crop", shape)
    height, width = shape
    invalid_crop = InputError(
        f"the crop '{import_path}' returns {edges} for {width}x{height} pixels, expected (top, "
        "bottom, left, right) inside the image"
    )
    try:
        top, bottom, left, right = (int(edge) for edge in edges)
    except (TypeError, ValueError):
        raise invalid_crop from None
    if not (0 <= top < bottom <= height and 0 <= left < right <= width):
        raise invalid_crop
    return top, bottom, left, right


def call_mask(import_path: str, truth: Truth, shape: Size) -> Mask:
    """Mask of the pixels that count, by the user's function."""
    mask = _call_user_function(import_path, "mask", truth)
    if not isinstance(mask, np.ndarray) or mask.dtype != bool or mask.shape != shape:
        raise InputError(
            f"the mask '{import_path}' returns {_shape_or_type(mask)}, expected a bool array of "
            f"shape {shape}"
        )
    return mask


def call_fit(
    import_path: str,
    predicted: DepthMap,
    true: Field,
    valid: Mask,
) -> Field:
    """Convert a prediction to depth [m] by the user's function; invalid pixels become 1 m."""
    fitted = _call_user_function(import_path, "fit", predicted, true, valid)
    if not isinstance(fitted, np.ndarray) or fitted.shape != true.shape or fitted.dtype.kind != "f":
        raise InputError(
            f"the fit '{import_path}' returns {_shape_or_type(fitted)}, expected a float array of "
            f"shape {true.shape}"
        )
    with np.errstate(over="ignore", invalid="ignore"):
        depth = np.where(predicted.valid, fitted, 1).astype(np.float32)
    is_positive = np.isfinite(depth) & (depth > 0)
    invalid_count = int((~is_positive & valid).sum())
    if invalid_count:
        raise InputError(
            f"the fit '{import_path}' returns depth that is zero, negative, NaN or infinite at "
            f"{count_text(invalid_count, 'scored pixel')}: clip it to a minimum depth"
        )
    return depth


def call_interpolation(import_path: str, values: Float[np.ndarray, "a b"], shape: Size) -> Plane:
    """Resize a map to (height, width) by the user's function."""
    resized = _call_user_function(import_path, "interpolation", values.astype(np.float64), shape)
    if not isinstance(resized, np.ndarray) or resized.shape != shape or resized.dtype.kind != "f":
        raise InputError(
            f"the interpolation '{import_path}' returns {_shape_or_type(resized)}, expected a "
            f"float array of shape {shape}"
        )
    return resized.astype(np.float64)


def _call_user_function(import_path: str, rule_kind: str, *arguments: object) -> Any:
    """Call a function of the user's own; whatever it raises becomes an InputError."""
    rule = find_rule(import_path, rule_kind)
    try:
        return rule(*arguments)
    except RilievoError:
        raise
    except Exception as error:
        raise InputError(
            f"the {rule_kind} '{import_path}' failed: {type(error).__name__}: {error}"
        ) from error


def _shape_or_type(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.shape} {value.dtype}"
    return f"a {type(value).__name__}"
