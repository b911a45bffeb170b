"""Whether the focal length in EXIF is that of the picture, or of a larger one that was cropped.

Programs that crop a picture often keep its EXIF. A picture that was only made smaller keeps its
field of view, so the 35 mm equivalent holds for it. Three statements tell the two apart: a crop in
XMP, the size in EXIF, and the thumbnail in EXIF, which usually shows the original.
"""

import math
import re
from dataclasses import dataclass, replace
from io import BytesIO

import numpy as np
from PIL import ExifTags, Image

from rilievo.arrays.shapes import Field
from rilievo.errors.messages import Note, OptionName, Text
from rilievo.geometry.cameras.camera import Camera
from rilievo.io.photographs.decode import PILLOW_ERRORS
from rilievo.io.photographs.exif import MAX_ASPECT_CHANGE, MIN_ZOOM, ExifMetadata, camera_from_exif
from rilievo.io.photographs.exif_contradictions import contradiction, fisheye_name

_CROPPED = re.compile(
    rb"""HasCrop\s*(?:=\s*["']|>)\s*[Tt]rue"""
    rb"""|darktable:operation="(?:crop|clipping)"\s+darktable:enabled="1\""""
)
"""Property of Adobe's camera raw settings in XMP, and darktable's history."""
_UNCROPPED = re.compile(rb"""HasCrop\s*(?:=\s*["']|>)\s*[Ff]alse""")
_CAMERA_ASPECTS = (1.0, 5 / 4, 4 / 3, 3 / 2, 16 / 9)
"""Aspect ratios of pictures that were not cropped."""
_MAX_SIDE_DIFFERENCE = 2.0  # [px], as encoders round to even sides
_THUMBNAIL_OFFSET, _THUMBNAIL_LENGTH = 0x0201, 0x0202
_FIRST_DIRECTORY = ExifTags.IFD.IFD1
_MAX_THUMBNAIL_BYTES = 1 << 18
_MIN_THUMBNAIL_SIDE, _MAX_THUMBNAIL_SIDE = 16, 1024  # [px]
_COMPARED_SIZE = (32, 24)  # (width, height) [px] at which thumbnail and picture are compared
_MAX_BAR_LEVEL = 16
"""Grey level up to which rows or columns at the border of a thumbnail are a black bar."""
_MIN_SAME, _MAX_DIFFERENT = 0.92, 0.75
"""Correlations of grey levels from which on pictures are one, and below which they are not."""

_NOT_USED = "its EXIF focal length is not used"
_USED = "its focal length is that of EXIF"
_ZOOMED = "its EXIF states a digital zoom"
_BENDING = "its EXIF names a lens or camera"


def is_exif_focal_note(note: str) -> bool:
    """Whether a note is about the focal length in EXIF, which a camera of the user's replaces."""
    return note.startswith((_NOT_USED, _USED, _ZOOMED, _BENDING))


@dataclass(frozen=True, slots=True, kw_only=True)
class ExifCamera:
    """Camera of a photograph by EXIF, if it can be used, and a note on what was decided."""

    camera: Camera | None = None
    note: Note | None = None


def exif_camera(
    image: Image.Image, exif: ExifMetadata, size: tuple[int, int], xmp: bytes
) -> ExifCamera:
    """Make the camera of an upright photograph, if its EXIF is about this picture.

    It is not used where the picture was cropped from the one in EXIF, or where tags contradict each
    other. A lens that is named a fisheye is noted.

    Args:
        image: Loaded image, in its stored orientation.
        exif: Tags of the image.
        size: Height and width once upright.
        xmp: Main packet of XMP, or nothing.
    """
    result = _camera_unless_cropped(image, exif, size, xmp)
    lens_name = fisheye_name(exif, xmp)
    was_rejected = result.camera is None and result.note is not None
    if lens_name is None or was_rejected:
        return result
    degrees = "DEGREES"
    if result.camera is not None:
        degrees = f"{min(math.degrees(size[1] / result.camera.focal), 360):.0f}"
    note = Note(
        f"{_BENDING}, '{lens_name}', that may bend its pictures as a fisheye does, and the picture "
        "is taken for one without distortion, so sizes away from the middle may be far off",
        hint=Text("if it does, give ", OptionName("camera", f"fisheye:{degrees}")),
    )
    return ExifCamera(camera=result.camera, note=note)


def _camera_unless_cropped(
    image: Image.Image, exif: ExifMetadata, size: tuple[int, int], xmp: bytes
) -> ExifCamera:
    """Make the camera of EXIF, if the picture shows all of what its tags describe."""
    without_size = replace(exif, original_width=None, original_height=None)
    if camera_from_exif(without_size, size) is None:
        return ExifCamera()  # it states no focal length at all

    camera = camera_from_exif(exif, size)
    stated_size = exif.original_size
    if _CROPPED.search(xmp):
        return _not_used("XMP says that it was cropped")
    if stated_size is not None and camera is None:
        sizes = _describe_sizes(stated_size, size)
        return _not_used(f"{sizes}, of other proportions, so it was cropped")
    is_uncropped = _UNCROPPED.search(xmp) is not None
    contradictory = contradiction(exif, size, is_uncropped=is_uncropped)
    if contradictory is not None:
        return _not_used(contradictory)
    if stated_size is not None and _is_same_size(stated_size, size):
        return ExifCamera(camera=camera, note=_zoom_note(exif))

    shows_whole = _thumbnail_shows_whole(image)
    if shows_whole is True:
        return ExifCamera(camera=camera, note=_zoom_note(exif))
    if shows_whole is False:
        return _not_used("the thumbnail in EXIF shows another part, so it was cropped")
    if stated_size is None:
        return _camera_by_aspect(camera, size)
    sizes = _describe_sizes(stated_size, size)
    if _is_turned(stated_size, image):
        return _not_used(f"{sizes}, upright in another way")
    return _used_with_note(camera, f"{sizes}, so the picture is taken for a resized copy")


