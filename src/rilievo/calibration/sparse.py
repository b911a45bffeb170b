"""Files and arrays with sparse depth of another instrument, such as a lidar or a depth camera."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from rilievo.alignment.sensor_depth import is_dense
from rilievo.arrays.shapes import Field, Mask, Points, Shaped, Values
from rilievo.calibration.depth_errors import rounding_of
from rilievo.calibration.point_lists import read_point_list
from rilievo.calibration.size_files import LIST_SUFFIXES
from rilievo.calibration.sizes import Along, KnownPoint
from rilievo.calibration.sparse_points import known_points_of_array, points_of_map, thin_by_grid
from rilievo.errors import InputError, OptionError
from rilievo.errors.messages import Note, OptionName, Text
from rilievo.io.depth.crops import parse_placement
from rilievo.io.depth.encoding import NumberEncoding, parse_optional_encoding
from rilievo.io.depth.interpretation import (
    DepthInterpretation,
    DepthProperty,
    PropertyOrigin,
    unit_property,
)
from rilievo.io.depth.inverse_depth import inverse_depth_warnings
from rilievo.io.depth.placement import PlacementWords, place_map
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
from rilievo.records.depth_map import DepthKind
from rilievo.records.instruments import NO_ERROR, DepthError, DepthSource, Instrument

_MAX_DEPTH = 1e6
"""Largest depth of a known point [m]."""
_MAX_LISTED_MEDIAN = 100.0
"""Median of listed depths from which on they may be the centimetres of a room [m]."""
_UNIT_EXAMPLES = (
    "0.001 for millimetres (phones, RealSense, ScanNet), 0.0002 for TUM, 0.00390625 for KITTI"
)
_ARRAY_NAME = "sparse"
"""Name of an array in messages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SparseDepth:
    """Depth of another instrument for one photograph.

    Attributes:
        points: Points with their metres, reduced to a few hundred.
        measured: Map [m] of a sensor with over a hundredth of its pixels, 0 for gaps.
        reading: How its numbers were interpreted.
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
        """Notes for the user: units that were guessed, and warnings about the numbers."""
        if not self.is_file or self.instrument is not None:
            return self.reading.warnings
        guessed_units = [
            f"sparse depth is {self.reading.unit_and_range} ({unit.place})"
            for unit in self.reading.unit_properties
            if unit.origin is PropertyOrigin.GUESSED
        ]
        return (*guessed_units, *self.reading.warnings)


@dataclass(frozen=True, slots=True, kw_only=True)
class _SparseOptions:
    """What the user says about sparse depth, and the photograph that it belongs to.

    Attributes:
        shape: Height and width of the photograph.
        orientation: EXIF's orientation by which the photograph was made upright, 1 to 8.
        unit: Metres per count; None if the user does not say it.
        crop: Where a map lies in the photograph; None if the user does not say it.
        declared: What the numbers hold besides depth.
        kind: "metric" or "distance"; None if the user does not say it.
    """

    shape: tuple[int, int]
    orientation: int
    unit: float | None
    crop: str | None
    declared: NumberEncoding
    kind: str | None

    @property
    def along(self) -> Along | None:
        """Direction of the metres; None if the user does not say it."""
        if self.kind is None:
            return None
        return Along.RAY if self.kind == DISTANCE else Along.AXIS


def read_sparse(
    source: Path | np.ndarray,
    shape: tuple[int, int],
    unit: float | None,
    crop: str | None = None,
    encoding: str | None = None,
    *,
    kind: str | None = None,
    is_error_stated: bool = False,
    orientation: int = 1,
) -> SparseDepth:
    """Read depth of another instrument for a photograph.

    Args:
        source: File of a map, with 0 and NaN as gaps, or of lines ``u v metres``; or a map as an
            array.
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
    options = _SparseOptions(
        shape=shape, orientation=orientation, unit=unit, crop=crop, declared=declared, kind=kind
    )
    if isinstance(source, np.ndarray):
        numbers = stored_depth_from_array(source, declared, _ARRAY_NAME)
        return _sparse_of_numbers(numbers, options, _ARRAY_NAME, is_file=False)
    if source.stem.lower() == "points3d":
        raise InputError(
            "COLMAP's points are places in the scene, expected lines u v metres of one photograph: "
            "'rilievo example colmap' writes a program that fits depth to them",
            path=printable(source),
        )
    if source.suffix.lower() not in LIST_SUFFIXES:
        return _read_map_file(source, options, is_error_stated=is_error_stated)
    _require_no_map_options(crop, encoding)
    return _read_list(source, options)


