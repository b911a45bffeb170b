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
    """Constants of one processor architecture.

    Attributes:
        audit_arch: Its value of ``AUDIT_ARCH_*``.
        number_index: Position of its number in each tuple of system call numbers, as in ``_CALLS``.
        seccomp_number: Number of the system call ``seccomp``.
    """

    audit_arch: int
    number_index: int
    seccomp_number: int


_MACHINES: Mapping[str, _Machine] = {
    "x86_64": _Machine(audit_arch=0xC000003E, number_index=0, seccomp_number=317),
    "aarch64": _Machine(audit_arch=0xC00000B7, number_index=1, seccomp_number=277),
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
"""Numbers of the allowed calls on x86_64 and aarch64. The latter lacks a few old calls."""
# Numbers of calls that are allowed with some arguments only.
_CLONE = (56, 220)
_CLONE3 = (435, 435)
_FCNTL = (72, 25)
_NEWFSTATAT = (262, 79)
_PRLIMIT = (302, 261)
_TGKILL = (234, 131)
_CLONE_THREAD, _AT_EMPTY_PATH = 0x10000, 0x1000
"""Flags of ``clone`` and ``newfstatat``."""
_F_GETLK, _F_LINUX_SPECIFIC_BASE = 5, 1024
"""First commands of ``fcntl`` that are refused, as they may send signals, and that are not."""
_X32_CALL_BIT = 0x40000000
"""Bit in the numbers of the x32 calls of x86_64."""

# Codes of BPF instructions. All work on the accumulator, the only register that is used here.
_LOAD = 0x20  # load the 32-bit word at the offset ``operand`` of ``struct seccomp_data``
_JUMP_IF_EQUAL = 0x15  # test whether the accumulator equals the operand
_JUMP_IF_AT_LEAST = 0x35  # test whether it is at least the operand
_JUMP_IF_BIT_SET = 0x45  # test whether it has one of the operand's bits
_RETURN = 0x06  # end the program with the operand as the result


class _Instruction(NamedTuple):
    """Instruction of classic BPF, as in the kernel's ``struct sock_filter``.

    Attributes:
        code: One of the codes above.
        skip_if_true: Number of instructions that a jump skips if its test is true.
        skip_if_false: Number of instructions that a jump skips if its test is false.
        operand: Operand, whose meaning depends on the code.
    """

    code: int
    skip_if_true: int
    skip_if_false: int
    operand: int


_INSTRUCTION_FORMAT = "=HBBI"  # of ``struct sock_filter``, for the module ``struct``
# Offsets in ``struct seccomp_data`` [bytes].
_CALL_NUMBER_OFFSET, _ARCHITECTURE_OFFSET, _ARGUMENTS_OFFSET = 0, 4, 16
_ARGUMENT_BYTES = 8
_ALLOW, _FAIL, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
"""What a filter returns: run the call, let it fail with an error number, or kill the process."""
_ALLOW_CALL = _Instruction(_RETURN, 0, 0, _ALLOW)
_REFUSE_CALL = _Instruction(_RETURN, 0, 0, _FAIL | errno.EPERM)
_PRETEND_CALL_IS_MISSING = _Instruction(_RETURN, 0, 0, _FAIL | errno.ENOSYS)
_KILL_PROCESS = _Instruction(_RETURN, 0, 0, _KILL)

_NO_NEW_PRIVILEGES = 38
"""Option of ``prctl``, without which a user may not install a filter."""
_SET_FILTER, _IS_AVAILABLE = 1, 2
"""Operations of ``seccomp``."""
_KEEP_SPECULATION = 4
"""Flag of ``seccomp``: do not slow down the process against attacks by speculation."""


def bpf_program(architecture: str, pid: int) -> Sequence[_Instruction]:
    """Make the filter for the process ``pid``, as BPF instructions.

    Before each system call, the kernel runs the filter on a ``struct seccomp_data``, which has the
    call's number, the architecture and the arguments. After a check of the architecture, the filter
    compares the number with one call after the other. If it is that call, the filter returns what
    to do with it. A call that it does not know is refused by the last instruction.
    """
    machine = _MACHINES[architecture]
    return [
        *_check_architecture(machine),
        *_allow_harmless_calls(machine),
        *_allow_threads(machine),
        *_allow_calls_on_open_files(machine),
        *_allow_calls_on_own_process(machine, pid),
        _REFUSE_CALL,
    ]


def is_available() -> bool:
    """Whether this kernel has such filters, and the numbers of this architecture are known."""
    action = struct.pack("=I", _FAIL)
    return _this_machine() is not None and _seccomp(_IS_AVAILABLE, 0, action) == 0


def install_syscall_filter() -> None:
    """Filter the system calls of this process from now on. It must have a single thread."""
    instructions = bpf_program(platform.machine(), os.getpid())
    code = b"".join(struct.pack(_INSTRUCTION_FORMAT, *each) for each in instructions)
    code_buffer = ctypes.create_string_buffer(code, len(code))
    # struct sock_fprog: number of instructions, padding, pointer to the first one.
    program = struct.pack("@HP", len(instructions), ctypes.addressof(code_buffer))
    _libc().prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    # Old kernels slow down processes that have a filter, as a defence against speculation attacks.
    # The flag prevents it. Kernels that do not know the flag fail, so it is left out then.
    is_installed = _seccomp(_SET_FILTER, _KEEP_SPECULATION, program) == 0
    if not is_installed:
        is_installed = _seccomp(_SET_FILTER, 0, program) == 0
    if not is_installed:
        error_number = ctypes.get_errno()
        message = f"cannot filter system calls: {os.strerror(error_number)}"
        raise OSError(error_number, message)


def _this_machine() -> _Machine | None:
    is_64_bit_linux = sys.platform == "linux" and sys.maxsize > 2**32
    return _MACHINES.get(platform.machine()) if is_64_bit_linux else None


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _seccomp(operation: int, flags: int, argument: bytes) -> int:
    """Call ``seccomp``; return 0 if it succeeds."""
    machine = _this_machine()
    assert machine is not None, "callers check that the machine is known"
    numbers = [ctypes.c_long(number) for number in (machine.seccomp_number, operation, flags)]
    return int(_libc().syscall(*numbers, argument))


def _check_architecture(machine: _Machine) -> Iterator[_Instruction]:
    """Kill processes of another architecture, and leave the call's number in the accumulator.

    Another architecture numbers its calls differently, so the rest of the filter would allow wrong
    calls. The x32 calls of x86_64 have the same architecture, and numbers with one bit more.
    """
    yield _load(_ARCHITECTURE_OFFSET)
    yield _Instruction(_JUMP_IF_EQUAL, 1, 0, machine.audit_arch)
    yield _KILL_PROCESS
    yield _load(_CALL_NUMBER_OFFSET)
    yield _Instruction(_JUMP_IF_AT_LEAST, 0, 1, _X32_CALL_BIT)
    yield _REFUSE_CALL


def _allow_harmless_calls(machine: _Machine) -> Iterator[_Instruction]:
    """Allow the calls of ``_CALLS``, whatever their arguments."""
    for numbers in _CALLS.values():
        exists_on_machine = machine.number_index < len(numbers)
        if exists_on_machine:
            yield from _if_call(machine, numbers, _ALLOW_CALL)


def _allow_threads(machine: _Machine) -> Iterator[_Instruction]:
    """Allow to start threads, and no processes."""
    # The flags of ``clone3`` lie in memory, which no filter sees. If the call seems not to exist
    # (ENOSYS), glibc starts threads with ``clone`` instead.
    yield from _if_call(machine, _CLONE3, _PRETEND_CALL_IS_MISSING)
    starts_thread = _allow_if_argument(0, _JUMP_IF_BIT_SET, _CLONE_THREAD)
    yield from _if_call(machine, _CLONE, *starts_thread)


def _allow_calls_on_open_files(machine: _Machine) -> Iterator[_Instruction]:
    """Allow ``newfstatat`` and ``fcntl`` for open files, except commands that may send signals."""
    # With this flag the call is about an open file, and not about a path.
    is_about_open_file = _allow_if_argument(3, _JUMP_IF_BIT_SET, _AT_EMPTY_PATH)
    yield from _if_call(machine, _NEWFSTATAT, *is_about_open_file)
    # ``fcntl`` is allowed unless _F_GETLK <= command < _F_LINUX_SPECIFIC_BASE.
    yield from _if_call(
        machine,
        _FCNTL,
        _load_argument(1),
        _Instruction(_JUMP_IF_AT_LEAST, 1, 0, _F_LINUX_SPECIFIC_BASE),  # jumps to _ALLOW_CALL
        _Instruction(_JUMP_IF_AT_LEAST, 1, 0, _F_GETLK),  # jumps to _REFUSE_CALL
        _ALLOW_CALL,
        _REFUSE_CALL,
    )


def _allow_calls_on_own_process(machine: _Machine, pid: int) -> Iterator[_Instruction]:
    """Allow the process ``pid`` to read and change its own limits, and to signal itself."""
    is_about_this_process = _allow_if_argument(0, _JUMP_IF_EQUAL, 0)
    yield from _if_call(machine, _PRLIMIT, *is_about_this_process)
    # ``abort`` sends a signal to its own process.
    signals_itself = _allow_if_argument(0, _JUMP_IF_EQUAL, pid)
    yield from _if_call(machine, _TGKILL, *signals_itself)


def _if_call(
    machine: _Machine, numbers: Sequence[int], *body: _Instruction
) -> Iterator[_Instruction]:
    """Run ``body`` if the accumulator holds the number that a call has on this machine.

    The last instruction of the body returns. A body that loads an argument overwrites the
    accumulator, so all its paths have to return.
    """
    yield _Instruction(_JUMP_IF_EQUAL, 0, len(body), numbers[machine.number_index])
    yield from body


def _load(offset: int) -> _Instruction:
    """Load the word at an offset of ``struct seccomp_data`` [bytes]."""
    return _Instruction(_LOAD, 0, 0, offset)


def _load_argument(argument_index: int) -> _Instruction:
    """Load the lower half of an argument, which has 64 bits; both machines are little-endian."""
    return _load(_ARGUMENTS_OFFSET + _ARGUMENT_BYTES * argument_index)


def _allow_if_argument(argument_index: int, test: int, operand: int) -> Sequence[_Instruction]:
    """Allow the call if one of its arguments passes ``test``, a jump; refuse it otherwise."""
    return (
        _load_argument(argument_index),
        _Instruction(test, 0, 1, operand),
        _ALLOW_CALL,
        _REFUSE_CALL,
    )
