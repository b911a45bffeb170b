"""Checks of the camera that a user names for a photograph.

A lens whose distortion folds inside the picture, or whose principal point lies outside, is refused.
Numbers that are hardly pixels, and angles that are hardly degrees, give a note that says what to
write instead.
"""

import math
from collections.abc import Iterable

import numpy as np

from rilievo.calibration.readings import normalized_points_note
from rilievo.calibration.sizes import Known
from rilievo.errors import InputError
from rilievo.errors.messages import Note, OptionName, Text
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.cameras.distorted import Distorted
from rilievo.geometry.cameras.equirectangular import Equirectangular
from rilievo.geometry.cameras.fisheye import Fisheye
from rilievo.geometry.cameras.lens import Centred, Lens, Pinhole
from rilievo.geometry.cameras.spelling import SpelledLens, spelling_of
from rilievo.geometry.intrinsics import Millimetres
from rilievo.records.sample import Photo

_MIN_FOV, _MAX_FOV = 5.0, 150.0
"""Range of the fields of view of pictures that are neither panoramas nor fisheyes [degrees]."""
_MAX_CENTRE_OFFSET = 0.12
"""Distance of the principal point from the middle of the picture, as a share of its sides, beyond
which the camera is probably that of a picture of another size, or not in pixels."""
_MAX_NORMALIZED_FOCAL = 10.0
"""Focal length below which it may be a share of the picture's width."""
_MAX_FOCAL_RATIO = 1.2
"""Ratio of the focal lengths along rows and columns from which on pixels are hardly square."""
_MAX_EXIF_RATIO = 1.35
"""Ratio of focal lengths from which on the user's contradicts that of EXIF."""
_MIN_FILM_FOCAL = 9.0
"""Shortest focal length of a lens without distortion, on film of 36 x 24 mm [mm]."""
_MAX_BLACK = 10
"""Largest value of a pixel that counts as black [of 255]."""
_MAX_BLACK_SHARE = 0.02
"""Largest share of a panorama's rows that may be black at a pole."""
_SOURCES_OF_USER = (CameraSource.GIVEN, CameraSource.MILLIMETRES)
_SOURCES_OF_FILE = (CameraSource.EXIF_35MM, CameraSource.EXIF_SENSOR, CameraSource.HEIF)


def require_centre_inside(photo: Photo, camera: Camera) -> None:
    """Raise ``InputError`` if the principal point of a pinhole lies outside the picture."""
    height, width = photo.shape
    cx, cy = camera.project(np.array([0.0, 0.0, 1.0]))
    if not (0 <= cx < width and 0 <= cy < height):
        raise InputError(
            f"the camera's centre ({cx:g}, {cy:g}) lies outside its {width}x{height} pixels: are "
            "the intrinsics for another resolution?",
            path=photo.name,
        )


def check_lens(photo: Photo, lens: Lens) -> Lens:
    """Check a lens against its photograph. A fisheye is returned narrowed to its image circle.

    Raises:
        InputError: If the distortion folds inside the picture, or a panorama lacks a pole.
    """
    if isinstance(lens, Distorted) and _folds_inside(lens, photo.shape):
        notes = pixel_notes(Camera(lens=lens), photo.shape, ())
        hint = "; ".join(notes) or "calibrate with pictures that reach into the corners"
        raise InputError(
            "the distortion of this lens folds inside the picture, so its corners see nothing "
            f"twice: {hint}",
            path=photo.name,
        )
    if isinstance(lens, Fisheye):
        return _narrow_to_circle(photo, lens)
    if isinstance(lens, Equirectangular):
        _require_both_poles(photo, lens)
    return lens


def _folds_inside(lens: Distorted, shape: tuple[int, int]) -> bool:
    """Whether pixels at the edge of a picture have no ray."""
    height, width = shape
    columns, rows = np.linspace(0, width - 1, 65), np.linspace(0, height - 1, 65)
    top = np.stack([columns, np.full(65, 0.0)])
    bottom = np.stack([columns, np.full(65, height - 1.0)])
    left = np.stack([np.full(65, 0.0), rows])
    right = np.stack([np.full(65, width - 1.0), rows])
    edge = np.hstack([top, bottom, left, right])
    return not np.isfinite(lens.rays(edge)).all()


def _narrow_to_circle(photo: Photo, lens: Fisheye) -> Lens:
    """Fisheye that ends at the nearest border, if the picture is black beyond that circle.

    Raises:
        InputError: If the distortion folds before it reaches a border.
    """
    height, width = photo.shape
    # Radius of the largest circle in the picture, in focal lengths.
    radius = min(
        (lens.cx + 0.5) / lens.fx,
        (width - 0.5 - lens.cx) / lens.fx,
        (lens.cy + 0.5) / lens.fy,
        (height - 0.5 - lens.cy) / lens.fy,
    )
    if lens.is_folding and radius > lens.farthest:
        raise InputError(
            "the distortion of this fisheye folds inside the picture, "
            f"{lens.farthest * lens.fx:.0f} px from its centre: are its coefficients right?",
            path=photo.name,
        )
    narrowed = lens.ending_at_distance(radius)
    v, u = np.mgrid[0:height:8, 0:width:8]
    is_outside = ~np.isfinite(narrowed.rays(np.stack([u, v]).astype(float))[0])
    if is_outside.any() and np.median(photo.pixels[::8, ::8][is_outside]) <= _MAX_BLACK:
        return narrowed
    return lens


