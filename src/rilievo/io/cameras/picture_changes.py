"""Check a camera file for entries that change its pictures: zoom, crop, binning, or orientation.

Such an entry does not say whether the intrinsics beside it hold before or after the change. So a
change that moves the principal point or the focal length is refused. An orientation only causes a
note, because the intrinsics are most likely those of the upright photograph.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from rilievo.errors import InputError
from rilievo.io.files.names import printable

# Names as ``_normalize_change_name`` spells them: lower case, letters and digits only.
_ZOOMS = (
    *("zoom", "digitalzoom", "zoomfactor", "zoomratio", "digitalzoomratio", "digitalzoomfactor"),
    *("zoomlevel", "camerazoom", "magnification"),
)
_SCALES = (
    *("downsample", "downsamplefactor", "downsampling", "downsamplingfactor", "downscale"),
    *("downscalefactor", "downscaling", "resizefactor", "resizescale", "resizeratio"),
    *("imagescale", "imagescalefactor", "upsample", "upscale", "upsamplefactor", "upscalefactor"),
)
"""Factors that do not matter if the picture size of the intrinsics is stated."""
_BINNING = re.compile(
    r"^(pixel)?bin(ning)?(factor)?(x|y|horizontal|vertical)?$|^decimation(horizontal|vertical)$"
)
_CROP = re.compile(
    r"crop|^(region|area)ofinterest|^(image|sensor|camera|active)?roi|subwindow|letterbox|"
    r"^(roi)?offset[xy]$|^[xy]offset$|^(image)?pad(ding)?(left|top|x|y)?$"
)
_SENSOR_CROPS = ("cropfactor", "sensorcropfactor", "cropmode")
"""Names about the size of the sensor, which ``_CROP`` matches, too."""
_ORIENTATION = re.compile(
    r"^(image|camera|sensor|device|display|exif|video|picture)?(orientation|rotation|rotate)"
    r"(angle|deg|degrees|cw|ccw)?$"
)
_POSITIONS = ("position", "translation", "location")
_MIRROR = re.compile(r"flip|mirror|^reverse[xy]$")
_NUMBER = re.compile(r"\s*(-?\d{1,9}(?:\.\d{1,9})?)\s*(?:x|deg|degrees)?\s*")


def is_picture_change(name: str) -> bool:
    """Whether an entry of this name may change the picture."""
    normalized = _normalize_change_name(name)
    if normalized in _ZOOMS or normalized in _SCALES or _is_crop(normalized):
        return True
    return any(pattern.search(normalized) for pattern in (_ORIENTATION, _MIRROR, _BINNING))


def check_no_picture_changes(
    entries: Mapping[str, Any], sides: Sequence[Any], location: str, *, can_zoom: bool = False
) -> None:
    """Check that there is no zoom, crop or binning, and no scale without a picture size.

    ``sides`` are the stated width and height of the pictures, if any. With ``can_zoom``, the caller
    has applied the zoom, so that it is allowed.

    Raises:
        InputError: If an entry changes the picture.
    """
    for name, value in entries.items():
        if not is_picture_change(name):
            continue
        normalized = _normalize_change_name(name)
        numbers = [*_iter_numbers(value)]
        quoted_entry = printable(f"{name}: {value}"[:60])
        if normalized in _ZOOMS and not can_zoom and _has_effect(numbers):
            raise _zoom_error(quoted_entry, location)
        if _BINNING.match(normalized) and any(number > 1 for number in numbers):
            raise _binning_error(quoted_entry, location)
        if normalized in _SCALES and not sides and _has_effect(numbers):
            raise _scale_error(quoted_entry, location)
        if _is_crop(normalized) and not _is_whole_picture(numbers, sides):
            raise _crop_error(quoted_entry, location)


def _zoom_error(quoted_entry: str, location: str) -> InputError:
    return InputError(
        f"the file has '{quoted_entry}' but does not say whether its focal lengths are those "
        "before the zoom: if they are, multiply them by the zoom; in any case, remove this entry",
        path=location,
    )


def _binning_error(quoted_entry: str, location: str) -> InputError:
    return InputError(
        f"the file states a binning ('{quoted_entry}'), so its camera matrix does not belong to "
        "the binned images: calibrate with the binned images",
        path=location,
    )


def _scale_error(quoted_entry: str, location: str) -> InputError:
    return InputError(
        f"the file has '{quoted_entry}' but not the image size that its numbers belong to: add "
        "the width and height, or multiply the numbers yourself and remove this entry",
        path=location,
    )


def _crop_error(quoted_entry: str, location: str) -> InputError:
    return InputError(
        f"the file has a region of interest or a crop ('{quoted_entry}'), so its numbers may "
        "belong to a larger image: if they do, subtract the offsets from cx and cy; in any case, "
        "remove this entry",
        path=location,
    )


def unapplied_orientation_note(entries: Mapping[str, Any]) -> str | None:
    """Return a note on an orientation that was not applied; None if the pictures are upright.

    A rotation is ignored if there is a position, too, because both are then the camera's pose.
    """
    has_pose = any(_normalize_change_name(name) in _POSITIONS for name in entries)
    for name, value in entries.items():
        normalized = _normalize_change_name(name)
        if has_pose and normalized in ("rotation", "rotate"):
            continue
        if _is_turn(normalized, value) or _is_mirroring(normalized, value):
            return (
                f"its camera file has '{printable(f'{name}: {value}'[:40])}', which is not "
                "applied: the numbers in the file are used for the upright photograph"
            )
    return None


def _is_turn(normalized: str, value: Any) -> bool:
    """Whether an entry rotates the picture, by degrees or by EXIF's orientation."""
    if _ORIENTATION.match(normalized) is None or isinstance(value, list | Mapping):
        return False
    numbers = [*_iter_numbers(value)]
    if any(number % 90 == 0 and 0 < abs(number) < 360 for number in numbers):
        return True
    # EXIF's orientations are 1 to 8, of which 1 is upright.
    may_be_exif = normalized.endswith("orientation")
    return may_be_exif and any(number in range(2, 9) for number in numbers)


