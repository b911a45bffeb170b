"""Known measurements of a photograph, with the values of its depth map there."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from rilievo.calibration.lengths import Along, Known, KnownLength, KnownPoint
from rilievo.calibration.readings import Pixel, ray, value_at, values_at_ends
from rilievo.errors import CalibrationError
from rilievo.types import Camera, DepthMap


@dataclass(frozen=True, slots=True)
class Fact:
    """One known point or length, and the values of the map there.

    Attributes:
        known: The point or the length.
        name: Name in error messages.
        metres: Depth of the point along the optical axis, or the length [m].
        x: Values of the map: one at a point, two at the ends of a length.
        rays: Directions through the ends of a length, with z = 1; None for a point.
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
        """Depth of the point, or the length, if ``depth`` converts the map's values to metres."""
        if self.rays is None:
            return depth(self.x[0])
        first, second = (depth(x) * way for x, way in zip(self.x, self.rays, strict=True))
        return float(np.linalg.norm(second - first))


def pixel_of(point: KnownPoint) -> Pixel:
    """Pixel of a known point, with its name in error messages."""
    return Pixel(u=point.u, v=point.v, name=f"known point {point}")


def fact_of(depth: DepthMap, known: Known, camera: Camera | None) -> Fact:
    """Read a map at a known point, or at the ends of a known length."""
    if isinstance(known, KnownPoint):
        return _point_fact(depth, known, camera)
    return _length_fact(depth, known, camera)


def _point_fact(depth: DepthMap, point: KnownPoint, camera: Camera | None) -> Fact:
    at = pixel_of(point)
    x = value_at(depth, at)
    if camera is None and point.along is Along.AXIS:
        return Fact(known=point, name=at.name, metres=float(point.metres), x=(x,))
    if camera is None:
        raise CalibrationError(
            f"{at.name} is measured along its ray, which needs the camera: "
            "give its intrinsics or field of view"
        )
    seen = ray(camera, at)
    of_one = seen[2] if point.along is Along.AXIS else np.linalg.norm(seen)
    return Fact(known=point, name=at.name, metres=float(point.metres / of_one), x=(x,))


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
        x=values_at_ends(depth, first, second, camera),
        rays=(ray(camera, first), ray(camera, second)),
    )
