"""Parameters with which a page measures as ``rilievo.measure`` does."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rilievo.calibration.points import Floor
from rilievo.calibration.ranges import (
    KNOWN_LENGTHS,
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
from rilievo.measure.expectation import (
    SAME_END,
    UNKNOWN_FAR,
    Place,
    anchoring_misfit,
    is_focal_length_guessed,
    name_metres_method,
    parse_known_lengths,
    picture_doubt,
    places_of_known_facts,
)
from rilievo.measure.instrument_ranges import (
    OWN_SHARE,
    POINT_ERROR,
    SLOPE_SHARE,
    STEP_TILT,
    WINDOW_QUANTILES,
    InstrumentRanges,
    instrument_ranges,
)
from rilievo.measure.quantities import BEND_PER_ERROR, FLAT, LEAST_BEND
from rilievo.measure.region_ranges import focal_error_of_sizes, outline_errors
from rilievo.measure.visible_floor import find_floor_or_none, is_street_with_floor
from rilievo.records.depth_map import DepthKind
from rilievo.records.instruments import DepthError, DepthSource
from rilievo.records.prediction_record import PredictionRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class FloorPlane:
    """Floor, n·p + height = 0 in the camera frame, n up.

    Attributes:
        misfit: That of ``Floor``.
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
    """Parameters for ranges of distances, as in ``Terms``."""

    own: float
    known_length: float
    far: float
    deeper: float
    fact_along: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredGrid:
    """Cells of a picture in which a sensor measured every pixel with depth.

    Attributes:
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
    gap_share: float = OWN_SHARE
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
        own: Base with the photograph's own metres.
        known_length: Base once a length is known.
        far: Weight of the distance to known places.
        along: Weight of a line's share that points away.
        deeper: Weight of the ratio of depths.
        fact_along: Weight of a known length's such share.
        instrument: Parameters by which ranges follow in place of these; None of a network's depth.
        is_street: Whether the floor tells distances.
        outline: Log errors of width and height over that of the distance, in a box.
        size_focal: Log error of width and height by the focal length; 0 of a given one.
        has_soft_edges: Whether depth melts from one surface to the next.
        edge_width: Width of its edges where it does not [px].
        unknown_far: Distance in widths if nothing is known.
        angle_error: Error of an angle [degrees].
        flat: Residual of a flat surface.
        lengths: Column and row of ends, and length [m].
        things: Lengths of objects [m].
        rectangles: Sides [m].
        window_radius: Radius of a point's median [px].
        line_ends: Share of a line not sampled.
        line_miss: Relative residual of a straight surface.
        line_least_pixels: Shortest sampled line [px].
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
    unknown_far: float = UNKNOWN_FAR
    angle_error: float
    flat: float = FLAT
    floor: FloorPlane | None
    places: tuple[Place, ...]
    lengths: tuple[tuple[float, ...], ...]
    same_end: float = SAME_END
    things: Mapping[str, float]
    rectangles: Mapping[str, tuple[float, float]]
    most_metres: float = MOST_METRES
    window_radius: int = WINDOW_RADIUS
    line_samples: int = LINE_SAMPLES
    line_ends: float = LINE_END_SHARE
    line_miss: float = MAX_LINE_ERROR
    line_least_pixels: float = MIN_LINE_LENGTH


def page_terms(prediction: PredictionRecord, *, floor: bool = True) -> Terms:
    """Parameters for a prediction; searching the floor takes a while."""
    anchored = anchoring_misfit(prediction)
    is_anchored = anchored is not None

    def weight(feature: str, what: str = "length") -> float:
        return feature_weight(what, feature, is_anchored=is_anchored)

    def base(method: str, what: str = "length") -> float:
        more = weight("assumed", what) * is_focal_length_guessed(prediction.known_camera)
        if anchored is None:
            more += log_mean_log_error(picture_doubt(prediction))
        else:
            more += weight("misfit", what) * anchored.misfit
            more += weight("disorder", what) * anchored.disorder
        return base_exponent(what, method, is_anchored=is_anchored) + more

    ground = find_floor_or_none(prediction) if floor else None
    outline = outline_errors(prediction)
    sharpness = depth_sharpness(prediction)
    return Terms(
        metric=prediction.depth.kind is DepthKind.METRIC,
        own=base(name_metres_method(prediction)),
        known_length=base(KNOWN_LENGTHS),
        far=weight("far"),
        along=weight("along"),
        deeper=weight("deeper"),
        fact_along=weight("fact_along"),
        distance=DistanceTerms(
            own=base(name_metres_method(prediction), "depth"),
            known_length=base(KNOWN_LENGTHS, "depth"),
            far=weight("far", "depth"),
            deeper=weight("deeper", "depth"),
            fact_along=weight("fact_along", "depth"),
        ),
        instrument=_instrument_terms(prediction),
        is_street=sharpness.has_soft_edges
        and ground is not None
        and is_street_with_floor(prediction, ground),
        outline=(outline.width, outline.height),
        size_focal=focal_error_of_sizes(prediction),
        has_soft_edges=sharpness.has_soft_edges,
        edge_width=sharpness.edge_width,
        angle_error=angle_error(is_anchored=is_anchored),
        floor=None if ground is None else _floor_plane(ground),
        places=tuple(places_of_known_facts(prediction)),
        lengths=tuple(
            tuple(map(float, (line.u1, line.v1, line.u2, line.v2, line.metres)))
            for line in parse_known_lengths(prediction)
        ),
        things=NAMED_LENGTHS,
        rectangles=NAMED_RECTANGLES,
    )


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
        rounding=_parts_of(ranges.instrument.rounding),
        scale_errors=tuple(map(_parts_of, ranges.instrument.scale_errors)),
        own_share=ranges.own_share,
        common_share=ranges.common_share,
        focal=ranges.focal_error,
        fill=ranges.fill_error,
        guessed_angle=ranges.guessed_focal_angle,
        least_bend=None if ranges.prediction.is_of_network else LEAST_BEND,
        grid=_measured_grid(ranges),
    )


def _parts_of(error: DepthError) -> tuple[float, float, float]:
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
