"""Whether a photograph is the one of which a depth map was saved, as far as the record tells it."""

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
"""Correlation of grey values of one photograph, however bright, coloured or compressed it is."""
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
    if not is_picture or not _have_same_proportions(recorded.shape, pixels.shape):
        return ()
    saved, seen = _thumbnail(recorded), _thumbnail(pixels)
    correlation = _correlation(saved, seen)
    turned = {
        "mirrored": seen[:, ::-1],
        "upside down and mirrored": seen[::-1],
        "upside down": seen[::-1, ::-1],
    }
    for words, picture in turned.items():
        turned_correlation = _correlation(saved, picture)
        if turned_correlation > max(correlation + _MARGIN, _LEAST_CORRELATION):
            return (
                f"this photograph is {words} against the one of which the depth was saved "
                f"({place}), so depth and photograph do not belong together",
            )
    if correlation >= _LEAST_CORRELATION:
        return ()
    return (
        f"this is another photograph than the one of which the depth was saved ({place}), so depth "
        "and photograph may not belong together",
    )


def _note_by_name(origin: SavedOrigin, path: Path) -> tuple[str, ...]:
    recorded = path.with_name(origin.photo) if origin.photo else path
    if recorded.stem == path.stem or not (path.is_file() and recorded.is_file()):
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


def _correlation(first: Thumbnail, second: Thumbnail) -> float:
    """Correlation of grey values; 1 of two pictures of one colour, 0 if only one of them is."""
    flat = (first.std() < 1, second.std() < 1)
    if any(flat):
        return float(all(flat))
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])
