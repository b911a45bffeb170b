"""Find the file of each image in a folder of predictions, by its name."""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rilievo.errors import InputError, OptionError
from rilievo.errors.messages import OptionName, Text, count_text
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
    """Files of images, by id, and files that belong to no image."""

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
    """
    if pattern is not None and pattern.count("{id}") != 1:
        problem = f"must contain '{{id}}' exactly once, such as 'pred_{{id}}.npy', got '{pattern}'"
        raise OptionError(option="pattern", problem=problem)
    # With None, the path without its suffix is the id.
    candidates = (None, *known_patterns) if pattern is None else (pattern,)
    for candidate in candidates:
        id_by_file = _id_by_file(folder, paths, candidate)
        file_by_id = _file_by_id(folder, id_by_file, ids)
        if file_by_id:
            matched_paths = set(file_by_id.values())
            unmatched = tuple(path for path in paths if path not in matched_paths)
            return MatchedFiles(files=file_by_id, unmatched=unmatched)

    expected_pattern = pattern or f"{{id}}{NUMBER_SUFFIXES[0]}"
    expected = expected_pattern.replace("{id}", printable(ids[0]))
    problem = f"contains no file that belongs to an image; expected names such as {expected}"
    hint: str | Text = ""
    if paths:
        problem += f", found {first_file_names(paths, folder)}"
        hint = Text("use ", OptionName("pattern"), " to describe how the files are named")
    raise InputError(problem, path=folder, hint=hint)


def find_file(files: Mapping[str, Path], image_id: str, folder: Path) -> Path:
    """File of an image; ``folder`` is where the files are, for the message."""
    if image_id in files:
        return files[image_id]
    example_id, example_file = next(iter(files.items()))
    raise InputError(
        f"there is no prediction for this image in {folder}; expected a name like that of the file "
        f"{printable(example_file.relative_to(folder))}, which belongs to '{example_id}'"
    )


def unmatched_files_note(paths: Sequence[Path], folder: Path) -> str | None:
    """Note on files that belong to no image; None if there are none."""
    if not paths:
        return None
    verb = "belongs" if len(paths) == 1 else "belong"
    return (
        f"{count_text(len(paths), 'file')} in {printable(folder)} {verb} to no selected image: "
        f"{first_file_names(paths, folder)}"
    )


def first_file_names(paths: Sequence[Path], folder: Path) -> str:
    """Names of the first ten files, and how many more there are."""
    names = [printable(path.relative_to(folder)) for path in paths[:_MAX_LISTED_FILES]]
    text = ", ".join(names)
    omitted_count = len(paths) - len(names)
    return f"{text} and {omitted_count} more" if omitted_count else text


def _id_by_file(folder: Path, paths: Sequence[Path], pattern: str | None) -> dict[Path, str]:
    """Image id in the path of each file that fits a pattern.

    Without a pattern, the id is the path without its suffix.
    """
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
            folders = match["folders"] if outer_folders else ""
            id_by_file[path] = folders + match["id"]
    return id_by_file


def _file_by_id(folder: Path, id_by_file: dict[Path, str], ids: Sequence[str]) -> dict[str, Path]:
    """File of each image that has one.

    A file's id may also have ``_`` for ``/``, or be the last component of an image's id where no
    other image has the same.
    """
    files_by_id: defaultdict[str, list[Path]] = defaultdict(list)
    files_by_last_component: defaultdict[str, list[Path]] = defaultdict(list)
    for path, file_id in id_by_file.items():
        files_by_id[file_id].append(path)
        files_by_last_component[_last_component(file_id)].append(path)
    image_counts = Counter(_last_component(image_id) for image_id in ids)

    file_by_id: dict[str, Path] = {}
    for image_id in ids:
        matches = files_by_id.get(image_id) or files_by_id.get(image_id.replace("/", "_"))
        last_component = _last_component(image_id)
        if not matches and image_counts[last_component] == 1:
            matches = files_by_last_component.get(last_component)
        if not matches:
            continue
        if len(matches) > 1:
            names = first_file_names(matches, folder)
            raise InputError(
                f"{len(matches)} files match the image '{image_id}' ({names})",
                path=folder,
                hint=Text("keep only one of them, or choose one with ", OptionName("pattern")),
            )
        file_by_id[image_id] = matches[0]
    return file_by_id


def _last_component(image_id: str) -> str:
    return image_id.rpartition("/")[2]
