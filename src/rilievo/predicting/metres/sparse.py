"""Files and arrays with sparse depth of another instrument, such as a lidar or a depth camera."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Field, Mask, Points, Shaped, Transform, Values
from rilievo.calibration.sizes import Along, KnownPoint
from rilievo.errors import InputError, OptionError
from rilievo.errors.messages import Note, OptionName, Text
from rilievo.geometry.cameras.camera import Camera
from rilievo.io.depth.depth_metadata import DISTANCE, DepthMetadata
from rilievo.io.depth.encoding import (
    NumberEncoding,
    name_encoding_options,
    naming_encoding_options,
    parse_optional_encoding,
)
from rilievo.io.depth.interpretation import (
    DepthInterpretation,
    DepthProperty,
    PropertyOrigin,
    unit_property,
)
from rilievo.io.depth.placement import PlacementNames, place_map
from rilievo.io.depth.plausibility import (
    MAX_PLAUSIBLE_MEDIAN,
    inverse_depth_warnings,
    negation_hint,
    unit_warning,
)
from rilievo.io.depth.stored_depth import (
    StoredDepth,
    read_stored_depth,
    stored_depth_from_array,
    stored_depth_warnings,
)
from rilievo.io.files.names import printable
from rilievo.io.saved_origins import SavedOrigin, read_saved_arrays
from rilievo.predicting.metres.point_lists import read_point_list
from rilievo.predicting.metres.projected_points import (
    project_points,
    read_points_in_space,
    require_camera,
)
from rilievo.predicting.metres.sensor_depth import is_dense, measured_fraction
from rilievo.predicting.metres.size_files import CLOUD_SUFFIXES, LIST_SUFFIXES
from rilievo.predicting.metres.sparse_points import (
    known_points_of_array,
    points_of_map,
    thin_by_grid,
)
from rilievo.records.depth_map import DepthKind
from rilievo.records.instruments import (
    NO_ERROR,
    DepthError,
    DepthSource,
    Instrument,
    rounding_error,
)

_MAX_DEPTH = 1e6
"""Largest depth of a known point [m]."""
_MAX_LISTED_MEDIAN = 100.0
"""Largest median of a list's depths; larger ones may be the centimetres of a room [m]."""
_UNIT_EXAMPLES = (
    "0.001 for millimetres (phones, RealSense, ScanNet), 0.0002 for TUM, 0.00390625 for KITTI"
)
_OPTION_NAMES = {"encoding_option": "sparse_encoding", "unit_option": "sparse_unit"}
"""Options that state what the numbers of a map mean."""
_ARRAY_NAME = "sparse"
"""Name of an array in messages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SparseDepth:
    """Depth of another instrument for one photograph.

    All kinds of depth (maps, lists and points in space) have ``points``. The other attributes say
    what more is known of some kinds, and have their defaults otherwise.

    Attributes:
        points: Points with their metres, thinned.
        point_count: Number of points in the photograph before they were thinned.
        coverage: Fraction of the map's pixels, or of the photograph's, that have such a point.
        measured: Map [m], 0 in gaps; None if depth is too sparse for a map.
        reading: How its numbers were interpreted.
        sensor_doubts: Reasons why all metres may be wrong, such as a unit that was guessed.
        rounding_error: Error because the numbers of a map are rounded.
        along: Direction of the metres, by the user or the file; None if neither states it.
        instrument: Instrument and its error, as recorded in a map that rilievo saved; None for
            other depth.
        is_map_file: Whether it is a map in a file, whose unit may be guessed.
        ignored_camera_file: Name of the map's file if it states a camera, which is not used.
    """

    points: tuple[KnownPoint, ...]
    point_count: int
    coverage: float
    measured: Field | None = None
    reading: DepthInterpretation = field(default_factory=DepthInterpretation)
    sensor_doubts: tuple[str, ...] = ()
    rounding_error: DepthError = NO_ERROR
    along: Along | None = None
    instrument: Instrument | None = None
    is_map_file: bool = False
    ignored_camera_file: str | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for the user: units that were guessed, and warnings about the numbers."""
        # Arrays have the unit that their caller means, and maps with a record that of the record.
        if not self.is_map_file or self.instrument is not None:
            return self.reading.warnings
        guessed_units = [
            f"sparse depth is {self.reading.unit_and_range} ({unit.place})"
            for unit in self.reading.unit_properties
            if unit.origin is PropertyOrigin.GUESSED
        ]
        return (*guessed_units, *self.reading.warnings)


