"""Checks of the camera that a user names for a photograph, and of photographs without one.

A lens whose distortion folds inside the picture, or whose principal point lies outside, is refused.
Numbers that are probably not pixels, and angles that are probably not degrees, give a note that
says what to write instead, and so does a photograph that looks like a whole panorama.
"""

import math
from collections.abc import Iterable

import numpy as np

from rilievo.arrays.shapes import Pixels
from rilievo.calibration.readings import normalized_points_note
from rilievo.calibration.sizes import Known
from rilievo.errors import InputError
from rilievo.errors.messages import Note, OptionName, Text
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.cameras.distorted import Distorted
from rilievo.geometry.cameras.equirectangular import Equirectangular
from rilievo.geometry.cameras.fisheye import Fisheye
from rilievo.geometry.cameras.lens import Centred, Lens, Pinhole
from rilievo.geometry.cameras.spelling import SpelledLens, shortest_text, spell_lens
from rilievo.geometry.intrinsics import Millimetres
from rilievo.records.sample import Photo

_MIN_FOV, _MAX_FOV = 5.0, 150.0
"""Range of the fields of view of pictures that are neither panoramas nor fisheyes [degrees]."""
_MAX_CENTRE_OFFSET = 0.12
"""Largest distance of the principal point from the middle of the picture, over its sides. Beyond
it, the camera probably belongs to a picture of another size, or is not in pixels."""
_MAX_NORMALIZED_FOCAL = 10.0
"""Largest focal length that may be a fraction of the picture's width."""
_MAX_FOCAL_RATIO = 1.2
"""Largest ratio of the focal lengths along rows and columns of about square pixels."""
_MAX_EXIF_RATIO = 1.35
"""Largest ratio of the user's focal length and that of EXIF if they agree."""
_MIN_FILM_FOCAL = 9.0
"""Shortest focal length of a lens without distortion, on film of 36 x 24 mm [mm]."""
_MAX_BLACK = 10
"""Largest value of a pixel that counts as black [of 255]."""
_MAX_BLACK_FRACTION = 0.02
"""Largest fraction of a panorama's rows that may be black at a pole."""
_EDGE_SAMPLES = 65
"""Number of pixels along each edge of a picture for which a lens must have a ray."""
_CIRCLE_STEP = 8
"""Step between the pixels that are examined for black beyond the image circle of a fisheye."""
_MIN_PANORAMA_SIDE = 64
"""Side of the smallest picture that is examined [px]."""
_MAX_ASPECT_ERROR = 0.02
"""Largest relative difference of the width from twice the height."""
_MAX_EDGE_STEP = 2.0
"""Largest difference of the first and the last column, over that of neighbouring columns."""
_MIN_EDGE_VARIATION = 8.0
"""Least standard deviation of brightness along these columns [of 255]; less shows no continuity."""
_MAX_POLE_VARIATION = 0.35
"""Largest variation along the calmer one of the first and the last row, over that of the middle."""
_SOURCES_OF_USER = (CameraSource.GIVEN, CameraSource.MILLIMETRES)
_SOURCES_OF_FILE = (CameraSource.EXIF_35MM, CameraSource.EXIF_SENSOR, CameraSource.HEIF)


def check_camera(photo: Photo, camera: Camera) -> Camera:
    """Check a camera against its photograph, and narrow a fisheye to its image circle.

    Raises:
        InputError: If the principal point of a pinhole lies outside the picture, a distortion
            folds inside it, or a panorama lacks a pole.
    """
    if isinstance(camera.lens, Pinhole):
        _require_centre_inside(photo, camera)
        return camera
    return Camera(lens=_check_lens(photo, camera.lens), source=camera.source)


def _require_centre_inside(photo: Photo, camera: Camera) -> None:
    """Raise ``InputError`` if the principal point of a pinhole lies outside the picture."""
    height, width = photo.shape
    cx, cy = camera.project(np.array([0.0, 0.0, 1.0]))
    if not (0 <= cx < width and 0 <= cy < height):
        raise InputError(
            f"the camera's principal point ({cx:g}, {cy:g}) lies outside the {width}x{height} "
            "pixels of the photograph: check that the intrinsics are for this resolution",
            path=photo.name,
        )


