"""Files that claim far more than they hold: channels, lengths of 64 bits, texts that unpack."""

import gzip
import struct
import zlib
from functools import lru_cache
from random import Random

from lab.torture.forms import blind
from lab.torture.forms.mutator import Mutator

_LINES = 16
"""Rows of pixels in a block of an EXR file."""
_CHANNELS = ((200, 1300), (50, 500), (1000, 100), (4000, 16), (1, 4000))
"""Numbers of channels, and the sides of square pictures of them [px]."""
_LONG = (2**31, 2**32 + 7, 2**63 - 1, 2**64 - 1)
_UNPACKED = (2**24, 2**28, 2**30, 3 * 2**29)
"""Bytes to which a compressed pickle unpacks."""


def exr_channels(good: bytes, chance: Random) -> bytes:
    """A picture of black pixels in many channels, some kilobytes for each."""
    return _exr(*chance.choice(_CHANNELS))


@lru_cache(8)
def _exr(channels: int, side: int) -> bytes:
    names = b"".join(
        f"c{number:04d}".encode() + b"\0" + struct.pack("<iIii", 2, 0, 1, 1)
        for number in range(channels)
    )
    window = struct.pack("<iiii", 0, 0, side - 1, side - 1)
    attributes = (
        (b"channels", b"chlist", names + b"\0"),
        (b"compression", b"compression", b"\3"),
        (b"dataWindow", b"box2i", window),
        (b"displayWindow", b"box2i", window),
        (b"lineOrder", b"lineOrder", b"\0"),
        (b"pixelAspectRatio", b"float", struct.pack("<f", 1)),
        (b"screenWindowCenter", b"v2f", bytes(8)),
        (b"screenWindowWidth", b"float", struct.pack("<f", 1)),
    )
    head = b"\x76\x2f\x31\x01\2\0\0\0" + b"".join(
        name + b"\0" + kind + b"\0" + struct.pack("<i", len(value)) + value
        for name, kind, value in attributes
    )
    rows = [min(_LINES, side - first) for first in range(0, side, _LINES)]
    blocks = [_black(4 * channels * side * count) for count in rows]
    at = len(head) + 1 + 8 * len(blocks)
    offsets, chunks = b"", []
    for number, block in enumerate(blocks):
        offsets += struct.pack("<Q", at)
        chunks.append(struct.pack("<ii", number * _LINES, len(block)) + block)
        at += len(chunks[-1])
    return head + b"\0" + offsets + b"".join(chunks)


@lru_cache(8)
def _black(count: int) -> bytes:
    """Zeros as EXR packs them: each byte as its difference from the one before, and 128."""
    return zlib.compress(b"\0" + b"\x80" * (count - 1), 6)


def onnx_length(good: bytes, chance: Random) -> bytes:
    """A field whose length is of 32 or 64 bits: of the file, or inside an entry of metadata."""
    length, field = chance.choice(_LONG), chance.choice((7, 14, 20))
    lying = _varint(field << 3 | 2) + _varint(length)
    match chance.randrange(3):
        case 0:
            return b"\x08\x08" + lying + b"abc"
        case 1:
            inside = _varint(chance.choice((1, 2, 3)) << 3 | 2) + _varint(length)
            return good + b"\x72" + _varint(len(inside)) + inside
        case _:
            return good + lying


def _varint(number: int) -> bytes:
    """A number of 7 bits a byte, least first."""
    written = b""
    while number > 127:
        written, number = written + bytes((number & 127 | 128,)), number >> 7
    return written + bytes((number,))


def long_pickle(good: bytes, chance: Random) -> bytes:
    """A pickle of one text of zeros, which is compressed a thousandfold."""
    count = chance.choice(_UNPACKED)
    if chance.random() < 0.2:
        return blind.truncate(_packed_pickle(count), chance)
    return _packed_pickle(count)


@lru_cache(4)
def _packed_pickle(count: int) -> bytes:
    block = gzip.compress(bytes(2**24), 6, mtime=0)
    head = gzip.compress(b"\x80\x04\x8e" + struct.pack("<Q", count), mtime=0)
    return head + block * (count // 2**24) + gzip.compress(b".", mtime=0)


EXR: tuple[Mutator, ...] = (exr_channels,) * 4
ONNX: tuple[Mutator, ...] = (onnx_length,) * 2
PICKLE: tuple[Mutator, ...] = (long_pickle,)
