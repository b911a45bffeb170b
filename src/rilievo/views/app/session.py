"""Session state of one visitor."""

from dataclasses import dataclass
from urllib.parse import urlencode

from rilievo.calibration import Known
from rilievo.errors import OptionError
from rilievo.io.colour import check_colour_map
from rilievo.io.palette import DEPTH_COLOURS
from rilievo.views.app.question import read_number

Point = tuple[float | int, float | int]
"""Pixel (u, v) of a photograph."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Colours:
    """Colours of depth pictures.

    Attributes:
        colour_map: Name in ``COLOUR_MAPS``.
        near_far: Values of the depth map at the ends; None for the picture's own range.

    Raises:
        OptionError: If the range is not valid.
    """

    colour_map: str = DEPTH_COLOURS
    near_far: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        check_colour_map(self.colour_map)
        if self.near_far is not None and self.near_far[0] == self.near_far[1]:
            raise OptionError(f"near and far are two different numbers, got {self.near_far[0]:g}")

    @property
    def query(self) -> str:
        """Query string for the address of a picture or file."""
        words: dict[str, str | float] = {"map": self.colour_map}
        if self.near_far is not None:
            words |= {"near": self.near_far[0], "far": self.near_far[1]}
        return urlencode(words)


def read_colours(colour_map: str, near: str | None, far: str | None) -> Colours:
    """Parse colours as a visitor typed them.

    Raises:
        OptionError: If one end of the range is missing or not a number, or both are the same.
    """
    ends = (read_number(near, "the near end"), read_number(far, "the far end"))
    if ends == (None, None):
        return Colours(colour_map=colour_map)
    first, last = ends
    if first is None or last is None:
        empty = "near" if first is None else "far"
        raise OptionError(f"a colour range has two ends, and '{empty}' is empty: fill or clear it")
    return Colours(colour_map=colour_map, near_far=(first, last))


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Session state: an answer, points on it, and known facts.

    Attributes:
        token: Token of the answer; None before the first one.
        colours: Colours of its depth.
        first: Point A (u, v) [px] of the photograph.
        second: Point B (u, v) [px] of the photograph.
        known: Distances and lengths that the visitor typed.
        past: Facts known before each change, the latest last.
    """

    token: str | None = None
    colours: Colours = Colours()
    first: Point | None = None
    second: Point | None = None
    known: tuple[Known, ...] = ()
    past: tuple[tuple[Known, ...], ...] = ()
