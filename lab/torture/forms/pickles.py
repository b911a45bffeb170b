"""Pickles broken inside of their compression, and such as would run code."""

import gzip
import io
import zlib
from random import Random

from lab.torture.forms import blind, payload
from lab.torture.forms.mutator import Mutator

_MOST_BYTES = 2**24
"""Bytes of a pickle that are broken: another mutator may have made it of a gigabyte."""


def inside(good: bytes, chance: Random) -> bytes:
    """The pickle unpacked, broken, and packed again."""
    try:
        with gzip.open(io.BytesIO(good)) as file:
            held = file.read(_MOST_BYTES)
    except (OSError, EOFError, zlib.error):
        return blind.flip(good, chance)
    return gzip.compress(chance.choice(blind.ALL)(held, chance), 1)


def evil(good: bytes, chance: Random) -> bytes:
    """A pickle that makes a file, in any of the ways that pickles have."""
    held = chance.choice((payload.payload(), payload.payload(4), payload.shell_payload()))
    return gzip.compress(held, 1)


def odd_pickle(good: bytes, chance: Random) -> bytes:
    """A pickle that is deep, large, circular, or asks for harmless things that are no arrays."""
    odd = (
        b"(" * 100_000 + b".",
        b"]" + b"]a" * 50_000 + b".",
        b"]q\0h\0a.",
        b"cbuiltins\neval\n.",
        b"cnumpy\nndarray\n(I-1\ntR.",
        b"cnumpy\nndarray\n((I999999999999\ntR.",
        b"cnumpy\ndtype\n(S'O'\ntR.",
        b"c_codecs\nencode\n(Vx\nS'rot13'\ntR.",
        b"cnumpy\ndtype\n(S'" + b"f4," * 5000 + b"'\ntR.",
        b"\x80\x05\x8e" + b"\xff" * 8 + b"x.",
        b".",
    )
    return gzip.compress(chance.choice(odd), 1)


ALL: tuple[Mutator, ...] = (inside, inside, evil, odd_pickle)
