"""Limits of inputs, checked before anything is read or unpacked, and messages for system errors.

``tests/support/reader_table.toml`` lists the limit of each reader.
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
from rilievo.errors.messages import format_beyond
from rilievo.io.files.names import printable

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


MIN_SIDE = 32
"""Fewest pixels along a side that can show a scene."""
MAX_PIXELS = 100 * 2**20
"""Most pixels of a picture; cameras with "100 megapixels" (11648x8736) stay below it."""
MAX_BYTES = 2**30
"""Largest file; ``MAX_PIXELS`` with alpha at 16 bits are smaller."""
MAX_TEXT_BYTES = 64 * 2**20

_MAX_DIGITS = 18
"""Most digits with which every whole number fits into 64 bits."""
_FILE_TYPES = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
_MAX_TRIES = 20
"""Tries of a read; they fail independently, so 20 failures in a row do not happen."""


def is_whole(word: str) -> bool:
    """Whether a word is a whole number of at most 18 digits."""
    return len(word) <= _MAX_DIGITS and word.isdecimal()


def exists(path: Path) -> bool:
    """Whether a path exists; False for a name that the system refuses."""
    try:
        return path.exists()
    except (OSError, ValueError):  # such as a name that is too long
        return False


def check_regular(path: Path | str) -> int:
    """Check that a path is a regular file that is not empty, and return its size [bytes].

    Raises:
        InputError: If it is missing, empty, or something else, such as a pipe, which would block.
    """
    try:
        status = os.stat(path)
    except FileNotFoundError as error:
        raise MissingFileError(_describe_missing_file(path), path=path) from error
    except (OSError, ValueError) as error:
        raise InputError(f"the path cannot be reached ({reason(error)})", path=path) from error
    if not stat.S_ISREG(status.st_mode):
        file_type = _FILE_TYPES.get(stat.S_IFMT(status.st_mode), "not a file")
        raise InputError(f"this is {file_type}; expected a regular file", path=path)
    if not status.st_size:
        raise InputError("the file is empty (0 bytes); copy or download it again", path=path)
    return status.st_size


def read_text(path: Path) -> str:
    """Read a small text file in UTF-8.

    Raises:
        InputError: If it is missing, larger than ``MAX_TEXT_BYTES``, or in another encoding.
    """
    name, size = printable(path), check_regular(path)
    if size > MAX_TEXT_BYTES:
        raise InputError(
            f"the file has {format_beyond(size / 2**20, MAX_TEXT_BYTES / 2**20)} MiB; expected a "
            f"text file of at most {MAX_TEXT_BYTES / 2**20:g} MiB",
            path=name,
        )
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"the file cannot be read ({reason(error)})", path=name) from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"the file is not UTF-8 text (byte {error.start}); save it as UTF-8", path=name
        ) from error


def check_size(name: str, size: tuple[int, int], *, max_pixels: int = MAX_PIXELS) -> None:
    """Raise ``InputError`` if an image (height, width) is too small for a scene or too large."""
    height, width = size
    if min(height, width) < MIN_SIDE:
        raise InputError(
            f"the image is {width} x {height} pixels (width x height), but each "
            f"side needs at least {MIN_SIDE} pixels",
            path=name,
        )
    if height * width > max_pixels:
        millions = format_beyond(height * width / 1e6, max_pixels / 1e6, decimals=1)
        raise InputError(
            f"the image is {width} x {height} pixels ({millions} million), above the limit of "
            f"{max_pixels / 1e6:.1f} million; resize it first",
            path=name,
        )


def reason(error: BaseException) -> str:
    """First line of an error's message, at most 160 characters of it."""
    if isinstance(error, UnicodeDecodeError):
        return "not text in UTF-8"
    message = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    lines = message.strip().splitlines()
    return printable(lines[0])[:160] if lines else type(error).__name__


def unreadable(error: OSError, path: Path | str) -> InputError:
    """Convert an error of the system to an ``InputError``."""
    name = printable(os.fsdecode(error.filename) if error.filename else path)
    shown_name = name if len(name) <= 1000 else f"{name[:200]}..."
    return InputError(f"the file cannot be read ({reason(error)})", path=shown_name)


def _describe_missing_file(path: Path | str) -> str:
    if os.path.islink(path):
        return f"this is a link to '{printable(os.readlink(path))}', which does not exist"
    if "://" in str(path) or ":/" in str(path)[2:8]:
        return "this is a URL, not a file; download it first"
    return "no such file"


def retry_miscounted(read: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Retry a read that fails because Python 3.11 miscounts the recursion depth of its parser.

    See CPython issue 106905.
    """

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


def check_unpacked(subject: str, *factors: int, most_bytes: int) -> None:
    """Check that data do not unpack to too many bytes.

    Args:
        subject: Subject of the message, such as "the image".
        factors: Numbers whose product is the size, such as height, width and bytes per pixel.
        most_bytes: Largest size.

    Raises:
        ValueError: If the size is larger, or a factor is negative.
    """
    size = math.prod(factors)
    if min(factors) < 0 or size > most_bytes:
        raise ValueError(
            f"{subject} unpacks to {format_beyond(size / 1e6, most_bytes / 1e6, decimals=1)} MB; "
            f"expected at most {most_bytes / 1e6:.1f} MB"
        )


class BoundedReader(io.RawIOBase):
    """Stream that raises ``ValueError`` after ``most_bytes``; ``subject`` begins the message."""

    def __init__(self, stream: io.BufferedIOBase, subject: str, *, most_bytes: int) -> None:
        self._stream = stream
        self._subject = subject
        self._most_bytes = most_bytes
        self._bytes_left = most_bytes

    def readable(self) -> bool:
        """Whether it can be read."""
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Read into memory.

        Raises:
            ValueError: If there are more bytes than allowed.
        """
        # One byte more than is allowed shows whether there are more.
        count = self._stream.readinto(memoryview(buffer)[: self._bytes_left + 1])
        self._bytes_left -= count
        if self._bytes_left < 0:
            raise ValueError(
                f"{self._subject} unpacks to more than {self._most_bytes / 1e6:.1f} MB"
            )
        return count
