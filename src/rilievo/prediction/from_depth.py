"""``Prediction.from_depth``: a prediction from depth at hand, such as that of a depth camera."""

import math
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np

from rilievo.alignment.sensor_depth import resize_measured
from rilievo.arrays.shapes import Float64, Mask, Shaped, Size
from rilievo.calibration.depth_errors import rounding_of
from rilievo.calibration.panoramas import panorama_note
from rilievo.calibration.readings import MIN_AXIS_COSINE
from rilievo.calibration.sizes import Known
from rilievo.errors import InputError, OptionError, suggest
from rilievo.errors.messages import AnyOf, Note, OptionName, Text
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.io.depth.crops import DepthCrop, parse_placement
from rilievo.io.depth.encoding import NumberEncoding, parse_optional_encoding
from rilievo.io.depth.interpretation import (
    DepthInterpretation,
    DepthProperty,
    PropertyOrigin,
    unit_property,
)
from rilievo.io.depth.inverse_depth import inverse_depth_warnings
from rilievo.io.depth.placement import MapPlacement, PlacementWords, place_map
from rilievo.io.depth.plausibility import NEGATION_HINT, negative_numbers_warning
from rilievo.io.depth.statements import DISPARITY, DISTANCE, INVERSE, DepthStatement
from rilievo.io.depth.stored_depth import (
    StoredDepth,
    read_stored_depth,
    stored_depth_from_array,
    stored_depth_warnings,
)
from rilievo.io.files.atomic import sum_of
from rilievo.io.files.names import printable
from rilievo.io.photographs.exif_crops import is_exif_focal_note
from rilievo.io.photographs.photo import read_photo
from rilievo.io.photographs.sources import PhotoSource
from rilievo.io.saved_origins import GIVEN_MAP
from rilievo.prediction.map_camera import ChosenCamera, choose_camera, seen_mask
from rilievo.prediction.map_origin import MapOrigin, find_map_origin
from rilievo.prediction.recorded_photo import notes_on_photo
from rilievo.prediction.sizes_on_depth import with_known_sizes
from rilievo.prediction.surface_depth import AnyPrediction, with_normals
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.instruments import DepthError, Instrument
from rilievo.records.prediction_record import MadeBy, Setting
from rilievo.records.sample import Photo
from rilievo.schema.typed_values import UNITS, metres_of_unit
from rilievo.version import VERSION

DepthInput = str | Path | Shaped[np.ndarray, "h w"]
"""File or array of a depth map."""
Plane = Float64[np.ndarray, "h w"]
_KINDS_ALONG_AXIS = (DepthKind.METRIC.value, DepthKind.UP_TO_SCALE.value)
_AFFINE_KINDS = (DepthKind.AFFINE.value, DepthKind.AFFINE_INVERSE.value)


def _keep_silent(note: str) -> None:
    """Warn of nothing: the note is among those of the prediction."""


def warn_at_caller(note: str) -> None:
    """Warn in the line that calls ``Prediction.from_depth``."""
    warnings.warn(note, UserWarning, stacklevel=4)


def prediction_from_depth(
    make: type[AnyPrediction],
    photo: PhotoSource | Photo,
    depth: DepthInput,
    camera: object = None,
    *,
    fov: float | None = None,
    kind: str | None = None,
    unit: float | str | None = None,
    crop: str | None = None,
    encoding: str | None = None,
    depth_error: str | DepthError | None = None,
    known: Sequence[Known | str] = (),
    warn: Callable[[str], None] = _keep_silent,
) -> AnyPrediction:
    """Make a prediction from depth at hand; the other arguments are those of ``from_depth``.

    ``make`` is the class of the prediction. ``warn`` is called with each note on what was not used,
    and on what contradicts something else.
    """
    find_map_origin(None, depth_error)  # An unreadable error is refused before files are read.
    metres_per_count = _parse_unit(unit)
    declared = parse_optional_encoding(
        encoding, metres_per_count, encoding_option="encoding", unit_option="unit"
    )
    options = _MapOptions(
        kind=kind,
        metres_per_count=metres_per_count,
        crop=crop,
        encoding=encoding,
        depth_error=depth_error,
        declared=declared,
        has_known_sizes=bool(known),
    )
    if not isinstance(photo, Photo):
        photo = read_photo(photo, own_depth=False)
    source = _read_map(depth, options)
    placed = _place_on_photo(source, photo, camera, fov, options)

    depth_warnings = _depth_warnings(source, placed.depth)
    prediction = make(
        depth_or_none=placed.depth,
        camera=placed.chosen.camera,
        photo=photo,
        instrument=_instrument_of_map(source, placed, depth_warnings),
        made_by=source.origin.made_by(_map_made_by(depth, source, placed.kind, options)),
        **source.origin.saved_parts(
            photo.shape, placed.chosen.camera, is_in_place=placed.is_in_place
        ),
    )
    prediction = with_known_sizes(prediction, known)

    contradictions = dict.fromkeys((*_contradictions(source, placed, photo), *prediction.notes))
    notes = (
        *_notes_on_photo_file(photo, placed.chosen),
        *placed.chosen.notes,
        *_notes_on_interpretation(source, placed.depth, options),
        *placed.place.notes,
        # A known rectangle may have changed the focal length.
        *_notes_on_assumed_camera(prediction.known_camera),
        *depth_warnings,
        *placed.direction_notes,
        *placed.unseen_notes,
        *source.origin.notes(source.name, is_in_place=placed.is_in_place),
        *contradictions,
    )
    prediction = prediction.but(notes=tuple(dict.fromkeys(notes)))
    for contradiction in contradictions:
        warn(contradiction)
    return with_normals(prediction) if prediction.depth.is_depth else prediction


