"""The crop around the object of a photograph, sampled as Probe3D does."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from rilievo.arrays.shapes import Float64, Int, Mask, Matrix, Pixels, Shaped, UInt8
from rilievo.geometry.intrinsics import crop_K, resize_K

_KEPT, _SIDE = 1024, 512
Grid = tuple[Int[np.ndarray, "rows 1"], Int[np.ndarray, "1 columns"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectCrop:
    """Crop around an object of Probe3D's copy ``kept``, ``half`` of which is 512 px."""

    size: tuple[int, int]
    kept: tuple[int, int]
    half: tuple[int, int]
    top: int
    left: int
    side: int

    def crop_map(self, whole: Float64[np.ndarray, "h w"]) -> Float64[np.ndarray, "512 512"]:
        """Nearest pixels, without interpolation."""
        part = whole[self._original_pixels_of_copy()]
        return part[self._copy_pixels_of_crop()]

    def crop_photo(self, pixels: Pixels) -> UInt8[np.ndarray, "512 512 3"]:
        """Resize bilinearly to the copy, then take nearest pixels."""
        height, width = self.kept
        copy = Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR)
        return np.asarray(copy)[self._copy_pixels_of_crop()]

    def least_depth(self, whole: Float64[np.ndarray, "h w"]) -> float:
        """Least depth in the copy, also outside the crop."""
        depths = whole[self._original_pixels_of_copy()]
        return float(depths[depths > 0].min())

    def K(self, K: Matrix) -> Matrix:
        """K of the crop."""
        half = resize_K(K, size=self.size, new_size=self.half)
        square = crop_K(half, top=self.top, left=self.left)
        return resize_K(square, size=(self.side, self.side), new_size=(_SIDE, _SIDE))

    def _original_pixels_of_copy(self) -> Grid:
        return _pixel_grid(_nearest_indices_by_centres, self.kept, self.size)

    def _copy_pixels_of_crop(self) -> Grid:
        inside = _nearest_indices_by_corners(_SIDE, self.side)
        rows, columns = _pixel_grid(_nearest_indices_by_corners, self.half, self.kept)
        return rows[self.top + inside], columns[:, self.left + inside]


def object_crop(mask: Mask) -> ObjectCrop | None:
    """Crop around the object, if the centre square has any."""
    size = (mask.shape[0], mask.shape[1])
    factor = float(_KEPT) / min(size)
    copy_size = (int(size[0] * factor), int(size[1] * factor))
    half = (_side_at_512(copy_size[0], min(copy_size)), _side_at_512(copy_size[1], min(copy_size)))
    small = mask[_pixel_grid(_nearest_indices_by_centres, copy_size, size)][
        _pixel_grid(_nearest_indices_by_corners, half, copy_size)
    ]
    # The centre square; Python rounds halves to even, as torchvision does.
    top, left = (round((space - _SIDE) / 2) for space in half)
    rows, columns = np.nonzero(small[top : top + _SIDE, left : left + _SIDE])
    if not rows.size:
        return None
    first, side = _square_around(rows, columns)
    return ObjectCrop(
        size=size,
        kept=copy_size,
        half=half,
        top=top + first[0],
        left=left + first[1],
        side=side,
    )


def _square_around(
    rows: Shaped[np.ndarray, "n"], columns: Shaped[np.ndarray, "n"]
) -> tuple[tuple[int, int], int]:
    """(top, left) and side, without the last row and column."""
    first = np.array([rows.min(), columns.min()])
    box = np.array([rows.max(), columns.max()]) - first
    side = max(int(box.max()), 1)
    spare = side - box
    centred = first - spare // 2
    if (centred < 0).any() or (centred + side > _SIDE).any():
        centred = np.maximum(first - spare, 0)
    return (int(centred[0]), int(centred[1])), side


def _side_at_512(side: int, shorter: int) -> int:
    """Side after a resize to 512, rounded down as in torchvision."""
    return _SIDE if side == shorter else int(_SIDE * side / shorter)


def _pixel_grid(
    choose: Callable[[int, int], np.ndarray], new: tuple[int, int], old: tuple[int, int]
) -> Grid:
    rows, columns = choose(new[0], old[0]), choose(new[1], old[1])
    return rows[:, None], columns[None, :]


def _nearest_indices_by_centres(new: int, old: int) -> Int[np.ndarray, "{new}"]:
    """Indices from Pillow, for its rounding."""
    indices = Image.fromarray(np.arange(old, dtype=np.int32)[None])
    return np.asarray(indices.resize((new, 1), Image.Resampling.NEAREST))[0]


def _nearest_indices_by_corners(new: int, old: int) -> Int[np.ndarray, "{new}"]:
    """Indices as in PyTorch and OpenCV."""
    return np.minimum((np.arange(new) * (old / new)).astype(np.int64), old - 1)
