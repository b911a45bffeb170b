"""Pinhole views of a fisheye picture or a panorama, which together see all of it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from rilievo.arrays.shapes import (
    Bool,
    Field,
    Float,
    Float32,
    Float64,
    Int,
    Mask,
    Matrix,
    Pixels,
    UInt8,
    Vector,
)
from rilievo.geometry.cameras.equirectangular import Equirectangular
from rilievo.geometry.cameras.lens import Lens, inside_picture
from rilievo.geometry.intrinsics import pinhole_K

_MAX_SINGLE_VIEW_ANGLE = 50.0
"""Largest angle to the axis [degrees] of a picture that one view shows."""

_HALF_FOV = 45.0
"""Half the field of view of the views of an icosahedron [degrees]."""
_MIN_FILLED = 0.3
"""Least fraction of a view that the picture fills; emptier views are used only if needed."""
_FULLY_INSIDE = 0.97
"""Fraction of the half width of a view within which directions count as seen by it."""
_PROBED_ROWS, _PROBED_COLUMNS = 49, 97
"""Grid of directions, over the whole picture, that the views have to see."""
_PROBED_VIEW_SIDE = 24
"""Rows and columns of the grid on which the filled fraction of a view is estimated."""


def fill_unknown(field: Float32[np.ndarray, "h w c"], mask: Mask) -> Float32[np.ndarray, "h w c"]:
    """Fill the pixels outside of a mask smoothly, by an image pyramid of those inside."""
    if not mask.any():
        return np.zeros_like(field)
    known_channels = np.moveaxis(np.where(mask[..., None], field, 0), 2, 0)
    filled = _pull_push(list(known_channels), mask.astype(np.float32))
    return np.stack(filled, axis=2)


def _pull_push(weighted_channels: list[Field], weight: Field) -> list[Field]:
    """Fill gaps by the pull-push method (Gortler et al., "The Lumigraph", SIGGRAPH 1996).

    The channels are shrunk to half the size and filled there, in the same way (pull). Then they are
    enlarged, and each pixel gets as much of them as it lacks (push).

    Args:
        weighted_channels: Channels of a field, as value times weight.
        weight: How much of a pixel is known, from 0 to 1.

    Returns:
        Values of the channels in all pixels.
    """
    height, width = weight.shape
    if weight.min() >= 1:
        return weighted_channels
    if min(height, width) == 1:
        total_weight = max(float(weight.sum()), 1e-6)
        return [
            np.full_like(channel, channel.sum() / total_weight) for channel in weighted_channels
        ]

    half_size = ((width + 1) // 2, (height + 1) // 2)
    half_weight = _resize_field(weight, half_size, Image.Resampling.BOX)
    # A coarse pixel counts as fully known if a quarter of it is.
    gain = np.minimum(4 * half_weight, 1) / np.maximum(half_weight, 1e-9)
    half_channels = [
        _resize_field(channel, half_size, Image.Resampling.BOX) * gain
        for channel in weighted_channels
    ]
    filled_half_channels = _pull_push(half_channels, half_weight * gain)
    filled_channels = []
    for channel, filled_half in zip(weighted_channels, filled_half_channels, strict=True):
        background = _resize_field(filled_half, (width, height), Image.Resampling.BILINEAR)
        filled_channels.append(channel + (1 - weight) * background)
    return filled_channels


def _resize_field(field: np.ndarray, size: tuple[int, int], how: Image.Resampling) -> Field:
    """Resize to ``size``, as Pillow has it: (width, height)."""
    return np.asarray(Image.fromarray(np.asarray(field, np.float32)).resize(size, how))


@dataclass(frozen=True, slots=True, kw_only=True)
class SphereView:
    """Square pinhole view whose principal point is its centre.

    Attributes:
        turn: Rotation from the view's frame to the picture's camera frame.
        tangent: Tangent of half the field of view.
    """

    turn: Matrix
    tangent: float

    def K(self, side: int) -> Matrix:
        """Intrinsics of this view [px], ``side`` pixels wide and high."""
        focal, centre = side / (2 * self.tangent), (side - 1) / 2
        return pinhole_K(focal, focal, centre, centre)

    def rays(self, rows: int, columns: int) -> Float64[np.ndarray, "3 h w"]:
        """Rays of its pixels, with z = 1, in the view's frame."""
        x = (2 * (np.arange(columns) + 0.5) / columns - 1) * self.tangent
        y = (2 * (np.arange(rows) + 0.5) / rows - 1) * self.tangent
        return np.stack(np.broadcast_arrays(x[None, :], y[:, None], 1.0))


