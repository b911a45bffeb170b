"""Whether the focal length in EXIF belongs to this picture, or to a larger one that was cropped.

Programs that crop a picture often keep its EXIF. If it was only made smaller, it keeps its field of
view, so the 35 mm equivalent is still right. Three statements tell the two cases apart: a crop in
XMP, the size in EXIF, and the thumbnail in EXIF, which usually shows the original.
"""

import math
import re
from dataclasses import dataclass, replace
from enum import Enum
from io import BytesIO

import numpy as np
from PIL import ExifTags, Image

from rilievo.arrays.shapes import Field
from rilievo.errors.messages import Note, OptionName, Text
from rilievo.geometry.cameras.camera import Camera
from rilievo.io.files.archives import PILLOW_ERRORS
from rilievo.io.photographs.exif import MAX_ASPECT_CHANGE, MIN_ZOOM, ExifMetadata, camera_from_exif
from rilievo.io.photographs.exif_contradictions import describe_contradiction, fisheye_name

_CROPPED = re.compile(
    rb"""HasCrop\s*(?:=\s*["']|>)\s*[Tt]rue"""
    rb"""|darktable:operation="(?:crop|clipping)"\s+darktable:enabled="1\""""
)
"""Property of Adobe's camera raw settings in XMP, and darktable's history."""
_UNCROPPED = re.compile(rb"""HasCrop\s*(?:=\s*["']|>)\s*[Ff]alse""")
_CAMERA_ASPECTS = (1.0, 5 / 4, 4 / 3, 3 / 2, 16 / 9)
"""Aspect ratios of pictures that were not cropped."""
_MAX_SIDE_DIFFERENCE = 2.0  # [px], because encoders round sides to even numbers
_THUMBNAIL_OFFSET, _THUMBNAIL_LENGTH = 0x0201, 0x0202
_FIRST_DIRECTORY = ExifTags.IFD.IFD1
_MAX_THUMBNAIL_BYTES = 1 << 18
_MIN_THUMBNAIL_SIDE, _MAX_THUMBNAIL_SIDE = 16, 1024  # [px]
_COMPARED_SIZE = (32, 24)  # (width, height) [px] at which thumbnail and picture are compared
_MAX_BAR_LEVEL = 16
"""Grey level up to which rows or columns at the border of a thumbnail are a black bar."""
_SAME_CORRELATION, _DIFFERENT_CORRELATION = 0.92, 0.75
"""Correlations of grey levels: from the first on, two pictures are the same; below the second, they
are different."""

_NOT_USED = "its EXIF focal length is not used"
_USED = "its focal length comes from EXIF"
_ZOOMED = "its EXIF has a digital zoom"
_BENDING = "its EXIF names a lens or camera"


def is_exif_focal_note(note: str) -> bool:
    """Whether a note is about the focal length in EXIF, which is not used if a camera is named.

    The notes are told by how they begin, because the server's decoders pass on their text alone.
    """
    return note.startswith((_NOT_USED, _USED, _ZOOMED, _BENDING))


@dataclass(frozen=True, slots=True, kw_only=True)
class ExifCamera:
    """Camera of a photograph by EXIF, if it can be used, and a note on that decision."""

    camera: Camera | None = None
    note: Note | None = None


def exif_camera(
    image: Image.Image, exif: ExifMetadata, size: tuple[int, int], xmp: bytes
) -> ExifCamera:
    """Make the camera of an upright photograph, if its EXIF belongs to this picture.

    EXIF is not used if the picture was cropped, or if tags contradict each other. A note says if
    the lens is named a fisheye.

    Args:
        image: Loaded image, in its stored orientation.
        exif: Tags of the image.
        size: Height and width of the upright photograph.
        xmp: Main packet of XMP; empty if there is none.
    """
    by_exif = _camera_unless_cropped(image, exif, size, xmp)
    lens_name = fisheye_name(exif, xmp)
    was_rejected = by_exif.camera is None and by_exif.note is not None
    if lens_name is None or was_rejected:
        return by_exif
    if by_exif.camera is None:
        degrees = "DEGREES"
    else:
        # The field of view of an equidistant fisheye is width / focal length.
        _, width = size
        degrees = f"{min(math.degrees(width / by_exif.camera.focal), 360):.0f}"
    fisheye_note = Note(
        f"{_BENDING}, '{lens_name}', that may be a fisheye, but rilievo treats the image as "
        "undistorted, so sizes away from the centre may be far off",
        hint=Text("if it is a fisheye, pass ", OptionName("camera", f"fisheye:{degrees}")),
    )
    return ExifCamera(camera=by_exif.camera, note=fisheye_note)


