"""Number of scans in a JPEG file, since each scan costs a pass over all pixels.

A progressive JPEG has about ten scans. A file of a few kilobytes can state thousands, and would
occupy a decoder for minutes.
"""

import re
from io import BufferedReader, BytesIO

from rilievo.errors import InputError

MAX_SCANS = 100
_SCAN_MARKER = b"\xff\xda"
_CHUNK_BYTES = 2**22
_MAX_SEGMENTS = 10_000  # more are not followed one by one

_MARKER = re.compile(rb"\xff[\x02-\xcf\xd8-\xfe]")
"""Markers that a length follows, and SOI and EOI. FF00 is a byte of pixels and FFFF is padding."""
_START_OF_IMAGE, _END_OF_IMAGE, _START_OF_SCAN = 0xD8, 0xD9, 0xDA
_FIRST_DEFINED_MARKER = 0xC0


def check_jpeg_scans(file: BufferedReader | BytesIO, name: str) -> None:
    """Refuse a JPEG file of more than ``MAX_SCANS`` scans; the file's position changes.

    Raises:
        InputError: If it has more.
    """
    # The two bytes of a scan's marker also occur elsewhere, so they are an upper bound that is
    # cheap to count. Nearly all files stay below the limit even so.
    if _marker_bytes_count(file) <= MAX_SCANS:
        return
    file.seek(0)
    count = _scan_count(file.read())
    if count > MAX_SCANS:
        raise InputError(
            f"this JPEG file has {count} scans, expected at most {MAX_SCANS}; export it anew as "
            "JPEG or PNG",
            path=name,
        )


def _marker_bytes_count(file: BufferedReader | BytesIO) -> int:
    """Count the two bytes of a scan's marker anywhere in a file."""
    file.seek(0)
    count = 0
    last_byte = b""
    while chunk := file.read(_CHUNK_BYTES):
        across_border = last_byte + chunk[:1]
        count += chunk.count(_SCAN_MARKER) + across_border.count(_SCAN_MARKER)
        last_byte = chunk[-1:]
    return count


def _scan_count(content: bytes) -> int:
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
    # The segments make no sense, so the cheap count stands.
    return content.count(_SCAN_MARKER)
