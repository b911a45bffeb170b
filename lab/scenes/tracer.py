"""Compiled kernels for the visible surfaces of a tile and their light.

For tiles of 16×16 pixels, and then for their cells of 8×8, the solids that rays can hit are listed,
and, once the hit points are known, those that can shade them.

Tuples of arrays are unpacked before the loops over pixels: access to a member changes reference
counts, which costs as much as the work for one pixel.
"""

import math
from typing import no_type_check

import numpy as np

from lab.scenes.buffers import CELL, HORIZON, LIGHTS, TILE
from lab.scenes.candidates import list_around, list_in_beam, list_towards
from lab.scenes.raycast import code_of, gather, kernel, trace
from lab.scenes.scene import FACES
from lab.scenes.shading import surface


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
def list_in_cone(solids, view, top, left, side, among, number, listed):
    """List the solids that the rays of a square of pixels can hit."""
    o, middle = view.origin, 0.5 * side - 0.5
    dx, dy, dz, _ = ray(view.turn, view.focal, left + middle - view.cx, top + middle - view.cy)
    reach = math.atan(side * 0.7072 / view.focal) + 1e-3
    return list_in_beam(solids, o[0], o[1], o[2], 0.0, dx, dy, dz, reach, among, number, listed)


@kernel
@no_type_check
def hit_cell(solids, meshes, view, listed, count, top, left, out):
    """Write depth, face and direction of a cell's pixels."""
    depth, faces, parts, gaze = out.depth, out.face, out.part, out.gaze
    origin, turn, focal = view.origin, view.turn, view.focal
    cx, cy = view.cx, view.cy
    ox, oy, oz = origin[0], origin[1], origin[2]
    balls = gather(solids, listed, count)
    for v in range(top, min(depth.shape[0], top + CELL)):
        for u in range(left, min(depth.shape[1], left + CELL)):
            dx, dy, dz, along = ray(turn, focal, u - cx, v - cy)
            gaze[v, u, 0], gaze[v, u, 1], gaze[v, u, 2] = dx, dy, dz
            t, row, face = trace(
                solids, meshes, listed, balls, ox, oy, oz, dx, dy, dz, 1e-3, HORIZON, False
            )
            if row >= 0:
                depth[v, u], parts[v, u] = t * along, face
                faces[v, u] = code_of(solids, meshes, row, face)


@kernel
@no_type_check
def paint_cell(solids, meshes, materials, paint, view, top, left, out, box):
    """Write normal, albedo, material and point of a cell's pixels, and their bounding box."""
    depth, faces, normal, albedo = out.depth, out.face, out.normal, out.albedo
    material, point, parts = out.material, out.point, out.part
    texels, linear, side, turn, focal = (
        paint.texels,
        paint.linear,
        paint.side,
        view.turn,
        view.focal,
    )
    cx, cy, origin = view.cx, view.cy, view.origin
    box[0], box[1] = 1e9, -1e9
    for v in range(top, min(depth.shape[0], top + CELL)):
        for u in range(left, min(depth.shape[1], left + CELL)):
            face = faces[v, u]
            if face < 0:
                continue
            dx, dy, dz, along = ray(turn, focal, u - cx, v - cy)
            t = depth[v, u] / along
            x, y, z = origin[0] + t * dx, origin[1] + t * dy, origin[2] + t * dz
            nx, ny, nz, red, green, blue, m = surface(
                solids, meshes, materials, texels, linear, side,
                face // FACES, parts[v, u], x, y, z, dx, dy, dz, t / focal,
            )  # fmt: skip
            material[v, u] = m
            albedo[v, u, 0], albedo[v, u, 1], albedo[v, u, 2] = red, green, blue
            place(normal[v, u], point[v, u], box, x, y, z, nx, ny, nz, t)


@kernel
@no_type_check
def place(normal, point, box, x, y, z, nx, ny, nz, t):
    """Write a pixel's normal and point, offset from the surface, and extend the box by it."""
    lift = 2e-3 + 1e-5 * t
    normal[0], normal[1], normal[2] = nx, ny, nz
    point[0], point[1], point[2] = x + lift * nx, y + lift * ny, z + lift * nz
    for k in range(3):
        box[0, k] = min(box[0, k], point[k])
        box[1, k] = max(box[1, k], point[k])


@kernel
@no_type_check
def choose_lit(top, left, out):
    """Mark the pixels of a tile whose light is traced: every other pixel, and all at edges."""
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
def open_cell(solids, meshes, lamps, listed, count, chance, top, left, out):
    """Write the unoccluded share of the surroundings within reach, from pairs of rays."""
    lit, normal, point, light = out.lit, out.normal, out.point, out.light
    directions, draws, rays = chance.directions, chance.draws, chance.draws.shape[0]
    reach, share = lamps.reach, 0.5 / rays
    balls = gather(solids, listed, count)
    for v in range(top, min(lit.shape[0], top + CELL)):
        for u in range(left, min(lit.shape[1], left + CELL)):
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
                    solids, meshes, listed, balls, point[v, u, 0], point[v, u, 1], point[v, u, 2],
                    ax * length, ay * length, az * length, 1e-3, reach, False,
                )  # fmt: skip
                total += share if row < 0 else share * t / reach
            light[v, u, LIGHTS] = total


