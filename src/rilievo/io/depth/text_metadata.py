"""Parse texts in which other programs state the unit, the range and the scale of depth.

Programs differ in case, separators and nesting: ``min``, ``Depth Min``, ``depth_min``, ``zMin``,
JSON in a text, ``{"depth": {"range": [0.5, 10]}}``, "0.5 m". All of them mean one number.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from rilievo.io.depth.units import (
    ParsedUnit,
    find_unit_in_sentence,
    may_describe_encoding,
    parse_unit_text,
)
from rilievo.schema.typed_values import METRES_PER_UNIT

MIN_COUNTS_PER_METRE = 10
"""Factors from here on are counts per metre, such as 1000 and 5000."""
_MAX_COUNT = 0.1  # [m]; factors up to it are metres per count, such as 0.001

# Names as ``_name_forms`` spells them: lower case, without separators.
_LOW = ("minimum", "min", "low", "lower", "vmin", "minvalue", "valuemin", "black")
_HIGH = ("maximum", "max", "high", "upper", "vmax", "maxvalue", "valuemax", "white")
_NEAR = ("near", "znear", "nearz", "nearplane", "nearclip", "clipnear", "clipstart", "planenear")
_FAR = ("far", "zfar", "farz", "farplane", "farclip", "clipfar", "clipend", "planefar")
_RANGE = ("range", "minmax", "limits", "bounds", "extent")
_UNIT = ("unit", "units", "worldunit", "worldunits")
_SCALE = ("scale",)
_OFFSET = ("offset",)
_INVALID = ("invalid", "invalidvalue", "nodata", "nodatavalue", "fillvalue", "novalue", "missing")
_COUNTS = ("depthscale", "integerdepthscale", "depthfactor", "scalefactor", "pngdepthscale")
"""Names of metres per count, or of counts per metre; the size of the number tells which."""
_FILLERS = ("depthmap", "depth", "range", "z", "m", "metres", "meters")
"""Words in a name that add nothing to its meaning."""
# fmt: off
_ABOUT_PROGRAM = (
    "artist", "author", "camera", "colorspace", "colourspace", "copyright", "creator",
    "date", "datetime", "device", "file", "filename", "frame", "host", "hostname", "id",
    "lens", "make", "model", "path", "photo", "program", "scene", "serial", "software",
    "source", "time", "timestamp", "url", "version", "writer",
)
"""Names of texts about the program, the file or the scene, which do not describe the depth."""
# fmt: on
_ARBITRARY_UNITS = ("arbitrary", "relative", "up to scale", "none", "unitless")
_COUNT_UNITS = ("px", "pixel", "pixels", "count", "counts", "raw", "dn", "")
_NEGATIONS = ("false", "no", "none", "off", "0")

_NUMBER = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*([a-zA-Z]*)\.?\s*")
_TWO_NUMBERS = re.compile(
    r"[\[(]?\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*([a-zA-Z]*)\s*(?:,|;|\bto\b|\.\.+|-|–|\s)\s*"
    r"([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*([a-zA-Z]*)\s*[\])]?"
)
_NAME_AND_VALUE = re.compile(
    r"(?<![A-Za-z])([A-Za-z][A-Za-z_.-]*+(?: ++[A-Za-z_.-]++)*+)\s*+[:=]\s*([^,;\n]+)"
)


# Bounds on what is read of a file, and on what is quoted of it.
_MAX_PARSED_TEXT = 20_000  # [characters]
_MAX_NAMED_TEXT = 4000  # [characters] that are searched for names, which takes quadratic time
_MAX_NUMBERS_TEXT = 100  # [characters] of one or two numbers with their units
_MAX_DEPTH = 3  # nested levels
_MAX_ENTRIES = 1000  # that are searched for sentences
_MAX_SENTENCE = 300  # [characters], of a text that is searched for a quantity
_MAX_UNREAD_SENTENCE = 200  # [characters], of a text that is quoted as not understood
_MAX_QUOTED = 80  # [characters]
_MAX_EXPONENT = 300  # of ten; 10.0**power would overflow beyond it


class StoredQuantity(Enum):
    """Quantity that raw values measure, or in which codes are evenly spaced, in words."""

    LINEAR = "depth"
    DISTANCE = "distance along the ray"
    INVERSE = "inverse depth"
    DISPARITY = "disparity"
    LOGARITHM = "the logarithm of depth"
    BUFFER = "values of a z-buffer"
    ROOT = "the square root of depth"

    @property
    def is_decodable(self) -> bool:
        """Whether depth can follow from it; files name the others without their parameters."""
        return self not in (StoredQuantity.LOGARITHM, StoredQuantity.BUFFER, StoredQuantity.ROOT)


_QUANTITIES_IN_METRES = (None, StoredQuantity.LINEAR, StoredQuantity.DISTANCE)
_QUANTITY_OF_WORD = {
    **dict.fromkeys(
        ("inverse", "inv", "invdepth", "idepth", "inversedepth"), StoredQuantity.INVERSE
    ),
    **dict.fromkeys(("disparity", "disparities", "disp"), StoredQuantity.DISPARITY),
    **dict.fromkeys(("distance", "distances", "dist", "euclidean", "ray"), StoredQuantity.DISTANCE),
    **dict.fromkeys(("log", "logdepth", "logarithm"), StoredQuantity.LOGARITHM),
    **dict.fromkeys(("zbuffer", "ndc"), StoredQuantity.BUFFER),
}
"""Quantities by a word in the name of an array or channel."""
_DEPTH_WORDS = "depth|z|distances?|range|scale|space|spacing|metres|meters|encod\\w*"
_QUANTITY_PATTERNS = {
    StoredQuantity.INVERSE: re.compile(
        r"\binv(erse)?( of( the)?)? (depth|z|distance|range)\b|\breciprocal\b|\bidepth\b"
        r"|\binvdepth\b|\b1 ?/ ?(z|m|depth|met(re|er)s?)\b|\bdioptres?\b|\bdiopters?\b"
        r"|\brange ?inverse\b|^inverse\b|[:=] ?inverse$"
    ),
    StoredQuantity.DISPARITY: re.compile(r"^disparit(y|ies)\b|[:=] ?disparit(y|ies)\b"),
    StoredQuantity.LOGARITHM: re.compile(
        rf"\blog(arithm)?(ic|ically)?( of( the)?)? ?({_DEPTH_WORDS})\b|\blogarithm"
        r"|\b(log|log10|log2|ln) ?\(|^log(10|2)?$|[:=] ?log(10|2)?$"
    ),
    StoredQuantity.BUFFER: re.compile(r"\bz ?buffer\b|\bdepth buffer\b|\bndc\b|\bclip space\b"),
    StoredQuantity.ROOT: re.compile(r"\bsquare root\b|\bsqrt\b"),
    StoredQuantity.DISTANCE: re.compile(
        r"\beuclid|\bradial\b|\balong (the |each |its )?rays?\b|\bray (length|distance|depth)\b"
        r"|\boptic ?ray\b|\brange image\b"
        r"|\bdistances? (to|from) (the )?(camera|optical|projection|focal)"
        r"|^distances?$|[:=] ?distances?$"
    ),
    StoredQuantity.LINEAR: re.compile(r"\b(range ?)?linear(ly)?\b"),
}
"""Words of each quantity in a text of lower case without underscores and hyphens."""
_ALONG_AXIS = re.compile(r"\bplan(e|ar)\b|\bax(is|ial)\b|\bnot (the )?(distance|inverse|log)")
"""Words for depth along the optical axis, which rule out any other quantity that a text names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextMetadata:
    """Metadata that the texts of a depth file state, before it is checked and interpreted.

    Attributes:
        quantity: Quantity of the raw values, or in which they are evenly spaced.
        unit: Stated unit [m].
        unit_is_named: Whether the unit is a name, such as "mm".
        unit_text: Free text that names the unit, if no entry such as ``unit`` does.
        is_up_to_scale: Whether the unit is said to be arbitrary.
        range_rounding: Half a unit in the last digit of each of these.
        near_and_far: Values that are called near and far.
        has_moge_names: Whether near and far stand at the top level, as MoGe writes them.
        count_unit: Metres per count.
        invalid: Raw values that mean "no depth".
        unread_text: Text about depth that is not understood; empty if there is none.
    """

    kind: str | None = None
    quantity: StoredQuantity | None = None
    quantity_text: str = ""
    unit: float | None = None
    unit_is_named: bool = False
    unit_text: str = ""
    is_up_to_scale: bool = False
    linear_range: tuple[float, float] | None = None
    range_rounding: tuple[float, float] = (0.0, 0.0)
    near_and_far: tuple[float, float] | None = None
    has_moge_names: bool = False
    scale: float | None = None
    offset: float = 0.0
    count_unit: float | None = None
    invalid: tuple[float, ...] = ()
    unread_text: str = ""


