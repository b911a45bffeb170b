"""Number of scans of a JPEG file, which is bounded: each costs a pass over all pixels.

A progressive file may hold as many scans as fit, and one that changes nothing takes 14 bytes. Some
kilobytes could so cost minutes. Programs write about ten. The limit is the one that the authors of
libjpeg-turbo propose (``djpeg -maxscans``).
"""

import re
from io import BufferedReader, BytesIO

from rilievo.errors import InputError

MOST_SCANS = 100

_SCAN = b"\xff\xda"
_CHUNK = 2**22
# Markers but those without a length (TEM, RST0 to RST7); FF00 is a byte of pixels, FFFF padding.
_MARKER = re.compile(rb"\xff[\x02-\xcf\xd8-\xfe]")
_START, _END, _HEADER_OF_SCAN = 0xD8, 0xD9, 0xDA
_FIRST_KNOWN = 0xC0
_MOST_SEGMENTS = 10_000
"""Most segments that are walked over, so that counting is bounded too."""


def check_scans(file: BufferedReader | BytesIO, name: str) -> None:
    """Refuse a JPEG file with more scans than programs write.

    Args:
        file: The file; its position is changed.
        name: Name of the file in messages.

    Raises:
        InputError: If it has more than ``MOST_SCANS``.
    """
    # Nearly all files have fewer even of the two bytes, so that these alone are looked for.
    if _count_bytes(file) <= MOST_SCANS:
        return
    file.seek(0)
    count = _count(file.read())
    if count > MOST_SCANS:
        raise InputError(
            f"{name}: this JPEG file has {count} scans, expected at most {MOST_SCANS}; "
            "export it anew as JPEG or PNG"
        )


def _count_bytes(file: BufferedReader | BytesIO) -> int:
    file.seek(0)
    count, last = 0, b""
    while chunk := file.read(_CHUNK):
        count += chunk.count(_SCAN) + (last + chunk[:1]).count(_SCAN)
        last = chunk[-1:]
    return count


def _count(content: bytes) -> int:
    """Scans of the first picture; whatever follows its end, such as a video, does not count.

    Where markers are of a kind that libjpeg refuses, or passes over without regard to their
    length, all that may be scans are counted.
    """
    count = at = 0
    for _ in range(_MOST_SEGMENTS):
        found = _MARKER.search(content, at)
        if found is None:
            return count
        marker, at = content[found.end() - 1], found.end()
        if marker == _END:
            return count
        if marker < _FIRST_KNOWN:
            break
        count += marker == _HEADER_OF_SCAN
        if marker != _START:
            at += int.from_bytes(content[at : at + 2], "big")
    return content.count(_SCAN)
