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
    first, last = (np.clip(np.ceil(ends), rows.start, rows.stop) for ends in (v, v2))
    crossings = int((last - first).sum())
    if crossings > _MOST_CROSSINGS:
        raise InputError(
            f"segmentation: its sides cross {crossings:,} rows of pixels, expected at most "
            f"{_MOST_CROSSINGS:,}; give run lengths"
        )
    for row in rows:
        crossed = np.flatnonzero((v <= row) & (row < v2))
        share = (row - v[crossed]) / (v2[crossed] - v[crossed])
        places = np.ceil(u[crossed] + share * (u2[crossed] - u[crossed])) - columns.start
        starts = np.bincount(places.clip(0, len(columns)).astype(int), minlength=len(columns))
        own[row, columns.start : columns.stop] |= np.cumsum(starts)[: len(columns)] % 2 == 1


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
