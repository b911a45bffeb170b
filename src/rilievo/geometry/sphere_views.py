"""Perspective views of a wide picture."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from rilievo.arrays.shapes import (
    Field,
    Float,
    Float32,
    Float64,
    Mask,
    Matrix,
    Pixels,
    UInt8,
    Vector,
)
from rilievo.geometry.cameras.equirectangular import Equirectangular
from rilievo.geometry.cameras.lens import Lens, inside_picture
from rilievo.geometry.intrinsics import pinhole_K

NARROW = 50.0
"""Angle to the axis [degrees] that one view shows."""

_HALF = 45.0
"""Half the field of view of a polyhedron's faces [degrees]."""

_LEAST_SEEN = 0.3
"""Least share of a view that the picture fills, unless needed."""

_PROBES = 24


def fill_unknown(field: Float32[np.ndarray, "h w c"], mask: Mask) -> Float32[np.ndarray, "h w c"]:
    """Fill unknown pixels by means of near known ones."""
    if not mask.any():
        return np.zeros_like(field)
    channels = [*np.moveaxis(np.where(mask[..., None], field, 0), 2, 0)]
    weight = mask.astype(np.float32)
    return np.stack(_fill_gaps([*channels, weight])[:-1], axis=2)


def _fill_gaps(layers: list[np.ndarray]) -> list[np.ndarray]:
    """Value layers without gaps; the last layer is their weight."""
    *values, weight = layers
    height, width = weight.shape
    if min(height, width) == 1 or weight.min() >= 1:
        total = max(float(weight.sum()), 1e-6)
        whole = weight.min() >= 1
        means = [layer if whole else np.full_like(layer, layer.sum() / total) for layer in values]
        return [*means, np.ones_like(weight)]
    half = ((width + 1) // 2, (height + 1) // 2)
    small = [_resize_field(layer, half, Image.Resampling.BOX) for layer in layers]
    gained = np.minimum(4 * small[-1], 1) / np.maximum(small[-1], 1e-9)
    coarse = _fill_gaps([layer * gained for layer in small])
    fine = [
        _resize_field(layer, (width, height), Image.Resampling.BILINEAR) for layer in coarse[:-1]
    ]
    own = [layer + (1 - weight) * below for layer, below in zip(values, fine, strict=True)]
    return [*own, np.ones_like(weight)]


def _resize_field(field: np.ndarray, size: tuple[int, int], how: Image.Resampling) -> Field:
    return np.asarray(Image.fromarray(np.asarray(field, np.float32)).resize(size, how))


@dataclass(frozen=True, slots=True, kw_only=True)
class SphereView:
    """Square pinhole view, centred.

    Attributes:
        turn: Rotation from its frame to the picture's.
        tangent: Tangent of half its field of view.
    """

    turn: Matrix
    tangent: float

    def K(self, side: int) -> Matrix:
        """Intrinsics of this view [px]."""
        focal, centre = side / (2 * self.tangent), (side - 1) / 2
        return pinhole_K(focal, focal, centre, centre)

    def rays(self, rows: int, columns: int) -> Float64[np.ndarray, "3 h w"]:
        """Rays with z = 1, in its own frame."""
        x = (2 * (np.arange(columns) + 0.5) / columns - 1) * self.tangent
        y = (2 * (np.arange(rows) + 0.5) / rows - 1) * self.tangent
        return np.stack(np.broadcast_arrays(x[None, :], y[:, None], 1.0))


def covering_views(lens: Lens, shape: tuple[int, int]) -> list[SphereView]:
    """Views that together see all of a picture."""
    directions = _sample_directions(lens, shape)
    middle = directions.mean(axis=1)
    if np.linalg.norm(middle) > 0.5:
        turn = _rotation_towards(middle / np.linalg.norm(middle))
        x, y, z = turn.T @ directions
        cosine = z.min()
        if cosine > math.cos(math.radians(NARROW)):
            return [
                SphereView(turn=turn, tangent=float(max(np.abs(x / z).max(), np.abs(y / z).max())))
            ]
    upright = isinstance(lens, Equirectangular)
    return _choose_views(icosahedron_views(upright=upright), lens, shape, directions)


def icosahedron_views(*, upright: bool) -> list[SphereView]:
    """Twelve views of 90 degrees: two up and down if ``upright``, else ahead and behind."""
    level = math.atan(0.5)
    ring = [
        (math.radians(36 * (2 * k + odd)), -level if odd else level)
        for odd in (0, 1)
        for k in range(5)
    ]
    places = [(0.0, math.pi / 2), *ring, (0.0, -math.pi / 2)]
    views = []
    for longitude, latitude in places:
        x, y, z = (
            math.cos(latitude) * math.sin(longitude),
            math.sin(latitude),
            math.cos(latitude) * math.cos(longitude),
        )
        towards = np.array([x, y, z] if upright else [x, z, y])
        views.append(
            SphereView(turn=_rotation_towards(towards), tangent=math.tan(math.radians(_HALF)))
        )
    return views


def cube_views(degrees: float = 110.0) -> list[SphereView]:
    """Six views through a cube's faces, ``degrees`` wide."""
    tangent = math.tan(math.radians(degrees / 2))
    towards = np.concatenate([np.eye(3), -np.eye(3)])
    return [SphereView(turn=_rotation_towards(axis), tangent=tangent) for axis in towards]


def _rotation_towards(towards: Vector) -> Matrix:
    down = np.array([0.0, 1.0, 0.0])
    if abs(towards[1]) > 0.999:
        down = np.array([0.0, 0.0, -np.sign(towards[1])])
    right = np.cross(down, towards)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(towards, right), towards], axis=1)


