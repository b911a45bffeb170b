"""The output ``gdepth``: the photograph as JPEG with its depth inside, as phones write it.

The depth is a grey PNG in XMP, in Google's namespace GDepth (developers.google.com/depthmap-
metadata). XMP that is larger than a segment of JPEG continues in further segments, as Adobe's XMP
specification, part 3, section 1.1.3.1 says.
"""

import base64
import math
import struct
from dataclasses import replace
from hashlib import md5
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from rilievo.arrays.shapes import Field, Float64, Mask, UInt8, UInt16
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.cameras.lens import Pinhole
from rilievo.geometry.intrinsics import focal_from_film
from rilievo.io.files.names import printable
from rilievo.io.outputs.sidecar import FileFacts
from rilievo.io.outputs.writing import Stored, WriteJob, open_stored_image
from rilievo.io.photographs.own_depth import GDEPTH, NETWORK_SOFTWARE
from rilievo.io.photographs.xmp import NOTE, read_xmp_packets, xmp_properties
from rilievo.io.resizing import nearest_pixel_index
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.sample import Photo

_QUALITY = 95
_MAX_CODE = 65535
_MAX_MAP_PIXELS = 1_000_000
"""Pixels to which larger maps are reduced. Phones store fewer, and a network sees no finer."""
_MIN_RANGE = 1.001
"""Least ratio of the farthest to the nearest depth, because GDepth needs Near < Far."""

_XMP_SIGNATURE = b"http://ns.adobe.com/xap/1.0/\0"
_EXTENDED_XMP_SIGNATURE = b"http://ns.adobe.com/xmp/extension/\0"
"""First bytes of the segments of JPEG with a packet of XMP, and with a part of an extended one."""
_MAX_SEGMENT_BYTES = 65533
"""Most bytes of a segment of JPEG after the two bytes of its length."""
_EXTENDED_PART_BYTES = 65400
"""Bytes of an extended packet in one segment, as Adobe's programs write them."""
_PACKET_BEGIN = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
_PACKET_END = '<?xpacket end="r"?>'
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"


def write(job: WriteJob, depth: DepthMap, photo: Photo) -> FileFacts:
    """Write the photograph, and in its XMP the depth between the nearest and the farthest pixel."""
    near, far = _depth_range(depth)
    # Pixels are left out and not averaged: a mean across an edge would be the depth of no surface.
    kept_pixels = nearest_pixel_index(depth.shape, _map_shape(depth.shape))
    valid = depth.valid[kept_pixels]
    properties = _depth_properties(job, depth, photo, near=near, far=far)
    pictures = {"Data": _png_base64(_inverse_codes(depth.values[kept_pixels], valid, near, far))}
    confidence = job.prediction.confidence
    if confidence is not None or not valid.all():
        kept_confidence = None if confidence is None else confidence[kept_pixels]
        properties["ConfidenceMime"] = "image/png"
        pictures["Confidence"] = _png_base64(_confidence_codes(kept_confidence, valid))

    facts = replace(
        job.float_depth_facts(f"photograph with {job.depth_facts.meaning} in its XMP (GDepth)"),
        invalid=0,
    )
    # Surfaces have anchored depth, whose kind differs from that of the prediction.
    sidecar = replace(job.sidecar, depth=job.sidecar.anchored or job.sidecar.depth)
    jpeg = _encode_photo(photo, job.prediction.camera, sidecar.embedded_json(facts))
    job.path.write_bytes(_insert_xmp(jpeg, properties, pictures))
    return facts


def _depth_properties(
    job: WriteJob, depth: DepthMap, photo: Photo, *, near: float, far: float
) -> dict[str, str]:
    """Properties of GDepth that describe the depth, without its picture."""
    properties = {
        "Format": "RangeInverse",
        "Near": f"{near:.9g}",
        "Far": f"{far:.9g}",
        "Mime": "image/png",
        "MeasureType": "OpticRay" if depth.is_distance else "OpticalAxis",
        "Software": NETWORK_SOFTWARE if job.prediction.is_of_network else "rilievo",
        "ImageWidth": str(photo.pixels.shape[1]),
        "ImageHeight": str(photo.pixels.shape[0]),
    }
    if depth.kind is DepthKind.METRIC:
        properties["Units"] = "m"
    return properties


