"""Files of detections: COCO's JSON, CSV, YOLO's texts, PNG masks."""

import csv
import functools
from collections import Counter, defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from rilievo.errors import InputError, RilievoError
from rilievo.io.files.limits import exists, is_whole, read_text
from rilievo.io.files.names import printable, shortened
from rilievo.io.json_record import NotThisRecord, parse_json
from rilievo.io.numbers import read_map
from rilievo.measure.regions import Region, box_in_pixel_centres, box_region
from rilievo.measure.segmentations import count_crossed_rows, segmentation_outline

_MAX_LISTED_FAULTS = 5
"""Most broken rows, or photographs, that are named one by one; the others are counted."""
_EXPECTED = (
    "expected COCO's results or annotations, or boxes whose keys say what they are: bbox or "
    "x,y,w,h; xyxy or x1,y1,x2,y2; x_center,y_center,width,height"
)


class PhotoKey(NamedTuple):
    """Photograph or frame to which regions of a file belong.

    ``photo`` is its path without suffix, its name, or its number; "" if the regions are of any
    photograph. ``frame`` is the index of a frame of a video; None for a photograph.
    """

    photo: str
    frame: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionTable:
    """Regions of many photographs or frames.

    Attributes:
        regions: Regions of each photograph or frame.
        faults: Lines on rows that were skipped.
    """

    regions: Mapping[PhotoKey, Sequence[Region]]
    faults: tuple[str, ...] = ()

    def regions_in(self, photo: Path, frame: int | None = None) -> Sequence[Region]:
        """Regions of a photograph, or of a frame of a video, counted from 0."""
        key = self.find_key(photo, frame)
        return () if key is None else self.regions[key]

    def find_key(self, photo: Path, frame: int | None = None) -> PhotoKey | None:
        """Key under which the regions of a photograph or frame are listed; None if none are."""
        parts = photo.absolute().with_suffix("").parts[1:]
        names = ["/".join(parts[first:]) for first in range(len(parts))]
        if is_whole(parts[-1]):
            names.append(str(int(parts[-1])))
        keys = [PhotoKey(name, frame) for name in (*names, "")]
        if frame is not None:  # YOLO's texts count frames from 1.
            keys.append(PhotoKey(f"{parts[-1]}_{frame + 1}", None))
        return next((key for key in keys if key in self.regions), None)

    def name_unused(self, used: Container[PhotoKey | None]) -> str:
        """Text of the photographs and frames that are not among the used keys."""
        names = [
            key.photo if key.frame is None else f"{key.photo} frame {key.frame}".lstrip()
            for key in self.regions
            if key not in used
        ]
        listed = ", ".join(names[:_MAX_LISTED_FAULTS])
        unlisted = len(names) - _MAX_LISTED_FAULTS
        return f"{listed} and {unlisted:,} more" if unlisted > 0 else listed


_Row = Mapping[str, Any]
"""Values of a row by key or column."""
_Rows = Iterator[tuple[str, _Row]]
"""Rows, each with its place in the file, such as "line 3"."""

_MAX_BOX_ROWS, _MAX_MASK_ROWS = 500_000, 200_000
"""Most rows of a file, which take 400 MB."""
_MAX_BROKEN_ROWS = 10_000
"""Broken rows after which a file is refused, because it is of another kind."""


