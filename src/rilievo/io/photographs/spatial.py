"""Pair of views of a spatial photograph (HEIC, ISO/IEC 23008-12).

The group ``ster`` names both views, ``cmex`` a camera's position. Decoders know the view of
``pitm``.
"""

import math
import struct
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from io import BufferedReader, BytesIO

from rilievo.errors import InputError

_LEAST_BASELINE, _MOST_BASELINE = 1e-3, 1.0
"""Plausible baselines [m]."""
_MOST_BYTES = 2**20


def other_view(file: BufferedReader | BytesIO) -> tuple[BytesIO, float] | None:
    """Find the other view of a HEIC photograph, if its file names one; its position changes.

    Returns:
        File with the other view first, and the baseline [m], negative if that stands left.

    Raises:
        InputError: If boxes are damaged or the pair is not usable.
    """
    file.seek(0)
    content = file.read(_MOST_BYTES)
    if b"ster" not in content:
        return None
    try:
        return _other_view(content + file.read())
    except (struct.error, LookupError, StopIteration) as error:
        raise InputError("its boxes are cut short, or lack a part") from error


def _other_view(content: bytes) -> tuple[BytesIO, float] | None:
    meta, start = next(box for kind, box in _boxes(content) if kind == b"meta")
    boxes = dict(_boxes(meta, 4))
    groups = dict(_boxes(boxes.get(b"grpl", (b"", 0))[0]))
    if b"ster" not in groups:
        return None
    first, place = boxes[b"pitm"]
    form = ">I" if first[0] else ">H"
    [number] = struct.unpack_from(form, first, 4)
    views = struct.unpack_from(">II", groups[b"ster"][0], 12)
    other = sum(views) - number
    if other == number or number not in views:
        raise InputError("its pair of views is not of this photograph")
    positions = _positions(boxes[b"iprp"][0])
    baseline = math.dist(positions[number], positions[other])
    if not _LEAST_BASELINE <= baseline <= _MOST_BASELINE:
        raise InputError(f"its views stand {baseline:g} m apart")
    copy = bytearray(content)
    struct.pack_into(form, copy, start + place + 4, other)
    return BytesIO(copy), baseline if number == views[0] else -baseline


def _boxes(content: bytes, at: int = 0) -> Iterator[tuple[bytes, tuple[bytes, int]]]:
    while at < len(content):
        size, kind = struct.unpack_from(">I4s", content, at)
        start, end = at + 8, at + size if size else len(content)
        if size == 1:
            start, end = at + 16, at + struct.unpack_from(">Q", content, at + 8)[0]
        if not start <= end <= len(content):
            raise InputError(f"a box of {end - at} bytes lies in {len(content) - at} bytes")
        yield kind, (content[start:end], start)
        at = end


def _positions(properties: bytes) -> Mapping[int, Sequence[float]]:
    """Position of each camera [m]; else the origin."""
    boxes = dict(_boxes(properties))
    # Indices count from 1; 0 is none.
    owned = [(b"", (b"", 0)), *_boxes(boxes[b"ipco"][0])]
    table, at = boxes[b"ipma"][0], 8
    positions: dict[int, Sequence[float]] = defaultdict(lambda: (0.0, 0.0, 0.0))
    head = struct.Struct(">IB" if table[0] else ">HB")
    # The uppermost bit of an index says whether the property is essential.
    form, mask = ("H", 0x7FFF) if table[3] & 1 else ("B", 0x7F)
    for _ in range(struct.unpack_from(">I", table, 4)[0]):
        number, count = head.unpack_from(table, at)
        indices = struct.Struct(f">{count}{form}")
        for index in indices.unpack_from(table, at + head.size):
            kind, [box, _] = owned[index & mask]
            if kind == b"cmex":
                # Three bits say which of the coordinates follow, in micrometres.
                stated = [box[3] >> axis & 1 for axis in range(3)]
                numbers = iter(struct.unpack_from(f">{sum(stated)}i", box, 4))
                positions[number] = [1e-6 * next(numbers) if there else 0.0 for there in stated]
        at += head.size + indices.size
    return positions
