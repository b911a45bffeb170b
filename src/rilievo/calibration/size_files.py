"""Files beside photographs: tables of known sizes, and sparse depth."""

import csv
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from rilievo.calibration.sizes import Known, KnownPoint, parse_known
from rilievo.errors import InputError, OptionError
from rilievo.errors.messages import Text
from rilievo.io.files.limits import exists, read_text
from rilievo.io.files.names import printable, shortened

_NEEDED = ("file", "u", "v", "metres")
_OPTIONAL = ("along", "u2", "v2")


def read_known_csv(path: Path) -> Mapping[Path, tuple[Known, ...]]:
    """Read the known sizes of each photograph, by its resolved path."""
    timestamp = path.stat().st_mtime_ns if path.exists() else 0
    return _read_known_csv_once(path.absolute(), timestamp)


def read_known_of_fixed_camera(path: Path) -> tuple[Known, ...]:
    """All facts of a table, for a camera that does not move."""
    entries: dict[Known, None] = {}
    points: dict[tuple[float, float], Known] = {}
    for entry in (fact for facts in read_known_csv(path).values() for fact in facts):
        entries.setdefault(entry)
        if isinstance(entry, KnownPoint):
            first = points.setdefault((entry.u, entry.v), entry)
            if first != entry:
                raise InputError(
                    (
                        f"points {first} and {entry} differ at one pixel, but "
                        "all photographs are said to be of one camera that "
                        "does not move"
                    ),
                    path=path,
                )
    return tuple(entries)


@lru_cache(maxsize=4)
def _read_known_csv_once(path: Path, modified: int) -> Mapping[Path, tuple[Known, ...]]:
    del modified
    name = printable(path)
    # Spreadsheet programs write a byte order mark at the start.
    lines = read_text(path).removeprefix("\ufeff").splitlines()
    reader = csv.reader(lines)
    try:
        rows = [(row, reader.line_num) for row in reader]
    except csv.Error as error:
        raise InputError(f"is no table ({error})", path=name) from error
    header = [cell.strip().lower() for cell in rows[0][0]] if rows else []
    if not set(_NEEDED) <= set(header) or set(header) - {*_NEEDED, *_OPTIONAL}:
        raise InputError(
            (
                f"its header is '{','.join(header)}', expected '{','.join(_NEEDED)}', "
                f"with '{','.join(_OPTIONAL)}' if need be"
            ),
            path=name,
        )
    points: dict[Path, tuple[Known, ...]] = {}
    for row, number in rows[1:]:
        if not any(cell.strip() for cell in row):
            continue
        where = f"{name}: line {number}"
        if len(row) != len(header):
            raise InputError(f"{where} has {len(row)} values, its header {len(header)}")
        values = {key: cell.strip() for key, cell in zip(header, row, strict=True)}
        photo = path.parent / values["file"]
        if not exists(photo):
            raise InputError(
                (
                    f"there is no '{shortened(values['file'], 200)}'; paths start "
                    "at the folder of the table"
                ),
                path=where,
            )
        photo = photo.resolve()
        points[photo] = (*points.get(photo, ()), _known_size_of_row(values, where))
    if not points:
        raise InputError("has no known point below its header", path=name)
    return points


def _known_size_of_row(values: Mapping[str, str], where: str) -> Known:
    u, v, metres = values["u"], values["v"], values["metres"]
    ends = [values[name] for name in ("u2", "v2") if values.get(name)]
    if len(ends) == 1:
        raise InputError("a length has both u2 and v2, a point neither", path=where)
    parts = [u, v, *ends, metres] if ends else [u, v, metres, values.get("along") or "axis"]
    try:
        return parse_known(",".join(parts))
    except OptionError as error:
        raise InputError(problem=Text(error), path=where) from error


LISTS = (".txt", ".csv", ".xyz")
MAPS = (".png", ".npy", ".npz", ".tiff", ".tif", ".exr", ".pfm")


def find_sparse_file(folder: Path, photo: Path) -> Path:
    """Find the sparse depth of a photograph: ``folder`` if a file, else one in it."""
    if not folder.is_dir():
        return folder
    files = [path for end in (*MAPS, *LISTS) if (path := folder / f"{photo}{end}").is_file()]
    if len(files) == 1:
        return files[0]
    count = "no" if not files else "more than one"
    raise InputError(
        f"has {count} file {photo} with one of the endings {' '.join((*MAPS, *LISTS))}",
        path=folder,
    )


def sparse_files(folder: Path) -> Iterator[Path]:
    """Files in a tree that may be sparse depth."""
    for path in folder.rglob("*"):
        if path.suffix in (*MAPS, *LISTS) and path.is_file():
            yield path
