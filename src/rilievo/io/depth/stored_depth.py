"""Numbers of depth in other programs' files: what they mean, by statement or guess."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import AnyPlane, Mask, Shaped, Values
from rilievo.errors import InputError
from rilievo.io.depth.encoding import (
    NumberEncoding,
    equals_any,
    is_much_smoother,
    smoothest_weights,
)
from rilievo.io.depth.interpretation import unit_words
from rilievo.io.depth.masks import MarkedPixels, read_marked_pixels
from rilievo.io.depth.plausibility import plausibility_warnings
from rilievo.io.depth.stated_ranges import (
    check_range_of_floats,
    checked_logarithm,
    doubts_about_range,
    doubts_about_shape,
    without_statistics,
)
from rilievo.io.depth.statements import (
    ARRAY_NAME,
    DECLARED,
    INFINITE_CODE,
    LOGARITHM_STEPS,
    DepthStatement,
    read_depth_statement,
    with_distant_record,
)
from rilievo.io.files.names import printable
from rilievo.io.numbers import read_numbers

# Least unit of which whole numbers are hardly depth [m].
_LEAST_WHOLE_UNIT = 0.3
# Largest relative difference of a unit in words and of the same unit that is declared.
_SAME_UNIT = 2e-3
_NOISY_CHANNELS = "its channels are noise"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDepth:
    """Numbers of a file, and what it states.

    Attributes:
        valid: Pixels that hold depth by a mask or alpha of the file, and by whole numbers that the
            user declares to be invalid; None for all.
    """

    stored: Shaped[np.ndarray, "h w"]
    statement: DepthStatement
    valid: Mask | None = None

    @property
    def values(self) -> AnyPlane:
        """Numbers as the file means them, NaN where invalid; 0 in uncoded whole numbers."""
        values = decode_numbers(self.stored, self.statement)
        return values if self.valid is None else _without_numbers(values, ~self.valid)

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
    """Read a depth map with the facts that it states.

    Args:
        path: File of ``read_numbers``.
        array: Array of npz or channel of EXR.
        encoding: What the user declares: channels and bits are taken out of the numbers, a scale
            becomes the statement, and further invalid numbers join those that the file states.
        is_scaled: Whether the caller knows the scale, which goes before an unclear range.
        is_shifted: Whether the caller knows an offset too.
        searches_records: Whether rilievo's records of clips, of evaluations, of labels and of files
            under other names are looked for too.
        names_confidence: Whether a confidence in the file that is not applied is named.

    Raises:
        InputError: If the file is broken, or states what is impossible or unclear.
    """
    declared = NumberEncoding() if encoding is None else encoding
    if array is None:
        array = declared.array
    statement = read_depth_statement(path, array)
    if searches_records:
        statement = with_distant_record(statement, path)
    name = array if array is not None else statement.array
    numbers = read_numbers(path, name=name)
    if searches_records and statement.origin is not None:
        statement = replace(statement, origin=statement.origin.of_file(path, numbers))
    stored = declared.unpack(numbers, printable(path))
    has_mark = declared.has_whole_mark(numbers, printable(path), statement.invalid)
    if declared.bits is not None:
        statement = replace(statement, invalid=())
    marked = MarkedPixels()
    if statement.origin is None:  # What rilievo saved has NaN where its mask is false.
        marked = read_marked_pixels(
            path,
            name,
            stored.shape,
            numbers,
            declared.channels,
            names_confidence=names_confidence,
        )
    is_by_user = is_scaled or declared.scale is not None
    if is_by_user and statement.source == ARRAY_NAME:
        statement = replace(statement, scale=None)
    statement = _with_unit_in_words(stored, statement, is_by_user=is_by_user)
    doubts = [*statement.warnings, *marked.notes, *_doubts_about_channels(numbers, declared)]
    doubts += () if declared.scale is not None else statement.unread_warnings
    if stored.dtype.kind not in "ui":
        doubts += check_range_of_floats(stored, statement, path, is_by_user=is_by_user)
        # A range beside floating-point numbers is a statistic of them, or of the camera.
        unusable_reason = statement.unusable_reason if statement.near_and_far is None else None
        statement = replace(
            statement,
            unusable_reason=unusable_reason,
            linear_range=None,
            logarithmic_range=None,
            inverse_range=None,
        )
    else:
        statement = without_statistics(stored, statement)
    if statement.unusable_reason is not None:
        if declared.scale is None and not is_scaled:
            raise InputError(statement.unusable_reason, path=printable(path))
        if declared.scale is None and not is_shifted:
            doubts.append(f"{statement.unusable_reason}; only the scale that is given is used")
        statement = _without_coding(statement)
    statement = checked_logarithm(stored, statement, path)
    doubts += doubts_about_shape(stored, statement)
    if (
        statement.warnings
        and statement.logarithmic_range is not None
        and (declared.scale or is_scaled)
    ):
        doubts = [] if is_shifted or declared.scale is not None else [*statement.warnings]
        statement = _without_coding(statement)
    if not statement.is_decodable and (declared.offset or is_shifted):
        doubts += _doubts_about_zero(stored, declared)
    _check_offset(stored, statement, declared, printable(path))
    statement = apply_encoding(statement, declared, path)
    doubts += doubts_about_range(stored, statement)
    doubts += [doubt for doubt in statement.warnings if doubt not in doubts]
    return StoredDepth(
        stored=stored,
        statement=replace(statement, warnings=tuple(doubts)),
        valid=_without_marks(marked.valid, has_mark),
    )


def _without_coding(statement: DepthStatement) -> DepthStatement:
    """What remains of a statement if the user says how its numbers become depth."""
    return DepthStatement(
        array=statement.array,
        camera=statement.camera,
        origin=statement.origin,
        invalid=statement.invalid,
    )


def _without_marks(valid: Mask | None, has_mark: Mask | None) -> Mask | None:
    """Valid pixels without those that have a mark; None for all."""
    if has_mark is None:
        return valid
    return ~has_mark if valid is None else valid & ~has_mark


def _check_offset(
    stored: Shaped[np.ndarray, "h w"],
    statement: DepthStatement,
    declared: NumberEncoding,
    shown: object,
) -> None:
    """Raise ``InputError`` for whole numbers with an offset [m] and without a scale."""
    is_lacking = declared.offset and declared.scale is None and not statement.is_decodable
    if is_lacking and stored.dtype.kind in "ui":
        raise InputError(
            "holds whole numbers, whose 'scale' has to stand beside 'offset'", path=shown
        )


def _doubts_about_zero(
    stored: Shaped[np.ndarray, "h w"], declared: NumberEncoding
) -> Iterator[str]:
    """Yield a doubt about zeros that an offset makes depth, and that are taken for no depth."""
    if not declared.invalid or 0 in declared.invalid:
        return
    share = float(np.mean(stored == 0))
    if share:
        yield (
            f"{share:.1%} of the pixels hold 0, which is no depth beside an offset either, "
            "although 'invalid' does not name it: if it is depth, say 'invalid: []' and leave out "
            "the rest by 'max_depth'"
        )


def _with_unit_in_words(
    stored: Shaped[np.ndarray, "h w"], statement: DepthStatement, *, is_by_user: bool
) -> DepthStatement:
    """Statement without a unit that a sentence names, where it can not be that of the numbers.

    What the user declares goes before words. Whole numbers are hardly metres: a sentence such as
    "depth in metres" then speaks of what the numbers become.
    """
    if not statement.unit_sentence or statement.linear_range is not None:
        return statement
    without_unit = replace(statement, scale=None, source="")
    if is_by_user:
        return without_unit
    metres = statement.sentence_unit
    is_whole = stored.dtype.kind in "ui"
    if metres is None or not is_whole or metres < _LEAST_WHOLE_UNIT:
        return statement
    doubt = (
        f"{statement.source}, but its numbers are whole, and hardly of this unit: say 'scale', the "
        "metres of one number"
    )
    without_unit = replace(without_unit, unit_sentence="", sentence_unit=None)
    return replace(without_unit, warnings=(*statement.warnings, doubt))


def apply_encoding(
    statement: DepthStatement, declared: NumberEncoding | None, path: Path
) -> DepthStatement:
    """Statement of a file with what the user declares."""
    if declared is None:
        return statement
    if declared.scale is not None or declared.offset:
        is_same = (declared.scale, declared.offset) == (statement.scale, statement.offset)
        if statement.is_decodable and not is_same:
            raise InputError(
                f"states how its numbers become depth ({statement.source}), and the encoding "
                "declares another 'scale' or 'offset'; leave them out",
                path=printable(path),
            )
        if not statement.is_decodable:
            statement = replace(
                statement,
                scale=1.0 if declared.scale is None else declared.scale,
                offset=declared.offset,
                invalid=(*statement.invalid, *(() if declared.invalid == () else (0.0,))),
                source=statement.source or DECLARED,
            )
    invalid = tuple(dict.fromkeys((*statement.invalid, *(declared.invalid or ()))))
    return replace(statement, invalid=invalid)


def decode_numbers(stored: Shaped[np.ndarray, "h w"], statement: DepthStatement) -> AnyPlane:
    """Convert to values, NaN where invalid; uncoded numbers stay."""
    if not statement.is_decodable:
        if not statement.invalid:
            return stored
        return _without_numbers(stored, equals_any(stored, statement.invalid))
    empty = equals_any(stored, statement.invalid)
    if statement.logarithmic_range is not None:
        near, far = statement.logarithmic_range
        share = (stored.astype(np.float64) - 1) / LOGARITHM_STEPS
        unit = 1.0 if statement.scale is None else statement.scale
        values = unit * near ** (1 - share) * far**share
        values = np.where(stored == INFINITE_CODE, np.inf, values)
    elif statement.inverse_range is not None:
        near, far = statement.inverse_range
        share = stored.astype(np.float64) / np.iinfo(stored.dtype).max
        unit = 1.0 if statement.scale is None else statement.scale
        values = unit / ((1 - share) / near + share / far)
    elif statement.linear_range is not None:
        low, high = statement.linear_range
        values = low + stored.astype(np.float64) * ((high - low) / np.iinfo(stored.dtype).max)
        values *= 1.0 if statement.scale is None else statement.scale
    else:
        assert statement.scale is not None
        values = stored.astype(np.float64) * statement.scale + statement.offset
    return np.where(empty, np.nan, values)


def _without_numbers(values: AnyPlane, empty: Mask) -> AnyPlane:
    """Numbers with NaN at some pixels, or with 0 if they are whole."""
    values = values.copy()
    values[empty] = 0 if values.dtype.kind in "ui" else np.nan
    return values


def _doubts_about_channels(numbers: np.ndarray, declared: NumberEncoding) -> Iterator[str]:
    """Yield a doubt about weights in another order than surfaces have."""
    weights = declared.channels
    if weights is None or numbers.ndim != 3 or sum(map(bool, weights)) < 2:
        return
    better = smoothest_weights(numbers)
    if better is None:
        return
    better_numbers = NumberEncoding(channels=tuple(map(float, better))).unpack(numbers, "")
    declared_numbers = declared.unpack(numbers, "")
    if is_much_smoother(declared_numbers, better_numbers):
        yield (
            f"{_NOISY_CHANNELS} with the weights that are declared, and surfaces with "
            f"'channels: [{', '.join(map(str, better))}]': are these meant?"
        )


def stored_depth_warnings(
    numbers: StoredDepth,
    metres: Values | None,
    *,
    unit: float | None = None,
    invalid: Sequence[float] = (),
    max_depth: float | None = None,
    is_unit_declared: bool = False,
) -> tuple[str, ...]:
    """Say what the numbers of a file look like besides depth (``plausibility``).

    Args:
        numbers: Numbers, and what the file states about them.
        metres: Valid depth [m]; None if it is not in metres.
        unit: Metres of one number, if the file does not state it.
        invalid: Numbers that are declared to hold no depth.
        max_depth: Largest valid depth that is declared [m].
        is_unit_declared: Whether the user declares the unit.
    """
    statement = numbers.statement
    forms = (statement.linear_range, statement.logarithmic_range, statement.inverse_range)
    is_range = any(form is not None for form in forms)
    marks = [*invalid, *statement.invalid]
    if statement.logarithmic_range is not None:
        marks.append(INFINITE_CODE)
    if any(doubt.startswith(_NOISY_CHANNELS) for doubt in statement.warnings):
        return statement.warnings  # Noise looks like everything.
    about_words = _doubts_about_words(statement, unit, is_declared=is_unit_declared)
    is_ours = statement.kind is not None and (statement.offset != 0 or statement.scale is None)
    if is_ours and not is_range:
        return statement.warnings
    stored = numbers.stored
    if numbers.valid is not None:
        stored = np.where(numbers.valid, stored, 0).astype(stored.dtype)
        marks.append(0.0)
    doubts = plausibility_warnings(
        stored,
        metres,
        invalid=marks,
        unit=statement.scale if statement.is_decodable else unit,
        is_range=is_range,
        max_depth=max_depth,
        is_unit_declared=is_unit_declared or statement.source == DECLARED,
        is_unit_guessed=not is_unit_declared and not statement.is_decodable,
    )
    return (*statement.warnings, *about_words, *doubts)


def _doubts_about_words(
    statement: DepthStatement, unit: float | None, *, is_declared: bool
) -> Iterator[str]:
    """Yield a doubt about a unit that words name and the user declares in another size."""
    metres = statement.sentence_unit
    declared = statement.scale if statement.source == DECLARED else unit
    is_by_user = is_declared or statement.source == DECLARED
    if metres is None or declared is None or not is_by_user:
        return
    if not math.isclose(metres, declared, rel_tol=_SAME_UNIT):
        yield (
            f"it says '{statement.unit_sentence}', which is {unit_words(metres)}, and "
            f"{unit_words(declared)} are declared"
        )


def stored_depth_from_array(array: np.ndarray, encoding: NumberEncoding, name: str) -> StoredDepth:
    """Numbers of an array, as the user declares them."""
    if encoding.array is not None:
        raise InputError("is one array, so 'array' has nothing to choose; leave it out", path=name)
    plain = np.ma.getdata(array)
    if plain.dtype.kind == "b":
        raise InputError("holds true and false, expected numbers (height, width)", path=name)
    stored = encoding.unpack(plain, name)
    _check_offset(stored, DepthStatement(), encoding, name)
    statement = apply_encoding(DepthStatement(), encoding, Path(name))
    doubts = [*_doubts_about_channels(plain, encoding)]
    if encoding.offset:
        doubts += _doubts_about_zero(stored, encoding)
    is_masked = isinstance(array, np.ma.MaskedArray) and array.ndim == 2
    valid = ~np.ma.getmaskarray(array) if is_masked else None
    return StoredDepth(
        stored=stored,
        statement=replace(statement, warnings=tuple(doubts)),
        valid=_without_marks(valid, encoding.has_whole_mark(plain, name)),
    )
