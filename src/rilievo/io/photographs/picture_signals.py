"""Signal of a photograph by its file: PNG's cICP, nclx of AVIF and HEIC, and cicp of ICC."""

import struct
from collections.abc import Iterator, Mapping
from io import BufferedReader, BytesIO

from PIL import Image

from rilievo.errors import InputError
from rilievo.io.colour_signals import DEFAULT_PEAK, ColourSignal
from rilievo.io.photographs.signatures import AVIF, PNG, PhotoFormat

_PNG_HEAD = 8
_MOST_CHUNKS = 1000
_MOST_BOXES = 10_000
_MOST_BOX_BYTES = 1 << 20
"""Bytes of a box of properties that is read; usual ones have a few hundred."""
_ICC_HEADER = 128
_PQ_PROFILE = b"ITUR_2100_PQ_FULL"
"""Name of the ICC profile by which PNG files of before cICP say that they are PQ (W3C)."""
_PQ_IN_BT_2020 = (9, 16)


def picture_signal(
    image: Image.Image, file: BufferedReader | BytesIO, kind: PhotoFormat
) -> ColourSignal | None:
    """Signal that a file states, by what has precedence in its format; None if it states none.

    The position of the file changes.
    """
    profile = image.info.get("icc_profile")
    if kind is PNG:
        stated = _png_signal(file)
        if stated is not None:
            return stated
    if profile:
        return _icc_signal(profile)
    if kind is AVIF:
        return _box_signal(file)
    nclx = image.info.get("nclx_profile")
    if isinstance(nclx, Mapping):
        primaries, transfer = nclx.get("color_primaries"), nclx.get("transfer_characteristics")
        if isinstance(primaries, int) and isinstance(transfer, int):
            return ColourSignal(primaries=primaries, transfer=transfer)
    return None


def _png_signal(file: BufferedReader | BytesIO) -> ColourSignal | None:
    """Signal by cICP, with the peak of cLLI (PNG, third edition)."""
    chunks = dict(_png_chunks(file))
    stated = chunks.get(b"cICP")
    if stated is None or len(stated) != 4:
        return None
    if not stated[3]:
        raise InputError(
            "states colours of limited range (cICP), which are not read",
            hint="export it with full range first",
        )
    peak = DEFAULT_PEAK
    level = chunks.get(b"cLLI", b"")
    if len(level) == 8:
        peak = struct.unpack(">I", level[:4])[0] / 10_000 or DEFAULT_PEAK
    return ColourSignal(primaries=stated[0], transfer=stated[1], peak=peak)


def _png_chunks(file: BufferedReader | BytesIO) -> Iterator[tuple[bytes, bytes]]:
    """Names and contents of small chunks before the pixels."""
    file.seek(_PNG_HEAD)
    for _ in range(_MOST_CHUNKS):
        head = file.read(8)
        if len(head) < 8:
            return
        length, name = struct.unpack(">I4s", head)
        if name == b"IDAT":
            return
        if length <= 8:
            yield name, file.read(length)
            file.seek(4, 1)
        else:
            file.seek(length + 4, 1)


def _icc_signal(profile: bytes) -> ColourSignal | None:
    """Signal by the tag cicp (ICC.1:2022), or by the name of a PQ profile."""
    if _PQ_PROFILE in profile[:4096]:
        return ColourSignal(primaries=_PQ_IN_BT_2020[0], transfer=_PQ_IN_BT_2020[1])
    try:
        (count,) = struct.unpack_from(">I", profile, _ICC_HEADER)
        for tag in range(min(count, 100)):
            name, at, _ = struct.unpack_from(">4sII", profile, _ICC_HEADER + 4 + 12 * tag)
            if name == b"cicp" and profile[at : at + 4] == b"cicp":
                primaries, transfer = profile[at + 8], profile[at + 9]
                signal = ColourSignal(primaries=primaries, transfer=transfer)
                # Other profiles are converted by their curves.
                return signal if signal.is_hdr else None
    except (struct.error, IndexError):
        pass
    return None


def _box_signal(file: BufferedReader | BytesIO) -> ColourSignal | None:
    """Signal by nclx of the primary item of a HEIF file (ISO/IEC 23008-12)."""
    file.seek(0)
    meta = next((body for name, body in _file_boxes(file) if name == b"meta"), None)
    if meta is None:
        return None
    try:
        return _signal_of_meta(meta[4:])
    except (struct.error, IndexError):
        return None


def _signal_of_meta(meta: bytes) -> ColourSignal | None:
    parts = dict(_boxes(meta))
    properties = dict(_boxes(parts.get(b"iprp", b"")))
    own = _property_numbers(properties.get(b"ipma", b""), _primary_item(parts.get(b"pitm", b"")))
    all_properties = [*_boxes(properties.get(b"ipco", b""))]
    stated, peak = None, DEFAULT_PEAK
    for number in own:
        name, body = all_properties[number - 1] if 0 < number <= len(all_properties) else (b"", b"")
        if name == b"colr" and body[:4] == b"nclx":
            stated = struct.unpack_from(">HH", body, 4)
        if name == b"clli":
            peak = float(struct.unpack_from(">H", body)[0]) or DEFAULT_PEAK
    if stated is None:
        return None
    return ColourSignal(primaries=stated[0], transfer=stated[1], peak=peak)


def _primary_item(pitm: bytes) -> int:
    version = pitm[0] if pitm else 0
    number: int = struct.unpack_from(">I" if version else ">H", pitm, 4)[0]
    return number


def _property_numbers(ipma: bytes, item: int) -> list[int]:
    """Numbers, from 1, of the properties of an item."""
    version, flags = ipma[0], ipma[3]
    (count,), at = struct.unpack_from(">I", ipma, 4), 8
    for _ in range(min(count, _MOST_BOXES)):
        (number,) = struct.unpack_from(">H" if version < 1 else ">I", ipma, at)
        at += 2 if version < 1 else 4
        entries, at = ipma[at], at + 1
        wide = bool(flags & 1)
        if number == item:
            form = f">{entries}{'H' if wide else 'B'}"
            # The highest bit says that a property is essential.
            return [
                value & (0x7FFF if wide else 0x7F) for value in struct.unpack_from(form, ipma, at)
            ]
        at += entries * (2 if wide else 1)
    return []


def _file_boxes(file: BufferedReader | BytesIO) -> Iterator[tuple[bytes, bytes]]:
    """Names and contents of a file's boxes; large ones are skipped."""
    for _ in range(_MOST_BOXES):
        head = file.read(8)
        if len(head) < 8:
            return
        size, name = struct.unpack(">I4s", head)
        length = size - 8
        if size == 1:
            length = int.from_bytes(file.read(8), "big") - 16
        if length < 0:
            return
        if length <= _MOST_BOX_BYTES:
            yield name, file.read(length)
        else:
            file.seek(length, 1)


def _boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Names and contents of the boxes inside of another."""
    at = 0
    while at + 8 <= len(content):
        size, name = struct.unpack_from(">I4s", content, at)
        if size < 8:
            return
        yield name, content[at + 8 : at + size]
        at += size
