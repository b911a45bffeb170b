"""Bodies of ``rilievo.Prediction``'s methods."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from html import escape
from importlib import import_module
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image

from rilievo.errors import MissingPackageError, OptionError
from rilievo.geometry.surfaces import meshes as surfaces
from rilievo.geometry.surfaces.meshes import Mesh, PointCloud, surface_step
from rilievo.io.outputs.dropping import surface_pixels
from rilievo.io.outputs.formats.colour_files import depth_picture
from rilievo.io.outputs.formats.panel import panel_picture
from rilievo.io.outputs.save_options import SaveOptions
from rilievo.measure import area, length
from rilievo.measure import distance as distance
from rilievo.measure.extents import Extents, RegionMeasurement
from rilievo.measure.regions import DetectedBoxes, RegionLike, detected_regions, region_of
from rilievo.measured_quantity import Measurement
from rilievo.prediction.anchored import anchored
from rilievo.prediction.saving import save
from rilievo.types import Prediction

_FRAME_HEIGHT = 520  # px, of a page in a notebook
_PANEL_HEIGHT = 480  # px, of a picture in a notebook


def measure(
    prediction: Prediction, points: Sequence[tuple[float, float]], *, in_plane: bool
) -> Measurement:
    """Measure a length or area."""
    if len(points) < 2:
        raise OptionError(
            "one point is prediction.distance(u, v), straight from the camera, or "
            "rilievo.measure.height(prediction, (u, v)), above the floor; two are for a length"
        )
    if len(points) == 2:
        return length(prediction, *points, in_plane=in_plane)
    return area(prediction, points, in_plane=in_plane)


def measure_box(
    prediction: Prediction, region: RegionLike | DetectedBoxes, name: str
) -> RegionMeasurement | list[RegionMeasurement]:
    """Measure things in a region."""
    extents = Extents(prediction)
    if isinstance(region, DetectedBoxes):
        return [extents.measure(detection) for detection in detected_regions(region)]
    return extents.measure(region_of(region, name))


def colour(prediction: Prediction, colour_map: str | None = None) -> Image.Image:
    """Draw depth in colours.

    Raises:
        NoDepthError: If there is no depth.
        OptionError: If there is no such colour map.
    """
    options = SaveOptions() if colour_map is None else SaveOptions(colour_map=colour_map)
    return Image.fromarray(depth_picture(prediction, options))


def show(prediction: Prediction) -> None:
    """Show the panel."""
    picture = panel_picture(prediction)
    ipython: Any = sys.modules.get("IPython")
    # Consoles of IPython have no kernel, and cannot show pictures.
    if getattr(ipython and ipython.get_ipython(), "kernel", None) is None:
        picture.show(title=repr(prediction))
    else:
        import_module("IPython.display").display(picture)


def panel_png(prediction: Prediction) -> bytes:
    """Panel as a PNG for a notebook."""
    picture = panel_picture(prediction)
    if picture.height > _PANEL_HEIGHT:
        width = max(1, round(picture.width * _PANEL_HEIGHT / picture.height))
        picture = picture.resize((width, _PANEL_HEIGHT), Image.Resampling.LANCZOS)
    stream = BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()


def framed_page(prediction: Prediction) -> str:
    """Page of ``--save html`` in an iframe."""
    with TemporaryDirectory() as folder:
        [page, _] = save(prediction, Path(folder, "page"), ["html"], durable=False)
        text = page.read_text(encoding="utf-8")
    return (
        f'<iframe srcdoc="{escape(text)}" sandbox="allow-scripts allow-downloads" '
        f'style="width: 100%; height: {_FRAME_HEIGHT}px; border: 0"></iframe>'
    )


def points(prediction: Prediction, step: int | None = None) -> PointCloud:
    """Points as ``--save ply`` writes them.

    Raises:
        InputError: If depth is affine, or the camera unknown.
    """
    prediction = anchored(prediction)
    options, depth, photo = SaveOptions(), prediction.depth, prediction.photo
    return surfaces.point_cloud(
        depth.depth(),
        prediction.known_camera,
        surface_pixels(prediction, options.drops),
        colours=None if photo is None else photo.pixels,
        normals=prediction.normals,
        step=_step(prediction, options, step),
        cut=options.cut,
    )


def mesh(prediction: Prediction, step: int | None = None) -> Mesh:
    """Mesh as of ``--save glb``, not merged."""
    prediction = anchored(prediction)
    options, depth, photo = SaveOptions(), prediction.depth, prediction.photo
    surface = surfaces.mesh(
        depth.depth(),
        prediction.known_camera,
        surface_pixels(prediction, options.drops),
        hollow=None if photo is None else photo.transparent,
        normals=prediction.normals,
        step=_step(prediction, options, step),
        cut=options.cut,
        smooth=True,
    )
    if photo is None:
        return surface
    height, width = photo.shape
    columns, rows = np.rint(surface.pixels).astype(int).T
    return replace(surface, colours=photo.pixels[rows.clip(0, height - 1), columns % width])


def to_trimesh(prediction: Prediction, step: int | None = None) -> Any:
    """Mesh of trimesh with the photograph as texture."""
    trimesh = _package("trimesh", "to_trimesh")
    surface, photo = mesh(prediction, step), prediction.photo
    visual = None
    if photo is not None:
        height, width = photo.shape
        # In trimesh, texture coordinates start at the lower left corner of the picture.
        uv = (surface.pixels + 0.5) / (width, height)
        uv[:, 1] = 1 - uv[:, 1]
        visual = trimesh.visual.TextureVisuals(uv=uv, image=Image.fromarray(photo.pixels))
    return trimesh.Trimesh(
        vertices=surface.points,
        faces=surface.triangles,
        vertex_normals=surface.normals,
        visual=visual,
        process=False,
    )


def to_open3d(prediction: Prediction, step: int | None = None) -> Any:
    """Points of Open3D with normals and colours."""
    open3d = _package("open3d", "to_open3d")
    cloud = points(prediction, step)
    made, rows = open3d.geometry.PointCloud(), open3d.utility.Vector3dVector
    made.points, made.normals = rows(cloud.points), rows(cloud.normals)
    if cloud.colours is not None:
        made.colors = rows(cloud.colours / 255)
    return made


def _package(name: str, method: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise MissingPackageError(f"{method}()", name) from error


def _step(prediction: Prediction, options: SaveOptions, step: int | None) -> int:
    if step is None:
        return surface_step(prediction.shape, options.surface_points)
    if step < 1:
        raise OptionError(f"step is at least 1, got {step}")
    return step
