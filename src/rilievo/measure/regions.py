"""Regions that hold one thing each, from boxes, masks and files of detections."""

import csv
import math
from collections import defaultdict
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol, runtime_checkable

import numpy as np

from rilievo.arrays.shapes import Float64, Mask, Size
from rilievo.errors import InputError, OptionError, RilievoError
from rilievo.io.files.limits import MAX_PIXELS, exists, is_whole, read_text
from rilievo.io.files.names import printable, shortened
from rilievo.io.json_record import NotThisRecord, parse_json
from rilievo.io.numbers import read_map

CORNER = 0.5
"""Offset of a pixel's centre from its corner, where detectors count [px]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """Part of a photograph that holds one thing.

    Attributes:
        outline: Function from (height, width) to a mask.
        text: Box, or name of a mask, in messages.
        is_box: Whether it shows more than the thing.
    """

    outline: Callable[[Size], Mask]
    text: str = "mask"
    name: str = ""
    is_box: bool = False

    def mask_in(self, shape: Size) -> Mask:
        """Mask in a photograph of this size.

        Raises:
            InputError: If a mask is of another size, or the region lies outside.
        """
        mask = self.outline(shape)
        if mask.shape != shape:
            raise InputError(
                f"{self.text}: is of {mask.shape[1]}x{mask.shape[0]} pixels, the photograph of "
                f"{shape[1]}x{shape[0]}"
            )
        if not mask.any():
            raise InputError(
                f"{self.text}: holds no pixel of the picture of {shape[1]} columns and {shape[0]} "
                "rows"
            )
        return mask


def box_region(corners: Sequence[float], name: str = "", *, is_share: bool = False) -> Region:
    """Region of upper left and lower right corner [px], or of shares from the borders.

    Raises:
        OptionError: If the box is not finite, or empty.
    """
    u1, v1, u2, v2 = corners
    text = f"box {u1:g},{v1:g},{u2:g},{v2:g}"
    if not all(map(math.isfinite, corners)):
        raise OptionError(f"{text}: its corners are finite numbers of pixels")
    if not (u2 > u1 and v2 > v1):
        raise OptionError(
            f"{text}: is empty; U1,V1 is its upper left corner, U2,V2 the lower right"
        )

    def mask(shape: Size) -> Mask:
        rows, columns = (v1, v2), (u1, u2)
        if is_share:
            rows, columns = (
                (low * side - CORNER, high * side - CORNER)
                for (low, high), side in zip((rows, columns), shape, strict=True)
            )
        inside = np.zeros(shape, bool)
        inside[_pixel_slice(*rows), _pixel_slice(*columns)] = True
        return inside

    return Region(outline=mask, text=text, name=name, is_box=True)


def _pixel_slice(low: float, high: float) -> slice:
    return slice(max(math.ceil(low), 0), max(math.floor(high) + 1, 0))


def box_in_pixel_centres(numbers: Sequence[float]) -> list[float]:
    """Shift numbers from pixels' corners by half a pixel."""
    return [float(number) - CORNER for number in numbers]


def polygon_outline(polygons: Sequence[Sequence[float]]) -> Callable[[Size], Mask]:
    """Outline of polygons u, v, ... from the first pixel's corner [px], by the even-odd rule."""

    def mask(shape: Size) -> Mask:
        own = np.zeros(shape, bool)
        for corners in polygons:
            _fill_even_odd(own, np.array(corners, np.float64).reshape(-1, 2) - CORNER)
        return own

    return mask