def _read_map_file(path: Path, options: _SparseOptions, *, is_error_stated: bool) -> SparseDepth:
    """Read a map from a file, without those pixels that a network predicted."""
    name = printable(path)
    numbers = read_stored_depth(
        path, encoding=options.declared, is_scaled=options.unit is not None, searches_records=True
    )
    measured = _measured_numbers(numbers, name, is_error_stated=is_error_stated)
    sparse = _sparse_of_numbers(measured.numbers, options, name, is_file=True)
    warnings = sparse.reading.warnings
    if measured.note is not None:
        warnings = (*warnings, measured.note)
    return replace(
        sparse,
        reading=replace(sparse.reading, warnings=warnings),
        instrument=measured.instrument,
        camera_file=None if numbers.statement.camera is None else name,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _MeasuredNumbers:
    """Numbers of a map that an instrument measured.

    Attributes:
        numbers: The numbers, without pixels that a network filled.
        instrument: The instrument by rilievo's record; None without a record that holds.
        note: What of the record is not used, or left out; None if all is used.
    """

    numbers: StoredDepth
    instrument: Instrument | None = None
    note: str | None = None


def _measured_numbers(
    numbers: StoredDepth, name: str, *, is_error_stated: bool
) -> _MeasuredNumbers:
    """Leave out what rilievo's record of a map says that a network predicted.

    Raises:
        InputError: If the map's record says that a network predicted the depth, or filled gaps that
            are not known, and the user does not state an error.
    """
    origin = numbers.statement.origin
    if origin is None:
        return _MeasuredNumbers(numbers=numbers)
    instrument = origin.instrument
    if origin.is_changed and instrument is not None:
        changed = "was changed since rilievo saved it, so the error of its record is not used"
        return _MeasuredNumbers(numbers=numbers, note=f"{name}: {changed} ({origin.place})")
    if instrument is None or instrument.source is DepthSource.NETWORK:
        predicted = f"holds depth that {origin.network} predicted ({origin.place})"
        if origin.is_changed:
            predicted += ", and was changed since rilievo saved it"
        if is_error_stated:
            note = f"{name}: {predicted}; its error is the one that you state"
            return _MeasuredNumbers(numbers=numbers, note=note)
        raise InputError(
            f"{predicted}, not depth of an instrument",
            path=name,
            hint=Text(
                "measure on it with 'rilievo measure --depth' or rilievo.Prediction.from_depth, or "
                "state its error with ",
                OptionName("depth_error", "..."),
            ),
        )
    if instrument.source is not DepthSource.SENSOR:
        return _MeasuredNumbers(numbers=numbers, instrument=instrument)
    measured = _without_filled_pixels(numbers, name, is_error_stated=is_error_stated)
    return replace(measured, instrument=instrument)


def _without_filled_pixels(
    numbers: StoredDepth, name: str, *, is_error_stated: bool
) -> _MeasuredNumbers:
    """Leave out the pixels of a sensor's map that a network filled, as its npz file says.

    Raises:
        InputError: If there is no npz file, and the user does not state an error.
    """
    origin = numbers.statement.origin
    assert origin is not None, "the caller has read the instrument from it"
    arrays = {} if origin.archive is None else read_saved_arrays(origin.archive)
    is_measured = arrays.get("measured")
    if is_measured is not None and is_measured.shape == numbers.stored.shape:
        return _MeasuredNumbers(
            numbers=_without_pixels(numbers, ~is_measured.astype(bool)),
            note=f"{name}: only the pixels that the sensor measured are used ({origin.place})",
        )
    if is_error_stated:
        note = f"{name}: a network filled some of its pixels, and which is not known"
        return _MeasuredNumbers(numbers=numbers, note=note)
    raise InputError(
        "holds pixels of a sensor and pixels that a network filled, and its npz file, which tells "
        "them apart, is not there",
        path=name,
        hint="give the sensor's own map, or the npz file",
    )


def _without_pixels(numbers: StoredDepth, left_out: Mask) -> StoredDepth:
    """Numbers of a map in which some pixels have become gaps."""
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


def _sparse_of_numbers(
    numbers: StoredDepth, options: _SparseOptions, name: str, *, is_file: bool
) -> SparseDepth:
    """Sparse depth of a map's numbers, with warnings on what they look like besides depth."""
    stated = numbers.statement
    _require_consistent_options(stated, options, name)
    metres = _map_in_metres(numbers.values, options, name)
    rounding = rounding_of(numbers.stored, metres)
    unit = unit_property(numbers.stored, stated, unit=options.unit, source="sparse_unit", guess=1.0)
    warnings = stored_depth_warnings(
        numbers,
        metres[metres > 0].astype(np.float64),
        unit=1.0 if options.unit is None else options.unit,
        invalid=(0.0,) if stated.linear_range is None else (),
        max_depth=options.declared.max_depth,
        is_unit_declared=options.unit is not None,
    )
    inverse_warnings = tuple[str, ...]()
    if stated.origin is None or stated.origin.is_changed:
        inverse_warnings = inverse_depth_warnings(
            numbers.stored, metres.astype(np.float64), metres > 0
        )
    sensor_doubts = inverse_warnings
    if is_file and unit.origin is PropertyOrigin.GUESSED:
        sensor_doubts = (_guessed_unit_doubt(unit), *inverse_warnings)

    if stated.origin is not None:
        options = replace(options, orientation=1)  # What rilievo saved is upright.
    metres, notes = _put_into_photograph(metres, options, name)
    points = points_of_map(metres.astype(np.float64), options.shape)
    if not len(points):
        hint = negative_numbers_warning(numbers.stored, NEGATION_HINT) or ""
        raise InputError("has no pixel with depth inside the picture", path=name, hint=hint)
    all_warnings = (*dict.fromkeys((*warnings, *inverse_warnings)), *notes)
    return SparseDepth(
        points=known_points_of_array(thin_by_grid(points, options.shape)),
        measured=metres if is_dense(metres) else None,
        reading=DepthInterpretation(
            properties=(unit,),
            warnings=tuple(f"{name}: {warning}" for warning in all_warnings),
            nearest=float(points[:, 2].min()),
            farthest=float(points[:, 2].max()),
        ),
        sensor_doubts=sensor_doubts,
        rounding=rounding,
        is_file=is_file,
        # A statement of another kind than distance does not say the direction.
        along=Along.RAY if stated.kind == DISTANCE else options.along,
    )


def _require_consistent_options(stated: DepthStatement, options: _SparseOptions, name: str) -> None:
    """Raise an error if a file states no metres, or the user says what contradicts the file."""
    if options.kind is not None and stated.kind not in (None, options.kind):
        raise OptionError(
            option="sparse_kind",
            problem=f"says '{options.kind}', but {name} says '{stated.kind}' ({stated.source})",
            hint="leave it out",
        )
    if stated.kind not in (None, DepthKind.METRIC, DISTANCE):
        raise InputError(
            f"states depth of kind '{stated.kind}' ({stated.source}), which gives no metres",
            path=name,
        )
    if options.unit is not None and stated.is_decodable:
        raise OptionError(
            f"states how its numbers become metres ({stated.source})",
            path=name,
            hint=Text("leave ", OptionName("sparse_unit"), " out"),
        )


def _map_in_metres(numbers: Shaped[np.ndarray, "..."], options: _SparseOptions, name: str) -> Field:
    """Depth of a map [m], 0 for gaps and for depth outside of the declared range.

    Raises:
        InputError: If the numbers are no map.
        OptionError: If they are whole numbers without a unit.
    """
    if numbers.ndim != 2 or not numbers.size:
        raise InputError(f"has shape {numbers.shape}, expected (height, width)", path=name)
    if options.unit is None and numbers.dtype.kind in "ui":
        raise OptionError(
            "holds whole numbers",
            path=name,
            hint=Text(
                "say how many metres one count is with ",
                OptionName("sparse_unit", "..."),
                f": {_UNIT_EXAMPLES}",
            ),
        )
    declared = options.declared
    with np.errstate(over="ignore", invalid="ignore"):
        metres = numbers.astype(np.float64) * (1.0 if options.unit is None else options.unit)
        max_depth = min(declared.max_depth or _MAX_DEPTH, _MAX_DEPTH)
        is_usable = np.isfinite(metres) & (metres > 0)
        is_usable &= (metres >= declared.min_depth) & (metres <= max_depth)
    return np.where(is_usable, metres, 0).astype(np.float32)


def _guessed_unit_doubt(unit: DepthProperty) -> str:
    return Note(
        f"the sensor's numbers are taken for {unit.value}, as nothing states their unit",
        hint=Text(OptionName("sparse_unit", "..."), " says it"),
    )


def _put_into_photograph(
    metres: Field, options: _SparseOptions, name: str
) -> tuple[Field, tuple[str, ...]]:
    """Map of all of the photograph, 0 for gaps, and notes on what was assumed.

    A map that covers the whole photograph keeps its size. If a map of a part has another size than
    its part, each number is put at the pixel that holds its centre.
    """
    crop = None if options.crop is None else parse_placement(options.crop, "sparse_crop")
    words = PlacementWords(map="sparse depth", picture="the photograph", option="sparse_crop")
    size = (metres.shape[0], metres.shape[1])
    try:
        place = place_map(size, options.shape, crop, words, orientation=options.orientation)
    except InputError as error:
        raise InputError(problem=Text(error), path=name) from error
    part = place.crop
    if part.shape == options.shape:
        return metres, place.notes
    if part.shape != size:
        metres = _spread(metres, part.shape)
    return part.paste_into_picture(metres, options.shape, 0), place.notes


def _spread(metres: Field, shape: tuple[int, int]) -> Field:
    """Sparse map of another size: each number is at the pixel that holds its centre."""
    height, width = metres.shape
    rows = ((np.arange(height) + 0.5) * shape[0] / height).astype(int)
    columns = ((np.arange(width) + 0.5) * shape[1] / width).astype(int)
    spread = np.zeros(shape, np.float32)
    spread[rows[:, None], columns] = metres
    return spread


def _require_no_map_options(crop: str | None, encoding: str | None) -> None:
    """Raise ``OptionError`` if the user says of a list of points what only a map can have."""
    for name, value in (("sparse_crop", crop), ("sparse_encoding", encoding)):
        if value is not None:
            raise OptionError(
                option=name,
                problem="is for a map",
                hint="a list of points says where each lies, and its metres",
            )


def _read_list(path: Path, options: _SparseOptions) -> SparseDepth:
    """Read a list of points, whose third number is in metres unless the user says a unit."""
    name = printable(path)
    listed = read_point_list(path, options.shape, options.orientation)
    points = listed.points * (1, 1, 1 if options.unit is None else options.unit)
    if not len(points):
        raise InputError(
            "has no point with depth inside the picture",
            path=path,
            hint="; ".join(listed.size_doubts),
        )
    unit_doubt = None if options.unit is not None else _listed_unit_doubt(points[:, 2], name)
    unit_doubts = () if unit_doubt is None else (unit_doubt,)
    doubts = tuple(f"{name}: {doubt}" for doubt in (*listed.doubts, *listed.size_doubts))
    metres = _map_of_points(points, options.shape)
    return SparseDepth(
        points=known_points_of_array(thin_by_grid(points, options.shape)),
        measured=metres if is_dense(metres) else None,
        reading=DepthInterpretation(warnings=(*doubts, *unit_doubts)),
        sensor_doubts=(*listed.size_doubts, *unit_doubts),
        along=options.along,
    )


def _listed_unit_doubt(metres: Values, name: str) -> str | None:
    """Sentence on listed depths that are hardly metres; None if they may be."""
    median = float(np.median(metres))
    if median <= _MAX_LISTED_MEDIAN and unit_warning(median) is None:
        return None
    unit = "mm" if median > MAX_PLAUSIBLE_MEDIAN else "cm"
    return Note(
        f"its points are {metres.min():.3g} to {metres.max():.3g} m away, in the middle "
        f"{median:.3g} m, so their numbers are hardly metres",
        path=name,
        hint=Text(OptionName("sparse_unit", unit), " says another unit"),
    )


def _map_of_points(points: Points, shape: tuple[int, int]) -> Field:
    """Map with each point's metres at its pixel, and 0 for gaps."""
    metres = np.zeros(shape, np.float32)
    columns, rows = np.floor(points[:, :2].T + 0.5).astype(int)
    metres[np.minimum(rows, shape[0] - 1), np.minimum(columns, shape[1] - 1)] = points[:, 2]
    return metres
