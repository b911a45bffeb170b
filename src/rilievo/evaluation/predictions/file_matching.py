"""Find the file of each image in a folder of predictions, by its name."""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rilievo.errors import InputError, OptionError
from rilievo.errors.messages import OptionName, Text
from rilievo.io.files.names import printable
from rilievo.io.numbers import NUMBER_SUFFIXES

KNOWN_PATTERNS = ("pred_{id}.npy", "{id}_pred.npy", "{id}/depth.exr")
"""Names that Marigold's evaluation, Marigold's run.py and MoGe's infer give to files of depth."""
POINT_PATTERNS = ("{id}/points.exr",)
"""Name that MoGe's infer gives its files of points."""
_MAX_LISTED_FILES = 10
"""Most files that a message names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedFiles:
    """Files of images, and the files that belong to none.

    Attributes:
        files: File of each image that has one, by id.
        unmatched: Files that belong to no image.
    """

    files: dict[str, Path]
    unmatched: tuple[Path, ...] = ()


def match_files(
    folder: Path,
    paths: Sequence[Path],
    ids: Sequence[str],
    pattern: str | None,
    known_patterns: Sequence[str] = KNOWN_PATTERNS,
) -> MatchedFiles:
    """Find the file of each image among some paths in a folder.

    A ``pattern`` such as ``pred_{id}.npy`` names the files. Without a ``/`` it is the pattern of
    the name alone, and folders around the file belong to the id. Without a pattern, the path
    without its suffix is the id; if that fits no image, names of other programs are tried.

    Raises:
        OptionError: If the pattern does not have ``{id}`` exactly once.
        InputError: If no file fits an image, or several fit the same.
    """
    if pattern is not None and pattern.count("{id}") != 1:
        problem = f"has '{{id}}' once, such as 'pred_{{id}}.npy', got '{pattern}'"
        raise OptionError(option="pattern", problem=problem)
    candidates = (None, *known_patterns) if pattern is None else (pattern,)
    for candidate in candidates:
        files = _file_by_id(folder, _id_by_file(folder, paths, candidate), ids)
        if files:
            matched = set(files.values())
            unmatched = tuple(path for path in paths if path not in matched)
            return MatchedFiles(files=files, unmatched=unmatched)

    expected = (pattern or f"{{id}}{NUMBER_SUFFIXES[0]}").replace("{id}", printable(ids[0]))
    raise InputError(
        f"none of its {len(paths)} files fits an image; expected {expected} and the like"
        + (f", found {first_file_names(paths, folder)}" if paths else ""),
        path=folder,
        hint=Text(
            "'rilievo evaluate' takes ", OptionName("pattern"), ", which says how files are named"
        ),
    )


def find_file(files: Mapping[str, Path], id: str, folder: Path) -> Path:
    """File of an image; ``folder`` is where the files are, for the message.

    Raises:
        InputError: If the image has none, with the names that were looked for.
    """
    if id in files:
        return files[id]
    names = dict.fromkeys((id, id.replace("/", "_"), _last_part(id)))
    raise InputError(
        f"no file of it in {folder} (looked for {' or '.join(names)}, with a suffix "
        f"of {', '.join(NUMBER_SUFFIXES)})"
    )


def note_on_unmatched_files(paths: Sequence[Path], folder: Path) -> str | None:
    """Note on files that belong to no image; None if there are none."""
    if not paths:
        return None
    return (
        f"{len(paths)} files in {printable(folder)} belong to no image of the selection: "
        f"{first_file_names(paths, folder)}"
    )


def first_file_names(paths: Sequence[Path], folder: Path) -> str:
    """Names of the first ten files, and how many more there are."""
    names = [printable(path.relative_to(folder)) for path in paths[:_MAX_LISTED_FILES]]
    more = len(paths) - len(names)
    return ", ".join(names) + (f" and {more} more" if more > 0 else "")


def _id_by_file(folder: Path, paths: Sequence[Path], pattern: str | None) -> dict[Path, str]:
    """Id in the name of each file that fits a pattern; without one, the path without suffix."""
    if pattern is None:
        return {path: path.relative_to(folder).with_suffix("").as_posix() for path in paths}
    before, _, after = pattern.removeprefix("./").partition("{id}")
    outer_folders = "" if "/" in pattern else "(?P<folders>(.*/)?)"
    expression = re.compile(
        f"{outer_folders}{re.escape(before)}(?P<id>.+){re.escape(after)}", re.DOTALL
    )
    id_by_file = {}
    for path in paths:
        match = expression.fullmatch(path.relative_to(folder).as_posix())
        if match is not None:
            id_by_file[path] = (match["folders"] if outer_folders else "") + match["id"]
    return id_by_file


def _file_by_id(folder: Path, id_by_file: dict[Path, str], ids: Sequence[str]) -> dict[str, Path]:
    """File of each image that has one.

    A file's id may also have ``_`` for ``/``, or be the last part of an image's id where no other
    image has the same.
    """
    files_by_id: defaultdict[str, list[Path]] = defaultdict(list)
    files_by_last_part: defaultdict[str, list[Path]] = defaultdict(list)
    for path, file_id in id_by_file.items():
        files_by_id[file_id].append(path)
        files_by_last_part[_last_part(file_id)].append(path)
    last_part_counts = Counter(map(_last_part, ids))

    files: dict[str, Path] = {}
    for id in ids:
        last_part = _last_part(id)
        matches = files_by_id.get(id) or files_by_id.get(id.replace("/", "_"))
        if not matches and last_part_counts[last_part] == 1:
            matches = files_by_last_part.get(last_part)
        if not matches:
            continue
        if len(matches) > 1:
            raise InputError(
                f"{len(matches)} files fit the image '{id}' ({first_file_names(matches, folder)})",
                path=folder,
                hint=Text("keep one, or say which with ", OptionName("pattern")),
            )
        files[id] = matches[0]
    return files


def _last_part(id: str) -> str:
    return id.rpartition("/")[2]
