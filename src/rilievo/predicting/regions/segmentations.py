"""Masks as COCO writes them: polygons, and run lengths down the columns, also packed as a text."""

import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from rilievo.arrays.shapes import Float64, Int, Mask, Size
from rilievo.errors import InputError
from rilievo.io.files.limits import MAX_PIXELS
from rilievo.measure.regions import CORNER_OFFSET, MaskFunction

_MAX_RUNS = 2_000_000
"""Most run lengths of a mask, or characters of packed ones, which take 160 MB to unpack."""
_MAX_RUN = 2**40
"""Longest run of pixels; no picture has so many."""
_MAX_CORNERS = 10_000
"""Most corners of the polygons of a mask."""
_MAX_COORDINATE = 1e6
"""Coordinates of corners stay below this on both sides of 0 [px]."""


def segmentation_outline(segmentation: Any) -> MaskFunction:
    """Read the ``segmentation`` of a COCO annotation: run lengths or polygons."""
    if isinstance(segmentation, dict):
        return _parse_run_lengths(segmentation)
    return _parse_polygons(segmentation or ())


def _parse_run_lengths(segmentation: Mapping[str, Any]) -> MaskFunction:
    """Read the size and the run lengths of a mask, which may be packed as a text."""
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if not isinstance(size, list) or len(size) != 2 or not isinstance(counts, str | list):
        raise InputError("segmentation: expected 'size' [height, width] and 'counts'")
    height, width = map(int, size)
    if len(counts) > _MAX_RUNS:
        raise InputError(
            f"segmentation: its run lengths have {len(counts):,} numbers or characters, "
            f"expected at most {_MAX_RUNS:,}; use a PNG file with labels instead"
        )
    if isinstance(counts, str):
        runs = _unpack_run_lengths(counts, height * width)
    else:
        runs = np.fromiter(map(_parse_run_length, counts), np.int64, len(counts))
    return run_length_outline((height, width), runs)


def _parse_run_length(number: Any) -> int:
    """Read a run length of a JSON; raise ``InputError`` if no picture has it."""
    length = int(number)
    if not 0 <= length <= _MAX_RUN:
        raise InputError(f"segmentation: a run length must be 0 to {_MAX_RUN}, got {number}")
    return length


_MAX_RUN_CHARACTERS = 9
"""Most characters of one packed run length, which hold 45 bits."""
_CHARACTER_OF_ZERO = 48
"""Code of the character that stands for the number 0."""
_BITS_PER_CHARACTER = 5
_VALUE_BITS, _CONTINUATION_BIT, _SIGN_BIT = 0b011111, 0b100000, 0b010000


def _unpack_run_lengths(text: str, pixel_count: int) -> Int[np.ndarray, "n"]:
    """Unpack run lengths, of a picture with this number of pixels, from COCO's text.

    A character holds five bits of a number, the lowest first, and a continuation bit. The highest
    value bit of a number's last character is its sign. From the fourth number on, differences to
    the second last number are stored.
    """
    # There are at most as many runs of a pixel or more as pixels, and the first run may be empty.
    if len(text) > _MAX_RUN_CHARACTERS * (pixel_count + 1):
        raise InputError(
            f"segmentation: its run lengths cover more than the {pixel_count:,} pixels of its "
            "'size'"
        )
    encoded = np.frombuffer(text.encode("latin-1", "replace"), np.uint8)
    characters = encoded.astype(np.int64) - _CHARACTER_OF_ZERO
    # First and last character of each number, and how many characters it has.
    ends = np.flatnonzero(characters & _CONTINUATION_BIT == 0)
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if not _is_packed_text(characters, ends, lengths):
        raise InputError("segmentation: its run lengths are not in COCO's text format")

    # The numbers in two's complement: their five-bit digits, minus 2^bits if the sign is set.
    digit_index = np.arange(len(characters)) - np.repeat(starts, lengths)
    shifted_digits = (characters & _VALUE_BITS) << _BITS_PER_CHARACTER * digit_index
    values = np.add.reduceat(shifted_digits, starts)
    is_negative = characters[ends] & _SIGN_BIT
    values -= np.where(is_negative, np.int64(1) << _BITS_PER_CHARACTER * lengths, 0)
    # Undo the differences; the first number takes no part in them.
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values


def _is_packed_text(
    characters: Int[np.ndarray, "n"], ends: Int[np.ndarray, "m"], lengths: Int[np.ndarray, "k"]
) -> bool:
    """Whether a text holds whole numbers of six-bit characters, none of them too long."""
    if not len(ends) or ends[-1] != len(characters) - 1:
        return False
    is_in_range = characters.min() >= 0 and characters.max() < 2 * _CONTINUATION_BIT
    return bool(is_in_range and lengths.max() <= _MAX_RUN_CHARACTERS)


def run_length_outline(size: Size, counts: Int[np.ndarray, "n"] | Sequence[int]) -> MaskFunction:
    """Make an outline of run lengths down the columns, which begin with pixels outside."""
    pixel_count = math.prod(size)
    counts = np.asarray(counts, np.int64)
    # Each length is checked before the sum, which could overflow int64.
    are_in_range = min(size) > 0 and ((counts >= 0) & (counts <= pixel_count)).all()
    if not 0 < pixel_count <= MAX_PIXELS or not are_in_range or counts.sum() != pixel_count:
        raise InputError(
            f"segmentation: its run lengths do not fit a picture of {pixel_count} pixels"
        )
    small_counts = counts.astype(np.int32)  # Half the memory, for hundreds of masks.

    def draw_mask(shape: Size) -> Mask:
        if shape != size:  # ``Region.mask_in`` refuses this mask, so it takes no memory.
            return np.broadcast_to(False, size)
        is_inside = np.arange(len(small_counts)) % 2 == 1
        return np.repeat(is_inside, small_counts).reshape(size[::-1]).T

    return draw_mask


