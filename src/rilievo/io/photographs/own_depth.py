"""Depth in photographs: GDepth, Dynamic Depth, Apple's maps in JPEG and HEIC, two views.

Formats: developers.google.com/depthmap-metadata, Dynamic Depth 1.0 (2019), CIPA DC-007, ISO/IEC
23008-12, and Apple's namespaces pixeldatainfo and depthData. Of views (HEIC), the group ``ster``
names both and ``cmex`` a camera's position; decoders know that of ``pitm``.
"""

import base64
import binascii
import math
import struct
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from io import BufferedReader, BytesIO

import numpy as np
from PIL import Image

from rilievo.arrays.shapes import Float64
from rilievo.errors import InputError
from rilievo.geometry.intrinsics import resize_K
from rilievo.geometry.view_matching import match_views
from rilievo.io.files.limits import reason
from rilievo.io.photographs.decode import PILLOW_ERRORS, decode
from rilievo.io.photographs.exif import heif_K
from rilievo.io.photographs.pixels import stored_view
from rilievo.io.photographs.xmp import (
    XmpPackets,
    parse_xmp,
    read_xmp_packets,
    xmp_packets_in,
    xmp_properties,
    xmp_structures,
)
from rilievo.records.depth_map import OwnDepth

# Plausible baselines [m].
_LEAST_BASELINE, _MOST_BASELINE = 1e-3, 1.0
_MOST_BYTES = 2**20
_ENTRIES, _ENTRY_BYTES = 0xB002, 16
# Cameras write two to four.
_MOST_PICTURES = 16


def other_view_and_baseline(file: BufferedReader | BytesIO) -> tuple[BytesIO, float] | None:
    """Find the other view of a HEIC photograph, if its file names one; its position changes.

    Returns:
        File with the other view first, and the baseline [m], negative if that stands left.

    Raises:
        InputError: If boxes are damaged or the pair is not usable.
    """
    file.seek(0)
    content = file.read(_MOST_BYTES)
    if b"ster" not in content:
        return None
    try:
        return _view_and_baseline_in_boxes(content + file.read())
    except (struct.error, LookupError, StopIteration) as error:
        raise InputError("its boxes are cut short, or lack a part") from error


def _view_and_baseline_in_boxes(content: bytes) -> tuple[BytesIO, float] | None:
    meta, start = next(box for kind, box in _heif_boxes(content) if kind == b"meta")
    boxes = dict(_heif_boxes(meta, 4))
    groups = dict(_heif_boxes(boxes.get(b"grpl", (b"", 0))[0]))
    if b"ster" not in groups:
        return None
    first, place = boxes[b"pitm"]
    form = ">I" if first[0] else ">H"
    [number] = struct.unpack_from(form, first, 4)
    views = struct.unpack_from(">II", groups[b"ster"][0], 12)
    other = sum(views) - number
    if other == number or number not in views:
        raise InputError("its pair of views is not of this photograph")
    positions = _camera_positions(boxes[b"iprp"][0])
    baseline = math.dist(positions[number], positions[other])
    if not _LEAST_BASELINE <= baseline <= _MOST_BASELINE:
        raise InputError(f"its views stand {baseline:g} m apart")
    copy = bytearray(content)
    struct.pack_into(form, copy, start + place + 4, other)
    return BytesIO(copy), baseline if number == views[0] else -baseline


def _heif_boxes(content: bytes, at: int = 0) -> Iterator[tuple[bytes, tuple[bytes, int]]]:
    while at < len(content):
        size, kind = struct.unpack_from(">I4s", content, at)
        start, end = at + 8, at + size if size else len(content)
        if size == 1:
            start, end = at + 16, at + struct.unpack_from(">Q", content, at + 8)[0]
        if not start <= end <= len(content):
            raise InputError(f"a box of {end - at} bytes lies in {len(content) - at} bytes")
        yield kind, (content[start:end], start)
        at = end


