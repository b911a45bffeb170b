"""Metres from the camera's height above a visible floor.

A plane is a vector with vector · X = 1 for its points X in the camera frame. Its length is one over
the distance of the camera from the plane, and it points down to a floor.
"""

import math
from dataclasses import dataclass

import numpy as np

from rilievo.alignment.fit import Fit, FitSpace, check_depth_map
from rilievo.arrays.shapes import Bool, Float, Float64, Points, Values, Vector
from rilievo.calibration.points import Calibrated, Floor, calibrate_by_fit
from rilievo.errors import CalibrationError, InputError, OptionError
from rilievo.errors.messages import format_beyond
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.normals import normals_from_depth
from rilievo.records.depth_map import DepthMap

_GRID_PIXELS = 40_000
"""Number of pixels of the grid on which the floor is searched; enough for a plane."""
_INLIER_TOLERANCE = 0.05
"""Largest relative difference between the depth of a plane and that of a pixel on it."""
_MIN_INLIER_TOLERANCE = 1e-5
"""The same tolerance for exact depth."""
_MIN_AREA_FRACTION = 0.03
"""Least fraction of the pixels with depth that a floor covers."""
_MAX_ROUGHNESS = math.radians(10)
"""Largest median angle between the normals of a floor and their mean. Heaps and sofas that a plane
touches by chance exceed it."""
_MIN_KNOWN_NORMALS = 0.1
"""Least fraction of the pixels with depth that have normals, if these normals are used."""
_RANSAC_TRIALS = 500
_REFINEMENTS = 10
_DEVIATION_PER_MEDIAN = 1.4826
"""Ratio of the standard deviation of normal errors to the median of their absolute values."""
_MAX_PLANES = 3
"""Number of planes that are tried, which is enough for a table, a bench and the floor."""
_HINT = "give a known point or length instead"

# A table has the room below it, a floor has nothing.
_MIN_DEPTH_BELOW_PLANE = 1.15
"""Least height of the camera above a point below the plane, over its height above the plane."""
_MAX_FRACTION_BELOW = 0.05
"""Largest fraction of the pixels with depth that may lie below a floor."""

# Networks predict too little relief in deep places (depth to the power 1/1.7 on streets). So the
# plane through a long floor is pitched, however the camera is held, and lies too far below the
# camera. The floor is then taken as level, through the nearest points that face up.
_MAX_DEEP_HEIGHT_FRACTION = 0.15
"""Largest height of the camera in a deep place, over the depth of its farthest tenth. It is 0.03 to
0.11 on streets, and 0.22 and more in rooms."""
_FARTHEST_QUANTILE = 0.9
_NEAREST_QUANTILE = 1 / 3
"""Fraction of the points, the nearest ones, to which a level floor is fitted."""
_MIN_BEND = math.radians(1)
"""Least angle between the plane of a bent floor's nearest third and that of all of it."""
_MAX_UNEVENNESS = 0.1
"""Largest median relative difference of a level floor's nearest heights from their median."""
_MAX_PITCH = math.radians(10)
"""Largest angle between the bent floor's plane and a level one."""
_LEVEL_TOLERANCE = 0.25
"""Largest relative difference of the height of points on a bent floor from the level one."""
_MIN_DEPTH_BELOW_LEVEL_PLANE = 1.5
"""As ``_MIN_DEPTH_BELOW_PLANE``, for points below a level floor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plane:
    """Plane vector · X = 1 of points X in the camera frame, and which of the points lie on it.

    Attributes:
        vector: Vector to the plane, of a length of one over its distance from the camera.
        is_on_plane: Which of ``_Surfaces.points`` lie on it.
    """

    vector: Vector
    is_on_plane: Bool[np.ndarray, "n"]

    @property
    def camera_height(self) -> float:
        """Distance of the camera from the plane, in the map's unit."""
        return float(1 / np.linalg.norm(self.vector))

    @property
    def upward_normal(self) -> Vector:
        return -self.vector * self.camera_height


@dataclass(frozen=True, slots=True, kw_only=True)
class _Surfaces:
    """Points of the picture in the camera frame, on a grid.

    Attributes:
        points: Points in the lower half of the picture whose surface faces up.
        scene: All points with depth.
    """

    points: Points
    normals: Points
    scene: Float64[np.ndarray, "s 3"]

    def fraction_below(self, vector: Vector, factor: float) -> float:
        """Fraction of the scene below the plane vector · X = 1.

        Points count if the camera's height above them is more than ``factor`` times that above the
        plane. This ratio of heights is vector · X.
        """
        return float(np.mean(self.scene @ vector > factor))


