"""Methods of ``Prediction``: measure, show, save, and convert to what other packages take.

What they call builds on the records, so it is imported by name where it is used, and importing
the records stays cheap.
"""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rilievo.measurement import Measurement

if TYPE_CHECKING:
    from PIL.Image import Image

    from rilievo.geometry.surface import Mesh, PointCloud
    from rilievo.io.writing import SaveOptions


class PredictionMethods:
    """Mixed into ``rilievo.Prediction``."""

    __slots__ = ()

    def measure(self, *points: tuple[float | int, float | int]) -> Measurement:
        """A height, length or area in the photograph.

        Args:
            points: (column, row) [px]: one for its height above the floor, two for the length
                between them, three or more for the area that they go around.

        Raises:
            CalibrationError: If depth is not in metres, or nothing can be measured there.
        """
        measuring = import_module("rilievo.measure")
        if len(points) == 1:
            return measuring.height(self, points[0])
        if len(points) == 2:
            return measuring.length(self, *points)
        return measuring.area(self, points)

    def save(
        self,
        stem: str | Path,
        names: Sequence[str] = ("colour",),
        options: "SaveOptions | None" = None,
    ) -> list[Path]:
        """Write files, as ``rilievo.save`` does: ``prediction.save("out/cat", ["png16", "glb"])``.

        Returns:
            The files in the order of ``names``, then the JSON that explains them.
        """
        return import_module("rilievo.io.outputs").save(self, stem, names, options)

    def show(self) -> None:
        """Open photograph, depth and normals side by side in the system's viewer of pictures."""
        import_module("rilievo.io.formats.panel").panel_picture(self).show(title=repr(self))

    def colour(self, colour_map: str | None = None) -> "Image":
        """Depth as an RGB picture in colours; near is bright.

        Args:
            colour_map: As ``--colour-map`` takes it; viridis when None.

        Raises:
            NoDepthError: If there is no depth.
            OptionError: If there is no such colour map.
        """
        return import_module("rilievo.io.in_memory").colour(self, colour_map)

    def points(self, *, step: int | None = None) -> "PointCloud":
        """Points of the surface with normals and colours, in the camera frame.

        Args:
            step: Every which row and column; as few as give a million points when None.

        Raises:
            NoDepthError: If there is no depth.
            InputError: If the kind of depth is affine, of which no surface can be made.
        """
        return import_module("rilievo.io.in_memory").points(self, step)

    def mesh(self, *, step: int | None = None) -> "Mesh":
        """Triangle mesh of the surface, torn where depth jumps, in the camera frame.

        Args:
            step: Every which row and column; as few as give a million vertices when None.

        Raises:
            NoDepthError: If there is no depth.
            InputError: If the kind of depth is affine, of which no surface can be made.
        """
        return import_module("rilievo.io.in_memory").mesh(self, step)

    def to_trimesh(self, *, step: int | None = None) -> Any:
        """Mesh as a ``trimesh.Trimesh`` that wears the photograph, in the camera frame.

        Raises:
            MissingPackageError: If trimesh is not installed.
            InputError: As ``mesh``.
        """
        return import_module("rilievo.io.in_memory").to_trimesh(self, step)

    def to_open3d(self, *, step: int | None = None) -> Any:
        """Points, normals and colours as an ``open3d.geometry.PointCloud``, in the camera frame.

        Raises:
            MissingPackageError: If Open3D is not installed.
            InputError: As ``points``.
        """
        return import_module("rilievo.io.in_memory").to_open3d(self, step)

    def __repr__(self) -> str:
        """Say in one line what it holds."""
        return import_module("rilievo.io.in_memory").line(self)

    def _repr_png_(self) -> bytes:
        """Photograph, depth and normals side by side, for notebooks."""
        return import_module("rilievo.io.in_memory").panel_png(self)

    def _repr_html_(self) -> str:
        """Page with the surface to turn, for notebooks."""
        return import_module("rilievo.io.in_memory").framed_page(self)
