"""Printed markers: AprilTags 36h11, by OpenCV (extra ``markers``).

Edwin Olson, "AprilTag: a robust and flexible visual fiducial system", ICRA 2011.
"""

from collections.abc import Sequence

import numpy as np

from rilievo.calibration.rectangles import KnownRectangle
from rilievo.errors import CalibrationError, needing
from rilievo.frozen import frozen
from rilievo.shapes import Float64, Pixels

EXTRA = "markers"
LEAST_SIDE = 16.0
"""Shortest usable side [px]."""
CORNER_NOISE = 0.25
"""Deviation of a corner [px]."""


@frozen
class Marker:
    """Printed square: number, and corners [px] clockwise from its top left."""

    id: int
    corners: Float64[np.ndarray, "4 2"]

    @property
    def side(self) -> float:
        """Shortest side [px]."""
        turned = np.roll(self.corners, -1, axis=0)
        return float(np.linalg.norm(turned - self.corners, axis=1).min())


def find_markers(pixels: Pixels) -> tuple[Marker, ...]:
    """Find markers large enough to use."""
    with needing("", EXTRA, option="markers"):
        import cv2
    settings = cv2.aruco.DetectorParameters()
    settings.cornerRefinementMethod = cv2.aruco.CORNER_REFINE_SUBPIX
    family = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_APRILTAG_36h11)
    detector = cv2.aruco.ArucoDetector(family, settings)
    corners, ids, _ = detector.detectMarkers(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))
    numbers = [] if ids is None else np.asarray(ids).reshape(-1)
    markers = (
        Marker(id=int(id), corners=np.asarray(corner, np.float64).reshape(4, 2))
        for id, corner in zip(numbers, corners, strict=True)
    )
    return tuple(marker for marker in markers if marker.side >= LEAST_SIDE)


def squares_of(markers: Sequence[Marker], side: float) -> tuple[KnownRectangle, ...]:
    """Known rectangles of markers with this side [m].

    Raises:
        CalibrationError: If there is none.
    """
    if not markers:
        raise CalibrationError(
            f"no marker is seen whose side has {LEAST_SIDE:.0f} pixels: come nearer, or print "
            "larger ones with 'rilievo markers'"
        )
    return tuple(
        KnownRectangle(
            corners=tuple((float(u), float(v)) for u, v in marker.corners),
            sides=(side, side),
            error=CORNER_NOISE,
        )
        for marker in markers
    )
