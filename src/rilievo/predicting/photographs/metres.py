"""Known sizes of a photograph, and words about metres."""

import math
from collections.abc import Iterable

from rilievo.calibration.lengths import Known, KnownPoint
from rilievo.calibration.rectangles import KnownRectangle
from rilievo.frozen import frozen
from rilievo.messages import Note
from rilievo.shapes import Field
from rilievo.types import Calibration

_FARTHEST, _LONGEST, _HIGHEST = 300.0, 100.0, 30.0
NARROWEST, WIDEST = 5.0, 150.0
"""Usual fields of view of a picture that is no panorama and no fisheye [degrees]."""


@frozen
class Metres:
    """Sizes that the user knows."""

    known: tuple[Known, ...] = ()
    camera_height: float | None = None
    smooth: bool = True
    """Whether facts may bend depth; not of videos."""
    sparse: tuple[KnownPoint, ...] = ()
    """Points from an instrument, in place of ``known``."""
    measured: Field | None = None
    """Map [m] of a sensor, 0 for gaps."""
    method: str | None = None
    """Source, unless the user."""

    def __bool__(self) -> bool:
        return bool(self.known or self.sparse) or self.camera_height is not None


def unit_notes(facts: Iterable[Known], camera_height: float | None, fov: float | None) -> list[str]:
    """Notes on sizes hardly in metres, and angles in degrees."""
    notes: list[str] = []
    for fact in facts:
        is_point = isinstance(fact, KnownPoint)
        metres = max(fact.lengths) if isinstance(fact, KnownRectangle) else fact.metres
        if metres > (_FARTHEST if is_point else _LONGEST):
            notes.append(
                Note(
                    f"known {fact.noun} {fact}: taken as {metres:g} metres"
                    f"{' away' if is_point else ' long'}",
                    hint=f"if that is in millimetres, write {metres / 1000:g}",
                )
            )
    if camera_height is not None and camera_height > _HIGHEST:
        unit, count = ("millimetres", 1000) if camera_height >= 1000 else ("centimetres", 100)
        notes.append(
            Note(
                f": taken as {camera_height:g} metres above the floor",
                option="camera_height",
                hint=f"if that is in {unit}, write {camera_height / count:g}",
            )
        )
    if fov is not None and not NARROWEST <= fov <= WIDEST:
        if fov > WIDEST:
            meant = f"if the lens is a fisheye, write {{projection=fisheye:{fov:g}}}"
        elif math.degrees(fov) <= WIDEST:
            meant = f"if that is in radians, write {math.degrees(fov):.0f}"
        else:
            meant = "of a focal length in millimetres, write {camera=24mm} (35 mm equivalent)"
        notes.append(Note(f": taken as {fov:g} degrees", option="fov", hint=meant))
    return notes


def trust(calibration: Calibration) -> str:
    """Source and expected error of metres, in words."""
    method = calibration.method
    if calibration.own_depth is not None:
        method = f"the photograph's own depth ({calibration.own_depth})"
    if calibration.measured_pixels is not None:
        left = calibration.outliers or 0
        count = calibration.measured_pixels
        method = (
            f"{count} measured pixels, which stay, without {left} outliers "
            f"({left / (count + left):.1%}); the network fills the rest"
        )
        if calibration.expected_error is not None:
            return (
                f"metres from {method}, where the depth of 8 in 10 pixels should be within "
                f"{100 * calibration.expected_error:.1f} %"
            )
    if calibration.expected_error is None:
        return f"metres from {method}"
    return (
        f"metres from {method}; the depth of 8 in 10 pixels should be within "
        f"{100 * calibration.expected_error:.0f} %"
    )
