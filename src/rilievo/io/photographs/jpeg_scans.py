"""Limit of the scans in a JPEG file, because each scan costs a pass over all pixels.

A progressive JPEG has about ten scans. A file of a few kilobytes can state thousands, and would
occupy a decoder for minutes.
"""

import re
from io import BufferedReader, BytesIO

from rilievo.errors import InputError

MAX_SCANS = 100
_SCAN_MARKER = b"\xff\xda"
_CHUNK_BYTES = 2**22
_MAX_SEGMENTS = 10_000  # that are followed one by one

_MARKER = re.compile(rb"\xff[\x02-\xcf\xd8-\xfe]")
"""Markers that a length follows, and SOI and EOI. FF00 is a byte of pixels and FFFF is padding."""
_START_OF_IMAGE, _END_OF_IMAGE, _START_OF_SCAN = 0xD8, 0xD9, 0xDA
_FIRST_DEFINED_MARKER = 0xC0


def check_jpeg_scans(file: BufferedReader | BytesIO, name: str) -> None:
    """Raise ``InputError`` if a JPEG has more than ``MAX_SCANS`` scans; the position changes."""
    # The two bytes of a scan's marker may also occur elsewhere, so their number is an upper limit.
    # It is cheap to count, and nearly all files stay below the limit.
    if _count_marker_bytes(file) <= MAX_SCANS:
        return
    file.seek(0)
    count = _count_scans(file.read())
    if count > MAX_SCANS:
        raise InputError(
            f"this JPEG file has {count} scans; expected at most {MAX_SCANS}: export it again as "
            "JPEG or PNG",
            path=name,
        )


def _count_marker_bytes(file: BufferedReader | BytesIO) -> int:
    """Count how often the two bytes of a scan's marker occur anywhere in a file."""
    file.seek(0)
    count = 0
    last_byte = b""
    while chunk := file.read(_CHUNK_BYTES):
        across_border = last_byte + chunk[:1]
        count += chunk.count(_SCAN_MARKER) + across_border.count(_SCAN_MARKER)
        last_byte = chunk[-1:]
    return count


def _count_scans(content: bytes) -> int:
    """Count the scans of a JPEG file's first picture, by following its segments."""
    count = 0
    position = 0
    for _ in range(_MAX_SEGMENTS):
        match = _MARKER.search(content, position)
        if match is None:
            return count
        position = match.end()
        marker = content[position - 1]
        if marker == _END_OF_IMAGE:
            return count
        if marker < _FIRST_DEFINED_MARKER:
            break
        if marker == _START_OF_SCAN:
            count += 1
        if marker != _START_OF_IMAGE:
            length = int.from_bytes(content[position : position + 2], "big")
            position += length
    # The segments are broken, so the upper limit is returned.
    return content.count(_SCAN_MARKER)
