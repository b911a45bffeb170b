"""The crop around the object of a photograph, sampled as Probe3D does."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from rilievo.arrays.shapes import Float64, Int, Mask, Matrix, Pixels, Shaped, UInt8
from rilievo.geometry.intrinsics import crop_K, resize_K

_COPY_SIDE = 1024  # [px], the shorter side of the copies that Probe3D keeps
_SIDE = 512  # [px], of the crop

PixelGrid = tuple[Int[np.ndarray, "rows 1"], Int[np.ndarray, "1 columns"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectCrop:
    """Square around an object, which Probe3D cuts out of a copy of the photograph.

    Attributes:
        size: Size of the photograph.
        copy_size: Size of the copy that Probe3D keeps, whose shorter side is 1024 px.
        half_size: Size of the copy once it is resized to a shorter side of 512 px.
        top: First row of the square in that size.
        left: First column.
        side: Side of the square there [px]; it is resized to 512 px.
    """

    size: tuple[int, int]
    copy_size: tuple[int, int]
    half_size: tuple[int, int]
    top: int
    left: int
    side: int

    def crop_map(self, whole: Float64[np.ndarray, "h w"]) -> Float64[np.ndarray, "512 512"]:
        """Cut the square out of a map of the photograph's size, by nearest pixels."""
        part = whole[self._original_pixels_of_copy()]
        return part[self._copy_pixels_of_crop()]

    def crop_photo(self, pixels: Pixels) -> UInt8[np.ndarray, "512 512 3"]:
        """Cut the square out of the photograph, which is resized bilinearly to the copy first."""
        height, width = self.copy_size
        copy = Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR)
        return np.asarray(copy)[self._copy_pixels_of_crop()]

    def least_depth(self, whole: Float64[np.ndarray, "h w"]) -> float:
        """Least depth in the copy, also outside the square; 0 is unknown."""
        depths = whole[self._original_pixels_of_copy()]
        return float(depths[depths > 0].min())

    def K(self, K: Matrix) -> Matrix:
        """Intrinsics of the square [px], from those of the photograph."""
        half = resize_K(K, size=self.size, new_size=self.half_size)
        square = crop_K(half, top=self.top, left=self.left)
        return resize_K(square, size=(self.side, self.side), new_size=(_SIDE, _SIDE))

    def _original_pixels_of_copy(self) -> PixelGrid:
        return _pixel_grid(_nearest_indices_by_centres, self.copy_size, self.size)

    def _copy_pixels_of_crop(self) -> PixelGrid:
        in_square = _nearest_indices_by_corners(_SIDE, self.side)
        rows, columns = _pixel_grid(_nearest_indices_by_corners, self.half_size, self.copy_size)
        return rows[self.top + in_square], columns[:, self.left + in_square]


def object_crop(mask: Mask) -> ObjectCrop | None:
    """Square around the object, by the mask of its pixels in the photograph.

    Returns:
        None if the square in the middle of the photograph shows nothing of the object.
    """
    size = (mask.shape[0], mask.shape[1])
    factor = float(_COPY_SIDE) / min(size)
    copy_size = (int(size[0] * factor), int(size[1] * factor))
    shorter = min(copy_size)
    half_size = (_side_at_512(copy_size[0], shorter), _side_at_512(copy_size[1], shorter))
    copy_mask = mask[_pixel_grid(_nearest_indices_by_centres, copy_size, size)]
    half_mask = copy_mask[_pixel_grid(_nearest_indices_by_corners, half_size, copy_size)]

    # The square in the middle. Python rounds halves to even, as torchvision does.
    top, left = (round((length - _SIDE) / 2) for length in half_size)
    rows, columns = np.nonzero(half_mask[top : top + _SIDE, left : left + _SIDE])
    if not rows.size:
        return None
    first, side = _square_around(rows, columns)
    return ObjectCrop(
        size=size,
        copy_size=copy_size,
        half_size=half_size,
        top=top + first[0],
        left=left + first[1],
        side=side,
    )


def _square_around(
    rows: Shaped[np.ndarray, "n"], columns: Shaped[np.ndarray, "n"]
) -> tuple[tuple[int, int], int]:
    """(top, left) and side of a square around pixels, without their last row and column."""
    first = np.array([rows.min(), columns.min()])
    box = np.array([rows.max(), columns.max()]) - first
    side = max(int(box.max()), 1)
    margin = side - box
    top_left = first - margin // 2
    if (top_left < 0).any() or (top_left + side > _SIDE).any():
        top_left = np.maximum(first - margin, 0)
    return (int(top_left[0]), int(top_left[1])), side


def _side_at_512(side: int, shorter: int) -> int:
    """Side after a resize to 512, rounded down as in torchvision."""
    return _SIDE if side == shorter else int(_SIDE * side / shorter)


def _pixel_grid(
    nearest_indices: Callable[[int, int], np.ndarray], new: tuple[int, int], old: tuple[int, int]
) -> PixelGrid:
    """Rows and columns of the old size that the pixels of a new size are taken from."""
    rows, columns = nearest_indices(new[0], old[0]), nearest_indices(new[1], old[1])
    return rows[:, None], columns[None, :]


def _nearest_indices_by_centres(new: int, old: int) -> Int[np.ndarray, "{new}"]:
    """Old index whose pixel holds the centre of each new pixel, rounded as Pillow does."""
    indices = Image.fromarray(np.arange(old, dtype=np.int32)[None])
    return np.asarray(indices.resize((new, 1), Image.Resampling.NEAREST))[0]


def _nearest_indices_by_corners(new: int, old: int) -> Int[np.ndarray, "{new}"]:
    """Old index whose pixel holds the first corner of each new pixel, as in PyTorch and OpenCV."""
    return np.minimum((np.arange(new) * (old / new)).astype(np.int64), old - 1)
