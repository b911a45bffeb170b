"""Find the rectangle of a picture that a depth map covers, by its size or as the user says.

The same rule serves ground truth, predictions of other programs, depth at hand and sparse depth.
If the user does not say where a map lies, it is placed by its size, in this order:

1. It has the picture's size, and covers all of it.
2. Its size is a whole multiple or fraction of the picture's, by the same factor in both axes.
3. It has the size of exactly one published crop.

Everything else is refused, because equal proportions prove nothing: 400 x 534 may be a part of 480
x 640, or all of it after a network rounded the sides.

What the user says is checked, too. A map of the whole picture's size is not that of a crop. A
landscape map of a portrait picture is turned by 90 degrees. A map whose proportions differ by more
than a network's rounding was not merely resized.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from rilievo.arrays.shapes import AnyPlane, Size
from rilievo.errors import InputError
from rilievo.errors.messages import OptionName, Text, join_texts
from rilievo.io.depth.crops import (
    CENTRE,
    RESIZED,
    STRETCHED,
    DepthCrop,
    RequestedPlacement,
    known_crops,
    parse_placement,
    published_crop,
    published_crops_with_size,
    whole_picture,
)
from rilievo.io.depth.map_sizes import (
    MIN_QUARTER_TURN,
    PADDING_STEPS,
    centre_of_reduced_copy,
    describe_multiple,
    difference_in_proportions,
    exif_swaps_sides,
    format_size,
    is_rotated,
    is_rounded_up,
    may_be_resized,
    may_be_rounded,
)
from rilievo.io.depth.padding import find_border_bands

_MAX_SILENT_DIFFERENCE = 0.02  # relative, in proportions; larger ones are noted
_BAND_STEPS = (14, 16, 32)  # [px], multiples to which bands of padding may fill the sides
_UPRIGHT_BY_NUMPY: Mapping[int, str] = {
    2: "depth[:, ::-1]",
    3: "numpy.rot90(depth, 2)",
    4: "depth[::-1]",
    5: "depth.T",
    6: "numpy.rot90(depth, -1)",
    7: "numpy.rot90(depth, 2).T",
    8: "numpy.rot90(depth)",
}
"""NumPy expression that turns a map as the sensor stored it upright, by EXIF's orientation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MapPlacement:
    """Rectangle of the picture that a map covers, and notes on what was assumed.

    The map was resized if its size differs from ``crop.shape``.
    """

    crop: DepthCrop
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementNames:
    """What messages about a placement call the map, the picture and the user's option.

    Attributes:
        map: The map, such as "the prediction".
        picture: What it lies in, such as "the truth".
        option: Name of the option that places it.
        yaml_section: Section of a YAML file whose line ``crop:`` places it, in place of an option.
    """

    map: str
    picture: str
    option: str = "crop"
    yaml_section: str | None = None

    def format_option(self, value: str) -> Text:
        """Write the option with a value, or the line of the YAML file that says the same."""
        if self.yaml_section is None:
            return Text(OptionName(self.option, value))
        yaml_value = f"[{value}]" if "," in value else value
        return Text(f"'crop: {yaml_value}' in {self.yaml_section}")

    @property
    def omission_advice(self) -> Text:
        """Advice to leave out the option, or to remove the line."""
        if self.yaml_section is None:
            return Text("leave out ", OptionName(self.option))
        return Text(f"remove 'crop' from {self.yaml_section}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _MapInPicture:
    """A map that is to be placed in a picture, and what messages call the two.

    Attributes:
        map_size: (height, width) of the map.
        picture_size: (height, width) of the picture.
        names: What messages call them, and the option that places the map.
        orientation: EXIF's orientation by which the picture was turned upright; 1 is not turned.
    """

    map_size: Size
    picture_size: Size
    names: PlacementNames
    orientation: int

    @property
    def map_text(self) -> str:
        """Name and size of the map, such as "the prediction is 240 x 320 (height x width)"."""
        return f"{self.names.map} is {format_size(self.map_size)} (height x width)"

    @property
    def picture_text(self) -> str:
        """Name and size of the picture, such as "the photograph's 480 x 640"."""
        return f"{self.names.picture}'s {format_size(self.picture_size)}"

    @property
    def sizes_text(self) -> str:
        """The sizes of map and picture, as a sentence."""
        return f"{self.map_text}, and {self.names.picture} is {format_size(self.picture_size)}"

    @property
    def may_be_resized(self) -> bool:
        """Whether the map has the picture's proportions, up to rounding."""
        return may_be_resized(self.map_size, self.picture_size)

    def place_in_whole_picture(self, *notes: str) -> MapPlacement:
        """Place the map so that it covers the whole picture."""
        return MapPlacement(crop=whole_picture(self.picture_size), notes=notes)


def place_map(
    map_size: Size,
    picture_size: Size,
    crop: RequestedPlacement | None,
    names: PlacementNames,
    *,
    file: object = None,
    known: Mapping[str, DepthCrop] | None = None,
    orientation: int = 1,
    values: AnyPlane | None = None,
) -> MapPlacement:
    """Find the rectangle of a picture that a map covers, by their sizes or by what the user says.

    Args:
        map_size: (height, width) of the map.
        picture_size: (height, width) of the picture.
        crop: Where the user says that it lies, as text or parsed (``parse_placement``); or None.
        names: What messages call the map, the picture and the option.
        file: File of the map, with which errors begin; None to leave it out.
        known: Published crops by name; by default those of datasets with pictures of this size.
        orientation: EXIF's orientation by which the picture was turned upright; 1 is not turned.
        values: Values of the map, 0 or not finite where it has none, to detect padding.

    Raises:
        OptionError: If the user's text is no placement.
        InputError: If the placement is ambiguous, or does not fit the sizes.
    """
    requested = parse_placement(crop, names.option) if isinstance(crop, str) else crop
    pair = _MapInPicture(
        map_size=map_size, picture_size=picture_size, names=names, orientation=orientation
    )
    try:
        if requested is not None:
            placement = _place_as_requested(pair, requested)
        else:
            placement = _place_by_size(pair, known_crops(picture_size) if known is None else known)
    except InputError as error:
        if file is None:
            raise
        raise InputError(problem=Text(error), path=file) from error

    notes = [*placement.notes]
    is_part = placement.crop.shape != picture_size
    if values is not None and not is_part and requested != STRETCHED:
        notes += filter(None, [_padding_note(pair, values)])
    notes += filter(None, [orientation_note(orientation, map_size, names, is_part=is_part)])
    return replace(placement, notes=tuple(notes))


def has_size_or_multiple(map_size: Size, picture_size: Size) -> bool:
    """Whether a map has the picture's size, or one is a whole multiple of the other.

    Such a map is placed in the whole picture if the user does not say where it lies.
    """
    return map_size == picture_size or describe_multiple(map_size, picture_size) is not None


def orientation_note(
    orientation: int, map_size: Size, names: PlacementNames, *, is_part: bool = False
) -> str | None:
    """Return a note that a map is assumed to be upright, unless its size proves that it is.

    ``orientation`` is EXIF's. ``is_part`` says that the map covers a part of the picture, which may
    be portrait or landscape.
    """
    if orientation not in _UPRIGHT_BY_NUMPY:
        return None
    if exif_swaps_sides(map_size, orientation) and not is_part:
        return None  # A map as the sensor stored it would have height and width swapped.
    return (
        f"EXIF rotates or flips {names.picture} (orientation {orientation}), and {names.map} is "
        "assumed to be upright; if it is stored as the sensor recorded it, make it upright first, "
        f"for example with {_UPRIGHT_BY_NUMPY[orientation]}"
    )


# The user does not say where the map lies.


def _place_by_size(pair: _MapInPicture, known: Mapping[str, DepthCrop]) -> MapPlacement:
    """Place a map by its size alone, or raise ``InputError`` with the user's choices.

    ``known`` are the published crops among which one may have its size.
    """
    if pair.map_size == pair.picture_size:
        return pair.place_in_whole_picture()
    multiple = describe_multiple(pair.map_size, pair.picture_size)
    if multiple is not None:
        return pair.place_in_whole_picture(
            f"{pair.map_text}, {multiple} {pair.picture_text}, and was resized to cover all of "
            f"{pair.names.picture}; this is wrong if {pair.names.map} only covers a part"
        )

    crops_of_this_size = {name: crop for name, crop in known.items() if crop.shape == pair.map_size}
    has_one_crop = len({str(crop) for crop in crops_of_this_size.values()}) == 1
    # 352 x 1216 is KITTI's benchmark crop, but also 375 x 1242 rounded down to multiples of 32.
    if has_one_crop and not may_be_rounded(pair.map_size, pair.picture_size):
        name, crop = next(iter(crops_of_this_size.items()))
        note = (
            f"{pair.names.map} has the size of the crop '{name}', {format_size(pair.map_size)} "
            f"(height x width), and was placed at {crop} (top, left, height, width); this is wrong "
            f"if {pair.names.map} covers all of {pair.names.picture}"
        )
        return MapPlacement(crop=crop, notes=(note,))
    _require_same_orientation(pair)
    raise _unknown_placement_error(pair, [*crops_of_this_size])


def _unknown_placement_error(pair: _MapInPicture, crop_names: list[str]) -> InputError:
    """Return the error for a map whose placement is ambiguous, with all the user's choices.

    ``crop_names`` are the published crops that have its size.
    """
    names = pair.names
    if pair.may_be_resized:
        whole_picture_option = names.format_option(RESIZED)
        whole_picture_case = f" if it covers all of {names.picture} in another size"
    else:
        whole_picture_option = names.format_option(STRETCHED)
        whole_picture_case = f" if it covers all of {names.picture} in other proportions"
    suggested_names = crop_names or published_crops_with_size(pair.map_size, pair.picture_size)
    choices = [
        *map(names.format_option, suggested_names),
        Text(whole_picture_option, whole_picture_case),
        Text(names.format_option("TOP,LEFT,HEIGHT,WIDTH"), " if it covers a part"),
        *_reduced_copy_choices(pair),
    ]
    hint = Text("use ", join_texts(", or ", choices), _padding_hint(pair))
    if not crop_names:
        return InputError(
            problem=f"{pair.sizes_text}; neither size is a whole multiple of the other, so it is "
            "unclear which part the map covers",
            hint=hint,
        )
    listed = " and of ".join(map(repr, crop_names))
    problem = f"{pair.sizes_text}; this is the size of the crop {listed}"
    if len(crop_names) == 1:
        problem += ", but a network may also have rounded to this size"
    return InputError(problem=problem, hint=hint)


def _reduced_copy_choices(pair: _MapInPicture) -> list[Text]:
    """Return the choice of the crop that a map shows if it was cut from a reduced copy's centre.

    The list is empty if its size does not fit such a crop.
    """
    centre = centre_of_reduced_copy(pair.map_size, pair.picture_size)
    if centre is None:
        return []
    case = (
        f" if it was cut out of the centre after {pair.names.picture} was reduced to "
        f"{centre.copy_size} its size"
    )
    return [Text(pair.names.format_option(str(centre.crop)), case)]


def _padding_hint(pair: _MapInPicture) -> str:
    """Return the hint that a map may be padded; empty if its size speaks against it.

    A map that is no smaller than the picture may be the picture's size with padding, at one side of
    each axis or evenly at both, so the hint says how to cut it off with NumPy. A smaller map may be
    padded, too, if its proportions are not those of the picture.
    """
    (map_height, map_width), (height, width) = pair.map_size, pair.picture_size
    if map_height >= height and map_width >= width:
        top, left = (map_height - height) // 2, (map_width - width) // 2
        return (
            f"; if it is padded, cut off the padding: depth[:{height}, :{width}] if it is below "
            f"and on the right, depth[{top}:{top + height}, {left}:{left + width}] if it is on all "
            "sides"
        )
    return "" if pair.may_be_resized else "; if it is padded, cut off the padding"


def _require_same_orientation(pair: _MapInPicture) -> None:
    """Raise ``InputError`` for a portrait map of a landscape picture, or the reverse."""
    if not is_rotated(pair.map_size, pair.picture_size):
        return
    (map_height, map_width), (height, width) = pair.map_size, pair.picture_size
    if map_height > map_width:
        shapes = "the first is portrait and the second is landscape"
    else:
        shapes = "the first is landscape and the second is portrait"

    if pair.orientation >= MIN_QUARTER_TURN:
        upright = _UPRIGHT_BY_NUMPY[pair.orientation]
        numpy_call = f"{upright} for EXIF orientation {pair.orientation}"
    else:
        numpy_call = "numpy.rot90(depth) or numpy.rot90(depth, -1)"
    hint = Text(
        f"rotate {pair.names.map} to match {pair.names.picture}, for example with {numpy_call}"
    )
    fits_into_picture = map_height <= height and map_width <= width
    if fits_into_picture:
        part = pair.names.format_option("TOP,LEFT,HEIGHT,WIDTH")
        hint = Text(hint, "; if it only covers a part, use ", part)
    raise InputError(
        f"{pair.sizes_text}: {shapes}, as if one were rotated by 90 degrees", hint=hint
    )


# The user says where the map lies.


def _place_as_requested(pair: _MapInPicture, requested: RequestedPlacement) -> MapPlacement:
    """Place a map as the user says, or raise ``InputError`` if its size contradicts that."""
    if requested in (RESIZED, STRETCHED):
        _require_same_orientation(pair)
        return pair.place_in_whole_picture() if requested == STRETCHED else _place_resized(pair)
    if requested == CENTRE:
        return _place_in_centre(pair)

    crop = requested
    if isinstance(crop, str):
        crop = published_crop(crop, pair.picture_size)
    crop.check_inside(pair.picture_size)
    if crop.shape == pair.map_size:
        return MapPlacement(crop=crop)
    if isinstance(requested, str):
        _require_no_other_crop_of_size(pair, requested)
    return _place_resized_part(pair, crop)


def _place_resized(pair: _MapInPicture) -> MapPlacement:
    """Place a resized map of the whole picture, if it keeps the proportions up to rounding."""
    difference = difference_in_proportions(pair.map_size, pair.picture_size)
    if not pair.may_be_resized:
        raise InputError(
            f"{pair.sizes_text}: their proportions differ by {100 * difference:.0f}%, which is "
            "more than rounding explains",
            hint=Text(
                "if it is padded, cut off the padding; if it covers a part, use ",
                pair.names.format_option("TOP,LEFT,HEIGHT,WIDTH"),
                f"; if it covers all of {pair.names.picture} in other proportions, use ",
                pair.names.format_option(STRETCHED),
            ),
        )
    if difference <= _MAX_SILENT_DIFFERENCE:
        return pair.place_in_whole_picture(*_padded_or_cut_notes(pair))
    return pair.place_in_whole_picture(
        f"{pair.map_text}, and its proportions differ by {100 * difference:.1f}% from "
        f"{pair.picture_text}; it was stretched to cover all of {pair.names.picture}, which is "
        "right if its sides were rounded, and wrong if it only covers a part"
    )


def _padded_or_cut_notes(pair: _MapInPicture) -> Iterator[str]:
    """Yield notes if the size may also come from padding, or from cropping a smaller picture."""
    resized = f"{pair.map_text} and was resized to {pair.picture_text}"
    if any(is_rounded_up(pair.map_size, pair.picture_size, step) for step in PADDING_STEPS):
        yield f"{resized}; this is wrong if {pair.names.map} was padded to this size"
    centre = centre_of_reduced_copy(pair.map_size, pair.picture_size)
    # Sides that are multiples of a network's step were more likely rounded than cropped.
    is_rounded = any(math.gcd(*pair.map_size) % step == 0 for step in PADDING_STEPS)
    if centre is not None and not is_rounded:
        yield (
            f"{resized}; this is wrong if {pair.names.map} was cut out of the centre after "
            f"{pair.names.picture} was reduced to {centre.copy_size} its size; then give it the "
            f"crop {centre.crop} (top, left, height, width)"
        )


def _place_in_centre(pair: _MapInPicture) -> MapPlacement:
    """Place a map in the middle of its picture, at the same scale."""
    (map_height, map_width), (height, width) = pair.map_size, pair.picture_size
    top, left = (height - map_height) // 2, (width - map_width) // 2
    if min(top, left) < 0:
        raise InputError(
            f"{pair.map_text}, which does not fit into {pair.picture_text}, so it was not cut out "
            "of the centre"
        )
    return MapPlacement(crop=DepthCrop(top=top, left=left, height=map_height, width=map_width))


def _require_no_other_crop_of_size(pair: _MapInPicture, requested: str) -> None:
    """Raise ``InputError`` if a map has the size of another published crop than the named one."""
    for name, crop in known_crops(pair.picture_size).items():
        if crop.shape == pair.map_size:
            raise InputError(
                f"{pair.map_text}, which is the size of the crop '{name}', not of '{requested}'",
                hint=Text("use ", pair.names.format_option(name)),
            )


def _place_resized_part(pair: _MapInPicture, crop: DepthCrop) -> MapPlacement:
    """Place a map whose size differs from the rectangle that the user gives, by resizing it."""
    if pair.map_size == pair.picture_size:
        raise InputError(
            f"{pair.map_text}, which is the full size of {pair.names.picture}, so it cannot be a "
            f"map of the crop {crop} (top, left, height, width)",
            hint=Text(
                pair.names.omission_advice,
                ": the crop says which part a map covers, not what is scored or shown",
            ),
        )
    names_in_crop = replace(pair.names, picture="the given crop")
    _require_same_orientation(replace(pair, picture_size=crop.shape, names=names_in_crop))
    if not may_be_resized(pair.map_size, crop.shape):
        difference = difference_in_proportions(pair.map_size, crop.shape)
        raise InputError(
            f"{pair.map_text}, but the given crop is {format_size(crop.shape)}: "
            f"their proportions differ by {100 * difference:.0f}%",
            hint="give the part of the image that the map covers",
        )
    return MapPlacement(crop=crop, notes=(_resized_part_note(pair, crop),))


def _resized_part_note(pair: _MapInPicture, crop: DepthCrop) -> str:
    """Return the note that a map was resized to a crop, with a doubt if its size raises one."""
    resized = f"{pair.map_text} and was resized to its crop of {format_size(crop.shape)}"
    multiple_of_picture = describe_multiple(pair.map_size, pair.picture_size)
    is_multiple_of_crop = describe_multiple(pair.map_size, crop.shape) is not None
    if multiple_of_picture is not None and not is_multiple_of_crop:
        return (
            f"{resized}; {pair.names.map} is also {multiple_of_picture} {pair.picture_text}, so if "
            f"it covers all of {pair.names.picture}, do not give a crop"
        )
    difference = difference_in_proportions(pair.map_size, crop.shape)
    if difference > _MAX_SILENT_DIFFERENCE:
        return f"{resized}, whose proportions differ by {100 * difference:.1f}%"
    return resized


def _padding_note(pair: _MapInPicture, values: AnyPlane) -> str | None:
    """Return a note if a map of another size than its picture has bands of padding at its border.

    Sensors leave such bands, too. Padding is told from them by two facts: the padded sides are
    multiples of a step, and the proportions without the bands fit the picture no worse.
    """
    if pair.map_size == pair.picture_size:
        return None
    bands = find_border_bands(values)
    if bands is None:
        return None
    unpadded_size = bands.shape_inside(pair.map_size)
    is_padded_to_step = any(
        is_rounded_up(pair.map_size, unpadded_size, step) for step in _BAND_STEPS
    )
    difference = difference_in_proportions(pair.map_size, pair.picture_size)
    difference_unpadded = difference_in_proportions(unpadded_size, pair.picture_size)
    if not is_padded_to_step or difference_unpadded > difference:
        return None
    height, width = unpadded_size
    rows = f"{bands.top}:{bands.top + height}"
    columns = f"{bands.left}:{bands.left + width}"
    return (
        f"{pair.map_text}, and its border ({bands}) has no depth or repeats the line next to it, "
        f"so it may be a map of {format_size(unpadded_size)} with padding; if it is, cut off the "
        f"padding: depth[{rows}, {columns}]"
    )