@dataclass(frozen=True, slots=True, kw_only=True)
class _SparseOptions:
    """Options of the user about sparse depth, each None if it is not given, and the photograph.

    Attributes:
        orientation: EXIF's orientation by which the photograph was made upright, 1 to 8.
        unit: Metres per count.
        crop: Where a map lies in the photograph.
        encoding: What the numbers contain besides depth.
        kind: "metric" or "distance".
        cam_T_sensor: Transform of points in space to the frame of the camera.
        camera: Camera of the upright photograph; None if it is unknown.
    """

    shape: tuple[int, int]
    orientation: int
    unit: float | None
    crop: str | None
    encoding: NumberEncoding
    kind: str | None
    cam_T_sensor: Transform | None
    camera: Camera | None

    @property
    def along(self) -> Along | None:
        """Direction of the metres; None if the user does not state it."""
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
    cam_T_sensor: Transform | None = None,
    camera: Camera | None = None,
) -> SparseDepth:
    """Read depth of another instrument for a photograph.

    Args:
        source: File of a map, with 0 and NaN as gaps, of lines ``u v metres``, or of points in
            space; or a map as an array. With ``cam_T_sensor``, lines and arrays (n, 3) are points
            in space, too.
        shape: Height and width of the photograph.
        unit: Metres per count, required for integers that do not state it.
        crop: Where a map lies in the photograph (``rilievo.io.depth.placement``), if its size does
            not tell.
        encoding: What its numbers contain besides depth (``rilievo.io.depth.encoding``).
        kind: "metric" (along the axis) or "distance" (along the ray), if the user states it.
        is_error_stated: Whether the user states the error of the depth. Then a network may have
            predicted it.
        orientation: EXIF's orientation of the photograph.
        cam_T_sensor: Transform that takes points in space to the frame of the camera [m]; None if
            they are in this frame.
        camera: Camera of the upright photograph, for points in space; None if it is unknown.

    Raises:
        InputError: If the file is broken, or its record says that a network predicted the depth.
        OptionError: If the options do not fit the file.
    """
    number_encoding = parse_optional_encoding(encoding, unit, **_OPTION_NAMES)
    options = _SparseOptions(
        shape=shape,
        orientation=orientation,
        unit=unit,
        crop=crop,
        encoding=number_encoding,
        kind=kind,
        cam_T_sensor=cam_T_sensor,
        camera=camera,
    )
    if _holds_points_in_space(source, cam_T_sensor):
        _require_no_map_options(crop, encoding)
        return _read_points_in_space(source, options, is_error_stated=is_error_stated)
    if isinstance(source, np.ndarray):
        with naming_encoding_options(**_OPTION_NAMES):
            stored = stored_depth_from_array(source, number_encoding, _ARRAY_NAME)
        return _interpret_map(stored, options, _ARRAY_NAME, is_map_file=False)
    if _is_colmap_file(source):
        raise InputError(
            "contains COLMAP's points, which are positions in the scene; expected lines "
            "'u v metres' for one photograph",
            path=printable(source),
            hint="'rilievo example colmap' writes a program that fits depth to COLMAP's points",
        )
    if source.suffix.lower() in LIST_SUFFIXES:
        _require_no_map_options(crop, encoding)
        return _read_list(source, options)
    return _read_map_file(source, options, is_error_stated=is_error_stated)


def _is_colmap_file(path: Path) -> bool:
    """Whether a file has the name under which COLMAP writes its points."""
    return path.stem.lower() == "points3d"


def _holds_points_in_space(source: Path | np.ndarray, cam_T_sensor: Transform | None) -> bool:
    """Whether sparse depth is points in space, because of its file or a sensor's pose.

    Raises:
        OptionError: If there is a pose, but the file is a map, which has no points in space.
    """
    if isinstance(source, np.ndarray):
        return cam_T_sensor is not None
    suffix = source.suffix.lower()
    if suffix in CLOUD_SUFFIXES:
        return True
    if cam_T_sensor is not None and suffix not in LIST_SUFFIXES:
        raise OptionError(
            option="cam_T_sensor",
            problem=f"only applies to points in space, and {printable(source)} is a depth map",
            hint="give a point cloud (PCD, PLY or lines x y z), or a map that is registered to the "
            "photograph without this option",
        )
    return cam_T_sensor is not None


