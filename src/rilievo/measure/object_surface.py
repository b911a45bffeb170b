"""The part of an object that is seen, with what is beside it and below it.

Points and directions are in the camera frame [m].
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from rilievo.arrays.shapes import Float64, Matrix, Points, Vector
from rilievo.geometry.cameras.camera import Camera
from rilievo.measure.masks import dilated
from rilievo.measure.outlines import Outline, object_outline
from rilievo.measure.planes import Plane
from rilievo.measure.region_window import WindowPixels
from rilievo.measure.separation import Separation

MIN_LEVEL_COSINE = math.cos(math.radians(20))
"""Least cosine between the vertical and the normal of a level surface."""

_BESIDE = 2
"""Width of the ring around an object that shows what is beside it [pixels of the grid]."""
_MIN_DEPTH_BESIDE = 0.9
"""Share of that ring with depth, up to which what is beside an object has no depth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CutSides:
    """Borders of the picture that an object reaches."""

    top: bool
    bottom: bool
    left: bool
    right: bool

    @property
    def is_cut_across(self) -> bool:
        """Whether the object reaches the left or the right border."""
        return self.left or self.right

    @property
    def is_cut(self) -> bool:
        """Whether the object reaches any border."""
        return self.is_cut_across or self.top or self.bottom


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectSurface:
    """Part of an object that is seen.

    Attributes:
        points: Points of its pixels (n, 3).
        outline: The same points up to the borders of the last pixels.
        beside: Points just beside the object in the picture.
        is_open: Whether what is beside it has no depth, such as the sky.
        support: Level surface on which it stands, or above which it hangs; None if none is seen.
        cut: Borders of the picture that it reaches.
    """

    points: Points
    outline: Outline
    beside: Float64[np.ndarray, "m 3"]
    is_open: bool
    support: Plane | None
    cut: CutSides

    def scaled(self, factor: float) -> "ObjectSurface":
        """The surface at another distance, seen from the same place."""
        return replace(
            self,
            points=factor * self.points,
            outline=self.outline.scaled(factor),
            beside=factor * self.beside,
            support=None if self.support is None else self.support.scaled(factor),
        )


def object_surface(
    camera: Camera,
    shape: tuple[int, int],
    pixels: WindowPixels,
    separation: Separation,
    up: Vector,
) -> ObjectSurface:
    """Collect what is seen of an object in a window.

    Args:
        camera: Camera of the photograph.
        shape: Height and width of the photograph [px].
        pixels: Window around the object.
        separation: Pixels of the object in it.
        up: Unit direction up.
    """
    window, object_mask = pixels.window, separation.object_mask
    points = window.points[:, object_mask].T
    ring = dilated(object_mask, _BESIDE) & ~object_mask
    ring_with_depth = ring & window.valid
    return ObjectSurface(
        points=points,
        outline=object_outline(camera, pixels, separation),
        beside=window.points[:, ring_with_depth].T,
        is_open=bool(ring_with_depth.sum() <= _MIN_DEPTH_BESIDE * ring.sum()),
        support=_supporting_plane(separation, points, up),
        cut=_cut_sides(pixels, separation, shape),
    )


def _supporting_plane(separation: Separation, points: Points, up: Vector) -> Plane | None:
    """Level plane that is nearest to the lower end of an object."""
    level_planes = [plane for plane in separation.planes if plane.normal @ up > MIN_LEVEL_COSINE]

    def distance_to_foot(plane: Plane) -> float:
        return abs(float(np.quantile(plane.heights(points, up), 0.01)))

    return min(level_planes, key=distance_to_foot, default=None)


def _cut_sides(pixels: WindowPixels, separation: Separation, shape: tuple[int, int]) -> CutSides:
    height, width = shape
    u, v = pixels.u[separation.object_mask], pixels.v[separation.object_mask]
    return CutSides(
        top=int(v.min()) < pixels.step,
        left=int(u.min()) < pixels.step,
        bottom=int(v.max()) > height - 1 - pixels.step,
        right=int(u.max()) > width - 1 - pixels.step,
    )


MAX_HIDDEN_FOOT = 0.25
"""Height of an object's lowest seen point above a surface, over the height of the whole, up to
which it stands there with hidden feet."""
_MAX_HIDDEN_DISTANCE = 0.6
"""Largest horizontal distance from there to what is seen of the surface below, in its widths."""


def ends_on_support(
    surface: ObjectSurface, axes: Matrix
) -> tuple[Float64[np.ndarray, "2 3"], bool]:
    """Ends of an object along axes, from the surface on which it stands, and whether it stands.

    ``axes`` are unit directions to the right, up and forward.
    """
    ends = surface.outline.ends_along(axes)
    if surface.support is None or surface.cut.bottom:
        return ends, False

    right, up, forward = axes
    heights = surface.support.heights(surface.points, up)
    support_level = float(np.median(surface.points @ up - heights))
    foot_height = float(ends[0, 1]) - support_level
    whole_height = float(ends[1, 1]) - support_level

    # The ray of a point that hangs above the surface meets it farther away.
    lowest = surface.points[heights <= np.quantile(heights, 0.02)]
    drops = -(lowest @ up)
    horizontal_distances = np.linalg.norm(lowest @ np.stack([right, forward]).T, axis=1)
    distance_per_drop = float(np.median(horizontal_distances / np.maximum(drops, 1e-9)))
    hidden_distance = foot_height * distance_per_drop
    width = float(np.ptp(ends[:, 0]))

    is_low = foot_height <= MAX_HIDDEN_FOOT * whole_height
    stands = is_low and hidden_distance <= _MAX_HIDDEN_DISTANCE * width
    if stands and surface.outline.is_soft:
        ends[0, 1] = min(float(ends[0, 1]), support_level)
    elif stands:
        ends[0, 1] = support_level
    return ends, stands
