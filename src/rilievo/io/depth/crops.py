"""Rectangles of photographs in which depth maps lie, and the crops of published benchmarks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from rilievo.arrays.shapes import Shaped, Size
from rilievo.errors import InputError, OptionError, suggest

RESIZED = "resized"
"""Word for a map of the whole picture that was resized, its proportions kept up to rounding."""
STRETCHED = "stretched"
"""Word for a map of the whole picture that was resized to other proportions."""
CENTRE = "centre"
"""Word for a map of the middle of the picture, not resized."""
CROP_NAMES = ("nyu_eigen", "nyu_square", "kitti_garg", "kitti_eigen", "kitti_benchmark")
"""Names of published crops."""

_NYU_SIZE = (480, 640)
_KITTI_HEIGHTS, _KITTI_WIDTHS = range(370, 377), range(1224, 1243)
"""Sizes of KITTI's rectified pictures."""
_KITTI_BENCHMARK_SIZE = (352, 1216)


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthCrop:
    """Rectangle of a photograph in which a map lies, in its pixels."""

    top: int
    left: int
    height: int
    width: int

    @property
    def shape(self) -> Size:
        """(height, width)."""
        return self.height, self.width

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns."""
        return (
            slice(self.top, self.top + self.height),
            slice(self.left, self.left + self.width),
        )

    def __str__(self) -> str:
        return f"{self.top},{self.left},{self.height},{self.width}"

    @staticmethod
    def from_numbers(numbers: Sequence[object], option: str) -> "DepthCrop":
        """Make a crop of top, left, height and width.

        Raises:
            OptionError: If they are no rectangle; ``option`` is the name of the option.
        """
        integers = [number for number in numbers if isinstance(number, int)]
        are_four_integers = len(integers) == len(numbers) == 4
        if not are_four_integers or min(integers) < 0 or 0 in integers[2:]:
            raise OptionError(
                option=option,
                expected="TOP,LEFT,HEIGHT,WIDTH in pixels of the photograph, such as 45,41,426,560",
                problem=f"; got '{','.join(map(str, numbers))[:60]}'",
            )
        top, left, height, width = integers
        return DepthCrop(top=top, left=left, height=height, width=width)

    @staticmethod
    def parse(text: str, option: str = "crop") -> "DepthCrop":
        """Parse TOP,LEFT,HEIGHT,WIDTH."""
        parts = text.split(",")
        numbers = [int(part) if part.strip().isdecimal() else part for part in parts]
        return DepthCrop.from_numbers(numbers, option)

    def check_inside(self, shape: Size) -> None:
        """Raise ``InputError`` if the crop leaves a picture (height, width)."""
        if self.top + self.height > shape[0] or self.left + self.width > shape[1]:
            raise InputError(
                f"the crop {self} (top, left, height, width) leaves the picture of {shape[0]} x "
                f"{shape[1]} pixels (height x width)"
            )

    def paste_into_picture(
        self, values: Shaped[np.ndarray, "*c h w"], shape: Size, empty: float
    ) -> Shaped[np.ndarray, "*c a b"]:
        """Put a map of the crop into a picture that is ``empty`` elsewhere."""
        self.check_inside(shape)
        picture = np.full((*values.shape[:-2], *shape), empty, values.dtype)
        picture[(..., *self.slices)] = values
        return picture


StatedPlacement: TypeAlias = DepthCrop | str
"""What a user says: a rectangle, a word for the whole or the middle, or a known crop's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _RelativeCrop:
    """Crop in fractions of height and width, cut with ``int`` as programs of the literature do."""

    top: float
    bottom: float
    left: float
    right: float

    def of_picture(self, shape: Size) -> DepthCrop:
        top, bottom = int(self.top * shape[0]), int(self.bottom * shape[0])
        left, right = int(self.left * shape[1]), int(self.right * shape[1])
        return DepthCrop(top=top, left=left, height=bottom - top, width=right - left)


