"""Lists of known points: lines ``u v metres``, and whether they belong to the photograph's size."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Points, Size
from rilievo.errors import InputError
from rilievo.io.files.limits import read_text
from rilievo.io.files.names import printable

_USUAL_SIZES = (
    (192, 256),
    (240, 320),
    (360, 640),
    (480, 640),
    (480, 848),
    (540, 960),
    (600, 800),
    (720, 960),
    (720, 1280),
    (768, 1024),
    (960, 1280),
    (1024, 1280),
    (1080, 1440),
    (1080, 1920),
    (1200, 1600),
    (1440, 1920),
    (1536, 2048),
    (1440, 2560),
    (2160, 3840),
    (3024, 4032),
)
"""Sizes (height, width) of sensors, videos and phones."""
_FACTORS = (1 / 4, 1 / 3, 1 / 2, 2 / 3, 3 / 2, 2, 3, 4)
"""Sides of copies of a photograph, in its own."""
_SAME_PROPORTIONS = 0.02
_HALF_PIXEL = 0.5  # The centre of the first pixel is at 0.
_SEVERAL_OUTSIDE = 0.05
"""Share of points outside of the picture from which on another size is suspected."""
_FEWEST_SPREAD = 10
"""Fewest points whose spread tells the size of their picture."""
_LARGEST_SMALLER_SIDE = 0.7
"""Largest sides of a smaller picture that is suspected, in the photograph's."""
_NEAR_BORDER = 0.2
"""Largest distance of spread points from the borders of their picture, in its sides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PointList:
    """Points inside the photograph with positive metres.

    Attributes:
        points: Columns, rows [px] and metres.
        doubts: Sentences on points that were left out.
        size_doubts: Sentences on columns and rows that seem to be of another picture, of which no
            metres would be right.
    """

    points: Points
    doubts: tuple[str, ...] = ()
    size_doubts: tuple[str, ...] = ()


def read_point_list(path: Path, shape: Size, orientation: int = 1) -> PointList:
    """Read lines ``u v metres`` for a photograph (height, width), with EXIF's orientation.

    Raises:
        InputError: If a line has other contents, or columns and rows are shares of the picture.
    """
    points = _read_lines(path)
    inside = _is_inside(points, shape)
    positive = np.isfinite(points[:, 2]) & (points[:, 2] > 0)
    _refuse_shares(points[positive], path)
    doubts = [*_left_out(points, inside, shape)]
    size_doubts = [*_doubts_about_size(points[positive], shape)]
    if orientation != 1:
        size_doubts.append(
            f"EXIF turns the photograph (orientation {orientation}), and the points' columns and "
            "rows are taken as those of the upright photograph"
        )
    usable = points[inside & positive]
    height, width = shape
    # Half a pixel of the border lies beyond the centres of its pixels.
    usable[:, 0] = np.clip(usable[:, 0], 0, width - 1)
    usable[:, 1] = np.clip(usable[:, 1], 0, height - 1)
    return PointList(points=usable, doubts=tuple(doubts), size_doubts=tuple(size_doubts))


def _read_lines(path: Path) -> Points:
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
    return np.array(rows, np.float64).reshape(-1, 3)


def _is_inside(points: Points, shape: Size) -> np.ndarray:
    height, width = shape
    u, v = points[:, 0], points[:, 1]
    inside = (u >= -_HALF_PIXEL) & (v >= -_HALF_PIXEL)
    return inside & (u <= width - _HALF_PIXEL) & (v <= height - _HALF_PIXEL)


def _refuse_shares(points: Points, path: Path) -> None:
    """Raise ``InputError`` for columns and rows of 0 to 1."""
    places = points[:, :2]
    if len(points) < 2 or not (places >= 0).all() or not (places <= 1).all():
        return
    # Points of one pixel are not told from shares by their largest number alone.
    if (places == np.rint(places)).all():
        return
    raise InputError(
        "its columns and rows are all between 0 and 1, which are shares of the picture; expected "
        "pixels, of which the centre of the first is 0",
        path=printable(path),
    )


def _left_out(points: Points, inside: np.ndarray, shape: Size) -> Iterator[str]:
    outside = int(np.count_nonzero(~inside))
    if outside:
        yield (
            f"{outside} of {len(points)} points lie outside of the photograph's {shape[0]} x "
            f"{shape[1]} pixels (height x width), and were left out"
        )
    # Zero is a gap, as in maps.
    unusable = int(np.count_nonzero(~(points[inside, 2] >= 0) | np.isinf(points[inside, 2])))
    if unusable:
        yield f"{unusable} of {len(points)} points have no positive metres, and were left out"


def _doubts_about_size(points: Points, shape: Size) -> Iterator[str]:
    """Sentences on points whose columns and rows are hardly those of the photograph."""
    if not len(points) or (points[:, :2] < -_HALF_PIXEL).any():
        return
    outside = 1 - float(_is_inside(points, shape).mean())
    column, row = points[:, :2].max(axis=0)
    reach = f"its columns reach {column:.5g} and its rows {row:.5g}"
    if outside >= _SEVERAL_OUTSIDE:
        if _is_inside(points, (shape[1], shape[0])).all():
            yield (
                f"{reach}: with columns and rows exchanged all points lie inside of the "
                "photograph; a line is 'u v metres', the column first"
            )
        else:
            size = _size_that_holds(points, shape)
            example = "" if size is None else f", such as {size[0]} x {size[1]}"
            yield (
                f"{reach}, as if they were of a picture of another size{example} (height x "
                "width): scale them to the photograph's"
            )
        return
    smaller = None if outside else _smaller_size_that_is_filled(points, shape)
    if smaller is not None:
        yield (
            f"{reach}, so all points lie in the upper left of the photograph, as if they were of a "
            f"picture of {smaller[0]} x {smaller[1]} pixels (height x width): scale them to the "
            "photograph's if they are"
        )


def _sizes_of_same_proportions(shape: Size) -> list[Size]:
    """Usual sizes and copies of a photograph, the smallest first."""
    height, width = shape
    copies = [(round(factor * height), round(factor * width)) for factor in _FACTORS]
    usual = [size if width >= height else (size[1], size[0]) for size in _USUAL_SIZES]
    alike = [
        size
        for size in (*copies, *usual)
        if abs(size[1] * height / (size[0] * width) - 1) <= _SAME_PROPORTIONS
    ]
    return sorted(set(alike))


def _size_that_holds(points: Points, shape: Size) -> Size | None:
    """Smallest such size that holds all points; None without one."""
    for size in _sizes_of_same_proportions(shape):
        if _is_inside(points, size).all():
            return size
    return None


def _smaller_size_that_is_filled(points: Points, shape: Size) -> Size | None:
    """Clearly smaller size over all of which the points are spread; None without one."""
    if len(points) < _FEWEST_SPREAD:
        return None
    size = _size_that_holds(points, shape)
    if size is None or size[0] > _LARGEST_SMALLER_SIDE * shape[0]:
        return None
    sides = np.array([size[1], size[0]])
    shares = points[:, :2] / sides
    is_spread = (shares.min(axis=0) <= _NEAR_BORDER) & (shares.max(axis=0) >= 1 - _NEAR_BORDER)
    return size if is_spread.all() else None
