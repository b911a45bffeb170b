"""How far points stand above the plane of a known rectangle, by depth.

The relief of a point is the logarithm of the plane's depth over the depth that is seen, which is
positive above the plane, towards the camera. For an instrument, the plane is the one that its depth
shows inside of the rectangle (``depth_plane``). A network's depth is fitted to the plane of the
corners by a factor that changes evenly across the picture, because its proportions are bent.

A network hardly sees low relief: of boxes 1 to 10 cm high on a sheet of A4, ``rilievo/base`` shows
a sixth of the height (``lab/studies/judge_sheets.py``). So where it shows no relief, the points may
still stand some way above or below the plane, and the range has to contain that.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rilievo.arrays.shapes import Float64, Values
from rilievo.calibration.readings import WINDOW_RADIUS, Pixel, median_around, pixel_centre
from rilievo.calibration.rectangle_depth import LogRatio, fit_log_ratio, sample_rectangle
from rilievo.calibration.rectangle_fit import RectangleFit, RectanglePose
from rilievo.calibration.sizes import KnownRectangle
from rilievo.errors import CalibrationError
from rilievo.measure.depth_plane import DepthPlane, fit_depth_plane
from rilievo.measure.instrument_ranges import VARYING_FRACTION, InstrumentRanges, instrument_ranges
from rilievo.records.prediction_record import PredictionRecord

UNSEEN_HEIGHT = 0.4
"""Height that a network may miss, over the rectangle's shorter side.

On a sheet of A4 these are 84 mm (``lab/studies/judge_sheets.py``)."""
_MIN_NETWORK_RELIEF = 0.03
"""Least relief of a network that is significant. On bare sheets it stays below .016."""
_MIN_INSTRUMENT_RELIEF = 0.003
"""Least relief of an instrument that is significant: corners and medians have errors, too."""
_RELIEF_PER_NOISE = 2.0
"""Least significant relief, over the deviation that eight in ten pixels of the plane stay below."""
_BORDER = 2.0 * WINDOW_RADIUS
"""Distance from the outline of a rectangle within which a point may show the background [px]."""
_SAME_HEIGHT = 0.5
"""Relative difference of relief up to which a network's points count as at one height.

Points at one height above the plane have the same relief, from wherever they are seen."""
_MIN_DISTANCE_FACTOR = 0.1
"""Least distance of a raised point from the camera, over that in the plane."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaneRelief:
    """Relief of points above the plane of a rectangle.

    Attributes:
        values: Relief of each point, log(plane depth / depth); 0 if there is too little depth.
        threshold: Relief up to which a point counts as in the plane.
        noise: Relief that eight in ten points of the plane stay below.
        max_missed_height: Height [m] that may be missed, above or below; 0 for an instrument.
        plane: Plane of an instrument's depth; None for a network or too little depth.
    """

    values: Values
    threshold: float
    noise: float
    max_missed_height: float
    camera_distance: float
    plane: DepthPlane | None = None

    @property
    def is_flat(self) -> bool:
        """Whether depth shows all points in the plane."""
        return not self.raised_values.any()

    @property
    def raised_values(self) -> Values:
        """Relief of each point; 0 where depth does not tell it from the plane."""
        return np.where(np.abs(self.values) > self.threshold, self.values, 0.0)

    @property
    def missed_relief_factors(self) -> tuple[float, float]:
        """Least and largest factor of a length whose ends may stand above or below the plane.

        At a height h above a plane at the distance D, the same pixels span 1 - h / D of the length.
        """
        relative_height = self.max_missed_height / self.camera_distance
        return max(_MIN_DISTANCE_FACTOR, 1 - relative_height), 1 + relative_height

    @property
    def heights(self) -> Values:
        """Heights of the points above the plane [m], negative below it; 0 of those in it."""
        return self.camera_distance * -np.expm1(-self.raised_values)


def relief_above_plane(
    prediction: PredictionRecord, fit: RectangleFit, pose: RectanglePose, pixels: Sequence[Pixel]
) -> PlaneRelief:
    """Relief of points above the plane of a rectangle.

    If there is too little depth, the relief is 0, and ``max_missed_height`` says how much may have
    been missed.

    The pixels have to lie before the horizon of the plane.
    """
    without_depth = PlaneRelief(
        values=np.zeros(len(pixels)),
        threshold=0.0,
        noise=0.0,
        max_missed_height=UNSEEN_HEIGHT * min(pose.rectangle.lengths),
        camera_distance=abs(float(pose.t @ pose.normal)),
    )
    samples = sample_rectangle(prediction.depth, fit.camera, pose, sky=prediction.sky)
    if samples is None:
        return without_depth
    ratio = fit_log_ratio(samples)
    ranges = instrument_ranges(prediction)
    try:
        if ranges is None or prediction.is_of_network:
            return _relief_by_network(prediction, fit, pose, pixels, ratio, without_depth)
        plane = fit_depth_plane(prediction, samples, ratio)
        return _relief_by_instrument(prediction, ranges, plane, pose, pixels)
    except CalibrationError:
        return without_depth


