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
_PART = re.compile(
    r"crop|^(region|area)ofinterest|^(image|sensor|camera|active)?roi|subwindow|letterbox|"
    r"^(roi)?offset[xy]$|^[xy]offset$|^(image)?pad(ding)?(left|top|x|y)?$"
)
_NO_PART = ("cropfactor", "sensorcropfactor", "cropmode")
_TURN = re.compile(
    r"^(image|camera|sensor|device|display|exif|video|picture)?(orientation|rotation|rotate)"
    r"(angle|deg|degrees|cw|ccw)?$"
)
_POSITIONS = ("position", "translation", "location")
_MIRROR = re.compile(r"flip|mirror|^reverse[xy]$")


def is_picture_change(name: str) -> bool:
    """Whether an entry of this name may change the picture."""
    word = _word(name)
    is_part = _PART.search(word) is not None and word not in _NO_PART
    is_other = any(pattern.search(word) for pattern in (_TURN, _MIRROR, _BINNING))
    return is_part or is_other or word in (*_ZOOMS, *_SCALES)


def refuse_picture_changes(
    entries: Mapping[str, Any], sides: Sequence[Any], place: str, *, can_zoom: bool = False
) -> None:
    """Refuse a zoom, a crop, a binning, or a scale without a size.

    Args:
        entries: Entries beside intrinsics.
        sides: Width and height that the file states for them; empty if it does not.
        place: Name of the file for messages.
        can_zoom: Whether a zoom is part of the camera, and was applied.
    """
    for name, value in entries.items():
        if not is_picture_change(name):
            continue
        word = _word(name)
        numbers = list(_numbers(value))
        shown = printable(f"{name}: {value}"[:60])
        if word in _ZOOMS and not can_zoom and _is_factor(numbers):
            raise InputError(
                f"states '{shown}', and not whether its numbers are those before the zoom: "
                "multiply the focal lengths by it if they are, and remove it",
                path=place,
            )
        if _BINNING.match(word) and any(number > 1 for number in numbers):
            raise InputError(
                f"states a binning ('{shown}'), so its matrix is not that of the pictures: "
                "calibrate these pictures",
                path=place,
            )
        if word in _SCALES and not sides and _is_factor(numbers):
            raise InputError(
                f"states '{shown}', and not the size of the pictures that its numbers are of: add "
                "width and height, or multiply the numbers yourself and remove it",
                path=place,
            )
        is_part = _PART.search(word) is not None and word not in _NO_PART
        if is_part and not _is_whole(numbers, sides):
            raise InputError(
                f"states a region of interest or a crop ('{shown}'), so its numbers may be of a "
                "larger picture: subtract the offsets from cx and cy if they are, and remove it",
                path=place,
            )


def turn_note(entries: Mapping[str, Any]) -> str | None:
    """Note on an orientation that is not applied; None if pictures are upright.

    A rotation beside a position is that of the camera's pose.
    """
    has_position = any(_word(name) in _POSITIONS for name in entries)
    for name, value in entries.items():
        word = _word(name)
        if has_position and word in ("rotation", "rotate"):
            continue
        numbers = [] if isinstance(value, list | Mapping) else list(_numbers(value))
        is_quarter = any(number % 90 == 0 and 0 < abs(number) < 360 for number in numbers)
        is_exif = word.endswith("orientation") and any(number in range(2, 9) for number in numbers)
        is_turned = _TURN.match(word) is not None and (is_quarter or is_exif)
        is_mirrored = _MIRROR.search(word) is not None and value in (True, 1, "true", "1")
        if is_turned or is_mirrored:
            return (
                f"its camera file states '{printable(f'{name}: {value}'[:40])}', which is not "
                "applied: its numbers are taken for those of the upright photograph"
            )
    return None


def _word(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", str(name).lower())


def _numbers(value: Any) -> Iterator[float]:
    """Numbers of a value at any depth; "2x" and "2" are 2."""
    if isinstance(value, Mapping):
        for child in value.values():
            yield from _numbers(child)
    elif isinstance(value, list):
        for child in value:
            yield from _numbers(child)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        with suppress(OverflowError):
            yield float(value)
    elif isinstance(value, str):
        match = re.fullmatch(r"\s*(-?\d{1,9}(?:\.\d{1,9})?)\s*(?:x|deg|degrees)?\s*", value)
        if match is not None:
            yield float(match[1])


def _is_factor(numbers: Sequence[float]) -> bool:
    """Whether a factor changes a picture; 0 is that of EXIF for no zoom."""
    return any(number not in (0, 1) for number in numbers)


def _is_whole(numbers: Sequence[float], sides: Sequence[Any]) -> bool:
    """Whether a part is the whole picture, in pixels or as shares."""
    whole = {0.0, *(float(side) for side in sides if isinstance(side, int | float))}
    is_share = len(numbers) == 4 and set(numbers) <= {0.0, 1.0}
    return is_share or set(numbers) <= whole
