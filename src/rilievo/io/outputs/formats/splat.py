"""Gaussian splats as a binary PLY (Kerbl and others, SIGGRAPH 2023), in our frame.

Opacity is a logit, scales logarithms, rotations quaternions (w, x, y, z).
"""

from collections.abc import Iterable

import numpy as np

from rilievo.arrays.shapes import Float32, UInt8
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.surfaces.meshes import PointCloud, surface_step
from rilievo.geometry.surfaces.splats import Splats, splats
from rilievo.io.outputs.formats.ply import header_comments, ply_header
from rilievo.io.outputs.sidecar import FileFacts
from rilievo.io.outputs.surface_points import surface_points
from rilievo.io.outputs.writing import WriteJob
from rilievo.records.depth_map import DepthMap

PROPERTIES = (
    *("x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", "opacity"),
    *("scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"),
)
CONSTANT_HARMONIC = 0.5 / np.sqrt(np.pi)
"""Spherical harmonic of degree 0, the factor of f_dc."""
OPACITY = 0.98
RIM = 0.01
"""Backing of splats without one, as a share of the width, against gaps at outlines."""
_OUTPUTS = ("splat", "spz")
_GREY = 128


def write(job: WriteJob, depth: DepthMap, camera: Camera) -> FileFacts:
    """Write a splat for every point, a chunk at a time."""
    cloud, parts, facts = make_splats(job, depth, camera)
    with job.path.open("wb") as file:
        properties = [f"property float {name}" for name in PROPERTIES]
        lines = [f"element vertex {len(cloud.points)}", *properties]
        file.write(ply_header(header_comments(job, facts), lines))
        for part in parts:
            file.write(_splat_rows(part, splat_colours(cloud, part)).data)
    return facts


def make_splats(
    job: WriteJob, depth: DepthMap, camera: Camera
) -> tuple[PointCloud, Iterable[Splats], FileFacts]:
    """Points, their splats in chunks, and facts; kept while outputs need them."""
    cloud, facts = surface_points(
        job,
        depth,
        camera,
        form="splats",
        holds="Gaussian splats of the surface",
        default_backing=RIM,
    )
    key = ("splats", job.options)
    parts = job.shared.pop(key, None)
    if parts is None:
        step = surface_step(depth.shape, job.options.surface_points)
        parts = splats(cloud, camera, shape=depth.shape, step=step)
    if not job.later.isdisjoint(_OUTPUTS):
        parts = job.shared[key] = tuple(parts)
    return cloud, parts, facts


def splat_colours(cloud: PointCloud, part: Splats) -> UInt8[np.ndarray, "n 3"]:
    """Colours of a chunk's splats; grey without a photograph."""
    if cloud.colours is None:
        return np.full((len(part.centres), 3), _GREY, np.uint8)
    return cloud.colours[part.rows]


def _splat_rows(part: Splats, colours: UInt8[np.ndarray, "n 3"]) -> Float32[np.ndarray, "n 17"]:
    rows = np.empty((len(colours), len(PROPERTIES)), "<f4")
    rows[:, :3] = part.centres
    rows[:, 3:6] = part.normals
    rows[:, 6:9] = (colours / np.float32(255) - np.float32(0.5)) / CONSTANT_HARMONIC
    rows[:, 9] = np.log(OPACITY / (1 - OPACITY))
    rows[:, 10:13] = np.log(part.scales)
    rows[:, 13:] = part.rotations
    return rows
