"""Notes if a depth map seems to have been saved with another photograph than the one given."""

import os
from pathlib import Path

import numpy as np
from PIL import Image

from rilievo.arrays.shapes import Float64, Pixels
from rilievo.io.saved_origins import SavedOrigin, read_saved_arrays
from rilievo.records.sample import Photo

Thumbnail = Float64[np.ndarray, "h w"]
_THUMBNAIL_SIZE = (64, 48)
"""Width and height at which pictures are compared [px]. Noise and compression average out."""
_MIN_CORRELATION = 0.8
"""Least correlation of the grey values, or of those of one channel, of the same photograph."""
_MIN_TURNED_EXCESS = 0.002
"""By how much a turned picture must correlate better, because many scenes are almost symmetric."""
_MAX_STRETCH = 0.02
"""Largest relative difference in the proportions of two sizes of the same picture."""


def notes_on_photo(origin: SavedOrigin | None, photo: Photo) -> tuple[str, ...]:
    """Note if saved depth is of another photograph, or if the photograph is mirrored.

    The pixels are compared if an npz file of the same prediction holds them. Otherwise only the
    name is known, and a photograph may have been renamed. The note is then given only if a
    photograph of the recorded name lies beside the given one.

    ``origin`` is None if rilievo has no record of the depth.
    """
    if origin is None:
        return ()
    recorded = None
    if origin.archive is not None:
        recorded = read_saved_arrays(origin.archive, ("photo",)).get("photo")
    if recorded is not None:
        return _notes_by_pixels(recorded, photo.pixels, origin.place)
    return _notes_by_name(origin, Path(photo.name))


def _notes_by_pixels(recorded: np.ndarray, pixels: Pixels, place: str) -> tuple[str, ...]:
    """Note if a photograph is not the recorded one, or turned against it."""
    is_picture = recorded.ndim == 3 and recorded.shape[2] == 3 and recorded.dtype == np.uint8
    if not (is_picture and recorded.size):
        return ()
    if not _have_same_proportions(recorded.shape, pixels.shape):
        return ()

    saved, seen = _thumbnail(recorded), _thumbnail(pixels)
    correlation = _correlation(saved, seen)
    if any(_correlation(channel, seen) >= _MIN_CORRELATION for channel in _channels(recorded)):
        # A photograph in grey may show one channel of the recorded one, as through a filter.
        correlation = max(correlation, _MIN_CORRELATION)

    turned_pictures = {
        "mirrored": seen[:, ::-1],
        "upside down and mirrored": seen[::-1],
        "upside down": seen[::-1, ::-1],
    }
    min_turned_correlation = max(correlation + _MIN_TURNED_EXCESS, _MIN_CORRELATION)
    for words, turned in turned_pictures.items():
        if _correlation(saved, turned) > min_turned_correlation:
            return (
                f"this photograph is {words}, compared with the one that was saved with the depth "
                f"({place}), so depth and photograph do not belong together",
            )
    if correlation >= _MIN_CORRELATION:
        return ()
    return (
        f"this seems to be another photograph than the one saved with the depth ({place}), so "
        "depth and photograph may not belong together",
    )


def _notes_by_name(origin: SavedOrigin, path: Path) -> tuple[str, ...]:
    """Note if the photograph that the record names lies beside the given one."""
    # The name in a record is whatever somebody wrote into it, and may be a path.
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
    """Whether two sizes (height, width, ...) may be those of one picture, resized."""
    stretch = first[0] * second[1] / (first[1] * second[0])
    return abs(stretch - 1) <= _MAX_STRETCH


def _thumbnail(pixels: np.ndarray) -> Thumbnail:
    """Grey values of a picture that was shrunk without regard to its proportions."""
    small = Image.fromarray(pixels).resize(_THUMBNAIL_SIZE, Image.Resampling.BOX, reducing_gap=2.0)
    return np.asarray(small.convert("L"), np.float64)


def _channels(pixels: Pixels) -> list[Thumbnail]:
    """Thumbnails of the red, green and blue channel."""
    return [_thumbnail(np.repeat(pixels[..., [channel]], 3, axis=2)) for channel in range(3)]


def _correlation(first: Thumbnail, second: Thumbnail) -> float:
    """Correlation of grey values: 1 for two uniform pictures, and 0 if only one is uniform."""
    is_first_uniform, is_second_uniform = first.std() < 1, second.std() < 1
    if is_first_uniform or is_second_uniform:
        return float(is_first_uniform and is_second_uniform)
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])