def covering_views(lens: Lens, shape: tuple[int, int]) -> list[SphereView]:
    """Views that together see all of a picture of (height, width): one if it is narrow enough."""
    directions = _sample_directions(lens, shape)
    single_view = _single_view(directions)
    if single_view is not None:
        return [single_view]
    is_panorama = isinstance(lens, Equirectangular)
    return _choose_views(icosahedron_views(upright=is_panorama), lens, shape, directions)


def _single_view(directions: Float64[np.ndarray, "3 n"]) -> SphereView | None:
    """View that sees all of these directions (unit vectors); None if they are too far apart."""
    mean_direction = directions.mean(axis=1)
    length = np.linalg.norm(mean_direction)
    # The mean of unit vectors that point in many directions is short.
    if length <= 0.5:
        return None
    turn = _rotation_towards(mean_direction / length)
    x, y, z = turn.T @ directions
    is_narrow = z.min() > math.cos(math.radians(_MAX_SINGLE_VIEW_ANGLE))
    if not is_narrow:
        return None
    tangent = max(np.abs(x / z).max(), np.abs(y / z).max())
    return SphereView(turn=turn, tangent=float(tangent))


def icosahedron_views(*, upright: bool) -> list[SphereView]:
    """Twelve views of 2 * ``_HALF_FOV`` degrees, through the corners of an icosahedron.

    With ``upright`` two of them look up and down, as suits a panorama. Otherwise two look ahead and
    back, as suits a fisheye.
    """
    # An icosahedron has a corner at each pole, and two rings of five corners, of which the second
    # is turned by half the angle between two corners.
    ring_latitude = math.atan(0.5)
    first_ring = [(math.radians(72 * index), ring_latitude) for index in range(5)]
    second_ring = [(math.radians(72 * index + 36), -ring_latitude) for index in range(5)]
    corners = [(0.0, math.pi / 2), *first_ring, *second_ring, (0.0, -math.pi / 2)]

    half_fov_tangent = math.tan(math.radians(_HALF_FOV))
    views = []
    for longitude, latitude in corners:
        x = math.cos(latitude) * math.sin(longitude)
        y = math.sin(latitude)
        z = math.cos(latitude) * math.cos(longitude)
        axis = np.array([x, y, z] if upright else [x, z, y])
        views.append(SphereView(turn=_rotation_towards(axis), tangent=half_fov_tangent))
    return views


def cube_views(degrees: float = 110.0) -> list[SphereView]:
    """Six views through the faces of a cube; each has a field of view of ``degrees``."""
    tangent = math.tan(math.radians(degrees / 2))
    axes = np.concatenate([np.eye(3), -np.eye(3)])
    return [SphereView(turn=_rotation_towards(axis), tangent=tangent) for axis in axes]


def _rotation_towards(axis: Vector) -> Matrix:
    """Rotation of a frame whose z is a unit axis, and whose x is level where that is possible.

    Its columns are the axes x, y and z of the rotated frame.
    """
    down = np.array([0.0, 1.0, 0.0])
    looks_straight_up_or_down = abs(axis[1]) > 0.999
    if looks_straight_up_or_down:
        # Any x is level. This one turns the view up or down from the view ahead.
        down = np.array([0.0, 0.0, -np.sign(axis[1])])
    right = np.cross(down, axis)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(axis, right), axis], axis=1)


def _sample_directions(lens: Lens, shape: tuple[int, int]) -> Float64[np.ndarray, "3 n"]:
    """Unit rays over a picture up to its edges, where the lens sees."""
    height, width = shape
    v = np.linspace(-0.5, height - 0.5, _PROBED_ROWS)
    u = np.linspace(-0.5, width - 0.5, _PROBED_COLUMNS)
    rays = lens.rays(np.stack(np.meshgrid(u, v)).reshape(2, -1))
    rays = rays[:, np.isfinite(rays).all(axis=0)]
    return rays / np.linalg.norm(rays, axis=0)


def _choose_views(
    views: Sequence[SphereView],
    lens: Lens,
    shape: tuple[int, int],
    directions: Float64[np.ndarray, "3 n"],
) -> list[SphereView]:
    """Keep the views that the picture fills enough, and those that see more than the views kept.

    The views are tried in the order of the fraction that the picture fills.
    """
    filled_fractions = [_filled_fraction(view, lens, shape) for view in views]
    fullest_first = sorted(range(len(views)), key=lambda index: -filled_fractions[index])
    kept_indices = []
    is_covered = np.zeros(directions.shape[1], bool)
    for index in fullest_first:
        is_seen = _sees_directions(views[index], directions)
        sees_more = bool((is_seen & ~is_covered).any())
        if filled_fractions[index] >= _MIN_FILLED or sees_more:
            kept_indices.append(index)
            is_covered |= is_seen
    return [views[index] for index in sorted(kept_indices)]


