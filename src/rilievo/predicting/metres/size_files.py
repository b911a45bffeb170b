"""Files beside photographs: tables of known sizes, and files of sparse depth."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from rilievo.calibration.sizes import Known, KnownPoint, parse_known
from rilievo.errors import InputError, OptionError
from rilievo.errors.messages import Text, count_text
from rilievo.io.files.limits import exists, read_text
from rilievo.io.files.names import printable, shortened

_REQUIRED_COLUMNS = ("file", "u", "v", "metres")
_OPTIONAL_COLUMNS = ("along", "u2", "v2")

LIST_SUFFIXES = (".txt", ".csv", ".xyz")
"""Suffixes of lists of points, which are sparse depth."""
CLOUD_SUFFIXES = (".pcd", ".ply")
"""Suffixes of points in space, which are sparse depth."""
MAP_SUFFIXES = (".png", ".npy", ".npz", ".tiff", ".tif", ".exr", ".pfm")
"""Suffixes of depth maps that may be sparse depth."""


def read_known_csv(path: Path) -> Mapping[Path, tuple[Known, ...]]:
    """Read a table of known sizes: those of each photograph, by the photograph's resolved path.

    Raises:
        InputError: If the table is broken or empty, or names a photograph that does not exist.
    """
    modified = path.stat().st_mtime_ns if path.exists() else 0
    return _read_known_csv_cached(path.absolute(), modified)


def read_photo_sizes(photo: Path, table: Path) -> tuple[Known, ...]:
    """Read the known sizes of one photograph from a table.

    Raises:
        InputError: If the table has none for it, or as ``read_known_csv``.
    """
    known = read_known_csv(table).get(photo.resolve(), ())
    if not known:
        raise InputError(f"{table} has no known size for this photograph", path=photo)
    return known


def read_known_of_fixed_camera(path: Path) -> tuple[Known, ...]:
    """Read a table whose sizes hold for every photograph of a camera that does not move.

    Raises:
        InputError: If the table is broken, or two points at one pixel differ.
    """
    sizes: dict[Known, None] = {}  # A dict keeps the order, which a set would not.
    point_by_pixel: dict[tuple[float, float], KnownPoint] = {}
    for photo_sizes in read_known_csv(path).values():
        for size in photo_sizes:
            sizes.setdefault(size)
            if not isinstance(size, KnownPoint):
                continue
            earlier_point = point_by_pixel.setdefault((size.u, size.v), size)
            if earlier_point != size:
                raise InputError(
                    f"points {earlier_point} and {size} state different distances at the same "
                    "pixel, although you state that all photographs are from one camera that does "
                    "not move: correct one of them",
                    path=path,
                )
    return tuple(sizes)


@lru_cache(maxsize=4)
def _read_known_csv_cached(path: Path, modified: int) -> Mapping[Path, tuple[Known, ...]]:
    """Read a table, unless it was read before and has not been modified since."""
    del modified  # Only a part of the cache's key.
    name = printable(path)
    rows = _read_csv_rows(path, name)
    header = [cell.strip().lower() for cell in rows[0].cells] if rows else []
    _check_header(header, name)
    sizes_by_photo: dict[Path, tuple[Known, ...]] = {}
    for row in rows[1:]:
        is_blank = not any(cell.strip() for cell in row.cells)
        if is_blank:
            continue
        line_name = f"{name}: line {row.line_number}"
        values = _values_by_column(header, row, line_name)
        photo = _find_photo(path.parent, values["file"], line_name)
        size = _parse_row(values, line_name)
        sizes_by_photo[photo] = (*sizes_by_photo.get(photo, ()), size)
    if not sizes_by_photo:
        raise InputError("has no known size below its header", path=name)
    return sizes_by_photo


def _check_header(header: Sequence[str], name: str) -> None:
    """Raise ``InputError`` if a table lacks a column or has an unknown one."""
    missing_columns = set(_REQUIRED_COLUMNS) - set(header)
    unknown_columns = set(header) - {*_REQUIRED_COLUMNS, *_OPTIONAL_COLUMNS}
    if missing_columns or unknown_columns:
        raise InputError(
            f"its header is '{','.join(header)}', expected '{','.join(_REQUIRED_COLUMNS)}', "
            f"optionally with '{','.join(_OPTIONAL_COLUMNS)}'",
            path=name,
        )


def _values_by_column(header: Sequence[str], row: "_CsvRow", line_name: str) -> Mapping[str, str]:
    """Return the values of a row by their columns."""
    if len(row.cells) != len(header):
        raise InputError(
            f"has {count_text(len(row.cells), 'value')}, but the header has "
            f"{count_text(len(header), 'column')}",
            path=line_name,
        )
    return {column: cell.strip() for column, cell in zip(header, row.cells, strict=True)}


def _find_photo(folder: Path, name: str, line_name: str) -> Path:
    """Return the resolved path of a photograph that a table in a folder names."""
    photo = folder / name
    if not exists(photo):
        raise InputError(
            f"there is no file '{shortened(name, 200)}'; paths are relative "
            "to the folder of the table",
            path=line_name,
        )
    return photo.resolve()


@dataclass(frozen=True, slots=True, kw_only=True)
class _CsvRow:
    """Row of a table, and the number of its last line in the file."""

    line_number: int
    cells: list[str]


def _read_csv_rows(path: Path, name: str) -> list[_CsvRow]:
    """Read the rows of a table, of which the first one is the header."""
    # Spreadsheet programs write a byte order mark at the start.
    lines = read_text(path).removeprefix("\ufeff").splitlines()
    reader = csv.reader(lines)
    try:
        return [_CsvRow(line_number=reader.line_num, cells=cells) for cells in reader]
    except csv.Error as error:
        raise InputError(f"is not a CSV table ({error})", path=name) from error


def _parse_row(values: Mapping[str, str], line_name: str) -> Known:
    """Make the known point or length of a row from its values by column.

    ``line_name`` names the row in messages.
    """
    u, v, metres = values["u"], values["v"], values["metres"]
    second_end = [values[column] for column in ("u2", "v2") if values.get(column)]
    if len(second_end) == 1:
        raise InputError("a length needs both u2 and v2, and a point needs neither", path=line_name)
    if second_end:
        parts = [u, v, *second_end, metres]
    else:
        parts = [u, v, metres, values.get("along") or "axis"]
    try:
        return parse_known(",".join(parts))
    except OptionError as error:
        raise InputError(problem=Text(error), path=line_name) from error


def find_sparse_file(folder: Path, photo: Path) -> Path:
    """Find the sparse depth of a photograph.

    Args:
        folder: Folder of such files; or the file itself, which is returned.
        photo: Path of the photograph below its folder, without a suffix.

    Raises:
        InputError: If the folder has no such file, or several.
    """
    if not folder.is_dir():
        return folder
    suffixes = (*MAP_SUFFIXES, *LIST_SUFFIXES, *CLOUD_SUFFIXES)
    candidates = [folder / f"{photo}{suffix}" for suffix in suffixes]
    files = [path for path in candidates if path.is_file()]
    if len(files) == 1:
        return files[0]
    allowed = ", ".join(suffixes)
    if files:
        names = ", ".join(file.name for file in files)
        raise InputError(
            f"contains more than one file for {photo} ({names}): keep only one", path=folder
        )
    raise InputError(f"contains no file {photo} with one of the suffixes {allowed}", path=folder)


def sparse_files(folder: Path) -> Iterator[Path]:
    """Files in a folder, at any depth, that may be sparse depth by their suffix."""
    for path in folder.rglob("*"):
        if path.suffix in (*MAP_SUFFIXES, *LIST_SUFFIXES, *CLOUD_SUFFIXES) and path.is_file():
            yield path
