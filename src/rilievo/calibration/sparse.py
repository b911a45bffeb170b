"""Sparse depth of another instrument, as known points spread over the picture."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from rilievo.alignment import FitSpace
from rilievo.alignment.anchor import rank_correlation
from rilievo.alignment.sensor_depth import is_dense
from rilievo.arrays.shapes import Field, Float64, Mask, Points, Shaped, Values
from rilievo.calibration.depth_errors import rounding_of
from rilievo.calibration.point_lists import read_point_list
from rilievo.calibration.points import MAX_SCALE_RATIO, fit_line_through_two_points
from rilievo.calibration.readings import (
    MIN_AXIS_COSINE,
    known_point_pixel,
    median_around,
    pixel_index,
)
from rilievo.calibration.size_files import LIST_SUFFIXES
from rilievo.calibration.sizes import Along, KnownPoint
from rilievo.errors import CalibrationError, InputError, OptionError
from rilievo.errors.messages import Note, OptionName, Text
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.cameras.lens import SpacePoints
from rilievo.io.depth.encoding import NumberEncoding, parse_optional_encoding
from rilievo.io.depth.interpretation import (
    DepthInterpretation,
    DepthProperty,
    PropertyOrigin,
    unit_property,
)
from rilievo.io.depth.inverse_depth import inverse_depth_warnings
from rilievo.io.depth.placement import PlacementWords, parse_placement, place_map
from rilievo.io.depth.plausibility import (
    MAX_PLAUSIBLE_MEDIAN,
    NEGATION_HINT,
    negative_numbers_warning,
    unit_warning,
)
from rilievo.io.depth.statements import DISTANCE, DepthStatement
from rilievo.io.depth.stored_depth import (
    StoredDepth,
    read_stored_depth,
    stored_depth_from_array,
    stored_depth_warnings,
)
from rilievo.io.files.names import printable
from rilievo.io.saved_origins import read_saved_arrays
from rilievo.records.depth_map import DepthKind, DepthMap, OwnDepth
from rilievo.records.instruments import NO_ERROR, DepthError, DepthSource, Instrument

# More are reduced to medians of a grid.
MOST_POINTS = 200
# Largest distance of a known point [m].
_FARTHEST = 1e6
# Median from which on numbers may be centimetres of a room [m].
_FAR_MEDIAN = 100.0
_UNITS = "0.001 for millimetres (phones, RealSense, ScanNet), 0.0002 for TUM, 0.00390625 for KITTI"

# Largest relative difference of aspect ratios.
_PROPORTIONS = 0.02


_FEWEST_ORDERED = 20
"""Fewest points whose order is compared with that of a network."""
_LEAST_SPREAD = 1.3
"""Least ratio of far to near metres (a tenth each) whose order a network sees."""
_INVERSE_ORDER = -0.6
"""Rank correlation with the network's depth from which on sparse depth is inverse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SparseDepth:
    """Depth of another instrument.

    Attributes:
        measured: Map [m] of a sensor with over a hundredth of its pixels, 0 for gaps.
        reading: Reading of its numbers.
        sensor_doubts: What would make all metres wrong, such as a unit that was guessed.
        rounding: Error by which the numbers of a map are rounded.
        along: Direction of the metres, by the user or the file; None if neither says it.
        instrument: The instrument and its error by rilievo's record of the map; None without one.
        is_file: Whether it is a map in a file; floating-point numbers of an array are metres.
        camera_file: Name of the map's file, if it states a camera, which is not used.
    """

    points: tuple[KnownPoint, ...]
    measured: Field | None = None
    reading: DepthInterpretation = field(default_factory=DepthInterpretation)
    sensor_doubts: tuple[str, ...] = ()
    rounding: DepthError = NO_ERROR
    along: Along | None = None
    instrument: Instrument | None = None
    is_file: bool = False
    camera_file: str | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """How the numbers of a file were read, if that is a guess, and doubts."""
        facts = [
            fact for fact in self.reading.unit_properties if fact.origin is PropertyOrigin.GUESSED
        ]
        lines = [
            f"sparse depth is {self.reading.unit_and_range} ({fact.place})"
            for fact in facts
            if self.is_file and self.instrument is None
        ]
        return (*lines, *self.reading.warnings)


