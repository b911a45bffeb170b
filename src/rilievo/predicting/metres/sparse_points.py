"""Known points from sparse depth: thinned, at the depth that a lens has, and without outliers.

Arrays of points have rows of column [px], row [px] and metres. Maps [m] have 0 for gaps.
"""

from dataclasses import replace

import numpy as np

from rilievo.alignment.anchor import rank_correlation
from rilievo.alignment.fit import FitSpace
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
from rilievo.errors.messages import OptionName, Text, count_text
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
"""Least ratio of the depths of the farthest and nearest tenth, with which their order is clear."""
_MAX_INVERSE_CORRELATION = -0.6
"""Largest rank correlation with the network's depth of what counts as inverse depth."""


def known_points_of_array(points: Points) -> tuple[KnownPoint, ...]:
    """Make known points of the rows of an array."""
    return tuple(KnownPoint(u=u, v=v, metres=metres) for u, v, metres in points.tolist())


def thin_by_grid(points: Points, shape: tuple[int, int]) -> Float64[np.ndarray, "m 3"]:
    """Reduce points to ``MAX_POINTS``: in each cell of a grid, the one with the median depth stays.

    Of several points in one pixel, the first one counts.
    """
    candidates = _first_point_per_pixel(points)
    if len(candidates) <= MAX_POINTS:
        return candidates
    height, width = shape
    # Cells at the far sides may be cut, which adds to their number, so all are 1.1 times as large.
    cell_side = 1.1 * float(np.sqrt(height * width / MAX_POINTS))
    u, v, metres = candidates.T
    cell_columns = np.floor(u / cell_side).astype(int)
    cell_rows = np.floor(v / cell_side).astype(int)
    # Sorted by cells, and by depth within each cell. The last key of lexsort counts most.
    order = np.lexsort((metres, cell_columns, cell_rows))
    cell_numbers = (cell_rows * (width + 1) + cell_columns)[order]
    cell_starts = np.flatnonzero(np.diff(cell_numbers)) + 1
    indices_by_cell = np.split(order, cell_starts)
    median_indices = [indices[len(indices) // 2] for indices in indices_by_cell]
    return candidates[median_indices]


def _first_point_per_pixel(points: Points) -> Float64[np.ndarray, "m 3"]:
    pixels = np.floor(points[:, :2] + 0.5).astype(int)
    _, first = np.unique(pixels, axis=0, return_index=True)
    return points[np.sort(first)]


def points_of_map(metres: Float64[np.ndarray, "h w"], shape: tuple[int, int]) -> Points:
    """Points of a map that lie inside the photograph, which may have another size than the map."""
    height, width = shape
    map_height, map_width = metres.shape
    rows, columns = np.nonzero(np.isfinite(metres) & (metres > 0))
    # Borders of the map lie on borders of the photograph, half a pixel beyond the centres.
    u = (columns + 0.5) * (width / map_width) - 0.5
    v = (rows + 0.5) * (height / map_height) - 0.5
    is_inside = (u >= 0) & (v >= 0) & (u <= width - 1) & (v <= height - 1)
    return np.stack([u, v, metres[rows, columns]], axis=1)[is_inside]


def known_points_of_embedded_depth(
    embedded: OwnDepth, shape: tuple[int, int], camera: Camera
) -> tuple[KnownPoint, ...]:
    """Make known points from the metric depth map in a photograph's own file.

    Raises:
        CalibrationError: If the map has other proportions than the photograph, or no depth that the
            lens sees.
    """
    assert embedded.metres is not None, "the caller has checked that the map is metric"
    map_height, map_width = embedded.metres.shape
    photo_height, photo_width = shape
    # Editors crop and rotate photographs and leave the embedded maps unchanged.
    ratio_of_aspects = map_width * photo_height / (map_height * photo_width)
    if abs(ratio_of_aspects - 1) > _MAX_ASPECT_ERROR:
        raise CalibrationError("its proportions differ from the photograph's")
    points = thin_by_grid(points_of_map(embedded.metres.astype(np.float64), shape), shape)
    if not len(points):
        raise CalibrationError("it has no pixel with depth")

    rays = camera.rays(points[:, :2].T)
    metres_per_depth = np.linalg.norm(rays, axis=0) if embedded.along_ray else rays[2]
    # This is NaN where the lens sees nothing, and tiny at right angles to the axis, where depth
    # along the axis says nothing.
    is_usable = metres_per_depth > MIN_AXIS_COSINE
    if not is_usable.any():
        raise CalibrationError("it has no pixel with depth in the field of view of the lens")
    points = points[is_usable]
    points[:, 2] /= metres_per_depth[is_usable]
    return convert_points_to_lens_depth(known_points_of_array(points), camera)


def convert_points_to_lens_depth(
    points: tuple[KnownPoint, ...], camera: Camera, direction: Along | None = None
) -> tuple[KnownPoint, ...]:
    """Convert each point's metres to the depth of this lens.

    That is z of a pinhole, and the distance along the ray of a fisheye or panorama.

    ``direction`` is that of the metres; None if they are already such depth.

    Raises:
        CalibrationError: If metres are along the axis, and a point lies behind the camera.
    """
    if points and direction is not None:
        pixels = np.array([(point.u, point.v) for point in points], np.float64)
        factors = _depth_per_metre(camera.rays(pixels.T), camera, direction)
        # The factor is 0 or NaN where the lens has no such depth; these points are dropped.
        points = tuple(
            replace(point, metres=float(point.metres * factor))
            for point, factor in zip(points, factors, strict=True)
            if factor > 0
        )
    if not camera.lens.has_unit_rays:
        return points
    return tuple(replace(point, along=Along.RAY) for point in points)


def convert_map_to_lens_depth(measured: Field, camera: Camera, along: Along | None) -> Field:
    """Convert a map as ``convert_points_to_lens_depth`` converts points."""
    if along is None:
        return measured
    rows, columns = np.nonzero(measured)
    pixels = np.stack([columns, rows]).astype(np.float64)
    factors = _depth_per_metre(camera.rays(pixels), camera, along)
    converted = np.zeros_like(measured)
    # The factor is NaN outside of a fisheye's image circle.
    converted[rows, columns] = measured[rows, columns] * np.nan_to_num(factors)
    return converted


def _depth_per_metre(rays: SpacePoints, camera: Camera, along: Along) -> Values:
    """Depth of the lens for each metre along the axis or along rays.

    It is 0 where depth along the axis says nothing, and NaN where the lens sees nothing.
    """
    is_along_ray = along is Along.RAY
    if is_along_ray == camera.lens.has_unit_rays:
        return np.ones(rays.shape[1])
    if is_along_ray:
        return 1 / np.linalg.norm(rays, axis=0)

    count_behind = int(np.count_nonzero(rays[2] < 0))
    if count_behind:
        raise CalibrationError(
            "sparse depth is along the optical axis, but it includes "
            f"{count_text(count_behind, 'point')} more than 90 degrees off the axis of this "
            f"{camera.lens.name} camera, where only the distance along the ray is defined",
            hint=Text(
                "give ", OptionName("sparse_kind", "distance"), " if the depth is along the ray"
            ),
        )
    is_ahead = rays[2] > MIN_AXIS_COSINE
    safe_cosine = np.where(is_ahead, rays[2], 1)
    return np.where(is_ahead, 1 / safe_cosine, 0.0)


def drop_implausible_points(
    depth: DepthMap, points: tuple[KnownPoint, ...], *, may_be_inverse: bool = True
) -> tuple[tuple[KnownPoint, ...], str | None]:
    """Drop points of an instrument that contradict a network's map, because they err at edges.

    With ``may_be_inverse``, nothing states that the points are depth. Then they are refused if they
    are in the reverse order of the network's depth.

    Returns:
        The points that agree, and a warning on how many were dropped, or None.

    Raises:
        CalibrationError: If no point lies on a pixel with depth, if none agrees with the others, or
            if the points are inverse depth.
    """
    candidates = points_with_depth(depth, points)
    if not candidates:
        raise CalibrationError(
            "the model predicts no depth at any of the measured points: check that they belong to "
            "this photograph"
        )
    values = np.array(
        [median_around(depth, known_point_pixel(point)) for point in candidates], np.float64
    )
    metres = np.array([point.metres for point in candidates], np.float64)
    if may_be_inverse:
        is_inverse = depth.kind is DepthKind.AFFINE_INVERSE
        _require_same_order(-values if is_inverse else values, metres)

    if depth.is_depth:
        log_errors = _log_errors_of_scale(values, metres)
    else:
        log_errors = _log_errors_of_line(values, metres, depth)
    # Any two points that are kept imply scales within the largest ratio.
    is_kept = np.abs(log_errors) <= np.log(MAX_SCALE_RATIO) / 2
    kept = tuple(point for point, keep in zip(candidates, is_kept, strict=True) if keep)
    if not kept:
        raise CalibrationError(
            f"no single scale of the predicted depth fits the {len(candidates)} known points: "
            "check their columns, rows and metres, or try another model"
        )
    return kept, _dropped_points_warning(len(points), len(kept))


def _dropped_points_warning(count: int, kept_count: int) -> str | None:
    """Return a warning on the points that were dropped; None if all were kept."""
    dropped_count = count - kept_count
    if not dropped_count:
        return None
    them = "it" if dropped_count == 1 else "them"
    return (
        f"rilievo ignores {dropped_count} of {count} points, because the prediction "
        f"contradicts {them} or has no depth there"
    )


def points_with_depth(depth: DepthMap, points: tuple[KnownPoint, ...]) -> list[KnownPoint]:
    """Points that lie on a pixel with depth."""
    return [point for point in points if depth.valid[pixel_index(depth, known_point_pixel(point))]]


def _require_same_order(network_values: Values, metres: Values) -> None:
    """Raise ``CalibrationError`` if metres fall where the network's depth rises.

    ``network_values`` are larger farther away.
    """
    if len(metres) < _MIN_ORDERED_POINTS:
        return
    near, far = np.quantile(metres, (0.1, 0.9))
    if far < _MIN_DEPTH_RATIO * near:
        return
    if rank_correlation(network_values, metres) > _MAX_INVERSE_CORRELATION:
        return
    raise CalibrationError(
        "sparse depth decreases where the network's depth increases, as inverse depth and "
        "disparity do: convert it to metres (1 / inverse depth, or focal length times baseline / "
        "disparity)"
    )


def _log_errors_of_scale(values: Values, metres: Values) -> Values:
    """Log errors of the median scale from depth up to scale to metres."""
    log_scales = np.log(metres / values)
    return log_scales - np.median(log_scales)


def _log_errors_of_line(values: Values, metres: Values, depth: DepthMap) -> Values:
    """Log errors of the best line from an affine map to metres; infinite where it is negative."""
    fit = fit_line_through_two_points(values, metres, depth)
    fitted = fit.scale * values + fit.shift
    is_positive = fitted > 0
    safe_fitted = np.where(is_positive, fitted, 1)
    depths = 1 / safe_fitted if fit.space is FitSpace.INVERSE else safe_fitted
    return np.where(is_positive, np.log(depths / metres), np.inf)
