"""Predictions brought to metres by ground truth, as evaluation protocols do it.

A method fits one or two numbers by least squares over the pixels that have ground truth. Which one
a benchmark uses changes its scores, so it is named and its fit kept. For metres without ground
truth see ``rilievo.calibration``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64

from rilievo.errors import CalibrationError, InputError, NoGroundTruthError, OptionError
from rilievo.types import DepthKind, DepthMap, Prediction

# Rows of a large map are converted in bands of this many pixels: in float64, but never whole.
BAND_PIXELS = 1 << 18


class FitSpace(StrEnum):
    """The quantity in which a fit is a straight line."""

    DEPTH = "depth"
    """depth = scale · x + shift."""
    INVERSE = "inverse"
    """1 / depth = scale · x + shift; x is inverse already where the kind is."""
    LOG = "log"
    """ln depth = scale · ln x + shift."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """How numbers of a depth map became metres.

    Attributes:
        space: Where the line was fitted.
        scale: Its slope; in ``LOG`` the power.
        shift: Its offset [m, 1/m or ln m, by ``space``]; 0 where none was fitted.
        residual: Root of the mean squared residual, in the unit of ``shift``.
        pixels: How many pixels or points the fit rests on.
    """

    space: FitSpace
    scale: float
    shift: float
    residual: float
    pixels: int


class AlignMethod(StrEnum):
    """Which line is fitted to the ground truth."""

    NONE = "none"
    """The numbers are metres and stay as they are."""
    MEDIAN = "median"
    """Scale: median of the true depth over median of the predicted (Zhou et al. 2017)."""
    SCALE = "scale"
    """Scale, by least squares in depth."""
    SCALE_SHIFT = "scale_shift"
    """Scale and shift, by least squares in depth."""
    INVERSE_SCALE_SHIFT = "inverse_scale_shift"
    """Scale and shift, by least squares in inverse depth (Ranftl et al. 2020)."""
    LOG = "log"
    """Power and factor, by least squares in the logarithm."""


_ANY_DEPTH = (
    AlignMethod.MEDIAN,
    AlignMethod.SCALE,
    AlignMethod.SCALE_SHIFT,
    AlignMethod.INVERSE_SCALE_SHIFT,
    AlignMethod.LOG,
)
# What makes sense for each kind, its default first.
METHODS: Mapping[DepthKind, tuple[AlignMethod, ...]] = {
    DepthKind.METRIC: (AlignMethod.NONE, *_ANY_DEPTH),
    DepthKind.UP_TO_SCALE: _ANY_DEPTH,
    DepthKind.AFFINE: (AlignMethod.SCALE_SHIFT,),
    DepthKind.AFFINE_INVERSE: (AlignMethod.INVERSE_SCALE_SHIFT,),
}
_WHY: Mapping[DepthKind, str] = {
    DepthKind.METRIC: "it is depth in metres",
    DepthKind.UP_TO_SCALE: "its scale is not known",
    DepthKind.AFFINE: "it is depth with an unknown scale and shift, and needs both",
    DepthKind.AFFINE_INVERSE: "it is inverse depth with an unknown scale and shift, and needs both",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Aligned:
    """A prediction in metres, fitted to ground truth.

    Attributes:
        depth: Kind ``METRIC``, valid where the prediction is.
        fit: What was fitted.
        method: By which method.
        clamped: Pixels that the fit took below the stated least depth or inverse depth.
    """

    depth: DepthMap
    fit: Fit
    method: AlignMethod
    clamped: int


def align(
    predicted: DepthMap,
    true: Float[np.ndarray, "h w"],
    valid: Bool[np.ndarray, "h w"],
    *,
    method: AlignMethod | None = None,
    min_depth: float = 1e-3,
    min_inverse: float = 1e-3,
) -> Aligned:
    """Bring a prediction to metres by ground truth; all sums are float64.

    Args:
        predicted: Of any kind.
        true: Depth [m]; read only where ``valid``.
        valid: Pixels with ground truth. The fit rests on those where the prediction is valid too.
        method: None for the kind's default: none, median, scale and shift, the same in inverse.
        min_depth: Least depth [m] that ``scale_shift`` may give. A fitted shift can take far-off
            pixels to zero and below; a model is charged for them, not excused.
        min_inverse: Least inverse depth [1/m] that ``inverse_scale_shift`` may give: 1e-3 is
            Marigold's, the inverse of the image's largest true depth is MoGe's.

    Raises:
        OptionError: If the method makes no sense for the kind, or a least value is not positive.
        InputError: If shapes differ, the mask is not bool, or a valid true depth is not positive
            and finite.
        NoGroundTruthError: If no pixel is valid in both.
        CalibrationError: If the pixels do not determine the fit, or it turns near into far.
    """
    check_depth_map(predicted)
    method = _chosen(predicted.kind, method)
    for name, least in (("min_depth", min_depth), ("min_inverse", min_inverse)):
        if not (np.isfinite(least) and least > 0):
            raise OptionError(f"{name} is a positive number, not {least}")
    both = _usable(predicted, true, valid)
    x = predicted.values[both].astype(np.float64)
    fit = _fit(x, true[both].astype(np.float64), predicted.kind, method)
    depth = to_depth(predicted, fit)
    clamped = _clamp(depth, predicted.valid, method, min_depth, 1 / min_inverse)
    lost = int((predicted.valid & ~(np.isfinite(depth) & (depth > 0))).sum())
    if lost:
        raise CalibrationError(f"the {method} fit takes {lost} pixels out of the range of float32")
    metric = DepthMap(values=depth, kind=DepthKind.METRIC, valid=predicted.valid)
    return Aligned(depth=metric, fit=fit, method=method, clamped=clamped)


def _clamp(
    depth: Float32[np.ndarray, "h w"],
    valid: Bool[np.ndarray, "h w"],
    method: AlignMethod,
    nearest: float,
    farthest: float,
) -> int:
    """Bring what a fitted shift took out of range back into it, in place; how many pixels."""
    if method is AlignMethod.SCALE_SHIFT:
        below, bound = valid & (depth < nearest), nearest
    elif method is AlignMethod.INVERSE_SCALE_SHIFT:
        # A line that crossed zero left negative depths behind the far ones.
        below, bound = valid & ~((depth > 0) & (depth <= farthest)), farthest
    else:
        return 0
    depth[below] = bound
    return int(below.sum())


def to_depth(depth: DepthMap, fit: Fit) -> Float32[np.ndarray, "h w"]:
    """Depth [m] that the fit gives; zero where the map is not valid.

    Where a shift was fitted, valid pixels can come out zero, negative or infinite: the caller
    decides what becomes of them.
    """
    height, width = depth.shape
    result = np.zeros(depth.shape, np.float32)
    rows = max(1, BAND_PIXELS // width)
    for top in range(0, height, rows):
        band = slice(top, top + rows)
        valid = depth.valid[band]
        x = _abscissa(depth.values[band][valid].astype(np.float64), depth.kind, fit.space)
        y = fit.scale * x + fit.shift
        with np.errstate(divide="ignore", over="ignore", under="ignore"):
            if fit.space is FitSpace.INVERSE:
                y = 1 / y
            elif fit.space is FitSpace.LOG:
                y = np.exp(y)
            result[band][valid] = y.astype(np.float32)
    return result


def check_depth_map(depth: object) -> None:
    """Refuse what is no depth map, such as the prediction that holds it.

    Raises:
        InputError: If it is none; the message says what to take.
    """
    if isinstance(depth, Prediction):
        raise InputError("a Prediction is given, expected its DepthMap: take prediction.depth")
    if not isinstance(depth, DepthMap):
        raise InputError(f"a {type(depth).__name__} is given, expected a DepthMap")


def _chosen(kind: DepthKind, method: AlignMethod | None) -> AlignMethod:
    allowed = METHODS[kind]
    if method is None:
        return allowed[0]
    if method not in allowed:
        raise OptionError(
            f"a prediction of kind '{kind}' is not aligned by '{method}', since {_WHY[kind]}: "
            f"choose {' or '.join(repr(str(other)) for other in allowed)}"
        )
    return AlignMethod(method)


def _usable(
    predicted: DepthMap, true: Float[np.ndarray, "h w"], valid: Bool[np.ndarray, "h w"]
) -> Bool[np.ndarray, "h w"]:
    """Pixels valid in the prediction and in the ground truth, once both are found to fit."""
    if not predicted.shape == true.shape == valid.shape:
        raise InputError(
            f"prediction {predicted.shape}, true depth {true.shape} and mask {valid.shape} differ"
        )
    if valid.dtype != bool:
        # Of whole numbers, numpy would make row indices.
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


def _fit(
    x: Float64[np.ndarray, "n"],
    true: Float64[np.ndarray, "n"],
    kind: DepthKind,
    method: AlignMethod,
) -> Fit:
    space = FitSpace.DEPTH
    if method is AlignMethod.INVERSE_SCALE_SHIFT:
        space, true = FitSpace.INVERSE, 1 / true
    elif method is AlignMethod.LOG:
        space, true = FitSpace.LOG, np.log(true)
    x = _abscissa(x, kind, space)
    scale, shift = 1.0, 0.0
    if method is AlignMethod.MEDIAN:
        scale = float(np.median(true) / np.median(x))
    elif method is AlignMethod.SCALE:
        scale = float(x @ true / (x @ x))
    elif method is not AlignMethod.NONE:
        scale, shift = _line(x, true)
    residual = float(np.sqrt(np.mean(np.square(scale * x + shift - true))))
    return Fit(space=space, scale=scale, shift=shift, residual=residual, pixels=x.size)


def _line(x: Float64[np.ndarray, "n"], y: Float64[np.ndarray, "n"]) -> tuple[float, float]:
    """Slope and offset of the least-squares line, if the pixels determine one that rises."""
    if x.size < 2:
        raise CalibrationError("one pixel with ground truth does not determine a scale and a shift")
    mean = x.mean()
    centred = x - mean
    # float32 predictions carry seven digits, so a smaller spread is their rounding.
    if np.abs(centred).max() <= 1e-6 * np.abs(x).max():
        raise CalibrationError(
            f"the prediction is constant over all {x.size} pixels with ground truth, which does "
            "not determine a scale and a shift"
        )
    scale = float(centred @ (y - y.mean()) / (centred @ centred))
    if scale <= 0:
        raise CalibrationError(
            f"the best scale is {scale:.4g}, not positive: the prediction takes near for far; "
            "is its kind the right one?"
        )
    return scale, float(y.mean() - scale * mean)


def _abscissa(
    values: Float64[np.ndarray, "n"], kind: DepthKind, space: FitSpace
) -> Float64[np.ndarray, "n"]:
    """Numbers of a kind as the quantity that a fit in ``space`` is a line of."""
    if space is FitSpace.LOG:
        return np.log(values)
    if space is FitSpace.INVERSE and kind is not DepthKind.AFFINE_INVERSE:
        return 1 / values
    return values
