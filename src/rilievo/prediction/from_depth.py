"""``Prediction.from_depth``: a prediction of depth at hand, such as a depth camera's."""

import math
import re
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rilievo.alignment.sensor_depth import resize_measured
from rilievo.arrays.shapes import Float64, Mask, Shaped, Size
from rilievo.calibration.camera_checks import (
    check_lens,
    exif_note,
    fov_note,
    lens_notes,
    refuse_outside_centre,
    scale_notes,
)
from rilievo.calibration.depth_errors import rounding_of
from rilievo.calibration.panoramas import panorama_note
from rilievo.calibration.readings import LEAST_AXIS_SHARE
from rilievo.calibration.sizes import Known
from rilievo.errors import InputError, OptionError, suggest
from rilievo.errors.messages import AnyOf, Note, OptionName, Text
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.cameras.lens import Lens, Pinhole
from rilievo.geometry.cameras.spelling import SpelledLens, read_spelling
from rilievo.geometry.intrinsics import K_from_focal, K_from_fov, pinhole_K
from rilievo.io.cameras.lens_files import read_lens
from rilievo.io.depth.encoding import NumberEncoding, parse_optional_encoding
from rilievo.io.depth.interpretation import (
    DepthInterpretation,
    DepthProperty,
    PropertyOrigin,
    unit_property,
)
from rilievo.io.depth.inverse_depth import inverse_depth_warnings
from rilievo.io.depth.placement import MapPlacement, PlacementWords, parse_placement, place_map
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
from rilievo.io.photographs.exif import assumed_camera
from rilievo.io.photographs.exif_crops import is_exif_focal_note
from rilievo.io.photographs.photo import read_photo
from rilievo.io.photographs.sources import PhotoSource
from rilievo.io.saved_origins import GIVEN_MAP
from rilievo.prediction.map_origin import MapOrigin, find_map_origin
from rilievo.prediction.recorded_photo import notes_on_photo
from rilievo.prediction.saving import AnyPrediction, with_normals
from rilievo.prediction.sizes_on_depth import with_known_sizes
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.instruments import DepthError, Instrument
from rilievo.records.prediction_record import MadeBy
from rilievo.records.sample import Photo
from rilievo.schema.typed_values import UNITS, metres_of_unit
from rilievo.version import VERSION

Plane = Float64[np.ndarray, "h w"]
_ALONG_AXIS = (DepthKind.METRIC.value, DepthKind.UP_TO_SCALE.value)
"""Kinds of depth along the optical axis."""
_CAMERAS = "a rilievo.Camera, a focal length, fx,fy,cx,cy, a 3x3 matrix or a file of them"


def _tell_nobody(note: str) -> None:
    """Leave a note to the prediction, which has it among its notes."""


def warn_at_caller(note: str) -> None:
    """Warn in the line that calls ``Prediction.from_depth``."""
    warnings.warn(note, UserWarning, stacklevel=4)


