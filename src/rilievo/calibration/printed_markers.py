"""Printed markers, by OpenCV (extra ``markers``), and pages to print.

AprilTags 36h11: Edwin Olson, "AprilTag: a robust and flexible visual fiducial system", ICRA 2011.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from rilievo.arrays.shapes import Float64, Pixels
from rilievo.calibration.sizes import KnownRectangle
from rilievo.errors import CalibrationError, OptionError, needing
from rilievo.io.files.atomic import replacing

EXTRA = "markers"
# Shortest usable side [px].
LEAST_SIDE = 16.0
# Deviation of a corner [px].
CORNER_NOISE = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
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
    """Find AprilTags large enough to use."""
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


def known_squares_of_markers(markers: Sequence[Marker], side: float) -> tuple[KnownRectangle, ...]:
    """Make known rectangles of markers with this side [m].

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


PAPERS: Mapping[str, tuple[float, float]] = {"a4": (0.210, 0.297), "letter": (0.2159, 0.2794)}
"""Width and height of sheets [m]."""
FORMATS = {".pdf": "PDF", ".png": "PNG"}
# Markers of the family 36h11.
FAMILY_SIZE = 587
_DOTS, _INCH = 300, 0.0254
_MARGIN, _GAP, _FOOT, _RULER = 0.015, 0.020, 0.030, 0.1
_CELLS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Page of markers that was written."""

    side: float
    ids: range


def write_marker_page(path: Path, *, side: float = 0.06, paper: str = "a4", first: int = 0) -> Page:
    """Write a page of markers, with a line to check its size."""
    if path.suffix.lower() not in FORMATS:
        raise OptionError(f"'{path.name}' has no suffix of a page; expected .pdf or .png")
    if paper not in PAPERS:
        raise OptionError(f"no paper '{paper}'; there are {' and '.join(PAPERS)}")
    if not (math.isfinite(side) and side >= 0.01):
        raise OptionError(option="side", problem=f"is 0.01 m or more, got {side:g}")
    width, height = PAPERS[paper]
    columns = _marker_count_along(width - 2 * _MARGIN, side)
    rows = _marker_count_along(height - 2 * _MARGIN - _FOOT, side)
    if not columns * rows:
        raise OptionError(
            f"no marker of {side:g} m fits on {paper}: at most {width - 2 * _MARGIN:.2f} m does"
        )
    if not 0 <= first <= FAMILY_SIZE - columns * rows:
        raise OptionError(
            option="first", expected=f"0 to {FAMILY_SIZE - columns * rows}", value=first
        )
    ids = range(first, first + columns * rows)
    page = Image.new("L", (_page_pixels(width), _page_pixels(height)), 255)
    for index, id in enumerate(ids):
        row, column = divmod(index, columns)
        left = _MARGIN + column * (side + _GAP)
        top = _MARGIN + row * (side + _GAP)
        page.paste(_marker_image(id, _page_pixels(side)), (_page_pixels(left), _page_pixels(top)))
        _draw_text(page, (left, top + side + 0.004), f"{id}")
    _draw_ruler_and_command(page, side, height)
    with replacing(path) as part:
        page.save(part, FORMATS[path.suffix.lower()], resolution=_DOTS, dpi=(_DOTS, _DOTS))
    return Page(side=side, ids=ids)


def _marker_count_along(room: float, side: float) -> int:
    return max(0, int((room + _GAP + 1e-9) / (side + _GAP)))


def _page_pixels(metres: float) -> int:
    return round(metres / _INCH * _DOTS)


def _marker_image(id: int, side: int) -> Image.Image:
    with needing("a page of markers", EXTRA):
        import cv2
    family = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_APRILTAG_36h11)
    cells = np.asarray(cv2.aruco.generateImageMarker(family, id, _CELLS))
    return Image.fromarray(cells).resize((side, side), Image.Resampling.NEAREST)


def _draw_text(page: Image.Image, at: tuple[float, float], text: str) -> None:
    font = ImageFont.load_default(_page_pixels(0.004))
    ImageDraw.Draw(page).text((_page_pixels(at[0]), _page_pixels(at[1])), text, fill=0, font=font)


def _draw_ruler_and_command(page: Image.Image, side: float, height: float) -> None:
    draw, level = ImageDraw.Draw(page), height - _MARGIN - 0.012
    ends = [(_page_pixels(_MARGIN + offset), _page_pixels(level)) for offset in (0.0, _RULER)]
    draw.line(ends, fill=0, width=4)
    for x, y in ends:
        draw.line([(x, y - _page_pixels(0.003)), (x, y + _page_pixels(0.003))], fill=0, width=4)
    _draw_text(page, (_MARGIN + _RULER + 0.004, level - 0.003), "100 mm when printed at 100 %")
    words = f"rilievo predict photo.jpg --markers {side:g}"
    _draw_text(page, (_MARGIN, level + 0.006), f"black squares of {1000 * side:g} mm: {words}")