def _check_lens(photo: Photo, lens: Lens) -> Lens:
    """Check a lens other than a pinhole, and narrow a fisheye to its image circle."""
    if isinstance(lens, Distorted) and _folds_inside(lens, photo.shape):
        notes = pixel_notes(Camera(lens=lens), photo.shape, ())
        hint = "; ".join(notes) or "calibrate with pictures whose pattern reaches into the corners"
        raise InputError(
            "the distortion of this lens folds inside the picture, so its model is not "
            f"valid in the corners: {hint}",
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
    columns = np.linspace(0, width - 1, _EDGE_SAMPLES)
    rows = np.linspace(0, height - 1, _EDGE_SAMPLES)
    top, bottom = np.full_like(columns, 0), np.full_like(columns, height - 1)
    left, right = np.full_like(rows, 0), np.full_like(rows, width - 1)
    u = np.concatenate([columns, columns, left, right])
    v = np.concatenate([top, bottom, rows, rows])
    return not np.isfinite(lens.rays(np.stack([u, v]))).all()


def _narrow_to_circle(photo: Photo, lens: Fisheye) -> Lens:
    """Narrow a fisheye to the largest circle in the picture, if the picture is black beyond it."""
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
            "the distortion of this fisheye lens folds inside the picture, "
            f"{lens.farthest * lens.fx:.0f} px from the principal point, so pixels beyond have no "
            "ray: check the coefficients",
            path=photo.name,
        )
    narrowed = lens.ending_at_distance(radius)
    v, u = np.mgrid[0:height:_CIRCLE_STEP, 0:width:_CIRCLE_STEP]
    is_outside = ~np.isfinite(narrowed.rays(np.stack([u, v]).astype(float))[0])
    if not is_outside.any():
        return lens
    pixels_outside = photo.pixels[::_CIRCLE_STEP, ::_CIRCLE_STEP][is_outside]
    is_black_outside = np.median(pixels_outside) <= _MAX_BLACK
    return narrowed if is_black_outside else lens


def _require_both_poles(photo: Photo, lens: Equirectangular) -> None:
    """Raise ``InputError`` if a panorama is black at its top or bottom, where a pole would be."""
    height, _ = photo.shape
    is_black_row = photo.pixels.max(axis=(1, 2)) <= _MAX_BLACK
    if is_black_row.all():
        raise InputError("is completely black", path=photo.name)
    black_rows_above = int(np.argmin(is_black_row))
    black_rows_below = int(np.argmin(is_black_row[::-1]))
    max_black_rows = _MAX_BLACK_FRACTION * height
    is_black_above, is_black_below = (
        black_rows_above > max_black_rows,
        black_rows_below > max_black_rows,
    )
    if not (is_black_above or is_black_below):
        return
    if is_black_above and is_black_below:
        black_ends = "top and bottom"
    else:
        black_ends = "top" if is_black_above else "bottom"
    first_row = black_rows_above if is_black_above else 0
    last_row = height - 1 - (black_rows_below if is_black_below else 0)
    cropped_lens = lens.cropped(top=first_row, left=0)
    raise InputError(
        f"is black at the {black_ends}, so it does not show a whole panorama: crop it to rows "
        f"{first_row} to {last_row}, and write {spell_lens(cropped_lens)} as its lens",
        path=photo.name,
    )


def camera_doubts(camera: Camera, shape: tuple[int, int]) -> list[str]:
    """Sentences on what is probably wrong with the camera of a picture in a dataset."""
    doubts = pixel_notes(camera, shape, ())
    if isinstance(camera.lens, Distorted) and _folds_inside(camera.lens, shape):
        doubts.append(
            "the distortion of the lens folds inside the picture, so pixels near the corners "
            "have no ray"
        )
    return doubts


def lens_notes(spelling: SpelledLens, shape: tuple[int, int]) -> list[str]:
    """Notes on a lens that was read from a file: which camera was read, and whether it was scaled.

    ``shape`` is the height and width of the photograph.
    """
    notes = [] if spelling.note is None else [spelling.note]
    if spelling.size is not None and spelling.size != shape:
        height, width = spelling.size
        notes.append(
            f"the camera is calibrated for {width}x{height} pixels and was scaled to "
            f"{shape[1]}x{shape[0]}, which is correct only if the picture was resized as a whole"
        )
    return notes


def pixel_notes(camera: Camera | None, shape: tuple[int, int], sizes: Iterable[Known]) -> list[str]:
    """Notes on a user's camera, and on known sizes, whose numbers are probably not in pixels."""
    notes = []
    if camera is not None and camera.source in _SOURCES_OF_USER:
        notes.append(_camera_unit_note(camera, shape))
    points = [point for size in sizes for point in size.image_points]
    if points:
        notes.append(normalized_points_note(points, shape))
    return [note for note in notes if note is not None]


