"""Metres from the camera's height above a visible floor."""

import math
from dataclasses import dataclass

import numpy as np

from rilievo.alignment import Fit, FitSpace, check_depth_map
from rilievo.arrays.shapes import Bool, Float, Float64, Points, Vector
from rilievo.calibration.plane_support import support_of
from rilievo.calibration.points import Calibrated, Floor, calibrate_by_fit
from rilievo.errors import CalibrationError, InputError, OptionError
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.normals import normals_from_depth
from rilievo.records.depth_map import DepthMap

# The floor is searched on a grid of about this many pixels, which is enough for a plane.
GRID_PIXELS = 40_000
# A pixel lies on a plane if its depth is the plane's within this share.
TOLERANCE = 0.05
LEAST_TOLERANCE = 1e-5
# A floor covers at least this share of the picture, and the median angle of its normals to their
# mean is at most this: heaps and sofas that a plane happens to touch exceed it.
LEAST_AREA = 0.03
MOST_ROUGHNESS = math.radians(10)
# A table has the room below it, a floor has nothing: at most this share of the picture may lie
# farther below the camera than the plane by this factor.
MOST_BELOW = 0.05
BELOW = 1.15
# Predicted relief of deep places is too flat (depth to the power 1/1.7 on streets), so the plane
# through a long floor is pitched whatever the camera is, and the camera too high above it. Then the
# nearest points that face up (this quantile of depth) are taken for the floor of a level camera, if
# their heights agree within this share (median), the whole plane is pitched by at most this angle,
# and little lies below them by the factor; points within the share of that height are on the floor.
NEAREST = 1 / 3
MOST_UNEVEN = 0.1
MOST_TILT = math.radians(10)
ON_BENT = 0.25
FAR_BELOW = 1.5
# A place is deep if the camera's height is at most this share of the depth of its farthest tenth
# (0.03 to 0.11 on streets, 0.22 and more in rooms). Its floor is bent if the plane of the nearest
# third is pitched by this angle against that of the whole.
DEEP = 0.15
FARTHEST = 0.9
BENT = math.radians(1)
# Share of the pixels with depth whose normals are known, from which on these are used.
LEAST_NORMALS = 0.1
TRIALS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plane:
    m: Vector
    on_it: Bool[np.ndarray, "n"]

    @property
    def camera_height(self) -> float:
        return float(1 / np.linalg.norm(self.m))

    @property
    def upward_normal(self) -> Vector:
        return -self.m * self.camera_height


