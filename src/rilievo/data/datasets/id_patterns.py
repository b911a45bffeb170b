"""Patterns of paths with ``{id}``, which find the files of a user's folder."""

import os
import re
from pathlib import Path, PurePosixPath

from rilievo.data.datasets.text_files import walk
from rilievo.errors import InputError

_TEXT_SUFFIXES = (".json", ".txt", ".md", ".yaml", ".yml", ".csv", ".xml")


def files_by_id(folder: Path, pattern: str) -> dict[str, Path]:
    """Find the files that fit a pattern, sorted by id.

    Links are followed, and hidden files are left out. With a pattern that ends with ``.*``, so are
    text files, which state the unit of the files that they lie beside.

    Args:
        folder: The user's folder.
        pattern: Path relative to it, in which ``{id}`` is any text and ``*`` any text without "/".

    Raises:
        InputError: If two files have the same id.
    """
    regex = _regex_of_pattern(pattern)
    fixed_part = pattern.split("{id}")[0].split("*")[0]
    start = folder / fixed_part[: fixed_part.rfind("/") + 1]
    leaves_texts_out = pattern.endswith(".*")
    files: dict[str, Path] = {}
    for parent, subfolders, names in walk(start, links=True):
        # ``os.walk`` goes into the subfolders that are left in its list.
        subfolders[:] = [name for name in subfolders if _is_searched(parent, name)]
        for name in names:
            path = Path(parent, name)
            match = regex.fullmatch(path.relative_to(folder).as_posix())
            if match is None or name.startswith("."):
                continue
            if leaves_texts_out and name.lower().endswith(_TEXT_SUFFIXES):
                continue
            id = match["id"]
            if id in files:
                raise InputError(
                    f"{path} and {files[id].name} both fit '{pattern}' with the id '{id}': say "
                    "more in the pattern"
                )
            files[id] = path
    return dict(sorted(files.items()))


def expected_path(folder: Path, pattern: str, id: str) -> Path:
    """Path that a pattern has for an id."""
    return folder / PurePosixPath(pattern.replace("{id}", id))


def _is_searched(parent: str, name: str) -> bool:
    return not name.startswith(".") and not _is_link_to_ancestor(parent, name)


def _is_link_to_ancestor(parent: str, name: str) -> bool:
    path = os.path.join(parent, name)
    if not os.path.islink(path):
        return False
    target, real_parent = os.path.realpath(path), os.path.realpath(parent)
    return os.path.commonpath([target, real_parent]) == target


def _regex_of_pattern(pattern: str) -> re.Pattern[str]:
    pieces = []
    has_id = False
    for piece in re.split(r"(\{id\}|\*)", pattern.removeprefix("./")):
        if piece == "{id}":
            pieces.append("(?P=id)" if has_id else "(?P<id>.+)")
            has_id = True
        elif piece == "*":
            pieces.append("[^/]*")
        else:
            pieces.append(re.escape(piece))
    # Names may contain line breaks.
    return re.compile("".join(pieces), re.DOTALL)
