"""A coarse grid of every nth pixel, on which masks of the sky are made, and maxima on it."""

from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Field, Int, Shaped


@dataclass(frozen=True, slots=True)
class CoarseGrid:
    """Every nth row and column of an image, each in the middle of its cell.

    Attributes:
        shape: Height and width of the image [px].
        step: Side of a cell [px].
    """

    shape: tuple[int, int]
    step: int

    @property
    def samples(self) -> tuple[slice, slice]:
        """Index of the grid's pixels in an array of the image."""
        every_nth = slice(self.step // 2, None, self.step)
        return every_nth, every_nth

    def cell_indices(self) -> tuple[Int[np.ndarray, "h 1"], Int[np.ndarray, "w"]]:
        """Row and column of the cell in which each pixel of the image lies.

        As an index into an array of the grid, they enlarge it to the image.
        """
        rows, columns = (self._cells_along(length) for length in self.shape)
        return rows[:, None], columns

    def _cells_along(self, length: int) -> Int[np.ndarray, "n"]:
        count = len(range(self.step // 2, length, self.step))
        return np.minimum(np.arange(length) // self.step, count - 1)


def neighbour_maxima(field: Shaped[np.ndarray, "h w"]) -> Shaped[np.ndarray, "h w"]:
    """Largest value of each pixel and its four neighbours; of a mask, whether one is true."""
    largest = field.copy()
    for axis in (0, 1):
        source, target = np.moveaxis(field, axis, 0), np.moveaxis(largest, axis, 0)
        np.maximum(target[1:], source[:-1], out=target[1:])
        np.maximum(target[:-1], source[1:], out=target[:-1])
    return largest


def square_maxima(field: Field, radius: int, outside: float = 0.0) -> Field:
    """Largest value in the square around each pixel that extends ``radius`` to each side.

    Args:
        field: Values.
        radius: Pixels to each side.
        outside: Value beyond the border.
    """
    largest = np.pad(field, radius, constant_values=np.float32(outside))
    side = 2 * radius + 1
    for axis in (0, 1):
        lines, length = np.moveaxis(largest, axis, 0), 1
        # Maxima over a length, combined with themselves further on, are those over twice it.
        while length < side:
            step = min(length, side - length)
            lines = np.maximum(lines[:-step], lines[step:])
            length += step
        largest = np.moveaxis(lines, 0, axis)
    return largest
