"""Convert Pillow images of any mode to upright sRGB, in strips to save memory."""

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any, TypeAlias

import numpy as np
from PIL import Image

from rilievo.arrays.shapes import Mask, Pixels, Shaped
from rilievo.errors import InputError
from rilievo.errors.messages import Note, OptionName, Text
from rilievo.io.colour_signals import ColourSignal
from rilievo.io.photographs.decode import pillow_errors_as_input_errors
from rilievo.io.photographs.icc_profiles import profile_description
from rilievo.io.photographs.sixteen_bits import MAX_16_BIT, grey_span

STRIP_PIXELS = 2_000_000
"""Pixels that are converted at a time, so that a large image is not copied as a whole."""
_GREY_16_MODES = frozenset({"I;16", "I;16L", "I;16B", "I;16N"})
_WHITE = (255, 255, 255)
_MIN_OPAQUE_ALPHA = 128
"""Alpha below which a pixel counts as transparent: half of the range."""
_ICC_COLOUR_SPACES = {"RGB": b"RGB ", "L": b"GRAY", "CMYK": b"CMYK"}
"""Colour space that an ICC profile must state for pixels of a mode of Pillow."""
_SRGB_NAMES = frozenset({"sRGB", "sRGB built-in", "sRGB IEC61966-2.1"})
NOT_STRETCHED = Note(
    Text("the image is not 16-bit grey, so ", OptionName("stretch", "True"), " had no effect")
)

_StripConverter: TypeAlias = Callable[[Image.Image], Any]
"""Function that converts a strip of an image to an image or array of the same size."""


@dataclass(frozen=True, slots=True)
class UprightPicture:
    """Upright sRGB pixels of an image, with its transparent pixels and notes on the conversion.

    Attributes:
        transparent: Mask of pixels with alpha below half; None if there are none.
    """

    pixels: Pixels
    transparent: Mask | None
    notes: tuple[str, ...]


def upright_picture(
    image: Image.Image, *, orientation: int, name: str, masks: bool, stretch: bool
) -> UprightPicture:
    """Convert a loaded image to upright sRGB pixels, as ``upright_pixels`` does, with notes.

    Transparent pixels are found only if ``masks`` is True. If ``stretch`` is True, the 1st and 99th
    percentile of 16-bit grey become black and white.

    Raises:
        InputError: As for ``upright_pixels``, or if all pixels are transparent.
    """
    grey_range = grey_span(image, name, stretch=True) if stretch and _is_grey_16(image) else None
    notes: list[str] = []
    if grey_range is not None:
        black, white = grey_range
        notes.append(
            f"its values from {black} to {white} of 65535 were stretched to the range from black "
            "to white"
        )
    elif stretch:  # Other modes are not stretched.
        notes.append(NOT_STRETCHED)
    signal = _non_srgb_signal(image)
    if signal is not None and signal.note is not None:
        notes.append(signal.note)
    # Checked first, so that an image without an opaque pixel is refused for this reason.
    transparent = _transparent_pixels(image, orientation, name) if masks else None
    pixels = upright_pixels(image, orientation=orientation, name=name, grey_range=grey_range)
    return UprightPicture(pixels=pixels, transparent=transparent, notes=tuple(notes))


def upright_pixels(
    image: Image.Image, *, orientation: int, name: str, grey_range: tuple[int, int] | None = None
) -> Pixels:
    """Convert a loaded image of any mode to upright sRGB pixels.

    Alpha is composited over white. 16-bit grey is divided by 257; Pillow has already reduced 16-bit
    colour to its upper 8 bits. Floats range from 0 to 1.

    Args:
        image: Loaded image, in its stored orientation.
        orientation: EXIF's orientation, 1 to 8.
        name: Name of the file in messages.
        grey_range: Values of 16-bit grey that become black and white; None for 0 and 65535.

    Raises:
        InputError: If values are out of range, if 16-bit grey spans less than a 16th of the levels
            and ``grey_range`` is None, or if the mode is unknown.
    """
    if grey_range is None and _is_grey_16(image):
        grey_span(image, name)  # raises an error for a narrow range
    pixels = np.empty((*upright_size(image, orientation), 3), np.uint8)
    to_srgb = _srgb_converter(image, name, grey_range)
    # Strips that are written through this view in their stored orientation become upright.
    _convert_strips(image, stored_view(pixels, orientation), to_srgb, name)
    return pixels


def _is_grey_16(image: Image.Image) -> bool:
    """Whether an image has 16-bit grey, which some decoders return in 32 bits."""
    return image.mode == "I" or image.mode in _GREY_16_MODES