def _camera_positions(iprp: bytes) -> Mapping[int, Sequence[float]]:
    """Position of each image's camera [m]; without one, the origin."""
    boxes = dict(_heif_boxes(iprp))
    # Indices count from 1; 0 is none.
    owned = [(b"", (b"", 0)), *_heif_boxes(boxes[b"ipco"][0])]
    table, at = boxes[b"ipma"][0], 8
    positions: dict[int, Sequence[float]] = defaultdict(lambda: (0.0, 0.0, 0.0))
    head = struct.Struct(">IB" if table[0] else ">HB")
    # The uppermost bit of an index says whether the property is essential.
    form, mask = ("H", 0x7FFF) if table[3] & 1 else ("B", 0x7F)
    for _ in range(struct.unpack_from(">I", table, 4)[0]):
        number, count = head.unpack_from(table, at)
        indices = struct.Struct(f">{count}{form}")
        for index in indices.unpack_from(table, at + head.size):
            kind, [box, _] = owned[index & mask]
            if kind == b"cmex":
                # Three bits say which of the coordinates follow, in micrometres.
                stated = [box[3] >> axis & 1 for axis in range(3)]
                numbers = iter(struct.unpack_from(f">{sum(stated)}i", box, 4))
                positions[number] = [1e-6 * next(numbers) if there else 0.0 for there in stated]
        at += head.size + indices.size
    return positions


GDEPTH = "http://ns.google.com/photos/1.0/depthmap/"
DEPTH_MAP = "http://ns.google.com/photos/dd/1.0/depthmap/"
ITEMS = (
    "http://ns.google.com/photos/dd/1.0/item/",
    "http://ns.google.com/photos/1.0/container/item/",
)
PIXEL_DATA = "http://ns.apple.com/pixeldatainfo/1.0/"
DEPTH_DATA = "http://ns.apple.com/depthData/1.0/"
MOST_PIXELS = 24 * 2**20
_KEPT_PIXELS = 400_000
_METRES = {
    **dict.fromkeys(("m", "meter", "meters", "metre", "metres"), 1.0),
    **dict.fromkeys(("mm", "millimeter", "millimeters", "millimetre", "millimetres"), 1e-3),
}
_NO_UNIT = "it states no unit, so nothing says that it is in metres"
_RELATIVE = "its depth is relative, not in metres"
_NATIVE = {"hdis": "disparity", "fdis": "disparity", "hdep": "depth", "fdep": "depth"}
_Map = Float64[np.ndarray, "h w"]
_CODES = (("IntMinValue", "0"), ("IntMaxValue", "255"))
# Largest width of views [px].
_MATCHED_WIDTH = 1280
# Least distance [m].
_NEAREST = 0.25
# Largest distance in baselines: half a pixel in 2,000 is 5 %.
_FARTHEST = 200.0
_FEWEST = 20
# Turn of parallel views: half a pixel in 2,000.
_MOST_TURN = 2.5e-4


def read_own_depth(
    image: Image.Image, packets: XmpPackets, file: BufferedReader | BytesIO | None, orientation: int
) -> OwnDepth | None:
    """Read the depth of a loaded photograph, if any; a map in metres goes before two views."""
    if packets.mention(DEPTH_MAP):
        return _result_or_broken(
            "Dynamic Depth", lambda: _dynamic_depth_map(packets, file, orientation)
        )
    if packets.mention(GDEPTH):
        return _result_or_broken("GDepth", lambda: _gdepth_map(packets, orientation))
    device_map = None
    if image.info.get("depth_images"):
        device_map = _result_or_broken("HEIF", lambda: _apple_depth_in_heif(image, file))
        if device_map is not None and device_map.metres is not None:
            return device_map
    if "heif" in image.info and file is not None:
        pair = _result_or_broken("two views", lambda: _depth_of_two_views(image, file))
        if pair is not None and (pair.metres is not None or device_map is None):
            return pair
    if device_map is not None:
        return device_map
    if "mp" in image.info and file is not None:
        return _result_or_broken("Apple", lambda: _apple_depth_in_jpeg(image, file, orientation))
    return None


def _result_or_broken(source: str, read: Callable[[], OwnDepth | None]) -> OwnDepth | None:
    """Result of a reader; after an error, depth marked as broken."""
    try:
        return read()
    except (InputError, MemoryError, *PILLOW_ERRORS) as error:
        return OwnDepth(source=source, unused=reason(error), broken=True)


