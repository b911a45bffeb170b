"""Surfaces from depth: coloured points and a triangle mesh, without what the camera never saw.

A depth map does not say where one surface ends and the next begins, and a network's depth runs
smoothly from one to the other. Points on such a ramp fly between the surfaces, and triangles there
are walls that do not exist. Both give themselves away: the camera looks along them. So what is seen
at less than ``Cut.grazing`` degrees is left out, a measure that needs no unit and does not
change with the resolution of the image.

Points are in the camera frame (x right, y down, z forward), in the unit of the depth map.
"""

import itertools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32, UInt8

from rilievo.errors import OptionError
from rilievo.geometry.flat import flat_fans
from rilievo.geometry.lattice import (
    Cut,
    faces_of,
    places,
    sample_lattice,
    steepest,
    triangles_of,
    vertex_normals,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PointCloud:
    """Points of a surface.

    Attributes:
        points: Camera frame, in the unit of the depth map.
        normals: Unit, camera frame, towards the camera.
        colours: RGB of the pixels that saw them; None where none were given.
    """

    points: Float32[np.ndarray, "n 3"]
    normals: Float32[np.ndarray, "n 3"]
    colours: UInt8[np.ndarray, "n 3"] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mesh:
    """A triangle mesh of which every vertex belongs to a triangle.

    Attributes:
        points: Camera frame, in the unit of the depth map.
        normals: Unit, camera frame, towards the camera.
        pixels: (u, v) [px] of the pixel centre that saw each vertex, for textures.
        triangles: Indices of vertices, counter-clockwise as the camera sees them, so that
            (b - a) x (c - a) points towards the camera.
    """

    points: Float32[np.ndarray, "n 3"]
    normals: Float32[np.ndarray, "n 3"]
    pixels: Float32[np.ndarray, "n 2"]
    triangles: Int32[np.ndarray, "m 3"]


def surface_step(shape: tuple[int, int], most: int) -> int:
    """The least step at which every step-th pixel of an image makes at most ``most`` points.

    Raises:
        OptionError: If not even four points are allowed.
    """
    if most < 4:
        raise OptionError(f"a surface has at least 4 points, got {most}")
    height, width = shape
    return next(
        step
        for step in itertools.count(1)
        if len(places(height, step)) * len(places(width, step)) <= most
    )


def flying_pixels(
    depth: Float32[np.ndarray, "h w"],
    valid: Bool[np.ndarray, "h w"],
    *,
    jump: tuple[float, float] = (0.08, 0.08),
) -> Bool[np.ndarray, "h w"]:
    """Pixels on a ramp between a near and a far surface.

    Such a pixel is farther than one neighbour and nearer than the opposite one, each by more than
    ``jump``. Pixels at a clean edge jump to one side alone, and thin things are nearer than
    both sides: they stay.

    Args:
        depth: Of any positive unit.
        valid: Pixels that have depth; a pixel beside one without is never called flying.
        jump: Relative to the nearer of two neighbours: one above the other, side by side.
    """
    flying = np.zeros(depth.shape, bool)
    for axis in (0, 1):
        z, seen = np.moveaxis(depth, axis, 0), np.moveaxis(valid, axis, 0)
        factor = np.float32(1 + jump[axis])
        with np.errstate(invalid="ignore"):
            rises = z[1:] > z[:-1] * factor
            falls = z[:-1] > z[1:] * factor
        both = seen[1:] & seen[:-1]
        rises &= both
        falls &= both
        inner = np.moveaxis(flying, axis, 0)[1:-1]
        inner |= (rises[1:] & rises[:-1]) | (falls[1:] & falls[:-1])
    return flying


def point_cloud(
    depth: Float32[np.ndarray, "h w"],
    K: Float64[np.ndarray, "3 3"],
    valid: Bool[np.ndarray, "h w"],
    *,
    colours: UInt8[np.ndarray, "h w 3"] | None = None,
    normals: Float32[np.ndarray, "3 h w"] | None = None,
    step: int = 1,
    cut: Cut | None = None,
) -> PointCloud:
    """One point for every ``step``-th valid pixel that does not fly.

    Args:
        depth: z along the optical axis.
        K: Of this depth map [px].
        valid: Pixels that have depth.
        colours: Of the same size.
        normals: Of the same size; those of the surface itself when None, and the direction to the
            camera where a point has no neighbour.
        step: 1 takes every pixel.
        cut: ``Cut()`` when None.
    """
    cut = cut or Cut()
    lattice = sample_lattice(depth, K, valid, step)
    reach = [steepest(K[i, i] / step, cut) for i in (1, 0)]
    keep = lattice.valid & ~flying_pixels(
        lattice.points[2], lattice.valid, jump=(reach[0], reach[1])
    )
    if normals is None:
        field = vertex_normals(faces_of(lattice, cut), lattice)
    else:
        field = normals[:, *lattice.grid]
    return PointCloud(
        points=np.ascontiguousarray(lattice.points[:, keep].T),
        normals=np.ascontiguousarray(field[:, keep].T),
        colours=None if colours is None else colours[lattice.grid][keep],
    )


def mesh(
    depth: Float32[np.ndarray, "h w"],
    K: Float64[np.ndarray, "3 3"],
    valid: Bool[np.ndarray, "h w"],
    *,
    normals: Float32[np.ndarray, "3 h w"] | None = None,
    step: int = 1,
    cut: Cut | None = None,
    flatness: float = 0.0,
) -> Mesh:
    """Triangles between neighbouring pixels, torn at edges.

    Four neighbours become two triangles, split along the diagonal whose ends differ less in depth,
    so that edges are followed rather than crossed.

    Args:
        depth: z along the optical axis.
        K: Of this depth map [px].
        valid: Pixels that have depth.
        normals: Of the same size; those of the triangles, weighted by area, when None.
        step: 1 makes a vertex of every pixel.
        cut: ``Cut()`` when None.
        flatness: Relative change of depth up to which flat parts get fewer triangles; 0 keeps all.
    """
    lattice = sample_lattice(depth, K, valid, step)
    faces = faces_of(lattice, cut or Cut())
    triangles = triangles_of(faces)
    if flatness:
        fans = flat_fans(lattice, faces, flatness)
        triangles = np.concatenate([triangles_of(faces, fans.merged), fans.triangles])
    used = np.zeros(lattice.valid.size, bool)
    used[triangles] = True
    number = np.cumsum(used, dtype=np.int32) - np.int32(1)
    used = used.reshape(lattice.valid.shape)
    field = vertex_normals(faces, lattice) if normals is None else normals[:, *lattice.grid]
    rows, columns = np.nonzero(used)
    pixels = np.array(
        [np.array(lattice.columns)[columns], np.array(lattice.rows)[rows]], np.float32
    )
    return Mesh(
        points=np.ascontiguousarray(lattice.points[:, used].T),
        normals=np.ascontiguousarray(field[:, used].T),
        pixels=np.ascontiguousarray(pixels.T),
        triangles=number[triangles],
    )
