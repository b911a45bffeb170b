"""The JSON beside the results of a video: that of a photograph, and what time adds."""

from dataclasses import dataclass

from rilievo.io.facts import Sidecar


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFacts:
    """What is particular to a video.

    Attributes:
        frames: How many were read and written.
        rate: Average frames a second.
        time_base: Seconds of one tick, as a fraction.
        ticks: When each frame is shown, from ``origin``; videos in Matroska are rounded to the
            millisecond.
        origin: Time in the source that is zero here [s], as a fraction.
        shots: Indices of the frames at which a shot begins; scales of different shots are not
            known against each other, unless depth is metric.
        scales: What the model's numbers of each frame were multiplied by, to bring frames
            together.
        shifts: What was added after that; all zero except for the affine kinds.
        sound: What became of the sound.
        notes: What was done to all frames.
        faults: What was broken in the source, one line each.
    """

    frames: int
    rate: float
    time_base: str
    ticks: tuple[int, ...]
    origin: str
    shots: tuple[int, ...]
    scales: tuple[float, ...]
    shifts: tuple[float, ...]
    sound: str
    notes: tuple[str, ...]
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipSidecar(Sidecar):
    """Everything that a reader of a video's results must know.

    Attributes:
        video: What is particular to a video.
    """

    video: VideoFacts
