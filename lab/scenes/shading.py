"""Compiled kernels for the appearance of a surface at a hit."""

import math
from typing import no_type_check

from lab.scenes.raycast import kernel
from lab.scenes.scene import BOX, CARD, ELLIPSOID, FRUSTUM, MESH, ROOM


@kernel
@no_type_check
def local_normal(body, face, x, y, z):
    """Normal in the solid's own coordinates, of any length, towards either side."""
    if body.shape == BOX or body.shape == ROOM:
        side = 1.0 if face % 2 == 1 else -1.0
        axis = face // 2
        return (
            side if axis == 0 else 0.0,
            side if axis == 1 else 0.0,
            side if axis == 2 else 0.0,
        )
    if body.shape == ELLIPSOID:
        return x, y, z
    if body.shape == FRUSTUM and face == 0:
        slope = 0.5 * (body.taper - 1.0)
        return x, y, -slope * (0.5 * (body.taper + 1.0) + slope * z)
    return 0.0, 0.0, 1.0


@kernel
@no_type_check
def surface_coordinates(body, face, x, y, z):
    """Texture coordinates [m] of a point in the solid's own coordinates."""
    hx, hy, hz = body.half[0], body.half[1], body.half[2]
    if body.shape == BOX or body.shape == ROOM:
        if face // 2 == 0:
            return y * hy, z * hz
        if face // 2 == 1:
            return x * hx, z * hz
        return x * hx, y * hy
    if body.shape == ELLIPSOID:
        return math.atan2(y, x) * hx, z * hz * 1.3
    if body.shape == FRUSTUM and face == 0:
        return math.atan2(y, x) * hx, z * hz
    if body.shape == FRUSTUM or body.shape == CARD:
        return x * hx, y * hy
    return x, y


@kernel
@no_type_check
def on_triangle(triangle, x, y, z):
    """Normal, texture coordinates, their number per metre, and material at a point of a mesh."""
    x, y, z = x - triangle.corner[0], y - triangle.corner[1], z - triangle.corner[2]
    slope, e = triangle.slope, triangle.edges
    return (
        e[0, 1] * e[1, 2] - e[0, 2] * e[1, 1],
        e[0, 2] * e[1, 0] - e[0, 0] * e[1, 2],
        e[0, 0] * e[1, 1] - e[0, 1] * e[1, 0],
        triangle.origin[0] + slope[0, 0] * x + slope[0, 1] * y + slope[0, 2] * z,
        triangle.origin[1] + slope[1, 0] * x + slope[1, 1] * y + slope[1, 2] * z,
        triangle.density,
        triangle.material,
    )


@kernel
@no_type_check
def texel(texels, linear, texture, u, v, footprint, side):
    """Linear RGB of a texture at (u, v) in repeats, averaged over ``footprint`` texels."""
    start = 0
    while footprint > 1.5 and side > 8:
        footprint *= 0.5
        start += side * side
        side //= 2
    a, b = (u - math.floor(u)) * side, (v - math.floor(v)) * side
    i, j = int(a), int(b)
    a -= i
    b -= j
    i, j = i % side, j % side
    p, q = (i + 1) % side, (j + 1) % side
    above, below = start + j * side, start + q * side
    w00, w01, w10, w11 = (1 - a) * (1 - b), a * (1 - b), (1 - a) * b, a * b
    red = green = blue = 0.0
    for corner in range(4):
        at = (above if corner < 2 else below) + (i if corner % 2 == 0 else p)
        weight = w00 if corner == 0 else (w01 if corner == 1 else (w10 if corner == 2 else w11))
        red += weight * linear[texels[texture, at, 0]]
        green += weight * linear[texels[texture, at, 1]]
        blue += weight * linear[texels[texture, at, 2]]
    return red, green, blue


@kernel
@no_type_check
def albedo(material, texels, linear, side, u, v, footprint):
    """Linear RGB of a material at texture coordinates (u, v) [m]; ``footprint`` in metres."""
    if material.mix <= 0.0:
        return material.colour[0], material.colour[1], material.colour[2]
    red, green, blue = texel(
        texels,
        linear,
        material.texture,
        u / material.scale[0] + material.offset[0],
        -v / material.scale[1] + material.offset[1],
        footprint * side / max(material.scale[0], material.scale[1]),
        side,
    )
    keep = 1.0 - material.mix
    return (
        keep * material.colour[0] + material.mix * material.tint[0] * red,
        keep * material.colour[1] + material.mix * material.tint[1] * green,
        keep * material.colour[2] + material.mix * material.tint[2] * blue,
    )


@kernel
@no_type_check
def mirrored(mirror, cosine):
    """Reflectance of a surface, by the cosine of the angle to its normal.

    Schlick, *An inexpensive BRDF model for physically-based rendering*, 1994, eq. 15.
    """
    rest = 1.0 - min(1.0, max(0.0, cosine))
    return mirror + (1.0 - mirror) * rest * rest * rest * rest * rest


@kernel
@no_type_check
def surface(
    solids, meshes, materials, texels, linear, side, row, face, px, py, pz, dx, dy, dz, spread,
):  # fmt: skip
    """Surface properties at a world point hit along the unit direction d.

    Returns:
        (normal x, y, z towards the viewer, albedo r, g, b, row of ``materials``); ``spread`` is
        the width of a pixel at the point [m].
    """
    body = solids[row]
    x, y, z = px - body.centre[0], py - body.centre[1], pz - body.centre[2]
    m = body.axes
    lx = m[0, 0] * x + m[0, 1] * y + m[0, 2] * z
    ly = m[1, 0] * x + m[1, 1] * y + m[1, 2] * z
    lz = m[2, 0] * x + m[2, 1] * y + m[2, 2] * z
    if body.shape == MESH:
        ax, ay, az, u, v, density, row_material = on_triangle(meshes.triangles[face], lx, ly, lz)
        row_material += body.material
    else:
        ax, ay, az = local_normal(body, face, lx, ly, lz)
        u, v = surface_coordinates(body, face, lx, ly, lz)
        density, row_material = 1.0, body.material + (face if body.per_face else 0)
    nx = m[0, 0] * ax + m[1, 0] * ay + m[2, 0] * az
    ny = m[0, 1] * ax + m[1, 1] * ay + m[2, 1] * az
    nz = m[0, 2] * ax + m[1, 2] * ay + m[2, 2] * az
    length = 1.0 / math.sqrt(nx * nx + ny * ny + nz * nz + 1e-20)
    facing = (nx * dx + ny * dy + nz * dz) * length
    if facing > 0.0:
        length = -length
        facing = -facing
    footprint = density * spread / max(0.25, -facing)
    red, green, blue = albedo(materials[row_material], texels, linear, side, u, v, footprint)
    return nx * length, ny * length, nz * length, red, green, blue, row_material
