"""Lenses as texts: a name with numbers, such as ``fisheye:180``.

A text with all numbers is exact: ``fisheye:310.5,310.5,319.5,239.5@640x480``. The size of the
picture at its end may be missing.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module

from rilievo.errors import InputError, OptionError, suggest
from rilievo.errors.messages import Text
from rilievo.geometry.cameras.lens import SAME_ASPECT, Lens

_MIN_EXACT_NUMBERS = 4
"""Least number of numbers that make a lens exact, whatever the picture's size."""
_ANGLE_NAMES = ("degrees across", "down")
_PACKAGE = __name__.rpartition(".")[0]
_MAX_TEXT_LENGTH = 1000
_PATTERN = r"([a-z]+)(?::([^@]*))?(?:@(\d{1,6})x(\d{1,6}))?"
"""Name, numbers, width and height."""
MOST_SIDE = 999_999
"""Longest side of a picture in a text [px]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LensRow:
    """A kind of lens, as the command line, the app and the documentation offer it.

    Attributes:
        place: Class, as ``module:Class`` of this package. It is imported when a lens is made.
        counts: How many numbers may follow its name.
        angles: Largest angles [degrees], if a few numbers are fields of view.
        guide: Texts that name it, each with an explanation.
        choice: Text that the app offers; empty for none.
        label: What the app calls that choice.
    """

    place: str
    counts: tuple[int, ...]
    angles: tuple[float, ...] = ()
    guide: Mapping[str, str]
    choice: str = ""
    label: str = ""

    def load_class(self) -> type[Lens]:
        """Import the class of the lens."""
        module, name = self.place.split(":")
        lens_class: type[Lens] = getattr(import_module(f"{_PACKAGE}.{module}"), name)
        return lens_class


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


"""Kinds of lenses. A new one is a file of this folder and a row here."""


def spellings_in_words() -> str:
    """Texts of all lenses, for messages."""
    short_texts = []
    for name, row in LENSES.items():
        if 0 in row.counts:
            short_texts.append(name)
        if row.angles:
            degrees = "x".join(["DEGREES"] * len(row.angles))
            short_texts.append(f"{name}:{degrees}")
    *exact, last = (
        f"{name}:" for name, row in LENSES.items() if max(row.counts) >= _MIN_EXACT_NUMBERS
    )
    return (
        f"{', '.join(short_texts)}, or exactly {', '.join(exact)} or {last} with FX,FY,CX,CY and "
        "coefficients"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SpelledLens:
    """Lens as a text has it; the size of a picture makes it exact.

    Attributes:
        name: Key in ``LENSES``.
        numbers: Angles [degrees], or fx, fy, cx, cy and coefficients.
        size: Height and width of the picture to which the numbers belong; None for any picture.
        aspect: Width over height of the pictures, if a file states that and no size.
        note: Sentence on what was chosen or left out when it was read.
    """

    name: str
    numbers: tuple[float, ...] = ()
    size: tuple[int, int] | None = None
    aspect: float | None = None
    note: str | None = field(default=None, compare=False)

    def __str__(self) -> str:
        separator = "x" if len(self.numbers) == 2 else ","
        numbers = separator.join(_shortest_text(number) for number in self.numbers)
        text = f"{self.name}:{numbers}" if numbers else self.name
        return text if self.size is None else f"{text}@{self.size[1]}x{self.size[0]}"

    @property
    def is_bare_pinhole(self) -> bool:
        """Whether it only says that a picture is neither a panorama nor a fisheye."""
        return self.name == "pinhole" and not self.numbers

    def lens(self, shape: tuple[int, int], picture: str = "the picture") -> Lens:
        """Lens of a picture of (height, width), whose name messages have.

        Raises:
            InputError: If the numbers belong to pictures of other proportions.
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
    """Read the text of a lens that was given to an option.

    Raises:
        OptionError: If it is no lens.
    """
    if len(text) > _MAX_TEXT_LENGTH:
        raise OptionError(
            option=option, problem=f"is {spellings_in_words()}; got {len(text):,} characters"
        )
    match = re.fullmatch(_PATTERN, text.strip().lower())
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
    if len(numbers) >= _MIN_EXACT_NUMBERS:
        try:
            lens.lens(size or (2, 2))
        except InputError as error:
            raise OptionError(option=option, problem=Text(": ", error)) from error
    return lens


def spelling_of(lens: Lens) -> SpelledLens:
    """Exact text of a lens.

    Raises:
        InputError: If its kind is none of ``LENSES``.
    """
    class_places = {f"{base.__module__}:{base.__name__}" for base in type(lens).__mro__}
    for name, row in LENSES.items():
        if f"{_PACKAGE}.{row.place}" in class_places:
            return SpelledLens(name=name, numbers=lens.spelled_numbers)
    raise InputError(
        f"files state lenses of the kinds {', '.join(LENSES)} only; this one is {lens.name}"
    )


def _shortest_text(number: float) -> str:
    return repr(int(number)) if float(number).is_integer() else repr(float(number))


def _check_angles(name: str, numbers: tuple[float, ...], option: str) -> None:
    limits = LENSES[name].angles
    if not 0 < len(numbers) <= len(limits):
        return
    for angle, limit in zip(numbers, limits, strict=False):
        if not 0 < angle <= limit:
            named_limits = zip(limits, _ANGLE_NAMES, strict=False)
            words = " and ".join(f"{limit:g} {angle_name}" for limit, angle_name in named_limits)
            problem = f": {name} sees up to {words}, got {angle:g}"
            raise OptionError(option=option, problem=problem)
