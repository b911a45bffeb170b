"""Second view of a spatial photograph, which a HEIC file holds beside the first (ISO/IEC 23008-12).

The group ``ster`` names the left and the right view, and ``cmex`` states where a camera stands.
Decoders know only the item that ``pitm`` names, so the second view is read from a copy of the file
in which ``pitm`` names that one.
"""

import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BufferedReader, BytesIO

from rilievo.errors import InputError

_MIN_BASELINE, _MAX_BASELINE = 1e-3, 1.0  # [m], plausible for one device
_METADATA_BYTES = 2**20
"""Bytes from the start of a file within which a group of views is named, if there is one."""
_ORIGIN = (0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondView:
    """Second view of a spatial photograph.

    Attributes:
        file: HEIC file of which decoders read the second view.
        baseline: Distance between the views [m], negative if the second one stands left.
    """

    file: BytesIO
    baseline: float


def find_second_view(file: BufferedReader | BytesIO) -> SecondView | None:
    """Find the second view of a HEIC photograph, if its file names one; its position changes.

    Raises:
        InputError: If boxes are damaged or the pair is not usable.
    """
    file.seek(0)
    content = file.read(_METADATA_BYTES)
    if b"ster" not in content:
        return None
    try:
        return _second_view_in_boxes(content + file.read())
    except (struct.error, LookupError, StopIteration) as error:
        raise InputError("its boxes are cut short, or lack a part") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class _Box:
    """Content of a box, and where it begins in the bytes that were searched."""

    content: bytes
    start: int


def _second_view_in_boxes(content: bytes) -> SecondView | None:
    meta = next(box for kind, box in _boxes(content) if kind == b"meta")
    boxes = dict(_boxes(meta.content, start=4))
    groups = dict(_boxes(boxes[b"grpl"].content)) if b"grpl" in boxes else {}
    if b"ster" not in groups:
        return None

    primary = boxes[b"pitm"]
    number_format = ">I" if primary.content[0] else ">H"
    [first_view] = struct.unpack_from(number_format, primary.content, 4)
    left, right = struct.unpack_from(">II", groups[b"ster"].content, 12)
    if left == right or first_view not in (left, right):
        raise InputError("its pair of views is not of this photograph")
    second_view = right if first_view == left else left

    positions = _camera_positions(boxes[b"iprp"].content)
    distance = math.dist(positions.get(first_view, _ORIGIN), positions.get(second_view, _ORIGIN))
    if not _MIN_BASELINE <= distance <= _MAX_BASELINE:
        raise InputError(f"its views stand {distance:g} m apart")
    copy = bytearray(content)
    struct.pack_into(number_format, copy, meta.start + primary.start + 4, second_view)
    baseline = distance if first_view == left else -distance
    return SecondView(file=BytesIO(copy), baseline=baseline)


def _boxes(content: bytes, start: int = 0) -> Iterator[tuple[bytes, _Box]]:
    """Yield the kinds and contents of the boxes that follow one another from a position on."""
    position = start
    while position < len(content):
        size, kind = struct.unpack_from(">I4s", content, position)
        if size == 1:  # the true size follows in 8 bytes
            begin = position + 16
            end = position + struct.unpack_from(">Q", content, position + 8)[0]
        else:
            begin = position + 8
            end = position + size if size else len(content)
        if not begin <= end <= len(content):
            length, space = end - position, len(content) - position
            raise InputError(f"a box of {length} bytes lies in {space} bytes")
        yield kind, _Box(content=content[begin:end], start=begin)
        position = end


def _camera_positions(iprp: bytes) -> Mapping[int, Sequence[float]]:
    """Read the camera positions [m] of the items that have a box ``cmex``."""
    boxes = dict(_boxes(iprp))
    properties = list(_boxes(boxes[b"ipco"].content))
    positions: dict[int, Sequence[float]] = {}
    for item, index in _item_properties(boxes[b"ipma"].content):
        if index == 0:  # no property
            continue
        kind, box = properties[index - 1]
        if kind == b"cmex":
            positions[item] = _camera_position(box.content)
    return positions


def _item_properties(ipma: bytes) -> Iterator[tuple[int, int]]:
    """Yield the pairs of an item and the index, counted from 1, of a property that it has."""
    item_header = struct.Struct(">IB" if ipma[0] else ">HB")
    # The uppermost bit of an index says whether the property is essential.
    index_format, index_mask = ("H", 0x7FFF) if ipma[3] & 1 else ("B", 0x7F)
    position = 8
    for _ in range(struct.unpack_from(">I", ipma, 4)[0]):
        item, count = item_header.unpack_from(ipma, position)
        indices = struct.Struct(f">{count}{index_format}")
        for index in indices.unpack_from(ipma, position + item_header.size):
            yield item, index & index_mask
        position += item_header.size + indices.size


def _camera_position(cmex: bytes) -> Sequence[float]:
    """Read the position of a camera [m]; three bits say which coordinates are stated."""
    is_stated = [bool(cmex[3] >> axis & 1) for axis in range(3)]
    micrometres = iter(struct.unpack_from(f">{sum(is_stated)}i", cmex, 4))
    return [1e-6 * next(micrometres) if stated else 0.0 for stated in is_stated]
