"""Whether a photograph is the one of which a depth map was saved, as far as the record tells it."""

import os
from pathlib import Path

import numpy as np
from PIL import Image

from rilievo.arrays.shapes import Float64, Pixels
from rilievo.io.saved_origins import SavedOrigin, read_saved_arrays
from rilievo.records.sample import Photo

Thumbnail = Float64[np.ndarray, "h w"]
_SIZE = (64, 48)
"""Width and height of the pictures that are compared [px]: noise and compression average out."""
_LEAST_CORRELATION = 0.8
"""Least correlation of grey values, or of one colour's, of two pictures of one photograph."""
_MARGIN = 0.002
"""Least excess of a mirrored picture's correlation. Many scenes are almost symmetric."""
_MOST_STRETCH = 0.02
"""Largest relative difference of the proportions of two sizes of one picture."""


def notes_on_photo(origin: SavedOrigin | None, photo: Photo) -> tuple[str, ...]:
    """Note that saved depth is of another photograph, or of a mirrored one.

    The pixels are compared if an npz file of the same prediction holds them. Otherwise only the
    name is known, which differs in a renamed file too. So the note then needs the photograph of the
    recorded name beside the given one.
    """
    if origin is None:
        return ()
    names = ("photo",)
    arrays = {} if origin.archive is None else read_saved_arrays(origin.archive, names)
    recorded = arrays.get("photo")
    if recorded is not None:
        return _note_by_pixels(recorded, photo.pixels, origin.place)
    return _note_by_name(origin, Path(photo.name))


def _note_by_pixels(recorded: np.ndarray, pixels: Pixels, place: str) -> tuple[str, ...]:
    is_picture = recorded.ndim == 3 and recorded.shape[2] == 3 and recorded.dtype == np.uint8
    if not (is_picture and recorded.size):
        return ()
    if not _have_same_proportions(recorded.shape, pixels.shape):
        return ()
    saved, seen = _thumbnail(recorded), _thumbnail(pixels)
    correlation = _correlation(saved, seen)
    if any(_correlation(colour, seen) >= _LEAST_CORRELATION for colour in _colours(recorded)):
        # A photograph in grey may show one of its colours, as through a filter.
        correlation = max(correlation, _LEAST_CORRELATION)
    turned = {
        "mirrored": seen[:, ::-1],
        "upside down and mirrored": seen[::-1],
        "upside down": seen[::-1, ::-1],
    }
    for words, picture in turned.items():
        turned_correlation = _correlation(saved, picture)
        if turned_correlation > max(correlation + _MARGIN, _LEAST_CORRELATION):
            return (
                f"this photograph is {words}, compared with the one that was saved with the depth "
                f"({place}), so depth and photograph do not belong together",
            )
    if correlation >= _LEAST_CORRELATION:
        return ()
    return (
        f"this seems to be another photograph than the one saved with the depth ({place}), so "
        "depth and photograph may not belong together",
    )


def _note_by_name(origin: SavedOrigin, path: Path) -> tuple[str, ...]:
    # The name of a record is whatever somebody wrote into it.
    is_name = bool(origin.photo) and bool(path.name) and Path(origin.photo).name == origin.photo
    if not is_name:
        return ()
    recorded = path.with_name(origin.photo)
    # Unlike Path.is_file, this takes a name that the system refuses as missing.
    if recorded.stem == path.stem or not (os.path.isfile(path) and os.path.isfile(recorded)):
        return ()
    return (
        f"the depth was saved of the photograph '{origin.photo}' ({origin.place}), which lies "
        "beside this one: do depth and photograph belong together?",
    )


def _have_same_proportions(first: tuple[int, ...], second: tuple[int, ...]) -> bool:
    return abs(first[0] * second[1] / (first[1] * second[0]) - 1) <= _MOST_STRETCH


def _thumbnail(pixels: np.ndarray) -> Thumbnail:
    small = Image.fromarray(pixels).resize(_SIZE, Image.Resampling.BOX, reducing_gap=2.0)
    return np.asarray(small.convert("L"), np.float64)


def _colours(pixels: Pixels) -> list[Thumbnail]:
    """Each colour of a picture, as grey values."""
    return [_thumbnail(np.repeat(pixels[..., [colour]], 3, axis=2)) for colour in range(3)]


def _correlation(first: Thumbnail, second: Thumbnail) -> float:
    """Correlation of grey values; 1 of two pictures of one colour, 0 if only one of them is."""
    flat = (first.std() < 1, second.std() < 1)
    if any(flat):
        return float(all(flat))
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])
