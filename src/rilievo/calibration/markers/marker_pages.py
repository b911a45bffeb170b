"""Pages of markers to print."""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from rilievo.calibration.markers.printed_markers import EXTRA
from rilievo.errors import OptionError, needing
from rilievo.frozen import frozen
from rilievo.io.files.atomic import replacing

PAPERS: Mapping[str, tuple[float, float]] = {"a4": (0.210, 0.297), "letter": (0.2159, 0.2794)}
"""Width and height of sheets [m]."""
FORMATS = {".pdf": "PDF", ".png": "PNG"}
FAMILY_SIZE = 587
"""Markers of the family 36h11."""
_DOTS, _INCH = 300, 0.0254
_MARGIN, _GAP, _FOOT, _RULER = 0.015, 0.020, 0.030, 0.1
_CELLS = 8


@frozen
class Page:
    """Page of markers that was written."""

    side: float
    ids: range


def write_page(path: Path, *, side: float = 0.06, paper: str = "a4", first: int = 0) -> Page:
    """Write a page of markers, with a line to check its size."""
    if path.suffix.lower() not in FORMATS:
        raise OptionError(f"'{path.name}' has no suffix of a page; expected .pdf or .png")
    if paper not in PAPERS:
        raise OptionError(f"no paper '{paper}'; there are {' and '.join(PAPERS)}")
    if not (math.isfinite(side) and side >= 0.01):
        raise OptionError(option="side", problem=f"is 0.01 m or more, got {side:g}")
    width, height = PAPERS[paper]
    columns = _fitting(width - 2 * _MARGIN, side)
    rows = _fitting(height - 2 * _MARGIN - _FOOT, side)
    if not columns * rows:
        raise OptionError(
            f"no marker of {side:g} m fits on {paper}: at most {width - 2 * _MARGIN:.2f} m does"
        )
    if not 0 <= first <= FAMILY_SIZE - columns * rows:
        raise OptionError(
            option="first", expected=f"0 to {FAMILY_SIZE - columns * rows}", value=first
        )
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
    draw, level = ImageDraw.Draw(page), height - _MARGIN - 0.012
    ends = [(_px(_MARGIN + offset), _px(level)) for offset in (0.0, _RULER)]
    draw.line(ends, fill=0, width=4)
    for x, y in ends:
        draw.line([(x, y - _px(0.003)), (x, y + _px(0.003))], fill=0, width=4)
    _write(page, (_MARGIN + _RULER + 0.004, level - 0.003), "100 mm when printed at 100 %")
    words = f"rilievo predict photo.jpg --markers {side:g}"
    _write(page, (_MARGIN, level + 0.006), f"black squares of {1000 * side:g} mm: {words}")