def _gdepth_map(packets: XmpPackets, orientation: int) -> OwnDepth | None:
    entries = xmp_properties(packets.xml_roots("GDepth"), GDEPTH)
    if "Data" not in entries:
        # Editors keep the range and drop the map.
        return None
    codes = _decode_grey(_decode_base64(entries["Data"]))
    sure = (
        _decode_grey(_decode_base64(entries["Confidence"])) if entries.get("Confidence") else None
    )
    return _depth_of_codes("GDepth", entries, codes, sure, orientation)


def _dynamic_depth_map(
    packets: XmpPackets, file: BufferedReader | BytesIO | None, orientation: int
) -> OwnDepth | None:
    if file is None:
        return None
    roots = packets.xml_roots("Dynamic Depth")
    entries = xmp_properties(roots, DEPTH_MAP)
    # A file may have a directory of each kind; both list everything after the first picture.
    directories = [xmp_structures(roots, space) for space in ITEMS]
    items = next(
        (
            directory
            for directory in directories
            if _find_item(directory, entries.get("DepthURI"), "Depth")
        ),
        [],
    )
    codes = _decode_grey(_read_container_item(file, items, entries.get("DepthURI"), "Depth"))
    sure = entries.get("ConfidenceURI")
    confidence = (
        _decode_grey(_read_container_item(file, items, sure, "Confidence")) if sure else None
    )
    return _depth_of_codes("Dynamic Depth", entries, codes, confidence, orientation)


def _read_container_item(
    file: BufferedReader | BytesIO, items: list[Mapping[str, str]], uri: str | None, semantic: str
) -> bytes:
    lengths = [int(item.get("Length", "0")) + int(item.get("Padding", "0")) for item in items]
    if any(length < 0 for length in lengths):
        raise InputError("an item of its container has a negative length")
    size = file.seek(0, 2)
    item = _find_item(items, uri, semantic)
    if item is None:
        raise InputError("its container lacks the item of the depth map")
    index = next(index for index, entry in enumerate(items) if entry is item)
    start, length = size - sum(lengths[index:]), int(item.get("Length", "0"))
    if start <= 0 or not length:
        raise InputError("its container names more bytes than the file has")
    file.seek(start)
    return file.read(length)


def _find_item(
    items: Sequence[Mapping[str, str]], uri: str | None, semantic: str
) -> Mapping[str, str] | None:
    for item in items:
        if uri and item.get("DataURI") == uri:
            return item
        if not uri and item.get("Semantic", "").lower() == semantic.lower():
            return item
    return None


def _depth_of_codes(
    source: str,
    entries: Mapping[str, str],
    codes: _Map,
    confidence: _Map | None,
    orientation: int,
) -> OwnDepth:
    """Depth from codes between Near and Far."""
    stated = entries.get("Units", "")
    unit = _METRES.get(stated.lower())
    if unit is None:
        unused = f"its unit is '{stated[:20]}', expected metres" if stated else _NO_UNIT
        return OwnDepth(source=source, unused=unused)
    near, far = _require_finite(entries, "Near"), _require_finite(entries, "Far")
    shape = entries.get("Format", "RangeInverse")
    if shape not in ("RangeInverse", "RangeLinear"):
        raise InputError(f"its format is '{shape[:30]}', expected RangeInverse or RangeLinear")
    if not 0 <= near < far or (shape == "RangeInverse" and near == 0):
        raise InputError(f"its range goes from {near:g} to {far:g}")
    if shape == "RangeLinear":
        depth = near + codes * (far - near)
    else:
        depth = far * near / (far - codes * (far - near))
    if confidence is not None:
        depth = np.where(_resize_nearest(confidence, depth.shape) > 0, depth, 0)
    along_ray = entries.get("MeasureType", "OpticalAxis") == "OpticRay"
    return _upright_depth(source, depth * unit, orientation, along_ray=along_ray)


