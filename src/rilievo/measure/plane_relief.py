"""How far points stand above the plane of a known rectangle, by depth.

Depth is fitted to the plane over the rectangle, by a factor that changes evenly across the picture.
What remains at a point is its relief: the logarithm of the plane's depth over the fitted depth,
which is positive above the plane, towards the camera.

A network hardly sees low relief: of boxes 1 to 10 cm high on a sheet of A4, ``rilievo/base`` shows
a sixth of the height (``lab/studies/judge_sheets.py``). So where it shows no relief, the points may
still stand some way above or below the plane, and the range has to contain that.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw

from rilievo.arrays.shapes import Float64, Mask, Values
from rilievo.calibration.readings import WINDOW_RADIUS, Pixel, median_around
from rilievo.calibration.rectangle_fit import RectangleFit, RectanglePose
from rilievo.calibration.sizes import KnownRectangle
from rilievo.errors import CalibrationError
from rilievo.measure.instrument_ranges import OWN_SHARE, InstrumentRanges, instrument_ranges
from rilievo.records.prediction_record import PredictionRecord

UNSEEN_SHARE = 0.4
"""Height that a network may miss, as a share of the rectangle's shorter side.

On a sheet of A4 these are 84 mm (``lab/studies/judge_sheets.py``)."""
_MIN_NETWORK_RELIEF = 0.03
"""Relief from which on a network's counts. On bare sheets it stays below .016."""
_MIN_INSTRUMENT_RELIEF = 0.003
"""Relief from which on an instrument's counts, because of the errors of corners and medians."""
_RELIEF_PER_NOISE = 2.0
"""Relief that counts, over what eight in ten pixels of the rectangle deviate from the plane."""
_BORDER = 2.0 * WINDOW_RADIUS
"""Distance from the outline of a rectangle within which depth is read farther inside [px]."""
_MAX_PIXELS = 4000
"""Number of pixels of the rectangle that are fitted, for speed."""
_MIN_PIXELS = 30
_FIT_ROUNDS = 15
_MIN_MISFIT = 1e-4
_NOISE_PER_MEDIAN = math.log(5) / math.log(2)
"""80 % quantile over the median of errors as Laplace's. An object on the rectangle moves the median
less."""
_SAME_HEIGHT = 0.5
"""Relative difference of relief up to which a network's points count as at one height.

Points at one height above the plane have the same relief, from wherever they are seen."""
_NEAREST_SHARE = 0.1
"""Least distance of a raised point from the camera, as a share of that in the plane."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaneRelief:
    """Relief of points above the plane of a rectangle.

    Attributes:
        values: Relief of each point; 0 where depth does not tell it from the plane.
        noise: Relief that eight in ten pixels of the rectangle stay below.
        unseen_height: Height [m] that may have been missed, above or below; 0 of an instrument.
        camera_distance: Distance from the camera to the plane, along its normal [m].
    """

    values: Values
    noise: float
    unseen_height: float
    camera_distance: float

    @property
    def is_flat(self) -> bool:
        """Whether depth shows all points in the plane."""
        return not self.values.any()

    @property
    def unseen_factors(self) -> tuple[float, float]:
        """Factors by which a length may be off, if its ends stand above or below the plane.

        What stands at a height h in front of a plane at the distance D is nearer by 1 - h / D.
        """
        share = self.unseen_height / self.camera_distance
        return max(_NEAREST_SHARE, 1 - share), 1 + share

    @property
    def heights(self) -> Values:
        """Heights of the points above the plane [m], negative below it."""
        return self.camera_distance * -np.expm1(-self.values)


def relief_above_plane(
    prediction: PredictionRecord, fit: RectangleFit, pose: RectanglePose, pixels: Sequence[Pixel]
) -> PlaneRelief:
    """Relief of points above the plane of a rectangle, which lies before the camera there.

    Where there is too little depth, it is that of points which nothing tells from the plane.
    """
    unseen = PlaneRelief(
        values=np.zeros(len(pixels)),
        noise=0.0,
        unseen_height=UNSEEN_SHARE * min(pose.rectangle.lengths),
        camera_distance=abs(float(pose.t @ pose.normal)),
    )
    field = fit_log_ratio(prediction, fit, pose)
    if field is None:
        return unseen
    inner_pixels = [_move_inside(pixel, pose.rectangle) for pixel in pixels]
    try:
        depths = np.array([median_around(prediction.depth, pixel) for pixel in inner_pixels])
    except CalibrationError:
        return unseen

    places = np.array([(pixel.u, pixel.v) for pixel in inner_pixels], np.float64)
    plane_depths = pose.depths(fit.camera.rays(places.T))
    relief = np.log(plane_depths / depths) - field.at(places)
    by_instrument = instrument_ranges(prediction)
    if by_instrument is None or prediction.is_of_network:
        threshold = max(_MIN_NETWORK_RELIEF, _RELIEF_PER_NOISE * field.noise)
        told = replace(unseen, noise=field.noise)
        relief = _level(relief, threshold)
    else:
        noise = _instrument_noise(by_instrument, pose, pixels)
        threshold = max(_MIN_INSTRUMENT_RELIEF, _RELIEF_PER_NOISE * noise)
        told = replace(unseen, noise=noise, unseen_height=0.0)
    return replace(told, values=np.where(np.abs(relief) > threshold, relief, 0.0))


def _move_inside(pixel: Pixel, rectangle: KnownRectangle) -> Pixel:
    """Move a point near the outline of a rectangle towards its middle, to where depth is read.

    What the rectangle lies on may begin at its outline, such as the table below a book.
    """
    corners, middle = np.array(rectangle.corners), np.array(rectangle.middle)
    place = np.array((pixel.u, pixel.v))
    sides = np.roll(corners, -1, axis=0) - corners
    from_corners = place - corners
    crossed = sides[:, 0] * from_corners[:, 1] - sides[:, 1] * from_corners[:, 0]
    distance = float((np.abs(crossed) / np.linalg.norm(sides, axis=1)).min())
    to_middle = middle - place
    length = float(np.linalg.norm(to_middle))
    missing = _BORDER - distance
    if missing <= 0 or length <= _BORDER:
        return pixel
    # Towards the middle the distance to the sides grows more slowly than the way.
    u, v = place + to_middle * min(1.0, 2 * missing / length)
    return Pixel(float(u), float(v), pixel.name)


def _level(relief: Values, threshold: float) -> Values:
    """Mean relief of points that a network shows at about one height; else that of each."""
    is_raised = relief.min() > threshold or relief.max() < -threshold
    if is_raised and np.ptp(relief) <= _SAME_HEIGHT * np.abs(relief).max():
        return np.full_like(relief, relief.mean())
    return relief


def _instrument_noise(
    by_instrument: InstrumentRanges, pose: RectanglePose, pixels: Sequence[Pixel]
) -> float:
    """Relief that eight in ten points in the plane stay below, by the error of an instrument."""
    depth = float(np.linalg.norm(pose.t))
    noise = OWN_SHARE * by_instrument.instrument.relative_error_at(depth)
    is_filled = any(by_instrument.is_in_gap(pixel) for pixel in pixels)
    return math.hypot(noise, by_instrument.fill_error if is_filled else 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRatio:
    """Logarithm of the plane's depth over depth, which changes evenly across the picture.

    Attributes:
        weights: Factors of 1, column and row, over the width and from the middle.
        size: Height and width of the picture.
        noise: Difference that eight in ten pixels of the rectangle stay below.
    """

    weights: Float64[np.ndarray, "3"]
    size: tuple[int, int]
    noise: float

    def at(self, places: Float64[np.ndarray, "n 2"]) -> Values:
        """Ratio at places (column, row) [px]."""
        return _coordinates(places, self.size) @ self.weights


def fit_log_ratio(
    prediction: PredictionRecord, fit: RectangleFit, pose: RectanglePose
) -> LogRatio | None:
    """Fit depth to the plane over the rectangle, with the least sum of absolute differences.

    Returns:
        The fitted ratio; None if too few pixels of the rectangle have depth.
    """
    depth, size = prediction.depth, prediction.shape
    is_inside = _inside_of(pose, size) & depth.valid
    if prediction.sky is not None:
        is_inside &= ~prediction.sky
    rows, columns = np.nonzero(is_inside)
    step = max(1, len(rows) // _MAX_PIXELS)
    rows, columns = rows[::step], columns[::step]
    if len(rows) < _MIN_PIXELS:
        return None

    places = np.stack([columns, rows], axis=1).astype(np.float64)
    plane_depth = pose.depths(fit.camera.rays(places.T))
    ratio = np.log(plane_depth / depth.values[rows, columns].astype(np.float64))
    coordinates, weight = _coordinates(places, size), np.ones(len(ratio))
    weights = np.zeros(3)
    for _ in range(_FIT_ROUNDS):
        weighted = coordinates * weight[:, None]
        weights = np.linalg.lstsq(weighted, ratio * weight, rcond=None)[0]
        misfit = np.abs(ratio - coordinates @ weights)
        weight = 1 / np.sqrt(np.maximum(misfit, _MIN_MISFIT))
    misfit = np.abs(ratio - coordinates @ weights)
    noise = _NOISE_PER_MEDIAN * float(np.median(misfit))
    return LogRatio(weights=weights, size=size, noise=noise)


def _inside_of(pose: RectanglePose, size: tuple[int, int]) -> Mask:
    height, width = size
    mask = Image.new("1", (width, height))
    ImageDraw.Draw(mask).polygon([(u, v) for u, v in pose.rectangle.corners], fill=1)
    return np.array(mask, dtype=bool)


def _coordinates(
    places: Float64[np.ndarray, "n 2"], size: tuple[int, int]
) -> Float64[np.ndarray, "n 3"]:
    """1, column and row of places, over the width and from the middle."""
    height, width = size
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    return np.column_stack([np.ones(len(places)), (places - middle) / width])
