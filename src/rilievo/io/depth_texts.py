"""Names and numbers with which other programs state the unit and the range of depth.

Writers differ in case, separators and nesting: ``min``, ``Depth Min``, ``depth_min``, ``zMin``,
JSON in a text, ``{"depth": {"range": [0.5, 10]}}``, "0.5 m". All of them mean one number.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rilievo.schema.typed_values import METRES_PER_UNIT

_ARBITRARY = ("arbitrary", "relative", "up to scale", "none", "unitless")

_LOW = ("minimum", "min", "low", "lower", "vmin", "minvalue", "valuemin")
_HIGH = ("maximum", "max", "high", "upper", "vmax", "maxvalue", "valuemax")
_NEAR = ("near", "znear", "nearz", "nearplane", "nearclip", "clipnear", "clipstart", "planenear")
_FAR = ("far", "zfar", "farz", "farplane", "farclip", "clipfar", "clipend", "planefar")
_RANGE = ("range", "minmax", "limits", "bounds", "extent")
_UNIT = ("unit", "units")
_SCALE = ("scale",)
_OFFSET = ("offset",)
_INVALID = ("invalid", "invalidvalue", "nodata", "nodatavalue", "fillvalue", "novalue", "missing")
# Metres of a count, or counts of a metre.
_COUNTS = ("depthscale", "integerdepthscale", "depthfactor", "scalefactor", "pngdepthscale")
# Words around a name that add nothing to it.
_AROUND = ("depthmap", "depth", "range", "z", "m", "metres", "meters")
# Counts between these may be metres of a count or counts of a metre.
_LEAST_COUNTS, _MOST_FRACTION = 10, 0.1
_NUMBER = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*([a-zA-Z]*)\.?\s*")
_PAIR = re.compile(r"([A-Za-z][A-Za-z _.-]*?)\s*[:=]\s*([^,;\n]+)")
_ABOUT_DEPTH = re.compile(
    r"depth|range|metre|meter|millimet|centimet|near|far\b|scale|unit|\bmin|\bmax", re.IGNORECASE
)
_MOST_TEXT = 20_000
_DEEPEST = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedNumbers:
    """What the texts of a file state about its numbers, as the file writes it.

    Attributes:
        kind: Quantity, as the file names it.
        unit: Metres of the unit that is named, or that a number gives.
        unit_is_named: Whether the unit is a name, such as "mm".
        span: Values at zero and at the largest number of the type.
        near_and_far: Values that are called near and far.
        is_moge: Whether they are named as MoGe names them.
        counts: Metres of a count (at most 0.1), or counts of a metre.
        unread: Texts about depth that are not understood.
    """

    kind: str | None = None
    unit: float | None = None
    unit_is_named: bool = False
    is_up_to_scale: bool = False
    span: tuple[float, float] | None = None
    near_and_far: tuple[float, float] | None = None
    is_moge: bool = False
    scale: float | None = None
    offset: float = 0.0
    counts: float | None = None
    invalid: tuple[float, ...] = ()
    unread: tuple[str, ...] = ()

    def doubts(self, place: str) -> tuple[str, ...]:
        """Sentences on what was not understood."""
        return tuple(
            f"{place} says '{text}', which is not read: say 'scale' and 'offset' if it is about "
            "the numbers"
            for text in self.unread
        )


def is_stated_name(name: str) -> bool:
    """Whether a name may state a unit, a range or a kind."""
    known = (*_LOW, *_HIGH, *_NEAR, *_FAR, *_UNIT, *_SCALE, *_OFFSET, *_INVALID, *_COUNTS, "kind")
    return bool({*_forms(name)} & {*known})


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
    low, high = _first_number(values, _LOW), _first_number(values, _HIGH)
    pair = _pair(_first(values, _RANGE))
    if low is None and high is None and pair is not None:
        low, high = pair
    near, far = _first_number(values, _NEAR), _first_number(values, _FAR)
    flat = {name: value for name, value in texts.items() if isinstance(value, str | int | float)}
    scale, offset = _first_number(values, _SCALE), _first_number(values, _OFFSET)
    counts = _first_number(values, _COUNTS)
    if counts is not None and (counts <= 0 or _MOST_FRACTION < counts < _LEAST_COUNTS):
        counts = None
    invalid = _first_number(values, _INVALID)
    span = None if low is None or high is None else (low, high)
    near_and_far = None if near is None or far is None else (near, far)
    is_read = (span, near_and_far, scale, counts, metres) != (None,) * 5
    kind = _first(values, ("kind",))
    return StatedNumbers(
        kind=None if kind is None else str(kind).strip().lower().replace("-", "_"),
        unit=metres,
        unit_is_named=named,
        is_up_to_scale=words in _ARBITRARY,
        span=span,
        near_and_far=near_and_far,
        is_moge=_number(flat.get("near")) is not None and _number(flat.get("far")) is not None,
        scale=scale,
        offset=offset or 0.0,
        counts=counts,
        invalid=() if invalid is None else (invalid,),
        unread=() if is_read or words in _ARBITRARY else tuple(_unread(entries)),
    )


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


def _pair(value: Any) -> tuple[float, float] | None:
    if isinstance(value, str):
        value = re.findall(r"[-+]?[\d.]+(?:[eE][-+]?\d+)?", value)
    if not isinstance(value, Sequence) or len(value) != 2:
        return None
    low, high = (_number(part) for part in value)
    return None if low is None or high is None else (low, high)


def _unread(entries: Sequence[tuple[str, Any]]) -> Iterator[str]:
    """Yield texts with numbers that speak of depth."""
    for name, value in entries[:1000]:
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            continue
        text = f"{name}: {value}".strip(": ")
        if _ABOUT_DEPTH.search(text) and re.search(r"\d", str(value)) and len(text) < 200:
            yield text[:80]
            return
