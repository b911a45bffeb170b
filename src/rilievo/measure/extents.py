"""Distance and size of the thing in a region, and an upright box."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from rilievo.arrays.shapes import Float64, Int, Mask, Matrix, Points, Values, Vector
from rilievo.calibration.certainty import refuse_uncertain_box
from rilievo.calibration.floor import DEEP, FARTHEST, find_floor
from rilievo.calibration.points import Floor
from rilievo.errors import CalibrationError
from rilievo.geometry.cameras.camera import CameraSource
from rilievo.measure.depth_edges import (
    CONTINUOUS,
    LEAST_NOISE,
    SHARP_WIDTH,
    block_side,
    blur_width,
    edge_width,
    has_soft_edges,
    noise_of,
    sharpened,
    smoothed,
    smoothing_radius,
)
from rilievo.measure.expectation import (
    compute_error_grounds,
    is_focal_length_guessed,
    log_error_of_distance,
)
from rilievo.measure.instrument_ranges import FOCAL_ERRORS, focal_error
from rilievo.measure.quantities import (
    Measurement,
    Quantity,
    camera_and_point_remarks,
    instrument_remarks,
    measurement_with_range,
    metric_camera,
)
from rilievo.measure.region_ranges import outline_errors, region_origin, with_origin
from rilievo.measure.regions import Region, RegionLike, as_region
from rilievo.measure.separation import (
    TOLERANCES,
    Plane,
    RegionWindow,
    Separation,
    dilated,
    least_squares_plane,
    refine_plane,
    separate_object,
    tolerance_of,
)
from rilievo.records.prediction_record import PredictionRecord

LEAST_PIXELS = 12
# Numbers of points of a region that are read, and of which the turn of a box is found.
MOST_POINTS, MOST_TURNED = 30_000, 1_000
SURROUNDINGS = 0.15
"""Width of what is seen around a region, as a share of its larger side."""
LEAST_SURROUNDINGS = 3
BESIDE_LINES = 0.06
"""Lines to each side that are averaged where a border is sought, as a share of all lines."""
SAME_BORDER, NOISE_AT_BORDER = 1.5, 2.0
"""Largest step between the ends of such lines [px], and that by noise, in its deviations."""
MOSTLY_KNOWN, LEAST_GAIN = 0.6, 0.02
"""Share of a grid's pixels with depth that suffices, and what another grid must have more."""
MOST_STEPS, LEAST_LINES = 8, 6
"""Steps of grids that are tried, and the least number of their rows and columns."""
LEAST_MEASURED = 0.5
"""Share of a region's pixels that a sensor measured from which on the filled ones are left out."""
BORDER_ERROR = 0.7
"""Error of the place of a border, of eight in ten, in the width of edges of depth."""
FEW_NEIGHBOURS = 2
"""Number of a pixel's four neighbours with depth below which it is scattered."""
MOST_GAP = 12
"""Pixels of the grid from which on a gap beside an object is a background without depth."""
TOP, LEAST_STEEPNESS = 0.9, 0.1
"""Quantile of heights from which on points are on top, and the least sine of its view."""
SIDES = (0.01, 0.99)
"""Shares of points between which an object with soft edges lies, and by which a box is turned."""
NEAREST = 0.1
STANDS = 0.25
"""Share of an object's height above a surface up to which it stands on it with hidden feet."""
HIDDEN_FEET = 0.6
"""Largest horizontal way from its lowest points to the surface below them, in its widths."""
LEVEL = math.cos(math.radians(20))
"""Least cosine between the vertical and the normal of a level surface."""
TABLE_TILT = math.cos(math.radians(50))
"""The same between the vertical of the picture and that of a table, where no floor is seen."""
FAR_SHARES = (0.15, 0.5)
"""Shares of the extent along the view, one of which tells whether it ends in a level top."""
LEVEL_SHARE = 0.8
"""Share of the points of such a part that lie on a level plane."""
BEHIND = 0.9
"""Quantile of what is seen beside an object that its hidden part does not pass."""
LONGEST = 4.0
"""Largest depth that a hidden back may have, in the larger of width and height."""
HIDDEN = 1.25
"""Ratio of the longest depth to that which is seen from which on a remark says so."""
# Error of a box's turn [degrees], of eight in ten.
TURN_ERROR = 35.0
# Log errors of a distance by where a thing stands: of any, and for each camera height of it, as a
# camera is not quite level.
FOOT_ERROR, TILT_ERROR = 0.15, 0.01
# Least slope below the horizon that meets the floor.
LEAST_DROP = 1e-3

_AHEAD = np.array([0.0, 0.0, 1.0])
"""Direction of the optical axis."""
_PICTURE_UP = np.array([0.0, -1.0, 0.0])


@dataclass(frozen=True, slots=True, kw_only=True)
class RangedPoint:
    """Point [m] in the camera frame, with its distance and range."""

    position: tuple[float, ...]
    distance: Measurement


