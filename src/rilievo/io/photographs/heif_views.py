"""Second view of a spatial photograph, which a HEIC file holds beside the first (ISO/IEC 23008-12).

The group ``ster`` names the items of the left and the right view, and ``cmex`` states the position
of a camera. Decoders only read the primary item, which ``pitm`` names. Therefore the second view is
read from a copy of the file in which ``pitm`` names that view.
"""

import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BufferedReader, BytesIO

from rilievo.errors import InputError

_MIN_BASELINE, _MAX_BASELINE = 1e-3, 1.0  # [m], plausible for one device
_METADATA_BYTES = 2**20
"""Bytes at the start of a file, which name the group of views if there is one."""
_FULL_BOX_HEADER_BYTES = 4
"""Version byte and three bytes of flags, with which the contents of many boxes begin."""
_ORIGIN = (0.0, 0.0, 0.0)
"""Position of a camera for which none is stated [m]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondView:
    """Second view of a spatial photograph.

    Attributes:
        file: Copy of the HEIC file, from which decoders read the second view.
        baseline: Distance between the views [m], negative if the second one is the left one.
    """

    file: BytesIO
    baseline: float


def find_second_view(file: BufferedReader | BytesIO) -> SecondView | None:
    """Find the second view of a HEIC photograph; None if its file names none.

    The position of the file changes.

    Raises:
        InputError: If boxes are damaged, or if the pair of views is not usable.
    """
    file.seek(0)
    content = file.read(_METADATA_BYTES)
    if b"ster" not in content:
        return None
    try:
        return _second_view_in_boxes(content + file.read())
    except (struct.error, LookupError, StopIteration) as error:
        raise InputError("its HEIF boxes are truncated or incomplete") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class _Box:
    """Content of a box, and its position in the bytes that were searched."""

    content: bytes
    start: int


def _second_view_in_boxes(content: bytes) -> SecondView | None:
    """Find the second view of a stereo pair, and copy the file with it as primary item."""
    meta = next(box for kind, box in _boxes(content) if kind == b"meta")
    boxes = dict(_boxes(meta.content, start=_FULL_BOX_HEADER_BYTES))
    groups = dict(_boxes(boxes[b"grpl"].content)) if b"grpl" in boxes else {}
    if b"ster" not in groups:
        return None

    primary_box = boxes[b"pitm"]
    version = primary_box.content[0]
    id_format = ">I" if version else ">H"
    [first_id] = struct.unpack_from(id_format, primary_box.content, _FULL_BOX_HEADER_BYTES)
    # After that header, the group has its id and the number of its items, then the items.
    left_id, right_id = struct.unpack_from(
        ">II", groups[b"ster"].content, _FULL_BOX_HEADER_BYTES + 8
    )
    if left_id == right_id or first_id not in (left_id, right_id):
        raise InputError("its stereo pair does not include the photograph")
    second_id = right_id if first_id == left_id else left_id

    positions = _camera_positions(boxes[b"iprp"].content)
    distance = math.dist(positions.get(first_id, _ORIGIN), positions.get(second_id, _ORIGIN))
    if not _MIN_BASELINE <= distance <= _MAX_BASELINE:
        raise InputError(
            f"its views are {distance:g} m apart; expected {_MIN_BASELINE:g} to {_MAX_BASELINE:g} m"
        )
    copied_file = bytearray(content)
    id_position = meta.start + primary_box.start + _FULL_BOX_HEADER_BYTES
    struct.pack_into(id_format, copied_file, id_position, second_id)
    # The baseline is positive if the second view is to the right.
    baseline = distance if first_id == left_id else -distance
    return SecondView(file=BytesIO(copied_file), baseline=baseline)


def _boxes(content: bytes, start: int = 0) -> Iterator[tuple[bytes, _Box]]:
    """Yield the kinds and contents of consecutive boxes from a position on."""
    box_start = start
    while box_start < len(content):
        stated_size, kind = struct.unpack_from(">I4s", content, box_start)
        content_start = box_start + 8
        if stated_size == 1:  # The size itself follows in 8 bytes.
            [size] = struct.unpack_from(">Q", content, content_start)
            content_start += 8
        elif stated_size == 0:  # The box extends to the end.
            size = len(content) - box_start
        else:
            size = stated_size
        end = box_start + size
        if not content_start <= end <= len(content):
            space = len(content) - box_start
            raise InputError(
                f"a HEIF box of {size} bytes does not fit into the remaining {space} bytes"
            )
        yield kind, _Box(content=content[content_start:end], start=content_start)
        box_start = end


def _camera_positions(iprp: bytes) -> Mapping[int, Sequence[float]]:
    """Read the camera positions [m] of the items that have a box ``cmex``."""
    boxes = dict(_boxes(iprp))
    properties = list(_boxes(boxes[b"ipco"].content))
    positions: dict[int, Sequence[float]] = {}
    for item_id, index in _item_properties(boxes[b"ipma"].content):
        if index == 0:  # Indices count from 1, and 0 is no property.
            continue
        kind, box = properties[index - 1]
        if kind == b"cmex":
            positions[item_id] = _camera_position(box.content)
    return positions


def _item_properties(ipma: bytes) -> Iterator[tuple[int, int]]:
    """Yield pairs of an item's id and the index, counted from 1, of a property that it has."""
    version, flags = ipma[0], ipma[3]
    item_header = struct.Struct(">IB" if version else ">HB")
    # The highest bit of an index says that the property is essential.
    index_format, index_mask = ("H", 0x7FFF) if flags & 1 else ("B", 0x7F)
    [item_count] = struct.unpack_from(">I", ipma, 4)
    position = 8
    for _ in range(item_count):
        item_id, property_count = item_header.unpack_from(ipma, position)
        indices_format = struct.Struct(f">{property_count}{index_format}")
        for index in indices_format.unpack_from(ipma, position + item_header.size):
            yield item_id, index & index_mask
        position += item_header.size + indices_format.size


def _camera_position(cmex: bytes) -> Sequence[float]:
    """Read the position of a camera [m]; three bits say which coordinates are stated."""
    is_stated = [bool(cmex[3] >> axis & 1) for axis in range(3)]
    micrometres = iter(struct.unpack_from(f">{sum(is_stated)}i", cmex, 4))
    return [1e-6 * next(micrometres) if has_coordinate else 0.0 for has_coordinate in is_stated]