def _sees_directions(
    view: SphereView, directions: Float64[np.ndarray, "3 n"]
) -> Bool[np.ndarray, "n"]:
    """Which directions a view sees, not too close to its edge."""
    x, y, z = view.turn.T @ directions
    limit = _FULLY_INSIDE * view.tangent * z
    return (z > 0) & (np.maximum(np.abs(x), np.abs(y)) < limit)


def _filled_fraction(view: SphereView, lens: Lens, shape: tuple[int, int]) -> float:
    """Fraction of a view that a picture fills."""
    rays = view.rays(_PROBED_VIEW_SIDE, _PROBED_VIEW_SIDE)
    return float(rays_in_picture(lens, shape, view.turn, rays).mean())


def rays_in_picture(
    lens: Lens,
    shape: tuple[int, int],
    turn: Matrix,
    rays: Float64[np.ndarray, "3 h w"],
) -> Mask:
    """Whether a picture of (height, width) shows rays, which ``turn`` takes to its frame."""
    u, v = lens.project(np.tensordot(turn, rays, 1))
    return inside_picture(u, v, shape)


class SpherePicture:
    """Wide picture from which views are rendered.

    It is kept at about the resolution of the views, so that sampling skips no pixels.
    """

    def __init__(self, pixels: Pixels, lens: Lens, *, pixels_a_radian: float) -> None:
        """Shrink a picture by a whole factor, to at least ``pixels_a_radian`` at its centre."""
        height, width, _ = pixels.shape
        factor = max(1, int(lens.focal / pixels_a_radian))
        if factor > 1:
            new_height, new_width = max(1, height // factor), max(1, width // factor)
            image = Image.fromarray(pixels).resize((new_width, new_height), Image.Resampling.BOX)
            pixels = np.asarray(image)
            lens = lens.resized(size=(height, width), new_size=(new_height, new_width))
        self._lens, self._pixels = lens, pixels
        self._wraps = lens.goes_round(pixels.shape[1])

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of what is kept."""
        height, width, _ = self._pixels.shape
        return height, width

    def render_view(self, view: SphereView, side: int) -> UInt8[np.ndarray, "s s 3"]:
        """Pixels of a view; what the picture does not show is filled smoothly."""
        directions = np.tensordot(view.turn, view.rays(side, side), 1)
        u, v = self._lens.project(directions)
        inside = inside_picture(u, v, self.shape)
        samples = sample_bilinear(
            self._pixels, np.where(inside, u, 0), np.where(inside, v, 0), wraps=self._wraps
        )
        if not inside.all():
            samples = fill_unknown(samples, inside)
        return np.round(samples).clip(0, 255).astype(np.uint8)


def sample_bilinear(
    field: np.ndarray,
    u: Float[np.ndarray, "*n"],
    v: Float[np.ndarray, "*n"],
    *,
    wraps: bool = False,
) -> Float32[np.ndarray, "*n c"]:
    """Sample a field (h, w) or (h, w, c) between its pixels, bilinearly.

    Beyond an edge the field continues with the values at the edge. If it ``wraps``, its left edge
    follows its right one.
    """
    height, width = field.shape[:2]
    left, top = np.floor(u).astype(np.int64), np.floor(v).astype(np.int64)
    right_weight = (u - left).astype(np.float32)[..., None]
    lower_weight = (v - top).astype(np.float32)[..., None]

    if wraps:
        left_column, right_column = left % width, (left + 1) % width
    else:
        left_column, right_column = left.clip(0, width - 1), (left + 1).clip(0, width - 1)
    upper_row, lower_row = top.clip(0, height - 1), (top + 1).clip(0, height - 1)

    flat_field = field.reshape(height * width, -1)

    def interpolate_row(row: Int[np.ndarray, "*n"]) -> Float32[np.ndarray, "*n c"]:
        left_value = flat_field[row * width + left_column]
        right_value = flat_field[row * width + right_column]
        return left_value * (1 - right_weight) + right_value * right_weight

    upper, lower = interpolate_row(upper_row), interpolate_row(lower_row)
    return (upper * (1 - lower_weight) + lower * lower_weight).astype(np.float32)
