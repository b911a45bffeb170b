"""Progressive JPEG files with scans that hold nothing but runs of empty blocks."""

from io import BytesIO

from PIL import Image

_RUNS = 15
"""Kinds of runs of empty blocks, of 2 to the power of 0 to 14 and more."""


def scan_bomb(scans: int, size: tuple[int, int] = (96, 64), level: int = 128) -> bytes:
    """A grey picture with this many scans in addition to those that Pillow writes."""
    stream = BytesIO()
    Image.new("L", size, level).save(stream, "JPEG", progressive=True)
    plain = stream.getvalue()
    assert plain.endswith(b"\xff\xd9")
    return plain[:-2] + empty_scans(scans, size) + plain[-2:]


def empty_scans(count: int, size: tuple[int, int]) -> bytes:
    """Scans that change no pixel of a grey picture, after the table that they need."""
    lengths = bytes(_RUNS if bits == 4 else 0 for bits in range(1, 17))
    symbols = bytes(run << 4 for run in range(_RUNS))
    table = _segment(0xC4, b"\x10" + lengths + symbols)
    header = _segment(0xDA, bytes((1, 1, 0, 1, 63, 0)))
    return table + count * (header + _runs(size))


def _runs(size: tuple[int, int]) -> bytes:
    width, height = size
    blocks, bits = -(-width // 8) * -(-height // 8), ""
    while blocks:
        power = min(blocks.bit_length() - 1, _RUNS - 1)
        run = min(blocks, (2 << power) - 1)
        bits += f"{power:04b}" + (f"{run - (1 << power):0{power}b}" if power else "")
        blocks -= run
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")


def _segment(marker: int, content: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(content) + 2).to_bytes(2, "big") + content
