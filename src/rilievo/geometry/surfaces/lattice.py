"""Points and triangles of a surface from neighbouring pixels.

A lattice has a point for every n-th pixel. A cell is a square of four neighbouring points, whose
two triangles are drawn unless the surface is torn there.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from rilievo.arrays.shapes import Bool, Field, Float32, Int32, Mask, Vectors
from rilievo.errors import OptionError
from rilievo.geometry.cameras.camera import Camera

Vertices = Float32[np.ndarray, "n 3"]
"""Points or directions, one a row."""
Triangles = Int32[np.ndarray, "m 3"]
"""Indices of the three points of each triangle."""

_MIN_COSINE_TO_MODEL = np.float32(math.cos(math.radians(25)))
"""Least cosine between a triangle's normal and a model's that confirms the triangle."""
_MAX_EDGE_ON_ANGLE = 6.0
"""Largest angle between a surface that is seen edge-on and its rays [degrees]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Limits at which a surface is torn, or a patch of it is removed."""

    grazing: float = 3.0
    """Least angle between the surface and the viewing rays [degrees]."""
    jump: float = 0.08
    """Largest step of depth, relative to the nearer side."""
    unexplained: float = 0.25
    """Largest step that the slopes on both sides do not explain, as a fraction of ``jump``."""
    specks: float = 0.0
    """Largest patch that is removed, and largest hole that is closed [fraction of the points]."""

    def __post_init__(self) -> None:
        if not 0 <= self.grazing < 90:
            raise OptionError(
                f"a grazing angle must be at least 0 and below 90 degrees, got {self.grazing:g}"
            )
        if not self.jump > 0:
            raise OptionError(f"the largest jump of depth must be positive, got {self.jump:g}")
        if not self.unexplained > 0:
            raise OptionError(
                "unexplained must be a positive fraction of the largest jump, got "
                f"{self.unexplained:g}"
            )
        if not 0 <= self.specks < 1:
            raise OptionError(
                "specks must be a fraction of the points, at least 0 and below 1, got "
                f"{self.specks:g}"
            )

    @property
    def for_filled_tears(self) -> "Cut":
        """Limits for a surface whose tears are filled, which may be seen at any angle."""
        return replace(self, grazing=0.0, unexplained=1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lattice:
    """Points of every n-th pixel.

    Attributes:
        points: Points in the camera frame. Invalid ones lie anywhere on their ray.
        valid: Mask of the points that have depth.
        rows: Rows of the photograph that are sampled.
        normals: Unit normals by a model; None without a model.
        hollow: Mask of the points where no hole is closed; None if all holes may be closed.
    """

    camera: Camera
    points: Vectors
    depth: Field
    valid: Mask
    rows: range
    columns: range
    normals: Vectors | None = None
    hollow: Mask | None = None

    @property
    def grid(self) -> tuple[slice, slice]:
        """Index of its pixels in a field of the photograph's size."""
        return np.s_[self.rows.start :: self.rows.step, self.columns.start :: self.columns.step]

    def with_depth(self, depth: Field, valid: Mask) -> "Lattice":
        """Same lattice with other depth on its rays."""
        points = self.camera.points(depth, rows=self.rows, columns=self.columns)
        return replace(self, points=points, depth=depth, valid=valid)


@dataclass(frozen=True, slots=True, kw_only=True)
class Edges:
    """Steps of 1/depth at edges; 0 where there is no edge.

    Attributes:
        beside: Steps from each point to that in the next column.
        below: Steps from each point to that in the next row.
    """

    beside: Float32[np.ndarray, "h v"]
    below: Float32[np.ndarray, "g w"]

    def steps_by_axis(self) -> tuple[tuple[int, Field], tuple[int, Field]]:
        """Both arrays, each with the axis of its steps."""
        return (1, self.beside), (0, self.below)


@dataclass(frozen=True, slots=True, kw_only=True)
class Faces:
    """Two triangles for each cell.

    The first triangle has the left side of the cell, and the second its right side. The cell is
    split along the falling diagonal, from top left to bottom right, or along the rising one.

    Attributes:
        is_falling: Whether the cell is split along its falling diagonal.
        first: Normal of the first triangle, as long as twice its area; zero if it is not drawn.
        second: Normal of the second triangle.
    """

    is_falling: Mask
    first: Vectors
    second: Vectors

    @property
    def drawn_masks(self) -> tuple[Mask, Mask]:
        """Masks of the cells that have the first triangle, and of those that have the second."""
        return np.asarray(self.first.any(axis=0)), np.asarray(self.second.any(axis=0))


