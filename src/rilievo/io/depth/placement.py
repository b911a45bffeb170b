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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from rilievo.arrays.shapes import AnyPlane, Size
from rilievo.errors import InputError
from rilievo.errors.messages import OptionName, Text
from rilievo.io.depth.crops import (
    CENTRE,
    RESIZED,
    STRETCHED,
    DepthCrop,
    StatedPlacement,
    crop_of_name,
    crops_of_size,
    known_crops,
    whole_picture,
)
from rilievo.io.depth.map_sizes import (
    FIRST_QUARTER_TURN,
    PADDING_STEPS,
    difference_in_proportions,
    is_rounded_up,
    is_turned,
    is_turned_by_exif,
    may_be_resized,
    may_be_rounded,
    middle_of_smaller_picture,
    multiple_words,
    size_words,
)
from rilievo.io.depth.padding import find_border_bands

_MAX_SILENT_DIFFERENCE = 0.02  # in proportions, relative; of a larger one the user is told
_BAND_STEPS = (14, 16, 32)  # [px], of padding that bands at the border of a map may be
_UPRIGHT_BY_NUMPY: Mapping[int, str] = {
    2: "depth[:, ::-1]",
    3: "numpy.rot90(depth, 2)",
    4: "depth[::-1]",
    5: "depth.T",
    6: "numpy.rot90(depth, -1)",
    7: "numpy.rot90(depth, 2).T",
    8: "numpy.rot90(depth)",
}
"""How a map as the sensor stored it becomes upright, by EXIF's orientation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MapPlacement:
    """Rectangle of the picture that a map fills, and sentences on what was taken for granted.

    The map was resized if its size differs from ``crop.shape``.
    """

    crop: DepthCrop
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementWords:
    """Words of messages about a map's placement.

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

    def choice(self, value: str) -> Text:
        """Option with a value, or the line of the data's file."""
        if self.file is None:
            return Text(OptionName(self.option, value))
        return Text(f"'crop: {f'[{value}]' if ',' in value else value}' in {self.file}")

    @property
    def without_choice(self) -> Text:
        """Advice to leave the option or the line out."""
        if self.file is None:
            return Text("leave ", OptionName(self.option), " out")
        return Text(f"leave 'crop' in {self.file} out")

    def sizes(self, size: Size, picture: Size) -> str:
        """Say the sizes of both."""
        return (
            f"{self.map} is {size_words(size)} (height x width), {self.picture} "
            f"{size_words(picture)}"
        )


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
    """Find the rectangle of a picture that a map fills, by their sizes or by what the user says.

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
    if stated is not None:
        placement = _place_as_stated(size, picture, stated, words, orientation)
    else:
        known = known_crops(picture) if known is None else known
        placement = _place_by_size(size, picture, known, words, orientation)

    notes = [*placement.notes]
    is_part = placement.crop.shape != picture
    if values is not None and not is_part and stated != STRETCHED:
        notes += _padding_notes(values, picture, words)
    note = orientation_note(orientation, size, words, is_part=is_part)
    if note is not None:
        notes.append(note)
    return replace(placement, notes=tuple(notes))


def orientation_note(
    orientation: int, size: Size, words: PlacementWords, *, is_part: bool = False
) -> str | None:
    """Note on a map that is taken as upright, where its size does not prove that it is.

    Args:
        orientation: EXIF's orientation of the picture, 1 to 8.
        size: (height, width) of the map.
        words: Words of messages.
        is_part: Whether it is of a part of the picture, which may stand or lie.
    """
    if orientation not in _UPRIGHT_BY_NUMPY:
        return None
    if is_turned_by_exif(size, orientation) and not is_part:
        return None  # As the sensor stored it, it would not fit.
    return (
        f"EXIF turns {words.picture} (orientation {orientation}), and {words.map} is taken as "
        "upright; if it lies as the sensor stored it, make it upright first, such as by "
        f"{_UPRIGHT_BY_NUMPY[orientation]}"
    )


# Nobody says where the map lies.


def _place_by_size(
    size: Size,
    picture: Size,
    known: Mapping[str, DepthCrop],
    words: PlacementWords,
    orientation: int,
) -> MapPlacement:
    """Place a map of which the user says nothing, or raise an error with all that can be said."""
    if size == picture:
        return MapPlacement(crop=whole_picture(picture))
    multiple = multiple_words(size, picture)
    if multiple is not None:
        note = (
            f"{words.map} is {size_words(size)}, {multiple} {words.picture}'s "
            f"{size_words(picture)}, and was resized as a map of all of it, which is wrong if it "
            "is of a part"
        )
        return MapPlacement(crop=whole_picture(picture), notes=(note,))

    fitting = {name: crop for name, crop in known.items() if crop.shape == size}
    has_one_crop = len({str(crop) for crop in fitting.values()}) == 1
    # 352 x 1216 is KITTI's benchmark, and 375 x 1242 rounded down to multiples of 32.
    if has_one_crop and not may_be_rounded(size, picture):
        name, crop = next(iter(fitting.items()))
        note = (
            f"{words.map} is of the crop '{name}' alone ({size_words(size)}), and was put there: "
            f"{crop} (top, left, height, width), which is wrong if it is all of {words.picture}"
        )
        return MapPlacement(crop=crop, notes=(note,))
    if is_turned(size, picture):
        raise _turned_map_error(size, picture, words, orientation)
    raise _unknown_placement_error(size, picture, [*fitting], words)


def _unknown_placement_error(
    size: Size, picture: Size, fitting: list[str], words: PlacementWords
) -> InputError:
    """Error about a map of which nothing says where it lies, with all that the user can say.

    ``fitting`` are the names of known crops that have its size.
    """
    whole = Text(
        words.choice(RESIZED), f" says that it is all of {words.picture} in another size, "
    )
    if not may_be_resized(size, picture):
        whole = Text(
            words.choice(STRETCHED),
            f" says that it is all of {words.picture} in other proportions, ",
        )
    part = Text(
        words.choice("TOP,LEFT,HEIGHT,WIDTH"),
        " that it is a part",
        *_middle_and_padding_hints(size, picture, words),
    )
    names = fitting or crops_of_size(size, picture)
    crops = [Text(words.choice(name), ", ") for name in names]
    if not fitting:
        reason = (
            "which is neither the same size nor a whole multiple, so nothing says where it lies"
        )
        return InputError(
            problem=f"{words.sizes(size, picture)}, {reason}", hint=Text(*crops, whole, part)
        )
    reason = f"which is the size of {' and of '.join(map(repr, fitting))}"
    if len(fitting) == 1:
        reason += ", and one that a network rounds to"
    return InputError(
        problem=f"{words.sizes(size, picture)}, {reason}",
        hint=Text("say which: ", *crops, whole, part),
    )


def _middle_and_padding_hints(
    size: Size, picture: Size, words: PlacementWords
) -> Iterator[str | Text]:
    """Yield what a map may be besides: the middle of a smaller picture, or padded."""
    middle = middle_of_smaller_picture(size, picture)
    if middle is not None:
        fraction, crop = middle
        choice = words.choice(str(crop))
        yield Text(", ", choice, f" that it was cut out of the middle at {fraction} the size")
    if size[0] >= picture[0] and size[1] >= picture[1]:
        top, left = (size[0] - picture[0]) // 2, (size[1] - picture[1]) // 2
        inside = f"depth[{top}:{top + picture[0]}, {left}:{left + picture[1]}]"
        yield (
            f"; if it is padded, cut the padding off: depth[:{picture[0]}, :{picture[1]}] if it "
            f"lies below and on the right, {inside} if it lies all around"
        )
    elif not may_be_resized(size, picture):
        yield "; if it is padded, cut the padding off"


def _turned_map_error(
    size: Size, picture: Size, words: PlacementWords, orientation: int
) -> InputError:
    """Error about a map that is portrait where the picture is landscape, or the reverse."""
    is_upright = size[0] > size[1]
    directions = "stands, and the other lies" if is_upright else "lies, and the other stands"
    by_numpy = "numpy.rot90(depth) or numpy.rot90(depth, -1)"
    if orientation >= FIRST_QUARTER_TURN:
        by_numpy = f"{_UPRIGHT_BY_NUMPY[orientation]} for EXIF's orientation {orientation}"
    hint: list[str | Text] = [f"turn it as the photograph is shown, such as by {by_numpy}"]
    if size[0] <= picture[0] and size[1] <= picture[1]:
        hint += ["; ", words.choice("TOP,LEFT,HEIGHT,WIDTH"), " says that it is a part"]
    return InputError(
        f"{words.sizes(size, picture)}: the first {directions}, as if it were turned by 90 degrees",
        hint=Text(*hint),
    )


# The user says where the map lies.


def _place_as_stated(
    size: Size,
    picture: Size,
    stated: StatedPlacement,
    words: PlacementWords,
    orientation: int,
) -> MapPlacement:
    """Place a map as the user says, or raise an error if its size contradicts that."""
    if stated in (RESIZED, STRETCHED):
        if is_turned(size, picture):
            raise _turned_map_error(size, picture, words, orientation)
        if stated == STRETCHED:
            return MapPlacement(crop=whole_picture(picture))
        return _place_resized(size, picture, words)
    if stated == CENTRE:
        return _place_in_centre(size, picture, words)

    crop = crop_of_name(stated, picture) if isinstance(stated, str) else stated
    crop.check_inside(picture)
    if crop.shape == size:
        return MapPlacement(crop=crop)
    if isinstance(stated, str):
        _refuse_size_of_another_crop(size, picture, stated, words)
    return _place_resized_part(size, picture, crop, words, orientation)


def _place_resized(size: Size, picture: Size, words: PlacementWords) -> MapPlacement:
    """Place a map of all of the picture, whose proportions are kept up to rounding."""
    difference = difference_in_proportions(size, picture)
    if not may_be_resized(size, picture):
        raise InputError(
            f"{words.sizes(size, picture)}: their proportions differ by {100 * difference:.0f} %, "
            "which rounding does not explain",
            hint=Text(
                "if it is padded, cut the padding off; ",
                words.choice("TOP,LEFT,HEIGHT,WIDTH"),
                " says that it is a part, ",
                words.choice(STRETCHED),
                f" that it is all of {words.picture} in other proportions",
            ),
        )
    if difference <= _MAX_SILENT_DIFFERENCE:
        notes = tuple(_padded_or_cut_notes(size, picture, words))
        return MapPlacement(crop=whole_picture(picture), notes=notes)
    note = (
        f"{words.map} is {size_words(size)}, whose proportions differ by {100 * difference:.1f} % "
        f"from {words.picture}'s {size_words(picture)}; it was stretched to all of it, which is "
        "right if its sides were rounded, and wrong if it is a part"
    )
    return MapPlacement(crop=whole_picture(picture), notes=(note,))


def _padded_or_cut_notes(size: Size, picture: Size, words: PlacementWords) -> Iterator[str]:
    """Yield a note if padding, or a part of a smaller picture, explains the size as well."""
    resized = (
        f"{words.map} is {size_words(size)}, and was resized to {words.picture}'s "
        f"{size_words(picture)}"
    )
    if any(is_rounded_up(size, picture, step) for step in PADDING_STEPS):
        yield f"{resized}, which is wrong if it was padded to this size"
    middle = middle_of_smaller_picture(size, picture)
    if middle is not None and all(math.gcd(*size) % step for step in PADDING_STEPS):
        fraction, crop = middle
        yield (
            f"{resized}, which is wrong if it was cut out of the middle at "
            f"{fraction} the size: that part is {crop} (top, left, height, width)"
        )


def _place_in_centre(size: Size, picture: Size, words: PlacementWords) -> MapPlacement:
    top, left = (picture[0] - size[0]) // 2, (picture[1] - size[1]) // 2
    if min(top, left) < 0:
        raise InputError(
            f"{words.map} is {size_words(size)} (height x width), which is no part of "
            f"{words.picture}'s {size_words(picture)}"
        )
    return MapPlacement(crop=DepthCrop(top=top, left=left, height=size[0], width=size[1]))


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


def _place_resized_part(
    size: Size, picture: Size, crop: DepthCrop, words: PlacementWords, orientation: int
) -> MapPlacement:
    """Place a map of another size than the rectangle that the user says."""
    if size == picture:
        raise InputError(
            f"{words.map} is {size_words(size)} (height x width), as large as all of "
            f"{words.picture}, so it is no map of the crop {crop} (top, left, height, width)",
            hint=Text(
                words.without_choice, ": it says where a map lies, not what is scored or shown"
            ),
        )
    if is_turned(size, crop.shape):
        crop_words = replace(words, picture="the crop that is named")
        raise _turned_map_error(size, crop.shape, crop_words, orientation)
    difference = difference_in_proportions(size, crop.shape)
    if not may_be_resized(size, crop.shape):
        raise InputError(
            f"{words.map} is {size_words(size)} (height x width), but the crop that is named is "
            f"{size_words(crop.shape)}: their proportions differ by {100 * difference:.0f} %"
        )

    note = (
        f"{words.map} is {size_words(size)}, and was resized to its crop of "
        f"{size_words(crop.shape)}"
    )
    multiple = multiple_words(size, picture)
    if multiple is not None and multiple_words(size, crop.shape) is None:
        note += (
            f"; it is {multiple} {words.picture}'s {size_words(picture)}, too, and if it is a map "
            "of all of it, no crop is to be named"
        )
    elif difference > _MAX_SILENT_DIFFERENCE:
        note += f", whose proportions differ by {100 * difference:.1f} %"
    return MapPlacement(crop=crop, notes=(note,))


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
    if min(inside) <= 0 or not any(is_rounded_up(size, inside, step) for step in _BAND_STEPS):
        return
    if difference_in_proportions(inside, picture) > difference_in_proportions(size, picture):
        return
    rows = f"{bands.top}:{bands.top + inside[0]}"
    columns = f"{bands.left}:{bands.left + inside[1]}"
    yield (
        f"{words.map} is {size_words(size)}, and its border ({bands}) holds no depth or repeats "
        f"the line beside it, so it may be {size_words(inside)} that was padded; if it is, cut the "
        f"padding off: depth[{rows}, {columns}]"
    )
