"""Names and numbers with which other programs state the unit and the range of depth.

Writers differ in case, separators and nesting: ``min``, ``Depth Min``, ``depth_min``, ``zMin``,
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
    SentenceUnit,
    may_describe_encoding,
    metres_of_unit_text,
    unit_of_sentence,
)
from rilievo.schema.typed_values import METRES_PER_UNIT

MIN_COUNTS_PER_METRE = 10
"""Larger factors are counts of a metre, such as 1000 and 5000."""
_MAX_COUNT = 0.1  # [m]; smaller factors are metres of a count, such as 0.001

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
"""Names of metres of a count, or of counts of a metre; the number tells which."""
_FILLERS = ("depthmap", "depth", "range", "z", "m", "metres", "meters")
"""Words beside a name that add nothing to it."""
# fmt: off
_ABOUT_PROGRAM = (
    "artist", "author", "camera", "colorspace", "colourspace", "copyright", "creator",
    "date", "datetime", "device", "file", "filename", "frame", "host", "hostname", "id",
    "lens", "make", "model", "path", "photo", "program", "scene", "serial", "software",
    "source", "time", "timestamp", "url", "version", "writer",
)
"""Names of texts about the program, the file or the scene, which say nothing of the numbers."""
# fmt: on
_ARBITRARY_UNITS = ("arbitrary", "relative", "up to scale", "none", "unitless")
_COUNT_UNITS = ("px", "pixel", "pixels", "count", "counts", "raw", "dn", "")
_NEGATIONS = ("false", "no", "none", "off", "0")

_NUMBER = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*([a-zA-Z]*)\.?\s*")
_TWO_NUMBERS = re.compile(
    r"[\[(]?\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*([a-zA-Z]*)\s*(?:,|;|\bto\b|\.\.+|-|–|\s)\s*"
    r"([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*([a-zA-Z]*)\s*[\])]?"
)
_NAME_AND_VALUE = re.compile(r"([A-Za-z][A-Za-z _.-]*?)\s*[:=]\s*([^,;\n]+)")

# Bounds on what is read of a file, and on what is quoted of it.
_MAX_PARSED_TEXT = 20_000  # [characters]
_MAX_DEPTH = 3  # nested levels
_MAX_ENTRIES = 1000
_MAX_SENTENCE = 300  # [characters], of a text that is searched for a quantity
_MAX_UNREAD_SENTENCE = 200  # [characters], of a text that is quoted as not understood
_MAX_QUOTED = 80  # [characters]
_MAX_EXPONENT = 300  # power of ten of a number whose rounding is known


class StoredQuantity(Enum):
    """What numbers are, or how they lie between the ends of their range; values are their names."""

    LINEAR = "depth"
    DISTANCE = "distance along the ray"
    INVERSE = "inverse depth"
    DISPARITY = "disparity"
    LOGARITHM = "the logarithm of depth"
    BUFFER = "values of a z-buffer"
    ROOT = "the square root of depth"


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
"""Words of depth along the axis, which deny another quantity that the text names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedNumbers:
    """What the texts of a file state about its numbers, as the file writes it.

    Attributes:
        kind: Kind as the file names it.
        quantity: What texts call the numbers, or how they say that these lie in the range.
        quantity_text: Text that says so.
        unit: Metres of the unit that is named, or that a number gives.
        unit_is_named: Whether the unit is a name, such as "mm".
        unit_sentence: Sentence that names the unit, if no name such as ``unit`` does.
        is_up_to_scale: Whether the unit is said to be arbitrary.
        linear_range: Values at zero and at the largest number of the type.
        range_rounding: Half of the last digit of each of these.
        near_and_far: Values that are called near and far.
        has_moge_names: Whether these stand at the top level, as MoGe writes them.
        scale: Factor of the numbers.
        offset: Summand after the factor.
        count_unit: Metres of a count.
        invalid: Numbers that mean "no depth".
        unread_texts: Texts about depth that are not understood.
    """

    kind: str | None = None
    quantity: StoredQuantity | None = None
    quantity_text: str = ""
    unit: float | None = None
    unit_is_named: bool = False
    unit_sentence: str = ""
    is_up_to_scale: bool = False
    linear_range: tuple[float, float] | None = None
    range_rounding: tuple[float, float] = (0.0, 0.0)
    near_and_far: tuple[float, float] | None = None
    has_moge_names: bool = False
    scale: float | None = None
    offset: float = 0.0
    count_unit: float | None = None
    invalid: tuple[float, ...] = ()
    unread_texts: tuple[str, ...] = ()

    def unread_warnings(self, source: str) -> tuple[str, ...]:
        """Sentences on texts of a source that were not understood."""
        return tuple(
            f"{source} says '{text}', which is not read: say 'scale' and 'offset' if it is about "
            "the numbers"
            for text in self.unread_texts
        )


