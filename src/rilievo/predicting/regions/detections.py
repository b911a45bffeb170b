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
from rilievo.errors.messages import count_text
from rilievo.io.files.limits import exists, is_whole, read_text
from rilievo.io.files.names import printable, shortened
from rilievo.io.json_record import InvalidRecordError, parse_json
from rilievo.io.numbers import read_map
from rilievo.measure.regions import Region, box_in_pixel_centres, box_region
from rilievo.predicting.regions.segmentations import estimate_crossed_rows, segmentation_outline

_MAX_LISTED = 5
"""Most broken rows, or photographs, that are named one by one; the others are counted."""
_EXPECTED = (
    "expected COCO results or annotations, or boxes whose keys give their format: bbox or "
    "x,y,w,h; xyxy or x1,y1,x2,y2; x_center,y_center,width,height"
)
_EXPECTED_MASKS = "expected COCO results or annotations with a 'segmentation'"


_ANY_PHOTO = ""
"""Name in a ``PhotoKey`` for regions that belong to any photograph."""


class PhotoKey(NamedTuple):
    """Photograph or frame to which regions of a file belong.

    ``photo`` is its path without suffix, its name, or its number; "" if the regions belong to any
    photograph. ``frame`` is the index of a frame of a video; None for a photograph.
    """

    photo: str
    frame: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionTable:
    """Regions of many photographs or frames.

    ``faults`` are messages about rows that were skipped.
    """

    regions: Mapping[PhotoKey, Sequence[Region]]
    faults: tuple[str, ...] = ()

    def regions_in(self, photo: Path, frame: int | None = None) -> Sequence[Region]:
        """Regions of a photograph, or of a frame of a video, counted from 0."""
        key = self.find_key(photo, frame)
        return () if key is None else self.regions[key]

    def find_key(self, photo: Path, frame: int | None = None) -> PhotoKey | None:
        """Key under which the regions of a photograph or frame are listed; None if none are.

        A file may name a photograph by the last parts of its path, such as folder/photo, or by a
        number without leading zeros. The longest name wins.
        """
        path_parts = photo.absolute().with_suffix("").parts[1:]  # Without the root.
        stem = path_parts[-1]
        # From the whole path to the stem alone.
        names = ["/".join(path_parts[first:]) for first in range(len(path_parts))]
        if is_whole(stem):
            number_without_zeros = str(int(stem))
            names.append(number_without_zeros)
        candidates = [PhotoKey(name, frame) for name in names]
        candidates.append(PhotoKey(_ANY_PHOTO, frame))
        if frame is not None:
            name_in_yolo = f"{stem}_{frame + 1}"  # YOLO's texts count frames from 1.
            candidates.append(PhotoKey(name_in_yolo, None))
        return next((key for key in candidates if key in self.regions), None)

    def list_unused(self, used: Container[PhotoKey | None]) -> str:
        """Names of the photographs and frames whose keys were not used, as a text."""
        names = [
            key.photo if key.frame is None else f"{key.photo} frame {key.frame}".lstrip()
            for key in self.regions
            if key not in used
        ]
        listed = ", ".join(names[:_MAX_LISTED])
        unlisted_count = len(names) - _MAX_LISTED
        return f"{listed} and {unlisted_count:,} more" if unlisted_count > 0 else listed


_Row = Mapping[str, Any]
"""Values of a row by key or column."""
_Rows = Iterator[tuple[str, _Row]]
"""Rows, each with its location in the file, such as "line 3"."""

_MAX_BOX_ROWS, _MAX_MASK_ROWS = 500_000, 200_000
"""Most rows of a file, which take 400 MB."""
_MAX_BROKEN_ROWS = 10_000
"""Most broken rows of a file; one with more is probably of another kind, and is refused."""


