"""Notes on options and parts of files that have no effect."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from rilievo.errors.messages import Note, Text
from rilievo.io.files.names import printable
from rilievo.schema.fields import options_of

_MAX_LISTED_PARTS = 3
"""Most parts that a note lists by name."""


def changed_options(options: object, names: Collection[str]) -> Iterator[str]:
    """Names of the options among ``names`` that differ from their defaults in a record."""
    for field in options_of(type(options)):
        if field.name in names and getattr(options, field.name) != field.default:
            yield field.name


def unused_options(options: object, names: Collection[str], about: str | Text) -> list[str]:
    """Make a note on each changed option among ``names``, as ``notes_on_unused`` words it."""
    return notes_on_unused(changed_options(options, names), about)


def notes_on_unused(names: Iterable[str], about: str | Text) -> list[str]:
    """Make a note on each named option, which has no effect because its subject is missing.

    Args:
        names: Names of options.
        about: Subject of the options and why it is missing, such as "videos, and there are none".
    """
    return [Note(Text("is about ", about), option=name) for name in names]


def unused_parts(place: Path, parts: Sequence[str], total: int, what: str) -> list[str]:
    """Make a note on the parts of a file or folder that are not used; none if all are used.

    Args:
        place: File or folder.
        parts: Names of the unused parts.
        total: Number of all parts.
        what: What is wrong with them, such as "files are of no photograph".
    """
    if not parts:
        return []
    listed = ", ".join(map(printable, parts[:_MAX_LISTED_PARTS]))
    unlisted = len(parts) - _MAX_LISTED_PARTS
    more = f" and {unlisted:,} more" if unlisted > 0 else ""
    of_total = "" if len(parts) == total else f" of {total:,}"
    return [
        f"{printable(place)}: {len(parts):,}{of_total} {what} of this run, and are not used: "
        f"{listed}{more}"
    ]
