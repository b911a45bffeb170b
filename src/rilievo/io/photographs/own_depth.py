"""Depth in a photograph's own file: GDepth, Dynamic Depth, Apple's maps, and two views.

The formats are developers.google.com/depthmap-metadata, Dynamic Depth 1.0 (2019), CIPA DC-007, and
Apple's namespaces pixeldatainfo and depthData.
"""

import base64
import binascii
import math
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from io import SEEK_END, BufferedReader, BytesIO
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from rilievo.arrays.shapes import Float64, Matrix
from rilievo.errors import InputError
from rilievo.errors.messages import count_text
from rilievo.geometry.intrinsics import resize_K
from rilievo.io.files.archives import PILLOW_ERRORS
from rilievo.io.files.limits import reason
from rilievo.io.photographs.decode import decode_image
from rilievo.io.photographs.exif import heif_K, read_exif_metadata
from rilievo.io.photographs.heif_views import find_second_view
from rilievo.io.photographs.pixels import stored_view
from rilievo.io.photographs.view_matching import match_views
from rilievo.io.photographs.xmp import (
    XmpPackets,
    parse_xmp,
    read_xmp_packets,
    xmp_packets_in,
    xmp_properties,
    xmp_structures,
)
from rilievo.records.depth_map import OwnDepth

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

GDEPTH = "http://ns.google.com/photos/1.0/depthmap/"
_DYNAMIC_DEPTH = "http://ns.google.com/photos/dd/1.0/depthmap/"
_CONTAINER_ITEMS = (
    "http://ns.google.com/photos/dd/1.0/item/",
    "http://ns.google.com/photos/1.0/container/item/",
)
_APPLE_PIXEL_DATA = "http://ns.apple.com/pixeldatainfo/1.0/"
_APPLE_DEPTH_DATA = "http://ns.apple.com/depthData/1.0/"

_MAX_MAP_PIXELS = 24 * 2**20
_KEPT_MAP_PIXELS = 400_000
"""Pixels to which larger maps are reduced, because their depth is no finer than that."""
_METRES_PER_UNIT = {
    **dict.fromkeys(("m", "meter", "meters", "metre", "metres"), 1.0),
    **dict.fromkeys(("mm", "millimeter", "millimeters", "millimetre", "millimetres"), 1e-3),
}
_NO_UNIT = "it gives no unit, so it may not be in metres"
_RELATIVE = "its depth is relative, not in metres"
_OF_NETWORK = "a network predicted it, so it is no measurement"
_Map = Float64[np.ndarray, "h w"]

_MP_ENTRY_TAG, _MP_ENTRY_BYTES = 0xB002, 16  # CIPA DC-007
_TIFF_TAG_BYTES = 12  # of a tag in a directory
_MAX_PICTURES = 16  # that are read from one file; cameras write two to four
_APPLE_QUANTITIES = {"hdis": "disparity", "fdis": "disparity", "hdep": "depth", "fdep": "depth"}
"""Quantity by Apple's code for the pixel format, in half or full precision."""

_MATCHED_WIDTH = 1280  # [px], to which two views are reduced
_MIN_MATCHED_DEPTH = 0.25  # [m]
_MAX_MATCHED_BASELINES = 200.0
"""Largest matched depth in baselines, where an error of half a pixel is 5% of the depth, if the
focal length is 2,000 px."""
_MIN_MATCHES = 20
_MAX_ROTATION = 2.5e-4  # between views that count as parallel: half a pixel in 2,000


NETWORK_SOFTWARE = "rilievo, depth predicted by a network"
"""Software that rilievo states in GDepth if a network predicted the depth, and no sensor."""