def read_detections(path: Path, *, masks: bool = False) -> DetectionTable:
    """Read the boxes of a detector, or with ``masks`` its masks; broken rows become faults.

    ``path`` is a JSON, a CSV file, a folder of YOLO's texts, or a PNG of masks. Their coordinates
    count from the corner of the first pixel.

    Raises:
        InputError: If the file is of another kind, or no row can be read.
    """
    if masks and path.suffix.lower() == ".png":
        return DetectionTable(regions={PhotoKey(_ANY_PHOTO, None): _read_label_image(path)})

    file_name = printable(path)
    max_rows = _MAX_MASK_ROWS if masks else _MAX_BOX_ROWS
    regions = _CollectedMasks() if masks else _CollectedBoxes()
    faults: list[str] = []
    for index, (location, row) in enumerate(_read_rows(path, masks=masks)):
        if index == max_rows:
            raise InputError(f"{file_name}: has more than {max_rows:,} rows; split the file")
        try:
            regions.add_row(row)
        except (RilievoError, ValueError, TypeError, OverflowError) as error:
            faults.append(f"{file_name}: {location}: {shortened(str(error), 200)}")
            if len(faults) > _MAX_BROKEN_ROWS:
                raise InputError(
                    f"{faults[0]}; {_MAX_BROKEN_ROWS:,} more rows are faulty too, so the "
                    "rest of the file is not read"
                ) from error

    if not regions.by_photo:
        content, expected = _expected_content(masks=masks)
        raise InputError(faults[0] if faults else f"{file_name}: contains no {content}; {expected}")
    return DetectionTable(regions=regions.by_photo, faults=_list_faults(faults, file_name))


def _list_faults(faults: Sequence[str], file_name: str) -> tuple[str, ...]:
    """List the first few faults, and say how many more rows are broken."""
    listed = tuple(faults[:_MAX_LISTED])
    unlisted_count = len(faults) - len(listed)
    if not unlisted_count:
        return listed
    broken_rows = count_text(unlisted_count, "further broken row")
    return (*listed, f"{file_name}: rilievo skips {broken_rows}")


def _expected_content(*, masks: bool) -> tuple[str, str]:
    """Return what a file should contain, and a description of the files that do."""
    return ("masks", _EXPECTED_MASKS) if masks else ("boxes", _EXPECTED)


def _read_rows(path: Path, *, masks: bool) -> _Rows:
    suffix = path.suffix.lower()
    if suffix == ".json":
        return _read_json_rows(path, masks=masks)
    if masks:
        raise InputError(
            f"{printable(path)}: is not a supported file of masks; expected PNG or JSON"
        )
    if path.is_dir():
        return _read_yolo_rows(path)
    if suffix == ".csv":
        return _read_csv_rows(path)
    raise InputError(
        f"{printable(path)}: is not a supported file of boxes; expected JSON, CSV, or a folder of "
        "YOLO text files"
    )


_MAX_VALUES = 12_000_000
"""Most values of a JSON, which take 400 MB; a list or an object counts as four."""


def _read_json_rows(path: Path, *, masks: bool) -> _Rows:
    """Read COCO's annotations or results, with names in place of the ids of images and classes."""
    data = _parse_bounded_json(path)
    # COCO's results are a list of annotations, without the dataset around them.
    dataset: _Row = data if isinstance(data, dict) else {"annotations": data}
    annotations = dataset.get("annotations")
    if not isinstance(annotations, list):
        _, expected = _expected_content(masks=masks)
        raise InputError(f"{printable(path)}: is a JSON file of an unknown kind; {expected}")
    file_names = _values_by_id(dataset.get("images"), "file_name")
    category_names = _values_by_id(dataset.get("categories"), "name")
    for index, annotation in enumerate(annotations):
        annotations[index] = None  # Frees its memory while regions are made.
        row = _flatten_annotation(annotation)
        if "image_id" in row:
            row["image_id"] = file_names.get(str(row["image_id"]), row["image_id"])
        if "category_id" in row:
            row["category_id"] = category_names.get(str(row["category_id"]), row["category_id"])
        yield f"row {index}", row


def _parse_bounded_json(path: Path) -> Any:
    """Parse a JSON file, unless it has so many values that they could fill the memory."""
    text = read_text(path)
    # An estimate from the text alone, which is counted before the memory is taken.
    value_count = text.count(",") + 4 * (text.count("[") + text.count("{"))
    if value_count > _MAX_VALUES:
        raise InputError(f"{printable(path)}: has more than {_MAX_VALUES:,} values; split the file")
    try:
        return parse_json(text)
    except InvalidRecordError as error:
        raise InputError(f"{printable(path)}: is {error}") from error


def _values_by_id(entries: Any, key: str) -> dict[str, Any]:
    """Value of a key for each entry of a list, by the entry's id."""
    if not isinstance(entries, list):
        return {}
    return {str(entry.get("id")): entry.get(key) for entry in entries if isinstance(entry, dict)}