def _parse_polygons(segmentation: Iterable[Any]) -> MaskFunction:
    """Read the polygons of a mask, each with the coordinates u, v, ... of its corners."""
    # A list of floating-point numbers would take four times the memory of an array.
    polygons = [array("d", map(float, polygon)) for polygon in segmentation]
    if not polygons or not all(map(_is_polygon, polygons)):
        raise InputError(
            "segmentation: expected run lengths, or polygons with at least three corners"
        )
    corner_count = sum(map(len, polygons)) // 2
    if corner_count > _MAX_CORNERS:
        raise InputError(
            f"segmentation: its polygons have {corner_count} corners, expected at most "
            f"{_MAX_CORNERS}; use run lengths instead"
        )
    return polygon_outline(polygons)


def _is_polygon(numbers: Sequence[float]) -> bool:
    """Whether numbers are the coordinates of three corners or more."""
    has_corners = len(numbers) >= 6 and len(numbers) % 2 == 0
    return has_corners and all(abs(number) < _MAX_COORDINATE for number in numbers)


def estimate_crossed_rows(segmentation: Any) -> int:
    """Estimate how many rows of pixels the sides of a mask's polygons cross, to bound its cost.

    Rows beyond the picture count too. It is 0 for run lengths, which are filled without crossings.
    """
    if isinstance(segmentation, dict):
        return 0
    row_count = 0.0
    for polygon in segmentation:
        corner_rows = [float(row) for row in polygon[1::2]]
        for index, row in enumerate(corner_rows):  # The first side comes from the last corner.
            row_count += abs(row - corner_rows[index - 1])
    return int(row_count)


_MAX_CROSSINGS = 1_000_000
"""Most crossings of a polygon's sides with rows of pixels, which bound the time of filling it."""


def polygon_outline(polygons: Sequence[Sequence[float]]) -> MaskFunction:
    """Make an outline of polygons, which are filled by the even-odd rule.

    Each polygon has the coordinates u, v, ... of its corners from the first pixel's corner [px].
    """

    def draw_mask(shape: Size) -> Mask:
        all_sides = [_downward_sides(corners) for corners in polygons]
        crossed_rows = [_crossed_rows(sides, shape[0]) for sides in all_sides]
        crossing_count = sum(int((stop - first).sum()) for first, stop in crossed_rows)
        if crossing_count > _MAX_CROSSINGS:
            raise InputError(
                f"segmentation: its sides cross {crossing_count:,} rows of pixels in total, "
                f"above the limit of {_MAX_CROSSINGS:,}; use run lengths instead"
            )
        filled = np.zeros(shape, bool)
        for sides, (first, stop) in zip(all_sides, crossed_rows, strict=True):
            _fill_even_odd(filled, sides, first, stop)
        return filled

    return draw_mask


def _downward_sides(corners: Sequence[float]) -> Float64[np.ndarray, "n 4"]:
    """Sides u, v, u2, v2 of a polygon, from the first pixel's centre, with v2 at least v."""
    points = np.array(corners, np.float64).reshape(-1, 2) - CORNER_OFFSET
    sides = np.stack([points, np.roll(points, -1, axis=0)], axis=1)
    # Two polygons with a common side interpolate it in the same direction, so without a gap.
    is_upward = sides[:, 0, 1] > sides[:, 1, 1]
    sides[is_upward] = sides[is_upward, ::-1]
    return sides.reshape(-1, 4)


def _crossed_rows(
    sides: Float64[np.ndarray, "n 4"], height: int
) -> tuple[Int[np.ndarray, "n"], Int[np.ndarray, "n"]]:
    """First row of pixels' centres that each side crosses, and the one after the last."""
    first, stop = (np.ceil(sides[:, end]).clip(0, height).astype(int) for end in (1, 3))
    return first, stop


def _fill_even_odd(
    mask: Mask,
    sides: Float64[np.ndarray, "n 4"],
    first_rows: Int[np.ndarray, "n"],
    stop_rows: Int[np.ndarray, "n"],
) -> None:
    """Set the pixels inside of a polygon, in place, by the even-odd rule.

    A row of pixels crosses the sides of the polygon an even number of times. It is inside from the
    first to the second crossing, from the third to the fourth, and so on.

    ``first_rows`` and ``stop_rows`` are those of ``_crossed_rows``.
    """
    width = mask.shape[1]
    row_counts = stop_rows - first_rows
    # One entry for each crossing of a side with a row: all rows of the first side, and so on.
    u, v, u2, v2 = np.repeat(sides, row_counts, axis=0).T
    crossings_before = np.cumsum(row_counts) - row_counts
    row = np.arange(row_counts.sum()) - np.repeat(crossings_before - first_rows, row_counts)
    fraction = (row - v) / (v2 - v)
    first_column_after = np.ceil(u + fraction * (u2 - u)).clip(0, width).astype(int)

    # Indices in the flattened mask. When they are sorted, each pair lies in one row.
    crossing_indices = np.sort(row * width + first_column_after).tolist()
    flat_mask = mask.reshape(-1)
    for start, stop in zip(crossing_indices[::2], crossing_indices[1::2], strict=True):
        flat_mask[start:stop] = True