def read(path: Path, file_facts: FileFacts) -> Stored:
    """Read depth at the size of the photograph, to which a smaller map is stretched."""
    with path.open("rb") as file, JpegImageFile(file) as image:
        packets = read_xmp_packets(image)
        width, height = image.size
    properties = xmp_properties(packets.xml_roots(printable(path)), GDEPTH)
    near, far = float(properties["Near"]), float(properties["Far"])
    fractions = _grey_levels(properties["Data"]) / _MAX_CODE
    values = (far * near / (far - fractions * (far - near))).astype(np.float32)
    valid = np.ones(values.shape, dtype=bool)
    if "Confidence" in properties:
        valid = _grey_levels(properties["Confidence"]) > 0
    stretched = nearest_pixel_index(fractions.shape, (height, width))
    return Stored(values=values[stretched], valid=valid[stretched])


def _grey_levels(text: str) -> Float64[np.ndarray, "h w"]:
    """Codes of a PNG in base64."""
    with PngImageFile(BytesIO(base64.b64decode(text))) as image:
        if image.width * image.height > 2 * _MAX_MAP_PIXELS:
            raise ValueError("its map has more pixels than rilievo writes")
        return np.asarray(image).astype(np.float64)


def read_json(path: Path) -> str:
    """Read the JSON in the comment of the file."""
    with open_stored_image(JpegImageFile, path) as image:
        return image.info["comment"].decode()


def _depth_range(depth: DepthMap) -> tuple[float, float]:
    """Nearest and farthest depth as the file states them; any range if no pixel is valid."""
    values = depth.values[depth.valid]
    if not values.size:
        return 1.0, 2.0
    near, far = float(values.min()), float(values.max())
    # The codes are computed with the numbers of the text.
    near, far = float(f"{near:.9g}"), float(f"{max(far, near * _MIN_RANGE):.9g}")
    return near, far


def _map_shape(shape: tuple[int, int]) -> tuple[int, int]:
    """Height and width of the map in the file: those of the photograph, unless it is too large."""
    height, width = shape
    factor = max(1.0, math.sqrt(height * width / _MAX_MAP_PIXELS))
    return max(1, round(height / factor)), max(1, round(width / factor))


def _inverse_codes(
    values: Field, valid: Mask, near: float, far: float
) -> UInt16[np.ndarray, "h w"]:
    """Codes that are linear in inverse depth, from 0 at ``near`` to 65535 at ``far``."""
    depth: Float64[np.ndarray, "h w"] = np.where(valid, values, far).astype(np.float64)
    fractions = far * (depth - near) / (depth * (far - near))
    return np.rint(np.clip(fractions, 0, 1) * _MAX_CODE).astype(np.uint16)


def _confidence_codes(confidence: Field | None, valid: Mask) -> UInt8[np.ndarray, "h w"]:
    """Confidence from 1 to 255, and 0 without depth."""
    certainty = 1.0 if confidence is None else np.clip(confidence, 0, 1)
    codes = np.maximum(np.rint(255 * certainty), 1)
    return np.where(valid, codes, 0).astype(np.uint8)


def _png_base64(codes: np.ndarray) -> str:
    file = BytesIO()
    Image.fromarray(codes).save(file, format="PNG")
    return base64.b64encode(file.getvalue()).decode()


def _encode_photo(photo: Photo, camera: Camera | None, comment: str) -> bytes:
    """JPEG of the photograph with its size, and with its focal length if it is known, in EXIF."""
    exif = Image.Exif()
    entries = exif.get_ifd(ExifTags.IFD.Exif)
    height, width = photo.shape
    entries[ExifTags.Base.ExifImageWidth] = width
    entries[ExifTags.Base.ExifImageHeight] = height
    focal_35mm = _focal_35mm(camera, photo.shape)
    if focal_35mm is not None:
        entries[ExifTags.Base.FocalLengthIn35mmFilm] = focal_35mm
    is_short = len(comment.encode()) <= _MAX_SEGMENT_BYTES
    file = BytesIO()
    Image.fromarray(photo.pixels).save(
        file,
        format="JPEG",
        quality=_QUALITY,
        subsampling=0,
        exif=exif,
        comment=comment if is_short else "",
    )
    return file.getvalue()


