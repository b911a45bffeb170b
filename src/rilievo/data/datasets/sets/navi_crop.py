"""The crop around the object of a photograph, sampled as Probe3D does."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from rilievo.arrays.shapes import Float64, Int, Mask, Matrix, Pixels, Shaped, UInt8
from rilievo.geometry.intrinsics import crop_K, resize_K

_COPY_SIDE = 1024  # [px], the shorter side of the copies that Probe3D keeps
_CROP_SIDE = 512  # [px]

PixelGrid = tuple[Int[np.ndarray, "rows 1"], Int[np.ndarray, "1 columns"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectCrop:
    """Square around an object, which Probe3D cuts out of a copy of the photograph.

    Attributes:
        size: Size of the photograph.
        copy_size: Size of the copy that Probe3D keeps, whose shorter side is 1024 px.
        half_size: Size of the copy after resizing to a shorter side of 512 px.
        top: First row of the square in that size; ``left`` is its first column.
        side: Side of the square in that size [px]. The square is resized to 512 px.
    """

    size: tuple[int, int]
    copy_size: tuple[int, int]
    half_size: tuple[int, int]
    top: int
    left: int
    side: int

    def crop_map(self, values: Float64[np.ndarray, "h w"]) -> Float64[np.ndarray, "512 512"]:
        """Cut the square out of a map of the photograph's size, by nearest pixels."""
        copy = values[self._original_pixels_of_copy()]
        return copy[self._copy_pixels_of_crop()]

    def crop_photo(self, pixels: Pixels) -> UInt8[np.ndarray, "512 512 3"]:
        """Cut the square out of the photograph, which is resized bilinearly to the copy first."""
        height, width = self.copy_size
        copy = Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR)
        return np.asarray(copy)[self._copy_pixels_of_crop()]

    def least_depth(self, depth: Float64[np.ndarray, "h w"]) -> float:
        """Least depth in the whole copy of the photograph; 0 is unknown."""
        copy = depth[self._original_pixels_of_copy()]
        return float(copy[copy > 0].min())

    def K(self, K: Matrix) -> Matrix:
        """Intrinsics of the square [px], from those of the photograph."""
        half = resize_K(K, size=self.size, new_size=self.half_size)
        square = crop_K(half, top=self.top, left=self.left)
        return resize_K(square, size=(self.side, self.side), new_size=(_CROP_SIDE, _CROP_SIDE))

    def _original_pixels_of_copy(self) -> PixelGrid:
        return _pixel_grid(_nearest_indices_by_centres, self.copy_size, self.size)

    def _copy_pixels_of_crop(self) -> PixelGrid:
        """Pixels of the copy from which the crop is taken, through both of its resizes."""
        in_square = _nearest_indices_by_corners(_CROP_SIDE, self.side)
        rows, columns = _pixel_grid(_nearest_indices_by_corners, self.half_size, self.copy_size)
        return rows[self.top + in_square], columns[:, self.left + in_square]


def object_crop(mask: Mask) -> ObjectCrop | None:
    """Find the square around the object, by the mask of its pixels in the photograph.

    Returns:
        The crop, or None if the object is outside of the square in the photograph's middle.
    """
    size = (mask.shape[0], mask.shape[1])
    factor = float(_COPY_SIDE) / min(size)
    copy_size = (int(size[0] * factor), int(size[1] * factor))
    shorter_side = min(copy_size)
    half_size = (_side_at_512(copy_size[0], shorter_side), _side_at_512(copy_size[1], shorter_side))
    copy_mask = mask[_pixel_grid(_nearest_indices_by_centres, copy_size, size)]
    half_mask = copy_mask[_pixel_grid(_nearest_indices_by_corners, half_size, copy_size)]

    # The square in the middle. Python rounds halves to even, as torchvision does.
    top, left = (round((length - _CROP_SIDE) / 2) for length in half_size)
    rows, columns = np.nonzero(half_mask[top : top + _CROP_SIDE, left : left + _CROP_SIDE])
    if not rows.size:
        return None
    square = _square_around(rows, columns)
    return ObjectCrop(
        size=size,
        copy_size=copy_size,
        half_size=half_size,
        top=top + square.top,
        left=left + square.left,
        side=square.side,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Square:
    """Square of pixels, by its first row and column."""

    top: int
    left: int
    side: int


def _square_around(rows: Shaped[np.ndarray, "n"], columns: Shaped[np.ndarray, "n"]) -> _Square:
    """Square around the bounding box of an object's pixels, inside the picture's middle square.

    As in Probe3D, the box lacks the last row and the last column of the object. The square is as
    wide as the longer side of the box, which lies in its middle if there is room.
    """
    box_start = np.array([rows.min(), columns.min()])
    box_sides = np.array([rows.max(), columns.max()]) - box_start
    side = max(int(box_sides.max()), 1)
    margin = side - box_sides
    top_left = box_start - margin // 2
    # Near a border, the whole margin goes before the box.
    if (top_left < 0).any() or (top_left + side > _CROP_SIDE).any():
        top_left = np.maximum(box_start - margin, 0)
    top, left = top_left.tolist()
    return _Square(top=top, left=left, side=side)


def _side_at_512(side: int, shorter_side: int) -> int:
    """Side after resizing the shorter side to 512 px, rounded down as in torchvision."""
    return _CROP_SIDE if side == shorter_side else int(_CROP_SIDE * side / shorter_side)


def _pixel_grid(
    nearest_indices: Callable[[int, int], np.ndarray],
    new_size: tuple[int, int],
    old_size: tuple[int, int],
) -> PixelGrid:
    """Rows and columns of the old pixels from which the pixels of a new size are taken."""
    rows = nearest_indices(new_size[0], old_size[0])
    columns = nearest_indices(new_size[1], old_size[1])
    return rows[:, None], columns[None, :]


def _nearest_indices_by_centres(new_size: int, old_size: int) -> Int[np.ndarray, "{new_size}"]:
    """Index of the old pixel that contains the centre of each new pixel, rounded as in Pillow."""
    indices = Image.fromarray(np.arange(old_size, dtype=np.int32)[None])
    return np.asarray(indices.resize((new_size, 1), Image.Resampling.NEAREST))[0]


def _nearest_indices_by_corners(new_size: int, old_size: int) -> Int[np.ndarray, "{new_size}"]:
    """Index of the old pixel that contains the first corner of each new one, as in PyTorch."""
    indices = (np.arange(new_size) * (old_size / new_size)).astype(np.int64)
    return np.minimum(indices, old_size - 1)
