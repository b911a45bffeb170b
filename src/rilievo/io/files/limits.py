"""Limits of inputs, names in messages, and free memory, disk space and cores.

Names may be addresses, also s3://bucket/key. ``tests/support/reader_table.toml`` has the bound of
each reader.
"""

import io
import math
import os
import re
import stat
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from rilievo.errors import InputError, MissingFileError, OptionError, OutputError
from rilievo.errors.messages import escape_unprintable

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MIN_SIDE = 32
"""Fewest pixels a side that show a scene."""
MAX_PIXELS = 100 * 2**20
"""Most pixels; "100 megapixels" (11648x8736) pass."""
MAX_BYTES = 2**30
"""Largest file: above ``MAX_PIXELS`` with alpha at 16 bits."""
MAX_TEXT_BYTES = 64 * 2**20
# Most digits of a number of 64 bits.
MOST_DIGITS = 18
_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
Given = ParamSpec("Given")
Read = TypeVar("Read")
_TRIES = 20

_ADDRESS = r"(?P<scheme>[a-z][a-z0-9+.-]+):/+(?P<rest>.*)"


def printable(path: Path | str) -> str:
    """Path on one line, as messages show it."""
    return escape_unprintable(str(path)) or "''"


def is_whole(word: str) -> bool:
    """Whether a word is a whole number of at most ``MOST_DIGITS``."""
    return len(word) <= MOST_DIGITS and word.isdecimal()


def exists(path: Path) -> bool:
    """Whether a path exists, whatever its characters."""
    try:
        return path.exists()
    except (OSError, ValueError):  # such as a name that is too long
        return False


def shortened(text: str, most: int = 80) -> str:
    """Printable text that fits on a line."""
    shown = printable(text[: most + 1])
    return shown if len(text) <= most else f"{shown[:most]}..."


def check_regular(path: Path | str) -> int:
    """Size [bytes] of a regular file; a pipe, which would block, is refused."""
    try:
        status = os.stat(path)
    except FileNotFoundError as error:
        raise MissingFileError(f"{_missing_file_words(path)}", path=path) from error
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be reached ({reason(error)})", path=path) from error
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "not a file")
        raise InputError(f"is {kind}; a regular file is expected", path=path)
    if not status.st_size:
        raise InputError("is empty (0 bytes); fetch it again", path=path)
    return status.st_size


def read_text(path: Path) -> str:
    """Read a small text file."""
    name, size = printable(path), check_regular(path)
    if size > MAX_TEXT_BYTES:
        raise InputError(
            (
                f"has {size / 2**20:.0f} MiB, expected a text of at most "
                f"{MAX_TEXT_BYTES / 2**20:g} MiB is expected"
            ),
            path=name,
        )
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot be read ({reason(error)})", path=name) from error
    except UnicodeDecodeError as error:
        raise InputError(f"is not UTF-8 text (byte {error.start})", path=name) from error


def relative_printable(path: Path) -> str:
    """Printable path, from the working folder where it lies inside."""
    here = Path.cwd()
    return printable(path.relative_to(here) if path.is_relative_to(here) else path)


def check_size(name: str, size: tuple[int, int], *, max_pixels: int = MAX_PIXELS) -> None:
    """Refuse an image too small for a scene or too large for memory."""
    height, width = size
    if min(height, width) < MIN_SIDE:
        raise InputError(
            (
                f"is {width} x {height} pixels (width x height), but each "
                f"side needs at least {MIN_SIDE}"
            ),
            path=name,
        )
    if height * width > max_pixels:
        raise InputError(
            (
                f"is {width} x {height} pixels ({height * width / 1e6:.1f} "
                f"million), above the limit of {max_pixels / 1e6:.1f} million; "
                "make it smaller first"
            ),
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


def retry_miscounted(read: Callable[Given, Read]) -> Callable[Given, Read]:
    """Retry a read that fails by Python 3.11's miscount of a depth (CPython issue 106905)."""

    @wraps(read)
    def patient(*args: Given.args, **options: Given.kwargs) -> Read:
        for _ in range(_TRIES - 1):
            try:
                return read(*args, **options)
            except SystemError as error:
                if "recursion depth" not in str(error):
                    raise
        return read(*args, **options)

    return patient


def number_duplicates(names: Iterable[str]) -> list[str]:
    """Names, numbered where they occur twice; case is ignored."""
    taken: set[str] = set()
    result = []
    for name in names:
        candidate, number = name, 1
        while candidate.lower() in taken:
            number += 1
            candidate = f"{name}-{number}"
        taken.add(candidate.lower())
        result.append(candidate)
    return result


def unique_names(files: Sequence[str]) -> list[str]:
    """Stems of files, or names where stems are equal."""
    stems = Counter(Path(name).stem.lower() for name in files)
    return number_duplicates(
        Path(name).stem if stems[Path(name).stem.lower()] == 1 else name for name in files
    )


def address_or_none(name: str | Path) -> str | None:
    """Address with ``//``; None for paths and ``file://``."""
    match = _address_match(name)
    if match is None or match["scheme"] == "file":
        return None
    return f"{match['scheme']}://{match['rest']}"


def local_path(name: str | Path) -> str:
    """Path of a ``file://`` address; other names unchanged."""
    match = _address_match(name)
    if match is None or match["scheme"] != "file":
        return str(name)
    return "/" + match["rest"].lstrip("/")


def _address_match(name: str | Path) -> re.Match[str] | None:
    text = str(name)
    return re.fullmatch(_ADDRESS, text, re.DOTALL) if ":/" in text else None


def check_unpacked(what: str, *counts: int, most_bytes: int) -> None:
    """Refuse what unpacks to more than ``most_bytes``, by the product of ``counts``.

    Raises:
        ValueError: If it does, or a number is negative.
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
        self._most = self._left = most_bytes

    def readable(self) -> bool:
        """Whether it can be read."""
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Read into memory.

        Raises:
            ValueError: If there are more bytes.
        """
        count = self._stream.readinto(memoryview(buffer)[: self._left + 1])
        self._left -= count
        if self._left < 0:
            raise ValueError(f"{self._what} unpacks to more than {self._most / 1e6:.1f} MB")
        return count


_UNITS = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))


