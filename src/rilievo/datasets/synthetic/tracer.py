"""Compiled kernels: what the pixels of a tile see, and how it is lit.

Each tile of 16×16 pixels lists the solids that its rays can meet, and, once the points it sees
are known, those that can shade them; a ray then tests tens of solids in place of hundreds.

Tuples of arrays are taken apart before the loops over pixels: reaching into one counts references
up and down, which for one pixel costs as much as the work itself.
"""

import math
from typing import no_type_check

import numpy as np

from rilievo.datasets.synthetic.buffers import HORIZON, LIGHTS, TILE
from rilievo.datasets.synthetic.raycast import kernel, trace
from rilievo.datasets.synthetic.scene import ROOM
from rilievo.datasets.synthetic.shading import surface


@kernel
@no_type_check
def ray(turn, focal, x, y):
    """Unit direction in the world through (x, y) [px] from the principal point, and its z share."""
    x, y = x / focal, y / focal
    along = 1.0 / math.sqrt(x * x + y * y + 1.0)
    return (
        (turn[0, 0] * x + turn[0, 1] * y + turn[0, 2]) * along,
        (turn[1, 0] * x + turn[1, 1] * y + turn[1, 2]) * along,
        (turn[2, 0] * x + turn[2, 1] * y + turn[2, 2]) * along,
        along,
    )


@kernel
@no_type_check
def list_in_cone(solids, view, u, v, reach, listed):
    """List the solids that rays within ``reach`` [rad] of the pixel (u, v) can meet."""
    dx, dy, dz, _ = ray(view.turn, view.focal, u - view.cx, v - view.cy)
    ox, oy, oz = view.origin[0], view.origin[1], view.origin[2]
    count = 0
    for i in range(len(solids)):
        body = solids[i]
        x, y, z = body.centre[0] - ox, body.centre[1] - oy, body.centre[2] - oz
        distance = math.sqrt(x * x + y * y + z * z)
        inside = body.shape >= ROOM or distance <= body.radius * 1.001
        if not inside:
            cosine = (x * dx + y * dy + z * dz) / distance
            away = math.acos(max(-1.0, min(1.0, cosine)))
            inside = away <= reach + math.asin(body.radius / distance)
        if inside:
            listed[count] = i
            count += 1
    return count


@kernel
@no_type_check
def list_around(solids, x, y, z, reach, listed):
    """List the solids within ``reach`` [m] of a point."""
    count = 0
    for i in range(len(solids)):
        body = solids[i]
        a, b, c = body.centre[0] - x, body.centre[1] - y, body.centre[2] - z
        near = reach + body.radius
        if body.shape >= ROOM or a * a + b * b + c * c < near * near:
            listed[count] = i
            count += 1
    return count


@kernel
@no_type_check
def list_towards(solids, px, py, pz, is_distant, size, x, y, z, reach, listed):
    """List the solids that can stand between a ball of points and a light."""
    far = HORIZON
    if not is_distant:
        px, py, pz = px - x, py - y, pz - z
        far = math.sqrt(px * px + py * py + pz * pz) + 1e-6
        px, py, pz = px / far, py / far, pz / far
    count = 0
    for i in range(len(solids)):
        body = solids[i]
        if body.shape >= ROOM:
            continue
        a, b, c = body.centre[0] - x, body.centre[1] - y, body.centre[2] - z
        along = min(max(a * px + b * py + c * pz, 0.0), far)
        near = body.radius + reach + 4.0 * size * (along if is_distant else 1.0)
        a, b, c = a - along * px, b - along * py, c - along * pz
        if a * a + b * b + c * c < near * near:
            listed[count] = i
            count += 1
    return count


@kernel
@no_type_check
def hit_tile(solids, view, listed, top, left, out):
    """Write depth and face of a tile's pixels."""
    depth, faces, origin, turn, focal = out.depth, out.face, view.origin, view.turn, view.focal
    cx, cy = view.cx, view.cy
    ox, oy, oz = origin[0], origin[1], origin[2]
    reach = math.atan(TILE * 0.7072 / focal) + 1e-3
    middle = 0.5 * TILE - 0.5
    count = list_in_cone(solids, view, left + middle, top + middle, reach, listed)
    for v in range(top, min(depth.shape[0], top + TILE)):
        for u in range(left, min(depth.shape[1], left + TILE)):
            dx, dy, dz, along = ray(turn, focal, u - cx, v - cy)
            t, row, face = trace(
                solids, listed, count, ox, oy, oz, dx, dy, dz, 1e-3, HORIZON, False
            )
            if row >= 0:
                depth[v, u], faces[v, u] = t * along, 8 * row + face