def _require_both_poles(photo: Photo, lens: Equirectangular) -> None:
    """Raise ``InputError`` if a panorama is black at its top or bottom, where a pole would be."""
    height, _ = photo.shape
    is_black_row = photo.pixels.max(axis=(1, 2)) <= _MAX_BLACK
    if is_black_row.all():
        raise InputError("is black all over", path=photo.name)
    black_above, black_below = int(np.argmin(is_black_row)), int(np.argmin(is_black_row[::-1]))
    max_black = _MAX_BLACK_SHARE * height
    top, bottom, places = 0, height, []
    if black_above > max_black:
        top = black_above
        places.append("top")
    if black_below > max_black:
        bottom = height - black_below
        places.append("bottom")
    if not places:
        return
    visible_part = spelling_of(lens.cropped(top=top, left=0))
    raise InputError(
        path=photo.name,
        problem=Text(
            f"is black at the {' and '.join(places)}, so it sees less than a whole "
            f"panorama: crop it to rows {top} to {bottom - 1}, and give ",
            OptionName("projection", str(visible_part)),
        ),
    )


def camera_doubts(camera: Camera, shape: tuple[int, int]) -> list[str]:
    """Sentences on what is probably wrong with the camera of a picture in a dataset."""
    doubts = pixel_notes(camera, shape, ())
    if isinstance(camera.lens, Distorted) and _folds_inside(camera.lens, shape):
        doubts.append("the lens folds inside the picture, so pixels near its corners have no ray")
    return doubts


def lens_notes(spelling: SpelledLens, shape: tuple[int, int]) -> list[str]:
    """Notes on a lens that was read: what was chosen in its file, and whether it was scaled.

    ``shape`` is the height and width of the photograph.
    """
    notes = [] if spelling.note is None else [spelling.note]
    if spelling.size is not None and spelling.size != shape:
        height, width = spelling.size
        notes.append(
            f"its camera is calibrated for {width}x{height} pixels and was scaled to "
            f"{shape[1]}x{shape[0]}, which is right if the picture was resized as a whole"
        )
    return notes


def pixel_notes(camera: Camera | None, shape: tuple[int, int], sizes: Iterable[Known]) -> list[str]:
    """Notes on a user's camera, and on known sizes, whose numbers are hardly in pixels."""
    notes = []
    if camera is not None and camera.source in _SOURCES_OF_USER:
        notes.append(_camera_unit_note(camera, shape))
    points = [point for size in sizes for point in size.image_points]
    if points:
        notes.append(normalized_points_note(points, shape))
    return [note for note in notes if note is not None]


def _camera_unit_note(camera: Camera, shape: tuple[int, int]) -> str | None:
    """Note on a camera that hardly belongs to the picture, with the likely reason."""
    if not isinstance(camera.lens, Pinhole | Centred):
        return None
    checks = [_normalized_camera_note]
    if not camera.lens.has_unit_rays:
        checks += [_centre_note, _focal_ratio_note, _wide_camera_note]
    checks.append(_narrow_camera_note)
    for check in checks:
        note = check(camera, shape)
        if note is not None:
            return note
    return None


def _normalized_camera_note(camera: Camera, shape: tuple[int, int]) -> str | None:
    """Note on intrinsics that seem to be shares of the width and the height."""
    fx, fy, cx, cy = camera.fx, camera.fy, camera.cx, camera.cy
    if not (0 <= cx <= 1 and 0 <= cy <= 1 and min(shape) > 2):
        return None
    height, width = shape
    x_factor, y_factor = (width, height) if fx < _MAX_NORMALIZED_FOCAL else (1, 1)
    numbers = (fx * x_factor, fy * y_factor, cx * width - 0.5, cy * height - 0.5)
    spelling = spelling_of(camera.lens)
    prefix = "" if isinstance(camera.lens, Pinhole) else f"{spelling.name}:"
    coefficients = str(spelling).partition(":")[2].split(",")[4:]
    suggested = ",".join([*(f"{number:.6g}" for number in numbers), *coefficients])
    return (
        f"the camera has its centre {cx:g},{cy:g} in the top-left corner, in pixels; if that "
        f"is in shares of the width and the height, write {prefix}{suggested}"
    )


