"""Results of measuring the object in a region."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from rilievo.measure.measurements import Measurement, MeasurementOrigin


@dataclass(frozen=True, slots=True, kw_only=True)
class RangedPoint:
    """Point in the camera frame [m], with its distance from the camera and the range of that."""

    position: tuple[float, ...]
    distance: Measurement


@dataclass(frozen=True, slots=True, kw_only=True)
class UprightBox:
    """Box with vertical edges around what is seen of an object.

    Attributes:
        width: Horizontal side [m] turned by ``yaw``.
        depth: Other horizontal side [m].
        yaw: Turn [degrees], -45 to 45; positive if the right side is farther.
        corners: Eight corners: below, then above, left before right, near before far.
    """

    centre: RangedPoint
    width: Measurement
    height: Measurement
    depth: Measurement
    yaw: Measurement
    corners: tuple[RangedPoint, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionMeasurement:
    """Distance and size of the object in a region.

    Attributes:
        name: Name of the region; may be empty.
        box: First column and row of the region, and last ones [px].
        share: Fraction of the region's pixels that show the object.
        distance: Median distance [m].
        nearest: 10% quantile of the distance [m].
        width: Horizontal extent across the view [m].
        height: Vertical extent [m].
        depth: Visible extent along the view [m].
        upright: Upright box around the object; None if no floor is visible.
        remarks: What to know about the measurements.
    """

    name: str
    box: tuple[float, float, float, float]
    share: float
    distance: Measurement
    nearest: Measurement
    width: Measurement
    height: Measurement
    depth: Measurement
    upright: UprightBox | None
    remarks: tuple[str, ...]

    def __str__(self) -> str:
        return self.text_in("m")

    def text_in(self, unit: str) -> str:
        """Name, distance and sizes on one line, with the unit written as ``unit``."""
        sizes = ", ".join(
            f"{name} {size.text_in(unit)}"
            for name, size in (
                ("distance", self.distance),
                ("nearest", self.nearest),
                ("width", self.width),
                ("height", self.height),
                ("depth", self.depth),
            )
        )
        return f"{self.name or 'object'}: {sizes}; it covers {100 * self.share:.0f}% of its region"

    def with_origin(self, origin: MeasurementOrigin) -> "RegionMeasurement":
        """Copy in which all measurements have the same origin."""

        def set_origin(measurement: Measurement) -> Measurement:
            """Copy of a measurement with that origin."""
            return replace(measurement, origin=origin)

        return replace(
            self,
            distance=set_origin(self.distance),
            nearest=set_origin(self.nearest),
            width=set_origin(self.width),
            height=set_origin(self.height),
            depth=set_origin(self.depth),
            upright=None if self.upright is None else _map_box(self.upright, set_origin),
        )


def _map_box(box: UprightBox, change: Callable[[Measurement], Measurement]) -> UprightBox:
    """Apply a function to all measurements of an upright box."""
    return UprightBox(
        centre=replace(box.centre, distance=change(box.centre.distance)),
        width=change(box.width),
        height=change(box.height),
        depth=change(box.depth),
        yaw=change(box.yaw),
        corners=tuple(replace(corner, distance=change(corner.distance)) for corner in box.corners),
    )
