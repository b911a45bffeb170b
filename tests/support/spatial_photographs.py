"""Spatial photographs of a textured corner of a room: two views in one HEIC file, written by hand.

The boxes are laid out as ISO/IEC 23008-12 says; pillow-heif codes the pictures alone.
"""

import struct
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates

from rilievo.arrays.shapes import Matrix
from rilievo.geometry.intrinsics import K_from_fov, rays
from support.photographs_with_depth import box, coded_heic, full_box

SIZE = (480, 640)
BASELINE = 0.0192
"""Distance between the cameras of a telephone [m]."""
FOV = 62.0


def intrinsics(size: tuple[int, int] = SIZE) -> Matrix:
    return K_from_fov(FOV, size)


class Coded(NamedTuple):
    """A picture as HEVC: its header box, its data, and its (height, width)."""

    head: bytes
    data: bytes
    size: tuple[int, int]


@cache
def cloth() -> np.ndarray:
    """Grey levels of a pattern that is seen near and far, and repeats after 700."""
    grain = np.random.default_rng(3).normal(size=(700, 700))
    layers = [gaussian_filter(grain, size, mode="wrap") * size for size in (1.5, 4.0, 10.0)]
    return np.clip(128 + 90 * np.sum(layers, axis=0), 0, 255)


@cache
def depth_of(scale: float, at: float = 0.0, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Depth [m] of ``view``."""
    return np.minimum(*surfaces(scale, at, size))


def surfaces(scale: float, at: float, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Depth of the wall, z = scale + 0.4 x, and of the floor, y = 0.3 scale [m]."""
    x, y = rays(intrinsics(size), *size)[:2]
    with np.errstate(divide="ignore"):
        return (scale + 0.4 * at) / (1 - 0.4 * x), np.where(y > 0, 0.3 * scale / y, np.inf)


@cache
def view(
    scale: float, at: float = 0.0, size: tuple[int, int] = SIZE, exposure: float = 1.0
) -> Coded:
    """A slanting wall and a floor, seen from a place along the x axis.

    Args:
        scale: Distance of the wall in the middle of the picture [m].
        at: Place of the camera [m].
        size: (height, width) of the picture.
        exposure: Factor of its grey levels.
    """
    K = intrinsics(size)
    x, y = rays(K, *size)[:2]
    wall, floor = surfaces(scale, at, size)
    z = np.minimum(wall, floor)
    # A grain is about two pixels at the distance of the wall.
    places = np.stack([np.where(wall <= floor, y * z, z + 7), at + x * z]) * K[0, 0] / (2 * scale)
    grey = exposure * map_coordinates(cloth(), places, order=1, mode="grid-wrap")
    picture = Image.fromarray(np.repeat(grey[..., None], 3, axis=2).astype(np.uint8))
    return Coded(*coded_heic(picture), size)


def cmin(K: Matrix, size: tuple[int, int]) -> bytes:
    """Intrinsics as shares of the sides, with 24 bits after the point."""
    height, width = size
    shares = K[0, 0] / width, (K[0, 2] + 0.5) / width, (K[1, 2] + 0.5) / height
    return full_box(
        "cmin", struct.pack(">3i", *(round(2**24 * share) for share in shares)), flags=24 << 8
    )


def cmex(x: float, turn: float = 0.0) -> bytes:
    """Position [m] along the x axis, and half the sine of a turn about the y axis."""
    numbers = struct.pack(">3i", round(1e6 * x), 0, 0)
    return full_box("cmex", numbers, struct.pack(">3h", 0, round(2**14 * turn), 0), flags=15)


def ster(*views: int, count: int | None = None) -> bytes:
    number = len(views) if count is None else count
    return full_box("ster", struct.pack(f">II{len(views)}I", 100, number, *views))


def spatial_heic(
    views: tuple[Coded, Coded],
    *,
    first: int = 1,
    cameras: Mapping[int, tuple[bytes, ...]] | None = None,
    groups: bytes | None = None,
    own_map: tuple[Coded, bytes] | None = None,
) -> bytes:
    """A HEIC file of a left and a right view, items 1 and 2.

    Args:
        views: Both pictures.
        first: Number of the picture that is the photograph.
        cameras: Properties of each item beside its size; by default a camera of a telephone.
        groups: Content of the box of groups.
        own_map: Auxiliary map of the photograph, item 3, and the XMP that describes it, item 4.
    """
    if cameras is None:
        cameras = {
            number: (cmin(intrinsics(coded.size), coded.size), cmex(BASELINE * (number - 1)))
            for number, coded in enumerate(views, 1)
        }
    pictures, data = [*views], [coded.data for coded in views]
    references: tuple[bytes, ...] = ()
    if own_map is not None:
        pictures.append(own_map[0])
        data += [own_map[0].data, own_map[1]]
        cameras = {**cameras, 3: (full_box("auxC", b"urn:mpeg:hevc:2015:auxid:2\0"),)}
        auxiliary = box("auxl", struct.pack(">HHH", 3, 1, first))
        references = (full_box("iref", auxiliary, box("cdsc", struct.pack(">HHH", 4, 1, 3))),)
    owned, which = b"", b""
    count = 0
    for number, coded in enumerate(pictures, 1):
        size = full_box("ispe", struct.pack(">LL", *coded.size[::-1]))
        boxes = (coded.head, size, *cameras[number])
        indices = range(count + 1, count + len(boxes) + 1)
        which += struct.pack(">HB", number, len(boxes)) + bytes([indices[0] | 0x80, *indices[1:]])
        owned, count = owned + b"".join(boxes), count + len(boxes)
    items = [
        full_box("infe", struct.pack(">HH4s", number, 0, b"hvc1"), b"\0", version=2)
        for number in range(1, len(pictures) + 1)
    ]
    if own_map is not None:
        kind = struct.pack(">HH4s", 4, 0, b"mime")
        items.append(full_box("infe", kind, b"\0application/rdf+xml\0", version=2))
    front = box("ftyp", b"heic", b"\0\0\0\0", b"mif1heic")
    parts = (
        full_box("hdlr", b"\0\0\0\0pict", b"\0" * 12, b"\0"),
        full_box("pitm", struct.pack(">H", first)),
        full_box("iinf", struct.pack(">H", len(items)), *items),
        *references,
        box("iprp", box("ipco", owned), full_box("ipma", struct.pack(">L", len(pictures)), which)),
        box("grpl", ster(1, 2) if groups is None else groups),
    )

    def meta(start: int) -> bytes:
        places, at = b"", start
        for number, content in enumerate(data, 1):
            places += struct.pack(">HHHLL", number, 0, 1, at, len(content))
            at += len(content)
        table = struct.pack(">H", len(data))
        return full_box("meta", *parts, full_box("iloc", b"\x44\0", table, places))

    start = len(front) + len(meta(0)) + 8
    return front + meta(start) + box("mdat", *data)
