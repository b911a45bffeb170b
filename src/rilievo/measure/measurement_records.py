"""Measurements by texts, their JSON, and parameters of pages that measure."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

from rilievo.calibration.points import Floor
from rilievo.calibration.ranges import (
    KNOWN_LENGTHS,
    angle_error,
    base_exponent,
    feature_weight,
    log_mean_log_error,
)
from rilievo.calibration.readings import (
    LINE_ENDS,
    LINE_LEAST_PIXELS,
    LINE_MISS,
    LINE_SAMPLES,
    WINDOW_RADIUS,
)
from rilievo.calibration.sizes import MOST_METRES, RECTANGLES, USUAL_LENGTHS
from rilievo.errors import OptionError
from rilievo.errors.messages import OptionName, Text
from rilievo.measure.expectation import (
    SAME_END,
    UNKNOWN_FAR,
    Place,
    anchoring_misfit,
    is_focal_length_guessed,
    mean_doubt,
    name_metres_method,
    parse_known_lengths,
    places_of_known_facts,
)
from rilievo.measure.extents import RegionMeasurement, find_floor_or_none, is_street_with_floor
from rilievo.measure.quantities import FLAT, Measurement, area, distance, height, length
from rilievo.measure.quantities import angle as angle_between
from rilievo.records.depth_map import DepthKind
from rilievo.records.prediction_record import PredictionRecord

COVERAGE = 0.8
"""Share of measurements within their range."""
_RANGED = (
    *("distance", "nearest", "width", "height", "depth"),
    *("box_width", "box_height", "box_depth", "box_yaw"),
)

Words = Callable[[object], str]
"""Text of a remark, as a door spells it."""


def parse_points(texts: Sequence[str]) -> list[tuple[float, float]]:
    """Parse texts ``U,V`` [px]."""
    points = []
    for text in texts:
        try:
            u, v = map(float, text.split(","))
        except ValueError:
            u = v = math.nan
        if not (math.isfinite(u) and math.isfinite(v)):
            raise OptionError(f"point '{text[:40]}': expected U,V, column and row in pixels")
        points.append((u, v))
    return points


def quantity_of_options(
    texts: Sequence[str], *, angle: bool, distance: str | None, height: str | None
) -> tuple[str, list[tuple[float, float]]]:
    """Quantity that options ask for, and its points.

    Raises:
        OptionError: If they do not ask for one quantity.
    """
    single = {name: at for name, at in (("distance", distance), ("height", height)) if at}
    if len(single) + angle > 1:
        raise OptionError(
            problem=Text(
                OptionName("angle"),
                ", ",
                OptionName("distance"),
                " and ",
                OptionName("height"),
                " do not go together: give one",
            )
        )
    for what, text in single.items():
        if texts:
            parse_points(texts)  # or it is no point, such as a second photograph
            raise OptionError(
                option=what, problem=f"U,V stands alone, got {len(texts)} more points"
            )
        return what, parse_points([text])
    points = parse_points(texts)
    if angle and len(points) != 2:
        raise OptionError(f"an angle takes two points U,V, got {len(points)}")
    if len(points) < 2:
        begin = "one point is" if points else "name points U,V, two for a length, or give"
        raise OptionError(
            problem=Text(
                f"{begin} ",
                OptionName("distance", "U,V"),
                ", straight from the camera, or ",
                OptionName("height", "U,V"),
                ", above the floor",
            )
        )
    return "angle" if angle else "length" if len(points) == 2 else "area", points


def measure_points(
    prediction: PredictionRecord,
    points: Sequence[tuple[float, float]],
    what: str,
    *,
    in_plane: bool = False,
) -> Measurement:
    """Measure a quantity at (column, row) [px].

    Raises:
        OptionError: If points of a height or an angle are to lie in a plane.
        CalibrationError: If depth is not in metres, or nothing can be measured there.
    """
    if what == "area":
        return area(prediction, points, in_plane=in_plane)
    if what == "distance":
        return distance(prediction, points[0], in_plane=in_plane)
    if what == "length":
        return length(prediction, *points, in_plane=in_plane)
    if in_plane:
        raise OptionError(option="in_plane", problem=f"is about lengths, and not about {what}s")
    return height(prediction, points[0]) if what == "height" else angle_between(prediction, *points)


def measurement_json(
    measured: Measurement, prediction: PredictionRecord, words: Words
) -> dict[str, object]:
    """Object for ``rilievo measure --json``."""
    remarks = [*map(words, measured.remarks)]
    origin = origin_record(prediction)
    return {**asdict(measured), "remarks": remarks, "unit": measured.unit, **origin}


def region_record(region: RegionMeasurement, words: Words) -> dict[str, object]:
    """JSON of a region."""
    return {**asdict(region), "remarks": [*map(words, region.remarks)]}


def origin_record(prediction: PredictionRecord) -> dict[str, object]:
    """JSON of where metres and ranges come from."""
    calibration = prediction.calibration
    return {
        "coverage": COVERAGE,
        "calibration": None if calibration is None else asdict(calibration),
        "camera": None if prediction.camera is None else prediction.camera.source,
    }


def region_cells(region: RegionMeasurement, words: Words) -> dict[str, object]:
    """Cells of a region's row in CSV, by column."""
    cells: dict[str, object] = {"name": region.name, "share": region.share}
    cells |= zip(("u1", "v1", "u2", "v2"), region.box, strict=True)
    upright = region.upright
    for name in _RANGED:
        one = getattr(
            upright if name.startswith("box_") else region, name.removeprefix("box_"), None
        )
        for suffix, end in (("", "value"), ("_low", "low"), ("_high", "high")):
            cells[name + suffix] = None if one is None else f"{getattr(one, end):.4g}"
    centre = upright.centre.position if upright else (None,) * 3
    cells |= zip(("box_x", "box_y", "box_z"), centre, strict=True)
    return {**cells, "remarks": "; ".join(map(words, region.remarks))}


