"""Measurements by texts, and their JSON."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict

from rilievo.errors import OptionError
from rilievo.errors.messages import OptionName, Text
from rilievo.measure.measurements import Measurement
from rilievo.measure.quantities import angle as angle_between
from rilievo.measure.quantities import area, distance, height, length
from rilievo.measure.rectangle_plane import height_above_plane
from rilievo.measure.region_measurements import RegionMeasurement
from rilievo.records.prediction_record import PredictionRecord

COVERAGE = 0.8
"""Share of measurements within their range."""
_RANGED = (
    *("distance", "nearest", "width", "height", "depth"),
    *("box_width", "box_height", "box_depth", "box_yaw"),
)
_PLURALS = {
    "angle": "angles",
    "height": "heights",
    "height_above_plane": "heights above a plane",
}
SpellRemark = Callable[[object], str]
"""Text of a remark in the spelling of the command line, of Python or of a server."""


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
        takes_foot = what == "height_above_plane"
        if len(texts) > (1 if takes_foot else 0):
            parse_points(texts)  # or it is no point, such as a second photograph
            foot = " or with its foot" if takes_foot else ""
            raise OptionError(
                option=what, problem=f"U,V stands alone{foot}, got {len(texts)} more points"
            )
        return what, parse_points([text, *texts])
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
    if angle:
        return "angle", points
    return ("length" if len(points) == 2 else "area"), points


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
        raise OptionError(
            option="in_plane",
            problem=f"is about lengths, areas and distances, and not about {_PLURALS[what]}",
            hint="leave it out",
        )
    if what == "height_above_plane":
        return height_above_plane(prediction, *points)
    if what == "height":
        return height(prediction, points[0])
    return angle_between(prediction, *points)


def measurement_json(
    measured: Measurement, prediction: PredictionRecord, spell: SpellRemark
) -> dict[str, object]:
    """Object for ``rilievo measure --json``."""
    remarks = [*map(spell, measured.remarks)]
    origin = origin_record(prediction)
    return {**asdict(measured), "remarks": remarks, "unit": measured.unit, **origin}


def region_record(region: RegionMeasurement, spell: SpellRemark) -> dict[str, object]:
    """JSON of a region."""
    return {**asdict(region), "remarks": [*map(spell, region.remarks)]}


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


def region_cells(region: RegionMeasurement, spell: SpellRemark) -> dict[str, object]:
    """Cells of a region's row in CSV, by column."""
    cells: dict[str, object] = {"name": region.name, "share": region.share}
    cells |= zip(("u1", "v1", "u2", "v2"), region.box, strict=True)
    for name in _RANGED:
        extent = _extent(region, name)
        for suffix, end in (("", "value"), ("_low", "low"), ("_high", "high")):
            cells[name + suffix] = None if extent is None else f"{getattr(extent, end):.4g}"
    upright = region.upright
    centre = upright.centre.position if upright else (None,) * 3
    cells |= zip(("box_x", "box_y", "box_z"), centre, strict=True)
    return {**cells, "remarks": "; ".join(map(spell, region.remarks))}


def _extent(region: RegionMeasurement, name: str) -> Measurement | None:
    """Extent of a region, or with the prefix ``box_`` of its upright box; None without one."""
    if not name.startswith("box_"):
        return getattr(region, name)
    if region.upright is None:
        return None
    return getattr(region.upright, name.removeprefix("box_"))