def _read_points_in_space(
    source: Path | np.ndarray, options: _SparseOptions, *, is_error_stated: bool
) -> SparseDepth:
    """Read points in space, and project them into the photograph."""
    name = _ARRAY_NAME if isinstance(source, np.ndarray) else printable(source)
    if options.kind is not None:
        raise OptionError(
            option="sparse_kind",
            problem="only applies to maps and to lines u v metres, because points in space state "
            "their positions",
            hint="leave the option out",
        )
    camera = require_camera(options.camera, name)
    points = read_points_in_space(source, name, is_error_stated=is_error_stated)
    if options.unit is not None:
        points *= options.unit
    projected = project_points(points, options.cam_T_sensor, camera, options.shape, name)
    notes = () if projected.note is None else (projected.note,)
    doubts = _doubts_on_points_in_space(projected.points[:, 2], options, name)
    metres = _map_of_points(projected.points, options.shape)
    return SparseDepth(
        points=known_points_of_array(thin_by_grid(projected.points, options.shape)),
        point_count=len(projected.points),
        coverage=measured_fraction(metres),
        measured=metres if is_dense(metres) else None,
        reading=DepthInterpretation(warnings=(*notes, *doubts)),
        sensor_doubts=doubts,
        along=projected.along,
    )


def _doubts_on_points_in_space(
    metres: Values, options: _SparseOptions, name: str
) -> tuple[str, ...]:
    """Reasons why the depths [m] of points in space may all be wrong."""
    doubts = []
    if options.orientation != 1:
        doubts.append(
            f"{name}: EXIF rotates the photograph (orientation {options.orientation}), and the "
            "pose of the sensor is read as that beside the upright camera; check that it is"
        )
    unit_doubt = None if options.unit is not None else _listed_unit_doubt(metres, name)
    if unit_doubt is not None:
        doubts.append(unit_doubt)
    return tuple(doubts)