def prediction_of_depth(
    make: type[AnyPrediction],
    photo: PhotoSource | Photo,
    depth: str | Path | Shaped[np.ndarray, "h w"],
    camera: object = None,
    *,
    fov: float | None = None,
    kind: str | None = None,
    unit: float | str | None = None,
    crop: str | None = None,
    encoding: str | None = None,
    depth_error: str | DepthError | None = None,
    known: Sequence[Known | str] = (),
    tell: Callable[[str], None] = _tell_nobody,
) -> AnyPrediction:
    """Body of ``Prediction.from_depth``, with ``make`` as class.

    ``tell`` is called with those notes that say what was not used or is contradictory.
    """
    find_map_origin(None, depth_error)  # What cannot be read is refused before files are read.
    unit = _metres_of_one_number(unit)
    declared = parse_optional_encoding(
        encoding, unit, encoding_option="encoding", unit_option="unit"
    )
    read = photo if isinstance(photo, Photo) else read_photo(photo, own_depth=False)
    if isinstance(depth, str | Path):
        path, place = Path(depth).expanduser(), printable(Path(depth))
        numbers = read_stored_depth(
            path, encoding=declared, is_scaled=unit is not None, searches_records=True
        )
    else:
        place = "depth"
        numbers = stored_depth_from_array(_depth_array(depth, declared), declared, place)
    origin = find_map_origin(numbers.statement.origin, depth_error)
    values, fact = _values_and_unit(numbers, unit, place)
    rounding = rounding_of(numbers.stored, values)
    values = _limit_depth(values, declared)
    named = _depth_kind(numbers.statement, kind, place)
    _refuse_length_without_metres(origin.instrument, named, is_scaled=bool(known))
    mask = np.isfinite(values)
    mask &= values > 0 if named not in (DepthKind.AFFINE, DepthKind.AFFINE_INVERSE) else mask
    if not mask.any():
        hint = negative_numbers_warning(numbers.stored, NEGATION_HINT) or ""
        raise InputError("has no pixel with depth", path=place, hint=hint)
    # What rilievo saved is upright.
    orientation = 1 if origin.saved is not None else read.orientation
    where = _place_in_photo(np.where(mask, values, 0), read.shape, crop, place, orientation)
    chosen = _choose_camera(read, camera, fov, numbers.statement, values.shape, where)
    lens = chosen.camera
    given_size = values.shape
    is_in_place = values.shape == read.shape == where.crop.shape
    values, mask = _fit_to_photo(values, mask, read.shape, where)
    seen = _seen_mask(lens.lens, read.shape)
    unseen_notes = _note_on_unseen(mask, seen, place)
    as_seen = _depth_of_lens(_Values(values, mask & seen, named), lens, kind, place)
    mask, named = as_seen.mask, as_seen.kind
    depth_map = DepthMap(
        values=np.where(mask, as_seen.values, 1).astype(np.float32),
        kind=DepthKind.METRIC if named == DISTANCE else DepthKind(named),
        valid=mask,
        is_distance=lens.lens.has_unit_rays,
    )
    reading = _number_reading(numbers, fact, depth_map, unit, declared)
    about_inverse = _doubts_about_depth(numbers, depth_map, origin)
    guess = _doubt_about_unit(fact, numbers, depth_map, is_file=isinstance(depth, str | Path))
    is_named = camera is not None or fov is not None
    stated_camera = _camera_of_file(numbers.statement, given_size, where)
    settings = {"kind": named, "scale": fact.value, "unit": unit, "crop": crop}
    settings |= {} if encoding is None else {"encoding": encoding}
    settings |= {"depth_error": None if depth_error is None else str(depth_error)}
    name = Path(depth).name if isinstance(depth, str | Path) else "array"
    prediction = make(
        depth_or_none=depth_map,
        camera=lens,
        photo=read,
        instrument=_with_map(
            origin.with_doubts((*guess, *about_inverse)), rounding, given_size, where.crop.shape
        ),
        made_by=origin.made_by(
            MadeBy(
                model=f"{GIVEN_MAP}{name}",
                weights_sha256=_sha256_of_depth(depth),
                licence="not stated",
                settings=settings,
                version=VERSION,
            )
        ),
        **origin.saved_parts(read.shape, lens, is_in_place=is_in_place),
    )
    prediction = with_known_sizes(prediction, known)
    # A known rectangle may have given the focal length.
    about_depth = _depth_notes(reading, depth_map.kind, where, prediction.known_camera)
    contradictions = (
        *chosen.notes,
        *unseen_notes,
        *origin.warnings,
        *notes_on_photo(origin.saved, read),
        *_note_on_unused_camera(stated_camera, lens, is_named=is_named),
        *([] if is_named or stated_camera is not None else _note_on_panorama(read)),
        *prediction.notes,
    )
    notes = (
        *(note for note in read.notes if not (is_named and is_exif_focal_note(note))),
        *chosen.notes,
        *dict.fromkeys((*about_depth, *about_inverse)),
        *as_seen.notes,
        *unseen_notes,
        *origin.notes(name, is_in_place=is_in_place),
        *contradictions,
    )
    prediction = prediction.but(notes=tuple(dict.fromkeys(notes)))
    for contradiction in dict.fromkeys(contradictions):
        tell(contradiction)
    return with_normals(prediction) if prediction.depth.is_depth else prediction


