"""Names and numbers with which other programs state the unit and the range of depth.

Writers differ in case, separators and nesting: ``min``, ``Depth Min``, ``depth_min``, ``zMin``,
JSON in a text, ``{"depth": {"range": [0.5, 10]}}``, "0.5 m". All of them mean one number.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from rilievo.io.depth.units import (
    UnitInWords,
    may_describe_encoding,
    metres_of_unit_text,
    unit_of_sentence,
)
from rilievo.schema.typed_values import METRES_PER_UNIT

_ARBITRARY = ("arbitrary", "relative", "up to scale", "none", "unitless")
_NO_LENGTHS = ("px", "pixel", "pixels", "count", "counts", "raw", "dn", "")

_LOW = ("minimum", "min", "low", "lower", "vmin", "minvalue", "valuemin", "black")
_HIGH = ("maximum", "max", "high", "upper", "vmax", "maxvalue", "valuemax", "white")
_NEAR = ("near", "znear", "nearz", "nearplane", "nearclip", "clipnear", "clipstart", "planenear")
_FAR = ("far", "zfar", "farz", "farplane", "farclip", "clipfar", "clipend", "planefar")
_RANGE = ("range", "minmax", "limits", "bounds", "extent")
_UNIT = ("unit", "units", "worldunit", "worldunits")
_SCALE = ("scale",)
_OFFSET = ("offset",)
_INVALID = ("invalid", "invalidvalue", "nodata", "nodatavalue", "fillvalue", "novalue", "missing")
# Metres of a count, or counts of a metre.
_COUNTS = ("depthscale", "integerdepthscale", "depthfactor", "scalefactor", "pngdepthscale")
# Words around a name that add nothing to it.
_AROUND = ("depthmap", "depth", "range", "z", "m", "metres", "meters")
# Counts between these may be metres of a count or counts of a metre.
LEAST_COUNTS, _MOST_FRACTION = 10, 0.1
_NUMBER = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*([a-zA-Z]*)\.?\s*")
_TWO_NUMBERS = re.compile(
    r"[\[(]?\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*([a-zA-Z]*)\s*(?:,|;|\bto\b|\.\.+|-|–|\s)\s*"
    r"([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*([a-zA-Z]*)\s*[\])]?"
)
_PAIR = re.compile(r"([A-Za-z][A-Za-z _.-]*?)\s*[:=]\s*([^,;\n]+)")
_MOST_TEXT = 20_000
_DEEPEST = 3
# Texts about the program, the file or the scene say nothing of the numbers.
# fmt: off
_ABOUT_PROGRAM = (
    "artist", "author", "camera", "colorspace", "colourspace", "copyright", "creator",
    "date", "datetime", "device", "file", "filename", "frame", "host", "hostname", "id",
    "lens", "make", "model", "path", "photo", "program", "scene", "serial", "software",
    "source", "time", "timestamp", "url", "version", "writer",
)
# fmt: on
_NO = ("false", "no", "none", "off", "0")
_MOST_WORDS = 300
_MOST_ENTRIES, _MOST_SHOWN, _MOST_UNREAD = 1000, 80, 200


class StoredQuantity(Enum):
    """What numbers are, or how they lie between the ends of their range."""

    LINEAR = auto()
    """Evenly in depth."""
    DISTANCE = auto()
    """Distance along the ray."""
    INVERSE = auto()
    DISPARITY = auto()
    LOGARITHM = auto()
    BUFFER = auto()
    """Values of a z-buffer."""
    ROOT = auto()
    """Square root of depth."""

    @property
    def words(self) -> str:
        """Name of the quantity in sentences."""
        return _QUANTITY_WORDS[self]


_QUANTITY_WORDS = {
    StoredQuantity.LINEAR: "depth",
    StoredQuantity.DISTANCE: "distance along the ray",
    StoredQuantity.INVERSE: "inverse depth",
    StoredQuantity.DISPARITY: "disparity",
    StoredQuantity.LOGARITHM: "the logarithm of depth",
    StoredQuantity.BUFFER: "values of a z-buffer",
    StoredQuantity.ROOT: "the square root of depth",
}
_MEASURED_IN_METRES = (None, StoredQuantity.LINEAR, StoredQuantity.DISTANCE)
_DEPTH_WORDS = "depth|z|distances?|range|scale|space|spacing|metres|meters|encod\\w*"
# Words of each quantity, in texts of lower case without underscores and hyphens.
_PATTERNS = {
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
_ALONG_AXIS = re.compile(r"\bplan(e|ar)\b|\bax(is|ial)\b|\bnot (the )?(distance|inverse|log)")


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedNumbers:
    """What the texts of a file state about its numbers, as the file writes it.

    Attributes:
        kind: StoredQuantity, as the file names it.
        quantity: What texts call the numbers, or how they lie in the range.
        said: Text that says so.
        unit: Metres of the unit that is named, or that a number gives.
        unit_is_named: Whether the unit is a name, such as "mm".
        unit_sentence: Sentence that names the unit, if no name such as ``unit`` does.
        linear_range: Values at zero and at the largest number of the type.
        range_rounding: Half of the last digit of each of these.
        near_and_far: Values that are called near and far.
        is_moge: Whether they are named as MoGe names them.
        counts: Metres of a count (at most 0.1), or counts of a metre.
        unread_texts: Texts about depth that are not understood.
    """

    kind: str | None = None
    quantity: StoredQuantity | None = None
    said: str = ""
    unit: float | None = None
    unit_is_named: bool = False
    unit_sentence: str = ""
    is_up_to_scale: bool = False
    linear_range: tuple[float, float] | None = None
    range_rounding: tuple[float, float] = (0.0, 0.0)
    near_and_far: tuple[float, float] | None = None
    is_moge: bool = False
    scale: float | None = None
    offset: float = 0.0
    counts: float | None = None
    invalid: tuple[float, ...] = ()
    unread_texts: tuple[str, ...] = ()

    def unread_warnings(self, source: str) -> tuple[str, ...]:
        """Sentences on what was not understood."""
        return tuple(
            f"{source} says '{text}', which is not read: say 'scale' and 'offset' if it is about "
            "the numbers"
            for text in self.unread_texts
        )


def is_stated_name(name: str) -> bool:
    """Whether a name may state a unit, a range or a kind."""
    numbers = (*_LOW, *_HIGH, *_NEAR, *_FAR, *_RANGE, *_SCALE, *_OFFSET, *_INVALID, *_COUNTS)
    return bool({*_forms(name)} & {*numbers, *_UNIT, "kind", "quantity"})


def read_stated_numbers(texts: Mapping[str, Any]) -> StatedNumbers:
    """Read names with numbers: flat, nested or as JSON."""
    entries = [*_flatten(texts)]
    values: dict[str, Any] = {}
    for name, value in entries:
        for form in _forms(name):
            values.setdefault(form, value)
    unit = _first(values, _UNIT)
    words = "" if unit is None else str(unit).strip().lower()
    metres = METRES_PER_UNIT.get(words)
    named = metres is not None
    if metres is None and unit is not None:
        metres = _number(unit)
    if metres is None:
        metres = metres_of_unit_text(words)
    low, high = _first_number(values, _LOW), _first_number(values, _HIGH)
    range_rounding = (_first_rounding(values, _LOW), _first_rounding(values, _HIGH))
    pair = _pair(_first(values, _RANGE))
    if low is None and high is None and pair is not None:
        low, high = pair
        range_rounding = (0.0, 0.0)
    near, far = _first_number(values, _NEAR), _first_number(values, _FAR)
    flat = {name: value for name, value in texts.items() if isinstance(value, str | int | float)}
    scale, offset = _first_number(values, _SCALE), _first_number(values, _OFFSET)
    counts = _first_number(values, _COUNTS)
    if counts is not None and (counts <= 0 or _MOST_FRACTION < counts < LEAST_COUNTS):
        counts = None
    invalid = _first_number(values, _INVALID)
    linear_range = None if low is None or high is None else (low, high)
    near_and_far = None if near is None or far is None else (near, far)
    kind = _first(values, ("kind",))
    quantity, said = _find_quantity(entries)
    unit_sentence = ""
    if (scale, counts, metres) == (None,) * 3 and quantity in _MEASURED_IN_METRES:
        is_range = linear_range is not None or near_and_far is not None
        metres, unit_sentence = _find_unit_in_words(entries, is_plain=is_range)
    is_read = (linear_range, near_and_far, scale, counts, metres) != (
        None,
    ) * 5 or quantity is not None
    return StatedNumbers(
        kind=None if kind is None else str(kind).strip().lower().replace("-", "_"),
        quantity=quantity,
        said=said,
        unit=metres,
        unit_is_named=named,
        unit_sentence=unit_sentence,
        is_up_to_scale=words in _ARBITRARY,
        linear_range=linear_range,
        range_rounding=range_rounding,
        near_and_far=near_and_far,
        is_moge=_number(flat.get("near")) is not None and _number(flat.get("far")) is not None,
        scale=scale,
        offset=offset or 0.0,
        counts=counts,
        invalid=() if invalid is None else (invalid,),
        unread_texts=() if is_read or words in _ARBITRARY else tuple(_unread(entries)),
    )


def quantity_of_name(name: str) -> tuple[StoredQuantity | None, float | None]:
    """StoredQuantity and metres of the unit that the name of an array or channel states.

    Examples:
        >>> quantity_of_name("inverse_depth")[0]
        <StoredQuantity.INVERSE: 3>
        >>> quantity_of_name("depth_cm")
        (None, 0.01)
    """
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    parts = re.findall(r"[a-z0-9]+", spaced.lower())
    quantity = next((_NAMED_QUANTITIES[part] for part in parts if part in _NAMED_QUANTITIES), None)
    metres = METRES_PER_UNIT.get(parts[-1]) if len(parts) > 1 else None
    return quantity, metres


_NAMED_QUANTITIES = {
    **dict.fromkeys(
        ("inverse", "inv", "invdepth", "idepth", "inversedepth"), StoredQuantity.INVERSE
    ),
    **dict.fromkeys(("disparity", "disparities", "disp"), StoredQuantity.DISPARITY),
    **dict.fromkeys(("distance", "distances", "dist", "euclidean", "ray"), StoredQuantity.DISTANCE),
    **dict.fromkeys(("log", "logdepth", "logarithm"), StoredQuantity.LOGARITHM),
    **dict.fromkeys(("zbuffer", "ndc"), StoredQuantity.BUFFER),
}


def _find_quantity(entries: Sequence[tuple[str, Any]]) -> tuple[StoredQuantity | None, str]:
    """What texts call the numbers, and the text that does."""
    for name, value in entries[:_MOST_ENTRIES]:
        if isinstance(value, Mapping) or _is_about_program(name) or _says_no(value):
            continue
        text = f"{name}: {value}".strip(": ")
        if len(text) > _MOST_WORDS or "colo" in name.lower():
            continue
        plain = re.sub(r"[_-]+", " ", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)).lower()
        for quantity, pattern in _PATTERNS.items():
            if pattern.search(plain) and not _ALONG_AXIS.search(plain):
                return quantity, text[:_MOST_SHOWN]
    return None, ""


def _is_about_program(name: str) -> bool:
    parts = re.findall(r"[a-z0-9]+", name.lower())
    return bool(parts) and parts[-1] in _ABOUT_PROGRAM


def _says_no(value: Any) -> bool:
    return value is False or str(value).strip().lower() in _NO


def _flatten(texts: Mapping[str, Any], deep: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield names with values, those of JSON and of "name: value" in texts too."""
    for name, value in texts.items():
        if isinstance(value, Mapping) and deep < _DEEPEST:
            inner = [*_flatten(value, deep + 1)]
            yield from ((f"{name} {key}", item) for key, item in inner)
            # What is said of depth goes before what is said of anything else.
            if "depth" in str(name).lower() or deep == 0:
                yield from inner
        elif isinstance(value, str) and deep < _DEEPEST and len(value) < _MOST_TEXT:
            yield str(name), value
            if not _is_about_program(str(name)):
                yield from _flatten(_parse_text(value), deep + 1)
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
    return {name.strip(): value.strip() for name, value in _PAIR.findall(text)}