def _camera_unless_cropped(
    image: Image.Image, exif: ExifMetadata, size: tuple[int, int], xmp: bytes
) -> ExifCamera:
    """Make the camera of EXIF, if the picture shows all that its tags describe.

    Statements are tried from the most reliable one on: XMP, contradicting tags, sizes, the
    thumbnail, and proportions.
    """
    without_size = replace(exif, original_width=None, original_height=None)
    if camera_from_exif(without_size, size) is None:
        return ExifCamera()  # EXIF states no focal length at all.

    camera = camera_from_exif(exif, size)
    stated_size = exif.original_size
    if _CROPPED.search(xmp):
        return _reject_exif("XMP says that it was cropped")
    if stated_size is not None and camera is None:
        sizes = _describe_sizes(stated_size, size)
        return _reject_exif(f"{sizes}, with other proportions, so it was cropped")
    is_uncropped = _UNCROPPED.search(xmp) is not None
    contradiction = describe_contradiction(exif, size, is_uncropped=is_uncropped)
    if contradiction is not None:
        return _reject_exif(contradiction)
    if stated_size is not None and _is_same_size(stated_size, size):
        return ExifCamera(camera=camera, note=_zoom_note(exif))

    thumbnail_content = _compare_with_thumbnail(image)
    if thumbnail_content is _ThumbnailContent.WHOLE_PICTURE:
        return ExifCamera(camera=camera, note=_zoom_note(exif))
    if thumbnail_content is _ThumbnailContent.OTHER_PART:
        return _reject_exif("the EXIF thumbnail shows another part, so the image was cropped")
    if stated_size is None:
        return _camera_by_aspect(camera, size)
    sizes = _describe_sizes(stated_size, size)
    if _is_turned(stated_size, image):
        return _reject_exif(f"{sizes}, in another orientation")
    return _accept_exif(camera, f"{sizes}, so rilievo takes it for a resized copy")


def _camera_by_aspect(camera: Camera | None, size: tuple[int, int]) -> ExifCamera:
    """Use the camera of EXIF without a size, if the picture has the proportions of a camera."""
    aspect = max(size) / min(size)
    is_camera_aspect = any(
        abs(aspect / camera_aspect - 1) <= MAX_ASPECT_CHANGE for camera_aspect in _CAMERA_ASPECTS
    )
    if not is_camera_aspect:
        return _reject_exif(
            f"EXIF gives no image size, and {size[1]}x{size[0]} has the proportions of a crop"
        )
    return _accept_exif(camera, "EXIF gives no image size, so rilievo takes the image as uncropped")


def _reject_exif(reason: str) -> ExifCamera:
    return ExifCamera(
        note=Note(
            f"{_NOT_USED}: {reason}",
            hint=Text("pass ", OptionName("fov", "..."), " or ", OptionName("camera", "...")),
        )
    )


def _accept_exif(camera: Camera | None, reason: str) -> ExifCamera:
    note = Note(
        f"{_USED}: {reason}", hint=Text("if it was cropped, pass ", OptionName("fov", "..."))
    )
    return ExifCamera(camera=camera, note=note)


def _zoom_note(exif: ExifMetadata) -> Note | None:
    zoom = exif.digital_zoom
    if zoom is None or zoom <= MIN_ZOOM or exif.focal_35mm is None:
        return None
    return Note(
        f"{_ZOOMED} of {zoom:.3g}, and rilievo assumes that the 35 mm equivalent includes it",
        hint=Text("if it does not, pass ", OptionName("fov", "...")),
    )


def _describe_sizes(exif_size: tuple[float, float], size: tuple[int, int]) -> str:
    return (
        f"EXIF gives {exif_size[1]:.0f}x{exif_size[0]:.0f} pixels, and the image has "
        f"{size[1]}x{size[0]}"
    )


