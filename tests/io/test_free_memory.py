"""Memory that a process may still take, by what Linux says of the machine and its groups."""

import resource
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from rilievo.errors import OptionError
from rilievo.io.files import machine
from rilievo.io.files.machine import check_memory, free_memory

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems say nothing")

MB = 2**20
MEMINFO = (
    "MemTotal:    9000 kB\nMemAvailable:    4096 kB\nSwapFree:    1024 kB\nHugePages_Total: 0\n"
)
V2, V1 = "sys/fs/cgroup", "sys/fs/cgroup/memory"


def group(place: str, limit: object, used: int, idle: int) -> Mapping[str, str]:
    """Files of a control group of either version."""
    old = place.startswith(V1)
    names = ("limit_in_bytes", "usage_in_bytes") if old else ("max", "current")
    key = "total_inactive_file" if old else "inactive_file"
    return {
        f"{place}/memory.{names[0]}": f"{limit}\n",
        f"{place}/memory.{names[1]}": f"{used}\n",
        f"{place}/memory.stat": f"anon 5\n{key} {idle}\n",
    }


@pytest.mark.parametrize(
    ("files", "free"),
    [
        ({}, None),
        ({"proc/meminfo": MEMINFO}, 5 * MB),
        ({"proc/meminfo": MEMINFO, "proc/self/cgroup": "0::/\n"}, 5 * MB),
        ({"proc/self/cgroup": "0::/a/b\n", **group(f"{V2}/a/b", 9 * MB, 3 * MB, MB)}, 7 * MB),
        # The least of a group and those around it, and of the machine.
        (
            {
                "proc/meminfo": MEMINFO,
                "proc/self/cgroup": "0::/a/b\n",
                **group(f"{V2}/a/b", "max", 3 * MB, 0),
                **group(f"{V2}/a", 4 * MB, 3 * MB, 0),
            },
            MB,
        ),
        # Swap that the group may take counts, as far as there is some.
        (
            {
                "proc/meminfo": MEMINFO,
                "proc/self/cgroup": "0::/a\n",
                **group(f"{V2}/a", 4 * MB, 3 * MB, 0),
                f"{V2}/a/memory.swap.max": "max",
                f"{V2}/a/memory.swap.current": "0",
            },
            2 * MB,
        ),
        # In a container the path is that of the host, and the group is at the top.
        (
            {"proc/self/cgroup": "0::/docker/123\n", **group(V2, 6 * MB, 2 * MB, 0)},
            4 * MB,
        ),
        (
            {"proc/self/cgroup": "4:cpu,memory:/x\n0::/\n", **group(f"{V1}/x", 8 * MB, MB, 0)},
            7 * MB,
        ),
        ({"proc/self/cgroup": "4:memory:/\n", **group(V1, 2**63 - 4096, MB, 0)}, None),
        ({"proc/self/cgroup": "4:memory:/\n", **group(V1, 2 * MB, 3 * MB, 0)}, 0),
    ],
)
def test_the_least_of_machine_and_groups_is_free(
    files: Mapping[str, str], free: int | None, tmp_path: Path
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert free_memory(tmp_path) == free


def test_this_process_has_memory_and_a_limit_of_its_addresses_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    free = free_memory()
    assert free is not None
    assert free > 0
    monkeypatch.setattr(resource, "getrlimit", lambda _: (10**12, resource.RLIM_INFINITY))
    assert free_memory() == pytest.approx(free, rel=0.2)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (MB, MB))
    assert free_memory() == 0


def test_too_little_memory_is_one_line_with_both_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "free_memory", lambda: 2_000_000_000)
    check_memory(2e9, "the results", "take fewer")
    line = r"^about 2\.1 GB of memory is needed for the results, but only 2 GB is free: free some m"
    with pytest.raises(OptionError, match=line):
        check_memory(2.1e9, "the results", "take fewer")
    monkeypatch.setattr(machine, "free_memory", lambda: None)
    check_memory(1e18, "the results", "take fewer")
