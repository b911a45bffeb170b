"""Alignment of a prediction to ground truth, and its methods by kind of depth."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from rilievo.alignment.fit import (
    Fit,
    FitSpace,
    check_depth_map,
    dot,
    is_constant,
    least_absolute_line,
    least_absolute_scale,
    least_squares_line,
    to_depth,
    to_fit_space,
)
from rilievo.alignment.subsample import subsample_by_grid
from rilievo.arrays.shapes import Field, Float, Mask, Values
from rilievo.errors import (
    CalibrationError,
    InputError,
    NoGroundTruthError,
    OptionError,
    unknown_choice,
)
from rilievo.errors.messages import count_text, join_alternatives
from rilievo.records.depth_map import DepthKind, DepthMap

_KIND_DESCRIPTIONS: Mapping[DepthKind, str] = {
    DepthKind.METRIC: "it is depth in metres",
    DepthKind.UP_TO_SCALE: "its scale is unknown",
    DepthKind.AFFINE: "both the scale and the shift of its depth are unknown",
    DepthKind.AFFINE_INVERSE: "both the scale and the shift of its inverse depth are unknown",
}


class AlignMethod(StrEnum):
    """How a prediction is aligned to the ground truth."""

    NONE = "none"
    """No fit: the prediction is in metres."""
    MEDIAN = "median"
    """Scale: ratio of the medians (Zhou et al. 2017)."""
    SCALE = "scale"
    """Scale, by least squares in depth."""
    SCALE_SHIFT = "scale_shift"
    """Scale and shift, by least squares in depth."""
    INVERSE_SCALE_SHIFT = "inverse_scale_shift"
    """Scale and shift, by least squares in inverse depth (Ranftl et al. 2020)."""
    LOG = "log"
    """Exponent and scale, depth = scale · x**exponent, by least squares in the logarithm."""
    ROBUST_SCALE = "robust_scale"
    """Scale, by least absolute relative errors at 64x64 samples (Wang et al. 2025, MoGe)."""
    ROBUST_SCALE_SHIFT = "robust_scale_shift"
    """Scale and shift, by the same errors."""


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

_FIT_SPACES = {
    AlignMethod.INVERSE_SCALE_SHIFT: FitSpace.INVERSE,
    AlignMethod.LOG: FitSpace.LOG,
}
"""Spaces of the methods that do not fit in depth."""
_ROBUST_METHODS = (AlignMethod.ROBUST_SCALE, AlignMethod.ROBUST_SCALE_SHIFT)
_SCALE_ONLY_METHODS = (
    AlignMethod.NONE,
    AlignMethod.MEDIAN,
    AlignMethod.SCALE,
    AlignMethod.ROBUST_SCALE,
)
_DEPTH_SHIFT_METHODS = (AlignMethod.SCALE_SHIFT, AlignMethod.ROBUST_SCALE_SHIFT)


def choose_method(kind: DepthKind, method: AlignMethod | None) -> AlignMethod:
    """Return the requested method if the kind of depth allows it; None is the kind's default."""
    allowed = METHODS[kind]
    if method is None:
        return allowed[0]
    if method not in allowed:
        if method not in list(AlignMethod):
            raise unknown_choice("method", method, AlignMethod)
        raise OptionError(
            f"a prediction of kind '{kind}' cannot be aligned by '{method}', because "
            f"{_KIND_DESCRIPTIONS[kind]}: choose "
            f"{join_alternatives(repr(str(name)) for name in allowed)}"
        )
    return AlignMethod(method)


@dataclass(frozen=True, slots=True, kw_only=True)
class Aligned:
    """Prediction in metres, fitted to ground truth.

    Attributes:
        depth: Depth of kind ``METRIC``, valid where the prediction is.
        fit: Line from the prediction's values to metres.
        clamped: Number of pixels whose depth was out of range and was set to the bound.
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
        method: Method of the fit; by default the usual one of the kind.
        min_depth: Least depth [m] after a fit with a shift. Pixels below it are set to it, and are
            scored.
        min_inverse: Least inverse depth [1/m]; the default is Marigold's. None means that of the
            largest true depth, as in MoGe.

    Raises:
        OptionError: If the method does not fit the kind, or a least value is not positive.
        InputError: If shapes or types differ, or a true depth is not positive.
        NoGroundTruthError: If no pixel is valid in both.
        CalibrationError: If there is no fit, or it turns near into far.
    """
    check_depth_map(predicted)
    method = choose_method(predicted.kind, method)
    for name, bound in (("min_depth", min_depth), ("min_inverse", min_inverse)):
        if bound is not None and not (np.isfinite(bound) and bound > 0):
            raise OptionError(f"{name} must be a positive number, got {bound}")
    both_valid = _common_valid_pixels(predicted, true, valid)
    fit = _fit_line(predicted, true, both_valid, method)
    farthest = float(true[valid].max()) if min_inverse is None else 1 / min_inverse
    return apply_fit(predicted, fit, method, min_depth=min_depth, farthest=farthest)


