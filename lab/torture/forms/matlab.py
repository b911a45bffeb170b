"""MATLAB files of version 5 broken inside of what is compressed."""

import struct
import zlib
from random import Random

from lab.torture.forms import blind
from lab.torture.forms.mutator import Mutator

_HEADER, _COMPRESSED = 128, 15


def inside(good: bytes, chance: Random) -> bytes:
    """One variable unpacked, broken, and packed again."""
    changes = (*blind.ALL, *(5 * (blind.lying_length,)))
    return _repacked(good, chance, chance.choice(changes))


def nested(good: bytes, chance: Random) -> bytes:
    """Cells within cells, deeper than a stack."""
    data = b""
    for _ in range(chance.choice((20, 300, 5000))):
        flags = struct.pack("<IIII", 6, 8, 1, 0)
        sizes = struct.pack("<IIii", 5, 8, 1, 1)
        data = (
            struct.pack("<I", 14)
            + struct.pack("<I", len(flags + sizes) + 8 + len(data))
            + flags
            + sizes
            + struct.pack("<II", 1, 0)
            + data
        )
    named = data.replace(struct.pack("<II", 1, 0), struct.pack("<HH4s", 1, 1, b"x"), 1)
    return good[:_HEADER] + named


def bomb(good: bytes, chance: Random) -> bytes:
    """A compressed variable that says a gigabyte and has a few bytes, or the other way round."""
    size = chance.choice((2**30, 2**31 - 8, 2**31, 64))
    packed = zlib.compress(struct.pack("<II", 14, size) + bytes(chance.choice((100, 10**7))), 9)
    return good[:_HEADER] + struct.pack("<II", _COMPRESSED, len(packed)) + packed


def _repacked(good: bytes, chance: Random, change: Mutator) -> bytes:
    at, places = _HEADER, []
    while at + 8 <= len(good):
        kind, size = struct.unpack("<II", good[at : at + 8])
        if kind == _COMPRESSED:
            places.append((at, size))
        at += 8 + size
    if not places:
        return good[:_HEADER] + change(good[_HEADER:], chance)
    at, size = chance.choice(places)
    try:
        content = zlib.decompress(good[at + 8 : at + 8 + size])
    except zlib.error:
        return blind.flip(good, chance)
    packed = zlib.compress(change(content, chance), 1)
    return good[: at + 4] + struct.pack("<I", len(packed)) + packed + good[at + 8 + size :]


ALL: tuple[Mutator, ...] = (*(4 * (inside,)), nested, bomb)
