"""Metadata of photographs: EXIF, HEIC's camera, and XMP packets of depth and panoramas.

Odd, broken or missing tags count as absent.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

from PIL import Image

from rilievo.arrays.shapes import Matrix
from rilievo.errors import InputError
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.cameras.equirectangular import Equirectangular
from rilievo.geometry.intrinsics import K_from_focal, focal_from_film, pinhole_K
from rilievo.io.files.archives import check_tiff_tags
from rilievo.io.photographs.decode import PILLOW_ERRORS

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

ASSUMED_FOV = 55.0
"""Assumed field of view along the longer side [degrees], of a 35 mm lens: within a factor of 1.45
of telephones and 50 mm lenses."""

# Plausible fields of view [degrees].
_LEAST_FOV, _GREATEST_FOV = 1.0, 170.0

# Relative difference up to which an image is resized, not cropped.
_SAME_ASPECT = 0.02

# Largest distance of a principal point from the middle, in longer sides.
_CENTRAL = 0.1

_MILLIMETRES = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}

_ORIENTATION, _EXIF_BLOCK = 0x0112, 0x8769
_FOCAL_LENGTH, _FOCAL_LENGTH_35MM = 0x920A, 0xA405
_PIXEL_WIDTH, _PIXEL_HEIGHT = 0xA002, 0xA003
_PLANE_X, _PLANE_Y, _PLANE_UNIT = 0xA20E, 0xA20F, 0xA210


@dataclass(frozen=True, slots=True, kw_only=True)
class ExifFacts:
    """Positive tags of the camera.

    Attributes:
        heif: Camera that a HEIC file states beside them.
        orientation: 1 to 8; 1 is upright.
        focal_35mm: Focal length of a 35 mm camera with this diagonal field of view [mm].
        focal: True focal length [mm].
        plane_x: Pixels of the original along a row, per ``plane_unit`` [mm].
        width: Width of the original [px].
    """

    heif: Camera | None = None
    orientation: int = 1
    focal_35mm: float | None = None
    focal: float | None = None
    plane_x: float | None = None
    plane_y: float | None = None
    plane_unit: float | None = None
    width: float | None = None
    height: float | None = None


def exif_facts(image: Image.Image) -> ExifFacts:
    """Read a loaded image's tags, and HEIC's camera."""
    K = heif_K(image)
    heif = None if K is None else Camera(K=K, source=CameraSource.HEIF)
    try:
        tags = image.getexif()
        if not tags:
            return ExifFacts(heif=heif)
        check_tiff_tags(getattr(tags, "fp", BytesIO()), "EXIF")
        block = tags.get_ifd(_EXIF_BLOCK)
        turned: object = tags.get(_ORIENTATION)
    except PILLOW_ERRORS:
        return ExifFacts(heif=heif)
    unit = block.get(_PLANE_UNIT, 2)
    return ExifFacts(
        heif=heif,
        orientation=turned if isinstance(turned, int) and 1 <= turned <= 8 else 1,
        focal_35mm=_positive_or_none(block.get(_FOCAL_LENGTH_35MM)),
        focal=_positive_or_none(block.get(_FOCAL_LENGTH)),
        plane_x=_positive_or_none(block.get(_PLANE_X)),
        plane_y=_positive_or_none(block.get(_PLANE_Y)),
        plane_unit=_MILLIMETRES.get(unit) if isinstance(unit, int) else None,
        width=_positive_or_none(block.get(_PIXEL_WIDTH)),
        height=_positive_or_none(block.get(_PIXEL_HEIGHT)),
    )


def camera_from_exif(facts: ExifFacts, size: tuple[int, int]) -> Camera | None:
    """Camera of an upright photograph, if its focal length is plausible.

    Pixels are square and the principal point is central; a changed aspect ratio is a crop.
    """
    resized = 1.0
    if facts.width is not None and facts.height is not None:
        # Sides are compared by length, as programs that rotate a picture often leave these tags.
        longer, shorter = max(facts.width, facts.height), min(facts.width, facts.height)
        if abs(max(size) / min(size) / (longer / shorter) - 1) > _SAME_ASPECT:
            return None
        resized = max(size) / longer
    diagonal = None if facts.focal_35mm is None else focal_from_film(facts.focal_35mm, size)
    for focal, source in (
        (diagonal, CameraSource.EXIF_35MM),
        (_focal_pixels_by_sensor(facts, resized), CameraSource.EXIF_SENSOR),
    ):
        if focal is not None and _is_plausible_focal(focal, size):
            return Camera(K=K_from_focal(focal, focal, size), source=source)
    return None


def heif_K(image: Image.Image) -> Matrix | None:
    """Intrinsics [px] of a HEIC file; None if none hold for its pixels."""
    stated = image.info.get("heif", {}).get("camera_intrinsic_matrix")
    if stated is None:
        return None
    fx, fy = stated["focal_length_x"], stated["focal_length_y"]
    # Counted from the corner of the picture.
    centre = stated["principal_point_x"] - 0.5, stated["principal_point_y"] - 0.5
    width, height = image.size
    off = math.dist(centre, ((width - 1) / 2, (height - 1) / 2))
    is_usual = min(fx, fy) > 0 and off <= _CENTRAL * max(width, height)
    return pinhole_K(fx, fy, *centre) if is_usual and _is_plausible_focal(fx, image.size) else None


def assumed_camera(size: tuple[int, int]) -> Camera:
    """Camera with ``ASSUMED_FOV``."""
    focal = max(size) / 2 / math.tan(math.radians(ASSUMED_FOV) / 2)
    return Camera(K=K_from_focal(focal, focal, size), source=CameraSource.ASSUMED)


def _focal_pixels_by_sensor(facts: ExifFacts, resized: float) -> float | None:
    x, y = facts.plane_x, facts.plane_y
    if facts.focal is None or facts.plane_unit is None or x is None or y is None:
        return None
    if not 0.9 < x / y < 1.1:
        return None
    return facts.focal * (math.sqrt(x * y) / facts.plane_unit) * resized


def _is_plausible_focal(focal: float, size: tuple[int, int]) -> bool:
    fov = math.degrees(2 * math.atan2(max(size) / 2, focal))
    return _LEAST_FOV <= fov <= _GREATEST_FOV


def _positive_or_none(value: object) -> float | None:
    try:
        number = float(value)  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError, ArithmeticError):
        return None
    return number if 0 < number < math.inf else None


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
