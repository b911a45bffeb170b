"""``Prediction.from_depth``: a prediction from a given depth map, such as a depth camera's."""

import math
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Float64, Mask, Shaped, Size
from rilievo.calibration.camera_checks import panorama_note
from rilievo.calibration.readings import MIN_AXIS_COSINE
from rilievo.calibration.sizes import Known
from rilievo.errors import InputError, OptionError, suggest
from rilievo.errors.messages import AnyOf, Note, OptionName, Text, count_text
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.io.checksums import compute_file_sum
from rilievo.io.depth.crops import DepthCrop
from rilievo.io.depth.depth_metadata import DISPARITY, DISTANCE, INVERSE, DepthMetadata
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
from rilievo.io.depth.placement import MapPlacement, PlacementNames, place_map
from rilievo.io.depth.plausibility import inverse_depth_warnings, negation_hint
from rilievo.io.depth.stored_depth import (
    StoredDepth,
    read_stored_depth,
    stored_depth_from_array,
    stored_depth_warnings,
)
from rilievo.io.files.names import printable
from rilievo.io.photographs.photo import PhotoSource, notes_without_exif_focal, read_photo
from rilievo.io.resizing import resize_measured
from rilievo.io.saved_origins import DEPTH_MAP_MODEL
from rilievo.measure.sizes_on_depth import with_known_sizes
from rilievo.prediction.map_camera import ChosenCamera, choose_camera, seen_mask
from rilievo.prediction.map_origin import MapOrigin, find_map_origin
from rilievo.prediction.recorded_photo import notes_on_photo
from rilievo.prediction.surface_depth import AnyPrediction, with_normals
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.instruments import DepthError, Instrument, rounding_error
from rilievo.records.prediction_record import MadeBy, Setting
from rilievo.records.sample import Photo
from rilievo.schema.typed_values import UNITS, parse_unit
from rilievo.version import VERSION

DepthInput = str | Path | Shaped[np.ndarray, "h w"]
"""File or array of a depth map."""
Plane = Float64[np.ndarray, "h w"]
_OPTION_NAMES = {"encoding_option": "encoding", "unit_option": "unit"}
"""Options that state what the numbers of a map mean."""
_KINDS_OF_INTEGERS = "ui"  # of ``dtype.kind``: unsigned and signed
_KINDS_OF_NUMBERS = _KINDS_OF_INTEGERS + "f"
_KINDS_ALONG_AXIS = (DepthKind.METRIC.value, DepthKind.UP_TO_SCALE.value)
_AFFINE_KINDS = (DepthKind.AFFINE.value, DepthKind.AFFINE_INVERSE.value)


def _ignore_warning(note: str) -> None:
    """Do not warn; the note is still among those of the prediction."""


def warn_at_caller(note: str) -> None:
    """Warn with the line that calls ``Prediction.from_depth``."""
    warnings.warn(note, UserWarning, stacklevel=4)


