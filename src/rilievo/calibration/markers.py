"""Printed markers: AprilTags of family 36h11, found by OpenCV (extra ``markers``), and their pages.

Edwin Olson, "AprilTag: a robust and flexible visual fiducial system", ICRA 2011. The four corners
of a square of known size give its distance if the focal length is known; several squares at
different angles give the focal length too.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64, UInt8
from PIL import Image, ImageDraw, ImageFont

from rilievo.calibration.lengths import KnownPoint
from rilievo.errors import CalibrationError, OptionError, needing
from rilievo.geometry.intrinsics import K_from_focal
from rilievo.io.atomic import replacing
from rilievo.types import Camera

EXTRA = "markers"
LEAST_SIDE = 16.0
"""Shortest side [px] of a usable marker; smaller ones are too inaccurate."""
CORNER_NOISE = 0.25
"""Least assumed standard deviation of a corner's position [px]."""
MOST_DOUBT = 0.05
"""Largest accepted standard deviation of the logarithm of the focal length."""
_NARROWEST, _WIDEST, _STEPS = 15.0, 120.0, 61
_CORNERS = np.array([(-0.5, 0.5, 0), (0.5, 0.5, 0), (0.5, -0.5, 0), (-0.5, -0.5, 0)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker:
    """One printed square in a photograph.

    Attributes:
        id: Number of the marker in its family.
        corners: Column and row [px] of the four corners, clockwise from the marker's own top left.
    """

    id: int
    corners: Float64[np.ndarray, "4 2"]

    @property
    def side(self) -> float:
        """Length of the shortest side [px]."""
        turned = np.roll(self.corners, -1, axis=0)
        return float(np.linalg.norm(turned - self.corners, axis=1).min())


def find_markers(pixels: UInt8[np.ndarray, "h w 3"]) -> tuple[Marker, ...]:
    """Find the markers in a photograph that are large enough to use."""
    with needing("--markers", EXTRA):
        import cv2
    settings = cv2.aruco.DetectorParameters()
    settings.cornerRefinementMethod = cv2.aruco.CORNER_REFINE_SUBPIX
    family = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_APRILTAG_36h11)
    detector = cv2.aruco.ArucoDetector(family, settings)
    corners, ids, _ = detector.detectMarkers(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))
    numbers = [] if ids is None else np.asarray(ids).reshape(-1)
    found = (
        Marker(id=int(id), corners=np.asarray(each, np.float64).reshape(4, 2))
        for id, each in zip(numbers, corners, strict=True)
    )
    return tuple(marker for marker in found if marker.side >= LEAST_SIDE)


def points_of(markers: Sequence[Marker], camera: Camera, side: float) -> tuple[KnownPoint, ...]:
    """Depth at the middle of each marker."""
    if not markers:
        raise CalibrationError(
            f"no marker is seen whose side has {LEAST_SIDE:.0f} pixels: come nearer, or print "
            "larger ones with 'rilievo markers'"
        )
    points = []
    for marker in markers:
        place, _ = _pose(marker, camera.K)
        u, v, _ = camera.K @ (place / place[2])
        points.append(KnownPoint(u=float(u), v=float(v), metres=float(place[2]) * side))
    return tuple(points)


def focal_of(
    markers: Sequence[Marker],
    shape: tuple[int, int],
    centre: tuple[float, float] | None = None,
) -> float | None:
    """Focal length [px] that explains the shapes of all markers best.

    Args:
        markers: Markers of any size.
        shape: (height, width) of the photograph [px].
        centre: Principal point (cx, cy) [px]; the photograph's middle when None.

    Returns:
        The focal length, or None where the markers do not determine it within ``MOST_DOUBT``:
        squares seen head-on look the same through every lens.
    """
    if not markers:
        return None
    longer = max(shape) / 2
    ends = [longer / math.tan(math.radians(each) / 2) for each in (_WIDEST, _NARROWEST)]
    logs = np.linspace(math.log(ends[0]), math.log(ends[1]), _STEPS)
    K = K_from_focal(1.0, 1.0, shape)
    if centre is not None:
        K[:2, 2] = centre
    costs = np.array([_cost(markers, K, each) for each in logs])
    best = int(costs.argmin())
    if not 0 < best < _STEPS - 1:
        return None
    # Minimum of the parabola through three values; its curvature gives the uncertainty.
    before, here, after = costs[best - 1 : best + 2]
    step = float(logs[1] - logs[0])
    curvature = float(before - 2 * here + after) / step**2
    if curvature <= 0:
        return None
    freedom = max(2 * len(markers) - 1, 1)
    noise = max(CORNER_NOISE**2, float(here) / freedom)
    if math.sqrt(2 * noise / curvature) > MOST_DOUBT:
        return None
    return math.exp(float(logs[best]) + step * float(before - after) / (2 * step**2 * curvature))


