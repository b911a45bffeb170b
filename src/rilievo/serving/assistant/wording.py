"""Words that the tools share: ranges, sources of metres, notes."""

import math
import re
from collections.abc import Iterable

from rilievo.measured_quantity import Measurement
from rilievo.predicting.photographs.metres import trust
from rilievo.prediction import Prediction
from rilievo.serving.assistant.photographs import HEIGHTS, METRES, UNKNOWN, Seen
from rilievo.serving.keyword_messages import with_keywords

SHARE = "eight in ten"
"""Share of ranges that contain the truth, in words."""
_IN_TOOLS = (
    (
        "calibrate them with two known distances or more, known u,v,metres",
        "state two known distances or more with the tool 'known'",
    ),
    (
        "camera or fov narrows the range",
        "the tool 'known' with fov, the horizontal field of view in degrees, narrows the range",
    ),
    (
        "known_length U1,V1,U2,V2,METRES or known U,V,METRES",
        "with the tool 'known'",
    ),
    (
        "projection equirect (projection='equirect') takes it as one",
        "the tool 'known' with projection 'equirect' takes it as one",
    ),
    ("give known points instead", "state a length or a distance with the tool 'known' instead"),
)
_STATE_ONE = (
    "Metres are not known: state one length or distance in this photograph with the tool 'known'."
)


def measured_text(measured: Measurement, unit: str) -> str:
    """Quantity, value, range and share: "length: 1.9 m, 1.6 to 2.3, eight in ten"."""
    if measured.low == measured.high:
        name, _, _ = str(measured).partition(": ")
        return f"{name}: {measured.value:g} {unit}, as it was stated"
    text = str(measured).removesuffix(")").replace(" (", ", ")
    if unit == HEIGHTS:
        text = text.replace(" m²", " square camera heights").replace(" m,", f" {HEIGHTS},")
    return f"{text}, {SHARE}"


def number(value: float) -> str:
    """A number with three significant digits."""
    if not value or not math.isfinite(value):
        return f"{value:g}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{digits}f}"


def source_of_sizes(seen: Seen, unit: str) -> str:
    """Sentence on where sizes come from."""
    if unit == METRES:
        calibration = seen.prediction.calibration
        told = f" ({'; '.join(seen.facts.told)})" if seen.facts.told else ""
        if calibration is None:
            return f"Metres are those of the model {seen.prediction.made_by.model}{told}."
        source = trust(calibration)
        return f"{source[:1].upper()}{source[1:]}{told}."
    if unit == HEIGHTS:
        return (
            "One camera height is the height of the camera above the visible floor, some 1.5 m if "
            f"a standing person took the picture. {_STATE_ONE}"
        )
    return _STATE_ONE


def expected_share(prediction: Prediction, unit: str) -> float | None:
    """Relative error that depth stays below in eight of ten pixels; None if nothing is known."""
    calibration = prediction.calibration
    return None if unit == UNKNOWN or calibration is None else calibration.expected_error


def in_tool_words(text: str) -> str:
    """A message with the tools' names in place of options of the command line."""
    parts = re.split(r"('(?:[^'\\]|\\.)*')", text)  # every second one is quoted, as names are
    parts[::2] = map(with_keywords, parts[::2])
    text = "".join(parts)
    for words, instead in _IN_TOOLS:
        text = text.replace(words, instead)
    return text


def paragraph(lines: Iterable[str]) -> str:
    """Lines of an answer, empty ones left out."""
    return "\n".join(filter(None, lines))


def notes_text(notes: Iterable[str]) -> str:
    """Notes as one line, or none."""
    told = [*dict.fromkeys(map(in_tool_words, notes))]
    return f"Notes: {'; '.join(told)}." if told else ""
