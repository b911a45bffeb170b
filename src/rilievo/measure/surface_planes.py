"""Planes through flat surfaces of a prediction, and how flat these are.

Vectors are in the camera frame [m].
"""

import math
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Float64, Int, Mask, Points, Values, Vector
from rilievo.calibration.readings import Pixel, require_depth
from rilievo.errors import CalibrationError
from rilievo.errors.messages import count_text
from rilievo.measure.masks import surface_pixels
from rilievo.measure.plane_support import PlaneSupport, measure_support
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
    """Fit a plane to the surface around a pixel with depth, without the surfaces beside it."""
    require_depth(prediction.depth, pixel)
    disc = _disc_mask(prediction.shape, pixel)
    return fit_surface_plane(prediction, disc, exclude_other_surfaces=True)


def _disc_mask(shape: tuple[int, int], centre: Pixel) -> Mask:
    height, width = shape
    v, u = np.ogrid[:height, :width]
    radius = max(_MIN_DISC_RADIUS, _DISC_RADIUS * width)
    return np.hypot(u - centre.u, v - centre.v) <= radius


def fit_surface_plane(
    prediction: PredictionRecord, mask: Mask, *, exclude_other_surfaces: bool = False
) -> SurfacePlane:
    """Fit a plane to the surface inside of a mask.

    With ``exclude_other_surfaces``, pixels far off the plane are left out.

    Raises:
        CalibrationError: If too few pixels have depth.
    """
    is_surface = mask & surface_pixels(prediction)
    pixel_count = int(is_surface.sum())
    if pixel_count < _MIN_PLANE_PIXELS:
        raise CalibrationError(
            f"the surface has only {count_text(pixel_count, 'pixel')} with depth, but a plane "
            f"needs at least {_MIN_PLANE_PIXELS}: choose a larger surface"
        )

    points = _surface_points(prediction, is_surface)
    plane_vector = _least_absolute_plane(points)  # plane_vector · p = 1 on the plane.
    fitted_points = points
    if exclude_other_surfaces:
        plane_vector, fitted_points = _trim_to_plane(points, plane_vector)
    # The misfit is that of all points, with those on other surfaces.
    camera_distance = float(1 / np.linalg.norm(plane_vector))
    normal = plane_vector * camera_distance
    return SurfacePlane(
        normal=normal,
        camera_distance=camera_distance,
        support=measure_support(fitted_points, normal),
        misfit=float(np.median(np.abs(points @ plane_vector - 1))),
    )


_REWEIGHTING_ROUNDS = 10
_MIN_MISFIT = 1e-4
"""Relative misfit below which all pixels have the same weight."""


def _least_absolute_plane(points: Points) -> Vector:
    """Fit the plane v · p = 1 with least absolute relative misfit, and return v.

    It is found by iteratively reweighted least squares. Objects in front of a wall tilt such a
    plane less than they would tilt a least-squares plane.
    """
    root_weights = np.ones(len(points))
    plane_vector = np.zeros(3)
    for _ in range(_REWEIGHTING_ROUNDS):
        plane_vector = np.linalg.lstsq(points * root_weights[:, None], root_weights, rcond=None)[0]
        root_weights = 1 / np.sqrt(np.maximum(np.abs(points @ plane_vector - 1), _MIN_MISFIT))
    return plane_vector


_TRIM_RATIOS = (1.5,) * 8 + (3.0,) * 3
"""Largest misfit of the points that are kept, over the median, in each round of the trimmed fit.

The first rounds keep few points, so that another surface in a third of them is left out. The last
rounds keep nearly all points of the plane."""


def _trim_to_plane(
    points: Points, plane_vector: Vector
) -> tuple[Vector, Float64[np.ndarray, "m 3"]]:
    """Fit a plane by trimmed least squares; return its vector and the points kept."""
    near_plane = points
    for ratio in _TRIM_RATIOS:
        misfits = np.abs(points @ plane_vector - 1)
        max_misfit = max(ratio * float(np.median(misfits)), _MIN_MISFIT)
        near_plane = points[misfits <= max_misfit]
        plane_vector = np.linalg.lstsq(near_plane, np.ones(len(near_plane)), rcond=None)[0]
    return plane_vector, near_plane


def _surface_points(prediction: PredictionRecord, is_surface: Mask) -> Points:
    """Points of the pixels of a mask; only its bounding box is unprojected, for speed."""
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
"""Fraction of the cells that stay below the bend. The rest may be objects, or beyond a border."""


def surface_bend(prediction: PredictionRecord, mask: Mask, plane: SurfacePlane) -> float:
    """Relative difference of depth from a plane that nine in ten cells of a surface stay below.

    The cells are those of a grid over the mask. Each has the median of its pixels, so that the
    noise of single pixels does not count as a bend. A mask with too few pixels has a bend of 0.
    """
    is_surface = mask & surface_pixels(prediction)
    pixel_count = int(is_surface.sum())
    grid_side = min(_MAX_BEND_CELLS, math.isqrt(pixel_count // _BEND_CELL_PIXELS))
    if grid_side < 2:
        return 0.0

    points = _surface_points(prediction, is_surface)
    misfits = points @ plane.normal / plane.camera_distance - 1
    cells = _cells_of_grid(is_surface, grid_side)
    # Cells that the mask covers by less than a quarter of the mean are left out.
    min_pixels = pixel_count / grid_side**2 / 4
    medians = [
        np.median(cell_misfits)
        for cell_misfits in _split_by_cell(misfits, cells)
        if len(cell_misfits) >= min_pixels
    ]
    return float(np.quantile(np.abs(medians), _BEND_QUANTILE))


def _cells_of_grid(mask: Mask, grid_side: int) -> Int[np.ndarray, "n"]:
    """Cell of each pixel of a mask, in a grid of ``grid_side`` x ``grid_side`` cells around it."""
    rows, columns = np.nonzero(mask)
    cell_row = (rows - rows.min()) * grid_side // (np.ptp(rows) + 1)
    cell_column = (columns - columns.min()) * grid_side // (np.ptp(columns) + 1)
    return cell_row * grid_side + cell_column


def _split_by_cell(values: Values, cells: Int[np.ndarray, "n"]) -> list[Values]:
    """Split values by their cells; a cell in the middle without values gives an empty array."""
    order = np.argsort(cells, kind="stable")
    ends = np.cumsum(np.bincount(cells))
    return np.split(values[order], ends[:-1])