def _focal_35mm(camera: Camera | None, size: tuple[int, int]) -> int | None:
    """Focal length for 35 mm film as EXIF has it, in whole millimetres; None if it is a guess."""
    if camera is None or camera.source.is_guess or not isinstance(camera.lens, Pinhole):
        return None
    millimetres = round(camera.focal / focal_from_film(1.0, size))
    return millimetres if 0 < millimetres < 2**16 else None


def _insert_xmp(jpeg: bytes, properties: dict[str, str], pictures: dict[str, str]) -> bytes:
    """Insert XMP after the header of a JPEG.

    The properties and the pictures, which are PNGs in base64, are one packet of XMP if they fit
    into one segment. Otherwise, the pictures follow in an extended packet.
    """
    packet = _packet({**properties, **pictures})
    if len(_XMP_SIGNATURE) + len(packet) <= _MAX_SEGMENT_BYTES:
        return _insert_after_header(jpeg, [_app1_segment(_XMP_SIGNATURE + packet)])

    extended_packet = _description(pictures, "").encode()
    # The main packet names the extended one by this sum, which each of its segments repeats.
    guid = md5(extended_packet, usedforsecurity=False).hexdigest().upper()
    main_segment = _app1_segment(_XMP_SIGNATURE + _packet(properties, guid))
    return _insert_after_header(jpeg, [main_segment, *_extended_segments(extended_packet, guid)])


def _extended_segments(extended_packet: bytes, guid: str) -> list[bytes]:
    """Cut an extended packet into segments: GUID, size of the packet, offset, and the part."""
    segments = []
    for offset in range(0, len(extended_packet), _EXTENDED_PART_BYTES):
        header = guid.encode() + struct.pack(">LL", len(extended_packet), offset)
        part = extended_packet[offset : offset + _EXTENDED_PART_BYTES]
        segments.append(_app1_segment(_EXTENDED_XMP_SIGNATURE + header + part))
    return segments


def _packet(properties: dict[str, str], extended_guid: str | None = None) -> bytes:
    """XMP packet of properties, which names the extended packet if there is one."""
    note_attributes = ""
    if extended_guid is not None:
        note_attributes = f' xmlns:xmpNote="{NOTE}" xmpNote:HasExtendedXMP="{extended_guid}"'
    return f"{_PACKET_BEGIN}{_description(properties, note_attributes)}{_PACKET_END}".encode()


def _description(properties: dict[str, str], other_attributes: str) -> str:
    """XML of properties of GDepth, whose values need no escaping, after other XML attributes."""
    attributes = "".join(f' GDepth:{name}="{value}"' for name, value in properties.items())
    return (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{_RDF}">'
        f'<rdf:Description rdf:about="" xmlns:GDepth="{GDEPTH}"{other_attributes}{attributes}/>'
        "</rdf:RDF></x:xmpmeta>"
    )


def _app1_segment(content: bytes) -> bytes:
    """Segment of a JPEG file for EXIF and XMP: its marker, its length and its content."""
    return struct.pack(">HH", 0xFFE1, len(content) + 2) + content


def _insert_after_header(jpeg: bytes, segments: list[bytes]) -> bytes:
    """Insert segments after the start of the file and the segments of JFIF and EXIF.

    A file begins with a marker of 2 bytes. Each segment has a marker of 2 bytes, and then its
    length without the marker, in 2 bytes.
    """
    position = 2
    while jpeg[position : position + 2] in (b"\xff\xe0", b"\xff\xe1"):
        position += 2 + int.from_bytes(jpeg[position + 2 : position + 4], "big")
    return jpeg[:position] + b"".join(segments) + jpeg[position:]
