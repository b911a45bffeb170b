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

_RING_WIDTH = 2
"""Width of the ring around an object that shows what is beside it [pixels of the grid]."""
_MAX_RING_DEPTH_FRACTION = 0.9
"""Largest fraction of the ring with depth where the background counts as without depth."""


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
        surrounding_points: Points just beside the object in the picture.
        has_open_surroundings: Whether hardly any depth is around it, as before the sky.
        support: Level plane on which it stands, or above which it hangs; None if none is seen.
        cut_sides: Borders of the picture that it reaches.
    """

    points: Points
    outline: Outline
    surrounding_points: Float64[np.ndarray, "m 3"]
    has_open_surroundings: bool
    support: Plane | None
    cut_sides: CutSides

    def scaled(self, factor: float) -> "ObjectSurface":
        """The surface at another distance, seen from the same place."""
        return replace(
            self,
            points=factor * self.points,
            outline=self.outline.scaled(factor),
            surrounding_points=factor * self.surrounding_points,
            support=None if self.support is None else self.support.scaled(factor),
        )


def object_surface(
    camera: Camera,
    shape: tuple[int, int],
    pixels: WindowPixels,
    separation: Separation,
    up: Vector,
) -> ObjectSurface:
    """Collect what is seen of an object in a window."""
    window, object_mask = pixels.window, separation.object_mask
    points = window.points[:, object_mask].T
    ring = dilated(object_mask, _RING_WIDTH) & ~object_mask
    ring_with_depth = ring & window.valid
    return ObjectSurface(
        points=points,
        outline=object_outline(camera, pixels, separation),
        surrounding_points=window.points[:, ring_with_depth].T,
        has_open_surroundings=bool(ring_with_depth.sum() <= _MAX_RING_DEPTH_FRACTION * ring.sum()),
        support=_supporting_plane(separation, points, up),
        cut_sides=_cut_sides(pixels, separation, shape),
    )


def _supporting_plane(separation: Separation, points: Points, up: Vector) -> Plane | None:
    """Level plane that is nearest to the lower end of an object."""
    level_planes = [plane for plane in separation.planes if plane.normal @ up > MIN_LEVEL_COSINE]

    def distance_to_foot(plane: Plane) -> float:
        return abs(float(np.quantile(plane.heights(points, up), 0.01)))

    return min(level_planes, key=distance_to_foot, default=None)


def _cut_sides(pixels: WindowPixels, separation: Separation, shape: tuple[int, int]) -> CutSides:
    """Find the borders of the picture that are less than a step of the grid from the object."""
    height, width = shape
    u, v = pixels.u[separation.object_mask], pixels.v[separation.object_mask]
    return CutSides(
        top=int(v.min()) < pixels.step,
        left=int(u.min()) < pixels.step,
        bottom=int(v.max()) > height - 1 - pixels.step,
        right=int(u.max()) > width - 1 - pixels.step,
    )


MAX_HIDDEN_FOOT_FRACTION = 0.25
"""Largest height of hidden feet, between an object's lowest seen point and the surface on which it
stands, over the height of the whole object."""
_MAX_HIDDEN_DISTANCE = 0.6
"""Largest horizontal distance, in widths of the object, between its lowest seen point and the
nearest seen place of the surface below it."""


def ends_on_support(
    surface: ObjectSurface, axes: Matrix
) -> tuple[Float64[np.ndarray, "2 3"], bool]:
    """Find the ends of an object along axes, and whether it stands on its support.

    If it stands, the lower end is moved down to the support, because its feet may be hidden.

    ``axes`` are unit directions to the right, up and forward.

    Returns:
        First and last coordinates along the axes [m], and whether the object stands.
    """
    ends = surface.outline.ends_along(axes)
    if surface.support is None or surface.cut_sides.bottom:
        return ends, False

    right, up, forward = axes
    heights = surface.support.heights(surface.points, up)
    support_level = float(np.median(surface.points @ up - heights))
    bottom_height = float(ends[0, 1]) - support_level
    top_height = float(ends[1, 1]) - support_level

    # The ray past the lowest point of a hanging object meets the support farther away. The
    # horizontal distance from the point to there is in proportion to its height above the support.
    lowest_points = surface.points[heights <= np.quantile(heights, 0.02)]
    drops = -(lowest_points @ up)
    horizontal_distances = np.linalg.norm(lowest_points @ np.stack([right, forward]).T, axis=1)
    distance_per_drop = float(np.median(horizontal_distances / np.maximum(drops, 1e-9)))
    hidden_distance = bottom_height * distance_per_drop
    width = float(np.ptp(ends[:, 0]))

    is_low = bottom_height <= MAX_HIDDEN_FOOT_FRACTION * top_height
    is_standing = is_low and hidden_distance <= _MAX_HIDDEN_DISTANCE * width
    if is_standing and surface.outline.is_soft:
        ends[0, 1] = min(float(ends[0, 1]), support_level)
    elif is_standing:
        ends[0, 1] = support_level
    return ends, is_standing
