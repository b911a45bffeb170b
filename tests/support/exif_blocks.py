"""EXIF by hand, and a picture for it."""

import struct
from io import BytesIO

import numpy as np
from PIL import Image

WHOLE = (1200, 900)
"""Width and height of the original."""
FILM = 28


def scene(size: tuple[int, int] = WHOLE) -> Image.Image:
    """A picture with different content in each part."""
    noise = np.random.default_rng(0).integers(0, 255, (9, 12, 3)).astype(np.uint8)
    return Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)


def exif_block(
    *,
    stated: tuple[int, int] | None = WHOLE,
    thumbnail: Image.Image | None = None,
    orientation: int = 1,
    zoom: float | None = None,
    sensor: bool = False,
) -> bytes:
    """EXIF by hand: 28 mm of 35 mm film, with a thumbnail in its second directory."""
    short, long, ratio = 3, 4, 5
    entries: list[tuple[int, int, float]] = [(0xA405, short, FILM)]
    if stated is not None:
        entries += [(0xA002, long, stated[0]), (0xA003, long, stated[1])]
    if zoom is not None:
        entries.append((0xA404, ratio, zoom))
    if sensor:
        entries = [entry for entry in entries if entry[0] != 0xA405]
        # 6 mm, and 1,200 pixels in the 17.3 mm of a sensor of Four Thirds.
        plane = 1200 / 17.3
        entries += [(0x920A, ratio, 6.0), (0xA20E, ratio, plane), (0xA20F, ratio, plane)]
        entries.append((0xA210, short, 4))
    pixels = BytesIO()
    if thumbnail is not None:
        thumbnail.save(pixels, "JPEG")

    tags_at = 8 + 2 + 2 * 12 + 4
    ratios_at = tags_at + 2 + 12 * len(entries) + 4
    first_at = ratios_at + 8 * sum(kind == ratio for _, kind, _ in entries)
    pixels_at = first_at + 2 + 2 * 12 + 4
    next_directory = first_at if thumbnail is not None else 0
    content = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", 2)
    content += struct.pack("<HHIHH", 0x0112, short, 1, orientation, 0)
    content += struct.pack("<HHII", 0x8769, long, 1, tags_at) + struct.pack("<I", next_directory)
    content += struct.pack("<H", len(entries))
    ratios = b""
    for tag, kind, number in sorted(entries):
        if kind == ratio:
            value = ratios_at + len(ratios)
            ratios += struct.pack("<II", round(number * 10_000), 10_000)
        else:
            value = int(number)
        content += struct.pack("<HHII", tag, kind, 1, value)
    content += struct.pack("<I", 0) + ratios
    content += struct.pack("<H", 2) + struct.pack("<HHII", 0x0201, long, 1, pixels_at)
    content += struct.pack("<HHII", 0x0202, long, 1, len(pixels.getvalue())) + struct.pack("<I", 0)
    return b"Exif\0\0" + content + pixels.getvalue()
