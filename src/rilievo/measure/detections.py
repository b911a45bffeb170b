"""Files of detections: COCO's JSON, CSV, YOLO's texts, PNG masks."""

import csv
import functools
from array import array
from collections import Counter, defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from rilievo.errors import InputError, RilievoError
from rilievo.io.files.limits import exists, is_whole, read_text
from rilievo.io.files.names import printable, shortened
from rilievo.io.json_record import NotThisRecord, parse_json
from rilievo.io.numbers import read_map
from rilievo.measure.regions import (
    Region,
    box_in_pixel_centres,
    box_region,
    polygon_outline,
    run_length_outline,
)


class _Form(Enum):
    """What the four numbers of a box are."""

    CORNERS = auto()
    SIDES = auto()
    CENTRE = auto()


_FORMS: tuple[tuple[_Form, tuple[str, ...]], ...] = (
    (_Form.CORNERS, ("x1", "y1", "x2", "y2")),
    (_Form.CORNERS, ("xmin", "ymin", "xmax", "ymax")),
    (_Form.CORNERS, ("x_min", "y_min", "x_max", "y_max")),
    (_Form.CORNERS, ("left", "top", "right", "bottom")),
    (_Form.CORNERS, ("xyxy",)),
    (_Form.SIDES, ("x", "y", "w", "h")),
    (_Form.SIDES, ("x", "y", "width", "height")),
    (_Form.SIDES, ("left", "top", "width", "height")),
    (_Form.SIDES, ("bbox",)),
    (_Form.SIDES, ("xywh",)),
    (_Form.CENTRE, ("x_center", "y_center", "width", "height")),
    (_Form.CENTRE, ("x_centre", "y_centre", "width", "height")),
    (_Form.CENTRE, ("cx", "cy", "w", "h")),
    (_Form.CENTRE, ("cxcywh",)),
)
"""Keys of a box: four of them, or one that holds four numbers. The first that fit count."""
_NAMES = ("name", "label", "class_name", "class", "category", "category_id", "class_id")
_FILES = ("file", "file_name", "filename", "image", "image_path", "path", "photo", "image_id")
_FRAMES = ("frame", "frame_index", "frame_id")
_EXPECTED = (
    "expected COCO's results or annotations, or boxes whose keys say what they are: bbox or "
    "x,y,w,h; xyxy or x1,y1,x2,y2; x_center,y_center,width,height"
)
_MOST_THINGS = 1_000
"""Most masks of a photograph."""
_MOST_ROWS_CROSSED = 2_000_000
"""Most rows of pixels that the sides of a photograph's polygons cross together: half a second."""
_MOST_CORNERS = 10_000
_MOST_FAULTS = 5
_MOST_CHARACTERS_OF_RUN = 9
"""Most characters of one packed run length: 45 bits."""
_MOST_RUNS = 2_000_000
"""Most run lengths of a mask, or characters of packed ones, which take 160 MB to unpack."""
_LONGEST_RUN = 2**40
"""Longest run of pixels; no picture has so many."""
_MOST_BOX_ROWS, _MOST_MASK_ROWS = 500_000, 200_000
"""Most rows of a file, which take 400 MB."""
_MOST_VALUES = 12_000_000
"""Most values of a JSON, which take 400 MB; a list or an object counts as four."""
_MOST_BROKEN_ROWS = 10_000
"""Broken rows after which a file is refused: it is of another kind."""
Key = tuple[str, int | None]
"""Photograph by path without suffix or number, "" for any; and frame."""
Rows = Iterator[tuple[str, Mapping[str, Any]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionTable:
    """Regions of many photographs or frames; ``faults`` are lines on skipped rows."""

    regions: Mapping[Key, Sequence[Region]]
    faults: tuple[str, ...] = ()

    def regions_in(self, photo: Path, frame: int | None = None) -> Sequence[Region]:
        """Regions of a photograph or frame from 0."""
        key = self.find_key(photo, frame)
        return () if key is None else self.regions[key]

    def find_key(self, photo: Path, frame: int | None = None) -> Key | None:
        """Key of these regions, else None."""
        parts = photo.absolute().with_suffix("").parts[1:]
        names = ["/".join(parts[first:]) for first in range(len(parts))]
        names += [str(int(parts[-1]))] if is_whole(parts[-1]) else []
        keys: list[Key] = [(name, frame) for name in (*names, "")]
        if frame is not None:  # texts of YOLO count frames from 1
            keys.append((f"{parts[-1]}_{frame + 1}", None))
        return next((key for key in keys if key in self.regions), None)

    def name_unused(self, keys: Container[Key | None]) -> str:
        """Text of photographs and frames that are none of these keys."""
        names = [
            photo if frame is None else f"{photo} frame {frame}".lstrip()
            for photo, frame in self.regions
            if (photo, frame) not in keys
        ]
        more = f" and {len(names) - _MOST_FAULTS:,} more" if len(names) > _MOST_FAULTS else ""
        return ", ".join(names[:_MOST_FAULTS]) + more


def read_detections(path: Path, *, masks: bool = False) -> DetectionTable:
    """Read boxes of a detector, or masks (JSON or PNG); broken rows are told.

    ``path`` is JSON, CSV, or a folder of YOLO's texts, all from pixels' corners.

    Raises:
        InputError: If the file is of another kind, or no row can be read.
    """
    shown, suffix = printable(path), path.suffix.lower()
    if masks and suffix == ".png":
        return DetectionTable(regions={("", None): _regions_of_labels(path)})
    if suffix == ".json":
        rows = _json_rows(path)
    elif masks or not (suffix == ".csv" or path.is_dir()):
        kinds = "PNG or JSON" if masks else "JSON, CSV, or a folder of YOLO's texts"
        raise InputError(f"{shown}: expected {kinds}")
    else:
        rows = _yolo_rows(path) if path.is_dir() else _csv_rows(path)
    regions: defaultdict[Key, list[Region]] = defaultdict(list)
    rows_crossed: Counter[Key] = Counter()
    faults = []
    most_rows = _MOST_MASK_ROWS if masks else _MOST_BOX_ROWS
    for count, (where, row) in enumerate(rows):
        if count == most_rows:
            raise InputError(f"{shown}: has more than {most_rows:,} rows; split it")
        try:
            keys = _sort_keys(tuple(row))
            region = _mask_of_row(row, keys) if masks else _box_of_row(row, keys)
            key = _photo_and_frame(row, keys)
            if masks:
                crossed = rows_crossed[key] + _rows_crossed_by_sides(row)
                _refuse_more_masks(len(regions.get(key, ())), crossed)
                rows_crossed[key] = crossed
            regions[key].append(region)
        except (RilievoError, ValueError, TypeError, OverflowError) as error:
            faults.append(f"{shown}: {where}: {shortened(str(error), 200)}")
            if len(faults) > _MOST_BROKEN_ROWS:
                raise InputError(
                    f"{faults[0]}; so are {_MOST_BROKEN_ROWS:,} more rows, and the rest is not read"
                ) from error
    if not regions:
        raise InputError(faults[0] if faults else f"{shown}: has no box; {_EXPECTED}")
    more = len(faults) - _MOST_FAULTS
    faults[_MOST_FAULTS:] = [f"{shown}: {more} more rows are skipped"] if more > 0 else []
    return DetectionTable(regions=regions, faults=tuple(faults))


def _json_rows(path: Path) -> Rows:
    text = read_text(path)
    if text.count(",") + 4 * (text.count("[") + text.count("{")) > _MOST_VALUES:
        raise InputError(f"{printable(path)}: has more than {_MOST_VALUES:,} values; split it")
    try:
        data = parse_json(text)
    except NotThisRecord as error:
        raise InputError(f"{printable(path)}: is {error}") from error
    about: Mapping[str, Any] = data if isinstance(data, dict) else {"annotations": data}
    rows, listed = about.get("annotations"), (("images", "file_name"), ("categories", "name"))
    if not isinstance(rows, list):
        raise InputError(f"{printable(path)}: is a JSON of another kind; {_EXPECTED}")
    files, names = (
        {str(entry.get("id")): entry.get(name) for entry in _dictionaries_in(about.get(part))}
        for part, name in listed
    )
    for number, row in enumerate(rows):
        rows[number] = None  # frees its memory while regions are made
        flat: dict[str, Any] = {}
        if isinstance(row, dict):
            box = row.get("box")
            flat = {**row, **box} if isinstance(box, dict) else dict(row)
        for key, texts in (("image_id", files), ("category_id", names)):
            if key in flat:
                flat[key] = texts.get(str(flat[key]), flat[key])
        yield f"row {number}", flat


def _dictionaries_in(data: Any) -> Iterator[dict[str, Any]]:
    return (entry for entry in (data if isinstance(data, list) else ()) if isinstance(entry, dict))


def _csv_rows(path: Path) -> Rows:
    first_line, *lines = read_text(path).removeprefix("\ufeff").splitlines() or [""]
    delimiter = ";" if ";" in first_line else ","
    header = next(csv.reader([first_line.lower().replace(" ", "")], delimiter=delimiter), [])
    reader = csv.reader(lines, delimiter=delimiter)
    try:
        for cells in reader:
            if cells:
                yield f"line {reader.line_num + 1}", dict(zip(header, cells, strict=False))
    except csv.Error as error:
        raise InputError(f"{printable(path)}: is no table ({error})") from error


def _yolo_rows(folder: Path) -> Rows:
    listed = folder / "classes.txt"
    classes = read_text(listed).splitlines() if listed.exists() else []
    names = {str(number): name for number, name in enumerate(classes)}
    for path in sorted({*folder.glob("*.txt")} - {listed}):
        try:  # a photograph without things has an empty text
            lines = read_text(path).splitlines() if exists(path) and path.stat().st_size else []
        except InputError as error:
            yield f"{path.name}: {shortened(str(error))}", {}
            continue
        for number, line in enumerate(lines, 1):
            name, *numbers = line.split() or [""]
            yield (
                f"{path.name}, line {number}",
                {
                    "file": path.name,
                    "name": names.get(name, name),
                    "cxcywh": numbers[:4] if len(numbers) in (4, 5) else (),
                    "is_share": True,
                },
            )


@dataclass(frozen=True, slots=True)
class _RowKeys:
    """Keys of a row by what their values say, those that count first."""

    boxes: tuple[tuple[_Form, tuple[str, ...]], ...]
    names: tuple[str, ...]
    files: tuple[str, ...]
    frames: tuple[str, ...]


@functools.lru_cache(maxsize=64)
def _sort_keys(keys: tuple[str, ...]) -> _RowKeys:
    """Sort the keys of a row. The rows of a file mostly have the same keys."""

    def found_among(known: Sequence[str]) -> tuple[str, ...]:
        return tuple(key for key in known if key in keys)

    return _RowKeys(
        boxes=tuple((form, names) for form, names in _FORMS if found_among(names) == names),
        names=found_among(_NAMES),
        files=found_among(_FILES),
        frames=found_among(_FRAMES),
    )


def _first_filled_cell(row: Mapping[str, Any], keys: Sequence[str]) -> str:
    for key in keys:
        value = row[key]
        if value is not None and value != "":
            return str(value).strip()
    return ""


def _photo_and_frame(row: Mapping[str, Any], keys: _RowKeys) -> Key:
    file = _first_filled_cell(row, keys.files)
    frame = _first_filled_cell(row, keys.frames)
    return _path_without_suffix(file), int(frame) if frame else None


@functools.lru_cache(maxsize=1024)  # as the rows of a photograph mostly follow each other
def _path_without_suffix(file: str) -> str:
    photo = file.replace("\\", "/").lstrip("/")
    return str(PurePosixPath(photo).with_suffix("")) if photo else ""


def _box_of_row(row: Mapping[str, Any], keys: _RowKeys) -> Region:
    for form, names in keys.boxes:
        values = row[names[0]] if len(names) == 1 else [row[name] for name in names]
        if not isinstance(values, list) or None in values or "" in values:
            continue
        a, b, c, d = map(float, values)
        if form is _Form.CENTRE:
            a, b = a - c / 2, b - d / 2
        corners = (a, b, a + c, b + d)
        if form is _Form.CORNERS:
            corners = (a, b, c, d)
        is_share = "is_share" in row or (form is _Form.CENTRE and max(corners) <= 1)
        box = corners if is_share else box_in_pixel_centres(corners)
        return box_region(box, _first_filled_cell(row, keys.names), is_share=is_share)
    raise InputError(_EXPECTED)


def _run_length(number: Any) -> int:
    """Run length of a number; one that no picture has is refused."""
    length = int(number)
    if not 0 <= length <= _LONGEST_RUN:
        raise InputError(f"segmentation: a run length is 0 to {_LONGEST_RUN}, got {number}")
    return length


def _mask_of_row(row: Mapping[str, Any], keys: _RowKeys) -> Region:
    outline = row.get("segmentation")
    if isinstance(outline, dict):
        size, counts = outline.get("size"), outline.get("counts")
        if not isinstance(size, list) or len(size) != 2 or not isinstance(counts, str | list):
            raise InputError("segmentation: expected 'size' [height, width] and 'counts'")
        height, width = map(int, size)
        if len(counts) > _MOST_RUNS:
            raise InputError(
                f"segmentation: its run lengths have {len(counts):,} numbers or characters, "
                f"expected at most {_MOST_RUNS:,}; give a PNG of labels"
            )
        runs = (
            _unpack_run_lengths(counts, height * width)
            if isinstance(counts, str)
            else np.fromiter(map(_run_length, counts), np.int64, len(counts))
        )
        outline = run_length_outline((height, width), runs)
    else:
        # A list of floating-point numbers would take four times the memory.
        polygons = [array("d", map(float, polygon)) for polygon in outline or ()]
        if not polygons or any(
            len(polygon) < 6 or len(polygon) % 2 or not all(abs(number) < 1e6 for number in polygon)
            for polygon in polygons
        ):
            raise InputError("segmentation: expected run lengths, or polygons of three corners")
        corners = sum(map(len, polygons)) // 2
        if corners > _MOST_CORNERS:
            raise InputError(
                f"segmentation: {corners} corners of polygons, expected at most {_MOST_CORNERS}; "
                "give run lengths"
            )
        outline = polygon_outline(polygons)
    return Region(outline=outline, name=_first_filled_cell(row, keys.names))


def _rows_crossed_by_sides(row: Mapping[str, Any]) -> int:
    """Rows of pixels that the sides of polygons cross, as far as they go beyond the picture."""
    polygons = row["segmentation"]
    if isinstance(polygons, dict):
        return 0
    heights = ([float(number) for number in polygon[1::2]] for polygon in polygons)
    return int(sum(abs(v - ends[place - 1]) for ends in heights for place, v in enumerate(ends)))


def _refuse_more_masks(count: int, rows_crossed: int) -> None:
    """Refuse masks of a photograph that has ``count`` already."""
    if count >= _MOST_THINGS:
        raise InputError(f"its photograph has {count:,} masks already, the most that are measured")
    if rows_crossed > _MOST_ROWS_CROSSED:
        raise InputError(
            f"segmentation: the polygons of its photograph cross {rows_crossed:,} rows of pixels, "
            f"expected at most {_MOST_ROWS_CROSSED:,}; give run lengths"
        )


def _unpack_run_lengths(text: str, pixels: int) -> np.ndarray:
    """COCO's packed run lengths of a picture of so many pixels.

    A character holds five bits of a number, the lowest first, and a bit that says whether the
    number goes on. The highest bit of its last character is its sign. From the fourth number on,
    differences to the second last are stored.
    """
    # Runs of at least a pixel are as many as the pixels at most, and the first may have none.
    if len(text) > _MOST_CHARACTERS_OF_RUN * (pixels + 1):
        raise InputError(f"segmentation: its run lengths are of more than {pixels} pixels")
    bits = np.frombuffer(text.encode("latin-1", "replace"), np.uint8).astype(np.int64) - 48
    ends = np.flatnonzero(bits & 32 == 0)
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if (
        not len(ends)
        or ends[-1] != len(bits) - 1
        or bits.min() < 0
        or bits.max() >= 64
        or lengths.max() > _MOST_CHARACTERS_OF_RUN
    ):
        raise InputError("segmentation: its run lengths are no text of COCO's")
    places = np.arange(len(bits)) - np.repeat(starts, lengths)
    values = np.add.reduceat((bits & 31) << 5 * places, starts)
    values -= np.where(bits[ends] & 16, np.int64(1) << 5 * lengths, 0)
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values


def _regions_of_labels(path: Path) -> Sequence[Region]:
    labels = read_map(path)
    values = np.unique(labels[labels > 0])
    if not 0 < len(values) <= _MOST_THINGS:
        raise InputError(
            f"{printable(path)}: holds {len(values)} things, expected 1 to {_MOST_THINGS}: pixels "
            "of one number are one thing, 0 is none"
        )
    # Masks of many things of a large picture would not fit in memory together.
    return [
        Region(
            outline=lambda shape, value=value: labels == value,
            name="" if len(values) == 1 else f"{value:g}",
        )
        for value in values
    ]