def _transparent_pixels(image: Image.Image, orientation: int, name: str) -> Mask | None:
    """Find the upright pixels with alpha below half; None if there are none."""
    read_alpha = _alpha_reader(image)
    if read_alpha is None:
        return None
    mask = np.empty(upright_size(image, orientation), bool)
    _convert_strips(
        image,
        stored_view(mask, orientation),
        lambda strip: read_alpha(strip) < _MIN_OPAQUE_ALPHA,
        name,
    )
    if mask.all():
        raise InputError(
            "all of its pixels are transparent, so there is nothing to see",
            path=name,
            hint=Text("use ", OptionName("alpha", "keep"), " to blend their colours with white"),
        )
    return mask if mask.any() else None


def _alpha_reader(image: Image.Image) -> Callable[[Image.Image], np.ndarray] | None:
    """Choose the function that reads the alpha of a strip; None for an opaque image."""
    last_band = image.getbands()[-1]
    if last_band in ("A", "a"):
        return lambda strip: np.asarray(strip.getchannel(last_band))
    # A level, a colour, or for a palette the alpha of each entry; Pillow converts all of them.
    transparent_level = image.info.get("transparency")
    if transparent_level is None:
        return None
    if image.mode in ("P", "RGB", "L", "1"):
        return lambda strip: np.asarray(strip.convert("RGBA").getchannel("A"))
    if not _is_grey_16(image):
        return None

    def read_alpha(strip: Image.Image) -> np.ndarray:
        return np.where(np.asarray(strip) == transparent_level, 0, 255).astype(np.uint8)

    return read_alpha


def upright_size(image: Image.Image, orientation: int) -> tuple[int, int]:
    """Size (height, width) of an image after it is turned upright."""
    width, height = image.size
    is_stored_sideways = orientation >= 5
    return (width, height) if is_stored_sideways else (height, width)