def calibrate_height(
    depth: DepthMap,
    camera: Camera,
    metres: float,
    *,
    normals: Float[np.ndarray, "3 h w"] | None = None,
    max_tilt: float = 35.0,
) -> Calibrated:
    """Scale depth to metres by the camera's height above the floor.

    The floor is the largest plane of the lower half that faces up with nothing below (RANSAC,
    Fischler and Bolles 1981, seeded). In streets, which bend, the camera is taken as level.

    Examples:
        >>> K = np.array([[100.0, 0, 63.5], [0, 100, 47.5], [0, 0, 1]])
        >>> rows = np.minimum(100 / np.maximum(np.arange(96) - 47.5, 0.1), 8)
        >>> values = np.repeat(rows[:, None], 128, axis=1).astype(np.float32)
        >>> depth = rilievo.DepthMap(values=values, kind=rilievo.DepthKind.UP_TO_SCALE)
        >>> rilievo.calibrate_height(depth, rilievo.Camera(K=K), 1.5).depth
        DepthMap(128x96, metric 3.16 to 12 m)

    Args:
        depth: Map of kind ``UP_TO_SCALE`` or ``METRIC``.
        camera: Intrinsics.
        metres: Height of the camera's centre [m].
        normals: Normals of the model; None to compute them from the depth.
        max_tilt: Largest angle between the floor's normal and the picture's vertical [degrees].

    Raises:
        OptionError: If the height is not positive or the tilt not between 0 and 90 degrees.
        InputError: If ``depth`` is no map, or normals have another size.
        CalibrationError: If the kind has an unknown shift, or no floor is visible.
    """
    if not (math.isfinite(metres) and metres > 0):
        raise OptionError(
            f"the camera's height must be a positive number of metres, got {metres:g}"
        )
    surfaces, plane = _find_surfaces_and_floor(depth, camera, normals, max_tilt)
    warnings = []
    if camera.source is CameraSource.ASSUMED:
        warnings.append(
            "the focal length is assumed, and the scale is only as accurate as this assumption: "
            "give the camera or its field of view"
        )

    scale = metres / plane.camera_height
    floor_points = surfaces.points[plane.is_on_plane]
    depth_errors = (floor_points @ plane.vector - 1) * floor_points[:, 2] * scale
    fit = Fit(
        space=FitSpace.DEPTH,
        scale=scale,
        shift=0.0,
        residual=float(np.sqrt(np.mean(np.square(depth_errors)))),
        pixels=len(floor_points),
    )
    return calibrate_by_fit(depth, fit, floor=_floor_record(surfaces, plane), warnings=warnings)


def find_floor(
    depth: DepthMap,
    camera: Camera,
    *,
    normals: Float[np.ndarray, "3 h w"] | None = None,
    max_tilt: float = 35.0,
) -> Floor:
    """Find the floor; the arguments are those of ``calibrate_height``.

    Raises:
        CalibrationError: If the kind has an unknown shift, or no floor is visible.
    """
    surfaces, plane = _find_surfaces_and_floor(depth, camera, normals, max_tilt)
    return _floor_record(surfaces, plane)


def is_deep_place(camera_height: float, depths: Values) -> bool:
    """Whether depths are so large, over the camera's height, that a network bends the floor."""
    return camera_height <= _MAX_DEEP_HEIGHT_FRACTION * float(
        np.quantile(depths, _FARTHEST_QUANTILE)
    )


def _find_surfaces_and_floor(
    depth: DepthMap, camera: Camera, normals: Float[np.ndarray, "3 h w"] | None, max_tilt: float
) -> tuple[_Surfaces, _Plane]:
    """Find the surfaces that face up within a tilt [degrees], and the floor among them."""
    check_depth_map(depth)
    if not 0 < max_tilt < 90:
        raise OptionError(
            f"the floor's largest tilt must be between 0 and 90 degrees, got {max_tilt:g}"
        )
    if not depth.is_depth:
        raise CalibrationError(
            f"the camera's height determines only the scale, but depth of kind '{depth.kind}' "
            "also has an unknown shift: give two known points at different depths instead"
        )
    surfaces = _find_surfaces(depth, camera, normals, math.radians(max_tilt))
    return surfaces, _find_floor_plane(surfaces, math.radians(max_tilt))