def _apple_depth_in_jpeg(
    image: Image.Image, file: BufferedReader | BytesIO, orientation: int
) -> OwnDepth | None:
    for content in _other_pictures(image, file):
        if PIXEL_DATA.encode() not in content:
            continue
        picture = _decode_map(content)
        root = parse_xmp(read_xmp_packets(picture).main, "Apple")
        own_depth = _apple_depth(picture, [root], orientation)
        if own_depth is not None:
            return own_depth
    return None


def _other_pictures(image: Image.Image, file: BufferedReader | BytesIO) -> Iterator[bytes]:
    """Yield every picture but the first; none if the index is broken."""
    index, start = image.info["mp"], image.info["mpoffset"]
    try:
        places = _picture_offsets_and_sizes(index)
    except struct.error:
        # Editors copy the index even when they drop the other pictures.
        return
    size = file.seek(0, 2)
    for offset, length in places[1:_MOST_PICTURES]:
        if start + offset + length > size:
            continue
        file.seek(start + offset)
        yield file.read(length)


def _picture_offsets_and_sizes(index: bytes) -> list[tuple[int, int]]:
    order = ">" if index[:2] == b"MM" else "<"
    [directory] = struct.unpack_from(f"{order}L", index, 4)
    [count] = struct.unpack_from(f"{order}H", index, directory)
    for number in range(count):
        tag, _, length, value = struct.unpack_from(
            f"{order}HHLL", index, directory + 2 + 12 * number
        )
        if tag == _ENTRIES:
            places = range(value, value + length, _ENTRY_BYTES)
            entries = (struct.unpack_from(f"{order}LLL", index, place) for place in places)
            return [(offset, size) for _, size, offset in entries]
    return []


def _apple_depth_in_heif(
    image: Image.Image, file: BufferedReader | BytesIO | None
) -> OwnDepth | None:
    stored = image.info["depth_images"][0]
    _check_map_size(*stored.size)
    picture = stored.to_pillow()
    if file is not None:
        file.seek(0)
        for packet in xmp_packets_in(file.read()):
            if PIXEL_DATA.encode() in packet:
                # The decoder has rotated the map together with the photograph.
                own_depth = _apple_depth(picture, [parse_xmp(packet, "Apple")], 1)
                if own_depth is not None:
                    return own_depth
    return OwnDepth(source="HEIF", unused=_NO_UNIT)


def _depth_of_two_views(image: Image.Image, file: BufferedReader | BytesIO) -> OwnDepth | None:
    pair = other_view_and_baseline(file)
    if pair is None:
        return None
    content, baseline = pair
    apart, size_bytes = abs(baseline), len(content.getbuffer())
    source = f"two views, {1000 * apart:.1f} mm apart"
    other = decode(content, source, size_bytes=size_bytes, max_pixels=MOST_PIXELS)
    K, other_K = heif_K(image), heif_K(other)
    if K is None or other_K is None:
        return OwnDepth(source=source, unused="they state no intrinsics")
    turns = (
        np.ravel(view.info["heif"].get("camera_extrinsic_matrix_rot", np.eye(3)))
        for view in (image, other)
    )
    if math.dist(*turns) > _MOST_TURN:
        return OwnDepth(source=source, unused="they are turned against each other")
    step = math.ceil(image.width / _MATCHED_WIDTH)
    grey, other_grey = (np.asarray(view.convert("L").reduce(step)) for view in (image, other))
    K, other_K = (resize_K(k, size=(step, step), new_size=(1, 1)) for k in (K, other_K))
    focal = other_K[0, 0]
    most = np.copysign(min(focal * apart / _NEAREST, _MATCHED_WIDTH / 8), baseline)
    matches = match_views(grey, other_grey, K, other_K, most=float(most))
    u, v, disparities = matches[matches[:, 2] >= focal / _FARTHEST].T
    if u.size < _FEWEST:
        reach = f"{_FARTHEST * apart:.2g} m"
        unused = f"they match at {u.size} places nearer than {reach}, expected {_FEWEST}"
        return OwnDepth(source=source, unused=unused)
    metres = np.zeros(grey.shape)
    metres[v.astype(int), u.astype(int)] = focal * apart / disparities
    return _upright_depth(source, metres, 1)


