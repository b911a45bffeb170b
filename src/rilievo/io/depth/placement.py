"""Where a map lies in its picture: all of it, a multiple, a known crop, or as the user says.

One rule serves ground truth, predictions of other programs, depth at hand and sparse depth. A map
has the picture's size; or one side is a whole multiple of the other, alike in both axes; or it has
the size of one known crop of a published dataset, and of only one. Everything else is refused,
because equal proportions prove nothing: 400 x 534 may be a part of 480 x 640, or all of it after a
network rounded the sides. The user then says which.

What the user says is checked, too. A map that is as large as the whole picture is no map of a part;
a map that lies where the picture stands is turned by 90 degrees; and a map whose proportions differ
by more than a network's rounding explains was not only resized.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from rilievo.arrays.shapes import AnyPlane, Field, Mask, Shaped, Size
from rilievo.errors import InputError, OptionError, suggest
from rilievo.errors.messages import OptionName, Text
from rilievo.io.depth.padding import find_border_bands

RESIZED = "resized"
"""Word for a map of the whole picture that was resized, its proportions kept up to rounding."""
STRETCHED = "stretched"
"""Word for a map of the whole picture that was resized to other proportions."""
CENTRE = "centre"
"""Word for a map of the middle of the picture, not resized."""

# Networks round sides to multiples of 8 to 64.
_SMALLEST_STEP, _LARGEST_STEP = 8, 64
# Largest relative difference in proportions of a map that was resized, of any size.
_PROPORTIONS = 0.04
# The same where a network rounded the sides of a small map to multiples of at most 32.
_PROPORTIONS_OF_ROUNDED = 0.1
_USUAL_STEP = 32
# Larger differences in proportions are said.
_NOTED_PROPORTIONS = 0.02
# How a map that lies as the sensor stored it becomes upright, by EXIF's orientation.
_UPRIGHT_BY_NUMPY: Mapping[int, str] = {
    2: "depth[:, ::-1]",
    3: "numpy.rot90(depth, 2)",
    4: "depth[::-1]",
    5: "depth.T",
    6: "numpy.rot90(depth, -1)",
    7: "numpy.rot90(depth, 2).T",
    8: "numpy.rot90(depth)",
}
_FIRST_ON_ITS_SIDE = 5  # EXIF's orientations from here on turn by 90 degrees.
# A picture whose sides differ less is taken for a square, which neither stands nor lies.
_SQUARE = 1.05
# Networks pad sides, or round them up, to multiples of these.
_PADDING_STEPS = (8, 14, 16, 32, 64)
# Steps of padding that bands at the border of a map are compared with.
_BAND_STEPS = (14, 16, 32)
# Least share of a smaller picture that the middle cut out of it has, in each axis.
_LEAST_MIDDLE = 0.85
_FRACTIONS = {2: "half of", 3: "a third of", 4: "a quarter of"}
# Depth of neighbours on one surface differs less; a mean across an edge lies on no surface.
_SAME_SURFACE = 1.1


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthCrop:
    """Rectangle of a photograph in which a map lies."""

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
        """Make a crop of top, left, height and width."""
        whole = [number for number in numbers if isinstance(number, int)]
        if len(whole) != len(numbers) or len(whole) != 4 or min(whole) < 0 or 0 in whole[2:]:
            raise OptionError(
                option=option,
                expected="TOP,LEFT,HEIGHT,WIDTH in pixels of the photograph, such as 45,41,426,560",
                problem=f"; got '{','.join(map(str, numbers))[:60]}'",
            )
        top, left, height, width = whole
        return DepthCrop(top=top, left=left, height=height, width=width)

    @staticmethod
    def parse(text: str, option: str = "crop") -> "DepthCrop":
        """Parse TOP,LEFT,HEIGHT,WIDTH."""
        parts = text.split(",")
        numbers = [int(part) if part.strip().isdecimal() else part for part in parts]
        return DepthCrop.from_numbers(numbers, option)

    def check_inside(self, shape: Size) -> None:
        """Refuse a crop that leaves a picture (height, width)."""
        if self.top + self.height > shape[0] or self.left + self.width > shape[1]:
            raise InputError(
                f"the crop {self} (top, left, height, width) leaves the picture of {shape[0]} x "
                f"{shape[1]} pixels (height x width)"
            )

    def paste_into_picture(
        self, values: Shaped[np.ndarray, "*c h w"], shape: Size, empty: float
    ) -> Shaped[np.ndarray, "*c a b"]:
        """Put a map into a picture that is ``empty`` elsewhere."""
        self.check_inside(shape)
        whole = np.full((*values.shape[:-2], *shape), empty, values.dtype)
        whole[(..., *self.slices)] = values
        return whole


StatedPlacement: TypeAlias = DepthCrop | str
"""What a user says: a rectangle, a word for the whole or the middle, or a known crop's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _CropShares:
    """Sides as shares of height and width, cut with ``int`` as programs of the literature do."""

    top: float
    bottom: float
    left: float
    right: float

    def of_picture(self, shape: Size) -> DepthCrop:
        top, bottom = int(self.top * shape[0]), int(self.bottom * shape[0])
        left, right = int(self.left * shape[1]), int(self.right * shape[1])
        return DepthCrop(top=top, left=left, height=bottom - top, width=right - left)


