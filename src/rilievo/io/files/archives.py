"""Limits of archives, checked before anything is unpacked."""

import lzma
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import IO

import numpy as np

from rilievo.io.files.limits import check_unpacked, retry_miscounted

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

_MAX_RATIO = 1100
"""Largest ratio of unpacked to packed bytes; Deflate reaches 1032."""

STORED_RATIO = 2
"""Largest such ratio of torch's archives, which are not compressed."""


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


def check_zip_ratio(path: Path, *, most_ratio: int) -> None:
    """Raise ``ValueError`` if an archive unpacks to more than ``most_ratio`` times its size."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        size = sum(member.file_size for member in archive.infolist())
    check_unpacked("it", size, most_bytes=most_ratio * path.stat().st_size)


def check_npy_header(file: IO[bytes], size: int) -> None:
    """Raise ``ValueError`` if the array of an npy file is larger than its ``size`` [bytes]."""
    if np.lib.format.read_magic(file) == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    else:
        shape, _, dtype = np.lib.format.read_array_header_2_0(file)
    check_unpacked("its array", *shape, dtype.itemsize, most_bytes=size)
