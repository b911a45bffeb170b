"""Measurements by texts, and their JSON."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict

from rilievo.errors import OptionError
from rilievo.errors.messages import OptionName, Text
from rilievo.measure.extents import RegionMeasurement
from rilievo.measure.measurements import Measurement
from rilievo.measure.quantities import angle as angle_between
from rilievo.measure.quantities import area, distance, height, length
from rilievo.measure.rectangle_plane import height_above_plane
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
    texts: Sequence[str],
    *,
    angle: bool,
    distance: str | None,
    height: str | None,
    height_above_plane: str | None = None,
) -> tuple[str, list[tuple[float, float]]]:
    """Quantity that options ask for, and its points.

    Raises:
        OptionError: If they do not ask for one quantity.
    """
    named = (
        ("distance", distance),
        ("height", height),
        ("height_above_plane", height_above_plane),
    )
    single = {name: at for name, at in named if at}
    if len(single) + angle > 1:
        raise OptionError(
            problem=Text(
                OptionName("angle"),
                ", ",
                OptionName("distance"),
                ", ",
                OptionName("height"),
                " and ",
                OptionName("height_above_plane"),
                " do not go together: give one",
            )
        )
    for what, text in single.items():
        if what == "height_above_plane" and len(texts) <= 1:
            return what, parse_points([text, *texts])
        if texts:
            parse_points(texts)  # or it is no point, such as a second photograph
            foot = " or with its foot" if what == "height_above_plane" else ""
            raise OptionError(
                option=what, problem=f"U,V stands alone{foot}, got {len(texts)} more points"
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
    if what == "height_above_plane":
        return height_above_plane(prediction, *points)
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
    calibration, instrument = prediction.calibration, prediction.instrument
    instrument_facts = None if instrument is None else asdict(instrument)
    if instrument_facts is not None:
        del instrument_facts["doubts"]  # They are among the remarks.
    return {
        "coverage": COVERAGE,
        "calibration": None if calibration is None else asdict(calibration),
        "instrument": instrument_facts,
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