def is_stated_name(name: str) -> bool:
    """Whether an entry of this name may state a unit, a range or a kind."""
    numbers = (*_LOW, *_HIGH, *_NEAR, *_FAR, *_RANGE, *_SCALE, *_OFFSET, *_INVALID, *_COUNTS)
    return not {*numbers, *_UNIT, "kind", "quantity"}.isdisjoint(_name_forms(name))


def quantity_of_name(name: str) -> tuple[StoredQuantity | None, float | None]:
    """Quantity and unit [m] that the name of an array or channel states; None if it does not.

    Examples:
        >>> quantity_of_name("inverse_depth")[0]
        <StoredQuantity.INVERSE: 'inverse depth'>
        >>> quantity_of_name("depth_cm")
        (None, 0.01)
    """
    words = _words_of_name(name)
    quantities = [_QUANTITY_OF_WORD[word] for word in words if word in _QUANTITY_OF_WORD]
    unit = METRES_PER_UNIT.get(words[-1]) if len(words) > 1 else None
    return quantities[0] if quantities else None, unit


def read_stated_numbers(texts: Mapping[str, Any]) -> StatedNumbers:
    """Read what texts state about the numbers of a file, whether flat, nested or as JSON."""
    entries = [*_flatten(texts)]
    values: dict[str, Any] = {}
    for name, value in entries:
        for form in _name_forms(name):
            values.setdefault(form, value)

    unit_value = _first_value(values, _UNIT)
    unit_text = "" if unit_value is None else str(unit_value).strip().lower()
    unit = _metres_of_unit(unit_value, unit_text)
    linear_range = _read_range(values)
    near, far = _first_number(values, _NEAR), _first_number(values, _FAR)
    near_and_far = None if near is None or far is None else (near, far)
    scale, offset = _first_number(values, _SCALE), _first_number(values, _OFFSET)
    count_unit = _read_count_unit(values)
    invalid = _first_number(values, _INVALID)
    kind = _first_value(values, ("kind",))
    quantity, quantity_text = _find_quantity(entries)

    unit_sentence = ""
    has_unit = (scale, count_unit, unit) != (None, None, None)
    if not has_unit and quantity in _QUANTITIES_IN_METRES:
        # Beside a range, only a bare unit such as "mm" can be that of its ends.
        has_range = linear_range is not None or near_and_far is not None
        unit, unit_sentence = _find_unit_sentence(entries, only_bare_units=has_range)

    is_up_to_scale = unit_text in _ARBITRARY_UNITS
    has_numbers = (linear_range, near_and_far, scale, count_unit, unit) != (None,) * 5
    is_understood = has_numbers or quantity is not None or is_up_to_scale
    return StatedNumbers(
        kind=None if kind is None else str(kind).strip().lower().replace("-", "_"),
        quantity=quantity,
        quantity_text=quantity_text,
        unit=unit,
        unit_is_named=unit_text in METRES_PER_UNIT,
        unit_sentence=unit_sentence,
        is_up_to_scale=is_up_to_scale,
        linear_range=linear_range,
        range_rounding=(_rounding_of_number(values, _LOW), _rounding_of_number(values, _HIGH)),
        near_and_far=near_and_far,
        has_moge_names=_has_number(texts, "near") and _has_number(texts, "far"),
        scale=scale,
        offset=offset or 0.0,
        count_unit=count_unit,
        invalid=() if invalid is None else (invalid,),
        unread_texts=() if is_understood else tuple(_find_unread_text(entries)),
    )