def sample_range(length: int, step: int) -> range:
    """Rows or columns that are sampled: the middle of every ``step``."""
    return range(min(step - 1, length - 1) // 2, length, step)


def sample_slices(shape: tuple[int, int], step: int) -> tuple[slice, slice]:
    """Rows and columns of a lattice's pixels."""
    rows, columns = (slice(sample_range(length, step).start, None, step) for length in shape)
    return rows, columns


def largest_jump(focal: float, cut: Cut) -> float:
    """Relative step of depth from a pixel to the next that a surface may have.

    It is that of a surface at the grazing angle g, 1 / (focal tan g), and at most ``cut.jump``.
    """
    if cut.grazing == 0:
        return cut.jump
    return min(cut.jump, 1 / (focal * math.tan(math.radians(cut.grazing))))


def sample_lattice(
    depth: Field,
    camera: Camera,
    valid: Mask,
    step: int,
    normals: Vectors | None = None,
    hollow: Mask | None = None,
) -> Lattice:
    """Sample every ``step``-th pixel.

    Pixels are not averaged, because a mean of two surfaces floats between them.
    """
    height, width = depth.shape
    rows, columns = sample_range(height, step), sample_range(width, step)
    grid = sample_slices(depth.shape, step)
    is_valid = valid[grid]
    # Invalid points get any depth, so that all numbers are finite.
    sampled_depth = np.where(is_valid, depth[grid], np.float32(1))
    return Lattice(
        camera=camera,
        points=camera.points(sampled_depth, rows=rows, columns=columns),
        depth=sampled_depth,
        valid=is_valid,
        rows=rows,
        columns=columns,
        normals=None if normals is None else normals[:, *grid],
        hollow=None if hollow is None else hollow[grid],
    )


def triangulate_cells(lattice: Lattice, cut: Cut, min_edge_step: float = np.inf) -> Faces:
    """Make the two triangles of every cell, without those where the surface is torn.

    It is also torn at steps of 1/depth of at least ``min_edge_step``; by default there are none.
    """
    # Depth is scaled to about 1, so that its fourth powers do not overflow in float32. The unit is
    # a power of two, so that scaling rounds nothing.
    unit = np.ldexp(np.float32(1), int(np.frexp(lattice.depth.max())[1]))
    scaled_points, scaled_depth, valid = lattice.points / unit, lattice.depth / unit, lattice.valid
    is_falling = _choose_diagonals(scaled_depth, valid)

    torn_beside, torn_below = _torn_steps(scaled_depth, valid, cut)
    if min_edge_step < np.inf:
        edges = find_edge_steps(lattice, min_edge_step)
        torn_beside = torn_beside | (edges.beside != 0)
        torn_below = torn_below | (edges.below != 0)
    first_is_torn, second_is_torn = _are_triangles_torn(torn_beside, torn_below, is_falling)
    first_has_corners = np.logical_and.reduce(_corners_of_first(valid, is_falling))
    second_has_corners = np.logical_and.reduce(_corners_of_second(valid, is_falling))

    first_model_normals = second_model_normals = None
    if lattice.normals is not None:
        # Each triangle has this corner, whichever diagonal splits the cell.
        _, top_right, bottom_left, _ = cell_corners(lattice.normals)
        first_model_normals, second_model_normals = bottom_left, top_right
    first = _normals_of_drawn(
        points=_corners_of_first(scaled_points, is_falling),
        depths=_corners_of_first(scaled_depth, is_falling),
        may_be_drawn=first_has_corners & ~first_is_torn,
        model_normals=first_model_normals,
        cut=cut,
    )
    second = _normals_of_drawn(
        points=_corners_of_second(scaled_points, is_falling),
        depths=_corners_of_second(scaled_depth, is_falling),
        may_be_drawn=second_has_corners & ~second_is_torn,
        model_normals=second_model_normals,
        cut=cut,
    )
    return Faces(is_falling=is_falling, first=first, second=second)


def _are_triangles_torn(
    torn_beside: Bool[np.ndarray, "h v"], torn_below: Bool[np.ndarray, "g w"], is_falling: Mask
) -> tuple[Mask, Mask]:
    """Whether a side of the first and of the second triangle of each cell is torn.

    Steps are only examined along rows and columns, so diagonals are not torn themselves.

    Args:
        torn_beside: Whether the step from each point to the next column is torn.
        torn_below: Whether the step from each point to the next row is torn.
        is_falling: Whether each cell is split along its falling diagonal.
    """
    left_is_torn, right_is_torn = torn_below[:, :-1], torn_below[:, 1:]
    upper_is_torn, lower_is_torn = torn_beside[:-1], torn_beside[1:]
    # With a falling diagonal, the first triangle has the lower side of the cell.
    first_is_torn = left_is_torn | np.where(is_falling, lower_is_torn, upper_is_torn)
    second_is_torn = right_is_torn | np.where(is_falling, upper_is_torn, lower_is_torn)
    return first_is_torn, second_is_torn


def _choose_diagonals(depth: Field, valid: Mask) -> Mask:
    """Cells that are split along their falling diagonal.

    A cell is split along the diagonal on which depth changes less. If one corner is missing, the
    split is the one that keeps the triangle of the other three.
    """
    top_left, top_right, bottom_left, bottom_right = cell_corners(depth)
    changes_less_along_falling = np.abs(top_left - bottom_right) <= np.abs(top_right - bottom_left)
    has_top_left, has_top_right, has_bottom_left, has_bottom_right = cell_corners(valid)
    can_be_falling = has_top_left & has_bottom_right
    can_be_rising = has_top_right & has_bottom_left
    return can_be_falling & (changes_less_along_falling | ~can_be_rising)


def _corners_of_first(
    field: np.ndarray, is_falling: Mask
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values at the corners of the first triangle of each cell, counter-clockwise in the image."""
    top_left, top_right, bottom_left, bottom_right = cell_corners(field)
    return top_left, bottom_left, np.where(is_falling, bottom_right, top_right)


def _corners_of_second(
    field: np.ndarray, is_falling: Mask
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values at the corners of the second triangle of each cell, counter-clockwise in the image."""
    top_left, top_right, bottom_left, bottom_right = cell_corners(field)
    return top_right, np.where(is_falling, top_left, bottom_left), bottom_right


def _normals_of_drawn(
    *,
    points: tuple[Vectors, Vectors, Vectors],
    depths: tuple[Field, Field, Field],
    may_be_drawn: Mask,
    model_normals: Vectors | None,
    cut: Cut,
) -> Vectors:
    """Normals of one triangle of each cell, as long as twice its area; 0 if it is not drawn.

    Args:
        points: Its three corners.
        depths: Depths of these corners.
        may_be_drawn: Cells in which all corners are valid, and no side is torn.
        model_normals: Normals that a model predicts at one of the corners; None without a model.
        cut: Limits of the angle to the rays, and of the steps of depth.
    """
    a, b, c = points
    normals = _cross(b - a, c - a)
    is_visible = _is_visible(normals, a, cut, model_normals)
    normals *= may_be_drawn & is_visible & _are_depths_within_jump(depths, cut)
    return normals


def find_edge_steps(lattice: Lattice, min_step: float) -> Edges:
    """Find the edges between neighbouring points.

    An edge is a step of 1/depth that exceeds both ``min_step`` and the step of a surface that is
    seen edge-on.
    """
    inverse_depth = np.where(lattice.valid, 1 / lattice.depth, np.float32(np.nan))
    camera, step = lattice.camera, lattice.rows.step
    return Edges(
        beside=_edge_steps_down(inverse_depth.T, step / camera.focal, min_step).T,
        below=_edge_steps_down(inverse_depth, step / camera.focal_y, min_step),
    )


def _edge_steps_down(
    inverse_depth: Float32[np.ndarray, "a b"], angle: float, min_step: float
) -> Float32[np.ndarray, "c b"]:
    """Steps of 1/depth at the edges from each row to the next; 0 where there is no edge.

    ``inverse_depth`` is NaN at points without depth, which have no edges, and ``angle`` is that
    between the rays of a row and the next [rad].
    """
    change = np.diff(inverse_depth, axis=0)
    # A surface at an angle a to rays that are d apart has a relative step of 1/depth of d / tan a.
    edge_on_change = np.float32(angle / math.tan(math.radians(_MAX_EDGE_ON_ANGLE)))
    farther = np.minimum(inverse_depth[1:], inverse_depth[:-1])
    max_change = np.maximum(edge_on_change * farther, np.float32(min_step))
    return np.where(np.abs(change) > max_change, change, np.float32(0))


def cell_corners(field: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Top left, top right, bottom left and bottom right corner of every cell, as views."""
    return field[..., :-1, :-1], field[..., :-1, 1:], field[..., 1:, :-1], field[..., 1:, 1:]


def _torn_steps(
    depth: Field, valid: Mask, cut: Cut
) -> tuple[Bool[np.ndarray, "h v"], Bool[np.ndarray, "g w"]]:
    """Masks of the steps to the next column and row at which the surface is torn.

    1/depth is linear on a plane. So a step is torn if 1/depth changes clearly more, or less, than
    in both neighbouring steps.
    """
    inverse_depth = 1 / depth
    beside = _torn_steps_across(inverse_depth, valid, cut)
    below = _torn_steps_across(inverse_depth.T, valid.T, cut).T
    return beside, below


def _torn_steps_across(inverse_depth: Field, valid: Mask, cut: Cut) -> Bool[np.ndarray, "h v"]:
    """Mask of the steps to the next column at which the surface is torn."""
    rise = np.diff(inverse_depth, axis=1)
    is_known = valid[:, 1:] & valid[:, :-1]
    lowest, highest = _range_of_steps_beside(rise, is_known)
    # A step between two holes has no neighbouring steps, so it is never torn.
    has_no_neighbours = highest < lowest
    unexplained = np.where(has_no_neighbours, 0, np.maximum(rise - highest, lowest - rise))
    farther = np.minimum(inverse_depth[:, 1:], inverse_depth[:, :-1])
    return unexplained > cut.unexplained * cut.jump * farther


def _range_of_steps_beside(
    rise: Float32[np.ndarray, "h v"], is_known: Bool[np.ndarray, "h v"]
) -> tuple[Float32[np.ndarray, "h v"], Float32[np.ndarray, "h v"]]:
    """Smaller and larger one of the rises in the steps to the left and right of each step.

    Steps that are not known do not count. If both are not, the range is from infinity to -infinity.
    """
    low = np.pad(np.where(is_known, rise, np.inf), [(0, 0), (1, 1)], constant_values=np.inf)
    high = np.pad(np.where(is_known, rise, -np.inf), [(0, 0), (1, 1)], constant_values=-np.inf)
    return np.minimum(low[:, :-2], low[:, 2:]), np.maximum(high[:, :-2], high[:, 2:])


def _cross(p: Vectors, q: Vectors) -> Vectors:
    """Cross product, in a third of np.cross's time."""
    return np.stack(
        [p[1] * q[2] - p[2] * q[1], p[2] * q[0] - p[0] * q[2], p[0] * q[1] - p[1] * q[0]]
    )


def _is_visible(normals: Vectors, rays: Vectors, cut: Cut, model_normals: Vectors | None) -> Mask:
    """Whether triangles face the camera at more than the grazing angle.

    A more grazing triangle counts as visible, too, if a model's unit normals agree with it: ground
    that is seen at a grazing angle is real, and a ramp at an edge is not.
    """
    # The dot product with the ray is |normal| |ray| times the sine of the grazing angle.
    towards_camera = -np.einsum("chw,chw->hw", normals, rays)
    lengths, ray_lengths = _lengths(normals), _lengths(rays)
    min_sine = np.float32(math.sin(math.radians(cut.grazing)))
    is_visible = towards_camera > lengths * ray_lengths * min_sine
    if model_normals is not None:
        agreement = np.einsum("chw,chw->hw", normals, model_normals)
        is_visible |= agreement > lengths * _MIN_COSINE_TO_MODEL
    return is_visible


def _lengths(vectors: Vectors) -> Field:
    return np.sqrt(np.einsum("chw,chw->hw", vectors, vectors))


def _are_depths_within_jump(depths: tuple[Field, Field, Field], cut: Cut) -> Mask:
    a, b, c = depths
    nearest = np.minimum(np.minimum(a, b), c)
    farthest = np.maximum(np.maximum(a, b), c)
    return farthest <= nearest * np.float32(1 + cut.jump)


def triangle_indices(faces: Faces, excluded_cells: Mask | None = None) -> Triangles:
    """Point indices of the triangles that are drawn, without those of excluded cells."""
    height, width = faces.is_falling.shape
    point_index = np.arange((height + 1) * (width + 1), dtype=np.int32)
    point_index = point_index.reshape(height + 1, width + 1)
    has_first, has_second = faces.drawn_masks
    if excluded_cells is not None:
        has_first, has_second = has_first & ~excluded_cells, has_second & ~excluded_cells
    first_corners = _corners_of_first(point_index, faces.is_falling)
    second_corners = _corners_of_second(point_index, faces.is_falling)
    first_triangles = np.stack([corner[has_first] for corner in first_corners], axis=1)
    second_triangles = np.stack([corner[has_second] for corner in second_corners], axis=1)
    return np.concatenate([first_triangles, second_triangles])


def vertex_normals(faces: Faces, lattice: Lattice) -> Vectors:
    """Area-weighted unit normals of the points. Points without a triangle face the camera."""
    total = np.zeros_like(lattice.points)
    # These are views of the total. Each triangle of a cell adds its normal at its three corners, so
    # the ends of the diagonal get both.
    top_left, top_right, bottom_left, bottom_right = cell_corners(total)
    top_left += faces.first + faces.second * faces.is_falling
    bottom_left += faces.first + faces.second * ~faces.is_falling
    top_right += faces.second + faces.first * ~faces.is_falling
    bottom_right += faces.second + faces.first * faces.is_falling
    total = np.where(_lengths(total) > 0, total, -lattice.points)
    return total / _lengths(total)