@dataclass(frozen=True, slots=True)
class _Photograph:
    """Photograph that sparse depth belongs to.

    Attributes:
        shape: Height and width.
        crop: Where the user says that a map lies in it.
        orientation: EXIF's orientation by which it was made upright, 1 to 8.
    """

    shape: tuple[int, int]
    crop: str | None
    orientation: int


def read_sparse(
    path: Path | np.ndarray,
    shape: tuple[int, int],
    unit: float | None,
    crop: str | None = None,
    encoding: str | None = None,
    *,
    kind: str | None = None,
    is_error_stated: bool = False,
    orientation: int = 1,
) -> SparseDepth:
    """Read depth of another instrument for a photograph of this shape (height, width).

    Args:
        path: Map, 0 and NaN as gaps, or lines ``u v metres``; or an array.
        shape: Height and width of the photograph.
        unit: Metres per count, required for integers that do not state it.
        crop: Where a map lies in the photograph (``rilievo.io.depth.placement``), if its size does
            not say so.
        encoding: What its numbers hold besides depth (``rilievo.io.depth.encoding``).
        kind: "metric" (along the axis) or "distance" (along the ray), if the user says it.
        is_error_stated: Whether the user states the error of the depth, which may then be a
            network's.
        orientation: EXIF's orientation of the photograph.

    Raises:
        InputError: If the file is broken, or its record says that a network predicted the depth.
        OptionError: If the options do not fit the file.
    """
    declared = parse_optional_encoding(
        encoding, unit, encoding_option="sparse_encoding", unit_option="sparse_unit"
    )
    photograph = _Photograph(shape, crop, orientation)
    if isinstance(path, np.ndarray):
        return _sparse_of_numbers(
            stored_depth_from_array(path, declared, "sparse"),
            photograph,
            unit,
            declared,
            "sparse",
            kind,
        )
    if path.stem.lower() == "points3d":
        raise InputError(
            (
                "COLMAP's points are places in the scene, expected lines u "
                "v metres of one photograph: 'rilievo example colmap' writes "
                "a program that fits depth to them"
            ),
            path=printable(path),
        )
    if path.suffix.lower() not in LIST_SUFFIXES:
        numbers = read_stored_depth(
            path, encoding=declared, is_scaled=unit is not None, searches_records=True
        )
        numbers, instrument, notes = _measured_numbers(numbers, printable(path), is_error_stated)
        sparse = _sparse_of_numbers(numbers, photograph, unit, declared, printable(path), kind)
        reading = replace(sparse.reading, warnings=(*sparse.reading.warnings, *notes))
        camera_file = None if numbers.statement.camera is None else printable(path)
        return replace(sparse, reading=reading, instrument=instrument, camera_file=camera_file)
    _refuse_map_options_of_list(crop, encoding)
    listed = read_point_list(path, shape, orientation)
    points = listed.points * (1, 1, 1 if unit is None else unit)
    metres = _map_of_points(points, shape)
    if not len(points):
        raise InputError(
            "has no point with depth inside the picture",
            path=path,
            hint="; ".join(listed.size_doubts),
        )
    name = printable(path)
    about_unit = () if unit is not None else _doubts_about_listed_unit(points[:, 2], name)
    about_size = tuple(f"{name}: {doubt}" for doubt in (*listed.doubts, *listed.size_doubts))
    reading = DepthInterpretation(warnings=(*about_size, *about_unit))
    sparse = _sparse_record(points, metres, shape, reading)
    sensor_doubts = (*listed.size_doubts, *about_unit)
    return replace(sparse, along=_direction_of_kind(kind), sensor_doubts=sensor_doubts)


