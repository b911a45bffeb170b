"""Points and triangles of a surface from neighbouring pixels.

Whole panoramas repeat their first columns, and have caps at the poles. Bands in which depth melts
from a near to a far surface become one step: a point takes the depth of its closer end, or the near
one before a hole. Wide ones are walls.
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
_AGREEING = np.float32(math.cos(math.radians(25)))
"""Cosine of the angle to a model's normals that confirm a triangle."""
_EDGE_ON = 6.0
"""Angle [degrees] below which a surface is edge-on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Limits at which a surface is torn at an edge."""

    grazing: float = 3.0
    """Least angle [degrees] of surface and ray."""
    jump: float = 0.08
    """Largest step of depth, relative to the nearer."""
    unexplained: float = 0.25
    """Share of ``jump`` that is enough where neither side slopes that way."""
    specks: float = 0.0
    """Largest share of points of a patch to remove and a hole to close; 0: neither."""

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
        """Limits without a grazing angle."""
        return replace(self, grazing=0.0, unexplained=1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lattice:
    """Points of every n-th pixel.

    Attributes:
        points: Points in the camera frame, on the ray if not ``valid``.
        depth: Depth along the rays.
        normals: Unit normals of a model.
        hollow: Points where no hole is closed.
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
        """Index of its pixels in a field."""
        return np.s_[self.rows.start :: self.rows.step, self.columns.start :: self.columns.step]

    def with_depth(self, depth: Field, valid: Mask) -> "Lattice":
        """Lattice of another depth, on its rays."""
        points = self.camera.points(depth, rows=self.rows, columns=self.columns)
        return replace(self, points=points, depth=depth, valid=valid)

    def with_margin(self, width: int) -> "Lattice":
        """Lattice with ``width`` more points on each side."""
        rows, columns = (
            range(line[0] - width * line.step, line[-1] + width * line.step + 1, line.step)
            for line in (self.rows, self.columns)
        )
        depth, valid = (np.pad(field, width, mode="edge") for field in (self.depth, self.valid))
        wide = replace(self, rows=rows, columns=columns, normals=None, hollow=None)
        return wide.with_depth(depth, valid)


@dataclass(frozen=True, slots=True, kw_only=True)
class Edges:
    """Steps of 1/depth at edges, to the next column and row; 0 elsewhere."""

    beside: Float32[np.ndarray, "h v"]
    below: Float32[np.ndarray, "g w"]

    def steps_by_axis(self) -> tuple[tuple[int, Field], tuple[int, Field]]:
        """Axis 1 with ``beside``, axis 0 with ``below``."""
        return (1, self.beside), (0, self.below)


@dataclass(frozen=True, slots=True, kw_only=True)
class Faces:
    """Normals of the two triangles of cells, by area; zero for none.

    With corners a b / c d, they are a c q and b s d, (q, s) being (d, a) if ``falling``, else (b,
    c).
    """

    falling: Mask
    first: Vectors
    second: Vectors

    @property
    def drawn_masks(self) -> tuple[Mask, Mask]:
        """Cells that have the first triangle, and the second."""
        return np.asarray(self.first.any(axis=0)), np.asarray(self.second.any(axis=0))


def sample_range(length: int, step: int) -> range:
    """Rows or columns: the middle of every ``step``."""
    return range(min(step - 1, length - 1) // 2, length, step)


def sample_slices(shape: tuple[int, int], step: int) -> tuple[slice, slice]:
    """Rows and columns of a lattice's pixels."""
    rows, columns = (slice(sample_range(length, step).start, None, step) for length in shape)
    return rows, columns


def largest_jump(focal: float, cut: Cut) -> float:
    """Relative jump at the grazing angle, atan(j focal), at most ``cut.jump``."""
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
    """Sample pixels without averaging, which would float."""
    height, width = depth.shape
    rows, columns = sample_range(height, step), sample_range(width, step)
    grid = sample_slices(depth.shape, step)
    mask = valid[grid]
    sampled = np.where(mask, depth[grid], np.float32(1))
    return Lattice(
        camera=camera,
        points=camera.points(sampled, rows=rows, columns=columns),
        depth=sampled,
        valid=mask,
        rows=rows,
        columns=columns,
        normals=None if normals is None else normals[:, *grid],
        hollow=None if hollow is None else hollow[grid],
    )


def triangulate_cells(lattice: Lattice, cut: Cut, edge: float = np.inf) -> Faces:
    """Two triangles for every cell; ``edge`` is the step of 1/depth that tears edge-on."""
    valid = lattice.valid
    # Fourth powers follow, so the unit is near the largest depth; a power of two is exact.
    unit = np.ldexp(np.float32(1), int(np.frexp(lattice.depth.max())[1]))
    points, depth = lattice.points / unit, lattice.depth / unit
    a, b, c, d = cell_corners(points)
    va, vb, vc, vd = cell_corners(valid)
    za, zb, zc, zd = cell_corners(depth)
    by_model = (None,) * 4 if lattice.normals is None else cell_corners(lattice.normals)
    beside, below = _torn_steps(depth, valid, cut)
    if edge < np.inf:
        edges = find_edge_steps(lattice, edge)
        beside |= edges.beside != 0
        below |= edges.below != 0
    falling = np.abs(za - zd) <= np.abs(zb - zc)
    # If one corner is missing, take the split that keeps the triangle of the other three.
    falling = np.where(va & vd, falling | ~(vb & vc), False)
    q, s = np.where(falling, d, b), np.where(falling, a, c)
    zq, zs = np.where(falling, zd, zb), np.where(falling, za, zc)
    first, second = _cross(c - a, q - a), _cross(s - b, d - b)
    first *= (
        _is_visible(first, a, cut, by_model[2])
        & _are_depths_within_jump((za, zc, zq), cut)
        & (va & vc & np.where(falling, vd, vb))
        & ~(below[:, :-1] | np.where(falling, beside[1:], beside[:-1]))
    )
    second *= (
        _is_visible(second, b, cut, by_model[1])
        & _are_depths_within_jump((zb, zs, zd), cut)
        & (vb & vd & np.where(falling, va, vc))
        & ~(below[:, 1:] | np.where(falling, beside[:-1], beside[1:]))
    )
    return Faces(falling=falling, first=first, second=second)


def find_edge_steps(lattice: Lattice, least: float) -> Edges:
    """Steps of 1/depth from ``least`` that a surface edge-on has."""
    inverse = np.where(lattice.valid, 1 / lattice.depth, np.float32(np.nan))
    lines = []
    for axis, focal in ((1, lattice.camera.focal), (0, lattice.camera.focal_y)):
        line = np.moveaxis(inverse, axis, 0)
        change = np.diff(line, axis=0)
        share = np.float32(lattice.rows.step / (focal * math.tan(math.radians(_EDGE_ON))))
        limit = np.maximum(share * np.minimum(line[1:], line[:-1]), np.float32(least))
        lines.append(np.moveaxis(np.where(np.abs(change) > limit, change, np.float32(0)), 0, axis))
    return Edges(beside=lines[0], below=lines[1])


def cell_corners(field: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Corners a b / c d of every cell, as views."""
    return field[..., :-1, :-1], field[..., :-1, 1:], field[..., 1:, :-1], field[..., 1:, 1:]


def _torn_steps(
    z: Field, valid: Mask, cut: Cut
) -> tuple[Bool[np.ndarray, "h v"], Bool[np.ndarray, "g w"]]:
    """Steps to the next column and row, where 1/z changes otherwise than on both sides."""
    inverse = 1 / z
    return _torn_steps_across(inverse, valid, cut), _torn_steps_across(inverse.T, valid.T, cut).T


def _torn_steps_across(inverse: Field, valid: Mask, cut: Cut) -> Bool[np.ndarray, "h v"]:
    rise = np.diff(inverse, axis=1)
    pairs = valid[:, 1:] & valid[:, :-1]
    least, most = np.full_like(rise, np.inf), np.full_like(rise, -np.inf)
    low, high = np.where(pairs, rise, least), np.where(pairs, rise, most)
    least[:, 1:], most[:, 1:] = low[:, :-1], high[:, :-1]
    least[:, :-1] = np.minimum(least[:, :-1], low[:, 1:])
    most[:, :-1] = np.maximum(most[:, :-1], high[:, 1:])
    # Alone between two holes, a pair has nothing to be judged by.
    beyond = np.where(most < least, 0, np.maximum(rise - most, least - rise))
    return beyond > cut.unexplained * cut.jump * np.minimum(inverse[:, 1:], inverse[:, :-1])


def _cross(p: Vectors, q: Vectors) -> Vectors:
    """Cross product, in a third of np.cross's time."""
    return np.stack(
        [p[1] * q[2] - p[2] * q[1], p[2] * q[0] - p[0] * q[2], p[0] * q[1] - p[1] * q[0]]
    )


def _is_visible(
    normal: Vectors,
    ray: Vectors,
    cut: Cut,
    given_normals: Vectors | None,
) -> Mask:
    """Whether triangles face the camera or agree with normals, which tell ground from ramps."""
    towards = -np.einsum("chw,chw->hw", normal, ray)
    lengths = np.sqrt(np.einsum("chw,chw->hw", normal, normal))
    grazing = lengths * np.sqrt(np.einsum("chw,chw->hw", ray, ray))
    steep = towards > grazing * np.float32(math.sin(math.radians(cut.grazing)))
    if given_normals is not None:
        steep |= np.einsum("chw,chw->hw", normal, given_normals) > lengths * _AGREEING
    return steep


def _are_depths_within_jump(depths: tuple[Field, ...], cut: Cut) -> Mask:
    a, b, c = depths
    near, far = np.minimum(np.minimum(a, b), c), np.maximum(np.maximum(a, b), c)
    return far <= near * np.float32(1 + cut.jump)


def corner_indices(faces: Faces, without: Mask | None = None) -> Triangles:
    """Point indices of triangles, ``without`` some cells."""
    height, width = faces.falling.shape
    number = np.arange((height + 1) * (width + 1), dtype=np.int32).reshape(height + 1, width + 1)
    a, b, c, d = cell_corners(number)
    q, s = np.where(faces.falling, d, b), np.where(faces.falling, a, c)
    first, second = faces.drawn_masks
    if without is not None:
        first, second = first & ~without, second & ~without
    return np.concatenate(
        [
            np.stack([a[first], c[first], q[first]], axis=1),
            np.stack([b[second], s[second], d[second]], axis=1),
        ]
    )


def vertex_normals(faces: Faces, lattice: Lattice) -> Vectors:
    """Unit normals by area; towards the camera without a triangle."""
    total = np.zeros_like(lattice.points)
    falling = faces.falling
    a, b, c, d = cell_corners(total)
    a += faces.first + faces.second * falling
    c += faces.first + faces.second * ~falling
    b += faces.second + faces.first * ~falling
    d += faces.second + faces.first * falling
    length = np.sqrt(np.einsum("chw,chw->hw", total, total))
    total = np.where(length > 0, total, -lattice.points)
    return total / np.sqrt(np.einsum("chw,chw->hw", total, total))


def goes_round(camera: Camera, width: int) -> bool:
    """Whether left and right edges of this width meet."""
    return isinstance(camera.lens, Equirectangular) and camera.lens.goes_round(width)
