"""Depth as files of other programs store it: numbers, and what is said about them.

``read_stored_depth`` is the entry. It reads the numbers, finds what the file states about them,
leaves out pixels that are marked as invalid, decides between the statement and the user's encoding,
and collects warnings. ``stored_depth_warnings`` then asks whether the numbers look like depth.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import AnyPlane, Mask, Shaped, Values
from rilievo.errors import InputError
from rilievo.io.depth.channels import smoothest_weights
from rilievo.io.depth.encoding import NumberEncoding, equals_any
from rilievo.io.depth.interpretation import unit_words
from rilievo.io.depth.masks import MarkedPixels, read_marked_pixels
from rilievo.io.depth.plausibility import plausibility_warnings
from rilievo.io.depth.roughness import is_much_smoother
from rilievo.io.depth.stated_ranges import (
    check_logarithmic_range,
    drop_statistics,
    float_range_warnings,
    spacing_warnings,
    statistic_warnings,
)
from rilievo.io.depth.statements import (
    ARRAY_NAME,
    DECLARED,
    INFINITE_CODE,
    LOGARITHM_STEPS,
    DepthStatement,
    add_distant_record,
    read_depth_statement,
)
from rilievo.io.files.names import printable
from rilievo.io.numbers import read_numbers

_MIN_INTEGER_UNIT = 0.3  # [m]; integers in a larger unit would hold hardly any depth of a scene
_MAX_UNIT_DIFFERENCE = 2e-3  # relative, between a unit in words and the same unit as declared
_NOISY_CHANNELS = "its channels are noise"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDepth:
    """Numbers of a depth file, and what the file and the user say about them.

    Attributes:
        stored: Numbers as they stand in the file, or the channels and bits of them that hold depth.
        statement: How they become depth.
        valid: Pixels with depth, by a mask or alpha of the file, and by whole numbers that the user
            declares to be invalid; None for all.
    """

    stored: Shaped[np.ndarray, "h w"]
    statement: DepthStatement
    valid: Mask | None = None

    @property
    def values(self) -> AnyPlane:
        """Depth as the file states it, NaN where invalid.

        If the file does not state how its numbers become depth, they stay as they are. Integers
        then hold 0 where they are invalid.
        """
        values = decode_numbers(self.stored, self.statement)
        return values if self.valid is None else _erase_pixels(values, ~self.valid)

    @property
    def known(self) -> Mask:
        """Pixels that neither the file nor the user marks as without depth."""
        known = ~equals_any(self.stored, self.statement.invalid)
        return known if self.valid is None else known & self.valid


def read_stored_depth(
    path: Path,
    *,
    array: str | None = None,
    encoding: NumberEncoding | None = None,
    is_scaled: bool = False,
    is_shifted: bool = False,
    searches_records: bool = False,
    names_confidence: bool = True,
) -> StoredDepth:
    """Read the numbers of a depth file, and what it states about them.

    Args:
        path: File of ``read_numbers``.
        array: Array of npz or channel of EXR.
        encoding: What the user declares. Its channels and bits are taken out of the numbers, its
            scale becomes the statement, and its invalid numbers join those that the file states.
        is_scaled: Whether the caller knows the scale, which goes before an unclear range.
        is_shifted: Whether the caller knows an offset too.
        searches_records: Whether to look for rilievo's records of clips, of evaluations, of labels
            and of files under other names, too.
        names_confidence: Whether to name a confidence in the file that is not applied.

    Raises:
        InputError: If the file is broken, or states what is impossible or unclear.
    """
    encoding = NumberEncoding() if encoding is None else encoding
    has_scale = is_scaled or encoding.scale is not None
    has_offset = is_shifted or encoding.scale is not None
    shown = printable(path)

    array = encoding.array if array is None else array
    content = _read_content(path, array, searches_records=searches_records)
    numbers, statement = content.numbers, content.statement
    stored = encoding.unpack(numbers, shown)

    is_invalid = encoding.find_invalid_whole_numbers(numbers, shown, statement.invalid)
    if encoding.bits is not None:
        statement = replace(statement, invalid=())  # They are whole numbers, not those of the bits.
    marked = MarkedPixels()
    if statement.origin is None:  # What rilievo saved has NaN where its mask is false.
        marked = read_marked_pixels(
            path,
            content.array,
            stored.shape,
            numbers,
            encoding.channels,
            names_confidence=names_confidence,
        )

    statement = _drop_overruled_unit(stored, statement, has_scale=has_scale)
    warnings = [*statement.warnings, *marked.notes, *_channel_warnings(numbers, encoding)]
    if encoding.scale is None:
        warnings += statement.unread_warnings
    statement, warnings = _settle_ranges(
        stored, statement, warnings, path, has_scale=has_scale, has_offset=has_offset
    )
    if not statement.is_decodable and (encoding.offset or is_shifted):
        warnings += _zero_warnings(stored, encoding)

    _require_scale_beside_offset(stored, statement, encoding, shown)
    statement = apply_encoding(statement, encoding, path)
    warnings += statistic_warnings(stored, statement)
    warnings += [warning for warning in statement.warnings if warning not in warnings]
    return StoredDepth(
        stored=stored,
        statement=replace(statement, warnings=tuple(warnings)),
        valid=_exclude_pixels(marked.valid, is_invalid),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _FileContent:
    """Numbers of a file, with their channels, and what it states about them.

    Attributes:
        numbers: All numbers.
        array: Array of npz or channel of EXR that holds them; None if there is only one.
        statement: What the file or a file beside it states.
    """

    numbers: np.ndarray
    array: str | None
    statement: DepthStatement


def _read_content(path: Path, array: str | None, *, searches_records: bool) -> _FileContent:
    """Read a file's statement, and then the numbers of the array that it or the user names."""
    statement = read_depth_statement(path, array)
    if searches_records:
        statement = add_distant_record(statement, path)
    array = statement.array if array is None else array
    numbers = read_numbers(path, name=array)
    if searches_records and statement.origin is not None:
        statement = replace(statement, origin=statement.origin.of_file(path, numbers))
    return _FileContent(numbers=numbers, array=array, statement=statement)


