"""Width, height and depth of an object with their ranges, also of what is hidden of it.

Points and directions are in the camera frame [m].
"""

import math
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Float64, Matrix, Points, Vector
from rilievo.calibration.points import Floor
from rilievo.measure.measurements import Measurement, Quantity
from rilievo.measure.object_surface import MIN_LEVEL_COSINE, ObjectSurface
from rilievo.measure.planes import TOLERANCES, least_squares_plane, refine_plane
from rilievo.measure.region_ranges import OutlineErrors

MIN_OBJECT_PIXELS = 12
"""Fewest pixels of an object, or of a part of it, from which anything follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectExtent:
    """Length of an object along an axis.

    Attributes:
        seen: Length of the part that is seen [m].
        longest: Length of the whole if what is hidden is as long as the picture permits [m].
        border_error: Error of the positions of its two ends that eight in ten stay below [m].
        gap: Width of the gaps without depth in which it may go on [m].
    """

    seen: float
    longest: float
    border_error: float = 0.0
    gap: float = 0.0

    def measured(self, distance_error: float, outline_error: float) -> Measurement:
        """Length with a range, by the log errors of the distance and of the outline."""
        border_error = math.log1p(self.border_error / self.seen) if self.seen > 0 else 0.0
        factor = math.exp(math.hypot(distance_error, outline_error, border_error))
        return Measurement(
            what=Quantity.LENGTH,
            value=self.seen,
            low=self.seen / factor,
            high=max((self.seen + self.gap) * factor, self.longest * math.exp(distance_error)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectSizes:
    """Width, height and depth of an object with their ranges [m]."""

    width: Measurement
    height: Measurement
    depth: Measurement


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectExtents:
    """Lengths of an object to the right, up and forward."""

    width: ObjectExtent
    height: ObjectExtent
    depth: ObjectExtent

    def measured(self, distance_error: float, outline_errors: OutlineErrors) -> ObjectSizes:
        """Sizes with ranges, by the log errors of the distance and of the outline."""
        return ObjectSizes(
            width=self.width.measured(distance_error, outline_errors.width),
            height=self.height.measured(distance_error, outline_errors.height),
            depth=self.depth.measured(distance_error, outline_errors.depth),
        )


_MAX_HIDDEN_LENGTH = 4.0
"""Largest length of an object whose end is hidden, over the larger of width and height."""


def object_extents(
    surface: ObjectSurface,
    ends: Float64[np.ndarray, "2 3"],
    axes: Matrix,
    floor: Floor | None,
) -> ObjectExtents:
    """Lengths of an object along axes.

    Args:
        surface: Part of the object that is seen.
        ends: Its first and last coordinates along the axes [m].
        axes: Unit directions to the right, up and forward.
        floor: Visible floor, which a hidden lower end cannot pass.
    """
    width, height, depth = np.ptp(ends, axis=0).tolist()
    longest_hidden = _MAX_HIDDEN_LENGTH * max(width, height)
    longest_height = height
    if surface.cut.top:
        longest_height = longest_hidden
    elif surface.cut.bottom and floor is None:
        longest_height = max(height, longest_hidden)
    elif surface.cut.bottom and floor is not None:
        longest_height = max(height, float(ends[1, 1]) + floor.height)

    gaps = surface.outline.gaps
    border_error = math.sqrt(2) * surface.outline.border_error
    return ObjectExtents(
        width=ObjectExtent(
            seen=width,
            longest=longest_hidden if surface.cut.is_cut_across else width,
            border_error=border_error,
            gap=gaps.left + gaps.right,
        ),
        height=ObjectExtent(
            seen=height,
            longest=longest_height,
            border_error=border_error,
            gap=gaps.top + gaps.bottom,
        ),
        depth=ObjectExtent(
            seen=depth,
            longest=_longest_depth(surface, ends, axes, longest_hidden),
            border_error=border_error / _steepness_of_view(surface.points, axes[1]),
        ),
    )


_BEHIND = 0.9
"""Quantile of the points beside an object, along the view, that its hidden back does not pass."""


def _longest_depth(
    surface: ObjectSurface,
    ends: Float64[np.ndarray, "2 3"],
    axes: Matrix,
    longest_hidden: float,
) -> float:
    """Depth of an object that reaches back to what is seen behind it, up to ``longest_hidden``."""
    nearest, farthest = (float(end) for end in ends[:, 2])
    seen_depth = farthest - nearest
    if _is_far_edge_in_view(surface.points, axes, nearest, farthest):
        return seen_depth
    if surface.is_open or not len(surface.beside):
        return max(seen_depth, longest_hidden)
    behind = float(np.quantile(surface.beside @ axes[2], _BEHIND))
    return max(seen_depth, min(longest_hidden, behind - nearest))


_FAR_PARTS = (0.15, 0.5)
"""Shares of the extent along the view, at its far end, one of which may be a level top."""
_MIN_LEVEL_SHARE = 0.8
"""Share of the points of such a part that lie on a level plane."""


def _is_far_edge_in_view(points: Points, axes: Matrix, nearest: float, farthest: float) -> bool:
    """Whether the far end of an object is a level top, whose far edge can be seen from above.

    Nothing of such an object is hidden behind what is seen. ``nearest`` and ``farthest`` are the
    ends of the seen points along the view, ``axes[2]`` [m].
    """
    positions = points @ axes[2]
    for part in _FAR_PARTS:
        far_points = points[positions > farthest - part * (farthest - nearest)]
        if len(far_points) < MIN_OBJECT_PIXELS:
            continue
        plane = refine_plane(least_squares_plane(far_points), far_points, TOLERANCES[-1])
        is_flat = plane.contains(far_points).mean() > _MIN_LEVEL_SHARE
        is_level = plane.normal @ axes[1] > MIN_LEVEL_COSINE
        if is_flat and is_level:
            return True
    return False


_TOP_QUANTILE = 0.9
"""Quantile of heights above which points are on top of an object."""
_MIN_STEEPNESS = 0.1
"""Least sine of the angle at which a top is seen that is taken for it."""


def _steepness_of_view(points: Points, up: Vector) -> float:
    """Sine of the angle at which the camera looks down on the top of an object.

    A pixel covers as much more of a level top along the view.
    """
    heights = points @ up
    top_points = points[heights >= np.quantile(heights, _TOP_QUANTILE)]
    sines = -(top_points @ up) / np.linalg.norm(top_points, axis=1)
    return max(_MIN_STEEPNESS, float(np.median(sines)))