def _doubts_about_listed_unit(metres: Values, name: str) -> tuple[str, ...]:
    """Doubt about the unit of a list of points, whose third number is in metres by definition."""
    middle = float(np.median(metres))
    if middle <= _FAR_MEDIAN and unit_warning(middle) is None:
        return ()
    unit = "mm" if middle > MAX_PLAUSIBLE_MEDIAN else "cm"
    return (
        Note(
            f"its points are {metres.min():.3g} to {metres.max():.3g} m away, in the middle "
            f"{middle:.3g} m, so their numbers are hardly metres",
            path=name,
            hint=Text(OptionName("sparse_unit", unit), " says another unit"),
        ),
    )


def sparse_from_array(
    depth: Shaped[np.ndarray, "..."], shape: tuple[int, int], unit: float | None
) -> SparseDepth:
    """Make sparse depth of an array in metres, or counts."""
    return read_sparse(np.asarray(depth), shape, unit)


def _sparse_of_numbers(
    numbers: StoredDepth,
    photograph: _Photograph,
    unit: float | None,
    declared: NumberEncoding,
    name: str,
    kind: str | None,
) -> SparseDepth:
    """Sparse depth of a map, with what its numbers look like besides depth."""
    stated = numbers.statement
    _refuse_kind_or_second_unit(stated, unit, name, kind)
    metres = _map_in_metres(numbers.values, unit, name, declared)
    rounding = rounding_of(numbers.stored, metres)
    fact = unit_property(numbers.stored, stated, unit=unit, source="sparse_unit", guess=1.0)
    doubts = stored_depth_warnings(
        numbers,
        metres[metres > 0].astype(np.float64),
        unit=1.0 if unit is None else unit,
        invalid=(0.0,) if stated.linear_range is None else (),
        max_depth=declared.max_depth,
        is_unit_declared=unit is not None,
    )
    about_inverse = tuple[str, ...]()
    if stated.origin is None or stated.origin.is_changed:
        about_inverse = inverse_depth_warnings(
            numbers.stored, metres.astype(np.float64), metres > 0
        )
    is_file = name != "sparse"
    sensor_doubts = (*(_doubt_about_unit(fact) if is_file else ()), *about_inverse)
    doubts = tuple(dict.fromkeys((*doubts, *about_inverse)))
    shape = photograph.shape
    if stated.origin is not None:
        photograph = replace(photograph, orientation=1)  # What rilievo saved is upright.
    metres, notes = _put_into_photograph(metres, photograph, name)
    doubts = tuple(f"{name}: {doubt}" for doubt in (*doubts, *notes))
    points = _usable_map_points(metres, shape)
    if not len(points):
        hint = negative_numbers_warning(numbers.stored, NEGATION_HINT) or ""
        raise InputError("has no pixel with depth inside the picture", path=name, hint=hint)
    reading = DepthInterpretation(
        properties=(fact,),
        warnings=doubts,
        nearest=float(points[:, 2].min()),
        farthest=float(points[:, 2].max()),
    )
    sparse = _sparse_record(points, metres, shape, reading)
    # A unit that a file names says nothing of the direction.
    is_distance = stated.kind == DISTANCE
    return replace(
        sparse,
        sensor_doubts=sensor_doubts,
        rounding=rounding,
        is_file=is_file,
        along=Along.RAY if is_distance else _direction_of_kind(kind),
    )


def _doubt_about_unit(fact: DepthProperty) -> tuple[str, ...]:
    """Doubt about a unit that nothing states."""
    if fact.origin is not PropertyOrigin.GUESSED:
        return ()
    return (
        Note(
            f"the sensor's numbers are taken for {fact.value}, as nothing states their unit",
            hint=Text(OptionName("sparse_unit", "..."), " says it"),
        ),
    )


def _direction_of_kind(kind: str | None) -> Along | None:
    if kind is None:
        return None
    return Along.RAY if kind == DISTANCE else Along.AXIS