def _camera_unit_note(camera: Camera, shape: tuple[int, int]) -> str | None:
    """Note that a camera probably belongs to another picture, with the likely reason."""
    if not isinstance(camera.lens, Pinhole | Centred):
        return None
    perspective_only = (_centre_note, _focal_ratio_note, _wide_camera_note)
    checks = (
        _normalized_camera_note,
        # Panoramas and fisheyes may be wide, and their principal points and focal lengths vary.
        *(() if camera.lens.has_unit_rays else perspective_only),
        _narrow_camera_note,
    )
    for check in checks:
        note = check(camera, shape)
        if note is not None:
            return note
    return None


def _normalized_camera_note(camera: Camera, shape: tuple[int, int]) -> str | None:
    """Note on intrinsics that seem to be fractions of the width and the height.

    Their principal point is then in the top-left pixel. The focal lengths may be in pixels all the
    same, if they are long enough.
    """
    cx, cy = camera.cx, camera.cy
    if not (0 <= cx <= 1 and 0 <= cy <= 1 and min(shape) > 2):
        return None
    return (
        f"the camera's principal point {cx:g},{cy:g} is read in pixels, so it is in the "
        "top-left corner; if the numbers are fractions of the width and the height, write "
        f"{_spell_in_pixels(camera, shape)}"
    )


def _spell_in_pixels(camera: Camera, shape: tuple[int, int]) -> str:
    """Spell a camera whose numbers are fractions of the width and the height in pixels."""
    height, width = shape
    are_focals_fractions = camera.fx < _MAX_NORMALIZED_FOCAL
    fx, fy = (
        (camera.fx * width, camera.fy * height) if are_focals_fractions else (camera.fx, camera.fy)
    )
    intrinsics = (fx, fy, camera.cx * width - 0.5, camera.cy * height - 0.5)
    # A lens is written as name:fx,fy,cx,cy,coefficients, and a pinhole without its name.
    spelling = spell_lens(camera.lens)
    prefix = "" if isinstance(camera.lens, Pinhole) else f"{spelling.name}:"
    coefficients = [shortest_text(number) for number in spelling.numbers[len(intrinsics) :]]
    numbers = [*(f"{value:.6g}" for value in intrinsics), *coefficients]
    return f"{prefix}{','.join(numbers)}"


def _centre_note(camera: Camera, shape: tuple[int, int]) -> str | None:
    """Note on a principal point that is far from the middle of the picture."""
    height, width = shape
    cx, cy = camera.cx, camera.cy
    if _centre_offset(cx, cy, width, height) <= _MAX_CENTRE_OFFSET:
        return None
    if width != height and _centre_offset(cx, cy, height, width) <= _MAX_CENTRE_OFFSET:
        return (
            f"the camera's principal point {cx:g},{cy:g} fits a picture of {height}x{width} "
            f"pixels, but this one has {width}x{height}: if it was rotated, give the numbers "
            "for the upright photograph"
        )
    return (
        f"the camera's principal point {cx:g},{cy:g} is far from the middle of the "
        f"{width}x{height} pixels: if the camera is for pictures of another size, such as "
        f"{2 * cx + 1:.0f}x{2 * cy + 1:.0f}, write pinhole:FX,FY,CX,CY@WIDTHxHEIGHT with "
        "that size; all numbers are in pixels"
    )


def _centre_offset(cx: float, cy: float, width: int, height: int) -> float:
    """Distance of a principal point from the middle of a picture, over its sides."""
    return max(abs((cx + 0.5) / width - 0.5), abs((cy + 0.5) / height - 0.5))


def _focal_ratio_note(camera: Camera, shape: tuple[int, int]) -> str | None:
    """Note on focal lengths of pixels that are far from square."""
    del shape
    fx, fy = camera.fx, camera.fy
    if max(fx, fy) <= _MAX_FOCAL_RATIO * min(fx, fy):
        return None
    return (
        f"the camera has focal lengths of {fx:.4g} px along rows and {fy:.4g} px along "
        "columns, so its pixels are far from square: unless the picture was squeezed, one "
        "of the two is wrong"
    )


def _wide_camera_note(camera: Camera, shape: tuple[int, int]) -> str | None:
    """Note on a focal length that is too short to be in pixels."""
    fov, fx = camera.field_of_view(shape), camera.fx
    if fov <= _MAX_FOV:
        return None
    note = (
        f"the camera's focal length of {fx:g} px gives a field of view of {fov:.1f} degrees; "
        f"if the number is in millimetres, write {fx:g}mm (35 mm equivalent) or "
        f"{fx:g}mm/WIDTHmm with the width of the sensor"
    )
    if fx >= _MAX_NORMALIZED_FOCAL:
        return note
    return f"{note}; if the number is a fraction of the width, write {fx * shape[1]:.6g}"


