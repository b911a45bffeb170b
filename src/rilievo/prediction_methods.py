"""Methods of ``Prediction``: measure, show, save, and convert to objects of other packages.

Their implementation depends on the records, so it is imported on demand, and importing the records
stays fast.

Most callers read only the depth of a prediction; for 12 megapixels, normals take longer than depth.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from rilievo.depth_map import read_only

if TYPE_CHECKING:
    from PIL.Image import Image

    from rilievo.geometry.surface import Mesh, PointCloud
    from rilievo.io.writing import SaveOptions
    from rilievo.measurement import Measurement


class PredictionMethods:
    """Methods inherited by ``rilievo.Prediction``."""

    __slots__ = ()

    def measure(self, *points: tuple[float, float]) -> "Measurement":
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
        names: str | Sequence[str] | None = None,
        options: "SaveOptions | None" = None,
    ) -> list[Path]:
        """Write files, as ``rilievo.save`` does.

        The suffix of one file chooses its format, ``prediction.save("out/cat.glb")``; several are
        named after the stem, ``prediction.save("out/cat", "png16,glb")``.

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


# Not typing.Self, which beartype refuses in a class that it does not decorate.
_Parts = TypeVar("_Parts", bound="DeferredParts")


@dataclass(frozen=True, slots=True)
class _Later:
    """Placeholder for an array that has not been computed yet."""

    make: Callable[[], np.ndarray]


class DeferredParts:
    """Mixin for frozen dataclasses whose fields may be computed later.

    Two threads that read a field at once may both compute it, with the same result.
    """

    __slots__ = ()

    if not TYPE_CHECKING:  # for type checkers, fields have their declared types

        def __getattribute__(self, name: str) -> Any:
            value = object.__getattribute__(self, name)
            if isinstance(value, _Later):
                value = read_only(value.make())
                object.__setattr__(self, name, value)
            return value

    def defer(self, name: str, make: Callable[[], np.ndarray]) -> None:
        """Register a function that computes a field when it is first read.

        Args:
            name: Name of the field.
            make: Function that computes the array.
        """
        object.__setattr__(self, name, _Later(make))

    def has(self, name: str) -> bool:
        """Whether a field is not None, without computing it."""
        return object.__getattribute__(self, name) is not None

    def but(self: _Parts, **changes: Any) -> _Parts:
        """A copy with some fields changed; fields not computed yet stay so."""
        names = [field.name for field in fields(self)]  # pyright: ignore[reportArgumentType]
        kept = {name: object.__getattribute__(self, name) for name in names}
        later = {name: value for name, value in kept.items() if isinstance(value, _Later)}
        copy = type(self)(**{**kept, **dict.fromkeys(later), **changes})
        for name in later.keys() - changes.keys():
            object.__setattr__(copy, name, later[name])
        return copy
