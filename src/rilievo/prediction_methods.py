"""Methods of ``Prediction``: measure, show, save, and convert to objects of other packages.

Their implementation depends on the records, so it is imported on demand, and importing the records
stays fast.
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
    """Methods inherited by ``rilievo.Prediction``."""

    __slots__ = ()

    def measure(self, *points: tuple[float | int, float | int]) -> Measurement:
        """Measure a height, length or area in the photograph.

        Args:
            points: Points as (column, row) [px]: one for its height above the floor, two for the
                length between them, three or more for the area inside them.

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
            Paths in the order of ``names``, then that of the JSON file.
        """
        return import_module("rilievo.io.outputs").save(self, stem, names, options)

    def show(self) -> None:
        """Open photograph, depth and normals side by side in the system's image viewer."""
        import_module("rilievo.io.formats.panel").panel_picture(self).show(title=repr(self))

    def colour(self, colour_map: str | None = None) -> "Image":
        """Draw depth as an RGB picture in colours; near is bright.

        Args:
            colour_map: Name of a colour map, as for ``--colour-map``; viridis when None.

        Raises:
            NoDepthError: If the prediction has no depth.
            OptionError: If there is no such colour map.
        """
        return import_module("rilievo.io.in_memory").colour(self, colour_map)

    def points(self, *, step: int | None = None) -> "PointCloud":
        """Make the points of the surface, with normals and colours, in the camera frame.

        Args:
            step: Step between the pixels that become points; None takes the least that gives at
                most a million points.

        Raises:
            NoDepthError: If the prediction has no depth.
            InputError: If the depth is of an affine kind, from which no surface can be made.
        """
        return import_module("rilievo.io.in_memory").points(self, step)

    def mesh(self, *, step: int | None = None) -> "Mesh":
        """Make a triangle mesh of the surface, cut where depth jumps, in the camera frame.

        Args:
            step: Step between the pixels that become vertices; None takes the least that gives at
                most a million vertices.

        Raises:
            NoDepthError: If the prediction has no depth.
            InputError: If the depth is of an affine kind, from which no surface can be made.
        """
        return import_module("rilievo.io.in_memory").mesh(self, step)

    def to_trimesh(self, *, step: int | None = None) -> Any:
        """Convert to a ``trimesh.Trimesh`` textured with the photograph, in the camera frame.

        Raises:
            MissingPackageError: If trimesh is not installed.
            InputError: As for ``mesh``.
        """
        return import_module("rilievo.io.in_memory").to_trimesh(self, step)

    def to_open3d(self, *, step: int | None = None) -> Any:
        """Convert to an ``open3d.geometry.PointCloud`` with colours, in the camera frame.

        Raises:
            MissingPackageError: If Open3D is not installed.
            InputError: As for ``points``.
        """
        return import_module("rilievo.io.in_memory").to_open3d(self, step)

    def __repr__(self) -> str:
        """Describe in one line what it contains."""
        return import_module("rilievo.io.in_memory").line(self)

    def _repr_png_(self) -> bytes:
        """Photograph, depth and normals side by side, for notebooks."""
        return import_module("rilievo.io.in_memory").panel_png(self)

    def _repr_html_(self) -> str:
        """Page with the surface, for notebooks."""
        return import_module("rilievo.io.in_memory").framed_page(self)
