"""Compiled kernels: the loop over tiles, the smoothing of light, the colour of each pixel."""

import math
from typing import no_type_check

import numpy as np

from rilievo.datasets.synthetic.buffers import HORIZON, LIGHTS, TILE
from rilievo.datasets.synthetic.raycast import kernel, trace
from rilievo.datasets.synthetic.shading import surface
from rilievo.datasets.synthetic.tracer import (
    choose_lit,
    hit_tile,
    light_tile,
    list_around,
    list_in_cone,
    list_towards,
    open_tile,
    paint_tile,
    ray,
)

EDGE_RAYS = 4
"""Rays through a pixel where two surfaces meet, so that edges are smooth as in photographs."""
SPREAD = 4
"""Pixels to each side over which the light on one face is averaged."""


@kernel
@no_type_check
def trace_frame(solids, materials, paint, view, lamps, chance, out):
    """Fill the buffers, all but the colours."""
    height, width = out.depth.shape
    listed = np.zeros(len(solids), np.int32)
    for top in range(0, height, TILE):
        for left in range(0, width, TILE):
            hit_tile(solids, view, listed, top, left, out)
            low, high = paint_tile(solids, materials, paint, view, top, left, out)
            if high[0] < low[0]:
                continue
            x, y, z = 0.5 * (low[0] + high[0]), 0.5 * (low[1] + high[1]), 0.5 * (low[2] + high[2])
            a, b, c = high[0] - x, high[1] - y, high[2] - z
            radius = math.sqrt(a * a + b * b + c * c) + 0.01
            choose_lit(top, left, out)
            count = list_around(solids, x, y, z, radius + lamps.reach, listed)
            open_tile(solids, lamps, listed, count, chance, top, left, out)
            for lamp in range(lamps.lit):
                p = lamps.position[lamp]
                count = list_towards(
                    solids, p[0], p[1], p[2], lamps.distant[lamp], lamps.size[lamp],
                    x, y, z, radius, listed,
                )  # fmt: skip
                light_tile(solids, lamps, lamp, view, listed, count, chance, top, left, out)


@kernel
@no_type_check
def smooth_light(faces, lit, light, rows, weights, smoothed):
    """Average the noisy light over 9×9 pixels of the same face, first along rows, then columns."""
    height, width, channels = light.shape
    for v in range(height):
        for u in range(width):
            face = faces[v, u]
            for x in range(max(0, u - SPREAD), min(width, u + SPREAD + 1)):
                if lit[v, x] and faces[v, x] == face:
                    weights[v, u] += 1.0
                    for k in range(channels):
                        rows[v, u, k] += light[v, x, k]
    for v in range(height):
        for u in range(width):
            face, weight = faces[v, u], 0.0
            for y in range(max(0, v - SPREAD), min(height, v + SPREAD + 1)):
                if faces[y, u] == face:
                    weight += weights[y, u]
                    for k in range(channels):
                        smoothed[v, u, k] += rows[y, u, k]
            for k in range(channels):
                smoothed[v, u, k] /= max(weight, 1.0)


@kernel
@no_type_check
def arriving(lamps, light, normal, irradiance, highlight):
    """Write the light that arrives at every pixel's point, and that glosses return, in RGB."""
    height, width, _ = light.shape
    count, colour, bright, dark, d = (
        lamps.lit, lamps.colour, lamps.bright, lamps.dark, lamps.direction,
    )  # fmt: skip
    for v in range(height):
        for u in range(width):
            side = d[0] * normal[v, u, 0] + d[1] * normal[v, u, 1] + d[2] * normal[v, u, 2]
            side = 0.5 + 0.5 * side
            share = light[v, u, LIGHTS]
            share = 0.5 * share + 0.5 * share * share
            for k in range(3):
                total = (bright[k] * side + dark[k] * (1.0 - side)) * share
                for lamp in range(count):
                    total += light[v, u, lamp] * colour[lamp, k]
                irradiance[v, u, k] = total
                highlight[v, u, k] = light[v, u, LIGHTS + 1] * colour[0, k]


@kernel
@no_type_check
def outgoing(materials, row, albedo, irradiance, highlight):
    """One channel of the light that leaves a surface."""
    emission = materials[row].emission
    if emission > 0.0:
        return albedo * emission
    return albedo * irradiance + materials[row].gloss * highlight


@kernel
@no_type_check
def sky_colour(sky, dx, dy, dz, k):
    """One channel of the sky in a direction; below the horizon it is the horizon's."""
    rise = max(0.0, math.asin(min(1.0, max(-1.0, dz))))
    rows, columns = sky.shape[0], sky.shape[1]
    a = (1.0 - rise / 1.5708) * (rows - 1)
    b = (math.atan2(dy, dx) / 6.28319 + 0.5) * columns
    i, j = int(a), int(b)
    a, b = a - i, b - j
    i, j = min(max(i, 0), rows - 1), j % columns
    below, beside = min(i + 1, rows - 1), (j + 1) % columns
    upper = (1.0 - b) * sky[i, j, k] + b * sky[i, beside, k]
    lower = (1.0 - b) * sky[below, j, k] + b * sky[below, beside, k]
    return (1.0 - a) * upper + a * lower


