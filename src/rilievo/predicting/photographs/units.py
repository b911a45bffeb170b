"""Notes on numbers whose unit can hardly be right: sizes, angles, cameras, points."""

import math
from collections.abc import Iterable

from rilievo.calibration.lengths import Known, KnownPoint
from rilievo.calibration.readings import share_note
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.cameras.centred import Centred
from rilievo.geometry.cameras.pinhole import Pinhole
from rilievo.options.camera_forms import text_of

_FARTHEST, _LONGEST, _HIGHEST = 300.0, 100.0, 30.0
"""Largest usual distance, length and camera's height [m]."""
_NARROWEST, _WIDEST = 5.0, 150.0
"""Usual fields of view of a picture that is no panorama and no fisheye [degrees]."""
_LONGEST_SHARE = 10.0
"""Focal lengths below it may be shares of the width; in pixels no camera has them."""


def unit_notes(known: Iterable[Known], camera_height: float | None, fov: float | None) -> list[str]:
    """Notes on known sizes in another unit than metres, and angles in another than degrees."""
    notes: list[str] = []
    for each in known:
        is_point = isinstance(each, KnownPoint)
        if each.metres > (_FARTHEST if is_point else _LONGEST):
            what = "point" if is_point else "length"
            how = " away" if is_point else " long"
            notes.append(
                f"known {what} {each}: taken as {each.metres:g} metres{how}; if that is in "
                f"millimetres, write {each.metres / 1000:g}"
            )
    if camera_height is not None and camera_height > _HIGHEST:
        unit, count = ("millimetres", 1000) if camera_height >= 1000 else ("centimetres", 100)
        notes.append(
            f"--camera-height (camera_height=...): taken as {camera_height:g} metres above the "
            f"floor; if that is in {unit}, write {camera_height / count:g}"
        )
    if fov is not None and not _NARROWEST <= fov <= _WIDEST:
        if fov > _WIDEST:
            meant = f"if the lens is a fisheye, write --projection fisheye:{fov:g}"
        elif math.degrees(fov) <= _WIDEST:
            meant = f"if that is in radians, write {math.degrees(fov):.0f}"
        else:
            meant = "of a focal length in millimetres, write --camera 24mm (35 mm equivalent)"
        notes.append(f"--fov (fov=...): taken as {fov:g} degrees; {meant}")
    return notes


def scale_notes(camera: Camera | None, shape: tuple[int, int], known: Iterable[Known]) -> list[str]:
    """Notes on a camera and on points that are hardly in pixels, as they are taken.

    Args:
        camera: Camera of a photograph; only one that the user named is noted.
        shape: (height, width) of the photograph [px].
        known: Known points and lengths in it.
    """
    is_given = camera is not None and camera.source is CameraSource.GIVEN
    points: list[tuple[float, float]] = []
    for each in known:
        is_point = isinstance(each, KnownPoint)
        points += [(each.u, each.v)] if is_point else [(each.u1, each.v1), (each.u2, each.v2)]
    notes = _camera_note(camera, shape) if camera and is_given else None, share_note(points, shape)
    return [*filter(None, notes)]


def _camera_note(camera: Camera, shape: tuple[int, int]) -> str | None:
    height, width = shape
    lens, seen = camera.lens, camera.field_of_view(shape)
    if not isinstance(lens, Pinhole | Centred):
        return None
    fx, fy, cx, cy = camera.fx, camera.fy, camera.cx, camera.cy
    if 0 <= cx <= 1 and 0 <= cy <= 1 and min(shape) > 2:
        across, down = (width, height) if fx < _LONGEST_SHARE else (1, 1)
        numbers = fx * across, fy * down, cx * width - 0.5, cy * height - 0.5
        words = text_of(camera)
        name, given = words.split(":") if ":" in words else ("", words)
        meant = ",".join([*(f"{each:.6g}" for each in numbers), *given.split(",")[4:]])
        return (
            f"the camera has its centre {cx:g},{cy:g} in the top-left corner, in pixels; if that "
            "is in shares of the width and the height, write "
            f"{name}{':' if name else ''}{meant}"
        )
    if seen > _WIDEST and not lens.has_unit_rays:
        share = f"; if that is a share of the width, write {fx * width:.6g}"
        return (
            f"the camera sees {seen:.1f} degrees with a focal length of {fx:g} px; if that is in "
            f"millimetres, write {fx:g}mm (35 mm equivalent) or {fx:g}mm/WIDTHmm with the width "
            f"of the sensor{share if fx < _LONGEST_SHARE else ''}"
        )
    if seen < _NARROWEST:
        return (
            f"the camera sees {seen:.1f} degrees; if it is for pictures of another size, write "
            "pinhole:FX,FY,CX,CY@WIDTHxHEIGHT with theirs; angles are in degrees"
        )
    return None
