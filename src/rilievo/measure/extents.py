"""Distance and size of the thing in a region, and an upright box."""

import math
from contextlib import suppress
from dataclasses import dataclass
from itertools import product

import numpy as np

from rilievo.arrays.shapes import Bool, Float64, Mask, Matrix, Points, Values, Vector
from rilievo.calibration.floor import DEEP, FARTHEST, find_floor
from rilievo.calibration.points import Floor
from rilievo.errors import CalibrationError
from rilievo.measure.expectation import (
    compute_error_grounds,
    is_focal_length_guessed,
    log_error_of_distance,
)
from rilievo.measure.quantities import (
    Measurement,
    Quantity,
    camera_and_point_remarks,
    measurement_with_range,
    metric_camera,
)
from rilievo.measure.regions import Region, RegionLike, as_region
from rilievo.records.prediction_record import PredictionRecord

LEAST_PIXELS = 12
# Numbers of points of a region that are read, and of which the turn of a box is found.
MOST_POINTS, MOST_TURNED = 20_000, 1_000
# Width of bins of log distance.
BIN = 0.02
VALLEY, VALLEY_OF_MASK = 0.15, 0.03
"""Share of the mode's density below which the thing ends, in a box and in a mask."""
# Shares of points between which the extent lies.
SIDES = (0.01, 0.99)
FLAT_UP = math.cos(math.radians(35))
LOW, LOWEST = 0.2, 0.05
"""Heights, in the camera's, up to which what faces up, and anything, is the floor."""
# Share on the floor of a thing that is the floor, such as a rug.
MOST_FLOOR = 0.9
NEAREST = 0.1
STANDS = 0.25
"""Share of a thing's height above the floor where it may begin."""
OUTLINE = {"width": 0.19, "height": 0.19, "depth": 0.8}
"""Log errors of sizes over the distance, of eight in ten."""
# Error of a box's turn [degrees], of eight in ten.
TURN_ERROR = 35.0
# Log errors of a distance by where a thing stands: of any, and for each camera height of it, as a
# camera is not quite level.
FOOT_ERROR, TILT_ERROR = 0.15, 0.01
FOCAL_ERROR = 0.35
# Least slope below the horizon that meets the floor.
LEAST_DROP = 1e-3


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


