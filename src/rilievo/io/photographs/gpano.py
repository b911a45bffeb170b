"""Panoramas that say so in their XMP (Photo Sphere XMP Metadata, namespace GPano)."""

import math
from collections.abc import Mapping

from PIL import Image

from rilievo.errors import InputError
from rilievo.geometry.cameras.equirectangular import Equirectangular
from rilievo.io.photographs.xmp import packet_of, parse, properties
from rilievo.types import Camera, CameraSource

_NAMESPACE = "http://ns.google.com/photos/1.0/panorama/"
_SAME_ASPECT = 0.02
"""Relative difference of aspect ratios up to which an image counts as resized, not cropped."""


def camera_from_gpano(image: Image.Image, size: tuple[int, int]) -> Camera | None:
    """Camera of an upright panorama (height, width) by its XMP; None where it states none.

    Odd or broken statements, other projections, and those of a picture that was cropped since count
    as none.
    """
    packet = packet_of(image)
    if _NAMESPACE.encode() not in packet:
        return None
    try:
        stated = properties([parse(packet, "the photograph")], _NAMESPACE)
    except InputError:
        return None
    if stated.get("ProjectionType", "equirectangular").lower() != "equirectangular":
        return None
    height, width = size
    whole_width = _number(stated, "FullPanoWidthPixels", width)
    whole_height = _number(stated, "FullPanoHeightPixels", whole_width / 2)
    part_width = _number(stated, "CroppedAreaImageWidthPixels", whole_width)
    part_height = _number(stated, "CroppedAreaImageHeightPixels", whole_height)
    left = _number(stated, "CroppedAreaLeftPixels", (whole_width - part_width) / 2)
    top = _number(stated, "CroppedAreaTopPixels", (whole_height - part_height) / 2)
    sides = (whole_width, whole_height, part_width, part_height)
    if min(sides) < 1 or left < 0 or top < 0 or not all(map(math.isfinite, (*sides, left, top))):
        return None
    if left + part_width > whole_width + 1 or top + part_height > whole_height + 1:
        return None
    if abs((width / height) / (part_width / part_height) - 1) > _SAME_ASPECT:
        return None
    across, down = width / part_width, height / part_height
    lens = Equirectangular(
        fx=across * whole_width / (2 * math.pi),
        fy=down * whole_height / math.pi,
        cx=across * (whole_width / 2 - left) - 0.5,
        cy=down * (whole_height / 2 - top) - 0.5,
    )
    return Camera(lens=lens, source=CameraSource.GPANO)


def _number(stated: Mapping[str, str], name: str, otherwise: float) -> float:
    """A number of the statement; NaN where there is another text."""
    text = stated.get(name)
    try:
        return float(otherwise) if text is None else float(text)
    except ValueError:
        return math.nan