def prediction_from_depth(
    prediction_class: type[AnyPrediction],
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
    warn: Callable[[str], None] = _ignore_warning,
) -> AnyPrediction:
    """Make a prediction from a given depth map, in three steps.

    The map is read, brought to the size and the camera of the photograph, and compared with or
    scaled by the known sizes. ``prediction_class`` is the class of the result, and ``warn`` is
    called with each note on what was not used or contradicts something else. The other arguments
    are those of ``Prediction.from_depth``.
    """
    find_map_origin(None, depth_error)  # so that an unreadable error fails before files are read
    metres_per_count = _parse_unit(unit)
    options = _MapOptions(
        kind=kind,
        metres_per_count=metres_per_count,
        crop=crop,
        encoding_text=encoding,
        depth_error=depth_error,
        declared_encoding=parse_optional_encoding(encoding, metres_per_count, **_OPTION_NAMES),
        has_known_sizes=bool(known),
    )
    if not isinstance(photo, Photo):
        photo = read_photo(photo, own_depth=False)

    # Read the map, and bring it to the photograph.
    source = _read_map(depth, options)
    placed = _place_on_photo(source, photo, camera, fov, options)

    # Make the prediction, and compare it with the known sizes or scale it by them.
    depth_warnings = _depth_warnings(source, placed.depth)
    recorded_fields = source.origin.recorded_fields(
        photo.shape, placed.camera_choice.camera, is_in_place=placed.is_in_place
    )
    prediction = prediction_class(
        depth_or_none=placed.depth,
        camera=placed.camera_choice.camera,
        photo=photo,
        instrument=_map_instrument(source, placed, depth_warnings),
        made_by=source.origin.merge_made_by(_map_made_by(depth, source, placed.kind, options)),
        **recorded_fields,
    )
    prediction = with_known_sizes(prediction, known)

    # Tell the user what was assumed, and warn about what contradicts something else.
    contradictions = dict.fromkeys((*_contradictions(source, placed, photo), *prediction.notes))
    for contradiction in contradictions:
        warn(contradiction)
    notes = (
        *_notes_on_photo_file(photo, placed.camera_choice),
        *placed.camera_choice.notes,
        *_notes_on_interpretation(source, placed.depth, options),
        *placed.placement.notes,
        # A known rectangle may have changed the focal length.
        *_notes_on_assumed_camera(prediction.known_camera),
        *depth_warnings,
        *placed.direction_notes,
        *placed.unseen_notes,
        *source.origin.notes(source.name, is_in_place=placed.is_in_place),
        *contradictions,
    )
    prediction = prediction.but(notes=tuple(dict.fromkeys(notes)))
    return with_normals(prediction) if prediction.depth.is_depth else prediction


@dataclass(frozen=True, slots=True, kw_only=True)
class _MapOptions:
    """What the user states about the depth map; None for an option that was not given.

    Attributes:
        kind: A ``DepthKind``, or ``DISTANCE`` along the ray.
        metres_per_count: Metres that one stored count stands for.
        crop: Part of the photograph that the map covers.
        encoding_text: How the numbers store depth, as the user wrote it.
        declared_encoding: Parsed ``encoding_text`` and unit.
        has_known_sizes: Whether known sizes will scale depth that is not metric.
    """

    kind: str | None
    metres_per_count: float | None
    crop: str | None
    encoding_text: str | None
    depth_error: str | DepthError | None
    declared_encoding: NumberEncoding
    has_known_sizes: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _SourceMap:
    """Depth map as it was given, before it is brought to the photograph.

    Attributes:
        name: Name of the file, or "array".
        stored_depth: Numbers as they are stored, and what the file states about them.
        unit: Unit of the stored numbers, and who stated it.
        values: Depth [m], or in the map's own unit if the kind is not metric.
        kind: A ``DepthKind``, or ``DISTANCE`` along the ray.
        rounding: Error that comes from rounding the stored numbers.
        origin: Instrument or network from which the depth came.
    """

    name: str
    label: str
    is_file: bool
    stored_depth: StoredDepth
    unit: DepthProperty
    values: Plane
    mask: Mask
    kind: str
    rounding: DepthError
    origin: MapOrigin


def _read_map(depth: DepthInput, options: _MapOptions) -> _SourceMap:
    """Read a depth map, and decide on its unit, its kind and its origin.

    Raises:
        InputError: If it cannot be read, or no pixel has depth.
        OptionError: If an option contradicts the file.
    """
    is_file = isinstance(depth, str | Path)
    name, label = (Path(depth).name, printable(Path(depth))) if is_file else ("array", "depth")
    stored_depth = _read_stored_numbers(depth, options, label)

    origin = find_map_origin(stored_depth.metadata.origin, options.depth_error)
    decoded, unit = _decode_depth(stored_depth, options.metres_per_count, label)
    rounding = rounding_error(stored_depth.raw_values, decoded)
    is_within_limits = options.declared_encoding.is_within_limits(decoded)
    values = np.where(is_within_limits, decoded, np.nan)

    kind = _resolve_kind(stored_depth.metadata, options.kind, label)
    # An error in metres needs metric depth, by its kind or after it is scaled.
    becomes_metric = kind in (DepthKind.METRIC, DISTANCE) or options.has_known_sizes
    if origin.instrument is not None and not becomes_metric:
        _require_relative_error(origin.instrument.error, kind)

    mask = _mask_of_depth(values, kind)
    if not mask.any():
        hint = negation_hint(stored_depth.raw_values)
        requirement = "finite" if kind in _AFFINE_KINDS else "positive and finite"
        raise InputError(f"has no pixel whose depth is {requirement}", path=label, hint=hint)
    return _SourceMap(
        name=name,
        label=label,
        is_file=is_file,
        stored_depth=stored_depth,
        unit=unit,
        values=values,
        mask=mask,
        kind=kind,
        rounding=rounding,
        origin=origin,
    )