def _with_map(
    instrument: Instrument | None,
    rounding: DepthError,
    size: tuple[int, ...],
    size_in_photo: Size,
) -> Instrument | None:
    """Instrument with the rounding of its map, and the size of its pixels in the photograph."""
    if instrument is None:
        return None
    pixel = max(new / old for new, old in zip(size_in_photo, size, strict=True))
    return replace(instrument.with_rounding(rounding), pixel=max(instrument.pixel, pixel, 1.0))


@dataclass(frozen=True, slots=True)
class _Values:
    """Values in the photograph's size, where they are, their kind, and notes on it."""

    values: Plane
    mask: Mask
    kind: str
    notes: tuple[str, ...] = ()


def _depth_of_lens(given: _Values, camera: Camera, stated_kind: str | None, place: str) -> _Values:
    """Values as a map of the camera's lens has them: z of a pinhole, else along the ray.

    Args:
        given: Values of the file.
        camera: Camera of the photograph.
        stated_kind: Kind that the user states.
        place: Name of the file.
    """
    is_wide = camera.lens.has_unit_rays
    if given.kind == DISTANCE and not is_wide:
        length = np.linalg.norm(camera.points(np.ones(given.values.shape)), axis=0)
        return _Values(given.values / length, given.mask, DepthKind.METRIC.value)
    if not is_wide or given.kind not in _ALONG_AXIS:
        return given
    if stated_kind in _ALONG_AXIS:
        return _distance_of_depth(given, camera, place)
    return replace(given, notes=(_note_on_direction(camera, given.kind),))


def _distance_of_depth(given: _Values, camera: Camera, place: str) -> _Values:
    """Distance along the rays of a wide lens, of depth along its axis.

    Raises:
        InputError: If depth is given more than 90 degrees from the axis.
    """
    along_axis = camera.points(np.ones(given.values.shape))[2]
    beyond = int(np.count_nonzero(given.mask & (along_axis < 0)))
    if beyond:
        raise InputError(
            f"has depth along the axis at {beyond} pixels more than 90 degrees from the axis of "
            f"this {camera.lens.name}, where no such depth is",
            path=place,
            hint=Text("say ", OptionName("kind", DISTANCE), " if it is along the ray"),
        )
    with np.errstate(invalid="ignore"):
        is_ahead = along_axis > LEAST_AXIS_SHARE
    values = given.values / np.where(is_ahead, along_axis, 1)
    return replace(given, values=values, mask=given.mask & is_ahead)


def _note_on_direction(camera: Camera, kind: str) -> str:
    return Note(
        f"depth is taken for the distance along the ray, as the camera is a {camera.lens.name}",
        hint=Text(OptionName("kind", kind), " says that it is along the optical axis"),
    )


def _doubts_about_depth(
    numbers: StoredDepth, depth: DepthMap, origin: MapOrigin
) -> tuple[str, ...]:
    """Doubts that numbers are depth at all; none if rilievo's record says so."""
    is_recorded = origin.saved is not None and not origin.saved.is_changed
    if is_recorded or not depth.is_depth:
        return ()
    # Distances along the rays of a wide lens bend where depth does not.
    valid = np.zeros_like(depth.valid) if depth.is_distance else depth.valid
    return inverse_depth_warnings(numbers.stored, depth.values.astype(np.float64), valid)


def _doubt_about_unit(
    fact: DepthProperty, numbers: StoredDepth, depth: DepthMap, *, is_file: bool
) -> tuple[str, ...]:
    """Doubt about a unit that nothing states; arrays of floats are metres by definition."""
    is_whole = numbers.stored.dtype.kind in "ui"
    is_guess = fact.origin is PropertyOrigin.GUESSED and depth.kind is DepthKind.METRIC
    if not is_guess or not (is_whole or is_file):
        return ()
    kind = "whole" if is_whole else "floating-point"
    return (
        Note(
            f"the depth's {kind} numbers are taken for {fact.value}, as nothing states their unit, "
            "and all sizes are wrong if they are not",
            hint=Text(OptionName("unit", "..."), " says it"),
        ),
    )


def _refuse_length_without_metres(
    instrument: Instrument | None, kind: str, *, is_scaled: bool
) -> None:
    """Raise ``OptionError`` for an error in metres of depth that has none."""
    is_metric = kind in (DepthKind.METRIC, DISTANCE) or is_scaled
    if (
        instrument is None
        or is_metric
        or not (instrument.error.absolute or instrument.error.growth)
    ):
        return
    raise OptionError(
        option="depth_error",
        problem=f"is {instrument.error}, but depth of kind '{kind}' is not in metres",
        hint="give a share of depth, such as 1%",
    )


