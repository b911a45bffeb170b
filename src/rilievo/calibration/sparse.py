"""Sparse depth from another instrument: lidar, a phone's depth camera, COLMAP's points in a view.

A map with gaps, or a list of points, becomes known points spread over the picture. ``calibrate``
fits scale, shift and a smooth field to them.
"""

from pathlib import Path

import numpy as np

from rilievo.alignment import FitSpace
from rilievo.alignment.measured import is_dense
from rilievo.calibration.lengths import KnownPoint
from rilievo.calibration.points import CONTRADICTORY, scale_and_shift
from rilievo.calibration.readings import pixel_of, place, value_at
from rilievo.calibration.sparse_files import LISTS
from rilievo.errors import CalibrationError, InputError, OptionError
from rilievo.frozen import frozen
from rilievo.io.files.limits import printable, read_text
from rilievo.io.outside.depth_numbers import (
    DepthStatement,
    NumberReading,
    read_depth_numbers,
    scale_fact,
)
from rilievo.shapes import Field, Float64, Points, Shaped, Values
from rilievo.types import Camera, DepthKind, DepthMap, OwnDepth

MOST_POINTS = 200
"""Largest number of points; more are reduced to one per grid cell, that of median depth."""
_UNITS = "0.001 for millimetres (phones, RealSense, ScanNet), 0.0002 for TUM, 0.00390625 for KITTI"

_PROPORTIONS = 0.02
"""Largest relative difference between the proportions of a map and those of the photograph."""


@frozen
class SparseDepth:
    """Depth of another instrument.

    Attributes:
        points: Known points, spread over the picture.
        measured: Map [m], 0 where there is none, of a sensor that measured more than a hundredth of
            its pixels; None of fewer.
        reading: Reading of its numbers; without facts of lists and arrays.
    """

    points: tuple[KnownPoint, ...]
    measured: Field | None = None
    reading: NumberReading = NumberReading()


def read_sparse(path: Path, shape: tuple[int, int], unit: float | None) -> SparseDepth:
    """Read depth of another instrument from a map or list.

    A model of COLMAP holds places in the scene, and needs the pose of each photograph.

    Args:
        path: Map of depth along the optical axis in which 0 and NaN are gaps, with the aspect
            ratio of the photograph; or a text file of lines ``u v metres``.
        shape: (height, width) of the photograph [px].
        unit: Metres per count, required for maps of integers that do not state it; None means 1
            for floats.
    """
    if path.stem.lower() == "points3d":
        raise InputError(
            (
                "COLMAP's points are places in the scene, expected lines u "
                "v metres of one photograph: 'rilievo example colmap' writes "
                "a program that fits depth to them"
            ),
            path=printable(path),
        )
    reading = NumberReading()
    if path.suffix.lower() in LISTS:
        points = _listed(path, shape) * (1, 1, 1 if unit is None else unit)
        metres = _drawn(points, shape)
    else:
        numbers = read_depth_numbers(path)
        stated, values = numbers.statement, numbers.values
        _refuse_stated(stated, unit, printable(path))
        metres = _metres(values, shape, unit, printable(path))
        fact = scale_fact(numbers.stored, stated, unit=unit, place="{sparse_unit}", guess=1.0)
        reading = NumberReading(facts=(fact,))
        points = _of_map(metres, shape)
    if not len(points):
        raise InputError("has no point with depth inside the picture", path=path)
    return _sparse(points, metres, shape, reading)


def of_array(
    depth: Shaped[np.ndarray, "..."], shape: tuple[int, int], unit: float | None
) -> SparseDepth:
    """Depth of another instrument from an array in metres, or of counts with their unit."""
    metres = _metres(np.asarray(depth), shape, unit, "sparse")
    points = _of_map(metres, shape)
    if not len(points):
        raise InputError("sparse: has no pixel with depth")
    return _sparse(points, metres, shape, NumberReading())