# Entries of texts, and forms of their names.


def _flatten(texts: Mapping[str, Any], level: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield names with values, also those of JSON and of "name: value" within texts."""
    for name, value in texts.items():
        if isinstance(value, Mapping) and level < _MAX_DEPTH:
            inner = [*_flatten(value, level + 1)]
            yield from ((f"{name} {key}", item) for key, item in inner)
            # What is said of depth goes before what is said of anything else.
            if "depth" in str(name).lower() or level == 0:
                yield from inner
        elif isinstance(value, str) and level < _MAX_DEPTH and len(value) < _MAX_PARSED_TEXT:
            yield str(name), value
            if not _is_about_program(str(name)):
                yield from _flatten(_parse_text(value), level + 1)
        else:
            yield str(name), value


def _parse_text(text: str) -> Mapping[str, Any]:
    """Names and values of JSON, or of "name: value" and "name=value"."""
    if text.lstrip()[:1] == "{":
        try:
            entries = json.loads(text)
        except (ValueError, RecursionError):
            entries = None
        if isinstance(entries, dict):
            return entries
    return {name.strip(): value.strip() for name, value in _NAME_AND_VALUE.findall(text)}


def _name_forms(name: str) -> Iterator[str]:
    """Yield a name in lower case without separators, and without words that add nothing."""
    words = _words_of_name(str(name))
    joined = "".join(words)
    yield joined
    if joined in _COUNTS:
        return  # "depth_scale" is not "scale".

    essential = [word for word in words if word not in _FILLERS]
    if essential and essential != words:
        yield "".join(essential)
    if not essential and "range" in words:
        yield "range"
    if len(words) > 1:
        yield "".join(word for word in words if word not in ("value", "in"))
    for filler in _FILLERS:
        # Names without separators, such as mindepth or zmin.
        if joined != filler and joined.startswith(filler):
            yield joined[len(filler) :]
        if joined != filler and joined.endswith(filler) and len(filler) > 1:
            yield joined[: -len(filler)]


def _words_of_name(name: str) -> list[str]:
    """Words of a name in lower case, which separators, or capital letters inside it, begin."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return re.findall(r"[a-z0-9]+", spaced.lower())


def _is_about_program(name: str) -> bool:
    """Whether a text of this name is about the program, the file or the scene."""
    words = re.findall(r"[a-z0-9]+", name.lower())
    return bool(words) and words[-1] in _ABOUT_PROGRAM


# Units, ranges and numbers.


def _metres_of_unit(value: Any, text: str) -> float | None:
    """Metres of a unit, by its name, by a number, or by a text such as "tenths of mm"."""
    if text in METRES_PER_UNIT:
        return METRES_PER_UNIT[text]
    number = None if value is None else _parse_number(value)
    return metres_of_unit_text(text) if number is None else number


def _read_range(values: Mapping[str, Any]) -> tuple[float, float] | None:
    """Least and largest value, by a name for each, or else by one for both."""
    low, high = _first_number(values, _LOW), _first_number(values, _HIGH)
    if low is None and high is None:
        return _parse_pair(_first_value(values, _RANGE))
    return None if low is None or high is None else (low, high)


def _read_count_unit(values: Mapping[str, Any]) -> float | None:
    """Metres of a count; None between what a count has and what a metre has of them."""
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
    """Number of the first name that has one, in metres if a unit stands behind it."""
    numbers = (_parse_number(values.get(name)) for name in names)
    return next((number for number in numbers if number is not None), None)


def _rounding_of_number(values: Mapping[str, Any], names: Sequence[str]) -> float:
    """Half of the last digit of the first number that has one of the names; 0 without one."""
    name = next((name for name in names if _has_number(values, name)), None)
    match = None if name is None else _NUMBER.fullmatch(str(values[name]))
    if match is None:
        return 0.0
    digits, _, exponent = match[1].lower().partition("e")
    whole, _, fraction = digits.partition(".")
    # Zeros at the end of a whole number are rounded, too: 1900 mm is 1850 to 1950.
    zeros = 0 if fraction else len(whole) - len(whole.rstrip("0"))
    power = int(exponent or 0) - len(fraction) + zeros
    if abs(power) > _MAX_EXPONENT:
        return 0.0
    return 0.5 * 10.0**power * METRES_PER_UNIT.get(match[2].lower(), 1.0)


def _parse_number(value: Any) -> float | None:
    """Finite number of a value, in metres if a unit stands behind it; None if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = _parse_length(value) if isinstance(value, str) else float(value)
    except OverflowError:
        return None
    return number if number is not None and math.isfinite(number) else None


def _parse_length(text: str) -> float | None:
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    unit = match[2].lower()
    if unit and unit not in METRES_PER_UNIT:
        return None
    return float(match[1]) * METRES_PER_UNIT.get(unit, 1.0)


def _parse_pair(value: Any) -> tuple[float, float] | None:
    """Both numbers of a range; a unit behind the second, as in "0.5-10 m", is that of both."""
    if isinstance(value, str):
        match = _TWO_NUMBERS.fullmatch(value.strip())
        if match is None:
            return None
        low, low_unit, high, high_unit = match.groups()
        value = (f"{low} {low_unit or high_unit}", f"{high} {high_unit}")
    if not isinstance(value, Sequence) or len(value) != 2:
        return None
    first, second = (_parse_number(part) for part in value)
    return None if first is None or second is None else (first, second)


# Sentences.


def _find_quantity(entries: Sequence[tuple[str, Any]]) -> tuple[StoredQuantity | None, str]:
    """Find what texts call the numbers, and the text that does."""
    for name, value in entries[:_MAX_ENTRIES]:
        if isinstance(value, Mapping) or _is_about_program(name) or _is_negation(value):
            continue
        text = f"{name}: {value}".strip(": ")
        if len(text) > _MAX_SENTENCE or "colo" in name.lower():
            continue
        spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)
        words = re.sub(r"[_-]+", " ", spaced).lower()
        if _ALONG_AXIS.search(words):
            continue
        for quantity, pattern in _QUANTITY_PATTERNS.items():
            if pattern.search(words):
                return quantity, text[:_MAX_QUOTED]
    return None, ""


def _is_negation(value: Any) -> bool:
    """Whether a value says that something is not so, as "none" does."""
    return value is False or str(value).strip().lower() in _NEGATIONS


def _find_unit_sentence(
    entries: Sequence[tuple[str, Any]], *, only_bare_units: bool
) -> tuple[float | None, str]:
    """Find the unit [m] that sentences name, and the first that does; None if they disagree."""
    units: dict[str, SentenceUnit] = {}
    for sentence in _sentences(entries):
        unit = unit_of_sentence(sentence)
        if unit is not None and (unit.is_bare or not only_bare_units):
            units[sentence] = unit
    if not units:
        return None, ""
    first_sentence = next(iter(units))
    metres = units[first_sentence].metres
    if not all(math.isclose(unit.metres, metres) for unit in units.values()):
        return None, ""
    return metres, first_sentence[:_MAX_QUOTED]


def _sentences(entries: Sequence[tuple[str, Any]]) -> Iterator[str]:
    """Yield names with their texts and numbers, but for those about programs and files."""
    for name, value in entries[:_MAX_ENTRIES]:
        is_text = isinstance(value, str | int | float) and not isinstance(value, bool)
        if is_text and not _is_about_program(name):
            yield f"{name}: {value}".strip(": ")


def _find_unread_text(entries: Sequence[tuple[str, Any]]) -> Iterator[str]:
    """Yield an unknown unit, or else a sentence that may tell how numbers become depth."""
    for name, value in entries[:_MAX_ENTRIES]:
        is_unit = isinstance(value, str) and not {*_UNIT}.isdisjoint(_name_forms(name))
        if is_unit and value.strip().lower() not in _COUNT_UNITS:
            yield f"{name}: {value}"[:_MAX_QUOTED]
            return
    for sentence in _sentences(entries):
        if may_describe_encoding(sentence) and len(sentence) < _MAX_UNREAD_SENTENCE:
            yield sentence[:_MAX_QUOTED]
            return
