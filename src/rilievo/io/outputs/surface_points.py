"""Points of a surface, with the facts that all files of surfaces have."""

from rilievo.errors import InputError
from rilievo.geometry.surfaces.surface import PointCloud, point_cloud, surface_step
from rilievo.io.outputs.dropping import sky_share, surface_pixels
from rilievo.io.outputs.facts import OUR_AXES, FileFacts, SurfaceFacts
from rilievo.io.outputs.writing import WriteJob
from rilievo.types import Camera, DepthMap


def surface_points(
    job: WriteJob, depth: DepthMap, camera: Camera, *, form: str, holds: str
) -> tuple[PointCloud, FileFacts]:
    """Points of the surface in the camera's frame, and the facts of a file that holds them.

    Args:
        job: File to write.
        depth: Depth of the photograph.
        camera: Camera of the photograph.
        form: Noun for the error, such as "a point cloud".
        holds: Contents of the file.

    Raises:
        InputError: If no surface is left.
    """
    options, photo = job.options, job.prediction.photo
    step = surface_step(depth.shape, options.surface_points)
    cloud = point_cloud(
        depth.depth(),
        camera,
        surface_pixels(job.prediction, options.drop),
        colours=None if photo is None else photo.pixels,
        normals=job.prediction.normals,
        step=step,
        cut=options.cut,
        backing=options.backing,
    )
    if not len(cloud.points):
        raise InputError(f"{job.about.source.file}: no surface is left to write as {form}")
    facts = FileFacts(
        file=job.file,
        output=job.output,
        holds=holds,
        unit=job.depth_facts.unit,
        axes=OUR_AXES,
        surface=surface_facts(job, step=step, points=len(cloud.points)),
    )
    return cloud, facts


def surface_facts(
    job: WriteJob,
    *,
    step: int,
    points: int,
    triangles: int | None = None,
    texture_width: int | None = None,
) -> SurfaceFacts:
    """Description of a surface: its size, the options by which it was made.

    Args:
        job: File to write.
        step: Step between the pixels that became points.
        points: Number of points, or of vertices.
        triangles: Number of triangles; None for points.
        texture_width: Width of the texture [px]; None without one.
    """
    options = job.options
    return SurfaceFacts(
        pixel_step=step,
        points=points,
        triangles=triangles,
        edge_jump=options.edge,
        grazing_degrees=options.grazing,
        specks=options.specks,
        dropped=options.dropped,
        sky=sky_share(job.prediction),
        backing=options.backing or None,
        texture_width=texture_width,
    )
