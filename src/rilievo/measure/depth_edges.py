"""How sharp a depth map is where one surface ends before another."""

from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import AnyPlane, Float64, Mask
from rilievo.measure.depth_noise import MAX_NOISE_STEP, log_depth_noise
from rilievo.records.prediction_record import PredictionRecord

SHARP_EDGE_WIDTH = 1.3
"""Width up to which edges count as sharp [px]; slanted surfaces beside a step add to its width."""
MAX_SURFACE_SLOPE = 0.1
"""Largest rise per pixel of the surfaces beside an edge, as a fraction of the edge's rise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthSharpness:
    """How sharp the depth of a prediction is at edges.

    Attributes:
        has_soft_edges: Whether objects melt into what is behind them, as in most networks' depth.
            The edges of an instrument may be wide, but never count as soft.
        edge_width: Width of edges [px]; 1 if they are soft, because it is not used then.
        enlargement: How many times the map was enlarged to the size of the photograph.
    """

    has_soft_edges: bool
    edge_width: float
    enlargement: float


def depth_sharpness(prediction: PredictionRecord) -> DepthSharpness:
    """Find how sharp the depth of a prediction is at edges."""
    depth, instrument = prediction.depth, prediction.instrument
    enlargement = 1.0 if instrument is None else instrument.pixel
    if prediction.is_of_network and has_soft_edges(depth.values, depth.valid):
        return DepthSharpness(has_soft_edges=True, edge_width=1.0, enlargement=enlargement)

    is_measured = depth.valid
    if prediction.measured is not None and not prediction.is_of_network:
        # Depth that a network filled in a sensor's gaps has edges of another width.
        is_measured = is_measured & prediction.measured
    width = max(enlargement, edge_width(depth.values, is_measured))
    return DepthSharpness(has_soft_edges=False, edge_width=width, enlargement=enlargement)


_MIN_EDGE_STEP = 0.03
"""Least step of log depth at an edge."""
_MAX_STEP_BESIDE_SHARP = 0.25
"""Largest step beside a sharp edge, as a fraction of the step at the edge."""
_MIN_SHARP_FRACTION = 0.82
"""Fraction of sharp edges, each weighted by its step, below which a depth map is soft."""


def has_soft_edges(depth: AnyPlane, valid: Mask) -> bool:
    """Whether depth melts from one surface into the next, as the depth of most networks does.

    A step between two pixels is an edge if it is clearly larger than a step beside it that goes the
    same way. The edge is sharp if its step is far larger than those on both sides.
    """
    log_steps = _log_steps(depth, valid)
    min_step = max(_MIN_EDGE_STEP, MAX_NOISE_STEP * log_steps.noise)
    sharp_weight, total_weight = 0.0, 0.0
    for steps in log_steps.steps_along_lines:
        # Steps before and after that go in the opposite direction count as 0.
        direction = np.sign(steps[:, 1:-1])
        step = np.abs(steps[:, 1:-1])
        step_before = np.maximum(direction * steps[:, :-2], 0)
        step_after = np.maximum(direction * steps[:, 2:], 0)

        is_edge = step - np.minimum(step_before, step_after) > min_step
        larger_step_beside = np.maximum(step_before, step_after)
        is_sharp = is_edge & (larger_step_beside < _MAX_STEP_BESIDE_SHARP * step)
        total_weight += float(step[is_edge].sum())
        sharp_weight += float(step[is_sharp].sum())
    return sharp_weight < _MIN_SHARP_FRACTION * total_weight


_MIN_RISE = 0.04
"""Least rise of log depth at an edge whose width counts."""
_MIN_RISE_PER_NOISE = 20.0
"""Least such rise, in standard deviations of the noise."""
_MIN_EDGES = 20
"""Number of edges below which their widths say nothing about the map."""
_WIDTH_QUANTILE = 0.75
"""Quantile of the widths of edges that is the width of a map's edges. Maps are often resized in a
way that widens only edges with small steps."""


def edge_width(depth: AnyPlane, valid: Mask, *, min_edges: int = _MIN_EDGES) -> float:
    """Number of pixels over which depth goes from one surface to the next; 1 for sharp edges.

    The width of an edge is its whole rise over its largest step. It is 2 or more where a map was
    resized or blurred, or where pixels at edges show a mixture of both surfaces. A map with fewer
    than ``min_edges`` edges counts as sharp, and so does one with a width of little more than 1.
    """
    return _usual_width(_widths_of_edges(depth, valid), min_edges)


def _widths_of_edges(depth: AnyPlane, valid: Mask) -> Float64[np.ndarray, "n"]:
    """Widths of all edges along the rows and columns of a map [px]."""
    log_steps = _log_steps(depth, valid)
    min_rise = max(_MIN_RISE, _MIN_RISE_PER_NOISE * log_steps.noise)
    return np.concatenate([_edge_widths(steps, min_rise) for steps in log_steps.steps_along_lines])


def _usual_width(widths: Float64[np.ndarray, "n"], min_edges: int) -> float:
    """Width of most edges [px]; 1 if they are sharp, or fewer than ``min_edges``."""
    if len(widths) < min_edges:
        return 1.0
    width = float(np.quantile(widths, _WIDTH_QUANTILE))
    return width if width > SHARP_EDGE_WIDTH else 1.0


_EDGE_REACH = 4
"""Steps to each side of the largest step that belong to one edge."""
_MAX_EDGE_WIDTH = 4.5
"""Width from which on a rise is a slanted surface and no edge [px]."""


def _edge_widths(steps: Float64[np.ndarray, "h w"], min_rise: float) -> Float64[np.ndarray, "n"]:
    """Widths of the edges that rise by more than ``min_rise``, along lines of steps [px].

    Each large step has a window of the steps around it. It is the middle of an edge if it is the
    largest step of the window, and the surfaces on both sides rise little.
    """
    padded = np.pad(steps, ((0, 0), (_EDGE_REACH, _EDGE_REACH)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * _EDGE_REACH + 1, axis=1)
    may_be_edge = np.abs(steps) > min_rise / _MAX_EDGE_WIDTH
    upward_steps = windows[may_be_edge] * np.sign(steps[may_be_edge])[:, None]

    # The outer steps of a window show how much the surfaces beside the edge rise by themselves.
    slope = np.maximum(np.median(upward_steps[:, [0, 1, -2, -1]], axis=1), 0)
    edge_steps = np.maximum(upward_steps - slope[:, None], 0)
    middle_step = edge_steps[:, _EDGE_REACH]
    rise = edge_steps.sum(axis=1)

    # Each edge counts once: at the first of its largest steps.
    is_above_earlier = (edge_steps[:, :_EDGE_REACH] < middle_step[:, None]).all(axis=1)
    is_above_later = (edge_steps[:, _EDGE_REACH:] <= middle_step[:, None]).all(axis=1)
    is_steep = (rise > min_rise) & (middle_step > rise / _MAX_EDGE_WIDTH)
    is_between_flat_surfaces = slope <= MAX_SURFACE_SLOPE * rise
    is_edge = is_above_earlier & is_above_later & is_steep & is_between_flat_surfaces
    return rise[is_edge] / middle_step[is_edge]


_MAX_EDGE_PIXELS = 1_000_000
"""Pixels along whose rows and columns edges are sought; in larger maps, lines are left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _LogSteps:
    """Steps of log depth between neighbours, 0 beside a pixel without depth, and their noise.

    Attributes:
        steps_along_lines: Steps along each row, and along each column.
        noise: Standard deviation of log depth from pixel to pixel.
    """

    steps_along_lines: tuple[Float64[np.ndarray, "h w"], Float64[np.ndarray, "m n"]]
    noise: float