def _forms(name: str) -> Iterator[str]:
    """A name in lower case without separators, and without words that add nothing."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", str(name))
    parts = re.findall(r"[a-z0-9]+", spaced.lower())
    joined = "".join(parts)
    yield joined
    if joined in _COUNTS:
        # Counts of a metre have the name of a factor within theirs.
        return
    short = [part for part in parts if part not in _AROUND]
    if short and short != parts:
        yield "".join(short)
    if not short and "range" in parts:
        yield "range"
    if len(parts) > 1:
        yield "".join(part for part in parts if part not in ("value", "in"))
    for around in _AROUND:
        # Names without separators, such as mindepth or zmin.
        if joined != around and joined.startswith(around):
            yield joined[len(around) :]
        if joined != around and joined.endswith(around) and len(around) > 1:
            yield joined[: -len(around)]


def _first(values: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((values[name] for name in names if name in values), None)


def _first_number(values: Mapping[str, Any], names: Sequence[str]) -> float | None:
    numbers = (_number(values.get(name)) for name in names)
    return next((number for number in numbers if number is not None), None)


_LARGEST_POWER = 300
"""Largest power of ten of a number that has a rounding."""


def _first_rounding(values: Mapping[str, Any], names: Sequence[str]) -> float:
    """Half of the last digit of the first number among names."""
    value = next((values[name] for name in names if _number(values.get(name)) is not None), None)
    match = None if value is None else _NUMBER.fullmatch(str(value))
    if match is None:
        return 0.0
    digits, _, exponent = match[1].lower().partition("e")
    whole, _, fraction = digits.partition(".")
    # Zeros at the end of a whole number are rounded, too: 1900 mm is 1850 to 1950.
    zeros = 0 if fraction else len(whole) - len(whole.rstrip("0"))
    power = int(exponent or 0) - len(fraction) + zeros
    if abs(power) > _LARGEST_POWER:
        return 0.0
    return 0.5 * 10.0**power * METRES_PER_UNIT.get(match[2].lower(), 1.0)


def _number(value: Any) -> float | None:
    """Finite number of a value; with a unit behind it, in metres."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str):
        match = _NUMBER.fullmatch(value)
        if match is None or (match[2] and match[2].lower() not in METRES_PER_UNIT):
            return None
        return _finite(float(match[1]) * METRES_PER_UNIT.get(match[2].lower(), 1.0))
    try:
        return _finite(float(value))
    except OverflowError:
        return None


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _with_common_unit(match: re.Match[str]) -> tuple[str, str]:
    """Both numbers of a range; a unit behind the second, such as "0.5-10 m", is that of both."""
    low, low_unit, high, high_unit = match.groups()
    return f"{low} {low_unit or high_unit}", f"{high} {high_unit}"