def _relief_by_network(
    prediction: PredictionRecord,
    fit: RectangleFit,
    pose: RectanglePose,
    pixels: Sequence[Pixel],
    ratio: LogRatio,
    without_depth: PlaneRelief,
) -> PlaneRelief:
    """Relief by a network's depth, which ``ratio`` fits to the plane of the corners.

    ``without_depth`` states what is known of relief without depth.
    """
    threshold = max(_MIN_NETWORK_RELIEF, _RELIEF_PER_NOISE * ratio.noise)

    def relief_at(pixel: Pixel) -> float:
        """Log of the plane's depth over the depth at a pixel."""
        depth = median_around(prediction.depth, pixel)
        position = _pixel_position(pixel)
        plane_depth = float(pose.depths(fit.camera.rays(position.T))[0])
        return math.log(plane_depth / depth) - float(ratio.at(position)[0])

    relief = _relief_of_points(relief_at, pixels, pose.rectangle, threshold)
    values = _mean_if_at_one_height(relief, threshold)
    return replace(without_depth, values=values, threshold=threshold, noise=ratio.noise)


def _relief_by_instrument(
    prediction: PredictionRecord,
    ranges: InstrumentRanges,
    plane: DepthPlane,
    pose: RectanglePose,
    pixels: Sequence[Pixel],
) -> PlaneRelief:
    """Relief above the plane that an instrument's depth shows inside of the rectangle."""
    noise = _instrument_noise(ranges, pose, pixels)
    threshold = max(_MIN_INSTRUMENT_RELIEF, _RELIEF_PER_NOISE * noise)

    def relief_at(pixel: Pixel) -> float:
        """Log of the plane's depth over the depth at a pixel."""
        depth = median_around(prediction.depth, pixel)
        ray = prediction.known_camera.rays(_pixel_position(pixel).T).T
        plane_depth = float(plane.depths(ray)[0])
        # A ray that never reaches the plane in front of the camera is infinitely high above it.
        return math.log(plane_depth / depth) if plane_depth > 0 else math.inf

    relief = _relief_of_points(relief_at, pixels, pose.rectangle, threshold)
    return PlaneRelief(
        values=relief,
        threshold=threshold,
        noise=noise,
        max_missed_height=0.0,
        camera_distance=plane.camera_distance,
        plane=plane,
    )


def _pixel_position(pixel: Pixel) -> Float64[np.ndarray, "1 2"]:
    """Column and row of the pixel whose depth is that of a point [px]."""
    centre = pixel_centre(pixel)
    return np.array([[centre.u, centre.v]])


def _relief_of_points(
    relief_at: Callable[[Pixel], float],
    pixels: Sequence[Pixel],
    rectangle: KnownRectangle,
    threshold: float,
) -> Values:
    """Relief of points, corrected near the outline of the rectangle.

    There, a point may show what the rectangle lies on, such as the table below a book. So a point
    below the plane gets the relief of a pixel a little farther inside.
    """
    relief = [relief_at(pixel) for pixel in pixels]
    for index, pixel in enumerate(pixels):
        inner_pixel = _move_inside(pixel, rectangle)
        if relief[index] < -threshold and inner_pixel is not None:
            relief[index] = relief_at(inner_pixel)
    return np.array(relief)


def _move_inside(pixel: Pixel, rectangle: KnownRectangle) -> Pixel | None:
    """Move a point near the outline of a rectangle towards its middle; None for others."""
    position = np.array((pixel.u, pixel.v))
    to_middle = np.array(rectangle.middle) - position
    distance_to_middle = float(np.linalg.norm(to_middle))
    missing_distance = _BORDER - _distance_to_sides(np.array(rectangle.corners), position)
    if missing_distance <= 0 or distance_to_middle <= _BORDER:
        return None
    # The way to the middle is oblique to the sides, so the step is twice the missing distance.
    u, v = position + to_middle * min(1.0, 2 * missing_distance / distance_to_middle)
    return Pixel(float(u), float(v), pixel.name)


def _distance_to_sides(
    corners: Float64[np.ndarray, "4 2"], position: Float64[np.ndarray, "2"]
) -> float:
    """Distance of a point from the nearest line through a side of a rectangle [px]."""
    sides = np.roll(corners, -1, axis=0) - corners
    from_corners = position - corners
    # The distance from a line is the cross product with its direction, over its length.
    cross_products = sides[:, 0] * from_corners[:, 1] - sides[:, 1] * from_corners[:, 0]
    return float((np.abs(cross_products) / np.linalg.norm(sides, axis=1)).min())


def _mean_if_at_one_height(relief: Values, threshold: float) -> Values:
    """Replace the relief of points that a network shows at about one height by its mean."""
    is_raised = relief.min() > threshold or relief.max() < -threshold
    if is_raised and np.ptp(relief) <= _SAME_HEIGHT * np.abs(relief).max():
        return np.full_like(relief, relief.mean())
    return relief


def _instrument_noise(
    ranges: InstrumentRanges, pose: RectanglePose, pixels: Sequence[Pixel]
) -> float:
    """Relief that eight in ten points in the plane stay below, by the error of an instrument."""
    depth = float(np.linalg.norm(pose.t))
    noise = VARYING_FRACTION * ranges.instrument.relative_error_at(depth)
    is_filled = any(ranges.is_in_gap(pixel) for pixel in pixels)
    return math.hypot(noise, ranges.fill_error if is_filled else 0.0)
