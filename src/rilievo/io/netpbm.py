"""Headers and values of PGM, PPM and PFM files."""

import math
import re

import numpy as np
from jaxtyping import Float32, UInt8, UInt16

_HEADER = re.compile(rb"(P[56Ff])\s+(?:#[^\n]*\n\s*)*(\d+)\s+(\d+)\s+(-?[0-9.eE+-]+)\s")


def is_netpbm(head: bytes) -> bool:
    """Whether the first bytes are those of a binary PGM, PPM or PFM file."""
    return head[:2] in (b"P5", b"P6", b"Pf", b"PF") and head[2:3].isspace()


def parse_netpbm(
    content: bytes,
) -> UInt8[np.ndarray, "h w *c"] | UInt16[np.ndarray, "h w *c"] | Float32[np.ndarray, "h w *c"]:
    """Parse the content of a file; grey has no channel axis, colour has a last axis of three."""
    found = _HEADER.match(content)
    if found is None:
        raise ValueError("its header has no width, height and largest value")
    width, height, last = int(found[2]), int(found[3]), float(found[4])
    channels = (3,) if found[1] in (b"P6", b"PF") else ()
    if content[:2] in (b"Pf", b"PF"):
        if last == 0:
            raise ValueError("its scale is 0, but its sign has to give the byte order")
        stored = np.dtype("<f4" if last < 0 else ">f4")
    elif 0 < last < 65536:
        stored = np.dtype(">u2" if last > 255 else "u1")
    else:
        raise ValueError(f"its largest value is {last:g}, expected 1 to 65535")
    count, there = math.prod((height, width, *channels)), len(content) - found.end()
    if not count or there < count * stored.itemsize:
        raise ValueError(
            f"it promises {width} x {height} pixels, {count * stored.itemsize} bytes, but has "
            f"{there}"
        )
    values = np.frombuffer(content, stored, count, found.end()).astype(stored.newbyteorder("="))
    values = values.reshape(height, width, *channels)
    return values[::-1] if stored.kind == "f" else values