def _metres_of_one_number(unit: object) -> float | None:
    """Metres of one number by a user's number or text.

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


def _limit_depth(values: Plane, declared: NumberEncoding) -> Plane:
    """Depth within the limits that are declared, NaN elsewhere.

    Affine depth may be negative, so that no limit is none.
    """
    least = declared.min_depth if declared.min_depth > 0 else -np.inf
    most = np.inf if declared.max_depth is None else declared.max_depth
    with np.errstate(invalid="ignore"):
        return np.where((values >= least) & (values <= most), values, np.nan)


def _depth_array(depth: object, declared: NumberEncoding) -> np.ndarray:
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


def _values_and_unit(
    numbers: StoredDepth, unit: float | None, place: str
) -> tuple[Plane, DepthProperty]:
    stored, statement = numbers.stored, numbers.statement
    whole = stored.dtype.kind in "ui"
    if unit is not None and statement.is_decodable:
        raise OptionError(
            option="unit",
            problem="is for numbers that do not state theirs",
            hint=f"{place} does ({statement.source})",
        )
    if stored.dtype == np.uint8 and unit is None and not statement.is_decodable:
        raise InputError(
            "has 8 bits, which are mostly a picture of depth",
            path=place,
            hint=Text(
                "if they are depth, say how many metres one count is with ",
                OptionName("unit", "..."),
            ),
        )
    guess = 0.001 if whole else 1.0
    fact = unit_property(stored, statement, unit=unit, source="unit", guess=guess)
    if statement.is_decodable:
        return numbers.values.astype(np.float64), fact
    factor = guess if unit is None else unit
    with np.errstate(invalid="ignore", over="ignore"):
        values = stored.astype(np.float64) * factor
    is_gap = (stored == 0) if whole else np.zeros(stored.shape, bool)
    values[is_gap | ~numbers.known] = np.nan
    return values, fact


def _depth_kind(statement: DepthStatement, kind: str | None, place: str) -> str:
    kinds = (*DepthKind, DISTANCE)
    if kind is not None and kind not in kinds:
        raise OptionError(option="kind", problem=f"has no '{kind}'; {suggest(kind, kinds)}")
    stated = statement.kind
    if stated in (INVERSE, DISPARITY) and kind == DepthKind.AFFINE_INVERSE:
        return kind
    if stated is not None and kind not in (None, stated):
        raise OptionError(
            option="kind",
            problem=f"says '{kind}', but {place} says '{stated}'",
            hint="leave it out",
        )
    named = stated or kind or DepthKind.METRIC.value
    if named == DISPARITY:
        raise InputError(
            (
                "holds disparity, which is depth only with the distance of "
                "both cameras; convert it: focal length times baseline over "
                "disparity"
            ),
            path=place,
        )
    if named == INVERSE:
        raise InputError(
            f"holds inverse depth ({statement.source}): write depth, which is 1 over it if its "
            "unit is 1/m and its zero is at infinity",
            path=place,
        )
    return str(named)


class _ChosenCamera(NamedTuple):
    """Camera of the photograph, and notes on the one that the user names."""

    camera: Camera
    notes: Sequence[str] = ()


def _choose_camera(
    photo: Photo,
    camera: object,
    fov: float | None,
    statement: DepthStatement,
    size: tuple[int, ...],
    where: MapPlacement,
) -> _ChosenCamera:
    if camera is not None and fov is not None:
        raise OptionError(
            option="camera",
            problem=Text("and ", OptionName("fov"), " say the same; give one of them"),
        )
    if camera is not None:
        return _check_camera(photo, _camera_of_user(camera, photo))
    if fov is not None:
        angle_note = fov_note(fov)
        return _ChosenCamera(
            Camera(K=K_from_fov(fov, photo.shape), source=CameraSource.FOV),
            [] if angle_note is None else [angle_note],
        )
    stated = _camera_of_file(statement, size, where)
    if stated is not None:
        return _ChosenCamera(stated, _notes_on_camera_of_file(photo, statement, size, stated))
    return _ChosenCamera(assumed_camera(photo.shape) if photo.camera is None else photo.camera)


def _camera_of_file(
    statement: DepthStatement, size: tuple[int, ...], where: MapPlacement
) -> Camera | None:
    """Camera of the photograph by the one that a depth file states for its own pixels."""
    if statement.camera is None:
        return None
    crop = where.crop
    resized = statement.camera.resized(size=(size[0], size[1]), new_size=crop.shape)
    return resized.cropped(top=-crop.top, left=-crop.left)


def _note_on_unused_camera(
    stated: Camera | None, used: Camera, *, is_named: bool
) -> tuple[str, ...]:
    """Note that the user names another camera than the file states."""
    if not is_named or stated is None or stated.lens == used.lens:
        return ()
    return ("the camera that it states is not used: another one is named",)


def _notes_on_camera_of_file(
    photo: Photo, statement: DepthStatement, size: tuple[int, ...], camera: Camera
) -> list[str]:
    """Notes on the camera that a depth file states, and that is ``camera`` in the photograph.

    rilievo checked the camera of its own record when it was named.

    Raises:
        InputError: If its centre lies outside of the photograph.
    """
    origin = statement.origin
    is_recorded = origin is not None and statement.camera == origin.camera
    if origin is not None and is_recorded and not origin.is_changed:
        return []
    if isinstance(camera.lens, Pinhole):
        refuse_outside_centre(photo, camera)
    doubts = [*scale_notes(statement.camera, (size[0], size[1]), ())]
    doubt_by_exif = exif_note(photo.camera, camera)
    if doubt_by_exif is not None:
        doubts.append(doubt_by_exif)
    if origin is not None and not is_recorded:
        doubts.append("its array 'K' is not the camera of its record, and 'K' is used")
    return doubts


def _check_camera(photo: Photo, chosen: _ChosenCamera) -> _ChosenCamera:
    """Camera that may be that of the photograph, with notes on numbers that are hardly in pixels.

    Raises:
        InputError: If its lens folds inside the picture, or its centre lies outside.
    """
    camera = chosen.camera
    if isinstance(camera.lens, Pinhole):
        refuse_outside_centre(photo, camera)
    else:
        # A fisheye keeps its limit: depth at hand may reach beyond the circle of the photograph.
        check_lens(photo, camera.lens)
    doubts = [*scale_notes(camera, photo.shape, ()), exif_note(photo.camera, camera)]
    return _ChosenCamera(camera, [*chosen.notes, *(note for note in doubts if note is not None)])


def _seen_mask(lens: Lens, shape: Size) -> Mask:
    """Pixels that a lens sees; a fisheye may end before the corners of its picture."""
    if isinstance(lens, Pinhole):
        return np.ones(shape, bool)
    height, width = shape
    v, u = np.mgrid[0:height, 0:width].astype(np.float64)
    return np.isfinite(lens.rays(np.stack([u, v]))[0])


def _note_on_unseen(valid: Mask, seen: Mask, place: str) -> tuple[str, ...]:
    share = 1 - float(seen[valid].mean())
    if not share:
        return ()
    if share == 1:
        raise InputError("has depth only where the camera's lens sees nothing", path=place)
    return (
        f"{100 * share:.3g} % of the depth lies where the camera's lens sees nothing, and is left "
        "out",
    )


def _camera_of_user(camera: object, photo: Photo) -> _ChosenCamera:
    if isinstance(camera, Camera):
        return _ChosenCamera(camera)
    if isinstance(camera, Path) or (isinstance(camera, str) and Path(camera).is_file()):
        return _camera_of_spelling(read_lens(Path(camera).expanduser()), photo)
    if isinstance(camera, str) and not re.fullmatch(r"[\d\s.,]+", camera):
        return _camera_of_spelling(read_spelling(camera, "camera"), photo)
    return _ChosenCamera(_camera_of_numbers(camera, photo.shape))


def _camera_of_spelling(spelling: SpelledLens, photo: Photo) -> _ChosenCamera:
    camera = Camera(lens=spelling.lens(photo.shape, photo.name))
    return _ChosenCamera(camera, lens_notes(spelling, photo.shape))


def _camera_of_numbers(camera: object, shape: Size) -> Camera:
    try:
        parts = camera.replace(",", " ").split() if isinstance(camera, str) else camera
        numbers = np.asarray(parts, np.float64)
    except (TypeError, ValueError) as error:
        raise OptionError(option="camera", expected=_CAMERAS, value=camera) from error
    if numbers.size == 1:
        focal = float(numbers.reshape(-1)[0])
        return Camera(K=K_from_focal(focal, focal, shape))
    if numbers.size == 4:
        return Camera(K=pinhole_K(*numbers.reshape(-1).tolist()))
    if numbers.size == 9:
        return Camera(K=numbers.reshape(3, 3))
    raise OptionError(option="camera", expected=_CAMERAS, value=camera)


def _place_in_photo(
    values: Plane, shape: Size, crop: str | None, place: str, orientation: int
) -> MapPlacement:
    stated = None if crop is None else parse_placement(crop)
    words = PlacementWords(map="depth", picture="the photograph")
    try:
        size = (values.shape[0], values.shape[1])
        return place_map(size, shape, stated, words, orientation=orientation, values=values)
    except InputError as error:
        raise InputError(problem=Text(error), path=place) from error


def _fit_to_photo(
    values: Plane, mask: Mask, shape: Size, where: MapPlacement
) -> tuple[Plane, Mask]:
    """Values and mask in the photograph's size."""
    crop = where.crop
    if values.shape != crop.shape:
        least = min(0.0, float(values[mask].min()))
        # What is known is above zero there, as ``at_size`` has it.
        resized = resize_measured(np.where(mask, values - least + 1, 0), crop.shape)
        values, mask = resized.values + least - 1, resized.known
    if crop.shape == shape:
        return values, mask
    return (
        crop.paste_into_picture(values, shape, np.nan),
        crop.paste_into_picture(mask, shape, False),
    )


