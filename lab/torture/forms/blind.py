"""Damage that knows nothing of what it damages."""

import math
import struct
from random import Random

from lab.torture.forms.mutator import EXTREMES, Mutator


def flip(good: bytes, chance: Random) -> bytes:
    """Some bits the other way round, more often near the beginning, where headers are."""
    broken = bytearray(good)
    for _ in range(chance.choice((1, 1, 2, 4, 16, 64))):
        if broken:
            broken[_place(len(broken), chance)] ^= 1 << chance.randrange(8)
    return bytes(broken)


def overwrite(good: bytes, chance: Random) -> bytes:
    """Some bytes set to values at which things go wrong."""
    broken = bytearray(good)
    for _ in range(chance.choice((1, 1, 2, 8))):
        if broken:
            broken[_place(len(broken), chance)] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, 10, 34))
    return bytes(broken)


def lying_length(good: bytes, chance: Random) -> bytes:
    """A whole number of 2, 4 or 8 bytes set to an extreme, where a length may stand."""
    size = chance.choice((2, 4, 4, 4, 8))
    if len(good) < size:
        return good
    at = _place(len(good) - size + 1, chance)
    number = chance.choice(EXTREMES) % (1 << 8 * size)
    stored = number.to_bytes(size, chance.choice(("little", "big")))
    return good[:at] + stored + good[at + size :]


def odd_float(good: bytes, chance: Random) -> bytes:
    """A floating-point number that is none, infinite, huge or negative."""
    code = chance.choice(("<f", "<d", ">f"))
    size = struct.calcsize(code)
    if len(good) < size:
        return good
    at = chance.randrange(len(good) - size + 1)
    value = chance.choice((math.nan, math.inf, -math.inf, 3e38, -1.0, 0.0, 1e-40))
    return good[:at] + struct.pack(code, value) + good[at + size :]


def truncate(good: bytes, chance: Random) -> bytes:
    """Cut short: anywhere, or by a few bytes."""
    if not good:
        return good
    return good[: chance.choice((chance.randrange(len(good)), max(0, len(good) - 7)))]


def extend(good: bytes, chance: Random) -> bytes:
    """Something after the end."""
    return good + chance.choice((b"\0" * 64, chance.randbytes(200), good[:500], b"\n"))


def remove_slice(good: bytes, chance: Random) -> bytes:
    """Some bytes taken out, so that all that follows stands elsewhere."""
    at, size = _slice(good, chance)
    return good[:at] + good[at + size :]


def splice(good: bytes, chance: Random) -> bytes:
    """A piece copied to another place, over what is there or between it."""
    at, size = _slice(good, chance)
    to = chance.randrange(len(good) + 1)
    return good[:to] + good[at : at + size] + good[to + size * chance.randrange(2) :]


def blank(good: bytes, chance: Random) -> bytes:
    """A block as a broken disk leaves it: of zeros, ones or noise."""
    at, size = _slice(good, chance)
    filling = chance.choice((b"\0" * size, b"\xff" * size, chance.randbytes(size)))
    return good[:at] + filling + good[at + size :]


def nothing_left(good: bytes, chance: Random) -> bytes:
    """Another file altogether: empty, a few bytes, noise, or a page of a server that failed."""
    page = b"<!DOCTYPE html><html><body>404 Not Found</body></html>"
    return chance.choice((b"", b"\0", good[:4], chance.randbytes(500), page))


def _place(length: int, chance: Random) -> int:
    if chance.random() < 0.5:
        return chance.randrange(min(length, 64 if chance.random() < 0.5 else 512))
    return chance.randrange(length)


def _slice(good: bytes, chance: Random) -> tuple[int, int]:
    if not good:
        return 0, 0
    at = _place(len(good), chance)
    return at, min(chance.choice((1, 2, 4, 8, 64, 512, 4096)), len(good) - at)


ALL: tuple[Mutator, ...] = (
    *(flip, overwrite, lying_length, odd_float, truncate),
    *(extend, remove_slice, splice, blank, nothing_left),
)
