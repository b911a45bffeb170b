"""Points in space of a lidar or a depth camera, as points of the photograph with their depth."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Points, Size, Transform
from rilievo.calibration.sizes import Along
from rilievo.errors import InputError, OptionError
from rilievo.errors.messages import OptionName, Text, count_text
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.cameras.lens import inside_picture
from rilievo.geometry.transforms import transform_points
from rilievo.io.depth.point_files import read_points
from rilievo.schema.typed_values import MAX_METRES, MIN_METRES


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectedPoints:
    """Points of a sensor that a photograph may show.

    Attributes:
        points: Column and row [px] and depth [m], the nearest of each pixel; depth is z, or the
            distance for lenses with unit rays.
        along: Direction of the depth.
        note: Sentence on how many points were left out, or that the pose of the sensor was not
            given; None if there is nothing to say.
    """

    points: Points
    along: Along
    note: str | None


def read_points_in_space(source: Path | np.ndarray, name: str, *, is_error_stated: bool) -> Points:
    """Read rows of x, y and z from a file or an array, without points that say nothing.

    These are NaN, or 0, 0, 0, as sensors write them for a direction without an echo.

    Raises:
        InputError: If it has no such points, or rilievo wrote the file and the user does not state
            the error of its points.
    """
    if isinstance(source, np.ndarray):
        points = _check_point_array(source, name)
    else:
        points = _read_measured_points(source, name, is_error_stated=is_error_stated)
    says_something = np.isfinite(points).all(axis=1) & (points != 0).any(axis=1)
    if not says_something.any():
        raise InputError("all of its points are NaN or 0, 0, 0", path=name)
    return points[says_something]


def _check_point_array(points: np.ndarray, name: str) -> Points:
    """Check that an array has rows of three numbers, and convert them to float64."""
    if points.ndim != 2 or points.shape[1] != 3 or points.dtype.kind not in "fiu":
        raise InputError(
            f"has shape {points.shape}, expected points (n, 3)",
            path=name,
            hint=Text("for a depth map, leave out ", OptionName("cam_T_sensor")),
        )
    return points.astype(np.float64)


def _read_measured_points(path: Path, name: str, *, is_error_stated: bool) -> Points:
    """Read points from a file; one that rilievo wrote is refused unless the error is stated."""
    stored = read_points(path)
    if stored.is_ours and not is_error_stated:
        raise InputError(
            "contains points of a surface that rilievo saved, not those of an instrument",
            path=name,
            hint=Text(
                "to use them anyway, state their error with ", OptionName("depth_error", "...")
            ),
        )
    return stored.points


def project_points(
    points: Points, cam_T_sensor: Transform | None, camera: Camera, shape: Size, name: str
) -> ProjectedPoints:
    """Project points of a sensor [m] into a photograph.

    Args:
        points: Rows of x, y and z in the frame of the sensor.
        cam_T_sensor: Transform to the frame of the camera [m]; None if they are in this frame.
        camera: Camera of the upright photograph.
        shape: Height and width of the photograph.
        name: Name of the points in messages.

    Raises:
        InputError: If the photograph shows none of the points.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # Points may be at any distance.
        in_camera = points.T if cam_T_sensor is None else transform_points(cam_T_sensor, points.T)
        u, v = camera.project(in_camera)
        depth = camera.depth_of(in_camera)
    # The comparisons are false for NaN.
    is_in_view = np.isfinite(u + v) & (depth >= MIN_METRES) & (depth <= MAX_METRES)
    is_inside = is_in_view & inside_picture(u, v, shape)
    visibility = _Visibility(
        point_count=len(points),
        unseen_count=int(np.count_nonzero(~is_in_view)),
        outside_count=int(np.count_nonzero(is_in_view & ~is_inside)),
        is_wide_lens=camera.lens.has_unit_rays,
        is_pose_given=cam_T_sensor is not None,
    )
    if not is_inside.any():
        raise visibility.nothing_visible_error(name)
    projected = np.stack([u, v, depth], axis=1)[is_inside]
    # Half a pixel of the border lies beyond the centres of its pixels.
    height, width = shape
    projected[:, :2] = np.clip(projected[:, :2], 0, (width - 1, height - 1))
    return ProjectedPoints(
        points=_nearest_per_pixel(projected),
        along=Along.RAY if camera.lens.has_unit_rays else Along.AXIS,
        note=visibility.note(name),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Visibility:
    """How many points of a sensor a photograph shows, for messages.

    Attributes:
        point_count: Number of all points.
        unseen_count: Number of points that the lens does not see.
        outside_count: Number of points that the lens sees, but that lie outside the photograph.
        is_wide_lens: Whether the lens may see points behind the camera.
        is_pose_given: Whether the user gives the pose of the sensor. Otherwise the points are read
            as points in the frame of the camera.
    """

    point_count: int
    unseen_count: int
    outside_count: int
    is_wide_lens: bool
    is_pose_given: bool

    def nothing_visible_error(self, name: str) -> InputError:
        """Error for a photograph that shows none of the points."""
        points = count_text(self.point_count, "point")
        assumption = "" if self.is_pose_given else ", read as points in the frame of the camera,"
        return InputError(
            f"the photograph shows none of its {points}{assumption} because {self._reasons()}",
            path=name,
            hint=Text(
                "check " if self.is_pose_given else "give ",
                OptionName("cam_T_sensor", "..."),
                ", which takes points of the sensor to the frame of the camera (x right, y down, z "
                "forward)",
            ),
        )

    def note(self, name: str) -> str | None:
        """Say how many points are visible; None if all are, and the pose of the sensor is given."""
        reasons = self._reasons()
        if self.is_pose_given and not reasons:
            return None
        visible_count = self.point_count - self.unseen_count - self.outside_count
        points = count_text(self.point_count, "point")
        note = f"{name}: the photograph shows {visible_count:,} of {points}"
        if not self.is_pose_given:
            note += ", read as points in the frame of the camera"
        return f"{note}; {reasons}" if reasons else note

    def _reasons(self) -> str:
        """Say why points are not visible, and how many; empty if all are visible."""
        reasons = []
        if self.unseen_count:
            place = "out of the lens's view" if self.is_wide_lens else "behind the camera"
            reasons.append(f"{self.unseen_count:,} {_are(self.unseen_count)} {place}")
        if self.outside_count:
            are = _are(self.outside_count)
            reasons.append(f"{self.outside_count:,} {are} outside the photograph")
        return " and ".join(reasons)


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _nearest_per_pixel(points: Points) -> Points:
    """Keep the nearest point of each pixel, because it hides the others from the camera."""
    by_depth = points[np.argsort(points[:, 2], kind="stable")]
    pixels = np.floor(by_depth[:, :2] + 0.5).astype(int)
    _, first = np.unique(pixels, axis=0, return_index=True)
    return by_depth[np.sort(first)]


def require_camera(camera: Camera | None, name: str) -> Camera:
    """Return the camera of a photograph; raise ``OptionError`` if it is unknown."""
    if camera is None:
        raise OptionError(
            f"{name}: contains points in space, whose pixels follow from the camera, but the "
            "camera of the photograph is unknown",
            hint=Text("give ", OptionName("camera", "..."), " or ", OptionName("fov", "...")),
        )
    return camera