class RegionMeasurer:
    """Measurer of one prediction's regions, with its floor and facts."""

    def __init__(self, prediction: PredictionRecord) -> None:
        self.prediction, self.camera = prediction, metric_camera(prediction)
        self.is_assumed = is_focal_length_guessed(self.camera)
        self.grounds = compute_error_grounds(prediction)
        self.floor = floor = find_floor_or_none(prediction)
        self.is_street = floor is not None and is_street_with_floor(prediction, floor)
        up = np.array([0.0, -1.0, 0.0]) if floor is None else floor.normal
        forward = np.array([0.0, 0.0, 1.0]) - up[2] * up
        forward /= np.linalg.norm(forward)
        self.axes = np.stack([np.cross(forward, up), up, forward])

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
        points, share = self._points_of_thing(region, mask[v1 : v2 + 1, u1 : u2 + 1], (v1, u1))
        remarks = camera_and_point_remarks(self.prediction, ((u1, v1), (u2, v2)))
        if min(u1, v1) < 1 or u2 > shape[1] - 2 or v2 > shape[0] - 2:
            remarks += ("it reaches the border of the picture: sizes are of the part in it",)
        far = np.linalg.norm(points, axis=1)
        near, middle = (float(quantile) for quantile in np.quantile(far, (NEAREST, 0.5)))
        error = log_error_of_distance(self.prediction, np.median(points, axis=0), self.grounds)
        foot = self._distance_to_floor((u1 + u2) / 2, v2) if v2 <= shape[0] - 2 else math.inf
        if math.isfinite(foot) and self.floor is not None:
            scale = foot / math.sqrt(near * middle)
            near, middle, points = scale * near, scale * middle, scale * points
            near_foot = math.hypot(FOOT_ERROR, TILT_ERROR * foot / self.floor.height)
            # An assumed focal length moves the foot too: the range stays that of such distances.
            error = max(error, near_foot) if self.is_assumed else near_foot
        return RegionMeasurement(
            name=region.name,
            box=box,
            share=share,
            distance=measurement_with_range(Quantity.DISTANCE, middle, error),
            nearest=measurement_with_range(Quantity.DISTANCE, near, error),
            **_box_sizes(_extent_quantiles(points, self.axes), 0.0, self._size_error(error)),
            upright=self._upright_box(points, error),
            remarks=remarks,
        )

    def _size_error(self, error: float) -> float:
        return math.hypot(error, FOCAL_ERROR) if self.is_assumed else error

    def _distance_to_floor(self, u: float, v: float) -> float:
        if self.floor is None or not self.is_street:
            return math.inf
        ray = self.camera.rays(np.array([u, v], np.float64))
        far = float(np.linalg.norm(ray))
        drop = -float(ray @ self.floor.normal) / far
        return self.floor.height / drop if drop > LEAST_DROP else math.inf

    def _points_of_thing(
        self, region: Region, mask: Mask, first: tuple[int, int]
    ) -> tuple[Points, float]:
        step, is_box = max(1, math.isqrt(mask.size // MOST_POINTS)), region.is_box
        mask = mask[::step, ::step]
        down, right = (
            range(start, start + step * count, step)
            for start, count in zip(first, mask.shape, strict=True)
        )
        place = (slice(down.start, down.stop, step), slice(right.start, right.stop, step))
        visible_pixels = valid_without_sky(self.prediction, place) & mask
        depth = np.where(visible_pixels, self.prediction.depth.values[place], 1).astype(np.float64)
        space = self.camera.points(depth, rows=down, columns=right)
        if is_box:
            visible_pixels = self._drop_floor_pixels(visible_pixels, place, space)
        points, weight = space[:, visible_pixels].T, np.ones(visible_pixels.sum())
        if len(points) < LEAST_PIXELS:
            raise CalibrationError(
                f"{region.text}: {len(points)} pixels with depth lie there, expected "
                f"{LEAST_PIXELS}: choose a larger region"
            )
        if is_box:  # whose middle shows the thing, and whose borders what is beside
            sides = (1.001 - np.square(np.linspace(-1, 1, count)) for count in visible_pixels.shape)
            weight = np.outer(*sides)[visible_pixels]
        logs = np.log(np.linalg.norm(points, axis=1))
        own = mask_around_mode(logs, weight, VALLEY if is_box else VALLEY_OF_MASK)
        return points[own], float(own.sum() / mask.sum())

    def _drop_floor_pixels(
        self, visible_pixels: Mask, place: tuple[slice, ...], space: np.ndarray
    ) -> Mask:
        floor, normals = self.floor, self.prediction.normals
        if floor is None:
            return visible_pixels
        up = np.tensordot(floor.normal, space, 1) + floor.height
        on_it = up < LOWEST * floor.height
        if normals is not None:
            facing = np.tensordot(floor.normal, normals[(slice(None), *place)], 1) > FLAT_UP
            on_it |= facing & (up < LOW * floor.height)
        above = visible_pixels & ~on_it
        return above if above.sum() > (1 - MOST_FLOOR) * visible_pixels.sum() else visible_pixels

    def _upright_box(self, points: Points, error: float) -> UprightBox | None:
        if self.floor is None:
            return None
        yaw = turn_of_least_area(points @ self.axes.T)
        axes = _yaw_matrix(yaw) @ self.axes
        low, high = ends = _extent_quantiles(points, axes)
        above = low[1] + self.floor.height
        low[1] -= above if abs(above) < STANDS * (high[1] - low[1]) else 0
        corners = [ends[(x, y, z), (0, 1, 2)] @ axes for y, x, z in product((0, 1), repeat=3)]
        turn = math.degrees(yaw)
        return UprightBox(
            centre=_ranged_point(ends.mean(axis=0) @ axes, error),
            **_box_sizes(ends, yaw, self._size_error(error)),
            yaw=Measurement(
                what=Quantity.ANGLE, value=turn, low=turn - TURN_ERROR, high=turn + TURN_ERROR
            ),
            corners=tuple(_ranged_point(corner, error) for corner in corners),
        )


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


def _extent_quantiles(points: Points, axes: Matrix) -> Float64[np.ndarray, "2 3"]:
    return np.quantile(points @ axes.T, SIDES, axis=0)


def _box_sizes(
    ends: Float64[np.ndarray, "2 3"], yaw: float, error: float
) -> dict[str, Measurement]:
    c, s = math.cos(yaw), math.sin(yaw)
    width, height, depth = OUTLINE.values()
    outline = math.hypot(c * width, s * depth), height, math.hypot(s * width, c * depth)
    return {
        name: measurement_with_range(Quantity.LENGTH, float(size), math.hypot(error, own))
        for name, size, own in zip(OUTLINE, np.ptp(ends, axis=0), outline, strict=True)
    }


def mask_around_mode(logs: Values, weight: Values, valley: float = VALLEY) -> Bool[np.ndarray, "n"]:
    """Mask of values around their mode, until density falls to ``valley``."""
    places = ((logs - logs.min()) / BIN).astype(int)
    density = np.convolve(np.bincount(places, weight), [1, 2, 3, 2, 1])[2:-2]
    peak = density.argmax()
    sparse = np.flatnonzero(density < valley * density[peak])
    first = int(np.searchsorted(sparse, peak))
    low, high = [-1, *sparse, len(density)][first : first + 2]
    return (places > low) & (places < high)


def turn_of_least_area(level: Points) -> float:
    """Turn [rad] of the upright box of least ground area, -45 to 45 degrees."""
    some = level[:: max(1, len(level) // MOST_TURNED)]
    turns = np.radians(np.arange(-45, 45)).tolist()
    return min(
        turns,
        key=lambda yaw: np.prod(np.ptp(_extent_quantiles(some, _yaw_matrix(yaw))[:, ::2], axis=0)),
    )


def _yaw_matrix(yaw: float) -> Matrix:
    c, s = math.cos(yaw), math.sin(yaw)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
