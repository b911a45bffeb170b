"""Find the unit of depth in free text, such as "depth [cm]" or "values in 0.1 mm".

Programs describe their values in words: "16-bit depth, millimetres", "1 count = 0.2 mm",
"256 counts per metre", "depth in metres, multiplied by 5000", "Tiefe in cm". A sentence counts if
it is about depth or values, and if the unit explains every number in it, apart from unrelated
numbers such as bits, sizes and dates.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from rilievo.schema.typed_values import METRES_PER_UNIT

COMMON_UNITS = (1.0, 0.001, 0.01, 0.0001, 1 / 256, 1 / 5000, 1 / 4000)
"""Metres of one number in files of known programs and datasets."""

_FOREIGN_UNITS = {
    "mikrometer": 1e-6,
    "micrometres": 1e-6,
    "millimetern": 1e-3,
    "milimetro": 1e-3,
    "milimetros": 1e-3,
    "millimetri": 1e-3,
    "zentimeter": 1e-2,
    "zentimetern": 1e-2,
    "centimetro": 1e-2,
    "centimetros": 1e-2,
    "centimetri": 1e-2,
    "dezimeter": 1e-1,
    "dezimetern": 1e-1,
    "metern": 1.0,
    "metro": 1.0,
    "metros": 1.0,
    "metri": 1.0,
    "zoll": 0.0254,
}
"""Names of units in German, French, Spanish and Italian, without accents."""
_METRES_OF_NAME = {
    **{unicodedata.normalize("NFKC", name): size for name, size in METRES_PER_UNIT.items()},
    **_FOREIGN_UNITS,
}
_MIN_COUNTS_PER_UNIT = 10  # below it, "1 per m" may mean inverse depth
_MAX_SENTENCE = 300  # [characters]
_MAX_EXAMINED_LENGTH = 2000  # [characters], since some patterns below take quadratic time
_FRACTIONS = {"half": 0.5, "tenth": 0.1, "hundredth": 0.01, "thousandth": 0.001}

# Parts of the patterns. "in" is a word before it is a unit, and one quotation mark is neither.
_NAMES = [name for name in _METRES_OF_NAME if name.isalpha() and name != "in"]
_UNIT = rf"(?P<unit>{'|'.join(sorted(_NAMES, key=len, reverse=True))})(?![\w/^²³])"
_NUMBER = r"(?:\d+(?:\.\d*)?|\.\d+)(?:e[-+]?\d+)?"
_AMOUNT = (
    rf"(?:(?P<amount>{_NUMBER}(?:\s*/\s*{_NUMBER})?)\s*"
    r"|(?:an? |one )?(?P<part>half|tenth|hundredth|thousandth)s? (?:of )?(?:an? |one )?)"
)
_LENGTH = rf"{_AMOUNT}?{_UNIT}"
_COUNT = (
    r"(?:counts?|units?|lsb|digits?|steps?|levels?|(?:grey|gray) (?:levels?|values?)|dn|values?)"
)
_EQUALS = r"(?:\s*[:=]\s*|\s+is\s+|\s+are\s+|\s+of\s+|\s+equals\s+|\s+corresponds to\s+|\s+)"
_LENGTH_OF_COUNT = tuple(
    re.compile(pattern)
    for pattern in (
        rf"\b(?:1|one|each|every|per|a) {_COUNT}{_EQUALS}{_LENGTH}",
        rf"\blsb{_EQUALS}{_LENGTH}",
        rf"(?:[*×]|\bx\b)\s*{_AMOUNT}{_UNIT}",
        rf"\b(?:{_COUNT}|scale|factor) (?:in|to) {_UNIT}{_EQUALS}(?P<amount>{_NUMBER})(?![\w.])",
        rf"\b{_AMOUNT}{_UNIT}\s*(?:per|/|an?|each)\s*{_COUNT}\b",
        rf"\b(?:scale|scale factor|units?|einheit|unite|unidad|unita){_EQUALS}{_LENGTH}",
        rf"\b(?:in|en|as)\s+(?:units of\s+|unites? de\s+|einheiten von\s+)?{_LENGTH}",
        rf"[\[(]\s*(?:in\s+)?{_LENGTH}\s*[\])]",
        rf"(?:^|[,;:=(]|\.\s)\s*(?:in\s+)?{_LENGTH}\s*(?=$|[,;.)])",
        rf"\b(?:depth|distance|tiefe|z)(?: map| image| values?)?\s*/?\s*{_UNIT}\s*(?=$|[,;.)])",
    )
)
"""Sentences that give the length of a count, the most exact first."""
_COUNTS_PER_UNIT = tuple(
    re.compile(pattern)
    for pattern in (
        rf"(?P<counts>{_NUMBER})\s*{_COUNT}?\s*(?:per|/|an?)\s*(?:one |1 ?)?{_UNIT}",
        rf"\b{_COUNT} (?:per|an?) (?:one |1 ?)?{_UNIT}{_EQUALS}(?P<counts>{_NUMBER})",
    )
)
"""Sentences that give the counts of a unit, such as 5000 per metre."""
_MULTIPLICATION = re.compile(
    rf"(?:[*×]|\bx\b|\btimes|\bmultiplied (?:by|with)|\bscaled (?:by|with)|/"
    rf"|\bdivided? (?:it |them )?by)\s*(?P<factor>{_NUMBER})"
)
_BARE_UNIT = re.compile(rf"\b{_UNIT}")
_ABOUT_NUMBERS = re.compile(
    r"\bz?depths?\b|\btiefen?\w*|\bprofond|\bprofund|\bdistanc\w*|\bvalues?\b|\bwerte?\b"
    r"|\bval(?:eurs?|ores?|ori)\b|\bpixels?\b|\bcounts?\b|\bunits?\b|\blsb\b|\bz\b|\branges?\b"
    r"|\bnumbers?\b|\bdata\b|\bscale\b"
    r"|\bdivided?\b|\bmultipl(?:y|ied)\b"
)
"""Words of a sentence about depth or about the numbers."""
_ABOUT_OTHER_LENGTHS = re.compile(
    r"\b(?:baseline|focal|lens|field|aperture|exposure|iso|fps|px|width|height|wide|high|tall|long"
    r"|thick|above|below|away|at|position|pose|translation|trajectory|sensor size|pixel size"
    r"|spacing|voxels?)\b"
)
"""Words of a sentence about something else that has a length."""
_UNRELATED_NUMBERS = re.compile(
    r"\b\d+ of \d+\b|\d+ ?%"
    r"|\b\d+ ?-? ?bits?\b|\b(?:bit ?depth|bits)\W+\d+|\b(?:u?int|float) ?\d+\b"
    r"|\b\d+ ?[x×] ?\d+\b"
    # Dates and versions.
    r"|\b\d{4}[-/:.]\d\d?[-/:.]\d\d?(?:[t ]\d\d?:\d\d(?::\d\d)?\S*)?|\bv?\d+\.\d+\.\d+\S*"
    r"|\b(?:v|version|frame|image|scene|room|no|nr|id|view|camera|take)\W*\d+(?: of \d+)?\b"
    # Models of cameras.
    r"|\b[a-z]+[a-z_]*\d+[a-z]*\b"
    r"|\b\d+ ?(?:=|is|means?|for|:) ?(?:no|inv|unk|miss|none|too|out|sat|sky|hole)\w*"
    r"|\b(?:no ?data|invalid|unknown|missing|none|holes?) ?(?:=|is|are|:) ?0\b"
)
"""Numbers that say nothing of depth."""
_METRIC_NAME = re.compile(r"\b(?:[cdmu]m|(?:milli|centi|zenti|dezi|deci)?met(?:re|er)[ns]?)\b")
_ABOUT_ENCODING = re.compile(
    r"scale|factor|unit|rang|\bmin|\bmax|\bnear|\bfar\b|divid|multipl|\btimes\b|\bper\b|white|black"
    r"|[=*/]|\boffset|millimet|centimet|met(?:re|er)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedUnit:
    """Unit that a sentence names.

    Attributes:
        metres: Metres per raw value.
        is_bare: Whether it is a unit without a number, such as "mm". Only then may it be the unit
            of a stated range instead.
    """

    metres: float
    is_bare: bool


def find_unit_in_sentence(sentence: str) -> ParsedUnit | None:
    """Find the unit in a sentence about depth; None if the sentence names none, or several.

    Examples:
        >>> find_unit_in_sentence("16-bit depth, 256 counts per metre").metres
        0.00390625
        >>> find_unit_in_sentence("lens 50 mm")
    """
    words = _normalize(sentence)
    if len(words) > _MAX_SENTENCE or _ABOUT_OTHER_LENGTHS.search(words):
        return None
    words = _UNRELATED_NUMBERS.sub(" ", words).strip()
    is_only_a_unit = words.split(":")[-1].strip(" .") in _METRES_OF_NAME
    if not _ABOUT_NUMBERS.search(words) and not is_only_a_unit:
        return None

    # A unit counts only if the rest of the sentence has no other number.
    units = [unit for unit, rest in _match_units(words) if not re.search(r"\d", rest)]
    distinct_units = {unit.metres for unit in units}
    return units[0] if len(distinct_units) == 1 else None


def parse_unit_text(text: str) -> float | None:
    """Parse a unit [m] such as "mm", "1/256 m" or "tenths of mm"; None if it is unknown."""
    match = re.fullmatch(_LENGTH, _normalize(text).strip(" .[]()"))
    return None if match is None else _matched_metres(match)


def may_describe_encoding(sentence: str) -> bool:
    """Whether a sentence may describe how values are converted to depth, by a unit or a number.

    It is used for sentences whose unit was not found, to tell the user about them.
    """
    words = _UNRELATED_NUMBERS.sub(" ", _normalize(sentence[:_MAX_EXAMINED_LENGTH]))
    if _ABOUT_OTHER_LENGTHS.search(words):
        return False
    is_about_numbers = _ABOUT_NUMBERS.search(words) is not None
    if is_about_numbers and _METRIC_NAME.search(words):
        return True
    if re.search(r"\d", words) is None:
        return False
    has_length = is_about_numbers and _BARE_UNIT.search(words) is not None
    return has_length or _ABOUT_ENCODING.search(words) is not None


def _normalize(text: str) -> str:
    """Return the text in lower case, without accents, underscores, and hyphens between words."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)
    decomposed = unicodedata.normalize("NFKD", spaced.lower())
    letters = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    return re.sub(r"(?<=[^\W\d])[-_]+(?=\w)|(?<=\w)_+", " ", letters)


