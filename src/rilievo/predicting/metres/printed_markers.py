"""Printed markers: found in photographs by OpenCV (extra ``markers``), and drawn on pages to print.

The markers are AprilTags of the family 36h11 (Edwin Olson, "AprilTag: a robust and flexible visual
fiducial system", ICRA 2011).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from rilievo.arrays.shapes import Float64, Pixels
from rilievo.calibration.sizes import KnownRectangle
from rilievo.errors import CalibrationError, OptionError, explain_missing_extra
from rilievo.io.files.atomic import replacing

EXTRA = "markers"
"""Extra with OpenCV."""
MIN_SIDE = 16.0
"""Least length of the shortest side of a marker in a photograph [px]; smaller ones are ignored."""
CORNER_ERROR = 0.25
"""Standard deviation of a marker's corner [px]."""
PAPERS: Mapping[str, tuple[float, float]] = {"a4": (0.210, 0.297), "letter": (0.2159, 0.2794)}
"""Width and height of sheets [m]."""
FAMILY_SIZE = 587
"""Number of markers in the family 36h11."""

_FORMATS = {".pdf": "PDF", ".png": "PNG"}
"""Pillow's format of a page, by its suffix."""
_DOTS_PER_INCH, _METRES_PER_INCH = 300, 0.0254
_MARKER_CELLS = 8
"""Cells along the side of a marker: 6 of data, and the black border."""
_MIN_PRINTED_SIDE = 0.01
"""Side of the smallest marker that is printed [m]."""
_PAGE_MARGIN = 0.015
"""Width of the empty border of a page [m]."""
_MARKER_GAP = 0.020
"""Distance between markers [m], which also leaves room for their numbers."""
_FOOT_HEIGHT = 0.030
"""Height of the page's foot with the ruler and the command [m]."""
_RULER_LENGTH = 0.1
"""Length of the line by which a user checks the scale of the print [m]."""
_RULER_HEIGHT = 0.012
"""Height of the ruler above the bottom margin [m]."""
_RULER_TICK = 0.003
"""Length of the ruler's marks to each side of the line [m]."""
_COMMAND_DISTANCE = 0.006
"""Distance of the command below the ruler [m]."""
_TEXT_HEIGHT = 0.004
"""Height of letters, and the distance of a text from what it explains [m]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker:
    """Marker in a photograph.

    Attributes:
        id: Number in the family.
        corners: Column and row of its corners, clockwise from its top left [px].
    """

    id: int
    corners: Float64[np.ndarray, "4 2"]

    @property
    def shortest_side(self) -> float:
        """Length of the shortest side [px]."""
        next_corners = np.roll(self.corners, -1, axis=0)
        return float(np.linalg.norm(next_corners - self.corners, axis=1).min())


def find_markers(pixels: Pixels) -> tuple[Marker, ...]:
    """Find the markers in a photograph that are large enough to use."""
    with explain_missing_extra("", EXTRA, option="markers"):
        import cv2
    settings = cv2.aruco.DetectorParameters()
    settings.cornerRefinementMethod = cv2.aruco.CORNER_REFINE_SUBPIX
    family = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_APRILTAG_36h11)
    detector = cv2.aruco.ArucoDetector(family, settings)
    all_corners, ids, _ = detector.detectMarkers(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))
    if ids is None:
        return ()
    markers = [
        Marker(id=int(marker_id), corners=np.asarray(corners, np.float64).reshape(4, 2))
        for marker_id, corners in zip(np.asarray(ids).reshape(-1), all_corners, strict=True)
    ]
    return tuple(marker for marker in markers if marker.shortest_side >= MIN_SIDE)


def known_squares_from_markers(
    markers: Sequence[Marker], side: float
) -> tuple[KnownRectangle, ...]:
    """Make known rectangles of at least one marker, whose printed side is known [m]."""
    if not markers:
        raise CalibrationError(
            f"no marker with a side of at least {MIN_SIDE:.0f} pixels is visible: move "
            "closer, or print larger markers with 'rilievo markers'"
        )
    return tuple(
        KnownRectangle(
            corners=tuple((float(u), float(v)) for u, v in marker.corners),
            sides=(side, side),
            error=CORNER_ERROR,
        )
        for marker in markers
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Page of markers that was written."""

    side: float
    ids: range


def write_marker_page(path: Path, *, side: float = 0.06, paper: str = "a4", first: int = 0) -> Page:
    """Write a page full of markers, with a line by which a user checks the scale of the print.

    Args:
        path: PDF or PNG.
        side: Side of the markers [m].
        paper: Name in ``PAPERS``.
        first: Number of the first marker.

    Raises:
        OptionError: If an option is out of range, or no marker of this size fits on the page.
    """
    _check_page_options(path, side, paper)
    width, height = PAPERS[paper]
    columns, rows = _markers_per_page(side, paper)
    marker_count = columns * rows
    max_first = FAMILY_SIZE - marker_count
    if not 0 <= first <= max_first:
        raise OptionError(option="first", expected=f"0 to {max_first}", value=first)

    ids = range(first, first + marker_count)
    page = Image.new("L", (_page_pixels(width), _page_pixels(height)), 255)
    _draw_markers(page, ids, columns, side)
    _draw_foot(page, side, height)
    with replacing(path) as part:
        page.save(
            part,
            _FORMATS[path.suffix.lower()],
            resolution=_DOTS_PER_INCH,
            dpi=(_DOTS_PER_INCH, _DOTS_PER_INCH),
        )
    return Page(side=side, ids=ids)


