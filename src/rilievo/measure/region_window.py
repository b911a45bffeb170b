"""Pixels in and around a region, on a grid that is coarse enough to be fast."""

import math
from dataclasses import dataclass
from itertools import product

import numpy as np

from rilievo.arrays.shapes import Float64, Int, Mask
from rilievo.measure.depth_edges import SHARP_EDGE_WIDTH, DepthSharpness, blur_width
from rilievo.measure.depth_noise import (
    NEGLIGIBLE_NOISE,
    log_depth_noise,
    smooth_depth,
    smoothing_radius,
)
from rilievo.measure.masks import shifted, surface_pixels
from rilievo.measure.planes import EXACT_TOLERANCE, fit_planes
from rilievo.measure.regions import Region
from rilievo.measure.separation import RegionWindow
from rilievo.measure.sharpening import sharpen_edges
from rilievo.records.prediction_record import PredictionRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelBox:
    """Smallest box around the pixels of a mask: its first and last columns and rows [px]."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def corners(self) -> tuple[int, int, int, int]:
        """First column and row, and last column and row."""
        return self.left, self.top, self.right, self.bottom

    @property
    def height(self) -> int:
        """Number of rows."""
        return self.bottom + 1 - self.top

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.right + 1 - self.left

    @property
    def slices(self) -> tuple[slice, slice]:
        """Slices of its rows and columns."""
        return slice(self.top, self.bottom + 1), slice(self.left, self.right + 1)


def box_around(mask: Mask) -> PixelBox:
    """Smallest box around the pixels of a mask, which has at least one."""
    rows = np.flatnonzero(mask.any(axis=1))
    columns = np.flatnonzero(mask.any(axis=0))
    return PixelBox(
        left=int(columns[0]), top=int(rows[0]), right=int(columns[-1]), bottom=int(rows[-1])
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowPixels:
    """Window of a region with the pixels of the photograph that its grid consists of.

    Attributes:
        window: Points of the pixels.
        depth: Their depth [m], smooth on surfaces and sharp at edges; 1 where not valid.
        u: Column of each pixel in the photograph [px].
        v: Row of each pixel [px].
        step: Distance between neighbouring pixels of the grid [px].
        blur_width: Width of edges that are still blurred after sharpening [px]; 0 if none are.
    """

    window: RegionWindow
    depth: Float64[np.ndarray, "h w"]
    u: Int[np.ndarray, "h w"]
    v: Int[np.ndarray, "h w"]
    step: int
    blur_width: float


def window_around(
    prediction: PredictionRecord,
    region: Region,
    mask: Mask,
    sharpness: DepthSharpness,
    block_side: int,
) -> WindowPixels:
    """Read the pixels in and around a region, without noise and with sharp edges.

    ``block_side`` is the side of the blocks of equal pixels that the map consists of [px].
    """
    box = box_around(mask)
    has_depth = _pixels_to_read(prediction, mask)
    grid = _grid_around(box, has_depth, block_side)
    v, u = np.meshgrid(grid.rows, grid.columns, indexing="ij")

    # Pixels without depth get 1 m, so that all numbers are finite; they are masked out.
    valid = has_depth[grid.slices]
    raw_depth = np.where(valid, prediction.depth.values[grid.slices], 1).astype(np.float64)
    noise = log_depth_noise(np.log(raw_depth), valid)
    smooth = smooth_depth(raw_depth, valid, noise)
    # Averaging over a window of n × n pixels divides the noise by n.
    remaining_noise = noise / (2 * smoothing_radius(noise) + 1)
    # On a grid with a step, fewer pixels lie across an edge.
    edge_width = 1 + (sharpness.edge_width - 1) / grid.step
    depth = sharpen_edges(smooth, valid, edge_width, remaining_noise)

    # The edges of a network's depth, and of a map that rilievo enlarged, are soft for a known
    # reason. Other edges may be blurred without the user's knowledge.
    may_be_blurred = not sharpness.has_soft_edges and sharpness.enlargement <= SHARP_EDGE_WIDTH
    window = RegionWindow(
        points=prediction.known_camera.points(depth, rows=grid.rows, columns=grid.columns),
        valid=valid,
        region=mask[grid.slices],
        weights=_box_weights(u, v, box) if region.is_box else np.ones(valid.shape),
        is_box=region.is_box,
        has_soft_edges=sharpness.has_soft_edges,
        noise=noise,
        edge_width=edge_width,
        has_mixed_pixels=sharpness.edge_width > SHARP_EDGE_WIDTH or noise > NEGLIGIBLE_NOISE,
    )
    width = blur_width(smooth, depth, valid) if may_be_blurred else 0.0
    is_blurred = width > 0 and not _has_only_exact_planes(window)
    return WindowPixels(
        window=window,
        depth=depth,
        u=u,
        v=v,
        step=grid.step,
        blur_width=grid.step * width if is_blurred else 0.0,
    )


_MAX_PLANE_POINTS = 2_000
"""Largest number of points in which planes are sought, for speed."""
_MIN_PLANE_FRACTION = 0.03
"""Least fraction of these points that lies on a plane."""
_MAX_OFF_PLANES = 0.005
"""Largest fraction of the points off all planes in depth that is not blurred. In a room with a blur
of 1.5 pixels or more, every window with wide edges had 0.012 or more."""


def _has_only_exact_planes(window: RegionWindow) -> bool:
    """Whether nearly all points of a window lie on exact planes.

    A blur bends surfaces at their edges. So where all of them are flat, what looks like a wide edge
    is a narrow surface that is seen at a slant.
    """
    points = window.flat_points[window.valid.reshape(-1)]
    points = points[:: max(1, len(points) // _MAX_PLANE_POINTS)]
    is_off_planes = np.ones(len(points), bool)
    for plane in fit_planes(points, _MIN_PLANE_FRACTION):
        if plane.tolerance <= EXACT_TOLERANCE:
            is_off_planes &= ~plane.contains(points)
    return bool(is_off_planes.mean() <= _MAX_OFF_PLANES)


_MIN_MEASURED = 0.5
"""Least fraction of pixels that a sensor measured with which the filled ones are left out."""


def _pixels_to_read(prediction: PredictionRecord, mask: Mask) -> Mask:
    """Pixels with depth and no sky; of a sensor only those that it measured, if they are enough."""
    has_depth = surface_pixels(prediction)
    measured = prediction.measured
    if measured is None or prediction.is_of_network:
        return has_depth
    inside = has_depth & mask
    if (inside & measured).sum() < _MIN_MEASURED * inside.sum():
        return has_depth
    return has_depth & measured


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelGrid:
    """Rows and columns of the photograph, in equal steps, at whose crossings depth is read.

    Both ranges have this step.
    """

    rows: range
    columns: range
    step: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Slices of the rows and columns."""
        return (
            slice(self.rows.start, self.rows.stop, self.step),
            slice(self.columns.start, self.columns.stop, self.step),
        )


