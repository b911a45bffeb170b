"""Filter of system calls for decoding processes, on Linux (seccomp-bpf).

A hostile file may take over a decoder. It can then compute, and answer over the files that are
open, but it cannot open files, connect, start programs, or signal other processes. Such calls fail
with EPERM, which libraries treat like a missing file.

The filter is a program in classic BPF (Linux, Documentation/userspace-api/seccomp_filter.rst).
"""

import ctypes
import errno
import os
import platform
import struct
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple


class _Machine(NamedTuple):
    """Numbers of one processor architecture.

    Attributes:
        audit: Its value of ``AUDIT_ARCH_*``.
        column: Its column in ``_CALLS``.
        seccomp: Number of the system call ``seccomp``.
    """

    audit: int
    column: int
    seccomp: int


_MACHINES: Mapping[str, _Machine] = {
    "x86_64": _Machine(0xC000003E, 0, 317),
    "aarch64": _Machine(0xC00000B7, 1, 277),
}

_CALLS: Mapping[str, tuple[int, ...]] = {
    # Reading and writing open files.
    "read": (0, 63),
    "write": (1, 64),
    "readv": (19, 65),
    "writev": (20, 66),
    "pread64": (17, 67),
    "pwrite64": (18, 68),
    "lseek": (8, 62),
    "fstat": (5, 80),
    "ftruncate": (77, 46),
    "close": (3, 57),
    "memfd_create": (319, 279),
    # Sockets that are connected already.
    "sendto": (44, 206),
    "recvfrom": (45, 207),
    "sendmsg": (46, 211),
    "recvmsg": (47, 212),
    "ppoll": (271, 73),
    "poll": (7,),
    # Memory.
    "brk": (12, 214),
    "mmap": (9, 222),
    "munmap": (11, 215),
    "mremap": (25, 216),
    "mprotect": (10, 226),
    "madvise": (28, 233),
    # Threads of this process.
    "futex": (202, 98),
    "set_robust_list": (273, 99),
    "set_tid_address": (218, 96),
    "rseq": (334, 293),
    "gettid": (186, 178),
    "getpid": (39, 172),
    "sched_yield": (24, 124),
    "sched_getaffinity": (204, 123),
    "getcpu": (309, 168),
    "membarrier": (324, 283),
    "exit": (60, 93),
    "exit_group": (231, 94),
    # Signals to this process.
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "restart_syscall": (219, 128),
    # Time and the system.
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115),
    "nanosleep": (35, 101),
    "gettimeofday": (96, 169),
    "time": (201,),
    "times": (100, 153),
    "getrusage": (98, 165),
    "getrlimit": (97, 163),
    "sysinfo": (99, 179),
    "uname": (63, 160),
    "getrandom": (318, 278),
}
"""Numbers of the allowed calls on x86_64 and aarch64."""
_CLONE, _CLONE3, _FCNTL, _NEWFSTATAT, _PRLIMIT, _TGKILL = (
    (56, 220),
    (435, 435),
    (72, 25),
    (262, 79),
    (302, 261),
    (234, 131),
)
"""Numbers of calls that are allowed with some arguments only."""
_CLONE_THREAD, _AT_EMPTY_PATH = 0x10000, 0x1000
"""Flags of ``clone`` and ``newfstatat``."""
_F_GETLK, _F_LINUX_SPECIFIC_BASE = 5, 1024
"""First commands of ``fcntl`` that are refused, as they may send signals, and that are not."""
_X32_CALL_BIT = 0x40000000
"""Bit in the numbers of the x32 calls of x86_64."""

_LOAD, _EQUAL, _AT_LEAST, _SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
"""Instructions of BPF: load a word; jump if it is equal, at least, or has a bit set; return."""
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
"""Offsets in ``struct seccomp_data``."""
_ALLOW, _FAIL, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
"""What a filter returns: run the call, let it fail with an error number, or kill the process."""

_NO_NEW_PRIVILEGES = 38
"""Option of ``prctl``, without which a user may not install a filter."""
_SET_FILTER, _IS_AVAILABLE = 1, 2
"""Operations of ``seccomp``."""
_KEEP_SPECULATION = 4
"""Flag of ``seccomp``: do not slow down the process against attacks by speculation."""

_Instruction = tuple[int, int, int, int]
"""Code, jump if true, jump if false, and operand."""


