"""PNG, JPEG and TIFF broken piece by piece, with their checksums made right again."""

import struct
import zlib
from dataclasses import dataclass
from functools import lru_cache
from random import Random

from lab.torture.forms import blind
from lab.torture.forms.mutator import EXTREMES, Mutator

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclass(slots=True, kw_only=True)
class Chunk:
    """One chunk of a PNG file."""

    kind: bytes
    content: bytes


def png_chunk(good: bytes, chance: Random) -> bytes:
    """The content of one chunk broken, its checksum right."""
    chunks = png_chunks(good)
    if not chunks:
        return blind.flip(good, chance)
    chunk = chance.choice(chunks)
    chunk.content = chance.choice(blind.ALL)(chunk.content, chance)
    return png_joined(chunks)


def png_header(good: bytes, chance: Random) -> bytes:
    """Another size, depth or kind of colour than the pixels have."""
    chunks = png_chunks(good)
    if not chunks or len(chunks[0].content) != 13:
        return blind.flip(good, chance)
    fields = list(struct.unpack(">IIBBBBB", chunks[0].content))
    at = chance.randrange(7)
    fields[at] = chance.choice(EXTREMES if at < 2 else (0, 1, 2, 3, 4, 6, 7, 8, 16, 255))
    fields[at] %= 2**32 if at < 2 else 256
    chunks[0].content = struct.pack(">IIBBBBB", *fields)
    return png_joined(chunks)


def png_pixels(good: bytes, chance: Random) -> bytes:
    """The rows unpacked, broken, and packed again; or packed so that they unpack to far more."""
    chunks = png_chunks(good)
    pixels = [each for each in chunks if each.kind == b"IDAT"]
    if not pixels:
        return blind.flip(good, chance)
    if chance.random() < 0.1:
        pixels[0].content = bomb()
        return png_joined(chunks)
    try:
        rows = zlib.decompress(b"".join(each.content for each in pixels))
    except zlib.error:
        return blind.flip(good, chance)
    pixels[0].content = zlib.compress(chance.choice(blind.ALL)(rows, chance), 1)
    return png_joined([each for each in chunks if each.kind != b"IDAT" or each is pixels[0]])


def png_order(good: bytes, chance: Random) -> bytes:
    """A chunk taken out, doubled, moved, or put in that has no business there."""
    chunks = png_chunks(good)
    if not chunks:
        return blind.flip(good, chance)
    at, to = chance.randrange(len(chunks)), chance.randrange(len(chunks))
    odd = (
        Chunk(kind=b"zTXt", content=b"bomb\0\0" + bomb()),
        Chunk(kind=b"iTXt", content=b"rilievo\0\1\0\0\0" + bomb()),
        Chunk(kind=b"iCCP", content=b"p\0\0" + zlib.compress(chance.randbytes(300))),
        Chunk(kind=b"acTL", content=struct.pack(">II", chance.choice(EXTREMES) % 2**32, 0)),
        Chunk(kind=b"PLTE", content=chance.randbytes(chance.choice((0, 3, 4, 769)))),
        Chunk(kind=b"tRNS", content=chance.randbytes(chance.randrange(9))),
        Chunk(kind=b"eXIf", content=b"II*\0" + chance.randbytes(60)),
        Chunk(kind=b"fcTL", content=chance.randbytes(26)),
        Chunk(kind=b"tEXt", content=b"rilievo\0" + b"[" * 50_000),
    )
    match chance.randrange(4):
        case 0:
            del chunks[at]
        case 1:
            chunks.insert(to, chunks[at])
        case 2:
            chunks[at], chunks[to] = chunks[to], chunks[at]
        case _:
            chunks.insert(1, chance.choice(odd))
    return png_joined(chunks)


def png_text(good: bytes, chance: Random) -> bytes:
    """Break the file's embedded text."""
    from lab.torture.forms import trees

    chunks = png_chunks(good)
    said = [each for each in chunks if each.kind in (b"iTXt", b"tEXt")]
    if not said:
        return png_chunk(good, chance)
    head, zeros, text = said[0].content.partition(b"\0\0\0\0\0")
    said[0].content = head + zeros + chance.choice(trees.ALL)(text, chance)
    return png_joined(chunks)


@lru_cache(1)
def bomb() -> bytes:
    """24 MB of zeros, in 24 kB."""
    packed = zlib.compressobj(9)
    parts = [packed.compress(bytes(2**20)) for _ in range(24)]
    return b"".join(parts) + packed.flush()


