"""Read depth files of other programs: raw values, metadata, and which pixels are valid.

``read_stored_depth`` is the entry, and its body lists the steps. The caller then assumes a unit and
a kind where nobody states them, places the map in its photograph (``placement.py``), and asks
``stored_depth_warnings`` whether the values look like depth.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import AnyPlane, Mask, StoredMap, Values
from rilievo.errors import InputError
from rilievo.io.depth.channels import smoothest_weights
from rilievo.io.depth.code_range import INFINITE_CODE, Spacing
from rilievo.io.depth.depth_metadata import (
    ARRAY_NAME,
    GIVEN_BY_USER,
    DepthMetadata,
    add_folder_records,
    read_depth_metadata,
)
from rilievo.io.depth.encoding import NumberEncoding, equals_any
from rilievo.io.depth.interpretation import describe_unit
from rilievo.io.depth.masks import MarkedPixels, read_marked_pixels
from rilievo.io.depth.plausibility import plausibility_warnings
from rilievo.io.depth.roughness import is_much_smoother
from rilievo.io.depth.value_ranges import (
    check_logarithmic_range,
    drop_statistics,
    float_range_warning,
    spacing_warning,
    statistic_warning,
)
from rilievo.io.files.names import printable
from rilievo.io.numbers import read_numbers

_MIN_INTEGER_UNIT = 0.3  # [m]; integers in a larger unit would hold hardly any depth of a scene
_GUESSED_INTEGER_UNIT = 0.001  # [m], millimetres, in which most programs write integers
_MAX_UNIT_DIFFERENCE = 2e-3  # relative, between a unit in words and the same unit as declared


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDepth:
    """Raw values of a depth file, and how they are converted to depth.

    Attributes:
        raw_values: Values as they stand in the file, reduced to the channels and bits that hold
            depth.
        metadata: How they are converted, by the file and by the user.
        valid: Pixels with depth according to a mask or alpha in the file and to the user's invalid
            values; None if all are valid.
        has_noisy_channels: Whether the declared weights of the channels give noise. A warning in
            the metadata says so.
    """

    raw_values: StoredMap
    metadata: DepthMetadata
    valid: Mask | None = None
    has_noisy_channels: bool = False

    @property
    def values(self) -> AnyPlane:
        """Decoded depth, NaN where invalid.

        If the file does not state how its values are converted, they stay as they are. Integers
        then hold 0 where they are invalid.
        """
        values = decode_depth(self.raw_values, self.metadata)
        return values if self.valid is None else _erase_pixels(values, ~self.valid)

    @property
    def guessed_unit(self) -> float:
        """Metres per value if nothing states the unit: integers are millimetres, floats metres."""
        return _GUESSED_INTEGER_UNIT if self.raw_values.dtype.kind in "ui" else 1.0

    @property
    def known_pixels(self) -> Mask:
        """Pixels that neither the file nor the user marks as without depth."""
        has_depth = ~equals_any(self.raw_values, self.metadata.invalid)
        return has_depth if self.valid is None else has_depth & self.valid


def read_stored_depth(
    path: Path,
    *,
    array: str | None = None,
    encoding: NumberEncoding | None = None,
    is_scale_given: bool = False,
    is_offset_given: bool = False,
    reads_folder_records: bool = False,
    notes_confidence: bool = True,
) -> StoredDepth:
    """Read a depth file: its raw values, its metadata, and the pixels that it marks as invalid.

    Args:
        path: File that ``read_numbers`` can read.
        array: Array of npz or channel of EXR.
        encoding: What the user declares. Its channels and bits are extracted from the values, its
            scale is used if the file states none, and its invalid values are added to the file's.
        is_scale_given: Whether the user gives the scale elsewhere than in the encoding.
        is_offset_given: Whether the user gives an offset there, too.
        reads_folder_records: Whether to also look for rilievo's records that are not named after
            the file (``add_folder_records``).
        notes_confidence: Whether to note a confidence in the file that is not applied.

    Raises:
        InputError: If the file is broken, or its metadata is impossible or ambiguous.
    """
    encoding = NumberEncoding() if encoding is None else encoding
    has_scale = is_scale_given or encoding.scale is not None
    has_offset = is_offset_given or encoding.scale is not None
    display_name = printable(path)

    # 1. What the file and the files beside it state, and the array that they or the user name.
    array = encoding.array if array is None else array
    content = _read_content(path, array, reads_folder_records=reads_folder_records)

    # 2. The channels and bits that hold depth.
    raw_values = encoding.unpack(content.pixels, display_name)
    channel_warning = _channel_warning(content.pixels, encoding)

    # 3. The pixels without depth.
    marked = _find_valid_pixels(
        path, content, encoding, raw_values.shape, notes_confidence=notes_confidence
    )
    metadata = content.metadata
    if encoding.bits is not None:
        # The file's invalid values are whole values, which _find_valid_pixels has just used. They
        # must not be compared with the extracted bits.
        metadata = replace(metadata, invalid=())

    # 4. Unit and range: what the user gives takes precedence over an ambiguous statement.
    metadata = _drop_overruled_unit(raw_values, metadata, is_scale_given=has_scale)
    warnings = [*metadata.warnings, *marked.notes, *filter(None, [channel_warning])]
    if encoding.scale is None:
        warnings += metadata.unread_warnings
    metadata, warnings = _resolve_range(
        raw_values, metadata, warnings, path, is_scale_given=has_scale, is_offset_given=has_offset
    )

    # 5. Scale, offset and invalid values of the user.
    if not metadata.is_decodable and (encoding.offset or is_offset_given):
        warnings += filter(None, [_zero_warning(raw_values, encoding)])
    _require_scale_beside_offset(raw_values, metadata, encoding, display_name)
    metadata = _apply_encoding(metadata, encoding, path)

    warnings += filter(None, [statistic_warning(raw_values, metadata)])
    warnings += [warning for warning in metadata.warnings if warning not in warnings]
    return StoredDepth(
        raw_values=raw_values,
        metadata=replace(metadata, warnings=tuple(warnings)),
        valid=marked.valid,
        has_noisy_channels=channel_warning in warnings,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _FileContent:
    """Pixels and metadata of a depth file, and the name of the array that holds its depth."""

    pixels: np.ndarray
    array: str | None
    metadata: DepthMetadata


def _read_content(path: Path, array: str | None, *, reads_folder_records: bool) -> _FileContent:
    """Read a file's metadata, and then the pixels of the array that it or the user names."""
    metadata = read_depth_metadata(path, array)
    if reads_folder_records:
        metadata = add_folder_records(metadata, path)
    array = metadata.array if array is None else array
    pixels = read_numbers(path, name=array)
    if reads_folder_records and metadata.origin is not None:
        metadata = replace(metadata, origin=metadata.origin.checked_against_file(path, pixels))
    return _FileContent(pixels=pixels, array=array, metadata=metadata)


