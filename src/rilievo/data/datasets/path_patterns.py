"""Files of a dataset by patterns of paths, with ``{id}`` for the id of an image."""

import os
import re
from pathlib import Path, PurePosixPath

from rilievo.data.datasets.files import walk
from rilievo.errors import InputError


def files_by_id(folder: Path, pattern: str) -> dict[str, Path]:
    """Find every file below a folder that matches a pattern; returns them by id, sorted.

    Args:
        folder: Folder to search.
        pattern: Path with ``{id}``, which matches any text and may include subfolders; ``*``
            matches any text without "/". Hidden files never match; links are followed.
    """
    fits = _expression(pattern)
    head = pattern.split("{id}")[0].split("*")[0]
    start = folder / head[: head.rfind("/") + 1]
    files: dict[str, Path] = {}
    for place, folders, names in walk(start, links=True):
        folders[:] = [
            name for name in folders if not name.startswith(".") and not _leads_back(place, name)
        ]
        for name in names:
            path = Path(place, name)
            match = fits.fullmatch(path.relative_to(folder).as_posix())
            if match is None or name.startswith("."):
                continue
            if match["id"] in files:
                raise InputError(
                    f"{path} and {files[match['id']].name} both fit '{pattern}' with the id "
                    f"'{match['id']}': say more in the pattern"
                )
            files[match["id"]] = path
    return dict(sorted(files.items()))


def _leads_back(place: str, name: str) -> bool:
    """Whether a folder is a link to one of its ancestors, which would be an endless cycle."""
    path = os.path.join(place, name)
    if not os.path.islink(path):
        return False
    target, here = os.path.realpath(path), os.path.realpath(place)
    return os.path.commonpath([target, here]) == target


def expected_path(folder: Path, pattern: str, id: str) -> Path:
    """Path where the file of an id would be."""
    return folder / PurePosixPath(pattern.replace("{id}", id))


def _expression(pattern: str) -> re.Pattern[str]:
    pieces = []
    named = False
    for piece in re.split(r"(\{id\}|\*)", pattern.removeprefix("./")):
        if piece == "{id}":
            pieces.append("(?P=id)" if named else "(?P<id>.+)")
            named = True
        else:
            pieces.append("[^/]*" if piece == "*" else re.escape(piece))
    # Names may contain line breaks.
    return re.compile("".join(pieces), re.DOTALL)
