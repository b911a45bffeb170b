"""Printed markers: AprilTags of family 36h11, found by OpenCV (extra ``markers``).

Edwin Olson, "AprilTag: a robust and flexible visual fiducial system", ICRA 2011. The four corners
of a square of known size give its distance if the focal length is known; several squares at
different angles give the focal length too.
"""

import math
from collections.abc import Sequence

import numpy as np

from rilievo.calibration.lengths import KnownPoint
from rilievo.errors import CalibrationError, needing
from rilievo.frozen import frozen
from rilievo.geometry.intrinsics import K_from_focal
from rilievo.shapes import Float64, Matrix, Pixels, Vector
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


@frozen
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


def find_markers(pixels: Pixels) -> tuple[Marker, ...]:
    """Find the markers in a photograph that are large enough to use."""
    with needing("", EXTRA, option="markers"):
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
    K = camera.needs_pinhole("the pose of a marker")
    points = []
    for marker in markers:
        place, _ = _pose(marker, K)
        u, v = camera.project(place)
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


def _cost(markers: Sequence[Marker], K: Matrix, log: float) -> float:
    """Sum of squared reprojection errors of all corners for a focal length [px²]."""
    focal = math.exp(log)
    K = K * np.array([[focal, 1, 1], [1, focal, 1], [1, 1, 1]])
    return sum(_pose(marker, K)[1] for marker in markers)


def _pose(marker: Marker, K: Matrix) -> tuple[Vector, float]:
    """Marker's centre in the camera frame [sides], and squared reprojection error [px²]."""
    import cv2

    _, turn, place = cv2.solvePnP(_CORNERS, marker.corners, K, None, flags=cv2.SOLVEPNP_IPPE_SQUARE)
    turn, place = cv2.solvePnPRefineLM(_CORNERS, marker.corners, K, None, turn, place)
    seen, _ = cv2.projectPoints(_CORNERS, turn, place, K, None)
    misses = np.asarray(seen).reshape(4, 2) - marker.corners
    return np.asarray(place, np.float64).reshape(3), float(np.square(misses).sum())
