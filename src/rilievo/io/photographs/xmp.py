"""XMP packets of a photograph, and the camera of a panorama that they state."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image

from rilievo.errors import InputError
from rilievo.errors.messages import format_beyond
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.cameras.equirectangular import Equirectangular

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element


_EXTENSION = b"http://ns.adobe.com/xmp/extension/\0"
NOTE = "http://ns.adobe.com/xmp/note/"
_GUID_BYTES, _PART_HEADER_BYTES = 32, 40
_PANORAMA = "http://ns.google.com/photos/1.0/panorama/"
_MAX_ASPECT_CHANGE = 0.02
"""Relative difference of aspect ratios up to which a panorama was resized, and not cropped."""
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
        """Whether a namespace occurs in the text of the packets; they are not parsed."""
        return any(namespace.encode() in packet for packet in (self.main, *self.parts))

    def xml_roots(self, name: str) -> "list[Element]":
        """Parse the main packet, and the extended one if the main one announces it.

        Parts of an extended packet begin with its GUID. ``name`` is the file's name in messages.

        Raises:
            InputError: If a packet is damaged, incomplete or too large.
        """
        root = parse_xmp(self.main, name)
        guid = xmp_properties([root], NOTE).get("HasExtendedXMP")
        if guid is None:
            return [root]
        extended_parts = [part for part in self.parts if part[:_GUID_BYTES] == guid.encode()]
        return [root, parse_xmp(_join_extended_parts(extended_parts, name), name)]


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
    # In a TIFF, the packet is a tag, which may have any type.
    return XmpPackets(main if isinstance(main, bytes) else b"", tuple(parts))


def xmp_packets_in(content: bytes) -> Iterator[bytes]:
    """Yield every XMP packet in a file's bytes."""
    start = content.find(_BEGIN)
    while start >= 0:
        closing_tag = content.find(_END, start)
        if closing_tag < 0:
            return
        end = closing_tag + len(_END)
        yield content[start:end]
        start = content.find(_BEGIN, end)


def _too_large_error(byte_count: int, name: str) -> InputError:
    size = format_beyond(byte_count / 2**20, _MAX_BYTES / 2**20, decimals=1)
    return InputError(
        f"its XMP has {size} MiB; expected at most {_MAX_BYTES / 2**20:.0f} MiB", path=name
    )


def parse_xmp(packet: bytes, name: str) -> "Element":
    """Parse the XML of a packet; raise ``InputError`` if it is too large or not valid."""
    from xml.etree.ElementTree import ParseError, fromstring

    if len(packet) > _MAX_BYTES:
        raise _too_large_error(len(packet), name)
    start, end = packet.find(_BEGIN), packet.rfind(_END)
    has_envelope = 0 <= start < end
    xml = packet[start : end + len(_END)] if has_envelope else packet.strip(b"\0 \r\n\t")
    # Nested entities could expand to gigabytes.
    if b"<!DOCTYPE" in xml or b"<!ENTITY" in xml:
        raise InputError("its XMP has XML entity declarations, which are not supported", path=name)
    try:
        return fromstring(xml)
    except (ParseError, ValueError) as error:
        raise InputError(f"its XMP is not valid XML ({error})", path=name) from error


def xmp_properties(roots: "Sequence[Element]", namespace: str) -> Mapping[str, str]:
    """Collect the text properties of a namespace by name; the first one of a name counts."""
    properties: dict[str, str] = {}
    for root in roots:
        for element in root.iter():
            for key, value in _element_properties(element, namespace):
                properties.setdefault(key, value)
    return properties


def xmp_structures(roots: "Sequence[Element]", namespace: str) -> list[Mapping[str, str]]:
    """List the text properties of a namespace for each element that has any, in file order."""
    structures = (
        dict(_element_properties(element, namespace)) for root in roots for element in root.iter()
    )
    return [structure for structure in structures if structure]


