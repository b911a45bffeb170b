"""The 512 x 512 crop around the object of a photograph, sampled as Probe3D does.

Every step selects whole pixels, so together they are one selection of rows and one of columns:
resize to 1024 pixels on the shorter side, resize to 512, crop the centre square, crop the square
around the object, resize that to 512 (El Banani et al., CVPR 2024; ``resize_navi`` and ``NAVI`` in
its code).
"""

from collections.abc import Callable

import numpy as np
from PIL import Image

from rilievo.frozen import frozen
from rilievo.geometry.intrinsics import crop_K, resize_K
from rilievo.shapes import Float64, Int, Mask, Matrix, Pixels, Shaped, UInt8

_KEPT, _SIDE = 1024, 512

Grid = tuple[Int[np.ndarray, "rows 1"], Int[np.ndarray, "1 columns"]]


@frozen
class ObjectCrop:
    """Crop around the object of a photograph.

    Attributes:
        size: (height, width) of the photograph.
        kept: (height, width) of Probe3D's copy on disk, whose shorter side is 1024.
        half: (height, width) of that copy resized to a shorter side of 512.
        top: First row of the square, at the size ``half``.
    """

    size: tuple[int, int]
    kept: tuple[int, int]
    half: tuple[int, int]
    top: int
    left: int
    side: int

    def map(self, whole: Float64[np.ndarray, "h w"]) -> Float64[np.ndarray, "512 512"]:
        """Crop a map of the photograph's size."""
        part = whole[self._kept_pixels()]
        return part[self._chosen()]

    def picture(self, pixels: Pixels) -> UInt8[np.ndarray, "512 512 3"]:
        """Crop the photograph: bilinear to the copy on disk, nearest neighbour from there."""
        height, width = self.kept
        copy = Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR)
        return np.asarray(copy)[self._chosen()]

    def nearest(self, whole: Float64[np.ndarray, "h w"]) -> float:
        """Least depth of the object in the copy on disk, also outside the crop."""
        depths = whole[self._kept_pixels()]
        return float(depths[depths > 0].min())

    def K(self, K: Matrix) -> Matrix:
        """Convert K of the photograph to K of the crop."""
        half = resize_K(K, size=self.size, new_size=self.half)
        square = crop_K(half, top=self.top, left=self.left)
        return resize_K(square, size=(self.side, self.side), new_size=(_SIDE, _SIDE))

    def _kept_pixels(self) -> Grid:
        return _grid(_centres, self.kept, self.size)

    def _chosen(self) -> Grid:
        """Rows and columns of the copy on disk that make the crop."""
        inside = _corners(_SIDE, self.side)
        rows, columns = _grid(_corners, self.half, self.kept)
        return rows[self.top + inside], columns[:, self.left + inside]


def object_crop(known: Mask) -> ObjectCrop | None:
    """Find the crop around the object's pixels; None if the centre square has none of them."""
    size = (known.shape[0], known.shape[1])
    factor = float(_KEPT) / min(size)
    copy_size = (int(size[0] * factor), int(size[1] * factor))
    half = (_halved(copy_size[0], min(copy_size)), _halved(copy_size[1], min(copy_size)))
    small = known[_grid(_centres, copy_size, size)][_grid(_corners, half, copy_size)]
    # The centre square; Python rounds halves to even, as torchvision does.
    top, left = (round((space - _SIDE) / 2) for space in half)
    rows, columns = np.nonzero(small[top : top + _SIDE, left : left + _SIDE])
    if not rows.size:
        return None
    first, side = _square(rows, columns)
    return ObjectCrop(
        size=size,
        kept=copy_size,
        half=half,
        top=top + first[0],
        left=left + first[1],
        side=side,
    )


def _square(
    rows: Shaped[np.ndarray, "n"], columns: Shaped[np.ndarray, "n"]
) -> tuple[tuple[int, int], int]:
    """First pixel and side of the square around pixels, without their last row and column."""
    first = np.array([rows.min(), columns.min()])
    box = np.array([rows.max(), columns.max()]) - first
    side = max(int(box.max()), 1)
    spare = side - box
    centred = first - spare // 2
    if (centred < 0).any() or (centred + side > _SIDE).any():
        centred = np.maximum(first - spare, 0)
    return (int(centred[0]), int(centred[1])), side


def _halved(side: int, shorter: int) -> int:
    """Length of a side after a resize of the shorter one to 512; torchvision rounds down."""
    return _SIDE if side == shorter else int(_SIDE * side / shorter)


def _grid(
    choose: Callable[[int, int], np.ndarray], new: tuple[int, int], old: tuple[int, int]
) -> Grid:
    """Rows and columns of an image of size ``old`` that give one of size ``new``."""
    rows, columns = choose(new[0], old[0]), choose(new[1], old[1])
    return rows[:, None], columns[None, :]


def _centres(new: int, old: int) -> Int[np.ndarray, "{new}"]:
    """Nearest pixels by pixel centres, taken from Pillow itself because of its rounding."""
    indices = Image.fromarray(np.arange(old, dtype=np.int32)[None])
    return np.asarray(indices.resize((new, 1), Image.Resampling.NEAREST))[0]


def _corners(new: int, old: int) -> Int[np.ndarray, "{new}"]:
    """Nearest pixels by pixel corners, as in PyTorch's "nearest" and OpenCV."""
    return np.minimum((np.arange(new) * (old / new)).astype(np.int64), old - 1)
