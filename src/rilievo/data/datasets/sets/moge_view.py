"""The view in which MoGe scores an image (``moge/test/dataloader.py``)."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from rilievo.alignment.subsample import nearest_pixel_of_cells
from rilievo.arrays.shapes import (
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


@dataclass(frozen=True, slots=True, kw_only=True)
class CentredView:
    """View of an image, whose ``raw_K`` and K are in shares of sides.

    Attributes:
        shrunk: (height, width) with pixels as large as the view's.
        source: Column and row [px] there of each pixel.
    """

    shape: tuple[int, int]
    raw_K: Matrix
    K: Matrix
    shrunk: tuple[int, int]
    source: Float32[np.ndarray, "2 h w"]

    @property
    def K_px(self) -> Matrix:
        """Intrinsics [px]."""
        height, width = self.shape
        K = self.K * np.array([[width], [height], [1.0]])
        K[:2, 2] -= 0.5
        return K


def centred_view(K: Matrix, raw: tuple[int, int], shape: tuple[int, int]) -> CentredView:
    """View whose axis meets the middle; K in shares of sides."""
    # As the bundle's program reads them.
    K = K.astype(np.float32).astype(np.float64)
    height, width = shape
    turn = _rotation_onto_z(np.linalg.inv(K) @ [0.5, 0.5, 1.0])
    across, down = _view_width_and_height(K, turn, width / height)
    own = np.array([[1 / across, 0, 0.5], [0, 1 / down, 0.5], [0, 0, 1.0]])
    raw_pixel = abs(1 / K[0, 0]) / raw[1], abs(1 / K[1, 1]) / raw[0]
    pixel = across / width, down / height
    shrunk = int(raw[0] * raw_pixel[1] / pixel[1]), int(raw[1] * raw_pixel[0] / pixel[0])
    if not (min(shrunk) > 0 and max(shrunk) < _LARGEST):
        raise ValueError(f"the picture would have {shrunk[0]} x {shrunk[1]} pixels")
    placed = _matrix_times_pixel_centres(K @ turn.T @ np.linalg.inv(own), height, width)
    sides = np.array([shrunk[1], shrunk[0]], np.float64)[:, None, None]
    source = placed[:2] / (placed[2] + 1e-12) * sides - 0.5
    return CentredView(shape=shape, raw_K=K, K=own, shrunk=shrunk, source=source.astype(np.float32))


def _rotation_onto_z(direction: Vector) -> Matrix:
    x, y, z = direction / np.linalg.norm(direction)
    cross = np.array([[0, 0, -x], [0, 0, -y], [x, y, 0.0]])
    return np.eye(3) + cross + cross @ cross / (1 + z)


def _view_width_and_height(K: Matrix, turn: Matrix, aspect: float) -> tuple[float, float]:
    """Sides at depth 1 of a view inside the picture."""
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
    """Photograph in the view, black outside, exactly as by OpenCV 5."""
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
    """Depth in the view, and where it is known."""
    chosen = nearest_pixel_of_cells(valid, view.shrunk)
    height, width = view.shrunk
    depths = np.where(valid, depth, np.float32(1)).ravel()[chosen.indices].astype(np.float64)
    distance = depths * _ray_lengths(view.raw_K, height, width)
    samples, inside = _nearest_samples_and_inside(
        view, np.stack([distance, chosen.has_pixel.astype(np.float64)])
    )
    lengths = _ray_lengths(view.K, *view.shape)
    return (samples[0] / (lengths + 1e-12)).astype(np.float32), inside & (samples[1] > 0)


def view_numbers(view: CentredView, numbers: Shaped[np.ndarray, "a b"]) -> Int[np.ndarray, "h w"]:
    """Whole numbers in the view, or 0."""
    height, width = view.shrunk
    rows = np.minimum(
        (np.arange(height) * (numbers.shape[0] / height)).astype(np.int64), numbers.shape[0] - 1
    )
    columns = np.minimum(
        (np.arange(width) * (numbers.shape[1] / width)).astype(np.int64), numbers.shape[1] - 1
    )
    samples, _ = _nearest_samples_and_inside(
        view, numbers[rows[:, None], columns][None].astype(np.float64)
    )
    return samples[0].astype(np.int64)


def _nearest_samples_and_inside(
    view: CentredView, maps: Float64[np.ndarray, "k a b"]
) -> tuple[Float64[np.ndarray, "k h w"], Mask]:
    height, width = view.shrunk
    column, row = (np.rint(coordinates).astype(np.int64) for coordinates in view.source)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    taken = maps[:, np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]
    return np.where(inside, taken, 0.0), inside


def _ray_lengths(K: Matrix, height: int, width: int) -> Float64[np.ndarray, "{height} {width}"]:
    return np.linalg.norm(_matrix_times_pixel_centres(np.linalg.inv(K), height, width), axis=0)


def _matrix_times_pixel_centres(
    matrix: Matrix, height: int, width: int
) -> Float64[np.ndarray, "3 h w"]:
    u, v = (np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height
    grid = np.stack([*np.meshgrid(u, v), np.ones((height, width))])
    return np.einsum("ij,jhw->ihw", matrix, grid)
