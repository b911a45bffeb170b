"""Colour signal that a photograph's file states: cICP in PNG, nclx in AVIF and HEIC, cicp in ICC.

The code points are those of ITU-T H.273.
"""

import struct
from collections.abc import Iterator, Mapping
from io import SEEK_CUR, BufferedReader, BytesIO

from PIL import Image

from rilievo.errors import InputError
from rilievo.io.colour_signals import DEFAULT_PEAK, ColourSignal
from rilievo.io.photographs.icc_profiles import icc_tags
from rilievo.io.photographs.signatures import AVIF, PNG, PhotoFormat

_PNG_SIGNATURE_BYTES = 8
_MAX_CHUNK_BYTES = 8  # of a PNG; cICP has 4, and cLLI 8
_MAX_CHUNKS = 1000
_MAX_BOXES = 10_000
_MAX_BOX_BYTES = 1 << 20  # larger boxes of a file are skipped; those of properties have hundreds
_PQ_PROFILE = b"ITUR_2100_PQ_FULL"
"""Name of the ICC profile that marks PQ in PNG files older than cICP (W3C)."""
_PQ_IN_BT_2020 = ColourSignal(primaries=9, transfer=16)


def picture_signal(
    image: Image.Image, file: BufferedReader | BytesIO, photo_format: PhotoFormat
) -> ColourSignal | None:
    """Read the colour signal that a file states; None if it states none.

    If there are several statements, the one with precedence in the file's format counts. The
    position of the file changes.
    """
    if photo_format is PNG:
        png_signal = _read_png_signal(file)
        if png_signal is not None:
            return png_signal
    icc_profile = image.info.get("icc_profile")
    if icc_profile:
        return _read_icc_signal(icc_profile)
    if photo_format is AVIF:
        return _read_avif_signal(file)
    nclx = image.info.get("nclx_profile")
    if isinstance(nclx, Mapping):
        primaries, transfer = nclx.get("color_primaries"), nclx.get("transfer_characteristics")
        if isinstance(primaries, int) and isinstance(transfer, int):
            return ColourSignal(primaries=primaries, transfer=transfer)
    return None


def _read_png_signal(file: BufferedReader | BytesIO) -> ColourSignal | None:
    """Read the chunk cICP of a PNG, and the peak brightness of cLLI (PNG, third edition)."""
    chunks = dict(_small_png_chunks(file))
    code_points = chunks.get(b"cICP", b"")
    if len(code_points) != 4:
        return None
    primaries, transfer, _, has_full_range = code_points
    if not has_full_range:
        raise InputError(
            "the image has limited-range colours (cICP), which are not supported",
            hint="export it with full-range colours first",
        )
    peak = DEFAULT_PEAK
    light_levels = chunks.get(b"cLLI", b"")
    if len(light_levels) == 8:
        (max_level,) = struct.unpack(">I", light_levels[:4])  # [1/10,000 cd/m²]
        peak = max_level / 10_000 or DEFAULT_PEAK
    return ColourSignal(primaries=primaries, transfer=transfer, peak=peak)


def _small_png_chunks(file: BufferedReader | BytesIO) -> Iterator[tuple[bytes, bytes]]:
    """Yield the names and contents of a PNG's small chunks before its pixels."""
    checksum_bytes = 4
    file.seek(_PNG_SIGNATURE_BYTES)
    for _ in range(_MAX_CHUNKS):
        header = file.read(8)
        if len(header) < 8:
            return
        length, name = struct.unpack(">I4s", header)
        if name == b"IDAT":
            return
        if length <= _MAX_CHUNK_BYTES:
            yield name, file.read(length)
            file.seek(checksum_bytes, SEEK_CUR)
        else:
            file.seek(length + checksum_bytes, SEEK_CUR)


def _read_icc_signal(profile: bytes) -> ColourSignal | None:
    """Read the tag cicp of an ICC profile (ICC.1:2022), or recognise a PQ profile by its name.

    Returns None for other profiles, which have curves for their own conversion.
    """
    if _PQ_PROFILE in profile[:4096]:
        return _PQ_IN_BT_2020
    try:
        for name, offset in icc_tags(profile):
            if name == b"cicp" and profile[offset : offset + 4] == b"cicp":
                signal = ColourSignal(primaries=profile[offset + 8], transfer=profile[offset + 9])
                return signal if signal.is_hdr else None
    except (struct.error, IndexError):
        pass
    return None


