"""Options that are several numbers with commas between, or a field and its value."""

import json
import math

from rilievo.errors import OptionError


def numbers(flag: str, text: str, count: int) -> tuple[float, ...]:
    """Parse numbers with commas between.

    Args:
        flag: Name of the option, for messages.
        text: Text to parse.
        count: Expected count of numbers.

    Raises:
        OptionError: If a part is not a finite number, or the count differs.
    """
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) != count or not all(math.isfinite(value) for value in values):
        raise OptionError(f"{flag} is {count} numbers with commas between, got '{text}'")
    return values


def four_numbers(flag: str, text: str | None) -> tuple[float, float, float, float] | None:
    """Parse four numbers; None stays None.

    Raises:
        OptionError: If they are not four finite numbers.
    """
    if text is None:
        return None
    fx, fy, cx, cy = numbers(flag, text, 4)
    return fx, fy, cx, cy


def field_setting(text: str) -> tuple[str, object]:
    """Split a field and its value; a value that is not JSON is text.

    Raises:
        OptionError: If there is no value.
    """
    name, equals, value = text.partition("=")
    if not equals:
        raise OptionError(f"--set takes FIELD=VALUE, such as losses.consistency=0.1, got '{text}'")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