def _fill_even_odd(own: Mask, corners: Float64[np.ndarray, "n 2"]) -> None:
    rows, columns = (
        range(side)[_pixel_slice(float(places.min()), float(places.max()))]
        for side, places in zip(own.shape, corners.T[::-1], strict=True)
    )
    # From the upper end to the lower, so that neighbours share a side to the last digit.
    sides = np.stack([corners, np.roll(corners, -1, axis=0)], axis=1)
    is_up = sides[:, 0, 1] > sides[:, 1, 1]
    sides[is_up] = sides[is_up, ::-1]
    (u, v), (u2, v2) = sides.transpose(1, 2, 0)
    for row in rows:
        crossed = np.flatnonzero((v <= row) & (row < v2))
        share = (row - v[crossed]) / (v2[crossed] - v[crossed])
        places = np.ceil(u[crossed] + share * (u2[crossed] - u[crossed])) - columns.start
        starts = np.bincount(places.clip(0, len(columns)).astype(int), minlength=len(columns))
        own[row, columns.start : columns.stop] |= np.cumsum(starts)[: len(columns)] % 2 == 1


def run_length_outline(size: Size, counts: Sequence[int]) -> Callable[[Size], Mask]:
    """Outline of run lengths down the columns (COCO's RLE).

    Raises:
        InputError: If they are not of a picture of this size.
    """
    pixels = math.prod(size)
    if not 0 < pixels <= MAX_PIXELS or sum(counts) != pixels or min((*size, *counts)) < 0:
        raise InputError(f"segmentation: its run lengths are of no picture of {pixels} pixels")
    own = np.arange(len(counts)) % 2 == 1

    def mask(shape: Size) -> Mask:
        if shape != size:  # which ``mask_in`` refuses: no pixel of it is laid out
            return np.broadcast_to(False, size)
        return np.repeat(own, counts).reshape(size[::-1]).T

    return mask


@runtime_checkable
class DetectedBoxes(Protocol):
    """Boxes of a detector, such as ``supervision.Detections``.

    Attributes:
        xyxy: Left, top, right and bottom from the first pixel's corner [px].
        mask: Masks (n, h, w).
        data: More by name, such as ``class_name``.
    """

    xyxy: Any
    mask: Any
    class_id: Any
    data: Any


RegionLike = Region | Sequence[float] | np.ndarray | str


def regions_of_detector(detections: DetectedBoxes) -> Iterator[Region]:
    """Regions of a detector, masks if present, else boxes."""
    ids, masks = detections.class_id, detections.mask
    names = (detections.data or {}).get("class_name", ids)
    for number, corners in enumerate(detections.xyxy):
        name = "" if names is None else str(names[number])
        if masks is None:
            yield box_region(box_in_pixel_centres(corners), name)
        else:
            yield as_region(np.asarray(masks[number], bool), name)


def as_region(region: RegionLike, name: str = "") -> Region:
    """Make a region of a box or mask.

    Raises:
        OptionError: If it is neither.
    """
    if isinstance(region, Region):
        return region
    array = np.asarray(region.split(",") if isinstance(region, str) else region)
    if array.ndim == 2:
        return Region(outline=lambda shape: array != 0, name=name)
    try:
        u1, v1, u2, v2 = map(float, array)
    except (TypeError, ValueError):
        raise OptionError(
            f"box '{str(region)[:40]}': expected U1,V1,U2,V2, columns and rows of two corners in "
            "pixels"
        ) from None
    return box_region((u1, v1, u2, v2), name)


_CORNERS = "x1,y1,x2,y2 xmin,ymin,xmax,ymax x_min,y_min,x_max,y_max left,top,right,bottom xyxy"
_SIDES = "x,y,w,h x,y,width,height left,top,width,height bbox xywh"
_CENTRES = "x_center,y_center,width,height x_centre,y_centre,width,height cx,cy,w,h cxcywh"
_NAMES = ("name", "label", "class_name", "class", "category", "category_id", "class_id")
_FILES = ("file", "file_name", "filename", "image", "image_path", "path", "photo", "image_id")
_FRAMES = ("frame", "frame_index", "frame_id")
_EXPECTED = (
    "expected COCO's results or annotations, or boxes whose keys say what they are: bbox or "
    "x,y,w,h; xyxy or x1,y1,x2,y2; x_center,y_center,width,height"
)
_MOST_THINGS = 1_000
_MOST_CORNERS = 10_000
_MOST_FAULTS = 5

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
    faults = []
    for where, row in rows:
        try:
            region = _mask_of_row(row) if masks else _box_of_row(row)
            regions[_photo_and_frame(row)].append(region)
        except (RilievoError, ValueError, TypeError, OverflowError) as error:
            faults.append(f"{shown}: {where}: {shortened(str(error), 200)}")
    if not regions:
        raise InputError(faults[0] if faults else f"{shown}: has no box; {_EXPECTED}")
    more = len(faults) - _MOST_FAULTS
    faults[_MOST_FAULTS:] = [f"{shown}: {more} more rows are skipped"] if more > 0 else []
    return DetectionTable(regions=regions, faults=tuple(faults))


