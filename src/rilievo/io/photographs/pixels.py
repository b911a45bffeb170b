"""Convert Pillow images of any mode to upright sRGB, in strips that need little memory."""

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
from rilievo.io.photographs.decode import one_line_errors
from rilievo.io.photographs.icc_profiles import profile_description
from rilievo.io.photographs.sixteen_bits import MAX_16_BIT, grey_span

STRIP_PIXELS = 2_000_000
"""Pixels that are converted at a time, so that no second copy of a large image is needed."""
_GREY_16_MODES = frozenset({"I;16", "I;16L", "I;16B", "I;16N"})
_WHITE = (255, 255, 255)
_MIN_OPAQUE_ALPHA = 128
"""Alpha below which a pixel counts as transparent, half of the range."""
_ICC_COLOUR_SPACES = {"RGB": b"RGB ", "L": b"GRAY", "CMYK": b"CMYK"}
"""Colour space that an ICC profile must state to be one for pixels of a mode of Pillow."""
_SRGB_NAMES = frozenset({"sRGB", "sRGB built-in", "sRGB IEC61966-2.1"})
NOT_STRETCHED = Note(
    Text("is no grey picture of 16 bits, so ", OptionName("stretch", "True"), " had no effect")
)

_StripConverter: TypeAlias = Callable[[Image.Image], Any]
"""Function from a strip of an image to an image, or to an array of the strip's size."""


@dataclass(frozen=True, slots=True)
class UprightPicture:
    """Upright sRGB pixels of an image, and what was found while they were converted.

    Attributes:
        transparent: Pixels with alpha below half; None if there are none, or none are looked for.
    """

    pixels: Pixels
    transparent: Mask | None
    notes: tuple[str, ...]


def upright_picture(
    image: Image.Image, *, orientation: int, name: str, masks: bool, stretch: bool
) -> UprightPicture:
    """Convert a loaded image to upright sRGB pixels, as ``upright_pixels`` does, with notes.

    Args:
        image: Loaded image, in its stored orientation.
        orientation: EXIF's orientation, 1 to 8.
        name: File, for messages.
        masks: Whether transparent pixels are looked for.
        stretch: Whether the 1st and 99th percentile of 16-bit grey become black and white.

    Raises:
        InputError: As of ``upright_pixels``, and if all pixels are transparent.
    """
    span, notes = None, []
    if stretch and _is_grey_16(image):
        span = grey_span(image, name, stretch=True)
        notes.append(
            f"its values {span[0]} to {span[1]} of 65535 were stretched to black and white"
        )
    elif stretch:
        notes.append(NOT_STRETCHED)
    signal = _signal_other_than_srgb(image)
    if signal is not None and signal.note is not None:
        notes.append(signal.note)
    # First, as a picture that is all transparent is refused whatever its values.
    transparent = _transparent_pixels(image, orientation, name) if masks else None
    pixels = upright_pixels(image, orientation=orientation, name=name, span=span)
    return UprightPicture(pixels, transparent, tuple(notes))


def upright_pixels(
    image: Image.Image, *, orientation: int, name: str, span: tuple[int, int] | None = None
) -> Pixels:
    """Convert a loaded image of any mode to upright sRGB pixels.

    Alpha is composited over white. 16-bit grey is divided by 257; of 16-bit colour Pillow delivers
    the upper 8 bits. Floats are 0 to 1.

    Args:
        image: Loaded image, in its stored orientation.
        orientation: EXIF's orientation, 1 to 8.
        name: File, for messages.
        span: Values of 16-bit grey that become black and white; None for 0 and 65535.

    Raises:
        InputError: If values are out of range, 16 bits span less than a 16th without ``span``, or
            the mode is unknown.
    """
    if span is None and _is_grey_16(image):
        grey_span(image, name)
    pixels = np.empty((*_upright_size(image, orientation), 3), np.uint8)
    to_srgb = _srgb_converter(image, name, span)
    _convert_strips(image, stored_view(pixels, orientation), to_srgb, name)
    return pixels


def _is_grey_16(image: Image.Image) -> bool:
    """Whether an image has 16-bit grey, which some decoders deliver in 32 bits."""
    return image.mode == "I" or image.mode in _GREY_16_MODES


def _transparent_pixels(image: Image.Image, orientation: int, name: str) -> Mask | None:
    """Find the upright pixels with alpha below half; None if there are none."""
    read_alpha = _alpha_reader(image)
    if read_alpha is None:
        return None
    mask = np.empty(_upright_size(image, orientation), bool)
    _convert_strips(
        image,
        stored_view(mask, orientation),
        lambda strip: read_alpha(strip) < _MIN_OPAQUE_ALPHA,
        name,
    )
    if mask.all():
        raise InputError(
            "all of its pixels are transparent, so it shows nothing",
            path=name,
            hint=Text("give ", OptionName("alpha", "keep"), " to read their colours over white"),
        )
    return mask if mask.any() else None


def _alpha_reader(image: Image.Image) -> Callable[[Image.Image], np.ndarray] | None:
    """Choose the function that reads the alpha of a strip; None for an opaque image."""
    last_band = image.getbands()[-1]
    if last_band in ("A", "a"):
        return lambda strip: np.asarray(strip.getchannel(last_band))
    transparent_level = image.info.get("transparency")
    if transparent_level is None:
        return None
    if image.mode in ("P", "RGB", "L", "1"):
        return lambda strip: np.asarray(strip.convert("RGBA").getchannel("A"))
    if _is_grey_16(image):
        return lambda strip: np.where(np.asarray(strip) == transparent_level, 0, 255).astype(
            np.uint8
        )
    return None


