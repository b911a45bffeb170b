"""Numbers of depth in other programs' files: what they mean, by statement or guess."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.npyio import NpzFile
from PIL import Image
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from rilievo.arrays.shapes import AnyPlane, Mask, Matrix, Shaped, Values
from rilievo.errors import InputError, RilievoError
from rilievo.geometry.cameras.camera import Camera
from rilievo.io.depth_doubts import reading_doubts
from rilievo.io.depth_encoding import (
    NumberEncoding,
    is_any_of,
    is_much_smoother,
    smoothest_weights,
)
from rilievo.io.depth_file_texts import (
    doubts_about_tiff,
    exr_texts,
    folder_texts,
    gdepth_of_image,
    lines_beside,
    pgm_texts,
    png_texts,
    tiff_texts,
)
from rilievo.io.depth_masks import MarkedPixels, may_hold_depth, read_marked_pixels
from rilievo.io.depth_texts import (
    LEAST_COUNTS,
    NumberMeaning,
    StatedNumbers,
    is_stated_name,
    quantity_of_name,
    read_stated_numbers,
)
from rilievo.io.files.limits import check_regular, read_text
from rilievo.io.files.names import printable
from rilievo.io.inverse_depth import flatness
from rilievo.io.numbers import ExrChannels, npz_member, one_line_errors, open_npz, read_numbers
from rilievo.io.outputs.sidecar import FileFacts, Sidecar, camera_from_facts, parse_sidecar
from rilievo.io.photographs.decode import PILLOW_ERRORS
from rilievo.io.saved_origins import (
    SavedOrigin,
    camera_with_K,
    find_clip_record,
    find_folder_record,
    find_renamed_record,
    origin_of_sidecar,
    record_names,
)
from rilievo.records.depth_map import DepthKind
from rilievo.schema.typed_values import METRES_PER_UNIT

DISTANCE, DISPARITY, INVERSE = "distance", "disparity", "inverse_depth"
"""Further kinds: along the ray, of two views [px], and 1 over depth."""
_KINDS = (*(kind.value for kind in DepthKind), DISTANCE, DISPARITY, INVERSE)
_KIND_OF_QUANTITY = {
    NumberMeaning.DISTANCE: DISTANCE,
    NumberMeaning.DISPARITY: DISPARITY,
    NumberMeaning.INVERSE: INVERSE,
}
_LOGARITHM_STEPS = 65533

# Metres of a count in files of other programs.
_USUAL_SCALES = (1.0, 0.001, 0.01, 0.0001, 1 / 256, 1 / 5000, 1 / 4000, 1 / 1000)
# Largest relative difference of a statistic and of the number that it is of.
_SAME_STATISTIC = 2e-3
# Largest such difference that the digits of a statistic explain.
_MOST_ROUNDING = 0.03
# Whole numbers that a range bounds hardly become depth up to its end [m].
_FARTHEST_END = 1000.0
# Largest share of the type that numbers use where a range may bound them in millimetres.
_LITTLE_USED = 0.25
# Median from which on numbers may be centimetres of a room [m].
_FAR_MEDIAN = 100.0
# Least unit of which whole numbers are hardly depth [m].
_LEAST_WHOLE_UNIT = 0.3
# Least share of surfaces that are flat in a spacing, and its ratio to that in the stated one.
# Twelve made-up scenes have 2.6 to 95 times more flat surfaces in the right spacing.
_LEAST_FLAT, _TIMES_FLATTER = 0.3, 2.3
DECLARED = "as declared"
"""Place of a statement that the user makes by an encoding."""

# MoGe's numbers without meaning, and without surface.
_UNKNOWN, _INFINITE = 0, 65535
_EXR_SIGNATURE = b"\x76\x2f\x31\x01"
_MAIN = ("depth", "depth_map", "depths", "arr_0")
_CAMERA_ARRAYS = ("K", "intrinsics", "camera_matrix")
_NOISY_CHANNELS = "its channels are noise"
_ARRAY_NAME = "the name of its array"
# Attributes of OpenEXR that hold words.
_TEXTS = ("comments", "comment", "description", "quantity", "encoding", "type of depth")


class FactOrigin(StrEnum):
    """Origin of a fact."""

    STATED = "stated"
    GIVEN = "given"
    GUESSED = "guessed"


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberFact:
    """Fact about numbers: scale, kind, invalid, size or camera."""

    name: str
    value: str
    origin: FactOrigin
    place: str

    def __str__(self) -> str:
        return f"{self.value} ({self.place})"


NOTHING_SAYS = "nothing says otherwise"


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberReading:
    """Meaning of a file's numbers: facts, doubts, and range [m].

    Attributes:
        middle: Median of one image [m].
        is_unit_declared: Whether the user declares the unit or the farthest depth, which may then
            be far beyond what is usual.
    """

    facts: tuple[NumberFact, ...] = ()
    doubts: tuple[str, ...] = ()
    near: float | None = None
    far: float | None = None
    middle: float | None = None
    is_unit_declared: bool = False

    @property
    def scales(self) -> tuple[NumberFact, ...]:
        """Facts about the unit of the numbers."""
        return tuple(fact for fact in self.facts if fact.name == "scale")

    @property
    def unit_and_range(self) -> str:
        """Unit and range in words."""
        words = "; ".join(dict.fromkeys(fact.value for fact in self.scales))
        without_metres = ("up to scale", "of kind")
        values = [fact.value for fact in self.scales]
        unit = " m"
        if any(words in value for value in values for words in without_metres):
            unit = ""
        span = "" if self.near is None else f": {self.near:.3g} to {self.far:.3g}{unit}"
        return f"read as {words}{span}"

    @property
    def summary_line(self) -> str | None:
        """Unit, range and source in words; None without a unit."""
        if not self.scales:
            return None
        return f"{self.unit_and_range} ({self.scales[0].place})"


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthStatement:
    """Facts that a file states: value = stored · scale + offset.

    Attributes:
        kind: Name of a ``DepthKind``, ``DISTANCE`` or ``DISPARITY``.
        scale: Unit of the result, or its factor.
        logarithm: Depth at the numbers 1 and 65534, even in the logarithm.
        span: Values at 0 and at the type's largest number.
        rounding: Half of the last digit of these, as the file writes them.
        reciprocal: Depth at 0 and at the type's largest number, even in inverse depth.
        clip: Depth that the file calls near and far, for numbers that are no codes between them.
        unit_in_words: Sentence that names the unit, which goes behind the one that you declare.
        metres_in_words: Metres of that unit.
        unclear: Sentence on what it states and what is missing, if it cannot be used.
        doubts: Sentences on how it was taken.
        unread: Sentences on texts that are not understood, and matter if the user declares no
            scale.
        origin: Origin of the depth, by a record of rilievo.
    """

    kind: str | None = None
    scale: float | None = None
    offset: float = 0.0
    logarithm: tuple[float, float] | None = None
    span: tuple[float, float] | None = None
    rounding: tuple[float, float] = (0.0, 0.0)
    reciprocal: tuple[float, float] | None = None
    clip: tuple[float, float] | None = None
    invalid: tuple[float, ...] = ()
    array: str | None = None
    camera: Camera | None = None
    place: str = ""
    unit_in_words: str = ""
    metres_in_words: float | None = None
    unclear: str | None = None
    doubts: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    origin: SavedOrigin | None = None

    @property
    def is_coded(self) -> bool:
        """Whether the file tells how numbers become values."""
        forms = (self.scale, self.logarithm, self.span, self.reciprocal)
        return any(form is not None for form in forms)


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthNumbers:
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
        known = ~is_any_of(self.stored, self.statement.invalid)
        return known if self.valid is None else known & self.valid


def read_depth_numbers(
    path: Path,
    *,
    array: str | None = None,
    encoding: NumberEncoding | None = None,
    is_scaled: bool = False,
    is_shifted: bool = False,
    searches_records: bool = False,
    names_confidence: bool = True,
) -> DepthNumbers:
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
        statement = _with_distant_record(statement, path)
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
    if is_by_user and statement.place == _ARRAY_NAME:
        statement = replace(statement, scale=None)
    statement = _with_unit_in_words(stored, statement, is_by_user=is_by_user)
    doubts = [*statement.doubts, *marked.notes, *_doubts_about_channels(numbers, declared)]
    doubts += () if is_by_user else statement.unread
    if stored.dtype.kind not in "ui":
        doubts += _check_range_of_floats(stored, statement, path, is_by_user=is_by_user)
        # A range beside floating-point numbers is a statistic of them, or of the camera.
        unclear = statement.unclear if statement.clip is None else None
        statement = replace(statement, unclear=unclear, span=None, logarithm=None, reciprocal=None)
    else:
        statement = _without_statistics(stored, statement)
    if statement.unclear is not None:
        if declared.scale is None and not is_scaled:
            raise InputError(statement.unclear, path=printable(path))
        if declared.scale is None and not is_shifted:
            doubts.append(f"{statement.unclear}; only the scale that is given is used")
        statement = DepthStatement(
            array=statement.array, camera=statement.camera, origin=statement.origin
        )
    statement = _checked_logarithm(stored, statement, path)
    doubts += _doubts_about_shape(stored, statement)
    if statement.doubts and statement.logarithm is not None and (declared.scale or is_scaled):
        doubts = [] if is_shifted or declared.scale is not None else [*statement.doubts]
        statement = DepthStatement(
            array=statement.array, camera=statement.camera, origin=statement.origin
        )
    if not statement.is_coded and (declared.offset or is_shifted):
        doubts += _doubts_about_zero(stored, declared)
    _check_offset(stored, statement, declared, printable(path))
    statement = join_declared(statement, declared, path)
    doubts += _doubts_about_range(stored, statement)
    doubts += [doubt for doubt in statement.doubts if doubt not in doubts]
    return DepthNumbers(
        stored=stored,
        statement=replace(statement, doubts=tuple(doubts)),
        valid=_without_marks(marked.valid, has_mark),
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
    is_lacking = declared.offset and declared.scale is None and not statement.is_coded
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
    if not statement.unit_in_words or statement.span is not None:
        return statement
    without_unit = replace(statement, scale=None, place="")
    if is_by_user:
        return without_unit
    metres = statement.metres_in_words
    is_whole = stored.dtype.kind in "ui"
    if metres is None or not is_whole or metres < _LEAST_WHOLE_UNIT:
        return statement
    doubt = (
        f"{statement.place}, but its numbers are whole, and hardly of this unit: say 'scale', the "
        "metres of one number"
    )
    without_unit = replace(without_unit, unit_in_words="", metres_in_words=None)
    return replace(without_unit, doubts=(*statement.doubts, doubt))


def join_declared(
    statement: DepthStatement, declared: NumberEncoding | None, path: Path
) -> DepthStatement:
    """Statement of a file with what the user declares."""
    if declared is None:
        return statement
    if declared.scale is not None or declared.offset:
        is_same = (declared.scale, declared.offset) == (statement.scale, statement.offset)
        if statement.is_coded and not is_same:
            raise InputError(
                f"states how its numbers become depth ({statement.place}), and the encoding "
                "declares another 'scale' or 'offset'; leave them out",
                path=printable(path),
            )
        if not statement.is_coded:
            statement = replace(
                statement,
                scale=1.0 if declared.scale is None else declared.scale,
                offset=declared.offset,
                invalid=(*statement.invalid, *(() if declared.invalid == () else (0.0,))),
                place=statement.place or DECLARED,
            )
    invalid = tuple(dict.fromkeys((*statement.invalid, *(declared.invalid or ()))))
    return replace(statement, invalid=invalid)


def decode_numbers(stored: Shaped[np.ndarray, "h w"], statement: DepthStatement) -> AnyPlane:
    """Convert to values, NaN where invalid; uncoded numbers stay."""
    if not statement.is_coded:
        if not statement.invalid:
            return stored
        return _without_numbers(stored, is_any_of(stored, statement.invalid))
    empty = is_any_of(stored, statement.invalid)
    if statement.logarithm is not None:
        near, far = statement.logarithm
        share = (stored.astype(np.float64) - 1) / _LOGARITHM_STEPS
        unit = 1.0 if statement.scale is None else statement.scale
        values = unit * near ** (1 - share) * far**share
        values = np.where(stored == _INFINITE, np.inf, values)
    elif statement.reciprocal is not None:
        near, far = statement.reciprocal
        share = stored.astype(np.float64) / np.iinfo(stored.dtype).max
        unit = 1.0 if statement.scale is None else statement.scale
        values = unit / ((1 - share) / near + share / far)
    elif statement.span is not None:
        low, high = statement.span
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


def _checked_logarithm(
    stored: Shaped[np.ndarray, "h w"], statement: DepthStatement, path: Path
) -> DepthStatement:
    """Statement of MoGe's 16-bit numbers; others with near and far are refused or doubted."""
    if statement.logarithm is None:
        return statement
    near, far = statement.logarithm
    if stored.dtype != np.uint16:
        raise InputError(_words_of_near_and_far(near, far, stored), path=printable(path))
    used = stored[(stored != _UNKNOWN) & (stored != _INFINITE)]
    if not used.size or (used.min(), used.max()) == (1, _LOGARITHM_STEPS + 1):
        return statement
    doubt = (
        f"near {near:g} and far {far:g} are taken as MoGe writes them, evenly in the logarithm "
        f"between the numbers 1 and {_LOGARITHM_STEPS + 1}, but its numbers go from {used.min()} "
        f"to {used.max()}: if they lie evenly in depth, say "
        f"'scale: {(far - near) / 65535:.6g}' and 'offset: {near:g}', or write 'min' and 'max'"
    )
    return replace(statement, doubts=(*statement.doubts, doubt))


