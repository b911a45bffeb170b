"""Whether a picture looks like a whole panorama that is taken for an ordinary photograph."""

import numpy as np

from rilievo.arrays.shapes import Pixels
from rilievo.errors.messages import Note, OptionName, Text
from rilievo.geometry.cameras.equirectangular import Equirectangular
from rilievo.records.sample import Photo

_MIN_SIDE = 64
"""Side of the smallest picture that is examined [px]."""
_MAX_ASPECT_ERROR = 0.02
"""Largest relative difference of the width from twice the height."""
_MAX_EDGE_STEP = 2.0
"""Largest difference of the first and the last column, over that of neighbouring columns."""
_MIN_EDGE_VARIATION = 8.0
"""Least standard deviation of brightness along these columns [of 255]; less shows no continuity."""
_MAX_POLE_VARIATION = 0.35
"""Largest variation along the calmer one of the first and the last row, over that of the middle."""


def panorama_note(photo: Photo, option: str = "projection") -> str | None:
    """Note on a photograph that is probably a panorama; None if it does not look like one.

    ``option`` is the option with which the user says that it is a panorama.
    """
    height, width = photo.shape
    if photo.camera is not None and isinstance(photo.camera.lens, Equirectangular):
        return None
    if min(height, width) < _MIN_SIDE or abs(width / (2 * height) - 1) > _MAX_ASPECT_ERROR:
        return None
    if not is_whole_panorama(photo.pixels):
        return None
    return Note(
        Text(
            "this looks like a panorama; to treat it as one, give ", OptionName(option, "equirect")
        )
    )


def is_whole_panorama(pixels: Pixels) -> bool:
    """Whether a picture's left edge continues at the right, and at least one pole is uniform.

    A pole is stretched over a whole row. The other one may show a tripod, or the corner of a tile
    right below the camera. Of 978 cuts from photographs that are twice as wide as high, none was
    taken for a panorama.
    """
    step = max(1, pixels.shape[0] // 512)
    brightness = pixels[::step].astype(np.float32).mean(axis=2)
    left, right = brightness[:, 0], brightness[:, -1]
    if min(left.std(), right.std()) < _MIN_EDGE_VARIATION:
        return False

    # The left edge continues at the right if the step between both is like those elsewhere.
    columns = np.linspace(1, brightness.shape[1] - 2, 33).astype(int)
    neighbour_steps = np.abs(brightness[:, columns] - brightness[:, columns + 1]).mean(axis=0)
    median_step = max(float(np.median(neighbour_steps)), 0.5)
    if np.abs(left - right).mean() > _MAX_EDGE_STEP * median_step:
        return False

    quarter = len(brightness) // 4
    middle_variation = float(np.median(brightness[quarter:-quarter].std(axis=1)))
    pole_variation = min(brightness[0].std(), brightness[-1].std())
    return bool(pole_variation < _MAX_POLE_VARIATION * middle_variation)
