"""Selects the requested images of a download, and finds those with missing files."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Generic, TypeVar

from rilievo.datasets.base import Absent, Request, checked_ids
from rilievo.datasets.files import text_lines
from rilievo.io.limits import printable

Entry = TypeVar("Entry")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing(Generic[Entry]):
    """Entries of a split.

    Attributes:
        entries: Entries of all images whose files exist, by id, in the split's order.
        absent: Images with missing files.
    """

    entries: Mapping[str, Entry]
    absent: tuple[Absent, ...]


def listing(found: Mapping[str, Entry], request: Request) -> Listing[Entry]:
    """Select the entries whose files exist, in their order or in that of the user's list.

    Args:
        found: Records with paths in some fields, by id, in the split's order.
        request: The request; its list file, one id per line, replaces the split's list.

    Raises:
        InputError: If the list cannot be read, or has an id twice.
    """
    asked, where = tuple(found), printable(request.root)
    if request.list_file is not None:
        where = printable(request.list_file)
        asked = tuple(line.text for line in text_lines(request.list_file))
    present, absent = {}, []
    for id in checked_ids(asked, where):
        if id not in found:
            absent.append(Absent(id=id, reason=f"named in {where}, not found"))
            continue
        missing = _missing(found[id])
        if missing is None:
            present[id] = found[id]
        else:
            absent.append(Absent(id=id, reason=f"there is no {printable(missing)}"))
    return Listing(entries=present, absent=tuple(absent))


def _missing(entry: Any) -> Path | None:
    for each in fields(entry):
        path = getattr(entry, each.name)
        if isinstance(path, Path) and not path.is_file():
            return path
    return None