def _convert_strips(
    image: Image.Image, output: np.ndarray, convert: _StripConverter, name: str
) -> None:
    """Convert an image in strips of rows into an array of its stored size."""
    width, height = image.size
    rows_per_strip = max(1, STRIP_PIXELS // width)
    for top in range(0, height, rows_per_strip):
        bottom = min(top + rows_per_strip, height)
        is_whole_image = bottom - top == height
        strip = image if is_whole_image else image.crop((0, top, width, bottom))
        with pillow_errors_as_input_errors(name):
            output[top:bottom] = np.asarray(convert(strip))


def stored_view(
    upright: Shaped[np.ndarray, "h w *c"], orientation: int
) -> Shaped[np.ndarray, "stored_h stored_w *c"]:
    """View upright pixels in EXIF's orientation, so that stored pixels can be written into them.

    A view shares the memory, so what is written into it appears upright in ``upright``.
    """
    match orientation:
        case 2:  # mirrored left to right
            return upright[:, ::-1]
        case 3:  # rotated by 180 degrees
            return upright[::-1, ::-1]
        case 4:  # mirrored top to bottom
            return upright[::-1]
        case 5:  # transposed
            return upright.swapaxes(0, 1)
        case 6:  # rotated by 90 degrees counter-clockwise
            return np.rot90(upright)
        case 7:  # transposed along the other diagonal
            return upright[::-1, ::-1].swapaxes(0, 1)
        case 8:  # rotated by 90 degrees clockwise
            return np.rot90(upright, -1)
    return upright


def _srgb_converter(
    image: Image.Image, name: str, grey_range: tuple[int, int] | None
) -> _StripConverter:
    """Choose the function that converts strips to sRGB, by mode, colour signal and profile.

    A strip is converted in two steps: to opaque 8-bit pixels of a base mode, such as L, and from
    there to sRGB, by the first of these that the image has: a colour signal, or a colour profile.
    """
    if grey_range is None:
        base_mode, to_base_mode = _base_mode_converter(image, name)
    else:
        base_mode, to_base_mode = "L", _stretch_converter(grey_range, name)
    signal = _non_srgb_signal(image)
    if signal is not None:
        return _signal_converter(signal, to_base_mode, name)
    profile_to_srgb = _profile_to_srgb_converter(base_mode, image.info.get("icc_profile"))
    if profile_to_srgb is not None:
        return lambda strip: profile_to_srgb(to_base_mode(strip))
    if base_mode == "LAB":
        raise InputError(
            "this version of Pillow cannot convert LAB; export it as RGB first", path=name
        )
    if base_mode == "RGB":
        return to_base_mode
    return lambda strip: to_base_mode(strip).convert("RGB")


def _non_srgb_signal(image: Image.Image) -> ColourSignal | None:
    """Colour signal that the file states; None if it states none, or that of sRGB."""
    signal = image.info.get("colour_signal")
    return signal if isinstance(signal, ColourSignal) and not signal.is_srgb else None


def _signal_converter(
    signal: ColourSignal, to_base_mode: Callable[[Image.Image], Image.Image], name: str
) -> _StripConverter:
    """Make a function that converts strips with a colour signal, as 16-bit codes, to sRGB."""
    if signal.unread is not None:
        raise InputError(
            f"the image has {signal.unread}, which is not supported; export it as sRGB first",
            path=name,
        )

    def convert(strip: Image.Image) -> Pixels:
        codes_8_bit = np.asarray(to_base_mode(strip).convert("RGB"), np.uint16)
        return signal.to_srgb(codes_8_bit * np.uint16(257))

    return convert


def _base_mode_converter(
    image: Image.Image, name: str
) -> tuple[str, Callable[[Image.Image], Image.Image]]:
    """Choose the function that converts strips to opaque 8-bit pixels of a base mode.

    Returns the base mode, which is RGB, L, CMYK or LAB because colour profiles exist for these, and
    the function.
    """
    has_transparent_level = "transparency" in image.info
    match image.mode:
        case "RGBA" | "RGBa" | "PA":
            return "RGB", _flatten_on_white
        case "LA" | "La":
            return "L", lambda strip: _flatten_on_white(strip).convert("L")
        # Before the cases of the same modes without a transparent level.
        case "P" | "RGB" | "L" | "1" if has_transparent_level:
            return "RGB", _flatten_on_white
        case "RGB" | "L" | "CMYK" | "LAB":
            return image.mode, lambda strip: strip
        case "1":
            return "L", lambda strip: strip.convert("L")
        case "P" | "RGBX" | "YCbCr" | "HSV":
            return "RGB", lambda strip: strip.convert("RGB")
        case "I" | "F":
            white = MAX_16_BIT if image.mode == "I" else 1
            return "L", lambda strip: _scale_grey_to_8_bits(strip, white, name)
        case mode if mode in _GREY_16_MODES:
            return "L", lambda strip: _scale_grey_to_8_bits(strip, MAX_16_BIT, name)
    raise InputError(
        f"the image has the pixel mode '{image.mode}', which is not supported; export it as RGB "
        "or grey",
        path=name,
    )


def _flatten_on_white(strip: Image.Image) -> Image.Image:
    if strip.mode == "La":
        strip = strip.convert("LA")
    rgba = strip.convert("RGBA")
    flat = Image.new("RGB", strip.size, _WHITE)
    flat.paste(rgba, mask=rgba.getchannel("A"))
    return flat


def _stretch_converter(
    grey_range: tuple[int, int], name: str
) -> Callable[[Image.Image], Image.Image]:
    """Make a function that maps a range of 16-bit grey to black and white."""
    low, high = grey_range

    def convert(strip: Image.Image) -> Image.Image:
        brightness = (_check_grey_values(strip, MAX_16_BIT, name) - low) / max(high - low, 1)
        return Image.fromarray(np.rint(255 * brightness.clip(0, 1)).astype(np.uint8))

    return convert


def _scale_grey_to_8_bits(strip: Image.Image, white: int, name: str) -> Image.Image:
    values = _check_grey_values(strip, white, name)
    return Image.fromarray(np.rint(values * np.float32(255 / white)).astype(np.uint8))


def _check_grey_values(strip: Image.Image, white: int, name: str) -> np.ndarray:
    """Check that the values of a strip of grey are 0 to ``white``, and return them."""
    values = np.asarray(strip, np.float32)
    # Comparisons with NaN are false, so NaN also counts as outside.
    outside = values[~((values >= 0) & (values <= white))]
    if outside.size:
        number_type = "floats" if strip.mode == "F" else "integers"
        raise InputError(
            f"the image has values such as {outside[0]:g}, but values of grey that are stored as "
            f"{number_type} must be between 0 and {white}; scale them first",
            path=name,
        )
    return values


def _profile_to_srgb_converter(
    mode: str, profile: bytes | None
) -> Callable[[Image.Image], Image.Image] | None:
    """Make a function that converts a colour profile, or LAB without a profile, to sRGB.

    Returns None if no conversion is needed, or if the profile is broken or for another colour
    space.
    """
    if mode == "LAB":
        return _build_transform(None, mode)
    if not profile or profile[16:20] != _ICC_COLOUR_SPACES.get(mode):
        return None
    if profile_description(profile) in _SRGB_NAMES:
        return None
    return _build_transform(profile, mode)


def _build_transform(
    profile: bytes | None, mode: str
) -> Callable[[Image.Image], Image.Image] | None:
    """Build the transform of an ICC profile, or of LAB, to sRGB; None if lcms refuses it."""
    from PIL import ImageCms

    try:
        if profile is None:
            source = ImageCms.createProfile("LAB")
        else:
            source = ImageCms.ImageCmsProfile(BytesIO(profile))
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    return transform.point
