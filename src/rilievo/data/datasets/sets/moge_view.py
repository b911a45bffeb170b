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

_MAX_SIDE = 16384  # [px], of the photograph once it is shrunk


@dataclass(frozen=True, slots=True, kw_only=True)
class CentredView:
    """View of a photograph, turned such that its optical axis meets the photograph's middle.

    Attributes:
        shape: Size of the view.
        raw_K: Intrinsics of the photograph, as fractions of its sides.
        K: Intrinsics of the view, as fractions of its sides.
        shrunk: Size of the photograph once its pixels are as large as the view's.
        source: Column and row in the shrunk photograph of each pixel of the view [px].
    """

    shape: tuple[int, int]
    raw_K: Matrix
    K: Matrix
    shrunk: tuple[int, int]
    source: Float32[np.ndarray, "2 h w"]

    @property
    def K_px(self) -> Matrix:
        """Intrinsics of the view [px]."""
        height, width = self.shape
        K = self.K * np.array([[width], [height], [1.0]])
        K[:2, 2] -= 0.5
        return K


def centred_view(K: Matrix, raw: tuple[int, int], shape: tuple[int, int]) -> CentredView:
    """Find the largest view of a shape whose optical axis meets the photograph's middle.

    Args:
        K: Intrinsics of the photograph, as fractions of its sides.
        raw: Size of the photograph.
        shape: Size of the view.

    Raises:
        ValueError: If the photograph would be shrunk to an impossible size.
    """
    # The bundle's program reads them in 32 bits.
    K = K.astype(np.float32).astype(np.float64)
    height, width = shape
    R = _rotation_onto_z(np.linalg.inv(K) @ [0.5, 0.5, 1.0])
    view_width, view_height = _view_width_and_height(K, R, width / height)
    view_K = np.array([[1 / view_width, 0, 0.5], [0, 1 / view_height, 0.5], [0, 0, 1.0]])

    # Width and height of one pixel at depth 1.
    raw_pixel = abs(1 / K[0, 0]) / raw[1], abs(1 / K[1, 1]) / raw[0]
    pixel = view_width / width, view_height / height
    shrunk = int(raw[0] * raw_pixel[1] / pixel[1]), int(raw[1] * raw_pixel[0] / pixel[0])
    if not (min(shrunk) > 0 and max(shrunk) < _MAX_SIDE):
        raise ValueError(f"the picture would have {shrunk[0]} x {shrunk[1]} pixels")
    raw_from_view = K @ R.T @ np.linalg.inv(view_K)
    homogeneous = _matrix_times_pixel_centres(raw_from_view, height, width)
    sides = np.array([shrunk[1], shrunk[0]], np.float64)[:, None, None]
    source = homogeneous[:2] / (homogeneous[2] + 1e-12) * sides - 0.5
    return CentredView(
        shape=shape, raw_K=K, K=view_K, shrunk=shrunk, source=source.astype(np.float32)
    )


def _rotation_onto_z(direction: Vector) -> Matrix:
    """Shortest rotation that takes a direction to the z axis."""
    x, y, z = direction / np.linalg.norm(direction)
    cross = np.array([[0, 0, -x], [0, 0, -y], [x, y, 0.0]])
    return np.eye(3) + cross + cross @ cross / (1 + z)


def _view_width_and_height(K: Matrix, R: Matrix, aspect: float) -> tuple[float, float]:
    """Width and height at depth 1 of the largest turned view inside the photograph.

    Args:
        K: Intrinsics of the photograph, as fractions of its sides.
        R: Rotation from the photograph's camera frame to the view's.
        aspect: Width of the view over its height.
    """
    raw_width, raw_height = abs(1 / K[0, 0]), abs(1 / K[1, 1])
    raw_corners = np.array([[0, 0, 1], [0, 1, 1], [1, 1, 1], [1, 0, 1.0]])
    corners = raw_corners @ (np.linalg.inv(K).T @ R.T)
    corners = corners[:, :2] / corners[:, 2:]
    width, height = raw_width, raw_height
    for start, end in zip(np.roll(corners, 1, axis=0), corners, strict=True):
        for diagonal in ((aspect, 1.0), (aspect, -1.0)):
            # Where the view's diagonal meets the line of this side of the photograph.
            lines = np.stack([np.array(diagonal), start - end], axis=1)
            x, y = np.array(diagonal) * np.linalg.solve(lines, start)[0]
            width, height = min(width, 2 * abs(x)), min(height, 2 * abs(y))
    unturned_width = min(raw_width, raw_height * aspect)
    return min(unturned_width, width), min(unturned_width / aspect, height)