def _log_steps(depth: AnyPlane, valid: Mask) -> _LogSteps:
    """Compute the steps along some rows and columns of a map."""
    has_depth = valid & (depth > 0)
    log_depth = np.log(np.where(has_depth, depth, 1).astype(np.float64))
    stride = max(1, depth.size // _MAX_EDGE_PIXELS)
    rows, has_depth_in_rows = log_depth[::stride], has_depth[::stride]
    columns, has_depth_in_columns = log_depth.T[::stride], has_depth.T[::stride]
    lines = _steps_along(rows, has_depth_in_rows), _steps_along(columns, has_depth_in_columns)
    return _LogSteps(steps_along_lines=lines, noise=log_depth_noise(rows, has_depth_in_rows))


def _steps_along(
    lines: Float64[np.ndarray, "h w"], has_depth: Mask
) -> Float64[np.ndarray, "h steps"]:
    steps = np.diff(lines, axis=1)
    steps[~(has_depth[:, 1:] & has_depth[:, :-1])] = 0
    return steps


_MIN_BLURRED_EDGES = 12
"""Fewest edges whose width is reliable after sharpening."""
_MAX_SHARPENED_WIDTH = 3.9
"""Largest width of edges that sharpening makes sharp [px]."""
_MAX_WIDTH_ON_COARSE_GRID = 2.6
"""The same on a coarser grid [pixels of the grid], on which slanted surfaces look like edges."""
_COARSE_GRIDS = (2, 4, 8)
"""Steps of the grids on which edges are sought that are too wide for ``edge_width`` [px]."""
_MIN_SHARP_EDGES = 0.5
"""Fraction of sharp edges from which on a map is not blurred. Between sharp edges, a surface seen
at a slant, such as the top of a box, is as steep on a coarse grid as a blurred edge."""
_MIN_VALID_ON_COARSE_GRID = 0.99
"""Least fraction of pixels with depth; on a grid, edges beside holes are not found."""


def blur_width(depth: AnyPlane, sharpened: AnyPlane, valid: Mask) -> float:
    """Width of edges that are still blurred after sharpening [px]; 0 if none are.

    Such edges come from a blur of two pixels or more, or from cubic interpolation, which overshoots
    at an edge. ``depth`` is the map before sharpening, and ``sharpened`` the same one after it [m].
    """
    widths = _widths_of_edges(depth, valid)
    # A blur leaves no edge sharp.
    is_sharp = widths <= SHARP_EDGE_WIDTH
    if len(widths) >= _MIN_BLURRED_EDGES and is_sharp.mean() >= _MIN_SHARP_EDGES:
        return 0.0
    width = _usual_width(widths, _MIN_BLURRED_EDGES)
    is_still_wide = _width_on_grid(sharpened, valid, 1) > SHARP_EDGE_WIDTH
    if is_still_wide or width > _MAX_SHARPENED_WIDTH:
        return width
    if valid.mean() < _MIN_VALID_ON_COARSE_GRID:
        return 0.0
    # On a coarse grid, edges that are too wide for ``edge_width`` become narrow enough for it.
    for step in _COARSE_GRIDS:
        if min(depth.shape) < 2 * _EDGE_REACH * step:
            break
        width = _width_on_grid(depth, valid, step)
        if width > _MAX_WIDTH_ON_COARSE_GRID:
            return step * width
    return 0.0


def _width_on_grid(depth: AnyPlane, valid: Mask, step: int) -> float:
    """Width of edges on every ``step``-th pixel [pixels of that grid]."""
    grid = np.s_[::step, ::step]
    return edge_width(depth[grid], valid[grid], min_edges=_MIN_BLURRED_EDGES)


_MIN_CHANGES = 12
"""Number of rows or columns with a change of values that can tell the size of blocks."""
_MIN_CHANGED_BORDERS = 0.5
"""Least fraction of the borders of blocks at which values change."""


def block_side(values: AnyPlane) -> int:
    """Find the side of the square blocks of equal pixels that a map consists of [px].

    A map that was enlarged n times by repeating pixels consists of blocks of n×n pixels. Other
    maps consist of blocks of one pixel.
    """
    return min(_block_length(values, axis=0), _block_length(values, axis=1))


def _block_length(values: AnyPlane, *, axis: int) -> int:
    """Find the length of the blocks of equal pixels along one axis [px].

    Values change only at borders of blocks, so that the length of a block divides all distances
    between changes.
    """
    is_change = np.any(np.diff(values, axis=axis) != 0, axis=1 - axis)
    changes = np.flatnonzero(is_change)
    if len(changes) < _MIN_CHANGES:
        return 1

    length = int(np.gcd.reduce(np.diff(changes)))
    borders = (changes[-1] - changes[0]) / length
    # A few changes may have a common divisor by chance. In blocks, most borders are changes.
    return length if len(changes) >= _MIN_CHANGED_BORDERS * borders else 1