def is_metadata_name(name: str) -> bool:
    """Whether an entry of this name may state a unit, a range or a kind."""
    ranges = (*_LOW, *_HIGH, *_NEAR, *_FAR, *_RANGE)
    metadata_names = {*ranges, *_SCALE, *_OFFSET, *_INVALID, *_COUNTS, *_UNIT, "kind", "quantity"}
    return not metadata_names.isdisjoint(_name_forms(name))


def parse_array_name(name: str) -> tuple[StoredQuantity | None, float | None]:
    """Parse the quantity and the unit [m] in the name of an array; None for what it does not name.

    Examples:
        >>> parse_array_name("inverse_depth")[0]
        <StoredQuantity.INVERSE: 'inverse depth'>
        >>> parse_array_name("depth_cm")
        (None, 0.01)
    """
    words = _split_name(name)
    quantities = [_QUANTITY_OF_WORD[word] for word in words if word in _QUANTITY_OF_WORD]
    unit = METRES_PER_UNIT.get(words[-1]) if len(words) > 1 else None
    return quantities[0] if quantities else None, unit


def parse_text_metadata(texts: Mapping[str, Any]) -> TextMetadata:
    """Parse the metadata in texts by name, whether they are flat, nested or JSON."""
    all_entries = [*_flatten(texts)]
    values = _values_by_name_form(all_entries)
    unit_value = _first_value(values, _UNIT)
    unit_word = "" if unit_value is None else str(unit_value).strip().lower()
    unit = _parse_unit(unit_value, unit_word)
    linear_range = _read_range(values)
    near, far = _first_number(values, _NEAR), _first_number(values, _FAR)
    near_and_far = None if near is None or far is None else (near, far)
    scale = _first_number(values, _SCALE)
    offset = _first_number(values, _OFFSET)
    count_unit = _read_count_unit(values)
    invalid = _first_number(values, _INVALID)
    kind = _first_value(values, ("kind",))

    # What no entry states by its name may stand in a sentence.
    entries = all_entries[:_MAX_ENTRIES]
    quantity, quantity_text = _find_quantity(entries)
    unit_text = ""
    is_unit_stated = any(number is not None for number in (scale, count_unit, unit))
    if not is_unit_stated and quantity in _QUANTITIES_IN_METRES:
        # If there is a range, the unit is that of its ends, so it must be bare, such as "mm".
        has_range = linear_range is not None or near_and_far is not None
        unit, unit_text = _find_unit_in_texts(entries, only_bare_units=has_range)

    is_up_to_scale = unit_word in _ARBITRARY_UNITS
    numbers = (linear_range, near_and_far, scale, count_unit, unit)
    has_numbers = any(number is not None for number in numbers)
    is_understood = has_numbers or quantity is not None or is_up_to_scale
    return TextMetadata(
        kind=None if kind is None else str(kind).strip().lower().replace("-", "_"),
        quantity=quantity,
        quantity_text=quantity_text,
        unit=unit,
        unit_is_named=unit_word in METRES_PER_UNIT,
        unit_text=unit_text,
        is_up_to_scale=is_up_to_scale,
        linear_range=linear_range,
        range_rounding=(_rounding_of_number(values, _LOW), _rounding_of_number(values, _HIGH)),
        near_and_far=near_and_far,
        has_moge_names=_has_number(texts, "near") and _has_number(texts, "far"),
        scale=scale,
        offset=offset or 0.0,
        count_unit=count_unit,
        invalid=() if invalid is None else (invalid,),
        unread_text="" if is_understood else _find_unread_text(entries),
    )


