"""Methods of alignment, the line that converts values to metres, and the pixels of the fit."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int

from rilievo.errors import InputTypeError, OptionError
from rilievo.types import DepthKind, DepthMap, Prediction

# Large maps are converted in bands of this many pixels, so that the float64 copy stays small.
BAND_PIXELS = 1 << 18


class FitSpace(StrEnum):
    """The quantity in which a fit is a straight line."""

    DEPTH = "depth"
    """depth = scale · x + shift."""
    INVERSE = "inverse"
    """1 / depth = scale · x + shift; x is the map's value for inverse kinds, else its inverse."""
    LOG = "log"
    """ln depth = scale · ln x + shift."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """The fitted line that converts the values of a depth map to metres.

    Attributes:
        scale: Slope of the line; in ``LOG`` the power.
        shift: Offset of the line [m, 1/m or ln m, depending on ``space``]; 0 where none was
            fitted.
        residual: Root of the mean squared residual, in the unit of ``shift``.
        pixels: Number of pixels or points that were fitted.
    """

    space: FitSpace
    scale: float
    shift: float
    residual: float
    pixels: int


def to_depth(depth: DepthMap, fit: Fit) -> Float32[np.ndarray, "h w"]:
    """Depth [m] that the fit gives; zero where the map is not valid.

    With a fitted shift, valid pixels can come out zero, negative or infinite; the caller handles
    them.

    Args:
        depth: Depth map of the kind that was fitted.
        fit: Line from its values to depth [m], inverse depth [1/m] or log depth.
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
    """Refuse anything but a ``DepthMap``, such as the ``Prediction`` that holds one."""
    if isinstance(depth, Prediction):
        raise InputTypeError("a Prediction is given, expected its DepthMap: take prediction.depth")
    if not isinstance(depth, DepthMap):
        raise InputTypeError(f"a {type(depth).__name__} is given, expected a DepthMap")


def abscissa(
    values: Float64[np.ndarray, "n"], kind: DepthKind, space: FitSpace
) -> Float64[np.ndarray, "n"]:
    """Values of a kind converted to the quantity in which a fit in ``space`` is a line."""
    if space is FitSpace.LOG:
        return np.log(values)
    if space is FitSpace.INVERSE and kind is not DepthKind.AFFINE_INVERSE:
        return 1 / values
    return values


class AlignMethod(StrEnum):
    """The line that is fitted to the ground truth, and how."""

    NONE = "none"
    """No fit: the values are metres already."""
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
    ROBUST_SCALE = "robust_scale"
    """Scale, by least relative deviations |scale · x - depth| / depth over a subsample of 64x64
    (Wang et al. 2025, MoGe)."""
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
# Methods that are valid for each kind, the default first.
METHODS: Mapping[DepthKind, tuple[AlignMethod, ...]] = {
    DepthKind.METRIC: (AlignMethod.NONE, *_ANY_DEPTH),
    DepthKind.UP_TO_SCALE: _ANY_DEPTH,
    DepthKind.AFFINE: (AlignMethod.SCALE_SHIFT, AlignMethod.ROBUST_SCALE_SHIFT),
    DepthKind.AFFINE_INVERSE: (AlignMethod.INVERSE_SCALE_SHIFT,),
}
_WHY: Mapping[DepthKind, str] = {
    DepthKind.METRIC: "it is depth in metres",
    DepthKind.UP_TO_SCALE: "its scale is not known",
    DepthKind.AFFINE: "it is depth with an unknown scale and shift, and needs both",
    DepthKind.AFFINE_INVERSE: "it is inverse depth with an unknown scale and shift, and needs both",
}


def choose_method(kind: DepthKind, method: AlignMethod | None) -> AlignMethod:
    """Check the method; None gives the kind's default."""
    allowed = METHODS[kind]
    if method is None:
        return allowed[0]
    if method not in allowed:
        raise OptionError(
            f"a prediction of kind '{kind}' is not aligned by '{method}', since {_WHY[kind]}: "
            f"choose {' or '.join(repr(str(other)) for other in allowed)}"
        )
    return AlignMethod(method)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subsample:
    """Subsampled pixels: ascending indices into the flattened map, and how often each was chosen.

    More than once where the image is smaller than the grid.
    """

    places: Int[np.ndarray, "n"]
    times: Int[np.ndarray, "n"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NearestPlaces:
    """The valid pixel that each cell of a grid over an image chooses, where it is ``known``."""

    places: Int[np.ndarray, "a b"]
    known: Bool[np.ndarray, "a b"]


def nearest_valid(valid: Bool[np.ndarray, "h w"], *, side: int = 64) -> Subsample:
    """Choose the valid pixel nearest to the centre of each cell of a square grid over the image.

    This is the subsample that the robust fits of Wang et al. 2025 (MoGe) use.
    """
    chosen = nearest_places(valid, (side, side))
    found, times = np.unique(chosen.places[chosen.known], return_counts=True)
    return Subsample(places=found, times=times)


def nearest_places(valid: Bool[np.ndarray, "h w"], shape: tuple[int, int]) -> NearestPlaces:
    """Choose the valid pixel nearest to the centre of each cell of a grid over the image.

    Cell sides are rounded up to whole pixels. Of several nearest pixels the first in reading order
    is chosen; a cell without a valid pixel chooses none. As a way to resize maps with holes, this
    is that of Wang et al. 2025 (MoGe).
    """
    height, width = valid.shape
    rows, down = _windows(height, shape[0])
    columns, across = _windows(width, shape[1])
    cells = np.arange(shape[1])
    chosen, known = np.empty(shape, np.int64), np.empty(shape, bool)
    for row, (window, away) in enumerate(zip(rows, down, strict=True)):
        places = window[:, None] * width + columns[:, None, :]
        apart = away[:, None] ** 2 + across[:, None, :] ** 2
        # (cell, pixel of the cell in reading order)
        apart = np.where(valid.ravel()[places], apart, np.inf).reshape(shape[1], -1)
        nearest = apart.argmin(axis=1)
        known[row] = apart[cells, nearest] < np.inf
        chosen[row] = places.reshape(shape[1], -1)[cells, nearest]
    return NearestPlaces(places=chosen, known=known)


def _windows(
    pixels: int, side: int
) -> tuple[Int[np.ndarray, "side size"], Float64[np.ndarray, "side size"]]:
    """Pixels of each cell along one axis, and their offsets from its centre [px].

    Places beyond the image repeat the last pixel at a larger offset, so they are never chosen.
    """
    length = max(1.0, pixels / side)
    centres = (np.arange(side) + 0.5) * pixels / side
    first = np.rint(centres - length / 2).astype(np.int64)
    window = first[:, None] + np.arange(int(np.ceil(length)))
    return np.minimum(window, pixels - 1), window + 0.5 - centres[:, None]