def _floor_record(surfaces: _Surfaces, plane: _Plane) -> Floor:
    """Make the record of a floor from its plane and the points on it."""
    floor_points = surfaces.points[plane.is_on_plane]
    return Floor(
        normal=plane.upward_normal,
        height=plane.camera_height,
        area=float(plane.is_on_plane.sum() / len(surfaces.scene)),
        inliers=float(plane.is_on_plane.mean()),
        misfit=float(np.quantile(_depth_differences(floor_points, plane.vector), 0.8)),
        points=floor_points,
    )


def _find_surfaces(
    depth: DepthMap, camera: Camera, normals: Float[np.ndarray, "3 h w"] | None, max_angle: float
) -> _Surfaces:
    """Sample a grid of points; find those in the lower half that face up within an angle [rad]."""
    if normals is not None and normals.shape[1:] != depth.shape:
        raise InputError(
            f"the normals have the size {normals.shape[1:]}, but the depth has the size "
            f"{depth.shape}"
        )
    height, width = depth.shape
    stride = math.ceil(math.sqrt(height * width / _GRID_PIXELS))
    first_row, first_column = _densest_offsets(depth.valid, stride)
    grid = np.s_[first_row::stride, first_column::stride]
    values, valid = depth.values[grid].astype(np.float64), depth.valid[grid]

    model_normals = None if normals is None else normals[(slice(None), *grid)]
    if model_normals is None or _are_mostly_unknown(model_normals, valid):
        # A large window and a high edge threshold: a floor is large, and noise must not split it.
        unit_normals, has_normal = normals_from_depth(
            values, camera, valid, window=9, edge=0.2, step=stride
        )
    else:
        unit_normals, has_normal = _normalise(model_normals, valid)
    # The camera's y axis points down.
    is_upward = has_normal & (-unit_normals[1] > math.cos(max_angle))
    is_in_lower_half = np.arange(len(valid)) >= len(valid) // 2
    faces_up = is_upward & is_in_lower_half[:, None]
    _require_upward_pixels(int(faces_up.sum()), int(valid.sum()), max_angle)

    rows, columns = range(first_row, height, stride), range(first_column, width, stride)
    points = camera.points(np.where(valid, values, 1.0), rows=rows, columns=columns)
    return _Surfaces(
        points=points[:, faces_up].T,
        normals=unit_normals[:, faces_up].T,
        scene=points[:, valid].T,
    )


def _normalise(
    normals: Float[np.ndarray, "3 h w"], valid: Bool[np.ndarray, "h w"]
) -> tuple[Float64[np.ndarray, "3 h w"], Bool[np.ndarray, "h w"]]:
    """Unit normals, and the mask of the valid pixels that have one; unknown normals are zero."""
    normals = normals.astype(np.float64)
    length = np.linalg.norm(normals, axis=0)
    has_normal = valid & (length > 0)
    return normals / np.where(has_normal, length, 1), has_normal


def _require_upward_pixels(upward_count: int, depth_count: int, max_angle: float) -> None:
    """Raise ``CalibrationError`` if too few pixels with depth face up within an angle [rad]."""
    if not depth_count:
        raise CalibrationError(
            "no floor was found: hardly any pixel of the picture has depth", hint=_HINT
        )
    if upward_count < _MIN_AREA_FRACTION * depth_count:
        percentage = 100 * upward_count / depth_count
        min_percentage = 100 * _MIN_AREA_FRACTION
        raise CalibrationError(
            f"no floor was found: only {format_beyond(percentage, min_percentage, decimals=1)}% of "
            "the pixels with depth are in the lower half of the picture and face up (to within "
            f"{math.degrees(max_angle):.0f} degrees), but a floor needs {min_percentage:.0f}%",
            hint=_HINT,
        )


def _densest_offsets(valid: Bool[np.ndarray, "h w"], stride: int) -> tuple[int, int]:
    """First row and column of the grid with the most depth.

    A sparse map may have depth at every second pixel only, which a grid can miss altogether.
    """
    depth_counts = {
        (row, column): int(valid[row::stride, column::stride].sum())
        for row in range(stride)
        for column in range(stride)
    }
    # Of full grids, the first one is used even if another one has one more row or column.
    if depth_counts[0, 0] >= valid[::stride, ::stride].size:
        return 0, 0
    return max(depth_counts, key=lambda offsets: depth_counts[offsets])