# Entries of texts, and forms of their names.


def _values_by_name_form(entries: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Collect the values of entries by all spellings of their names; the first entry counts."""
    values: dict[str, Any] = {}
    for name, value in entries:
        for form in _name_forms(name):
            values.setdefault(form, value)
    return values


def _flatten(texts: Mapping[str, Any], level: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield all (name, value) pairs, including those in nested mappings and parsed from texts.

    A nested entry is yielded with its parent's name in front, such as "depth min", so that it is
    not confused with an entry about something else. If the parent is about depth, it is also
    yielded under its own name alone.
    """
    for name, value in texts.items():
        if isinstance(value, Mapping) and level < _MAX_DEPTH:
            nested_entries = [*_flatten(value, level + 1)]
            yield from ((f"{name} {key}", nested) for key, nested in nested_entries)
            if "depth" in str(name).lower() or level == 0:
                yield from nested_entries
        elif isinstance(value, str) and level < _MAX_DEPTH and len(value) < _MAX_PARSED_TEXT:
            yield str(name), value
            if not _is_about_program(str(name)):
                yield from _flatten(_parse_text(value), level + 1)
        else:
            yield str(name), value


def _parse_text(text: str) -> Mapping[str, Any]:
    """Parse names and values from JSON, or from "name: value" and "name=value"."""
    if text.lstrip()[:1] == "{":
        try:
            entries = json.loads(text)
        except (ValueError, RecursionError):
            entries = None
        if isinstance(entries, dict):
            return entries
    matches = _NAME_AND_VALUE.findall(text[:_MAX_NAMED_TEXT])
    return {name.strip(): value.strip() for name, value in matches}


def _name_forms(name: str) -> Iterator[str]:
    """Yield the normalized spellings of a name: lower case, no separators, without filler words.

    "Depth Min" and "zMin" both yield "min", for example.
    """
    words = _split_name(str(name))
    joined = "".join(words)
    yield joined
    if joined in _COUNTS:
        return  # "depth_scale" has a meaning of its own, which is not that of "scale".

    essential_words = [word for word in words if word not in _FILLERS]
    if essential_words and essential_words != words:
        yield "".join(essential_words)
    if not essential_words and "range" in words:
        yield "range"
    if len(words) > 1:
        yield "".join(word for word in words if word not in ("value", "in"))
    yield from _without_joined_fillers(joined)


def _without_joined_fillers(joined: str) -> Iterator[str]:
    """Yield a name without a filler at its beginning or end, such as "min" for mindepth or zmin.

    A single letter at the end, such as the m of "minimum", is no filler.
    """
    for filler in _FILLERS:
        if joined == filler:
            continue
        if joined.startswith(filler):
            yield joined.removeprefix(filler)
        if joined.endswith(filler) and len(filler) > 1:
            yield joined.removesuffix(filler)


def _split_name(name: str) -> list[str]:
    """Split a name into lower-case words at separators and inner capital letters."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return re.findall(r"[a-z0-9]+", spaced.lower())


def _is_about_program(name: str) -> bool:
    """Whether a text of this name is about the program, the file or the scene."""
    words = re.findall(r"[a-z0-9]+", name.lower())
    return bool(words) and words[-1] in _ABOUT_PROGRAM


# Units, ranges and numbers.


def _parse_unit(value: Any, text: str) -> float | None:
    """Parse a unit [m], given by its name, a number, or words such as "tenths of mm"."""
    if text in METRES_PER_UNIT:
        return METRES_PER_UNIT[text]
    number = None if value is None else _parse_number(value)
    return parse_unit_text(text) if number is None else number


def _read_range(values: Mapping[str, Any]) -> tuple[float, float] | None:
    """Read minimum and maximum, from an entry for each or from one entry such as "range"."""
    low, high = _first_number(values, _LOW), _first_number(values, _HIGH)
    if low is None and high is None:
        return _parse_pair(_first_value(values, _RANGE))
    return None if low is None or high is None else (low, high)


def _read_count_unit(values: Mapping[str, Any]) -> float | None:
    """Read the metres per count, which files state directly or as counts per metre.

    Return None if the number is neither small enough for the one nor large enough for the other.
    """
    number = _first_number(values, _COUNTS)
    if number is None or number <= 0:
        return None
    if number <= _MAX_COUNT:
        return number
    return 1 / number if number >= MIN_COUNTS_PER_METRE else None


def _has_number(texts: Mapping[str, Any], name: str) -> bool:
    return _parse_number(texts.get(name)) is not None


def _first_value(values: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((values[name] for name in names if name in values), None)


def _first_number(values: Mapping[str, Any], names: Sequence[str]) -> float | None:
    """Return the number of the first name that has one, in metres if it is followed by a unit."""
    numbers = (_parse_number(values.get(name)) for name in names)
    return next((number for number in numbers if number is not None), None)


def _rounding_of_number(values: Mapping[str, Any], names: Sequence[str]) -> float:
    """Return the rounding error of the first number with one of the names, as a file writes it.

    That is half a unit in its last significant digit, in metres if it is followed by a unit. Return
    0 if no name has a number.
    """
    name = next((name for name in names if _has_number(values, name)), None)
    match = None if name is None else _match_numbers(_NUMBER, str(values[name]))
    if match is None:
        return 0.0
    digits, _, exponent = match[1].lower().partition("e")
    integer_part, _, fraction = digits.partition(".")
    # Trailing zeros of an integer are rounded, too: 1900 mm is 1850 to 1950.
    trailing_zeros = 0 if fraction else len(integer_part) - len(integer_part.rstrip("0"))
    power_of_last_digit = int(exponent or 0) - len(fraction) + trailing_zeros
    if abs(power_of_last_digit) > _MAX_EXPONENT:
        return 0.0
    metres_per_unit = METRES_PER_UNIT.get(match[2].lower(), 1.0)
    return 0.5 * 10.0**power_of_last_digit * metres_per_unit


def _parse_number(value: Any) -> float | None:
    """Parse a finite number, in metres if it is followed by a unit; None if it is not a number."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str):
        number = _parse_length(value)
        return number if number is not None and math.isfinite(number) else None
    try:
        number = float(value)
    except OverflowError:  # an integer that is too large for a float
        return None
    return number if math.isfinite(number) else None


def _parse_length(text: str) -> float | None:
    """Parse a number that may be followed by a unit, such as "0.5 m" or "50cm", in metres.

    Return None if the text is no number, or if its unit is unknown.
    """
    match = _match_numbers(_NUMBER, text)
    if match is None:
        return None
    number, unit = float(match[1]), match[2].lower()
    if not unit:
        return number
    return number * METRES_PER_UNIT[unit] if unit in METRES_PER_UNIT else None


def _parse_pair(value: Any) -> tuple[float, float] | None:
    """Parse both numbers of a range; a single unit at the end, as in "0.5-10 m", is that of both.

    Return None if the value is no pair of numbers.
    """
    if isinstance(value, str):
        match = _match_numbers(_TWO_NUMBERS, value.strip())
        if match is None:
            return None
        low, low_unit, high, high_unit = match.groups()
        value = (f"{low} {low_unit or high_unit}", f"{high} {high_unit}")
    if not isinstance(value, Sequence) or len(value) != 2:
        return None
    low_number, high_number = (_parse_number(end) for end in value)
    return None if low_number is None or high_number is None else (low_number, high_number)


def _match_numbers(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """Match a whole text; longer texts are no numbers, and the patterns would take minutes."""
    return pattern.fullmatch(text) if len(text) <= _MAX_NUMBERS_TEXT else None


# Sentences.


def _find_quantity(entries: Sequence[tuple[str, Any]]) -> tuple[StoredQuantity | None, str]:
    """Find the quantity that a text names, and the text that names it.

    Return None and an empty text if no text names one.
    """
    for name, value in entries:
        if isinstance(value, Mapping) or _is_about_program(name) or _is_negation(value):
            continue
        text = f"{name}: {value}".strip(": ")
        is_about_colour = "colo" in name.lower()
        if len(text) > _MAX_SENTENCE or is_about_colour:
            continue
        quantity = _quantity_in_sentence(text)
        if quantity is not None:
            return quantity, text[:_MAX_QUOTED]
    return None, ""


def _quantity_in_sentence(sentence: str) -> StoredQuantity | None:
    """Find the quantity that a sentence names; None if it names none, or depth along the axis."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", sentence)
    words = re.sub(r"[_-]+", " ", spaced).lower()
    if _ALONG_AXIS.search(words):
        return None
    for quantity, pattern in _QUANTITY_PATTERNS.items():
        if pattern.search(words):
            return quantity
    return None


def _is_negation(value: Any) -> bool:
    """Whether a value says that something is not so, as "none" does."""
    return value is False or str(value).strip().lower() in _NEGATIONS


def _find_unit_in_texts(
    entries: Sequence[tuple[str, Any]], *, only_bare_units: bool
) -> tuple[float | None, str]:
    """Find the unit [m] that sentences name, and the first sentence that names it.

    Return None and an empty text if no sentence names a unit, or if they disagree.
    """
    unit_by_sentence: dict[str, ParsedUnit] = {}
    for sentence in _sentences(entries):
        unit = find_unit_in_sentence(sentence)
        if unit is not None and (unit.is_bare or not only_bare_units):
            unit_by_sentence[sentence] = unit
    if not unit_by_sentence:
        return None, ""
    first_sentence = next(iter(unit_by_sentence))
    metres = unit_by_sentence[first_sentence].metres
    if not all(math.isclose(unit.metres, metres) for unit in unit_by_sentence.values()):
        return None, ""
    return metres, first_sentence[:_MAX_QUOTED]


def _sentences(entries: Sequence[tuple[str, Any]]) -> Iterator[str]:
    """Yield each entry as "name: value", except entries about programs and files."""
    for name, value in entries:
        is_text = isinstance(value, str | int | float) and not isinstance(value, bool)
        if is_text and not _is_about_program(name):
            yield f"{name}: {value}".strip(": ")


def _find_unread_text(entries: Sequence[tuple[str, Any]]) -> str:
    """Find a text that was not understood: an unknown unit, or else words on the encoding.

    Return an empty text if there is none.
    """
    for name, value in entries:
        is_unit_text = isinstance(value, str) and not {*_UNIT}.isdisjoint(_name_forms(name))
        if is_unit_text and value.strip().lower() not in _COUNT_UNITS:
            return f"{name}: {value}"[:_MAX_QUOTED]
    for sentence in _sentences(entries):
        if may_describe_encoding(sentence) and len(sentence) < _MAX_UNREAD_SENTENCE:
            return sentence[:_MAX_QUOTED]
    return ""
