"""Outline of an object: its points to the borders of its last pixels, and how far they reach.

Points and directions are in the camera frame [m].
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from rilievo.arrays.shapes import Float64, Int, Mask, Matrix, Points, Values, Vector
from rilievo.geometry.cameras.camera import Camera
from rilievo.measure.depth_noise import MAX_SURFACE_STEP, NEGLIGIBLE_NOISE
from rilievo.measure.masks import moved
from rilievo.measure.region_window import WindowPixels
from rilievo.measure.separation import Separation

SIDE_QUANTILES = (0.01, 0.99)
"""Quantiles of the points along an axis between which an object with soft edges lies."""

_MAX_END_STEP = 1.5
"""Largest step between the ends of neighbouring lines on one border [pixels of the grid]."""
_MAX_END_STEP_BY_NOISE = 2.0
"""Further such step by noise, in its standard deviations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gaps:
    """Mean widths of the gaps without depth at the four sides of an object."""

    left: float
    right: float
    top: float
    bottom: float

    def scaled(self, factor: float) -> "Gaps":
        """The gaps in another unit, or at another distance."""
        return Gaps(
            left=factor * self.left,
            right=factor * self.right,
            top=factor * self.top,
            bottom=factor * self.bottom,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """Points of an object up to the borders of its pixels, with their places on the grid.

    Attributes:
        points: Points (n, 3): the centres of its pixels, and the outer borders of the last ones.
        rows: Row of each point on the grid.
        columns: Column of each point on the grid.
        pixel: Size of a pixel of the grid at the object [m].
        view: Unit direction from the camera to the object.
        is_soft: Whether the last pixels may show what is beside the object.
        noise: Standard deviation of log depth from pixel to pixel.
        border_error: Error of the position of a border that eight in ten stay below [m].
        gaps: Gaps without depth beside the object [m].
    """

    points: Points
    rows: Int[np.ndarray, "n"]
    columns: Int[np.ndarray, "n"]
    pixel: float
    view: Vector
    is_soft: bool
    noise: float
    border_error: float
    gaps: Gaps

    def scaled(self, factor: float) -> "Outline":
        """The outline at another distance, seen from the same place."""
        return replace(
            self,
            points=factor * self.points,
            pixel=factor * self.pixel,
            border_error=factor * self.border_error,
            gaps=self.gaps.scaled(factor),
        )

    def ends_along(self, axes: Matrix) -> Float64[np.ndarray, "2 3"]:
        """First and last coordinate along axes to the right, up and forward [m].

        The border to the right or left is that of rows, and the others are those of columns.
        """
        along = self.points @ axes.T
        if self.is_soft:
            return np.quantile(along, SIDE_QUANTILES, axis=0)

        distance = float(np.median(np.linalg.norm(self.points, axis=1)))
        lines_across = (self.rows, self.columns, self.columns)
        ends = np.empty((2, 3))
        for axis, lines in enumerate(lines_across):
            max_step = _MAX_END_STEP * self.pixel
            max_step += MAX_SURFACE_STEP * distance * abs(float(axes[axis] @ self.view))
            max_step += _MAX_END_STEP_BY_NOISE * self.noise * distance
            ends[0, axis] = -_outermost(-along[:, axis], lines, max_step, self.pixel)
            ends[1, axis] = _outermost(along[:, axis], lines, max_step, self.pixel)
        return ends


_NEIGHBOUR_LINES = 0.06
"""Lines to each side to whose ends a border is fitted, as a share of all lines."""


def _outermost(along: Values, lines: Int[np.ndarray, "n"], max_step: float, pixel: float) -> float:
    """Position of a border [m]: the mean of the lines that end within a pixel of the largest end.

    The end of each line is first moved onto a straight line that is fitted to the ends of the lines
    beside it. The largest end alone would be too large by half a pixel, because a border lies
    anywhere between the centres of two pixels, and the largest end is that of the line on which the
    border lies farthest out.

    Args:
        along: Coordinate of each point towards the border [m].
        lines: Row or column of each point.
        max_step: Largest difference of the ends of lines on the same border [m].
        pixel: Size of a pixel [m].
    """
    first_line = int(lines.min())
    line_ends = np.full(int(lines.max()) - first_line + 1, -np.inf)
    np.maximum.at(line_ends, lines - first_line, along)

    has_points = np.isfinite(line_ends)
    reach = round(_NEIGHBOUR_LINES * len(line_ends))
    padded = np.pad(line_ends, reach, constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
    neighbour_ends, ends = windows[has_points], line_ends[has_points]

    is_same_border = np.abs(neighbour_ends - ends[:, None]) <= max_step
    differences = np.where(is_same_border, neighbour_ends - ends[:, None], 0)
    offsets = np.arange(-reach, reach + 1)
    # Normal equations of the straight line through the differences, at the offset 0.
    count, first_moment, second_moment = (is_same_border @ offsets**power for power in range(3))
    determinant = count * second_moment - first_moment**2
    numerator = second_moment * differences.sum(axis=1) - first_moment * (differences @ offsets)
    corrections = np.where(determinant > 0, numerator / np.maximum(determinant, 1), 0)
    fitted = ends + corrections
    return float(fitted[fitted > fitted.max() - pixel].mean())


_BORDER_ERROR = 0.7
"""Error of the position of a border that eight in ten stay below, over the width of edges."""


def object_outline(camera: Camera, pixels: WindowPixels, separation: Separation) -> Outline:
    """Outline of the object in a window."""
    window, object_mask = pixels.window, separation.object_mask
    places = [np.nonzero(object_mask)]
    points = [window.points[:, object_mask]]
    if not separation.is_soft:
        for border in _borders(pixels.depth, object_mask):
            last = border.pixels
            u = pixels.u[last] + pixels.step / 2 * border.right
            v = pixels.v[last] + pixels.step / 2 * border.down
            points.append(camera.rays(np.stack([u, v])) * border.depth[last])
            places.append(np.nonzero(last))

    middle = np.median(points[0], axis=1)
    pixel = _pixel_size(camera, middle, pixels.step)
    return Outline(
        points=np.concatenate(points, axis=1).T,
        rows=np.concatenate([rows for rows, _ in places]),
        columns=np.concatenate([columns for _, columns in places]),
        pixel=pixel,
        view=middle / np.linalg.norm(middle),
        is_soft=separation.is_soft,
        noise=window.noise if window.noise > NEGLIGIBLE_NOISE else 0.0,
        # The error of a network's outline contains this one.
        border_error=0.0 if separation.is_soft else _BORDER_ERROR * window.edge_width * pixel,
        gaps=_gaps_beside(object_mask, window.valid).scaled(pixel),
    )


def _pixel_size(camera: Camera, position: Vector, step: int) -> float:
    """Width of ``step`` pixels at a position [m]."""
    place = camera.project(position)
    left_ray = camera.rays(place + np.array([-0.5, 0.0]))
    right_ray = camera.rays(place + np.array([0.5, 0.0]))
    depth = float(camera.depth_of(position))
    return step * depth * float(np.linalg.norm(right_ray - left_ray))


_DIRECTIONS = ((-1, 0), (1, 0), (0, -1), (0, 1))
"""Columns and rows to the neighbours on the left, on the right, above and below."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Border:
    """Border of an object on one side.

    Attributes:
        right: Columns to the neighbour outside.
        down: Rows to it.
        depth: Depth of each pixel, half a pixel that way [m].
        pixels: Last pixels of the object before the border.
    """

    right: int
    down: int
    depth: Float64[np.ndarray, "h w"]
    pixels: Mask


def _borders(depth: Float64[np.ndarray, "h w"], object_mask: Mask) -> Iterator[_Border]:
    """Borders of an object on its four sides.

    Inverse depth is linear on a plane, so it is continued by what it rises from the pixel on the
    opposite side. A last pixel without such a neighbour on its surface keeps its own depth.
    """
    inverse_depth = np.pad(1 / depth, 1)
    padded_mask = np.pad(object_mask, 1)
    height, width = depth.shape
    for right, down in _DIRECTIONS:
        outside = np.s_[1 + down : 1 + down + height, 1 + right : 1 + right + width]
        inside = np.s_[1 - down : 1 - down + height, 1 - right : 1 - right + width]
        relative_rise = (1 / depth - inverse_depth[inside]) * depth
        goes_on = padded_mask[inside] & (np.abs(relative_rise) <= MAX_SURFACE_STEP)
        yield _Border(
            right=right,
            down=down,
            depth=depth / (1 + np.where(goes_on, relative_rise / 2, 0)),
            pixels=object_mask & ~padded_mask[outside],
        )


_MAX_GAP = 12
"""Width from which on a gap is a background without depth, such as the sky [pixels of the grid]."""


def _gaps_beside(object_mask: Mask, valid: Mask) -> Gaps:
    """Gaps without depth beside an object [pixels of the grid]."""
    left, right, top, bottom = (
        _mean_gap(object_mask, valid, *direction) for direction in _DIRECTIONS
    )
    return Gaps(left=left, right=right, top=top, bottom=bottom)


def _mean_gap(object_mask: Mask, valid: Mask, right: int, down: int) -> float:
    """Mean width of the gaps without depth beside an object on one side."""
    is_last = object_mask & ~moved(object_mask, -down, -right)
    if not is_last.any():
        return 0.0
    width = np.zeros(object_mask.shape)
    is_in_gap = is_last
    for distance in range(1, _MAX_GAP + 1):
        is_in_gap = is_in_gap & moved(~valid, -down * distance, -right * distance)
        width += is_in_gap
    width[width >= _MAX_GAP] = 0
    return float(width[is_last].mean())