def _are_mostly_unknown(
    normals: Float[np.ndarray, "3 h w"], valid: Bool[np.ndarray, "h w"]
) -> bool:
    """Whether few pixels with depth have normals, for example if depth is sparse."""
    known = np.linalg.norm(normals[:, valid], axis=0) > 0
    return bool(known.sum() < _MIN_KNOWN_NORMALS * valid.sum())


def _find_floor_plane(surfaces: _Surfaces, max_angle: float) -> _Plane:
    """Find the largest flat plane that faces up within an angle [rad] with nothing below it.

    Planes are found and removed one after the other, the largest first.
    """
    generator = np.random.default_rng(0)
    min_points = _MIN_AREA_FRACTION * len(surfaces.scene)
    fault_of_largest: str | None = None
    is_candidate = np.ones(len(surfaces.points), bool)
    for _ in range(_MAX_PLANES):
        plane = _largest_plane(surfaces.points, is_candidate, max_angle, generator)
        if plane is None or plane.is_on_plane.sum() < min_points:
            break
        floor_plane = _floor_of_plane(surfaces, plane)
        if floor_plane is not None:
            return floor_plane
        fault_of_largest = fault_of_largest or _fault_of_plane(surfaces, plane)

        is_far_from_plane = (
            _depth_differences(surfaces.points, plane.vector) > 2 * _INLIER_TOLERANCE
        )
        is_candidate = is_candidate & is_far_from_plane
        if is_candidate.sum() < min_points:
            break
    raise CalibrationError(
        "no floor was found: the surface that faces up in the lower half of the picture "
        f"{fault_of_largest or 'is not a plane'}",
        hint=_HINT,
    )


def _floor_of_plane(surfaces: _Surfaces, plane: _Plane) -> _Plane | None:
    """Floor that a plane shows: itself, or a level one in its place in a deep scene.

    Return None if it is no floor, for which ``_fault_of_plane`` has the reason.
    """
    roughness = _median_angle_to_mean(surfaces.normals[plane.is_on_plane])
    if roughness > _MAX_ROUGHNESS:
        return None
    if surfaces.fraction_below(plane.vector, _MIN_DEPTH_BELOW_PLANE) <= _MAX_FRACTION_BELOW:
        return _level_plane_if_bent(surfaces, plane)
    return _plane_of_level_camera(surfaces, plane)


def _fault_of_plane(surfaces: _Surfaces, plane: _Plane) -> str:
    """Reason why a plane is no floor, which ends the sentence "the surface that faces up ..."."""
    roughness = _median_angle_to_mean(surfaces.normals[plane.is_on_plane])
    if roughness > _MAX_ROUGHNESS:
        return f"is not flat (its normals vary by {math.degrees(roughness):.0f} degrees)"
    percentage_below = 100 * surfaces.fraction_below(plane.vector, _MIN_DEPTH_BELOW_PLANE)
    return f"is probably a table, because {percentage_below:.0f}% of the picture lies below it"


def _largest_plane(
    points: Points,
    is_candidate: Bool[np.ndarray, "n"],
    max_angle: float,
    generator: "np.random.Generator",
) -> _Plane | None:
    """Plane with the most candidates on it that faces up within an angle [rad], by RANSAC."""
    candidates = points[is_candidate]
    proposed = _planes_through_three(candidates, generator)
    proposed = proposed[_face_up(proposed, max_angle)]
    if not len(proposed):
        return None
    is_inlier = np.abs(proposed @ candidates.T - 1) < _INLIER_TOLERANCE
    best = int(is_inlier.sum(axis=1).argmax())
    vector = _refine_plane(proposed[best], candidates)
    if not _face_up(vector[None], max_angle)[0]:
        return None
    is_on_plane = is_candidate & (_depth_differences(points, vector) < _INLIER_TOLERANCE)
    return _Plane(vector=vector, is_on_plane=is_on_plane)