def _find_valid_pixels(
    path: Path,
    content: _FileContent,
    encoding: NumberEncoding,
    size: tuple[int, ...],
    *,
    notes_confidence: bool,
) -> MarkedPixels:
    """Find the pixels with depth by the file's masks, and by invalid values beside the depth bits.

    ``size`` is (height, width) of the depth.
    """
    marked = MarkedPixels()
    if content.metadata.origin is None:  # Files of rilievo need no mask; they hold NaN instead.
        marked = read_marked_pixels(
            path,
            content.array,
            size,
            content.pixels,
            encoding.channels,
            notes_confidence=notes_confidence,
        )
    is_invalid = encoding.find_invalid_pixels(
        content.pixels, printable(path), content.metadata.invalid
    )
    return replace(marked, valid=_exclude_pixels(marked.valid, is_invalid))


def stored_depth_from_array(array: np.ndarray, encoding: NumberEncoding, name: str) -> StoredDepth:
    """Take an array in memory for stored depth.

    The mask of a ``numpy.ma.MaskedArray`` marks invalid pixels. ``name`` is used in messages.

    Raises:
        InputError: If the array and the encoding do not fit.
    """
    if encoding.array is not None:
        raise InputError(
            "the file has a single array, so 'array' has nothing to choose; leave it out", path=name
        )
    pixels = np.ma.getdata(array)
    if pixels.dtype.kind == "b":
        raise InputError(
            "the array is boolean; expected numbers of the shape (height, width)", path=name
        )

    raw_values = encoding.unpack(pixels, name)
    _require_scale_beside_offset(raw_values, DepthMetadata(), encoding, name)
    metadata = _apply_encoding(DepthMetadata(), encoding, Path(name))
    zero_warning = _zero_warning(raw_values, encoding) if encoding.offset else None
    channel_warning = _channel_warning(pixels, encoding)
    warnings = filter(None, [channel_warning, zero_warning])

    is_masked = isinstance(array, np.ma.MaskedArray) and array.ndim == 2
    valid = ~np.ma.getmaskarray(array) if is_masked else None
    return StoredDepth(
        raw_values=raw_values,
        metadata=replace(metadata, warnings=tuple(warnings)),
        valid=_exclude_pixels(valid, encoding.find_invalid_pixels(pixels, name)),
        has_noisy_channels=channel_warning is not None,
    )


