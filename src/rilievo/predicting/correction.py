"""Corrections of a video's frames, found in the first pass and applied in the second."""

from dataclasses import dataclass

MOVING = -1
"""Number of the stretch of a frame whose camera moves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """Correction of a frame: numbers are multiplied by ``scale``, then ``shift`` is added."""

    scale: float
    shift: float = 0.0