def stored_depth_from_array(array: np.ndarray, encoding: NumberEncoding, name: str) -> StoredDepth:
    """Take an array as stored depth, as the user declares its numbers.

    Args:
        array: Numbers, with channels if the encoding combines them. A mask of ``numpy.ma`` counts.
        encoding: What the user declares.
        name: Name of the array in messages.

    Raises:
        InputError: If the array and the encoding do not fit.
    """
    if encoding.array is not None:
        raise InputError("is one array, so 'array' has nothing to choose; leave it out", path=name)
    numbers = np.ma.getdata(array)
    if numbers.dtype.kind == "b":
        raise InputError("holds true and false, expected numbers (height, width)", path=name)

    stored = encoding.unpack(numbers, name)
    _require_scale_beside_offset(stored, DepthStatement(), encoding, name)
    statement = apply_encoding(DepthStatement(), encoding, Path(name))
    warnings = [*_channel_warnings(numbers, encoding)]
    if encoding.offset:
        warnings += _zero_warnings(stored, encoding)

    is_masked = isinstance(array, np.ma.MaskedArray) and array.ndim == 2
    valid = ~np.ma.getmaskarray(array) if is_masked else None
    return StoredDepth(
        stored=stored,
        statement=replace(statement, warnings=tuple(warnings)),
        valid=_exclude_pixels(valid, encoding.find_invalid_whole_numbers(numbers, name)),
    )


def stored_depth_warnings(
    depth: StoredDepth,
    metres: Values | None,
    *,
    unit: float | None = None,
    invalid: Sequence[float] = (),
    max_depth: float | None = None,
    is_unit_declared: bool = False,
) -> tuple[str, ...]:
    """Warnings about the statement of a depth file, and about numbers that hardly look like depth.

    Args:
        depth: Numbers, and what the file states about them.
        metres: Valid depth [m]; None if it is not in metres.
        unit: Metres of one number, if the file does not state it.
        invalid: Further numbers that hold no depth.
        max_depth: Largest valid depth that is declared [m].
        is_unit_declared: Whether the user declares the unit.
    """
    statement = depth.statement
    if any(warning.startswith(_NOISY_CHANNELS) for warning in statement.warnings):
        return statement.warnings  # Noise looks like everything.
    has_factor = statement.scale is not None and statement.offset == 0
    if statement.kind is not None and not has_factor and not statement.has_range:
        return statement.warnings

    stored = depth.stored
    invalid = [*invalid, *statement.invalid]
    if statement.logarithmic_range is not None:
        invalid.append(INFINITE_CODE)
    if depth.valid is not None:
        stored = np.where(depth.valid, stored, 0).astype(stored.dtype)
        invalid.append(0.0)
    warnings = plausibility_warnings(
        stored,
        metres,
        invalid=invalid,
        unit=statement.scale if statement.is_decodable else unit,
        are_codes=statement.has_range,
        max_depth=max_depth,
        is_unit_declared=is_unit_declared or statement.source == DECLARED,
        is_unit_guessed=not is_unit_declared and not statement.is_decodable,
    )
    other_unit = _other_unit_warnings(statement, unit, is_unit_declared=is_unit_declared)
    return (*statement.warnings, *other_unit, *warnings)


