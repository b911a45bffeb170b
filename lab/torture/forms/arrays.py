"""numpy's files and zip archives broken by what their headers say."""

import io
import lzma
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from random import Random

from lab.torture.forms import blind, payload
from lab.torture.forms.mutator import Mutator

_SHAPES = (
    *("(2147483648, 2147483648)", "(99999999,)", "(-1, 5)", "()", "(0, 0)", "5", "(1.5, 2)"),
    *("(True, 3)", "(4,) * 10**9", "'a'", "None", "(10**9999,)", "(((2,),),)", "(1,) * 40"),
    *("(4294967296, 4294967296, 4294967296)", "(32, 32, 3)", "(3, 32, 32)", "(32,)"),
)
_TYPES = (
    *("'|O'", "'O'", "'<f2'", "'>f4'", "'<f8'", "'<i8'", "'|b1'", "'<U99999999'", "'|V2000000000'"),
    *("'<M8[ns]'", "'<c8'", "[('a', '<f4'), ('b', 'O')]", "[('a', '<f4', (9999, 9999))]", "'zzz'"),
    *("None", "__import__('os').system('true')", "'<f4,' * 9999", "'|S0'", "'<u2'", "'|u1'"),
)


def npy_header(good: bytes, chance: Random) -> bytes:
    """A header of our own over the same numbers: another shape, type or order, or no header."""
    if not good.startswith(b"\x93NUMPY"):
        return blind.flip(good, chance)
    size = struct.unpack("<H", good[8:10])[0]
    shape = chance.choice((*_SHAPES, "(32, 48)"))
    kind = chance.choice((*_TYPES, "'<f4'"))
    order = chance.choice(("False", "True", "2", "None"))
    header = chance.choice(
        (
            f"{{'descr': {kind}, 'fortran_order': {order}, 'shape': {shape}, }}",
            f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}",
            f"{{'descr': {kind}, 'fortran_order': False, 'shape': (32, 48), }}",
            "{'descr': '<f4'}",
            "{" * 500,
            "[" * 100_000,
            "(" * 3000 + ")" * 3000,
            "'unfinished",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'more': 1}",
            "\0\xff\n",
            "-" * 5000 + "1",
        )
    ).encode("latin-1")
    version = chance.choice((b"\1\0", b"\1\0", b"\2\0", b"\3\0", b"\x09\0"))
    length = chance.choice((len(header), len(header), len(header), 0, 60_000)) % 65536
    stored = struct.pack("<H" if version == b"\1\0" else "<I", length)
    return good[:6] + version + stored + header + good[10 + size :]


def npy_pickle(good: bytes, chance: Random) -> bytes:
    """An array of objects, whose pickle makes a file; or a pickle in the array's place."""
    packed = chance.choice((payload.payload(), payload.payload(4), payload.shell_payload()))
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(117) + b"\n"
    array = b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + packed
    return chance.choice((array, packed))


@dataclass(slots=True, kw_only=True)
class Entry:
    """One file of an archive."""

    name: str
    content: bytes
    deflated: bool


def zip_entry(change: Mutator) -> Mutator:
    """Break one file of an archive; the archive itself is whole, its checksums right."""

    def edit(good: bytes, chance: Random) -> bytes:
        return _rebuilt(good, chance, lambda entries: _change(entries, change, chance))

    return edit


def zip_names(good: bytes, chance: Random) -> bytes:
    """Names that lead out of the archive, are there twice, or are none."""
    odd = ("../../outside/canary", "/etc/passwd", "..", "", "a" * 5000, "depth.npy/", "\x1b[2J.npy")

    def edit(entries: list[Entry]) -> None:
        at = chance.randrange(len(entries))
        match chance.randrange(3):
            case 0:
                entries[at].name = chance.choice(odd)
            case 1:
                entries.append(chance.choice(entries))
            case _:
                del entries[at]

    return _rebuilt(good, chance, edit)


def zip_bomb(good: bytes, chance: Random) -> bytes:
    """A file that unpacks to 60 MB, whose header asks for more than any memory."""
    shape = chance.choice(("(60000, 250)", "(2000000, 2500)", "(200000000, 250)"))
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    start = b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header.encode()

    def edit(entries: list[Entry]) -> None:
        entry = chance.choice(entries)
        entry.content, entry.deflated = start + _zeros(), True

    return _rebuilt(good, chance, edit)


def zip_directory(good: bytes, chance: Random) -> bytes:
    """The archive's own list of files, lying of sizes, places, methods and flags."""
    at = good.rfind(b"PK\1\2")
    if at < 0:
        return blind.flip(good, chance)
    offset, size = chance.choice(((8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (28, 2), (42, 4)))
    odd = chance.choice((0, 1, 8, 12, 14, 99, 0xFFFF, 0xFFFFFFFF, 2**31)) % (1 << 8 * size)
    return good[: at + offset] + odd.to_bytes(size, "little") + good[at + offset + size :]


@lru_cache(1)
def _zeros() -> bytes:
    return bytes(60_000_000)


def _change(entries: list[Entry], change: Mutator, chance: Random) -> None:
    entry = chance.choice(entries)
    entry.content = change(entry.content, chance)


def _rebuilt(good: bytes, chance: Random, edit: Callable[[list[Entry]], None]) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(good)) as archive:
            entries = [
                Entry(
                    name=each.filename,
                    content=archive.read(each),
                    deflated=each.compress_type == zipfile.ZIP_DEFLATED,
                )
                for each in archive.infolist()
            ]
        edit(entries)
    except (zipfile.BadZipFile, OSError, EOFError, IndexError, ValueError, RuntimeError):
        return blind.flip(good, chance)
    except (NotImplementedError, zlib.error, lzma.LZMAError, struct.error):
        return blind.truncate(good, chance)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that are there twice
        for each in entries:
            method = zipfile.ZIP_DEFLATED if each.deflated else zipfile.ZIP_STORED
            archive.writestr(zipfile.ZipInfo(each.name), each.content, method, 1)
    return target.getvalue()


NPY: tuple[Mutator, ...] = (npy_header, npy_header, npy_pickle)
ZIP: tuple[Mutator, ...] = (
    *(zip_entry(blind.flip), zip_entry(blind.truncate), zip_entry(blind.overwrite)),
    *(zip_names, zip_directory),
)
NPZ: tuple[Mutator, ...] = (
    *(zip_entry(npy_header), zip_entry(npy_header), zip_entry(npy_pickle), zip_bomb),
    *(zip_entry(blind.odd_float), *ZIP),
)