def _json_rows(path: Path) -> Rows:
    try:
        data = parse_json(read_text(path))
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
        flat = (
            {**row, **next(_dictionaries_in([row.get("box")]), {})} if isinstance(row, dict) else {}
        )
        for key, of in (("image_id", files), ("category_id", names)):
            if key in flat:
                flat[key] = of.get(str(flat[key]), flat[key])
        yield f"row {number}", flat


def _dictionaries_in(data: Any) -> Iterator[dict[str, Any]]:
    return (entry for entry in (data if isinstance(data, list) else ()) if isinstance(entry, dict))


def _csv_rows(path: Path) -> Rows:
    first, *lines = read_text(path).removeprefix("\ufeff").splitlines() or [""]
    mark = ";" if ";" in first else ","
    reader = csv.DictReader([first.lower().replace(" ", ""), *lines], delimiter=mark)
    try:
        yield from ((f"line {reader.line_num}", row) for row in reader)
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
            share = numbers[:4] if len(numbers) in (4, 5) else ()
            row = {"file": path.name, "name": names.get(name, name), "cxcywh": share}
            yield f"{path.name}, line {number}", {**row, "is_share": True}


def _first_filled_cell(row: Mapping[str, Any], names: Sequence[str]) -> str:
    return next((str(row[name]).strip() for name in names if row.get(name) not in (None, "")), "")


def _photo_and_frame(row: Mapping[str, Any]) -> Key:
    photo, frame = (
        _first_filled_cell(row, _FILES).replace("\\", "/").lstrip("/"),
        _first_filled_cell(row, _FRAMES),
    )
    return str(PurePosixPath(photo).with_suffix("")) if photo else "", int(frame) if frame else None


def _box_of_row(row: Mapping[str, Any]) -> Region:
    for form, texts in enumerate((_CORNERS, _SIDES, _CENTRES)):
        for names in (text.split(",") for text in texts.split()):
            values = row.get(names[0]) if len(names) == 1 else [row.get(name) for name in names]
            if not isinstance(values, list) or None in values or "" in values:
                continue
            a, b, c, d = map(float, values)
            if form == 2:
                a, b = a - c / 2, b - d / 2
            corners = (a, b, a + c, b + d) if form else (a, b, c, d)
            is_share = "is_share" in row or (form == 2 and max(corners) <= 1)
            box = corners if is_share else box_in_pixel_centres(corners)
            return box_region(box, _first_filled_cell(row, _NAMES), is_share=is_share)
    raise InputError(_EXPECTED)


def _mask_of_row(row: Mapping[str, Any]) -> Region:
    outline = row.get("segmentation")
    if isinstance(outline, dict):
        (height, width), counts = map(int, outline.get("size", ())), outline.get("counts", ())
        runs = (
            _unpack_run_lengths(counts)
            if isinstance(counts, str)
            else [int(count) for count in counts]
        )
        outline = run_length_outline((height, width), runs)
    else:
        polygons = [[float(number) for number in polygon] for polygon in outline or ()]
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
    return Region(outline=outline, name=_first_filled_cell(row, _NAMES))


def _unpack_run_lengths(text: str) -> list[int]:
    """COCO's packed run lengths: five bits a character, differences to the second last."""
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 40:
            raise InputError("segmentation: its run lengths are no text of COCO's")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            value -= (bits & 16) and 1 << shift
            counts.append(value + counts[-2] if len(counts) > 2 else value)
            value = shift = 0
    return counts


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
