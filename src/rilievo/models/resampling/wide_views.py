"""Answers to wide photographs, from pinhole views, which models know.

One factor a view makes them agree, then they are averaged (``geometry.sphere_scales``).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from rilievo.depth_map import DepthKind
from rilievo.errors import InputError
from rilievo.frozen import frozen
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.cameras.equirectangular import panorama
from rilievo.geometry.cameras.lens import Lens
from rilievo.geometry.sphere_scales import (
    Layers,
    ScalePlaces,
    merge_layers,
    normalise_spans,
    row_latitudes,
    shifted_log_depth,
    solve_corrections,
    solve_shifts,
)
from rilievo.geometry.sphere_views import (
    SpherePicture,
    SphereView,
    covering_views,
    fill_unknown,
    sample_bilinear,
)
from rilievo.models.resampling.inference import Inference, Resizing
from rilievo.models.resampling.preparation import limit_depth
from rilievo.sample import Photo
from rilievo.shapes import Float32, Float64, Mask, Vectors

# Largest side of a view [px].
_SIDE = 512
_LEAST_SIDE = 96
_TOGETHER = 2
_MOST_ROWS, _LEAST_ROWS = 640, 64
_DETAILED_SIDE, _DETAILED_ROWS = 2048, 1280
# Rows of the grid of comparison.
_COARSE_ROWS = 128
# Share of valid pixels of a place that counts.
_SEEN = 0.5
_FAR = 1e-6
_LEAST_TRUST = 0.05


def through_views(
    photos: Sequence[Photo],
    kind: DepthKind | None,
    infer: Callable[[Sequence[Photo]], list[Inference]],
    rule: Resizing,
    *,
    detailed: bool = False,
) -> list[Inference]:
    """Run a network, on pinhole views of wide photographs."""
    plain = [photo for photo in photos if not photo.is_wide]
    narrow = iter(infer(plain) if plain else [])
    return [
        _infer_wide(photo, kind, infer, rule, detailed=detailed) if photo.is_wide else next(narrow)
        for photo in photos
    ]


def _infer_wide(
    photo: Photo,
    kind: DepthKind | None,
    infer: Callable[[Sequence[Photo]], list[Inference]],
    rule: Resizing,
    *,
    detailed: bool,
) -> Inference:
    assert photo.camera is not None, "a wide photograph has a lens"
    lens = photo.camera.lens
    views = covering_views(lens, photo.shape)
    tangent = max(view.tangent for view in views)
    most = _DETAILED_SIDE if detailed else _SIDE
    side = int(np.clip(math.ceil(2 * tangent * lens.focal), _LEAST_SIDE, most))
    picture = SpherePicture(photo.pixels, lens, pixels_a_radian=side / (2 * tangent))
    answers: list[Inference] = []
    for first in range(0, len(views), _TOGETHER):
        shown = [
            Photo(
                pixels=picture.render_view(view, side),
                camera=Camera(K=view.K(side)),
                name=photo.name,
            )
            for view in views[first : first + _TOGETHER]
        ]
        answers += infer(shown)
    if rule.farthest:
        answers = [
            answer
            if answer.depth is None
            else replace(answer, depth=limit_depth(answer.depth, rule))
            for answer in answers
        ]
    rows = _DETAILED_ROWS if detailed else _MOST_ROWS
    return _merge_views(answers, views, kind, lens, photo.shape, rows)


def _merge_views(
    answers: Sequence[Inference],
    views: Sequence[SphereView],
    kind: DepthKind | None,
    lens: Lens,
    shape: tuple[int, int],
    most_rows: int,
) -> Inference:
    first = answers[0].normals if answers[0].depth is None else answers[0].depth
    assert first is not None, "a model gives depth or normals"
    a_radian = first.shape[-2] / (2 * max(view.tangent for view in views))
    share = min(1.0, a_radian / lens.focal)
    size = max(1, round(shape[0] * share)), max(1, round(shape[1] * share))
    small = lens.resized(size=shape, new_size=size)
    v, u = np.mgrid[: size[0], : size[1]].astype(np.float64)
    rays = small.rays(np.stack([u, v]))
    length = np.linalg.norm(rays, axis=0)
    has_ray = np.isfinite(length)
    directions = np.where(has_ray, rays / length, np.array([0, 0, 1.0])[:, None, None])
    depth, valid = None, has_ray
    if answers[0].depth is not None and kind is not None:
        if len(views) == 1:
            logs, mask = _single_log_distances(answers[0], views[0], kind, directions)
        else:
            height = 2 * (int(np.clip(math.pi * a_radian, _LEAST_ROWS, most_rows)) // 2)
            logs, mask = _merged_log_distances(answers, views, kind, directions, height)
        valid = has_ray & mask
        depth = _depth_from_log_distance(logs, np.where(has_ray, length, 1), kind).astype(
            np.float32
        )
    normals = _blend_normals(answers, views, directions)
    chances = {}
    for name in ("confidence", "sky"):
        chance = _weighted_means([getattr(answer, name) for answer in answers], views, directions)
        chances[name] = None if chance is None else chance[..., 0].clip(0, 1)
    return replace(
        answers[0],
        depth=depth,
        valid=None if valid.all() else valid,
        normals=normals,
        **chances,
        camera=None,
        shift=0.0,
    )


def _depth_from_log_distance(
    logs: Float64[np.ndarray, "h w"], length: Float64[np.ndarray, "h w"], kind: DepthKind
) -> Float64[np.ndarray, "h w"]:
    depth = np.exp(logs) / length
    return 1 / depth if kind is DepthKind.AFFINE_INVERSE else depth


@frozen
class _ViewPixels:
    inside: Mask
    weight: Float32[np.ndarray, "n"]
    u: Float32[np.ndarray, "n"]
    v: Float32[np.ndarray, "n"]
    cosine: Float32[np.ndarray, "n"]

    def sample(self, field: Float32[np.ndarray, "a b c"]) -> Float32[np.ndarray, "n c"]:
        rows, columns = field.shape[:2]
        return sample_bilinear(
            field, (self.u + 1) * (columns / 2) - 0.5, (self.v + 1) * (rows / 2) - 0.5
        )


def _view_pixels(view: SphereView, directions: Float64[np.ndarray, "3 h w"]) -> _ViewPixels:
    x, y, z = np.tensordot(view.turn.T, directions, 1)
    limit = view.tangent * 1.0005
    inside = (z > 0) & (np.abs(x) <= limit * z) & (np.abs(y) <= limit * z)
    x, y, z = x[inside], y[inside], z[inside]
    across, down = x / (z * view.tangent), y / (z * view.tangent)
    edge = np.maximum(np.abs(across), np.abs(down))
    return _ViewPixels(
        inside=inside,
        weight=np.maximum(1 - edge, 1e-3).astype(np.float32),
        u=across.astype(np.float32),
        v=down.astype(np.float32),
        cosine=z.astype(np.float32),
    )


@frozen
class ViewMap:
    """Logarithm of z, or affine values, of a view; ``trust`` weighs comparisons."""

    values: Float32[np.ndarray, "a b"]
    valid: Float32[np.ndarray, "a b"]
    trust: Float32[np.ndarray, "c d"] | None = None


def smooth_view_map(answer: Inference, kind: DepthKind) -> ViewMap:
    """Map of an answer, invalid pixels filled smoothly."""
    values = np.asarray(answer.depth, np.float32)
    valid = np.ones(values.shape, bool) if answer.valid is None else np.asarray(answer.valid)
    if not valid.any():
        raise InputError("a model gives no depth in one of the views of this picture")
    if kind.is_depth:
        values = np.log(np.where(valid, values, 1))
    if not valid.all():
        values = fill_unknown(values[..., None], valid)[..., 0]
    trust = None if answer.sky is None else np.maximum(1 - answer.sky, _LEAST_TRUST)
    return ViewMap(values=values, valid=valid.astype(np.float32), trust=trust)


def _single_log_distances(
    answer: Inference, view: SphereView, kind: DepthKind, directions: Float64[np.ndarray, "3 h w"]
) -> tuple[Float64[np.ndarray, "h w"], Mask]:
    part = _view_pixels(view, directions)
    own = smooth_view_map(answer, kind)
    logs, mask = np.zeros(part.inside.shape), np.zeros(part.inside.shape, bool)
    numbers = part.sample(own.values[..., None])[:, 0].astype(np.float64)
    if not kind.is_depth:
        # Affine values of one view stay as they are: their kind is that of depth along the axis.
        least = _FAR * max(float(np.abs(numbers).max()), _FAR)
        numbers = np.log(np.maximum(numbers - min(numbers.min(), 0.0), least))
        numbers = -numbers if kind is DepthKind.AFFINE_INVERSE else numbers
    logs[part.inside] = numbers - np.log(part.cosine)
    mask[part.inside] = part.sample(own.valid[..., None])[:, 0] > _SEEN
    return logs, mask


def _merged_log_distances(
    answers: Sequence[Inference],
    views: Sequence[SphereView],
    kind: DepthKind,
    directions: Float64[np.ndarray, "3 h w"],
    height: int,
) -> tuple[Float64[np.ndarray, "h w"], Mask]:
    maps = align_views(answers, views, kind)
    layers = draw_layers(maps, views, height)
    field = merge_layers(layers)
    u, v = panorama((height, 2 * height)).project(directions)
    logs = sample_bilinear(field, u, v, wraps=True)[..., 0].astype(np.float64)
    mask = sample_bilinear(layers.known.astype(np.float32), u, v, wraps=True)[..., 0] > _SEEN
    return logs, mask


def align_views(
    answers: Sequence[Inference], views: Sequence[SphereView], kind: DepthKind
) -> list[ViewMap]:
    """Log z of views, scaled to agree."""
    maps = [smooth_view_map(answer, kind) for answer in answers]
    places = scale_places(views, _COARSE_ROWS)
    if not kind.is_depth:
        maps = _shift_affine_maps(maps, views, places, inverse=kind is DepthKind.AFFINE_INVERSE)
    layers = draw_layers(maps, views, _COARSE_ROWS, compares=True)
    solution = solve_corrections(layers, places)
    return [
        replace(view_map, values=solution.correct_log_z(n, view_map.values))
        for n, view_map in enumerate(maps)
    ]


def _shift_affine_maps(
    maps: Sequence[ViewMap], views: Sequence[SphereView], places: ScalePlaces, *, inverse: bool
) -> list[ViewMap]:
    values = normalise_spans([view_map.values for view_map in maps])
    maps = [replace(view_map, values=own) for view_map, own in zip(maps, values, strict=True)]
    layers = draw_layers(maps, views, _COARSE_ROWS, compares=True)
    shifts = solve_shifts(layers, places, inverse=inverse)
    return [
        replace(view_map, values=shifted_log_depth(view_map.values, float(shift), inverse=inverse))
        for view_map, shift in zip(maps, shifts, strict=True)
    ]


def draw_layers(
    maps: Sequence[ViewMap], views: Sequence[SphereView], height: int, *, compares: bool = False
) -> Layers:
    """Draw views on an equirectangular grid, as log distance."""
    whole = _grid_directions(height)
    values, weights = (np.zeros((len(views), *whole.shape[1:]), np.float32) for _ in range(2))
    for number, (own, view) in enumerate(zip(maps, views, strict=True)):
        part = _view_pixels(view, whole)
        values[number][part.inside] = part.sample(own.values[..., None])[:, 0] - np.log(part.cosine)
        mask = part.sample(own.valid[..., None])[:, 0] > _SEEN
        weight = part.weight * mask
        if own.trust is not None and compares:
            weight = weight * part.sample(own.trust[..., None])[:, 0] ** 2
        weights[number][part.inside] = weight
    return Layers(values=values, weights=weights, area=np.cos(row_latitudes(height)))


def scale_places(views: Sequence[SphereView], height: int) -> ScalePlaces:
    """Places of a grid's directions in each view."""
    whole = _grid_directions(height)
    across, down, lengths = (np.zeros((len(views), *whole.shape[1:]), np.float32) for _ in range(3))
    for number, view in enumerate(views):
        part = _view_pixels(view, whole)
        across[number][part.inside], down[number][part.inside] = part.u, part.v
        lengths[number][part.inside] = -np.log(part.cosine)
    return ScalePlaces(across=across, down=down, lengths=lengths)


