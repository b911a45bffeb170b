"""Triangles in the tears of a surface, its smooth contours and its flat parts.

A tear shows the layer of ``backing``, or depth from side to side. Rims move in the planes of their
triangles. Flat parts are right triangles, halved where the surface differs or texture slips.

See Duchaineau et al., "ROAMing terrain" (1997), and Evans, Kirkpatrick and Townsend,
"Right-triangulated irregular networks" (2001).
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from rilievo.arrays.shapes import Bool, Field, Float32, Int, Mask
from rilievo.geometry.cameras.lens import Pinhole
from rilievo.geometry.surfaces.backing import ALIKE, Backing, layer_behind_edges
from rilievo.geometry.surfaces.lattice import (
    Cut,
    Faces,
    Lattice,
    Numbers,
    Triangles,
    Vertices,
    cell_corners,
    corner_indices,
    triangulate_cells,
)
from rilievo.geometry.surfaces.patches import triangle_links

_SIDE = 64
"""Cells along the largest square, a power of two."""

_SLIP = 0.5
"""Largest slip of texture [points]."""

_STEEPEST = np.float32(1.1)
"""Ratio of depths in a cell whose triangles stay."""

_Grid = Float32[np.ndarray, "_ _"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """Triangles that replace those of flat cells."""

    cells: Mask
    triangles: Triangles


def merge_flat_triangles(lattice: Lattice, faces: Faces, tolerance: float) -> Merged:
    """Merge them; ``tolerance`` is the relative change of depth that halves one."""
    whole = np.logical_and(*faces.drawn_masks) & _is_depth_ratio_small(lattice)
    height, width = lattice.valid.shape
    padding = [(0, -(length - 1) % _SIDE) for length in (height, width)]
    # 1/z of a plane is linear in the image.
    inverse = np.pad(1 / lattice.depth, padding, mode="edge")
    error = np.where(
        _corners_around_torn_cells(whole, inverse.shape), np.float32(np.inf), np.float32(0)
    )
    _propagate_errors(error, inverse, tolerance)
    large, single = _halve_triangles(error, tolerance)
    columns = inverse.shape[1]
    large, single = (
        _renumber_triangles_inside(corners, columns, (height, width)) for corners in (large, single)
    )
    # If both triangles of a cell remain, those of ``faces`` are better: split along the edge.
    row, column = (corners.min(axis=1) for corners in np.divmod(single, width))
    cell = row * (width - 1) + column
    alone = np.bincount(cell, minlength=whole.size)
    cells = whole & (alone < 2).reshape(whole.shape)
    halves = single[cells.reshape(-1)[cell]]
    return Merged(cells=cells, triangles=np.concatenate([large, halves]).astype(np.int32))


def _is_depth_ratio_small(lattice: Lattice) -> Mask:
    a, b, c, d = cell_corners(lattice.depth)
    nearest = np.minimum(np.minimum(a, b), np.minimum(c, d))
    return np.maximum(np.maximum(a, b), np.maximum(c, d)) < _STEEPEST * nearest


def _corners_around_torn_cells(whole: Mask, shape: tuple[int, ...]) -> Bool[np.ndarray, "a b"]:
    height, width = whole.shape
    torn = np.zeros((shape[0] - 1, shape[1] - 1), bool)
    torn[:height, :width] = ~whole
    torn[height : height + 1, : width + 1] = True
    torn[: height + 1, width : width + 1] = True
    needed = np.zeros(shape, bool)
    for rows, columns in ((0, 0), (0, 1), (1, 0), (1, 1)):
        needed[rows : shape[0] - 1 + rows, columns : shape[1] - 1 + columns] |= torn
    # Only the points of the last halving are kept here; ``_propagate_errors`` adds others.
    needed[::2, ::2] = needed[1::2, 1::2] = False
    return needed


def _propagate_errors(error: _Grid, field: _Grid, tolerance: float) -> None:
    """Raise a point's error to that of triangles it halves."""
    side = 2
    while side <= _SIDE:
        slip = np.float32(tolerance / _SLIP * side / 2)
        _propagate_side_errors(error, field, side, slip)
        _propagate_side_errors(error.T, field.T, side, slip)
        _propagate_centre_errors(error, field, side, slip)
        side *= 2


