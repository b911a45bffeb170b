"""Properties of videos that are written."""

from enum import StrEnum
from fractions import Fraction
from pathlib import Path

from rilievo.frozen import frozen


class Coding(StrEnum):
    """Storage of frames."""

    PICTURE = "picture"
    """H.264, 8 bits, 4:2:0; plays everywhere."""
    NUMBERS = "numbers"
    """FFV1 (RFC 9043), lossless 16-bit grey in Matroska."""


@frozen
class VideoFormat:
    """Properties of a video file."""

    size: tuple[int, int]
    rate: Fraction
    time_base: Fraction
    coding: Coding

    @property
    def coded_size(self) -> tuple[int, int]:
        """``size`` with the even sides that some codings need."""
        height, width = self.size
        if self.coding is Coding.PICTURE:
            return height + height % 2, width + width % 2
        return height, width


@frozen
class SoundSource:
    """Sound to copy from a video; ``origin`` [s] there is zero in the new file."""

    path: Path
    origin: Fraction