def _words_of_near_and_far(
    near: float, far: float, stored: Shaped[np.ndarray, "h w"] | None = None
) -> str:
    largest = 65535
    if stored is not None and stored.dtype.kind in "ui":
        largest = int(np.iinfo(stored.dtype).max)
    return (
        f"states near {near:g} and far {far:g}, but not how its numbers lie between them; if "
        f"evenly in depth, say 'scale: {(far - near) / largest:.6g}' and 'offset: {near:g}' (or "
        "write 'min' and 'max' in their place); if evenly in inverse depth or as a z-buffer, write "
        "depth in metres"
    )


def _doubts_about_range(
    stored: Shaped[np.ndarray, "h w"], statement: DepthStatement
) -> Iterator[str]:
    """Yield a doubt about a range that is a statistic of numbers with a usual unit."""
    if statement.span is None or statement.kind == INVERSE:
        return
    low, high = statement.span
    largest = int(stored[stored < np.iinfo(stored.dtype).max].max(initial=0))
    if not largest:
        return
    is_millimetres = low <= largest * 0.001 <= high
    if is_millimetres and largest <= _LITTLE_USED * 65535 and stored.dtype == np.uint16:
        share = largest / 65535
        yield (
            f"its numbers are read as evenly spaced between the {low:g} and {high:g} that it "
            f"states, but use {share:.1%} of the type, and the largest, {largest}, lies in this "
            "range in millimetres too: if they are millimetres, write the depth without a range"
        )
        return
    for scale in _USUAL_SCALES:
        if abs(largest * scale / high - 1) < _SAME_STATISTIC:
            yield (
                f"its range ends at {high:g}, which its largest number {largest} is in counts of "
                f"{scale:.6g} m too: if the range is a statistic of such counts, write the depth "
                f"with 'scale' {scale:.6g} and no range"
            )
            return


