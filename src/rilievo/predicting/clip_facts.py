"""The JSON beside the results of a video: that of a photograph, and facts about time."""

from dataclasses import dataclass

from rilievo.io.facts import Sidecar


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFacts:
    """Facts about a video.

    Attributes:
        frames: Number of frames read and written.
        rate: Average frames per second.
        time_base: Seconds of one tick, as a fraction.
        ticks: Time at which each frame is shown, from ``origin`` [ticks]; videos in Matroska are
            rounded to the millisecond.
        origin: Time in the source that is zero here [s], as a fraction.
        shots: Indices of the frames at which a shot begins; the ratio of the scales of different
            shots is unknown, unless depth is metric.
        scales: Factor of each frame's numbers from the model, which aligns the frames.
        shifts: Number added after that; all zero except for the affine kinds.
        still: First and last frame of each stretch in which the camera stands still, and depth is
            averaged over time.
        sound: Treatment of the sound, in words.
        notes: Treatment of all frames, in words.
        faults: Faults in the source, one line each.
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
    still: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipSidecar(Sidecar):
    """Everything that a reader of a video's results must know.

    Attributes:
        video: Facts about the video.
    """

    video: VideoFacts
