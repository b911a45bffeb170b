"""A camera as a file of another program states it, before it is checked."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedCamera:
    """Camera that a file states.

    Attributes:
        label: Its name in the file.
        lens: Name of a lens of ``geometry.cameras.spelling``, or ``colmap:`` and COLMAP's name.
        numbers: fx, fy, cx, cy and coefficients; the centre of the top-left pixel is (0, 0).
        size: Width and height of its pictures; None if not stated.
        aspect: Width over height of its pictures, if that is stated and their size is not.
        note: What was chosen where it was read, as a sentence.
    """

    label: str
    lens: str
    numbers: Sequence[float]
    size: tuple[float, float] | None
    aspect: float | None = None
    note: str | None = None


def perspective_camera(
    label: str,
    intrinsics: Sequence[float],
    coefficients: Sequence[float],
    size: tuple[float, float] | None,
    note: str | None = None,
) -> StatedCamera:
    """Camera with coefficients in OpenCV's order; a pinhole if all of them are 0."""
    if any(coefficients):
        lens, numbers = "opencv", [*intrinsics, *coefficients]
    else:
        lens, numbers = "pinhole", [*intrinsics]
    return StatedCamera(label=label, lens=lens, numbers=numbers, size=size, note=note)
