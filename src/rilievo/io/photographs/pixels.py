"""Convert Pillow images of any mode to upright sRGB, in strips that need little memory."""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from rilievo.arrays.shapes import Mask, Pixels, Shaped
from rilievo.errors import InputError
from rilievo.errors.messages import Note, OptionName, Text
from rilievo.io.colour_signals import ColourSignal
from rilievo.io.photographs.decode import grey_span, one_line_errors

STRIP_PIXELS = 2_000_000
_GREY_16 = frozenset({"I;16", "I;16L", "I;16B", "I;16N"})
_FULL_16 = 65535
_WHITE = (255, 255, 255)
_HALF = 128
_SPACES = {"RGB": b"RGB ", "L": b"GRAY", "CMYK": b"CMYK"}
_SRGB_NAMES = frozenset({"sRGB", "sRGB built-in", "sRGB IEC61966-2.1"})
_HEADER = 128
NOT_STRETCHED = Note(
    Text("is no grey picture of 16 bits, so ", OptionName("stretch", "True"), " had no effect")
)


@dataclass(frozen=True, slots=True)
class UprightPicture:
    """Upright sRGB pixels, their transparent ones, and notes on the conversion."""

    pixels: Pixels
    transparent: Mask | None
    notes: tuple[str, ...]


def upright_picture(
    image: Image.Image, *, orientation: int, name: str, masks: bool, stretch: bool
) -> UprightPicture:
    """Convert a loaded image as ``upright_pixels`` does, with ``masks`` of transparent pixels.

    ``stretch`` makes the 1st and 99th percentile of 16-bit grey black and white.
    """
    span, notes = None, []
    if stretch and _is_grey_16(image):
        span = grey_span(image, name, stretch=True)
        notes.append(
            f"its values {span[0]} to {span[1]} of 65535 were stretched to black and white"
        )
    elif stretch:
        notes.append(NOT_STRETCHED)
    signal = _special_signal(image)
    if signal is not None and signal.note is not None:
        notes.append(signal.note)
    # First, as a picture that is all transparent is refused whatever its values.
    transparent = _transparent_pixels(image, orientation, name) if masks else None
    pixels = upright_pixels(image, orientation=orientation, name=name, span=span)
    return UprightPicture(pixels, transparent, tuple(notes))


def upright_pixels(
    image: Image.Image, *, orientation: int, name: str, span: tuple[int, int] | None = None
) -> Pixels:
    """Convert a loaded image to sRGB; ``span`` of 16 bits becomes black and white.

    Alpha is composited over white. 16-bit grey is divided by 257; of 16-bit colour Pillow delivers
    the upper 8. Floats are 0 to 1.

    Raises:
        InputError: If values are out of range, 16 bits span less than a 16th without ``span``, or
            the mode is unknown.
    """
    if span is None and _is_grey_16(image):
        grey_span(image, name)
    pixels = np.empty((*_upright_size(image, orientation), 3), np.uint8)
    _convert_strips(
        image, stored_view(pixels, orientation), _srgb_converter(image, name, span), name
    )
    return pixels


def _is_grey_16(image: Image.Image) -> bool:
    """Whether an image has grey of 16 bits, also in 32."""
    return image.mode == "I" or image.mode in _GREY_16


def _transparent_pixels(image: Image.Image, orientation: int, name: str) -> Mask | None:
    """Upright mask of alpha below half; None if there is none."""
    alpha = _alpha_reader(image)
    if alpha is None:
        return None
    mask = np.empty(_upright_size(image, orientation), bool)
    _convert_strips(image, stored_view(mask, orientation), lambda strip: alpha(strip) < _HALF, name)
    if mask.all():
        raise InputError(
            "all of its pixels are transparent, so it shows nothing",
            path=name,
            hint=Text("give ", OptionName("alpha", "keep"), " to read their colours over white"),
        )
    return mask if mask.any() else None


def _alpha_reader(image: Image.Image) -> Callable[[Image.Image], np.ndarray] | None:
    """Function from a strip to its alpha; None where opaque."""
    bands = image.getbands()
    if bands[-1] in ("A", "a"):
        return lambda strip: np.asarray(strip.getchannel(bands[-1]))
    level = image.info.get("transparency")
    if level is None:
        return None
    if image.mode in ("P", "RGB", "L", "1"):
        return lambda strip: np.asarray(strip.convert("RGBA").getchannel("A"))
    if _is_grey_16(image):
        return lambda strip: np.where(np.asarray(strip) == level, 0, _WHITE[0]).astype(np.uint8)
    return None


def _upright_size(image: Image.Image, orientation: int) -> tuple[int, int]:
    """Size (height, width) once upright."""
    width, height = image.size
    return (width, height) if orientation >= 5 else (height, width)


