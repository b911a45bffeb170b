"""Tell the object in a region from the floor, the walls and the other objects around it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Bool, Float64, Int, Mask, Points, Values, Vector
from rilievo.measure.depth_edges import (
    CONTINUOUS,
    LEAST_NOISE,
    NOISE_STEPS,
    SHARP_WIDTH,
    noise_of,
)

BIN = 0.02
"""Width of bins of log distance."""
VALLEY, VALLEY_OF_MASK = 0.15, 0.03
"""Share of the mode's density below which the object ends, in a box and in a mask."""
LOWEST = 0.05
"""Height, in the camera's, up to which anything is the floor where edges are soft."""
SPECK_NEIGHBOURS, SPECK_ROUNDS = 4, 2
"""Least number of a pixel's eight neighbours that show the object too, where depth is noisy."""
NOISE_ON_PLANE = 2.0
"""Least relative difference of depth on a plane, in standard deviations of the noise."""
MOST_PLANES = 5
PLANE_TRIALS = 150
LEAST_PLANE = 0.12
"""Least share of the surroundings that lies on a plane."""
LEAST_FOOT_PLANE = 0.05
"""The same of the surroundings of the foot."""
LEAST_PLANE_POINTS = 30
FOOT = 0.2
"""Share of a region, from below, beside which the surface is sought on which the object stands."""
MOST_SURROUNDING_POINTS = 2_000
TOLERANCES = (0.005, 0.03)
"""Relative differences of depth within which points lie on an exact plane, and on another."""
LEAST_ON_PLANE = 0.002
SAME_PLANE = 0.05
"""Largest relative difference of two fits of one plane."""
REFINEMENTS = 6
DEVIATIONS = 3 * 1.4826
"""Three standard deviations of normally distributed misses, in their medians."""
MOST_REMOVED = 0.9
"""Share of a region on planes from which on the object is small, or a plane, such as a rug."""
OVERLAP = 0.3
"""Links of a part of a mask to pixels outside it, a pixel, from which on it is background."""
CONTINUES = 0.1
"""The same for parts of a box that belong to what is beside it."""
CONTINUES_WIDELY = 0.5
"""The same for each root of its pixels: a large part may go on along a whole side of the box."""
LEAST_PART, LARGE_PART = 0.005, 0.25
"""Sizes of parts that count, and of those that are told, as shares of the largest."""
SLIVER_WIDTH = 3
"""Largest width of a side that is seen edge-on, beside the rest of an object [px of the grid]."""
STEEP, STEEP_BORDER = 0.015, 1.5
"""Step of log depth to a neighbour in a border that melts, and its width in that of edges."""
LARGE_PLANE = 0.1
"""Share of a region on a plane from which on it may be what the box shows."""
LEAST_SMALL = 12
"""Pixels before the planes around it that make a small object in a large box."""
MOSTLY_THICK = 0.8
"""Share of an object without lines of single pixels from which on these are no part of it."""
SLIVER_LEAD = 0.03
"""Share of depth by which such a side lies before the floor and the walls."""
MASK_BORDER = 0.03
"""Width of a mask's border, in roots of its area, that may show what is behind."""
_MULTIPLIER, _MODULUS = 16_807, 2**31 - 1  # Park and Miller (1988), which a page repeats


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """Plane m·p = 1 in the camera frame, and the relative depth within which points lie on it."""

    m: Vector
    tolerance: float

    def is_on(self, points: Points) -> Bool[np.ndarray, "n"]:
        """Whether points (n, 3) lie on it."""
        return np.abs(points @ self.m - 1) < self.tolerance

    @property
    def normal(self) -> Vector:
        """Unit normal towards the camera."""
        return -self.m / float(np.linalg.norm(self.m))

    def is_same(self, other: "Plane") -> bool:
        """Whether two planes differ by little."""
        length = float(np.linalg.norm(other.m))
        return float(np.linalg.norm(self.m - other.m)) < SAME_PLANE * length

    def heights_of(self, points: Points, up: Vector) -> Values:
        """Heights of points (n, 3) above it, along a direction ``up``."""
        return (points @ self.m - 1) / float(self.m @ up)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionWindow:
    """Grid of pixels of a region and its surroundings.

    Attributes:
        points: Points [m]; of no meaning where not ``valid``.
        weight: Weight of a pixel of the region as the object's.
        is_soft: Whether edges of depth are soft, as those of a network.
        noise: Standard deviation of log depth from pixel to pixel, before it was smoothed.
        edge_width: Width of edges before they were made sharp [px of the grid].
        has_mixtures: Whether pixels between two surfaces may have a depth that neither has.
    """

    points: Float64[np.ndarray, "3 h w"]
    valid: Mask
    region: Mask
    weight: Float64[np.ndarray, "h w"]
    is_box: bool
    is_soft: bool
    noise: float
    edge_width: float = 1.0
    has_mixtures: bool = False

    @property
    def flat_points(self) -> Points:
        """Points (n, 3) of all pixels in reading order."""
        return self.points.reshape(3, -1).T


