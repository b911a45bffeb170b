"""Width, height and depth of an object with their ranges, also of what is hidden of it.

Points and directions are in the camera frame [m].
"""

import math
from dataclasses import dataclass, replace

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
        visible_length: Length of the visible part [m].
        max_length: Greatest length that the picture permits, with hidden parts [m].
        border_error: Combined error of both ends that eight in ten stay below [m].
        gap_width: Width of the gaps without depth beside it, in which it may continue [m].
    """

    visible_length: float
    max_length: float
    border_error: float = 0.0
    gap_width: float = 0.0

    def with_range(self, distance_error: float, outline_error: float) -> Measurement:
        """Visible length with its range, by the log errors of the distance and of the outline.

        The upper end also contains what gaps and hidden parts may add.
        """
        border_error = (
            math.log1p(self.border_error / self.visible_length) if self.visible_length > 0 else 0.0
        )
        factor = math.exp(math.hypot(distance_error, outline_error, border_error))
        return Measurement(
            what=Quantity.LENGTH,
            value=self.visible_length,
            low=self.visible_length / factor,
            high=max(
                (self.visible_length + self.gap_width) * factor,
                # A hidden end has no outline, so only the distance errs.
                self.max_length * math.exp(distance_error),
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectSizes:
    """Width, height and depth of an object with their ranges [m]."""

    width: Measurement
    height: Measurement
    depth: Measurement

    def spanning(self, others: "ObjectSizes") -> "ObjectSizes":
        """These sizes, with ranges that contain those of other ones too."""
        return ObjectSizes(
            width=_spanning(self.width, others.width),
            height=_spanning(self.height, others.height),
            depth=_spanning(self.depth, others.depth),
        )


def _spanning(size: Measurement, other: Measurement) -> Measurement:
    """A size whose range contains that of another one too."""
    return replace(size, low=min(size.low, other.low), high=max(size.high, other.high))


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectExtents:
    """Lengths of an object to the right, up and forward."""

    width: ObjectExtent
    height: ObjectExtent
    depth: ObjectExtent

    @property
    def visible_lengths(self) -> Vector:
        """Lengths (3,) of the visible part: to the right, up and forward [m]."""
        extents = (self.width, self.height, self.depth)
        return np.array([extent.visible_length for extent in extents])

    def with_ranges(self, distance_error: float, outline_errors: OutlineErrors) -> ObjectSizes:
        """Add ranges to the lengths, by the log errors of the distance and of the outline."""
        return ObjectSizes(
            width=self.width.with_range(distance_error, outline_errors.width),
            height=self.height.with_range(distance_error, outline_errors.height),
            depth=self.depth.with_range(distance_error, outline_errors.depth),
        )


_MAX_HIDDEN_LENGTH = 4.0
"""Largest length of an object whose end is hidden, over the larger of width and height."""


def object_extents(
    surface: ObjectSurface,
    ends: Float64[np.ndarray, "2 3"],
    axes: Matrix,
    floor: Floor | None,
) -> ObjectExtents:
    """Measure the lengths of an object along axes.

    A length may be greater than what is seen: across, where the picture cuts the object, and along
    the view, where its back is hidden.

    ``ends`` are the first and last coordinates along ``axes``: right, up and forward [m].
    """
    width, height, depth = np.ptp(ends, axis=0).tolist()
    longest_hidden = _MAX_HIDDEN_LENGTH * max(width, height)
    longest_height = height
    if surface.cut_sides.top:
        longest_height = longest_hidden
    elif surface.cut_sides.bottom and floor is None:
        longest_height = max(height, longest_hidden)
    elif surface.cut_sides.bottom and floor is not None:
        height_above_floor = float(ends[1, 1]) + floor.height
        longest_height = max(height, height_above_floor)

    gaps = surface.outline.gaps
    border_error = math.sqrt(2) * surface.outline.border_error  # Two ends with independent errors.
    return ObjectExtents(
        width=ObjectExtent(
            visible_length=width,
            max_length=longest_hidden if surface.cut_sides.is_cut_across else width,
            border_error=border_error,
            gap_width=gaps.left + gaps.right,
        ),
        height=ObjectExtent(
            visible_length=height,
            max_length=longest_height,
            border_error=border_error,
            gap_width=gaps.top + gaps.bottom,
        ),
        depth=ObjectExtent(
            visible_length=depth,
            max_length=_longest_depth(surface, ends, axes, longest_hidden),
            border_error=border_error / _steepness_of_view(surface.points, axes[1]),
        ),
    )


_BACKGROUND_QUANTILE = 0.9
"""Quantile of the forward coordinates beside an object that its hidden back does not exceed."""


def _longest_depth(
    surface: ObjectSurface,
    ends: Float64[np.ndarray, "2 3"],
    axes: Matrix,
    longest_hidden: float,
) -> float:
    """Greatest depth of an object, which may extend back to the surface behind it.

    It is at most ``longest_hidden``, and the seen depth if the whole far edge is in view.
    """
    nearest, farthest = (float(end) for end in ends[:, 2])
    seen_depth = farthest - nearest
    if _is_far_edge_in_view(surface.points, axes, nearest, farthest):
        return seen_depth
    if surface.has_open_surroundings or not len(surface.surrounding_points):
        return max(seen_depth, longest_hidden)
    background = float(np.quantile(surface.surrounding_points @ axes[2], _BACKGROUND_QUANTILE))
    return max(seen_depth, min(longest_hidden, background - nearest))


_FAR_FRACTIONS = (0.15, 0.5)
"""Fractions of the depth, at the far end, that may be a level top."""
_MIN_LEVEL_FRACTION = 0.8
"""Least fraction of the points of a level top that lie on its plane."""


def _is_far_edge_in_view(points: Points, axes: Matrix, nearest: float, farthest: float) -> bool:
    """Whether the far end of an object is a level top, whose far edge can be seen from above.

    Nothing of such an object is hidden behind what is seen. ``nearest`` and ``farthest`` are the
    first and last coordinate of the seen points along ``axes[2]`` [m].
    """
    _, up, forward = axes
    positions = points @ forward
    for fraction in _FAR_FRACTIONS:
        far_points = points[positions > farthest - fraction * (farthest - nearest)]
        if len(far_points) < MIN_OBJECT_PIXELS:
            continue
        plane = refine_plane(least_squares_plane(far_points), far_points, TOLERANCES[-1])
        is_flat = plane.contains(far_points).mean() > _MIN_LEVEL_FRACTION
        is_level = plane.normal @ up > MIN_LEVEL_COSINE
        if is_flat and is_level:
            return True
    return False


_TOP_QUANTILE = 0.9
"""Quantile of heights above which points are on top of an object."""
_MIN_STEEPNESS = 0.1
"""Least sine of the angle at which a top is seen that is taken for it."""


def _steepness_of_view(points: Points, up: Vector) -> float:
    """Sine of the angle at which the camera looks down on the top of an object.

    Along the view, a pixel covers a level top by its own size over this sine.
    """
    heights = points @ up
    top_points = points[heights >= np.quantile(heights, _TOP_QUANTILE)]
    sines = -(top_points @ up) / np.linalg.norm(top_points, axis=1)
    return max(_MIN_STEEPNESS, float(np.median(sines)))
