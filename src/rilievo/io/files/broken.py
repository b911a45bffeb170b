"""Exceptions that readers of files raise for damaged ones."""

import lzma
import struct
import tokenize
import zipfile
import zlib

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
