"""Volume of a heap above a plane, or of a hollow below it, such as a bowl.

A photograph shows the surface between the camera and what lies behind it. Of a heap, three parts
matter, in order of what is known:

- The columns below the visible surface, down to the plane. They are full.
- The rest of what the heap hides along the rays, from its crest down to the plane behind it. The
  heap fills it in part: the hidden back of a box is upright, and that of a cone is a slope.
- How much of that rest is full is estimated by symmetry. The back of an object with a front like
  its back is what a camera on the opposite side would see, so the part that this camera could not
  see, which we see, is as large as the part that we cannot see.

A hollow is empty along the rays at least. Below the ray past its near rim, it may be empty too.

Vectors are in the camera frame [m].
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rilievo.arrays.shapes import Float64, Mask, Vector
from rilievo.calibration.readings import Pixel, median_around, pixel_centre, ray
from rilievo.errors import CalibrationError, OptionError
from rilievo.errors.messages import format_beyond
from rilievo.measure.depth_noise import log_depth_noise, smooth_depth
from rilievo.measure.expected_errors import (
    log_error_beside_foot,
    log_error_of_length,
    require_certain_height,
)
from rilievo.measure.instrument_ranges import InstrumentRanges, instrument_ranges
from rilievo.measure.masks import dilated, surface_pixels
from rilievo.measure.measured_points import (
    check_pixels,
    depth_remarks,
    metric_camera,
    origin_of_points,
)
from rilievo.measure.measurements import Measurement, Point, Quantity
from rilievo.measure.placing_errors import POINT_ERROR
from rilievo.measure.plane_support import PlaneSupport, measure_support
from rilievo.measure.polygons import polygon_mask, require_simple_outline
from rilievo.measure.surface_planes import (
    BEND_PER_ERROR,
    MIN_BEND,
    SurfacePlane,
    fit_surface_plane,
    surface_bend,
)
from rilievo.records.prediction_record import PredictionRecord

Grid = Float64[np.ndarray, "h w"]
"""A value of each pixel of the window around an outline."""
VectorGrid = Float64[np.ndarray, "3 h w"]
"""A vector of each of these pixels."""

_RING_GAP = 0.03
"""Distance of the ring from the outline, over the side of a square as large as the outline."""
_RING_WIDTH = 0.15
"""Width of the ring, over the same side."""
_MAX_MISSING = 0.3
"""Largest fraction of the pixels inside of an outline without depth."""
_MAX_HIDDEN = 2.0
"""Largest part that an object may hide along the rays, over the part below its visible surface."""
_HIDDEN_RANGE = 0.55
"""Ends of the range of what is hidden, from the guess towards the least and the most possible.

If each is the less likely the farther it lies from the guess, with a triangular distribution, eight
in ten lie within 1 - √0.2 of the way."""
_MIN_TOLD_HIDDEN = 0.02
"""Hidden part from which on a remark mentions it, over the volume."""
_SUM_ERROR = 0.03
"""Relative error of the sum over pixels with exact depth, by the pixels at edges and by the guess
of what is hidden. Boxes, cones and bowls of ``tests/measure/test_volumes.py`` stay within it if
half of the back is seen."""
_MIN_INCIDENCE_COSINE = 0.1
"""Cosine between a ray and the normal below which neighbouring pixels show two surfaces, with a
step of depth between them and not a surface."""
_TOO_FLAT = (
    "a network makes objects too flat, so the volume is probably too small; with the depth of a "
    "sensor, the range is much narrower"
)
_MAY_BE_FLAT = (
    "the surface inside the outline may be flat, because its difference from the plane is within "
    "the error"
)
_SLOPE_STEPS = 40
"""The slope of a surface is taken over the side of the outline divided by this number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _ReferencePlane:
    """Plane above or below which a volume is measured.

    Attributes:
        normal: Unit normal, away from the camera.
        camera_distance: Distance of the camera from the plane [m].
        support: Points to which it was fitted.
        bend: Relative difference of depth from it that nine in ten parts of the ring stay below.
    """

    normal: Vector
    camera_distance: float
    support: PlaneSupport
    bend: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _VolumeParts:
    """Parts of a volume [m³], which are positive above the plane and negative below it.

    Attributes:
        along_rays: Between the visible surface and the plane, along the rays.
        in_columns: Between the visible surface and the plane, at right angles to the plane.
        front_columns: The part of ``in_columns`` that a camera on the opposite side would not see.
        surface_change: Change of ``along_rays`` for a relative change of the surface's depth by 1.
        plane_change: Change for a relative change of the plane's depth by 1.
        border_change: Change if the outline were a pixel larger.
        area: Area that the visible surface covers in the plane [m²].
        middle: Mean position of the surface inside of the outline.
        mean_height: Mean height of that surface above the plane [m].
    """

    along_rays: float
    in_columns: float
    front_columns: float
    surface_change: float
    plane_change: float
    border_change: float
    area: float
    middle: Vector
    mean_height: float

    @property
    def hidden(self) -> float:
        """What the object hides along the rays and may fill, or what a hollow hides, from 0 on."""
        return abs(self.along_rays - self.in_columns)


