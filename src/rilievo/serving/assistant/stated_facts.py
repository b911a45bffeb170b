"""Sizes that were stated about a photograph, and points as assistants name them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rilievo.calibration.sizes import Known, KnownLength, KnownPoint, KnownRectangle
from rilievo.errors import OptionError

_SAME = 1.0  # pixels between facts about one place
_FLAGS: Mapping[type[Known], str] = {
    KnownPoint: "--known",
    KnownLength: "--known-length",
    KnownRectangle: "--known-rectangle",
}


@dataclass(frozen=True, kw_only=True)
class StatedFacts:
    """Facts about one photograph, in order.

    Attributes:
        words: Words for ``known``, such as "door: 2 m".
        camera_height: Height of the camera above the floor [m].
        fov: Horizontal field of view [degrees].
    """

    known: tuple[Known, ...] = ()
    words: tuple[str, ...] = ()
    camera_height: float | None = None
    fov: float | None = None
    projection: str | None = None

    def with_fact(self, fact: Known, words: str) -> "StatedFacts":
        """Copy with a fact, instead of one about the same points."""
        pairs = [
            pair
            for pair in zip(self.known, self.words, strict=True)
            if not _are_about_same_points(pair[0], fact)
        ]
        facts, texts = ([*column] for column in zip(*pairs, strict=True)) if pairs else ([], [])
        return replace(self, known=(*facts, fact), words=(*texts, words))

    @property
    def sentences(self) -> tuple[str, ...]:
        """All facts in words."""
        height, fov = self.camera_height, self.fov
        return (
            *self.words,
            *(() if height is None else (f"the camera is {height:g} m above the floor",)),
            *(() if fov is None else (f"the field of view is {fov:g} degrees",)),
            *(() if self.projection is None else (f"the lens is {self.projection}",)),
        )

    @property
    def flags(self) -> tuple[str, ...]:
        """Facts as options of the command line."""
        flags = []
        for fact in self.known:
            flags += [_FLAGS[type(fact)], str(fact)]
        if self.camera_height is not None:
            flags += ["--camera-height", repr(self.camera_height)]
        flags += [] if self.fov is None else ["--fov", repr(self.fov)]
        return (*flags, *(() if self.projection is None else ("--projection", self.projection)))


def _are_about_same_points(one: Known, other: Known) -> bool:
    def distance_to_nearest(at: tuple[float, float]) -> float:
        return min(max(abs(at[0] - u), abs(at[1] - v)) for u, v in other.image_points)

    return type(one) is type(other) and max(map(distance_to_nearest, one.image_points)) <= _SAME


def pixel_points(
    points: Sequence[Sequence[float]], unit: str, shape: tuple[int, int]
) -> list[tuple[float, float]]:
    """Column and row [px] of points; the centre of the top-left pixel is (0, 0).

    Args:
        points: Points [x, y].
        unit: "fraction" of width and height from the borders, or "pixel".
        shape: Size (height, width).

    Raises:
        OptionError: If a point is outside, or not of this unit.
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


def pixel_fractions(pixel: tuple[float, float], shape: tuple[int, int]) -> tuple[float, float]:
    """Fractions of width and height, to three decimals."""
    height, width = shape
    return round((pixel[0] + 0.5) / width, 3), round((pixel[1] + 0.5) / height, 3)
