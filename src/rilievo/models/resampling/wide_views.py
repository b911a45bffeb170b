"""Inference on wide photographs (fisheyes, panoramas) by models of pinhole photographs.

1. Square pinhole views are rendered that together cover the photograph, and a network answers each.
2. A network gives each view its own scale. ``geometry.sphere_scales`` finds corrections by which
   overlapping views agree.
3. The corrected views are blended, with weights that fall to zero at their edges.

Depth of views (z along their own axes) is merged as log distance along the ray, which does not
depend on the view. Directions are unit vectors in the photograph's camera frame, (3, h, w).
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rilievo.arrays.shapes import Float32, Float64, Mask, Vectors
from rilievo.errors import InputError
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
from rilievo.models.resampling.resizing import limit_depth
from rilievo.records.depth_map import DepthKind
from rilievo.records.sample import Photo

_MIN_VIEW_SIDE = 96
_MAX_VIEW_SIDE, _MAX_DETAILED_SIDE = 512, 2048
"""Limits of the side of a view [px]."""
_VIEWS_PER_BATCH = 2
_MIN_MERGE_ROWS = 64
_MAX_MERGE_ROWS, _MAX_DETAILED_MERGE_ROWS = 640, 1280
"""Limits of the rows of the panorama on which views are blended."""
_COMPARISON_ROWS = 128
"""Rows of the panorama on which the scales of views are compared."""

_MIN_VALID = 0.5
"""Interpolated validity above which a sample is valid."""
_VIEW_MARGIN = 1.0005
"""Factor of the half width of a view, so that rounding loses no direction on its edge."""
_MIN_BLEND_WEIGHT = 1e-3
"""Weight at the very edge of a view, which keeps directions that no other view sees."""
_MIN_RELATIVE_DEPTH = 1e-6
"""Least affine value that has a logarithm, over the largest."""
_MIN_TRUST = 0.05
"""Trust in depth where a network is sure to see sky."""

Infer = Callable[[Sequence[Photo]], list[Inference]]
"""Function that runs a network on pinhole photographs."""


def infer_through_views(
    photos: Sequence[Photo],
    kind: DepthKind | None,
    infer: Infer,
    rule: Resizing,
    *,
    detailed: bool = False,
) -> list[Inference]:
    """Run a network on photographs, and on pinhole views of those that are wide.

    Args:
        photos: Photographs; wide ones have a camera.
        kind: Kind of the network's depth; None if it gives none.
        infer: Function that runs the network on pinhole photographs.
        rule: Limits of the network's depth.
        detailed: Whether views are as detailed as the photograph, for networks that run on tiles.

    Raises:
        InputError: If a view has no depth, or no two views overlap.
    """
    pinhole_photos = [photo for photo in photos if not photo.is_wide]
    answers = iter(infer(pinhole_photos) if pinhole_photos else [])
    return [
        _infer_wide(photo, kind, infer, rule, detailed=detailed) if photo.is_wide else next(answers)
        for photo in photos
    ]


def _infer_wide(
    photo: Photo, kind: DepthKind | None, infer: Infer, rule: Resizing, *, detailed: bool
) -> Inference:
    assert photo.camera is not None, "a wide photograph has a lens"
    lens = photo.camera.lens
    views = covering_views(lens, photo.shape)

    answers: list[Inference] = []
    for batch in _rendered_batches(photo, lens, views, detailed=detailed):
        answers += infer(batch)
    if rule.farthest:
        answers = [_with_limited_depth(answer, rule) for answer in answers]

    max_rows = _MAX_DETAILED_MERGE_ROWS if detailed else _MAX_MERGE_ROWS
    return _merge_answers(answers, views, kind, lens, photo.shape, max_rows)


def _rendered_batches(
    photo: Photo, lens: Lens, views: Sequence[SphereView], *, detailed: bool
) -> Iterator[list[Photo]]:
    """Render views at the photograph's resolution, within limits, a batch at a time."""
    tangent = _widest_tangent(views)
    max_side = _MAX_DETAILED_SIDE if detailed else _MAX_VIEW_SIDE
    side = int(np.clip(math.ceil(2 * tangent * lens.focal), _MIN_VIEW_SIDE, max_side))
    picture = SpherePicture(photo.pixels, lens, pixels_a_radian=side / (2 * tangent))

    for first in range(0, len(views), _VIEWS_PER_BATCH):
        yield [
            Photo(
                pixels=picture.render_view(view, side),
                camera=Camera(K=view.K(side)),
                name=photo.name,
            )
            for view in views[first : first + _VIEWS_PER_BATCH]
        ]


def _widest_tangent(views: Sequence[SphereView]) -> float:
    return max(view.tangent for view in views)


def _with_limited_depth(answer: Inference, rule: Resizing) -> Inference:
    if answer.depth is None:
        return answer
    return replace(answer, depth=limit_depth(answer.depth, rule))