def volume(
    prediction: PredictionRecord, outline: Sequence[Point], base: Sequence[Point] = ()
) -> Measurement:
    """Measure the volume of a heap above a plane, or of a hollow below it [m³].

    The plane is fitted to the surface around the outline, so the outline should contain the whole
    object and not much more. If ``base`` has points, the plane goes through these, for example
    through the rim of a bowl. The volume is the integral of the height over the plane. It is
    positive for a hollow too; a remark says so.

    Args:
        prediction: Prediction in metres.
        outline: Corners of the outline in order, (column, row) [px].
        base: Points of the plane [px]: none, or three or more that are not on one line.

    Raises:
        OptionError: If the outline has fewer than three corners or crosses itself, or ``base`` has
            one or two points.
        CalibrationError: If depth is not in metres or missing, the surface around the outline shows
            no plane, or the object hides more than it shows.
    """
    metric_camera(prediction)
    require_certain_height(prediction.calibration)
    if len(outline) < 3:
        raise OptionError(f"a volume needs an outline of three corners or more, got {len(outline)}")
    pixels = check_pixels(prediction, outline)
    require_simple_outline([(pixel.u, pixel.v) for pixel in pixels])

    mask = polygon_mask(prediction.shape, outline)
    missing = 1 - float(surface_pixels(prediction)[mask].mean())
    if missing > _MAX_MISSING:
        raise CalibrationError(
            f"{format_beyond(100 * missing, 100 * _MAX_MISSING)}% of the pixels inside the outline "
            f"have no depth, but a volume needs depth in at least {1 - _MAX_MISSING:.0%} of them"
        )
    plane = _plane_through(prediction, base) if base else _plane_around(prediction, mask)
    parts = _volume_parts(prediction, mask, plane)
    error = _volume_error(prediction, parts, plane, pixels)
    # On a flat surface, both are nothing but errors.
    if parts.hidden > max(_MAX_HIDDEN * abs(parts.in_columns), *error):
        raise CalibrationError(
            "the object may hide more than twice of what it shows, so the photograph does not tell "
            "its volume: take the photograph from higher up"
        )
    measured = _with_hidden_part(parts, error)
    return replace(
        measured,
        origin=origin_of_points(prediction, outline),
        remarks=(
            *depth_remarks(prediction, outline),
            *measured.remarks,
            *_plane_remarks(prediction, plane),
            *_missing_remarks(missing),
            *((_TOO_FLAT,) if prediction.is_of_network else ()),
        ),
    )


def _plane_around(prediction: PredictionRecord, mask: Mask) -> _ReferencePlane:
    """Fit a plane to the surface in a ring around an outline, without objects that stand there."""
    side = math.sqrt(float(mask.sum()))
    gap = max(1, round(_RING_GAP * side))
    width = max(3, round(_RING_WIDTH * side))
    inner = dilated(mask, gap)
    ring = dilated(inner, width) & ~inner
    try:
        plane = fit_surface_plane(prediction, ring, exclude_other_surfaces=True)
    except CalibrationError as error:
        raise CalibrationError(
            "the surface around the outline has too little depth for a plane: outline the object "
            "with some ground around it in the picture, or give points of the plane"
        ) from error
    return _ReferencePlane(
        normal=plane.normal,
        camera_distance=plane.camera_distance,
        support=plane.support,
        bend=surface_bend(prediction, ring & _is_near(prediction, ring, plane), plane),
    )


_NEAR_MISFITS = 4.0
"""Largest offset of the ground from its plane, over the median; what lies beyond are objects."""


def _is_near(prediction: PredictionRecord, ring: Mask, plane: SurfacePlane) -> Mask:
    """Pixels whose depth is that of a plane, except for the misfit of the plane."""
    window = _window_around(ring)
    along_normal = _component(_rays_in(prediction, window), plane.normal)
    relative_depth = prediction.depth.values[window] * along_normal / plane.camera_distance
    is_near = np.zeros(ring.shape, dtype=bool)
    is_near[window] = np.abs(relative_depth - 1) <= _NEAR_MISFITS * max(plane.misfit, MIN_BEND)
    return is_near


