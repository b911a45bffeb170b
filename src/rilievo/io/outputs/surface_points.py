"""Points of a surface, with the description of the files that hold them."""

from dataclasses import replace

from rilievo.errors import InputError
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.surfaces.meshes import FrontCloud, Mesh, PointCloud, front_cloud, surface_step
from rilievo.io.outputs.sidecar import OUR_AXES, FileFacts, SurfaceFacts
from rilievo.io.outputs.sky import sky_share, surface_pixels
from rilievo.io.outputs.writing import WriteJob
from rilievo.records.depth_map import DepthMap

_POINT_OUTPUTS = ("ply", "splat", "spz")
"""Outputs that are made from the same points."""


def surface_points(
    job: WriteJob,
    depth: DepthMap,
    camera: Camera,
    *,
    form: str,
    holds: str,
    default_backing: float = 0.0,
) -> tuple[PointCloud, FileFacts]:
    """Make the points of the surface in the camera frame, and describe the file that holds them.

    Args:
        job: File to write.
        depth: Depth from which surfaces are made.
        camera: Camera of the depth.
        form: What the error calls the file, such as "a point cloud".
        holds: Content of the file in words.
        default_backing: How far surfaces continue behind nearer ones, as a fraction of the width,
            if the options do not state it.

    Raises:
        InputError: If no surface is left.
    """
    options = job.options
    step = surface_step(depth.shape, options.surface_points)
    backing = default_backing if options.backing is None else options.backing
    cloud = _visible_points(job, depth, camera, step).with_backing(backing)
    if not len(cloud.points):
        raise InputError(
            f"no surface is left to write as {form}: sky, pixels without depth and dropped parts "
            "are left out",
            path=job.sidecar.source.file,
        )
    surface = surface_facts(job, step=step, points=len(cloud.points))
    file_facts = replace(
        job.describe_file(holds),
        unit=job.depth_facts.unit,
        axes=OUR_AXES,
        surface=replace(surface, backing=backing or None),
    )
    return cloud, file_facts


def _visible_points(job: WriteJob, depth: DepthMap, camera: Camera, step: int) -> FrontCloud:
    """Points of the visible surface, which are computed once for all outputs of points."""
    options, photo = job.options, job.prediction.photo
    cache_key = ("points", options)
    visible = job.cache.pop(cache_key, None)
    if visible is None:
        visible = front_cloud(
            depth.depth(),
            camera,
            surface_pixels(job.prediction, options.drops),
            colours=None if photo is None else photo.pixels,
            normals=job.prediction.normals,
            step=step,
            cut=options.cut,
        )
    # The last output of points does not put them back into the cache, so their memory is freed.
    is_needed_later = not job.later_outputs.isdisjoint(_POINT_OUTPUTS)
    if is_needed_later:
        job.cache[cache_key] = visible
    return visible


def mesh_facts(
    job: WriteJob, surface: Mesh, *, step: int, texture_width: int | None = None
) -> SurfaceFacts:
    """Describe a mesh that has a vertex at every ``step``-th pixel."""
    backing = job.options.mesh_backing
    return replace(
        surface_facts(job, step=step, points=len(surface.points)),
        triangles=len(surface.triangles),
        backdrop=surface.backdrop or None,
        behind=surface.behind or None,
        grazing_degrees=0.0 if backing else job.options.grazing,
        backing=backing or None,
        texture_width=texture_width,
    )


def surface_facts(job: WriteJob, *, step: int, points: int) -> SurfaceFacts:
    """Describe a surface that has a point at every ``step``-th pixel."""
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
