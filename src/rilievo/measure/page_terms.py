"""Parameters with which a page measures as ``rilievo.measure`` does."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rilievo.calibration.points import Floor
from rilievo.calibration.ranges import (
    KNOWN_LENGTHS,
    Misfit,
    angle_error,
    base_exponent,
    feature_weight,
    log_mean_log_error,
)
from rilievo.calibration.readings import (
    LINE_END_SHARE,
    LINE_SAMPLES,
    MAX_LINE_ERROR,
    MIN_LINE_LENGTH,
    WINDOW_RADIUS,
)
from rilievo.calibration.sizes import MOST_METRES, NAMED_LENGTHS, NAMED_RECTANGLES
from rilievo.measure.depth_edges import depth_sharpness
from rilievo.measure.expected_errors import (
    UNKNOWN_PLACE_DISTANCE,
    anchoring_misfit,
    is_focal_length_guessed,
    metres_method,
    picture_doubt,
)
from rilievo.measure.instrument_ranges import (
    SLOPE_SHARE,
    STEP_TILT,
    VARYING_SHARE,
    InstrumentRanges,
    instrument_ranges,
)
from rilievo.measure.known_sizes import (
    MAX_SAME_POINT_OFFSET,
    KnownPlace,
    known_lengths,
    known_places,
)
from rilievo.measure.placing_errors import POINT_ERROR, WINDOW_QUANTILES
from rilievo.measure.region_ranges import focal_error_of_sizes, outline_errors
from rilievo.measure.surface_planes import BEND_PER_ERROR, MAX_FLAT_MISFIT, MIN_BEND
from rilievo.measure.visible_floor import find_floor_or_none, is_street_with_floor
from rilievo.records.depth_map import DepthKind
from rilievo.records.instruments import DepthError, DepthSource
from rilievo.records.prediction_record import PredictionRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class FloorPlane:
    """Floor: the points p with normal · p + height = 0, in the camera frame.

    Attributes:
        normal: Unit normal, upwards.
        height: Height of the camera above it [m].
        misfit: Relative difference of depth from it that eight in ten of its pixels stay below.
        middle: Mean position of its points.
        axes: Two directions in it, each over the deviation of its points along it.
    """

    normal: tuple[float, ...]
    height: float
    misfit: float
    middle: tuple[float, ...]
    axes: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DistanceTerms:
    """Parameters for ranges of distances, named as those of lengths in ``Terms``."""

    own: float
    known_length: float
    far: float
    deeper: float
    fact_along: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredGrid:
    """Cells of a picture in which a sensor measured every pixel with depth.

    Attributes:
        columns: Number of cells across the picture.
        rows: Number of cells down the picture.
        measured: "1" or "0" for each cell, row by row.
    """

    columns: int
    rows: int
    measured: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentTerms:
    """Parameters for ranges by an instrument; see ``rilievo.measure.instrument_ranges``.

    Attributes:
        relative: Error as a share of depth.
        absolute: Error in metres.
        growth: Error as a share of depth for each metre of depth.
        rounding: Error by which its numbers are rounded, as the first three.
        scale_errors: Errors of a scale and a shift by known sizes, each as the first three.
        own_share: Share of the error in which the pixels of one surface may differ.
        common_share: Share of the error that all pixels are known to have in common.
        slope: Slope of a plane by errors of its depth, over these and per deviation of its points.
        step_tilt: Slope of a plane by rounding, over that by smooth errors.
        focal: Log error of the focal length.
        fill: Relative error in the gaps of a sensor.
        gap_share: Share of that error which tilts a surface.
        guessed_angle: Error of an angle by a guessed focal length [degrees].
        point: Error of placing a point by hand [px].
        window_low: Lower quantile of the depth around a point.
        window_high: Upper quantile.
        least_bend: Bend up to which a surface counts as flat; None of a network's depth, in which
            flat surfaces are bent.
        bend_per_error: Bend that counts, over the error in which its pixels may differ.
        grid: Cells without gaps; None if the whole map was measured.
    """

    relative: float
    absolute: float
    growth: float
    rounding: tuple[float, float, float]
    scale_errors: tuple[tuple[float, float, float], ...]
    own_share: float
    common_share: float
    slope: float = SLOPE_SHARE
    step_tilt: float = STEP_TILT
    focal: float
    fill: float
    gap_share: float = VARYING_SHARE
    guessed_angle: float
    point: float = POINT_ERROR
    window_low: float = WINDOW_QUANTILES[0]
    window_high: float = WINDOW_QUANTILES[1]
    least_bend: float | None
    bend_per_error: float = BEND_PER_ERROR
    grid: MeasuredGrid | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Parameters for ranges of lengths; see ``rilievo.calibration.ranges``.

    Attributes:
        metric: Whether depth is in metres.
        own: Base of the exponent with the photograph's own metres.
        known_length: Base once a length is known.
        far: Weight of the distance to the nearest known size.
        along: Weight of the share of a line that points away from the camera.
        deeper: Weight of the absolute log ratio of depths.
        fact_along: Weight of that share of the known length.
        distance: The same parameters for distances.
        instrument: Parameters by which ranges follow in place of these; None of a network's depth.
        is_street: Whether the floor tells distances.
        outline: Log errors of width and height by the outline, over that of the distance.
        size_focal: Log error of width and height by the focal length; 0 of a given one.
        has_soft_edges: Whether depth melts from one surface into the next.
        edge_width: Width of its edges where it does not [px].
        unknown_far: Distance to the nearest known size if none is known, in widths of the picture.
        same_end: Largest offset by which two points count as the same [px].
        angle_error: Error of an angle [degrees].
        flat: Relative misfit up to which a surface counts as flat.
        floor: Visible floor; None if none is seen, or if the page finds it.
        places: Places of the known sizes.
        lengths: Known lengths: column and row of both ends [px], and metres.
        things: Lengths of common objects by name [m].
        rectangles: Sides of common rectangles by name [m].
        most_metres: Largest size that is accepted [m].
        window_radius: Radius of the window around a point whose median is taken [px].
        line_samples: Places at which a line is sampled.
        line_ends: Share of a line at each end that is not sampled.
        line_miss: Relative error up to which a surface along a line counts as straight.
        line_least_pixels: Length of the shortest sampled line [px].
    """

    metric: bool
    own: float
    known_length: float
    far: float
    along: float
    deeper: float
    fact_along: float
    distance: DistanceTerms
    instrument: InstrumentTerms | None = None
    is_street: bool
    outline: tuple[float, float]
    size_focal: float
    has_soft_edges: bool
    edge_width: float
    unknown_far: float = UNKNOWN_PLACE_DISTANCE
    angle_error: float
    flat: float = MAX_FLAT_MISFIT
    floor: FloorPlane | None
    places: tuple[KnownPlace, ...]
    lengths: tuple[tuple[float, ...], ...]
    same_end: float = MAX_SAME_POINT_OFFSET
    things: Mapping[str, float]
    rectangles: Mapping[str, tuple[float, float]]
    most_metres: float = MOST_METRES
    window_radius: int = WINDOW_RADIUS
    line_samples: int = LINE_SAMPLES
    line_ends: float = LINE_END_SHARE
    line_miss: float = MAX_LINE_ERROR
    line_least_pixels: float = MIN_LINE_LENGTH


