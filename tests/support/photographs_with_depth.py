"""Photographs that carry depth, written by hand as the specifications of their formats say."""

import base64
import struct
from hashlib import md5
from io import BytesIO

import numpy as np
from PIL import Image

SIZE = (96, 128)
NEAR, FAR = 1.0, 6.0
_RDF = 'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
_XAP, _EXTENSION = b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0"
_GDEPTH = 'xmlns:GDepth="http://ns.google.com/photos/1.0/depthmap/"'


def true_depth() -> np.ndarray:
    """A floor that goes away from the camera, 1.2 to 5 m, farther on the left [m]."""
    rows, columns = np.mgrid[: SIZE[0] // 2, : SIZE[1] // 2]
    return 1.2 + 3.0 * (1 - rows / rows.max()) + 0.8 * (1 - columns / columns.max())


def picture(size: tuple[int, int] = SIZE) -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 255, (*size, 3)).astype(np.uint8)
    return Image.fromarray(noise)


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    file = BytesIO()
    image.save(file, format=format, **options)
    return file.getvalue()


def codes(depth: np.ndarray, form: str, levels: int = 65535) -> np.ndarray:
    if form == "RangeLinear":
        share = (depth - NEAR) / (FAR - NEAR)
    else:
        share = FAR * (depth - NEAR) / (depth * (FAR - NEAR))
    return np.round(share * levels).astype(np.uint16 if levels > 255 else np.uint8)


def map_png(depth: np.ndarray, form: str = "RangeInverse") -> bytes:
    return encoded(Image.fromarray(codes(depth, form)), "PNG")


def confidence_png(confidence: np.ndarray) -> bytes:
    """Confidences of 0 to 1 as a picture of 8 bits."""
    return encoded(Image.fromarray(np.round(255 * confidence).astype(np.uint8)), "PNG")


def xmp(inside: str, attributes: str) -> bytes:
    return (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF {_RDF}>'
        f'<rdf:Description rdf:about="" {attributes}>{inside}</rdf:Description>'
        "</rdf:RDF></x:xmpmeta>"
    ).encode()


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def with_segments(jpeg: bytes, *segments: bytes) -> bytes:
    """A JPEG file with segments after its first two bytes."""
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


def gdepth(
    *,
    form: str = "RangeInverse",
    unit: str | None = "m",
    scale: float = 1.0,
    data: bytes | None = None,
    measure: str = "OpticalAxis",
    extended: bool = False,
    cut: bool = False,
    confidence: np.ndarray | None = None,
    padded: bool = True,
    **options: object,
) -> bytes:
    """A JPEG file with GDepth, its map in the main packet or in an extended one."""
    text = base64.b64encode(map_png(true_depth(), form) if data is None else data).decode()
    text = text if padded else text.rstrip("=")
    said = (
        f'{_GDEPTH} GDepth:Format="{form}" GDepth:Near="{NEAR * scale}" '
        f'GDepth:Far="{FAR * scale}" GDepth:Mime="image/png" GDepth:MeasureType="{measure}"'
    )
    said += "" if unit is None else f' GDepth:Units="{unit}"'
    if confidence is not None:
        said += f' GDepth:Confidence="{base64.b64encode(confidence_png(confidence)).decode()}"'
    jpeg = encoded(picture(), "JPEG", quality=90, **options)
    if not extended:
        return with_segments(jpeg, segment(0xE1, _XAP + xmp("", f'{said} GDepth:Data="{text}"')))
    packet = xmp("", f'{_GDEPTH} GDepth:Data="{text}"')
    guid = md5(packet).hexdigest().upper().encode()
    note = 'xmlns:xmpNote="http://ns.adobe.com/xmp/note/" xmpNote:HasExtendedXMP'
    main = segment(0xE1, _XAP + xmp("", f'{said} {note}="{guid.decode()}"'))
    step = 1000
    parts = [
        segment(
            0xE1,
            _EXTENSION + guid + struct.pack(">LL", len(packet), at) + packet[at : at + step],
        )
        for at in range(0, len(packet), step)
    ]
    return with_segments(jpeg, main, *(parts[:-1] if cut else reversed(parts)))


