"""Planes through flat surfaces of a prediction, and how flat these are.

Vectors are in the camera frame [m].
"""

import math
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Float64, Mask, Points, Vector
from rilievo.calibration.plane_support import PlaneSupport, support_of
from rilievo.calibration.readings import Pixel, require_depth
from rilievo.errors import CalibrationError
from rilievo.measure.masks import surface_pixels
from rilievo.records.prediction_record import PredictionRecord

MAX_FLAT_MISFIT = 0.05
"""Largest relative difference of a flat surface's depth from a plane, as a median."""
MIN_BEND = 0.005
"""Bend of a surface up to which it counts as flat, however small the error of its depth is."""
BEND_PER_ERROR = 2.0
"""Bend from which on a surface is not flat, over the error in which its pixels may differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SurfacePlane:
    """Plane through a part of a surface.

    Attributes:
        normal: Unit normal, away from the camera.
        camera_distance: Distance from the camera to the plane [m].
        support: Points to which it was fitted.
        misfit: Median relative difference of depth from it.
    """

    normal: Vector
    camera_distance: float
    support: PlaneSupport
    misfit: float


_DISC_RADIUS = 0.04
"""Radius of the disc to which a surface is fitted, in widths of the picture."""
_MIN_DISC_RADIUS = 2.0
"""Least radius of such a disc [px]."""
_MIN_PLANE_PIXELS = 12
"""Fewest pixels with depth to which a plane is fitted."""


def fit_surface_around(prediction: PredictionRecord, pixel: Pixel) -> SurfacePlane:
    """Fit a plane to the surface around a pixel, without the surfaces beside it.

    Raises:
        CalibrationError: If the pixel has no depth, or too few pixels around it.
    """
    require_depth(prediction.depth, pixel)
    disc = _disc_mask(prediction.shape, pixel)
    return fit_surface_plane(prediction, disc, leaves_out_others=True)


def _disc_mask(shape: tuple[int, int], centre: Pixel) -> Mask:
    height, width = shape
    v, u = np.ogrid[:height, :width]
    radius = max(_MIN_DISC_RADIUS, _DISC_RADIUS * width)
    return np.hypot(u - centre.u, v - centre.v) <= radius


def fit_surface_plane(
    prediction: PredictionRecord, mask: Mask, *, leaves_out_others: bool = False
) -> SurfacePlane:
    """Fit a plane to the surface inside of a mask.

    Args:
        prediction: Prediction with depth.
        mask: Pixels of the surface.
        leaves_out_others: Whether pixels far off the plane belong to another surface, and are left
            out.

    Raises:
        CalibrationError: If too few pixels have depth.
    """
    is_surface = mask & surface_pixels(prediction)
    count = int(is_surface.sum())
    if count < _MIN_PLANE_PIXELS:
        raise CalibrationError(
            f"{count} pixels with depth lie there, and a plane takes {_MIN_PLANE_PIXELS}: "
            "choose a larger surface"
        )

    points = _surface_points(prediction, is_surface)
    vector, on_plane = _least_absolute_plane(points), points
    if leaves_out_others:
        vector, on_plane = _trim_to_plane(points, vector)
    camera_distance = float(1 / np.linalg.norm(vector))
    normal = vector * camera_distance
    return SurfacePlane(
        normal=normal,
        camera_distance=camera_distance,
        support=support_of(on_plane, normal),
        misfit=float(np.median(np.abs(points @ vector - 1))),
    )


_REWEIGHTING_ROUNDS = 10
_MIN_MISFIT = 1e-4
"""Relative misfit below which all pixels have the same weight."""


def _least_absolute_plane(points: Points) -> Vector:
    """Vector of the plane vector · p = 1 with the least sum of absolute relative misfits.

    The sum is found by reweighted least squares. So objects in front of a wall tilt it little.
    """
    weights = np.ones(len(points))
    vector = np.zeros(3)
    for _ in range(_REWEIGHTING_ROUNDS):
        vector = np.linalg.lstsq(points * weights[:, None], weights, rcond=None)[0]
        weights = 1 / np.sqrt(np.maximum(np.abs(points @ vector - 1), _MIN_MISFIT))
    return vector


_TRIM_RATIOS = (1.5,) * 8 + (3.0,) * 3
"""Largest misfit of a pixel that counts, over the median, in rounds of least squares: first few
pixels, so that another surface in a third of them is left out, then nearly all of the plane."""


def _trim_to_plane(points: Points, vector: Vector) -> tuple[Vector, Float64[np.ndarray, "m 3"]]:
    """Fit a plane to the points near it alone; returns its vector and these points."""
    near_plane = points
    for ratio in _TRIM_RATIOS:
        misfits = np.abs(points @ vector - 1)
        max_misfit = max(ratio * float(np.median(misfits)), _MIN_MISFIT)
        near_plane = points[misfits <= max_misfit]
        vector = np.linalg.lstsq(near_plane, np.ones(len(near_plane)), rcond=None)[0]
    return vector, near_plane


def _surface_points(prediction: PredictionRecord, is_surface: Mask) -> Points:
    """Points of the pixels of a mask, computed within its bounding box alone."""
    rows = np.flatnonzero(is_surface.any(axis=1))
    columns = np.flatnonzero(is_surface.any(axis=0))
    row_range = range(rows[0], rows[-1] + 1)
    column_range = range(columns[0], columns[-1] + 1)
    box = np.s_[row_range.start : row_range.stop, column_range.start : column_range.stop]

    depth = np.where(is_surface[box], prediction.depth.values[box], 1).astype(np.float64)
    points = prediction.known_camera.points(depth, rows=row_range, columns=column_range)
    return points[:, is_surface[box]].T


_MAX_BEND_CELLS = 8
"""Most cells along each side of an outline in which depth is compared with the plane."""
_BEND_CELL_PIXELS = 49
"""Mean number of pixels in a cell, in whose median the errors of single pixels cancel."""
_BEND_QUANTILE = 0.9
"""Share of the cells that stays below the bend. The rest may be objects, or beyond a border."""


def surface_bend(prediction: PredictionRecord, mask: Mask, plane: SurfacePlane) -> float:
    """Relative difference of depth from a plane that nine in ten parts of a surface stay below.

    The parts are the cells of a grid over the mask. Each has the median of its pixels, so that the
    noise of single pixels does not count as a bend. A mask with too few pixels has a bend of 0.
    """
    is_surface = mask & surface_pixels(prediction)
    count = int(is_surface.sum())
    cells = min(_MAX_BEND_CELLS, math.isqrt(count // _BEND_CELL_PIXELS))
    if cells < 2:
        return 0.0

    rows, columns = np.nonzero(is_surface)
    row_of_cells = (rows - rows.min()) * cells // (np.ptp(rows) + 1)
    column_of_cells = (columns - columns.min()) * cells // (np.ptp(columns) + 1)
    cell_of_pixel = (row_of_cells * cells + column_of_cells).astype(np.uint8)
    points = _surface_points(prediction, is_surface)
    misfits = points @ plane.normal / plane.camera_distance - 1

    pixels_by_cell = np.argsort(cell_of_pixel, kind="stable")
    cell_ends = np.cumsum(np.bincount(cell_of_pixel, minlength=cells**2))
    misfits_by_cell = np.split(misfits[pixels_by_cell], cell_ends[:-1])
    min_pixels = count / cells**2 / 4
    medians = [np.median(cell) for cell in misfits_by_cell if len(cell) >= min_pixels]
    return float(np.quantile(np.abs(medians), _BEND_QUANTILE))
