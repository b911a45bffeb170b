"""``rilievo.Prediction``, whose methods' bodies are imported on demand."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, overload

from rilievo.records.prediction_record import PredictionRecord

if TYPE_CHECKING:
    from PIL.Image import Image

    from rilievo.geometry.surfaces.meshes import Mesh, PointCloud
    from rilievo.io.outputs.save_options import SaveOptions
    from rilievo.measure.extents import RegionMeasurement
    from rilievo.measure.quantities import Measurement
    from rilievo.measure.regions import DetectedBoxes, RegionLike


def _import_methods() -> ModuleType:
    from rilievo.prediction import methods

    return methods


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Prediction(PredictionRecord):  # pyright: ignore[reportGeneralTypeIssues]
    """Prediction for one image: a ``PredictionRecord`` with methods.

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
        unit: float | None = None,
        crop: str | None = None,
    ) -> "Prediction":
        """Make a prediction of depth at hand, such as a depth camera's.

        Args:
            photo: Photograph, as for ``rilievo.predict``.
            depth: File (docs/numbers.md), or an array (h, w), floats in metres.
            camera: Intrinsics; by default the file's, EXIF's, or a guess.
            fov: Horizontal field of view [degrees].
            kind: metric, up_to_scale or distance; by default the file's, else metric.
            unit: Metres of one number; by default the file's, else 0.001 of whole numbers and 1 of
                others.
            crop: Part of the map: "TOP,LEFT,HEIGHT,WIDTH".

        Raises:
            InputError: If depth cannot be read, or has another size.
            OptionError: If an argument contradicts the file.
        """
        from rilievo.prediction.methods import prediction_of_depth

        return prediction_of_depth(
            cls, photo, depth, camera, fov=fov, kind=kind, unit=unit, crop=crop
        )

    @property
    def anchored(self) -> "Prediction":
        """Prediction with depth for surfaces.

        Affine depth becomes up to scale by the embedded model, which runs once (``anchoring``).

        Raises:
            NoDepthError: If there is no depth.
            InputError: If it cannot be anchored.
        """
        return _import_methods().anchor_prediction(self)

    def measure(self, *points: tuple[float, float], in_plane: bool = False) -> "Measurement":
        """Measure a length or an area.

        Args:
            points: (column, row) [px]: two for a length, more for an area.
            in_plane: Whether they lie in a known rectangle's plane.

        Raises:
            OptionError: If points are too few, or no rectangle is known.
            CalibrationError: If depth is not in metres, or nothing can be measured.
        """
        return _import_methods().measure(self, points, in_plane=in_plane)

    def distance(self, u: float, v: float, *, in_plane: bool = False) -> "Measurement":
        """Measure the distance from the camera to a pixel (column, row).

        Without metres it is a multiple of the median.

        Raises:
            InputError: If the depth has an unknown shift.
            CalibrationError: If the point has no depth.
        """
        return _import_methods().distance(self, (u, v), in_plane=in_plane)

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
        return _import_methods().measure_box(self, region, name)

    def save(
        self,
        stem: str | Path,
        names: str | Sequence[str] | None = None,
        options: "SaveOptions | None" = None,
    ) -> list[Path]:
        """Write files, as ``rilievo.save`` does: ``"out/cat.glb"``, ``"out/cat", "png16,glb"``."""
        return _import_methods().save(self, stem, names, options)

    def show(self) -> None:
        """Show photograph, depth and normals, in a notebook or viewer."""
        _import_methods().show(self)

    def colour(self, colour_map: str | None = None) -> "Image":
        """Draw depth as an RGB picture, near red (spectral).

        Raises:
            NoDepthError: If there is no depth.
            OptionError: If there is no such colour map.
        """
        return _import_methods().colour(self, colour_map)

    def color(self, color_map: str | None = None) -> "Image":
        """American spelling of ``colour``."""
        return self.colour(color_map)

    def points(self, *, step: int | None = None) -> "PointCloud":
        """Points of the surface in the camera frame, at most a million by default.

        Raises:
            NoDepthError: If there is no depth.
            InputError: If it cannot be anchored.
        """
        return _import_methods().points(self, step)

    def mesh(self, *, step: int | None = None) -> "Mesh":
        """Mesh of the surface in the camera frame, cut where depth jumps.

        Raises:
            NoDepthError: If there is no depth.
            InputError: If it cannot be anchored.
        """
        return _import_methods().mesh(self, step)

    def to_trimesh(self, *, step: int | None = None) -> Any:
        """Convert to a textured ``trimesh.Trimesh``, in the camera frame.

        Raises:
            MissingPackageError: If trimesh is not installed.
            InputError: As for ``mesh``.
        """
        return _import_methods().to_trimesh(self, step)

    def to_open3d(self, *, step: int | None = None) -> Any:
        """Convert to an ``open3d.geometry.PointCloud``, in the camera frame.

        Raises:
            MissingPackageError: If Open3D is not installed.
            InputError: As for ``points``.
        """
        return _import_methods().to_open3d(self, step)

    def _repr_png_(self) -> bytes:
        return _import_methods().panel_png(self)

    def _repr_html_(self) -> str:
        return _import_methods().page_iframe(self)
