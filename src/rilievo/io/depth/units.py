"""Units of depth that a sentence names, such as "depth [cm]" or "values in 0.1 mm".

Writers describe their numbers in words: "16-bit depth, millimetres", "1 count = 0.2 mm",
"256 counts per metre", "depth in metres, multiplied by 5000", "Tiefe in cm". A sentence is read if
it speaks of depth or of the numbers, and if the unit explains all numbers in it besides those that
say nothing of depth, such as bits, sizes and dates.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from rilievo.schema.typed_values import METRES_PER_UNIT

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
_METRES = {
    **{unicodedata.normalize("NFKC", name): size for name, size in METRES_PER_UNIT.items()},
    **_FOREIGN_UNITS,
}
_LEAST_COUNTS = 10  # of a unit; 1/m is inverse depth
_MOST_WORDS = 300  # [characters], of a sentence about numbers
_PARTS = {"half": 0.5, "tenth": 0.1, "hundredth": 0.01, "thousandth": 0.001}
# "in" is a word before it is a unit, and one quotation mark is neither.
_NAMES = sorted((name for name in _METRES if name.isalpha() and name != "in"), key=len)[::-1]
_UNIT = rf"(?P<unit>{'|'.join(_NAMES)})(?![\w/^²³])"
_NUMBER = r"(?:\d+(?:\.\d*)?|\.\d+)(?:e[-+]?\d+)?"
_AMOUNT = (
    rf"(?:(?P<amount>{_NUMBER}(?:\s*/\s*{_NUMBER})?)\s*"
    r"|(?:an? |one )?(?P<part>half|tenth|hundredth|thousandth)s? (?:of )?(?:an? |one )?)"
)
_LENGTH = rf"{_AMOUNT}?{_UNIT}"
_COUNT = (
    r"(?:counts?|units?|lsb|digits?|steps?|levels?|(?:grey|gray) (?:levels?|values?)|dn|values?)"
)
_SAYS = r"(?:\s*[:=]\s*|\s+is\s+|\s+are\s+|\s+of\s+|\s+equals\s+|\s+corresponds to\s+|\s+)"
# Sentences whose length is that of a count, the most exact first.
_LENGTHS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"\b(?:1|one|each|every|per|a) {_COUNT}{_SAYS}{_LENGTH}",
        rf"\blsb{_SAYS}{_LENGTH}",
        rf"(?:[*×]|\bx\b)\s*{_AMOUNT}{_UNIT}",
        rf"\b(?:{_COUNT}|scale|factor) (?:in|to) {_UNIT}{_SAYS}(?P<amount>{_NUMBER})(?![\w.])",
        rf"\b{_AMOUNT}{_UNIT}\s*(?:per|/|an?|each)\s*{_COUNT}\b",
        rf"\b(?:scale|scale factor|units?|einheit|unite|unidad|unita){_SAYS}{_LENGTH}",
        rf"\b(?:in|en|as)\s+(?:units of\s+|unites? de\s+|einheiten von\s+)?{_LENGTH}",
        rf"[\[(]\s*(?:in\s+)?{_LENGTH}\s*[\])]",
        rf"(?:^|[,;:=(]|\.\s)\s*(?:in\s+)?{_LENGTH}\s*(?=$|[,;.)])",
        rf"\b(?:depth|distance|tiefe|z)(?: map| image| values?)?\s*/?\s*{_UNIT}\s*(?=$|[,;.)])",
    )
)
# Counts of a unit: 5000 per metre.
_COUNTS_OF_UNIT = tuple(
    re.compile(pattern)
    for pattern in (
        rf"(?P<counts>{_NUMBER})\s*{_COUNT}?\s*(?:per|/|an?)\s*(?:one |1 ?)?{_UNIT}",
        rf"\b{_COUNT} (?:per|an?) (?:one |1 ?)?{_UNIT}{_SAYS}(?P<counts>{_NUMBER})",
    )
)
_MULTIPLIED = re.compile(
    rf"(?:[*×]|\bx\b|\btimes|\bmultiplied (?:by|with)|\bscaled (?:by|with)|/"
    rf"|\bdivided? (?:it |them )?by)\s*(?P<factor>{_NUMBER})"
)
_UNIT_ALONE = re.compile(rf"\b{_UNIT}")
_DEPTH = re.compile(
    r"\bz?depths?\b|\btiefen?\w*|\bprofond|\bprofund|\bdistanc\w*|\bvalues?\b|\bwerte?\b|\bval(?:eurs?|ores?|ori)\b|\bpixels?\b"
    r"|\bcounts?\b|\bunits?\b|\blsb\b|\bz\b|\branges?\b|\bnumbers?\b|\bdata\b|\bscale\b"
    r"|\bdivided?\b|\bmultipl(?:y|ied)\b"
)
# What else than depth has a length.
_SCENE = re.compile(
    r"\b(?:baseline|focal|lens|field|aperture|exposure|iso|fps|px|width|height|wide|high|tall|long"
    r"|thick|above|below|away|at|position|pose|translation|trajectory|sensor size|pixel size"
    r"|spacing|voxels?)\b"
)
# Numbers that say nothing of depth.
_OTHER_NUMBERS = re.compile(
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
_METRIC_NAME = re.compile(r"\b(?:[cdmu]m|(?:milli|centi|zenti|dezi|deci)?met(?:re|er)[ns]?)\b")
_ABOUT_CODING = re.compile(
    r"scale|factor|unit|rang|\bmin|\bmax|\bnear|\bfar\b|divid|multipl|\btimes\b|\bper\b|white|black"
    r"|[=*/]|\boffset|millimet|centimet|met(?:re|er)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitInWords:
    """Unit that a sentence names.

    Attributes:
        metres: Metres of one number.
        is_plain: Whether it is a unit alone, such as mm, which may be that of a range too.
    """

    metres: float
    is_plain: bool


def unit_of_sentence(sentence: str) -> UnitInWords | None:
    """Unit of the numbers that a sentence about depth names; None if it names none or is not clear.

    Examples:
        >>> unit_of_sentence("16-bit depth, 256 counts per metre").metres
        0.00390625
        >>> unit_of_sentence("lens 50 mm")
    """
    words = _folded(sentence)
    if len(words) > _MOST_WORDS or _SCENE.search(words):
        return None
    words = _OTHER_NUMBERS.sub(" ", words).strip()
    if not _DEPTH.search(words) and _METRES.get(words.split(":")[-1].strip(" .")) is None:
        return None
    explained = [unit for unit, rest in _units_with_rest(words) if re.search(r"\d", rest) is None]
    has_one_size = len({unit.metres for unit in explained}) == 1
    return explained[0] if has_one_size else None


def metres_of_unit_text(text: str) -> float | None:
    """Metres of a unit by its name, such as "mm", "1/256 m" or "tenths of mm"; None if unknown."""
    match = re.fullmatch(_LENGTH, _folded(text).strip(" .[]()"))
    return None if match is None else _length(match)


def may_describe_encoding(sentence: str) -> bool:
    """Whether a sentence may tell how numbers become depth, by a unit, or a number beside one."""
    words = _OTHER_NUMBERS.sub(" ", _folded(sentence))
    if _SCENE.search(words):
        return False
    if _DEPTH.search(words) and _METRIC_NAME.search(words):
        return True
    if re.search(r"\d", words) is None:
        return False
    has_length = _DEPTH.search(words) is not None and _UNIT_ALONE.search(words) is not None
    return has_length or _ABOUT_CODING.search(words) is not None


def _folded(text: str) -> str:
    """Text in lower case, without accents, underscores and hyphens between words."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)
    decomposed = unicodedata.normalize("NFKD", spaced.lower())
    plain = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    return re.sub(r"(?<=[^\W\d])[-_]+(?=\w)|(?<=\w)_+", " ", plain)