def stored_depth_warnings(
    depth: StoredDepth,
    metres: Values | None,
    *,
    unit: float | None = None,
    invalid: Sequence[float] | None = None,
    max_depth: float | None = None,
    is_unit_given: bool = False,
    are_marks_stated: bool = False,
) -> tuple[str, ...]:
    """Return warnings about a file's metadata, and about values that hardly look like depth.

    ``metres`` is the valid depth [m], or None if it is not metric. ``unit`` and ``invalid`` add to
    what the file states. By default, ``invalid`` is what means "no depth" if nothing says so, and
    ``are_marks_stated`` says that the user has stated it.
    """
    metadata = depth.metadata
    if depth.has_noisy_channels:
        return metadata.warnings  # The other checks would misread noise.
    are_codes = metadata.code_range is not None
    is_scaled_only = metadata.scale is not None and metadata.offset == 0
    if metadata.kind is not None and not is_scaled_only and not are_codes:
        return metadata.warnings  # Something else than metres in a known unit.

    raw_values = depth.raw_values
    all_invalid = [*(metadata.default_invalid if invalid is None else invalid), *metadata.invalid]
    if metadata.stores_logarithms:
        all_invalid.append(INFINITE_CODE)
    if depth.valid is not None:
        raw_values = np.where(depth.valid, raw_values, 0).astype(raw_values.dtype)
        all_invalid.append(0.0)
    warnings = plausibility_warnings(
        raw_values,
        metres,
        invalid=all_invalid,
        unit=metadata.scale if metadata.is_decodable else unit,
        are_codes=are_codes,
        max_depth=max_depth,
        is_unit_given=is_unit_given or metadata.is_given_by_user,
        is_unit_guessed=not is_unit_given and not metadata.is_decodable,
        are_marks_stated=are_marks_stated,
    )
    conflict = _unit_conflict_warning(metadata, unit if is_unit_given else None)
    return (*metadata.warnings, *filter(None, [conflict]), *warnings)


def read_declared_metadata(path: Path, encoding: NumberEncoding | None) -> DepthMetadata:
    """Read only the metadata of a depth file, completed by the user's encoding if there is one.

    Raises:
        InputError: If the file is broken, or states another scale or offset than the user.
    """
    if encoding is None:
        return read_depth_metadata(path)
    return _apply_encoding(read_depth_metadata(path, encoding.array), encoding, path)


def _apply_encoding(metadata: DepthMetadata, encoding: NumberEncoding, path: Path) -> DepthMetadata:
    """Complete a file's metadata with the scale, offset and invalid values of the user.

    Raises:
        InputError: If the file states another scale or offset.
    """
    declares_conversion = encoding.scale is not None or encoding.offset != 0
    if declares_conversion and metadata.is_decodable:
        _check_same_conversion(metadata, encoding, path)
    elif declares_conversion:
        metadata = _with_declared_conversion(metadata, encoding)
    declared_invalid = encoding.invalid or ()
    distinct_invalid = dict.fromkeys((*metadata.invalid, *declared_invalid))
    return replace(metadata, invalid=tuple(distinct_invalid))


def _check_same_conversion(metadata: DepthMetadata, encoding: NumberEncoding, path: Path) -> None:
    """Check that the user declares the scale and the offset that the file states."""
    if (encoding.scale, encoding.offset) != (metadata.scale, metadata.offset):
        raise InputError(
            f"the file says how to convert its values to depth ({metadata.source}), but the "
            "encoding declares another 'scale' or 'offset'; leave them out",
            path=printable(path),
        )