def read_depth_photo(image: Image.Image, file: BufferedReader | BytesIO) -> OwnDepth | None:
    """Read the depth in a JPEG file that is used as a depth map; None if it holds none.

    ``image`` was opened from ``file``. Its depth may also be that of a network. GDepth without a
    unit counts as being in metres.
    """
    packets = read_xmp_packets(image)
    orientation = read_exif_metadata(image).orientation
    if packets.mention(GDEPTH) and not packets.mention(_DYNAMIC_DEPTH):
        return _read_or_mark_broken(
            "GDepth", lambda: _read_gdepth(packets, orientation, is_depth_file=True)
        )
    return read_own_depth(image, packets, file, orientation)


def read_own_depth(
    image: Image.Image, packets: XmpPackets, file: BufferedReader | BytesIO | None, orientation: int
) -> OwnDepth | None:
    """Read the depth in a photograph's own file; a map in metres is preferred to two views.

    ``file`` is None if it is not open. The image and ``orientation`` are as stored in the file.
    """
    if packets.mention(_DYNAMIC_DEPTH):
        return _read_or_mark_broken(
            "Dynamic Depth", lambda: _read_dynamic_depth(packets, file, orientation)
        )
    if packets.mention(GDEPTH):
        return _read_or_mark_broken("GDepth", lambda: _read_gdepth(packets, orientation))
    heif_depth = _read_heif_depth(image, file)
    if heif_depth is not None:
        return heif_depth
    if "mp" in image.info and file is not None:
        return _read_or_mark_broken("Apple", lambda: _read_apple_jpeg(image, file, orientation))
    return None


def _read_heif_depth(image: Image.Image, file: BufferedReader | BytesIO | None) -> OwnDepth | None:
    """Read the depth in a HEIC file: its map if that is in metres, or else by its two views.

    If neither gives metres, the map says why, or the views if there is no map.
    """
    candidates = []
    if image.info.get("depth_images"):
        heif_map = _read_or_mark_broken("HEIF", lambda: _read_apple_heif(image, file))
        candidates.append(heif_map)
        if heif_map is not None and heif_map.metres is not None:
            return heif_map
    if "heif" in image.info and file is not None:
        view_depth = _read_or_mark_broken("two views", lambda: _match_two_views(image, file))
        candidates.append(view_depth)
        if view_depth is not None and view_depth.metres is not None:
            return view_depth
    return next((unused for unused in candidates if unused is not None), None)


def _read_or_mark_broken(source: str, read: Callable[[], OwnDepth | None]) -> OwnDepth | None:
    """Call a reader; if it fails, return depth that is marked as broken, with the reason."""
    try:
        return read()
    except (InputError, MemoryError, *PILLOW_ERRORS) as error:
        return OwnDepth(source=source, unused=reason(error), broken=True)


def _read_gdepth(
    packets: XmpPackets, orientation: int, *, is_depth_file: bool = False
) -> OwnDepth | None:
    """Read the map of GDepth, which XMP holds in base64.

    ``is_depth_file`` accepts depth of a network, and depth without a unit.
    """
    properties = xmp_properties(packets.xml_roots("GDepth"), GDEPTH)
    if "Data" not in properties:
        # An editor has dropped the map and kept its range.
        return None
    if is_depth_file:
        properties = {"Units": "m", **properties}
    elif properties.get("Software") == NETWORK_SOFTWARE:
        return OwnDepth(source="GDepth", unused=_OF_NETWORK)
    codes = _decode_grey(_decode_base64(properties["Data"]))
    confidence = None
    if properties.get("Confidence"):
        confidence = _decode_grey(_decode_base64(properties["Confidence"]))
    return _decode_codes("GDepth", properties, codes, confidence, orientation)


def _read_dynamic_depth(
    packets: XmpPackets, file: BufferedReader | BytesIO | None, orientation: int
) -> OwnDepth | None:
    """Read the map of Dynamic Depth, which follows the photograph in its file."""
    if file is None:
        return None
    roots = packets.xml_roots("Dynamic Depth")
    properties = xmp_properties(roots, _DYNAMIC_DEPTH)
    depth_uri = properties.get("DepthURI")
    items = _find_container_directory(roots, depth_uri)
    codes = _decode_grey(_read_container_item(file, items, depth_uri, "Depth"))
    confidence = None
    confidence_uri = properties.get("ConfidenceURI")
    if confidence_uri:
        confidence = _decode_grey(_read_container_item(file, items, confidence_uri, "Confidence"))
    return _decode_codes("Dynamic Depth", properties, codes, confidence, orientation)


