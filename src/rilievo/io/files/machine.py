"""Free memory, free disk space and cores of this machine."""

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rilievo.errors import OptionError, OutputError
from rilievo.errors.messages import Text
from rilievo.io.files.names import printable

if sys.platform == "linux":
    import resource

_UNITS = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))

_MAX_GROUP_LIMIT = 2**60
"""Limits of memory [bytes] below it are meant; control groups 1 write larger ones for none."""


def check_disk_space(
    folder: Path, needed: float, what: str, hint: str | Text, *, spare: float = 0
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
            problem=Text(
                f"{what} take about {format_bytes(needed)}, and {format_bytes(free)} are free: "
                "free some space, or ",
                hint,
            ),
        )


def format_bytes(count: float) -> str:
    """Number of bytes, such as "1.2 GB"."""
    unit, size = next((pair for pair in _UNITS if count >= pair[1]), ("bytes", 1))
    return f"{count / size:,.3g} {unit}"


def check_memory(needed: float, what: str, hint: str | Text, *, free: int | None = None) -> None:
    """Refuse work that this process has no memory for.

    Raises:
        OptionError: If fewer than ``needed`` bytes are free.
    """
    free = free_memory() if free is None else free
    if free is not None and needed > free:
        raise OptionError(
            problem=Text(
                f"{what} take about {format_bytes(needed)} of memory, and {format_bytes(free)} "
                "are free: free some memory, or ",
                hint,
            )
        )


def free_memory(root: Path = Path("/")) -> int | None:
    """Bytes that this process may take, swap included; None if the system does not say.

    They are the fewest that the machine, the process's control groups and its address space leave.
    """
    if sys.platform != "linux":
        return None
    machine = _meminfo_bytes(root / "proc/meminfo")
    free_swap = machine.get("SwapFree", 0)
    free = [*_bytes_left_in_groups(root, free_swap)]
    if "MemAvailable" in machine:
        free.append(machine["MemAvailable"] + free_swap)
    limit = _address_space_limit()
    if limit is not None:
        used = _meminfo_bytes(root / "proc/self/status").get("VmSize", 0)
        free.append(limit - used)
    return max(0, min(free)) if free else None


def _meminfo_bytes(path: Path) -> dict[str, int]:
    """Sizes [bytes] of a file of /proc, by their names."""
    sizes: dict[str, int] = {}
    with suppress(OSError):
        for line in path.read_text("utf-8", "replace").splitlines():
            name, _, value = line.partition(":")
            if value.endswith(" kB"):
                sizes[name] = int(value.removesuffix(" kB")) * 1024
    return sizes


@dataclass(frozen=True, slots=True)
class _GroupFiles:
    """Names of the files of a control group, which differ between its versions.

    Attributes:
        inactive: Key of ``memory.stat`` of idle file pages, which count as free.
    """

    limit: str
    usage: str
    inactive: str


# https://docs.kernel.org/admin-guide/cgroup-v1/memory.html
_GROUP_FILES_1 = _GroupFiles(
    "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
)
# https://docs.kernel.org/admin-guide/cgroup-v2.html
_GROUP_FILES_2 = _GroupFiles("memory.max", "memory.current", "inactive_file")


def _bytes_left_in_groups(root: Path, free_swap: int) -> Iterator[int]:
    """Yield the free bytes of each control group of this process that limits memory."""
    mount = root / "sys/fs/cgroup"
    try:
        lines = (root / "proc/self/cgroup").read_text("utf-8", "replace").splitlines()
    except OSError:
        return
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            top, files = mount, _GROUP_FILES_2
        elif "memory" in controllers.split(","):
            top, files = mount / "memory", _GROUP_FILES_1
        else:
            continue
        # In a container the path may be that of the host, of which only the top is there.
        group = top / path.strip("/")
        for folder in dict.fromkeys((group, *group.parents, top)):
            if folder.is_relative_to(top):
                free = _bytes_left_in_group(folder, files, free_swap)
                if free is not None:
                    yield free


def _bytes_left_in_group(folder: Path, files: _GroupFiles, free_swap: int) -> int | None:
    """Free bytes of a control group; None if it has no limit."""
    limit, used = _number_in_file(folder / files.limit), _number_in_file(folder / files.usage)
    if limit is None or used is None or limit >= _MAX_GROUP_LIMIT:
        return None
    inactive = _memory_stat(folder / "memory.stat", files.inactive)
    return limit - used + inactive + _group_swap_bytes_left(folder, free_swap)


def _number_in_file(path: Path) -> int | None:
    try:
        return int(path.read_text("ascii"))
    except (OSError, ValueError):
        return None


def _memory_stat(path: Path, name: str) -> int:
    """Number of a file of ``name number`` lines; 0 without it."""
    with suppress(OSError, ValueError):
        for line in path.read_text("ascii").splitlines():
            key, _, value = line.partition(" ")
            if key == name:
                return int(value)
    return 0


def _group_swap_bytes_left(folder: Path, free_swap: int) -> int:
    """Free swap that a control group may take; 0 without swap."""
    used = _number_in_file(folder / "memory.swap.current")
    if used is None:
        return 0
    limit = _number_in_file(folder / "memory.swap.max")
    return free_swap if limit is None else max(0, min(free_swap, limit - used))


def _address_space_limit() -> int | None:
    if sys.platform != "linux":
        return None
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if limit == resource.RLIM_INFINITY else limit


def cores() -> int:
    """Cores that the process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
