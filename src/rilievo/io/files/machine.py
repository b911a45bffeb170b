"""Free memory, free disk space and cores of this machine."""

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from rilievo.errors import OptionError, OutputError
from rilievo.errors.messages import Text
from rilievo.io.files.names import printable

if sys.platform == "linux":
    import resource

_UNITS = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))


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


# Version 1 of control groups writes larger limits where there is none.
_UNLIMITED = 2**60


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
