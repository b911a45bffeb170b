"""Outline of an object: its points to the borders of its last pixels, and how far they reach.

Points and directions are in the camera frame [m].
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from rilievo.arrays.shapes import Float64, Int, Mask, Matrix, Points, Values, Vector
from rilievo.geometry.cameras.camera import Camera
from rilievo.measure.depth_noise import MAX_SURFACE_STEP, NEGLIGIBLE_NOISE
from rilievo.measure.masks import shifted
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
    """Points on the visible surface of an object, extended to the outer borders of its last pixels.

    Attributes:
        points: Points (n, 3): the centres of its pixels, and the outer borders of the last ones.
        rows: Row of each point on the grid.
        columns: Column of each point on the grid.
        pixel_size: Size of a pixel of the grid at the object [m].
        view_direction: Unit direction from the camera to the object.
        is_soft: Whether the last pixels may show what is beside the object.
        noise: Standard deviation of log depth from pixel to pixel.
        border_error: Error of the position of a border that eight in ten stay below [m].
        gaps: Gaps without depth beside the object [m].
    """

    points: Points
    rows: Int[np.ndarray, "n"]
    columns: Int[np.ndarray, "n"]
    pixel_size: float
    view_direction: Vector
    is_soft: bool
    noise: float
    border_error: float
    gaps: Gaps

    def scaled(self, factor: float) -> "Outline":
        """The outline at another distance, seen from the same place."""
        return replace(
            self,
            points=factor * self.points,
            pixel_size=factor * self.pixel_size,
            border_error=factor * self.border_error,
            gaps=self.gaps.scaled(factor),
        )

    def ends_along(self, axes: Matrix) -> Float64[np.ndarray, "2 3"]:
        """First and last coordinate of the object along axes to the right, up and forward [m].

        Soft edges have no clear end, so quantiles of the points replace it.
        """
        coordinates = self.points @ axes.T
        if self.is_soft:
            return np.quantile(coordinates, SIDE_QUANTILES, axis=0)

        # The extent to the right is read row by row, and those up and forward column by column.
        lines_by_axis = (self.rows, self.columns, self.columns)
        ends = np.empty((2, 3))
        for axis, lines in enumerate(lines_by_axis):
            max_step = self._max_end_step(axes[axis])
            along_axis = coordinates[:, axis]
            # The first end is the last one of the mirrored coordinates.
            ends[0, axis] = -_border_position(-along_axis, lines, max_step, self.pixel_size)
            ends[1, axis] = _border_position(along_axis, lines, max_step, self.pixel_size)
        return ends

    def _max_end_step(self, axis: Vector) -> float:
        """Largest difference of the ends of neighbouring lines on one border, along an axis [m].

        They differ by the grid, by the depth of the surface as far as it lies along the axis, and
        by noise.
        """
        distance = float(np.median(np.linalg.norm(self.points, axis=1)))
        cosine_to_view = abs(float(axis @ self.view_direction))
        by_grid = _MAX_END_STEP * self.pixel_size
        by_surface = MAX_SURFACE_STEP * distance * cosine_to_view
        by_noise = _MAX_END_STEP_BY_NOISE * self.noise * distance
        return by_grid + by_surface + by_noise


_NEIGHBOUR_LINES = 0.06
"""Lines to each side to whose ends a border is fitted, as a fraction of all lines."""


def _border_position(
    coordinates: Values, lines: Int[np.ndarray, "n"], max_step: float, pixel_size: float
) -> float:
    """Position of a border [m]: the mean of the lines that end within a pixel of the largest end.

    The largest end alone would be too large by half a pixel. A border lies anywhere between the
    centres of two pixels, and the largest end is that of the line on which it lies farthest out. So
    the end of each line is first moved onto a straight line through the ends of its neighbours.

    Args:
        coordinates: Coordinate of each point towards the border [m].
        lines: Row or column of each point.
        max_step: Largest difference of the ends of lines on the same border [m].
        pixel_size: Size of a pixel [m].
    """
    ends = _smooth_ends(_ends_of_lines(coordinates, lines), max_step)
    is_at_border = ends > ends.max() - pixel_size
    return float(ends[is_at_border].mean())


def _ends_of_lines(coordinates: Values, lines: Int[np.ndarray, "n"]) -> Values:
    """Largest coordinate on each line, from the first to the last; -inf on lines without points."""
    first_line, last_line = int(lines.min()), int(lines.max())
    ends = np.full(last_line - first_line + 1, -np.inf)
    np.maximum.at(ends, lines - first_line, coordinates)
    return ends


def _smooth_ends(line_ends: Values, max_step: float) -> Values:
    """Ends of the lines with points, each moved onto a straight line through those around it.

    ``line_ends`` are as from ``_ends_of_lines``. Ends that differ by more than ``max_step`` are not
    on the same border.
    """
    reach = round(_NEIGHBOUR_LINES * len(line_ends))
    padded = np.pad(line_ends, reach, constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
    has_points = np.isfinite(line_ends)
    ends = line_ends[has_points]
    differences = windows[has_points] - ends[:, None]
    return ends + _line_fit_at_centre(differences, max_step)


def _line_fit_at_centre(
    differences: Float64[np.ndarray, "n window"], max_difference: float
) -> Values:
    """Value at the middle of each window of the least-squares line through its differences.

    Differences beyond ``max_difference`` are left out. With Σ over the others, at the offsets x and
    with the values y, the value at x = 0 is (Σx² Σy - Σx Σxy) / (Σ1 Σx² - (Σx)²).
    """
    is_fitted = np.abs(differences) <= max_difference
    values = np.where(is_fitted, differences, 0)
    reach = differences.shape[1] // 2
    offsets = np.arange(-reach, reach + 1)
    count, sum_x, sum_xx = (is_fitted @ offsets**power for power in range(3))
    sum_y, sum_xy = values.sum(axis=1), values @ offsets
    determinant = count * sum_xx - sum_x**2
    # All sums of x are integers, so a determinant is 0, or 1 and more.
    numerator = sum_xx * sum_y - sum_x * sum_xy
    return np.where(determinant > 0, numerator / np.maximum(determinant, 1), 0)


_BORDER_ERROR = 0.7
"""Error of the position of a border that eight in ten stay below, over the width of edges."""


def object_outline(camera: Camera, pixels: WindowPixels, separation: Separation) -> Outline:
    """Make the outline of the object in a window.

    Points are the centres of its pixels, and where edges are sharp also the outer borders of the
    last pixels, half a pixel_size farther out.
    """
    window, object_mask = pixels.window, separation.object_mask
    grid_indices = [np.nonzero(object_mask)]
    points = [window.points[:, object_mask]]
    if not separation.is_soft:
        for border in _borders(pixels.depth, object_mask):
            last_pixels = border.pixels
            u = pixels.u[last_pixels] + pixels.step / 2 * border.right
            v = pixels.v[last_pixels] + pixels.step / 2 * border.down
            points.append(camera.rays(np.stack([u, v])) * border.depth[last_pixels])
            grid_indices.append(np.nonzero(last_pixels))

    middle = np.median(points[0], axis=1)
    pixel_size = _pixel_size(camera, middle, pixels.step)
    return Outline(
        points=np.concatenate(points, axis=1).T,
        rows=np.concatenate([rows for rows, _ in grid_indices]),
        columns=np.concatenate([columns for _, columns in grid_indices]),
        pixel_size=pixel_size,
        view_direction=middle / np.linalg.norm(middle),
        is_soft=separation.is_soft,
        noise=window.noise if window.noise > NEGLIGIBLE_NOISE else 0.0,
        # The error of a network's outline contains this one.
        border_error=0.0 if separation.is_soft else _BORDER_ERROR * window.edge_width * pixel_size,
        gaps=_gaps_beside(object_mask, window.valid).scaled(pixel_size),
    )


def _pixel_size(camera: Camera, position: Vector, step: int) -> float:
    """Width of ``step`` pixels at a position [m]."""
    centre = camera.project(position)
    left_ray = camera.rays(centre + np.array([-0.5, 0.0]))
    right_ray = camera.rays(centre + np.array([0.5, 0.0]))
    depth = float(camera.depth_of(position))
    return step * depth * float(np.linalg.norm(right_ray - left_ray))


_DIRECTIONS = ((-1, 0), (1, 0), (0, -1), (0, 1))
"""Columns and rows to the neighbours on the left, on the right, above and below."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Border:
    """Border of an object on one side.

    Attributes:
        right: Columns to the neighbour outside: -1, 0 or 1.
        down: Rows to it.
        depth: Depth half a pixel from each pixel in this direction [m].
        pixels: Last pixels of the object before the border.
    """

    right: int
    down: int
    depth: Float64[np.ndarray, "h w"]
    pixels: Mask