def _centre_note(camera: Camera, shape: tuple[int, int]) -> str | None:
    """Note on a principal point that is far from the middle of the picture."""
    height, width = shape
    cx, cy = camera.cx, camera.cy
    if _centre_offset(cx, cy, width, height) <= _MAX_CENTRE_OFFSET:
        return None
    if width != height and _centre_offset(cx, cy, height, width) <= _MAX_CENTRE_OFFSET:
        return (
            f"the camera has its centre {cx:g},{cy:g} where a picture of {height}x{width} has "
            f"it, and this one has {width}x{height} pixels: if it was turned, give the numbers "
            "of the upright photograph"
        )
    return (
        f"the camera has its centre {cx:g},{cy:g} far from the middle of the {width}x{height} "
        f"pixels: if it is that of another size, such as {2 * cx + 1:.0f}x{2 * cy + 1:.0f}, "
        "write pinhole:FX,FY,CX,CY@WIDTHxHEIGHT with that size; all numbers are in pixels"
    )


def _centre_offset(cx: float, cy: float, width: int, height: int) -> float:
    """Distance of a principal point from the middle of a picture, as a share of its sides."""
    return max(abs((cx + 0.5) / width - 0.5), abs((cy + 0.5) / height - 0.5))


def _focal_ratio_note(camera: Camera, shape: tuple[int, int]) -> str | None:
    """Note on focal lengths of pixels that are far from square."""
    del shape
    fx, fy = camera.fx, camera.fy
    if max(fx, fy) <= _MAX_FOCAL_RATIO * min(fx, fy):
        return None
    return (
        f"the camera has focal lengths of {fx:.4g} px along rows and {fy:.4g} px along "
        "columns, as for pixels that are far from square: if the picture was not squeezed, one "
        "of them is wrong"
    )


def _wide_camera_note(camera: Camera, shape: tuple[int, int]) -> str | None:
    """Note on a focal length that is hardly in pixels, because it is so short."""
    angle, fx = camera.field_of_view(shape), camera.fx
    if angle <= _MAX_FOV:
        return None
    normalized = f"; if that is a share of the width, write {fx * shape[1]:.6g}"
    return (
        f"the camera sees {angle:.1f} degrees with a focal length of {fx:g} px; if that is in "
        f"millimetres, write {fx:g}mm (35 mm equivalent) or {fx:g}mm/WIDTHmm with the width "
        f"of the sensor{normalized if fx < _MAX_NORMALIZED_FOCAL else ''}"
    )


def _narrow_camera_note(camera: Camera, shape: tuple[int, int]) -> str | None:
    """Note on a focal length that is long for a picture of this size."""
    angle = camera.field_of_view(shape)
    if angle >= _MIN_FOV:
        return None
    return (
        f"the camera sees {angle:.1f} degrees; if it is for pictures of another size, write "
        "pinhole:FX,FY,CX,CY@WIDTHxHEIGHT with theirs; angles are in degrees"
    )


def film_note(named: object) -> str | None:
    """Note on a user's focal length in millimetres that is hardly that of 35 mm film.

    None for any other camera that the user named.
    """
    if not isinstance(named, Millimetres) or named.sensor is not None:
        return None
    if named.focal >= _MIN_FILM_FOCAL:
        return None
    return (
        f"the focal length {named.focal:g} mm is taken for that of 35 mm film, on which no usual "
        f"lens is so short: if it is the true one, write {named.focal:g}mm/WIDTHmm with the width "
        "of the sensor"
    )


def exif_note(stated: Camera | None, named: Camera) -> str | None:
    """Note on a user's focal length that is far from the one in the photograph's EXIF.

    Args:
        stated: Camera by the file; None if it states none.
        named: Camera by the user.
    """
    if stated is None or stated.source not in _SOURCES_OF_FILE:
        return None
    if not isinstance(named.lens, Pinhole | Distorted):
        return None
    ratio = named.fx / stated.fx
    if 1 / _MAX_EXIF_RATIO < ratio < _MAX_EXIF_RATIO:
        return None
    return (
        f"the camera has a focal length of {named.fx:.4g} px, where its EXIF states "
        f"{stated.fx:.4g} px for a picture of this size; the camera is used: is it for pictures "
        "of another size?"
    )


def fov_note(fov: float | None) -> Note | None:
    """Note on a field of view that is hardly in degrees."""
    if fov is None or _MIN_FOV <= fov <= _MAX_FOV:
        return None
    return Note(f": taken as {fov:g} degrees", option="fov", hint=_fov_hint(fov))


def _fov_hint(fov: float) -> str | Text:
    """What to write instead of an odd field of view [degrees]."""
    if fov > _MAX_FOV:
        fisheye = OptionName("projection", f"fisheye:{fov:g}")
        return Text("if the lens is a fisheye, write ", fisheye)
    if math.degrees(fov) <= _MAX_FOV:
        return f"if that is in radians, write {math.degrees(fov):.0f}"
    camera = OptionName("camera", "24mm")
    return Text("of a focal length in millimetres, write ", camera, " (35 mm equivalent)")
