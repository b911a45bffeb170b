"""Subsamples of the valid pixels of a map."""

import numpy as np

from rilievo.frozen import frozen
from rilievo.shapes import Bool, Float64, Int, Mask


@frozen
class Subsample:
    """Subsampled pixels: ascending indices into the flattened map, and how often each was chosen.

    More than once where the image is smaller than the grid.
    """

    places: Int[np.ndarray, "n"]
    times: Int[np.ndarray, "n"]


@frozen
class NearestPlaces:
    """The valid pixel that each cell of a grid over an image chooses, where it is ``known``."""

    places: Int[np.ndarray, "a b"]
    known: Bool[np.ndarray, "a b"]


def nearest_valid(valid: Mask, *, side: int = 64) -> Subsample:
    """Choose the valid pixel nearest to the centre of each cell of a square grid over the image.

    This is the subsample that the robust fits of Wang et al. 2025 (MoGe) use.
    """
    chosen = nearest_places(valid, (side, side))
    places, times = np.unique(chosen.places[chosen.known], return_counts=True)
    return Subsample(places=places, times=times)


def nearest_places(valid: Mask, shape: tuple[int, int]) -> NearestPlaces:
    """Choose the valid pixel nearest to the centre of each cell of a grid over the image.

    Cell sides are rounded up to whole pixels. Of several nearest pixels the first in reading order
    is chosen; a cell without a valid pixel chooses none. As a way to resize maps with holes, this
    is that of Wang et al. 2025 (MoGe).
    """
    height, width = valid.shape
    rows, down = _windows(height, shape[0])
    columns, across = _windows(width, shape[1])
    cells = np.arange(shape[1])
    chosen, mask = np.empty(shape, np.int64), np.empty(shape, bool)
    for row, (window, away) in enumerate(zip(rows, down, strict=True)):
        places = window[:, None] * width + columns[:, None, :]
        apart = away[:, None] ** 2 + across[:, None, :] ** 2
        # (cell, pixel of the cell in reading order)
        apart = np.where(valid.ravel()[places], apart, np.inf).reshape(shape[1], -1)
        nearest = apart.argmin(axis=1)
        mask[row] = apart[cells, nearest] < np.inf
        chosen[row] = places.reshape(shape[1], -1)[cells, nearest]
    return NearestPlaces(places=chosen, known=mask)


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