@kernel
@no_type_check
def paint_tile(solids, materials, paint, view, top, left, out):
    """Write normal, albedo, material and point of a tile's surfaces; the box of the points."""
    depth, faces, normal, albedo = out.depth, out.face, out.normal, out.albedo
    material, point = out.material, out.point
    texels, linear, side, turn, focal = (
        paint.texels,
        paint.linear,
        paint.side,
        view.turn,
        view.focal,
    )
    cx, cy, origin = view.cx, view.cy, view.origin
    low, high = np.full(3, 1e9), np.full(3, -1e9)
    for v in range(top, min(depth.shape[0], top + TILE)):
        for u in range(left, min(depth.shape[1], left + TILE)):
            face = faces[v, u]
            if face < 0:
                continue
            dx, dy, dz, along = ray(turn, focal, u - cx, v - cy)
            t = depth[v, u] / along
            x, y, z = origin[0] + t * dx, origin[1] + t * dy, origin[2] + t * dz
            nx, ny, nz, red, green, blue, m = surface(
                solids, materials, texels, linear, side,
                face // 8, face % 8, x, y, z, dx, dy, dz, t / focal,
            )  # fmt: skip
            material[v, u] = m
            normal[v, u, 0], normal[v, u, 1], normal[v, u, 2] = nx, ny, nz
            albedo[v, u, 0], albedo[v, u, 1], albedo[v, u, 2] = red, green, blue
            lift = 2e-3 + 1e-5 * t
            point[v, u, 0], point[v, u, 1] = x + lift * nx, y + lift * ny
            point[v, u, 2] = z + lift * nz
            for k in range(3):
                low[k], high[k] = min(low[k], point[v, u, k]), max(high[k], point[v, u, k])
    return low, high


@kernel
@no_type_check
def choose_lit(top, left, out):
    """Mark the pixels of a tile whose light is traced: every other one, and all at edges."""
    faces, lit = out.face, out.lit
    height, width = faces.shape
    for v in range(top, min(height, top + TILE)):
        for u in range(left, min(width, left + TILE)):
            face = faces[v, u]
            if face < 0:
                continue
            lit[v, u] = (u + v) % 2 == 0
            for y, x in ((v, u - 1), (v, u + 1), (v - 1, u), (v + 1, u)):
                if 0 <= y < height and 0 <= x < width and faces[y, x] != face:
                    lit[v, u] = True


@kernel
@no_type_check
def open_tile(solids, lamps, listed, count, chance, top, left, out):
    """Write the share of the surroundings that is open within reach, from pairs of rays."""
    lit, normal, point, light = out.lit, out.normal, out.point, out.light
    directions, draws, rays = chance.directions, chance.draws, chance.draws.shape[0]
    reach, share = lamps.reach, 0.5 / rays
    for v in range(top, min(lit.shape[0], top + TILE)):
        for u in range(left, min(lit.shape[1], left + TILE)):
            if not lit[v, u]:
                continue
            total = 0.0
            for k in range(2 * rays):
                draw = draws[k // 2, k % 2, v, u]
                ax = normal[v, u, 0] + 0.98 * directions[draw, 0]
                ay = normal[v, u, 1] + 0.98 * directions[draw, 1]
                az = normal[v, u, 2] + 0.98 * directions[draw, 2]
                length = 1.0 / math.sqrt(ax * ax + ay * ay + az * az + 1e-9)
                t, row, _ = trace(
                    solids, listed, count, point[v, u, 0], point[v, u, 1], point[v, u, 2],
                    ax * length, ay * length, az * length, 1e-3, reach, False,
                )  # fmt: skip
                total += share if row < 0 else share * t / reach
            light[v, u, LIGHTS] = total


@kernel
@no_type_check
def light_tile(solids, lamps, lamp, view, listed, count, chance, top, left, out):
    """Write what a light gives a tile's points, with shadows: irradiance, and highlights."""
    lit, normal, point, light = out.lit, out.normal, out.point, out.light
    position, turn, focal, cx, cy = lamps.position, view.turn, view.focal, view.cx, view.cy
    is_distant, size = lamps.distant[lamp], lamps.size[lamp]
    directions, draws, rays = chance.directions, chance.draws, chance.draws.shape[0]
    share = 1.0 / rays
    for v in range(top, min(lit.shape[0], top + TILE)):
        for u in range(left, min(lit.shape[1], left + TILE)):
            if not lit[v, u]:
                continue
            x, y, z = point[v, u, 0], point[v, u, 1], point[v, u, 2]
            dx, dy, dz, _ = ray(turn, focal, u - cx, v - cy)
            for k in range(rays):
                draw = draws[k, 2 + lamp, v, u]
                a = position[lamp, 0] + size * directions[draw, 0]
                b = position[lamp, 1] + size * directions[draw, 1]
                c = position[lamp, 2] + size * directions[draw, 2]
                fall, far = share, HORIZON
                if not is_distant:
                    a, b, c = a - x, b - y, c - z
                length = math.sqrt(a * a + b * b + c * c) + 1e-6
                if not is_distant:
                    # The lamp's own shade and bulb do not shadow it.
                    far = length - 0.15
                    fall = share / (0.3 + 0.3 * length * length)
                a, b, c = a / length, b / length, c / length
                cosine = normal[v, u, 0] * a + normal[v, u, 1] * b + normal[v, u, 2] * c
                if cosine <= 0.0:
                    continue
                _, row, _ = trace(solids, listed, count, x, y, z, a, b, c, 1e-3, far, True)
                if row < 0:
                    light[v, u, lamp] += cosine * fall
                    a, b, c = a - dx, b - dy, c - dz
                    shine = a * normal[v, u, 0] + b * normal[v, u, 1] + c * normal[v, u, 2]
                    shine /= math.sqrt(a * a + b * b + c * c + 1e-9)
                    light[v, u, LIGHTS + 1] += 2.0 * fall * max(shine, 0.0) ** 40
