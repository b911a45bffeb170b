"""Files that are small and dear: many scans, tiles, chunks and directories for few bytes."""

import struct
import zlib
from functools import lru_cache
from io import BytesIO
from random import Random

from PIL import Image

from lab.torture.forms import blind
from lab.torture.forms.images import Chunk, png_chunks, png_joined
from lab.torture.forms.mutator import EXTREMES, Mutator

_RUNS = 15
"""Kinds of runs of empty blocks in JPEG, of 2 to the power of 0 to 14 and more."""
_SIZES = ((96, 64), (640, 480), (2000, 1500), (2000, 1500))


def jpeg_scans(good: bytes, chance: Random) -> bytes:
    """Scans that change nothing, in the file or in one of more pixels."""
    count = chance.choice((20, 90, 150, 1000, 5000, 20_000, 20_000))
    frame = _progressive_frame(good)
    if frame is None or chance.random() < 0.7:
        size = chance.choice(_SIZES)
        plain, component = _grey(size), 1
    else:
        (size, component), plain = frame, good
    at = plain.rfind(b"\xff\xd9")
    at = len(plain) if at < 0 else at
    return plain[:at] + _empty_scans(count, size, component) + plain[at:]


@lru_cache(8)
def _grey(size: tuple[int, int]) -> bytes:
    stream = BytesIO()
    Image.new("L", size, 128).save(stream, "JPEG", progressive=True)
    return stream.getvalue()


def _progressive_frame(jpeg: bytes) -> tuple[tuple[int, int], int] | None:
    """Size of the frame, and number of its first component."""
    at = jpeg.find(b"\xff\xc2")
    if at < 0 or len(jpeg) < at + 11:
        return None
    height, width = struct.unpack(">HH", jpeg[at + 5 : at + 9])
    return (width, height), jpeg[at + 10]


@lru_cache(32)
def _empty_scans(count: int, size: tuple[int, int], component: int) -> bytes:
    lengths = bytes(_RUNS if bits == 4 else 0 for bits in range(1, 17))
    symbols = bytes(run << 4 for run in range(_RUNS))
    table = _segment(0xC4, b"\x10" + lengths + symbols)
    header = _segment(0xDA, bytes((1, component, 0, 1, 63, 0)))
    return table + count * (header + _empty_runs(size))


def _empty_runs(size: tuple[int, int]) -> bytes:
    """Codes of runs of empty blocks for all blocks of a picture."""
    width, height = size
    blocks, bits = -(-width // 8) * -(-height // 8), ""
    while blocks:
        power = min(blocks.bit_length() - 1, _RUNS - 1)
        run = min(blocks, (2 << power) - 1)
        bits += f"{power:04b}" + (f"{run - (1 << power):0{power}b}" if power else "")
        blocks -= run
    bits += "1" * (-len(bits) % 8)
    return int(bits or "0", 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")


def _segment(marker: int, content: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(content) + 2).to_bytes(2, "big") + content


def jpeg_segments(good: bytes, chance: Random) -> bytes:
    """Thousands of comments, tables or pieces of a colour profile before the picture."""
    one = chance.choice(
        (
            _segment(0xFE, b""),
            _segment(0xFE, bytes(60_000)),
            _segment(0xE2, b"ICC_PROFILE\0\1\xff" + bytes(50)),
            _segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x/>"),
            _segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + b"0" * 32 + bytes(8)),
            _segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0\0\0"),
            _segment(0xDB, b"\0" + bytes(range(1, 65))),
        )
    )
    count = chance.choice((10, 1000, 20_000)) if len(one) < 1000 else 50
    return good[:2] + count * one + good[2:]


def png_interlaced(good: bytes, chance: Random) -> bytes:
    """Passes of a picture of many pixels, with rows for them, or without."""
    width, height = chance.choice(((1500, 1000), (1, 60_000), (60_000, 32), (32, 60_000)))
    kind = chance.choice((0, 2, 6))
    samples = {0: 1, 2: 3, 6: 4}[kind]
    rows = _packed((1 + width * samples) * height + 8 * (width + height) * samples)
    head = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 1)
    parts = [each for each in png_chunks(good) if each.kind not in (b"IHDR", b"IDAT", b"IEND")]
    ends = (Chunk(kind=b"IDAT", content=rows), Chunk(kind=b"IEND", content=b""))
    return png_joined([Chunk(kind=b"IHDR", content=head), *parts, *ends])


@lru_cache(16)
def _packed(count: int) -> bytes:
    return zlib.compress(bytes(count), 1)


def png_pieces(good: bytes, chance: Random) -> bytes:
    """Pixels in chunks of a byte, or thousands of chunks that say something."""
    parts = png_chunks(good)
    if not parts:
        return blind.flip(good, chance)
    claims = (
        (b"tEXt", b"Comment\0x"),
        (b"zTXt", b"Comment\0\0" + zlib.compress(bytes(60_000))),
        (b"iTXt", b"Comment\0\1\0\0\0" + zlib.compress(bytes(60_000))),
        (b"tIME", bytes(7)),
        (b"eXIf", b"II*\0\x08\0\0\0\0\0"),
        (b"fcTL", struct.pack(">IIIIIHHBB", 0, 48, 36, 0, 0, 1, 10, 0, 0)),
    )
    if chance.random() < 0.3:
        pixels = b"".join(each.content for each in parts if each.kind == b"IDAT")
        pieces = [Chunk(kind=b"IDAT", content=pixels[at : at + 1]) for at in range(len(pixels))]
        rest = [each for each in parts if each.kind != b"IDAT"]
        return png_joined([*rest[:-1], *pieces, *rest[-1:]])
    count = chance.choice((100, 3000))
    kind, content = chance.choice(claims)
    return png_joined([*parts[:1], *(count * [Chunk(kind=kind, content=content)]), *parts[1:]])