def _without_statistics(
    stored: Shaped[np.ndarray, "h w"], statement: DepthStatement
) -> DepthStatement:
    """Statement of whole numbers without a range that only describes them.

    A range is a statistic if its ends are the least and the largest number in a usual unit, to the
    digits that the file writes, and a bound if it holds all numbers as they are.
    """
    if statement.span is None:
        return statement
    low, high = statement.span
    used = stored[(stored > 0) & (stored < np.iinfo(stored.dtype).max)]
    if not used.size or (low == 0 and high == np.iinfo(stored.dtype).max):
        return replace(statement, span=None)
    ends = (float(used.min()), float(used.max()))
    for scale in _USUAL_SCALES:
        agree = (
            abs(number * scale - end) <= _tolerance_of_statistic(end, rounding)
            for number, end, rounding in zip(ends, (low, high), statement.rounding, strict=True)
        )
        if not all(agree):
            continue
        if scale == 1.0:
            return replace(statement, span=None)
        place = f"{statement.place}, whose range is that of its numbers in this unit"
        return replace(statement, span=None, scale=scale, place=place)
    is_bounded = low <= ends[0] and ends[1] <= high
    if is_bounded and high > _FARTHEST_END and statement.scale is None:
        doubt = (
            f"the range {low:g} to {high:g} that it states is taken for bounds of its numbers as "
            "they are, and not for metres: say 'scale' and 'offset' if it is another"
        )
        return replace(statement, span=None, doubts=(*statement.doubts, doubt))
    return statement