def _measured_numbers(
    numbers: StoredDepth, name: str, is_error_stated: bool
) -> tuple[StoredDepth, Instrument | None, tuple[str, ...]]:
    """Numbers that an instrument measured, the instrument, and notes on what is left out.

    Raises:
        InputError: If the map's record says that a network predicted the depth, or filled gaps that
            are not known, and the user does not state an error.
    """
    origin = numbers.statement.origin
    if origin is None:
        return numbers, None, ()
    instrument = origin.instrument
    changed = "was changed since rilievo saved it, so the error of its record is not used"
    if origin.is_changed and instrument is not None:
        return numbers, None, (f"{name}: {changed} ({origin.place})",)
    if instrument is None or instrument.source is DepthSource.NETWORK:
        words = f"holds depth that {origin.network} predicted ({origin.place})"
        words += ", and was changed since rilievo saved it" if origin.is_changed else ""
        if is_error_stated:
            return numbers, None, (f"{name}: {words}; its error is the one that you state",)
        raise InputError(
            f"{words}, not depth of an instrument",
            path=name,
            hint=Text(
                "measure on it with 'rilievo measure --depth' or rilievo.Prediction.from_depth, or "
                "state its error with ",
                OptionName("depth_error", "..."),
            ),
        )
    if instrument.source is not DepthSource.SENSOR:
        return numbers, instrument, ()
    arrays = {} if origin.archive is None else read_saved_arrays(origin.archive)
    measured = arrays.get("measured")
    if measured is not None and measured.shape == numbers.stored.shape:
        note = f"{name}: only the pixels that the sensor measured are used ({origin.place})"
        return _without_pixels(numbers, ~measured.astype(bool)), instrument, (note,)
    if is_error_stated:
        note = f"{name}: a network filled some of its pixels, and which is not known"
        return numbers, instrument, (note,)
    raise InputError(
        "holds pixels of a sensor and pixels that a network filled, and its npz file, which tells "
        "them apart, is not there",
        path=name,
        hint="give the sensor's own map, or the npz file",
    )


def _without_pixels(numbers: StoredDepth, left_out: Mask) -> StoredDepth:
    """Numbers of which some pixels have none."""
    stored, statement = numbers.stored, numbers.statement
    if stored.dtype.kind == "f":
        return replace(numbers, stored=np.where(left_out, np.nan, stored).astype(stored.dtype))
    # Zero is a gap in all whole numbers of sparse depth.
    invalid = tuple(dict.fromkeys((*statement.invalid, 0.0)))
    return replace(
        numbers,
        stored=np.where(left_out, 0, stored).astype(stored.dtype),
        statement=replace(statement, invalid=invalid),
    )


def _sparse_record(
    points: Points, metres: Field, shape: tuple[int, int], reading: DepthInterpretation
) -> SparseDepth:
    facts = _known_points(thin_by_grid(points, shape))
    return SparseDepth(points=facts, measured=metres if is_dense(metres) else None, reading=reading)


def _refuse_kind_or_second_unit(
    stated: DepthStatement, unit: float | None, name: str, kind: str | None
) -> None:
    if kind is not None and stated.kind not in (None, kind):
        raise OptionError(
            option="sparse_kind",
            problem=f"says '{kind}', but {name} says '{stated.kind}' ({stated.source})",
            hint="leave it out",
        )
    if stated.kind not in (None, DepthKind.METRIC, DISTANCE):
        raise InputError(
            (f"states depth of kind '{stated.kind}' ({stated.source}), which gives no metres"),
            path=name,
        )
    if unit is not None and stated.is_decodable:
        raise OptionError(
            f"states how its numbers become metres ({stated.source})",
            path=name,
            hint=Text("leave ", OptionName("sparse_unit"), " out"),
        )


