"""The view in which MoGe scores an image (``moge/test/dataloader.py``)."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from rilievo.alignment.subsample import nearest_valid_pixels
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

_MAX_SIDE = 16384  # [px], of the resized photograph


@dataclass(frozen=True, slots=True, kw_only=True)
class CentredView:
    """View of a photograph, rotated so that its optical axis meets the photograph's middle.

    Sizes are (height, width).

    Attributes:
        shape: Size of the view.
        photo_K: Normalised intrinsics of the photograph, as fractions of its sides.
        view_K: Normalised intrinsics of the view, as fractions of its sides.
        resized: Size of the photograph after resizing, so that its pixels are as large as the
            view's.
        sampled_xy: Column and row in the resized photograph of each pixel of the view [px].
    """

    shape: tuple[int, int]
    photo_K: Matrix
    view_K: Matrix
    resized: tuple[int, int]
    sampled_xy: Float32[np.ndarray, "2 h w"]

    @property
    def K(self) -> Matrix:
        """Intrinsics of the view [px]."""
        height, width = self.shape
        K = self.view_K * np.array([[width], [height], [1.0]])
        K[:2, 2] -= 0.5
        return K


def centred_view(K: Matrix, photo_size: tuple[int, int], shape: tuple[int, int]) -> CentredView:
    """Find the largest view of a shape whose optical axis meets the photograph's middle.

    K is normalised, in fractions of the photograph's sides. Sizes are (height, width).

    Raises:
        ValueError: If the photograph would be resized to an impossible size.
    """
    # MoGe's program stores intrinsics as float32. Rounding as there gives the same views.
    K = K.astype(np.float32).astype(np.float64)
    photo_height, photo_width = photo_size
    height, width = shape
    middle_ray = np.linalg.inv(K) @ [0.5, 0.5, 1.0]
    R = _rotation_onto_z(middle_ray)
    view_width, view_height = _view_width_and_height(K, R, width / height)
    view_K = np.array([[1 / view_width, 0, 0.5], [0, 1 / view_height, 0.5], [0, 0, 1.0]])

    # Width and height of one pixel at depth 1.
    photo_pixel_width = abs(1 / K[0, 0]) / photo_width
    photo_pixel_height = abs(1 / K[1, 1]) / photo_height
    pixel_width, pixel_height = view_width / width, view_height / height
    # Rounded down, as MoGe's program does.
    resized_height = int(photo_height * photo_pixel_height / pixel_height)
    resized_width = int(photo_width * photo_pixel_width / pixel_width)
    resized = (resized_height, resized_width)
    if not (min(resized) > 0 and max(resized) < _MAX_SIDE):
        raise ValueError(f"the resized image would have {resized_width}x{resized_height} pixels")
    photo_from_view = K @ R.T @ np.linalg.inv(view_K)
    homogeneous = _matrix_times_pixel_centres(photo_from_view, height, width)
    resized_sides = np.array([resized_width, resized_height], np.float64)[:, None, None]
    # The centre of the top-left pixel is (0, 0). MoGe's program adds 1e-12 as well.
    sampled_xy = homogeneous[:2] / (homogeneous[2] + 1e-12) * resized_sides - 0.5
    return CentredView(
        shape=shape,
        photo_K=K,
        view_K=view_K,
        resized=resized,
        sampled_xy=sampled_xy.astype(np.float32),
    )


def _rotation_onto_z(direction: Vector) -> Matrix:
    """Smallest rotation that takes a direction d to the z axis: 1 + [c] + [c]² / (1 + d·z).

    Here c = d × z, and [c] is its cross-product matrix (Rodrigues' formula).
    """
    x, y, z = direction / np.linalg.norm(direction)
    cross_matrix = np.array([[0, 0, -x], [0, 0, -y], [x, y, 0.0]])
    return np.eye(3) + cross_matrix + cross_matrix @ cross_matrix / (1 + z)


def _view_width_and_height(K: Matrix, R: Matrix, aspect: float) -> tuple[float, float]:
    """Width and height at depth 1 of the largest rotated view inside the photograph.

    K is normalised, R is the rotation from the photograph's camera frame to the view's, and
    ``aspect`` is the view's width over its height.
    """
    photo_width, photo_height = abs(1 / K[0, 0]), abs(1 / K[1, 1])
    photo_corners = np.array([[0, 0, 1], [0, 1, 1], [1, 1, 1], [1, 0, 1.0]])
    corners = photo_corners @ (np.linalg.inv(K).T @ R.T)
    corners = corners[:, :2] / corners[:, 2:]
    width, height = photo_width, photo_height
    # The diagonals of the view must not cross any side of the photograph.
    for start, end in zip(np.roll(corners, 1, axis=0), corners, strict=True):
        for diagonal in ((aspect, 1.0), (aspect, -1.0)):
            # Solve t diagonal = start + s (end - start), where the two lines meet.
            lines = np.stack([np.array(diagonal), start - end], axis=1)
            x, y = np.array(diagonal) * np.linalg.solve(lines, start)[0]
            width, height = min(width, 2 * abs(x)), min(height, 2 * abs(y))
    unrotated_width = min(photo_width, photo_height * aspect)
    return min(unrotated_width, width), min(unrotated_width / aspect, height)


def view_photo(view: CentredView, photo: UInt8[np.ndarray, "a b 3"]) -> Pixels:
    """Sample a photograph in the view, black outside of it, exactly as OpenCV 5 does."""
    height, width = view.resized
    resized = Image.fromarray(photo).resize((width, height), Image.Resampling.LANCZOS)
    # A black border of one pixel, so that samples near the edge blend into black.
    padded = np.pad(np.asarray(resized), ((1, 1), (1, 1), (0, 0))).astype(np.float64)
    column, row = view.sampled_xy.astype(np.float64)
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

    A distance along the ray does not change when the camera rotates, so distances are sampled, and
    converted to depth of the view.
    """
    nearest_pixels = nearest_valid_pixels(valid, view.resized)
    height, width = view.resized
    # Invalid pixels get any finite depth, because the mask excludes them.
    filled = np.where(valid, depth, np.float32(1)).ravel()
    resized_depth = filled[nearest_pixels.indices].astype(np.float64)
    distances = resized_depth * _ray_lengths(view.photo_K, height, width)
    maps = np.stack([distances, nearest_pixels.has_pixel.astype(np.float64)])
    (distance, has_depth), is_inside = _nearest_samples_and_inside(view, maps)
    view_depths = distance / (_ray_lengths(view.view_K, *view.shape) + 1e-12)
    return view_depths.astype(np.float32), is_inside & (has_depth > 0)


def view_labels(view: CentredView, labels: Shaped[np.ndarray, "a b"]) -> Int[np.ndarray, "h w"]:
    """Sample integer labels in the view; they are 0 outside of the photograph."""
    height, width = view.resized
    rows = _nearest_indices(height, labels.shape[0])
    columns = _nearest_indices(width, labels.shape[1])
    resized = labels[rows[:, None], columns].astype(np.float64)
    samples, _ = _nearest_samples_and_inside(view, resized[None])
    return samples[0].astype(np.int64)


def _nearest_indices(new_size: int, old_size: int) -> Int[np.ndarray, "{new_size}"]:
    """Index of the old pixel that contains the first corner of each new pixel."""
    indices = (np.arange(new_size) * (old_size / new_size)).astype(np.int64)
    return np.minimum(indices, old_size - 1)


def _nearest_samples_and_inside(
    view: CentredView, maps: Float64[np.ndarray, "k a b"]
) -> tuple[Float64[np.ndarray, "k h w"], Mask]:
    """Sample maps of the resized photograph; return samples and the mask of those inside it."""
    height, width = view.resized
    column, row = (np.rint(coordinates).astype(np.int64) for coordinates in view.sampled_xy)
    is_inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    samples = maps[:, np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]
    return np.where(is_inside, samples, 0.0), is_inside


def _ray_lengths(K: Matrix, height: int, width: int) -> Float64[np.ndarray, "{height} {width}"]:
    """Length of each pixel's ray up to depth 1; K is in fractions of the sides."""
    return np.linalg.norm(_matrix_times_pixel_centres(np.linalg.inv(K), height, width), axis=0)


def _matrix_times_pixel_centres(
    matrix: Matrix, height: int, width: int
) -> Float64[np.ndarray, "3 h w"]:
    """Multiply a matrix by the homogeneous pixel centres, which are in fractions of the sides."""
    u, v = (np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height
    grid = np.stack([*np.meshgrid(u, v), np.ones((height, width))])
    return np.einsum("ij,jhw->ihw", matrix, grid)