_MAX_POINTS = 30_000
"""Most pixels of a region that are read; larger ones are read on a coarser grid, for speed."""
_SURROUNDINGS = 0.15
"""Width of the border that is read around a region, over its larger side."""
_MIN_SURROUNDINGS = 3
"""Least width of that border [pixels of the grid]."""


def _grid_around(box: PixelBox, has_depth: Mask, block_side: int) -> PixelGrid:
    """Grid of the pixels in a box and around it, on which most pixels have depth."""
    min_step = max(block_side, math.isqrt(box.height * box.width // _MAX_POINTS))
    in_box = _densest_grid(has_depth[box.slices], min_step)
    step = in_box.step
    margin = max(_MIN_SURROUNDINGS, math.ceil(_SURROUNDINGS * max(box.height, box.width) / step))
    height, width = has_depth.shape
    return PixelGrid(
        rows=_grid_lines(box.top + in_box.rows.start, box.bottom, step, margin, height),
        columns=_grid_lines(box.left + in_box.columns.start, box.right, step, margin, width),
        step=step,
    )


_MAX_FURTHER_STEPS = 8
"""Number of coarser grids that are tried."""
_MIN_LINES = 6
"""Fewest rows and columns of a coarser grid."""
_ENOUGH_DEPTH = 0.6
"""Fraction of a grid's pixels with depth with which no coarser grid is tried."""
_MIN_GAIN = 0.02
"""Increase of that fraction for which a coarser or shifted grid is preferred."""


def _densest_grid(has_depth: Mask, min_step: int) -> PixelGrid:
    """Find the finest grid on which most pixels have depth; else the grid with the most of them.

    A map may have depth at every second or third pixel only, or along every seventh row. So grids
    with larger steps are tried too, with each offset of their first row and column.
    """
    height, width = has_depth.shape
    max_step = max(min_step, min(min_step + _MAX_FURTHER_STEPS, min(height, width) // _MIN_LINES))
    densest = PixelGrid(
        rows=range(0, height, min_step), columns=range(0, width, min_step), step=min_step
    )
    highest_fraction = -1.0
    for step in range(min_step, max_step + 1):
        for first_row, first_column in product(range(min(step, height)), range(min(step, width))):
            fraction = float(has_depth[first_row::step, first_column::step].mean())
            if fraction > highest_fraction + _MIN_GAIN:
                densest = PixelGrid(
                    rows=range(first_row, height, step),
                    columns=range(first_column, width, step),
                    step=step,
                )
                highest_fraction = fraction
        if highest_fraction >= _ENOUGH_DEPTH:
            break
    return densest


def _grid_lines(first: int, last: int, step: int, margin: int, size: int) -> range:
    """Rows or columns of a grid from ``first`` to ``last``, with a margin on both sides.

    ``margin`` is the number of lines on each side, and ``size`` the picture's rows or columns.
    """
    lines_before = min(margin, first // step)
    return range(first - step * lines_before, min(last + step * margin + 1, size), step)


def _box_weights(
    u: Int[np.ndarray, "h w"], v: Int[np.ndarray, "h w"], box: PixelBox
) -> Float64[np.ndarray, "h w"]:
    """Weights of the pixels of a box: its middle more likely shows the object than its border."""
    across = _weights_between(u, box.left, box.right)
    down = _weights_between(v, box.top, box.bottom)
    return across * down


def _weights_between(
    positions: Int[np.ndarray, "h w"], first: int, last: int
) -> Float64[np.ndarray, "h w"]:
    """Weights that fall as a parabola from the middle of a span to nearly 0 at its ends."""
    from_middle = np.clip(2 * (positions - first) / max(last - first, 1) - 1, -1, 1)
    return 1.001 - np.square(from_middle)  # A bit more than 0 at the ends, so that all count.


_MIN_NEIGHBOURS = 2
"""Number of neighbours with depth, of four, below which a pixel is scattered."""


def is_scattered(valid: Mask, region: Mask) -> bool:
    """Whether most pixels of a region with depth have few neighbours with depth."""
    directions = ((0, 1), (0, -1), (1, 0), (-1, 0))
    neighbour_counts = np.sum([shifted(valid, down, right) for down, right in directions], axis=0)
    has_few = neighbour_counts[valid & region] < _MIN_NEIGHBOURS
    return bool(has_few.size and has_few.mean() > 0.5)
