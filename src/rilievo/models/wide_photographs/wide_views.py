"""Inference on wide photographs (fisheyes, panoramas) with networks for pinhole photographs.

1. Square pinhole views that together cover the photograph are rendered, and a network runs on each.
2. The depth of each view has its own scale. ``sphere_scales`` finds corrections with which
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
from rilievo.models.resampling.inference import Inference, Resizing
from rilievo.models.resampling.resizing import limit_depth
from rilievo.models.wide_photographs.sphere_scales import (
    Layers,
    ScalePlaces,
    merge_layers,
    normalise_spans,
    row_latitudes,
    shifted_log_depth,
    solve_corrections,
    solve_shifts,
)
from rilievo.models.wide_photographs.sphere_views import (
    SpherePicture,
    SphereView,
    covering_views,
    fill_unknown,
    sample_bilinear,
)
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
"""Weight of depth in comparisons where a network is sure to see sky."""

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
        kind: Kind of the network's depth; None if it predicts none.
        infer: Function that runs the network on pinhole photographs.
        rule: Limits of the network's depth.
        detailed: Whether views are as detailed as the photograph, for networks that run on tiles.

    Raises:
        InputError: If a view has no depth, or no two views overlap.
    """
    pinhole_photos = [photo for photo in photos if not photo.is_wide]
    pinhole_inferences = iter(infer(pinhole_photos) if pinhole_photos else [])
    inferences = []
    for photo in photos:
        if photo.is_wide:
            inferences.append(_infer_wide(photo, kind, infer, rule, detailed=detailed))
        else:
            inferences.append(next(pinhole_inferences))
    return inferences


def _infer_wide(
    photo: Photo, kind: DepthKind | None, infer: Infer, rule: Resizing, *, detailed: bool
) -> Inference:
    """Render pinhole views of a wide photograph, run the network on them, and merge the outputs."""
    assert photo.camera is not None, "a wide photograph has a lens"
    lens = photo.camera.lens
    views = covering_views(lens, photo.shape)

    inferences: list[Inference] = []
    for batch in _render_batches(photo, lens, views, detailed=detailed):
        inferences += infer(batch)
    if rule.farthest:
        inferences = [_limit_inferred_depth(inference, rule) for inference in inferences]

    max_rows = _MAX_DETAILED_MERGE_ROWS if detailed else _MAX_MERGE_ROWS
    return _merge_inferences(inferences, views, kind, lens, photo.shape, max_rows)


def _render_batches(
    photo: Photo, lens: Lens, views: Sequence[SphereView], *, detailed: bool
) -> Iterator[list[Photo]]:
    """Render views at the photograph's resolution, within limits, a batch at a time."""
    tangent = _widest_tangent(views)
    max_side = _MAX_DETAILED_SIDE if detailed else _MAX_VIEW_SIDE
    # A pinhole view of focal length f is 2 f tangent pixels wide.
    side = int(np.clip(math.ceil(2 * tangent * lens.focal), _MIN_VIEW_SIDE, max_side))
    picture = SpherePicture(photo.pixels, lens, pixels_a_radian=side / (2 * tangent))

    for start in range(0, len(views), _VIEWS_PER_BATCH):
        yield [
            Photo(
                pixels=picture.render_view(view, side),
                camera=Camera(K=view.K(side)),
                name=photo.name,
            )
            for view in views[start : start + _VIEWS_PER_BATCH]
        ]


def _widest_tangent(views: Sequence[SphereView]) -> float:
    """Tangent of half the widest field of view."""
    return max(view.tangent for view in views)


def _limit_inferred_depth(inference: Inference, rule: Resizing) -> Inference:
    if inference.depth is None:
        return inference
    return replace(inference, depth=limit_depth(inference.depth, rule))


@dataclass(frozen=True, slots=True, kw_only=True)
class _OutputRays:
    """Rays of the pixels of a merged inference.

    Attributes:
        directions: Unit vectors; (0, 0, 1) for pixels that the lens does not see.
        lengths: Distance / depth, which is the length of the lens's own ray; 1 for such pixels.
    """

    directions: Float64[np.ndarray, "3 h w"]
    lengths: Float64[np.ndarray, "h w"]
    is_inside: Mask


def _merge_inferences(
    inferences: Sequence[Inference],
    views: Sequence[SphereView],
    kind: DepthKind | None,
    lens: Lens,
    shape: tuple[int, int],
    max_rows: int,
) -> Inference:
    """Blend the inferences of all views into one for a photograph of ``shape``."""
    pixels_per_radian = _pixels_per_radian(inferences[0], views)
    rays = _output_rays(lens, shape, pixels_per_radian)

    depth, valid = None, rays.is_inside
    if inferences[0].depth is not None and kind is not None:
        merge_rows = int(np.clip(math.pi * pixels_per_radian, _MIN_MERGE_ROWS, max_rows))
        log_distance, has_depth = _merge_log_distance(
            inferences, views, kind, rays.directions, merge_rows
        )
        depth = _depth_from_log_distance(log_distance, rays.lengths, kind)
        valid = rays.is_inside & has_depth

    confidences = [inference.confidence for inference in inferences]
    skies = [inference.sky for inference in inferences]
    # The camera and the network's image belong to single views, so the merged inference has none.
    return Inference(
        depth=depth,
        valid=None if valid.all() else valid,
        normals=_blend_normals(inferences, views, rays.directions),
        confidence=_blend_probability(confidences, views, rays.directions),
        sky=_blend_probability(skies, views, rays.directions),
    )


