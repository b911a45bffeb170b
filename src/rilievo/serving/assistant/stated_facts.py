"""What an assistant stated about a photograph, and the points that it names in it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rilievo.calibration.sizes import Known, KnownCircle, KnownLength, KnownPoint, KnownRectangle
from rilievo.errors import OptionError

_MAX_DISTANCE_OF_SAME_POINT = 1.0  # [px], points that are not farther apart mean one place
_FLAGS: Mapping[type[Known], str] = {
    KnownPoint: "--known",
    KnownLength: "--known-length",
    KnownRectangle: "--known-rectangle",
    KnownCircle: "--known-circle",
}


@dataclass(frozen=True, kw_only=True)
class StatedFacts:
    """What was stated about one photograph.

    Attributes:
        known: Known lengths, distances and rectangles, in the order in which they were stated.
        size_sentences: A sentence for each entry of ``known``, such as "the door is 2 m long".
        camera_height: Height of the camera above the floor [m].
        fov: Horizontal field of view [degrees].
        projection: Lens, as the command line spells it.
    """

    known: tuple[Known, ...] = ()
    size_sentences: tuple[str, ...] = ()
    camera_height: float | None = None
    fov: float | None = None
    projection: str | None = None

    def with_size(self, size: Known, sentence: str) -> "StatedFacts":
        """Return a copy with one more known size, which replaces older ones of the same points."""
        sizes = []
        sentences = []
        for old_size, old_sentence in zip(self.known, self.size_sentences, strict=True):
            if not _are_about_same_points(old_size, size):
                sizes.append(old_size)
                sentences.append(old_sentence)
        return replace(self, known=(*sizes, size), size_sentences=(*sentences, sentence))

    @property
    def sentences(self) -> tuple[str, ...]:
        """One sentence for each fact."""
        sentences = list(self.size_sentences)
        if self.camera_height is not None:
            sentences.append(f"the camera is {self.camera_height:g} m above the floor")
        if self.fov is not None:
            sentences.append(f"the field of view is {self.fov:g} degrees")
        if self.projection is not None:
            sentences.append(f"the lens is {self.projection}")
        return tuple(sentences)

    @property
    def command_line_arguments(self) -> tuple[str, ...]:
        """All facts as command-line arguments: flags, each followed by its value."""
        arguments = []
        for size in self.known:
            arguments += [_FLAGS[type(size)], str(size)]
        if self.camera_height is not None:
            arguments += ["--camera-height", repr(self.camera_height)]
        if self.fov is not None:
            arguments += ["--fov", repr(self.fov)]
        if self.projection is not None:
            arguments += ["--projection", self.projection]
        return tuple(arguments)


def _are_about_same_points(first: Known, second: Known) -> bool:
    """Whether two sizes are of one type, and each point of ``first`` is a point of ``second``."""
    if type(first) is not type(second):
        return False

    def distance_to_nearest(point: tuple[float, float]) -> float:
        """Distance to the nearest point of ``second``: the larger of columns and rows [px]."""
        return min(max(abs(point[0] - u), abs(point[1] - v)) for u, v in second.image_points)

    return max(map(distance_to_nearest, first.image_points)) <= _MAX_DISTANCE_OF_SAME_POINT


def pixel_points(
    points: Sequence[Sequence[float]], unit: str, shape: tuple[int, int]
) -> list[tuple[float, float]]:
    """Convert points [x, y] to column and row [px], and check that they are in the picture.

    The unit "fraction" counts from the top-left corner of the picture to the opposite one.

    Raises:
        OptionError: If a point is not two finite numbers, or is outside of the picture.
    """
    pixels = []
    for point in points:
        if len(point) != 2 or not all(map(math.isfinite, point)):
            raise OptionError(f"point {list(point)}: expected two numbers, [x, y]")
        x, y = map(float, point)
        pixel = _pixel_at_fractions(x, y, shape) if unit == "fraction" else (x, y)
        _check_in_picture(pixel, shape)
        pixels.append(pixel)
    return pixels


def _pixel_at_fractions(x: float, y: float, shape: tuple[int, int]) -> tuple[float, float]:
    """Convert fractions of width and height to column and row [px]."""
    height, width = shape
    if not (0 <= x <= 1 and 0 <= y <= 1):
        raise OptionError(
            f"point [{x:g}, {y:g}]: fractions of the picture are between 0 and 1; for pixels of "
            f"the {width}x{height} original, set unit to 'pixel'"
        )
    # The centre of the top-left pixel is (0, 0), so the left border is at -0.5.
    u = min(max(x * width - 0.5, 0.0), width - 1.0)
    v = min(max(y * height - 0.5, 0.0), height - 1.0)
    return u, v


def _check_in_picture(pixel: tuple[float, float], shape: tuple[int, int]) -> None:
    u, v = pixel
    height, width = shape
    if not (-0.5 <= u <= width - 0.5 and -0.5 <= v <= height - 0.5):
        raise OptionError(
            f"point [{u:g}, {v:g}] is outside the picture, which has {width} columns and {height} "
            "rows"
        )


def pixel_fractions(pixel: tuple[float, float], shape: tuple[int, int]) -> tuple[float, float]:
    """Convert column and row [px] to fractions of width and height, with three decimals."""
    height, width = shape
    return round((pixel[0] + 0.5) / width, 3), round((pixel[1] + 0.5) / height, 3)
