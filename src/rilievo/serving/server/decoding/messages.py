"""Messages to decoding processes: JSON, never a pickle, with open files, which share memory."""

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


def close_files(files: Sequence[int]) -> None:
    """Close files, ignoring errors."""
    for file in files:
        with suppress(OSError):
            os.close(file)


def nameless_file(*parts: "bytes | np.ndarray") -> int:
    """Descriptor of a file with the bytes of the parts."""
    file = _open_nameless_file()
    try:
        for part in parts:
            rest = memoryview(_flat_bytes(part))
            while rest:
                rest = rest[os.write(file, rest) :]
    except BaseException:
        os.close(file)
        raise
    return file


def _flat_bytes(part: "bytes | np.ndarray") -> Any:
    return part if isinstance(part, bytes) else part.reshape(-1).view(np.uint8)


def _open_nameless_file() -> int:
    if sys.platform == "linux":
        return os.memfd_create("rilievo", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def read_descriptor(file: int) -> bytes:
    """Content of a file from its start."""
    size, content, at = os.fstat(file).st_size, bytearray(), 0
    while at < size and (piece := os.pread(file, size - at, at)):
        content += piece
        at += len(piece)
    return bytes(content)


def map_arrays(
    file: int, *shapes_and_types: tuple[Sequence[int], type[np.generic]]
) -> list[np.ndarray]:
    """Arrays one after another in a file's private map.

    Raises:
        ValueError: If they do not fill the file, or it could still shrink.
    """
    if sys.platform == "linux":
        # Cut short afterwards, it would end this process when it reads there.
        import fcntl

        try:
            fcntl.fcntl(file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        except OSError as error:
            raise ValueError("a file that cannot be held at its size") from error
    sizes = [prod(shape) * np.dtype(kind).itemsize for shape, kind in shapes_and_types]
    if not sum(sizes) or sum(sizes) != os.fstat(file).st_size:
        raise ValueError("a file is not of the size that was told")
    content = mmap.mmap(file, sum(sizes), access=mmap.ACCESS_COPY)
    arrays, at = [], 0
    for (shape, kind), size in zip(shapes_and_types, sizes, strict=True):
        array = np.frombuffer(content, kind, prod(shape), at).reshape(shape)
        arrays.append(array)
        at += size
    return arrays


_LENGTH_BYTES = 4
_MOST_BYTES = 2**20
_MOST_FILES = 2

Message = dict[str, Any]


class NamedImage(BytesIO):
    """Image file in memory with a name."""

    def __init__(self, content: bytes, name: str) -> None:
        super().__init__(content)
        self.name = name


def can_fork_and_pass_files() -> bool:
    """Whether this system can do both."""
    return hasattr(socket, "send_fds") and hasattr(os, "fork")


def decoding_bounds() -> str:
    """Line for users on what a decoder may do."""
    if not can_fork_and_pass_files():
        return "files are decoded in threads, with the rights of this process"
    if syscall_filter.is_available():
        return "files are decoded in processes that cannot open files, connect or start others"
    return (
        "files are decoded in processes with limits of time and memory, but with the rights of "
        "this user: the system has no filter of system calls (seccomp)"
    )


def send_message(
    channel: socket.socket, message: Mapping[str, object], files: Sequence[int] = ()
) -> None:
    """Send a message with open files."""
    body = json.dumps(message).encode()
    socket.send_fds(channel, [len(body).to_bytes(_LENGTH_BYTES, "little")], files)
    channel.sendall(body)


def receive_message(channel: socket.socket) -> tuple[Message, list[int]] | None:
    """Next message and its files; None at the end.

    Raises:
        ValueError: If it is not a message.
    """
    head, files, _, _ = socket.recv_fds(channel, _LENGTH_BYTES, _MOST_FILES)
    try:
        if not head:
            return None
        head += _receive_exactly(channel, _LENGTH_BYTES - len(head))
        length = int.from_bytes(head, "little")
        if length > _MOST_BYTES:
            raise ValueError(f"a message of {length} bytes")
        message = json.loads(_receive_exactly(channel, length))
        if not isinstance(message, dict):
            raise ValueError("a message is an object")
    except BaseException:
        close_files(files)
        raise
    return message, files


def _receive_exactly(channel: socket.socket, count: int) -> bytes:
    content = bytearray()
    while len(content) < count:
        piece = channel.recv(count - len(content))
        if not piece:
            raise ValueError("a message was cut short")
        content += piece
    return bytes(content)