def _sparse(
    points: Points, metres: Field, shape: tuple[int, int], reading: NumberReading
) -> SparseDepth:
    facts = _known(spread_out(points, shape))
    return SparseDepth(points=facts, measured=metres if is_dense(metres) else None, reading=reading)


def _refuse_stated(stated: DepthStatement, unit: float | None, name: str) -> None:
    """Refuse maps that say of themselves that they hold no metres along the axis."""
    if stated.kind not in (None, DepthKind.METRIC):
        raise InputError(
            (
                f"states depth of kind '{stated.kind}' ({stated.place}), which "
                "gives no metres along the optical axis"
            ),
            path=name,
        )
    if unit is not None and stated.is_coded:
        raise OptionError(
            f"states how its numbers become metres ({stated.place})",
            path=name,
            hint="leave {sparse_unit} out",
        )


def _drawn(points: Points, shape: tuple[int, int]) -> Field:
    """A list of points as a map at the photograph's size."""
    metres = np.zeros(shape, np.float32)
    columns, rows = np.floor(points[:, :2].T + 0.5).astype(int)
    metres[np.minimum(rows, shape[0] - 1), np.minimum(columns, shape[1] - 1)] = points[:, 2]
    return metres


def of_own_depth(own: OwnDepth, shape: tuple[int, int], camera: Camera) -> tuple[KnownPoint, ...]:
    """Known points of the depth [m] that is embedded in a photograph's file.

    Args:
        own: Embedded depth; its ``metres`` must be set.
        shape: (height, width) of the photograph [px].
        camera: Intrinsics of the photograph, which convert distances along rays to depth.
    """
    assert own.metres is not None, "the caller asked"
    height, width = own.metres.shape
    # Editors crop and rotate photographs and leave the embedded maps unchanged.
    if abs(width * shape[0] / (height * shape[1]) - 1) > _PROPORTIONS:
        raise CalibrationError("its proportions differ from the photograph's")
    points = _spread_over(own.metres.astype(np.float64), shape)
    points = spread_out(points[_inside(points, shape)], shape)
    if not len(points):
        raise CalibrationError("it has no pixel with depth")
    rays = camera.rays(points[:, :2].T)
    points[:, 2] /= np.linalg.norm(rays, axis=0) if own.along_ray else rays[2]
    return _known(points)


def _known(points: Points) -> tuple[KnownPoint, ...]:
    return tuple(KnownPoint(u=u, v=v, metres=metres) for u, v, metres in points.tolist())


def plausible(
    depth: DepthMap, points: tuple[KnownPoint, ...]
) -> tuple[tuple[KnownPoint, ...], str | None]:
    """Drop points that contradict a map; returns the rest and a warning, None if none is dropped.

    Instruments err at edges, where a ray hits the background. Points whose scale is far from the
    median scale are left out; for kinds with a shift, points far from a robust line.
    """
    inside = where_valid(depth, points)
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
    agreeing = tuple(point for point, keep in zip(inside, near, strict=True) if keep)
    left = len(points) - len(agreeing)
    if not left:
        return agreeing, None
    return agreeing, f"{left} of {len(points)} points contradict the prediction and were left out"


def where_valid(depth: DepthMap, points: tuple[KnownPoint, ...]) -> list[KnownPoint]:
    """Points at which the map has depth."""
    return [point for point in points if depth.valid[place(depth, pixel_of(point))]]


def _off_the_line(says: Values, metres: Values, depth: DepthMap) -> Values:
    """Logarithm of depth over truth at each point, after a fit that is robust to outliers."""
    fit = scale_and_shift(says, metres, depth)
    fitted = fit.scale * says + fit.shift
    ahead = fitted > 0
    fitted = np.where(ahead, fitted, 1)
    depths = 1 / fitted if fit.space is FitSpace.INVERSE else fitted
    return np.where(ahead, np.log(depths / metres), np.inf)