def _map_of_points(points: Points, shape: tuple[int, int]) -> Field:
    metres = np.zeros(shape, np.float32)
    columns, rows = np.floor(points[:, :2].T + 0.5).astype(int)
    metres[np.minimum(rows, shape[0] - 1), np.minimum(columns, shape[1] - 1)] = points[:, 2]
    return metres


def known_points_of_own_depth(
    own: OwnDepth, shape: tuple[int, int], camera: Camera
) -> tuple[KnownPoint, ...]:
    """Make known points of a file's depth, whose ``metres`` are set."""
    assert own.metres is not None, "the caller asked"
    height, width = own.metres.shape
    # Editors crop and rotate photographs and leave the embedded maps unchanged.
    if abs(width * shape[0] / (height * shape[1]) - 1) > _PROPORTIONS:
        raise CalibrationError("its proportions differ from the photograph's")
    points = _map_points_in_photo(own.metres.astype(np.float64), shape)
    points = thin_by_grid(points[_is_inside_and_positive(points, shape)], shape)
    if not len(points):
        raise CalibrationError("it has no pixel with depth")
    rays = camera.rays(points[:, :2].T)
    metres_at_depth_1 = np.linalg.norm(rays, axis=0) if own.along_ray else rays[2]
    # Beside a wide lens, depth along the axis tells nothing; outside of it, nothing is seen.
    usable = metres_at_depth_1 > MIN_AXIS_COSINE
    if not usable.any():
        raise CalibrationError("it has no pixel with depth that the lens sees")
    points = points[usable]
    points[:, 2] /= metres_at_depth_1[usable]
    return points_at_depth_of_lens(_known_points(points), camera)


def points_at_depth_of_lens(
    points: tuple[KnownPoint, ...], camera: Camera, along: Along | None = None
) -> tuple[KnownPoint, ...]:
    """Points whose metres are depth as a map of this lens has it.

    That is z of a pinhole, and the distance along the ray of a fisheye or panorama.

    Args:
        points: Points with metres.
        camera: Camera of the photograph.
        along: Direction of these metres; None if they are such depth already.

    Raises:
        CalibrationError: If metres are along the axis where a wide lens looks aside or back.
    """
    if points and along is not None:
        places = np.array([(point.u, point.v) for point in points], np.float64)
        factors = _depth_per_metre(camera.rays(places.T), camera, along)
        points = tuple(
            replace(point, metres=float(point.metres * factor))
            for point, factor in zip(points, factors, strict=True)
            if factor > 0
        )
    if not camera.lens.has_unit_rays:
        return points
    return tuple(replace(point, along=Along.RAY) for point in points)


def map_at_depth_of_lens(measured: Field, camera: Camera, along: Along | None) -> Field:
    """Sparse map [m], 0 for gaps, as a map of this lens has depth; see the points above."""
    if along is None:
        return measured
    rows, columns = np.nonzero(measured)
    pixels = np.stack([columns, rows]).astype(np.float64)
    converted = np.zeros_like(measured)
    factors = _depth_per_metre(camera.rays(pixels), camera, along)
    # Outside of its image circle a fisheye sees nothing.
    converted[rows, columns] = measured[rows, columns] * np.nan_to_num(factors)
    return converted


def _depth_per_metre(rays: SpacePoints, camera: Camera, along: Along) -> Values:
    """Depth of the lens for each metre along the axis or along rays; 0 beside the axis' view.

    Raises:
        CalibrationError: If metres are along the axis where a wide lens looks aside or back.
    """
    if not camera.lens.has_unit_rays:
        if along is Along.AXIS:
            return np.ones(rays.shape[1])
        return 1 / np.linalg.norm(rays, axis=0)
    if along is Along.RAY:
        return np.ones(rays.shape[1])
    beyond = int(np.count_nonzero(rays[2] < 0))
    if beyond:
        raise CalibrationError(
            f"{beyond} points of sparse depth along the axis lie more than 90 degrees from the "
            f"axis of this {camera.lens.name}, where no such depth is",
            hint=Text("say ", OptionName("sparse_kind", "distance"), " if it is along the ray"),
        )
    is_ahead = rays[2] > MIN_AXIS_COSINE
    return np.where(is_ahead, 1 / np.where(is_ahead, rays[2], 1), 0.0)


