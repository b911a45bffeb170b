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
"""Smallest correlation of grey values, or of one channel's, at which two pictures are the same."""
_MIN_TURNED_EXCESS = 0.002
"""How much better a turned picture must correlate, because many scenes are almost symmetric."""
_MAX_STRETCH = 0.02
"""Largest relative difference in the proportions of two sizes of the same picture."""


def notes_on_photo(origin: SavedOrigin | None, photo: Photo) -> tuple[str, ...]:
    """Note if depth was saved with another photograph, or if the photograph is mirrored.

    The pixels are compared if an npz file of the same prediction holds them. Otherwise only the
    name is known. Because a photograph may have been renamed, the note is then given only if a
    photograph of the recorded name lies beside the given one.
    """
    if origin is None:
        return ()
    recorded_pixels = None
    if origin.archive is not None:
        recorded_pixels = read_saved_arrays(origin.archive, ("photo",)).get("photo")
    if recorded_pixels is not None:
        return _compare_pixels(recorded_pixels, photo.pixels, origin.record_location)
    return _compare_names(origin, Path(photo.name))


def _compare_pixels(
    recorded_pixels: np.ndarray, pixels: Pixels, record_location: str
) -> tuple[str, ...]:
    """Note that a photograph is another one than the recorded one, or is turned or mirrored."""
    is_picture = (
        recorded_pixels.ndim == 3
        and recorded_pixels.shape[2] == 3
        and recorded_pixels.dtype == np.uint8
    )
    if not (is_picture and recorded_pixels.size):
        return ()
    if not _have_same_proportions(recorded_pixels.shape, pixels.shape):
        return ()

    recorded, given = _thumbnail(recorded_pixels), _thumbnail(pixels)
    correlation = _correlation(recorded, given)
    channels = _channel_thumbnails(recorded_pixels)
    if any(_correlation(channel, given) >= _MIN_CORRELATION for channel in channels):
        # A photograph in grey may show one channel of the recorded one, as through a filter.
        correlation = max(correlation, _MIN_CORRELATION)

    turned_thumbnails = {
        "mirrored": given[:, ::-1],
        "upside down and mirrored": given[::-1],
        "upside down": given[::-1, ::-1],
    }
    # Symmetric pictures resemble their mirror image, so a turned one must match clearly better.
    min_turned_correlation = max(correlation + _MIN_TURNED_EXCESS, _MIN_CORRELATION)
    for orientation, turned in turned_thumbnails.items():
        if _correlation(recorded, turned) > min_turned_correlation:
            return (
                f"this photograph is {orientation}, compared with the one that was saved with the "
                f"depth ({record_location}), so depth and photograph do not belong together",
            )
    if correlation >= _MIN_CORRELATION:
        return ()
    return (
        "this seems to be a different photograph from the one saved with the depth "
        f"({record_location}), so depth and photograph may not belong together",
    )


def _compare_names(origin: SavedOrigin, path: Path) -> tuple[str, ...]:
    """Note if the photograph that the record names lies beside the given one."""
    # A record may come from anywhere, so a path in place of a file name is not followed.
    is_file_name = bool(origin.photo) and Path(origin.photo).name == origin.photo
    if not is_file_name or not path.name:
        return ()
    recorded_path = path.with_name(origin.photo)
    if recorded_path.stem == path.stem:
        return ()
    # os.path.isfile returns False for a name that the system refuses, where Path.is_file raises.
    if not (os.path.isfile(path) and os.path.isfile(recorded_path)):
        return ()
    return (
        f"the depth was saved for the photograph '{origin.photo}' ({origin.record_location}), "
        "which is in the same folder as this one: check that depth and photograph belong together",
    )


def _have_same_proportions(first: tuple[int, ...], second: tuple[int, ...]) -> bool:
    """Whether two shapes (height, width, ...) may belong to one picture, resized."""
    first_height, first_width = first[:2]
    second_height, second_width = second[:2]
    stretch = first_height * second_width / (first_width * second_height)
    return abs(stretch - 1) <= _MAX_STRETCH


def _thumbnail(pixels: np.ndarray) -> Thumbnail:
    """Grey values of a picture that is shrunk to a fixed size, whatever its proportions."""
    small = Image.fromarray(pixels).resize(_THUMBNAIL_SIZE, Image.Resampling.BOX, reducing_gap=2.0)
    return np.asarray(small.convert("L"), np.float64)


def _channel_thumbnails(pixels: Pixels) -> list[Thumbnail]:
    return [_thumbnail(np.repeat(pixels[..., [channel]], 3, axis=2)) for channel in range(3)]


def _correlation(first: Thumbnail, second: Thumbnail) -> float:
    """Correlation of grey values: 1 for two uniform pictures, and 0 if only one is uniform."""
    is_first_uniform, is_second_uniform = first.std() < 1, second.std() < 1
    if is_first_uniform or is_second_uniform:
        return float(is_first_uniform and is_second_uniform)
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])
