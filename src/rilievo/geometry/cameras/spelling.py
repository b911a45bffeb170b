"""Spelling of lenses in text: a name with numbers.

``fisheye:180``, or exactly ``fisheye:310.5,310.5,319.5,239.5``, perhaps with the size ``@640x480``.
Lenses other than a pinhole are imported when made.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module

from rilievo.errors import InputError, OptionError, suggest
from rilievo.errors.messages import Text
from rilievo.geometry.cameras.lens import SAME_ASPECT, Lens

_EXACT = 4
"""Least count of numbers that are a lens whatever the picture's size."""
_WAYS = ("degrees across", "down")
_HOME = __name__.rpartition(".")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class LensRow:
    """Lens: all that any door knows of it.

    Attributes:
        place: Class, as ``module:Class``.
        counts: Numbers that may follow.
        angles: Most degrees, if numbers are angles.
        guide: Texts that spell it, with words.
        choice: Text in the app.
        label: Words for that.
    """

    place: str
    counts: tuple[int, ...]
    angles: tuple[float, ...] = ()
    guide: Mapping[str, str]
    choice: str = ""
    label: str = ""

    def load_class(self) -> type[Lens]:
        """Import the class."""
        module, name = self.place.split(":")
        kind: type[Lens] = getattr(import_module(f"{_HOME}.{module}"), name)
        return kind


# A new lens is one file here and one row.
LENSES: Mapping[str, LensRow] = {
    "pinhole": LensRow(
        place="lens:Pinhole",
        counts=(0, 1, 4),
        angles=(170,),
        guide={"pinhole": "an ordinary photograph, whatever its file says"},
        choice="pinhole",
        label="ordinary",
    ),
    "equirect": LensRow(
        place="equirectangular:Equirectangular",
        counts=(0, 1, 2, 4),
        angles=(360, 180),
        guide={
            "equirect": "a whole panorama, twice as wide as high",
            "equirect:180x90": "a part of one: degrees across and down, level in the middle; "
            "`equirect:180` has square pixels",
        },
        choice="equirect",
        label="panorama",
    ),
    "fisheye": LensRow(
        place="fisheye:Fisheye",
        counts=(1, 4, 8, 9),
        angles=(360,),
        guide={
            "fisheye:180": "equidistant fisheye, degrees from left edge to right edge",
            "fisheye:FX,FY,CX,CY,K1,K2,K3,K4": "Kannala and Brandt's, as OpenCV's `fisheye`",
        },
        choice="fisheye:180",
        label="fisheye of 180°",
    ),
    "opencv": LensRow(
        place="distorted:Distorted",
        counts=(8, 9, 12),
        guide={
            "opencv:FX,FY,CX,CY,K1,K2,P1,P2": "perspective with distortion; `,K3` and `,K4,K5,K6` "
            "may follow"
        },
    ),
    "fov": LensRow(
        place="fov:Fov",
        counts=(5,),
        guide={
            "fov:FX,FY,CX,CY,W": "the FOV or ATAN model of one number, in radians: COLMAP's `FOV`, "
            "PTAM, DSO, TUM's monocular videos"
        },
    ),
}


def spellings_in_words() -> str:
    """Spellings of all lenses, for messages."""
    short = [
        text
        for name, row in LENSES.items()
        for text in (
            *([name] if 0 in row.counts else []),
            *([f"{name}:{'x'.join(['DEGREES'] * len(row.angles))}"] if row.angles else []),
        )
    ]
    *exact, last = (f"{name}:" for name, row in LENSES.items() if max(row.counts) >= _EXACT)
    return (
        f"{', '.join(short)}, or exactly {', '.join(exact)} or {last} with FX,FY,CX,CY and "
        "coefficients"
    )


