"""Regions that contain one object each, from boxes and masks."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, SupportsFloat, runtime_checkable

import numpy as np

from rilievo.arrays.shapes import Mask, Size
from rilievo.errors import InputError, OptionError

MaskFunction = Callable[[Size], Mask]
"""Function from the (height, width) of a photograph to the mask of a region in it [px]."""
CORNER_OFFSET = 0.5
"""Offset of a pixel's centre from its corner, from which detectors count [px]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """Part of a photograph that contains one object.

    Attributes:
        outline: Function that draws the region as a mask of a given (height, width).
        name: Name of the object; "" where none was given.
    """

    outline: MaskFunction
    name: str = ""

    @property
    def is_box(self) -> bool:
        """Whether the region is a bounding box, which also shows what is behind the object."""
        return isinstance(self.outline, _BoxMask)

    @property
    def text(self) -> str:
        """The box with its corners, or "mask", for messages."""
        return str(self.outline) if isinstance(self.outline, _BoxMask) else "mask"

    def mask_in(self, shape: Size) -> Mask:
        """Draw the region as a mask in a photograph of this size.

        Raises:
            InputError: If a mask is of another size, or the region lies outside.
        """
        mask = self.outline(shape)
        if mask.shape != shape:
            raise InputError(
                f"{self.text}: has {mask.shape[1]}x{mask.shape[0]} pixels, but the "
                f"photograph has {shape[1]}x{shape[0]}"
            )
        if not mask.any():
            raise InputError(
                f"{self.text}: contains no pixel of the picture, which has {shape[1]} "
                f"columns and {shape[0]} rows"
            )
        return mask


def box_region(corners: Sequence[float], name: str = "", *, is_fractional: bool = False) -> Region:
    """Make the region of a bounding box.

    ``corners`` are u1, v1, u2, v2 of the upper left and the lower right corner [px], or fractions
    of the picture's width and height if ``is_fractional``.

    Raises:
        OptionError: If a corner is not finite, or the box is empty.
    """
    u1, v1, u2, v2 = corners
    outline = _BoxMask((u1, v1, u2, v2), is_fractional)
    if not all(map(math.isfinite, corners)):
        raise OptionError(f"{outline}: its corners must be finite numbers")
    if not (u2 > u1 and v2 > v1):
        raise OptionError(
            f"{outline}: is empty; U1,V1 is its top-left corner and U2,V2 its bottom-right corner"
        )
    return Region(outline=outline, name=name)


@dataclass(frozen=True, slots=True)
class _BoxMask:
    """Function that draws the mask of a bounding box.

    It is a class because a file may have hundreds of thousands of boxes, and a closure would take
    eight objects for each. Corners are in pixel centres, or fractions of the picture if
    ``is_fractional``, which count from the first pixel's corner.
    """

    corners: tuple[float, float, float, float]
    is_fractional: bool

    def __str__(self) -> str:
        u1, v1, u2, v2 = self.corners
        return f"box {u1:g},{v1:g},{u2:g},{v2:g}"

    def __call__(self, shape: Size) -> Mask:
        """Draw the box as a mask."""
        u1, v1, u2, v2 = self.corners
        if self.is_fractional:
            height, width = shape
            u1, u2 = u1 * width - CORNER_OFFSET, u2 * width - CORNER_OFFSET
            v1, v2 = v1 * height - CORNER_OFFSET, v2 * height - CORNER_OFFSET
        inside = np.zeros(shape, bool)
        inside[_pixel_slice(v1, v2), _pixel_slice(u1, u2)] = True
        return inside


def _pixel_slice(low: float, high: float) -> slice:
    """Pixels whose centres lie between two coordinates, and not before the first pixel."""
    return slice(max(math.ceil(low), 0), max(math.floor(high) + 1, 0))


def box_in_pixel_centres(corners: Iterable[SupportsFloat]) -> list[float]:
    """Convert corners, so that they count from the first pixel's centre and not from its corner."""
    return [float(coordinate) - CORNER_OFFSET for coordinate in corners]


@runtime_checkable
class DetectedBoxes(Protocol):
    """Boxes of a detector, such as ``supervision.Detections``.

    Attributes:
        xyxy: Left, top, right and bottom of each box, from the first pixel's corner [px].
        mask: Masks (n, h, w); None without masks.
        class_id: Number of each object's class; may be None.
        data: Further values by name, such as ``class_name``; may be None.
    """

    xyxy: Any
    mask: Any
    class_id: Any
    data: Any


RegionLike = Region | Sequence[SupportsFloat] | np.ndarray | str
"""Region, corners of a box [px], mask, or text ``U1,V1,U2,V2``."""


def regions_of_detector(detections: DetectedBoxes) -> Iterator[Region]:
    """Make the regions of a detector's objects, from its masks if it has them, else its boxes."""
    names = (detections.data or {}).get("class_name", detections.class_id)
    for index, corners in enumerate(detections.xyxy):
        name = "" if names is None else str(names[index])
        if detections.mask is None:
            yield box_region(box_in_pixel_centres(corners), name)
        else:
            yield as_region(np.asarray(detections.mask[index], bool), name)


def as_region(region: RegionLike, name: str = "") -> Region:
    """Make a region from a box or a mask; a region stays as it is.

    Raises:
        OptionError: If it is neither.
    """
    if isinstance(region, Region):
        return region
    values = np.asarray(region.split(",") if isinstance(region, str) else region)
    if values.ndim == 2:
        return Region(outline=lambda shape: values != 0, name=name)
    try:
        u1, v1, u2, v2 = map(float, values)
    except (TypeError, ValueError):
        raise OptionError(
            f"box '{str(region)[:40]}': expected U1,V1,U2,V2 (column and row of the top-left "
            "and the bottom-right corner, in pixels)"
        ) from None
    return box_region((u1, v1, u2, v2), name)