def _is_mirroring(normalized: str, value: Any) -> bool:
    return _MIRROR.search(normalized) is not None and value in (True, 1, "true", "1")


def _is_crop(normalized: str) -> bool:
    return _CROP.search(normalized) is not None and normalized not in _SENSOR_CROPS


def _has_effect(factors: Sequence[float]) -> bool:
    """Whether a factor changes a picture; EXIF writes 0 for no zoom."""
    return any(factor not in (0, 1) for factor in factors)


def _is_whole_picture(numbers: Sequence[float], sides: Sequence[Any]) -> bool:
    """Whether a crop covers the whole picture, in pixels or as the fractions 0 and 1.

    The numbers of such a crop are offsets of 0 and the sides of the picture. A crop that is off has
    zeros alone.
    """
    sides_in_pixels = [float(side) for side in sides if isinstance(side, int | float)]
    is_whole_in_pixels = set(numbers) <= {0.0, *sides_in_pixels}
    is_whole_in_fractions = len(numbers) == 4 and set(numbers) <= {0.0, 1.0}
    return is_whole_in_pixels or is_whole_in_fractions


def _normalize_change_name(name: str) -> str:
    """Reduce a name to letters and digits in lower case."""
    return re.sub(r"[^a-z0-9]", "", str(name).lower())


def _iter_numbers(value: Any) -> Iterator[float]:
    """Yield the numbers of a value at any level of nesting; texts such as "2x" count as 2."""
    if isinstance(value, Mapping):
        for child in value.values():
            yield from _iter_numbers(child)
    elif isinstance(value, list):
        for child in value:
            yield from _iter_numbers(child)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        with suppress(OverflowError):
            yield float(value)
    elif isinstance(value, str):
        match = _NUMBER.fullmatch(value)
        if match is not None:
            yield float(match[1])
