"""Points of a surface, with the facts of its files."""

from dataclasses import replace

from rilievo.errors import InputError
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.surfaces.meshes import FrontCloud, Mesh, PointCloud, front_cloud, surface_step
from rilievo.io.outputs.sidecar import OUR_AXES, FileFacts, SurfaceFacts
from rilievo.io.outputs.sky import sky_share, surface_pixels
from rilievo.io.outputs.writing import WriteJob
from rilievo.records.depth_map import DepthMap

_CLOUDS = ("ply", "splat", "spz")
"""Outputs that share their points."""


def surface_points(
    job: WriteJob,
    depth: DepthMap,
    camera: Camera,
    *,
    form: str,
    holds: str,
    default_backing: float = 0.0,
) -> tuple[PointCloud, FileFacts]:
    """Points of the surface in the camera's frame, and the facts of their file.

    Args:
        job: File to write.
        depth: Depth that surfaces are made of.
        camera: Its camera.
        form: What the error calls the file, such as "a point cloud".
        holds: Content of the file in words.
        default_backing: Share of the width by which far surfaces continue, if options have none.

    Raises:
        InputError: If no surface is left.
    """
    options = job.options
    step = surface_step(depth.shape, options.surface_points)
    backing = default_backing if options.backing is None else options.backing
    cloud = _front_points(job, depth, camera, step).with_backing(backing)
    if not len(cloud.points):
        raise InputError(f"no surface is left to write as {form}", path=job.about.source.file)
    surface = surface_facts(job, step=step, points=len(cloud.points))
    facts = replace(
        job.facts(holds),
        unit=job.depth_facts.unit,
        axes=OUR_AXES,
        surface=replace(surface, backing=backing or None),
    )
    return cloud, facts


def _front_points(job: WriteJob, depth: DepthMap, camera: Camera, step: int) -> FrontCloud:
    """Points of the surface that is seen, which are made once for all outputs of clouds."""
    options, photo = job.options, job.prediction.photo
    key = ("points", options)
    front = job.shared.pop(key, None)
    if front is None:
        front = front_cloud(
            depth.depth(),
            camera,
            surface_pixels(job.prediction, options.drops),
            colours=None if photo is None else photo.pixels,
            normals=job.prediction.normals,
            step=step,
            cut=options.cut,
        )
    if not job.later.isdisjoint(_CLOUDS):
        job.shared[key] = front
    return front


def mesh_facts(
    job: WriteJob, surface: Mesh, *, step: int, texture_width: int | None = None
) -> SurfaceFacts:
    """Describe a mesh of every ``step``-th pixel."""
    backing = job.options.mesh_backing
    return replace(
        surface_facts(job, step=step, points=len(surface.points)),
        triangles=len(surface.triangles),
        behind=surface.behind or None,
        grazing_degrees=0.0 if backing else job.options.grazing,
        backing=backing or None,
        texture_width=texture_width,
    )


def surface_facts(job: WriteJob, *, step: int, points: int) -> SurfaceFacts:
    """Describe a surface of every ``step``-th pixel."""
    options = job.options
    return SurfaceFacts(
        pixel_step=step,
        points=points,
        edge_jump=options.edge,
        grazing_degrees=options.grazing,
        specks=options.specks,
        dropped=options.drop_text,
        sky=sky_share(job.prediction),
        backing=options.backing or None,
    )
