"""Known points from sparse depth: thinned, at the depth that a lens has, and without outliers.

Arrays of points have rows of column [px], row [px] and metres. Maps [m] have 0 for gaps.
"""

from dataclasses import replace

import numpy as np

from rilievo.alignment import FitSpace
from rilievo.alignment.anchor import rank_correlation
from rilievo.arrays.shapes import Field, Float64, Points, Values
from rilievo.calibration.points import MAX_SCALE_RATIO, fit_line_through_two_points
from rilievo.calibration.readings import (
    MIN_AXIS_COSINE,
    known_point_pixel,
    median_around,
    pixel_index,
)
from rilievo.calibration.sizes import Along, KnownPoint
from rilievo.errors import CalibrationError
from rilievo.errors.messages import OptionName, Text
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.cameras.lens import SpacePoints
from rilievo.records.depth_map import DepthKind, DepthMap, OwnDepth

MAX_POINTS = 200
"""Most points that are fitted; more are reduced to medians of a grid, for speed."""

_MAX_ASPECT_ERROR = 0.02
"""Largest relative difference between the proportions of a photograph and of its own depth map."""
_MIN_ORDERED_POINTS = 20
"""Fewest points whose order is compared with that of a network."""
_MIN_DEPTH_RATIO = 1.3
"""Least ratio of far to near points (a tenth each) whose order a network sees."""
_MAX_INVERSE_CORRELATION = -0.6
"""Rank correlation with the network's depth up to which sparse depth counts as inverse depth."""


def known_points_of_array(points: Points) -> tuple[KnownPoint, ...]:
    """Make known points of the rows of an array."""
    return tuple(KnownPoint(u=u, v=v, metres=metres) for u, v, metres in points.tolist())