def _known_points(points: Points) -> tuple[KnownPoint, ...]:
    return tuple(KnownPoint(u=u, v=v, metres=metres) for u, v, metres in points.tolist())


def drop_implausible_points(
    depth: DepthMap, points: tuple[KnownPoint, ...], *, may_be_inverse: bool = True
) -> tuple[tuple[KnownPoint, ...], str | None]:
    """Drop points that contradict a map, with a warning; instruments err at edges.

    Args:
        depth: The network's map.
        points: Depth of the instrument.
        may_be_inverse: Whether nothing states that the points are depth, so that they are refused
            if they are in the reverse order of the network's.
    """
    inside = points_with_depth(depth, points)
    if not inside:
        raise CalibrationError("no point of sparse depth lies where the model gives depth")
    says = np.array(
        [median_around(depth, known_point_pixel(point)) for point in inside], np.float64
    )
    metres = np.array([point.metres for point in inside], np.float64)
    if may_be_inverse:
        _refuse_inverse_order(says if depth.kind is not DepthKind.AFFINE_INVERSE else -says, metres)
    if depth.is_depth:
        logs = np.log(metres / says)
        logs -= np.median(logs)
    else:
        logs = _log_errors_of_line(says, metres, depth)
    near = np.abs(logs) <= np.log(MAX_SCALE_RATIO) / 2
    agreeing = tuple(point for point, keep in zip(inside, near, strict=True) if keep)
    left = len(points) - len(agreeing)
    if not left:
        return agreeing, None
    return agreeing, f"{left} of {len(points)} points contradict the prediction and were left out"


def _refuse_inverse_order(says: Values, metres: Values) -> None:
    """Raise ``CalibrationError`` if metres fall where the network's depth rises.

    Args:
        says: The network's numbers, larger farther away.
        metres: Metres of the sensor at the same pixels.
    """
    if len(metres) < _FEWEST_ORDERED:
        return
    near, far = np.quantile(metres, (0.1, 0.9))
    if far < _LEAST_SPREAD * near or rank_correlation(says, metres) > _INVERSE_ORDER:
        return
    raise CalibrationError(
        "sparse depth is small where the network sees far, and large where it sees near, as "
        "inverse depth and disparity are: convert it to metres (1 over inverse depth, or focal "
        "length times baseline over disparity)"
    )


def points_with_depth(depth: DepthMap, points: tuple[KnownPoint, ...]) -> list[KnownPoint]:
    """Points where the map has depth."""
    return [point for point in points if depth.valid[pixel_index(depth, known_point_pixel(point))]]


def _log_errors_of_line(says: Values, metres: Values, depth: DepthMap) -> Values:
    fit = fit_line_through_two_points(says, metres, depth)
    fitted = fit.scale * says + fit.shift
    ahead = fitted > 0
    fitted = np.where(ahead, fitted, 1)
    depths = 1 / fitted if fit.space is FitSpace.INVERSE else fitted
    return np.where(ahead, np.log(depths / metres), np.inf)


