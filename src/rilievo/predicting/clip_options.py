"""Options of predicting and writing one video."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from rilievo.alignment import Fit, to_depth
from rilievo.io.facts import Sidecar
from rilievo.io.writing import SaveOptions
from rilievo.predicting.stages import Stages
from rilievo.types import Calibration, DepthKind, DepthMap, Photo, Prediction, Setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """Conversion of a video's depth to metres, found from the first frame."""

    fit: Fit
    facts: Calibration

    def applied_to(self, prediction: Prediction) -> Prediction:
        """Convert a prediction, which has the scale (and shift) of the first frame, to metres.

        Pixels for which the fit gives no positive depth become invalid.
        """
        metres = to_depth(prediction.depth, self.fit)
        valid = prediction.depth.valid & (metres > 0) & np.isfinite(metres)
        metres[~valid] = 0
        depth = DepthMap(values=metres, kind=DepthKind.METRIC, valid=valid)
        return prediction.but(depth_or_none=depth, calibration=self.facts)


def _same(photo: Photo) -> Photo:
    return photo


def _unknown(_: Prediction) -> Metric | None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipOptions:
    """Options of predicting and writing one video.

    Attributes:
        outputs: Names in ``OUTPUTS``.
        save: Options of writing. One colour range serves the whole video.
        batch_size: Number of frames that go through the network together.
        temporal: Whether the scales of frames are aligned.
        prepare: Function that gives a frame the camera that the user named.
        calibrate: Function from the first frame to metres; returns None if no size is known.
        run: Other options of the run, for the JSON.
        stages: Stopwatch of the stages.
    """

    outputs: tuple[str, ...]
    save: SaveOptions = field(default_factory=SaveOptions)
    batch_size: int = 1
    temporal: bool = True
    prepare: Callable[[Photo], Photo] = _same
    calibrate: Callable[[Prediction], Metric | None] = _unknown
    run: Mapping[str, Setting] = field(default_factory=dict)
    stages: Stages = field(default_factory=Stages)


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
    """Everything that a reader of a video's results must know."""

    video: VideoFacts