def _propagate_side_errors(error: _Grid, field: _Grid, side: int, slip: np.float32) -> None:
    half = side // 2
    middle, ends = field[::side, half::side], field[::side, ::side]
    here = error[::side, half::side]
    np.maximum(here, _relative_bend(middle, ends[:, :-1], ends[:, 1:], slip), out=here)
    if half > 1:
        centres = error[half // 2 :: half, half // 2 :: half]
        pairs = np.maximum(centres[:, ::2], centres[:, 1::2])
        np.maximum(here[1:], pairs[1::2], out=here[1:])
        np.maximum(here[:-1], pairs[::2], out=here[:-1])


def _propagate_centre_errors(error: _Grid, field: _Grid, side: int, slip: np.float32) -> None:
    half = side // 2
    middle, corners = field[half::side, half::side], field[::side, ::side]
    falling = _relative_bend(middle, corners[:-1, :-1], corners[1:, 1:], slip)
    rising = _relative_bend(middle, corners[:-1, 1:], corners[1:, :-1], slip)
    own = np.where(_checkerboard(middle.shape), falling, rising)
    above, beside = error[::side, half::side], error[half::side, ::side]
    here = error[half::side, half::side]
    for other in (own, above[:-1], above[1:], beside[:, :-1], beside[:, 1:]):
        np.maximum(here, other, out=here)


def _checkerboard(shape: tuple[int, ...]) -> Bool[np.ndarray, "a b"]:
    row, column = np.indices(shape, sparse=True)
    return (row + column) % 2 == 0


def _relative_bend(middle: _Grid, first: _Grid, second: _Grid, slip: np.float32) -> _Grid:
    """Relative bend of inverse depth, or slip of texture: half |z1 - z2| / (z1 + z2) points."""
    together = first + second
    bend = np.abs(together / 2 - middle) / middle
    return np.maximum(bend, slip * np.abs(first - second) / together)


def _halve_triangles(
    error: _Grid, tolerance: float
) -> tuple[Int[np.ndarray, "m 3"], Int[np.ndarray, "n 3"]]:
    """Point indices of triangles of earlier halvings, then of the last."""
    number = np.arange(error.size).reshape(error.shape)[::_SIDE, ::_SIDE]
    a, b, c, d = cell_corners(number)
    falling = _checkerboard(a.shape)
    # Corners: the two ends of the long side, then the right angle; facing the camera.
    pairs = (((d, a, c), (a, d, b)), ((c, b, a), (b, c, d)))
    open_ones = np.concatenate(
        [
            np.stack([corner[chosen] for corner in triangle], axis=1)
            for chosen, triangles in zip((falling, ~falling), pairs, strict=True)
            for triangle in triangles
        ]
    )
    done = []
    for _ in range(2 * (_SIDE.bit_length() - 1)):
        middle = open_ones[:, :2].sum(axis=1) // 2
        split = error.reshape(-1)[middle] > tolerance
        done.append(open_ones[~split])
        (a, b, c), m = open_ones[split].T, middle[split]
        open_ones = np.concatenate([np.stack([c, a, m], axis=1), np.stack([b, c, m], axis=1)])
    return np.concatenate(done), open_ones


def _renumber_triangles_inside(
    triangles: Int[np.ndarray, "m 3"], columns: int, shape: tuple[int, int]
) -> Int[np.ndarray, "n 3"]:
    row, column = np.divmod(triangles, columns)
    inside = ((row < shape[0]) & (column < shape[1])).all(axis=1)
    return (row * shape[1] + column)[inside]


_UNCUT = Cut(grazing=0.0, jump=1e9)
_COARSE = 6
"""Step between points behind the surface."""
_SEAM = 3 * _COARSE
"""Points between the sources of a triangle from which they are not of one place."""
_BEYOND = 1 / 8
"""Largest margin, as a share of the width."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """Triangles in a lattice's tears and behind its edges.

    Attributes:
        margin: Points beyond each border.
        grown: Points behind the surface, or at unmoved rims.
        triangles: Rows of ``corners``.
        corners: Points, with ``normals``; twice where two triangles differ in colour.
        sources: Points of their colours.
    """

    lattice: Lattice
    margin: int
    grown: Mask
    triangles: Triangles
    corners: Numbers
    normals: Vertices
    sources: Numbers


def fill_tears(lattice: Lattice, faces: Faces, *, least: float, reach: int) -> Fill:
    """Fill tears; ``least`` is an edge's step of 1/depth, ``reach`` the points behind it."""
    torn = np.logical_not(np.logical_and(*faces.drawn_masks))
    layer, margin = layer_behind_edges(lattice, reach - _COARSE, least), 0
    if layer is not None and layer.margin > 0 and isinstance(lattice.camera.lens, Pinhole):
        most = _BEYOND * lattice.valid.shape[1]
        margin = _COARSE * math.ceil(min(layer.margin, most) / _COARSE)
        layer = layer_behind_edges(lattice.with_margin(margin), reach - _COARSE, least, margin)
        torn = np.pad(torn, margin)
    if layer is None:
        triangles, grown = _cell_triangles(lattice, torn), np.zeros(lattice.valid.shape, bool)
    else:
        lattice, large = layer.lattice, _coarse_triangles(layer)
        # A point of a rim moves, and large triangles end where it was.
        rim = _corner_mask(torn)
        grown = layer.grown | (rim & _corner_mask(large.cells))
        # A smooth rim lies up to half a cell inside of the cells that are torn (``contour``).
        beside = _cells_touching(rim) & _cells_touching(grown)
        open_cells = (torn | beside) & ~large.cells
        triangles = np.concatenate([_cell_triangles(lattice, open_cells), large.triangles])
    corners, places = np.unique(triangles, return_inverse=True)
    points, places = lattice.points.reshape(3, -1).T[corners], places.reshape(triangles.shape)
    normals, sources = _point_normals(points, places), corners
    if layer is not None:
        sources = _mirror_inside(layer.sources(corners), layer, margin)
        one, sources, places = _collapse_seams(places, sources, grown.reshape(-1)[corners], lattice)
        corners, normals = corners[one], normals[one]
    return Fill(
        lattice=lattice,
        margin=margin,
        grown=grown,
        triangles=places,
        corners=corners,
        normals=normals,
        sources=sources,
    )


def _collapse_seams(
    triangles: Triangles, sources: Numbers, grown: Bool[np.ndarray, "n"], lattice: Lattice
) -> tuple[Numbers, Numbers, Triangles]:
    """Points of triangles, their sources, and triangles with one source where three are far apart.

    Between places of the far surface lies what stands before it.
    """
    spread = [
        np.ptp(axis[triangles], axis=1) for axis in np.divmod(sources, lattice.valid.shape[1])
    ]
    seams = (np.maximum(*spread) > _SEAM) & grown[triangles].all(axis=1)
    three = sources[triangles]
    three[seams] = three[seams, :1]
    pairs, places = np.unique(triangles * np.int64(lattice.valid.size) + three, return_inverse=True)
    points, sources = np.divmod(pairs, lattice.valid.size)
    return points, sources, places.reshape(triangles.shape).astype(np.int32)


def _corner_mask(cells: Mask) -> Mask:
    points = np.zeros((cells.shape[0] + 1, cells.shape[1] + 1), bool)
    for corner in cell_corners(points):
        corner |= cells
    return points


def _cells_touching(points: Mask) -> Mask:
    return np.logical_or.reduce(cell_corners(points))


def _mirror_inside(points: Numbers, layer: Backing, margin: int) -> Numbers:
    """Flat indices mirrored at the border, or clamped to it."""
    closest, mirrored = [], []
    for place, length in zip(
        np.divmod(points, layer.grown.shape[1]), layer.grown.shape, strict=True
    ):
        nearest = place.clip(margin, length - 1 - margin)
        closest.append(nearest)
        mirrored.append((2 * nearest - place).clip(margin, length - 1 - margin))
    at, mirror = (row * layer.grown.shape[1] + column for row, column in (closest, mirrored))
    depth, there = layer.surface.reshape(-1), layer.lattice.valid.reshape(-1)
    alike = there[mirror] & (abs(np.log(depth[mirror] / depth[at])) < ALIKE)
    return np.where(alike, mirror, at)


def _cell_triangles(lattice: Lattice, cells: Mask) -> Triangles:
    row, column = np.nonzero(cells)
    width = lattice.valid.shape[1]
    a = row * width + column
    corners = (a, a + 1, a + width, a + width + 1)
    (va, vb, vc, vd), (za, zb, zc, zd) = (
        [field.reshape(-1)[corner] for corner in corners]
        for field in (lattice.valid, lattice.depth)
    )
    a, b, c, d = corners
    falling = va & vd & ((abs(za - zd) <= abs(zb - zc)) | ~(vb & vc))
    first = np.stack([a, c, np.where(falling, d, b)], axis=1)
    second = np.stack([b, np.where(falling, a, c), d], axis=1)
    triangles = np.concatenate([first, second]).astype(np.int32)
    return triangles[lattice.valid.reshape(-1)[triangles].all(axis=1)]


def _coarse_triangles(layer: Backing) -> Merged:
    lattice = layer.lattice
    lines = [np.unique([*range(0, n, _COARSE), n - 1]) for n in layer.grown.shape]
    grid = np.ix_(*lines)
    small = replace(
        lattice,
        points=lattice.points[:, *grid],
        depth=lattice.depth[grid],
        valid=lattice.valid[grid],
        hollow=None,
    )
    drawn, whole = layer.reached, lattice.valid
    for axis, starts in enumerate(line[:-1] for line in lines):
        drawn = np.logical_or.reduceat(drawn, starts, axis=axis)
        whole = np.logical_and.reduceat(whole, starts, axis=axis)
    # The last corners of a cell are points of the next ones.
    drawn = drawn & whole & np.logical_and.reduce(cell_corners(small.valid))
    cells = drawn
    for axis, line in enumerate(lines):
        cells = cells.repeat(np.diff(line), axis=axis)
    row, column = np.divmod(corner_indices(triangulate_cells(small, _UNCUT), ~drawn), len(lines[1]))
    triangles = lines[0][row] * layer.grown.shape[1] + lines[1][column]
    return Merged(cells=cells, triangles=triangles.astype(np.int32))


def _point_normals(points: Vertices, triangles: Int[np.ndarray, "m 3"]) -> Vertices:
    a, b, c = (points[corner].astype(np.float64) for corner in triangles.T)
    face, total = np.cross(b - a, c - a), np.zeros((len(points), 3))
    for corner in triangles.T:
        for axis in range(3):
            total[:, axis] += np.bincount(corner, face[:, axis], len(points))
    length = np.sqrt((total * total).sum(axis=1, keepdims=True))
    total = np.where(length > 0, total, -points)
    return (total / np.sqrt((total * total).sum(axis=1, keepdims=True))).astype(np.float32)


_ROUNDS = 12
"""Moves of a point halfway to its neighbours' mean."""
_REACH = 0.45
"""Largest move, in steps."""
_LEAST_AREA = 0.2
"""Least share of its area that a triangle keeps."""
_BEND = 1 / 9
"""Largest change of depth in a steep triangle, as a share of ``Cut.jump``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contoured:
    """Lattice with smooth rims; columns and rows of points have fractions."""

    lattice: Lattice
    columns: Field
    rows: Field


def smooth_contours(lattice: Lattice, faces: Faces, triangles: Triangles, cut: Cut) -> Contoured:
    """Smooth rims but the outermost; no triangle turns over, and ``cut.jump`` limits depth."""
    height, width = lattice.valid.shape
    rows, columns = (grid.astype(np.float32) for grid in np.mgrid[:height, :width])
    edges = _rim_sides(faces)
    rim, ends = np.unique(edges, return_inverse=True)
    if rim.size:
        ends = ends.reshape(edges.shape)
        start = np.stack([columns.reshape(-1)[rim], rows.reshape(-1)[rim]], axis=1)
        inner = (start > 0).all(axis=1) & (start < [width - 1, height - 1]).all(axis=1)
        moved = _smooth_rims(start, ends, np.asarray(inner))
        index = np.full(lattice.valid.size, -1)
        index[rim] = np.arange(len(rim))
        corners = index[triangles]
        touched = (corners >= 0).any(axis=1)
        corners, triangles = corners[touched], triangles[touched]
        fixed = np.stack([grid.reshape(-1)[triangles] for grid in (columns, rows)], axis=2)
        _undo_flips(moved, start, corners, fixed)
        columns.reshape(-1)[rim], rows.reshape(-1)[rim] = moved.T
        lattice = _move_rim_on_planes(lattice, rim, moved, triangles, corners, cut)
    return Contoured(lattice=lattice, columns=columns, rows=rows)


def _rim_sides(faces: Faces) -> Int[np.ndarray, "k 2"]:
    """Sides of one triangle alone, as pairs of points."""
    beside, below = triangle_links(faces, np.logical_xor)
    across, falling = np.logical_xor(*faces.drawn_masks), faces.falling
    number = np.arange((falling.shape[0] + 1) * below.shape[1]).reshape(-1, below.shape[1])
    a, b, c, d = cell_corners(number)
    pairs = (
        (number[:, :-1][beside], number[:, 1:][beside]),
        (number[:-1][below], number[1:][below]),
        (np.where(falling, a, b)[across], np.where(falling, d, c)[across]),
    )
    return np.concatenate([np.stack(pair, axis=1) for pair in pairs])


def _smooth_rims(
    start: Float32[np.ndarray, "n 2"], ends: Int[np.ndarray, "k 2"], inner: Bool[np.ndarray, "n"]
) -> Float32[np.ndarray, "n 2"]:
    """Smooth (x, y) of rims, at most ``_REACH`` from the start."""
    one, other = ends.T
    count = len(start)
    movable = inner & (np.bincount(ends.reshape(-1), minlength=count) == 2)
    place = start.astype(np.float64)
    for _ in range(_ROUNDS):
        total = np.stack(
            [
                np.bincount(one, values[other], count) + np.bincount(other, values[one], count)
                for values in place.T
            ],
            axis=1,
        )
        step = np.where(movable[:, None], (total / 2 + place) / 2, place) - start
        far = np.maximum(np.sqrt((step * step).sum(axis=1, keepdims=True)) / _REACH, 1)
        place = start + step / far
    return place.astype(np.float32)


def _undo_flips(
    moved: Float32[np.ndarray, "n 2"],
    start: Float32[np.ndarray, "n 2"],
    corners: Int[np.ndarray, "m 3"],
    fixed: Float32[np.ndarray, "m 3 2"],
) -> None:
    """Undo moves in place where a triangle turns over or becomes a sliver."""
    before = _twice_signed_area(fixed)
    while True:
        now = np.where((corners >= 0)[..., None], moved[corners], fixed)
        narrow = (
            _twice_signed_area(now) < _LEAST_AREA * before if before.size else np.zeros(0, bool)
        )
        back = np.unique(corners[narrow])
        back = back[back >= 0]
        if not narrow.any():
            return
        moved[back] = start[back]


def _twice_signed_area(corners: Float32[np.ndarray, "m 3 2"]) -> Float32[np.ndarray, "m"]:
    a, b, c = np.moveaxis(corners, 1, 0)
    one, other = c - a, b - a
    return one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0]


def _move_rim_on_planes(
    lattice: Lattice,
    rim: Numbers,
    moved: Float32[np.ndarray, "n 2"],
    triangles: Triangles,
    corners: Int[np.ndarray, "m 3"],
    cut: Cut,
) -> Lattice:
    points = lattice.points.reshape(3, -1).astype(np.float64)
    depth = lattice.depth.reshape(-1).astype(np.float64)
    ray = points[:, rim] / depth[rim]
    start = np.array([[lattice.columns.start], [lattice.rows.start]])
    new = lattice.camera.rays(start + lattice.rows.step * moved.T.astype(np.float64))
    # Sums of the normals of each rim point's triangles.
    a, b, c = (points[:, corner] for corner in triangles.T)
    face = np.cross(b - a, c - a, axis=0)
    normal = np.zeros((3, len(rim)))
    for corner in corners.T:
        there = corner >= 0
        for axis in range(3):
            normal[axis] += np.bincount(corner[there], face[axis, there], len(rim))
    facing = np.einsum("cn,cn->n", normal, ray)
    turned = np.einsum("cn,cn->n", normal, new)
    ratio = np.where(turned < 0, facing / np.where(turned < 0, turned, -1), 1)
    factor = np.clip(ratio, 1 - cut.jump / 4, 1 + cut.jump / 4)
    bend = _BEND * cut.jump
    spans = np.where(corners >= 0, factor[corners], 1) * depth[triangles]
    steep = spans.max(axis=1) > (1 + cut.jump) * (1 + 2 * bend) * spans.min(axis=1)
    held = np.unique(corners[steep])
    held = held[held >= 0]
    factor[held] = factor[held].clip(1 - bend, 1 + bend)
    depth[rim] *= factor
    points[:, rim] = new * depth[rim]
    return replace(
        lattice,
        points=points.reshape(lattice.points.shape).astype(np.float32),
        depth=depth.reshape(lattice.depth.shape).astype(np.float32),
    )