_NYU_SIZE = (480, 640)
# The sizes of KITTI's rectified pictures are 370 to 376 x 1224 to 1242.
_KITTI_HEIGHTS, _KITTI_WIDTHS = range(370, 377), range(1224, 1243)
_KITTI_BENCHMARK_SIZE = (352, 1216)
_KITTI_SHARES: Mapping[str, _CropShares] = {
    "kitti_garg": _CropShares(top=0.40810811, bottom=0.99189189, left=0.03594771, right=0.96405229),
    "kitti_eigen": _CropShares(top=0.3324324, bottom=0.91351351, left=0.0359477, right=0.96405229),
}
CROP_NAMES = ("nyu_eigen", "nyu_square", "kitti_garg", "kitti_eigen", "kitti_benchmark")
"""Names of published crops."""


def crop_of_name(name: str, shape: Size) -> DepthCrop:
    """Published crop of a picture (height, width).

    Eigen et al. 2014 (NYUv2, KITTI), Garg et al. 2016 (KITTI), the 480 x 480 pixels in the middle
    of NYUv2, and KITTI's benchmark of 352 x 1216 at the bottom and in the middle.

    Raises:
        InputError: If it is made for pictures of another size.
    """
    if name in _KITTI_SHARES:
        return _KITTI_SHARES[name].of_picture(shape)
    if name == "kitti_benchmark":
        height, width = _KITTI_BENCHMARK_SIZE
        fits = shape[0] >= height and shape[1] >= width
        _refuse_other_size(name, shape, _KITTI_BENCHMARK_SIZE, fits=fits, or_larger=" or larger")
        left = (shape[1] - width) // 2
        return DepthCrop(top=shape[0] - height, left=left, height=height, width=width)
    _refuse_other_size(name, shape, _NYU_SIZE, fits=shape == _NYU_SIZE)
    if name == "nyu_square":
        return DepthCrop(top=0, left=80, height=480, width=480)
    return DepthCrop(top=45, left=41, height=426, width=560)


def _refuse_other_size(
    name: str, shape: Size, size: Size, *, fits: bool, or_larger: str = ""
) -> None:
    if not fits:
        raise InputError(
            f"the crop '{name}' is made for images of {size[0]} x {size[1]} pixels (height x "
            f"width){or_larger}, but this one has {shape[0]} x {shape[1]}"
        )


def parse_placement(stated: str | Sequence[object], option: str = "crop") -> StatedPlacement:
    """Parse TOP,LEFT,HEIGHT,WIDTH, a word for the whole or the middle, or a known crop's name."""
    if not isinstance(stated, str):
        return DepthCrop.from_numbers(stated, option)
    word = stated.strip().lower().replace("-", "_")
    word = CENTRE if word == "center" else word
    names = (RESIZED, STRETCHED, CENTRE, *CROP_NAMES)
    if word in names:
        return word
    if "," in stated or not word.replace("_", "").isalpha():
        return DepthCrop.parse(stated, option)
    raise OptionError(
        option=option, problem=f"has no '{stated[:40]}'; {suggest(word, names)}", hint=_FORMS
    )