def _number_reading(
    numbers: StoredDepth,
    fact: DepthProperty,
    depth: DepthMap,
    unit: float | None,
    declared: NumberEncoding,
) -> DepthInterpretation:
    metres = depth.values[depth.valid].astype(np.float64)
    guess = 0.001 if numbers.stored.dtype.kind in "ui" else 1.0
    doubts = stored_depth_warnings(
        numbers,
        metres if depth.kind is DepthKind.METRIC else None,
        unit=guess if unit is None else unit,
        invalid=(0.0,) if numbers.statement.linear_range is None else (),
        max_depth=declared.max_depth,
        is_unit_declared=unit is not None,
    )
    return DepthInterpretation(
        properties=(fact,),
        warnings=doubts,
        nearest=float(metres.min()),
        farthest=float(metres.max()),
    )


def _depth_notes(
    reading: DepthInterpretation, kind: DepthKind, where: MapPlacement, camera: Camera
) -> list[str]:
    notes: list[str] = [_note_on_unit(reading, kind), *reading.warnings, *where.notes]
    if camera.source is CameraSource.ASSUMED:
        notes.append(
            Note(
                "no camera is known, so its field of view is assumed",
                hint=Text(
                    AnyOf(OptionName("camera", "..."), OptionName("fov", "...")), " gives it"
                ),
            )
        )
    return notes


def _note_on_panorama(photo: Photo) -> list[str]:
    note = panorama_note(photo, "camera")
    return [] if note is None else [note]


def _note_on_unit(reading: DepthInterpretation, kind: DepthKind) -> str:
    """Note on the unit of depth and its range, or on a kind that has no unit."""
    if kind is not DepthKind.METRIC:
        span = f"{reading.nearest:.3g} to {reading.farthest:.3g}"
        return Note(f"depth is read as {kind}, which has no unit: {span}")
    [scale] = reading.unit_properties
    source = OptionName("unit") if scale.origin is PropertyOrigin.GIVEN else scale.place
    return Note(Text(f"depth is {reading.unit_and_range} (", source, ")"))


def _sha256_of_depth(depth: str | Path | Shaped[np.ndarray, "h w"]) -> str:
    if isinstance(depth, str | Path):
        return sum_of(Path(depth).expanduser()).sha256
    return sha256(np.ascontiguousarray(depth).tobytes()).hexdigest()
