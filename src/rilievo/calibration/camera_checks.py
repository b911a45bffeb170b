"""Checks of a camera that a user names, against the photograph that it is of.

A lens that folds inside the picture, or whose principal point lies outside, is refused. Numbers
that are hardly pixels, and angles that are hardly degrees, are noted with what to write instead.
"""

import math
from collections.abc import Iterable

import numpy as np

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

NARROWEST, WIDEST = 5.0, 150.0
"""Usual fields of view of a picture that is no panorama and no fisheye [degrees]."""

_FARTHEST_CENTRE = 0.12
"""Distance of the principal point from the middle of the picture, in sides, from which on the
camera is probably that of a picture of another size, or not in pixels."""
_LONGEST_SHARE = 10.0
"""Focal lengths below it may be shares of the width."""
_MOST_UNEQUAL = 1.2
"""Ratio of the focal lengths along rows and columns from which on pixels are hardly square."""
_BLACK = 10
_BLACK_SHARE = 0.02
"""Share of black polar rows without a pole."""


def refuse_outside_centre(photo: Photo, camera: Camera) -> None:
    """Raise ``InputError`` if the principal point of a pinhole lies outside the picture."""
    height, width = photo.shape
    cx, cy = camera.project(np.array([0.0, 0.0, 1.0]))
    if not (0 <= cx < width and 0 <= cy < height):
        raise InputError(
            (
                f"the camera's centre ({cx:g}, {cy:g}) lies outside its "
                f"{width}x{height} pixels: are the intrinsics for another "
                "resolution?"
            ),
            path=photo.name,
        )


def lens_notes(spelling: SpelledLens, shape: tuple[int, int]) -> list[str]:
    """Notes on a lens that was read: what was chosen in its file, and for which size it holds."""
    notes = [] if spelling.note is None else [spelling.note]
    if spelling.size is not None and spelling.size != shape:
        notes.append(_scaling_note(spelling.size, shape))
    return notes


def _scaling_note(size: tuple[int, int], shape: tuple[int, int]) -> str:
    """Note on a lens of pictures of another size."""
    return (
        f"its camera is calibrated for {size[1]}x{size[0]} pixels and was scaled to "
        f"{shape[1]}x{shape[0]}, which is right if the picture was resized as a whole"
    )


def check_lens(photo: Photo, lens: Lens) -> Lens:
    """Lens of a photograph; a fisheye ends at its circle.

    Raises:
        InputError: If its distortion folds inside, or a pole is missing.
    """
    if isinstance(lens, Distorted) and _folds_inside(lens, photo.shape):
        meant = scale_notes(Camera(lens=lens), photo.shape, ())
        cure = "calibrate with pictures that reach into the corners"
        raise InputError(
            (
                "the distortion of this lens folds inside the picture, "
                f"so its corners see nothing twice: {'; '.join(meant) or cure}"
            ),
            path=photo.name,
        )
    if isinstance(lens, Fisheye):
        return _narrow_to_circle(photo, lens)
    if isinstance(lens, Equirectangular):
        _refuse_black_poles(photo, lens)
    return lens


def camera_doubts(camera: Camera, shape: tuple[int, int]) -> list[str]:
    """Doubts about the camera of a picture of a data set."""
    doubts = scale_notes(camera, shape, ())
    if isinstance(camera.lens, Distorted) and _folds_inside(camera.lens, shape):
        doubts.append("the lens folds inside the picture, so pixels near its corners have no ray")
    return doubts


def _folds_inside(lens: Distorted, shape: tuple[int, int]) -> bool:
    """Whether pixels at the edge of a picture have no ray."""
    height, width = shape
    edge = np.hstack([_side_pixels(height, width, side) for side in range(4)])
    return not np.isfinite(lens.rays(edge)).all()


def _side_pixels(height: int, width: int, side: int) -> np.ndarray:
    """Columns and rows (2 x 65) along a side."""
    along = np.linspace(0, (width if side < 2 else height) - 1, 65)
    across = np.full_like(along, 0 if side % 2 == 0 else (height if side < 2 else width) - 1)
    return np.stack([along, across] if side < 2 else [across, along])


def _narrow_to_circle(photo: Photo, lens: Fisheye) -> Lens:
    height, width = photo.shape
    nearest = min(
        (lens.cx + 0.5) / lens.fx,
        (width - 0.5 - lens.cx) / lens.fx,
        (lens.cy + 0.5) / lens.fy,
        (height - 0.5 - lens.cy) / lens.fy,
    )
    if lens.is_folding and nearest > lens.farthest:
        raise InputError(
            (
                "the distortion of this fisheye folds inside the picture, "
                f"{lens.farthest * lens.fx:.0f} px from its centre: are its "
                "coefficients right?"
            ),
            path=photo.name,
        )
    rim = lens.ending_at_distance(nearest)
    v, u = np.mgrid[0:height:8, 0:width:8]
    outside = ~np.isfinite(rim.rays(np.stack([u, v]).astype(float))[0])
    if outside.any() and np.median(photo.pixels[::8, ::8][outside]) <= _BLACK:
        return rim
    return lens


def _refuse_black_poles(photo: Photo, lens: Equirectangular) -> None:
    height, _ = photo.shape
    rows = photo.pixels.max(axis=(1, 2)) <= _BLACK
    above = height if rows.all() else int(np.argmin(rows))
    below = height if rows.all() else int(np.argmin(rows[::-1]))
    least = _BLACK_SHARE * height
    if max(above, below) <= least:
        return
    top, bottom = (above if above > least else 0), height - (below if below > least else 0)
    if bottom <= top:
        raise InputError("is black all over", path=photo.name)
    where = " and ".join(
        words for words, count in (("top", above), ("bottom", below)) if count > least
    )
    part = spelling_of(lens.cropped(top=top, left=0))
    raise InputError(
        path=photo.name,
        problem=Text(
            f"is black at the {where}, so it sees less than a whole "
            f"panorama: crop it to rows {top} to {bottom - 1}, and give ",
            OptionName("projection", str(part)),
        ),
    )