def _cost(markers: Sequence[Marker], K: Float64[np.ndarray, "3 3"], log: float) -> float:
    """Sum of squared reprojection errors of all corners for a focal length [px²]."""
    focal = math.exp(log)
    K = K * np.array([[focal, 1, 1], [1, focal, 1], [1, 1, 1]])
    return sum(_pose(marker, K)[1] for marker in markers)


def _pose(marker: Marker, K: Float64[np.ndarray, "3 3"]) -> tuple[Float64[np.ndarray, "3"], float]:
    """Marker's centre in the camera frame [sides], and squared reprojection error [px²]."""
    import cv2

    _, turn, place = cv2.solvePnP(_CORNERS, marker.corners, K, None, flags=cv2.SOLVEPNP_IPPE_SQUARE)
    turn, place = cv2.solvePnPRefineLM(_CORNERS, marker.corners, K, None, turn, place)
    seen, _ = cv2.projectPoints(_CORNERS, turn, place, K, None)
    misses = np.asarray(seen).reshape(4, 2) - marker.corners
    return np.asarray(place, np.float64).reshape(3), float(np.square(misses).sum())


PAPERS: Mapping[str, tuple[float, float]] = {"a4": (0.210, 0.297), "letter": (0.2159, 0.2794)}
"""Width and height of sheets [m]."""
FORMATS = {".pdf": "PDF", ".png": "PNG"}
FAMILY_SIZE = 587
"""Number of markers in the family 36h11."""
_DOTS, _INCH = 300, 0.0254
_MARGIN, _GAP, _FOOT, _RULER = 0.015, 0.020, 0.030, 0.1
_CELLS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page of markers that was written."""

    side: float
    ids: range


def write_page(path: Path, *, side: float = 0.06, paper: str = "a4", first: int = 0) -> Page:
    """Write a page with as many markers as fit, and a line for checking the printed size."""
    if path.suffix.lower() not in FORMATS:
        raise OptionError(f"'{path.name}' has no suffix of a page; expected .pdf or .png")
    if paper not in PAPERS:
        raise OptionError(f"no paper '{paper}'; there are {' and '.join(PAPERS)}")
    if not (math.isfinite(side) and side >= 0.01):
        raise OptionError(f"--side is 0.01 m or more, got {side:g}")
    width, height = PAPERS[paper]
    columns = _fitting(width - 2 * _MARGIN, side)
    rows = _fitting(height - 2 * _MARGIN - _FOOT, side)
    if not columns * rows:
        raise OptionError(
            f"no marker of {side:g} m fits on {paper}: at most {width - 2 * _MARGIN:.2f} m does"
        )
    if not 0 <= first <= FAMILY_SIZE - columns * rows:
        raise OptionError(f"--first is 0 to {FAMILY_SIZE - columns * rows}, got {first}")
    ids = range(first, first + columns * rows)
    page = Image.new("L", (_px(width), _px(height)), 255)
    for index, id in enumerate(ids):
        row, column = divmod(index, columns)
        left = _MARGIN + column * (side + _GAP)
        top = _MARGIN + row * (side + _GAP)
        page.paste(_square(id, _px(side)), (_px(left), _px(top)))
        _write(page, (left, top + side + 0.004), f"{id}")
    _foot(page, side, height)
    with replacing(path) as part:
        page.save(part, FORMATS[path.suffix.lower()], resolution=_DOTS, dpi=(_DOTS, _DOTS))
    return Page(side=side, ids=ids)


def _fitting(room: float, side: float) -> int:
    return max(0, int((room + _GAP + 1e-9) / (side + _GAP)))


def _px(metres: float) -> int:
    return round(metres / _INCH * _DOTS)


def _square(id: int, side: int) -> Image.Image:
    with needing("a page of markers", EXTRA):
        import cv2
    family = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_APRILTAG_36h11)
    cells = np.asarray(cv2.aruco.generateImageMarker(family, id, _CELLS))
    return Image.fromarray(cells).resize((side, side), Image.Resampling.NEAREST)


def _write(page: Image.Image, at: tuple[float, float], text: str) -> None:
    font = ImageFont.load_default(_px(0.004))
    ImageDraw.Draw(page).text((_px(at[0]), _px(at[1])), text, fill=0, font=font)


def _foot(page: Image.Image, side: float, height: float) -> None:
    """Draw the line of known length, and the command for using the markers."""
    draw, level = ImageDraw.Draw(page), height - _MARGIN - 0.012
    ends = [(_px(_MARGIN + each), _px(level)) for each in (0.0, _RULER)]
    draw.line(ends, fill=0, width=4)
    for x, y in ends:
        draw.line([(x, y - _px(0.003)), (x, y + _px(0.003))], fill=0, width=4)
    _write(page, (_MARGIN + _RULER + 0.004, level - 0.003), "100 mm when printed at 100 %")
    words = f"rilievo predict photo.jpg --markers {side:g}"
    _write(page, (_MARGIN, level + 0.006), f"black squares of {1000 * side:g} mm: {words}")
