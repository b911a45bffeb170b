"""The line that turns the numbers of a depth map into metres, and its use on a whole map."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from jaxtyping import Float32, Float64

from rilievo.errors import InputTypeError
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
        x = abscissa(depth.values[band][valid].astype(np.float64), depth.kind, fit.space)
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
        raise InputTypeError("a Prediction is given, expected its DepthMap: take prediction.depth")
    if not isinstance(depth, DepthMap):
        raise InputTypeError(f"a {type(depth).__name__} is given, expected a DepthMap")


def abscissa(
    values: Float64[np.ndarray, "n"], kind: DepthKind, space: FitSpace
) -> Float64[np.ndarray, "n"]:
    """Numbers of a kind as the quantity that a fit in ``space`` is a line of."""
    if space is FitSpace.LOG:
        return np.log(values)
    if space is FitSpace.INVERSE and kind is not DepthKind.AFFINE_INVERSE:
        return 1 / values
    return values