@dataclass(frozen=True, slots=True, kw_only=True)
class _UpwardPoints:
    points: Points
    normals: Points
    scene: Float64[np.ndarray, "s 3"]


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
        normals: Normals of the model; else of the depth.
        max_tilt: Largest angle of floor and image [degrees].

    Raises:
        OptionError: If the height is not positive or the tilt not between 0 and 90 degrees.
        InputError: If ``depth`` is no map, or normals have another size.
        CalibrationError: If the kind has an unknown shift, or no floor is visible.
    """
    if not (math.isfinite(metres) and metres > 0):
        raise OptionError(f"the camera's height is a positive number of metres, not {metres:g}")
    facing, plane = _upward_points_and_floor(depth, camera, normals, max_tilt)
    remarks = []
    if camera.source is CameraSource.ASSUMED:
        remarks.append("the focal length is assumed, and the scale is only as good as it")
    # The residual is that of depth on the floor [m].
    scale, inside = metres / plane.camera_height, facing.points[plane.on_it]
    misses = (inside @ plane.m - 1) * inside[:, 2] * scale
    residual = float(np.sqrt(np.mean(np.square(misses))))
    fit = Fit(space=FitSpace.DEPTH, scale=scale, shift=0.0, residual=residual, pixels=len(inside))
    return calibrate_by_fit(depth, fit, floor=_floor_record(facing, plane), remarks=remarks)


def find_floor(
    depth: DepthMap,
    camera: Camera,
    *,
    normals: Float[np.ndarray, "3 h w"] | None = None,
    max_tilt: float = 35.0,
) -> Floor:
    """Find the floor, as ``calibrate_height`` does.

    Raises:
        CalibrationError: If the kind has an unknown shift, or no floor is visible.
    """
    return _floor_record(*_upward_points_and_floor(depth, camera, normals, max_tilt))


def _upward_points_and_floor(
    depth: DepthMap, camera: Camera, normals: Float[np.ndarray, "3 h w"] | None, max_tilt: float
) -> tuple[_UpwardPoints, _Plane]:
    check_depth_map(depth)
    if not 0 < max_tilt < 90:
        raise OptionError(f"the floor's tilt is between 0 and 90 degrees, not {max_tilt:g}")
    if not depth.is_depth:
        raise CalibrationError(
            f"a height is one number, and a map of kind '{depth.kind}' lacks two, scale and shift: "
            "give two known points instead"
        )
    facing = _find_upward_points(depth, camera, normals, math.radians(max_tilt))
    return facing, _find_floor_plane(facing, math.radians(max_tilt))


def _floor_record(facing: _UpwardPoints, plane: _Plane) -> Floor:
    points = facing.points[plane.on_it]
    return Floor(
        normal=plane.upward_normal,
        height=plane.camera_height,
        area=float(plane.on_it.sum() / len(facing.scene)),
        inliers=float(plane.on_it.mean()),
        misfit=float(np.quantile(np.abs(points @ plane.m - 1), 0.8)),
        support=support_of(points, plane.upward_normal),
    )


def _find_upward_points(
    depth: DepthMap, camera: Camera, normals: Float[np.ndarray, "3 h w"] | None, max_angle: float
) -> _UpwardPoints:
    if normals is not None and normals.shape[1:] != depth.shape:
        raise InputError(f"normals are {normals.shape[1:]}, the depth {depth.shape}")
    height, width = depth.shape
    stride = math.ceil(math.sqrt(height * width / GRID_PIXELS))
    first_row, first_column = _densest_offsets(depth.valid, stride)
    grid = np.s_[first_row::stride, first_column::stride]
    values, valid = depth.values[grid].astype(np.float64), depth.valid[grid]
    if normals is not None and _is_known_nowhere(normals[(slice(None), *grid)], valid):
        normals = None
    if normals is None:
        # A large window and a high edge threshold: a floor is large, and noise must not split it.
        field, mask = normals_from_depth(values, camera, valid, window=9, edge=0.2, step=stride)
    else:
        field = normals[(slice(None), *grid)].astype(np.float64)
        length = np.linalg.norm(field, axis=0)
        mask = valid & (length > 0)
        field = field / np.where(mask, length, 1)
    up = mask & (-field[1] > math.cos(max_angle))
    up[: len(up) // 2] = False
    rows, columns = range(first_row, height, stride), range(first_column, width, stride)
    points = camera.points(np.where(valid, values, 1.0), rows=rows, columns=columns)
    if not valid.any():
        raise CalibrationError(
            "no floor seen: hardly a pixel of the picture has depth",
            hint="give known points instead",
        )
    if up.sum() < LEAST_AREA * valid.sum():
        raise CalibrationError(
            f"no floor seen: {100 * up.sum() / valid.sum():.1f} % of the picture is in its lower "
            f"half and faces up (within {math.degrees(max_angle):.0f} degrees), and a floor needs "
            f"{100 * LEAST_AREA:.0f} %",
            hint="give known points instead",
        )
    return _UpwardPoints(points=points[:, up].T, normals=field[:, up].T, scene=points[:, valid].T)


def _is_known_nowhere(normals: Float[np.ndarray, "3 h w"], valid: Bool[np.ndarray, "h w"]) -> bool:
    """Whether few pixels with depth have normals, as where depth is known at every second pixel."""
    return bool((np.linalg.norm(normals[:, valid], axis=0) > 0).sum() < LEAST_NORMALS * valid.sum())


def _densest_offsets(valid: Bool[np.ndarray, "h w"], stride: int) -> tuple[int, int]:
    """First row and column of the grid with the most depth, as a map may have it here and there."""
    counts = {
        (row, column): int(valid[row::stride, column::stride].sum())
        for row in range(stride)
        for column in range(stride)
    }
    whole = counts[0, 0] >= valid[::stride, ::stride].size
    return (0, 0) if whole else max(counts, key=lambda offsets: counts[offsets])


def _find_floor_plane(facing: _UpwardPoints, max_angle: float) -> _Plane:
    generator = np.random.default_rng(0)
    least = LEAST_AREA * len(facing.scene)
    reasons, left = [], np.ones(len(facing.points), bool)
    # Enough for a table, a bench and the floor; no large plane is left after that.
    for _ in range(3):
        plane = _largest_plane(facing.points, left, max_angle, generator)
        if plane is None or plane.on_it.sum() < least:
            break
        below = np.mean(facing.scene @ plane.m > BELOW)
        roughness = _median_angle_to_mean(facing.normals[plane.on_it])
        if roughness > MOST_ROUGHNESS:
            spread = f"{math.degrees(roughness):.0f} degrees"
            reasons.append(f"is not flat (its normals differ by {spread})")
        elif below > MOST_BELOW:
            if (level := _plane_of_level_camera(facing, plane)) is not None:
                return level
            share = f"{100 * below:.0f} % of the picture"
            reasons.append(f"is a table or the like, with {share} below it")
        else:
            return _level_plane_if_bent(facing, plane)
        left &= np.abs(facing.points @ plane.m - 1) > 2 * TOLERANCE
        if left.sum() < least:
            break
    raise CalibrationError(
        f"no floor seen: what faces up in the lower half of the picture "
        f"{reasons[0] if reasons else 'is no plane'}",
        hint="give known points instead",
    )


def _level_plane_if_bent(facing: _UpwardPoints, plane: _Plane) -> _Plane:
    if plane.camera_height > DEEP * np.quantile(facing.scene[:, 2], FARTHEST):
        return plane
    floor = facing.points[plane.on_it]
    third = floor[floor[:, 2] <= np.quantile(floor[:, 2], NEAREST)]
    nearest = np.linalg.lstsq(third, np.ones(len(third)), rcond=None)[0]
    apart = math.acos(min(1.0, float(-plane.upward_normal @ nearest / np.linalg.norm(nearest))))
    if apart < BENT:
        return plane
    level = _plane_of_level_camera(facing, plane)
    if level is None:
        raise CalibrationError(
            "no floor seen: its nearest third and the whole are two planes, "
            f"{math.degrees(apart):.0f} degrees apart, so its height is not known; give known "
            "points instead"
        )
    return level


def _plane_of_level_camera(facing: _UpwardPoints, plane: _Plane) -> _Plane | None:
    """Horizontal floor through the nearest points; None if uneven."""
    if -plane.upward_normal[1] < math.cos(MOST_TILT):
        return None
    depth = facing.points[:, 2]
    heights = facing.points[depth <= np.quantile(depth, NEAREST), 1]
    height = float(np.median(heights))
    if height <= 0 or np.median(np.abs(heights / height - 1)) > MOST_UNEVEN:
        return None
    m = np.array([0.0, 1 / height, 0.0])
    if np.mean(facing.scene @ m > FAR_BELOW) > MOST_BELOW:
        return None
    return _Plane(m=m, on_it=np.abs(facing.points @ m - 1) < ON_BENT)


def _median_angle_to_mean(normals: Points) -> float:
    mean = normals.sum(axis=0)
    return float(np.median(np.arccos(np.clip(normals @ mean / np.linalg.norm(mean), -1, 1))))


def _largest_plane(
    points: Points,
    is_candidate: Bool[np.ndarray, "n"],
    max_angle: float,
    generator: "np.random.Generator",
) -> _Plane | None:
    candidates = points[is_candidate]
    p, q, r = (candidates[generator.integers(0, len(candidates), TRIALS)] for _ in range(3))
    sums = np.cross(q, r) + np.cross(r, p) + np.cross(p, q)
    volumes = np.einsum("ni,ni->n", p, np.cross(q, r))
    # Three points that are collinear, or coplanar with the camera, define no usable plane.
    proposed = np.abs(volumes) > 1e-9 * np.abs(p * q * r).max()
    planes = sums[proposed] / volumes[proposed, None]
    planes = planes[planes[:, 1] > math.cos(max_angle) * np.linalg.norm(planes, axis=1)]
    if not len(planes):
        return None
    votes = (np.abs(planes @ candidates.T - 1) < TOLERANCE).sum(axis=1)
    m = _refine_plane(planes[int(votes.argmax())], candidates)
    if m[1] <= math.cos(max_angle) * np.linalg.norm(m):
        return None
    return _Plane(m=m, on_it=is_candidate & (np.abs(points @ m - 1) < TOLERANCE))


def _refine_plane(m: Vector, points: Points) -> Vector:
    """Fit least squares within three deviations of its roughness."""
    tolerance = TOLERANCE
    for _ in range(10):
        misses = np.abs(points @ m - 1)
        inside = misses < tolerance
        m = np.linalg.lstsq(points[inside], np.ones(inside.sum()), rcond=None)[0]
        spread = np.median(np.abs(points[inside] @ m - 1))
        tolerance = min(TOLERANCE, max(3 * 1.4826 * float(spread), LEAST_TOLERANCE))
    return m
