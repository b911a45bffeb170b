"""Notes on options and parts of files that have no effect."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from rilievo.errors.messages import Note, Text
from rilievo.io.files.names import printable
from rilievo.schema.fields import list_options

_MAX_LISTED_NAMES = 3
"""Most unused parts that a note lists by name."""


def changed_options(options: object, names: Collection[str]) -> Iterator[str]:
    """Yield the names among ``names`` of the options that differ from their defaults."""
    for field in list_options(type(options)):
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
    return [Note(Text("only applies to ", about), option=name) for name in names]


def note_unused_parts(
    path: Path, unused_names: Sequence[str], total_count: int, reason: str
) -> list[str]:
    """Make a list of one note on the unused parts of a file or folder; empty if all are used.

    ``total_count`` is the number of all parts. ``reason`` names their kind and why some are unused,
    such as "files that belong to no photograph"; " of this run" is appended to it.
    """
    if not unused_names:
        return []
    unused_count = len(unused_names)
    uses_none = unused_count == total_count > 1
    count_text = f"all {unused_count:,}" if uses_none else f"{unused_count:,} of {total_count:,}"
    name_list = ", ".join(map(printable, unused_names[:_MAX_LISTED_NAMES]))
    if unused_count > _MAX_LISTED_NAMES:
        name_list += f" and {unused_count - _MAX_LISTED_NAMES:,} more"
    return [f"{printable(path)}: {reason} of this run are not used: {name_list} ({count_text})"]
