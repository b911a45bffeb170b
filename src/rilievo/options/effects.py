"""Inputs that a command was given or read and does not use, in one form at every door.

Options that cannot act are refused where that is certain before any work; those without effect on
the inputs at hand, and the parts of files that concern none of them, are notes.
"""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from rilievo.io.files.limits import printable
from rilievo.messages import Note
from rilievo.schema import options_of

_LISTED = 3
"""Parts that a note names."""


def changed_options(options: object, names: Collection[str]) -> Iterator[str]:
    """Names of the options among these that differ from their defaults, in the record's order."""
    for one in options_of(type(options)):
        if one.name in names and getattr(options, one.name) != one.default:
            yield one.name


def unused_options(options: object, names: Collection[str], about: str) -> list[str]:
    """Notes on options that are about something that is not here.

    Args:
        options: Record of options.
        names: Names of those without effect.
        about: Subject of the options, and why there is none, such as "models, and predictions are
            given".
    """
    return [Note(f"is about {about}", option=name) for name in changed_options(options, names)]


def unused_parts(place: Path, parts: Sequence[str], total: int, what: str) -> list[str]:
    """Note on parts of a file or folder that were read and concern nothing here.

    Args:
        place: The file or folder.
        parts: Names of the parts that are not used.
        total: Number of parts that were read.
        what: Plural of a part, and what it is not of, such as "files are of no photograph".
    """
    if not parts:
        return []
    names = ", ".join(map(printable, parts[:_LISTED]))
    more = f" and {len(parts) - _LISTED:,} more" if len(parts) > _LISTED else ""
    count = "" if len(parts) == total else f" of {total:,}"
    return [
        f"{printable(place)}: {len(parts):,}{count} {what} of this run, and are not used: "
        f"{names}{more}"
    ]
