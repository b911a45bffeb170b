"""A point cloud as a binary PLY: x y z, nx ny nz, red green blue.

Points stay in our camera frame (x right, y down, z forward) and in the unit of the depth map;
comments in the header state both.

No line of the header is longer than ``_LONGEST``: readers built on rply, such as Open3D's, take at
most 1024 bytes a line and fail, or crash, on more.
"""

from collections.abc import Iterator

import numpy as np

from rilievo.errors import InputError
from rilievo.geometry.surfaces.surface import PointCloud, point_cloud, surface_step
from rilievo.io.outputs.dropping import sky_share, surface_pixels
from rilievo.io.outputs.facts import OUR_AXES, FileFacts, SurfaceFacts
from rilievo.io.outputs.writing import WriteJob
from rilievo.types import Camera, DepthMap

_LONGEST = 200
"""Characters of a comment."""


def write(job: WriteJob, depth: DepthMap, camera: Camera) -> FileFacts:
    """Write the points, without flying points at depth edges."""
    from plyfile import PlyData, PlyElement

    options, photo = job.options, job.prediction.photo
    step = surface_step(depth.shape, options.surface_points)
    cloud = point_cloud(
        depth.depth(),
        camera,
        surface_pixels(job.prediction, job.options.drop),
        colours=None if photo is None else photo.pixels,
        normals=job.prediction.normals,
        step=step,
        cut=options.cut,
        backing=options.backing,
    )
    if not len(cloud.points):
        raise InputError(f"{job.about.source.file}: no surface is left to write as a point cloud")
    facts = FileFacts(
        file=job.file,
        output=job.output,
        holds="points of the surface",
        unit=job.depth_facts.unit,
        axes=OUR_AXES,
        surface=SurfaceFacts(
            pixel_step=step,
            points=len(cloud.points),
            edge_jump=options.edge,
            grazing_degrees=options.grazing,
            specks=options.specks,
            dropped=options.dropped,
            sky=sky_share(job.prediction),
            backing=options.backing or None,
        ),
    )
    element = PlyElement.describe(_rows(cloud), "vertex")
    with job.path.open("wb") as file:
        PlyData([element], byte_order="<", comments=comments_of(job, facts)).write(file)
    return facts


def comments_of(job: WriteJob, facts: FileFacts) -> list[str]:
    """Lines of the header: unit, axes, and the JSON in pieces."""
    return [
        f"unit: {job.depth_facts.unit} ({job.depth_facts.meaning})",
        f"axes: {OUR_AXES}",
        *(f"rilievo: {piece}" for piece in _pieces(job.about.alone(facts))),
    ]


def _pieces(text: str) -> Iterator[str]:
    """Yield a text in pieces that neither begin nor end with a space, which readers strip."""
    while len(text) > _LONGEST:
        ends = range(_LONGEST, 0, -1)
        end = next((n for n in ends if " " not in text[n - 1 : n + 1]), _LONGEST)
        yield text[:end]
        text = text[end:]
    yield text


def _rows(cloud: PointCloud) -> np.ndarray:
    columns = [(name, "<f4") for name in ("x", "y", "z", "nx", "ny", "nz")]
    if cloud.colours is not None:
        columns += [(name, "u1") for name in ("red", "green", "blue")]
    rows = np.empty(len(cloud.points), columns)
    for axis, name in enumerate("xyz"):
        rows[name] = cloud.points[:, axis]
        rows[f"n{name}"] = cloud.normals[:, axis]
    if cloud.colours is not None:
        for axis, name in enumerate(("red", "green", "blue")):
            rows[name] = cloud.colours[:, axis]
    return rows
