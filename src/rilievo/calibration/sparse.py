"""Sparse depth of another instrument: lidar, COLMAP's points, a phone's depth camera.

A map with gaps, or a list of points, becomes known points spread over the picture, from which
``calibrate`` finds scale, shift and a smooth field.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float64, Shaped

from rilievo.alignment import FitSpace
from rilievo.calibration.fact import pixel_of
from rilievo.calibration.known import KnownPoint
from rilievo.calibration.points import CONTRADICTORY, scale_and_shift
from rilievo.calibration.readings import place, value_at
from rilievo.errors import CalibrationError, InputError, OptionError
from rilievo.io.limits import printable, read_text
from rilievo.io.numbers import read_map
from rilievo.types import DepthMap

LISTS = (".txt", ".csv", ".xyz")
MAPS = (".png", ".npy", ".npz", ".tiff", ".tif", ".exr", ".pfm")
MOST_POINTS = 200
"""More are brought together, cell by cell, by their median."""
_UNITS = "0.001 for millimetres (phones, RealSense, ScanNet), 0.0002 for TUM, 0.00390625 for KITTI"


def find_sparse(folder: Path, photo: Path) -> Path:
    """The file of a photograph: ``folder`` itself where it is a file, else the one in it.

    Args:
        folder: Has the same tree as the photographs.
        photo: Place in that tree, without a suffix.

    Raises:
        InputError: If there is none, or several.
    """
    if not folder.is_dir():
        return folder
    found = [path for end in (*MAPS, *LISTS) if (path := folder / f"{photo}{end}").is_file()]
    if len(found) == 1:
        return found[0]
    count = "no" if not found else "more than one"
    raise InputError(
        f"{printable(folder)}: has {count} file {printable(photo)} with one of the endings "
        f"{' '.join((*MAPS, *LISTS))}"
    )


def read_sparse(path: Path, shape: tuple[int, int], unit: float | None) -> tuple[KnownPoint, ...]:
    """Known points of a map or list, spread over the picture.

    Args:
        path: A map of depth along the axis in which 0 and NaN are gaps, of the photograph's size
            or another with the same proportions; or lines ``u v metres``.
        shape: (height, width) of the photograph [px].
        unit: Metres of one count, needed for whole numbers; 1 of floats when None.

    Raises:
        InputError: If the file cannot be read, has no point inside the picture, or is a map of
            other proportions.
        OptionError: If numbers are whole and no unit is given.
    """
    if path.suffix.lower() in LISTS:
        points = _listed(path, shape) * (1, 1, 1 if unit is None else unit)
    else:
        points = _of_map(read_map(path), shape, unit, printable(path))
    if not len(points):
        raise InputError(f"{printable(path)}: has no point with depth inside the picture")
    return tuple(
        KnownPoint(u=float(u), v=float(v), metres=float(metres))
        for u, v, metres in spread_out(points, shape)
    )


def of_array(
    depth: Shaped[np.ndarray, "h w"], shape: tuple[int, int], unit: float | None
) -> tuple[KnownPoint, ...]:
    """The same of an array [m], or of counts with their unit.

    Raises:
        InputError: If it has no depth, or other proportions than the photograph.
        OptionError: If numbers are whole and no unit is given.
    """
    points = _of_map(np.asarray(depth), shape, unit, "sparse")
    if not len(points):
        raise InputError("sparse: has no pixel with depth")
    return tuple(
        KnownPoint(u=float(u), v=float(v), metres=float(metres))
        for u, v, metres in spread_out(points, shape)
    )


def plausible(
    depth: DepthMap, points: tuple[KnownPoint, ...]
) -> tuple[tuple[KnownPoint, ...], str | None]:
    """Points that a map can be fitted to, and what is to be said of the others.

    Instruments err at edges, where a ray hits what lies behind. Where depth is known up to one
    factor, points that ask for a factor far from the median's are left out.

    Raises:
        CalibrationError: If none lies where the map has depth.
    """
    inside = [point for point in points if depth.valid[place(depth, pixel_of(point))]]
    if not inside:
        raise CalibrationError("no point of sparse depth lies where the model gives depth")
    says = np.array([value_at(depth, pixel_of(point)) for point in inside], np.float64)
    metres = np.array([point.metres for point in inside], np.float64)
    if depth.is_depth:
        logs = np.log(metres / says)
        logs -= np.median(logs)
    else:
        logs = _off_the_line(says, metres, depth)
    near = np.abs(logs) <= np.log(CONTRADICTORY) / 2
    kept = tuple(point for point, keep in zip(inside, near, strict=True) if keep)
    left = len(points) - len(kept)
    if not left:
        return kept, None
    return kept, f"{left} of {len(points)} points of sparse depth were left out: they contradict it"


def _off_the_line(
    says: Float64[np.ndarray, "n"], metres: Float64[np.ndarray, "n"], depth: DepthMap
) -> Float64[np.ndarray, "n"]:
    """Logarithm of depth over truth at each point, after a fit that a few slips do not move."""
    fit = scale_and_shift(says, metres, depth)
    fitted = fit.scale * says + fit.shift
    ahead = fitted > 0
    fitted = np.where(ahead, fitted, 1)
    found = 1 / fitted if fit.space is FitSpace.INVERSE else fitted
    return np.where(ahead, np.log(found / metres), np.inf)


def spread_out(
    points: Float64[np.ndarray, "n 3"], shape: tuple[int, int]
) -> Float64[np.ndarray, "m 3"]:
    """At most ``MOST_POINTS``: of each cell of a grid, the point whose depth is the median's.

    Args:
        points: Column, row [px] and metres.
        shape: (height, width) of the picture [px].
    """
    points = _one_a_pixel(points)
    if len(points) <= MOST_POINTS:
        return points
    height, width = shape
    # Cells at the far sides may be cut, so there are fewer whole ones than points asked for.
    side = 1.1 * float(np.sqrt(height * width / MOST_POINTS))
    columns, rows = (np.floor(points[:, axis] / side).astype(int) for axis in (0, 1))
    order = np.lexsort((points[:, 2], columns, rows))
    cells = (rows * (width + 1) + columns)[order]
    groups = np.split(order, np.flatnonzero(np.diff(cells)) + 1)
    return points[[group[len(group) // 2] for group in groups]]


def _one_a_pixel(points: Float64[np.ndarray, "n 3"]) -> Float64[np.ndarray, "m 3"]:
    """The first of the points that share a pixel."""
    pixels = np.floor(points[:, :2] + 0.5).astype(int)
    _, first = np.unique(pixels, axis=0, return_index=True)
    return points[np.sort(first)]


def _listed(path: Path, shape: tuple[int, int]) -> Float64[np.ndarray, "n 3"]:
    name, rows = printable(path), []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        parts = line.split("#")[0].replace(",", " ").split()
        if not parts or (number == 1 and parts[0].lower() == "u"):
            continue
        try:
            u, v, metres = map(float, parts)
        except ValueError:
            raise InputError(
                f"{name}: line {number} is '{printable(line)[:60]}', expected three numbers: "
                "column, row, metres"
            ) from None
        rows.append((u, v, metres))
    points = np.array(rows, np.float64).reshape(-1, 3)
    return points[_inside(points, shape)]


def _of_map(
    depth: Shaped[np.ndarray, "h w"], shape: tuple[int, int], unit: float | None, name: str
) -> Float64[np.ndarray, "n 3"]:
    if depth.ndim != 2 or not depth.size:
        raise InputError(f"{name}: has shape {depth.shape}, expected (height, width)")
    if unit is None and depth.dtype.kind in "ui":
        raise OptionError(
            f"{name}: holds whole numbers; say how many metres one count is with --sparse-unit "
            f"(sparse_unit in Python): {_UNITS}"
        )
    height, width = shape
    down, across = height / depth.shape[0], width / depth.shape[1]
    if abs(down / across - 1) > 0.02:
        raise InputError(
            f"{name}: is {depth.shape[1]}x{depth.shape[0]}, the photograph {width}x{height}: "
            "their proportions differ"
        )
    metres = depth.astype(np.float64) * (1.0 if unit is None else unit)
    rows, columns = np.nonzero(np.isfinite(metres) & (metres > 0))
    # Centres of pixels stay where they are when sizes differ.
    points = np.stack(
        [(columns + 0.5) * across - 0.5, (rows + 0.5) * down - 0.5, metres[rows, columns]], axis=1
    )
    return points[_inside(points, shape)]


def _inside(points: Float64[np.ndarray, "n 3"], shape: tuple[int, int]) -> np.ndarray:
    height, width = shape
    u, v, metres = points.T
    seen = (u >= 0) & (v >= 0) & (u <= width - 1) & (v <= height - 1)
    return seen & np.isfinite(metres) & (metres > 0)