def _find_container_directory(
    roots: "Sequence[Element]", depth_uri: str | None
) -> Sequence[Mapping[str, str]]:
    """Find the directory of a container that lists a depth map; empty if there is none.

    A file may have directories in both namespaces; both list all that follows the photograph.
    """
    for namespace in _CONTAINER_ITEMS:
        directory = xmp_structures(roots, namespace)
        if _find_item(directory, depth_uri, "Depth") is not None:
            return directory
    return []


def _read_container_item(
    file: BufferedReader | BytesIO,
    items: Sequence[Mapping[str, str]],
    uri: str | None,
    semantic: str,
) -> bytes:
    """Read the bytes of an item of a container.

    The items are stored one after another at the end of the file, so an item's start is counted
    back from the end.
    """
    padded_lengths = [
        int(item.get("Length", "0")) + int(item.get("Padding", "0")) for item in items
    ]
    if any(length < 0 for length in padded_lengths):
        raise InputError("an item of its container has a negative length")
    file_size = file.seek(0, SEEK_END)
    index = _find_item(items, uri, semantic)
    if index is None:
        raise InputError("its container has no item for the depth map")
    start = file_size - sum(padded_lengths[index:])
    length = int(items[index].get("Length", "0"))
    if start <= 0 or not length:
        raise InputError("its container refers to more bytes than the file has")
    file.seek(start)
    return file.read(length)


def _find_item(items: Sequence[Mapping[str, str]], uri: str | None, semantic: str) -> int | None:
    """Find the index of an item by its URI, or by its meaning if no URI is known."""
    for index, item in enumerate(items):
        if uri:
            is_match = item.get("DataURI") == uri
        else:
            is_match = item.get("Semantic", "").lower() == semantic.lower()
        if is_match:
            return index
    return None


def _decode_codes(
    source: str,
    properties: Mapping[str, str],
    codes: _Map,
    confidence: _Map | None,
    orientation: int,
) -> OwnDepth:
    """Convert the codes of Google's maps, from 0 to 1, to depth between Near and Far.

    Without a known unit, depth is left out and the reason stated; other faults raise InputError.
    """
    stated_unit = properties.get("Units", "")
    metres_per_unit = _METRES_PER_UNIT.get(stated_unit.lower())
    if metres_per_unit is None:
        wrong_unit = f"its unit is '{stated_unit[:20]}'; expected metres"
        return OwnDepth(source=source, unused=wrong_unit if stated_unit else _NO_UNIT)
    depth = _depth_in_range(properties, codes)
    if confidence is not None:
        depth = np.where(_resize_nearest(confidence, depth.shape) > 0, depth, 0)
    along_ray = properties.get("MeasureType", "OpticalAxis") == "OpticRay"
    return _upright_depth(source, depth * metres_per_unit, orientation, along_ray=along_ray)


def _depth_in_range(properties: Mapping[str, str], codes: _Map) -> _Map:
    """Convert codes from 0 to 1 to depth from Near to Far, in the unit of these.

    ``Format`` says whether depth or its inverse is linear in the code.
    """
    near, far = _require_finite(properties, "Near"), _require_finite(properties, "Far")
    range_format = properties.get("Format", "RangeInverse")
    if range_format not in ("RangeInverse", "RangeLinear"):
        raise InputError(
            f"its format is '{range_format[:30]}'; expected RangeInverse or RangeLinear"
        )
    is_inverse = range_format == "RangeInverse"
    if not 0 <= near < far or (is_inverse and near == 0):
        expected = "0 < Near < Far" if is_inverse else "0 <= Near < Far"
        raise InputError(
            f"its depth range from {near:g} to {far:g} is not valid; expected {expected}"
        )
    if is_inverse:  # 1/depth is linear in the code, from 1/near to 1/far
        return far * near / (far - codes * (far - near))
    return near + codes * (far - near)


