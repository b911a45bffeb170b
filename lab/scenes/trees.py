"""Trees of bounding boxes over triangles: how they grow, and how rays meet them."""

from typing import no_type_check

import numpy as np

from lab.scenes.scene import NODE, Meshes
from rilievo.training.engine.compiled import compiled as kernel

MISS = 1e9
LEAF = 4
"""Most triangles of a leaf."""
SLACK = 1e-5
"""Margin around every box, since flat ones would be missed by rounding."""


def grow(triangles: np.ndarray) -> Meshes:
    """Build the tree of the triangles of one model.

    Args:
        triangles: Rows of ``TRIANGLE``, at least one.

    Returns:
        The tree, and the triangles in the order of its leaves.
    """
    corner, edges = triangles["corner"][:, None], triangles["edges"]
    points = np.concatenate([corner, corner + edges], axis=1)
    low, high = points.min(axis=1) - SLACK, points.max(axis=1) + SLACK
    order = np.arange(len(triangles))
    nodes = np.zeros(2 * len(triangles), NODE)
    count = split_all(low, high, order, nodes)
    return Meshes(nodes=nodes[:count].copy(), triangles=triangles[order])


@kernel
@no_type_check
def split_all(low, high, order, nodes):
    """Write the nodes in depth-first order, and reorder ``order`` to the leaves' sequence.

    Returns:
        The number of nodes.
    """
    waiting = np.zeros((128, 2), np.int64)
    waiting[0, 1] = len(order)
    left, count = 1, 0
    while left > 0:
        left -= 1
        start, end = waiting[left, 0], waiting[left, 1]
        node = nodes[count]
        count += 1
        for k in range(3):
            node.low[k], node.high[k] = 1e9, -1e9
            for i in range(start, end):
                node.low[k] = min(node.low[k], low[order[i], k])
                node.high[k] = max(node.high[k], high[order[i], k])
        if end - start <= LEAF:
            node.first, node.count = start, end - start
            continue
        cut = cheapest_cut(low, high, order, start, end)
        waiting[left, 0], waiting[left, 1] = cut, end
        waiting[left + 1, 0], waiting[left + 1, 1] = start, cut
        left += 2
    for row in range(count - 1, -1, -1):
        nodes[row].next = row + 1
        if nodes[row].count == 0:
            nodes[row].next = nodes[nodes[row + 1].next].next
    return count


@kernel
@no_type_check
def cheapest_cut(low, high, order, start, end):
    """Sort triangles along the longest axis; the cut with the least expected work of a ray.

    The work is a box's area times its number of triangles (MacDonald and Booth, *Heuristics for
    ray tracing using space subdivision*, 1990). No side has fewer than an eighth of the triangles,
    which bounds the depth.
    """
    number, axis, longest = end - start, 0, -1.0
    for k in range(3):
        first, last = 1e9, -1e9
        for i in range(start, end):
            middle = low[order[i], k] + high[order[i], k]
            first, last = min(first, middle), max(last, middle)
        if last - first > longest:
            axis, longest = k, last - first
    middles = np.zeros(number)
    for i in range(number):
        middles[i] = low[order[start + i], axis] + high[order[start + i], axis]
    order[start:end] = order[start:end][np.argsort(middles)]
    work = np.zeros(number + 1)
    for side in range(2):
        small, large = np.full(3, 1e9), np.full(3, -1e9)
        for i in range(number):
            item = order[start + i] if side == 0 else order[end - 1 - i]
            for k in range(3):
                small[k], large[k] = min(small[k], low[item, k]), max(large[k], high[item, k])
            a, b, c = large[0] - small[0], large[1] - small[1], large[2] - small[2]
            place = i + 1 if side == 0 else number - 1 - i
            work[place] += (a * b + b * c + c * a) * (i + 1)
    least = max(1, number // 8)
    return start + least + np.argmin(work[least : number - least + 1])


@kernel
@no_type_check
def hit_triangle(triangle, ox, oy, oz, dx, dy, dz):
    """Distance to a triangle.

    Möller and Trumbore, *Fast, minimum storage ray/triangle intersection*, 1997.
    """
    a, b, c = triangle.edges[0, 0], triangle.edges[0, 1], triangle.edges[0, 2]
    e, f, g = triangle.edges[1, 0], triangle.edges[1, 1], triangle.edges[1, 2]
    px, py, pz = dy * g - dz * f, dz * e - dx * g, dx * f - dy * e
    volume = a * px + b * py + c * pz
    if abs(volume) < 1e-14:
        return MISS
    x, y, z = ox - triangle.corner[0], oy - triangle.corner[1], oz - triangle.corner[2]
    u = (x * px + y * py + z * pz) / volume
    if u < -1e-6 or u > 1.000001:
        return MISS
    qx, qy, qz = y * c - z * b, z * a - x * c, x * b - y * a
    v = (dx * qx + dy * qy + dz * qz) / volume
    if v < -1e-6 or u + v > 1.000001:
        return MISS
    return (e * qx + f * qy + g * qz) / volume


@kernel
@no_type_check
def hit_mesh(meshes, tree, ox, oy, oz, dx, dy, dz, nearest, farthest):
    """First hit on the triangles of a tree of bounding boxes."""
    nodes, triangles = meshes.nodes, meshes.triangles
    ix = 1.0 / (dx if abs(dx) > 1e-12 else 1e-12)
    iy = 1.0 / (dy if abs(dy) > 1e-12 else 1e-12)
    iz = 1.0 / (dz if abs(dz) > 1e-12 else 1e-12)
    best, face, row, end = farthest, 0, tree, nodes[tree].next
    while row < end:
        node = nodes[row]
        a, b = (node.low[0] - ox) * ix, (node.high[0] - ox) * ix
        c, d = (node.low[1] - oy) * iy, (node.high[1] - oy) * iy
        e, f = (node.low[2] - oz) * iz, (node.high[2] - oz) * iz
        entry = max(min(a, b), min(c, d), min(e, f), nearest)
        if entry > min(max(a, b), max(c, d), max(e, f), best):
            row = node.next
            continue
        for k in range(node.first, node.first + node.count):
            t = hit_triangle(triangles[k], ox, oy, oz, dx, dy, dz)
            if nearest < t < best:
                best, face = t, k
        row += 1
    return (best, face) if best < farthest else (MISS, 0)
