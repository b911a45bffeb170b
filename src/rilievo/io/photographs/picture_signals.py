"""Colour signal that a photograph's file states: cICP of PNG, nclx of AVIF and HEIC, cicp of ICC.

The numbers are those of ITU-T H.273.
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
"""Name of the ICC profile by which PNG files from before cICP say that they are PQ (W3C)."""
_PQ_IN_BT_2020 = ColourSignal(primaries=9, transfer=16)


def picture_signal(
    image: Image.Image, file: BufferedReader | BytesIO, photo_format: PhotoFormat
) -> ColourSignal | None:
    """Read the colour signal that a file states, if any; the file's position changes.

    Of several statements the one that has precedence in the file's format counts.
    """
    if photo_format is PNG:
        png_signal = _png_signal(file)
        if png_signal is not None:
            return png_signal
    icc_profile = image.info.get("icc_profile")
    if icc_profile:
        return _icc_signal(icc_profile)
    if photo_format is AVIF:
        return _avif_signal(file)
    nclx = image.info.get("nclx_profile")
    if isinstance(nclx, Mapping):
        primaries, transfer = nclx.get("color_primaries"), nclx.get("transfer_characteristics")
        if isinstance(primaries, int) and isinstance(transfer, int):
            return ColourSignal(primaries=primaries, transfer=transfer)
    return None


def _png_signal(file: BufferedReader | BytesIO) -> ColourSignal | None:
    """Read the chunk cICP of a PNG, and the peak brightness of cLLI (PNG, third edition)."""
    chunks = dict(_small_png_chunks(file))
    stated = chunks.get(b"cICP", b"")
    if len(stated) != 4:
        return None
    primaries, transfer, _, has_full_range = stated
    if not has_full_range:
        raise InputError(
            "states colours of limited range (cICP), which are not read",
            hint="export it with full range first",
        )
    peak = DEFAULT_PEAK
    light_levels = chunks.get(b"cLLI", b"")
    if len(light_levels) == 8:
        (max_level,) = struct.unpack(">I", light_levels[:4])  # [1/10,000 cd/m²]
        peak = max_level / 10_000 or DEFAULT_PEAK
    return ColourSignal(primaries=primaries, transfer=transfer, peak=peak)


def _small_png_chunks(file: BufferedReader | BytesIO) -> Iterator[tuple[bytes, bytes]]:
    """Yield the names and contents of a PNG's small chunks before its pixels."""
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
            length = 0
        checksum_bytes = 4
        file.seek(length + checksum_bytes, SEEK_CUR)


def _icc_signal(profile: bytes) -> ColourSignal | None:
    """Read the tag cicp of an ICC profile (ICC.1:2022), or recognise a PQ profile by its name.

    None for other profiles, whose own curves convert them.
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


def _avif_signal(file: BufferedReader | BytesIO) -> ColourSignal | None:
    """Read the nclx of an AVIF file's primary item (ISO/IEC 23008-12)."""
    file.seek(0)
    meta = next((content for name, content in _file_boxes(file) if name == b"meta"), None)
    if meta is None:
        return None
    try:
        return _signal_of_primary_item(meta[4:])
    except (struct.error, IndexError):
        return None


def _signal_of_primary_item(meta: bytes) -> ColourSignal | None:
    """Read the signal from the content of a box ``meta``, after its version and flags."""
    boxes = dict(_inner_boxes(meta))
    primary_item = _primary_item(boxes.get(b"pitm", b""))
    property_boxes = dict(_inner_boxes(boxes.get(b"iprp", b"")))
    all_properties = list(_inner_boxes(property_boxes.get(b"ipco", b"")))
    numbers = _property_numbers(property_boxes.get(b"ipma", b""), primary_item)

    stated = None
    peak = DEFAULT_PEAK
    for number in numbers:
        if not 0 < number <= len(all_properties):
            continue
        name, content = all_properties[number - 1]
        if name == b"colr" and content[:4] == b"nclx":
            stated = struct.unpack_from(">HH", content, 4)
        if name == b"clli":
            (max_level,) = struct.unpack_from(">H", content)  # [cd/m²]
            peak = float(max_level) or DEFAULT_PEAK
    if stated is None:
        return None
    primaries, transfer = stated
    return ColourSignal(primaries=primaries, transfer=transfer, peak=peak)


def _primary_item(pitm: bytes) -> int:
    version = pitm[0] if pitm else 0
    number: int = struct.unpack_from(">I" if version else ">H", pitm, 4)[0]
    return number


def _property_numbers(ipma: bytes, item: int) -> list[int]:
    """List the numbers, counted from 1, of an item's properties in the box ``ipco``."""
    version, flags = ipma[0], ipma[3]
    item_header = struct.Struct(">HB" if version < 1 else ">IB")
    # The highest bit of a number says that its property is essential.
    number_format, number_mask = ("H", 0x7FFF) if flags & 1 else ("B", 0x7F)
    (item_count,) = struct.unpack_from(">I", ipma, 4)
    position = 8
    for _ in range(min(item_count, _MAX_BOXES)):
        current_item, property_count = item_header.unpack_from(ipma, position)
        position += item_header.size
        properties = struct.Struct(f">{property_count}{number_format}")
        if current_item == item:
            numbers = properties.unpack_from(ipma, position)
            return [number & number_mask for number in numbers]
        position += properties.size
    return []


def _file_boxes(file: BufferedReader | BytesIO) -> Iterator[tuple[bytes, bytes]]:
    """Yield the names and contents of a file's boxes, without large ones."""
    for _ in range(_MAX_BOXES):
        header = file.read(8)
        if len(header) < 8:
            return
        size, name = struct.unpack(">I4s", header)
        length = size - 8
        if size == 1:  # the true size follows in 8 bytes
            length = int.from_bytes(file.read(8), "big") - 16
        if length < 0:
            return
        if length <= _MAX_BOX_BYTES:
            yield name, file.read(length)
        else:
            file.seek(length, SEEK_CUR)


def _inner_boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the names and contents of the boxes inside of another."""
    position = 0
    while position + 8 <= len(content):
        size, name = struct.unpack_from(">I4s", content, position)
        if size < 8:
            return
        yield name, content[position + 8 : position + size]
        position += size
