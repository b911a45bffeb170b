"""Comparison of a folder of results with that of an undisturbed run."""

import io
import json
import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from rilievo.io.checksums import is_ours_or_blank

_LISTS = re.compile(r"\.?(?P<stem>.+)\.json(\.pending)?")
"""Names of files that say which results of a photograph are ours."""


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file of a folder by its path, without part files."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not _is_part(path)
    }


def parts_of(folder: Path) -> list[str]:
    """Part files that were being written when the work was killed."""
    return sorted(path.name for path in folder.rglob("*") if _is_part(path))


def _is_part(path: Path) -> bool:
    return any(
        name.startswith(".") and name.endswith((".rilievo-part", ".pending", ".lock"))
        for name in path.parts
    )


def fits(name: str, patterns: Sequence[str]) -> bool:
    """Whether one of the patterns fits the path of a file."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def faults(
    found: dict[str, bytes], wanted: dict[str, bytes], volatile: Sequence[str], *, is_whole: bool
) -> list[str]:
    """Differences of a run's files, one line each.

    Args:
        found: Files after a kill, or at the end.
        wanted: Files of an undisturbed run.
        volatile: Volatile names of the job.
        is_whole: Whether the run finished, so that every file must exist.
    """
    said = [f"{name} is missing" for name in wanted if is_whole and name not in found]
    for name, content in found.items():
        if name.rpartition("/")[2] in volatile or (name not in wanted and name in volatile):
            said += _half(name, content)
        elif name not in wanted:
            said.append(f"{name} is there, which no undisturbed run leaves")
        elif _steady(name, content, volatile) != _steady(name, wanted[name], volatile):
            where = _where(content, wanted[name])
            said.append(f"{name} differs from an undisturbed run's ({len(content)} bytes{where})")
    return said


def list_of(path: Path) -> str:
    """Name of the results that a file lists; "" for a file that is no list."""
    match = _LISTS.fullmatch(path.name)
    return match["stem"] if match else ""


def lost_list(path: Path) -> str:
    """Name of the results that a file listed, if it cannot be told to be ours; "" otherwise."""
    head = path.read_bytes()[:40] if path.exists() else b"gone"
    return list_of(path) if any(head) and b'"format": "rilievo' not in head else ""


def unmarked_result(path: Path) -> str:
    """Name of the results of a damaged file that nothing in it tells to be ours; "" otherwise."""
    if list_of(path) or not path.exists() or is_ours_or_blank(path):
        return ""
    return path.name.partition(".")[0]


def numbered(
    found: Mapping[str, bytes], wanted: Mapping[str, bytes], stems: Iterable[str]
) -> set[str]:
    """Files of results that are all there, some with a number, as nothing is replaced.

    Results that nothing marks as ours stay, whatever they are, and what is made anew is
    ``STEM-2``.

    Args:
        found: Files of the resumed run.
        wanted: Files of an undisturbed run.
        stems: Names of results that nothing marks as ours.
    """
    names: set[str] = set()
    for stem in stems:
        suffixes = {name.removeprefix(stem) for name in wanted if name.startswith(f"{stem}.")}
        pattern = re.compile(rf"{re.escape(stem)}-\d+(?P<suffix>\..+)")
        anew = {name: match["suffix"] for name in found if (match := pattern.fullmatch(name))}
        is_there = (
            suffix in anew.values() or found.get(stem + suffix) == wanted[stem + suffix]
            for suffix in suffixes
        )
        if ".json" in anew.values() and all(is_there):
            names |= {*anew, *(stem + suffix for suffix in suffixes)}
    return names


def _steady(name: str, content: bytes, volatile: Sequence[str]) -> object:
    """Content that has to be the same in every run."""
    pairs = (each.partition("#") for each in volatile)
    entries = [entry for pattern, _, entry in pairs if entry and fnmatchcase(name, pattern)]
    if not entries:
        return content
    try:
        record = json.loads(content)
    except ValueError:
        return content
    return {key: value for key, value in record.items() if key not in entries}


def _where(content: bytes, wanted: bytes) -> str:
    """Entries of a JSON object that differ, with both values; nothing of other files."""
    try:
        found, right = json.loads(content), json.loads(wanted)
    except ValueError:
        return ""
    if not (isinstance(found, dict) and isinstance(right, dict)):
        return ""
    names = [name for name in {**right, **found} if found.get(name) != right.get(name)]
    told = (f"{name} {found.get(name)!s:.40} for {right.get(name)!s:.40}" for name in names)
    return f"; {', '.join(told)}"


def _half(name: str, content: bytes) -> list[str]:
    """Check that a file that cannot be compared is at least complete."""
    if name.endswith(".html") and not content.rstrip().endswith(b"</html>"):
        return [f"{name} is cut short"]
    if name.endswith(".pt"):
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                bad = archive.testzip()
        except zipfile.BadZipFile:
            return [f"{name} is cut short"]
        return [f"{name} is broken in {bad}"] if bad else []
    return []
