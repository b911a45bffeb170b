"""``rilievo.Prediction``: what a model predicted for one image, with methods to use it.

Methods import what they need when they are called, because a run of the command line needs few of
them and starts sooner without the rest.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from rilievo.errors import MissingPackageError, OptionError
from rilievo.records.prediction_record import PredictionRecord

if TYPE_CHECKING:
    from PIL.Image import Image

    from rilievo.geometry.surfaces.meshes import Mesh, PointCloud
    from rilievo.io.outputs.save_options import SaveOptions
    from rilievo.measure import Measurement, OpeningFit, RegionMeasurement
    from rilievo.measure.regions import DetectedBoxes, RegionLike

_PAGE_HEIGHT = 520  # [px], of the interactive page in a notebook
_MAX_PANEL_HEIGHT = 480  # [px], of the picture in a notebook


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Prediction(PredictionRecord):  # pyright: ignore[reportGeneralTypeIssues]
    """What a model predicted for one image: depth, normals and camera, with methods to use them.

    The fields are those of ``PredictionRecord``.

    Examples:
        >>> prediction = rilievo.predict("photo.jpg", model="rilievo/small")
        >>> prediction.normals.shape
        (3, 48, 64)
    """

    @classmethod
    def from_depth(
        cls,
        photo: Any,
        depth: Any,
        camera: Any = None,
        *,
        fov: float | None = None,
        kind: str | None = None,
        unit: float | str | None = None,
        crop: str | None = None,
        encoding: str | None = None,
        depth_error: Any = None,
        known: Sequence[Any] = (),
    ) -> "Prediction":
        """Make a prediction from depth that you already have, such as that of a depth camera.

        Args:
            photo: Photograph, as for ``rilievo.predict``.
            depth: File (docs/numbers.md), or an array (h, w), whose floats are metres.
            camera: Intrinsics; by default those of the file, of EXIF, or a guess.
            fov: Horizontal field of view [degrees].
            kind: metric or up_to_scale, along the optical axis, or distance, along the ray. By
                default what the file states, else metric, or distance for a fisheye or panorama.
            unit: Metres of one count, or its unit ("mm"). By default what the file states, else
                0.001 for whole numbers and 1 for others.
            crop: Part of the photograph that the depth covers: "TOP,LEFT,HEIGHT,WIDTH", "centre",
                the name of a known crop, or "resized" for all of it in another size. Equal sizes
                and whole multiples need none.
            encoding: What the numbers hold besides depth, as pairs of the keys scale, offset,
                invalid, bits, channels, min_depth, max_depth and array: "bits=3,13 invalid=0,8191".
            depth_error: Error that eight in ten depths stay below, from which the ranges of
                measurements follow: "1%", "10mm", "0.3%/m" (growing with the square of depth), or a
                sum of these; or "network", if a network predicted the depth. By default that of
                rilievo's record of the file, else 2%.
            known: ``KnownPoint``, ``KnownLength``, ``KnownRectangle`` and ``KnownCircle``, or their
                texts. They scale depth that is not metric. Metric depth stays, and contradictions
                are noted.

        Returns:
            The prediction. Its ``notes`` say how the depth was read, such as the unit. What was not
            used, and what contradicts something else, is also a ``UserWarning``.

        Raises:
            InputError: If depth cannot be read, or its size does not fit the photograph.
            OptionError: If an argument contradicts the file.
        """
        from rilievo.prediction.from_depth import prediction_from_depth, warn_at_caller

        return prediction_from_depth(
            cls,
            photo,
            depth,
            camera,
            fov=fov,
            kind=kind,
            unit=unit,
            crop=crop,
            encoding=encoding,
            depth_error=depth_error,
            known=known,
            warn=warn_at_caller,
        )

    @property
    def anchored(self) -> "Prediction":
        """The same prediction with depth from which a surface can be made.

        Affine depth is fitted to the depth of the embedded model, which runs once, and is then
        known up to scale. Other depth stays as it is.

        Raises:
            NoDepthError: If there is no depth.
            InputError: If the fit was refused.
        """
        from rilievo.prediction.surface_depth import anchor_prediction

        return anchor_prediction(self)

    def measure(self, *points: tuple[float, float], in_plane: bool = False) -> "Measurement":
        """Measure the length between two points, or the area of a polygon of more.

        Args:
            points: (column, row) [px]: two for a length, more for an area.
            in_plane: Whether to measure in the plane of the known rectangle.

        Raises:
            OptionError: If there are fewer than two points, or no rectangle is known.
            CalibrationError: If depth is not metric, or nothing can be measured there.
        """
        from rilievo.measure import area, length

        if len(points) < 2:
            raise OptionError(
                "a length needs two points; for one point, use prediction.distance(u, v) "
                "(straight from the camera) or prediction.height(u, v) (above the floor)"
            )
        if len(points) == 2:
            return length(self, *points, in_plane=in_plane)
        return area(self, points, in_plane=in_plane)

    def distance(self, u: float, v: float, *, in_plane: bool = False) -> "Measurement":
        """Measure the distance from the camera to the surface at a pixel (column, row).

        If depth is known up to scale only, the result is a multiple of the median distance.

        Raises:
            InputError: If the depth is affine.
            CalibrationError: If the pixel has no depth.
        """
        from rilievo.measure import distance

        return distance(self, (u, v), in_plane=in_plane)

    def height(self, u: float, v: float) -> "Measurement":
        """Measure the height above the visible floor of what a pixel (column, row) shows.

        Raises:
            CalibrationError: If depth is not metric, the pixel has none, or no floor is visible.
        """
        from rilievo.measure import height

        return height(self, (u, v))

    def area(
        self, points: "Sequence[tuple[float, float]]", *, in_plane: bool = False
    ) -> "Measurement":
        """Measure the area of a flat polygon.

        Args:
            points: Its corners in order, (column, row) [px]: three or more.
            in_plane: Whether to measure in the plane of the known rectangle.

        Raises:
            OptionError: If there are fewer than three corners, or the outline crosses itself.
            CalibrationError: If depth is not metric, or nothing can be measured there.
        """
        from rilievo.measure import area

        return area(self, points, in_plane=in_plane)

    def volume(
        self,
        outline: "Sequence[tuple[float, float]]",
        base: "Sequence[tuple[float, float]]" = (),
    ) -> "Measurement":
        """Measure the volume of a heap above a plane, or of a hollow below it [m³].

        Args:
            outline: Corners of the object's outline in order, (column, row) [px]: three or more.
            base: Points of the plane [px]: three or more, such as on the rim of a bowl. By default
                the plane is fitted to the surface around the outline.

        Raises:
            OptionError: If there are too few points, or the outline crosses itself.
            CalibrationError: If depth is not metric, or the photograph does not tell the volume.
        """
        from rilievo.measure import volume

        return volume(self, outline, base)

    def fits_through(
        self,
        object_sides: "str | Sequence[float]",
        corners: "Sequence[tuple[float, float]]",
        *,
        in_plane: bool = False,
    ) -> "OpeningFit":
        """Tell whether an object fits through a rectangular opening, such as a door.

        Args:
            object_sides: Three sides [m], or a text such as ``"80x60x200cm"``.
            corners: Four corners of the opening in order around it, (column, row) [px].
            in_plane: Whether to measure in the plane of the known rectangle.

        Raises:
            OptionError: If there are not three sides, or not four corners.
            CalibrationError: If depth is not metric, or nothing can be measured there.
        """
        from rilievo.calibration.sizes import parse_object_sides
        from rilievo.measure import fits_through

        if isinstance(object_sides, str):
            object_sides = parse_object_sides(object_sides)
        return fits_through(self, object_sides, corners, in_plane=in_plane)

    @overload
    def measure_box(self, region: "RegionLike", name: str = "") -> "RegionMeasurement": ...
    @overload
    def measure_box(self, region: "DetectedBoxes") -> "list[RegionMeasurement]": ...
    def measure_box(
        self, region: "RegionLike | DetectedBoxes", name: str = ""
    ) -> "RegionMeasurement | list[RegionMeasurement]":
        """Measure the distance and the size of the object in a bounding box or a mask.

        Args:
            region: Upper left and lower right corner of the box (u1, v1, u2, v2) [px]; or a mask
                (h, w), true at the object. Or all boxes of a detector, such as
                ``supervision.Detections``, for which the result is a list.
            name: Name of the object, for the result. The boxes of a detector have their own names.

        Raises:
            InputError: If the depth is affine, or the size of a mask is not that of the image.
            OptionError: If the box is malformed, or lies outside of the image.
            CalibrationError: If too few pixels of the region have depth.
        """
        from rilievo.measure.region_measurer import RegionMeasurer
        from rilievo.measure.regions import DetectedBoxes, regions_of_detector

        measurer = RegionMeasurer(self)
        if not isinstance(region, DetectedBoxes):
            return measurer.measure(region, name)
        return [measurer.measure(detected) for detected in regions_of_detector(region)]

    def save(
        self,
        stem: str | Path,
        names: str | Sequence[str] | None = None,
        options: "SaveOptions | None" = None,
    ) -> list[Path]:
        """Save to files, by ``"out/cat.glb"`` or by ``"out/cat", "png16,glb"``.

        See ``rilievo.save``.
        """
        from rilievo.prediction.saving import save

        return save(self, stem, names, options)

    def show(self) -> None:
        """Show the photograph, depth and normals in the notebook, or else in a picture viewer."""
        from rilievo.io.outputs.formats.panel import panel_picture

        picture = panel_picture(self)
        if _is_in_notebook():
            import_module("IPython.display").display(picture)
        else:
            picture.show(title=repr(self))

    def colour(self, colour_map: str | None = None) -> "Image":
        """Draw depth as an RGB picture, by default in the spectral colour map (near is red).

        Raises:
            NoDepthError: If there is no depth.
            OptionError: If there is no such colour map.
        """
        from PIL import Image

        from rilievo.io.outputs.formats.colour_files import depth_picture
        from rilievo.io.outputs.save_options import SaveOptions

        options = SaveOptions() if colour_map is None else SaveOptions(colour_map=colour_map)
        return Image.fromarray(depth_picture(self, options))

    def color(self, color_map: str | None = None) -> "Image":
        """American spelling of ``colour``."""
        return self.colour(color_map)

    def points(self, *, step: int | None = None) -> "PointCloud":
        """Point cloud of the surface, in the camera frame.

        Args:
            step: Take every ``step``-th row and column. By default it is the smallest that makes at
                most a million points.

        Raises:
            NoDepthError: If there is no depth.
            InputError: If the depth is affine and cannot be anchored.
        """
        from rilievo.geometry.surfaces.meshes import point_cloud
        from rilievo.io.outputs.save_options import SaveOptions
        from rilievo.io.outputs.sky import surface_pixels

        options = SaveOptions()
        anchored = self.anchored
        return point_cloud(
            anchored.depth.depth(),
            anchored.known_camera,
            surface_pixels(anchored, options.drops),
            colours=None if self.photo is None else self.photo.pixels,
            normals=anchored.normals,
            step=_surface_step(self.shape, options, step),
            cut=options.cut,
        )

    def mesh(self, *, step: int | None = None) -> "Mesh":
        """Mesh of the surface in the camera frame, with gaps at occluding edges.

        Args:
            step: As for ``points``.

        Raises:
            NoDepthError: If there is no depth.
            InputError: If the depth is affine and cannot be anchored.
        """
        from rilievo.geometry.surfaces.meshes import mesh
        from rilievo.io.outputs.save_options import SaveOptions
        from rilievo.io.outputs.sky import surface_pixels

        options = SaveOptions()
        anchored = self.anchored
        photo = self.photo
        surface = mesh(
            anchored.depth.depth(),
            anchored.known_camera,
            surface_pixels(anchored, options.drops),
            hollow=None if photo is None else photo.transparent,
            normals=anchored.normals,
            step=_surface_step(self.shape, options, step),
            cut=options.cut,
            smooth=True,
        )
        if photo is None:
            return surface

        height, width = photo.shape
        columns, rows = np.rint(surface.pixels).astype(int).T
        # Columns wrap around, because the right end of a panorama continues at its left.
        colours = photo.pixels[rows.clip(0, height - 1), columns % width]
        return replace(surface, colours=colours)

    def to_trimesh(self, *, step: int | None = None) -> Any:
        """Convert the surface to a textured ``trimesh.Trimesh``, in the camera frame.

        Raises:
            MissingPackageError: If trimesh is not installed.
            InputError: As for ``mesh``.
        """
        from PIL import Image

        trimesh = _import_package("trimesh", "to_trimesh")
        surface = self.mesh(step=step)
        visual = None
        if self.photo is not None:
            height, width = self.photo.shape
            # Pixel centres become texture coordinates from 0 to 1, which start at the lower left
            # corner of the picture in trimesh.
            uv = (surface.pixels + 0.5) / (width, height)
            uv[:, 1] = 1 - uv[:, 1]
            visual = trimesh.visual.TextureVisuals(uv=uv, image=Image.fromarray(self.photo.pixels))
        return trimesh.Trimesh(
            vertices=surface.points,
            faces=surface.triangles,
            vertex_normals=surface.normals,
            visual=visual,
            process=False,
        )

    def to_open3d(self, *, step: int | None = None) -> Any:
        """Convert the surface to an ``open3d.geometry.PointCloud``, in the camera frame.

        Raises:
            MissingPackageError: If Open3D is not installed.
            InputError: As for ``points``.
        """
        open3d = _import_package("open3d", "to_open3d")
        to_vectors = open3d.utility.Vector3dVector
        cloud = self.points(step=step)
        converted = open3d.geometry.PointCloud()
        converted.points = to_vectors(cloud.points)
        converted.normals = to_vectors(cloud.normals)
        if cloud.colours is not None:
            converted.colors = to_vectors(cloud.colours / 255)
        return converted

    def _repr_png_(self) -> bytes:
        """Draw photograph, depth and normals as a PNG for a notebook."""
        from PIL import Image

        from rilievo.io.outputs.formats.panel import panel_picture

        picture = panel_picture(self)
        if picture.height > _MAX_PANEL_HEIGHT:
            width = max(1, round(picture.width * _MAX_PANEL_HEIGHT / picture.height))
            picture = picture.resize((width, _MAX_PANEL_HEIGHT), Image.Resampling.LANCZOS)
        stream = BytesIO()
        picture.save(stream, "PNG")
        return stream.getvalue()

    def _repr_html_(self) -> str:
        """Embed the page of ``--save html`` in a frame for a notebook."""
        from html import escape
        from tempfile import TemporaryDirectory

        from rilievo.prediction.saving import save

        with TemporaryDirectory() as folder:
            [page_path, _] = save(self, Path(folder, "page"), ["html"], durable=False)
            page = page_path.read_text(encoding="utf-8")
        return (
            f'<iframe srcdoc="{escape(page)}" sandbox="allow-scripts allow-downloads" '
            f'style="width: 100%; height: {_PAGE_HEIGHT}px; border: 0"></iframe>'
        )


def _is_in_notebook() -> bool:
    """Whether IPython runs with a kernel; in its console, which has none, it shows no pictures."""
    ipython: Any = sys.modules.get("IPython")
    if ipython is None:
        return False
    return getattr(ipython.get_ipython(), "kernel", None) is not None


def _import_package(name: str, method: str) -> Any:
    """Import a package that a method needs, or raise ``MissingPackageError``."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise MissingPackageError(f"{method}()", name) from error


def _surface_step(shape: tuple[int, int], options: "SaveOptions", step: int | None) -> int:
    """Step [px] between the points of a surface; by default it bounds their number."""
    from rilievo.geometry.surfaces.meshes import surface_step

    if step is None:
        return surface_step(shape, options.surface_points)
    if step < 1:
        raise OptionError(f"step must be at least 1, got {step}")
    return step
