"""Numbered files that a pattern names: ``shot.%04d.png`` as in ffmpeg, or ``shot.####.png``.

The number is written with at least as many digits as the pattern says, as printf does. So ``%d``
and a single ``#`` stand for numbers without zeros in front.
"""

import itertools
import math
import os
import re
from dataclasses import dataclass
from pathlib import Path

from rilievo.errors import InputError
from rilievo.errors.messages import count_text
from rilievo.io.files.limits import reason
from rilievo.io.files.names import printable

_NUMBER_PATTERN = re.compile(r"%(?:0?(\d{1,2}))?d|(#+)")
_MAX_LISTED_GAPS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberedFiles:
    """Files of a pattern, in the order of their numbers.

    Attributes:
        paths: The files.
        places: Place of each in the sequence, from 0. A missing number leaves a place free.
        missing_note: Sentence on the numbers that are missing in the middle; None if none is.
    """

    paths: tuple[Path, ...]
    places: tuple[int, ...]
    missing_note: str | None = None


def is_numbered_pattern(path: Path) -> bool:
    """Whether a path that does not exist has one ``%04d`` or ``####`` in its name."""
    return len(_NUMBER_PATTERN.findall(path.name)) == 1 and not os.path.lexists(path)


def name_of_numbered(path: Path) -> str:
    """Name of a pattern's files without their number: ``shot`` for ``shot.%04d.png``."""
    before = _NUMBER_PATTERN.split(path.name)[0].rstrip(" ._-")
    return before or path.absolute().parent.name or "frames"


def find_numbered_files(pattern: Path) -> NumberedFiles:
    """Find the files of a pattern, for which ``is_numbered_pattern`` is true; perhaps none.

    If all numbers are multiples of a step apart, such as every tenth frame, none of those between
    counts as missing.

    Raises:
        InputError: If the folder cannot be listed.
    """
    try:
        names = os.listdir(pattern.parent)
    except OSError as error:
        raise InputError(f"cannot list its folder ({reason(error)})", path=pattern) from error
    numbered_name = _numbered_name_expression(pattern)
    matches = [numbered_name.fullmatch(name) for name in names]
    numbers_and_names = sorted((int(match[1]), match[0]) for match in matches if match is not None)
    numbers = [number for number, _ in numbers_and_names]
    step = math.gcd(*(number - numbers[0] for number in numbers[1:])) or 1
    return NumberedFiles(
        paths=tuple(pattern.parent / name for _, name in numbers_and_names),
        places=tuple((number - numbers[0]) // step for number in numbers),
        missing_note=_missing_note(numbers, step, pattern),
    )


def _numbered_name_expression(pattern: Path) -> re.Pattern[str]:
    """Build the regular expression of a pattern's names, whose group 1 is the number.

    A number has as many digits as the pattern says, with zeros in front, or more digits without.
    """
    placeholder = _NUMBER_PATTERN.search(pattern.name)
    assert placeholder is not None, "the caller has checked the pattern"
    before, after = pattern.name[: placeholder.start()], pattern.name[placeholder.end() :]
    printf_digits, hashes = placeholder.groups()
    if hashes is None:
        digits = int(printf_digits or 1)
        # printf writes %% for a percent sign.
        before, after = before.replace("%%", "%"), after.replace("%%", "%")
    else:
        digits = len(hashes)
    number = rf"(?:[0-9]{{{digits}}}|[1-9][0-9]{{{digits},17}})"
    return re.compile(f"{re.escape(before)}({number}){re.escape(after)}")


def _missing_note(numbers: list[int], step: int, pattern: Path) -> str | None:
    """Say which numbers are missing between the first and the last; None if none is."""
    gaps: list[str] = []
    missing_count = 0
    for earlier, later in itertools.pairwise(numbers):
        if later - earlier > step:
            first, last = earlier + step, later - step
            missing_count += (last - first) // step + 1
            gaps.append(str(first) if first == last else f"{first} to {last}")
    if not gaps:
        return None
    listed = ", ".join(gaps[:_MAX_LISTED_GAPS])
    if len(gaps) > _MAX_LISTED_GAPS:
        listed += ", ..."
    are_missing = "is missing" if missing_count == 1 else "are missing"
    return (
        f"{printable(pattern)}: {count_text(missing_count, 'number')} between {numbers[0]} and "
        f"{numbers[-1]} {are_missing}: {listed}"
    )