_LONGEST = 1000
_TEXT = r"([a-z]+)(?::([^@]*))?(?:@(\d{1,6})x(\d{1,6}))?"
MOST_SIDE = 999_999
"""Longest side of a picture in a text [px]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpelledLens:
    """Lens in words, made exact by a picture's size.

    Attributes:
        numbers: Angles [degrees], or fx, fy, cx, cy and coefficients.
        size: Height and width of the numbers; None for any.
        aspect: Width over height of the pictures, if a file states that and no size.
        note: What was chosen or left out where it was read, as a sentence.
    """

    name: str
    numbers: tuple[float, ...] = ()
    size: tuple[int, int] | None = None
    aspect: float | None = None
    note: str | None = field(default=None, compare=False)

    def __str__(self) -> str:
        numbers = ",".join(_shortest_text(number) for number in self.numbers)
        if len(self.numbers) == 2:
            numbers = numbers.replace(",", "x")
        size = "" if self.size is None else f"@{self.size[1]}x{self.size[0]}"
        return f"{self.name}{':' if numbers else ''}{numbers}{size}"

    @property
    def is_bare_pinhole(self) -> bool:
        """Whether it only says that a picture is no panorama."""
        return self.name == "pinhole" and not self.numbers

    def lens(self, shape: tuple[int, int], picture: str = "the picture") -> Lens:
        """Lens of a picture (height, width).

        Raises:
            InputError: If numbers are for another shape.
        """
        self._refuse_other_aspect(shape, picture)
        size = self.size or shape
        lens = LENSES[self.name].load_class().of_numbers(self.numbers, size, picture)
        if size == shape:
            return lens
        aspects = (shape[1] / shape[0]) / (size[1] / size[0])
        if abs(aspects - 1) > SAME_ASPECT:
            if abs(shape[0] / shape[1] / (size[1] / size[0]) - 1) <= SAME_ASPECT:
                raise InputError(
                    f"{picture}: is {shape[1]}x{shape[0]} once upright, but the lens is "
                    f"calibrated for {size[1]}x{size[0]}: give the numbers of the upright "
                    "photograph; where it was turned, fx and fy change places, and cx and cy"
                )
            raise InputError(
                f"{picture}: is {shape[1]}x{shape[0]}, but the lens is calibrated for "
                f"{size[1]}x{size[0]}, of another shape: calibrate it for these pictures"
            )
        return lens.resized(size=size, new_size=shape)

    def _refuse_other_aspect(self, shape: tuple[int, int], picture: str) -> None:
        own = shape[1] / shape[0]
        if self.aspect is None or abs(own / self.aspect - 1) <= SAME_ASPECT:
            return
        raise InputError(
            f"{picture}: is {shape[1]}x{shape[0]}, whose width is {own:.4g} of its height, but its "
            f"camera file states {self.aspect:.4g}, so it is for pictures of another shape: give "
            "the angle from the left to the right edge of this one as pinhole:DEGREES"
        )


def read_spelling(text: str, option: str = "projection") -> SpelledLens:
    """Read the text of a lens.

    Raises:
        OptionError: If it is none, with the option's name.
    """
    if len(text) > _LONGEST:
        raise OptionError(
            option=option, problem=f"is {spellings_in_words()}; got {len(text):,} characters"
        )
    match = re.fullmatch(_TEXT, text.strip().lower())
    if match is None or match[1] not in LENSES:
        hint = "" if match is None else f"; {suggest(match[1], LENSES)}"
        raise OptionError(option=option, problem=f"is {spellings_in_words()}; got '{text}'{hint}")
    name, words, width, height = match.groups()
    row = LENSES[name]
    separator = "x" if len(row.angles) == 2 and "," not in (words or "") else ","
    try:
        numbers = tuple(float(word) for word in words.split(separator)) if words else ()
    except ValueError as error:
        raise OptionError(
            option=option, problem=f"is {spellings_in_words()}; got '{text}' ({error})"
        ) from error
    if len(numbers) not in row.counts:
        counts = " or ".join(map(str, row.counts))
        problem = f": {name} has {counts} numbers, got {len(numbers)} in '{text}'"
        raise OptionError(option=option, problem=problem)
    size = None if width is None else (int(height), int(width))
    if size is not None and 0 in size:
        problem = f": the sides of a picture are positive, got '{text}'"
        raise OptionError(option=option, problem=problem)
    _check_angles(name, numbers, option)
    lens = SpelledLens(name=name, numbers=numbers, size=size)
    if len(numbers) >= _EXACT:
        try:
            lens.lens(size or (2, 2))
        except InputError as error:
            raise OptionError(option=option, problem=Text(": ", error)) from error
    return lens


def spelling_of(lens: Lens) -> SpelledLens:
    """Spell a lens exactly.

    Raises:
        InputError: If it is none of rilievo's own.
    """
    places = {f"{kind.__module__}:{kind.__name__}" for kind in type(lens).__mro__}
    for name, row in LENSES.items():
        if f"{_HOME}.{row.place}" in places:
            return SpelledLens(name=name, numbers=lens.spelled_numbers)
    raise InputError(
        f"files state lenses of the kinds {', '.join(LENSES)} only; this one is {lens.name}"
    )


def _shortest_text(number: float) -> str:
    return repr(int(number)) if float(number).is_integer() else repr(float(number))


def _check_angles(name: str, numbers: tuple[float, ...], option: str) -> None:
    most = LENSES[name].angles
    if not 0 < len(numbers) <= len(most):
        return
    ways = " and ".join(f"{angle:g} {way}" for angle, way in zip(most, _WAYS, strict=False))
    for angle, limit in zip(numbers, most, strict=False):
        if not 0 < angle <= limit:
            problem = f": {name} sees up to {ways}, got {angle:g}"
            raise OptionError(option=option, problem=problem)