def _units_with_rest(words: str) -> Iterator[tuple[UnitInWords, str]]:
    """Yield units that sentences name, each with the words beside it."""
    for pattern in _COUNTS_OF_UNIT:
        match = pattern.search(words)
        if match is not None:
            counts = float(match["counts"])
            if counts >= _LEAST_COUNTS:
                metres = _METRES[match["unit"]] / counts
                yield UnitInWords(metres=metres, is_plain=False), _without(words, match)
            return
    for pattern in _LENGTHS:
        for match in pattern.finditer(words):
            rest = _without(words, match)
            metres, is_plain = _length(match), not _has_amount(match)
            if metres is None:
                continue
            factor = _multiplication(rest)
            if is_plain and factor is not None:
                yield (
                    UnitInWords(metres=metres / float(factor["factor"]), is_plain=False),
                    (_without(rest, factor)),
                )
            else:
                yield UnitInWords(metres=metres, is_plain=is_plain), rest
    if any(pattern.search(words) for pattern in _LENGTHS):
        return
    factor, unit = _multiplication(words), _UNIT_ALONE.search(words)
    if factor is not None and unit is not None:
        metres = _METRES[unit["unit"]] / float(factor["factor"])
        yield UnitInWords(metres=metres, is_plain=False), _without(words, factor)


def _multiplication(words: str) -> re.Match[str] | None:
    """Factor by which numbers were multiplied; None without one above zero."""
    match = _MULTIPLIED.search(words)
    return None if match is None or not float(match["factor"]) else match


def _without(words: str, match: re.Match[str]) -> str:
    return f"{words[: match.start()]} {words[match.end() :]}"


def _has_amount(match: re.Match[str]) -> bool:
    groups = match.groupdict()
    return groups.get("amount") is not None or groups.get("part") is not None


def _length(match: re.Match[str]) -> float | None:
    """Metres of an amount of a unit; None if it is divided by zero."""
    groups = match.groupdict()
    metres = _METRES[groups["unit"]]
    if groups.get("part") is not None:
        return _PARTS[groups["part"]] * metres
    if groups.get("amount") is None:
        return metres
    numerator, _, denominator = groups["amount"].partition("/")
    divisor = float(denominator) if denominator else 1.0
    return float(numerator) / divisor * metres if divisor else None
