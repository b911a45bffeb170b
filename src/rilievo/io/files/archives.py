"""Limits of archives, checked before anything is unpacked, and exceptions for broken files."""

import lzma
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib.npyio import NpzFile

from rilievo.io.files.limits import MAX_BYTES, check_unpacked, retry_miscounted

BROKEN_FILE = (
    OSError,
    ValueError,
    LookupError,
    EOFError,
    SyntaxError,
    TypeError,
    MemoryError,
    RuntimeError,
    Warning,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)
"""Errors and warnings that zip, numpy, Pillow and OpenEXR raise for broken files."""

PILLOW_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    ArithmeticError,
    AttributeError,
    RuntimeError,
    struct.error,
    zlib.error,
    UserWarning,
)
"""Errors that Pillow raises for broken images, and ``UserWarning`` if warnings are errors."""
_MAX_RATIO = 1100
"""Largest ratio of unpacked to packed bytes; Deflate reaches 1032."""


@contextmanager
def opened_npz(path: Path) -> Iterator[NpzFile]:
    """Open an npz file for a block, with all arrays within ``MAX_BYTES``.

    Broken files raise any error of ``BROKEN_FILE``.
    """
    # Given a path, numpy does not close a broken file, so it is opened here.
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
        for member in archive.zip.infolist():
            check_zip_member(member, most_bytes=MAX_BYTES)
        yield archive


def npz_member(archive: Mapping[str, Any], name: str) -> np.ndarray:
    """Read an array of an npz file; raise ``ValueError`` if the member is not an array."""
    if isinstance(archive, NpzFile) and archive.zip is not None:
        for member in archive.zip.infolist():
            if member.filename in (name, f"{name}.npy"):
                check_zip_member(member, most_bytes=MAX_BYTES)
    array = archive[name]
    if not isinstance(array, np.ndarray):
        raise ValueError(f"'{name}' in it is not an array")
    return array


def read_npz_arrays(
    file: IO[bytes], names: Collection[str], *, most_bytes: int
) -> dict[str, np.ndarray]:
    """Read those of the named arrays that an npz file holds.

    Raises:
        ValueError: If an array has more than ``most_bytes``. Broken files raise any error of
            ``BROKEN_FILE``.
    """
    arrays: dict[str, np.ndarray] = {}
    with zipfile.ZipFile(file) as archive:
        members = {member.filename: member for member in archive.infolist()}
        for name in names:
            member = members.get(f"{name}.npy")
            if member is None:
                continue
            check_zip_member(member, most_bytes=most_bytes)
            arrays[name] = _read_member(archive, member)
    return arrays


@retry_miscounted
def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(member) as content:
        return np.lib.format.read_array(content, allow_pickle=False)


def check_zip_member(member: zipfile.ZipInfo, *, most_bytes: int) -> None:
    """Raise ``ValueError`` if a member unpacks to more than ``most_bytes``, or impossibly many."""
    most_bytes = min(most_bytes, _MAX_RATIO * member.compress_size)
    check_unpacked(f"'{member.filename[:60]}'", member.file_size, most_bytes=most_bytes)


def check_npy_header(file: IO[bytes], size: int) -> None:
    """Raise ``ValueError`` if the array of an npy file is larger than its ``size`` [bytes]."""
    if np.lib.format.read_magic(file) == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    else:
        shape, _, dtype = np.lib.format.read_array_header_2_0(file)
    check_unpacked("its array", *shape, dtype.itemsize, most_bytes=size)
