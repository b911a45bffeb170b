"""Compiled kernels for the intersection of rays with solids.

A hit is (distance along the ray, face); a miss has a distance beyond ``FAR``. Faces of boxes and
rooms are 2 axis + (1 on the positive side); a frustum's side is 0, its lower lid 1, its upper 2;
the face of a mesh is the row of its triangle.
"""

import math
from collections.abc import Callable
from typing import Any, no_type_check

import numpy as np

from lab.scenes.scene import (
    BARS,
    BOX,
    CARD,
    ELLIPSOID,
    FACES,
    FRUSTUM,
    LATTICE,
    MESH,
    OPEN,
    ROOM,
    WHOLE,
)
from lab.scenes.trees import MISS, hit_mesh
from rilievo.training.engine.compiled import compiled

FAR = 1e8


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a function with numba and cache the result on disk.

    The cache is invalidated by changes to the function's own file, but not by changes to kernels
    in other files that it calls; delete ``__pycache__/*.nb*`` after those.
    """
    return compiled(function)


@kernel
@no_type_check
def hash_unit(a, b, salt):
    """Hash a cell of a grid to a number in [0, 1)."""
    h = (a * 374761393 + b * 668265263 + salt * 1274126177) & 0x7FFFFFFF
    h = ((h ^ (h >> 13)) * 1103515245) & 0x7FFFFFFF
    return ((h ^ (h >> 16)) & 0xFFFF) / 65536.0


@kernel
@no_type_check
def is_solid(body, u, v):
    """Whether the surface is solid at the coordinates (u, v) [m], not a hole."""
    if body.holes == WHOLE or body.holes == OPEN:
        return True
    a, b = u / body.pitch, v / body.pitch
    cell_a, cell_b = math.floor(a), math.floor(b)
    a -= cell_a
    b -= cell_b
    if body.holes == BARS:
        return a < body.share
    if body.holes == LATTICE:
        return a < body.share or b < body.share
    i, j = int(cell_a), int(cell_b)
    size = 0.5 * body.share * (0.6 + 0.8 * hash_unit(i, j, 1))
    a -= 0.3 + 0.4 * hash_unit(i, j, 2)
    b -= 0.3 + 0.4 * hash_unit(i, j, 3)
    turn = 6.2832 * hash_unit(i, j, 4)
    c, s = math.cos(turn), math.sin(turn)
    return (c * a + s * b) ** 2 + 3.0 * (c * b - s * a) ** 2 < size * size


@kernel
@no_type_check
def hit_slabs(ox, oy, oz, dx, dy, dz):
    """Entry and exit of the unit cube: (entry, exit, face of entry, face of exit)."""
    entry, leave, entry_face, leave_face = -MISS, MISS, 0, 0
    for axis in range(3):
        o = ox if axis == 0 else (oy if axis == 1 else oz)
        d = dx if axis == 0 else (dy if axis == 1 else dz)
        if abs(d) < 1e-9:
            if abs(o) > 1.0:
                return MISS, -MISS, 0, 0
            continue
        low, high, side = (-1.0 - o) / d, (1.0 - o) / d, 0
        if low > high:
            low, high, side = high, low, 1
        if low > entry:
            entry, entry_face = low, 2 * axis + side
        if high < leave:
            leave, leave_face = high, 2 * axis + 1 - side
    return entry, leave, entry_face, leave_face


@kernel
@no_type_check
def hit_ellipsoid(body, ox, oy, oz, dx, dy, dz, nearest, farthest):
    """First hit on a ball, outside its holes."""
    a = dx * dx + dy * dy + dz * dz
    b = ox * dx + oy * dy + oz * dz
    root = b * b - a * (ox * ox + oy * oy + oz * oz - 1.0)
    if root < 0.0:
        return MISS, 0
    root = math.sqrt(root)
    for side in range(2):
        t = (-b - root) / a if side == 0 else (-b + root) / a
        if nearest < t < farthest:
            if body.holes == WHOLE:
                return t, 0
            u = math.atan2(oy + t * dy, ox + t * dx) * body.half[0]
            v = math.asin(min(1.0, max(-1.0, oz + t * dz))) * body.half[2]
            if is_solid(body, u, v):
                return t, 0
    return MISS, 0


@kernel
@no_type_check
def hit_frustum(body, ox, oy, oz, dx, dy, dz, nearest, farthest):
    """First hit on a cone's side or lids."""
    best, face = MISS, 0
    slope = 0.5 * (body.taper - 1.0)
    here = 0.5 * (body.taper + 1.0) + slope * oz
    a = dx * dx + dy * dy - slope * slope * dz * dz
    b = ox * dx + oy * dy - slope * dz * here
    root = b * b - a * (ox * ox + oy * oy - here * here)
    if root > 0.0 and abs(a) > 1e-12:
        root = math.sqrt(root)
        for side in range(2):
            t = (-b - root) / a if side == 0 else (-b + root) / a
            if nearest < t < farthest and t < best:
                inside = abs(oz + t * dz) < 1.0 and here + slope * t * dz > 0.0
                if inside and (
                    body.holes == WHOLE
                    or is_solid(body, math.atan2(oy + t * dy, ox + t * dx) * body.half[0], 0.0)
                ):
                    best = t
    if body.holes != OPEN and abs(dz) > 1e-9:
        for lid in range(2):
            t = (2.0 * lid - 1.0 - oz) / dz
            reach = 1.0 if lid == 0 else body.taper
            if nearest < t < farthest and t < best:
                x, y = ox + t * dx, oy + t * dy
                if x * x + y * y < reach * reach:
                    best, face = t, 1 + lid
    return best, face


@kernel
@no_type_check
def code_of(solids, meshes, row, face):
    """Number of a piece of surface for ``Buffers.face``: its solid, and its face or patch."""
    if solids[row].shape == MESH:
        return FACES * row + meshes.triangles[face].patch
    return FACES * row + face


@kernel
@no_type_check
def hit(body, meshes, ox, oy, oz, dx, dy, dz, nearest, farthest):
    """First hit on a solid, for a ray in the solid's own coordinates."""
    shape = body.shape
    if shape == MESH:
        return hit_mesh(meshes, body.tree, ox, oy, oz, dx, dy, dz, nearest, farthest)
    if shape in (BOX, ROOM):
        return hit_box(shape, ox, oy, oz, dx, dy, dz, nearest, farthest)
    if shape == ELLIPSOID:
        return hit_ellipsoid(body, ox, oy, oz, dx, dy, dz, nearest, farthest)
    if shape == FRUSTUM:
        return hit_frustum(body, ox, oy, oz, dx, dy, dz, nearest, farthest)
    return hit_plane(body, ox, oy, oz, dx, dy, dz, nearest, farthest)


@kernel
@no_type_check
def hit_box(shape, ox, oy, oz, dx, dy, dz, nearest, farthest):
    """First hit on the outside of a box, or on the inside of a room."""
    entry, leave, entry_face, leave_face = hit_slabs(ox, oy, oz, dx, dy, dz)
    if entry >= leave:
        return MISS, 0
    if shape == BOX and nearest < entry < farthest:
        return entry, entry_face
    if shape == ROOM and nearest < leave < farthest:
        return leave, leave_face
    return MISS, 0


@kernel
@no_type_check
def hit_plane(body, ox, oy, oz, dx, dy, dz, nearest, farthest):
    """Hit on the plane z = 0, or on the solid part of a card in it."""
    if abs(dz) < 1e-9:
        return MISS, 0
    t = -oz / dz
    if not nearest < t < farthest:
        return MISS, 0
    if body.shape == CARD:
        x, y = ox + t * dx, oy + t * dy
        if abs(x) > 1.0 or abs(y) > 1.0:
            return MISS, 0
        if not is_solid(body, x * body.half[0], y * body.half[1]):
            return MISS, 0
    return t, 0


@kernel
@no_type_check
def gather(solids, listed, count):
    """Bounding balls of the listed solids, for ``trace``: rows of x, y, z, radius, its square.

    The last row is scratch space for ``trace``. The layout in rows lets the compiler test several
    balls at once.
    """
    balls = np.empty((6, count))
    for k in range(count):
        body = solids[listed[k]]
        balls[0, k], balls[1, k], balls[2, k] = body.centre[0], body.centre[1], body.centre[2]
        balls[3, k] = body.radius
        balls[4, k] = balls[3, k] * balls[3, k]
    return balls


@kernel
@no_type_check
def trace(solids, meshes, listed, balls, ox, oy, oz, dx, dy, dz, nearest, farthest, blocked_only):
    """First hit of a ray with unit direction on the listed solids, with their ``balls``.

    Returns:
        (distance [m], row of ``solids`` or -1, face). With ``blocked_only`` any solid within range
        ends the search, and solids that enclose the scene (rooms, ground) are ignored.
    """
    best, row, face = farthest, -1, 0
    count = balls.shape[1]
    # Least distance to each ball, without branches, so that the compiler can vectorise the loop.
    for k in range(count):
        x, y, z = balls[0, k] - ox, balls[1, k] - oy, balls[2, k] - oz
        along = x * dx + y * dy + z * dz
        aside = x * x + y * y + z * z - along * along
        is_met = (aside <= balls[4, k]) & (along >= -balls[3, k])
        balls[5, k] = along - balls[3, k] if is_met else MISS
    for k in range(count):
        if balls[5, k] > best:
            continue
        i = listed[k]
        body = solids[i]
        if blocked_only and body.shape >= ROOM:
            continue
        x, y, z = body.centre[0] - ox, body.centre[1] - oy, body.centre[2] - oz
        m = body.axes
        t, where = hit(
            body,
            meshes,
            -(m[0, 0] * x + m[0, 1] * y + m[0, 2] * z),
            -(m[1, 0] * x + m[1, 1] * y + m[1, 2] * z),
            -(m[2, 0] * x + m[2, 1] * y + m[2, 2] * z),
            m[0, 0] * dx + m[0, 1] * dy + m[0, 2] * dz,
            m[1, 0] * dx + m[1, 1] * dy + m[1, 2] * dz,
            m[2, 0] * dx + m[2, 1] * dy + m[2, 2] * dz,
            nearest,
            best,
        )
        if t < best:
            best, row, face = t, i, where
            if blocked_only:
                break
    return best, row, face
