"""Masks of pixels: those that show a surface, and masks that are grown, shrunk or shifted."""

import numpy as np

from rilievo.arrays.shapes import Mask
from rilievo.records.prediction_record import PredictionRecord

_MIN_SPECK_NEIGHBOURS = 4
"""Fewest of a pixel's eight neighbours with which it is no speck."""
_SPECK_ROUNDS = 2


def surface_pixels(prediction: PredictionRecord) -> Mask:
    """Pixels with depth that do not show the sky."""
    valid, sky = prediction.depth.valid, prediction.sky
    return valid if sky is None else valid & ~sky


def eroded(mask: Mask, width: int) -> Mask:
    """Mask without a border of a width [px], by steps to the four neighbours."""
    for _ in range(width):
        padded = np.pad(mask, 1)
        mask = mask & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask


def dilated(mask: Mask, width: int) -> Mask:
    """Mask grown by a width [px], by steps to the four neighbours."""
    padded_background = np.pad(~mask, width, constant_values=True)
    return ~eroded(padded_background, width)[width:-width, width:-width]


def without_specks(mask: Mask) -> Mask:
    """Mask without pixels that have few of their eight neighbours in it."""
    for _ in range(_SPECK_ROUNDS):
        padded = np.pad(mask.astype(np.int8), 1)
        column_sums = padded[:-2] + padded[1:-1] + padded[2:]
        window_sums = column_sums[:, :-2] + column_sums[:, 1:-1] + column_sums[:, 2:]
        neighbours = window_sums - mask
        mask = mask & (neighbours >= _MIN_SPECK_NEIGHBOURS)
    return mask


def shifted(mask: Mask, down: int, right: int) -> Mask:
    """Shift a mask by rows and columns, and fill with False."""
    result = np.zeros_like(mask)
    height, width = mask.shape
    if abs(down) >= height or abs(right) >= width:
        return result
    target = np.s_[max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)]
    source = np.s_[max(-down, 0) : height + min(-down, 0), max(-right, 0) : width + min(-right, 0)]
    result[target] = mask[source]
    return result