def _tolerance_of_statistic(end: float, rounding: float) -> float:
    """Largest difference between the end of a stated range and a number that it may describe.

    A round end, such as 0 or 10, is more often chosen than measured.
    """
    return max(_SAME_STATISTIC * abs(end), min(rounding, _MOST_ROUNDING * abs(end)))


def _check_range_of_floats(
    stored: Shaped[np.ndarray, "h w"], statement: DepthStatement, path: Path, *, is_by_user: bool
) -> Iterator[str]:
    """Yield a doubt about floating-point numbers beside a range in which they do not lie.

    Raises:
        InputError: If numbers from 0 to 1 can be no depth in the range.
    """
    span = statement.span or statement.clip or statement.logarithm or statement.reciprocal
    known = stored[np.isfinite(stored) & (stored > 0)]
    if span is None or is_by_user or statement.kind == INVERSE or not known.size:
        return
    low, high = span
    largest, middle = float(known.max()), float(np.median(known))
    is_unit_range = largest <= 1
    words = (
        f"states a range from {low:g} to {high:g}, but its numbers go from {known.min():.4g} to "
        f"{largest:.4g}"
    )
    advice = (
        f"if they lie evenly in depth between the ends, say 'scale: {high - low:.6g}' and "
        f"'offset: {low:g}'; if evenly in inverse depth or as a z-buffer, write depth in metres"
    )
    if is_unit_range and (known.min() < low or (middle < low and high > 1)):
        raise InputError(f"{words}, so they are hardly metres: {advice}", path=printable(path))
    if is_unit_range and high >= 2 * largest and statement.scale is None:
        yield f"{words}, and are taken for metres: {advice}; if they are metres, say 'scale: 1'"
    elif not low <= middle * (statement.scale or 1.0) <= high and not is_unit_range:
        yield f"{words}: are they of another unit? say 'scale' if so"


def _doubts_about_shape(
    stored: Shaped[np.ndarray, "h w"], statement: DepthStatement
) -> Iterator[str]:
    """Yield a doubt about codes between two depths whose surfaces are flat in another spacing."""
    near, far = statement.logarithm or statement.span or statement.reciprocal or (0.0, 0.0)
    if not 0 < near < far or statement.kind in (INVERSE, DISPARITY):
        return
    largest = int(np.iinfo(stored.dtype).max)
    first, steps = (1, _LOGARITHM_STEPS) if statement.logarithm is not None else (0, largest)
    known = (stored >= first) & (stored <= first + steps)
    share = np.clip((stored.astype(np.float64) - first) / steps, 0, 1)
    spacings = {
        "the logarithm": near ** (1 - share) * far**share,
        "depth": near + share * (far - near),
        "inverse depth": 1 / ((1 - share) / near + share / far),
    }
    flat = {name: flatness(values, known) for name, values in spacings.items()}
    stated = "the logarithm" if statement.logarithm is not None else "inverse depth"
    stated = "depth" if statement.span is not None else stated
    best = max(flat, key=lambda name: flat[name])
    if flat[best] < _LEAST_FLAT or flat[best] < _TIMES_FLATTER * flat[stated]:
        return
    cure = "write depth in metres"
    if best == "depth":
        cure = f"say 'scale: {(far - near) / steps:.6g}' and 'offset: {near:g}'"
    yield (
        f"its numbers are taken as evenly spaced in {stated} between {near:g} and {far:g} "
        f"({statement.place}), but surfaces are flat if they are in {best}: if so, {cure}"
    )


def read_depth_statement(path: Path, array: str | None = None) -> DepthStatement:
    """Facts that a file states, or a JSON beside it.

    Args:
        path: File of numbers.
        array: Array of npz or channel of EXR, if the user names it.
    """
    check_regular(path)
    own = _statement_in_file(path, array)
    if own.is_coded or own.kind is not None or own.unclear is not None:
        return own
    beside = _statement_beside(path)
    if not (beside.place or beside.doubts or beside.unread):
        beside = _statement_of_folder(path)
    return _merge_statements(own, beside)


def _statement_of_folder(path: Path) -> DepthStatement:
    """Unit of the numbers by a text of the file's name, or about the folder, such as meta.json."""
    beside = lines_beside(path)
    described = folder_texts(path) if beside is None else beside
    if described is None:
        return DepthStatement()
    name, texts = described
    stated = read_stated_numbers(texts)
    place = f"{printable(Path(name))} {'in its folder' if beside is None else 'beside it'}"
    # A range there is a statistic of all files.
    counted = replace(stated, span=None, near_and_far=None)
    if beside is not None and (counted.unit, counted.counts, counted.scale) == (None, None, None):
        return DepthStatement()  # It is about something else.
    return _statement_of_stated(counted, place, path)


def _with_distant_record(statement: DepthStatement, path: Path) -> DepthStatement:
    """Statement with the facts of rilievo's records that do not have the name of the file."""
    clip = find_clip_record(path)
    origin = statement.origin
    if origin is not None:
        # The known sizes of a clip are those of its first frame.
        return statement if clip is None else replace(statement, origin=origin.without_places())
    if statement.kind is not None:
        return statement
    distant = DepthStatement()
    if clip is not None:
        distant = _statement_of_clip(*clip, path)
    if distant.origin is None:
        distant = _statement_of_distant_record(path)
    return _merge_statements(statement, distant)


