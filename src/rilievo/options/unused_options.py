"""Notes on options without effect."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from rilievo.errors.messages import Note, Text
from rilievo.io.files.names import printable
from rilievo.schema.fields import options_of

_LISTED = 3


def changed_options(options: object, names: Collection[str]) -> Iterator[str]:
    """Options among ``names`` that differ from their defaults."""
    for one in options_of(type(options)):
        if one.name in names and getattr(options, one.name) != one.default:
            yield one.name


def unused_options(options: object, names: Collection[str], about: str | Text) -> list[str]:
    """Notes on changed options among ``names``, with their subject and why there is none."""
    return notes_on_unused(changed_options(options, names), about)


def notes_on_unused(names: Iterable[str], about: str | Text) -> list[str]:
    """Notes on named options about something that is not here."""
    return [Note(Text("is about ", about), option=name) for name in names]


def unused_parts(place: Path, parts: Sequence[str], total: int, what: str) -> list[str]:
    """Note on unused parts of a file; ``what`` is such as "files are of no photograph"."""
    if not parts:
        return []
    names = ", ".join(map(printable, parts[:_LISTED]))
    more = f" and {len(parts) - _LISTED:,} more" if len(parts) > _LISTED else ""
    count = "" if len(parts) == total else f" of {total:,}"
    return [
        f"{printable(place)}: {len(parts):,}{count} {what} of this run, and are not used: "
        f"{names}{more}"
    ]
