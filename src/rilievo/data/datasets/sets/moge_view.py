"""The view in which MoGe scores an image: principal point in the middle, a size for each set.

The picture is turned about the camera's centre until its middle looks along the axis, and cut to
the largest view of the set's proportions. Photographs are shrunk first and then interpolated;
distances keep the nearest measured one. Read in MoGe's ``moge/test/dataloader.py``.
"""

import numpy as np
from PIL import Image

from rilievo.alignment.subsample import nearest_places
from rilievo.frozen import frozen
from rilievo.shapes import (
    Bool,
    Field,
    Float32,
    Float64,
    Int,
    Mask,
    Matrix,
    Pixels,
    Shaped,
    UInt8,
    Vector,
)

_LARGEST = 16384
"""Pixels of a side that no image of the bundle has once it is as fine as its view."""


@frozen
class CentredView:
    """View of an image that is scored in its place.

    Attributes:
        shape: (height, width) of the view.
        raw_K: Intrinsics of the image, in shares of its sides.
        K: Intrinsics of the view, in shares of its sides.
        shrunk: (height, width) of the image once its pixels are as large as the view's.
        source: Column and row [px] in the shrunk image of each pixel of the view.
    """

    shape: tuple[int, int]
    raw_K: Matrix
    K: Matrix
    shrunk: tuple[int, int]
    source: Float32[np.ndarray, "2 h w"]

    @property
    def K_px(self) -> Matrix:
        """Intrinsics of the view [px], the top-left pixel's centre at (0, 0)."""
        height, width = self.shape
        K = self.K * np.array([[width], [height], [1.0]])
        K[:2, 2] -= 0.5
        return K


def view_of(K: Matrix, raw: tuple[int, int], shape: tuple[int, int]) -> CentredView:
    """The view of an image.

    Args:
        K: Intrinsics of the image, in shares of its sides.
        raw: (height, width) of the image.
        shape: (height, width) of the view.
    """
    # As the bundle's program reads them.
    K = K.astype(np.float32).astype(np.float64)
    height, width = shape
    turn = _turn(np.linalg.inv(K) @ [0.5, 0.5, 1.0])
    across, down = _extent(K, turn, width / height)
    own = np.array([[1 / across, 0, 0.5], [0, 1 / down, 0.5], [0, 0, 1.0]])
    raw_pixel = abs(1 / K[0, 0]) / raw[1], abs(1 / K[1, 1]) / raw[0]
    pixel = across / width, down / height
    shrunk = int(raw[0] * raw_pixel[1] / pixel[1]), int(raw[1] * raw_pixel[0] / pixel[0])
    if not (min(shrunk) > 0 and max(shrunk) < _LARGEST):
        raise ValueError(f"the picture would have {shrunk[0]} x {shrunk[1]} pixels")
    placed = _at_pixels(K @ turn.T @ np.linalg.inv(own), height, width)
    sides = np.array([shrunk[1], shrunk[0]], np.float64)[:, None, None]
    source = placed[:2] / (placed[2] + 1e-12) * sides - 0.5
    return CentredView(shape=shape, raw_K=K, K=own, shrunk=shrunk, source=source.astype(np.float32))


def _turn(direction: Vector) -> Matrix:
    """The smallest rotation that takes a direction in front of the camera to its axis."""
    x, y, z = direction / np.linalg.norm(direction)
    cross = np.array([[0, 0, -x], [0, 0, -y], [x, y, 0.0]])
    return np.eye(3) + cross + cross @ cross / (1 + z)


def _extent(K: Matrix, turn: Matrix, aspect: float) -> tuple[float, float]:
    """Width and height of the view at depth 1: of these proportions, and inside the image."""
    across, down = abs(1 / K[0, 0]), abs(1 / K[1, 1])
    square = np.array([[0, 0, 1], [0, 1, 1], [1, 1, 1], [1, 0, 1.0]])
    corners = square @ (np.linalg.inv(K).T @ turn.T)
    corners = corners[:, :2] / corners[:, 2:]
    wide, tall = across, down
    for start, end in zip(np.roll(corners, 1, axis=0), corners, strict=True):
        for diagonal in ((aspect, 1.0), (aspect, -1.0)):
            # Where the view's diagonal meets the line of this side.
            lines = np.stack([np.array(diagonal), start - end], axis=1)
            x, y = np.array(diagonal) * np.linalg.solve(lines, start)[0]
            wide, tall = min(wide, 2 * abs(x)), min(tall, 2 * abs(y))
    own = min(across, down * aspect)
    return min(own, wide), min(own / aspect, tall)