def page_terms(prediction: PredictionRecord, *, floor: bool = True) -> Terms:
    """Parameters with which a page measures in a prediction.

    Without ``floor``, which takes a while to find, the page finds the floor itself.
    """
    anchored = anchoring_misfit(prediction)
    length = _LearnedTerms("length", prediction, anchored)
    distance = _LearnedTerms("depth", prediction, anchored)
    method = metres_method(prediction)
    visible_floor = find_floor_or_none(prediction) if floor else None
    outline = outline_errors(prediction)
    sharpness = depth_sharpness(prediction)
    return Terms(
        metric=prediction.depth.kind is DepthKind.METRIC,
        own=length.base(method),
        known_length=length.base(KNOWN_LENGTHS),
        far=length.weight("far"),
        along=length.weight("along"),
        deeper=length.weight("deeper"),
        fact_along=length.weight("fact_along"),
        distance=DistanceTerms(
            own=distance.base(method),
            known_length=distance.base(KNOWN_LENGTHS),
            far=distance.weight("far"),
            deeper=distance.weight("deeper"),
            fact_along=distance.weight("fact_along"),
        ),
        instrument=_instrument_terms(prediction),
        is_street=(
            sharpness.has_soft_edges
            and visible_floor is not None
            and is_street_with_floor(prediction, visible_floor)
        ),
        outline=(outline.width, outline.height),
        size_focal=focal_error_of_sizes(prediction),
        has_soft_edges=sharpness.has_soft_edges,
        edge_width=sharpness.edge_width,
        angle_error=angle_error(is_anchored=anchored is not None),
        floor=None if visible_floor is None else _floor_plane(visible_floor),
        places=tuple(known_places(prediction)),
        lengths=tuple(
            tuple(map(float, (line.u1, line.v1, line.u2, line.v2, line.metres)))
            for line in known_lengths(prediction)
        ),
        things=NAMED_LENGTHS,
        rectangles=NAMED_RECTANGLES,
    )


