"""What an assistant stated about a photograph, and the points that it names in it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rilievo.calibration.sizes import Known, KnownLength, KnownPoint, KnownRectangle
from rilievo.errors import OptionError

_SAME_POINT = 1.0  # [px], largest distance between points that mean the same one
_FLAGS: Mapping[type[Known], str] = {
    KnownPoint: "--known",
    KnownLength: "--known-length",
    KnownRectangle: "--known-rectangle",
}


@dataclass(frozen=True, kw_only=True)
class StatedFacts:
    """What was stated about one photograph.

    Attributes:
        known: Known lengths, distances and rectangles, in the order in which they were stated.
        words: A sentence for each of ``known``, such as "the door is 2 m long".
        camera_height: Height of the camera above the floor [m].
        fov: Horizontal field of view [degrees].
    """

    known: tuple[Known, ...] = ()
    words: tuple[str, ...] = ()
    camera_height: float | None = None
    fov: float | None = None
    projection: str | None = None

    def with_fact(self, fact: Known, words: str) -> "StatedFacts":
        """Return a copy with one more fact, which replaces older ones about the same points."""
        facts, sentences = [], []
        for old_fact, old_words in zip(self.known, self.words, strict=True):
            if not _are_about_same_points(old_fact, fact):
                facts.append(old_fact)
                sentences.append(old_words)
        return replace(self, known=(*facts, fact), words=(*sentences, words))

    @property
    def sentences(self) -> tuple[str, ...]:
        """All facts, a sentence each."""
        sentences = list(self.words)
        if self.camera_height is not None:
            sentences.append(f"the camera is {self.camera_height:g} m above the floor")
        if self.fov is not None:
            sentences.append(f"the field of view is {self.fov:g} degrees")
        if self.projection is not None:
            sentences.append(f"the lens is {self.projection}")
        return tuple(sentences)

    @property
    def flags(self) -> tuple[str, ...]:
        """All facts as options of the command line, with their values."""
        flags = []
        for fact in self.known:
            flags += [_FLAGS[type(fact)], str(fact)]
        if self.camera_height is not None:
            flags += ["--camera-height", repr(self.camera_height)]
        if self.fov is not None:
            flags += ["--fov", repr(self.fov)]
        if self.projection is not None:
            flags += ["--projection", self.projection]
        return tuple(flags)


def _are_about_same_points(first: Known, second: Known) -> bool:
    if type(first) is not type(second):
        return False

    def distance_to_nearest(point: tuple[float, float]) -> float:
        return min(max(abs(point[0] - u), abs(point[1] - v)) for u, v in second.image_points)

    return max(map(distance_to_nearest, first.image_points)) <= _SAME_POINT


def pixel_points(
    points: Sequence[Sequence[float]], unit: str, shape: tuple[int, int]
) -> list[tuple[float, float]]:
    """Convert points of an assistant to column and row [px], and check that they are inside.

    Args:
        points: Points [x, y].
        unit: "fraction" of width and height from the top-left corner of the picture, or "pixel".
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
    """Convert column and row [px] to fractions of width and height, with three decimals."""
    height, width = shape
    return round((pixel[0] + 0.5) / width, 3), round((pixel[1] + 0.5) / height, 3)