def _match_units(words: str) -> Iterator[tuple[ParsedUnit, str]]:
    """Yield units that a sentence names, each with the words that are not part of the match.

    There are three ways to name one, and the first that matches is used: counts per unit ("5000 per
    metre"), the length of a count ("0.2 mm per count", "[cm]"), or a unit and a factor by which the
    values were multiplied ("metres, multiplied by 5000").
    """
    for pattern in _COUNTS_PER_UNIT:
        match = pattern.search(words)
        if match is None:
            continue
        counts = float(match["counts"])
        if counts >= _MIN_COUNTS_PER_UNIT:
            metres = _METRES_OF_NAME[match["unit"]] / counts
            yield ParsedUnit(metres=metres, is_bare=False), _without_match(words, match)
        return

    length_matches = [match for pattern in _LENGTH_OF_COUNT for match in pattern.finditer(words)]
    for match in length_matches:
        metres = _matched_metres(match)
        if metres is not None:
            rest = _without_match(words, match)
            yield _apply_multiplication(metres, rest, is_bare=_is_bare(match))
    if length_matches:
        return

    factor_match, unit_match = _find_multiplication(words), _BARE_UNIT.search(words)
    if factor_match is not None and unit_match is not None:
        metres = _METRES_OF_NAME[unit_match["unit"]] / float(factor_match["factor"])
        yield ParsedUnit(metres=metres, is_bare=False), _without_match(words, factor_match)


