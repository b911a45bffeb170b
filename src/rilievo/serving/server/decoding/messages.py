"""Messages to decoding processes: JSON with open files, never a pickle."""

import json
import os
import socket
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

from rilievo.serving.server.decoding import syscall_filter
from rilievo.serving.server.memory_files import close

_LENGTH_BYTES = 4
_MOST_BYTES = 2**20
_MOST_FILES = 2

Message = dict[str, Any]


class NamedImage(BytesIO):
    """Image file in memory with a name."""

    def __init__(self, content: bytes, name: str) -> None:
        super().__init__(content)
        self.name = name


def can_pass() -> bool:
    """Whether this system can fork and pass open files."""
    return hasattr(socket, "send_fds") and hasattr(os, "fork")


def bounds() -> str:
    """Bounds of decoding, in one line."""
    if not can_pass():
        return "files are decoded in threads, with the rights of this process"
    if syscall_filter.is_available():
        return "files are decoded in processes that cannot open files, connect or start others"
    return (
        "files are decoded in processes with limits of time and memory, but with the rights of "
        "this user: the system has no filter of system calls (seccomp)"
    )


def send(channel: socket.socket, message: Mapping[str, object], files: Sequence[int] = ()) -> None:
    """Send a message with open files."""
    body = json.dumps(message).encode()
    socket.send_fds(channel, [len(body).to_bytes(_LENGTH_BYTES, "little")], files)
    channel.sendall(body)


def receive(channel: socket.socket) -> tuple[Message, list[int]] | None:
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
        close(files)
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