def scale_notes(camera: Camera | None, shape: tuple[int, int], facts: Iterable[Known]) -> list[str]:
    """Notes on numbers hardly in pixels."""
    named = (CameraSource.GIVEN, CameraSource.MILLIMETRES)
    is_given = camera is not None and camera.source in named
    points = [at for fact in facts for at in fact.image_points]
    notes = [_camera_unit_note(camera, shape)] if camera and is_given else []
    if points:
        from rilievo.calibration.readings import normalized_points_note

        notes.append(normalized_points_note(points, shape))
    return [note for note in notes if note is not None]


def _off_centre(cx: float, cy: float, width: int, height: int) -> float:
    """Distance of a principal point from the middle, in sides."""
    return max(abs((cx + 0.5) / width - 0.5), abs((cy + 0.5) / height - 0.5))


def _camera_unit_note(camera: Camera, shape: tuple[int, int]) -> str | None:
    height, width = shape
    lens, angle = camera.lens, camera.field_of_view(shape)
    if not isinstance(lens, Pinhole | Centred):
        return None
    fx, fy, cx, cy = camera.fx, camera.fy, camera.cx, camera.cy
    if 0 <= cx <= 1 and 0 <= cy <= 1 and min(shape) > 2:
        across, down = (width, height) if fx < _LONGEST_SHARE else (1, 1)
        numbers = fx * across, fy * down, cx * width - 0.5, cy * height - 0.5
        spelling = spelling_of(lens)
        name = "" if isinstance(lens, Pinhole) else spelling.name
        parameters = str(spelling).partition(":")[2].split(",")[4:]
        meant = ",".join([*(f"{number:.6g}" for number in numbers), *parameters])
        return (
            f"the camera has its centre {cx:g},{cy:g} in the top-left corner, in pixels; if that "
            "is in shares of the width and the height, write "
            f"{name}{':' if name else ''}{meant}"
        )
    if _off_centre(cx, cy, width, height) > _FARTHEST_CENTRE and not lens.has_unit_rays:
        if width != height and _off_centre(cx, cy, height, width) <= _FARTHEST_CENTRE:
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
    if max(fx, fy) > _MOST_UNEQUAL * min(fx, fy) and not lens.has_unit_rays:
        return (
            f"the camera has focal lengths of {fx:.4g} px along rows and {fy:.4g} px along "
            "columns, as for pixels that are far from square: if the picture was not squeezed, one "
            "of them is wrong"
        )
    if angle > WIDEST and not lens.has_unit_rays:
        share = f"; if that is a share of the width, write {fx * width:.6g}"
        return (
            f"the camera sees {angle:.1f} degrees with a focal length of {fx:g} px; if that is in "
            f"millimetres, write {fx:g}mm (35 mm equivalent) or {fx:g}mm/WIDTHmm with the width "
            f"of the sensor{share if fx < _LONGEST_SHARE else ''}"
        )
    if angle < NARROWEST:
        return (
            f"the camera sees {angle:.1f} degrees; if it is for pictures of another size, write "
            "pinhole:FX,FY,CX,CY@WIDTHxHEIGHT with theirs; angles are in degrees"
        )
    return None


_SHORTEST_FILM = 9.0
"""Shortest focal length of a lens without distortion, on film of 36 x 24 mm [mm]."""


def film_note(named: object) -> str | None:
    """Note on a focal length in millimetres that is hardly that of 35 mm film."""
    if not isinstance(named, Millimetres) or named.sensor is not None:
        return None
    if named.focal >= _SHORTEST_FILM:
        return None
    return (
        f"the focal length {named.focal:g} mm is taken for that of 35 mm film, on which no usual "
        f"lens is so short: if it is the true one, write {named.focal:g}mm/WIDTHmm with the width "
        "of the sensor"
    )


_OTHER_FOCAL = 1.35
"""Ratio of focal lengths from which on the user's contradicts that of EXIF."""
_STATED_BY_FILES = (CameraSource.EXIF_35MM, CameraSource.EXIF_SENSOR, CameraSource.HEIF)


def exif_note(stated: Camera | None, named: Camera) -> str | None:
    """Note on a user's focal length that is far from the one that the photograph states."""
    if stated is None or stated.source not in _STATED_BY_FILES:
        return None
    if not isinstance(named.lens, Pinhole | Distorted):
        return None
    ratio = named.fx / stated.fx
    if 1 / _OTHER_FOCAL < ratio < _OTHER_FOCAL:
        return None
    return (
        f"the camera has a focal length of {named.fx:.4g} px, where its EXIF states "
        f"{stated.fx:.4g} px for a picture of this size; the camera is used: is it for pictures "
        "of another size?"
    )


def fov_note(fov: float | None) -> Note | None:
    """Note on a field of view that is hardly in degrees."""
    if fov is None or NARROWEST <= fov <= WIDEST:
        return None
    if fov > WIDEST:
        meant: str | Text = Text(
            "if the lens is a fisheye, write ", OptionName("projection", f"fisheye:{fov:g}")
        )
    elif math.degrees(fov) <= WIDEST:
        meant = f"if that is in radians, write {math.degrees(fov):.0f}"
    else:
        meant = Text(
            "of a focal length in millimetres, write ",
            OptionName("camera", "24mm"),
            " (35 mm equivalent)",
        )
    return Note(f": taken as {fov:g} degrees", option="fov", hint=meant)
