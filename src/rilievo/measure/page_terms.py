"""Parameters with which an HTML page measures as ``rilievo.measure`` does.

The page reads them as JSON, whose keys are the names of these fields.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rilievo.calibration.points import KNOWN_LENGTHS, Floor
from rilievo.calibration.readings import (
    LINE_END_FRACTION,
    LINE_SAMPLES,
    MAX_LINE_ERROR,
    MIN_LINE_LENGTH,
    WINDOW_RADIUS,
)
from rilievo.calibration.sizes import NAMED_LENGTHS, NAMED_RECTANGLES
from rilievo.measure.depth_edges import depth_sharpness
from rilievo.measure.expected_errors import (
    UNKNOWN_SIZE_DISTANCE,
    anchoring_misfit,
    is_focal_length_guessed,
    known_size_evidence,
    metres_method,
    picture_doubt,
)
from rilievo.measure.instrument_ranges import (
    SLOPE_PER_ERROR,
    STEP_TILT,
    VARYING_FRACTION,
    InstrumentRanges,
    instrument_ranges,
)
from rilievo.measure.known_sizes import (
    MAX_SAME_POINT_OFFSET,
    KnownSizePosition,
    known_lengths,
)
from rilievo.measure.placing_errors import POINT_ERROR, WINDOW_QUANTILES
from rilievo.measure.plane_support import measure_support
from rilievo.measure.ranges import (
    CONFIDENCE_FACTOR,
    MAX_DOUBT,
    MIN_DOUBT,
    MIN_RESIDUAL,
    TYPICAL_DOUBT,
    AnchoringMisfit,
    angle_error,
    base_exponent,
    feature_weight,
    log_mean_log_error,
)
from rilievo.measure.region_ranges import focal_error_of_sizes, outline_errors
from rilievo.measure.surface_planes import BEND_PER_ERROR, MAX_FLAT_MISFIT, MIN_BEND
from rilievo.measure.visible_floor import find_floor_or_none, is_street_with_floor
from rilievo.records.depth_map import DepthKind
from rilievo.records.instruments import DepthError, DepthSource
from rilievo.records.prediction_record import PredictionRecord
from rilievo.schema.typed_values import MAX_METRES


@dataclass(frozen=True, slots=True, kw_only=True)
class FloorPlane:
    """Floor: the points p with normal · p + height = 0, in the camera frame.

    Attributes:
        normal: Unit normal, upwards.
        height: Height of the camera above it [m].
        misfit: Relative difference of depth from it that eight in ten of its pixels stay below.
        middle: Mean position of its points.
        axes: Two directions in it, each divided by the standard deviation of its points along it.
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
    known_point: float
    known_length: float
    far: float
    deeper: float
    fact_along: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredGrid:
    """Coarse grid of the cells in which a sensor measured every pixel with depth.

    ``measured`` is text, which is short in JSON: "1" for such a cell and "0" for others, by rows.
    """

    columns: int
    rows: int
    measured: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentTerms:
    """Parameters for ranges of sizes whose depth an instrument measured (``instrument_ranges``).

    Attributes:
        relative: Error of depth: part that is a fraction of depth.
        absolute: Part that is the same at all depths [m].
        growth: Part that is a fraction of depth for each metre of depth [1/m].
        rounding: Error by rounding, with the same three parts.
        scale_errors: Errors of a scale and a shift by known sizes, each with the same three parts.
        own_share: Fraction of the error in which the pixels of one surface may differ.
        common_share: Fraction of the error that all pixels have in common.
        slope: Slope of a plane by smooth errors, over these and per deviation of its points.
        step_tilt: Slope of a plane by rounded depth, over that by smooth errors.
        focal: Log error of the focal length.
        fill: Relative error of depth in the gaps of a sensor.
        gap_share: Fraction of that error which tilts a surface.
        guessed_angle: Error of an angle by a guessed focal length [degrees].
        point: Error of placing a point by hand [px].
        window_low: Lower quantile of the depth around a point, for the end of a range.
        window_high: Upper quantile.
        least_bend: Bend up to which a surface counts as flat; None for a network's depth, in which
            flat surfaces are bent.
        bend_per_error: Bend up to which a surface counts as flat, over the error of its depth.
        grid: Cells without gaps; None if the whole map was measured.
    """

    relative: float
    absolute: float
    growth: float
    rounding: tuple[float, float, float]
    scale_errors: tuple[tuple[float, float, float], ...]
    own_share: float
    common_share: float
    slope: float = SLOPE_PER_ERROR
    step_tilt: float = STEP_TILT
    focal: float
    fill: float
    gap_share: float = VARYING_FRACTION
    guessed_angle: float
    point: float = POINT_ERROR
    window_low: float = WINDOW_QUANTILES[0]
    window_high: float = WINDOW_QUANTILES[1]
    least_bend: float | None
    bend_per_error: float = BEND_PER_ERROR
    grid: MeasuredGrid | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Parameters for ranges of lengths; see ``rilievo.measure.ranges``.

    Attributes:
        own: Base of the exponent with the photograph's own metres.
        known_length: Base once a length is known.
        far: Weight of the distance to the nearest known size.
        along: Weight of the fraction of a line that points away from the camera.
        deeper: Weight of the absolute log ratio of depths.
        fact_along: Weight of that fraction of the known length.
        distance: The same parameters for distances.
        instrument: Parameters of an instrument, which replace these; None for a network's depth.
        is_street: Whether distances follow from where objects meet the floor.
        outline: Log errors of width and height by the outline, beyond that of the distance.
        size_focal: Log error of width and height by the focal length; 0 if it was given.
        has_soft_edges: Whether depth melts from one surface into the next.
        edge_width: Width of sharp edges [px].
        unknown_far: Distance to the nearest known size if none is known, in widths of the picture.
        same_end: Largest offset by which two points count as the same [px].
        flat: Relative misfit up to which a surface counts as flat.
        floor: Visible floor; None if none is seen, or if the page finds it.
        places: Positions of the known sizes.
        known_misfit: Log error at the known sizes, which is the least one of lengths and distances.
        lengths: Known lengths: column and row of both ends [px], and metres.
        things: Lengths of common objects by name [m].
        rectangles: Sides of common rectangles by name [m].
        window_radius: Radius of the window around a point whose median is taken [px].
        line_ends: Fraction of a line at each end that is not sampled.
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
    unknown_far: float = UNKNOWN_SIZE_DISTANCE
    angle_error: float
    flat: float = MAX_FLAT_MISFIT
    floor: FloorPlane | None
    places: tuple[KnownSizePosition, ...]
    known_misfit: float
    lengths: tuple[tuple[float, ...], ...]
    same_end: float = MAX_SAME_POINT_OFFSET
    things: Mapping[str, float]
    rectangles: Mapping[str, tuple[float, float]]
    most_metres: float = MAX_METRES
    window_radius: int = WINDOW_RADIUS
    line_samples: int = LINE_SAMPLES
    line_ends: float = LINE_END_FRACTION
    line_miss: float = MAX_LINE_ERROR
    line_least_pixels: float = MIN_LINE_LENGTH


