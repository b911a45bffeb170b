"""Colour profiles: what turns the colours of a photograph into sRGB."""

import struct
from collections.abc import Callable
from io import BytesIO

from PIL import Image

_SPACES = {"RGB": b"RGB ", "L": b"GRAY", "CMYK": b"CMYK"}
"""Signature of the colour space in a profile, for the modes of Pillow that we convert."""

_SRGB_NAMES = frozenset({"sRGB", "sRGB built-in", "sRGB IEC61966-2.1"})
"""Profiles that need no conversion; others that equal sRGB only cost time."""

_HEADER = 128
"""Bytes before the table of tags."""


def converter_to_srgb(
    mode: str, profile: bytes | None
) -> Callable[[Image.Image], Image.Image] | None:
    """What turns images of a mode and a profile into RGB images in sRGB.

    Args:
        mode: "RGB", "L", "CMYK", or "LAB", which needs no profile.
        profile: An ICC profile, as image files hold it.

    Returns:
        None where there is nothing to convert: no profile, sRGB, a profile of another mode, or
        one that is broken: the colours are then a little off, which is no reason to refuse.
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
    """The name that a profile gives itself (ICC.1:2022, tag 'desc'); None if it cannot be read.

    Read here since loading lcms for it would take longer than decoding a photograph.
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
        # Version 4: a table of languages, of which the first will do.
        length, offset = struct.unpack_from(">II", profile, at + 20)
        return profile[at + offset : at + offset + length].decode("utf-16-be").rstrip("\0")
    except (struct.error, UnicodeDecodeError):
        return None