@dataclass(frozen=True, slots=True, kw_only=True)
class _OutputRays:
    """Rays of the pixels of a merged answer.

    Attributes:
        directions: Unit vectors; (0, 0, 1) outside of the lens.
        lengths: Lengths of the lens's own rays, whose multiple by depth is the point; 1 outside.
        is_inside: Pixels that the lens sees.
    """

    directions: Float64[np.ndarray, "3 h w"]
    lengths: Float64[np.ndarray, "h w"]
    is_inside: Mask


def _merge_answers(
    answers: Sequence[Inference],
    views: Sequence[SphereView],
    kind: DepthKind | None,
    lens: Lens,
    shape: tuple[int, int],
    max_rows: int,
) -> Inference:
    """Blend the answers to views into one for a photograph of ``shape``."""
    pixels_per_radian = _pixels_per_radian(answers[0], views)
    rays = _output_rays(lens, shape, pixels_per_radian)

    depth, valid = None, rays.is_inside
    if answers[0].depth is not None and kind is not None:
        merge_rows = int(np.clip(math.pi * pixels_per_radian, _MIN_MERGE_ROWS, max_rows))
        log_distance, has_depth = _log_distance(answers, views, kind, rays.directions, merge_rows)
        depth = _depth_from_log_distance(log_distance, rays.lengths, kind)
        valid = rays.is_inside & has_depth

    # Nothing of a single view is that of the whole: neither its camera nor what its network saw.
    return Inference(
        depth=depth,
        valid=None if valid.all() else valid,
        normals=_blend_normals(answers, views, rays.directions),
        confidence=_blend_chance([answer.confidence for answer in answers], views, rays.directions),
        sky=_blend_chance([answer.sky for answer in answers], views, rays.directions),
    )


def _pixels_per_radian(answer: Inference, views: Sequence[SphereView]) -> float:
    """Resolution of an answer at the middle of its view."""
    field = answer.normals if answer.depth is None else answer.depth
    assert field is not None, "a model gives depth or normals"
    rows = field.shape[-2]
    return rows / (2 * _widest_tangent(views))


def _output_rays(lens: Lens, shape: tuple[int, int], pixels_per_radian: float) -> _OutputRays:
    """Rays of a photograph, shrunk to the resolution of the answers; never enlarged."""
    factor = min(1.0, pixels_per_radian / lens.focal)
    height, width = max(1, round(shape[0] * factor)), max(1, round(shape[1] * factor))
    output_lens = lens.resized(size=shape, new_size=(height, width))

    v, u = np.mgrid[:height, :width].astype(np.float64)
    rays = output_lens.rays(np.stack([u, v]))
    lengths = np.linalg.norm(rays, axis=0)
    is_inside = np.isfinite(lengths)
    ahead = np.array([0, 0, 1.0])[:, None, None]
    return _OutputRays(
        directions=np.where(is_inside, rays / lengths, ahead),
        lengths=np.where(is_inside, lengths, 1),
        is_inside=is_inside,
    )