def dynamic(
    *,
    unit: str = "Meters",
    cut: int = 0,
    too_much: int = 0,
    confidence: np.ndarray | None = None,
    named: bool = True,
    padding: int = 0,
) -> bytes:
    """A JPEG file with Dynamic Depth: its map follows the picture, then some other items.

    Args:
        unit: Unit that the file states.
        cut: Bytes that the file is short of.
        too_much: Bytes that the last item says to have more than there are.
        confidence: Another item, of the map's size.
        named: Whether items have addresses that the map's description tells, or meanings alone.
        padding: Bytes behind the map that belong to no item.
    """
    png, other = map_png(true_depth(), "RangeLinear"), b"\0" * 321
    sure = b"" if confidence is None else confidence_png(confidence)
    space = "http://ns.google.com/photos/dd/1.0/"
    names = " ".join(
        f'xmlns:{name}="{space}{name.lower()}/"'
        for name in ("Device", "Container", "Item", "Camera", "DepthMap")
    )
    item = '<rdf:li rdf:parseType="Resource"><Container:Item Item:Mime="{}" {}/></rdf:li>'

    def called(meaning: str, address: str) -> str:
        return f'Item:DataURI="{address}"' if named else f'Item:Semantic="{meaning}"'

    behind = f'Item:Padding="{padding}"' if padding else ""
    listed = [
        item.format("image/jpeg", f'Item:Length="0" {called("Primary", "primary_image")}'),
        item.format(
            "image/png",
            f'Item:Length="{len(png)}" {behind} {called("Depth", "android/depthmap")}',
        ),
        item.format(
            "video/mp4", f'Item:Length="{len(other) + too_much}" {called("MotionPhoto", "motion")}'
        ),
    ]
    if sure:
        address = called("Confidence", "android/confidencemap")
        listed.insert(2, item.format("image/png", f'Item:Length="{len(sure)}" {address}'))
    said = {
        "Format": "RangeLinear",
        "Near": NEAR,
        "Far": FAR,
        "Units": unit,
    }
    if named:
        said["DepthURI"] = "android/depthmap"
    if sure:
        said["ConfidenceURI"] = "android/confidencemap"
    fields = "".join(f"<DepthMap:{key}>{value}</DepthMap:{key}>" for key, value in said.items())
    inside = (
        "<Device:Container><Container:Directory><rdf:Seq>"
        + "".join(listed)
        + "</rdf:Seq></Container:Directory></Device:Container><Device:Cameras><rdf:Seq>"
        '<rdf:li rdf:parseType="Resource"><Camera:DepthMap rdf:parseType="Resource">'
        + fields
        + "</Camera:DepthMap></rdf:li></rdf:Seq></Device:Cameras>"
    )
    jpeg = encoded(picture(), "JPEG", quality=90)
    whole = with_segments(jpeg, segment(0xE1, _XAP + xmp(inside, names)))
    whole += png + b"\xff" * padding + sure + other
    return whole[: len(whole) - cut]


def apple_xmp(
    low: float,
    high: float,
    accuracy: str = "absolute",
    kind: str = "disparity",
    *,
    named: bool = True,
) -> bytes:
    """Description of a map of ``kind``: by name, or by its number format alone."""
    native = {"disparity": b"hdis", "depth": b"hdep"}[kind]
    values = {
        "apdi:IntMinValue": 0,
        "apdi:IntMaxValue": 255,
        "apdi:FloatMinValue": low,
        "apdi:FloatMaxValue": high,
        "apdi:StoredFormat": 1278226488,
        "apdi:NativeFormat": int.from_bytes(native, "big"),
        "depthData:Accuracy": accuracy,
    }
    if named:
        values["apdi:AuxiliaryImageType"] = kind
    return xmp(
        "".join(f"<{key}>{value}</{key}>" for key, value in values.items()),
        'xmlns:apdi="http://ns.apple.com/pixeldatainfo/1.0/" '
        'xmlns:depthData="http://ns.apple.com/depthData/1.0/"',
    )


def eight_bits(kind: str = "disparity") -> tuple[Image.Image, float, float]:
    """The map as Apple stores it: 8 bits between the least and the greatest 1/m, or m."""
    numbers = 1 / true_depth() if kind == "disparity" else true_depth()
    low, high = float(numbers.min()), float(numbers.max())
    share = (numbers - low) / (high - low)
    return Image.fromarray(np.round(255 * share).astype(np.uint8)), low, high