def _flatten_annotation(annotation: Any) -> dict[str, Any]:
    """Merge the values of an annotation's ``box`` into the annotation; {} if it is no object."""
    if not isinstance(annotation, dict):
        return {}
    box = annotation.get("box")
    return {**annotation, **box} if isinstance(box, dict) else dict(annotation)


def _read_csv_rows(path: Path) -> _Rows:
    """Yield the rows of a table, whose first line has the columns.

    The delimiter is a semicolon if the first line has one, otherwise a comma.
    """
    # A file without a line has an empty header.
    first_line, *lines = read_text(path).removeprefix("\ufeff").splitlines() or [""]
    delimiter = ";" if ";" in first_line else ","
    columns = first_line.lower().replace(" ", "")
    reader = csv.reader(lines, delimiter=delimiter)
    try:
        header = next(csv.reader([columns], delimiter=delimiter), [])
        for cells in reader:
            if cells:
                line_number = reader.line_num + 1  # The reader starts after the header.
                yield f"line {line_number}", dict(zip(header, cells, strict=False))
    except csv.Error as error:
        raise InputError(f"{printable(path)}: is not a CSV table ({error})") from error


def _read_yolo_rows(folder: Path) -> _Rows:
    """Read a folder with a text for each photograph, and maybe ``classes.txt``.

    The lines are: class, centre and size as fractions of the picture, and maybe the score.
    """
    classes_file = folder / "classes.txt"
    classes = read_text(classes_file).splitlines() if classes_file.exists() else []
    class_names = {str(index): name for index, name in enumerate(classes)}
    for path in sorted({*folder.glob("*.txt")} - {classes_file}):
        try:
            lines = _read_yolo_lines(path)
        except InputError as error:
            yield f"{path.name}: {shortened(str(error))}", {}
            continue
        for line_number, line in enumerate(lines, 1):
            class_index, *numbers = line.split() or [""]
            box = numbers[:4] if len(numbers) in (4, 5) else ()
            name = class_names.get(class_index, class_index)
            row = {"file": path.name, "name": name, "cxcywh": box, _FRACTIONS_KEY: True}
            yield f"{path.name}, line {line_number}", row


def _read_yolo_lines(path: Path) -> list[str]:
    # The text of a photograph without objects is empty, which ``read_text`` refuses.
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
_FRACTIONS_KEY = "is_share"
"""Key of a row whose box is in fractions of the width and the height."""

_FILE_KEYS = ("file", "file_name", "filename", "image", "image_path", "path", "photo", "image_id")
_FRAME_KEYS = ("frame", "frame_index", "frame_id")
_NAME_KEYS = ("name", "label", "class_name", "class", "category", "category_id", "class_id")


@dataclass(frozen=True, slots=True)
class _RowKeys:
    """Keys of a row by what their values mean, those with precedence first."""

    boxes: tuple[tuple[_BoxForm, tuple[str, ...]], ...]
    names: tuple[str, ...]
    files: tuple[str, ...]
    frames: tuple[str, ...]


@functools.lru_cache(maxsize=64)
def _sort_keys(keys: tuple[str, ...]) -> _RowKeys:
    """Sort the keys of a row; cached, because the rows of a file mostly have the same keys."""

    def keep_present(known_keys: Sequence[str]) -> tuple[str, ...]:
        return tuple(key for key in known_keys if key in keys)

    return _RowKeys(
        boxes=tuple((form, box_keys) for form, box_keys in _BOX_KEYS if set(box_keys) <= set(keys)),
        names=keep_present(_NAME_KEYS),
        files=keep_present(_FILE_KEYS),
        frames=keep_present(_FRAME_KEYS),
    )


def _parse_photo(row: _Row, keys: _RowKeys) -> PhotoKey:
    """Read the photograph or frame to which a row belongs."""
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


def _parse_box(row: _Row, keys: _RowKeys) -> Region:
    """Read the box of a row."""
    for box_form, box_keys in keys.boxes:
        if len(box_keys) == 1:
            [list_key] = box_keys  # a key that holds all four numbers
            numbers = row[list_key]
        else:
            numbers = [row[key] for key in box_keys]
        is_complete = isinstance(numbers, list) and None not in numbers and "" not in numbers
        if not is_complete:
            continue
        corners = _box_corners(box_form, [float(number) for number in numbers])
        # Boxes by centre and size with no side beyond 1 are taken as fractions of the picture.
        seems_fractional = box_form is _BoxForm.CENTRE_AND_SIZE and max(corners) <= 1
        is_fractional = _FRACTIONS_KEY in row or seems_fractional
        box = corners if is_fractional else box_in_pixel_centres(corners)
        return box_region(box, _first_filled(row, keys.names), is_fractional=is_fractional)
    raise InputError(_EXPECTED)