def view_photo(view: CentredView, photo: UInt8[np.ndarray, "a b 3"]) -> Pixels:
    """The photograph as the view shows it; black where it does not reach.

    Interpolated exactly, as OpenCV 5 does; OpenCV 4 places pixels to a thirty-second.
    """
    height, width = view.shrunk
    resized = Image.fromarray(photo).resize((width, height), Image.Resampling.LANCZOS)
    padded = np.pad(np.asarray(resized), ((1, 1), (1, 1), (0, 0))).astype(np.float64)
    column, row = view.source.astype(np.float64)
    column, row = np.clip(column, -1, width) + 1, np.clip(row, -1, height) + 1
    left = np.minimum(column.astype(np.int64), width)
    top = np.minimum(row.astype(np.int64), height)
    right_part, lower_part = (column - left)[..., None], (row - top)[..., None]
    upper = padded[top, left] * (1 - right_part) + padded[top, left + 1] * right_part
    lower = padded[top + 1, left] * (1 - right_part) + padded[top + 1, left + 1] * right_part
    return np.rint(upper * (1 - lower_part) + lower * lower_part).astype(np.uint8)


def view_depth(
    view: CentredView, depth: Float32[np.ndarray, "a b"], valid: Bool[np.ndarray, "a b"]
) -> tuple[Field, Mask]:
    """Depth as the view sees it, and where it is known."""
    chosen = nearest_places(valid, view.shrunk)
    height, width = view.shrunk
    depths = np.where(valid, depth, np.float32(1)).ravel()[chosen.places].astype(np.float64)
    distance = depths * _ray_lengths(view.raw_K, height, width)
    samples, inside = _nearest(view, np.stack([distance, chosen.known.astype(np.float64)]))
    lengths = _ray_lengths(view.K, *view.shape)
    return (samples[0] / (lengths + 1e-12)).astype(np.float32), inside & (samples[1] > 0)


def view_numbers(view: CentredView, numbers: Shaped[np.ndarray, "a b"]) -> Int[np.ndarray, "h w"]:
    """Whole numbers, such as those of objects, as the view sees them; 0 where there are none."""
    height, width = view.shrunk
    rows = np.minimum(
        (np.arange(height) * (numbers.shape[0] / height)).astype(np.int64), numbers.shape[0] - 1
    )
    columns = np.minimum(
        (np.arange(width) * (numbers.shape[1] / width)).astype(np.int64), numbers.shape[1] - 1
    )
    samples, _ = _nearest(view, numbers[rows[:, None], columns][None].astype(np.float64))
    return samples[0].astype(np.int64)


def _nearest(
    view: CentredView, maps: Float64[np.ndarray, "k a b"]
) -> tuple[Float64[np.ndarray, "k h w"], Mask]:
    """Maps of the shrunk image at the nearest pixel, 0 beyond its edge; and what lies inside."""
    height, width = view.shrunk
    column, row = (np.rint(coordinates).astype(np.int64) for coordinates in view.source)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    taken = maps[:, np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]
    return np.where(inside, taken, 0.0), inside


def _ray_lengths(K: Matrix, height: int, width: int) -> Float64[np.ndarray, "{height} {width}"]:
    """Distance of a point at depth 1 from the camera, for each pixel."""
    return np.linalg.norm(_at_pixels(np.linalg.inv(K), height, width), axis=0)


def _at_pixels(matrix: Matrix, height: int, width: int) -> Float64[np.ndarray, "3 h w"]:
    """Products of a matrix with (u, v, 1) of all pixels, in shares of width and height."""
    u, v = (np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height
    grid = np.stack([*np.meshgrid(u, v), np.ones((height, width))])
    return np.einsum("ij,jhw->ihw", matrix, grid)
