"""``rilievo.Prediction``: the record of ``rilievo.types`` with methods, such as ``save``.

The methods stand in ``rilievo.prediction.methods``, which is imported when one is called, so that
predicting does not load them.
"""

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from rilievo import types

if TYPE_CHECKING:
    from PIL.Image import Image

    from rilievo.geometry.surfaces.surface import Mesh, PointCloud
    from rilievo.io.outputs.save_options import SaveOptions
    from rilievo.measured_quantity import Measurement


def _methods() -> ModuleType:
    from rilievo.prediction import methods

    return methods


class Prediction(types.Prediction):  # pyright: ignore[reportGeneralTypeIssues]
    """Prediction of a model for one image, at that image's resolution.

    Its fields are those of ``rilievo.types.Prediction``.
    """

    __slots__ = ()

    @property
    def anchored(self) -> "Prediction":
        """The prediction with depth of which surfaces can be made.

        It is the prediction itself, unless its depth is of an affine kind: then depth is up to
        scale, by a scale and a shift fitted to the embedded model's depth, which runs once for it.
        ``anchoring`` says how well the two agree.

        Raises:
            NoDepthError: If the prediction has no depth.
            InputError: If depth is of an affine kind and cannot be anchored, or may not be.
        """
        return _methods().anchored(self)

    def measure(self, *points: tuple[float, float]) -> "Measurement":
        """Measure a height, length or area in the photograph.

        Args:
            points: Points as (column, row) [px]: one for its height above the floor, two for the
                length between them, three or more for the area inside them.

        Raises:
            CalibrationError: If depth is not in metres, or nothing can be measured there.
        """
        return _methods().measure(self, points)

    def save(
        self,
        stem: str | Path,
        names: str | Sequence[str] | None = None,
        options: "SaveOptions | None" = None,
    ) -> list[Path]:
        """Write files, as ``rilievo.save`` does.

        The suffix of one file chooses its format, ``prediction.save("out/cat.glb")``; several are
        named after the stem, ``prediction.save("out/cat", "png16,glb")``.

        Returns:
            Paths in the order of ``names``, then that of the JSON file.
        """
        return _methods().save(self, stem, names, options)

    def show(self) -> None:
        """Open photograph, depth and normals side by side in the system's image viewer."""
        _methods().show(self)

    def colour(self, colour_map: str | None = None) -> "Image":
        """Draw depth as an RGB picture in colours; near is bright.

        Args:
            colour_map: Name of a colour map, as for ``--colour-map``; viridis when None.

        Raises:
            NoDepthError: If the prediction has no depth.
            OptionError: If there is no such colour map.
        """
        return _methods().colour(self, colour_map)

    def color(self, color_map: str | None = None) -> "Image":
        """Draw depth in colours: the American spelling of ``colour``."""
        return self.colour(color_map)

    def points(self, *, step: int | None = None) -> "PointCloud":
        """Make the points of the surface, with normals and colours, in the camera frame.

        Args:
            step: Step between the pixels that become points; None takes the least that gives at
                most a million points.

        Raises:
            NoDepthError: If the prediction has no depth.
            InputError: If the depth is of an affine kind and cannot be anchored.
        """
        return _methods().points(self, step)

    def mesh(self, *, step: int | None = None) -> "Mesh":
        """Make a triangle mesh of the surface, cut where depth jumps, in the camera frame.

        Args:
            step: Step between the pixels that become vertices; None takes the least that gives at
                most a million vertices.

        Raises:
            NoDepthError: If the prediction has no depth.
            InputError: If the depth is of an affine kind and cannot be anchored.
        """
        return _methods().mesh(self, step)

    def to_trimesh(self, *, step: int | None = None) -> Any:
        """Convert to a ``trimesh.Trimesh`` textured with the photograph, in the camera frame.

        Raises:
            MissingPackageError: If trimesh is not installed.
            InputError: As for ``mesh``.
        """
        return _methods().to_trimesh(self, step)

    def to_open3d(self, *, step: int | None = None) -> Any:
        """Convert to an ``open3d.geometry.PointCloud`` with colours, in the camera frame.

        Raises:
            MissingPackageError: If Open3D is not installed.
            InputError: As for ``points``.
        """
        return _methods().to_open3d(self, step)

    def _repr_png_(self) -> bytes:
        """Photograph, depth and normals side by side, for notebooks."""
        return _methods().panel_png(self)

    def _repr_html_(self) -> str:
        """Page with the surface, for notebooks."""
        return _methods().framed_page(self)