def _camera_by_aspect(camera: Camera | None, size: tuple[int, int]) -> ExifCamera:
    """Use the camera of EXIF without a size, if the picture has proportions of an uncropped one."""
    aspect = max(size) / min(size)
    is_camera_aspect = any(
        abs(aspect / camera_aspect - 1) <= MAX_ASPECT_CHANGE for camera_aspect in _CAMERA_ASPECTS
    )
    if not is_camera_aspect:
        return _not_used(
            f"EXIF states no size, and {size[1]}x{size[0]} has the proportions of a crop"
        )
    return _used_with_note(camera, "EXIF states no size, so the picture is taken for a whole one")


def _not_used(why: str) -> ExifCamera:
    return ExifCamera(
        note=Note(
            f"{_NOT_USED}: {why}",
            hint=Text("give ", OptionName("fov", "..."), " or ", OptionName("camera", "...")),
        )
    )


def _used_with_note(camera: Camera | None, why: str) -> ExifCamera:
    note = Note(
        f"{_USED}: {why}",
        hint=Text("if it was cropped, give ", OptionName("fov", "...")),
    )
    return ExifCamera(camera=camera, note=note)


def _zoom_note(exif: ExifMetadata) -> Note | None:
    zoom = exif.digital_zoom
    if zoom is None or zoom <= MIN_ZOOM or exif.focal_35mm is None:
        return None
    return Note(
        f"{_ZOOMED} of {zoom:.3g}, and its 35 mm focal length is taken to include it",
        hint=Text("if it does not, give ", OptionName("fov", "...")),
    )


def _describe_sizes(stated: tuple[float, float], size: tuple[int, int]) -> str:
    return (
        f"EXIF is of {stated[1]:.0f}x{stated[0]:.0f} pixels, and the picture has "
        f"{size[1]}x{size[0]}"
    )


def _is_same_size(stated: tuple[float, float], size: tuple[int, int]) -> bool:
    """Whether the sides are equal in any order, as programs that turn a picture leave the tags."""
    pairs = zip(sorted(stated), sorted(size), strict=True)
    return all(abs(first - second) <= _MAX_SIDE_DIFFERENCE for first, second in pairs)


def _is_turned(stated: tuple[float, float], image: Image.Image) -> bool:
    """Whether the stored picture is high and EXIF's size is that of a wide one, or vice versa."""
    height, width = stated
    return (height - width) * (image.height - image.width) < 0


def _thumbnail_shows_whole(image: Image.Image) -> bool | None:
    """Whether the thumbnail in EXIF shows the whole picture; None if that is not clear."""
    thumbnail = _read_thumbnail(image)
    if thumbnail is None:
        return None
    thumbnail_grey = _without_bars(np.asarray(thumbnail.convert("L"), np.float32))
    thumbnail_aspect = thumbnail_grey.shape[1] / thumbnail_grey.shape[0]
    aspect_ratio = thumbnail_aspect / (image.width / image.height)
    if abs(aspect_ratio - 1) > 3 / min(thumbnail_grey.shape):  # three of its pixels
        return False

    small_picture = image.resize(_COMPARED_SIZE, Image.Resampling.BOX, reducing_gap=2.0)
    small_thumbnail = Image.fromarray(thumbnail_grey).resize(_COMPARED_SIZE, Image.Resampling.BOX)
    correlation = _correlation(small_picture.convert("L"), small_thumbnail)
    if correlation is None:
        return None
    if correlation >= _MIN_SAME:
        return True
    return False if correlation < _MAX_DIFFERENT else None


def _correlation(first_image: Image.Image, second_image: Image.Image) -> float | None:
    """Correlate the grey levels of two images; None if one hardly varies."""
    first = np.asarray(first_image, np.float64).ravel()
    second = np.asarray(second_image, np.float64).ravel()
    spreads = first.std() * second.std()
    if not spreads > 1:
        return None
    covariance = ((first - first.mean()) * (second - second.mean())).mean()
    return float(covariance / spreads)


def _read_thumbnail(image: Image.Image) -> Image.Image | None:
    """Read the JPEG thumbnail in EXIF; None if there is none, or one that is damaged or large."""
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


def _without_bars(grey: Field) -> Field:
    """Crop the black bars with which cameras fill a thumbnail up to 4:3."""
    rows = np.flatnonzero(grey.max(axis=1) > _MAX_BAR_LEVEL)
    columns = np.flatnonzero(grey.max(axis=0) > _MAX_BAR_LEVEL)
    if not rows.size or not columns.size:
        return grey
    return np.ascontiguousarray(grey[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
