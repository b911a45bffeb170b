"""Options of predicting one video."""

from collections.abc import Callable, Mapping
from dataclasses import field

import numpy as np

from rilievo.alignment import Fit, to_depth
from rilievo.frozen import frozen
from rilievo.io.outputs.save_options import SaveOptions
from rilievo.options.photo_options import PhotoOptions
from rilievo.predicting.stages import Stages
from rilievo.predicting.videos.clip_anchor import Reference
from rilievo.prediction import Prediction
from rilievo.types import Calibration, DepthKind, DepthMap, Photo, Setting


@frozen
class MetricConversion:
    """Conversion of a video's depth to metres, found from the first frame."""

    fit: Fit
    facts: Calibration
    is_anchored: bool = False
    """Whether it applies to anchored depth, in the place of the model's own."""

    def applied_to(self, prediction: Prediction) -> Prediction:
        """Convert a prediction, which has the scale (and shift) of the first frame, to metres.

        Pixels for which the fit gives no positive depth become invalid.
        """
        if self.is_anchored:
            prediction = prediction.anchored
        metres = to_depth(prediction.depth, self.fit)
        valid = prediction.depth.valid & (metres > 0) & np.isfinite(metres)
        metres[~valid] = 0
        depth = DepthMap(values=metres, kind=DepthKind.METRIC, valid=valid)
        anchoring = prediction.anchoring if self.is_anchored else None
        return prediction.but(depth_or_none=depth, calibration=self.facts, anchoring=anchoring)


@frozen
class ClipOptions:
    """Options of predicting and writing one video.

    Attributes:
        outputs: Names in ``OUTPUTS``.
        save: Options of writing. One colour range serves the whole video.
        batch_size: Number of frames that go through the network together.
        temporal: Whether the scales of frames are aligned.
        prepare: Function that gives a frame the camera that the user named.
        checks_pixels: Whether that function compares the camera with the frame's pixels.
        calibrate: Function from the first frame to metres; returns None if no size is known.
        finish: Options of finishing a frame; known sizes are those of ``calibrate``.
        reference: Function that gives the depth to which frames are anchored.
        run: Other options of the run, for the JSON.
        stages: Stopwatch of the stages.
    """

    outputs: tuple[str, ...]
    save: SaveOptions = field(default_factory=SaveOptions)
    batch_size: int = 1
    temporal: bool = True
    prepare: Callable[[Photo], Photo] = lambda photo: photo
    checks_pixels: bool = False
    calibrate: Callable[[Prediction], MetricConversion | None] = lambda first: None
    finish: PhotoOptions = field(
        default_factory=lambda: PhotoOptions(anchor="off", own_depth="off")
    )
    reference: Reference | None = None
    run: Mapping[str, Setting] = field(default_factory=dict)
    stages: Stages = field(default_factory=Stages)