def read_detections(path: Path, *, masks: bool = False) -> DetectionTable:
    """Read the boxes of a detector, or with ``masks`` its masks; broken rows become faults.

    ``path`` is a JSON, a CSV file, a folder of YOLO's texts, or a PNG of masks. Their coordinates
    count from the corner of the first pixel.

    Raises:
        InputError: If the file is of another kind, or no row can be read.
    """
    if masks and path.suffix.lower() == ".png":
        return DetectionTable(regions={PhotoKey("", None): _regions_of_labels(path)})

    shown = printable(path)
    max_rows = _MAX_MASK_ROWS if masks else _MAX_BOX_ROWS
    regions: defaultdict[PhotoKey, list[Region]] = defaultdict(list)
    crossed_rows: Counter[PhotoKey] = Counter()
    faults: list[str] = []
    for index, (place, row) in enumerate(_rows_of_file(path, masks=masks)):
        if index == max_rows:
            raise InputError(f"{shown}: has more than {max_rows:,} rows; split it")
        try:
            keys = _sort_keys(tuple(row))
            region = _mask_of_row(row, keys) if masks else _box_of_row(row, keys)
            key = _photo_of_row(row, keys)
            if masks:
                crossed = crossed_rows[key] + count_crossed_rows(row["segmentation"])
                _require_room_for_mask(len(regions.get(key, ())), crossed)
                crossed_rows[key] = crossed
            regions[key].append(region)
        except (RilievoError, ValueError, TypeError, OverflowError) as error:
            faults.append(f"{shown}: {place}: {shortened(str(error), 200)}")
            if len(faults) > _MAX_BROKEN_ROWS:
                raise InputError(
                    f"{faults[0]}; so are {_MAX_BROKEN_ROWS:,} more rows, and the rest is not read"
                ) from error

    if not regions:
        raise InputError(faults[0] if faults else f"{shown}: has no box; {_EXPECTED}")
    unlisted = len(faults) - _MAX_LISTED_FAULTS
    if unlisted > 0:
        faults[_MAX_LISTED_FAULTS:] = [f"{shown}: {unlisted} more rows are skipped"]
    return DetectionTable(regions=regions, faults=tuple(faults))


def _rows_of_file(path: Path, *, masks: bool) -> _Rows:
    suffix = path.suffix.lower()
    if suffix == ".json":
        return _json_rows(path)
    if masks:
        raise InputError(f"{printable(path)}: expected PNG or JSON")
    if path.is_dir():
        return _yolo_rows(path)
    if suffix == ".csv":
        return _csv_rows(path)
    raise InputError(f"{printable(path)}: expected JSON, CSV, or a folder of YOLO's texts")


_MAX_VALUES = 12_000_000
"""Most values of a JSON, which take 400 MB; a list or an object counts as four."""


def _json_rows(path: Path) -> _Rows:
    text = read_text(path)
    if text.count(",") + 4 * (text.count("[") + text.count("{")) > _MAX_VALUES:
        raise InputError(f"{printable(path)}: has more than {_MAX_VALUES:,} values; split it")
    try:
        data = parse_json(text)
    except NotThisRecord as error:
        raise InputError(f"{printable(path)}: is {error}") from error

    dataset: _Row = data if isinstance(data, dict) else {"annotations": data}
    annotations = dataset.get("annotations")
    if not isinstance(annotations, list):
        raise InputError(f"{printable(path)}: is a JSON of another kind; {_EXPECTED}")
    file_names = _texts_by_id(dataset.get("images"), "file_name")
    category_names = _texts_by_id(dataset.get("categories"), "name")
    for index, annotation in enumerate(annotations):
        annotations[index] = None  # Frees its memory while regions are made.
        row = _flat_row(annotation)
        if "image_id" in row:
            row["image_id"] = file_names.get(str(row["image_id"]), row["image_id"])
        if "category_id" in row:
            row["category_id"] = category_names.get(str(row["category_id"]), row["category_id"])
        yield f"row {index}", row


def _texts_by_id(entries: Any, key: str) -> dict[str, Any]:
    """Value of a key for each entry of a list, by the entry's id."""
    if not isinstance(entries, list):
        return {}
    return {str(entry.get("id")): entry.get(key) for entry in entries if isinstance(entry, dict)}


def _flat_row(annotation: Any) -> dict[str, Any]:
    """Values of an annotation, with those of its ``box``; none if it is no object."""
    if not isinstance(annotation, dict):
        return {}
    box = annotation.get("box")
    return {**annotation, **box} if isinstance(box, dict) else dict(annotation)


def _csv_rows(path: Path) -> _Rows:
    first_line, *lines = read_text(path).removeprefix("\ufeff").splitlines() or [""]
    delimiter = ";" if ";" in first_line else ","
    columns = first_line.lower().replace(" ", "")
    header = next(csv.reader([columns], delimiter=delimiter), [])
    reader = csv.reader(lines, delimiter=delimiter)
    try:
        for cells in reader:
            if cells:
                yield f"line {reader.line_num + 1}", dict(zip(header, cells, strict=False))
    except csv.Error as error:
        raise InputError(f"{printable(path)}: is no table ({error})") from error