def _planes_through_three(
    points: Points, generator: "np.random.Generator"
) -> Float64[np.ndarray, "t 3"]:
    """Vectors of the planes through points that are drawn at random, three at a time."""
    p, q, r = (points[generator.integers(0, len(points), _RANSAC_TRIALS)] for _ in range(3))
    # The vector of the plane through p, q and r is (q × r + r × p + p × q) / (p · (q × r)).
    normals = np.cross(q, r) + np.cross(r, p) + np.cross(p, q)
    volumes = np.einsum("ni,ni->n", p, np.cross(q, r))
    # Three points that are collinear, or coplanar with the camera, define no usable plane.
    is_usable = np.abs(volumes) > 1e-9 * np.abs(p * q * r).max()
    return normals[is_usable] / volumes[is_usable, None]


def _face_up(vectors: Float64[np.ndarray, "t 3"], max_angle: float) -> Bool[np.ndarray, "t"]:
    """Whether planes face up within an angle [rad]; their vectors then point down, along +y."""
    return vectors[:, 1] > math.cos(max_angle) * np.linalg.norm(vectors, axis=1)


def _refine_plane(vector: Vector, points: Points) -> Vector:
    """Refit a plane vector · X = 1 by least squares, repeatedly, to the points near it.

    These are the points within three standard deviations of the surface's roughness.
    """
    tolerance = _INLIER_TOLERANCE
    for _ in range(_REFINEMENTS):
        near_points = points[_depth_differences(points, vector) < tolerance]
        vector = _fit_plane(near_points)
        median_difference = float(np.median(_depth_differences(near_points, vector)))
        three_deviations = 3 * _DEVIATION_PER_MEDIAN * median_difference
        tolerance = min(_INLIER_TOLERANCE, max(three_deviations, _MIN_INLIER_TOLERANCE))
    return vector


def _fit_plane(points: Points) -> Vector:
    """Plane vector · X = 1 through points, by least squares."""
    return np.linalg.lstsq(points, np.ones(len(points)), rcond=None)[0]


def _depth_differences(points: Points, vector: Vector) -> Values:
    """Relative difference of the depth of each point from that of the plane vector · X = 1."""
    return np.abs(points @ vector - 1)


def _median_angle_to_mean(normals: Points) -> float:
    """Median angle between unit normals and the direction of their mean [rad]."""
    mean = normals.sum(axis=0)
    cosines = np.clip(normals @ mean / np.linalg.norm(mean), -1, 1)
    return float(np.median(np.arccos(cosines)))


def _level_plane_if_bent(surfaces: _Surfaces, plane: _Plane) -> _Plane:
    """Replace the plane of a bent floor in a deep scene by a level one; keep other planes."""
    if not is_deep_place(plane.camera_height, surfaces.scene[:, 2]):
        return plane
    floor_points = surfaces.points[plane.is_on_plane]
    depths = floor_points[:, 2]
    nearest_points = floor_points[depths <= np.quantile(depths, _NEAREST_QUANTILE)]
    nearest_plane = _fit_plane(nearest_points)
    cosine = float(-plane.upward_normal @ nearest_plane / np.linalg.norm(nearest_plane))
    bend_angle = math.acos(min(1.0, cosine))
    if bend_angle < _MIN_BEND:
        return plane

    level_plane = _plane_of_level_camera(surfaces, plane)
    if level_plane is None:
        raise CalibrationError(
            "no flat floor was found: the nearest third of the ground is tilted by "
            f"{math.degrees(bend_angle):.0f} degrees against the whole ground, so the height of "
            "the camera above it is not known",
            hint=_HINT,
        )
    return level_plane


def _plane_of_level_camera(surfaces: _Surfaces, plane: _Plane) -> _Plane | None:
    """Horizontal floor through the nearest points that face up.

    Return None if the plane is pitched too much, the points are uneven, or much lies below them.
    """
    if -plane.upward_normal[1] < math.cos(_MAX_PITCH):
        return None
    # The floor below a level camera is y = height, because y is down.
    depths = surfaces.points[:, 2]
    nearest_heights = surfaces.points[depths <= np.quantile(depths, _NEAREST_QUANTILE), 1]
    height = float(np.median(nearest_heights))
    if height <= 0:
        return None
    unevenness = np.median(np.abs(nearest_heights / height - 1))
    if unevenness > _MAX_UNEVENNESS:
        return None
    vector = np.array([0.0, 1 / height, 0.0])
    if surfaces.fraction_below(vector, _MIN_DEPTH_BELOW_LEVEL_PLANE) > _MAX_FRACTION_BELOW:
        return None
    is_on_plane = _depth_differences(surfaces.points, vector) < _LEVEL_TOLERANCE
    return _Plane(vector=vector, is_on_plane=is_on_plane)
