"""Record of a clip that was read to its end."""

from dataclasses import dataclass

from rilievo.odometry.chain import Chain
from rilievo.odometry.frames import ClipFrame


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """Results of reading a clip to its end.

    Attributes:
        chain: The trajectory.
        frames: Frames without their pixels.
        metric: Whether the unit is the metre.
        notes: Notes for the user on what the motion is worth.
    """

    chain: Chain
    frames: tuple[ClipFrame, ...]
    metric: bool
    notes: tuple[str, ...] = ()