@dataclass(frozen=True, slots=True, kw_only=True)
class MisfitTerms:
    """Weights by which the page widens the ranges of anchored depth if the anchoring fits badly.

    Attributes:
        misfit: Weight of the logarithm of the fit's residual, for lengths.
        disorder: Weight of 1 minus the rank correlation of the two depth maps, for lengths.
        distance_misfit: The first weight for distances.
        distance_disorder: The second weight for distances.
        least_residual: Lower bound of the residual.
    """

    misfit: float
    disorder: float
    distance_misfit: float
    distance_disorder: float
    least_residual: float = MIN_RESIDUAL


@dataclass(frozen=True, slots=True, kw_only=True)
class DoubtTerms:
    """How the page widens ranges where the network doubts the picture (``log_mean_log_error``).

    Attributes:
        typical: Doubt for which ``page_terms`` computes terms of a prediction without confidence.
        least: Limit to which a lower doubt is raised.
        most: Limit to which a higher doubt is lowered.
        factor: Factor within which depth is right, of which confidence is the probability.
    """

    typical: float = TYPICAL_DOUBT
    least: float = MIN_DOUBT
    most: float = MAX_DOUBT
    factor: float = CONFIDENCE_FACTOR


def misfit_terms() -> MisfitTerms:
    """Collect the weights for anchored depth, which are the same for all predictions."""
    return MisfitTerms(
        misfit=feature_weight("length", "misfit", is_anchored=True),
        disorder=feature_weight("length", "disorder", is_anchored=True),
        distance_misfit=feature_weight("depth", "misfit", is_anchored=True),
        distance_disorder=feature_weight("depth", "disorder", is_anchored=True),
    )


