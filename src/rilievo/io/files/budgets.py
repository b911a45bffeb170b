"""Bounds on what a file may unpack to, checked before or while it is unpacked.

A reader either knows from a header how many bytes it is about to make (``check_unpacked``), or it
reads from a stream that stops (``BoundedReader``). ``tests/reader_table.toml`` has each reader's.
"""

import io
import math


def check_unpacked(what: str, *counts: int, most_bytes: int) -> None:
    """Refuse what unpacks to too many bytes.

    Args:
        what: Name of the part of the file, in the message.
        counts: Numbers whose product is the size [bytes], such as height, width, channels and bytes
            a value.
        most_bytes: Largest size.

    Raises:
        ValueError: If a number is negative, or the size is above the bound.
    """
    size = math.prod(counts)
    if min(counts) < 0 or size > most_bytes:
        raise ValueError(
            f"{what} unpacks to {size / 1e6:.1f} MB, at most {most_bytes / 1e6:.1f} MB are expected"
        )


class BoundedReader(io.RawIOBase):
    """Binary stream of what another one unpacks, which fails after so many bytes."""

    def __init__(self, stream: io.BufferedIOBase, what: str, *, most_bytes: int) -> None:
        self._stream, self._what = stream, what
        self._most = self._left = most_bytes

    def readable(self) -> bool:
        """Whether it can be read."""
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        """Read into memory; returns the number of bytes.

        Raises:
            ValueError: If more bytes than the bound are there.
        """
        count = self._stream.readinto(memoryview(buffer)[: self._left + 1])
        self._left -= count
        if self._left < 0:
            raise ValueError(f"{self._what} unpacks to more than {self._most / 1e6:.1f} MB")
        return count