@dataclass(frozen=True, slots=True, kw_only=True)
class _MapOptions:
    """What the user states about the depth map.

    Attributes:
        kind: Kind of the depth; None if it is not stated.
        metres_per_count: Unit of the numbers [m]; None if it is not stated.
        crop: Part of the photograph that the map covers; None if it is not stated.
        encoding: What the numbers hold besides depth, as a text; None if it is not stated.
        depth_error: Error that eight in ten depths stay below; None if it is not stated.
        declared: What ``encoding`` means.
        has_known_sizes: Whether known sizes will give metres to depth without them.
    """

    kind: str | None
    metres_per_count: float | None
    crop: str | None
    encoding: str | None
    depth_error: str | DepthError | None
    declared: NumberEncoding
    has_known_sizes: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _SourceMap:
    """Depth map as it was given, before it is brought to the photograph.

    Attributes:
        name: Name of the file, or "array".
        label: Name in messages.
        is_file: Whether it is a file.
        numbers: Numbers as they are stored, and what the file states about them.
        unit: Unit of the numbers, and who says so.
        values: Depth [m], or in the map's own numbers if the kind is not metric.
        mask: Pixels with depth.
        kind: A ``DepthKind``, or ``DISTANCE`` along the ray.
        rounding: Error by which the stored numbers are rounded.
        origin: Instrument or network from which the depth came.
    """

    name: str
    label: str
    is_file: bool
    numbers: StoredDepth
    unit: DepthProperty
    values: Plane
    mask: Mask
    kind: str
    rounding: DepthError
    origin: MapOrigin


def _read_map(depth: DepthInput, options: _MapOptions) -> _SourceMap:
    """Read a depth map, and find its unit, its kind and its origin.

    Raises:
        InputError: If it cannot be read, or no pixel has depth.
        OptionError: If an option contradicts the file.
    """
    declared, metres_per_count = options.declared, options.metres_per_count
    is_file = isinstance(depth, str | Path)
    if isinstance(depth, str | Path):
        name, label = Path(depth).name, printable(Path(depth))
        numbers = read_stored_depth(
            Path(depth).expanduser(),
            encoding=declared,
            is_scaled=metres_per_count is not None,
            searches_records=True,
        )
    else:
        name, label = "array", "depth"
        numbers = stored_depth_from_array(_depth_array(depth, declared), declared, label)

    origin = find_map_origin(numbers.statement.origin, options.depth_error)
    values, unit = _scale_numbers(numbers, metres_per_count, label)
    rounding = rounding_of(numbers.stored, values)
    values = _limit_depth(values, declared)

    kind = _depth_kind(numbers.statement, options.kind, label)
    is_metric = kind in (DepthKind.METRIC, DISTANCE) or options.has_known_sizes
    if origin.instrument is not None and not is_metric:
        _refuse_error_in_metres(origin.instrument.error, kind)

    mask = np.isfinite(values)
    if kind not in _AFFINE_KINDS:
        mask &= values > 0
    if not mask.any():
        hint = negative_numbers_warning(numbers.stored, NEGATION_HINT) or ""
        raise InputError("has no pixel with depth", path=label, hint=hint)
    return _SourceMap(
        name=name,
        label=label,
        is_file=is_file,
        numbers=numbers,
        unit=unit,
        values=values,
        mask=mask,
        kind=kind,
        rounding=rounding,
        origin=origin,
    )


