"""Known measurements of a photograph, with the values of its depth map there.

A length is not a linear function of depth, so the lines through pairs of points that ``points``
tries do not exist here. For a given ratio shift / scale, however, the map is depth up to one
factor, and the factor is the median of those that the facts imply. The search is therefore over
that ratio alone: on a grid of six decades, then by golden section.
"""

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from rilievo.alignment import Fit, FitSpace
from rilievo.calibration.lengths import Along, Known, KnownLength, KnownPoint, parse_known
from rilievo.calibration.readings import Pixel, ray, value_at, values_at_ends
from rilievo.errors import CalibrationError, InputError, OptionError
from rilievo.io.limits import exists, printable, read_text, shortened
from rilievo.types import Camera, DepthKind, DepthMap


@dataclass(frozen=True, slots=True)
class Fact:
    """One known point or length, and the values of the map there.

    Attributes:
        known: The point or the length.
        name: Name in error messages.
        metres: Depth of the point along the optical axis, or the length [m].
        x: Values of the map: one at a point, two at the ends of a length.
        rays: Directions through the ends of a length, with z = 1; None for a point.
    """

    known: Known
    name: str
    metres: float
    x: tuple[float, ...]
    rays: tuple[Float64[np.ndarray, "3"], Float64[np.ndarray, "3"]] | None = None

    @property
    def middle(self) -> tuple[float, float]:
        """Column and row [px] of the point, or of the middle of the length."""
        known = self.known
        if isinstance(known, KnownPoint):
            return float(known.u), float(known.v)
        return (known.u1 + known.u2) / 2, (known.v1 + known.v2) / 2

    def says(self, depth: Callable[[float], float]) -> float:
        """Depth of the point, or the length, if ``depth`` converts the map's values to metres."""
        if self.rays is None:
            return depth(self.x[0])
        first, second = (depth(x) * way for x, way in zip(self.x, self.rays, strict=True))
        return float(np.linalg.norm(second - first))


def pixel_of(point: KnownPoint) -> Pixel:
    """Pixel of a known point, with its name in error messages."""
    return Pixel(u=point.u, v=point.v, name=f"known point {point}")


def fact_of(depth: DepthMap, known: Known, camera: Camera | None) -> Fact:
    """Read a map at a known point, or at the ends of a known length."""
    if isinstance(known, KnownPoint):
        return _point_fact(depth, known, camera)
    return _length_fact(depth, known, camera)


def _point_fact(depth: DepthMap, point: KnownPoint, camera: Camera | None) -> Fact:
    at = pixel_of(point)
    x = value_at(depth, at)
    if point.along is Along.AXIS:
        return Fact(known=point, name=at.name, metres=float(point.metres), x=(x,))
    if camera is None:
        raise CalibrationError(
            f"{at.name} is measured along its ray, which needs the camera: "
            "give its intrinsics or field of view"
        )
    metres = point.metres / float(np.linalg.norm(ray(camera, at)))
    return Fact(known=point, name=at.name, metres=metres, x=(x,))


def _length_fact(depth: DepthMap, length: KnownLength, camera: Camera | None) -> Fact:
    name = f"known length {length}"
    if camera is None:
        raise CalibrationError(f"{name} needs the camera: give its intrinsics or field of view")
    first = Pixel(u=length.u1, v=length.v1, name=f"{name}: its first end")
    second = Pixel(u=length.u2, v=length.v2, name=f"{name}: its second end")
    return Fact(
        known=length,
        name=name,
        metres=float(length.metres),
        x=values_at_ends(depth, first, second),
        rays=(ray(camera, first), ray(camera, second)),
    )


_GRID = 241
_DECADES = 3.0
_GOLDEN = (np.sqrt(5) - 1) / 2
# The shift is undetermined if over half of all ratios cost less than this above the best (sum of
# absolute logarithms).
_FLAT = 1e-3


def fit_scale_and_shift(depth: DepthMap, facts: Sequence[Fact]) -> Fit:
    """Fit scale and shift with the least sum of absolute errors in the logarithm."""
    is_inverse = depth.kind is DepthKind.AFFINE_INVERSE
    x = np.array([each for fact in facts for each in fact.x])
    inside = depth.values[depth.valid].astype(np.float64)
    span = max(float(inside.max() - inside.min()), 1e-12)
    # Depth up to scale is x + k (or its inverse), positive at every known fact.
    offsets = span * np.logspace(-_DECADES, _DECADES, _GRID)

    def logs(offset: float) -> Float64[np.ndarray, "n"]:
        k = offset - float(x.min())
        says = [fact.says(lambda x: 1 / (x + k) if is_inverse else x + k) for fact in facts]
        return np.log([fact.metres for fact in facts]) - np.log(np.maximum(says, 1e-300))

    def cost(offset: float) -> float:
        each = logs(offset)
        return float(np.abs(each - np.median(each)).sum())

    costs = np.array([cost(offset) for offset in offsets])
    best = int(costs.argmin())
    if np.mean(costs < costs[best] + _FLAT) > 0.5:
        raise CalibrationError(
            "what is known lies at one depth, which does not determine a shift: give a point or a "
            "length that is clearly nearer or farther"
        )
    offset = _narrowed(cost, offsets[max(best - 1, 0)], offsets[min(best + 1, _GRID - 1)])
    scale, k = float(np.exp(np.median(logs(offset)))), offset - float(x.min())
    if is_inverse:
        return _fit(facts, FitSpace.INVERSE, 1 / scale, k / scale)
    return _fit(facts, FitSpace.DEPTH, scale, scale * k)