def _is_same_size(exif_size: tuple[float, float], size: tuple[int, int]) -> bool:
    """Whether the sides are equal in any order, because programs that turn a picture keep tags."""
    pairs = zip(sorted(exif_size), sorted(size), strict=True)
    return all(abs(first - second) <= _MAX_SIDE_DIFFERENCE for first, second in pairs)


def _is_turned(exif_size: tuple[float, float], image: Image.Image) -> bool:
    """Whether the stored picture is portrait and EXIF's size is landscape, or vice versa."""
    height, width = exif_size
    return (height - width) * (image.height - image.width) < 0


class _ThumbnailContent(Enum):
    """What the thumbnail in EXIF shows, compared with the picture."""

    WHOLE_PICTURE = "whole picture"
    OTHER_PART = "other part"
    """More than the picture, or something else, because the picture was cropped."""
    UNKNOWN = "unknown"
    """There is no thumbnail, or it is neither like the picture nor clearly different."""


def _compare_with_thumbnail(image: Image.Image) -> _ThumbnailContent:
    """Compare a picture with its thumbnail in EXIF, by their proportions and their grey levels."""
    thumbnail = _read_thumbnail(image)
    if thumbnail is None:
        return _ThumbnailContent.UNKNOWN
    thumbnail_grey = _crop_black_bars(np.asarray(thumbnail.convert("L"), np.float32))
    thumbnail_height, thumbnail_width = thumbnail_grey.shape
    aspect_ratio = (thumbnail_width / thumbnail_height) / (image.width / image.height)
    max_aspect_change = 3 / min(thumbnail_grey.shape)  # three pixels of the thumbnail
    if abs(aspect_ratio - 1) > max_aspect_change:
        return _ThumbnailContent.OTHER_PART

    small_picture = image.resize(_COMPARED_SIZE, Image.Resampling.BOX, reducing_gap=2.0)
    small_thumbnail = Image.fromarray(thumbnail_grey).resize(_COMPARED_SIZE, Image.Resampling.BOX)
    correlation = _correlation(small_picture.convert("L"), small_thumbnail)
    if correlation is None:
        return _ThumbnailContent.UNKNOWN
    if correlation >= _SAME_CORRELATION:
        return _ThumbnailContent.WHOLE_PICTURE
    if correlation < _DIFFERENT_CORRELATION:
        return _ThumbnailContent.OTHER_PART
    return _ThumbnailContent.UNKNOWN


def _correlation(first_image: Image.Image, second_image: Image.Image) -> float | None:
    """Correlate the grey levels of two images; None if one hardly varies."""
    first = np.asarray(first_image, np.float64).ravel()
    second = np.asarray(second_image, np.float64).ravel()
    std_product = first.std() * second.std()
    if not std_product > 1:
        return None
    covariance = ((first - first.mean()) * (second - second.mean())).mean()
    return float(covariance / std_product)


def _read_thumbnail(image: Image.Image) -> Image.Image | None:
    """Read the JPEG thumbnail in EXIF; None if there is none, or if it is damaged or too large."""
    content = image.info.get("exif")
    if not isinstance(content, bytes):
        return None
    content = content.removeprefix(b"Exif\0\0")
    try:
        directory = image.getexif().get_ifd(_FIRST_DIRECTORY)
        start, length = directory.get(_THUMBNAIL_OFFSET), directory.get(_THUMBNAIL_LENGTH)
        if not isinstance(start, int) or not isinstance(length, int):
            return None
        if not 0 < length <= _MAX_THUMBNAIL_BYTES:
            return None
        thumbnail = Image.open(BytesIO(content[start : start + length]), formats=("JPEG",))
        is_too_large = max(thumbnail.size) > _MAX_THUMBNAIL_SIDE
        if is_too_large or min(thumbnail.size) < _MIN_THUMBNAIL_SIDE:
            return None
        thumbnail.load()
    except PILLOW_ERRORS:
        return None
    return thumbnail


def _crop_black_bars(grey: Field) -> Field:
    """Crop the black bars with which cameras fill a thumbnail up to 4:3."""
    rows = np.flatnonzero(grey.max(axis=1) > _MAX_BAR_LEVEL)
    columns = np.flatnonzero(grey.max(axis=0) > _MAX_BAR_LEVEL)
    if not rows.size or not columns.size:
        return grey
    return np.ascontiguousarray(grey[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