def _statement_of_clip(sidecar: Sidecar, json: Path, path: Path) -> DepthStatement:
    """Facts of a clip's record about the file of a frame."""
    place = f"{printable(Path(json.name))} beside its folder"
    listing = (facts for facts in sidecar.files if path.name in (facts.frames or {}))
    ours = _statement_of_sidecar(sidecar, path, place, next(listing, None))
    return ours if ours.origin is None else replace(ours, origin=ours.origin.without_places())


def _statement_of_distant_record(path: Path) -> DepthStatement:
    """Facts of the record of a folder, or of one that lists the file under another name."""
    if path.is_symlink():
        linked = read_depth_statement(path.resolve())
        if linked.origin is not None:
            return linked
    folder_record = find_folder_record(path)
    if folder_record is not None:
        kind = folder_record.kind
        return DepthStatement(
            kind=None if kind is None else kind.value,
            scale=None if kind is None else 1.0,
            camera=folder_record.camera,
            place=folder_record.origin.place,
            origin=folder_record.origin,
        )
    renamed = find_renamed_record(path)
    if renamed is None:
        return DepthStatement()
    sidecar, json, facts = renamed
    place = f"{printable(Path(json.name))} beside it"
    ours = _statement_of_sidecar(sidecar, path, place, facts)
    is_frame = facts.frames is not None
    if ours.origin is None or not is_frame:
        return ours
    return replace(ours, origin=ours.origin.without_places())


def _merge_statements(own: DepthStatement, beside: DepthStatement) -> DepthStatement:
    """Statement beside a file, with its array, and its camera if missing."""
    if own.place and not beside.place:
        return own
    return replace(
        beside,
        array=own.array,
        invalid=tuple(dict.fromkeys((*own.invalid, *beside.invalid))),
        camera=own.camera if beside.camera is None else beside.camera,
        doubts=(*own.doubts, *beside.doubts),
        unread=(*own.unread, *beside.unread),
    )


def _statement_in_file(path: Path, array: str | None) -> DepthStatement:
    with path.open("rb") as file:
        start = file.read(8)
    try:
        if start.startswith(b"\x89PNG"):
            with PngImageFile(path) as image:
                texts, gdepth = png_texts(image), gdepth_of_image(image)
                has_range = image.mode.startswith("I") or image.mode == "L"
                transparent = image.info.get("transparency")
            if not has_range:
                return DepthStatement()
            stated = _statement_of_texts(texts, "its text", path)
            stated = stated if stated.place or not gdepth else _statement_of_gdepth(gdepth)
            return _without_transparent_number(stated, transparent)
        if start[:4] in (b"II*\0", b"MM\0*"):
            with TiffImageFile(path) as image:
                texts, gdepth = tiff_texts(image), gdepth_of_image(image)
                doubts = tuple(doubts_about_tiff(image))
            stated = _statement_of_tiff(texts, gdepth, path)
            return stated if stated.is_coded else replace(stated, unread=(*stated.unread, *doubts))
        if start[:2] == b"P5":
            return _statement_of_texts(pgm_texts(path), "its comment", path)
    except InputError:
        raise
    except (*PILLOW_ERRORS, Image.DecompressionBombError, KeyError, Warning):
        return DepthStatement()  # The reader of numbers names what is broken.
    if start[:2] == b"PK":
        return _statement_in_npz(path, array)
    if start[:4] == _EXR_SIGNATURE:
        return _statement_in_exr(path, array)
    return DepthStatement()


def _without_transparent_number(statement: DepthStatement, number: object) -> DepthStatement:
    """Statement in which the number that a grey PNG declares to be transparent is no depth."""
    if not isinstance(number, int) or number == 0:
        return statement
    doubt = f"its number {number} is transparent, and holds no depth"
    return replace(
        statement,
        invalid=(*statement.invalid, float(number)),
        doubts=(*statement.doubts, doubt),
    )


def _statement_of_tiff(
    texts: Mapping[str, Any], gdepth: Mapping[str, str], path: Path
) -> DepthStatement:
    ours = _statement_in_json_text(str(texts.get("", "")), path, "its description")
    if ours.place:
        return ours
    stated = _statement_of_texts(texts, "its description", path)
    return stated if stated.place or not gdepth else _statement_of_gdepth(gdepth)


def _statement_in_exr(path: Path, named: str | None) -> DepthStatement:
    """Facts in the header of an OpenEXR file, whose depth is Z or Y among several channels."""
    try:
        channels = ExrChannels(path)
    except (ImportError, *PILLOW_ERRORS, KeyError, RuntimeError, Warning):
        return DepthStatement()  # The reader of numbers names what is broken.
    texts = exr_texts(channels)
    array = next((name for name in ("Z", "Y") if name in channels.names), None)
    left = [*filter(may_hold_depth, channels.names)]
    if array is None and len(left) == 1:
        array = left[0]
    if "rilievo" in texts:
        return replace(
            _statement_in_json_text(str(texts["rilievo"]), path, "its header"), array=array
        )
    stated = _statement_of_texts(
        {name: text for name, text in texts.items() if is_stated_name(name) or name in _TEXTS},
        "its header",
        path,
    )
    if stated.place:
        return replace(stated, array=array)
    return replace(_statement_of_name(named or array or "", stated), array=array)


