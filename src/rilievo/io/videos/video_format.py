"""Properties of videos that are written, without what writes them."""

from enum import StrEnum
from fractions import Fraction
from pathlib import Path

from rilievo.frozen import frozen


class Coding(StrEnum):
    """Storage of the frames of a video."""

    PICTURE = "picture"
    """H.264, 8 bits, 4:2:0, nearly without visible loss; plays everywhere."""
    NUMBERS = "numbers"
    """FFV1 (RFC 9043), 16-bit grey, lossless, in Matroska."""


@frozen
class VideoFormat:
    """Properties of a video file."""

    size: tuple[int, int]
    rate: Fraction
    time_base: Fraction
    coding: Coding

    @property
    def coded_size(self) -> tuple[int, int]:
        """``size``, with odd sides one larger where the coding has no odd ones."""
        height, width = self.size
        if self.coding is Coding.PICTURE:
            return height + height % 2, width + width % 2
        return height, width


@frozen
class SoundSource:
    """Source of the sound that is copied.

    Attributes:
        path: A video whose sound the file that is written can hold (``sound_suffix``).
        origin: Time [s] in that video that is zero in the file that is written.
    """

    path: Path
    origin: Fraction
