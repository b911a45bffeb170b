"""Separation of the object in a region from the floor, the walls and the other objects around it.

The page in JavaScript repeats these steps (``pages/surface_view/separation.js``).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Bool, Float64, Int, Mask, Points, Values
from rilievo.measure.depth_edges import SHARP_EDGE_WIDTH
from rilievo.measure.depth_noise import (
    MAX_NOISE_STEP,
    NEGLIGIBLE_NOISE,
    largest_surface_step,
    log_depth_noise,
)
from rilievo.measure.masks import dilated, eroded, without_specks
from rilievo.measure.planes import EXACT_TOLERANCE, Plane, fit_planes, join_planes


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
        object_mask: Pixels that show the object.
        planes: Planes on or in front of which it stands.
        part_count: Number of its large parts that are not connected in the picture.
        is_soft: Whether its last pixels may show what is beside it.
    """

    object_mask: Mask
    planes: Sequence[Plane]
    part_count: int
    is_soft: bool


_MIN_PLANE_SHARE = 0.12
"""Least share of the surroundings that lies on a plane."""
_MIN_FOOT_PLANE_SHARE = 0.05
"""Least share of the surroundings of a region's foot that lies on a plane."""
_MIN_LEAD = 0.03
"""Relative depth by which a thin part lies in front of the floor and the walls."""


def separate_object(window: RegionWindow, floor: Plane | None) -> Separation:
    """Find the pixels of a region that show its object.

    They are connected surfaces off the planes around the region. Where edges are soft and no plane
    is exact, as in a network's depth, they are the pixels at the most frequent distance.
    """
    inside = window.region & window.valid
    surroundings = _surrounding_points(window)
    floors = [] if floor is None else [floor]
    planes = fit_planes(surroundings.all_around, _MIN_PLANE_SHARE)
    has_exact_plane = any(plane.tolerance <= EXACT_TOLERANCE for plane in planes)
    if window.has_soft_edges and not has_exact_plane:
        object_mask = _pixels_at_mode(window, inside, floor)
        return Separation(object_mask=object_mask, planes=floors, part_count=1, is_soft=True)

    foot_planes = fit_planes(surroundings.around_foot, _MIN_FOOT_PLANE_SHARE)
    planes = join_planes(join_planes(planes, foot_planes), floors)
    candidates, removed_planes = _remove_planes(window, inside, planes)
    if window.noise > NEGLIGIBLE_NOISE:
        candidates = without_specks(candidates)
    if not candidates.any():
        return Separation(
            object_mask=candidates, planes=removed_planes, part_count=0, is_soft=False
        )

    parts = _find_parts(window, candidates)
    if window.is_box:
        is_in_front = _is_in_front(window, removed_planes, _MIN_LEAD)
        object_mask, part_count = _object_in_box(window, parts, is_in_front)
    else:
        object_mask, part_count = _object_in_mask(parts)
    return Separation(
        object_mask=object_mask, planes=removed_planes, part_count=part_count, is_soft=False
    )


_MAX_FLOOR_HEIGHT = 0.05
"""Height over the camera's up to which everything is floor, where edges are soft."""
_MAX_REMOVED = 0.9
"""Share of a region on planes from which on the object is small, or is a plane, such as a rug."""
VALLEY_IN_BOX, VALLEY_IN_MASK = 0.15, 0.03
"""Density of distances, over that at the mode, below which an object ends."""


def _pixels_at_mode(window: RegionWindow, inside: Mask, floor: Plane | None) -> Mask:
    """Pixels at the most frequent distance, because soft edges connect all surfaces."""
    if window.is_box and floor is not None:
        above_floor = inside & _is_in_front(window, [floor], _MAX_FLOOR_HEIGHT)
        if above_floor.sum() > (1 - _MAX_REMOVED) * inside.sum():
            inside = above_floor
    if not inside.any():
        return inside

    log_distances = np.log(np.linalg.norm(window.points[:, inside], axis=0))
    valley = VALLEY_IN_BOX if window.is_box else VALLEY_IN_MASK
    at_mode = inside.copy()
    at_mode[inside] = mask_around_mode(log_distances, window.weights[inside], valley)
    return at_mode