def bpf_program(name: str, process: int) -> Sequence[_Instruction]:
    """The filter as BPF instructions.

    Args:
        name: Name of the processor architecture.
        process: Id of the process, which may signal itself.
    """
    return list(_bpf_instructions(_MACHINES[name], process))


def is_available() -> bool:
    """Whether this kernel has such filters, for an architecture whose numbers are known."""
    action = struct.pack("=I", _FAIL)
    return _numbers_of_this_machine() is not None and not _seccomp(_IS_AVAILABLE, 0, action)


def install() -> None:
    """Filter the system calls of this process from now on. It must have a single thread.

    Raises:
        OSError: If the kernel refuses it.
    """
    code = b"".join(
        struct.pack("=HBBI", *instruction)
        for instruction in bpf_program(platform.machine(), os.getpid())
    )
    buffer = ctypes.create_string_buffer(code, len(code))
    # struct sock_fprog: number of instructions, padding, pointer.
    program = struct.pack("@HP", len(code) // 8, ctypes.addressof(buffer))
    _libc().prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    # Old kernels slow down processes that have a filter, against attacks by speculation. The flag
    # prevents it; kernels that do not know the flag refuse it.
    has_failed = _seccomp(_SET_FILTER, _KEEP_SPECULATION, program)
    if has_failed and _seccomp(_SET_FILTER, 0, program):
        number = ctypes.get_errno()
        raise OSError(number, f"no filter of system calls: {os.strerror(number)}")


def _numbers_of_this_machine() -> _Machine | None:
    is_known = sys.platform == "linux" and sys.maxsize > 2**32
    return _MACHINES.get(platform.machine()) if is_known else None


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _seccomp(operation: int, flags: int, argument: bytes) -> int:
    machine = _numbers_of_this_machine()
    assert machine is not None, "a machine that is known"
    numbers = (ctypes.c_long(number) for number in (machine.seccomp, operation, flags))
    return int(_libc().syscall(*numbers, argument))


def _bpf_instructions(machine: _Machine, process: int) -> Iterator[_Instruction]:
    """Yield the instructions of the filter, which end with the refusal of all other calls."""
    # Calls of another architecture have other numbers, so they end the process.
    yield _LOAD, 0, 0, _ARCHITECTURE
    yield _EQUAL, 1, 0, machine.audit
    yield _RETURN, 0, 0, _KILL
    yield _LOAD, 0, 0, _NUMBER
    yield _AT_LEAST, 0, 1, _X32_CALL_BIT
    yield _RETURN, 0, 0, _FAIL | errno.EPERM
    column = machine.column
    for numbers in _CALLS.values():
        if column < len(numbers):
            yield _EQUAL, 0, 1, numbers[column]
            yield _RETURN, 0, 0, _ALLOW
    # glibc starts threads by ``clone`` where the system has no ``clone3``, whose flags lie in
    # memory that no filter sees.
    yield _EQUAL, 0, 1, _CLONE3[column]
    yield _RETURN, 0, 0, _FAIL | errno.ENOSYS
    yield from _allow_if_argument_passes(_CLONE[column], 0, _SET, _CLONE_THREAD)
    # With this flag the call is about an open file, and not about a path.
    yield from _allow_if_argument_passes(_NEWFSTATAT[column], 3, _SET, _AT_EMPTY_PATH)
    yield _EQUAL, 0, 5, _FCNTL[column]
    yield _LOAD, 0, 0, _ARGUMENTS + 8
    yield _AT_LEAST, 1, 0, _F_LINUX_SPECIFIC_BASE
    yield _AT_LEAST, 1, 0, _F_GETLK
    yield _RETURN, 0, 0, _ALLOW
    yield _RETURN, 0, 0, _FAIL | errno.EPERM
    yield from _allow_if_argument_passes(_PRLIMIT[column], 0, _EQUAL, 0)
    # ``abort`` sends a signal to its own process.
    yield from _allow_if_argument_passes(_TGKILL[column], 0, _EQUAL, process)
    yield _RETURN, 0, 0, _FAIL | errno.EPERM


def _allow_if_argument_passes(
    call: int, argument_index: int, test: int, operand: int
) -> Iterator[_Instruction]:
    """Allow a call if one of its arguments passes a test, such as ``_EQUAL`` with an operand."""
    yield _EQUAL, 0, 4, call
    yield _LOAD, 0, 0, _ARGUMENTS + 8 * argument_index
    yield test, 0, 1, operand
    yield _RETURN, 0, 0, _ALLOW
    yield _RETURN, 0, 0, _FAIL | errno.EPERM
