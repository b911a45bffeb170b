"""Size and SHA-256 of every file of a folder, in a JSON file that is written last.

Used for folders that form one result: a training run, an evaluation, the tables of a sweep, a
report. A table or page of a single file has such a JSON beside it, ``NAME.checksums.json``.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rilievo.errors import InputError
from rilievo.io.checks.marks import is_torn
from rilievo.io.checks.sums import FileSum, sums_of
from rilievo.io.files.atomic import replacing, unwritable
from rilievo.io.files.limits import read_text
from rilievo.io.json_record import NotThisRecord, from_json, to_json

CHECKSUMS = "checksums.json"
FORMAT = "rilievo-checksums/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Checksums:
    format: str = FORMAT
    files: Mapping[str, FileSum]


def write_checksums(
    folder: Path, names: Iterable[str], *, known: Mapping[str, FileSum] | None = None
) -> None:
    """Write the size and SHA-256 of those files of a folder that exist.

    Args:
        folder: Folder that holds the files.
        names: Paths relative to the folder.
        known: Sums that were computed when the files were written, by path; these files are not
            read again.
    """
    _write(folder / CHECKSUMS, names, known or {})


def beside(path: Path) -> Path:
    """Path of the checksum of a single file."""
    return path.with_name(f"{path.name}.{CHECKSUMS}")


def write_beside(path: Path) -> None:
    """Write down size and sha256 of a single file."""
    _write(beside(path), (path.name,), {})


def read_checksums(folder: Path) -> Mapping[str, FileSum] | None:
    """Read size and SHA-256 by path in the folder; None where there is not a list of checksums."""
    return read_sums(folder / CHECKSUMS)


def read_sums(path: Path) -> Mapping[str, FileSum] | None:
    """Size and sha256 of each file that a JSON of checksums lists; None where it has no content."""
    if not path.exists() or is_torn(path):
        return None
    try:
        found = from_json(_Checksums, read_text(path))
    except NotThisRecord as error:
        raise InputError(f"{path}: is not a list of checksums: {error}") from error
    for name in found.files:
        if Path(name).is_absolute() or ".." in Path(name).parts or "\0" in name:
            raise InputError(f"{path}: '{name}' is not a file in its folder")
    return found.files


def _write(path: Path, names: Iterable[str], known: Mapping[str, FileSum]) -> None:
    try:
        sums = sums_of(path.parent, (name for name in names if name not in known)) | dict(known)
    except OSError as error:
        raise unwritable(path.parent, error) from error
    with replacing(path) as part:
        part.write_text(to_json(_Checksums(files=sums), indent=1) + "\n", encoding="utf-8")
