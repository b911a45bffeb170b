"""Line from a depth map's values to metres."""

from enum import StrEnum

import numpy as np

from rilievo.errors import InputTypeError
from rilievo.frozen import frozen
from rilievo.shapes import Field, Values
from rilievo.types import DepthKind, DepthMap, Prediction

# Large maps are converted in bands of this many pixels, so that the float64 copy stays small.
BAND_PIXELS = 1 << 18


class FitSpace(StrEnum):
    """Quantity in which a fit is a straight line."""

    DEPTH = "depth"
    """depth = scale · x + shift."""
    INVERSE = "inverse"
    """1 / depth = scale · x + shift, with x inverse too."""
    LOG = "log"
    """ln depth = scale · ln x + shift."""


@frozen
class Fit:
    """Line that converts a depth map to metres.

    Attributes:
        scale: Slope; in ``LOG`` the power.
        shift: Offset [m, 1/m or ln m, by ``space``].
        residual: Root mean square, in that unit.
        pixels: Number of pixels fitted.
    """

    space: FitSpace
    scale: float
    shift: float
    residual: float
    pixels: int

    def metres(self, x: float) -> float:
        """Depth [m] of a value, not in ``LOG``."""
        y = self.scale * x + self.shift
        return 1 / y if self.space is FitSpace.INVERSE else y


def to_depth(depth: DepthMap, fit: Fit) -> Field:
    """Depth [m] of a fit; zero where invalid, and perhaps not positive or finite after a shift."""
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
    """Refuse anything but a ``DepthMap``."""
    if isinstance(depth, Prediction):
        raise InputTypeError("a Prediction is given, expected its DepthMap: take prediction.depth")
    if not isinstance(depth, DepthMap):
        raise InputTypeError(f"a {type(depth).__name__} is given, expected a DepthMap")


def abscissa(values: Values, kind: DepthKind, space: FitSpace) -> Values:
    """Values converted so that a fit in ``space`` is a line."""
    if space is FitSpace.LOG:
        return np.log(values)
    if space is FitSpace.INVERSE and kind is not DepthKind.AFFINE_INVERSE:
        return 1 / values
    return values
