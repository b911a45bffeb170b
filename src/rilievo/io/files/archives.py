"""Arrays of npz archives, whose stated sizes are bounded before anything is unpacked.

Exceptions that readers of damaged files raise stand here too.
"""

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
"""Errors of zip, numpy (which tokenises headers), Pillow and OpenEXR.

Pillow warns of some damage; users who turn warnings into errors get them here.
"""


_MOST_RATIO = 1100
"""Greatest ratio of bytes unpacked to packed; that of Deflate, which archives of NumPy have, is
1032."""


STORED = 2
"""Most times its size that an archive of torch unpacks to, whose members are not compressed."""


@retry_miscounted
def read_arrays(
    file: IO[bytes], names: Collection[str], *, most_bytes: int
) -> dict[str, np.ndarray]:
    """Read those of the named arrays that exist; others are not unpacked.

    Raises:
        ValueError: If an array states more bytes than ``most_bytes``; errors of broken archives
            are those of ``BROKEN_FILE``.
    """
    arrays: dict[str, np.ndarray] = {}
    with zipfile.ZipFile(file) as archive:
        members = {member.filename: member for member in archive.infolist()}
        for name in names:
            member = members.get(f"{name}.npy")
            if member is None:
                continue
            check_member(member, most_bytes=most_bytes)
            with archive.open(member) as content:
                arrays[name] = np.lib.format.read_array(content, allow_pickle=False)
    return arrays


def check_member(member: zipfile.ZipInfo, *, most_bytes: int) -> None:
    """Refuse a member that unpacks to too many bytes.

    Raises:
        ValueError: If it states more than ``most_bytes``, or more than its packed bytes can hold.
    """
    most = min(most_bytes, _MOST_RATIO * member.compress_size)
    check_unpacked(f"'{member.filename[:60]}'", member.file_size, most_bytes=most)


def check_archive(path: Path, *, most_ratio: int) -> None:
    """Refuse a zip archive that unpacks to more than so many times its size; other files pass.

    Raises:
        ValueError: If it does.
    """
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        size = sum(member.file_size for member in archive.infolist())
    check_unpacked("it", size, most_bytes=most_ratio * path.stat().st_size)


def check_npy(file: IO[bytes], size: int) -> None:
    """Refuse an npy file, at its beginning, whose header promises more than its size [bytes].

    Raises:
        ValueError: If it does; what numpy raises where there is no such header.
    """
    version = np.lib.format.read_magic(file)
    one = version == (1, 0)
    header = np.lib.format.read_array_header_1_0 if one else np.lib.format.read_array_header_2_0
    shape, _, dtype = header(file)
    check_unpacked("its array", *shape, dtype.itemsize, most_bytes=size)
