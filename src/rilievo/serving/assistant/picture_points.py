"""Points as assistants name them: fractions of the picture, or pixels of the original."""

import math
from collections.abc import Sequence

from rilievo.errors import OptionError


def pixels_of(
    points: Sequence[Sequence[float]], unit: str, shape: tuple[int, int]
) -> list[tuple[float, float]]:
    """Column and row [px] of points; the centre of the top-left pixel is (0, 0).

    Args:
        points: Points [x, y], x to the right and y down.
        unit: "fraction": 0 to 1 of width and height, borders of the picture; or "pixel".
        shape: Size (height, width) of the upright photograph.

    Raises:
        OptionError: If a point is outside of the picture, or not of this unit.
    """
    height, width = shape
    pixels = []
    for point in points:
        if len(point) != 2 or not all(map(math.isfinite, point)):
            raise OptionError(f"point {list(point)}: a point is two numbers, [x, y]")
        x, y = map(float, point)
        if unit == "fraction":
            if not (0 <= x <= 1 and 0 <= y <= 1):
                raise OptionError(
                    f"point [{x:g}, {y:g}]: fractions of the picture are between 0 and 1; for "
                    f"pixels of the {width}x{height} original, say unit 'pixel'"
                )
            x = min(max(x * width - 0.5, 0.0), width - 1.0)
            y = min(max(y * height - 0.5, 0.0), height - 1.0)
        elif not (-0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5):
            raise OptionError(
                f"point [{x:g}, {y:g}] is outside of the picture, which has {width} columns and "
                f"{height} rows"
            )
        pixels.append((x, y))
    return pixels


def as_fractions(pixel: tuple[float, float], shape: tuple[int, int]) -> tuple[float, float]:
    """Fractions of width and height of a pixel, rounded to a thousandth."""
    height, width = shape
    return round((pixel[0] + 0.5) / width, 3), round((pixel[1] + 0.5) / height, 3)