def _borders(depth: Float64[np.ndarray, "h w"], object_mask: Mask) -> Iterator[_Border]:
    """Find the borders of an object on its four sides, and extrapolate its depth to them.

    Inverse depth is linear on a plane. So it rises from a pixel to its border by half its rise from
    the opposite neighbour. Without such a neighbour on the same surface, the border has the depth
    of the pixel.
    """
    inverse_depth = np.pad(1 / depth, 1)
    padded_mask = np.pad(object_mask, 1)
    height, width = depth.shape
    for right, down in _DIRECTIONS:
        # Each pixel's neighbour in this direction, and in the opposite one, in the padded maps.
        outer = np.s_[1 + down : 1 + down + height, 1 + right : 1 + right + width]
        inner = np.s_[1 - down : 1 - down + height, 1 - right : 1 - right + width]
        relative_rise = (1 / depth - inverse_depth[inner]) * depth
        is_same_surface = padded_mask[inner] & (np.abs(relative_rise) <= MAX_SURFACE_STEP)
        yield _Border(
            right=right,
            down=down,
            # The inverse depth at the border is that of the pixel plus half the rise.
            depth=depth / (1 + np.where(is_same_surface, relative_rise / 2, 0)),
            pixels=object_mask & ~padded_mask[outer],
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
    is_last = object_mask & ~shifted(object_mask, -down, -right)
    if not is_last.any():
        return 0.0
    gap_width = np.zeros(object_mask.shape)
    is_still_gap = is_last
    for distance in range(1, _MAX_GAP + 1):
        is_still_gap = is_still_gap & shifted(~valid, -down * distance, -right * distance)
        gap_width += is_still_gap
    gap_width[gap_width >= _MAX_GAP] = 0
    return float(gap_width[is_last].mean())
