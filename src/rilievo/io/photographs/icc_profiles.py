"""Tags of ICC profiles (ICC.1:2022), read without loading lcms."""

import struct
from collections.abc import Iterator

_HEADER_BYTES = 128
_ENTRY_BYTES = 12  # of a tag in the table that follows the header
_MAX_TAGS = 100


def icc_tags(profile: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield the names and offsets [bytes] of a profile's tags.

    Raises:
        struct.error: If the profile is cut short.
    """
    (count,) = struct.unpack_from(">I", profile, _HEADER_BYTES)
    for index in range(min(count, _MAX_TAGS)):
        entry = _HEADER_BYTES + 4 + _ENTRY_BYTES * index
        name, offset, _ = struct.unpack_from(">4sII", profile, entry)
        yield name, offset


def profile_description(profile: bytes) -> str | None:
    """Read the name of a profile from its tag ``desc``; None if it cannot be read."""
    try:
        offset = next((offset for name, offset in icc_tags(profile) if name == b"desc"), None)
        if offset is None:
            return None
        is_version_2 = profile[offset : offset + 4] == b"desc"
        if is_version_2:  # ASCII text, whose length includes a final zero
            (length,) = struct.unpack_from(">I", profile, offset + 8)
            ascii_text = profile[offset + 12 : offset + 12 + length]
            return ascii_text.rstrip(b"\0").decode("ascii")
        # Version 4 has a table of languages; the first one is used.
        length, text_offset = struct.unpack_from(">II", profile, offset + 20)
        utf_16_text = profile[offset + text_offset : offset + text_offset + length]
        return utf_16_text.decode("utf-16-be").rstrip("\0")
    except (struct.error, UnicodeDecodeError):
        return None
