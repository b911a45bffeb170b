"""Points and triangles of a surface from neighbouring pixels; the internals of ``surface``."""

import math
from dataclasses import replace

import numpy as np

from rilievo.errors import OptionError
from rilievo.frozen import frozen
from rilievo.geometry.cameras.camera import Camera
from rilievo.shapes import Bool, Field, Float32, Int, Int32, Mask, Vectors

Numbers = Int[np.ndarray, "n"]
"""Numbers of points in reading order."""

Vertices = Float32[np.ndarray, "n 3"]
"""Points, or directions, one a row."""

Triangles = Int32[np.ndarray, "m 3"]
"""Numbers of the corners of triangles."""

_AGREEING = np.float32(math.cos(math.radians(25)))
"""Cosine of the largest angle between a triangle and a model's normals that confirm it."""
_EDGE_ON = 6.0
"""Angle [degrees] between a surface and the ray that sees it below which it is seen edge-on."""


@frozen
class Cut:
    """Limits at which a surface is torn, because there is an edge and no surface."""

    grazing: float = 3.0
    """Least angle [degrees] between a surface and the ray that sees it."""
    jump: float = 0.08
    """Largest step of depth between neighbours, relative to the nearer one."""
    unexplained: float = 0.25
    """Share of ``jump`` that is enough where the surfaces on both sides do not slope that way: a
    slant is kept, a step is not.
    """
    specks: float = 0.0
    """Largest share of all points of a loose patch to remove and a hole to close; 0: neither."""

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
    def filled(self) -> "Cut":
        """Limits of a surface whose tears are filled: slopes stay, and large steps are torn."""
        return replace(self, grazing=0.0, unexplained=1.0)


@frozen
class Lattice:
    """Points of every n-th pixel, in rows and columns.

    Attributes:
        camera: Camera of the image.
        points: Points in the camera frame; where not ``valid``, on the pixel's ray.
        depth: Depth of the points along their rays.
        valid: Points that exist.
        rows: Rows of the image that are sampled.
        columns: Columns of the image that are sampled.
        normals: Unit normals of the points as a model gives them; None if it gives none.
        hollow: Points at which there is nothing, so that no hole is closed there; None for none.
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
        """Index of the lattice's pixels in a field ``h w``."""
        return np.s_[self.rows.start :: self.rows.step, self.columns.start :: self.columns.step]

    def with_depth(self, depth: Field, valid: Mask) -> "Lattice":
        """Lattice whose points have another depth, on the rays of their pixels."""
        points = self.camera.points(depth, rows=self.rows, columns=self.columns)
        return replace(self, points=points, depth=depth, valid=valid)

    def with_margin(self, width: int) -> "Lattice":
        """Lattice with ``width`` more points on each side, as deep as those of the border."""
        rows, columns = (
            range(line[0] - width * line.step, line[-1] + width * line.step + 1, line.step)
            for line in (self.rows, self.columns)
        )
        depth, valid = (np.pad(field, width, mode="edge") for field in (self.depth, self.valid))
        wide = replace(self, rows=rows, columns=columns, normals=None, hollow=None)
        return wide.with_depth(depth, valid)


@frozen
class Edges:
    """Steps of 1/depth at edges, 0 elsewhere.

    Attributes:
        beside: Step from each point to the next one of its row.
        below: Step from each point to the one below it.
    """

    beside: Float32[np.ndarray, "h v"]
    below: Float32[np.ndarray, "g w"]

    def lines(self) -> tuple[tuple[int, Field], tuple[int, Field]]:
        """Each axis with the steps along it."""
        return (1, self.beside), (0, self.below)


@frozen
class Faces:
    """Normals of the two triangles of every four neighbours; zero where there is no triangle.

    With the corners a b / c d, the first is a c q and the second b s d, where (q, s) is (d, a)
    if ``falling`` (split from a to d), else (b, c). A normal is as long as twice the area, up to
    one factor for the lattice.
    """

    falling: Mask
    first: Vectors
    second: Vectors

    @property
    def drawn(self) -> tuple[Mask, Mask]:
        """Whether there is the first triangle, and the second."""
        return np.asarray(self.first.any(axis=0)), np.asarray(self.second.any(axis=0))