_MIN_BASE_THICKNESS = 0.05
"""Least extent of points in their second direction, over that in their first one."""


def _plane_through(prediction: PredictionRecord, base: Sequence[Point]) -> _ReferencePlane:
    """Fit a plane to the depth at single points.

    Raises:
        OptionError: If there are fewer than three, or they lie nearly on one line.
    """
    if len(base) < 3:
        raise OptionError(
            option="base", problem=f"needs three points of the plane or more, got {len(base)}"
        )
    camera = prediction.known_camera
    centres = [pixel_centre(pixel) for pixel in check_pixels(prediction, base)]
    points = np.array(
        [ray(camera, pixel) * median_around(prediction.depth, pixel) for pixel in centres]
    )
    middle = points.mean(axis=0)
    _, extents, directions = np.linalg.svd(points - middle, full_matrices=False)
    if extents[1] <= _MIN_BASE_THICKNESS * extents[0]:
        raise OptionError(
            option="base",
            problem="has points that lie nearly on one line, which does not determine a plane",
            hint="spread the points around the object",
        )
    normal = directions[2] * math.copysign(1.0, float(directions[2] @ middle))
    camera_distance = float(normal @ middle)
    offsets = np.abs(points @ normal - camera_distance) / camera_distance
    return _ReferencePlane(
        normal=normal,
        camera_distance=camera_distance,
        support=measure_support(points, normal),
        bend=float(offsets.max()),
    )


def _volume_parts(prediction: PredictionRecord, mask: Mask, plane: _ReferencePlane) -> _VolumeParts:
    """Integrate the space between the plane and the surface inside of an outline.

    Raises:
        CalibrationError: If a ray inside of the outline does not meet the plane.
    """
    window = _window_around(mask)
    is_inside = mask[window]
    rays = _rays_in(prediction, window)
    depth = _complete_depth(prediction, window)
    points = rays * depth
    plane_depth = _depth_of_plane(plane, rays)
    if not np.isfinite(plane_depth[is_inside]).all():
        raise CalibrationError(
            "the object reaches above the horizon of the plane, so the photograph does not show "
            "what it hides: take the photograph from higher up"
        )

    # Along the rays: a pixel is a thin pyramid, whose section grows with the square of depth, and
    # whose volume is a third of its section times its depth.
    sections = np.abs(np.einsum("chw,chw->hw", rays, _cross_of_neighbours(rays, 1)))  # at depth 1
    pyramids = sections * (plane_depth**3 - depth**3) / 3
    outer_border = dilated(is_inside, 1) & ~is_inside & np.isfinite(plane_depth)

    # At right angles to the plane: a pixel is a thin prism.
    heights = plane.camera_distance - _component(points, plane.normal)
    areas = _column_areas(points, rays, plane.normal)
    prisms = heights * areas
    centre = _weighted_mean(points, np.where(is_inside, areas, 0))
    is_front = is_inside & _is_turned_from_opposite(points, plane, centre)
    return _VolumeParts(
        along_rays=float(pyramids[is_inside].sum()),
        in_columns=float(prisms[is_inside].sum()),
        front_columns=float(prisms[is_front].sum()),
        surface_change=-float((sections * depth**3)[is_inside].sum()),
        plane_change=float((sections * plane_depth**3)[is_inside].sum()),
        border_change=float(np.abs(pyramids[outer_border]).sum()),
        area=float(areas[is_inside].sum()),
        middle=points[:, is_inside].mean(axis=1),
        mean_height=float(heights[is_inside].mean()),
    )


def _complete_depth(prediction: PredictionRecord, window: tuple[slice, slice]) -> Grid:
    """Depth in a window, with gaps interpolated and noise smoothed [m]."""
    valid = surface_pixels(prediction)[window]
    depth = _interpolate_gaps(prediction.depth.values[window].astype(np.float64), valid)
    return smooth_depth(depth, valid, log_depth_noise(np.log(depth), valid))


def _depth_of_plane(plane: _ReferencePlane, rays: VectorGrid) -> Grid:
    """Depth at which rays meet a plane [m]; NaN where they do not."""
    component = _component(rays, plane.normal)
    return plane.camera_distance / np.where(component > 0, component, np.nan)


def _component(vectors: VectorGrid, direction: Vector) -> Grid:
    """Component of each vector along a unit direction."""
    return np.einsum("c,chw->hw", direction, vectors)


