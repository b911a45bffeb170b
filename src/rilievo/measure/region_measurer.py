"""Distance and size of the object in a region, and an upright box around it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from rilievo.arrays.shapes import Float64, Mask, Matrix, Points, Vector
from rilievo.errors import CalibrationError
from rilievo.errors.messages import OptionName, Text
from rilievo.measure.depth_edges import block_side, depth_sharpness
from rilievo.measure.expected_errors import (
    is_focal_length_guessed,
    known_size_evidence,
    log_error_of_distance,
    require_certain_height,
)
from rilievo.measure.measured_points import (
    camera_and_point_remarks,
    instrument_remarks,
    metric_camera,
)
from rilievo.measure.measurements import Measurement, Quantity, measurement_with_range
from rilievo.measure.object_sizes import (
    MIN_OBJECT_PIXELS,
    ObjectExtents,
    ObjectSizes,
    object_extents,
)
from rilievo.measure.object_surface import (
    MAX_HIDDEN_FOOT_FRACTION,
    MIN_LEVEL_COSINE,
    ObjectSurface,
    ends_on_support,
    object_surface,
)
from rilievo.measure.outlines import SIDE_QUANTILES
from rilievo.measure.planes import TOLERANCES, Plane, plane_tolerance
from rilievo.measure.region_measurements import RangedPoint, RegionMeasurement, UprightBox
from rilievo.measure.region_ranges import (
    OutlineErrors,
    focal_error_of_sizes,
    outline_errors,
    region_origin,
)
from rilievo.measure.region_window import (
    PixelBox,
    WindowPixels,
    box_around,
    is_scattered,
    window_around,
)
from rilievo.measure.regions import Region, RegionLike, as_region
from rilievo.measure.separation import (
    RegionWindow,
    Separation,
    separate_object,
    sides_beyond_box,
)
from rilievo.measure.visible_floor import (
    distance_to_floor,
    find_floor_or_none,
    is_street_with_floor,
)
from rilievo.records.prediction_record import PredictionRecord

_OPTICAL_AXIS = np.array([0.0, 0.0, 1.0])
_PICTURE_UP = np.array([0.0, -1.0, 0.0])
"""Direction up for a camera that is held level."""
_MIN_TABLE_COSINE = math.cos(math.radians(50))
"""Least cosine between that direction and the vertical of a surface that counts as level."""
_NEAREST_QUANTILE = 0.1
"""Quantile of the distances of an object's points that is its nearest distance."""
_FOOT_ERROR = 0.15
"""Log error, which eight in ten stay below, of a distance by where an object meets the floor."""
_TILT_ERROR = 0.01
"""Further such error for each camera height of distance, because no camera is quite level."""
_YAW_ERROR = 35.0
"""Error of a box's yaw that eight in ten stay below [degrees]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _ObjectDistance:
    """Distances of an object [m], and their common log error.

    Attributes:
        median: Median distance of its points.
        nearest: Distance of its nearest tenth.
    """

    median: float
    nearest: float
    log_error: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _PlacedObject:
    """Visible surface of an object at its distance.

    Attributes:
        is_by_foot: Whether the distance follows from where the object meets the street, and not
            from its depth.
    """

    surface: ObjectSurface
    distance: _ObjectDistance
    is_by_foot: bool


class RegionMeasurer:
    """Measures the objects in regions of one prediction.

    What all regions of a prediction share, such as its floor, is found once.
    """

    def __init__(self, prediction: PredictionRecord) -> None:
        self.prediction = prediction
        self.camera = metric_camera(prediction)
        self.evidence = known_size_evidence(prediction)
        self.floor = find_floor_or_none(prediction)
        self.sharpness = depth_sharpness(prediction)
        self.block_side = block_side(prediction.depth.values)
        # Only a network's depth is less sure than the place where an object meets the street.
        self.is_street = (
            self.floor is not None
            and self.sharpness.has_soft_edges
            and is_street_with_floor(prediction, self.floor)
        )

    def measure(self, region_like: RegionLike, name: str = "") -> RegionMeasurement:
        """Measure the object in a region, which is called ``name`` unless it has a name already.

        Raises:
            OptionError: If the region is no box or lies outside.
            InputError: If a mask is of another size.
            CalibrationError: If there is too little depth in it, or metres are too uncertain.
        """
        # Which pixels show the object, and not what is around it.
        region = as_region(region_like, name)
        mask = region.mask_in(self.prediction.shape)
        box = box_around(mask)
        pixels = window_around(self.prediction, region, mask, self.sharpness, self.block_side)
        separation = separate_object(pixels.window, self._floor_plane(pixels.window))
        self._require_object(region, mask, pixels, separation)

        # Where it is, and on what it stands.
        up = self._up_direction(separation.planes)
        surface = object_surface(self.camera, self.prediction.shape, pixels, separation, up)
        axes = axes_of_view(up, self._forward_direction(surface))
        placed = self._place_object(surface, box)
        surface, distance = placed.surface, placed.distance
        ends, is_standing = ends_on_support(surface, axes)
        meets_ground = placed.is_by_foot or self._ends_at_floor(ends)
        if not meets_ground:
            # Metres by the height of the camera are safe only for what stands on the ground.
            require_certain_height(self.prediction.calibration)

        # How large it is.
        extents = object_extents(surface, ends, axes, self.floor)
        size_error = math.hypot(distance.log_error, focal_error_of_sizes(self.prediction))
        errors = outline_errors(self.prediction)
        extended = self._extended_surface(pixels, separation, up)
        extended_extents = None if extended is None else self._extents_along(extended, axes)
        sizes = _sizes_in_doubt(extents, extended_extents, size_error, errors)
        is_vertical_known = self.floor is not None or not np.array_equal(up, _PICTURE_UP)
        support_remarks = _cut_and_support_remarks(
            surface, is_standing=is_standing, is_vertical_known=is_vertical_known
        )
        measurement = RegionMeasurement(
            name=region.name,
            box=box.corners,
            share=float(separation.object_mask.sum() / pixels.window.region.sum()),
            distance=_distance_with_range(distance.median, distance.log_error),
            nearest=_distance_with_range(distance.nearest, distance.log_error),
            width=sizes.width,
            height=sizes.height,
            depth=sizes.depth,
            upright=self._upright_box(surface, extended, axes, distance.log_error, size_error),
            remarks=(
                *camera_and_point_remarks(self.prediction, (box.corners[:2], box.corners[2:])),
                *support_remarks,
                *_small_box_remarks(pixels, separation),
                *_hidden_part_remarks(separation, extents),
                *_doubtful_part_remarks(extents, extended_extents),
                *_blur_remarks(pixels.blur_width),
                *instrument_remarks(self.prediction),
            ),
        )
        return measurement.with_origin(region_origin(self.prediction, mask))

    def _require_object(
        self, region: Region, mask: Mask, pixels: WindowPixels, separation: Separation
    ) -> None:
        """Raise ``CalibrationError`` if a region has too little depth, or scattered depth.

        The message gives the likely cause.
        """
        window = pixels.window
        object_count = int(separation.object_mask.sum())
        depth_count = int((self.prediction.depth.valid & mask).sum())
        if depth_count >= MIN_OBJECT_PIXELS and is_scattered(window.valid, window.region):
            raise CalibrationError(
                f"{region.text}: only {depth_count} of its {int(mask.sum())} pixels have "
                "depth, and they are scattered, so rilievo cannot tell surfaces apart",
                hint=Text(
                    "give the depth with ",
                    OptionName("sparse", "FILE"),
                    ", so that the network fills the gaps",
                ),
            )
        if object_count >= MIN_OBJECT_PIXELS:
            return
        if self.block_side > 1:
            raise CalibrationError(
                f"{region.text}: has too few blocks of {self.block_side}x{self.block_side} equal "
                f"pixels on an object ({object_count}, expected at least {MIN_OBJECT_PIXELS}): "
                "choose a larger region, or give the depth map as it was before it was enlarged"
            )
        if object_count < depth_count:
            raise CalibrationError(
                f"{region.text}: has too few pixels on an object in front of its background "
                f"({object_count}, expected at least {MIN_OBJECT_PIXELS}): choose a larger region"
            )
        raise CalibrationError(
            f"{region.text}: has too few pixels with depth ({depth_count}, expected at least "
            f"{MIN_OBJECT_PIXELS}): choose a larger region"
        )

    def _floor_plane(self, window: RegionWindow) -> Plane | None:
        """Plane of the floor, with the tolerance that the depth around a region shows."""
        if self.floor is None:
            return None
        vector = -self.floor.normal / self.floor.height
        is_around = window.valid & ~window.region
        is_sampled = is_around if is_around.any() else window.valid
        offsets = np.abs(window.flat_points[is_sampled.reshape(-1)] @ vector - 1)
        floor_offsets = offsets[offsets < TOLERANCES[-1]]
        return Plane(vector=vector, tolerance=plane_tolerance(floor_offsets))

    def _up_direction(self, planes: Sequence[Plane]) -> Vector:
        """Unit direction up, by the floor or a level surface, else that of a level camera."""
        level_planes = [plane for plane in planes if plane.normal @ _PICTURE_UP > _MIN_TABLE_COSINE]
        if self.floor is None:
            return level_planes[0].normal if level_planes else _PICTURE_UP
        # If the floor is not flat, ``find_floor`` assumes the vertical of a level camera.
        is_vertical_assumed = np.array_equal(self.floor.normal, _PICTURE_UP)
        if not is_vertical_assumed:
            return self.floor.normal
        for plane in level_planes:
            is_exact = plane.tolerance <= 2 * TOLERANCES[0]
            if is_exact and plane.normal @ self.floor.normal > MIN_LEVEL_COSINE:
                return plane.normal
        return self.floor.normal

    def _forward_direction(self, surface: ObjectSurface) -> Vector:
        """Direction along which the depth of an object is measured.

        It is the optical axis, and in a fisheye picture or panorama the direction to the object.
        """
        if self.camera.lens.has_unit_rays:
            return np.median(surface.points, axis=0)
        return _OPTICAL_AXIS

    def _place_object(self, surface: ObjectSurface, box: PixelBox) -> _PlacedObject:
        """Find the distance of an object by its depth, or by where it meets the street.

        On a street, a network's depth is less sure than the place where an object stands. The
        surface is then scaled to the distance of this place.
        """
        by_depth = self._distance_by_depth(surface)
        foot_distance = self._foot_distance(box)
        if foot_distance is None:
            return _PlacedObject(surface=surface, distance=by_depth, is_by_foot=False)
        scale = foot_distance / math.sqrt(by_depth.nearest * by_depth.median)
        distance = _ObjectDistance(
            median=scale * by_depth.median,
            nearest=scale * by_depth.nearest,
            log_error=self._foot_error(foot_distance, by_depth.log_error),
        )
        return _PlacedObject(surface=surface.scaled(scale), distance=distance, is_by_foot=True)

    def _distance_by_depth(self, surface: ObjectSurface) -> _ObjectDistance:
        """Distances of an object by the depth of its pixels."""
        distances = np.linalg.norm(surface.points, axis=1)
        nearest, median = np.quantile(distances, (_NEAREST_QUANTILE, 0.5)).tolist()
        middle = np.median(surface.points, axis=0)
        log_error = log_error_of_distance(self.prediction, middle, self.evidence)
        return _ObjectDistance(median=median, nearest=nearest, log_error=log_error)

    def _foot_distance(self, box: PixelBox) -> float | None:
        """Distance at which the lower side of a box meets the street [m].

        Return None if the box reaches the lower border of the picture, or if there is no street.
        """
        is_cut = box.bottom > self.prediction.shape[0] - 2
        if is_cut or self.floor is None or not self.is_street:
            return None
        middle_column = (box.left + box.right) / 2
        return distance_to_floor(self.camera, self.floor, middle_column, box.bottom)

    def _foot_error(self, foot_distance: float, error_by_depth: float) -> float:
        """Log error of a distance [m] by the foot of an object on the street."""
        assert self.floor is not None, "an object's foot stands on a floor"
        error = math.hypot(_FOOT_ERROR, _TILT_ERROR * foot_distance / self.floor.height)
        # A wrong focal length changes the foot's distance too.
        return max(error_by_depth, error) if is_focal_length_guessed(self.camera) else error

    def _ends_at_floor(self, ends: Float64[np.ndarray, "2 3"]) -> bool:
        """Whether the lower end of an object is about at the height of the floor."""
        if self.floor is None:
            return False
        low, high = ends[:, 1]
        return bool(abs(low + self.floor.height) <= MAX_HIDDEN_FOOT_FRACTION * (high - low))

    def _extended_surface(
        self, pixels: WindowPixels, separation: Separation, up: Vector
    ) -> ObjectSurface | None:
        """Surface of an object with the parts that may belong to it; None if there are none."""
        if separation.doubtful_mask is None:
            return None
        extended = separation.with_doubtful_parts()
        return object_surface(self.camera, self.prediction.shape, pixels, extended, up)

    def _extents_along(self, surface: ObjectSurface, axes: Matrix) -> ObjectExtents:
        """Lengths of an object along axes to the right, up and forward."""
        ends, _ = ends_on_support(surface, axes)
        return object_extents(surface, ends, axes, self.floor)

    def _upright_box(
        self,
        surface: ObjectSurface,
        extended: ObjectSurface | None,
        view_axes: Matrix,
        distance_error: float,
        size_error: float,
    ) -> UprightBox | None:
        """Fit a box with vertical edges around an object, which covers the least floor area.

        ``extended`` is the surface with doubtful parts, which widens the ranges; None if there are
        none.

        Return None if no floor is visible.
        """
        if self.floor is None:
            return None
        yaw = yaw_of_least_area(surface.points @ view_axes.T)
        axes = _yaw_matrix(yaw) @ view_axes
        ends, is_standing = ends_on_support(surface, axes)
        bottom, top = ends[:, 1]  # Ends are (first, last) by (right, up, forward).
        bottom_above_floor = bottom + self.floor.height
        # An object whose support is not seen, and which ends just above the floor, stands on it.
        if not is_standing and abs(bottom_above_floor) < MAX_HIDDEN_FOOT_FRACTION * (top - bottom):
            ends[0, 1] -= bottom_above_floor

        # Below before above, left before right, near before far; the last one changes first.
        corners = [
            np.array([ends[right, 0], ends[up, 1], ends[forward, 2]]) @ axes
            for up, right, forward in product((0, 1), repeat=3)
        ]
        extents = object_extents(surface, ends, axes, self.floor)
        errors = outline_errors(self.prediction).turned(yaw)
        extended_extents = None if extended is None else self._extents_along(extended, axes)
        sizes = _sizes_in_doubt(extents, extended_extents, size_error, errors)
        degrees = math.degrees(yaw)
        return UprightBox(
            centre=_ranged_point(ends.mean(axis=0) @ axes, distance_error),
            width=sizes.width,
            height=sizes.height,
            depth=sizes.depth,
            yaw=Measurement(
                what=Quantity.ANGLE,
                value=degrees,
                low=degrees - _YAW_ERROR,
                high=degrees + _YAW_ERROR,
            ),
            corners=tuple(_ranged_point(corner, distance_error) for corner in corners),
        )


def axes_of_view(up: Vector, forward: Vector) -> Matrix:
    """Unit directions to the right, up and forward; the first and the last are horizontal.

    ``forward`` may have any length; its horizontal part counts.
    """
    horizontal = forward - float(forward @ up) * up
    horizontal = horizontal / np.linalg.norm(horizontal)
    return np.stack([np.cross(horizontal, up), up, horizontal])


_MAX_TURNED_POINTS = 1_000
"""Points of an object that are turned to find its box, for speed."""


def yaw_of_least_area(points: Points) -> float:
    """Yaw [rad], -45 to 45 degrees, of the upright box of least ground area around points.

    ``points`` are (right, up, forward).
    """
    sampled_points = points[:: max(1, len(points) // _MAX_TURNED_POINTS)]

    def ground_area(yaw: float) -> float:
        """Floor area of the box with this yaw [m²]."""
        ends = np.quantile(sampled_points @ _yaw_matrix(yaw).T, SIDE_QUANTILES, axis=0)
        width, _, depth = np.ptp(ends, axis=0).tolist()
        return width * depth

    yaws = np.radians(np.arange(-45, 45)).tolist()
    return min(yaws, key=ground_area)


def _yaw_matrix(yaw: float) -> Matrix:
    c, s = math.cos(yaw), math.sin(yaw)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def _ranged_point(position: Vector, log_error: float) -> RangedPoint:
    distance = float(np.linalg.norm(position))
    return RangedPoint(
        position=tuple(position.tolist()), distance=_distance_with_range(distance, log_error)
    )


def _distance_with_range(distance: float, log_error: float) -> Measurement:
    return measurement_with_range(Quantity.DISTANCE, distance, log_error)


def _cut_and_support_remarks(
    surface: ObjectSurface, *, is_standing: bool, is_vertical_known: bool
) -> tuple[str, ...]:
    """Remarks on an object that reaches out of the picture, or whose support was not found."""
    remarks: list[str] = []
    is_cut = surface.cut_sides.is_cut
    if is_cut:
        remarks.append(
            "the object reaches the border of the picture, so its sizes are those of the "
            "visible part"
        )
    if not is_vertical_known:
        remarks.append(
            "no level floor or table was found, so the object's sizes are along the axes of the "
            "picture, and wrong if the camera is tilted"
        )
    elif not (is_standing or is_cut):
        remarks.append(_support_remark(has_support=surface.support is not None))
    return tuple(remarks)


def _support_remark(*, has_support: bool) -> str:
    """Remark on an object that is not seen to stand on a surface."""
    if has_support:
        return (
            "the object does not reach down to the surface that was found below it: it may hang, "
            "or its lower part may be hidden, and its height is that of the visible part"
        )
    return (
        "the surface on which the object stands was not found, so its height is that of the "
        "visible part"
    )


def _small_box_remarks(pixels: WindowPixels, separation: Separation) -> tuple[str, ...]:
    """Remark on an object that goes on beyond sides of its box; none if there are none."""
    # A blurred edge looks like a surface that goes on.
    is_blurred = pixels.blur_width > 0
    sides = [] if is_blurred else sides_beyond_box(pixels.window, separation)
    if not sides:
        return ()
    plural = "s" if len(sides) > 1 else ""
    names = " and ".join(filter(None, (", ".join(sides[:-1]), sides[-1])))
    remark = (
        f"the object goes on beyond the {names} side{plural} of its box, so its "
        "sizes are those of the part inside: draw the box around all of it"
    )
    return (remark,)


_LONG_HIDDEN_BACK = 1.25
"""Longest depth over the depth that is seen from which on a remark says so."""


def _hidden_part_remarks(separation: Separation, extents: ObjectExtents) -> tuple[str, ...]:
    """Remarks on an object that is seen in several parts, or whose back is hidden."""
    remarks: list[str] = []
    if separation.part_count > 1:
        remarks.append(
            f"the object has {separation.part_count} separate parts at about the same distance, "
            "and its sizes are those of all parts together"
        )
    depth = extents.depth
    if depth.max_length > _LONG_HIDDEN_BACK * depth.visible_length:
        remarks.append(
            "the back of the object is hidden, so its depth is that of the visible part only: the "
            "true depth may be larger"
        )
    return tuple(remarks)


def _sizes_in_doubt(
    extents: ObjectExtents,
    extended_extents: ObjectExtents | None,
    size_error: float,
    errors: OutlineErrors,
) -> ObjectSizes:
    """Sizes of an object, with ranges that also contain those with its doubtful parts.

    ``extended_extents`` are the lengths with these parts; None if there are none.
    """
    sizes = extents.with_ranges(size_error, errors)
    if extended_extents is None:
        return sizes
    return sizes.spanning(extended_extents.with_ranges(size_error, errors))


_LONG_DOUBTFUL_PART = 1.05
"""Length with doubtful parts, over the length without them, from which on a remark says so."""


def _doubtful_part_remarks(
    extents: ObjectExtents, extended_extents: ObjectExtents | None
) -> tuple[str, ...]:
    """Remark on parts that may belong to an object; none if they hardly change its sizes."""
    if extended_extents is None:
        return ()
    lengths = extended_extents.visible_lengths
    if not np.any(lengths > _LONG_DOUBTFUL_PART * extents.visible_lengths):
        return ()
    width, height, depth = lengths.tolist()
    remark = (
        "the depth runs on from the object to what is beside or behind it, so it is not sure where "
        f"the object ends: with these parts, it is {width:.2g} m wide, {height:.2g} m high and "
        f"{depth:.2g} m deep, which the ranges contain"
    )
    return (remark,)


def _blur_remarks(blur_width: float) -> tuple[str, ...]:
    """Remark on edges that are blurred over ``blur_width`` pixels; none if it is 0."""
    if blur_width == 0:
        return ()
    remark = (
        f"the depth map is blurred: edges in and around this region are about {blur_width:.0f} "
        "pixels wide, so the sizes can be far too large. Give the depth map as it was before it "
        "was enlarged or smoothed"
    )
    return (remark,)