def _with_declared_conversion(metadata: DepthMetadata, encoding: NumberEncoding) -> DepthMetadata:
    """Add the user's scale and offset to a file's metadata, which states none.

    Zero then means "no depth", unless the user declares an empty list of invalid values.
    """
    zero_is_depth = encoding.invalid == ()
    return replace(
        metadata,
        scale=1.0 if encoding.scale is None else encoding.scale,
        offset=encoding.offset,
        invalid=metadata.invalid if zero_is_depth else (*metadata.invalid, 0.0),
        source=metadata.source or GIVEN_BY_USER,
    )


def decode_depth(raw_values: StoredMap, metadata: DepthMetadata) -> AnyPlane:
    """Convert raw values to depth by their metadata, NaN where invalid.

    Values stay as they are if the metadata does not say how to convert them.
    """
    is_invalid = equals_any(raw_values, metadata.invalid)
    if not metadata.is_decodable:
        return _erase_pixels(raw_values, is_invalid) if metadata.invalid else raw_values

    unit = 1.0 if metadata.scale is None else metadata.scale
    with np.errstate(invalid="ignore"):  # A damaged file may hold signalling NaNs.
        if metadata.code_range is None:
            depth = raw_values.astype(np.float64) * unit + metadata.offset
        else:
            depth = metadata.code_range.decode(raw_values, unit)
    return np.where(is_invalid, np.nan, depth)


def _resolve_range(
    raw_values: StoredMap,
    metadata: DepthMetadata,
    warnings: list[str],
    path: Path,
    *,
    is_scale_given: bool,
    is_offset_given: bool,
) -> tuple[DepthMetadata, list[str]]:
    """Keep the range that a file states only if its values are codes between the two ends.

    1. A range of floats, and one that only describes the integers, is dropped.
    2. The user's scale replaces a statement that cannot be used. Without a scale, it is an error.
    3. The user's scale replaces a range of MoGe's if the codes do not fill it.

    Returns:
        The metadata and all warnings.
    """
    warnings = [*warnings]
    if raw_values.dtype.kind in "ui":
        metadata = drop_statistics(raw_values, metadata)
    else:
        range_warning = float_range_warning(
            raw_values, metadata, path, is_unit_given=is_scale_given
        )
        warnings += filter(None, [range_warning])
        metadata = _without_range(metadata)

    if metadata.unusable_reason is not None:
        if not is_scale_given:
            raise InputError(metadata.unusable_reason, path=printable(path))
        if not is_offset_given:
            warnings.append(f"rilievo uses only the given scale: {metadata.unusable_reason}")
        metadata = _without_encoding(metadata)

    metadata = check_logarithmic_range(raw_values, metadata, path)
    does_not_fill_range = metadata.stores_logarithms and bool(metadata.warnings)
    if does_not_fill_range and is_scale_given:
        # The user's scale decides, so warnings about the range no longer matter.
        warnings = [] if is_offset_given else [*metadata.warnings]
        return _without_encoding(metadata), warnings
    warnings += filter(None, [spacing_warning(raw_values, metadata)])
    return metadata, warnings


def _without_range(metadata: DepthMetadata) -> DepthMetadata:
    """Drop a range stated for floats, which is a statistic of them or a camera's clipping range.

    Floats need no codes, so a near and far without spacing is no reason to refuse the file.
    """
    is_clip_range = metadata.near_and_far is not None
    return replace(
        metadata,
        unusable_reason=None if is_clip_range else metadata.unusable_reason,
        code_range=None,
    )


def _without_encoding(metadata: DepthMetadata) -> DepthMetadata:
    """Drop everything that the user's own scale replaces."""
    return DepthMetadata(
        array=metadata.array,
        camera=metadata.camera,
        origin=metadata.origin,
        invalid=metadata.invalid,
    )


