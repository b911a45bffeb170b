"""Messages between the server and its decoding processes.

A message is JSON, never a pickle. Arrays and files go along as file descriptors of shared memory.
"""

import json
import mmap
import os
import socket
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from io import BytesIO
from math import prod
from typing import Any

import numpy as np

from rilievo.serving.server.decoding import syscall_filter


def close_files(descriptors: Sequence[int]) -> None:
    """Close file descriptors, and ignore errors."""
    for descriptor in descriptors:
        with suppress(OSError):
            os.close(descriptor)


def anonymous_file(*parts: "bytes | np.ndarray") -> int:
    """Write bytes and arrays into a file without a name, in memory if possible.

    Returns:
        Its file descriptor, which the caller closes. Its position is at the end of the file.
    """
    descriptor = _open_anonymous_file()
    try:
        for part in parts:
            remaining = memoryview(_as_contiguous_bytes(part))
            while remaining:
                written = os.write(descriptor, remaining)
                remaining = remaining[written:]
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _as_contiguous_bytes(part: "bytes | np.ndarray") -> Any:
    return part if isinstance(part, bytes) else part.reshape(-1).view(np.uint8)


def _open_anonymous_file() -> int:
    if sys.platform == "linux":
        return os.memfd_create("rilievo", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def read_descriptor(descriptor: int) -> bytes:
    """Read the whole content of an open file."""
    size = os.fstat(descriptor).st_size
    content = bytearray()
    while len(content) < size:
        piece = os.pread(descriptor, size - len(content), len(content))
        if not piece:  # the file was truncated meanwhile
            break
        content += piece
    return bytes(content)


def map_arrays(
    descriptor: int, *shapes_and_types: tuple[Sequence[int], type[np.generic]]
) -> list[np.ndarray]:
    """Map an open file into memory as arrays, which lie in it one after the other.

    Raises:
        ValueError: If the arrays do not fill the file exactly, or the file could still shrink.
    """
    if sys.platform == "linux":
        # Reading a mapped page of a file that was truncated meanwhile would kill this process
        # (SIGBUS). The seal prevents truncation.
        import fcntl

        try:
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        except OSError as error:
            raise ValueError("the file cannot be sealed against truncation") from error
    total_bytes = sum(prod(shape) * np.dtype(dtype).itemsize for shape, dtype in shapes_and_types)
    if not total_bytes or total_bytes != os.fstat(descriptor).st_size:
        raise ValueError("the file does not have the announced size")
    content = mmap.mmap(descriptor, total_bytes, access=mmap.ACCESS_COPY)
    arrays = []
    offset = 0
    for shape, dtype in shapes_and_types:
        array = np.frombuffer(content, dtype, prod(shape), offset).reshape(shape)
        arrays.append(array)
        offset += array.nbytes
    return arrays


_LENGTH_BYTES = 4
"""Size of the number before a message, which states its length."""
_MAX_MESSAGE_BYTES = 2**20
_MAX_FILES = 2

Message = dict[str, Any]


class NamedImage(BytesIO):
    """Image file in memory that has a name."""

    def __init__(self, content: bytes, name: str) -> None:
        super().__init__(content)
        self.name = name


def can_fork_and_pass_files() -> bool:
    """Whether this system can fork processes, and pass open files to them."""
    return hasattr(socket, "send_fds") and hasattr(os, "fork")


def decoding_isolation() -> str:
    """Sentence for users on how far the code that decodes files is isolated on this system."""
    if not can_fork_and_pass_files():
        return (
            "files are decoded in threads, with the rights of this process, because this operating "
            "system cannot isolate them"
        )
    if syscall_filter.is_available():
        return "files are decoded in processes that cannot open files, connect or start processes"
    return (
        "files are decoded in processes with time and memory limits, but with the rights of this "
        "user, because the operating system cannot filter system calls (seccomp)"
    )


def send_message(
    channel: socket.socket, message: Mapping[str, object], descriptors: Sequence[int] = ()
) -> None:
    """Send a message, and open files with it."""
    body = json.dumps(message).encode()
    socket.send_fds(channel, [len(body).to_bytes(_LENGTH_BYTES, "little")], descriptors)
    channel.sendall(body)


def receive_message(channel: socket.socket) -> tuple[Message, list[int]] | None:
    """Wait for a message and the descriptors of its files; None at the end of the channel.

    The message begins with its length in bytes.
    """
    head, descriptors, _, _ = socket.recv_fds(channel, _LENGTH_BYTES, _MAX_FILES)
    try:
        if not head:
            return None
        head += _receive_exactly(channel, _LENGTH_BYTES - len(head))
        length = int.from_bytes(head, "little")
        if length > _MAX_MESSAGE_BYTES:
            raise ValueError(f"a message of {length} bytes is too long")
        message = json.loads(_receive_exactly(channel, length))
        if not isinstance(message, dict):
            raise ValueError("the message is not a JSON object")
    except BaseException:
        close_files(descriptors)
        raise
    return message, descriptors


def _receive_exactly(channel: socket.socket, count: int) -> bytes:
    content = bytearray()
    while len(content) < count:
        piece = channel.recv(count - len(content))
        if not piece:
            raise ValueError("the message was cut short")
        content += piece
    return bytes(content)
