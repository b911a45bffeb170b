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
    match = _NUMBER_PATTERN.search(pattern.name)
    assert match is not None, "the caller has checked the pattern"
    digits = int(match[1] or 1) if match[2] is None else len(match[2])
    before, after = pattern.name[: match.start()], pattern.name[match.end() :]
    if match[2] is None:  # as printf has it
        before, after = before.replace("%%", "%"), after.replace("%%", "%")
    try:
        names = os.listdir(pattern.parent)
    except OSError as error:
        raise InputError(f"cannot list its folder ({reason(error)})", path=pattern) from error
    number = rf"(?:[0-9]{{{digits}}}|[1-9][0-9]{{{digits},17}})"
    expression = re.compile(f"{re.escape(before)}({number}){re.escape(after)}")
    matches = [found for found in map(expression.fullmatch, names) if found is not None]
    found = sorted((int(found[1]), found[0]) for found in matches)
    numbers = [number for number, _ in found]
    step = math.gcd(*(number - numbers[0] for number in numbers[1:])) or 1
    return NumberedFiles(
        paths=tuple(pattern.parent / name for _, name in found),
        places=tuple((number - numbers[0]) // step for number in numbers),
        missing_note=_missing_note(numbers, step, pattern),
    )


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