def png_chunks(png: bytes) -> list[Chunk]:
    """The chunks of a PNG file; none of another."""
    chunks, at = [], len(_SIGNATURE)
    while at + 12 <= len(png) and png.startswith(_SIGNATURE):
        (size,) = struct.unpack(">I", png[at : at + 4])
        chunks.append(Chunk(kind=png[at + 4 : at + 8], content=png[at + 8 : at + 8 + size]))
        at += size + 12
    return chunks


def png_joined(chunks: list[Chunk]) -> bytes:
    """A PNG file of chunks, with their checksums."""
    parts = [_SIGNATURE]
    for each in chunks:
        checksum = zlib.crc32(each.kind + each.content)
        parts += [struct.pack(">I", len(each.content)), each.kind, each.content]
        parts.append(struct.pack(">I", checksum))
    return b"".join(parts)


def jpeg_segment(good: bytes, chance: Random) -> bytes:
    """One segment broken, its length right or lying."""
    starts = _segments(good)
    if not starts:
        return blind.flip(good, chance)
    at = chance.choice(starts)
    (size,) = struct.unpack(">H", good[at + 2 : at + 4])
    content = chance.choice(blind.ALL)(good[at + 4 : at + 2 + size], chance)[:60_000]
    lie = chance.choice((len(content) + 2, len(content) + 2, 0, 1, 0xFFFF))
    return good[: at + 2] + struct.pack(">H", lie) + content + good[at + 2 + size :]


def jpeg_size(good: bytes, chance: Random) -> bytes:
    """Another height or width in the frame's header."""
    for at in _segments(good):
        if good[at + 1] in (0xC0, 0xC2):
            side = at + chance.choice((5, 7))
            odd = chance.choice((0, 1, 31, 65535, 65500, 9000))
            return good[:side] + struct.pack(">H", odd) + good[side + 2 :]
    return blind.flip(good, chance)


def exif_entry(good: bytes, chance: Random) -> bytes:
    """One entry of the EXIF block: another type, count or value."""
    at = good.find(b"Exif\0\0")
    if at < 0:
        return jpeg_segment(good, chance)
    start = at + 6
    end = start + struct.unpack(">H", good[at - 2 : at])[0] - 8
    return good[:start] + tiff_entry(good[start:end], chance)[: end - start] + good[end:]


def tiff_entry(good: bytes, chance: Random) -> bytes:
    """One entry of a directory: another tag, type, count or value."""
    places = _entries(good)
    if not places:
        return blind.lying_length(good, chance)
    at = chance.choice(places)
    order = "little" if good[:2] == b"II" else "big"
    offset, size = chance.choice(((0, 2), (2, 2), (4, 4), (8, 4), (8, 4)))
    odd = (chance.choice(EXTREMES), chance.randrange(20), chance.randrange(len(good)))
    stored = (chance.choice(odd) % (1 << 8 * size)).to_bytes(size, order)
    return good[: at + offset] + stored + good[at + offset + size :]


def tiff_circle(good: bytes, chance: Random) -> bytes:
    """A directory whose next is itself, or itself a directory of its own."""
    places = _entries(good)
    if not places:
        return blind.flip(good, chance)
    order = "little" if good[:2] == b"II" else "big"
    end = places[-1] + 12
    to = chance.choice((int.from_bytes(good[4:8], order), 4, 0xFFFFFFF0))
    return good[:end] + to.to_bytes(4, order) + good[end + 4 :]


def _segments(jpeg: bytes) -> list[int]:
    found, at = [], 2
    while at + 4 <= len(jpeg) and jpeg[at] == 0xFF and jpeg[at + 1] not in (0xD9, 0xFF):
        found.append(at)
        if jpeg[at + 1] == 0xDA:
            break
        at += 2 + struct.unpack(">H", jpeg[at + 2 : at + 4])[0]
    return found


def _entries(tiff: bytes) -> list[int]:
    """Offsets of the entries of the first directory."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None or len(tiff) < 10:
        return []
    (at,) = struct.unpack(order + "I", tiff[4:8])
    if at + 2 > len(tiff):
        return []
    (count,) = struct.unpack(order + "H", tiff[at : at + 2])
    return [at + 2 + 12 * i for i in range(count) if at + 14 + 12 * i <= len(tiff)]


PNG: tuple[Mutator, ...] = (png_chunk, png_header, png_pixels, png_order, png_text)
JPEG: tuple[Mutator, ...] = (jpeg_segment, jpeg_size, exif_entry, exif_entry)
TIFF: tuple[Mutator, ...] = (tiff_entry, tiff_entry, tiff_entry, tiff_circle)
