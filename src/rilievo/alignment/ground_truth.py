"""Alignment of a prediction to ground truth, and its methods by kind of depth."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from rilievo.alignment.fit import (
    Fit,
    FitSpace,
    abscissa,
    check_depth_map,
    dot,
    is_constant,
    least_absolute_line,
    least_absolute_scale,
    least_squares_line,
    to_depth,
)
from rilievo.alignment.subsample import subsample_by_grid
from rilievo.arrays.shapes import Field, Float, Mask, Values
from rilievo.errors import CalibrationError, InputError, NoGroundTruthError, OptionError
from rilievo.records.depth_map import DepthKind, DepthMap

_REASONS: Mapping[DepthKind, str] = {
    DepthKind.METRIC: "it is depth in metres",
    DepthKind.UP_TO_SCALE: "its scale is not known",
    DepthKind.AFFINE: "it is depth with an unknown scale and shift, and needs both",
    DepthKind.AFFINE_INVERSE: "it is inverse depth with an unknown scale and shift, and needs both",
}


class AlignMethod(StrEnum):
    """Line that is fitted to the ground truth."""

    NONE = "none"
    """No fit: the prediction is in metres."""
    MEDIAN = "median"
    """Scale: ratio of the medians (Zhou et al. 2017)."""
    SCALE = "scale"
    """Factor by least squares in depth."""
    SCALE_SHIFT = "scale_shift"
    """Line by least squares in depth."""
    INVERSE_SCALE_SHIFT = "inverse_scale_shift"
    """Line by least squares in inverse depth (Ranftl et al. 2020)."""
    LOG = "log"
    """Power and factor, by least squares in the logarithm."""
    ROBUST_SCALE = "robust_scale"
    """Scale, by least relative deviations over 64x64 pixels (Wang et al. 2025, MoGe)."""
    ROBUST_SCALE_SHIFT = "robust_scale_shift"
    """Scale and shift, likewise."""


_ANY_DEPTH = (
    AlignMethod.MEDIAN,
    AlignMethod.SCALE,
    AlignMethod.SCALE_SHIFT,
    AlignMethod.INVERSE_SCALE_SHIFT,
    AlignMethod.LOG,
    AlignMethod.ROBUST_SCALE,
    AlignMethod.ROBUST_SCALE_SHIFT,
)

METHODS: Mapping[DepthKind, tuple[AlignMethod, ...]] = {
    DepthKind.METRIC: (AlignMethod.NONE, *_ANY_DEPTH),
    DepthKind.UP_TO_SCALE: _ANY_DEPTH,
    DepthKind.AFFINE: (AlignMethod.SCALE_SHIFT, AlignMethod.ROBUST_SCALE_SHIFT),
    DepthKind.AFFINE_INVERSE: (AlignMethod.INVERSE_SCALE_SHIFT,),
}
"""Methods that are valid for each kind of depth, the default first."""

_SPACES = {
    AlignMethod.INVERSE_SCALE_SHIFT: FitSpace.INVERSE,
    AlignMethod.LOG: FitSpace.LOG,
}
"""Spaces of the methods that do not fit in depth."""
_ROBUST = (AlignMethod.ROBUST_SCALE, AlignMethod.ROBUST_SCALE_SHIFT)
_WITHOUT_SHIFT = (
    AlignMethod.NONE,
    AlignMethod.MEDIAN,
    AlignMethod.SCALE,
    AlignMethod.ROBUST_SCALE,
)
_SHIFTED_DEPTH = (AlignMethod.SCALE_SHIFT, AlignMethod.ROBUST_SCALE_SHIFT)


def choose_method(kind: DepthKind, method: AlignMethod | None) -> AlignMethod:
    """Check that a method fits the kind of depth; None gives the kind's default.

    Raises:
        OptionError: If it does not.
    """
    allowed = METHODS[kind]
    if method is None:
        return allowed[0]
    if method not in allowed:
        raise OptionError(
            f"a prediction of kind '{kind}' is not aligned by '{method}', since {_REASONS[kind]}: "
            f"choose {' or '.join(repr(str(name)) for name in allowed)}"
        )
    return AlignMethod(method)


@dataclass(frozen=True, slots=True, kw_only=True)
class Aligned:
    """Prediction in metres, fitted to ground truth.

    Attributes:
        depth: Depth of kind ``METRIC``, valid where the prediction is.
        fit: Line from the prediction's values to metres.
        clamped: Number of pixels that were set to the least depth or inverse depth.
    """

    depth: DepthMap
    fit: Fit
    method: AlignMethod
    clamped: int


def align(
    predicted: DepthMap,
    true: Float[np.ndarray, "h w"],
    valid: Mask,
    *,
    method: AlignMethod | None = None,
    min_depth: float = 1e-3,
    min_inverse: float | None = 1e-3,
) -> Aligned:
    """Align a prediction to ground truth in metres, in float64.

    Examples:
        >>> true = np.full((4, 4), 6, np.float32)
        >>> depth = rilievo.DepthMap(values=true / 3, kind=rilievo.DepthKind.UP_TO_SCALE)
        >>> rilievo.align(depth, true, true > 0).depth
        DepthMap(4x4, metric 6 to 6 m)

    Args:
        predicted: Depth map of any kind.
        true: True depth [m], read where ``valid``.
        valid: Pixels with ground truth.
        method: Method of the fit; by default that of the kind.
        min_depth: Least depth [m] after a fit with a shift. Pixels below it are set to it, and are
            scored.
        min_inverse: Least inverse depth [1/m]. Marigold takes 1e-3. None takes that of the largest
            true depth, as MoGe does.

    Raises:
        OptionError: If the method does not fit the kind, or a least value is not positive.
        InputError: If shapes or types differ, or a true depth is not positive.
        NoGroundTruthError: If no pixel is valid in both.
        CalibrationError: If there is no fit, or it turns near into far.
    """
    check_depth_map(predicted)
    method = choose_method(predicted.kind, method)
    for name, least in (("min_depth", min_depth), ("min_inverse", min_inverse)):
        if least is not None and not (np.isfinite(least) and least > 0):
            raise OptionError(f"{name} is a positive number, not {least}")
    both = _common_valid_pixels(predicted, true, valid)
    fit = _fit_line(predicted, true, both, method)
    farthest = float(true[valid].max()) if min_inverse is None else 1 / min_inverse
    return apply_fit(predicted, fit, method, min_depth=min_depth, farthest=farthest)


def apply_fit(
    predicted: DepthMap, fit: Fit, method: AlignMethod, *, min_depth: float, farthest: float
) -> Aligned:
    """Bring a prediction to metres by a fit, from ``min_depth`` to ``farthest`` [m].

    Raises:
        CalibrationError: If the fit takes pixels out of the range of float32.
    """
    depth = to_depth(predicted, fit)
    clamped = _clamp_and_count(depth, predicted.valid, method, min_depth, farthest)
    is_usable = np.isfinite(depth) & (depth > 0)
    unusable = int((predicted.valid & ~is_usable).sum())
    if unusable:
        raise CalibrationError(
            f"the {method} fit takes {unusable} pixels out of the range of float32"
        )
    metric = DepthMap(values=depth, kind=DepthKind.METRIC, valid=predicted.valid)
    return Aligned(depth=metric, fit=fit, method=method, clamped=clamped)


def constant_fit(
    predicted: DepthMap,
    true: Float[np.ndarray, "h w"],
    valid: Mask,
    method: AlignMethod,
) -> Fit | None:
    """Fit of scale 0 to a constant prediction, which ``align`` refuses.

    The shift is the constant that the method's loss prefers: the mean of the ground truth, or its
    weighted median for a robust method.

    Returns:
        None if the prediction is not constant, or the method has no shift.
    """
    if method in _WITHOUT_SHIFT or np.count_nonzero(valid) < 2:
        return None
    space = _SPACES.get(method, FitSpace.DEPTH)
    x = abscissa(predicted.values[valid].astype(np.float64), predicted.kind, space)
    if not is_constant(x):
        return None

    y = abscissa(true[valid].astype(np.float64), DepthKind.METRIC, space)
    shift = float(y.mean())
    if method is AlignMethod.ROBUST_SCALE_SHIFT:
        sample = subsample_by_grid(valid)
        y = true.flat[sample.indices].astype(np.float64)
        shift = least_absolute_scale(np.ones(y.size), y, sample.counts / y)
    residual = float(np.sqrt(np.mean(np.square(shift - y))))
    return Fit(space=space, scale=0.0, shift=shift, residual=residual, pixels=y.size)


def _clamp_and_count(
    depth: Field,
    valid: Mask,
    method: AlignMethod,
    nearest: float,
    farthest: float,
) -> int:
    """Set depth out of range to its bound, in place, and count the pixels.

    A shift can make depth negative. A shift of inverse depth can make the farthest pixels negative
    or infinite, where the line crosses zero.
    """
    if method in _SHIFTED_DEPTH:
        is_outside, bound = valid & (depth < nearest), nearest
    elif method is AlignMethod.INVERSE_SCALE_SHIFT:
        is_outside, bound = valid & ~((depth > 0) & (depth <= farthest)), farthest
    else:
        return 0
    depth[is_outside] = bound
    return int(is_outside.sum())


def _common_valid_pixels(predicted: DepthMap, true: Float[np.ndarray, "h w"], valid: Mask) -> Mask:
    if not predicted.shape == true.shape == valid.shape:
        raise InputError(
            f"prediction {predicted.shape}, true depth {true.shape} and mask {valid.shape} differ"
        )
    if valid.dtype != bool:
        # numpy would take a mask of integers as row indices.
        raise InputError(f"the mask is {valid.dtype}, expected bool: convert it with mask > 0")
    if not np.issubdtype(true.dtype, np.floating):
        raise InputError(
            f"the true depth is {true.dtype}, expected floating-point metres: convert it, as with "
            "millimetres / 1000"
        )
    inside = true[valid]
    bad = int((~(np.isfinite(inside) & (inside > 0))).sum())
    if bad:
        raise InputError(
            f"true depth is zero, negative, NaN or infinite at {bad} of {inside.size} valid "
            "pixels: take them out of the mask"
        )
    both = predicted.valid & valid
    if not both.any():
        raise NoGroundTruthError("no pixel has both a prediction and ground truth")
    return both


def _fit_line(
    predicted: DepthMap,
    true: Float[np.ndarray, "h w"],
    both: Mask,
    method: AlignMethod,
) -> Fit:
    """Fit a method's line over the pixels of ``both``."""
    space = _SPACES.get(method, FitSpace.DEPTH)

    def coordinates(values: Values, depth: Values) -> tuple[Values, Values]:
        """Values and true depth in the quantity in which the fit is a line."""
        x = abscissa(values.astype(np.float64), predicted.kind, space)
        return x, abscissa(depth.astype(np.float64), DepthKind.METRIC, space)

    if method in _ROBUST:
        sample = subsample_by_grid(both)
        x, y = coordinates(predicted.values.flat[sample.indices], true.flat[sample.indices])
        scale, shift = _fit_weighted_absolute(x, y, sample.counts / y, method)
    else:
        x, y = coordinates(predicted.values[both], true[both])
        scale, shift = _fit_unweighted(x, y, method)
    residual = float(np.sqrt(np.mean(np.square(scale * x + shift - y))))
    return Fit(space=space, scale=scale, shift=shift, residual=residual, pixels=x.size)


def _fit_unweighted(x: Values, y: Values, method: AlignMethod) -> tuple[float, float]:
    if method is AlignMethod.NONE:
        return 1.0, 0.0
    if method is AlignMethod.MEDIAN:
        return float(np.median(y) / np.median(x)), 0.0
    if method is AlignMethod.SCALE:
        return float(dot(x, y) / dot(x, x)), 0.0
    return least_squares_line(x, y)


def _fit_weighted_absolute(
    x: Values,
    y: Values,
    weights: Values,
    method: AlignMethod,
) -> tuple[float, float]:
    if method is AlignMethod.ROBUST_SCALE:
        return least_absolute_scale(x, y, weights), 0.0
    return least_absolute_line(x, y, weights)
