"""Compiled kernels that list the solids which rays of a group of pixels can hit.

A ray then tests tens of solids instead of hundreds. Lists are nested: the list of a small group of
pixels is made from that of a larger group around it, so small groups cost little.
"""

import math
from typing import no_type_check

from lab.scenes.buffers import HORIZON
from lab.scenes.raycast import kernel
from lab.scenes.scene import ROOM


@kernel
@no_type_check
def list_in_beam(solids, x, y, z, radius, dx, dy, dz, reach, among, number, listed):
    """List the solids that rays from a ball, within ``reach`` [rad] of d, can hit."""
    count = 0
    for k in range(number):
        i = among[k]
        body = solids[i]
        a, b, c = body.centre[0] - x, body.centre[1] - y, body.centre[2] - z
        distance = math.sqrt(a * a + b * b + c * c)
        size = body.radius * 1.001 + radius
        inside = body.shape >= ROOM or distance <= size
        if not inside:
            cosine = (a * dx + b * dy + c * dz) / distance
            away = math.acos(max(-1.0, min(1.0, cosine)))
            inside = away <= reach + math.asin(size / distance)
        if inside:
            listed[count] = i
            count += 1
    return count


@kernel
@no_type_check
def list_around(solids, x, y, z, reach, among, number, listed):
    """List the solids within ``reach`` [m] of a point."""
    count = 0
    for k in range(number):
        i = among[k]
        body = solids[i]
        a, b, c = body.centre[0] - x, body.centre[1] - y, body.centre[2] - z
        near = reach + body.radius
        if body.shape >= ROOM or a * a + b * b + c * c < near * near:
            listed[count] = i
            count += 1
    return count


@kernel
@no_type_check
def list_towards(solids, px, py, pz, is_distant, size, x, y, z, reach, among, number, listed):
    """List the solids that can occlude a light for a ball of points."""
    far = HORIZON
    if not is_distant:
        px, py, pz = px - x, py - y, pz - z
        far = math.sqrt(px * px + py * py + pz * pz) + 1e-6
        px, py, pz = px / far, py / far, pz / far
    count = 0
    for k in range(number):
        i = among[k]
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
