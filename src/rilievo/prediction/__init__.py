"""``rilievo.Prediction``: the record of ``rilievo.types`` with methods, such as ``save``.

The methods stand in ``rilievo.prediction.methods``, which is imported when one is called, so that
predicting does not load them.
"""

from collections.abc import Callable, Sequence
from functools import partial, update_wrapper
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar, overload

from rilievo import types
from rilievo.foreign_names import ForeignNames, answered, instead

if TYPE_CHECKING:
    from PIL.Image import Image

    from rilievo.geometry.surfaces.meshes import Mesh, PointCloud
    from rilievo.io.outputs.save_options import SaveOptions
    from rilievo.measure.extents import RegionMeasurement
    from rilievo.measure.regions import DetectedBoxes, RegionLike
    from rilievo.measured_quantity import Measurement

_Method = TypeVar("_Method", bound=Callable[..., Any])


def _methods() -> ModuleType:
    from rilievo.prediction import methods

    return methods


class _PointsOf(partial[Any]):
    """``prediction.points``, which is an array elsewhere; here it is called."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"prediction.points is a method{instead('Prediction[]', 'points')}")

    def __array__(self, *_: object, **__: object) -> Any:
        raise TypeError(f"prediction.points is a method{instead('Prediction[]', 'points')}")

    __getitem__ = __array__


class _PointsMethod:
    """Descriptor of ``Prediction.points``."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __get__(self, prediction: object, kind: type) -> Callable[..., Any]:
        if prediction is None:
            return self._function
        bound = update_wrapper(_PointsOf(self._function, prediction), self._function)
        del bound.__wrapped__  # its signature has the prediction as an argument
        return bound


if TYPE_CHECKING:

    def _taken_for_array(function: _Method) -> _Method: ...

else:
    _taken_for_array = _PointsMethod


class Prediction(ForeignNames, types.Prediction):  # pyright: ignore[reportGeneralTypeIssues]
    """Prediction of a model for one image, at that image's resolution.

    Its fields are those of ``rilievo.types.Prediction``.
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
        """Make a prediction of depth at hand, such as a depth camera's or another program's.

        It has every output that needs no network: surfaces, pictures, normals of the surface.

        Args:
            photo: The photograph, in any form that ``rilievo.predict`` takes.
            depth: File of depth (docs/numbers.md), or an array (h, w): floats in metres.
            camera: Intrinsics, as for ``rilievo.predict``; by default those that the depth file
                states, EXIF's, or a guess.
            fov: Horizontal field of view [degrees], in place of ``camera``.
            kind: metric, up_to_scale or distance (along the ray); by default what the file states,
                else metric.
            unit: Metres of one number; by default what the file states, else 0.001 of whole
                numbers and 1 of others, which a note says.
            crop: Part of the photograph that the map is of: "TOP,LEFT,HEIGHT,WIDTH".

        Raises:
            InputError: If the depth cannot be read, or is of another size than the photograph.
            OptionError: If an argument contradicts the file.
        """
        from rilievo.prediction.at_hand import prediction_of_depth

        return prediction_of_depth(
            cls, photo, depth, camera, fov=fov, kind=kind, unit=unit, crop=crop
        )

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

    def measure(self, *points: tuple[float, float], in_plane: bool = False) -> "Measurement":
        """Measure a length or an area in the photograph.

        Args:
            points: Points as (column, row) [px]: two for the length between them, three or more
                for the area inside them.
            in_plane: Whether they lie in the plane of a known rectangle, whose corners measure
                then; those within it do in any case.

        Raises:
            OptionError: If there are fewer points, or no rectangle is known.
            CalibrationError: If depth is not in metres, or nothing can be measured there.
        """
        return _methods().measure(self, points, in_plane=in_plane)

    def distance(self, u: float, v: float, *, in_plane: bool = False) -> "Measurement":
        """Measure the straight distance from the camera to what a pixel (column, row) shows.

        In metres if depth is; otherwise as a multiple of the photograph's median distance. A point
        in the plane of a known rectangle is measured by its corners (``in_plane``, and within it).

        Raises:
            InputError: If the depth has an unknown shift.
            CalibrationError: If the point has no depth.
        """
        return _methods().distance(self, (u, v), in_plane=in_plane)

    @overload
    def measure_box(self, region: "RegionLike", name: str = "") -> "RegionMeasurement": ...
    @overload
    def measure_box(self, region: "DetectedBoxes") -> "list[RegionMeasurement]": ...
    def measure_box(self, region: Any, name: str = "") -> Any:
        """Measure distance and size of the thing in a box or a mask.

        Args:
            region: Box (u1, v1, u2, v2) [px], a mask (h, w), or a detector's boxes, such as
                ``supervision.Detections``: of these, a list in their order.
            name: Name of the thing.

        Raises:
            InputError: If the depth has an unknown shift, or a mask is of another size.
            OptionError: If it is no box, or lies outside.
            CalibrationError: If there is too little depth in it.
        """
        return _methods().measure_box(self, region, name)

    @answered
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
        """Show photograph, depth and normals side by side, in a notebook or the system's viewer."""
        _methods().show(self)

    @answered
    def colour(self, colour_map: str | None = None) -> "Image":
        """Draw depth as an RGB picture in colours; near is red.

        Args:
            colour_map: Name of a colour map, as for ``--colour-map``; spectral when None.

        Raises:
            NoDepthError: If the prediction has no depth.
            OptionError: If there is no such colour map.
        """
        return _methods().colour(self, colour_map)

    def color(self, color_map: str | None = None) -> "Image":
        """Draw depth in colours: the American spelling of ``colour``."""
        return self.colour(color_map)

    @_taken_for_array
    @answered
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

    @answered
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

    def __getitem__(self, key: object) -> Any:
        if not isinstance(key, str):
            raise TypeError(
                f"a Prediction is of one photograph and takes no [{key}]; write prediction.depth, "
                "prediction.normals and so on, or prediction.depth[row, column] for one pixel"
            )
        named = f"; write prediction.{key}" if hasattr(type(self), key) else ""
        answers = (instead(thing, key) for thing in ("Prediction[]", "Prediction"))
        raise TypeError(
            f"a Prediction has attributes and no ['{key}']{next(filter(None, answers), named)}"
        )

    def _repr_png_(self) -> bytes:
        """Photograph, depth and normals side by side, for notebooks."""
        return _methods().panel_png(self)

    def _repr_html_(self) -> str:
        """Page with the surface, for notebooks."""
        return _methods().framed_page(self)
