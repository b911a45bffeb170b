"""What an input may be, whatever its format: a regular file, of a size that we can work on."""

import os
import stat
from pathlib import Path

from rilievo.errors import InputError, MissingFileError

MIN_SIDE = 32
"""Fewest pixels along either side: below, no network sees a scene."""

MAX_PIXELS = 100 * 2**20
"""Most pixels of one image. Counted in binary, so that cameras sold as 100 megapixels
(11648 x 8736) pass."""

MAX_BYTES = 2**30
"""Largest file that a decoder is handed which reads it as a whole: above what ``MAX_PIXELS`` take
uncompressed, at 16 bits and with alpha."""

MAX_TEXT_BYTES = 64 * 2**20
"""Largest file of text that is read as a whole: hours of video have a JSON of a few megabytes."""

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def printable(path: Path | str) -> str:
    """The path as messages show it: on one line, whatever characters it has."""
    text = str(path)
    if text.isprintable():
        return text or "''"
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


def check_regular(path: Path | str) -> int:
    """Refuse what is no regular file before it is opened: opening a pipe would wait for ever.

    Returns:
        Its size [bytes], at least 1.

    Raises:
        MissingFileError: If the path does not exist.
        InputError: If it cannot be reached, is empty or is not a file.
    """
    name = printable(path)
    try:
        found = os.stat(path)
    except FileNotFoundError as error:
        raise MissingFileError(f"{name}: {_missing(path)}") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{name}: cannot be reached ({reason(error)})") from error
    if not stat.S_ISREG(found.st_mode):
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "not a file")
        raise InputError(f"{name}: is {kind}; a regular file is expected")
    if not found.st_size:
        raise InputError(f"{name}: is empty (0 bytes); fetch it again from where it came")
    return found.st_size


def read_text(path: Path) -> str:
    """The text of a small file, such as a configuration or a record.

    Raises:
        InputError: If it is no regular file, is larger than ``MAX_TEXT_BYTES``, cannot be read, or
            is not in UTF-8.
    """
    name, size = printable(path), check_regular(path)
    if size > MAX_TEXT_BYTES:
        raise InputError(
            f"{name}: has {size / 2**20:.0f} MiB, but a text of at most "
            f"{MAX_TEXT_BYTES / 2**20:g} MiB is expected"
        )
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{name}: cannot be read ({reason(error)})") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: is no text in UTF-8 (byte {error.start})") from error


def check_size(name: str, size: tuple[int, int], *, max_pixels: int = MAX_PIXELS) -> None:
    """Refuse images that are too small to see a scene, or too large to hold in memory.

    Args:
        name: What messages call the image.
        size: (height, width), as its header says: nothing has been decoded yet.
        max_pixels: Height times width may be at most this.

    Raises:
        InputError: If a side is shorter than ``MIN_SIDE``, or there are more than ``max_pixels``.
    """
    height, width = size
    if min(height, width) < MIN_SIDE:
        raise InputError(
            f"{name}: is {width} x {height} pixels (width x height), "
            f"but each side needs at least {MIN_SIDE}"
        )
    if height * width > max_pixels:
        raise InputError(
            f"{name}: is {width} x {height} pixels ({height * width / 1e6:.1f} million), "
            f"above the limit of {max_pixels / 1e6:.1f} million; make it smaller first"
        )


def reason(error: BaseException) -> str:
    """The first line of what an exception says, for the end of a message of ours."""
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    lines = said.strip().splitlines()
    return printable(lines[0])[:160] if lines else type(error).__name__


def unreadable(error: OSError, path: Path | str) -> InputError:
    """A refusal of the system, such as for want of permission, as an error that a user can mend.

    Args:
        error: It names the file itself, where the system said so.
        path: For the message otherwise.
    """
    name = printable(os.fsdecode(error.filename) if error.filename else path)
    shown = name if len(name) <= 1000 else f"{name[:200]}..."
    return InputError(f"{shown}: cannot be read ({reason(error)})")


def _missing(path: Path | str) -> str:
    if os.path.islink(path):
        return f"is a link to '{printable(os.readlink(path))}', which does not exist"
    if "://" in str(path) or ":/" in str(path)[:8]:
        return "is an address, not a file; download it first, rilievo works offline"
    return "no such file"