def _read_avif_signal(file: BufferedReader | BytesIO) -> ColourSignal | None:
    """Read the nclx of an AVIF file's primary item (ISO/IEC 23008-12)."""
    file.seek(0)
    meta = next((content for name, content in _file_boxes(file) if name == b"meta"), None)
    if meta is None:
        return None
    try:
        return _read_primary_signal(meta[4:])
    except (struct.error, IndexError):
        return None


def _read_primary_signal(meta: bytes) -> ColourSignal | None:
    """Read the code points and peak brightness of the primary image from the box ``meta``.

    Its properties are boxes, which the item lists by their indices.
    """
    code_points = None
    peak = DEFAULT_PEAK
    for box_type, content in _primary_item_properties(meta):
        if box_type == b"colr" and content[:4] == b"nclx":
            code_points = struct.unpack_from(">HH", content, 4)
        elif box_type == b"clli":
            (max_level,) = struct.unpack_from(">H", content)  # [cd/m²]
            peak = float(max_level) or DEFAULT_PEAK
    if code_points is None:
        return None
    primaries, transfer = code_points
    return ColourSignal(primaries=primaries, transfer=transfer, peak=peak)


def _primary_item_properties(meta: bytes) -> list[tuple[bytes, bytes]]:
    """List the names and contents of the property boxes that the primary item refers to."""
    boxes = dict(_inner_boxes(meta))
    primary_item = _primary_item_id(boxes.get(b"pitm", b""))
    property_boxes = dict(_inner_boxes(boxes.get(b"iprp", b"")))
    all_properties = list(_inner_boxes(property_boxes.get(b"ipco", b"")))
    indices = _property_indices(property_boxes.get(b"ipma", b""), primary_item)  # from 1
    return [all_properties[index - 1] for index in indices if 0 < index <= len(all_properties)]


def _primary_item_id(pitm: bytes) -> int:
    version = pitm[0] if pitm else 0
    item_id: int = struct.unpack_from(">I" if version else ">H", pitm, 4)[0]
    return item_id


def _property_indices(ipma: bytes, item_id: int) -> list[int]:
    """Return the 1-based indices of an item's properties in the box ``ipco``.

    ``ipma`` lists for each item its id, the number of its properties, and their indices.
    """
    version, flags = ipma[0], ipma[3]  # a version byte, then 24 bits of flags
    item_header = struct.Struct(">HB" if version < 1 else ">IB")
    # The highest bit of an index says that the property is essential.
    index_format, index_mask = ("H", 0x7FFF) if flags & 1 else ("B", 0x7F)
    (item_count,) = struct.unpack_from(">I", ipma, 4)
    position = 8
    for _ in range(min(item_count, _MAX_BOXES)):
        current_id, property_count = item_header.unpack_from(ipma, position)
        position += item_header.size
        indices_format = struct.Struct(f">{property_count}{index_format}")
        if current_id == item_id:
            indices = indices_format.unpack_from(ipma, position)
            return [index & index_mask for index in indices]
        position += indices_format.size
    return []


def _file_boxes(file: BufferedReader | BytesIO) -> Iterator[tuple[bytes, bytes]]:
    """Yield the names and contents of a file's boxes; large boxes are skipped."""
    for _ in range(_MAX_BOXES):
        header = file.read(8)
        if len(header) < 8:
            return
        size, name = struct.unpack(">I4s", header)
        length = size - 8
        if size == 1:  # The size itself follows in 8 bytes.
            length = int.from_bytes(file.read(8), "big") - 16
        if length < 0:
            return
        if length <= _MAX_BOX_BYTES:
            yield name, file.read(length)
        else:
            file.seek(length, SEEK_CUR)


def _inner_boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the names and contents of the boxes inside another box."""
    position = 0
    while position + 8 <= len(content):
        size, name = struct.unpack_from(">I4s", content, position)
        if size < 8:
            return
        yield name, content[position + 8 : position + size]
        position += size
