"""Compiled kernels for the loop over tiles, the smoothing of light and the colour of pixels."""

import math
from typing import no_type_check

import numpy as np

from lab.scenes.buffers import CELL, HORIZON, LIGHTS, TILE
from lab.scenes.raycast import code_of, gather, kernel, trace
from lab.scenes.shading import mirrored, surface
from lab.scenes.tracer import (
    blank_boxes,
    hit_cell,
    light_frame,
    list_in_cone,
    paint_cell,
    ray,
)

EDGE_RAYS = 4
"""Rays per pixel where two faces meet, for antialiased edges."""
SPREAD = 4
"""Radius [px] of the square over which light on one face is averaged."""


@kernel
@no_type_check
def trace_frame(solids, meshes, materials, paint, view, lamps, chance, out):
    """Fill all buffers except the colours."""
    height, width = out.depth.shape
    every = np.arange(len(solids)).astype(np.int32)
    listed, near = np.zeros_like(every), np.zeros_like(every)
    boxes = blank_boxes(height, width)
    for top in range(0, height, TILE):
        for left in range(0, width, TILE):
            count = list_in_cone(solids, view, top, left, TILE, every, len(every), listed)
            for cell in range(4):
                v, u = top + CELL * (cell // 2), left + CELL * (cell % 2)
                few = list_in_cone(solids, view, v, u, CELL, listed, count, near)
                hit_cell(solids, meshes, view, near, few, v, u, out)
                box = boxes[top // TILE, left // TILE, cell]
                paint_cell(solids, meshes, materials, paint, view, v, u, out, box)
    light_frame(solids, meshes, lamps, chance, boxes, out)


@kernel
@no_type_check
def smooth_light(faces, lit, light, rows, weights, smoothed):
    """Average the noisy light over 9×9 pixels of the same face, first along rows, then columns."""
    sum_light_of_rows(faces, lit, light, rows, weights)
    average_light_of_columns(faces, rows, weights, smoothed)


@kernel
@no_type_check
def sum_light_of_rows(faces, lit, light, rows, weights):
    """Add the light of each pixel's neighbours in its row that are lit and on the same face."""
    height, width, channels = light.shape
    for v in range(height):
        for u in range(width):
            face = faces[v, u]
            if face < 0:
                continue
            for x in range(max(0, u - SPREAD), min(width, u + SPREAD + 1)):
                if lit[v, x] and faces[v, x] == face:
                    weights[v, u] += 1.0
                    for k in range(channels):
                        rows[v, u, k] += light[v, x, k]


@kernel
@no_type_check
def average_light_of_columns(faces, rows, weights, smoothed):
    """Add the sums of rows along columns, and divide them by the number of pixels."""
    height, width, channels = rows.shape
    for v in range(height):
        for u in range(width):
            face, weight = faces[v, u], 0.0
            if face < 0:
                continue
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
    """Write irradiance and highlights at every pixel's point, in RGB."""
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
    """One channel of the sky in a direction; below the horizon the horizon's colour."""
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
def colour_frame(materials, sky, irradiance, highlight, out):
    """Write the colour of every pixel, from one ray."""
    colour, faces, rows, albedo = out.colour, out.face, out.material, out.albedo
    gaze = out.gaze
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
            dx, dy, dz = gaze[v, u, 0], gaze[v, u, 1], gaze[v, u, 2]
            if dx == 0.0 and dy == 0.0 and dz == 0.0:
                continue  # a buffer of reflections, and no mirror at this pixel
            for k in range(3):
                colour[v, u, k] = sky_colour(sky, dx, dy, dz, k)


@kernel
@no_type_check
def is_edge(faces, v, u):
    """Whether one of the four neighbours shows another face."""
    face = faces[v, u]
    if faces[v, u + 1] != face or faces[v + 1, u] != face:
        return True
    return faces[v, u - 1] != face or faces[v - 1, u] != face


@kernel
@no_type_check
def same_face(faces, face, v, u):
    """A pixel of the 3×3 around (v, u) that shows a face, (v, u) first; (-1, -1) if none does."""
    if faces[v, u] == face:
        return v, u
    for y in range(v - 1, v + 2):
        for x in range(u - 1, u + 2):
            if faces[y, x] == face:
                return y, x
    return -1, -1


@kernel
@no_type_check
def soften_edges(
    solids, meshes, materials, paint, view, irradiance, highlight, reflected, out, softened,
):  # fmt: skip
    """Average several rays in pixels whose neighbours show another face.

    Light and reflections are taken from a neighbouring pixel that shows the same face, so only
    first hits are traced.
    """
    faces = out.face
    height, width = faces.shape
    every = np.arange(len(solids)).astype(np.int32)
    listed, near = np.zeros_like(every), np.zeros_like(every)
    for top in range(0, height, TILE):
        for left in range(0, width, TILE):
            if not has_edge(faces, top, left, TILE):
                continue
            # One more pixel on every side, since rays go through the corners of pixels too.
            count = list_in_cone(
                solids, view, top - 1, left - 1, TILE + 2, every, len(every), listed
            )
            for cell in range(4):
                v, u = top + CELL * (cell // 2), left + CELL * (cell % 2)
                if has_edge(faces, v, u, CELL):
                    few = list_in_cone(solids, view, v - 1, u - 1, CELL + 2, listed, count, near)
                    soften_cell(
                        solids, meshes, materials, paint, view, near, few,
                        irradiance, highlight, reflected, v, u, out, softened,
                    )  # fmt: skip


@kernel
@no_type_check
def has_edge(faces, top, left, side):
    """Whether two faces meet in a square of pixels; a frame's outermost pixels do not count."""
    for v in range(max(1, top), min(faces.shape[0] - 1, top + side)):
        for u in range(max(1, left), min(faces.shape[1] - 1, left + side)):
            if is_edge(faces, v, u):
                return True
    return False


@kernel
@no_type_check
def add_surface_colour(materials, row, albedo, cosine, irradiance, highlight, reflected, total):
    """Add the light that leaves a surface, and what it reflects, to a colour in RGB."""
    mirror, share = materials[row].mirror, 0.0
    if mirror > 0.0:
        share = mirrored(mirror, cosine)
    for c in range(3):
        own = outgoing(materials, row, albedo[c], irradiance[c], highlight[c])
        total[c] += (1.0 - share) * own + share * reflected[c]


@kernel
@no_type_check
def soften_cell(
    solids, meshes, materials, paint, view, listed, count, irradiance, highlight, reflected,
    top, left, out, softened,
):  # fmt: skip
    """Average a rotated grid of rays over each edge pixel of a cell."""
    faces, colour, texels = out.face, out.colour, paint.texels
    linear, side = paint.linear, paint.side
    turn, focal, cx, cy, o = view.turn, view.focal, view.cx, view.cy, view.origin
    balls = gather(solids, listed, count)
    for v in range(max(1, top), min(faces.shape[0] - 1, top + CELL)):
        for u in range(max(1, left), min(faces.shape[1] - 1, left + CELL)):
            if not is_edge(faces, v, u):
                continue
            mean, weight = np.zeros(3), 0
            for k in range(EDGE_RAYS):
                du, dv = 0.375 - 0.25 * ((2 * k + k // 2) % 4), 0.375 - 0.25 * k
                dx, dy, dz, _ = ray(turn, focal, u + du - cx, v + dv - cy)
                t, row, face = trace(
                    solids, meshes, listed, balls, o[0], o[1], o[2], dx, dy, dz,
                    1e-3, HORIZON, False,
                )  # fmt: skip
                code = code_of(solids, meshes, row, face) if row >= 0 else -1
                y, x = same_face(faces, code, v, u)
                if y < 0:
                    continue
                weight += 1
                if row < 0:
                    for c in range(3):
                        mean[c] += colour[y, x, c]
                    continue
                nx, ny, nz, red, green, blue, m = surface(
                    solids, meshes, materials, texels, linear, side, row, face,
                    o[0] + t * dx, o[1] + t * dy, o[2] + t * dz, dx, dy, dz, t / focal,
                )  # fmt: skip
                add_surface_colour(
                    materials, m, (red, green, blue), -nx * dx - ny * dy - nz * dz,
                    irradiance[y, x], highlight[y, x], reflected[y, x], mean,
                )  # fmt: skip
            for c in range(3):
                softened[v, u, c] = mean[c] / weight if weight > 0 else colour[v, u, c]


@kernel
@no_type_check
def glance(solids, meshes, view, height, width, stride):
    """Depth [m] and solid of every ``stride``-th pixel without shading; -1 where there is none."""
    rows, columns = height // stride, width // stride
    depth = np.full((rows, columns), -1.0, np.float32)
    solid = np.full((rows, columns), -1, np.int32)
    listed = np.arange(len(solids)).astype(np.int32)
    balls = gather(solids, listed, len(solids))
    o, turn, focal, cx, cy = view.origin, view.turn, view.focal, view.cx, view.cy
    for i in range(rows):
        for j in range(columns):
            x, y = (j + 0.5) * stride - cx, (i + 0.5) * stride - cy
            dx, dy, dz, along = ray(turn, focal, x, y)
            t, row, _ = trace(
                solids, meshes, listed, balls, o[0], o[1], o[2], dx, dy, dz, 1e-3, HORIZON, False
            )
            solid[i, j] = row
            if row >= 0:
                depth[i, j] = t * along
    return depth, solid
