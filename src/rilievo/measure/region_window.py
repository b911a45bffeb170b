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
from rilievo.measure.masks import moved, surface_pixels
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
        blur_width: Width of edges that are blurred even so [px]; 0 if none are.
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

    Args:
        prediction: Prediction in metres.
        region: Region of a box or a mask.
        mask: Its pixels in the photograph.
        sharpness: Sharpness of the prediction's depth.
        block_side: Side of the blocks of equal pixels that its map consists of [px].
    """
    box = box_around(mask)
    has_depth = _pixels_to_read(prediction, mask)
    grid = _grid_around(box, has_depth, block_side)
    v, u = np.meshgrid(grid.rows, grid.columns, indexing="ij")

    valid = has_depth[grid.slices]
    raw_depth = np.where(valid, prediction.depth.values[grid.slices], 1).astype(np.float64)
    noise = log_depth_noise(np.log(raw_depth), valid)
    smooth = smooth_depth(raw_depth, valid, noise)
    remaining_noise = noise / (2 * smoothing_radius(noise) + 1)
    # An edge covers only every step-th of its pixels on the grid.
    edge_width = 1 + (sharpness.edge_width - 1) / grid.step
    depth = sharpen_edges(smooth, valid, edge_width, remaining_noise)

    # The edges of a network's depth, and of a map that rilievo enlarged, are known to be soft.
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
    return WindowPixels(
        window=window,
        depth=depth,
        u=u,
        v=v,
        step=grid.step,
        blur_width=grid.step * blur_width(smooth, depth, valid) if may_be_blurred else 0.0,
    )


_MIN_MEASURED = 0.5
"""Share of a region's pixels that a sensor measured from which on the filled ones are left out."""


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
    """Rows and columns of the photograph, in equal steps, whose crossings are read."""

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
"""Pixels of a region that are read; in larger ones, rows and columns are left out for speed."""
_SURROUNDINGS = 0.15
"""Width of what is read around a region, over its larger side."""
_MIN_SURROUNDINGS = 3
"""Least width of that [pixels of the grid]."""


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
"""Steps of coarser grids that are tried."""
_MIN_LINES = 6
"""Fewest rows and columns of such a grid."""
_ENOUGH_DEPTH = 0.6
"""Share of a grid's pixels with depth from which on no coarser grid is tried."""
_MIN_GAIN = 0.02
"""Further share of pixels with depth for which another grid is taken."""


def _densest_grid(has_depth: Mask, min_step: int) -> PixelGrid:
    """Find the finest grid on which most pixels have depth; else the grid with the most of them.

    A map may have depth at every second or third pixel only, or along every seventh row.
    """
    height, width = has_depth.shape
    max_step = max(min_step, min(min_step + _MAX_FURTHER_STEPS, min(height, width) // _MIN_LINES))
    densest = PixelGrid(
        rows=range(0, height, min_step), columns=range(0, width, min_step), step=min_step
    )
    highest_share = -1.0
    for step in range(min_step, max_step + 1):
        for row, column in product(range(min(step, height)), range(min(step, width))):
            share = float(has_depth[row::step, column::step].mean())
            if share > highest_share + _MIN_GAIN:
                rows, columns = range(row, height, step), range(column, width, step)
                densest = PixelGrid(rows=rows, columns=columns, step=step)
                highest_share = share
        if highest_share >= _ENOUGH_DEPTH:
            break
    return densest


def _grid_lines(first: int, last: int, step: int, margin: int, size: int) -> range:
    """Rows or columns of a grid from ``first`` to ``last`` and beside, inside of the picture.

    ``margin`` is the number of lines on each side, and ``size`` that of the picture's pixels.
    """
    lines_before = min(margin, first // step)
    return range(first - step * lines_before, min(last + step * margin + 1, size), step)


def _box_weights(
    u: Int[np.ndarray, "h w"], v: Int[np.ndarray, "h w"], box: PixelBox
) -> Float64[np.ndarray, "h w"]:
    """Weights of a box, whose middle shows the object, and whose border shows what is beside it."""
    across = _weights_between(u, box.left, box.right)
    down = _weights_between(v, box.top, box.bottom)
    return across * down


def _weights_between(
    positions: Int[np.ndarray, "h w"], first: int, last: int
) -> Float64[np.ndarray, "h w"]:
    """Weights that fall from the middle of a span to nearly 0 at its ends and beyond."""
    from_middle = np.clip(2 * (positions - first) / max(last - first, 1) - 1, -1, 1)
    return 1.001 - np.square(from_middle)


_MIN_NEIGHBOURS = 2
"""Fewest of a pixel's four neighbours with depth with which it is not scattered."""


def is_scattered(valid: Mask, region: Mask) -> bool:
    """Whether most pixels of a region with depth have few neighbours with depth."""
    directions = ((0, 1), (0, -1), (1, 0), (-1, 0))
    neighbours = np.sum([moved(valid, down, right) for down, right in directions], axis=0)
    has_few = neighbours[valid & region] < _MIN_NEIGHBOURS
    return bool(has_few.size and has_few.mean() > 0.5)