def _main_array(names: Sequence[str]) -> str | None:
    """Array of an npz file that holds depth by its name; None if several may."""
    named = next((name for name in _MAIN if name in names), None)
    if named is not None:
        return None if named == "arr_0" and "arr_1" in names else named
    about = (*_CAMERA_ARRAYS, "about")
    left = [name for name in names if may_hold_depth(name) and name not in about]
    left = [name for name in left if not is_stated_name(name)]
    return left[0] if len(left) == 1 else None


def _statement_of_name(name: str, stated: DepthStatement) -> DepthStatement:
    """Statement with the kind and the unit that the name of an array states."""
    quantity, metres = quantity_of_name(name)
    if quantity is None and metres is None:
        return stated
    if quantity in (NumberMeaning.LOGARITHM, NumberMeaning.BUFFER):
        assert quantity is not None, "it is one of two"
        return replace(stated, place=_ARRAY_NAME, unclear=_words_of_quantity(quantity, name))
    kind = None if quantity is None else _KIND_OF_QUANTITY[quantity]
    if kind in (DISPARITY, INVERSE):
        metres = None
    if metres is not None and kind is None:
        kind = DepthKind.METRIC.value
    return replace(stated, place=_ARRAY_NAME, kind=kind, scale=metres)


def _statement_in_npz(path: Path, named: str | None) -> DepthStatement:
    with open_npz(path) as archive, one_line_errors(printable(path), "npz file"):
        names = archive.files
        array = _main_array(names) if len(names) > 1 else None
        if "about" in names and array is not None:
            ours = _statement_in_json_text(
                str(npz_member(archive, "about").item()), path, "its description"
            )
            camera = ours.camera
            if camera is not None:
                camera = camera_with_K(camera, _K_in_npz(archive))
            return replace(ours, array=array, camera=camera)
        small: dict[str, Any] = {}
        for name in names:
            if name not in (array, named) and is_stated_name(name):
                value = npz_member(archive, name)
                if value.size <= 2:
                    small[name] = value.item() if value.size == 1 else value.ravel().tolist()
        K = _K_in_npz(archive)
        camera = None if K is None else Camera(K=K)
    stated = _statement_of_texts(small, "its arrays", path)
    if not stated.place and names:
        main = named or array or (names[0] if len(names) == 1 else "")
        stated = _statement_of_name(main, stated)
    return replace(stated, array=array, camera=camera)


def _K_in_npz(archive: NpzFile) -> Matrix | None:
    for name in _CAMERA_ARRAYS:
        if name in archive.files and npz_member(archive, name).shape == (3, 3):
            return npz_member(archive, name).astype(np.float64)
    return None


def _statement_beside(path: Path) -> DepthStatement:
    for beside in (path.with_name(name) for name in record_names(path)):
        if not beside.is_file() or beside == path:
            continue
        try:
            text = read_text(beside)
            entries = json.loads(text)
        except (RilievoError, ValueError, RecursionError):
            continue
        if not isinstance(entries, dict):
            continue
        place = f"{printable(Path(beside.name))} beside it"
        if str(entries.get("format", "")).startswith("rilievo/"):
            ours = _statement_of_listing(text, path, place)
            if ours is None:
                continue  # It is of other files, whose names begin alike.
            return ours
        # MoGe's near and far stand in the file itself.
        statement = _statement_of_texts({"json": entries}, place, path)
        if statement.place or statement.doubts or statement.unread:
            return statement
    return DepthStatement()


def _statement_of_listing(text: str, path: Path, place: str) -> DepthStatement | None:
    """Facts of a record beside a file; None if it does not list the file."""
    try:
        sidecar = parse_sidecar(text, printable(path))
    except InputError:
        return DepthStatement()
    listed = [facts for facts in sidecar.files if facts.file == path.name]
    return _statement_of_sidecar(sidecar, path, place, listed[0]) if listed else None


def _statement_in_json_text(text: str, path: Path, place: str) -> DepthStatement:
    """Facts of a record in a file, which is about this file whatever its name is now."""
    try:
        sidecar = parse_sidecar(text, printable(path))
    except InputError:
        return DepthStatement()
    facts = sidecar.files[0] if sidecar.files else None
    return _statement_of_sidecar(sidecar, path, place, facts)


def _statement_of_sidecar(
    sidecar: Sidecar, path: Path, place: str, facts: FileFacts | None
) -> DepthStatement:
    depth = sidecar.depth
    if facts is None or depth is None or facts.scale is None:
        return DepthStatement()
    kind = depth.kind
    if facts.holds.startswith("inverse depth"):
        kind = DepthKind.AFFINE_INVERSE
    camera = None if sidecar.camera is None else camera_from_facts(sidecar.camera)
    along = camera is not None and camera.lens.has_unit_rays and kind is DepthKind.METRIC
    return DepthStatement(
        kind=DISTANCE if along else kind.value,
        scale=facts.scale,
        offset=facts.offset or 0.0,
        invalid=(facts.invalid,) if isinstance(facts.invalid, int) else (),
        camera=camera,
        place=place,
        origin=origin_of_sidecar(sidecar, path, place, facts),
    )


def _statement_of_texts(texts: Mapping[str, Any], place: str, path: Path) -> DepthStatement:
    record = texts.get("rilievo")
    if isinstance(record, str):
        ours = _statement_in_json_text(record, path, place)
        if ours.place:
            return ours
    return _statement_of_stated(read_stated_numbers(texts), place, path)


