"""Separation of the object in a region from the floor, the walls and the other objects around it.

The page in JavaScript repeats these steps (``pages/surface_view/separation.js``).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rilievo.arrays.shapes import Bool, Float64, Int, Mask, Points, Values
from rilievo.geometry.connected_components import connected_component_labels
from rilievo.measure.depth_edges import SHARP_EDGE_WIDTH
from rilievo.measure.depth_noise import (
    MAX_NOISE_STEP,
    MAX_SURFACE_STEP,
    NEGLIGIBLE_NOISE,
    largest_surface_step,
    log_depth_noise,
)
from rilievo.measure.masks import dilated, eroded, shifted, without_specks
from rilievo.measure.planes import EXACT_TOLERANCE, TOLERANCES, Plane, fit_planes, join_planes


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionWindow:
    """Grid of pixels of a region and its surroundings.

    Attributes:
        points: Points in the camera frame [m], which mean nothing where not ``valid``.
        valid: Pixels with depth.
        region: Pixels of the region.
        weights: How likely each pixel of the region shows the object, by its place in a box.
        is_box: Whether the region is a box and not a mask, so that it also holds other surfaces.
        has_soft_edges: Whether depth melts from one surface into the next, as a network's does.
        noise: Standard deviation of log depth from pixel to pixel, before it was smoothed.
        edge_width: Width of edges before they were made sharp [pixels of the grid].
        has_mixed_pixels: Whether pixels between two surfaces may have a depth that neither has.
    """

    points: Float64[np.ndarray, "3 h w"]
    valid: Mask
    region: Mask
    weights: Float64[np.ndarray, "h w"]
    is_box: bool
    has_soft_edges: bool
    noise: float
    edge_width: float = 1.0
    has_mixed_pixels: bool = False

    @property
    def flat_points(self) -> Points:
        """Points (n, 3) of all pixels in reading order."""
        return self.points.reshape(3, -1).T

    @property
    def log_distance(self) -> Float64[np.ndarray, "h w"]:
        """Logarithm of the distance from the camera, which means nothing where not ``valid``."""
        return np.log(np.linalg.norm(np.where(self.valid, self.points, 1), axis=0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Separation:
    """Pixels of the object in a window, and the planes around it.

    Attributes:
        planes: Planes on or in front of which it stands.
        part_count: Number of its large parts that are not connected in the picture.
        is_soft: Whether its last pixels may show what is beside it.
        doubtful_mask: Pixels connected with the object, and not among those of ``object_mask``,
            that may show the object or what is beside it; None if there are none.
    """

    object_mask: Mask
    planes: Sequence[Plane]
    part_count: int
    is_soft: bool
    doubtful_mask: Mask | None = None

    def with_doubtful_parts(self) -> "Separation":
        """The separation whose object contains the doubtful pixels."""
        if self.doubtful_mask is None:
            return self
        return replace(self, object_mask=self.object_mask | self.doubtful_mask, doubtful_mask=None)


_MIN_PLANE_FRACTION = 0.12
"""Least fraction of the points around a region that lies on a plane."""
_MIN_FOOT_PLANE_FRACTION = 0.05
"""Least fraction of the points around a region's foot that lies on a plane."""
_MIN_LEAD = 0.03
"""Relative depth by which a thin part lies in front of the floor and the walls."""


def separate_object(window: RegionWindow, floor: Plane | None) -> Separation:
    """Find the pixels of a region that show its object.

    In measured depth, planes are fitted to the surroundings and removed from the region. The object
    is what remains connected. A network's soft edges connect all surfaces, unless a plane is exact.
    So there the object is what lies at the most frequent distance.
    """
    inside = window.region & window.valid
    surroundings = _surrounding_points(window)
    floors = [] if floor is None else [floor]
    planes = fit_planes(surroundings.all_around, _MIN_PLANE_FRACTION)
    has_exact_plane = any(plane.tolerance <= EXACT_TOLERANCE for plane in planes)
    if window.has_soft_edges and not has_exact_plane:
        object_mask = _pixels_at_mode(window, inside, floor)
        return Separation(object_mask=object_mask, planes=floors, part_count=1, is_soft=True)

    foot_planes = fit_planes(surroundings.around_foot, _MIN_FOOT_PLANE_FRACTION)
    planes = join_planes(join_planes(planes, foot_planes), floors)
    candidates, removed_planes = _remove_planes(window, inside, planes)
    if window.noise > NEGLIGIBLE_NOISE:
        candidates = without_specks(candidates)
    if not candidates.any():
        return Separation(
            object_mask=candidates, planes=removed_planes, part_count=0, is_soft=False
        )

    components = _find_components(window, candidates)
    if window.is_box:
        is_in_front = _is_in_front(window, removed_planes, _MIN_LEAD)
        object_mask, part_count = _object_in_box(window, components, is_in_front)
    else:
        object_mask, part_count = _object_in_mask(components)
    adjoining = _find_adjoining_surfaces(window, object_mask, removed_planes)
    removed = adjoining.outside | adjoining.doubtful
    if removed.any():
        object_mask = _without_specks_apart(object_mask & ~removed)
    return Separation(
        object_mask=object_mask,
        planes=removed_planes,
        part_count=part_count,
        is_soft=False,
        doubtful_mask=adjoining.doubtful if adjoining.doubtful.any() else None,
    )