def _log_distance(
    answers: Sequence[Inference],
    views: Sequence[SphereView],
    kind: DepthKind,
    directions: Float64[np.ndarray, "3 h w"],
    merge_rows: int,
) -> tuple[Float64[np.ndarray, "h w"], Mask]:
    """Log distance along directions, and whether it is known."""
    if len(views) == 1:
        return _log_distance_of_view(answers[0], views[0], kind, directions)

    height = 2 * (merge_rows // 2)
    layers = draw_layers(align_views(answers, views, kind), views, height)
    u, v = panorama((height, 2 * height)).project(directions)
    log_distance = sample_bilinear(merge_layers(layers), u, v, wraps=True)[..., 0]
    known = sample_bilinear(layers.known.astype(np.float32), u, v, wraps=True)[..., 0]
    return log_distance.astype(np.float64), known > _MIN_VALID


def _log_distance_of_view(
    answer: Inference, view: SphereView, kind: DepthKind, directions: Float64[np.ndarray, "3 h w"]
) -> tuple[Float64[np.ndarray, "h w"], Mask]:
    projection = _project(view, directions)
    view_map = smooth_view_map(answer, kind)
    values = projection.sample_channel(view_map.values).astype(np.float64)
    log_z = values if kind.is_depth else _log_of_affine(values, kind)

    log_distance = np.zeros(directions.shape[1:])
    log_distance[projection.is_visible] = log_z - np.log(projection.cosine)
    is_known = np.zeros(directions.shape[1:], bool)
    is_known[projection.is_visible] = projection.sample_channel(view_map.valid) > _MIN_VALID
    return log_distance, is_known


def _log_of_affine(values: Float64[np.ndarray, "n"], kind: DepthKind) -> Float64[np.ndarray, "n"]:
    """Log z of affine values, moved above zero only where some are negative.

    The shift of a single view may stay unknown, as in the affine depth of a pinhole photograph.
    """
    least = _MIN_RELATIVE_DEPTH * max(float(np.abs(values).max()), _MIN_RELATIVE_DEPTH)
    logs = np.log(np.maximum(values - min(values.min(), 0.0), least))
    return -logs if kind is DepthKind.AFFINE_INVERSE else logs


def _depth_from_log_distance(
    log_distance: Float64[np.ndarray, "h w"], lengths: Float64[np.ndarray, "h w"], kind: DepthKind
) -> Float32[np.ndarray, "h w"]:
    depth = np.exp(log_distance) / lengths
    values = 1 / depth if kind is DepthKind.AFFINE_INVERSE else depth
    return values.astype(np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Projection:
    """Positions in one view of the directions of a grid.

    The view shows only some of the directions, those of the mask ``is_visible``. The other arrays
    have one entry for each of these, in the order of the mask.

    Attributes:
        is_visible: Mask of the grid: directions that the view shows.
        weight: Weight of the view in blending, 1 in its middle and nearly 0 at its edges.
        u: Column in the view, from -1 at the left edge to 1 at the right edge.
        v: Row in the view, from -1 at the upper edge to 1 at the lower edge.
        cosine: Cosine of the angle to the view's axis, which is z / distance.
    """

    is_visible: Mask
    weight: Float32[np.ndarray, "n"]
    u: Float32[np.ndarray, "n"]
    v: Float32[np.ndarray, "n"]
    cosine: Float32[np.ndarray, "n"]

    def sample(self, field: Float32[np.ndarray, "a b c"]) -> Float32[np.ndarray, "n c"]:
        """Values of a field of the view in its visible directions, bilinearly."""
        rows, columns = field.shape[:2]
        x = (self.u + 1) * (columns / 2) - 0.5
        y = (self.v + 1) * (rows / 2) - 0.5
        return sample_bilinear(field, x, y)

    def sample_channel(self, channel: Float32[np.ndarray, "a b"]) -> Float32[np.ndarray, "n"]:
        """Values of a field of one channel, likewise."""
        return self.sample(channel[..., None])[:, 0]


def _project(view: SphereView, directions: Float64[np.ndarray, "3 h w"]) -> _Projection:
    x, y, z = np.tensordot(view.turn.T, directions, 1)
    limit = view.tangent * _VIEW_MARGIN
    is_visible = (z > 0) & (np.abs(x) <= limit * z) & (np.abs(y) <= limit * z)

    x, y, z = x[is_visible], y[is_visible], z[is_visible]
    u, v = x / (z * view.tangent), y / (z * view.tangent)
    distance_to_edge = 1 - np.maximum(np.abs(u), np.abs(v))
    return _Projection(
        is_visible=is_visible,
        weight=np.maximum(distance_to_edge, _MIN_BLEND_WEIGHT).astype(np.float32),
        u=u.astype(np.float32),
        v=v.astype(np.float32),
        cosine=z.astype(np.float32),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewMap:
    """Depth of one view, without gaps.

    Attributes:
        values: Log z, or affine values before they are aligned.
        valid: 1 where the network gave depth, else 0.
        trust: Weight in comparisons with other views, low in the sky; None for 1.
    """

    values: Float32[np.ndarray, "a b"]
    valid: Float32[np.ndarray, "a b"]
    trust: Float32[np.ndarray, "c d"] | None = None


def smooth_view_map(answer: Inference, kind: DepthKind) -> ViewMap:
    """Make the map of a view's answer, in which pixels without depth are filled smoothly.

    Raises:
        InputError: If no pixel has depth.
    """
    values = np.asarray(answer.depth, np.float32)
    valid = np.ones(values.shape, bool) if answer.valid is None else np.asarray(answer.valid)
    if not valid.any():
        raise InputError("a model gives no depth in one of the views of this picture")

    if kind.is_depth:
        values = np.log(np.where(valid, values, 1))
    if not valid.all():
        values = fill_unknown(values[..., None], valid)[..., 0]
    trust = None if answer.sky is None else np.maximum(1 - answer.sky, _MIN_TRUST)
    return ViewMap(values=values, valid=valid.astype(np.float32), trust=trust)


def align_views(
    answers: Sequence[Inference], views: Sequence[SphereView], kind: DepthKind
) -> list[ViewMap]:
    """Maps of log z of all views, corrected so that they agree where they overlap.

    Raises:
        InputError: If a view has no depth, or no two of several views overlap.
    """
    maps = [smooth_view_map(answer, kind) for answer in answers]
    places = scale_places(views, _COMPARISON_ROWS)
    if not kind.is_depth:
        is_inverse = kind is DepthKind.AFFINE_INVERSE
        maps = _log_z_of_affine_maps(maps, views, places, is_inverse=is_inverse)

    layers = draw_layers(maps, views, _COMPARISON_ROWS, for_comparison=True)
    corrections = solve_corrections(layers, places)
    return [
        replace(view_map, values=corrections.correct_log_z(index, view_map.values))
        for index, view_map in enumerate(maps)
    ]


def _log_z_of_affine_maps(
    maps: Sequence[ViewMap], views: Sequence[SphereView], places: ScalePlaces, *, is_inverse: bool
) -> list[ViewMap]:
    """Maps of log z, by the shifts of affine values at which views agree best."""
    spans = normalise_spans([view_map.values for view_map in maps])
    maps = [replace(view_map, values=span) for view_map, span in zip(maps, spans, strict=True)]
    layers = draw_layers(maps, views, _COMPARISON_ROWS, for_comparison=True)
    shifts = solve_shifts(layers, places, inverse=is_inverse).tolist()
    return [
        replace(view_map, values=shifted_log_depth(view_map.values, shift, inverse=is_inverse))
        for view_map, shift in zip(maps, shifts, strict=True)
    ]


def draw_layers(
    maps: Sequence[ViewMap],
    views: Sequence[SphereView],
    height: int,
    *,
    for_comparison: bool = False,
) -> Layers:
    """Draw views on an equirectangular grid of ``height`` rows, as log distance.

    The weights are those of blending. With ``for_comparison`` they are those of comparing views,
    which are low in the sky.
    """
    directions = _grid_directions(height)
    shape = (len(views), *directions.shape[1:])
    values, weights = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for index, (view_map, view) in enumerate(zip(maps, views, strict=True)):
        projection = _project(view, directions)
        log_z = projection.sample_channel(view_map.values)
        values[index][projection.is_visible] = log_z - np.log(projection.cosine)

        is_valid = projection.sample_channel(view_map.valid) > _MIN_VALID
        weight = projection.weight * is_valid
        if view_map.trust is not None and for_comparison:
            weight = weight * projection.sample_channel(view_map.trust) ** 2
        weights[index][projection.is_visible] = weight
    return Layers(values=values, weights=weights, area=np.cos(row_latitudes(height)))


def scale_places(views: Sequence[SphereView], height: int) -> ScalePlaces:
    """Positions in each view of the directions of an equirectangular grid of ``height`` rows."""
    directions = _grid_directions(height)
    shape = (len(views), *directions.shape[1:])
    across, down, lengths = (np.zeros(shape, np.float32) for _ in range(3))
    for index, view in enumerate(views):
        projection = _project(view, directions)
        across[index][projection.is_visible] = projection.u
        down[index][projection.is_visible] = projection.v
        lengths[index][projection.is_visible] = -np.log(projection.cosine)
    return ScalePlaces(across=across, down=down, lengths=lengths)


def _grid_directions(height: int) -> Float64[np.ndarray, "3 h w"]:
    v, u = np.mgrid[:height, : 2 * height].astype(np.float64)
    return panorama((height, 2 * height)).rays(np.stack([u, v]))


def _blend_normals(
    answers: Sequence[Inference],
    views: Sequence[SphereView],
    directions: Float64[np.ndarray, "3 h w"],
) -> Vectors | None:
    """Normals in the photograph's camera frame, of any length; None if the model gives none."""
    fields = []
    for answer, view in zip(answers, views, strict=True):
        if answer.normals is None:
            return None
        turned = np.tensordot(view.turn, answer.normals, 1)
        fields.append(np.moveaxis(turned, 0, 2))
    return np.moveaxis(_weighted_mean(fields, views, directions), 2, 0)


def _blend_chance(
    chances: Sequence[Float32[np.ndarray, "a b"] | None],
    views: Sequence[SphereView],
    directions: Float64[np.ndarray, "3 h w"],
) -> Float32[np.ndarray, "h w"] | None:
    """Confidence or chance of sky, in 0..1; None if the model gives none."""
    fields = [chance[..., None] for chance in chances if chance is not None]
    if not fields:
        return None
    return _weighted_mean(fields, views, directions)[..., 0].clip(0, 1)


def _weighted_mean(
    fields: Sequence[Float32[np.ndarray, "a b c"]],
    views: Sequence[SphereView],
    directions: Float64[np.ndarray, "3 h w"],
) -> Float32[np.ndarray, "h w c"]:
    """Mean over the views that see each direction; 0 where none does."""
    shape = directions.shape[1:]
    total = np.zeros((*shape, fields[0].shape[2]), np.float32)
    weights = np.full(shape, 1e-9, np.float32)
    for field, view in zip(fields, views, strict=True):
        projection = _project(view, directions)
        values = projection.sample(field.astype(np.float32))
        total[projection.is_visible] += projection.weight[:, None] * values
        weights[projection.is_visible] += projection.weight
    return total / weights[..., None]