def _statement_of_stated(stated: StatedNumbers, place: str, path: Path) -> DepthStatement:
    kind = stated.kind if stated.kind in _KINDS else None
    if stated.is_up_to_scale:
        kind = kind or DepthKind.UP_TO_SCALE.value
    elif stated.unit is not None and stated.unit_is_named:
        kind = kind or DepthKind.METRIC.value
    if stated.quantity is not None:
        kind = _KIND_OF_QUANTITY.get(stated.quantity, kind)
    unit = stated.unit
    if unit is not None and unit <= 0:
        raise InputError(
            f"its 'unit' is {unit:g}, expected above zero",
            path=printable(path),
        )
    if stated.unit_in_words:
        place = f"{place} says '{stated.unit_in_words}'"
    rest = DepthStatement(
        kind=kind,
        invalid=stated.invalid,
        place=place,
        unit_in_words=stated.unit_in_words,
        metres_in_words=unit if stated.unit_in_words else None,
        unread=stated.doubts(place),
    )
    if stated.quantity in (
        NumberMeaning.LOGARITHM,
        NumberMeaning.BUFFER,
        NumberMeaning.ROOT,
    ) and not (stated.quantity is NumberMeaning.LOGARITHM and stated.is_moge):
        assert stated.quantity is not None, "it is one of three"
        return replace(rest, unclear=_words_of_quantity(stated.quantity, stated.said))
    if stated.scale is not None:
        if stated.scale <= 0:
            raise InputError(
                f"its 'scale' is {stated.scale:g}, expected above zero", path=printable(path)
            )
        if stated.scale >= LEAST_COUNTS and unit is None:
            # So large a factor is counts of a metre, as 5000 and 1000 are.
            return replace(rest, scale=1 / stated.scale, kind=kind or DepthKind.METRIC.value)
        factor = unit if unit is not None and kind == DepthKind.METRIC.value else 1.0
        # Zero is no depth beside an offset either.
        invalid = stated.invalid or ((0.0,) if stated.offset else ())
        return replace(
            rest, scale=stated.scale * factor, offset=stated.offset * factor, invalid=invalid
        )
    if stated.counts is not None:
        counts = stated.counts
        step = counts if counts <= 0.1 else 1 / counts
        return replace(rest, scale=step, kind=kind or DepthKind.METRIC.value)
    if stated.near_and_far is not None and stated.quantity is NumberMeaning.LINEAR:
        stated = replace(stated, span=stated.near_and_far, near_and_far=None)
    if stated.near_and_far is not None:
        return _statement_of_near_and_far(stated, rest, path)
    if stated.span is not None:
        low, high = stated.span
        if low >= high:
            return replace(rest, unclear=_words_of_range(low, high))
        return replace(rest, span=(low, high), rounding=stated.rounding, scale=unit)
    if unit is None and kind is None:
        return DepthStatement(unread=rest.unread, invalid=stated.invalid)
    return replace(rest, scale=unit)


def _statement_of_near_and_far(
    stated: StatedNumbers, rest: DepthStatement, path: Path
) -> DepthStatement:
    """MoGe's names are near and far; others mean other spacings."""
    assert stated.near_and_far is not None, "the caller has asked"
    near, far = stated.near_and_far
    rest = replace(rest, clip=(near, far))
    if stated.quantity in (NumberMeaning.INVERSE, NumberMeaning.DISPARITY):
        words = f"{_words_of_near_and_far(near, far)} (it says '{stated.said}')"
        return replace(rest, kind=None, unclear=words)
    if stated.is_moge:
        for name, number in (("near", near), ("far", far)):
            if number <= 0:
                raise InputError(
                    f"its '{name}' is {number:g}, expected above zero", path=printable(path)
                )
        return replace(rest, scale=stated.unit, logarithm=(near, far), invalid=(_UNKNOWN,))
    return replace(rest, unclear=_words_of_near_and_far(near, far))


def _statement_of_gdepth(entries: Mapping[str, str]) -> DepthStatement:
    """Facts of Google's GDepth: near and far, and how numbers lie between them."""
    place = "its XMP (GDepth)"
    try:
        near, far = float(entries["Near"]), float(entries["Far"])
    except (KeyError, ValueError):
        return DepthStatement()
    form = entries.get("Format", "")
    is_linear = form == "RangeLinear"
    if form not in ("RangeLinear", "RangeInverse") or not (near >= 0 if is_linear else near > 0):
        return DepthStatement(place=place, unclear=_words_of_near_and_far(near, far))
    if near >= far:
        return DepthStatement(place=place, unclear=_words_of_range(near, far))
    unit = METRES_PER_UNIT.get(entries.get("Units", "").lower())
    doubt = f"{place} names no unit of its near {near:g} and far {far:g}; they are taken for metres"
    along_ray = entries.get("MeasureType") == "OpticRay"
    return DepthStatement(
        kind=DISTANCE if along_ray else DepthKind.METRIC.value,
        scale=1.0 if unit is None else unit,
        span=(near, far) if is_linear else None,
        reciprocal=None if is_linear else (near, far),
        place=place,
        doubts=() if unit is not None else (doubt,),
    )


def _words_of_quantity(quantity: NumberMeaning, said: str) -> str:
    return (
        f"says that its numbers are {quantity.words} ('{said}'), and not how they become metres: "
        "write depth in metres"
    )


def _words_of_range(low: float, high: float) -> str:
    return (
        f"states a range from {low:g} to {high:g}, which does not rise; if its numbers are inverse "
        f"depth or fall with depth, write depth in metres"
    )


