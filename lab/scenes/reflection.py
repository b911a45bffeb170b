"""Compiled kernels for reflections in mirrors, panes and polished floors, one ray per pixel.

Reflections are written to buffers of their own, and lit and smoothed like directly visible
surfaces. Depth and normals of the frame are those of the mirror. A mirror seen in a mirror does not
reflect.
"""

import math
from typing import no_type_check

import numpy as np

from lab.scenes.buffers import CELL, HORIZON, TILE
from lab.scenes.candidates import list_in_beam
from lab.scenes.raycast import code_of, gather, kernel, trace
from lab.scenes.shading import mirrored, surface
from lab.scenes.tracer import ball_around, blank_boxes, light_frame, place


@kernel
@no_type_check
def reflect_frame(solids, meshes, materials, paint, view, lamps, chance, out, seen):
    """Fill the buffers of reflections, all except the colours."""
    height, width = out.depth.shape
    every = np.arange(len(solids)).astype(np.int32)
    listed = np.zeros_like(every)
    boxes = blank_boxes(height, width)
    beam = np.zeros((2, 3))
    for top in range(0, height, TILE):
        for left in range(0, width, TILE):
            for cell in range(4):
                v, u = top + CELL * (cell // 2), left + CELL * (cell % 2)
                box = boxes[top // TILE, left // TILE, cell]
                reach = send_back(materials, v, u, out, seen, box, beam)
                x, y, z, radius = ball_around(box)
                box[0], box[1] = 1e9, -1e9
                if radius > 0.0:
                    count = list_in_beam(
                        solids, x, y, z, radius, beam[0, 0], beam[0, 1], beam[0, 2], reach,
                        every, len(every), listed,
                    )  # fmt: skip
                    paint_mirrored(
                        solids, meshes, materials, paint, view, listed, count, v, u, out, seen,
                        box,
                    )  # fmt: skip
    light_frame(solids, meshes, lamps, chance, boxes, seen)


@kernel
@no_type_check
def send_back(materials, top, left, out, seen, box, beam):
    """Reflect the rays of a cell that hit mirrors.

    Writes their directions, the bounding box of their points, and to ``beam[0]`` their mean
    direction.

    Returns:
        The largest angle [rad] between a ray and that direction.
    """
    faces, rows, normal, gaze, point = out.face, out.material, out.normal, out.gaze, out.point
    sent, axis = seen.gaze, beam[0]
    box[0], box[1], axis[:] = 1e9, -1e9, 0.0
    bottom, right = min(faces.shape[0], top + CELL), min(faces.shape[1], left + CELL)
    for v in range(top, bottom):
        for u in range(left, right):
            if faces[v, u] < 0 or materials[rows[v, u]].mirror <= 0.0:
                continue
            along = 0.0
            for k in range(3):
                along += normal[v, u, k] * gaze[v, u, k]
            for k in range(3):
                sent[v, u, k] = gaze[v, u, k] - 2.0 * along * normal[v, u, k]
                axis[k] += sent[v, u, k]
                box[0, k] = min(box[0, k], point[v, u, k])
                box[1, k] = max(box[1, k], point[v, u, k])
    length = math.sqrt(axis[0] * axis[0] + axis[1] * axis[1] + axis[2] * axis[2])
    # Directions that cancel out cover everything; the list then has all solids.
    axis /= max(length, 1e-6)
    least = 1.0
    for v in range(top, bottom):
        for u in range(left, right):
            if faces[v, u] >= 0 and materials[rows[v, u]].mirror > 0.0:
                cosine = 0.0
                for k in range(3):
                    cosine += sent[v, u, k] * axis[k]
                least = min(least, cosine)
    return math.acos(max(-1.0, least)) + 1e-3


@kernel
@no_type_check
def paint_mirrored(
    solids, meshes, materials, paint, view, listed, count, top, left, out, seen, box,
):  # fmt: skip
    """Write face, normal, albedo, material and point of the reflections in a cell."""
    mirrors, rows, start, depth = out.face, out.material, out.point, out.depth
    faces, normal, albedo, sent = seen.face, seen.normal, seen.albedo, seen.gaze
    material, point, focal = seen.material, seen.point, view.focal
    texels, linear, side = paint.texels, paint.linear, paint.side
    balls = gather(solids, listed, count)
    for v in range(top, min(faces.shape[0], top + CELL)):
        for u in range(left, min(faces.shape[1], left + CELL)):
            if mirrors[v, u] < 0 or materials[rows[v, u]].mirror <= 0.0:
                continue
            dx, dy, dz = sent[v, u, 0], sent[v, u, 1], sent[v, u, 2]
            x, y, z = start[v, u, 0], start[v, u, 1], start[v, u, 2]
            t, row, face = trace(
                solids, meshes, listed, balls, x, y, z, dx, dy, dz, 1e-3, HORIZON, False
            )
            if row < 0:
                continue
            x, y, z = x + t * dx, y + t * dy, z + t * dz
            nx, ny, nz, red, green, blue, m = surface(
                solids, meshes, materials, texels, linear, side, row, face, x, y, z, dx, dy, dz,
                (depth[v, u] + t) / focal,
            )  # fmt: skip
            faces[v, u], material[v, u] = code_of(solids, meshes, row, face), m
            albedo[v, u, 0], albedo[v, u, 1], albedo[v, u, 2] = red, green, blue
            place(normal[v, u], point[v, u], box, x, y, z, nx, ny, nz, t)


@kernel
@no_type_check
def average_at_edge(mirrors, faces, shown, v, u, mean):
    """Average the reflection at a pixel with its neighbours in the mirror that show other faces."""
    height, width = faces.shape
    weight = 2.0
    for c in range(3):
        mean[c] = 2.0 * shown[v, u, c]
    for y, x in ((v, u - 1), (v, u + 1), (v - 1, u), (v + 1, u)):
        if not (0 <= y < height and 0 <= x < width) or mirrors[y, x] != mirrors[v, u]:
            continue
        if faces[y, x] != faces[v, u]:
            weight += 1.0
            for c in range(3):
                mean[c] += shown[y, x, c]
    for c in range(3):
        mean[c] /= weight


@kernel
@no_type_check
def lay_over(materials, out, seen, reflected):
    """Add reflections to the colours, and write them to ``reflected``.

    At edges within a reflection, neighbouring pixels of the mirror are averaged: one ray per pixel
    would leave aliased edges, unlike in the rest of the frame.
    """
    mirrors, rows, normal, gaze, colour = (
        out.face, out.material, out.normal, out.gaze, out.colour,
    )  # fmt: skip
    faces, shown = seen.face, seen.colour
    height, width = faces.shape
    for v in range(height):
        for u in range(width):
            if mirrors[v, u] < 0 or materials[rows[v, u]].mirror <= 0.0:
                continue
            average_at_edge(mirrors, faces, shown, v, u, reflected[v, u])
            cosine = 0.0
            for k in range(3):
                cosine -= normal[v, u, k] * gaze[v, u, k]
            share = mirrored(materials[rows[v, u]].mirror, cosine)
            for c in range(3):
                colour[v, u, c] += share * (reflected[v, u, c] - colour[v, u, c])