def _narrow_camera_note(camera: Camera, shape: tuple[int, int]) -> str | None:
    """Note on a focal length that is long for a picture of this size."""
    fov = camera.field_of_view(shape)
    if fov >= _MIN_FOV:
        return None
    return (
        f"the camera's field of view is only {fov:.1f} degrees; if the camera is for pictures of "
        "another size, write pinhole:FX,FY,CX,CY@WIDTHxHEIGHT with that size"
    )


def film_note(named: object) -> str | None:
    """Note on a focal length in millimetres that is too short for 35 mm film.

    ``named`` is the camera as the user named it; the result is None for all other cameras.
    """
    if not isinstance(named, Millimetres) or named.sensor is not None:
        return None
    if named.focal >= _MIN_FILM_FOCAL:
        return None
    return (
        f"the focal length {named.focal:g} mm is read as the 35 mm equivalent, for which "
        "it is unusually short: if it is the true focal length, write "
        f"{named.focal:g}mm/WIDTHmm with the width of the sensor"
    )


def exif_note(stated: Camera | None, named: Camera) -> str | None:
    """Note on a user's focal length that is far from the one in the photograph's EXIF.

    ``stated`` is the camera by the file, and ``named`` that by the user.
    """
    if stated is None or stated.source not in _SOURCES_OF_FILE:
        return None
    if not isinstance(named.lens, Pinhole | Distorted):
        return None
    ratio = named.fx / stated.fx
    if 1 / _MAX_EXIF_RATIO < ratio < _MAX_EXIF_RATIO:
        return None
    return (
        f"the camera has a focal length of {named.fx:.4g} px, but EXIF states "
        f"{stated.fx:.4g} px for a picture of this size; rilievo uses your camera, so check "
        "that it is for pictures of this size"
    )


def fov_note(fov: float | None) -> Note | None:
    """Note on a field of view that is probably not in degrees."""
    if fov is None or _MIN_FOV <= fov <= _MAX_FOV:
        return None
    width = "wide" if fov > _MAX_FOV else "narrow"
    return Note(
        f"is read as {fov:g} degrees, which is unusually {width}",
        option="fov",
        hint=_fov_hint(fov),
    )


def _fov_hint(fov: float) -> str | Text:
    """Hint what to write instead of an unlikely field of view [degrees]."""
    if fov > _MAX_FOV:
        fisheye = OptionName("camera", f"fisheye:{fov:g}")
        return Text("if the lens is a fisheye, write ", fisheye, " instead")
    if math.degrees(fov) <= _MAX_FOV:
        return f"if the number is in radians, write {math.degrees(fov):.0f}"
    camera = OptionName("camera", "24mm")
    return Text(
        "if the number is a focal length in millimetres, give its 35 mm equivalent, such as ",
        camera,
    )


def panorama_note(photo: Photo, option: str = "projection") -> str | None:
    """Note on a photograph that is probably a panorama; None if it does not look like one.

    ``option`` is the option with which the user says that it is a panorama.
    """
    height, width = photo.shape
    if photo.camera is not None and isinstance(photo.camera.lens, Equirectangular):
        return None
    if min(height, width) < _MIN_PANORAMA_SIDE or abs(width / (2 * height) - 1) > _MAX_ASPECT_ERROR:
        return None
    if not is_whole_panorama(photo.pixels):
        return None
    return Note(
        Text(
            "this looks like a panorama; to treat it as one, give ", OptionName(option, "equirect")
        )
    )


def is_whole_panorama(pixels: Pixels) -> bool:
    """Whether a picture's left edge continues at the right, and at least one pole is uniform.

    A pole is stretched over a whole row. The other one may show a tripod, or the corner of a tile
    right below the camera. Of 978 cuts from photographs that are twice as wide as high, none was
    taken for a panorama.
    """
    step = max(1, pixels.shape[0] // 512)
    brightness = pixels[::step].astype(np.float32).mean(axis=2)
    left, right = brightness[:, 0], brightness[:, -1]
    if min(left.std(), right.std()) < _MIN_EDGE_VARIATION:
        return False

    # The left edge continues at the right if the step between both is like those elsewhere.
    columns = np.linspace(1, brightness.shape[1] - 2, 33).astype(int)
    neighbour_steps = np.abs(brightness[:, columns] - brightness[:, columns + 1]).mean(axis=0)
    median_step = max(float(np.median(neighbour_steps)), 0.5)
    if np.abs(left - right).mean() > _MAX_EDGE_STEP * median_step:
        return False

    quarter = len(brightness) // 4
    middle_variation = float(np.median(brightness[quarter:-quarter].std(axis=1)))
    pole_variation = min(brightness[0].std(), brightness[-1].std())
    return bool(pole_variation < _MAX_POLE_VARIATION * middle_variation)