def apply_encoding(
    statement: DepthStatement, encoding: NumberEncoding | None, path: Path
) -> DepthStatement:
    """Complete a file's statement with the scale, offset and invalid numbers of the user.

    Raises:
        InputError: If the file states another scale or offset.
    """
    if encoding is None:
        return statement
    if encoding.scale is not None or encoding.offset:
        is_same = (encoding.scale, encoding.offset) == (statement.scale, statement.offset)
        if statement.is_decodable and not is_same:
            raise InputError(
                f"states how its numbers become depth ({statement.source}), and the encoding "
                "declares another 'scale' or 'offset'; leave them out",
                path=printable(path),
            )
        if not statement.is_decodable:
            zero_is_depth = encoding.invalid == ()
            statement = replace(
                statement,
                scale=1.0 if encoding.scale is None else encoding.scale,
                offset=encoding.offset,
                invalid=statement.invalid if zero_is_depth else (*statement.invalid, 0.0),
                source=statement.source or DECLARED,
            )
    invalid = dict.fromkeys((*statement.invalid, *(encoding.invalid or ())))
    return replace(statement, invalid=tuple(invalid))


def decode_numbers(stored: Shaped[np.ndarray, "h w"], statement: DepthStatement) -> AnyPlane:
    """Convert numbers to depth as a statement says, NaN where invalid.

    Numbers of which it does not say how they become depth stay as they are.
    """
    is_invalid = equals_any(stored, statement.invalid)
    if not statement.is_decodable:
        return _erase_pixels(stored, is_invalid) if statement.invalid else stored

    unit = 1.0 if statement.scale is None else statement.scale
    numbers = stored.astype(np.float64)
    if statement.logarithmic_range is not None:
        near, far = statement.logarithmic_range
        fraction = (numbers - 1) / LOGARITHM_STEPS
        values = unit * near ** (1 - fraction) * far**fraction
        values = np.where(stored == INFINITE_CODE, np.inf, values)
    elif statement.inverse_range is not None:
        near, far = statement.inverse_range
        fraction = numbers / np.iinfo(stored.dtype).max
        values = unit / ((1 - fraction) / near + fraction / far)
    elif statement.linear_range is not None:
        low, high = statement.linear_range
        step = (high - low) / np.iinfo(stored.dtype).max
        values = unit * (low + numbers * step)
    else:
        values = numbers * unit + statement.offset
    return np.where(is_invalid, np.nan, values)


def _settle_ranges(
    stored: Shaped[np.ndarray, "h w"],
    statement: DepthStatement,
    warnings: list[str],
    path: Path,
    *,
    has_scale: bool,
    has_offset: bool,
) -> tuple[DepthStatement, list[str]]:
    """Keep the range that a file states only if its numbers are codes between the two ends.

    Args:
        stored: Numbers of the file.
        statement: What the file states.
        warnings: Warnings so far.
        path: Name of the file in messages.
        has_scale: Whether the user gives the scale, which goes before an unclear range.
        has_offset: Whether the user gives an offset, too.

    Returns:
        The statement and all warnings.

    Raises:
        InputError: If nothing says how the numbers lie in the range.
    """
    warnings = [*warnings]
    if stored.dtype.kind in "ui":
        statement = drop_statistics(stored, statement)
    else:
        warnings += float_range_warnings(stored, statement, path, is_by_user=has_scale)
        statement = _without_range(statement)

    if statement.unusable_reason is not None:
        if not has_scale:
            raise InputError(statement.unusable_reason, path=printable(path))
        if not has_offset:
            warnings.append(f"{statement.unusable_reason}; only the scale that is given is used")
        statement = _without_encoding(statement)

    statement = check_logarithmic_range(stored, statement, path)
    warnings += spacing_warnings(stored, statement)
    is_doubtful = statement.logarithmic_range is not None and bool(statement.warnings)
    if is_doubtful and has_scale:
        warnings = [] if has_offset else [*statement.warnings]
        statement = _without_encoding(statement)
    return statement, warnings


def _without_range(statement: DepthStatement) -> DepthStatement:
    """Drop a range beside floats, which is a statistic of them or belongs to the camera."""
    is_clip_range = statement.near_and_far is not None
    return replace(
        statement,
        unusable_reason=None if is_clip_range else statement.unusable_reason,
        linear_range=None,
        logarithmic_range=None,
        inverse_range=None,
    )