def _depth_array(depth: object, declared: NumberEncoding) -> np.ndarray:
    """Array (h, w) of depth; (h, w, channels) if the user declares channels.

    Raises:
        InputError: If the array has another shape, or does not hold numbers.
    """
    array = depth if isinstance(depth, np.ma.MaskedArray) else np.asarray(depth)
    if array.ndim > 2:
        array = array.squeeze()
    if declared.channels is not None and array.ndim == 3:
        return array
    if array.ndim != 2 or array.dtype.kind not in "uif" or not array.size:
        raise InputError(
            f"depth: has shape {array.shape} {array.dtype}, expected numbers (height, width)"
        )
    return array


def _parse_unit(unit: object) -> float | None:
    """Metres of one count by a user's number or name of a unit; None if it is None.

    Raises:
        OptionError: If it is neither a positive number nor a unit.
    """
    if unit is None:
        return None
    metres = math.nan
    with suppress(TypeError, ValueError):
        metres = metres_of_unit(unit) if isinstance(unit, str) else float(np.asarray(unit).item())
    if isinstance(unit, bool) or not 0 < metres < math.inf:
        raise OptionError(
            option="unit",
            expected=f"the metres of one number, such as 0.001, or its unit ({UNITS})",
            value=unit,
        )
    return metres


def _scale_numbers(
    numbers: StoredDepth, metres_per_count: float | None, label: str
) -> tuple[Plane, DepthProperty]:
    """Depth in metres, NaN where there is none, and the unit of the numbers with its source.

    Raises:
        OptionError: If both the user and the file state a unit.
        InputError: If the numbers are probably a picture of depth.
    """
    stored, statement = numbers.stored, numbers.statement
    if metres_per_count is not None and statement.is_decodable:
        raise OptionError(
            option="unit",
            problem="is for numbers that do not state theirs",
            hint=f"{label} does ({statement.source})",
        )
    if stored.dtype == np.uint8 and metres_per_count is None and not statement.is_decodable:
        raise InputError(
            "has 8 bits, which are mostly a picture of depth",
            path=label,
            hint=Text(
                "if they are depth, say how many metres one count is with ",
                OptionName("unit", "..."),
            ),
        )

    guess = _guess_unit(stored)
    unit = unit_property(stored, statement, unit=metres_per_count, source="unit", guess=guess)
    if statement.is_decodable:
        return numbers.values.astype(np.float64), unit

    factor = guess if metres_per_count is None else metres_per_count
    with np.errstate(invalid="ignore", over="ignore"):
        values = stored.astype(np.float64) * factor
    has_depth = numbers.known
    if _are_whole(stored):
        has_depth &= stored != 0
    values[~has_depth] = np.nan
    return values, unit


def _are_whole(stored: Shaped[np.ndarray, "h w"]) -> bool:
    """Whether numbers are integers."""
    return stored.dtype.kind in "ui"


def _guess_unit(stored: Shaped[np.ndarray, "h w"]) -> float:
    """Unit of numbers whose unit nobody states [m]: whole ones are taken for millimetres."""
    return 0.001 if _are_whole(stored) else 1.0


def _limit_depth(values: Plane, declared: NumberEncoding) -> Plane:
    """Depth within the declared limits, NaN elsewhere.

    Affine depth may be negative, so a lower limit of 0 is no limit.
    """
    lowest = declared.min_depth if declared.min_depth > 0 else -np.inf
    highest = np.inf if declared.max_depth is None else declared.max_depth
    with np.errstate(invalid="ignore"):
        return np.where((values >= lowest) & (values <= highest), values, np.nan)