def _read_stored_numbers(depth: DepthInput, options: _MapOptions, label: str) -> StoredDepth:
    """Read the numbers of a file or an array, with what is known about them.

    Raises:
        InputError: If they cannot be read; ``label`` names the map in messages.
    """
    encoding = options.declared_encoding
    if isinstance(depth, str | Path):
        with naming_encoding_options(**_OPTION_NAMES):
            return read_stored_depth(
                Path(depth).expanduser(),
                encoding=encoding,
                is_scale_given=options.metres_per_count is not None,
                reads_folder_records=True,
            )
    array = _to_depth_array(depth, may_have_channels=encoding.channels is not None)
    with naming_encoding_options(**_OPTION_NAMES):
        return stored_depth_from_array(array, encoding, label)


def _mask_of_depth(values: Plane, kind: str) -> Mask:
    """Pixels with depth: finite numbers, which are also positive unless the depth is affine."""
    is_finite = np.isfinite(values)
    return is_finite if kind in _AFFINE_KINDS else is_finite & (values > 0)


def _to_depth_array(depth: object, *, may_have_channels: bool) -> np.ndarray:
    """Convert what a user passes as depth to an array of numbers of the shape (height, width).

    Axes of length 1 are removed from larger arrays, such as (1, height, width). A masked array
    stays one, because its mask says where there is no depth.

    Args:
        depth: Array, or anything that NumPy can convert to one.
        may_have_channels: Whether the shape (height, width, channels) is allowed, too, because the
            user says in which of the channels depth is stored.

    Raises:
        InputError: If the array has another shape, or does not hold numbers.
    """
    array = depth if isinstance(depth, np.ma.MaskedArray) else np.asarray(depth)
    if array.ndim > 2:
        array = array.squeeze()
    if may_have_channels and array.ndim == 3:
        return array

    has_numbers = array.dtype.kind in _KINDS_OF_NUMBERS and array.size > 0
    if array.ndim != 2 or not has_numbers:
        raise InputError(
            f"depth: has the shape {array.shape} and the type {array.dtype}, expected numbers of "
            "shape (height, width)"
        )
    return array


def _parse_unit(unit: object) -> float | None:
    """Parse the unit of stored numbers [m], a number or the name of a unit; None if none is given.

    Raises:
        OptionError: If it is neither a positive number nor a unit.
    """
    if unit is None:
        return None
    metres = math.nan  # stays NaN, and fails the check of the range, if it cannot be read
    with suppress(TypeError, ValueError):
        metres = parse_unit(unit) if isinstance(unit, str) else float(np.asarray(unit).item())
    if isinstance(unit, bool) or not 0 < metres < math.inf:
        raise OptionError(
            option="unit",
            expected=f"the metres per stored number, such as 0.001, or a unit ({UNITS})",
            value=unit,
        )
    return metres


