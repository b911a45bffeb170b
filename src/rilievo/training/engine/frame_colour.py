"""Colour changes as in ``torchvision.transforms``, fused into one pass over a frame."""

from dataclasses import dataclass
from typing import Any, no_type_check

import numpy as np

from rilievo.arrays.shapes import Pixels
from rilievo.errors import OptionError, explain_missing_extra
from rilievo.training.engine.compiled import compiled

with explain_missing_extra("training", "train"):
    import numba  # noqa: F401

BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)


@dataclass(frozen=True, slots=True, kw_only=True)
class ColourChange:
    """Colour change of a frame.

    Attributes:
        order: Order of the four changes, by the constants ``BRIGHTNESS`` to ``HUE``.
        brightness: Factor of the colours; 1 changes nothing.
        contrast: Factor of their difference from the mean grey of the frame.
        saturation: Factor of their difference from the grey of the pixel.
        hue: Rotation of the hue, as a fraction of the full circle, in [-0.5, 0.5].
    """

    order: tuple[int, ...] = (BRIGHTNESS, CONTRAST, SATURATION, HUE)
    brightness: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0
    hue: float = 0.0

    def __post_init__(self) -> None:
        if sorted(self.order) != [BRIGHTNESS, CONTRAST, SATURATION, HUE]:
            raise OptionError(
                "the order of colour changes must contain each number from 0 to 3 once, got "
                f"{self.order}"
            )


def change_colours(frame: Pixels, change: ColourChange) -> Pixels:
    """Change the colours of a frame; the four changes together are rounded once."""
    result = np.empty_like(frame)
    order, amounts = _order_and_amounts(change)
    _write_changed_bytes(np.ascontiguousarray(frame), order, amounts, result)
    return result


def _order_and_amounts(change: ColourChange) -> tuple[np.ndarray, np.ndarray]:
    amounts = (change.brightness, change.contrast, change.saturation, change.hue)
    return np.array(change.order, np.int64), np.array(amounts, np.float32)


def _compile(function: Any) -> Any:
    # Threads of the loader run it in parallel, which needs the GIL to be released.
    return compiled(function, nogil=True)


@_compile
@no_type_check
def _clip_to_unit(value):
    return min(max(value, np.float32(0)), np.float32(1))


@_compile
@no_type_check
def _luminance(r, g, b):
    return np.float32(0.2989) * r + np.float32(0.587) * g + np.float32(0.114) * b


@_compile
@no_type_check
def _channel_at_hue(sector, largest, spread):
    """Value of a channel, from the hue as a position in the six sectors of the colour circle.

    ``sector`` is counted from a start that differs between red, green and blue. See
    https://en.wikipedia.org/wiki/HSL_and_HSV#HSV_to_RGB_alternative.
    """
    # Wrapped into [0, 6), with conditional expressions because these vectorise.
    sector = sector + np.float32(6) if sector < 0 else sector
    sector = sector - np.float32(6) if sector >= 6 else sector
    sector = sector - np.float32(6) if sector >= 6 else sector
    return largest - spread * _clip_to_unit(min(sector, np.float32(4) - sector))


@_compile
@no_type_check
def _rotate_hue_in_place(row, hue):
    """Rotate the hue of the pixels of a row, (3, width) in 0..1, by a fraction of the circle."""
    shift = np.float32(6) * hue
    for x in range(row.shape[1]):
        r, g, b = row[0, x], row[1, x], row[2, x]
        largest = max(r, max(g, b))
        smallest = min(r, min(g, b))
        spread = largest - smallest
        inverse_spread = np.float32(1) / max(spread, np.float32(1e-12))
        # All three are computed, because code without branches vectorises.
        red_sector = (g - b) * inverse_spread
        green_sector = np.float32(2) + (b - r) * inverse_spread
        blue_sector = np.float32(4) + (r - g) * inverse_spread
        sector = green_sector if largest == g else blue_sector
        sector = red_sector if largest == r else sector
        sector += shift
        row[0, x] = _channel_at_hue(sector + np.float32(5), largest, spread)
        row[1, x] = _channel_at_hue(sector + np.float32(3), largest, spread)
        row[2, x] = _channel_at_hue(sector + np.float32(1), largest, spread)


@_compile
@no_type_check
def _scale_and_shift_in_place(row, factor, offset):
    for channel in range(3):
        for x in range(row.shape[1]):
            row[channel, x] = _clip_to_unit(factor * row[channel, x] + offset)


@_compile
@no_type_check
def _scale_saturation_in_place(row, factor):
    for x in range(row.shape[1]):
        r, g, b = row[0, x], row[1, x], row[2, x]
        grey = (np.float32(1) - factor) * _luminance(r, g, b)
        row[0, x] = _clip_to_unit(factor * r + grey)
        row[1, x] = _clip_to_unit(factor * g + grey)
        row[2, x] = _clip_to_unit(factor * b + grey)


@_compile
@no_type_check
def _change_row_in_place(row, order, amounts, mean_grey):
    """Apply the changes in ``order`` to a row of pixels; contrast needs the mean grey."""
    for kind in order:
        amount = amounts[kind]
        if kind == BRIGHTNESS:
            _scale_and_shift_in_place(row, amount, np.float32(0))
        elif kind == CONTRAST:
            _scale_and_shift_in_place(row, amount, (np.float32(1) - amount) * mean_grey)
        elif kind == SATURATION:
            _scale_saturation_in_place(row, amount)
        else:  # HUE
            _rotate_hue_in_place(row, amount)


@_compile
@no_type_check
def _change_planes_in_place(planes, order, amounts):
    """Change all rows in two passes: contrast needs the mean grey that the first one leaves."""
    height, width = planes.shape[1:]
    contrast_index = 0
    while order[contrast_index] != CONTRAST:
        contrast_index += 1

    total_grey = 0.0
    for y in range(height):
        row = planes[:, y]
        _change_row_in_place(row, order[:contrast_index], amounts, np.float32(0))
        row_grey = np.float32(0)
        for x in range(width):
            row_grey += _luminance(row[0, x], row[1, x], row[2, x])
        total_grey += row_grey
    mean_grey = np.float32(total_grey / (height * width))

    for y in range(height):
        _change_row_in_place(planes[:, y], order[contrast_index:], amounts, mean_grey)


@_compile
@no_type_check
def _write_changed_bytes(frame, order, amounts, result):
    """Convert a frame to planes of floats in 0..1, change them, and write them as bytes."""
    height, width = frame.shape[:2]
    planes = np.empty((3, height, width), np.float32)
    for y in range(height):
        for channel in range(3):
            for x in range(width):
                planes[channel, y, x] = np.float32(frame[y, x, channel]) / np.float32(255)
    _change_planes_in_place(planes, order, amounts)
    for y in range(height):
        for channel in range(3):
            for x in range(width):
                level = planes[channel, y, x] * np.float32(255) + np.float32(0.5)
                result[y, x, channel] = np.uint8(level)