def spread_out(points: Points, shape: tuple[int, int]) -> Float64[np.ndarray, "m 3"]:
    """Reduce to at most ``MOST_POINTS``: the point of median depth in each cell of a grid."""
    points = _one_a_pixel(points)
    if len(points) <= MOST_POINTS:
        return points
    height, width = shape
    # Cells at the far sides may be cut, so fewer whole cells fit than the limit: hence 1.1.
    side = 1.1 * float(np.sqrt(height * width / MOST_POINTS))
    columns, rows = (np.floor(points[:, axis] / side).astype(int) for axis in (0, 1))
    order = np.lexsort((points[:, 2], columns, rows))
    cells = (rows * (width + 1) + columns)[order]
    groups = np.split(order, np.flatnonzero(np.diff(cells)) + 1)
    return points[[group[len(group) // 2] for group in groups]]


def _one_a_pixel(points: Points) -> Float64[np.ndarray, "m 3"]:
    """Keep the first of the points that share a pixel."""
    pixels = np.floor(points[:, :2] + 0.5).astype(int)
    _, first = np.unique(pixels, axis=0, return_index=True)
    return points[np.sort(first)]


def _listed(path: Path, shape: tuple[int, int]) -> Points:
    name, rows = printable(path), []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        parts = line.split("#")[0].replace(",", " ").split()
        if not parts or (number == 1 and parts[0].lower() == "u"):
            continue
        try:
            u, v, metres = map(float, parts)
        except ValueError:
            raise InputError(
                (
                    f"line {number} is '{printable(line)[:60]}', expected three "
                    "numbers: column, row, metres"
                ),
                path=name,
            ) from None
        rows.append((u, v, metres))
    points = np.array(rows, np.float64).reshape(-1, 3)
    return points[_inside(points, shape)]


def _metres(
    depth: Shaped[np.ndarray, "..."], shape: tuple[int, int], unit: float | None, name: str
) -> Field:
    """A map in metres, 0 where there is none, whose proportions are the photograph's."""
    if depth.ndim != 2 or not depth.size:
        raise InputError(f"has shape {depth.shape}, expected (height, width)", path=name)
    if unit is None and depth.dtype.kind in "ui":
        raise OptionError(
            "holds whole numbers",
            path=name,
            hint=f"say how many metres one count is with {{sparse_unit=...}}: {_UNITS}",
        )
    height, width = shape
    down, across = height / depth.shape[0], width / depth.shape[1]
    if abs(down / across - 1) > _PROPORTIONS:
        raise InputError(
            (
                f"is {depth.shape[1]}x{depth.shape[0]}, the photograph "
                f"{width}x{height}: their proportions differ"
            ),
            path=name,
        )
    with np.errstate(over="ignore", invalid="ignore"):
        metres = depth.astype(np.float64) * (1.0 if unit is None else unit)
        usable = np.isfinite(metres) & (metres > 0) & (metres < np.finfo(np.float32).max)
    return np.where(usable, metres, 0).astype(np.float32)


def _of_map(metres: Field, shape: tuple[int, int]) -> Points:
    points = _spread_over(metres.astype(np.float64), shape)
    return points[_inside(points, shape)]


def _spread_over(metres: Float64[np.ndarray, "h w"], shape: tuple[int, int]) -> Points:
    """Column, row [px in the photograph] and depth [m] of a map's pixels, at another size."""
    down, across = shape[0] / metres.shape[0], shape[1] / metres.shape[1]
    rows, columns = np.nonzero(np.isfinite(metres) & (metres > 0))
    # Pixel centres map to pixel centres.
    return np.stack(
        [(columns + 0.5) * across - 0.5, (rows + 0.5) * down - 0.5, metres[rows, columns]], axis=1
    )


def _inside(points: Points, shape: tuple[int, int]) -> np.ndarray:
    height, width = shape
    u, v, metres = points.T
    inside = (u >= 0) & (v >= 0) & (u <= width - 1) & (v <= height - 1)
    return inside & np.isfinite(metres) & (metres > 0)
