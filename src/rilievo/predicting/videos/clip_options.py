"""Options of predicting one video."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, runtime_checkable

import numpy as np

from rilievo.alignment import Fit, to_depth
from rilievo.io.outputs.save_options import SaveOptions
from rilievo.models.base import Inference, Model
from rilievo.options.photo_options import PhotoOptions
from rilievo.predicting.photographs.finishing import finish
from rilievo.predicting.photographs.metric_references import MetricReferences
from rilievo.predicting.run_times import Stopwatch
from rilievo.predicting.videos.frame_scales import Reference
from rilievo.prediction import Prediction
from rilievo.prediction.saving import check_outputs
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.prediction_record import Calibration, Setting
from rilievo.records.sample import Photo


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricConversion:
    """Conversion to metres, from the first frame."""

    fit: Fit
    facts: Calibration
    is_anchored: bool = False
    """Whether it applies to anchored depth."""

    def applied_to(self, prediction: Prediction) -> Prediction:
        """Convert depth; what is not positive becomes invalid."""
        if self.is_anchored:
            prediction = prediction.anchored
        metres = to_depth(prediction.depth, self.fit)
        valid = prediction.depth.valid & (metres > 0) & np.isfinite(metres)
        metres[~valid] = 0
        depth = DepthMap(values=metres, kind=DepthKind.METRIC, valid=valid)
        anchoring = prediction.anchoring if self.is_anchored else None
        return prediction.but(depth_or_none=depth, calibration=self.facts, anchoring=anchoring)


@runtime_checkable
class Finish(Protocol):
    """Function from an answer to a frame's prediction."""

    def __call__(
        self,
        model: Model,
        inference: Inference,
        photo: Photo,
        *,
        clip: Callable[[Prediction], Prediction] | None = None,
    ) -> Prediction:
        """Finish a frame."""
        ...


def finish_by(options: PhotoOptions) -> Finish:
    """Function that finishes frames, but for known sizes."""
    return partial(finish, options=options, references=MetricReferences())


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipOptions:
    """Options of one video.

    Attributes:
        outputs: Names in ``OUTPUTS``.
        batch_size: Frames in a run of the network.
        temporal: Whether scales are aligned.
        prepare: Gives a frame the user's camera.
        checks_pixels: Whether ``prepare`` reads pixels.
        calibrate: Function from the first frame to metres.
        is_metric: Tells whether depth will be in metres.
        reference: Function to depth for anchoring.
        run: Options for the JSON.
    """

    outputs: tuple[str, ...]
    save: SaveOptions = field(default_factory=SaveOptions)
    batch_size: int = 1
    temporal: bool = True
    prepare: Callable[[Photo], Photo] = lambda photo: photo
    checks_pixels: bool = False
    calibrate: Callable[[Prediction], MetricConversion | None] = lambda first: None
    finish: Finish = field(
        default_factory=lambda: finish_by(PhotoOptions(anchor="off", own_depth="off"))
    )
    is_metric: Callable[[Photo], bool] = lambda photo: False
    reference: Reference | None = None
    run: Mapping[str, Setting] = field(default_factory=dict)
    stopwatch: Stopwatch = field(default_factory=Stopwatch)

    def __post_init__(self) -> None:
        check_outputs(self.outputs)