def _yolo_rows(folder: Path) -> _Rows:
    classes_file = folder / "classes.txt"
    classes = read_text(classes_file).splitlines() if classes_file.exists() else []
    class_names = {str(index): name for index, name in enumerate(classes)}
    for path in sorted({*folder.glob("*.txt")} - {classes_file}):
        try:
            lines = _lines_of_yolo(path)
        except InputError as error:
            yield f"{path.name}: {shortened(str(error))}", {}
            continue
        for line_number, line in enumerate(lines, 1):
            class_index, *numbers = line.split() or [""]
            # A fifth number is the score.
            box = numbers[:4] if len(numbers) in (4, 5) else ()
            name = class_names.get(class_index, class_index)
            row = {"file": path.name, "name": name, "cxcywh": box, "is_share": True}
            yield f"{path.name}, line {line_number}", row


def _lines_of_yolo(path: Path) -> list[str]:
    """Lines of a text; a photograph without objects has an empty one."""
    return read_text(path).splitlines() if exists(path) and path.stat().st_size else []


class _BoxForm(Enum):
    """What the four numbers of a box are."""

    CORNERS = auto()
    """Left, top, right, bottom."""
    CORNER_AND_SIZE = auto()
    """Left, top, width, height."""
    CENTRE_AND_SIZE = auto()
    """Column and row of the centre, width, height."""


_BOX_KEYS: tuple[tuple[_BoxForm, tuple[str, ...]], ...] = (
    (_BoxForm.CORNERS, ("x1", "y1", "x2", "y2")),
    (_BoxForm.CORNERS, ("xmin", "ymin", "xmax", "ymax")),
    (_BoxForm.CORNERS, ("x_min", "y_min", "x_max", "y_max")),
    (_BoxForm.CORNERS, ("left", "top", "right", "bottom")),
    (_BoxForm.CORNERS, ("xyxy",)),
    (_BoxForm.CORNER_AND_SIZE, ("x", "y", "w", "h")),
    (_BoxForm.CORNER_AND_SIZE, ("x", "y", "width", "height")),
    (_BoxForm.CORNER_AND_SIZE, ("left", "top", "width", "height")),
    (_BoxForm.CORNER_AND_SIZE, ("bbox",)),
    (_BoxForm.CORNER_AND_SIZE, ("xywh",)),
    (_BoxForm.CENTRE_AND_SIZE, ("x_center", "y_center", "width", "height")),
    (_BoxForm.CENTRE_AND_SIZE, ("x_centre", "y_centre", "width", "height")),
    (_BoxForm.CENTRE_AND_SIZE, ("cx", "cy", "w", "h")),
    (_BoxForm.CENTRE_AND_SIZE, ("cxcywh",)),
)
"""Keys of a box: four of them, or one that holds four numbers. The first that are filled count."""


_FILE_KEYS = ("file", "file_name", "filename", "image", "image_path", "path", "photo", "image_id")
_FRAME_KEYS = ("frame", "frame_index", "frame_id")
_NAME_KEYS = ("name", "label", "class_name", "class", "category", "category_id", "class_id")


@dataclass(frozen=True, slots=True)
class _RowKeys:
    """Keys of a row by what their values mean, those that count first."""

    boxes: tuple[tuple[_BoxForm, tuple[str, ...]], ...]
    names: tuple[str, ...]
    files: tuple[str, ...]
    frames: tuple[str, ...]


@functools.lru_cache(maxsize=64)
def _sort_keys(keys: tuple[str, ...]) -> _RowKeys:
    """Sort the keys of a row; cached, because the rows of a file mostly have the same keys."""

    def present(known: Sequence[str]) -> tuple[str, ...]:
        return tuple(key for key in known if key in keys)

    return _RowKeys(
        boxes=tuple((form, box_keys) for form, box_keys in _BOX_KEYS if set(box_keys) <= set(keys)),
        names=present(_NAME_KEYS),
        files=present(_FILE_KEYS),
        frames=present(_FRAME_KEYS),
    )