@dataclass(frozen=True, slots=True, kw_only=True)
class Separation:
    """Pixels of the object in a window, and the planes around it.

    Attributes:
        parts: Number of parts of it that are not connected, and large.
        is_soft: Whether its last pixels may show what is beside it.
    """

    own: Mask
    planes: Sequence[Plane]
    parts: int
    is_soft: bool


def separate_object(window: RegionWindow, floor: Plane | None) -> Separation:
    """Find the object's pixels: off the planes around the region, and on connected surfaces.

    Where edges are soft and no plane is exact, as in a network's depth, they are those at the most
    frequent distance.
    """
    inside = window.region & window.valid
    around, at_foot = surrounding_points(window)
    planes = fit_planes(around)
    if window.is_soft and not any(plane.tolerance <= LEAST_ON_PLANE for plane in planes):
        own = _pixels_at_mode(window, inside, floor)
        planes = [] if floor is None else [floor]
        return Separation(own=own, planes=planes, parts=1, is_soft=True)
    add_planes(planes, fit_planes(at_foot, LEAST_FOOT_PLANE))
    add_planes(planes, [] if floor is None else [floor])
    candidates, accepted = _remove_planes(window, inside, planes)
    if window.noise > LEAST_NOISE:
        candidates = without_specks(candidates)
    logs = np.log(np.linalg.norm(np.where(window.valid, window.points, 1), axis=0))
    links = find_links(logs, window.valid)
    labels = label_parts(candidates, links)
    if window.is_box:
        is_before = candidates & _is_before(window, accepted, SLIVER_LEAD)
        own, parts = _parts_of_box(window, candidates, labels, links, logs, is_before)
    else:
        own, parts = _parts_of_mask(window, candidates, labels, links)
    return Separation(own=own, planes=accepted, parts=parts, is_soft=False)


def _pixels_at_mode(window: RegionWindow, inside: Mask, floor: Plane | None) -> Mask:
    """Find the pixels at the most frequent distance, as a soft edge joins all surfaces."""
    own = inside
    if window.is_box and floor is not None:
        above = inside & (np.tensordot(floor.m, window.points, 1) < 1 - LOWEST)
        own = above if above.sum() > (1 - MOST_REMOVED) * inside.sum() else inside
    if own.any():
        logs = np.log(np.linalg.norm(window.points[:, own], axis=0))
        valley = VALLEY if window.is_box else VALLEY_OF_MASK
        own = own.copy()
        own[own] = mask_around_mode(logs, window.weight[own], valley)
    return own


def mask_around_mode(logs: Values, weight: Values, valley: float) -> Bool[np.ndarray, "n"]:
    """Mask of values around their mode, until density falls to ``valley``."""
    places = ((logs - logs.min()) / BIN).astype(int)
    density = np.convolve(np.bincount(places, weight), [1, 2, 3, 2, 1])[2:-2]
    peak = density.argmax()
    sparse = np.flatnonzero(density < valley * density[peak])
    first = int(np.searchsorted(sparse, peak))
    low, high = [-1, *sparse, len(density)][first : first + 2]
    return (places > low) & (places < high)


def add_planes(planes: list[Plane], more: Sequence[Plane]) -> None:
    """Add planes that are not among them."""
    planes += [plane for plane in more if not any(each.is_same(plane) for each in planes)]