def _read_apple_jpeg(
    image: Image.Image, file: BufferedReader | BytesIO, orientation: int
) -> OwnDepth | None:
    """Read Apple's map, which is another picture in the JPEG file."""
    for content in _further_pictures(image, file):
        if _APPLE_PIXEL_DATA.encode() not in content:
            continue
        picture = _decode_map(content)
        root = parse_xmp(read_xmp_packets(picture).main, "Apple")
        own_depth = _decode_apple_map(picture, root, orientation)
        if own_depth is not None:
            return own_depth
    return None


def _further_pictures(image: Image.Image, file: BufferedReader | BytesIO) -> Iterator[bytes]:
    """Yield the pictures of a JPEG file after the first; none if their index is broken."""
    index, index_start = image.info["mp"], image.info["mpoffset"]
    try:
        pictures = _read_picture_index(index)
    except struct.error:
        # Editors copy the index even when they drop the other pictures.
        return
    file_bytes = file.seek(0, SEEK_END)
    for offset, size in pictures[1:_MAX_PICTURES]:
        start = index_start + offset
        if start + size > file_bytes:
            continue
        file.seek(start)
        yield file.read(size)


def _read_picture_index(index: bytes) -> list[tuple[int, int]]:
    """Read the pictures' offsets and sizes [bytes] from the index of CIPA DC-007.

    The index is a TIFF directory, in which one tag has an entry for each picture.
    """
    byte_order = ">" if index[:2] == b"MM" else "<"
    [directory_start] = struct.unpack_from(f"{byte_order}L", index, 4)
    [tag_count] = struct.unpack_from(f"{byte_order}H", index, directory_start)
    first_tag_start = directory_start + 2  # after the count of the tags
    for tag_number in range(tag_count):
        tag_start = first_tag_start + _TIFF_TAG_BYTES * tag_number
        tag, _, byte_count, start = struct.unpack_from(f"{byte_order}HHLL", index, tag_start)
        if tag != _MP_ENTRY_TAG:
            continue
        pictures = []
        for entry_start in range(start, start + byte_count, _MP_ENTRY_BYTES):
            _, size, offset = struct.unpack_from(f"{byte_order}LLL", index, entry_start)
            pictures.append((offset, size))
        return pictures
    return []


def _read_apple_heif(image: Image.Image, file: BufferedReader | BytesIO | None) -> OwnDepth | None:
    """Read Apple's map in a HEIC file; its description is an XMP packet elsewhere in the file."""
    stored = image.info["depth_images"][0]
    _check_map_size(*stored.size)
    picture = stored.to_pillow()
    if file is not None:
        file.seek(0)
        for packet in xmp_packets_in(file.read()):
            if _APPLE_PIXEL_DATA.encode() not in packet:
                continue
            # The decoder has rotated the map together with the photograph.
            own_depth = _decode_apple_map(picture, parse_xmp(packet, "Apple"), orientation=1)
            if own_depth is not None:
                return own_depth
    return OwnDepth(source="HEIF", unused=_NO_UNIT)