def apple_jpeg(accuracy: str = "absolute", kind: str = "disparity", *, named: bool = True) -> bytes:
    """A file of two pictures, the second of which is the disparity or the depth."""
    second, low, high = eight_bits(kind)
    auxiliary = with_segments(
        encoded(second, "JPEG", quality=98),
        segment(0xE1, _XAP + apple_xmp(low, high, accuracy, kind, named=named)),
    )
    jpeg = encoded(picture(), "JPEG", quality=90)
    index_bytes = 8 + 2 + 3 * 12 + 4 + 32
    whole = len(jpeg) + 4 + 4 + index_bytes
    # Offsets are counted from the mark of the byte order, which follows FFD8, FFE2, length, MPF.
    start = 2 + 4 + 4
    tags = (
        struct.pack(">HHL4s", 0xB000, 7, 4, b"0100"),
        struct.pack(">HHLL", 0xB001, 4, 1, 2),
        struct.pack(">HHLL", 0xB002, 7, 32, index_bytes - 32),
    )
    entries = struct.pack(">LLLHH", 0x20030000, whole, 0, 0, 0)
    entries += struct.pack(">LLLHH", 0, len(auxiliary), whole - start, 0, 0)
    index = b"MM\0*" + struct.pack(">LH", 8, 3) + b"".join(tags) + struct.pack(">L", 0) + entries
    assert len(index) == index_bytes
    return with_segments(jpeg, segment(0xE2, b"MPF\0" + index)) + auxiliary


def box(kind: str, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return struct.pack(">L4s", len(content) + 8, kind.encode()) + content


def full_box(kind: str, *parts: bytes, version: int = 0, flags: int = 0) -> bytes:
    return box(kind, struct.pack(">L", version << 24 | flags), *parts)


def coded_heic(image: Image.Image) -> tuple[bytes, bytes]:
    """Box hvcC and coded picture of an image, out of a file that the library wrote."""
    import pillow_heif

    file = BytesIO()
    pillow_heif.from_pillow(image).save(file, quality=95)
    content = file.getvalue()
    at = content.index(b"hvcC") - 4
    header = content[at : at + int.from_bytes(content[at : at + 4], "big")]
    at = content.index(b"mdat") - 4
    return header, content[at + 8 : at + int.from_bytes(content[at : at + 4], "big")]


def apple_heic(accuracy: str = "absolute", *, described: bool = True) -> bytes:
    """A HEIC file whose second item is a disparity map, and whose third describes it in XMP."""
    second, low, high = eight_bits()
    photo, map_ = picture(), second.resize((128, 128), Image.Resampling.BILINEAR)
    (head_1, data_1), (head_2, data_2) = coded_heic(photo), coded_heic(map_)
    packet = apple_xmp(low, high, accuracy) if described else b" "
    data = (data_1, data_2, packet)
    kinds = ((1, b"hvc1", b""), (2, b"hvc1", b""), (3, b"mime", b"application/rdf+xml\0"))
    items = [
        full_box("infe", struct.pack(">HH4s", id, 0, kind), b"\0", more, version=2)
        for id, kind, more in kinds
    ]
    references = (
        box("auxl", struct.pack(">HHH", 2, 1, 1)),
        box("cdsc", struct.pack(">HHH", 3, 1, 2)),
    )
    sizes = [full_box("ispe", struct.pack(">LL", *image.size)) for image in (photo, map_)]
    kind = full_box("auxC", b"urn:mpeg:hevc:2015:auxid:2\0")
    owned = box("ipco", head_1, sizes[0], head_2, sizes[1], kind)
    which = struct.pack(">LHBBB", 2, 1, 2, 0x81, 2) + struct.pack(">HBBBB", 2, 3, 0x83, 4, 5)
    properties = box("iprp", owned, full_box("ipma", which))
    front = box("ftyp", b"heic", b"\0\0\0\0", b"mif1heic")

    def meta(start: int) -> bytes:
        places, at = b"", start
        for id, content in enumerate(data, 1):
            places += struct.pack(">HHHLL", id, 0, 1, at, len(content))
            at += len(content)
        return full_box(
            "meta",
            full_box("hdlr", b"\0\0\0\0pict", b"\0" * 12, b"\0"),
            full_box("pitm", struct.pack(">H", 1)),
            full_box("iinf", struct.pack(">H", len(items)), *items),
            full_box("iref", *references),
            properties,
            full_box("iloc", b"\x44\0", struct.pack(">H", 3), places),
        )

    start = len(front) + len(meta(0)) + 8
    return front + meta(start) + box("mdat", *data)