def thin_by_grid(points: Points, shape: tuple[int, int]) -> Float64[np.ndarray, "m 3"]:
    """Reduce points to ``MAX_POINTS``: in each cell of a grid, the one with the median depth stays.

    Of several points in one pixel, the first one counts.
    """
    points = _first_point_of_pixels(points)
    if len(points) <= MAX_POINTS:
        return points
    height, width = shape
    # Cells at the far sides may be cut, so fewer whole cells fit than the limit: hence 1.1.
    side = 1.1 * float(np.sqrt(height * width / MAX_POINTS))
    columns = np.floor(points[:, 0] / side).astype(int)
    rows = np.floor(points[:, 1] / side).astype(int)
    order = np.lexsort((points[:, 2], columns, rows))
    cells = (rows * (width + 1) + columns)[order]
    cell_starts = np.flatnonzero(np.diff(cells)) + 1
    groups = np.split(order, cell_starts)
    return points[[group[len(group) // 2] for group in groups]]


def _first_point_of_pixels(points: Points) -> Float64[np.ndarray, "m 3"]:
    pixels = np.floor(points[:, :2] + 0.5).astype(int)
    _, first = np.unique(pixels, axis=0, return_index=True)
    return points[np.sort(first)]


def points_of_map(metres: Float64[np.ndarray, "h w"], shape: tuple[int, int]) -> Points:
    """Points of a map that lie inside the photograph, which may have another size than the map."""
    y_factor, x_factor = shape[0] / metres.shape[0], shape[1] / metres.shape[1]
    rows, columns = np.nonzero(np.isfinite(metres) & (metres > 0))
    # Borders of the map lie on borders of the photograph, half a pixel beyond the centres.
    u = (columns + 0.5) * x_factor - 0.5
    v = (rows + 0.5) * y_factor - 0.5
    height, width = shape
    is_inside = (u >= 0) & (v >= 0) & (u <= width - 1) & (v <= height - 1)
    return np.stack([u, v, metres[rows, columns]], axis=1)[is_inside]


def known_points_of_own_depth(
    own: OwnDepth, shape: tuple[int, int], camera: Camera
) -> tuple[KnownPoint, ...]:
    """Make known points of the depth in a photograph's file, whose ``metres`` are not None.

    Raises:
        CalibrationError: If the map has other proportions than the photograph, or no depth that the
            lens sees.
    """
    assert own.metres is not None, "the caller asked"
    height, width = own.metres.shape
    # Editors crop and rotate photographs and leave the embedded maps unchanged.
    if abs(width * shape[0] / (height * shape[1]) - 1) > _MAX_ASPECT_ERROR:
        raise CalibrationError("its proportions differ from the photograph's")
    points = thin_by_grid(points_of_map(own.metres.astype(np.float64), shape), shape)
    if not len(points):
        raise CalibrationError("it has no pixel with depth")

    rays = camera.rays(points[:, :2].T)
    metres_at_depth_1 = np.linalg.norm(rays, axis=0) if own.along_ray else rays[2]
    # Beside a wide lens, depth along the axis tells nothing; outside of it, nothing is seen.
    is_usable = metres_at_depth_1 > MIN_AXIS_COSINE
    if not is_usable.any():
        raise CalibrationError("it has no pixel with depth that the lens sees")
    points = points[is_usable]
    points[:, 2] /= metres_at_depth_1[is_usable]
    return points_at_depth_of_lens(known_points_of_array(points), camera)


def points_at_depth_of_lens(
    points: tuple[KnownPoint, ...], camera: Camera, along: Along | None = None
) -> tuple[KnownPoint, ...]:
    """Points whose metres are depth as a map of this lens has it.

    That is z of a pinhole, and the distance along the ray of a fisheye or panorama.

    Args:
        points: Points with metres.
        camera: Camera of the photograph.
        along: Direction of these metres; None if they are such depth already.

    Raises:
        CalibrationError: If metres are along the axis where a wide lens looks aside or back.
    """
    if points and along is not None:
        pixels = np.array([(point.u, point.v) for point in points], np.float64)
        factors = _depth_per_metre(camera.rays(pixels.T), camera, along)
        points = tuple(
            replace(point, metres=float(point.metres * factor))
            for point, factor in zip(points, factors, strict=True)
            if factor > 0
        )
    if not camera.lens.has_unit_rays:
        return points
    return tuple(replace(point, along=Along.RAY) for point in points)


def map_at_depth_of_lens(measured: Field, camera: Camera, along: Along | None) -> Field:
    """Map whose metres are depth as a map of this lens has it.

    The arguments and errors are those of ``points_at_depth_of_lens``.
    """
    if along is None:
        return measured
    rows, columns = np.nonzero(measured)
    pixels = np.stack([columns, rows]).astype(np.float64)
    factors = _depth_per_metre(camera.rays(pixels), camera, along)
    converted = np.zeros_like(measured)
    # Outside of its image circle a fisheye sees nothing, and has no factor.
    converted[rows, columns] = measured[rows, columns] * np.nan_to_num(factors)
    return converted


def _depth_per_metre(rays: SpacePoints, camera: Camera, along: Along) -> Values:
    """Depth of the lens for each metre along the axis or along rays.

    It is 0 where depth along the axis tells nothing, and NaN where the lens sees nothing.

    Raises:
        CalibrationError: If metres are along the axis where a wide lens looks aside or back.
    """
    is_along_ray = along is Along.RAY
    if is_along_ray == camera.lens.has_unit_rays:
        return np.ones(rays.shape[1])
    if is_along_ray:
        return 1 / np.linalg.norm(rays, axis=0)

    count_behind = int(np.count_nonzero(rays[2] < 0))
    if count_behind:
        raise CalibrationError(
            f"{count_behind} points of sparse depth along the axis lie more than 90 degrees from "
            f"the axis of this {camera.lens.name}, where no such depth is",
            hint=Text("say ", OptionName("sparse_kind", "distance"), " if it is along the ray"),
        )
    is_ahead = rays[2] > MIN_AXIS_COSINE
    return np.where(is_ahead, 1 / np.where(is_ahead, rays[2], 1), 0.0)


def drop_implausible_points(
    depth: DepthMap, points: tuple[KnownPoint, ...], *, may_be_inverse: bool = True
) -> tuple[tuple[KnownPoint, ...], str | None]:
    """Drop points that contradict a map, because instruments err at edges.

    Args:
        depth: The network's map.
        points: Depth of the instrument.
        may_be_inverse: Whether nothing states that the points are depth, so that they are refused
            if they are in the reverse order of the network's.

    Returns:
        The points that agree, and a warning on how many were dropped, or None.

    Raises:
        CalibrationError: If no point lies on a pixel with depth, or the points are inverse depth.
    """
    with_depth = points_with_depth(depth, points)
    if not with_depth:
        raise CalibrationError("no point of sparse depth lies where the model gives depth")
    values = np.array(
        [median_around(depth, known_point_pixel(point)) for point in with_depth], np.float64
    )
    metres = np.array([point.metres for point in with_depth], np.float64)
    if may_be_inverse:
        far_is_large = depth.kind is not DepthKind.AFFINE_INVERSE
        _require_same_order(values if far_is_large else -values, metres)

    if depth.is_depth:
        log_errors = np.log(metres / values)
        log_errors -= np.median(log_errors)
    else:
        log_errors = _log_errors_of_line(values, metres, depth)
    agrees = np.abs(log_errors) <= np.log(MAX_SCALE_RATIO) / 2
    agreeing = tuple(point for point, keep in zip(with_depth, agrees, strict=True) if keep)
    dropped = len(points) - len(agreeing)
    if not dropped:
        return agreeing, None
    warning = f"{dropped} of {len(points)} points contradict the prediction and were left out"
    return agreeing, warning


def points_with_depth(depth: DepthMap, points: tuple[KnownPoint, ...]) -> list[KnownPoint]:
    """Points that lie on a pixel with depth."""
    return [point for point in points if depth.valid[pixel_index(depth, known_point_pixel(point))]]


def _require_same_order(network_values: Values, metres: Values) -> None:
    """Raise ``CalibrationError`` if metres fall where the network's depth rises.

    Args:
        network_values: The network's numbers, larger farther away.
        metres: Metres of the sensor at the same pixels.
    """
    if len(metres) < _MIN_ORDERED_POINTS:
        return
    near, far = np.quantile(metres, (0.1, 0.9))
    if far < _MIN_DEPTH_RATIO * near:
        return
    if rank_correlation(network_values, metres) > _MAX_INVERSE_CORRELATION:
        return
    raise CalibrationError(
        "sparse depth is small where the network sees far, and large where it sees near, as "
        "inverse depth and disparity are: convert it to metres (1 over inverse depth, or focal "
        "length times baseline over disparity)"
    )


def _log_errors_of_line(values: Values, metres: Values, depth: DepthMap) -> Values:
    """Log errors of the best line from an affine map to metres; infinite where it is negative."""
    fit = fit_line_through_two_points(values, metres, depth)
    fitted = fit.scale * values + fit.shift
    is_positive = fitted > 0
    fitted = np.where(is_positive, fitted, 1)
    depths = 1 / fitted if fit.space is FitSpace.INVERSE else fitted
    return np.where(is_positive, np.log(depths / metres), np.inf)
