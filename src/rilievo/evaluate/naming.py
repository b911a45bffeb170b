"""Names of files of predictions, and the image that each belongs to."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from rilievo.errors import InputError, OptionError
from rilievo.io.limits import printable
from rilievo.io.numbers import NUMBER_SUFFIXES

LISTED = 10
"""Names that a message lists."""

KNOWN_PATTERNS = ("pred_{id}.npy", "{id}_pred.npy", "{id}/depth.exr")
"""File names of other programs: Marigold's evaluation, Marigold's run.py, MoGe's infer."""

POINT_PATTERNS = ("{id}/points.exr",)
"""File names of points of other programs: MoGe's infer."""


def matched(
    folder: Path,
    paths: Sequence[Path],
    ids: Sequence[str],
    pattern: str | None,
    known: Sequence[str] = KNOWN_PATTERNS,
) -> tuple[dict[str, Path], tuple[Path, ...]]:
    """The file of each image that has one, and the files of no image.

    Args:
        folder: Folder with the files.
        paths: All of them.
        ids: Ids of the images.
        pattern: Pattern of a file's path in the folder, with ``{id}``; without a ``/`` it is of
            the name alone, and folders around it belong to the id. None for the id itself with any
            suffix, or, where no file has such a name, one of ``known``.
        known: Patterns of other programs.

    Raises:
        InputError: If no file fits, or two fit one image.
        OptionError: If the pattern has no ``{id}``.
    """
    if pattern is not None and pattern.count("{id}") != 1:
        raise OptionError(
            f"--pattern has '{{id}}' once, such as 'pred_{{id}}.npy', got '{pattern}'"
        )
    for each in (pattern,) if pattern is not None else (None, *known):
        files = _fitting(folder, _keys(folder, paths, each), ids)
        if files:
            taken = set(files.values())
            return files, tuple(path for path in paths if path not in taken)
    expected = (pattern or f"{{id}}{NUMBER_SUFFIXES[0]}").replace("{id}", printable(ids[0]))
    raise InputError(
        f"{folder}: none of its {len(paths)} files fits an image; expected "
        f"{expected} and the like"
        + (f", found {listed(paths, folder)}" if paths else "")
        + "; --pattern says how files are named"
    )


def listed(paths: Sequence[Path], folder: Path) -> str:
    """Some of the names, and how many more there are."""
    names = [printable(path.relative_to(folder)) for path in paths[:LISTED]]
    more = len(paths) - len(names)
    return ", ".join(names) + (f" and {more} more" if more > 0 else "")


def _keys(folder: Path, paths: Sequence[Path], pattern: str | None) -> dict[Path, str]:
    """Text in the place of the id in each file's path; files that do not match are left out."""
    if pattern is None:
        return {path: path.relative_to(folder).with_suffix("").as_posix() for path in paths}
    before, _, after = pattern.removeprefix("./").partition("{id}")
    around = "" if "/" in pattern else "(?P<around>(.*/)?)"
    fits = re.compile(f"{around}{re.escape(before)}(?P<id>.+){re.escape(after)}", re.DOTALL)
    keys = {}
    for path in paths:
        found = fits.fullmatch(path.relative_to(folder).as_posix())
        if found is not None:
            keys[path] = (found["around"] if around else "") + found["id"]
    return keys


def _fitting(folder: Path, keys: dict[Path, str], ids: Sequence[str]) -> dict[str, Path]:
    """The file of each image, by the id that its name gives."""
    whole: defaultdict[str, list[Path]] = defaultdict(list)
    by_last: defaultdict[str, list[Path]] = defaultdict(list)
    for path, key in keys.items():
        whole[key].append(path)
        by_last[key.rpartition("/")[2]].append(path)
    last_parts = Counter(id.rpartition("/")[2] for id in ids)
    files: dict[str, Path] = {}
    for id in ids:
        last = id.rpartition("/")[2]
        found = whole.get(id) or whole.get(id.replace("/", "_"))
        if not found and last_parts[last] == 1:
            found = by_last.get(last)
        if found and len(found) > 1:
            raise InputError(
                f"{folder}: {len(found)} files fit the image '{id}' ({listed(found, folder)}); "
                "keep one, or say which with --pattern"
            )
        if found:
            files[id] = found[0]
    return files