@kernel
@no_type_check
def lamp_cell(solids, meshes, lamps, lamp, listed, count, chance, top, left, out):
    """Write irradiance and highlights of a light at a cell's points, with shadows."""
    lit, normal, point, light, gaze = out.lit, out.normal, out.point, out.light, out.gaze
    position = lamps.position
    is_distant, size = lamps.distant[lamp], lamps.size[lamp]
    directions, draws, rays = chance.directions, chance.draws, chance.draws.shape[0]
    share = 1.0 / rays
    balls = gather(solids, listed, count)
    for v in range(top, min(lit.shape[0], top + CELL)):
        for u in range(left, min(lit.shape[1], left + CELL)):
            if not lit[v, u]:
                continue
            x, y, z = point[v, u, 0], point[v, u, 1], point[v, u, 2]
            dx, dy, dz = gaze[v, u, 0], gaze[v, u, 1], gaze[v, u, 2]
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
                    # The lamp's own shade and bulb cast no shadow.
                    far = length - 0.15
                    fall = share / (0.3 + 0.3 * length * length)
                a, b, c = a / length, b / length, c / length
                cosine = normal[v, u, 0] * a + normal[v, u, 1] * b + normal[v, u, 2] * c
                if cosine <= 0.0:
                    continue
                _, row, _ = trace(solids, meshes, listed, balls, x, y, z, a, b, c, 1e-3, far, True)
                if row < 0:
                    light[v, u, lamp] += cosine * fall
                    a, b, c = a - dx, b - dy, c - dz
                    shine = a * normal[v, u, 0] + b * normal[v, u, 1] + c * normal[v, u, 2]
                    shine /= math.sqrt(a * a + b * b + c * c + 1e-9)
                    light[v, u, LIGHTS + 1] += 2.0 * fall * max(shine, 0.0) ** 40


@kernel
@no_type_check
def ball_around(box):
    """Bounding ball of a box: (x, y, z, radius); the radius is negative for an empty box."""
    if box[1, 0] < box[0, 0]:
        return 0.0, 0.0, 0.0, -1.0
    x, y, z = (
        0.5 * (box[0, 0] + box[1, 0]),
        0.5 * (box[0, 1] + box[1, 1]),
        0.5 * (box[0, 2] + box[1, 2]),
    )
    a, b, c = box[1, 0] - x, box[1, 1] - y, box[1, 2] - z
    return x, y, z, math.sqrt(a * a + b * b + c * c) + 0.01


@kernel
@no_type_check
def blank_boxes(height, width):
    """Allocate the bounding boxes of every tile: four of its cells, one of the whole tile."""
    return np.zeros((-(-height // TILE), -(-width // TILE), 5, 2, 3))


@kernel
@no_type_check
def light_frame(solids, meshes, lamps, chance, boxes, out):
    """Write the light of the whole frame, once its surfaces are known."""
    every = np.arange(len(solids)).astype(np.int32)
    lists = (every, np.zeros_like(every), np.zeros_like(every))
    for i in range(boxes.shape[0]):
        for j in range(boxes.shape[1]):
            light_tile(solids, meshes, lamps, chance, lists, i * TILE, j * TILE, boxes[i, j], out)


@kernel
@no_type_check
def light_tile(solids, meshes, lamps, chance, lists, top, left, boxes, out):
    """Write the light of a tile; ``boxes`` bound the points of its cells, then of the tile."""
    every, listed, near = lists
    for k in range(3):
        boxes[4, 0, k], boxes[4, 1, k] = boxes[:4, 0, k].min(), boxes[:4, 1, k].max()
    x, y, z, radius = ball_around(boxes[4])
    if radius < 0.0:
        return
    choose_lit(top, left, out)
    count = list_around(solids, x, y, z, radius + lamps.reach, every, len(every), listed)
    for cell in range(4):
        a, b, c, size = ball_around(boxes[cell])
        if size > 0.0:
            few = list_around(solids, a, b, c, size + lamps.reach, listed, count, near)
            v, u = top + CELL * (cell // 2), left + CELL * (cell % 2)
            open_cell(solids, meshes, lamps, near, few, chance, v, u, out)
    for lamp in range(lamps.lit):
        p, is_distant, extent = lamps.position[lamp], lamps.distant[lamp], lamps.size[lamp]
        count = list_towards(
            solids, p[0], p[1], p[2], is_distant, extent, x, y, z, radius,
            every, len(every), listed,
        )  # fmt: skip
        for cell in range(4):
            a, b, c, size = ball_around(boxes[cell])
            if size > 0.0:
                few = list_towards(
                    solids, p[0], p[1], p[2], is_distant, extent, a, b, c, size,
                    listed, count, near,
                )  # fmt: skip
                v, u = top + CELL * (cell // 2), left + CELL * (cell % 2)
                lamp_cell(solids, meshes, lamps, lamp, near, few, chance, v, u, out)
