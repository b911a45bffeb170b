"""Spelling of lenses in text: the same on the command line, in requests, files, JSON.

A text is a name with numbers: ``fisheye:180``, or exactly ``fisheye:310.5,310.5,319.5,239.5``. Only
the picture's size makes a lens of the former. ``@640x480`` at the end says for which size (width,
height) the numbers hold; for a picture of another one they are scaled.

Lenses other than a pinhole are imported where they are made: most photographs need none.
"""

import re
from collections.abc import Mapping

import numpy as np

from rilievo.errors import InputError, OptionError, suggest
from rilievo.frozen import frozen
from rilievo.geometry.cameras.lens import Lens, Pinhole
from rilievo.geometry.intrinsics import pinhole_K
from rilievo.messages import literal, template

FORMS = (
    "pinhole, equirect, equirect:DEGREESxDEGREES, fisheye:DEGREES, or exactly pinhole:, equirect:, "
    "fisheye:, opencv: or fov: with FX,FY,CX,CY and coefficients"
)
_COUNTS: Mapping[str, tuple[int, ...]] = {
    "pinhole": (0, 4),
    "equirect": (0, 1, 2, 4),
    "fisheye": (1, 4, 8, 9),
    "opencv": (8, 9, 12),
    "fov": (5,),
}
"""Numbers that may follow a name."""
_LONGEST = 1000
_TEXT = re.compile(r"([a-z]+)(?::([^@]*))?(?:@(\d{1,6})x(\d{1,6}))?")
MOST_SIDE = 999_999
"""Longest side of a picture that a text can name [px]."""
_SAME_ASPECT = 0.02
"""Relative difference of aspect ratios up to which a picture counts as resized, not cropped."""


@frozen
class SpelledLens:
    """A lens in words, which a picture's size makes exact.

    Attributes:
        name: "pinhole", "equirect", "fisheye", "opencv" or "fov".
        numbers: Angles [degrees], or fx, fy, cx, cy and coefficients.
        size: (height, width) of pictures that the numbers are for; None for those of any size.
    """

    name: str
    numbers: tuple[float, ...] = ()
    size: tuple[int, int] | None = None

    def __str__(self) -> str:
        """The text that ``spelled`` reads."""
        numbers = ",".join(_shortest(each) for each in self.numbers)
        if self.name == "equirect" and len(self.numbers) == 2:
            numbers = numbers.replace(",", "x")
        size = "" if self.size is None else f"@{self.size[1]}x{self.size[0]}"
        return f"{self.name}{':' if numbers else ''}{numbers}{size}"

    @property
    def is_plain(self) -> bool:
        """Whether it says no more than that a picture is no panorama."""
        return self.name == "pinhole" and not self.numbers

    def lens(self, shape: tuple[int, int], picture: str = "the picture") -> Lens:
        """Lens of a picture (height, width).

        Raises:
            InputError: If the numbers are for pictures of another shape.
        """
        size = self.size or shape
        found = self._made(size, picture)
        if size == shape:
            return found
        aspects = (shape[1] / shape[0]) / (size[1] / size[0])
        if abs(aspects - 1) > _SAME_ASPECT:
            raise InputError(
                f"{picture}: is {shape[1]}x{shape[0]}, but the lens is calibrated for "
                f"{size[1]}x{size[0]}, of another shape: calibrate it for these pictures"
            )
        return found.resized(size=size, new_size=shape)

    def _made(self, size: tuple[int, int], picture: str) -> Lens:
        if self.name == "pinhole":
            fx, fy, cx, cy = self.numbers
            return Pinhole(pinhole_K(fx, fy, cx, cy))
        if self.name == "equirect":
            return _equirect(self.numbers, size, picture)
        if self.name == "fov":
            from rilievo.geometry.cameras.fov import Fov

            return Fov(*self.numbers)
        return (_fisheye if self.name == "fisheye" else _opencv)(self.numbers, size)


def spelled(text: str, option: str = "projection") -> SpelledLens:
    """Read the text of a lens.

    Raises:
        OptionError: If it is none, with the name of the option that has it.
    """
    if len(text) > _LONGEST:
        raise OptionError(option=option, problem=f"is {FORMS}; got {len(text):,} characters")
    match = _TEXT.fullmatch(text.strip().lower())
    if match is None or match[1] not in _COUNTS:
        hint = "" if match is None else f"; {suggest(match[1], _COUNTS)}"
        raise OptionError(option=option, problem=f"is {FORMS}; got '{literal(text)}'{hint}")
    name, words, width, height = match.groups()
    separator = "x" if name == "equirect" and "," not in (words or "") else ","
    try:
        numbers = tuple(float(word) for word in words.split(separator)) if words else ()
    except ValueError as error:
        raise OptionError(
            option=option, problem=f"is {FORMS}; got '{literal(text)}' ({error})"
        ) from error
    if len(numbers) not in _COUNTS[name]:
        counts = " or ".join(map(str, _COUNTS[name]))
        problem = f": {name} has {counts} numbers, got {len(numbers)} in '{literal(text)}'"
        raise OptionError(option=option, problem=problem)
    size = None if width is None else (int(height), int(width))
    if size is not None and 0 in size:
        problem = f": the sides of a picture are positive, got '{text}'"
        raise OptionError(option=option, problem=problem)
    _check_angles(name, numbers, option)
    found = SpelledLens(name=name, numbers=numbers, size=size)
    if len(numbers) >= 4:
        try:
            found.lens(size or (2, 2))
        except InputError as error:
            raise OptionError(option=option, problem=f": {template(error)}") from error
    return found