def _decode_apple_map(picture: Image.Image, xmp: "Element", orientation: int) -> OwnDepth | None:
    """Convert Apple's map of depth or disparity to depth; None for another map, such as a matte."""
    pixel_data = xmp_properties([xmp], _APPLE_PIXEL_DATA)
    properties = {**pixel_data, **xmp_properties([xmp], _APPLE_DEPTH_DATA)}
    quantity = _apple_quantity(properties)
    if quantity is None:
        return None
    if properties.get("Accuracy", "relative").lower() != "absolute":
        return OwnDepth(source="Apple", unused=_RELATIVE)
    low = _require_finite(properties, "FloatMinValue")
    high = _require_finite(properties, "FloatMaxValue")
    low_code = float(properties.get("IntMinValue", 0))
    high_code = float(properties.get("IntMaxValue", 255))
    if not (low_code < high_code and low < high):
        raise InputError(f"its depth range from {low:g} to {high:g} is not valid")
    fractions = (255 * _grey_in_unit_range(picture) - low_code) / (high_code - low_code)
    values = low + fractions * (high - low)
    is_inverse = quantity == "disparity"  # Apple's word for inverse depth [1/m]
    metres = _invert_positive(values) if is_inverse else values
    return _upright_depth("Apple", metres, orientation)


def _invert_positive(values: _Map) -> _Map:
    """Return 1 / value where a value is positive, and 0 elsewhere."""
    is_positive = values > 0
    divisors = np.where(is_positive, values, 1)  # 1 avoids a division by 0
    return np.where(is_positive, 1 / divisors, 0)


def _apple_quantity(properties: Mapping[str, str]) -> str | None:
    """Tell whether Apple's map holds "depth" or "disparity"; None for another quantity."""
    stated_quantity = properties.get("AuxiliaryImageType", "").lower()
    if stated_quantity in ("disparity", "depth"):
        return stated_quantity
    pixel_format = properties.get("NativeFormat", "")
    if not pixel_format.isdigit():
        return None
    four_letter_code = int(pixel_format).to_bytes(4, "big").decode("latin-1")
    return _APPLE_QUANTITIES.get(four_letter_code)


def _match_two_views(image: Image.Image, file: BufferedReader | BytesIO) -> OwnDepth | None:
    """Compute depth where the two parallel views of a spatial photograph match."""
    second_view = find_second_view(file)
    if second_view is None:
        return None
    source = f"two views, {1000 * abs(second_view.baseline):.1f} mm apart"
    size_bytes = len(second_view.file.getbuffer())
    second = decode_image(
        second_view.file, source, size_bytes=size_bytes, max_pixels=_MAX_MAP_PIXELS
    )
    K, second_K = heif_K(image), heif_K(second)
    if K is None or second_K is None:
        return OwnDepth(source=source, unused="they have no intrinsics")
    if math.dist(_heif_rotation(image), _heif_rotation(second)) > _MAX_ROTATION:
        return OwnDepth(source=source, unused="they are rotated relative to each other")

    return _depth_from_matches(image, second, K, second_K, second_view.baseline, source)


def _depth_from_matches(
    first: Image.Image,
    second: Image.Image,
    full_first_K: Matrix,
    full_second_K: Matrix,
    signed_baseline: float,
    source: str,
) -> OwnDepth:
    """Match two parallel views at a reduced size; depth is focal length · baseline / disparity.

    Args:
        first: View that gets the depth.
        second: Other view.
        full_first_K: Intrinsics of the first view [px], at its full size.
        full_second_K: Intrinsics of the second view [px], at its full size.
        signed_baseline: Distance between the views [m], positive if the second is to the right.
        source: What the depth comes from, in words.
    """
    factor = math.ceil(first.width / _MATCHED_WIDTH)
    grey = np.asarray(first.convert("L").reduce(factor))
    second_grey = np.asarray(second.convert("L").reduce(factor))
    K = resize_K(full_first_K, size=(factor, factor), new_size=(1, 1))
    second_K = resize_K(full_second_K, size=(factor, factor), new_size=(1, 1))
    focal = second_K[0, 0]
    baseline = abs(signed_baseline)
    max_disparity = min(focal * baseline / _MIN_MATCHED_DEPTH, _MATCHED_WIDTH / 8)
    # Points move to the other side if the second view is left of the first.
    signed_max_disparity = float(np.copysign(max_disparity, signed_baseline))
    matches = match_views(grey, second_grey, K, second_K, max_disparity=signed_max_disparity)
    min_disparity = focal / _MAX_MATCHED_BASELINES
    u, v, disparities = matches[matches[:, 2] >= min_disparity].T
    if u.size < _MIN_MATCHES:
        max_depth = f"{_MAX_MATCHED_BASELINES * baseline:.2g} m"
        unused = (
            f"they match at only {count_text(u.size, 'point')} nearer than {max_depth}; expected "
            f"at least {_MIN_MATCHES}"
        )
        return OwnDepth(source=source, unused=unused)
    metres = np.zeros(grey.shape)
    metres[v.astype(int), u.astype(int)] = focal * baseline / disparities
    return _upright_depth(source, metres, orientation=1)


