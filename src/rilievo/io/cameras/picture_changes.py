"""Entries of a camera file that change its pictures: zoom, crop, binning, scale, and orientation.

They stand beside intrinsics and do not say whether those are the numbers before the change or
after it. A change that would move the principal point or the focal length is therefore refused by
its name. An orientation is noted, because the numbers may be those of the upright photograph.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from rilievo.errors import InputError
from rilievo.io.files.names import printable

# Names as ``_letters_of_name`` spells them: lower case, letters and digits alone.
_ZOOMS = (
    *("zoom", "digitalzoom", "zoomfactor", "zoomratio", "digitalzoomratio", "digitalzoomfactor"),
    *("zoomlevel", "camerazoom", "magnification"),
)
_SCALES = (
    *("downsample", "downsamplefactor", "downsampling", "downsamplingfactor", "downscale"),
    *("downscalefactor", "downscaling", "resizefactor", "resizescale", "resizeratio"),
    *("imagescale", "imagescalefactor", "upsample", "upscale", "upsamplefactor", "upscalefactor"),
)
"""Factors that are without effect where the size of the intrinsics is stated."""
_BINNING = re.compile(
    r"^(pixel)?bin(ning)?(factor)?(x|y|horizontal|vertical)?$|^decimation(horizontal|vertical)$"
)
_CROP = re.compile(
    r"crop|^(region|area)ofinterest|^(image|sensor|camera|active)?roi|subwindow|letterbox|"
    r"^(roi)?offset[xy]$|^[xy]offset$|^(image)?pad(ding)?(left|top|x|y)?$"
)
_SENSOR_CROPS = ("cropfactor", "sensorcropfactor", "cropmode")
"""Names about the size of the sensor, which ``_CROP`` finds too."""
_ORIENTATION = re.compile(
    r"^(image|camera|sensor|device|display|exif|video|picture)?(orientation|rotation|rotate)"
    r"(angle|deg|degrees|cw|ccw)?$"
)
_POSITIONS = ("position", "translation", "location")
_MIRROR = re.compile(r"flip|mirror|^reverse[xy]$")
_NUMBER = re.compile(r"\s*(-?\d{1,9}(?:\.\d{1,9})?)\s*(?:x|deg|degrees)?\s*")


def is_picture_change(name: str) -> bool:
    """Whether an entry of this name may change the picture."""
    letters = _letters_of_name(name)
    if letters in _ZOOMS or letters in _SCALES or _is_crop(letters):
        return True
    return any(pattern.search(letters) for pattern in (_ORIENTATION, _MIRROR, _BINNING))


def refuse_picture_changes(
    entries: Mapping[str, Any], sides: Sequence[Any], place: str, *, can_zoom: bool = False
) -> None:
    """Refuse a zoom, a crop, a binning, or a scale without a size.

    Args:
        entries: Entries beside intrinsics.
        sides: Width and height that the file states for them; empty if it does not.
        place: Name of the file for messages.
        can_zoom: Whether a zoom is part of the camera, and was applied.

    Raises:
        InputError: If an entry changes the picture.
    """
    for name, value in entries.items():
        if not is_picture_change(name):
            continue
        letters = _letters_of_name(name)
        numbers = [*_numbers_of_value(value)]
        shown = printable(f"{name}: {value}"[:60])
        if letters in _ZOOMS and not can_zoom and _has_effect(numbers):
            raise InputError(
                f"states '{shown}', and not whether its numbers are those before the zoom: "
                "multiply the focal lengths by it if they are, and remove it",
                path=place,
            )
        if _BINNING.match(letters) and any(number > 1 for number in numbers):
            raise InputError(
                f"states a binning ('{shown}'), so its matrix is not that of the pictures: "
                "calibrate these pictures",
                path=place,
            )
        if letters in _SCALES and not sides and _has_effect(numbers):
            raise InputError(
                f"states '{shown}', and not the size of the pictures that its numbers are of: add "
                "width and height, or multiply the numbers yourself and remove it",
                path=place,
            )
        if _is_crop(letters) and not _is_whole_picture(numbers, sides):
            raise InputError(
                f"states a region of interest or a crop ('{shown}'), so its numbers may be of a "
                "larger picture: subtract the offsets from cx and cy if they are, and remove it",
                path=place,
            )


def turn_note(entries: Mapping[str, Any]) -> str | None:
    """Note on an orientation that is not applied; None if pictures are upright.

    A rotation beside a position is that of the camera's pose.
    """
    has_pose = any(_letters_of_name(name) in _POSITIONS for name in entries)
    for name, value in entries.items():
        letters = _letters_of_name(name)
        if has_pose and letters in ("rotation", "rotate"):
            continue
        if _is_turn(letters, value) or _is_mirroring(letters, value):
            return (
                f"its camera file states '{printable(f'{name}: {value}'[:40])}', which is not "
                "applied: its numbers are taken for those of the upright photograph"
            )
    return None


def _is_turn(letters: str, value: Any) -> bool:
    """Whether an entry turns the picture, by degrees or by EXIF's orientation."""
    if _ORIENTATION.match(letters) is None or isinstance(value, list | Mapping):
        return False
    numbers = [*_numbers_of_value(value)]
    is_quarter_turn = any(number % 90 == 0 and 0 < abs(number) < 360 for number in numbers)
    is_exif = letters.endswith("orientation") and any(number in range(2, 9) for number in numbers)
    return is_quarter_turn or is_exif


def _is_mirroring(letters: str, value: Any) -> bool:
    return _MIRROR.search(letters) is not None and value in (True, 1, "true", "1")


def _is_crop(letters: str) -> bool:
    return _CROP.search(letters) is not None and letters not in _SENSOR_CROPS


def _has_effect(factors: Sequence[float]) -> bool:
    """Whether a factor changes a picture; 0 is that of EXIF for no zoom."""
    return any(factor not in (0, 1) for factor in factors)


def _is_whole_picture(numbers: Sequence[float], sides: Sequence[Any]) -> bool:
    """Whether the numbers of a crop are those of the whole picture, in pixels or as fractions."""
    numbers_of_whole = {0.0, *(float(side) for side in sides if isinstance(side, int | float))}
    is_in_fractions = len(numbers) == 4 and set(numbers) <= {0.0, 1.0}
    return is_in_fractions or set(numbers) <= numbers_of_whole


def _letters_of_name(name: str) -> str:
    """Letters and digits of a name, in lower case."""
    return re.sub(r"[^a-z0-9]", "", str(name).lower())


def _numbers_of_value(value: Any) -> Iterator[float]:
    """Yield the numbers of a value at any depth; "2x" and "2" are 2."""
    if isinstance(value, Mapping):
        for child in value.values():
            yield from _numbers_of_value(child)
    elif isinstance(value, list):
        for child in value:
            yield from _numbers_of_value(child)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        with suppress(OverflowError):
            yield float(value)
    elif isinstance(value, str):
        match = _NUMBER.fullmatch(value)
        if match is not None:
            yield float(match[1])
