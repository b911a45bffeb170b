"""Measurements as options ask for them, and as JSON and CSV show them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict

from rilievo.calibration.ranges import COVERAGE as COVERAGE
from rilievo.errors import OptionError
from rilievo.errors.messages import OptionName, Text
from rilievo.measure.measurements import Measurement
from rilievo.measure.quantities import angle as angle_between
from rilievo.measure.quantities import area, distance, height, length
from rilievo.measure.rectangle_plane import height_above_plane
from rilievo.measure.region_measurements import RegionMeasurement
from rilievo.records.prediction_record import PredictionRecord

SpellRemark = Callable[[object], str]
"""Text of a remark in the spelling of the command line, of Python or of a server."""


def parse_points(texts: Sequence[str]) -> list[tuple[float, float]]:
    """Parse texts ``U,V``: column and row [px].

    Raises:
        OptionError: If a text is no pair of finite numbers.
    """
    points: list[tuple[float, float]] = []
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
    point_options = {
        "distance": distance,
        "height": height,
        "height_above_plane": height_above_plane,
    }
    given = {quantity: text for quantity, text in point_options.items() if text}
    if len(given) > 1 or (angle and given):
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
    if given:
        [(quantity, text)] = given.items()
        return quantity, _points_of_option(quantity, text, texts)

    points = parse_points(texts)
    if angle and len(points) != 2:
        raise OptionError(f"an angle takes two points U,V, got {len(points)}")
    if angle:
        return "angle", points
    if len(points) < 2:
        raise _too_few_points(len(points))
    return ("length" if len(points) == 2 else "area"), points


def _points_of_option(quantity: str, text: str, texts: Sequence[str]) -> list[tuple[float, float]]:
    """Point that an option gives, and for a height above a plane its foot among the texts."""
    takes_foot = quantity == "height_above_plane"
    if len(texts) > (1 if takes_foot else 0):
        parse_points(texts)  # Raises if they are no points, such as a second photograph.
        foot = " or with its foot" if takes_foot else ""
        raise OptionError(
            option=quantity, problem=f"U,V stands alone{foot}, got {len(texts)} more points"
        )
    return parse_points([text, *texts])


def _too_few_points(count: int) -> OptionError:
    subject = "one point is" if count else "name points U,V, two for a length, or give"
    return OptionError(
        problem=Text(
            f"{subject} ",
            OptionName("distance", "U,V"),
            ", straight from the camera, or ",
            OptionName("height", "U,V"),
            ", above the floor",
        )
    )


_PLURALS = {
    "angle": "angles",
    "height": "heights",
    "height_above_plane": "heights above a plane",
}


def measure_points(
    prediction: PredictionRecord,
    points: Sequence[tuple[float, float]],
    quantity: str,
    *,
    in_plane: bool = False,
) -> Measurement:
    """Measure a quantity at points (column, row) [px].

    ``quantity`` is "distance", "length", "area", "height", "height_above_plane" or "angle".

    Raises:
        OptionError: If points of a height or an angle are to lie in a plane.
        CalibrationError: If depth is not in metres, or nothing can be measured there.
    """
    if quantity == "area":
        return area(prediction, points, in_plane=in_plane)
    if quantity == "distance":
        return distance(prediction, points[0], in_plane=in_plane)
    if quantity == "length":
        return length(prediction, *points, in_plane=in_plane)
    if in_plane:
        raise OptionError(
            option="in_plane",
            problem=f"is about lengths, areas and distances, and not about {_PLURALS[quantity]}",
            hint="leave it out",
        )
    if quantity == "height_above_plane":
        return height_above_plane(prediction, *points)
    if quantity == "height":
        return height(prediction, points[0])
    return angle_between(prediction, *points)


def measurement_json(
    measured: Measurement, prediction: PredictionRecord, spell: SpellRemark
) -> dict[str, object]:
    """JSON of a measurement, as ``rilievo measure --json`` writes it."""
    return {
        **asdict(measured),
        "remarks": [spell(remark) for remark in measured.remarks],
        "unit": measured.unit,
        **origin_record(prediction),
    }


def region_record(region: RegionMeasurement, spell: SpellRemark) -> dict[str, object]:
    """JSON of a region."""
    return {**asdict(region), "remarks": [spell(remark) for remark in region.remarks]}


def origin_record(prediction: PredictionRecord) -> dict[str, object]:
    """JSON of where metres and ranges come from."""
    calibration, instrument = prediction.calibration, prediction.instrument
    instrument_values = None if instrument is None else asdict(instrument)
    if instrument_values is not None:
        del instrument_values["doubts"]  # They are among the remarks.
    return {
        "coverage": COVERAGE,
        "calibration": None if calibration is None else asdict(calibration),
        "instrument": instrument_values,
        "camera": None if prediction.camera is None else prediction.camera.source,
    }


def region_cells(region: RegionMeasurement, spell: SpellRemark) -> dict[str, object]:
    """Cells of a region's row in CSV, by column; those of a box are None without a floor."""
    cells: dict[str, object] = {"name": region.name, "share": region.share}
    cells |= zip(("u1", "v1", "u2", "v2"), region.box, strict=True)
    for column, size in _ranged_columns(region).items():
        cells[column] = None if size is None else f"{size.value:.4g}"
        cells[f"{column}_low"] = None if size is None else f"{size.low:.4g}"
        cells[f"{column}_high"] = None if size is None else f"{size.high:.4g}"
    centre = (None, None, None) if region.upright is None else region.upright.centre.position
    cells |= zip(("box_x", "box_y", "box_z"), centre, strict=True)
    cells["remarks"] = "; ".join(spell(remark) for remark in region.remarks)
    return cells


def _ranged_columns(region: RegionMeasurement) -> dict[str, Measurement | None]:
    """Measurements of a region by column; those of its upright box are None without one."""
    box = region.upright
    return {
        "distance": region.distance,
        "nearest": region.nearest,
        "width": region.width,
        "height": region.height,
        "depth": region.depth,
        "box_width": None if box is None else box.width,
        "box_height": None if box is None else box.height,
        "box_depth": None if box is None else box.depth,
        "box_yaw": None if box is None else box.yaw,
    }
