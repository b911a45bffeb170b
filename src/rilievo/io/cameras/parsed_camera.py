"""A camera that was parsed from a file of another program, and is not checked yet."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedCamera:
    """Camera that was parsed from a file.

    Attributes:
        label: Name of the camera in the file.
        lens: Name of a lens of ``geometry.cameras.spelling``, or of a model of COLMAP.
        numbers: fx, fy, cx, cy and coefficients; the centre of the top-left pixel is (0, 0). Those
            of COLMAP's models are as COLMAP has them. A pinhole for pictures of any size has only
            its horizontal field of view [degrees].
        size: (width, height) of its pictures; None if not stated.
        aspect: Width over height of its pictures, if only that is stated.
        note: Sentence on what the parser chose or assumed.
        is_colmap: Whether lens and numbers are COLMAP's.
    """

    label: str
    lens: str
    numbers: Sequence[float]
    size: tuple[float, float] | None
    aspect: float | None = None
    note: str | None = None
    is_colmap: bool = False

    @property
    def fx(self) -> float:
        """Horizontal focal length [px] of a camera whose numbers are intrinsics."""
        return self.numbers[0]

    @property
    def horizontal_fov(self) -> float:
        """Horizontal field of view [degrees] of a pinhole for pictures of any size."""
        assert len(self.numbers) == 1, "only such a pinhole has a single number"
        return self.numbers[0]


def perspective_camera(
    label: str,
    intrinsics: Sequence[float],
    coefficients: Sequence[float],
    size: tuple[float, float] | None,
    note: str | None = None,
) -> ParsedCamera:
    """Make a camera with coefficients in OpenCV's order; if all of them are 0, it is a pinhole."""
    if any(coefficients):
        lens, numbers = "opencv", [*intrinsics, *coefficients]
    else:
        lens, numbers = "pinhole", [*intrinsics]
    return ParsedCamera(label=label, lens=lens, numbers=numbers, size=size, note=note)