def _decode_depth(
    stored_depth: StoredDepth, metres_per_count: float | None, label: str
) -> tuple[Plane, DepthProperty]:
    """Decode stored numbers by the file's metadata, by the user's unit, or by a guess.

    Returns depth [m], NaN where there is none, and the unit of the numbers with its source.

    Raises:
        OptionError: If both the user and the file state a unit.
        InputError: If the numbers are probably a picture of depth.
    """
    stored, metadata = stored_depth.raw_values, stored_depth.metadata
    if metres_per_count is not None and metadata.is_decodable:
        raise OptionError(
            option="unit",
            problem="only applies to a depth map that does not state its unit",
            hint=f"{label} states it ({metadata.source}), so leave the option out",
        )
    states_unit = metres_per_count is not None or metadata.is_decodable
    if stored.dtype == np.uint8 and not states_unit:
        raise InputError(
            "has 8 bits, so it is probably a picture of depth",
            path=label,
            hint=Text(
                "if its numbers are depth, state their unit with ",
                OptionName("unit", "..."),
            ),
        )

    guess = stored_depth.guessed_unit
    unit = unit_property(stored, metadata, unit=metres_per_count, source="unit", guess=guess)
    if metadata.is_decodable:
        return stored_depth.values.astype(np.float64), unit

    factor = guess if metres_per_count is None else metres_per_count
    with np.errstate(invalid="ignore", over="ignore"):  # Stored numbers may be NaN or huge.
        depth = stored.astype(np.float64) * factor
    has_depth = stored_depth.known_pixels
    if _is_integer(stored):  # In integers, 0 means that there is no depth.
        has_depth &= stored != 0
    depth[~has_depth] = np.nan
    return depth, unit


def _is_integer(stored: Shaped[np.ndarray, "h w"]) -> bool:
    return stored.dtype.kind in _KINDS_OF_INTEGERS


def _resolve_kind(metadata: DepthMetadata, kind: str | None, label: str) -> str:
    """Decide on the kind of a map by its file or by the user: a ``DepthKind``, or ``DISTANCE``.

    Raises:
        OptionError: If there is no such kind, or the file states another one.
        InputError: If the file holds disparity or inverse depth.
    """
    kinds = (*DepthKind, DISTANCE)
    if kind is not None and kind not in kinds:
        raise OptionError(
            option="kind", problem=f"does not accept '{kind}'; {suggest(kind, kinds)}"
        )
    file_kind = metadata.kind
    # Disparity and inverse depth are affine inverse depth whose scale and shift are not used.
    if file_kind in (INVERSE, DISPARITY) and kind == DepthKind.AFFINE_INVERSE:
        return kind
    is_contradicted = file_kind is not None and kind is not None and kind != file_kind
    if is_contradicted:
        raise OptionError(
            option="kind",
            problem=f"says '{kind}', but {label} says '{file_kind}'",
            hint="leave the option out",
        )
    if file_kind == DISPARITY:
        raise InputError(
            "contains disparity, not depth; convert it first: the depth is the focal length times "
            "the baseline, divided by the disparity",
            path=label,
        )
    if file_kind == INVERSE:
        raise InputError(
            f"contains inverse depth ({metadata.source}), not depth; convert it first: if its "
            "unit is 1/m, the depth is 1 divided by the value, and 0 means infinity",
            path=label,
        )
    return str(file_kind or kind or DepthKind.METRIC.value)


