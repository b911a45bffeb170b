"""A coarse grid of every nth pixel, on which the sky is segmented, and maximum filters."""

from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Field, Int, Shaped


@dataclass(frozen=True, slots=True)
class CoarseGrid:
    """Every nth row and column of an image, each in the middle of its cell.

    Attributes:
        step: Side of a cell [px].
    """

    shape: tuple[int, int]
    step: int

    @property
    def samples(self) -> tuple[slice, slice]:
        """Index that takes the pixels of the grid out of an array of the image."""
        every_nth = slice(self.step // 2, None, self.step)
        return every_nth, every_nth

    def cell_indices(self) -> tuple[Int[np.ndarray, "h 1"], Int[np.ndarray, "w"]]:
        """Row and column of the cell in which each pixel of the image lies.

        Used as an index, they enlarge an array of the grid to the size of the image.
        """
        rows, columns = (self._cells_along(length) for length in self.shape)
        return rows[:, None], columns

    def _cells_along(self, length: int) -> Int[np.ndarray, "n"]:
        count = len(range(self.step // 2, length, self.step))
        return np.minimum(np.arange(length) // self.step, count - 1)


def neighbour_maxima(field: Shaped[np.ndarray, "h w"]) -> Shaped[np.ndarray, "h w"]:
    """Maximum filter over each pixel and its four neighbours; for a mask, a dilation."""
    maxima = field.copy()
    maxima[1:] = np.maximum(maxima[1:], field[:-1])
    maxima[:-1] = np.maximum(maxima[:-1], field[1:])
    maxima[:, 1:] = np.maximum(maxima[:, 1:], field[:, :-1])
    maxima[:, :-1] = np.maximum(maxima[:, :-1], field[:, 1:])
    return maxima


def square_maxima(field: Field, radius: int, outside: float = 0.0) -> Field:
    """Maximum filter over the square that extends ``radius`` pixels to each side of a pixel.

    The squares are split into rows and columns. For each of them, the maximum over a window of n
    pixels and the same shifted by s <= n pixels give the maximum over n + s pixels. Beyond the
    border, values count as ``outside``.
    """
    maxima = np.pad(field, radius, constant_values=np.float32(outside))
    side = 2 * radius + 1
    for axis in (0, 1):
        windows, window_length = np.moveaxis(maxima, axis, 0), 1
        while window_length < side:
            shift = min(window_length, side - window_length)
            windows = np.maximum(windows[:-shift], windows[shift:])
            window_length += shift
        maxima = np.moveaxis(windows, 0, axis)
    return maxima
