"""Further pictures in a JPEG file, found by its index (CIPA DC-007, MPF)."""

import struct
from collections.abc import Iterator
from io import BufferedReader, BytesIO

from PIL import Image

_ENTRIES, _ENTRY_BYTES = 0xB002, 16
_MOST_PICTURES = 16
"""Most pictures read from an index. Cameras write two to four; a hostile index lists thousands."""


def other_pictures(image: Image.Image, file: BufferedReader | BytesIO) -> Iterator[bytes]:
    """Yield the content of every picture but the first; nothing where the index is broken.

    Args:
        image: Image with the index, as Pillow opened it.
        file: File that the image was read from.
    """
    index, start = image.info["mp"], image.info["mpoffset"]
    try:
        places = _places(index)
    except struct.error:
        # Editors copy the index even when they drop the other pictures.
        return
    size = file.seek(0, 2)
    for offset, length in places[1:_MOST_PICTURES]:
        if start + offset + length > size:
            continue
        file.seek(start + offset)
        yield file.read(length)


def _places(index: bytes) -> list[tuple[int, int]]:
    """Offset from the start of the index, and length, of every picture."""
    order = ">" if index[:2] == b"MM" else "<"
    [directory] = struct.unpack_from(f"{order}L", index, 4)
    [count] = struct.unpack_from(f"{order}H", index, directory)
    for number in range(count):
        tag, _, length, value = struct.unpack_from(
            f"{order}HHLL", index, directory + 2 + 12 * number
        )
        if tag == _ENTRIES:
            places = range(value, value + length, _ENTRY_BYTES)
            each = (struct.unpack_from(f"{order}LLL", index, place) for place in places)
            return [(offset, size) for _, size, offset in each]
    return []
