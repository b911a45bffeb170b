"""XMP packets of a photograph, and the camera of a panorama that they state."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image

from rilievo.errors import InputError
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.cameras.equirectangular import Equirectangular

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element


_EXTENSION = b"http://ns.adobe.com/xmp/extension/\0"
_NOTE = "http://ns.adobe.com/xmp/note/"
_GUID_BYTES, _PART_HEADER_BYTES = 32, 40
_PANORAMA = "http://ns.google.com/photos/1.0/panorama/"
_MAX_ASPECT_CHANGE = 0.02
"""Relative difference up to which a panorama was resized and not cropped."""
_BEGIN, _END = b"<x:xmpmeta", b"</x:xmpmeta>"
_MAX_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class XmpPackets:
    """XMP of an image.

    Attributes:
        main: Main packet; empty if there is none.
        parts: Parts of the extended packet, each with its header.
    """

    main: bytes
    parts: tuple[bytes, ...] = ()

    def mention(self, namespace: str) -> bool:
        """Whether a namespace occurs in the text of the packets, which are not parsed for it."""
        return any(namespace.encode() in packet for packet in (self.main, *self.parts))

    def xml_roots(self, name: str) -> "list[Element]":
        """Parse the main packet, and the extended one if the main one announces it.

        Raises:
            InputError: If a packet is damaged, incomplete or too large; ``name`` is the file in
                the message.
        """
        root = parse_xmp(self.main, name)
        guid = xmp_properties([root], _NOTE).get("HasExtendedXMP")
        if guid is None:
            return [root]
        parts = [part for part in self.parts if part[:_GUID_BYTES] == guid.encode()]
        return [root, parse_xmp(_join_extended_parts(parts, name), name)]


def read_xmp_packets(image: Image.Image) -> XmpPackets:
    """Collect the XMP packets of an opened image, without parsing them."""
    main = image.info.get("xmp", b"")
    if isinstance(main, str):
        main = main.encode()
    parts = (
        content[len(_EXTENSION) :]
        for _, content in getattr(image, "applist", ())
        if isinstance(content, bytes) and content.startswith(_EXTENSION)
    )
    # TIFF stores it under a tag, of whatever type the file states.
    return XmpPackets(main if isinstance(main, bytes) else b"", tuple(parts))


def xmp_packets_in(content: bytes) -> Iterator[bytes]:
    """Yield every XMP packet in a file's bytes."""
    end = 0
    while (start := content.find(_BEGIN, end)) >= 0:
        end = content.find(_END, start)
        if end < 0:
            return
        end += len(_END)
        yield content[start:end]


def parse_xmp(packet: bytes, name: str) -> "Element":
    """Parse the XML of a packet.

    Raises:
        InputError: If it is too large, declares entities, or is not valid.
    """
    from xml.etree.ElementTree import ParseError, fromstring

    if len(packet) > _MAX_BYTES:
        raise InputError(f"its XMP has {len(packet) / 2**20:.0f} MiB, which is not read", path=name)
    start, end = packet.find(_BEGIN), packet.rfind(_END)
    inside = packet[start : end + len(_END)] if 0 <= start < end else packet.strip(b"\0 \r\n\t")
    if b"<!DOCTYPE" in inside or b"<!ENTITY" in inside:
        raise InputError("its XMP declares entities, which no photograph needs", path=name)
    try:
        return fromstring(inside)
    except (ParseError, ValueError) as error:
        raise InputError(f"its XMP is not valid XML ({error})", path=name) from error


def xmp_properties(roots: "Sequence[Element]", namespace: str) -> Mapping[str, str]:
    """Collect the text properties of a namespace by name; the first of a name counts."""
    texts: dict[str, str] = {}
    for root in roots:
        for element in root.iter():
            for key, value in _element_properties(element, namespace):
                texts.setdefault(key, value)
    return texts


def xmp_structures(roots: "Sequence[Element]", namespace: str) -> list[Mapping[str, str]]:
    """List the text properties of each element that has some of a namespace, in file order."""
    entries = (
        dict(_element_properties(element, namespace)) for root in roots for element in root.iter()
    )
    return [entry for entry in entries if entry]