def _depth_kind(statement: DepthStatement, kind: str | None, label: str) -> str:
    """Kind of a map by its file or by the user: a ``DepthKind``, or ``DISTANCE``.

    Raises:
        OptionError: If there is no such kind, or the file states another one.
        InputError: If the file holds disparity or inverse depth.
    """
    kinds = (*DepthKind, DISTANCE)
    if kind is not None and kind not in kinds:
        raise OptionError(option="kind", problem=f"has no '{kind}'; {suggest(kind, kinds)}")
    stated = statement.kind
    if stated in (INVERSE, DISPARITY) and kind == DepthKind.AFFINE_INVERSE:
        return kind
    if stated is not None and kind not in (None, stated):
        raise OptionError(
            option="kind",
            problem=f"says '{kind}', but {label} says '{stated}'",
            hint="leave it out",
        )
    if stated == DISPARITY:
        raise InputError(
            "holds disparity, which is depth only with the distance of both cameras; convert it: "
            "focal length times baseline over disparity",
            path=label,
        )
    if stated == INVERSE:
        raise InputError(
            f"holds inverse depth ({statement.source}): write depth, which is 1 over it if its "
            "unit is 1/m and its zero is at infinity",
            path=label,
        )
    return str(stated or kind or DepthKind.METRIC.value)