_KITTI_CROPS: Mapping[str, _RelativeCrop] = {
    "kitti_garg": _RelativeCrop(
        top=0.40810811, bottom=0.99189189, left=0.03594771, right=0.96405229
    ),
    "kitti_eigen": _RelativeCrop(
        top=0.3324324, bottom=0.91351351, left=0.0359477, right=0.96405229
    ),
}


def parse_placement(stated: str | Sequence[object], option: str = "crop") -> StatedPlacement:
    """Parse TOP,LEFT,HEIGHT,WIDTH, a word for the whole or the middle, or a known crop's name.

    Raises:
        OptionError: If it is none of these; ``option`` is the name of the option.
    """
    if not isinstance(stated, str):
        return DepthCrop.from_numbers(stated, option)
    word = stated.strip().lower().replace("-", "_")
    if word == "center":
        word = CENTRE
    words = (RESIZED, STRETCHED, CENTRE, *CROP_NAMES)
    if word in words:
        return word
    if "," in stated or not word.replace("_", "").isalpha():
        return DepthCrop.parse(stated, option)
    raise OptionError(
        option=option,
        problem=f"has no '{stated[:40]}'; {suggest(word, words)}",
        hint=(
            f"TOP,LEFT,HEIGHT,WIDTH is a part, '{RESIZED}' the whole picture in another size, "
            f"'{STRETCHED}' the same in other proportions, '{CENTRE}' its middle, and "
            f"{', '.join(CROP_NAMES)} are published crops"
        ),
    )


def whole_picture(picture: Size) -> DepthCrop:
    """Crop that is all of a picture (height, width)."""
    return DepthCrop(top=0, left=0, height=picture[0], width=picture[1])


def crop_of_name(name: str, shape: Size) -> DepthCrop:
    """Published crop of a picture (height, width).

    Eigen et al. 2014 (NYUv2, KITTI), Garg et al. 2016 (KITTI), the 480 x 480 pixels in the middle
    of NYUv2, and KITTI's benchmark of 352 x 1216 at the bottom and in the middle.

    Raises:
        InputError: If it is made for pictures of another size.
    """
    if name in _KITTI_CROPS:
        return _KITTI_CROPS[name].of_picture(shape)
    if name == "kitti_benchmark":
        height, width = _KITTI_BENCHMARK_SIZE
        if shape[0] < height or shape[1] < width:
            raise _wrong_size(name, shape, f"{height} x {width}", or_larger=" or larger")
        left = (shape[1] - width) // 2
        return DepthCrop(top=shape[0] - height, left=left, height=height, width=width)
    if shape != _NYU_SIZE:
        raise _wrong_size(name, shape, f"{_NYU_SIZE[0]} x {_NYU_SIZE[1]}")
    if name == "nyu_square":
        return DepthCrop(top=0, left=80, height=480, width=480)
    return DepthCrop(top=45, left=41, height=426, width=560)


def _wrong_size(name: str, shape: Size, expected: str, *, or_larger: str = "") -> InputError:
    """Error about a published crop that is made for pictures of another size."""
    return InputError(
        f"the crop '{name}' is made for images of {expected} pixels (height x "
        f"width){or_larger}, but this one has {shape[0]} x {shape[1]}"
    )


def known_crops(picture: Size) -> Mapping[str, DepthCrop]:
    """Published crops of a dataset whose pictures have this size, by name."""
    if picture == _NYU_SIZE:
        return {"nyu_eigen": crop_of_name("nyu_eigen", picture)}
    if picture[0] in _KITTI_HEIGHTS and picture[1] in _KITTI_WIDTHS:
        names = ("kitti_garg", "kitti_eigen", "kitti_benchmark")
        return {name: crop_of_name(name, picture) for name in names}
    return {}


def crops_of_size(size: Size, picture: Size) -> list[str]:
    """Names of the published crops, of any dataset, that have a size in a picture of another."""
    names = []
    for name in CROP_NAMES:
        try:
            crop = crop_of_name(name, picture)
        except InputError:
            continue
        if crop.shape == size:
            names.append(name)
    return names
