"""Measurements that options request, and their records in JSON and CSV."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict

from rilievo.errors import OptionError
from rilievo.errors.messages import OptionName, Text
from rilievo.measure.measured_points import ASSUMED_FOCAL_REMARK
from rilievo.measure.measurements import Measurement
from rilievo.measure.openings import fits_through
from rilievo.measure.quantities import angle as angle_between
from rilievo.measure.quantities import area, distance, height, length
from rilievo.measure.ranges import COVERAGE as COVERAGE
from rilievo.measure.rectangle_plane import height_above_plane
from rilievo.measure.region_measurements import RegionMeasurement
from rilievo.measure.volumes import volume as volume_of
from rilievo.records.prediction_record import PredictionRecord

SpellRemark = Callable[[object], str]
"""Text of a remark in the spelling of the command line, of Python or of a server."""


def parse_points(texts: Sequence[str]) -> list[tuple[float, float]]:
    """Parse texts ``U,V``, column and row [px], which have to be finite."""
    points: list[tuple[float, float]] = []
    for text in texts:
        try:
            u, v = map(float, text.split(","))
        except ValueError:
            u = v = math.nan
        if not (math.isfinite(u) and math.isfinite(v)):
            raise OptionError(f"point '{text[:40]}': expected U,V (column and row in pixels)")
        points.append((u, v))
    return points


def parse_quantity(
    point_texts: Sequence[str],
    *,
    angle: bool,
    volume: bool = False,
    distance: str | None,
    height: str | None,
    height_above_plane: str | None = None,
    fits: str | None = None,
) -> tuple[str, list[tuple[float, float]]]:
    """Decide which quantity the options request, and parse its points.

    ``point_texts`` are the positional arguments ``U,V``.

    Raises:
        OptionError: If they do not request exactly one quantity.
    """
    point_options = {
        "distance": distance,
        "height": height,
        "height_above_plane": height_above_plane,
    }
    requested = {quantity: text for quantity, text in point_options.items() if text}
    if len(requested) + angle + volume + bool(fits) > 1:
        raise OptionError(
            problem=Text(
                OptionName("angle"),
                ", ",
                OptionName("distance"),
                ", ",
                OptionName("height"),
                ", ",
                OptionName("height_above_plane"),
                ", ",
                OptionName("volume"),
                " and ",
                OptionName("fits"),
                " cannot be combined; give only one of them",
            )
        )
    if requested:
        [(quantity, text)] = requested.items()
        return quantity, _parse_option_points(quantity, text, point_texts)

    points = parse_points(point_texts)
    if angle and len(points) != 2:
        raise OptionError(f"an angle needs two points U,V, got {len(points)}")
    if angle:
        return "angle", points
    if volume:
        return "volume", points
    if fits:
        return "fit", points
    if len(points) < 2:
        raise _too_few_points_error(len(points))
    return ("length" if len(points) == 2 else "area"), points


def _parse_option_points(
    quantity: str, text: str, further_texts: Sequence[str]
) -> list[tuple[float, float]]:
    """Read the point of an option, and the foot of a height above a plane from further texts."""
    takes_foot = quantity == "height_above_plane"
    max_texts = 1 if takes_foot else 0
    if len(further_texts) > max_texts:
        # A text that is no point, such as a second photograph, has a clearer error of its own.
        parse_points(further_texts)
        usage = (
            "takes one point U,V, and optionally its foot"
            if takes_foot
            else "takes only one point U,V"
        )
        surplus = " ".join(further_texts[max_texts:])
        raise OptionError(option=quantity, problem=f"{usage}: leave out {surplus[:60]}")
    return parse_points([text, *further_texts])


def _too_few_points_error(count: int) -> OptionError:
    subject = (
        "a length needs two points U,V; for one point, give"
        if count
        else "no point is given; give two points U,V for a length, or"
    )
    return OptionError(
        problem=Text(
            f"{subject} ",
            OptionName("distance", "U,V"),
            " (straight from the camera) or ",
            OptionName("height", "U,V"),
            " (above the floor)",
        )
    )


_PLURALS = {
    "angle": "angles",
    "height": "heights",
    "height_above_plane": "heights above a plane",
    "volume": "volumes",
}


def measure_points(
    prediction: PredictionRecord,
    points: Sequence[tuple[float, float]],
    quantity: str,
    *,
    in_plane: bool = False,
    base: Sequence[tuple[float, float]] = (),
    object_sides: Sequence[float] = (),
) -> Measurement:
    """Measure a quantity at points (column, row) [px].

    ``quantity`` is "distance", "length", "area", "volume", "height", "height_above_plane",
    "angle" or "fit". ``base`` are points of the plane of a volume, and ``object_sides`` the three
    sides [m] of the object that is to fit.

    Raises:
        OptionError: If points of a height, an angle or a volume are to lie in a plane, or ``base``
            has points, but no volume is measured.
        CalibrationError: If depth is not in metres, or nothing can be measured there.
    """
    if base and quantity != "volume":
        raise OptionError(
            option="base",
            problem="gives the plane of a volume, but no volume is measured",
            hint=Text("add ", OptionName("volume")),
        )
    if quantity == "area":
        return area(prediction, points, in_plane=in_plane)
    if quantity == "distance":
        return distance(prediction, points[0], in_plane=in_plane)
    if quantity == "fit":
        return fits_through(prediction, object_sides, points, in_plane=in_plane)
    if quantity == "length":
        return length(prediction, *points, in_plane=in_plane)
    if in_plane:
        raise OptionError(
            option="in_plane",
            problem="only applies to lengths, areas, distances and openings, not to "
            f"{_PLURALS[quantity]}",
            hint="leave the option out",
        )
    if quantity == "volume":
        return volume_of(prediction, points, base)
    if quantity == "height_above_plane":
        return height_above_plane(prediction, *points)
    if quantity == "height":
        return height(prediction, points[0])
    return angle_between(prediction, *points)


def remarks_beyond_camera(measured: Measurement) -> list[str]:
    """Remarks of a measurement without the one that the focal length is assumed."""
    return [remark for remark in measured.remarks if remark != ASSUMED_FOCAL_REMARK]


def measurement_json(
    measured: Measurement, prediction: PredictionRecord, spell: SpellRemark
) -> dict[str, object]:
    """Make the JSON of a measurement, as ``rilievo measure --json`` writes it."""
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
    """Make the JSON record of where metres and ranges come from."""
    calibration, instrument = prediction.calibration, prediction.instrument
    instrument_values = None
    if instrument is not None:
        # Doubts are among the remarks.
        instrument_values = {
            name: value for name, value in asdict(instrument).items() if name != "doubts"
        }
    return {
        "coverage": COVERAGE,  # Fraction of the true values that lie within the ranges.
        "calibration": None if calibration is None else asdict(calibration),
        "instrument": instrument_values,
        "camera": None if prediction.camera is None else prediction.camera.source,
    }


def region_cells(region: RegionMeasurement, spell: SpellRemark) -> dict[str, object]:
    """Make a region's row of a CSV, by column; the cells of its box are None without a floor."""
    cells: dict[str, object] = {"name": region.name, "share": region.share}
    cells |= zip(("u1", "v1", "u2", "v2"), region.box, strict=True)
    for column, size in _measurements_by_column(region).items():
        cells[column] = None if size is None else f"{size.value:.4g}"
        cells[f"{column}_low"] = None if size is None else f"{size.low:.4g}"
        cells[f"{column}_high"] = None if size is None else f"{size.high:.4g}"
    centre = (None, None, None) if region.upright is None else region.upright.centre.position
    cells |= zip(("box_x", "box_y", "box_z"), centre, strict=True)
    cells["remarks"] = "; ".join(spell(remark) for remark in region.remarks)
    return cells


def _measurements_by_column(region: RegionMeasurement) -> dict[str, Measurement | None]:
    """Measurements of a region by CSV column; those of its upright box are None without one."""
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