def _pair(value: Any) -> tuple[float, float] | None:
    if isinstance(value, str):
        match = _TWO_NUMBERS.fullmatch(value.strip())
        value = None if match is None else _with_common_unit(match)
    if not isinstance(value, Sequence) or len(value) != 2:
        return None
    low, high = (_number(part) for part in value)
    return None if low is None or high is None else (low, high)


def _find_unit_in_words(
    entries: Sequence[tuple[str, Any]], *, is_plain: bool
) -> tuple[float | None, str]:
    """Metres of the unit that sentences name, and the first that does; None if they disagree."""
    found: dict[str, UnitInWords] = {}
    for sentence in _sentences(entries):
        unit = unit_of_sentence(sentence)
        if unit is not None and (unit.is_plain or not is_plain):
            found[sentence] = unit
    sizes = [unit.metres for unit in found.values()]
    if not sizes or not all(math.isclose(size, sizes[0]) for size in sizes):
        return None, ""
    return sizes[0], next(iter(found))[:_MOST_SHOWN]


def _sentences(entries: Sequence[tuple[str, Any]]) -> Iterator[str]:
    """Yield names with their texts and numbers, but for those about programs and files."""
    for name, value in entries[:_MOST_ENTRIES]:
        is_text = isinstance(value, str | int | float) and not isinstance(value, bool)
        if is_text and not _is_about_program(name):
            yield f"{name}: {value}".strip(": ")


def _unread(entries: Sequence[tuple[str, Any]]) -> Iterator[str]:
    """Yield a text with numbers that may tell how they become depth, or an unknown unit."""
    for name, value in entries[:_MOST_ENTRIES]:
        is_unit = not {*_UNIT}.isdisjoint(_forms(name)) and isinstance(value, str)
        if is_unit and value.strip().lower() not in _NO_LENGTHS:
            yield f"{name}: {value}"[:_MOST_SHOWN]
            return
    for sentence in _sentences(entries):
        if may_describe_encoding(sentence) and len(sentence) < _MOST_UNREAD:
            yield sentence[:_MOST_SHOWN]
            return