def surrounding_points(window: RegionWindow) -> list[Points]:
    """Points around the region, and those around its foot."""
    around = window.valid & ~window.region
    rows = np.flatnonzero(window.region.any(axis=1))
    at_foot = around.copy()
    at_foot[: math.ceil(rows[-1] - FOOT * (rows[-1] - rows[0]))] = False
    points = [window.flat_points[chosen.reshape(-1)] for chosen in (around, at_foot)]
    return [each[:: max(1, len(each) // MOST_SURROUNDING_POINTS)] for each in points]


def fit_planes(points: Points, share: float = LEAST_PLANE) -> list[Plane]:
    """Planes that hold many of the points (RANSAC, always the same trials).

    Exact planes are found first, and then those of a network, which are not quite flat.
    """
    planes: list[Plane] = []
    least = max(LEAST_PLANE_POINTS, share * len(points))
    for tolerance in TOLERANCES:
        while len(planes) < MOST_PLANES and len(points) >= least:
            plane = _largest_plane(points, tolerance)
            if plane is None or plane.is_on(points).sum() < least:
                break
            planes.append(plane)
            points = points[np.abs(points @ plane.m - 1) > 2 * plane.tolerance]
    return planes


def _largest_plane(points: Points, tolerance: float) -> Plane | None:
    p, q, r = points[_trial_indices(len(points))].transpose(1, 0, 2)
    volumes = np.einsum("ni,ni->n", p, np.cross(q, r))
    proposed = np.abs(volumes) > 1e-9 * np.abs(p * q * r).max()
    if not proposed.any():
        return None
    sums = np.cross(q, r) + np.cross(r, p) + np.cross(p, q)
    planes = sums[proposed] / volumes[proposed, None]
    votes = (np.abs(planes @ points.T - 1) < tolerance).sum(axis=1)
    return refine_plane(planes[int(votes.argmax())], points, tolerance)


def _trial_indices(count: int) -> Int[np.ndarray, "n 3"]:
    state, numbers = 1, []
    for _ in range(3 * PLANE_TRIALS):
        state = state * _MULTIPLIER % _MODULUS
        numbers.append(state % count)
    return np.array(numbers).reshape(-1, 3)


def refine_plane(m: Vector, points: Points, tolerance: float) -> Plane:
    """Fit by least squares to what lies on it, as closely as its roughness allows."""
    for _ in range(REFINEMENTS):
        inside = points[np.abs(points @ m - 1) < tolerance]
        if len(inside) < LEAST_PLANE_POINTS:
            break
        m = least_squares_plane(inside)
        tolerance = tolerance_of(np.abs(inside @ m - 1))
    return Plane(m=m, tolerance=tolerance)


def least_squares_plane(points: Points) -> Vector:
    """The vector m of the plane m·p = 1 with the least sum of squares."""
    return np.linalg.lstsq(points, np.ones(len(points)), rcond=None)[0]


def tolerance_of(misses: Values) -> float:
    """Relative depth within which points lie on a plane, by the misses of points on it."""
    if not len(misses):
        return LEAST_ON_PLANE
    return min(TOLERANCES[-1], max(DEVIATIONS * float(np.median(misses)), LEAST_ON_PLANE))


def _remove_planes(
    window: RegionWindow, inside: Mask, planes: Sequence[Plane]
) -> tuple[Mask, list[Plane]]:
    """Pixels of the region off the planes that the object stands on or before.

    A plane counts if most of what is left lies on the camera's side of it. Of a mask, only the
    border may show what is around the object.
    """
    removable = inside if window.is_box else inside & ~eroded(inside, mask_border(inside))
    points, weight = window.flat_points, np.where(inside, window.weight, 0).reshape(-1)
    left, accepted, large = inside.reshape(-1).copy(), list[Plane](), list[Plane]()
    for plane in planes:
        sides = points @ plane.m - 1
        on_it = np.abs(sides) < max(plane.tolerance, NOISE_ON_PLANE * window.noise)
        rest = left & ~on_it
        before = float(weight[rest & (sides < 0)].sum())
        if before <= 0.5 * float(weight[rest].sum()):
            continue
        if (left & on_it).sum() >= LARGE_PLANE * inside.sum():
            large.append(plane)
        left &= ~(on_it & removable.reshape(-1))
        accepted.append(plane)
    candidates = left.reshape(inside.shape)
    if left.sum() > (1 - MOST_REMOVED) * inside.sum():
        return candidates, accepted
    # Little is left: a small object before them, or what noise leaves of a plane that is measured.
    is_small_object = window.is_box and _has_part_before(window, candidates, large)
    return (candidates, accepted) if is_small_object else (inside, [])


def _has_part_before(window: RegionWindow, candidates: Mask, planes: Sequence[Plane]) -> bool:
    """Whether many pixels that are no lines and no specks lie clearly before all planes."""
    pixels = candidates & _is_before(window, planes, max(SLIVER_LEAD, NOISE_STEPS * window.noise))
    pixels = without_specks(pixels)
    return bool(pixels.sum() >= LEAST_SMALL)


def mask_border(mask: Mask) -> int:
    """Width of a mask's border that may show what is behind [px of the grid]."""
    return 1 + math.ceil(MASK_BORDER * math.sqrt(mask.sum()))


def eroded(mask: Mask, width: int) -> Mask:
    """Mask without its border of a width, in steps to the four neighbours."""
    for _ in range(width):
        padded = np.pad(mask, 1)
        mask = mask & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask


def dilated(mask: Mask, width: int) -> Mask:
    """Mask grown by a width, in steps to the four neighbours."""
    return ~eroded(np.pad(~mask, width, constant_values=True), width)[width:-width, width:-width]


def without_specks(mask: Mask) -> Mask:
    """Mask without pixels that have few of their eight neighbours in it."""
    for _ in range(SPECK_ROUNDS):
        rows = np.pad(mask.astype(np.int8), 1)
        rows = rows[:-2] + rows[1:-1] + rows[2:]
        neighbours = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:] - mask
        mask = mask & (neighbours >= SPECK_NEIGHBOURS)
    return mask


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """Pairs of neighbours on one surface: indices of their pixels in reading order."""

    first: Int[np.ndarray, "n"]
    second: Int[np.ndarray, "n"]


def find_links(logs: Float64[np.ndarray, "h w"], valid: Mask) -> Links:
    """Find the neighbours between which depth does not jump."""
    most = max(CONTINUOUS, NOISE_STEPS * noise_of(logs, valid))
    index = np.arange(logs.size).reshape(logs.shape)
    first, second = [], []
    for one, other in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        linked = valid[one] & valid[other] & (np.abs(logs[one] - logs[other]) <= most)
        first.append(index[one][linked])
        second.append(index[other][linked])
    return Links(first=np.concatenate(first), second=np.concatenate(second))


def label_parts(pixels: Mask, links: Links) -> Int[np.ndarray, "n"]:
    """Label of the connected part of each pixel: the least index in it."""
    chosen = pixels.reshape(-1)
    both = chosen[links.first] & chosen[links.second]
    first, second = links.first[both], links.second[both]
    label = np.arange(pixels.size)
    while True:
        one, other = label[first], label[second]
        differ = one != other
        if not differ.any():
            return label
        np.minimum.at(label, np.maximum(one, other)[differ], np.minimum(one, other)[differ])
        while not np.array_equal(label[label], label):
            label = label[label]


def _parts_of_box(
    window: RegionWindow,
    candidates: Mask,
    labels: Int[np.ndarray, "n"],
    links: Links,
    logs: Float64[np.ndarray, "h w"],
    is_before: Mask,
) -> tuple[Mask, int]:
    """The part with the largest weight, and others at its distance that end in the box."""
    chosen = candidates.reshape(-1)
    size = chosen.size
    weights = np.bincount(labels[chosen], window.weight.reshape(-1)[chosen], minlength=size)
    counts = np.bincount(labels[chosen], minlength=size)
    if not counts.any():
        return candidates, 0
    main = int(weights.argmax())
    values = logs.reshape(-1)
    own = chosen & (labels == main)
    nearest, farthest = float(values[own].min()), float(values[own].max())
    means = np.bincount(labels[chosen], values[chosen], minlength=size) / np.maximum(counts, 1)
    outward = _outward_links(window, chosen, labels, links)
    beside = (counts > 0) & (means >= nearest) & (means <= farthest)
    beside &= (outward <= CONTINUES * counts) & (outward <= CONTINUES_WIDELY * np.sqrt(counts))
    if window.has_mixtures:
        beside &= _are_thick(labels, chosen.reshape(candidates.shape), window)
    beside[main] = True
    beside &= counts >= LEAST_PART * counts[main]
    large = beside & (counts >= LARGE_PART * counts[main])
    own = (chosen & beside[labels]).reshape(candidates.shape)
    if not window.has_mixtures:
        ends_inside = (outward <= CONTINUES * counts)[labels]
        slivers = (chosen & ends_inside).reshape(own.shape) & is_before & ~own
        own = _with_slivers(own, slivers, labels)
    if window.edge_width > SHARP_WIDTH:
        own = _without_steep_border(own, logs, window)
    if window.has_mixtures:
        own = _without_lines(own, window.valid)
    return own, int(large.sum())


def _are_thick(
    labels: Int[np.ndarray, "n"], pixels: Mask, window: RegionWindow
) -> Bool[np.ndarray, "n"]:
    """Whether the part of each label is wider than an edge of depth."""
    # What has no depth is no border.
    inner = pixels & eroded(pixels | ~window.valid, math.ceil(window.edge_width / 2))
    is_thick = np.zeros(labels.size, bool)
    is_thick[labels[inner.reshape(-1)]] = True
    return is_thick


def _without_lines(own: Mask, valid: Mask) -> Mask:
    """Object without lines of single pixels, which are mixtures; a thin object stays as it is."""
    opened = own & dilated(eroded(own | ~valid, 1), 1)
    return opened if opened.sum() >= MOSTLY_THICK * own.sum() else own


def _without_steep_border(
    own: Mask, logs: Float64[np.ndarray, "h w"], window: RegionWindow
) -> Mask:
    """Object without the pixels at its border that melt into what is beside it."""
    most = max(STEEP, NOISE_STEPS * window.noise)
    for _ in range(math.ceil(STEEP_BORDER * window.edge_width)):
        steepest = np.zeros(own.shape)
        for first, second in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
            step = np.where(own[first] & own[second], np.abs(logs[first] - logs[second]), 0)
            steepest[first] = np.maximum(steepest[first], step)
            steepest[second] = np.maximum(steepest[second], step)
        own = own & (eroded(own | ~window.valid, 1) | (steepest <= most))
    return own


def _is_before(window: RegionWindow, planes: Sequence[Plane], lead: float) -> Mask:
    """Pixels that lie before all planes, by a share of depth."""
    is_before = np.ones(window.valid.shape, bool)
    for plane in planes:
        is_before &= np.tensordot(plane.m, window.points, 1) < 1 - lead
    return is_before


def _with_slivers(own: Mask, others: Mask, labels: Int[np.ndarray, "n"]) -> Mask:
    """Add thin parts beside the object: a side that is seen edge-on jumps from pixel to pixel."""
    is_thick = np.zeros(labels.size, bool)
    is_thick[labels[eroded(others, 2).reshape(-1)]] = True
    thin = others & ~is_thick[labels].reshape(own.shape)
    for _ in range(SLIVER_WIDTH):
        own = own | (thin & dilated(own, 1))
    return own


def _outward_links(
    window: RegionWindow, chosen: Bool[np.ndarray, "n"], labels: Int[np.ndarray, "n"], links: Links
) -> Values:
    """Number of links of each part to pixels outside the region."""
    region = window.region.reshape(-1)
    total = np.zeros(len(chosen))
    for one, other in ((links.first, links.second), (links.second, links.first)):
        crossing = chosen[one] & ~region[other]
        total += np.bincount(labels[one[crossing]], minlength=len(chosen))
    return total


def _parts_of_mask(
    window: RegionWindow, candidates: Mask, labels: Int[np.ndarray, "n"], links: Links
) -> tuple[Mask, int]:
    """All parts but those that go on outside the mask, where it is drawn too large."""
    chosen = candidates.reshape(-1)
    counts = np.bincount(labels[chosen], minlength=chosen.size)
    if not counts.any():
        return candidates, 0
    outward = _outward_links(window, chosen, labels, links)
    kept = (outward < OVERLAP * np.maximum(counts, 1)) & (counts >= LEAST_PART * counts.max())
    kept[int(counts.argmax())] = True
    large = kept & (counts >= LARGE_PART * counts.max())
    return (chosen & kept[labels]).reshape(candidates.shape), int(large.sum())