_FORMS = (
    f"TOP,LEFT,HEIGHT,WIDTH is a part, '{RESIZED}' the whole picture in another size, "
    f"'{STRETCHED}' the same in other proportions, '{CENTRE}' its middle, and "
    f"{', '.join(CROP_NAMES)} are published crops"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MapPlacement:
    """Rectangle of the picture that a map fills, and sentences on what was taken for granted.

    The map was resized if its size differs from ``crop.shape``.
    """

    crop: DepthCrop
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementWords:
    """Words of messages about a map's place.

    Attributes:
        map: The map, such as "the prediction".
        picture: What it lies in, such as "the truth".
        option: Name of the option that says where it lies.
        file: Name of the data's file with the line ``crop:``, in place of an option.
    """

    map: str
    picture: str
    option: str = "crop"
    file: str | None = None

    def choice(self, value: str) -> "Text":
        """Option with a value, or the line of the data's file."""
        if self.file is None:
            return Text(OptionName(self.option, value))
        return Text(f"'crop: {f'[{value}]' if ',' in value else value}' in {self.file}")

    @property
    def without_choice(self) -> "Text":
        """Advice to leave the option or the line out."""
        if self.file is None:
            return Text("leave ", OptionName(self.option), " out")
        return Text(f"leave 'crop' in {self.file} out")


def place_map(
    size: Size,
    picture: Size,
    stated: StatedPlacement | None,
    words: PlacementWords,
    *,
    known: Mapping[str, DepthCrop] | None = None,
    orientation: int = 1,
    values: AnyPlane | None = None,
) -> MapPlacement:
    """Find where a map of a size lies in a picture of another.

    Args:
        size: (height, width) of the map.
        picture: (height, width) of the picture.
        stated: What the user says, or None.
        words: Words of messages.
        known: Known crops by name; by default those of datasets that have pictures of this size.
        orientation: EXIF's orientation by which the picture was made upright; 1 changes nothing.
        values: Numbers of the map, 0 or not finite where it has none; padding is noticed by them.

    Raises:
        InputError: If nothing says where it lies, or what is said does not fit.
    """
    place = _place_in_upright_picture(size, picture, stated, words, known, orientation)
    is_part = place.crop.shape != picture
    if values is not None and not is_part and stated != STRETCHED:
        place = replace(place, notes=(*place.notes, *_padding_notes(values, picture, words)))
    note = orientation_note(orientation, size, words, is_part=is_part)
    return place if note is None else replace(place, notes=(*place.notes, note))


def orientation_note(
    orientation: int, size: Size, words: PlacementWords, *, is_part: bool = False
) -> str | None:
    """Sentence on a map that is taken as upright, where its size does not prove that it is.

    Args:
        orientation: EXIF's orientation of the picture, 1 to 8.
        size: (height, width) of the map.
        words: Words of messages.
        is_part: Whether it is of a part of the picture, which may stand or lie.
    """
    if orientation not in _UPRIGHT_BY_NUMPY:
        return None
    is_square = max(size) < _SQUARE * min(size)
    if orientation >= _FIRST_ON_ITS_SIDE and not (is_square or is_part):
        return None  # What is turned by 90 degrees does not fit.
    return (
        f"EXIF turns {words.picture} (orientation {orientation}), and {words.map} is taken as "
        "upright; if it lies as the sensor stored it, make it upright first, such as by "
        f"{_UPRIGHT_BY_NUMPY[orientation]}"
    )


def _place_in_upright_picture(
    size: Size,
    picture: Size,
    stated: StatedPlacement | None,
    words: PlacementWords,
    known: Mapping[str, DepthCrop] | None,
    orientation: int,
) -> MapPlacement:
    if stated is not None:
        return _stated_place(size, picture, stated, words, orientation)
    whole = DepthCrop(top=0, left=0, height=picture[0], width=picture[1])
    if size == picture:
        return MapPlacement(crop=whole)
    multiple = _multiple_in_words(size, picture)
    if multiple is not None:
        note = (
            f"{words.map} is {size_words(size)}, {multiple} {words.picture}'s "
            f"{size_words(picture)}, and was resized as a map of all of it, which is wrong if it "
            "is of a part"
        )
        return MapPlacement(crop=whole, notes=(note,))
    known = known_crops(picture) if known is None else known
    fitting = {name: crop for name, crop in known.items() if crop.shape == size}
    # 352 x 1216 is KITTI's benchmark, and 375 x 1242 rounded down to multiples of 32.
    is_sure = len({str(crop) for crop in fitting.values()}) == 1 and not _may_be_rounded(
        size, picture
    )
    if is_sure:
        name, crop = next(iter(fitting.items()))
        note = (
            f"{words.map} is of the crop '{name}' alone ({size_words(size)}), and was put there: "
            f"{crop} (top, left, height, width), which is wrong if it is all of {words.picture}"
        )
        return MapPlacement(crop=crop, notes=(note,))
    raise _unknown_place(size, picture, fitting, words, orientation)


def known_crops(picture: Size) -> Mapping[str, DepthCrop]:
    """Published crops of a dataset whose pictures have this size, by name."""
    if picture == _NYU_SIZE:
        return {"nyu_eigen": crop_of_name("nyu_eigen", picture)}
    if picture[0] in _KITTI_HEIGHTS and picture[1] in _KITTI_WIDTHS:
        names = ("kitti_garg", "kitti_eigen", "kitti_benchmark")
        return {name: crop_of_name(name, picture) for name in names}
    return {}


def has_size_or_multiple(size: Size, picture: Size) -> bool:
    """Whether a map has the picture's size, or one is a whole multiple of the other."""
    return size == picture or _multiple_in_words(size, picture) is not None


def size_words(size: Size) -> str:
    """Text such as "480 x 640", height first."""
    return f"{size[0]} x {size[1]}"


def _stated_place(
    size: Size, picture: Size, stated: StatedPlacement, words: PlacementWords, orientation: int
) -> MapPlacement:
    if stated in (RESIZED, STRETCHED):
        if _is_turned(size, picture):
            raise _turned_map(size, picture, words, orientation)
        return _place_of_whole(size, picture, words, is_stretched=stated == STRETCHED)
    if stated == CENTRE:
        crop = DepthCrop(
            top=(picture[0] - size[0]) // 2,
            left=(picture[1] - size[1]) // 2,
            height=size[0],
            width=size[1],
        )
        if min(crop.top, crop.left) < 0:
            raise InputError(
                f"{words.map} is {size_words(size)} (height x width), which is no part of "
                f"{words.picture}'s {size_words(picture)}"
            )
        return MapPlacement(crop=crop)
    crop = crop_of_name(stated, picture) if isinstance(stated, str) else stated
    crop.check_inside(picture)
    if crop.shape == size:
        return MapPlacement(crop=crop)
    if isinstance(stated, str):
        _refuse_size_of_another_crop(size, picture, stated, words)
    return _place_of_resized_part(size, picture, crop, words, orientation)


def _refuse_size_of_another_crop(
    size: Size, picture: Size, stated: str, words: PlacementWords
) -> None:
    """Raise ``InputError`` if a map has the size of another published crop than the named one."""
    for name, crop in known_crops(picture).items():
        if crop.shape == size:
            raise InputError(
                f"{words.map} is {size_words(size)} (height x width), the size of the crop "
                f"'{name}' and not of '{stated}'",
                hint=Text("say ", words.choice(name)),
            )


def _place_of_whole(
    size: Size, picture: Size, words: PlacementWords, *, is_stretched: bool
) -> MapPlacement:
    """Place of a map of which the user says that it is of all of the picture."""
    whole = DepthCrop(top=0, left=0, height=picture[0], width=picture[1])
    if is_stretched:
        return MapPlacement(crop=whole)
    difference = _difference_in_proportions(size, picture)
    if not _may_be_resized(size, picture):
        raise InputError(
            f"{words.map} is {size_words(size)} (height x width), {words.picture} "
            f"{size_words(picture)}: their proportions differ by {100 * difference:.0f} %, which "
            "rounding does not explain",
            hint=Text(
                "if it is padded, cut the padding off; ",
                words.choice("TOP,LEFT,HEIGHT,WIDTH"),
                " says that it is a part, ",
                words.choice(STRETCHED),
                f" that it is all of {words.picture} in other proportions",
            ),
        )
    if difference <= _NOTED_PROPORTIONS:
        notes = _notes_on_padding_and_parts(size, picture, words)
        return MapPlacement(crop=whole, notes=tuple(notes))
    note = (
        f"{words.map} is {size_words(size)}, whose proportions differ by {100 * difference:.1f} % "
        f"from {words.picture}'s {size_words(picture)}; it was stretched to all of it, which is "
        "right if its sides were rounded, and wrong if it is a part"
    )
    return MapPlacement(crop=whole, notes=(note,))


def _notes_on_padding_and_parts(size: Size, picture: Size, words: PlacementWords) -> Iterator[str]:
    """Yield a note if padding, or a part of a smaller picture, explains the size as well."""
    start = f"{words.map} is {size_words(size)}, and was resized to {words.picture}'s"
    if any(_is_rounded_up(size, picture, step) for step in _PADDING_STEPS):
        yield f"{start} {size_words(picture)}, which is wrong if it was padded to this size"
    part = _middle_of_smaller_picture(size, picture)
    if part is not None and all(math.gcd(*size) % step for step in _PADDING_STEPS):
        fraction, crop = part
        yield (
            f"{start} {size_words(picture)}, which is wrong if it was cut out of the middle at "
            f"{fraction} the size: that part is {crop} (top, left, height, width)"
        )


def _padding_notes(values: AnyPlane, picture: Size, words: PlacementWords) -> Iterator[str]:
    """Yield a note if a map of another size has bands at its border as padding adds them.

    Sensors have such bands, too. Padding adds as many lines as make both sides multiples of a step,
    and what it was added to has the picture's proportions at least as well as the padded map.
    """
    size = (values.shape[0], values.shape[1])
    bands = None if size == picture else find_border_bands(values)
    if bands is None:
        return
    inside = bands.shape_inside(size)
    if min(inside) <= 0 or not any(_is_rounded_up(size, inside, step) for step in _BAND_STEPS):
        return
    if _difference_in_proportions(inside, picture) > _difference_in_proportions(size, picture):
        return
    rows = f"{bands.top}:{bands.top + inside[0]}"
    columns = f"{bands.left}:{bands.left + inside[1]}"
    yield (
        f"{words.map} is {size_words(size)}, and its border ({bands}) holds no depth or repeats "
        f"the line beside it, so it may be {size_words(inside)} that was padded; if it is, cut the "
        "padding off: "
        f"depth[{rows}, {columns}]"
    )


def _is_rounded_up(size: Size, picture: Size, step: int) -> bool:
    """Whether the sides are the picture's, rounded up to multiples of a step."""
    rounded = (math.ceil(picture[0] / step) * step, math.ceil(picture[1] / step) * step)
    return size == rounded != picture


def _middle_of_smaller_picture(size: Size, picture: Size) -> tuple[str, DepthCrop] | None:
    """Fraction and rectangle if a map may be the middle of the picture at half its size, or less.

    Programs for NYUv2 halve 480 x 640 and cut 228 x 304 out of the middle.
    """
    for times, words in _FRACTIONS.items():
        shares = [times * side / whole for side, whole in zip(size, picture, strict=True)]
        if all(_LEAST_MIDDLE <= share <= 1 for share in shares) and min(shares) < 1:
            height, width = times * size[0], times * size[1]
            top, left = (picture[0] - height) // 2, (picture[1] - width) // 2
            return words, DepthCrop(top=top, left=left, height=height, width=width)
    return None


def _place_of_resized_part(
    size: Size, picture: Size, crop: DepthCrop, words: PlacementWords, orientation: int
) -> MapPlacement:
    """Place of a map of another size than the rectangle that the user says."""
    if size == picture:
        raise InputError(
            f"{words.map} is {size_words(size)} (height x width), as large as all of "
            f"{words.picture}, so it is no map of the crop {crop} (top, left, height, width)",
            hint=Text(
                words.without_choice, ": it says where a map lies, not what is scored or shown"
            ),
        )
    if _is_turned(size, crop.shape):
        named = replace(words, picture="the crop that is named")
        raise _turned_map(size, crop.shape, named, orientation)
    difference = _difference_in_proportions(size, crop.shape)
    if not _may_be_resized(size, crop.shape):
        raise InputError(
            f"{words.map} is {size_words(size)} (height x width), but the crop that is named is "
            f"{size_words(crop.shape)}: their proportions differ by {100 * difference:.0f} %"
        )
    note = f"{words.map} is {size_words(size)}, and was resized to its crop of " + size_words(
        crop.shape
    )
    multiple = _multiple_in_words(size, picture)
    if multiple is not None and _multiple_in_words(size, crop.shape) is None:
        note += (
            f"; it is {multiple} {words.picture}'s {size_words(picture)}, too, and if it is a map "
            "of all of it, no crop is to be named"
        )
    elif difference > _NOTED_PROPORTIONS:
        note += f", whose proportions differ by {100 * difference:.1f} %"
    return MapPlacement(crop=crop, notes=(note,))


def _is_turned(size: Size, picture: Size) -> bool:
    """Whether a map lies where the picture stands, or stands where it lies."""
    map_is_square = max(size) < _SQUARE * min(size)
    picture_is_square = max(picture) < _SQUARE * min(picture)
    if map_is_square or picture_is_square:
        return False
    return (size[0] > size[1]) != (picture[0] > picture[1])


def _turned_map(size: Size, picture: Size, words: PlacementWords, orientation: int) -> InputError:
    """Error about a map that lies where the picture stands."""
    is_upright = size[0] > size[1]
    directions = "stands, and the other lies" if is_upright else "lies, and the other stands"
    by_numpy = "numpy.rot90(depth) or numpy.rot90(depth, -1)"
    if orientation >= _FIRST_ON_ITS_SIDE:
        by_numpy = f"{_UPRIGHT_BY_NUMPY[orientation]} for EXIF's orientation {orientation}"
    hint: list[str | Text] = [f"turn it as the photograph is shown, such as by {by_numpy}"]
    if size[0] <= picture[0] and size[1] <= picture[1]:
        hint += ["; ", words.choice("TOP,LEFT,HEIGHT,WIDTH"), " says that it is a part"]
    return InputError(
        f"{words.map} is {size_words(size)} (height x width), {words.picture} "
        f"{size_words(picture)}: the first {directions}, as if it were turned by 90 degrees",
        hint=Text(*hint),
    )


def _difference_in_proportions(size: Size, picture: Size) -> float:
    """Relative difference of width by height, such as 0.33 for 4:3 and 16:9."""
    ratio = (size[1] * picture[0]) / (size[0] * picture[1])
    return max(ratio, 1 / ratio) - 1


def _may_be_resized(size: Size, picture: Size) -> bool:
    """Whether rounded sides explain how the proportions of a map differ from a picture's."""
    divisor = math.gcd(*size)
    step = max(step for step in range(1, _USUAL_STEP + 1) if divisor % step == 0)
    by_rounding = step / 2 * (1 / size[0] + 1 / size[1])
    limit = min(max(by_rounding, _PROPORTIONS), _PROPORTIONS_OF_ROUNDED)
    return _difference_in_proportions(size, picture) <= limit


def _multiple_in_words(size: Size, picture: Size) -> str | None:
    """Words if one of the two is a whole multiple of the other, alike in both axes."""
    for large, small, is_smaller in ((picture, size, True), (size, picture, False)):
        times, rest = divmod(large[0], small[0])
        if rest == 0 and small[1] * times == large[1]:
            return _FRACTIONS.get(times, f"1/{times} of") if is_smaller else f"{times} times"
    return None


def _may_be_rounded(size: Size, picture: Size) -> bool:
    """Whether a network may have rounded the picture's own sides to this size."""
    step = min(math.gcd(*size), _LARGEST_STEP)
    differences = [abs(side - whole) for side, whole in zip(size, picture, strict=True)]
    return step >= _SMALLEST_STEP and max(differences) < step


def _unknown_place(
    size: Size,
    picture: Size,
    fitting: Mapping[str, DepthCrop],
    words: PlacementWords,
    orientation: int,
) -> InputError:
    sizes = (
        f"{words.map} is {size_words(size)} (height x width), {words.picture} "
        f"{size_words(picture)}, "
    )
    if _is_turned(size, picture):
        return _turned_map(size, picture, words, orientation)
    whole = Text(
        words.choice(RESIZED), f" says that it is all of {words.picture} in another size, "
    )
    if not _may_be_resized(size, picture):
        whole = Text(
            words.choice(STRETCHED),
            f" says that it is all of {words.picture} in other proportions, ",
        )
    part = Text(
        words.choice("TOP,LEFT,HEIGHT,WIDTH"), " that it is a part", *_hints(size, picture, words)
    )
    if fitting:
        named: list[str | Text] = []
        for name in fitting:
            named += [words.choice(name), ", "]
        reason = f"which is the size of {' and of '.join(map(repr, fitting))}"
        if len(fitting) == 1:
            reason += ", and one that a network rounds to"
        return InputError(
            problem=Text(sizes, reason), hint=Text("say which: ", *named, whole, part)
        )
    reason = "which is neither the same size nor a whole multiple, so nothing says where it lies"
    alike = [Text(words.choice(name), ", ") for name in _names_of_size(size, picture)]
    return InputError(problem=Text(sizes, reason), hint=Text(*alike, whole, part))


def _hints(size: Size, picture: Size, words: PlacementWords) -> Iterator[str | Text]:
    """Yield what a map may be besides: the middle of a smaller picture, or padded."""
    part = _middle_of_smaller_picture(size, picture)
    if part is not None:
        fraction, crop = part
        choice = words.choice(str(crop))
        yield Text(", ", choice, f" that it was cut out of the middle at {fraction} the size")
    is_larger = size[0] >= picture[0] and size[1] >= picture[1]
    if is_larger:
        down, across = (side - whole for side, whole in zip(size, picture, strict=True))
        top, left = down // 2, across // 2
        middle = f"depth[{top}:{top + picture[0]}, {left}:{left + picture[1]}]"
        yield (
            f"; if it is padded, cut the padding off: depth[:{picture[0]}, :{picture[1]}] if it "
            f"lies below and on the right, {middle} if it lies all around"
        )
    elif not _may_be_resized(size, picture):
        yield "; if it is padded, cut the padding off"


def _names_of_size(size: Size, picture: Size) -> Iterator[str]:
    """Published crops of any dataset that would have this size."""
    for name in CROP_NAMES:
        try:
            crop = crop_of_name(name, picture)
        except InputError:
            continue
        if crop.shape == size:
            yield name


def paste_truth(
    depth: Field, valid: Mask, place: MapPlacement, picture: Size
) -> tuple[Field, Mask]:
    """Bring depth [m] and its mask to the picture's size.

    A pixel whose four sources lie on one surface gets their mean in inverse depth, which is exact
    on planes. Any other gets its nearest source, so that no depth arises between two surfaces.
    """
    crop = place.crop
    if depth.shape != crop.shape:
        depth, valid = _resize_truth(depth, valid, crop.shape)
    if crop.shape == picture:
        return depth, valid
    return (
        crop.paste_into_picture(depth, picture, 0),
        crop.paste_into_picture(valid, picture, False),
    )


def paste_nearest(
    values: Shaped[np.ndarray, "*c h w"], place: MapPlacement, picture: Size, empty: float
) -> Shaped[np.ndarray, "*c a b"]:
    """Bring numbers that have no mean, such as labels, to the picture's size."""
    rows, columns = _nearest_sources((values.shape[-2], values.shape[-1]), place.crop.shape)
    return place.crop.paste_into_picture(values[..., rows[:, None], columns], picture, empty)


def _nearest_sources(size: Size, new_size: Size) -> Iterator[np.ndarray]:
    for old, new in zip(size, new_size, strict=True):
        yield np.minimum(((np.arange(new) + 0.5) * old / new).astype(int), old - 1)


def _resize_truth(depth: Field, valid: Mask, shape: Size) -> tuple[Field, Mask]:
    rows, columns = _nearest_sources((depth.shape[0], depth.shape[1]), shape)
    nearest = depth[rows[:, None], columns]
    nearest_valid = valid[rows[:, None], columns]
    inverse = 1 / np.where(valid, depth, 1).astype(np.float64)
    corners = list(_corners(inverse, shape))
    corner_masks = [mask > 0.5 for mask, _ in _corners(valid.astype(np.float64), shape)]
    mean = np.zeros(shape)
    for values, weight in corners:
        mean += values * weight
    values = np.stack([values for values, _ in corners])
    is_surface = np.all(corner_masks, axis=0)
    is_surface &= values.max(axis=0) < _SAME_SURFACE * values.min(axis=0)
    resized = np.where(is_surface, 1 / mean, nearest)
    return np.where(nearest_valid, resized, 0).astype(np.float32), nearest_valid


def _corners(values: AnyPlane, shape: Size) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Four sources of each new pixel and their bilinear weights; pixel centres at halves."""
    lows, highs, weights = [], [], []
    for old, new in zip(values.shape, shape, strict=True):
        place = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
        low = place.astype(int)
        lows.append(low)
        highs.append(np.minimum(low + 1, old - 1))
        weights.append(place - low)
    down, across = weights[0][:, None], weights[1][None, :]
    for rows, row_weight in ((lows[0], 1 - down), (highs[0], down)):
        for columns, column_weight in ((lows[1], 1 - across), (highs[1], across)):
            yield values[rows[:, None], columns], row_weight * column_weight
