"""Messages between the server and its decoding processes: JSON, and files without a name.

Pixels lie in such a file, which both map into memory: they are not copied on the way, and nothing
is left over if a process dies. Nothing is unpickled, as a decoder that a hostile file has taken
over could send anything.
"""

import json
import mmap
import os
import socket
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from math import prod
from typing import Any

import numpy as np

_LENGTH_BYTES = 4
_MOST_BYTES = 2**20
_MOST_FILES = 2

Said = dict[str, Any]


def can_pass() -> bool:
    """Whether this system passes open files to processes and forks them."""
    return hasattr(socket, "send_fds") and hasattr(os, "fork")


def send(channel: socket.socket, said: Mapping[str, object], files: Sequence[int] = ()) -> None:
    """Send a message, and open files with it."""
    body = json.dumps(said).encode()
    socket.send_fds(channel, [len(body).to_bytes(_LENGTH_BYTES, "little")], files)
    channel.sendall(body)


def receive(channel: socket.socket) -> tuple[Said, list[int]] | None:
    """The next message and its files, which must be closed; None where the other side has ended.

    Raises:
        ValueError: If it is not a message.
    """
    head, files, _, _ = socket.recv_fds(channel, _LENGTH_BYTES, _MOST_FILES)
    try:
        if not head:
            return None
        head += _exactly(channel, _LENGTH_BYTES - len(head))
        length = int.from_bytes(head, "little")
        if length > _MOST_BYTES:
            raise ValueError(f"a message of {length} bytes")
        said = json.loads(_exactly(channel, length))
        if not isinstance(said, dict):
            raise ValueError("a message is an object")
    except BaseException:
        close(files)
        raise
    return said, files


def _exactly(channel: socket.socket, count: int) -> bytes:
    found = bytearray()
    while len(found) < count:
        piece = channel.recv(count - len(found))
        if not piece:
            raise ValueError("a message was cut short")
        found += piece
    return bytes(found)


def close(files: Sequence[int]) -> None:
    """Close files."""
    for file in files:
        with suppress(OSError):
            os.close(file)


def file_of(*parts: "bytes | np.ndarray") -> int:
    """A file without a name that holds these bytes and arrays one after the other."""
    file = _nameless()
    try:
        for part in parts:
            rest = memoryview(_bytes_of(part))
            while rest:
                rest = rest[os.write(file, rest) :]
    except BaseException:
        os.close(file)
        raise
    return file


def _bytes_of(part: "bytes | np.ndarray") -> Any:
    """Bytes, or the memory of an array, byte by byte."""
    return part if isinstance(part, bytes) else part.reshape(-1).view(np.uint8)


def _nameless() -> int:
    if sys.platform == "linux":
        return os.memfd_create("rilievo", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with tempfile.TemporaryFile() as found:
        return os.dup(found.fileno())


def content_of(file: int) -> bytes:
    """All bytes of a file."""
    size, found, at = os.fstat(file).st_size, bytearray(), 0
    while at < size and (piece := os.pread(file, size - at, at)):
        found += piece
        at += len(piece)
    return bytes(found)


def arrays_of(file: int, *forms: tuple[Sequence[int], type[np.generic]]) -> list[np.ndarray]:
    """Arrays of these shapes and types that lie in a file one after the other; it may be closed.

    They share the file's memory, and changing them changes nothing for anybody else.

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
    sizes = [prod(shape) * np.dtype(kind).itemsize for shape, kind in forms]
    if not sum(sizes) or sum(sizes) != os.fstat(file).st_size:
        raise ValueError("a file is not of the size that was told")
    content = mmap.mmap(file, sum(sizes), access=mmap.ACCESS_COPY)
    found, at = [], 0
    for (shape, kind), size in zip(forms, sizes, strict=True):
        array = np.frombuffer(content, kind, prod(shape), at).reshape(shape)
        found.append(array)
        at += size
    return found