def _read_map_file(path: Path, options: _SparseOptions, *, is_error_stated: bool) -> SparseDepth:
    """Read a map from a file, without the pixels that a network predicted."""
    name = printable(path)
    with naming_encoding_options(**_OPTION_NAMES):
        stored = read_stored_depth(
            path,
            encoding=options.encoding,
            is_scale_given=options.unit is not None,
            reads_folder_records=True,
        )
    measured = _require_measured_depth(stored, name, is_error_stated=is_error_stated)
    sparse = _interpret_map(measured.stored, options, name, is_map_file=True)
    warnings = sparse.reading.warnings
    if measured.note is not None:
        warnings = (*warnings, measured.note)
    return replace(
        sparse,
        reading=replace(sparse.reading, warnings=warnings),
        instrument=measured.instrument,
        ignored_camera_file=None if stored.metadata.camera is None else name,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _MeasuredDepth:
    """Depth of a map that an instrument measured.

    Attributes:
        stored: The map, without pixels that a network filled.
        instrument: The instrument by rilievo's own record; None without a valid record.
        note: Which depth is left out, or why the record is not used; None if all is used.
    """

    stored: StoredDepth
    instrument: Instrument | None = None
    note: str | None = None


def _require_measured_depth(
    stored: StoredDepth, name: str, *, is_error_stated: bool
) -> _MeasuredDepth:
    """Keep the depth that an instrument measured, according to the record saved with a map.

    - All of a map without a record, or of one that was changed since, is kept.
    - Depth that a network predicted is refused, unless the user states its error.
    - Of a sensor's map, the pixels that a network filled are removed.
    """
    origin = stored.metadata.origin
    if origin is None:
        return _MeasuredDepth(stored=stored)
    instrument = origin.instrument
    if origin.is_changed and instrument is not None:
        note = (
            f"{name}: has changed since rilievo saved it, so rilievo does not use the error in "
            f"its record ({origin.record_location})"
        )
        return _MeasuredDepth(stored=stored, note=note)
    if instrument is None or instrument.source is DepthSource.NETWORK:
        note = _note_on_predicted_depth(origin, name, is_error_stated=is_error_stated)
        return _MeasuredDepth(stored=stored, note=note)
    if instrument.source is not DepthSource.SENSOR:
        return _MeasuredDepth(stored=stored, instrument=instrument)
    measured = _remove_filled_pixels(stored, name, is_error_stated=is_error_stated)
    return replace(measured, instrument=instrument)


def _note_on_predicted_depth(origin: SavedOrigin, name: str, *, is_error_stated: bool) -> str:
    """Return a note that a network predicted the depth of a map, whose error the user states.

    Raises:
        InputError: If the user does not state the error.
    """
    finding = f"contains depth that {origin.network} predicted ({origin.record_location})"
    if origin.is_changed:
        finding += ", and has changed since rilievo saved it"
    if is_error_stated:
        return f"{name}: {finding}; rilievo uses the error that you state"
    raise InputError(
        f"{finding}, not depth from an instrument",
        path=name,
        hint=Text(
            "to measure in this depth map, use 'rilievo measure --depth' or "
            "rilievo.Prediction.from_depth; to use it anyway, state its error with ",
            OptionName("depth_error", "..."),
        ),
    )


def _remove_filled_pixels(
    stored: StoredDepth, name: str, *, is_error_stated: bool
) -> _MeasuredDepth:
    """Remove the pixels of a sensor's map that a network filled, using the mask in its npz file."""
    origin = stored.metadata.origin
    assert origin is not None, "the caller has read the instrument from it"
    arrays = {} if origin.archive is None else read_saved_arrays(origin.archive)
    measured_mask = arrays.get("measured")
    if measured_mask is not None and measured_mask.shape == stored.raw_values.shape:
        note = (
            f"{name}: only the pixels that the sensor measured are used ({origin.record_location})"
        )
        return _MeasuredDepth(stored=_remove_pixels(stored, ~measured_mask.astype(bool)), note=note)
    if is_error_stated:
        note = (
            f"{name}: a network filled some of its pixels, but it is unknown which ones, so all "
            "have the error that you state"
        )
        return _MeasuredDepth(stored=stored, note=note)
    raise InputError(
        "contains pixels from a sensor and pixels that a network filled, but the npz file "
        "that tells them apart is missing",
        path=name,
        hint="give the sensor's own map, or keep the npz file next to this one",
    )


def _remove_pixels(stored: StoredDepth, is_removed: Mask) -> StoredDepth:
    """Make some pixels of a map gaps."""
    raw_values, metadata = stored.raw_values, stored.metadata
    dtype = raw_values.dtype
    if dtype.kind == "f":
        return replace(stored, raw_values=np.where(is_removed, np.nan, raw_values).astype(dtype))
    # In integers of sparse depth, zero is always a gap.
    invalid = tuple(dict.fromkeys((*metadata.invalid, 0.0)))
    return replace(
        stored,
        raw_values=np.where(is_removed, 0, raw_values).astype(dtype),
        metadata=replace(metadata, invalid=invalid),
    )


def _interpret_map(
    stored: StoredDepth, options: _SparseOptions, name: str, *, is_map_file: bool
) -> SparseDepth:
    """Convert a stored map to sparse depth: its numbers to metres, and its pixels to points.

    Warnings say if its numbers look like inverse depth or another unit.

    Args:
        stored: The map, without pixels that a network predicted.
        options: Options of the user, and the photograph.
        name: Name of the map in messages.
        is_map_file: Whether the map is from a file, so that its unit may be guessed.
    """
    metadata = stored.metadata
    _require_consistent_options(metadata, options, name)
    map_metres = _convert_to_metres(stored.values, options, name)
    inverse_warnings = _inverse_depth_warnings(stored, map_metres)
    unit = unit_property(
        stored.raw_values, metadata, unit=options.unit, source="sparse_unit", guess=1.0
    )
    is_unit_guessed = is_map_file and unit.origin is PropertyOrigin.GUESSED
    unit_doubts = (_guessed_unit_doubt(unit),) if is_unit_guessed else ()

    metres, placement_notes = _place_in_photograph(
        map_metres, options, name, is_upright=metadata.origin is not None
    )
    points = points_of_map(metres.astype(np.float64), options.shape)
    if not len(points):
        hint = negation_hint(stored.raw_values)
        raise InputError("has no pixel with depth inside the photograph", path=name, hint=hint)

    unit_warnings = _unit_warnings(stored, map_metres, options)
    # A dict keeps the order, and each warning once.
    number_warnings = dict.fromkeys((*unit_warnings, *inverse_warnings))
    reading = DepthInterpretation(
        properties=(unit,),
        warnings=tuple(
            Note(name_encoding_options(warning, **_OPTION_NAMES), path=name)
            for warning in (*number_warnings, *placement_notes)
        ),
        nearest=float(points[:, 2].min()),
        farthest=float(points[:, 2].max()),
    )
    return SparseDepth(
        points=known_points_of_array(thin_by_grid(points, options.shape)),
        point_count=len(points),
        coverage=measured_fraction(metres),
        measured=metres if is_dense(metres) else None,
        reading=reading,
        sensor_doubts=(*unit_doubts, *inverse_warnings),
        rounding_error=rounding_error(stored.raw_values, map_metres),
        is_map_file=is_map_file,
        # Of the kinds that a file may state, only "distance" tells the direction.
        along=Along.RAY if metadata.kind == DISTANCE else options.along,
    )


def _inverse_depth_warnings(stored: StoredDepth, map_metres: Field) -> tuple[str, ...]:
    """Warnings if the numbers of a map look like inverse depth."""
    origin = stored.metadata.origin
    is_certainly_depth = origin is not None and not origin.is_changed  # rilievo saved it
    if is_certainly_depth:
        return ()
    return inverse_depth_warnings(stored.raw_values, map_metres.astype(np.float64), map_metres > 0)


def _unit_warnings(
    stored: StoredDepth, map_metres: Field, options: _SparseOptions
) -> tuple[str, ...]:
    """Warnings if the numbers of a map look like another unit, or like gaps."""
    return stored_depth_warnings(
        stored,
        map_metres[map_metres > 0].astype(np.float64),
        unit=1.0 if options.unit is None else options.unit,
        max_depth=options.encoding.max_depth,
        is_unit_given=options.unit is not None,
        are_marks_stated=options.encoding.invalid is not None,
    )


def _require_consistent_options(
    metadata: DepthMetadata, options: _SparseOptions, name: str
) -> None:
    """Raise an error if a file states depth without metres, or contradicts the user's options."""
    if options.kind is not None and metadata.kind not in (None, options.kind):
        raise OptionError(
            option="sparse_kind",
            problem=f"says '{options.kind}', but {name} states '{metadata.kind}' "
            f"({metadata.source})",
            hint="leave the option out",
        )
    if metadata.kind not in (None, DepthKind.METRIC, DISTANCE):
        raise InputError(
            f"states depth of kind '{metadata.kind}' ({metadata.source}), but sparse depth "
            "must be in metres",
            path=name,
        )
    if options.unit is not None and metadata.is_decodable:
        raise OptionError(
            f"states how its numbers become metres ({metadata.source})",
            path=name,
            hint=Text("leave ", OptionName("sparse_unit"), " out"),
        )


def _convert_to_metres(
    values: Shaped[np.ndarray, "..."], options: _SparseOptions, name: str
) -> Field:
    """Depth of a map [m], 0 for gaps and for depth outside of the range that the user states."""
    if values.ndim != 2 or not values.size:
        raise InputError(f"has shape {values.shape}, expected (height, width)", path=name)
    if options.unit is None and values.dtype.kind in "ui":
        raise OptionError(
            "contains integers, whose unit rilievo does not know",
            path=name,
            hint=Text(
                "state their unit in metres with ",
                OptionName("sparse_unit", "..."),
                f": {_UNIT_EXAMPLES}",
            ),
        )
    encoding = options.encoding
    with np.errstate(over="ignore", invalid="ignore"):
        metres = values.astype(np.float64) * (1.0 if options.unit is None else options.unit)
        is_usable = (metres > 0) & (metres <= _MAX_DEPTH) & encoding.is_within_limits(metres)
    return np.where(is_usable, metres, 0).astype(np.float32)


def _guessed_unit_doubt(unit: DepthProperty) -> str:
    return Note(
        f"the sensor's numbers are read as {unit.value}, because nothing states their unit",
        hint=Text("state it with ", OptionName("sparse_unit", "...")),
    )


def _place_in_photograph(
    metres: Field, options: _SparseOptions, name: str, *, is_upright: bool
) -> tuple[Field, tuple[str, ...]]:
    """Place a map in the photograph, with 0 around it; return it and notes on assumptions.

    A map that covers the whole photograph keeps its size. A map of a crop is resized to the crop
    without interpolation: each value goes to the pixel that contains its centre.

    ``is_upright`` says that the map is known to be upright, as those that rilievo saved are. Other
    maps of a photograph that EXIF rotates are noted.
    """
    names = PlacementNames(map="sparse depth", picture="the photograph", option="sparse_crop")
    size = (metres.shape[0], metres.shape[1])
    orientation = 1 if is_upright else options.orientation
    placement = place_map(
        size, options.shape, options.crop, names, file=name, orientation=orientation
    )
    if placement.crop.shape == options.shape:
        return metres, placement.notes
    if placement.crop.shape != size:
        metres = _resize_sparse_map(metres, placement.crop.shape)
    return placement.crop.paste_into_picture(metres, options.shape, 0), placement.notes


def _resize_sparse_map(metres: Field, shape: tuple[int, int]) -> Field:
    """Resize a sparse map; each value goes to the pixel that contains its centre."""
    height, width = metres.shape
    rows = ((np.arange(height) + 0.5) * shape[0] / height).astype(int)
    columns = ((np.arange(width) + 0.5) * shape[1] / width).astype(int)
    resized = np.zeros(shape, np.float32)
    resized[rows[:, None], columns] = metres
    return resized


def _require_no_map_options(crop: str | None, encoding: str | None) -> None:
    """Raise ``OptionError`` if options that only maps have are given for a list of points."""
    for option, value in (("sparse_crop", crop), ("sparse_encoding", encoding)):
        if value is not None:
            raise OptionError(
                option=option,
                problem="only applies to a map",
                hint="leave the option out, because a list of points states the position and the "
                "metres of each point",
            )


def _read_list(path: Path, options: _SparseOptions) -> SparseDepth:
    """Read a list of points, whose third number is in metres unless the user states a unit."""
    name = printable(path)
    point_list = read_point_list(path, options.shape, options.orientation)
    points = point_list.points * (1, 1, 1 if options.unit is None else options.unit)
    if not len(points):
        raise InputError(
            "has no point with depth inside the photograph",
            path=path,
            hint="; ".join(point_list.size_doubts),
        )
    unit_doubt = None if options.unit is not None else _listed_unit_doubt(points[:, 2], name)
    unit_doubts = () if unit_doubt is None else (unit_doubt,)
    doubts = tuple(f"{name}: {doubt}" for doubt in (*point_list.doubts, *point_list.size_doubts))
    metres = _map_of_points(points, options.shape)
    return SparseDepth(
        points=known_points_of_array(thin_by_grid(points, options.shape)),
        point_count=len(points),
        coverage=measured_fraction(metres),
        measured=metres if is_dense(metres) else None,
        reading=DepthInterpretation(warnings=(*doubts, *unit_doubts)),
        sensor_doubts=(*point_list.size_doubts, *unit_doubts),
        along=options.along,
    )


def _listed_unit_doubt(metres: Values, name: str) -> str | None:
    """Sentence on depths of a list that are probably not in metres; None if they may be."""
    median = float(np.median(metres))
    if median <= _MAX_LISTED_MEDIAN and unit_warning(median) is None:
        return None
    unit = "mm" if median > MAX_PLAUSIBLE_MEDIAN else "cm"
    return Note(
        f"its points are {metres.min():.3g} to {metres.max():.3g} m away, with a median of "
        f"{median:.3g} m, so the distances are probably not in metres",
        path=name,
        hint=Text(
            "if they are in another unit, state it, for example with ",
            OptionName("sparse_unit", unit),
        ),
    )


def _map_of_points(points: Points, shape: tuple[int, int]) -> Field:
    """Map with each point's metres at its pixel, and 0 for gaps."""
    metres = np.zeros(shape, np.float32)
    columns, rows = np.floor(points[:, :2].T + 0.5).astype(int)
    metres[np.minimum(rows, shape[0] - 1), np.minimum(columns, shape[1] - 1)] = points[:, 2]
    return metres
