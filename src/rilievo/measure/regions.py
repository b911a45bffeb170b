"""Regions that hold one object each, from boxes and masks."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from rilievo.arrays.shapes import Float64, Int, Mask, Size
from rilievo.errors import InputError, OptionError
from rilievo.io.files.limits import MAX_PIXELS

CORNER = 0.5
"""Offset of a pixel's centre from its corner, where detectors count [px]."""
_MOST_CROSSINGS = 1_000_000
"""Most crossings of a polygon's sides with rows of pixels, which bound the time of filling it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """Part of a photograph that holds one object.

    Attributes:
        outline: Function that draws the region as a mask of a given (height, width).
        name: Name of the object; "" where none was given.
    """

    outline: Callable[[Size], Mask]
    name: str = ""

    @property
    def is_box(self) -> bool:
        """Whether the region is a bounding box, which also shows what is behind the object."""
        return isinstance(self.outline, _BoxOutline)

    @property
    def text(self) -> str:
        """The box with its corners, or "mask", for messages."""
        return str(self.outline) if isinstance(self.outline, _BoxOutline) else "mask"

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
    """Make the region of a bounding box.

    Args:
        corners: u1, v1, u2, v2 of the upper left and the lower right corner [px]. With
            ``is_share``, they are fractions of the picture's width and height.
        name: Name of the object.
        is_share: Whether the corners are fractions of the picture.

    Raises:
        OptionError: If a corner is not finite, or the box is empty.
    """
    u1, v1, u2, v2 = corners
    outline = _BoxOutline((u1, v1, u2, v2), is_share)
    if not all(map(math.isfinite, corners)):
        raise OptionError(f"{outline}: its corners are finite numbers of pixels")
    if not (u2 > u1 and v2 > v1):
        raise OptionError(
            f"{outline}: is empty; U1,V1 is its upper left corner, U2,V2 the lower right"
        )
    return Region(outline=outline, name=name)


@dataclass(frozen=True, slots=True)
class _BoxOutline:
    """Outline of a bounding box.

    A file may have hundreds of thousands of boxes, and a closure would take eight objects for each.

    Attributes:
        corners: u1, v1, u2, v2 [px], or fractions of the picture.
        is_share: Whether the corners are fractions of the picture's width and height.
    """

    corners: tuple[float, float, float, float]
    is_share: bool

    def __str__(self) -> str:
        u1, v1, u2, v2 = self.corners
        return f"box {u1:g},{v1:g},{u2:g},{v2:g}"

    def __call__(self, shape: Size) -> Mask:
        """Draw the box as a mask."""
        u1, v1, u2, v2 = self.corners
        if self.is_share:
            height, width = shape
            u1, u2 = u1 * width - CORNER, u2 * width - CORNER
            v1, v2 = v1 * height - CORNER, v2 * height - CORNER
        inside = np.zeros(shape, bool)
        inside[_pixel_slice(v1, v2), _pixel_slice(u1, u2)] = True
        return inside


def _pixel_slice(low: float, high: float) -> slice:
    return slice(max(math.ceil(low), 0), max(math.floor(high) + 1, 0))


def box_in_pixel_centres(numbers: Sequence[float]) -> list[float]:
    """Shift numbers from pixels' corners by half a pixel."""
    return [float(number) - CORNER for number in numbers]


def polygon_outline(polygons: Sequence[Sequence[float]]) -> Callable[[Size], Mask]:
    """Outline of polygons u, v, ... from the first pixel's corner [px], by the even-odd rule."""

    def mask(shape: Size) -> Mask:
        sides = [_downward_sides(corners) for corners in polygons]
        rows = [_crossed_rows(ends, shape[0]) for ends in sides]
        crossings = sum(int((last - first).sum()) for first, last in rows)
        if crossings > _MOST_CROSSINGS:
            raise InputError(
                f"segmentation: its sides cross {crossings:,} rows of pixels, expected at most "
                f"{_MOST_CROSSINGS:,}; give run lengths"
            )
        own = np.zeros(shape, bool)
        for ends, (first, last) in zip(sides, rows, strict=True):
            _fill_even_odd(own, ends, first, last)
        return own

    return mask


def _downward_sides(corners: Sequence[float]) -> Float64[np.ndarray, "n 4"]:
    """Sides u, v, u2, v2 of a polygon from pixels' centres, with v2 at least v."""
    # From the upper end to the lower, so that neighbours share a side to the last digit.
    points = np.array(corners, np.float64).reshape(-1, 2) - CORNER
    sides = np.stack([points, np.roll(points, -1, axis=0)], axis=1)
    is_up = sides[:, 0, 1] > sides[:, 1, 1]
    sides[is_up] = sides[is_up, ::-1]
    return sides.reshape(-1, 4)


def _crossed_rows(
    sides: Float64[np.ndarray, "n 4"], height: int
) -> tuple[Int[np.ndarray, "n"], Int[np.ndarray, "n"]]:
    """First row of pixels' centres that each side crosses, and the one after the last."""
    first, last = (np.ceil(sides[:, end]).clip(0, height).astype(int) for end in (1, 3))
    return first, last


def _fill_even_odd(
    own: Mask,
    sides: Float64[np.ndarray, "n 4"],
    first: Int[np.ndarray, "n"],
    last: Int[np.ndarray, "n"],
) -> None:
    """Set the pixels of a row from each odd crossing with a side to the next even one."""
    width, counts = own.shape[1], last - first
    u, v, u2, v2 = np.repeat(sides, counts, axis=0).T
    row = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts - first, counts)
    share = (row - v) / (v2 - v)
    column = np.ceil(u + share * (u2 - u)).clip(0, width).astype(int)
    # The end of a row is the start of the next one, and each row has an even number of crossings.
    places = np.sort(row * width + column).tolist()
    pixels = own.reshape(-1)
    for start, end in zip(places[::2], places[1::2], strict=True):
        pixels[start:end] = True


def run_length_outline(
    size: Size, counts: Int[np.ndarray, "n"] | Sequence[int]
) -> Callable[[Size], Mask]:
    """Outline of run lengths down the columns (COCO's RLE).

    Raises:
        InputError: If they are not of a picture of this size.
    """
    pixels = math.prod(size)
    counts = np.asarray(counts, np.int64)
    # Lengths up to the number of pixels have a sum that int64 holds.
    is_within = min(size) > 0 and ((counts >= 0) & (counts <= pixels)).all()
    if not 0 < pixels <= MAX_PIXELS or not is_within or counts.sum() != pixels:
        raise InputError(f"segmentation: its run lengths are of no picture of {pixels} pixels")
    counts = counts.astype(np.int32)  # half the memory, of hundreds of masks

    def mask(shape: Size) -> Mask:
        if shape != size:  # which ``mask_in`` refuses: no pixel of it is laid out
            return np.broadcast_to(False, size)
        own = np.arange(len(counts)) % 2 == 1
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