def _photo_of_row(row: _Row, keys: _RowKeys) -> PhotoKey:
    """Photograph or frame to which a row belongs."""
    frame = _first_filled(row, keys.frames)
    return PhotoKey(
        photo=_path_without_suffix(_first_filled(row, keys.files)),
        frame=int(frame) if frame else None,
    )


@functools.lru_cache(maxsize=1024)  # The rows of a photograph mostly follow each other.
def _path_without_suffix(file: str) -> str:
    photo = file.replace("\\", "/").lstrip("/")
    return str(PurePosixPath(photo).with_suffix("")) if photo else ""


def _first_filled(row: _Row, keys: Sequence[str]) -> str:
    """Text of the first key whose value is not empty; "" if there is none."""
    for key in keys:
        value = row[key]
        if value is not None and value != "":
            return str(value).strip()
    return ""


def _box_of_row(row: _Row, keys: _RowKeys) -> Region:
    """Region of the box in a row.

    Raises:
        InputError: If no keys hold a box.
    """
    for form, box_keys in keys.boxes:
        numbers: Any = row[box_keys[0]] if len(box_keys) == 1 else [row[key] for key in box_keys]
        if not isinstance(numbers, list) or None in numbers or "" in numbers:
            continue
        corners = _corners_of_box(form, [float(number) for number in numbers])
        # Boxes by their centre that reach no farther than 1 are shares of the width and height.
        are_shares = form is _BoxForm.CENTRE_AND_SIZE and max(corners) <= 1
        is_share = "is_share" in row or are_shares
        box = corners if is_share else box_in_pixel_centres(corners)
        return box_region(box, _first_filled(row, keys.names), is_share=is_share)
    raise InputError(_EXPECTED)


def _corners_of_box(form: _BoxForm, numbers: Sequence[float]) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a box."""
    first, second, third, fourth = numbers
    if form is _BoxForm.CORNERS:
        return first, second, third, fourth
    width, height = third, fourth
    left, top = first, second
    if form is _BoxForm.CENTRE_AND_SIZE:
        left, top = first - width / 2, second - height / 2
    return left, top, left + width, top + height


def _mask_of_row(row: _Row, keys: _RowKeys) -> Region:
    """Region of the mask in a row.

    Raises:
        InputError: If it has no mask, or too large a one.
    """
    outline = segmentation_outline(row.get("segmentation"))
    return Region(outline=outline, name=_first_filled(row, keys.names))


_MAX_MASKS = 1_000
"""Most masks of a photograph."""
_MAX_CROSSED_ROWS = 2_000_000
"""Most rows of pixels that the sides of a photograph's polygons cross together, which takes half a
second."""


def _require_room_for_mask(mask_count: int, crossed_rows: int) -> None:
    """Raise ``InputError`` if a photograph has too many masks for another one.

    Args:
        mask_count: Number of masks that it has already.
        crossed_rows: Rows of pixels that the sides of its polygons cross, with the new mask's.
    """
    if mask_count >= _MAX_MASKS:
        raise InputError(
            f"its photograph has {mask_count:,} masks already, the most that are measured"
        )
    if crossed_rows > _MAX_CROSSED_ROWS:
        raise InputError(
            f"segmentation: the polygons of its photograph cross {crossed_rows:,} rows of pixels, "
            f"expected at most {_MAX_CROSSED_ROWS:,}; give run lengths"
        )


def _regions_of_labels(path: Path) -> Sequence[Region]:
    """Regions of a PNG in which the pixels of each object have a number of their own."""
    labels = read_map(path)
    numbers = np.unique(labels[labels > 0])
    if not 0 < len(numbers) <= _MAX_MASKS:
        raise InputError(
            f"{printable(path)}: holds {len(numbers)} things, expected 1 to {_MAX_MASKS}: pixels "
            "of one number are one thing, 0 is none"
        )
    # Masks of many objects of a large picture would not fit in memory together.
    return [
        Region(
            outline=lambda shape, number=number: labels == number,
            name="" if len(numbers) == 1 else f"{number:g}",
        )
        for number in numbers
    ]
