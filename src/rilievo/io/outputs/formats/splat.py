"""Gaussian splats as a binary PLY (Kerbl and others, SIGGRAPH 2023), in rilievo's camera frame.

Opacities are stored as logits, scales as logarithms, and rotations as quaternions (w, x, y, z).
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Float32, UInt8
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.surfaces.meshes import PointCloud, surface_step
from rilievo.io.outputs.formats.gaussians import Splats, splats
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
"""Spherical harmonic of degree 0: a colour from 0 to 1 is 0.5 plus this times f_dc."""
OPACITY = 0.98
_DEFAULT_BACKING = 0.01
"""How far surfaces continue behind nearer ones, against gaps at outlines [fraction of width]."""
_SPLAT_OUTPUTS = ("splat", "spz")
"""Outputs that are made from the same splats."""
_GREY_LEVEL = 128  # of splats without a photograph


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedSplats:
    """Splats of a prediction, ready to be written.

    Attributes:
        cloud: Points of the surface, with one splat for each.
        chunks: Splats in chunks; possibly an iterator, which can be read only once.
    """

    cloud: PointCloud
    chunks: Iterable[Splats]
    file_facts: FileFacts


def write(job: WriteJob, depth: DepthMap, camera: Camera) -> FileFacts:
    """Write a splat for every point of the surface as PLY, a chunk at a time."""
    prepared = prepare_splats(job, depth, camera)
    with job.path.open("wb") as file:
        properties = [f"property float {name}" for name in PROPERTIES]
        lines = [f"element vertex {len(prepared.cloud.points)}", *properties]
        file.write(ply_header(header_comments(job, prepared.file_facts), lines))
        for chunk in prepared.chunks:
            rows = _splat_rows(chunk, splat_colours(prepared.cloud, chunk))
            file.write(rows.data)
    return prepared.file_facts


def prepare_splats(job: WriteJob, depth: DepthMap, camera: Camera) -> PreparedSplats:
    """Compute the splats of a surface, or take those that another output computed.

    The chunks are an iterator, and are kept in memory only if a later output needs them too.
    """
    cloud, file_facts = surface_points(
        job,
        depth,
        camera,
        form="splats",
        holds="Gaussian splats of the surface",
        default_backing=_DEFAULT_BACKING,
    )
    cache_key = ("splats", job.options)
    chunks = job.cache.pop(cache_key, None)
    if chunks is None:
        step = surface_step(depth.shape, job.options.surface_points)
        chunks = splats(cloud, camera, shape=depth.shape, step=step)
    is_needed_later = not job.later_outputs.isdisjoint(_SPLAT_OUTPUTS)
    if is_needed_later:
        chunks = tuple(chunks)
        job.cache[cache_key] = chunks
    return PreparedSplats(cloud=cloud, chunks=chunks, file_facts=file_facts)


def splat_colours(cloud: PointCloud, chunk: Splats) -> UInt8[np.ndarray, "n 3"]:
    """Return the colours of a chunk's splats; grey without a photograph."""
    if cloud.colours is None:
        return np.full((len(chunk.centres), 3), _GREY_LEVEL, np.uint8)
    return cloud.colours[chunk.rows]


def _splat_rows(chunk: Splats, colours: UInt8[np.ndarray, "n 3"]) -> Float32[np.ndarray, "n 17"]:
    """Put the numbers of splats into columns in the order of ``PROPERTIES``."""
    rows = np.empty((len(colours), len(PROPERTIES)), "<f4")
    rows[:, :3] = chunk.centres
    rows[:, 3:6] = chunk.normals
    rows[:, 6:9] = (colours / np.float32(255) - np.float32(0.5)) / CONSTANT_HARMONIC
    rows[:, 9] = np.log(OPACITY / (1 - OPACITY))
    rows[:, 10:13] = np.log(chunk.scales)
    rows[:, 13:] = chunk.rotations
    return rows
