"""Closed relief for printing, as binary STL: near is high, by inverse depth."""

from dataclasses import replace

import numpy as np

from rilievo.arrays.shapes import Field, Float32, Int32
from rilievo.errors import InputError
from rilievo.geometry.surfaces.lattice import sample_slices
from rilievo.geometry.surfaces.meshes import surface_step
from rilievo.io.map_pictures import picture_quantity
from rilievo.io.outputs.formats.colour_files import picture_range
from rilievo.io.outputs.sidecar import FileFacts
from rilievo.io.outputs.writing import WriteJob
from rilievo.records.depth_map import DepthMap

_DEFAULT_SIDE = 100.0  # [mm], of the longer side
_MAX_POINTS = 60_000
_TRIANGLE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
"""Row of a triangle in the file."""


def write(job: WriteJob, depth: DepthMap) -> FileFacts:
    """Write inverse depth as a closed relief [mm]."""
    heights = _relief_heights(job, depth)
    width = job.options.relief_width
    if width is None:
        pitch = _DEFAULT_SIDE / (max(heights.shape) - 1)
    else:
        pitch = width / (heights.shape[1] - 1)
    points = _relief_points(heights, pitch)
    triangles = _relief_triangles(heights.shape)
    rows = np.zeros(len(triangles), _TRIANGLE)
    rows["corners"] = points[triangles]
    rows["normal"] = _unit_normals(rows["corners"])
    with job.path.open("wb") as file:
        file.write(b"rilievo: closed relief in millimetres".ljust(80))  # header of 80 bytes
        file.write(np.uint32(len(rows)).astype("<u4").tobytes())
        file.write(rows.tobytes())
    holds = "closed relief: near is high, the back is flat"
    return replace(job.describe_file(holds), unit="mm", axes="x right, y up, z towards the viewer")


def _relief_heights(job: WriteJob, depth: DepthMap) -> Field:
    """Heights above the table [mm] on a grid of points; points without depth are at the base."""
    options = job.options
    step = surface_step(depth.shape, min(options.surface_points, _MAX_POINTS))
    grid = sample_slices(depth.shape, step)
    inverse_depth, valid = picture_quantity(depth)[grid], depth.valid[grid]
    if min(inverse_depth.shape) < 2:
        raise InputError(
            "the image is too small for a relief, which needs at least 2x2 points",
            path=job.sidecar.source.file,
        )
    limits = picture_range(depth, options)
    value_range = (limits.high - limits.low) or 1.0  # any, if all depths are equal
    inverse_depth = np.where(valid, inverse_depth, limits.low)
    nearness = np.clip((inverse_depth - limits.low) / value_range, 0, 1)
    return options.relief_base + options.relief_height * nearness.astype(np.float32)


def _unit_normals(corners: Float32[np.ndarray, "m 3 3"]) -> Float32[np.ndarray, "m 3"]:
    first, second, third = np.moveaxis(corners, 1, 0)
    normals = np.cross(second - first, third - first)
    return normals / np.linalg.norm(normals, axis=1, keepdims=True)


def _relief_points(heights: Field, pitch: float) -> Float32[np.ndarray, "n 3"]:
    """Points of a relief [mm]: the surface row by row, its outline on the table, and their middle.

    ``pitch`` is the distance between neighbouring points of the grid [mm].
    """
    row, column = np.indices(heights.shape)
    last_row = len(heights) - 1
    top = np.stack([column * pitch, (last_row - row) * pitch, heights], axis=2).reshape(-1, 3)
    ground = top[_outline_indices(heights.shape)] * [1, 1, 0]
    return np.concatenate([top, ground, ground.mean(axis=0, keepdims=True)]).astype(np.float32)


def _outline_indices(shape: tuple[int, ...]) -> Int32[np.ndarray, "n"]:
    """Indices of the points along the outline of the surface, counter-clockwise seen from above."""
    index = np.arange(shape[0] * shape[1], dtype=np.int32).reshape(shape)
    bottom, right = index[-1, :-1], index[:0:-1, -1]
    top, left = index[0, :0:-1], index[:-1, 0]
    return np.concatenate([bottom, right, top, left])


def _relief_triangles(shape: tuple[int, ...]) -> Int32[np.ndarray, "m 3"]:
    """Triangles of the surface, of its walls and of its back, by indices of ``_relief_points``.

    Corners are counter-clockwise as seen from outside.
    """
    index = np.arange(shape[0] * shape[1], dtype=np.int32).reshape(shape)
    top_left, top_right = index[:-1, :-1].reshape(-1), index[:-1, 1:].reshape(-1)
    bottom_left, bottom_right = index[1:, :-1].reshape(-1), index[1:, 1:].reshape(-1)

    outline = _outline_indices(shape)
    ground = index.size + np.arange(len(outline), dtype=np.int32)
    middle = np.full_like(outline, index.size + len(outline))
    next_outline, next_ground = np.roll(outline, -1), np.roll(ground, -1)
    triangles = (
        # surface
        (top_left, bottom_left, bottom_right),
        (top_left, bottom_right, top_right),
        # walls
        (ground, next_ground, next_outline),
        (ground, next_outline, outline),
        # back
        (middle, next_ground, ground),
    )
    return np.concatenate([np.stack(corners, axis=1) for corners in triangles])
