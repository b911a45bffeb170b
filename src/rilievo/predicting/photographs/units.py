"""Notes on sizes whose unit can hardly be right."""

from collections.abc import Iterable

from rilievo.calibration.lengths import Known, KnownPoint

_FARTHEST, _LONGEST, _HIGHEST, _NARROWEST = 300.0, 100.0, 30.0, 4.0
"""Largest usual distance, length and camera's height [m], and least field of view [degrees]."""


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
        notes.append(
            f"--camera-height (camera_height=...): taken as {camera_height:g} metres above the "
            f"floor; if that is in centimetres, write {camera_height / 100:g}"
        )
    if fov is not None and fov < _NARROWEST:
        notes.append(
            f"--fov (fov=...): taken as {fov:g} degrees; if that is in radians, write "
            f"{fov * 57.29578:.0f}"
        )
    return notes