def _refuse_error_in_metres(error: DepthError, kind: str) -> None:
    """Raise ``OptionError`` if an error has a part in metres, for depth that is not metric."""
    if not (error.absolute or error.growth):
        return
    raise OptionError(
        option="depth_error",
        problem=f"is {error}, but depth of kind '{kind}' is not in metres",
        hint="give a share of depth, such as 1%",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _PlacedMap:
    """Depth map in the size of the photograph, with its camera.

    Attributes:
        depth: Depth as the camera's lens has it.
        kind: Kind of the depth for the record: a ``DepthKind``, or ``DISTANCE`` of a wide lens.
        chosen: Camera, and how it was chosen.
        place: Part of the photograph that the map covers, and how it was found.
        is_in_place: Whether the map has exactly the pixels of the photograph.
        direction_notes: Note on depth that is taken for the distance along the ray.
        unseen_notes: Note on depth where the lens sees nothing.
    """

    depth: DepthMap
    kind: str
    chosen: ChosenCamera
    place: MapPlacement
    is_in_place: bool
    direction_notes: tuple[str, ...]
    unseen_notes: tuple[str, ...]


def _place_on_photo(
    source: _SourceMap, photo: Photo, camera: object, fov: float | None, options: _MapOptions
) -> _PlacedMap:
    """Bring a depth map to the size of the photograph, and to depth as its lens has it."""
    place = _find_place(source, photo, options.crop)
    map_size = (source.values.shape[0], source.values.shape[1])
    chosen = choose_camera(photo, camera, fov, source.numbers.statement, map_size, place.crop)
    lens = chosen.camera.lens
    values, mask = _fit_to_photo(source.values, source.mask, photo.shape, place.crop)

    seen = seen_mask(lens, photo.shape)
    unseen_notes = _notes_on_unseen(mask, seen, source.label)
    converted = _convert_to_lens(
        _MapValues(values=values, mask=mask & seen, kind=source.kind),
        chosen.camera,
        options.kind,
        source.label,
    )
    kind = DepthKind.METRIC if converted.kind == DISTANCE else DepthKind(converted.kind)
    return _PlacedMap(
        depth=DepthMap(
            values=np.where(converted.mask, converted.values, 1).astype(np.float32),
            kind=kind,
            valid=converted.mask,
            is_distance=lens.has_unit_rays,
        ),
        kind=converted.kind,
        chosen=chosen,
        place=place,
        is_in_place=map_size == photo.shape == place.crop.shape,
        direction_notes=converted.notes,
        unseen_notes=unseen_notes,
    )


def _find_place(source: _SourceMap, photo: Photo, crop: str | None) -> MapPlacement:
    """Find the part of the photograph that a map covers.

    Raises:
        InputError: If the sizes do not fit, and ``crop`` does not say how.
    """
    stated = None if crop is None else parse_placement(crop)
    words = PlacementWords(map="depth", picture="the photograph")
    values = np.where(source.mask, source.values, 0)
    size = (values.shape[0], values.shape[1])
    # What rilievo saved is upright.
    orientation = 1 if source.origin.saved is not None else photo.orientation
    try:
        return place_map(size, photo.shape, stated, words, orientation=orientation, values=values)
    except InputError as error:
        raise InputError(problem=Text(error), path=source.label) from error


def _fit_to_photo(values: Plane, mask: Mask, shape: Size, crop: DepthCrop) -> tuple[Plane, Mask]:
    """Resize values and mask to a crop of the photograph, and fill what lies around it."""
    if values.shape != crop.shape:
        # Affine depth may be negative, but ``resize_measured`` takes 0 and less for gaps.
        lowest = min(0.0, float(values[mask].min()))
        resized = resize_measured(np.where(mask, values - lowest + 1, 0), crop.shape)
        values, mask = resized.values + lowest - 1, resized.known
    if crop.shape == shape:
        return values, mask
    return (
        crop.paste_into_picture(values, shape, np.nan),
        crop.paste_into_picture(mask, shape, False),
    )


def _notes_on_unseen(valid: Mask, seen: Mask, label: str) -> tuple[str, ...]:
    """Note on depth where the camera's lens sees nothing.

    Raises:
        InputError: If all depth lies there.
    """
    unseen_share = 1 - float(seen[valid].mean())
    if not unseen_share:
        return ()
    if unseen_share == 1:
        raise InputError("has depth only where the camera's lens sees nothing", path=label)
    return (
        f"{100 * unseen_share:.3g} % of the depth lies where the camera's lens sees nothing, and "
        "is left out",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _MapValues:
    """Values in the size of the photograph, with their mask and kind, and notes on the kind."""

    values: Plane
    mask: Mask
    kind: str
    notes: tuple[str, ...] = ()


def _convert_to_lens(
    depth: _MapValues, camera: Camera, stated_kind: str | None, label: str
) -> _MapValues:
    """Convert depth to what a map of this lens holds: z of a pinhole, else distance along the ray.

    ``stated_kind`` is the kind that the user states; None if the user states none.
    """
    holds_distance = camera.lens.has_unit_rays
    if depth.kind == DISTANCE and not holds_distance:
        ray_lengths = np.linalg.norm(camera.points(np.ones(depth.values.shape)), axis=0)
        return replace(depth, values=depth.values / ray_lengths, kind=DepthKind.METRIC.value)
    if not holds_distance or depth.kind not in _KINDS_ALONG_AXIS:
        return depth
    if stated_kind in _KINDS_ALONG_AXIS:
        return _depth_to_distance(depth, camera, label)
    note = Note(
        f"depth is taken for the distance along the ray, as the camera is a {camera.lens.name}",
        hint=Text(OptionName("kind", depth.kind), " says that it is along the optical axis"),
    )
    return replace(depth, notes=(note,))


def _depth_to_distance(depth: _MapValues, camera: Camera, label: str) -> _MapValues:
    """Convert depth along the axis of a wide lens to distance along its rays.

    Raises:
        InputError: If there is depth more than 90 degrees from the axis.
    """
    ray_z = camera.points(np.ones(depth.values.shape))[2]
    beyond = int(np.count_nonzero(depth.mask & (ray_z < 0)))
    if beyond:
        raise InputError(
            f"has depth along the axis at {beyond} pixels more than 90 degrees from the axis of "
            f"this {camera.lens.name}, where no such depth is",
            path=label,
            hint=Text("say ", OptionName("kind", DISTANCE), " if it is along the ray"),
        )
    with np.errstate(invalid="ignore"):
        is_ahead = ray_z > MIN_AXIS_COSINE
    values = depth.values / np.where(is_ahead, ray_z, 1)
    return replace(depth, values=values, mask=depth.mask & is_ahead)


def _depth_warnings(source: _SourceMap, depth: DepthMap) -> tuple[str, ...]:
    """Warnings if numbers are probably not depth; none if rilievo's record says what they are."""
    saved = source.origin.saved
    is_recorded = saved is not None and not saved.is_changed
    if is_recorded or not depth.is_depth:
        return ()
    # Distances along the rays of a wide lens bend where depth does not.
    valid = np.zeros_like(depth.valid) if depth.is_distance else depth.valid
    return inverse_depth_warnings(source.numbers.stored, depth.values.astype(np.float64), valid)


def _unit_warnings(source: _SourceMap, depth: DepthMap) -> tuple[str, ...]:
    """Warning about a guessed unit; floats in an array are metres by definition."""
    is_whole = _are_whole(source.numbers.stored)
    is_guess = source.unit.origin is PropertyOrigin.GUESSED and depth.kind is DepthKind.METRIC
    if not is_guess or not (is_whole or source.is_file):
        return ()
    numbers = "whole" if is_whole else "floating-point"
    return (
        Note(
            f"the depth's {numbers} numbers are taken for {source.unit.value}, as nothing "
            "states their unit, and all sizes are wrong if they are not",
            hint=Text(OptionName("unit", "..."), " says it"),
        ),
    )


def _instrument_of_map(
    source: _SourceMap, placed: _PlacedMap, depth_warnings: tuple[str, ...]
) -> Instrument | None:
    """Instrument of the map with the errors of this file; None for a network's depth."""
    instrument = source.origin.instrument_with_warnings(
        (*_unit_warnings(source, placed.depth), *depth_warnings)
    )
    if instrument is None:
        return None
    enlargements = (
        new / old for new, old in zip(placed.place.crop.shape, source.values.shape, strict=True)
    )
    pixel = max(instrument.pixel, *enlargements, 1.0)
    return replace(instrument.with_rounding(source.rounding), pixel=pixel)


def _map_made_by(depth: DepthInput, source: _SourceMap, kind: str, options: _MapOptions) -> MadeBy:
    """Origin of a prediction that is made of a map, with all that its values depend on."""
    depth_error = options.depth_error
    settings: dict[str, Setting] = {
        "kind": kind,
        "scale": source.unit.value,
        "unit": options.metres_per_count,
        "crop": options.crop,
    }
    if options.encoding is not None:
        settings["encoding"] = options.encoding
    settings["depth_error"] = None if depth_error is None else str(depth_error)
    return MadeBy(
        model=f"{GIVEN_MAP}{source.name}",
        weights_sha256=_sha256_of_depth(depth),
        licence="not stated",
        settings=settings,
        version=VERSION,
    )


def _sha256_of_depth(depth: DepthInput) -> str:
    """SHA-256 of a file, or of the numbers in an array."""
    if isinstance(depth, str | Path):
        return sum_of(Path(depth).expanduser()).sha256
    return sha256(np.ascontiguousarray(depth).tobytes()).hexdigest()


def _contradictions(source: _SourceMap, placed: _PlacedMap, photo: Photo) -> tuple[str, ...]:
    """Notes on what was not used, and on what contradicts something else."""
    chosen, origin = placed.chosen, source.origin
    may_be_panorama = not chosen.is_named and chosen.stated is None
    panorama = panorama_note(photo, "camera") if may_be_panorama else None
    return (
        *chosen.notes,
        *placed.unseen_notes,
        *origin.warnings,
        *notes_on_photo(origin.saved, photo),
        *chosen.unused_notes,
        *(() if panorama is None else (panorama,)),
    )


def _notes_on_photo_file(photo: Photo, chosen: ChosenCamera) -> list[str]:
    """Notes of the photograph; those on its focal length only if that may be used."""
    return [note for note in photo.notes if not (chosen.is_named and is_exif_focal_note(note))]


def _notes_on_interpretation(
    source: _SourceMap, depth: DepthMap, options: _MapOptions
) -> list[str]:
    """Note on the unit and the range of depth, and warnings about its numbers."""
    metres = depth.values[depth.valid].astype(np.float64)
    is_unit_stated = options.metres_per_count is not None
    number_warnings = stored_depth_warnings(
        source.numbers,
        metres if depth.kind is DepthKind.METRIC else None,
        unit=options.metres_per_count if is_unit_stated else _guess_unit(source.numbers.stored),
        invalid=(0.0,) if source.numbers.statement.linear_range is None else (),
        max_depth=options.declared.max_depth,
        is_unit_declared=is_unit_stated,
    )
    interpretation = DepthInterpretation(
        properties=(source.unit,), nearest=float(metres.min()), farthest=float(metres.max())
    )
    return [_note_on_unit(interpretation, depth.kind), *number_warnings]


def _note_on_unit(interpretation: DepthInterpretation, kind: DepthKind) -> str:
    """Note on the unit of depth and its range, or on a kind that has no unit."""
    if kind is not DepthKind.METRIC:
        span = f"{interpretation.nearest:.3g} to {interpretation.farthest:.3g}"
        return Note(f"depth is read as {kind}, which has no unit: {span}")
    [unit] = interpretation.unit_properties
    stated_by = OptionName("unit") if unit.origin is PropertyOrigin.GIVEN else unit.place
    return Note(Text(f"depth is {interpretation.unit_and_range} (", stated_by, ")"))


def _notes_on_assumed_camera(camera: Camera) -> list[str]:
    """Note if the field of view is a guess."""
    if camera.source is not CameraSource.ASSUMED:
        return []
    return [
        Note(
            "no camera is known, so its field of view is assumed",
            hint=Text(AnyOf(OptionName("camera", "..."), OptionName("fov", "...")), " gives it"),
        )
    ]