def _upright_size(image: Image.Image, orientation: int) -> tuple[int, int]:
    """Size (height, width) of an image once upright."""
    width, height = image.size
    return (width, height) if orientation >= 5 else (height, width)


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
        with one_line_errors(name):
            output[top:bottom] = np.asarray(convert(strip))


def stored_view(
    upright: Shaped[np.ndarray, "h w *c"], orientation: int
) -> Shaped[np.ndarray, "stored_h stored_w *c"]:
    """View upright pixels in the orientation of the file, to write into them as they are stored."""
    match orientation:
        case 2:
            return upright[:, ::-1]
        case 3:
            return upright[::-1, ::-1]
        case 4:
            return upright[::-1]
        case 5:
            return upright.swapaxes(0, 1)
        case 6:
            return np.rot90(upright)
        case 7:
            return upright[::-1, ::-1].swapaxes(0, 1)
        case 8:
            return np.rot90(upright, -1)
    return upright


def _srgb_converter(image: Image.Image, name: str, span: tuple[int, int] | None) -> _StripConverter:
    """Choose how strips of an image become sRGB, by its mode, colour signal and profile."""
    if span is None:
        mode, to_base_mode = _base_mode_converter(image, name)
    else:
        mode, to_base_mode = "L", _stretch_converter(span, name)
    signal = _signal_other_than_srgb(image)
    if signal is not None:
        return _signal_converter(signal, to_base_mode, name)
    profile_to_srgb = _profile_to_srgb_converter(mode, image.info.get("icc_profile"))
    if profile_to_srgb is not None:
        return lambda strip: profile_to_srgb(to_base_mode(strip))
    if mode == "LAB":
        raise InputError("this Pillow cannot convert LAB; export it as RGB first", path=name)
    if mode == "RGB":
        return to_base_mode
    return lambda strip: to_base_mode(strip).convert("RGB")


def _signal_other_than_srgb(image: Image.Image) -> ColourSignal | None:
    """Colour signal that the file states, unless it is that of sRGB."""
    signal = image.info.get("colour_signal")
    return signal if isinstance(signal, ColourSignal) and not signal.is_srgb else None


def _signal_converter(
    signal: ColourSignal, to_base_mode: Callable[[Image.Image], Image.Image], name: str
) -> _StripConverter:
    if signal.unread is not None:
        raise InputError(
            f"has {signal.unread}, which is not read; export it in sRGB first", path=name
        )

    def convert(strip: Image.Image) -> Pixels:
        codes_8_bit = np.asarray(to_base_mode(strip).convert("RGB"), np.uint16)
        return signal.to_srgb(codes_8_bit * np.uint16(257))

    return convert


def _base_mode_converter(
    image: Image.Image, name: str
) -> tuple[str, Callable[[Image.Image], Image.Image]]:
    """Choose how strips become opaque pixels of 8 bits, and the mode that they then have.

    The mode is RGB, L, CMYK or LAB: those for which colour profiles exist.
    """
    has_transparent_level = "transparency" in image.info
    match image.mode:
        case "RGBA" | "RGBa" | "PA":
            return "RGB", _flatten_on_white
        case "LA" | "La":
            return "L", lambda strip: _flatten_on_white(strip).convert("L")
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
        f"has pixels of kind '{image.mode}', which is not read; export it as RGB or grey",
        path=name,
    )


def _flatten_on_white(strip: Image.Image) -> Image.Image:
    if strip.mode == "La":
        strip = strip.convert("LA")
    rgba = strip.convert("RGBA")
    flat = Image.new("RGB", strip.size, _WHITE)
    flat.paste(rgba, mask=rgba.getchannel("A"))
    return flat


def _stretch_converter(span: tuple[int, int], name: str) -> Callable[[Image.Image], Image.Image]:
    """Make a function that maps a span of 16-bit grey to black and white."""
    low, high = span

    def convert(strip: Image.Image) -> Image.Image:
        brightness = (_check_grey_values(strip, MAX_16_BIT, name) - low) / max(high - low, 1)
        return Image.fromarray(np.rint(255 * brightness.clip(0, 1)).astype(np.uint8))

    return convert


def _scale_grey_to_8_bits(strip: Image.Image, white: int, name: str) -> Image.Image:
    values = _check_grey_values(strip, white, name)
    return Image.fromarray(np.rint(values * np.float32(255 / white)).astype(np.uint8))


def _check_grey_values(strip: Image.Image, white: int, name: str) -> np.ndarray:
    """Return the values of a strip of grey, after checking that they are 0 to ``white``."""
    values = np.asarray(strip, np.float32)
    # NaN fails every comparison, so it is found as well.
    outside = values[~((values >= 0) & (values <= white))]
    if outside.size:
        numbers = "floats" if strip.mode == "F" else "integers"
        raise InputError(
            f"has values such as {outside[0]:g}, but grey of {numbers} is read as 0 to {white}; "
            "scale it first",
            path=name,
        )
    return values


def _profile_to_srgb_converter(
    mode: str, profile: bytes | None
) -> Callable[[Image.Image], Image.Image] | None:
    """Make the conversion of a colour profile to sRGB, and of LAB without a profile.

    None where none is needed, or where the profile is broken or one for another colour space.
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