def _check_page_options(path: Path, side: float, paper: str) -> None:
    """Raise ``OptionError`` for an unknown format or paper, or for markers that are too small."""
    if path.suffix.lower() not in _FORMATS:
        raise OptionError(f"the file name of the page must end in .pdf or .png, got '{path.name}'")
    if paper not in PAPERS:
        raise OptionError(f"no paper size '{paper}'; known: {', '.join(PAPERS)}")
    if not (math.isfinite(side) and side >= _MIN_PRINTED_SIDE):
        raise OptionError(option="side", problem=f"must be at least 0.01 m, got {side:g}")


def _markers_per_page(side: float, paper: str) -> tuple[int, int]:
    """Columns and rows of markers with this side [m] that fit on a page above its foot.

    Raises:
        OptionError: If no marker fits.
    """
    width, height = PAPERS[paper]
    usable_width = width - 2 * _PAGE_MARGIN
    usable_height = height - 2 * _PAGE_MARGIN - _FOOT_HEIGHT
    columns = _marker_count_along(usable_width, side)
    rows = _marker_count_along(usable_height, side)
    if not columns * rows:
        max_side = math.floor(1000 * usable_width + 1e-6) / 1000  # whole millimetres
        raise OptionError(
            f"a marker of {side:g} m does not fit on {paper}: its side can be at most "
            f"{max_side:g} m"
        )
    return columns, rows


def _marker_count_along(available: float, side: float) -> int:
    """Number of markers that fit beside each other in a length [m], with gaps between them."""
    # The last marker needs no gap after it. The tiny summand makes up for rounding.
    return max(0, int((available + _MARKER_GAP + 1e-9) / (side + _MARKER_GAP)))


def _page_pixels(metres: float) -> int:
    return round(metres / _METRES_PER_INCH * _DOTS_PER_INCH)


def _draw_markers(page: Image.Image, ids: range, columns: int, side: float) -> None:
    """Draw markers with this side [m] in columns, each with its number below."""
    for index, marker_id in enumerate(ids):
        row, column = divmod(index, columns)
        left = _PAGE_MARGIN + column * (side + _MARKER_GAP)
        top = _PAGE_MARGIN + row * (side + _MARKER_GAP)
        image = _marker_image(marker_id, _page_pixels(side))
        page.paste(image, (_page_pixels(left), _page_pixels(top)))
        _draw_text(page, left, top + side + _TEXT_HEIGHT, f"{marker_id}")


def _marker_image(marker_id: int, side: int) -> Image.Image:
    """Picture of a marker with this side [px]."""
    with explain_missing_extra("a page of markers", EXTRA):
        import cv2
    family = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_APRILTAG_36h11)
    cells = np.asarray(cv2.aruco.generateImageMarker(family, marker_id, _MARKER_CELLS))
    return Image.fromarray(cells).resize((side, side), Image.Resampling.NEAREST)


def _draw_text(page: Image.Image, left: float, top: float, text: str) -> None:
    """Draw a text at a position from the page's top left corner [m]."""
    font = ImageFont.load_default(_page_pixels(_TEXT_HEIGHT))
    position = (_page_pixels(left), _page_pixels(top))
    ImageDraw.Draw(page).text(position, text, fill=0, font=font)


def _draw_foot(page: Image.Image, side: float, height: float) -> None:
    """Draw the ruler, and the command that uses the markers, at the foot of a page.

    ``side`` is that of the markers, and ``height`` that of the page [m].
    """
    draw = ImageDraw.Draw(page)
    ruler_y = height - _PAGE_MARGIN - _RULER_HEIGHT
    line_y = _page_pixels(ruler_y)
    left, right = _page_pixels(_PAGE_MARGIN), _page_pixels(_PAGE_MARGIN + _RULER_LENGTH)
    draw.line([(left, line_y), (right, line_y)], fill=0, width=4)
    tick = _page_pixels(_RULER_TICK)
    for x in (left, right):
        draw.line([(x, line_y - tick), (x, line_y + tick)], fill=0, width=4)
    text_left = _PAGE_MARGIN + _RULER_LENGTH + _TEXT_HEIGHT
    _draw_text(page, text_left, ruler_y - _RULER_TICK, "100 mm when printed at 100%")
    command = f"rilievo predict photo.jpg --markers {side:g}"
    explanation = f"Side of the black squares: {1000 * side:g} mm. Use: {command}"
    _draw_text(page, _PAGE_MARGIN, ruler_y + _COMMAND_DISTANCE, explanation)
