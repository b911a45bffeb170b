"""Whether the focal length in EXIF is that of the picture, or of a larger one that was cropped.

Programs that crop a picture often keep its EXIF. A picture that was only made smaller keeps its
field of view, so the 35 mm equivalent holds for it. Three facts tell the two apart: XMP that states
a crop, the size in EXIF, and the thumbnail in EXIF, which usually shows the original.
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
from rilievo.io.photographs.exif import ExifFacts, camera_from_exif
from rilievo.io.photographs.exif_doubts import contradiction, fisheye_name

_CROPPED = re.compile(
    rb"""HasCrop\s*(?:=\s*["']|>)\s*[Tt]rue"""
    rb"""|darktable:operation="(?:crop|clipping)"\s+darktable:enabled="1\""""
)
"""Property of Adobe's camera raw settings in XMP, and darktable's history."""
_UNCROPPED = re.compile(rb"""HasCrop\s*(?:=\s*["']|>)\s*[Ff]alse""")
_USUAL_ASPECTS = (1.0, 5 / 4, 4 / 3, 3 / 2, 16 / 9)
"""Aspect ratios of whole photographs."""
_SAME_ASPECT = 0.02
_SAME_SIDE = 2.0
"""Pixels by which a side may differ, as encoders round to even sides."""
_THUMBNAIL_OFFSET, _THUMBNAIL_LENGTH = 0x0201, 0x0202
_FIRST_DIRECTORY = ExifTags.IFD.IFD1
_MOST_THUMBNAIL_BYTES = 1 << 18
_MOST_THUMBNAIL_SIDE = 1024
_SAMPLE = (32, 24)
_DARK = 16
"""Grey level below which rows of a thumbnail are a bar."""
_SAME_PICTURE, _OTHER_PICTURE = 0.92, 0.75
"""Correlations of grey levels above which pictures are one, and below which they are not."""


_NOT_USED = "its EXIF focal length is not used"
_USED = "its focal length is that of EXIF"
_ZOOMED = "its EXIF states a digital zoom"
_BENDING = "its EXIF names a lens or camera"


def is_exif_focal_note(note: str) -> bool:
    """Whether a note is about the focal length in EXIF, which a camera of the user's replaces."""
    return note.startswith((_NOT_USED, _USED, _ZOOMED, _BENDING))


@dataclass(frozen=True, slots=True, kw_only=True)
class ExifCamera:
    """Camera of a photograph by EXIF, and a remark on what was taken or left."""

    camera: Camera | None = None
    note: Note | None = None


def exif_camera(
    image: Image.Image, facts: ExifFacts, size: tuple[int, int], xmp: bytes
) -> ExifCamera:
    """Camera of an upright photograph of this size, if EXIF is that of this picture.

    It is not used where the picture was cropped from that in EXIF, or where tags contradict each
    other. A lens that is named a fisheye is noted.

    Args:
        image: Loaded image, in its stored orientation.
        facts: Facts of its EXIF.
        size: Height and width once upright.
        xmp: Main packet of XMP, or nothing.
    """
    found = _camera_of_whole(image, facts, size, xmp)
    bending = fisheye_name(facts, xmp)
    if bending is None or (found.camera is None and found.note is not None):
        return found
    degrees = "DEGREES"
    if found.camera is not None:
        degrees = f"{min(math.degrees(size[1] / found.camera.focal), 360):.0f}"
    note = Note(
        f"{_BENDING}, '{bending}', that may bend its pictures as a fisheye does, and the picture "
        "is taken for one without distortion, so sizes away from the middle may be far off",
        hint=Text("if it does, give ", OptionName("camera", f"fisheye:{degrees}")),
    )
    return ExifCamera(camera=found.camera, note=note)


def _camera_of_whole(
    image: Image.Image, facts: ExifFacts, size: tuple[int, int], xmp: bytes
) -> ExifCamera:
    """Camera of EXIF, if the picture shows the whole of what its tags are of."""
    whole = camera_from_exif(replace(facts, width=None, height=None), size)
    if whole is None:
        return ExifCamera()

    camera = camera_from_exif(facts, size)
    stated = facts.original_size
    if _CROPPED.search(xmp):
        return _not_used("XMP says that it was cropped")
    if stated is not None and camera is None:
        return _not_used(f"{_stated_words(stated, size)}, of other proportions, so it was cropped")
    is_uncropped = _UNCROPPED.search(xmp) is not None
    contradicts = contradiction(facts, size, is_uncropped=is_uncropped)
    if contradicts is not None:
        return _not_used(contradicts)
    if stated is not None and _is_same_size(stated, size):
        return ExifCamera(camera=camera, note=_zoom_note(facts))

    agrees = _thumbnail_shows_the_same(image)
    if agrees:
        return ExifCamera(camera=camera, note=_zoom_note(facts))
    if agrees is False:
        return _not_used("the thumbnail in EXIF shows another part, so it was cropped")
    if stated is None:
        return _by_aspect(camera, size)
    if _is_turned(stated, image):
        return _not_used(f"{_stated_words(stated, size)}, upright in another way")
    return _with_doubt(
        camera, f"{_stated_words(stated, size)}, so the picture is taken for a resized copy"
    )


def _by_aspect(camera: Camera | None, size: tuple[int, int]) -> ExifCamera:
    """Camera of EXIF that states no size: it is used if the picture may be a whole one."""
    aspect = max(size) / min(size)
    is_usual = any(abs(aspect / usual - 1) <= _SAME_ASPECT for usual in _USUAL_ASPECTS)
    if not is_usual:
        return _not_used(
            f"EXIF states no size, and {size[1]}x{size[0]} has the proportions of a crop"
        )
    return _with_doubt(camera, "EXIF states no size, so the picture is taken for a whole one")


def _not_used(why: str) -> ExifCamera:
    return ExifCamera(
        note=Note(
            f"{_NOT_USED}: {why}",
            hint=Text("give ", OptionName("fov", "..."), " or ", OptionName("camera", "...")),
        )
    )


def _with_doubt(camera: Camera | None, why: str) -> ExifCamera:
    note = Note(
        f"{_USED}: {why}",
        hint=Text("if it was cropped, give ", OptionName("fov", "...")),
    )
    return ExifCamera(camera=camera, note=note)


def _zoom_note(facts: ExifFacts) -> Note | None:
    zoom = facts.digital_zoom
    if zoom is None or zoom <= 1.01 or facts.focal_35mm is None:
        return None
    return Note(
        f"{_ZOOMED} of {zoom:.3g}, and its 35 mm focal length is taken to include it",
        hint=Text("if it does not, give ", OptionName("fov", "...")),
    )


def _stated_words(stated: tuple[float, float], size: tuple[int, int]) -> str:
    return (
        f"EXIF is of {stated[1]:.0f}x{stated[0]:.0f} pixels, and the picture has "
        f"{size[1]}x{size[0]}"
    )


def _is_same_size(stated: tuple[float, float], size: tuple[int, int]) -> bool:
    """Whether the sides are equal; programs that turn a picture often leave the tags."""
    pairs = zip(sorted(stated), sorted(size), strict=True)
    return all(abs(first - second) <= _SAME_SIDE for first, second in pairs)


def _is_turned(stated: tuple[float, float], image: Image.Image) -> bool:
    """Whether the stored picture is high and EXIF's is wide, or the other way."""
    height, width = stated
    return (height - width) * (image.height - image.width) < 0


def _thumbnail_shows_the_same(image: Image.Image) -> bool | None:
    """Whether the thumbnail in EXIF shows the whole picture; None without a clear answer."""
    thumbnail = _read_thumbnail(image)
    if thumbnail is None:
        return None
    grey = _without_bars(np.asarray(thumbnail.convert("L"), np.float32))
    aspects = (grey.shape[1] / grey.shape[0]) / (image.width / image.height)
    if abs(aspects - 1) > 3 / min(grey.shape):
        return False
    small = image.resize(_SAMPLE, Image.Resampling.BOX, reducing_gap=2.0).convert("L")
    shown = Image.fromarray(grey).resize(_SAMPLE, Image.Resampling.BOX)
    first, second = (np.asarray(each, np.float64).ravel() for each in (small, shown))
    spreads = first.std() * second.std()
    if not spreads > 1:
        return None
    correlation = float(((first - first.mean()) * (second - second.mean())).mean() / spreads)
    if correlation >= _SAME_PICTURE:
        return True
    return False if correlation < _OTHER_PICTURE else None


def _read_thumbnail(image: Image.Image) -> Image.Image | None:
    content = image.info.get("exif")
    if not isinstance(content, bytes):
        return None
    content = content.removeprefix(b"Exif\0\0")
    try:
        directory = image.getexif().get_ifd(_FIRST_DIRECTORY)
        start, length = directory.get(_THUMBNAIL_OFFSET), directory.get(_THUMBNAIL_LENGTH)
        if not isinstance(start, int) or not isinstance(length, int):
            return None
        if not 0 < length <= _MOST_THUMBNAIL_BYTES:
            return None
        thumbnail = Image.open(BytesIO(content[start : start + length]), formats=("JPEG",))
        if max(thumbnail.size) > _MOST_THUMBNAIL_SIDE or min(thumbnail.size) < 16:
            return None
        thumbnail.load()
    except PILLOW_ERRORS:
        return None
    return thumbnail


def _without_bars(grey: Field) -> Field:
    """Thumbnail without dark bars, as cameras fill it up to 4:3."""
    rows = np.flatnonzero(grey.max(axis=1) > _DARK)
    columns = np.flatnonzero(grey.max(axis=0) > _DARK)
    if not rows.size or not columns.size:
        return grey
    return np.ascontiguousarray(grey[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