@dataclass(frozen=True, slots=True, kw_only=True)
class UprightBox:
    """Box around what is seen of a thing, with vertical edges.

    Attributes:
        width: Horizontal side [m] turned by ``yaw``.
        depth: Other horizontal side [m].
        yaw: Turn [degrees], -45 to 45; positive if its right side is farther.
        corners: Below, then above, left before right, near before far.
    """

    centre: RangedPoint
    width: Measurement
    height: Measurement
    depth: Measurement
    yaw: Measurement
    corners: tuple[RangedPoint, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionMeasurement:
    """Distance and size of the thing in a region.

    Attributes:
        box: First column and row, and last ones [px].
        share: Share of pixels that show the thing.
        distance: Median distance [m].
        nearest: Distance of the nearest tenth [m].
        width: Horizontal extent across the view [m].
        depth: Visible extent along the view [m].
        upright: Box on a visible floor.
    """

    name: str
    box: tuple[float, ...]
    share: float
    distance: Measurement
    nearest: Measurement
    width: Measurement
    height: Measurement
    depth: Measurement
    upright: UprightBox | None
    remarks: tuple[str, ...]

    def __str__(self) -> str:
        return self.text_in("m")

    def text_in(self, unit: str) -> str:
        """Name, distance and sizes in a unit, on one line."""
        names = ("distance", "nearest", "width", "height", "depth")
        sizes = ", ".join(f"{name} {getattr(self, name).text_in(unit)}" for name in names)
        return f"{self.name or 'thing'}: {sizes}; {100 * self.share:.0f} % of its region"


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectExtent:
    """Length of an object along an axis.

    Attributes:
        seen: Length of the part that is seen [m].
        longest: Length of the whole if what is hidden is as long as the picture permits [m].
        border: Error of the places of its two ends, of eight in ten [m].
        gap: Width of the gaps without depth in which it may go on [m].
    """

    seen: float
    longest: float
    border: float = 0.0
    gap: float = 0.0

    def measured(self, error: float, outline: float) -> Measurement:
        """Length with a range, by the log errors of its distance and of its outline."""
        by_border = math.log1p(self.border / self.seen) if self.seen > 0 else 0.0
        factor = math.exp(math.hypot(error, outline, by_border))
        return Measurement(
            what=Quantity.LENGTH,
            value=self.seen,
            low=self.seen / factor,
            high=max((self.seen + self.gap) * factor, self.longest * math.exp(error)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CutSides:
    """Borders of the picture that an object reaches."""

    top: bool
    bottom: bool
    left: bool
    right: bool

    @property
    def across(self) -> bool:
        """Whether it reaches the left or the right one."""
        return self.left or self.right

    @property
    def any(self) -> bool:
        """Whether it reaches one of them."""
        return self.across or self.top or self.bottom


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """Points [m] of an object to the borders of its pixels, with their places on the grid.

    Attributes:
        points: Points (n, 3): the centres of its pixels, and the outer borders of the last ones.
        rows: Row of each point on the grid.
        pixel: Size of a pixel of the grid at the object [m].
        view: Unit direction from the camera to the object.
        is_soft: Whether the last pixels may show what is beside the object.
        noise: Standard deviation of log depth from pixel to pixel.
        border: Error of the place of a border, of eight in ten [m].
        gaps: Mean width of the gaps without depth to the left, right, top and bottom [m].
    """

    points: Points
    rows: Int[np.ndarray, "n"]
    columns: Int[np.ndarray, "n"]
    pixel: float
    view: Vector
    is_soft: bool
    noise: float
    border: float
    gaps: tuple[float, float, float, float]

    def scaled(self, factor: float) -> "Outline":
        """Outline at another distance, seen from the same place."""
        left, right, top, bottom = self.gaps
        return replace(
            self,
            points=factor * self.points,
            pixel=factor * self.pixel,
            border=factor * self.border,
            gaps=(factor * left, factor * right, factor * top, factor * bottom),
        )

    def ends_along(self, axes: Matrix) -> Float64[np.ndarray, "2 3"]:
        """First and last coordinate along axes to the right, up and forward.

        The outermost points of each row, or column, are averaged with those of the lines beside
        them, since a border lies anywhere between the centres of two pixels.
        """
        along = self.points @ axes.T
        if self.is_soft:
            return np.quantile(along, SIDES, axis=0)
        lines = self.rows, self.columns, self.columns
        far = CONTINUOUS * float(np.median(np.linalg.norm(self.points, axis=1)))
        ends = np.empty((2, 3))
        for axis in range(3):
            reach = SAME_BORDER * self.pixel + far * abs(float(axes[axis] @ self.view))
            reach += NOISE_AT_BORDER * self.noise * far / CONTINUOUS
            ends[0, axis] = -_outermost(-along[:, axis], lines[axis], reach, self.pixel)
            ends[1, axis] = _outermost(along[:, axis], lines[axis], reach, self.pixel)
        return ends


def _outermost(along: Values, lines: Int[np.ndarray, "n"], reach: float, pixel: float) -> float:
    """Place of a border [m]: the mean of the lines that end within a pixel of the largest end.

    The end of each line is first moved onto a line fitted to the ends beside it within reach. The
    largest end alone would be too large by half a pixel, because a border lies anywhere between the
    centres of two pixels, and the largest end is that of the line where it lies farthest in.
    """
    first_line = int(lines.min())
    profile = np.full(int(lines.max()) - first_line + 1, -np.inf)
    np.maximum.at(profile, lines - first_line, along)
    width = round(BESIDE_LINES * len(profile))
    padded = np.pad(profile, width, constant_values=-np.inf)
    offsets = np.arange(-width, width + 1)
    ends = profile[np.isfinite(profile)]
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * width + 1)[np.isfinite(profile)]
    is_near = np.abs(around - ends[:, None]) <= reach
    differences = np.where(is_near, around - ends[:, None], 0)
    # Normal equations of the line through the differences, at the offset 0.
    count, first_moment, second_moment = (is_near @ offsets**power for power in range(3))
    determinant = count * second_moment - first_moment**2
    numerator = second_moment * differences.sum(axis=1) - first_moment * (differences @ offsets)
    corrections = np.where(determinant > 0, numerator / np.maximum(determinant, 1), 0)
    fitted = ends + corrections
    return float(fitted[fitted > fitted.max() - pixel].mean())


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectSurface:
    """Part of an object that is seen.

    Attributes:
        points: Points of its pixels (n, 3) [m].
        beside: Points just beside it in the picture.
        is_open: Whether what is beside it has no depth, such as sky.
        support: Level surface on which it stands, or above which it hangs.
    """

    points: Points
    outline: Outline
    beside: Points
    is_open: bool
    support: Plane | None
    cut: CutSides

    def scaled(self, factor: float) -> "ObjectSurface":
        """Surface at another distance, seen from the same place."""
        support, outline = self.support, self.outline
        return replace(
            self,
            points=factor * self.points,
            outline=outline.scaled(factor),
            beside=factor * self.beside,
            support=support and replace(support, m=support.m / factor),
        )


class RegionMeasurer:
    """Measurer of one prediction's regions, with its floor and facts."""

    def __init__(self, prediction: PredictionRecord) -> None:
        self.prediction, self.camera = prediction, metric_camera(prediction)
        self.is_assumed = is_focal_length_guessed(self.camera)
        self.grounds = compute_error_grounds(prediction)
        self.floor = floor = find_floor_or_none(prediction)
        self.is_soft = has_soft_outlines(prediction)
        self.edge_width = edge_width_of(prediction)
        self.block_side = block_side(prediction.depth.values)
        self.is_street = floor is not None and is_street_with_floor(prediction, floor)
        # Only a network's depth is less sure than the place where an object meets the street.
        self.is_street &= self.is_soft

    def measure(self, place: RegionLike) -> RegionMeasurement:
        """Measure the thing in a region.

        Raises:
            OptionError: If the region is no box or lies outside.
            InputError: If a mask is of another size.
            CalibrationError: If there is too little depth in it.
        """
        region, shape = as_region(place), self.prediction.shape
        mask = region.mask_in(shape)
        rows, columns = (np.flatnonzero(mask.any(axis=axis)).tolist() for axis in (1, 0))
        u1, v1, u2, v2 = box = columns[0], rows[0], columns[-1], rows[-1]
        pixels = self._pixels_around(region, mask, box)
        separation = separate_object(pixels.window, self._floor_plane(pixels.window))
        share = float(separation.own.sum() / pixels.window.region.sum())
        self._check_depth(region, mask, pixels, separation)
        up = self._up(separation.planes)
        surface = self._surface(pixels, separation, up)
        far = np.linalg.norm(surface.points, axis=1)
        near, middle = (float(quantile) for quantile in np.quantile(far, (NEAREST, 0.5)))
        at = np.median(surface.points, axis=0)
        error = log_error_of_distance(self.prediction, at, self.grounds)
        foot = self._distance_to_floor((u1 + u2) / 2, v2) if v2 <= shape[0] - 2 else math.inf
        if math.isfinite(foot) and self.floor is not None:
            scale = foot / math.sqrt(near * middle)
            near, middle, surface = scale * near, scale * middle, surface.scaled(scale)
            near_foot = math.hypot(FOOT_ERROR, TILT_ERROR * foot / self.floor.height)
            # An assumed focal length moves the foot too: the range stays that of such distances.
            error = max(error, near_foot) if self.is_assumed else near_foot
        axes = axes_of_view(up, self._forward(at))
        ends, stands = self._ends_on_support(surface, axes)
        meets_ground = math.isfinite(foot) or self._ends_at_floor(ends)
        refuse_uncertain_box(self.prediction.calibration, meets_ground=meets_ground)
        extents = self._extents(surface, ends, axes)
        remarks = camera_and_point_remarks(self.prediction, ((u1, v1), (u2, v2)))
        remarks += _remarks_on_parts(
            surface.cut,
            separation.parts,
            extents,
            stands=stands,
            knows_vertical=self.floor is not None or not np.array_equal(up, _PICTURE_UP),
        )
        if pixels.blur_width:
            remarks += (
                f"the depth map is blurred: edges in and around this region are about "
                f"{pixels.blur_width:.0f} pixels wide, so the sizes can be far too large. Give the "
                "map as it was before it was enlarged or smoothed",
            )
        remarks += instrument_remarks(self.prediction)
        measured = RegionMeasurement(
            name=region.name,
            box=box,
            share=share,
            distance=measurement_with_range(Quantity.DISTANCE, middle, error),
            nearest=measurement_with_range(Quantity.DISTANCE, near, error),
            **self._box_sizes(extents, 0.0, self._size_error(error)),
            upright=self._upright_box(surface, axes, error),
            remarks=remarks,
        )
        return with_origin(measured, region_origin(self.prediction, mask))

    def _check_depth(
        self, region: Region, mask: Mask, pixels: "_WindowPixels", separation: Separation
    ) -> None:
        """Raise ``CalibrationError`` where a region has too little depth, or scattered depth."""
        window = pixels.window
        count = int((self.prediction.depth.valid & mask).sum())
        if count >= LEAST_PIXELS and is_scattered(window.valid, window.region):
            raise CalibrationError(
                f"{region.text}: only {count} of its {int(mask.sum())} pixels have depth, and they "
                "are scattered, so that surfaces cannot be told apart: give the depth as sparse, "
                "whose gaps the network fills"
            )
        if separation.own.sum() < LEAST_PIXELS and self.block_side > 1:
            raise CalibrationError(
                f"{region.text}: {int(separation.own.sum())} blocks of {self.block_side}x"
                f"{self.block_side} equal pixels of an object lie there, expected {LEAST_PIXELS}: "
                "choose a larger region, or give the map as it was before it was enlarged"
            )
        if separation.own.sum() < LEAST_PIXELS:
            found = min(count, int(separation.own.sum()))
            raise CalibrationError(
                f"{region.text}: {found} pixels of an object lie there, apart from what is behind "
                f"it, expected {LEAST_PIXELS}: choose a larger region"
                if found < count
                else f"{region.text}: {count} pixels with depth lie there, expected "
                f"{LEAST_PIXELS}: choose a larger region"
            )

    def _up(self, planes: Sequence[Plane]) -> Vector:
        """Direction up: from the floor, else from a level surface, else the picture's."""
        picture_up = _PICTURE_UP
        level = [plane for plane in planes if plane.normal @ picture_up > TABLE_TILT]
        if self.floor is None:
            return level[0].normal if level else picture_up
        exact = [
            plane
            for plane in level
            if plane.tolerance <= 2 * TOLERANCES[0] and plane.normal @ self.floor.normal > LEVEL
        ]
        # Of a floor that is not flat, the vertical is a guess: that of a level camera.
        is_guess = np.array_equal(self.floor.normal, picture_up)
        return exact[0].normal if is_guess and exact else self.floor.normal

    def _floor_plane(self, window: RegionWindow) -> Plane | None:
        if self.floor is None:
            return None
        m = -self.floor.normal / self.floor.height
        around = (window.valid & ~window.region).reshape(-1)
        points = window.flat_points[around if around.any() else window.valid.reshape(-1)]
        misses = np.abs(points @ m - 1)
        return Plane(m=m, tolerance=tolerance_of(misses[misses < TOLERANCES[-1]]))

    def _size_error(self, error: float) -> float:
        return math.hypot(error, focal_error_of_sizes(self.prediction))

    def _distance_to_floor(self, u: float, v: float) -> float:
        if self.floor is None or not self.is_street:
            return math.inf
        ray = self.camera.rays(np.array([u, v], np.float64))
        far = float(np.linalg.norm(ray))
        drop = -float(ray @ self.floor.normal) / far
        return self.floor.height / drop if drop > LEAST_DROP else math.inf

    def _pixels_around(self, region: Region, mask: Mask, box: Sequence[int]) -> "_WindowPixels":
        u1, v1, u2, v2 = box
        height, width = v2 + 1 - v1, u2 + 1 - u1
        known = self._known_depth(mask)
        least_step = max(self.block_side, math.isqrt(height * width // MOST_POINTS))
        grid = densest_grid(known[v1 : v2 + 1, u1 : u2 + 1], least_step)
        step = grid.step
        around = max(LEAST_SURROUNDINGS, math.ceil(SURROUNDINGS * max(height, width) / step))
        rows, columns = (
            range(
                start - step * min(around, start // step),
                min(stop + step * around + 1, size),
                step,
            )
            for start, stop, size in zip(
                (v1 + grid.row, u1 + grid.column), (v2, u2), self.prediction.shape, strict=True
            )
        )
        place = tuple(slice(each.start, each.stop, step) for each in (rows, columns))
        valid = known[place]
        depth = np.where(valid, self.prediction.depth.values[place], 1).astype(np.float64)
        noise = noise_of(np.log(depth), valid)
        # Of the pixels of an edge, those on the grid are left.
        width_on_grid = 1 + (self.edge_width - 1) / step
        noise_left = noise / (2 * smoothing_radius(noise) + 1)
        smooth = smoothed(depth, valid, noise)
        # Of a network's depth, and of a map that rilievo enlarged, soft edges are known.
        may_be_blurred = not self.is_soft and pixel_of_instrument(self.prediction) <= SHARP_WIDTH
        depth = sharpened(smooth, valid, width_on_grid, noise_left)
        inside = mask[place]
        v, u = np.meshgrid(rows, columns, indexing="ij")
        weight = np.ones(inside.shape)
        if region.is_box:  # whose middle shows the object, and whose borders what is beside
            across, down = (
                1.001 - np.square(np.clip(2 * (each - low) / max(high - low, 1) - 1, -1, 1))
                for each, low, high in ((u, u1, u2), (v, v1, v2))
            )
            weight = across * down
        window = RegionWindow(
            points=self.camera.points(depth, rows=rows, columns=columns),
            valid=valid,
            region=inside,
            weight=weight,
            is_box=region.is_box,
            is_soft=self.is_soft,
            noise=noise,
            edge_width=width_on_grid,
            has_mixtures=self.edge_width > SHARP_WIDTH or noise > LEAST_NOISE,
        )
        return _WindowPixels(
            window=window,
            depth=depth,
            u=u,
            v=v,
            step=step,
            blur_width=step * blur_width(smooth, depth, valid) if may_be_blurred else 0.0,
        )

    def _forward(self, middle: Vector) -> Vector:
        """Direction along which depth is measured: that to the object in a fisheye or panorama.

        The picture of another camera has one direction, its optical axis, as for its depth.
        """
        return middle if self.camera.lens.has_unit_rays else _AHEAD

    def _known_depth(self, mask: Mask) -> Mask:
        """Pixels with depth and no sky; of a sensor those that it measured, if they are enough."""
        known = valid_without_sky(self.prediction, (slice(None), slice(None)))
        measured = self.prediction.measured
        if measured is None or self.prediction.is_of_network:
            return known
        inside = known & mask
        if (inside & measured).sum() < LEAST_MEASURED * inside.sum():
            return known
        return known & measured

    def _surface(
        self, pixels: "_WindowPixels", separation: Separation, up: Vector
    ) -> ObjectSurface:
        own, window = separation.own, pixels.window
        points = window.points[:, own].T
        ring = dilated(own, 2) & ~own
        beside = window.points[:, ring & window.valid].T
        level = [plane for plane in separation.planes if plane.normal @ up > LEVEL]
        support = min(
            level,
            key=lambda plane: abs(float(np.quantile(plane.heights_of(points, up), 0.01))),
            default=None,
        )
        (height, width), (v, u) = self.prediction.shape, (pixels.v[own], pixels.u[own])
        cut = CutSides(
            top=int(v.min()) < pixels.step,
            left=int(u.min()) < pixels.step,
            bottom=int(v.max()) > height - 1 - pixels.step,
            right=int(u.max()) > width - 1 - pixels.step,
        )
        is_open = bool((ring & window.valid).sum() <= 0.9 * ring.sum())
        return ObjectSurface(
            points=points,
            outline=self._outline(pixels, separation),
            beside=beside,
            is_open=is_open,
            support=support,
            cut=cut,
        )

    def _outline(self, pixels: "_WindowPixels", separation: Separation) -> Outline:
        window, step, own = pixels.window, pixels.step, separation.own
        row, column = np.indices(own.shape)
        points, rows, columns = [window.points[:, own]], [row[own]], [column[own]]
        for way, depth, is_last in () if separation.is_soft else borders_of(pixels.depth, own):
            places = np.stack([pixels.u[is_last], pixels.v[is_last]]) + step / 2 * way[:, None]
            points.append(self.camera.rays(places) * depth[is_last])
            rows.append(row[is_last])
            columns.append(column[is_last])
        middle = np.median(points[0], axis=1)
        place = self.camera.project(middle)
        beside = [self.camera.rays(place + np.array([shift, 0.0])) for shift in (-0.5, 0.5)]
        far = float(self.camera.depth_of(middle))
        pixel = step * far * float(np.linalg.norm(beside[1] - beside[0]))
        left, right, top, bottom = (pixel * width for width in gaps_beside(own, window.valid))
        return Outline(
            points=np.concatenate(points, axis=1).T,
            rows=np.concatenate(rows),
            columns=np.concatenate(columns),
            pixel=pixel,
            view=middle / np.linalg.norm(middle),
            is_soft=separation.is_soft,
            noise=window.noise if window.noise > LEAST_NOISE else 0.0,
            # A network's outline has an error that contains this one.
            border=0.0 if separation.is_soft else BORDER_ERROR * window.edge_width * pixel,
            gaps=(left, right, top, bottom),
        )

    def _ends_on_support(
        self, surface: ObjectSurface, axes: Matrix
    ) -> tuple[Float64[np.ndarray, "2 3"], bool]:
        """Ends along axes, from the surface on which the object stands, and whether it stands."""
        ends = surface.outline.ends_along(axes)
        if surface.support is None or surface.cut.bottom:
            return ends, False
        up = axes[1]
        heights = surface.support.heights_of(surface.points, up)
        level = float(np.median(surface.points @ up - heights))
        gap, whole = float(ends[0, 1]) - level, float(ends[1, 1]) - level
        lowest = surface.points[heights <= np.quantile(heights, 0.02)]
        drop, ahead = -(lowest @ up), np.linalg.norm(lowest @ axes[::2].T, axis=1)
        way = gap * float(np.median(ahead / np.maximum(drop, 1e-9)))
        stands = gap <= STANDS * whole and way <= HIDDEN_FEET * float(np.ptp(ends[:, 0]))
        if stands:
            ends[0, 1] = min(float(ends[0, 1]), level) if surface.outline.is_soft else level
        return ends, stands

    def _ends_at_floor(self, ends: Float64[np.ndarray, "2 3"]) -> bool:
        """Whether the lower end of an object is at the height of the floor."""
        if self.floor is None:
            return False
        low, high = ends
        return bool(abs(low[1] + self.floor.height) <= STANDS * (high[1] - low[1]))

    def _extents(
        self, surface: ObjectSurface, ends: Float64[np.ndarray, "2 3"], axes: Matrix
    ) -> dict[str, ObjectExtent]:
        width, height, depth = np.ptp(ends, axis=0).tolist()
        most = LONGEST * max(width, height)
        longest_height = height
        if surface.cut.top:
            longest_height = most
        elif surface.cut.bottom:
            longest_height = max(
                height, most if self.floor is None else float(ends[1, 1]) + self.floor.height
            )
        outline = surface.outline
        left, right, top, bottom = outline.gaps
        border = math.sqrt(2) * outline.border
        return {
            "width": ObjectExtent(
                seen=width,
                longest=most if surface.cut.across else width,
                border=border,
                gap=left + right,
            ),
            "height": ObjectExtent(
                seen=height, longest=longest_height, border=border, gap=top + bottom
            ),
            "depth": ObjectExtent(
                seen=depth,
                longest=_longest_depth(surface, ends, axes, most),
                border=border / _steepness_of_view(surface.points, axes[1]),
            ),
        }

    def _box_sizes(
        self, extents: Mapping[str, ObjectExtent], yaw: float, error: float
    ) -> dict[str, Measurement]:
        """Width, height and depth along axes that are turned by ``yaw`` [rad]."""
        c, s = math.cos(yaw), math.sin(yaw)
        errors = outline_errors(self.prediction)
        turned = {
            "width": math.hypot(c * errors["width"], s * errors["depth"]),
            "height": errors["height"],
            "depth": math.hypot(s * errors["width"], c * errors["depth"]),
        }
        return {name: extents[name].measured(error, own) for name, own in turned.items()}

    def _upright_box(
        self, surface: ObjectSurface, view_axes: Matrix, error: float
    ) -> UprightBox | None:
        if self.floor is None:
            return None
        yaw = turn_of_least_area(surface.points @ view_axes.T)
        axes = _yaw_matrix(yaw) @ view_axes
        ends, stands = self._ends_on_support(surface, axes)
        low, high = ends
        above = low[1] + self.floor.height
        if not stands and abs(above) < STANDS * (high[1] - low[1]):
            low[1] -= above
        corners = [ends[(x, y, z), (0, 1, 2)] @ axes for y, x, z in product((0, 1), repeat=3)]
        turn = math.degrees(yaw)
        return UprightBox(
            centre=_ranged_point(ends.mean(axis=0) @ axes, error),
            **self._box_sizes(self._extents(surface, ends, axes), yaw, self._size_error(error)),
            yaw=Measurement(
                what=Quantity.ANGLE, value=turn, low=turn - TURN_ERROR, high=turn + TURN_ERROR
            ),
            corners=tuple(_ranged_point(corner, error) for corner in corners),
        )


_WAYS = np.array([[-1.0, 0.0], [1.0, 0.0], [0.0, -1.0], [0.0, 1.0]])
"""Columns and rows to the four neighbours of a pixel."""


def borders_of(
    depth: Float64[np.ndarray, "h w"], own: Mask
) -> Iterator[tuple[Vector, Float64[np.ndarray, "h w"], Mask]]:
    """Ways to the four sides, depth half a pixel that way, and the last pixels of the object.

    Inverse depth is linear on a plane; a pixel without a neighbour on the other side has its own.
    """
    inverse = np.pad(1 / depth, 1)
    is_own = np.pad(own, 1)
    height, width = depth.shape
    for way in _WAYS:
        right, down = way.astype(int)
        after = np.s_[1 + down : 1 + down + height, 1 + right : 1 + right + width]
        before = np.s_[1 - down : 1 - down + height, 1 - right : 1 - right + width]
        rise = (1 / depth - inverse[before]) * depth
        goes_on = is_own[before] & (np.abs(rise) <= CONTINUOUS)
        yield way, depth / (1 + np.where(goes_on, rise / 2, 0)), own & ~is_own[after]


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelGrid:
    """Every ``step``-th pixel of a region, from a row and a column in it."""

    step: int
    row: int
    column: int


def densest_grid(known: Mask, least_step: int) -> PixelGrid:
    """Finest grid, at least of a step, most of whose pixels have depth; else the densest one.

    A map may have depth at every second or third pixel only, or along every seventh row.
    """
    longest = max(least_step, min(least_step + MOST_STEPS, min(known.shape) // LEAST_LINES))
    best, most_known = PixelGrid(step=least_step, row=0, column=0), -1.0
    for step in range(least_step, longest + 1):
        for row, column in product(range(min(step, len(known))), range(min(step, known.shape[1]))):
            share = float(known[row::step, column::step].mean())
            if share > most_known + LEAST_GAIN:
                best, most_known = PixelGrid(step=step, row=row, column=column), share
        if most_known >= MOSTLY_KNOWN:
            break
    return best


@dataclass(frozen=True, slots=True, kw_only=True)
class _WindowPixels:
    """Pixels of a window, with columns and rows in the photograph, and its step [px].

    ``blur_width`` is the width of edges that are not sharp [px]; 0 if they are.
    """

    window: RegionWindow
    depth: Float64[np.ndarray, "h w"]
    u: Int[np.ndarray, "h w"]
    v: Int[np.ndarray, "h w"]
    step: int
    blur_width: float


def axes_of_view(up: Vector, forward: Vector = _AHEAD) -> Matrix:
    """Directions to the right, up and forward of a view, the first and the last horizontal."""
    forward = forward - float(forward @ up) * up
    forward = forward / np.linalg.norm(forward)
    return np.stack([np.cross(forward, up), up, forward])


def _steepness_of_view(points: Points, up: Vector) -> float:
    """Sine of the angle at which the top of an object is seen, at least ``LEAST_STEEPNESS``.

    A pixel of the picture covers as much more of a level top along the view.
    """
    highest = points[points @ up >= np.quantile(points @ up, TOP)]
    drops = -(highest @ up) / np.linalg.norm(highest, axis=1)
    return max(LEAST_STEEPNESS, float(np.median(drops)))


def is_scattered(valid: Mask, region: Mask) -> bool:
    """Whether most pixels with depth have few neighbours with depth."""
    moves = ((0, 1), (0, -1), (1, 0), (-1, 0))
    neighbours = np.sum([_shifted(valid, down, right) for down, right in moves], axis=0)
    has_few = neighbours[valid & region] < FEW_NEIGHBOURS
    return bool(has_few.size and has_few.mean() > 0.5)


def gaps_beside(own: Mask, valid: Mask) -> tuple[float, float, float, float]:
    """Mean widths of the gaps without depth beside an object, to the left, right, top and bottom.

    Wide ones are no gaps of a map, but a background without depth, such as sky.
    """
    widths = []
    for way in _WAYS.astype(int):
        right, down = way.tolist()
        is_last = own & ~_shifted(own, -down, -right)
        width = np.zeros(own.shape)
        is_in_gap = is_last
        for distance in range(1, MOST_GAP + 1):
            is_in_gap = is_in_gap & _shifted(~valid, -down * distance, -right * distance)
            width += is_in_gap
        width[width >= MOST_GAP] = 0
        widths.append(float(width[is_last].mean()) if is_last.any() else 0.0)
    left, right_gap, top, bottom = widths
    return left, right_gap, top, bottom


def _shifted(mask: Mask, down: int, right: int) -> Mask:
    """Mask moved by rows and columns; False where nothing moves to."""
    moved = np.zeros_like(mask)
    height, width = mask.shape
    if abs(down) >= height or abs(right) >= width:
        return moved
    target = np.s_[max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)]
    source = np.s_[max(-down, 0) : height + min(-down, 0), max(-right, 0) : width + min(-right, 0)]
    moved[target] = mask[source]
    return moved


def _longest_depth(
    surface: ObjectSurface, ends: Float64[np.ndarray, "2 3"], axes: Matrix, most: float
) -> float:
    """Depth of an object that reaches back to what is seen behind it, at most ``most``."""
    first, last = (float(end) for end in ends[:, 2])
    if _is_far_edge_in_view(surface.points, axes, first, last):
        return last - first
    if surface.is_open or not len(surface.beside):
        return max(last - first, most)
    behind = float(np.quantile(surface.beside @ axes[2], BEHIND))
    return max(last - first, min(most, behind - first))


def _is_far_edge_in_view(points: Points, axes: Matrix, nearest: float, farthest: float) -> bool:
    """Whether the far end of an object is a level top, whose far edge can be seen from above.

    Nothing of such an object is hidden behind what is seen. ``nearest`` and ``farthest`` are the
    ends of the seen points along the view, ``axes[2]`` [m].
    """
    positions = points @ axes[2]
    for share in FAR_SHARES:
        far_points = points[positions > farthest - share * (farthest - nearest)]
        if len(far_points) < LEAST_PIXELS:
            continue
        plane = refine_plane(least_squares_plane(far_points), far_points, TOLERANCES[-1])
        is_flat = plane.is_on(far_points).mean() > LEVEL_SHARE
        is_level = plane.normal @ axes[1] > LEVEL
        if is_flat and is_level:
            return True
    return False


def _remarks_on_parts(
    cut: CutSides,
    parts: int,
    extents: Mapping[str, ObjectExtent],
    *,
    stands: bool,
    knows_vertical: bool,
) -> tuple[str, ...]:
    remarks = []
    if cut.any:
        remarks.append("it reaches the border of the picture: sizes are of the part in it")
    if not knows_vertical:
        remarks.append(
            "no floor or table is seen that is level: its sizes are along the axes of the picture, "
            "and the camera may be tilted"
        )
    elif not (stands or cut.any):
        remarks.append("nothing is seen that it stands on: its height is that of the part seen")
    if parts > 1:
        remarks.append(
            f"{parts} parts that are not connected lie at its distance: sizes are of all together"
        )
    depth = extents["depth"]
    if depth.longest > HIDDEN * depth.seen:
        remarks.append("its back is hidden: its depth is that of the part seen, and may be larger")
    return tuple(remarks)


def focal_error_of_sizes(prediction: PredictionRecord) -> float:
    """Log error of widths and heights by the focal length; 0 of a given one."""
    if not prediction.is_of_network:
        return focal_error(prediction.known_camera)
    # The outline of a network's depth contains the error of a focal length that is no guess.
    is_guess = is_focal_length_guessed(prediction.known_camera)
    return FOCAL_ERRORS[CameraSource.ASSUMED] if is_guess else 0.0


def has_soft_outlines(prediction: PredictionRecord) -> bool:
    """Whether objects melt into what is behind them, as in most networks' depth.

    The edges of an instrument's depth may be wide, but its surfaces are where it says.
    """
    depth = prediction.depth
    return prediction.is_of_network and has_soft_edges(depth.values, depth.valid)


def edge_width_of(prediction: PredictionRecord) -> float:
    """Width of the edges of depth [px]; 1 of soft outlines, whose objects are found otherwise."""
    if has_soft_outlines(prediction):
        return 1.0
    # Depth that was filled between the pixels of a sensor has edges of its own.
    is_known = prediction.depth.valid
    if prediction.measured is not None and not prediction.is_of_network:
        is_known = is_known & prediction.measured
    own_width = edge_width(prediction.depth.values, is_known)
    return max(pixel_of_instrument(prediction), own_width)


def pixel_of_instrument(prediction: PredictionRecord) -> float:
    """How many times a depth map was enlarged to the photograph's size; 1 if it was not."""
    return 1.0 if prediction.instrument is None else prediction.instrument.pixel


def find_floor_or_none(prediction: PredictionRecord) -> Floor | None:
    """Floor of a prediction, if visible."""
    with suppress(CalibrationError):
        return find_floor(prediction.depth, prediction.known_camera, normals=prediction.normals)
    return None


def is_street_with_floor(prediction: PredictionRecord, floor: Floor) -> bool:
    """Whether the floor of a deep place tells distances."""
    calibration, place = prediction.calibration, (slice(None, None, 4),) * 2
    if calibration is None or calibration.method != "camera height":
        return False
    depth = prediction.depth.values[place][valid_without_sky(prediction, place)]
    return floor.height <= DEEP * float(np.quantile(depth, FARTHEST))


def valid_without_sky(prediction: PredictionRecord, place: tuple[slice, ...]) -> Mask:
    """Mask of pixels with depth and no sky."""
    valid, sky = prediction.depth.valid[place], prediction.sky
    return valid if sky is None else valid & ~sky[place]


def _ranged_point(at: Vector, error: float) -> RangedPoint:
    far = float(np.linalg.norm(at))
    return RangedPoint(
        position=tuple(at.tolist()), distance=measurement_with_range(Quantity.DISTANCE, far, error)
    )


def _side_quantiles(points: Points, axes: Matrix) -> Float64[np.ndarray, "2 3"]:
    return np.quantile(points @ axes.T, SIDES, axis=0)


def turn_of_least_area(level: Points) -> float:
    """Turn [rad] of the upright box of least ground area, -45 to 45 degrees."""
    some = level[:: max(1, len(level) // MOST_TURNED)]
    turns = np.radians(np.arange(-45, 45)).tolist()
    return min(
        turns,
        key=lambda yaw: np.prod(np.ptp(_side_quantiles(some, _yaw_matrix(yaw))[:, ::2], axis=0)),
    )


def _yaw_matrix(yaw: float) -> Matrix:
    c, s = math.cos(yaw), math.sin(yaw)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