def check_disk_space(
    folder: Path, needed: float, what: str, hint: str, *, spare: float = 0
) -> None:
    """Refuse work for which a disk has no space.

    Raises:
        OutputError: If fewer than ``needed`` and ``spare`` bytes are free.
    """
    import shutil

    free = shutil.disk_usage(folder).free
    if needed > free - spare:
        raise OutputError(
            path=printable(folder),
            problem=f"{what} take about {format_bytes(needed)}, and {format_bytes(free)} are free: "
            f"free some space, or {hint}",
        )


def format_bytes(count: float) -> str:
    """Number of bytes, such as "1.2 GB"."""
    unit, size = next((pair for pair in _UNITS if count >= pair[1]), ("bytes", 1))
    return f"{count / size:,.3g} {unit}"


if sys.platform == "linux":
    import resource

# Version 1 of control groups writes larger limits where there is none.
_UNLIMITED = 2**60


def check_memory(needed: float, what: str, hint: str, *, free: int | None = None) -> None:
    """Refuse work that this process has no memory for.

    Raises:
        OptionError: If fewer than ``needed`` bytes are free.
    """
    free = free_memory() if free is None else free
    if free is not None and needed > free:
        raise OptionError(
            problem=f"{what} take about {format_bytes(needed)} of memory, and {format_bytes(free)} "
            f"are free: free some memory, or {hint}"
        )


def free_memory(root: Path = Path("/")) -> int | None:
    """Bytes that this process may take, swap included, by machine, groups and address space."""
    if sys.platform != "linux":
        return None
    facts = _meminfo_bytes(root / "proc/meminfo")
    swap = facts.get("SwapFree", 0)
    rooms = [facts["MemAvailable"] + swap] if "MemAvailable" in facts else []
    rooms += _bytes_left_in_groups(root, swap)
    limit = _address_space_limit()
    if limit is not None:
        rooms.append(limit - _meminfo_bytes(root / "proc/self/status").get("VmSize", 0))
    return max(0, min(rooms)) if rooms else None


def _meminfo_bytes(path: Path) -> dict[str, int]:
    facts: dict[str, int] = {}
    with suppress(OSError):
        for line in path.read_text("utf-8", "replace").splitlines():
            name, _, value = line.partition(":")
            if value.endswith(" kB"):
                facts[name] = int(value.removesuffix(" kB")) * 1024
    return facts


def _bytes_left_in_groups(root: Path, swap: int) -> Iterator[int]:
    # Idle file pages count as free: https://docs.kernel.org/admin-guide/cgroup-v2.html,
    # https://docs.kernel.org/admin-guide/cgroup-v1/memory.html
    mount = root / "sys/fs/cgroup"
    try:
        lines = (root / "proc/self/cgroup").read_text("utf-8", "replace").splitlines()
    except OSError:
        return
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, place = rest.partition(":")
        if number == "0" and not controllers:
            top, names = mount, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            top = mount / "memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        # In a container the path may be that of the host, of which only the top is there.
        group = top / place.strip("/")
        for folder in dict.fromkeys((group, *group.parents, top)):
            if folder.is_relative_to(top):
                limit, used = (_number_in_file(folder / name) for name in names[:2])
                if limit is not None and used is not None and limit < _UNLIMITED:
                    yield (
                        limit
                        - used
                        + _memory_stat(folder / "memory.stat", names[2])
                        + _group_swap_bytes_left(folder, swap)
                    )


def _number_in_file(path: Path) -> int | None:
    try:
        return int(path.read_text("ascii"))
    except (OSError, ValueError):
        return None


def _memory_stat(path: Path, name: str) -> int:
    with suppress(OSError, ValueError):
        for line in path.read_text("ascii").splitlines():
            key, _, value = line.partition(" ")
            if key == name:
                return int(value)
    return 0


def _group_swap_bytes_left(folder: Path, free: int) -> int:
    used = _number_in_file(folder / "memory.swap.current")
    if used is None:
        return 0
    limit = _number_in_file(folder / "memory.swap.max")
    return free if limit is None else max(0, min(free, limit - used))


def _address_space_limit() -> int | None:
    if sys.platform != "linux":
        return None
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if limit == resource.RLIM_INFINITY else limit


def cores() -> int:
    """Cores that the process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