def _apply_multiplication(metres: float, rest: str, *, is_bare: bool) -> tuple[ParsedUnit, str]:
    """Divide a bare unit by the factor that values were multiplied by, if the rest names one."""
    factor_match = _find_multiplication(rest) if is_bare else None
    if factor_match is None:
        return ParsedUnit(metres=metres, is_bare=is_bare), rest
    unit = ParsedUnit(metres=metres / float(factor_match["factor"]), is_bare=False)
    return unit, _without_match(rest, factor_match)


def _find_multiplication(words: str) -> re.Match[str] | None:
    """Find a positive factor by which values were multiplied."""
    match = _MULTIPLICATION.search(words)
    return None if match is None or not float(match["factor"]) else match


def _without_match(words: str, match: re.Match[str]) -> str:
    return f"{words[: match.start()]} {words[match.end() :]}"


def _is_bare(match: re.Match[str]) -> bool:
    """Whether a match is a unit without an amount."""
    groups = match.groupdict()
    return groups.get("amount") is None and groups.get("part") is None


def _matched_metres(match: re.Match[str]) -> float | None:
    """Convert a matched amount and unit to metres; None if the amount is divided by zero."""
    groups = match.groupdict()
    metres = _METRES_OF_NAME[groups["unit"]]
    if groups.get("part") is not None:
        return _FRACTIONS[groups["part"]] * metres
    if groups.get("amount") is None:
        return metres
    numerator, _, denominator = groups["amount"].partition("/")
    divisor = float(denominator) if denominator else 1.0
    return float(numerator) / divisor * metres if divisor else None
