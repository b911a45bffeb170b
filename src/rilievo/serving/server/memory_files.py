"""Files without a name: shared memory of processes."""

import mmap
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from math import prod
from typing import Any

import numpy as np


def close(files: Sequence[int]) -> None:
    """Close files, ignoring errors."""
    for file in files:
        with suppress(OSError):
            os.close(file)


def file_of(*parts: "bytes | np.ndarray") -> int:
    """Nameless file of bytes and arrays."""
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


def content_of(file: int) -> bytes:
    """Content of a file."""
    size, content, at = os.fstat(file).st_size, bytearray(), 0
    while at < size and (piece := os.pread(file, size - at, at)):
        content += piece
        at += len(piece)
    return bytes(content)


def arrays_of(file: int, *forms: tuple[Sequence[int], type[np.generic]]) -> list[np.ndarray]:
    """Arrays in the private memory of a file.

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
    arrays, at = [], 0
    for (shape, kind), size in zip(forms, sizes, strict=True):
        array = np.frombuffer(content, kind, prod(shape), at).reshape(shape)
        arrays.append(array)
        at += size
    return arrays