def _without_encoding(statement: DepthStatement) -> DepthStatement:
    """What remains of a statement if the user says how its numbers become depth."""
    return DepthStatement(
        array=statement.array,
        camera=statement.camera,
        origin=statement.origin,
        invalid=statement.invalid,
    )


def _drop_overruled_unit(
    stored: Shaped[np.ndarray, "h w"], statement: DepthStatement, *, has_scale: bool
) -> DepthStatement:
    """Drop a unit that is stated by a name or a sentence only, if something else overrules it.

    What the user declares goes before names and sentences. Integers are hardly metres: a sentence
    such as "depth in metres" then speaks of what the numbers become.
    """
    if has_scale and statement.source == ARRAY_NAME:
        statement = replace(statement, scale=None)
    if not statement.unit_sentence or statement.linear_range is not None:
        return statement
    if has_scale:
        return replace(statement, scale=None, source="")

    unit = statement.sentence_unit
    is_integer = stored.dtype.kind in "ui"
    if unit is None or not is_integer or unit < _MIN_INTEGER_UNIT:
        return statement
    warning = (
        f"{statement.source}, but its numbers are whole, and hardly of this unit: say 'scale', the "
        "metres of one number"
    )
    return replace(
        statement,
        scale=None,
        source="",
        unit_sentence="",
        sentence_unit=None,
        warnings=(*statement.warnings, warning),
    )


def _require_scale_beside_offset(
    stored: Shaped[np.ndarray, "h w"],
    statement: DepthStatement,
    encoding: NumberEncoding,
    shown: object,
) -> None:
    """Raise ``InputError`` for integers with an offset [m] and without a scale."""
    has_scale = encoding.scale is not None or statement.is_decodable
    if encoding.offset and not has_scale and stored.dtype.kind in "ui":
        raise InputError(
            "holds whole numbers, whose 'scale' has to stand beside 'offset'", path=shown
        )


def _exclude_pixels(valid: Mask | None, is_invalid: Mask | None) -> Mask | None:
    """Valid pixels (None for all) without those of a mask (None for no pixels)."""
    if is_invalid is None:
        return valid
    return ~is_invalid if valid is None else valid & ~is_invalid


def _erase_pixels(values: AnyPlane, is_invalid: Mask) -> AnyPlane:
    """Copy with NaN at invalid pixels, or 0 if the numbers are integers."""
    values = values.copy()
    values[is_invalid] = 0 if values.dtype.kind in "ui" else np.nan
    return values


def _zero_warnings(stored: Shaped[np.ndarray, "h w"], encoding: NumberEncoding) -> Iterator[str]:
    """Warn if zeros are taken for no depth, although an offset makes depth of them."""
    if not encoding.invalid or 0 in encoding.invalid:
        return
    zeros = float(np.mean(stored == 0))
    if zeros:
        yield (
            f"{zeros:.1%} of the pixels hold 0, which is no depth beside an offset either, "
            "although 'invalid' does not name it: if it is depth, say 'invalid: []' and leave out "
            "the rest by 'max_depth'"
        )


def _channel_warnings(numbers: np.ndarray, encoding: NumberEncoding) -> Iterator[str]:
    """Warn if channels are combined to noise, and show surfaces with other weights."""
    weights = encoding.channels
    if weights is None or numbers.ndim != 3 or np.count_nonzero(weights) < 2:
        return
    better_weights = smoothest_weights(numbers)
    if better_weights is None:
        return
    better_encoding = NumberEncoding(channels=tuple(map(float, better_weights)))
    if is_much_smoother(encoding.unpack(numbers, ""), better_encoding.unpack(numbers, "")):
        yield (
            f"{_NOISY_CHANNELS} with the weights that are declared, and surfaces with "
            f"'channels: [{', '.join(map(str, better_weights))}]': are these meant?"
        )


def _other_unit_warnings(
    statement: DepthStatement, unit: float | None, *, is_unit_declared: bool
) -> Iterator[str]:
    """Warn if a sentence in the file names another unit than the user declares."""
    is_in_encoding = statement.source == DECLARED
    declared = statement.scale if is_in_encoding else unit
    stated = statement.sentence_unit
    if stated is None or declared is None or not (is_unit_declared or is_in_encoding):
        return
    if not math.isclose(stated, declared, rel_tol=_MAX_UNIT_DIFFERENCE):
        yield (
            f"it says '{statement.unit_sentence}', which is {unit_words(stated)}, and "
            f"{unit_words(declared)} are declared"
        )