def _fit(facts: Sequence[Fact], space: FitSpace, scale: float, shift: float) -> Fit:
    def metres(x: float) -> float:
        y = scale * x + shift
        return 1 / y if space is FitSpace.INVERSE else y

    misses = [fact.says(metres) - fact.metres for fact in facts]
    residual = float(np.sqrt(np.mean(np.square(misses))))
    return Fit(space=space, scale=scale, shift=shift, residual=residual, pixels=len(facts))


def _narrowed(cost: Callable[[float], float], low: float, high: float) -> float:
    """Minimum of a function between two positive numbers, by golden section in the logarithm."""
    low, high = np.log(low), np.log(high)
    for _ in range(80):
        a, b = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        if cost(np.exp(a)) <= cost(np.exp(b)):
            high = b
        else:
            low = a
    return float(np.exp((low + high) / 2))


TABLE_SUFFIX = ".csv"
_NEEDED = ("file", "u", "v", "metres")
_OPTIONAL = ("along", "u2", "v2")


def read_known_table(path: Path) -> Mapping[Path, tuple[Known, ...]]:
    """Read the known points and lengths of each photograph, by its resolved path."""
    found = path.stat().st_mtime_ns if path.exists() else 0
    return _read(path.absolute(), found)


def shared_known(path: Path) -> tuple[Known, ...]:
    """All facts of a table whose photographs are from one camera that does not move."""
    found: dict[Known, None] = {}
    points: dict[tuple[float, float], Known] = {}
    for known in (each for facts in read_known_table(path).values() for each in facts):
        found.setdefault(known)
        if isinstance(known, KnownPoint):
            first = points.setdefault((known.u, known.v), known)
            if first != known:
                raise InputError(
                    f"{path}: points {first} and {known} differ at one pixel, but all photographs "
                    "are said to be of one camera that does not move"
                )
    return tuple(found)


@lru_cache(maxsize=4)
def _read(path: Path, modified: int) -> Mapping[Path, tuple[Known, ...]]:
    """Read the table as modified at a time; cached, since every photograph of a run needs it."""
    del modified
    name = printable(path)
    # Spreadsheet programs write a byte order mark at the start.
    lines = read_text(path).removeprefix("\ufeff").splitlines()
    rows = csv.reader(lines)
    header = [each.strip().lower() for each in next(rows, [])]
    if not set(_NEEDED) <= set(header) or set(header) - {*_NEEDED, *_OPTIONAL}:
        raise InputError(
            f"{name}: its header is '{','.join(header)}', expected '{','.join(_NEEDED)}', with "
            f"'{','.join(_OPTIONAL)}' if need be"
        )
    points: dict[Path, tuple[Known, ...]] = {}
    for row in rows:
        if not any(each.strip() for each in row):
            continue
        where = f"{name}: line {rows.line_num}"
        if len(row) != len(header):
            raise InputError(f"{where} has {len(row)} values, its header {len(header)}")
        values = {key: each.strip() for key, each in zip(header, row, strict=True)}
        photo = path.parent / values["file"]
        if not exists(photo):
            raise InputError(
                f"{where}: there is no '{shortened(values['file'], 200)}'; paths start at the "
                "folder of the table"
            )
        photo = photo.resolve()
        points[photo] = (*points.get(photo, ()), _known(values, where))
    if not points:
        raise InputError(f"{name}: has no known point below its header")
    return points


def _known(values: Mapping[str, str], where: str) -> Known:
    u, v, metres = values["u"], values["v"], values["metres"]
    ends = [values[name] for name in ("u2", "v2") if values.get(name)]
    if len(ends) == 1:
        raise InputError(f"{where}: a length has both u2 and v2, a point neither")
    parts = [u, v, *ends, metres] if ends else [u, v, metres, values.get("along") or "axis"]
    try:
        return parse_known(",".join(parts))
    except OptionError as error:
        raise InputError(f"{where}: {error}") from error
