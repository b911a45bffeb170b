"""Compare the size of a depth map with that of its picture, to find how the map was made.

Sizes are (height, width). Networks round the sides of a picture to multiples of a step. Programs
resize maps by integer factors, pad them, or crop them from a smaller picture.
"""

import math
from dataclasses import dataclass

from rilievo.arrays.shapes import Size
from rilievo.io.depth.crops import DepthCrop

_MIN_NETWORK_STEP, _MAX_NETWORK_STEP = 8, 64
"""Networks round sides to multiples of a step between these two [px]."""
_MAX_ROUNDING_STEP = 32  # [px], largest step whose rounding excuses different proportions
_MAX_PROPORTION_ERROR = 0.04  # relative, of any map that was resized
_MAX_ROUNDED_PROPORTION_ERROR = 0.1  # the same, of a small map whose sides were rounded
_MAX_SQUARE_RATIO = 1.05  # of the sides of a picture that counts as square
_MIN_MIDDLE = 0.85  # of a smaller picture, in each axis, that a crop of its middle covers
_FRACTION_WORDS = {2: "half of", 3: "a third of", 4: "a quarter of"}
MIN_QUARTER_TURN = 5
"""EXIF's orientations from here on turn by 90 degrees, which swaps height and width."""
PADDING_STEPS = (8, 14, 16, 32, 64)
"""Networks pad sides, or round them up, to multiples of these [px]."""


def format_size(map_size: Size) -> str:
    """Text such as "480 x 640", height first."""
    height, width = map_size
    return f"{height} x {width}"


def describe_multiple(map_size: Size, picture_size: Size) -> str | None:
    """Describe the multiple or fraction of the picture's size that a map has, such as "half of".

    Returns:
        None if neither is an integer multiple of the other, by the same factor in both axes.
    """
    factor = _integer_factor(picture_size, map_size)
    if factor is not None:
        return _FRACTION_WORDS.get(factor, f"1/{factor} of")
    factor = _integer_factor(map_size, picture_size)
    return None if factor is None else f"{factor} times"


def _integer_factor(large: Size, small: Size) -> int | None:
    (large_height, large_width), (height, width) = large, small
    factor, remainder = divmod(large_height, height)
    return factor if remainder == 0 and factor * width == large_width else None


def difference_in_proportions(map_size: Size, picture_size: Size) -> float:
    """Return the relative difference of the aspect ratios, such as 0.33 for 4:3 and 16:9."""
    (map_height, map_width), (height, width) = map_size, picture_size
    ratio = (map_width * height) / (map_height * width)
    return max(ratio, 1 / ratio) - 1


def may_be_resized(map_size: Size, picture_size: Size) -> bool:
    """Whether a map may be the resized picture: rounded sides explain any other proportions."""
    divisor = math.gcd(*map_size)
    step = max(step for step in range(1, _MAX_ROUNDING_STEP + 1) if divisor % step == 0)
    # Each side may be wrong by half a step, and relative errors of a ratio add up.
    height, width = map_size
    rounding_error = step / 2 * (1 / height + 1 / width)
    max_error = min(max(rounding_error, _MAX_PROPORTION_ERROR), _MAX_ROUNDED_PROPORTION_ERROR)
    return difference_in_proportions(map_size, picture_size) <= max_error


def may_be_rounded(map_size: Size, picture_size: Size) -> bool:
    """Whether a network may have rounded the picture's own sides to this size."""
    step = min(math.gcd(*map_size), _MAX_NETWORK_STEP)
    (map_height, map_width), (height, width) = map_size, picture_size
    difference = max(abs(map_height - height), abs(map_width - width))
    return step >= _MIN_NETWORK_STEP and difference < step


def is_rounded_up(map_size: Size, picture_size: Size, step: int) -> bool:
    """Whether the sides are the picture's after rounding up to multiples of a step."""
    height, width = picture_size
    rounded = (math.ceil(height / step) * step, math.ceil(width / step) * step)
    return map_size == rounded != picture_size


def is_rotated(map_size: Size, picture_size: Size) -> bool:
    """Whether a map is landscape and the picture is portrait, or the reverse."""
    if _is_square(map_size) or _is_square(picture_size):
        return False
    return _is_portrait(map_size) != _is_portrait(picture_size)


def _is_portrait(size: Size) -> bool:
    height, width = size
    return height > width


def _is_square(map_size: Size) -> bool:
    return max(map_size) < _MAX_SQUARE_RATIO * min(map_size)


def exif_swaps_sides(map_size: Size, orientation: int) -> bool:
    """Whether a map as the sensor stored it has other proportions than the upright picture."""
    return orientation >= MIN_QUARTER_TURN and not _is_square(map_size)


@dataclass(frozen=True, slots=True, kw_only=True)
class CentreOfCopy:
    """The centre of a reduced copy of a picture.

    Attributes:
        copy_size: Size of the copy for a message, such as "half of" the picture's.
        crop: The part of the full picture that the centre shows [px].
    """

    copy_size: str
    crop: DepthCrop


def centre_of_reduced_copy(map_size: Size, picture_size: Size) -> CentreOfCopy | None:
    """Find the part of a picture that a map covers, if it was cut from a reduced copy's centre.

    Programs for NYUv2, for example, reduce pictures of 480 x 640 to 240 x 320, and keep the 228 x
    304 pixels in the middle. Such a map covers the 456 x 608 pixels in the middle of the picture.

    Returns:
        None if the size of the map does not fit such a crop.
    """
    (map_height, map_width), (picture_height, picture_width) = map_size, picture_size
    for factor, fraction_words in _FRACTION_WORDS.items():
        # Size that the map would have in the picture.
        height, width = factor * map_height, factor * map_width
        smaller_fraction, larger_fraction = sorted((height / picture_height, width / picture_width))
        fits_in_picture = larger_fraction <= 1
        leaves_narrow_border = _MIN_MIDDLE <= smaller_fraction < 1
        if fits_in_picture and leaves_narrow_border:
            top, left = (picture_height - height) // 2, (picture_width - width) // 2
            crop = DepthCrop(top=top, left=left, height=height, width=width)
            return CentreOfCopy(copy_size=fraction_words, crop=crop)
    return None
