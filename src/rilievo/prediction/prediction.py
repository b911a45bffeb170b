"""``rilievo.Prediction``: the record of a model's answer, with methods.

Methods import what they need when they are called: a run of the command line needs few of them, and
starts in less time.
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
    from rilievo.measure.measurements import Measurement
    from rilievo.measure.region_measurements import RegionMeasurement
    from rilievo.measure.regions import DetectedBoxes, RegionLike

_PAGE_HEIGHT = 520  # px, of a page in a notebook
_PANEL_HEIGHT = 480  # px, of a picture in a notebook


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Prediction(PredictionRecord):  # pyright: ignore[reportGeneralTypeIssues]
    """Prediction for one image: a ``PredictionRecord`` with methods.

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
        """Make a prediction of depth at hand, such as a depth camera's.

        Args:
            photo: Photograph, as for ``rilievo.predict``.
            depth: File (docs/numbers.md), or an array (h, w), floats in metres.
            camera: Intrinsics; by default the file's, EXIF's, or a guess.
            fov: Horizontal field of view [degrees].
            kind: metric or up_to_scale, along the optical axis, or distance, along the ray; by
                default the file's, else metric, and distance of a fisheye or panorama.
            unit: Metres of one number, or its unit ("mm"); by default the file's, else 0.001 of
                whole numbers and 1 of others.
            crop: Part of the photograph that the depth is of: "TOP,LEFT,HEIGHT,WIDTH", "centre",
                the name of a known crop, or "resized" for all of it in another size. Equal sizes
                and whole multiples need none.
            encoding: What the numbers hold besides depth, as pairs of the keys scale, offset,
                invalid, bits, channels, min_depth, max_depth and array: "bits=3,13 invalid=0,8191".
            depth_error: Error that eight in ten of its depths stay below, which the ranges of
                measurements follow: "1%", "10mm", "0.3%/m" (growing with the square of depth), or a
                sum of these; or "network", if a network predicted the depth. By default that of
                rilievo's record of the file, else 2 % is assumed.
            known: ``KnownPoint``, ``KnownLength`` and ``KnownRectangle``, or their texts. They
                scale depth without metres; depth in metres stays, and contradictions are noted.

        Returns:
            The prediction. Its ``notes`` say how the depth was read, such as the unit. A note on
            what was not used, or on what contradicts something else, is a ``UserWarning`` too.

        Raises:
            InputError: If depth cannot be read, or has another size.
            OptionError: If an argument contradicts the file.
        """
        from rilievo.prediction.from_depth import prediction_of_depth, warn_at_caller

        return prediction_of_depth(
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
            tell=warn_at_caller,
        )

    @property
    def anchored(self) -> "Prediction":
        """Prediction with depth for surfaces.

        Affine depth becomes up to scale by the embedded model, which runs once (``anchoring``).

        Raises:
            NoDepthError: If there is no depth.
            InputError: If it cannot be anchored.
        """
        from rilievo.prediction.saving import anchor_prediction

        return anchor_prediction(self)

    def measure(self, *points: tuple[float, float], in_plane: bool = False) -> "Measurement":
        """Measure a length or an area.

        Args:
            points: (column, row) [px]: two for a length, more for an area.
            in_plane: Whether they lie in a known rectangle's plane.

        Raises:
            OptionError: If points are too few, or no rectangle is known.
            CalibrationError: If depth is not in metres, or nothing can be measured.
        """
        from rilievo.measure import area, length

        if len(points) < 2:
            raise OptionError(
                "one point is prediction.distance(u, v), straight from the camera, or "
                "rilievo.measure.height(prediction, (u, v)), above the floor; two are for a length"
            )
        if len(points) == 2:
            return length(self, *points, in_plane=in_plane)
        return area(self, points, in_plane=in_plane)

    def distance(self, u: float, v: float, *, in_plane: bool = False) -> "Measurement":
        """Measure the distance from the camera to a pixel (column, row).

        Without metres it is a multiple of the median.

        Raises:
            InputError: If the depth has an unknown shift.
            CalibrationError: If the point has no depth.
        """
        from rilievo.measure import distance

        return distance(self, (u, v), in_plane=in_plane)

    @overload
    def measure_box(self, region: "RegionLike", name: str = "") -> "RegionMeasurement": ...
    @overload
    def measure_box(self, region: "DetectedBoxes") -> "list[RegionMeasurement]": ...
    def measure_box(self, region: Any, name: str = "") -> Any:
        """Measure distance and size of the thing in a region.

        Args:
            region: Box (u1, v1, u2, v2) [px], mask (h, w), or a detector's boxes, for a list.
            name: Name of the thing.

        Raises:
            InputError: If depth has an unknown shift, or a mask another size.
            OptionError: If it is no box, or lies outside.
            CalibrationError: If there is too little depth.
        """
        from rilievo.measure.region_measurer import RegionMeasurer
        from rilievo.measure.regions import DetectedBoxes, as_region, regions_of_detector

        extents = RegionMeasurer(self)
        if isinstance(region, DetectedBoxes):
            return [extents.measure(detection) for detection in regions_of_detector(region)]
        return extents.measure(as_region(region, name))

    def save(
        self,
        stem: str | Path,
        names: str | Sequence[str] | None = None,
        options: "SaveOptions | None" = None,
    ) -> list[Path]:
        """Write files, as ``rilievo.save`` does: ``"out/cat.glb"``, ``"out/cat", "png16,glb"``."""
        from rilievo.prediction.saving import save

        return save(self, stem, names, options)

    def show(self) -> None:
        """Show photograph, depth and normals, in a notebook or viewer."""
        from rilievo.io.outputs.formats.panel import panel_picture

        picture = panel_picture(self)
        ipython: Any = sys.modules.get("IPython")
        # Consoles of IPython have no kernel, and cannot show pictures.
        if getattr(ipython and ipython.get_ipython(), "kernel", None) is None:
            picture.show(title=repr(self))
        else:
            import_module("IPython.display").display(picture)

    def colour(self, colour_map: str | None = None) -> "Image":
        """Draw depth as an RGB picture, near red (spectral).

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
        """Points of the surface in the camera frame, at most a million by default.

        Raises:
            NoDepthError: If there is no depth.
            InputError: If it cannot be anchored.
        """
        from rilievo.geometry.surfaces.meshes import point_cloud
        from rilievo.io.outputs.save_options import SaveOptions
        from rilievo.io.outputs.skyline import surface_pixels

        options, anchored = SaveOptions(), self.anchored
        return point_cloud(
            anchored.depth.depth(),
            anchored.known_camera,
            surface_pixels(anchored, options.drops),
            colours=None if self.photo is None else self.photo.pixels,
            normals=anchored.normals,
            step=_step_or_usual(self.shape, options, step),
            cut=options.cut,
        )

    def mesh(self, *, step: int | None = None) -> "Mesh":
        """Mesh of the surface in the camera frame, cut where depth jumps.

        Raises:
            NoDepthError: If there is no depth.
            InputError: If it cannot be anchored.
        """
        from rilievo.geometry.surfaces.meshes import mesh
        from rilievo.io.outputs.save_options import SaveOptions
        from rilievo.io.outputs.skyline import surface_pixels

        options, anchored, photo = SaveOptions(), self.anchored, self.photo
        surface = mesh(
            anchored.depth.depth(),
            anchored.known_camera,
            surface_pixels(anchored, options.drops),
            hollow=None if photo is None else photo.transparent,
            normals=anchored.normals,
            step=_step_or_usual(self.shape, options, step),
            cut=options.cut,
            smooth=True,
        )
        if photo is None:
            return surface
        height, width = photo.shape
        columns, rows = np.rint(surface.pixels).astype(int).T
        return replace(surface, colours=photo.pixels[rows.clip(0, height - 1), columns % width])

    def to_trimesh(self, *, step: int | None = None) -> Any:
        """Convert to a textured ``trimesh.Trimesh``, in the camera frame.

        Raises:
            MissingPackageError: If trimesh is not installed.
            InputError: As for ``mesh``.
        """
        from PIL import Image

        trimesh = _import_package("trimesh", "to_trimesh")
        surface, photo = self.mesh(step=step), self.photo
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

    def to_open3d(self, *, step: int | None = None) -> Any:
        """Convert to an ``open3d.geometry.PointCloud``, in the camera frame.

        Raises:
            MissingPackageError: If Open3D is not installed.
            InputError: As for ``points``.
        """
        open3d = _import_package("open3d", "to_open3d")
        cloud = self.points(step=step)
        converted, rows = open3d.geometry.PointCloud(), open3d.utility.Vector3dVector
        converted.points, converted.normals = rows(cloud.points), rows(cloud.normals)
        if cloud.colours is not None:
            converted.colors = rows(cloud.colours / 255)
        return converted

    def _repr_png_(self) -> bytes:
        """Panel for a notebook, at most 480 px high."""
        from PIL import Image

        from rilievo.io.outputs.formats.panel import panel_picture

        picture = panel_picture(self)
        if picture.height > _PANEL_HEIGHT:
            width = max(1, round(picture.width * _PANEL_HEIGHT / picture.height))
            picture = picture.resize((width, _PANEL_HEIGHT), Image.Resampling.LANCZOS)
        stream = BytesIO()
        picture.save(stream, "PNG")
        return stream.getvalue()

    def _repr_html_(self) -> str:
        """Page of ``--save html`` for a notebook."""
        from html import escape
        from tempfile import TemporaryDirectory

        from rilievo.prediction.saving import save

        with TemporaryDirectory() as folder:
            [page, _] = save(self, Path(folder, "page"), ["html"], durable=False)
            text = page.read_text(encoding="utf-8")
        return (
            f'<iframe srcdoc="{escape(text)}" sandbox="allow-scripts allow-downloads" '
            f'style="width: 100%; height: {_PAGE_HEIGHT}px; border: 0"></iframe>'
        )


def _import_package(name: str, method: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise MissingPackageError(f"{method}()", name) from error


def _step_or_usual(shape: tuple[int, int], options: "SaveOptions", step: int | None) -> int:
    from rilievo.geometry.surfaces.meshes import surface_step

    if step is None:
        return surface_step(shape, options.surface_points)
    if step < 1:
        raise OptionError(f"step is at least 1, got {step}")
    return step
