"""Read PGM, PPM and PFM files without rescaling.

Pillow rescales PGM files whose largest value is not 255 or 65535, and reads PFM in part. Formats:
netpbm's documentation of PGM and PPM; P. Debevec's of PFM (rows from the bottom up).
"""

import re
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt8, UInt16

_HEADER = re.compile(rb"(P[56Ff])\s+(?:#[^\n]*\n\s*)*(\d+)\s+(\d+)\s+(-?[0-9.eE+-]+)\s")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Header:
    channels: int
    height: int
    width: int
    last: float
    end: int


def is_netpbm(head: bytes) -> bool:
    """Whether the first bytes are those of a binary PGM, PPM or PFM file."""
    return head[:2] in (b"P5", b"P6", b"Pf", b"PF") and head[2:3].isspace()


def parse_netpbm(
    content: bytes,
) -> UInt8[np.ndarray, "h w *c"] | UInt16[np.ndarray, "h w *c"] | Float32[np.ndarray, "h w *c"]:
    """Parse the content of a file; grey has no channel axis, colour has a last axis of three."""
    header = _header(content)
    if content[:2] in (b"Pf", b"PF"):
        if header.last == 0:
            raise ValueError("its scale is 0, but its sign has to give the byte order")
        stored = np.dtype("<f4" if header.last < 0 else ">f4")
        return _pixels(content, header, stored)[::-1]
    if not 0 < header.last < 65536:
        raise ValueError(f"its largest value is {header.last:g}, expected 1 to 65535")
    return _pixels(content, header, np.dtype(">u2" if header.last > 255 else "u1"))


def _header(content: bytes) -> _Header:
    found = _HEADER.match(content)
    if found is None:
        raise ValueError("its header has no width, height and largest value")
    return _Header(
        channels=3 if found[1] in (b"P6", b"PF") else 1,
        width=int(found[2]),
        height=int(found[3]),
        last=float(found[4]),
        end=found.end(),
    )


def _pixels(content: bytes, header: _Header, stored: np.dtype) -> np.ndarray:
    count = header.height * header.width * header.channels
    there = len(content) - header.end
    if not count or there < count * stored.itemsize:
        raise ValueError(
            f"it promises {header.width} x {header.height} pixels, {count * stored.itemsize} "
            f"bytes, but has {there}"
        )
    values = np.frombuffer(content, stored, count, header.end).astype(stored.newbyteorder("="))
    shape = (header.height, header.width)
    return values.reshape(shape if header.channels == 1 else (*shape, 3))