def view_photo(view: CentredView, photo: UInt8[np.ndarray, "a b 3"]) -> Pixels:
    """Sample a photograph in the view, black outside of it, exactly as OpenCV 5 does."""
    height, width = view.shrunk
    resized = Image.fromarray(photo).resize((width, height), Image.Resampling.LANCZOS)
    padded = np.pad(np.asarray(resized), ((1, 1), (1, 1), (0, 0))).astype(np.float64)
    column, row = view.source.astype(np.float64)
    column, row = np.clip(column, -1, width) + 1, np.clip(row, -1, height) + 1
    left = np.minimum(column.astype(np.int64), width)
    top = np.minimum(row.astype(np.int64), height)
    right_weight, lower_weight = (column - left)[..., None], (row - top)[..., None]
    upper = padded[top, left] * (1 - right_weight) + padded[top, left + 1] * right_weight
    lower = padded[top + 1, left] * (1 - right_weight) + padded[top + 1, left + 1] * right_weight
    return np.rint(upper * (1 - lower_weight) + lower * lower_weight).astype(np.uint8)


def view_depth(
    view: CentredView, depth: Float32[np.ndarray, "a b"], valid: Bool[np.ndarray, "a b"]
) -> tuple[Field, Mask]:
    """Sample depth of the photograph in the view, and the mask of pixels that have it.

    A distance along the ray does not change when the camera turns, so distances are sampled, and
    turned into depth of the view.
    """
    chosen = nearest_pixel_of_cells(valid, view.shrunk)
    height, width = view.shrunk
    depths = np.where(valid, depth, np.float32(1)).ravel()[chosen.indices].astype(np.float64)
    distances = depths * _ray_lengths(view.raw_K, height, width)
    maps = np.stack([distances, chosen.has_pixel.astype(np.float64)])
    samples, inside = _nearest_samples_and_inside(view, maps)
    distance, has_depth = samples
    depth = distance / (_ray_lengths(view.K, *view.shape) + 1e-12)
    return depth.astype(np.float32), inside & (has_depth > 0)


def view_numbers(view: CentredView, numbers: Shaped[np.ndarray, "a b"]) -> Int[np.ndarray, "h w"]:
    """Sample whole numbers, such as labels, in the view; they are 0 outside of the photograph."""
    height, width = view.shrunk
    rows = _nearest_indices(height, numbers.shape[0])
    columns = _nearest_indices(width, numbers.shape[1])
    shrunk = numbers[rows[:, None], columns].astype(np.float64)
    samples, _ = _nearest_samples_and_inside(view, shrunk[None])
    return samples[0].astype(np.int64)


def _nearest_indices(new: int, old: int) -> Int[np.ndarray, "{new}"]:
    """Old index whose pixel holds the first corner of each new pixel."""
    return np.minimum((np.arange(new) * (old / new)).astype(np.int64), old - 1)


def _nearest_samples_and_inside(
    view: CentredView, maps: Float64[np.ndarray, "k a b"]
) -> tuple[Float64[np.ndarray, "k h w"], Mask]:
    """Sample maps of the shrunk photograph in the view, and tell which pixels lie inside of it."""
    height, width = view.shrunk
    column, row = (np.rint(coordinates).astype(np.int64) for coordinates in view.source)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    samples = maps[:, np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]
    return np.where(inside, samples, 0.0), inside


def _ray_lengths(K: Matrix, height: int, width: int) -> Float64[np.ndarray, "{height} {width}"]:
    """Distance along the ray of each pixel to depth 1; K is in fractions of the sides."""
    return np.linalg.norm(_matrix_times_pixel_centres(np.linalg.inv(K), height, width), axis=0)


def _matrix_times_pixel_centres(
    matrix: Matrix, height: int, width: int
) -> Float64[np.ndarray, "3 h w"]:
    """Product of a matrix and the homogeneous centres of pixels, in fractions of the sides."""
    u, v = (np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height
    grid = np.stack([*np.meshgrid(u, v), np.ones((height, width))])
    return np.einsum("ij,jhw->ihw", matrix, grid)