@dataclass(frozen=True, slots=True, kw_only=True)
class FloorPlane:
    """Floor, n·p + height = 0 in the camera frame, n up."""

    normal: tuple[float, float, float]
    height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DistanceTerms:
    """Parameters for ranges of distances, as in ``Terms``."""

    own: float
    known_length: float
    far: float
    deeper: float
    fact_along: float


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
        is_street: Whether the floor tells distances.
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
    is_street: bool
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
    line_ends: float = LINE_ENDS
    line_miss: float = LINE_MISS
    line_least_pixels: float = LINE_LEAST_PIXELS


def page_terms(prediction: PredictionRecord, *, floor: bool = True) -> Terms:
    """Parameters for a prediction; searching the floor takes a while."""
    anchored = anchoring_misfit(prediction)
    is_anchored = anchored is not None

    def weight(feature: str, what: str = "length") -> float:
        return feature_weight(what, feature, is_anchored=is_anchored)

    def base(method: str, what: str = "length") -> float:
        more = weight("assumed", what) * is_focal_length_guessed(prediction.known_camera)
        if anchored is None:
            more += log_mean_log_error(mean_doubt(prediction))
        else:
            more += weight("misfit", what) * anchored.misfit
            more += weight("disorder", what) * anchored.disorder
        return base_exponent(what, method, is_anchored=is_anchored) + more

    ground = find_floor_or_none(prediction) if floor else None
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
        is_street=ground is not None and is_street_with_floor(prediction, ground),
        angle_error=angle_error(is_anchored=is_anchored),
        floor=None if ground is None else _floor_plane(ground),
        places=tuple(places_of_known_facts(prediction)),
        lengths=tuple(
            tuple(map(float, (line.u1, line.v1, line.u2, line.v2, line.metres)))
            for line in parse_known_lengths(prediction)
        ),
        things=USUAL_LENGTHS,
        rectangles=RECTANGLES,
    )


def _floor_plane(floor: Floor) -> FloorPlane:
    right, down, forward = floor.normal.tolist()
    return FloorPlane(normal=(right, down, forward), height=floor.height)
