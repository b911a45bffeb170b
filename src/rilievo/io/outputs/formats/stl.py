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

# Default longer side [mm].
_SIDE = 100.0
_MOST_POINTS = 60_000
_TRIANGLE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])


def write(job: WriteJob, depth: DepthMap) -> FileFacts:
    """Write inverse depth as a closed relief [mm]."""
    step = surface_step(depth.shape, min(job.options.surface_points, _MOST_POINTS))
    grid = sample_slices(depth.shape, step)
    values, valid = picture_quantity(depth)[grid], depth.valid[grid]
    if min(values.shape) < 2:
        raise InputError("a relief has at least 2x2 points", path=job.about.source.file)
    limits = picture_range(depth, job.options)
    span = (limits.high - limits.low) or 1.0
    level = np.clip((np.where(valid, values, limits.low) - limits.low) / span, 0, 1)
    options, width = job.options, job.options.relief_width
    steps = max(level.shape) if width is None else level.shape[1]
    heights = options.relief_base + options.relief_height * level.astype(np.float32)
    points = _relief_points(heights, (width or _SIDE) / (steps - 1))
    triangles = _relief_triangles(values.shape)
    rows = np.zeros(len(triangles), _TRIANGLE)
    rows["corners"] = points[triangles]
    a, b, c = np.moveaxis(rows["corners"], 1, 0)
    normal = np.cross(b - a, c - a)
    rows["normal"] = normal / np.linalg.norm(normal, axis=1, keepdims=True)
    with job.path.open("wb") as file:
        file.write(b"rilievo: closed relief in millimetres".ljust(80))
        file.write(np.uint32(len(rows)).astype("<u4").tobytes())
        file.write(rows.tobytes())
    holds = "closed relief: near is high, the back is flat"
    return replace(job.facts(holds), unit="mm", axes="x right, y up, z towards the viewer")


def _relief_points(heights: Field, pitch: float) -> Float32[np.ndarray, "n 3"]:
    height = len(heights)
    row, column = np.indices(heights.shape)
    top = np.stack([column * pitch, (height - 1 - row) * pitch, heights], axis=2).reshape(-1, 3)
    ground = top[_outline_vertex_indices(heights.shape)] * [1, 1, 0]
    return np.concatenate([top, ground, ground.mean(axis=0, keepdims=True)]).astype(np.float32)


def _outline_vertex_indices(shape: tuple[int, ...]) -> Int32[np.ndarray, "n"]:
    number = np.arange(shape[0] * shape[1], dtype=np.int32).reshape(shape)
    sides = (number[-1, :-1], number[:0:-1, -1], number[0, :0:-1], number[:-1, 0])
    return np.concatenate(sides)


def _relief_triangles(shape: tuple[int, ...]) -> Int32[np.ndarray, "m 3"]:
    number = np.arange(shape[0] * shape[1], dtype=np.int32).reshape(shape)
    a, b, c, d = (
        part.reshape(-1)
        for part in (number[:-1, :-1], number[:-1, 1:], number[1:, :-1], number[1:, 1:])
    )
    top = _outline_vertex_indices(shape)
    ground = number.size + np.arange(len(top), dtype=np.int32)
    middle = np.full_like(top, number.size + len(top))
    then, below = np.roll(top, -1), np.roll(ground, -1)
    corners = (
        (a, c, d),
        (a, d, b),
        (ground, below, then),
        (ground, then, top),
        (middle, below, ground),
    )
    return np.concatenate([np.stack(triangle, axis=1) for triangle in corners])
