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
from rilievo.geometry.cameras.equirectangular import Equirectangular

Vertices = Float32[np.ndarray, "n 3"]
"""Points or directions, one a row."""
Triangles = Int32[np.ndarray, "m 3"]
"""Indices of the three points of each triangle."""

_MIN_COSINE_TO_MODEL = np.float32(math.cos(math.radians(25)))
"""Cosine between a triangle's normal and a model's from which the model confirms the triangle."""
_EDGE_ON = 6.0
"""Angle between a surface and its rays below which the surface is edge-on [degrees]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Limits at which a surface is torn."""

    grazing: float = 3.0
    """Least angle between the surface and its rays [degrees]."""
    jump: float = 0.08
    """Largest step of depth, relative to the nearer side."""
    unexplained: float = 0.25
    """Fraction of ``jump`` from which the surface is torn where neither side slopes that way."""
    specks: float = 0.0
    """Patches of up to this fraction of the points are removed, and holes as small closed; 0 leaves
    both."""

    def __post_init__(self) -> None:
        if not 0 <= self.grazing < 90:
            raise OptionError(f"a grazing angle is 0 to 90 degrees, got {self.grazing:g}")
        if not self.jump > 0:
            raise OptionError(f"the largest jump of depth is positive, got {self.jump:g}")
        if not self.unexplained > 0:
            raise OptionError(f"a share of the largest jump is positive, got {self.unexplained:g}")
        if not 0 <= self.specks < 1:
            raise OptionError(f"specks are a share below 1 of the points, got {self.specks:g}")

    @property
    def for_filled_tears(self) -> "Cut":
        """Limits for a surface whose tears are filled, which may be seen at any angle."""
        return replace(self, grazing=0.0, unexplained=1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lattice:
    """Points of every n-th pixel.

    Attributes:
        camera: Camera of the photograph.
        points: Points in the camera frame. Invalid ones lie anywhere on their ray.
        depth: Depth of the points.
        valid: Mask of the points that have depth.
        rows: Rows of the photograph that are sampled.
        columns: Columns of the photograph that are sampled.
        normals: Unit normals by a model; None without a model.
        hollow: Mask of the points where no hole is closed; None if all may be.
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

    def with_margin(self, width: int) -> "Lattice":
        """Lattice with ``width`` more points on each side, which have the depth of the border."""
        depth = np.pad(self.depth, width, mode="edge")
        valid = np.pad(self.valid, width, mode="edge")
        wide = replace(
            self,
            rows=_widened(self.rows, width),
            columns=_widened(self.columns, width),
            normals=None,
            hollow=None,
        )
        return wide.with_depth(depth, valid)


def _widened(samples: range, count: int) -> range:
    """Samples with ``count`` more at each end."""
    margin = count * samples.step
    return range(samples[0] - margin, samples[-1] + margin + 1, samples.step)


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

    The corners of a cell are named like this, and it is split along one of its diagonals::

        a - b      falling (a to d):  first a c d, second b a d
        |   |
        c - d      rising (b to c):   first a c b, second b c d

    Attributes:
        falling: Whether the cell is split along the diagonal from a to d.
        first: Normal of the first triangle, as long as twice its area; zero if it is not drawn.
        second: Normal of the second triangle.
    """

    falling: Mask
    first: Vectors
    second: Vectors

    @property
    def drawn_masks(self) -> tuple[Mask, Mask]:
        """Cells that have the first triangle, and the second."""
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
    any_depth = np.float32(1)  # of invalid points, so that all numbers are finite
    sampled_depth = np.where(is_valid, depth[grid], any_depth)
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


def triangulate_cells(lattice: Lattice, cut: Cut, edge: float = np.inf) -> Faces:
    """Make the two triangles of every cell, without those where the surface is torn.

    Args:
        lattice: Points of the surface.
        cut: Limits at which it is torn.
        edge: Step of 1/depth from which it is also torn at edges; by default nowhere.
    """
    # Fourth powers follow, so the unit is near the largest depth; a power of two is exact.
    unit = np.ldexp(np.float32(1), int(np.frexp(lattice.depth.max())[1]))
    points, depth = lattice.points / unit, lattice.depth / unit
    a, b, c, d = cell_corners(points)
    valid_a, valid_b, valid_c, valid_d = cell_corners(lattice.valid)
    depth_a, depth_b, depth_c, depth_d = cell_corners(depth)
    normal_b = normal_c = None
    if lattice.normals is not None:
        _, normal_b, normal_c, _ = cell_corners(lattice.normals)

    torn_beside, torn_below = _torn_steps(depth, lattice.valid, cut)
    if edge < np.inf:
        edges = find_edge_steps(lattice, edge)
        torn_beside |= edges.beside != 0
        torn_below |= edges.below != 0

    # A cell is split along the diagonal on which depth changes less. If one corner is missing, the
    # split is the one that keeps the triangle of the other three.
    falling = np.abs(depth_a - depth_d) <= np.abs(depth_b - depth_c)
    falling = np.where(valid_a & valid_d, falling | ~(valid_b & valid_c), False)
    first_end, second_end = np.where(falling, d, b), np.where(falling, a, c)
    depth_of_first_end = np.where(falling, depth_d, depth_b)
    depth_of_second_end = np.where(falling, depth_a, depth_c)

    first = _cross(c - a, first_end - a)
    first *= (
        _is_visible(first, a, cut, normal_c)
        & _are_depths_within_jump((depth_a, depth_c, depth_of_first_end), cut)
        & (valid_a & valid_c & np.where(falling, valid_d, valid_b))
        & ~(torn_below[:, :-1] | np.where(falling, torn_beside[1:], torn_beside[:-1]))
    )
    second = _cross(second_end - b, d - b)
    second *= (
        _is_visible(second, b, cut, normal_b)
        & _are_depths_within_jump((depth_b, depth_of_second_end, depth_d), cut)
        & (valid_b & valid_d & np.where(falling, valid_a, valid_c))
        & ~(torn_below[:, 1:] | np.where(falling, torn_beside[:-1], torn_beside[1:]))
    )
    return Faces(falling=falling, first=first, second=second)


def find_edge_steps(lattice: Lattice, min_step: float) -> Edges:
    """Find the edges between neighbouring points.

    An edge is a step of 1/depth of at least ``min_step``, which is also at least that of a surface
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
    """Edges from each row to the next, which is an angle away [rad]."""
    change = np.diff(inverse_depth, axis=0)
    edge_on_ratio = np.float32(angle / math.tan(math.radians(_EDGE_ON)))
    farther = np.minimum(inverse_depth[1:], inverse_depth[:-1])
    limit = np.maximum(edge_on_ratio * farther, np.float32(min_step))
    return np.where(np.abs(change) > limit, change, np.float32(0))


def cell_corners(field: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Top left, top right, bottom left and bottom right corner of every cell, as views."""
    return field[..., :-1, :-1], field[..., :-1, 1:], field[..., 1:, :-1], field[..., 1:, 1:]


def _torn_steps(
    depth: Field, valid: Mask, cut: Cut
) -> tuple[Bool[np.ndarray, "h v"], Bool[np.ndarray, "g w"]]:
    """Masks of the steps to the next column and row at which the surface is torn.

    These are the steps at which 1/depth, which is linear on a plane, changes otherwise than on both
    sides of the step.
    """
    inverse_depth = 1 / depth
    beside = _torn_steps_across(inverse_depth, valid, cut)
    below = _torn_steps_across(inverse_depth.T, valid.T, cut).T
    return beside, below


def _torn_steps_across(inverse_depth: Field, valid: Mask, cut: Cut) -> Bool[np.ndarray, "h v"]:
    rise = np.diff(inverse_depth, axis=1)
    is_pair = valid[:, 1:] & valid[:, :-1]
    # Range of the rises on both sides of each step.
    low, high = np.where(is_pair, rise, np.inf), np.where(is_pair, rise, -np.inf)
    lowest, highest = np.full_like(rise, np.inf), np.full_like(rise, -np.inf)
    lowest[:, 1:] = low[:, :-1]
    highest[:, 1:] = high[:, :-1]
    lowest[:, :-1] = np.minimum(lowest[:, :-1], low[:, 1:])
    highest[:, :-1] = np.maximum(highest[:, :-1], high[:, 1:])

    # Alone between two holes, a pair has nothing to be judged by.
    has_no_sides = highest < lowest
    unexplained = np.where(has_no_sides, 0, np.maximum(rise - highest, lowest - rise))
    farther = np.minimum(inverse_depth[:, 1:], inverse_depth[:, :-1])
    return unexplained > cut.unexplained * cut.jump * farther


def _cross(p: Vectors, q: Vectors) -> Vectors:
    """Cross product, in a third of np.cross's time."""
    return np.stack(
        [p[1] * q[2] - p[2] * q[1], p[2] * q[0] - p[0] * q[2], p[0] * q[1] - p[1] * q[0]]
    )


def _is_visible(normal: Vectors, ray: Vectors, cut: Cut, model_normals: Vectors | None) -> Mask:
    """Whether triangles face the camera at more than the grazing angle.

    A model's normals, which tell ground from ramps, may confirm a triangle in place of the angle.
    """
    towards_camera = -np.einsum("chw,chw->hw", normal, ray)
    length, ray_length = _lengths(normal), _lengths(ray)
    min_cosine = np.float32(math.sin(math.radians(cut.grazing)))
    is_visible = towards_camera > length * ray_length * min_cosine
    if model_normals is not None:
        agreement = np.einsum("chw,chw->hw", normal, model_normals)
        is_visible |= agreement > length * _MIN_COSINE_TO_MODEL
    return is_visible


def _lengths(vectors: Vectors) -> Field:
    return np.sqrt(np.einsum("chw,chw->hw", vectors, vectors))


def _are_depths_within_jump(depths: tuple[Field, Field, Field], cut: Cut) -> Mask:
    a, b, c = depths
    nearest = np.minimum(np.minimum(a, b), c)
    farthest = np.maximum(np.maximum(a, b), c)
    return farthest <= nearest * np.float32(1 + cut.jump)


def corner_indices(faces: Faces, without: Mask | None = None) -> Triangles:
    """Point indices of the triangles that are drawn.

    Args:
        faces: Triangles of all cells.
        without: Mask of cells that are left out.
    """
    height, width = faces.falling.shape
    point_index = np.arange((height + 1) * (width + 1), dtype=np.int32)
    a, b, c, d = cell_corners(point_index.reshape(height + 1, width + 1))
    first_end = np.where(faces.falling, d, b)
    second_end = np.where(faces.falling, a, c)
    has_first, has_second = faces.drawn_masks
    if without is not None:
        has_first, has_second = has_first & ~without, has_second & ~without
    first = np.stack([a[has_first], c[has_first], first_end[has_first]], axis=1)
    second = np.stack([b[has_second], second_end[has_second], d[has_second]], axis=1)
    return np.concatenate([first, second])


def vertex_normals(faces: Faces, lattice: Lattice) -> Vectors:
    """Area-weighted unit normals of the points; those of no triangle face the camera."""
    total = np.zeros_like(lattice.points)
    # Views of the four corners of every cell, to which the normals of its triangles are added. The
    # ends of the diagonal belong to both triangles.
    a, b, c, d = cell_corners(total)
    a += faces.first + faces.second * faces.falling
    c += faces.first + faces.second * ~faces.falling
    b += faces.second + faces.first * ~faces.falling
    d += faces.second + faces.first * faces.falling
    total = np.where(_lengths(total) > 0, total, -lattice.points)
    return total / _lengths(total)


def goes_round(camera: Camera, width: int) -> bool:
    """Whether the left and the right edge of a picture of this width meet, as in a panorama."""
    return isinstance(camera.lens, Equirectangular) and camera.lens.goes_round(width)