def _convert_strips(
    image: Image.Image, into: np.ndarray, convert: Callable[[Image.Image], Any], name: str
) -> None:
    width, height = image.size
    rows = max(1, STRIP_PIXELS // width)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        whole = bottom - top == height
        strip = image if whole else image.crop((0, top, width, bottom))
        with one_line_errors(name):
            into[top:bottom] = np.asarray(convert(strip))


def stored_view(
    upright: Shaped[np.ndarray, "h w *c"], orientation: int
) -> Shaped[np.ndarray, "stored_h stored_w *c"]:
    """View of upright pixels in the stored orientation."""
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


def _srgb_converter(
    image: Image.Image, name: str, span: tuple[int, int] | None
) -> Callable[[Image.Image], Any]:
    mode, to_base = (
        _base_mode_converter(image, name) if span is None else ("L", _stretch_converter(span, name))
    )
    signal = _special_signal(image)
    if signal is not None:
        return _signal_converter(signal, to_base, name)
    in_srgb = _profile_to_srgb_converter(mode, image.info.get("icc_profile"))
    if in_srgb is not None:
        return lambda strip: in_srgb(to_base(strip))
    if mode == "LAB":
        raise InputError("this Pillow cannot convert LAB; export it as RGB first", path=name)
    if mode == "RGB":
        return to_base
    return lambda strip: to_base(strip).convert("RGB")


def _special_signal(image: Image.Image) -> ColourSignal | None:
    """Signal that a file states, if it is not read as sRGB."""
    signal = image.info.get("colour_signal")
    return signal if isinstance(signal, ColourSignal) and not signal.is_srgb else None


def _signal_converter(
    signal: ColourSignal, to_base: Callable[[Image.Image], Image.Image], name: str
) -> Callable[[Image.Image], Any]:
    if signal.unread is not None:
        raise InputError(
            f"has {signal.unread}, which is not read; export it in sRGB first", path=name
        )

    def convert(strip: Image.Image) -> Pixels:
        codes = np.asarray(to_base(strip).convert("RGB"), np.uint16)
        return signal.to_srgb(codes * np.uint16(257))

    return convert


def _base_mode_converter(
    image: Image.Image, name: str
) -> tuple[str, Callable[[Image.Image], Image.Image]]:
    transparent = "transparency" in image.info
    match image.mode:
        case "RGBA" | "RGBa" | "PA":
            return "RGB", _flatten_on_white
        case "LA" | "La":
            return "L", lambda strip: _flatten_on_white(strip).convert("L")
        case "P" | "RGB" | "L" | "1" if transparent:
            return "RGB", _flatten_on_white
        case "RGB" | "L" | "CMYK" | "LAB":
            return image.mode, lambda strip: strip
        case "1":
            return "L", lambda strip: strip.convert("L")
        case "P" | "RGBX" | "YCbCr" | "HSV":
            return "RGB", lambda strip: strip.convert("RGB")
        case "I" | "F":
            return "L", lambda strip: _scale_grey_to_8_bits(
                strip, _FULL_16 if strip.mode == "I" else 1, name
            )
        case mode if mode in _GREY_16:
            return "L", lambda strip: _scale_grey_to_8_bits(strip, _FULL_16, name)
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
    low, high = span

    def convert(strip: Image.Image) -> Image.Image:
        share = (_check_grey_values(strip, _FULL_16, name) - low) / max(high - low, 1)
        return Image.fromarray(np.rint(255 * share.clip(0, 1)).astype(np.uint8))

    return convert


def _scale_grey_to_8_bits(strip: Image.Image, top: int, name: str) -> Image.Image:
    values = _check_grey_values(strip, top, name)
    return Image.fromarray(np.rint(values * np.float32(255 / top)).astype(np.uint8))


def _check_grey_values(strip: Image.Image, top: int, name: str) -> np.ndarray:
    values = np.asarray(strip, np.float32)
    # NaN fails every comparison, so it is found as well.
    wrong = values[~((values >= 0) & (values <= top))]
    if wrong.size:
        raise InputError(
            (
                f"has values such as {wrong[0]:g}, but grey of "
                f"{'floats' if strip.mode == 'F' else 'integers'} is read as 0 to "
                f"{top}; scale it first"
            ),
            path=name,
        )
    return values


def _profile_to_srgb_converter(
    mode: str, profile: bytes | None
) -> Callable[[Image.Image], Image.Image] | None:
    # None for sRGB, and for a foreign or broken profile.
    if mode != "LAB" and (
        not profile
        or profile[16:20] != _SPACES.get(mode)
        or _profile_description(profile) in _SRGB_NAMES
    ):
        return None
    from PIL import ImageCms

    try:
        source = (
            ImageCms.createProfile("LAB")
            if mode == "LAB"
            else ImageCms.ImageCmsProfile(BytesIO(profile or b""))
        )
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    return transform.point


def _profile_description(profile: bytes) -> str | None:
    # ICC.1:2022, 'desc', without loading lcms.
    try:
        (count,) = struct.unpack_from(">I", profile, _HEADER)
        for tag in range(min(count, 100)):
            name, at, _ = struct.unpack_from(">4sII", profile, _HEADER + 4 + 12 * tag)
            if name == b"desc":
                break
        else:
            return None
        if profile[at : at + 4] == b"desc":  # version 2: ASCII, its length counts a final zero
            (length,) = struct.unpack_from(">I", profile, at + 8)
            return profile[at + 12 : at + 12 + length].rstrip(b"\0").decode("ascii")
        # Version 4 has a table of languages; the first one is used.
        length, offset = struct.unpack_from(">II", profile, at + 20)
        return profile[at + offset : at + offset + length].decode("utf-16-be").rstrip("\0")
    except (struct.error, UnicodeDecodeError):
        return None