@kernel
@no_type_check
def colour_frame(materials, view, sky, irradiance, highlight, out):
    """Write the colour of every pixel, from one ray."""
    colour, faces, rows, albedo = out.colour, out.face, out.material, out.albedo
    turn, focal, cx, cy = view.turn, view.focal, view.cx, view.cy
    height, width = faces.shape
    for v in range(height):
        for u in range(width):
            if faces[v, u] >= 0:
                for k in range(3):
                    colour[v, u, k] = outgoing(
                        materials,
                        rows[v, u],
                        albedo[v, u, k],
                        irradiance[v, u, k],
                        highlight[v, u, k],
                    )
                continue
            dx, dy, dz, _ = ray(turn, focal, u - cx, v - cy)
            for k in range(3):
                colour[v, u, k] = sky_colour(sky, dx, dy, dz, k)


@kernel
@no_type_check
def is_edge(faces, v, u):
    """Whether one of the four neighbours sees another face."""
    face = faces[v, u]
    if faces[v, u + 1] != face or faces[v + 1, u] != face:
        return True
    return faces[v, u - 1] != face or faces[v - 1, u] != face


@kernel
@no_type_check
def same_face(faces, face, v, u):
    """A pixel of the 3×3 around (v, u) that sees a face, (v, u) first; (-1, -1) if none does."""
    if faces[v, u] == face:
        return v, u
    for y in range(v - 1, v + 2):
        for x in range(u - 1, u + 2):
            if faces[y, x] == face:
                return y, x
    return -1, -1


@kernel
@no_type_check
def soften_edges(solids, materials, paint, view, irradiance, highlight, out, softened):
    """Average several rays in pixels whose neighbours see another face.

    Light is taken from a near pixel that sees the same face, so only first hits are traced.
    """
    faces = out.face
    height, width = faces.shape
    listed = np.zeros(len(solids), np.int32)
    reach = math.atan((TILE + 1) * 0.7072 / view.focal) + 1e-3
    middle = 0.5 * TILE - 0.5
    for top in range(0, height, TILE):
        for left in range(0, width, TILE):
            edges = 0
            for v in range(max(1, top), min(height - 1, top + TILE)):
                for u in range(max(1, left), min(width - 1, left + TILE)):
                    edges += is_edge(faces, v, u)
            if edges > 0:
                count = list_in_cone(solids, view, left + middle, top + middle, reach, listed)
                soften_tile(
                    solids, materials, paint, view, listed, count,
                    irradiance, highlight, top, left, out, softened,
                )  # fmt: skip


@kernel
@no_type_check
def soften_tile(
    solids, materials, paint, view, listed, count, irradiance, highlight, top, left, out, softened
):
    """Average a rotated grid of rays in each edge pixel of a tile."""
    faces, colour, texels, linear, side = (
        out.face,
        out.colour,
        paint.texels,
        paint.linear,
        paint.side,
    )
    turn, focal, cx, cy, o = view.turn, view.focal, view.cx, view.cy, view.origin
    for v in range(max(1, top), min(faces.shape[0] - 1, top + TILE)):
        for u in range(max(1, left), min(faces.shape[1] - 1, left + TILE)):
            if not is_edge(faces, v, u):
                continue
            mean, weight = np.zeros(3), 0
            for k in range(EDGE_RAYS):
                du, dv = 0.375 - 0.25 * ((2 * k + k // 2) % 4), 0.375 - 0.25 * k
                dx, dy, dz, _ = ray(turn, focal, u + du - cx, v + dv - cy)
                t, row, face = trace(
                    solids, listed, count, o[0], o[1], o[2], dx, dy, dz, 1e-3, HORIZON, False
                )
                y, x = same_face(faces, 8 * row + face if row >= 0 else -1, v, u)
                if y < 0:
                    continue
                weight += 1
                if row < 0:
                    for c in range(3):
                        mean[c] += colour[y, x, c]
                    continue
                _, _, _, red, green, blue, m = surface(
                    solids, materials, texels, linear, side, row, face,
                    o[0] + t * dx, o[1] + t * dy, o[2] + t * dz, dx, dy, dz, t / focal,
                )  # fmt: skip
                mean[0] += outgoing(materials, m, red, irradiance[y, x, 0], highlight[y, x, 0])
                mean[1] += outgoing(materials, m, green, irradiance[y, x, 1], highlight[y, x, 1])
                mean[2] += outgoing(materials, m, blue, irradiance[y, x, 2], highlight[y, x, 2])
            for c in range(3):
                softened[v, u, c] = mean[c] / weight if weight > 0 else colour[v, u, c]


@kernel
@no_type_check
def glance(solids, view, height, width, stride):
    """Depth [m] and solid of every ``stride``-th pixel, -1 where there is none, unshaded."""
    rows, columns = height // stride, width // stride
    depth = np.full((rows, columns), -1.0, np.float32)
    solid = np.full((rows, columns), -1, np.int32)
    listed = np.arange(len(solids)).astype(np.int32)
    o, turn, focal, cx, cy = view.origin, view.turn, view.focal, view.cx, view.cy
    for i in range(rows):
        for j in range(columns):
            x, y = (j + 0.5) * stride - cx, (i + 0.5) * stride - cy
            dx, dy, dz, along = ray(turn, focal, x, y)
            t, row, _ = trace(
                solids, listed, len(solids), o[0], o[1], o[2], dx, dy, dz, 1e-3, HORIZON, False
            )
            solid[i, j] = row
            if row >= 0:
                depth[i, j] = t * along
    return depth, solid