def page_terms(prediction: PredictionRecord, *, floor: bool = True) -> Terms:
    """Collect the parameters with which a page measures in a prediction.

    Finding the floor takes a while. If ``floor`` is False, the page finds it instead.
    """
    anchoring = anchoring_misfit(prediction)
    length_error = _LearnedErrorModel("length", prediction, anchoring)
    distance_error = _LearnedErrorModel("depth", prediction, anchoring)
    method = metres_method(prediction)
    visible_floor = find_floor_or_none(prediction) if floor else None
    outline = outline_errors(prediction)
    sharpness = depth_sharpness(prediction)
    evidence = known_size_evidence(prediction)
    return Terms(
        metric=prediction.depth.kind is DepthKind.METRIC,
        own=length_error.base(method),
        known_length=length_error.base(KNOWN_LENGTHS),
        far=length_error.weight("far"),
        along=length_error.weight("along"),
        deeper=length_error.weight("deeper"),
        fact_along=length_error.weight("fact_along"),
        distance=DistanceTerms(
            own=distance_error.base(method),
            known_point=distance_error.base("known points"),
            known_length=distance_error.base(KNOWN_LENGTHS),
            far=distance_error.weight("far"),
            deeper=distance_error.weight("deeper"),
            fact_along=distance_error.weight("fact_along"),
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
        angle_error=angle_error(is_anchored=anchoring is not None),
        floor=None if visible_floor is None else _floor_plane(visible_floor),
        places=evidence.positions,
        known_misfit=evidence.log_error,
        lengths=tuple(
            tuple(map(float, (line.u1, line.v1, line.u2, line.v2, line.metres)))
            for line in known_lengths(prediction)
        ),
        things=NAMED_LENGTHS,
        rectangles=NAMED_RECTANGLES,
    )


@dataclass(frozen=True, slots=True)
class _LearnedErrorModel:
    """Model of the log error of one quantity, "length" or "depth", in a prediction.

    The error is exp(base + sum of weight * feature), with weights that were fitted to errors.
    """

    quantity: str
    prediction: PredictionRecord
    anchoring: AnchoringMisfit | None

    def weight(self, feature: str) -> float:
        """Weight of a feature in the exponent."""
        return feature_weight(self.quantity, feature, is_anchored=self.anchoring is not None)

    def base(self, method: str) -> float:
        """Part of the exponent that is the same for all pixels, for metres by a method."""
        exponent = 0.0
        if is_focal_length_guessed(self.prediction.known_camera):
            exponent = self.weight("assumed")
        if self.anchoring is None:
            exponent += log_mean_log_error(picture_doubt(self.prediction))
        else:
            # The misfit to its reference tells more of anchored depth than the doubt does.
            exponent += self.weight("misfit") * self.anchoring.log_residual
            exponent += self.weight("disorder") * self.anchoring.rank_disorder
        is_anchored = self.anchoring is not None
        return base_exponent(self.quantity, method, is_anchored=is_anchored) + exponent


_MAX_GRID_SIDE = 64
"""Most cells along the longer side of the grid of measured pixels, so that a page stays small."""


def _instrument_terms(prediction: PredictionRecord) -> InstrumentTerms | None:
    """Parameters of the instrument that measured depth; None for a network's depth."""
    ranges = instrument_ranges(prediction)
    if ranges is None:
        return None
    error = ranges.instrument.error
    return InstrumentTerms(
        relative=error.relative,
        absolute=error.absolute,
        growth=error.growth,
        rounding=_three_parts(ranges.instrument.rounding),
        scale_errors=tuple(map(_three_parts, ranges.instrument.scale_errors)),
        own_share=ranges.varying_fraction,
        common_share=ranges.common_fraction,
        focal=ranges.focal_error,
        fill=ranges.fill_error,
        guessed_angle=ranges.guessed_focal_angle,
        least_bend=None if ranges.prediction.is_of_network else MIN_BEND,
        grid=_measured_grid(ranges),
    )


def _three_parts(error: DepthError) -> tuple[float, float, float]:
    """Relative part, absolute part [m] and growth [1/m] of an error."""
    return error.relative, error.absolute, error.growth


def _measured_grid(ranges: InstrumentRanges) -> MeasuredGrid | None:
    """Coarse grid of the cells without a gap of the sensor; None if a sensor did not measure."""
    if ranges.instrument.source is not DepthSource.SENSOR:
        return None
    prediction = ranges.prediction
    height, width = prediction.shape
    scale = min(1.0, _MAX_GRID_SIDE / max(height, width))
    rows, columns = max(1, round(scale * height)), max(1, round(scale * width))
    if prediction.measured is None:
        # It is not recorded which pixels were measured, so all count as gaps.
        return MeasuredGrid(columns=columns, rows=rows, measured="0" * (rows * columns))

    cell_row = np.arange(height) * rows // height
    cell_column = np.arange(width) * columns // width
    cell_index = cell_row[:, None] * columns + cell_column
    is_gap = prediction.depth.valid & ~prediction.measured
    gap_pixel_counts = np.bincount(cell_index[is_gap], minlength=rows * columns)
    cell_flags = "".join("0" if count else "1" for count in gap_pixel_counts.tolist())
    return MeasuredGrid(columns=columns, rows=rows, measured=cell_flags)


def _floor_plane(floor: Floor) -> FloorPlane:
    support = measure_support(floor.points, floor.normal)
    return FloorPlane(
        normal=tuple(floor.normal.tolist()),
        height=floor.height,
        misfit=floor.misfit,
        middle=tuple(support.middle.tolist()),
        axes=tuple(tuple(axis) for axis in support.scaled_axes.tolist()),
    )
