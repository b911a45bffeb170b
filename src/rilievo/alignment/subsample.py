"""Choose pixels that represent a whole map, evenly spread over it."""

from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Bool, Float64, Int, Mask


@dataclass(frozen=True, slots=True, kw_only=True)
class Subsample:
    """Chosen pixels of a map.

    Attributes:
        indices: Indices into the flattened map, ascending.
        counts: For each pixel, how many cells of the grid it represents.
    """

    indices: Int[np.ndarray, "n"]
    counts: Int[np.ndarray, "n"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CellPixels:
    """One valid pixel for each cell of a grid.

    Attributes:
        indices: Index of the pixel into the flattened map.
        has_pixel: Whether the cell has a valid pixel; if not, its index means nothing.
    """

    indices: Int[np.ndarray, "a b"]
    has_pixel: Bool[np.ndarray, "a b"]


def subsample_by_grid(valid: Mask, *, side: int = 64) -> Subsample:
    """Choose the valid pixel nearest to the centre of each cell (Wang et al. 2025, MoGe).

    The grid has ``side`` x ``side`` cells.
    """
    pixels = nearest_pixel_of_cells(valid, (side, side))
    indices, counts = np.unique(pixels.indices[pixels.has_pixel], return_counts=True)
    return Subsample(indices=indices, counts=counts)


def nearest_pixel_of_cells(valid: Mask, shape: tuple[int, int]) -> CellPixels:
    """Valid pixel nearest to the centre of each cell, the first in reading order of equal ones.

    ``shape`` is the number of rows and columns of cells.
    """
    height, width = valid.shape
    rows, offsets_down = _cell_windows(height, shape[0])
    columns, offsets_across = _cell_windows(width, shape[1])
    is_valid = valid.ravel()
    cells = np.arange(shape[1])
    indices, has_pixel = np.empty(shape, np.int64), np.empty(shape, bool)
    for cell_row in range(shape[0]):
        # (cell, row in the cell, column in the cell)
        candidates = rows[cell_row][:, None] * width + columns[:, None, :]
        squared = offsets_down[cell_row][:, None] ** 2 + offsets_across[:, None, :] ** 2
        # (cell, pixel of the cell in reading order)
        squared = np.where(is_valid[candidates], squared, np.inf).reshape(shape[1], -1)
        nearest = squared.argmin(axis=1)
        has_pixel[cell_row] = squared[cells, nearest] < np.inf
        indices[cell_row] = candidates.reshape(shape[1], -1)[cells, nearest]
    return CellPixels(indices=indices, has_pixel=has_pixel)


def _cell_windows(
    pixels: int, cells: int
) -> tuple[Int[np.ndarray, "cells size"], Float64[np.ndarray, "cells size"]]:
    """Pixels of each cell along one axis, and their offsets from its centre [px].

    A window may reach beyond the map. Its last pixel is repeated there with a larger offset, so
    that it is not chosen for it.
    """
    length = max(1.0, pixels / cells)
    centres = (np.arange(cells) + 0.5) * pixels / cells
    first = np.rint(centres - length / 2).astype(np.int64)
    window = first[:, None] + np.arange(int(np.ceil(length)))
    return np.minimum(window, pixels - 1), window + 0.5 - centres[:, None]