def apply_fit(
    predicted: DepthMap, fit: Fit, method: AlignMethod, *, min_depth: float, farthest: float
) -> Aligned:
    """Bring a prediction to metres by a fit, from ``min_depth`` to ``farthest`` [m]."""
    clamped = _clamp_depth(
        to_depth(predicted, fit), predicted.valid, method, nearest=min_depth, farthest=farthest
    )
    depth = clamped.depth
    is_usable = np.isfinite(depth) & (depth > 0)
    unusable = int((predicted.valid & ~is_usable).sum())
    if unusable:
        raise CalibrationError(
            f"the fit '{method}' makes the depth of {count_text(unusable, 'pixel')} zero, negative "
            "or infinite in float32"
        )
    metric = DepthMap(values=depth, kind=DepthKind.METRIC, valid=predicted.valid)
    return Aligned(depth=metric, fit=fit, method=method, clamped=clamped.count)


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
    if method in _SCALE_ONLY_METHODS or np.count_nonzero(valid) < 2:
        return None
    space = _FIT_SPACES.get(method, FitSpace.DEPTH)
    x = to_fit_space(predicted.values[valid].astype(np.float64), predicted.kind, space)
    if not is_constant(x):
        return None

    if method is AlignMethod.ROBUST_SCALE_SHIFT:
        sample = subsample_by_grid(valid)
        y = true.flat[sample.indices].astype(np.float64)
        # With x = 1, the factor of least weighted error is the constant.
        shift = least_absolute_scale(np.ones(y.size), y, sample.counts / y)
    else:
        y = to_fit_space(true[valid].astype(np.float64), DepthKind.METRIC, space)
        shift = float(y.mean())
    residual = float(np.sqrt(np.mean(np.square(shift - y))))
    return Fit(space=space, scale=0.0, shift=shift, residual=residual, pixels=y.size)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Clamped:
    """Depth [m] within its range, and the number of valid pixels that were out of it."""

    depth: Field
    count: int


def _clamp_depth(
    depth: Field, valid: Mask, method: AlignMethod, *, nearest: float, farthest: float
) -> _Clamped:
    """Set depth that a shift has brought out of range to ``nearest`` or ``farthest`` [m].

    A shift of depth can make it negative, so near pixels are clamped. A shift of inverse depth can
    make far pixels negative or infinite, where the line crosses zero, so far pixels are clamped.
    """
    if method in _DEPTH_SHIFT_METHODS:
        is_outside, bound = valid & (depth < nearest), nearest
    elif method is AlignMethod.INVERSE_SCALE_SHIFT:
        is_in_range = (depth > 0) & (depth <= farthest)
        is_outside, bound = valid & ~is_in_range, farthest
    else:
        return _Clamped(depth=depth, count=0)
    clamped_depth = np.where(is_outside, depth.dtype.type(bound), depth)
    return _Clamped(depth=clamped_depth, count=int(is_outside.sum()))


def _common_valid_pixels(predicted: DepthMap, true: Float[np.ndarray, "h w"], valid: Mask) -> Mask:
    """Check the ground truth, and return the pixels that have both prediction and truth."""
    if not predicted.shape == true.shape == valid.shape:
        raise InputError(
            "prediction, true depth and mask must have the same shape, got "
            f"{predicted.shape}, {true.shape} and {valid.shape}"
        )
    if valid.dtype != bool:
        # numpy would take a mask of integers as row indices.
        raise InputError(f"the mask is {valid.dtype}, expected bool: convert it with mask > 0")
    if not np.issubdtype(true.dtype, np.floating):
        raise InputError(
            f"the true depth is {true.dtype}, expected floating-point metres: convert it, "
            "for example with millimetres / 1000"
        )
    true_values = true[valid]
    is_positive = np.isfinite(true_values) & (true_values > 0)
    invalid_count = int((~is_positive).sum())
    if invalid_count:
        raise InputError(
            f"true depth is zero, negative, NaN or infinite at {invalid_count} of "
            f"{true_values.size} valid pixels: remove them from the mask"
        )
    both_valid = predicted.valid & valid
    if not both_valid.any():
        raise NoGroundTruthError(
            "no pixel has both a prediction and ground truth, so they cannot be compared"
        )
    return both_valid


def _fit_line(
    predicted: DepthMap,
    true: Float[np.ndarray, "h w"],
    both_valid: Mask,
    method: AlignMethod,
) -> Fit:
    """Fit a method's line over the pixels that have both prediction and truth.

    Robust methods take a subsample of them, as MoGe does.
    """
    space = _FIT_SPACES.get(method, FitSpace.DEPTH)

    def pairs_at(predicted_values: Values, true_depth: Values) -> tuple[Values, Values]:
        """Prediction x and truth y in the fit's space, where the fit is y = scale · x + shift."""
        x = to_fit_space(predicted_values.astype(np.float64), predicted.kind, space)
        return x, to_fit_space(true_depth.astype(np.float64), DepthKind.METRIC, space)

    if method in _ROBUST_METHODS:
        sample = subsample_by_grid(both_valid)
        x, y = pairs_at(predicted.values.flat[sample.indices], true.flat[sample.indices])
        # Samples count as many pixels as they stand for; dividing by depth makes errors relative.
        scale, shift = _fit_weighted_absolute(x, y, sample.counts / y, method)
    else:
        x, y = pairs_at(predicted.values[both_valid], true[both_valid])
        scale, shift = _fit_unweighted(x, y, method)
    residual = float(np.sqrt(np.mean(np.square(scale * x + shift - y))))
    return Fit(space=space, scale=scale, shift=shift, residual=residual, pixels=x.size)


def _fit_unweighted(x: Values, y: Values, method: AlignMethod) -> tuple[float, float]:
    """Scale and shift of the methods that count all pixels the same."""
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
    """Scale and shift of the robust methods, of least weighted absolute deviations."""
    if method is AlignMethod.ROBUST_SCALE:
        return least_absolute_scale(x, y, weights), 0.0
    return least_absolute_line(x, y, weights)