def _require_relative_error(error: DepthError, kind: str) -> None:
    """Raise ``OptionError`` if the error of depth that is not metric has a part in metres."""
    if not (error.absolute or error.growth):
        return
    raise OptionError(
        option="depth_error",
        problem=f"is {error}, but depth of kind '{kind}' is not in metres",
        hint="give a percentage of the depth, such as 1%",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _PlacedMap:
    """Depth map in the size of the photograph, with its camera.

    Attributes:
        depth: Depth along the axis of a pinhole camera, or distance along the ray of a wide lens.
        kind: Kind of the depth for the record: a ``DepthKind``, or ``DISTANCE`` for a wide lens.
        placement: Part of the photograph that the map covers, and how it was found.
        is_in_place: Whether the map has exactly the pixels of the photograph.
        direction_notes: Note that depth is read as distance along the ray; empty if it is not.
        unseen_notes: Note that there is depth outside the lens's field of view; empty if not.
    """

    depth: DepthMap
    kind: str
    camera_choice: ChosenCamera
    placement: MapPlacement
    is_in_place: bool
    direction_notes: tuple[str, ...]
    unseen_notes: tuple[str, ...]


def _place_on_photo(
    source: _SourceMap, photo: Photo, camera: object, fov: float | None, options: _MapOptions
) -> _PlacedMap:
    """Bring a depth map to the size of the photograph, and to the depth of its camera's lens."""
    placement = _find_placement(source, photo, options.crop)
    crop = placement.crop
    map_size = (source.values.shape[0], source.values.shape[1])
    camera_choice = choose_camera(photo, camera, fov, source.stored_depth.metadata, map_size, crop)
    lens = camera_choice.camera.lens
    values, mask = _fit_to_photo(source.values, source.mask, photo.shape, crop)

    seen = seen_mask(lens, photo.shape)
    unseen_notes = _notes_on_unseen(mask, seen, source.label)
    converted = _convert_to_lens(
        _MapValues(values=values, mask=mask & seen, kind=source.kind),
        camera_choice.camera,
        options.kind,
        source.label,
    )
    kind = DepthKind.METRIC if converted.kind == DISTANCE else DepthKind(converted.kind)
    return _PlacedMap(
        depth=DepthMap(
            # Pixels without depth are masked out; 1 is any finite value.
            values=np.where(converted.mask, converted.values, 1).astype(np.float32),
            kind=kind,
            valid=converted.mask,
            is_distance=lens.has_unit_rays,
        ),
        kind=converted.kind,
        camera_choice=camera_choice,
        placement=placement,
        is_in_place=map_size == photo.shape == crop.shape,
        direction_notes=converted.notes,
        unseen_notes=unseen_notes,
    )


def _find_placement(source: _SourceMap, photo: Photo, crop: str | None) -> MapPlacement:
    """Find the part of the photograph that a map covers; raise ``InputError`` if none fits."""
    names = PlacementNames(map="depth", picture="the photograph")
    values = np.where(source.mask, source.values, 0)
    height, width = values.shape
    return place_map(
        (height, width),
        photo.shape,
        crop,
        names,
        file=source.label,
        # Depth that rilievo saved is upright already.
        orientation=1 if source.origin.saved is not None else photo.orientation,
        values=values,
    )


def _fit_to_photo(values: Plane, mask: Mask, shape: Size, crop: DepthCrop) -> tuple[Plane, Mask]:
    """Resize values and mask to a crop of the photograph, and fill what lies around it.

    Around the crop, the values are NaN and the mask is False.
    """
    crop_values, crop_mask = values, mask
    if values.shape != crop.shape:
        # Affine depth may be negative, but ``resize_measured`` takes 0 and less for gaps. Therefore
        # all values are moved to 1 or more, and back afterwards.
        lowest = min(0.0, float(values[mask].min()))
        resized = resize_measured(np.where(mask, values - lowest + 1, 0), crop.shape)
        crop_values, crop_mask = resized.values + lowest - 1, resized.known
    if crop.shape == shape:
        return crop_values, crop_mask
    return (
        crop.paste_into_picture(crop_values, shape, np.nan),
        crop.paste_into_picture(crop_mask, shape, False),
    )


def _notes_on_unseen(valid: Mask, seen: Mask, label: str) -> tuple[str, ...]:
    """Note on depth at pixels that the lens does not see; raise ``InputError`` if all is there."""
    unseen_fraction = 1 - float(seen[valid].mean())
    if not unseen_fraction:
        return ()
    if unseen_fraction == 1:
        raise InputError(
            "has depth only outside the field of view of the camera's lens: check that the camera "
            "is the one of this depth map",
            path=label,
        )
    return (
        f"{100 * unseen_fraction:.3g}% of the depth lies outside the field of view of the "
        "camera's lens and is left out",
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
    """Convert depth to what rilievo stores for the lens of a camera.

    This is depth along the optical axis for a pinhole, and distance along the ray for a wide lens.
    A map is taken to hold distance already, unless the user's ``stated_kind`` is along the axis.
    """
    if not camera.lens.has_unit_rays:
        return _distance_to_depth(depth, camera) if depth.kind == DISTANCE else depth
    if depth.kind not in _KINDS_ALONG_AXIS:
        return depth
    if stated_kind in _KINDS_ALONG_AXIS:
        return _depth_to_distance(depth, camera, label)
    note = Note(
        "depth is read as distance along the ray, because the lens of the camera is of the kind "
        f"'{camera.lens.name}'",
        hint=Text("if it is along the optical axis, give ", OptionName("kind", depth.kind)),
    )
    return replace(depth, notes=(note,))


def _distance_to_depth(distance: _MapValues, camera: Camera) -> _MapValues:
    """Convert distance along the rays to metric depth along the axis.

    The rays of such a lens end at depth 1, so their lengths are distance / depth.
    """
    ray_lengths = np.linalg.norm(camera.points(np.ones(distance.values.shape)), axis=0)
    return replace(distance, values=distance.values / ray_lengths, kind=DepthKind.METRIC.value)


def _depth_to_distance(depth: _MapValues, camera: Camera, label: str) -> _MapValues:
    """Convert depth along the axis of a wide lens to distance along its rays.

    With unit rays, distance = depth / ray_z. Pixels almost 90 degrees from the axis lose their
    depth, because ray_z is almost 0 there.

    Raises:
        InputError: If there is depth more than 90 degrees from the axis.
    """
    ray_z = camera.points(np.ones(depth.values.shape))[2]  # z of the unit rays
    num_behind = int(np.count_nonzero(depth.mask & (ray_z < 0)))
    if num_behind:
        raise InputError(
            f"has depth along the optical axis at {count_text(num_behind, 'pixel')} more than 90 "
            f"degrees off the axis of this {camera.lens.name} camera, where only the distance "
            "along the ray is defined",
            path=label,
            hint=Text(
                "give ", OptionName("kind", DISTANCE), " if the values are distances along the ray"
            ),
        )
    with np.errstate(invalid="ignore"):  # NaN where the lens sees nothing
        has_distance = ray_z > MIN_AXIS_COSINE
    values = depth.values / np.where(has_distance, ray_z, 1)  # 1 avoids a division by 0
    return replace(depth, values=values, mask=depth.mask & has_distance)


def _depth_warnings(source: _SourceMap, depth: DepthMap) -> tuple[str, ...]:
    """Warnings if the numbers are probably inverse depth.

    There are none if rilievo's own record of the file says what they are.
    """
    saved = source.origin.saved
    is_recorded = saved is not None and not saved.is_changed
    if is_recorded or not depth.is_depth:
        return ()
    # The check looks for straight surfaces, which a map of distances along the ray bends.
    valid = np.zeros_like(depth.valid) if depth.is_distance else depth.valid
    stored = source.stored_depth.raw_values
    return inverse_depth_warnings(stored, depth.values.astype(np.float64), valid)


def _unit_warnings(source: _SourceMap, depth: DepthMap) -> tuple[str, ...]:
    """Warning about a guessed unit; floats in an array are metres by definition."""
    is_integer = _is_integer(source.stored_depth.raw_values)
    is_guess = source.unit.origin is PropertyOrigin.GUESSED and depth.kind is DepthKind.METRIC
    if not is_guess or not (is_integer or source.is_file):
        return ()
    number_type = "integer" if is_integer else "floating-point"
    return (
        Note(
            f"the depth's {number_type} numbers are read as {source.unit.value}, because "
            "nothing states their unit; if this is wrong, all sizes are wrong",
            hint=Text("state it with ", OptionName("unit", "...")),
        ),
    )


def _map_instrument(
    source: _SourceMap, placed: _PlacedMap, depth_warnings: tuple[str, ...]
) -> Instrument | None:
    """Error model of the map, with the rounding of this file; None if a network predicted depth.

    If the map was enlarged to the photograph, several pixels of the photograph share one pixel of
    the map. Their errors are not independent, so ``pixel``, the side of a map pixel, is larger.
    """
    warnings = (*_unit_warnings(source, placed.depth), *depth_warnings)
    instrument = source.origin.instrument_with_warnings(warnings)
    if instrument is None:
        return None
    placed_size, map_size = placed.placement.crop.shape, source.values.shape
    scale_factors = (new / old for new, old in zip(placed_size, map_size, strict=True))
    pixel_side = max(instrument.pixel, *scale_factors, 1.0)
    return replace(instrument.with_rounding(source.rounding), pixel=pixel_side)


def _map_made_by(depth: DepthInput, source: _SourceMap, kind: str, options: _MapOptions) -> MadeBy:
    """Record from which map and with which settings a prediction was made.

    The map is recorded in place of the model, and its checksum in place of that of the weights.
    """
    depth_error = options.depth_error
    # The order of the keys is that of the recorded JSON.
    settings: dict[str, Setting] = {
        "kind": kind,
        "scale": source.unit.value,
        "unit": options.metres_per_count,
        "crop": options.crop,
    }
    if options.encoding_text is not None:
        settings["encoding"] = options.encoding_text
    settings["depth_error"] = None if depth_error is None else str(depth_error)
    return MadeBy(
        model=f"{DEPTH_MAP_MODEL}{source.name}",
        weights_sha256=_depth_sha256(depth),
        licence="not stated",
        settings=settings,
        version=VERSION,
    )


def _depth_sha256(depth: DepthInput) -> str:
    if isinstance(depth, str | Path):
        return compute_file_sum(Path(depth).expanduser()).sha256
    return sha256(np.ascontiguousarray(depth).tobytes()).hexdigest()


def _contradictions(source: _SourceMap, placed: _PlacedMap, photo: Photo) -> tuple[str, ...]:
    """Notes on what was not used, and on what contradicts something else."""
    camera_choice, origin = placed.camera_choice, source.origin
    contradictions = [
        *camera_choice.notes,
        *placed.unseen_notes,
        *origin.warnings,
        *notes_on_photo(origin.saved, photo),
        *camera_choice.unused_notes,
    ]
    is_camera_stated = camera_choice.is_named or camera_choice.file_camera is not None
    panorama_warning = None if is_camera_stated else panorama_note(photo, "camera")
    if panorama_warning is not None:
        contradictions.append(panorama_warning)
    return tuple(contradictions)


def _notes_on_photo_file(photo: Photo, camera_choice: ChosenCamera) -> tuple[str, ...]:
    """Notes on the photograph; those on its EXIF focal length only if no other camera is named."""
    return notes_without_exif_focal(photo) if camera_choice.is_named else photo.notes


def _notes_on_interpretation(
    source: _SourceMap, depth: DepthMap, options: _MapOptions
) -> list[str]:
    """Note on the unit and the range of depth, and warnings about its numbers."""
    stored_depth = source.stored_depth
    valid_depths = depth.values[depth.valid].astype(np.float64)
    is_unit_stated = options.metres_per_count is not None
    number_warnings = stored_depth_warnings(
        stored_depth,
        valid_depths if depth.kind is DepthKind.METRIC else None,
        unit=options.metres_per_count if is_unit_stated else stored_depth.guessed_unit,
        max_depth=options.declared_encoding.max_depth,
        is_unit_given=is_unit_stated,
        are_marks_stated=options.declared_encoding.invalid is not None,
    )
    interpretation = DepthInterpretation(
        properties=(source.unit,),
        nearest=float(valid_depths.min()),
        farthest=float(valid_depths.max()),
        is_metric=depth.kind is DepthKind.METRIC,
    )
    warnings = [Note(name_encoding_options(text, **_OPTION_NAMES)) for text in number_warnings]
    return [_note_on_unit(interpretation, depth.kind), *warnings]


def _note_on_unit(interpretation: DepthInterpretation, kind: DepthKind) -> str:
    """Note on the unit of depth and its range, or on a kind that has no unit."""
    if kind is not DepthKind.METRIC:
        depth_range = f"{interpretation.nearest:.3g} to {interpretation.farthest:.3g}"
        return Note(f"depth is read as {kind}, which has no unit; its values are {depth_range}")
    [unit] = interpretation.unit_properties
    stated_by = OptionName("unit") if unit.origin is PropertyOrigin.GIVEN else unit.place
    return Note(Text(f"depth is {interpretation.unit_and_range} (", stated_by, ")"))


def _notes_on_assumed_camera(camera: Camera) -> list[str]:
    if camera.source is not CameraSource.ASSUMED:
        return []
    return [
        Note(
            "the camera is unknown, so its field of view is assumed",
            hint=Text("give ", AnyOf(OptionName("camera", "..."), OptionName("fov", "..."))),
        )
    ]