def _grid_directions(height: int) -> Float64[np.ndarray, "3 h w"]:
    v, u = np.mgrid[:height, : 2 * height].astype(np.float64)
    return panorama((height, 2 * height)).rays(np.stack([u, v]))


def _blend_normals(
    answers: Sequence[Inference],
    views: Sequence[SphereView],
    directions: Float64[np.ndarray, "3 h w"],
) -> Vectors | None:
    turned = [
        None if answer.normals is None else np.tensordot(view.turn, answer.normals, 1)
        for answer, view in zip(answers, views, strict=True)
    ]
    vectors = _weighted_means(turned, views, directions)
    return None if vectors is None else np.moveaxis(vectors, 2, 0)


def _weighted_means(
    fields: Sequence[np.ndarray | None],
    views: Sequence[SphereView],
    directions: Float64[np.ndarray, "3 h w"],
) -> Float32[np.ndarray, "h w c"] | None:
    arrays = [
        None if field is None else np.moveaxis(np.atleast_3d(field.T).T, 0, 2) for field in fields
    ]
    first = arrays[0]
    if first is None:
        return None
    total = np.zeros((*directions.shape[1:], first.shape[2]), np.float32)
    weights = np.full(directions.shape[1:], 1e-9, np.float32)
    for field, view in zip(arrays, views, strict=True):
        assert field is not None, "a model gives a part of all or of none"
        part = _view_pixels(view, directions)
        total[part.inside] += part.weight[:, None] * part.sample(field.astype(np.float32))
        weights[part.inside] += part.weight
    return total / weights[..., None]