@dataclass(frozen=True, slots=True)
class _LearnedTerms:
    """Learned parameters of the error of one quantity, "length" or "depth", in a prediction."""

    quantity: str
    prediction: PredictionRecord
    anchored: Misfit | None

    def weight(self, feature: str) -> float:
        """Weight of a feature in the exponent of the error."""
        return feature_weight(self.quantity, feature, is_anchored=self.anchored is not None)

    def base(self, method: str) -> float:
        """Exponent for a method, with what is the same at every place of the picture."""
        is_guessed = is_focal_length_guessed(self.prediction.known_camera)
        common = self.weight("assumed") * is_guessed
        if self.anchored is None:
            common += log_mean_log_error(picture_doubt(self.prediction))
        else:
            common += self.weight("misfit") * self.anchored.misfit
            common += self.weight("disorder") * self.anchored.disorder
        is_anchored = self.anchored is not None
        return base_exponent(self.quantity, method, is_anchored=is_anchored) + common


_MAX_GRID_SIDE = 64
"""Cells along the longer side of the grid of measured pixels, so that a page stays small."""


def _instrument_terms(prediction: PredictionRecord) -> InstrumentTerms | None:
    ranges = instrument_ranges(prediction)
    if ranges is None:
        return None
    error = ranges.instrument.error
    return InstrumentTerms(
        relative=error.relative,
        absolute=error.absolute,
        growth=error.growth,
        rounding=_error_parts(ranges.instrument.rounding),
        scale_errors=tuple(map(_error_parts, ranges.instrument.scale_errors)),
        own_share=ranges.varying_share,
        common_share=ranges.common_share,
        focal=ranges.focal_error,
        fill=ranges.fill_error,
        guessed_angle=ranges.guessed_focal_angle,
        least_bend=None if ranges.prediction.is_of_network else MIN_BEND,
        grid=_measured_grid(ranges),
    )


def _error_parts(error: DepthError) -> tuple[float, float, float]:
    """Relative part, absolute part [m] and growth [1/m] of an error."""
    return error.relative, error.absolute, error.growth


def _measured_grid(ranges: InstrumentRanges) -> MeasuredGrid | None:
    """Grid of cells whose pixels with depth a sensor measured; None of a whole map."""
    if ranges.instrument.source is not DepthSource.SENSOR:
        return None
    prediction = ranges.prediction
    height, width = prediction.shape
    scale = min(1.0, _MAX_GRID_SIDE / max(height, width))
    rows, columns = max(1, round(scale * height)), max(1, round(scale * width))
    if prediction.measured is None:
        return MeasuredGrid(columns=columns, rows=rows, measured="0" * (rows * columns))

    row_of = np.arange(height) * rows // height
    column_of = np.arange(width) * columns // width
    cell_of = row_of[:, None] * columns + column_of
    is_gap = prediction.depth.valid & ~prediction.measured
    gap_pixels = np.bincount(cell_of[is_gap], minlength=rows * columns)
    measured = "".join("0" if count else "1" for count in gap_pixels.tolist())
    return MeasuredGrid(columns=columns, rows=rows, measured=measured)


def _floor_plane(floor: Floor) -> FloorPlane:
    return FloorPlane(
        normal=tuple(floor.normal.tolist()),
        height=floor.height,
        misfit=floor.misfit,
        middle=tuple(floor.support.middle.tolist()),
        axes=tuple(tuple(axis) for axis in floor.support.axes.tolist()),
    )