def _pixels_per_radian(inference: Inference, views: Sequence[SphereView]) -> float:
    """Resolution of an inference at the middle of its view."""
    field = inference.normals if inference.depth is None else inference.depth
    assert field is not None, "a model predicts depth or normals"
    rows = field.shape[-2]
    return rows / (2 * _widest_tangent(views))


def _output_rays(lens: Lens, shape: tuple[int, int], pixels_per_radian: float) -> _OutputRays:
    """Rays of a photograph that is shrunk to the resolution of the inferences; never enlarged."""
    factor = min(1.0, pixels_per_radian / lens.focal)
    height, width = max(1, round(shape[0] * factor)), max(1, round(shape[1] * factor))
    output_lens = lens.resized(size=shape, new_size=(height, width))

    v, u = np.mgrid[:height, :width].astype(np.float64)
    rays = output_lens.rays(np.stack([u, v]))
    lengths = np.linalg.norm(rays, axis=0)
    is_inside = np.isfinite(lengths)
    optical_axis = np.array([0, 0, 1.0])[:, None, None]
    return _OutputRays(
        directions=np.where(is_inside, rays / lengths, optical_axis),
        lengths=np.where(is_inside, lengths, 1),
        is_inside=is_inside,
    )


def _merge_log_distance(
    inferences: Sequence[Inference],
    views: Sequence[SphereView],
    kind: DepthKind,
    directions: Float64[np.ndarray, "3 h w"],
    merge_rows: int,
) -> tuple[Float64[np.ndarray, "h w"], Mask]:
    """Log distance along directions, and the directions in which it is known.

    The views are aligned and merged on a panorama of about ``merge_rows`` rows, which is then
    sampled in the directions.
    """
    if len(views) == 1:
        return _sample_log_distance(inferences[0], views[0], kind, directions)

    height = 2 * (merge_rows // 2)
    layers = draw_layers(align_views(inferences, views, kind), views, height)
    u, v = panorama((height, 2 * height)).project(directions)
    log_distance = sample_bilinear(merge_layers(layers), u, v, wraps=True)[..., 0]
    known_fraction = sample_bilinear(layers.known.astype(np.float32), u, v, wraps=True)[..., 0]
    return log_distance.astype(np.float64), known_fraction > _MIN_VALID


def _sample_log_distance(
    inference: Inference,
    view: SphereView,
    kind: DepthKind,
    directions: Float64[np.ndarray, "3 h w"],
) -> tuple[Float64[np.ndarray, "h w"], Mask]:
    """Log distance along directions by the only view, and the directions in which it is known."""
    projection = _project(view, directions)
    view_map = smooth_view_map(inference, kind)
    values = projection.sample_channel(view_map.values).astype(np.float64)
    log_z = values if kind.is_depth else _log_of_affine(values, kind)

    log_distance = np.zeros(directions.shape[1:])
    log_distance[projection.is_visible] = log_z - np.log(projection.cosine)
    is_known = np.zeros(directions.shape[1:], bool)
    is_known[projection.is_visible] = projection.sample_channel(view_map.valid) > _MIN_VALID
    return log_distance, is_known


def _log_of_affine(values: Float64[np.ndarray, "n"], kind: DepthKind) -> Float64[np.ndarray, "n"]:
    """Log z of the affine values of the only view, whose shift stays unknown.

    Values are moved above zero only if some are negative.
    """
    min_value = _MIN_RELATIVE_DEPTH * max(float(np.abs(values).max()), _MIN_RELATIVE_DEPTH)
    logs = np.log(np.maximum(values - min(values.min(), 0.0), min_value))
    return -logs if kind is DepthKind.AFFINE_INVERSE else logs


def _depth_from_log_distance(
    log_distance: Float64[np.ndarray, "h w"], lengths: Float64[np.ndarray, "h w"], kind: DepthKind
) -> Float32[np.ndarray, "h w"]:
    """Depth, or the inverse of it for affine inverse depth; ``lengths`` are distance / depth."""
    depth = np.exp(log_distance) / lengths
    values = 1 / depth if kind is DepthKind.AFFINE_INVERSE else depth
    return values.astype(np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Projection:
    """Where a view shows the directions of a grid.

    A view shows only some of the directions. ``is_visible`` is their mask in the grid, and the
    other arrays have one entry for each of them, in the order of the mask.

    Attributes:
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
        """Sample a field of the view bilinearly in the visible directions."""
        rows, columns = field.shape[:2]
        x = (self.u + 1) * (columns / 2) - 0.5
        y = (self.v + 1) * (rows / 2) - 0.5
        return sample_bilinear(field, x, y)

    def sample_channel(self, channel: Float32[np.ndarray, "a b"]) -> Float32[np.ndarray, "n"]:
        """Sample a field that has a single channel."""
        return self.sample(channel[..., None])[:, 0]


def _project(view: SphereView, directions: Float64[np.ndarray, "3 h w"]) -> _Projection:
    """Project directions, which are unit vectors in the photograph's frame, into a view."""
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
    """Depth of one view, in which gaps are filled.

    Attributes:
        values: Log z, or affine values before they are aligned.
        valid: 1 where the network predicted depth, else 0.
        trust: Weight in comparisons with other views, low in the sky; None for 1 everywhere.
    """

    values: Float32[np.ndarray, "a b"]
    valid: Float32[np.ndarray, "a b"]
    trust: Float32[np.ndarray, "c d"] | None = None


def smooth_view_map(inference: Inference, kind: DepthKind) -> ViewMap:
    """Make the map of a view, in which pixels without depth are filled smoothly."""
    values = np.asarray(inference.depth, np.float32)
    valid = np.ones(values.shape, bool) if inference.valid is None else np.asarray(inference.valid)
    if not valid.any():
        raise InputError(
            "the model predicts no depth in one of the views into which rilievo splits this wide "
            "photograph; try another model"
        )

    if kind.is_depth:
        # The 1 has a logarithm, and is overwritten when gaps are filled.
        values = np.log(np.where(valid, values, 1))
    if not valid.all():
        values = fill_unknown(values[..., None], valid)[..., 0]
    trust = None if inference.sky is None else np.maximum(1 - inference.sky, _MIN_TRUST)
    return ViewMap(values=values, valid=valid.astype(np.float32), trust=trust)


def align_views(
    inferences: Sequence[Inference], views: Sequence[SphereView], kind: DepthKind
) -> list[ViewMap]:
    """Maps of log z of all views, corrected so that they agree where they overlap."""
    maps = [smooth_view_map(inference, kind) for inference in inferences]
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
    """Turn affine values into log z, by the shifts with which overlapping views agree best."""
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

    The weights are for blending, or with ``for_comparison`` for finding the scales of views; these
    are low in the sky.
    """
    directions = _grid_directions(height)
    shape = (len(views), *directions.shape[1:])
    values = np.zeros(shape, np.float32)
    weights = np.zeros(shape, np.float32)
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
    """Position in each view of the directions of an equirectangular grid of ``height`` rows.

    The arrays are 0 in directions that a view does not show.
    """
    directions = _grid_directions(height)
    shape = (len(views), *directions.shape[1:])
    across = np.zeros(shape, np.float32)
    down = np.zeros(shape, np.float32)
    log_ray_lengths = np.zeros(shape, np.float32)
    for index, view in enumerate(views):
        projection = _project(view, directions)
        across[index][projection.is_visible] = projection.u
        down[index][projection.is_visible] = projection.v
        log_ray_lengths[index][projection.is_visible] = -np.log(projection.cosine)
    return ScalePlaces(across=across, down=down, log_ray_lengths=log_ray_lengths)


def _grid_directions(height: int) -> Float64[np.ndarray, "3 h w"]:
    v, u = np.mgrid[:height, : 2 * height].astype(np.float64)
    return panorama((height, 2 * height)).rays(np.stack([u, v]))


def _blend_normals(
    inferences: Sequence[Inference],
    views: Sequence[SphereView],
    directions: Float64[np.ndarray, "3 h w"],
) -> Vectors | None:
    """Normals in the photograph's camera frame, of any length; None if none are predicted."""
    fields = []
    for inference, view in zip(inferences, views, strict=True):
        if inference.normals is None:
            return None
        turned = np.tensordot(view.turn, inference.normals, 1)
        fields.append(np.moveaxis(turned, 0, 2))
    return np.moveaxis(_weighted_mean(fields, views, directions), 2, 0)


def _blend_probability(
    maps: Sequence[Float32[np.ndarray, "a b"] | None],
    views: Sequence[SphereView],
    directions: Float64[np.ndarray, "3 h w"],
) -> Float32[np.ndarray, "h w"] | None:
    """Confidence or probability of sky, from 0 to 1; None if it is not predicted."""
    fields = [probability[..., None] for probability in maps if probability is not None]
    if not fields:
        return None
    return _weighted_mean(fields, views, directions)[..., 0].clip(0, 1)


def _weighted_mean(
    fields: Sequence[Float32[np.ndarray, "a b c"]],
    views: Sequence[SphereView],
    directions: Float64[np.ndarray, "3 h w"],
) -> Float32[np.ndarray, "h w c"]:
    """Weighted mean over the views that show each direction; 0 where none does."""
    shape = directions.shape[1:]
    weighted_sum = np.zeros((*shape, fields[0].shape[2]), np.float32)
    total_weight = np.full(shape, 1e-9, np.float32)  # above 0, because it is divided by
    for field, view in zip(fields, views, strict=True):
        projection = _project(view, directions)
        values = projection.sample(field.astype(np.float32))
        weighted_sum[projection.is_visible] += projection.weight[:, None] * values
        total_weight[projection.is_visible] += projection.weight
    return weighted_sum / total_weight[..., None]
