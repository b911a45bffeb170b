"""Choose pixels that stand for a whole map, evenly spread."""

from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Bool, Float64, Int, Mask


@dataclass(frozen=True, slots=True, kw_only=True)
class Subsample:
    """Ascending indices into the flattened map, and counts."""

    places: Int[np.ndarray, "n"]
    times: Int[np.ndarray, "n"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CellPixels:
    """Valid pixel of each grid cell, where ``known``."""

    places: Int[np.ndarray, "a b"]
    known: Bool[np.ndarray, "a b"]


def subsample_by_grid(valid: Mask, *, side: int = 64) -> Subsample:
    """Valid pixel nearest to the centre of each cell of a square grid (Wang et al. 2025, MoGe)."""
    chosen = nearest_pixel_of_cells(valid, (side, side))
    places, times = np.unique(chosen.places[chosen.known], return_counts=True)
    return Subsample(places=places, times=times)


def nearest_pixel_of_cells(valid: Mask, shape: tuple[int, int]) -> CellPixels:
    """Valid pixel nearest to each cell's centre, the first of equals."""
    height, width = valid.shape
    rows, down = _cell_windows(height, shape[0])
    columns, across = _cell_windows(width, shape[1])
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
    return CellPixels(places=chosen, known=mask)


def _cell_windows(
    pixels: int, side: int
) -> tuple[Int[np.ndarray, "side size"], Float64[np.ndarray, "side size"]]:
    """Pixels of each cell and their offsets [px]; beyond the image far off."""
    length = max(1.0, pixels / side)
    centres = (np.arange(side) + 0.5) * pixels / side
    first = np.rint(centres - length / 2).astype(np.int64)
    window = first[:, None] + np.arange(int(np.ceil(length)))
    return np.minimum(window, pixels - 1), window + 0.5 - centres[:, None]