def spelling_of(lens: Lens) -> SpelledLens:
    """Spell a lens exactly.

    Raises:
        InputError: If it is none of rilievo's own.
    """
    if isinstance(lens, Pinhole):
        return SpelledLens(name="pinhole", numbers=lens.numbers)
    from rilievo.geometry.cameras.distorted import Distorted
    from rilievo.geometry.cameras.equirectangular import Equirectangular
    from rilievo.geometry.cameras.fisheye import Fisheye
    from rilievo.geometry.cameras.fov import Fov

    if isinstance(lens, Equirectangular):
        return SpelledLens(name="equirect", numbers=lens.numbers)
    if isinstance(lens, Fisheye):
        numbers = (*lens.numbers, *lens.k, float(np.degrees(lens.limit)))
        return SpelledLens(name="fisheye", numbers=numbers)
    if isinstance(lens, Fov):
        numbers = (*lens.numbers, lens.omega)
        return SpelledLens(name="fov", numbers=numbers)
    if isinstance(lens, Distorted):
        k1, k2, k3, *rest = lens.k
        numbers = (*lens.numbers, k1, k2, *lens.p, k3, *rest)
        return SpelledLens(name="opencv", numbers=numbers)
    raise InputError(
        f"files state lenses of the kinds {', '.join(_COUNTS)} only; this one is {lens.name}"
    )


def _shortest(number: float) -> str:
    return repr(int(number)) if float(number).is_integer() else repr(float(number))


def _check_angles(name: str, numbers: tuple[float, ...], option: str) -> None:
    """Refuse angles that no lens sees."""
    if len(numbers) > 2 or not numbers:
        return
    most = (360.0, 180.0) if name == "equirect" else (360.0,)
    what = "across and 180 down" if name == "equirect" else "across"
    for angle, limit in zip(numbers, most, strict=False):
        if not 0 < angle <= limit:
            problem = f": {name} sees up to 360 degrees {what}, got {angle:g}"
            raise OptionError(option=option, problem=problem)


def _equirect(numbers: tuple[float, ...], size: tuple[int, int], picture: str) -> Lens:
    from rilievo.geometry.cameras.equirectangular import Equirectangular, panorama

    if len(numbers) == 4:
        return Equirectangular(*numbers)
    height, width = size
    if len(numbers) == 2:
        return panorama(size, horizontal=numbers[0], vertical=numbers[1])
    across = numbers[0] if numbers else 360.0
    down = across * height / width
    if not numbers and abs(down / 180 - 1) > _SAME_ASPECT:
        part = (360.0, down) if down < 180 else (360 * 180 / down, 180.0)
        raise InputError(
            f"is {width}x{height}, but a whole panorama is twice as wide as high",
            path=picture,
            hint=(
                "of a part give the degrees, with square pixels "
                f"{{projection=equirect:{part[0]:.4g}x{part[1]:.4g}}}"
            ),
        )
    if down > 180 * (1 + _SAME_ASPECT):
        raise InputError(
            f"{picture}: is {width}x{height}, so that equirect:{across:g} would see {down:.4g} "
            "degrees down; give both angles, such as equirect:180x180"
        )
    return panorama(size, horizontal=across, vertical=min(down, 180.0))


def _fisheye(numbers: tuple[float, ...], size: tuple[int, int]) -> Lens:
    from rilievo.geometry.cameras.fisheye import Fisheye, fisheye_of

    if len(numbers) == 1:
        return fisheye_of(size, numbers[0])
    fx, fy, cx, cy, *rest = numbers
    k1, k2, k3, k4, limit = (*rest, *(0.0, 0.0, 0.0, 0.0, 180.0)[len(rest) :])
    return Fisheye(fx=fx, fy=fy, cx=cx, cy=cy, k=(k1, k2, k3, k4), limit=np.radians(limit))


def _opencv(numbers: tuple[float, ...], size: tuple[int, int]) -> Lens:
    from rilievo.geometry.cameras.distorted import Distorted

    fx, fy, cx, cy, k1, k2, p1, p2, *rest = numbers
    k3, k4, k5, k6 = (*rest, 0.0, 0.0, 0.0, 0.0)[:4]
    return Distorted(fx=fx, fy=fy, cx=cx, cy=cy, k=(k1, k2, k3, k4, k5, k6), p=(p1, p2))
