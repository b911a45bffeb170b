"""Relations between the size of a depth map and that of its picture.

Sizes are (height, width). Networks round the sides of a picture to multiples of a step, programs
resize maps by whole factors, pad them, or cut them out of a smaller picture.
"""

import math

from rilievo.arrays.shapes import Size
from rilievo.io.depth.crops import DepthCrop

_MIN_NETWORK_STEP, _MAX_NETWORK_STEP = 8, 64
"""Networks round sides to multiples of such steps [px]."""
_MAX_ROUNDING_STEP = 32  # [px], by which rounding explains proportions that differ
_MAX_PROPORTION_ERROR = 0.04  # relative, of a map of any size that was resized
_MAX_ROUNDED_PROPORTION_ERROR = 0.1  # the same, of a small map whose sides were rounded
_MAX_SQUARE_RATIO = 1.05  # of the sides of a picture that neither stands nor lies
_MIN_MIDDLE = 0.85  # of a smaller picture, in each axis, for the middle that was cut out of it
_FRACTION_WORDS = {2: "half of", 3: "a third of", 4: "a quarter of"}
FIRST_QUARTER_TURN = 5
"""EXIF's orientations from here on turn by 90 degrees."""
PADDING_STEPS = (8, 14, 16, 32, 64)
"""Networks pad sides, or round them up, to multiples of these [px]."""


def size_words(size: Size) -> str:
    """Text such as "480 x 640", height first."""
    return f"{size[0]} x {size[1]}"


def has_size_or_multiple(size: Size, picture: Size) -> bool:
    """Whether a map has the picture's size, or one is a whole multiple of the other."""
    return size == picture or multiple_words(size, picture) is not None


def multiple_words(size: Size, picture: Size) -> str | None:
    """Say which multiple or fraction of the picture's size a map has, such as "half of".

    Returns:
        None if neither is a whole multiple of the other, alike in both axes.
    """
    factor = _whole_factor(picture, size)
    if factor is not None:
        return _FRACTION_WORDS.get(factor, f"1/{factor} of")
    factor = _whole_factor(size, picture)
    return None if factor is None else f"{factor} times"


def _whole_factor(large: Size, small: Size) -> int | None:
    factor, rest = divmod(large[0], small[0])
    return factor if rest == 0 and small[1] * factor == large[1] else None


def difference_in_proportions(size: Size, picture: Size) -> float:
    """Relative difference of width by height, such as 0.33 for 4:3 and 16:9."""
    ratio = (size[1] * picture[0]) / (size[0] * picture[1])
    return max(ratio, 1 / ratio) - 1


def may_be_resized(size: Size, picture: Size) -> bool:
    """Whether rounded sides explain how the proportions of a map differ from a picture's."""
    divisor = math.gcd(*size)
    step = max(step for step in range(1, _MAX_ROUNDING_STEP + 1) if divisor % step == 0)
    rounding_error = step / 2 * (1 / size[0] + 1 / size[1])
    max_error = min(max(rounding_error, _MAX_PROPORTION_ERROR), _MAX_ROUNDED_PROPORTION_ERROR)
    return difference_in_proportions(size, picture) <= max_error


def may_be_rounded(size: Size, picture: Size) -> bool:
    """Whether a network may have rounded the picture's own sides to this size."""
    step = min(math.gcd(*size), _MAX_NETWORK_STEP)
    differences = [abs(side - whole) for side, whole in zip(size, picture, strict=True)]
    return step >= _MIN_NETWORK_STEP and max(differences) < step


def is_rounded_up(size: Size, picture: Size, step: int) -> bool:
    """Whether the sides are the picture's, rounded up to multiples of a step."""
    rounded = (math.ceil(picture[0] / step) * step, math.ceil(picture[1] / step) * step)
    return size == rounded != picture


def is_turned(size: Size, picture: Size) -> bool:
    """Whether a map is landscape and the picture is portrait, or the reverse."""
    if _is_square(size) or _is_square(picture):
        return False
    return (size[0] > size[1]) != (picture[0] > picture[1])


def _is_square(size: Size) -> bool:
    return max(size) < _MAX_SQUARE_RATIO * min(size)


def is_turned_by_exif(size: Size, orientation: int) -> bool:
    """Whether a map as the sensor stored it would lie turned by 90 degrees in its picture."""
    return orientation >= FIRST_QUARTER_TURN and not _is_square(size)


def middle_of_smaller_picture(size: Size, picture: Size) -> tuple[str, DepthCrop] | None:
    """Fraction and rectangle, if a map may be the middle of the picture at half its size or less.

    Programs for NYUv2 halve 480 x 640 and cut 228 x 304 out of the middle.
    """
    for factor, fraction_words in _FRACTION_WORDS.items():
        height, width = factor * size[0], factor * size[1]
        parts = [height / picture[0], width / picture[1]]
        if min(parts) >= _MIN_MIDDLE and max(parts) <= 1 and min(parts) < 1:
            top, left = (picture[0] - height) // 2, (picture[1] - width) // 2
            return fraction_words, DepthCrop(top=top, left=left, height=height, width=width)
    return None