def _drop_overruled_unit(
    raw_values: StoredMap, metadata: DepthMetadata, *, is_scale_given: bool
) -> DepthMetadata:
    """Drop a unit that only an array name or a sentence states, if something else overrules it.

    What the user declares takes precedence over names and sentences. A sentence such as "depth in
    metres" is not believed for integers, which would resolve no scene: it most likely describes the
    depth after conversion.
    """
    is_stated_by_sentence = bool(metadata.unit_text) and metadata.spacing is not Spacing.LINEAR
    if is_scale_given and is_stated_by_sentence:
        return replace(metadata, scale=None, source="")
    if is_scale_given and metadata.source == ARRAY_NAME:
        return replace(metadata, scale=None)
    if not is_stated_by_sentence:
        return metadata

    unit = metadata.unit_text_metres
    is_integer = raw_values.dtype.kind in "ui"
    if unit is None or not is_integer or unit < _MIN_INTEGER_UNIT:
        return metadata
    warning = (
        f"{metadata.source}, but its values are integers, which are unlikely to be in this unit: "
        "set 'scale' to the metres per stored value"
    )
    return replace(
        metadata,
        scale=None,
        source="",
        unit_text="",
        unit_text_metres=None,
        warnings=(*metadata.warnings, warning),
    )


def _require_scale_beside_offset(
    raw_values: StoredMap, metadata: DepthMetadata, encoding: NumberEncoding, display_name: object
) -> None:
    """Raise ``InputError`` if integers have an offset [m] but no scale."""
    has_scale = encoding.scale is not None or metadata.is_decodable
    if encoding.offset and not has_scale and raw_values.dtype.kind in "ui":
        raise InputError(
            "the array has integers, so 'offset' needs a 'scale' as well", path=display_name
        )


def _exclude_pixels(valid: Mask | None, is_invalid: Mask | None) -> Mask | None:
    """Remove invalid pixels from a valid mask; None means all valid, or none invalid."""
    if is_invalid is None:
        return valid
    return ~is_invalid if valid is None else valid & ~is_invalid


def _erase_pixels(values: AnyPlane, is_invalid: Mask) -> AnyPlane:
    """Return a copy with NaN at invalid pixels, or 0 if the values are integers."""
    values = values.copy()
    values[is_invalid] = 0 if values.dtype.kind in "ui" else np.nan
    return values


def _zero_warning(raw_values: StoredMap, encoding: NumberEncoding) -> str | None:
    """Warn if zeros are treated as "no depth", although the offset could make depth of them."""
    zero_fraction = float(np.mean(raw_values == 0))
    if not encoding.invalid or 0 in encoding.invalid or not zero_fraction:
        return None
    return (
        f"{zero_fraction:.1%} of the pixels are 0, which means no depth even with an offset, "
        "although 'invalid' does not list it: if 0 is depth, set 'invalid: []' and leave out the "
        "other invalid values with 'max_depth'"
    )


def _channel_warning(pixels: np.ndarray, encoding: NumberEncoding) -> str | None:
    """Warn if the declared channel weights give noise, and other weights give smooth surfaces."""
    weights = encoding.channels
    if weights is None or pixels.ndim != 3 or np.count_nonzero(weights) < 2:
        return None
    better_weights = smoothest_weights(pixels)
    if better_weights is None:
        return None
    better_encoding = NumberEncoding(channels=tuple(map(float, better_weights)))
    if not is_much_smoother(encoding.unpack(pixels, ""), better_encoding.unpack(pixels, "")):
        return None
    return (
        "its channels look like noise with the declared weights, but like surfaces with 'channels: "
        f"[{', '.join(map(str, better_weights))}]': check the weights"
    )


def _unit_conflict_warning(metadata: DepthMetadata, given_unit: float | None) -> str | None:
    """Warn if a text in the file names another unit than the user gives.

    ``given_unit`` is the one that the user gives elsewhere than in the encoding [m].
    """
    if metadata.is_given_by_user:
        given_unit = metadata.scale
    stated_unit = metadata.unit_text_metres
    if stated_unit is None or given_unit is None:
        return None
    if math.isclose(stated_unit, given_unit, rel_tol=_MAX_UNIT_DIFFERENCE):
        return None
    return (
        f"it says '{metadata.unit_text}', which means {describe_unit(stated_unit)}, but the "
        f"declared unit is {describe_unit(given_unit)}: check which of the two is right"
    )
