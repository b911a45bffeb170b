"""What a folder of results holds, against what an undisturbed run leaves."""

import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file of a folder by its path, but parts that were being written."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not _is_part(path)
    }


def parts_of(folder: Path) -> list[str]:
    """What was being written when the work was killed."""
    return sorted(path.name for path in folder.rglob("*") if _is_part(path))


def _is_part(path: Path) -> bool:
    return any(
        name.startswith(".") and name.endswith((".rilievo-part", ".pending")) for name in path.parts
    )


def faults(
    found: dict[str, bytes], wanted: dict[str, bytes], volatile: Sequence[str], *, is_whole: bool
) -> list[str]:
    """What is wrong with the files that a run left, one line each.

    Args:
        found: After a kill, or at the end.
        wanted: Of an undisturbed run.
        volatile: See ``Job``.
        is_whole: Whether the run came to its end, so that every file must be there.
    """
    said = [f"{name} is missing" for name in wanted if is_whole and name not in found]
    for name, content in found.items():
        if name.rpartition("/")[2] in volatile or (name not in wanted and name in volatile):
            said += _half(name, content)
        elif name not in wanted:
            said.append(f"{name} is there, which no undisturbed run leaves")
        elif _steady(name, content, volatile) != _steady(name, wanted[name], volatile):
            said.append(f"{name} differs from an undisturbed run's ({len(content)} bytes)")
    return said


def _steady(name: str, content: bytes, volatile: Sequence[str]) -> object:
    """What must be the same in every run."""
    entries = [each.partition("#")[2] for each in volatile if each.partition("#")[0] == name]
    if "#" not in "".join(volatile) or not entries:
        return content
    try:
        record = json.loads(content)
    except ValueError:
        return content
    return {key: value for key, value in record.items() if key not in entries}


def _half(name: str, content: bytes) -> list[str]:
    """Whether a file that cannot be compared is at least whole."""
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
