"""Patterns of paths with ``{id}``, which find the files of a user's folder."""

import os
import re
from pathlib import Path, PurePosixPath

from rilievo.data.datasets.text_files import walk
from rilievo.errors import InputError

_TEXT_SUFFIXES = (".json", ".txt", ".md", ".yaml", ".yml", ".csv", ".xml")


def files_by_id(folder: Path, pattern: str) -> dict[str, Path]:
    """Find the files that match a pattern, sorted by id.

    A pattern is a path below the folder, in which ``{id}`` is any text and ``*`` any text without
    "/". Links are followed, and hidden files are left out. A pattern that ends with ``.*`` also
    leaves out text files, because they state the unit of the files beside them.

    Raises:
        InputError: If two files have the same id.
    """
    regex = _compile_pattern(pattern)
    fixed_start = pattern.split("{id}")[0].split("*")[0]
    search_root = folder / fixed_start[: fixed_start.rfind("/") + 1]
    skips_text_files = pattern.endswith(".*")
    files: dict[str, Path] = {}
    for parent, subfolders, names in walk(search_root, links=True):
        # ``os.walk`` goes into the subfolders that are left in its list.
        subfolders[:] = [name for name in subfolders if _is_searched(parent, name)]
        for name in names:
            path = Path(parent, name)
            match = regex.fullmatch(path.relative_to(folder).as_posix())
            if match is None or name.startswith("."):
                continue
            if skips_text_files and name.lower().endswith(_TEXT_SUFFIXES):
                continue
            image_id = match["id"]
            if image_id in files:
                raise InputError(
                    f"{path} and {files[image_id].name} both match '{pattern}' with the id "
                    f"'{image_id}': make the pattern more specific"
                )
            files[image_id] = path
    return dict(sorted(files.items()))


def expected_path(folder: Path, pattern: str, image_id: str) -> Path:
    """Path of the file that a pattern expects for an id."""
    return folder / PurePosixPath(pattern.replace("{id}", image_id))


def _is_searched(parent: str, name: str) -> bool:
    return not name.startswith(".") and not _is_link_to_ancestor(parent, name)


def _is_link_to_ancestor(parent: str, name: str) -> bool:
    path = os.path.join(parent, name)
    if not os.path.islink(path):
        return False
    target, real_parent = os.path.realpath(path), os.path.realpath(parent)
    return os.path.commonpath([target, real_parent]) == target


def _compile_pattern(pattern: str) -> re.Pattern[str]:
    """Turn a pattern into a regular expression; a second ``{id}`` must repeat the first."""
    regex_parts = []
    has_id = False
    for part in re.split(r"(\{id\}|\*)", pattern.removeprefix("./")):
        if part == "{id}":
            regex_parts.append("(?P=id)" if has_id else "(?P<id>.+)")
            has_id = True
        elif part == "*":
            regex_parts.append("[^/]*")
        else:
            regex_parts.append(re.escape(part))
    # Names may contain line breaks.
    return re.compile("".join(regex_parts), re.DOTALL)
