"""Smooth contours of a cut surface, in place of the staircase of pixels."""

from dataclasses import dataclass, replace

import numpy as np

from rilievo.arrays.shapes import Bool, Field, Float32, Int
from rilievo.geometry.surfaces.lattice import Cut, Faces, Lattice, Triangles, cell_corners
from rilievo.geometry.surfaces.patches import triangle_links
from rilievo.geometry.surfaces.ramps import Numbers

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
