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


EXTENSION = b"http://ns.adobe.com/xmp/extension/\0"
_NOTE = "http://ns.adobe.com/xmp/note/"
_GUID_BYTES, _HEADER_BYTES = 32, 40
_PANORAMA = "http://ns.google.com/photos/1.0/panorama/"

# Relative difference up to which a panorama is resized, not cropped.
_SAME_PANORAMA_ASPECT = 0.02
_BEGIN, _END = b"<x:xmpmeta", b"</x:xmpmeta>"
MOST_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class XmpPackets:
    """Main packet of an image, empty where there is none, and parts of the extended one."""

    main: bytes
    parts: tuple[bytes, ...] = ()

    def mention(self, namespace: str) -> bool:
        """Whether they mention a namespace, by text search."""
        return any(namespace.encode() in packet for packet in (self.main, *self.parts))

    def xml_roots(self, name: str) -> "list[Element]":
        """Parse the main packet, and the extended one if announced."""
        root = parse_xmp(self.main, name)
        guid = xmp_properties([root], _NOTE).get("HasExtendedXMP")
        if guid is None:
            return [root]
        parts = [part for part in self.parts if part[:_GUID_BYTES] == guid.encode()]
        return [root, parse_xmp(_join_extended_parts(parts, name), name)]


def read_xmp_packets(image: Image.Image) -> XmpPackets:
    """Read the packets of an opened image."""
    main = image.info.get("xmp", b"")
    if isinstance(main, str):
        main = main.encode()
    parts = (
        content[len(EXTENSION) :]
        for _, content in getattr(image, "applist", ())
        if isinstance(content, bytes) and content.startswith(EXTENSION)
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
    """Parse the XML of a packet."""
    from xml.etree.ElementTree import ParseError, fromstring

    if len(packet) > MOST_BYTES:
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
    """Simple properties of a namespace, each the first of its name."""
    texts: dict[str, str] = {}
    for root in roots:
        for element in root.iter():
            for key, value in _element_properties(element, namespace):
                texts.setdefault(key, value)
    return texts


def xmp_structures(roots: "Sequence[Element]", namespace: str) -> list[Mapping[str, str]]:
    """Elements with properties of a namespace, in file order."""
    entries = (
        dict(_element_properties(element, namespace)) for root in roots for element in root.iter()
    )
    return [entry for entry in entries if entry]


def _element_properties(element: "Element", namespace: str) -> Iterator[tuple[str, str]]:
    prefix = f"{{{namespace}}}"
    for key, value in element.attrib.items():
        if key.startswith(prefix):
            yield key.removeprefix(prefix), value.strip()
    for child in element:
        if child.tag.startswith(prefix) and not len(child) and child.text:
            yield child.tag.removeprefix(prefix), child.text.strip()


def _join_extended_parts(parts: Sequence[bytes], name: str) -> bytes:
    if not parts or any(len(part) < _HEADER_BYTES for part in parts):
        raise InputError("its extended XMP is missing", path=name)
    length = int.from_bytes(parts[0][32:36], "big")
    if length > MOST_BYTES:
        raise InputError(f"its XMP has {length / 2**20:.0f} MiB, which is not read", path=name)
    whole, there = bytearray(length), 0
    for part in parts:
        offset, content = int.from_bytes(part[36:40], "big"), part[_HEADER_BYTES:]
        if offset + len(content) > length:
            raise InputError("its extended XMP contradicts itself", path=name)
        whole[offset : offset + len(content)] = content
        there += len(content)
    if there < length:
        raise InputError(f"its extended XMP is cut short, {there} of {length} bytes", path=name)
    return bytes(whole)


def camera_from_gpano(packet: bytes, size: tuple[int, int]) -> Camera | None:
    """Camera of an upright panorama by its main packet; None for odd statements and crops."""
    if _PANORAMA.encode() not in packet:
        return None
    try:
        stated = xmp_properties([parse_xmp(packet, "the photograph")], _PANORAMA)
    except InputError:
        return None
    if stated.get("ProjectionType", "equirectangular").lower() != "equirectangular":
        return None
    height, width = size
    whole_width = _number_or_nan(stated, "FullPanoWidthPixels", width)
    whole_height = _number_or_nan(stated, "FullPanoHeightPixels", whole_width / 2)
    part_width = _number_or_nan(stated, "CroppedAreaImageWidthPixels", whole_width)
    part_height = _number_or_nan(stated, "CroppedAreaImageHeightPixels", whole_height)
    left = _number_or_nan(stated, "CroppedAreaLeftPixels", (whole_width - part_width) / 2)
    top = _number_or_nan(stated, "CroppedAreaTopPixels", (whole_height - part_height) / 2)
    sides = (whole_width, whole_height, part_width, part_height)
    if min(sides) < 1 or left < 0 or top < 0 or not all(map(math.isfinite, (*sides, left, top))):
        return None
    if left + part_width > whole_width + 1 or top + part_height > whole_height + 1:
        return None
    if abs((width / height) / (part_width / part_height) - 1) > _SAME_PANORAMA_ASPECT:
        return None
    across, down = width / part_width, height / part_height
    lens = Equirectangular(
        fx=across * whole_width / (2 * math.pi),
        fy=down * whole_height / math.pi,
        cx=across * (whole_width / 2 - left) - 0.5,
        cy=down * (whole_height / 2 - top) - 0.5,
    )
    return Camera(lens=lens, source=CameraSource.GPANO)


def _number_or_nan(stated: Mapping[str, str], name: str, otherwise: float) -> float:
    text = stated.get(name)
    try:
        return float(otherwise) if text is None else float(text)
    except ValueError:
        return math.nan
