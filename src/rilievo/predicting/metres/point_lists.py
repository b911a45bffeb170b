"""Lists of known points: lines ``u v metres``, and whether they belong to the photograph's size."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Bool, Points, Size
from rilievo.errors import InputError
from rilievo.io.files.limits import read_text
from rilievo.io.files.names import printable

_COMMON_SIZES = (
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
"""Sizes (height, width) of pictures of sensors, videos and phones [px]."""
_COPY_FACTORS = (1 / 4, 1 / 3, 1 / 2, 2 / 3, 3 / 2, 2, 3, 4)
"""Sides of resized copies of a photograph, over its own."""
_MAX_ASPECT_ERROR = 0.02
"""Largest relative difference of proportions that count as the same."""
_HALF_PIXEL = 0.5
"""Width of the border beyond the centres of the outer pixels; the first centre is at 0."""
_MIN_FRACTION_OUTSIDE = 0.05
"""Least fraction of points outside of the picture for which another size is suspected."""
_MIN_SPREAD_POINTS = 10
"""Fewest points whose extent shows the size of their picture."""
_MAX_SMALLER_SIDE = 0.7
"""Largest height of a smaller picture that is suspected, over the photograph's."""
_MAX_BORDER_DISTANCE = 0.2
"""Largest distance of the outermost points from the borders of their picture, over its sides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PointList:
    """Points inside the photograph with positive metres.

    Attributes:
        points: Columns, rows [px] and metres.
        doubts: Sentences on points that were left out.
        size_doubts: Sentences on columns and rows that seem to belong to another picture, which
            would make all metres wrong.
    """

    points: Points
    doubts: tuple[str, ...] = ()
    size_doubts: tuple[str, ...] = ()


def read_point_list(path: Path, shape: Size, orientation: int = 1) -> PointList:
    """Read a list of points for a photograph: lines ``u v metres``, or with commas.

    Args:
        path: Text file; the rest of a line after # is a comment.
        shape: Height and width of the photograph.
        orientation: EXIF's orientation of the photograph, 1 to 8.

    Raises:
        InputError: If a line has other contents, or columns and rows are fractions of the picture.
    """
    points = _read_lines(path)
    is_inside = _is_inside(points, shape)
    is_positive = np.isfinite(points[:, 2]) & (points[:, 2] > 0)
    _require_pixels(points[is_positive], path)

    size_doubts = []
    size_doubt = _wrong_size_warning(points[is_positive], shape)
    if size_doubt is not None:
        size_doubts.append(size_doubt)
    if orientation != 1:
        size_doubts.append(
            f"EXIF rotates the photograph (orientation {orientation}), and the points' "
            "columns and rows are read as those of the upright photograph; check that they are"
        )
    usable = points[is_inside & is_positive]
    height, width = shape
    # Half a pixel of the border lies beyond the centres of its pixels.
    usable[:, 0] = np.clip(usable[:, 0], 0, width - 1)
    usable[:, 1] = np.clip(usable[:, 1], 0, height - 1)
    doubts = tuple(_doubts_about_unusable_points(points, is_inside, shape))
    return PointList(points=usable, doubts=doubts, size_doubts=tuple(size_doubts))


def _read_lines(path: Path) -> Points:
    """Read column, row and metres of each line; a first line that begins with u is a header."""
    points = []
    for line_number, line in enumerate(read_text(path).splitlines(), 1):
        cells = line.split("#")[0].replace(",", " ").split()
        if not cells or (line_number == 1 and cells[0].lower() == "u"):
            continue
        try:
            u, v, metres = map(float, cells)
        except ValueError:
            raise InputError(
                f"line {line_number} is '{printable(line)[:60]}', expected three numbers "
                "(column, row, metres)",
                path=printable(path),
            ) from None
        points.append((u, v, metres))
    return np.array(points, np.float64).reshape(-1, 3)


def _is_inside(points: Points, shape: Size) -> Bool[np.ndarray, "n"]:
    """Which points lie in a picture of this size, up to the outer edges of its border pixels."""
    height, width = shape
    u, v = points[:, 0], points[:, 1]
    is_after_first = (u >= -_HALF_PIXEL) & (v >= -_HALF_PIXEL)
    return is_after_first & (u <= width - _HALF_PIXEL) & (v <= height - _HALF_PIXEL)


def _require_pixels(points: Points, path: Path) -> None:
    """Raise ``InputError`` if columns and rows are fractions of the picture, from 0 to 1."""
    positions = points[:, :2]
    if len(points) < 2 or not (positions >= 0).all() or not (positions <= 1).all():
        return
    # Whole numbers may be the four pixels in the top left corner.
    if (positions == np.rint(positions)).all():
        return
    raise InputError(
        "its columns and rows are all between 0 and 1, so they seem to be fractions of the "
        "picture; expected pixels, counted from 0 at the centre of the first pixel",
        path=printable(path),
    )


def _doubts_about_unusable_points(
    points: Points, is_inside: Bool[np.ndarray, "n"], shape: Size
) -> Iterator[str]:
    """Sentences on points that lie outside, and on points without positive metres."""
    outside_count = int(np.count_nonzero(~is_inside))
    if outside_count:
        they_lie = "it lies" if outside_count == 1 else "they lie"
        yield (
            f"rilievo ignores {outside_count} of {len(points)} points, because {they_lie} outside "
            f"the photograph's {shape[0]} x {shape[1]} pixels (height x width)"
        )
    # Zero is a gap, as in maps, and needs no sentence. The comparison is false for NaN.
    metres = points[is_inside, 2]
    unusable_count = int(np.count_nonzero(~(metres >= 0) | np.isinf(metres)))
    if unusable_count:
        distances_are = "its distance is" if unusable_count == 1 else "their distances are"
        yield (
            f"rilievo ignores {unusable_count} of {len(points)} points, because {distances_are} "
            "not positive and finite"
        )


def _wrong_size_warning(points: Points, shape: Size) -> str | None:
    """Sentence on points whose columns and rows are probably those of another picture."""
    # Negative columns and rows are of no picture.
    if not len(points) or (points[:, :2] < -_HALF_PIXEL).any():
        return None
    largest_column, largest_row = points[:, :2].max(axis=0)
    extent = f"its columns reach {largest_column:.5g} and its rows {largest_row:.5g}"
    fraction_outside = 1 - float(_is_inside(points, shape).mean())
    if fraction_outside >= _MIN_FRACTION_OUTSIDE:
        return _points_outside_warning(points, shape, extent)
    if fraction_outside > 0:  # A few points outside are reported elsewhere.
        return None
    smaller_size = _guess_smaller_size(points, shape)
    if smaller_size is None:
        return None
    height, width = smaller_size
    return (
        f"{extent}, so all points lie in the top left of the photograph, as if they "
        f"belonged to a picture of {height} x {width} pixels (height x width): if so, "
        "scale the columns and rows to the size of the photograph"
    )


def _points_outside_warning(points: Points, shape: Size, extent: str) -> str:
    """Sentence on points outside: their columns and rows are swapped, or of another size.

    ``extent`` says how far columns and rows reach, and begins the sentence.
    """
    height, width = shape
    would_fit_if_swapped = bool(_is_inside(points, (width, height)).all())
    if would_fit_if_swapped:
        return (
            f"{extent}, but all points would lie inside the photograph if columns and rows were "
            "swapped: write each line as 'u v metres', with the column first"
        )
    size = _smallest_size_around(points, shape)
    if size is None:
        return f"{extent}, outside the photograph: scale the columns and rows to its size"
    size_text = f"{size[0]} x {size[1]} (height x width)"
    return (
        f"{extent}, outside the photograph, as if they belonged to a picture of another size, such "
        f"as {size_text}: scale the columns and rows to the size of the photograph"
    )


def _guess_smaller_size(points: Points, shape: Size) -> Size | None:
    """Clearly smaller size over all of which the points are spread; None if there is none."""
    if len(points) < _MIN_SPREAD_POINTS:
        return None
    size = _smallest_size_around(points, shape)
    if size is None or size[0] > _MAX_SMALLER_SIDE * shape[0]:
        return None
    height, width = size
    fractions = points[:, :2] / np.array([width, height])
    starts_at_border = fractions.min(axis=0) <= _MAX_BORDER_DISTANCE
    ends_at_border = fractions.max(axis=0) >= 1 - _MAX_BORDER_DISTANCE
    return size if (starts_at_border & ends_at_border).all() else None


def _smallest_size_around(points: Points, shape: Size) -> Size | None:
    """Smallest size of the photograph's proportions that contains all points; None if none does."""
    for size in _sizes_of_same_proportions(shape):
        if _is_inside(points, size).all():
            return size
    return None


def _sizes_of_same_proportions(shape: Size) -> list[Size]:
    """Likely sizes of pictures with the proportions of a photograph, the smallest first.

    They are common sizes, and sizes of resized copies of the photograph.
    """
    height, width = shape
    copies = [(round(factor * height), round(factor * width)) for factor in _COPY_FACTORS]
    common = _COMMON_SIZES if width >= height else [(long, short) for short, long in _COMMON_SIZES]
    same_proportions = {
        size
        for size in (*copies, *common)
        if abs(size[1] * height / (size[0] * width) - 1) <= _MAX_ASPECT_ERROR
    }
    return sorted(same_proportions)