def places(length: int, step: int) -> range:
    """Rows, or columns, of a lattice: the middle one of every ``step``, and at least one."""
    return range(min(step - 1, length - 1) // 2, length, step)


def grid_of(shape: tuple[int, int], step: int) -> tuple[slice, slice]:
    """Index of the pixels of a lattice in a field ``h w``."""
    rows, columns = (slice(places(length, step).start, None, step) for length in shape)
    return rows, columns


def steepest(focal: float, cut: Cut) -> float:
    """Relative jump between neighbours that is seen at the grazing angle, at most ``cut.jump``.

    Neighbours at depth z are z / focal apart, so a jump of j z leans by atan(j focal).
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
    """Sample a lattice of pixels without averaging, which would make points between surfaces."""
    height, width = depth.shape
    rows, columns = places(height, step), places(width, step)
    grid = grid_of(depth.shape, step)
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


def faces_of(lattice: Lattice, cut: Cut, edge: float = np.inf) -> Faces:
    """Make two triangles for every four neighbours, without those that ``cut`` leaves out.

    Args:
        lattice: Points of a surface.
        cut: Limits at which it is torn.
        edge: Step of 1/depth from which it is torn where it would be seen edge-on.
    """
    valid = lattice.valid
    # Fourth powers follow, so the unit is near the largest depth; a power of two is exact.
    unit = np.ldexp(np.float32(1), int(np.frexp(lattice.depth.max())[1]))
    points, depth = lattice.points / unit, lattice.depth / unit
    a, b, c, d = corners_of(points)
    va, vb, vc, vd = corners_of(valid)
    za, zb, zc, zd = corners_of(depth)
    by_model = (None,) * 4 if lattice.normals is None else corners_of(lattice.normals)
    beside, below = _steps(depth, valid, cut)
    if edge < np.inf:
        edges = edges_of(lattice, edge)
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
        & _joined((za, zc, zq), cut)
        & (va & vc & np.where(falling, vd, vb))
        & ~(below[:, :-1] | np.where(falling, beside[1:], beside[:-1]))
    )
    second *= (
        _is_visible(second, b, cut, by_model[1])
        & _joined((zb, zs, zd), cut)
        & (vb & vd & np.where(falling, va, vc))
        & ~(below[:, 1:] | np.where(falling, beside[:-1], beside[1:]))
    )
    return Faces(falling=falling, first=first, second=second)


def edges_of(lattice: Lattice, least: float) -> Edges:
    """Find the steps of 1/depth between neighbours that a surface seen edge-on would have.

    Args:
        lattice: Points of a surface.
        least: Least step; what is far away has smaller ones.
    """
    inverse = np.where(lattice.valid, 1 / lattice.depth, np.float32(np.nan))
    lines = []
    for axis, focal in ((1, lattice.camera.focal), (0, lattice.camera.focal_y)):
        line = np.moveaxis(inverse, axis, 0)
        change = np.diff(line, axis=0)
        share = np.float32(lattice.rows.step / (focal * math.tan(math.radians(_EDGE_ON))))
        limit = np.maximum(share * np.minimum(line[1:], line[:-1]), np.float32(least))
        lines.append(np.moveaxis(np.where(np.abs(change) > limit, change, np.float32(0)), 0, axis))
    return Edges(beside=lines[0], below=lines[1])


def corners_of(field: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The corners a b / c d of every four neighbours, as views of a field ``... h w``."""
    return field[..., :-1, :-1], field[..., :-1, 1:], field[..., 1:, :-1], field[..., 1:, 1:]


def _steps(
    z: Field, valid: Mask, cut: Cut
) -> tuple[Bool[np.ndarray, "h v"], Bool[np.ndarray, "g w"]]:
    """Whether there is a step to the next point of a row, and to the point below.

    On a plane 1/z is linear in the image, so it changes as much as on either side. On a curved
    surface it changes by a number between the two; what is outside of them is a step.
    """
    inverse = 1 / z
    return _steps_along(inverse, valid, cut), _steps_along(inverse.T, valid.T, cut).T


def _steps_along(inverse: Field, valid: Mask, cut: Cut) -> Bool[np.ndarray, "h v"]:
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
    """Cross product over the first axis, in a third of the time of np.cross."""
    return np.stack(
        [p[1] * q[2] - p[2] * q[1], p[2] * q[0] - p[0] * q[2], p[0] * q[1] - p[1] * q[0]]
    )


def _is_visible(
    normal: Vectors,
    ray: Vectors,
    cut: Cut,
    given_normals: Vectors | None,
) -> Mask:
    """Whether triangles, seen along a ray, face the camera or agree with the given normals.

    Ground that recedes is as steep as the ramp of an edge, but a model's normals tell them apart.
    """
    towards = -np.einsum("chw,chw->hw", normal, ray)
    lengths = np.sqrt(np.einsum("chw,chw->hw", normal, normal))
    grazing = lengths * np.sqrt(np.einsum("chw,chw->hw", ray, ray))
    steep = towards > grazing * np.float32(math.sin(math.radians(cut.grazing)))
    if given_normals is not None:
        steep |= np.einsum("chw,chw->hw", normal, given_normals) > lengths * _AGREEING
    return steep


def _joined(depths: tuple[Field, ...], cut: Cut) -> Mask:
    """Whether the three corners of triangles do not jump in depth."""
    a, b, c = depths
    near, far = np.minimum(np.minimum(a, b), c), np.maximum(np.maximum(a, b), c)
    return far <= near * np.float32(1 + cut.jump)


def triangles_of(faces: Faces, without: Mask | None = None) -> Triangles:
    """Triangles as indices of the lattice's points in reading order; not of cells ``without``."""
    height, width = faces.falling.shape
    number = np.arange((height + 1) * (width + 1), dtype=np.int32).reshape(height + 1, width + 1)
    a, b, c, d = corners_of(number)
    q, s = np.where(faces.falling, d, b), np.where(faces.falling, a, c)
    first, second = faces.drawn
    if without is not None:
        first, second = first & ~without, second & ~without
    return np.concatenate(
        [
            np.stack([a[first], c[first], q[first]], axis=1),
            np.stack([b[second], s[second], d[second]], axis=1),
        ]
    )


def neighbours(
    places: Numbers, shape: tuple[int, int]
) -> tuple[Int[np.ndarray, "m"], Int[np.ndarray, "m"]]:
    """Each place with each of its neighbours above, below and beside it."""
    height, width = shape
    rows, columns = np.divmod(places, width)
    inside = (rows > 0, rows < height - 1, columns > 0, columns < width - 1)
    pairs = zip(inside, (-width, width, -1, 1), strict=True)
    parts = [(places[there], places[there] + step) for there, step in pairs]
    return np.concatenate([a for a, _ in parts]), np.concatenate([b for _, b in parts])


def vertex_normals(faces: Faces, lattice: Lattice) -> Vectors:
    """Unit normals at each vertex: the mean of its triangles' normals, weighted by area.

    A point without a triangle gets the direction to the camera.
    """
    total = np.zeros_like(lattice.points)
    falling = faces.falling
    a, b, c, d = corners_of(total)
    a += faces.first + faces.second * falling
    c += faces.first + faces.second * ~falling
    b += faces.second + faces.first * ~falling
    d += faces.second + faces.first * falling
    length = np.sqrt(np.einsum("chw,chw->hw", total, total))
    total = np.where(length > 0, total, -lattice.points)
    return total / np.sqrt(np.einsum("chw,chw->hw", total, total))