def _heif_rotation(image: Image.Image) -> np.ndarray:
    """Rotation matrix of a HEIC image's camera as 9 numbers; the identity if it states none."""
    return np.ravel(image.info["heif"].get("camera_extrinsic_matrix_rot", np.eye(3)))


def _upright_depth(
    source: str, metres: _Map, orientation: int, *, along_ray: bool = False
) -> OwnDepth:
    """Turn depth [m] upright, and set it to 0 where it is not a positive number."""
    with np.errstate(over="ignore"):
        depth = metres.astype(np.float32)
    depth = np.where(np.isfinite(depth) & (depth > 0), depth, np.float32(0))
    if not depth.any():
        raise InputError("it has no pixels with depth")
    height, width = depth.shape
    is_stored_sideways = orientation >= 5  # EXIF's 5 to 8 turn by 90 degrees.
    upright_shape = (width, height) if is_stored_sideways else (height, width)
    upright = np.empty(upright_shape, np.float32)
    # What is written through this view in the stored orientation becomes upright.
    stored_view(upright, orientation)[:] = depth
    return OwnDepth(source=source, metres=upright, along_ray=along_ray)


def _decode_grey(content: bytes) -> _Map:
    return _grey_in_unit_range(_decode_map(content))


def _decode_map(content: bytes) -> Image.Image:
    return decode_image(
        BytesIO(content), "its map", size_bytes=len(content), max_pixels=_MAX_MAP_PIXELS
    )


def _check_map_size(width: int, height: int) -> None:
    if width * height > _MAX_MAP_PIXELS:
        raise InputError(
            f"its map has {width}x{height} pixels; expected at most {_MAX_MAP_PIXELS:,} in total"
        )


def _grey_in_unit_range(picture: Image.Image) -> _Map:
    """Read the grey levels of a map, from 0 to 1; NaN where alpha is 0."""
    _check_map_size(*picture.size)
    # Shrunk before the conversion to float64, which takes eight times the memory. Codes of depth
    # must not be averaged, so this takes the nearest pixel.
    factor = max(1.0, math.sqrt(picture.width * picture.height / _KEPT_MAP_PIXELS))
    size = (max(1, round(picture.width / factor)), max(1, round(picture.height / factor)))
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


def _resize_nearest(plane: _Map, shape: tuple[int, int]) -> _Map:
    rows = _nearest_indices(shape[0], plane.shape[0])
    columns = _nearest_indices(shape[1], plane.shape[1])
    return plane[rows[:, None], columns]


def _nearest_indices(count: int, source_count: int) -> np.ndarray:
    return np.floor((np.arange(count) + 0.5) * source_count / count).astype(int)


def _decode_base64(text: str) -> bytes:
    try:
        # Some writers leave out the padding.
        unpadded = "".join(text.split()).rstrip("=")
        padding = "=" * (-len(unpadded) % 4)
        return base64.b64decode(unpadded + padding, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError("its map is not valid base64") from error


def _require_finite(properties: Mapping[str, str], key: str) -> float:
    if key not in properties:
        raise InputError(f"its {key} is missing; expected a number")
    try:
        number = float(properties[key])
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"its {key} is '{properties[key][:20]}'; expected a finite number")
    return number