def _apple_depth(picture: Image.Image, roots: list, orientation: int) -> OwnDepth | None:
    """Depth by Apple's map of depth or disparity; None for mattes."""
    entries = {**xmp_properties(roots, PIXEL_DATA), **xmp_properties(roots, DEPTH_DATA)}
    kind = entries.get("AuxiliaryImageType", "").lower()
    if kind not in ("disparity", "depth"):
        native = entries.get("NativeFormat", "")
        code = int(native).to_bytes(4, "big").decode("latin-1") if native.isdigit() else ""
        kind = _NATIVE.get(code, "")
    if not kind:
        return None
    if entries.get("Accuracy", "relative").lower() != "absolute":
        return OwnDepth(source="Apple", unused=_RELATIVE)
    low, high = _require_finite(entries, "FloatMinValue"), _require_finite(entries, "FloatMaxValue")
    first, last = (float(entries.get(key, there)) for key, there in _CODES)
    if not (first < last and low < high):
        raise InputError(f"its range goes from {low:g} to {high:g}")
    codes = (255 * _grey_in_unit_range(picture) - first) / (last - first)
    numbers = low + codes * (high - low)
    if kind == "disparity":
        numbers = np.where(numbers > 0, 1 / np.where(numbers > 0, numbers, 1), 0)
    return _upright_depth("Apple", numbers, orientation)


def _upright_depth(
    source: str, metres: _Map, orientation: int, *, along_ray: bool = False
) -> OwnDepth:
    with np.errstate(over="ignore"):
        usable = metres.astype(np.float32)
    usable = np.where(np.isfinite(usable) & (usable > 0), usable, np.float32(0))
    if not usable.any():
        raise InputError("it has no pixel with depth")
    height, width = usable.shape
    upright = np.empty((width, height) if orientation >= 5 else usable.shape, np.float32)
    stored_view(upright, orientation)[:] = usable
    return OwnDepth(source=source, metres=upright, along_ray=along_ray)


def _decode_grey(content: bytes) -> _Map:
    return _grey_in_unit_range(_decode_map(content))


def _decode_map(content: bytes) -> Image.Image:
    return decode(BytesIO(content), "its map", size_bytes=len(content), max_pixels=MOST_PIXELS)


def _check_map_size(width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        raise InputError(f"its map has {width}x{height} pixels, which is too large to be read")


def _grey_in_unit_range(picture: Image.Image) -> _Map:
    """Levels from 0 to 1, NaN where alpha is 0."""
    _check_map_size(*picture.size)
    # Reduced before conversion to float64, which takes eight times the memory; pixels are sampled,
    # not averaged.
    thinner = max(1.0, math.sqrt(picture.width * picture.height / _KEPT_PIXELS))
    size = (max(1, round(picture.width / thinner)), max(1, round(picture.height / thinner)))
    if size != picture.size:
        picture = picture.resize(size, Image.Resampling.NEAREST)
    if picture.mode == "I" or picture.mode.startswith("I;16"):
        return np.asarray(picture).astype(np.float64) / 65535
    grey = np.asarray(picture.convert("L")).astype(np.float64) / 255
    if "A" not in picture.getbands():
        return grey
    alpha = np.asarray(picture.getchannel("A"))
    # A program that does not know alpha writes 0 everywhere.
    return np.where(alpha > 0, grey, np.nan) if alpha.any() else grey


def _resize_nearest(plane: _Map, shape: tuple[int, ...]) -> _Map:
    """Numbers of a map at the pixels of one of another size."""
    rows, columns = (
        np.floor((np.arange(count) + 0.5) * side / count).astype(int)
        for count, side in zip(shape, plane.shape, strict=True)
    )
    return plane[rows[:, None], columns]


def _decode_base64(text: str) -> bytes:
    try:
        # Some writers leave out the padding.
        bare = "".join(text.split()).rstrip("=")
        return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError("its map is not valid base64") from error


def _require_finite(entries: Mapping[str, str], key: str) -> float:
    try:
        number = float(entries[key])
    except (KeyError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"its {key} is '{entries.get(key, '')[:20]}', expected a number")
    return number
