"""Lenses as texts: a name with numbers, such as ``fisheye:180``.

A text with all numbers is exact: ``fisheye:310.5,310.5,319.5,239.5@640x480``. The size of the
picture at its end may be missing.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module

from rilievo.errors import InputError, OptionError, suggest
from rilievo.errors.messages import Text, join_alternatives
from rilievo.geometry.cameras.lens import SAME_ASPECT, Lens

_MIN_EXACT_NUMBERS = 4
"""Least number of numbers that make a lens exact, whatever the picture's size."""
_ANGLE_NAMES = ("degrees across", "down")
_PACKAGE = __name__.rpartition(".")[0]
_MAX_TEXT_LENGTH = 1000
_PATTERN = r"([a-z]+)(?::([^@]*))?(?:@(\d{1,6})x(\d{1,6}))?"
"""Name, numbers, width and height."""
MAX_SIDE = 999_999
"""Longest side of a picture in a text [px]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LensKind:
    """A kind of lens, as the command line, the app and the documentation offer it.

    Attributes:
        class_path: Class, as ``module:Class`` of this package. It is imported when it is needed.
        number_counts: How many numbers may follow its name.
        max_angles: Largest angles [degrees] of one or two numbers, which are fields of view.
        guide: Spellings, each with an explanation.
        choice: Spelling that the app offers; empty for none.
        label: Name of that choice in the app.
    """

    class_path: str
    number_counts: tuple[int, ...]
    max_angles: tuple[float, ...] = ()
    guide: Mapping[str, str]
    choice: str = ""
    label: str = ""

    @property
    def module(self) -> str:
        """Module that has the class."""
        return f"{_PACKAGE}.{self.class_path.partition(':')[0]}"

    def load_class(self) -> type[Lens]:
        """Import the class of the lens."""
        name = self.class_path.partition(":")[2]
        lens_class: type[Lens] = getattr(import_module(self.module), name)
        return lens_class


LENSES: Mapping[str, LensKind] = {
    "pinhole": LensKind(
        class_path="lens:Pinhole",
        number_counts=(0, 1, 4),
        max_angles=(170,),
        guide={"pinhole": "an ordinary photograph, whatever its file says"},
        choice="pinhole",
        label="ordinary",
    ),
    "equirect": LensKind(
        class_path="equirectangular:Equirectangular",
        number_counts=(0, 1, 2, 4),
        max_angles=(360, 180),
        guide={
            "equirect": "a whole panorama, twice as wide as high",
            "equirect:180x90": "part of a panorama: degrees across and down, with the horizon in "
            "the middle; with one angle, as in `equirect:180`, the other follows from square "
            "pixels",
        },
        choice="equirect",
        label="panorama",
    ),
    "fisheye": LensKind(
        class_path="fisheye:Fisheye",
        number_counts=(1, 4, 8, 9),
        max_angles=(360,),
        guide={
            "fisheye:180": "equidistant fisheye, degrees from left edge to right edge",
            "fisheye:FX,FY,CX,CY,K1,K2,K3,K4": "fisheye with Kannala and Brandt's distortion, as "
            "in OpenCV's `fisheye`",
        },
        choice="fisheye:180",
        label="fisheye of 180°",
    ),
    "opencv": LensKind(
        class_path="distorted:Distorted",
        number_counts=(8, 9, 12),
        guide={
            "opencv:FX,FY,CX,CY,K1,K2,P1,P2": "perspective with distortion; `,K3` and `,K4,K5,K6` "
            "may follow"
        },
    ),
    "fov": LensKind(
        class_path="fov:Fov",
        number_counts=(5,),
        guide={
            "fov:FX,FY,CX,CY,W": "the FOV or ATAN model with one parameter in radians, as in "
            "COLMAP's `FOV`, PTAM, DSO, and TUM's monocular videos"
        },
    ),
}
"""Kinds of lenses. A new one is a file of this folder and an entry here."""


def list_spellings() -> str:
    """All ways to write a lens, as text for messages.

    It reads "pinhole, pinhole:DEGREES, ..., or KIND:FX,FY,CX,CY,... with the kind ...".
    """
    short_spellings: list[str] = []
    exact_names: list[str] = []
    for name, kind in LENSES.items():
        if 0 in kind.number_counts:
            short_spellings.append(name)
        if kind.max_angles:
            degrees = "x".join(["DEGREES"] * len(kind.max_angles))
            short_spellings.append(f"{name}:{degrees}")
        if max(kind.number_counts) >= _MIN_EXACT_NUMBERS:
            exact_names.append(name)
    return (
        f"{', '.join(short_spellings)}, or the numbers of a calibration as "
        f"KIND:FX,FY,CX,CY,COEFFICIENTS, where KIND is {join_alternatives(exact_names)}"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SpelledLens:
    """Lens as a text spells it; the size of a picture makes it exact.

    Attributes:
        name: Key in ``LENSES``.
        numbers: Angles [degrees], or fx, fy, cx, cy and coefficients.
        size: Height and width of the picture to which the numbers belong; None for any picture.
        aspect: Width over height of the pictures, if a file states that and no size.
        note: Sentence on what was selected or ignored when it was read from a file.
    """

    name: str
    numbers: tuple[float, ...] = ()
    size: tuple[int, int] | None = None
    aspect: float | None = None
    note: str | None = field(default=None, compare=False)

    def __str__(self) -> str:
        separator = "x" if len(self.numbers) == 2 else ","
        numbers = separator.join(shortest_text(number) for number in self.numbers)
        text = f"{self.name}:{numbers}" if numbers else self.name
        return text if self.size is None else f"{text}@{self.size[1]}x{self.size[0]}"

    @property
    def is_bare_pinhole(self) -> bool:
        """Whether it only says that a picture is neither a panorama nor a fisheye."""
        return self.name == "pinhole" and not self.numbers

    def lens(self, shape: tuple[int, int], picture: str = "the picture") -> Lens:
        """Make the lens of a picture of (height, width); ``picture`` names it in messages.

        Raises:
            InputError: If the numbers belong to pictures of other proportions.
        """
        self._check_aspect(shape, picture)
        lens_size = self.size or shape
        lens = LENSES[self.name].load_class().of_numbers(self.numbers, lens_size, picture)
        if lens_size == shape:
            return lens
        height, width = shape
        lens_height, lens_width = lens_size
        lens_aspect = lens_width / lens_height
        if abs(width / height / lens_aspect - 1) <= SAME_ASPECT:
            return lens.resized(size=lens_size, new_size=shape)
        is_turned = abs(height / width / lens_aspect - 1) <= SAME_ASPECT
        if is_turned:
            raise InputError(
                f"{picture}: is {width}x{height} when upright, but the lens is calibrated "
                f"for {lens_width}x{lens_height}: give the numbers for the upright photograph, in "
                "which fx and fy are swapped and the principal point cx,cy is rotated"
            )
        raise InputError(
            f"{picture}: is {width}x{height}, but the lens is calibrated for "
            f"{lens_width}x{lens_height}, which has a different aspect ratio: calibrate the lens "
            "for pictures of this aspect ratio"
        )

    def _check_aspect(self, shape: tuple[int, int], picture: str) -> None:
        """Raise ``InputError`` if a file states the aspect of other pictures."""
        picture_aspect = shape[1] / shape[0]
        if self.aspect is None or abs(picture_aspect / self.aspect - 1) <= SAME_ASPECT:
            return
        raise InputError(
            f"{picture}: is {shape[1]}x{shape[0]}, which is an aspect ratio of "
            f"{picture_aspect:.4g}, but the camera file is for pictures with an aspect ratio of "
            f"{self.aspect:.4g}: give the angle from the left to the right edge of this picture "
            "as pinhole:DEGREES"
        )


def read_spelling(text: str, option: str = "projection") -> SpelledLens:
    """Parse the spelling of a lens that was given to an option, or raise ``OptionError``."""
    if len(text) > _MAX_TEXT_LENGTH:
        raise _spelling_error(option, f"{len(text):,} characters")
    match = re.fullmatch(_PATTERN, text.strip().lower())
    if match is None:
        raise _spelling_error(option, f"'{text}'")
    name, number_text, width, height = match.groups()
    if name not in LENSES:
        suggestion = suggest(name, LENSES)
        # The other answer of ``suggest`` is a list of the kinds, which the message has already.
        is_useful = "did you mean" in suggestion
        raise _spelling_error(option, f"'{text}'; {suggestion}" if is_useful else f"'{text}'")
    try:
        numbers = _parse_numbers(number_text or "", LENSES[name])
    except ValueError as error:
        raise _spelling_error(option, f"'{text}' ({error})") from error
    number_counts = LENSES[name].number_counts
    if len(numbers) not in number_counts:
        counts = join_alternatives(map(str, number_counts))
        problem = f": {name} needs {counts} numbers, got {len(numbers)} in '{text}'"
        raise OptionError(option=option, problem=problem)
    size = None if width is None else (int(height), int(width))
    if size is not None and 0 in size:
        problem = f": the width and the height of the picture must be positive, got '{text}'"
        raise OptionError(option=option, problem=problem)

    _check_angles(name, numbers, option)
    spelled_lens = SpelledLens(name=name, numbers=numbers, size=size)
    is_exact = len(numbers) >= _MIN_EXACT_NUMBERS
    if is_exact:
        # Making the lens checks its numbers, for which any size of the picture will do.
        try:
            spelled_lens.lens(size or (2, 2))
        except InputError as error:
            raise OptionError(option=option, problem=Text(": ", error)) from error
    return spelled_lens


def _spelling_error(option: str, given: str) -> OptionError:
    """Error for a text that spells no lens; ``given`` says what was given in its place."""
    return OptionError(option=option, problem=f"must be {list_spellings()}; got {given}")


def _parse_numbers(text: str, kind: LensKind) -> tuple[float, ...]:
    """Parse the numbers after the name of a lens; raise ``ValueError`` if one is no number."""
    if not text:
        return ()
    # Two angles are separated by x, as in "equirect:180x90".
    has_two_angles = len(kind.max_angles) == 2 and "," not in text
    return tuple(map(float, text.split("x" if has_two_angles else ",")))


def spell_lens(lens: Lens) -> SpelledLens:
    """Make the exact spelling of a lens; raise ``InputError`` if its kind is none of ``LENSES``."""
    # Names are compared, so that the modules of other lenses need not be imported.
    class_paths = {f"{base.__module__}:{base.__name__}" for base in type(lens).__mro__}
    for name, kind in LENSES.items():
        if f"{_PACKAGE}.{kind.class_path}" in class_paths:
            return SpelledLens(name=name, numbers=lens.spelled_numbers)
    raise InputError(
        f"files can only contain lenses of the kinds {', '.join(LENSES)}; this one is of the kind "
        f"'{lens.name}'"
    )


def shortest_text(number: float) -> str:
    """Write a number without rounding, and an integer without ``.0``."""
    return repr(int(number)) if float(number).is_integer() else repr(float(number))


def _check_angles(name: str, numbers: tuple[float, ...], option: str) -> None:
    """Raise ``OptionError`` if the numbers are fields of view that the lens cannot have."""
    max_angles = LENSES[name].max_angles
    are_angles = 0 < len(numbers) <= len(max_angles)  # Longer lists are intrinsics.
    if not are_angles:
        return
    for angle, max_angle in zip(numbers, max_angles, strict=False):
        if angle <= 0:
            raise OptionError(option=option, problem=f": an angle must be positive, got {angle:g}")
        if not angle <= max_angle:
            named_limits = zip(max_angles, _ANGLE_NAMES, strict=False)
            limits = " and ".join(f"{limit:g} {angle_name}" for limit, angle_name in named_limits)
            problem = f": {name} can see up to {limits}, got {angle:g}"
            raise OptionError(option=option, problem=problem)