def _sample_directions(lens: Lens, shape: tuple[int, int]) -> Float64[np.ndarray, "3 n"]:
    """Unit rays over a picture."""
    height, width = shape
    v = np.linspace(-0.5, height - 0.5, 2 * _PROBES + 1)
    u = np.linspace(-0.5, width - 0.5, 4 * _PROBES + 1)
    rays = lens.rays(np.stack(np.meshgrid(u, v)).reshape(2, -1))
    rays = rays[:, np.isfinite(rays).all(axis=0)]
    return rays / np.linalg.norm(rays, axis=0)


def _choose_views(
    views: Sequence[SphereView],
    lens: Lens,
    shape: tuple[int, int],
    directions: Float64[np.ndarray, "3 n"],
) -> list[SphereView]:
    """Views mostly filled or with directions that no other has."""
    shares = [
        float(rays_in_picture(lens, shape, view.turn, view.rays(24, 24)).mean()) for view in views
    ]
    order = sorted(range(len(views)), key=lambda index: -shares[index])
    indices, covered = [], np.zeros(directions.shape[1], bool)
    for index in order:
        x, y, z = views[index].turn.T @ directions
        inside = (z > 0) & (np.maximum(np.abs(x), np.abs(y)) < 0.97 * views[index].tangent * z)
        if shares[index] >= _LEAST_SEEN or (inside & ~covered).any():
            indices.append(index)
            covered |= inside
    return [views[index] for index in sorted(indices)]


def rays_in_picture(
    lens: Lens,
    shape: tuple[int, int],
    turn: Matrix,
    rays: Float64[np.ndarray, "3 h w"],
) -> Mask:
    """Whether a picture shows rays, turned into its frame."""
    u, v = lens.project(np.tensordot(turn, rays, 1))
    return inside_picture(u, v, shape)


class SpherePicture:
    """Wide picture, at the resolution that views need."""

    def __init__(self, pixels: Pixels, lens: Lens, *, pixels_a_radian: float) -> None:
        height, width, _ = pixels.shape
        factor = max(1, int(lens.focal / pixels_a_radian))
        if factor > 1:
            small = (max(1, width // factor), max(1, height // factor))
            image = Image.fromarray(pixels).resize(small, Image.Resampling.BOX)
            pixels = np.asarray(image)
            lens = lens.resized(size=(height, width), new_size=(small[1], small[0]))
        self._lens, self._pixels = lens, pixels
        self._wraps = isinstance(lens, Equirectangular) and lens.goes_round(pixels.shape[1])

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width as sampled."""
        height, width, _ = self._pixels.shape
        return height, width

    def render_view(self, view: SphereView, side: int) -> UInt8[np.ndarray, "s s 3"]:
        """Pixels that a view sees, filled smoothly elsewhere."""
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
    """Sample a field bilinearly; edges continue, or meet if it ``wraps``."""
    height, width = field.shape[:2]
    left, top = np.floor(u), np.floor(v)
    a, b = (u - left).astype(np.float32)[..., None], (v - top).astype(np.float32)[..., None]
    x, y = left.astype(np.int64), top.astype(np.int64)
    columns = [x % width, (x + 1) % width] if wraps else [
        x.clip(0, width - 1), (x + 1).clip(0, width - 1)
    ]  # fmt: skip
    rows = [y.clip(0, height - 1) * width, (y + 1).clip(0, height - 1) * width]
    flat = field.reshape(height * width, -1)
    upper = flat[rows[0] + columns[0]] * (1 - a) + flat[rows[0] + columns[1]] * a
    lower = flat[rows[1] + columns[0]] * (1 - a) + flat[rows[1] + columns[1]] * a
    return (upper * (1 - b) + lower * b).astype(np.float32)
