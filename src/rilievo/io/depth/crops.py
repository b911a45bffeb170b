"""Rectangles of photographs in which depth maps lie, and the crops of published benchmarks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from rilievo.arrays.shapes import Shaped, Size
from rilievo.errors import InputError, OptionError

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
        return (slice(self.top, self.top + self.height), slice(self.left, self.left + self.width))

    def __str__(self) -> str:
        return f"{self.top},{self.left},{self.height},{self.width}"

    @staticmethod
    def from_numbers(numbers: Sequence[object], option: str) -> "DepthCrop":
        """Make a crop from top, left, height and width.

        ``numbers`` come from the user and may be anything; ``option`` names the option in messages.

        Raises:
            OptionError: If they are not four integers that make a rectangle.
        """
        integers = [number for number in numbers if isinstance(number, int)]
        are_four_integers = len(integers) == len(numbers) == 4
        if not are_four_integers or min(integers) < 0 or 0 in integers[2:]:
            raise OptionError(
                option=option,
                expected="TOP,LEFT,HEIGHT,WIDTH in pixels of the photograph, such as 45,41,426,560",
                value=",".join(map(str, numbers))[:60],
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
                f"the crop {self} (top, left, height, width) extends beyond the image of "
                f"{shape[0]} x {shape[1]} pixels (height x width)"
            )

    def paste_into_picture(
        self, values: Shaped[np.ndarray, "*c h w"], shape: Size, empty: float
    ) -> Shaped[np.ndarray, "*c a b"]:
        """Put a map of the crop into a picture whose other pixels are ``empty``."""
        self.check_inside(shape)
        picture = np.full((*values.shape[:-2], *shape), empty, values.dtype)
        picture[(..., *self.slices)] = values
        return picture


RequestedPlacement: TypeAlias = DepthCrop | str
"""Where a user says that a map lies: a rectangle, ``RESIZED``, ``STRETCHED``, ``CENTRE``, or the
name of a published crop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _RelativeCrop:
    """Borders of a crop: top and bottom over the height, left and right over the width."""

    top: float
    bottom: float
    left: float
    right: float

    def in_picture(self, shape: Size) -> DepthCrop:
        """Return the crop of a picture (height, width).

        Borders are truncated to whole pixels, as the papers' programs do.
        """
        height, width = shape
        rows = range(int(self.top * height), int(self.bottom * height))
        columns = range(int(self.left * width), int(self.right * width))
        return DepthCrop(top=rows.start, left=columns.start, height=len(rows), width=len(columns))


_KITTI_CROPS = {
    "kitti_garg": _RelativeCrop(
        top=0.40810811, bottom=0.99189189, left=0.03594771, right=0.96405229
    ),
    "kitti_eigen": _RelativeCrop(
        top=0.3324324, bottom=0.91351351, left=0.0359477, right=0.96405229
    ),
}


def parse_placement(placement: str | Sequence[object], option: str = "crop") -> RequestedPlacement:
    """Parse where a map lies: TOP,LEFT,HEIGHT,WIDTH, or one of the words for a placement.

    ``placement`` is a text, or four numbers from YAML; ``option`` names the option in messages.

    Raises:
        OptionError: If it is none of these.
    """
    if not isinstance(placement, str):
        return DepthCrop.from_numbers(placement, option)
    word = placement.strip().lower().replace("-", "_")
    if word == "center":
        word = CENTRE
    words = (RESIZED, STRETCHED, CENTRE, *CROP_NAMES)
    if word in words:
        return word
    if "," in placement or not word.replace("_", "").isalpha():
        return DepthCrop.parse(placement, option)
    raise OptionError(
        option=option,
        problem=f"does not accept '{placement[:40]}'",
        hint=(
            "use TOP,LEFT,HEIGHT,WIDTH if the map covers a part of the image, "
            f"'{RESIZED}' if it covers the whole image in another size, '{STRETCHED}' if it covers "
            f"the whole image in other proportions, '{CENTRE}' if it was cut out of the centre, or "
            f"one of the published crops {', '.join(CROP_NAMES)}"
        ),
    )


def whole_picture(picture: Size) -> DepthCrop:
    """Return the crop that covers a whole picture (height, width)."""
    return DepthCrop(top=0, left=0, height=picture[0], width=picture[1])


def published_crop(name: str, shape: Size) -> DepthCrop:
    """Return a published crop of a picture (height, width) by its name.

    These are the crops of Eigen et al. 2014 (NYUv2, KITTI) and Garg et al. 2016 (KITTI), the
    central 480 x 480 pixels of NYUv2, and KITTI's benchmark of 352 x 1216 at the bottom centre.

    Raises:
        InputError: If the crop is made for pictures of another size.
    """
    height, width = shape
    if name in _KITTI_CROPS:
        return _KITTI_CROPS[name].in_picture(shape)
    if name == "kitti_benchmark":
        crop_height, crop_width = _KITTI_BENCHMARK_SIZE
        if height < crop_height or width < crop_width:
            raise _wrong_size_error(name, shape, _KITTI_BENCHMARK_SIZE, or_larger=" or larger")
        left = (width - crop_width) // 2
        return DepthCrop(top=height - crop_height, left=left, height=crop_height, width=crop_width)
    if shape != _NYU_SIZE:
        raise _wrong_size_error(name, shape, _NYU_SIZE)
    if name == "nyu_square":
        return DepthCrop(top=0, left=80, height=480, width=480)
    return DepthCrop(top=45, left=41, height=426, width=560)


def _wrong_size_error(name: str, shape: Size, expected: Size, *, or_larger: str = "") -> InputError:
    """Return the error for a published crop that is made for pictures of another size."""
    return InputError(
        f"the crop '{name}' is for images of {expected[0]} x {expected[1]} pixels (height x "
        f"width){or_larger}, but this image is {shape[0]} x {shape[1]}"
    )


def known_crops(picture: Size) -> Mapping[str, DepthCrop]:
    """Return the published crops of the dataset whose pictures have this size, by name."""
    if picture == _NYU_SIZE:
        return {"nyu_eigen": published_crop("nyu_eigen", picture)}
    if picture[0] in _KITTI_HEIGHTS and picture[1] in _KITTI_WIDTHS:
        names = ("kitti_garg", "kitti_eigen", "kitti_benchmark")
        return {name: published_crop(name, picture) for name in names}
    return {}


def published_crops_with_size(size: Size, picture: Size) -> list[str]:
    """List the published crops, of any dataset, that have a given size in a picture.

    Both sizes are (height, width).
    """
    names = []
    for name in CROP_NAMES:
        try:
            crop = published_crop(name, picture)
        except InputError:
            continue
        if crop.shape == size:
            names.append(name)
    return names
