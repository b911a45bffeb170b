"""Limits of inputs, checked before anything is read or unpacked, and the system's errors in words.

``tests/support/reader_table.toml`` has the bound of each reader.
"""

import io
import math
import os
import stat
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from rilievo.errors import InputError, MissingFileError
from rilievo.io.files.names import printable

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


MIN_SIDE = 32
"""Fewest pixels a side that show a scene."""
MAX_PIXELS = 100 * 2**20
"""Most pixels; "100 megapixels" (11648x8736) pass."""
MAX_BYTES = 2**30
"""Largest file: above ``MAX_PIXELS`` with alpha at 16 bits."""
MAX_TEXT_BYTES = 64 * 2**20

_MAX_DIGITS = 18
"""Most digits of a whole number that fits into 64 bits, whatever its digits."""
_FILE_TYPES = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
_MAX_TRIES = 20
"""Tries of a read: each fails independently, so that 20 failures do not happen."""


def is_whole(word: str) -> bool:
    """Whether a word is a whole number of at most 18 digits."""
    return len(word) <= _MAX_DIGITS and word.isdecimal()


def exists(path: Path) -> bool:
    """Whether a path exists, whatever its characters."""
    try:
        return path.exists()
    except (OSError, ValueError):  # such as a name that is too long
        return False


def check_regular(path: Path | str) -> int:
    """Size [bytes] of a regular file.

    Raises:
        InputError: If it is missing, empty, or anything else, such as a pipe, which would block.
    """
    try:
        status = os.stat(path)
    except FileNotFoundError as error:
        raise MissingFileError(_missing_file_words(path), path=path) from error
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be reached ({reason(error)})", path=path) from error
    if not stat.S_ISREG(status.st_mode):
        file_type = _FILE_TYPES.get(stat.S_IFMT(status.st_mode), "not a file")
        raise InputError(f"is {file_type}; a regular file is expected", path=path)
    if not status.st_size:
        raise InputError("is empty (0 bytes); fetch it again", path=path)
    return status.st_size


def read_text(path: Path) -> str:
    """Read a small text file in UTF-8.

    Raises:
        InputError: If it is missing, larger than ``MAX_TEXT_BYTES``, or in another encoding.
    """
    name, size = printable(path), check_regular(path)
    if size > MAX_TEXT_BYTES:
        raise InputError(
            f"has {size / 2**20:.0f} MiB, expected a text of at most "
            f"{MAX_TEXT_BYTES / 2**20:g} MiB",
            path=name,
        )
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot be read ({reason(error)})", path=name) from error
    except UnicodeDecodeError as error:
        raise InputError(f"is not UTF-8 text (byte {error.start})", path=name) from error


def check_size(name: str, size: tuple[int, int], *, max_pixels: int = MAX_PIXELS) -> None:
    """Refuse an image too small for a scene or too large for memory.

    Args:
        name: What errors call it.
        size: Height and width [px].
        max_pixels: Most pixels.

    Raises:
        InputError: If it is either.
    """
    height, width = size
    if min(height, width) < MIN_SIDE:
        raise InputError(
            f"is {width} x {height} pixels (width x height), but each "
            f"side needs at least {MIN_SIDE}",
            path=name,
        )
    if height * width > max_pixels:
        raise InputError(
            f"is {width} x {height} pixels ({height * width / 1e6:.1f} "
            f"million), above the limit of {max_pixels / 1e6:.1f} million; "
            "make it smaller first",
            path=name,
        )


def reason(error: BaseException) -> str:
    """First line of an error's message."""
    if isinstance(error, UnicodeDecodeError):
        return "not text in UTF-8"
    words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    lines = words.strip().splitlines()
    return printable(lines[0])[:160] if lines else type(error).__name__


def unreadable(error: OSError, path: Path | str) -> InputError:
    """Convert an error of the system to ours."""
    name = printable(os.fsdecode(error.filename) if error.filename else path)
    shown = name if len(name) <= 1000 else f"{name[:200]}..."
    return InputError(f"cannot be read ({reason(error)})", path=shown)


def _missing_file_words(path: Path | str) -> str:
    if os.path.islink(path):
        return f"is a link to '{printable(os.readlink(path))}', which does not exist"
    if "://" in str(path) or ":/" in str(path)[2:8]:
        return "is an address, not a file; download it first, rilievo works offline"
    return "no such file"


def retry_miscounted(
    read: Callable[Arguments, Result],
) -> Callable[Arguments, Result]:
    """Retry a read that fails by Python 3.11's miscount of a depth (CPython issue 106905)."""

    @wraps(read)
    def retrying_read(*args: Arguments.args, **options: Arguments.kwargs) -> Result:
        for _ in range(_MAX_TRIES - 1):
            try:
                return read(*args, **options)
            except SystemError as error:
                if "recursion depth" not in str(error):
                    raise
        return read(*args, **options)

    return retrying_read


def check_unpacked(what: str, *counts: int, most_bytes: int) -> None:
    """Refuse data that unpack to too many bytes.

    Args:
        what: What the message calls them.
        counts: Numbers whose product is their size, such as height, width and bytes of a pixel.
        most_bytes: Largest size.

    Raises:
        ValueError: If they are larger, or a number is negative.
    """
    size = math.prod(counts)
    if min(counts) < 0 or size > most_bytes:
        raise ValueError(
            f"{what} unpacks to {size / 1e6:.1f} MB, at most {most_bytes / 1e6:.1f} MB are expected"
        )


class BoundedReader(io.RawIOBase):
    """Stream that fails after so many bytes."""

    def __init__(self, stream: io.BufferedIOBase, what: str, *, most_bytes: int) -> None:
        self._stream, self._what = stream, what
        self._most_bytes, self._bytes_left = most_bytes, most_bytes

    def readable(self) -> bool:
        """Whether it can be read."""
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Read into memory.

        Raises:
            ValueError: If there are more bytes.
        """
        count = self._stream.readinto(memoryview(buffer)[: self._bytes_left + 1])
        self._bytes_left -= count
        if self._bytes_left < 0:
            raise ValueError(f"{self._what} unpacks to more than {self._most_bytes / 1e6:.1f} MB")
        return count