_LOG_DISTANCE_BIN = 0.02
"""Width of the bins of a histogram of log distance."""


def mask_around_mode(values: Values, weights: Values, valley: float) -> Bool[np.ndarray, "n"]:
    """Mask of the values around the most frequent one, until their density falls to ``valley``.

    ``valley`` is a share of the density at the mode.
    """
    bins = ((values - values.min()) / _LOG_DISTANCE_BIN).astype(int)
    density = np.convolve(np.bincount(bins, weights), [1, 2, 3, 2, 1])[2:-2]
    mode = density.argmax()

    sparse_bins = np.flatnonzero(density < valley * density[mode])
    first_after_mode = int(np.searchsorted(sparse_bins, mode))
    ends = [-1, *sparse_bins, len(density)]
    low, high = ends[first_after_mode], ends[first_after_mode + 1]
    return (bins > low) & (bins < high)


_FOOT = 0.2
"""Lower share of a region beside which the surface is sought on which its object stands."""
_MAX_SURROUNDING_POINTS = 2_000
"""Points around a region that are taken, so that RANSAC takes milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Surroundings:
    """Points around a region, and those of them beside its lower end [m]."""

    all_around: Points
    around_foot: Float64[np.ndarray, "m 3"]


def _surrounding_points(window: RegionWindow) -> _Surroundings:
    is_around = window.valid & ~window.region
    rows = np.flatnonzero(window.region.any(axis=1))
    first_foot_row = math.ceil(rows[-1] - _FOOT * (rows[-1] - rows[0]))
    is_around_foot = is_around.copy()
    is_around_foot[:first_foot_row] = False
    return _Surroundings(
        all_around=_sampled_points(window, is_around),
        around_foot=_sampled_points(window, is_around_foot),
    )


def _sampled_points(window: RegionWindow, mask: Mask) -> Points:
    points = window.flat_points[mask.reshape(-1)]
    return points[:: max(1, len(points) // _MAX_SURROUNDING_POINTS)]


_MIN_OFFSET_PER_NOISE = 2.0
"""Relative depth off a plane, in standard deviations of the noise, from which on it counts."""
_LARGE_PLANE = 0.1
"""Share of a region on a plane from which on the plane may be what the box shows."""
_MIN_SMALL_OBJECT = 12
"""Fewest pixels in front of all planes that make a small object in a large box."""


def _remove_planes(
    window: RegionWindow, inside: Mask, planes: Sequence[Plane]
) -> tuple[Mask, list[Plane]]:
    """Pixels of a region without the planes on or in front of which its object stands, and these.

    A plane is removed if most of what remains lies on the camera's side of it. In a mask, only the
    border may show a plane. If hardly anything remains, the planes are the object, and none of
    them is removed, unless there is a small object in front of them.
    """
    removable = inside if window.is_box else inside & ~eroded(inside, mask_border(inside))
    removable = removable.reshape(-1)
    points = window.flat_points
    weights = np.where(inside, window.weights, 0).reshape(-1)
    remaining = inside.reshape(-1).copy()
    removed: list[Plane] = []
    large_planes: list[Plane] = []
    for plane in planes:
        offsets = plane.relative_offsets(points)
        max_offset = max(plane.tolerance, _MIN_OFFSET_PER_NOISE * window.noise)
        is_on_plane = np.abs(offsets) < max_offset
        elsewhere = remaining & ~is_on_plane
        weight_in_front = float(weights[elsewhere & (offsets < 0)].sum())
        if weight_in_front <= 0.5 * float(weights[elsewhere].sum()):
            continue
        if (remaining & is_on_plane).sum() >= _LARGE_PLANE * inside.sum():
            large_planes.append(plane)
        remaining &= ~(is_on_plane & removable)
        removed.append(plane)

    candidates = remaining.reshape(inside.shape)
    if remaining.sum() > (1 - _MAX_REMOVED) * inside.sum():
        return candidates, removed
    # What remains is a small object, or only the noise of a plane that is to be measured itself.
    if window.is_box and _has_small_object(window, candidates, large_planes):
        return candidates, removed
    return inside, []


def _has_small_object(window: RegionWindow, candidates: Mask, planes: Sequence[Plane]) -> bool:
    """Whether many pixels, without lines and specks, lie clearly in front of all planes."""
    lead = max(_MIN_LEAD, MAX_NOISE_STEP * window.noise)
    pixels = without_specks(candidates & _is_in_front(window, planes, lead))
    return bool(pixels.sum() >= _MIN_SMALL_OBJECT)


def _is_in_front(window: RegionWindow, planes: Sequence[Plane], lead: float) -> Mask:
    """Pixels that lie in front of all planes, by a relative depth of more than ``lead``."""
    is_in_front = np.ones(window.valid.shape, bool)
    for plane in planes:
        relative_depth = np.tensordot(plane.vector, window.points, 1)
        is_in_front &= relative_depth < 1 - lead
    return is_in_front


_MASK_BORDER = 0.03
"""Width of the border of a mask that may show what is behind, over the root of its area."""


def mask_border(mask: Mask) -> int:
    """Width of a mask's border that may show what is behind the object [pixels of the grid]."""
    return 1 + math.ceil(_MASK_BORDER * math.sqrt(mask.sum()))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Links:
    """Pairs of neighbours on one surface: indices of their pixels in reading order."""

    first: Int[np.ndarray, "n"]
    second: Int[np.ndarray, "n"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """Connected parts of the pixels that may show an object.

    The label of a part is the index of its first pixel in reading order. So arrays over labels are
    as long as arrays over pixels.

    Attributes:
        candidates: Pixels that may show the object.
        labels: Label of the part of each pixel.
        counts: Number of candidates for each label.
        outward_links: Number of links to pixels outside the region, for each label.
    """

    candidates: Mask
    labels: Int[np.ndarray, "n"]
    counts: Int[np.ndarray, "n"]
    outward_links: Values

    def mask_of(self, is_chosen: Bool[np.ndarray, "n"]) -> Mask:
        """Pixels of the parts that are chosen by their labels."""
        pixels = self.candidates.reshape(-1) & is_chosen[self.labels]
        return pixels.reshape(self.candidates.shape)

    def sums_of(self, values: Float64[np.ndarray, "h w"]) -> Values:
        """Sum of a quantity over the pixels of each part."""
        candidates = self.candidates.reshape(-1)
        return np.bincount(
            self.labels[candidates], values.reshape(-1)[candidates], minlength=self.labels.size
        )

    def are_in(self, mask: Mask) -> Bool[np.ndarray, "n"]:
        """Whether the part of each label has a pixel in a mask."""
        has_pixel = np.zeros(self.labels.size, bool)
        has_pixel[self.labels[mask.reshape(-1)]] = True
        return has_pixel


def _find_parts(window: RegionWindow, candidates: Mask) -> _Parts:
    """Find the connected parts of the pixels that may show an object."""
    links = _find_links(window.log_distance, window.valid)
    labels = _label_parts(candidates, links)
    return _Parts(
        candidates=candidates,
        labels=labels,
        counts=np.bincount(labels[candidates.reshape(-1)], minlength=labels.size),
        outward_links=_count_outward_links(candidates, window.region, labels, links),
    )


def _find_links(log_distance: Float64[np.ndarray, "h w"], valid: Mask) -> _Links:
    """Find the neighbours between which depth does not jump."""
    max_step = largest_surface_step(log_depth_noise(log_distance, valid))
    index = np.arange(log_distance.size).reshape(log_distance.shape)
    firsts, seconds = [], []
    for first, second in _neighbour_slices():
        step = np.abs(log_distance[first] - log_distance[second])
        is_linked = valid[first] & valid[second] & (step <= max_step)
        firsts.append(index[first][is_linked])
        seconds.append(index[second][is_linked])
    return _Links(first=np.concatenate(firsts), second=np.concatenate(seconds))


def _neighbour_slices() -> tuple[tuple[tuple[slice, ...], tuple[slice, ...]], ...]:
    """Slices of the left and the right pixels, and of the upper and the lower pixels of pairs."""
    left_and_right = np.s_[:, :-1], np.s_[:, 1:]
    upper_and_lower = np.s_[:-1, :], np.s_[1:, :]
    return left_and_right, upper_and_lower


def _label_parts(pixels: Mask, links: _Links) -> Int[np.ndarray, "n"]:
    """Label of the connected part of each pixel: the least index in it."""
    chosen = pixels.reshape(-1)
    are_both_chosen = chosen[links.first] & chosen[links.second]
    first, second = links.first[are_both_chosen], links.second[are_both_chosen]
    labels = np.arange(pixels.size)
    while True:
        first_labels, second_labels = labels[first], labels[second]
        differ = first_labels != second_labels
        if not differ.any():
            return labels
        higher = np.maximum(first_labels, second_labels)[differ]
        lower = np.minimum(first_labels, second_labels)[differ]
        np.minimum.at(labels, higher, lower)
        while not np.array_equal(labels[labels], labels):
            labels = labels[labels]


def _count_outward_links(
    candidates: Mask, region: Mask, labels: Int[np.ndarray, "n"], links: _Links
) -> Values:
    """Number of links of each part to pixels outside the region, by label."""
    chosen, inside = candidates.reshape(-1), region.reshape(-1)
    total = np.zeros(len(chosen))
    for start, end in ((links.first, links.second), (links.second, links.first)):
        is_outward = chosen[start] & ~inside[end]
        total += np.bincount(labels[start[is_outward]], minlength=len(chosen))
    return total


_MAX_OUTWARD_LINKS = 0.1
"""Links of a part to pixels outside its box, per pixel of it, from which on it is background."""
_MAX_OUTWARD_LINKS_PER_ROOT = 0.5
"""The same per root of its pixels, because a large part may go on along a whole side of the box."""
_MIN_PART = 0.005
"""Size over that of the largest part from which on a part is more than a speck."""
_LARGE_PART = 0.25
"""Size over that of the largest part from which on a part is mentioned in a remark."""


def _object_in_box(window: RegionWindow, parts: _Parts, is_in_front: Mask) -> tuple[Mask, int]:
    """Pixels of the object in a box, and the number of its large parts.

    They are the part with the largest weight, and others at its distance that end inside the box.

    Args:
        window: Pixels of the box and around it.
        parts: Connected parts in the box.
        is_in_front: Pixels clearly in front of the floor and the walls.
    """
    counts, outward_links = parts.counts, parts.outward_links
    main = int(parts.sums_of(window.weights).argmax())
    ends_inside = outward_links <= _MAX_OUTWARD_LINKS * counts
    ends_inside_widely = outward_links <= _MAX_OUTWARD_LINKS_PER_ROOT * np.sqrt(counts)

    is_of_object = _are_at_distance(parts, main, window.log_distance)
    is_of_object &= ends_inside & ends_inside_widely
    if window.has_mixed_pixels:
        is_of_object &= _are_thick(parts, window)
    is_of_object[main] = True
    is_of_object &= counts >= _MIN_PART * counts[main]
    is_large = is_of_object & (counts >= _LARGE_PART * counts[main])

    object_mask = parts.mask_of(is_of_object)
    if not window.has_mixed_pixels:
        slivers = parts.mask_of(ends_inside) & is_in_front & ~object_mask
        object_mask = _with_slivers(object_mask, slivers, parts)
    if window.edge_width > SHARP_EDGE_WIDTH:
        object_mask = _without_steep_border(object_mask, window)
    if window.has_mixed_pixels:
        object_mask = _without_lines(object_mask, window.valid)
    return object_mask, int(is_large.sum())


def _are_at_distance(
    parts: _Parts, main: int, log_distance: Float64[np.ndarray, "h w"]
) -> Bool[np.ndarray, "n"]:
    """Whether the mean distance of each part lies between the ends of the main part."""
    is_main = parts.candidates & (parts.labels == main).reshape(log_distance.shape)
    nearest, farthest = float(log_distance[is_main].min()), float(log_distance[is_main].max())
    means = parts.sums_of(log_distance) / np.maximum(parts.counts, 1)
    return (parts.counts > 0) & (means >= nearest) & (means <= farthest)


def _are_thick(parts: _Parts, window: RegionWindow) -> Bool[np.ndarray, "n"]:
    """Whether each part is wider than an edge of depth, which shows mixtures of two surfaces."""
    # What has no depth is no border.
    has_no_border = parts.candidates | ~window.valid
    inner = parts.candidates & eroded(has_no_border, math.ceil(window.edge_width / 2))
    return parts.are_in(inner)


_MAX_SLIVER_WIDTH = 3
"""Largest width of a side of an object that is seen edge-on [pixels of the grid]."""


def _with_slivers(object_mask: Mask, slivers: Mask, parts: _Parts) -> Mask:
    """Add thin parts beside an object: depth jumps from pixel to pixel on a side seen edge-on."""
    is_thick = parts.are_in(eroded(slivers, 2))[parts.labels].reshape(slivers.shape)
    thin = slivers & ~is_thick
    for _ in range(_MAX_SLIVER_WIDTH):
        object_mask = object_mask | (thin & dilated(object_mask, 1))
    return object_mask


_STEEP = 0.015
"""Step of log distance to a neighbour from which on a border melts into what is beside it."""
_STEEP_BORDER = 1.5
"""Width of such a border, over that of the edges of depth."""


def _without_steep_border(object_mask: Mask, window: RegionWindow) -> Mask:
    """Object without the pixels at its border that melt into what is beside it."""
    log_distance = window.log_distance
    max_step = max(_STEEP, MAX_NOISE_STEP * window.noise)
    for _ in range(math.ceil(_STEEP_BORDER * window.edge_width)):
        steepest = np.zeros(object_mask.shape)
        for first, second in _neighbour_slices():
            is_inside = object_mask[first] & object_mask[second]
            step = np.where(is_inside, np.abs(log_distance[first] - log_distance[second]), 0)
            steepest[first] = np.maximum(steepest[first], step)
            steepest[second] = np.maximum(steepest[second], step)
        is_inner = eroded(object_mask | ~window.valid, 1)
        object_mask = object_mask & (is_inner | (steepest <= max_step))
    return object_mask


_MOSTLY_THICK = 0.8
"""Share of an object without lines of single pixels from which on these are no part of it."""


def _without_lines(object_mask: Mask, valid: Mask) -> Mask:
    """Object without lines of single pixels, which are mixtures; a thin object stays as it is."""
    opened = object_mask & dilated(eroded(object_mask | ~valid, 1), 1)
    return opened if opened.sum() >= _MOSTLY_THICK * object_mask.sum() else object_mask


_MAX_OVERLAP_LINKS = 0.3
"""Links of a part to pixels outside its mask, per pixel, from which on it is background."""


def _object_in_mask(parts: _Parts) -> tuple[Mask, int]:
    """Pixels of the object in a mask, and the number of its large parts.

    They are all parts but those that go on outside, where the mask is drawn too large.
    """
    counts = parts.counts
    largest = counts.max()
    is_of_object = parts.outward_links < _MAX_OVERLAP_LINKS * np.maximum(counts, 1)
    is_of_object &= counts >= _MIN_PART * largest
    is_of_object[int(counts.argmax())] = True
    is_large = is_of_object & (counts >= _LARGE_PART * largest)
    return parts.mask_of(is_of_object), int(is_large.sum())
