"""Conversion of photographs to sRGB by their colour profiles."""

import struct
from collections.abc import Callable
from io import BytesIO

from PIL import Image

_SPACES = {"RGB": b"RGB ", "L": b"GRAY", "CMYK": b"CMYK"}
"""Signature of the colour space in a profile, for the modes of Pillow that are converted."""

_SRGB_NAMES = frozenset({"sRGB", "sRGB built-in", "sRGB IEC61966-2.1"})
"""Names of profiles that need no conversion; others that equal sRGB only cost time."""

_HEADER = 128
"""Number of bytes before the table of tags."""


def converter_to_srgb(
    mode: str, profile: bytes | None
) -> Callable[[Image.Image], Image.Image] | None:
    """Make the function that converts images of a mode and a profile to RGB in sRGB.

    Args:
        mode: "RGB", "L", "CMYK", or "LAB", which needs no profile.
        profile: ICC profile as stored in image files.

    Returns:
        The function; None where there is nothing to convert: no profile, sRGB, a profile of another
        mode, or a broken one. Colours are then slightly off, which is no reason to refuse a
        photograph.
    """
    if mode != "LAB" and (
        not profile or profile[16:20] != _SPACES.get(mode) or _description(profile) in _SRGB_NAMES
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


def _description(profile: bytes) -> str | None:
    """Name stored in a profile (ICC.1:2022, tag 'desc'); None if it cannot be read.

    Parsed here because loading lcms for it would take longer than decoding a photograph.
    """
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