def tiff_tiles(good: bytes, chance: Random) -> bytes:
    """Tiles or strips of a large picture that are all the same few bytes, or lie outside."""
    width, height = chance.choice(((2000, 1500), (20_000, 32), (32, 20_000), (640, 480)))
    side = chance.choice((16, 16, 64, 256, 1024))
    is_tiled = chance.random() < 0.6
    rows = chance.choice((1, 8, height))
    count = -(-width // side) * -(-height // side) if is_tiled else -(-height // rows)
    count = min(count, 40_000)
    samples = chance.choice((1, 3))
    packing = chance.choice((1, 5, 8, 32773))
    held = side * side * samples if is_tiled else width * rows * samples
    data = zlib.compress(bytes(held), 1) if packing == 8 else bytes(min(held, 4096))
    start = 8
    offsets = start + len(data)
    sizes = offsets + 4 * count
    directory = sizes + 4 * count
    entries = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 1, 8),
        (259, 3, 1, packing),
        (262, 3, 1, 2 if samples == 3 else 1),
        (277, 3, 1, samples),
    ]
    if is_tiled:
        entries += [(322, 4, 1, side), (323, 4, 1, side)]
        entries += [(324, 4, count, offsets), (325, 4, count, sizes)]
    else:
        entries += [(273, 4, count, offsets), (278, 4, 1, rows), (279, 4, count, sizes)]
    if chance.random() < 0.2:
        at = chance.randrange(len(entries))
        tag, kind, number, _ = entries[at]
        entries[at] = (tag, kind, number, chance.choice(EXTREMES) % 2**32)
    packed = b"".join(struct.pack("<HHII", *each) for each in sorted(entries))
    place = start if chance.random() < 0.9 else chance.choice(EXTREMES) % 2**32
    return (
        struct.pack("<2sHI", b"II", 42, directory)
        + data
        + struct.pack("<I", place) * count
        + struct.pack("<I", len(data)) * count
        + struct.pack("<H", len(entries))
        + packed
        + bytes(4)
    )


_HOLDERS = (
    b"meta",
    b"iprp",
    b"ipco",
    b"iinf",
    b"iref",
    b"moov",
    b"trak",
    b"mdia",
    b"minf",
    b"stbl",
)


def boxes(good: bytes, chance: Random) -> bytes:
    """Boxes of HEIC and AVIF: sizes of pictures and grids, items that refer to each other."""
    match chance.randrange(4):
        case 0:  # another size than the coded picture has
            at = good.find(b"ispe")
            if at < 0 or at + 16 > len(good):
                return blind.lying_length(good, chance)
            odd = (chance.choice((64, 4096, 16_384, 65_535)), chance.choice((64, 4096, 65_535)))
            return good[: at + 8] + struct.pack(">II", *odd) + good[at + 16 :]
        case 1:  # the item is a grid of itself
            kind = chance.choice((b"hvc1", b"av01"))
            at = good.find(kind, good.find(b"infe"))
            to = chance.choice((b"grid", b"iden", b"iovl"))
            return good if at < 0 else good[:at] + to + good[at + 4 :]
        case 2:  # a box many times
            at = good.find(chance.choice((b"infe", b"ispe", b"pixi", b"colr", b"ipma")))
            if at < 4:
                return blind.splice(good, chance)
            (size,) = struct.unpack(">I", good[at - 4 : at])
            many = chance.choice((2, 50, 5000)) * good[at - 4 : at - 4 + min(size, 2000)]
            grown = good[: at - 4] + many + good[at - 4 :]
            return _enlarged(grown, at - 4, len(many))
        case _:  # items that are made of items
            at = good.find(b"iprp")
            if at < 4:
                return blind.splice(good, chance)
            links = 2000 * struct.pack(">I4sHHHH", 16, b"dimg", 1, 2, 1, 1)
            iref = struct.pack(">I4sI", 12 + len(links), b"iref", 0) + links
            return _enlarged(good[: at - 4] + iref + good[at - 4 :], at - 4, len(iref))


def _enlarged(grown: bytes, at: int, more: int) -> bytes:
    """The file with the sizes of the boxes around a place made right."""
    content = bytearray(grown)
    for kind in _HOLDERS:
        begin = grown.find(kind, 0, at)
        if begin >= 4:
            (size,) = struct.unpack(">I", grown[begin - 4 : begin])
            if begin - 4 + size >= at:
                content[begin - 4 : begin] = struct.pack(">I", size + more)
    return bytes(content)


JPEG: tuple[Mutator, ...] = (jpeg_scans, jpeg_scans, jpeg_segments)
PNG: tuple[Mutator, ...] = (png_interlaced, png_pieces)
TIFF: tuple[Mutator, ...] = (tiff_tiles,)
BOXES: tuple[Mutator, ...] = (boxes, boxes, boxes)