def _element_properties(element: "Element", namespace: str) -> Iterator[tuple[str, str]]:
    """Yield the properties in attributes and in child elements, because XMP allows both."""
    prefix = f"{{{namespace}}}"
    for key, value in element.attrib.items():
        if key.startswith(prefix):
            yield key.removeprefix(prefix), value.strip()
    for child in element:
        if child.tag.startswith(prefix) and not len(child) and child.text:
            yield child.tag.removeprefix(prefix), child.text.strip()


def _join_extended_parts(parts: Sequence[bytes], name: str) -> bytes:
    """Join the parts of an extended packet.

    The header of each part is a GUID of 32 bytes, the length of the packet and the part's offset.
    """
    if not parts or any(len(part) < _PART_HEADER_BYTES for part in parts):
        raise InputError("its extended XMP is missing", path=name)
    packet_length = int.from_bytes(parts[0][32:36], "big")
    if packet_length > _MAX_BYTES:
        raise _too_large_error(packet_length, name)
    packet = bytearray(packet_length)
    copied_bytes = 0
    for part in parts:
        offset, content = int.from_bytes(part[36:40], "big"), part[_PART_HEADER_BYTES:]
        end = offset + len(content)
        if end > packet_length:
            raise InputError("its extended XMP is inconsistent", path=name)
        packet[offset:end] = content
        copied_bytes += len(content)
    if copied_bytes < packet_length:
        raise InputError(
            f"its extended XMP is truncated: {copied_bytes} of {packet_length} bytes", path=name
        )
    return bytes(packet)


@dataclass(frozen=True, slots=True, kw_only=True)
class _PanoramaCrop:
    """Part of a full panorama that a photograph shows, in pixels of the full panorama."""

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

    Returns None if there are none, if they contradict each other, or if the picture was cropped
    later.
    """
    if _PANORAMA.encode() not in packet:
        return None
    try:
        properties = xmp_properties([parse_xmp(packet, "the photograph")], _PANORAMA)
    except InputError:
        return None
    if properties.get("ProjectionType", "equirectangular").lower() != "equirectangular":
        return None
    height, width = size
    crop = _read_panorama_crop(properties, width)
    if not crop.is_consistent():
        return None
    aspect_change = abs((width / height) / (crop.width / crop.height) - 1)
    if aspect_change > _MAX_ASPECT_CHANGE:
        return None

    # A full panorama is 2π wide and π high, and its middle is the principal point.
    scale_x, scale_y = width / crop.width, height / crop.height
    lens = Equirectangular(
        fx=scale_x * crop.full_width / (2 * math.pi),
        fy=scale_y * crop.full_height / math.pi,
        cx=scale_x * (crop.full_width / 2 - crop.left) - 0.5,
        cy=scale_y * (crop.full_height / 2 - crop.top) - 0.5,
    )
    return Camera(lens=lens, source=CameraSource.GPANO)


def _read_panorama_crop(properties: Mapping[str, str], width: int) -> _PanoramaCrop:
    """Read which part of the full panorama is shown.

    If no size is stated, this is all of it. If no position is stated, this is its middle.
    """
    full_width = _number_or_nan(properties, "FullPanoWidthPixels", width)
    full_height = _number_or_nan(properties, "FullPanoHeightPixels", full_width / 2)
    crop_width = _number_or_nan(properties, "CroppedAreaImageWidthPixels", full_width)
    crop_height = _number_or_nan(properties, "CroppedAreaImageHeightPixels", full_height)
    middle_left, middle_top = (full_width - crop_width) / 2, (full_height - crop_height) / 2
    return _PanoramaCrop(
        full_width=full_width,
        full_height=full_height,
        width=crop_width,
        height=crop_height,
        left=_number_or_nan(properties, "CroppedAreaLeftPixels", middle_left),
        top=_number_or_nan(properties, "CroppedAreaTopPixels", middle_top),
    )


def _number_or_nan(properties: Mapping[str, str], name: str, default: float) -> float:
    """Read a number; the default if it is not stated, NaN if it is not a number."""
    text = properties.get(name)
    try:
        return float(default) if text is None else float(text)
    except ValueError:
        return math.nan