def _without_specks_apart(object_mask: Mask) -> Mask:
    """Remove specks that lie apart from an object since what it touches was removed.

    They are the last pixels of the background, and may be far outside of the object.
    """
    labels = _component_labels(
        object_mask, _find_neighbour_pairs(np.zeros(object_mask.shape), object_mask)
    )
    sizes = np.bincount(labels[object_mask.reshape(-1)], minlength=labels.size)
    is_large = sizes >= _MIN_COMPONENT_FRACTION * sizes.max()
    return object_mask & is_large[labels].reshape(object_mask.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class _AdjoiningSurfaces:
    """Pixels connected with an object that show what it touches in the picture.

    No pixel is in both masks.

    Attributes:
        outside: Pixels of the floor and of the background.
        doubtful: Pixels that may show these, or a part of the object.
    """

    outside: Mask
    doubtful: Mask


_FOOT_HEIGHT = 0.05
"""Height above the surface on which an object stands, over that of its top, up to which pixels may
show this surface. A sensor shows a floor with bumps, above all where it meets an object."""
_TOP_HEIGHT_QUANTILE = 0.98
"""Quantile of the heights of an object's pixels that is the height of its top. Single pixels above
it do not count."""
_MAX_ENDED_OUTLINE = 0.2
"""Fraction of a part's outline beyond which the surface goes on, up to which the part shows the
object. Depth ends all around an object, except where something close behind it is seen."""
_MIN_CONTINUED_OUTLINE = 0.5
"""The same fraction from which on a small part shows the floor or the background. Half is enough,
because so few pixels seldom set a size."""
_MIN_SURELY_CONTINUED_OUTLINE = 0.8
"""The same fraction from which on a part of any size shows them. In between, it is doubtful."""
_MAX_SMALL_PART_FRACTION = 0.05
"""Most pixels of a small part, over those of the object."""
_PEEL_WIDTH = 4.0
"""Width of the strip along an outline beyond which the surface goes on, over the width of edges.
Within it, pixels mix the object with what is beside it, even if the rest shows the object."""


def _find_adjoining_surfaces(
    window: RegionWindow, object_mask: Mask, planes: Sequence[Plane]
) -> _AdjoiningSurfaces:
    """Find the pixels that depth without clear edges connects with an object.

    A sensor's depth melts from the foot of an object into the floor, and from its sides into a near
    background. The depth does not jump there, and these pixels lie off the planes, so they are
    still in the mask of the object. They can be

    * at the foot: little above or below the surface on which the object stands, or
    * off the mode: away from the most frequent distance of the object.

    Such a part shows the floor or the background if its surface goes on beyond the outline of the
    mask. If it shows the object, it ends there. See ``_judge_parts``.
    """
    nothing = np.zeros_like(object_mask)
    none_found = _AdjoiningSurfaces(outside=nothing, doubtful=nothing)
    if _are_planes_flat(window, planes) or not object_mask.any():
        return none_found
    at_mode = _part_at_mode(window, object_mask)
    is_at_foot = _is_at_foot(window, at_mode, planes)
    if not (at_mode & ~is_at_foot).any():
        return none_found

    # At the foot, the side of an object and the floor below it are connected, so they are judged
    # one after the other.
    pairs = _find_neighbour_pairs(window.log_distance, window.valid)
    foot = _judge_parts(window, object_mask, object_mask & is_at_foot, pairs)
    off_mode = _judge_parts(window, object_mask, object_mask & ~at_mode & ~is_at_foot, pairs)
    return _AdjoiningSurfaces(
        outside=foot.outside | off_mode.outside, doubtful=foot.doubtful | off_mode.doubtful
    )


def _are_planes_flat(window: RegionWindow, planes: Sequence[Plane]) -> bool:
    """Whether depth on planes is as exact as a renderer's, apart from noise of single pixels.

    A sensor that lets depth run on from one surface into another also shows bumps on planes. In
    exact depth, also if it is blurred or reduced in size, pixels just above the floor show a low
    part of the object, such as the base of a lamp.
    """
    max_tolerance = max(TOLERANCES[0], window.noise)
    return all(plane.tolerance <= max_tolerance for plane in planes)


def _part_at_mode(window: RegionWindow, object_mask: Mask) -> Mask:
    """Pixels of an object around its most frequent distance."""
    valley = VALLEY_IN_BOX if window.is_box else VALLEY_IN_MASK
    at_mode = np.zeros_like(object_mask)
    at_mode[object_mask] = mask_around_mode(
        window.log_distance[object_mask], window.weights[object_mask], valley
    )
    return at_mode


def _judge_parts(
    window: RegionWindow, object_mask: Mask, parts: Mask, pairs: "_NeighbourPairs"
) -> _AdjoiningSurfaces:
    """Tell for each connected part of an object's mask whether it shows the object.

    This follows from the fraction of its outline beyond which its surface goes on. Where it goes on
    along a part of the outline only, a strip of pixels at this part is left out.
    """
    labels = _component_labels(parts, pairs)
    outline = _outline_of_parts(window, object_mask, parts)
    continued = outline.continued_fractions(labels)
    object_size = int(object_mask.sum())
    sizes = np.bincount(labels[parts.reshape(-1)], minlength=labels.size)

    is_small = sizes <= _MAX_SMALL_PART_FRACTION * object_size
    min_continued = np.where(is_small, _MIN_CONTINUED_OUTLINE, _MIN_SURELY_CONTINUED_OUTLINE)
    # Where edges are wide, specks show mixtures. Where they are sharp, the rim of a round object.
    is_speck = sizes < _MIN_COMPONENT_FRACTION * object_size
    has_wide_edges = window.edge_width > SHARP_EDGE_WIDTH
    is_outside = (continued >= min_continued) | (is_speck & has_wide_edges)
    is_doubtful = ~is_outside & (continued > _MAX_ENDED_OUTLINE)

    strip_width = math.ceil(_PEEL_WIDTH * window.edge_width)
    strip = dilated(outline.continued_counts > 0, strip_width)
    outside = parts & (is_outside[labels].reshape(parts.shape) | strip)
    doubtful = parts & is_doubtful[labels].reshape(parts.shape) & ~outside
    return _AdjoiningSurfaces(outside=outside, doubtful=doubtful)


def _is_at_foot(window: RegionWindow, at_mode: Mask, planes: Sequence[Plane]) -> Mask:
    """Pixels that lie on the surface below an object, or little above or below it.

    This surface is the level plane that is nearest to the lower end of ``at_mode``. Heights above a
    plane are in units of the camera's height above it, and only their ratio to that of the object's
    top matters.
    """
    heights_above_planes = [
        -plane.relative_offsets(window.flat_points).reshape(at_mode.shape)
        for plane in planes
        if plane.normal @ _PICTURE_UP > _MIN_SUPPORT_COSINE
    ]
    if not heights_above_planes:
        return np.zeros_like(at_mode)

    def height_of_foot(heights: Float64[np.ndarray, "h w"]) -> float:
        return abs(float(np.quantile(heights[at_mode], 0.01)))

    heights = min(heights_above_planes, key=height_of_foot)
    top_height = float(np.quantile(heights[at_mode], _TOP_HEIGHT_QUANTILE))
    return np.abs(heights) < _FOOT_HEIGHT * top_height


_PICTURE_UP = np.array([0.0, -1.0, 0.0])
"""Direction up for a camera that is held level."""
_MIN_SUPPORT_COSINE = math.cos(math.radians(50))
"""Least cosine between that direction and the normal of a surface on which an object may stand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _PartOutline:
    """Outline of the parts of an object, counted in sides of pixels.

    Sides to the left, to the right and above count if depth is known beyond them. Below, an object
    may touch what it stands on.

    Attributes:
        side_counts: Number of sides of each pixel on the outline.
        continued_counts: Number of these sides beyond which the surface goes on.
    """

    side_counts: Int[np.ndarray, "h w"]
    continued_counts: Int[np.ndarray, "h w"]

    def continued_fractions(self, labels: Int[np.ndarray, "n"]) -> Values:
        """Fraction of the outline of each part beyond which the surface goes on, by label."""
        counts = np.bincount(labels, self.side_counts.reshape(-1), minlength=labels.size)
        continued = np.bincount(labels, self.continued_counts.reshape(-1), minlength=labels.size)
        return continued / np.maximum(counts, 1)


def _outline_of_parts(window: RegionWindow, object_mask: Mask, parts: Mask) -> _PartOutline:
    """Find the outline of parts of an object.

    The surface of a pixel goes on beyond the outline if log distance hardly changes up to a pixel
    outside of the object. As a blurred edge may lie in between, this pixel is as far away as the
    edge is wide, and the distance may change by half of its largest step for each pixel of the way.
    """
    log_distance = window.log_distance
    max_step = largest_surface_step(log_depth_noise(log_distance, window.valid))
    reach = math.ceil(_BLURRED_BORDER_WIDTH * window.edge_width)
    max_change = max(1.0, reach / 2) * max_step
    side_counts = np.zeros(parts.shape, int)
    continued_counts = np.zeros(parts.shape, int)
    for down, right in _SIDES.values():
        back = (-down * reach, -right * reach)  # moves the pixel beyond to the one on the outline
        is_side = parts & ~shifted(object_mask, -down, -right)
        is_side &= shifted(window.valid & ~object_mask, *back)
        change = np.abs(log_distance - np.roll(log_distance, back, (0, 1)))
        side_counts += is_side
        continued_counts += is_side & (change <= max_change)
    return _PartOutline(side_counts=side_counts, continued_counts=continued_counts)


_MAX_FLOOR_HEIGHT = 0.05
"""Height, over the camera's height, up to which everything is floor where edges are soft."""
_MAX_REMOVED_FRACTION = 0.9
"""Fraction of a region on planes above which the object is small, or is itself a plane (a rug)."""
VALLEY_IN_BOX, VALLEY_IN_MASK = 0.15, 0.03
"""Density of distances, over that at the mode, below which an object ends."""


def _pixels_at_mode(window: RegionWindow, inside: Mask, floor: Plane | None) -> Mask:
    """Pixels of a region at its most frequent distance, without the floor.

    If nearly everything is floor, the object may be a rug, so the floor is kept.
    """
    candidates = inside
    if window.is_box and floor is not None:
        above_floor = inside & _is_in_front(window, [floor], _MAX_FLOOR_HEIGHT)
        if above_floor.sum() > (1 - _MAX_REMOVED_FRACTION) * inside.sum():
            candidates = above_floor
    if not candidates.any():
        return candidates

    log_distances = np.log(np.linalg.norm(window.points[:, candidates], axis=0))
    valley = VALLEY_IN_BOX if window.is_box else VALLEY_IN_MASK
    at_mode = np.zeros_like(candidates)
    at_mode[candidates] = mask_around_mode(log_distances, window.weights[candidates], valley)
    return at_mode


_LOG_DISTANCE_BIN = 0.02
"""Width of the bins of a histogram of log distance."""


def mask_around_mode(values: Values, weights: Values, valley: float) -> Bool[np.ndarray, "n"]:
    """Mask of the values around the most frequent one.

    It extends to each side until a smoothed histogram falls below ``valley`` times its maximum.
    """
    bins = ((values - values.min()) / _LOG_DISTANCE_BIN).astype(int)
    # A triangular kernel smooths the histogram; the slice cuts off what it adds at both ends.
    density = np.convolve(np.bincount(bins, weights), [1, 2, 3, 2, 1])[2:-2]
    mode = density.argmax()

    # The bins before the first and after the last one end the mask too.
    sparse_bins = np.flatnonzero(density < valley * density[mode])
    ends = np.array([-1, *sparse_bins, len(density)])
    last_end_before_mode = ends[ends < mode][-1]
    first_end_after_mode = ends[ends > mode][0]
    return (bins > last_end_before_mode) & (bins < first_end_after_mode)


_SIDES = {"upper": (-1, 0), "left": (0, -1), "right": (0, 1)}
"""Rows and columns to the next pixel beyond these sides of a box. Below, an object may touch what
it stands on."""
_MIN_CONTINUATION = 0.01
"""Least length by which an object goes on beyond a box, over the longer side of the box."""
_MIN_CONTINUED_FRACTION = 0.5
"""Least fraction of an object's pixels at a side of a box from which it goes on."""


def sides_beyond_box(window: RegionWindow, separation: Separation) -> list[str]:
    """Sides of a box beyond which the surface of its object goes on.

    It is empty for masks, and where edges are soft or depth is noisy, so that the end of an object
    is not sure. It is also empty if no surface around the object was removed, because the object
    may then be flat, such as a poster, and its wall goes on.
    """
    max_step = largest_surface_step(window.noise)
    is_end_sharp = window.edge_width <= SHARP_EDGE_WIDTH and max_step <= MAX_SURFACE_STEP
    if not window.is_box or separation.is_soft or not is_end_sharp or not separation.planes:
        return []
    is_beyond = window.valid & ~window.region
    for plane in separation.planes:
        is_beyond &= ~plane.contains(window.flat_points).reshape(is_beyond.shape)

    log_distance = window.log_distance
    region_sides = [int(window.region.any(axis=axis).sum()) for axis in (0, 1)]
    count = math.ceil(_MIN_CONTINUATION * max(region_sides))
    sides = []
    for name, (down, right) in _SIDES.items():
        step = np.abs(log_distance - np.roll(log_distance, (down, right), (0, 1)))
        is_joined = step <= max_step  # to the pixel on the opposite side
        front = separation.object_mask & shifted(~window.region, -down, -right)
        last_count = int(front.sum())
        for _ in range(count):
            front = shifted(front, down, right) & is_beyond & is_joined
        if last_count and front.sum() >= _MIN_CONTINUED_FRACTION * last_count:
            sides.append(name)
    return sides


_FOOT_FRACTION = 0.2
"""Lower fraction of a region beside which we look for the surface on which its object stands."""
_MAX_SURROUNDING_POINTS = 2_000
"""Largest number of points around a region, so that RANSAC takes milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Surroundings:
    """Sampled points around a region, and those of them beside or below its foot [m]."""

    all_around: Points
    around_foot: Float64[np.ndarray, "m 3"]


def _surrounding_points(window: RegionWindow) -> _Surroundings:
    """Sample the points around a region."""
    is_around = window.valid & ~window.region
    region_rows = np.flatnonzero(window.region.any(axis=1))
    top, bottom = region_rows[0], region_rows[-1]
    first_foot_row = math.ceil(bottom - _FOOT_FRACTION * (bottom - top))
    is_around_foot = is_around.copy()
    is_around_foot[:first_foot_row] = False
    return _Surroundings(
        all_around=_sampled_points(window, is_around),
        around_foot=_sampled_points(window, is_around_foot),
    )


def _sampled_points(window: RegionWindow, mask: Mask) -> Points:
    points = window.flat_points[mask.reshape(-1)]
    return points[:: max(1, len(points) // _MAX_SURROUNDING_POINTS)]


_MAX_ON_PLANE_OFFSET = 2.0
"""Largest relative offset of a pixel on a plane, in standard deviations of the noise."""
_LARGE_PLANE_FRACTION = 0.1
"""Least fraction of a region on a plane with which the plane may be what the box shows."""
_MIN_SMALL_OBJECT_PIXELS = 12
"""Fewest pixels in front of all planes that make a small object in a large box."""


def _remove_planes(
    window: RegionWindow, inside: Mask, planes: Sequence[Plane]
) -> tuple[Mask, list[Plane]]:
    """Remove the floor, table or walls behind an object from the pixels of its region.

    A plane is removed if most of the other remaining pixels lie in front of it. What passes through
    the plane stays, and the plane does not count if nothing else lies on it. If hardly anything
    remains, the planes are themselves the object, and none of them is removed, unless there is a
    small object in front of them.

    Returns:
        The remaining pixels, and the planes that were removed.
    """
    # In a mask, only the border may show a plane behind the object.
    removable = inside if window.is_box else inside & ~eroded(inside, mask_border(inside))
    weights = np.where(inside, window.weights, 0)
    pairs = _find_neighbour_pairs(window.log_distance, window.valid)
    remaining = inside.copy()
    removed_planes: list[Plane] = []
    large_planes: list[Plane] = []
    for plane in planes:
        on_background = _pixels_on_background(plane, remaining, weights, window, pairs)
        if on_background is None:
            continue
        if on_background.sum() >= _LARGE_PLANE_FRACTION * inside.sum():
            large_planes.append(plane)
        remaining &= ~(on_background & removable)
        removed_planes.append(plane)

    does_object_remain = remaining.sum() > (1 - _MAX_REMOVED_FRACTION) * inside.sum()
    if does_object_remain:
        return remaining, removed_planes
    # The rest is a small object, or only the noise of a plane that is the object itself.
    if window.is_box and _has_small_object(window, remaining, large_planes):
        return remaining, removed_planes
    return inside, []


def _pixels_on_background(
    plane: Plane,
    candidates: Mask,
    weights: Float64[np.ndarray, "h w"],
    window: RegionWindow,
    pairs: "_NeighbourPairs",
) -> Mask | None:
    """Candidates on a plane behind the object; None if the plane is not behind it.

    ``weights`` are those of the pixels in the region.
    """
    offsets = plane.relative_offsets(window.flat_points).reshape(candidates.shape)
    max_offset = max(plane.tolerance, _MAX_ON_PLANE_OFFSET * window.noise)
    is_on_plane = np.abs(offsets) < max_offset
    is_off_plane = candidates & ~is_on_plane
    weight_off_plane = float(weights[is_off_plane].sum())
    weight_in_front = float(weights[is_off_plane & (offsets < 0)].sum())
    if weight_in_front <= 0.5 * weight_off_plane:
        return None
    on_plane = candidates & is_on_plane
    is_crossing = _passes_through(on_plane, offsets, max_offset, pairs)
    has_only_crossing = is_crossing.any() and not (on_plane & ~is_crossing).any()
    return None if has_only_crossing else on_plane & ~is_crossing


_MIN_CROSSING_PIXELS = 12
"""Fewest pixels of a part that can show that it passes through a plane."""
_MIN_CROSSING_FRACTION = 0.15
"""Least fraction of the pixels of such a part in the outer half of a plane's tolerance, on each
side. Of normally distributed errors within three standard deviations, 7% lie there."""


def _passes_through(
    on_plane: Mask, offsets: Float64[np.ndarray, "h w"], max_offset: float, pairs: "_NeighbourPairs"
) -> Mask:
    """Connected parts of the pixels on a plane that belong to a surface which passes through it.

    The plane of a table, continued, cuts a line out of a cupboard behind the table, for example.
    Such a part spreads evenly over the tolerance, from in front of the plane to behind it.
    """
    labels = _component_labels(on_plane, pairs)
    on_labels, on_offsets = labels[on_plane.reshape(-1)], offsets[on_plane]
    counts = np.bincount(on_labels, minlength=labels.size)
    is_crossing = counts >= _MIN_CROSSING_PIXELS
    for side in (-1, 1):
        is_outer = side * on_offsets > max_offset / 2
        outer_counts = np.bincount(on_labels[is_outer], minlength=labels.size)
        is_crossing &= outer_counts >= _MIN_CROSSING_FRACTION * counts
    return on_plane & is_crossing[labels].reshape(on_plane.shape)


def _has_small_object(window: RegionWindow, candidates: Mask, planes: Sequence[Plane]) -> bool:
    """Whether many pixels, without lines and specks, lie clearly in front of all planes."""
    lead = max(_MIN_LEAD, MAX_NOISE_STEP * window.noise)
    pixels = without_specks(candidates & _is_in_front(window, planes, lead))
    return bool(pixels.sum() >= _MIN_SMALL_OBJECT_PIXELS)


def _is_in_front(window: RegionWindow, planes: Sequence[Plane], lead: float) -> Mask:
    """Pixels that lie in front of all planes by more than ``lead``, relative to their depth."""
    is_in_front = np.ones_like(window.valid)
    for plane in planes:
        relative_depth = np.tensordot(plane.vector, window.points, 1)
        is_in_front &= relative_depth < 1 - lead
    return is_in_front


_MASK_BORDER_FRACTION = 0.03
"""Width of the border of a mask that may show what is behind, over the root of its area."""


def mask_border(mask: Mask) -> int:
    """Width of a mask's border that may show what is behind the object [pixels of the grid]."""
    return 1 + math.ceil(_MASK_BORDER_FRACTION * math.sqrt(mask.sum()))


@dataclass(frozen=True, slots=True, kw_only=True)
class _NeighbourPairs:
    """Neighbouring pixels on one surface, as flat indices of their pixels."""

    first: Int[np.ndarray, "n"]
    second: Int[np.ndarray, "n"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Components:
    """Connected components of the pixels that may show an object.

    The label of a component is the flat index of its first pixel. So arrays over labels are as long
    as arrays over pixels.

    Attributes:
        candidates: Pixels that may show the object.
        labels: Label of each pixel.
        pixel_counts: Number of candidates with each label.
        outward_pairs: Number of neighbours outside the region to which the surface of each
            component goes on, by label.
    """

    candidates: Mask
    labels: Int[np.ndarray, "n"]
    pixel_counts: Int[np.ndarray, "n"]
    outward_pairs: Values

    def select(self, is_selected: Bool[np.ndarray, "n"]) -> Mask:
        """Pixels of the components with selected labels."""
        pixels = self.candidates.reshape(-1) & is_selected[self.labels]
        return pixels.reshape(self.candidates.shape)

    def sum_over_pixels(self, values: Float64[np.ndarray, "h w"]) -> Values:
        """Sum of a quantity over the pixels of each component, by label."""
        candidates = self.candidates.reshape(-1)
        return np.bincount(
            self.labels[candidates], values.reshape(-1)[candidates], minlength=self.labels.size
        )

    def overlap(self, mask: Mask) -> Bool[np.ndarray, "n"]:
        """Whether each component has a pixel in a mask, by label."""
        has_pixel = np.zeros(self.labels.size, bool)
        has_pixel[self.labels[mask.reshape(-1)]] = True
        return has_pixel


def _find_components(window: RegionWindow, candidates: Mask) -> _Components:
    """Find the connected components of the pixels that may show an object."""
    pairs = _find_neighbour_pairs(window.log_distance, window.valid)
    labels = _component_labels(candidates, pairs)
    return _Components(
        candidates=candidates,
        labels=labels,
        pixel_counts=np.bincount(labels[candidates.reshape(-1)], minlength=labels.size),
        outward_pairs=_count_outward_pairs(candidates, window.region, labels, pairs),
    )


def _find_neighbour_pairs(log_distance: Float64[np.ndarray, "h w"], valid: Mask) -> _NeighbourPairs:
    """Find the neighbours between which depth does not jump."""
    max_step = largest_surface_step(log_depth_noise(log_distance, valid))
    flat_index = np.arange(log_distance.size).reshape(log_distance.shape)
    firsts, seconds = [], []
    for first, second in _neighbour_slices():
        step = np.abs(log_distance[first] - log_distance[second])
        is_one_surface = valid[first] & valid[second] & (step <= max_step)
        firsts.append(flat_index[first][is_one_surface])
        seconds.append(flat_index[second][is_one_surface])
    return _NeighbourPairs(first=np.concatenate(firsts), second=np.concatenate(seconds))


def _neighbour_slices() -> tuple[tuple[tuple[slice, ...], tuple[slice, ...]], ...]:
    """Slices of the left and the right pixels, and of the upper and the lower pixels of pairs."""
    left_and_right = np.s_[:, :-1], np.s_[:, 1:]
    upper_and_lower = np.s_[:-1, :], np.s_[1:, :]
    return left_and_right, upper_and_lower


def _component_labels(pixels: Mask, pairs: _NeighbourPairs) -> Int[np.ndarray, "n"]:
    """Label each pixel with the least flat index of its connected component."""
    is_included = pixels.reshape(-1)
    are_both_included = is_included[pairs.first] & is_included[pairs.second]
    first, second = pairs.first[are_both_included], pairs.second[are_both_included]
    return connected_component_labels(pixels.size, first, second)


def _count_outward_pairs(
    candidates: Mask, region: Mask, labels: Int[np.ndarray, "n"], pairs: _NeighbourPairs
) -> Values:
    """Count the neighbour pairs of each component that lead out of the region, by label."""
    is_candidate, is_in_region = candidates.reshape(-1), region.reshape(-1)
    counts = np.zeros(len(is_candidate))
    for source, neighbour in ((pairs.first, pairs.second), (pairs.second, pairs.first)):
        is_outward = is_candidate[source] & ~is_in_region[neighbour]
        counts += np.bincount(labels[source[is_outward]], minlength=len(is_candidate))
    return counts


_MAX_OUTWARD_PAIRS = 0.1
"""Most neighbour pairs that lead out of a box, per pixel of an object's component."""
_MAX_OUTWARD_PAIRS_PER_ROOT = 0.5
"""The same per square root of its pixels: a large surface may go on along a whole side of a box."""
_MIN_COMPONENT_FRACTION = 0.005
"""Least size of a component that is more than a speck, over that of the largest."""
_LARGE_COMPONENT_FRACTION = 0.25
"""Least size of a component that a remark mentions, over that of the largest."""


def _object_in_box(
    window: RegionWindow, components: _Components, is_in_front: Mask
) -> tuple[Mask, int]:
    """Find the object in a box.

    It is the component with the largest weight (the main one), with others at its distance that
    end inside the box.

    ``is_in_front`` masks the pixels clearly in front of the floor and the walls.

    Returns:
        Pixels of the object, and the number of its large components.
    """
    sizes = components.pixel_counts
    main_label = int(components.sum_over_pixels(window.weights).argmax())
    is_object = _are_parts_of_object(main_label, components, window)
    is_large = is_object & (sizes >= _LARGE_COMPONENT_FRACTION * sizes[main_label])

    object_mask = components.select(is_object)
    if not window.has_mixed_pixels:
        end_inside = components.outward_pairs <= _MAX_OUTWARD_PAIRS * sizes
        slivers = components.select(end_inside) & is_in_front & ~object_mask
        object_mask = _add_slivers(object_mask, slivers, components)
    if window.edge_width > SHARP_EDGE_WIDTH:
        object_mask = _remove_steep_border(object_mask, window)
    if window.has_mixed_pixels:
        object_mask = _remove_thin_lines(object_mask, window.valid)
    return object_mask, int(is_large.sum())


def _are_parts_of_object(
    main_label: int, components: _Components, window: RegionWindow
) -> Bool[np.ndarray, "n"]:
    """Whether each component is the main one, or another part of the same object, by label.

    Other parts are at the distance of the main one, end inside the box, and are no specks.
    """
    sizes, outward_pairs = components.pixel_counts, components.outward_pairs
    are_parts = _are_at_distance_of(main_label, components, window.log_distance)
    are_parts &= outward_pairs <= _MAX_OUTWARD_PAIRS * sizes
    are_parts &= outward_pairs <= _MAX_OUTWARD_PAIRS_PER_ROOT * np.sqrt(sizes)
    if window.has_mixed_pixels:
        are_parts &= _are_wider_than_edges(components, window)
    are_parts[main_label] = True
    return are_parts & (sizes >= _MIN_COMPONENT_FRACTION * sizes[main_label])


def _are_at_distance_of(
    main_label: int, components: _Components, log_distance: Float64[np.ndarray, "h w"]
) -> Bool[np.ndarray, "n"]:
    """Whether the mean distance of each component lies within those of the main one, by label."""
    is_main = components.candidates.reshape(-1) & (components.labels == main_label)
    main_distances = log_distance.reshape(-1)[is_main]
    sizes = components.pixel_counts
    # Labels that no candidate has keep a sum of 0, which the size of 1 leaves finite.
    means = components.sum_over_pixels(log_distance) / np.maximum(sizes, 1)
    return (sizes > 0) & (means >= main_distances.min()) & (means <= main_distances.max())


def _are_wider_than_edges(components: _Components, window: RegionWindow) -> Bool[np.ndarray, "n"]:
    """Whether each component is wider than an edge, whose pixels mix two surfaces, by label."""
    # The border to pixels without depth shows no mixture, so erosion does not begin there.
    kept_by_erosion = components.candidates | ~window.valid
    inner = components.candidates & eroded(kept_by_erosion, math.ceil(window.edge_width / 2))
    return components.overlap(inner)


_MAX_SLIVER_WIDTH = 3
"""Largest width of a side of an object that is seen edge-on [pixels of the grid]."""


def _add_slivers(object_mask: Mask, slivers: Mask, components: _Components) -> Mask:
    """Add thin components beside an object.

    On a side that is seen edge-on, depth jumps from pixel to pixel, so its pixels are not connected
    to the object.
    """
    is_thick = components.overlap(eroded(slivers, 2))[components.labels]
    thin_slivers = slivers & ~is_thick.reshape(slivers.shape)
    for _ in range(_MAX_SLIVER_WIDTH):
        object_mask = object_mask | (thin_slivers & dilated(object_mask, 1))
    return object_mask


_MAX_BORDER_STEP = 0.015
"""Largest step of log distance to a neighbour at a border that is no blurred edge."""
_BLURRED_BORDER_WIDTH = 1.5
"""Width of the border that may be blurred, over that of the edges of depth."""


def _remove_steep_border(object_mask: Mask, window: RegionWindow) -> Mask:
    """Remove pixels at the border of an object where a blurred edge melts into the background."""
    log_distance = window.log_distance
    max_step = max(_MAX_BORDER_STEP, MAX_NOISE_STEP * window.noise)
    for _ in range(math.ceil(_BLURRED_BORDER_WIDTH * window.edge_width)):
        steepest = np.zeros(object_mask.shape)
        for first, second in _neighbour_slices():
            is_inside = object_mask[first] & object_mask[second]
            step = np.where(is_inside, np.abs(log_distance[first] - log_distance[second]), 0)
            steepest[first] = np.maximum(steepest[first], step)
            steepest[second] = np.maximum(steepest[second], step)
        is_inner = eroded(object_mask | ~window.valid, 1)
        object_mask = object_mask & (is_inner | (steepest <= max_step))
    return object_mask


_MIN_OPENED = 0.8
"""Least fraction of an object that is left by an opening, if the object is not thin itself."""


def _remove_thin_lines(object_mask: Mask, valid: Mask) -> Mask:
    """Remove lines of single pixels, which mix two surfaces, by a morphological opening.

    An object that is thin itself stays as it is.
    """
    opened = object_mask & dilated(eroded(object_mask | ~valid, 1), 1)
    is_thin = opened.sum() < _MIN_OPENED * object_mask.sum()
    return object_mask if is_thin else opened


_MAX_OUTWARD_PAIRS_OF_MASK = 0.3
"""Neighbour pairs that lead out of a mask, per pixel, from which on a component is background."""


def _object_in_mask(components: _Components) -> tuple[Mask, int]:
    """Find the object in a mask.

    It consists of all components, except those whose surface goes on outside because the mask is
    drawn too large.

    Returns:
        Pixels of the object, and the number of its large components.
    """
    sizes = components.pixel_counts
    largest_size = sizes.max()
    is_object = components.outward_pairs < _MAX_OUTWARD_PAIRS_OF_MASK * np.maximum(sizes, 1)
    is_object &= sizes >= _MIN_COMPONENT_FRACTION * largest_size
    is_object[int(sizes.argmax())] = True
    is_large = is_object & (sizes >= _LARGE_COMPONENT_FRACTION * largest_size)
    return components.select(is_object), int(is_large.sum())
