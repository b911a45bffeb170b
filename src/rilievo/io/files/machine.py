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
"""Larger limits of memory [bytes] mean no limit; control groups of version 1 write such numbers."""


def check_disk_space(
    folder: Path, needed: float, subject: str, hint: str | Text, *, spare: float = 0
) -> None:
    """Raise ``OutputError`` if a disk has no space for ``needed`` bytes and ``spare`` more.

    The message begins with ``subject``, what takes the space, in the plural. ``hint`` is what the
    user can do besides freeing space.
    """
    import shutil

    free = shutil.disk_usage(folder).free
    if needed > free - spare:
        raise OutputError(
            path=printable(folder),
            problem=Text(
                f"about {format_bytes(needed)} of disk space is needed for {subject}, but only "
                f"{format_bytes(free)} is free: free some space, or ",
                hint,
            ),
        )


def format_bytes(count: float) -> str:
    """Format a number of bytes, such as "1.2 GB"."""
    for unit, size in _UNITS:
        if count >= size:
            return f"{count / size:,.3g} {unit}"
    return f"{count:,.3g} bytes"


def check_memory(needed: float, subject: str, hint: str | Text, *, free: int | None = None) -> None:
    """Raise ``OptionError`` if work needs more memory; arguments as for ``check_disk_space``."""
    free = free_memory() if free is None else free
    if free is not None and needed > free:
        raise OptionError(
            problem=Text(
                f"about {format_bytes(needed)} of memory is needed for {subject}, but only "
                f"{format_bytes(free)} is free: free some memory, or ",
                hint,
            )
        )


def free_memory(root: Path = Path("/")) -> int | None:
    """Bytes that this process can still allocate, swap included; None if the system does not say.

    This is the smallest number that the machine, the process's control groups and the limit of its
    address space leave. ``root`` is the root of the file system.
    """
    if sys.platform != "linux":
        return None
    machine = _read_proc_sizes(root / "proc/meminfo")
    free_swap = machine.get("SwapFree", 0)
    free_by_limit = [*_bytes_left_in_groups(root, free_swap)]
    if "MemAvailable" in machine:
        free_by_limit.append(machine["MemAvailable"] + free_swap)
    address_space = _address_space_limit()
    if address_space is not None:
        used = _read_proc_sizes(root / "proc/self/status").get("VmSize", 0)
        free_by_limit.append(address_space - used)
    return max(0, min(free_by_limit)) if free_by_limit else None


def _read_proc_sizes(path: Path) -> dict[str, int]:
    sizes: dict[str, int] = {}
    with suppress(OSError):
        for line in path.read_text("utf-8", "replace").splitlines():
            name, _, value = line.partition(":")
            if value.endswith(" kB"):
                sizes[name] = int(value.removesuffix(" kB")) * 1024
    return sizes


@dataclass(frozen=True, slots=True)
class _GroupFiles:
    """Names of the files of a control group, which depend on its version.

    Attributes:
        inactive_key: Key in ``memory.stat`` of inactive file pages, which count as free.
    """

    limit: str
    usage: str
    inactive_key: str


# https://docs.kernel.org/admin-guide/cgroup-v1/memory.html
_CGROUP_V1_FILES = _GroupFiles(
    "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
)
# https://docs.kernel.org/admin-guide/cgroup-v2.html
_CGROUP_V2_FILES = _GroupFiles("memory.max", "memory.current", "inactive_file")


def _bytes_left_in_groups(root: Path, free_swap: int) -> Iterator[int]:
    """Yield the free bytes of each control group (cgroup) of this process that limits memory."""
    mount = root / "sys/fs/cgroup"
    try:
        lines = (root / "proc/self/cgroup").read_text("utf-8", "replace").splitlines()
    except OSError:
        return
    for line in lines:  # such as "4:memory:/user.slice", or "0::/user.slice" in version 2
        hierarchy, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if hierarchy == "0" and not controllers:
            top, files = mount, _CGROUP_V2_FILES
        elif "memory" in controllers.split(","):
            top, files = mount / "memory", _CGROUP_V1_FILES
        else:
            continue
        for folder in _folders_of_group(top / path.strip("/"), top):
            free = _bytes_left_in_group(folder, files, free_swap)
            if free is not None:
                yield free


def _folders_of_group(group: Path, top: Path) -> list[Path]:
    """List the folders of a control group and of its parents up to the top, which limit it, too.

    In a container, the path of the group may be one of the host that does not exist here, so the
    top is always listed.
    """
    distinct_folders = dict.fromkeys((group, *group.parents, top))
    return [folder for folder in distinct_folders if folder.is_relative_to(top)]


def _bytes_left_in_group(folder: Path, files: _GroupFiles, free_swap: int) -> int | None:
    """Free bytes of a control group; None if it has no limit."""
    limit, used = _read_number(folder / files.limit), _read_number(folder / files.usage)
    if limit is None or used is None or limit >= _MAX_GROUP_LIMIT:
        return None
    inactive = _memory_stat(folder / "memory.stat", files.inactive_key)
    return limit - used + inactive + _group_swap_bytes_left(folder, free_swap)


def _read_number(path: Path) -> int | None:
    try:
        return int(path.read_text("ascii"))
    except (OSError, ValueError):
        return None


def _memory_stat(path: Path, name: str) -> int:
    """Read the number after a name in a file of ``name number`` lines; 0 if it is missing."""
    with suppress(OSError, ValueError):
        for line in path.read_text("ascii").splitlines():
            key, _, value = line.partition(" ")
            if key == name:
                return int(value)
    return 0


def _group_swap_bytes_left(folder: Path, free_swap: int) -> int:
    """Free swap that a control group may use [bytes]; 0 if it may use none."""
    used = _read_number(folder / "memory.swap.current")
    if used is None:
        return 0
    limit = _read_number(folder / "memory.swap.max")
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