def thin_by_grid(points: Points, shape: tuple[int, int]) -> Float64[np.ndarray, "m 3"]:
    """Reduce points to ``MOST_POINTS``, medians of a grid's cells."""
    points = _first_point_of_pixels(points)
    if len(points) <= MOST_POINTS:
        return points
    height, width = shape
    # Cells at the far sides may be cut, so fewer whole cells fit than the limit: hence 1.1.
    side = 1.1 * float(np.sqrt(height * width / MOST_POINTS))
    columns, rows = (np.floor(points[:, axis] / side).astype(int) for axis in (0, 1))
    order = np.lexsort((points[:, 2], columns, rows))
    cells = (rows * (width + 1) + columns)[order]
    groups = np.split(order, np.flatnonzero(np.diff(cells)) + 1)
    return points[[group[len(group) // 2] for group in groups]]


def _first_point_of_pixels(points: Points) -> Float64[np.ndarray, "m 3"]:
    pixels = np.floor(points[:, :2] + 0.5).astype(int)
    _, first = np.unique(pixels, axis=0, return_index=True)
    return points[np.sort(first)]


def _map_in_metres(
    depth: Shaped[np.ndarray, "..."], unit: float | None, name: str, declared: NumberEncoding
) -> Field:
    if depth.ndim != 2 or not depth.size:
        raise InputError(f"has shape {depth.shape}, expected (height, width)", path=name)
    if unit is None and depth.dtype.kind in "ui":
        raise OptionError(
            "holds whole numbers",
            path=name,
            hint=Text(
                "say how many metres one count is with ",
                OptionName("sparse_unit", "..."),
                f": {_UNITS}",
            ),
        )
    with np.errstate(over="ignore", invalid="ignore"):
        metres = depth.astype(np.float64) * (1.0 if unit is None else unit)
        most = min(declared.max_depth or _FARTHEST, _FARTHEST)
        usable = np.isfinite(metres) & (metres > 0) & (metres >= declared.min_depth)
        usable &= metres <= most
    return np.where(usable, metres, 0).astype(np.float32)


def _refuse_map_options_of_list(crop: str | None, encoding: str | None) -> None:
    for name, value in (("sparse_crop", crop), ("sparse_encoding", encoding)):
        if value is not None:
            raise OptionError(
                option=name,
                problem="is for a map",
                hint="a list of points says where each lies, and its metres",
            )


def _put_into_photograph(
    metres: Field, photograph: _Photograph, name: str
) -> tuple[Field, tuple[str, ...]]:
    """Map of all of the photograph, 0 for gaps, and notes on what was taken for granted.

    A map of a part that has another size than its part is spread: each number is put at the pixel
    that holds its centre.
    """
    shape, crop = photograph.shape, photograph.crop
    stated = None if crop is None else parse_placement(crop, "sparse_crop")
    words = PlacementWords(map="sparse depth", picture="the photograph", option="sparse_crop")
    size = (metres.shape[0], metres.shape[1])
    try:
        place = place_map(size, shape, stated, words, orientation=photograph.orientation)
    except InputError as error:
        raise InputError(problem=Text(error), path=name) from error
    part = place.crop
    if part.shape == shape:
        return metres, place.notes
    if part.shape != size:
        rows, columns = (
            ((np.arange(old) + 0.5) * new / old).astype(int)
            for old, new in zip(size, part.shape, strict=True)
        )
        spread = np.zeros(part.shape, np.float32)
        spread[rows[:, None], columns] = metres
        metres = spread
    return part.paste_into_picture(metres, shape, 0), place.notes


def _usable_map_points(metres: Field, shape: tuple[int, int]) -> Points:
    points = _map_points_in_photo(metres.astype(np.float64), shape)
    return points[_is_inside_and_positive(points, shape)]


def _map_points_in_photo(metres: Float64[np.ndarray, "h w"], shape: tuple[int, int]) -> Points:
    down, across = shape[0] / metres.shape[0], shape[1] / metres.shape[1]
    rows, columns = np.nonzero(np.isfinite(metres) & (metres > 0))
    # Pixel centres map to pixel centres.
    return np.stack(
        [(columns + 0.5) * across - 0.5, (rows + 0.5) * down - 0.5, metres[rows, columns]], axis=1
    )


def _is_inside_and_positive(points: Points, shape: tuple[int, int]) -> np.ndarray:
    height, width = shape
    u, v, metres = points.T
    inside = (u >= 0) & (v >= 0) & (u <= width - 1) & (v <= height - 1)
    return inside & np.isfinite(metres) & (metres > 0)