def doubts_about_numbers(
    numbers: DepthNumbers,
    metres: Values | None,
    *,
    unit: float | None = None,
    meaningless: Sequence[float] = (),
    farthest: float | None = None,
    is_declared: bool = False,
) -> tuple[str, ...]:
    """Say what the numbers of a file look like besides depth (``depth_doubts``).

    Args:
        numbers: Numbers, and what the file states about them.
        metres: Valid depth [m]; None if it is not in metres.
        unit: Metres of one number, if the file does not state it.
        meaningless: Numbers that are declared to hold no depth.
        farthest: Largest valid depth that is declared [m].
        is_declared: Whether the user declares the unit.
    """
    statement = numbers.statement
    forms = (statement.span, statement.logarithm, statement.reciprocal)
    is_range = any(form is not None for form in forms)
    marks = [*meaningless, *statement.invalid]
    if statement.logarithm is not None:
        marks.append(_INFINITE)
    if any(doubt.startswith(_NOISY_CHANNELS) for doubt in statement.doubts):
        return statement.doubts  # Noise looks like everything.
    about_words = _doubts_about_words(statement, unit, is_declared=is_declared)
    is_ours = statement.kind is not None and (statement.offset != 0 or statement.scale is None)
    if is_ours and not is_range:
        return statement.doubts
    stored = numbers.stored
    if numbers.valid is not None:
        stored = np.where(numbers.valid, stored, 0).astype(stored.dtype)
        marks.append(0.0)
    doubts = reading_doubts(
        stored,
        metres,
        meaningless=marks,
        unit=statement.scale if statement.is_coded else unit,
        is_range=is_range,
        farthest=farthest,
        is_declared=is_declared or statement.place == DECLARED,
        is_guess=not is_declared and not statement.is_coded,
    )
    return (*statement.doubts, *about_words, *doubts)


def _doubts_about_words(
    statement: DepthStatement, unit: float | None, *, is_declared: bool
) -> Iterator[str]:
    """Yield a doubt about a unit that words name and the user declares in another size."""
    metres = statement.metres_in_words
    declared = statement.scale if statement.place == DECLARED else unit
    is_by_user = is_declared or statement.place == DECLARED
    if metres is None or declared is None or not is_by_user:
        return
    if not math.isclose(metres, declared, rel_tol=_SAME_STATISTIC):
        yield (
            f"it says '{statement.unit_in_words}', which is {unit_words(metres)}, and "
            f"{unit_words(declared)} are declared"
        )


def scale_fact(
    stored: Shaped[np.ndarray, "h w"],
    statement: DepthStatement,
    *,
    unit: float | None,
    place: str,
    guess: float,
    is_disparity: bool = False,
) -> NumberFact:
    """Unit of the numbers [m]: stated, given at a ``place`` (file or option) or guessed.

    The unit of disparity is the pixel.
    """
    words = unit_words
    if is_disparity or statement.kind == DISPARITY:
        words = disparity_words
    if statement.is_coded or statement.kind == DepthKind.UP_TO_SCALE:
        value = "metres"
        if statement.kind == DepthKind.UP_TO_SCALE:
            value = "numbers up to scale"
        elif statement.kind in (DepthKind.AFFINE, DepthKind.AFFINE_INVERSE):
            value = f"numbers of kind '{statement.kind}'"
        elif statement.logarithm is not None:
            value = "logarithms of metres"
        elif statement.reciprocal is not None:
            value = "inverse depth"
        elif statement.scale is not None:
            value = words(statement.scale)
        return NumberFact(
            name="scale", value=value, origin=FactOrigin.STATED, place=statement.place
        )
    if unit is not None:
        return NumberFact(name="scale", value=words(unit), origin=FactOrigin.GIVEN, place=place)
    whole = "whole" if stored.dtype.kind in "ui" else "floating-point"
    numbers = stored[np.isfinite(stored) & (stored > 0)]
    far = ""
    if whole != "whole" and numbers.size and np.median(numbers) > _FAR_MEDIAN:
        far = f"; if they are centimetres, they go to {numbers.max() / 100:.3g} m"
    return NumberFact(
        name="scale",
        value=words(guess),
        origin=FactOrigin.GUESSED,
        place=f"a guess: {whole} numbers of no stated unit{far}",
    )


def disparity_words(scale: float) -> str:
    """Unit of disparity of ``scale`` pixels in words."""
    return "disparity in pixels" if scale == 1 else f"disparity in counts of {scale:.6g} px"


def unit_words(scale: float) -> str:
    """Unit of ``scale`` metres in words."""
    names = {1.0: "metres", 0.01: "centimetres", 0.001: "millimetres"}
    return names.get(scale, f"counts of {scale:.6g} m")


def numbers_of_array(array: np.ndarray, encoding: NumberEncoding, name: str) -> DepthNumbers:
    """Numbers of an array, as the user declares them."""
    if encoding.array is not None:
        raise InputError("is one array, so 'array' has nothing to choose; leave it out", path=name)
    plain = np.ma.getdata(array)
    stored = encoding.unpack(plain, name)
    _check_offset(stored, DepthStatement(), encoding, name)
    statement = join_declared(DepthStatement(), encoding, Path(name))
    doubts = [*_doubts_about_channels(plain, encoding)]
    if encoding.offset:
        doubts += _doubts_about_zero(stored, encoding)
    is_masked = isinstance(array, np.ma.MaskedArray) and array.ndim == 2
    valid = ~np.ma.getmaskarray(array) if is_masked else None
    return DepthNumbers(
        stored=stored,
        statement=replace(statement, doubts=tuple(doubts)),
        valid=_without_marks(valid, encoding.has_whole_mark(plain, name)),
    )
