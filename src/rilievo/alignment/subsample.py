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
        indices: Index of the pixel into the flattened map; meaningless for a cell without one.
        has_pixel: Whether the cell has a valid pixel.
    """

    indices: Int[np.ndarray, "a b"]
    has_pixel: Bool[np.ndarray, "a b"]


def subsample_by_grid(valid: Mask, *, side: int = 64) -> Subsample:
    """Choose the valid pixel nearest to the centre of each cell (Wang et al. 2025, MoGe).

    The grid has ``side`` x ``side`` cells.
    """
    pixels = nearest_valid_pixels(valid, (side, side))
    indices, counts = np.unique(pixels.indices[pixels.has_pixel], return_counts=True)
    return Subsample(indices=indices, counts=counts)


def nearest_valid_pixels(valid: Mask, shape: tuple[int, int]) -> CellPixels:
    """Find the valid pixel nearest to the centre of each cell of a grid.

    Of equally near pixels it is the first in reading order. ``shape`` is the number of rows and
    columns of cells.
    """
    height, width = valid.shape
    num_rows, num_columns = shape
    window_rows, row_offsets = _cell_windows(height, num_rows)
    window_columns, column_offsets = _cell_windows(width, num_columns)
    is_valid = valid.ravel()
    every_cell = np.arange(num_columns)
    indices, has_pixel = np.empty(shape, np.int64), np.empty(shape, bool)
    # One row of cells at a time. The axes are cells, and the rows and columns of their windows.
    for cell_row in range(num_rows):
        windows = window_rows[cell_row][:, None] * width + window_columns[:, None, :]
        squared_offsets = row_offsets[cell_row][:, None] ** 2 + column_offsets[:, None, :] ** 2
        window_distances = np.where(is_valid[windows], squared_offsets, np.inf)

        # The pixels of each window in reading order, as ``argmin`` needs them.
        candidates = windows.reshape(num_columns, -1)
        squared_distances = window_distances.reshape(num_columns, -1)
        nearest = squared_distances.argmin(axis=1)
        has_pixel[cell_row] = squared_distances[every_cell, nearest] < np.inf
        indices[cell_row] = candidates[every_cell, nearest]
    return CellPixels(indices=indices, has_pixel=has_pixel)


def _cell_windows(
    num_pixels: int, num_cells: int
) -> tuple[Int[np.ndarray, "cells size"], Float64[np.ndarray, "cells size"]]:
    """Pixel indices of each cell's window along one axis, and their offsets from its centre [px].

    A window may reach beyond the map. Its last pixel is repeated there with a larger offset, so
    that the repeated one is never nearest.
    """
    length = max(1.0, num_pixels / num_cells)
    centres = (np.arange(num_cells) + 0.5) * num_pixels / num_cells
    starts = np.rint(centres - length / 2).astype(np.int64)
    positions = starts[:, None] + np.arange(int(np.ceil(length)))
    return np.minimum(positions, num_pixels - 1), positions + 0.5 - centres[:, None]