def _weighted_mean(points: VectorGrid, weights: Grid) -> Vector:
    weighted_sum = np.einsum("chw,hw->c", points, weights)
    return weighted_sum / max(float(weights.sum()), 1e-12)


def _window_around(mask: Mask) -> tuple[slice, slice]:
    """Slices of the rows and columns of a mask, with two pixels around it."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    height, width = mask.shape
    return (
        slice(max(int(rows[0]) - 2, 0), min(int(rows[-1]) + 3, height)),
        slice(max(int(columns[0]) - 2, 0), min(int(columns[-1]) + 3, width)),
    )


def _rays_in(prediction: PredictionRecord, window: tuple[slice, slice]) -> VectorGrid:
    """Points at a depth of 1 that the pixels of a window show."""
    rows, columns = (range(part.start, part.stop) for part in window)
    ones = np.ones((len(rows), len(columns)))
    return prediction.known_camera.points(ones, rows=rows, columns=columns)


def _interpolate_gaps(depth: Grid, valid: Mask) -> Grid:
    """Depth with linear inverse depth along the rows between pixels that have depth.

    Rows without any depth are interpolated down the columns.
    """
    inverse = 1 / np.where(valid, depth, 1)
    rows, columns = np.arange(depth.shape[0]), np.arange(depth.shape[1])
    row_has_depth = valid.any(axis=1)
    row_has_gap = ~valid.all(axis=1)
    for row in rows[row_has_depth & row_has_gap]:
        known = valid[row]
        inverse[row] = np.interp(columns, columns[known], inverse[row, known])
    if not row_has_depth.all():
        for column in columns:
            known_values = inverse[row_has_depth, column]
            inverse[:, column] = np.interp(rows, rows[row_has_depth], known_values)
    return 1 / inverse


def _cross_of_neighbours(vectors: VectorGrid, steps: int) -> VectorGrid:
    """Cross product of the differences to the right and down of a map of vectors, for a pixel.

    Differences are central, over ``steps`` pixels to both sides, or to one side at the border.
    """
    _, height, width = vectors.shape
    rows, columns = np.arange(height), np.arange(width)
    below, above = np.minimum(rows + steps, height - 1), np.maximum(rows - steps, 0)
    right, left = np.minimum(columns + steps, width - 1), np.maximum(columns - steps, 0)
    down_change = (vectors[:, below] - vectors[:, above]) / np.maximum(below - above, 1)[:, None]
    right_change = (vectors[:, :, right] - vectors[:, :, left]) / np.maximum(right - left, 1)
    return np.cross(right_change, down_change, axis=0)


def _column_areas(points: VectorGrid, rays: VectorGrid, normal: Vector) -> Grid:
    """Area that the surface at each pixel covers in the plane [m²], 0 at steps of depth."""
    area_vectors = _cross_of_neighbours(points, 1)
    areas = _component(area_vectors, normal)
    cosines = np.abs(np.einsum("chw,chw->hw", rays, area_vectors))
    lengths = np.linalg.norm(area_vectors, axis=0) * np.linalg.norm(rays, axis=0)
    return np.where(cosines > _MIN_INCIDENCE_COSINE * lengths, areas, 0)


def _is_turned_from_opposite(points: VectorGrid, plane: _ReferencePlane, centre: Vector) -> Mask:
    """Pixels whose surface a camera on the opposite side of the object would not see.

    That camera stands as far from the object and as high above the plane as the real one. It would
    see what this camera sees in the same way, so surfaces that are nearly along its rays count as
    hidden, as here.
    """
    side = max(1, min(points.shape[1:]) // _SLOPE_STEPS)
    outwards = -_cross_of_neighbours(points, side)
    # That camera is the mirror image of this one, at the origin, in the line through the centre
    # that is normal to the plane.
    centre_beside_camera = centre - (centre @ plane.normal) * plane.normal
    to_opposite = 2 * centre_beside_camera[:, None, None] - points
    cosines = np.einsum("chw,chw->hw", outwards, to_opposite)
    lengths = np.linalg.norm(outwards, axis=0) * np.linalg.norm(to_opposite, axis=0)
    return cosines < _MIN_INCIDENCE_COSINE * lengths


def _volume_error(
    prediction: PredictionRecord,
    parts: _VolumeParts,
    plane: _ReferencePlane,
    outline: Sequence[Pixel],
) -> tuple[float, float]:
    """Errors of a volume by depth, plane and outline, downwards and upwards [m³]."""
    value = abs(parts.along_rays)
    bend_error = _bend_error(prediction, plane) * plane.camera_distance * parts.area
    placing_error = math.hypot(POINT_ERROR * parts.border_change, _SUM_ERROR * value)
    ranges = instrument_ranges(prediction)
    if ranges is not None:
        depth_error = _instrument_error(ranges, parts, plane)
        error = math.hypot(depth_error, bend_error, placing_error)
        return error, error

    # A network errs in the scale, by a factor of three lengths, and in the shape of the scene.
    leftmost = min(outline, key=lambda pixel: pixel.u)
    rightmost = max(outline, key=lambda pixel: pixel.u)
    left, right = (
        ray(prediction.known_camera, pixel) * median_around(prediction.depth, pixel)
        for pixel in (leftmost, rightmost)
    )
    factor = math.exp(3 * log_error_of_length(prediction, left, right))
    foot = parts.middle + parts.mean_height * plane.normal
    shape_error = math.expm1(log_error_beside_foot(prediction, parts.middle, foot))
    relief_error = shape_error * plane.camera_distance * parts.area
    others = (bend_error, placing_error, relief_error)
    return math.hypot(value * (1 - 1 / factor), *others), math.hypot(value * (factor - 1), *others)


def _instrument_error(
    ranges: InstrumentRanges, parts: _VolumeParts, plane: _ReferencePlane
) -> float:
    """Error of a volume by the depth of an instrument [m³]."""
    foot = parts.middle + parts.mean_height * plane.normal
    depth_error = ranges.change_by_depth_errors(
        (parts.middle, foot), (parts.surface_change, parts.plane_change)
    )
    tilt = ranges.slope_error(plane.support, parts.middle)
    tilt_error = tilt * plane.camera_distance * parts.area
    # Another focal length scales the picture along both of its axes.
    focal_error = 2 * ranges.focal_error * abs(parts.along_rays)
    return math.hypot(depth_error, tilt_error, focal_error)


def _bend_error(prediction: PredictionRecord, plane: _ReferencePlane) -> float:
    """Relative error of a plane because what it was fitted to is not flat; 0 if depth explains it.

    A network bends flat ground, which its own error contains.
    """
    ranges = instrument_ranges(prediction)
    if ranges is None or prediction.is_of_network:
        return 0.0
    depth_error = ranges.varying_error_at(plane.support.middle)
    is_flat = plane.bend <= max(MIN_BEND, BEND_PER_ERROR * depth_error)
    return 0.0 if is_flat else plane.bend


def _with_hidden_part(parts: _VolumeParts, errors: tuple[float, float]) -> Measurement:
    """Volume with a guess of the hidden part, and a range to which this guess adds."""
    sign = math.copysign(1.0, parts.along_rays)
    hidden = parts.hidden
    if sign > 0:
        least, filled = sign * parts.in_columns, min(max(parts.front_columns, 0.0), hidden)
    else:
        # The wall below the near rim is between the ray past this rim and upright.
        least, filled = sign * parts.along_rays, hidden / 2
    value = least + filled
    error_below, error_above = errors
    low = value - math.hypot(error_below, _HIDDEN_RANGE * filled)
    high = value + math.hypot(error_above, _HIDDEN_RANGE * (hidden - filled))
    return Measurement(
        what=Quantity.VOLUME,
        value=value,
        low=max(low, 0.0),
        high=high,
        remarks=(_MAY_BE_FLAT,) if low <= 0 else _remarks_on_parts(sign, hidden, filled, value),
    )


def _remarks_on_parts(sign: float, hidden: float, filled: float, value: float) -> tuple[str, ...]:
    """Remarks on the side of the plane, and on what is hidden."""
    remarks: list[str] = []
    if sign < 0:
        remarks.append("this is the volume of a hollow: the surface lies below the plane")
    if hidden > _MIN_TOLD_HIDDEN * value:
        subject = "the back of the object" if sign > 0 else "the wall below the near rim"
        remarks.append(
            f"{subject} is hidden: the volume contains {filled / value:.0%} for it, and it may be "
            f"between 0 and {hidden / value:.0%}"
        )
    return tuple(remarks)


def _plane_remarks(prediction: PredictionRecord, plane: _ReferencePlane) -> tuple[str, ...]:
    bend = _bend_error(prediction, plane)
    if bend == 0:
        return ()
    return (
        "what the plane was fitted to is not flat: its depth deviates from the plane by "
        f"{100 * bend:.2g}%, which the range contains",
    )


def _missing_remarks(missing: float) -> tuple[str, ...]:
    if missing < _MIN_TOLD_HIDDEN:
        return ()
    return (
        f"{missing:.0%} of the pixels inside the outline have no depth, so the surface between "
        "their neighbours is measured there",
    )