def _box_corners(form: _BoxForm, numbers: Sequence[float]) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a box."""
    if form is _BoxForm.CORNERS:
        left, top, right, bottom = numbers
        return left, top, right, bottom
    if form is _BoxForm.CENTRE_AND_SIZE:
        centre_x, centre_y, width, height = numbers
        left, top = centre_x - width / 2, centre_y - height / 2
    else:
        left, top, width, height = numbers
    return left, top, left + width, top + height


def _parse_mask(row: _Row, keys: _RowKeys) -> Region:
    """Read the mask of a row."""
    outline = segmentation_outline(row.get("segmentation"))
    return Region(outline=outline, name=_first_filled(row, keys.names))


_MAX_MASKS = 1_000
"""Most masks of a photograph."""
_MAX_CROSSED_ROWS = 2_000_000
"""Most rows of pixels that the sides of a photograph's polygons cross together, which takes half a
second."""


class _CollectedBoxes:
    """Boxes of a file, by their photographs."""

    def __init__(self) -> None:
        self.by_photo: defaultdict[PhotoKey, list[Region]] = defaultdict(list)

    def add_row(self, row: _Row) -> None:
        """Parse a row, and add its box.

        Raises:
            RilievoError, ValueError, TypeError, OverflowError: If the row is broken.
        """
        keys = _sort_keys(tuple(row))
        box = _parse_box(row, keys)
        self.by_photo[_parse_photo(row, keys)].append(box)


class _CollectedMasks:
    """Masks of a file, by their photographs, within the limits of each photograph."""

    def __init__(self) -> None:
        self.by_photo: defaultdict[PhotoKey, list[Region]] = defaultdict(list)
        # Rows of pixels that the sides of a photograph's polygons cross.
        self._crossed_rows: Counter[PhotoKey] = Counter()

    def add_row(self, row: _Row) -> None:
        """Parse a row, and add its mask.

        Raises:
            RilievoError, ValueError, TypeError, OverflowError: If the row is broken, or its
                photograph has too many masks.
        """
        keys = _sort_keys(tuple(row))
        mask = _parse_mask(row, keys)
        photo = _parse_photo(row, keys)
        crossed_rows = self._crossed_rows[photo] + estimate_crossed_rows(row["segmentation"])
        _require_room_for_mask(len(self.by_photo.get(photo, ())), crossed_rows)
        self._crossed_rows[photo] = crossed_rows
        self.by_photo[photo].append(mask)


def _require_room_for_mask(mask_count: int, crossed_rows: int) -> None:
    """Raise ``InputError`` if a photograph has too many masks for another one.

    ``mask_count`` is the number of its other masks. ``crossed_rows`` counts the rows of pixels that
    the sides of its polygons cross, with those of the new mask.
    """
    if mask_count >= _MAX_MASKS:
        raise InputError(f"its photograph already has {mask_count:,} masks, which is the maximum")
    if crossed_rows > _MAX_CROSSED_ROWS:
        raise InputError(
            "segmentation: the sides of all polygons in its photograph cross "
            f"{crossed_rows:,} rows of pixels in total, above the limit of "
            f"{_MAX_CROSSED_ROWS:,}; use run lengths instead"
        )


def _read_label_image(path: Path) -> Sequence[Region]:
    """Read the regions of a PNG in which the pixels of each object have a label of their own."""
    label_image = read_map(path)
    labels = np.unique(label_image[label_image > 0])
    if not 0 < len(labels) <= _MAX_MASKS:
        raise InputError(
            f"{printable(path)}: contains {count_text(len(labels), 'object')}, expected 1 to "
            f"{_MAX_MASKS}: all pixels with the same number are one object, and 0 is the "
            "background"
        )
    # Masks are drawn when they are needed; those of many objects would not fit in memory together.
    return [
        Region(
            outline=lambda shape, label=label: label_image == label,
            name="" if len(labels) == 1 else f"{label:g}",
        )
        for label in labels
    ]