def _element_properties(element: "Element", namespace: str) -> Iterator[tuple[str, str]]:
    """Yield properties that stand in attributes or in child elements, as XMP allows both."""
    prefix = f"{{{namespace}}}"
    for key, value in element.attrib.items():
        if key.startswith(prefix):
            yield key.removeprefix(prefix), value.strip()
    for child in element:
        if child.tag.startswith(prefix) and not len(child) and child.text:
            yield child.tag.removeprefix(prefix), child.text.strip()


def _join_extended_parts(parts: Sequence[bytes], name: str) -> bytes:
    """Join the parts of an extended packet, whose headers state its length and their offsets."""
    if not parts or any(len(part) < _PART_HEADER_BYTES for part in parts):
        raise InputError("its extended XMP is missing", path=name)
    length = int.from_bytes(parts[0][32:36], "big")
    if length > _MAX_BYTES:
        raise InputError(f"its XMP has {length / 2**20:.0f} MiB, which is not read", path=name)
    packet = bytearray(length)
    copied = 0
    for part in parts:
        offset, content = int.from_bytes(part[36:40], "big"), part[_PART_HEADER_BYTES:]
        if offset + len(content) > length:
            raise InputError("its extended XMP contradicts itself", path=name)
        packet[offset : offset + len(content)] = content
        copied += len(content)
    if copied < length:
        raise InputError(f"its extended XMP is cut short, {copied} of {length} bytes", path=name)
    return bytes(packet)


@dataclass(frozen=True, slots=True, kw_only=True)
class _PanoramaCrop:
    """Part of a full panorama that a photograph shows, in pixels of the full one."""

    full_width: float
    full_height: float
    width: float
    height: float
    left: float
    top: float

    def is_consistent(self) -> bool:
        """Whether the sides are positive and finite, and the part lies in the full panorama."""
        sides = (self.full_width, self.full_height, self.width, self.height)
        if not all(map(math.isfinite, (*sides, self.left, self.top))):
            return False
        if min(sides) < 1 or self.left < 0 or self.top < 0:
            return False
        fits_across = self.left + self.width <= self.full_width + 1
        return fits_across and self.top + self.height <= self.full_height + 1


def camera_from_gpano(packet: bytes, size: tuple[int, int]) -> Camera | None:
    """Make the camera of an upright panorama from the GPano properties in its main packet.

    None if it states none, if the statements contradict each other, or if it was cropped later.
    """
    if _PANORAMA.encode() not in packet:
        return None
    try:
        stated = xmp_properties([parse_xmp(packet, "the photograph")], _PANORAMA)
    except InputError:
        return None
    if stated.get("ProjectionType", "equirectangular").lower() != "equirectangular":
        return None
    height, width = size
    crop = _panorama_crop(stated, width)
    if not crop.is_consistent():
        return None
    aspect_change = abs((width / height) / (crop.width / crop.height) - 1)
    if aspect_change > _MAX_ASPECT_CHANGE:
        return None

    scale_x, scale_y = width / crop.width, height / crop.height
    lens = Equirectangular(
        fx=scale_x * crop.full_width / (2 * math.pi),
        fy=scale_y * crop.full_height / math.pi,
        cx=scale_x * (crop.full_width / 2 - crop.left) - 0.5,
        cy=scale_y * (crop.full_height / 2 - crop.top) - 0.5,
    )
    return Camera(lens=lens, source=CameraSource.GPANO)


def _panorama_crop(stated: Mapping[str, str], width: int) -> _PanoramaCrop:
    """Read which part is shown; by default all of the full panorama, and else its middle."""
    full_width = _number_or_nan(stated, "FullPanoWidthPixels", width)
    full_height = _number_or_nan(stated, "FullPanoHeightPixels", full_width / 2)
    crop_width = _number_or_nan(stated, "CroppedAreaImageWidthPixels", full_width)
    crop_height = _number_or_nan(stated, "CroppedAreaImageHeightPixels", full_height)
    middle_left, middle_top = (full_width - crop_width) / 2, (full_height - crop_height) / 2
    return _PanoramaCrop(
        full_width=full_width,
        full_height=full_height,
        width=crop_width,
        height=crop_height,
        left=_number_or_nan(stated, "CroppedAreaLeftPixels", middle_left),
        top=_number_or_nan(stated, "CroppedAreaTopPixels", middle_top),
    )


def _number_or_nan(stated: Mapping[str, str], name: str, default: float) -> float:
    """Read a number; NaN if it is none, and the default if it is not stated."""
    text = stated.get(name)
    try:
        return float(default) if text is None else float(text)
    except ValueError:
        return math.nan
