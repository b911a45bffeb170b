"""One thing that is known of a photograph, and what its depth map says of it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from rilievo.calibration.known import Along, Known, KnownPoint
from rilievo.calibration.lengths import KnownLength
from rilievo.calibration.readings import Pixel, ray, value_at, values_at_ends
from rilievo.errors import CalibrationError
from rilievo.types import Camera, DepthMap


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that is known, and what the map says of it.

    Attributes:
        known: The point or the length.
        name: What errors call it.
        metres: Depth of the point along the axis, or the length [m].
        x: Numbers of the map: one at a point, two at the ends of a length.
        rays: Directions through the ends of a length, one long along the axis; None for a point.
    """

    known: Known
    name: str
    metres: float
    x: tuple[float, ...]
    rays: tuple[Float64[np.ndarray, "3"], Float64[np.ndarray, "3"]] | None = None

    @property
    def middle(self) -> tuple[float, float]:
        """Column and row [px] of the point, or of the middle of the length."""
        known = self.known
        if isinstance(known, KnownPoint):
            return float(known.u), float(known.v)
        return (known.u1 + known.u2) / 2, (known.v1 + known.v2) / 2

    def says(self, depth: Callable[[float], float]) -> float:
        """Depth of the point, or the length, that depths of the map's numbers make [m]."""
        if self.rays is None:
            return depth(self.x[0])
        first, second = (depth(x) * way for x, way in zip(self.x, self.rays, strict=True))
        return float(np.linalg.norm(second - first))


def pixel_of(point: KnownPoint) -> Pixel:
    """Place of a known point, with the name that errors call it by."""
    return Pixel(u=point.u, v=point.v, name=f"known point {point}")


def fact_of(depth: DepthMap, known: Known, camera: Camera | None) -> Fact:
    """What a map says of something that is known.

    Raises:
        CalibrationError: If a point of it lies outside or where there is no depth, or it needs a
            camera and there is none.
    """
    if isinstance(known, KnownPoint):
        return _point_fact(depth, known, camera)
    return _length_fact(depth, known, camera)


def _point_fact(depth: DepthMap, point: KnownPoint, camera: Camera | None) -> Fact:
    at = pixel_of(point)
    x = value_at(depth, at)
    if point.along is Along.AXIS:
        return Fact(known=point, name=at.name, metres=float(point.metres), x=(x,))
    if camera is None:
        raise CalibrationError(
            f"{at.name} is measured along its ray, which needs the camera: "
            "give its intrinsics or field of view"
        )
    metres = point.metres / float(np.linalg.norm(ray(camera, at)))
    return Fact(known=point, name=at.name, metres=metres, x=(x,))


def _length_fact(depth: DepthMap, length: KnownLength, camera: Camera | None) -> Fact:
    name = f"known length {length}"
    if camera is None:
        raise CalibrationError(f"{name} needs the camera: give its intrinsics or field of view")
    first = Pixel(u=length.u1, v=length.v1, name=f"{name}: its first end")
    second = Pixel(u=length.u2, v=length.v2, name=f"{name}: its second end")
    return Fact(
        known=length,
        name=name,
        metres=float(length.metres),
        x=values_at_ends(depth, first, second),
        rays=(ray(camera, first), ray(camera, second)),
    )
